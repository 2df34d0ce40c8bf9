/* When the leader gives agents up, and when it does not (joint 10). */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "raft_fsm/state.h"

#include <string.h>

static enum agent_state state_of(const struct rig *rig, uint64_t agent)
{
    return (enum agent_state)state_agent(master_state(rig->core), agent)->state;
}

/* Agents 1 to n, in one session: the last one speaks in it. */
static void register_agents(struct rig *rig, unsigned n)
{
    rig_open(rig, 1, ROLE_AGENT);
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

/* An agent that died again while its return was being committed is one to be declared
 * again. */
START_TEST(test_gone_before_its_return_is_committed)
{
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    register_agents(&rig, 1);
    rig_pass(&rig, 3500);
    ck_assert_int_eq(state_of(&rig, 1), AGENT_UNREACHABLE);
    rig_open(&rig, 2, ROLE_AGENT);
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
    rig_open(&rig, 2, ROLE_AGENT);
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

UNIT_MAIN("master silence",
          unit_case("limit",
                    test_silence,
                    test_gone_before_its_return_is_committed,
                    test_heard_by_its_registration))
