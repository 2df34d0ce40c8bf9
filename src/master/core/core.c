/* core.c - the step of a master: events to the part that they concern. */
#include "master/core/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHUTDOWN_MS 1000 /* the longest that a leader tries to hand over */

static int compare_sessions(const struct session *a, const struct session *b)
{
    return a->number < b->number ? -1 : a->number > b->number;
}

RB_GENERATE(session_tree, session, link, compare_sessions)

/* ---- actions ---- */

struct master_action *core_act(struct master_core *m, enum master_action_kind kind)
{
    struct master_actions *a = m->actions;
    struct master_action *action;

    MEM_GROW(a->items, a->capacity, a->count + 1);
    action = &a->items[a->count++];
    memset(action, 0, sizeof(*action));
    action->kind = kind;
    return action;
}

void core_log(struct master_core *m,
              enum master_log_level level,
              const char *format,
              ...)
{
    struct master_action *action = core_act(m, MASTER_LOG);
    va_list args;

    action->level = level;
    va_start(args, format);
    vsnprintf(action->text, sizeof(action->text), format, args);
    va_end(args);
}

void core_close(struct master_core *m, uint64_t session, const char *format, ...)
{
    struct master_action *action = core_act(m, MASTER_CLOSE);
    va_list args;

    action->close = session;
    va_start(args, format);
    vsnprintf(action->text, sizeof(action->text), format, args);
    va_end(args);
}

void master_actions_clear(struct master_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++)
        if (actions->items[i].kind == MASTER_FOUND)
            blob_unref(actions->items[i].configuration);
    actions->count = 0;
    actions->again = false;
    buffer_clear(&actions->bytes);
    replica_actions_clear(&actions->replica);
}

void master_actions_finish(struct master_actions *actions)
{
    master_actions_clear(actions);
    replica_actions_finish(&actions->replica);
    buffer_finish(&actions->bytes);
    mem_free(actions->items);
    *actions = (struct master_actions){0};
}

struct buffer *core_out(struct master_core *m)
{
    return &m->actions->bytes;
}

size_t core_begin(struct master_core *m)
{
    return m->actions->bytes.size;
}

void core_end(struct master_core *m, uint64_t session, size_t begin)
{
    struct master_actions *a = m->actions;
    size_t size = a->bytes.size - begin;
    struct master_action *last = a->count > 0 ? &a->items[a->count - 1] : NULL;

    /* What follows directly for the same session grows the last action. */
    if (last != NULL && last->kind == MASTER_SEND && last->send.session == session &&
        last->send.offset + last->send.size == begin) {
        last->send.size += size;
        return;
    }
    last = core_act(m, MASTER_SEND);
    last->send.session = session;
    last->send.offset = begin;
    last->send.size = size;
}

static void refuse(struct master_core *m,
                   uint64_t session,
                   uint32_t rpc,
                   enum error_code code,
                   uint64_t retry_after_ms,
                   const char *format,
                   va_list args) __attribute__((format(printf, 6, 0)));

static void refuse(struct master_core *m,
                   uint64_t session,
                   uint32_t rpc,
                   enum error_code code,
                   uint64_t retry_after_ms,
                   const char *format,
                   va_list args)
{
    char text[ERROR_TEXT_MAX];
    size_t begin = core_begin(m);

    vsnprintf(text, sizeof(text), format, args);
    m->counters.requests_refused++;
    if (code == ERROR_BUSY)
        rpc_busy(core_out(m), rpc, text, retry_after_ms);
    else
        rpc_error(core_out(m), rpc, code, text, core_leader_hint(m));
    core_end(m, session, begin);
}

void core_refuse(struct master_core *m,
                 uint64_t session,
                 uint32_t rpc,
                 enum error_code code,
                 const char *format,
                 ...)
{
    va_list args;

    va_start(args, format);
    refuse(m, session, rpc, code, 0, format, args);
    va_end(args);
}

void core_busy(struct master_core *m,
               uint64_t session,
               uint32_t rpc,
               uint64_t retry_after_ms,
               const char *format,
               ...)
{
    va_list args;

    va_start(args, format);
    refuse(m, session, rpc, ERROR_BUSY, retry_after_ms, format, args);
    va_end(args);
}

const char *core_leader_hint(const struct master_core *m)
{
    uint64_t leader = m->replica != NULL ? replica_leader(m->replica) : 0;

    for (unsigned i = 0; i < m->config.member_count; i++)
        if (leader != 0 && leader != m->config.id && m->config.members[i].id == leader)
            return m->config.members[i].address;
    return "";
}

void core_not_leader(struct master_core *m, uint64_t session, uint32_t rpc)
{
    const char *hint = core_leader_hint(m);

    core_refuse(m,
                session,
                rpc,
                ERROR_NOT_LEADER,
                "master %llu does not lead%s%s; ask again%s",
                (unsigned long long)m->config.id,
                *hint != '\0' ? ", the leader is at " : ", and no leader is known yet",
                hint,
                *hint != '\0' ? " there" : " in a moment");
}

/* ---- the replica ---- */

static void role_changed(struct master_core *m, const struct replica_action *action)
{
    core_act(m, MASTER_ROLE);
    if (m->leading.active && (action->role_changed.role != REPLICA_LEADER ||
                              action->role_changed.term != m->leading.term))
        leader_end(m);
    if (action->role_changed.role == REPLICA_FOLLOWER &&
        action->role_changed.leader != 0)
        core_log(m,
                 MASTER_LOG_INFO,
                 "following master %llu in term %llu",
                 (unsigned long long)action->role_changed.leader,
                 (unsigned long long)action->role_changed.term);
}

static void took(struct master_core *m, const struct replica_action *action)
{
    switch (action->kind) {
    case REPLICA_ROLE_CHANGED:
        role_changed(m, action);
        break;
    case REPLICA_LEADING:
        leader_begin(m, action->leading.term);
        break;
    case REPLICA_READ_READY:
        if (!renewals_read(m, action->read.ticket, true))
            clients_read(m, action->read.ticket, true);
        break;
    case REPLICA_READ_FAILED:
        if (!renewals_read(m, action->read.ticket, false))
            clients_read(m, action->read.ticket, false);
        break;
    default:
        break;
    }
}

void core_replica(struct master_core *m, struct replica_event *event)
{
    size_t before = m->actions->replica.count;

    event->now_ms = m->now_ms;
    m->actions->replica.again = false;
    replica_step(m->replica, event, &m->actions->replica);
    m->replica_deadline_ms = m->actions->replica.deadline_ms;
    m->replica_again = m->actions->replica.again;
    for (size_t i = before; i < m->actions->replica.count; i++) {
        struct replica_action action = m->actions->replica.items[i];

        took(m, &action);
    }
}

/* ---- create, destroy ---- */

void master_config_init(struct master_config *config)
{
    *config = (struct master_config){
        .agent_silence_ms = AGENT_SILENCE_MS,
        .job_retention_us = JOB_RETENTION_US,
        .damping_us = DAMPING_US,
        .rebalance = REBALANCE_PACE,
        .stops_per_turn = STOPS_PER_TURN,
        .told_per_turn = TOLD_PER_TURN,
    };
    replica_config_init(&config->replica);
}

struct master_core *master_create(const struct master_config *config)
{
    struct master_core *m = mem_zalloc(sizeof(*m));

    ASSERT(config->member_count >= 1 && config->member_count <= LIMIT_MASTERS);
    m->config = *config;
    m->state = state_create();
    m->sched = sched_create(SCHED_LOOKS);
    RB_INIT(&m->views);
    TAILQ_INIT(&m->heard);
    LIST_INIT(&m->lapsing);
    LIST_INIT(&m->draining);
    LIST_INIT(&m->damping);
    TAILQ_INIT(&m->dirty);
    RB_INIT(&m->sessions);
    RB_INIT(&m->reads);
    STAILQ_INIT(&m->ready_reads);
    STAILQ_INIT(&m->proposals.flying);
    m->replica_deadline_ms = UINT64_MAX;
    for (unsigned i = 0; i < config->member_count; i++)
        if (config->members[i].id != config->id)
            m->founding_peers[m->founding_peer_count++].id = config->members[i].id;
    return m;
}

void master_destroy(struct master_core *m)
{
    struct session *session, *next;

    if (m == NULL)
        return;
    replica_destroy(m->replica); /* may end a snapshot walk of the state */
    agents_end(m);
    propose_finish(m);
    clients_finish(m);
    renewals_finish(m);
    schedules_end(m);
    RB_FOREACH_SAFE (session, session_tree, &m->sessions, next) {
        RB_REMOVE(session_tree, &m->sessions, session);
        mem_free(session);
    }
    restore_abandon(m->restoring);
    sched_destroy(m->sched);
    state_destroy(m->state);
    outcome_finish(&m->outcome);
    mem_free(m->jobs_to_stop);
    mem_free(m);
}

int master_restore(struct master_core *m, struct bytes piece, struct error *err)
{
    if (m->restoring == NULL)
        m->restoring = restore_begin();
    return restore_feed(m->restoring, piece, err);
}

int master_restore_end(struct master_core *m,
                       const struct snapshot_meta *meta,
                       struct error *err)
{
    struct machine machine = machine_of(m);

    if (m->restoring == NULL)
        m->restoring = restore_begin();
    return machine.restore_end(machine.data, meta->index, meta->term, err);
}

/* ---- sessions ---- */

static struct session *session_find(struct master_core *m, uint64_t number)
{
    struct session key = {.number = number};

    return RB_FIND(session_tree, &m->sessions, &key);
}

static void session_opened(struct master_core *m, const struct master_event *event)
{
    struct session *session;

    if (m->session_count >= LIMIT_SESSIONS) {
        core_close(m,
                   event->opened.session,
                   "this master has %u sessions, its limit",
                   LIMIT_SESSIONS);
        return;
    }
    session = mem_zalloc(sizeof(*session));
    session->number = event->opened.session;
    session->role = event->opened.role;
    ASSERT(RB_INSERT(session_tree, &m->sessions, session) == NULL);
    m->session_count++;
    if (session->role == HELLO_AGENT)
        agents_opened(m, session);
}

static void session_frame(struct master_core *m, uint64_t number, struct bytes frame)
{
    struct session *session = session_find(m, number);
    struct rpc rpc;
    struct error err;

    if (session == NULL)
        return; /* closed by us; the shell had this frame in hand */
    if (rpc_unpack(&rpc, frame, &err) != 0) {
        core_close(m, number, "%s", err.text);
        return;
    }
    m->counters.requests++;
    if (session->role == HELLO_AGENT)
        agents_frame(m, session, &rpc);
    else
        clients_frame(m, session, &rpc);
}

static void session_closed(struct master_core *m, uint64_t number)
{
    struct session *session = session_find(m, number);

    if (session == NULL)
        return;
    if (session->role == HELLO_AGENT)
        agents_closed(m, session);
    clients_session_closed(m, number);
    RB_REMOVE(session_tree, &m->sessions, session);
    m->session_count--;
    mem_free(session);
}

/* ---- the step ---- */

static void start(struct master_core *m, const struct master_event *event)
{
    struct replica_event replica = {.kind = REPLICA_START};

    ASSERT(!m->started);
    m->started = true;
    memcpy(m->entropy, event->start.entropy, sizeof(m->entropy));
    m->cluster_id_known = event->start.has_cluster_id;
    memcpy(m->cluster_id, event->start.cluster_id, sizeof(m->cluster_id));
    founding_start(m, event->start.empty);
    if (event->start.empty)
        return;
    replica.start.term = event->start.term;
    replica.start.vote = event->start.vote;
    replica.start.snapshot = event->start.snapshot;
    replica.start.entries = event->start.entries;
    core_replica(m, &replica);
}

static void peer_bytes(struct master_core *m, uint64_t peer, struct bytes bytes)
{
    struct replica_event event = {.kind = REPLICA_MESSAGE,
                                  .message = {.from = peer, .bytes = bytes}};

    if (bytes.size > 0 && bytes.data[0] >= FOUNDING_MESSAGE)
        founding_message(m, peer, bytes);
    else if (m->replica != NULL)
        core_replica(m, &event);
}

static void time_passed(struct master_core *m, uint64_t behind_ms)
{
    struct replica_event event = {.kind = REPLICA_TIME};

    m->behind_ms = behind_ms;
    if (m->replica != NULL)
        core_replica(m, &event);
    leader_time(m);
}

static void turn(struct master_core *m)
{
    struct replica_event event = {.kind = REPLICA_CONTINUE};

    if (m->replica_again)
        core_replica(m, &event);
    leader_turn(m);
    renewals_turn(m);
    propose_flush(m);
    orders_flush(m);
    clients_turn(m);
}

/* A leader hands over first, so that nobody waits for an election. */
static void shutdown(struct master_core *m)
{
    struct replica_event event = {.kind = REPLICA_TRANSFER};

    if (m->shutting_down)
        return;
    m->shutting_down = true;
    m->shutdown_until_ms = m->now_ms + SHUTDOWN_MS;
    if (m->replica != NULL && replica_leads(m->replica)) {
        core_log(m, MASTER_LOG_INFO, "stopping: handing leadership over first");
        core_replica(m, &event);
    }
}

static void shutdown_if_done(struct master_core *m)
{
    bool leads = m->replica != NULL && replica_role(m->replica) == REPLICA_LEADER &&
                 m->config.member_count > 1;

    if (!m->shutting_down || (leads && m->now_ms < m->shutdown_until_ms))
        return;
    core_act(m, MASTER_EXIT);
    m->shutdown_until_ms = UINT64_MAX;
}

static void handle(struct master_core *m, const struct master_event *event)
{
    struct replica_event replica;

    switch (event->kind) {
    case MASTER_START:
        start(m, event);
        break;
    case MASTER_FOUNDED:
        founding_written(m);
        break;
    case MASTER_TIME:
        time_passed(m, event->time.behind_ms);
        break;
    case MASTER_TURN:
        turn(m);
        break;
    case MASTER_REPLICA:
        ASSERT(m->replica != NULL);
        replica = *event->replica;
        core_replica(m, &replica);
        break;
    case MASTER_PEER_UP:
        founding_peer_up(
            m, event->peer_up.peer, event->peer_up.incarnation, event->peer_up.leads);
        break;
    case MASTER_PEER_BYTES:
        peer_bytes(m, event->peer_bytes.peer, event->peer_bytes.bytes);
        break;
    case MASTER_PEER_DOWN:
        founding_peer_down(m, event->peer_down);
        break;
    case MASTER_SESSION_OPENED:
        session_opened(m, event);
        break;
    case MASTER_SESSION_FRAME:
        session_frame(m, event->frame.session, event->frame.frame);
        break;
    case MASTER_ZONE:
        schedules_zone(m, event->zone.name, event->zone.file);
        break;
    case MASTER_PLANNED:
        clients_planned(
            m, event->planned.session, event->planned.rpc, event->planned.answer);
        break;
    case MASTER_SESSION_CLOSED:
        session_closed(m, event->closed);
        break;
    case MASTER_SHUTDOWN:
        shutdown(m);
        break;
    }
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void master_step(struct master_core *m,
                 const struct master_event *event,
                 struct master_actions *actions)
{
    uint64_t deadline;

    ASSERT(m->actions == NULL);
    m->actions = actions;
    if (m->now_ms != 0 && event->now_ms > m->now_ms + LOOP_GAP_MS)
        leader_gap(m, event->now_ms);
    if (event->now_ms > m->now_ms)
        m->now_ms = event->now_ms;
    m->wall_us = event->wall_us;
    handle(m, event);
    shutdown_if_done(m);
    deadline = min_u64(m->replica_deadline_ms, leader_deadline(m));
    deadline = min_u64(deadline, clients_deadline(m));
    if (m->shutting_down)
        deadline = min_u64(deadline, m->shutdown_until_ms);
    actions->deadline_ms = deadline > m->now_ms ? deadline : m->now_ms + 1;
    actions->again |= m->replica_again;
    m->actions = NULL;
}

/* ---- hello ---- */

void master_hello(const struct master_core *m, struct hello *out)
{
    *out = (struct hello){
        .protocol = PROTOCOL_VERSION,
        .role = HELLO_MASTER,
        .cluster = m->cluster_id_known
                       ? (struct bytes){m->cluster_id, sizeof(m->cluster_id)}
                       : (struct bytes){m->config.cluster_hash, 16},
        .id = m->config.id,
        .incarnation = m->config.incarnation,
        .cluster_hash = {m->config.cluster_hash, 16},
        .founding = m->founding == FOUND_MEMBER   ? FOUNDING_MEMBER
                    : m->founding == FOUND_AGREED ? FOUNDING_AGREED
                                                  : FOUNDING_EMPTY,
        .leads = m->leading.active,
        .term = m->replica != NULL ? replica_term(m->replica) : 0,
        .replicated = REPLICATED_VERSION,
    };
}

static bool same(struct bytes a, const uint8_t *b, size_t size)
{
    return a.size == size && memcmp(a.data, b, size) == 0;
}

static int
check_master(const struct master_core *m, const struct hello *hello, struct error *err)
{
    bool listed = false;

    if (hello->id == m->config.id)
        return error_set(
            err,
            ERROR_CONFLICT,
            "two masters say that they are master %llu; give each its own --id",
            (unsigned long long)hello->id);
    for (unsigned i = 0; i < m->config.member_count; i++)
        listed |= m->config.members[i].id == hello->id;
    if (!listed || !same(hello->cluster_hash, m->config.cluster_hash, 16))
        return error_set(err,
                         ERROR_WRONG_CLUSTER,
                         "masters %llu and %llu were given different --cluster lists; "
                         "give all masters the same one",
                         (unsigned long long)m->config.id,
                         (unsigned long long)hello->id);
    if (hello->replicated != REPLICATED_VERSION)
        return error_set(
            err,
            ERROR_VERSION,
            "master %llu keeps the state of the cluster as another version "
            "of Triarch does (%u; master %llu: %d); run the same version on "
            "all masters",
            (unsigned long long)hello->id,
            hello->replicated,
            (unsigned long long)m->config.id,
            REPLICATED_VERSION);
    return 0;
}

int master_check_hello(const struct master_core *m,
                       const struct hello *hello,
                       struct error *err)
{
    bool master = hello->role == HELLO_MASTER || hello->role == HELLO_SNAPSHOT;
    bool by_hash = master && same(hello->cluster, m->config.cluster_hash, 16);

    if (master && check_master(m, hello, err) != 0)
        return -(int)err->code;
    /* A master that is not founded yet names the hash, which was compared above. */
    if (hello->cluster.size == 0 || by_hash || (master && !m->cluster_id_known))
        return 0;
    /* An agent of another cluster would be told that it is gone, and end its tasks. */
    if (!m->cluster_id_known)
        return error_set(err,
                         ERROR_UNAVAILABLE,
                         "master %llu does not know its cluster yet; ask again when it "
                         "is founded",
                         (unsigned long long)m->config.id);
    if (same(hello->cluster, m->cluster_id, sizeof(m->cluster_id)))
        return 0;
    return error_set(
        err,
        ERROR_WRONG_CLUSTER,
        "you belong to another cluster than master %llu; check the addresses, or "
        "use the directory of this cluster",
        (unsigned long long)m->config.id);
}

/* ---- looking in ---- */

const struct state *master_state(const struct master_core *m)
{
    return m->state;
}

const struct replica *master_replica(const struct master_core *m)
{
    return m->replica;
}

bool master_leads(const struct master_core *m)
{
    return m->leading.active;
}

const struct master_counters *master_counters(const struct master_core *m)
{
    return &m->counters;
}

const struct master_commit_times *master_commit_times(const struct master_core *m)
{
    return &m->commit_times;
}

size_t master_queue_length(const struct master_core *m)
{
    return m->proposals.count;
}

size_t master_session_count(const struct master_core *m)
{
    return m->session_count;
}
