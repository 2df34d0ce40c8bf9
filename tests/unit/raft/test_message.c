/* test_message.c - peer messages as bytes: round trips, and bytes that are none. */
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"
#include "raft/message.h"
#include "tests/lib/unit.h"

#include <string.h>

#define KINDS 8

static struct blob *text(const char *s)
{
    return blob_copy((struct bytes){(const uint8_t *)s, strlen(s)});
}

/* One message of each kind, with a different number in every field. */
static void sample(enum peer_message_kind kind, struct peer_message *m)
{
    *m = (struct peer_message){.kind = kind, .term = 7};
    switch (kind) {
    case PEER_APPEND_ENTRIES:
        m->append.prev_index = 41;
        m->append.prev_term = 3;
        m->append.commit = 40;
        m->append.entries.first = 42;
        m->append.entries.count = 3;
        m->append.entries.entries = mem_zalloc(3 * sizeof(struct log_entry));
        m->append.entries.entries[0] = (struct log_entry){
            .term = 3, .kind = ENTRY_COMMANDS, .payload = text("commands")};
        m->append.entries.entries[1] =
            (struct log_entry){.term = 6, .kind = ENTRY_NOOP};
        m->append.entries.entries[2] = (struct log_entry){
            .term = 7, .kind = ENTRY_CONFIGURATION, .payload = text("abc")};
        break;
    case PEER_APPEND_ENTRIES_RESULT:
        m->append_result.rejected = 12;
        m->append_result.last_index = UINT64_MAX;
        break;
    case PEER_REQUEST_VOTE:
        m->vote.last_index = 1ull << 40;
        m->vote.last_term = 6;
        m->vote.disrupt = true;
        break;
    case PEER_REQUEST_VOTE_RESULT:
        m->vote_result.pre_vote = true;
        break;
    case PEER_TIMEOUT_NOW:
        m->timeout_now.last_index = 5;
        m->timeout_now.last_term = 4;
        break;
    case PEER_RESIGN:
        break;
    case PEER_CONFIRM:
    case PEER_CONFIRMED:
        m->confirm.round = 99;
        break;
    }
}

static void pack_sample(enum peer_message_kind kind, struct buffer *out)
{
    struct peer_message m;

    sample(kind, &m);
    buffer_clear(out);
    peer_message_pack(&m, out);
    peer_message_finish(&m);
}

/* Make the checksum right again, so that what is behind it is tested. */
static void seal(struct buffer *b)
{
    store_u32(b->data + b->size - 4, crc32c(0, b->data, b->size - 4));
}

static int unpack(const struct buffer *b, struct peer_message *m)
{
    struct error err;

    return peer_message_unpack(m, buffer_view(b), &err);
}

static void refused(struct buffer *b, enum error_code code)
{
    struct peer_message m;
    struct error err = {0};

    ck_assert_int_eq(peer_message_unpack(&m, buffer_view(b), &err), -(int)code);
    ck_assert_int_eq(err.code, code);
}

START_TEST(round_trip_of_each_kind)
{
    struct buffer bytes = {0}, again = {0};
    struct peer_message m;

    for (int kind = 1; kind <= KINDS; kind++) {
        pack_sample((enum peer_message_kind)kind, &bytes);
        ck_assert_int_eq(unpack(&bytes, &m), 0);
        ck_assert_int_eq((int)m.kind, kind);
        ck_assert_uint_eq(m.term, 7);
        buffer_clear(&again);
        peer_message_pack(&m, &again);
        ck_assert_uint_eq(again.size, bytes.size);
        ck_assert_mem_eq(again.data, bytes.data, bytes.size);
        peer_message_finish(&m);
    }
    buffer_finish(&bytes);
    buffer_finish(&again);
}
END_TEST

START_TEST(fields_are_what_was_packed)
{
    struct buffer bytes = {0};
    struct peer_message m;

    pack_sample(PEER_APPEND_ENTRIES, &bytes);
    ck_assert_int_eq(unpack(&bytes, &m), 0);
    ck_assert_uint_eq(m.append.prev_index, 41);
    ck_assert_uint_eq(m.append.prev_term, 3);
    ck_assert_uint_eq(m.append.commit, 40);
    ck_assert_uint_eq(m.append.entries.first, 42);
    ck_assert_uint_eq(m.append.entries.count, 3);
    ck_assert_uint_eq(m.append.entries.entries[2].term, 7);
    ck_assert_int_eq(m.append.entries.entries[1].kind, ENTRY_NOOP);
    ck_assert_ptr_null(m.append.entries.entries[1].payload);
    ck_assert_mem_eq(m.append.entries.entries[0].payload->data, "commands", 8);
    peer_message_finish(&m);

    pack_sample(PEER_REQUEST_VOTE, &bytes);
    ck_assert_int_eq(unpack(&bytes, &m), 0);
    ck_assert_uint_eq(m.vote.last_index, 1ull << 40);
    ck_assert(m.vote.disrupt);
    ck_assert(!m.vote.pre_vote);
    buffer_finish(&bytes);
}
END_TEST

/* Packing appends; a message may lie anywhere. */
START_TEST(packs_behind_what_is_there)
{
    struct buffer bytes = {0};
    struct peer_message m;
    struct error err;

    buffer_append_text(&bytes, "head");
    sample(PEER_RESIGN, &m);
    peer_message_pack(&m, &bytes);
    ck_assert_int_eq(
        peer_message_unpack(&m, (struct bytes){bytes.data + 4, bytes.size - 4}, &err),
        0);
    ck_assert_int_eq(m.kind, PEER_RESIGN);
    buffer_finish(&bytes);
}
END_TEST

START_TEST(truncated_at_every_byte)
{
    struct buffer bytes = {0};

    for (int kind = 1; kind <= KINDS; kind++) {
        size_t whole;

        pack_sample((enum peer_message_kind)kind, &bytes);
        whole = bytes.size;
        for (bytes.size = 0; bytes.size < whole; bytes.size++) {
            struct peer_message m;

            ck_assert_int_ne(unpack(&bytes, &m), 0);
        }
        /* The same with a checksum that fits. */
        for (size_t size = 5; size < whole; size++) {
            pack_sample((enum peer_message_kind)kind, &bytes);
            bytes.size = size;
            seal(&bytes);
            refused(&bytes, ERROR_INVALID);
        }
    }
    buffer_finish(&bytes);
}
END_TEST

START_TEST(each_flipped_bit_is_seen)
{
    struct buffer bytes = {0};

    for (int kind = 1; kind <= KINDS; kind++) {
        pack_sample((enum peer_message_kind)kind, &bytes);
        for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
            bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            refused(&bytes, ERROR_CORRUPT);
            bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    buffer_finish(&bytes);
}
END_TEST

START_TEST(more_bytes_than_the_message)
{
    struct buffer bytes = {0};

    for (int kind = 1; kind <= KINDS; kind++) {
        pack_sample((enum peer_message_kind)kind, &bytes);
        buffer_append_u8(&bytes, 0);
        seal(&bytes);
        refused(&bytes, ERROR_INVALID);
    }
    buffer_finish(&bytes);
}
END_TEST

START_TEST(unknown_kinds)
{
    struct buffer bytes = {0};

    for (int kind = 0; kind < 256; kind++) {
        if (kind >= 1 && kind <= KINDS)
            continue;
        pack_sample(PEER_RESIGN, &bytes);
        bytes.data[0] = (uint8_t)kind;
        seal(&bytes);
        refused(&bytes, ERROR_INVALID);
    }
    buffer_finish(&bytes);
}
END_TEST

/* Offsets in the packed sample of AppendEntries. */
#define AT_TERM        1
#define AT_PREV_INDEX  9
#define AT_PREV_TERM   17
#define AT_COUNT       33
#define AT_FIRST_TERM  37
#define AT_FIRST_KIND  45
#define AT_FIRST_SIZE  46
#define AT_SECOND_TERM 58

static void refused_with(size_t at, uint64_t value, size_t width)
{
    struct buffer bytes = {0};
    struct peer_message m;

    pack_sample(PEER_APPEND_ENTRIES, &bytes);
    ck_assert_int_eq(unpack(&bytes, &m), 0);
    peer_message_finish(&m);
    for (size_t i = 0; i < width; i++)
        bytes.data[at + i] = (uint8_t)(value >> 8 * i);
    seal(&bytes);
    refused(&bytes, ERROR_INVALID);
    buffer_finish(&bytes);
}

/* Nothing is allocated for a count that the bytes cannot hold. */
START_TEST(hostile_counts)
{
    refused_with(AT_COUNT, UINT32_MAX, 4);
    refused_with(AT_COUNT, UINT32_MAX / 13, 4);
    refused_with(AT_COUNT, 4, 4);
    refused_with(AT_COUNT, 2, 4);
    refused_with(AT_COUNT, 0, 4);
}
END_TEST

START_TEST(hostile_sizes)
{
    refused_with(AT_FIRST_SIZE, UINT32_MAX, 4);
    refused_with(AT_FIRST_SIZE, 1u << 31, 4);
    refused_with(AT_FIRST_SIZE, LIMIT_ENTRY_BYTES + 1, 4);
    refused_with(AT_FIRST_SIZE, 7, 4);
    refused_with(AT_FIRST_SIZE, 9, 4);
}
END_TEST

START_TEST(entries_above_the_limit)
{
    struct buffer bytes = {0};
    struct log_entry entry = {.term = 1,
                              .kind = ENTRY_COMMANDS,
                              .payload = blob_create(LIMIT_ENTRY_BYTES + 1)};
    struct peer_message m = {
        .kind = PEER_APPEND_ENTRIES,
        .term = 1,
        .append = {.prev_index = 1,
                   .prev_term = 1,
                   .entries = {.first = 2, .count = 1, .entries = &entry}}};

    memset(entry.payload->data, 0, entry.payload->size);
    peer_message_pack(&m, &bytes);
    refused(&bytes, ERROR_INVALID);
    entry.payload->size--;
    buffer_clear(&bytes);
    peer_message_pack(&m, &bytes);
    ck_assert_int_eq(unpack(&bytes, &m), 0);
    peer_message_finish(&m);
    blob_unref(entry.payload);
    buffer_finish(&bytes);
}
END_TEST

START_TEST(hostile_terms_and_kinds)
{
    refused_with(AT_FIRST_KIND, 0, 1);
    refused_with(AT_FIRST_KIND, 4, 1);
    refused_with(AT_FIRST_TERM, 2, 8);  /* below that of the entry before it */
    refused_with(AT_SECOND_TERM, 2, 8); /* they fall */
    refused_with(AT_SECOND_TERM, 8, 8); /* above the sender's */
    refused_with(AT_TERM, 6, 8);
    refused_with(AT_TERM, 0, 8);
    refused_with(AT_TERM, LIMIT_TERM + 1, 8);
}
END_TEST

/* Only the entry before the first one has no term. */
START_TEST(previous_entry_and_its_term_go_together)
{
    refused_with(AT_PREV_INDEX, 0, 8);
    refused_with(AT_PREV_TERM, 0, 8);
}
END_TEST

START_TEST(indexes_do_not_wrap)
{
    refused_with(AT_PREV_INDEX, UINT64_MAX, 8);
    refused_with(AT_PREV_INDEX, UINT64_MAX - 2, 8);
}
END_TEST

START_TEST(flags_are_zero_or_one)
{
    struct buffer bytes = {0};

    pack_sample(PEER_REQUEST_VOTE_RESULT, &bytes);
    bytes.data[9] = 2;
    seal(&bytes);
    refused(&bytes, ERROR_INVALID);
    buffer_finish(&bytes);
}
END_TEST

UNIT_MAIN("message",
          unit_case("round trips",
                    round_trip_of_each_kind,
                    fields_are_what_was_packed,
                    packs_behind_what_is_there),
          unit_case("damage",
                    truncated_at_every_byte,
                    each_flipped_bit_is_seen,
                    more_bytes_than_the_message),
          unit_case("hostile",
                    unknown_kinds,
                    hostile_counts,
                    hostile_sizes,
                    entries_above_the_limit,
                    hostile_terms_and_kinds,
                    previous_entry_and_its_term_go_together,
                    indexes_do_not_wrap,
                    flags_are_zero_or_one))
