/* Agents that are drained: when their attempts are told to end, and by whom. */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "base/mem.h"
#include "raft_fsm/state.h"

enum { AGENT_SESSION = 1, CLIENT = 2, TASKS = 3, DEADLINE_MS = 2000 };

static void ask_mode(struct rig *rig, enum agent_mode mode, uint64_t deadline_ms)
{
    struct agent_mode_request q = {1, mode, deadline_ms};
    struct buffer frame = {0};

    agent_mode_pack(&q, ++rig->last_rpc, &frame);
    rig_frame(rig, CLIENT, &frame);
    rig_settle(rig);
    ck_assert_uint_eq(rig->answer.id, rig->last_rpc);
}

/* Agent 1 with three launched tasks. */
static void start_tasks(struct rig *rig)
{
    rig_init(rig, STOPS_PER_TURN);
    rig_open(rig, AGENT_SESSION, HELLO_AGENT);
    rig_open(rig, CLIENT, HELLO_CLIENT);
    ck_assert_uint_eq(rig_register(rig, AGENT_SESSION, 0, 1), 1);
    rig_submit(rig, CLIENT, TASKS);
    ck_assert_uint_eq(rig->launches[TASKS], 1);
}

static void start(struct rig *rig)
{
    start_tasks(rig);
    ask_mode(rig, AGENT_DRAINING, DEADLINE_MS);
    ck_assert_int_eq(rig->answer.code, ERROR_NONE);
}

static void pass(struct rig *rig, unsigned ms)
{
    rig_pass(rig, ms);
    rig_heartbeat(rig, AGENT_SESSION, 1);
}

static void check_stops(const struct rig *rig, unsigned each)
{
    for (unsigned i = 1; i <= TASKS; i++)
        ck_assert_uint_eq(rig->stops[i], each);
}

START_TEST(test_stops_go_out_at_the_deadline)
{
    struct rig rig;

    start(&rig);
    pass(&rig, DEADLINE_MS - 300);
    check_stops(&rig, 0);
    pass(&rig, 600);
    check_stops(&rig, 1);
    pass(&rig, 1000);
    check_stops(&rig, 1); /* it is due once */
    rig_finish(&rig);
}
END_TEST

START_TEST(test_nothing_new_goes_there)
{
    struct rig rig;

    start(&rig);
    rig_submit(&rig, CLIENT, 1);
    ck_assert_uint_eq(rig.launches[TASKS + 1], 0);
    ask_mode(&rig, AGENT_NORMAL, 0);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.launches[TASKS + 1], 1);
    pass(&rig, DEADLINE_MS + 500);
    check_stops(&rig, 0);
    rig_finish(&rig);
}
END_TEST

/* The next leader proposes what the last one did not, and repeats its stops. */
static void lead_anew(struct rig *rig)
{
    rig_restart(rig);
    rig_open(rig, AGENT_SESSION, HELLO_AGENT);
    rig_open(rig, CLIENT, HELLO_CLIENT);
}

START_TEST(test_a_new_leader_goes_on_before_the_deadline)
{
    struct rig rig;

    start(&rig);
    lead_anew(&rig);
    rig_register(&rig, AGENT_SESSION, 1, 1);
    pass(&rig, DEADLINE_MS + 500);
    ck_assert(state_agent(master_state(rig.core), 1)->drain_due);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_a_new_leader_repeats_the_stops)
{
    struct run_report runs[TASKS];
    struct buffer frame = {0};
    struct rig rig;

    start(&rig);
    pass(&rig, DEADLINE_MS + 500);
    lead_anew(&rig);
    rig_register(&rig, AGENT_SESSION, 1, 1);
    for (unsigned i = 0; i < TASKS; i++)
        runs[i] = (struct run_report){.attempt = i + 1, .state = TASK_RUNNING};
    runs_pack(1, 0, 1, runs, TASKS, ++rig.last_rpc, &frame);
    rig_frame(&rig, AGENT_SESSION, &frame);
    rig_settle(&rig);
    check_stops(&rig, 2);
    rig_finish(&rig);
}
END_TEST

/* ---- clocks that jump ---- */

#define HOUR_US (3600 * (int64_t)1000000)

static void jump(struct rig *rig, int64_t ahead_us)
{
    rig->wall_ahead_us = ahead_us;
    rig_heartbeat(rig, AGENT_SESSION, 1);
    rig_submit(rig, CLIENT, 1); /* an entry takes its stamp from there */
}

static void check_ends_in_time(struct rig *rig)
{
    pass(rig, DEADLINE_MS - 300);
    check_stops(rig, 0);
    pass(rig, 600);
    check_stops(rig, 1);
    ck_assert(state_agent(master_state(rig->core), 1)->drain_due);
}

START_TEST(test_a_clock_that_jumped_ahead_and_back_holds_no_drain)
{
    struct rig rig;

    start_tasks(&rig);
    jump(&rig, HOUR_US);
    jump(&rig, 0);
    ask_mode(&rig, AGENT_DRAINING, DEADLINE_MS);
    check_ends_in_time(&rig);
    rig_finish(&rig);
}
END_TEST

/* Stamps stand still then, and the time of the leader does not. */
START_TEST(test_a_drain_begins_when_it_is_asked_for)
{
    struct rig rig;

    start_tasks(&rig);
    jump(&rig, HOUR_US);
    jump(&rig, 0);
    pass(&rig, DEADLINE_MS);
    pass(&rig, DEADLINE_MS);
    ask_mode(&rig, AGENT_DRAINING, DEADLINE_MS);
    check_ends_in_time(&rig);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_a_jump_ahead_ends_no_drain_early)
{
    struct rig rig;

    start(&rig);
    jump(&rig, HOUR_US);
    check_ends_in_time(&rig);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_a_jump_back_holds_no_drain)
{
    struct rig rig;

    start(&rig);
    jump(&rig, -HOUR_US);
    check_ends_in_time(&rig);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_a_new_leader_with_a_late_clock_waits_the_deadline_once)
{
    struct rig rig;

    start(&rig);
    rig.wall_ahead_us = -HOUR_US;
    lead_anew(&rig);
    rig_register(&rig, AGENT_SESSION, 1, 1);
    pass(&rig, DEADLINE_MS + 300);
    ck_assert(state_agent(master_state(rig.core), 1)->drain_due);
    rig_finish(&rig);
}
END_TEST

/* The second drain has a deadline of its own. */
START_TEST(test_a_drain_that_is_asked_for_again_counts_anew)
{
    struct rig rig;

    start(&rig);
    pass(&rig, DEADLINE_MS - 300);
    ask_mode(&rig, AGENT_DRAINING, DEADLINE_MS);
    check_ends_in_time(&rig);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_a_drain_without_time_is_due_at_once)
{
    struct rig rig;

    start(&rig);
    pass(&rig, DEADLINE_MS + 300);
    check_stops(&rig, 1);
    rig_submit(&rig, CLIENT, 1);
    ask_mode(&rig, AGENT_NORMAL, 0);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.launches[TASKS + 1], 1);
    ask_mode(&rig, AGENT_DRAINING, 0);
    pass(&rig, 300);
    ck_assert_uint_eq(rig.stops[TASKS + 1], 1);
    rig_finish(&rig);
}
END_TEST

/* ---- what serves others ---- */

/* A task of a job, and one of a system job beside it. */
static void start_with_system(struct rig *rig)
{
    struct job_spec spec;

    rig_init(rig, STOPS_PER_TURN);
    rig_open(rig, AGENT_SESSION, HELLO_AGENT);
    rig_open(rig, CLIENT, HELLO_CLIENT);
    ck_assert_uint_eq(rig_register(rig, AGENT_SESSION, 0, 1), 1);
    rig_submit(rig, CLIENT, 1);
    job_spec_init(&spec);
    spec.name = mem_strdup("serves");
    spec.kind = JOB_SYSTEM;
    job_spec_add_arg(&spec, "true");
    job_spec_complete(&spec);
    rig_submit_spec(rig, CLIENT, &spec);
    ck_assert_uint_eq(rig->launches[2], 1);
}

START_TEST(test_a_drain_waits_for_no_system_task)
{
    struct rig rig;

    start_with_system(&rig);
    ask_mode(&rig, AGENT_DRAINING, 60 * DEADLINE_MS);
    pass(&rig, 600);
    ck_assert_uint_eq(rig.stops[1] + rig.stops[2], 0);
    rig_report(&rig, AGENT_SESSION, 1, 1, TASK_FINISHED);
    pass(&rig, 600);
    ck_assert_uint_eq(rig.stops[2], 1);
    ck_assert(state_agent(master_state(rig.core), 1)->drain_due);
    rig_report(&rig, AGENT_SESSION, 1, 2, TASK_KILLED);
    ask_mode(&rig, AGENT_NORMAL, 0);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.launches[3], 1); /* it comes again there */
    rig_finish(&rig);
}
END_TEST

/* What an operator says meanwhile is the last word. */
START_TEST(test_a_drain_that_is_taken_back_is_not_hastened)
{
    struct agent_mode_request q = {1, AGENT_NORMAL, 0};
    struct buffer frame = {0};
    struct rig rig;

    start_with_system(&rig);
    ask_mode(&rig, AGENT_DRAINING, 60 * DEADLINE_MS);
    rig_report(&rig, AGENT_SESSION, 1, 1, TASK_FINISHED);
    agent_mode_pack(&q, ++rig.last_rpc, &frame);
    rig_frame(&rig, CLIENT, &frame); /* and is not applied when it looks again: */
    rig.now_ms += 250;
    rig_step(&rig, &(struct master_event){.kind = MASTER_TIME});
    rig_settle(&rig);
    ck_assert_int_eq(state_agent(master_state(rig.core), 1)->mode, AGENT_NORMAL);
    pass(&rig, 600);
    ck_assert_uint_eq(rig.stops[2], 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_a_mode_needs_an_agent)
{
    struct agent_mode_request q = {7, AGENT_CORDONED, 0};
    struct buffer frame = {0};
    struct rig rig;

    start(&rig);
    agent_mode_pack(&q, ++rig.last_rpc, &frame);
    rig_frame(&rig, CLIENT, &frame);
    rig_settle(&rig);
    ck_assert_int_eq(rig.answer.code, ERROR_NOT_FOUND);
    rig_finish(&rig);
}
END_TEST

/* The key of an agent is not for those who list agents. */
START_TEST(test_the_listing_hides_the_key)
{
    struct list_result page;
    struct command_cursor at = {0};
    struct agent_info agent;
    struct agent_spec spec;
    struct rig rig;

    start(&rig);
    rig_list(&rig, CLIENT, METHOD_AGENTS, (struct list_request){0});
    rig_settle(&rig);
    ck_assert_int_eq(list_result_unpack(&page, METHOD_AGENTS, rig.answer.params, NULL),
                     0);
    ck_assert(agent_info_next(&page, &at, &agent));
    ck_assert_int_eq(agent.mode, AGENT_DRAINING);
    ck_assert_uint_ne(agent.drain_us, 0);
    ck_assert_int_eq(agent_spec_unpack(&spec, agent.spec, NULL), 0);
    for (size_t i = 0; i < sizeof(spec.key); i++)
        ck_assert_uint_eq(spec.key[i], 0);
    ck_assert_str_eq(spec.hostname, "host");
    agent_spec_finish(&spec);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("master drains",
          unit_case("drains",
                    test_stops_go_out_at_the_deadline,
                    test_nothing_new_goes_there,
                    test_a_new_leader_goes_on_before_the_deadline,
                    test_a_new_leader_repeats_the_stops,
                    test_a_clock_that_jumped_ahead_and_back_holds_no_drain,
                    test_a_drain_begins_when_it_is_asked_for,
                    test_a_jump_ahead_ends_no_drain_early,
                    test_a_jump_back_holds_no_drain,
                    test_a_new_leader_with_a_late_clock_waits_the_deadline_once,
                    test_a_drain_that_is_asked_for_again_counts_anew,
                    test_a_drain_without_time_is_due_at_once,
                    test_a_drain_waits_for_no_system_task,
                    test_a_drain_that_is_taken_back_is_not_hastened,
                    test_a_mode_needs_an_agent,
                    test_the_listing_hides_the_key))
