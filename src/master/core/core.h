/* core.h - what a master decides: the pure half of triarch-master.
 *
 * master_step() takes one event and appends actions (joint 1).  Inside it steps the replica,
 * whose actions it hands on, and the state machine; it knows sessions as numbers, peers as ids,
 * and time only as what events bring.  The shell (src/master) and the simulator (tests/sim)
 * link the same object.
 *
 *   founding   an empty cluster agrees on entry 1 (joint 2)
 *   propose    the only door to the log: commands gather into entries (DESIGN 2.2)
 *   machine    entries -> state machine -> results to whoever waits
 *   leader     what begins and ends with leading; scheduling rounds; housekeeping
 *   damping    agents where tasks keep failing
 *   agents     registration, silence (joint 10), re-attaching
 *   repeats    when tasks that failed go on, and when a lease has run out
 *   waits      what is told of them
 *   renewals   answers to agents with exclusive runs
 *   orders     what an agent is to launch, stop and forget (joint 9)
 *   clients    requests of clients; listings (linearizable or stale)
 *   plan       what would happen, in a copy of all this
 *
 * The shell feeds MASTER_TURN at the end of each turn of its loop: then batches are proposed,
 * orders go out and rounds run, so that whatever arrived together travels together.
 */
#ifndef MASTER_CORE_CORE_H
#define MASTER_CORE_CORE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"
#include "raft/replica.h"
#include "raft_fsm/state.h"
#include "sched/rebalance.h"
#include "wire/message.h"

#include <stdbool.h>
#include <stdint.h>

#define DAMPING_US            (60ull * 1000000)
#define AGENT_SILENCE_MS      3000u /* then an agent is unreachable */
#define LOOP_GAP_MS           500u /* a longer gap of our loop restarts every silence */
#define UNREACHABLE_PERCENT   30u  /* of the registered agents, at most, … */
#define UNREACHABLE_WINDOW_MS 10000u /* … in this time */
#define BATCHES_IN_FLIGHT     2u
#define DIGEST_INTERVAL       256u /* `masters` shows the digest at its latest multiple */
#define STOPS_PER_TURN        4096u
#define TOLD_PER_TURN         100u   /* agents that hear of a new leader */
#define AGENTS_COMING_MS      10000u /* so long a new leader waits while others come */
#define JOB_RETENTION_US      (7ull * 24 * 3600 * 1000000)
#define JOB_RETENTION_CROWDED_US \
    (600ull * 1000000) /* when the state has little room left for new jobs */

struct master_member {
    uint64_t id;
    const char
        *address; /* HOST:PORT of its RPC listener; borrowed for the core's life */
};

struct master_config {
    uint64_t id;
    struct master_member
        members[LIMIT_MASTERS]; /* of --cluster, sorted by id, with us */
    unsigned member_count;
    uint8_t cluster_hash[16]; /* of the canonical --cluster text */
    uint64_t incarnation;     /* random for this start */
    struct replica_config
        replica; /* id, voters and entropy are filled in by the core */
    unsigned agent_silence_ms;
    uint64_t job_retention_us; /* a final job is purged after this */
    uint64_t damping_us; /* that an agent gets no work where tasks keep failing, at first */
    struct rebalance_pace rebalance;
    unsigned
        stops_per_turn;     /* tasks of killed jobs looked at in one turn of the loop */
    unsigned told_per_turn; /* agents that a new leader tells of itself */
};

void master_config_init(struct master_config *config);

/* ---- events ---- */

enum master_event_kind {
    MASTER_START,   /* once, first */
    MASTER_FOUNDED, /* what MASTER_FOUND asked for is durable */
    MASTER_TIME,    /* at the latest at actions.deadline_ms */
    MASTER_TURN,    /* end of a turn of the loop */
    MASTER_REPLICA, /* an event of the replica, from store or bulk transfer */
    MASTER_PEER_UP,
    MASTER_PEER_BYTES,
    MASTER_PEER_DOWN,
    MASTER_SESSION_OPENED, /* an agent or client said hello */
    MASTER_SESSION_FRAME,  /* one frame, without its size word */
    MASTER_SESSION_CLOSED,
    MASTER_ZONE,     /* what MASTER_READ_ZONE asked for, soon after it */
    MASTER_PLANNED,  /* what MASTER_PLAN asked for */
    MASTER_SHUTDOWN, /* SIGTERM: hand over, then MASTER_EXIT */
};

struct master_event {
    enum master_event_kind kind;
    uint64_t now_ms;  /* monotonic; always set */
    uint64_t wall_us; /* since 1970; always set */
    union {
        struct {
            uint64_t behind_ms; /* what sessions sent since may not be read yet */
        } time;
        struct {
            bool empty; /* nothing was ever founded here; the rest is zero then */
            uint64_t term;
            uint64_t vote;
            const struct snapshot_meta *snapshot; /* its bytes were restored before */
            struct log_entries *entries;          /* taken */
            bool has_cluster_id;
            uint8_t cluster_id[CLUSTER_ID_BYTES];
            uint64_t entropy[2]; /* becomes the cluster id if we found */
        } start;
        const struct replica_event *replica; /* now_ms is filled in by the core */
        struct {
            uint64_t peer;
            uint64_t incarnation;
            bool leads;
        } peer_up;
        struct {
            uint64_t peer;
            struct bytes bytes;
        } peer_bytes;
        uint64_t peer_down;
        struct {
            uint64_t session; /* never used again */
            enum hello_role role;
        } opened;
        struct {
            uint64_t session;
            struct bytes frame;
        } frame;
        uint64_t closed;
        struct {
            const char *name;
            struct bytes file; /* empty: there is none */
        } zone;
        struct {
            uint64_t session;
            uint32_t rpc;
            struct bytes answer; /* of master_plan(), a whole frame; empty: there is none */
        } planned;
    };
};

/* ---- actions ---- */

enum master_action_kind {
    MASTER_SEND,  /* bytes [offset, offset + size) of actions.bytes to a session */
    MASTER_CLOSE, /* close a session: text says why */
    MASTER_FOUND, /* write entry 1, term 1 in one transaction; answer MASTER_FOUNDED */
    MASTER_CLUSTER_ID, /* make it durable beside the log */
    MASTER_ROLE,       /* our hello changed (leads, term) */
    MASTER_LOG,        /* a line for the operator */
    MASTER_READ_ZONE,  /* the file of a time zone, whose name is the text: at most one in
                        * a step; answer MASTER_ZONE */
    MASTER_PLAN,       /* call master_plan() in a copy of all this; one at a time; answer
                        * MASTER_PLANNED */
    MASTER_EXIT,       /* stop in good order */
};

enum master_log_level { MASTER_LOG_ERROR, MASTER_LOG_WARNING, MASTER_LOG_INFO };

struct master_action {
    enum master_action_kind kind;
    union {
        struct {
            uint64_t session;
            size_t offset;
            size_t size;
        } send;
        struct {
            uint64_t session;
            uint32_t rpc;
            size_t offset, size; /* of the request, in actions.bytes */
        } plan;
        uint64_t close;
        struct blob *configuration; /* of entry 1; owned */
        uint8_t cluster_id[CLUSTER_ID_BYTES];
        enum master_log_level level;
    };
    char text[200];
};

struct master_actions {
    struct replica_actions replica; /* to be carried out as replica.h says */
    struct master_action *items;
    size_t count, capacity;
    struct buffer bytes; /* frames of MASTER_SEND */
    uint64_t deadline_ms;
    bool again; /* work is left: feed MASTER_TURN soon */
};

void master_actions_clear(struct master_actions *actions);
void master_actions_finish(struct master_actions *actions);

/* ---- the core ---- */

struct master_core;

struct master_core *master_create(const struct master_config *config);
void master_destroy(struct master_core *m);

/* Before MASTER_START: the bytes of the current snapshot, in order, then the end. */
int master_restore(struct master_core *m, struct bytes piece, struct error *err);
int master_restore_end(struct master_core *m,
                       const struct snapshot_meta *meta,
                       struct error *err);

void master_step(struct master_core *m,
                 const struct master_event *event,
                 struct master_actions *actions);

/* What our hello says now (strings and hashes borrowed until the next step). */
void master_hello(const struct master_core *m, struct hello *out);
/* May this master or agent or client talk to us?  The text goes to both sides. */
int master_check_hello(const struct master_core *m,
                       const struct hello *hello,
                       struct error *err);

/* Invariants between the leader's indexes and the state (assertions), for tests and simulation. */
void master_verify(const struct master_core *m);

/* The answer to a plan (wire/message_plan.h), a whole frame.  It is found by doing what is asked,
 * so nothing of this core is of use for anything else afterwards. */
void master_plan(struct master_core *m,
                 uint32_t rpc,
                 struct bytes request,
                 struct buffer *answer);

/* ---- looking in ---- */

const struct state *master_state(const struct master_core *m);
const struct replica *
master_replica(const struct master_core *m); /* NULL before founding */
bool master_leads(const struct master_core *m);

/* How often what happened, and what /metrics says of it. */
#define MASTER_COUNTERS(X)                                                          \
    X(requests, "Frames of clients and agents.")                                    \
    X(requests_refused, "Requests answered with an error.")                         \
    X(commands_proposed, "Commands put into the log.")                              \
    X(entries_proposed, "Entries put into the log, of one or more commands.")       \
    X(outcomes_unknown, "Requests in the log when leadership was lost.")            \
    X(agents_silent, "Agents that it declared unreachable.")                        \
    X(agents_held, "Silent agents that it did not declare, because too many were.") \
    X(agents_damped,                                                                \
      "Agents that got no new work for a while, since tasks kept failing there.")     \
    X(agents_attached, "Registrations of agents that it answered.")                 \
    X(agents_reconciled, "Agents that had to send all their runs.")                 \
    X(loop_gaps,                                                                    \
      "Times that its loop stood still, and silence of agents did not count.")      \
    X(renewals_sent, "Answers to agents that a majority confirmed our leadership.") \
    X(rounds, "Scheduling rounds.")                                                 \
    X(reservations, "Times that an agent was reserved for a task that waits.")      \
    X(placements, "Tasks placed on agents.")                                        \
    X(preempted, "Tasks told to end to make room for others.")                      \
    X(moved, "Tasks told to end to go to better agents.")                           \
    X(launches_sent, "Orders to launch a task.")                                    \
    X(stops_sent, "Orders to stop a task.")                                         \
    X(slots_fired, "Jobs that were made of schedules.")                             \
    X(jobs_purged, "Finished jobs that it forgot.")

struct master_counters {
#define X(name, help) uint64_t name;
    MASTER_COUNTERS(X)
#undef X
};

const struct master_counters *master_counters(const struct master_core *m);
/* How long entries took from proposed to committed on a majority and applied, while leading:
 * in the whole milliseconds of the events. */
#define MASTER_COMMIT_BOUNDS 10 /* upper ends of buckets; one more for all above */
extern const uint16_t MASTER_COMMIT_BOUNDS_MS[MASTER_COMMIT_BOUNDS];

struct master_commit_times {
    uint64_t counts[MASTER_COMMIT_BOUNDS + 1];
    uint64_t sum_ms;
};

const struct master_commit_times *master_commit_times(const struct master_core *m);
/* Commands that wait to be proposed; entries in flight; sessions. */
size_t master_queue_length(const struct master_core *m);
size_t master_session_count(const struct master_core *m);

#endif
