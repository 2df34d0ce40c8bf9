/* cluster_master.c - a master's shell in the simulation: what src/master does, on virtual time. */
#include "cluster.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static void step(struct sim_master *m, struct master_event *event);

static bool paused(const struct sim_master *m)
{
    return m->cluster->net.paused_until_us[m->number] > m->cluster->world.now_us;
}

static uint64_t resumes(const struct sim_master *m)
{
    return m->cluster->net.paused_until_us[m->number];
}

/* ---- what drives it ---- */

static void on_timer(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_master *m = context;

    if (!m->alive || m->incarnation != a || m->timer != b)
        return;
    if (paused(m))
        world_at(w, resumes(m), on_timer, context, a, b);
    else
        step(m, &(struct master_event){.kind = MASTER_TIME});
}

static void on_turn(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_master *m = context;

    if (!m->alive || m->incarnation != a)
        return;
    if (paused(m)) {
        world_at(w, resumes(m), on_turn, context, a, b);
        return;
    }
    m->turn_due = false;
    step(m, &(struct master_event){.kind = MASTER_TURN});
}

static void replica(struct sim_master *m, struct replica_event event)
{
    step(m, &(struct master_event){.kind = MASTER_REPLICA, .replica = &event});
}

static void store_durable(void *user, uint64_t sequence)
{
    replica(
        user,
        (struct replica_event){.kind = REPLICA_DURABLE, .durable.sequence = sequence});
}

static void store_read(void *user, uint64_t peer, struct log_entries *entries)
{
    replica(user,
            (struct replica_event){.kind = REPLICA_ENTRIES_READ,
                                   .entries_read = {.peer = peer, .entries = entries}});
}

static void store_written(void *user)
{
    replica(user, (struct replica_event){.kind = REPLICA_SNAPSHOT_WRITTEN});
}

static void store_saved(void *user)
{
    replica(user, (struct replica_event){.kind = REPLICA_SNAPSHOT_SAVED});
}

static void store_promoted(void *user)
{
    replica(user, (struct replica_event){.kind = REPLICA_SNAPSHOT_PROMOTED});
}

static void store_loaded(void *user, struct bytes bytes, bool last)
{
    replica(user,
            (struct replica_event){.kind = REPLICA_SNAPSHOT_DATA,
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

static void isolate(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_master *m = context;
    struct cluster *c = m->cluster;

    (void)w;
    if (!m->alive || m->incarnation != a || c->healing)
        return;
    c->totals.cuts++;
    c->totals.faults++;
    world_note(&c->world, 1, "isolate", m->number + 1, b, 0);
    for (unsigned i = 0; i < c->masters; i++) {
        if (i == m->number)
            continue;
        if (b != 1)
            network_cut(&c->net, m->number, i, true);
        if (b != 2)
            network_cut(&c->net, i, m->number, true);
    }
}

static void crash_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_master *m = context;

    if (m->alive && m->incarnation == a && !m->cluster->healing &&
        m->cluster->plan.crash)
        sim_master_crash(m, pick(w, 1 * MS, b));
}

static void
strike(struct sim_master *m, unsigned isolate_percent, unsigned crash_percent)
{
    struct world *w = &m->cluster->world;

    if (m->cluster->healing || (m->cluster->plan.calm_masters && !chance(w, 10)))
        return;
    if (chance(w, isolate_percent))
        world_in(w, pick(w, 0, 100 * MS), isolate, m, m->incarnation, pick(w, 0, 2));
    else if (chance(w, crash_percent))
        world_in(w, pick(w, 0, 30 * MS), crash_later, m, m->incarnation, 3 * SECOND);
}

/* A voter dies while its vote is on the way to the disk, and the candidate is cut off: what was
 * said before it was durable makes a second leader. */
static void strike_voter(struct sim_master *m, uint64_t vote)
{
    struct world *w = &m->cluster->world;
    struct sim_master *candidate = &m->cluster->master[vote - 1];

    if (m->cluster->healing || vote == m->number + 1 || !chance(w, 8))
        return;
    world_in(w, pick(w, 0, 1 * MS), crash_later, m, m->incarnation, 20 * MS);
    world_in(
        w, pick(w, 1 * MS, 20 * MS), isolate, candidate, candidate->incarnation, 0);
}

/* ---- actions of the replica ---- */

struct transfer {
    struct cluster *cluster;
    unsigned from, to;
    uint64_t from_incarnation, to_incarnation;
    struct sim_snapshot snapshot;
};

static void transfer_done(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct transfer *t = context;
    struct cluster *c = t->cluster;
    struct sim_master *from = &c->master[t->from];
    struct sim_master *to = &c->master[t->to];
    bool from_lives = from->alive && from->incarnation == t->from_incarnation;
    bool whole = from_lives && to->alive && to->incarnation == t->to_incarnation &&
                 network_reachable(&c->net, t->from, t->to);

    if (whole && paused(to)) {
        world_at(w, resumes(to), transfer_done, t, a, b);
        return;
    }
    if (whole) {
        struct snapshot_meta meta = {0};

        sim_store_stage(&to->store, &t->snapshot);
        snapshot_meta_copy(&meta, &t->snapshot.meta);
        replica(to,
                (struct replica_event){
                    .kind = REPLICA_SNAPSHOT_RECEIVED,
                    .snapshot_received = {.from = t->from + 1, .meta = &meta}});
        snapshot_meta_finish(&meta);
    }
    if (from_lives && from->alive)
        replica(from,
                (struct replica_event){.kind = REPLICA_SNAPSHOT_SENT,
                                       .snapshot_sent.peer = t->to + 1});
    sim_snapshot_finish(&t->snapshot);
    mem_free(t);
}

static void start_transfer(struct sim_master *m, uint64_t peer)
{
    struct cluster *c = m->cluster;
    struct transfer *t = mem_zalloc(sizeof(*t));

    t->cluster = c;
    t->from = m->number;
    t->to = (unsigned)peer - 1;
    t->from_incarnation = m->incarnation;
    t->to_incarnation = c->master[t->to].incarnation;
    sim_snapshot_copy(&t->snapshot, &m->store.current);
    world_in(&c->world, pick(&c->world, 5 * MS, 500 * MS), transfer_done, t, 0, 0);
}

static void replica_action(struct sim_master *m, struct replica_action *a)
{
    struct connection *link;

    switch (a->kind) {
    case REPLICA_SEND:
        link = m->links[a->send.peer - 1];
        if (link == NULL)
            break;
        /* Raft bears any loss; founding, before it, counts on TCP. */
        link->lossy = m->cluster->plan.lossy && master_state(m->core)->globals.founded;
        network_send(link, link->user[0] == m ? 0 : 1, buffer_view(&a->send.bytes));
        break;
    case REPLICA_PERSIST:
        if (a->op->kind == LOG_APPEND && m->role == REPLICA_LEADER)
            strike(m, 2, 2);
        else if (a->op->kind == LOG_META && a->op->meta.vote != 0)
            strike_voter(m, a->op->meta.vote);
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
        sim_store_snapshot_begin(&m->store, &a->snapshot_begin);
        strike(m, 0, 5);
        break;
    case REPLICA_SNAPSHOT_CHUNK:
        if (a->snapshot_chunk->size > m->chunk_bytes)
            world_fail(&m->cluster->world,
                       "a chunk of %u bytes: the store takes %zu",
                       a->snapshot_chunk->size,
                       m->chunk_bytes);
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
        sim_store_promote(&m->store);
        strike(m, 0, 20);
        break;
    case REPLICA_SNAPSHOT_LOAD:
        sim_store_load(&m->store, 4000);
        break;
    case REPLICA_ROLE_CHANGED:
        m->role = a->role_changed.role;
        world_note(&m->cluster->world,
                   1,
                   m->role == REPLICA_LEADER      ? "leader"
                   : m->role == REPLICA_CANDIDATE ? "candidate"
                                                  : "follower of",
                   m->number + 1,
                   a->role_changed.term,
                   a->role_changed.leader);
        if (m->role == REPLICA_LEADER) {
            m->cluster->totals.elections++;
            check_leader(m->cluster, m, a->role_changed.term);
            strike(m, 20, 10);
        }
        break;
    case REPLICA_FATAL:
        world_fail(
            &m->cluster->world, "master %u stops: %s", m->number + 1, a->fatal.text);
        break;
    case REPLICA_LEADING:
        check_leading(m->cluster, m);
        break;
    case REPLICA_READ_READY:
    case REPLICA_READ_FAILED:
        break;
    }
}

/* ---- actions of the core ---- */

static struct flow *flow_of(struct sim_master *m, uint64_t session)
{
    for (unsigned i = 0; i < FLOWS_MAX; i++)
        if (m->flows[i].connection != NULL && m->flows[i].session == session)
            return &m->flows[i];
    return NULL;
}

static void founded(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_master *m = context;

    if (!m->alive || m->incarnation != a)
        return;
    if (paused(m)) {
        world_at(w, resumes(m), founded, context, a, b);
        return;
    }
    sim_store_found(&m->store, (struct blob *)(uintptr_t)b);
    m->empty = false;
    step(m, &(struct master_event){.kind = MASTER_FOUNDED});
}

/* A crash before this loses it. */
static void cluster_id_stored(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_master *m = context;

    (void)w;
    (void)b;
    if (m->alive && m->incarnation == a)
        m->has_cluster_id = true;
}

static void zone_told(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_master *m = context;
    struct buffer file = {0};
    const char *name;

    if (!m->alive || m->incarnation != a)
        return;
    if (paused(m)) {
        world_at(w, resumes(m), zone_told, context, a, b);
        return;
    }
    name = sim_zone_file((unsigned)b, &file);
    step(m,
         &(struct master_event){.kind = MASTER_ZONE,
                                .zone = {name, buffer_view(&file)}});
    buffer_finish(&file);
}

static void core_action(struct sim_master *m, struct master_actions *actions, size_t i)
{
    struct cluster *c = m->cluster;
    struct master_action *a = &actions->items[i];
    struct flow *flow;

    switch (a->kind) {
    case MASTER_SEND:
        flow = flow_of(m, a->send.session);
        if (flow != NULL) {
            struct bytes bytes = {actions->bytes.data + a->send.offset, a->send.size};

            check_confirmed(m, flow->connection, bytes);
            network_send(flow->connection, 1, bytes);
        }
        break;
    case MASTER_CLOSE:
        world_note(&c->world, 1, a->text, m->number + 1, a->close, 0);
        flow = flow_of(m, a->close);
        if (flow != NULL)
            network_hang_up(flow->connection, 1);
        break;
    case MASTER_FOUND:
        /* The blob lives as long as the seed. */
        world_in(&c->world,
                 pick(&c->world, 1 * MS, 30 * MS),
                 founded,
                 m,
                 m->incarnation,
                 (uintptr_t)blob_ref(a->configuration));
        if (!c->healing && c->plan.founding_faults && chance(&c->world, 30))
            world_in(&c->world,
                     pick(&c->world, 0, 30 * MS),
                     crash_later,
                     m,
                     m->incarnation,
                     SECOND);
        break;
    case MASTER_CLUSTER_ID:
        memcpy(m->cluster_id, a->cluster_id, sizeof(m->cluster_id));
        world_in(&c->world,
                 pick(&c->world, 0, 60 * MS),
                 cluster_id_stored,
                 m,
                 m->incarnation,
                 0);
        if (c->plan.founding_faults)
            strike(m, 20, 40);
        break;
    case MASTER_READ_ZONE:
        world_in(&c->world,
                 pick(&c->world, 1, 50 * MS),
                 zone_told,
                 m,
                 m->incarnation,
                 sim_zone_of(a->text));
        break;
    case MASTER_PLAN: /* nobody asks for one */
    case MASTER_ROLE:
        break;
    case MASTER_LOG:
        world_note(&c->world, 1, a->text, m->number + 1, 0, 0);
        break;
    case MASTER_EXIT:
        sim_master_crash(m, pick(&c->world, 50 * MS, 500 * MS));
        break;
    }
}

static void step(struct sim_master *m, struct master_event *event)
{
    struct cluster *c = m->cluster;
    struct master_actions actions = {0};
    uint64_t commit = m->commit;

    if (c->world.failed || !m->alive)
        return;
    ASSERT(!m->stepping);
    m->stepping = true;
    event->now_ms = sim_clock_ms(&m->clock, c->world.now_us);
    event->wall_us = (uint64_t)((int64_t)(c->world.now_us + 1700000000ull * SECOND) +
                                m->wall_offset_us);
    master_step(m->core, event, &actions);
    m->stepping = false;
    for (size_t i = 0; i < actions.replica.count && m->alive; i++)
        replica_action(m, &actions.replica.items[i]);
    for (size_t i = 0; i < actions.count && m->alive; i++)
        core_action(m, &actions, i);
    if (m->alive)
        check_step(c, m);
    if (m->alive && m->role == REPLICA_LEADER && m->commit > commit)
        strike(m, 1, 1); /* it alone knows, and just told clients and agents */
    if (m->alive && !m->turn_due && (event->kind != MASTER_TURN || actions.again)) {
        m->turn_due = true;
        world_in(&c->world, pick(&c->world, 1, 200), on_turn, m, m->incarnation, 0);
    }
    if (m->alive)
        world_at(&c->world,
                 sim_clock_us(&m->clock, actions.deadline_ms),
                 on_timer,
                 m,
                 m->incarnation,
                 ++m->timer);
    master_actions_finish(&actions);
}

/* ---- links between masters ---- */

void sim_masters_connect(struct cluster *c)
{
    for (unsigned i = 0; i < c->masters; i++)
        for (unsigned j = i + 1; j < c->masters; j++) {
            struct sim_master *x = &c->master[i];
            struct sim_master *y = &c->master[j];
            struct connection *link;

            if (!network_reachable(&c->net, i, j) || paused(x) || paused(y) ||
                (x->links[j] != NULL && y->links[i] != NULL))
                continue;
            /* Whoever still has half of the old one hears of its end by the new one. */
            if (x->links[j] != NULL)
                sim_master_closed(x, x->links[j]);
            if (y->links[i] != NULL)
                sim_master_closed(y, y->links[i]);
            if (!x->alive || !y->alive)
                continue;
            link = network_connect(&c->net, i, j, false);
            link->user[0] = x;
            link->user[1] = y;
            x->links[j] = link;
            y->links[i] = link;
            for (int end = 0; end < 2; end++) {
                struct sim_master *m = link->user[end];
                struct sim_master *other = link->user[1 - end];

                step(m,
                     &(struct master_event){
                         .kind = MASTER_PEER_UP,
                         .peer_up = {.peer = other->number + 1,
                                     .incarnation = other->incarnation,
                                     .leads =
                                         other->alive && master_leads(other->core)}});
            }
        }
}

/* ---- sessions ---- */

bool next_frame(struct bytes *rest, struct bytes *frame)
{
    int64_t size = rpc_frame_size(*rest, NULL);

    if (size <= 0)
        return false;
    *frame = (struct bytes){rest->data + 4, (size_t)size - 4};
    rest->data += size;
    rest->size -= (size_t)size;
    return true;
}

void sim_master_accept(struct sim_master *m, struct connection *link)
{
    struct hello hello;
    struct buffer frame = {0};
    unsigned i = 0;

    while (i < FLOWS_MAX && m->flows[i].connection != NULL)
        i++;
    ASSERT(i < FLOWS_MAX);
    m->flows[i] =
        (struct flow){.connection = link, .session = ++m->cluster->last_session};
    master_hello(m->core, &hello);
    hello.version = (struct bytes){(const uint8_t *)"sim", 3};
    hello_pack(&hello, &frame);
    network_send(link, 1, buffer_view(&frame));
    buffer_finish(&frame);
}

static void first_frame(struct sim_master *m, struct flow *flow, struct bytes frame)
{
    struct rpc rpc;
    struct hello hello;
    struct error err;

    if (rpc_unpack(&rpc, frame, &err) != 0 || rpc.method != METHOD_HELLO ||
        hello_unpack(&hello, rpc.params, &err) != 0) {
        world_fail(&m->cluster->world, "no hello: %s", err.text);
        return;
    }
    if (master_check_hello(m->core, &hello, &err) != 0) {
        if (err.code != ERROR_UNAVAILABLE)
            world_fail(&m->cluster->world, "a hello was refused: %s", err.text);
        network_hang_up(flow->connection, 1);
        flow->connection = NULL;
        return;
    }
    flow->opened = true;
    step(m,
         &(struct master_event){
             .kind = MASTER_SESSION_OPENED,
             .opened = {.session = flow->session, .role = hello.role}});
}

void sim_master_bytes(struct sim_master *m, struct connection *link, struct bytes bytes)
{
    struct sim_master *from = link->user[0] == m ? link->user[1] : link->user[0];
    struct bytes frame;
    uint64_t incarnation = m->incarnation;

    if (link->node[0] < m->cluster->masters && link->node[1] < m->cluster->masters) {
        if (m->links[from->number] != link)
            return; /* replaced by a newer one */
        m->heard_us[from->number] = m->cluster->world.now_us;
        step(m,
             &(struct master_event){
                 .kind = MASTER_PEER_BYTES,
                 .peer_bytes = {.peer = from->number + 1, .bytes = bytes}});
        return;
    }
    while (m->alive && m->incarnation == incarnation && next_frame(&bytes, &frame)) {
        struct flow *flow = NULL;

        for (unsigned i = 0; i < FLOWS_MAX && flow == NULL; i++)
            if (m->flows[i].connection == link)
                flow = &m->flows[i];
        if (flow == NULL)
            return;
        if (!flow->opened)
            first_frame(m, flow, frame);
        else
            step(m,
                 &(struct master_event){
                     .kind = MASTER_SESSION_FRAME,
                     .frame = {.session = flow->session, .frame = frame}});
    }
}

void sim_master_closed(struct sim_master *m, struct connection *link)
{
    for (unsigned i = 0; i < m->cluster->masters; i++)
        if (m->links[i] == link) {
            m->links[i] = NULL;
            step(m,
                 &(struct master_event){.kind = MASTER_PEER_DOWN, .peer_down = i + 1});
            return;
        }
    for (unsigned i = 0; i < FLOWS_MAX; i++)
        if (m->flows[i].connection == link) {
            uint64_t session = m->flows[i].session;
            bool opened = m->flows[i].opened;

            m->flows[i].connection = NULL;
            if (opened)
                step(m,
                     &(struct master_event){.kind = MASTER_SESSION_CLOSED,
                                            .closed = session});
            return;
        }
}

/* ---- life ---- */

void sim_master_init(struct cluster *c, unsigned number)
{
    struct sim_master *m = &c->master[number];

    m->cluster = c;
    m->number = number;
    m->incarnation = 1;
    m->empty = true;
    m->wall_offset_us = (int64_t)pick(&c->world, 0, 2 * SECOND) - (int64_t)SECOND;
    m->clock.ppm = (int64_t)pick(&c->world, 0, 2 * SIM_DRIFT_PPM) - SIM_DRIFT_PPM;
    sim_store_init(&m->store, &c->world, STORE_CALLS, m);
}

static void restore(struct sim_master *m)
{
    struct sim_snapshot *snapshot = &m->store.current;
    struct error err;

    if (snapshot->meta.index == 0)
        return;
    if (master_restore(m->core, buffer_view(&snapshot->bytes), &err) != 0 ||
        master_restore_end(m->core, &snapshot->meta, &err) != 0)
        world_fail(
            &m->cluster->world, "master %u: snapshot: %s", m->number + 1, err.text);
}

void sim_master_start(struct sim_master *m)
{
    struct cluster *c = m->cluster;
    struct master_config config;
    struct log_entries log = sim_store_log(&m->store);
    struct master_event event = {.kind = MASTER_START};

    master_config_init(&config);
    config.id = m->number + 1;
    config.member_count = c->masters;
    for (unsigned i = 0; i < c->masters; i++)
        config.members[i] =
            (struct master_member){.id = i + 1, .address = c->addresses[i]};
    memset(config.cluster_hash, 0x5a, sizeof(config.cluster_hash));
    config.incarnation = m->incarnation;
    config.replica.apply_budget = 200;
    config.damping_us = 500 * MS; /* in the end 16 s: some of a seed */
    config.rebalance =
        (struct rebalance_pace){.pass_us = 50 * MS, .settled_us = 100 * MS};
    if (c->plan.purge)
        config.job_retention_us = pick(&c->world, 1 * SECOND, 20 * SECOND);
    config.stops_per_turn = (unsigned)pick(&c->world, 1, 8);
    config.told_per_turn = 1 + config.stops_per_turn % 3;
    if (c->plan.snapshots) {
        config.replica.snapshot_bytes = pick(&c->world, 2000, 40000);
        config.replica.trailing_entries = (unsigned)pick(&c->world, 0, 60);
        config.replica.trailing_bytes = pick(&c->world, 0, 60000);
        config.replica.cache_bytes = pick(&c->world, 0, 20000);
        config.replica.snapshot_chunk_bytes = 2000;
    }
    m->chunk_bytes = config.replica.snapshot_chunk_bytes;
    m->alive = true;
    m->turn_due = false;
    m->commit = m->applied = m->looked_to = 0;
    m->role = REPLICA_FOLLOWER;
    c->net.alive[m->number] = true;
    m->core = master_create(&config);
    restore(m);
    event.start.empty = m->empty;
    event.start.term = m->store.term;
    event.start.vote = m->store.vote;
    event.start.snapshot = &m->store.current.meta;
    event.start.entries = &log;
    event.start.has_cluster_id = m->has_cluster_id;
    memcpy(event.start.cluster_id, m->cluster_id, sizeof(m->cluster_id));
    event.start.entropy[0] = rng_next(&c->world.rng);
    event.start.entropy[1] = rng_next(&c->world.rng);
    step(m, &event);
    if (m->empty)
        log_entries_finish(&log);
}

static void restart(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_master *m = context;

    (void)a;
    (void)b;
    world_note(w, 1, "restart master", m->number + 1, 0, 0);
    sim_master_start(m);
}

static void destroy_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    (void)w;
    (void)a;
    (void)b;
    master_destroy(context);
}

void sim_master_count(struct sim_master *m)
{
    struct totals *t = &m->cluster->totals;
    const struct master_counters *mc = m->alive ? master_counters(m->core) : NULL;
    const struct replica *r = m->alive ? master_replica(m->core) : NULL;

    if (mc == NULL)
        return;
#define X(name, help) t->master.name += mc->name;
    MASTER_COUNTERS(X)
#undef X
    if (r == NULL)
        return;
#define X(name, help) t->replica.name += replica_counters(r)->name;
    REPLICA_COUNTERS(X)
#undef X
}

/* Called between its steps or while its actions are carried out; what is left of them is lost,
 * as in a real crash. */
void sim_master_crash(struct sim_master *m, uint64_t down_us)
{
    struct cluster *c = m->cluster;

    if (!m->alive)
        return;
    c->totals.crashes++;
    c->totals.faults++;
    world_note(&c->world, 1, "crash master", m->number + 1, down_us / MS, 0);
    sim_master_count(m);
    m->alive = false;
    m->incarnation++;
    network_crash(&c->net, m->number);
    for (unsigned i = 0; i < c->masters; i++)
        m->links[i] = NULL;
    memset(m->flows, 0, sizeof(m->flows));
    sim_store_crash(&m->store);
    if (c->plan.clock_jumps && chance(&c->world, 30))
        m->wall_offset_us =
            (int64_t)pick(&c->world, 0, 7200 * SECOND) - 3600 * (int64_t)SECOND;
    world_in(&c->world, 0, destroy_later, m->core, 0, 0);
    world_in(&c->world, down_us, restart, m, 0, 0);
}

void sim_master_pause(struct sim_master *m, uint64_t for_us)
{
    struct cluster *c = m->cluster;

    if (!network_pause(&c->net, m->number, c->world.now_us + for_us))
        return;
    c->totals.pauses++;
    c->totals.faults++;
    world_note(&c->world, 1, "pause master", m->number + 1, for_us / MS, 0);
    m->store.paused_until_us = c->net.paused_until_us[m->number];
}

void sim_master_shutdown(struct sim_master *m)
{
    world_note(&m->cluster->world, 1, "SIGTERM master", m->number + 1, 0, 0);
    step(m, &(struct master_event){.kind = MASTER_SHUTDOWN});
}

void sim_master_finish(struct sim_master *m)
{
    if (m->alive)
        master_destroy(m->core);
    sim_store_finish(&m->store);
}
