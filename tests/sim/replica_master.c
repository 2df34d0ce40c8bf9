/* replica_master.c - one master: its replica, store and links, as the shell joins them. */
#include "replica_group.h"

#include "base/mem.h"

#include <string.h>

/* Transfers break until then: the library may take LIMIT_SNAPSHOT_STALL_MS to try again. */
#define TRANSFERS_FAIL_US (20 * SECOND)

/* ---- masters ---- */

static uint64_t now_ms(const struct sim *s)
{
    return s->world.now_us / MS + CLOCK_BASE_MS;
}

bool master_paused(const struct master *m)
{
    return m->sim->net.paused_until_us[m->number] > m->sim->world.now_us;
}

static void on_timer(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct master *m = context;

    if (!m->alive || m->incarnation != a || m->timer != b)
        return;
    if (master_paused(m)) {
        world_at(w, m->sim->net.paused_until_us[m->number], on_timer, context, a, b);
        return;
    }
    master_step(m, &(struct replica_event){.kind = REPLICA_TIME});
}

static void on_continue(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct master *m = context;

    if (!m->alive || m->incarnation != a)
        return;
    if (master_paused(m)) {
        world_at(w, m->sim->net.paused_until_us[m->number], on_continue, context, a, b);
        return;
    }
    m->continuing = false;
    master_step(m, &(struct replica_event){.kind = REPLICA_CONTINUE});
}

static void store_durable(void *user, uint64_t sequence)
{
    master_step(
        user,
        &(struct replica_event){.kind = REPLICA_DURABLE, .durable.sequence = sequence});
}

static void store_read(void *user, uint64_t peer, struct log_entries *entries)
{
    master_step(
        user,
        &(struct replica_event){.kind = REPLICA_ENTRIES_READ,
                                .entries_read = {.peer = peer, .entries = entries}});
}

static void store_written(void *user)
{
    master_step(user, &(struct replica_event){.kind = REPLICA_SNAPSHOT_WRITTEN});
}

static void store_saved(void *user)
{
    master_step(user, &(struct replica_event){.kind = REPLICA_SNAPSHOT_SAVED});
}

static void store_promoted(void *user)
{
    master_step(user, &(struct replica_event){.kind = REPLICA_SNAPSHOT_PROMOTED});
}

static void store_loaded(void *user, struct bytes bytes, bool last)
{
    master_step(
        user,
        &(struct replica_event){.kind = REPLICA_SNAPSHOT_DATA,
                                .snapshot_data = {.bytes = bytes, .last = last}});
}

const struct sim_store_calls MASTER_STORE_CALLS = {
    .durable = store_durable,
    .read = store_read,
    .snapshot_written = store_written,
    .snapshot_saved = store_saved,
    .snapshot_promoted = store_promoted,
    .snapshot_loaded = store_loaded,
};

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
    if (whole && master_paused(to)) {
        world_at(w, s->net.paused_until_us[t->to], transfer_done, t, 0, 0);
        return;
    }
    if (whole) {
        struct snapshot_meta meta = {0};

        sim_store_stage(&to->store, &t->snapshot);
        snapshot_meta_copy(&meta, &t->snapshot.meta);
        master_step(to,
                    &(struct replica_event){
                        .kind = REPLICA_SNAPSHOT_RECEIVED,
                        .snapshot_received = {.from = t->from + 1, .meta = &meta}});
        snapshot_meta_finish(&meta);
    }
    if (from->alive && from->incarnation == t->from_incarnation && !s->world.failed)
        master_step(from,
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
            faults_appended(m);
        else if (a->op->kind == LOG_META && a->op->meta.vote != 0)
            faults_voted(m, a->op->meta.vote);
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
                     faults_crash_later,
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
                     faults_crash_later,
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
            faults_elected(m);
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

uint64_t master_step_index(struct master *m, struct replica_event *event)
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

void master_step(struct master *m, struct replica_event *event)
{
    master_step_index(m, event);
}

/* ---- links ---- */

void links_bytes(struct connection *c, int end, struct bytes bytes)
{
    struct master *to = c->user[end];
    struct master *from = c->user[1 - end];

    master_step(
        to,
        &(struct replica_event){.kind = REPLICA_MESSAGE,
                                .message = {.from = from->number + 1, .bytes = bytes}});
}

void links_closed(struct connection *c, int end)
{
    struct master *m = c->user[end];
    struct master *other = c->user[1 - end];

    if (m->links[other->number] != c)
        return;
    m->links[other->number] = NULL;
    master_step(m,
                &(struct replica_event){.kind = REPLICA_PEER_DOWN,
                                        .peer_down.peer = other->number + 1});
}

static void say_up(struct master *m, struct master *other)
{
    master_step(
        m,
        &(struct replica_event){
            .kind = REPLICA_PEER_UP,
            .peer_up = {.peer = other->number + 1,
                        .incarnation = other->incarnation,
                        .leads = replica_role(other->replica) == REPLICA_LEADER}});
}

/* Try to connect every pair that is not; the shell does the same with a back-off. */
void links_reconnect(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim *s = context;

    for (unsigned i = 0; i < s->masters; i++)
        for (unsigned j = i + 1; j < s->masters; j++) {
            struct master *x = &s->master[i];
            struct master *y = &s->master[j];
            struct connection *c;

            if (!network_reachable(&s->net, i, j) || x->links[j] != NULL ||
                y->links[i] != NULL || master_paused(x) || master_paused(y))
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
    world_in(w, pick(w, 1 * MS, 60 * MS), links_reconnect, s, a, b);
}

/* ---- life of a master ---- */

void master_start(struct master *m)
{
    struct sim *s = m->sim;
    struct replica_config config;
    struct machine machine = replica_machine(m);
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
        config.trailing_bytes = pick(&s->world, 0, 6000);
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

        machine.restore_begin(m);
        machine.restore_feed(m, buffer_view(&m->store.current.bytes), NULL);
        if (machine.restore_end(m, meta->index, meta->term, NULL) != 0)
            world_fail(
                &s->world, "master %u: snapshot on disk is wrong", m->number + 1);
    }
    m->replica = replica_create(&config, machine);
    master_step(m,
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
        master_start(m);
    }
}

void master_add_counters(struct sim *s, const struct master *m)
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
void master_crash(struct master *m, uint64_t down_us)
{
    struct sim *s = m->sim;

    if (!m->alive)
        return;
    s->stats.crashes++;
    s->stats.faults++;
    world_note(&s->world, 1, "crash", m->number + 1, down_us / MS, 0);
    m->alive = false;
    m->incarnation++;
    master_add_counters(s, m);
    network_crash(&s->net, m->number);
    for (unsigned i = 0; i < s->masters; i++)
        m->links[i] = NULL;
    sim_store_crash(&m->store);
    world_in(&s->world, 0, destroy_later, m->replica, 0, 0);
    world_in(&s->world, down_us, restart, m, 0, 0);
}

void master_pause(struct master *m, uint64_t for_us)
{
    struct sim *s = m->sim;

    if (!network_pause(&s->net, m->number, s->world.now_us + for_us))
        return;
    s->stats.pauses++;
    s->stats.faults++;
    world_note(&s->world, 1, "pause", m->number + 1, for_us / MS, 0);
    m->store.paused_until_us = s->net.paused_until_us[m->number];
}
