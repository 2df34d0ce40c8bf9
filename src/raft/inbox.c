/* inbox.c - messages from peers, made harmless for libraft before it sees them.
 *
 * Guards of joint 5.  Dropping a message is always legal in Raft, and so is shortening an
 * AppendEntries by a prefix that we know to be committed.
 */
#include "raft/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* Versions and features of messages as libraft 0.22 writes them itself.  Below version 2 it
 * would count a late pre-vote as a vote. */
#define APPEND_RESULT_VERSION 2
#define VOTE_VERSION          2
#define VOTE_RESULT_VERSION   2
#define FEATURE_CAPACITY      1

static void feed(struct replica *r, uint64_t from, struct raft_message *message)
{
    struct raft_event event = {.type = RAFT_RECEIVE};
    char address[24];
    int rv;

    snprintf(address, sizeof(address), "%llu", (unsigned long long)from);
    message->server_id = from;
    message->server_address = address;
    event.receive.message = message;
    rv = replica_raft_step(r, &event);
    if (rv != 0)
        replica_fatal(r,
                      "libraft: message of type %d from master %llu: %s",
                      (int)message->type,
                      (unsigned long long)from,
                      raft_strerror(rv));
}

/* B4, B5: an AppendEntries that begins below our commit index is appended at the wrong place,
 * and lets the commit index go back.  What is committed is identical on both sides: drop it
 * from the message. */
static void
drop_committed_prefix(struct replica *r, struct peer_message *m, uint32_t *skipped)
{
    uint64_t commit = raft_commit_index(&r->raft);
    uint64_t term = replica_entry_term(r, commit);
    uint64_t behind = commit - m->append.prev_index;

    *skipped = 0;
#ifdef MUTANT_GUARD_B4
    if (m->append.prev_index < r->log.first)
        return;
#endif
#ifdef MUTANT_GUARD_B5
    if (m->append.prev_index >= r->log.first)
        return;
#endif
    if (r->installing != INSTALL_NONE || m->append.prev_index >= commit || term == 0)
        return;
    *skipped =
        behind < m->append.entries.count ? (uint32_t)behind : m->append.entries.count;
    m->append.prev_index = commit;
    m->append.prev_term = term;
    r->counters.guard_prefix++;
}

/* Membership is static: past the first entry nobody may change it. */
static bool changes_members(const struct log_entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (entries[i].kind == ENTRY_CONFIGURATION)
            return true;
    return false;
}

/* What no correct master sends, and what would break the library: a second leader of our own
 * term, terms that fall behind our committed prefix. */
static bool append_is_hostile(struct replica *r,
                              const struct peer_message *m,
                              const struct log_entry *entries,
                              uint32_t count)
{
    if (raft_state(&r->raft) == RAFT_LEADER && m->term == raft_current_term(&r->raft))
        return true;
    return (count > 0 && entries[0].term < m->append.prev_term) ||
           changes_members(entries, count);
}

/* The leader of an old term only needs to hear of ours.  The library's own answer names an
 * index that it never set; this one is stale to everybody. */
static void answer_old_term(struct replica *r, uint64_t to)
{
    outbox_say(r,
               to,
               &(struct peer_message){.kind = PEER_APPEND_ENTRIES_RESULT,
                                      .term = raft_current_term(&r->raft),
                                      .append_result = {.rejected = UINT64_MAX}});
}

static void receive_append(struct replica *r, uint64_t from, struct peer_message *m)
{
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES};
    struct raft_entry *entries = NULL;
    struct blob **blobs = NULL;
    const struct log_entry *given;
    uint32_t skipped;
    uint32_t count;
    void *batch;

    if (m->term < raft_current_term(&r->raft)) {
        answer_old_term(r, from);
        return;
    }
    drop_committed_prefix(r, m, &skipped);
    given = m->append.entries.entries + skipped;
    count = m->append.entries.count - skipped;
    if (append_is_hostile(r, m, given, count)) {
        r->counters.messages_malformed++;
        return;
    }
    if (count > 0) {
        batch = raft_malloc(1); /* the library wants one; it only frees or returns it */
        ASSERT(batch != NULL);
        entries = mem_zalloc(count * sizeof(*entries));
        blobs = mem_alloc(count * sizeof(*blobs));
        for (uint32_t i = 0; i < count; i++) {
            struct bytes payload = blob_view(given[i].payload);

            blobs[i] = given[i].payload;
            entries[i].term = given[i].term;
            entries[i].type = given[i].kind == ENTRY_NOOP ? RAFT_BARRIER : RAFT_COMMAND;
            entries[i].buf.base = (void *)(uintptr_t)payload.data;
            entries[i].buf.len = payload.size;
            entries[i].batch = batch;
        }
    }
    message.append_entries.term = m->term;
    message.append_entries.prev_log_index = m->append.prev_index;
    message.append_entries.prev_log_term = m->append.prev_term;
    message.append_entries.leader_commit = m->append.commit;
    message.append_entries.entries = entries;
    message.append_entries.n_entries = count;
    r->fed = entries;
    r->fed_blobs = blobs;
    r->fed_count = count;
    feed(r, from, &message);
    r->fed = NULL;
    r->fed_blobs = NULL;
    r->fed_count = 0;
    mem_free(entries);
    mem_free(blobs);
}

/* B6: a late rejection of what the peer has acknowledged since would take next_index below
 * match_index. */
static bool
rejection_is_stale(struct replica *r, uint64_t from, const struct peer_message *m)
{
    uint64_t index = m->append_result.last_index + 1;
    raft_index match = 0;

#ifdef MUTANT_GUARD_B6
    return false;
#endif
    if (m->append_result.rejected == 0 || raft_state(&r->raft) != RAFT_LEADER ||
        m->term != raft_current_term(&r->raft))
        return false;
    if (m->append_result.rejected < index)
        index = m->append_result.rejected;
    return raft_match_index(&r->raft, from, &match) == 0 && index <= match;
}

static void feed_append_result(struct replica *r,
                               uint64_t from,
                               const struct peer_message *m,
                               uint64_t rejected)
{
    struct raft_message message = {.type = RAFT_APPEND_ENTRIES_RESULT};

    message.append_entries_result.version = APPEND_RESULT_VERSION;
    message.append_entries_result.features = FEATURE_CAPACITY;
    message.append_entries_result.term = m->term;
    message.append_entries_result.rejected = rejected;
    message.append_entries_result.last_log_index = m->append_result.last_index;
    message.append_entries_result.capacity = UINT16_MAX;
    feed(r, from, &message);
}

/* The library may wait until a peer has the snapshot that it wanted to be sent last, or refuses
 * just that index.  What was sent may be an older one: the transfer was under way.  When that is
 * over the peer refuses later indexes, which the library takes for stale; so it hears in its own
 * words, too, that the peer lacks the snapshot.  If it waits for nothing of the kind it has
 * acted on the refusal itself, and this one tells it nothing new. */
static bool
lacks_wanted_snapshot(struct replica *r, uint64_t from, const struct peer_message *m)
{
    const struct peer *peer = replica_peer(r, from);

    return peer != NULL && !peer->sending_snapshot &&
           m->append_result.rejected > peer->snapshot_index &&
           m->append_result.last_index < peer->snapshot_index;
}

static void
receive_append_result(struct replica *r, uint64_t from, struct peer_message *m)
{
    if (rejection_is_stale(r, from, m)) {
        r->counters.guard_stale_reject++;
        return;
    }
    feed_append_result(r, from, m, m->append_result.rejected);
    if (lacks_wanted_snapshot(r, from, m))
        feed_append_result(r, from, m, replica_peer(r, from)->snapshot_index);
}

void inbox_vote(struct replica *r,
                uint64_t from,
                uint64_t term,
                const struct peer_vote *vote)
{
    struct raft_message message = {.type = RAFT_REQUEST_VOTE};

    message.request_vote.version = VOTE_VERSION;
    message.request_vote.term = term;
    message.request_vote.candidate_id = from;
    message.request_vote.last_log_index = vote->last_index;
    message.request_vote.last_log_term = vote->last_term;
    message.request_vote.disrupt_leader = vote->disrupt || election_belief_is_void(r);
    message.request_vote.pre_vote = vote->pre_vote;
    feed(r, from, &message);
}

static void receive_vote(struct replica *r, uint64_t from, struct peer_message *m)
{
    struct election *e = &r->election;

    if (m->vote.pre_vote &&
        (election_holds(r) || election_goes_first(r, from, &m->vote)))
        return;
    if (m->vote.pre_vote && replica_believed(r) != 0) {
        e->refused_by_belief = from;
        e->refused_ms = r->now_ms;
        e->refused_term = m->term;
        e->refused = m->vote;
    }
    inbox_vote(r, from, m->term, &m->vote);
    if (m->vote.pre_vote)
        election_denied(r, &m->vote);
}

static void
receive_vote_result(struct replica *r, uint64_t from, struct peer_message *m)
{
    struct raft_message message = {.type = RAFT_REQUEST_VOTE_RESULT};

#ifndef MUTANT_GUARD_B9
    /* B9: outside of a candidacy the library reads a flag out of a pointer. */
    if (raft_state(&r->raft) != RAFT_CANDIDATE) {
        r->counters.guard_vote_result++;
        return;
    }
#endif
    /* Nobody grants what was not asked for: pre-votes are for the next term, votes for ours. */
    if (m->vote_result.granted &&
        m->term > raft_current_term(&r->raft) + m->vote_result.pre_vote) {
        r->counters.messages_malformed++;
        return;
    }
    message.request_vote_result.version = VOTE_RESULT_VERSION;
    message.request_vote_result.features = FEATURE_CAPACITY;
    message.request_vote_result.term = m->term;
    message.request_vote_result.vote_granted = m->vote_result.granted;
    message.request_vote_result.pre_vote = m->vote_result.pre_vote;
    message.request_vote_result.capacity = UINT16_MAX;
    feed(r, from, &message);
}

static void
receive_timeout_now(struct replica *r, uint64_t from, struct peer_message *m)
{
    struct raft_message message = {.type = RAFT_TIMEOUT_NOW};

    message.timeout_now.term = m->term;
    message.timeout_now.last_log_index = m->timeout_now.last_index;
    message.timeout_now.last_log_term = m->timeout_now.last_term;
    feed(r, from, &message);
}

static void
answer_confirm(struct replica *r, uint64_t from, const struct peer_message *m)
{
    outbox_say(r,
               from,
               &(struct peer_message){.kind = PEER_CONFIRMED,
                                      .term = raft_current_term(&r->raft),
                                      .confirm = {.round = m->confirm.round}});
}

static void dispatch(struct replica *r, struct peer *peer, struct peer_message *m)
{
    switch (m->kind) {
    case PEER_APPEND_ENTRIES:
        receive_append(r, peer->id, m);
        break;
    case PEER_APPEND_ENTRIES_RESULT:
        receive_append_result(r, peer->id, m);
        break;
    case PEER_REQUEST_VOTE:
        receive_vote(r, peer->id, m);
        break;
    case PEER_REQUEST_VOTE_RESULT:
        receive_vote_result(r, peer->id, m);
        break;
    case PEER_TIMEOUT_NOW:
        receive_timeout_now(r, peer->id, m);
        break;
    case PEER_RESIGN:
        if (m->term >=
            raft_current_term(&r->raft)) /* not of a reign that is long over */
            election_resigned(r, peer->id);
        break;
    case PEER_CONFIRM:
        answer_confirm(r, peer->id, m);
        break;
    case PEER_CONFIRMED:
        reads_confirmed(r, peer, m->term, m->confirmed.round);
        break;
    }
}

void inbox_receive(struct replica *r, uint64_t from, struct bytes bytes)
{
    struct peer *peer = replica_peer(r, from);
    struct peer_message m;

    if (peer == NULL || peer_message_unpack(&m, bytes, NULL) != 0) {
        r->counters.messages_malformed++;
        return;
    }
    dispatch(r, peer, &m);
    peer_message_finish(&m);
}
