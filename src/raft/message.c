/* message.c - peer messages <-> bytes. */
#include "raft/message.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"

#include <string.h>

#define ENTRY_HEAD_BYTES 13 /* u64 term, u8 kind, u32 size */
#define CRC_BYTES        4

static void pack_entries(const struct log_entries *e, struct buffer *out)
{
    buffer_append_u32(out, e->count);
    for (uint32_t i = 0; i < e->count; i++) {
        struct bytes payload = blob_view(e->entries[i].payload);

        buffer_append_u64(out, e->entries[i].term);
        buffer_append_u8(out, (uint8_t)e->entries[i].kind);
        buffer_append_u32(out, (uint32_t)payload.size);
        buffer_append(out, payload.data, payload.size);
    }
}

void peer_message_pack(const struct peer_message *m, struct buffer *out)
{
    size_t begin = out->size;

    buffer_append_u8(out, (uint8_t)m->kind);
    buffer_append_u64(out, m->term);
    switch (m->kind) {
    case PEER_APPEND_ENTRIES:
        buffer_append_u64(out, m->append.prev_index);
        buffer_append_u64(out, m->append.prev_term);
        buffer_append_u64(out, m->append.commit);
        pack_entries(&m->append.entries, out);
        break;
    case PEER_APPEND_ENTRIES_RESULT:
        buffer_append_u64(out, m->append_result.rejected);
        buffer_append_u64(out, m->append_result.last_index);
        break;
    case PEER_REQUEST_VOTE:
        buffer_append_u64(out, m->vote.last_index);
        buffer_append_u64(out, m->vote.last_term);
        buffer_append_u8(out, m->vote.disrupt);
        buffer_append_u8(out, m->vote.pre_vote);
        break;
    case PEER_REQUEST_VOTE_RESULT:
        buffer_append_u8(out, m->vote_result.granted);
        buffer_append_u8(out, m->vote_result.pre_vote);
        break;
    case PEER_TIMEOUT_NOW:
        buffer_append_u64(out, m->timeout_now.last_index);
        buffer_append_u64(out, m->timeout_now.last_term);
        break;
    case PEER_RESIGN:
        break;
    case PEER_CONFIRM:
    case PEER_CONFIRMED:
        buffer_append_u64(out, m->confirm.round);
        break;
    }
    buffer_append_u32(out, crc32c(0, out->data + begin, out->size - begin));
}

/* A cursor with a sticky error over fixed-width fields. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static const uint8_t *take(struct reader *r, size_t size)
{
    const uint8_t *at = r->at;

    if (r->bad || (size_t)(r->end - r->at) < size) {
        r->bad = true;
        return NULL;
    }
    r->at += size;
    return at;
}

static uint64_t take_u64(struct reader *r)
{
    const uint8_t *p = take(r, 8);

    return p == NULL ? 0 : load_u64(p);
}

static uint32_t take_u32(struct reader *r)
{
    const uint8_t *p = take(r, 4);

    return p == NULL ? 0 : load_u32(p);
}

static uint8_t take_u8(struct reader *r)
{
    const uint8_t *p = take(r, 1);

    return p == NULL ? 0 : *p;
}

static bool take_bool(struct reader *r)
{
    uint8_t value = take_u8(r);

    if (value > 1)
        r->bad = true;
    return value == 1;
}

/* Terms never fall from one entry to the next and are never above the sender's; only what is
 * before the first entry has none. */
static void take_entries(struct reader *r, struct peer_message *m)
{
    struct log_entries *e = &m->append.entries;
    uint32_t count = take_u32(r);
    uint64_t term = m->append.prev_term;

    if (r->bad || count > (size_t)(r->end - r->at) / ENTRY_HEAD_BYTES ||
        m->append.prev_index >= UINT64_MAX - count ||
        (m->append.prev_index == 0) != (term == 0)) {
        r->bad = true;
        return;
    }
    e->first = m->append.prev_index + 1;
    e->entries = mem_zalloc(count * sizeof(*e->entries));
    for (uint32_t i = 0; i < count; i++) {
        struct log_entry *entry = &e->entries[i];
        uint32_t size;
        const uint8_t *payload;

        entry->term = take_u64(r);
        entry->kind = (enum entry_kind)take_u8(r);
        size = take_u32(r);
        payload = take(r, size);
        if (r->bad || entry->kind < ENTRY_COMMANDS ||
            entry->kind > ENTRY_CONFIGURATION || entry->term < term ||
            entry->term == 0 || entry->term > m->term || size > LIMIT_ENTRY_BYTES) {
            r->bad = true;
            return;
        }
        term = entry->term;
        if (size > 0)
            entry->payload = blob_copy((struct bytes){payload, size});
        e->count = i + 1;
    }
}

static void take_fields(struct reader *r, struct peer_message *m)
{
    m->kind = (enum peer_message_kind)take_u8(r);
    m->term = take_u64(r);
    switch (m->kind) {
    case PEER_APPEND_ENTRIES:
        m->append.prev_index = take_u64(r);
        m->append.prev_term = take_u64(r);
        m->append.commit = take_u64(r);
        take_entries(r, m);
        return;
    case PEER_APPEND_ENTRIES_RESULT:
        m->append_result.rejected = take_u64(r);
        m->append_result.last_index = take_u64(r);
        return;
    case PEER_REQUEST_VOTE:
        m->vote.last_index = take_u64(r);
        m->vote.last_term = take_u64(r);
        m->vote.disrupt = take_bool(r);
        m->vote.pre_vote = take_bool(r);
        return;
    case PEER_REQUEST_VOTE_RESULT:
        m->vote_result.granted = take_bool(r);
        m->vote_result.pre_vote = take_bool(r);
        return;
    case PEER_TIMEOUT_NOW:
        m->timeout_now.last_index = take_u64(r);
        m->timeout_now.last_term = take_u64(r);
        return;
    case PEER_RESIGN:
        return;
    case PEER_CONFIRM:
    case PEER_CONFIRMED:
        m->confirm.round = take_u64(r);
        return;
    }
    r->bad = true;
}

int peer_message_unpack(struct peer_message *m, struct bytes bytes, struct error *err)
{
    struct reader r = {.at = bytes.data, .end = bytes.data + bytes.size};

    memset(m, 0, sizeof(*m));
    if (bytes.size < 1 + CRC_BYTES)
        return error_set(
            err, ERROR_INVALID, "peer message: %zu bytes are too few", bytes.size);
    r.end -= CRC_BYTES;
    if (load_u32(r.end) != crc32c(0, bytes.data, bytes.size - CRC_BYTES))
        return error_set(err, ERROR_CORRUPT, "peer message: checksum differs");
    take_fields(&r, m);
    if (r.bad || r.at != r.end || m->term == 0 || m->term > LIMIT_TERM) {
        int kind = (int)m->kind;

        peer_message_finish(m);
        return error_set(
            err, ERROR_INVALID, "peer message of kind %d is malformed", kind);
    }
    return 0;
}

void peer_message_finish(struct peer_message *m)
{
    if (m->kind == PEER_APPEND_ENTRIES)
        log_entries_finish(&m->append.entries);
    memset(m, 0, sizeof(*m));
}
