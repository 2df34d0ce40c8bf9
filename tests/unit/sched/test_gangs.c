/* test_gangs.c - docs/spec/14-kinds.md, "Gangs": how rounds plan them. */
#include "tests/unit/sched/kinds_test.h"

static uint64_t submit_gang(uint32_t instances, uint64_t each)
{
    struct job_spec spec;

    job_spec_init(&spec);
    spec.instances = instances;
    spec.resources = cpus(each);
    spec.gang = true;
    return cluster_submit_like(&c, &spec);
}

/* Each task of it that is live ends so. */
static void end_all(uint64_t id, enum task_state state)
{
    for (uint32_t i = 0; i < job(id)->touched; i++) {
        const struct task *t = job_task(job(id), i);

        if (state_attempt(c.state, t->attempt_id) != NULL)
            cluster_report(&c, t->attempt_id, state);
    }
}

START_TEST(test_two_gangs_that_need_more_than_half)
{
    uint64_t one, two, small;

    cluster_add_agent(&c, cpus(4));
    cluster_add_agent(&c, cpus(4));
    one = submit_gang(5, 1);
    two = submit_gang(5, 1);
    settle(5);
    ck_assert_uint_eq(job_live(job(one)), 5);
    ck_assert_uint_eq(job_live(job(two)), 0);
    ck_assert_str_eq(explain(two), "waiting for 5 x 1 cpu at once: room for 3 now");
    small = cluster_submit(&c, cpus(1), 1, 0); /* what waits holds nothing */
    settle(1);
    end_all(small, TASK_FINISHED);
    end_all(one, TASK_FINISHED);
    settle(5);
    ck_assert_uint_eq(job_live(job(two)), 5);
}
END_TEST

/* What was planned of one that does not fit is there for who comes behind it, in the same round:
 * ports and custom resources as well. */
START_TEST(test_what_does_not_fit_leaves_nothing_behind)
{
    struct agent_spec agent = {.resources = cpus(3),
                               .ports = {{100, 103}},
                               .port_count = 1,
                               .features = AGENT_FEATURE_JOBS_2};
    struct job_spec spec;
    uint64_t before, gang, behind;

    cluster_add_agent_like(&c, &agent);
    job_spec_init(&spec);
    spec.resources = cpus(1);
    spec.ports.count = 1;
    before = cluster_submit_like(&c, &spec);
    spec.gang = true;
    spec.instances = 3;
    gang = cluster_submit_like(&c, &spec);
    spec.gang = false;
    spec.instances = 2;
    behind = cluster_submit_like(&c, &spec);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert(!c.more);
    ck_assert_uint_eq(c.planned, 3);
    ck_assert_uint_eq(cluster_place(&c), 3);
    ck_assert_uint_eq(job_live(job(before)), 1);
    ck_assert_uint_eq(job_live(job(gang)), 0);
    ck_assert_uint_eq(job_live(job(behind)), 2);
    settle(0);
}
END_TEST

START_TEST(test_one_that_has_no_room_in_the_round_comes_first_in_the_next)
{
    uint64_t array, gang, last;

    cluster_add_agent(&c, cpus(16));
    array = cluster_submit(&c, cpus(1), 3, 2);
    gang = submit_gang(4, 1);
    last = cluster_submit(&c, cpus(1), 1, -2);
    cluster_plan(&c, 6);
    ck_assert_uint_eq(c.planned, 3);
    ck_assert(c.more);
    ck_assert_uint_eq(cluster_place(&c), 3);
    ck_assert_uint_eq(job_live(job(array)), 3);
    cluster_plan(&c, 6);
    ck_assert_uint_eq(c.planned, 5);
    ck_assert_uint_eq(c.plan[0].job, gang);
    ck_assert_uint_eq(c.plan[4].job, last);
    ck_assert_uint_eq(cluster_place(&c), 5);
}
END_TEST

/* Its first agent's room is taken before the batch is applied: none of it is placed, and it is
 * tried again. */
START_TEST(test_a_batch_that_is_refused_is_planned_again)
{
    uint64_t first, gang;

    first = cluster_add_agent(&c, cpus(2));
    cluster_add_agent(&c, cpus(3));
    gang = submit_gang(4, 1);
    cluster_plan(&c, LIMIT_PLACEMENTS);
    ck_assert_uint_eq(c.planned, 4);
    cluster_agent_mode(&c, first, AGENT_CORDONED);
    ck_assert_uint_eq(cluster_place(&c), 0);
    settle(0);
    ck_assert_uint_eq(job(gang)->touched, 0);
    cluster_agent_mode(&c, first, AGENT_NORMAL);
    settle(4);
}
END_TEST

START_TEST(test_the_maximum_of_its_role_is_for_all_of_it)
{
    struct role_change change = {.name = ROLE_DEFAULT, .given = ROLE_HAS_MAX};
    uint64_t array, gang;

    cluster_add_agent(&c, cpus(16));
    change.spec.max.kinds = 1u << RESOURCE_CPUS;
    change.spec.max.amount = cpus(5);
    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
    array = cluster_submit(&c, cpus(1), 3, 1);
    settle(3);
    gang = submit_gang(4, 1);
    settle(0);
    ck_assert_str_eq(explain(gang),
                     "waiting for 4 x 1 cpu at once: role default has 3 cpus of at "
                     "most 5");
    cluster_report(&c, job_task(job(array), 0)->attempt_id, TASK_FINISHED);
    settle(0);
    cluster_report(&c, job_task(job(array), 1)->attempt_id, TASK_FINISHED);
    settle(4);
}
END_TEST

/* Each of them on another agent; what it may not have has no room, whatever is free. */
START_TEST(test_a_gang_that_is_choosy)
{
    struct job_spec spec;
    uint64_t gang;

    for (int i = 0; i < 3; i++)
        cluster_add_agent(&c, cpus(8));
    job_spec_init(&spec);
    spec.resources = cpus(1);
    spec.instances = 4;
    spec.gang = true;
    condition_parse(match_add_constraint(&spec.match), "agent distinct", NULL);
    gang = cluster_submit_like(&c, &spec);
    match_finish(&spec.match);
    settle(0);
    ck_assert_str_eq(explain(gang),
                     "waiting for 4 x 1 cpu at once: all agents together can hold 3");
    cluster_add_agent(&c, cpus(8));
    settle(4);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t k = 0; k < i; k++)
            ck_assert_uint_ne(job_task(job(gang), i)->agent_id,
                              job_task(job(gang), k)->agent_id);
}
END_TEST

/* While some of it runs, the others are repeated by themselves; when none does, together. */
START_TEST(test_what_is_repeated)
{
    struct job_spec spec;
    uint64_t gang, other, first, second;

    first = cluster_add_agent(&c, cpus(2));
    second = cluster_add_agent(&c, cpus(2));
    job_spec_init(&spec);
    spec.resources = cpus(1);
    spec.instances = 4;
    spec.gang = true;
    gang = cluster_submit_like(&c, &spec);
    settle(4);
    cluster_agent_unreachable(&c, second);
    settle(0);
    cluster_add_agent(&c, cpus(1));
    settle(1); /* one of two */
    ck_assert_uint_eq(job_live(job(gang)), 3);
    cluster_agent_gone(&c, first);
    cluster_agent_gone(&c, 3);
    ck_assert(job_is_whole(job(gang)));
    other = cluster_add_agent(&c, cpus(3));
    settle(0); /* not three of four */
    ck_assert_str_eq(explain(gang), "waiting for 4 x 1 cpu at once: room for 3 now");
    cluster_resize_agent(&c, other, cpus(4));
    settle(4);
}
END_TEST

/* The largest, on agents of which each takes a few. */
START_TEST(test_the_largest_gang)
{
    uint64_t gang;

    for (int i = 0; i < 256; i++)
        cluster_add_agent(&c, cpus(4));
    cluster_submit(&c, cpus(1), 1, 1);
    gang = submit_gang(LIMIT_GANG_TASKS, 1);
    settle(1);
    ck_assert_str_eq(explain(gang),
                     "waiting for 1024 x 1 cpu at once: room for 1023 now");
    cluster_add_agent(&c, cpus(1));
    settle(LIMIT_GANG_TASKS);
}
END_TEST

int main(void)
{
    TCase *t = unit_case("gangs",
                         test_two_gangs_that_need_more_than_half,
                         test_what_does_not_fit_leaves_nothing_behind,
                         test_one_that_has_no_room_in_the_round_comes_first_in_the_next,
                         test_a_batch_that_is_refused_is_planned_again,
                         test_the_maximum_of_its_role_is_for_all_of_it,
                         test_a_gang_that_is_choosy,
                         test_what_is_repeated,
                         test_the_largest_gang);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("gangs", &t, 1);
}
