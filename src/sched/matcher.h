/* matcher.h - a struct match (wire/match.h), ready to be asked about agents.
 *
 * A few are kept, with their regular expressions compiled, and found by their bytes; which those
 * are changes no answer.  One that is new is read in place, and its conditions are found likewise.  A condition is asked once for each value, and the answer kept.  Of each
 * a matcher knows a set of bits (fit_tree.h) that each agent meets of which it holds: for = and
 * in by the values that are named, for comparisons and the like by those that agents have at
 * this time, if they are few.
 *
 * Memory: MATCHERS times the conditions of one, with two bits for each value of the attribute.
 */
#ifndef SCHED_MATCHER_H
#define SCHED_MATCHER_H

#include "base/hash.h"
#include "sched/counter.h"
#include "sched/effort.h"
#include "sched/values.h"
#include "wire/match_view.h"

/* Conditions are shared among those that have them.  One block with all texts. */
struct rule {
    struct hash128 of; /* of its bytes (struct condition_view) */
    unsigned users;
    uint64_t used; /* when, by the clock of the matchers */
    struct condition condition;
    struct regexp *re;      /* owned */
    struct column *column;  /* held */
    struct answers answers; /* of its values */
    bool without;           /* the answer for agents that have none */
    struct fit_set set;     /* all: any agent may keep it … */
    uint64_t version; /* … as of this version of the column; 0: not all were asked */
};

struct matcher {
    struct hash128 bytes; /* of what it is made from */
    uint64_t used;        /* when, by the clock of the others; 0: it is empty */
    struct rule *constraints[LIMIT_CONSTRAINTS]; /* but for DISTINCT … */
    struct rule *affinities[LIMIT_AFFINITIES];
    int32_t affinity_weights[LIMIT_AFFINITIES];
    struct counter *distincts, *spreads; /* … which are here; they hold their columns */
    uint32_t spread_weights[LIMIT_SPREADS];
    uint32_t apart_weights[LIMIT_APARTS];
    size_t constraint_count, affinity_count, distinct_count, spread_count, apart_count;
    uint32_t is_distinct; /* a bit for each constraint of both kinds, in their order */
    uint64_t weights;     /* sum of all, without signs */
    unsigned price;       /* of asking one agent (effort.h) */
};

#define MATCHERS 256
#define RULES    256
#define WAYS     4 /* of them may have the same last bits of their hashes */

struct matchers {
    struct matcher of[MATCHERS];
    struct rule *rules[RULES]; /* NULL: none yet */
    struct matcher *kept;      /* not to be given to another; NULL: none */
    uint64_t clock;
};

void matchers_finish(struct matchers *m, struct values *v);
/* Ours for these bytes, which job_spec_match() gave; good until the next one is asked for. */
struct matcher *matchers_get(struct matchers *m,
                             struct values *v,
                             struct bytes packed,
                             struct effort *e);
/* A search with it was cut: it stays until another one is. */
void matchers_keep(struct matchers *m, struct matcher *of);

/* Of both kinds. */
static inline size_t matcher_constraints(const struct matcher *m)
{
    return m->constraint_count + m->distinct_count;
}

/* Whether an agent with these keeps a condition; all constraints but distinct. */
bool rule_holds(struct rule *r, const struct attributes *of, struct effort *e);
bool matcher_holds(struct matcher *m, const struct attributes *of, struct effort *e);
/* The sum of the weights of what such an agent has of what is wished, of counters too; and
 * the most of any in a crowd.  Times 1000.  Without anti-affinities. */
uint64_t matcher_wishes(struct matcher *m,
                        const struct values *v,
                        const struct attributes *of,
                        struct effort *e);
uint64_t matcher_wishes_bound(const struct matcher *m, const struct fit_set *crowd);

/* What does not depend on the agents that there are: bits that each agent meets that keeps the
 * constraints; all when nothing is known.  And whether tasks of the job count for each other. */
struct fit_set match_set(const struct match *m);
bool match_is_distinct(const struct match *m);

#endif
