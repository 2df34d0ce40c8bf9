/* snapshot.c - take, receive and install snapshots (joints 4, 7 and 13).
 *
 *   taking      NONE -> WALK (chunks, at most SNAPSHOT_CHUNKS_IN_FLIGHT not yet taken over by
 *               the store) -> COMMIT (its header is on the way) -> NONE
 *   installing  NONE -> PROMOTE (the staged snapshot becomes current) -> LOAD (the log is reset
 *               and the bytes come back) -> NONE
 *
 * Installing wins: a snapshot being taken is abandoned.  While installing, the library answers
 * heartbeats but neither votes nor stands; the old log stays valid on disk until the promotion
 * is durable, so a crash at any moment finds a whole state.
 */
#include "raft/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

/* So much of the size of the last snapshot has to be in the log before the next one. */
#define SNAPSHOT_PART 4

/* ---- take ---- */

static void begin_taking(struct replica *r)
{
    r->taking = TAKING_WALK;
    r->chunks_in_flight = 0;
    r->taken = (struct snapshot_meta){
        .index = r->applied,
        .term = replica_entry_term(r, r->applied),
        .configuration_index = r->configuration_index,
        .configuration = blob_ref(r->configuration),
    };
    r->bytes_since_snapshot = 0;
    r->machine.snapshot_begin(r->machine.data);
    snapshot_meta_copy(&replica_act(r, REPLICA_SNAPSHOT_BEGIN)->snapshot_begin,
                       &r->taken);
}

/* The machine ends a slice behind the object that filled it; the store takes no larger chunk. */
static void put_chunks(struct replica *r, struct bytes bytes)
{
    while (bytes.size > 0) {
        struct bytes chunk = bytes;

        if (chunk.size > r->config.snapshot_chunk_bytes)
            chunk.size = r->config.snapshot_chunk_bytes;
        r->taken.size += chunk.size;
        r->chunks_in_flight++;
        replica_act(r, REPLICA_SNAPSHOT_CHUNK)->snapshot_chunk = blob_copy(chunk);
        bytes.data += chunk.size;
        bytes.size -= chunk.size;
    }
}

static void walk(struct replica *r)
{
    struct buffer bytes = {0};
    bool more = r->machine.snapshot_next(
        r->machine.data, &bytes, r->config.snapshot_chunk_bytes);

    put_chunks(r, buffer_view(&bytes));
    buffer_finish(&bytes);
    if (more)
        return;
    r->machine.snapshot_end(r->machine.data);
    r->taking = TAKING_COMMIT;
    replica_act(r, REPLICA_SNAPSHOT_COMMIT);
}

static void abandon_taking(struct replica *r)
{
    if (r->taking == TAKING_NONE)
        return;
    if (r->taking == TAKING_WALK) {
        r->machine.snapshot_end(r->machine.data);
        replica_act(r, REPLICA_SNAPSHOT_ABANDON);
    }
    r->counters.snapshots_abandoned++;
    r->taking = TAKING_NONE;
    snapshot_meta_finish(&r->taken);
}

/* What a restart replays stays small beside what it loads, and what snapshots write small beside
 * the log. */
static bool is_wanted(const struct replica *r)
{
    return r->bytes_since_snapshot >= r->config.snapshot_bytes &&
           r->bytes_since_snapshot >= r->snapshot.size / SNAPSHOT_PART;
}

void snapshot_advance(struct replica *r)
{
    if (r->installing != INSTALL_NONE)
        return;
    /* Only what is durable here may replace the log here. */
    if (r->taking == TAKING_NONE && is_wanted(r) && r->applied > r->snapshot.index &&
        r->applied <= r->raft.last_stored)
        begin_taking(r);
    if (r->taking == TAKING_WALK && r->chunks_in_flight < SNAPSHOT_CHUNKS_IN_FLIGHT)
        walk(r);
    if (r->taking == TAKING_WALK && r->chunks_in_flight < SNAPSHOT_CHUNKS_IN_FLIGHT)
        r->actions->again = true;
}

void snapshot_written(struct replica *r)
{
    if (r->taking != TAKING_NONE && r->chunks_in_flight > 0)
        r->chunks_in_flight--;
}

void snapshot_saved(struct replica *r)
{
    struct raft_event event = {.type = RAFT_SNAPSHOT};
    struct log_op *op;
    unsigned trailing;
    uint64_t trim_to;
    int rv;

    if (r->taking != TAKING_COMMIT)
        return; /* an install came between */
    r->taking = TAKING_NONE;
    ASSERT(r->taken.index > r->snapshot.index &&
           r->taken.index <= log_memory_last(&r->log));
    snapshot_meta_finish(&r->snapshot);
    r->snapshot = r->taken;
    r->taken = (struct snapshot_meta){0};
    r->counters.snapshots_taken++;
    if (!replica_fill_metadata(r, &event.snapshot.metadata, &r->snapshot))
        return;
    trailing = log_memory_newest(&r->log,
                                 r->snapshot.index,
                                 r->config.trailing_entries,
                                 r->config.trailing_bytes);
    event.snapshot.trailing = trailing;
    rv = replica_raft_step(r, &event);
    if (rv != 0) {
        replica_fatal(r, "libraft: snapshot: %s", raft_strerror(rv));
        return;
    }
    trim_to = r->snapshot.index - trailing;
    if (trim_to < r->log.first)
        return;
    log_memory_trim(&r->log, trim_to);
    op = mem_zalloc(sizeof(*op));
    op->kind = LOG_TRIM;
    op->trim_to = trim_to;
    replica_persist(r, op);
}

/* ---- install ---- */

/* The library hears of the transfer now that it is complete: its message carries a handle, not
 * bytes.  The term is ours, because what is in a snapshot is committed whoever sent it. */
void snapshot_received(struct replica *r,
                       uint64_t from,
                       const struct snapshot_meta *meta)
{
    struct raft_message message = {.type = RAFT_INSTALL_SNAPSHOT};
    struct raft_event event = {.type = RAFT_RECEIVE};
    struct raft_snapshot_metadata metadata;
    int rv;

    if (!r->started || replica_peer(r, from) == NULL)
        return;
#ifndef MUTANT_GUARD_B13
    if (r->installing != INSTALL_NONE) { /* B13 */
        r->counters.guard_installing++;
        return;
    }
#endif
    if (meta->index <= r->commit || replica_believed(r) != from ||
        raft_state(&r->raft) != RAFT_FOLLOWER)
        return;
    if (!replica_fill_metadata(r, &metadata, meta))
        return;
    message.server_id = from;
    message.server_address = "";
    message.install_snapshot.term = raft_current_term(&r->raft);
    message.install_snapshot.last_index = meta->index;
    message.install_snapshot.last_term = meta->term;
    message.install_snapshot.conf = metadata.configuration;
    message.install_snapshot.conf_index = meta->configuration_index;
    message.install_snapshot.data.base = raft_malloc(1);
    message.install_snapshot.data.len = 1;
    ASSERT(message.install_snapshot.data.base != NULL);
    event.receive.message = &message;
    snapshot_meta_copy(&r->install, meta);
    r->install_from = from;
    rv = replica_raft_step(r, &event);
    if (rv != 0)
        replica_fatal(r, "libraft: install snapshot: %s", raft_strerror(rv));
    if (r->installing == INSTALL_NONE)
        snapshot_meta_finish(&r->install);
}

/* From inside raft_step(): the library has emptied its log and waits for the snapshot. */
void snapshot_begin_install(struct replica *r, const struct raft_update *update)
{
    struct raft_configuration configuration = update->snapshot.metadata.configuration;

    ASSERT(r->installing == INSTALL_NONE &&
           r->install.index == update->snapshot.metadata.index);
    raft_free(update->snapshot.chunk.base);
    raft_configuration_close(&configuration);
    abandon_taking(r);
    r->installing = INSTALL_PROMOTE;
    r->loaded = false;
    r->reset_sequence = 0;
    for (unsigned i = 0; i < r->peer_count; i++)
        outbox_peer_reset(&r->peers[i]);
    log_memory_reset(&r->log, r->install.index, r->install.term);
    replica_act(r, REPLICA_SNAPSHOT_PROMOTE)->snapshot_promote.from = r->install_from;
}

void snapshot_promoted(struct replica *r)
{
    struct log_op *op;

    ASSERT(r->installing == INSTALL_PROMOTE);
    r->installing = INSTALL_LOAD;
    op = mem_zalloc(sizeof(*op));
    op->kind = LOG_RESET;
    op->reset_to = r->install.index;
    r->reset_sequence = replica_persist(r, op);
    r->machine.restore_begin(r->machine.data);
    replica_act(r, REPLICA_SNAPSHOT_LOAD);
}

void snapshot_data(struct replica *r, struct bytes bytes, bool last)
{
    struct error err;

    ASSERT(r->installing == INSTALL_LOAD && !r->loaded);
    if (r->machine.restore_feed(r->machine.data, bytes, &err) != 0 ||
        (last && r->machine.restore_end(
                     r->machine.data, r->install.index, r->install.term, &err) != 0)) {
        replica_fatal(r,
                      "installed snapshot at index %llu: %s",
                      (unsigned long long)r->install.index,
                      err.text);
        return;
    }
    r->loaded = last;
    snapshot_maybe_installed(r);
}

/* Both the state is loaded and the log on disk begins after it. */
void snapshot_maybe_installed(struct replica *r)
{
    struct raft_event event = {.type = RAFT_PERSISTED_SNAPSHOT};
    int rv;

    if (r->installing != INSTALL_LOAD || !r->loaded ||
        r->durable_sequence < r->reset_sequence)
        return;
    ASSERT(STAILQ_EMPTY(&r->writes)); /* all queued appends came before the reset */
    if (!replica_fill_metadata(r, &event.persisted_snapshot.metadata, &r->install))
        return;
    event.persisted_snapshot.last = true;
    snapshot_meta_finish(&r->snapshot);
    r->snapshot = r->install;
    r->install = (struct snapshot_meta){0};
    r->installing = INSTALL_NONE;
    r->disk_last = r->snapshot.index;
    r->applied = r->snapshot.index;
    if (r->commit < r->applied)
        r->commit = r->applied;
    r->bytes_since_snapshot = 0;
    blob_unref(r->configuration);
    r->configuration = blob_ref(r->snapshot.configuration);
    r->configuration_index = r->snapshot.configuration_index;
    r->counters.snapshots_installed++;
    rv = replica_raft_step(r, &event);
    if (rv != 0)
        replica_fatal(r, "libraft: snapshot installed: %s", raft_strerror(rv));
    election_durable(r); /* a hint may wait for it */
}

void snapshot_finish(struct replica *r)
{
    if (r->taking == TAKING_WALK)
        r->machine.snapshot_end(r->machine.data);
    snapshot_meta_finish(&r->taken);
    snapshot_meta_finish(&r->install);
}
