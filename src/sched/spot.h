/* spot.h - where there will be room for a job that waits: one search over all agents, in slices
 * (docs/spec/7-scheduling.md, "Reservations").
 */
#ifndef SCHED_SPOT_H
#define SCHED_SPOT_H

#include "sched/forecast.h"
#include "sched/gather.h"
#include "sched/lanes.h"
#include "sched/seek.h"

struct sched;

/* What a round gives it. */
struct reserve_view {
    struct sched *sched;
    struct outlook outlook; /* with all but the demand */
    unsigned looks;         /* that it has left in this round */
};

/* Of the first job of a shape; *k is for what follows. */
void spots_begin(struct reserve_view *v,
                 const struct shape *shape,
                 const struct job *j,
                 unsigned effort,
                 struct seek *k);
/* What it spent counts as looks; false when it was cut. */
bool spots_pay(struct reserve_view *v, struct seek *k);
/* When so many tasks of it have room on this agent (forecast_agent()); false: never. */
bool spot_forecast(struct reserve_view *v,
                   struct seek *k,
                   const struct job *j,
                   struct fleet_agent *a,
                   uint32_t tasks,
                   uint64_t by_us,
                   struct forecast *out);
/* Agents from *next on; true when all were looked at.  Nothing is found for a gang whose agents
 * are in groups of two kinds (seek_crowding()). */
bool spots_look(struct reserve_view *v,
                const struct shape *shape,
                const struct job *j,
                uint64_t *next,
                struct gathering *found);

#endif
