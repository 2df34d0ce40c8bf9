/* leading.c - sessions with masters, and which of them is obeyed (joints 9 and 10).
 *
 * Whoever says that it leads in the highest term is obeyed, once that term is durable:
 * then an agent that restarts in the hands of a deposed leader still refuses it.  The
 * agent registers with it, tells its runs if the leader knows them otherwise, and
 * follows its orders until a higher term shows up or the session ends.
 *
 *   NONE -> FENCING -> REGISTERING -> [TELLING ->] REGISTERED
 *                        ^   |            |
 *                        |   v            |
 *                       RESTING <---------+   no answer, or refused for now
 */

#include "agent/core/core_internal.h"
#include "base/mem.h"

#include <string.h>

static struct session *session_find(struct agent_core *core, uint64_t session)
{
    for (uint32_t m = 0; m < core->masters; m++) {
        if (core->sessions[m].id == session)
            return &core->sessions[m];
    }
    return NULL;
}

static uint32_t master_of(const struct agent_core *core, const struct session *s)
{
    return (uint32_t)(s - core->sessions);
}

static bool is_leader(const struct agent_core *core, const struct session *s)
{
    return core->leader.phase != LEADER_NONE && core->leader.session == s->id;
}

/* ---- out ---- */

static void send_hello(struct agent_core *core, const struct session *s)
{
    static const char version[] = PACKAGE_VERSION;
    struct buffer *out = &core->out->bytes;
    size_t offset = out->size;
    struct hello h = {
        .protocol = PROTOCOL_VERSION,
        .role = HELLO_AGENT,
        .cluster = {core->cluster, core->has_cluster ? sizeof(core->cluster) : 0},
        .id = core->agent,
        .incarnation = core->incarnation,
        .version = {(const uint8_t *)version, sizeof(version) - 1},
    };

    hello_pack(&h, out);
    agent_actions_send(core->out, s->id, offset);
}

static uint32_t flags(const struct agent_core *core)
{
    return core->disk_low ? AGENT_FLAG_LOW_DISK : 0;
}

static void send_heartbeat(struct agent_core *core, const struct session *s)
{
    size_t offset = core->out->bytes.size;
    struct heartbeat h = {
        .agent = core->agent,
        .term = core->term,
        .flags = flags(core),
    };

    if (is_leader(core, s) && core->leader.phase >= LEADER_TELLING)
        h.sequence = leases_ask(core);
    heartbeat_pack(&h, &core->out->bytes);
    agent_actions_send(core->out, s->id, offset);
}

static uint32_t send_register(struct agent_core *core, const struct session *s)
{
    size_t offset = core->out->bytes.size;
    struct register_request request = {
        .agent = core->agent,
        .spec = buffer_view(&core->spec),
        .runs_digest = core->digest,
        .runs_count = core->run_count,
        .highest_attempt = core->highest,
        .flags = flags(core),
    };

    register_pack(&request, ++core->last_request, &core->out->bytes);
    agent_actions_send(core->out, s->id, offset);
    return core->last_request;
}

static void begin_register(struct agent_core *core)
{
    struct leader *l = &core->leader;

    l->phase = LEADER_REGISTERING;
    l->request = send_register(core, &core->sessions[l->master]);
    l->deadline_ms = core->now_ms + REGISTER_TIMEOUT_MS;
}

void leading_ask(struct agent_core *core, const struct session *s)
{
    send_register(core, s);
}

/* ---- sessions ---- */

static void session_end(struct agent_core *core, struct session *s)
{
    if (is_leader(core, s))
        core->leader = (struct leader){.deadline_ms = NEVER};
    s->id = 0;
    s->greeted = false;
}

static void session_close(struct agent_core *core, struct session *s)
{
    agent_actions_add(core->out, AGENT_CLOSE)->close.session = s->id;
    session_end(core, s);
}

static void session_reject(struct agent_core *core, struct session *s, const char *why)
{
    agent_actions_log(core->out,
                      LOG_LEVEL_WARNING,
                      "closing the session with master %s: %s",
                      s->address,
                      why);
    session_close(core, s);
}

/* One wrong master in the list is an error of that line; if all are, this is the wrong
 * agent. */
static void note_foreign(struct agent_core *core, struct session *s)
{
    uint32_t foreign = 0;

    s->foreign = true;
    for (uint32_t m = 0; m < core->listed; m++)
        foreign += core->sessions[m].foreign ? 1 : 0;
    if (foreign == core->listed)
        core_fatal(core,
                   ERROR_WRONG_CLUSTER,
                   "the masters belong to another cluster than this work directory: "
                   "correct --masters, or start with another --work-dir");
}

static void session_reject_cluster(struct agent_core *core, struct session *s)
{
    session_reject(core, s, "it belongs to another cluster than this work directory");
    note_foreign(core, s);
}

void leading_opened(struct agent_core *core, const struct agent_event *event)
{
    uint32_t master = event->opened.master;
    struct session *s;

    if (master >= AGENT_MASTERS_MAX)
        return;
    if (master >= core->masters)
        core->masters = master + 1;
    s = &core->sessions[master];
    if (s->id != 0)
        session_close(core, s);
    mem_free(s->address);
    s->address = mem_strdup(event->opened.address);
    s->id = event->opened.session;
    send_hello(core, s);
}

void leading_finish(struct agent_core *core)
{
    for (uint32_t m = 0; m < core->masters; m++)
        mem_free(core->sessions[m].address);
}

/* A master that knows our cluster does not say hello to a foreigner: it says why. */
void leading_closed(struct agent_core *core, uint64_t session, enum error_code reason)
{
    struct session *s = session_find(core, session);

    if (s == NULL)
        return;
    session_end(core, s);
    if (reason == ERROR_WRONG_CLUSTER)
        note_foreign(core, s);
}

/* ---- the leader ---- */

/* One process may be reached by two addresses. */
static bool is_leaders_process(const struct agent_core *core, const struct session *s)
{
    const struct session *leader = &core->sessions[core->leader.master];

    return s->master == leader->master && s->incarnation == leader->incarnation;
}

static void leader_obeyed(struct agent_core *core)
{
    core->leader.phase = LEADER_REGISTERED;
    core->leader.deadline_ms = NEVER;
    core->leader.tries = 0;
    if (core->leased > 0)
        core->heartbeat_leader_ms = core->now_ms; /* asks for renewal */
    updates_restart(core);
}

static void leader_rest(struct agent_core *core)
{
    uint32_t doublings = core->leader.tries < 5 ? core->leader.tries : 5;
    uint64_t wait_ms = (uint64_t)REGISTER_RETRY_MS << doublings;

    if (wait_ms > REGISTER_RETRY_MAX_MS)
        wait_ms = REGISTER_RETRY_MAX_MS;
    core->leader.phase = LEADER_RESTING;
    core->leader.tries++;
    core->leader.deadline_ms =
        core->now_ms + rng_between(&core->rng, wait_ms / 2, wait_ms);
}

static void on_leading(struct agent_core *core, struct session *s, uint64_t term)
{
#ifndef MUTANT_LOWER_TERM_OBEYED
    if (term < core->term) {
        core->orders_refused++;
        send_heartbeat(core, s); /* tells it the higher term */
        return;
    }
#endif
    if (term == core->term && core->leader.phase != LEADER_NONE) {
        if (!is_leaders_process(core, s))
            session_reject(core, s, "two masters say that they lead in one term");
        return;
    }
    if (term > core->term) {
        core->term = term;
        core->fence_changed = true;
    }
    core->leader = (struct leader){
        .phase = LEADER_FENCING,
        .master = master_of(core, s),
        .session = s->id,
        .sequence = core->sequence + (core->fence_changed ? 1 : 0),
        .deadline_ms = NEVER,
    };
    core->heartbeat_leader_ms = core->now_ms;
    leading_durable(core);
}

void leading_durable(struct agent_core *core)
{
    if (core->leader.phase == LEADER_FENCING && core->durable >= core->leader.sequence)
        begin_register(core);
}

static void on_gone(struct agent_core *core)
{
    agent_actions_log(core->out,
                      LOG_LEVEL_ERROR,
                      "this agent was declared gone: ending its %u runs",
                      core->run_count);
    core->gone = true;
    core->leader = (struct leader){.deadline_ms = NEVER};
    runs_stop_all(core);
}

static void
on_register_error(struct agent_core *core, struct session *s, const struct rpc *rpc)
{
    switch (rpc->code) {
    case ERROR_WRONG_CLUSTER:
        session_reject_cluster(core, s);
        return;
    case ERROR_NOT_FOUND:
        on_gone(core);
        return;
    case ERROR_INVALID:
    case ERROR_TOO_LARGE:
    case ERROR_CONFLICT:
    case ERROR_VERSION:
        core_fatal(core,
                   rpc->code,
                   "the leader refuses this agent: %.*s",
                   (int)rpc->text.size,
                   (const char *)rpc->text.data);
        return;
    default:
        agent_actions_log(core->out,
                          LOG_LEVEL_INFO,
                          "cannot register yet: %.*s",
                          (int)rpc->text.size,
                          (const char *)rpc->text.data);
        leader_rest(core);
    }
}

static void
on_register_result(struct agent_core *core, struct session *s, struct bytes bytes)
{
    struct register_result result;
    struct error err;

    if (register_result_unpack(&result, bytes, &err) != 0) {
        session_reject(core, s, err.text);
        return;
    }
    if (core->has_cluster &&
        memcmp(core->cluster, result.cluster_id, sizeof(core->cluster)) != 0) {
        session_reject_cluster(core, s);
        return;
    }
    if (!core->has_cluster || core->agent != result.agent) {
        memcpy(core->cluster, result.cluster_id, sizeof(core->cluster));
        core->has_cluster = true;
        core->agent = result.agent;
        core->identity_changed = true;
    }
    agent_actions_log(core->out,
                      LOG_LEVEL_INFO,
                      "agent %llu follows master %s in term %llu with %u runs",
                      (unsigned long long)core->agent,
                      s->address,
                      (unsigned long long)core->term,
                      core->run_count);
    if (result.send_runs) {
        updates_restart(core);
        core->leader.answers = updates_tell_all(core);
        core->leader.phase = LEADER_TELLING;
        core->leader.deadline_ms = core->now_ms + REGISTER_TIMEOUT_MS;
    } else {
        leader_obeyed(core);
    }
}

static void
on_response(struct agent_core *core, struct session *s, const struct rpc *rpc)
{
    struct leader *l = &core->leader;

    if (!is_leader(core, s)) {
        finding_answered(core, rpc);
        return;
    }
    /* An answer that comes late, while we rest, is good. */
    if ((l->phase == LEADER_REGISTERING || l->phase == LEADER_RESTING) &&
        rpc->id == l->request) {
        if (rpc->code != ERROR_NONE)
            on_register_error(core, s, rpc);
        else
            on_register_result(core, s, rpc->params);
    } else if (l->phase == LEADER_TELLING && rpc->id > l->request) {
        if (rpc->code != ERROR_NONE)
            leader_rest(core);
        else if (--l->answers == 0)
            leader_obeyed(core);
    }
}

/* ---- orders ---- */

static void
obey(struct agent_core *core, enum method method, const struct order_list *orders)
{
    struct command_cursor at = {0};
    struct launch launch;
    struct stop stop;
    struct ack ack;

    if (method == METHOD_LAUNCH) {
        while (launch_next(orders, &at, &launch))
            runs_launch(core, orders->term, &launch);
    } else if (method == METHOD_STOP) {
        while (stop_next(orders, &at, &stop))
            runs_stop(core, &stop);
    } else {
        while (ack_next(orders, &at, &ack))
            runs_ack(core, &ack);
    }
}

static void on_orders(struct agent_core *core, struct session *s, const struct rpc *rpc)
{
    struct order_list orders;
    struct error err;

    if (order_list_unpack(&orders, rpc->method, rpc->params, &err) != 0)
        session_reject(core, s, err.text);
    else if (orders.term > core->term)
        on_leading(
            core, s, orders.term); /* it derives its orders again once registered */
#ifdef MUTANT_LOWER_TERM_OBEYED
    else if (is_leader(core, s))
        obey(core, rpc->method, &orders);
#endif
    else if (orders.term == core->term && is_leader(core, s) &&
             core->leader.phase != LEADER_FENCING)
        obey(core, rpc->method, &orders);
    else
        core->orders_refused++;
}

/* ---- frames ---- */

static bool of_other_cluster(const struct agent_core *core, const struct hello *h)
{
    bool founded =
        h->cluster.size == CLUSTER_ID_BYTES &&
        (h->cluster_hash.size != h->cluster.size ||
         memcmp(h->cluster.data, h->cluster_hash.data, h->cluster.size) != 0);

    return core->has_cluster && founded &&
           memcmp(core->cluster, h->cluster.data, CLUSTER_ID_BYTES) != 0;
}

static void on_hello(struct agent_core *core, struct session *s, const struct rpc *rpc)
{
    struct hello h;
    struct error err;

    if (rpc->type != RPC_NOTIFY || rpc->method != METHOD_HELLO) {
        session_reject(core, s, "it did not say hello first");
    } else if (hello_unpack(&h, rpc->params, &err) != 0) {
        session_reject(core, s, err.text);
    } else if (h.role != HELLO_MASTER) {
        session_reject(core, s, "it is not a master");
    } else if (of_other_cluster(core, &h)) {
        session_reject_cluster(core, s);
    } else {
        s->greeted = true;
        s->master = h.id;
        s->incarnation = h.incarnation;
        finding_greeted(core);
        s->foreign = false;
        if (h.leads)
            on_leading(core, s, h.term);
    }
}

static void
on_leading_frame(struct agent_core *core, struct session *s, const struct rpc *rpc)
{
    struct error err;
    uint64_t term;

    if (leading_unpack(&term, rpc->params, &err) != 0)
        session_reject(core, s, err.text);
    else if (term != 0)
        on_leading(core, s, term);
    else if (is_leader(core, s))
        core->leader = (struct leader){.deadline_ms = NEVER}; /* it leads no more */
}

static void on_lease(struct agent_core *core, struct session *s, const struct rpc *rpc)
{
    uint64_t term, sequence;
    struct error err;

    if (lease_unpack(&term, &sequence, rpc->params, &err) != 0)
        session_reject(core, s, err.text);
    else if (term == core->term && is_leader(core, s) &&
             core->leader.phase >= LEADER_TELLING)
        leases_confirmed(core, sequence);
}

void leading_disk(struct agent_core *core, bool low)
{
    if (low == core->disk_low)
        return;
    core->disk_low = low;
    core->heartbeat_leader_ms = core->now_ms; /* the leader is to know at once */
    agent_actions_log(core->out,
                      LOG_LEVEL_WARNING,
                      low ? "the disk is low: taking no new work"
                          : "there is room on the disk again: taking new work");
}

static void
on_request(struct agent_core *core, struct session *s, const struct rpc *rpc)
{
    size_t offset = core->out->bytes.size;

    rpc_error(
        &core->out->bytes, rpc->id, ERROR_INVALID, "an agent answers no requests", "");
    agent_actions_send(core->out, s->id, offset);
}

void leading_frame(struct agent_core *core, uint64_t session, struct bytes frame)
{
    struct session *s = session_find(core, session);
    struct error err;
    struct rpc rpc;

    if (s == NULL)
        return; /* it came before the session closed */
    if (rpc_unpack(&rpc, frame, &err) != 0) {
        session_reject(core, s, err.text);
    } else if (!s->greeted) {
        on_hello(core, s, &rpc);
    } else if (rpc.type == RPC_RESPONSE) {
        on_response(core, s, &rpc);
    } else if (rpc.type == RPC_REQUEST) {
        on_request(core, s, &rpc);
    } else if (rpc.method == METHOD_LEADING) {
        on_leading_frame(core, s, &rpc);
    } else if (rpc.method == METHOD_LAUNCH || rpc.method == METHOD_STOP ||
               rpc.method == METHOD_ACK) {
        on_orders(core, s, &rpc);
    } else if (rpc.method == METHOD_LEASE) {
        on_lease(core, s, &rpc);
    }
}

/* ---- time ---- */

static void heartbeats(struct agent_core *core)
{
    bool to_leader = core->now_ms >= core->heartbeat_leader_ms;
    bool to_others = core->now_ms >= core->heartbeat_others_ms;

    if (core->agent == 0)
        return;
    for (uint32_t m = 0; m < core->masters; m++) {
        struct session *s = &core->sessions[m];

        if (s->greeted && (is_leader(core, s) ? to_leader : to_others))
            send_heartbeat(core, s);
    }
    if (to_leader)
        core->heartbeat_leader_ms = core->now_ms + HEARTBEAT_LEADER_MS;
    if (to_others)
        core->heartbeat_others_ms = core->now_ms + HEARTBEAT_OTHERS_MS;
}

void leading_tick(struct agent_core *core)
{
    heartbeats(core);
    if (core->leader.phase == LEADER_NONE || core->now_ms < core->leader.deadline_ms)
        return;
    if (core->leader.phase == LEADER_RESTING)
        begin_register(core);
    else
        leader_rest(core); /* no answer: it has much to do */
}

uint64_t leading_deadline(const struct agent_core *core)
{
    uint64_t deadline = NEVER;
    bool greeted = false;

    for (uint32_t m = 0; m < core->masters; m++)
        greeted = greeted || core->sessions[m].greeted;
    if (greeted && core->agent != 0)
        deadline = core->heartbeat_others_ms;
    if (core->leader.phase == LEADER_NONE)
        return deadline;
    if (core->agent != 0 && core->heartbeat_leader_ms < deadline)
        deadline = core->heartbeat_leader_ms;
    if (core->leader.deadline_ms < deadline)
        deadline = core->leader.deadline_ms;
    return deadline;
}
