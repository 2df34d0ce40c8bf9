/* seek.h - one search for an agent: who may take a task, and which of them is best
 * (docs/spec/7-scheduling.md, "Score").
 *
 * A task that takes any agent is easy: agents are in order of what is left on them whatever the
 * task is (worth.h), so the first, or the last, that has room is the best.  Else it is a contest:
 * from the better end on, crowds are left out that have no bit of a constraint, or that cannot
 * be better than what is found already (fit_tree_best()).  Agents that pass are asked one by
 * one.  Where one condition leaves a few agents, only those are asked.
 *
 * What tasks of the job itself are counted for (distinct, spread) and who is on an agent
 * (anti-affinity) is in the state, and in what the running round plans.
 */
#ifndef SCHED_SEEK_H
#define SCHED_SEEK_H

#include "sched/fleet.h"
#include "sched/matcher.h"
#include "wire/role.h"

struct seek {
    struct fleet *fleet;
    const struct state *state;
    const struct role *role; /* of the job */
    const struct demand *demand;
    struct matcher *matcher; /* NULL: any agent */
    bool has_wishes;         /* what is left is not all that matters */
    bool from_end;           /* the most that is left is best */
    bool is_single;          /* another agent may be better after each task */
    uint64_t need, most;     /* worth of a task; and of the largest agent, not 0 */
    uint64_t alpha;
    uint64_t refused; /* claims that keep it away from their agents: at first none */
};

/* *demand stays as long as the seek; it is good until another begins. */
void seek_begin(struct seek *k,
                struct fleet *f,
                const struct state *s,
                const struct role *role,
                const struct demand *d);
/* What a job's own tasks, and placements that are planned, mean for it.  Before the first
 * question; *asked grows by what that took. */
void seek_count(struct seek *k,
                const struct job *j,
                const struct placement *planned,
                size_t count,
                unsigned *asked);
/* One more of the job is planned. */
void seek_took(struct seek *k, struct fleet_agent *a, const struct job *j);
/* Where the next search of the same job may begin when an agent with this key took some of it:
 * what is before has no place for it. */
struct fit_key
seek_after(const struct seek *k, struct fit_key was, const struct fleet_agent *a);

/* The best agent; of those with a key of at least `from` (NULL: of all).  NULL when there is
 * none.  *asked as in fit_tree_find(). */
struct fleet_agent *
seek_best(const struct seek *k, const struct fit_key *from, unsigned *asked);
/* True if an agent that has grown has room. */
bool seek_grown(const struct seek *k, unsigned *asked);
/* Whether it keeps the constraint of this number; behind the last stand all anti-affinities. */
bool seek_keeps(const struct seek *k, const struct fleet_agent *a, size_t constraint);
/* What constraints say depends on where tasks are. */
bool seek_depends_on_tasks(const struct seek *k);
/* True if it may be there as far as it is no matter of amounts, ports and the like. */
bool seek_matches(const struct seek *k, const struct fleet_agent *a);

#endif
