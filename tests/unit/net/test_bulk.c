/* test_bulk.c - a snapshot on its way between two masters, and what may end it. */
#include "net_test.h"

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/bulk.h"
#include "net/server.h"

#include <string.h>
#include <unistd.h>

static struct loop *loop;
static struct server *server;
static struct snapshot_meta meta;
static uint32_t stall_ms;

/* The sender's owner: reads a pattern "from disk", one turn later. */
static struct {
    struct bulk_sender *sender;
    struct deferred read;
    uint32_t pulls;
    uint64_t given;
    uint32_t silent_after; /* stop answering then */
    unsigned ended;
    struct error reason;
} src;

/* The receiver's owner: takes each chunk after a time. */
static struct {
    struct bulk_receiver *receiver;
    struct loop_timer disk;
    uint64_t disk_ms;
    uint32_t came, taken, most_waiting;
    uint64_t size;
    uint32_t crc;
    bool whole;
    uint32_t close_at; /* destroy the receiver at this chunk */
    struct error refuse;
    unsigned begun, ended;
    struct error reason;
} dst;

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 7 + (at >> 11));
}

/* ---- the sender's owner ---- */

static void src_greet(void *user, struct hello *hello)
{
    (void)user;
    hello->role = HELLO_MASTER;
    hello->id = 2;
}

static void src_give(void *user)
{
    uint8_t *chunk = mem_alloc(LIMIT_SNAPSHOT_CHUNK_BYTES);
    uint64_t left = meta.size - src.given;
    size_t size =
        left < LIMIT_SNAPSHOT_CHUNK_BYTES ? (size_t)left : LIMIT_SNAPSHOT_CHUNK_BYTES;

    (void)user;
    for (size_t i = 0; i < size; i++)
        chunk[i] = pattern(src.given + i);
    src.given += size;
    bulk_sender_give(src.sender, (struct bytes){chunk, size}, src.given == meta.size);
    mem_free(chunk);
}

static void src_pull(void *user, uint32_t number)
{
    (void)user;
    ck_assert_uint_eq(number, src.pulls);
    src.pulls++;
    if (src.silent_after == 0 || src.pulls <= src.silent_after)
        loop_defer(loop, &src.read, src_give, NULL);
}

static void src_ended(void *user, const struct error *reason)
{
    (void)user;
    deferred_cancel(loop, &src.read);
    src.sender = NULL;
    src.ended++;
    src.reason = *reason;
}

static const struct bulk_sender_events SRC_EVENTS = {
    .greet = src_greet,
    .pull = src_pull,
    .ended = src_ended,
};

/* ---- the receiver's owner ---- */

static void dst_begun(void *user,
                      struct bulk_receiver *r,
                      uint64_t from,
                      uint64_t term,
                      const struct snapshot_meta *m)
{
    (void)user;
    ck_assert_uint_eq(from, 2);
    ck_assert_uint_eq(term, 5);
    ck_assert_uint_eq(m->index, meta.index);
    ck_assert_uint_eq(m->term, meta.term);
    ck_assert_uint_eq(m->configuration_index, meta.configuration_index);
    ck_assert_uint_eq(m->size, meta.size);
    ck_assert_uint_eq(m->configuration->size, 3);
    ck_assert_mem_eq(m->configuration->data, "abc", 3);
    dst.begun++;
    if (dst.refuse.code != ERROR_NONE)
        bulk_receiver_refuse(r, &dst.refuse);
}

static void dst_take(void *user)
{
    (void)user;
    dst.taken++;
    bulk_receiver_taken(dst.receiver);
    if (dst.taken < dst.came)
        timer_set_in(loop, &dst.disk, dst.disk_ms, dst_take, NULL);
    else if (dst.whole)
        bulk_receiver_staged(dst.receiver);
}

static void
dst_chunk(void *user, struct bulk_receiver *r, uint32_t number, struct bytes bytes)
{
    (void)user;
    ck_assert_ptr_eq(r, dst.receiver);
    ck_assert_uint_eq(number, dst.came);
    for (size_t i = 0; i < bytes.size; i += 1009)
        ck_assert_uint_eq(bytes.data[i], pattern(dst.size + i));
    dst.came++;
    dst.size += bytes.size;
    dst.crc = crc32c(dst.crc, bytes.data, bytes.size);
    if (dst.came - dst.taken > dst.most_waiting)
        dst.most_waiting = dst.came - dst.taken;
    if (dst.close_at != 0 && dst.came == dst.close_at) {
        timer_stop(loop, &dst.disk);
        bulk_receiver_destroy(r);
        dst.receiver = NULL;
    } else if (!dst.disk.armed) {
        timer_set_in(loop, &dst.disk, dst.disk_ms, dst_take, NULL);
    }
}

static void dst_whole(void *user, struct bulk_receiver *r)
{
    (void)user;
    dst.whole = true;
    if (dst.taken == dst.came)
        bulk_receiver_staged(r);
}

static void dst_ended(void *user, struct bulk_receiver *r, const struct error *reason)
{
    (void)user;
    ck_assert_ptr_eq(r, dst.receiver);
    timer_stop(loop, &dst.disk);
    dst.receiver = NULL;
    dst.ended++;
    dst.reason = *reason;
}

static const struct bulk_receiver_events DST_EVENTS = {
    .begun = dst_begun,
    .chunk = dst_chunk,
    .whole = dst_whole,
    .ended = dst_ended,
};

static void session_hello(void *user, struct conn *c, const struct hello *hello)
{
    struct hello answer = {.protocol = PROTOCOL_VERSION, .role = HELLO_MASTER, .id = 1};

    (void)user;
    ck_assert_int_eq(hello->role, HELLO_SNAPSHOT);
    ck_assert_ptr_null(dst.receiver);
    dst.receiver =
        bulk_receiver_create(loop, c, hello, &answer, stall_ms, &DST_EVENTS, NULL);
}

static const struct conn_events SESSION_EVENTS = {.hello = session_hello};

/* ---- the fixture ---- */

static void setup(void)
{
    struct server_options options = {.listen = local_address(0)};

    memset(&src, 0, sizeof(src));
    memset(&dst, 0, sizeof(dst));
    stall_ms = 0;
    loop = loop_create();
    server = server_create(loop, &options, &SESSION_EVENTS, NULL, NULL);
    meta = (struct snapshot_meta){
        .index = 1000,
        .term = 4,
        .configuration_index = 1,
        .configuration = blob_copy((struct bytes){(const uint8_t *)"abc", 3}),
        .size = 5 * MIB + 12345,
    };
}

static void start_to(uint64_t peer)
{
    struct address to = local_address(server_port(server));

    src.sender =
        bulk_sender_create(loop, peer, &to, 5, &meta, stall_ms, &SRC_EVENTS, NULL);
}

static void teardown(void)
{
    deferred_cancel(loop, &src.read);
    timer_stop(loop, &dst.disk);
    bulk_sender_destroy(src.sender);
    bulk_receiver_destroy(dst.receiver);
    server_destroy(server);
    loop_destroy(loop);
    snapshot_meta_finish(&meta);
}

static void expect_good_end(void)
{
    uint32_t crc = 0;

    wait_until(loop, src.ended && dst.ended);
    ck_assert_int_eq(src.reason.code, ERROR_NONE);
    ck_assert_int_eq(dst.reason.code, ERROR_NONE);
    ck_assert_uint_eq(src.ended, 1);
    ck_assert_uint_eq(dst.ended, 1);
    ck_assert_uint_eq(dst.size, meta.size);
    for (uint64_t at = 0; at < meta.size;) {
        uint8_t piece[4096];
        size_t n = 0;

        for (; n < sizeof(piece) && at < meta.size; at++)
            piece[n++] = pattern(at);
        crc = crc32c(crc, piece, n);
    }
    ck_assert_uint_eq(dst.crc, crc);
    ck_assert_uint_le(dst.most_waiting, 4);
    ck_assert_uint_eq(server_sessions(server), 0);
}

/* ---- tests ---- */

START_TEST(fifty_megabytes_arrive)
{
    meta.size = 50 * 1000 * 1000;
    start_to(1);
    expect_good_end();
    ck_assert_uint_eq(src.pulls, dst.came);
}
END_TEST

START_TEST(a_slow_receiver_is_waited_for)
{
    dst.disk_ms = 15;
    meta.size = 20 * MIB;
    start_to(1);
    while (!src.ended) {
        loop_turn(loop);
        /* Chunks read ahead: granted ones only. */
        ck_assert_uint_le(src.pulls, dst.taken + 4);
    }
    expect_good_end();
    ck_assert_uint_ge(dst.most_waiting, 2);
}
END_TEST

START_TEST(small_and_empty_snapshots)
{
    meta.size = _i == 0 ? 0 : _i == 1 ? 1 : LIMIT_SNAPSHOT_CHUNK_BYTES;
    start_to(1);
    expect_good_end();
    ck_assert_uint_eq(dst.came, 1);
}
END_TEST

START_TEST(a_receiver_that_dies_ends_the_sender)
{
    dst.close_at = 5;
    start_to(1);
    wait_until(loop, src.ended);
    let_pass(loop, 5);
    ck_assert_uint_eq(src.ended, 1);
    ck_assert_int_eq(src.reason.code, ERROR_UNAVAILABLE);
    ck_assert_uint_eq(dst.ended, 0); /* it was destroyed */
}
END_TEST

START_TEST(a_sender_that_dies_ends_the_receiver)
{
    start_to(1);
    wait_until(loop, dst.came == 5);
    deferred_cancel(loop, &src.read);
    bulk_sender_destroy(src.sender);
    src.sender = NULL;
    wait_until(loop, dst.ended);
    let_pass(loop, 5);
    ck_assert_uint_eq(dst.ended, 1);
    ck_assert_int_eq(dst.reason.code, ERROR_UNAVAILABLE);
    ck_assert(!dst.whole);
}
END_TEST

/* Its owner has not heard of it: nothing may be left of it. */
START_TEST(a_receiver_that_has_not_begun_ends_with_its_server)
{
    struct hello hello = {
        .protocol = PROTOCOL_VERSION, .role = HELLO_SNAPSHOT, .id = 2};
    struct buffer out = {0};
    int fd = raw_connect(server_port(server));

    hello_pack(&hello, &out);
    raw_send(fd, out.data, out.size);
    wait_until(loop, dst.receiver != NULL);
    dst.receiver = NULL;
    server_destroy(server);
    server = NULL;
    let_pass(loop, 5);
    ck_assert_uint_eq(dst.ended, 0);
    close(fd);
    buffer_finish(&out);
}
END_TEST

START_TEST(nobody_there)
{
    struct address to = local_address(unused_port());

    src.sender = bulk_sender_create(loop, 1, &to, 5, &meta, 0, &SRC_EVENTS, NULL);
    wait_until(loop, src.ended);
    ck_assert_int_eq(src.reason.code, ERROR_UNAVAILABLE);
    ck_assert_uint_eq(src.pulls, 0);
}
END_TEST

START_TEST(a_refused_snapshot_says_why)
{
    error_set(&dst.refuse, ERROR_BUSY, "one is coming already");
    start_to(1);
    wait_until(loop, src.ended && dst.ended);
    ck_assert_int_eq(src.reason.code, ERROR_BUSY);
    ck_assert_int_eq(dst.reason.code, ERROR_BUSY);
    ck_assert_ptr_nonnull(strstr(src.reason.text, "one is coming already"));
}
END_TEST

START_TEST(another_master_is_not_the_receiver)
{
    start_to(3);
    wait_until(loop, src.ended && dst.ended);
    ck_assert_int_eq(src.reason.code, ERROR_INVALID);
    ck_assert_uint_eq(dst.begun, 0);
    ck_assert_int_eq(dst.reason.code, ERROR_INVALID);
}
END_TEST

START_TEST(a_transfer_that_does_not_move_ends)
{
    src.silent_after = 2;
    stall_ms = 50;
    start_to(1);
    wait_until(loop, src.ended && dst.ended);
    ck_assert_int_eq(src.reason.code, ERROR_TIMEOUT);
    ck_assert(dst.reason.code == ERROR_TIMEOUT || dst.reason.code == ERROR_UNAVAILABLE);
    ck_assert_uint_eq(dst.came, 2);
}
END_TEST

/* ---- a sender that breaks the rules ---- */

static void pack_chunk(struct buffer *out, uint32_t number, size_t size)
{
    uint8_t zeroes[64] = {0};
    struct snapshot_chunk c = {.number = number, .bytes = {zeroes, size}};

    chunk_pack(&c, out);
}

static void expect_refused(struct buffer *after_hello, enum error_code code)
{
    struct hello hello = {
        .protocol = PROTOCOL_VERSION, .role = HELLO_SNAPSHOT, .id = 2};
    struct buffer out = {0}, in = {0};
    int fd = raw_connect(server_port(server));
    unsigned before = dst.ended;

    hello_pack(&hello, &out);
    buffer_append(&out, after_hello->data, after_hello->size);
    raw_send(fd, out.data, out.size);
    raw_read_all(loop, fd, &in);
    close(fd);
    wait_until(loop, dst.ended == before + 1);
    ck_assert_int_eq(dst.reason.code, code);
    ck_assert(!dst.whole);
    buffer_finish(after_hello);
    buffer_finish(&out);
    buffer_finish(&in);
}

START_TEST(what_does_not_fit_together_is_refused)
{
    struct buffer out = {0};

    dst.disk_ms = 60000; /* nothing is taken: no more credit */
    meta.size = 10;
    pack_chunk(&out, 0, 10); /* before the snapshot is announced */
    expect_refused(&out, ERROR_INVALID);

    snapshot_pack(5, &meta, &out);
    pack_chunk(&out, 1, 10); /* the first is missing */
    expect_refused(&out, ERROR_INVALID);

    snapshot_pack(5, &meta, &out);
    snapshot_pack(5, &meta, &out);
    expect_refused(&out, ERROR_INVALID);

    snapshot_pack(3, &meta, &out); /* of a term that is not over yet */
    expect_refused(&out, ERROR_INVALID);

    dst.came = dst.taken = 0;
    dst.size = 0;
    snapshot_pack(5, &meta, &out);
    pack_chunk(&out, 0, 11);
    expect_refused(&out, ERROR_TOO_LARGE);
}
END_TEST

static void
dst_any_chunk(void *user, struct bulk_receiver *r, uint32_t number, struct bytes bytes)
{
    (void)user;
    (void)r;
    (void)number;
    (void)bytes;
    dst.came++;
}

static struct bulk_receiver_events any_events;

static void any_hello(void *user, struct conn *c, const struct hello *hello)
{
    struct hello answer = {.protocol = PROTOCOL_VERSION, .role = HELLO_MASTER, .id = 1};

    (void)user;
    any_events = DST_EVENTS;
    any_events.chunk = dst_any_chunk;
    dst.receiver = bulk_receiver_create(loop, c, hello, &answer, 0, &any_events, NULL);
}

START_TEST(damage_and_greed_are_refused)
{
    static const struct conn_events events = {.hello = any_hello};
    struct server_options options = {.listen = local_address(0)};
    struct chunks_end end = {.count = 1, .size = 10, .crc = 1};
    struct buffer out = {0};

    server_destroy(server);
    server = server_create(loop, &options, &events, NULL, NULL);
    meta.size = 10;
    snapshot_pack(5, &meta, &out);
    pack_chunk(&out, 0, 10);
    chunks_end_pack(&end, &out); /* not the CRC of ten zeroes */
    expect_refused(&out, ERROR_CORRUPT);

    snapshot_pack(5, &meta, &out);
    pack_chunk(&out, 0, 9);
    end.size = 9;
    end.crc = crc32c(0, "\0\0\0\0\0\0\0\0", 9);
    chunks_end_pack(&end, &out); /* less than was announced */
    expect_refused(&out, ERROR_CORRUPT);

    snapshot_pack(5, &meta, &out);
    for (uint32_t i = 0; i < 5; i++)
        pack_chunk(&out, i, 1); /* more than was granted */
    dst.came = 0;
    expect_refused(&out, ERROR_INVALID);
    ck_assert_uint_eq(dst.came, 4);
}
END_TEST

int main(void)
{
    TCase *cases[] = {net_case("transfer",
                               fifty_megabytes_arrive,
                               a_slow_receiver_is_waited_for,
                               a_receiver_that_dies_ends_the_sender,
                               a_sender_that_dies_ends_the_receiver,
                               a_receiver_that_has_not_begun_ends_with_its_server,
                               nobody_there,
                               a_refused_snapshot_says_why,
                               another_master_is_not_the_receiver,
                               a_transfer_that_does_not_move_ends),
                      net_case("rules",
                               what_does_not_fit_together_is_refused,
                               damage_and_greed_are_refused)};

    tcase_add_loop_test(cases[0], small_and_empty_snapshots, 0, 3);
    for (size_t i = 0; i < 2; i++)
        tcase_add_checked_fixture(cases[i], setup, teardown);
    return unit_run("bulk", cases, 2);
}
