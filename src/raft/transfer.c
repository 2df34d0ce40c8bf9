/* transfer.c - hand leadership over (Raft thesis, section 3.10).
 *
 * The library sends TimeoutNow at once; a target that still lacks entries ignores it.  So we
 * stop taking submits first, wait until the target has everything, and only then order the
 * transfer.  A target that goes away before is given up, for another if any will do.  After one
 * election timeout without success we go on leading.
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

static bool is_connected(struct replica *r, uint64_t id)
{
    struct peer *peer = replica_peer(r, id);

    return peer != NULL && peer->up;
}

void transfer_begin(struct replica *r, uint64_t to)
{
    if (!r->leads || r->transfer.active)
        return;
    r->transfer = (struct transfer){
        .any = to == 0,
        .target = to != 0 ? to : best_peer(r),
        .until_ms = r->now_ms + r->config.election_timeout_ms,
    };
    r->transfer.active = is_connected(r, r->transfer.target);
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
    if (t->ordered)
        return;
    if (!is_connected(r, t->target)) {
        t->target = t->any ? best_peer(r) : 0;
        t->active = t->target != 0;
    }
    if (!t->active || replica_match_index(r, t->target) < log_memory_last(&r->log))
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
