/* retry.h - when a task gets a new attempt after one that ended (docs/spec/3-task-states.md).
 *
 * Delays double: the first one, then twice as long each time, up to the longest.  All
 * stamps are those of entries.
 */
#ifndef RAFT_FSM_RETRY_H
#define RAFT_FSM_RETRY_H

#include "raft_fsm/state.h"

#define LOST_DELAY_MS     1000u   /* before the second loss in a row is repeated */
#define LOST_MAX_DELAY_MS 60000u  /* before any */
#define LOST_APART_MS     600000u /* losses further apart are not in a row */

/* The policy of a spec; NULL when it has none. */
struct job_policy *job_policy_of(const struct job_spec *spec);

/* Inside an edit of a task whose attempt failed: true if `reschedule` allows another one.
 * It is counted, and waits for its retry_us. */
bool retry_failed(const struct job *j, struct task *t, uint64_t stamp_us);
/* Likewise when the agent lost it.  It may have to wait, too. */
void retry_lost(struct task *t, uint64_t stamp_us);

/* Of a task that waits for its retry_us: because the agent lost it, not because it failed. */
bool retry_is_after_loss(const struct task_extras *x);

/* How long the master waits for the lease of an attempt of an exclusive job, ms. */
uint64_t policy_lapse_ms(const struct job_policy *p);

#endif
