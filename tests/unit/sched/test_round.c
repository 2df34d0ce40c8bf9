/* test_round.c - docs/spec/7-scheduling.md: who is next, where it goes, what it costs. */
#include "sched/worth.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/sched_test.h"

static struct cluster c;

static void setup(void)
{
    cluster_init(&c);
}

static void teardown(void)
{
    cluster_finish(&c);
}

/* Agents and tasks of cpus alone, where nothing else matters. */
static struct resources cpus(uint64_t n)
{
    return amounts(n * 1000, 0, 0, 0);
}

static void check_planned(size_t i, uint64_t job, uint32_t instance, uint64_t agent)
{
    ck_assert_uint_lt(i, c.planned);
    ck_assert_uint_eq(c.plan[i].job, job);
    ck_assert_uint_eq(c.plan[i].instance, instance);
    ck_assert_uint_eq(c.plan[i].agent, agent);
}

/* A round of that many placements, applied; it does not end by its budget. */
static void settle(size_t expected)
{
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, expected);
    ck_assert(!c.more);
    ck_assert_uint_eq(cluster_place(&c), expected);
    sched_check(c.sched, c.state);
}

/* The only live attempt of a job with one task. */
static uint64_t attempt_of(uint64_t job)
{
    return job_task(state_job(c.state, job), 0)->attempt_id;
}

static uint64_t agent_of(uint64_t job)
{
    return job_task(state_job(c.state, job), 0)->agent_id;
}

/* ---- order ---- */

START_TEST(test_higher_priority_first_then_submission)
{
    cluster_add_agent(&c, cpus(16));
    cluster_submit(&c, cpus(1), 1, 0);
    cluster_submit(&c, cpus(2), 2, 0);
    cluster_submit(&c, cpus(1), 1, 5);
    cluster_submit(&c, cpus(2), 1, -5);
    cluster_submit(&c, cpus(1), 1, 5);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    check_planned(0, 3, 0, 1);
    check_planned(1, 5, 0, 1);
    check_planned(2, 1, 0, 1);
    check_planned(3, 2, 0, 1);
    check_planned(4, 2, 1, 1);
    check_planned(5, 4, 0, 1);
    ck_assert_uint_eq(c.planned, 6);
}
END_TEST

START_TEST(test_the_first_in_order_gets_what_is_there)
{
    uint64_t low, high;

    low = cluster_submit(&c, cpus(2), 1, 1);
    high = cluster_submit(&c, cpus(3), 1, 2);
    settle(0);
    cluster_add_agent(&c, cpus(4));
    settle(1);
    ck_assert_uint_eq(agent_of(high), 1);
    cluster_report(&c, attempt_of(high), TASK_FINISHED);
    settle(1);
    ck_assert_uint_eq(agent_of(low), 1);
}
END_TEST

/* ---- best fit ---- */

/* In MiB of memory. */
static void check_worth(uint64_t cpus, uint64_t mib, uint64_t expected)
{
    struct resources r = amounts(cpus * 1000, mib, 0, 0);

    ck_assert_uint_eq(worth(&r), expected * MIB * 1024);
}

/* The worked example of spec 7. */
START_TEST(test_the_example_of_the_specification)
{
    static const uint64_t WHERE[] = {3, 3, 4, 4, 1, 1, 2, 2};

    check_worth(2, 4096, 12096);
    check_worth(4, 8192, 24192);
    check_worth(8, 16384, 48384);
    check_worth(8, 65536, 97536);
    check_worth(4, 10240, 26240);
    check_worth(6, 12288, 36288); /* of agent 1, after one task of job 1 */
    check_worth(4, 57344, 73344); /* of agent 2, after one of job 2 */
    check_worth(0, 2048, 2048);   /* of agent 4, after two of job 1 */

    cluster_add_agent(&c, amounts(8000, 16384, 0, 0));
    cluster_add_agent(&c, amounts(8000, 65536, 0, 0));
    cluster_add_agent(&c, amounts(4000, 8192, 0, 0));
    cluster_add_agent(&c, amounts(4000, 10240, 0, 0));
    cluster_submit(&c, amounts(2000, 4096, 0, 0), 4, 0);
    cluster_submit(&c, amounts(4000, 8192, 0, 0), 4, 0);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 8);
    for (uint32_t i = 0; i < 8; i++)
        check_planned(i, i < 4 ? 1 : 2, i % 4, WHERE[i]);
}
END_TEST

START_TEST(test_of_equal_agents_the_lowest_id_is_taken)
{
    for (int i = 0; i < 3; i++)
        cluster_add_agent(&c, cpus(4));
    cluster_submit(&c, cpus(4), 2, 0);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    check_planned(0, 1, 0, 1);
    check_planned(1, 1, 1, 2);
}
END_TEST

START_TEST(test_scarce_kinds_are_left_alone)
{
    cluster_add_agent(&c, amounts(8000, 8192, 0, 1));
    cluster_add_agent(&c, amounts(16000, 32768, 0, 0));
    cluster_submit(&c, amounts(1000, 1024, 0, 0), 1, 0);
    cluster_submit(&c, amounts(1000, 1024, 0, 1), 1, 0);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    check_planned(0, 1, 0, 2);
    check_planned(1, 2, 0, 1);
}
END_TEST

START_TEST(test_every_kind_has_to_fit)
{
    cluster_add_agent(&c, amounts(8000, 1024, 1024, 1));
    cluster_submit(&c, amounts(9000, 0, 0, 0), 1, 0);
    cluster_submit(&c, amounts(1000, 1025, 0, 0), 1, 0);
    cluster_submit(&c, amounts(1000, 0, 1025, 0), 1, 0);
    cluster_submit(&c, amounts(1000, 0, 0, 2), 1, 0);
    settle(0);
    cluster_submit(&c, amounts(8000, 1024, 1024, 1), 1, 0);
    settle(1);
}
END_TEST

/* ---- who takes no work ---- */

START_TEST(test_an_unreachable_agent_gets_nothing_until_it_has_stopped_what_ran)
{
    uint64_t job = cluster_submit(&c, cpus(2), 1, 0), attempt;

    cluster_add_agent(&c, cpus(4));
    settle(1);
    attempt = attempt_of(job);
    cluster_agent_unreachable(&c, 1);
    settle(0); /* the successor waits */
    cluster_resize_agent(&c, 1, cpus(4));
    settle(0); /* it is back, with a superseded attempt */
    cluster_report(&c, attempt, TASK_KILLED);
    settle(1);
    ck_assert_uint_eq(job_task(state_job(c.state, job), 0)->attempt, 2);
}
END_TEST

START_TEST(test_an_agent_that_is_gone_gets_nothing)
{
    uint64_t job = cluster_submit(&c, cpus(2), 1, 0);

    cluster_add_agent(&c, cpus(2));
    settle(1);
    cluster_agent_gone(&c, 1);
    settle(0);
    cluster_add_agent(&c, cpus(2));
    settle(1);
    ck_assert_uint_eq(agent_of(job), 2);
}
END_TEST

START_TEST(test_an_agent_that_shrank_gets_nothing_until_it_fits)
{
    uint64_t first = cluster_submit(&c, amounts(1000, 4096, 0, 0), 1, 0);

    cluster_add_agent(&c, amounts(4000, 4096, 0, 0));
    settle(1);
    cluster_resize_agent(&c, 1, amounts(4000, 2048, 0, 0));
    cluster_submit(&c, amounts(1000, 0, 0, 0), 1, 0);
    settle(0); /* its memory is overdrawn, so its cpus are not given either */
    cluster_report(&c, attempt_of(first), TASK_FINISHED);
    settle(1);
}
END_TEST

START_TEST(test_tasks_of_a_killed_job_are_not_placed)
{
    uint64_t killed = cluster_submit(&c, cpus(1), 3, 9);

    settle(0);
    cluster_kill(&c, killed);
    cluster_submit(&c, cpus(1), 1, 0);
    cluster_add_agent(&c, cpus(8));
    settle(1);
    ck_assert_uint_eq(agent_of(2), 1);
}
END_TEST

/* Its effects are told when it is not there any more. */
START_TEST(test_a_job_that_ends_and_is_purged_at_once_is_forgotten)
{
    struct command commands[] = {{.kind = COMMAND_KILL, .kill = {1}},
                                 {.kind = COMMAND_PURGE, .purge = {1}}};

    cluster_submit(&c, cpus(1), 1, 0);
    settle(0);
    cluster_apply_all(&c, commands, 2);
    ck_assert_int_eq(c.out.results[1].code, ERROR_NONE);
    settle(0);
    cluster_add_agent(&c, cpus(1));
    settle(0);
}
END_TEST

/* Its task waits for room elsewhere, until its agent comes back with it. */
START_TEST(test_a_job_that_got_its_task_back_waits_no_longer)
{
    cluster_add_agent(&c, cpus(2));
    cluster_submit(&c, cpus(2), 1, 0);
    settle(1);
    cluster_agent_unreachable(&c, 1);
    settle(0);
    cluster_resize_agent(&c, 1, cpus(2));
    settle(0);
}
END_TEST

START_TEST(test_lost_tasks_are_placed_again)
{
    uint64_t job = cluster_submit(&c, cpus(1), 1, 0);

    cluster_add_agent(&c, cpus(1));
    settle(1);
    cluster_report(&c, attempt_of(job), TASK_LOST);
    settle(1);
    ck_assert_uint_eq(job_task(state_job(c.state, job), 0)->attempt, 2);
}
END_TEST

/* ---- one round at a time ---- */

START_TEST(test_what_was_refused_is_planned_again)
{
    uint64_t job = cluster_submit(&c, cpus(2), 4, 0);

    cluster_add_agent(&c, cpus(4));
    cluster_add_agent(&c, cpus(8));
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 4);
    cluster_agent_unreachable(&c, 1); /* gets into the log before the batch */
    ck_assert_uint_eq(cluster_place(&c), 2);
    settle(2);
    ck_assert_uint_eq(job_pending(state_job(c.state, job)), 0);
}
END_TEST

START_TEST(test_a_batch_that_is_lost_is_planned_again)
{
    cluster_submit(&c, cpus(2), 4, 0);
    cluster_add_agent(&c, cpus(6));
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 3);
    settle(3);
}
END_TEST

/* ---- budget ---- */

START_TEST(test_a_round_places_as_many_as_it_may)
{
    unsigned rounds = 0;

    for (int i = 0; i < 3; i++)
        cluster_add_agent(&c, cpus(4));
    cluster_submit(&c, cpus(1), 7, 0);
    cluster_submit(&c, cpus(1), 20, 0);
    do {
        cluster_plan(&c, 5);
        ck_assert_uint_le(c.planned, 5);
        ck_assert(c.more == (c.planned == 5));
        ck_assert_uint_eq(cluster_place(&c), c.planned);
        rounds++;
    } while (c.more);
    ck_assert_uint_eq(rounds, 3);
    ck_assert_uint_eq(c.state->tasks_by_state[TASK_STAGING], 12);
    sched_check(c.sched, c.state);
}
END_TEST

/* Jobs that fit nowhere, each of another shape. */
static void submit_unplaceable(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        cluster_submit(&c, amounts(9000, 1 + i, 0, 0), 1, 10);
}

/* How many rounds it takes until one ends by itself. */
static unsigned rounds_to_settle(void)
{
    unsigned rounds = 0;

    do {
        cluster_plan(&c, LIMIT_PLACEMENTS);
        cluster_place(&c);
        rounds++;
    } while (c.more);
    return rounds;
}

START_TEST(test_a_round_looks_at_as_many_as_it_may)
{
    uint64_t small;

    cluster_add_agent(&c, amounts(8000, 1 << 20, 0, 0));
    submit_unplaceable(3 * SCHED_LOOKS);
    small = cluster_submit(&c, cpus(1), 1, -10);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert(c.more);
    ck_assert_uint_eq(c.planned, 0);
    ck_assert_uint_le(rounds_to_settle(), 7);
    ck_assert_uint_eq(agent_of(small), 1);
    sched_check(c.sched, c.state);
}
END_TEST

START_TEST(test_what_fits_nowhere_is_not_looked_at_again)
{
    cluster_add_agent(&c, amounts(8000, 1 << 20, 0, 0));
    submit_unplaceable(3 * SCHED_LOOKS);
    rounds_to_settle();
    cluster_submit(&c, cpus(6), 1, -10);
    settle(1); /* one round, which could not even look at all that wait */
    cluster_add_agent(&c, amounts(8000, 1 << 20, 0, 0));
    settle(0);
    cluster_submit(&c, cpus(3), 1, -10);
    cluster_submit(&c, amounts(9000, 1, 0, 0), 5, 11);
    settle(1); /* a shape that sleeps goes on sleeping when it gets an earlier job */
    cluster_add_agent(&c, amounts(9000, 1, 0, 0));
    settle(1);
    ck_assert_uint_eq(c.plan[0].job, c.state->globals.last_job_id);
}
END_TEST

/* Equal ones are one shape, of which one look is enough. */
START_TEST(test_a_long_queue_of_one_shape_costs_one_look)
{
    for (unsigned i = 0; i < 3 * SCHED_LOOKS; i++)
        cluster_submit(&c, cpus(9), 2, 0);
    cluster_add_agent(&c, cpus(8));
    settle(0);
    cluster_add_agent(&c, cpus(8));
    cluster_submit(&c, cpus(8), 2, -1);
    settle(2);
}
END_TEST

/* The agent has a thousandth of a cpu less than these tasks need, each of another shape:
 * too little for the signatures of the index to tell. */
static void submit_near_misses(unsigned count)
{
    cluster_add_agent(&c, amounts(4000, 1 << 20, 0, 0));
    for (unsigned i = 0; i < count; i++)
        cluster_submit(&c, amounts(4001, 1000 + i, 0, 0), 1, 10);
}

/* While an agent grows before each round. */
START_TEST(test_whoever_waits_behind_many_is_reached)
{
    uint64_t small = 0;
    unsigned rounds = 0;

    submit_near_misses(2 * SCHED_LOOKS);
    rounds_to_settle();
    small = cluster_submit(&c, amounts(1000, 0, 0, 3), 1, -10);
    rounds_to_settle();
    cluster_add_agent(&c, amounts(1000, 0, 0, 3));
    cluster_add_agent(&c, cpus(1));
    while (job_pending(state_job(c.state, small)) > 0) {
        cluster_resize_agent(&c, 1, amounts(4000, (1 << 20) + rounds + 1, 0, 0));
        cluster_plan(&c, LIMIT_PLACEMENTS);
        cluster_place(&c);
        ck_assert_uint_lt(++rounds, 8);
    }
    ck_assert_uint_gt(rounds, 1);
    rounds_to_settle();
    sched_check(c.sched, c.state);
}
END_TEST

/* What grows behind the place where a round was cut is compared with all, too. */
START_TEST(test_growth_in_the_middle_is_not_forgotten)
{
    submit_near_misses(2 * SCHED_LOOKS);
    rounds_to_settle();
    cluster_resize_agent(&c, 1, amounts(4000, 2 << 20, 0, 0));
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert(c.more);
    cluster_add_agent(&c, amounts(4001, 1000, 0, 0)); /* for the very first one */
    rounds_to_settle();
    ck_assert_uint_eq(agent_of(1), 2);
    sched_check(c.sched, c.state);
}
END_TEST

/* A sleeping shape that gets an earlier rank than those compared already. */
START_TEST(test_an_earlier_job_in_the_middle_is_not_forgotten)
{
    cluster_submit(&c, cpus(1), 3, 5);
    cluster_submit(&c, cpus(2), 1, 0);
    settle(0);
    cluster_add_agent(&c, cpus(4));
    cluster_plan(&c, 1);
    check_planned(0, 1, 0, 1);
    cluster_place(&c);
    cluster_submit(&c, cpus(2), 1, 9);
    settle(2);
    check_planned(0, 3, 0, 1);
    check_planned(1, 1, 1, 1);
}
END_TEST

/* ---- a new leader ---- */

START_TEST(test_a_new_leader_plans_the_same)
{
    struct placement before[8];

    cluster_add_agent(&c, cpus(4));
    cluster_add_agent(&c, cpus(5));
    cluster_submit(&c, cpus(9), 3, 1);
    cluster_submit(&c, cpus(2), 3, 0);
    cluster_settle(&c);
    cluster_report(&c, attempt_of(2), TASK_LOST);
    cluster_submit(&c, cpus(1), 1, 3);
    cluster_plan(&c, 8);
    ck_assert_uint_eq(c.planned, 2);
    for (size_t i = 0; i < c.planned; i++)
        before[i] = c.plan[i];
    sched_reset(c.sched, c.state);
    settle(2);
    for (size_t i = 0; i < 2; i++)
        check_planned(i, before[i].job, before[i].instance, before[i].agent);
}
END_TEST

START_TEST(test_a_new_leader_reads_a_long_queue_in_slices)
{
    for (unsigned i = 0; i < 2 * SCHED_LOOKS; i++)
        cluster_submit(&c, cpus(9), 1, (int32_t)(i % 3));
    cluster_submit(&c, cpus(1), 1, -1);
    cluster_add_agent(&c, cpus(8));
    sched_reset(c.sched, c.state);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert(c.more);
    ck_assert_uint_eq(c.planned, 0);
    cluster_kill(&c, 1); /* read already, or not yet: both are right */
    cluster_kill(&c, 2 * SCHED_LOOKS);
    cluster_submit(&c, cpus(2), 1, 1);
    ck_assert_uint_le(rounds_to_settle(), 3);
    ck_assert_uint_eq(c.state->tasks_by_state[TASK_STAGING], 2);
    sched_check(c.sched, c.state);
}
END_TEST

int main(void)
{
    TCase *t =
        unit_case("round",
                  test_higher_priority_first_then_submission,
                  test_the_first_in_order_gets_what_is_there,
                  test_the_example_of_the_specification,
                  test_of_equal_agents_the_lowest_id_is_taken,
                  test_scarce_kinds_are_left_alone,
                  test_every_kind_has_to_fit,
                  test_an_unreachable_agent_gets_nothing_until_it_has_stopped_what_ran,
                  test_an_agent_that_is_gone_gets_nothing,
                  test_an_agent_that_shrank_gets_nothing_until_it_fits,
                  test_tasks_of_a_killed_job_are_not_placed,
                  test_a_job_that_ends_and_is_purged_at_once_is_forgotten,
                  test_a_job_that_got_its_task_back_waits_no_longer,
                  test_lost_tasks_are_placed_again,
                  test_what_was_refused_is_planned_again,
                  test_a_batch_that_is_lost_is_planned_again,
                  test_a_round_places_as_many_as_it_may,
                  test_a_round_looks_at_as_many_as_it_may,
                  test_what_fits_nowhere_is_not_looked_at_again,
                  test_a_long_queue_of_one_shape_costs_one_look,
                  test_whoever_waits_behind_many_is_reached,
                  test_growth_in_the_middle_is_not_forgotten,
                  test_an_earlier_job_in_the_middle_is_not_forgotten,
                  test_a_new_leader_plans_the_same,
                  test_a_new_leader_reads_a_long_queue_in_slices);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("round", &t, 1);
}
