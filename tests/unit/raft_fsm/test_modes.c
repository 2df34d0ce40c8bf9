/* test_modes.c - docs/spec/3-task-states.md: agents that are cordoned, drained and free
 * again. */
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

static struct fsm f;

/* Two agents with 4 cpus, and job 1 with 3 tasks of one cpu, the first two on agent 1. */
static void setup(void)
{
    fsm_setup(&f);
    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_register(&f, 'b', 4), 2);
    ck_done(fsm_submit(&f, "k", 3), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_place(&f, 1, 1, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

static const struct agent *agent(uint64_t id)
{
    return state_agent(f.state, id);
}

static const struct task *task(uint32_t instance)
{
    return job_task(state_job(f.state, 1), instance);
}

static bool is_to_end(uint64_t attempt)
{
    return attempt_is_to_end(state_attempt(f.state, attempt));
}

static void drain_now(void)
{
    ck_done(fsm_mode(&f, 1, AGENT_DRAINING, 0), 1);
    ck_done(fsm_drain_due(&f, 1), 1);
}

START_TEST(test_a_cordoned_agent_takes_no_work_and_keeps_what_runs)
{
    ck_done(fsm_mode(&f, 1, AGENT_CORDONED, 0), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_AGENT, 1), 1);
    ck_assert(!agent_takes_work(agent(1)));
    ck_done(fsm_place(&f, 1, 2, 1), 0);
    ck_assert(!is_to_end(1));
    ck_rejected(fsm_drain_due(&f, 1), ERROR_INVALID);
    ck_changes_nothing(&f, ck_done(fsm_mode(&f, 1, AGENT_CORDONED, 0), 1));
    ck_done(fsm_mode(&f, 1, AGENT_NORMAL, 0), 1);
    ck_done(fsm_place(&f, 1, 2, 1), 1);
}
END_TEST

START_TEST(test_a_mode_survives_unreachability_and_registration)
{
    ck_done(fsm_mode(&f, 1, AGENT_DRAINING, 5000), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_reregister(&f, 1, 'a', 8), 1);
    ck_assert_int_eq(agent(1)->mode, AGENT_DRAINING);
    ck_assert_uint_gt(agent(1)->drain_us, f.now_us);
    ck_done(fsm_mode(&f, 1, AGENT_CORDONED, 0), 1);
    ck_assert_uint_eq(agent(1)->drain_us, 0);
}
END_TEST

START_TEST(test_modes_need_an_agent)
{
    ck_changes_nothing(
        &f, ck_rejected(fsm_mode(&f, 9, AGENT_CORDONED, 0), ERROR_NOT_FOUND));
    ck_changes_nothing(&f, ck_rejected(fsm_drain_due(&f, 9), ERROR_NOT_FOUND));
    ck_done(fsm_gone(&f, 2), 2);
    ck_changes_nothing(
        &f, ck_rejected(fsm_mode(&f, 2, AGENT_CORDONED, 0), ERROR_NOT_FOUND));
    ck_changes_nothing(&f, ck_rejected(fsm_drain_due(&f, 2), ERROR_NOT_FOUND));
}
END_TEST

START_TEST(test_a_drain_is_due_at_its_deadline_and_not_before)
{
    ck_done(fsm_mode(&f, 1, AGENT_DRAINING, 60000), 1);
    ck_assert_uint_eq(agent(1)->drain_us, f.now_us + 60000000);
    ck_changes_nothing(&f, ck_rejected(fsm_drain_due(&f, 1), ERROR_INVALID));
    ck_assert(!is_to_end(1));
    f.now_us = agent(1)->drain_us - 1000;
    ck_done(fsm_drain_due(&f, 1), 1);
    for (uint64_t attempt = 1; attempt <= 2; attempt++) {
        ck_assert(is_to_end(attempt));
        ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, attempt), 1);
    }
    ck_changes_nothing(&f, ck_rejected(fsm_drain_due(&f, 1), ERROR_INVALID));
}
END_TEST

START_TEST(test_what_a_drain_ended_goes_on_elsewhere)
{
    drain_now();
    ck_assert_int_eq(task(0)->state, TASK_RUNNING);
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_assert_int_eq(task(0)->reason, TASK_REASON_AGENT_DRAINED);
    ck_assert_uint_eq(task(0)->started_us, 0);
    ck_assert_ptr_null(state_attempt(f.state, 1));
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    ck_assert_int_eq(task(0)->reason, TASK_REASON_NONE);
    ck_assert_uint_eq(task(0)->attempt, 2);
}
END_TEST

START_TEST(test_what_ended_by_itself_during_a_drain_has_ended)
{
    drain_now();
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_assert_int_eq(task(0)->state, TASK_FINISHED);
    ck_done(fsm_update(&f, 1, 2, TASK_FAILED), 1);
    ck_assert_int_eq(task(1)->state, TASK_FAILED);
    ck_assert_int_eq(task(1)->reason, TASK_REASON_EXITED);
}
END_TEST

START_TEST(test_a_kill_during_a_drain_stays_a_kill)
{
    drain_now();
    ck_done(fsm_kill(&f, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_KILLED), 1);
    ck_assert_int_eq(task(0)->state, TASK_KILLED);
    ck_assert_int_eq(job_state(state_job(f.state, 1)), JOB_KILLED);
}
END_TEST

START_TEST(test_uncordon_ends_a_drain_but_not_what_was_told)
{
    ck_done(fsm_mode(&f, 1, AGENT_DRAINING, 5000), 1);
    ck_done(fsm_mode(&f, 1, AGENT_NORMAL, 0), 1);
    ck_rejected(fsm_drain_due(&f, 1), ERROR_INVALID);
    ck_assert(!is_to_end(1));
    drain_now();
    ck_done(fsm_mode(&f, 1, AGENT_NORMAL, 0), 1);
    ck_assert(is_to_end(1));
    ck_done(fsm_place(&f, 1, 2, 1), 1);
    ck_assert(!is_to_end(3));
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_assert_int_eq(task(0)->reason, TASK_REASON_AGENT_DRAINED);
}
END_TEST

START_TEST(test_a_drain_may_begin_again)
{
    drain_now();
    ck_done(fsm_mode(&f, 1, AGENT_DRAINING, 5000), 1);
    ck_assert(!agent(1)->drain_due);
    ck_assert(is_to_end(1));
    f.now_us += 5000000;
    ck_done(fsm_drain_due(&f, 1), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, 1), 0);
}
END_TEST

START_TEST(test_a_kill_that_nobody_asked_for_is_repeated)
{
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_assert_int_eq(task(0)->reason, TASK_REASON_NONE);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 0); /* it had one to place */
}
END_TEST

START_TEST(test_an_agent_that_is_lost_while_it_drains)
{
    drain_now();
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_assert_int_eq(task(0)->reason, TASK_REASON_AGENT_UNREACHABLE);
    ck_assert(is_to_end(1));
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
}
END_TEST

START_TEST(test_modes_are_in_snapshots)
{
    struct buffer before = {0}, after = {0};
    struct state *s;

    ck_done(fsm_mode(&f, 2, AGENT_CORDONED, 0), 2);
    drain_now();
    fsm_snapshot(f.state, &before);
    s = fsm_restored(buffer_view(&before));
    ck_assert_int_eq(state_agent(s, 2)->mode, AGENT_CORDONED);
    ck_assert(state_agent(s, 1)->drain_due);
    ck_assert(attempt_is_to_end(state_attempt(s, 1)));
    fsm_snapshot(s, &after);
    ck_same_bytes(&before, &after);
    buffer_finish(&before);
    buffer_finish(&after);
    state_destroy(s);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("modes",
                         test_a_cordoned_agent_takes_no_work_and_keeps_what_runs,
                         test_a_mode_survives_unreachability_and_registration,
                         test_modes_need_an_agent,
                         test_a_drain_is_due_at_its_deadline_and_not_before,
                         test_what_a_drain_ended_goes_on_elsewhere,
                         test_what_ended_by_itself_during_a_drain_has_ended,
                         test_a_kill_during_a_drain_stays_a_kill,
                         test_uncordon_ends_a_drain_but_not_what_was_told,
                         test_a_drain_may_begin_again,
                         test_a_kill_that_nobody_asked_for_is_repeated,
                         test_an_agent_that_is_lost_while_it_drains,
                         test_modes_are_in_snapshots);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("modes", &c, 1);
}
