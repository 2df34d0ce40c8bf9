/* state_edit.h - the only way in which the state changes (joint 7).
 *
 * Around every change of an object stand state_edit() and state_edited(), or it is
 * added or removed by the calls below.  They keep
 *   - the digest: the hash of the old image is subtracted, that of the new one added;
 *   - the walk of a snapshot: the old image is saved if the walk still needs it;
 *   - `changed`: the index of the entry being applied;
 *   - everything derived: trees, counters, the queue of runnable jobs.
 *
 * A task or an attempt is changed, added or removed only inside an edit of its job,
 * whose counters and `changed` go with it.  Removing a superseded attempt is the
 * exception: no task has it.  Edits of one object do not nest.
 */
#ifndef RAFT_FSM_STATE_EDIT_H
#define RAFT_FSM_STATE_EDIT_H

#include "raft_fsm/image.h"
#include "raft_fsm/state.h"

#include <stdint.h>

void state_edit(struct state *s, struct object o);
void state_edited(struct state *s, struct object o);

/* Take a new object, filled in.  A job comes without tasks. */
void state_add(struct state *s, struct object o);
/* Drop and free an object; a job with all its tasks. */
void state_remove(struct state *s, struct object o);
/* Make the tasks of a job up to and including `instance` exist, inside an edit of it.
 */
void state_touch(struct state *s, struct job *j, uint32_t instance);

/* A system job has one task more, inside an edit of it; it is to be touched there, too. */
void state_grow(struct state *s, struct job *j);

/* Replace owned bytes by a copy. */
void bytes_assign(struct bytes *to, struct bytes from);
/* Up to the first zero byte, if there is one. */
void task_set_message(struct task *t, struct bytes message);

/* Those of the task, made if it has none. */
struct task_extras *task_extras(struct task *t);

/* Inside an edit of a task: another agent begins with it. */
void task_forget_tries(struct task *t);

/* A new job with its own copies of key and spec. */
struct job *job_create(struct bytes key, struct bytes spec);
struct tombstone *tombstone_create(struct bytes key);
/* A new attempt, zeroed; its ports are to be filled in. */
struct attempt *attempt_create(uint8_t port_count);

/* ---- for restore, where digest and indexes are given ---- */

/* Put an object into its trees; a task comes from job_extend(). */
void state_link(struct state *s, struct object o);
/* Count it; a job after its tasks. */
void state_count(struct state *s, struct object o);
/* One more touched task of a job with room, zeroed but for its instance. */
struct task *job_extend(struct job *j);

/* ---- for state_create and state_destroy ---- */
void state_start(struct state *s);
void state_clear(struct state *s);

#endif
