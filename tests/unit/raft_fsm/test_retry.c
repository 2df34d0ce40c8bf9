/* test_retry.c - docs/spec/3-task-states.md: tasks that are tried again, and leases. */
#include "base/mem.h"
#include "base/text.h"
#include "raft_fsm/retry.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

static struct fsm f;

static struct result submit(const char *key, const struct job_spec *wanted)
{
    struct buffer bytes = {0};
    struct job_spec spec;
    struct result r;

    job_spec_init(&spec);
    spec.name = mem_strdup("retried");
    spec.instances = 2;
    spec.resources = (struct resources){{1000}};
    job_spec_add_arg(&spec, "/bin/false");
    spec.reschedule = wanted->reschedule;
    spec.lease_ms = wanted->lease_ms;
    spec.drift_permille = wanted->drift_permille;
    spec.lease_grace_ms = wanted->lease_grace_ms;
    job_spec_pack(&spec, &bytes);
    job_spec_finish(&spec);
    r = fsm_submit_spec(&f, key, buffer_view(&bytes));
    buffer_finish(&bytes);
    return r;
}

/* Two agents; job 1 may be tried twice again within a minute, after 1 s and 2 s. */
static void setup(void)
{
    struct job_spec spec = {.reschedule = {.attempts = 2,
                                           .interval_ms = 60000,
                                           .delay_ms = 1000,
                                           .max_delay_ms = 30000}};

    fsm_setup(&f);
    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_register(&f, 'b', 4), 2);
    ck_done(submit("k", &spec), 1);
}

/* Job 1 is exclusive; both its tasks run on agent 1. */
static void setup_lease(void)
{
    struct job_spec spec = {
        .lease_ms = 10000, .drift_permille = 20, .lease_grace_ms = 10000};

    fsm_setup(&f);
    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_register(&f, 'b', 4), 2);
    ck_done(submit("k", &spec), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_place(&f, 1, 1, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

static const struct task *task(uint32_t instance)
{
    return job_task(state_job(f.state, 1), instance);
}

static bool waits(void)
{
    return task_waits(task(0));
}

/* Attempt `attempt` of task 0 fails on agent 1; returns its delay in ms. */
static uint64_t fail_once(uint64_t attempt, enum task_state how)
{
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_update(&f, 1, attempt, how), 1);
    return waits() ? (task(0)->extras->retry_us - f.state->globals.last_stamp_us) / 1000
                   : 0;
}

START_TEST(test_a_failed_task_waits_and_is_tried_again)
{
    ck_assert_uint_eq(fail_once(1, TASK_FAILED), 1000);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_assert_int_eq(job_state(state_job(f.state, 1)), JOB_RUNNING);
    ck_assert_uint_eq(job_pending(state_job(f.state, 1)), 1);
    ck_assert_uint_eq(f.state->tasks_by_state[TASK_PENDING], 2);
    ck_done(fsm_place(&f, 1, 0, 2), 0);
    ck_changes_nothing(&f, ck_rejected(fsm_retry(&f, 1, 0, 2), ERROR_INVALID));
    ck_changes_nothing(&f, ck_rejected(fsm_retry(&f, 1, 1, 0), ERROR_INVALID));
    ck_changes_nothing(&f, ck_rejected(fsm_retry(&f, 7, 0, 1), ERROR_NOT_FOUND));
    ck_done(fsm_retry(&f, 1, 0, 1), 1);
    ck_rejected(fsm_retry(&f, 1, 0, 1), ERROR_INVALID);
    ck_assert_uint_eq(job_pending(state_job(f.state, 1)), 2);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    ck_assert_uint_eq(task(0)->attempt, 2);
}
END_TEST

START_TEST(test_delays_double_and_attempts_end)
{
    ck_assert_uint_eq(fail_once(1, TASK_FAILED), 1000);
    ck_done(fsm_retry(&f, 1, 0, 1), 1);
    ck_assert_uint_eq(fail_once(2, TASK_ERROR), 2000);
    ck_done(fsm_retry(&f, 1, 0, 2), 1);
    fail_once(3, TASK_FAILED);
    ck_assert_int_eq(task(0)->state, TASK_FAILED);
    ck_assert_uint_gt(task(0)->ended_us, 0);
}
END_TEST

START_TEST(test_attempts_count_within_the_interval)
{
    ck_assert_uint_eq(fail_once(1, TASK_FAILED), 1000);
    ck_done(fsm_retry(&f, 1, 0, 1), 1);
    f.now_us += 60 * 1000000;
    ck_assert_uint_eq(fail_once(2, TASK_FAILED), 1000);
    ck_assert_uint_eq(task(0)->extras->retries, 1);
}
END_TEST

START_TEST(test_a_killed_job_is_not_tried_again)
{
    fail_once(1, TASK_FAILED);
    ck_done(fsm_kill(&f, 1), 1);
    ck_assert_int_eq(job_state(state_job(f.state, 1)), JOB_KILLED);
    ck_assert(RB_EMPTY(&f.state->retrying));
    ck_changes_nothing(&f, ck_rejected(fsm_retry(&f, 1, 0, 1), ERROR_INVALID));
    ck_done(fsm_purge(&f, 1), 1);
}
END_TEST

START_TEST(test_the_first_loss_is_repeated_at_once_and_then_later)
{
    static const uint64_t DELAYS[] = {0, 1000, 2000, 4000};

    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(fail_once(i + 1, TASK_LOST), DELAYS[i]);
        ck_assert_int_eq(task(0)->state, TASK_PENDING);
        if (i > 0)
            ck_done(fsm_retry(&f, 1, 0, i + 1), 1);
    }
    f.now_us += LOST_APART_MS * 1000ull;
    ck_assert_uint_eq(fail_once(5, TASK_LOST), 0);
}
END_TEST

START_TEST(test_loss_with_an_agent_and_a_drain_count_nothing)
{
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_assert_uint_eq(task(0)->extras->losses + task(0)->extras->retries, 0);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    ck_done(fsm_mode(&f, 2, AGENT_DRAINING, 0), 2);
    ck_done(fsm_drain_due(&f, 2), 2);
    ck_done(fsm_update(&f, 2, 2, TASK_KILLED), 1);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_assert_uint_eq(task(0)->extras->losses + task(0)->extras->retries, 0);
}
END_TEST

START_TEST(test_tries_are_in_the_snapshot)
{
    struct buffer bytes = {0};
    struct state *restored;
    const struct job_retries *retries;
    const struct job *j;

    ck_assert_uint_eq(fail_once(1, TASK_FAILED), 1000);
    fsm_snapshot(f.state, &bytes);
    restored = fsm_restored(buffer_view(&bytes));
    retries = RB_MIN(job_retry_tree, &restored->retrying);
    ck_assert_ptr_nonnull(retries);
    j = retries->job;
    ck_assert_uint_eq(job_waiting(j), 1);
    ck_assert_uint_eq(j->policy->reschedule.delay_ms, 1000);
    ck_assert_uint_eq(job_task(j, 0)->extras->retries, 1);
    ck_assert_uint_eq(job_task(j, 0)->extras->retry_us, task(0)->extras->retry_us);
    state_destroy(restored);
    buffer_finish(&bytes);
}
END_TEST

START_TEST(test_restarts_and_health_of_a_run)
{
    struct task_update u = {.attempt = 1,
                            .state = TASK_RUNNING,
                            .reason = TASK_REASON_EXITED,
                            .exit_code = 7,
                            .message = text_view("exited with status 7"),
                            .health = HEALTH_PASSING,
                            .restarts = 3};
    struct command c = {.kind = COMMAND_TASK_UPDATE,
                        .task_update = {.agent = 1, .updates = &u, .count = 1}};
    uint64_t started_us;

    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    started_us = task(0)->started_us;
    ck_done(fsm_run(&f, &c), 1);
    ck_assert_int_eq(task_health(task(0)), HEALTH_PASSING);
    ck_assert_uint_eq(task_restarts(task(0)), 3);
    ck_assert_uint_eq(task(0)->started_us, started_us);
    ck_assert_int_eq(task(0)->reason,
                     TASK_REASON_EXITED); /* why it was started again */
    ck_assert_int_eq(task(0)->exit_code, 7);
    ck_assert_str_eq(task(0)->message, "exited with status 7");
    ck_changes_nothing(&f, ck_done(fsm_run(&f, &c), 0));
    u.state = TASK_LOST;
    ck_done(fsm_run(&f, &c), 1);
    ck_assert_int_eq(task_health(task(0)), HEALTH_UNKNOWN);
    ck_assert_uint_eq(task_restarts(task(0)), 3);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_assert_uint_eq(task_restarts(task(0)), 0);
}
END_TEST

START_TEST(test_an_exclusive_attempt_stays_until_its_lease_lapses)
{
    ck_changes_nothing(&f, ck_rejected(fsm_lapse(&f, 1), ERROR_INVALID));
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_assert_int_eq(task(0)->state, TASK_RUNNING);
    ck_assert(!attempt_is_to_end(state_attempt(f.state, 1)));
    ck_done(fsm_lapse(&f, 1), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, 1), 1);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_assert(!task_waits(task(0)));
    ck_assert(state_attempt(f.state, 1)->superseded);
    ck_assert_uint_eq(state_agent(f.state, 1)->allocated.amount[RESOURCE_CPUS], 2000);
    ck_changes_nothing(&f, ck_rejected(fsm_lapse(&f, 1), ERROR_INVALID));
    ck_changes_nothing(&f, ck_rejected(fsm_lapse(&f, 9), ERROR_NOT_FOUND));
    ck_done(fsm_place(&f, 1, 0, 2), 1);
}
END_TEST

START_TEST(test_an_agent_that_returns_keeps_exclusive_runs)
{
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    ck_changes_nothing(&f, ck_rejected(fsm_lapse(&f, 1), ERROR_INVALID));
    ck_assert(agent_takes_work(state_agent(f.state, 1)));
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_assert_int_eq(task(0)->state, TASK_FINISHED);
}
END_TEST

START_TEST(test_a_kill_waits_for_the_lease_too)
{
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_kill(&f, 1), 1);
    ck_assert_int_eq(job_task_state(state_job(f.state, 1), 0), TASK_KILLING);
    ck_rejected(fsm_purge(&f, 1), ERROR_INVALID);
    ck_done(fsm_lapse(&f, 1), 1);
    ck_done(fsm_lapse(&f, 2), 2);
    ck_assert_int_eq(job_state(state_job(f.state, 1)), JOB_KILLED);
    ck_rejected(fsm_purge(&f, 1), ERROR_BUSY);
    ck_done(fsm_gone(&f, 1), 1);
    ck_done(fsm_purge(&f, 1), 1);
}
END_TEST

START_TEST(test_the_word_of_an_operator_counts_at_once)
{
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_gone(&f, 1), 1);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_assert_ptr_null(state_attempt(f.state, 1));
}
END_TEST

START_TEST(test_a_lease_that_ran_out_is_an_ordinary_loss)
{
    ck_done(fsm_update(&f, 1, 1, TASK_LOST), 1);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
}
END_TEST

int main(void)
{
    TCase *cases[] = {
        unit_case("retry",
                  test_a_failed_task_waits_and_is_tried_again,
                  test_delays_double_and_attempts_end,
                  test_attempts_count_within_the_interval,
                  test_a_killed_job_is_not_tried_again,
                  test_the_first_loss_is_repeated_at_once_and_then_later,
                  test_loss_with_an_agent_and_a_drain_count_nothing,
                  test_tries_are_in_the_snapshot,
                  test_restarts_and_health_of_a_run),
        unit_case("lease",
                  test_an_exclusive_attempt_stays_until_its_lease_lapses,
                  test_an_agent_that_returns_keeps_exclusive_runs,
                  test_a_kill_waits_for_the_lease_too,
                  test_the_word_of_an_operator_counts_at_once,
                  test_a_lease_that_ran_out_is_an_ordinary_loss),
    };

    tcase_add_checked_fixture(cases[0], setup, teardown);
    tcase_add_checked_fixture(cases[1], setup_lease, teardown);
    return unit_run("retry", cases, 2);
}
