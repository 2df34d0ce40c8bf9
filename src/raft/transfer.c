/* transfer.c - hand leadership over (Raft thesis, section 3.10).
 *
 * The library sends TimeoutNow at once; a target that still lacks entries ignores it.  So we
 * stop taking submits first, wait until the target has everything, and only then order the
 * transfer.  After one election timeout without success we go on leading.
 */
#include "raft/internal.h"

static uint64_t best_peer(const struct replica *r)
{
    uint64_t best = 0;
    uint64_t best_index = 0;

    for (unsigned i = 0; i < r->peer_count; i++) {
        uint64_t index = replica_match_index(r, r->peers[i].id);

        if (r->peers[i].up && (best == 0 || index > best_index)) {
            best = r->peers[i].id;
            best_index = index;
        }
    }
    return best;
}

void transfer_begin(struct replica *r, uint64_t to)
{
    struct peer *peer;

    if (!r->leads || r->transfer.active)
        return;
    if (to == 0)
        to = best_peer(r);
    peer = replica_peer(r, to);
    if (peer == NULL || !peer->up)
        return;
    r->transfer = (struct transfer){
        .active = true,
        .target = to,
        .until_ms = r->now_ms + r->config.election_timeout_ms,
    };
}

void transfer_advance(struct replica *r)
{
    struct transfer *t = &r->transfer;
    struct raft_event event = {.type = RAFT_TRANSFER};

    if (!t->active)
        return;
    if (!r->leads || r->now_ms >= t->until_ms) {
        if (t->ordered && !r->leads)
            r->counters.transfers++;
        t->active = false;
        return;
    }
    if (t->ordered || replica_match_index(r, t->target) < log_memory_last(&r->log))
        return;
    event.transfer.server_id = t->target;
    if (replica_raft_step(r, &event) == 0)
        t->ordered = true;
    else
        t->active = false;
}

uint64_t transfer_deadline(const struct replica *r)
{
    return r->transfer.active ? r->transfer.until_ms : UINT64_MAX;
}
