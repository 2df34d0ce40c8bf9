/* apply.h - what the handlers of commands share (docs/spec/2-commands.md).
 *
 * A handler checks all its rules before it changes anything, so that a rejected command
 * leaves nothing behind.
 */
#ifndef RAFT_FSM_APPLY_H
#define RAFT_FSM_APPLY_H

#include "raft_fsm/fsm.h"
#include "raft_fsm/state_edit.h"

#include <stdbool.h>
#include <stdint.h>

#define RULES_OF_CHECKS 3 /* version of an entry that stamps what plans rest on */

struct apply {
    struct state *state;
    uint64_t stamp_us;   /* of the entry */
    uint8_t version;     /* likewise */
    struct outcome *out; /* NULL when nobody looks */
    size_t work;         /* of commands whose bytes do not tell what they cost */
};

typedef struct result apply_handler(struct apply *a, const struct command *c);

/* apply_job.c */
apply_handler apply_submit;
apply_handler apply_submit_all;
apply_handler apply_kill;
/* apply_after.c */
apply_handler apply_release;
/* apply_template.c */
apply_handler apply_fire;
apply_handler apply_dispatch;
/* apply_agent.c */
apply_handler apply_agent_register;
apply_handler apply_agent_reregister;
apply_handler apply_agent_unreachable;
apply_handler apply_agent_gone;
apply_handler apply_agent_mode;
apply_handler apply_drain_due;
/* apply_place.c */
apply_handler apply_place;
/* apply_task.c */
apply_handler apply_task_update;
apply_handler apply_retry;
apply_handler apply_lapse;
/* apply_preempt.c */
apply_handler apply_preempt;
/* apply_move.c */
apply_handler apply_move;
/* apply_role.c */
apply_handler apply_role_set;
apply_handler apply_role_remove;
/* apply_key.c */
apply_handler apply_purge;
apply_handler apply_expire_keys;

struct result result_done(const struct apply *a, uint64_t id);
struct result result_rejected(int code); /* an error_code */
void apply_effect(struct apply *a, enum effect_kind kind, uint64_t id, uint64_t agent);

/* Around a change of a job or of its tasks: stamps its end and tells the leader when
 * its state changed or it has tasks to place again. */
enum job_state job_open(struct apply *a, struct job *j);
void job_close(struct apply *a, struct job *j, enum job_state before);

/* Somebody used this key: the answer is that of the first time if the same was asked, else a
 * conflict.  False when nobody did. */
bool key_was_used(const struct state *s,
                  struct bytes key,
                  struct hash128 asked,
                  struct result *answer);
bool job_has_room(const struct state *s, size_t jobs, uint64_t tasks);
/* A new job with the next id, not in the state before job_added(); then it is, and the leader
 * hears of it. */
struct job *job_add(struct apply *a,
                    struct bytes key,
                    struct bytes packed,
                    const struct job_spec *spec,
                    struct bytes owner);
void job_added(struct apply *a, struct job *j);
/* One that has not ended and is not killed. */
void job_kill(struct apply *a, struct job *j);
/* A new job waits for what its spec names, by id: before it is added.  What has ended already
 * counts at once. */
void job_wait_for(struct apply *a, struct job *j, const struct job_spec *spec);
/* Jobs that ended tell those that wait for them, some in each entry. */
void release_jobs(struct apply *a);

/* Inside an edit of a task: what was said of an attempt before does not count any more. */
void task_begin_staging(struct task *t);

/* An attempt is over, and what it held is free. */
void attempt_end(struct apply *a, struct attempt *t);

/* ---- apply_failure.c ---- */

/* An attempt ended as this, and not well; its task says why, and what becomes of it.  Inside
 * an edit of the job, behind that of the task, as the next two. */
void failure_of_task(struct apply *a,
                     const struct attempt *attempt,
                     const struct task *t,
                     enum task_state ended);
/* It runs, or has finished. */
void failure_recovered(struct apply *a,
                       const struct attempt *attempt,
                       const struct task *t);
/* It is over without another attempt. */
void failure_over(struct apply *a, const struct task *t);
/* Its last attempt is its own again. */
void failure_reclaimed(struct apply *a, const struct task *t);

/* An agent is unreachable or gone; so many attempts are lost with it. */
void failure_of_agent(struct apply *a,
                      const struct agent *agent,
                      enum task_reason reason,
                      uint32_t moved);
/* One more is lost with one that is unreachable. */
void failure_agent_moves(struct apply *a, const struct agent *agent);
void failure_agent_returned(struct apply *a, const struct agent *agent);

/* A run of the job finished after so long; inside an edit of it.  Or an attempt was lost whose
 * task goes on. */
void history_of_run(struct apply *a, struct job *j, uint64_t us);
void history_of_loss(struct apply *a, const struct job *j, uint64_t us);

/* How long a task of a new job takes, which has its role and spec already. */
void job_expect(const struct apply *a, struct job *j, const struct job_spec *spec);
/* It is predicted again, unless the job said it; h may be NULL. */
void job_predict(struct job *j, const struct history *h);

/* ---- apply_system.c ---- */

/* Tasks of system jobs that belong to an agent which is gone are over. */
void systems_agent_gone(struct apply *a, const struct agent *agent);
/* On an agent that is drained they are told to end when nothing else is left there. */
void systems_drain(struct apply *a, struct agent *agent);

/* A live attempt is lost with its agent: its task waits for a successor, or is KILLED
 * if the job is.  With `superseded` it holds its resources until the agent speaks
 * again. */
void attempt_lose(struct apply *a,
                  struct attempt *t,
                  enum task_reason reason,
                  bool superseded);

/* The agent of a superseded attempt is back: if the task has no successor yet, and still wants
 * a run, the attempt is the task's again, whatever became of it; else nothing changes. */
void attempt_reclaim(struct apply *a, struct attempt *t);

/* A live attempt is told to end, and its task goes on elsewhere once it has; `stop_for` as in
 * struct attempt. */
void attempt_stop(struct apply *a,
                  struct attempt *t,
                  enum task_reason reason,
                  uint64_t stop_for);

#endif
