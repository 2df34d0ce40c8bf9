/* core_internal.h - the parts of the agent's core, joined.
 *
 *   agent_core.c  events in: which part they belong to
 *   finding.c     who leads, when nobody says so
 *   leading.c     sessions, the fence of terms, registration, heartbeats
 *   runs.c        the runs, and what comes in about them
 *   run_table.c   the life of a run as a table
 *   restarts.c    how often a run is started again
 *   leases.c      how long a run may go on without a leader
 *   checks.c      health and readiness
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
#include "wire/job.h"
#include "wire/message.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#define NEVER UINT64_MAX /* a deadline that does not come */

#define HEARTBEAT_LEADER_MS   500
#define HEARTBEAT_OTHERS_MS   5000
#define REGISTER_TIMEOUT_MS   2000 /* without an answer */
#define REGISTER_RETRY_MS     100  /* before it asks again: doubled, with jitter */
#define REGISTER_RETRY_MAX_MS 2000
#define FIND_MS               1000 /* without a leader; then masters are asked who leads */
#define FIND_MAX_MS           5000 /* between two such questions */
#define FIND_WARN_MS          5000
#define UPDATE_DELAY_MS       50 /* a state that lasts less is not worth a log entry */
#define UPDATE_RESEND_MS      1000
#define UPDATE_CHANGE_MS      1000 /* between two of a run whose state stays the same */
#define KILL_REPEAT_MS        10000
#define CHECK_BUSY_MS         200  /* too many are on the way: ask again */
#define CHECK_LOST_MS         5000 /* after its timeout: who was to answer is gone */
#define HEARTBEATS_KEPT       32   /* whose confirmation is still worth something */

/* ---- runs ---- */

/* What the agent knows of an attempt.  The first two are of attempts without a run. */
enum run_phase {
    RUN_NEW,      /* above the highest ever accepted: never heard of */
    RUN_PAST,     /* not above it: ended and forgotten, or never accepted */
    RUN_RECORDED, /* accepted; its record is on the way to the disk, or it waits for its
                     lease */
    RUN_STARTING, /* handed to the launcher */
    RUN_RUNNING,
    RUN_DOOMED,   /* to be told to end, once it is durable why */
    RUN_STOPPING, /* told to end */
    RUN_WAITING,  /* it failed, and will be started again */
    RUN_ENDED,    /* until the leader acknowledges it */
    RUN_PHASES
};

enum run_event {
    RUN_ON_LAUNCH,
    RUN_ON_DECLINED, /* launched while the agent takes no new work */
    RUN_ON_STOP,
    RUN_ON_READY, /* its record is durable; before a start its delay is over as well, and
                     its lease is valid */
    RUN_ON_STARTED,
    RUN_ON_FAILED, /* it ended, and is to be started again */
    RUN_ON_ENDED,
    RUN_ON_OVERDUE,   /* it ran as long as it may */
    RUN_ON_UNHEALTHY, /* a health check failed too often */
    RUN_ON_KILL_DUE,
    RUN_ON_ACKED, /* its final state */
    RUN_EVENTS
};

/* Why it was told to end.  The numbers are in the checkpoint. */
enum run_cause {
    CAUSE_NONE = 0,
    CAUSE_ORDER = 1, /* by the leader; it replaces the others */
    CAUSE_MAX_RUNTIME = 2,
    CAUSE_HEALTH = 3,
};

struct check {
    bool is_health;    /* else readiness */
    bool asked;        /* its answer is on the way */
    bool told;         /* there was an answer */
    bool passed;       /* the last one */
    uint32_t failed;   /* in a row */
    uint32_t failures; /* that many count */
    uint64_t interval_ms, timeout_ms, start_delay_ms;
    uint64_t due_ms;
    uint64_t lost_ms; /* while asked: without an answer by then it has failed */
};

enum update_place { UPDATE_NONE, UPDATE_DELAYED, UPDATE_DUE, UPDATE_SENT };

struct run {
    uint64_t attempt;
    uint64_t job;
    uint32_t instance;
    uint32_t number;
    uint64_t term;
    struct bytes spec; /* owned; empty for a run that was never accepted */
    uint16_t *ports;   /* owned, or NULL */
    uint32_t port_count;

    /* of the spec */
    uint64_t kill_grace_ms;
    uint64_t max_runtime_ms; /* 0: none */
    uint64_t lease_ms;       /* 0: none */
    struct job_retry restart;
    struct check *checks; /* owned, or NULL */
    uint32_t check_count;

    uint8_t phase;  /* enum run_phase */
    bool started;   /* its launcher can signal it */
    bool kept;      /* it has a record in the checkpoint */
    bool over;      /* not to be started again; in the record */
    bool leased;    /* counts in core->leased */
    uint8_t cause;  /* enum run_cause; in the record */
    uint8_t health; /* enum task_health */

    /* of its restarts; in the record */
    uint32_t restarts;
    uint32_t window_count; /* failures since window_ms */
    uint64_t window_ms;

    uint64_t
        sequence; /* of the record that must be durable before it is started, told to
                   * end, or spoken of */

    /* What is due when; NEVER if nothing.  wake_ms is the least of them. */
    uint64_t kill_ms;    /* STOPPING: the next KILL */
    uint64_t start_ms;   /* WAITING */
    uint64_t overdue_ms; /* RUNNING */
    uint64_t check_ms;   /* RUNNING */
    uint64_t tell_ms;    /* health or restarts changed */
    uint64_t wake_ms;

    uint8_t state; /* enum task_state */
    uint8_t shown; /* while is_waiting: the state before, which is told */
    uint8_t acked; /* the highest state that was acknowledged */
    uint8_t reason;
    int32_t exit_code;
    char *message; /* owned, or NULL */

    uint8_t place;     /* enum update_place: the queue that `update` links it into */
    uint64_t place_ms; /* when it leaves that queue */
    TAILQ_ENTRY(run) update;
    uint64_t told_ms;         /* last sent */
    TAILQ_ENTRY(run) waiting; /* until `sequence` is durable, or for a lease */
    bool is_waiting;          /* in core->waiting */
    bool is_held;             /* in core->held */
    RB_ENTRY(run) by_attempt;
    RB_ENTRY(run) by_wake; /* while wake_ms is not NEVER */
};

RB_HEAD(run_tree, run);
RB_HEAD(wake_tree, run);
TAILQ_HEAD(run_queue, run);
RB_PROTOTYPE(run_tree, run, by_attempt, )
RB_PROTOTYPE(wake_tree, run, by_wake, )

/* ---- sessions and the leader ---- */

struct session {
    uint64_t id;                  /* 0: none */
    char *address;                /* owned, or NULL: never opened */
    uint64_t master, incarnation; /* of the process on the other side, as it said */
    bool greeted;                 /* its hello came and was good */
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

struct finding {
    bool on;          /* nobody leads, as far as known */
    uint64_t ask_ms;  /* when to ask who does */
    uint64_t wait_ms; /* until the question after that */
    uint64_t warn_ms; /* when to tell people; NEVER: told */
};

struct asked { /* a heartbeat that asks for a renewal */
    uint64_t sequence;
    uint64_t sent_ms;
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
    uint32_t listed;
    uint32_t masters; /* with those that were named by others */
    struct session sessions[AGENT_MASTERS_MAX];
    struct leader leader;
    struct finding finding;
    uint32_t last_request;
    uint64_t heartbeat_leader_ms;
    uint64_t heartbeat_others_ms;
    bool gone; /* an operator said so: ends its runs, then stops */
    bool disk_low;

    /* leases */
    uint32_t leased;         /* runs that have one and did not end */
    uint64_t renewed_ms;     /* they hold from then on; 0: never renewed */
    uint64_t last_heartbeat; /* the newest number that was asked with */
    struct asked asked[HEARTBEATS_KEPT];

    /* runs */
    struct run_tree runs;
    struct wake_tree wakes;
    struct run_queue waiting;
    struct run_queue held; /* ready but for their lease */
    uint32_t checks_asked;
    uint64_t checking[LIMIT_AGENT_CHECKS]; /* jobs of those that are asked */
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
void agent_actions_dial(struct agent_actions *a, struct bytes address);
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
/* A run that the checkpoint kept, in its fields and spec: adopt it. */
struct run *runs_restore(struct agent_core *core, uint64_t attempt);
void runs_set_spec(struct run *r, struct bytes spec);
void runs_set_ports(struct run *r, const uint16_t *ports, uint32_t count);
void runs_restored(struct agent_core *core, struct run *r);
void runs_launch(struct agent_core *core, uint64_t term, const struct launch *l);
void runs_stop(struct agent_core *core, const struct stop *order);
void runs_stop_all(struct agent_core *core);
void runs_ack(struct agent_core *core, const struct ack *ack);
void runs_started(struct agent_core *core, const struct agent_event *event);
void runs_ended(struct agent_core *core, const struct agent_event *event);
void runs_checked(struct agent_core *core, const struct run_checked *answer);
void runs_durable(struct agent_core *core);
void runs_renewed(struct agent_core *core); /* leases hold longer */
void runs_tick(struct agent_core *core);
uint64_t runs_deadline(const struct agent_core *core);
/* Nothing happens with the run, and it is told as it is, until the record of this step is
 * durable.  To be called before its state changes. */
void runs_wait_durable(struct agent_core *core, struct run *r);
/* One of its deadlines changed. */
void runs_schedule(struct agent_core *core, struct run *r);
void runs_remove(struct agent_core *core, struct run *r);

/* run_table.c */
void run_step(struct agent_core *core,
              struct run *r,
              enum run_event event,
              const struct agent_event *e);
/* What its launcher is told; spec and ports are views. */
struct run_start run_start_of(const struct agent_core *core, const struct run *r);
void run_set_state(struct agent_core *core, struct run *r, enum task_state state);
void run_say(struct run *r, const char *message); /* empty: nothing */

/* restarts.c */
bool restarts_left(const struct agent_core *core, const struct run *r);
void restarts_count(const struct agent_core *core, struct run *r);
uint64_t restarts_delay(const struct run *r);

/* leases.c */
void leases_add(struct agent_core *core, struct run *r);
void leases_drop(struct agent_core *core, struct run *r);
/* The number for a heartbeat of now; 0 if nothing needs a lease. */
uint64_t leases_ask(struct agent_core *core);
void leases_confirmed(struct agent_core *core, uint64_t sequence);
bool leases_valid(const struct agent_core *core, const struct run *r);

/* checks.c */
void checks_set(struct run *r, const struct job_spec *spec);
void checks_start(struct agent_core *core, struct run *r, uint64_t since_ms);
void checks_stop(struct agent_core *core, struct run *r);
void checks_reset(struct run *r);
void checks_due(struct agent_core *core, struct run *r);
void checks_answered(struct agent_core *core,
                     struct run *r,
                     const struct run_checked *answer);

/* ends.c */
struct run_verdict {
    enum task_state state;
    enum task_reason reason;
    int exit_code;
    char message[LIMIT_MESSAGE_BYTES + 1]; /* empty: nothing to say */
};
void ends_judge(const struct run_ended *e,
                const struct run *r,
                struct run_verdict *out);

/* updates.c */
void updates_init(struct agent_core *core);
/* The run's state changed: tell the leader, at once or after UPDATE_DELAY_MS. */
void updates_changed(struct agent_core *core, struct run *r);
/* Only its health or its restarts did. */
void updates_touched(struct agent_core *core, struct run *r);
void updates_due(struct agent_core *core, struct run *r);
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
void leading_opened(struct agent_core *core, const struct agent_event *event);
void leading_closed(struct agent_core *core, uint64_t session, enum error_code reason);
void leading_frame(struct agent_core *core, uint64_t session, struct bytes frame);
/* Ask a master to register with it, though it does not lead as far as we know. */
void leading_ask(struct agent_core *core, const struct session *s);
void leading_finish(struct agent_core *core);
void leading_durable(struct agent_core *core);
void leading_disk(struct agent_core *core, bool low);
void leading_tick(struct agent_core *core);
uint64_t leading_deadline(const struct agent_core *core);

/* finding.c */
void finding_look(struct agent_core *core);    /* at the end of each step */
void finding_greeted(struct agent_core *core); /* by a master */
void finding_answered(struct agent_core *core, const struct rpc *rpc);
void finding_tick(struct agent_core *core);
uint64_t finding_deadline(const struct agent_core *core);

/* agent_core.c */
void core_fatal(struct agent_core *core, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
