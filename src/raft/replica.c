/* replica.c - drive raft_step() and carry its updates out as actions.
 *
 * One replica_step() handles its event, which leads to one or more raft_step()s, and then
 * advances what can go on: the no-op of a new leader, applying, snapshots, reads, transfer.
 * After each raft_step() the update is taken in the order that the library's contract wants:
 *
 *   1. term and vote   -> LOG_META; messages from here on wait until it is durable (outbox.c)
 *   2. entries         -> memory (truncating first), LOG_APPEND
 *   3. snapshot        -> install (snapshot.c)
 *   4. messages        -> outbox
 *   5. commit index    -> remembered; apply.c goes there
 *
 * Nothing below calls raft_step() while an update is being taken.
 */
#include "raft/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CAPACITY_UNUSED \
    60000 /* libraft's free-disk figure; its check is off (threshold 0) */

static int
submit_entry(struct replica *r, enum raft_entry_type type, struct blob *payload);

/* ---- actions ---- */

struct replica_action *replica_act(struct replica *r, enum replica_action_kind kind)
{
    struct replica_actions *a = r->actions;
    struct replica_action *action;

    MEM_GROW(a->items, a->capacity, a->count + 1);
    action = &a->items[a->count++];
    memset(action, 0, sizeof(*action));
    action->kind = kind;
    return action;
}

void replica_fatal(struct replica *r, const char *format, ...)
{
    struct error *error = &replica_act(r, REPLICA_FATAL)->fatal;
    va_list args;

    error->code = ERROR_INTERNAL;
    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
}

static void action_clear(struct replica_action *action)
{
    switch (action->kind) {
    case REPLICA_SEND:
        buffer_finish(&action->send.bytes);
        break;
    case REPLICA_PERSIST:
        log_op_destroy(action->op);
        break;
    case REPLICA_SNAPSHOT_BEGIN:
        snapshot_meta_finish(&action->snapshot_begin);
        break;
    case REPLICA_SNAPSHOT_CHUNK:
        blob_unref(action->snapshot_chunk);
        break;
    default:
        break;
    }
}

void replica_actions_clear(struct replica_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++)
        action_clear(&actions->items[i]);
    actions->count = 0;
    actions->submitted = 0;
    actions->again = false;
}

void replica_actions_finish(struct replica_actions *actions)
{
    replica_actions_clear(actions);
    mem_free(actions->items);
    *actions = (struct replica_actions){0};
}

/* ---- create, destroy ---- */

void replica_config_init(struct replica_config *config)
{
    *config = (struct replica_config){
        .election_timeout_ms = 500,
        .heartbeat_ms = 100,
        .trailing_entries = LIMIT_TRAILING_ENTRIES,
        .snapshot_bytes = LIMIT_LOG_SNAPSHOT_BYTES,
        .cache_bytes = LIMIT_LOG_CACHE_BYTES,
        .snapshot_chunk_bytes = LIMIT_SNAPSHOT_CHUNK_BYTES,
        .apply_budget = 2048,
    };
}

static void raft_open(struct replica *r)
{
    char address[24];

    /* libraft keeps addresses as text; ours are the ids, the shell knows where they live. */
    snprintf(address, sizeof(address), "%llu", (unsigned long long)r->config.id);
    if (raft_init(&r->raft, NULL, NULL, r->config.id, address) != 0)
        ASSERT_NEVER("raft_init failed");
    r->raft_open = true;
    r->raft.tracer = NULL; /* otherwise every step formats traces that nobody reads */
    raft_seed(&r->raft, (unsigned)(r->config.entropy ^ r->config.entropy >> 32));
    raft_set_election_timeout(&r->raft, r->config.election_timeout_ms);
    raft_set_heartbeat_timeout(&r->raft, r->config.heartbeat_ms);
    /* The outbox paces transfers, and the inbox says what the library waits to hear.  Should it
     * wait in vain all the same, then no longer than a transfer may stand still. */
    raft_set_install_snapshot_timeout(&r->raft, LIMIT_SNAPSHOT_STALL_MS);
    raft_set_pre_vote(&r->raft, true);
    raft_set_max_inflight_entries(&r->raft, LIMIT_INFLIGHT_ENTRIES);
}

struct replica *replica_create(const struct replica_config *config,
                               struct machine machine)
{
    struct replica *r = mem_zalloc(sizeof(*r));
    bool member = false;

    ASSERT(config->voter_count >= 1 && config->voter_count <= LIMIT_MASTERS);
    r->config = *config;
    r->machine = machine;
    for (unsigned i = 0; i < config->voter_count; i++) {
        struct peer *peer = &r->peers[r->peer_count];

        ASSERT(i == 0 || config->voters[i] > config->voters[i - 1]);
        if (config->voters[i] == config->id) {
            member = true;
            continue;
        }
        peer->id = config->voters[i];
        STAILQ_INIT(&peer->heads);
        r->peer_count++;
    }
    ASSERT(member);
    STAILQ_INIT(&r->writes);
    STAILQ_INIT(&r->held);
    log_memory_init(&r->log, 1, 0);
    raft_open(r);
    return r;
}

void replica_destroy(struct replica *r)
{
    if (r == NULL)
        return;
    if (r->raft_open)
        raft_close(&r->raft, NULL);
    snapshot_finish(r);
    reads_finish(r);
    outbox_finish(r);
    while (!STAILQ_EMPTY(&r->writes)) {
        struct pending_write *w = STAILQ_FIRST(&r->writes);

        STAILQ_REMOVE_HEAD(&r->writes, link);
        mem_free(w);
    }
    log_memory_finish(&r->log);
    snapshot_meta_finish(&r->snapshot);
    blob_unref(r->configuration);
    mem_free(r);
}

struct peer *replica_peer(struct replica *r, uint64_t id)
{
    for (unsigned i = 0; i < r->peer_count; i++)
        if (r->peers[i].id == id)
            return &r->peers[i];
    return NULL;
}

struct blob *replica_founding_configuration(const uint64_t *voters, unsigned count)
{
    struct raft_configuration configuration;
    struct raft_buffer encoded;
    struct blob *blob;
    char address[24];

    raft_configuration_init(&configuration);
    for (unsigned i = 0; i < count; i++) {
        snprintf(address, sizeof(address), "%llu", (unsigned long long)voters[i]);
        if (raft_configuration_add(&configuration, voters[i], address, RAFT_VOTER) != 0)
            ASSERT_NEVER("voters are not distinct");
    }
    if (raft_configuration_encode(&configuration, &encoded) != 0)
        ASSERT_NEVER("raft_configuration_encode failed");
    blob = blob_copy((struct bytes){encoded.base, encoded.len});
    raft_free(encoded.base);
    raft_configuration_close(&configuration);
    return blob;
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

/* ---- raft_step and its update ---- */

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

static void persist_meta(struct replica *r, uint64_t term, uint64_t vote)
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

static enum raft_entry_type entry_type_of(enum entry_kind kind)
{
    switch (kind) {
    case ENTRY_COMMANDS:
        return RAFT_COMMAND;
    case ENTRY_CONFIGURATION:
        return RAFT_CHANGE;
    case ENTRY_NOOP:
        break;
    }
    return RAFT_BARRIER;
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
        persist_meta(r, raft_current_term(&r->raft), raft_voted_for(&r->raft));
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

/* ---- start ---- */

/* B1: a sole voter would lead again in its old term without a vote; so it starts in a new one. */
static bool is_sole_voter(const struct replica *r)
{
#ifdef MUTANT_GUARD_B1
    return false;
#endif
    return r->config.voter_count == 1;
}

static void feed_start(struct replica *r)
{
    struct raft_snapshot_metadata metadata;
    struct raft_event event = {.type = RAFT_START};
    size_t n = r->log.count;
    struct raft_entry *entries = mem_zalloc((n + 1) * sizeof(*entries));
    int rv;

    for (size_t i = 0; i < n; i++) {
        const struct log_entry *entry = log_memory_at(&r->log, r->log.first + i);
        struct bytes payload = blob_view(entry->payload);

        entries[i].term = entry->term;
        entries[i].type = entry_type_of(entry->kind);
        entries[i].buf.base = (void *)(uintptr_t)payload.data;
        entries[i].buf.len = payload.size;
        entries[i].batch = entries;
    }
    event.start.term = r->start_term;
    event.start.voted_for = r->start_vote;
    event.start.start_index = r->log.first;
    event.start.entries = entries;
    event.start.n_entries = (unsigned)n;
    if (r->snapshot.index > 0) {
        if (!replica_fill_metadata(r, &metadata, &r->snapshot))
            goto out;
        event.start.metadata = &metadata;
    }
    r->started = true;
    rv = replica_raft_step(r, &event);
    if (rv != 0)
        replica_fatal(r, "libraft refuses the log on disk: %s", raft_strerror(rv));
    log_memory_evict(&r->log, r->applied + 1, r->config.cache_bytes);
out:
    mem_free(entries);
}

/* A log that does not reach the snapshot, or differs from it there, was left behind by an
 * install that a crash cut off: the snapshot wins. */
static void drop_log_behind_snapshot(struct replica *r)
{
    struct log_op *op;
    uint64_t index = r->snapshot.index;

    if (index == 0 ||
        (log_memory_last(&r->log) >= index && r->log.first <= index + 1 &&
         (r->log.first > index || log_memory_term(&r->log, index) == r->snapshot.term)))
        return;
    log_memory_reset(&r->log, index, r->snapshot.term);
    op = mem_zalloc(sizeof(*op));
    op->kind = LOG_RESET;
    op->reset_to = index;
    replica_persist(r, op);
}

static void start(struct replica *r, const struct replica_event *event)
{
    struct log_entries *entries = event->start.entries;

    ASSERT(!r->started && r->start_after == 0);
    if (event->start.snapshot != NULL && event->start.snapshot->index > 0) {
        snapshot_meta_copy(&r->snapshot, event->start.snapshot);
        r->configuration = blob_ref(r->snapshot.configuration);
        r->configuration_index = r->snapshot.configuration_index;
        r->applied = r->snapshot.index;
        r->commit = r->snapshot.index;
    }
    /* The term before the log is known only where the snapshot ends right there. */
    log_memory_init(&r->log,
                    entries->first,
                    entries->first == r->snapshot.index + 1 ? r->snapshot.term : 0);
    for (uint32_t i = 0; i < entries->count; i++) {
        log_memory_append(&r->log, entries->entries[i]);
        entries->entries[i].payload = NULL;
    }
    log_entries_finish(entries);
    if (r->log.first > r->snapshot.index + 1) {
        replica_fatal(
            r,
            "entries %llu to %llu are in no snapshot and not in the log: restore the "
            "disk, or start with an empty directory under a new id",
            (unsigned long long)r->snapshot.index + 1,
            (unsigned long long)r->log.first - 1);
        return;
    }
    drop_log_behind_snapshot(r);
    r->disk_last = log_memory_last(&r->log);
    r->start_term = event->start.term;
    r->start_vote = event->start.vote;
    if (is_sole_voter(r)) {
        r->start_term++;
        r->start_vote = r->config.id;
        persist_meta(r, r->start_term, r->start_vote);
        r->start_after = r->meta_sequence;
        return;
    }
    feed_start(r);
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
    if (r->start_after != 0 && sequence >= r->start_after) {
        r->start_after = 0;
        feed_start(r);
    }
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
        start(r, event);
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
