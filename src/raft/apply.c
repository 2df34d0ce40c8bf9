/* apply.c - committed entries go to the machine, a bounded amount in one step. */
#include "raft/internal.h"

#include "base/assert.h"

#include <string.h>

#define ENTRY_OVERHEAD_BYTES \
    64 /* of an entry on disk, for the decision to take a snapshot */

/* The library wants to hear of a committed configuration at once. */
static void apply_configuration(struct replica *r, uint64_t index, struct blob *payload)
{
    struct raft_event event = {.type = RAFT_CONFIGURATION};
    struct bytes view = blob_view(payload);
    struct raft_buffer encoded = {.base = (void *)(uintptr_t)view.data,
                                  .len = view.size};
    int rv;

    blob_unref(r->configuration);
    r->configuration = blob_ref(payload);
    r->configuration_index = index;
    event.configuration.index = index;
    if (raft_configuration_decode(&encoded, &event.configuration.conf) != 0) {
        replica_fatal(r,
                      "entry %llu: the list of masters does not decode",
                      (unsigned long long)index);
        return;
    }
    rv = replica_raft_step(r, &event);
    if (rv != 0)
        replica_fatal(r, "libraft: configuration: %s", raft_strerror(rv));
}

static size_t apply_entry(struct replica *r, uint64_t index)
{
    const struct log_entry *at = log_memory_at(&r->log, index);
    struct log_entry entry;
    struct bytes payload = {0};
    size_t work;

    ASSERT(at != NULL && log_memory_has_payload(&r->log, index));
    entry = *at; /* a nested step may move the ring */
    blob_ref(entry.payload);
    if (entry.kind == ENTRY_COMMANDS)
        payload = blob_view(entry.payload);
    work = r->machine.apply(
        r->machine.data, index, entry.term, entry.kind, payload, r->leads);
    r->applied = index;
    r->bytes_since_snapshot += blob_view(entry.payload).size + ENTRY_OVERHEAD_BYTES;
    if (entry.kind == ENTRY_CONFIGURATION)
        apply_configuration(r, index, entry.payload);
    if (index == r->noop_index && !r->leads && raft_state(&r->raft) == RAFT_LEADER) {
        r->leads = true;
        replica_act(r, REPLICA_LEADING)->leading.term = raft_current_term(&r->raft);
    }
    blob_unref(entry.payload);
    return work + 1;
}

void apply_committed(struct replica *r)
{
    size_t budget = r->config.apply_budget;
    uint64_t keep_from;

    /* The commit index may be ahead of what is in memory: a leader told us of more. */
    while (r->installing == INSTALL_NONE && r->applied < r->commit &&
           r->applied < log_memory_last(&r->log)) {
        size_t work;

        if (budget == 0) {
            r->actions->again = true;
            break;
        }
        work = apply_entry(r, r->applied + 1);
        budget = work < budget ? budget - work : 0;
    }
    keep_from = r->applied < r->raft.last_stored ? r->applied : r->raft.last_stored;
    log_memory_evict(&r->log, keep_from + 1, r->config.cache_bytes);
}
