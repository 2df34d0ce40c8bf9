/* rebalance.h - running tasks of services that would be better elsewhere by now
 * (docs/spec/17-rebalance.md).
 *
 * A pass goes over all jobs by their ids, some in each call, from behind the last one of which a
 * task was moved.  Each task that may be moved (raft_fsm/move.h) is looked at as if it was not there:
 * what the best other agent would score with it, and its own one.  The first of a job that gains
 * enough is told to end, and a place on the other agent is kept for it (claims.h).  How many of each
 * role that were in the last minute is counted here: the next leader begins with none.  What was
 * refused is left alone until something of it changes.
 *
 * Called between rounds, when no batch of placements is on its way. */
#ifndef SCHED_REBALANCE_H
#define SCHED_REBALANCE_H

#include "sched/budget.h"
#include "sched/refusals.h"

#include <stdbool.h>
#include <stdint.h>

#define REBALANCE_PASS_MS    10000u
#define REBALANCE_SETTLED_MS 300000u
#define REBALANCE_GAIN       100u   /* thousandths of a score: for less nothing moves */
#define REBALANCE_KEPT_MS    60000u /* its place, when a task that moves has ended */
#define REBALANCE_TASKS      65536u /* services with more tasks are left alone, … */
#define REBALANCE_COUNTED    4096u /* … and those of more that count for each other */

struct sched;

struct rebalance_pace {
    uint64_t pass_us;    /* from the begin of a pass to that of the next, at least */
    uint64_t settled_us; /* after it was placed an attempt is left where it is */
};
#define REBALANCE_PACE                                    \
    ((struct rebalance_pace){REBALANCE_PASS_MS * 1000ull, \
                             REBALANCE_SETTLED_MS * 1000ull})

struct move {
    uint64_t attempt, agent;
};

/* True when there is one to propose: then sched_moved() comes before the next call.  Time only
 * grows.  *more: it has not looked at all that it wanted to, call it again soon. */
bool sched_rebalance(struct sched *s,
                     const struct state *state,
                     const struct rebalance_pace *pace,
                     uint64_t now_us,
                     struct move *out,
                     bool *more);
/* It was applied, or refused. */
void sched_moved(struct sched *s, bool is_done);

/* ---- for struct sched ---- */

struct rebalancing {
    bool is_on;        /* a pass goes on: … */
    uint64_t next_us;  /* … else the next one does not begin before */
    uint64_t looked;   /* looks that it took */
    uint64_t last;     /* job of which a task was moved: a pass begins behind it … */
    uint64_t from;     /* … and, when it has come to the end … */
    bool has_turned;   /* … and begun at the first one, ends with this one */
    uint64_t job;      /* those before are done, … */
    uint32_t instance; /* … and tasks of it before this one */
    struct refusal proposed;
    bool is_young; /* that is not in the state yet */
    struct budget budget;
    struct refusals refusals;
};

void rebalancing_init(struct rebalancing *r);
void rebalancing_finish(struct rebalancing *r);

#endif
