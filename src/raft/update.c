/* update.c - one raft_step(), and what its update asks for.
 *
 * The update is taken in the order that the library's contract wants:
 *
 *   1. term and vote   -> LOG_META; messages from here on wait until it is durable (outbox.c)
 *   2. entries         -> memory (truncating first), LOG_APPEND
 *   3. snapshot        -> install (snapshot.c)
 *   4. messages        -> outbox
 *   5. commit index    -> remembered; apply.c goes there
 *
 * Nothing in here calls raft_step() again while an update is being taken.
 */
#include "raft/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

#define CAPACITY_UNUSED \
    60000 /* libraft's free-disk figure; its check is off (threshold 0) */

uint64_t replica_raft_now(const struct replica *r)
{
    return r->now_ms + r->skew_ms;
}

uint64_t replica_believed(const struct replica *r)
{
    raft_id id = 0;
    const char *address = NULL;

    /* raft_leader() only reads, although its parameter is not const. */
    raft_leader((struct raft *)(uintptr_t)&r->raft, &id, &address);
    return id;
}

uint64_t replica_persist(struct replica *r, struct log_op *op)
{
    op->sequence = ++r->last_sequence;
    replica_act(r, REPLICA_PERSIST)->op = op;
    return op->sequence;
}

void replica_persist_meta(struct replica *r, uint64_t term, uint64_t vote)
{
    struct log_op *op = mem_zalloc(sizeof(*op));

    op->kind = LOG_META;
    op->meta.term = term;
    op->meta.vote = vote;
    r->meta_sequence = replica_persist(r, op);
}

static enum entry_kind entry_kind_of(enum raft_entry_type type)
{
    switch (type) {
    case RAFT_COMMAND:
        return ENTRY_COMMANDS;
    case RAFT_BARRIER:
        return ENTRY_NOOP;
    case RAFT_CHANGE:
        return ENTRY_CONFIGURATION;
    }
    ASSERT_NEVER("unknown entry type from libraft");
    return ENTRY_NOOP;
}
/* The payload of an entry that came back from the library: the blob we fed it with, or for the
 * library's own barrier none. */
static struct blob *payload_of(struct replica *r, const struct raft_entry *entry)
{
    if (entry->type == RAFT_BARRIER)
        return NULL;
    ASSERT(r->fed != NULL && entry >= r->fed && entry < r->fed + r->fed_count);
    return blob_ref(r->fed_blobs[entry - r->fed]);
}

static void take_entries(struct replica *r, const struct raft_update *update)
{
    uint64_t first = update->entries.index;
    unsigned n = update->entries.n;
    struct log_op *op = mem_zalloc(sizeof(*op));
    struct pending_write *write = mem_zalloc(sizeof(*write));

    /* B4: past the guard, an entry that was applied is never written again. */
    ASSERT(n > 0 && first > r->applied && first > r->commit);
    ASSERT(first <= log_memory_last(&r->log) + 1);
    if (first <= log_memory_last(&r->log))
        log_memory_truncate(&r->log, first);

    op->kind = LOG_APPEND;
    op->append.first = first;
    op->append.count = n;
    op->append.entries = mem_zalloc(n * sizeof(*op->append.entries));
    for (unsigned i = 0; i < n; i++) {
        const struct raft_entry *e = &update->entries.batch[i];
        struct log_entry entry = {.term = e->term,
                                  .kind = entry_kind_of(e->type),
                                  .payload = payload_of(r, e)};

        ASSERT(entry.term >= log_memory_term(&r->log, first + i - 1));
        log_memory_append(&r->log, entry);
        entry.payload = blob_ref(entry.payload);
        op->append.entries[i] = entry;
    }
    write->first = first;
    write->last = first + n - 1;
    write->sequence = replica_persist(r, op);
    STAILQ_INSERT_TAIL(&r->writes, write, link);
    raft_free(update->entries.batch[0].batch);
}

static void report_role(struct replica *r)
{
    enum raft_state state = raft_state(&r->raft);
    enum replica_role role = state == RAFT_LEADER      ? REPLICA_LEADER
                             : state == RAFT_CANDIDATE ? REPLICA_CANDIDATE
                                                       : REPLICA_FOLLOWER;
    uint64_t leader = replica_believed(r);
    uint64_t term = raft_current_term(&r->raft);
    struct replica_action *action;

    if (role == r->role && leader == r->leader && term == r->term)
        return;
    r->role = role;
    r->leader = leader;
    r->term = term;
    action = replica_act(r, REPLICA_ROLE_CHANGED);
    action->role_changed.role = role;
    action->role_changed.term = term;
    action->role_changed.leader = leader;
}

/* What begins and ends with being the library's leader. */
static void follow_state(struct replica *r, bool was_leader, uint64_t was_term)
{
    bool is_leader = raft_state(&r->raft) == RAFT_LEADER;
    bool same_reign =
        was_leader && is_leader && was_term == raft_current_term(&r->raft);

    if (was_leader && !same_reign) {
        r->leads = false;
        r->noop_index = 0;
        r->noop_due = false;
        reads_fail(r);
        for (unsigned i = 0; i < r->peer_count; i++) {
            outbox_peer_reset(&r->peers[i]);
            r->peers[i].snapshot_index = 0;
        }
    }
    if (is_leader && !same_reign) {
        r->counters.elections_won++;
        r->noop_due = true;
#ifdef MUTANT_GUARD_B12
        r->leads = true;
#endif
        r->election.active = false;
    }
    report_role(r);
    if (was_leader && !is_leader) {
        r->counters.resignations++;
        for (unsigned i = 0; i < r->peer_count; i++)
            outbox_say(r,
                       r->peers[i].id,
                       &(struct peer_message){.kind = PEER_RESIGN, .term = was_term});
        election_resigned(r, r->config.id);
    }
}

int replica_raft_step(struct replica *r, struct raft_event *event)
{
    struct raft_update update;
    bool was_leader = raft_state(&r->raft) == RAFT_LEADER;
    uint64_t was_term = raft_current_term(&r->raft);
    int rv;

    memset(&update, 0, sizeof(update));
    event->time = replica_raft_now(r);
    event->capacity = CAPACITY_UNUSED;
    rv = raft_step(&r->raft, event, &update);
    if (rv != 0)
        return rv;
    if (update.flags & (RAFT_UPDATE_CURRENT_TERM) ||
        update.flags & (RAFT_UPDATE_VOTED_FOR))
        replica_persist_meta(r, raft_current_term(&r->raft), raft_voted_for(&r->raft));
    if (update.flags & (RAFT_UPDATE_ENTRIES))
        take_entries(r, &update);
    if (update.flags & (RAFT_UPDATE_SNAPSHOT))
        snapshot_begin_install(r, &update);
    if (update.flags & (RAFT_UPDATE_MESSAGES))
        for (unsigned i = 0; i < update.messages.n; i++)
            outbox_send(r, &update.messages.batch[i]);
#ifdef MUTANT_COMMIT_ALONE
    if (raft_state(&r->raft) == RAFT_LEADER && r->raft.last_stored > r->commit)
        r->commit = r->raft.last_stored;
#endif
    if (raft_commit_index(&r->raft) > r->commit)
        r->commit = raft_commit_index(&r->raft);
    else if (raft_commit_index(&r->raft) < r->commit && r->installing == INSTALL_NONE)
        r->counters.commit_regressions++;
    follow_state(r, was_leader, was_term);
    return 0;
}
