/* claims.h - room on agents that is kept for a task which waits (docs/spec/7-scheduling.md,
 * "Claims"; docs/decisions/0006).
 *
 * A claim says: this job gets room for one task on this agent at a time, or when something
 * ends.  Until then others may use what is free there, if that delays it by nothing:
 *
 *     they end before that time, as far as that is known; or
 *     they take no more than what is left there at that time beside the task; or
 *     they come before the job in the order of turns
 *
 * The claim of a gang that begins is on many agents, with room for some of its tasks on each: its
 * time is the same for all, and what is left is of each.
 *
 * The job itself may go wherever there is room first.  A claim ends when a task of the job is
 * placed, when the job does not wait any more, or when the agent takes no work.  A gang gives
 * up such an agent, and keeps the others.  That of a move is there
 * before the job waits, and nobody passes it by an earlier turn.
 *
 * Claims have numbers below LIMIT_CLAIMS, so which of them refuse a job is one word, and which
 * are on an agent another.  They are in the memory of the leader: a new one makes its own.
 *
 * Source: EASY backfilling; Lifka, The ANL/IBM SP scheduling system, JSSPP 1995; Mu'alem and
 * Feitelson, IEEE TPDS 12(6), 2001, section 2 ("extra" nodes are struct claim.beyond).
 */
#ifndef SCHED_CLAIMS_H
#define SCHED_CLAIMS_H

#include "base/limits.h"
#include "sched/fleet.h"
#include "sched/lanes.h"

#define CLAIM_NEVER \
    UINT64_MAX /* nobody knows when: nothing ends before that for certain */

enum claim_kind {
    CLAIM_RESERVATION, /* the place of who waits first (reserve.h) */
    CLAIM_PREEMPTION,  /* victims are being stopped for it */
    CLAIM_MOVE /* its task is being stopped elsewhere, to come here (rebalance.h) */
};

/* Of a gang, on one agent. */
struct claim_place {
    uint64_t agent;
    uint32_t tasks;          /* that have room there; 0: the agent was given up */
    struct resources beyond; /* as that of a claim */
};

struct claim {
    uint64_t agent; /* of a gang: one of them */
    uint64_t job;
    enum claim_kind kind;
    uint64_t at_us;          /* when there will be room; CLAIM_NEVER: not known */
    struct resources beyond; /* that is left then, for tasks which do not end before */
    struct claim_place *places; /* of a gang, by agent; else NULL */
    size_t place_count;
    uint64_t waits_us; /* of a move: since when its task has ended; 0: it has not */
    uint32_t at_once; /* tasks that it is for; this and the following by claims_add() */
    bool beyond_is_plain; /* and they need no ports or custom resources */
    bool is_alone;        /* the job wants to be apart from others: nothing is beyond */
};

struct claims {
    uint64_t used;    /* a bit for each that there is */
    uint64_t changes; /* grows when one is added, gives up an agent or is dropped */
    size_t places;    /* of gangs: LIMIT_CLAIM_PLACES at most */
    struct claim of[LIMIT_CLAIMS];
};

/* Who asks for room. */
struct claimant {
    const struct job *job;
    const struct demand *demand;
    uint64_t now_us;
};

/* For the first claim of a set from a word of them: its number, and the set without it. */
static inline int claim_next(uint64_t *set)
{
    int i = __builtin_ctzll(*set);

    *set &= *set - 1;
    return i;
}

/* The agents of a claim by number: those that were given up are among them, with 0 tasks. */
static inline size_t claim_places(const struct claim *c)
{
    return c->places == NULL ? 1 : c->place_count;
}

static inline uint64_t claim_agent(const struct claim *c, size_t place)
{
    return c->places == NULL ? c->agent : c->places[place].agent;
}

static inline uint32_t claim_tasks(const struct claim *c, size_t place)
{
    return c->places == NULL ? 1 : c->places[place].tasks;
}

static inline const struct resources *claim_beyond(const struct claim *c, size_t place)
{
    return c->places == NULL ? &c->beyond : &c->places[place].beyond;
}

/* The number of this one, on which the claim is. */
size_t claim_place_on(const struct claim *c, uint64_t agent);

void claims_clear(struct claims *c); /* agents do not learn of it */
/* Its number; -1 when there are too many, or there is no such agent.  It owns its places then. */
int claims_add(struct claims *c,
               struct fleet *f,
               const struct claim *claim,
               const struct demand *demand);
/* It is known better. */
void claims_change(struct claims *c,
                   struct fleet *f,
                   int i,
                   uint64_t at_us,
                   const struct resources *beyond);
/* The same of parts of it. */
void claims_change_time(struct claims *c, struct fleet *f, int i, uint64_t at_us);
void claims_change_beyond(struct claims *c,
                          struct fleet *f,
                          int i,
                          size_t place,
                          const struct resources *beyond);
void claims_drop(struct claims *c, struct fleet *f, int i);
void claims_drop_set(struct claims *c, struct fleet *f, uint64_t set);
/* Of a claim that has no other agent it is the end. */
void claims_give_up(struct claims *c, struct fleet *f, int i, size_t place);
/* Nobody has room kept there any more. */
void claims_leave(struct claims *c, struct fleet *f, const struct fleet_agent *a);

/* Those of a job. */
uint64_t claims_of(const struct claims *c, uint64_t job);
/* Those that keep this job away from their agents: a gang that begins, all but its own.  What is
 * beyond where a gang is one of the two is for claims_refuse() to say. */
uint64_t claims_against(const struct claims *c,
                        const struct fleet *f,
                        const struct lanes *l,
                        const struct state *s,
                        const struct claimant *who);
/* True if one of a set of these keeps so many such tasks away from this agent. */
bool claims_refuse(const struct claims *c,
                   uint64_t against,
                   const struct fleet_agent *a,
                   const struct demand *d,
                   uint32_t tasks);
/* A task of it is planned there. */
void claims_take(struct claims *c,
                 struct fleet *f,
                 struct fleet_agent *a,
                 const struct claimant *who);
/* Those end whose agent takes no work, or whose job does not wait or is capped; if the order of
 * turns is another one, those across whose job something moved let more in. */
void claims_refresh(struct claims *c,
                    struct fleet *f,
                    const struct lanes *l,
                    bool turns_changed);

#endif
