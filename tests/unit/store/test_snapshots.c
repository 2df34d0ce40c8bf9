/* test_snapshots.c - drafts, promotion, reading while a newer one comes, and what a start does. */
#include "store_test.h"

#include "base/crc32c.h"
#include "base/limits.h"
#include "tests/lib/unit.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    struct data_dir *d;
    struct snapshots *s;
    struct test_signal signal;
    struct store_hooks hooks;
    struct snapshot_event event;
};

static void start(struct fixture *f)
{
    struct error err;

    *f = (struct fixture){.d = test_open_founded()};
    test_signal_init(&f->signal, &f->hooks);
    ck_assert_msg(
        snapshots_open(&f->s, data_dir_snap(f->d), &err) == 0, "%s", err.text);
    snapshots_start(f->s, &f->hooks);
}

static void stop(struct fixture *f)
{
    snapshot_event_finish(&f->event);
    snapshots_close(f->s);
    data_dir_close(f->d);
}

static bool has_event(void *arg)
{
    struct fixture *f = arg;

    return snapshots_next(f->s, &f->event);
}

static const struct snapshot_event *wait_event(struct fixture *f,
                                               enum snapshot_event_kind kind)
{
    snapshot_event_finish(&f->event);
    f->event = (struct snapshot_event){0};
    test_wait(&f->signal, has_event, f);
    ck_assert_msg(!f->signal.failed, "%s", f->signal.error.text);
    ck_assert_msg(
        f->event.kind == kind, "event %d: %s", f->event.kind, f->event.error.text);
    return &f->event;
}

/* Chunk `number` of the snapshot at `index`. */
static struct blob *chunk(uint64_t index, uint32_t number, size_t size)
{
    struct blob *b = blob_create(size);

    test_payload(index, number, b->data, size);
    return b;
}

static uint64_t begin(struct fixture *f, uint64_t index, uint64_t size)
{
    struct snapshot_meta meta = {.index = index,
                                 .term = 3,
                                 .configuration_index = 1,
                                 .configuration = blob_copy(lmdb_text("members")),
                                 .size = size};
    uint64_t id = snapshots_begin(f->s, &meta);

    snapshot_meta_finish(&meta);
    return id;
}

/* A whole draft of `chunks` chunks, sealed. */
static uint64_t draft(struct fixture *f, uint64_t index, uint32_t chunks, size_t size)
{
    uint64_t id = begin(f, index, 0);

    for (uint32_t n = 0; n < chunks; n++)
        snapshots_append(f->s, id, n, chunk(index, n, size));
    snapshots_seal(f->s, id, NULL);
    ck_assert_uint_eq(wait_event(f, SNAPSHOT_SEALED)->id, id);
    return id;
}

static uint64_t
make_current(struct fixture *f, uint64_t index, uint32_t chunks, size_t size)
{
    uint64_t id = draft(f, index, chunks, size);

    snapshots_promote(f->s, id, false);
    ck_assert_uint_eq(wait_event(f, SNAPSHOT_CURRENT)->id, id);
    return id;
}

struct loaded {
    uint64_t index;
    uint32_t chunks;
    size_t size;
    uint32_t seen;
};

static int compare_piece(void *arg, struct bytes piece, struct error *err)
{
    struct loaded *l = arg;
    struct blob *expected = chunk(l->index, l->seen, l->size);

    (void)err;
    ck_assert_uint_eq(piece.size, l->size);
    ck_assert_mem_eq(piece.data, expected->data, piece.size);
    blob_unref(expected);
    l->seen++;
    return 0;
}

/* A start finds exactly this snapshot, and nothing else once it has swept. */
static void expect_after_start(uint64_t index, uint32_t chunks, size_t size, bool reset)
{
    struct loaded l = {.index = index, .chunks = chunks, .size = size};
    struct data_dir *d = test_open_founded();
    struct snapshot_info info;
    struct snapshot_point point;
    struct snapshots *s;
    struct error err;

    ck_assert_msg(snapshots_open(&s, data_dir_snap(d), &err) == 0, "%s", err.text);
    point = snapshots_point(s);
    ck_assert_uint_eq(point.index, index);
    ck_assert_int_eq(point.reset, reset);
    ck_assert_int_eq(snapshots_pin(s, &info), index != 0);
    if (index != 0) {
        ck_assert_uint_eq(point.term, 3);
        ck_assert_uint_eq(info.meta.index, index);
        ck_assert_uint_eq(info.meta.configuration_index, 1);
        ck_assert_mem_eq(info.meta.configuration->data, "members", 7);
        ck_assert_uint_eq(info.meta.size, chunks * size);
        ck_assert_uint_eq(info.chunks, chunks);
    }
    ck_assert_msg(snapshots_load(s, compare_piece, &l, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(l.seen, chunks);
    snapshot_info_finish(&info);
    snapshots_close(s);
    data_dir_close(d);
}

static uint32_t count_chunks(struct fixture *f)
{
    struct lmdb_txn t;
    struct bytes key;
    uint32_t count = 0;

    lmdb_begin_read(&t, data_dir_snap(f->d));
    for (bool more = lmdb_first(&t, SNAPSHOTS_CHUNKS, &key); more;
         more = lmdb_next(&t, SNAPSHOTS_CHUNKS, &key))
        count++;
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    return count;
}

static void wait_for_chunks(struct fixture *f, uint32_t count)
{
    while (count_chunks(f) != count)
        sched_yield();
}

START_TEST(starts_without)
{
    struct snapshot_info info;
    struct fixture f;

    start(&f);
    ck_assert(!snapshots_pin(f.s, &info));
    ck_assert(!snapshots_next(f.s, &f.event));
    stop(&f);
    expect_after_start(0, 0, 0, false);
}
END_TEST

START_TEST(keeps_a_snapshot)
{
    struct fixture f;

    start(&f);
    make_current(&f, 50, 40, LIMIT_SNAPSHOT_CHUNK_BYTES);
    ck_assert_uint_eq(snapshots_backlog(f.s), 0);
    stop(&f);
    expect_after_start(50, 40, LIMIT_SNAPSHOT_CHUNK_BYTES, false);
}
END_TEST

START_TEST(keeps_an_empty_one)
{
    struct fixture f;

    start(&f);
    make_current(&f, 5, 0, 0);
    stop(&f);
    expect_after_start(5, 0, 0, false);
}
END_TEST

START_TEST(replaces_the_old_one)
{
    struct fixture f;

    start(&f);
    make_current(&f, 50, 200, 3000);
    make_current(&f, 60, 30, 3000);
    make_current(&f, 60, 20, 3000); /* the same index again is no harm */
    wait_for_chunks(&f, 20);
    stop(&f);
    expect_after_start(60, 20, 3000, false);
}
END_TEST

START_TEST(marks_an_installed_one)
{
    struct fixture f;
    uint64_t id;

    start(&f);
    id = draft(&f, 70, 3, 100);
    snapshots_promote(f.s, id, true);
    ck_assert(wait_event(&f, SNAPSHOT_CURRENT)->info.reset);
    stop(&f);
    expect_after_start(70, 3, 100, true);
}
END_TEST

/* A crash is a stop without a promotion: drafts are gone, the old one stays. */
START_TEST(drops_drafts_at_the_start)
{
    struct fixture f;
    uint64_t id;

    start(&f);
    make_current(&f, 50, 3, 3000);
    draft(&f, 60, 150, 3000);
    ck_assert_uint_eq(count_chunks(&f), 153);
    stop(&f);
    expect_after_start(50, 3, 3000, false);
    start(&f);
    wait_for_chunks(&f, 3);
    id = make_current(&f, 61, 2, 3000);
    ck_assert_uint_ge(id, 3); /* an id is not used twice */
    stop(&f);
    expect_after_start(61, 2, 3000, false);
}
END_TEST

START_TEST(writes_several_at_a_time)
{
    struct fixture f;
    uint64_t a, b;

    start(&f);
    a = begin(&f, 50, 0);
    b = begin(&f, 60, 0);
    for (uint32_t n = 0; n < 20; n++) {
        snapshots_append(f.s, a, n, chunk(50, n, 2000));
        snapshots_append(f.s, b, n, chunk(60, n, 1000));
    }
    snapshots_discard(f.s, a);
    snapshots_append(
        f.s, a, 20, chunk(50, 20, 2000)); /* of one that has ended: nothing */
    snapshots_seal(f.s, a, NULL);
    snapshots_seal(f.s, b, NULL);
    ck_assert_uint_eq(wait_event(&f, SNAPSHOT_SEALED)->id, b);
    wait_for_chunks(&f, 20);
    snapshots_promote(f.s, b, false);
    wait_event(&f, SNAPSHOT_CURRENT);
    stop(&f);
    expect_after_start(60, 20, 1000, false);
}
END_TEST

/* ---- from a peer ---- */

static uint32_t crc_of(uint64_t index, uint32_t chunks, size_t size)
{
    uint32_t crc = 0;

    for (uint32_t n = 0; n < chunks; n++) {
        struct blob *b = chunk(index, n, size);

        crc = crc32c(crc, b->data, b->size);
        blob_unref(b);
    }
    return crc;
}

START_TEST(accepts_what_was_announced)
{
    uint32_t crc = crc_of(50, 3, 1000);
    struct fixture f;
    uint64_t id;

    start(&f);
    id = begin(&f, 50, 3000);
    snapshots_append(f.s, id, 0, chunk(50, 0, 1000));
    snapshots_append(f.s, id, 1, chunk(50, 1, 1000));
    snapshots_append(f.s, id, 0, chunk(99, 0, 1000)); /* repeated: ignored */
    snapshots_append(f.s, id, 2, chunk(50, 2, 1000));
    snapshots_seal(f.s, id, &crc);
    ck_assert_uint_eq(wait_event(&f, SNAPSHOT_SEALED)->info.crc, crc);
    snapshots_promote(f.s, id, true);
    wait_event(&f, SNAPSHOT_CURRENT);
    stop(&f);
    expect_after_start(50, 3, 1000, true);
}
END_TEST

static void expect_failed(struct fixture *f, uint64_t id, const char *text)
{
    const struct snapshot_event *e = wait_event(f, SNAPSHOT_FAILED);

    ck_assert_uint_eq(e->id, id);
    ck_assert_msg(strstr(e->error.text, text) != NULL, "%s", e->error.text);
    snapshots_promote(f->s, id, true); /* it has ended: nothing */
    wait_for_chunks(f, 0);
}

START_TEST(refuses_what_was_not_announced)
{
    uint32_t wrong = crc_of(50, 2, 1000) + 1;
    struct fixture f;
    uint64_t id;

    start(&f);
    id = begin(&f, 50, 2000);
    snapshots_append(f.s, id, 1, chunk(50, 1, 1000));
    expect_failed(
        &f, id, "at 50 is refused: a chunk out of order: number, expected (1, 0)");
    id = begin(&f, 50, 1500);
    snapshots_append(f.s, id, 0, chunk(50, 0, 1000));
    snapshots_append(f.s, id, 1, chunk(50, 1, 1000));
    expect_failed(&f, id, "size, announced (2000, 1500)");
    id = begin(&f, 50, 2000);
    snapshots_append(f.s, id, 0, chunk(50, 0, 1000));
    snapshots_seal(f.s, id, &wrong);
    expect_failed(&f, id, "size, announced (1000, 2000)");
    id = begin(&f, 50, 2000);
    snapshots_append(f.s, id, 0, chunk(50, 0, 1000));
    snapshots_append(f.s, id, 1, chunk(50, 1, 1000));
    snapshots_seal(f.s, id, &wrong);
    expect_failed(&f, id, "CRC32C, announced");
    id = begin(&f, 50, 0);
    snapshots_append(f.s, id, 0, chunk(50, 0, LIMIT_SNAPSHOT_CHUNK_BYTES + 1));
    expect_failed(&f, id, "size of a chunk, limit (524289, 524288)");
    stop(&f);
    expect_after_start(0, 0, 0, false);
}
END_TEST

START_TEST(never_goes_back)
{
    struct fixture f;
    uint64_t id;

    start(&f);
    make_current(&f, 50, 3, 100);
    id = draft(&f, 49, 2, 100);
    snapshots_promote(f.s, id, true);
    ck_assert_uint_eq(wait_event(&f, SNAPSHOT_FAILED)->id, id);
    stop(&f);
    expect_after_start(50, 3, 100, false);
}
END_TEST

/* ---- reading ---- */

static void expect_chunk(
    struct fixture *f, uint64_t id, uint64_t index, uint32_t number, size_t size)
{
    struct blob *expected = chunk(index, number, size);
    const struct snapshot_event *e;

    snapshots_read(f->s, id, number, 77 + number);
    e = wait_event(f, SNAPSHOT_CHUNK);
    ck_assert_uint_eq(e->id, id);
    ck_assert_uint_eq(e->ticket, 77 + number);
    ck_assert_uint_eq(e->number, number);
    ck_assert_uint_eq(e->chunk->size, size);
    ck_assert_mem_eq(e->chunk->data, expected->data, size);
    blob_unref(expected);
}

/* A transfer goes on while two newer ones become current; then its chunks go. */
START_TEST(keeps_what_is_pinned)
{
    struct snapshot_info info, same;
    struct fixture f;

    start(&f);
    make_current(&f, 50, 30, 3000);
    ck_assert(snapshots_pin(f.s, &info));
    ck_assert(snapshots_pin(f.s, &same));
    ck_assert_uint_eq(info.meta.index, 50);
    for (uint32_t n = 0; n < 15; n++)
        expect_chunk(&f, info.id, 50, n, 3000);
    make_current(&f, 60, 10, 3000);
    make_current(&f, 70, 12, 3000);
    wait_for_chunks(&f, 42);
    snapshots_release(f.s, same.id);
    for (uint32_t n = 15; n < info.chunks; n++)
        expect_chunk(&f, info.id, 50, n, 3000);
    snapshots_release(f.s, info.id);
    wait_for_chunks(&f, 12);
    snapshot_info_finish(&info);
    snapshot_info_finish(&same);
    stop(&f);
    expect_after_start(70, 12, 3000, false);
}
END_TEST

/* Who hears that a snapshot is current can read it at once, also when he did not wait to be
 * woken. */
START_TEST(is_current_when_it_says_so)
{
    struct snapshot_info info;
    struct fixture f;

    start(&f);
    for (uint64_t i = 1; i <= 200; i++) {
        uint64_t id = draft(&f, i, 1, 100);

        snapshots_promote(f.s, id, false);
        snapshot_event_finish(&f.event);
        while (!snapshots_next(f.s, &f.event))
            ; /* in a hurry: to be there before the thread goes on */
        ck_assert_int_eq(f.event.kind, SNAPSHOT_CURRENT);
        ck_assert(snapshots_pin(f.s, &info));
        ck_assert_uint_eq(info.id, id);
        snapshots_release(f.s, info.id);
        snapshot_info_finish(&info);
    }
    stop(&f);
}
END_TEST

/* The thread waits where it says that it left something. */
static struct {
    void (*notify)(void *arg);
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed, waiting;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void notify_at_gate(void *arg)
{
    gate.notify(arg);
    pthread_mutex_lock(&gate.lock);
    while (gate.closed) {
        gate.waiting = true;
        pthread_cond_broadcast(&gate.changed);
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    gate.waiting = false;
    pthread_mutex_unlock(&gate.lock);
}

/* Until the gate opens, commands only gather. */
static void close_gate(struct fixture *f)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = true;
    pthread_mutex_unlock(&gate.lock);
    snapshots_discard(f->s, UINT64_MAX); /* of no draft: it only turns the thread */
    pthread_mutex_lock(&gate.lock);
    while (!gate.waiting)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = false;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void start_with_gate(struct fixture *f)
{
    struct error err;

    *f = (struct fixture){.d = test_open_founded()};
    test_signal_init(&f->signal, &f->hooks);
    gate.notify = f->hooks.notify;
    f->hooks.notify = notify_at_gate;
    ck_assert_int_eq(snapshots_open(&f->s, data_dir_snap(f->d), &err), 0);
    snapshots_start(f->s, &f->hooks);
}

/* A transfer ends while its last read waits behind a commit that sweeps. */
START_TEST(answers_a_read_of_what_was_released)
{
    struct snapshot_info info;
    struct fixture f;
    uint64_t id;

    start_with_gate(&f);
    make_current(&f, 50, 30, 3000);
    ck_assert(snapshots_pin(f.s, &info));
    make_current(&f, 60, 10, 3000);
    close_gate(&f);
    id = begin(&f, 70, 0);
    snapshots_seal(f.s, id, NULL);
    snapshots_read(f.s, info.id, 0, 77);
    snapshots_release(f.s, info.id);
    open_gate();
    ck_assert_uint_eq(wait_event(&f, SNAPSHOT_SEALED)->id, id);
    ck_assert_uint_eq(wait_event(&f, SNAPSHOT_CHUNK)->ticket, 77);
    wait_for_chunks(&f, 10);
    snapshot_info_finish(&info);
    stop(&f);
}
END_TEST

/* ---- damage ---- */

static void remove_chunk(uint64_t id, uint32_t number)
{
    struct data_dir *d = test_open_founded();
    uint8_t key[12] = {[7] = (uint8_t)id, [11] = (uint8_t)number};
    struct lmdb_txn t;
    struct bytes found;

    lmdb_begin_write(&t, data_dir_snap(d));
    ck_assert(
        lmdb_seek(&t, SNAPSHOTS_CHUNKS, (struct bytes){key, sizeof(key)}, &found));
    lmdb_remove_here(&t, SNAPSHOTS_CHUNKS);
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    data_dir_close(d);
}

START_TEST(refuses_a_missing_chunk)
{
    struct fixture f;
    struct error err;
    uint64_t id;

    start(&f);
    id = make_current(&f, 50, 5, 100);
    stop(&f);
    remove_chunk(id, 2);
    ck_assert_int_eq(test_start(&err), -ERROR_CORRUPT);
    ck_assert_msg(
        strstr(err.text, "chunk 2 of snapshot 1 is missing") != NULL, "%s", err.text);
    ck_assert_msg(strstr(err.text, "leave this master off") != NULL, "%s", err.text);
}
END_TEST

/* A chunk that verifies, but is not the one that the header's CRC saw. */
START_TEST(refuses_another_chunk)
{
    struct data_dir *d;
    struct fixture f;
    struct lmdb_txn t;
    struct error err;
    uint8_t other[100] = {0};
    uint64_t id;

    start(&f);
    id = make_current(&f, 50, 5, 100);
    stop(&f);
    d = test_open_founded();
    lmdb_begin_write(&t, data_dir_snap(d));
    snapshot_put_chunk(&t, id, 3, (struct bytes){other, sizeof(other)});
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    data_dir_close(d);
    ck_assert_int_eq(test_start(&err), -ERROR_CORRUPT);
    ck_assert_msg(strstr(err.text, "has other bytes than its header names") != NULL,
                  "%s",
                  err.text);
}
END_TEST

START_TEST(stops_when_the_map_is_full)
{
    struct data_dir_options o = test_options();
    struct fixture f = {0};
    struct error err;
    uint64_t id;

    data_dir_close(test_open_founded());
    o.snap_map_bytes = 2 << 20;
    ck_assert_int_eq(data_dir_open(&f.d, &o, &err), 0);
    test_signal_init(&f.signal, &f.hooks);
    ck_assert_int_eq(snapshots_open(&f.s, data_dir_snap(f.d), &err), 0);
    snapshots_start(f.s, &f.hooks);
    id = begin(&f, 50, 0);
    for (uint32_t n = 0; n < 40; n++)
        snapshots_append(f.s, id, n, chunk(50, n, 100000));
    snapshots_seal(f.s, id, NULL);
    test_wait(&f.signal, has_event, &f);
    ck_assert(f.signal.failed);
    ck_assert_msg(strstr(f.signal.error.text, "reached its limit") != NULL,
                  "%s",
                  f.signal.error.text);
    stop(&f);
    expect_after_start(0, 0, 0, false);
}
END_TEST

UNIT_MAIN("snapshots",
          test_slow(unit_case("write",
                              starts_without,
                              keeps_a_snapshot,
                              keeps_an_empty_one,
                              replaces_the_old_one,
                              marks_an_installed_one,
                              drops_drafts_at_the_start,
                              writes_several_at_a_time)),
          test_slow(unit_case("receive",
                              accepts_what_was_announced,
                              refuses_what_was_not_announced,
                              never_goes_back)),
          test_slow(unit_case("read",
                              keeps_what_is_pinned,
                              is_current_when_it_says_so,
                              answers_a_read_of_what_was_released)),
          test_slow(unit_case("damage",
                              refuses_a_missing_chunk,
                              refuses_another_chunk,
                              stops_when_the_map_is_full)))
