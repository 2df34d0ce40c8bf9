/* test_updates.c - what the leader is told, and when (docs/spec/6-agent.md). */
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent_core/one_run.h"

#define MANY 5000

START_TEST(short_task_is_one_update)
{
    bring_to(RUNNING);
    rig_ended(&rig, 1, RUN_END_EXITED, 0);
    rig_advance(&rig, 0);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_UPDATE), 1);
    ck_assert_uint_eq(rig_status(&rig).updates_sent, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(lasting_state_is_told)
{
    struct run_report report;

    bring_to(RUNNING);
    rig_advance(&rig, 49);
    ck_assert(!rig_report(&rig, 1, &report));
    rig_advance(&rig, 1);
    ck_assert(rig_report(&rig, 1, &report));
    ck_assert_int_eq(report.state, TASK_RUNNING);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    rig_forget(&rig);
    rig_advance(&rig, 10000);
    ck_assert(!rig_report(&rig, 1, &report));
    rig_finish(&rig);
}
END_TEST

START_TEST(updates_repeat_until_acknowledged)
{
    bring_to(ENDED);
    rig_advance(&rig, 3500);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_UPDATE), 4);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING); /* late, of an older state */
    rig_advance(&rig, 1000);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_UPDATE), 5);
    rig_ack(&rig, 0, 1, 1, TASK_FINISHED);
    rig_advance(&rig, 5000);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_UPDATE), 5);
    rig_finish(&rig);
}
END_TEST

START_TEST(new_leader_is_told_at_once)
{
    struct run_report report;

    bring_to(ENDED);
    rig_advance(&rig, 10);
    rig_forget(&rig);
    rig_follow(&rig, 1, 2);
    rig_advance(&rig, 0);
    ck_assert_uint_eq(rig_sent_count(&rig, 1, METHOD_UPDATE), 1);
    ck_assert(rig_report(&rig, 1, &report));
    rig_finish(&rig);
}
END_TEST

START_TEST(nothing_is_told_without_a_leader)
{
    struct run_report report;

    bring_to(RUNNING);
    rig_close(&rig, 0);
    rig_ended(&rig, 1, RUN_END_EXITED, 0);
    rig_advance(&rig, 60000);
    ck_assert(!rig_report(&rig, 1, &report));
    rig_finish(&rig);
}
END_TEST

START_TEST(many_runs)
{
    struct launch *launches = mem_zalloc(MANY * sizeof(*launches));
    struct buffer frame = {0};
    uint64_t digest = 0;
    uint32_t packed = 0;

    bring_to(NEW);
    for (uint32_t i = 0; i < MANY; i++)
        launches[i] = (struct launch){.attempt = i + 1,
                                      .job = 1,
                                      .instance = i,
                                      .number = 1,
                                      .spec = buffer_view(&rig.spec)};
    while (packed < MANY) {
        packed += launch_pack(1, &launches[packed], MANY - packed, &frame);
        rig_frame(&rig, 0, &frame);
    }
    mem_free(launches);
    ck_assert_uint_eq(rig_status(&rig).recorded, MANY);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_START_RUN), MANY);
    rig_forget(&rig);
    for (uint64_t attempt = MANY; attempt > 0; attempt--) {
        rig_started(&rig, attempt);
        if (attempt % 2 == 0)
            rig_ended(&rig, attempt, RUN_END_EXITED, 0);
        digest += run_digest(attempt, attempt % 2 == 0 ? TASK_FINISHED : TASK_RUNNING);
    }
    ck_assert_uint_eq(rig_status(&rig).digest, digest);
    rig_advance(&rig, 50);
    ck_assert_uint_eq(rig_status(&rig).updates_sent, MANY);
    ck_assert_uint_le(rig_sent_count(&rig, 0, METHOD_UPDATE), MANY / LIMIT_UPDATES + 2);
    rig_restart(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_ADOPT_RUN), MANY);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("updates",
          unit_case("updates",
                    short_task_is_one_update,
                    lasting_state_is_told,
                    updates_repeat_until_acknowledged,
                    new_leader_is_told_at_once,
                    nothing_is_told_without_a_leader,
                    many_runs))
