/* systems.h - which agents get their task of a system job (docs/spec/14-kinds.md, "Systems").
 *
 * No queue is needed: a task of a system job has one agent that it may be on.  So it is looked
 * at when that agent may have become able to hold it (it is *due*: fleet.h), and all agents are when
 * a job is new.  An agent that is due is asked for each job; which cannot have it there waits until
 * the agent is due again, or its role may have more of it.
 *
 * Rounds of system tasks take turns with those of all others: tasks that fail at once on many agents
 * are due again and again.  Agents that just began to take work are asked in each round, so that
 * nobody fills them up before.
 */
#ifndef SCHED_SYSTEMS_H
#define SCHED_SYSTEMS_H

#include "raft_fsm/state.h"
#include "sched/fleet.h"
#include "sched/seek.h"
#include "wire/command.h"

struct system_job {
    uint64_t id;
    int32_t priority;
    bool is_capped; /* an agent was able, and its role or the state had no room */
    /* While a round is planned: */
    const struct role *role;
    struct system_job *first; /* of the same role: it counts for all of them … */
    struct bound_room room;   /* … what the role may have more */
};

struct systems {
    struct system_job *jobs; /* highest priority first, then by id */
    size_t count, capacity;
    bool had_turn; /* the last round was of them alone */
};

void systems_finish(struct systems *s);
/* Something of this job changed.  True if it is a system job, or was one. */
bool systems_job_changed(struct systems *s,
                         struct fleet *f,
                         const struct state *state,
                         uint64_t job);
/* Plan what agents can have that are due, up to this kind; returns how many.  Those that were not
 * looked at stay due. */
size_t systems_place(struct systems *s,
                     struct fleet *f,
                     const struct state *state,
                     enum due last,
                     struct placement *out,
                     size_t max,
                     unsigned *looks);

/* Whether the agent may get its task now, as far as it is no matter of room there. */
bool systems_wants(const struct job *j, uint64_t agent);
/* True if its role and the state have room for one task more. */
bool systems_have_room(const struct state *state, const struct job *j);

#endif
