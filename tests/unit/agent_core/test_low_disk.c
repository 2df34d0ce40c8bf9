/* test_low_disk.c - an agent without room (docs/spec/6-agent.md). */
#include "tests/lib/unit.h"
#include "tests/unit/agent_core/one_run.h"

START_TEST(low_disk_refuses_launches)
{
    struct run_report r;

    rig_init(&rig);
    rig_follow(&rig, 0, 1);
    rig_disk(&rig, true);
    rig_advance(&rig, 0);
    ck_assert_uint_eq(rig_flags(&rig, 0), AGENT_FLAG_LOW_DISK);
    rig_launch(&rig, 0, 1, 1);
    rig_advance(&rig, 100);
    ck_assert(!rig_report(&rig, 1, &r)); /* not before it can never start */
    check_durable_end(TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0);
    rig_disk(&rig, false);
    rig_advance(&rig, 0);
    ck_assert_uint_eq(rig_flags(&rig, 0), 0);
    rig_launch(&rig, 0, 1, 1); /* late */
    rig_launch(&rig, 0, 1, 2);
    rig_durable(&rig);
    ck_assert_uint_eq(starts(), 1);
    ck_assert_uint_eq(rig_done(&rig, AGENT_START_RUN, 0)->attempt, 2);
    rig_finish(&rig);
}
END_TEST

START_TEST(low_disk_leaves_runs_alone)
{
    run_restarting();
    rig_disk(&rig, true);
    rig_launch(&rig, 0, 1, 1); /* known already */
    fail_and_wait(1000);
    ck_assert_uint_eq(rig_status(&rig).running, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(low_disk_is_in_the_registration)
{
    struct register_request request;
    struct error err;

    rig_init(&rig);
    rig_disk(&rig, true);
    rig_follow(&rig, 0, 1);
    ck_assert_int_eq(register_unpack(&request,
                                     rig_sent(&rig, 0, METHOD_REGISTER, 0)->rpc.params,
                                     &err),
                     0);
    ck_assert_uint_eq(request.flags, AGENT_FLAG_LOW_DISK);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("low_disk",
          unit_case("disk",
                    low_disk_refuses_launches,
                    low_disk_leaves_runs_alone,
                    low_disk_is_in_the_registration))
