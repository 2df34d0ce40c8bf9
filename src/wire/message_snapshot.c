/* message_snapshot.c - what two masters say while one sends a snapshot, as bytes. */
#include "wire/message_snapshot.h"

#include "base/assert.h"
#include "base/limits.h"
#include "wire/pack.h"

#include <string.h>

#define CONFIGURATION_BYTES_MAX 4096 /* a few members in libraft's encoding */

_Static_assert(LIMIT_SNAPSHOT_CHUNK_BYTES + 64 <= LIMIT_FRAME_BYTES,
               "a chunk with its envelope fits a frame");

/* ---- snapshot ---- */

void snapshot_pack(uint64_t term, const struct snapshot_meta *meta, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_SNAPSHOT);
    struct bytes configuration = blob_view(meta->configuration);

    ASSERT(configuration.size <= CONFIGURATION_BYTES_MAX);
    pack_array(out, 6);
    pack_uint(out, term);
    pack_uint(out, meta->index);
    pack_uint(out, meta->term);
    pack_uint(out, meta->configuration_index);
    pack_bytes(out, configuration);
    pack_uint(out, meta->size);
    rpc_end(out, begin);
}

int snapshot_unpack(uint64_t *term,
                    struct snapshot_meta *meta,
                    struct bytes params,
                    struct error *err)
{
    struct bytes configuration;
    struct unpack u;
    int r;

    memset(meta, 0, sizeof(*meta));
    unpack_init(&u, params);
    unpack_enter(&u);
    *term = unpack_uint(&u);
    meta->index = unpack_uint(&u);
    meta->term = unpack_uint(&u);
    meta->configuration_index = unpack_uint(&u);
    configuration = unpack_bytes(&u, CONFIGURATION_BYTES_MAX);
    meta->size = unpack_uint(&u);
    unpack_leave(&u);
    if (unpack_ok(&u) &&
        (meta->index == 0 || meta->term == 0 || meta->term > *term ||
         *term > LIMIT_TERM || meta->configuration_index > meta->index))
        unpack_fail(&u, "indexes or terms that cannot be");
    r = unpack_finish(&u, "snapshot", err);
    if (r == 0)
        meta->configuration = blob_copy(configuration);
    return r;
}

/* ---- credit ---- */

void credit_pack(uint32_t limit, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_CREDIT);

    pack_array(out, 1);
    pack_uint(out, limit);
    rpc_end(out, begin);
}

int credit_unpack(uint32_t *limit, struct bytes params, struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    *limit = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    unpack_leave(&u);
    return unpack_finish(&u, "credit", err);
}

/* ---- chunks ---- */

void chunk_pack(const struct snapshot_chunk *c, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_CHUNK);

    ASSERT(c->bytes.size <= LIMIT_SNAPSHOT_CHUNK_BYTES);
    pack_array(out, 2);
    pack_uint(out, c->number);
    pack_bytes(out, c->bytes);
    rpc_end(out, begin);
}

int chunk_unpack(struct snapshot_chunk *c, struct bytes params, struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    c->number = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    c->bytes = unpack_bytes(&u, LIMIT_SNAPSHOT_CHUNK_BYTES);
    unpack_leave(&u);
    return unpack_finish(&u, "chunk", err);
}

void chunks_end_pack(const struct chunks_end *e, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_CHUNKS_END);

    pack_array(out, 3);
    pack_uint(out, e->count);
    pack_uint(out, e->size);
    pack_uint(out, e->crc);
    rpc_end(out, begin);
}

int chunks_end_unpack(struct chunks_end *e, struct bytes params, struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    e->count = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    e->size = unpack_uint(&u);
    e->crc = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    unpack_leave(&u);
    return unpack_finish(&u, "chunks_end", err);
}

void staged_pack(struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_STAGED);

    pack_array(out, 0);
    rpc_end(out, begin);
}
