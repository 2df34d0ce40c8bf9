/* replica.h - one member of the Raft group: the only room that sees libraft.
 *
 * PURE (joint 1): replica_step() takes one event and appends to a list of actions; it has no
 * clock, disk, socket or randomness.  Time comes in milliseconds of a monotonic clock, entropy
 * at creation.  Inside it drives libraft's raft_step() and keeps the contract that the library
 * does not check (docs/spec/1-joints.md, joints 3 to 5, 12 and 13):
 *
 *   log_memory   (term, kind) of every entry since the snapshot, payloads of what is not yet
 *                durable or applied, and the newest LIMIT_LOG_CACHE_BYTES
 *   outbox       messages wait until the term and vote they rest on are durable; AppendEntries
 *                wait for a read-back when their payloads left memory
 *   guards       what ordinary traffic must not do to libraft 0.22 (B1, B4 to B9, B11, B13)
 *   election     what happens when the connection to the leader closes (joint 12)
 *   applying     committed entries go to the machine, in slices
 *   snapshots    taken in slices beside applying; installed from a staged transfer
 *   reads        linearizable reads confirmed by a majority without a log write (Raft thesis,
 *                section 6.4)
 *
 * Membership is static: 1, 3 or 5 voters, fixed in entry 1.
 */
#ifndef RAFT_REPLICA_H
#define RAFT_REPLICA_H

#include "base/blob.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"
#include "wire/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What entries are applied to; raft_fsm in production. */
struct machine {
    void *data;
    /* Apply entry `index`; payload is empty for ENTRY_NOOP and ENTRY_CONFIGURATION.  `leading`
     * tells that this master answers for it.  Returns the work done, in microseconds or so. */
    size_t (*apply)(void *data,
                    uint64_t index,
                    uint64_t term,
                    enum entry_kind kind,
                    struct bytes payload,
                    bool leading);
    /* The state as it is now, in slices while applying goes on. */
    void (*snapshot_begin)(void *data);
    bool (*snapshot_next)(void *data, struct buffer *out, size_t budget);
    void (*snapshot_end)(void *data);
    /* Replace the state by a snapshot's bytes, fed in pieces. */
    void (*restore_begin)(void *data);
    int (*restore_feed)(void *data, struct bytes piece, struct error *err);
    int (*restore_end)(void *data, uint64_t index, uint64_t term, struct error *err);
};

struct replica_config {
    uint64_t id;
    uint64_t voters[LIMIT_MASTERS]; /* with ourselves; sorted */
    unsigned voter_count;
    unsigned election_timeout_ms; /* 500 */
    unsigned heartbeat_ms;        /* 100 */
    unsigned trailing_entries;    /* LIMIT_TRAILING_ENTRIES … */
    uint64_t trailing_bytes;      /* … with at most LIMIT_TRAILING_BYTES */
    uint64_t
        snapshot_bytes;   /* of log since the last snapshot: LIMIT_LOG_SNAPSHOT_BYTES */
    uint64_t cache_bytes; /* LIMIT_LOG_CACHE_BYTES */
    size_t snapshot_chunk_bytes; /* LIMIT_SNAPSHOT_CHUNK_BYTES */
    size_t apply_budget;         /* of such work, in one step */
    uint64_t entropy;            /* seeds the election timer */
};

void replica_config_init(struct replica_config *config);

enum replica_role { REPLICA_FOLLOWER, REPLICA_CANDIDATE, REPLICA_LEADER };

/* ---- events ---- */

enum replica_event_kind {
    REPLICA_START,            /* once, first: what the store holds */
    REPLICA_TIME,             /* time went on; at the latest at actions.deadline_ms */
    REPLICA_MESSAGE,          /* bytes that a peer's REPLICA_SEND carried */
    REPLICA_DURABLE,          /* log operations up to `sequence` are on disk */
    REPLICA_ENTRIES_READ,     /* answer to REPLICA_READ_ENTRIES; takes the entries */
    REPLICA_SUBMIT,           /* one entry, from the leader's proposer */
    REPLICA_TRANSFER,         /* hand leadership over, then actions say role follower */
    REPLICA_PEER_UP,          /* connected, hello exchanged */
    REPLICA_PEER_DOWN,        /* the connection closed: a hint (joint 12) */
    REPLICA_SNAPSHOT_WRITTEN, /* chunks of our own snapshot that the store has taken over */
    REPLICA_SNAPSHOT_SAVED,    /* our own snapshot is whole and durable */
    REPLICA_SNAPSHOT_RECEIVED, /* a peer's snapshot is staged and verified */
    REPLICA_SNAPSHOT_PROMOTED, /* the staged one is the current one, durable */
    REPLICA_SNAPSHOT_DATA,     /* a piece of the current snapshot, after promotion */
    REPLICA_SNAPSHOT_SENT,     /* a transfer that we asked for ended, well or not */
    REPLICA_READ,     /* a linearizable read wants to know when it may be answered */
    REPLICA_CONTINUE, /* after actions.again */
};

struct replica_event {
    enum replica_event_kind kind;
    uint64_t now_ms; /* always set; never goes back */
    union {
        struct {
            uint64_t term;
            uint64_t vote;
            const struct snapshot_meta
                *snapshot;               /* restored into the machine; or NULL */
            struct log_entries *entries; /* whole log, taken; when it is empty,
                                                   * `first` is where it would begin */
        } start;
        struct {
            uint64_t from;
            struct bytes bytes;
        } message;
        struct {
            uint64_t sequence;
        } durable;
        struct {
            uint64_t peer;
            struct log_entries *entries; /* taken; empty if they are no longer there */
        } entries_read;
        struct {
            struct blob
                *payload; /* a reference, taken if accepted (actions.submitted) */
        } submit;
        struct {
            uint64_t to; /* 0: the best peer */
        } transfer;
        struct {
            uint64_t peer;
            uint64_t incarnation;
            bool leads;
        } peer_up;
        struct {
            uint64_t peer;
        } peer_down;
        struct {
            uint64_t from;
            const struct snapshot_meta *meta;
        } snapshot_received;
        struct {
            struct bytes bytes;
            bool last;
        } snapshot_data;
        struct {
            uint64_t peer;
        } snapshot_sent;
        struct {
            uint64_t ticket; /* the caller's; comes back */
        } read;
    };
};

/* ---- actions ---- */

enum replica_action_kind {
    REPLICA_SEND,            /* bytes to a peer; loss, delay and repetition are legal */
    REPLICA_PERSIST,         /* the next operation of the log FIFO; takes op */
    REPLICA_READ_ENTRIES,    /* copy entries out of the log, at most `bytes` */
    REPLICA_SNAPSHOT_BEGIN,  /* our own snapshot begins; meta.size is not known yet */
    REPLICA_SNAPSHOT_CHUNK,  /* its next bytes; answered by REPLICA_SNAPSHOT_WRITTEN */
    REPLICA_SNAPSHOT_COMMIT, /* it is whole: answered by REPLICA_SNAPSHOT_SAVED */
    REPLICA_SNAPSHOT_ABANDON, /* drop what was written of it */
    REPLICA_SNAPSHOT_SEND,    /* stream the current snapshot to a peer */
    REPLICA_SNAPSHOT_PROMOTE, /* make the staged snapshot current */
    REPLICA_SNAPSHOT_LOAD, /* read the current snapshot back as REPLICA_SNAPSHOT_DATA */
    REPLICA_ROLE_CHANGED,  /* role, term or believed leader changed */
    REPLICA_LEADING,       /* our no-op of this term is applied: lead */
    REPLICA_READ_READY, /* the read of this ticket may be answered from the state now */
    REPLICA_READ_FAILED, /* not the leader (any more): ask it */
    REPLICA_FATAL,       /* stop the process: error says why */
};

struct replica_action {
    enum replica_action_kind kind;
    union {
        struct {
            uint64_t peer;
            struct buffer bytes; /* owned */
        } send;
        struct log_op *op; /* owned */
        struct {
            uint64_t peer;
            uint64_t from;
            uint32_t count;
            size_t bytes;
        } read_entries;
        struct snapshot_meta snapshot_begin; /* owned */
        struct blob *snapshot_chunk;         /* owned */
        struct {
            uint64_t peer;
        } snapshot_send;
        struct {
            uint64_t from; /* the peer whose transfer is staged */
        } snapshot_promote;
        struct {
            enum replica_role role;
            uint64_t term;
            uint64_t leader; /* 0: nobody known */
        } role_changed;
        struct {
            uint64_t term;
        } leading;
        struct {
            uint64_t ticket;
        } read;
        struct error fatal;
    };
};

struct replica_actions {
    struct replica_action *items;
    size_t count, capacity;
    uint64_t deadline_ms; /* feed REPLICA_TIME then, at the latest */
    uint64_t submitted;   /* index of the entry that REPLICA_SUBMIT added; 0: refused */
    bool again; /* work is left: feed REPLICA_CONTINUE in the next turn of the loop */
};

/* Frees what nobody took: the executor sets `op`, `bytes`, … to NULL/empty when it takes them. */
void replica_actions_clear(struct replica_actions *actions);
void replica_actions_finish(struct replica_actions *actions);

/* ---- the replica ---- */

struct replica;

struct replica *replica_create(const struct replica_config *config,
                               struct machine machine);
void replica_destroy(
    struct replica *r); /* NULL is fine; legal at any time outside a step */

/* Take one event; append actions.  Never called from inside itself. */
void replica_step(struct replica *r,
                  const struct replica_event *event,
                  struct replica_actions *actions);

/* What entry 1 holds on every founder (joint 2): the same bytes everywhere. */
struct blob *replica_founding_configuration(const uint64_t *voters, unsigned count);

/* ---- looking in ---- */

enum replica_role replica_role(const struct replica *r);
bool replica_leads(const struct replica *r); /* leader with its no-op applied */
/* True if REPLICA_SUBMIT would be taken now: leads, no transfer, uncommitted below the limit. */
bool replica_accepts(const struct replica *r);
uint64_t replica_leader(const struct replica *r); /* believed; 0: unknown */
uint64_t replica_term(const struct replica *r);
uint64_t replica_last_index(const struct replica *r);
uint64_t replica_commit_index(const struct replica *r);
uint64_t replica_applied_index(const struct replica *r);
uint64_t replica_durable_index(const struct replica *r);
uint64_t replica_snapshot_index(const struct replica *r);
/* The highest index that a peer is known to hold, 0 if unknown or not the leader. */
uint64_t replica_match_index(const struct replica *r, uint64_t peer);
/* The term of an entry still in the table, 0 if it is not. */
uint64_t replica_entry_term(const struct replica *r, uint64_t index);

/* How often what happened, and what /metrics says of it; for the simulator's coverage too. */
#define REPLICA_COUNTERS(X)                                                           \
    X(elections_won, "Elections that this master won.")                               \
    X(hints, "Closed connections to the leader, and resignations, that it acted on.") \
    X(hint_skips, "Times that it moved its election timer forward after a hint.")     \
    X(resignations, "Times that it went from leader to follower.")                    \
    X(transfers, "Times that it handed leadership over on request.")                  \
    X(guard_prefix, "B4: AppendEntries that reached below the commit index.")         \
    X(guard_stale_reject, "B6: rejections that came too late.")                       \
    X(guard_hint_rewritten, "B7: back-offs by terms instead of entries.")             \
    X(guard_prevote_term, "B8: pre-votes that it refused with a higher term.")        \
    X(guard_vote_result, "B9: vote results that came too late.")                      \
    X(guard_installing, "B13: snapshots that came while one was installed.")          \
    X(commit_regressions, "B5: times that the library's commit index went back.")     \
    X(messages_malformed, "Messages of masters that could not be read.")              \
    X(messages_held, "Messages that waited until term and vote were on disk.")        \
    X(entries_read_back, "Entries read from disk for a follower.")                    \
    X(snapshots_taken, "Snapshots of its own.")                                       \
    X(snapshots_abandoned, "Snapshots of its own that one of the leader overtook.")   \
    X(snapshots_installed, "Snapshots of other masters that it installed.")           \
    X(snapshots_sent, "Snapshots that it began to send.")                             \
    X(reads_confirmed, "Linearizable reads that a majority confirmed.")

struct replica_counters {
#define X(name, help) uint64_t name;
    REPLICA_COUNTERS(X)
#undef X
};

const struct replica_counters *replica_counters(const struct replica *r);

#endif
