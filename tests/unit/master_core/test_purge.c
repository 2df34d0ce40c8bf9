/* Which jobs the leader forgets, and when (joint 8). */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "base/limits.h"
#include "raft_fsm/state.h"

enum { CLIENT = 1 };

#define MINUTES(n) ((n)*60u * 1000)

static struct state *state_of(const struct rig *rig)
{
    return (struct state *)(uintptr_t)master_state(rig->core);
}

static void start(struct rig *rig, uint64_t retention_ms)
{
    rig_init(rig, STOPS_PER_TURN);
    rig->config.job_retention_us = retention_ms * 1000;
    rig_restart(rig);
    rig_open(rig, CLIENT, HELLO_CLIENT);
}

/* Nothing was placed, so it has ended. */
static uint64_t killed_job(struct rig *rig, uint32_t instances)
{
    uint64_t job = rig_submit(rig, CLIENT, instances);

    rig_kill(rig, CLIENT, job);
    rig_settle(rig);
    return job;
}

START_TEST(test_old_jobs)
{
    struct rig rig;
    uint64_t ended, waits;

    start(&rig, 5000);
    ended = killed_job(&rig, 1);
    waits = rig_submit(&rig, CLIENT, 1);
    rig_pass(&rig, 4900);
    ck_assert_ptr_nonnull(state_job(state_of(&rig), ended));
    rig_pass(&rig, 500);
    ck_assert_ptr_null(state_job(state_of(&rig), ended));
    ck_assert_ptr_nonnull(state_job(state_of(&rig), waits));
    ck_assert_uint_eq(state_of(&rig)->tombstone_count, 1);
    ck_assert_uint_eq(master_counters(rig.core)->jobs_purged, 1);
    rig_finish(&rig);
}
END_TEST

/* A clock that was a day ahead once, so that there are stamps of tomorrow. */
START_TEST(test_old_jobs_after_a_jump)
{
    struct rig rig;
    uint64_t ended;

    start(&rig, 60000);
    rig.wall_ahead_us = 86400 * (int64_t)1000000;
    rig_submit(&rig, CLIENT, 1);
    rig.wall_ahead_us = 0;
    ended = killed_job(&rig, 1);
    rig_pass(&rig, 59000);
    ck_assert_ptr_nonnull(state_job(state_of(&rig), ended));
    rig_pass(&rig, 6000);
    ck_assert_ptr_null(state_job(state_of(&rig), ended));
    rig_finish(&rig);
}
END_TEST

/* When no key can be kept, jobs stay, and nothing is proposed in vain. */
START_TEST(test_no_room_for_keys)
{
    struct rig rig;
    uint64_t job, proposed;

    start(&rig, 5000);
    job = killed_job(&rig, 1);
    state_of(&rig)->tombstone_count += LIMIT_TOMBSTONES;
    proposed = master_counters(rig.core)->commands_proposed;
    rig_pass(&rig, 10000);
    ck_assert_ptr_nonnull(state_job(state_of(&rig), job));
    ck_assert_uint_eq(master_counters(rig.core)->commands_proposed, proposed);
    ck_assert_uint_eq(master_counters(rig.core)->jobs_purged, 0);
    state_of(&rig)->tombstone_count -= LIMIT_TOMBSTONES;
    rig_pass(&rig, 500);
    ck_assert_ptr_null(state_job(state_of(&rig), job));
    rig_finish(&rig);
}
END_TEST

/* A state that is nearly full forgets earlier, as much as it has to: it does not answer
 * `busy` for days because of what has ended. */
START_TEST(test_crowded)
{
    struct rig rig;
    uint64_t first, second;

    start(&rig, JOB_RETENTION_US / 1000);
    first = killed_job(&rig, LIMIT_TASKS_PER_JOB);
    second = killed_job(&rig, LIMIT_TASKS_PER_JOB);
    killed_job(&rig, LIMIT_TASKS_PER_JOB);
    rig_pass(&rig, MINUTES(11));
    ck_assert_ptr_nonnull(state_job(state_of(&rig), first)); /* there is room */
    rig_submit(&rig, CLIENT, 1);
    rig_pass(&rig, 1000);
    ck_assert_ptr_null(state_job(state_of(&rig), first));
    ck_assert_ptr_nonnull(state_job(state_of(&rig), second));
    rig_finish(&rig);
}
END_TEST

/* What has just ended stays to be seen. */
START_TEST(test_crowded_and_young)
{
    struct rig rig;
    uint64_t last;

    start(&rig, JOB_RETENTION_US / 1000);
    for (int i = 0; i < 4; i++)
        last = killed_job(&rig, LIMIT_TASKS_PER_JOB);
    rig_pass(&rig, MINUTES(9));
    ck_assert_uint_eq(state_of(&rig)->job_count, 4);
    rig_pass(&rig, MINUTES(2));
    ck_assert_uint_eq(state_of(&rig)->job_count, 3);
    ck_assert_ptr_nonnull(state_job(state_of(&rig), last));
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("master purge",
          unit_case("purge",
                    test_old_jobs,
                    test_old_jobs_after_a_jump,
                    test_no_room_for_keys,
                    test_crowded,
                    test_crowded_and_young))
