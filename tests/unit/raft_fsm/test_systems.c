/* test_systems.c - docs/spec/14-kinds.md, "Systems": one task on each agent. */
#include "base/mem.h"
#include "base/text.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

#include <stdio.h>

static struct fsm f;

/* Two agents of 4 cpus, and system job 1, whose tasks take one. */
static void setup(void)
{
    struct buffer packed = {0};
    struct job_spec spec;

    fsm_setup(&f);
    ck_done(fsm_register_able(&f, 'a', 4, AGENT_FEATURE_JOBS_2), 1);
    ck_done(fsm_register_able(&f, 'b', 4, AGENT_FEATURE_JOBS_2), 2);
    job_spec_init(&spec);
    spec.name = mem_strdup("logs");
    spec.kind = JOB_SYSTEM;
    job_spec_complete(&spec);
    job_spec_add_arg(&spec, "/bin/true");
    job_spec_pack(&spec, &packed);
    job_spec_finish(&spec);
    ck_done(fsm_submit_spec(&f, "logs", buffer_view(&packed)), 1);
    buffer_finish(&packed);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

static struct result place(uint32_t instance, uint32_t attempt, uint64_t agent)
{
    struct placement p = {1, instance, attempt, agent};

    return fsm_place_all(&f, &p, 1);
}

static struct job *job(void)
{
    return state_job(f.state, 1);
}

static struct task *task(uint32_t instance)
{
    return job_task(job(), instance);
}

/* Its newest attempt on that agent ends so. */
static void end(uint64_t agent, enum task_state state)
{
    uint64_t attempt = system_task(job(), agent)->attempt_id;

    ck_done(fsm_update(&f, agent, attempt, state), 1);
}

START_TEST(test_each_agent_gets_one)
{
    ck_assert_int_eq(job_state(job()), JOB_PENDING);
    ck_assert_uint_eq(job()->instances, 0);
    ck_assert(job_may_place(job()));
    ck_changes_nothing(&f, ck_done(place(0, 1, 1), 0)); /* there is no such task */
    ck_done(place(0, 0, 2), 1);
    ck_changes_nothing(&f, ck_done(place(0, 0, 2), 0)); /* it has one */
    ck_changes_nothing(&f, ck_done(place(0, 2, 2), 0));
    ck_done(place(0, 0, 1), 1);
    ck_assert_uint_eq(job()->instances, 2);
    ck_assert_uint_eq(f.state->task_count, 2);
    ck_assert_uint_eq(system_task(job(), 2)->instance, 0);
    ck_assert_uint_eq(system_task(job(), 1)->instance, 1);
    ck_assert_int_eq(job_state(job()), JOB_RUNNING);
}
END_TEST

/* However it ended, and nowhere else. */
START_TEST(test_it_comes_again_where_it_was)
{
    ck_done(place(0, 0, 1), 1);
    end(1, TASK_FINISHED);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_assert(task_waits(task(0)));
    ck_changes_nothing(&f, ck_done(place(0, 2, 1), 0));
    ck_done(fsm_retry(&f, 1, 0, 1), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1);
    ck_assert_uint_eq(f.out.effects[0].agent, 1);
    ck_changes_nothing(&f, ck_done(place(0, 2, 2), 0)); /* not its agent */
    ck_changes_nothing(&f, ck_done(place(0, 0, 1), 0)); /* not a second one */
    ck_done(place(0, 2, 1), 1);
    ck_done(place(0, 0, 2), 1);
    ck_assert_uint_eq(job()->instances, 2);
}
END_TEST

START_TEST(test_an_agent_that_is_away_keeps_its_task)
{
    ck_done(place(0, 0, 1), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_changes_nothing(&f, ck_done(place(0, 2, 2), 0));
    ck_done(place(0, 0, 2), 1);
    ck_assert_uint_eq(task(1)->agent_id, 2);
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    ck_assert_int_eq(task(0)->state, TASK_STAGING);
    ck_assert_uint_eq(task(0)->attempt, 1);
}
END_TEST

/* The example of the specification. */
START_TEST(test_the_next_agent_gets_what_one_that_is_gone_had)
{
    ck_done(place(0, 0, 1), 1);
    ck_done(place(0, 0, 2), 1);
    ck_done(fsm_gone(&f, 1), 1);
    ck_assert_int_eq(task(0)->state, TASK_LOST);
    ck_assert_int_eq(task(0)->reason, TASK_REASON_AGENT_GONE);
    ck_assert_int_eq(job_state(job()), JOB_RUNNING);
    ck_assert_uint_eq(job_pending(job()), 0);
    ck_done(fsm_register_able(&f, 'c', 4, AGENT_FEATURE_JOBS_2), 3);
    ck_done(place(0, 0, 3), 1);
    ck_assert_uint_eq(job()->instances, 2);
    ck_assert_uint_eq(task(0)->agent_id, 3);
    ck_assert_uint_eq(task(0)->attempt, 2);
    ck_assert_uint_eq(task(0)->ended_us, 0);
}
END_TEST

/* Also what waits for its delay, or has used up its attempts. */
START_TEST(test_what_is_not_live_ends_with_its_agent_as_well)
{
    ck_done(place(0, 0, 1), 1);
    ck_done(place(0, 0, 2), 1);
    end(1, TASK_FAILED);
    ck_assert(task_waits(task(0)));
    ck_assert_uint_ne(task_failure(task(0)), 0);
    ck_done(fsm_gone(&f, 1), 1);
    ck_assert_int_eq(task(0)->state, TASK_LOST);
    ck_assert_uint_eq(task_failure(task(0)), 0);
    ck_done(fsm_unreachable(&f, 2), 2);
    ck_done(fsm_gone(&f, 2), 2);
    ck_assert_int_eq(task(1)->state, TASK_LOST);
    ck_done(fsm_register_able(&f, 'c', 4, AGENT_FEATURE_JOBS_2), 3);
    ck_done(fsm_register_able(&f, 'd', 4, AGENT_FEATURE_JOBS_2), 4);
    ck_done(place(0, 0, 4), 1);
    ck_assert_uint_eq(task(0)->agent_id, 4);
    ck_assert_uint_eq(task(0)->extras == NULL ? 0 : task(0)->extras->retries, 0);
    ck_done(place(0, 0, 3), 1);
    ck_assert_uint_eq(job()->instances, 2);
}
END_TEST

/* With more agents that are gone than there are left. */
START_TEST(test_many_agents_that_go)
{
    enum { AGENTS = 12 };

    for (int i = 3; i <= AGENTS; i++)
        ck_done(fsm_register_able(&f, (char)('a' + i), 4, AGENT_FEATURE_JOBS_2),
                (uint64_t)i);
    for (uint64_t i = 1; i <= AGENTS; i++)
        ck_done(place(0, 0, i), 1);
    for (uint64_t gone = 2; gone < AGENTS; gone++) {
        ck_done(fsm_gone(&f, gone), gone);
        for (uint64_t i = 1; i <= AGENTS; i++)
            ck_assert_ptr_eq(system_task(job(), i),
                             i >= 2 && i <= gone ? NULL : task((uint32_t)i - 1));
        state_check(f.state);
    }
    ck_done(fsm_register_able(&f, 'z', 4, AGENT_FEATURE_JOBS_2), AGENTS + 1);
    ck_done(place(0, 0, AGENTS + 1), 1);
    ck_assert_ptr_eq(system_task(job(), AGENTS + 1), task(1));
}
END_TEST

START_TEST(test_a_drain_ends_it_last)
{
    ck_done(place(0, 0, 1), 1);
    ck_done(fsm_submit(&f, "a", 1), 2);
    ck_done(fsm_place(&f, 2, 0, 1), 1);
    ck_done(fsm_mode(&f, 1, AGENT_DRAINING, 0), 1);
    ck_done(fsm_drain_due(&f, 1), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, 2), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, 1), 0);
    ck_done(fsm_update(&f, 1, 2, TASK_KILLED), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, 1), 1);
    end(1, TASK_KILLED);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_assert_int_eq(task(0)->reason, TASK_REASON_AGENT_DRAINED);
    ck_changes_nothing(&f, ck_done(place(0, 2, 1), 0));
    ck_changes_nothing(&f, ck_done(place(0, 2, 2), 0));
    ck_done(fsm_mode(&f, 1, AGENT_NORMAL, 0), 1);
    ck_done(place(0, 2, 1), 1);
    ck_done(fsm_mode(&f, 1, AGENT_DRAINING, 0), 1);
    ck_done(fsm_drain_due(&f, 1), 1); /* it is alone there */
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, 3), 1);
}
END_TEST

START_TEST(test_it_ends_when_it_is_killed)
{
    ck_done(place(0, 0, 1), 1);
    ck_done(fsm_kill(&f, 1), 1);
    ck_assert_int_eq(job_state(job()), JOB_RUNNING);
    ck_changes_nothing(&f, ck_done(place(0, 0, 2), 0));
    ck_assert_uint_eq(f.state->system_count, 0);
    end(1, TASK_KILLED);
    ck_assert_int_eq(job_state(job()), JOB_KILLED);
    ck_assert_uint_ne(job()->ended_us, 0);
    ck_done(fsm_purge(&f, 1), 1);
    ck_assert_uint_eq(f.state->task_count, 0);
}
END_TEST

START_TEST(test_one_without_a_task_is_killed)
{
    ck_done(fsm_kill(&f, 1), 1);
    ck_assert_int_eq(job_state(job()), JOB_KILLED);
    ck_done(fsm_purge(&f, 1), 1);
}
END_TEST

/* More than a chunk of tasks, from a snapshot in between. */
START_TEST(test_many_agents)
{
    struct buffer before = {0}, after = {0};
    struct state *restored;

    for (uint64_t id = 3; id <= 130; id++) {
        struct agent_spec spec = {.hostname = "x",
                                  .http_address = "",
                                  .resources = {{4000, 1ull << 30}},
                                  .features = AGENT_FEATURE_JOBS_2};
        struct command c = {.kind = COMMAND_AGENT_REGISTER};
        struct buffer packed = {0};

        spec.key[0] = (uint8_t)id;
        agent_spec_pack(&spec, &packed);
        c.agent_register.spec = buffer_view(&packed);
        ck_assert_uint_eq(fsm_entry_fast(&f, &c, 1).id, id);
        buffer_finish(&packed);
    }
    for (uint64_t id = 1; id <= 130; id++) {
        if (id == 66) {
            buffer_clear(&before);
            buffer_clear(&after);
            fsm_snapshot(f.state, &before);
            restored = fsm_restored(buffer_view(&before));
            fsm_snapshot(restored, &after);
            ck_same_bytes(&before, &after);
            state_destroy(f.state);
            f.state = restored;
        }
        ck_done(place(0, 0, id * 37 % 131), 1); /* in some order */
    }
    ck_assert_uint_eq(job()->instances, 130);
    ck_assert_uint_eq(system_task(job(), 37)->instance, 0);
    buffer_finish(&before);
    buffer_finish(&after);
}
END_TEST

START_TEST(test_more_than_the_limit_are_refused)
{
    struct buffer packed = {0};
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup("another");
    spec.kind = JOB_SYSTEM;
    job_spec_complete(&spec);
    job_spec_add_arg(&spec, "/bin/true");
    job_spec_pack(&spec, &packed);
    job_spec_finish(&spec);
    for (uint64_t id = 2; id <= LIMIT_SYSTEM_JOBS + 1; id++) {
        char key[16];

        snprintf(key, sizeof(key), "%u", (unsigned)id);
        if (id <= LIMIT_SYSTEM_JOBS)
            ck_done(fsm_submit_spec(&f, key, buffer_view(&packed)), id);
        else
            ck_rejected(fsm_submit_spec(&f, key, buffer_view(&packed)), ERROR_BUSY);
    }
    ck_done(fsm_kill(&f, 2), 2);
    ck_done(fsm_submit_spec(&f, "again", buffer_view(&packed)), LIMIT_SYSTEM_JOBS + 1);
    buffer_finish(&packed);
}
END_TEST

/* An agent that is here says that it is gone: its task is its own all the same. */
START_TEST(test_what_an_agent_says_of_itself_vacates_nothing)
{
    struct task_update u = {
        .attempt = 1, .state = TASK_LOST, .reason = TASK_REASON_AGENT_GONE};
    struct command c = {.kind = COMMAND_TASK_UPDATE,
                        .task_update = {.agent = 1, .updates = &u, .count = 1}};

    ck_done(place(0, 0, 1), 1);
    ck_done(fsm_run(&f, &c), 1);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_assert_ptr_eq(system_task(job(), 1), task(0));
    ck_done(place(0, 0, 2), 1);
    ck_assert_uint_eq(system_task(job(), 2)->instance, 1);
    ck_done(place(0, 2, 1), 1);
    ck_assert_ptr_eq(system_task(job(), 1), task(0));
}
END_TEST

/* Masters that wrote such an entry refused the job, and ids that follow rest on that. */
START_TEST(test_older_entries_know_no_such_jobs)
{
    struct buffer packed = {0};
    struct job_spec spec;

    f.version = 2;
    job_spec_init(&spec);
    spec.name = mem_strdup("logs");
    job_spec_add_arg(&spec, "/bin/true");
    condition_parse(match_add_constraint(&spec.match), "rack = a", NULL);
    job_spec_pack(&spec, &packed);
    ck_rejected(fsm_submit_spec(&f, "constraint", buffer_view(&packed)), ERROR_VERSION);
    buffer_clear(&packed);
    match_finish(&spec.match);
    spec.gang = true;
    job_spec_pack(&spec, &packed);
    ck_rejected(fsm_submit_spec(&f, "gang", buffer_view(&packed)), ERROR_VERSION);
    buffer_clear(&packed);
    spec.gang = false;
    spec.kind = JOB_SYSTEM;
    job_spec_complete(&spec);
    job_spec_pack(&spec, &packed);
    ck_rejected(fsm_submit_spec(&f, "system", buffer_view(&packed)), ERROR_VERSION);
    job_spec_finish(&spec);
    ck_done(fsm_submit(&f, "plain", 1), 2);
    buffer_finish(&packed);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("systems");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_each_agent_gets_one);
    tcase_add_test(t, test_it_comes_again_where_it_was);
    tcase_add_test(t, test_an_agent_that_is_away_keeps_its_task);
    tcase_add_test(t, test_the_next_agent_gets_what_one_that_is_gone_had);
    tcase_add_test(t, test_many_agents_that_go);
    tcase_add_test(t, test_what_is_not_live_ends_with_its_agent_as_well);
    tcase_add_test(t, test_a_drain_ends_it_last);
    tcase_add_test(t, test_it_ends_when_it_is_killed);
    tcase_add_test(t, test_one_without_a_task_is_killed);
    tcase_add_test(t, test_many_agents);
    tcase_add_test(t, test_more_than_the_limit_are_refused);
    tcase_add_test(t, test_what_an_agent_says_of_itself_vacates_nothing);
    tcase_add_test(t, test_older_entries_know_no_such_jobs);
    return unit_run("systems", &t, 1);
}
