/* test_systems.c - docs/spec/14-kinds.md, "Systems": which agents get their task, and when. */
#include "tests/unit/sched/kinds_test.h"

static void init(struct job_spec *spec, uint64_t each)
{
    job_spec_init(spec);
    spec->kind = JOB_SYSTEM;
    spec->resources = cpus(each);
    job_spec_complete(spec);
}

static uint64_t submit_system(uint64_t each, int32_t priority)
{
    struct job_spec spec;

    init(&spec, each);
    spec.priority = priority;
    return cluster_submit_like(&c, &spec);
}

static const struct task *task(uint64_t id, uint64_t agent)
{
    return system_task(job(id), agent);
}

static bool runs_on(uint64_t id, uint64_t agent)
{
    return task(id, agent) != NULL && task(id, agent)->state == TASK_STAGING;
}

START_TEST(test_each_agent_gets_one)
{
    uint64_t id;

    cluster_add_agent(&c, cpus(4));
    cluster_add_agent(&c, cpus(4));
    id = submit_system(1, 0);
    settle(2);
    ck_assert(runs_on(id, 1) && runs_on(id, 2));
    ck_assert_str_eq(explain(id), "on 2 of 2 agents");
    cluster_add_agent(&c, cpus(4));
    settle(1);
    ck_assert(runs_on(id, 3));
    settle(0);
}
END_TEST

/* Whose lanes are new meanwhile know of it, too. */
START_TEST(test_a_role_begins_to_wait_while_one_is_on_its_way)
{
    uint64_t id;

    cluster_add_agent(&c, cpus(4));
    id = submit_system(1, 0);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 1);
    cluster_submit(&c, cpus(8), 1, 0);
    ck_assert_uint_eq(cluster_place(&c), 1);
    settle(0);
    ck_assert(runs_on(id, 1));
}
END_TEST

/* A new agent has its system tasks before others get the rest; of those the higher priority is
 * first. */
START_TEST(test_they_come_first)
{
    uint64_t low, high, array;

    array = cluster_submit(&c, cpus(1), 8, 100);
    low = submit_system(2, 0);
    high = submit_system(1, 1);
    cluster_add_agent(&c, cpus(4));
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 2);
    ck_assert_uint_eq(c.plan[0].job, high);
    ck_assert_uint_eq(c.plan[1].job, low);
    ck_assert(c.more);
    ck_assert_uint_eq(cluster_place(&c), 2);
    settle(1);
    ck_assert_uint_eq(job_live(job(array)), 1);
}
END_TEST

START_TEST(test_one_without_room_waits_for_its_agent)
{
    uint64_t array, id;

    cluster_add_agent(&c, cpus(4));
    array = cluster_submit(&c, cpus(2), 2, 0);
    settle(2);
    cluster_add_agent(&c, cpus(4));
    cluster_add_agent(&c, cpus(1)); /* too small */
    id = submit_system(2, 0);
    settle(1);
    ck_assert(runs_on(id, 2));
    ck_assert_str_eq(explain(id), "on 1 of 2 agents; no room for 2 cpus on agent 1");
    cluster_report(&c, job_task(job(array), 0)->attempt_id, TASK_FINISHED);
    settle(1);
    ck_assert(runs_on(id, 1));
}
END_TEST

START_TEST(test_only_agents_that_keep_its_constraints)
{
    struct attribute rack_a = {"rack", "a"}, rack_b = {"rack", "b"};
    struct agent_spec a = {.resources = cpus(4),
                           .features = AGENT_FEATURE_JOBS_2,
                           .attributes = &rack_a,
                           .attribute_count = 1};
    struct agent_spec b = a;
    struct job_spec spec;
    uint64_t id;

    b.attributes = &rack_b;
    init(&spec, 1);
    condition_parse(match_add_constraint(&spec.match), "rack = b", NULL);
    id = cluster_submit_like(&c, &spec);
    match_finish(&spec.match);
    cluster_add_agent_like(&c, &a);
    settle(0);
    ck_assert_str_eq(explain(id),
                     "no agent keeps its constraints: rack = b rejects 1 of 1 agent");
    cluster_add_agent_like(&c, &b);
    settle(1);
    ck_assert(runs_on(id, 2));
    ck_assert_str_eq(explain(id), "on 1 of 1 agent");
    cluster_resize_agent_like(&c, 1, &b);
    settle(1);
    ck_assert(runs_on(id, 1));
}
END_TEST

START_TEST(test_it_is_not_moved)
{
    uint64_t id;

    for (int i = 0; i < 5; i++)
        cluster_add_agent(&c, cpus(4));
    id = submit_system(1, 0);
    settle(5);
    cluster_agent_unreachable(&c, 1);
    settle(0);
    ck_assert_str_eq(explain(id), "on 4 of 5 agents; 1 is unreachable");
    cluster_agent_mode(&c, 2, AGENT_CORDONED);
    cluster_report(&c, task(id, 2)->attempt_id, TASK_LOST);
    settle(0);
    ck_assert_str_eq(explain(id),
                     "on 3 of 5 agents; 1 is cordoned or draining; 1 is unreachable");
    cluster_agent_gone(&c, 1);
    settle(0);
    cluster_agent_mode(&c, 2, AGENT_NORMAL);
    settle(1);
    ck_assert_str_eq(explain(id), "on 4 of 4 agents");
    cluster_add_agent(&c, cpus(4));
    settle(1);
    ck_assert_uint_eq(job(id)->instances, 5);
}
END_TEST

/* What failed comes again there when its delay is over, and not before. */
START_TEST(test_a_retry_is_placed_where_it_was)
{
    uint64_t id;

    cluster_add_agent(&c, cpus(4));
    cluster_add_agent(&c, cpus(4));
    id = submit_system(1, 0);
    settle(2);
    cluster_report(&c, task(id, 2)->attempt_id, TASK_FAILED);
    settle(0);
    cluster_retry(&c, id, task(id, 2)->instance);
    settle(1);
    ck_assert(runs_on(id, 2));
    ck_assert_uint_eq(task(id, 2)->attempt, 2);
}
END_TEST

START_TEST(test_the_maximum_of_its_role)
{
    struct role_change change = {.name = ROLE_DEFAULT, .given = ROLE_HAS_MAX};
    uint64_t id, other;

    for (int i = 0; i < 4; i++)
        cluster_add_agent(&c, cpus(4));
    change.spec.max.kinds = 1u << RESOURCE_CPUS;
    change.spec.max.amount = cpus(4);
    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
    other = cluster_submit(&c, cpus(1), 1, 0);
    settle(1);
    id = submit_system(1, 0);
    settle(3);
    ck_assert_str_eq(
        explain(id),
        "on 3 of 4 agents; waiting for 1 cpu: role default has 4 cpus of at "
        "most 4");
    cluster_report(&c, job_task(job(other), 0)->attempt_id, TASK_FINISHED);
    settle(1);
}
END_TEST

START_TEST(test_a_new_leader_goes_on)
{
    uint64_t id;

    cluster_add_agent(&c, cpus(4));
    id = submit_system(1, 0);
    settle(1);
    cluster_add_agent(&c, cpus(4));
    sched_reset(c.sched, c.state);
    settle(1);
    ck_assert(runs_on(id, 2));
    cluster_kill(&c, id);
    cluster_add_agent(&c, cpus(4));
    settle(0);
}
END_TEST

/* More than one round may plan. */
START_TEST(test_many_agents)
{
    uint64_t id = submit_system(1, 0);

    for (int i = 0; i < 300; i++)
        cluster_add_agent(&c, cpus(2));
    cluster_plan(&c, 100);
    ck_assert_uint_eq(c.planned, 100);
    ck_assert_uint_eq(cluster_place(&c), 100);
    settle(200);
    ck_assert_uint_eq(job_live(job(id)), 300);
    submit_system(2, 0);
    settle(0);
    ck_assert_str_eq(
        explain(2),
        "on 0 of 300 agents; no room for 2 cpus on agents 1, 2, 3 and 297 more");
}
END_TEST

/* All that was placed of it fails, and is due again at once. */
static void crash(uint64_t id)
{
    for (uint64_t agent = 1; agent <= c.state->globals.last_agent_id; agent++)
        if (task(id, agent) != NULL && task(id, agent)->state == TASK_STAGING) {
            cluster_report(&c, task(id, agent)->attempt_id, TASK_FAILED);
            cluster_retry(&c, id, task(id, agent)->instance);
        }
}

/* Tasks that fail on more agents than a round has placements: others are placed in between. */
START_TEST(test_a_crash_loop_holds_up_nobody)
{
    uint64_t id, array;

    for (int i = 0; i < 30; i++)
        cluster_add_agent(&c, cpus(2));
    id = submit_system(1, 0);
    array = cluster_submit(&c, cpus(1), 30, 0);
    for (uint64_t i = 0; i < 3; i++) {
        cluster_plan(&c, 10);
        ck_assert_uint_eq(c.plan[0].job, id);
        ck_assert_uint_eq(cluster_place(&c), 10);
        crash(id);
        ck_assert_uint_eq(job_live(job(array)), i * 10);
        cluster_plan(&c, 10);
        ck_assert_uint_eq(c.plan[0].job, array);
        ck_assert(c.more);
        ck_assert_uint_eq(cluster_place(&c), 10);
    }
    for (uint64_t agent = 1; agent <= 30; agent++)
        ck_assert_uint_eq(task(id, agent)->attempt, 1); /* each had its turn */
}
END_TEST

/* Also between two rounds of system jobs nobody is on a new agent before its own tasks are; then it
 * is the others' turn all the same. */
START_TEST(test_a_new_agent_waits_for_no_turn)
{
    uint64_t id, array;

    for (int i = 0; i < 10; i++)
        cluster_add_agent(&c, cpus(1));
    id = submit_system(1, 0);
    array = cluster_submit(&c, cpus(1), 1, 0);
    cluster_plan(&c, 5);
    ck_assert_uint_eq(cluster_place(&c), 5);
    cluster_add_agent(&c, cpus(1));
    cluster_plan(&c, 5);
    ck_assert_uint_eq(c.planned, 1);
    ck_assert_uint_eq(c.plan[0].job, id);
    ck_assert_uint_eq(c.plan[0].agent, 11);
    ck_assert_uint_eq(cluster_place(&c), 1);
    cluster_plan(&c, 5);
    ck_assert_uint_eq(c.planned, 1);
    ck_assert_uint_eq(c.plan[0].job, array);
    ck_assert_uint_eq(cluster_place(&c), 1);
    settle(4);
}
END_TEST

/* All agents are due again and again before all of them were asked: each has its turn. */
START_TEST(test_a_new_job_in_each_round)
{
    enum { AGENTS = 600, LOOKS = 24 };
    uint64_t id, last;

    cluster_finish(&c);
    cluster_init_with(&c, LOOKS);
    for (int i = 0; i < AGENTS; i++)
        cluster_add_agent(&c, cpus(2));
    id = submit_system(1, 0);
    for (int i = 0; i < 30; i++) {
        last = submit_system(3, 0);
        ck_assert_uint_lt(cluster_plan(&c, LIMIT_PLACEMENTS), AGENTS / 2);
        cluster_place(&c);
        cluster_kill(&c, last);
    }
    ck_assert_uint_eq(job_live(job(id)), AGENTS);
}
END_TEST

int main(void)
{
    TCase *t = unit_case("systems",
                         test_each_agent_gets_one,
                         test_they_come_first,
                         test_a_role_begins_to_wait_while_one_is_on_its_way,
                         test_one_without_room_waits_for_its_agent,
                         test_only_agents_that_keep_its_constraints,
                         test_it_is_not_moved,
                         test_a_retry_is_placed_where_it_was,
                         test_the_maximum_of_its_role,
                         test_a_new_leader_goes_on,
                         test_many_agents,
                         test_a_crash_loop_holds_up_nobody,
                         test_a_new_agent_waits_for_no_turn,
                         test_a_new_job_in_each_round);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("systems", &t, 1);
}
