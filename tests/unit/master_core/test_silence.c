/* When the leader gives agents up, and when it does not (joint 10). */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "raft_fsm/state.h"
#include "wire/message_agent.h"

#include <string.h>

#define CLIENT 9

static enum agent_state state_of(const struct rig *rig, uint64_t agent)
{
    return (enum agent_state)state_agent(master_state(rig->core), agent)->state;
}

static uint64_t unreachable(const struct rig *rig)
{
    return master_state(rig->core)->agents_by_state[AGENT_UNREACHABLE];
}

/* Agents 1 to n, in one session: the last one speaks in it. */
static void register_agents(struct rig *rig, unsigned n)
{
    rig_open(rig, 1, HELLO_AGENT);
    for (unsigned i = 1; i <= n; i++)
        ck_assert_uint_eq(rig_register(rig, 1, 0, (uint16_t)i), i);
}

START_TEST(test_silence)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 1);
    rig_pass(&rig, 2900);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_ACTIVE);
    rig_heartbeat(&rig, 1, 1);
    rig_pass(&rig, 2900);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_ACTIVE);
    rig_pass(&rig, 400);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_UNREACHABLE);
    rig_finish(&rig);
}
END_TEST

/* What it said may lie in its socket, behind what others did. */
START_TEST(test_not_read_is_not_silent)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 1);
    rig.behind_ms = 1000;
    rig_pass(&rig, 3900);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_ACTIVE);
    rig.behind_ms = 0;
    rig_pass(&rig, 300);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_UNREACHABLE);
    rig_finish(&rig);
}
END_TEST

/* Whoever registered first. */
START_TEST(test_silence_of_one_of_two)
{
    for (unsigned silent = 1; silent <= 2; silent++) {
        unsigned other = 3 - silent;
        struct rig rig;

        rig_init(&rig, STOPS_PER_TURN);
        for (unsigned i = 1; i <= 2; i++) {
            rig_open(&rig, i, HELLO_AGENT);
            ck_assert_uint_eq(rig_register(&rig, i, 0, i), i);
        }
        for (unsigned i = 0; i < 7; i++) {
            rig_pass(&rig, 500);
            rig_heartbeat(&rig, other, other);
        }
        ck_assert_int_eq(state_of(&rig, silent), AGENT_UNREACHABLE);
        ck_assert_int_eq(state_of(&rig, other), AGENT_ACTIVE);
        master_verify(rig.core);
        rig_finish(&rig);
    }
}
END_TEST

/* An agent that died again while its return was being committed is one to be declared
 * again. */
START_TEST(test_gone_before_its_return_is_committed)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 1);
    rig_pass(&rig, 3500);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_UNREACHABLE);
    rig_open(&rig, 2, HELLO_AGENT);
    rig_send_register(&rig, 2, 1, 1);
    rig_close(&rig, 2);
    rig_settle(&rig);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_ACTIVE);
    rig_pass(&rig, 2900);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_ACTIVE);
    rig_pass(&rig, 10000);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_UNREACHABLE);
    rig_finish(&rig);
}
END_TEST

/* A registration is a word of the agent, also while it waits for its commit. */
START_TEST(test_heard_by_its_registration)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 1);
    rig_pass(&rig, 2900);
    rig_open(&rig, 2, HELLO_AGENT);
    rig.http_port++; /* so it goes through the log */
    rig_send_register(&rig, 2, 1, 1);
    rig.now_ms += 400;
    rig_step(&rig, &(struct master_event){.kind = MASTER_TIME});
    rig_settle(&rig);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_ACTIVE);
    ck_assert_uint_eq(master_counters(rig.core)->agents_silent, 0);
    rig_finish(&rig);
}
END_TEST

/* So are the heartbeats of one that waits to be registered, in a session that is not its own yet. */
START_TEST(test_heard_before_it_is_registered)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 1);
    rig_close(&rig, 1);
    rig_open(&rig, 2, HELLO_AGENT);
    for (int i = 0; i < 10; i++) {
        rig_pass(&rig, 500);
        rig_heartbeat(&rig, 2, 1);
    }
    ck_assert_int_eq(state_of(&rig, 1), AGENT_ACTIVE);
    rig_pass(&rig, 3500);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_UNREACHABLE);
    rig_finish(&rig);
}
END_TEST

/* While the loop stood still nobody could be heard, however long it was. */
START_TEST(test_gap_of_the_loop)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 1);
    rig_pass(&rig, 2500);
    rig.now_ms += 60000;
    rig_step(&rig, &(struct master_event){.kind = MASTER_TIME});
    rig_settle(&rig);
    ck_assert_uint_eq(master_counters(rig.core)->loop_gaps, 1);
    rig_pass(&rig, 2900);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_ACTIVE);
    rig_pass(&rig, 400);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_UNREACHABLE);
    rig_finish(&rig);
}
END_TEST

/* Its session may still be open.  What it is to end is known when it is back. */
START_TEST(test_a_silent_agent_is_told_to_stop_nothing)
{
    struct run_report run = {.attempt = 1, .state = TASK_RUNNING};
    struct buffer frame = {0};
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 1);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    rig_submit(&rig, CLIENT, 1);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.launches[1], 1);
    rig_report(&rig, 1, 1, 1, TASK_RUNNING);
    rig_pass(&rig, 3500);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_UNREACHABLE);
    ck_assert_uint_eq(rig.stops[1], 0);
    rig_open(&rig, 2, HELLO_AGENT);
    rig_register(&rig, 2, 1, 1);
    runs_pack(1, 0, 1, &run, 1, ++rig.last_rpc, &frame);
    rig_frame(&rig, 2, &frame);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.stops[1], 0);
    ck_assert_uint_eq(rig.launches[2], 0);
    ck_assert_int_eq(job_task(state_job(master_state(rig.core), 1), 0)->state,
                     TASK_RUNNING);
    rig_finish(&rig);
}
END_TEST

/* ---- a new leader ---- */

static unsigned told(const struct rig *rig)
{
    unsigned n = 0;

    for (unsigned i = 0; i < RIG_SESSIONS; i++) {
        ck_assert_uint_le(rig->told[i], 1);
        n += rig->told[i];
    }
    return n;
}

/* Some of them in each turn, also those that came meanwhile. */
START_TEST(test_a_new_leader_tells_its_agents)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 10);
    rig.config.told_per_turn = 3;
    rig_restart_with(&rig, 10);
    ck_assert_uint_le(told(&rig), 3);
    rig_open(&rig, 11, HELLO_AGENT);
    for (unsigned before = told(&rig); before < 11; before = told(&rig)) {
        rig_turn(&rig);
        ck_assert_uint_le(told(&rig), before + 3);
        ck_assert(rig.again || told(&rig) == 11);
    }
    rig_settle(&rig);
    rig_open(&rig, 12, HELLO_AGENT);
    ck_assert_uint_eq(told(&rig), 12);
    rig_finish(&rig);
}
END_TEST

/* It asked before its turn: it is to know that the answer is a leader's. */
START_TEST(test_an_agent_that_asks_is_told)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 10);
    rig.config.told_per_turn = 1;
    rig_restart_with(&rig, 10);
    ck_assert_uint_eq(rig.told[10], 0);
    rig_send_register(&rig, 10, 10, 10);
    ck_assert_uint_eq(rig.told[10], 1);
    rig_settle(&rig);
    ck_assert_uint_eq(told(&rig), 10);
    rig_finish(&rig);
}
END_TEST

/* They may wait in one queue: who has not come is not silent while others come, but for 10 s. */
START_TEST(test_agents_that_are_coming)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 10);
    rig_restart_with(&rig, 10);
    rig_settle(&rig);
    for (unsigned i = 1; i <= 7; i++) {
        rig_pass(&rig, 2000);
        if (i == 7)
            break;
        ck_assert_uint_eq(unreachable(&rig), 0);
        for (unsigned k = 1; k < i; k++)
            rig_heartbeat(&rig, k, k);
        rig_register(&rig, i, i, i);
    }
    ck_assert_uint_gt(unreachable(&rig), 0);
    ck_assert_int_eq(state_of(&rig, 6), AGENT_ACTIVE);
    rig_finish(&rig);
}
END_TEST

/* Who came and fell silent does not wait for them, nor does anybody for who does not come. */
START_TEST(test_silent_while_others_are_coming)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 10);
    rig_restart_with(&rig, 10);
    rig_settle(&rig);
    rig_register(&rig, 1, 1, 1);
    rig_pass(&rig, 2000);
    rig_register(&rig, 2, 2, 2);
    rig_pass(&rig, 1200);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_UNREACHABLE);
    ck_assert_uint_eq(unreachable(&rig), 1);
    rig_heartbeat(&rig, 2, 2);
    rig_pass(&rig, 2000);
    ck_assert_uint_eq(unreachable(&rig), 3); /* the brake */
    rig_finish(&rig);
}
END_TEST

/* ---- the brake ---- */

/* At most 30 % in 10 s; the rest is held, and that is said once. */
START_TEST(test_brake)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 10);
    rig_pass(&rig, 4000);
    ck_assert_uint_eq(unreachable(&rig), 3);
    ck_assert_uint_eq(master_counters(rig.core)->agents_held, 7);
    ck_assert(strstr(rig.warning, "holding") != NULL);
    ck_assert_uint_eq(rig.warnings, 3 + 1);
    rig_pass(&rig, 8500);
    ck_assert_uint_eq(unreachable(&rig), 3);
    rig_pass(&rig, 1000);
    ck_assert_uint_eq(unreachable(&rig), 6);
    rig_finish(&rig);
}
END_TEST

/* Of two agents one may be unreachable at a time. */
START_TEST(test_brake_of_few)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 2);
    rig_pass(&rig, 4000);
    ck_assert_uint_eq(unreachable(&rig), 1);
    rig_pass(&rig, 10000);
    ck_assert_uint_eq(unreachable(&rig), 2);
    rig_finish(&rig);
}
END_TEST

/* Also 30 % of many. */
START_TEST(test_brake_of_many)
{
    enum { AGENTS = 4000 };
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, AGENTS);
    rig_pass(&rig, 4000);
    ck_assert_uint_eq(unreachable(&rig), AGENTS * UNREACHABLE_PERCENT / 100);
    rig_finish(&rig);
}
END_TEST

/* In any 10 s, whoever led. */
START_TEST(test_brake_of_two_leaders)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 10);
    rig_pass(&rig, 3500);
    ck_assert_uint_eq(unreachable(&rig), 3);
    rig_restart(&rig);
    rig_pass(&rig, 8900);
    ck_assert_uint_eq(unreachable(&rig), 3);
    rig_pass(&rig, 1600);
    ck_assert_uint_eq(unreachable(&rig), 6);
    /* What was long ago does not hold another leader up. */
    rig_pass(&rig, 9500);
    rig_restart(&rig);
    rig_pass(&rig, 3500);
    ck_assert_uint_eq(unreachable(&rig), 9);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("master silence",
          unit_case("limit",
                    test_silence,
                    test_not_read_is_not_silent,
                    test_silence_of_one_of_two,
                    test_gone_before_its_return_is_committed,
                    test_heard_by_its_registration,
                    test_heard_before_it_is_registered,
                    test_gap_of_the_loop,
                    test_a_silent_agent_is_told_to_stop_nothing),
          unit_case("coming",
                    test_a_new_leader_tells_its_agents,
                    test_an_agent_that_asks_is_told,
                    test_agents_that_are_coming,
                    test_silent_while_others_are_coming),
          unit_case("brake",
                    test_brake,
                    test_brake_of_few,
                    test_brake_of_many,
                    test_brake_of_two_leaders))
