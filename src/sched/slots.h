/* slots.h - when a schedule is due (docs/spec/14-kinds.md). */
#ifndef SCHED_SLOTS_H
#define SCHED_SLOTS_H

#include "sched/zone.h"
#include "wire/cron.h"

/* The first slot behind this instant, or ZONE_NEVER.  In seconds since 1970. */
int64_t slot_after(const struct cron *c, const struct zone *z, int64_t utc);

#endif
