/* rig.h - several replicas in one process, moved by hand: no randomness, no clock of its own.
 *
 * What they say lies in the post until a test delivers, drops or repeats it; what they write is
 * durable when the test says so; time is a number.  rig_flow() and rig_run() do what a quick and
 * faultless world would do, except where a test keeps something to itself (held, by_hand).
 *
 * On the way it is asserted that equal indexes are equal entries on all masters, that one index
 * and term never has two payloads, that entries are applied in order and that a disk gets
 * neither holes nor falling terms.
 */
#ifndef TESTS_UNIT_RAFT_RIG_H
#define TESTS_UNIT_RAFT_RIG_H

#include "raft/message.h"
#include "raft/replica.h"

#include <bsd/sys/queue.h>

#define RIG_NODES 5
#define RIG_INDEX 2048  /* entries of a test */
#define RIG_READS 64    /* read-backs waiting */
#define RIG_TURNS 20000 /* of one rig_flow() */

struct rig;

struct rig_mail {
    STAILQ_ENTRY(rig_mail) link;
    uint64_t from, to;
    struct buffer bytes;
    struct peer_message message; /* the same, decoded */
};

struct rig_snapshot {
    struct snapshot_meta meta;
    struct buffer bytes;
};

/* An action other than sends, log operations and chunks, in order. */
struct rig_said {
    enum replica_action_kind kind;
    uint64_t a; /* ticket, term, peer, index of a snapshot, role */
    uint64_t b; /* first entry of a read, term of a role */
    uint64_t c; /* number of entries of a read, leader of a role */
};

struct rig_node {
    struct rig *rig;
    uint64_t id;
    uint64_t incarnation;
    struct replica_config config;
    struct replica *replica; /* NULL: not running */
    uint64_t deadline_ms;
    bool again;

    /* the disk: durable, and on its way */
    uint64_t term, vote;
    struct log_entries log;
    struct rig_snapshot snapshot;
    struct log_op_list writing;
    struct rig_snapshot draft, staged;
    unsigned chunks_unwritten;
    bool sealing, promoting, loading;
    struct rig_said reads[RIG_READS]; /* of entries, not answered */
    size_t read_count;
    bool transferring[RIG_NODES + 1];
    struct rig_snapshot sent[RIG_NODES + 1]; /* what is transferred: as it was then */
    bool disk_by_hand, snapshots_by_hand, reads_by_hand;

    /* the machine: the value of each entry, 0 for those without */
    uint64_t applied;
    uint64_t values[RIG_INDEX];
    uint64_t walk_to, walk_at; /* of the snapshot being taken, in values */
    struct buffer restoring;

    struct rig_said *said;
    size_t said_count, said_capacity;
    char fatal[512]; /* empty: goes on */
};

struct rig {
    unsigned voters;
    uint64_t now_ms;
    struct rig_node nodes[RIG_NODES + 1]; /* from 1 */
    bool up[RIG_NODES + 1][RIG_NODES + 1];
    bool held[RIG_NODES + 1]
             [RIG_NODES + 1]; /* from, to: rig_flow() leaves it in the post */
    STAILQ_HEAD(, rig_mail) post;
    struct blob *configuration;
    bool hostile; /* some messages are made up: what they say may contradict itself */
    uint64_t terms[RIG_INDEX]; /* of applied entries */
    uint64_t values[RIG_INDEX];
    struct rig_written
        *written; /* every (index, term) that was ever handed to a disk */
    size_t written_count, written_capacity;
};

/* Disks are founded; nothing runs.  Change nodes[].config before starting. */
void rig_init(struct rig *rig, unsigned voters);
void rig_finish(struct rig *rig);

/* ---- life ---- */

void rig_start(struct rig *rig,
               uint64_t id);         /* from what is durable, connected to nobody */
void rig_start_all(struct rig *rig); /* and connect them */
void rig_crash(struct rig *rig, uint64_t id); /* its connections close at the others */
void rig_restart(struct rig *rig, uint64_t id); /* and connect it to all that run */
void rig_connect(struct rig *rig, uint64_t a, uint64_t b);
void rig_close(struct rig *rig,
               uint64_t a,
               uint64_t b); /* what is in between is lost */
void rig_isolate(struct rig *rig, uint64_t id);
void rig_rejoin(struct rig *rig, uint64_t id);
/* Three masters, of which 1 leads and has committed its first entry (index 2). */
void rig_three(struct rig *rig);

/* What a start finds on the disk instead of a founded one: `count` entries from `first` on, all
 * of one term, the very first one the configuration. */
void rig_set_disk(struct rig *rig, uint64_t id, uint64_t term, uint64_t vote);
void rig_set_log(
    struct rig *rig, uint64_t id, uint64_t first, uint32_t count, uint64_t term);
void rig_set_snapshot(struct rig *rig, uint64_t id, uint64_t index, uint64_t term);

/* ---- events ---- */

void rig_step(struct rig *rig, uint64_t id, struct replica_event *event);
uint64_t
rig_submit(struct rig *rig, uint64_t id, uint64_t value); /* its index, 0: refused */
uint64_t rig_submit_sized(struct rig *rig, uint64_t id, uint64_t value, size_t size);
void rig_read(struct rig *rig, uint64_t id, uint64_t ticket);
void rig_transfer(struct rig *rig, uint64_t id, uint64_t to);
/* REPLICA_TIME at that moment. */
void rig_time(struct rig *rig, uint64_t id, uint64_t now_ms);
/* A message that nobody sent. */
void rig_forge(struct rig *rig,
               uint64_t from,
               uint64_t to,
               const struct peer_message *message);
void rig_peer_up(
    struct rig *rig, uint64_t id, uint64_t peer, uint64_t incarnation, bool leads);
void rig_peer_down(struct rig *rig, uint64_t id, uint64_t peer);

/* ---- post: `kind` 0 is any ---- */

struct rig_mail *rig_mail(struct rig *rig, uint64_t from, uint64_t to, int kind);
unsigned rig_mails(struct rig *rig, uint64_t from, uint64_t to, int kind);
void rig_deliver(struct rig *rig, struct rig_mail *mail);
void rig_deliver_copy(struct rig *rig, const struct rig_mail *mail);
void rig_deliver_all(struct rig *rig, uint64_t from, uint64_t to);
struct rig_mail *rig_take(struct rig *rig, struct rig_mail *mail); /* out of the post */
void rig_mail_free(struct rig_mail *mail);
void rig_drop(struct rig *rig, uint64_t from, uint64_t to);

/* ---- store ---- */

void rig_disk(struct rig *rig, uint64_t id); /* all that was handed out is durable */
void rig_disk_one(struct rig *rig, uint64_t id); /* the first of it */
unsigned rig_writing(const struct rig *rig, uint64_t id);
void rig_entries_read(struct rig *rig,
                      uint64_t id); /* answer the first read from the disk */
/* The same in steps: the first read; what the disk has for it now; the answer, which is taken. */
struct rig_said rig_take_read(struct rig *rig, uint64_t id);
struct log_entries
rig_disk_entries(const struct rig *rig, uint64_t id, struct rig_said read);
void rig_give_entries(struct rig *rig,
                      uint64_t id,
                      uint64_t peer,
                      struct log_entries *entries);
void rig_snapshot_written(struct rig *rig, uint64_t id);
void rig_snapshot_saved(struct rig *rig, uint64_t id);
void rig_snapshot_promoted(struct rig *rig, uint64_t id);
void rig_snapshot_loaded(struct rig *rig, uint64_t id);
/* `from` begins to send its snapshot, as it is now … */
void rig_snapshot_leaves(struct rig_node *from, uint64_t to);
/* … and it arrives whole. */
void rig_snapshot_arrives(struct rig *rig, uint64_t from, uint64_t to);

/* ---- a quick world ---- */

void rig_flow(struct rig *rig); /* until nothing is left to do now */
void rig_run(struct rig *rig,
             uint64_t ms); /* time goes on, with rig_flow() in between */
void rig_elect(struct rig *rig,
               uint64_t id); /* only its timers run; it leads afterwards */

/* ---- what was said since rig_forget() ---- */

void rig_forget(struct rig *rig, uint64_t id);
const struct rig_said *
rig_said(const struct rig *rig, uint64_t id, enum replica_action_kind kind, size_t n);
size_t rig_count(const struct rig *rig, uint64_t id, enum replica_action_kind kind);

static inline struct replica *rig_replica(struct rig *rig, uint64_t id)
{
    return rig->nodes[id].replica;
}

static inline const struct replica_counters *rig_counters(struct rig *rig, uint64_t id)
{
    return replica_counters(rig->nodes[id].replica);
}

#endif
