/* reservation.h - the claim of who waits first, and when its places have room
 * (docs/spec/7-scheduling.md, "Reservations").
 *
 * A reservation is a claim (claims.h) with what is known of each of its places: one, or those of a
 * gang.  A place is looked at again when its agent has changed.  The time of the claim is that of
 * the last place; what is beyond a place is what is left there at that time.
 */
#ifndef SCHED_RESERVATION_H
#define SCHED_RESERVATION_H

#include "sched/claims.h"
#include "sched/spot.h"

#define RESERVE_AGAIN_US 60000000ull /* then all agents are looked at again */

/* Of a claim on one agent. */
struct reserved {
    uint64_t seen; /* changes of the agent that it knows of */
    uint64_t from_us, at_us;
    uint32_t ends; /* tasks that have to end there first */
};

/* Beside the claim of the same number. */
struct reservation {
    uint64_t again_us;    /* when all agents are looked at again */
    uint64_t from_us;     /* when all places have room (forecast.h) */
    struct reserved *of;  /* beside its places; owned */
    size_t capacity;
};

/* Room is kept on the agents that were found (gathering_end()); this is the last of them to have
 * some, and what is beyond there.  False: there are too many claims. */
bool reservation_make(struct reserve_view *v,
                      const struct shape *shape,
                      const struct job *j,
                      const struct gathering *g,
                      const struct step *last,
                      const struct resources *beyond);
/* Places whose agents have changed have another time, or have ended, as far as looks last: one at
 * least.  All agents are to be looked at again when it is later, or places were given up. */
void reservation_look(struct reserve_view *v, int claim);
/* All of it is looked at then. */
void reservation_forget(struct sched *s, int claim);
/* Its agents are as they were. */
bool reservation_is_known(const struct sched *s, int claim);

/* When all places have room. */
struct reserved reservation_last(const struct sched *s, int claim);
/* Tasks that have to end first, on all its agents. */
uint32_t reservation_ends(const struct sched *s, int claim);
/* It gave up agents. */
bool reservation_is_in_parts(const struct claim *c);

#endif
