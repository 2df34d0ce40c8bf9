/* replica_sim.c - the replica alone under faults: 3 or 5 of them, a rolling hash as the machine.
 *
 *     replica_sim [--seeds N] [--first SEED] [--trace 1|2] [--seconds S]
 *     replica_sim --failover [--seeds N]
 *         no faults but N kills of the leader under constant load, on quick and slow disks: how
 *         long nobody leads, and whether that is more than it may be
 *
 * Each seed is 60 virtual seconds: faults, then everything heals and must make progress.
 * Faults strike by state (a leader just elected, an entry just appended, a snapshot begun) as
 * well as by time.  Checked at every step:
 *
 *   - one leader in a term; a leader has every entry committed in earlier terms
 *   - equal index, equal machine; a restored snapshot gives the same hash
 *   - a committed entry is at that moment durable on a majority
 *   - a confirmed read sees everything that was committed anywhere when it was asked
 *   - commit and applied never go back while a process lives
 *   - at the end: a leader, new commits, everybody at the same index
 */
#include "network.h"
#include "raft/replica.h"
#include "store.h"
#include "world.h"

#include "base/assert.h"
#include "base/mem.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MASTERS_MAX  5
#define INDEX_MAX    400000
#define TERMS_MAX    100000
#define SNAPSHOT_PAD 3000 /* makes a snapshot several chunks */

/* Transfers break until then: the library may take LIMIT_SNAPSHOT_STALL_MS to try again. */
#define TRANSFERS_FAIL_US (20 * SECOND)

struct machine_state {
    uint64_t index;
    uint64_t hash;
    /* snapshot walk */
    uint64_t walk_index, walk_hash;
    size_t walk_at;
    bool walking;
    struct buffer restoring;
};

struct sim;

struct master {
    struct sim *sim;
    unsigned number; /* 0 based */
    bool alive;
    uint64_t incarnation;
    struct replica *replica;
    struct sim_store store;
    struct machine_state machine;
    struct connection *links[MASTERS_MAX];
    uint64_t timer; /* the newest one counts */
    bool continuing;
    uint64_t commit, applied;
    uint64_t transfer_generation[MASTERS_MAX];
};

struct options {
    bool lossy, crash, pause, snapshots, reads, transfers, false_hints;
};

struct stats {
    uint64_t elections, commits, crashes, pauses, cuts, reads, snapshots_sent, faults,
        submits;
    struct replica_counters replica;
};

struct sim {
    struct world world;
    struct network net;
    unsigned masters;
    struct options options;
    struct master master[MASTERS_MAX];
    bool healing; /* no more faults */
    uint64_t next_value;
    uint64_t highest_committed; /* by anybody */
    uint64_t leading_us;        /* when somebody led last, its own entry committed */
    uint64_t *terms;            /* term of each committed index, 0 unknown */
    uint64_t *hashes;           /* machine hash after each index */
    uint64_t *commit_terms;     /* term of the leader that committed it first */
    uint8_t *leaders;           /* of each term, + 1 */
    struct stats stats;
};

/* ---- the machine ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9E3779B97F4A7C15ull;
    return h ^ h >> 29;
}

static void check_applied(
    struct sim *s, unsigned number, uint64_t index, uint64_t term, uint64_t hash)
{
    if (index >= INDEX_MAX) {
        world_fail(&s->world, "the simulation is too long for its tables");
        return;
    }
    if (s->hashes[index] == 0) {
        s->hashes[index] = hash;
        s->terms[index] = term;
    } else if (s->hashes[index] != hash || s->terms[index] != term) {
        world_fail(&s->world,
                   "master %u DIVERGED at index %llu: term %llu, others %llu",
                   number + 1,
                   (unsigned long long)index,
                   (unsigned long long)term,
                   (unsigned long long)s->terms[index]);
    }
}

static size_t machine_apply(void *data,
                            uint64_t index,
                            uint64_t term,
                            enum entry_kind kind,
                            struct bytes payload,
                            bool leading)
{
    struct master *m = data;
    struct machine_state *state = &m->machine;

    (void)leading;
    if (index != state->index + 1)
        world_fail(&m->sim->world, "master %u applies out of order", m->number + 1);
    state->index = index;
    state->hash = mix(mix(state->hash, term), kind);
    for (size_t i = 0; i < payload.size; i++)
        state->hash = mix(state->hash, payload.data[i]);
    check_applied(m->sim, m->number, index, term, state->hash);
    return 1;
}

static void machine_snapshot_begin(void *data)
{
    struct machine_state *state = &((struct master *)data)->machine;

    ASSERT(!state->walking);
    state->walking = true;
    state->walk_index = state->index;
    state->walk_hash = state->hash;
    state->walk_at = 0;
}

static bool machine_snapshot_next(void *data, struct buffer *out, size_t budget)
{
    struct machine_state *state = &((struct master *)data)->machine;
    size_t n = SNAPSHOT_PAD - state->walk_at;

    if (state->walk_at == 0) {
        buffer_append_u64(out, state->walk_index);
        buffer_append_u64(out, state->walk_hash);
    }
    if (n > budget)
        n = budget;
    memset(buffer_reserve(out, n), 'x', n);
    out->size += n;
    state->walk_at += n;
    return state->walk_at < SNAPSHOT_PAD;
}

static void machine_snapshot_end(void *data)
{
    ((struct master *)data)->machine.walking = false;
}

static void machine_restore_begin(void *data)
{
    buffer_clear(&((struct master *)data)->machine.restoring);
}

static int machine_restore_feed(void *data, struct bytes piece, struct error *err)
{
    (void)err;
    buffer_append(&((struct master *)data)->machine.restoring, piece.data, piece.size);
    return 0;
}

static int
machine_restore_end(void *data, uint64_t index, uint64_t term, struct error *err)
{
    struct master *m = data;
    struct buffer *b = &m->machine.restoring;

    if (b->size != 16 + SNAPSHOT_PAD || load_u64(b->data) != index)
        return error_set(err, ERROR_CORRUPT, "snapshot bytes are wrong");
    m->machine.index = index;
    m->machine.hash = load_u64(b->data + 8);
    check_applied(m->sim, m->number, index, term, m->machine.hash);
    return 0;
}

/* ---- masters ---- */

static void step(struct master *m, struct replica_event *event);
static void crash(struct master *m, uint64_t down_us);

static uint64_t now_ms(const struct sim *s)
{
    return s->world.now_us / MS + CLOCK_BASE_MS;
}

static bool paused(const struct master *m)
{
    return m->sim->net.paused_until_us[m->number] > m->sim->world.now_us;
}

static void on_timer(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct master *m = context;

    if (!m->alive || m->incarnation != a || m->timer != b)
        return;
    if (paused(m)) {
        world_at(w, m->sim->net.paused_until_us[m->number], on_timer, context, a, b);
        return;
    }
    step(m, &(struct replica_event){.kind = REPLICA_TIME});
}

static void on_continue(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct master *m = context;

    if (!m->alive || m->incarnation != a)
        return;
    if (paused(m)) {
        world_at(w, m->sim->net.paused_until_us[m->number], on_continue, context, a, b);
        return;
    }
    m->continuing = false;
    step(m, &(struct replica_event){.kind = REPLICA_CONTINUE});
}

static void store_durable(void *user, uint64_t sequence)
{
    step(
        user,
        &(struct replica_event){.kind = REPLICA_DURABLE, .durable.sequence = sequence});
}

static void store_read(void *user, uint64_t peer, struct log_entries *entries)
{
    step(user,
         &(struct replica_event){.kind = REPLICA_ENTRIES_READ,
                                 .entries_read = {.peer = peer, .entries = entries}});
}

static void store_written(void *user)
{
    step(user, &(struct replica_event){.kind = REPLICA_SNAPSHOT_WRITTEN});
}

static void store_saved(void *user)
{
    step(user, &(struct replica_event){.kind = REPLICA_SNAPSHOT_SAVED});
}

static void store_promoted(void *user)
{
    step(user, &(struct replica_event){.kind = REPLICA_SNAPSHOT_PROMOTED});
}

static void store_loaded(void *user, struct bytes bytes, bool last)
{
    step(user,
         &(struct replica_event){.kind = REPLICA_SNAPSHOT_DATA,
                                 .snapshot_data = {.bytes = bytes, .last = last}});
}

static const struct sim_store_calls STORE_CALLS = {
    .durable = store_durable,
    .read = store_read,
    .snapshot_written = store_written,
    .snapshot_saved = store_saved,
    .snapshot_promoted = store_promoted,
    .snapshot_loaded = store_loaded,
};

/* ---- faults by state ---- */

static void isolate(struct sim *s, unsigned number, unsigned how)
{
    s->stats.cuts++;
    s->stats.faults++;
    world_note(&s->world, 1, "isolate", number + 1, how, 0);
    for (unsigned i = 0; i < s->masters; i++) {
        if (i == number)
            continue;
        if (how != 1)
            network_cut(&s->net, number, i, true);
        if (how != 2)
            network_cut(&s->net, i, number, true);
    }
}

static void isolate_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct master *m = context;

    (void)w;
    if (m->alive && m->incarnation == a && !m->sim->healing)
        isolate(m->sim, m->number, (unsigned)b);
}

static void crash_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct master *m = context;

    if (m->alive && m->incarnation == a && !m->sim->healing && m->sim->options.crash)
        crash(m, pick(w, 1 * MS, b));
}

static void just_elected(struct master *m)
{
    struct sim *s = m->sim;
    struct world *w = &s->world;

    s->stats.elections++;
    if (s->healing)
        return;
    if (chance(w, 25))
        world_in(
            w, pick(w, 0, 150 * MS), isolate_later, m, m->incarnation, pick(w, 0, 2));
    else if (chance(w, 10))
        world_in(w, pick(w, 0, 20 * MS), crash_later, m, m->incarnation, 3 * SECOND);
}

static void just_appended(struct master *m)
{
    struct sim *s = m->sim;
    struct world *w = &s->world;

    if (s->healing)
        return;
    if (replica_role(m->replica) == REPLICA_LEADER) {
        if (chance(w, 3))
            isolate(s, m->number, (unsigned)pick(w, 0, 2));
        else if (chance(w, 2))
            world_in(
                w, pick(w, 0, 30 * MS), crash_later, m, m->incarnation, 3 * SECOND);
    } else if (chance(w, 1)) {
        world_in(w, pick(w, 0, 5 * MS), crash_later, m, m->incarnation, 3 * SECOND);
    }
}

/* A voter dies while its vote is on the way to the disk, and the candidate is cut off: what was
 * said before it was durable makes a second leader. */
static void just_voted(struct master *m, uint64_t vote)
{
    struct sim *s = m->sim;
    struct world *w = &s->world;
    struct master *candidate = &s->master[vote - 1];

    if (s->healing || vote == m->number + 1 || !chance(w, 8))
        return;
    world_in(w, pick(w, 0, 1 * MS), crash_later, m, m->incarnation, 20 * MS);
    world_in(w,
             pick(w, 1 * MS, 20 * MS),
             isolate_later,
             candidate,
             candidate->incarnation,
             0);
}

/* ---- checks ---- */

static void check_new_leader(struct master *m, uint64_t term)
{
    struct sim *s = m->sim;

    if (term >= TERMS_MAX) {
        world_fail(&s->world, "terms run away: %llu", (unsigned long long)term);
        return;
    }
    if (s->leaders[term] != 0 && s->leaders[term] != m->number + 1)
        world_fail(&s->world,
                   "TWO LEADERS in term %llu: masters %u and %u",
                   (unsigned long long)term,
                   s->leaders[term],
                   m->number + 1);
    s->leaders[term] = (uint8_t)(m->number + 1);
    for (uint64_t i = 1; i <= s->highest_committed; i++)
        if (i > replica_snapshot_index(m->replica) && s->terms[i] != 0 &&
            s->commit_terms[i] < term &&
            replica_entry_term(m->replica, i) != s->terms[i]) {
            world_fail(&s->world,
                       "INCOMPLETE LEADER %u of term %llu lacks committed entry %llu",
                       m->number + 1,
                       (unsigned long long)term,
                       (unsigned long long)i);
            return;
        }
}

static void check_commit(struct master *m)
{
    struct sim *s = m->sim;
    uint64_t commit = replica_commit_index(m->replica);
    uint64_t applied = replica_applied_index(m->replica);

    if (commit < m->commit || applied < m->applied)
        world_fail(
            &s->world, "master %u: commit or applied index goes back", m->number + 1);
    if (replica_role(m->replica) == REPLICA_LEADER)
        for (uint64_t i = m->commit + 1; i <= commit && i < INDEX_MAX; i++) {
            uint64_t term = replica_entry_term(m->replica, i);
            unsigned on = 0;

            for (unsigned j = 0; j < s->masters; j++) {
                uint64_t held = sim_store_holds(&s->master[j].store, i);

                on += held == UINT64_MAX || (held != 0 && held == term);
            }
            if (on <= s->masters / 2)
                world_fail(&s->world,
                           "leader %u commits %llu while %u of %u disks hold it",
                           m->number + 1,
                           (unsigned long long)i,
                           on,
                           s->masters);
            if (s->commit_terms[i] == 0)
                s->commit_terms[i] = replica_term(m->replica);
            s->stats.commits++;
        }
    if (replica_role(m->replica) == REPLICA_LEADER && commit > s->highest_committed)
        s->highest_committed = commit;
    m->commit = commit;
    m->applied = applied;
}

/* ---- actions ---- */

struct transfer {
    struct sim *sim;
    unsigned from, to;
    uint64_t from_incarnation, to_incarnation;
    struct sim_snapshot snapshot;
};

static void transfer_done(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct transfer *t = context;
    struct sim *s = t->sim;
    struct master *from = &s->master[t->from];
    struct master *to = &s->master[t->to];
    bool whole = to->alive && to->incarnation == t->to_incarnation && from->alive &&
                 from->incarnation == t->from_incarnation &&
                 network_reachable(&s->net, t->from, t->to);

    (void)b;
    if (a != 0)
        whole = false; /* its own connection broke, the other one did not */
    if (whole && paused(to)) {
        world_at(w, s->net.paused_until_us[t->to], transfer_done, t, 0, 0);
        return;
    }
    if (whole) {
        struct snapshot_meta meta = {0};

        sim_store_stage(&to->store, &t->snapshot);
        snapshot_meta_copy(&meta, &t->snapshot.meta);
        step(to,
             &(struct replica_event){
                 .kind = REPLICA_SNAPSHOT_RECEIVED,
                 .snapshot_received = {.from = t->from + 1, .meta = &meta}});
        snapshot_meta_finish(&meta);
    }
    if (from->alive && from->incarnation == t->from_incarnation && !s->world.failed)
        step(from,
             &(struct replica_event){.kind = REPLICA_SNAPSHOT_SENT,
                                     .snapshot_sent.peer = t->to + 1});
    sim_snapshot_finish(&t->snapshot);
    mem_free(t);
}

static void start_transfer(struct master *m, uint64_t peer)
{
    struct sim *s = m->sim;
    struct transfer *t = mem_zalloc(sizeof(*t));

    s->stats.snapshots_sent++;
    t->sim = s;
    t->from = m->number;
    t->to = (unsigned)peer - 1;
    t->from_incarnation = m->incarnation;
    t->to_incarnation = s->master[t->to].incarnation;
    sim_snapshot_copy(&t->snapshot, &m->store.current);
    world_in(&s->world,
             pick(&s->world, 5 * MS, 800 * MS),
             transfer_done,
             t,
             s->world.now_us < TRANSFERS_FAIL_US && chance(&s->world, 30),
             0);
}

static void read_answered(struct master *m, uint64_t ticket, bool ready)
{
    struct sim *s = m->sim;

    if (!ready)
        return;
    s->stats.reads++;
    if (replica_applied_index(m->replica) < ticket)
        world_fail(&s->world,
                   "STALE READ at master %u: sees %llu, %llu was committed before it "
                   "was asked",
                   m->number + 1,
                   (unsigned long long)replica_applied_index(m->replica),
                   (unsigned long long)ticket);
}

static void send_to_peer(struct master *m, uint64_t peer, struct bytes bytes)
{
    struct connection *c = m->links[peer - 1];

    if (c != NULL)
        network_send(c, c->user[0] == m ? 0 : 1, bytes);
}

static void carry_out(struct master *m, struct replica_action *a)
{
    struct sim *s = m->sim;

    switch (a->kind) {
    case REPLICA_SEND:
        send_to_peer(m, a->send.peer, buffer_view(&a->send.bytes));
        break;
    case REPLICA_PERSIST:
        if (a->op->kind == LOG_APPEND)
            just_appended(m);
        else if (a->op->kind == LOG_META && a->op->meta.vote != 0)
            just_voted(m, a->op->meta.vote);
        sim_store_submit(&m->store, a->op);
        a->op = NULL;
        break;
    case REPLICA_READ_ENTRIES:
        sim_store_read(&m->store,
                       a->read_entries.peer,
                       a->read_entries.from,
                       a->read_entries.count,
                       a->read_entries.bytes);
        break;
    case REPLICA_SNAPSHOT_BEGIN:
        if (!s->healing && chance(&s->world, 5))
            world_in(&s->world,
                     pick(&s->world, 0, 30 * MS),
                     crash_later,
                     m,
                     m->incarnation,
                     SECOND);
        sim_store_snapshot_begin(&m->store, &a->snapshot_begin);
        break;
    case REPLICA_SNAPSHOT_CHUNK:
        sim_store_snapshot_chunk(&m->store, a->snapshot_chunk);
        break;
    case REPLICA_SNAPSHOT_COMMIT:
        sim_store_snapshot_commit(&m->store);
        break;
    case REPLICA_SNAPSHOT_ABANDON:
        sim_store_snapshot_abandon(&m->store);
        break;
    case REPLICA_SNAPSHOT_SEND:
        start_transfer(m, a->snapshot_send.peer);
        break;
    case REPLICA_SNAPSHOT_PROMOTE:
        if (!s->healing && chance(&s->world, 20))
            world_in(&s->world,
                     pick(&s->world, 0, 20 * MS),
                     crash_later,
                     m,
                     m->incarnation,
                     SECOND);
        sim_store_promote(&m->store);
        break;
    case REPLICA_SNAPSHOT_LOAD:
        sim_store_load(&m->store, 1000);
        break;
    case REPLICA_ROLE_CHANGED:
        world_note(&s->world,
                   1,
                   a->role_changed.role == REPLICA_LEADER      ? "leader"
                   : a->role_changed.role == REPLICA_CANDIDATE ? "candidate"
                                                               : "follower of",
                   m->number + 1,
                   a->role_changed.term,
                   a->role_changed.leader);
        if (a->role_changed.role == REPLICA_LEADER) {
            check_new_leader(m, a->role_changed.term);
            just_elected(m);
        }
        break;
    case REPLICA_LEADING:
        world_note(&s->world, 1, "leading", m->number + 1, a->leading.term, 0);
        s->leading_us = s->world.now_us;
        break;
    case REPLICA_READ_READY:
    case REPLICA_READ_FAILED:
        read_answered(m, a->read.ticket, a->kind == REPLICA_READ_READY);
        break;
    case REPLICA_FATAL:
        world_fail(&s->world, "master %u stops: %s", m->number + 1, a->fatal.text);
        break;
    }
}

static uint64_t step_index(struct master *m, struct replica_event *event)
{
    struct sim *s = m->sim;
    struct replica_actions actions = {0};
    uint64_t submitted;

    if (s->world.failed)
        return 0;
    event->now_ms = now_ms(s);
    replica_step(m->replica, event, &actions);
    for (size_t i = 0; i < actions.count && m->alive; i++)
        carry_out(m, &actions.items[i]);
    check_commit(m);
    submitted = actions.submitted;
    if (actions.again && !m->continuing) {
        m->continuing = true;
        world_in(&s->world, 20, on_continue, m, m->incarnation, 0);
    }
    world_at(&s->world,
             clock_us(actions.deadline_ms),
             on_timer,
             m,
             m->incarnation,
             ++m->timer);
    replica_actions_finish(&actions);
    return submitted;
}

static void step(struct master *m, struct replica_event *event)
{
    step_index(m, event);
}

/* ---- links ---- */

static void link_bytes(struct connection *c, int end, struct bytes bytes)
{
    struct master *to = c->user[end];
    struct master *from = c->user[1 - end];

    step(
        to,
        &(struct replica_event){.kind = REPLICA_MESSAGE,
                                .message = {.from = from->number + 1, .bytes = bytes}});
}

static void link_closed(struct connection *c, int end)
{
    struct master *m = c->user[end];
    struct master *other = c->user[1 - end];

    if (m->links[other->number] != c)
        return;
    m->links[other->number] = NULL;
    step(m,
         &(struct replica_event){.kind = REPLICA_PEER_DOWN,
                                 .peer_down.peer = other->number + 1});
}

static void say_up(struct master *m, struct master *other)
{
    step(m,
         &(struct replica_event){
             .kind = REPLICA_PEER_UP,
             .peer_up = {.peer = other->number + 1,
                         .incarnation = other->incarnation,
                         .leads = replica_role(other->replica) == REPLICA_LEADER}});
}

/* Try to connect every pair that is not; the shell does the same with a back-off. */
static void reconnect(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim *s = context;

    for (unsigned i = 0; i < s->masters; i++)
        for (unsigned j = i + 1; j < s->masters; j++) {
            struct master *x = &s->master[i];
            struct master *y = &s->master[j];
            struct connection *c;

            if (!network_reachable(&s->net, i, j) || x->links[j] != NULL ||
                y->links[i] != NULL || paused(x) || paused(y))
                continue;
            c = network_connect(&s->net, i, j, s->options.lossy);
            c->user[0] = x;
            c->user[1] = y;
            x->links[j] = c;
            y->links[i] = c;
            say_up(x, y);
            if (!w->failed)
                say_up(y, x);
        }
    world_in(w, pick(w, 1 * MS, 60 * MS), reconnect, s, a, b);
}

/* ---- life of a master ---- */

static void start(struct master *m)
{
    struct sim *s = m->sim;
    struct replica_config config;
    struct machine machine = {
        .data = m,
        .apply = machine_apply,
        .snapshot_begin = machine_snapshot_begin,
        .snapshot_next = machine_snapshot_next,
        .snapshot_end = machine_snapshot_end,
        .restore_begin = machine_restore_begin,
        .restore_feed = machine_restore_feed,
        .restore_end = machine_restore_end,
    };
    struct log_entries log = sim_store_log(&m->store);

    replica_config_init(&config);
    config.id = m->number + 1;
    for (unsigned i = 0; i < s->masters; i++)
        config.voters[i] = i + 1;
    config.voter_count = s->masters;
    config.entropy = rng_next(&s->world.rng);
    if (!s->healing)
        config.apply_budget = 40;
    if (s->options.snapshots) {
        config.snapshot_bytes = pick(&s->world, 500, 6000);
        config.trailing_entries = (unsigned)pick(&s->world, 0, 40);
        config.cache_bytes = pick(&s->world, 0, 4000);
        config.snapshot_chunk_bytes = 700;
    }
    m->alive = true;
    m->continuing = false;
    m->commit = m->applied = 0;
    s->net.alive[m->number] = true;
    buffer_finish(&m->machine.restoring);
    memset(&m->machine, 0, sizeof(m->machine));
    if (m->store.current.meta.index > 0) {
        struct snapshot_meta *meta = &m->store.current.meta;

        machine_restore_begin(m);
        machine_restore_feed(m, buffer_view(&m->store.current.bytes), NULL);
        if (machine_restore_end(m, meta->index, meta->term, NULL) != 0)
            world_fail(
                &s->world, "master %u: snapshot on disk is wrong", m->number + 1);
    }
    m->replica = replica_create(&config, machine);
    step(m,
         &(struct replica_event){.kind = REPLICA_START,
                                 .start = {.term = m->store.term,
                                           .vote = m->store.vote,
                                           .snapshot = &m->store.current.meta,
                                           .entries = &log}});
}

static void restart(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct master *m = context;

    (void)w;
    (void)a;
    (void)b;
    if (!m->alive) {
        world_note(&m->sim->world, 1, "restart", m->number + 1, 0, 0);
        start(m);
    }
}

static void add_counters(struct sim *s, const struct master *m)
{
    const struct replica_counters *c = replica_counters(m->replica);

#define X(name, help) s->stats.replica.name += c->name;
    REPLICA_COUNTERS(X)
#undef X
}

static void destroy_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    (void)w;
    (void)a;
    (void)b;
    replica_destroy(context);
}

/* May be called from inside a step of this master: what is left of its actions is dropped, and
 * the replica is destroyed when the stack has unwound. */
static void crash(struct master *m, uint64_t down_us)
{
    struct sim *s = m->sim;

    if (!m->alive)
        return;
    s->stats.crashes++;
    s->stats.faults++;
    world_note(&s->world, 1, "crash", m->number + 1, down_us / MS, 0);
    m->alive = false;
    m->incarnation++;
    add_counters(s, m);
    network_crash(&s->net, m->number);
    for (unsigned i = 0; i < s->masters; i++)
        m->links[i] = NULL;
    sim_store_crash(&m->store);
    world_in(&s->world, 0, destroy_later, m->replica, 0, 0);
    world_in(&s->world, down_us, restart, m, 0, 0);
}

static void pause_master(struct master *m, uint64_t for_us)
{
    struct sim *s = m->sim;

    s->stats.pauses++;
    s->stats.faults++;
    world_note(&s->world, 1, "pause", m->number + 1, for_us / MS, 0);
    network_pause(&s->net, m->number, s->world.now_us + for_us);
    m->store.paused_until_us = s->net.paused_until_us[m->number];
}

/* ---- workload ---- */

static void submit_one(struct master *m)
{
    struct sim *s = m->sim;
    size_t size = 8 + pick(&s->world, 0, 120);
    struct blob *payload = blob_create(size);

    memset(payload->data, 0, size);
    store_u64(payload->data, ++s->next_value);
    s->stats.submits++;
    if (step_index(m,
                   &(struct replica_event){.kind = REPLICA_SUBMIT,
                                           .submit.payload = payload}) == 0)
        blob_unref(payload);
}

static void client(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim *s = context;

    for (unsigned i = 0; i < s->masters && !w->failed; i++) {
        struct master *m = &s->master[i];

        if (!m->alive || paused(m) || replica_role(m->replica) != REPLICA_LEADER)
            continue;
        for (uint64_t n = pick(w, 1, 3); n > 0 && m->alive && !w->failed; n--)
            submit_one(m);
        if (m->alive && !w->failed && s->options.reads && chance(w, 30))
            step(m,
                 &(struct replica_event){.kind = REPLICA_READ,
                                         .read.ticket = s->highest_committed});
        if (m->alive && !w->failed && !s->healing && s->options.transfers &&
            chance(w, 2))
            step(m, &(struct replica_event){.kind = REPLICA_TRANSFER});
    }
    world_in(w, pick(w, 5 * MS, 200 * MS), client, s, a, b);
}

/* ---- faults by time ---- */

static void false_hint(struct sim *s, unsigned a)
{
    s->stats.faults++;
    for (unsigned i = 0; i < s->masters; i++)
        if (s->master[a].links[i] != NULL && chance(&s->world, 70))
            network_close(s->master[a].links[i]);
}

static void nemesis(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim *s = context;
    unsigned x = (unsigned)pick(w, 0, s->masters - 1);
    unsigned y = (unsigned)pick(w, 0, s->masters - 1);
    struct master *m = &s->master[x];

    if (s->healing)
        return;
    if (chance(w, 60)) {
        if (x != y) {
            network_cut(&s->net, x, y, false);
            if (chance(w, 60))
                network_cut(&s->net, y, x, false);
        }
    } else {
        switch (pick(w, 0, 8)) {
        case 0:
        case 1:
            if (x == y)
                break;
            s->stats.cuts++;
            s->stats.faults++;
            network_cut(&s->net, x, y, true);
            if (chance(w, 60))
                network_cut(&s->net, y, x, true);
            break;
        case 2:
            isolate(s, x, (unsigned)pick(w, 0, 2));
            break;
        case 3:
            memset(s->net.cut, 0, sizeof(s->net.cut));
            for (unsigned i = 0; i < s->masters; i++)
                for (unsigned j = 0; j < s->masters; j++)
                    network_cut(&s->net, i, j, false);
            break;
        case 4:
            m->store.latency_us = pick(w, 100, 100 * MS);
            break;
        case 5:
            if (s->options.crash)
                crash(m, pick(w, 1 * MS, 4 * SECOND));
            break;
        case 6:
            if (s->options.pause && m->alive)
                pause_master(m, pick(w, 1 * MS, 4 * SECOND));
            break;
        case 7:
            if (x != y)
                s->net.delay_us[x][y] = pick(w, 100, 100 * MS);
            break;
        case 8:
            if (s->options.false_hints && m->alive)
                false_hint(s, x);
            else if (s->options.crash && chance(w, 20))
                for (unsigned i = 0; i < s->masters; i++)
                    crash(&s->master[i], pick(w, 1 * MS, 2 * SECOND));
            break;
        }
    }
    world_in(w, pick(w, 20 * MS, 900 * MS), nemesis, s, a, b);
}

/* ---- a seed ---- */

static void choose_options(struct sim *s)
{
    s->masters = chance(&s->world, 60) ? 3 : chance(&s->world, 80) ? 5 : 1;
    s->options.lossy = chance(&s->world, 25);
    s->options.crash = chance(&s->world, 80);
    s->options.pause = chance(&s->world, 60);
    s->options.snapshots = chance(&s->world, 60);
    s->options.reads = chance(&s->world, 70);
    s->options.transfers = chance(&s->world, 40);
    s->options.false_hints = chance(&s->world, 60);
}

/* `plain`: so many masters and no faults; 0: as the seed says. */
static void setup(struct sim *s, uint64_t seed, int trace, unsigned plain)
{
    struct blob *configuration;
    uint64_t voters[MASTERS_MAX];

    world_init(&s->world, seed, trace);
    s->masters = plain;
    s->healing = plain != 0;
    if (plain == 0)
        choose_options(s);
    s->terms = mem_zalloc(INDEX_MAX * sizeof(*s->terms));
    s->hashes = mem_zalloc(INDEX_MAX * sizeof(*s->hashes));
    s->commit_terms = mem_zalloc(INDEX_MAX * sizeof(*s->commit_terms));
    s->leaders = mem_zalloc(TERMS_MAX);
    network_init(&s->net,
                 &s->world,
                 s->masters,
                 (struct network_calls){.bytes = link_bytes, .closed = link_closed});
    s->net.loss_percent = 5;
    s->net.repeat_percent = 8;
    for (unsigned i = 0; i < s->masters; i++)
        voters[i] = i + 1;
    configuration = replica_founding_configuration(voters, s->masters);
    for (unsigned i = 0; i < s->masters; i++) {
        struct master *m = &s->master[i];

        m->sim = s;
        m->number = i;
        m->incarnation = 1;
        sim_store_init(&m->store, &s->world, STORE_CALLS, m);
        sim_store_found(&m->store, configuration);
    }
    blob_unref(configuration);
    for (unsigned i = 0; i < s->masters; i++)
        start(&s->master[i]);
    world_in(&s->world, 1 * MS, reconnect, s, 0, 0);
    if (plain != 0)
        return;
    world_in(&s->world, 300 * MS, nemesis, s, 0, 0);
    world_in(&s->world, 100 * MS, client, s, 0, 0);
}

static void heal(struct sim *s)
{
    s->healing = true;
    for (unsigned i = 0; i < s->masters; i++) {
        if (s->master[i].store.latency_us > 20 * MS)
            s->master[i].store.latency_us = 20 * MS;
        for (unsigned j = 0; j < s->masters; j++) {
            network_cut(&s->net, i, j, false);
            if (s->net.delay_us[i][j] > 20 * MS)
                s->net.delay_us[i][j] = 20 * MS;
        }
    }
}

static void check_end(struct sim *s, uint64_t commits_before)
{
    uint64_t highest = 0;

    if (s->world.failed)
        return;
    if (s->stats.commits <= commits_before)
        world_fail(&s->world, "STUCK: nothing commits although everything is healed");
    for (unsigned i = 0; i < s->masters; i++)
        if (replica_applied_index(s->master[i].replica) > highest)
            highest = replica_applied_index(s->master[i].replica);
    for (unsigned i = 0; i < s->masters; i++)
        if (replica_applied_index(s->master[i].replica) + 200 < highest)
            world_fail(&s->world,
                       "LAGGING: master %u applied %llu, another %llu",
                       i + 1,
                       (unsigned long long)replica_applied_index(s->master[i].replica),
                       (unsigned long long)highest);
}

static void teardown(struct sim *s)
{
    for (unsigned i = 0; i < s->masters; i++) {
        struct master *m = &s->master[i];

        if (m->alive) {
            add_counters(s, m);
            replica_destroy(m->replica);
        }
        sim_store_finish(&m->store);
        buffer_finish(&m->machine.restoring);
    }
    network_finish(&s->net);
    world_finish(&s->world);
    mem_free(s->terms);
    mem_free(s->hashes);
    mem_free(s->commit_terms);
    mem_free(s->leaders);
}

struct report {
    bool failed;
    uint64_t hash;
    unsigned masters;
    char why[400];
    struct stats stats;
};

static struct report run_seed(uint64_t seed, uint64_t seconds, int trace)
{
    struct sim s = {0};
    struct report report = {0};
    uint64_t commits;
    uint64_t faults_end = seconds > 15 ? seconds - 15 : seconds / 2;

    setup(&s, seed, trace, 0);
    world_run(&s.world, faults_end * SECOND);
    if (!s.world.failed)
        heal(&s);
    world_run(&s.world, (seconds - 5) * SECOND);
    commits = s.stats.commits;
    world_run(&s.world, seconds * SECOND);
    check_end(&s, commits);
    report.masters = s.masters;
    teardown(&s);
    report.failed = s.world.failed;
    report.hash = s.world.hash;
    memcpy(report.why, s.world.why, sizeof(report.why));
    report.stats = s.stats;
    return report;
}

/* ---- many seeds, each in a process of its own so that an assertion is one failed seed ---- */

static bool run_forked(uint64_t seed, uint64_t seconds, struct report *report)
{
    int ends[2];
    pid_t pid;
    int status;
    ssize_t got;

    if (pipe(ends) != 0)
        exit(1);
    pid = fork();
    if (pid == 0) {
        struct report r = run_seed(seed, seconds, 0);

        _exit(write(ends[1], &r, sizeof(r)) == (ssize_t)sizeof(r) ? 0 : 1);
    }
    close(ends[1]);
    got = read(ends[0], report, sizeof(*report));
    close(ends[0]);
    waitpid(pid, &status, 0);
    return got == (ssize_t)sizeof(*report) && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* ---- how long a dead leader is missed ---- */

#define KILLS_MAX 500 /* their entries fit the tables */

static void constant_load(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim *s = context;

    for (unsigned i = 0; i < s->masters && !w->failed; i++) {
        struct master *m = &s->master[i];

        if (m->alive && !paused(m) && replica_role(m->replica) == REPLICA_LEADER)
            submit_one(m);
    }
    world_in(w, 1 * MS, constant_load, s, a, b);
}

static struct master *settled_leader(struct sim *s)
{
    struct master *leader = NULL;

    for (unsigned i = 0; i < s->masters; i++) {
        struct master *m = &s->master[i];

        if (!m->alive)
            return NULL;
        if (replica_leads(m->replica))
            leader = m;
        for (unsigned j = 0; j < s->masters; j++)
            if (j != i && m->links[j] == NULL)
                return NULL;
    }
    for (unsigned i = 0; i < s->masters && leader != NULL; i++)
        if (replica_leader(s->master[i].replica) != leader->number + 1 ||
            replica_applied_index(s->master[i].replica) + 500 <
                replica_last_index(leader->replica))
            return NULL;
    return leader;
}

static uint64_t kill_and_wait(struct sim *s, unsigned stall_percent)
{
    struct world *w = &s->world;
    struct master *leader;
    uint64_t killed_us;

    world_run(w, w->now_us + pick(w, 100 * MS, 300 * MS));
    while (!w->failed && (leader = settled_leader(s)) == NULL)
        world_run(w, w->now_us + 1 * MS);
    if (w->failed)
        return 0;
    for (unsigned i = 0; i < s->masters; i++)
        if (&s->master[i] != leader && chance(w, stall_percent))
            pause_master(&s->master[i], pick(w, 1 * MS, 25 * MS));
    killed_us = w->now_us;
    crash(leader, 300 * MS);
    while (!w->failed && s->leading_us <= killed_us)
        world_run(w, w->now_us + 100);
    return s->leading_us - killed_us;
}

static int compare_times(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

struct failover {
    unsigned masters;
    uint64_t sync_us;       /* of a commit, at least; half as much again at most */
    unsigned stall_percent; /* of the others stand still for up to 25 ms just then */
    uint64_t most_ms;       /* 99 of 100 */
};

/* What the old leader sent last, two votes and one more entry: these syncs, one after the other,
 * are what it takes.  Terms that nobody won would show on slow disks. */
static const struct failover FAILOVERS[] = {
    {3, 500, 0, 40},
    {3, 1000, 20, 45},
    {3, 4000, 20, 65},
    {3, 16000, 0, 150},
    {3, 40000, 0, 350},
    {5, 1000, 20, 45},
    {5, 16000, 20, 150},
};

static uint64_t highest_term(const struct sim *s)
{
    uint64_t term = TERMS_MAX - 1;

    while (term > 0 && s->leaders[term] == 0)
        term--;
    return term;
}

static bool failover_is_quick(const struct failover *f, uint64_t seed, uint64_t kills)
{
    uint64_t times[KILLS_MAX] = {0};
    struct sim s = {0};
    bool good;

    setup(&s, seed, 0, f->masters);
    s.net.half_open_percent = 0;
    for (unsigned i = 0; i < s.masters; i++) {
        s.master[i].store.latency_us = f->sync_us;
        for (unsigned j = 0; j < s.masters; j++)
            s.net.delay_us[i][j] = 100;
    }
    world_in(&s.world, 0, constant_load, &s, 0, 0);
    for (uint64_t i = 0; i < kills && !s.world.failed; i++)
        times[i] = kill_and_wait(&s, f->stall_percent);
    qsort(times, kills, sizeof(*times), compare_times);
    good = !s.world.failed && times[kills * 99 / 100] <= f->most_ms * MS;
    printf(
        "%s %u masters, sync %4.1f ms, stalls %2u %%: p50 %.1f, p90 %.1f, p99 %.1f (at "
        "most %llu), max %.1f ms; %.2f terms a kill%s%s\n",
        good ? "ok  " : "SLOW",
        s.masters,
        (double)f->sync_us / 1000,
        f->stall_percent,
        (double)times[kills / 2] / 1000,
        (double)times[kills * 90 / 100] / 1000,
        (double)times[kills * 99 / 100] / 1000,
        (unsigned long long)f->most_ms,
        (double)times[kills - 1] / 1000,
        (double)highest_term(&s) / (double)kills,
        s.world.failed ? ": " : "",
        s.world.why);
    teardown(&s);
    return good;
}

static int failovers(uint64_t seed, uint64_t kills)
{
    const unsigned n = sizeof(FAILOVERS) / sizeof(*FAILOVERS);
    unsigned good = 0;

    if (kills == 0 || kills > KILLS_MAX)
        return 2;
    for (unsigned i = 0; i < n; i++)
        good += failover_is_quick(&FAILOVERS[i], seed, kills);
    printf("%u passed, %u failed\n", good, n - good);
    return good < n;
}

static void add_stats(struct stats *to, const struct stats *s)
{
    to->elections += s->elections;
    to->commits += s->commits;
    to->crashes += s->crashes;
    to->pauses += s->pauses;
    to->cuts += s->cuts;
    to->reads += s->reads;
    to->snapshots_sent += s->snapshots_sent;
    to->faults += s->faults;
    to->submits += s->submits;
#define X(name, help) to->replica.name += s->replica.name;
    REPLICA_COUNTERS(X)
#undef X
}

static void print_stats(const struct stats *t)
{
    printf(
        "  commits %llu, elections %llu, reads %llu, crashes %llu, pauses %llu, cuts "
        "%llu\n",
        (unsigned long long)t->commits,
        (unsigned long long)t->elections,
        (unsigned long long)t->reads,
        (unsigned long long)t->crashes,
        (unsigned long long)t->pauses,
        (unsigned long long)t->cuts);
#define X(name, help) \
    printf("  %-22s %llu\n", #name, (unsigned long long)t->replica.name);
    REPLICA_COUNTERS(X)
#undef X
}

int main(int argc, char **argv)
{
    uint64_t first = 1, seeds = 100, seconds = 60, failures = 0;
    bool failover = false;
    int trace = 0;
    int option;
    struct stats total = {0};
    static const struct option OPTIONS[] = {{"first", required_argument, NULL, 'f'},
                                            {"seeds", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 'o'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"trace", required_argument, NULL, 't'},
                                            {"failover", no_argument, NULL, 'k'},
                                            {0}};

    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'f':
            first = strtoull(optarg, NULL, 10);
            break;
        case 'n':
            seeds = strtoull(optarg, NULL, 10);
            break;
        case 'o':
            first = strtoull(optarg, NULL, 10);
            seeds = 1;
            break;
        case 's':
            seconds = strtoull(optarg, NULL, 10);
            break;
        case 't':
            trace = atoi(optarg);
            break;
        case 'k':
            failover = true;
            break;
        default:
            return 2;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (failover)
        return failovers(first, seeds);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct report r;

        if (trace > 0) {
            r = run_seed(seed, seconds, trace);
        } else if (!run_forked(seed, seconds, &r)) {
            printf("seed %llu: the process died (see above)\n",
                   (unsigned long long)seed);
            failures++;
            continue;
        }
        if (r.failed) {
            printf("seed %llu (%u masters): %s\n",
                   (unsigned long long)seed,
                   r.masters,
                   r.why);
            failures++;
        }
        add_stats(&total, &r.stats);
        if (seeds == 1)
            printf("seed %llu: trace hash %016llx\n",
                   (unsigned long long)seed,
                   (unsigned long long)r.hash);
    }
    print_stats(&total);
    printf("%llu passed, %llu failed\n",
           (unsigned long long)(seeds - failures),
           (unsigned long long)failures);
    return failures > 0;
}
