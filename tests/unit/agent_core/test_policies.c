/* test_policies.c - what a job says about its runs: restarts, leases, times, checks; and
 * an agent without room (docs/spec/6-agent.md).
 */
#include "base/mem.h"
#include "base/text.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent_core/rig.h"

#include <string.h>

#define GRACE_MS 3000

static struct rig rig;

/* ---- jobs ---- */

static struct job_spec *changed(struct job_spec *spec)
{
    rig_init(&rig);
    rig_get_spec(&rig, spec);
    return spec;
}

static void follow(struct job_spec *spec)
{
    rig_set_spec(&rig, spec);
    rig_follow(&rig, 0, 1);
}

static void run_it(struct job_spec *spec)
{
    follow(spec);
    rig_launch(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_started(&rig, 1);
}

/* Three in a minute, after 1 s, 2 s, 3 s. */
static void run_restarting(void)
{
    struct job_spec spec;

    changed(&spec)->restart = (struct job_retry){
        .attempts = 3, .interval_ms = 60000, .delay_ms = 1000, .max_delay_ms = 3000};
    run_it(&spec);
}

static void add_check(struct job_spec *spec, enum check_role role)
{
    struct job_check *c = job_spec_add_check(spec);

    c->role = role;
    c->kind = CHECK_TCP;
    c->port = 80;
    c->interval_ms = 10000;
    c->timeout_ms = 20000;
    c->start_delay_ms = 2000;
    c->failures = 3;
}

/* ---- what was done ---- */

static size_t starts(void)
{
    return rig_count(&rig, AGENT_START_RUN);
}

static struct run_report report(void)
{
    struct run_report r = {0};

    rig_advance(&rig, 50);
    ck_assert(rig_report(&rig, 1, &r));
    return r;
}

static void check_text(struct bytes found, const char *wanted)
{
    char *text = text_copy(found);

    ck_assert_str_eq(text, wanted);
    mem_free(text);
}

static void check_end(enum task_state state, enum task_reason reason, int exit_code)
{
    struct run_report r;

    rig_durable(&rig);
    r = report();
    ck_assert_int_eq(r.state, state);
    ck_assert_int_eq(r.reason, reason);
    ck_assert_int_eq(r.exit_code, exit_code);
    ck_assert_uint_eq(rig_status(&rig).ended, 1);
}

/* Ends with status 3, and starts again after that time. */
static void fail_and_wait(uint64_t delay_ms)
{
    size_t before = starts();

    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    ck_assert_uint_eq(rig_status(&rig).waiting, 1);
    rig_durable(&rig);
    rig_advance(&rig, delay_ms - 1);
    ck_assert_uint_eq(starts(), before);
    rig_advance(&rig, 1);
    ck_assert_uint_eq(starts(), before + 1);
    rig_started(&rig, 1);
}

/* ---- restarts ---- */

START_TEST(failure_is_started_again)
{
    struct run_report r;

    run_restarting();
    fail_and_wait(1000);
    ck_assert_uint_eq(rig_done(&rig, AGENT_START_RUN, 1)->attempt, 1);
    ck_assert_uint_eq(rig_done(&rig, AGENT_START_RUN, 1)->restarts, 1);
    r = report();
    ck_assert_int_eq(r.state, TASK_RUNNING);
    ck_assert_uint_eq(r.restarts, 1);
    ck_assert_int_eq(r.exit_code, 3);
    check_text(r.message, "exited with status 3; restart 1 after 1.0s");
    ck_assert_uint_eq(rig_status(&rig).running, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(delay_doubles_until_attempts_are_used_up)
{
    run_restarting();
    fail_and_wait(1000);
    fail_and_wait(2000);
    fail_and_wait(3000); /* not 4 s: the most */
    rig_ended(&rig, 1, RUN_END_SIGNALED, 11);
    check_end(TASK_FAILED, TASK_REASON_SIGNALED, 139);
    ck_assert_uint_eq(report().restarts, 3);
    rig_finish(&rig);
}
END_TEST

START_TEST(count_begins_again_after_the_interval)
{
    run_restarting();
    fail_and_wait(1000);
    fail_and_wait(2000);
    rig_advance(&rig, 60000);
    fail_and_wait(1000);
    fail_and_wait(2000);
    ck_assert_uint_eq(rig_status(&rig).running, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(unlimited_goes_on)
{
    struct job_spec spec;

    changed(&spec)->restart = (struct job_retry){
        .attempts = JOB_UNLIMITED, .delay_ms = 1000, .max_delay_ms = 1000};
    run_it(&spec);
    for (int i = 0; i < 100; i++)
        fail_and_wait(1000);
    rig_finish(&rig);
}
END_TEST

START_TEST(only_failures_are_started_again)
{
    static const struct {
        enum run_end how;
        int code;
        bool again;
    } ends[] = {
        {RUN_END_EXITED, 0, false},
        {RUN_END_EXITED, 1, true},
        {RUN_END_SIGNALED, 9, true},
        {RUN_END_MEMORY, 9, true},
        {RUN_END_DISK, 9, true},
        {RUN_END_NOT_STARTED, 0, false},
        {RUN_END_SHIM_LOST, 0, false},
        {RUN_END_VANISHED, 0, false},
        {RUN_END_LEASE, 15, false},
        {RUN_END_FETCH_FAILED, 0, false},
        {RUN_END_IMAGE_FAILED, 0, false},
    };

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        run_restarting();
        rig_ended(&rig, 1, ends[i].how, ends[i].code);
        ck_assert_uint_eq(rig_status(&rig).waiting, ends[i].again ? 1 : 0);
        ck_assert_uint_eq(rig_status(&rig).ended, ends[i].again ? 0 : 1);
        rig_finish(&rig);
    }
}
END_TEST

START_TEST(failure_is_durable_before_the_next_start)
{
    run_restarting();
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_advance(&rig, 5000);
    ck_assert_uint_eq(starts(), 1);
    rig_durable(&rig);
    ck_assert_uint_eq(starts(), 2);
    rig_finish(&rig);
}
END_TEST

START_TEST(stop_ends_the_wait)
{
    run_restarting();
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_durable(&rig);
    rig_stop(&rig, 0, 1, 1);
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 3);
    rig_advance(&rig, 60000);
    ck_assert_uint_eq(starts(), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(stopped_run_is_not_started_again)
{
    run_restarting();
    rig_stop(&rig, 0, 1, 1);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 15);
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 143);
    rig_advance(&rig, 60000);
    ck_assert_uint_eq(starts(), 1);
    rig_finish(&rig);
}
END_TEST

/* While the agent was away; its end says that it is of the start that is recorded. */
START_TEST(failure_without_the_agent_counts)
{
    run_restarting();
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_durable(&rig);
    rig_advance(&rig, 999);
    ck_assert_uint_eq(starts(), 0);
    rig_advance(&rig, 1);
    ck_assert_uint_eq(starts(), 1);
    ck_assert_uint_eq(rig.restarts, 1);
    rig_started(&rig, 1);
    rig_follow(&rig, 0, 2);
    ck_assert_int_eq(report().state, TASK_RUNNING);
    rig_finish(&rig);
}
END_TEST

/* Recorded, and not started: the slot still tells of the start before. */
START_TEST(failure_counts_once_over_a_restart)
{
    run_restarting();
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_durable(&rig);
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_EXITED, 3); /* of start 0 */
    rig_advance(&rig, 1000);
    ck_assert_uint_eq(starts(), 1);
    ck_assert_uint_eq(rig.restarts, 1);
    rig_started(&rig, 1);
    fail_and_wait(2000);
    fail_and_wait(3000);
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_follow(&rig, 0, 2);
    check_end(TASK_FAILED, TASK_REASON_EXITED, 3);
    rig_finish(&rig);
}
END_TEST

/* Then no restarted agent can take it up again. */
START_TEST(final_failure_is_durable_before_it_is_told)
{
    struct run_report r;

    run_restarting();
    fail_and_wait(1000);
    fail_and_wait(2000);
    fail_and_wait(3000);
    rig_forget(&rig);
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_advance(&rig, 100);
    ck_assert(!rig_report(&rig, 1, &r) || r.state == TASK_RUNNING);
    rig_durable(&rig);
    ck_assert_int_eq(report().state, TASK_FAILED);
    rig_advance(&rig, 60000); /* a new count would begin */
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    ck_assert_uint_eq(rig_status(&rig).ended, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(stop_of_a_wait_outlives_the_agent)
{
    run_restarting();
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_durable(&rig);
    rig_stop(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_restart(&rig);
    rig.restarts = 0;
    rig_ended(&rig, 1, RUN_END_EXITED, 3);
    rig_follow(&rig, 0, 2);
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 3);
    rig_finish(&rig);
}
END_TEST

START_TEST(failures_do_not_flood)
{
    struct job_spec spec;

    changed(&spec)->restart = (struct job_retry){
        .attempts = JOB_UNLIMITED, .delay_ms = 100, .max_delay_ms = 100};
    run_it(&spec);
    rig_advance(&rig, 50);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    rig_forget(&rig);
    for (int i = 0; i < 40; i++)
        fail_and_wait(100); /* 4 s */
    ck_assert_uint_le(rig_status(&rig).updates_sent, 7);
    ck_assert_uint_ge(rig_status(&rig).updates_sent, 4);
    rig_finish(&rig);
}
END_TEST

START_TEST(restarts_are_told_until_acknowledged)
{
    struct run_report r;

    run_restarting();
    rig_advance(&rig, 50);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    fail_and_wait(1000);
    rig_advance(&rig, 1000);
    ck_assert(rig_report(&rig, 1, &r));
    ck_assert_uint_eq(r.restarts, 1);
    rig_forget(&rig);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING); /* of before: restarts 0 */
    rig_advance(&rig, 1000);
    ck_assert(rig_report(&rig, 1, &r));
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    rig_forget(&rig);
    rig_advance(&rig, 10000);
    ck_assert(!rig_report(&rig, 1, &r));
    rig_finish(&rig);
}
END_TEST

/* ---- max_runtime ---- */

static void run_limited(void)
{
    struct job_spec spec;

    changed(&spec)->max_runtime_ms = 10000;
    spec.restart = (struct job_retry){
        .attempts = JOB_UNLIMITED, .delay_ms = 1000, .max_delay_ms = 1000};
    run_it(&spec);
}

START_TEST(long_run_is_ended)
{
    run_limited();
    rig_advance(&rig, 9999);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    rig_advance(&rig, 1);
    rig_durable(&rig);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 0)->signal, RUN_SIGNAL_TERM);
    rig_advance(&rig, GRACE_MS);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 1)->signal, RUN_SIGNAL_KILL);
    rig_ended(&rig, 1, RUN_END_EXITED, 0); /* whatever it says */
    check_end(TASK_FAILED, TASK_REASON_MAX_RUNTIME, 0);
    rig_advance(&rig, 60000);
    ck_assert_uint_eq(starts(), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(runtime_counts_from_the_slot)
{
    struct agent_event event = {.kind = AGENT_RUN_STARTED,
                                .run_started = {.attempt = 1}};

    run_limited();
    event.run_started.since_ms = rig.now_ms;
    rig_restart(&rig);
    rig.now_ms += 20000;
    rig_step(&rig, &event);
    rig_advance(&rig, 0);
    rig_durable(&rig);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 0)->signal, RUN_SIGNAL_TERM);
    rig_finish(&rig);
}
END_TEST

START_TEST(runtime_is_why_over_a_restart)
{
    run_limited();
    rig_advance(&rig, 10000);
    rig_durable(&rig);
    rig_restart(&rig);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 15);
    rig_follow(&rig, 0, 2);
    check_end(TASK_FAILED, TASK_REASON_MAX_RUNTIME, 143);
    rig_finish(&rig);
}
END_TEST

START_TEST(order_replaces_the_reason)
{
    run_limited();
    rig_advance(&rig, 10000);
    rig_durable(&rig);
    rig_stop(&rig, 0, 1, 1);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 15);
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 143);
    rig_finish(&rig);
}
END_TEST

START_TEST(what_ended_in_time_did_not_run_too_long)
{
    run_limited();
    rig.now_ms += 60000; /* nobody looked meanwhile */
    rig_ended(&rig, 1, RUN_END_EXITED, 0);
    check_end(TASK_FINISHED, TASK_REASON_EXITED, 0);
    rig_finish(&rig);
}
END_TEST

/* Each start has its own time. */
START_TEST(runtime_begins_with_each_start)
{
    run_limited();
    rig_advance(&rig, 8000);
    fail_and_wait(1000);
    rig_advance(&rig, 9999);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    rig_advance(&rig, 1);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    rig_finish(&rig);
}
END_TEST

/* ---- leases ---- */

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
    check_end(TASK_KILLED, TASK_REASON_KILLED_BY_USER, 0);
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
    check_end(TASK_LOST, TASK_REASON_LEASE_EXPIRED, 143);
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

/* ---- checks ---- */

static void run_checked(void)
{
    struct job_spec spec;

    changed(&spec);
    add_check(&spec, CHECK_HEALTH);
    add_check(&spec, CHECK_READINESS);
    spec.restart =
        (struct job_retry){.attempts = 1, .delay_ms = 1000, .max_delay_ms = 1000};
    run_it(&spec);
}

static void answer(uint32_t index, bool passed)
{
    rig_checked(&rig, 1, index, passed);
}

static enum task_health health(void)
{
    struct run_report r = {0};

    rig_advance(&rig, 1100);
    ck_assert(rig_report(&rig, 1, &r));
    return r.health;
}

START_TEST(checks_are_asked_when_due)
{
    run_checked();
    rig_advance(&rig, 1999);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), 0);
    rig_advance(&rig, 1);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), 2);
    ck_assert_uint_eq(rig_done(&rig, AGENT_CHECK, 1)->index, 1);
    answer(0, true);
    rig_advance(&rig, 9999);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), 2);
    rig_advance(&rig, 1); /* the other one did not answer: not twice at once */
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), 3);
    ck_assert_uint_eq(rig_done(&rig, AGENT_CHECK, 2)->index, 0);
    answer(1, true);
    rig_advance(&rig, 0); /* late: at once */
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), 4);
    rig_finish(&rig);
}
END_TEST

/* Who was to answer may be gone: the check must not wait for it for ever. */
START_TEST(lost_answer_is_a_failure)
{
    run_checked();
    rig_advance(&rig, 2000);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
        answer(1, true);
        rig_advance(&rig, 20000 + 5000 - 1);
        ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
        rig_advance(&rig, 1);
    }
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(all_passed_is_healthy)
{
    run_checked();
    rig_advance(&rig, 2000);
    answer(0, true);
    ck_assert_int_eq(health(), HEALTH_UNKNOWN);
    answer(1, true);
    ck_assert_int_eq(health(), HEALTH_PASSING);
    rig_finish(&rig);
}
END_TEST

START_TEST(readiness_only_tells)
{
    struct run_report report;

    run_checked();
    for (int i = 0; i < 3; i++) {
        rig_advance(&rig, i == 0 ? 2000 : 10000);
        answer(0, true);
        answer(1, false);
    }
    ck_assert_int_eq(health(), HEALTH_NOT_READY);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    ck_assert(rig_report(&rig, 1, &report));
    ck_assert_ptr_nonnull(memmem(report.message.data,
                                 report.message.size,
                                 "readiness check failed 3 times in a row",
                                 39));
    rig_advance(&rig, 10000);
    answer(0, true);
    answer(1, true);
    ck_assert_int_eq(health(), HEALTH_PASSING);
    rig_finish(&rig);
}
END_TEST

START_TEST(unhealthy_run_is_ended_and_started_again)
{
    struct run_report r;

    run_checked();
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
        rig_advance(&rig, i == 0 ? 2000 : 10000);
        answer(1, true);
        answer(0, false);
    }
    rig_durable(&rig);
    ck_assert_int_eq(rig_done(&rig, AGENT_SIGNAL_RUN, 0)->signal, RUN_SIGNAL_TERM);
    rig_ended(&rig, 1, RUN_END_EXITED, 0);
    rig_durable(&rig);
    rig_advance(&rig, 1000);
    ck_assert_uint_eq(starts(), 2);
    rig_started(&rig, 1);
    r = report();
    ck_assert_int_eq(r.health, HEALTH_UNKNOWN);
    ck_assert_uint_eq(r.restarts, 1);
    ck_assert_int_eq(r.reason, TASK_REASON_HEALTH_CHECK);
    ck_assert_ptr_nonnull(memmem(r.message.data, r.message.size, "refused", 7));
    for (int i = 0; i < 3; i++) {
        rig_advance(&rig, i == 0 ? 2000 : 10000);
        answer(0, false);
    }
    rig_durable(&rig);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 15);
    check_end(TASK_FAILED, TASK_REASON_HEALTH_CHECK, 143);
    rig_finish(&rig);
}
END_TEST

START_TEST(passing_in_between_counts_anew)
{
    run_checked();
    for (int i = 0; i < 10; i++) {
        rig_advance(&rig, i == 0 ? 2000 : 10000);
        answer(1, true);
        answer(0, i % 3 == 2);
    }
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(answers_of_an_earlier_start_are_nothing)
{
    struct agent_event late = {.kind = AGENT_CHECKED,
                               .checked = {.attempt = 1, .passed = false}};

    run_checked();
    rig_advance(&rig, 2000);
    fail_and_wait(1000);
    rig_advance(&rig, 2000);
    for (int i = 0; i < 5; i++)
        rig_step(&rig, &late);
    answer(5, false); /* no such check */
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 0);
    rig_finish(&rig);
}
END_TEST

static void launch_of_job(uint64_t attempt, uint64_t job)
{
    rig.job = job;
    rig_launch(&rig, 0, 1, attempt);
}

/* Hanging checks of one job leave room for those of others, and all together have a limit. */
START_TEST(checks_have_a_limit)
{
    const uint64_t of_one = LIMIT_JOB_CHECKS + 10, n = of_one + LIMIT_AGENT_CHECKS;
    struct job_spec spec;

    changed(&spec);
    add_check(&spec, CHECK_HEALTH);
    spec.checks[0].timeout_ms = LIMIT_CHECK_TIMEOUT_MS;
    follow(&spec);
    for (uint64_t attempt = 1; attempt <= n; attempt++)
        launch_of_job(attempt, attempt <= of_one ? 1 : attempt);
    rig_durable(&rig);
    for (uint64_t attempt = 1; attempt <= of_one; attempt++)
        rig_started(&rig, attempt);
    rig_advance(&rig, 2000);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), LIMIT_JOB_CHECKS);
    for (uint64_t attempt = of_one + 1; attempt <= n; attempt++)
        rig_started(&rig, attempt);
    rig_advance(&rig, 2000);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), LIMIT_AGENT_CHECKS);
    rig_checked(&rig, 1, 0, true);
    rig_ended(&rig, 2, RUN_END_EXITED, 0); /* nobody answers for it */
    rig_advance(&rig, 500);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CHECK), LIMIT_AGENT_CHECKS + 2);
    rig_finish(&rig);
}
END_TEST

START_TEST(health_does_not_flood)
{
    uint64_t before;

    run_checked();
    rig_advance(&rig, 2000);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    before = rig_status(&rig).updates_sent;
    answer(0, true);
    answer(1, true);
    rig_advance(&rig, 1000);
    ck_assert_uint_eq(rig_status(&rig).updates_sent, before + 1);
    rig_ack(&rig, 0, 1, 1, TASK_RUNNING);
    rig_advance(&rig, 5000);
    ck_assert_uint_eq(rig_status(&rig).updates_sent, before + 1);
    rig_finish(&rig);
}
END_TEST

/* ---- low disk ---- */

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
    check_end(TASK_LOST, TASK_REASON_LAUNCH_REFUSED, 0);
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

UNIT_MAIN("policies",
          unit_case("restarts",
                    failure_is_started_again,
                    delay_doubles_until_attempts_are_used_up,
                    count_begins_again_after_the_interval,
                    unlimited_goes_on,
                    only_failures_are_started_again,
                    failure_is_durable_before_the_next_start,
                    stop_ends_the_wait,
                    stopped_run_is_not_started_again,
                    failure_without_the_agent_counts,
                    failure_counts_once_over_a_restart,
                    final_failure_is_durable_before_it_is_told,
                    stop_of_a_wait_outlives_the_agent,
                    failures_do_not_flood,
                    restarts_are_told_until_acknowledged),
          unit_case("max_runtime",
                    long_run_is_ended,
                    runtime_counts_from_the_slot,
                    runtime_is_why_over_a_restart,
                    order_replaces_the_reason,
                    what_ended_in_time_did_not_run_too_long,
                    runtime_begins_with_each_start),
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
                    new_leader_is_asked_at_once),
          unit_case("checks",
                    checks_are_asked_when_due,
                    lost_answer_is_a_failure,
                    all_passed_is_healthy,
                    readiness_only_tells,
                    unhealthy_run_is_ended_and_started_again,
                    passing_in_between_counts_anew,
                    answers_of_an_earlier_start_are_nothing,
                    checks_have_a_limit,
                    health_does_not_flood),
          unit_case("disk",
                    low_disk_refuses_launches,
                    low_disk_leaves_runs_alone,
                    low_disk_is_in_the_registration))
