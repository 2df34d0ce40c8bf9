/* replica.c - a step: an event in, what can go on is advanced, actions come out.
 *
 * One replica_step() handles its event, which leads to one or more raft_step()s (update.c), and
 * then advances what can go on: the no-op of a new leader, applying, snapshots, reads, transfer.
 */
#include "raft/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

struct peer *replica_peer(struct replica *r, uint64_t id)
{
    for (unsigned i = 0; i < r->peer_count; i++)
        if (r->peers[i].id == id)
            return &r->peers[i];
    return NULL;
}

/* Decode meta's configuration into out, which libraft will own. */
bool replica_fill_metadata(struct replica *r,
                           struct raft_snapshot_metadata *out,
                           const struct snapshot_meta *meta)
{
    struct bytes view = blob_view(meta->configuration);
    struct raft_buffer encoded = {.base = (void *)(uintptr_t)view.data,
                                  .len = view.size};

    memset(out, 0, sizeof(*out));
    out->index = meta->index;
    out->term = meta->term;
    out->configuration_index = meta->configuration_index;
    if (raft_configuration_decode(&encoded, &out->configuration) == 0)
        return true;
    replica_fatal(r,
                  "snapshot at index %llu: its list of masters does not decode",
                  (unsigned long long)meta->index);
    return false;
}

/* ---- durability ---- */

/* Tell the library the highest index up to which disk equals memory: the last durable one, and
 * below every append still queued (which may truncate). */
static void report_durable(struct replica *r)
{
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES};
    struct pending_write *w;
    uint64_t index = r->disk_last;
    int rv;

    STAILQ_FOREACH (w, &r->writes, link)
        if (w->first - 1 < index)
            index = w->first - 1;
#ifdef MUTANT_APPEND_NOT_SYNCED
    index = log_memory_last(&r->log);
#endif
    if (!r->started || r->installing != INSTALL_NONE || index <= r->raft.last_stored)
        return;
    event.persisted_entries.index = index;
    rv = replica_raft_step(r, &event);
    if (rv != 0)
        replica_fatal(r, "libraft: durable entries: %s", raft_strerror(rv));
}

static void durable(struct replica *r, uint64_t sequence)
{
    ASSERT(sequence <= r->last_sequence);
    if (sequence <= r->durable_sequence)
        return;
    r->durable_sequence = sequence;
    while (!STAILQ_EMPTY(&r->writes) &&
           STAILQ_FIRST(&r->writes)->sequence <= sequence) {
        struct pending_write *w = STAILQ_FIRST(&r->writes);

        r->disk_last = w->last;
        STAILQ_REMOVE_HEAD(&r->writes, link);
        mem_free(w);
    }
    start_durable(r);
    outbox_release(r);
    report_durable(r);
    snapshot_maybe_installed(r);
    election_durable(r);
}

/* ---- submit ---- */

static int
submit_entry(struct replica *r, enum raft_entry_type type, struct blob *payload)
{
    static uint8_t nothing[8];
    struct raft_event event = {.type = RAFT_SUBMIT};
    struct raft_entry entry = {.type = type, .term = raft_current_term(&r->raft)};
    struct bytes view = blob_view(payload);
    int rv;

    entry.buf.base = payload != NULL ? (void *)(uintptr_t)view.data : nothing;
    entry.buf.len = payload != NULL ? view.size : sizeof(nothing);
    entry.batch =
        raft_malloc(1); /* the library wants one; it only frees or returns it */
    ASSERT(entry.batch != NULL);
    event.submit.entries = &entry;
    event.submit.n = 1;
    r->fed = &entry;
    r->fed_blobs = &payload;
    r->fed_count = 1;
    rv = replica_raft_step(r, &event);
    r->fed = NULL;
    r->fed_blobs = NULL;
    r->fed_count = 0;
    if (rv != 0)
        raft_free(entry.batch);
    return rv;
}

static void submit(struct replica *r, struct blob *payload)
{
    if (!replica_accepts(r) || submit_entry(r, RAFT_COMMAND, payload) != 0)
        return;
    r->actions->submitted = log_memory_last(&r->log);
    blob_unref(payload); /* the log has its own references */
}

/* A new leader needs an entry of its own term before it may know what is committed (Raft
 * thesis 6.4).  The library adds one itself, but only when something is uncommitted. */
static void submit_noop(struct replica *r)
{
    uint64_t term = raft_current_term(&r->raft);

    r->noop_due = false;
    if (log_memory_term(&r->log, log_memory_last(&r->log)) == term) {
        r->noop_index = log_memory_last(&r->log);
        return;
    }
    if (submit_entry(r, RAFT_BARRIER, NULL) == 0)
        r->noop_index = log_memory_last(&r->log);
    else
        r->noop_due = true; /* refused for now; the next step tries again */
}

/* ---- the step ---- */

static void advance(struct replica *r)
{
    if (!r->started)
        return;
    if (r->noop_due)
        submit_noop(r);
    apply_committed(r);
    snapshot_advance(r);
    reads_advance(r);
    transfer_advance(r);
}

static uint64_t next_deadline(const struct replica *r)
{
    uint64_t deadline = UINT64_MAX;
    uint64_t others[] = {election_deadline(r), reads_deadline(r), transfer_deadline(r)};

    if (r->started) {
        uint64_t at = raft_timeout(&r->raft);

        deadline = at > r->skew_ms ? at - r->skew_ms : 0;
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        if (others[i] < deadline)
            deadline = others[i];
#ifdef MUTANT_GUARD_B11
    return deadline;
#endif
    /* B11: a deadline in the past would spin. */
    return deadline > r->now_ms ? deadline : r->now_ms + 1;
}

static void timeout(struct replica *r)
{
    struct raft_event event = {.type = RAFT_TIMEOUT};
    int rv;

    if (!r->started)
        return;
    if (raft_timeout(&r->raft) <= replica_raft_now(r)) {
        rv = replica_raft_step(r, &event);
        if (rv != 0)
            replica_fatal(r, "libraft: timeout: %s", raft_strerror(rv));
    }
    election_time(r);
}

static void peer_up(struct replica *r, const struct replica_event *event)
{
    struct peer *peer = replica_peer(r, event->peer_up.peer);

    if (peer == NULL)
        return;
    outbox_peer_reset(peer);
    peer->up = true;
    peer->sending_snapshot = false;
    peer->incarnation = event->peer_up.incarnation;
    if (r->started)
        election_peer_up(r, peer, event->peer_up.leads);
}

static void peer_down(struct replica *r, struct peer *peer)
{
    if (peer == NULL || !peer->up)
        return;
    peer->up = false;
    outbox_peer_reset(peer);
    if (r->started)
        election_peer_down(r, peer);
}

static void handle(struct replica *r, const struct replica_event *event)
{
    switch (event->kind) {
    case REPLICA_START:
        start_begin(r, event);
        break;
    case REPLICA_TIME:
        timeout(r);
        break;
    case REPLICA_MESSAGE:
        if (r->started)
            inbox_receive(r, event->message.from, event->message.bytes);
        break;
    case REPLICA_DURABLE:
        durable(r, event->durable.sequence);
        break;
    case REPLICA_ENTRIES_READ:
        outbox_entries_read(
            r, replica_peer(r, event->entries_read.peer), event->entries_read.entries);
        break;
    case REPLICA_SUBMIT:
        submit(r, event->submit.payload);
        break;
    case REPLICA_TRANSFER:
        transfer_begin(r, event->transfer.to);
        break;
    case REPLICA_PEER_UP:
        peer_up(r, event);
        break;
    case REPLICA_PEER_DOWN:
        peer_down(r, replica_peer(r, event->peer_down.peer));
        break;
    case REPLICA_SNAPSHOT_WRITTEN:
        snapshot_written(r);
        break;
    case REPLICA_SNAPSHOT_SAVED:
        snapshot_saved(r);
        break;
    case REPLICA_SNAPSHOT_RECEIVED:
        snapshot_received(
            r, event->snapshot_received.from, event->snapshot_received.meta);
        break;
    case REPLICA_SNAPSHOT_PROMOTED:
        snapshot_promoted(r);
        break;
    case REPLICA_SNAPSHOT_DATA:
        snapshot_data(r, event->snapshot_data.bytes, event->snapshot_data.last);
        break;
    case REPLICA_SNAPSHOT_SENT: {
        struct peer *peer = replica_peer(r, event->snapshot_sent.peer);

        if (peer != NULL)
            peer->sending_snapshot = false;
        break;
    }
    case REPLICA_READ:
        reads_add(r, event->read.ticket);
        break;
    case REPLICA_CONTINUE:
        break;
    }
}

void replica_step(struct replica *r,
                  const struct replica_event *event,
                  struct replica_actions *actions)
{
    ASSERT(r->actions == NULL);
    r->actions = actions;
    /* Two threads of a host may read the clock a moment apart; ours never goes back. */
    if (event->now_ms > r->now_ms)
        r->now_ms = event->now_ms;
    handle(r, event);
    advance(r);
    actions->deadline_ms = next_deadline(r);
    r->actions = NULL;
}

/* ---- looking in ---- */

enum replica_role replica_role(const struct replica *r)
{
    return r->role;
}

bool replica_leads(const struct replica *r)
{
    return r->leads;
}

bool replica_accepts(const struct replica *r)
{
    return r->leads && !r->transfer.active &&
           log_memory_last(&r->log) - r->commit < LIMIT_UNCOMMITTED_ENTRIES;
}

uint64_t replica_leader(const struct replica *r)
{
    return r->leader;
}

uint64_t replica_term(const struct replica *r)
{
    return r->term;
}

uint64_t replica_last_index(const struct replica *r)
{
    return log_memory_last(&r->log);
}

uint64_t replica_commit_index(const struct replica *r)
{
    return r->commit;
}

uint64_t replica_applied_index(const struct replica *r)
{
    return r->applied;
}

uint64_t replica_durable_index(const struct replica *r)
{
    return r->raft.last_stored;
}

uint64_t replica_snapshot_index(const struct replica *r)
{
    return r->snapshot.index;
}

uint64_t replica_match_index(const struct replica *r, uint64_t peer)
{
    raft_index index = 0;

    if (r->role != REPLICA_LEADER || raft_match_index(&r->raft, peer, &index) != 0)
        return 0;
    return index;
}

uint64_t replica_entry_term(const struct replica *r, uint64_t index)
{
    if (index != 0 && index == r->snapshot.index)
        return r->snapshot.term;
    return log_memory_term(&r->log, index);
}

const struct replica_counters *replica_counters(const struct replica *r)
{
    return &r->counters;
}
