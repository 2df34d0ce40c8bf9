/* More requests than may wait: who is told so, and who is not. */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "base/limits.h"
#include "base/mem.h"
#include "master/core/internal.h"
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

/* Of what no plan can have seen yet nothing is to hold.  But it is for who leads to say so, and that
 * has to be confirmed. */
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
    ck_assert_uint_eq(rig.answers, 0);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.answers, 1);
    ck_assert_int_eq(rig.answer.code, ERROR_INVALID);
    ck_assert_uint_eq(master_queue_length(rig.core), 0);
    rig_finish(&rig);
}
END_TEST

/* But a key that was used is answered as it always is. */
START_TEST(test_a_used_key_and_a_check_index_from_the_future)
{
    struct rig rig;
    struct job_spec spec;
    struct buffer packed = {0}, frame = {0};
    struct submit_request request = {.key = {(const uint8_t *)"key", 3}};
    struct submit_result first, again;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    job_spec_init(&spec);
    spec.name = mem_strdup("job");
    job_spec_add_arg(&spec, "true");
    job_spec_pack(&spec, &packed);
    request.spec = buffer_view(&packed);
    request.check = master_state(rig.core)->index;
    submit_pack(&request, ++rig.last_rpc, &frame);
    rig_frame(&rig, CLIENT, &frame);
    rig_settle(&rig);
    ck_assert_int_eq(rig.answer.code, ERROR_NONE);
    ck_assert_int_eq(submit_result_unpack(&first, rig.answer.params, NULL), 0);
    request.check = master_state(rig.core)->index + 1000;
    submit_pack(&request, ++rig.last_rpc, &frame);
    rig_frame(&rig, CLIENT, &frame);
    rig_settle(&rig);
    ck_assert_int_eq(rig.answer.code, ERROR_NONE);
    ck_assert_int_eq(submit_result_unpack(&again, rig.answer.params, NULL), 0);
    ck_assert_uint_eq(again.id, first.id);
    ck_assert_uint_eq(again.index, first.index);
    job_spec_finish(&spec);
    buffer_finish(&packed);
    rig_finish(&rig);
}
END_TEST

static void expect_busy(struct rig *rig, const char *why)
{
    rig_send_submit(rig, CLIENT, 1, 4);
    rig_settle(rig);
    ck_assert_int_eq(rig->answer.code, ERROR_BUSY);
    ck_assert_ptr_nonnull(
        memmem(rig->answer.text.data, rig->answer.text.size, why, strlen(why)));
}

/* A state that is full says when that may be over; kills and reports go on. */
START_TEST(test_as_many_tasks_as_may_be)
{
    struct rig rig;
    uint64_t last = 0, first;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, AGENT, HELLO_AGENT);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    ck_assert_uint_eq(rig_register(&rig, AGENT, 0, 1), 1);
    first = rig_submit(&rig, CLIENT, 1);
    ck_assert_uint_eq(rig.launches[1], 1);
    rig_report(&rig, AGENT, 1, 1, TASK_RUNNING);
    for (uint64_t tasks = 1; tasks < LIMIT_TASKS; tasks += LIMIT_TASKS_PER_JOB) {
        uint64_t left = LIMIT_TASKS - tasks;
        struct job_spec spec;

        job_spec_init(&spec);
        spec.name = mem_strdup("full");
        spec.instances =
            (uint32_t)(left < LIMIT_TASKS_PER_JOB ? left : LIMIT_TASKS_PER_JOB);
        spec.resources.amount[RESOURCE_CPUS] = LIMIT_RESOURCE;
        job_spec_add_arg(&spec, "true");
        last = rig_submit_spec(&rig, CLIENT, &spec);
    }
    ck_assert_uint_eq(master_state(rig.core)->task_count, LIMIT_TASKS);
    expect_busy(&rig, "as many jobs or tasks as it may");
    ck_assert_uint_eq(rig.answer.retry_after_ms, BUSY_UNKNOWN_MS);

    rig_report(&rig, AGENT, 1, 1, TASK_FINISHED);
    ck_assert_int_eq(job_task(state_job(master_state(rig.core), first), 0)->state,
                     TASK_FINISHED);
    rig_pass(&rig, 1000);
    expect_busy(&rig, "as many jobs or tasks as it may");
    ck_assert_uint_le(rig.answer.retry_after_ms, JOB_RETENTION_CROWDED_US / 1000);
    ck_assert_uint_ge(rig.answer.retry_after_ms,
                      JOB_RETENTION_CROWDED_US / 1000 - 10000);

    rig_kill(&rig, CLIENT, last);
    rig_settle(&rig);
    ck_assert_int_eq(rig.answer.code, ERROR_NONE);
    rig_purge(&rig, CLIENT, last);
    rig_settle(&rig);
    ck_assert_int_eq(rig.answer.code, ERROR_NONE);
    rig_send_submit(&rig, CLIENT, 1, 4);
    rig_settle(&rig);
    ck_assert_int_eq(rig.answer.code, ERROR_NONE);
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
    ck_assert_uint_eq(rig.answer.retry_after_ms, BUSY_QUEUE_MS);

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
                    test_a_used_key_and_a_check_index_from_the_future,
                    test_as_many_tasks_as_may_be,
                    test_flood,
                    test_flood_of_kills))
