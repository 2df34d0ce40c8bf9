/* test_tasks.c - docs/spec/3-task-states.md: how attempts end and what becomes of tasks. */
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

#include "base/mem.h"
#include "wire/job.h"

#include <string.h>

static struct fsm f;

/* Two agents with 4 cpus, and job 1 with 3 tasks of one cpu. */
static void setup(void)
{
    fsm_setup(&f);
    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_register(&f, 'b', 4), 2);
    ck_done(fsm_submit(&f, "k", 3), 1);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

static const struct job *job(void)
{
    return state_job(f.state, 1);
}

static const struct task *task(uint32_t instance)
{
    return job_task(job(), instance);
}

static uint64_t cpus_of(uint64_t agent)
{
    return state_agent(f.state, agent)->allocated.amount[RESOURCE_CPUS];
}

/* Tasks 0, 1, 2 as attempts 1, 2, 3 on agent 1. */
static void place_all(void)
{
    for (uint32_t i = 0; i < 3; i++)
        ck_done(fsm_place(&f, 1, i, 1), 1);
}

/* ---- reports ---- */

START_TEST(test_an_attempt_moves_forward)
{
    place_all();
    ck_done(fsm_update(&f, 1, 1, TASK_STARTING), 1);
    ck_assert_int_eq(task(0)->state, TASK_STARTING);
    ck_assert_int_eq(state_attempt(f.state, 1)->state, TASK_STARTING);
    ck_assert_uint_eq(task(0)->started_us, 0);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_UPDATED, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    ck_assert_uint_eq(task(0)->started_us, f.now_us);
    ck_assert_uint_eq(f.state->tasks_by_state[TASK_RUNNING], 1);
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_assert_int_eq(task(0)->state, TASK_FINISHED);
    ck_assert_uint_eq(task(0)->ended_us, f.now_us);
    ck_assert_ptr_null(state_attempt(f.state, 1));
    ck_assert_uint_eq(task(0)->attempt_id, 1);
    ck_assert_uint_eq(cpus_of(1), 2000);
    ck_assert_uint_eq(job()->changed, f.state->index);
}
END_TEST

START_TEST(test_a_later_state_may_come_directly)
{
    place_all();
    ck_done(fsm_update(&f, 1, 1, TASK_FAILED), 1);
    ck_assert_int_eq(task(0)->state, TASK_FAILED);
    ck_assert_int_eq(task(0)->exit_code, 7);
    ck_assert_int_eq(task(0)->reason, TASK_REASON_EXITED);
    ck_assert_str_eq(task(0)->message, "it broke");
    ck_assert_uint_eq(task(0)->started_us, 0);
}
END_TEST

START_TEST(test_equal_and_older_states_change_nothing)
{
    place_all();
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    ck_changes_nothing(&f, ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 0));
    ck_changes_nothing(&f, ck_done(fsm_update(&f, 1, 1, TASK_STARTING), 0));
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_UPDATED, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_changes_nothing(&f, ck_done(fsm_update(&f, 1, 1, TASK_FAILED), 0));
    ck_changes_nothing(&f, ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 0));
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_UPDATED, 1), 1);
}
END_TEST

START_TEST(test_unknown_attempts_and_other_agents_change_nothing)
{
    place_all();
    ck_changes_nothing(&f, ck_done(fsm_update(&f, 1, 99, TASK_FINISHED), 0));
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_UPDATED, 99), 1);
    ck_changes_nothing(&f, ck_done(fsm_update(&f, 2, 1, TASK_FINISHED), 0));
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_UPDATED, 1), 1);
    ck_changes_nothing(&f, ck_done(fsm_update(&f, 77, 1, TASK_FINISHED), 0));
}
END_TEST

START_TEST(test_many_reports_in_one_command)
{
    struct task_update u[] = {{.attempt = 1, .state = TASK_RUNNING},
                              {.attempt = 50, .state = TASK_RUNNING},
                              {.attempt = 2, .state = TASK_FINISHED},
                              {.attempt = 2, .state = TASK_FINISHED},
                              {.attempt = 1, .state = TASK_FINISHED}};
    struct command c = {.kind = COMMAND_TASK_UPDATE,
                        .task_update = {.agent = 1, .updates = u, .count = 5}};

    place_all();
    ck_done(fsm_run(&f, &c), 3);
    ck_assert_uint_eq(f.out.effect_count, 5 + 2); /* all answered, two freed */
    ck_assert_uint_eq(f.state->tasks_by_state[TASK_FINISHED], 2);
    ck_assert_uint_eq(cpus_of(1), 1000);
}
END_TEST

START_TEST(test_a_message_ends_at_its_first_zero_byte)
{
    struct task_update u = {.attempt = 1,
                            .state = TASK_RUNNING,
                            .message = {(const uint8_t *)"up\0here", 7}};
    struct command c = {.kind = COMMAND_TASK_UPDATE,
                        .task_update = {.agent = 1, .updates = &u, .count = 1}};

    place_all();
    ck_done(fsm_run(&f, &c), 1);
    ck_assert_str_eq(task(0)->message, "up");
    u = (struct task_update){.attempt = 2, .state = TASK_RUNNING};
    u.message = (struct bytes){(const uint8_t *)"\0", 1};
    ck_done(fsm_run(&f, &c), 1);
    ck_assert_ptr_null(task(1)->message);
}
END_TEST

/* ---- lost ---- */

START_TEST(test_lost_is_repeated_once)
{
    place_all();
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_LOST), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1); /* something to place again */
    ck_assert_int_eq(job_task_state(job(), 0), TASK_PENDING);
    ck_assert_uint_eq(task(0)->attempt, 1);
    ck_assert_uint_eq(task(0)->started_us, 0);
    ck_assert_uint_eq(task(0)->ended_us, 0);
    ck_assert_ptr_null(state_attempt(f.state, 1));
    ck_assert_uint_eq(cpus_of(1), 2000);
    ck_assert_uint_eq(job_pending(job()), 1);
    ck_changes_nothing(&f, ck_done(fsm_update(&f, 1, 1, TASK_LOST), 0));
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    ck_assert_uint_eq(task(0)->attempt, 2);
    ck_assert_uint_eq(task(0)->attempt_id, 4);
    ck_assert_uint_eq(task(0)->agent_id, 2);
    ck_changes_nothing(&f, ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 0));
    ck_done(fsm_update(&f, 2, 4, TASK_FINISHED), 1);
    ck_assert_int_eq(task(0)->state, TASK_FINISHED);
}
END_TEST

START_TEST(test_failed_by_itself_is_not_repeated)
{
    place_all();
    ck_done(fsm_update(&f, 1, 1, TASK_FAILED), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_ERROR), 1);
    ck_assert_uint_eq(job_pending(job()), 0);
    ck_changes_nothing(&f, ck_done(fsm_place(&f, 1, 0, 2), 0));
}
END_TEST

START_TEST(test_lost_of_a_killed_job_is_killed)
{
    place_all();
    ck_done(fsm_kill(&f, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_LOST), 1);
    ck_assert_int_eq(task(0)->state, TASK_KILLED);
    ck_assert_uint_eq(task(0)->ended_us, f.now_us);
}
END_TEST

/* ---- unreachable, superseded, gone ---- */

START_TEST(test_unreachable_supersedes_and_keeps_the_resources)
{
    place_all();
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_FINISHED), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_assert(state_attempt(f.state, 1)->superseded);
    ck_assert_int_eq(state_attempt(f.state, 1)->state, TASK_LOST);
    ck_assert_uint_eq(cpus_of(1), 2000);
    ck_assert_uint_eq(state_agent(f.state, 1)->superseded_count, 2);
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_assert_int_eq(task(0)->reason, TASK_REASON_AGENT_UNREACHABLE);
    ck_assert_int_eq(task(1)->state, TASK_FINISHED);
    ck_assert_int_eq(task(2)->state, TASK_PENDING);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, 1), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, 2), 0);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, 3), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    ck_assert_uint_eq(task(0)->attempt, 2);
}
END_TEST

START_TEST(test_a_late_result_of_a_superseded_attempt_only_frees)
{
    place_all();
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    ck_changes_nothing(&f, ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 0));
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_assert_int_eq(task(0)->state, TASK_STAGING);
    ck_assert_uint_eq(task(0)->attempt_id, 4);
    ck_assert_uint_eq(cpus_of(1), 2000);
    ck_changes_nothing(&f, ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 0));
    ck_assert_uint_eq(cpus_of(1), 2000);
    ck_done(fsm_update(&f, 1, 2, TASK_FAILED), 1);
    ck_assert_int_eq(task(1)->state, TASK_PENDING);
}
END_TEST

START_TEST(test_an_agent_with_superseded_attempts_takes_no_work)
{
    place_all();
    ck_done(fsm_submit(&f, "more", 1), 2);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_place(&f, 2, 0, 1), 0);
    for (uint32_t instance = 0; instance < 3; instance++)
        ck_done(fsm_place(&f, 1, instance, 2), 1);
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    ck_assert(!agent_takes_work(state_agent(f.state, 1)));
    ck_done(fsm_place(&f, 2, 0, 1), 0);
    for (uint64_t attempt = 1; attempt <= 3; attempt++)
        ck_done(fsm_update(&f, 1, attempt, TASK_KILLED), 1);
    ck_assert(agent_takes_work(state_agent(f.state, 1)));
    ck_assert_uint_eq(cpus_of(1), 0);
    ck_done(fsm_place(&f, 2, 0, 1), 1);
}
END_TEST

START_TEST(test_an_agent_that_is_back_keeps_what_was_not_replaced)
{
    place_all();
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    ck_done(fsm_update(&f, 1, 3, TASK_RUNNING), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    ck_assert(state_attempt(f.state, 1)->superseded);
    ck_assert(!state_attempt(f.state, 3)->superseded);
    ck_assert_int_eq(task(2)->state, TASK_STAGING);
    ck_assert_int_eq(task(2)->reason, TASK_REASON_NONE);
    ck_assert_uint_eq(task(2)->attempt, 1);
    ck_assert_uint_eq(cpus_of(1), 3000);
    ck_done(fsm_place(&f, 1, 2, 2), 0); /* it was on its way */
    ck_done(fsm_update(&f, 1, 3, TASK_RUNNING), 1);
    ck_assert_int_eq(task(2)->state, TASK_RUNNING);
    ck_done(fsm_update(&f, 1, 2, TASK_FINISHED), 1); /* it ended meanwhile */
    ck_assert_int_eq(task(1)->state, TASK_FINISHED);
    ck_assert_uint_eq(task(1)->attempt, 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_kill(&f, 1), 1);
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    ck_assert(state_attempt(f.state, 3)->superseded);
    ck_assert_uint_eq(job_tasks_in(job(), TASK_KILLED), 1);
}
END_TEST

/* It would refuse what is above, and best fit would choose it again. */
START_TEST(test_an_agent_full_of_attempts_takes_no_work)
{
    struct placement places[1024];
    struct command command = {.kind = COMMAND_PLACE,
                              .place = {.placements = places, .count = 1024}};
    struct job_spec tiny;
    struct buffer spec = {0};

    job_spec_init(&tiny);
    tiny.name = mem_strdup("tiny");
    tiny.instances = LIMIT_AGENT_RUNS + 1;
    tiny.resources = (struct resources){{1, 1 << 20}};
    job_spec_add_arg(&tiny, "/bin/true");
    job_spec_pack(&tiny, &spec);
    job_spec_finish(&tiny);
    ck_done(fsm_reregister(&f, 1, 'a', 100), 1);
    ck_done(fsm_submit_spec(&f, "tiny", buffer_view(&spec)), 2);
    for (uint32_t next = 0; next < LIMIT_AGENT_RUNS; next += command.place.count) {
        for (uint32_t i = 0; i < command.place.count; i++)
            places[i] = (struct placement){2, next + i, 1, 1};
        ck_assert_uint_eq(fsm_entry_fast(&f, &command, 1).id, command.place.count);
    }
    ck_done(fsm_place(&f, 2, LIMIT_AGENT_RUNS, 1), 0);
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_done(fsm_place(&f, 2, LIMIT_AGENT_RUNS, 1), 1);
    buffer_finish(&spec);
}
END_TEST

START_TEST(test_unreachable_twice_gives_one_successor_each)
{
    place_all();
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    ck_done(fsm_unreachable(&f, 2), 2);
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_assert_uint_eq(task(0)->attempt, 2);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, 1), 0);
    ck_assert_uint_eq(job_pending(job()), 3);
    ck_done(fsm_register(&f, 'c', 4), 3);
    ck_done(fsm_place(&f, 1, 0, 3), 1);
    ck_assert_uint_eq(task(0)->attempt, 3);
    ck_assert_uint_eq(job()->attempts, 5);
}
END_TEST

START_TEST(test_gone_ends_every_attempt)
{
    place_all();
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    for (uint64_t attempt = 1; attempt <= 2; attempt++)
        ck_done(fsm_update(&f, 1, attempt, TASK_KILLED), 1);
    ck_done(fsm_gone(&f, 1), 1); /* with attempt 3 superseded */
    ck_assert_uint_eq(cpus_of(1), 0);
    ck_assert_ptr_null(state_attempt(f.state, 3));
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    ck_done(fsm_gone(&f, 2), 2); /* with attempt 4 live */
    ck_assert_int_eq(task(0)->state, TASK_PENDING);
    ck_assert_int_eq(task(0)->reason, TASK_REASON_AGENT_GONE);
    ck_assert_uint_eq(cpus_of(2), 0);
    ck_changes_nothing(&f, ck_done(fsm_update(&f, 2, 4, TASK_FINISHED), 0));
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_UPDATED, 4), 1);
}
END_TEST

START_TEST(test_a_smaller_agent_takes_no_work_until_it_fits)
{
    place_all();
    ck_done(fsm_reregister(&f, 1, 'a', 2), 1);
    ck_assert_uint_eq(cpus_of(1), 3000);
    ck_done(fsm_submit(&f, "more", 3), 2);
    ck_done(fsm_place(&f, 2, 0, 1), 0);
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_done(fsm_place(&f, 2, 0, 1), 0);
    ck_done(fsm_update(&f, 1, 2, TASK_FINISHED), 1);
    ck_done(fsm_place(&f, 2, 0, 1), 1);
    ck_assert_uint_eq(cpus_of(1), 2000);
}
END_TEST

/* ---- kill ---- */

START_TEST(test_kill_ends_pending_tasks_at_once_and_live_ones_when_they_say_so)
{
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_place(&f, 1, 1, 1), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_RUNNING), 1);
    ck_done(fsm_kill(&f, 1), 1);
    ck_assert_uint_eq(f.out.effect_count, 1); /* the leader walks the job */
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1);
    ck_assert_int_eq(job_state(job()), JOB_RUNNING);
    ck_assert_int_eq(job_task_state(job(), 0), TASK_KILLING);
    ck_assert_int_eq(job_task_state(job(), 1), TASK_KILLING);
    ck_assert_int_eq(job_task_state(job(), 2), TASK_KILLED);
    ck_assert_uint_eq(f.state->tasks_by_state[TASK_KILLING], 2);
    ck_assert_uint_eq(f.state->tasks_by_state[TASK_KILLED], 1);
    ck_changes_nothing(&f, ck_done(fsm_place(&f, 1, 2, 2), 0));
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_assert_uint_eq(job()->ended_us, 0);
    ck_done(fsm_update(&f, 1, 2, TASK_KILLED), 1);
    ck_assert_int_eq(job_state(job()), JOB_KILLED);
    ck_assert_uint_eq(job()->ended_us, f.now_us);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1);
}
END_TEST

START_TEST(test_killed_stays_killed_when_agents_go)
{
    place_all();
    ck_done(fsm_update(&f, 1, 1, TASK_LOST), 1); /* waits for its second attempt */
    ck_done(fsm_kill(&f, 1), 1);
    ck_assert_int_eq(job_task_state(job(), 0), TASK_KILLED);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_assert_int_eq(job_state(job()), JOB_KILLED);
    ck_assert_uint_eq(job()->ended_us, f.now_us);
    ck_assert_int_eq(task(1)->state, TASK_KILLED);
    ck_assert_uint_eq(job_pending(job()), 0);
    ck_assert(RB_EMPTY(&f.state->runnable));
    for (uint32_t i = 0; i < 3; i++)
        ck_changes_nothing(&f, ck_done(fsm_place(&f, 1, i, 2), 0));
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_FINISHED), 1);
    ck_assert_int_eq(task(1)->state, TASK_KILLED);
    ck_done(fsm_gone(&f, 1), 1);
    ck_assert_int_eq(job_state(job()), JOB_KILLED);
}
END_TEST

START_TEST(test_a_kill_that_comes_too_late_does_not_make_the_job_killed)
{
    place_all();
    ck_done(fsm_kill(&f, 1), 1);
    for (uint64_t attempt = 1; attempt <= 3; attempt++)
        ck_done(fsm_update(&f, 1, attempt, TASK_FINISHED), 1);
    ck_assert_int_eq(job_state(job()), JOB_COMPLETE);
}
END_TEST

/* ---- states of jobs ---- */

static enum job_state ended_with(enum task_state last)
{
    place_all();
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_FINISHED), 1);
    ck_assert_int_eq(job_state(job()), JOB_RUNNING);
    ck_done(fsm_update(&f, 1, 3, last), 1);
    ck_assert_uint_eq(job()->ended_us, f.now_us);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1);
    ck_assert_uint_eq(f.state->jobs_by_state[job_state(job())], 1);
    return job_state(job());
}

START_TEST(test_all_finished_is_complete)
{
    ck_assert_int_eq(ended_with(TASK_FINISHED), JOB_COMPLETE);
}
END_TEST

START_TEST(test_one_failed_is_failed)
{
    static const enum task_state BAD[] = {TASK_FAILED, TASK_ERROR};

    ck_assert_int_eq(ended_with(BAD[_i]), JOB_FAILED);
}
END_TEST

START_TEST(test_a_job_that_lost_its_only_attempt_is_running)
{
    ck_done(fsm_submit(&f, "one", 1), 2);
    ck_done(fsm_place(&f, 2, 0, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_LOST), 1);
    ck_assert_int_eq(job_state(state_job(f.state, 2)), JOB_RUNNING);
    ck_assert_int_eq(job_state(job()), JOB_PENDING);
}
END_TEST

START_TEST(test_the_leader_hears_of_a_job_that_has_tasks_to_place_again)
{
    place_all();
    ck_assert_ptr_null(RB_MIN(job_order_tree, &f.state->runnable));
    ck_done(fsm_update(&f, 1, 1, TASK_LOST), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_LOST), 1); /* it has some already */
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 0);
}
END_TEST

int main(void)
{
    TCase *c =
        unit_case("tasks",
                  test_an_attempt_moves_forward,
                  test_a_later_state_may_come_directly,
                  test_equal_and_older_states_change_nothing,
                  test_unknown_attempts_and_other_agents_change_nothing,
                  test_many_reports_in_one_command,
                  test_a_message_ends_at_its_first_zero_byte,
                  test_lost_is_repeated_once,
                  test_failed_by_itself_is_not_repeated,
                  test_lost_of_a_killed_job_is_killed,
                  test_unreachable_supersedes_and_keeps_the_resources,
                  test_a_late_result_of_a_superseded_attempt_only_frees,
                  test_an_agent_with_superseded_attempts_takes_no_work,
                  test_an_agent_that_is_back_keeps_what_was_not_replaced,
                  test_an_agent_full_of_attempts_takes_no_work,
                  test_unreachable_twice_gives_one_successor_each,
                  test_gone_ends_every_attempt,
                  test_a_smaller_agent_takes_no_work_until_it_fits,
                  test_kill_ends_pending_tasks_at_once_and_live_ones_when_they_say_so,
                  test_killed_stays_killed_when_agents_go,
                  test_a_kill_that_comes_too_late_does_not_make_the_job_killed,
                  test_all_finished_is_complete,
                  test_a_job_that_lost_its_only_attempt_is_running,
                  test_the_leader_hears_of_a_job_that_has_tasks_to_place_again);

    tcase_add_loop_test(c, test_one_failed_is_failed, 0, 2);
    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("tasks", &c, 1);
}
