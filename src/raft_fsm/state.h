/* state.h - the replicated state: tables of jobs, tasks, attempts, agents and keys.
 *
 * Every master holds the same state at the same index.  So: integers, tables ordered by
 * id (trees), no pointer, hash or wall-clock order, no floats.
 *
 *   agent     its spec's bytes, capacity and what is allocated of it
 *   job       the spec's bytes, counters of its tasks, its key
 *   task      (job, instance).  Exists as memory only once it was placed: tasks that no
 *             placement touched yet are `instances - touched` and cost nothing, so a job
 *             of a million tasks is accepted in a moment and is small until it runs
 *   attempt   one try on one agent, from placement until its resources are free again
 *   role      who may use how much, and in which order (role.h)
 *   tombstone key, body hash and id of a purged job (joint 8)
 *   failure   what went wrong and when it was well again (failure.h), with sums by type
 *   history   how long the runs of a job name took (history.h)
 *   globals   cluster id, counters, last stamp
 *
 * Reading is free for everybody (sched, master/core); writing happens only between
 * state_edit() and state_edited() (state_edit.h), which keep digest, snapshot walk,
 * change index and all counters right.  Derived members, marked so, are rebuilt from
 * the rest on restore and are not in the canonical bytes.
 *
 * Specs were checked when they were committed and are not decoded again on restore, so
 * that a later version with another opinion of them still starts: who decodes one
 * handles the error.
 */
#ifndef RAFT_FSM_STATE_H
#define RAFT_FSM_STATE_H

#include "base/buffer.h"
#include "base/hash.h"
#include "base/id_map.h"
#include "raft_fsm/extras.h"
#include "raft_fsm/failure.h"
#include "raft_fsm/history.h"
#include "raft_fsm/links.h"
#include "raft_fsm/role.h"
#include "raft_fsm/system.h"
#include "raft_fsm/template.h"
#include "wire/agent.h"
#include "wire/command.h"
#include "wire/resources.h"
#include "wire/task.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What only some tasks have. */
struct task_extras {
    uint64_t retry_us; /* PENDING: a new attempt waits for `retry`, which is due at this
                            * stamp; 0: it does not wait */
    uint64_t since_us; /* stamp of the first of `retries` */
    uint64_t lost_us;  /* stamp of the last of `losses` */
    uint32_t retries;  /* within the interval of the job's policy */
    uint32_t losses;   /* that the agent reported, one soon after the other */
    uint32_t restarts; /* by the agent, in the current or last attempt */
    uint8_t health;    /* enum task_health of a live attempt */
    /* derived */
    uint32_t instance;
    uint64_t failure; /* the open one of the task, or 0 */
    RB_ENTRY(task_extras) by_retry;
};

RB_HEAD(task_retry_tree, task_extras);

/* The tasks of a job that wait for `retry`. */
struct job_retries {
    struct job *job;
    struct task_retry_tree tasks;   /* by retry_us */
    RB_ENTRY(job_retries) by_first; /* by that of the first of them */
    uint32_t count;
};

struct task {
    uint64_t attempt_id; /* of the current or last attempt; 0 before the first */
    uint64_t agent_id;   /* of that attempt */
    uint64_t changed;    /* index of the last change */
    uint32_t instance;
    uint32_t attempt; /* its number, from 1; 0 before the first */
    int32_t exit_code;
    uint8_t state;  /* enum task_state; PENDING again when a successor is due */
    uint8_t reason; /* enum task_reason */
    char *message;  /* NULL when empty */
    struct task_extras *extras; /* owned; NULL: all zero */
    uint64_t started_us;        /* stamp of RUNNING, of the current attempt; 0 before */
    uint64_t ended_us;          /* stamp of the final state; 0 before */
};

#define TASK_CHUNK 64 /* tasks that are given memory together, a bit for each */

struct task_chunk {
    struct task *tasks; /* owned; the last chunk is as short as the job needs */
    uint64_t pending;   /* bit i: tasks[i] is PENDING and does not wait for `retry` */
};

/* What a job's spec says of how its attempts follow each other. */
struct job_policy {
    struct job_retry reschedule;
    uint64_t lease_ms; /* 0: not exclusive */
    uint32_t drift_permille;
    uint64_t grace_ms;
};

struct job {
    uint64_t id;
    uint64_t changed;      /* of the job or any of its tasks */
    uint64_t submit_index; /* what the submitter was told */
    uint64_t submitted_us;
    uint64_t ended_us;   /* 0 while not final */
    uint64_t kill_index; /* of the first kill, 0 before.  From then on no task starts,
                          * pending ones count as KILLED and live ones are to end */
    struct bytes key;    /* owned */
    struct bytes spec;   /* owned canonical bytes; valid when they were submitted */
    struct hash128 body; /* hash of the spec: same key, other body = conflict */
    struct resources resources; /* of one task */
    struct extra_needs *extras; /* likewise, owned; NULL: none */
    struct job_policy *policy;  /* of the spec, owned; NULL: all zero */
    struct owner *owner;       /* and its role; in the canonical bytes by their names */
    uint64_t expected_ms;      /* of one task; 0: as long as the role says */
    struct job_template *made; /* of it jobs are made; owned; NULL: it runs itself */
    struct job_links *links;   /* owned; NULL: it waits for none, and none for it */
    struct bytes match; /* derived: which agents (wire/match.h), packed, a view of `spec`;
                         * empty: any */
    uint32_t instances;
    int32_t priority;
    uint8_t kind;          /* enum job_kind */
    uint8_t expected_from; /* enum expectation */
    bool is_gang;          /* derived, of `spec` */

    /* derived */
    bool is_runnable; /* in the state's queue of jobs that may have tasks to place */
    uint32_t touched; /* tasks [0, touched) have memory; the rest is pending.  More than
                       * 0: one was placed */
    uint32_t tasks[TASK_STATE_COUNT]; /* the touched ones by stored state */
    uint32_t attempts; /* that exist: one for each live task, and superseded ones */
    bool was_whole; /* as of the last edit, of job_is_whole() */
    uint32_t stopped; /* of those: superseded, or told to end while the job goes on */
    struct job_system *system; /* of its kind: one task on each agent; owned, or NULL */
    struct failure_counts *open_failures; /* of its tasks, owned; NULL: none */
    struct job_retries *retries;          /* owned; NULL: none ever waited */
    struct task_chunk *chunks;
    struct hash128 task_digest; /* the part of the digest that its tasks have */
    uint64_t key_hash;
    RB_ENTRY(job) by_key;
    RB_ENTRY(job) by_order; /* runnable queue: priority down, then id */
};

/* Its job and its agent outlive it: a job with an attempt left cannot be purged.  Its ports
 * stand behind it: attempt_ports(). */
struct attempt {
    uint64_t id;
    uint64_t changed;
    uint64_t placed_us;
    TAILQ_ENTRY(attempt) by_agent; /* derived */
    struct job *job;               /* in the canonical bytes by its id */
    struct agent *agent;           /* likewise */
    uint32_t instance;
    uint32_t number;
    uint8_t state;   /* STAGING, STARTING, RUNNING; LOST while superseded (see below) */
    bool superseded; /* its agent was unreachable: the task went on without it; it holds
                      * resources until the agent says that it is over, or is gone */
    uint8_t stop; /* enum task_reason: it is to end, and its task to go on elsewhere */
    uint8_t port_count;
    uint64_t stop_for; /* PREEMPTED: the job that takes its place; MOVED: the agent that it
                        * is to go to; else 0 */
};

TAILQ_HEAD(agent_attempts, attempt); /* by id: they are placed in that order */

struct agent {
    uint64_t id;
    uint64_t changed;
    uint8_t state;     /* enum agent_state */
    uint8_t mode;      /* enum agent_mode; survives re-registration */
    bool drain_due;    /* DRAINING: the deadline has passed, its attempts are to end */
    uint64_t drain_us; /* DRAINING: stamp of the deadline; else 0 */
    uint8_t key[16];
    struct bytes spec; /* owned canonical bytes; valid when they were registered */
    struct resources capacity; /* of the spec; `extras` are beside it */
    uint64_t registered_us;
    uint64_t since_us; /* stamp of the last change of state */

    /* derived */
    struct resources allocated;
    uint32_t attempts_count;
    uint32_t systems_count;    /* of those, attempts of system jobs */
    uint32_t superseded_count; /* > 0: takes no new work (joint 10, I-15) */
    struct agent_attempts attempts;
    RB_ENTRY(agent) by_id;
    RB_ENTRY(agent) by_key;
    struct extra_use extras_used;
    uint64_t failure; /* the open one of the agent, or 0 */

    /* seldom looked at, so last */
    struct extra_capacity extras; /* of the spec; not derived */
};

struct tombstone {
    uint64_t changed;
    struct bytes key; /* owned */
    struct hash128 body;
    uint64_t job_id;
    uint64_t submit_index;
    uint64_t purged_us; /* in purge order, so also the order of expiry */

    /* derived */
    uint64_t key_hash;
    RB_ENTRY(tombstone) by_key;
    RB_ENTRY(tombstone) by_age; /* purged_us, then job_id */
};

RB_HEAD(job_key_tree, job);
RB_HEAD(job_order_tree, job);
RB_HEAD(job_retry_tree, job_retries);
RB_HEAD(agent_tree, agent);
RB_HEAD(agent_key_tree, agent);
RB_HEAD(tombstone_tree, tombstone);
RB_HEAD(tombstone_age_tree, tombstone);

RB_PROTOTYPE(job_key_tree, job, by_key, )
RB_PROTOTYPE(job_order_tree, job, by_order, )
RB_PROTOTYPE(job_retry_tree, job_retries, by_first, )
RB_PROTOTYPE(task_retry_tree, task_extras, by_retry, )
RB_PROTOTYPE(agent_tree, agent, by_id, )
RB_PROTOTYPE(agent_key_tree, agent, by_key, )
RB_PROTOTYPE(tombstone_tree, tombstone, by_key, )
RB_PROTOTYPE(tombstone_age_tree, tombstone, by_age, )

struct globals {
    uint64_t changed;
    bool founded;
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    uint64_t last_job_id;
    uint64_t last_agent_id;
    uint64_t last_attempt_id;
    uint64_t last_stamp_us;
    /* What plans rest on (spec 16), as the indexes of the last changes: of agents, that came, went
     * or became others; of jobs, that came or were killed, of a `default` that nobody set. */
    uint64_t agents_changed, default_changed;
};

struct snapshot_walk;

/* Keys are spread over many small trees by their hash: with millions of keys the way down
 * one large tree is twenty cache misses.  Nothing walks them in order. */
#define KEY_TREES 65536

struct state {
    uint64_t index; /* of the last applied entry */
    uint64_t term;  /* of that entry */
    struct globals globals;
    struct hash128 digest; /* sum over all objects of the hash of their images */

    struct id_map jobs;     /* state_job(), state_next_job() */
    struct id_map attempts; /* state_attempt(), state_next_attempt() */
    struct agent_tree agents;
    struct role_tree roles;                /* also those that are not set (role.h) */
    struct role *roles_by_id[LIMIT_ROLES]; /* NULL where none is set */
    struct tombstone_age_tree tombstones_by_age;
    struct failures failures;
    struct history *histories[LIMIT_HISTORIES]; /* [0, history_count), by id */

    /* derived */
    struct job_key_tree jobs_by_key[KEY_TREES]; /* state_job_by_key() */
    struct tombstone_tree tombstones_by_key[KEY_TREES];
    struct job_order_tree runnable; /* job_may_place(): priority down, id up */
    struct template_tree templates; /* with schedules, that are not killed */
    uint64_t template_count;        /* of those */
    struct system_tree systems;     /* jobs with a task on each agent, not killed */
    uint64_t system_count;          /* of those */
    struct ending_tree ending;      /* jobs that ended and have others to tell of it */
    struct job_retry_tree retrying; /* of jobs with such tasks that are not killed */
    struct agent_key_tree agents_by_key;
    uint64_t job_count;
    uint64_t task_count; /* sum of instances */
    struct use capacity; /* of agents that may come back: all but those that are gone */
    uint64_t agent_count;
    uint64_t role_count; /* that are set */
    uint64_t tombstone_count;
    uint64_t history_count;
    struct history_tree histories_by_name[LIMIT_HISTORIES]; /* as keys, by their hash */
    struct history_use_tree
        histories_by_use; /* the young ones first, and of them and of the
                                               * others the least recently used */
    uint64_t young_histories;
    uint64_t tasks_by_state[TASK_STATE_COUNT]; /* as job_task_state() shows them */
    uint64_t jobs_by_state[JOB_STATE_COUNT];
    uint64_t agents_by_state[AGENT_STATE_COUNT];
    struct snapshot_walk *walk; /* the snapshot being taken, or NULL */
};

struct state *state_create(void);
void state_destroy(struct state *s); /* NULL is fine */

struct job *state_job(const struct state *s, uint64_t id);
/* The one with the lowest id from this one on, or NULL. */
struct job *state_next_job(const struct state *s, uint64_t id);
#define STATE_FOREACH_JOB(job, state)                       \
    for ((job) = state_next_job((state), 0); (job) != NULL; \
         (job) = state_next_job((state), (job)->id + 1))
struct job *state_job_by_key(const struct state *s, struct bytes key);
struct attempt *state_attempt(const struct state *s, uint64_t id);
/* Likewise. */
struct attempt *state_next_attempt(const struct state *s, uint64_t id);
struct agent *state_agent(const struct state *s, uint64_t id);
struct agent *state_agent_by_key(const struct state *s, const uint8_t key[16]);
struct tombstone *state_tombstone(const struct state *s, struct bytes key);
/* `default` also when nobody set it; NULL when there is no such role. */
struct role *state_role(const struct state *s, const char *name);

/* In use on its agent as long as it exists. */
uint16_t *attempt_ports(const struct attempt *t);
/* True if the agent is to end it: it is superseded, its job is killed, or it is to go on
 * elsewhere. */
bool attempt_is_to_end(const struct attempt *t);

/* A touched task, or NULL (then it is PENDING, or KILLED if the job is killed). */
struct task *job_task(const struct job *j, uint32_t instance);
/* What a user sees of any task of the job, touched or not: KILLING and KILLED where the
 * job is killed and the stored state does not say so. */
enum task_state job_task_state(const struct job *j, uint32_t instance);
/* How many tasks job_task_state() shows in that state; O(1). */
uint32_t job_tasks_in(const struct job *j, enum task_state state);
enum job_state job_state(const struct job *j);
/* True if a successor of its attempts may only start when their lease has run out. */
bool job_has_lease(const struct job *j);
/* True until it has ended and nothing of it is left. */
bool job_has_role(const struct job *j);
/* True if it is PENDING and waits for `retry`. */
bool task_waits(const struct task *t);
/* What the checks of its live attempt say, and how often its agent restarted it. */
enum task_health task_health(const struct task *t);
uint32_t task_restarts(const struct task *t);
/* Its open failure, or 0. */
uint64_t task_failure(const struct task *t);
/* What a task of it needs of custom resources. */
const struct custom_resources *job_custom(const struct job *j);
/* Attempts of it that are to end (attempt_is_to_end()). */
uint32_t job_ending(const struct job *j);
/* Tasks with a live attempt. */
uint32_t job_live(const struct job *j);
/* How long a task of it is expected to take, whoever knows it. */
uint64_t job_expected_ms(const struct job *j);
/* Tasks that have not ended. */
uint32_t job_unfinished(const struct job *j);
/* Tasks that wait for `retry`, and the one that is due first, or NULL. */
uint32_t job_waiting(const struct job *j);
struct task_extras *job_first_retry(const struct job *j);
/* Tasks that could be placed now. */
uint32_t job_pending(const struct job *j);
/* It has such tasks, or is a system job, which may get one with each agent. */
bool job_may_place(const struct job *j);
/* A gang of which nothing is live begins as a whole: all of its tasks that are pending are
 * placed by one command, or none.  Then that is so, and until none of them waits for `retry`
 * there are none that could be placed. */
bool job_is_whole(const struct job *j);
/* The lowest instance to place at or after `from`: *instance and the attempt number it
 * will have; false when there is none. */
bool job_next_pending(const struct job *j,
                      uint32_t from,
                      uint32_t *instance,
                      uint32_t *attempt);

/* True if the scheduler may place on it: ACTIVE in mode NORMAL with nothing superseded, and
 * with less than LIMIT_AGENT_RUNS attempts. */
bool agent_takes_work(const struct agent *a);
/* True if one more task of the job fits: never while more is allocated than there is. */
bool agent_has_room(const struct agent *a, const struct job *j);
/* How many tasks of the job fit together, at most `most`. */
uint32_t agent_room(const struct agent *a, const struct job *j, uint32_t most);

/* Every invariant across the tables, and counters and digest from scratch.  O(state).
 * Returns 0 or ERROR_CORRUPT with the first rule that is broken. */
int state_verify(const struct state *s, struct error *err);
/* The same as an assertion, for tests, simulation and debug builds. */
void state_check(const struct state *s);

#endif
