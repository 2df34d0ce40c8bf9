/* test_adopted.c - runs over a restart of the agent (docs/spec/6-agent.md). */
#include "tests/lib/unit.h"
#include "tests/unit/agent_core/one_run.h"

START_TEST(recorded_but_not_durable_was_never_accepted)
{
    bring_to(RECORDED);
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
    bring_to(RUNNING);
    rig_restart(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 0);
    ck_assert_uint_eq(rig_done(&rig, AGENT_ADOPT_RUN, 0)->attempt, 1);
    rig_started(&rig, 1);
    rig_follow(&rig, 0, 2);
    rig_launch(&rig, 0, 2, 1);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), 0);
    ck_assert_uint_eq(rig_status(&rig).running, 1);
    ck_assert_int_eq(report().state, TASK_RUNNING);
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
    bring_to(RUNNING);
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_VANISHED, 0);
    rig_follow(&rig, 0, 2);
    check_end(TASK_LOST, TASK_REASON_AGENT_RESTARTED, 0);
    rig_finish(&rig);
}
END_TEST

/* What ends while the agent is away was told to end all the same. */
START_TEST(stop_outlives_the_agent)
{
    bring_to(RUNNING);
    rig_stop(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 15);
    rig_follow(&rig, 0, 2);
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 143);
    rig_finish(&rig);
}
END_TEST

/* It would be told as a task that failed by itself. */
START_TEST(no_signal_before_it_is_durable_why)
{
    bring_to(RUNNING);
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

    bring_to(STARTING);
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
    bring_to(RUNNING);
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
    bring_to(ENDED);
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_EXITED, 0); /* its slot says so */
    rig_follow(&rig, 0, 2);
    check_end(TASK_FINISHED, TASK_REASON_EXITED, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(damaged_checkpoint_stops_the_agent)
{
    bring_to(RUNNING);
    ((uint8_t *)(uintptr_t)rig.kept[0].value.data)[0] = 0xc1;
    rig_restart(&rig);
    ck_assert_int_ne(rig.fatal.code, ERROR_NONE);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("adopted",
          unit_case("restarts",
                    recorded_but_not_durable_was_never_accepted,
                    durable_runs_are_adopted_not_started,
                    run_that_vanished_is_lost,
                    stop_outlives_the_agent,
                    no_signal_before_it_is_durable_why,
                    stopped_run_is_signaled_again,
                    unacknowledged_end_outlives_the_agent,
                    damaged_checkpoint_stops_the_agent))
