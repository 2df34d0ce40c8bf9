/* test_commands.c - each row of docs/spec/2-commands.md: accepted, and each way to be
 * rejected. */
#include "tests/unit/raft_fsm/fsm_test.h"

#include "base/limits.h"
#include "raft_fsm/state_edit.h"
#include "tests/lib/unit.h"

#include <string.h>

static struct fsm f;

static void setup(void)
{
    fsm_setup(&f);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

/* ---- entries ---- */

START_TEST(test_bytes_that_are_no_entry_change_only_the_index)
{
    struct hash128 digest = f.state->digest;
    uint64_t index = f.state->index, stamp = f.state->globals.last_stamp_us;

    buffer_clear(&f.entry);
    buffer_append_text(&f.entry, "no entry at all");
    fsm_apply_entry(&f);
    ck_assert_uint_eq(f.state->index, index + 1);
    ck_assert_uint_eq(f.out.result_count, 0);
    ck_assert(hash128_equal(f.state->digest, digest));
    ck_assert_uint_eq(f.state->globals.last_stamp_us, stamp);
}
END_TEST

START_TEST(test_a_command_that_does_not_decode_is_rejected_alone)
{
    struct command kill = {.kind = COMMAND_KILL, .kill = {1}};
    struct buffer packed = {0};

    ck_done(fsm_submit(&f, "k", 1), 1);
    command_pack(&kill, &packed);
    buffer_clear(&f.entry);
    entry_begin(&f.entry, f.now_us + 1);
    entry_append(&f.entry, (struct bytes){(const uint8_t *)"junk", 4});
    entry_append(&f.entry, buffer_view(&packed));
    fsm_apply_entry(&f);
    ck_assert_uint_eq(f.out.result_count, 2);
    ck_rejected(f.out.results[0], ERROR_INVALID);
    ck_done(f.out.results[1], 1);
    buffer_finish(&packed);
}
END_TEST

START_TEST(test_a_command_of_an_unknown_kind_is_rejected)
{
    struct buffer packed = {0};

    pack_array(&packed, 2);
    pack_uint(&packed, 200);
    pack_uint(&packed, 1);
    buffer_clear(&f.entry);
    entry_begin(&f.entry, f.now_us + 1);
    entry_append(&f.entry, buffer_view(&packed));
    ck_changes_nothing(&f, fsm_apply_entry(&f));
    ck_rejected(f.out.results[0], ERROR_VERSION);
    buffer_finish(&packed);
}
END_TEST

START_TEST(test_skip_moves_only_the_index)
{
    struct hash128 digest = f.state->digest;
    uint64_t index = f.state->index;

    fsm_skip(f.state, index + 1, 9);
    ck_assert_uint_eq(f.state->index, index + 1);
    ck_assert_uint_eq(f.state->term, 9);
    ck_assert(hash128_equal(f.state->digest, digest));
}
END_TEST

static uint64_t stamp_after_entry(uint64_t stamp)
{
    buffer_clear(&f.entry);
    entry_begin(&f.entry, stamp);
    fsm_apply_entry(&f);
    return f.state->globals.last_stamp_us;
}

START_TEST(test_stamps_grow_whatever_the_leader_says)
{
    ck_assert_uint_eq(stamp_after_entry(START_US + HOUR_US), START_US + HOUR_US);
    ck_assert_uint_eq(stamp_after_entry(START_US), START_US + HOUR_US + 1);
    ck_assert_uint_eq(stamp_after_entry(UINT64_MAX), INT64_MAX);
    ck_assert_uint_eq(stamp_after_entry(START_US), INT64_MAX);
}
END_TEST

START_TEST(test_all_commands_of_an_entry_share_index_and_stamp)
{
    struct command c[2] = {{.kind = COMMAND_SUBMIT}, {.kind = COMMAND_SUBMIT}};
    struct buffer spec = {0};

    job_bytes(&spec, "j", 1, 1);
    c[0].submit.key = (struct bytes){(const uint8_t *)"a", 1};
    c[1].submit.key = (struct bytes){(const uint8_t *)"b", 1};
    c[0].submit.spec = c[1].submit.spec = buffer_view(&spec);
    fsm_entry(&f, c, 2);
    ck_done(f.out.results[0], 1);
    ck_done(f.out.results[1], 2);
    ck_assert_uint_eq(f.out.results[0].index, f.state->index);
    ck_assert_uint_eq(f.out.results[1].index, f.state->index);
    ck_assert_uint_eq(state_job(f.state, 1)->submitted_us, f.now_us);
    ck_assert_uint_eq(state_job(f.state, 2)->submitted_us, f.now_us);
    buffer_finish(&spec);
}
END_TEST

START_TEST(test_a_follower_applies_without_looking)
{
    struct command c = {.kind = COMMAND_KILL, .kill = {1}};
    struct buffer packed = {0};

    ck_done(fsm_submit(&f, "k", 1), 1);
    command_pack(&c, &packed);
    buffer_clear(&f.entry);
    entry_begin(&f.entry, f.now_us + 1);
    entry_append(&f.entry, buffer_view(&packed));
    ck_assert_uint_eq(
        fsm_apply(f.state, f.state->index + 1, 1, buffer_view(&f.entry), NULL), 1);
    ck_assert_int_eq(job_state(state_job(f.state, 1)), JOB_KILLED);
    buffer_finish(&packed);
}
END_TEST

/* What a command costs does not show in its number: a turn of the loop is bounded in
 * work. */
START_TEST(test_work)
{
    enum { TASKS = 100 };
    struct task_update updates[TASKS];
    struct command c = {.kind = COMMAND_TASK_UPDATE,
                        .task_update = {1, updates, TASKS, {0}}};
    struct placement places[TASKS];

    ck_done(fsm_register(&f, 'a', 100), 1);
    ck_done(fsm_submit(&f, "k", TASKS), 1);
    for (unsigned i = 0; i < TASKS; i++) {
        places[i] =
            (struct placement){.job = 1, .instance = i, .attempt = 1, .agent = 1};
        updates[i] = (struct task_update){.attempt = i + 1, .state = TASK_RUNNING};
    }
    ck_done(fsm_place_all(&f, places, TASKS), TASKS);
    ck_assert_uint_ge(f.work, TASKS);
    ck_done(fsm_run(&f, &c), TASKS);
    ck_assert_uint_ge(f.work, TASKS);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_assert_uint_ge(f.work, TASKS);
    ck_done(fsm_kill(&f, 1), 1);
    ck_assert_uint_le(f.work, 2);
}
END_TEST

/* ---- found ---- */

START_TEST(test_before_founding_everything_is_unavailable)
{
    struct fsm e;

    fsm_setup_empty(&e);
    state_check(e.state);
    ck_rejected(fsm_submit(&e, "k", 1), ERROR_UNAVAILABLE);
    ck_rejected(fsm_register(&e, 'a', 4), ERROR_UNAVAILABLE);
    ck_rejected(fsm_expire(&e, START_US), ERROR_UNAVAILABLE);
    ck_done(fsm_found(&e), 0);
    ck_assert(e.state->globals.founded);
    ck_assert_mem_eq(e.state->globals.cluster_id, "a cluster id 123", CLUSTER_ID_BYTES);
    ck_done(fsm_submit(&e, "k", 1), 1);
    fsm_teardown(&e);
}
END_TEST

START_TEST(test_found_happens_once)
{
    struct command c = {.kind = COMMAND_FOUND, .found = {"another id......"}};

    ck_rejected(fsm_run(&f, &c), ERROR_CONFLICT);
    ck_assert_mem_eq(f.state->globals.cluster_id, "a cluster id 123", CLUSTER_ID_BYTES);
}
END_TEST

/* ---- submit ---- */

START_TEST(test_submit_makes_a_job_with_all_tasks_pending)
{
    struct result r = fsm_submit(&f, "k", 1000000);
    const struct job *j = state_job(f.state, 1);

    ck_done(r, 1);
    ck_assert_uint_eq(r.index, f.state->index);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1);
    ck_assert_uint_eq(j->instances, 1000000);
    ck_assert_uint_eq(j->touched, 0);
    ck_assert_uint_eq(j->submit_index, r.index);
    ck_assert_uint_eq(j->submitted_us, f.now_us);
    ck_assert_int_eq(job_state(j), JOB_PENDING);
    ck_assert_uint_eq(job_pending(j), 1000000);
    ck_assert_uint_eq(f.state->tasks_by_state[TASK_PENDING], 1000000);
    ck_assert_uint_eq(f.state->jobs_by_state[JOB_PENDING], 1);
    ck_assert_ptr_eq(RB_MIN(job_order_tree, &f.state->runnable), j);
}
END_TEST

START_TEST(test_submit_again_gives_the_first_answer)
{
    struct result first = fsm_submit(&f, "k", 3), again;

    ck_done(fsm_submit(&f, "other", 3), 2);
    ck_changes_nothing(&f, again = fsm_submit(&f, "k", 3));
    ck_done(again, 1);
    ck_assert_uint_eq(again.index, first.index);
    ck_assert_uint_eq(f.out.effect_count, 0);
    ck_assert_uint_eq(f.state->job_count, 2);
}
END_TEST

START_TEST(test_submit_of_another_body_is_a_conflict)
{
    ck_done(fsm_submit(&f, "k", 3), 1);
    ck_changes_nothing(&f, ck_rejected(fsm_submit(&f, "k", 4), ERROR_CONFLICT));
}
END_TEST

START_TEST(test_submit_needs_a_valid_spec_and_key)
{
    struct buffer spec = {0};

    ck_changes_nothing(&f, ck_rejected(fsm_submit(&f, "", 1), ERROR_INVALID));
    ck_changes_nothing(&f, ck_rejected(fsm_submit(&f, "k", 0), ERROR_INVALID));
    ck_changes_nothing(
        &f, ck_rejected(fsm_submit(&f, "k", LIMIT_TASKS_PER_JOB + 1), ERROR_TOO_LARGE));
    ck_changes_nothing(
        &f,
        ck_rejected(
            fsm_submit_spec(&f, "k", (struct bytes){(const uint8_t *)"\xc1", 1}),
            ERROR_INVALID));
    job_bytes(&spec, "no cpus", 1, 0);
    ck_rejected(fsm_submit_spec(&f, "k", buffer_view(&spec)), ERROR_INVALID);
    buffer_finish(&spec);
    ck_assert_uint_eq(f.state->globals.last_job_id, 0);
}
END_TEST

START_TEST(test_submit_is_busy_at_the_limit_of_tasks)
{
    ck_done(fsm_submit(&f, "a", 1000000), 1);
    ck_done(fsm_submit(&f, "b", 1000000), 2);
    ck_done(fsm_submit(&f, "c", 1000000), 3);
    ck_done(fsm_submit(&f, "d", 999999), 4);
    ck_changes_nothing(&f, ck_rejected(fsm_submit(&f, "e", 2), ERROR_BUSY));
    ck_done(fsm_submit(&f, "a", 1000000), 1); /* a repeat is answered all the same */
    ck_done(fsm_submit(&f, "e", 1), 5);
    ck_assert_uint_eq(f.state->task_count, LIMIT_TASKS);
    ck_done(fsm_kill(&f, 5), 5);
    ck_done(fsm_purge(&f, 5), 5);
    ck_done(fsm_submit(&f, "f", 1), 6); /* ids are not used again */
}
END_TEST

START_TEST(test_runnable_jobs_are_in_order_of_priority_and_submission)
{
    static const int32_t PRIORITIES[] = {0, 5, -3, 5, 0};
    static const uint64_t ORDER[] = {2, 4, 1, 5, 3};
    struct job *j;
    size_t n = 0;

    for (int i = 0; i < 5; i++) {
        struct buffer bytes = {0};
        struct job_spec spec;
        char key[2] = {(char)('a' + i), 0};

        job_bytes(&bytes, "j", 1, 1);
        ck_assert_int_eq(job_spec_unpack(&spec, buffer_view(&bytes), NULL), 0);
        spec.priority = PRIORITIES[i];
        buffer_clear(&bytes);
        job_spec_pack(&spec, &bytes);
        ck_done(fsm_submit_spec(&f, key, buffer_view(&bytes)), (uint64_t)i + 1);
        job_spec_finish(&spec);
        buffer_finish(&bytes);
    }
    RB_FOREACH (j, job_order_tree, &f.state->runnable)
        ck_assert_uint_eq(j->id, ORDER[n++]);
    ck_assert_uint_eq(n, 5);
}
END_TEST

/* ---- kill ---- */

START_TEST(test_kill_of_a_pending_job_ends_it)
{
    struct result r;

    ck_done(fsm_submit(&f, "k", 1000000), 1);
    r = fsm_kill(&f, 1);
    ck_done(r, 1);
    ck_assert_uint_eq(r.index, f.state->index);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1);
    ck_assert_int_eq(job_state(state_job(f.state, 1)), JOB_KILLED);
    ck_assert_uint_eq(state_job(f.state, 1)->ended_us, f.now_us);
    ck_assert_uint_eq(f.state->tasks_by_state[TASK_KILLED], 1000000);
    ck_assert_uint_eq(f.state->tasks_by_state[TASK_PENDING], 0);
    ck_assert(RB_EMPTY(&f.state->runnable));
    ck_assert_int_eq(job_task_state(state_job(f.state, 1), 77), TASK_KILLED);
}
END_TEST

START_TEST(test_kill_again_gives_the_index_of_the_first)
{
    struct result first, again;

    ck_done(fsm_submit(&f, "k", 2), 1);
    first = fsm_kill(&f, 1);
    ck_changes_nothing(&f, again = fsm_kill(&f, 1));
    ck_done(again, 1);
    ck_assert_uint_eq(again.index, first.index);
    ck_assert_uint_eq(f.out.effect_count, 0);
}
END_TEST

START_TEST(test_kill_of_a_finished_job_changes_nothing)
{
    struct result r;
    uint64_t ended;

    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_submit(&f, "k", 1), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ended = f.state->index;
    ck_changes_nothing(&f, r = fsm_kill(&f, 1));
    ck_done(r, 1);
    ck_assert_uint_eq(r.index, ended);
    ck_assert_int_eq(job_state(state_job(f.state, 1)), JOB_COMPLETE);
}
END_TEST

START_TEST(test_kill_of_no_job_is_not_found)
{
    ck_changes_nothing(&f, ck_rejected(fsm_kill(&f, 1), ERROR_NOT_FOUND));
    ck_changes_nothing(&f, ck_rejected(fsm_kill(&f, 0), ERROR_NOT_FOUND));
}
END_TEST

/* ---- agents ---- */

START_TEST(test_register_makes_an_agent)
{
    uint8_t key[16];
    const struct agent *a;

    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_register(&f, 'b', 2), 2);
    a = state_agent(f.state, 1);
    agent_key(key, 'a');
    ck_assert_ptr_eq(state_agent_by_key(f.state, key), a);
    ck_assert_int_eq(a->state, AGENT_ACTIVE);
    ck_assert_uint_eq(a->capacity.amount[RESOURCE_CPUS], 4000);
    ck_assert(agent_takes_work(a));
    ck_assert_uint_eq(f.state->agents_by_state[AGENT_ACTIVE], 2);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_AGENT, 2), 1);
}
END_TEST

START_TEST(test_register_with_a_known_key_is_a_reregistration)
{
    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_changes_nothing(&f, ck_done(fsm_register(&f, 'a', 4), 1));
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_register(&f, 'a', 8), 1);
    ck_assert_uint_eq(f.state->agent_count, 1);
    ck_assert_int_eq(state_agent(f.state, 1)->state, AGENT_ACTIVE);
    ck_assert_uint_eq(state_agent(f.state, 1)->capacity.amount[RESOURCE_CPUS], 8000);
}
END_TEST

START_TEST(test_register_needs_a_valid_spec)
{
    struct command c = {.kind = COMMAND_AGENT_REGISTER,
                        .agent_register = {{(const uint8_t *)"\xc1", 1}}};

    ck_changes_nothing(&f, ck_rejected(fsm_run(&f, &c), ERROR_INVALID));
    ck_changes_nothing(&f, ck_assert(fsm_register(&f, 'a', 1ull << 40).code != 0));
}
END_TEST

START_TEST(test_reregister_takes_the_new_spec)
{
    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_reregister(&f, 1, 'a', 16), 1);
    ck_assert_uint_eq(state_agent(f.state, 1)->capacity.amount[RESOURCE_CPUS], 16000);
    ck_assert_uint_eq(state_agent(f.state, 1)->changed, f.state->index);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_AGENT, 1), 1);
}
END_TEST

START_TEST(test_reregister_needs_the_agent_and_its_key)
{
    struct command c = {.kind = COMMAND_AGENT_REREGISTER,
                        .agent_reregister = {1, {(const uint8_t *)"\xc1", 1}}};

    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_changes_nothing(&f, ck_rejected(fsm_reregister(&f, 2, 'a', 4), ERROR_NOT_FOUND));
    ck_changes_nothing(&f, ck_rejected(fsm_reregister(&f, 1, 'b', 4), ERROR_CONFLICT));
    ck_changes_nothing(&f, ck_rejected(fsm_run(&f, &c), ERROR_INVALID));
}
END_TEST

START_TEST(test_an_agent_that_is_gone_never_comes_back)
{
    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_gone(&f, 1), 1);
    ck_changes_nothing(&f, ck_rejected(fsm_reregister(&f, 1, 'a', 4), ERROR_NOT_FOUND));
    ck_changes_nothing(&f, ck_rejected(fsm_register(&f, 'a', 4), ERROR_NOT_FOUND));
    ck_changes_nothing(&f, ck_rejected(fsm_gone(&f, 1), ERROR_NOT_FOUND));
    ck_changes_nothing(&f, ck_rejected(fsm_unreachable(&f, 1), ERROR_INVALID));
    ck_done(fsm_register(&f, 'b', 4), 2);
}
END_TEST

START_TEST(test_unreachable_and_gone_need_an_agent)
{
    ck_changes_nothing(&f, ck_rejected(fsm_unreachable(&f, 1), ERROR_NOT_FOUND));
    ck_changes_nothing(&f, ck_rejected(fsm_gone(&f, 1), ERROR_NOT_FOUND));
    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_assert_int_eq(state_agent(f.state, 1)->state, AGENT_UNREACHABLE);
    ck_assert_uint_eq(state_agent(f.state, 1)->since_us, f.now_us);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_AGENT, 1), 1);
    ck_changes_nothing(&f, ck_rejected(fsm_unreachable(&f, 1), ERROR_INVALID));
    ck_done(fsm_gone(&f, 1), 1);
    ck_assert_int_eq(state_agent(f.state, 1)->state, AGENT_GONE);
}
END_TEST

/* Fills the table by hand: 65,536 specs through the decoder would only take time. */
static void add_agents(uint32_t count)
{
    struct command c = {.kind = COMMAND_AGENT_REGISTER};
    struct buffer packed = {0}, spec = {0};
    struct agent_spec s;

    agent_bytes(&spec, 'x', 1);
    ck_assert_int_eq(agent_spec_unpack(&s, buffer_view(&spec), NULL), 0);
    buffer_clear(&f.entry);
    entry_begin(&f.entry, f.now_us);
    for (uint32_t i = 0; i < count; i++) {
        store_u32(s.key, i + 1);
        buffer_clear(&spec);
        agent_spec_pack(&s, &spec);
        c.agent_register.spec = buffer_view(&spec);
        buffer_clear(&packed);
        command_pack(&c, &packed);
        entry_append(&f.entry, buffer_view(&packed));
    }
    fsm_apply_entry(&f);
    agent_spec_finish(&s);
    buffer_finish(&spec);
    buffer_finish(&packed);
}

START_TEST(test_register_is_busy_at_the_limit_and_forgets_the_gone)
{
    add_agents(LIMIT_AGENTS);
    ck_assert_uint_eq(f.state->agent_count, LIMIT_AGENTS);
    ck_changes_nothing(&f, ck_rejected(fsm_register(&f, 'b', 4), ERROR_BUSY));
    ck_done(fsm_gone(&f, 7), 7);
    ck_done(fsm_register(&f, 'b', 4), LIMIT_AGENTS + 1);
    ck_assert_ptr_null(state_agent(f.state, 7));
    ck_rejected(fsm_register(&f, 'c', 4), ERROR_BUSY);
}
END_TEST

/* ---- place ---- */

START_TEST(test_place_starts_an_attempt)
{
    const struct attempt *t;
    const struct task *task;

    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_submit(&f, "k", 2), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_LAUNCH, 1), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1);
    t = state_attempt(f.state, 1);
    ck_assert_uint_eq(t->agent->id, 1);
    ck_assert_uint_eq(t->number, 1);
    ck_assert_uint_eq(t->placed_us, f.now_us);
    task = job_task(state_job(f.state, 1), 0);
    ck_assert_int_eq(task->state, TASK_STAGING);
    ck_assert_uint_eq(task->attempt_id, 1);
    ck_assert_uint_eq(task->agent_id, 1);
    ck_assert_uint_eq(state_agent(f.state, 1)->allocated.amount[RESOURCE_CPUS], 1000);
    ck_assert_int_eq(job_state(state_job(f.state, 1)), JOB_RUNNING);
    ck_assert_uint_eq(f.state->tasks_by_state[TASK_STAGING], 1);
    ck_assert_uint_eq(f.state->tasks_by_state[TASK_PENDING], 1);
}
END_TEST

START_TEST(test_place_checks_each_rule)
{
    struct placement bad[] = {
        {2, 0, 1, 1},    /* no such job */
        {1, 0, 1, 9},    /* no such agent */
        {1, 0, 2, 1},    /* not the next attempt */
        {1, 0, 0, 1},    /* no attempt has that number */
        {1, 2000, 1, 1}, /* no such task */
        {1, 1500, 1, 1}, /* too far ahead */
        {1, 0, 1, 2},    /* agent too small */
        {1, 0, 1, 3},    /* agent unreachable */
        {1, 0, 1, 4},    /* agent gone */
        {3, 0, 1, 1},    /* job killed */
    };
    struct buffer spec = {0};

    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_register(&f, 'b', 1), 2);
    ck_done(fsm_register(&f, 'c', 4), 3);
    ck_done(fsm_register(&f, 'd', 4), 4);
    ck_done(fsm_unreachable(&f, 3), 3);
    ck_done(fsm_gone(&f, 4), 4);
    job_bytes(&spec, "j", 2000, 2);
    ck_done(fsm_submit_spec(&f, "k", buffer_view(&spec)), 1);
    ck_done(fsm_submit(&f, "purged", 1), 2);
    ck_done(fsm_submit(&f, "killed", 1), 3);
    ck_done(fsm_kill(&f, 2), 2);
    ck_done(fsm_kill(&f, 3), 3);
    ck_done(fsm_purge(&f, 2), 2);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_changes_nothing(&f, ck_done(fsm_place_all(&f, &bad[i], 1), 0));
        ck_assert_uint_eq(f.out.effect_count, 0);
    }
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_changes_nothing(&f, ck_done(fsm_place(&f, 1, 0, 1), 0)); /* not pending */
    buffer_finish(&spec);
}
END_TEST

START_TEST(test_place_never_gives_more_than_there_is)
{
    struct placement batch[] = {{1, 0, 1, 1}, {1, 1, 1, 1}, {1, 2, 1, 1}, {1, 3, 1, 2}};

    ck_done(fsm_register(&f, 'a', 2), 1);
    ck_done(fsm_register(&f, 'b', 1), 2);
    ck_done(fsm_submit(&f, "k", 4), 1);
    ck_done(fsm_place_all(&f, batch, 4),
            3); /* the third does not fit, the fourth does */
    ck_assert_int_eq(job_task_state(state_job(f.state, 1), 2), TASK_PENDING);
    ck_assert_int_eq(job_task_state(state_job(f.state, 1), 3), TASK_STAGING);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_LAUNCH, 3), 1);
    ck_assert(!agent_has_room(state_agent(f.state, 1), state_job(f.state, 1)));
}
END_TEST

START_TEST(test_the_next_pending_task_is_found_over_gaps)
{
    struct placement batch[] = {{1, 2, 1, 1}, {1, 200, 1, 1}};
    const struct job *j;
    uint32_t instance, attempt;

    ck_done(fsm_register(&f, 'a', 100), 1);
    ck_done(fsm_submit(&f, "k", 202), 1);
    j = state_job(f.state, 1);
    ck_assert(job_next_pending(j, 201, &instance, &attempt));
    ck_assert_uint_eq(instance, 201);
    ck_assert(!job_next_pending(j, 202, &instance, &attempt));
    ck_done(fsm_place_all(&f, batch, 2), 2);
    ck_assert_uint_eq(j->touched, 201);
    ck_assert_uint_eq(job_pending(j), 200);
    ck_assert(job_next_pending(j, 2, &instance, &attempt));
    ck_assert_uint_eq(instance, 3);
    ck_assert_uint_eq(attempt, 1);
    ck_assert(job_next_pending(j, 200, &instance, &attempt));
    ck_assert_uint_eq(instance, 201);
    ck_done(fsm_update(&f, 1, 2, TASK_LOST), 1);
    ck_assert(job_next_pending(j, 200, &instance, &attempt));
    ck_assert_uint_eq(instance, 200);
    ck_assert_uint_eq(attempt, 2);
    ck_done(fsm_kill(&f, 1), 1);
    ck_assert(!job_next_pending(j, 0, &instance, &attempt));
}
END_TEST

int main(void)
{
    TCase *founded =
        unit_case("commands",
                  test_bytes_that_are_no_entry_change_only_the_index,
                  test_a_command_that_does_not_decode_is_rejected_alone,
                  test_a_command_of_an_unknown_kind_is_rejected,
                  test_skip_moves_only_the_index,
                  test_stamps_grow_whatever_the_leader_says,
                  test_all_commands_of_an_entry_share_index_and_stamp,
                  test_a_follower_applies_without_looking,
                  test_work,
                  test_before_founding_everything_is_unavailable,
                  test_found_happens_once,
                  test_submit_makes_a_job_with_all_tasks_pending,
                  test_submit_again_gives_the_first_answer,
                  test_submit_of_another_body_is_a_conflict,
                  test_submit_needs_a_valid_spec_and_key,
                  test_submit_is_busy_at_the_limit_of_tasks,
                  test_runnable_jobs_are_in_order_of_priority_and_submission,
                  test_kill_of_a_pending_job_ends_it,
                  test_kill_again_gives_the_index_of_the_first,
                  test_kill_of_a_finished_job_changes_nothing,
                  test_kill_of_no_job_is_not_found,
                  test_register_makes_an_agent,
                  test_register_with_a_known_key_is_a_reregistration,
                  test_register_needs_a_valid_spec,
                  test_reregister_takes_the_new_spec,
                  test_reregister_needs_the_agent_and_its_key,
                  test_an_agent_that_is_gone_never_comes_back,
                  test_unreachable_and_gone_need_an_agent,
                  test_register_is_busy_at_the_limit_and_forgets_the_gone,
                  test_place_starts_an_attempt,
                  test_place_checks_each_rule,
                  test_place_never_gives_more_than_there_is,
                  test_the_next_pending_task_is_found_over_gaps);

    tcase_add_checked_fixture(founded, setup, teardown);
    return unit_run("commands", &founded, 1);
}
