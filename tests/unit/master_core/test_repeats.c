/* What the leader's clock brings: tasks that are tried again, leases that run out; and what
 * agents say in heartbeats. */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "raft_fsm/retry.h"
#include "raft_fsm/state.h"

#include <stdio.h>
#include <string.h>

enum { AGENT_SESSION = 1, CLIENT = 2, OTHER_SESSION = 3 };

/* 5 s × 1.02 + 1 ms of rounding + 1 s of grace, and half a second for our own loop. */
enum { LAPSE_MS = 5000 + 100 + 1 + 1000 + 500 };

static void spec_init(struct job_spec *spec)
{
    job_spec_init(spec);
    spec->name = mem_strdup("job");
    spec->instances = 1;
    spec->resources.amount[RESOURCE_CPUS] = 1;
    spec->kill_grace_ms = 100;
    job_spec_add_arg(spec, "run");
}

static void start(struct rig *rig)
{
    rig_init(rig, STOPS_PER_TURN);
    rig_open(rig, AGENT_SESSION, HELLO_AGENT);
    rig_open(rig, CLIENT, HELLO_CLIENT);
    ck_assert_uint_eq(rig_register(rig, AGENT_SESSION, 0, 1), 1);
}

/* Attempt 1 of an exclusive job runs on agent 1. */
static void start_exclusive(struct rig *rig)
{
    struct job_spec spec;

    start(rig);
    spec_init(&spec);
    spec.lease_ms = 5000;
    spec.drift_permille = 20;
    spec.lease_grace_ms = 1000;
    rig_submit_spec(rig, CLIENT, &spec);
    rig_report(rig, AGENT_SESSION, 1, 1, TASK_RUNNING);
}

static const struct task *task(const struct rig *rig)
{
    return job_task(state_job(master_state(rig->core), 1), 0);
}

static void pass(struct rig *rig, unsigned ms)
{
    for (; ms > 1000; ms -= 1000) {
        rig_pass(rig, 1000);
        rig_heartbeat(rig, AGENT_SESSION, 1);
    }
    rig_pass(rig, ms);
    rig_heartbeat(rig, AGENT_SESSION, 1);
}

/* Of task 0 of job 1. */
static void expect_why_of_task(struct rig *rig, const char *text)
{
    struct list_result list;
    struct command_cursor at = {0};
    struct task_info info;

    rig_list(rig, CLIENT, METHOD_TASKS, (struct list_request){.of = 1, .limit = 1});
    rig_settle(rig);
    ck_assert_int_eq(list_result_unpack(&list, METHOD_TASKS, rig->answer.params, NULL),
                     0);
    ck_assert(task_info_next(&list, &at, &info));
    ck_assert_msg(info.why.size == strlen(text) &&
                      memcmp(info.why.data, text, info.why.size) == 0,
                  "\"%.*s\" is not \"%s\"",
                  (int)info.why.size,
                  (const char *)info.why.data,
                  text);
}

START_TEST(test_a_failed_task_is_tried_again_when_it_is_due)
{
    struct job_spec spec;
    struct rig rig;

    start(&rig);
    spec_init(&spec);
    spec.reschedule = (struct job_retry){1, 60000, 2000, 2000};
    rig_submit_spec(&rig, CLIENT, &spec);
    rig_report(&rig, AGENT_SESSION, 1, 1, TASK_FAILED);
    ck_assert_int_eq(task(&rig)->state, TASK_PENDING);
    rig_expect_why(&rig, CLIENT, 1, "1 task waits to be tried again, the first in 2s");
    expect_why_of_task(&rig, "retry 1 of 1 in 2s");
    pass(&rig, 1700);
    ck_assert_uint_eq(rig.launches[2], 0);
    pass(&rig, 800);
    ck_assert_uint_eq(rig.launches[2], 1);
    expect_why_of_task(&rig, "");
    rig_report(&rig, AGENT_SESSION, 1, 2, TASK_FAILED);
    ck_assert_int_eq(task(&rig)->state, TASK_FAILED);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_another_leader_tries_again)
{
    struct job_spec spec;
    struct rig rig;

    start(&rig);
    spec_init(&spec);
    spec.reschedule = (struct job_retry){1, 60000, 2000, 2000};
    rig_submit_spec(&rig, CLIENT, &spec);
    rig_report(&rig, AGENT_SESSION, 1, 1, TASK_FAILED);
    rig_restart(&rig);
    rig_pass(&rig, 2600);
    ck_assert(!task_waits(task(&rig)));
    rig_finish(&rig);
}
END_TEST

/* ---- clocks that jump ---- */

#define DAY_US (86400 * (int64_t)1000000)

/* One entry has a stamp of tomorrow. */
static void jump_ahead_and_back(struct rig *rig)
{
    rig->wall_ahead_us = DAY_US;
    rig_kill(rig, CLIENT, rig_submit(rig, CLIENT, 1));
    rig_settle(rig);
    rig->wall_ahead_us = 0;
}

/* The newest attempt ends, and what follows has begun. */
static void end_attempt(struct rig *rig, enum task_state state)
{
    rig_report(
        rig, AGENT_SESSION, 1, master_state(rig->core)->globals.last_attempt_id, state);
    pass(rig, 3000);
}

START_TEST(test_failures_far_apart_are_so_after_a_jump)
{
    const struct state *state;
    struct job_spec spec;
    struct rig rig;
    uint64_t job;

    start(&rig);
    jump_ahead_and_back(&rig);
    spec_init(&spec);
    spec.reschedule = (struct job_retry){1, 60000, 1000, 1000};
    job = rig_submit_spec(&rig, CLIENT, &spec);
    state = master_state(rig.core);
    for (int i = 0; i < 3; i++) {
        end_attempt(&rig, TASK_FAILED);
        ck_assert_int_eq(job_state(state_job(state, job)), JOB_RUNNING);
        pass(&rig, 70000);
    }
    end_attempt(&rig, TASK_FAILED);
    end_attempt(&rig, TASK_FAILED);
    ck_assert_int_eq(job_state(state_job(state, job)), JOB_FAILED);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_losses_far_apart_are_so_after_a_jump)
{
    struct rig rig;
    uint64_t job;

    start(&rig);
    jump_ahead_and_back(&rig);
    job = rig_submit(&rig, CLIENT, 1);
    for (int i = 0; i < 3; i++) {
        end_attempt(&rig, TASK_LOST);
        ck_assert_uint_eq(
            job_task(state_job(master_state(rig.core), job), 0)->extras->losses, 1);
        pass(&rig, LOST_APART_MS * 16 / 15);
    }
    rig_finish(&rig);
}
END_TEST

/* How far the stamp of an entry is. */
static int64_t ahead_ms(struct rig *rig)
{
    rig_submit(rig, CLIENT, 1);
    return (int64_t)(master_state(rig->core)->globals.last_stamp_us - RIG_WALL_US) /
               1000 -
           (int64_t)rig->now_ms;
}

/* Or what users see would be ahead for ever. */
START_TEST(test_a_jump_wears_off)
{
    struct rig rig;

    start(&rig);
    rig.wall_ahead_us = 10000 * 1000;
    rig_submit(&rig, CLIENT, 1);
    rig.wall_ahead_us = 0;
    ck_assert_int_eq(ahead_ms(&rig), 10000);
    pass(&rig, 80000);
    ck_assert_int_ge(ahead_ms(&rig), 4600);
    ck_assert_int_le(ahead_ms(&rig), 5300);
    pass(&rig, 100000);
    ck_assert_int_eq(ahead_ms(&rig), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_an_exclusive_run_is_waited_for)
{
    struct rig rig;

    start_exclusive(&rig);
    rig_pass(&rig, 3400);
    ck_assert_int_eq(state_agent(master_state(rig.core), 1)->state, AGENT_UNREACHABLE);
    rig_expect_why(
        &rig,
        CLIENT,
        1,
        "task 0 is waiting for the lease of attempt 1 on agent 1 to run out");
    rig_pass(&rig, LAPSE_MS - 1000);
    expect_why_of_task(
        &rig, "waiting for the lease of attempt 1 on agent 1 to run out, at most 1s");
    rig_pass(&rig, 500);
    ck_assert_int_eq(task(&rig)->state, TASK_RUNNING);
    rig_pass(&rig, 1000);
    ck_assert_int_eq(task(&rig)->state, TASK_PENDING);
    expect_why_of_task(&rig, "");
    rig_finish(&rig);
}
END_TEST

/* One task waits for its time, the other one for room. */
START_TEST(test_what_waits_for_time_is_told_beside_what_waits_for_room)
{
    struct job_spec spec;
    struct rig rig;

    start(&rig);
    spec_init(&spec);
    spec.instances = 2;
    spec.resources.amount[RESOURCE_CPUS] = 1000000; /* all that the agent has */
    spec.reschedule = (struct job_retry){JOB_UNLIMITED, 60000, 5000, 5000};
    rig_submit_spec(&rig, CLIENT, &spec);
    rig_report(&rig, AGENT_SESSION, 1, 1, TASK_FAILED);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.launches[2], 1);
    rig_expect_why(&rig, CLIENT, 1, "1 task waits to be tried again, the first in 5s");
    rig_report(&rig, AGENT_SESSION, 1, 2, TASK_RUNNING);
    expect_why_of_task(&rig, "retry 1 in 5s");
    rig_finish(&rig);
}
END_TEST

/* It looks like one that runs, to its agent and to the counts. */
START_TEST(test_a_task_that_is_restarted_again_and_again_is_told)
{
    struct run_report run = {.attempt = 1,
                             .state = TASK_RUNNING,
                             .reason = TASK_REASON_EXITED,
                             .exit_code = 1,
                             .message = text_view("exited with status 1"),
                             .restarts = 3};
    struct buffer frame = {0};
    struct job_spec spec;
    struct rig rig;

    start(&rig);
    spec_init(&spec);
    rig_submit_spec(&rig, CLIENT, &spec);
    update_pack(1, &run, 1, &frame);
    rig_frame(&rig, AGENT_SESSION, &frame);
    rig_settle(&rig);
    rig_expect_why(
        &rig, CLIENT, 1, "task 0 was restarted 3 times: exited with status 1");
    rig_finish(&rig);
}
END_TEST

START_TEST(test_a_task_that_is_lost_again_says_so)
{
    struct rig rig;

    start(&rig);
    rig_submit(&rig, CLIENT, 1);
    rig_report(&rig, AGENT_SESSION, 1, 1, TASK_LOST);
    expect_why_of_task(&rig, "");
    rig_report(&rig, AGENT_SESSION, 1, 2, TASK_LOST);
    expect_why_of_task(&rig, "lost 2 times in a row, again in 1s");
    pass(&rig, 1500);
    rig_report(&rig, AGENT_SESSION, 1, 3, TASK_LOST);
    expect_why_of_task(&rig, "lost 3 times in a row, again in 2s");
    rig_finish(&rig);
}
END_TEST

/* Of two leases on one agent. */
START_TEST(test_each_lease_has_its_own_end)
{
    const struct state *state;
    struct job_spec spec;
    struct rig rig;

    start_exclusive(&rig);
    state = master_state(rig.core);
    spec_init(&spec);
    spec.lease_ms = 2000;
    spec.lease_grace_ms = 1000;
    rig_submit_spec(&rig, CLIENT, &spec);
    rig_pass(&rig, 3400 + 4000);
    ck_assert(!state_attempt(state, 1)->superseded);
    ck_assert(state_attempt(state, 2)->superseded);
    rig_pass(&rig, LAPSE_MS - 4000);
    ck_assert(state_attempt(state, 1)->superseded);
    master_verify(rig.core);
    rig_finish(&rig);
}
END_TEST

/* Every attempt on agent 2 ends. */
static void fail_all(struct rig *rig)
{
    struct agent *agent = state_agent(master_state(rig->core), 2);
    struct run_report runs[LIMIT_UPDATES];
    struct attempt *t;
    uint32_t count = 0;

    TAILQ_FOREACH (t, &agent->attempts, by_agent) {
        struct buffer frame = {0};

        runs[count++] = (struct run_report){.attempt = t->id, .state = TASK_FAILED};
        if (count < LIMIT_UPDATES && TAILQ_NEXT(t, by_agent) != NULL)
            continue;
        update_pack(2, runs, count, &frame);
        rig_frame(rig, OTHER_SESSION, &frame);
        count = 0;
    }
    rig_settle(rig);
    ck_assert_uint_eq(agent->attempts_count, 0);
}

/* However many tasks are to be tried again at that moment. */
START_TEST(test_the_end_of_a_lease_does_not_wait_for_retries)
{
    enum { TASKS = 3 * 4096 };
    struct job_spec spec;
    struct rig rig;

    start(&rig);
    spec_init(&spec);
    spec.lease_ms = 5000;
    spec.drift_permille = 20;
    spec.lease_grace_ms = 1000;
    spec.resources.amount[RESOURCE_MEM] = 1ull << 40; /* all that the agent has */
    rig_submit_spec(&rig, CLIENT, &spec);
    rig_open(&rig, OTHER_SESSION, HELLO_AGENT);
    ck_assert_uint_eq(rig_register(&rig, OTHER_SESSION, 0, 2), 2);
    spec_init(&spec);
    spec.instances = TASKS;
    spec.resources.amount[RESOURCE_MEM] = MIB;
    spec.reschedule = (struct job_retry){JOB_UNLIMITED, 0, 1000, 1000};
    rig_submit_spec(&rig, CLIENT, &spec);
    ck_assert_uint_eq(state_agent(master_state(rig.core), 2)->attempts_count, TASKS);
    rig_pass(&rig, 3400);
    ck_assert_int_eq(state_agent(master_state(rig.core), 1)->state, AGENT_UNREACHABLE);
    rig_pass(&rig, LAPSE_MS - 1500);
    fail_all(&rig);
    rig_pass(&rig, 1000);
    ck_assert(!state_attempt(master_state(rig.core), 1)->superseded);
    rig_pass(&rig, 400);
    ck_assert(state_attempt(master_state(rig.core), 1)->superseded);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_another_leader_waits_from_its_own_begin)
{
    struct rig rig;

    start_exclusive(&rig);
    rig_pass(&rig, 3400 + LAPSE_MS - 1000);
    rig_restart(&rig);
    rig_pass(&rig, LAPSE_MS - 500);
    ck_assert_int_eq(task(&rig)->state, TASK_RUNNING);
    rig_pass(&rig, 1000);
    ck_assert_int_eq(task(&rig)->state, TASK_PENDING);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_each_absence_is_waited_for_from_its_begin)
{
    struct rig rig;

    start_exclusive(&rig);
    rig_pass(&rig, 3400 + LAPSE_MS - 1000);
    ck_assert_uint_eq(rig_register(&rig, AGENT_SESSION, 1, 1), 1);
    ck_assert_int_eq(task(&rig)->state, TASK_RUNNING);
    rig_pass(&rig, 3400 + LAPSE_MS - 1000);
    ck_assert_int_eq(state_agent(master_state(rig.core), 1)->state, AGENT_UNREACHABLE);
    ck_assert_int_eq(task(&rig)->state, TASK_RUNNING);
    rig_pass(&rig, 2500); /* the brake held it for a second */
    ck_assert_int_eq(task(&rig)->state, TASK_PENDING);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_heartbeats_that_ask_are_answered_once)
{
    struct rig rig;

    start_exclusive(&rig);
    rig_heartbeat(&rig, AGENT_SESSION, 1);
    ck_assert_uint_eq(rig.leases, 0);
    rig_send_heartbeat(&rig, AGENT_SESSION, (struct heartbeat){1, 0, 0, 7});
    rig_send_heartbeat(&rig, AGENT_SESSION, (struct heartbeat){1, 0, 0, 8});
    ck_assert_uint_eq(rig.leases, 0);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.leases, 1);
    ck_assert_uint_eq(rig.lease, 8);
    rig_send_heartbeat(&rig, AGENT_SESSION, (struct heartbeat){1, 0, 0, 9});
    rig_settle(&rig);
    ck_assert_uint_eq(rig.leases, 2);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_an_agent_that_is_given_up_gets_no_lease)
{
    struct rig rig;

    start_exclusive(&rig);
    rig_pass(&rig, 3400);
    rig_send_heartbeat(&rig, AGENT_SESSION, (struct heartbeat){1, 0, 0, 7});
    rig_settle(&rig);
    ck_assert_uint_eq(rig.leases, 0);
    ck_assert(rig.closed[AGENT_SESSION]);
    rig_finish(&rig);
}
END_TEST

/* What waits on it for a lease, and was given to another one, would begin. */
START_TEST(test_an_agent_hears_what_to_stop_before_it_gets_a_lease)
{
    struct run_report run = {.attempt = 1, .state = TASK_STAGING};
    struct buffer frame = {0};
    struct rig rig;
    unsigned stops;

    start_exclusive(&rig);
    rig_pass(&rig, 3400 + LAPSE_MS + 500);
    ck_assert_int_eq(task(&rig)->state, TASK_PENDING);
    stops = rig.stops[1];
    ck_assert_uint_eq(rig_register(&rig, AGENT_SESSION, 1, 1), 1);
    rig_send_heartbeat(&rig, AGENT_SESSION, (struct heartbeat){1, 0, 0, 7});
    rig_settle(&rig);
    ck_assert_uint_eq(rig.leases, 0); /* it still tells what it has */
    runs_pack(1, 0, 1, &run, 1, ++rig.last_rpc, &frame);
    rig_frame(&rig, AGENT_SESSION, &frame);
    rig_send_heartbeat(&rig, AGENT_SESSION, (struct heartbeat){1, 0, 0, 8});
    rig_settle(&rig);
    ck_assert_uint_eq(rig.stops[1], stops + 1);
    ck_assert_uint_eq(rig.leases, 1);
    ck_assert_uint_eq(rig.lease, 8);
    ck_assert_uint_eq(rig.stops_before_lease, stops + 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_an_agent_with_a_full_disk_gets_no_work)
{
    struct heartbeat low = {.agent = 1, .flags = AGENT_FLAG_LOW_DISK};
    struct rig rig;

    start(&rig);
    rig_send_heartbeat(&rig, AGENT_SESSION, low);
    rig_settle(&rig);
    rig_submit(&rig, CLIENT, 1);
    ck_assert_uint_eq(rig.launches[1], 0);
    rig_heartbeat(&rig, AGENT_SESSION, 1);
    ck_assert_uint_eq(rig.launches[1], 1);
    rig_finish(&rig);
}
END_TEST

/* Also when it says so before the scheduler knows it. */
START_TEST(test_an_agent_that_comes_with_a_full_disk_gets_no_work)
{
    struct heartbeat low = {.agent = 1, .flags = AGENT_FLAG_LOW_DISK};
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, AGENT_SESSION, HELLO_AGENT);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    rig.flags = AGENT_FLAG_LOW_DISK;
    ck_assert_uint_eq(rig_register(&rig, AGENT_SESSION, 0, 1), 1);
    rig_submit(&rig, CLIENT, 1);
    rig_send_heartbeat(&rig, AGENT_SESSION, low);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.launches[1], 0);
    rig_heartbeat(&rig, AGENT_SESSION, 1);
    ck_assert_uint_eq(rig.launches[1], 1);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("repeats",
          unit_case("repeats",
                    test_a_failed_task_is_tried_again_when_it_is_due,
                    test_another_leader_tries_again,
                    test_failures_far_apart_are_so_after_a_jump,
                    test_losses_far_apart_are_so_after_a_jump,
                    test_a_jump_wears_off,
                    test_an_exclusive_run_is_waited_for,
                    test_what_waits_for_time_is_told_beside_what_waits_for_room,
                    test_a_task_that_is_restarted_again_and_again_is_told,
                    test_a_task_that_is_lost_again_says_so,
                    test_each_lease_has_its_own_end,
                    test_the_end_of_a_lease_does_not_wait_for_retries,
                    test_another_leader_waits_from_its_own_begin,
                    test_each_absence_is_waited_for_from_its_begin,
                    test_heartbeats_that_ask_are_answered_once,
                    test_an_agent_that_is_given_up_gets_no_lease,
                    test_an_agent_hears_what_to_stop_before_it_gets_a_lease,
                    test_an_agent_with_a_full_disk_gets_no_work,
                    test_an_agent_that_comes_with_a_full_disk_gets_no_work))
