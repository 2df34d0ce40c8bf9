/* test_gangs.c - docs/spec/14-kinds.md, "Gangs": all tasks are placed at once, or none. */
#include "base/mem.h"
#include "base/text.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

static struct fsm f;

/* Two agents of 4 cpus. */
static void setup(void)
{
    fsm_setup(&f);
    ck_done(fsm_register_able(&f, 'a', 4, AGENT_FEATURE_JOBS_2), 1);
    ck_done(fsm_register_able(&f, 'b', 4, AGENT_FEATURE_JOBS_2), 2);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

static void init(struct job_spec *spec, uint32_t instances)
{
    job_spec_init(spec);
    spec->name = mem_strdup("gang");
    spec->instances = instances;
    spec->gang = true;
    job_spec_add_arg(spec, "/bin/true");
}

/* Of one cpu each. */
static struct result submit_gang(const char *key, uint32_t instances)
{
    struct job_spec spec;

    init(&spec, instances);
    return fsm_submit_job(&f, key, &spec);
}

/* The first `on_first` of its tasks on agent 1, the others on agent 2; `attempt` is that of each. */
static struct result
place(uint64_t job, uint32_t count, uint32_t on_first, uint32_t attempt)
{
    struct placement p[16];

    for (uint32_t i = 0; i < count; i++)
        p[i] = (struct placement){job, i, attempt, i < on_first ? 1 : 2};
    return fsm_place_all(&f, p, count);
}

static struct job *job(uint64_t id)
{
    return state_job(f.state, id);
}

/* The attempts of `count` tasks, from this one on, end so; the last first. */
static void end(uint64_t agent, uint64_t attempt, uint32_t count, enum task_state state)
{
    while (count-- > 0)
        ck_done(fsm_update(&f, agent, attempt + count, state), 1);
}

START_TEST(test_all_are_placed_or_none)
{
    ck_done(submit_gang("a", 5), 1);
    ck_assert_uint_eq(job_pending(job(1)), 5);
    ck_changes_nothing(&f, ck_done(place(1, 5, 5, 1), 0)); /* no room for 5 */
    ck_changes_nothing(&f, ck_done(place(1, 4, 2, 1), 0)); /* not all */
    ck_assert_int_eq(job_state(job(1)), JOB_PENDING);
    ck_assert_uint_eq(job(1)->touched, 0);
    ck_done(place(1, 5, 4, 1), 5);
    ck_assert_uint_eq(job(1)->touched, 5);
    ck_assert_uint_eq(job_live(job(1)), 5);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_LAUNCH, 1), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_LAUNCH, 5), 1);
}
END_TEST

START_TEST(test_what_a_gang_may_not_be_placed_as)
{
    struct placement twice[] = {{1, 0, 1, 1}, {1, 0, 1, 2}};
    struct placement backwards[] = {{1, 1, 1, 1}, {1, 0, 1, 2}};
    struct placement other_attempt[] = {{1, 0, 1, 1}, {1, 1, 2, 2}};
    struct placement no_agent[] = {{1, 0, 1, 1}, {1, 1, 1, 3}};
    struct placement apart[] = {{1, 0, 1, 1}, {2, 0, 1, 1}, {1, 1, 1, 2}};
    struct placement more[] = {{1, 0, 1, 1}, {1, 1, 1, 2}, {1, 2, 1, 1}};

    ck_done(submit_gang("a", 2), 1);
    ck_done(fsm_submit(&f, "b", 1), 2);
    ck_changes_nothing(&f, ck_done(fsm_place_all(&f, twice, 2), 0));
    ck_changes_nothing(&f, ck_done(fsm_place_all(&f, backwards, 2), 0));
    ck_changes_nothing(&f, ck_done(fsm_place_all(&f, other_attempt, 2), 0));
    ck_changes_nothing(&f, ck_done(fsm_place_all(&f, no_agent, 2), 0));
    ck_changes_nothing(&f, ck_done(fsm_place_all(&f, more, 3), 0));
    ck_done(fsm_place_all(&f, apart, 3), 1); /* the other job's */
    ck_assert_uint_eq(job(1)->touched, 0);
    ck_assert_uint_eq(job(2)->touched, 1);
    ck_done(fsm_mode(&f, 2, AGENT_CORDONED, 0), 2);
    ck_changes_nothing(&f, ck_done(place(1, 2, 1, 1), 0));
    ck_done(place(1, 2, 2, 1), 2);
}
END_TEST

/* Ports, custom resources and the maximum of the role count for all of them together. */
START_TEST(test_room_is_for_all_together)
{
    struct agent_spec agent = {.hostname = "c",
                               .http_address = "",
                               .resources = {{16000, 1ull << 40}},
                               .ports = {{100, 104}},
                               .port_count = 1,
                               .features = AGENT_FEATURE_JOBS_2};
    struct command c = {.kind = COMMAND_AGENT_REGISTER};
    struct placement p[3];
    struct buffer packed = {0};
    struct job_spec spec;

    agent_key(agent.key, 'c');
    custom_resources_add(&agent.custom, "licence", 2500);
    agent_spec_pack(&agent, &packed);
    c.agent_register.spec = buffer_view(&packed);
    ck_done(fsm_run(&f, &c), 3);
    buffer_finish(&packed);
    custom_resources_finish(&agent.custom);
    for (int kind = 0; kind < 3; kind++) {
        static const char *const KEYS[] = {"ports", "fixed", "custom"};
        uint64_t id = (uint64_t)kind + 1;

        init(&spec, kind == 1 ? 2 : 3);
        if (kind == 0)
            spec.ports.count = 2;
        if (kind == 1) {
            spec.ports.fixed[0] = (struct port_range){100, 100};
            spec.ports.fixed_count = 1;
        }
        if (kind == 2)
            custom_resources_add(&spec.custom, "licence", 1000);
        ck_done(fsm_submit_job(&f, KEYS[kind], &spec), id);
        for (uint32_t i = 0; i < 3; i++)
            p[i] = (struct placement){id, i, 1, 3};
        ck_changes_nothing(&f, ck_done(fsm_place_all(&f, p, kind == 1 ? 2 : 3), 0));
    }
    init(&spec, 2);
    spec.ports.count = 2;
    ck_done(fsm_submit_job(&f, "two", &spec), 4);
    p[0] = (struct placement){4, 0, 1, 3};
    p[1] = (struct placement){4, 1, 1, 3};
    ck_done(fsm_place_all(&f, p, 2), 2);
}
END_TEST

static void bound_default(uint64_t cpus)
{
    struct role_change change = {.name = ROLE_DEFAULT, .given = ROLE_HAS_MAX};
    struct command c = {.kind = COMMAND_ROLE_SET};
    struct buffer packed = {0};

    role_spec_init(&change.spec);
    change.spec.max.kinds = 1u << RESOURCE_CPUS;
    change.spec.max.amount.amount[RESOURCE_CPUS] = cpus;
    role_change_pack(&change, &packed);
    c.role_set.change = buffer_view(&packed);
    ck_assert_int_eq(fsm_run(&f, &c).code, ERROR_NONE);
    buffer_finish(&packed);
}

START_TEST(test_the_maximum_of_the_role_is_for_all_together)
{
    ck_done(submit_gang("a", 3), 1);
    bound_default(2999);
    ck_changes_nothing(&f, ck_done(place(1, 3, 2, 1), 0));
    bound_default(3000);
    ck_done(place(1, 3, 2, 1), 3);
}
END_TEST

/* While a part of it runs, what failed is repeated by itself. */
START_TEST(test_one_of_them_is_repeated_alone)
{
    ck_done(submit_gang("a", 4), 1);
    ck_done(place(1, 4, 2, 1), 4);
    end(2, 4, 1, TASK_LOST);
    ck_assert_uint_eq(job_pending(job(1)), 1);
    ck_assert(!job_is_whole(job(1)));
    ck_done(fsm_place(&f, 1, 3, 1), 1);
}
END_TEST

/* When nothing of it runs any more, it begins again as it began. */
START_TEST(test_what_has_ended_as_a_whole_begins_as_one)
{
    struct placement p[2] = {{1, 0, 2, 1}, {1, 2, 2, 2}};
    struct job_spec spec;

    init(&spec, 3);
    spec.reschedule =
        (struct job_retry){JOB_UNLIMITED, 600000, LIMIT_RESCHEDULE_MS, 60000};
    ck_done(fsm_submit_job(&f, "a", &spec), 1);
    ck_done(place(1, 3, 2, 1), 3);
    ck_done(fsm_update(&f, 1, 2, TASK_FINISHED), 1);
    ck_done(fsm_update(&f, 2, 3, TASK_FAILED), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 0);
    ck_done(fsm_update(&f, 1, 1, TASK_FAILED), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1);
    ck_assert(job_is_whole(job(1)));
    ck_done(fsm_retry(&f, 1, 0, 1), 1);
    ck_assert_uint_eq(job_pending(job(1)), 0); /* the other one waits still */
    ck_changes_nothing(&f, ck_done(fsm_place(&f, 1, 0, 1), 0));
    ck_done(fsm_retry(&f, 1, 2, 1), 1);
    ck_assert_uint_eq(job_pending(job(1)), 2);
    ck_changes_nothing(&f, ck_done(fsm_place_all(&f, p, 1), 0));
    ck_done(fsm_place_all(&f, p, 2), 2);
}
END_TEST

/* An agent comes back with one of them: the others go on by themselves, and the leader hears it. */
START_TEST(test_one_that_is_reclaimed_makes_it_a_part)
{
    ck_done(submit_gang("a", 2), 1);
    ck_done(place(1, 2, 1, 1), 2);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_unreachable(&f, 2), 2);
    ck_assert(job_is_whole(job(1)));
    ck_assert_uint_eq(job_pending(job(1)), 2);
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    ck_assert(!job_is_whole(job(1)));
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1);
    ck_done(fsm_place(&f, 1, 1, 1), 1);
}
END_TEST

/* The example of the specification. */
START_TEST(test_two_gangs_that_need_more_than_half)
{
    struct placement both[] = {{1, 0, 1, 1},
                               {1, 1, 1, 1},
                               {1, 2, 1, 1},
                               {1, 3, 1, 1},
                               {1, 4, 1, 2},
                               {2, 0, 1, 2},
                               {2, 1, 1, 2},
                               {2, 2, 1, 2},
                               {2, 3, 1, 1},
                               {2, 4, 1, 1}};

    ck_done(submit_gang("a", 5), 1);
    ck_done(submit_gang("b", 5), 2);
    ck_done(fsm_place_all(&f, both, 10), 5);
    ck_assert_uint_eq(job_live(job(1)), 5);
    ck_assert_uint_eq(job_live(job(2)), 0);
    ck_assert(job(2)->owner->role->use.amount[RESOURCE_CPUS] == 5000);
    end(1, 1, 4, TASK_FINISHED);
    end(2, 5, 1, TASK_FINISHED);
    ck_assert_int_eq(job_state(job(1)), JOB_COMPLETE);
    ck_done(fsm_place_all(&f, both + 5, 5), 5);
}
END_TEST

START_TEST(test_it_is_the_same_from_a_snapshot)
{
    struct buffer before = {0}, after = {0};
    struct state *restored;

    ck_done(submit_gang("a", 2), 1);
    ck_done(submit_gang("b", 2), 2);
    ck_done(place(2, 2, 1, 1), 2);
    fsm_snapshot(f.state, &before);
    restored = fsm_restored(buffer_view(&before));
    ck_assert(job_is_whole(state_job(restored, 1)));
    ck_assert(!job_is_whole(state_job(restored, 2)));
    fsm_snapshot(restored, &after);
    ck_same_bytes(&before, &after);
    state_destroy(restored);
    buffer_finish(&before);
    buffer_finish(&after);
}
END_TEST

START_TEST(test_more_than_start_at_once_are_refused)
{
    ck_done(submit_gang("a", LIMIT_GANG_TASKS), 1);
    ck_rejected(submit_gang("b", LIMIT_GANG_TASKS + 1), ERROR_TOO_LARGE);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("gangs");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_all_are_placed_or_none);
    tcase_add_test(t, test_what_a_gang_may_not_be_placed_as);
    tcase_add_test(t, test_room_is_for_all_together);
    tcase_add_test(t, test_the_maximum_of_the_role_is_for_all_together);
    tcase_add_test(t, test_one_of_them_is_repeated_alone);
    tcase_add_test(t, test_what_has_ended_as_a_whole_begins_as_one);
    tcase_add_test(t, test_one_that_is_reclaimed_makes_it_a_part);
    tcase_add_test(t, test_two_gangs_that_need_more_than_half);
    tcase_add_test(t, test_it_is_the_same_from_a_snapshot);
    tcase_add_test(t, test_more_than_start_at_once_are_refused);
    return unit_run("gangs", &t, 1);
}
