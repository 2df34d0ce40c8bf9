/* snapshot_records.h - snapshots as records of the environment `snap` (docs/spec/5).
 *
 * A snapshot is chunks under its id, and becomes the current one when the header
 * `current` that names the id commits.  Chunks of no use are swept in slices.  No
 * thread in here.
 */
#ifndef STORE_SNAPSHOT_RECORDS_H
#define STORE_SNAPSHOT_RECORDS_H

#include "store/lmdb.h"
#include "wire/log.h"

/* META also keeps the records of data_dir.h. */
enum { SNAPSHOTS_META, SNAPSHOTS_CHUNKS };
extern const struct lmdb_schema snapshots_schema;

struct snapshot_info {
    uint64_t id; /* local to this directory; 0: there is no snapshot */
    struct snapshot_meta meta;
    uint32_t chunks; /* numbers 0 … chunks - 1 */
    uint32_t crc;    /* CRC32C of all its bytes */
    bool reset;      /* it came from a peer: the log before it is void */
};

void snapshot_info_finish(struct snapshot_info *info);
/* `to` is finished first; a zeroed one is fine. */
void snapshot_info_copy(struct snapshot_info *to, const struct snapshot_info *from);

void snapshot_put_current(struct lmdb_txn *t, const struct snapshot_info *info);
/* False: there is none, or the transaction failed.  `info` is zeroed before. */
bool snapshot_get_current(struct lmdb_txn *t, struct snapshot_info *info);

void snapshot_put_chunk(struct lmdb_txn *t,
                        uint64_t id,
                        uint32_t number,
                        struct bytes bytes);
/* A chunk that is missing fails the transaction. */
bool snapshot_get_chunk(struct lmdb_txn *t,
                        uint64_t id,
                        uint32_t number,
                        struct bytes *bytes);

/* The largest id that has chunks, or 0. */
uint64_t snapshot_last_id(struct lmdb_txn *t);

/* Remove a slice of the chunks whose id is not among `kept`; false when none are left.
 */
bool snapshot_sweep(struct lmdb_txn *t, const uint64_t *kept, size_t count);

#endif
