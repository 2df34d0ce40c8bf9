/* preempt.h - whose place is taken for what fits nowhere (docs/spec/15-preemption.md).
 *
 * A pass goes over the roles that may preempt in the order of their turns, and in each lane over the
 * first job that sleeps and has a task for which nothing is kept.  For each of these all agents are
 * looked at, some in each call, and the best is taken: it is kept for the task (claims.h), and those
 * who are in the way are told to end.  The victims of each role in the last minute are counted here:
 * the next leader begins with none.  What was refused is left alone until something of it changes.
 *
 * Called between rounds, when no batch of placements is on its way. */
#ifndef SCHED_PREEMPT_H
#define SCHED_PREEMPT_H

#include "base/limits.h"
#include "sched/budget.h"
#include "sched/fit_tree.h"
#include "sched/refusals.h"
#include "sched/victims.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PREEMPT_PASS_MS \
    1000 /* from the begin of a pass to that of the next, at least */

struct sched;

struct preemption {
    uint64_t job, agent;
    uint64_t victims[LIMIT_VICTIMS]; /* ids of attempts, ascending */
    uint32_t count;                  /* above 0 */
};

/* True when there is one to propose: then sched_preempted() comes before the next call, since what it
 * takes from a role counts for the next one.  Time only grows.  *more: it has not looked at all that
 * it wanted to, call it again soon. */
bool sched_preempt(struct sched *s,
                   const struct state *state,
                   uint64_t now_us,
                   struct preemption *out,
                   bool *more);
/* It was applied, or refused. */
void sched_preempted(struct sched *s, bool is_done);

/* ---- for struct sched ---- */

struct preempting {
    bool is_on;                /* a pass goes on: … */
    uint64_t next_us;          /* … else the next one does not begin before */
    uint64_t looked;           /* looks that it took */
    struct fit_key role, lane; /* it has come to */
    uint64_t job;              /* for which agents are looked at; 0: none */
    uint64_t agent;            /* those before this one were */
    uint64_t best;             /* of those; 0: none … */
    uint32_t best_count;       /* … with so many victims, placed at … */
    uint64_t best_placed[LIMIT_VICTIMS];
    uint64_t young_agent,
        young_job; /* the claim whose victims are not in the state yet; or 0 */
    struct budget budget; /* of victims */
    struct refusal proposed; /* the last one, as it would be if it is refused */
    struct refusals refusals;
};

void preempting_init(struct preempting *p);
void preempting_finish(struct preempting *p);

#endif
