/* test_failures.c - docs/spec/13: failures are written down, closed and summed. */
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

#define SECOND_US 1000000ull

static struct fsm f;

/* Job 1 has one task, which is repeated once when it fails; job 2 has three that are not. */
static void submit_repeated(void)
{
    struct buffer bytes = {0};
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup("repeated");
    job_spec_add_arg(&spec, "/bin/true");
    spec.reschedule = (struct job_retry){1, 0, 1000, 1000};
    job_spec_pack(&spec, &bytes);
    job_spec_finish(&spec);
    ck_done(fsm_submit_spec(&f, "repeated", buffer_view(&bytes)), 1);
    buffer_finish(&bytes);
}

static void setup(void)
{
    fsm_setup(&f);
    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_register(&f, 'b', 4), 2);
    submit_repeated();
    ck_done(fsm_submit(&f, "two", 3), 2);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

/* The next entry is so many seconds after `begin_us`. */
static void at(uint64_t begin_us, unsigned seconds)
{
    f.now_us = begin_us + seconds * SECOND_US - 1000;
}

static const struct failure *failure(uint64_t id)
{
    const struct failure *x = state_failure(f.state, id);

    ck_assert_ptr_nonnull(x);
    return x;
}

static void ck_failure(uint64_t id,
                       const char *type,
                       enum failure_deed deed,
                       enum failure_state state)
{
    char name[FAILURE_TYPE_MAX];

    failure_type_name(name, failure_type(failure(id)));
    ck_assert_str_eq(name, type);
    ck_assert_str_eq(failure_deed_name(failure(id)->deed), failure_deed_name(deed));
    ck_assert_str_eq(failure_state_name(state_failure_is(f.state, failure(id))),
                     failure_state_name(state));
}

static void ck_sum(bool of_agent,
                   enum task_reason reason,
                   uint64_t count,
                   uint64_t recovered,
                   uint64_t seconds,
                   uint64_t open)
{
    const struct failure_sum *sum = &f.state->failures.sums[of_agent][reason];

    ck_assert_uint_eq(sum->count, count);
    ck_assert_uint_eq(sum->recovered, recovered);
    ck_assert_uint_eq(sum->recovery_us, seconds * SECOND_US);
    ck_assert_uint_eq(f.state->failures.open[of_agent][reason], open);
}

static void update_why(uint64_t agent,
                       uint64_t attempt,
                       enum task_state state,
                       enum task_reason why)
{
    struct task_update u = {.attempt = attempt, .state = state, .reason = why};
    struct command c = {.kind = COMMAND_TASK_UPDATE,
                        .task_update = {.agent = agent, .updates = &u, .count = 1}};

    ck_done(fsm_run(&f, &c), 1);
}

START_TEST(test_the_example_of_the_specification)
{
    uint64_t begin_us = f.now_us + SECOND_US;

    at(begin_us, 0);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    at(begin_us, 10);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_failure(1, "agent-unreachable", FAILURE_RESTARTED, FAILURE_IS_OPEN);
    ck_failure(2, "unreachable", FAILURE_MOVED, FAILURE_IS_OPEN);
    ck_assert_uint_eq(failure(2)->moved, 1);
    ck_sum(false, TASK_REASON_AGENT_UNREACHABLE, 1, 0, 0, 1);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    at(begin_us, 12);
    update_why(2, 2, TASK_FAILED, TASK_REASON_EXITED);
    ck_failure(1, "agent-unreachable", FAILURE_RESTARTED, FAILURE_IS_AGAIN);
    ck_failure(3, "exited", FAILURE_RETRIED, FAILURE_IS_OPEN);
    ck_assert_uint_eq(failure(3)->down_us, begin_us + 10 * SECOND_US);
    ck_assert_uint_eq(failure(3)->retry_us, begin_us + 13 * SECOND_US);
    ck_done(fsm_retry(&f, 1, 0, 2), 1);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    at(begin_us, 25);
    ck_done(fsm_update(&f, 2, 3, TASK_RUNNING), 1);
    ck_failure(3, "exited", FAILURE_RETRIED, FAILURE_IS_RECOVERED);
    ck_assert_uint_eq(failure(3)->next_agent, 2);
    at(begin_us, 40);
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    ck_failure(2, "unreachable", FAILURE_MOVED, FAILURE_IS_RECOVERED);
    at(begin_us, 50);
    update_why(2, 3, TASK_FAILED, TASK_REASON_EXITED);
    ck_failure(4, "exited", FAILURE_ENDED, FAILURE_IS_OVER);
    ck_sum(false, TASK_REASON_EXITED, 2, 1, 15, 0);
    ck_sum(false, TASK_REASON_AGENT_UNREACHABLE, 1, 0, 0, 0);
    ck_sum(true, TASK_REASON_AGENT_UNREACHABLE, 1, 1, 30, 0);
    ck_assert_uint_eq(f.state->failures.sums[0][TASK_REASON_EXITED].longest_us,
                      15 * SECOND_US);
}
END_TEST

START_TEST(test_what_finishes_without_running_is_well_again)
{
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    update_why(1, 1, TASK_LOST, TASK_REASON_AGENT_RESTARTED);
    ck_failure(1, "agent-restarted", FAILURE_RESTARTED, FAILURE_IS_OPEN);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_FINISHED), 1);
    ck_failure(1, "agent-restarted", FAILURE_RESTARTED, FAILURE_IS_RECOVERED);
}
END_TEST

START_TEST(test_a_run_that_its_agent_brings_back_is_reclaimed)
{
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    ck_failure(1, "agent-unreachable", FAILURE_RECLAIMED, FAILURE_IS_OPEN);
    ck_failure(2, "unreachable", FAILURE_MOVED, FAILURE_IS_RECOVERED);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    ck_failure(1, "agent-unreachable", FAILURE_RECLAIMED, FAILURE_IS_RECOVERED);
    ck_assert_uint_eq(failure(1)->next_agent, 1);
}
END_TEST

START_TEST(test_an_agent_that_is_gone_does_not_recover)
{
    ck_done(fsm_place(&f, 2, 0, 1), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_gone(&f, 1), 1);
    ck_failure(2, "unreachable", FAILURE_MOVED, FAILURE_IS_OVER);
    ck_failure(3, "gone", FAILURE_MOVED, FAILURE_IS_OVER);
    ck_assert_uint_eq(failure(3)->moved, 0); /* it was moved already */
    ck_done(fsm_place(&f, 2, 1, 2), 1);
    ck_done(fsm_gone(&f, 2), 2);
    ck_failure(4, "agent-gone", FAILURE_RESTARTED, FAILURE_IS_OPEN);
    ck_assert_uint_eq(failure(5)->moved, 1);
    ck_sum(true, TASK_REASON_AGENT_GONE, 2, 0, 0, 0);
}
END_TEST

START_TEST(test_a_drain_is_written_down)
{
    ck_done(fsm_place(&f, 2, 0, 1), 1);
    ck_done(fsm_mode(&f, 1, AGENT_DRAINING, 0), 1);
    ck_done(fsm_drain_due(&f, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_failure(1, "agent-drained", FAILURE_RESTARTED, FAILURE_IS_OPEN);
}
END_TEST

START_TEST(test_a_kill_withdraws_what_is_open)
{
    struct state *again;
    struct buffer bytes = {0};

    ck_done(fsm_place(&f, 2, 0, 1), 1);
    ck_done(fsm_place(&f, 2, 1, 1), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_sum(false, TASK_REASON_AGENT_UNREACHABLE, 2, 0, 0, 2);
    ck_done(fsm_place(&f, 2, 0, 2), 1);
    ck_done(fsm_kill(&f, 2), 2);
    ck_sum(false, TASK_REASON_AGENT_UNREACHABLE, 2, 0, 0, 0);
    ck_failure(1, "agent-unreachable", FAILURE_RESTARTED, FAILURE_IS_WITHDRAWN);
    /* It runs against its job's wish, and that is no recovery; nor is its end a failure. */
    ck_done(fsm_update(&f, 2, 3, TASK_RUNNING), 1);
    ck_done(fsm_update(&f, 2, 3, TASK_LOST), 1);
    ck_sum(false, TASK_REASON_AGENT_UNREACHABLE, 2, 0, 0, 0);
    ck_assert_uint_eq(f.state->failures.last, 3);
    fsm_snapshot(f.state, &bytes);
    again = fsm_restored(buffer_view(&bytes));
    ck_assert_uint_eq(again->failures.open[0][TASK_REASON_AGENT_UNREACHABLE], 0);
    state_destroy(again);
    buffer_finish(&bytes);
    ck_done(fsm_gone(&f, 1), 1);
    ck_done(fsm_purge(&f, 2), 2);
    ck_failure(1, "agent-unreachable", FAILURE_RESTARTED, FAILURE_IS_WITHDRAWN);
}
END_TEST

START_TEST(test_a_lease_that_runs_out_counts_with_its_agent)
{
    struct buffer bytes = {0};
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup("exclusive");
    job_spec_add_arg(&spec, "/bin/true");
    spec.lease_ms = JOB_LEASE_MS;
    spec.drift_permille = JOB_DRIFT_PERMILLE;
    spec.lease_grace_ms = JOB_LEASE_GRACE_MS;
    job_spec_pack(&spec, &bytes);
    job_spec_finish(&spec);
    ck_done(fsm_submit_spec(&f, "exclusive", buffer_view(&bytes)), 3);
    buffer_finish(&bytes);
    ck_done(fsm_place(&f, 3, 0, 1), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_failure(1, "unreachable", FAILURE_MOVED, FAILURE_IS_OPEN);
    ck_assert_uint_eq(failure(1)->moved, 0);
    ck_done(fsm_lapse(&f, 1), 1);
    ck_assert_uint_eq(failure(1)->moved, 1);
    ck_failure(2, "agent-unreachable", FAILURE_RESTARTED, FAILURE_IS_OPEN);
}
END_TEST

START_TEST(test_entries_of_the_first_version_write_nothing_down)
{
    f.version = 1;
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    ck_done(fsm_update(&f, 2, 2, TASK_FINISHED), 1);
    ck_assert_uint_eq(f.state->failures.last, 0);
    ck_assert_uint_eq(f.state->history_count, 0);
}
END_TEST

/* ---- the ring ---- */

/* Task `instance` of job 2 is lost so many times without running in between. */
static void lose(uint32_t instance, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        struct placement p = {
            .job = 2,
            .instance = instance,
            .attempt = job_task(state_job(f.state, 2), instance)->attempt + 1,
            .agent = 2};
        struct task_update u = {.attempt = f.state->globals.last_attempt_id + 1,
                                .state = TASK_KILLED};
        struct command c[] = {
            {.kind = COMMAND_PLACE, .place = {.placements = &p, .count = 1}},
            {.kind = COMMAND_TASK_UPDATE,
             .task_update = {.agent = 2, .updates = &u, .count = 1}},
        };

        fsm_entry_fast(&f, c, 2);
    }
}

START_TEST(test_the_oldest_goes_and_the_sums_stay)
{
    struct buffer bytes = {0}, again = {0};
    struct state *copy;

    ck_done(fsm_place(&f, 2, 1, 1), 1); /* both tasks have memory */
    ck_done(fsm_place(&f, 2, 0, 1), 1);
    ck_done(fsm_unreachable(&f, 1),
            1); /* failures 1, 2 and, of the agent, 3: all open */
    lose(0, LIMIT_FAILURES - 3);
    state_check(f.state);
    ck_assert_uint_eq(f.state->failures.first, 1);
    ck_failure(1, "agent-unreachable", FAILURE_RESTARTED, FAILURE_IS_OPEN);
    lose(0, 3);
    state_check(f.state);
    ck_assert_uint_eq(f.state->failures.first, 4);
    ck_assert_ptr_null(state_failure(f.state, 1));
    ck_assert_ptr_null(state_failure(f.state, 3));
    ck_sum(false, TASK_REASON_AGENT_UNREACHABLE, 2, 0, 0, 0);
    ck_sum(true, TASK_REASON_AGENT_UNREACHABLE, 1, 0, 0, 0);
    ck_sum(false, TASK_REASON_NONE, LIMIT_FAILURES, 0, 0, 1);
    /* What is not written down any more does not recover. */
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    ck_sum(true, TASK_REASON_AGENT_UNREACHABLE, 1, 0, 0, 0);
    fsm_snapshot(f.state, &bytes);
    copy = fsm_restored(buffer_view(&bytes));
    ck_assert_uint_eq(copy->failures.first, 4);
    fsm_snapshot(copy, &again);
    ck_same_bytes(&bytes, &again);
    state_destroy(copy);
    buffer_finish(&bytes);
    buffer_finish(&again);
}
END_TEST

/* ---- names ---- */

START_TEST(test_each_type_has_a_name_of_its_own)
{
    char name[FAILURE_TYPE_MAX];
    struct failure_type type;

    for (int r = 0; r < TASK_REASON_COUNT; r++) {
        failure_type_name(name, (struct failure_type){false, (enum task_reason)r});
        ck_assert(failure_type_parse(&type, name));
        ck_assert(!type.of_agent && type.reason == (enum task_reason)r);
    }
    ck_assert(failure_type_parse(&type, "gone"));
    ck_assert(type.of_agent && type.reason == TASK_REASON_AGENT_GONE);
    ck_assert(failure_type_parse(&type, "unreachable"));
    ck_assert(type.of_agent && type.reason == TASK_REASON_AGENT_UNREACHABLE);
    ck_assert(failure_type_parse(&type, "memory-limit"));
    ck_assert(!failure_type_parse(&type, "memory"));
}
END_TEST

int main(void)
{
    TCase *cases[] = {
        unit_case("failures",
                  test_the_example_of_the_specification,
                  test_what_finishes_without_running_is_well_again,
                  test_a_run_that_its_agent_brings_back_is_reclaimed,
                  test_an_agent_that_is_gone_does_not_recover,
                  test_a_drain_is_written_down,
                  test_a_kill_withdraws_what_is_open,
                  test_a_lease_that_runs_out_counts_with_its_agent,
                  test_entries_of_the_first_version_write_nothing_down,
                  test_the_oldest_goes_and_the_sums_stay),
        unit_case("names", test_each_type_has_a_name_of_its_own),
    };

    tcase_add_checked_fixture(cases[0], setup, teardown);
    tcase_set_timeout(cases[0], 60);
    return unit_run("failures", cases, 2);
}
