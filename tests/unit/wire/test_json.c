/* test_json.c - the JSON that scripts read: names and forms are stable. */
#include "wire/json.h"

#include "base/limits.h"
#include "tests/lib/wire_values.h"
#include "wire/message_agent.h"
#include "wire_test.h"

static struct buffer out;
static struct error err;

static void teardown(void)
{
    buffer_finish(&out);
}

/* `value` says what the JSON text says; takes the reference. */
static void check_json(json_t *value, const char *text)
{
    json_t *expected = json_loads(text, JSON_DECODE_ANY, NULL);

    ck_assert_ptr_nonnull(value);
    ck_assert_ptr_nonnull(expected);
    json_write(value, &out);
    buffer_append_u8(&out, 0);
    ck_assert_msg(json_equal(value, expected), "%s", (const char *)out.data);
    json_decref(expected);
    json_decref(value);
}

static const struct job_summary SUMMARY = {
    .id = 17,
    .name = LITERAL("hash"),
    .state = JOB_RUNNING,
    .instances = 10,
    .priority = -3,
    .tasks = {1, 0, 0, 3, 0, 6, 0, 0, 0, 0},
    .submitted_us = 1717763696000001,
    .why = LITERAL("no agent has 64 cpus"),
    .expected_ms = 67379,
    .expected_from = EXPECTED_OF_HISTORY,
    .reserved_agent = 3,
    .reserved_us = 1717764400000000,
};

START_TEST(test_job_summary)
{
    check_json(
        json_job_summary(&SUMMARY),
        "{\"id\": 17, \"name\": \"hash\", \"state\": \"RUNNING\", \"instances\": 10,"
        " \"tasks\": {\"TASK_PENDING\": 1, \"TASK_RUNNING\": 3, \"TASK_FINISHED\": 6},"
        " \"priority\": -3, \"kind\": \"batch\","
        " \"submitted\": \"2024-06-07T12:34:56.000001Z\","
        " \"ended\": null, \"why\": \"no agent has 64 cpus\","
        " \"estimate\": 67.379, \"estimate_from\": \"history\","
        " \"reservation\": {\"agent\": 3, \"at\": \"2024-06-07T12:46:40.000000Z\"}}");
}
END_TEST

START_TEST(test_ended_job)
{
    struct job_summary j = SUMMARY;

    j.state = JOB_COMPLETE;
    memset(j.tasks, 0, sizeof(j.tasks));
    j.ended_us = 1;
    j.why.size = 0;
    j.expected_ms = 0; /* an older master does not tell */
    j.reserved_agent = 0;
    check_json(
        json_job_summary(&j),
        "{\"id\": 17, \"name\": \"hash\", \"state\": \"COMPLETE\", \"instances\": 10,"
        " \"tasks\": {}, \"priority\": -3, \"kind\": \"batch\","
        " \"submitted\": \"2024-06-07T12:34:56.000001Z\","
        " \"ended\": \"1970-01-01T00:00:00.000001Z\", \"why\": null,"
        " \"estimate\": null, \"estimate_from\": null, \"reservation\": null}");
}
END_TEST

START_TEST(test_job_with_tasks)
{
    const struct task_info failed = {.instance = 3,
                                     .attempt = 2,
                                     .attempt_id = 99,
                                     .agent_id = 5,
                                     .state = TASK_FAILED,
                                     .reason = TASK_REASON_EXITED,
                                     .exit_code = 7,
                                     .message = LITERAL("exit\x1b status \xff"),
                                     .placed_us = 500000,
                                     .health = HEALTH_FAILING,
                                     .restarts = 4,
                                     .started_us = 1000000,
                                     .ended_us = 2000000};
    json_t *tasks = json_array(), *job;

    json_array_append_new(tasks, json_task(17, &failed));
    job = json_job(&SUMMARY, tasks, json_object());
    check_json(
        json_incref(json_object_get(job, "tasks")),
        "[{\"id\": \"17.3\", \"instance\": 3, \"attempt\": 2, \"attempt_id\": 99,"
        " \"state\": \"TASK_FAILED\","
        " \"agent_id\": 5, \"exit_code\": 7, \"reason\": \"REASON_COMMAND_EXITED\","
        " \"message\": \"exit\xef\xbf\xbd status \xef\xbf\xbd\", \"ports\": [],"
        " \"health\": \"failing\", \"restarts\": 4,"
        " \"placed\": \"1970-01-01T00:00:00.500000Z\","
        " \"started\": \"1970-01-01T00:00:01.000000Z\","
        " \"ended\": \"1970-01-01T00:00:02.000000Z\", \"why\": null}]");
    ck_assert_int_eq(json_integer_value(json_object_get(job, "id")), 17);
    ck_assert_str_eq(json_string_value(json_object_get(job, "state")), "RUNNING");
    json_decref(job);
}
END_TEST

START_TEST(test_pending_task)
{
    const struct task_info pending = {.state = TASK_PENDING,
                                      .why = LITERAL("retry 1 of 2 in 3 s")};

    check_json(
        json_task(17, &pending),
        "{\"id\": \"17.0\", \"instance\": 0, \"attempt\": 0, \"attempt_id\": null,"
        " \"state\": \"TASK_PENDING\","
        " \"agent_id\": null, \"exit_code\": null, \"reason\": null, \"message\": \"\","
        " \"ports\": [], \"health\": \"unknown\", \"restarts\": 0, \"placed\": null,"
        " \"started\": null, \"ended\": null, \"why\": \"retry 1 of 2 in 3 s\"}");
}
END_TEST

static const struct {
    enum task_state state;
    enum task_reason reason;
    bool has_exit_code;
} EXIT_CODES[] = {
    {TASK_FINISHED, TASK_REASON_NONE, true},
    {TASK_FINISHED, TASK_REASON_EXITED, true},
    {TASK_FAILED, TASK_REASON_SIGNALED, true},
    {TASK_KILLED, TASK_REASON_SIGNALED, true},
    {TASK_KILLED, TASK_REASON_KILLED_BY_USER, false},
    {TASK_FAILED, TASK_REASON_FETCH_FAILED, false},
    {TASK_FAILED, TASK_REASON_IMAGE_FAILED, false},
    {TASK_ERROR, TASK_REASON_NOT_STARTED, false},
    {TASK_LOST, TASK_REASON_AGENT_GONE, false},
    {TASK_RUNNING, TASK_REASON_NONE, false},
};

START_TEST(test_exit_code)
{
    const struct task_info t = {.state = EXIT_CODES[_i].state,
                                .reason = EXIT_CODES[_i].reason};
    json_t *task = json_task(1, &t);

    ck_assert_int_eq(json_is_integer(json_object_get(task, "exit_code")),
                     EXIT_CODES[_i].has_exit_code);
    json_decref(task);
}
END_TEST

START_TEST(test_agent)
{
    struct agent_info a = {.id = 4,
                           .state = AGENT_UNREACHABLE,
                           .allocated = {{1500, 1536 * KIB, 0, 1}},
                           .tasks = 2,
                           .superseded = 1,
                           .mode = AGENT_DRAINING,
                           .drain_us = 1000000,
                           .flags = AGENT_FLAG_LOW_DISK,
                           .ports = {{31000, 31000}, {31004, 31006}},
                           .range_count = 2,
                           .custom = {{LITERAL("licence"), 500}},
                           .custom_count = 1};
    struct agent_spec spec;
    struct buffer bytes = {0};

    sample_agent_spec(&spec);
    custom_resources_add(&spec.custom, "licence", 1500);
    spec.features = AGENT_FEATURE_IMAGES;
    agent_spec_pack(&spec, &bytes);
    a.spec = buffer_view(&bytes);
    check_json(
        json_agent(&a, &err),
        "{\"id\": 4, \"hostname\": \"node7.example.org\", \"address\": "
        "\"192.0.2.7:5051\","
        " \"rpc_address\": \"\", \"state\": \"UNREACHABLE\","
        " \"mode\": \"DRAINING\", \"deadline\": \"1970-01-01T00:00:01.000000Z\","
        " \"disk_low\": true,\"damped\": false,"
        " \"resources\": {\"cpus\": 32, \"mem\": 65536, \"disk\": 1048576, \"gpus\": 2,"
        "                 \"ports\": [\"31000-32000\", \"33000-33010\"],"
        "                 \"custom\": {\"licence\": 1.5}},"
        " \"allocated\": {\"cpus\": 1.5, \"mem\": 1.5, \"disk\": 0, \"gpus\": 1,"
        "                 \"ports\": [\"31000-31000\", \"31004-31006\"],"
        "                 \"custom\": {\"licence\": 0.5}},"
        " \"attributes\": {\"rack\": \"a\", \"zone\": \"\"},"
        " \"features\": [\"images\"], \"tasks\": 2}");
    a.spec.size--;
    ck_assert_ptr_null(json_agent(&a, &err));
    ck_assert_int_eq(err.code, ERROR_INVALID);
    buffer_finish(&bytes);
    agent_spec_finish(&spec);
}
END_TEST

START_TEST(test_master)
{
    const struct master_info m = {.id = 1,
                                  .address = LITERAL("127.0.0.1:5049"),
                                  .role = LITERAL("leader"),
                                  .leader = 1,
                                  .term = 8,
                                  .commit_index = 300,
                                  .applied_index = UINT64_MAX,
                                  .digest = LITERAL("\x00\x01\x02\x03\x04\x05\x06\x07"
                                                    "\x08\x09\x0a\x0b\x0c\x0d\x0e\xff"),
                                  .digest_index = 256};

    check_json(
        json_master(&m),
        "{\"id\": 1, \"address\": \"127.0.0.1:5049\", \"role\": \"leader\", \"term\": "
        "8,"
        " \"commit_index\": 300, \"applied_index\": 9223372036854775807,"
        " \"digest\": \"000102030405060708090a0b0c0d0eff\", \"digest_index\": 256}");
}
END_TEST

START_TEST(test_unreachable_master)
{
    const struct master_info m = {
        .id = 2, .address = LITERAL("127.0.0.1:5149"), .role = LITERAL("unreachable")};

    check_json(json_master(&m),
               "{\"id\": 2, \"address\": \"127.0.0.1:5149\", \"role\": \"unreachable\","
               " \"term\": null, \"commit_index\": null, \"applied_index\": null,"
               " \"digest\": null, \"digest_index\": null}");
}
END_TEST

/* Numbers of cpus print as they were typed. */
static const struct {
    uint64_t milli;
    const char *text;
} CPUS[] = {
    {1000, "1"},
    {1500, "1.5"},
    {100, "0.1"},
    {1, "0.001"},
    {8700, "8.7"},
    {1001, "1.001"},
    {65536000, "65536"},
    {4350, "4.35"},
};

START_TEST(test_failure_of_a_task)
{
    struct failure_info f = {.id = 3,
                             .type = {false, TASK_REASON_MEMORY_LIMIT},
                             .stamp_us = 2000000,
                             .down_us = 1000000,
                             .recovered_us = 3500000,
                             .job = 17,
                             .agent = 4,
                             .next_agent = 5,
                             .instance = 2,
                             .attempt = 1,
                             .exit_code = 137,
                             .task_state = TASK_FAILED,
                             .deed = FAILURE_RETRIED,
                             .state = FAILURE_IS_RECOVERED};

    check_json(json_failure(&f),
               "{\"id\": 3, \"type\": \"memory-limit\", \"of\": \"task\","
               " \"time\": \"1970-01-01T00:00:02.000000Z\","
               " \"down\": \"1970-01-01T00:00:01.000000Z\","
               " \"job\": 17, \"task\": \"17.2\", \"attempt\": 1, \"agent_id\": 4,"
               " \"task_state\": \"TASK_FAILED\", \"exit_code\": 137,"
               " \"done\": \"retried\", \"retry\": null, \"moved\": null,"
               " \"state\": \"recovered\","
               " \"recovered\": \"1970-01-01T00:00:03.500000Z\", \"recovery\": 2.5,"
               " \"next_agent_id\": 5}");
}
END_TEST

START_TEST(test_failure_of_an_agent)
{
    struct failure_info f = {.id = 3,
                             .type = {true, TASK_REASON_AGENT_UNREACHABLE},
                             .stamp_us = 1000000,
                             .down_us = 1000000,
                             .agent = 4,
                             .moved = 6,
                             .deed = FAILURE_MOVED};

    check_json(json_failure(&f),
               "{\"id\": 3, \"type\": \"unreachable\", \"of\": \"agent\","
               " \"time\": \"1970-01-01T00:00:01.000000Z\","
               " \"down\": \"1970-01-01T00:00:01.000000Z\","
               " \"job\": null, \"task\": null, \"attempt\": null, \"agent_id\": 4,"
               " \"task_state\": null, \"exit_code\": null,"
               " \"done\": \"moved\", \"retry\": null, \"moved\": 6,"
               " \"state\": \"open\", \"recovered\": null, \"recovery\": null,"
               " \"next_agent_id\": null}");
}
END_TEST

START_TEST(test_sum_of_failures)
{
    struct failure_sum_info f = {.type = {true, TASK_REASON_AGENT_GONE}, .count = 2};

    check_json(json_failure_sum(&f),
               "{\"type\": \"gone\", \"of\": \"agent\", \"count\": 2, \"open\": 0,"
               " \"recovered\": 0, \"mean\": null, \"longest\": null}");
    buffer_clear(&out);
    f.recovered = 2;
    f.recovery_us = 5000000;
    f.longest_us = 4000000;
    check_json(json_failure_sum(&f),
               "{\"type\": \"gone\", \"of\": \"agent\", \"count\": 2, \"open\": 0,"
               " \"recovered\": 2, \"mean\": 2.5, \"longest\": 4}");
}
END_TEST

START_TEST(test_cpus_text)
{
    const struct agent_info a = {.allocated = {{CPUS[_i].milli, 0, 0, 0}}};
    struct agent_info with_spec = a;
    struct agent_spec spec;
    struct buffer bytes = {0};
    char line[64];
    json_t *agent;

    sample_agent_spec(&spec);
    agent_spec_pack(&spec, &bytes);
    with_spec.spec = buffer_view(&bytes);
    agent = json_agent(&with_spec, &err);
    json_write(json_object_get(agent, "allocated"), &out);
    buffer_append_u8(&out, 0);
    snprintf(line, sizeof(line), "\"cpus\": %s,\n", CPUS[_i].text);
    ck_assert_msg(
        strstr((const char *)out.data, line) != NULL, "%s", (const char *)out.data);
    json_decref(agent);
    buffer_finish(&bytes);
    agent_spec_finish(&spec);
}
END_TEST

START_TEST(test_write)
{
    json_t *value = json_pack("[{s:i}]", "a", 1);

    json_write(value, &out);
    ck_assert_bytes_eq(buffer_view(&out), LITERAL("[\n  {\n    \"a\": 1\n  }\n]\n"));
    json_decref(value);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("json");

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, test_job_summary);
    tcase_add_test(t, test_ended_job);
    tcase_add_test(t, test_job_with_tasks);
    tcase_add_test(t, test_pending_task);
    tcase_add_loop_test(t, test_exit_code, 0, COUNT(EXIT_CODES));
    tcase_add_test(t, test_agent);
    tcase_add_test(t, test_master);
    tcase_add_test(t, test_unreachable_master);
    tcase_add_test(t, test_failure_of_a_task);
    tcase_add_test(t, test_failure_of_an_agent);
    tcase_add_test(t, test_sum_of_failures);
    tcase_add_loop_test(t, test_cpus_text, 0, COUNT(CPUS));
    tcase_add_test(t, test_write);
    return unit_run("json", &t, 1);
}
