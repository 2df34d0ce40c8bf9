/* core_internal.h - the parts of the agent's core, joined.
 *
 *   agent_core.c  events in: which part they belong to
 *   leading.c     sessions, the fence of terms, registration, heartbeats
 *   runs.c        the life of a run as a table
 *   ends.c        how a run ended, in words
 *   updates.c     what the leader must still be told
 *   records.c     the checkpoint's records, packed and unpacked
 *   usage.c       what runs use
 *   actions.c     the list that goes out
 */
#ifndef AGENT_CORE_CORE_INTERNAL_H
#define AGENT_CORE_CORE_INTERNAL_H

#include "agent/core/agent_core.h"
#include "base/limits.h"
#include "base/rng.h"
#include "wire/message.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#define NEVER UINT64_MAX /* a deadline that does not come */

#define HEARTBEAT_LEADER_MS   500
#define HEARTBEAT_OTHERS_MS   5000
#define REGISTER_TIMEOUT_MS   2000 /* without an answer */
#define REGISTER_RETRY_MS     100  /* before it asks again: doubled, with jitter */
#define REGISTER_RETRY_MAX_MS 2000
#define UPDATE_DELAY_MS       50 /* a state that lasts less is not worth a log entry */
#define UPDATE_RESEND_MS      1000
#define KILL_REPEAT_MS        10000

/* ---- runs ---- */

/* What the agent knows of an attempt.  The first two are of attempts without a run. */
enum run_phase {
    RUN_NEW,      /* above the highest ever accepted: never heard of */
    RUN_PAST,     /* not above it: ended and forgotten, or never accepted */
    RUN_RECORDED, /* accepted, its record is on the way to the disk */
    RUN_STARTING, /* handed to the launcher */
    RUN_RUNNING,
    RUN_STOPPING, /* told to end */
    RUN_ENDED,    /* until the leader acknowledges it */
    RUN_PHASES
};

enum run_event {
    RUN_ON_LAUNCH,
    RUN_ON_STOP,
    RUN_ON_DURABLE,
    RUN_ON_STARTED,
    RUN_ON_ENDED,
    RUN_ON_KILL_DUE,
    RUN_ON_ACKED, /* its final state */
    RUN_EVENTS
};

enum update_place { UPDATE_NONE, UPDATE_DELAYED, UPDATE_DUE, UPDATE_SENT };

struct run {
    uint64_t attempt;
    uint64_t job;
    uint32_t instance;
    uint32_t number;
    uint64_t term;
    struct bytes spec; /* owned; empty for a run that was never accepted */
    uint64_t kill_grace_ms;

    uint8_t phase; /* enum run_phase */
    bool started;  /* its launcher can signal it */
    bool kept;     /* it has a record in the checkpoint */
    bool stopped;  /* told to end; in the record */
    uint64_t
        sequence; /* of the record that must be durable before it is started or told */
    uint64_t kill_ms; /* next KILL while stopping */

    uint8_t state; /* enum task_state, as told to the leader */
    uint8_t acked; /* the highest state that was acknowledged */
    uint8_t reason;
    int32_t exit_code;
    char *message; /* owned, or NULL */

    uint8_t place;     /* enum update_place: the queue that `update` links it into */
    uint64_t place_ms; /* when it leaves that queue */
    TAILQ_ENTRY(run) update;
    TAILQ_ENTRY(run) waiting; /* until `sequence` is durable */
    bool is_waiting;
    RB_ENTRY(run) by_attempt;
    RB_ENTRY(run) by_kill; /* while kill_ms is not NEVER */
};

RB_HEAD(run_tree, run);
RB_HEAD(kill_tree, run);
TAILQ_HEAD(run_queue, run);
RB_PROTOTYPE(run_tree, run, by_attempt, )
RB_PROTOTYPE(kill_tree, run, by_kill, )

/* ---- sessions and the leader ---- */

struct session {
    uint64_t id;  /* 0: none */
    bool greeted; /* its hello came and was good */
    bool foreign; /* of another cluster, when last heard; kept after the session closed
                   */
};

enum leader_phase {
    LEADER_NONE,        /* nobody leads, as far as known */
    LEADER_FENCING,     /* its term is on the way to the disk */
    LEADER_REGISTERING, /* waiting for its answer */
    LEADER_RESTING,     /* it could not, or did not answer: ask again at the deadline */
    LEADER_TELLING,     /* sent all runs, waiting for its answers */
    LEADER_REGISTERED,
};

struct leader {
    enum leader_phase phase;
    uint32_t master;
    uint64_t session;
    uint64_t sequence; /* FENCING: must be durable before it is obeyed */
    uint32_t request;  /* REGISTERING: id of the request */
    uint32_t answers;  /* TELLING: requests not yet answered */
    uint32_t tries;    /* refused in a row */
    uint64_t deadline_ms;
};

struct agent_core {
    uint64_t now_ms;
    struct agent_actions *out; /* of the step that runs */
    bool stopped;              /* said AGENT_FATAL: does nothing any more */
    struct rng rng;

    /* durable */
    uint8_t key[16];
    uint64_t agent;
    bool has_cluster;
    uint8_t cluster[CLUSTER_ID_BYTES];
    uint64_t term;
    uint64_t highest;

    /* records */
    uint64_t sequence; /* of the last record sent out */
    uint64_t durable;
    bool identity_changed;
    bool fence_changed;

    /* sessions */
    uint64_t incarnation;
    struct buffer spec; /* packed, with the key */
    uint32_t masters;
    struct session sessions[LIMIT_MASTERS];
    struct leader leader;
    uint32_t last_request;
    uint64_t heartbeat_leader_ms;
    uint64_t heartbeat_others_ms;
    bool gone; /* an operator said so: ends its runs, then stops */

    /* runs */
    struct run_tree runs;
    struct kill_tree kills;
    struct run_queue waiting;
    uint32_t run_count;
    uint32_t phases[RUN_PHASES];
    uint64_t digest;

    /* updates: in each queue all wait equally long, so it is in order of place_ms */
    struct run_queue delayed, due, sent;

    uint64_t timer_ms; /* as last told */
    uint64_t launches_accepted, attempts_refused, orders_refused, updates_sent;
};

/* actions.c */
struct agent_action *agent_actions_add(struct agent_actions *a,
                                       enum agent_action_kind kind);
void agent_actions_clear(struct agent_actions *a);
/* Everything appended to a->bytes since `offset` goes to the session. */
void agent_actions_send(struct agent_actions *a, uint64_t session, size_t offset);
void agent_actions_log(struct agent_actions *a,
                       enum log_level level,
                       const char *format,
                       ...) __attribute__((format(printf, 3, 4)));
/* The list is complete: make its pointers right. */
void agent_actions_settle(struct agent_actions *a);

/* records.c */
int records_load(struct agent_core *core,
                 const struct agent_record *records,
                 size_t count,
                 struct error *err);
void records_put_run(struct agent_core *core, const struct run *r);
void records_erase_run(struct agent_core *core, const struct run *r);
/* One AGENT_RECORD for everything that changed in this step. */
void records_flush(struct agent_core *core);
/* The sequence that records of this step will have. */
static inline uint64_t records_next(const struct agent_core *core)
{
    return core->sequence + 1;
}

/* runs.c */
void runs_init(struct agent_core *core);
void runs_finish(struct agent_core *core);
struct run *runs_find(const struct agent_core *core, uint64_t attempt);
/* What its launcher is told; the spec is a view. */
struct run_start runs_start_of(const struct agent_core *core, const struct run *r);
/* A run that the checkpoint kept; it is adopted. */
struct run *runs_restore(struct agent_core *core, uint64_t attempt);
void runs_set_spec(struct run *r, struct bytes spec);
/* It was told to end before the restart; that is done again. */
void runs_set_stopped(struct agent_core *core, struct run *r);
void runs_launch(struct agent_core *core, uint64_t term, const struct launch *l);
void runs_stop(struct agent_core *core, uint64_t attempt);
void runs_stop_all(struct agent_core *core);
void runs_ack(struct agent_core *core, uint64_t attempt, enum task_state state);
void runs_started(struct agent_core *core, uint64_t attempt);
void runs_ended(struct agent_core *core, const struct agent_event *event);
void runs_durable(struct agent_core *core);
void runs_tick(struct agent_core *core);
uint64_t runs_deadline(const struct agent_core *core);

/* ends.c */
struct run_verdict {
    enum task_state state;
    enum task_reason reason;
    int exit_code;
    char message[LIMIT_MESSAGE_BYTES + 1]; /* empty: nothing to say */
};
/* stopped: it had been told to end. */
void ends_judge(const struct run_ended *e, bool stopped, struct run_verdict *out);

/* updates.c */
void updates_init(struct agent_core *core);
/* The run's state changed: tell the leader, at once or after UPDATE_DELAY_MS. */
void updates_changed(struct agent_core *core, struct run *r);
void updates_drop(struct agent_core *core, struct run *r);
/* A new leader: everything that is not acknowledged goes again. */
void updates_restart(struct agent_core *core);
void updates_tick(struct agent_core *core);
uint64_t updates_deadline(const struct agent_core *core);
/* All runs, as `send_runs` asks; returns how many requests it took. */
uint32_t updates_tell_all(struct agent_core *core);

/* usage.c */
void usage_tell(struct agent_core *core,
                const struct usage_report *reports,
                size_t count);

/* leading.c */
void leading_opened(struct agent_core *core, uint64_t session, uint32_t master);
void leading_closed(struct agent_core *core, uint64_t session, enum error_code reason);
void leading_frame(struct agent_core *core, uint64_t session, struct bytes frame);
void leading_durable(struct agent_core *core);
void leading_tick(struct agent_core *core);
uint64_t leading_deadline(const struct agent_core *core);

/* agent_core.c */
void core_fatal(struct agent_core *core, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
