/* test_move.c - docs/spec/17-rebalance.md: what applying checks of a move, and what becomes of the
 * task. */
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"
#include "wire/role.h"

static struct fsm f;

static void set_rebalance(uint32_t per_minute)
{
    struct role_change c = {
        .name = "web", .given = ROLE_HAS_REBALANCE, .spec = {.rebalance = per_minute}};
    struct buffer packed = {0};

    role_change_pack(&c, &packed);
    ck_done(fsm_run(&f,
                    &(struct command){.kind = COMMAND_ROLE_SET,
                                      .role_set = {buffer_view(&packed)}}),
            0);
    buffer_finish(&packed);
}

/* What a job is beside two tasks of a cpu each in role web. */
enum kind { SERVICE, BATCH, EXCLUSIVE };

static uint64_t submit(const char *key, enum kind kind)
{
    struct job_spec spec;
    struct result r;

    job_spec_init(&spec);
    spec.name = mem_strdup("a job");
    spec.instances = 2;
    job_spec_set_role(&spec, "web");
    spec.kind = kind == BATCH ? JOB_BATCH : JOB_SERVICE;
    if (kind == EXCLUSIVE) {
        spec.lease_ms = spec.lease_grace_ms = 10000;
        spec.drift_permille = 20;
    }
    spec.resources.amount[RESOURCE_CPUS] = 1000;
    spec.resources.amount[RESOURCE_MEM] = MIB;
    job_spec_add_arg(&spec, "true");
    job_spec_complete(&spec);
    r = fsm_submit_job(&f, key, &spec);
    ck_assert_int_eq(r.code, ERROR_NONE);
    return r.id;
}

static struct result move(uint64_t attempt, uint64_t agent)
{
    return fsm_run(&f,
                   &(struct command){.kind = COMMAND_MOVE,
                                     .move = {.attempt = attempt, .agent = agent}});
}

#define ck_refused(call, code) ck_changes_nothing(&f, ck_rejected(call, code))

/* Both tasks of the job on agent 1; they run. */
static void run(uint64_t job)
{
    for (uint32_t i = 0; i < 2; i++) {
        ck_done(fsm_place(&f, job, i, 1), 1);
        ck_done(fsm_update(&f, 1, f.state->globals.last_attempt_id, TASK_RUNNING), 1);
    }
}

/* Agent 1 of 4 cpus has both tasks of job 1, attempts 1 and 2; agent 2 of 4 cpus is empty. */
static void setup(void)
{
    fsm_setup(&f);
    ck_done(fsm_register_able(&f, 'a', 4, AGENT_FEATURE_JOBS_2), 1);
    ck_done(fsm_register_able(&f, 'b', 4, AGENT_FEATURE_JOBS_2), 2);
    set_rebalance(10);
    ck_assert_uint_eq(submit("web", SERVICE), 1);
    run(1);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

static const struct task *task(uint64_t job, uint32_t instance)
{
    return job_task(state_job(f.state, job), instance);
}

START_TEST(test_a_task_is_told_to_end_and_waits_again)
{
    const struct failure *failure;

    ck_done(move(1, 2), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, 1), 1);
    ck_assert_int_eq(state_attempt(f.state, 1)->stop, TASK_REASON_MOVED);
    ck_assert_uint_eq(state_attempt(f.state, 1)->stop_for, 2);
    ck_assert_int_eq(task(1, 0)->state, TASK_RUNNING);
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_assert_int_eq(task(1, 0)->state, TASK_PENDING);
    ck_assert(!task_waits(task(1, 0)));
    ck_assert_int_eq(task(1, 0)->reason, TASK_REASON_MOVED);
    ck_assert_str_eq(task(1, 0)->message, "moved from agent 1 to agent 2");
    failure = state_failure(f.state, 1);
    ck_assert_int_eq(failure->reason, TASK_REASON_MOVED);
    ck_assert_int_eq(failure->deed, FAILURE_RESTARTED);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    ck_done(fsm_update(&f, 2, 3, TASK_RUNNING), 1);
    ck_assert_int_eq(failure->state, FAILURE_IS_RECOVERED);
    ck_assert_uint_eq(failure->next_agent, 2);
}
END_TEST

START_TEST(test_it_is_in_snapshots)
{
    struct buffer before = {0}, after = {0};
    struct state *s;

    ck_done(move(2, 2), 2);
    fsm_snapshot(f.state, &before);
    s = fsm_restored(buffer_view(&before));
    ck_assert_int_eq(state_attempt(s, 2)->stop, TASK_REASON_MOVED);
    ck_assert_uint_eq(state_attempt(s, 2)->stop_for, 2);
    ck_assert_uint_eq(state_role(s, "web")->spec.rebalance, 10);
    fsm_snapshot(s, &after);
    ck_same_bytes(&before, &after);
    buffer_finish(&before);
    buffer_finish(&after);
    state_destroy(s);
}
END_TEST

START_TEST(test_one_of_a_job_at_a_time)
{
    ck_done(move(1, 2), 1);
    ck_refused(move(1, 2), ERROR_CONFLICT);
    ck_refused(move(2, 2), ERROR_CONFLICT);
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_refused(move(2, 2), ERROR_CONFLICT); /* the other waits … */
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    ck_refused(move(2, 2), ERROR_CONFLICT); /* … and is starting … */
    ck_done(fsm_update(&f, 2, 3, TASK_RUNNING), 1);
    ck_done(move(2, 2), 2); /* … and runs */
}
END_TEST

START_TEST(test_what_is_named_must_be_there)
{
    ck_refused(move(9, 2), ERROR_NOT_FOUND);
    ck_refused(move(1, 9), ERROR_NOT_FOUND);
    ck_refused(move(1, 1), ERROR_INVALID);
    ck_done(fsm_mode(&f, 2, AGENT_CORDONED, 0), 2);
    ck_refused(move(1, 2), ERROR_INVALID);
    ck_done(fsm_mode(&f, 2, AGENT_NORMAL, 0), 2);
    ck_done(fsm_mode(&f, 1, AGENT_CORDONED, 0), 1);
    ck_refused(move(1, 2), ERROR_CONFLICT);
}
END_TEST

START_TEST(test_there_is_room_now)
{
    ck_done(fsm_submit(&f, "three", 4), 2); /* of a cpu each */
    for (uint32_t i = 0; i < 4; i++)
        ck_done(fsm_place(&f, 2, i, 2), 1);
    ck_refused(move(1, 2), ERROR_CONFLICT);
    ck_done(fsm_update(&f, 2, 3, TASK_FINISHED), 1);
    ck_done(move(1, 2), 1);
}
END_TEST

START_TEST(test_a_role_wants_it)
{
    set_rebalance(0);
    ck_refused(move(1, 2), ERROR_CONFLICT);
    set_rebalance(1);
    ck_done(move(1, 2), 1);
}
END_TEST

START_TEST(test_only_services_that_may_stop)
{
    ck_done(fsm_kill(&f, 1), 1);
    ck_refused(move(1, 2), ERROR_CONFLICT);
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_KILLED), 1);
    run(submit("batch", BATCH));
    run(submit("exclusive", EXCLUSIVE));
    ck_refused(move(3, 2), ERROR_CONFLICT);
    ck_refused(move(5, 2), ERROR_CONFLICT);
}
END_TEST

/* What an agent that is away still has of a job is in nobody's way. */
START_TEST(test_a_run_that_was_superseded_counts_nothing)
{
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_refused(move(1, 2), ERROR_CONFLICT);
    ck_done(fsm_register_able(&f, 'c', 4, AGENT_FEATURE_JOBS_2), 3);
    for (uint32_t i = 0; i < 2; i++) {
        ck_done(fsm_place(&f, 1, i, 2), 1);
        ck_done(fsm_update(&f, 2, 3 + i, TASK_RUNNING), 1);
    }
    ck_refused(move(1, 3), ERROR_CONFLICT);
    ck_done(move(3, 3), 3);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("move",
                         test_a_task_is_told_to_end_and_waits_again,
                         test_it_is_in_snapshots,
                         test_one_of_a_job_at_a_time,
                         test_what_is_named_must_be_there,
                         test_there_is_room_now,
                         test_a_role_wants_it,
                         test_only_services_that_may_stop,
                         test_a_run_that_was_superseded_counts_nothing);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("move", &c, 1);
}
