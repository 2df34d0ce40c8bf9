/* test_reserve.c - docs/spec/7-scheduling.md, "Reservations": room for who waits first. */
#include "sched/internal.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/sched_test.h"

#include <string.h>

#define MINUTE_US 60000000ull
#define SECOND_US 1000000ull

static struct cluster c;

static void set_reserve(const char *role, uint64_t ms)
{
    struct role_change change = {(char *)role, ROLE_HAS_RESERVE, {.reserve_ms = ms}};

    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
}

static void setup(void)
{
    cluster_init(&c);
    set_reserve(ROLE_DEFAULT, 0);
}

static void teardown(void)
{
    cluster_finish(&c);
}

static struct resources cpus(uint64_t n)
{
    return amounts(n * 1000, 0, 0, 0);
}

/* Tasks of so many cpus that take so many minutes; 0: nobody knows. */
static uint64_t submit_in(const char *role, uint64_t n, uint64_t minutes)
{
    struct job_spec like;

    job_spec_init(&like);
    like.role = (char *)role;
    like.resources = cpus(n);
    like.estimate_ms = minutes * 60000;
    return cluster_submit_of(&c, &like, "");
}

static uint64_t submit(uint64_t n, uint64_t minutes)
{
    return submit_in(NULL, n, minutes);
}

static void settle(uint64_t expected)
{
    ck_assert_uint_eq(cluster_settle(&c), expected);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 0);
    ck_assert(!c.more);
    sched_check(c.sched, c.state);
}

static uint64_t agent_of(uint64_t job)
{
    const struct task *t = job_task(state_job(c.state, job), 0);

    return t == NULL ? 0 : t->agent_id;
}

/* A job that goes to this agent at once. */
static uint64_t run_on(uint64_t agent, uint64_t n, uint64_t minutes)
{
    uint64_t job = submit(n, minutes);

    settle(1);
    ck_assert_uint_eq(agent_of(job), agent);
    return job;
}

static void finish(uint64_t job)
{
    cluster_report(&c, job_task(state_job(c.state, job), 0)->attempt_id, TASK_FINISHED);
}

/* The claim of a job; NULL: it has none. */
static const struct claim *claim_of(uint64_t job)
{
    uint64_t set = claims_of(&c.sched->claims, job);

    return set == 0 ? NULL : &c.sched->claims.of[claim_next(&set)];
}

static uint64_t reserved_for(uint64_t job)
{
    const struct claim *claim = claim_of(job);

    return claim == NULL ? 0 : claim->agent;
}

/* About so many minutes from the beginning. */
static void check_time(uint64_t job, uint64_t began_us, uint64_t minutes)
{
    const struct claim *claim = claim_of(job);

    ck_assert(claim != NULL);
    ck_assert_uint_ge(claim->at_us, began_us + minutes * MINUTE_US);
    ck_assert_uint_le(claim->at_us, began_us + minutes * MINUTE_US + SECOND_US);
}

/* ---- the example ---- */

static uint64_t a1, a2, b1, large, began_us;

/* Even what is lost and waits again comes behind it. */
static uint64_t submit_first(uint64_t n)
{
    struct job_spec like;

    job_spec_init(&like);
    like.resources = cpus(n);
    like.priority = 1;
    return cluster_submit_like(&c, &like);
}

static void begin_the_example(uint64_t need)
{
    cluster_add_agent(&c, cpus(8));
    began_us = c.now_us;
    a1 = run_on(1, 4, 20);
    a2 = run_on(1, 2, 60);
    cluster_add_agent(&c, cpus(8));
    b1 = run_on(2, 6, 30);
    large = submit_first(need);
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 1);
    check_time(large, began_us, 20);
}

START_TEST(test_the_example_of_the_specification)
{
    uint64_t brief, lengthy;

    begin_the_example(6);
    lengthy = submit(2, 40);
    settle(1);
    ck_assert_uint_eq(agent_of(lengthy), 2); /* not agent 1, which has the lower id */
    brief = submit(2, 15);
    settle(1);
    ck_assert_uint_eq(agent_of(brief), 1);
    c.now_us = began_us + 15 * MINUTE_US;
    finish(brief);
    submit(2, 10);
    settle(0);
    c.now_us = began_us + 20 * MINUTE_US;
    finish(a1);
    settle(1);
    ck_assert_uint_eq(agent_of(large), 1);
}
END_TEST

START_TEST(test_the_example_with_something_beyond)
{
    uint64_t first, second;

    begin_the_example(5);
    run_on(2, 2, 40); /* less is left there */
    first = submit(1, 40);
    second = submit(1, 40);
    settle(1);
    ck_assert_uint_eq(agent_of(first), 1);
    ck_assert_uint_eq(agent_of(second), 0);
    check_time(large, began_us, 20);
}
END_TEST

/* ---- who and when ---- */

START_TEST(test_it_begins_when_the_first_has_waited_long_enough)
{
    set_reserve(ROLE_DEFAULT, 300000);
    cluster_add_agent(&c, cpus(8));
    run_on(1, 4, 60);
    began_us = c.now_us;
    large = submit(8, 0);
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 0);
    ck_assert_uint_ge(sched_due_us(c.sched), began_us + 5 * MINUTE_US);
    ck_assert_uint_le(sched_due_us(c.sched), began_us + 5 * MINUTE_US + SECOND_US);
    run_on(1, 2, 0);
    c.now_us = sched_due_us(c.sched);
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 1);
    submit(2, 0);
    settle(0);
}
END_TEST

START_TEST(test_off_reserves_nothing)
{
    set_reserve(ROLE_DEFAULT, ROLE_NEVER);
    cluster_add_agent(&c, cpus(8));
    run_on(1, 4, 60);
    large = submit(8, 0);
    settle(0);
    ck_assert_uint_eq(sched_due_us(c.sched), UINT64_MAX);
    c.now_us += 24 * 60 * MINUTE_US;
    run_on(1, 2, 0);
    set_reserve(ROLE_DEFAULT, 0);
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 1);
    set_reserve(ROLE_DEFAULT, ROLE_NEVER);
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 0);
    run_on(1, 2, 0);
}
END_TEST

/* While jobs with equal needs get places nothing starves. */
START_TEST(test_who_has_equals_that_are_placed_waits_anew)
{
    uint64_t running;

    set_reserve(ROLE_DEFAULT, 300000);
    cluster_add_agent(&c, cpus(4));
    running = run_on(1, 4, 10);
    submit(4, 10);
    large = submit(4, 10);
    settle(0);
    c.now_us += 4 * MINUTE_US;
    finish(running);
    settle(1);
    began_us = c.now_us;
    c.now_us += 2 * MINUTE_US;
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 0);
    ck_assert_uint_ge(sched_due_us(c.sched) + SECOND_US, began_us + 5 * MINUTE_US);
    c.now_us = sched_due_us(c.sched);
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 1);
}
END_TEST

START_TEST(test_the_first_of_each_role_has_one)
{
    uint64_t of_a, of_b;

    set_reserve("a", 0);
    set_reserve("b", 0);
    cluster_add_agent(&c, cpus(8));
    run_on(1, 4, 60);
    cluster_add_agent(&c, cpus(8));
    run_on(2, 6, 30);
    of_a = submit_in("a", 8, 0);
    of_b = submit_in("b", 8, 0);
    submit_in("b", 8, 0);
    settle(0);
    ck_assert_uint_eq(reserved_for(of_a), 2); /* half an hour earlier */
    ck_assert_uint_eq(reserved_for(of_b), 1);
    ck_assert_int_eq(__builtin_popcountll(c.sched->claims.used), 2);
}
END_TEST

START_TEST(test_who_comes_before_takes_it_over)
{
    uint64_t first;

    cluster_add_agent(&c, cpus(8));
    run_on(1, 4, 60);
    large = submit(8, 0);
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 1);
    first = submit_first(7);
    settle(0);
    ck_assert_uint_eq(reserved_for(first), 1);
    ck_assert_uint_eq(reserved_for(large), 0);
}
END_TEST

START_TEST(test_what_no_agent_can_hold_is_passed_over)
{
    uint64_t never;

    cluster_add_agent(&c, cpus(8));
    run_on(1, 4, 60);
    never = submit(16, 0);
    large = submit(8, 0);
    settle(0);
    ck_assert_uint_eq(reserved_for(never), 0);
    ck_assert_uint_eq(reserved_for(large), 1);
    cluster_add_agent(&c, cpus(16));
    settle(1);
    ck_assert_uint_eq(agent_of(never), 2);
}
END_TEST

/* ---- where ---- */

START_TEST(test_what_is_not_known_ends_last)
{
    uint64_t old, lengthy;

    cluster_add_agent(&c, cpus(8));
    old = run_on(1, 3, 0);
    run_on(1, 3, 0);
    cluster_add_agent(&c, cpus(8));
    lengthy = run_on(2, 6, 600);
    large = submit(5, 0);
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 2); /* in ten hours, but it is known */
    cluster_agent_mode(&c, 2, AGENT_CORDONED);
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 1);
    ck_assert(claim_of(large)->at_us == CLAIM_NEVER);
    submit(2, 1);
    settle(0); /* nobody knows that it ends before */
    finish(old);
    settle(1);
    ck_assert_uint_eq(agent_of(large), 1);
    (void)lengthy;
}
END_TEST

/* An hour late, it is expected to take another one. */
START_TEST(test_it_moves_away_from_a_task_that_is_late)
{
    uint64_t other;

    cluster_add_agent(&c, cpus(8));
    run_on(1, 8, 10);
    cluster_add_agent(&c, cpus(8));
    run_on(2, 8, 30);
    began_us = c.now_us;
    large = submit(6, 0);
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 1);
    c.now_us = began_us + 15 * MINUTE_US;
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 1); /* 20 are sooner than 30 */
    c.now_us = began_us + 25 * MINUTE_US;
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 2); /* 40 are not */
    other = submit(4, 0);
    settle(0);
    ck_assert_uint_eq(agent_of(other), 0);
}
END_TEST

START_TEST(test_it_moves_when_its_agent_is_lost)
{
    begin_the_example(6);
    cluster_agent_unreachable(&c, 1);
    settle(1); /* a task of the agent that takes no more than what is beyond */
    ck_assert_uint_eq(reserved_for(large), 2);
    check_time(large, began_us, 30);
}
END_TEST

START_TEST(test_it_ends_with_its_job)
{
    begin_the_example(6);
    cluster_kill(&c, large);
    settle(0);
    ck_assert_uint_eq(c.sched->claims.used, 0);
    run_on(1, 2, 0);
}
END_TEST

START_TEST(test_it_ends_when_there_is_room_elsewhere_first)
{
    begin_the_example(6);
    finish(b1);
    settle(1);
    ck_assert_uint_eq(agent_of(large), 2);
    ck_assert_uint_eq(c.sched->claims.used, 0);
    run_on(1, 2, 0);
}
END_TEST

/* Since the state says all of it. */
START_TEST(test_a_new_leader_reserves_the_same)
{
    begin_the_example(6);
    sched_reset(c.sched, c.state);
    settle(0);
    ck_assert_uint_eq(reserved_for(large), 1);
    check_time(large, began_us, 20);
}
END_TEST

/* What the same round planned counts as well. */
START_TEST(test_what_is_planned_ends_too)
{
    cluster_add_agent(&c, cpus(8));
    cluster_add_agent(&c, cpus(8));
    began_us = c.now_us;
    submit(8, 40);
    submit(8, 10);
    large = submit(8, 10);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 2);
    ck_assert_uint_eq(reserved_for(large), 2);
    check_time(large, began_us, 10);
}
END_TEST

/* With few looks all agents are looked at in many rounds, and others get their turn. */
START_TEST(test_it_looks_at_many_agents_in_slices)
{
    unsigned rounds = 0;

    cluster_finish(&c);
    cluster_init_with(&c, 16);
    set_reserve(ROLE_DEFAULT, 0);
    for (int i = 0; i < 100; i++)
        cluster_add_agent(&c, cpus(8));
    began_us = c.now_us;
    for (uint64_t i = 0; i < 100; i++)
        submit(8, i == 77 ? 5 : 100);
    while (cluster_settle(&c) > 0)
        ;
    large = submit(8, 1);
    do {
        cluster_plan(&c, LIMIT_PLACEMENTS);
        rounds++;
    } while (c.more);
    ck_assert_uint_gt(rounds, 10);
    ck_assert_uint_eq(reserved_for(large), 78);
}
END_TEST

static uint64_t submit_of(const char *owner, uint64_t n)
{
    struct job_spec like;

    job_spec_init(&like);
    like.resources = cpus(n);
    return cluster_submit_of(&c, &like, owner);
}

static void fill_half(int agents)
{
    struct job_spec like;

    for (int i = 0; i < agents; i++)
        cluster_add_agent(&c, cpus(8));
    job_spec_init(&like);
    like.resources = cpus(4);
    like.instances = (uint32_t)agents;
    condition_parse(match_add_constraint(&like.match), "agent distinct", NULL);
    cluster_submit_of(&c, &like, "cid");
    match_finish(&like.match);
    while (cluster_settle(&c) > 0)
        ;
}

static void one_round(void)
{
    cluster_plan(&c, LIMIT_PLACEMENTS);
    cluster_place(&c);
}

/* The share of bob is above that of ann, or below it, in each round another. */
START_TEST(test_a_search_ends_though_shares_pass_each_other)
{
    struct role_change fair = {
        ROLE_DEFAULT, ROLE_HAS_ORDER | ROLE_HAS_RESERVE, {.order = ROLE_FAIR}};
    uint64_t of_ann, of_bob, running;

    cluster_finish(&c);
    cluster_init_with(&c, 32);
    cluster_set_role(&c, &fair);
    fill_half(60);
    submit_of("ann", 2);
    cluster_settle(&c);
    of_ann = submit_of("ann", 8);
    of_bob = submit_of("bob", 8);
    for (int i = 0; i < 20 && c.sched->claims.used == 0; i++) {
        running = submit_of("bob", 3);
        one_round();
        ck_assert_uint_ne(agent_of(running), 0);
        one_round();
        finish(running);
        one_round();
    }
    ck_assert(reserved_for(of_ann) != 0 || reserved_for(of_bob) != 0);
}
END_TEST

/* ---- what is told ---- */

static const char *explain(uint64_t job)
{
    static char why[SCHED_WHY_BYTES];
    unsigned looks = SCHED_EXPLAIN_LOOKS;

    sched_explain(
        c.sched, c.state, c.now_us, state_job(c.state, job), &looks, why, sizeof(why));
    return why;
}

static uint64_t told_us(uint64_t job, uint64_t agent)
{
    uint64_t there, at_us;

    ck_assert(sched_reservation(c.sched, c.now_us, job, &there, &at_us));
    ck_assert_uint_eq(there, agent);
    return at_us;
}

START_TEST(test_who_waits_is_told_what_is_reserved_and_when)
{
    uint64_t refused, there, at_us;

    begin_the_example(6);
    c.now_us = began_us + 8 * MINUTE_US + SECOND_US;
    ck_assert_str_eq(explain(large),
                     "waiting for 6 cpus: 2 agents have room when their tasks end; "
                     "cpus: 2 full; agent 1 is reserved for it in 12m");
    ck_assert_uint_eq(told_us(large, 1), claim_of(large)->at_us);
    run_on(2, 2, 40);
    refused = submit(2, 40);
    settle(0);
    ck_assert_str_eq(
        explain(refused),
        "waiting for 2 cpus: 2 agents have room when their tasks end; cpus: 1 full; "
        "agent 1 has room and is reserved for job 4; agent 2 may have room in 22m");
    ck_assert(!sched_reservation(c.sched, c.now_us, refused, &there, &at_us));
    c.now_us = began_us + 20 * MINUTE_US + 10 * SECOND_US;
    ck_assert_str_eq(
        explain(large),
        "waiting for 6 cpus: 2 agents have room when their tasks end; cpus: 2 full; "
        "agent 1 is reserved for it, when 1 task ends that should have");
    ck_assert_uint_eq(told_us(large, 1), 0);
}
END_TEST

START_TEST(test_where_no_time_is_known_tasks_are_counted)
{
    cluster_add_agent(&c, cpus(8));
    run_on(1, 4, 0);
    run_on(1, 4, 0);
    large = submit(8, 0);
    settle(0);
    ck_assert_str_eq(explain(large),
                     "waiting for 8 cpus: 1 agent has room when its tasks end; cpus: 1 "
                     "full; agent 1 is reserved for it, when 2 tasks end");
    ck_assert_uint_eq(told_us(large, 1), 0);
}
END_TEST

/* What goes on until somebody ends it is no end to wait for, while others are. */
START_TEST(test_services_are_behind_all_others)
{
    struct job_spec spec;

    cluster_add_agent(&c, cpus(8));
    job_spec_init(&spec);
    spec.kind = JOB_SERVICE;
    job_spec_complete(&spec);
    spec.resources = cpus(1);
    spec.estimate_ms = 1000;
    cluster_submit_like(&c, &spec);
    settle(1);
    run_on(1, 7, 0);
    large = submit(7, 0);
    settle(0);
    ck_assert_str_eq(explain(large),
                     "waiting for 7 cpus: 1 agent has room when its tasks end; cpus: 1 "
                     "full; agent 1 is reserved for it, when 1 task ends");
}
END_TEST

/* With few looks it is not told when there may be room. */
START_TEST(test_the_soonest_start_costs_a_part_of_the_looks)
{
    unsigned looks = 3;
    char why[SCHED_WHY_BYTES];
    uint64_t job;

    set_reserve(ROLE_DEFAULT, ROLE_NEVER);
    for (uint64_t i = 1; i <= 3; i++) {
        cluster_add_agent(&c, cpus(8));
        run_on(i, 8, 60 - i);
    }
    job = submit(4, 0);
    settle(0);
    sched_explain(
        c.sched, c.state, c.now_us, state_job(c.state, job), &looks, why, sizeof(why));
    ck_assert_str_eq(why,
                     "waiting for 4 cpus: 3 agents have room when their tasks end");
    cluster_add_agent(&c, cpus(2)); /* as good as nothing was asked before */
    settle(0);
    ck_assert_str_eq(explain(job),
                     "waiting for 4 cpus: 3 agents have room when their tasks end; "
                     "cpus: 3 full, 1 too small; agent 3 may have room in 57m");
}
END_TEST

int main(void)
{
    TCase *t = unit_case("reserve",
                         test_the_example_of_the_specification,
                         test_the_example_with_something_beyond,
                         test_it_begins_when_the_first_has_waited_long_enough,
                         test_off_reserves_nothing,
                         test_who_has_equals_that_are_placed_waits_anew,
                         test_the_first_of_each_role_has_one,
                         test_who_comes_before_takes_it_over,
                         test_what_no_agent_can_hold_is_passed_over,
                         test_what_is_not_known_ends_last,
                         test_it_moves_away_from_a_task_that_is_late,
                         test_it_moves_when_its_agent_is_lost,
                         test_it_ends_with_its_job,
                         test_it_ends_when_there_is_room_elsewhere_first,
                         test_a_new_leader_reserves_the_same,
                         test_what_is_planned_ends_too,
                         test_it_looks_at_many_agents_in_slices,
                         test_a_search_ends_though_shares_pass_each_other,
                         test_who_waits_is_told_what_is_reserved_and_when,
                         test_where_no_time_is_known_tasks_are_counted,
                         test_services_are_behind_all_others,
                         test_the_soonest_start_costs_a_part_of_the_looks);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("reserve", &t, 1);
}
