/* internal.h - the parts of the scheduler. */
#ifndef SCHED_INTERNAL_H
#define SCHED_INTERNAL_H

#include "sched/claims.h"
#include "sched/fleet.h"
#include "sched/lanes.h"
#include "sched/preempt.h"
#include "sched/rebalance.h"
#include "sched/reserve.h"
#include "sched/round.h"
#include "sched/systems.h"

struct sched {
    unsigned looks;     /* that each round has */
    struct fleet fleet; /* where */
    struct lanes lanes; /* what */
    struct claims claims;
    struct systems systems; /* and what belongs to an agent */
    struct reserving reserving;
    struct preempting preempting;   /* whose place is taken */
    struct rebalancing rebalancing; /* what runs would be better elsewhere */
    uint64_t now_us;                /* of the last round */

    /* Sleeping shapes are compared with the agents that have grown in the order of turns; how far
     * that came is in the cursors of lanes.  When an agent grows, it begins again: at once,
     * or after the end when the looks of a round were not enough to get there; then in
     * the next round, so that who is behind all that sleeps gets a turn between the two. */
    struct {
        uint64_t epoch;
        bool was_cut;
        bool again;
    } waking;

    /* Jobs of which the last round placed every task: out of the queue, and read again
     * when the next one begins. */
    uint64_t *drained;
    size_t drained_count, drained_capacity;
    uint64_t round; /* its number */

    /* Jobs whose tasks count for each other, of which the last round planned some: if those are
     * not applied, others have a place again. */
    uint64_t *counted;
    size_t counted_count, counted_capacity;

    /* Jobs that waited when leading began: those behind this one are not loaded yet. */
    bool is_loading;
    int32_t load_priority;
    uint64_t load_id;
};

#endif
