/* agents.c - sessions of agents: registration, re-attaching, reports.
 *
 * An agent keeps a session with every master.  The leader says leading{term} on all of them;
 * the agent answers with `register`: who it is, and a digest of its runs.  If the state knows
 * the agent with the same spec and the digest agrees, it is attached with nothing written.
 * Otherwise it registers through the log, or sends all its runs, and what differs is repaired
 * (joint 9).
 */
#include "master/core/internal.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

static int compare_views(const struct agent_view *a, const struct agent_view *b)
{
    return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE(view_tree, agent_view, link, compare_views)

/* ---- views ---- */

struct agent_view *agents_view(struct master_core *m, uint64_t agent)
{
    struct agent_view key = {.id = agent};

    return RB_FIND(view_tree, &m->views, &key);
}

struct agent_view *agents_view_of(struct master_core *m, uint64_t agent)
{
    struct agent_view *v = agents_view(m, agent);

    if (v != NULL)
        return v;
    v = mem_zalloc(sizeof(*v));
    v->id = agent;
    ASSERT(RB_INSERT(view_tree, &m->views, v) == NULL);
    return v;
}

const struct attempt *agents_attempt(const struct master_core *m,
                                     const struct agent_view *v,
                                     uint64_t attempt)
{
    const struct attempt *a = state_attempt(m->state, attempt);

    return a != NULL && a->agent->id == v->id ? a : NULL;
}

static void forget_reported(struct agent_view *v)
{
    mem_free(v->reported);
    v->reported = NULL;
    v->reported_count = 0;
    v->reported_capacity = 0;
    v->reported_up_to = 0;
    v->next_part = 0;
}

static void detach(struct master_core *m, struct agent_view *v)
{
    orders_forget(m, v);
    usages_forget(m, v);
    v->session = 0;
    v->synced = false;
    v->lease_asked = 0;
    forget_reported(v);
}

static void drop_view(struct master_core *m, struct agent_view *v)
{
    detach(m, v);
    silence_forget(m, v);
    drains_forget(v);
    damping_forget(m, v);
    repeats_forget(v);
    RB_REMOVE(view_tree, &m->views, v);
    mem_free(v);
}

void agents_gone(struct master_core *m, uint64_t agent)
{
    struct agent_view *v = agents_view(m, agent);

    if (v == NULL)
        return;
    if (v->session != 0)
        core_close(m, v->session, "agent %llu is gone", (unsigned long long)agent);
#ifdef MUTANT_VIEW_OF_GONE_KEPT
    return;
#endif
    drop_view(m, v);
}

void agents_verify(const struct master_core *m)
{
    struct master_core *here = (struct master_core *)(uintptr_t)m;
    struct agent *agent;
    struct agent_view *v;
    uint64_t heard_ms = 0;
    size_t views = 0;
    uint64_t damped = 0;

    RB_FOREACH (agent, agent_tree, &m->state->agents) {
        if (agent->state == AGENT_GONE)
            continue;
        v = agents_view(here, agent->id);
        ASSERT(v != NULL);
        ASSERT(sched_refuses(m->sched, v->id) == agents_refuses(v));
        ASSERT(v->active == (agent->state == AGENT_ACTIVE));
        ASSERT(v->lapses || v->active ||
               agent->attempts_count == agent->superseded_count);
        ASSERT(v->drain_us == (agent->drain_due ? 0 : agent->drain_us));
        views++;
        damped += v->damping.is_on;
    }
    ASSERT(damped == m->damped);
    RB_FOREACH (v, view_tree, &here->views)
        views--;
    ASSERT(views == 0);
    TAILQ_FOREACH (v, &m->heard, heard_link) {
        ASSERT(v->heard_ms >= heard_ms);
        heard_ms = v->heard_ms;
    }
}

void agents_end(struct master_core *m)
{
    struct agent_view *v, *next;
    struct session *session;

    RB_FOREACH_SAFE (v, view_tree, &m->views, next)
        drop_view(m, v);
    RB_FOREACH (session, session_tree, &m->sessions)
        session->agent = 0;
}

/* ---- leading: agents register, clients know whom to ask ---- */

static void say_leading(struct master_core *m, uint64_t session, uint64_t term)
{
    size_t begin = core_begin(m);

    leading_pack(term, core_out(m));
    core_end(m, session, begin);
}

static void tell(struct master_core *m, struct session *session)
{
    if (!session->told)
        say_leading(m, session->number, m->leading.term);
    session->told = true;
}

void agents_begin(struct master_core *m, uint64_t term)
{
    struct session *session;

    ASSERT(term == m->leading.term);
    silence_begin(m);
    RB_FOREACH (session, session_tree, &m->sessions) {
        session->told = false;
        if (session->role != HELLO_AGENT)
            say_leading(m, session->number, term);
    }
    m->leading.telling = true;
    agents_tell(m);
}

/* Each answers at once: all of them in one turn would keep us from the other masters. */
void agents_tell(struct master_core *m)
{
    struct session key = {.number = m->leading.told_up_to + 1};
    struct session *session;
    unsigned budget = m->config.told_per_turn;

    if (!m->leading.telling)
        return;
    session = RB_NFIND(session_tree, &m->sessions, &key);
    for (; session != NULL && budget > 0;
         session = RB_NEXT(session_tree, &m->sessions, session)) {
        m->leading.told_up_to = session->number;
        if (session->role != HELLO_AGENT || session->told)
            continue;
        tell(m, session);
        budget--;
    }
    silence_coming(m);
    m->leading.telling = session != NULL;
#ifdef MUTANT_TELLING_FORGOTTEN
    m->leading.telling = false;
#endif
    if (m->leading.telling)
        m->actions->again = true;
}

/* The new leader says so itself, but not to agents that know nothing of it. */
void agents_deposed(struct master_core *m)
{
    struct session *session;

    RB_FOREACH (session, session_tree, &m->sessions)
        if (session->role == HELLO_AGENT)
            say_leading(m, session->number, 0);
}

void agents_opened(struct master_core *m, struct session *session)
{
    if (m->leading.active)
        tell(m, session);
}

void agents_closed(struct master_core *m, struct session *session)
{
    struct agent_view *v = session->agent != 0 ? agents_view(m, session->agent) : NULL;

    if (v != NULL && v->session == session->number)
        detach(m, v);
}

/* ---- attach ---- */

static void expected_runs(const struct agent *agent, uint64_t *digest, uint32_t *count)
{
    struct attempt *a;

    *digest = 0;
    *count = 0;
    TAILQ_FOREACH (a, &agent->attempts, by_agent) {
        *digest += run_digest(a->id, (enum task_state)a->state);
        (*count)++;
    }
}

bool agents_refuses(const struct agent_view *v)
{
    return (v->flags & AGENT_FLAG_LOW_DISK) != 0 || v->damping.is_on;
}

/* Its disk is low, or not any more: not for the log, it changes by itself. */
static void take_flags(struct master_core *m, struct agent_view *v, uint32_t flags)
{
    flags &= AGENT_FLAGS_SAID;
    if (v->flags == flags)
        return;
    v->flags = flags;
    sched_agent_refuses(m->sched, m->state, v->id, agents_refuses(v));
    m->leading.round_due = true;
}

static void attach(struct master_core *m,
                   uint64_t number,
                   uint32_t rpc,
                   uint64_t id,
                   uint64_t digest,
                   uint32_t count,
                   uint32_t flags)
{
    struct session key = {.number = number};
    struct session *session = RB_FIND(session_tree, &m->sessions, &key);
    const struct agent *agent = state_agent(m->state, id);
    struct agent_view *v;
    struct register_result result = {.agent = id, .term = m->leading.term};
    uint64_t expected_digest;
    uint32_t expected_count;
    size_t begin;

    if (agent == NULL)
        return;
    v = agents_view_of(m, id);
    silence_heard(m, v);
    if (!v->came)
        silence_coming(m);
    v->came = true;
    v->declared = false;
    if (session == NULL)
        return; /* it went away while its registration was committed */
#ifndef MUTANT_LATE_REGISTRATION_COUNTS
    /* It went through the log, and was overtaken: the agent waits for the later answer only. */
    if (v->session == number && (int32_t)(rpc - v->request) < 0)
        return;
#endif
    if (session->agent != id)
        agents_closed(m, session); /* it spoke for another agent before */
    if (v->session != 0 && v->session != number)
        core_close(
            m, v->session, "agent %llu opened a newer session", (unsigned long long)id);
    detach(m, v);
    v->session = number;
    v->request = rpc;
    session->agent = id;
    m->counters.agents_attached++;

    expected_runs(agent, &expected_digest, &expected_count);
    take_flags(m, v, flags);
    result.send_runs = expected_digest != digest || expected_count != count;
    memcpy(result.cluster_id, m->cluster_id, sizeof(result.cluster_id));
    begin = core_begin(m);
    register_result_pack(&result, rpc, core_out(m));
    core_end(m, number, begin);
    if (result.send_runs) {
        m->counters.agents_reconciled++;
        return;
    }
    v->synced = true;
    orders_derive(m, v, true);
}

static const char *why_not_registered(enum error_code code)
{
    switch (code) {
    case ERROR_CONFLICT:
        return "its key is another one; start it with an empty work directory";
    case ERROR_NOT_FOUND:
        return "it is gone; start it with an empty work directory";
    case ERROR_BUSY:
        return "the cluster has as many agents as it may; it goes on trying";
    default:
        return "its resources or attributes are not valid";
    }
}

void agents_registered(struct master_core *m,
                       const struct origin *origin,
                       const struct result *r)
{
    uint64_t id = r->id != 0 ? r->id : origin->agent;

    if (r->code != ERROR_NONE) {
        core_refuse(m,
                    origin->session,
                    origin->rpc,
                    r->code,
                    "agent %llu cannot register: %s",
                    (unsigned long long)origin->agent,
                    why_not_registered(r->code));
        return;
    }
    attach(m,
           origin->session,
           origin->rpc,
           id,
           origin->runs_digest,
           origin->runs_count,
           origin->flags);
}

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static void
handle_register(struct master_core *m, struct session *session, const struct rpc *rpc)
{
    struct register_request q;
    struct error err;
    const struct agent *agent;
    struct agent_view *v;
    struct command command;
    struct origin origin = {
        .kind = ORIGIN_REGISTER, .session = session->number, .rpc = rpc->id};

    if (!m->leading.active || !m->state->globals.founded) {
        core_not_leader(m, session->number, rpc->id);
        return;
    }
    if (register_unpack(&q, rpc->params, &err) != 0) {
        core_refuse(m, session->number, rpc->id, err.code, "%s", err.text);
        return;
    }
    tell(m, session); /* it asks all masters: it is to know that a leader answers */
    v = agents_view(m, q.agent);
    if (v != NULL)
        silence_heard(m, v); /* not silent while this waits for its commit */
    agent = q.agent != 0 ? state_agent(m->state, q.agent) : NULL;
    if (agent != NULL && agent->state == AGENT_ACTIVE &&
        bytes_equal(agent->spec, q.spec)) {
        attach(
            m, session->number, rpc->id, q.agent, q.runs_digest, q.runs_count, q.flags);
        return;
    }
    if (!propose_has_room(m)) {
        core_busy(m,
                  session->number,
                  rpc->id,
                  BUSY_QUEUE_MS,
                  "the leader is busy; register again");
        return;
    }
    origin.agent = q.agent;
    origin.runs_digest = q.runs_digest;
    origin.runs_count = q.runs_count;
    origin.flags = q.flags;
    if (q.agent == 0)
        command = (struct command){.kind = COMMAND_AGENT_REGISTER,
                                   .agent_register.spec = q.spec};
    else
        command =
            (struct command){.kind = COMMAND_AGENT_REREGISTER,
                             .agent_reregister = {.agent = q.agent, .spec = q.spec}};
    propose(m, &command, &origin);
}

/* ---- reports ---- */

/* True if the state would change by it. */
static bool is_news(const struct attempt *a, const struct run_report *run)
{
    const struct task *t = job_task(a->job, a->instance);

    if (a->superseded)
        return task_state_is_final(run->state);
    if (run->state == a->state)
        return run->health != task_health(t) || run->restarts != task_restarts(t);
    return run->state > a->state;
}

/* Reports that the state does not have yet go into the log and are acknowledged after commit;
 * those that it has, or will never want, at once. */
static void
take_reports(struct master_core *m, struct agent_view *v, const struct run_list *list)
{
    struct task_update updates[LIMIT_UPDATES];
    struct ack acks[LIMIT_UPDATES];
    struct command command = {.kind = COMMAND_TASK_UPDATE,
                              .task_update = {.agent = v->id, .updates = updates}};
    struct origin origin = {.kind = ORIGIN_UPDATE, .agent = v->id};
    struct command_cursor at = {0};
    struct run_report run;
    uint32_t n = 0;

    while (run_list_next(list, &at, &run)) {
        const struct attempt *a = agents_attempt(m, v, run.attempt);
        const struct ack ack = {run.attempt, run.state, run.health, run.restarts};

        if (a == NULL) {
            /* Removed from the state: a live one has no right to run any more. */
            if (task_state_is_final(run.state))
                orders_ack(m, v, &ack);
            else
                orders_add(m, v, ORDER_STOP, run.attempt);
            continue;
        }
        if (!is_news(a, &run)) {
            orders_ack(m, v, &ack);
            continue;
        }
        if (run.state < TASK_STARTING || run.state == TASK_KILLING)
            continue;
        acks[n] = ack;
        updates[n++] = (struct task_update){.attempt = run.attempt,
                                            .state = run.state,
                                            .reason = run.reason,
                                            .exit_code = run.exit_code,
                                            .message = run.message,
                                            .health = run.health,
                                            .restarts = run.restarts};
#ifdef MUTANT_UPDATE_ACKED_EARLY
        orders_ack(m, v, &ack);
#endif
    }
    if (n == 0 || !propose_has_room(m))
        return; /* when there is no room the agent repeats itself */
    origin.acks = mem_dup(acks, n * sizeof(*acks));
    origin.ack_count = n;
    command.task_update.count = n;
    propose(m, &command, &origin);
}

void agents_updated(struct master_core *m,
                    const struct origin *origin,
                    const struct result *r)
{
    struct agent_view *v = agents_view(m, origin->agent);

    if (v == NULL || v->session == 0 || r->code != ERROR_NONE)
        return;
    for (uint32_t i = 0; i < origin->ack_count; i++)
        orders_ack(m, v, &origin->acks[i]);
}

static struct agent_view *attached(struct master_core *m, const struct session *session)
{
    struct agent_view *v = session->agent != 0 ? agents_view(m, session->agent) : NULL;

    return m->leading.active && v != NULL && v->session == session->number ? v : NULL;
}

/* One part of its runs.  They ascend, so what is kept is never more than is on the agent. */
static bool
keep_reported(struct master_core *m, struct agent_view *v, const struct run_list *list)
{
    struct command_cursor at = {0};
    struct run_report run;

    while (run_list_next(list, &at, &run)) {
        if (run.attempt <= v->reported_up_to)
            return false;
        v->reported_up_to = run.attempt;
        if (agents_attempt(m, v, run.attempt) == NULL)
            continue;
        MEM_GROW(v->reported, v->reported_capacity, v->reported_count + 1);
        v->reported[v->reported_count++] = run.attempt;
    }
    v->next_part++;
    return true;
}

static void
handle_runs(struct master_core *m, struct session *session, const struct rpc *rpc)
{
    struct agent_view *v = attached(m, session);
    struct run_list list;
    struct error err;
    size_t begin, frame;

    if (v == NULL) {
        core_not_leader(m, session->number, rpc->id);
        return;
    }
    if (run_list_unpack(&list, rpc->params, &err) != 0 || list.agent != v->id ||
        list.part != v->next_part || !keep_reported(m, v, &list)) {
        core_close(
            m, session->number, "`runs` out of order or malformed; register again");
        return;
    }
    take_reports(m, v, &list);
    begin = core_begin(m);
    frame = rpc_begin_result(core_out(m), rpc->id);
    pack_array(core_out(m), 0);
    rpc_end(core_out(m), frame);
    core_end(m, session->number, begin);
    if (list.part + 1 < list.parts)
        return;
    v->synced = true;
    orders_derive(m, v, false);
    forget_reported(v);
}

static void
handle_update(struct master_core *m, struct session *session, const struct rpc *rpc)
{
    struct agent_view *v = attached(m, session);
    struct run_list list;
    struct error err;

    if (v == NULL)
        return; /* it repeats itself to whoever leads */
    if (run_list_unpack(&list, rpc->params, &err) != 0)
        core_close(m, session->number, "%s", err.text);
    else if (list.agent == v->id)
        take_reports(m, v, &list);
}

/* One that waits for its registration is not silent. */
static void
handle_heartbeat(struct master_core *m, struct session *session, const struct rpc *rpc)
{
    struct agent_view *v;
    struct heartbeat h;
    struct error err;

    if (heartbeat_unpack(&h, rpc->params, &err) != 0) {
        core_close(m, session->number, "%s", err.text);
        return;
    }
    v = agents_view(m, h.agent);
    if (v != NULL && v->session == 0)
        silence_heard(m, v);
    v = attached(m, session);
    if (v == NULL || v->id != h.agent)
        return;
    take_flags(m, v, h.flags);
    if (h.sequence != 0)
        renewals_ask(m, v, h.sequence);
}

void agents_frame(struct master_core *m, struct session *session, const struct rpc *rpc)
{
    struct agent_view *v = attached(m, session);
    const struct agent *agent = v != NULL ? state_agent(m->state, v->id) : NULL;

    if (v != NULL) {
        silence_heard(m, v);
        orders_heard(m, v);
    }
    if (agent != NULL && agent->state != AGENT_ACTIVE &&
        rpc->method != METHOD_REGISTER) {
        /* It was silent for too long and never noticed. */
        core_close(m, session->number, "declared unreachable; register again");
        return;
    }
    switch (rpc->method) {
    case METHOD_REGISTER:
        handle_register(m, session, rpc);
        break;
    case METHOD_RUNS:
        handle_runs(m, session, rpc);
        break;
    case METHOD_UPDATE:
        handle_update(m, session, rpc);
        break;
    case METHOD_HEARTBEAT:
        handle_heartbeat(m, session, rpc);
        break;
    case METHOD_USAGE:
        if (v != NULL && rpc->type == RPC_NOTIFY)
            usages_frame(m, v, rpc);
        break;
    default:
        if (rpc->type == RPC_REQUEST)
            core_refuse(m,
                        session->number,
                        rpc->id,
                        ERROR_INVALID,
                        "an agent cannot ask for `%s`",
                        method_name(rpc->method));
        break;
    }
}
