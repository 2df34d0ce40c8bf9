/* forecast.h - when an agent will have room for a task, by what is expected of those it has
 * (docs/spec/7-scheduling.md, "Reservations").
 *
 * Tasks end in the order in which they are expected to.  One whose time is over already is
 * expected to take as much longer as it is late; one of which nothing is known ends after all
 * others, the oldest first.
 */
#ifndef SCHED_FORECAST_H
#define SCHED_FORECAST_H

#include "raft_fsm/state.h"
#include "sched/fleet.h"

#define FORECAST_NEVER UINT64_MAX /* it is not known when */

struct forecast {
    uint64_t agent;   /* 0: none */
    uint64_t from_us; /* room is expected from then on, or FORECAST_NEVER */
    uint64_t at_us; /* nothing says that there is room before that: in the past when the
                              * last task that has to end is late */
    uint32_t ends;  /* tasks that have to end first */
    struct resources beyond; /* what is left at that time beside the task and who has it
                              * promised */
};

/* What it asks about. */
struct outlook {
    const struct state *state;
    uint64_t now_us;
    const struct placement *planned; /* by the running round, beside the state */
    size_t planned_count;
    const struct demand *demand;
    struct ending *endings; /* memory for the next question; owned */
    size_t ending_room;
};

void outlook_finish(struct outlook *o);

/* False when it never will, as far as its tasks are concerned.  `promised` is kept for others.
 * *looks goes down by what that took. */
bool forecast_agent(struct outlook *o,
                    const struct fleet_agent *a,
                    const struct resources *promised,
                    struct forecast *out,
                    unsigned *looks);
/* The one that has room first; of equal ones where fewer have to end, then the older. */
bool forecast_is_sooner(const struct forecast *a, const struct forecast *b);

#endif
