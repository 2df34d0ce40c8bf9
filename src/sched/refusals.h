/* refusals.h - jobs and agents for which a command was refused: they are left alone for a while.
 *
 * The state of the moment said no, whatever the scheduler thinks, so asking again is of no use
 * until something of it is another one.  A few are known, the last ones; older ones are tried
 * again, which is right, only vain. */
#ifndef SCHED_REFUSALS_H
#define SCHED_REFUSALS_H

#include "raft_fsm/state.h"

#include <stdbool.h>
#include <stdint.h>

#define REFUSALS   16
#define REFUSAL_US 600000000ull /* then it may be tried again, whatever changed */

/* A job and an agent, as they are at a time. */
struct refusal {
    uint64_t job, agent;
    uint64_t job_changed; /* index of the last change, of its tasks and role, too … */
    uint64_t agent_changed; /* … of its attempts, too */
    uint32_t attempts;      /* that it has */
    uint64_t at_us;
};

struct refusals {
    struct refusal of[REFUSALS]; /* job 0: none */
    unsigned next;               /* to be taken */
};

struct refusal
refusal_of(const struct job *j, const struct agent *agent, uint64_t now_us);
void refusals_add(struct refusals *r, const struct refusal *refusal);
/* True if it was refused, and nothing of it has changed since. */
bool refusals_hold(const struct refusals *r,
                   const struct job *j,
                   const struct agent *agent,
                   uint64_t now_us);

#endif
