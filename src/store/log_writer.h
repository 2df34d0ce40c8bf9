/* log_writer.h - makes log operations durable, on a thread of its own.
 *
 * Group commit: everything that was queued while the last transaction was on its way
 * goes into the next one, in order.  So one operation costs two syncs when it is alone,
 * and a thousand cost the same two together.  The whole conversation is "here are
 * operations" and "durable up to sequence n"; n is the sequence of an operation that is
 * on disk with all before it.
 *
 * All functions are for the loop thread.
 */
#ifndef STORE_LOG_WRITER_H
#define STORE_LOG_WRITER_H

#include "store/hooks.h"
#include "store/raft_log.h"

/* Commits that took less than 1, 2, 4, … microseconds; the last one: all slower ones.
 */
#define LOG_WRITER_BUCKETS 24

struct log_writer_stats {
    uint64_t commits;
    uint64_t operations;
    uint64_t entries;
    uint64_t payload_bytes;
    uint64_t commit_us_total;
    uint64_t commit_us_max;
    uint64_t commit_us_buckets[LOG_WRITER_BUCKETS];
    uint64_t queued;     /* operations not durable yet */
    uint64_t free_bytes; /* lmdb_free_bytes(), at most a second old */
};

struct log_writer;

/* The log and its environment are the writer's until log_writer_stop(). */
struct log_writer *log_writer_start(struct raft_log *log,
                                    struct lmdb *env,
                                    const struct store_hooks *hooks);

/* Make all that was submitted durable, end the thread, free.  NULL is fine. */
void log_writer_stop(struct log_writer *w);

/* Takes the operations; their sequences go on from the last one's, the first is 1. */
void log_writer_submit(struct log_writer *w, struct log_op_list *ops);

uint64_t log_writer_durable(const struct log_writer *w);

/* Store the cluster's id, once it is known (data_dir.h); durable with a later commit.
 */
void log_writer_store_cluster_id(struct log_writer *w, const uint8_t id[16]);

void log_writer_stats(struct log_writer *w, struct log_writer_stats *out);

#endif
