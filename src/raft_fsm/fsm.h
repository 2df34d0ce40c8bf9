/* fsm.h - the replicated state machine: entries in, results and effects out.
 *
 * Total and deterministic: every entry that decodes has one defined result on every
 * master, and one that does not decode changes nothing but the index.  A rejected
 * command changes nothing else than the index and the stamp.
 *
 * Effects are hints for the leader (joint 9): what might be worth doing now.  They
 * carry ids, no pointers; a leader that missed them derives the same from the state.
 */
#ifndef RAFT_FSM_FSM_H
#define RAFT_FSM_FSM_H

#include "base/buffer.h"
#include "raft_fsm/state.h"

#include <stdint.h>

struct result {
    enum error_code code; /* ERROR_NONE, or why the command was rejected */
    uint64_t id;          /* submit: job; agent_register: agent; place: number accepted;
                           * task_update: number that changed something */
    uint64_t index; /* index at which it took effect (the first time, for a repeat) */
};

enum effect_kind {
    EFFECT_LAUNCH,  /* id = attempt, agent = where */
    EFFECT_KILL,    /* id = attempt, agent = where: it is to end */
    EFFECT_UPDATED, /* id = attempt, agent = who reported: may be acknowledged */
    EFFECT_AGENT,   /* agent changed its state or spec */
    EFFECT_JOB,     /* id = job: it changed its state, or has tasks to place again,
                     * or none any more; with an agent: the one there is to be placed */
    EFFECT_FREED, /* id = job: resources of an attempt of it are free again, or its lease ran
                     * out, which gives back its place alone */
    EFFECT_ROLE, /* id = role: it was set, or is gone */
};

struct effect {
    enum effect_kind kind;
    uint64_t id;
    uint64_t agent;
};

/* Grows as needed; the caller clears it (counts = 0) when it has read it. */
struct outcome {
    struct result *results; /* one for each command of the entries, in order */
    size_t result_count, result_capacity;
    struct effect *effects;
    size_t effect_count, effect_capacity;
};

void outcome_clear(struct outcome *o);
void outcome_finish(struct outcome *o);

/* Apply the entry at `index` (the next one) of `term`.  out may be NULL (a follower).
 * Returns a measure of the work done, about 1 for a small command, placement or report:
 * about a microsecond. */
size_t fsm_apply(struct state *s,
                 uint64_t index,
                 uint64_t term,
                 struct bytes entry,
                 struct outcome *out);

/* An entry without commands (no-op, configuration): only the index moves. */
void fsm_skip(struct state *s, uint64_t index, uint64_t term);

/* ---- snapshots (docs/spec/5-log-and-snapshots.md) ----
 *
 * A walk gives the state as it was at snapshot_begin(), in slices, while applying goes
 * on.  One walk at a time.  Bytes are the same on every master for the same index. */
void snapshot_begin(struct state *s);
/* Append about `budget` bytes to out, in whole records; nothing when the slice met only
 * what is not part of the snapshot.  True while there is more. */
bool snapshot_next(struct state *s, struct buffer *out, size_t budget);
void snapshot_end(struct state *s); /* also to give up half-way */

/* Restore into a fresh state: feed the bytes in order, in pieces of any size.  After an
 * error only restore_abandon() is of use.  All of it touches nothing but the new state,
 * so it may run on another thread. */
struct restore;
struct restore *restore_begin(void);
int restore_feed(struct restore *r, struct bytes piece, struct error *err);
/* Rebuilds what is derived and verifies every invariant and the digest that the snapshot
 * names.  Frees r, also on failure.  The caller compares index and term of the state with
 * those that it expects: nothing in the bytes vouches for them. */
int restore_end(struct restore *r, struct state **out, struct error *err);
void restore_abandon(struct restore *r); /* NULL is fine */

#endif
