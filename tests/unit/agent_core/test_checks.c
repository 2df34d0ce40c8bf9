/* test_checks.c - health and readiness of runs (docs/spec/6-agent.md). */
#include "tests/lib/unit.h"
#include "tests/unit/agent_core/one_run.h"

#include <string.h>

static void add_check(struct job_spec *spec, enum check_role role)
{
    struct job_check *c = job_spec_add_check(spec);

    c->role = role;
    c->kind = CHECK_TCP;
    c->port = 80;
    c->interval_ms = 10000;
    c->timeout_ms = 20000;
    c->start_delay_ms = 2000;
    c->failures = 3;
}

static void run_checked(void)
{
    struct job_spec spec;

    changed(&spec);
    add_check(&spec, CHECK_HEALTH);
    add_check(&spec, CHECK_READINESS);
    spec.restart =
        (struct job_retry){.attempts = 1, .delay_ms = 1000, .max_delay_ms = 1000};
    run_it(&spec);
}

static void answer(uint32_t index, bool passed)
{
    rig_checked(&rig, 1, index, passed);
}

static enum task_health health(void)
{
    struct run_report r = {0};

    rig_advance(&rig, 1100);
    ck_assert(rig_report(&rig, 1, &r));
    return r.health;
}

START_TEST(checks_are_asked_when_due)
{
    run_checked();
    rig_advance(&rig, 1999);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), 0);
    rig_advance(&rig, 1);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), 2);
    ck_assert_uint_eq(rig_done(&rig, AGENT_CHECK, 1)->index, 1);
    answer(0, true);
    rig_advance(&rig, 9999);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), 2);
    rig_advance(&rig, 1); /* the other one did not answer: not twice at once */
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), 3);
    ck_assert_uint_eq(rig_done(&rig, AGENT_CHECK, 2)->index, 0);
    answer(1, true);
    rig_advance(&rig, 0); /* late: at once */
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), 4);
    rig_finish(&rig);
}
END_TEST

/* Who was to answer may be gone: the check must not wait for it for ever. */
START_TEST(lost_answer_is_a_failure)
{
    run_checked();
    rig_advance(&rig, 2000);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
        answer(1, true);
        rig_advance(&rig, 20000 + 5000 - 1);
        ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
        rig_advance(&rig, 1);
    }
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    rig_finish(&rig);
}
END_TEST

/* It says nothing of the run, however often. */
START_TEST(what_could_not_be_asked_is_no_failure)
{
    struct agent_event unasked = {.kind = AGENT_CHECKED,
                                  .checked = {.attempt = 1, .unasked = true}};

    run_checked();
    for (int i = 0; i < 10; i++) {
        rig_advance(&rig, i == 0 ? 2000 : 10000);
        ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), 2 + 2 * (size_t)i);
        answer(1, true);
        rig_step(&rig, &unasked);
    }
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    ck_assert_int_eq(health(), HEALTH_UNKNOWN);
    rig_finish(&rig);
}
END_TEST

START_TEST(all_passed_is_healthy)
{
    run_checked();
    rig_advance(&rig, 2000);
    answer(0, true);
    ck_assert_int_eq(health(), HEALTH_UNKNOWN);
    answer(1, true);
    ck_assert_int_eq(health(), HEALTH_PASSING);
    rig_finish(&rig);
}
END_TEST

START_TEST(readiness_only_tells)
{
    struct run_report report;

    run_checked();
    for (int i = 0; i < 3; i++) {
        rig_advance(&rig, i == 0 ? 2000 : 10000);
        answer(0, true);
        answer(1, false);
    }
    ck_assert_int_eq(health(), HEALTH_NOT_READY);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    ck_assert(rig_report(&rig, 1, &report));
    ck_assert_ptr_nonnull(memmem(report.message.data,
                                 report.message.size,
                                 "readiness check failed 3 times in a row",
                                 39));
    rig_advance(&rig, 10000);
    answer(0, true);
    answer(1, true);
    ck_assert_int_eq(health(), HEALTH_PASSING);
    rig_finish(&rig);
}
END_TEST

START_TEST(unhealthy_run_is_ended_and_started_again)
{
    struct run_report r;

    run_checked();
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
        rig_advance(&rig, i == 0 ? 2000 : 10000);
        answer(1, true);
        answer(0, false);
    }
    rig_durable(&rig);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 0)->signal, RUN_SIGNAL_TERM);
    rig_ended(&rig, 1, RUN_END_EXITED, 0);
    rig_durable(&rig);
    rig_advance(&rig, 1000);
    ck_assert_uint_eq(starts(), 2);
    rig_started(&rig, 1);
    r = report();
    ck_assert_int_eq(r.health, HEALTH_UNKNOWN);
    ck_assert_uint_eq(r.restarts, 1);
    ck_assert_int_eq(r.reason, TASK_REASON_HEALTH_CHECK);
    ck_assert_ptr_nonnull(memmem(r.message.data, r.message.size, "refused", 7));
    for (int i = 0; i < 3; i++) {
        rig_advance(&rig, i == 0 ? 2000 : 10000);
        answer(0, false);
    }
    rig_durable(&rig);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 15);
    check_durable_end(TASK_FAILED, TASK_REASON_HEALTH_CHECK, 143);
    rig_finish(&rig);
}
END_TEST

START_TEST(passing_in_between_counts_anew)
{
    run_checked();
    for (int i = 0; i < 10; i++) {
        rig_advance(&rig, i == 0 ? 2000 : 10000);
        answer(1, true);
        answer(0, i % 3 == 2);
    }
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(answers_of_an_earlier_start_are_nothing)
{
    struct agent_event late = {.kind = AGENT_CHECKED,
                               .checked = {.attempt = 1, .passed = false}};

    run_checked();
    rig_advance(&rig, 2000);
    fail_and_wait(1000);
    rig_advance(&rig, 2000);
    for (int i = 0; i < 5; i++)
        rig_step(&rig, &late);
    answer(5, false); /* no such check */
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    rig_finish(&rig);
}
END_TEST

static void launch_of_job(uint64_t attempt, uint64_t job)
{
    rig.job = job;
    rig_launch(&rig, 0, 1, attempt);
}

/* Hanging checks of one job leave room for those of others, and all together have a limit. */
START_TEST(checks_have_a_limit)
{
    const uint64_t of_one = LIMIT_JOB_CHECKS + 10, n = of_one + LIMIT_AGENT_CHECKS;
    struct job_spec spec;

    changed(&spec);
    add_check(&spec, CHECK_HEALTH);
    spec.checks[0].timeout_ms = LIMIT_CHECK_TIMEOUT_MS;
    follow(&spec);
    for (uint64_t attempt = 1; attempt <= n; attempt++)
        launch_of_job(attempt, attempt <= of_one ? 1 : attempt);
    rig_durable(&rig);
    for (uint64_t attempt = 1; attempt <= of_one; attempt++)
        rig_started(&rig, attempt);
    rig_advance(&rig, 2000);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), LIMIT_JOB_CHECKS);
    for (uint64_t attempt = of_one + 1; attempt <= n; attempt++)
        rig_started(&rig, attempt);
    rig_advance(&rig, 2000);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), LIMIT_AGENT_CHECKS);
    rig_checked(&rig, 1, 0, true);
    rig_ended(&rig, 2, RUN_END_EXITED, 0); /* nobody answers for it */
    rig_advance(&rig, 500);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), LIMIT_AGENT_CHECKS + 2);
    rig_finish(&rig);
}
END_TEST

START_TEST(health_does_not_flood)
{
    uint64_t before;

    run_checked();
    rig_advance(&rig, 2000);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    before = rig_status(&rig).updates_sent;
    answer(0, true);
    answer(1, true);
    rig_advance(&rig, 1000);
    ck_assert_uint_eq(rig_status(&rig).updates_sent, before + 1);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    rig_advance(&rig, 5000);
    ck_assert_uint_eq(rig_status(&rig).updates_sent, before + 1);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("checks",
          unit_case("checks",
                    checks_are_asked_when_due,
                    lost_answer_is_a_failure,
                    what_could_not_be_asked_is_no_failure,
                    all_passed_is_healthy,
                    readiness_only_tells,
                    unhealthy_run_is_ended_and_started_again,
                    passing_in_between_counts_anew,
                    answers_of_an_earlier_start_are_nothing,
                    checks_have_a_limit,
                    health_does_not_flood))
