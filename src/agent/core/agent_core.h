/* agent_core.h - what an agent decides: whom it obeys, and the life of each run.
 *
 * Pure (joint 1): an event goes in, a list of actions comes out.  The production agent
 * and the simulator link this same object.  docs/spec/6-agent.md has the rules; in
 * short:
 *
 *   - The highest term is durable before its leader is obeyed; lower ones are refused.
 *   - A launch is durable before it is started, and no attempt is ever started twice:
 * an id that is not above the highest ever accepted, and not among the runs, is refused
 * for good.
 *   - Every change of a run is repeated to the leader until it is acknowledged.
 *
 * Durable means: the shell has reported AGENT_DURABLE with the sequence of that record
 * or a later one.  Records are applied in order of their sequence, each wholly or not
 * at all.
 */
#ifndef AGENT_CORE_AGENT_CORE_H
#define AGENT_CORE_AGENT_CORE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "wire/agent.h"
#include "wire/command.h"
#include "wire/message_usage.h"
#include "wire/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGENT_ENTROPY_BYTES 32
#define AGENT_MASTERS_MAX   (2 * LIMIT_MASTERS) /* with those that others name */

/* One key of the checkpoint and its new value; the core alone knows what is inside. */
struct agent_record {
    struct bytes key;
    struct bytes value; /* empty: erase the key */
};

/* How a run ended, as its launcher saw it. */
enum run_end {
    RUN_END_EXITED,      /* code = exit status */
    RUN_END_SIGNALED,    /* code = signal */
    RUN_END_NOT_STARTED, /* the command could not be started; message says why */
    RUN_END_SHIM_LOST,   /* its shim is gone and left no exit status */
    RUN_END_VANISHED, /* nothing of it is left: never started, or the host rebooted */
    RUN_END_MEMORY,   /* it reached its limit of memory; code as for how it died */
    RUN_END_DISK,     /* it was ended because its files take more than its disk */
    RUN_END_LEASE,    /* its shim ended it because the lease ran out; code = signal */
    RUN_END_FETCH_FAILED, /* not started: an artifact; message says why */
    RUN_END_IMAGE_FAILED, /* not started: its image; message says why */
    RUN_END_NO_USER,      /* not started: nobody said in time who its user is */
    RUN_END_SHUTDOWN,     /* as the shutdown of its host ends it; code = signal */
    RUN_ENDS
};

/* A run may be started again by its agent: starts of an attempt are told apart by the
 * number of those before. */
struct run_started {
    uint64_t attempt;
    uint32_t restarts;
    uint64_t since_ms; /* on the clock of now_ms: when its command was started */
};

struct run_ended {
    uint64_t attempt;
    uint32_t restarts;
    enum run_end how;
    int code;
    const char *message; /* NULL: the core finds the words */
};

struct run_checked {
    uint64_t attempt;
    uint32_t restarts;
    uint32_t index; /* of the check in the job_spec */
    bool passed;
    bool unasked;        /* it could not be asked: that says nothing of the run */
    const char *message; /* of one that failed: why */
};

enum agent_event_kind {
    AGENT_START,          /* the first event, once */
    AGENT_TICK,           /* the deadline of the last AGENT_TIMER came */
    AGENT_SESSION_OPENED, /* a connection with a master stands; session numbers never
                             repeat */
    AGENT_SESSION_CLOSED, /* by the other side, or because of AGENT_CLOSE */
    AGENT_FRAME,          /* one whole frame, without its size word */
    AGENT_DURABLE,        /* all records up to `sequence` are on disk */
    AGENT_RUN_STARTED,    /* the command runs; also the answer to AGENT_ADOPT_RUN */
    AGENT_RUN_ENDED, /* nothing of the run is left; also an answer to AGENT_ADOPT_RUN */
    AGENT_USAGE,     /* what the runs use: for the leader, if there is one */
    AGENT_CHECKED,   /* the answer to AGENT_CHECK */
    AGENT_DISK,      /* the disk of the work directory is low, or no more */
};

struct agent_event {
    enum agent_event_kind kind;
    uint64_t now_ms; /* CLOCK_BOOTTIME, so that a sleep of the host counts; never falls
                      */
    union {
        struct {
            const struct agent_spec *spec; /* its key is not read */
            uint32_t masters;              /* 1 to LIMIT_MASTERS, numbered from 0 */
            const struct agent_record *records; /* the checkpoint, in any order */
            size_t record_count;
            uint64_t renewed_ms; /* of the last AGENT_RENEW of this boot; or 0 */
            uint8_t entropy[AGENT_ENTROPY_BYTES];
        } start;
        struct {
            uint64_t session;
            uint32_t master;     /* of the list, or a further one: AGENT_DIAL */
            const char *address; /* its; copied */
        } opened;
        struct {
            uint64_t session;
            enum error_code reason; /* as the master told, or ERROR_NONE */
        } closed;
        struct {
            uint64_t session;
            struct bytes bytes;
        } frame;
        struct {
            uint64_t sequence;
        } durable;
        struct run_started run_started;
        struct run_ended run_ended;
        struct {
            const struct usage_report *reports; /* attempts ascending */
            size_t count;
        } usage;
        struct run_checked checked;
        struct {
            bool low;
        } disk;
    };
};

enum agent_action_kind {
    AGENT_SEND,  /* whole frames, to be written to the session in order */
    AGENT_CLOSE, /* close the session */
    AGENT_DIAL, /* a master that may not be listed is said to lead: connect there, too */
    AGENT_RECORD, /* write these records in one transaction, then report AGENT_DURABLE
                   */
    AGENT_START_RUN,  /* start it: RUN_STARTED and RUN_ENDED follow, or RUN_ENDED alone.
                       * Of an attempt that ended: start it again, in its sandbox */
    AGENT_ADOPT_RUN,  /* find what became of it: answer with RUN_STARTED or RUN_ENDED */
    AGENT_SIGNAL_RUN, /* to all its processes; a run that ended already is left alone */
    AGENT_FORGET_RUN, /* nobody will ask for this run again; its log files stay for a
                         while */
    AGENT_CHECK, /* run a check of a run that has started: AGENT_CHECKED follows, unless it
                  * ends */
    AGENT_RENEW, /* leases hold from then on: keep that for the shims, before anything is
                  * started */
    AGENT_TIMER, /* send AGENT_TICK at the deadline; replaces the last one */
    AGENT_LOG,
    AGENT_FATAL, /* stop the agent with this error; its tasks go on */
};

enum run_signal {
    RUN_SIGNAL_TERM,
    RUN_SIGNAL_KILL,
    RUN_SIGNAL_CANCEL, /* if its command does not run yet it never will; else nothing */
};

struct run_start {
    uint64_t attempt;
    uint64_t job;
    uint32_t instance;
    uint32_t number;   /* of the attempt, from 1 */
    uint64_t term;     /* of the leader that ordered it */
    uint64_t agent;    /* this agent's id */
    uint32_t restarts; /* starts of this attempt before this one */
    uint32_t port_count;
    const uint16_t *ports; /* given to it by the master, in the order of the job */
    struct bytes spec;     /* canonical job_spec bytes */
};

struct run_check {
    uint64_t attempt;
    uint32_t restarts;
    uint32_t index; /* in the checks of the job_spec */
};

struct agent_action {
    enum agent_action_kind kind;
    size_t offset; /* private: where bytes or text lie while the list grows */
    union {
        struct {
            uint64_t session;
            struct bytes bytes;
        } send;
        struct {
            uint64_t session;
        } close;
        struct {
            const char *address; /* from outside: nothing that was checked */
        } dial;
        struct {
            uint64_t sequence; /* from 1, growing by 1 */
            const struct agent_record *records;
            size_t count;
        } record;
        struct run_start start_run;
        struct run_check check;
        struct {
            uint64_t boot_ms; /* when the heartbeat was sent that was confirmed */
        } renew;
        struct {
            uint64_t attempt;
        } adopt_run, forget_run;
        struct {
            uint64_t attempt;
            enum run_signal signal;
        } signal_run;
        struct {
            uint64_t deadline_ms;
        } timer;
        struct {
            enum log_level level;
            const char *text;
        } log;
        struct {
            struct error *error;
        } fatal;
    };
};

/* Zeroed is empty.  Pointers in it live until the next agent_step() or finish. */
struct agent_actions {
    struct agent_action *list;
    size_t count, capacity;
    struct agent_record *records;
    size_t record_count, record_capacity;
    struct buffer bytes, record_bytes;
    struct error fatal;
};

void agent_actions_finish(struct agent_actions *actions);

struct agent_core;

struct agent_core *agent_core_create(void);
void agent_core_destroy(struct agent_core *core); /* NULL is fine */

/* Clears *actions, then fills it: carry them out in order. */
void agent_step(struct agent_core *core,
                const struct agent_event *event,
                struct agent_actions *actions);

/* What a person or a metric wants to know. */
struct agent_status {
    uint64_t agent;           /* 0: never registered */
    uint64_t term;            /* the highest seen */
    uint64_t highest_attempt; /* the highest ever accepted */
    bool registered;          /* with the leader of that term, now */
    const char
        *leader; /* its address while registered, else empty; until the next step */
    uint32_t recorded, starting, running, stopping, waiting, ended;
    uint64_t digest;            /* sum of run_digest() over all runs */
    uint64_t launches_accepted; /* these count since the start of the process */
    uint64_t attempts_refused;  /* orders about attempts that it will never start */
    uint64_t orders_refused;    /* from somebody who does not lead */
    uint64_t updates_sent;
    bool has_cluster;
    uint8_t cluster[CLUSTER_ID_BYTES];
};

void agent_core_status(const struct agent_core *core, struct agent_status *out);

/* The state of a run; false if there is none: it was forgotten, or never heard of. */
bool agent_core_run_state(const struct agent_core *core,
                          uint64_t attempt,
                          enum task_state *out);
/* It failed, and will be started again after a while. */
bool agent_core_run_waits(const struct agent_core *core, uint64_t attempt);
/* What it was started with; false if it never was accepted, or was forgotten.  Its views are
 * valid until the next agent_step(). */
bool agent_core_run_start(const struct agent_core *core,
                          uint64_t attempt,
                          struct run_start *out);

#endif
