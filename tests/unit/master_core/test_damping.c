/* Agents where tasks keep failing get no new work for a while (spec 13, "Damping"). */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "master/core/internal.h"
#include "raft_fsm/state.h"
#include "wire/message_client.h"

enum { CLIENT = 9, FIRST = 1, MINUTE_MS = 60000 };

static struct rig rig;
static unsigned agents;

static void start(unsigned count)
{
    agents = count;
    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    for (uint64_t i = FIRST; i <= count; i++) {
        rig_open(&rig, i, HELLO_AGENT);
        ck_assert_uint_eq(rig_register(&rig, i, 0, (uint32_t)i), i);
    }
}

static void finish(void)
{
    rig_finish(&rig);
}

static void fail_task(uint64_t attempt, enum task_reason reason)
{
    struct run_report run = {
        .attempt = attempt, .state = TASK_FAILED, .reason = reason, .exit_code = 1};
    struct buffer frame = {0};

    update_pack(FIRST, &run, 1, &frame);
    rig_frame(&rig, FIRST, &frame);
    rig_settle(&rig);
}

/* Where the next task goes. */
static uint64_t next_place(void)
{
    const struct job *j =
        state_job(master_state(rig.core), rig_submit(&rig, CLIENT, 1));

    return job_task(j, 0)->agent_id;
}

static void pass(unsigned ms)
{
    for (; ms > 0; ms -= ms < 1000 ? ms : 1000) {
        rig_pass(&rig, ms < 1000 ? ms : 1000);
        for (uint64_t i = FIRST; i <= agents; i++)
            rig_heartbeat(&rig, i, i);
    }
}

/* So many jobs of two tasks, all on the first agent, of which `count` fail. */
static void fail_some(unsigned jobs, unsigned count, enum task_reason reason)
{
    uint64_t before = master_state(rig.core)->globals.last_attempt_id;

    for (unsigned i = 0; i < jobs; i++)
        rig_submit(&rig, CLIENT, 6 / jobs);
    for (uint64_t i = before + 1; i <= before + 6; i++)
        ck_assert_uint_eq(state_attempt(master_state(rig.core), i)->agent->id, FIRST);
    for (unsigned i = 1; i <= count; i++)
        fail_task(before + i, reason);
}

static void check_listed(bool is_damped)
{
    struct command_cursor at = {0};
    struct list_result list;
    struct agent_info agent;

    rig_list(&rig, CLIENT, METHOD_AGENTS, (struct list_request){.limit = 1});
    rig_settle(&rig);
    ck_assert_int_eq(list_result_unpack(&list, METHOD_AGENTS, rig.answer.params, NULL),
                     0);
    ck_assert(agent_info_next(&list, &at, &agent));
    ck_assert_int_eq((agent.flags & AGENT_FLAG_DAMPED) != 0, is_damped);
}

START_TEST(test_the_example_of_damping)
{
    start(3);
    fail_some(3, 4, TASK_REASON_EXITED);
    ck_assert_uint_eq(next_place(), FIRST);
    fail_some(3, 1, TASK_REASON_EXITED);
    ck_assert_uint_eq(next_place(), FIRST + 1);
    check_listed(true);
    ck_assert_uint_eq(rig.warnings, 1);
    pass(MINUTE_MS - 2000);
    ck_assert_uint_eq(next_place(), FIRST + 1);
    pass(3000);
    ck_assert_uint_eq(next_place(), FIRST);
    check_listed(false);
    finish();
}
END_TEST

/* As long as it was not quiet for long. */
START_TEST(test_twice_as_long_each_time)
{
    start(3);
    fail_some(3, 5, TASK_REASON_SIGNALED);
    pass(MINUTE_MS + 1000);
    fail_some(3, 5, TASK_REASON_SIGNALED);
    pass(MINUTE_MS + 1000);
    ck_assert_uint_eq(next_place(), FIRST + 1);
    pass(MINUTE_MS);
    ck_assert_uint_eq(next_place(), FIRST);
    pass(31 * MINUTE_MS);
    fail_some(3, 5, TASK_REASON_SIGNALED);
    ck_assert_uint_eq(next_place(), FIRST + 1);
    pass(MINUTE_MS + 1000);
    ck_assert_uint_eq(next_place(), FIRST);
    finish();
}
END_TEST

START_TEST(test_a_job_that_is_wrong_damps_nobody)
{
    start(3);
    fail_some(2, 6, TASK_REASON_EXITED);
    ck_assert_uint_eq(next_place(), FIRST);
    finish();
}
END_TEST

START_TEST(test_limits_damp_nobody)
{
    start(3);
    fail_some(3, 6, TASK_REASON_MEMORY_LIMIT);
    ck_assert_uint_eq(next_place(), FIRST);
    finish();
}
END_TEST

START_TEST(test_failures_of_long_ago_do_not_count)
{
    start(3);
    fail_some(3, 4, TASK_REASON_EXITED);
    pass(5 * MINUTE_MS + 1000);
    fail_some(3, 1, TASK_REASON_EXITED);
    ck_assert_uint_eq(next_place(), FIRST);
    finish();
}
END_TEST

START_TEST(test_where_there_are_few_nobody_is_damped)
{
    start(2);
    fail_some(3, 6, TASK_REASON_EXITED);
    ck_assert_uint_eq(next_place(), FIRST);
    finish();
}
END_TEST

START_TEST(test_the_next_leader_goes_on)
{
    start(3);
    fail_some(3, 5, TASK_REASON_EXITED);
    pass(10000);
    rig_restart(&rig);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    for (uint64_t i = FIRST; i <= agents; i++) {
        rig_open(&rig, i, HELLO_AGENT);
        ck_assert_uint_eq(rig_register(&rig, i, i, (uint32_t)i), i);
    }
    ck_assert_uint_eq(next_place(), FIRST + 1);
    check_listed(true);
    pass(MINUTE_MS - 9000);
    ck_assert_uint_eq(next_place(), FIRST);
    finish();
}
END_TEST

static void set_mode(uint64_t agent, enum agent_mode mode)
{
    struct agent_mode_request q = {agent, mode, 0};
    struct buffer frame = {0};

    agent_mode_pack(&q, ++rig.last_rpc, &frame);
    rig_frame(&rig, CLIENT, &frame);
    rig_settle(&rig);
}

/* More failures than are read in a turn, and the one that counts is the last: nothing is placed
 * before it is known. */
START_TEST(test_many_failures_are_read_in_slices)
{
    enum { MANY = 4500 };
    unsigned turns = 0;
    uint64_t job;

    start(3);
    rig_submit(&rig, CLIENT, MANY);
    for (uint64_t i = 1; i <= MANY; i++)
        fail_task(i, TASK_REASON_EXITED); /* of one job: not the agent's fault */
    fail_some(3, 5, TASK_REASON_EXITED);
    set_mode(FIRST + 1, AGENT_CORDONED);
    set_mode(FIRST + 2, AGENT_CORDONED);
    job = rig_submit(&rig, CLIENT, 1);
    rig_restart_with(&rig, 0);
    rig.warnings = 0;
    for (; rig.warnings == 0; turns++) {
        ck_assert(turns == 0 || rig.again);
        rig_turn(&rig);
    }
    ck_assert_uint_eq(turns, MANY / DAMPING_SLICE + 1);
    rig_settle(&rig);
    ck_assert_uint_eq(job_pending(state_job(master_state(rig.core), job)), 1);
    finish();
}
END_TEST

int main(void)
{
    TCase *c = unit_case("damping",
                         test_the_example_of_damping,
                         test_twice_as_long_each_time,
                         test_a_job_that_is_wrong_damps_nobody,
                         test_limits_damp_nobody,
                         test_failures_of_long_ago_do_not_count,
                         test_where_there_are_few_nobody_is_damped,
                         test_the_next_leader_goes_on,
                         test_many_failures_are_read_in_slices);

    return unit_run("damping", &c, 1);
}
