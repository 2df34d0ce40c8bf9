/* test_runs.c - the life of a run, row by row (docs/spec/6-agent.md). */
#include "tests/lib/unit.h"
#include "tests/unit/agent_core/one_run.h"

#include <string.h>

/* ---- orders ---- */

START_TEST(new_is_started_once_its_record_is_durable)
{
    bring_to(NEW);
    rig_launch(&rig, 0, 1, 1);
    ck_assert_uint_eq(rig_status(&rig).recorded, 1);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 0);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 1);
    ck_assert_uint_eq(rig_done(&rig, AGENT_START_RUN, 0)->attempt, 1);
    ck_assert_uint_eq(rig_status(&rig).starting, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(stop_of_new_is_killed_and_never_started)
{
    struct run_report report;

    bring_to(NEW);
    rig_stop(&rig, 0, 1, 1);
    rig_advance(&rig, 100);
    ck_assert(!rig_report(&rig, 1, &report)); /* not before the fence is durable */
    rig_durable(&rig);
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_launch(&rig, 0, 1, 1); /* late */
    rig_ack(&rig, 0, 1, 1, TASK_KILLED);
    rig_launch(&rig, 0, 1, 1); /* later still */
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 0);
    check_end(TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0);
    rig_restart(&rig);
    rig_follow(&rig, 0, 2);
    rig_launch(&rig, 0, 2, 1); /* the fence outlives the agent */
    check_end(TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(past_is_refused)
{
    bring_to(PAST);
    rig_launch(&rig, 0, 1, 1);
    rig_durable(&rig);
    check_end(TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 1); /* of 2 */
    rig_finish(&rig);

    bring_to(PAST);
    rig_stop(&rig, 0, 1, 1);
    check_end(TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(launch_of_a_known_run_is_ignored)
{
    for (enum phase phase = RECORDED; phase <= ENDED; phase++) {
        struct agent_status before;
        size_t starts;

        bring_to(phase);
        before = rig_status(&rig);
        starts = rig_count(&rig, AGENT_START_RUN);
        rig_launch(&rig, 0, 1, 1);
        ck_assert_uint_eq(rig_status(&rig).digest, before.digest);
        ck_assert_uint_eq(rig_status(&rig).launches_accepted, 1);
        ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), starts);
        rig_finish(&rig);
    }
}
END_TEST

START_TEST(stop_of_recorded_is_never_started)
{
    bring_to(RECORDED);
    rig_stop(&rig, 0, 1, 1);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 0);
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(stop_is_term_grace_kill)
{
    bring_to(RUNNING);
    rig_stop(&rig, 0, 1, 1);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 0)->signal, RUN_SIGNAL_TERM);
    rig_stop(&rig, 0, 1, 1); /* repeated: the grace goes on */
    rig_advance(&rig, 2999);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    rig_advance(&rig, 1);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 2);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 1)->signal, RUN_SIGNAL_KILL);
    rig_advance(&rig, 10000);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 3);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 9);
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 137);
    rig_advance(&rig, 60000);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 3);
    rig_finish(&rig);
}
END_TEST

START_TEST(replaced_run_is_said_once)
{
    bring_to(RUNNING);
    rig_stop(&rig, 0, 1, 1);
    ck_assert_uint_eq(rig.warnings, 0); /* somebody wanted it */
    rig_finish(&rig);

    bring_to(RUNNING);
    rig.superseded = true;
    rig_stop(&rig, 0, 1, 9); /* it was never here */
    ck_assert_uint_eq(rig.warnings, 0);
    rig_stop(&rig, 0, 1, 1);
    rig_stop(&rig, 0, 1, 1);
    rig_durable(&rig);
    ck_assert_uint_eq(rig.warnings, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(stop_while_starting_waits_for_the_start)
{
    bring_to(STOPPING_EARLY);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 0)->signal, RUN_SIGNAL_CANCEL);
    rig_advance(&rig, 10000);
    rig_started(&rig, 1); /* it was too late for that */
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 1)->signal, RUN_SIGNAL_TERM);
    rig_ended(&rig, 1, RUN_END_EXITED, 0);
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_finish(&rig);

    bring_to(STOPPING_EARLY);
    rig_ended(&rig, 1, RUN_END_NOT_STARTED, 0);
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(no_grace_is_kill_at_once)
{
    struct job_spec spec;
    struct error err;

    rig_init(&rig);
    ck_assert_int_eq(job_spec_unpack(&spec, buffer_view(&rig.spec), &err), 0);
    spec.kill_grace_ms = 0;
    buffer_clear(&rig.spec);
    job_spec_pack(&spec, &rig.spec);
    job_spec_finish(&spec);
    rig_follow(&rig, 0, 1);
    rig_launch(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_started(&rig, 1);
    rig_stop(&rig, 0, 1, 1);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 0)->signal, RUN_SIGNAL_KILL);
    rig_finish(&rig);
}
END_TEST

START_TEST(runs_have_a_limit)
{
    bring_to(NEW);
    for (uint64_t attempt = 1; attempt <= LIMIT_AGENT_RUNS; attempt++)
        rig_stop(&rig, 0, 1, attempt);
    rig_launch(&rig, 0, 1, LIMIT_AGENT_RUNS + 1);
    ck_assert_uint_eq(rig_status(&rig).launches_accepted, 0);
    ck_assert_uint_eq(rig_status(&rig).attempts_refused, 1);
    rig_finish(&rig);
}
END_TEST

/* ---- ends ---- */

START_TEST(start_can_fail)
{
    bring_to(STARTING);
    rig_ended(&rig, 1, RUN_END_NOT_STARTED, 0);
    check_end(TASK_ERROR, TASK_REASON_NOT_STARTED, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(making_ready_can_fail)
{
    bring_to(STARTING);
    rig_ended(&rig, 1, RUN_END_FETCH_FAILED, 0);
    check_end(TASK_FAILED, TASK_REASON_FETCH_FAILED, 0);
    rig_finish(&rig);

    bring_to(STARTING);
    rig_ended(&rig, 1, RUN_END_IMAGE_FAILED, 0);
    check_end(TASK_FAILED, TASK_REASON_IMAGE_FAILED, 0);
    rig_finish(&rig);

    bring_to(STOPPING_EARLY);
    rig_ended(&rig, 1, RUN_END_FETCH_FAILED, 0);
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(message_of_the_launcher_is_told)
{
    struct run_report r;
    struct agent_event event = {
        .kind = AGENT_RUN_ENDED,
        .run_ended = {.attempt = 1, .how = RUN_END_NOT_STARTED, .message = "no foo"},
    };

    bring_to(STARTING);
    rig_step(&rig, &event);
    r = report();
    ck_assert_uint_eq(r.message.size, 6);
    ck_assert_int_eq(memcmp(r.message.data, "no foo", 6), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(ends_of_a_running_task)
{
    static const struct {
        enum run_end how;
        int code;
        enum task_state state;
        enum task_reason reason;
        int exit_code;
    } ends[] = {
        {RUN_END_EXITED, 0, TASK_FINISHED, TASK_REASON_EXITED, 0},
        {RUN_END_EXITED, 3, TASK_FAILED, TASK_REASON_EXITED, 3},
        {RUN_END_SIGNALED, 9, TASK_FAILED, TASK_REASON_SIGNALED, 137},
        {RUN_END_SHIM_LOST, 0, TASK_LOST, TASK_REASON_SHIM_LOST, 0},
        {RUN_END_VANISHED, 0, TASK_LOST, TASK_REASON_AGENT_RESTARTED, 0},
        {RUN_END_MEMORY, 15, TASK_FAILED, TASK_REASON_MEMORY_LIMIT, 137},
        {RUN_END_DISK, 9, TASK_FAILED, TASK_REASON_DISK_LIMIT, 137},
        {RUN_END_LEASE, 15, TASK_LOST, TASK_REASON_LEASE_EXPIRED, 143},
        {RUN_END_NO_USER, 0, TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0},
        {RUN_END_SHUTDOWN, 15, TASK_LOST, TASK_REASON_AGENT_RESTARTED, 143},
    };

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        bring_to(RUNNING);
        rig_ended(&rig, 1, ends[i].how, ends[i].code);
        check_end(ends[i].state, ends[i].reason, ends[i].exit_code);
        rig_finish(&rig);
    }
}
END_TEST

START_TEST(what_nobody_saw_end_is_lost_although_stopped)
{
    bring_to(STOPPING);
    rig_ended(&rig, 1, RUN_END_SHIM_LOST, 0);
    check_end(TASK_LOST, TASK_REASON_SHIM_LOST, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(stopped_before_its_host_was)
{
    bring_to(STOPPING);
    rig_ended(&rig, 1, RUN_END_SHUTDOWN, 15);
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 143);
    rig_finish(&rig);
}
END_TEST

START_TEST(end_is_final)
{
    bring_to(ENDED);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 9);
    rig_started(&rig, 1);
    rig_stop(&rig, 0, 1, 1);
    rig_launch(&rig, 0, 1, 1);
    check_end(TASK_FINISHED, TASK_REASON_EXITED, 0);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(acknowledged_end_is_forgotten)
{
    enum task_state state;
    bring_to(ENDED);
    rig_advance(&rig, 0);
    ck_assert(agent_core_run_state(rig.core, 1, &state));
    ck_assert_int_eq(state, TASK_FINISHED);
    rig_ack(&rig, 0, 1, 1, TASK_FINISHED);
    ck_assert(!agent_core_run_state(rig.core, 1, &state));
    ck_assert_uint_eq(rig_status(&rig).ended, 0);
    ck_assert_uint_eq(rig_status(&rig).digest, 0);
    ck_assert_uint_eq(rig_done(&rig, AGENT_FORGET_RUN, 0)->attempt, 1);
    rig_durable(&rig);
    rig_restart(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_ADOPT_RUN), 0);
    ck_assert_uint_eq(rig_status(&rig).highest_attempt, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(acks_of_live_runs_forget_nothing)
{
    bring_to(RUNNING);
    rig_ack(&rig, 0, 1, 1, TASK_LOST);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    rig_ack(&rig, 0, 1, 99, TASK_FINISHED); /* nobody's */
    ck_assert_uint_eq(rig_status(&rig).running, 1);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("runs",
          unit_case("orders",
                    new_is_started_once_its_record_is_durable,
                    stop_of_new_is_killed_and_never_started,
                    past_is_refused,
                    launch_of_a_known_run_is_ignored,
                    stop_of_recorded_is_never_started,
                    stop_is_term_grace_kill,
                    replaced_run_is_said_once,
                    stop_while_starting_waits_for_the_start,
                    no_grace_is_kill_at_once,
                    runs_have_a_limit),
          unit_case("ends",
                    start_can_fail,
                    making_ready_can_fail,
                    message_of_the_launcher_is_told,
                    ends_of_a_running_task,
                    what_nobody_saw_end_is_lost_although_stopped,
                    stopped_before_its_host_was,
                    end_is_final,
                    acknowledged_end_is_forgotten,
                    acks_of_live_runs_forget_nothing))
