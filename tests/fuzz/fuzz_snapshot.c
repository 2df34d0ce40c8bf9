/* fuzz_snapshot.c - bytes that claim to be a snapshot.
 *
 * No fuzzer finds a right digest, so each input is tried a second time with its hashes made
 * right.  What is believed must keep every invariant, give the same bytes again, and bear
 * commands. */
#include "base/assert.h"
#include "raft_fsm/fsm.h"
#include "raft_fsm/snapshot.h"
#include "tests/lib/fsm_workload.h"

#include <string.h>

#define ENTRIES 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where the hash of the body is in a record of a table with bodies; 0 if nowhere. */
static size_t body_hash_at(const uint8_t *record, size_t size)
{
    const size_t agent = 82, job_key = 89;

    if (size > agent && record[0] == TABLE_AGENTS)
        return agent;
    if (size > job_key && record[0] == TABLE_JOBS)
        return job_key + 1 + record[job_key];
    return 0;
}

/* Make the hash of a body right; the size of the head.  Later fields stand between the size
 * of the body and the body, which is the end of the record. */
static size_t repair_body(uint8_t *record, size_t size)
{
    size_t at = body_hash_at(record, size), head = at + HASH128_BYTES + 4, body;
    struct hash128 hash;

    if (at == 0 || head > size)
        return size;
    body = load_u32(record + at + HASH128_BYTES);
    if (body > size - head)
        return size;
    head = size - body;
    hash = hash128_of((struct bytes){record + head, size - head});
    store_u64(record + at, hash.low);
    store_u64(record + at + 8, hash.high);
    return head;
}

/* Make all hashes of a snapshot right. */
static void repair(uint8_t *data, size_t size)
{
    struct hash128 digest = {0};
    size_t at = SNAPSHOT_HEADER_BYTES;

    while (at + 4 < size) {
        size_t length = load_u32(data + at), head;
        uint8_t *record = data + at + 4;

        if (length == 0 || length > size - at - 4)
            return;
        if (record[0] == TABLE_END && length == 1 + HASH128_BYTES) {
            store_u64(record + 1, digest.low);
            store_u64(record + 9, digest.high);
            return;
        }
        head = repair_body(record, length);
        digest = hash128_add(digest, hash128_of((struct bytes){record, head}));
        at += 4 + length;
    }
}

static void use(struct state *s, struct bytes bytes)
{
    struct buffer again = {0}, entry = {0};
    struct workload w;

    state_check(s);
    snapshot_begin(s);
    while (snapshot_next(s, &again, 64))
        ;
    snapshot_end(s);
    ASSERT(again.size == bytes.size && memcmp(again.data, bytes.data, again.size) == 0);
    workload_init(&w, bytes.size);
    for (int i = 0; i < ENTRIES && s->index < UINT64_MAX; i++) {
        workload_entry(&w, s, &entry);
        fsm_apply(s, s->index + 1, s->term, buffer_view(&entry), NULL);
        state_check(s);
    }
    workload_finish(&w);
    buffer_finish(&again);
    buffer_finish(&entry);
}

static void try(struct bytes bytes)
{
    struct restore *r = restore_begin();
    struct state *s;
    size_t half = bytes.size / 2;

    if (restore_feed(r, (struct bytes){bytes.data, half}, NULL) != 0 ||
        restore_feed(r, (struct bytes){bytes.data + half, bytes.size - half}, NULL) !=
            0) {
        restore_abandon(r);
        return;
    }
    if (restore_end(r, &s, NULL) != 0)
        return;
    use(s, bytes);
    state_destroy(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer repaired = {0};

    if (size == 0)
        return 0;
    try((struct bytes){data, size});
    buffer_append(&repaired, data, size);
    repair(repaired.data, repaired.size);
    try(buffer_view(&repaired));
    buffer_finish(&repaired);
    return 0;
}
