/* test_lanes.c - docs/spec/12-roles.md: whose turn it is, in its own examples. */
#include "sched/turn.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"

#include <stdio.h>
#include <string.h>

#define HOUR_MS 3600000ull
#define GIB     1024 /* in MiB */

static struct cluster c;

static void setup(void)
{
    cluster_init(&c);
}

static void teardown(void)
{
    cluster_finish(&c);
}

static void set(const char *name, uint32_t given, struct role_spec spec)
{
    struct role_change change = {(char *)name, given, spec};

    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
}

static struct role_bound cpus(uint64_t milli)
{
    return (struct role_bound){{{milli}}, 1u << RESOURCE_CPUS, {0}};
}

static uint64_t submit(const char *role,
                       const char *owner,
                       struct resources need,
                       uint32_t instances,
                       uint64_t estimate_ms)
{
    struct job_spec like;

    job_spec_init(&like);
    like.role = strcmp(role, ROLE_DEFAULT) == 0 ? NULL : (char *)role;
    like.resources = need;
    like.instances = instances;
    like.estimate_ms = estimate_ms;
    return cluster_submit_of(&c, &like, owner);
}

/* A task of one cpu. */
static uint64_t one(const char *role, const char *owner, uint32_t instances)
{
    return submit(role, owner, amounts(1000, 0, 0, 0), instances, 0);
}

/* The jobs of the placements of a round, as digits. */
static const char *plan(void)
{
    static char text[64];
    size_t n = cluster_plan(&c, sizeof(text) - 1);

    for (size_t i = 0; i < n; i++)
        text[i] = (char)('0' + c.plan[i].job);
    text[n] = '\0';
    return text;
}

/* Of all there is, in thousandths, rounded to the nearest. */
static uint64_t share(const char *name)
{
    const struct role *role = state_role(c.state, name);
    uint64_t part = dominant_share(&role->spec, &role->use, &c.state->capacity);

    return (part / (SHARE_ONE / 10000) + 5) / 10;
}

START_TEST(test_the_example_of_the_paper)
{
    static const uint64_t SHARES[][2] = {
        {222, 0}, {222, 333}, {444, 333}, {444, 667}, {667, 667}};

    set("a", ROLE_HAS_WEIGHT, (struct role_spec){.weight = 1000});
    set("b", ROLE_HAS_WEIGHT, (struct role_spec){.weight = 1000});
    cluster_add_agent(&c, amounts(9000, 18 * GIB, 0, 0));
    submit("a", "", amounts(1000, 4 * GIB, 0, 0), 9, 0);
    submit("b", "", amounts(3000, 1 * GIB, 0, 0), 9, 0);
    ck_assert_str_eq(plan(), "12121");
    for (int i = 0; i < 5; i++) {
        cluster_plan(&c, 1);
        cluster_place(&c);
        ck_assert_uint_eq(share("a"), SHARES[i][0]);
        ck_assert_uint_eq(share("b"), SHARES[i][1]);
    }
}
END_TEST

START_TEST(test_weights_divide_what_there_is)
{
    set("a", ROLE_HAS_WEIGHT, (struct role_spec){.weight = 2000});
    set("b", ROLE_HAS_WEIGHT, (struct role_spec){.weight = 1000});
    cluster_add_agent(&c, amounts(9000, 1, 0, 0));
    one("b", "", 9);
    one("a", "", 9);
    ck_assert_str_eq(plan(), "212212212"); /* a has the lower number */
}
END_TEST

START_TEST(test_a_higher_priority_comes_first)
{
    set("low", ROLE_HAS_PRIORITY, (struct role_spec){.priority = -1});
    set("high", ROLE_HAS_PRIORITY, (struct role_spec){.priority = 1});
    cluster_add_agent(&c, amounts(4000, 1, 0, 0));
    one("low", "", 2);
    one(ROLE_DEFAULT, "", 2);
    one("high", "", 1);
    ck_assert_str_eq(plan(), "3221");
}
END_TEST

/* Whatever its priority, until it has its minimum. */
START_TEST(test_who_is_owed_comes_first)
{
    cluster_add_agent(&c, amounts(6000, 1, 0, 0));
    set("poor",
        ROLE_HAS_PRIORITY | ROLE_HAS_MIN,
        (struct role_spec){.priority = -5, .min = cpus(2500)});
    one(ROLE_DEFAULT, "", 2);
    one("poor", "", 9);
    ck_assert_str_eq(plan(), "222112");
}
END_TEST

START_TEST(test_a_maximum_holds_up_nobody_else)
{
    cluster_add_agent(&c, amounts(6000, 1, 0, 0));
    set("few",
        ROLE_HAS_PRIORITY | ROLE_HAS_MAX,
        (struct role_spec){.priority = 5, .max = cpus(2000)});
    one("few", "", 4);
    one(ROLE_DEFAULT, "", 3);
    ck_assert_str_eq(plan(), "11222");
    cluster_place(&c);
    cluster_report(&c, 1, TASK_FINISHED);
    ck_assert_str_eq(plan(), "1");
    cluster_place(&c);
    set("few", ROLE_HAS_MAX, (struct role_spec){0});
    ck_assert_str_eq(plan(), "1");
}
END_TEST

START_TEST(test_owners_of_a_fair_role_take_turns)
{
    cluster_add_agent(&c, amounts(7000, 1, 0, 0));
    set(ROLE_DEFAULT, ROLE_HAS_ORDER, (struct role_spec){.order = ROLE_FAIR});
    one(ROLE_DEFAULT, "ann", 9);
    one(ROLE_DEFAULT, "ann", 9);
    one(ROLE_DEFAULT, "bob", 9);
    one(ROLE_DEFAULT, "eve", 1);
    ck_assert_str_eq(plan(), "1341313");
}
END_TEST

START_TEST(test_first_come_first_served)
{
    struct job_spec like;

    cluster_add_agent(&c, amounts(3000, 1, 0, 0));
    set(ROLE_DEFAULT, ROLE_HAS_ORDER, (struct role_spec){.order = ROLE_FCFS});
    one(ROLE_DEFAULT, "", 1);
    job_spec_init(&like);
    like.priority = 1000;
    like.resources = amounts(1000, 0, 0, 0);
    cluster_submit_like(&c, &like);
    one(ROLE_DEFAULT, "", 1);
    ck_assert_str_eq(plan(), "123");
}
END_TEST

/* Jobs come a few milliseconds apart here: their own time is moved. */
static void came_at(uint64_t job, uint64_t hours)
{
    state_job(c.state, job)->submitted_us = 1 + hours * HOUR_MS * 1000;
}

START_TEST(test_an_hour_makes_up_for_twice_the_length)
{
    uint64_t job;

    set(ROLE_DEFAULT,
        ROLE_HAS_ORDER | ROLE_HAS_AGING,
        (struct role_spec){.order = ROLE_SJF, .aging_ms = HOUR_MS});
    job = submit(ROLE_DEFAULT, "", amounts(1000, 0, 0, 0), 1, 4 * HOUR_MS);
    came_at(job, 0);
    for (uint64_t hour = 0; hour < 4; hour++) {
        job = submit(ROLE_DEFAULT, "", amounts(1000, 0, 0, 0), 1, HOUR_MS);
        came_at(job, hour);
    }
    sched_reset(c.sched, c.state);
    cluster_add_agent(&c, amounts(9000, 1, 0, 0));
    ck_assert_str_eq(plan(), "23145");
}
END_TEST

START_TEST(test_an_hour_makes_up_for_a_point)
{
    struct job_spec like;

    job_spec_init(&like);
    like.resources = amounts(1000, 0, 0, 0);
    came_at(cluster_submit_like(&c, &like), 0);
    like.priority = 2;
    came_at(cluster_submit_like(&c, &like), 1);
    came_at(cluster_submit_like(&c, &like), 3);
    sched_reset(c.sched, c.state);
    cluster_add_agent(&c, amounts(9000, 1, 0, 0));
    ck_assert_str_eq(plan(), "213");
}
END_TEST

/* Job 1 has 3 tasks of an hour, of which two end; job 2 has 2 of them. */
START_TEST(test_what_remains_decides)
{
    set(ROLE_DEFAULT,
        ROLE_HAS_ORDER | ROLE_HAS_AGING,
        (struct role_spec){.order = ROLE_SRTF, .aging_ms = ROLE_NEVER});
    submit(ROLE_DEFAULT, "", amounts(1000, 0, 0, 0), 3, HOUR_MS);
    cluster_add_agent(&c, amounts(2000, 1, 0, 0));
    ck_assert_str_eq(plan(), "11");
    cluster_place(&c);
    submit(ROLE_DEFAULT, "", amounts(1000, 0, 0, 0), 2, HOUR_MS);
    cluster_report(&c, 1, TASK_FINISHED);
    cluster_report(&c, 2, TASK_FINISHED);
    ck_assert_str_eq(plan(), "12");
}
END_TEST

/* All that 2,048 agents have of one name is more than 64 bits hold. */
START_TEST(test_custom_resources_in_all_pass_64_bits)
{
    struct custom_resource most = {(char *)"x", LIMIT_RESOURCE};
    struct agent_spec like = {.resources = amounts(1000, 1, 0, 0),
                              .custom = {&most, 1},
                              .features = AGENT_FEATURE_JOBS_2};
    struct role_spec spec = {.min = cpus(1000)};
    struct role_change change = {.name = (char *)"a", .given = ROLE_HAS_MIN};
    struct job_spec job;

    spec.min.custom = like.custom;
    cluster_add_agent(&c, amounts(1000, 1, 0, 0));
    change.spec = spec;
    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_CONFLICT);
    cluster_agent_gone(&c, 1);
    for (int i = 0; i < 2048; i++)
        cluster_add_agent_like(&c, &like);
    set("a", ROLE_HAS_MIN, spec);
    job_spec_init(&job);
    job.resources = amounts(1000, 0, 0, 0);
    job.custom = like.custom;
    job.instances = 2048;
    cluster_submit_like(&c, &job);
    ck_assert_uint_eq(cluster_settle(&c), 2048);
    state_check(c.state);
    cluster_agent_unreachable(&c, 2);
    cluster_agent_gone(&c, 2);
    ck_assert_uint_eq(cluster_settle(&c), 0);
    state_check(c.state);
}
END_TEST

#define OWNERS 5000

/* Of its licences a role may have a million thousandths.  One task keeps `kept` of them and
 * another one had the rest, while tasks of many owners wait for all but `spare`. */
static void many_wait_for_a_licence(uint64_t kept, uint64_t spare)
{
    struct custom_resource all = {(char *)"licence", 1000000};
    struct custom_resource some = {(char *)"licence", kept};
    struct agent_spec agent = {.resources = amounts(64000, 64000, 0, 0),
                               .custom = {&all, 1},
                               .features = AGENT_FEATURE_JOBS_2};
    struct job_spec job;
    char owner[16];

    cluster_add_agent_like(&c, &agent);
    cluster_add_agent_like(&c, &agent);
    set("many",
        ROLE_HAS_ORDER | ROLE_HAS_PRIORITY | ROLE_HAS_MAX,
        (struct role_spec){
            .order = ROLE_FAIR, .priority = 10, .max = {.custom = {&all, 1}}});
    job_spec_init(&job);
    job.role = (char *)"many";
    job.resources = amounts(1000, 0, 0, 0);
    job.custom = (struct custom_resources){&some, 1};
    cluster_submit_of(&c, &job, "a");
    some.amount = 1000000 - kept;
    cluster_submit_of(&c, &job, "b");
    ck_assert_uint_eq(cluster_settle(&c), 2);
    some.amount = 1000000 - spare;
    for (int i = 0; i < OWNERS; i++) {
        snprintf(owner, sizeof(owner), "%d", i);
        cluster_submit_of(&c, &job, owner);
    }
    ck_assert_uint_eq(cluster_settle(&c), 0);
    cluster_report(&c, 2, TASK_FINISHED);
}

START_TEST(test_who_is_capped_holds_up_nobody_however_many)
{
    many_wait_for_a_licence(1, 1);
    one(ROLE_DEFAULT, "", 1);
    cluster_plan(&c, 100);
    ck_assert_uint_eq(c.planned, 2);
    ck_assert_uint_eq(c.plan[0].job, 3);
    ck_assert_uint_eq(c.plan[1].job, 3 + OWNERS);
    ck_assert(!c.more);
    cluster_place(&c);
    cluster_settle(&c);
    sched_check(c.sched, c.state);
}
END_TEST

/* They need a thousandth more than is free, so it takes a look at each to see that. */
START_TEST(test_nor_does_who_is_nearly_within_its_maximum)
{
    many_wait_for_a_licence(1, 0);
    one(ROLE_DEFAULT, "", 1);
    cluster_plan(&c, 100);
    ck_assert_uint_eq(c.planned, 1);
    ck_assert_uint_eq(c.plan[0].job, 3 + OWNERS);
    ck_assert(c.more);
    cluster_place(&c);
    ck_assert_uint_eq(cluster_settle(&c), 0);
    sched_check(c.sched, c.state);
}
END_TEST

/* ---- roles that change ---- */

/* Jobs of many owners that fit nowhere. */
static void many_fit_nowhere(const char *role, int jobs)
{
    char owner[16];

    for (int i = 0; i < jobs; i++) {
        snprintf(owner, sizeof(owner), "%d", i % 3000);
        submit(role, owner, amounts(1000000 + (uint64_t)i, 0, 0, 0), 1, 0);
    }
    ck_assert_uint_eq(cluster_settle(&c), 0);
}

START_TEST(test_a_role_that_changes_again_and_again_holds_up_nobody)
{
    cluster_add_agent(&c, amounts(64000, 1, 0, 0));
    set("many", ROLE_HAS_ORDER, (struct role_spec){.order = ROLE_FAIR});
    set("other", ROLE_HAS_WEIGHT, (struct role_spec){.weight = 1000});
    many_fit_nowhere("many", 12000);
    for (uint32_t i = 1; i <= 8; i++) {
        one(ROLE_DEFAULT, "", 1);
        set("other", ROLE_HAS_WEIGHT, (struct role_spec){.weight = i});
        ck_assert_uint_eq(cluster_plan(&c, 100), 1);
        ck_assert(!c.more);
        cluster_place(&c);
    }
    for (uint32_t i = 1; i <= 8; i++) {
        one(ROLE_DEFAULT, "", 1);
        set("many", ROLE_HAS_AGING, (struct role_spec){.aging_ms = i});
        ck_assert_uint_eq(cluster_plan(&c, 100), 1);
        cluster_place(&c);
    }
    cluster_settle(&c);
    sched_check(c.sched, c.state);
}
END_TEST

START_TEST(test_agents_that_come_and_go_hold_up_nobody)
{
    cluster_add_agent(&c, amounts(64000, 1, 0, 0));
    set("many", ROLE_HAS_ORDER, (struct role_spec){.order = ROLE_FAIR});
    many_fit_nowhere("many", 6000);
    for (int i = 0; i < 8; i++) {
        one(ROLE_DEFAULT, "", 1);
        cluster_add_agent(&c, amounts(1, 1, 0, 0));
        ck_assert_uint_eq(cluster_plan(&c, 100), 1);
        ck_assert(c.more); /* there is another total, and not all shares are read */
        cluster_place(&c);
    }
    cluster_settle(&c);
    sched_check(c.sched, c.state);
}
END_TEST

START_TEST(test_jobs_of_another_order_move_to_their_lanes)
{
    cluster_add_agent(&c, amounts(3000, 1, 0, 0));
    cluster_agent_mode(&c, 1, AGENT_CORDONED);
    one(ROLE_DEFAULT, "ann", 2);
    one(ROLE_DEFAULT, "ann", 1);
    one(ROLE_DEFAULT, "bob", 1);
    cluster_settle(&c);
    set(ROLE_DEFAULT, ROLE_HAS_ORDER, (struct role_spec){.order = ROLE_FAIR});
    cluster_settle(&c);
    sched_check(c.sched, c.state);
    cluster_agent_mode(&c, 1, AGENT_NORMAL);
    ck_assert_str_eq(plan(), "131");
    set(ROLE_DEFAULT, ROLE_HAS_ORDER, (struct role_spec){.order = ROLE_FCFS});
    ck_assert_str_eq(plan(), "112"); /* the batch is lost */
}
END_TEST

/* What rests is compared with an agent that has grown, and the round ends before it is the
 * turn of a job that would fit; then that comes first. */
START_TEST(test_a_job_that_moves_forward_meanwhile_is_not_missed)
{
    struct job_spec last;
    uint64_t small;

    set(ROLE_DEFAULT, ROLE_HAS_AGING, (struct role_spec){.aging_ms = ROLE_NEVER});
    job_spec_init(&last);
    last.priority = -5;
    last.estimate_ms = 1;
    last.resources = amounts(1000, 0, 0, 0);
    small = cluster_submit_like(&c, &last);
    for (uint64_t i = 0; i < 6000; i++)
        submit(ROLE_DEFAULT, "", amounts(1000001 + i % 400, 0, i, 0), 1, HOUR_MS);
    ck_assert_uint_eq(cluster_settle(&c), 0);
    cluster_add_agent(&c, amounts(1000000, 0, 6000, 0));
    ck_assert_uint_eq(cluster_plan(&c, 1), 0);
    ck_assert(c.more);
    set(ROLE_DEFAULT, ROLE_HAS_ORDER, (struct role_spec){.order = ROLE_SJF});
    while (cluster_plan(&c, 1) == 0)
        ck_assert(c.more);
    ck_assert_uint_eq(c.plan[0].job, small);
    cluster_place(&c);
    cluster_settle(&c);
    sched_check(c.sched, c.state);
}
END_TEST

/* ---- comparisons that take many rounds ---- */

#define FEW_LOOKS 64 /* of a round: 8 for capped shapes */
#define MANY      200

static void with_few_looks(void)
{
    cluster_finish(&c);
    cluster_init_with(&c, FEW_LOOKS);
}

/* Rounds until a task of this job is placed, each after an event. */
static unsigned rounds_to_place(uint64_t job, void (*event)(unsigned round))
{
    uint32_t pending = job_pending(state_job(c.state, job));

    for (unsigned round = 1;; round++) {
        event(round);
        cluster_plan(&c, 100);
        cluster_place(&c);
        if (job_pending(state_job(c.state, job)) < pending)
            return round;
        ck_assert(c.more);
        ck_assert_uint_lt(round, MANY);
    }
}

static void finish_first(unsigned round)
{
    struct attempt *t = state_next_attempt(c.state, 0);

    (void)round;
    if (t != NULL)
        cluster_report(&c, t->id, TASK_FINISHED);
}

/* Of `name`, with a cpu. */
static uint64_t
submit_custom(const char *owner, const char *name, uint64_t amount, uint32_t instances)
{
    struct custom_resource need = {(char *)name, amount};
    struct job_spec like;

    job_spec_init(&like);
    like.role = (char *)"r";
    like.resources = amounts(1000, 0, 0, 0);
    like.custom = (struct custom_resources){&need, 1};
    like.instances = instances;
    return cluster_submit_of(&c, &like, owner);
}

/* Of role r: of cpus, and of licences and tapes. */
static void set_maximum(enum role_order order, uint64_t milli, uint64_t each)
{
    struct custom_resource most[2] = {{(char *)"licence", each},
                                      {(char *)"tape", each}};
    struct role_spec spec = {
        .order = order, .aging_ms = ROLE_NEVER, .max = cpus(milli)};

    spec.max.custom = (struct custom_resources){most, 2};
    set("r", ROLE_HAS_ORDER | ROLE_HAS_AGING | ROLE_HAS_MAX, spec);
}

static void add_agent_with_licences(void)
{
    struct custom_resource all[2] = {{(char *)"licence", 10000000},
                                     {(char *)"tape", 10000000}};

    cluster_add_agent_like(&c,
                           &(struct agent_spec){.resources = amounts(64000, 1, 0, 0),
                                                .custom = {all, 2},
                                                .features = AGENT_FEATURE_JOBS_2});
}

/* The comparison of what is capped is cut, and then one becomes capped that is behind what was
 * compared. */
START_TEST(test_what_is_capped_meanwhile_hides_nobody)
{
    uint64_t last;

    with_few_looks();
    add_agent_with_licences();
    set_maximum(ROLE_FCFS, 2000, 1000);
    for (uint64_t i = 0; i < MANY; i++)
        submit_custom("", "licence", 100000 + i, 1);
    last = submit_custom("", "licence", 1500, 1);
    cluster_settle(&c);
    set_maximum(ROLE_FCFS, 2000, 1800);
    submit("r", "", amounts(3000, 0, 0, 0), 1, 0);
    cluster_settle(&c);
    ck_assert_uint_eq(job_pending(state_job(c.state, last)), 0);
    sched_check(c.sched, c.state);
}
END_TEST

static void submit_with_priority(unsigned round)
{
    struct custom_resource need = {(char *)"licence", 100000};
    struct job_spec like;

    (void)round;
    job_spec_init(&like);
    like.role = (char *)"r";
    like.priority = 10;
    like.resources = amounts(1000, 0, 0, 0);
    like.custom = (struct custom_resources){&need, 1};
    cluster_submit_like(&c, &like);
}

static void check_capped_are_reached(void (*event)(unsigned round))
{
    uint64_t last;

    with_few_looks();
    add_agent_with_licences();
    set_maximum(ROLE_PRIORITY, 4000, 1000);
    submit_custom("", "tape", 1000, 100000);
    cluster_settle(&c);
    for (uint64_t i = 0; i < MANY; i++)
        submit_custom("", "licence", 100000 + i, 1);
    last = submit("r", "", amounts(5000, 0, 0, 0), 1, 0);
    cluster_settle(&c);
    set_maximum(ROLE_PRIORITY, 10000, 1000);
    ck_assert_uint_le(rounds_to_place(last, event), MANY / 6);
    cluster_settle(&c);
    sched_check(c.sched, c.state);
}

START_TEST(test_what_is_capped_is_reached_while_tasks_before_it_end)
{
    check_capped_are_reached(finish_first);
}
END_TEST

START_TEST(test_what_is_capped_is_reached_while_jobs_come_before_it)
{
    check_capped_are_reached(submit_with_priority);
}
END_TEST

/* A job of owner 0 has all gpus.  Many others are asleep, and an agent comes that is too small
 * for each by a thousandth of a cpu.  They come before a job of the default role, which it has
 * room for; that one's id. */
static uint64_t many_nearly_fit(enum role_order order, unsigned owners)
{
    char owner[16];

    with_few_looks();
    set("r",
        ROLE_HAS_ORDER | ROLE_HAS_PRIORITY | ROLE_HAS_AGING,
        (struct role_spec){.order = order, .priority = 5, .aging_ms = ROLE_NEVER});
    cluster_add_agent(&c, amounts(2000, 1, 0, 2));
    submit("r", "0", amounts(1000, 0, 0, 1), 1000, 0);
    cluster_settle(&c);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(owner, sizeof(owner), "%u", i % owners);
        submit("r", owner, amounts(1000001 + i % 40, 0, i, 0), 1, 0);
    }
    cluster_settle(&c);
    cluster_add_agent(&c, amounts(1000000, 0, MANY, 0));
    return one(ROLE_DEFAULT, "", 1);
}

static void submit_what_sleeps(unsigned round)
{
    (void)round;
    submit("r", "0", amounts(1000001, 0, 0, 0), 1, 0);
}

static void submit_what_fits_nowhere(unsigned round)
{
    submit("r", "0", amounts(9000000 + round, 0, 0, 0), 1, 0);
}

static void check_all_are_reached(enum role_order order,
                                  unsigned owners,
                                  void (*event)(unsigned round))
{
    uint64_t last = many_nearly_fit(order, owners);

    ck_assert_uint_le(rounds_to_place(last, event), 4 * MANY / FEW_LOOKS);
    cluster_settle(&c);
    sched_check(c.sched, c.state);
}

START_TEST(test_all_that_sleeps_is_compared_whatever_comes)
{
    check_all_are_reached(ROLE_FCFS, 1, submit_what_sleeps);
    check_all_are_reached(ROLE_FCFS, 1, submit_what_fits_nowhere);
    check_all_are_reached(ROLE_FAIR, MANY, submit_what_sleeps);
    check_all_are_reached(ROLE_FAIR, MANY, submit_what_fits_nowhere);
    check_all_are_reached(ROLE_SRTF, 1, finish_first);             /* its rank falls */
    check_all_are_reached(ROLE_FAIR, FEW_LOOKS / 2, finish_first); /* its share does */
}
END_TEST

/* ---- shares of custom resources ---- */

/* Two of three licences are ann's; bob has more of the cpus. */
START_TEST(test_custom_resources_that_are_bounded_count)
{
    add_agent_with_licences();
    set("r", ROLE_HAS_ORDER, (struct role_spec){.order = ROLE_FAIR});
    submit_custom("ann", "licence", 2000000, 1);
    submit("r", "bob", amounts(2000, 0, 0, 0), 1, 0);
    cluster_settle(&c);
    submit("r", "ann", amounts(1000, 0, 0, 0), 1, 0);
    submit("r", "bob", amounts(1000, 0, 0, 0), 1, 0);
    ck_assert_str_eq(plan(), "34"); /* the batch is lost */
    set_maximum(ROLE_FAIR, 64000, 10000000);
    ck_assert_str_eq(plan(), "43");
    set("r", ROLE_HAS_MAX, (struct role_spec){.max = cpus(64000)});
    ck_assert_str_eq(plan(), "34");
}
END_TEST

int main(void)
{
    TCase *t = unit_case("lanes",
                         test_the_example_of_the_paper,
                         test_weights_divide_what_there_is,
                         test_a_higher_priority_comes_first,
                         test_who_is_owed_comes_first,
                         test_a_maximum_holds_up_nobody_else,
                         test_owners_of_a_fair_role_take_turns,
                         test_first_come_first_served,
                         test_an_hour_makes_up_for_twice_the_length,
                         test_an_hour_makes_up_for_a_point,
                         test_what_remains_decides,
                         test_who_is_capped_holds_up_nobody_however_many,
                         test_a_role_that_changes_again_and_again_holds_up_nobody,
                         test_agents_that_come_and_go_hold_up_nobody,
                         test_jobs_of_another_order_move_to_their_lanes,
                         test_a_job_that_moves_forward_meanwhile_is_not_missed,
                         test_nor_does_who_is_nearly_within_its_maximum,
                         test_custom_resources_in_all_pass_64_bits,
                         test_what_is_capped_meanwhile_hides_nobody,
                         test_what_is_capped_is_reached_while_tasks_before_it_end,
                         test_what_is_capped_is_reached_while_jobs_come_before_it,
                         test_all_that_sleeps_is_compared_whatever_comes,
                         test_custom_resources_that_are_bounded_count);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("lanes", &t, 1);
}
