/* reasons.h - how many agents cannot have a task, and why not, in words.
 *
 * What was counted is told from the strongest: nothing is registered, nobody keeps the
 * constraints, nobody is large enough, a port is taken everywhere, or there is no room now.
 */
#ifndef SCHED_REASONS_H
#define SCHED_REASONS_H

#include "sched/census.h"
#include "sched/seek.h"
#include "sched/words.h"

/* One agent at least is large enough, however it stands. */
bool census_has_able(const struct census *c);

/* "waiting for 4 x 2 cpus at once" */
void say_waiting_for(struct text *t, const struct demand *d);
/* "; 2 are cordoned"; nothing of none. */
void say_agents(struct text *t, uint64_t agents, const char *what);
/* All of it, for who has no room; `s` NULL: not known. */
void say_reason(struct text *t,
                const struct state *state,
                const struct census *c,
                const struct room *room,
                const struct shortage *s,
                const struct seek *k);

#endif
