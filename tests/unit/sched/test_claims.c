/* test_claims.c - docs/spec/7-scheduling.md, "Claims": who may use what is kept for a task. */
#include "base/mem.h"
#include "sched/internal.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"

#include <string.h>

static struct cluster c;

static void setup(void)
{
    cluster_init(&c);
}

static void teardown(void)
{
    cluster_finish(&c);
}

static struct resources cpus(uint64_t n)
{
    return amounts(n * 1000, 0, 0, 0);
}

struct wish {
    const char *role, *owner;
    uint64_t cpus;
    uint32_t instances;
    int32_t priority;
    uint64_t seconds; /* that it takes; 0: nobody knows */
};

static uint64_t submit(struct wish w)
{
    struct job_spec like;

    job_spec_init(&like);
    like.role = (char *)w.role;
    like.resources = cpus(w.cpus);
    like.instances = w.instances > 0 ? w.instances : 1;
    like.priority = w.priority;
    like.estimate_ms = w.seconds * 1000;
    return cluster_submit_of(&c, &like, w.owner != NULL ? w.owner : "");
}

/* So many tasks are placed, and nothing is left to do. */
static void settle(uint64_t expected)
{
    ck_assert_uint_eq(cluster_settle(&c), expected);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 0);
    ck_assert(!c.more);
    sched_check(c.sched, c.state);
}

/* Room for a task of this job on that agent, so many seconds from now. */
static int
claim(uint64_t agent, uint64_t job, uint64_t seconds, struct resources beyond)
{
    const struct demand d = job_demand(state_job(c.state, job));
    struct claim claim = {.agent = agent,
                          .job = job,
                          .kind = CLAIM_PREEMPTION,
                          .at_us =
                              seconds == 0 ? CLAIM_NEVER : c.now_us + seconds * 1000000,
                          .beyond = beyond};

    return claims_add(&c.sched->claims, &c.sched->fleet, &claim, &d);
}

static bool has_claim(uint64_t job)
{
    return claims_of(&c.sched->claims, job) != 0;
}

static uint64_t agent_of(uint64_t job)
{
    const struct task *t = job_task(state_job(c.state, job), 0);

    return t == NULL ? 0 : t->agent_id;
}

static void finish(uint64_t job)
{
    cluster_report(&c, job_task(state_job(c.state, job), 0)->attempt_id, TASK_FINISHED);
}

/* An agent of 8 cpus, of which a task has 4; a job that waits for all of them, with a claim. */
static uint64_t running, large;

static void claim_the_only_agent(uint64_t seconds, struct resources beyond)
{
    cluster_add_agent(&c, cpus(8));
    running = submit((struct wish){.cpus = 4, .priority = 9});
    settle(1);
    large = submit((struct wish){.cpus = 8});
    settle(0);
    ck_assert_int_ge(claim(1, large, seconds, beyond), 0);
}

START_TEST(test_who_ends_before_may_use_it)
{
    claim_the_only_agent(100, cpus(0));
    submit((struct wish){.cpus = 1, .seconds = 120});
    submit((struct wish){.cpus = 1});
    settle(0);
    submit((struct wish){.cpus = 1, .seconds = 96});
    settle(1);
    finish(running);
    settle(0);
    ck_assert(has_claim(large));
}
END_TEST

START_TEST(test_of_equal_needs_the_one_that_ends_before_passes)
{
    uint64_t lengthy, brief;

    claim_the_only_agent(100, cpus(0));
    lengthy = submit((struct wish){.cpus = 4, .seconds = 3600});
    brief = submit((struct wish){.cpus = 4, .seconds = 60});
    settle(1);
    ck_assert_uint_eq(agent_of(lengthy), 0);
    ck_assert_uint_eq(agent_of(brief), 1);
}
END_TEST

START_TEST(test_time_that_passes_lets_nobody_in)
{
    claim_the_only_agent(100, cpus(0));
    c.now_us += 50 * 1000000;
    submit((struct wish){.cpus = 1, .seconds = 60});
    settle(0);
    c.now_us += 100 * 1000000; /* it is overdue */
    submit((struct wish){.cpus = 1, .seconds = 1});
    settle(0);
}
END_TEST

START_TEST(test_what_is_beyond_is_used_up)
{
    claim_the_only_agent(100, cpus(2));
    submit((struct wish){.cpus = 1, .seconds = 90});
    settle(1); /* takes nothing of it */
    submit((struct wish){.cpus = 1, .instances = 3});
    settle(2);
}
END_TEST

START_TEST(test_a_claim_without_a_time_lets_in_what_is_beyond)
{
    claim_the_only_agent(0, cpus(1));
    submit((struct wish){.cpus = 1, .seconds = 1});
    submit((struct wish){.cpus = 1, .seconds = 1});
    settle(1);
}
END_TEST

START_TEST(test_who_comes_before_is_not_held_up)
{
    uint64_t first;

    claim_the_only_agent(100, cpus(0));
    submit((struct wish){.cpus = 2, .priority = -1});
    settle(0);
    first = submit((struct wish){.cpus = 2, .priority = 1});
    settle(1);
    ck_assert_uint_eq(agent_of(first), 1);
}
END_TEST

/* The same shape sleeps already: a job that comes before wakes it. */
START_TEST(test_a_job_before_it_wakes_a_shape_that_was_refused)
{
    uint64_t behind, first;

    claim_the_only_agent(100, cpus(0));
    behind = submit((struct wish){.cpus = 2, .priority = -1});
    settle(0);
    first = submit((struct wish){.cpus = 2, .priority = 1});
    settle(1);
    ck_assert_uint_eq(agent_of(first), 1);
    ck_assert_uint_eq(agent_of(behind), 0);
}
END_TEST

static void set_role(const char *name, uint32_t given, struct role_spec spec)
{
    struct role_change change = {(char *)name, given, spec};

    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
}

/* Role a has the greater share, so its tasks are behind; when those end they are before. */
START_TEST(test_a_role_that_has_less_again_is_before)
{
    uint64_t of_a, waits;

    set_role("a", 0, (struct role_spec){0});
    set_role("b", 0, (struct role_spec){0});
    cluster_add_agent(&c, cpus(8));
    cluster_add_agent(&c, cpus(16));
    of_a = submit((struct wish){.role = "a", .cpus = 16});
    submit((struct wish){.role = "b", .cpus = 4});
    settle(2);
    ck_assert_uint_eq(agent_of(of_a), 2);
    large = submit((struct wish){.role = "b", .cpus = 8});
    settle(0);
    cluster_agent_mode(&c, 2, AGENT_CORDONED);
    claim(1, large, 100, cpus(0));
    waits = submit((struct wish){.role = "a", .cpus = 4});
    settle(0);
    finish(of_a);
    settle(1);
    ck_assert_uint_eq(agent_of(waits), 1);
}
END_TEST

START_TEST(test_the_job_itself_may_go_elsewhere)
{
    uint64_t other;

    claim_the_only_agent(100, cpus(0));
    other = submit((struct wish){.cpus = 2});
    settle(0);
    cluster_add_agent(&c, cpus(8));
    settle(2);
    ck_assert_uint_eq(agent_of(large), 2);
    ck_assert_uint_eq(agent_of(other), 1);
    ck_assert(!has_claim(large));
}
END_TEST

START_TEST(test_a_claim_ends_with_its_job)
{
    uint64_t other;

    claim_the_only_agent(100, cpus(0));
    other = submit((struct wish){.cpus = 2});
    settle(0);
    cluster_kill(&c, large);
    settle(1);
    ck_assert_uint_eq(agent_of(other), 1);
}
END_TEST

START_TEST(test_a_claim_ends_when_its_agent_takes_no_work)
{
    claim_the_only_agent(100, cpus(0));
    cluster_agent_mode(&c, 1, AGENT_CORDONED);
    settle(0);
    ck_assert(!has_claim(large));
}
END_TEST

START_TEST(test_a_later_time_lets_in_who_was_refused)
{
    const struct resources none = cpus(0);
    uint64_t other;
    int i;

    cluster_add_agent(&c, cpus(8));
    submit((struct wish){.cpus = 4, .priority = 9});
    settle(1);
    large = submit((struct wish){.cpus = 8});
    settle(0);
    i = claim(1, large, 100, none);
    other = submit((struct wish){.cpus = 4, .seconds = 150});
    settle(0);
    claims_change(
        &c.sched->claims, &c.sched->fleet, i, c.now_us + 200 * 1000000, &none);
    settle(1);
    ck_assert_uint_eq(agent_of(other), 1);
}
END_TEST

/* Ports have no amount that is left: who wants some does not go beyond. */
START_TEST(test_beside_ports_only_amounts_are_beyond)
{
    struct agent_spec agent = {.hostname = "host"};
    struct job_spec like;
    uint64_t job;

    agent.resources = cpus(8);
    agent.ports[0] = (struct port_range){31000, 31009};
    agent.port_count = 1;
    cluster_add_agent_like(&c, &agent);
    submit((struct wish){.cpus = 4, .priority = 9});
    settle(1);
    job_spec_init(&like);
    like.resources = cpus(6);
    like.ports.count = 2;
    job = cluster_submit_like(&c, &like);
    settle(0);
    ck_assert_int_ge(claim(1, job, 100, cpus(2)), 0);
    like.resources = cpus(1);
    like.ports.count = 1;
    cluster_submit_like(&c, &like);
    settle(0);
    submit((struct wish){.cpus = 1});
    settle(1);
}
END_TEST

START_TEST(test_there_are_no_more_than_the_limit)
{
    claim_the_only_agent(100, cpus(0));
    for (int i = 1; i < LIMIT_CLAIMS; i++)
        ck_assert_int_eq(claim(1, large, 100, cpus(0)), i);
    ck_assert_int_lt(claim(1, large, 100, cpus(0)), 0);
    ck_assert_int_lt(claim(7, large, 100, cpus(0)), 0);
    settle(0);
    cluster_kill(&c, large);
    settle(0);
    ck_assert_uint_eq(c.sched->claims.used, 0);
}
END_TEST

/* On so many agents, of which there is only the first. */
static int claim_many(uint64_t job, size_t agents)
{
    const struct demand d = job_demand(state_job(c.state, job));
    struct claim claim = {.agent = 1,
                          .job = job,
                          .kind = CLAIM_PREEMPTION,
                          .at_us = CLAIM_NEVER,
                          .places = mem_zalloc(agents * sizeof(*claim.places)),
                          .place_count = agents};
    int i;

    for (size_t k = 0; k < agents; k++)
        claim.places[k] = (struct claim_place){.agent = k + 1, .tasks = 1};
    i = claims_add(&c.sched->claims, &c.sched->fleet, &claim, &d);
    if (i < 0)
        mem_free(claim.places);
    return i;
}

START_TEST(test_gangs_have_no_more_agents_than_the_limit)
{
    const struct claim *claim = &c.sched->claims.of[1];

    claim_the_only_agent(100, cpus(0));
    ck_assert_int_eq(claim_many(large, LIMIT_CLAIM_PLACES - 1), 1);
    ck_assert_int_lt(claim_many(large, 2), 0);
    ck_assert_uint_eq(claim_place_on(claim, 1), 0);
    ck_assert_uint_eq(claim_place_on(claim, 77), 76);
    ck_assert_uint_eq(claim_place_on(claim, 4095), 4094);
    ck_assert_int_eq(claim_many(large, 1), 2);
    claims_drop(&c.sched->claims, &c.sched->fleet, 1);
    ck_assert_uint_eq(c.sched->claims.places, 1);
    ck_assert_int_eq(claim_many(large, LIMIT_CLAIM_PLACES - 1), 1);
}
END_TEST

/* Nobody stands for what is given up; the last one is the end. */
START_TEST(test_a_gang_gives_up_agents_one_by_one)
{
    const struct claim *claim = &c.sched->claims.of[1];

    claim_the_only_agent(100, cpus(0));
    ck_assert_int_eq(claim_many(large, 3), 1);
    claims_give_up(&c.sched->claims, &c.sched->fleet, 1, 0);
    ck_assert_uint_eq(claim->agent, 2);
    ck_assert_uint_eq(claim_tasks(claim, 0), 0);
    ck_assert_uint_eq(fleet_agent(&c.sched->fleet, 1)->claims, 1); /* the other one */
    claims_give_up(&c.sched->claims, &c.sched->fleet, 1, 2);
    ck_assert_uint_eq(claim->agent, 2);
    claims_give_up(&c.sched->claims, &c.sched->fleet, 1, 1);
    ck_assert_uint_eq(c.sched->claims.used, 1);
    ck_assert_uint_eq(c.sched->claims.places, 0);
}
END_TEST

int main(void)
{
    TCase *t = unit_case("claims",
                         test_who_ends_before_may_use_it,
                         test_of_equal_needs_the_one_that_ends_before_passes,
                         test_time_that_passes_lets_nobody_in,
                         test_what_is_beyond_is_used_up,
                         test_a_claim_without_a_time_lets_in_what_is_beyond,
                         test_who_comes_before_is_not_held_up,
                         test_a_job_before_it_wakes_a_shape_that_was_refused,
                         test_a_role_that_has_less_again_is_before,
                         test_the_job_itself_may_go_elsewhere,
                         test_a_claim_ends_with_its_job,
                         test_a_claim_ends_when_its_agent_takes_no_work,
                         test_a_later_time_lets_in_who_was_refused,
                         test_beside_ports_only_amounts_are_beyond,
                         test_there_are_no_more_than_the_limit,
                         test_gangs_have_no_more_agents_than_the_limit,
                         test_a_gang_gives_up_agents_one_by_one);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("claims", &t, 1);
}
