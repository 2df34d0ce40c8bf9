/* move.h - which running tasks may be moved to another agent (docs/spec/17-rebalance.md).
 *
 * What the state tells of it, and all that applying checks: the scheduler, which also knows scores
 * and who waits, asks the same.  Reads only. */
#ifndef RAFT_FSM_MOVE_H
#define RAFT_FSM_MOVE_H

#include "raft_fsm/state.h"

#include <stdbool.h>
#include <stdint.h>

/* Live attempts of the job that are to end, while it goes on. */
uint32_t move_told_to_end(const struct job *j);
/* True if a task of the job may be moved at all, and now: all of them run, and none is to end. */
bool move_may_job(const struct job *j);
/* True if this attempt of such a job may be moved. */
bool move_may(const struct attempt *t);

#endif
