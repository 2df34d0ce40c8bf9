/* store.h - a simulated disk for one master: the log FIFO and the snapshots (joint 4).
 *
 * What was not reported durable may be lost in a crash: the batch on its way is wholly there or
 * not at all (an LMDB transaction), what waits behind it is gone.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include "base/buffer.h"
#include "wire/log.h"
#include "world.h"

struct sim_snapshot {
    struct snapshot_meta meta;
    struct buffer bytes;
};

struct sim_store;

struct sim_store_calls {
    void (*durable)(void *user, uint64_t sequence);
    void (*read)(void *user, uint64_t peer, struct log_entries *entries);
    void (*snapshot_written)(void *user);
    void (*snapshot_saved)(void *user);
    void (*snapshot_promoted)(void *user);
    void (*snapshot_loaded)(void *user, struct bytes bytes, bool last);
};

struct sim_store {
    struct world *world;
    struct sim_store_calls calls;
    void *user;
    uint64_t incarnation; /* grows at each crash: old completions are void */
    uint64_t paused_until_us;
    uint64_t latency_us; /* of a commit */

    /* durable */
    uint64_t term, vote;
    uint64_t first; /* of entries */
    struct log_entry *entries;
    size_t count, capacity;
    struct sim_snapshot current;

    /* volatile */
    struct log_op_list queue;
    struct log_op_list flying;
    bool flying_any;
    struct sim_snapshot writing;
    struct sim_snapshot staged;
    struct sim_snapshot promoting; /* staged, when the promotion was asked for */
    uint64_t snap_ready_us; /* the snapshot thread does one thing after another */
    size_t loaded_to;
    uint64_t commits, lost_batches, kept_batches;
};

void sim_store_init(struct sim_store *s,
                    struct world *w,
                    struct sim_store_calls calls,
                    void *user);
void sim_store_finish(struct sim_store *s);
/* Found: entry 1 and term 1, at once durable. */
void sim_store_found(struct sim_store *s, struct blob *configuration);

void sim_store_submit(struct sim_store *s, struct log_op *op);
void sim_store_read(
    struct sim_store *s, uint64_t peer, uint64_t from, uint32_t count, size_t bytes);
void sim_store_snapshot_begin(struct sim_store *s,
                              struct snapshot_meta *meta);              /* takes it */
void sim_store_snapshot_chunk(struct sim_store *s, struct blob *chunk); /* borrows it */
void sim_store_snapshot_commit(struct sim_store *s);
void sim_store_snapshot_abandon(struct sim_store *s);
void sim_store_stage(struct sim_store *s,
                     const struct sim_snapshot *snapshot); /* copies */
void sim_store_promote(struct sim_store *s);
void sim_store_load(struct sim_store *s, size_t piece);

void sim_store_crash(struct sim_store *s);

/* The whole durable log, references taken, as a starting master reads it. */
struct log_entries sim_store_log(const struct sim_store *s);
uint64_t sim_store_last(const struct sim_store *s);
/* Term of a durable entry; 0: not there.  An index in the snapshot counts as UINT64_MAX. */
uint64_t sim_store_holds(const struct sim_store *s, uint64_t index);

void sim_snapshot_copy(struct sim_snapshot *to, const struct sim_snapshot *from);
void sim_snapshot_finish(struct sim_snapshot *s);

#endif
