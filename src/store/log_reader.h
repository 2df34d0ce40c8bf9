/* log_reader.h - reads entries back from the log, on a thread of its own.
 *
 * For entries that the replica no longer has in memory (joint 3): a follower far
 * behind, or applying after a start.  Each read is one short transaction and copies
 * out.  It sees what is durable at that moment; the caller compares terms with its own
 * table, because entries may have been replaced while the answer was on its way.
 *
 * All functions are for the loop thread.
 */
#ifndef STORE_LOG_READER_H
#define STORE_LOG_READER_H

#include "store/hooks.h"
#include "store/raft_log.h"

struct log_read {
    uint64_t ticket;
    struct log_entries entries; /* count 0: `first` is not in the log */
};

struct log_reader;

struct log_reader *log_reader_start(struct lmdb *env, const struct store_hooks *hooks);
void log_reader_stop(
    struct log_reader *r); /* drops what was not answered; NULL is fine */

/* At most `count` entries and max_bytes of payload, but at least one entry. */
void log_reader_read(struct log_reader *r,
                     uint64_t from,
                     uint32_t count,
                     size_t max_bytes,
                     uint64_t ticket);

/* The next answer, in the order of the calls; the entries become the caller's. */
bool log_reader_next(struct log_reader *r, struct log_read *out);

#endif
