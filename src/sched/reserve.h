/* reserve.h - room for who waits first: reservations (docs/spec/7-scheduling.md).
 *
 * In each role that reserves, the first task that fits nowhere, and has waited for long enough,
 * gets a claim (claims.h) on the agent that is expected to have room first (forecast.h).  So what
 * comes behind it fills what is free without delaying it.  A gang gets one on all the agents that
 * have room first for all of it (gather.h).
 *
 * Agents are looked at in slices, with a part of the looks of each round.  What was found is
 * computed again whenever its agent changes, and all agents are looked at again after a minute:
 * the claim moves when another one has room sooner.
 */
#ifndef SCHED_RESERVE_H
#define SCHED_RESERVE_H

#include "sched/claims.h"
#include "sched/reservation.h"
#include "sched/spot.h"

struct reserving {
    struct reservation of[LIMIT_CLAIMS];
    uint64_t made;          /* reservations, since the beginning */
    uint64_t due_us;        /* when there is more to do though nothing happens */
    uint64_t lanes, claims; /* changes of them when they were looked at last */
    uint64_t searching;     /* for this job; 0: for none */
    uint64_t next;          /* agents before this one were looked at */
    struct gathering found; /* the best of them */
};

void reserving_reset(struct reserving *r); /* to nothing; zeroed at first */
static inline void reserving_be_due(struct reserving *r, uint64_t us)
{
    if (us < r->due_us)
        r->due_us = us;
}

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
                     struct soonest *out);

#endif
