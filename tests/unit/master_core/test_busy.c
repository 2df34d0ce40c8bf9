/* More requests than may wait: who is told so, and who is not. */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "base/limits.h"
#include "raft_fsm/state.h"

enum { AGENT = 1, CLIENT = 2 };

/* What is refused when it is applied, so that nothing follows from it. */
static void send_junk(struct rig *rig)
{
    static const uint8_t SPEC[] = {0x90};
    struct buffer frame = {0};
    struct submit_request request = {.key = {SPEC, sizeof(SPEC)},
                                     .spec = {SPEC, sizeof(SPEC)}};

    submit_pack(&request, ++rig->last_rpc, &frame);
    rig_frame(rig, CLIENT, &frame);
}

static void send_update(struct rig *rig, uint64_t attempt, enum task_state state)
{
    struct run_report run = {.attempt = attempt, .state = state};
    struct buffer frame = {0};

    update_pack(1, &run, 1, &frame);
    rig_frame(rig, AGENT, &frame);
}

/* Of what no plan can have seen yet nothing is to hold. */
START_TEST(test_a_check_index_from_the_future)
{
    struct rig rig;
    struct buffer frame = {0};
    static const uint8_t SPEC[] = {0x90};
    struct submit_request request = {.key = {SPEC, sizeof(SPEC)},
                                     .spec = {SPEC, sizeof(SPEC)}};

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    request.check = master_state(rig.core)->index + 1;
    submit_pack(&request, ++rig.last_rpc, &frame);
    rig_frame(&rig, CLIENT, &frame);
    ck_assert_uint_eq(rig.answers, 1);
    ck_assert_int_eq(rig.answer.code, ERROR_INVALID);
    ck_assert_uint_eq(master_queue_length(rig.core), 0);
    rig_finish(&rig);
}
END_TEST

/* A flood of submits is told `busy`; it does not keep the leader from what is under way:
 * kills, reports of agents, placements. */
START_TEST(test_flood)
{
    struct rig rig;
    unsigned answers;
    uint64_t job;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, AGENT, HELLO_AGENT);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    ck_assert_uint_eq(rig_register(&rig, AGENT, 0, 1), 1);
    job = rig_submit(&rig, CLIENT, 1);
    ck_assert_uint_eq(rig.launches[1], 1);
    answers = rig.answers;
    rig_send_submit(&rig, CLIENT, 1, 4); /* the job that is to be placed */
    for (unsigned i = 1; i < LIMIT_REQUESTS_WAITING; i++)
        send_junk(&rig);
    ck_assert_uint_eq(rig.answers, answers);
    send_junk(&rig);
    ck_assert_uint_eq(rig.answers, ++answers);
    ck_assert_int_eq(rig.answer.code, ERROR_BUSY);

    send_update(&rig, 1, TASK_RUNNING);
    rig_kill(&rig, CLIENT, job);
    ck_assert_uint_eq(rig.answers, answers);
    for (unsigned turns = 0; rig.launches[2] == 0; turns++) {
        ck_assert_uint_lt(turns, 20);
        rig_turn(&rig);
        while (master_queue_length(rig.core) < LIMIT_REQUESTS_WAITING)
            send_junk(&rig);
    }
    rig_settle(&rig);
    ck_assert_int_eq(job_task_state(state_job(master_state(rig.core), job), 0),
                     TASK_KILLING);
    ck_assert_uint_eq(job_task(state_job(master_state(rig.core), job), 0)->state,
                      TASK_RUNNING);
    rig_finish(&rig);
}
END_TEST

/* Nor does a flood of kills: agents have room behind it. */
START_TEST(test_flood_of_kills)
{
    struct rig rig;
    size_t most = LIMIT_REQUESTS_WAITING + LIMIT_RESERVED_REQUESTS / 2;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, AGENT, HELLO_AGENT);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    ck_assert_uint_eq(rig_register(&rig, AGENT, 0, 1), 1);
    rig_submit(&rig, CLIENT, 1);
    ck_assert_uint_eq(rig.launches[1], 1);
    for (size_t i = 0; i < most; i++)
        rig_kill(&rig, CLIENT, 999);
    ck_assert_uint_eq(master_queue_length(rig.core), most);
    rig_kill(&rig, CLIENT, 999);
    ck_assert_int_eq(rig.answer.code, ERROR_BUSY);
    ck_assert_uint_eq(master_queue_length(rig.core), most);
    send_update(&rig, 1, TASK_RUNNING);
    ck_assert_uint_eq(master_queue_length(rig.core), most + 1);
    rig_settle(&rig);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("master busy",
          unit_case("busy",
                    test_a_check_index_from_the_future,
                    test_flood,
                    test_flood_of_kills))
