/* internal.h - what the files of the replica share.  Nobody else includes it. */
#ifndef RAFT_INTERNAL_H
#define RAFT_INTERNAL_H

#include "raft/log_memory.h"
#include "raft/message.h"
#include "raft/replica.h"

#include <bsd/sys/queue.h>
#include <raft.h>

/* Joint 12; measured values, see docs/decisions. */
#define ELECTION_FIRST_MS 2
#define ELECTION_STEP_MS  10
#define ELECTION_HOLD_MS  30

#define SNAPSHOT_CHUNKS_IN_FLIGHT 4

/* An AppendEntries that libraft asked for and that is not wholly sent yet: its payloads left
 * memory, or another one of this peer waits before it. */
struct append_head {
    STAILQ_ENTRY(append_head) link;
    uint64_t term;
    uint64_t begin; /* prev_index when it was new; what lies between was sent */
    uint64_t prev_index;
    uint64_t commit;
    uint32_t count;
};

struct peer {
    uint64_t id;
    bool up;
    uint64_t incarnation;
    STAILQ_HEAD(, append_head) heads;
    bool reading;          /* a read-back for this peer is on its way */
    uint64_t append_ms;    /* when the last AppendEntries went out */
    bool sending_snapshot; /* one transfer at a time */
    uint64_t
        snapshot_index; /* the newest that the library wanted to be sent; 0: none */
    bool confirmed;     /* answered the round of reads in flight */
};

/* A message that waits until the term and vote it rests on are durable. */
struct held_message {
    STAILQ_ENTRY(held_message) link;
    uint64_t needs; /* log operation that must be durable first */
    uint64_t peer;
    struct buffer bytes;
};

/* An append on its way to the disk. */
struct pending_write {
    STAILQ_ENTRY(pending_write) link;
    uint64_t sequence;
    uint64_t first;
    uint64_t last;
};

struct election {
    bool active;
    bool mute;          /* RequestVotes of this step are thrown away */
    bool silent_due;    /* rule 3 not done yet */
    bool on_durable;    /* look again when a write is durable */
    bool lost_resigned; /* `lost` said so itself: our belief in it counts as gone */
    uint64_t lost;      /* the leader we lost */
    uint64_t lost_incarnation;
    uint64_t until_ms;
    uint64_t slot_ms;    /* next look */
    uint64_t granted_ms; /* last real vote given, 0: none */
    uint64_t stood_ms;   /* last real candidacy, 0: none */
    uint64_t asked_ms;   /* last pre-vote asked for, 0: none */
    uint64_t voting_ms;  /* of the last of both, until it is durable and leaves; or 0 */
    uint64_t sync_ms;    /* how long that took */
    uint64_t refused_by_belief; /* who asked for a pre-vote last, 0: nobody */
    uint64_t refused_ms;
    uint64_t refused_term;
    struct peer_vote refused;
};

enum taking { TAKING_NONE, TAKING_WALK, TAKING_COMMIT };
enum installing { INSTALL_NONE, INSTALL_PROMOTE, INSTALL_LOAD };

struct ticket_list {
    uint64_t *items;
    size_t count, capacity;
};

struct reads {
    struct ticket_list waiting;   /* for the next round */
    struct ticket_list asked;     /* in the round in flight */
    struct ticket_list confirmed; /* wait for `applied` to reach ready_index */
    bool in_flight;
    uint64_t round;
    uint64_t asked_ms;
    uint64_t asked_index; /* commit index when the round began */
    uint64_t ready_index;
};

struct transfer {
    bool active;
    bool any;     /* whoever has most */
    bool ordered; /* RAFT_TRANSFER was fed */
    uint64_t target;
    uint64_t until_ms;
};

struct replica {
    struct replica_config config;
    struct machine machine;
    struct raft raft;
    bool raft_open;       /* raft_init was called */
    bool started;         /* RAFT_START was fed */
    uint64_t start_after; /* B1: operation that must be durable before the start */
    uint64_t start_term, start_vote;
    uint64_t now_ms;
    uint64_t
        skew_ms; /* the library's clock runs ahead by the election timers we skipped */

    struct log_memory log;
    struct snapshot_meta snapshot;
    struct blob *configuration; /* last applied */
    uint64_t configuration_index;
    uint64_t commit;
    uint64_t applied;
    uint64_t bytes_since_snapshot;

    /* durability */
    uint64_t last_sequence;
    uint64_t durable_sequence;
    uint64_t meta_sequence; /* the last LOG_META */
    uint64_t disk_last;
    STAILQ_HEAD(, pending_write) writes;
    STAILQ_HEAD(, held_message) held;

    /* what was last reported */
    enum replica_role role;
    uint64_t term;
    uint64_t leader;

    bool noop_due;       /* became leader: an entry of this term must follow */
    uint64_t noop_index; /* of our term; 0: not a leader */
    bool leads;

    struct peer peers[LIMIT_MASTERS]; /* the others */
    unsigned peer_count;
    struct election election;
    struct reads reads;
    struct transfer transfer;

    enum taking taking;
    struct snapshot_meta taken; /* being taken */
    unsigned chunks_in_flight;
    enum installing installing;
    struct snapshot_meta install;
    uint64_t install_from;
    uint64_t reset_sequence; /* LOG_RESET of the install */
    bool loaded;

    /* payloads of the entries that the current raft_step() was given */
    const struct raft_entry *fed;
    struct blob **fed_blobs;
    size_t fed_count;

    struct replica_counters counters;
    struct replica_actions *actions; /* of the current replica_step() */
};

/* actions.c */
struct replica_action *replica_act(struct replica *r, enum replica_action_kind kind);
void replica_fatal(struct replica *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* start.c */
void start_begin(struct replica *r, const struct replica_event *event);
void start_durable(struct replica *r); /* after durable_sequence grew */

/* update.c */
/* One raft_step() and what its update asks for. */
int replica_raft_step(struct replica *r, struct raft_event *event);
uint64_t replica_raft_now(const struct replica *r);
/* Believed leader as libraft has it. */
uint64_t replica_believed(const struct replica *r);
/* What is to be durable; returns its sequence. */
uint64_t replica_persist(struct replica *r, struct log_op *op);
void replica_persist_meta(struct replica *r, uint64_t term, uint64_t vote);

/* replica.c */
struct peer *replica_peer(struct replica *r, uint64_t id);
bool replica_fill_metadata(struct replica *r,
                           struct raft_snapshot_metadata *out,
                           const struct snapshot_meta *meta);

/* outbox.c */
void outbox_send(struct replica *r, const struct raft_message *message);
void outbox_say(struct replica *r, uint64_t peer, const struct peer_message *message);
void outbox_release(struct replica *r); /* after durable_sequence grew */
void outbox_entries_read(struct replica *r,
                         struct peer *peer,
                         struct log_entries *entries);
void outbox_peer_reset(struct peer *peer);
void outbox_finish(struct replica *r);

/* inbox.c */
void inbox_receive(struct replica *r, uint64_t from, struct bytes bytes);
/* A request for our vote, which `term` is for. */
void inbox_vote(struct replica *r,
                uint64_t from,
                uint64_t term,
                const struct peer_vote *vote);

/* election.c */
void election_peer_down(struct replica *r, struct peer *peer);
void election_peer_up(struct replica *r, struct peer *peer, bool leads);
void election_resigned(struct replica *r, uint64_t who);
void election_time(struct replica *r);
void election_durable(struct replica *r); /* a write, or an install, is done */
/* A real vote is asked for, or given: *stamp is one of the election's. */
void election_votes(struct replica *r, uint64_t *stamp);
/* Rule 5 (d): true while a real vote, of ours or for us, needs its time. */
bool election_holds(struct replica *r);
/* True if we asked for the same a moment ago and are to be asked first. */
bool election_goes_first(struct replica *r,
                         uint64_t other,
                         const struct peer_vote *vote);
/* Somebody asked for a pre-vote and did not get it if its log is worse than ours. */
void election_denied(struct replica *r, const struct peer_vote *vote);
/* True if our belief in the leader is void, and stands only because a write is pending. */
bool election_belief_is_void(const struct replica *r);
uint64_t election_deadline(const struct replica *r); /* UINT64_MAX: none */

/* apply.c */
void apply_committed(struct replica *r);

/* snapshot.c */
void snapshot_advance(struct replica *r);
void snapshot_written(struct replica *r);
void snapshot_saved(struct replica *r);
void snapshot_received(struct replica *r,
                       uint64_t from,
                       const struct snapshot_meta *meta);
void snapshot_begin_install(struct replica *r, const struct raft_update *update);
void snapshot_promoted(struct replica *r);
void snapshot_data(struct replica *r, struct bytes bytes, bool last);
void snapshot_maybe_installed(struct replica *r);
void snapshot_finish(struct replica *r);

/* reads.c */
void reads_add(struct replica *r, uint64_t ticket);
void reads_confirmed(struct replica *r,
                     struct peer *peer,
                     uint64_t term,
                     uint64_t round);
void reads_advance(struct replica *r);
void reads_fail(struct replica *r);
uint64_t reads_deadline(const struct replica *r);
void reads_finish(struct replica *r);

/* transfer.c */
void transfer_begin(struct replica *r, uint64_t to);
void transfer_advance(struct replica *r);
uint64_t transfer_deadline(const struct replica *r);

#endif
