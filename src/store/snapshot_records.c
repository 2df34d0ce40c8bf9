/* snapshot_records.c - snapshots as records of the environment `snap` (docs/spec/5). */
#include "store/snapshot_records.h"

#include <inttypes.h>
#include <stdio.h>

#define HEADER_BYTES    49 /* then the configuration */
#define CHUNK_KEY_BYTES 12

/* A chunk takes up to 129 pages, so this is as many as a thousand small log entries. */
#define SWEEP_CHUNKS 64

static void store_big_endian(uint8_t *to, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(number >> 8 * (bytes - 1 - i));
}

static uint64_t load_big_endian(const uint8_t *from, unsigned bytes)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < bytes; i++)
        number = number << 8 | from[i];
    return number;
}

/* Big-endian, so that chunks stand in the order of id and number. */
static struct bytes
chunk_key(uint8_t key[CHUNK_KEY_BYTES], uint64_t id, uint32_t number)
{
    store_big_endian(key, id, 8);
    store_big_endian(key + 8, number, 4);
    return (struct bytes){key, CHUNK_KEY_BYTES};
}

static uint64_t key_id(struct bytes key)
{
    return key.size == CHUNK_KEY_BYTES ? load_big_endian(key.data, 8) : 0;
}

static void describe_chunk(struct bytes key, char *text, size_t size)
{
    snprintf(text,
             size,
             "chunk %" PRIu64 " of snapshot %" PRIu64,
             key.size == CHUNK_KEY_BYTES ? load_big_endian(key.data + 8, 4) : 0,
             key_id(key));
}

const struct lmdb_schema snapshots_schema = {
    .count = 2,
    .databases = {[SNAPSHOTS_META] = {"meta", 0, lmdb_describe_text},
                  [SNAPSHOTS_CHUNKS] = {"chunks", 0, describe_chunk}},
};

void snapshot_info_finish(struct snapshot_info *info)
{
    snapshot_meta_finish(&info->meta);
    *info = (struct snapshot_info){0};
}

void snapshot_info_copy(struct snapshot_info *to, const struct snapshot_info *from)
{
    struct snapshot_meta meta = to->meta;

    snapshot_meta_copy(&meta, &from->meta);
    *to = *from;
    to->meta = meta;
}

void snapshot_put_current(struct lmdb_txn *t, const struct snapshot_info *info)
{
    struct buffer b = {0};

    buffer_append_u64(&b, info->id);
    buffer_append_u64(&b, info->meta.index);
    buffer_append_u64(&b, info->meta.term);
    buffer_append_u64(&b, info->meta.configuration_index);
    buffer_append_u64(&b, info->meta.size);
    buffer_append_u32(&b, info->chunks);
    buffer_append_u32(&b, info->crc);
    buffer_append_u8(&b, info->reset);
    struct bytes configuration = blob_view(info->meta.configuration);

    buffer_append(&b, configuration.data, configuration.size);
    lmdb_put(t, SNAPSHOTS_META, lmdb_text("current"), buffer_view(&b));
    buffer_finish(&b);
}

bool snapshot_get_current(struct lmdb_txn *t, struct snapshot_info *info)
{
    struct bytes value;
    const uint8_t *p;

    *info = (struct snapshot_info){0};
    if (!lmdb_get(t, SNAPSHOTS_META, lmdb_text("current"), &value))
        return false;
    if (value.size < HEADER_BYTES) {
        lmdb_fail(t,
                  ERROR_CORRUPT,
                  "%s: record 'current' has a wrong size",
                  lmdb_path(t->env));
        return false;
    }
    p = value.data;
    info->id = load_u64(p);
    info->meta.index = load_u64(p + 8);
    info->meta.term = load_u64(p + 16);
    info->meta.configuration_index = load_u64(p + 24);
    info->meta.size = load_u64(p + 32);
    info->chunks = load_u32(p + 40);
    info->crc = load_u32(p + 44);
    info->reset = p[48] != 0;
    if (value.size > HEADER_BYTES)
        info->meta.configuration =
            blob_copy((struct bytes){p + HEADER_BYTES, value.size - HEADER_BYTES});
    return true;
}

void snapshot_put_chunk(struct lmdb_txn *t,
                        uint64_t id,
                        uint32_t number,
                        struct bytes bytes)
{
    uint8_t key[CHUNK_KEY_BYTES];

    lmdb_put(t, SNAPSHOTS_CHUNKS, chunk_key(key, id, number), bytes);
}

bool snapshot_get_chunk(struct lmdb_txn *t,
                        uint64_t id,
                        uint32_t number,
                        struct bytes *bytes)
{
    uint8_t key[CHUNK_KEY_BYTES];

    if (lmdb_get(t, SNAPSHOTS_CHUNKS, chunk_key(key, id, number), bytes))
        return true;
    lmdb_fail(t,
              ERROR_CORRUPT,
              "%s: chunk %" PRIu32 " of snapshot %" PRIu64 " is missing",
              lmdb_path(t->env),
              number,
              id);
    return false;
}

uint64_t snapshot_last_id(struct lmdb_txn *t)
{
    struct bytes key;

    return lmdb_last(t, SNAPSHOTS_CHUNKS, &key) ? key_id(key) : 0;
}

static bool is_kept(uint64_t id, const uint64_t *kept, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (kept[i] == id)
            return true;
    }
    return false;
}

bool snapshot_sweep(struct lmdb_txn *t, const uint64_t *kept, size_t count)
{
    uint8_t from[CHUNK_KEY_BYTES];
    struct bytes key;
    uint64_t id = 0;

    for (unsigned removed = 0; removed < SWEEP_CHUNKS;) {
        if (!lmdb_seek(t, SNAPSHOTS_CHUNKS, chunk_key(from, id, 0), &key))
            return false;
        id = key_id(key);
        if (is_kept(id, kept, count)) {
            id++;
        } else {
            lmdb_remove_here(t, SNAPSHOTS_CHUNKS);
            removed++;
        }
    }
    return true;
}
