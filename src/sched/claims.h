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
 * The job itself may go wherever there is room first.  A claim ends when a task of the job is
 * placed, when the job does not wait any more, or when the agent takes no work.
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
    CLAIM_PREEMPTION   /* victims are being stopped for it */
};

struct claim {
    uint64_t agent;
    uint64_t job;
    enum claim_kind kind;
    uint64_t at_us;          /* when there will be room; CLAIM_NEVER: not known */
    struct resources beyond; /* that is left then, for tasks which do not end before */
    bool
        beyond_is_plain; /* … and need no ports or custom resources; set by claims_add() */
    bool is_alone;       /* the job wants to be apart from others: nothing is beyond; so
                              * is this */
};

struct claims {
    uint64_t used;    /* a bit for each that there is */
    uint64_t changes; /* grows when one is added or dropped */
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

/* Its number; -1 when there are too many, or there is no such agent. */
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
void claims_drop(struct claims *c, struct fleet *f, int i);
void claims_drop_set(struct claims *c, struct fleet *f, uint64_t set);

/* Those of a job. */
uint64_t claims_of(const struct claims *c, uint64_t job);
/* Those that keep this job away from their agents: a gang that begins, all but its own. */
uint64_t claims_against(const struct claims *c,
                        const struct fleet *f,
                        const struct lanes *l,
                        const struct state *s,
                        const struct claimant *who);
/* A task of it is planned there. */
void claims_take(struct claims *c,
                 struct fleet *f,
                 struct fleet_agent *a,
                 const struct claimant *who);
/* Those end whose agent takes no work, or whose job does not wait or is capped; if the order of
 * turns is another one, all that are left let more in. */
void claims_refresh(struct claims *c,
                    struct fleet *f,
                    const struct lanes *l,
                    bool turns_changed);

#endif
