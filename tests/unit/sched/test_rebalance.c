/* test_rebalance.c - docs/spec/17-rebalance.md: what is moved, where to, and for whom the place is
 * kept. */
#include "base/limits.h"
#include "raft_fsm/move.h"
#include "sched/internal.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"

#include <stdio.h>
#include <string.h>

static struct cluster c;
static struct move moved;

static struct resources quarters(uint64_t n)
{
    return amounts(n * 1000, n * 2048, 0, 0);
}

static void set_role(const char *name, uint32_t given, struct role_spec spec)
{
    struct role_change change = {.name = (char *)name, .given = given, .spec = spec};

    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
}

static void allow(uint32_t per_minute)
{
    set_role("web", ROLE_HAS_REBALANCE, (struct role_spec){.rebalance = per_minute});
}

static uint64_t add_agent(const char *host)
{
    struct agent_spec agent = {.resources = quarters(4),
                               .hostname = (char *)host,
                               .features = AGENT_FEATURE_JOBS_2};

    return cluster_add_agent_like(&c, &agent);
}

static void name_agent(uint64_t agent, const char *host)
{
    struct agent_spec spec = {.resources = quarters(4),
                              .hostname = (char *)host,
                              .features = AGENT_FEATURE_JOBS_2};

    cluster_resize_agent_like(&c, agent, &spec);
}

/* A service of tasks that have a quarter of an agent each, with a constraint or NULL. */
static uint64_t submit(uint32_t instances, const char *constraint)
{
    struct job_spec like;
    uint64_t job;

    job_spec_init(&like);
    like.kind = JOB_SERVICE;
    job_spec_complete(&like); /* of one task: without a spread */
    like.role = "web";
    like.resources = quarters(1);
    like.instances = instances;
    if (constraint != NULL)
        condition_parse(match_add_constraint(&like.match), constraint, NULL);
    job = cluster_submit_like(&c, &like);
    match_finish(&like.match);
    return job;
}

static uint64_t attempt_of(uint64_t job, uint32_t instance)
{
    return job_task(state_job(c.state, job), instance)->attempt_id;
}

static uint64_t agent_of(uint64_t job, uint32_t instance)
{
    const struct task *t = job_task(state_job(c.state, job), instance);

    return t->state == TASK_PENDING ? 0 : t->agent_id;
}

/* The next task of the job on this agent; it runs. */
static void run(uint64_t job, uint32_t instance, uint64_t agent)
{
    struct placement p = {job, instance, 1, agent};
    struct command command = {.kind = COMMAND_PLACE,
                              .place = {.placements = &p, .count = 1}};

    ck_assert_uint_eq(cluster_apply(&c, &command).id, 1);
    sched_agent_changed(c.sched, c.state, agent);
    cluster_report(&c, c.state->globals.last_attempt_id, TASK_RUNNING);
}

static uint64_t run_all(uint32_t instances, uint64_t agent)
{
    uint64_t job = submit(instances, NULL);

    for (uint32_t i = 0; i < instances; i++)
        run(job, i, agent);
    return job;
}

static bool next(void)
{
    cluster_settle(&c);
    sched_check(c.sched, c.state);
    return cluster_rebalance(&c, &moved);
}

/* Time for a pass. */
static bool pass(void)
{
    c.now_us += REBALANCE_PASS_MS * 1000ull;
    return next();
}

static void settle(void)
{
    c.now_us += REBALANCE_SETTLED_MS * 1000ull;
}

static void ck_moves(uint64_t job, uint32_t instance, uint64_t agent)
{
    ck_assert_uint_eq(moved.attempt, attempt_of(job, instance));
    ck_assert_uint_eq(moved.agent, agent);
}

/* The task ends, is placed again, and runs there. */
static void arrive(uint64_t job, uint32_t instance, uint64_t agent)
{
    cluster_report(&c, attempt_of(job, instance), TASK_KILLED);
    cluster_settle(&c);
    ck_assert_uint_eq(agent_of(job, instance), agent);
    cluster_report(&c, attempt_of(job, instance), TASK_RUNNING);
}

static int kept(void)
{
    return __builtin_popcountll(c.sched->claims.used);
}

static void setup(void)
{
    cluster_init(&c);
    set_role("web",
             ROLE_HAS_BALANCE | ROLE_HAS_REBALANCE,
             (struct role_spec){.balance = BALANCE_SPREAD, .rebalance = 100});
}

static void teardown(void)
{
    cluster_finish(&c);
}

/* Agent 1 is full of a service, which has settled; agent 2 is empty. */
static uint64_t full_and_empty(void)
{
    uint64_t job = (add_agent("one"), run_all(4, 1));

    add_agent("two");
    settle();
    return job;
}

/* ---- which and where ---- */

START_TEST(test_the_example_of_the_specification)
{
    uint64_t a, b;

    add_agent("one");
    add_agent("two");
    a = run_all(4, 1);
    b = run_all(4, 2);
    add_agent("three");
    settle();
    ck_assert(pass());
    ck_moves(a, 0, 3);
    ck_assert(!pass()); /* agent 3 is kept */
    arrive(a, 0, 3);
    ck_assert(pass());
    ck_moves(b, 0, 3);
    arrive(b, 0, 3);
    settle();
    ck_assert(!pass());
    sched_check(c.sched, c.state);
}
END_TEST

START_TEST(test_full_agents_are_filled_up_by_binpack)
{
    uint64_t job;

    set_role("web", ROLE_HAS_BALANCE, (struct role_spec){.balance = BALANCE_BINPACK});
    add_agent("one");
    add_agent("two");
    run_all(2, 1);
    job = run_all(1, 2);
    settle();
    ck_assert(pass()); /* 750 are free where it is, 250 there */
    ck_moves(job, 0, 1);
    arrive(job, 0, 1);
    settle();
    ck_assert(!pass());
}
END_TEST

START_TEST(test_less_than_a_tenth_is_not_worth_it)
{
    struct agent_spec agent = {.features = AGENT_FEATURE_JOBS_2};
    uint64_t job;

    add_agent("one");
    job = run_all(1, 1); /* left: 750 of 1000 */
    set_role("web", ROLE_HAS_BALANCE, (struct role_spec){.balance = BALANCE_BINPACK});
    agent.resources = amounts(3396, 6963, 0, 0);
    cluster_add_agent_like(&c, &agent); /* left would be 599 and more */
    settle();
    ck_assert(pass());
    ck_moves(job, 0, 2);
    arrive(job, 0, 2);
    agent.resources = amounts(3000, 6154, 0, 0);
    cluster_add_agent_like(&c, &agent); /* 500: 99 better */
    settle();
    ck_assert(!pass());
    agent.resources = amounts(2980, 6104, 0, 0);
    cluster_resize_agent_like(&c, 3, &agent);
    ck_assert(pass());
    ck_moves(job, 0, 3);
}
END_TEST

START_TEST(test_a_broken_constraint_needs_no_gain)
{
    uint64_t job;

    add_agent("one");
    add_agent("two");
    run_all(2, 2);
    job = submit(1, "host = one");
    run(job, 0, 1);
    settle();
    ck_assert(!pass());
    name_agent(1, "other");
    ck_assert(!pass()); /* nobody keeps it */
    name_agent(2, "one");
    ck_assert(pass());
    ck_moves(job, 0, 2);
}
END_TEST

START_TEST(test_tasks_that_are_too_near_are_parted)
{
    uint64_t job;

    add_agent("one");
    add_agent("two");
    run_all(3, 2);
    job = submit(2, "host distinct");
    run(job, 0, 1);
    run(job, 1, 1); /* applying does not look at that */
    settle();
    ck_assert(pass());
    ck_moves(job, 0, 2);
    arrive(job, 0, 2);
    settle();
    ck_assert(!pass());
}
END_TEST

/* A service of one task called "db", that runs on this agent and is to be apart from others. */
static uint64_t run_apart(const char *apart, uint64_t agent)
{
    struct job_spec like;
    uint64_t job;

    job_spec_init(&like);
    like.kind = JOB_SERVICE;
    job_spec_complete(&like);
    like.name = "db";
    like.role = "web";
    like.resources = quarters(1);
    ck_assert_int_eq(apart_parse(match_add_apart(&like.match), apart, NULL), 0);
    job = cluster_submit_like(&c, &like);
    match_finish(&like.match);
    run(job, 0, agent);
    return job;
}

/* ---- what stays ---- */

START_TEST(test_nobody_follows_who_wants_to_be_apart)
{
    uint64_t job;

    set_role("web", ROLE_HAS_BALANCE, (struct role_spec){.balance = BALANCE_BINPACK});
    add_agent("one");
    add_agent("two");
    run_all(1, 1); /* 500 would be there, 250 are here */
    job = run_apart("a job", 2);
    settle();
    ck_assert(!pass());
    cluster_kill(&c, job);
    cluster_report(&c, attempt_of(job, 0), TASK_KILLED);
    run_apart("another", 2);
    settle();
    ck_assert(pass());
}
END_TEST

START_TEST(test_nobody_flees_for_a_weight)
{
    set_role("web", ROLE_HAS_BALANCE, (struct role_spec){.balance = BALANCE_BINPACK});
    add_agent("one");
    add_agent("two");
    run_all(1, 1);
    run_apart("a job:100", 1); /* balance 250 there, 500 here; affinity 1000, 0 */
    settle();
    ck_assert(!pass());
    run_apart("a job", 1); /* which is a constraint */
    settle();
    ck_assert(pass());
    ck_assert_uint_eq(moved.agent, 2);
}
END_TEST

START_TEST(test_it_is_off_unless_it_is_asked_for)
{
    full_and_empty();
    allow(0);
    ck_assert(!pass());
    allow(1);
    ck_assert(pass());
}
END_TEST

START_TEST(test_what_has_not_settled_stays)
{
    add_agent("one");
    run_all(4, 1);
    add_agent("two");
    c.now_us += (REBALANCE_SETTLED_MS - REBALANCE_PASS_MS) * 1000ull - 100000;
    ck_assert(!pass());
    ck_assert(pass());
}
END_TEST

START_TEST(test_nothing_moves_while_something_waits)
{
    struct job_spec like;
    uint64_t large;

    full_and_empty();
    job_spec_init(&like);
    like.role = "web";
    like.resources = quarters(5);
    like.instances = 1;
    large = cluster_submit_like(&c, &like);
    ck_assert(!pass());
    cluster_kill(&c, large);
    ck_assert(pass());
}
END_TEST

START_TEST(test_a_job_that_is_not_well_stays)
{
    uint64_t job = full_and_empty();
    struct task_update update = {
        .attempt = attempt_of(job, 3), .state = TASK_RUNNING, .health = HEALTH_FAILING};
    struct command command = {
        .kind = COMMAND_TASK_UPDATE,
        .task_update = {.agent = 1, .updates = &update, .count = 1}};

    cluster_apply(&c, &command);
    ck_assert(!pass());
    for (uint32_t i = 0; i < 4; i++) {
        update.attempt = attempt_of(job, i);
        update.health = HEALTH_PASSING;
        cluster_apply(&c, &command);
    }
    ck_assert(pass());
}
END_TEST

/* ---- on the way ---- */

START_TEST(test_the_place_is_kept)
{
    struct job_spec like;
    uint64_t job, other;

    job = full_and_empty();
    ck_assert(next());
    ck_moves(job, 0, 2);
    ck_assert_int_eq(kept(), 1);
    set_role("first", ROLE_HAS_PRIORITY, (struct role_spec){.priority = 10});
    job_spec_init(&like);
    like.role = "first";
    like.resources = quarters(2);
    like.instances = 2;
    other = cluster_submit_like(&c, &like);
    ck_assert_uint_eq(cluster_settle(&c), 1); /* beside it; the other one waits */
    sched_check(c.sched, c.state);
    ck_assert_uint_eq(agent_of(other, 0), 2);
    cluster_report(&c, attempt_of(job, 0), TASK_KILLED);
    ck_assert_uint_eq(cluster_settle(&c), 1);
    ck_assert_uint_eq(agent_of(job, 0), 2);
    ck_assert_int_eq(kept(), 0);
    sched_check(c.sched, c.state);
}
END_TEST

START_TEST(test_who_waits_is_told_where_it_goes)
{
    unsigned looks = SCHED_EXPLAIN_LOOKS;
    char why[SCHED_WHY_BYTES];
    uint64_t job;

    add_agent("one");
    add_agent("two");
    job = submit(1, "host = one");
    run(job, 0, 1);
    add_agent("one");
    run_all(4, 3);
    settle();
    name_agent(1, "other");
    name_agent(2, "one");
    ck_assert(pass());
    name_agent(2, "two"); /* and back again: now it fits nowhere */
    cluster_report(&c, attempt_of(job, 0), TASK_KILLED);
    ck_assert_uint_eq(cluster_settle(&c), 0);
    sched_check(c.sched, c.state);
    sched_explain(
        c.sched, c.state, c.now_us, state_job(c.state, job), &looks, why, sizeof(why));
    ck_assert_msg(strstr(why, "; it moves to agent 2") != NULL, "%s", why);
}
END_TEST

START_TEST(test_a_claim_ends_with_its_job_and_its_agent)
{
    uint64_t job = full_and_empty();

    ck_assert(next());
    ck_assert_int_eq(kept(), 1);
    cluster_report(&c, attempt_of(job, 0), TASK_FINISHED);
    cluster_settle(&c);
    ck_assert(!pass()); /* it waits for its time to be repeated */
    ck_assert_int_eq(kept(), 0);
    cluster_retry(&c, job, 0);
    cluster_settle(&c);
    cluster_report(&c, attempt_of(job, 0), TASK_RUNNING);
    settle();
    ck_assert(pass());
    cluster_agent_gone(&c, 2);
    cluster_settle(&c);
    ck_assert_int_eq(kept(), 0);
    sched_check(c.sched, c.state);
}
END_TEST

START_TEST(test_a_kill_ends_it)
{
    uint64_t job = full_and_empty();

    ck_assert(next());
    cluster_kill(&c, job);
    ck_assert(!next());
    ck_assert_int_eq(kept(), 0);
    cluster_report(&c, attempt_of(job, 0), TASK_KILLED);
    ck_assert_uint_eq(cluster_settle(&c), 0);
}
END_TEST

START_TEST(test_a_new_leader_lets_it_come)
{
    uint64_t job = full_and_empty();

    ck_assert(next());
    sched_reset(c.sched, c.state);
    ck_assert(!pass());
    arrive(job, 0, 2);
    ck_assert(pass());
    ck_moves(job, 1, 2);
}
END_TEST

/* ---- how many ---- */

START_TEST(test_a_budget_is_of_any_minute)
{
    uint64_t a, b;

    allow(1);
    add_agent("one");
    a = run_all(2, 1);
    b = run_all(2, 1);
    add_agent("two");
    settle();
    ck_assert(pass());
    arrive(a, 0, 2);
    c.now_us += 49000000;
    ck_assert(!pass());
    c.now_us += 1000000;
    ck_assert(pass());
    ck_moves(b, 0, 2);
}
END_TEST

START_TEST(test_what_is_refused_is_left_alone_until_it_changes)
{
    uint64_t job = full_and_empty();
    bool more;

    ck_assert(
        sched_rebalance(c.sched, c.state, &REBALANCE_PACE, c.now_us, &moved, &more));
    ck_assert_int_eq(kept(), 1);
    sched_moved(c.sched, false);
    ck_assert_int_eq(kept(), 0);
    ck_assert(!pass());
    cluster_report(&c, attempt_of(job, 3), TASK_FINISHED);
    cluster_settle(&c);
    cluster_retry(&c, job, 3);
    cluster_settle(&c);
    cluster_report(&c, attempt_of(job, 3), TASK_RUNNING);
    ck_assert(pass());
}
END_TEST

START_TEST(test_a_pass_is_not_made_at_once_again)
{
    add_agent("one");
    run_all(4, 1);
    settle();
    ck_assert(!pass());
    add_agent("two");
    c.now_us += REBALANCE_PASS_MS * 1000ull - 100000;
    ck_assert(!next());
    c.now_us += 100000;
    ck_assert(next());
}
END_TEST

/* The best agent is that of somebody who does not want it: the next best is taken. */
START_TEST(test_who_is_unwelcome_goes_elsewhere)
{
    uint64_t job;

    add_agent("home");
    job = submit(1, "host != gone");
    run(job, 0, 1);
    add_agent("lonely");
    run_apart("a job", 2);
    add_agent("far");
    run_all(2, 3);
    name_agent(1, "gone");
    settle();
    ck_assert(pass());
    ck_moves(job, 0, 3);
}
END_TEST

/* It ended, and does not come: its agent has other attributes now, and others have no room. */
START_TEST(test_a_place_is_not_kept_for_ever)
{
    uint64_t job, other;

    add_agent("a1");
    job = submit(2, "host regexp ^a");
    run(job, 0, 1);
    run(job, 1, 1);
    add_agent("a2");
    settle();
    ck_assert(pass());
    ck_moves(job, 0, 2);
    name_agent(2, "b2");
    cluster_agent_mode(&c, 1, AGENT_CORDONED);
    cluster_report(&c, attempt_of(job, 0), TASK_KILLED);
    ck_assert(!pass());
    other = submit(4, "host = b2");
    cluster_settle(&c);
    ck_assert_uint_eq(job_live(state_job(c.state, other)), 3);
    c.now_us += REBALANCE_KEPT_MS * 1000ull;
    ck_assert(!sched_is_due(c.sched));
    ck_assert(!pass());
    ck_assert(sched_is_due(c.sched));
    cluster_settle(&c);
    ck_assert_uint_eq(job_live(state_job(c.state, other)), 4);
}
END_TEST

/* Its place under the maximum is not kept: another job could take it meanwhile. */
START_TEST(test_nothing_moves_at_the_maximum)
{
    struct role_spec spec = {.max = {.kinds = 1u << RESOURCE_CPUS}};

    add_agent("one");
    run_all(4, 1);
    add_agent("two");
    spec.max.amount = amounts(4000, 0, 0, 0);
    set_role("web", ROLE_HAS_MAX, spec);
    settle();
    ck_assert(!pass());
    spec.max.amount = amounts(5000, 0, 0, 0);
    set_role("web", ROLE_HAS_MAX, spec);
    ck_assert(pass());
}
END_TEST

#define MANY 3000u

/* Each task of this job asks all agents; a call goes on by one search at most. */
START_TEST(test_slices_are_bounded)
{
    unsigned most = c.sched->looks / 4 + 4 * MANY / ASKED_PER_LOOK, calls = 0;
    struct rebalancing *r = &c.sched->rebalancing;
    bool more = true;
    uint64_t job;

    for (unsigned i = 0; i < MANY; i++) {
        char host[16];

        snprintf(host, sizeof(host), "%s%u", i % 100 == 0 ? "db" : "web", i);
        add_agent(host);
    }
    job = submit(30, "host regexp ^db");
    for (uint32_t i = 0; i < 30; i++)
        run(job, i, 1 + 100ull * i);
    settle();
    cluster_settle(&c);
    c.now_us += REBALANCE_PASS_MS * 1000ull;
    while (more) {
        uint64_t before = r->is_on ? r->looked : 0;

        ck_assert(!sched_rebalance(
            c.sched, c.state, &REBALANCE_PACE, c.now_us, &moved, &more));
        ck_assert_uint_le(r->looked - before, most);
        ck_assert_uint_lt(++calls, 1000);
    }
    ck_assert_uint_gt(calls, 5);
    ck_assert_uint_ge(r->looked, 30 * MANY / ASKED_PER_LOOK);
}
END_TEST

int main(void)
{
    TCase *t = unit_case("rebalance",
                         test_the_example_of_the_specification,
                         test_full_agents_are_filled_up_by_binpack,
                         test_less_than_a_tenth_is_not_worth_it,
                         test_a_broken_constraint_needs_no_gain,
                         test_tasks_that_are_too_near_are_parted,
                         test_nobody_follows_who_wants_to_be_apart,
                         test_nobody_flees_for_a_weight,
                         test_it_is_off_unless_it_is_asked_for,
                         test_what_has_not_settled_stays,
                         test_nothing_moves_while_something_waits,
                         test_a_job_that_is_not_well_stays,
                         test_the_place_is_kept,
                         test_who_waits_is_told_where_it_goes,
                         test_a_claim_ends_with_its_job_and_its_agent,
                         test_a_kill_ends_it,
                         test_a_new_leader_lets_it_come,
                         test_a_budget_is_of_any_minute,
                         test_what_is_refused_is_left_alone_until_it_changes,
                         test_a_pass_is_not_made_at_once_again,
                         test_who_is_unwelcome_goes_elsewhere,
                         test_a_place_is_not_kept_for_ever,
                         test_nothing_moves_at_the_maximum,
                         test_slices_are_bounded);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("rebalance", &t, 1);
}
