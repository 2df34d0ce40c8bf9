/* test_keys.c - a key lives in its job and after it in a tombstone (joint 8). */
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

#include "base/limits.h"

#include <stdio.h>

static struct fsm f;

static void setup(void)
{
    fsm_setup(&f);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

/* A job that is final; the index of its submit. */
static uint64_t submit_and_kill(const char *key, uint64_t id)
{
    struct result r = fsm_submit(&f, key, 2);

    ck_done(r, id);
    ck_done(fsm_kill(&f, id), id);
    return r.index;
}

START_TEST(test_purge_leaves_the_key)
{
    uint64_t index = submit_and_kill("k", 1);
    const struct tombstone *t;
    struct result r;

    ck_done(fsm_purge(&f, 1), 1);
    ck_assert_ptr_null(state_job(f.state, 1));
    ck_assert_uint_eq(f.state->job_count, 0);
    ck_assert_uint_eq(f.state->task_count, 0);
    ck_assert_uint_eq(f.state->tasks_by_state[TASK_KILLED], 0);
    t = state_tombstone(f.state, (struct bytes){(const uint8_t *)"k", 1});
    ck_assert_uint_eq(t->job_id, 1);
    ck_assert_uint_eq(t->purged_us, f.now_us);
    ck_changes_nothing(&f, r = fsm_submit(&f, "k", 2));
    ck_done(r, 1);
    ck_assert_uint_eq(r.index, index);
    ck_changes_nothing(&f, ck_rejected(fsm_submit(&f, "k", 3), ERROR_CONFLICT));
    ck_changes_nothing(&f, ck_rejected(fsm_kill(&f, 1), ERROR_NOT_FOUND));
    ck_changes_nothing(&f, ck_rejected(fsm_purge(&f, 1), ERROR_NOT_FOUND));
}
END_TEST

START_TEST(test_purge_needs_a_final_job_without_attempts)
{
    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_submit(&f, "k", 2), 1);
    ck_changes_nothing(&f, ck_rejected(fsm_purge(&f, 1), ERROR_INVALID));
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_kill(&f, 1), 1);
    ck_changes_nothing(&f, ck_rejected(fsm_purge(&f, 1), ERROR_INVALID));
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_assert_int_eq(job_state(state_job(f.state, 1)), JOB_KILLED);
    ck_changes_nothing(&f, ck_rejected(fsm_purge(&f, 1), ERROR_BUSY));
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_done(fsm_purge(&f, 1), 1);
    ck_changes_nothing(&f, ck_rejected(fsm_purge(&f, 9), ERROR_NOT_FOUND));
}
END_TEST

START_TEST(test_keys_expire_after_a_day_and_not_before_they_are_asked_to)
{
    submit_and_kill("a", 1);
    ck_done(fsm_purge(&f, 1), 1);
    submit_and_kill("b", 2);
    f.now_us += HOUR_US;
    ck_done(fsm_purge(&f, 2), 2);
    f.now_us += 22 * HOUR_US;
    ck_changes_nothing(&f, ck_done(fsm_expire(&f, UINT64_MAX), 0)); /* too young */
    f.now_us += HOUR_US;
    ck_changes_nothing(&f, ck_done(fsm_expire(&f, START_US), 0)); /* not asked */
    ck_done(fsm_expire(&f, UINT64_MAX), 1);
    ck_assert_uint_eq(f.state->tombstone_count, 1);
    ck_done(fsm_submit(&f, "b", 2), 2);
    ck_done(fsm_submit(&f, "a", 2), 3);
    f.now_us += HOUR_US;
    ck_done(fsm_expire(&f, UINT64_MAX), 1);
    ck_assert_uint_eq(f.state->tombstone_count, 0);
}
END_TEST

START_TEST(test_a_key_is_kept_for_its_whole_last_microsecond)
{
    submit_and_kill("a", 1);
    ck_done(fsm_purge(&f, 1), 1);
    f.now_us += LIMIT_TOMBSTONE_HOURS * HOUR_US - 1001; /* an entry adds 1000 */
    ck_done(fsm_expire(&f, UINT64_MAX), 0);
    f.now_us -= 999; /* one more than before */
    ck_done(fsm_expire(&f, UINT64_MAX), 1);
}
END_TEST

START_TEST(test_one_command_expires_only_so_many)
{
    char key[16];

    for (uint64_t i = 1; i <= LIMIT_EXPIRED_KEYS + 10; i++) {
        struct command c[3] = {{.kind = COMMAND_SUBMIT},
                               {.kind = COMMAND_KILL, .kill = {i}},
                               {.kind = COMMAND_PURGE, .purge = {i}}};
        struct buffer spec = {0};

        snprintf(key, sizeof(key), "%08d", (int)i);
        job_bytes(&spec, "j", 1, 1);
        c[0].submit.key = (struct bytes){(const uint8_t *)key, 8};
        c[0].submit.spec = buffer_view(&spec);
        ck_done(fsm_entry_fast(&f, c, 3), i);
        buffer_finish(&spec);
    }
    f.now_us += 25 * HOUR_US;
    ck_done(fsm_expire(&f, UINT64_MAX), LIMIT_EXPIRED_KEYS);
    ck_assert_uint_eq(f.state->tombstone_count, 10);
    ck_done(fsm_submit(&f, "00000001", 5), LIMIT_EXPIRED_KEYS + 11); /* oldest first */
    ck_done(fsm_expire(&f, UINT64_MAX), 10);
}
END_TEST

/* Two million jobs would take seconds: the count alone decides. */
START_TEST(test_purge_is_busy_at_the_limit_of_tombstones)
{
    submit_and_kill("a", 1);
    f.state->tombstone_count += LIMIT_TOMBSTONES;
    ck_rejected(
        fsm_entry_fast(&f, &(struct command){.kind = COMMAND_PURGE, .purge = {1}}, 1),
        ERROR_BUSY);
    f.state->tombstone_count -= LIMIT_TOMBSTONES;
    ck_done(fsm_purge(&f, 1), 1);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("keys",
                         test_purge_leaves_the_key,
                         test_purge_needs_a_final_job_without_attempts,
                         test_keys_expire_after_a_day_and_not_before_they_are_asked_to,
                         test_a_key_is_kept_for_its_whole_last_microsecond,
                         test_one_command_expires_only_so_many,
                         test_purge_is_busy_at_the_limit_of_tombstones);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("keys", &c, 1);
}
