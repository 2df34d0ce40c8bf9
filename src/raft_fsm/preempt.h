/* preempt.h - whose place a task may take (docs/spec/15-preemption.md).
 *
 * What the state tells of it, and all that applying checks: the scheduler, which also looks at
 * turns and ranks, asks the same.  Reads only. */
#ifndef RAFT_FSM_PREEMPT_H
#define RAFT_FSM_PREEMPT_H

#include "raft_fsm/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PREEMPT_GAP 10 /* points of priority, within a role */

/* True if a task of `taker` may take the place of this live attempt at that time.  `planned`:
 * what its role is about to have besides (NULL: nothing).  Minima are another question. */
bool preempt_may(const struct job *taker,
                 const struct attempt *victim,
                 const struct use *planned,
                 uint64_t now_us);

/* True if the role of the victim keeps its minimum when it goes and those before it, of any role,
 * go as well. */
bool preempt_keeps_minimum(const struct job *taker,
                           const struct attempt *victim,
                           struct attempt *const *before,
                           size_t count);

/* True if a task of `taker` has room on the agent when these have ended, and all that is to end
 * there anyway. */
bool preempt_suffices(const struct agent *a,
                      const struct job *taker,
                      struct attempt *const *victims,
                      size_t count);

#endif
