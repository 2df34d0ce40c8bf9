/* When an agent is unreachable: silence, gaps of our own loop, and the brake (joint 10). */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "raft_fsm/state.h"

#define STEP_MS 100u

static void start(struct rig *rig, unsigned agents)
{
    rig_init(rig, STOPS_PER_TURN);
    for (unsigned i = 1; i <= agents; i++) {
        rig_open(rig, i, ROLE_AGENT);
        ck_assert_uint_eq(rig_register(rig, i, 0, (uint8_t)i), i);
    }
}

/* The loop turns, and agents 1 to `talking` are heard. */
static void pass(struct rig *rig, unsigned ms, unsigned talking)
{
    for (unsigned t = 0; t < ms; t += STEP_MS) {
        rig->now_ms += STEP_MS;
        rig_step(rig, &(struct master_event){.kind = MASTER_TIME});
        rig_settle(rig);
        for (unsigned i = 1; i <= talking; i++)
            rig_heartbeat(rig, i, i);
    }
}

static unsigned unreachable(const struct rig *rig)
{
    return (unsigned)master_state(rig->core)->agents_by_state[AGENT_UNREACHABLE];
}

START_TEST(test_a_silent_agent_is_unreachable)
{
    struct rig rig;

    start(&rig, 4);
    pass(&rig, 20000, 4);
    ck_assert_uint_eq(unreachable(&rig), 0);
    pass(&rig, AGENT_SILENCE_MS - STEP_MS, 3);
    ck_assert_uint_eq(unreachable(&rig), 0);
    pass(&rig, 500, 3);
    ck_assert_uint_eq(unreachable(&rig), 1);
    ck_assert_int_eq(state_agent(master_state(rig.core), 4)->state, AGENT_UNREACHABLE);
    pass(&rig, 30000, 3);
    ck_assert_uint_eq(unreachable(&rig), 1);
    rig_finish(&rig);
}
END_TEST

/* While the loop stood still nobody could be heard, however long it was. */
START_TEST(test_a_gap_of_the_loop_is_no_silence)
{
    struct rig rig;

    start(&rig, 1);
    pass(&rig, AGENT_SILENCE_MS - 500, 0);
    rig.now_ms += 60000;
    rig_step(&rig, &(struct master_event){.kind = MASTER_TIME});
    rig_settle(&rig);
    ck_assert_uint_eq(master_counters(rig.core)->loop_gaps, 1);
    pass(&rig, AGENT_SILENCE_MS - STEP_MS, 0);
    ck_assert_uint_eq(unreachable(&rig), 0);
    pass(&rig, 500, 0);
    ck_assert_uint_eq(unreachable(&rig), 1);
    rig_finish(&rig);
}
END_TEST

/* Many at once look like a fault of ours: 30 % in 10 s, and the others are held. */
START_TEST(test_the_brake_holds)
{
    struct rig rig;

    start(&rig, 10);
    pass(&rig, AGENT_SILENCE_MS + 500, 0);
    ck_assert_uint_eq(unreachable(&rig), 3);
    ck_assert_uint_eq(master_counters(rig.core)->agents_held, 7);
    pass(&rig, UNREACHABLE_WINDOW_MS - 1000, 0);
    ck_assert_uint_eq(unreachable(&rig), 3);
    pass(&rig, 1500, 0);
    ck_assert_uint_eq(unreachable(&rig), 6);
    rig_finish(&rig);
}
END_TEST

/* One of few may always go. */
START_TEST(test_the_brake_lets_one_go)
{
    struct rig rig;

    start(&rig, 2);
    pass(&rig, AGENT_SILENCE_MS + 500, 0);
    ck_assert_uint_eq(unreachable(&rig), 1);
    rig_finish(&rig);
}
END_TEST

/* Held and heard again: nothing happened to it. */
START_TEST(test_a_held_agent_comes_back)
{
    struct rig rig;

    start(&rig, 2);
    pass(&rig, AGENT_SILENCE_MS + 500, 0);
    ck_assert_uint_eq(unreachable(&rig), 1);
    rig_heartbeat(&rig, 2, 2);
    pass(&rig, UNREACHABLE_WINDOW_MS, 2);
    ck_assert_int_eq(state_agent(master_state(rig.core), 2)->state, AGENT_ACTIVE);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("master silence",
          unit_case("silence",
                    test_a_silent_agent_is_unreachable,
                    test_a_gap_of_the_loop_is_no_silence),
          unit_case("brake",
                    test_the_brake_holds,
                    test_the_brake_lets_one_go,
                    test_a_held_agent_comes_back))
