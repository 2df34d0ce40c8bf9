/* test_snapshot.c - the walk gives the state of one index whatever happens meanwhile, and
 * restore believes nothing. */
#include "tests/lib/fsm_workload.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

#include "raft_fsm/snapshot.h"

#include <string.h>

/* ---- the walk ---- */

START_TEST(test_slices_of_any_size_give_the_same_bytes_while_commands_are_applied)
{
    struct fsm f;
    struct workload w;

    workload_init(&w, 5000 + (uint64_t)_i);
    fsm_setup_empty(&f);
    for (int round = 0; round < 12; round++) {
        struct buffer at_once = {0}, walked = {0};
        uint64_t budget = 1 + workload_choose(&w, 4000);
        bool more = true;

        for (uint64_t i = workload_choose(&w, 150); i > 0; i--) {
            workload_entry(&w, f.state, &f.entry);
            fsm_apply_entry(&f);
        }
        fsm_snapshot(f.state, &at_once);
        snapshot_begin(f.state);
        while (more) {
            for (uint64_t i = workload_choose(&w, 3); i > 0; i--) {
                workload_entry(&w, f.state, &f.entry);
                fsm_apply_entry(&f);
            }
            more = snapshot_next(f.state, &walked, workload_choose(&w, budget));
        }
        snapshot_end(f.state);
        ck_same_bytes(&at_once, &walked);
        buffer_finish(&at_once);
        buffer_finish(&walked);
    }
    workload_finish(&w);
    fsm_teardown(&f);
}
END_TEST

/* Changes in each table on both sides of the walk, one by one. */
static void change_everything(struct fsm *f)
{
    ck_done(fsm_unreachable(f, 2), 2);
    ck_done(fsm_register(f, 'z', 4), 4);
    ck_done(fsm_update(f, 1, 1, TASK_FINISHED), 1);
    ck_done(fsm_place(f, 1, 1, 1), 1);
    ck_done(fsm_place(f, 1, 70, 1), 1);
    ck_done(fsm_kill(f, 2), 2);
    ck_done(fsm_purge(f, 3), 3);
    ck_done(fsm_submit(f, "new", 3), 5);
    f->now_us += 25 * HOUR_US;
    ck_done(fsm_expire(f, UINT64_MAX), 2);
    ck_done(fsm_submit(f, "purged", 2), 6); /* a key that a tombstone had */
    ck_done(fsm_kill(f, 6), 6);
    ck_done(fsm_purge(f, 6), 6);
}

static void fill(struct fsm *f)
{
    fsm_setup(f);
    for (uint64_t i = 1; i <= 3; i++)
        ck_done(fsm_register(f, (char)('a' + i), 4), i);
    ck_done(fsm_submit(f, "first", 200), 1);
    ck_done(fsm_submit(f, "second", 2), 2);
    ck_done(fsm_submit(f, "third", 2), 3);
    ck_done(fsm_place(f, 1, 0, 1), 1);
    ck_done(fsm_place(f, 2, 0, 2), 1);
    ck_done(fsm_place(f, 2, 1, 2), 1);
    ck_done(fsm_kill(f, 3), 3);
    ck_done(fsm_submit(f, "purged", 1), 4);
    ck_done(fsm_kill(f, 4), 4);
    ck_done(fsm_purge(f, 4), 4);
}

START_TEST(test_a_change_at_each_step_of_the_walk_is_not_seen)
{
    struct buffer at_once = {0}, walked = {0};
    struct fsm f;
    int steps = 0;
    bool more;

    fill(&f);
    fsm_snapshot(f.state, &at_once);
    snapshot_begin(f.state);
    do {
        if (steps++ == _i)
            change_everything(&f);
        more = snapshot_next(f.state, &walked, 1);
    } while (more);
    snapshot_end(f.state);
    ck_same_bytes(&at_once, &walked);
    ck_assert_int_ge(steps, 10);
    buffer_finish(&at_once);
    buffer_finish(&walked);
    fsm_teardown(&f);
}
END_TEST

START_TEST(test_a_slice_is_about_as_long_as_asked)
{
    struct buffer out = {0};
    struct fsm f;
    size_t begin = 0;

    fsm_setup(&f);
    for (uint64_t i = 1; i <= 100; i++) {
        char key[2] = {(char)i, 0};
        ck_done(fsm_submit(&f, key, 1), i);
    }
    snapshot_begin(f.state);
    while (snapshot_next(f.state, &out, 1000)) {
        ck_assert_uint_lt(out.size - begin, 1300);
        begin = out.size;
    }
    ck_assert(!snapshot_next(f.state, &out, 1000));
    snapshot_end(f.state);
    buffer_finish(&out);
    fsm_teardown(&f);
}
END_TEST

START_TEST(test_a_walk_over_many_new_objects_ends_its_slices)
{
    struct buffer out = {0};
    struct fsm f;
    int slices = 0;

    fsm_setup(&f);
    snapshot_begin(f.state);
    for (uint64_t i = 1; i <= 200; i++) {
        char key[3] = {(char)i, 'x', 0};
        ck_done(fsm_submit(&f, key, 1), i);
    }
    while (snapshot_next(f.state, &out, 100))
        slices++;
    ck_assert_int_ge(slices, 10);
    snapshot_end(f.state);
    buffer_finish(&out);
    fsm_teardown(&f);
}
END_TEST

START_TEST(test_passing_many_jobs_without_tasks_ends_its_slices)
{
    struct buffer out = {0};
    struct fsm f;
    int empty = 0;
    size_t begin;
    bool more;

    fsm_setup(&f);
    for (uint64_t i = 1; i <= 200; i++) {
        char key[3] = {(char)i, 'x', 0};
        ck_done(fsm_submit(&f, key, 1), i);
    }
    snapshot_begin(f.state);
    do {
        begin = out.size;
        more = snapshot_next(f.state, &out, 100);
        empty += out.size == begin;
    } while (more);
    ck_assert_int_ge(empty, 20);
    snapshot_end(f.state);
    buffer_finish(&out);
    fsm_teardown(&f);
}
END_TEST

START_TEST(test_a_walk_that_is_given_up_leaves_nothing_behind)
{
    struct buffer at_once = {0}, out = {0};
    struct fsm f;

    fill(&f);
    snapshot_begin(f.state);
    snapshot_next(f.state, &out, 1);
    change_everything(&f);
    snapshot_end(f.state);
    buffer_clear(&out);
    fsm_snapshot(f.state, &at_once);
    snapshot_begin(f.state);
    while (snapshot_next(f.state, &out, 1))
        ;
    snapshot_end(f.state);
    ck_same_bytes(&at_once, &out);
    snapshot_begin(f.state); /* state_destroy() ends it */
    ck_done(fsm_kill(&f, 1), 1);
    buffer_finish(&at_once);
    buffer_finish(&out);
    fsm_teardown(&f);
}
END_TEST

/* ---- restore ---- */

START_TEST(test_restore_takes_pieces_of_any_size)
{
    struct buffer bytes = {0}, again = {0};
    struct restore *r = restore_begin();
    struct state *s;
    struct fsm f;

    fill(&f);
    fsm_snapshot(f.state, &bytes);
    for (size_t at = 0; at < bytes.size; at += (size_t)_i) {
        size_t left = bytes.size - at;
        struct bytes piece = {bytes.data + at, left < (size_t)_i ? left : (size_t)_i};

        ck_assert_int_eq(restore_feed(r, piece, NULL), 0);
    }
    ck_assert_int_eq(restore_end(r, &s, NULL), 0);
    state_check(s);
    ck_assert_uint_eq(s->index, f.state->index);
    ck_assert_uint_eq(s->term, f.state->term);
    fsm_snapshot(s, &again);
    ck_same_bytes(&bytes, &again);
    state_destroy(s);
    buffer_finish(&bytes);
    buffer_finish(&again);
    fsm_teardown(&f);
}
END_TEST

START_TEST(test_a_key_is_known_after_restore)
{
    struct buffer bytes = {0};
    struct fsm f;

    fill(&f);
    fsm_snapshot(f.state, &bytes);
    state_destroy(f.state);
    f.state = fsm_restored(buffer_view(&bytes));
    ck_done(fsm_submit(&f, "first", 200), 1);
    ck_rejected(fsm_submit(&f, "first", 2), ERROR_CONFLICT);
    ck_done(fsm_submit(&f, "purged", 1), 4);
    ck_rejected(fsm_submit(&f, "purged", 2), ERROR_CONFLICT);
    ck_done(fsm_submit(&f, "new", 1), 5);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    buffer_finish(&bytes);
    fsm_teardown(&f);
}
END_TEST

/* NULL, or the state if the bytes are believed. */
static struct state *try_restore(struct bytes bytes, struct error *err)
{
    struct restore *r = restore_begin();
    struct state *s = NULL;

    if (restore_feed(r, bytes, err) != 0)
        restore_abandon(r);
    else if (restore_end(r, &s, err) != 0)
        return NULL;
    return s;
}

START_TEST(test_a_flipped_bit_in_any_byte_is_an_error)
{
    struct buffer bytes = {0};
    struct error err;
    struct fsm f;

    fill(&f);
    fsm_snapshot(f.state, &bytes);
    for (size_t i = 0; i < bytes.size; i++) {
        bool header = i >= 5 && i < SNAPSHOT_HEADER_BYTES;
        struct state *s;

        bytes.data[i] ^= (uint8_t)(1 << (i % 8));
        err.code = ERROR_NONE;
        s = try_restore(buffer_view(&bytes), &err);
        /* Index and term are outside of the digest; the store has them as well. */
        if (s != NULL && !header)
            ck_abort_msg("a change of byte %zu of %zu is not seen", i, bytes.size);
        if (s == NULL && err.code != ERROR_CORRUPT && err.code != ERROR_VERSION)
            ck_abort_msg("a change of byte %zu gives %s", i, err.text);
        state_destroy(s);
        bytes.data[i] ^= (uint8_t)(1 << (i % 8));
    }
    buffer_finish(&bytes);
    fsm_teardown(&f);
}
END_TEST

START_TEST(test_every_truncation_is_an_error)
{
    struct buffer bytes = {0};
    struct error err;
    struct fsm f;

    fill(&f);
    fsm_snapshot(f.state, &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        if (try_restore((struct bytes){bytes.data, size}, &err) != NULL)
            ck_abort_msg("%zu of %zu bytes are believed", size, bytes.size);
    buffer_append_u8(&bytes, 0);
    ck_assert_ptr_null(try_restore(buffer_view(&bytes), &err));
    ck_assert_int_eq(err.code, ERROR_CORRUPT);
    buffer_finish(&bytes);
    fsm_teardown(&f);
}
END_TEST

/* Offsets of the records of a snapshot, and where the last one ends. */
static size_t find_records(const struct buffer *b, size_t *offsets, size_t max)
{
    size_t at = SNAPSHOT_HEADER_BYTES, n = 0;

    while (at < b->size) {
        ck_assert_uint_lt(n, max);
        offsets[n++] = at;
        at += 4 + load_u32(b->data + at);
    }
    offsets[n] = at;
    return n;
}

START_TEST(test_a_record_left_out_doubled_or_moved_is_an_error)
{
    struct buffer bytes = {0}, bad = {0};
    size_t offsets[200], n;
    struct error err;
    struct fsm f;

    fill(&f);
    fsm_snapshot(f.state, &bytes);
    n = find_records(&bytes, offsets, 199);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *at = bytes.data + offsets[i];
        size_t size = offsets[i + 1] - offsets[i];

        buffer_clear(&bad);
        buffer_append(&bad, bytes.data, offsets[i]);
        buffer_append(&bad, at + size, bytes.size - offsets[i + 1]);
        ck_assert_ptr_null(try_restore(buffer_view(&bad), &err));
        buffer_append(&bad, at, size);
        if (i + 1 < n)
            ck_assert_ptr_null(try_restore(buffer_view(&bad), &err));
        buffer_clear(&bad);
        buffer_append(&bad, bytes.data, offsets[i + 1]);
        buffer_append(&bad, at, bytes.size - offsets[i]);
        ck_assert_ptr_null(try_restore(buffer_view(&bad), &err));
    }
    buffer_finish(&bytes);
    buffer_finish(&bad);
    fsm_teardown(&f);
}
END_TEST

/* As a disk may say it. */
START_TEST(test_an_id_that_was_never_given_is_an_error)
{
    struct buffer spec = {0}, bytes = {0};
    struct command submit = {.kind = COMMAND_SUBMIT,
                             .submit.key = {(const uint8_t *)"far", 3}};
    struct error err;
    struct fsm f;

    fill(&f);
    job_bytes(&spec, "far", 1, 1);
    submit.submit.spec = buffer_view(&spec);
    f.state->globals.last_job_id = 999;
    ck_done(fsm_entry_fast(&f, &submit, 1), 1000);
    f.state->globals.last_job_id = 999;
    fsm_snapshot(f.state, &bytes);
    ck_assert_ptr_null(try_restore(buffer_view(&bytes), &err));
    ck_assert_ptr_nonnull(strstr(err.text, "an id that was never given"));
    buffer_finish(&spec);
    buffer_finish(&bytes);
    fsm_teardown(&f);
}
END_TEST

START_TEST(test_a_record_of_absurd_size_is_refused_before_it_is_waited_for)
{
    struct buffer bytes = {0};
    struct restore *r = restore_begin();
    struct error err;

    buffer_append_u32(&bytes, SNAPSHOT_MAGIC);
    buffer_append_u8(&bytes, SNAPSHOT_VERSION);
    buffer_append_u64(&bytes, 1);
    buffer_append_u64(&bytes, 1);
    buffer_append_u32(&bytes, UINT32_MAX);
    ck_assert_int_eq(restore_feed(r, buffer_view(&bytes), &err), -ERROR_CORRUPT);
    restore_abandon(r);
    buffer_finish(&bytes);
}
END_TEST

START_TEST(test_another_version_is_refused)
{
    struct buffer bytes = {0};
    struct error err;
    struct fsm f;

    fill(&f);
    fsm_snapshot(f.state, &bytes);
    bytes.data[4]++;
    ck_assert_ptr_null(try_restore(buffer_view(&bytes), &err));
    ck_assert_int_eq(err.code, ERROR_VERSION);
    buffer_finish(&bytes);
    fsm_teardown(&f);
}
END_TEST

int main(void)
{
    TCase *c =
        unit_case("snapshot",
                  test_a_slice_is_about_as_long_as_asked,
                  test_a_walk_over_many_new_objects_ends_its_slices,
                  test_passing_many_jobs_without_tasks_ends_its_slices,
                  test_a_walk_that_is_given_up_leaves_nothing_behind,
                  test_a_key_is_known_after_restore,
                  test_a_flipped_bit_in_any_byte_is_an_error,
                  test_every_truncation_is_an_error,
                  test_a_record_left_out_doubled_or_moved_is_an_error,
                  test_an_id_that_was_never_given_is_an_error,
                  test_a_record_of_absurd_size_is_refused_before_it_is_waited_for,
                  test_another_version_is_refused);

    tcase_add_loop_test(
        c,
        test_slices_of_any_size_give_the_same_bytes_while_commands_are_applied,
        0,
        12);
    tcase_add_loop_test(c, test_a_change_at_each_step_of_the_walk_is_not_seen, 0, 16);
    tcase_add_loop_test(c, test_restore_takes_pieces_of_any_size, 1, 60);
    tcase_set_timeout(c, 120);
    return unit_run("snapshot", &c, 1);
}
