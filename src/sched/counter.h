/* counter.h - tasks of one job by the values of one attribute: for `distinct` and for `spread`.
 *
 * Beside the counts, which are in the values (values.h), it knows the least and the most of
 * them, and which bits values have that are at the least (spread), or may have one more task
 * (distinct).  At first no task is counted.  One task more is O(1), but for the last value that
 * leaves the least: O(values), which is once for as many tasks.  To leave one out, and take it
 * back, is O(1) where values have no bits, else O(values), which are few.
 */
#ifndef SCHED_COUNTER_H
#define SCHED_COUNTER_H

#include "sched/values.h"

struct counter {
    struct column *column; /* of another user */
    uint32_t limit;        /* of distinct; 0: it is of spread */
    struct counter_sums {
        uint32_t least, most;        /* of all values … */
        uint32_t at_least, at_most;  /* … and how many of them have so many */
    } sums, with_all;                /* before one was left out */
    struct fit_set set;              /* all: its values have no bits */
    uint32_t with_bit[FIT_SET_BITS]; /* values behind each bit of `set` */
    uint32_t behind[FIT_SET_BITS];   /* the same of all values … */
    struct fit_set all;
    uint64_t version; /* … as of this version of the column; 0: not yet */
};

/* Nothing is counted. */
void counter_begin(struct counter *c);
/* The task that is counted is on an agent with these. */
void counter_add(struct counter *c,
                 const struct values *v,
                 const struct attributes *of);

/* One that was counted, on an agent with these, is left out until it is taken back; meanwhile none
 * is added. */
void counter_leave_out(struct counter *c,
                       const struct values *v,
                       const struct attributes *of);
void counter_take_back(struct counter *c,
                       const struct values *v,
                       const struct attributes *of);

/* Distinct: whether an agent may have a task more. */
bool counter_may_add(const struct counter *c,
                     const struct values *v,
                     const struct attributes *of);
/* Spread, from 0 to 1000 (docs/spec/7-scheduling.md, "Score"): of an agent, and the most of any
 * in a crowd. */
uint64_t counter_score(const struct counter *c,
                       const struct values *v,
                       const struct attributes *of);
uint64_t counter_bound(const struct counter *c, const struct fit_set *crowd);

#endif
