/* message_snapshot.h - what two masters say to each other while one sends a snapshot
 * (joint 13).  All are notifies; the order is in net/bulk.h.
 *
 * Packers append whole frames.  Unpackers take the params of one; views point into them.
 */
#ifndef WIRE_MESSAGE_SNAPSHOT_H
#define WIRE_MESSAGE_SNAPSHOT_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/log.h"
#include "wire/rpc.h"

#include <stdint.h>

/* The sender's term, and the snapshot.  Unpacked, meta is the caller's to finish. */
void snapshot_pack(uint64_t term, const struct snapshot_meta *meta, struct buffer *out);
int snapshot_unpack(uint64_t *term,
                    struct snapshot_meta *meta,
                    struct bytes params,
                    struct error *err);

/* Chunks with a number below `limit` may be sent. */
void credit_pack(uint32_t limit, struct buffer *out);
int credit_unpack(uint32_t *limit, struct bytes params, struct error *err);

struct snapshot_chunk {
    uint32_t number;    /* from 0 */
    struct bytes bytes; /* at most LIMIT_SNAPSHOT_CHUNK_BYTES */
};
void chunk_pack(const struct snapshot_chunk *c, struct buffer *out);
int chunk_unpack(struct snapshot_chunk *c, struct bytes params, struct error *err);

struct chunks_end {
    uint32_t count;
    uint64_t size;
    uint32_t crc; /* CRC32C of all bytes */
};
void chunks_end_pack(const struct chunks_end *e, struct buffer *out);
int chunks_end_unpack(struct chunks_end *e, struct bytes params, struct error *err);

/* Everything is on the receiver's disk.  It has no params. */
void staged_pack(struct buffer *out);

#endif
