/* test_message_client.c - what clients ask and masters answer. */
#include "wire/message_client.h"
#include "wire/message_failure.h"
#include "wire/message_role.h"

#include "base/limits.h"
#include "tests/lib/wire_values.h"
#include "wire/pack.h"
#include "wire_test.h"

static struct buffer out;
static struct error err;
static struct rpc rpc; /* envelope of the last params() */
static struct list_writer writer;
static struct list_result list;
static struct command_cursor at;

#define params(type, method) frame_params(buffer_view(&out), type, method, &rpc)

static void setup(void)
{
    out = (struct buffer){0};
    at = (struct command_cursor){0};
}

static void teardown(void)
{
    buffer_finish(&out);
}

static int decode_submit(struct bytes bytes, struct error *e)
{
    struct submit_request r;

    return submit_unpack(&r, bytes, e);
}

START_TEST(test_submit)
{
    struct submit_request r = {LITERAL("key"), LITERAL("spec"), LITERAL("ann"), false, 7},
                          got;

    submit_pack(&r, 9, &out);
    ck_assert_int_eq(submit_unpack(&got, params(RPC_REQUEST, METHOD_SUBMIT), &err), 0);
    ck_assert_uint_eq(rpc.id, 9);
    ck_assert_bytes_eq(got.key, r.key);
    ck_assert_bytes_eq(got.spec, r.spec);
    ck_assert_bytes_eq(got.owner, r.owner);
    ck_assert_uint_eq(got.check, r.check);
    check_every_cut(rpc.params, decode_submit);
    ck_assert_error(
        decode_submit(LITERAL("\x90"), &err), err, ERROR_INVALID, "key is missing");
    ck_assert_error(decode_submit(LITERAL("\x91\xa1k"), &err),
                    err,
                    ERROR_INVALID,
                    "job is missing");
}
END_TEST

START_TEST(test_submit_result)
{
    struct submit_result r = {.id = 4, .index = UINT64_MAX}, got;

    submit_result_pack(&r, 9, &out);
    ck_assert_int_eq(
        submit_result_unpack(&got, params(RPC_RESPONSE, METHOD_UNKNOWN), &err), 0);
    ck_assert_uint_eq(got.id, 4);
    ck_assert_uint_eq(got.index, UINT64_MAX);
}
END_TEST

START_TEST(test_id_request)
{
    static const enum method METHODS_WITH_ID[] = {
        METHOD_KILL, METHOD_PURGE, METHOD_AGENT_GONE};
    uint64_t target = 0;

    id_request_pack(METHODS_WITH_ID[_i], 77, 9, &out);
    ck_assert_int_eq(
        id_request_unpack(&target, params(RPC_REQUEST, METHODS_WITH_ID[_i]), &err), 0);
    ck_assert_uint_eq(target, 77);
}
END_TEST

START_TEST(test_agent_mode)
{
    struct agent_mode_request r = {.agent = 7, .mode = AGENT_DRAINING}, got;

    r.deadline_ms = LIMIT_DRAIN_MS;
    agent_mode_pack(&r, 9, &out);
    ck_assert_int_eq(
        agent_mode_unpack(&got, params(RPC_REQUEST, METHOD_AGENT_MODE), &err), 0);
    ck_assert_uint_eq(got.agent, 7);
    ck_assert_int_eq(got.mode, AGENT_DRAINING);
    ck_assert_uint_eq(got.deadline_ms, LIMIT_DRAIN_MS);
    r.deadline_ms++;
    buffer_clear(&out);
    agent_mode_pack(&r, 9, &out);
    ck_assert_int_eq(
        agent_mode_unpack(&got, params(RPC_REQUEST, METHOD_AGENT_MODE), &err),
        -ERROR_INVALID);
}
END_TEST

START_TEST(test_role_set)
{
    struct role_change change = {
        .name = "a", .given = ROLE_HAS_WEIGHT, .spec = {.weight = 7}};
    struct role_change seen;
    struct bytes got;

    role_set_pack(&change, 9, &out);
    ck_assert_int_eq(role_set_unpack(&got, params(RPC_REQUEST, METHOD_ROLE_SET), &err),
                     0);
    ck_assert_int_eq(role_change_unpack(&seen, got, &err), 0);
    ck_assert_uint_eq(seen.spec.weight, 7);
    role_change_finish(&seen);
    buffer_clear(&out);
    change.spec.weight = 0;
    role_set_pack(&change, 9, &out);
    ck_assert_error(role_set_unpack(&got, params(RPC_REQUEST, METHOD_ROLE_SET), &err),
                    err,
                    ERROR_INVALID,
                    "weight: ");
}
END_TEST

START_TEST(test_role_remove)
{
    struct bytes got;

    role_remove_pack("night.2", 9, &out);
    ck_assert_int_eq(
        role_remove_unpack(&got, params(RPC_REQUEST, METHOD_ROLE_REMOVE), &err), 0);
    ck_assert_bytes_eq(got, LITERAL("night.2"));
    ck_assert_error(role_remove_unpack(&got, LITERAL("\x91\xa1N"), &err),
                    err,
                    ERROR_INVALID,
                    "no name of a role");
}
END_TEST

START_TEST(test_roles)
{
    struct role_info r = {
        .number = 3,
        .spec = LITERAL("spec"),
        .jobs = 5,
        .used = {{1, 2, 3, 4}},
        .custom = {{LITERAL("licence"), 500}},
        .custom_count = LIMIT_LISTED_CUSTOM,
        .share = 1ull << 40,
    };
    struct role_info got;

    for (size_t i = 1; i < LIMIT_LISTED_CUSTOM; i++)
        r.custom[i] = (struct custom_view){LITERAL("tape"), i};
    list_begin(&writer, &out, 9, 42);
    role_info_pack(&writer, &r);
    list_end(&writer, 4);
    ck_assert_int_eq(
        list_result_unpack(
            &list, METHOD_ROLES, params(RPC_RESPONSE, METHOD_UNKNOWN), &err),
        0);
    ck_assert_uint_eq(list.next, 4);
    ck_assert(role_info_next(&list, &at, &got));
    ck_assert_uint_eq(got.number, 3);
    ck_assert_bytes_eq(got.spec, r.spec);
    ck_assert_uint_eq(got.jobs, 5);
    ck_assert(resources_equal(&got.used, &r.used));
    ck_assert_uint_eq(got.custom_count, LIMIT_LISTED_CUSTOM);
    ck_assert_bytes_eq(got.custom[0].name, r.custom[0].name);
    ck_assert_uint_eq(got.custom[0].amount, 500);
    ck_assert_uint_eq(got.custom[LIMIT_LISTED_CUSTOM - 1].amount,
                      LIMIT_LISTED_CUSTOM - 1);
    ck_assert_uint_eq(got.share, r.share);
    ck_assert(!role_info_next(&list, &at, &got));
}
END_TEST

START_TEST(test_list_request)
{
    struct list_request r = {.of = 3, .after = 1000000, .limit = 500, .stale = true},
                        got;

    list_pack(METHOD_TASKS, &r, 9, &out);
    ck_assert_int_eq(list_unpack(&got, params(RPC_REQUEST, METHOD_TASKS), &err), 0);
    ck_assert_uint_eq(got.of, 3);
    ck_assert_uint_eq(got.after, 1000000);
    ck_assert_uint_eq(got.limit, 500);
    ck_assert(got.stale);
    ck_assert_uint_eq(got.agent + got.type + got.since_us, 0);
    buffer_clear(&out);
    r.agent = 7;
    r.type = 8;
    r.since_us = UINT64_MAX;
    list_pack(METHOD_FAILURES, &r, 9, &out);
    ck_assert_int_eq(list_unpack(&got, params(RPC_REQUEST, METHOD_FAILURES), &err), 0);
    ck_assert_uint_eq(got.agent, 7);
    ck_assert_uint_eq(got.type, 8);
    ck_assert_uint_eq(got.since_us, UINT64_MAX);
}
END_TEST

/* ---- listings ---- */

static enum method listing; /* of decode_list() */

static int decode_list(struct bytes bytes, struct error *e)
{
    struct list_result l;

    return list_result_unpack(&l, listing, bytes, e);
}

static void read_list(enum method method, uint32_t count, uint64_t next)
{
    int rc =
        list_result_unpack(&list, method, params(RPC_RESPONSE, METHOD_UNKNOWN), &err);

    ck_assert_done(rc, err);
    ck_assert_uint_eq(list.index, 42);
    ck_assert_uint_eq(list.next, next);
    ck_assert_uint_eq(list.count, count);
    listing = method;
    check_every_cut(rpc.params, decode_list);
}

START_TEST(test_jobs)
{
    struct job_summary j = {.id = 5,
                            .name = LITERAL("hash"),
                            .state = JOB_RUNNING,
                            .instances = 10,
                            .priority = -3,
                            .tasks = {1, 2, 0, 3, 0, 4, 0, 0, 0, 0},
                            .submitted_us = 1700000000000000,
                            .ended_us = 0,
                            .changed = 99,
                            .why = LITERAL("no agent has 64 cpus"),
                            .expected_ms = 67379,
                            .expected_from = EXPECTED_OF_HISTORY,
                            .reserved_agent = 3,
                            .reserved_us = 1700000001000000};
    struct job_summary got;

    list_begin(&writer, &out, 9, 42);
    job_summary_pack(&writer, &j);
    j.id = 6;
    job_summary_pack(&writer, &j);
    list_end(&writer, UINT64_MAX);
    read_list(METHOD_JOBS, 2, UINT64_MAX);
    ck_assert(job_summary_next(&list, &at, &got));
    ck_assert_uint_eq(got.id, 5);
    ck_assert_bytes_eq(got.name, j.name);
    ck_assert_int_eq(got.state, JOB_RUNNING);
    ck_assert_uint_eq(got.instances, 10);
    ck_assert_int_eq(got.priority, -3);
    ck_assert_mem_eq(got.tasks, j.tasks, sizeof(j.tasks));
    ck_assert_uint_eq(got.submitted_us, j.submitted_us);
    ck_assert_uint_eq(got.ended_us, 0);
    ck_assert_uint_eq(got.changed, 99);
    ck_assert_bytes_eq(got.why, j.why);
    ck_assert_uint_eq(got.expected_ms, 67379);
    ck_assert_int_eq(got.expected_from, EXPECTED_OF_HISTORY);
    ck_assert_uint_eq(got.reserved_agent, 3);
    ck_assert_uint_eq(got.reserved_us, 1700000001000000);
    ck_assert(job_summary_next(&list, &at, &got));
    ck_assert_uint_eq(got.id, 6);
    ck_assert(!job_summary_next(&list, &at, &got));
}
END_TEST

/* Of a later master: the others are listed, and it is, too. */
START_TEST(test_a_kind_that_is_not_known)
{
    struct job_summary j = {.id = 5, .name = LITERAL("hash"), .kind = 77}, got;

    list_begin(&writer, &out, 9, 42);
    job_summary_pack(&writer, &j);
    j.id = 6;
    j.kind = JOB_SERVICE;
    job_summary_pack(&writer, &j);
    list_end(&writer, UINT64_MAX);
    read_list(METHOD_JOBS, 2, UINT64_MAX);
    ck_assert(job_summary_next(&list, &at, &got));
    ck_assert_str_eq(job_kind_name(got.kind), "unknown");
    ck_assert(job_summary_next(&list, &at, &got));
    ck_assert_str_eq(job_kind_name(got.kind), "service");
}
END_TEST

START_TEST(test_tasks)
{
    const struct task_info t = {.instance = 999999,
                                .attempt = 2,
                                .attempt_id = 77,
                                .agent_id = 3,
                                .agent_http = LITERAL("192.0.2.7:5051"),
                                .state = TASK_FAILED,
                                .reason = TASK_REASON_SIGNALED,
                                .exit_code = 137,
                                .message = LITERAL("killed by signal 9"),
                                .started_us = 5,
                                .ended_us = 6,
                                .agent_rpc = LITERAL("192.0.2.7:5052"),
                                .why = LITERAL("retry 2 of 3 in 14 s")};
    struct task_info got;

    list_begin(&writer, &out, 9, 42);
    task_info_pack(&writer, &t);
    list_end(&writer, 0);
    read_list(METHOD_TASKS, 1, 0);
    ck_assert(task_info_next(&list, &at, &got));
    ck_assert_uint_eq(got.instance, 999999);
    ck_assert_uint_eq(got.attempt, 2);
    ck_assert_uint_eq(got.attempt_id, 77);
    ck_assert_uint_eq(got.agent_id, 3);
    ck_assert_bytes_eq(got.agent_http, t.agent_http);
    ck_assert_bytes_eq(got.agent_rpc, t.agent_rpc);
    ck_assert_int_eq(got.state, TASK_FAILED);
    ck_assert_int_eq(got.reason, TASK_REASON_SIGNALED);
    ck_assert_int_eq(got.exit_code, 137);
    ck_assert_bytes_eq(got.message, t.message);
    ck_assert_bytes_eq(got.why, t.why);
    ck_assert_uint_eq(got.started_us, 5);
    ck_assert_uint_eq(got.ended_us, 6);
    ck_assert(!task_info_next(&list, &at, &got));
}
END_TEST

START_TEST(test_agents)
{
    const struct agent_info a = {.id = 4,
                                 .state = AGENT_UNREACHABLE,
                                 .spec = LITERAL("spec"),
                                 .allocated = {{1500, 2, 3, 4}},
                                 .tasks = 5,
                                 .superseded = 6,
                                 .ports = {{31000, 31000}, {31004, 31006}},
                                 .range_count = 2,
                                 .custom = {{LITERAL("gpu_mem"), 1}, {LITERAL("x"), 2}},
                                 .custom_count = 2};
    struct agent_info got;

    list_begin(&writer, &out, 9, 42);
    agent_info_pack(&writer, &a);
    list_end(&writer, 0);
    read_list(METHOD_AGENTS, 1, 0);
    ck_assert(agent_info_next(&list, &at, &got));
    ck_assert_uint_eq(got.id, 4);
    ck_assert_int_eq(got.state, AGENT_UNREACHABLE);
    ck_assert_bytes_eq(got.spec, a.spec);
    ck_assert(resources_equal(&got.allocated, &a.allocated));
    ck_assert_uint_eq(got.tasks, 5);
    ck_assert_uint_eq(got.superseded, 6);
    ck_assert_uint_eq(got.range_count, 2);
    ck_assert_mem_eq(got.ports, a.ports, 2 * sizeof(a.ports[0]));
    ck_assert_uint_eq(got.custom_count, 2);
    ck_assert_bytes_eq(got.custom[1].name, a.custom[1].name);
    ck_assert_uint_eq(got.custom[1].amount, 2);
    ck_assert(!agent_info_next(&list, &at, &got));
}
END_TEST

START_TEST(test_masters)
{
    const struct master_info m = {.id = 1,
                                  .address = LITERAL("127.0.0.1:5049"),
                                  .role = LITERAL("leader"),
                                  .leader = 1,
                                  .term = 8,
                                  .commit_index = 100,
                                  .applied_index = 99,
                                  .digest = LITERAL("0123456789abcdef"),
                                  .digest_index = 64};
    struct master_info got;

    list_begin(&writer, &out, 9, 42);
    master_info_pack(&writer, &m);
    list_end(&writer, 0);
    read_list(METHOD_MASTERS, 1, 0);
    ck_assert(master_info_next(&list, &at, &got));
    ck_assert_uint_eq(got.id, 1);
    ck_assert_bytes_eq(got.address, m.address);
    ck_assert_bytes_eq(got.role, m.role);
    ck_assert_uint_eq(got.leader, 1);
    ck_assert_uint_eq(got.term, 8);
    ck_assert_uint_eq(got.commit_index, 100);
    ck_assert_uint_eq(got.applied_index, 99);
    ck_assert_bytes_eq(got.digest, m.digest);
    ck_assert_uint_eq(got.digest_index, 64);
    ck_assert(!master_info_next(&list, &at, &got));
}
END_TEST

START_TEST(test_failures)
{
    struct failure_info f = {.id = 5,
                             .type = {false, TASK_REASON_EXITED},
                             .stamp_us = 20,
                             .down_us = 10,
                             .retry_us = 30,
                             .recovered_us = 40,
                             .job = 6,
                             .agent = 7,
                             .next_agent = 8,
                             .instance = 9,
                             .attempt = 10,
                             .moved = 11,
                             .exit_code = -12,
                             .task_state = TASK_LOST,
                             .deed = FAILURE_RECLAIMED,
                             .state = FAILURE_IS_WITHDRAWN};
    struct failure_info got;

    list_begin(&writer, &out, 9, 42);
    failure_info_pack(&writer, &f);
    f.type = (struct failure_type){true, TASK_REASON_AGENT_GONE};
    failure_info_pack(&writer, &f);
    list_end(&writer, UINT64_MAX);
    read_list(METHOD_FAILURES, 2, UINT64_MAX);
    ck_assert(failure_info_next(&list, &at, &got));
    ck_assert_uint_eq(got.id, 5);
    ck_assert(!got.type.of_agent && got.type.reason == TASK_REASON_EXITED);
    ck_assert_uint_eq(got.stamp_us, 20);
    ck_assert_uint_eq(got.down_us, 10);
    ck_assert_uint_eq(got.retry_us, 30);
    ck_assert_uint_eq(got.recovered_us, 40);
    ck_assert_uint_eq(got.job, 6);
    ck_assert_uint_eq(got.agent, 7);
    ck_assert_uint_eq(got.next_agent, 8);
    ck_assert_uint_eq(got.instance, 9);
    ck_assert_uint_eq(got.attempt, 10);
    ck_assert_uint_eq(got.moved, 11);
    ck_assert_int_eq(got.exit_code, -12);
    ck_assert_int_eq(got.task_state, TASK_LOST);
    ck_assert_int_eq(got.deed, FAILURE_RECLAIMED);
    ck_assert_int_eq(got.state, FAILURE_IS_WITHDRAWN);
    ck_assert(failure_info_next(&list, &at, &got));
    ck_assert(got.type.of_agent && got.type.reason == TASK_REASON_AGENT_GONE);
    ck_assert(!failure_info_next(&list, &at, &got));
}
END_TEST

START_TEST(test_sums_of_failures)
{
    struct failure_sum_info f = {.type = {true, TASK_REASON_AGENT_UNREACHABLE},
                                 .count = 5,
                                 .open = 2,
                                 .recovered = 3,
                                 .recovery_us = 600,
                                 .longest_us = 500};
    struct failure_sum_info got;

    list_begin(&writer, &out, 9, 42);
    failure_sum_info_pack(&writer, &f);
    list_end(&writer, 0);
    read_list(METHOD_FAILURE_SUMS, 1, 0);
    ck_assert(failure_sum_info_next(&list, &at, &got));
    ck_assert(got.type.of_agent && got.type.reason == TASK_REASON_AGENT_UNREACHABLE);
    ck_assert_uint_eq(got.count, 5);
    ck_assert_uint_eq(got.open, 2);
    ck_assert_uint_eq(got.recovered, 3);
    ck_assert_uint_eq(got.recovery_us, 600);
    ck_assert_uint_eq(got.longest_us, 500);
}
END_TEST

START_TEST(test_empty_list)
{
    struct job_summary j;

    list_begin(&writer, &out, 9, 42);
    list_end(&writer, 0);
    read_list(METHOD_JOBS, 0, 0);
    ck_assert(!job_summary_next(&list, &at, &j));
}
END_TEST

/* A page is full before an element of any size could pass the limit of a frame. */
START_TEST(test_full_page)
{
    static uint8_t spec[LIMIT_SPEC_BYTES];
    uint8_t name[LIMIT_CUSTOM_BYTES];
    static struct agent_info a = {.spec = {spec, sizeof(spec)},
                                  .range_count = LIMIT_LISTED_RANGES,
                                  .custom_count = LIMIT_LISTED_CUSTOM};
    uint32_t n = 0;

    memset(name, 'x', sizeof(name));
    for (size_t i = 0; i < LIMIT_LISTED_RANGES; i++)
        a.ports[i] = (struct port_range){UINT16_MAX, UINT16_MAX};
    for (size_t i = 0; i < LIMIT_LISTED_CUSTOM; i++)
        a.custom[i] = (struct custom_view){{name, sizeof(name)}, UINT64_MAX};

    buffer_append_text(&out, "other frames in front");
    list_begin(&writer, &out, 9, 42);
    for (; list_has_room(&writer); n++)
        agent_info_pack(&writer, &a);
    ck_assert_uint_eq(n, 7);
    list_end(&writer, n);
    buffer_consume(&out, strlen("other frames in front"));
    ck_assert_int_eq(
        list_result_unpack(
            &list, METHOD_AGENTS, params(RPC_RESPONSE, METHOD_UNKNOWN), &err),
        0);
    ck_assert_uint_eq(list.count, 7);
}
END_TEST

/* Texts for people that are too long are cut, not refused. */
START_TEST(test_long_texts_are_cut)
{
    static const uint8_t TEXT[LIMIT_MESSAGE_BYTES + 1];
    const struct task_info t = {.message = {TEXT, sizeof(TEXT)}};
    struct task_info got;

    list_begin(&writer, &out, 9, 42);
    task_info_pack(&writer, &t);
    list_end(&writer, 0);
    ck_assert_int_eq(
        list_result_unpack(
            &list, METHOD_TASKS, params(RPC_RESPONSE, METHOD_UNKNOWN), &err),
        0);
    ck_assert(task_info_next(&list, &at, &got));
    ck_assert_uint_eq(got.message.size, LIMIT_MESSAGE_BYTES);
}
END_TEST

START_TEST(test_list_of_another_method_is_a_bug)
{
    list_result_unpack(&list, METHOD_SUBMIT, LITERAL("\x93\x01\x00\x90"), &err);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("message_client");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_submit);
    tcase_add_test(t, test_submit_result);
    tcase_add_loop_test(t, test_id_request, 0, 3);
    tcase_add_test(t, test_agent_mode);
    tcase_add_test(t, test_role_set);
    tcase_add_test(t, test_role_remove);
    tcase_add_test(t, test_roles);
    tcase_add_test(t, test_list_request);
    tcase_add_test(t, test_jobs);
    tcase_add_test(t, test_a_kind_that_is_not_known);
    tcase_add_test(t, test_tasks);
    tcase_add_test(t, test_agents);
    tcase_add_test(t, test_masters);
    tcase_add_test(t, test_failures);
    tcase_add_test(t, test_sums_of_failures);
    tcase_add_test(t, test_failures);
    tcase_add_test(t, test_sums_of_failures);
    tcase_add_test(t, test_empty_list);
    tcase_add_test(t, test_full_page);
    tcase_add_test(t, test_long_texts_are_cut);
    tcase_add_test_raise_signal(t, test_list_of_another_method_is_a_bug, SIGABRT);
    return unit_run("message_client", &t, 1);
}
