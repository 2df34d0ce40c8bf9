/* log.h - log entries, log operations and snapshot headers: the words that the replica and the
 * store share (docs/spec/5-log-and-snapshots.md, joint 4).
 *
 * The replica says what is to become durable as a FIFO of operations with growing sequence
 * numbers; the store says "durable up to sequence n".  Nothing else passes between them on the
 * way of a commit.
 */
#ifndef WIRE_LOG_H
#define WIRE_LOG_H

#include "base/blob.h"

#include <bsd/sys/queue.h>
#include <stdint.h>

/* On disk and on the wire. */
enum entry_kind {
    ENTRY_COMMANDS = 1,      /* wire/command.h */
    ENTRY_NOOP = 2,          /* the first entry of a leader */
    ENTRY_CONFIGURATION = 3, /* members, in libraft's encoding */
};

struct log_entry {
    uint64_t term;
    enum entry_kind kind;
    uint32_t size; /* of its payload, also when that is not in memory (log_memory.h) */
    struct blob *payload; /* one reference, owned; NULL when empty or not in memory */
};

struct log_entries { /* entries first, first + 1, … */
    uint64_t first;
    uint32_t count;
    struct log_entry *entries; /* owned, and the references in it */
};

void log_entries_finish(struct log_entries *e);

enum log_op_kind {
    LOG_META,   /* term and vote */
    LOG_APPEND, /* drop everything from entries.first on, then append: one transaction */
    LOG_TRIM, /* entries up to and including trim_to are in a snapshot: drop, in slices */
    LOG_RESET, /* drop the whole log; the next entry will be reset_to + 1 */
};

struct log_op {
    STAILQ_ENTRY(log_op) link;
    uint64_t sequence; /* from 1, growing by 1 for each op of a process */
    enum log_op_kind kind;
    union {
        struct {
            uint64_t term;
            uint64_t vote; /* 0: none in this term */
        } meta;
        struct log_entries append;
        uint64_t trim_to;
        uint64_t reset_to;
    };
};

STAILQ_HEAD(log_op_list, log_op);

void log_op_destroy(struct log_op *op); /* NULL is fine */

/* A snapshot's header: what the log must know of it.  The bytes are fsm.h's. */
struct snapshot_meta {
    uint64_t index; /* state after this entry; 0: no snapshot */
    uint64_t term;  /* of that entry */
    uint64_t configuration_index;
    struct blob *configuration; /* libraft's encoding; one reference */
    uint64_t size;              /* bytes of the snapshot */
};

void snapshot_meta_finish(struct snapshot_meta *m);
void snapshot_meta_copy(struct snapshot_meta *to, const struct snapshot_meta *from);

#endif
