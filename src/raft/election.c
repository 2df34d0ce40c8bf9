/* election.c - what to do when the connection to the leader closes (joint 12).
 *
 * A closed connection is seen in under a millisecond, silence only after the election timeout.
 * But followers that still believe in the leader refuse votes, and two that stand at once split
 * them.  The policy, with its rules numbered as in docs/spec/1-joints.md:
 *
 *   1. A hint is the close of the connection to the believed leader, or its RESIGN.
 *   2. To skip is to move the library's clock to its election timer.  Never while a write is
 *      pending: the library would stay follower and keep its belief.
 *   3. At the hint, skip silently: become a candidate of the pre-vote, throw the requests away.
 *      Now nobody believes, and nobody has asked.  While a write is pending the belief stands
 *      but counts for nothing: who asks for our vote gets it.  Who asked for a pre-vote a
 *      moment before the hint, and was refused for the belief, is answered once more.
 *   4. The first slot is FIRST + rank * STEP later; rank = live voters with a lower id.
 *   5. In a slot: nothing if there is a leader; not before a real vote or candidacy of ours is
 *      on disk, and not within HOLD, and as long as the disk took, after that; else skip and
 *      ask.  The next slot is live * STEP later, until the window is over, or when somebody
 *      with a worse log asks.  As long as we hold for somebody, or for ourselves, nobody else
 *      gets a pre-vote.
 *   6. Who stops leading says RESIGN and starts the policy itself.
 *   7. The lost leader is back, the same incarnation, still leading: stop, unless real votes
 *      were asked for.
 */
#include "raft/internal.h"

#include "base/assert.h"

static void look_at(struct replica *r, uint64_t when_ms)
{
    r->election.slot_ms = when_ms > r->now_ms ? when_ms : r->now_ms + 1;
}

static unsigned rank_of_us(const struct replica *r, unsigned *live)
{
    unsigned rank = 0;

    *live = 1;
    for (unsigned i = 0; i < r->peer_count; i++) {
        if (!r->peers[i].up || r->peers[i].id == r->election.lost)
            continue;
        (*live)++;
        if (r->peers[i].id < r->config.id)
            rank++;
    }
    return rank;
}

static bool write_pending(const struct replica *r)
{
    return r->raft.last_stored < log_memory_last(&r->log);
}

/* We lead, or follow a leader that is connected and has not resigned. */
static bool leader_is_known(struct replica *r)
{
    uint64_t leader = replica_believed(r);
    struct peer *peer;

    if (raft_state(&r->raft) == RAFT_LEADER)
        return true;
    if (raft_state(&r->raft) != RAFT_FOLLOWER || leader == 0)
        return false;
    if (r->election.lost_resigned && leader == r->election.lost)
        return false;
    peer = replica_peer(r, leader);
    return peer != NULL && peer->up;
}

/* Rule 2. */
static void skip(struct replica *r, bool silently)
{
    struct raft_event event = {.type = RAFT_TIMEOUT};
    uint64_t at = raft_timeout(&r->raft);
    int rv;

    if (raft_state(&r->raft) == RAFT_LEADER)
        return;
    if (at > replica_raft_now(r))
        r->skew_ms += at - replica_raft_now(r);
    r->counters.hint_skips++;
    r->election.mute = silently;
    rv = replica_raft_step(r, &event);
    r->election.mute = false;
    if (rv != 0)
        replica_fatal(r, "libraft: timeout: %s", raft_strerror(rv));
    if (raft_state(&r->raft) == RAFT_CANDIDATE)
        r->election.lost_resigned = false; /* the belief is gone for real */
}

static void wait_for_disk(struct replica *r)
{
    r->election.on_durable = true;
    look_at(r, r->election.until_ms + 1);
}

/* Rule 2: true if nothing can be done before the writer's completion. */
static bool wait_for_write(struct replica *r)
{
    if (raft_state(&r->raft) != RAFT_FOLLOWER || !write_pending(r))
        return false;
    wait_for_disk(r);
    return true;
}

bool election_belief_is_void(const struct replica *r)
{
    const struct election *e = &r->election;

    return e->active && e->silent_due && e->lost != 0 &&
           r->installing == INSTALL_NONE && replica_believed(r) == e->lost;
}

/* It asked before we knew what it knew. */
static void answer_refused(struct replica *r)
{
    struct election *e = &r->election;
    uint64_t from = e->refused_by_belief;

    e->refused_by_belief = 0;
    if (from != 0 && from != e->lost &&
        r->now_ms <= e->refused_ms + LIMIT_MASTERS * ELECTION_STEP_MS)
        inbox_vote(r, from, e->refused_term, &e->refused);
}

/* Rule 3.  By the time a write is done we may follow somebody else. */
static void drop_belief(struct replica *r)
{
    struct election *e = &r->election;
    unsigned live;

    if (wait_for_write(r))
        return;
    e->silent_due = false;
    if (raft_state(&r->raft) == RAFT_FOLLOWER && e->lost != 0 &&
        replica_believed(r) == e->lost)
        skip(r, true);
    look_at(r, r->now_ms + ELECTION_FIRST_MS + rank_of_us(r, &live) * ELECTION_STEP_MS);
}

static void begin(struct replica *r, uint64_t lost)
{
    struct election *e = &r->election;

    r->counters.hints++;
    e->active = true;
    e->silent_due = true;
    e->on_durable = false;
    e->lost = lost;
    e->until_ms = r->now_ms + r->config.election_timeout_ms;
    e->stood_ms = 0;
    look_at(r, r->now_ms);
    if (r->installing == INSTALL_NONE)
        drop_belief(r);
}

void election_peer_down(struct replica *r, struct peer *peer)
{
    if (raft_state(&r->raft) != RAFT_FOLLOWER || replica_believed(r) != peer->id)
        return;
    r->election.lost_incarnation = peer->incarnation;
    r->election.lost_resigned = false;
    begin(r, peer->id);
    answer_refused(r);
}

/* Rule 7. */
void election_peer_up(struct replica *r, struct peer *peer, bool leads)
{
    struct election *e = &r->election;
    bool asked = raft_state(&r->raft) == RAFT_CANDIDATE && e->stood_ms != 0;

    if (e->active && e->lost == peer->id && leads && !asked &&
        peer->incarnation == e->lost_incarnation)
        e->active = false;
}

/* Rule 6.  `who` is ourselves or a peer. */
void election_resigned(struct replica *r, uint64_t who)
{
    uint64_t believed = replica_believed(r);

    if (raft_state(&r->raft) != RAFT_FOLLOWER)
        return;
    if (who == r->config.id ? believed != 0 : believed != who)
        return;
    r->election.lost_incarnation = 0; /* no way back by rule 7 */
    r->election.lost_resigned = who != r->config.id;
    begin(r, who == r->config.id ? 0 : who);
}

void election_votes(struct replica *r, uint64_t *stamp)
{
    *stamp = r->now_ms;
    r->election.voting_ms = r->meta_sequence > r->durable_sequence ? r->now_ms : 0;
    r->election.sync_ms = 0;
}

/* What was voted leaves us now; the disk of the other side may be as slow as ours. */
static void vote_is_durable(struct replica *r)
{
    struct election *e = &r->election;

    if (e->granted_ms == e->voting_ms)
        e->granted_ms = r->now_ms;
    if (e->stood_ms == e->voting_ms)
        e->stood_ms = r->now_ms;
    e->sync_ms = r->now_ms - e->voting_ms;
    if (e->sync_ms > r->config.election_timeout_ms / 2)
        e->sync_ms = r->config.election_timeout_ms / 2; /* it hung once, perhaps */
    e->voting_ms = 0;
}

/* Rule 5 (d): the end of the pause after a real vote or candidacy, 0 if it is over. */
static uint64_t hold_until(struct replica *r)
{
    struct election *e = &r->election;
    uint64_t since = e->granted_ms;
    uint64_t until;

    if (raft_state(&r->raft) == RAFT_CANDIDATE && e->stood_ms > since)
        since = e->stood_ms;
    until = since + ELECTION_HOLD_MS + e->sync_ms;
    return since != 0 && until > r->now_ms ? until : 0;
}

/* Above 0: ours is the better log, as voters see it. */
static int compare_log(const struct replica *r, const struct peer_vote *vote)
{
    uint64_t index = r->raft.last_stored;
    uint64_t term = replica_entry_term(r, index);

    if (term != vote->last_term)
        return term > vote->last_term ? 1 : -1;
    return (index > vote->last_index) - (index < vote->last_index);
}

/* Two that ask at the same moment would give their pre-votes to each other, both stand, and
 * both lose. */
bool election_goes_first(struct replica *r,
                         uint64_t other,
                         const struct peer_vote *vote)
{
    const struct election *e = &r->election;

    return raft_state(&r->raft) == RAFT_CANDIDATE && r->config.id < other &&
           e->asked_ms != 0 && r->now_ms < e->asked_ms + ELECTION_HOLD_MS &&
           compare_log(r, vote) >= 0;
}

bool election_holds(struct replica *r)
{
    return r->election.voting_ms != 0 || hold_until(r) != 0;
}

/* Rule 5. */
static void slot(struct replica *r)
{
    unsigned live;
    unsigned rank = rank_of_us(r, &live);
    uint64_t hold;

    if (leader_is_known(r) || r->installing != INSTALL_NONE) {
        look_at(r, r->now_ms + live * ELECTION_STEP_MS);
        return;
    }
    if (r->election.voting_ms != 0) {
        wait_for_disk(r);
        return;
    }
    if (wait_for_write(r))
        return;
    hold = hold_until(r);
    if (hold != 0) {
        /* One after the other: the first one must be heard before the next one stands. */
        look_at(r, hold + rank * (ELECTION_STEP_MS + r->election.sync_ms));
        return;
    }
    skip(r, false);
    look_at(r, r->now_ms + live * ELECTION_STEP_MS);
}

/* Its log is worse than ours, so we have denied it: our turn has come. */
void election_denied(struct replica *r, const struct peer_vote *vote)
{
    if (r->election.active && !r->election.silent_due &&
        raft_state(&r->raft) == RAFT_CANDIDATE && compare_log(r, vote) > 0)
        slot(r);
}

static void look(struct replica *r)
{
    if (r->now_ms > r->election.until_ms)
        r->election.active = false; /* the normal timers take over */
    else if (r->election.silent_due)
        drop_belief(r);
    else
        slot(r);
}

void election_time(struct replica *r)
{
    if (r->election.active && r->now_ms >= r->election.slot_ms)
        look(r);
}

void election_durable(struct replica *r)
{
    if (r->election.voting_ms != 0 && r->meta_sequence <= r->durable_sequence)
        vote_is_durable(r);
    if (!r->election.active || !r->election.on_durable || write_pending(r) ||
        r->election.voting_ms != 0)
        return;
    r->election.on_durable = false;
    look(r);
}

uint64_t election_deadline(const struct replica *r)
{
    return r->election.active ? r->election.slot_ms : UINT64_MAX;
}
