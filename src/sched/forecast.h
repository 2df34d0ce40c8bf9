/* forecast.h - when an agent will have room for tasks, by what is expected of those it has
 * (docs/spec/7-scheduling.md, "Reservations").
 *
 * Tasks end in the order in which they are expected to.  One whose time is over already is
 * expected to take as much longer as it is late; one of which nothing is known ends after all
 * others, the oldest first; and behind those what goes on until somebody ends it, tasks of services
 * and system jobs, whatever is expected of them.
 */
#ifndef SCHED_FORECAST_H
#define SCHED_FORECAST_H

#include "raft_fsm/state.h"
#include "sched/fleet.h"
#include "sched/gather.h"

#define FORECAST_NEVER UINT64_MAX /* it is not known when */

struct forecast {
    uint64_t from_us; /* room is expected from then on, or FORECAST_NEVER */
    uint64_t at_us; /* nothing says that there is room before that: in the past when the
                              * last task that has to end is late */
    uint32_t ends;  /* tasks that have to end first */
    struct resources beyond; /* what is left then, or at the later time that is asked
                              * for, beside the tasks and who has it promised */
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

/* Where and when there is room for who waits, as far as explanations tell. */
struct soonest {
    uint64_t agent;  /* 0: it is not known; of a gang the last one … */
    uint32_t agents; /* … of so many */
    uint64_t at_us;
};

void outlook_finish(struct outlook *o);

/* For so many tasks together, with what is left at `by_us` if that is later.  False when it never
 * will, as far as its tasks are concerned.  `promised` is kept for others.  *looks goes down
 * by what that took. */
bool forecast_agent(struct outlook *o,
                    const struct fleet_agent *a,
                    const struct resources *promised,
                    uint32_t tasks,
                    uint64_t by_us,
                    struct forecast *out,
                    unsigned *looks);
/* All times at which more tasks have room there, of `most` at most, as far as they are of use; the
 * agent is of this group (gather.h). */
void forecast_gather(struct outlook *o,
                     const struct fleet_agent *a,
                     const struct resources *promised,
                     uint32_t most,
                     uint32_t group,
                     struct gathering *g,
                     unsigned *looks);

#endif
