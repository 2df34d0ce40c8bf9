/* test_updates.c - what the leader is told, and when (docs/spec/6-agent.md). */
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent_core/one_run.h"

#define MANY 5000

START_TEST(short_task_is_one_update)
{
    bring_to(RUNNING);
    rig_ended(&rig, 1, RUN_END_EXITED, 0);
    rig_advance(&rig, 0);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_UPDATE), 1);
    ck_assert_uint_eq(rig_status(&rig).updates_sent, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(lasting_state_is_told)
{
    struct run_report report;

    bring_to(RUNNING);
    rig_advance(&rig, 49);
    ck_assert(!rig_report(&rig, 1, &report));
    rig_advance(&rig, 1);
    ck_assert(rig_report(&rig, 1, &report));
    ck_assert_int_eq(report.state, TASK_RUNNING);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    rig_forget(&rig);
    rig_advance(&rig, 10000);
    ck_assert(!rig_report(&rig, 1, &report));
    rig_finish(&rig);
}
END_TEST

START_TEST(updates_repeat_until_acknowledged)
{
    bring_to(ENDED);
    rig_advance(&rig, 3500);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_UPDATE), 4);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING); /* late, of an older state */
    rig_advance(&rig, 1000);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_UPDATE), 5);
    rig_ack(&rig, 0, 1, 1, TASK_FINISHED);
    rig_advance(&rig, 5000);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_UPDATE), 5);
    rig_finish(&rig);
}
END_TEST

START_TEST(new_leader_is_told_at_once)
{
    struct run_report report;

    bring_to(ENDED);
    rig_advance(&rig, 10);
    rig_forget(&rig);
    rig_follow(&rig, 1, 2);
    rig_advance(&rig, 0);
    ck_assert_uint_eq(rig_sent_count(&rig, 1, METHOD_UPDATE), 1);
    ck_assert(rig_report(&rig, 1, &report));
    rig_finish(&rig);
}
END_TEST

START_TEST(nothing_is_told_without_a_leader)
{
    struct run_report report;

    bring_to(RUNNING);
    rig_close(&rig, 0);
    rig_ended(&rig, 1, RUN_END_EXITED, 0);
    rig_advance(&rig, 60000);
    ck_assert(!rig_report(&rig, 1, &report));
    rig_finish(&rig);
}
END_TEST

START_TEST(many_runs)
{
    struct launch *launches = mem_zalloc(MANY * sizeof(*launches));
    struct buffer frame = {0};
    uint64_t digest = 0;
    uint32_t packed = 0;

    bring_to(NEW);
    for (uint32_t i = 0; i < MANY; i++)
        launches[i] = (struct launch){.attempt = i + 1,
                                      .job = 1,
                                      .instance = i,
                                      .number = 1,
                                      .spec = buffer_view(&rig.spec)};
    while (packed < MANY) {
        packed += launch_pack(1, &launches[packed], MANY - packed, &frame);
        rig_frame(&rig, 0, &frame);
    }
    mem_free(launches);
    ck_assert_uint_eq(rig_status(&rig).recorded, MANY);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), MANY);
    rig_forget(&rig);
    for (uint64_t attempt = MANY; attempt > 0; attempt--) {
        rig_started(&rig, attempt);
        if (attempt % 2 == 0)
            rig_ended(&rig, attempt, RUN_END_EXITED, 0);
        digest += run_digest(attempt, attempt % 2 == 0 ? TASK_FINISHED : TASK_RUNNING);
    }
    ck_assert_uint_eq(rig_status(&rig).digest, digest);
    rig_advance(&rig, 50);
    ck_assert_uint_eq(rig_status(&rig).updates_sent, MANY);
    ck_assert_uint_le(rig_sent_count(&rig, 0, METHOD_UPDATE), MANY / LIMIT_UPDATES + 2);
    rig_restart(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_ADOPT_RUN), MANY);
    rig_finish(&rig);
}
END_TEST

/* A leader of a higher term asks for all runs.  Its term was durable before, so everything
 * is but what happened since. */
static void ask_for_runs(void)
{
    rig_open(&rig, 1, NULL);
    rig_leading(&rig, 1, 2);
    rig_forget(&rig);
    rig_durable(&rig);
}

static void answer_runs(void)
{
    struct buffer frame = {0};
    size_t begin = rpc_begin_result(&frame, rig_sent(&rig, 1, METHOD_RUNS, 0)->rpc.id);

    pack_array(&frame, 0);
    rpc_end(&frame, begin);
    rig_frame(&rig, 1, &frame);
    ck_assert(rig_status(&rig).registered);
}

static struct run_report told_of_all(void)
{
    struct run_report r = {0};

    rig_registered(&rig, 1, true);
    ck_assert_uint_eq(rig_sent_count(&rig, 1, METHOD_RUNS), 1);
    ck_assert(rig_report(&rig, 1, &r));
    answer_runs();
    return r;
}

static void recorded_with_restarts(void)
{
    struct job_spec spec;

    changed(&spec)->restart = (struct job_retry){
        .attempts = 3, .interval_ms = 60000, .delay_ms = 1000, .max_delay_ms = 3000};
    follow(&spec);
    rig_launch(&rig, 0, 1, 1);
}

START_TEST(run_that_never_started_was_never_running)
{
    struct run_report r;

    recorded_with_restarts();
    rig_durable(&rig);
    ask_for_runs();
    rig_ended(&rig, 1, RUN_END_FETCH_FAILED, 0);
    r = told_of_all();
    ck_assert_int_eq(r.state, TASK_STARTING); /* that it is over is not durable */
    check_durable_end(TASK_FAILED, TASK_REASON_FETCH_FAILED, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(run_stopped_before_its_start_was_never_running)
{
    struct job_spec spec;

    changed(&spec)->stop_after_ms = 10000; /* it waits for a lease */
    spec.restart =
        (struct job_retry){.attempts = 1, .delay_ms = 1000, .max_delay_ms = 1000};
    follow(&spec);
    rig_launch(&rig, 0, 1, 1);
    rig_durable(&rig);
    ask_for_runs();
    rig_stop(&rig, 1, 2, 1);
    ck_assert_int_eq(told_of_all().state, TASK_STARTING);
    check_durable_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_finish(&rig);
}
END_TEST

/* An agent that dies now knows nothing of it: its leader must be free to launch it again. */
START_TEST(nothing_is_told_that_is_not_durable)
{
    bring_to(NEW);
    ask_for_runs();
    rig_launch(&rig, 1, 2, 1);
    ck_assert_int_eq(told_of_all().state, TASK_STAGING);
    rig_durable(&rig);
    ck_assert_int_eq(report().state, TASK_STARTING);
    rig_finish(&rig);

    bring_to(NEW);
    ask_for_runs();
    rig_stop(&rig, 1, 2, 1);
    ck_assert_int_eq(told_of_all().state, TASK_STAGING);
    check_durable_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_finish(&rig);
}
END_TEST

/* It ended while it was not durable yet that it was told to. */
START_TEST(end_waits_for_its_cause)
{
    bring_to(RUNNING);
    rig_advance(&rig, 50);
    rig_stop(&rig, 0, 1, 1);
    rig_ended(&rig, 1, RUN_END_EXITED, 1);
    rig_advance(&rig, 2000); /* RUNNING is repeated */
    ck_assert_int_eq(report().state, TASK_RUNNING);
    check_durable_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 1);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("updates",
          unit_case("updates",
                    short_task_is_one_update,
                    lasting_state_is_told,
                    updates_repeat_until_acknowledged,
                    new_leader_is_told_at_once,
                    nothing_is_told_without_a_leader,
                    many_runs,
                    run_that_never_started_was_never_running,
                    run_stopped_before_its_start_was_never_running,
                    nothing_is_told_that_is_not_durable,
                    end_waits_for_its_cause))
