/* policy.h - what a policy decides: who is next, and which agent is the best of those that fit.
 *
 * Everything else in this folder works with any such table.
 */
#ifndef SCHED_POLICY_H
#define SCHED_POLICY_H

#include "raft_fsm/state.h"
#include "sched/fit_tree.h"

struct policy {
    /* A job's place in the queue: lower is earlier.  Different for each job, and the same
     * as long as the job waits. */
    struct fit_key (*rank)(const struct job *j);

    /* What an agent with that much free is worth; the task goes where the least is left.
     * Additive: worth(a + b) = worth(a) + worth(b).  Hence the order of agents by worth is
     * their order after any task as well, an agent that just took a task stays the best as
     * long as it has room, and none that is worth less than a task can hold it. */
    uint64_t (*worth)(const struct resources *free);
};

/* Higher priority first, then in order of submission; best fit (docs/spec/7-scheduling.md).
 */
extern const struct policy policy_priority;

#endif
