/* victims.h - whom a task would have to preempt on one agent (docs/spec/15-preemption.md).
 *
 * Exact: the fewest, then the youngest.  Sets of one, two, … are tried in order of youth, less those
 * of which it is clear that they cannot suffice; when that takes more than PREEMPT_STEPS, the
 * youngest ones are taken until it fits, less those that are not needed. */
#ifndef SCHED_VICTIMS_H
#define SCHED_VICTIMS_H

#include "raft_fsm/state.h"

#include <stdbool.h>

#define PREEMPT_STEPS 4096 /* sets, or parts of them, tried on one agent */
#define PREEMPT_YOUNG 256  /* attempts of an agent that may be victims: the youngest */

struct victims {
    struct attempt *of[LIMIT_VICTIMS]; /* the youngest first */
    uint32_t count;
};

/* False when no LIMIT_VICTIMS suffice.  None are needed when a task has room as soon as what is to
 * end there has ended.  `planned`: as in preempt_may().  *steps grows by what it took. */
bool victims_choose(struct victims *v,
                    const struct agent *agent,
                    const struct job *taker,
                    const struct use *planned,
                    uint64_t now_us,
                    unsigned *steps);

#endif
