/* start.c - a replica from its configuration to the RAFT_START of the library.
 *
 * The shell gives the log and the newest snapshot as they are on disk.  A log that a crash left
 * behind its snapshot is dropped first; a sole voter first makes a new term durable (guard B1).
 */
#include "raft/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* ---- create, destroy ---- */

void replica_config_init(struct replica_config *config)
{
    *config = (struct replica_config){
        .election_timeout_ms = 500,
        .heartbeat_ms = 100,
        .trailing_entries = LIMIT_TRAILING_ENTRIES,
        .trailing_bytes = LIMIT_TRAILING_BYTES,
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

/* ---- start ---- */

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

void start_begin(struct replica *r, const struct replica_event *event)
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
            "entries %llu to %llu are in no snapshot and not in the log: repair the "
            "disk, or leave this master off",
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
        replica_persist_meta(r, r->start_term, r->start_vote);
        r->start_after = r->meta_sequence;
        return;
    }
    feed_start(r);
}

void start_durable(struct replica *r)
{
    if (r->start_after == 0 || r->durable_sequence < r->start_after)
        return;
    r->start_after = 0;
    feed_start(r);
}
