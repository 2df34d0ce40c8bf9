/* outbox.c - messages on their way out.
 *
 * Two things can hold a message back:
 *
 *   1. It rests on a term or a vote that is not durable yet: all messages wait in one FIFO
 *      until the LOG_META before them is on disk.  (Entries need no wait: one FIFO of the log
 *      makes them durable after their term.)
 *   2. An AppendEntries whose payloads left memory.  Its head (prev, count) waits in the peer's
 *      FIFO while the store reads; heartbeats do not wait.  As the library probes with entries
 *      instead of heartbeats, a peer whose entries wait gets heartbeats of ours.  An
 *      AppendEntries larger than LIMIT_APPEND_BYTES goes out as several.
 *
 * What goes to a peer that is not connected is dropped: loss is legal in Raft.
 */
#include "raft/internal.h"

#include "base/assert.h"
#include "base/mem.h"

/* ---- holding ---- */

static void emit(struct replica *r, uint64_t peer, struct buffer *bytes)
{
    struct replica_action *action = replica_act(r, REPLICA_SEND);

    action->send.peer = peer;
    action->send.bytes = *bytes;
    *bytes = (struct buffer){0};
}

void outbox_say(struct replica *r, uint64_t to, const struct peer_message *message)
{
    struct peer *peer = replica_peer(r, to);
    struct buffer bytes = {0};
    struct held_message *held;

    if (peer == NULL || !peer->up)
        return;
    peer_message_pack(message, &bytes);
#ifndef MUTANT_VOTE_NOT_SYNCED
    if (r->meta_sequence > r->durable_sequence || !STAILQ_EMPTY(&r->held)) {
        held = mem_zalloc(sizeof(*held));
        held->needs = r->meta_sequence;
        held->peer = to;
        held->bytes = bytes;
        STAILQ_INSERT_TAIL(&r->held, held, link);
        r->counters.messages_held++;
        return;
    }
#else
    (void)held;
#endif
    emit(r, to, &bytes);
}

void outbox_release(struct replica *r)
{
    while (!STAILQ_EMPTY(&r->held) &&
           STAILQ_FIRST(&r->held)->needs <= r->durable_sequence) {
        struct held_message *held = STAILQ_FIRST(&r->held);

        STAILQ_REMOVE_HEAD(&r->held, link);
        emit(r, held->peer, &held->bytes);
        mem_free(held);
    }
}

/* ---- AppendEntries ---- */

static void say_append(struct replica *r,
                       struct peer *peer,
                       const struct append_head *head,
                       const struct log_entries *entries)
{
    peer->append_ms = r->now_ms;
    outbox_say(r,
               peer->id,
               &(struct peer_message){
                   .kind = PEER_APPEND_ENTRIES,
                   .term = head->term,
                   .append = {.prev_index = head->prev_index,
                              .prev_term = replica_entry_term(r, head->prev_index),
                              .commit = head->commit,
                              .entries = *entries},
               });
}

/* Entries from `first` whose payloads are in memory: at least one if any, then as many as fit.
 * The array is ours, the references stay the log's. */
static struct log_entries
gather(const struct replica *r, uint64_t first, uint32_t count)
{
    struct log_entries e = {.first = first};
    size_t bytes = 0;

    e.entries = mem_alloc(count * sizeof(*e.entries));
    while (e.count < count && log_memory_has_payload(&r->log, first + e.count)) {
        const struct log_entry *entry = log_memory_at(&r->log, first + e.count);

        bytes += blob_view(entry->payload).size;
        if (e.count > 0 && bytes > LIMIT_APPEND_BYTES)
            break;
        e.entries[e.count++] = *entry;
    }
    return e;
}

static void drop_head(struct peer *peer)
{
    struct append_head *head = STAILQ_FIRST(&peer->heads);

    STAILQ_REMOVE_HEAD(&peer->heads, link);
    mem_free(head);
}

static void advance_head(struct peer *peer, struct append_head *head, uint32_t sent)
{
    head->prev_index += sent;
    head->count -= sent;
    if (head->count == 0)
        drop_head(peer);
}

/* A head is stale when its term is over or its entries were truncated or trimmed.  What is
 * before the first entry has no term and needs none. */
static bool head_is_stale(const struct replica *r, const struct append_head *head)
{
    return raft_state((struct raft *)(uintptr_t)&r->raft) != RAFT_LEADER ||
           head->term != raft_current_term(&r->raft) ||
           (head->prev_index != 0 && replica_entry_term(r, head->prev_index) == 0) ||
           log_memory_at(&r->log, head->prev_index + 1) == NULL ||
           head->prev_index + head->count > log_memory_last(&r->log);
}

static void pump(struct replica *r, struct peer *peer)
{
    while (!peer->reading && !STAILQ_EMPTY(&peer->heads)) {
        struct append_head *head = STAILQ_FIRST(&peer->heads);
        struct log_entries entries;

        if (head_is_stale(r, head)) {
            drop_head(peer);
            continue;
        }
        entries = gather(r, head->prev_index + 1, head->count);
        if (entries.count == 0) {
            struct replica_action *action = replica_act(r, REPLICA_READ_ENTRIES);

            action->read_entries.peer = peer->id;
            action->read_entries.from = head->prev_index + 1;
            action->read_entries.count = head->count;
            action->read_entries.bytes = LIMIT_READ_BYTES;
            peer->reading = true;
        } else {
            say_append(r, peer, head, &entries);
            advance_head(peer, head, entries.count);
        }
        mem_free(entries.entries);
    }
}

void outbox_entries_read(struct replica *r,
                         struct peer *peer,
                         struct log_entries *entries)
{
    struct append_head *head;
    struct log_entries now;

    if (peer == NULL || !peer->reading) {
        log_entries_finish(entries);
        return;
    }
    peer->reading = false;
    head = STAILQ_FIRST(&peer->heads);
    if (head == NULL || head_is_stale(r, head) ||
        entries->first != head->prev_index + 1 || entries->count == 0) {
        if (head != NULL && entries->count == 0)
            drop_head(peer); /* trimmed meanwhile: libraft will turn to the snapshot */
        log_entries_finish(entries);
        pump(r, peer);
        return;
    }
    r->counters.entries_read_back += entries->count;
    now = *entries;
    if (now.count > head->count)
        now.count = head->count;
    /* What was read may have been truncated and written anew since: only equal terms go out,
     * and in frames of bounded size. */
    for (uint32_t i = 0; i < now.count; i++)
        if (log_memory_term(&r->log, now.first + i) != now.entries[i].term)
            now.count = i;
    while (now.count > 0) {
        struct log_entries part = {.first = now.first, .entries = now.entries};
        size_t bytes = 0;

        while (part.count < now.count) {
            bytes += blob_view(now.entries[part.count].payload).size;
            if (part.count > 0 && bytes > LIMIT_APPEND_BYTES)
                break;
            part.count++;
        }
        say_append(r, peer, head, &part);
        now.first += part.count;
        now.entries += part.count;
        now.count -= part.count;
        advance_head(peer, head, part.count);
    }
    log_entries_finish(entries);
    pump(r, peer);
}

/* While entries wait, the peer lacks what comes before a new heartbeat and would refuse it: go
 * back to what it is known to have. */
static void
say_heartbeat(struct replica *r, struct peer *peer, const struct raft_append_entries *a)
{
    struct append_head head = {
        .term = a->term, .prev_index = a->prev_log_index, .commit = a->leader_commit};
    raft_index match = 0;

    if (!STAILQ_EMPTY(&peer->heads) &&
        raft_match_index(&r->raft, peer->id, &match) == 0 &&
        replica_entry_term(r, match) != 0)
        head.prev_index = match;
    say_append(r, peer, &head, &(struct log_entries){0});
}

/* The library repeats a probe at every tick, and what it sent with it once the first part is
 * answered: what still waits only grows. */
static bool head_grows(struct peer *peer, const struct raft_append_entries *a)
{
    struct append_head *head = STAILQ_LAST(&peer->heads, append_head, link);
    uint64_t end = a->prev_log_index + a->n_entries;

    if (head == NULL || head->term != a->term || a->prev_log_index < head->begin ||
        a->prev_log_index > head->prev_index + head->count)
        return false;
    head->commit = a->leader_commit;
    if (end > head->prev_index + head->count)
        head->count = (uint32_t)(end - head->prev_index);
    return true;
}

static void add_head(struct peer *peer, const struct raft_append_entries *a)
{
    struct append_head *head = mem_zalloc(sizeof(*head));

    head->term = a->term;
    head->begin = a->prev_log_index;
    head->prev_index = a->prev_log_index;
    head->commit = a->leader_commit;
    head->count = a->n_entries;
    STAILQ_INSERT_TAIL(&peer->heads, head, link);
}

static void
send_append(struct replica *r, struct peer *peer, const struct raft_append_entries *a)
{
    if (!peer->up)
        return;
    if (a->n_entries == 0) {
        say_heartbeat(r, peer, a);
        return;
    }
    if (!head_grows(peer, a))
        add_head(peer, a);
    pump(r, peer);
    if (!STAILQ_EMPTY(&peer->heads) &&
        r->now_ms >= peer->append_ms + r->config.heartbeat_ms)
        say_heartbeat(r, peer, a);
}

/* ---- the rest ---- */

/* B7: libraft backs off one entry for each round trip.  Name the entry before the start of the
 * term that conflicts instead, never below what is committed. */
static uint64_t rejection_hint(struct replica *r,
                               const struct raft_append_entries_result *a)
{
    uint64_t hint = a->last_log_index;
    uint64_t index = a->rejected;
    uint64_t term = log_memory_term(&r->log, index);

#ifdef MUTANT_GUARD_B7
    return hint;
#endif
    if (term == 0)
        return hint;
    while (index > r->log.first && log_memory_term(&r->log, index - 1) == term)
        index--;
    index--;
    if (index < r->commit)
        index = r->commit;
    if (index >= hint)
        return hint;
    r->counters.guard_hint_rewritten++;
    return index;
}

static void send_append_result(struct replica *r,
                               uint64_t to,
                               const struct raft_append_entries_result *a)
{
    outbox_say(
        r,
        to,
        &(struct peer_message){
            .kind = PEER_APPEND_ENTRIES_RESULT,
            .term = a->term,
            .append_result = {.rejected = a->rejected,
                              .last_index = a->rejected != 0 ? rejection_hint(r, a)
                                                             : a->last_log_index},
        });
}

static void
send_request_vote(struct replica *r, uint64_t to, const struct raft_request_vote *v)
{
    if (r->election.mute)
        return;
    if (v->pre_vote)
        r->election.asked_ms = r->now_ms;
    else
        election_votes(r, &r->election.stood_ms);
    outbox_say(r,
               to,
               &(struct peer_message){.kind = PEER_REQUEST_VOTE,
                                      .term = v->term,
                                      .vote = {.last_index = v->last_log_index,
                                               .last_term = v->last_log_term,
                                               .disrupt = v->disrupt_leader,
                                               .pre_vote = v->pre_vote}});
}

static void send_vote_result(struct replica *r,
                             uint64_t to,
                             const struct raft_request_vote_result *v)
{
    uint64_t term = v->term;

#ifndef MUTANT_GUARD_B8
    /* B8: a candidate with the best log but an old term must learn the higher term, or nobody
     * can ever win. */
    if (v->pre_vote && !v->vote_granted && term < raft_current_term(&r->raft)) {
        term = raft_current_term(&r->raft);
        r->counters.guard_prevote_term++;
    }
#endif
    if (!v->pre_vote && v->vote_granted)
        election_votes(r, &r->election.granted_ms);
    outbox_say(r,
               to,
               &(struct peer_message){.kind = PEER_REQUEST_VOTE_RESULT,
                                      .term = term,
                                      .vote_result = {.granted = v->vote_granted,
                                                      .pre_vote = v->pre_vote}});
}

static void send_snapshot(struct replica *r,
                          struct peer *peer,
                          const struct raft_install_snapshot *s)
{
    peer->snapshot_index = s->last_index;
    if (!peer->up || peer->sending_snapshot)
        return; /* libraft repeats itself at every heartbeat */
    ASSERT(r->snapshot.index > 0);
    peer->sending_snapshot = true;
    r->counters.snapshots_sent++;
    replica_act(r, REPLICA_SNAPSHOT_SEND)->snapshot_send.peer = peer->id;
}

void outbox_send(struct replica *r, const struct raft_message *m)
{
    struct peer *peer = replica_peer(r, m->server_id);

    ASSERT(peer != NULL);
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        send_append(r, peer, &m->append_entries);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        send_append_result(r, m->server_id, &m->append_entries_result);
        break;
    case RAFT_REQUEST_VOTE:
        send_request_vote(r, m->server_id, &m->request_vote);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        send_vote_result(r, m->server_id, &m->request_vote_result);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        send_snapshot(r, peer, &m->install_snapshot);
        break;
    case RAFT_TIMEOUT_NOW:
        outbox_say(r,
                   m->server_id,
                   &(struct peer_message){
                       .kind = PEER_TIMEOUT_NOW,
                       .term = m->timeout_now.term,
                       .timeout_now = {.last_index = m->timeout_now.last_log_index,
                                       .last_term = m->timeout_now.last_log_term}});
        break;
    }
}

void outbox_peer_reset(struct peer *peer)
{
    while (!STAILQ_EMPTY(&peer->heads))
        drop_head(peer);
    peer->reading = false;
}

void outbox_finish(struct replica *r)
{
    for (unsigned i = 0; i < r->peer_count; i++)
        outbox_peer_reset(&r->peers[i]);
    while (!STAILQ_EMPTY(&r->held)) {
        struct held_message *held = STAILQ_FIRST(&r->held);

        STAILQ_REMOVE_HEAD(&r->held, link);
        buffer_finish(&held->bytes);
        mem_free(held);
    }
}
