/* reserve.h - room for who waits first: reservations (docs/spec/7-scheduling.md).
 *
 * In each role that reserves, the first task that fits nowhere, and has waited for long enough,
 * gets a claim (claims.h) on the agent that is expected to have room first (forecast.h).  So what
 * comes behind it fills what is free without delaying it.
 *
 * Agents are looked at in slices, with a part of the looks of each round.  What was found is
 * computed again whenever its agent changes, and all agents are looked at again after a minute:
 * the claim moves when another one has room sooner.
 */
#ifndef SCHED_RESERVE_H
#define SCHED_RESERVE_H

#include "sched/claims.h"
#include "sched/forecast.h"

#define RESERVE_AGAIN_US 60000000ull /* then all agents are looked at again */

struct sched;

/* Beside the claim of the same number. */
struct reservation {
    uint64_t again_us; /* when all agents are looked at again */
    uint64_t seen;     /* changes of its agent that it knows of */
    uint32_t ends;     /* tasks that have to end first */
};

struct reserving {
    struct reservation of[LIMIT_CLAIMS];
    uint64_t made;          /* reservations, since the beginning */
    uint64_t due_us;        /* when there is more to do though nothing happens */
    uint64_t lanes, claims; /* changes of them when they were looked at last */
    uint64_t searching;     /* for this job; 0: for none */
    uint64_t next;          /* agents before this one were looked at */
    struct forecast found;  /* the best of them */
};

/* What a round gives it. */
struct reserve_view {
    struct sched *sched;
    struct outlook outlook; /* with all but the demand */
    unsigned looks;         /* that it has left in this round */
};

void reserving_reset(struct reserving *r);
/* Who waits first in each role gets room, as far as looks last.  False when they did not: to be
 * called again in the next round. */
bool reserve_all(struct reserve_view *v);
/* The same for one role, in which this shape fell asleep. */
bool reserve_asleep(struct reserve_view *v, const struct shape *shape);

/* Where and when there will be room for the first job of a shape, if nothing comes before it.
 * False when *looks, which goes down, did not last, or there never is. */
bool reserve_soonest(struct sched *s,
                     const struct state *state,
                     uint64_t now_us,
                     const struct shape *shape,
                     unsigned *looks,
                     struct forecast *out);

#endif
