/* test_leases.c - runs that may not go on without a leader (docs/spec/6-agent.md). */
#include "tests/lib/unit.h"
#include "tests/unit/agent_core/one_run.h"

static void launch_exclusive(void)
{
    struct job_spec spec;

    changed(&spec)->lease_ms = 10000;
    spec.drift_permille = 20;
    spec.lease_grace_ms = 10000;
    follow(&spec);
    rig_launch(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_advance(&rig, 0);
}

START_TEST(nothing_is_asked_without_a_lease)
{
    struct job_spec spec;

    changed(&spec);
    run_it(&spec);
    rig_advance(&rig, 2000);
    ck_assert_uint_eq(rig_asked(&rig, 0), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(lease_comes_before_the_start)
{
    uint64_t sent_ms, sequence;

    launch_exclusive();
    sent_ms = rig.now_ms;
    sequence = rig_asked(&rig, 0);
    ck_assert_uint_ne(sequence, 0);
    ck_assert_uint_eq(starts(), 0);
    rig.now_ms += 300;
    rig_forget(&rig);
    rig_lease(&rig, 0, 1, sequence);
    ck_assert_uint_eq(rig_done(&rig, AGENT_RENEW, 0)->boot_ms, sent_ms);
    ck_assert_uint_eq(starts(), 1);
    ck_assert_int_eq(rig.done[0].kind, AGENT_RENEW); /* the file first */
    rig_finish(&rig);
}
END_TEST

START_TEST(valid_lease_starts_more_at_once)
{
    launch_exclusive();
    rig_lease(&rig, 0, 1, rig_asked(&rig, 0));
    rig_launch(&rig, 0, 1, 2);
    rig_durable(&rig);
    ck_assert_uint_eq(starts(), 2);
    rig_finish(&rig);
}
END_TEST

START_TEST(lease_counts_from_the_sending)
{
    uint64_t sequence;

    launch_exclusive();
    sequence = rig_asked(&rig, 0);
    rig.now_ms += 10000;
    rig_lease(&rig, 0, 1, sequence); /* it is over already */
    ck_assert_uint_eq(starts(), 0);
    ck_assert_uint_eq(rig_status(&rig).recorded, 1);
    rig_advance(&rig, 500);
    rig_lease(&rig, 0, 1, rig_asked(&rig, 0));
    ck_assert_uint_eq(starts(), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(only_the_leader_renews)
{
    uint64_t sequence;

    launch_exclusive();
    rig_open(&rig, 1, NULL);
    sequence = rig_asked(&rig, 0);
    rig_lease(&rig, 1, 1, sequence);     /* not the leader */
    rig_lease(&rig, 0, 0, sequence);     /* not its term */
    rig_lease(&rig, 0, 1, sequence + 1); /* never asked */
    rig_lease(&rig, 0, 1, 0);
    ck_assert_uint_eq(rig_count(&rig, AGENT_RENEW), 0);
    rig_lease(&rig, 0, 1, sequence);
    ck_assert_uint_eq(rig_count(&rig, AGENT_RENEW), 1);
    rig_lease(&rig, 0, 1, sequence); /* nothing new */
    ck_assert_uint_eq(rig_count(&rig, AGENT_RENEW), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(old_heartbeats_are_forgotten)
{
    uint64_t sequence;

    launch_exclusive();
    sequence = rig_asked(&rig, 0);
    rig_advance(&rig, 40 * 500);
    rig_lease(&rig, 0, 1, sequence);
    ck_assert_uint_eq(rig_count(&rig, AGENT_RENEW), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(stop_while_it_waits_for_a_lease)
{
    launch_exclusive();
    rig_stop(&rig, 0, 1, 1);
    check_durable_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
    rig_lease(&rig, 0, 1, rig_asked(&rig, 0));
    ck_assert_uint_eq(starts(), 0);
    rig_ack(&rig, 0, 1, 1, TASK_KILLED);
    rig_forget(&rig);
    rig_advance(&rig, 1000);
    ck_assert_uint_eq(rig_asked(&rig, 0), 0); /* nobody needs one any more */
    rig_finish(&rig);
}
END_TEST

START_TEST(lost_lease_is_lost)
{
    launch_exclusive();
    rig_lease(&rig, 0, 1, rig_asked(&rig, 0));
    rig_started(&rig, 1);
    rig_ended(&rig, 1, RUN_END_LEASE, 15);
    check_durable_end(TASK_LOST, TASK_REASON_LEASE_EXPIRED, 143);
    rig_finish(&rig);
}
END_TEST

/* The agent slept: what it hears first is older than its lease. */
START_TEST(thawed_agent_starts_nothing)
{
    struct job_spec spec;

    changed(&spec)->lease_ms = 10000;
    spec.drift_permille = 20;
    spec.lease_grace_ms = 10000;
    spec.restart = (struct job_retry){
        .attempts = JOB_UNLIMITED, .delay_ms = 1000, .max_delay_ms = 1000};
    follow(&spec);
    rig_launch(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_advance(&rig, 0);
    rig_lease(&rig, 0, 1, rig_asked(&rig, 0));
    rig_started(&rig, 1);
    rig_launch(&rig, 0, 1, 2);
    rig_ended(&rig, 1, RUN_END_EXITED, 1);
    rig.now_ms += 60000;
    rig_durable(&rig);
    rig_advance(&rig, 0);
    ck_assert_uint_eq(starts(), 1);
    rig_lease(&rig, 0, 1, rig_asked(&rig, 0));
    ck_assert_uint_eq(starts(), 3); /* both: the one's delay is over too */
    rig_finish(&rig);
}
END_TEST

START_TEST(restarted_agent_reads_its_lease)
{
    struct job_spec spec;

    changed(&spec)->stop_after_ms = 10000;
    spec.restart = (struct job_retry){
        .attempts = JOB_UNLIMITED, .delay_ms = 1000, .max_delay_ms = 1000};
    follow(&spec);
    rig_launch(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_advance(&rig, 0);
    rig_lease(&rig, 0, 1, rig_asked(&rig, 0));
    rig_started(&rig, 1);
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_EXITED, 1);
    rig_durable(&rig);
    rig_advance(&rig, 1000);
    ck_assert_uint_eq(starts(), 1); /* without a leader, by the lease of before */
    rig_restart(&rig);
    rig.now_ms += 10000;
    rig_ended(&rig, 1, RUN_END_EXITED, 1);
    rig_durable(&rig);
    rig_advance(&rig, 10000);
    ck_assert_uint_eq(starts(), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(new_leader_is_asked_at_once)
{
    launch_exclusive();
    rig_open(&rig, 1, NULL);
    rig_forget(&rig);
    rig_follow(&rig, 1, 2);
    rig_advance(&rig, 0);
    ck_assert_uint_ne(rig_asked(&rig, 1), 0);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("leases",
          unit_case("leases",
                    nothing_is_asked_without_a_lease,
                    lease_comes_before_the_start,
                    valid_lease_starts_more_at_once,
                    lease_counts_from_the_sending,
                    only_the_leader_renews,
                    old_heartbeats_are_forgotten,
                    stop_while_it_waits_for_a_lease,
                    lost_lease_is_lost,
                    thawed_agent_starts_nothing,
                    restarted_agent_reads_its_lease,
                    new_leader_is_asked_at_once))
