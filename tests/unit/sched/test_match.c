/* test_match.c - docs/spec/7-scheduling.md: which agents a job may have, and which is best. */
#include "base/text.h"
#include "sched/internal.h"
#include "sched/seek.h"
#include "sched/worth.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct cluster c;
static struct job_spec spec;
static char why[SCHED_WHY_BYTES];

static void setup(void)
{
    cluster_init(&c);
    job_spec_init(&spec);
    spec.resources = amounts(1000, 0, 0, 0);
}

static void teardown(void)
{
    job_spec_finish(&spec);
    cluster_finish(&c);
}

/* "rack:a;zone:b" */
static struct agent_spec agent_like(struct resources r, const char *attributes)
{
    struct agent_spec like = {.resources = r, .features = AGENT_FEATURE_JOBS_2};

    ck_assert_int_eq(agent_spec_parse_attributes(&like, attributes, NULL), 0);
    return like;
}

static void forget(struct agent_spec *like)
{
    like->hostname = NULL;
    agent_spec_finish(like);
}

static uint64_t add(struct resources r, const char *attributes)
{
    struct agent_spec like = agent_like(r, attributes);
    uint64_t id = cluster_add_agent_like(&c, &like);

    forget(&like);
    return id;
}

static void change(uint64_t agent, struct resources r, const char *attributes)
{
    struct agent_spec like = agent_like(r, attributes);

    cluster_resize_agent_like(&c, agent, &like);
    forget(&like);
}

static void constrain(const char *text)
{
    ck_assert_int_eq(condition_parse(match_add_constraint(&spec.match), text, NULL), 0);
}

static void prefer(const char *text)
{
    ck_assert_int_eq(affinity_parse(match_add_affinity(&spec.match), text, NULL), 0);
}

static void spread_over(const char *text)
{
    ck_assert_int_eq(spread_parse(match_add_spread(&spec.match), text, NULL), 0);
}

static void keep_apart(const char *text)
{
    ck_assert_int_eq(apart_parse(match_add_apart(&spec.match), text, NULL), 0);
}

/* The job as it was said so far; the next one takes any agent again. */
static uint64_t submit(uint32_t instances)
{
    uint64_t job;

    spec.instances = instances;
    job = cluster_submit_like(&c, &spec);
    match_finish(&spec.match);
    return job;
}

static void set_role(uint32_t alpha, enum role_balance balance)
{
    struct role_change role = {.name = ROLE_DEFAULT,
                               .given = ROLE_HAS_ALPHA | ROLE_HAS_BALANCE,
                               .spec = {.alpha = alpha, .balance = balance}};

    cluster_set_role(&c, &role);
}

/* A round places `count` tasks of the job on these agents, in order, and no more. */
static void expect(uint64_t job, size_t count, ...)
{
    va_list agents;

    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, count);
    va_start(agents, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(c.plan[i].job, job);
        ck_assert_uint_eq(c.plan[i].agent, (uint64_t)va_arg(agents, int));
    }
    va_end(agents);
    ck_assert_uint_eq(cluster_place(&c), count);
    sched_check(c.sched, c.state);
}

static uint64_t attempt_of(uint64_t job, uint32_t instance)
{
    return job_task(state_job(c.state, job), instance)->attempt_id;
}

static const char *explain(uint64_t job)
{
    unsigned looks = SCHED_EXPLAIN_LOOKS;

    cluster_settle(&c);
    sched_explain(
        c.sched, c.state, c.now_us, state_job(c.state, job), &looks, why, sizeof(why));
    return why;
}

/* ---- constraints ---- */

START_TEST(test_a_task_goes_where_its_constraints_hold)
{
    add(amounts(1000, 0, 0, 0), "rack:a;gen:2");
    add(amounts(4000, 0, 0, 0), "rack:b;gen:3");
    add(amounts(2000, 0, 0, 0), "rack:b;gen:10");
    constrain("rack = b");
    expect(submit(1), 1, 3);
    constrain("gen < 10");
    constrain("rack in b, c");
    expect(submit(1), 1, 2);
    constrain("rack regexp ^[^b]$");
    expect(submit(1), 1, 1);
    constrain("agent = 3");
    expect(submit(1), 1, 3);
    constrain("rack = c");
    expect(submit(1), 0);
}
END_TEST

START_TEST(test_versions)
{
    add(amounts(1000, 0, 0, 0), "kernel:6.1.0-13-amd64");
    add(amounts(2000, 0, 0, 0), "kernel:6.6.1");
    add(amounts(3000, 0, 0, 0), "kernel:new");
    constrain("kernel version >= 6.1, < 7");
    expect(submit(3), 2, 2, 2);
}
END_TEST

/* Agents without the attribute. */
START_TEST(test_what_is_not_set)
{
    add(amounts(1000, 0, 0, 0), "");
    add(amounts(2000, 0, 0, 0), "ssd:yes");
    constrain("ssd != no");
    expect(submit(1), 1, 1);
    constrain("ssd is_not_set");
    expect(submit(1), 0);
    constrain("ssd is_set");
    expect(submit(1), 1, 2);
}
END_TEST

START_TEST(test_it_wakes_when_an_agent_gets_the_attribute)
{
    uint64_t job;

    add(amounts(4000, 0, 0, 0), "rack:a");
    add(amounts(2000, 0, 0, 0), "rack:c");
    constrain("rack = b");
    job = submit(1);
    expect(job, 0);
    change(2, amounts(2000, 0, 0, 0), "rack:b");
    expect(job, 1, 2);
}
END_TEST

START_TEST(test_an_agent_that_is_no_match_wakes_nobody)
{
    uint64_t job;

    add(amounts(4000, 0, 0, 0), "rack:a");
    constrain("rack regexp b");
    job = submit(1);
    expect(job, 0);
    add(amounts(4000, 0, 0, 0), "rack:c");
    expect(job, 0);
    add(amounts(4000, 0, 0, 0), "rack:ab");
    expect(job, 1, 3);
}
END_TEST

/* ---- distinct ---- */

START_TEST(test_each_task_on_another_agent)
{
    uint64_t job;

    for (int i = 0; i < 3; i++)
        add(amounts(4000, 0, 0, 0), "");
    constrain("agent distinct");
    job = submit(4);
    expect(job, 3, 1, 2, 3);
    cluster_report(&c, attempt_of(job, 1), TASK_FINISHED);
    expect(job, 1, 2);
}
END_TEST

START_TEST(test_two_in_each_rack)
{
    add(amounts(8000, 0, 0, 0), "rack:a");
    add(amounts(8000, 0, 0, 0), "rack:b");
    add(amounts(1000, 0, 0, 0), "");
    constrain("rack distinct 2");
    expect(submit(9), 4, 1, 1, 2, 2);
}
END_TEST

/* No agent has grown: what ended was on one that takes no work. */
START_TEST(test_an_end_on_a_cordoned_agent_wakes_it)
{
    uint64_t job;

    add(amounts(1000, 0, 0, 0), "rack:a");
    add(amounts(2000, 0, 0, 0), "rack:a");
    constrain("rack distinct");
    job = submit(2);
    expect(job, 1, 1);
    cluster_agent_mode(&c, 1, AGENT_CORDONED);
    expect(job, 0);
    cluster_report(&c, attempt_of(job, 0), TASK_FINISHED);
    expect(job, 1, 2);
}
END_TEST

START_TEST(test_an_agent_that_is_away_does_not_count)
{
    uint64_t job;

    add(amounts(1000, 0, 0, 0), "rack:a");
    add(amounts(2000, 0, 0, 0), "rack:a");
    constrain("rack distinct");
    job = submit(2);
    expect(job, 1, 1);
    cluster_agent_unreachable(&c, 1);
    expect(job, 1, 2);
}
END_TEST

/* An exclusive task counts until its lease has run out, which frees nothing. */
START_TEST(test_a_lease_that_lapses_wakes_it)
{
    uint64_t job, agent = add(amounts(4000, 0, 0, 0), "rack:a");
    struct command lapse = {.kind = COMMAND_LAPSE};

    spec.lease_ms = 10000;
    spec.lease_grace_ms = 10000;
    constrain("rack distinct");
    job = submit(2);
    expect(job, 1, 1);
    lapse.lapse.attempt = attempt_of(job, 0);
    add(amounts(4000, 0, 0, 0), "rack:a");
    expect(job, 0);
    cluster_agent_unreachable(&c, agent);
    expect(job, 0);
    ck_assert_int_eq(cluster_apply(&c, &lapse).code, ERROR_NONE);
    expect(job, 1, 2);
}
END_TEST

/* What was planned is free again for others, and they for it. */
static unsigned asleep(void)
{
    struct shape *shape;
    unsigned count = 0;

    TAILQ_FOREACH (shape, &c.sched->lanes.distincts.shapes, distinct)
        count += shape->at == SHAPE_ASLEEP;
    return count;
}

/* The first task of each keeps the second one away, until the agent of all first ones is in another
 * rack.  They are woken some in each round; those that were already when that changed once more. */
START_TEST(test_many_are_woken_in_slices)
{
    enum { JOBS = 200, LOOKS = 64 };
    struct resources for_all = amounts(JOBS * 1000, 0, 0, 0);

    cluster_finish(&c);
    cluster_init_with(&c, LOOKS);
    add(for_all, "rack:a");
    add(amounts(2 * JOBS * 1000, 0, 0, 0), "rack:a");
    for (int i = 0; i < JOBS; i++) {
        constrain("rack distinct");
        submit(2);
    }
    ck_assert_uint_eq(cluster_settle(&c), JOBS);
    ck_assert_uint_eq(asleep(), JOBS);
    change(1, for_all, "rack:a;zone:z");
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 0);
    ck_assert_uint_ge(asleep(), JOBS - LOOKS);
    ck_assert(c.more);
    change(1, for_all, "rack:b");
    cluster_settle(&c);
    ck_assert_uint_eq(c.state->task_count, 2 * JOBS);
    ck_assert_uint_eq(state_agent(c.state, 2)->attempts_count, JOBS);
    ck_assert_uint_eq(asleep(), 0);
    sched_check(c.sched, c.state);
}
END_TEST

START_TEST(test_a_batch_that_is_lost_wakes_it)
{
    uint64_t first, job;

    add(amounts(1000, 0, 0, 0), "rack:a");
    add(amounts(2000, 0, 0, 0), "rack:a");
    constrain("rack distinct");
    job = submit(2);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 1);
    spec.priority = 1;
    first = submit(1);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 2);
    ck_assert_uint_eq(c.plan[0].job, first);
    ck_assert_uint_eq(c.plan[0].agent, 1);
    ck_assert_uint_eq(c.plan[1].job, job);
    ck_assert_uint_eq(c.plan[1].agent, 2);
    ck_assert_uint_eq(cluster_place(&c), 2);
    sched_check(c.sched, c.state);
}
END_TEST

/* ---- anti-affinity ---- */

START_TEST(test_not_where_a_task_of_that_job_is)
{
    uint64_t db, web;

    add(amounts(2000, 0, 0, 0), "");
    add(amounts(4000, 0, 0, 0), "");
    spec.name = "db";
    db = submit(1);
    expect(db, 1, 1);
    spec.name = "web";
    keep_apart("db");
    web = submit(1);
    expect(web, 1, 2);
    /* Both in one round. */
    add(amounts(500, 0, 0, 0), "");
    spec.resources = amounts(500, 0, 0, 0);
    spec.name = "db";
    spec.priority = 1;
    submit(1);
    spec.name = "web";
    spec.priority = 0;
    keep_apart("db");
    submit(1);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 2);
    ck_assert_uint_eq(c.plan[0].agent, 3);
    ck_assert_uint_eq(c.plan[1].agent, 2);
    cluster_place(&c);
    spec.name = NULL;
}
END_TEST

START_TEST(test_apart_from_itself)
{
    add(amounts(2000, 0, 0, 0), "");
    add(amounts(4000, 0, 0, 0), "");
    spec.name = "web";
    keep_apart("web");
    expect(submit(3), 2, 1, 2);
    spec.name = NULL;
}
END_TEST

/* ---- scores ---- */

static void add_example(void)
{
    add(amounts(4000, 8192, 0, 0), "zone:a");
    add(amounts(4000, 8192, 0, 0), "zone:a");
    add(amounts(2000, 4096, 0, 0), "zone:b");
    add(amounts(2000, 4096, 0, 0), "zone:b");
    spec.resources = amounts(2000, 4096, 0, 0);
}

/* The score of a task of that job on agents 1 to 4, which are empty. */
static void check_scores(uint64_t job, const uint64_t scores[4])
{
    const struct job *j = state_job(c.state, job);
    struct demand demand = job_demand(j);
    struct seek k;

    seek_begin(&k, &c.sched->fleet, c.state, j->owner->role, &demand, UINT_MAX);
    seek_count(&k, j, NULL, 0);
    for (uint64_t id = 1; id <= 4; id++) {
        struct fleet_agent *a = fleet_agent(&c.sched->fleet, id);
        struct resources left = state_agent(c.state, id)->capacity;

        resources_subtract(&left, &j->resources);
        ck_assert_uint_eq(seek_score(&k, a, worth(&left), false),
                          scores[id - 1] * 1000);
    }
}

/* All that there is when agents were read and nothing waits. */
static void check_example(uint64_t a, uint64_t b)
{
    uint64_t job;

    cluster_settle(&c);
    job = submit(1);
    check_scores(job, (uint64_t[]){a, a, b, b});
    cluster_kill(&c, job);
    cluster_settle(&c);
}

START_TEST(test_the_example_with_binpack)
{
    add_example();
    set_role(500, BALANCE_BINPACK);
    check_example(500, 1000);
    expect(submit(6), 6, 3, 4, 1, 1, 2, 2);
}
END_TEST

/* Balance: 500, 500, 0, 0; then 0, 500, 0, 0; then 0 everywhere. */
START_TEST(test_the_example_with_spread)
{
    add_example();
    set_role(500, BALANCE_SPREAD);
    check_example(500, 0);
    expect(submit(6), 6, 1, 2, 1, 2, 3, 4);
}
END_TEST

static void expect_alone(uint64_t agent)
{
    uint64_t job = submit(1);

    expect(job, 1, (int)agent);
    cluster_report(&c, attempt_of(job, 0), TASK_FINISHED);
}

/* Affinity: 1000, 1000, 0, 0. */
START_TEST(test_the_example_with_an_affinity)
{
    add_example();
    prefer("zone = a");
    set_role(500, BALANCE_BINPACK);
    check_example(750, 500);
    prefer("zone = a");
    expect_alone(1);
    prefer("zone = a");
    set_role(300, BALANCE_BINPACK);
    check_example(650, 700);
    prefer("zone = a");
    expect_alone(3);
    prefer("zone = b:-1");
    set_role(1000, BALANCE_BINPACK);
    expect_alone(1);
}
END_TEST

/* Racks a, a, b, c; the fourth task finds one in each, and of equal ones the least is left on 1. */
START_TEST(test_the_example_of_spread)
{
    add(amounts(4000, 0, 0, 0), "rack:a");
    add(amounts(4000, 0, 0, 0), "rack:a");
    add(amounts(4000, 0, 0, 0), "rack:b");
    add(amounts(4000, 0, 0, 0), "rack:c");
    spread_over("rack");
    set_role(1000, BALANCE_BINPACK);
    expect(submit(5), 5, 1, 3, 4, 1, 3);
}
END_TEST

/* docs/spec/14-kinds.md, "Spread": first as many on each agent, then where least is left. */
START_TEST(test_a_service_is_spread)
{
    add(amounts(8000, 0, 0, 0), "");
    add(amounts(4000, 0, 0, 0), "");
    add(amounts(2000, 0, 0, 0), "");
    spec.kind = JOB_SERVICE;
    spec.instances = 4;
    job_spec_complete(&spec);
    expect(submit(4), 4, 3, 2, 1, 3);
}
END_TEST

START_TEST(test_it_would_rather_be_apart)
{
    add(amounts(2000, 0, 0, 0), "");
    spec.name = "db";
    expect(submit(1), 1, 1);
    add(amounts(4000, 0, 0, 0), "");
    spec.name = "web";
    keep_apart("db:50");
    expect(submit(4), 4, 2, 2, 2, 2);
    keep_apart("db:50");
    expect(submit(1), 1, 1);
    spec.name = NULL;
}
END_TEST

/* ---- why ---- */

START_TEST(test_which_constraint_rejects_how_many)
{
    uint64_t job;

    for (int i = 0; i < 3; i++)
        add(amounts(1000, 0, 0, 0), i == 0 ? "rack:a;gen:1" : "rack:b;gen:2");
    constrain("rack = a");
    constrain("gen >= 1");
    job = submit(2);
    ck_assert_str_eq(explain(job),
                     "waiting for 1 cpu: 1 agent has room when its tasks end; cpus: 1 "
                     "full; rack = a rejects 2 of 3 agents");
    constrain("rack = c");
    constrain("gen > 1");
    job = submit(1);
    ck_assert_str_eq(explain(job),
                     "no agent keeps its constraints: rack = c rejects 3 of 3 agents, "
                     "gen > 1 rejects 1");
    constrain("agent distinct");
    job = submit(4);
    ck_assert_str_eq(explain(job),
                     "waiting for 1 cpu: 3 agents are large enough; cpus: 1 full; "
                     "agent distinct rejects 2 of 3 agents");
    constrain("rack = a");
    spec.resources = amounts(2000, 0, 0, 0);
    add(amounts(4000, 0, 0, 0), "rack:b");
    job = submit(1);
    ck_assert_str_eq(explain(job),
                     "no agent has all of 2 cpus that keeps its constraints; rack = a "
                     "rejects 3 of 4 agents");
}
END_TEST

/* Too small counts among those that keep the constraints and take work. */
START_TEST(test_who_is_too_small)
{
    uint64_t job, last;

    add(amounts(4000, 0, 0, 0), "rack:a");
    add(amounts(1000, 0, 0, 0), "rack:a");
    last = add(amounts(1000, 0, 0, 0), "rack:a");
    add(amounts(1000, 0, 0, 0), "rack:b");
    spec.resources = amounts(3000, 0, 0, 0);
    constrain("rack = a");
    job = submit(2);
    ck_assert_str_eq(explain(job),
                     "waiting for 3 cpus: 1 agent has room when its tasks end; cpus: 1 "
                     "full, 2 too small; rack = a rejects 1 of 4 agents");
    cluster_agent_mode(&c, last, AGENT_CORDONED);
    ck_assert_str_eq(
        explain(job),
        "waiting for 3 cpus: 1 agent has room when its tasks end; cpus: 1 "
        "full, 1 too small; rack = a rejects 1 of 3 agents that take work");
}
END_TEST

static const char *explain_gang(uint32_t instances)
{
    spec.gang = true;
    explain(submit(instances));
    spec.gang = false;
    return why;
}

/* What a gang has besides amounts counts as well. */
START_TEST(test_what_all_agents_together_can_hold)
{
    for (int i = 0; i < 4; i++)
        add(amounts(8000, 0, 0, 0), i < 2 ? "rack:a" : "rack:b");
    constrain("agent distinct 2");
    ck_assert_str_eq(explain_gang(9),
                     "waiting for 9 x 1 cpu at once: all agents together can hold 8");
    constrain("rack distinct 3");
    ck_assert_str_eq(explain_gang(7),
                     "waiting for 7 x 1 cpu at once: all agents together can hold 6");
    constrain("rack = a");
    ck_assert_str_eq(explain_gang(17),
                     "waiting for 17 x 1 cpu at once: all agents together can hold 16");
    constrain("rack distinct 3");
    constrain("agent distinct 1");
    ck_assert_str_eq(explain_gang(5),
                     "waiting for 5 x 1 cpu at once: all agents together can hold 4");
}
END_TEST

/* At a character. */
START_TEST(test_long_texts_are_cut)
{
    char text[160] = "rack = ";

    add(amounts(1000, 0, 0, 0), "rack:a");
    for (int i = 0; i < 60; i++)
        strcat(text, "\xc3\xa4");
    constrain(text);
    ck_assert_ptr_nonnull(
        strstr(explain(submit(1)), "\xa4\xe2\x80\xa6 rejects 1 of 1"));
    ck_assert(text_is_utf8(text_view(why)));
    for (int i = 0; i < 3; i++)
        constrain(text);
    ck_assert(text_is_utf8(text_view(explain(submit(1)))));
}
END_TEST

START_TEST(test_anti_affinity_is_named)
{
    uint64_t job;

    add(amounts(4000, 0, 0, 0), "");
    spec.name = "db";
    expect(submit(1), 1, 1);
    spec.name = "web";
    keep_apart("db");
    job = submit(1);
    ck_assert_str_eq(explain(job),
                     "waiting for 1 cpu: 1 agent is large enough; anti_affinity "
                     "rejects 1 of 1 agent");
    spec.name = NULL;
}
END_TEST

/* ---- what it costs ---- */

#define MANY 200

static void add_many(void)
{
    char attributes[32];

    for (int i = 0; i < MANY; i++) {
        snprintf(attributes, sizeof(attributes), "serial:s%03d;zone:z%d", i, i % 4);
        add(amounts(8000, 0, 0, 0), attributes);
    }
    cluster_plan(&c, 1);
}

/* A search for the job with so much effort. */
static struct seek search(uint64_t job, unsigned effort)
{
    struct job *j = state_job(c.state, job);
    static struct demand demand;
    struct seek k;

    demand = job_demand(j);
    seek_begin(&k, &c.sched->fleet, c.state, j->owner->role, &demand, effort);
    seek_count(&k, j, NULL, 0);
    seek_best(&k, NULL);
    return k;
}

/* What one search spends. */
static unsigned cost(uint64_t job)
{
    return search(job, UINT32_MAX).effort.spent;
}

START_TEST(test_a_value_is_asked_for_a_regular_expression_once)
{
    uint64_t job;
    unsigned first;

    add_many();
    constrain("serial regexp (?:.|b?){12}[#@]");
    job = submit(1);
    first = cost(job);
    ck_assert_uint_gt(first, MANY * 100);
    ck_assert_uint_lt(cost(job), MANY * 4);
    /* Another job that wishes the same knows it, too. */
    constrain("zone = z1");
    prefer("serial regexp (?:.|b?){12}[#@]");
    constrain("serial regexp (?:.|b?){12}[#@]");
    ck_assert_uint_lt(cost(submit(1)), MANY * 4);
    add(amounts(8000, 0, 0, 0), "serial:new#");
    ck_assert_uint_lt(cost(job), first / 4);
}
END_TEST

START_TEST(test_a_search_is_cut_and_comes_to_its_end)
{
    unsigned searches = 0;
    struct seek k;
    uint64_t job;

    add_many();
    constrain("serial regexp (?:.|b?){12}[#@]");
    job = submit(1);
    do {
        k = search(job, 1000);
        ck_assert_uint_lt(k.effort.spent, 1000 + LIMIT_REGEXP_STEPS + MANY * 4);
        ck_assert_uint_le(++searches, MANY);
    } while (k.effort.is_cut);
    ck_assert_uint_gt(searches, MANY / 10);
}
END_TEST

/* The same by rounds of a few looks, and it is placed in the end. */
START_TEST(test_a_round_goes_on_with_it)
{
    unsigned rounds = 0;
    uint64_t job;

    cluster_finish(&c);
    cluster_init_with(&c, 40);
    add_many();
    add(amounts(8000, 0, 0, 0), "serial:bbbbbbbbbbbb@");
    constrain("serial regexp (?:.|b?){12}[#@]$");
    job = submit(1);
    do
        cluster_plan(&c, LIMIT_PLACEMENTS);
    while (c.planned == 0 && c.more && ++rounds < 100 * MANY);
    ck_assert_uint_gt(rounds, 10);
    ck_assert_uint_eq(c.planned, 1);
    ck_assert_uint_eq(c.plan[0].agent, MANY + 1);
    ck_assert_uint_eq(c.plan[0].job, job);
}
END_TEST

/* A job that has no task yet costs nothing, however many values there are. */
START_TEST(test_counting_costs_as_many_tasks_as_the_job_has)
{
    uint64_t job;
    unsigned none;

    add_many();
    constrain("serial distinct");
    spread_over("host");
    spread_over("serial");
    job = submit(MANY);
    none = cost(job);
    ck_assert_uint_lt(none, MANY);
    cluster_settle(&c);
    ck_assert_uint_gt(cost(job), none + MANY);
}
END_TEST

START_TEST(test_names_on_an_agent_are_read_once)
{
    uint64_t job;
    unsigned first;

    add_many();
    spec.name = "db";
    spec.resources = amounts(900, 0, 0, 0);
    submit(MANY * 8);
    cluster_settle(&c);
    cluster_plan(&c, 1); /* reads what was placed */
    spec.resources = amounts(100, 0, 0, 0);
    spec.name = "web";
    keep_apart("db");
    job = submit(1);
    first = cost(job);
    ck_assert_uint_gt(first, MANY * 8);
    ck_assert_uint_lt(cost(job), MANY * 4);
    ck_assert_uint_gt(first, 3 * cost(job));
    spec.name = NULL;
}
END_TEST

/* Not each task asks all agents that have one already. */
START_TEST(test_agents_that_have_one_are_asked_once)
{
    unsigned asked = 0;
    struct seek k;
    struct job *j;

    add_many();
    constrain("agent distinct");
    prefer("zone = z1");
    j = state_job(c.state, submit(MANY));
    k = search(j->id, UINT32_MAX);
    for (int i = 0; i < MANY; i++) {
        struct fleet_agent *a = seek_best(&k, NULL);
        struct resources left;

        ck_assert_ptr_nonnull(a);
        left = a->fit.vector;
        ck_assert(fleet_plan(a, &left, k.demand));
        seek_took(&k, a, j);
        fleet_take(&c.sched->fleet, a, &left);
    }
    ck_assert_ptr_null(seek_best(&k, NULL));
    asked = k.effort.spent;
    ck_assert_uint_lt(asked, MANY * 40);
}
END_TEST

int main(void)
{
    TCase *cases[] = {
        unit_case("constraints",
                  test_a_task_goes_where_its_constraints_hold,
                  test_versions,
                  test_what_is_not_set,
                  test_it_wakes_when_an_agent_gets_the_attribute,
                  test_an_agent_that_is_no_match_wakes_nobody),
        unit_case("distinct",
                  test_each_task_on_another_agent,
                  test_two_in_each_rack,
                  test_an_end_on_a_cordoned_agent_wakes_it,
                  test_an_agent_that_is_away_does_not_count,
                  test_a_lease_that_lapses_wakes_it,
                  test_many_are_woken_in_slices,
                  test_a_batch_that_is_lost_wakes_it),
        unit_case(
            "apart", test_not_where_a_task_of_that_job_is, test_apart_from_itself),
        unit_case("scores",
                  test_the_example_with_binpack,
                  test_the_example_with_spread,
                  test_the_example_with_an_affinity,
                  test_the_example_of_spread,
                  test_a_service_is_spread,
                  test_it_would_rather_be_apart),
        unit_case("why",
                  test_which_constraint_rejects_how_many,
                  test_who_is_too_small,
                  test_what_all_agents_together_can_hold,
                  test_long_texts_are_cut,
                  test_anti_affinity_is_named),
        unit_case("costs",
                  test_a_value_is_asked_for_a_regular_expression_once,
                  test_a_search_is_cut_and_comes_to_its_end,
                  test_a_round_goes_on_with_it,
                  test_counting_costs_as_many_tasks_as_the_job_has,
                  test_names_on_an_agent_are_read_once,
                  test_agents_that_have_one_are_asked_once),
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        tcase_add_checked_fixture(cases[i], setup, teardown);
    return unit_run("match", cases, sizeof(cases) / sizeof(*cases));
}
