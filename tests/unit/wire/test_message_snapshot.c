/* test_message_snapshot.c - what two masters say while one sends a snapshot. */
#include "wire/message_snapshot.h"

#include "base/limits.h"
#include "wire_test.h"

static struct buffer out;
static struct error err;
static struct rpc rpc; /* envelope of the last params() */

#define params(method) frame_params(buffer_view(&out), RPC_NOTIFY, method, &rpc)

static void setup(void)
{
    out = (struct buffer){0};
}

static void teardown(void)
{
    buffer_finish(&out);
}

static int decode_snapshot(struct bytes bytes, struct error *e)
{
    struct snapshot_meta meta;
    uint64_t term;
    int rc = snapshot_unpack(&term, &meta, bytes, e);

    if (rc == 0)
        snapshot_meta_finish(&meta);
    return rc;
}

static struct snapshot_meta a_snapshot(void)
{
    return (struct snapshot_meta){.index = 900,
                                  .term = 6,
                                  .configuration_index = 1,
                                  .configuration = blob_copy(LITERAL("members")),
                                  .size = UINT64_MAX};
}

START_TEST(test_snapshot)
{
    struct snapshot_meta meta = a_snapshot(), got;
    uint64_t term;

    snapshot_pack(7, &meta, &out);
    ck_assert_done(snapshot_unpack(&term, &got, params(METHOD_SNAPSHOT), &err), err);
    ck_assert_uint_eq(term, 7);
    ck_assert_uint_eq(got.index, meta.index);
    ck_assert_uint_eq(got.term, meta.term);
    ck_assert_uint_eq(got.configuration_index, meta.configuration_index);
    ck_assert_uint_eq(got.size, meta.size);
    ck_assert_bytes_eq(blob_view(got.configuration), blob_view(meta.configuration));
    check_every_cut(rpc.params, decode_snapshot);
    snapshot_meta_finish(&got);
    snapshot_meta_finish(&meta);
}
END_TEST

START_TEST(test_snapshots_that_cannot_be)
{
    static const struct {
        uint64_t term, index, snapshot_term, configuration_index;
    } cases[] = {{7, 0, 6, 0},
                 {7, 900, 0, 1},
                 {5, 900, 6, 1},
                 {7, 900, 6, 901},
                 {LIMIT_TERM + 1, 900, 6, 1}};

    for (int i = 0; i < COUNT(cases); i++) {
        struct snapshot_meta meta = a_snapshot();

        meta.index = cases[i].index;
        meta.term = cases[i].snapshot_term;
        meta.configuration_index = cases[i].configuration_index;
        buffer_clear(&out);
        snapshot_pack(cases[i].term, &meta, &out);
        ck_assert_error(decode_snapshot(params(METHOD_SNAPSHOT), &err),
                        err,
                        ERROR_INVALID,
                        "cannot be");
        snapshot_meta_finish(&meta);
    }
}
END_TEST

static int decode_credit(struct bytes bytes, struct error *e)
{
    uint32_t limit;

    return credit_unpack(&limit, bytes, e);
}

START_TEST(test_credit)
{
    uint32_t limit;

    credit_pack(UINT32_MAX, &out);
    ck_assert_done(credit_unpack(&limit, params(METHOD_CREDIT), &err), err);
    ck_assert_uint_eq(limit, UINT32_MAX);
    check_every_cut(rpc.params, decode_credit);
}
END_TEST

static int decode_chunk(struct bytes bytes, struct error *e)
{
    struct snapshot_chunk c;

    return chunk_unpack(&c, bytes, e);
}

START_TEST(test_chunk)
{
    struct snapshot_chunk c = {.number = 17, .bytes = LITERAL("some\0bytes")}, got;

    chunk_pack(&c, &out);
    ck_assert_done(chunk_unpack(&got, params(METHOD_CHUNK), &err), err);
    ck_assert_uint_eq(got.number, c.number);
    ck_assert_bytes_eq(got.bytes, c.bytes);
    check_every_cut(rpc.params, decode_chunk);
}
END_TEST

START_TEST(test_the_largest_chunk)
{
    struct buffer big = {0};
    struct snapshot_chunk c = {.number = UINT32_MAX}, got;

    memset(buffer_reserve(&big, LIMIT_SNAPSHOT_CHUNK_BYTES),
           'c',
           LIMIT_SNAPSHOT_CHUNK_BYTES);
    c.bytes = (struct bytes){big.data, LIMIT_SNAPSHOT_CHUNK_BYTES};
    chunk_pack(&c, &out);
    ck_assert_done(chunk_unpack(&got, params(METHOD_CHUNK), &err), err);
    ck_assert_bytes_eq(got.bytes, c.bytes);
    buffer_finish(&big);
}
END_TEST

static int decode_chunks_end(struct bytes bytes, struct error *e)
{
    struct chunks_end end;

    return chunks_end_unpack(&end, bytes, e);
}

START_TEST(test_chunks_end)
{
    struct chunks_end e = {.count = 3, .size = 1ull << 40, .crc = 0xE3069283}, got;

    chunks_end_pack(&e, &out);
    ck_assert_done(chunks_end_unpack(&got, params(METHOD_CHUNKS_END), &err), err);
    ck_assert_uint_eq(got.count, e.count);
    ck_assert_uint_eq(got.size, e.size);
    ck_assert_uint_eq(got.crc, e.crc);
    check_every_cut(rpc.params, decode_chunks_end);
}
END_TEST

START_TEST(test_staged)
{
    staged_pack(&out);
    ck_assert_uint_eq(params(METHOD_STAGED).size, 1);
}
END_TEST

int main(void)
{
    TCase *t = unit_case("message_snapshot",
                         test_snapshot,
                         test_snapshots_that_cannot_be,
                         test_credit,
                         test_chunk,
                         test_the_largest_chunk,
                         test_chunks_end,
                         test_staged);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("message_snapshot", &t, 1);
}
