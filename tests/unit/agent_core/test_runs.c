/* test_runs.c - the life of a run, row by row (docs/spec/6-agent.md). */
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent_core/rig.h"
#include "wire/job.h"

#include <stdio.h>
#include <string.h>

#define MANY 5000

/* What the last report said; it must be there. */
static struct run_report reported(struct rig *rig, uint64_t attempt)
{
    struct run_report report = {0};

    rig_advance(rig, 50);
    ck_assert(rig_report(rig, attempt, &report));
    return report;
}

static void check_end(struct rig *rig,
                      uint64_t attempt,
                      enum task_state state,
                      enum task_reason reason,
                      int exit_code)
{
    struct run_report report = reported(rig, attempt);

    ck_assert_int_eq(report.state, state);
    ck_assert_int_eq(report.reason, reason);
    ck_assert_int_eq(report.exit_code, exit_code);
    ck_assert_uint_eq(rig_status(rig).ended, 1);
}

/* Run 1 in a phase: how it came there. */
enum phase { NEW, PAST, RECORDED, STARTING, RUNNING, STOPPING_EARLY, STOPPING, ENDED };

static void bring_to(struct rig *rig, enum phase phase)
{
    rig_init(rig);
    rig_follow(rig, 0, 1);
    if (phase == NEW)
        return;
    if (phase == PAST) {
        rig_launch(rig, 0, 1, 2);
        rig_durable(rig);
        return;
    }
    rig_launch(rig, 0, 1, 1);
    if (phase == RECORDED)
        return;
    rig_durable(rig);
    if (phase == STARTING)
        return;
    if (phase == STOPPING_EARLY) {
        rig_stop(rig, 0, 1, 1);
        rig_durable(rig);
        return;
    }
    rig_started(rig, 1);
    if (phase == STOPPING) {
        rig_stop(rig, 0, 1, 1);
        rig_durable(rig);
    }
    if (phase == ENDED)
        rig_ended(rig, 1, RUN_END_EXITED, 0);
}

/* ---- rows without a run ---- */

START_TEST(new_is_started_once_its_record_is_durable)
{
    struct rig rig;

    bring_to(&rig, NEW);
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
    struct rig rig;
    struct run_report report;

    bring_to(&rig, NEW);
    rig_stop(&rig, 0, 1, 1);
    rig_advance(&rig, 100);
    ck_assert(!rig_report(&rig, 1, &report)); /* not before the fence is durable */
    rig_durable(&rig);
    check_end(&rig, 1, TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_launch(&rig, 0, 1, 1); /* late */
    rig_ack(&rig, 0, 1, 1, TASK_KILLED);
    rig_launch(&rig, 0, 1, 1); /* later still */
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 0);
    check_end(&rig, 1, TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0);
    rig_restart(&rig);
    rig_follow(&rig, 0, 2);
    rig_launch(&rig, 0, 2, 1); /* the fence outlives the agent */
    check_end(&rig, 1, TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(past_is_refused)
{
    struct rig rig;

    bring_to(&rig, PAST);
    rig_launch(&rig, 0, 1, 1);
    rig_durable(&rig);
    check_end(&rig, 1, TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 1); /* of 2 */
    rig_finish(&rig);

    bring_to(&rig, PAST);
    rig_stop(&rig, 0, 1, 1);
    check_end(&rig, 1, TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0);
    rig_finish(&rig);
}
END_TEST

/* ---- rows of a run ---- */

START_TEST(launch_of_a_known_run_is_ignored)
{
    for (enum phase phase = RECORDED; phase <= ENDED; phase++) {
        struct rig rig;
        struct agent_status before;
        size_t starts;

        bring_to(&rig, phase);
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
    struct rig rig;

    bring_to(&rig, RECORDED);
    rig_stop(&rig, 0, 1, 1);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 0);
    check_end(&rig, 1, TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(start_can_fail)
{
    struct rig rig;

    bring_to(&rig, STARTING);
    rig_ended(&rig, 1, RUN_END_NOT_STARTED, 0);
    check_end(&rig, 1, TASK_ERROR, TASK_REASON_NOT_STARTED, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(making_ready_can_fail)
{
    struct rig rig;

    bring_to(&rig, STARTING);
    rig_ended(&rig, 1, RUN_END_FETCH_FAILED, 0);
    check_end(&rig, 1, TASK_FAILED, TASK_REASON_FETCH_FAILED, 0);
    rig_finish(&rig);

    bring_to(&rig, STARTING);
    rig_ended(&rig, 1, RUN_END_IMAGE_FAILED, 0);
    check_end(&rig, 1, TASK_FAILED, TASK_REASON_IMAGE_FAILED, 0);
    rig_finish(&rig);

    bring_to(&rig, STOPPING_EARLY);
    rig_ended(&rig, 1, RUN_END_FETCH_FAILED, 0);
    check_end(&rig, 1, TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(message_of_the_launcher_is_told)
{
    struct rig rig;
    struct run_report report;
    struct agent_event event = {
        .kind = AGENT_RUN_ENDED,
        .run_ended = {.attempt = 1, .how = RUN_END_NOT_STARTED, .message = "no foo"},
    };

    bring_to(&rig, STARTING);
    rig_step(&rig, &event);
    report = reported(&rig, 1);
    ck_assert_uint_eq(report.message.size, 6);
    ck_assert_int_eq(memcmp(report.message.data, "no foo", 6), 0);
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
    };

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct rig rig;

        bring_to(&rig, RUNNING);
        rig_ended(&rig, 1, ends[i].how, ends[i].code);
        check_end(&rig, 1, ends[i].state, ends[i].reason, ends[i].exit_code);
        rig_finish(&rig);
    }
}
END_TEST

START_TEST(stop_is_term_grace_kill)
{
    struct rig rig;

    bring_to(&rig, RUNNING);
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
    check_end(&rig, 1, TASK_KILLED, TASK_REASON_KILLED_BY_USER, 137);
    rig_advance(&rig, 60000);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 3);
    rig_finish(&rig);
}
END_TEST

START_TEST(replaced_run_is_said_once)
{
    struct rig rig;

    bring_to(&rig, RUNNING);
    rig_stop(&rig, 0, 1, 1);
    ck_assert_uint_eq(rig.warnings, 0); /* somebody wanted it */
    rig_finish(&rig);

    bring_to(&rig, RUNNING);
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
    struct rig rig;

    bring_to(&rig, STOPPING_EARLY);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 0)->signal, RUN_SIGNAL_CANCEL);
    rig_advance(&rig, 10000);
    rig_started(&rig, 1); /* it was too late for that */
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 1)->signal, RUN_SIGNAL_TERM);
    rig_ended(&rig, 1, RUN_END_EXITED, 0);
    check_end(&rig, 1, TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_finish(&rig);

    bring_to(&rig, STOPPING_EARLY);
    rig_ended(&rig, 1, RUN_END_NOT_STARTED, 0);
    check_end(&rig, 1, TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(what_nobody_saw_end_is_lost_although_stopped)
{
    struct rig rig;

    bring_to(&rig, STOPPING);
    rig_ended(&rig, 1, RUN_END_SHIM_LOST, 0);
    check_end(&rig, 1, TASK_LOST, TASK_REASON_SHIM_LOST, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(no_grace_is_kill_at_once)
{
    struct job_spec spec;
    struct rig rig;
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

START_TEST(end_is_final)
{
    struct rig rig;

    bring_to(&rig, ENDED);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 9);
    rig_started(&rig, 1);
    rig_stop(&rig, 0, 1, 1);
    rig_launch(&rig, 0, 1, 1);
    check_end(&rig, 1, TASK_FINISHED, TASK_REASON_EXITED, 0);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(acknowledged_end_is_forgotten)
{
    enum task_state state;
    struct rig rig;

    bring_to(&rig, ENDED);
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
    struct rig rig;

    bring_to(&rig, RUNNING);
    rig_ack(&rig, 0, 1, 1, TASK_LOST);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    rig_ack(&rig, 0, 1, 99, TASK_FINISHED); /* nobody's */
    ck_assert_uint_eq(rig_status(&rig).running, 1);
    rig_finish(&rig);
}
END_TEST

/* ---- restarts ---- */

START_TEST(recorded_but_not_durable_was_never_accepted)
{
    struct rig rig;

    bring_to(&rig, RECORDED);
    rig_restart(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_ADOPT_RUN), 0);
    rig_follow(&rig, 0, 2);
    rig_launch(&rig, 0, 2, 1); /* so it is launched after all, once */
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(durable_runs_are_adopted_not_started)
{
    struct rig rig;

    bring_to(&rig, RUNNING);
    rig_restart(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 0);
    ck_assert_uint_eq(rig_done(&rig, AGENT_ADOPT_RUN, 0)->attempt, 1);
    rig_started(&rig, 1);
    rig_follow(&rig, 0, 2);
    rig_launch(&rig, 0, 2, 1);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 0);
    ck_assert_uint_eq(rig_status(&rig).running, 1);
    ck_assert_int_eq(reported(&rig, 1).state, TASK_RUNNING);
    rig_stop(&rig, 0, 2, 1); /* its grace is known from the checkpoint */
    rig_durable(&rig);
    rig_advance(&rig, 2999);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    rig_advance(&rig, 1);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 2);
    rig_finish(&rig);
}
END_TEST

START_TEST(run_that_vanished_is_lost)
{
    struct rig rig;

    bring_to(&rig, RUNNING);
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_VANISHED, 0);
    rig_follow(&rig, 0, 2);
    check_end(&rig, 1, TASK_LOST, TASK_REASON_AGENT_RESTARTED, 0);
    rig_finish(&rig);
}
END_TEST

/* What ends while the agent is away was told to end all the same. */
START_TEST(stop_outlives_the_agent)
{
    struct rig rig;

    bring_to(&rig, RUNNING);
    rig_stop(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 15);
    rig_follow(&rig, 0, 2);
    check_end(&rig, 1, TASK_KILLED, TASK_REASON_KILLED_BY_USER, 143);
    rig_finish(&rig);
}
END_TEST

/* It would be told as a task that failed by itself. */
START_TEST(no_signal_before_it_is_durable_why)
{
    struct rig rig;

    bring_to(&rig, RUNNING);
    rig_stop(&rig, 0, 1, 1);
    rig_advance(&rig, 60000);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    ck_assert_uint_eq(rig_status(&rig).stopping, 1);
    rig_restart(&rig); /* the order is as if it had never come */
    rig_started(&rig, 1);
    rig_follow(&rig, 0, 2);
    ck_assert_uint_eq(rig_status(&rig).running, 1);
    rig_stop(&rig, 0, 2, 1);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    rig_finish(&rig);

    bring_to(&rig, STARTING);
    rig_stop(&rig, 0, 1, 1);
    rig_started(&rig, 1);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 0)->signal, RUN_SIGNAL_TERM);
    rig_finish(&rig);
}
END_TEST

START_TEST(stopped_run_is_signaled_again)
{
    struct rig rig;

    bring_to(&rig, RUNNING);
    rig_stop(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_restart(&rig);
    rig_forget(&rig);
    rig_started(&rig, 1);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 0)->signal, RUN_SIGNAL_TERM);
    rig_advance(&rig, 3000);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 1)->signal, RUN_SIGNAL_KILL);
    rig_finish(&rig);
}
END_TEST

START_TEST(unacknowledged_end_outlives_the_agent)
{
    struct rig rig;

    bring_to(&rig, ENDED);
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_EXITED, 0); /* its slot says so */
    rig_follow(&rig, 0, 2);
    check_end(&rig, 1, TASK_FINISHED, TASK_REASON_EXITED, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(damaged_checkpoint_stops_the_agent)
{
    struct rig rig;

    bring_to(&rig, RUNNING);
    ((uint8_t *)(uintptr_t)rig.kept[0].value.data)[0] = 0xc1;
    rig_restart(&rig);
    ck_assert_int_ne(rig.fatal.code, ERROR_NONE);
    rig_finish(&rig);
}
END_TEST

/* ---- updates ---- */

START_TEST(short_task_is_one_update)
{
    struct rig rig;

    bring_to(&rig, RUNNING);
    rig_ended(&rig, 1, RUN_END_EXITED, 0);
    rig_advance(&rig, 0);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_UPDATE), 1);
    ck_assert_uint_eq(rig_status(&rig).updates_sent, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(lasting_state_is_told)
{
    struct rig rig;
    struct run_report report;

    bring_to(&rig, RUNNING);
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
    struct rig rig;

    bring_to(&rig, ENDED);
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
    struct rig rig;
    struct run_report report;

    bring_to(&rig, ENDED);
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
    struct rig rig;
    struct run_report report;

    bring_to(&rig, RUNNING);
    rig_close(&rig, 0);
    rig_ended(&rig, 1, RUN_END_EXITED, 0);
    rig_advance(&rig, 60000);
    ck_assert(!rig_report(&rig, 1, &report));
    rig_finish(&rig);
}
END_TEST

START_TEST(many_runs)
{
    struct rig rig;
    struct launch *launches = mem_zalloc(MANY * sizeof(*launches));
    struct buffer frame = {0};
    uint64_t digest = 0;
    uint32_t packed = 0;

    bring_to(&rig, NEW);
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

START_TEST(runs_have_a_limit)
{
    struct rig rig;

    bring_to(&rig, NEW);
    for (uint64_t attempt = 1; attempt <= LIMIT_AGENT_RUNS; attempt++)
        rig_stop(&rig, 0, 1, attempt);
    rig_launch(&rig, 0, 1, LIMIT_AGENT_RUNS + 1);
    ck_assert_uint_eq(rig_status(&rig).launches_accepted, 0);
    ck_assert_uint_eq(rig_status(&rig).attempts_refused, 1);
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
                    end_is_final,
                    acknowledged_end_is_forgotten,
                    acks_of_live_runs_forget_nothing),
          unit_case("restarts",
                    recorded_but_not_durable_was_never_accepted,
                    durable_runs_are_adopted_not_started,
                    run_that_vanished_is_lost,
                    stop_outlives_the_agent,
                    no_signal_before_it_is_durable_why,
                    stopped_run_is_signaled_again,
                    unacknowledged_end_outlives_the_agent,
                    damaged_checkpoint_stops_the_agent),
          unit_case("updates",
                    short_task_is_one_update,
                    lasting_state_is_told,
                    updates_repeat_until_acknowledged,
                    new_leader_is_told_at_once,
                    nothing_is_told_without_a_leader,
                    many_runs))
