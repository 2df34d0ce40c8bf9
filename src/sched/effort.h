/* effort.h - what questions about agents cost, and when there have been enough.
 *
 * The unit is one agent that is asked, some 100 ns.  What may take long looks first whether
 * there is any left, and gives up if not: then its caller is *cut*, knows nothing, and begins again in
 * the next round, with the answers that are kept meanwhile.
 */
#ifndef SCHED_EFFORT_H
#define SCHED_EFFORT_H

#include <stdbool.h>

#define ASKED_PER_LOOK 8 /* cost as much as a search */

struct effort {
    unsigned spent;
    unsigned most;
    bool is_cut;
};

/* False, and cut, when there is none left. */
static inline bool effort_begin(struct effort *e)
{
    e->is_cut |= e->spent >= e->most;
    return !e->is_cut;
}

/* What it spent counts as looks of its caller, as far as there are any left. */
static inline void effort_pay(struct effort *e, unsigned *looks)
{
    unsigned price = e->spent / ASKED_PER_LOOK;

    *looks -= price < *looks ? price : *looks;
    e->spent %= ASKED_PER_LOOK;
}

#endif
