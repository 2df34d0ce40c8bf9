/* raft_log.h - the log, the term and the vote of one master in LMDB (docs/spec/5).
 *
 * The log holds the entries base + 1 … last.  Trimming and resetting only move `base`,
 * which is durable at once; the records at and below it are swept later, slice by
 * slice, and count for nothing meanwhile.
 *
 * Opening settles the log against the current snapshot, then raft_log_load() gives
 * every entry once.  After that one thread (log_writer.h) applies operations, and
 * raft_log_read() may run on another: it shares nothing but the environment.
 */
#ifndef STORE_RAFT_LOG_H
#define STORE_RAFT_LOG_H

#include "store/lmdb.h"
#include "wire/log.h"

/* The environment `log`.  META also keeps the records of data_dir.h. */
enum { RAFT_LOG_ENTRIES, RAFT_LOG_META };
extern const struct lmdb_schema raft_log_schema;

/* What the log must know of the current snapshot; index 0: there is none. */
struct snapshot_point {
    uint64_t index;
    uint64_t term;
    bool reset; /* it came from a peer: the log is void unless it begins at or after it
                 */
};

struct raft_log_state {
    uint64_t term;
    uint64_t vote; /* 0: none in this term */
    uint64_t base; /* the log begins after this index */
    uint64_t last; /* base when there are no entries */
    uint64_t last_term;
};

struct raft_log;

/* Finish what a crash cut off: a log that ends before the snapshot, or that an
 * installed snapshot replaced, is dropped.  A log that contradicts the snapshot is
 * ERROR_CORRUPT. */
int raft_log_open(struct raft_log **out,
                  struct lmdb *env,
                  const struct snapshot_point *snapshot,
                  struct error *err);
void raft_log_close(
    struct raft_log *log); /* NULL is fine; the environment stays open */

/* Called for each entry in order; the payload is valid during the call.  Not 0 ends it.
 */
typedef int raft_log_visit(void *arg,
                           uint64_t index,
                           uint64_t term,
                           enum entry_kind kind,
                           struct bytes payload,
                           struct error *err);

/* Verify every record: CRC, no gaps, terms that never fall or exceed the current one.
 */
int raft_log_load(struct raft_log *log,
                  raft_log_visit *visit,
                  void *arg,
                  struct raft_log_state *state,
                  struct error *err);

/* Write the first records of a new log into an empty environment (data_dir_found()). */
void raft_log_found(struct lmdb_txn *t, struct bytes configuration);

/* Take part in a transaction with one operation.  It must fit the log: an append begins
 * after base and not after last + 1, a trim does not go beyond last. */
void raft_log_apply(struct raft_log *log, struct lmdb_txn *t, const struct log_op *op);

/* Remove a slice of what lies at or below base; false when nothing is left there. */
bool raft_log_sweep(struct raft_log *log, struct lmdb_txn *t);
bool raft_log_needs_sweep(const struct raft_log *log);

/* Copies of at most `count` entries from `from` on, as many as have at most max_bytes
 * of payload, but at least one.  None (count 0) when `from` is not in the log (any
 * more). */
int raft_log_read(struct lmdb *env,
                  uint64_t from,
                  uint32_t count,
                  size_t max_bytes,
                  struct log_entries *out,
                  struct error *err);

#endif
