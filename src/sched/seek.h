/* seek.h - one search for an agent: who may take a task, and which of them is best
 * (docs/spec/7-scheduling.md, "Score").
 *
 * A task that takes any agent is easy: agents are in order of what is left on them whatever the
 * task is (worth.h), so the first, or the last, that has room is the best.  Else it is a contest:
 * from the better end on, crowds are left out that have no bit of a constraint, or that cannot
 * be better than what is found already (fit_tree_best()).  Agents that pass are asked one by
 * one, and who is not taken for good is not asked again for the next task.  Where one
 * condition leaves a few agents, only those are asked.
 *
 * What tasks of the job itself are counted for (distinct, spread) and who is on an agent
 * (anti-affinity) is in the state, and in what the running round plans.
 *
 * All of it is paid for as an effort (effort.h).  What is left of that bounds what may take
 * long: regular expressions that were not asked of a value yet, and names that an agent's tasks
 * have.  When it ends the seek is cut: nothing that it says is known then, but it is quicker
 * the next time.
 */
#ifndef SCHED_SEEK_H
#define SCHED_SEEK_H

#include "sched/fleet.h"
#include "sched/matcher.h"
#include "wire/role.h"

struct claims;
struct lanes;

struct seek {
    struct fleet *fleet;
    const struct state *state;
    const struct role *role; /* of the job */
    const struct demand *demand;
    struct matcher *matcher;      /* NULL: any agent */
    const struct rule *few;       /* the condition that leaves a few agents, or NULL */
    uint64_t apart[LIMIT_APARTS]; /* names of anti-affinities (names.h) … */
    uint32_t never_with;          /* … bits of those that are no mere wish */
    bool has_wishes;              /* what is left is not all that matters */
    bool from_end;                /* the most that is left is best */
    bool is_single;               /* another agent may be better after each task */
    uint64_t need, most;          /* worth of a task; and of the largest agent, not 0 */
    uint64_t alpha;
    uint64_t refused; /* claims that keep it away from their agents: at first none … */
    const struct claims *claims;    /* … of these; NULL: whatever is beyond them */
    const struct attempt *left_out; /* as if this one was not there; or NULL */
    uint64_t number;                /* its own */
    struct effort effort;
};

/* *demand stays as long as the seek; it is good until another begins.  `effort`: what it may
 * spend until the caller takes that back and gives it more; at least one long question is
 * asked in each search, if it is above 0. */
void seek_begin(struct seek *k,
                struct fleet *f,
                const struct state *s,
                const struct role *role,
                const struct demand *d,
                unsigned effort);
/* What a job's own tasks, and placements that are planned, mean for it.  Before the first
 * question. */
void seek_count(struct seek *k,
                const struct job *j,
                const struct placement *planned,
                size_t count);
/* Claims are in its way: those of who comes before the job, at this moment. */
void seek_heed(struct seek *k,
               const struct claims *c,
               const struct lanes *l,
               const struct job *j,
               uint64_t now_us);
/* One of them keeps so many tasks of it away from this agent; if it is on it, since they need too
 * much there. */
bool seek_is_too_much(const struct seek *k,
                      const struct fleet_agent *a,
                      uint32_t tasks);
static inline bool
seek_is_refused(const struct seek *k, const struct fleet_agent *a, uint32_t tasks)
{
    return (a->claims & k->refused) != 0 && seek_is_too_much(k, a, tasks);
}
/* Tasks of a gang that are counted when one is to be on an agent: all, where the same agent may be
 * the best one again after others. */
static inline uint32_t seek_together(const struct seek *k)
{
    return k->is_single || k->has_wishes || k->few != NULL ? k->demand->at_once : 1;
}
/* How many of `room` tasks of a gang they let in. */
uint32_t seek_let_in(const struct seek *k, const struct fleet_agent *a, uint32_t room);
/* One more of the job is planned. */
void seek_took(struct seek *k, struct fleet_agent *a, const struct job *j);
/* From now on all answers are as if this attempt of the job was not there, whatever is planned, and
 * no search finds its agent; NULL: as if all were.  It stays as long, and nothing else is planned
 * meanwhile. */
void seek_leave_out(struct seek *k, const struct attempt *t);
/* The score of the agent when so much worth is left there with a task of the job: in thousandths of
 * those of the specification.  `alone`: as if nobody was near from whom it would rather be apart. */
uint64_t seek_score(struct seek *k, struct fleet_agent *a, uint64_t left, bool alone);
/* Where the next search of the same job may begin when an agent with this key took some of it:
 * what is before has no place for it. */
struct fit_key
seek_after(struct seek *k, struct fit_key was, const struct fleet_agent *a);

/* The best agent; of those with a key of at least `from` (NULL: of all).  NULL when there is
 * none, or it is cut. */
struct fleet_agent *seek_best(struct seek *k, const struct fit_key *from);
/* True if an agent that has grown has room, and it is not cut. */
bool seek_grown(struct seek *k);
/* Whether it keeps the constraint of this number; behind the last stand all anti-affinities. */
bool seek_keeps(struct seek *k, struct fleet_agent *a, size_t constraint);
/* Each task of the job counts for what becomes of the others. */
bool seek_counts_tasks(const struct seek *k);
/* What constraints say depends on where tasks are. */
bool seek_depends_on_tasks(const struct seek *k);
/* How many tasks of a gang may be on an agent that matches, and together on those of its group. */
struct crowding {
    uint32_t most;  /* UINT32_MAX: that is no matter */
    uint32_t group; /* 0: none; else … */
    uint32_t kind;  /* … which attribute they share */
    uint32_t group_most;
};

/* False when it has two groups: then neither is told. */
bool seek_crowding(const struct seek *k,
                   const struct job *j,
                   const struct fleet_agent *a,
                   struct crowding *out);
/* True if it may be there as far as it is no matter of amounts, ports and the like. */
bool seek_matches(struct seek *k, struct fleet_agent *a);

/* Not this agent, in what this search goes on with. */
void seek_refuse(struct seek *k, struct fleet_agent *a);

/* For explanations: what was spent is taken from *looks, and what is left may be spent next. */
void seek_pay(struct seek *k, unsigned *looks);
/* The same after an agent was asked, for that as well; false when what it said is not known. */
bool seek_pay_for_agent(struct seek *k, unsigned *looks);

#endif
