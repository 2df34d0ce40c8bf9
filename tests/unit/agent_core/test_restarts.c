/* test_restarts.c - runs that are started again, and runs that take too long
 * (docs/spec/6-agent.md).
 */
#include "base/mem.h"
#include "base/text.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent_core/one_run.h"

#define GRACE_MS 3000

static void check_text(struct bytes found, const char *wanted)
{
    char *text = text_copy(found);

    ck_assert_str_eq(text, wanted);
    mem_free(text);
}

/* ---- restarts ---- */

START_TEST(failure_is_started_again)
{
    struct run_report r;

    run_restarting();
    fail_and_wait(1000);
    ck_assert_uint_eq(rig_done(&rig, AGENT_START_RUN, 1)->attempt, 1);
    ck_assert_uint_eq(rig_done(&rig, AGENT_START_RUN, 1)->restarts, 1);
    r = report();
    ck_assert_int_eq(r.state, TASK_RUNNING);
    ck_assert_uint_eq(r.restarts, 1);
    ck_assert_int_eq(r.exit_code, 3);
    check_text(r.message, "exited with status 3; restart 1 after 1s");
    ck_assert_uint_eq(rig_status(&rig).running, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(delay_doubles_until_attempts_are_used_up)
{
    run_restarting();
    fail_and_wait(1000);
    fail_and_wait(2000);
    fail_and_wait(3000); /* not 4 s: the most */
    rig_ended(&rig, 1, RUN_END_SIGNALED, 11);
    check_durable_end(TASK_FAILED, TASK_REASON_SIGNALED, 139);
    ck_assert_uint_eq(report().restarts, 3);
    rig_finish(&rig);
}
END_TEST

START_TEST(count_begins_again_after_the_interval)
{
    run_restarting();
    fail_and_wait(1000);
    fail_and_wait(2000);
    rig_advance(&rig, 60000);
    fail_and_wait(1000);
    fail_and_wait(2000);
    ck_assert_uint_eq(rig_status(&rig).running, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(unlimited_goes_on)
{
    struct job_spec spec;

    changed(&spec)->restart = (struct job_retry){
        .attempts = JOB_UNLIMITED, .delay_ms = 1000, .max_delay_ms = 1000};
    run_it(&spec);
    for (int i = 0; i < 100; i++)
        fail_and_wait(1000);
    rig_finish(&rig);
}
END_TEST

START_TEST(only_failures_are_started_again)
{
    static const struct {
        enum run_end how;
        int code;
        bool again;
    } ends[] = {
        {RUN_END_EXITED, 0, false},
        {RUN_END_EXITED, 1, true},
        {RUN_END_SIGNALED, 9, true},
        {RUN_END_MEMORY, 9, true},
        {RUN_END_DISK, 9, true},
        {RUN_END_NOT_STARTED, 0, false},
        {RUN_END_SHIM_LOST, 0, false},
        {RUN_END_VANISHED, 0, false},
        {RUN_END_SHUTDOWN, 15, false},
        {RUN_END_LEASE, 15, false},
        {RUN_END_FETCH_FAILED, 0, false},
        {RUN_END_IMAGE_FAILED, 0, false},
    };

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        run_restarting();
        rig_ended(&rig, 1, ends[i].how, ends[i].code);
        ck_assert_uint_eq(rig_status(&rig).waiting, ends[i].again ? 1 : 0);
        ck_assert_uint_eq(rig_status(&rig).ended, ends[i].again ? 0 : 1);
        rig_finish(&rig);
    }
}
END_TEST

START_TEST(failure_is_durable_before_the_next_start)
{
    run_restarting();
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_advance(&rig, 5000);
    ck_assert_uint_eq(starts(), 1);
    rig_durable(&rig);
    ck_assert_uint_eq(starts(), 2);
    rig_finish(&rig);
}
END_TEST

START_TEST(stop_ends_the_wait)
{
    run_restarting();
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_durable(&rig);
    rig_stop(&rig, 0, 1, 1);
    check_durable_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 3);
    rig_advance(&rig, 60000);
    ck_assert_uint_eq(starts(), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(stopped_run_is_not_started_again)
{
    run_restarting();
    rig_stop(&rig, 0, 1, 1);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 15);
    check_durable_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 143);
    rig_advance(&rig, 60000);
    ck_assert_uint_eq(starts(), 1);
    rig_finish(&rig);
}
END_TEST

/* While the agent was away; its end says that it is of the start that is recorded. */
START_TEST(failure_without_the_agent_counts)
{
    run_restarting();
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_durable(&rig);
    rig_advance(&rig, 999);
    ck_assert_uint_eq(starts(), 0);
    rig_advance(&rig, 1);
    ck_assert_uint_eq(starts(), 1);
    ck_assert_uint_eq(rig.restarts, 1);
    rig_started(&rig, 1);
    rig_follow(&rig, 0, 2);
    ck_assert_int_eq(report().state, TASK_RUNNING);
    rig_finish(&rig);
}
END_TEST

/* Recorded, and not started: the slot still tells of the start before. */
START_TEST(failure_counts_once_over_a_restart)
{
    run_restarting();
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_durable(&rig);
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_EXITED, 3); /* of start 0 */
    rig_advance(&rig, 1000);
    ck_assert_uint_eq(starts(), 1);
    ck_assert_uint_eq(rig.restarts, 1);
    rig_started(&rig, 1);
    fail_and_wait(2000);
    fail_and_wait(3000);
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_follow(&rig, 0, 2);
    check_durable_end(TASK_FAILED, TASK_REASON_EXITED, 3);
    rig_finish(&rig);
}
END_TEST

/* Then no restarted agent can take it up again. */
START_TEST(final_failure_is_durable_before_it_is_told)
{
    struct run_report r;

    run_restarting();
    fail_and_wait(1000);
    fail_and_wait(2000);
    fail_and_wait(3000);
    rig_forget(&rig);
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_advance(&rig, 100);
    ck_assert(!rig_report(&rig, 1, &r) || r.state == TASK_RUNNING);
    rig_durable(&rig);
    ck_assert_int_eq(report().state, TASK_FAILED);
    rig_advance(&rig, 60000); /* a new count would begin */
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    ck_assert_uint_eq(rig_status(&rig).ended, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(stop_of_a_wait_outlives_the_agent)
{
    run_restarting();
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_durable(&rig);
    rig_stop(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_restart(&rig);
    rig.restarts = 0;
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_follow(&rig, 0, 2);
    check_durable_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 3);
    rig_finish(&rig);
}
END_TEST

START_TEST(failures_do_not_flood)
{
    struct job_spec spec;

    changed(&spec)->restart = (struct job_retry){
        .attempts = JOB_UNLIMITED, .delay_ms = 100, .max_delay_ms = 100};
    run_it(&spec);
    rig_advance(&rig, 50);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    rig_forget(&rig);
    for (int i = 0; i < 40; i++)
        fail_and_wait(100); /* 4 s */
    ck_assert_uint_le(rig_status(&rig).updates_sent, 7);
    ck_assert_uint_ge(rig_status(&rig).updates_sent, 4);
    rig_finish(&rig);
}
END_TEST

START_TEST(restarts_are_told_until_acknowledged)
{
    struct run_report r;

    run_restarting();
    rig_advance(&rig, 50);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    fail_and_wait(1000);
    rig_advance(&rig, 1000);
    ck_assert(rig_report(&rig, 1, &r));
    ck_assert_uint_eq(r.restarts, 1);
    rig_forget(&rig);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING); /* of before: restarts 0 */
    rig_advance(&rig, 1000);
    ck_assert(rig_report(&rig, 1, &r));
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    rig_forget(&rig);
    rig_advance(&rig, 10000);
    ck_assert(!rig_report(&rig, 1, &r));
    rig_finish(&rig);
}
END_TEST

/* ---- what comes before the command ---- */

static void add_artifact(struct job_spec *spec, const char *path)
{
    struct job_artifact *a = job_spec_add_artifact(spec);

    a->source = mem_strdup("http://127.0.0.1/x");
    a->path = mem_strdup(path);
    a->sha256 = mem_strdup(
        "0123456789abcdef0123456789abcdef"
        "0123456789abcdef0123456789abcdef");
    a->max_bytes = a->timeout_ms = 1000;
}

static void check_steps(struct job_spec *spec, const char *words)
{
    follow(spec);
    rig_launch(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_advance(&rig, 100);
    ck_assert_int_eq(report().state, TASK_STARTING);
    check_text(report().message, words);
    rig_started(&rig, 1);
    rig_advance(&rig, 100);
    ck_assert_int_eq(report().state, TASK_RUNNING);
    check_text(report().message, "");
    rig_finish(&rig);
}

START_TEST(what_is_made_ready_is_told)
{
    struct job_spec spec;

    changed(&spec);
    check_steps(&spec, "");
    add_artifact(changed(&spec), "bin/tool");
    check_steps(&spec, "fetching artifact bin/tool");
    add_artifact(changed(&spec), "a");
    add_artifact(&spec, "b");
    check_steps(&spec, "fetching 2 artifacts");
    add_artifact(changed(&spec), "a");
    spec.image.source = mem_strdup("docker://debian:12");
    check_steps(&spec, "preparing image docker://debian:12, fetching artifact a");
    changed(&spec)->image.source = mem_strdup("https://me:secret@host/x?token=secret");
    spec.image.sha256 = mem_alloc(65);
    memset(spec.image.sha256, 'a', 64);
    spec.image.sha256[64] = 0;
    check_steps(&spec, "preparing image https://host/x");
}
END_TEST

/* ---- max_runtime ---- */

static void run_limited(void)
{
    struct job_spec spec;

    changed(&spec)->max_runtime_ms = 10000;
    spec.restart = (struct job_retry){
        .attempts = JOB_UNLIMITED, .delay_ms = 1000, .max_delay_ms = 1000};
    run_it(&spec);
}

START_TEST(long_run_is_ended)
{
    run_limited();
    rig_advance(&rig, 9999);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    rig_advance(&rig, 1);
    rig_durable(&rig);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 0)->signal, RUN_SIGNAL_TERM);
    rig_advance(&rig, GRACE_MS);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 1)->signal, RUN_SIGNAL_KILL);
    rig_ended(&rig, 1, RUN_END_EXITED, 0); /* whatever it says */
    check_durable_end(TASK_FAILED, TASK_REASON_MAX_RUNTIME, 0);
    check_text(report().message,
               "ended because it ran longer than its max_runtime of 10s");
    rig_advance(&rig, 60000);
    ck_assert_uint_eq(starts(), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(runtime_counts_from_the_slot)
{
    struct agent_event event = {.kind = AGENT_RUN_STARTED,
                                .run_started = {.attempt = 1}};

    run_limited();
    event.run_started.since_ms = rig.now_ms;
    rig_restart(&rig);
    rig.now_ms += 20000;
    rig_step(&rig, &event);
    rig_advance(&rig, 0);
    rig_durable(&rig);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 0)->signal, RUN_SIGNAL_TERM);
    rig_finish(&rig);
}
END_TEST

START_TEST(runtime_is_why_over_a_restart)
{
    run_limited();
    rig_advance(&rig, 10000);
    rig_durable(&rig);
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 15);
    rig_follow(&rig, 0, 2);
    check_durable_end(TASK_FAILED, TASK_REASON_MAX_RUNTIME, 143);
    rig_finish(&rig);
}
END_TEST

START_TEST(order_replaces_the_reason)
{
    run_limited();
    rig_advance(&rig, 10000);
    rig_durable(&rig);
    rig_stop(&rig, 0, 1, 1);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 15);
    check_durable_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 143);
    rig_finish(&rig);
}
END_TEST

START_TEST(what_ended_in_time_did_not_run_too_long)
{
    run_limited();
    rig.now_ms += 60000; /* nobody looked meanwhile */
    rig_ended(&rig, 1, RUN_END_EXITED, 0);
    check_durable_end(TASK_FINISHED, TASK_REASON_EXITED, 0);
    rig_finish(&rig);
}
END_TEST

/* Each start has its own time. */
START_TEST(runtime_begins_with_each_start)
{
    run_limited();
    rig_advance(&rig, 8000);
    fail_and_wait(1000);
    rig_advance(&rig, 9999);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    rig_advance(&rig, 1);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("restarts",
          unit_case("restarts",
                    failure_is_started_again,
                    delay_doubles_until_attempts_are_used_up,
                    count_begins_again_after_the_interval,
                    unlimited_goes_on,
                    only_failures_are_started_again,
                    failure_is_durable_before_the_next_start,
                    stop_ends_the_wait,
                    stopped_run_is_not_started_again,
                    failure_without_the_agent_counts,
                    failure_counts_once_over_a_restart,
                    final_failure_is_durable_before_it_is_told,
                    stop_of_a_wait_outlives_the_agent,
                    failures_do_not_flood,
                    restarts_are_told_until_acknowledged),
          unit_case("steps", what_is_made_ready_is_told),
          unit_case("max_runtime",
                    long_run_is_ended,
                    runtime_counts_from_the_slot,
                    runtime_is_why_over_a_restart,
                    order_replaces_the_reason,
                    what_ended_in_time_did_not_run_too_long,
                    runtime_begins_with_each_start))
