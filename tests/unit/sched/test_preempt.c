/* test_preempt.c - docs/spec/15-preemption.md: whose place is taken, and for whom it is kept. */
#include "base/limits.h"
#include "sched/internal.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/sched_test.h"

#include <string.h>

static struct cluster c;
static struct preemption found[8];
static size_t count;

static struct resources cpus(uint64_t n)
{
    return amounts(n * 1000, 0, 0, 0);
}

static void set_role(const char *name, uint32_t given, struct role_spec spec)
{
    struct role_change change = {.name = (char *)name, .given = given, .spec = spec};

    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
}

static struct role_bound bound(uint64_t whole)
{
    return (struct role_bound){cpus(whole), 1u << RESOURCE_CPUS, {0}};
}

static uint64_t submit(const char *role, uint64_t whole, uint32_t instances)
{
    struct job_spec like;

    job_spec_init(&like);
    like.role = (char *)role;
    like.resources = cpus(whole);
    like.instances = instances;
    return cluster_submit_like(&c, &like);
}

/* Put one task of a new job of a role on this agent. */
static uint64_t run(const char *role, uint64_t whole, uint64_t agent)
{
    struct placement p = {submit(role, whole, 1), 0, 1, agent};
    struct command command = {.kind = COMMAND_PLACE,
                              .place = {.placements = &p, .count = 1}};

    ck_assert_uint_eq(cluster_apply(&c, &command).id, 1);
    sched_agent_changed(c.sched, c.state, agent);
    return c.state->globals.last_attempt_id;
}

static void pass(void)
{
    memset(found, 0, sizeof(found));
    count = cluster_preempt(&c, found, 8);
}

/* A round places so many; then a pass. */
static void round_and_pass(uint64_t placed)
{
    ck_assert_uint_eq(cluster_settle(&c), placed);
    sched_check(c.sched, c.state);
    pass();
}

static void ck_preempted(size_t i, uint64_t job, uint64_t agent, uint64_t victim)
{
    ck_assert_uint_lt(i, count);
    ck_assert_uint_eq(found[i].job, job);
    ck_assert_uint_eq(found[i].agent, agent);
    ck_assert_uint_eq(found[i].count, 1);
    ck_assert_uint_eq(found[i].victims[0], victim);
}

static uint64_t agent_of(uint64_t job, uint32_t instance)
{
    const struct task *t = job_task(state_job(c.state, job), instance);

    return t == NULL || t->state == TASK_PENDING ? 0 : t->agent_id;
}

static void setup(void)
{
    cluster_init(&c);
    set_role("batch", ROLE_HAS_WEIGHT, (struct role_spec){.weight = 1000});
    set_role("prod",
             ROLE_HAS_PRIORITY | ROLE_HAS_PREEMPT,
             (struct role_spec){.priority = 1, .preempt = 10});
}

static void teardown(void)
{
    cluster_finish(&c);
}

/* An agent of 4 cpus with two tasks of batch; returns the older attempt. */
static uint64_t full_agent(void)
{
    uint64_t agent = cluster_add_agent(&c, cpus(4));

    run("batch", 2, agent);
    return run("batch", 2, agent) - 1;
}

/* ---- which ---- */

START_TEST(test_the_example_of_the_specification)
{
    uint64_t a[7], job;

    for (int i = 0; i < 3; i++)
        cluster_add_agent(&c, cpus(4));
    a[1] = run("batch", 2, 1);
    a[2] = run("batch", 3, 2);
    a[3] = run("batch", 3, 3);
    a[4] = run("prod", 1, 3);
    a[5] = run("batch", 2, 1);
    a[6] = run("batch", 1, 2);
    set_role("batch", ROLE_HAS_MIN, (struct role_spec){.min = bound(2)});
    job = submit("prod", 3, 3);
    round_and_pass(0);
    ck_assert_uint_eq(count, 2);
    ck_preempted(0, job, 3, a[3]);
    ck_preempted(1, job, 2, a[2]);
    ck_assert_uint_gt(a[5], a[1]);
    ck_assert_uint_gt(a[6], a[4]);
}
END_TEST

START_TEST(test_fewest_before_youngest)
{
    uint64_t large;

    cluster_add_agent(&c, cpus(4));
    cluster_add_agent(&c, cpus(4));
    large = run("batch", 4, 1);
    run("batch", 2, 2);
    run("batch", 2, 2);
    submit("prod", 4, 1);
    round_and_pass(0);
    ck_preempted(0, 4, 1, large);
}
END_TEST

START_TEST(test_the_youngest_of_one_agent)
{
    uint64_t old = full_agent();
    uint64_t job = submit("prod", 2, 1);

    round_and_pass(0);
    ck_assert_uint_eq(count, 1);
    ck_preempted(0, job, 1, old + 1);
}
END_TEST

/* More sets than are tried: who is taken suffices, and nobody is too many (it is applied). */
START_TEST(test_of_many_some_are_taken)
{
    struct job_spec like;

    cluster_add_agent(&c, amounts(100000, 100000, 0, 0));
    job_spec_init(&like);
    like.role = "batch";
    for (uint64_t i = 1; i <= 50; i++) {
        like.resources = amounts(40 * i, 2000 - 39 * i, 0, 0);
        cluster_submit_like(&c, &like);
    }
    ck_assert_uint_eq(cluster_settle(&c), 50);
    like.role = "prod";
    like.resources = amounts(75000, 75000, 0, 0);
    set_role("prod", ROLE_HAS_PREEMPT, (struct role_spec){.preempt = 100});
    cluster_submit_like(&c, &like);
    round_and_pass(0);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_gt(found[0].count, 10);
}
END_TEST

/* ---- whether ---- */

START_TEST(test_nobody_is_taken_while_there_is_room)
{
    full_agent();
    cluster_add_agent(&c, cpus(1));
    submit("prod", 1, 1);
    round_and_pass(1);
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(test_what_is_ending_anyway_is_waited_for)
{
    uint64_t job;

    full_agent();
    full_agent();
    cluster_kill(&c, 3);
    job = submit("prod", 2, 1);
    round_and_pass(0);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(__builtin_popcountll(claims_of(&c.sched->claims, job)), 1);
    cluster_report(&c, 3, TASK_KILLED);
    submit("batch", 1, 4);
    ck_assert_uint_eq(cluster_settle(&c), 1);
    ck_assert_uint_eq(agent_of(job, 0), 2);
}
END_TEST

START_TEST(test_a_new_leader_preempts_nobody_twice)
{
    uint64_t job;

    full_agent();
    full_agent();
    job = submit("prod", 2, 2);
    round_and_pass(0);
    ck_assert_uint_eq(count, 2);
    sched_reset(c.sched, c.state);
    round_and_pass(0);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(__builtin_popcountll(claims_of(&c.sched->claims, job)), 2);
}
END_TEST

START_TEST(test_a_minimum_is_taken_back_and_no_more)
{
    uint64_t job;

    full_agent();
    full_agent();
    set_role("batch", ROLE_HAS_PRIORITY, (struct role_spec){.priority = 5});
    set_role("prod", ROLE_HAS_MIN, (struct role_spec){.min = bound(3)});
    job = submit("prod", 1, 8);
    round_and_pass(0);
    ck_assert_uint_eq(count, 2); /* one task for each agent at a time */
    ck_preempted(0, job, 2, 4);
    ck_preempted(1, job, 1, 2);
    cluster_report(&c, 4, TASK_KILLED);
    cluster_report(&c, 2, TASK_KILLED);
    round_and_pass(4);
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_ge((uint64_t)state_role(c.state, "prod")->use.amount[RESOURCE_CPUS],
                      3000);
}
END_TEST

START_TEST(test_within_a_role_only_who_comes_first)
{
    struct job_spec like;
    uint64_t job, old;

    set_role("batch",
             ROLE_HAS_PREEMPT | ROLE_HAS_AGING,
             (struct role_spec){.preempt = 1, .aging_ms = 1000});
    old = full_agent();
    job_spec_init(&like);
    like.role = "batch";
    like.resources = cpus(2);
    like.priority = 10;
    c.now_us += 11000000; /* ten points are worth ten seconds */
    job = cluster_submit_like(&c, &like);
    round_and_pass(0);
    ck_assert_uint_eq(count, 0);
    like.priority = 20;
    job = cluster_submit_like(&c, &like);
    round_and_pass(0);
    ck_preempted(0, job, 1, old + 1);
}
END_TEST

START_TEST(test_srtf_preempts_for_who_is_done_soon)
{
    struct job_spec like;
    uint64_t job;

    set_role("short",
             ROLE_HAS_ORDER | ROLE_HAS_PREEMPT,
             (struct role_spec){.order = ROLE_SRTF, .preempt = 5});
    cluster_add_agent(&c, cpus(4));
    job_spec_init(&like);
    like.role = "short";
    like.resources = cpus(4);
    like.estimate_ms = 100000;
    cluster_submit_like(&c, &like);
    ck_assert_uint_eq(cluster_settle(&c), 1);
    c.now_us += 30000000;
    like.estimate_ms = 41000;
    cluster_submit_like(&c, &like);
    round_and_pass(0);
    ck_assert_uint_eq(count, 0);
    like.estimate_ms = 30000;
    job = cluster_submit_like(&c, &like);
    round_and_pass(0);
    ck_preempted(0, job, 1, 1);
}
END_TEST

START_TEST(test_constraints_are_kept)
{
    struct agent_spec agent = {.resources = cpus(4), .features = AGENT_FEATURE_JOBS_2};
    struct job_spec like;
    uint64_t job, victim;

    full_agent();
    agent.hostname = "other";
    cluster_add_agent_like(&c, &agent);
    victim = run("batch", 4, 2);
    run("batch", 1, cluster_add_agent(&c, cpus(1))); /* younger */
    job_spec_init(&like);
    like.role = "prod";
    like.resources = cpus(1);
    condition_parse(match_add_constraint(&like.match), "host = other", NULL);
    job = cluster_submit_like(&c, &like);
    match_finish(&like.match);
    round_and_pass(0);
    ck_assert_uint_eq(count, 1);
    ck_preempted(0, job, 2, victim);
}
END_TEST

START_TEST(test_a_maximum_is_kept)
{
    full_agent();
    set_role("prod", ROLE_HAS_MAX, (struct role_spec){.max = bound(3)});
    submit("prod", 2, 2);
    full_agent();
    round_and_pass(0);
    ck_assert_uint_eq(count, 1);
}
END_TEST

START_TEST(test_who_waits_is_told)
{
    unsigned looks = SCHED_EXPLAIN_LOOKS;
    char why[SCHED_WHY_BYTES];
    uint64_t job;

    full_agent();
    job = submit("prod", 2, 1);
    round_and_pass(0);
    sched_explain(
        c.sched, c.state, c.now_us, state_job(c.state, job), &looks, why, sizeof(why));
    ck_assert_str_eq(why,
                     "waiting for 2 cpus: 1 agent has room when its tasks end; cpus: 1 "
                     "full; room is made for it on agent 1");
}
END_TEST

/* ---- how many ---- */

START_TEST(test_a_budget_is_of_any_minute)
{
    for (int i = 0; i < 4; i++)
        run("batch", 4, cluster_add_agent(&c, cpus(4)));
    set_role("prod", ROLE_HAS_PREEMPT, (struct role_spec){.preempt = 2});
    submit("prod", 4, 4);
    round_and_pass(0);
    ck_assert_uint_eq(count, 2);
    c.now_us += 57 * 1000000;
    pass();
    ck_assert_uint_eq(count, 0);
    c.now_us += 1000000;
    pass();
    ck_assert_uint_eq(count, 2);
}
END_TEST

START_TEST(test_more_victims_than_the_budget_are_waited_for)
{
    full_agent();
    set_role("prod", ROLE_HAS_PREEMPT, (struct role_spec){.preempt = 1});
    submit("prod", 4, 1);
    round_and_pass(0);
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(test_a_pass_is_not_made_at_once_again)
{
    bool more;

    full_agent();
    submit("prod", 2, 1);
    pass();
    submit("prod", 2, 1);
    cluster_settle(&c);
    ck_assert(!sched_preempt(c.sched, c.state, c.now_us + 900000, found, &more));
    ck_assert(!more);
}
END_TEST

/* ---- what is kept ---- */

/* What one victim left is not given to others, or to that victim, before the other has ended. */
START_TEST(test_the_place_is_kept)
{
    uint64_t job;

    full_agent();
    job = submit("prod", 4, 1);
    round_and_pass(0);
    ck_assert_uint_eq(found[0].count, 2);
    submit("batch", 1, 8);
    cluster_report(&c, 1, TASK_KILLED);
    round_and_pass(0);
    ck_assert_uint_eq(count, 0);
    cluster_report(&c, 2, TASK_KILLED);
    ck_assert_uint_eq(cluster_settle(&c), 1);
    ck_assert_uint_eq(agent_of(job, 0), 1);
    ck_assert_int_eq(__builtin_popcountll(c.sched->claims.used), 0);
    sched_check(c.sched, c.state);
}
END_TEST

START_TEST(test_others_get_what_is_not_needed)
{
    uint64_t small;

    cluster_add_agent(&c, cpus(8));
    run("batch", 6, 1);
    submit("prod", 5, 1);
    round_and_pass(0);
    ck_assert_uint_eq(count, 1);
    small = submit("batch", 1, 8); /* 2 cpus are free, and 3 will be left */
    ck_assert_uint_eq(cluster_settle(&c), 2);
    ck_assert_uint_eq(agent_of(small, 1), 1);
    cluster_report(&c, 1, TASK_KILLED);
    ck_assert_uint_eq(cluster_settle(&c), 2);
    sched_check(c.sched, c.state);
}
END_TEST

START_TEST(test_who_has_an_earlier_turn_may_use_it)
{
    uint64_t job;

    full_agent();
    submit("prod", 2, 1);
    round_and_pass(0);
    set_role("first", ROLE_HAS_PRIORITY, (struct role_spec){.priority = 2});
    job = submit("first", 2, 1);
    cluster_report(&c, 2, TASK_KILLED);
    ck_assert_uint_eq(cluster_settle(&c), 1);
    ck_assert_uint_eq(agent_of(job, 0), 1);
    sched_check(c.sched, c.state);
    pass();
    ck_assert_uint_eq(count, 1);
}
END_TEST

START_TEST(test_a_claim_ends_with_its_job_and_its_agent)
{
    uint64_t job;

    full_agent();
    job = submit("prod", 2, 1);
    round_and_pass(0);
    ck_assert_int_eq(__builtin_popcountll(c.sched->claims.used), 1);
    cluster_kill(&c, job);
    cluster_report(&c, 2, TASK_KILLED);
    ck_assert_uint_eq(cluster_settle(&c), 1); /* the victim is back */
    ck_assert_int_eq(__builtin_popcountll(c.sched->claims.used), 0);
    submit("prod", 2, 1);
    round_and_pass(0);
    ck_assert_int_eq(__builtin_popcountll(c.sched->claims.used), 1);
    cluster_agent_gone(&c, 1);
    cluster_settle(&c);
    ck_assert_int_eq(__builtin_popcountll(c.sched->claims.used), 0);
    sched_check(c.sched, c.state);
}
END_TEST

START_TEST(test_what_is_refused_is_not_kept)
{
    bool more;

    full_agent();
    submit("prod", 2, 1);
    cluster_settle(&c);
    ck_assert(sched_preempt(c.sched, c.state, c.now_us, found, &more));
    ck_assert_int_eq(__builtin_popcountll(c.sched->claims.used), 1);
    sched_preempted(c.sched, false);
    ck_assert_int_eq(__builtin_popcountll(c.sched->claims.used), 0);
    cluster_settle(&c);
    sched_check(c.sched, c.state);
}
END_TEST

/* A pass that finds nothing, or one that is refused: for this agent; 0: none. */
static void pass_is_refused(uint64_t agent)
{
    bool more = true, is_found = false;

    cluster_settle(&c);
    c.now_us += PREEMPT_PASS_MS * 1000ull;
    while (more && !is_found)
        is_found = sched_preempt(c.sched, c.state, c.now_us, found, &more);
    ck_assert_uint_eq(is_found ? found[0].agent : 0, agent);
    if (is_found)
        sched_preempted(c.sched, false);
}

START_TEST(test_what_is_refused_is_left_alone_until_it_changes)
{
    uint64_t old = full_agent(), job;

    full_agent();
    job = submit("prod", 2, 1);
    pass_is_refused(2);
    pass_is_refused(1); /* there it may be another matter */
    pass_is_refused(0);
    cluster_report(&c, old, TASK_RUNNING); /* something of agent 1 */
    pass_is_refused(1);
    pass_is_refused(0);
    submit("batch", 1, 1); /* it comes later, and waits as well */
    pass_is_refused(0);
    c.now_us += REFUSAL_US;
    pass_is_refused(2);
    pass();
    ck_preempted(0, job, 1, old + 1);
}
END_TEST

START_TEST(test_a_port_is_kept)
{
    struct agent_spec agent = {.resources = cpus(8),
                               .features = AGENT_FEATURE_JOBS_2,
                               .ports = {{80, 80}},
                               .port_count = 1};
    struct job_spec like;
    uint64_t job;

    cluster_add_agent_like(&c, &agent);
    job_spec_init(&like);
    like.resources = cpus(1);
    like.ports.fixed[0] = (struct port_range){80, 80};
    like.ports.fixed_count = 1;
    like.role = "batch";
    cluster_submit_like(&c, &like);
    ck_assert_uint_eq(cluster_settle(&c), 1);
    like.role = "prod";
    job = cluster_submit_like(&c, &like);
    round_and_pass(0);
    ck_preempted(0, job, 1, 1);
    submit("batch", 1, 1);
    ck_assert_uint_eq(cluster_settle(&c), 1); /* which needs none */
    cluster_report(&c, 1, TASK_KILLED);
    ck_assert_uint_eq(cluster_settle(&c), 1);
    ck_assert_uint_eq(agent_of(job, 0), 1);
}
END_TEST

int main(void)
{
    TCase *t = unit_case("preempt",
                         test_the_example_of_the_specification,
                         test_fewest_before_youngest,
                         test_the_youngest_of_one_agent,
                         test_of_many_some_are_taken,
                         test_nobody_is_taken_while_there_is_room,
                         test_what_is_ending_anyway_is_waited_for,
                         test_a_new_leader_preempts_nobody_twice,
                         test_a_minimum_is_taken_back_and_no_more,
                         test_within_a_role_only_who_comes_first,
                         test_srtf_preempts_for_who_is_done_soon,
                         test_constraints_are_kept,
                         test_a_maximum_is_kept,
                         test_who_waits_is_told,
                         test_a_budget_is_of_any_minute,
                         test_more_victims_than_the_budget_are_waited_for,
                         test_a_pass_is_not_made_at_once_again,
                         test_the_place_is_kept,
                         test_others_get_what_is_not_needed,
                         test_who_has_an_earlier_turn_may_use_it,
                         test_a_claim_ends_with_its_job_and_its_agent,
                         test_what_is_refused_is_not_kept,
                         test_what_is_refused_is_left_alone_until_it_changes,
                         test_a_port_is_kept);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("preempt", &t, 1);
}
