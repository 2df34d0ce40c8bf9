/* test_raft_log.c - the log against a model, and what opening makes of a snapshot. */
#include "store_test.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/lib/unit.h"

#include <inttypes.h>
#include <string.h>

#define MODEL_ENTRIES 4096

/* What the log is to hold; entries by index. */
struct model {
    uint64_t base, last;
    uint64_t term, vote;
    struct {
        uint64_t term;
        size_t size;
    } entries[MODEL_ENTRIES];
};

struct seen {
    const struct model *model;
    uint64_t count;
};

static int compare_entry(void *arg,
                         uint64_t index,
                         uint64_t term,
                         enum entry_kind kind,
                         struct bytes payload,
                         struct error *err)
{
    struct seen *seen = arg;
    const struct model *m = seen->model;
    uint8_t expected[8192];

    (void)err;
    ck_assert_uint_eq(index, m->base + 1 + seen->count++);
    ck_assert_uint_le(index, m->last);
    ck_assert_uint_eq(term, m->entries[index].term);
    ck_assert_uint_eq(payload.size, m->entries[index].size);
    ck_assert_int_eq(kind, payload.size == 0 ? ENTRY_NOOP : ENTRY_COMMANDS);
    test_payload(index, term, expected, payload.size);
    ck_assert(payload.size == 0 || memcmp(expected, payload.data, payload.size) == 0);
    return 0;
}

static void compare(struct raft_log *log, const struct model *m)
{
    struct seen seen = {.model = m};
    struct raft_log_state state;
    struct error err;

    ck_assert_msg(
        raft_log_load(log, compare_entry, &seen, &state, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(seen.count, m->last - m->base);
    ck_assert_uint_eq(state.base, m->base);
    ck_assert_uint_eq(state.last, m->last);
    ck_assert_uint_eq(state.last_term,
                      m->last > m->base ? m->entries[m->last].term : 0);
    ck_assert_uint_eq(state.term, m->term);
    ck_assert_uint_eq(state.vote, m->vote);
}

static struct log_op *random_append(struct model *m, struct rng *r)
{
    static const size_t sizes[] = {0, 1, 40, 256, 2500, 5000};
    uint64_t first = m->last + 1;
    uint32_t count = (uint32_t)rng_between(r, 1, rng_percent(r, 10) ? 200 : 8);
    size_t size = sizes[rng_below(r, 6)];

    if (rng_percent(r, 25) && m->last > m->base)
        first = rng_between(r, m->base + 1, m->last); /* drops a tail */
    m->last = first + count - 1;
    for (uint64_t i = first; i <= m->last; i++) {
        m->entries[i].term = m->term;
        m->entries[i].size = size;
    }
    return test_append(1, first, count, m->term, size);
}

static struct log_op *random_op(struct model *m, struct rng *r)
{
    uint64_t to;

    switch (rng_below(r, 12)) {
    case 0:
        m->term += rng_below(r, 3);
        m->vote = rng_below(r, 4);
        return test_meta(1, m->term, m->vote);
    case 1:
        m->base = to = rng_between(r, m->base, m->last);
        return test_trim(1, to);
    case 2:
        if (!rng_percent(r, 30))
            break;
        m->base = m->last = to = m->base + rng_below(r, 2 * (m->last - m->base) + 10);
        return test_reset(1, to);
    }
    return random_append(m, r);
}

/* Every state is closed and opened again, in the way of a start. */
static void
reopen(struct data_dir **d, struct raft_log **log, const struct model *m, struct rng *r)
{
    uint64_t at = rng_between(r, m->base, m->last);

    raft_log_close(*log);
    data_dir_close(*d);
    *d = test_open_founded();
    *log = test_open_log(*d, at, at > m->base ? m->entries[at].term : 0);
}

START_TEST(follows_a_model)
{
    struct model *m = mem_zalloc(sizeof(*m));
    struct rng r = {test_seed()};
    struct data_dir *d = test_open_founded();
    struct raft_log *log = test_open_log(d, 0, 0);

    m->term = 1;
    test_apply(
        log, data_dir_log(d), test_reset(1, 0)); /* without the entry of founding */
    for (int i = 0; i < 250 && m->last < MODEL_ENTRIES - 400; i++) {
        test_apply(log, data_dir_log(d), random_op(m, &r));
        if (rng_percent(&r, 30)) {
            struct lmdb_txn t;

            lmdb_begin_write(&t, data_dir_log(d));
            raft_log_sweep(log, &t);
            ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
        }
        reopen(&d, &log, m, &r);
        compare(log, m);
    }
    raft_log_close(log);
    data_dir_close(d);
    mem_free(m);
}
END_TEST

START_TEST(starts_with_what_was_founded)
{
    struct data_dir *d = test_open_founded();
    struct raft_log *log = test_open_log(d, 0, 0);
    struct log_entries e;
    struct error err;

    ck_assert_int_eq(raft_log_read(data_dir_log(d), 1, 10, 1000, &e, &err), 0);
    ck_assert_uint_eq(e.count, 1);
    ck_assert_uint_eq(e.entries[0].term, 1);
    ck_assert_int_eq(e.entries[0].kind, ENTRY_CONFIGURATION);
    ck_assert_mem_eq(e.entries[0].payload->data, "members", 7);
    log_entries_finish(&e);
    raft_log_close(log);
    data_dir_close(d);
}
END_TEST

static void
expect_read(struct data_dir *d, uint64_t from, uint32_t count, size_t bytes, uint32_t n)
{
    struct log_entries e;
    struct error err;

    ck_assert_int_eq(raft_log_read(data_dir_log(d), from, count, bytes, &e, &err), 0);
    ck_assert_uint_eq(e.first, from);
    ck_assert_uint_eq(e.count, n);
    log_entries_finish(&e);
}

START_TEST(reads_ranges)
{
    struct data_dir *d = test_open_founded();
    struct raft_log *log = test_open_log(d, 0, 0);

    test_apply(log, data_dir_log(d), test_append(1, 2, 9, 1, 100));
    expect_read(d, 2, 4, 10000, 4);
    expect_read(d, 8, 100, 10000, 3);
    expect_read(d, 2, 100, 250, 2);
    expect_read(d, 2, 100, 1, 1); /* one is always given */
    expect_read(d, 11, 1, 100, 0);
    expect_read(d, 2, 0, 100, 0);
    test_apply(
        log, data_dir_log(d), test_trim(2, 5)); /* not swept, and gone all the same */
    expect_read(d, 5, 1, 100, 0);
    expect_read(d, 6, 1, 100, 1);
    raft_log_close(log);
    data_dir_close(d);
}
END_TEST

START_TEST(sweeps_in_slices)
{
    struct data_dir *d = test_open_founded();
    struct raft_log *log = test_open_log(d, 0, 0);
    struct lmdb_txn t;
    struct bytes key;
    int slices = 0;

    test_apply(log, data_dir_log(d), test_append(1, 2, 4999, 1, 20));
    test_apply(log, data_dir_log(d), test_trim(2, 4000));
    ck_assert(raft_log_needs_sweep(log));
    lmdb_begin_write(&t, data_dir_log(d));
    while (raft_log_sweep(log, &t))
        slices++;
    ck_assert(lmdb_first(&t, RAFT_LOG_ENTRIES, &key));
    ck_assert_uint_eq(load_u64(key.data), 4001);
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    ck_assert_int_ge(slices, 3);
    ck_assert(!raft_log_needs_sweep(log));
    raft_log_close(log);
    data_dir_close(d);
}
END_TEST

/* Open a log of entries 1 … 10 (term 1 up to 5, then 2) with a snapshot. */
static int
open_with(struct snapshot_point point, struct raft_log_state *state, struct error *err)
{
    struct model m = {.term = 2};
    struct seen seen = {.model = &m};
    struct data_dir *d = test_open_founded();
    struct raft_log *log = test_open_log(d, 0, 0);
    int rv;

    test_apply(log, data_dir_log(d), test_meta(1, 2, 0));
    test_apply(log, data_dir_log(d), test_append(2, 1, 5, 1, 10));
    test_apply(log, data_dir_log(d), test_append(3, 6, 5, 2, 10));
    raft_log_close(log);
    rv = raft_log_open(&log, data_dir_log(d), &point, err);
    if (rv == 0) {
        for (uint64_t i = 1; i <= 10; i++) {
            m.entries[i].term = i <= 5 ? 1 : 2;
            m.entries[i].size = 10;
        }
        m.last = 10;
        rv = raft_log_load(log, compare_entry, &seen, state, err);
        raft_log_close(log);
    }
    data_dir_close(d);
    return rv;
}

START_TEST(keeps_a_log_around_the_snapshot)
{
    struct raft_log_state state;
    struct error err;

    ck_assert_int_eq(open_with((struct snapshot_point){5, 1, false}, &state, &err), 0);
    ck_assert_uint_eq(state.base, 0);
    ck_assert_uint_eq(state.last, 10);
}
END_TEST

START_TEST(drops_a_log_that_ends_before_the_snapshot)
{
    struct raft_log_state state;
    struct error err;

    ck_assert_int_eq(open_with((struct snapshot_point){11, 2, false}, &state, &err), 0);
    ck_assert_uint_eq(state.base, 11);
    ck_assert_uint_eq(state.last, 11);
    ck_assert_uint_eq(state.term, 2);
}
END_TEST

START_TEST(drops_a_log_that_an_installed_snapshot_replaced)
{
    struct raft_log_state state;
    struct error err;

    ck_assert_int_eq(open_with((struct snapshot_point){7, 3, true}, &state, &err), 0);
    ck_assert_uint_eq(state.base, 7);
    ck_assert_uint_eq(state.last, 7);
}
END_TEST

START_TEST(keeps_what_came_after_an_installed_snapshot)
{
    struct snapshot_point point = {20, 1, true};
    struct data_dir *d = test_open_founded();
    struct raft_log *log = test_open_log(d, 0, 0);
    struct error err;

    test_apply(log, data_dir_log(d), test_reset(1, 20));
    test_apply(log, data_dir_log(d), test_append(2, 21, 3, 1, 10));
    raft_log_close(log);
    ck_assert_int_eq(raft_log_open(&log, data_dir_log(d), &point, &err), 0);
    expect_read(d, 21, 10, 1000, 3);
    raft_log_close(log);
    data_dir_close(d);
}
END_TEST

START_TEST(refuses_a_term_that_contradicts_the_snapshot)
{
    struct raft_log_state state;
    struct error err;

    ck_assert_int_eq(open_with((struct snapshot_point){5, 2, false}, &state, &err),
                     -ERROR_CORRUPT);
    ck_assert_ptr_nonnull(
        strstr(err.text, "entry 5 is of term 1, in the snapshot of term 2"));
}
END_TEST

START_TEST(refuses_a_gap_behind_the_snapshot)
{
    struct snapshot_point point = {3, 1, false};
    struct data_dir *d = test_open_founded();
    struct raft_log *log = test_open_log(d, 0, 0);
    struct error err;

    test_apply(log, data_dir_log(d), test_append(1, 2, 9, 1, 10));
    test_apply(log, data_dir_log(d), test_trim(2, 4));
    raft_log_close(log);
    ck_assert_int_eq(raft_log_open(&log, data_dir_log(d), &point, &err),
                     -ERROR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(err.text, "begins at 5, the snapshot ends at 3"));
    ck_assert_ptr_nonnull(strstr(err.text, "leave this master off"));
    data_dir_close(d);
}
END_TEST

/* Write a record that verifies but does not belong there. */
static void expect_refused(
    uint64_t remove, uint64_t index, uint64_t term, uint8_t kind, const char *text)
{
    uint8_t value[9];
    struct data_dir *d = test_open_founded();
    struct raft_log *log = test_open_log(d, 0, 0);
    struct lmdb_txn t;
    struct bytes key;
    struct error err;

    test_apply(log, data_dir_log(d), test_meta(1, 3, 0));
    test_apply(log, data_dir_log(d), test_append(2, 2, 9, 2, 10));
    raft_log_close(log);
    lmdb_begin_write(&t, data_dir_log(d));
    if (remove != 0) {
        ck_assert(lmdb_seek(&t, RAFT_LOG_ENTRIES, lmdb_u64(&remove), &key));
        lmdb_remove_here(&t, RAFT_LOG_ENTRIES);
    }
    store_u64(value, term);
    value[8] = kind;
    lmdb_put(
        &t, RAFT_LOG_ENTRIES, lmdb_u64(&index), (struct bytes){value, sizeof(value)});
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    data_dir_close(d);
    ck_assert_int_eq(test_start(&err), -ERROR_CORRUPT);
    ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
}

START_TEST(refuses_a_missing_entry)
{
    expect_refused(7, 11, 2, ENTRY_NOOP, "entry 7 is missing, 8 is there");
}
END_TEST

START_TEST(refuses_a_falling_term)
{
    expect_refused(0, 5, 1, ENTRY_NOOP, "entry 5 is of term 1, the one before of 2");
}
END_TEST

START_TEST(refuses_a_term_above_the_current_one)
{
    expect_refused(0,
                   11,
                   4,
                   ENTRY_NOOP,
                   "entry 11 is of term 4, the one before of 2, the current term is 3");
}
END_TEST

START_TEST(refuses_an_unknown_kind)
{
    expect_refused(0, 6, 2, 9, "entry 6 is of a kind that this program does not know");
}
END_TEST

UNIT_MAIN(
    "raft_log",
    test_slow(unit_case("model", follows_a_model)),
    unit_case("use", starts_with_what_was_founded, reads_ranges, sweeps_in_slices),
    unit_case("settle",
              keeps_a_log_around_the_snapshot,
              drops_a_log_that_ends_before_the_snapshot,
              drops_a_log_that_an_installed_snapshot_replaced,
              keeps_what_came_after_an_installed_snapshot,
              refuses_a_term_that_contradicts_the_snapshot,
              refuses_a_gap_behind_the_snapshot),
    unit_case("damage",
              refuses_a_missing_entry,
              refuses_a_falling_term,
              refuses_a_term_above_the_current_one,
              refuses_an_unknown_kind))
