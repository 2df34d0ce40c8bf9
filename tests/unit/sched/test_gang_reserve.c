/* test_gang_reserve.c - docs/spec/7-scheduling.md, "Reservations", "Of a gang": room on many agents
 * for one that waits first. */
#include "sched/internal.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/sched_test.h"

#define MINUTE_US 60000000ull
#define SECOND_US 1000000ull

static struct cluster c;
static uint64_t began_us;

static void set_reserve(const char *role, uint64_t ms)
{
    struct role_change change = {(char *)role, ROLE_HAS_RESERVE, {.reserve_ms = ms}};

    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
}

static void setup(void)
{
    cluster_init(&c);
    set_reserve(ROLE_DEFAULT, 0);
    began_us = c.now_us;
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
static uint64_t submit(uint64_t n, uint64_t minutes)
{
    struct job_spec like;

    job_spec_init(&like);
    like.resources = cpus(n);
    like.estimate_ms = minutes * 60000;
    return cluster_submit_like(&c, &like);
}

static struct job_spec gang_of(uint32_t tasks, uint64_t n)
{
    struct job_spec like;

    job_spec_init(&like);
    like.resources = cpus(n);
    like.instances = tasks;
    like.gang = true;
    return like;
}

static uint64_t submit_gang(uint32_t tasks, uint64_t n)
{
    struct job_spec like = gang_of(tasks, n);

    return cluster_submit_like(&c, &like);
}

/* So many are placed, and then nothing is left to do. */
static void settle(uint64_t expected)
{
    uint64_t placed = 0;

    do
        placed += cluster_settle(&c);
    while (cluster_plan(&c, LIMIT_PLACEMENTS) > 0 || c.more);
    ck_assert_uint_eq(placed, expected);
    sched_check(c.sched, c.state);
}

static const struct job *job(uint64_t id)
{
    return state_job(c.state, id);
}

static uint64_t agent_of(uint64_t id)
{
    const struct task *t = job_task(job(id), 0);

    return t == NULL ? 0 : t->agent_id;
}

static uint64_t run_on(uint64_t agent, uint64_t n, uint64_t minutes)
{
    uint64_t id = submit(n, minutes);

    settle(1);
    ck_assert_uint_eq(agent_of(id), agent);
    return id;
}

static void finish(uint64_t id)
{
    for (uint32_t i = 0; i < job(id)->touched; i++)
        cluster_report(&c, job_task(job(id), i)->attempt_id, TASK_FINISHED);
}

/* The claim of a job; NULL: it has none. */
static const struct claim *claim_of(uint64_t id)
{
    uint64_t set = claims_of(&c.sched->claims, id);

    return set == 0 ? NULL : &c.sched->claims.of[claim_next(&set)];
}

/* Tasks that have their place there. */
static uint32_t kept_on(uint64_t agent, uint64_t id)
{
    const struct claim *claim = claim_of(id);
    size_t place;

    if (claim == NULL)
        return 0;
    place = claim_place_on(claim, agent);
    return claim_agent(claim, place) == agent ? claim_tasks(claim, place) : 0;
}

static uint64_t beyond_on(uint64_t agent, uint64_t id)
{
    const struct claim *claim = claim_of(id);

    return claim_beyond(claim, claim_place_on(claim, agent))->amount[RESOURCE_CPUS];
}

/* About so many minutes from the beginning. */
static void check_time(uint64_t id, uint64_t minutes)
{
    const struct claim *claim = claim_of(id);

    ck_assert(claim != NULL);
    ck_assert_uint_ge(claim->at_us, began_us + minutes * MINUTE_US);
    ck_assert_uint_le(claim->at_us, began_us + minutes * MINUTE_US + SECOND_US);
}

static const char *explain(uint64_t id)
{
    static char why[SCHED_WHY_BYTES];
    unsigned looks = SCHED_EXPLAIN_LOOKS;

    sched_explain(c.sched, c.state, c.now_us, job(id), &looks, why, sizeof(why));
    return why;
}

/* ---- the example ---- */

static uint64_t a1, b1, gang;

static void begin_the_example(void)
{
    cluster_add_agent(&c, cpus(8));
    a1 = run_on(1, 4, 20);
    run_on(1, 2, 60);
    cluster_add_agent(&c, cpus(8));
    b1 = run_on(2, 6, 30);
    gang = submit_gang(5, 2);
    settle(0);
}

START_TEST(test_the_example_of_a_gang)
{
    uint64_t lengthy, brief, late;

    begin_the_example();
    ck_assert_uint_eq(kept_on(1, gang), 3);
    ck_assert_uint_eq(kept_on(2, gang), 2);
    ck_assert_uint_eq(beyond_on(1, gang), 0);
    ck_assert_uint_eq(beyond_on(2, gang), 4000);
    check_time(gang, 30);
    ck_assert_str_eq(explain(gang),
                     "waiting for 5 x 2 cpus at once: room for 2 now; "
                     "2 agents are reserved for it in 30m");
    lengthy = submit(2, 40);
    settle(1);
    ck_assert_uint_eq(agent_of(lengthy), 2); /* not agent 1, which has the lower id */
    ck_assert_uint_eq(beyond_on(2, gang), 2000);
    brief = submit(2, 25);
    settle(1);
    ck_assert_uint_eq(agent_of(brief), 1);
    c.now_us = began_us + 20 * MINUTE_US + SECOND_US;
    finish(a1);
    late = submit(2, 15);
    settle(0); /* it would end at 35 */
    ck_assert_str_eq(
        explain(late),
        "waiting for 2 cpus: 2 agents have room when their tasks end; cpus: 1 full; "
        "agent 1 has room and is reserved for job 4; agent 2 may have room in 10m");
    c.now_us = began_us + 25 * MINUTE_US;
    finish(brief);
    settle(0);
    c.now_us = began_us + 30 * MINUTE_US;
    finish(b1);
    settle(6);
    ck_assert_uint_eq(job_live(job(gang)), 5);
    ck_assert_uint_eq(c.sched->claims.used, 0);
    ck_assert_uint_eq(agent_of(late), 2);
}
END_TEST

/* ---- that it does not starve ---- */

/* A cpu becomes free at one time, and there is always somebody who fits; so many minutes until the
 * gang begins, which needs all four. */
static unsigned wait_among_small_jobs(unsigned minutes)
{
    uint64_t running[4] = {0}, waiting;
    unsigned m;

    cluster_add_agent(&c, cpus(2));
    cluster_add_agent(&c, cpus(2));
    for (unsigned i = 0; i < 4; i++) {
        running[i] = submit(1, 4 - i);
        settle(1);
    }
    waiting = submit_gang(4, 1);
    for (m = 1; m < minutes; m++) {
        c.now_us = began_us + m * MINUTE_US + m * SECOND_US;
        for (unsigned i = 0; i < 4; i++)
            if (job_live(job(running[i])) > 0 && (m + i) % 4 == 0)
                finish(running[i]);
        for (unsigned i = 0; i < 4; i++)
            if (job_live(job(running[i])) == 0 && job_pending(job(running[i])) == 0)
                running[i] = submit(1, 4);
        cluster_settle(&c);
        if (job_live(job(waiting)) > 0)
            break;
    }
    return m;
}

START_TEST(test_it_begins_in_time_though_small_jobs_keep_coming)
{
    ck_assert_uint_eq(wait_among_small_jobs(200), 4);
}
END_TEST

START_TEST(test_without_a_reservation_it_starves)
{
    set_reserve(ROLE_DEFAULT, ROLE_NEVER);
    ck_assert_uint_eq(wait_among_small_jobs(200), 200);
}
END_TEST

/* ---- two of them ---- */

/* Each role has one, and that of who comes later is beside that of who comes before. */
START_TEST(test_two_gangs_wait_beside_each_other)
{
    struct role_change later = {(char *)"b",
                                ROLE_HAS_PRIORITY | ROLE_HAS_RESERVE,
                                {.priority = -1, .reserve_ms = 0}};
    struct job_spec like = gang_of(4, 1);
    uint64_t first, second, third;

    ck_assert_int_eq(cluster_set_role(&c, &later).code, ERROR_NONE);
    cluster_add_agent(&c, cpus(4));
    a1 = run_on(1, 4, 10);
    cluster_add_agent(&c, cpus(5));
    b1 = run_on(2, 5, 20);
    first = submit_gang(4, 1);
    third = submit_gang(5, 1);
    like.role = (char *)"b";
    second = cluster_submit_like(&c, &like);
    settle(0);
    check_time(first, 10);
    ck_assert_uint_eq(kept_on(1, first), 4);
    check_time(second, 20);
    ck_assert_uint_eq(kept_on(2, second), 4);
    ck_assert(claim_of(third) == NULL); /* it is the second of its role */
    finish(b1);
    settle(
        4); /* who has room there may have it at once: the second one's claim is no holding */
    ck_assert_uint_eq(job_live(job(first)), 4);
    finish(a1);
    settle(5);
    ck_assert_uint_eq(job_live(job(third)), 5);
    finish(first);
    settle(4);
    ck_assert_uint_eq(job_live(job(second)), 4);
}
END_TEST

/* ---- where ---- */

/* It keeps what it has and looks for the rest. */
START_TEST(test_an_agent_that_is_lost_is_replaced)
{
    begin_the_example();
    cluster_add_agent(&c, cpus(4));
    run_on(3, 4, 50);
    ck_assert_uint_eq(kept_on(3, gang), 0);
    cluster_agent_mode(&c, 2, AGENT_CORDONED);
    settle(0);
    ck_assert_uint_eq(kept_on(1, gang), 3);
    ck_assert_uint_eq(kept_on(2, gang), 0);
    ck_assert_uint_eq(kept_on(3, gang), 2);
    check_time(gang, 50);
    cluster_agent_mode(&c, 1, AGENT_CORDONED);
    settle(0);
    ck_assert(claim_of(gang) == NULL); /* two of five */
    cluster_agent_mode(&c, 2, AGENT_NORMAL);
    settle(0);
    check_time(gang, 50);
}
END_TEST

/* They pass every claim: what is left counts. */
START_TEST(test_system_jobs_take_what_they_need_of_it)
{
    struct job_spec like;

    begin_the_example();
    job_spec_init(&like);
    like.kind = JOB_SYSTEM;
    job_spec_complete(&like);
    like.resources = cpus(1);
    cluster_submit_like(&c, &like);
    settle(2);
    ck_assert_uint_eq(kept_on(1, gang), 2);
    ck_assert_uint_eq(kept_on(2, gang), 3);
    ck_assert_uint_eq(beyond_on(2, gang), 1000);
    check_time(gang, 30);
}
END_TEST

/* After a minute all agents are looked at again; sooner when a place is later than it was. */
START_TEST(test_it_moves_to_where_there_is_room_sooner)
{
    uint64_t busy;

    begin_the_example();
    cluster_add_agent(&c, cpus(4));
    busy = run_on(3, 4, 40);
    ck_assert_uint_eq(kept_on(3, gang), 0);
    c.now_us = began_us + MINUTE_US + 2 * SECOND_US;
    settle(0);
    check_time(gang, 30);
    finish(busy);
    run_on(3, 4, 10);
    check_time(gang, 30);
    c.now_us = sched_due_us(c.sched);
    ck_assert_uint_le(c.now_us, began_us + 3 * MINUTE_US);
    settle(0);
    check_time(gang, 20);
    ck_assert_uint_eq(kept_on(3, gang), 2);
}
END_TEST

/* The time of which nobody knows: how many have to end, on all its agents. */
START_TEST(test_where_no_time_is_known_tasks_are_counted)
{
    uint64_t old;

    cluster_add_agent(&c, cpus(4));
    old = run_on(1, 2, 0);
    run_on(1, 2, 0);
    cluster_add_agent(&c, cpus(4));
    run_on(2, 4, 0);
    gang = submit_gang(6, 1);
    settle(0);
    ck_assert(claim_of(gang)->at_us == CLAIM_NEVER);
    ck_assert_str_eq(
        explain(gang),
        "waiting for 6 x 1 cpu at once: 2 agents have room when their tasks end; cpus: "
        "2 full; 2 agents are reserved for it, when 2 tasks end");
    submit(1, 1);
    finish(old);
    settle(0); /* nobody knows that it ends before */
    ck_assert_uint_eq(kept_on(1, gang), 2);
    ck_assert_uint_eq(kept_on(2, gang), 4);
}
END_TEST

/* A new leader makes the same, from the state. */
START_TEST(test_a_new_leader_reserves_the_same)
{
    begin_the_example();
    sched_reset(c.sched, c.state);
    settle(0);
    ck_assert_uint_eq(kept_on(1, gang), 3);
    ck_assert_uint_eq(kept_on(2, gang), 2);
    check_time(gang, 30);
}
END_TEST

START_TEST(test_it_ends_with_its_job)
{
    begin_the_example();
    cluster_kill(&c, gang);
    settle(0);
    ck_assert_uint_eq(c.sched->claims.used, 0);
    ck_assert_uint_eq(c.sched->claims.places, 0);
    run_on(1, 2, 0);
}
END_TEST

/* It is passed over, and who is behind it waits first. */
START_TEST(test_what_never_has_room_is_passed_over)
{
    uint64_t behind;

    cluster_add_agent(&c, cpus(4));
    cluster_add_agent(&c, cpus(4));
    run_on(1, 4, 10);
    run_on(2, 4, 20);
    gang = submit_gang(9, 1);
    behind = submit_gang(5, 1);
    settle(0);
    ck_assert(claim_of(gang) == NULL);
    check_time(behind, 20);
    cluster_add_agent(&c, cpus(1));
    settle(0);
    check_time(gang, 20);
    ck_assert(claim_of(behind) == NULL);
}
END_TEST

/* Its role may not have all of it: that is another reason to wait. */
START_TEST(test_nothing_is_reserved_above_the_maximum_of_its_role)
{
    struct role_change change = {.name = ROLE_DEFAULT, .given = ROLE_HAS_MAX};

    begin_the_example();
    cluster_kill(&c, gang);
    change.spec.max.kinds = 1u << RESOURCE_CPUS;
    change.spec.max.amount = cpus(20);
    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
    gang = submit_gang(5, 2);
    settle(0);
    ck_assert(claim_of(gang) == NULL); /* 12 and 10 are more */
    finish(a1);
    settle(0);
    check_time(gang, 30);
}
END_TEST

/* ---- what it needs of agents ---- */

/* Ports and custom resources are counted as well. */
START_TEST(test_what_is_no_amount_has_to_be_free)
{
    struct agent_spec agent = {.resources = cpus(8),
                               .ports = {{100, 103}},
                               .port_count = 1,
                               .features = AGENT_FEATURE_JOBS_2};
    struct job_spec like = gang_of(3, 1);
    struct job_spec other;

    cluster_add_agent_like(&c, &agent);
    job_spec_init(&other);
    other.resources = cpus(1);
    other.ports.count = 2;
    other.estimate_ms = 10 * 60000;
    cluster_submit_like(&c, &other);
    settle(1);
    like.ports.count = 1;
    gang = cluster_submit_like(&c, &like);
    settle(0);
    check_time(gang, 10);
    ck_assert_uint_eq(kept_on(1, gang), 3);
    run_on(1, 1, 60);
    other.ports.count = 1;
    other.estimate_ms = 20 * 60000;
    cluster_submit_like(&c, &other);
    settle(0); /* ports have no room beyond */
}
END_TEST

static void begin_three_agents(struct job_spec *like)
{
    for (uint64_t i = 1; i <= 3; i++) {
        cluster_add_agent(&c, cpus(8));
        run_on(i, 7, 10 * i);
    }
    gang = cluster_submit_like(&c, like);
    match_finish(&like->match);
    settle(0);
}

START_TEST(test_one_that_keeps_apart_has_one_place_on_each)
{
    struct job_spec like = gang_of(3, 2);

    like.name = (char *)"ring";
    apart_parse(match_add_apart(&like.match), "ring", NULL);
    begin_three_agents(&like);
    check_time(gang, 30);
    for (uint64_t i = 1; i <= 3; i++)
        ck_assert_uint_eq(kept_on(i, gang), 1);
}
END_TEST

START_TEST(test_one_that_is_distinct_by_agent_has_so_many_on_each)
{
    struct job_spec like = gang_of(4, 2);

    condition_parse(match_add_constraint(&like.match), "agent distinct 2", NULL);
    begin_three_agents(&like);
    check_time(gang, 20);
    ck_assert_uint_eq(kept_on(1, gang), 2);
    ck_assert_uint_eq(kept_on(2, gang), 2);
}
END_TEST

/* Agents 1 to 4, free after 10, 20, 30 and 40 min, in these racks and zones. */
static void begin_racks(struct job_spec *like)
{
    static const char *attributes[] = {
        "rack:a;zone:x", "rack:a;zone:y", "rack:b;zone:x", "rack:b;zone:y"};

    for (uint64_t i = 1; i <= 4; i++) {
        struct agent_spec agent = {.resources = cpus(8),
                                   .features = AGENT_FEATURE_JOBS_2};

        ck_assert_int_eq(agent_spec_parse_attributes(&agent, attributes[i - 1], NULL),
                         0);
        cluster_add_agent_like(&c, &agent);
        agent_spec_finish(&agent);
        run_on(i, 7, 10 * i);
    }
    gang = cluster_submit_like(&c, like);
    match_finish(&like->match);
    settle(0);
}

/* Three in a rack at most: of four and four in the first one, one is too many. */
START_TEST(test_one_that_is_distinct_by_rack_has_so_many_in_each)
{
    struct job_spec like = gang_of(5, 2);

    condition_parse(match_add_constraint(&like.match), "rack distinct 3", NULL);
    begin_racks(&like);
    check_time(gang, 30);
    ck_assert_uint_eq(kept_on(1, gang), 3);
    ck_assert_uint_eq(kept_on(2, gang), 0);
    ck_assert_uint_eq(kept_on(3, gang), 2);
    for (uint64_t i = 1; i <= 3; i++)
        cluster_report(&c, job_task(job(i), 0)->attempt_id, TASK_FINISHED);
    settle(5);
}
END_TEST

/* Which are first depends on each other. */
START_TEST(test_one_that_is_distinct_by_rack_and_zone_has_none)
{
    struct job_spec like = gang_of(3, 2);

    condition_parse(match_add_constraint(&like.match), "rack distinct 2", NULL);
    condition_parse(match_add_constraint(&like.match), "zone distinct 2", NULL);
    begin_racks(&like);
    ck_assert(claim_of(gang) == NULL);
    ck_assert_str_eq(
        explain(gang),
        "waiting for 3 x 2 cpus at once: 4 agents have room when their tasks end; "
        "cpus: 4 full; nothing is reserved for a gang with rack and zone distinct");
}
END_TEST

/* ---- who may pass ---- */

/* As many of its tasks may be on an agent as are beyond there. */
START_TEST(test_another_gang_passes_with_what_is_beyond)
{
    uint64_t two;

    begin_the_example();
    run_on(2, 1, 60); /* three are beyond, and one is free */
    two = submit_gang(2, 1);
    settle(0); /* one of the two would be on agent 1, where nothing is beyond */
    finish(b1);
    settle(2);
    ck_assert_uint_eq(job_live(job(two)), 2);
    finish(a1);
    settle(5);
}
END_TEST

/* Also beside what is kept for a single task. */
START_TEST(test_a_gang_passes_in_parts)
{
    struct job_spec like = gang_of(2, 1);
    uint64_t large, two, spread;

    cluster_add_agent(&c, cpus(8));
    run_on(1, 4, 20);
    run_on(1, 2, 60);
    cluster_add_agent(&c, cpus(8));
    run_on(2, 7, 60);
    large = submit(5, 0);
    settle(0);
    ck_assert_uint_eq(beyond_on(1, large), 1000); /* of two that are free */
    spread_parse(match_add_spread(&like.match), "agent", NULL);
    spread = cluster_submit_like(&c, &like);
    match_finish(&like.match);
    settle(0); /* where each place is sought anew, all of it has to be beyond */
    cluster_kill(&c, spread);
    two = submit_gang(2, 1);
    settle(2);
    ck_assert_uint_eq(job_task(job(two), 0)->agent_id, 2);
    ck_assert_uint_eq(job_task(job(two), 1)->agent_id, 1);
    ck_assert_uint_eq(beyond_on(1, large), 0);
    check_time(large, 20);
}
END_TEST

/* Agents are looked at in slices, and so are places. */
START_TEST(test_a_large_one_among_many_agents)
{
    unsigned rounds = 0;

    cluster_finish(&c);
    cluster_init_with(&c, 32);
    set_reserve(ROLE_DEFAULT, 0);
    for (int i = 0; i < 100; i++)
        cluster_add_agent(&c, cpus(8));
    began_us = c.now_us;
    for (uint64_t i = 0; i < 100; i++)
        submit(7, i < 60 ? 10 : 100);
    while (cluster_settle(&c) > 0)
        ;
    gang = submit_gang(50, 5);
    do {
        cluster_plan(&c, LIMIT_PLACEMENTS);
        rounds++;
    } while (c.more);
    ck_assert_uint_gt(rounds, 10);
    check_time(gang, 10);
    ck_assert_uint_eq(claim_places(claim_of(gang)), 50);
    for (uint64_t i = 1; i <= 50; i++)
        ck_assert(kept_on(i, gang) == 1 && beyond_on(i, gang) == 3000);
}
END_TEST

int main(void)
{
    TCase *t = unit_case("gang_reserve",
                         test_the_example_of_a_gang,
                         test_it_begins_in_time_though_small_jobs_keep_coming,
                         test_without_a_reservation_it_starves,
                         test_two_gangs_wait_beside_each_other,
                         test_an_agent_that_is_lost_is_replaced,
                         test_system_jobs_take_what_they_need_of_it,
                         test_it_moves_to_where_there_is_room_sooner,
                         test_where_no_time_is_known_tasks_are_counted,
                         test_a_new_leader_reserves_the_same,
                         test_it_ends_with_its_job,
                         test_what_never_has_room_is_passed_over,
                         test_nothing_is_reserved_above_the_maximum_of_its_role,
                         test_what_is_no_amount_has_to_be_free,
                         test_one_that_keeps_apart_has_one_place_on_each,
                         test_one_that_is_distinct_by_agent_has_so_many_on_each,
                         test_one_that_is_distinct_by_rack_has_so_many_in_each,
                         test_one_that_is_distinct_by_rack_and_zone_has_none,
                         test_another_gang_passes_with_what_is_beyond,
                         test_a_gang_passes_in_parts,
                         test_a_large_one_among_many_agents);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("gang_reserve", &t, 1);
}
