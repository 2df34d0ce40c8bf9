/* clients.c - requests of clients.
 *
 * What changes something goes through the log and is answered when it was applied, with its
 * index.  A listing waits until a majority confirms that we lead (reads.c of the replica),
 * unless the client said stale.  A follower answers not_leader with the leader's address.
 */
#include "master/core/internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "wire/message_plan.h"
#include "wire/message_role.h"

static int compare_reads(const struct read_request *a, const struct read_request *b)
{
    return a->ticket < b->ticket ? -1 : a->ticket > b->ticket;
}

RB_GENERATE(read_tree, read_request, link, compare_reads)

/* ---- changes ---- */

/* Before that nothing is served (joint 2). */
static bool
is_founded(struct master_core *m, const struct session *session, const struct rpc *rpc)
{
    if (m->state->globals.founded)
        return true;
    core_refuse(m,
                session->number,
                rpc->id,
                ERROR_UNAVAILABLE,
                "the cluster is being founded: not all masters were here yet");
    return false;
}

static bool is_submit(enum method method)
{
    return method == METHOD_SUBMIT || method == METHOD_SUBMIT_ALL ||
           method == METHOD_DISPATCH;
}

static bool
may_propose(struct master_core *m, const struct session *session, const struct rpc *rpc)
{
    if (!m->leading.active || m->shutting_down) {
        core_not_leader(m, session->number, rpc->id);
        return false;
    }
    if (!is_founded(m, session, rpc))
        return false;
    if (is_submit(rpc->method) ? !propose_takes_jobs(m) : !propose_takes_requests(m)) {
        core_busy(m,
                  session->number,
                  rpc->id,
                  BUSY_QUEUE_MS,
                  "%zu requests wait already, as many as may",
                  m->proposals.count);
        return false;
    }
    return true;
}

static void propose_for(struct master_core *m,
                        const struct session *session,
                        const struct rpc *rpc,
                        const struct command *command)
{
    propose(m,
            command,
            &(struct origin){.kind = ORIGIN_CLIENT,
                             .method = rpc->method,
                             .session = session->number,
                             .rpc = rpc->id});
}

/* Then it gets the answer that it had, whatever else it says. */
static bool is_key_used(const struct state *s, struct bytes key)
{
    return state_job_by_key(s, key) != NULL || state_tombstone(s, key) != NULL;
}

static void confirm_ahead(struct master_core *m,
                          const struct session *session,
                          const struct rpc *rpc);

static bool is_ahead(const struct state *s, const struct submit_request *q)
{
    return q->check > s->index && !is_key_used(s, q->key);
}

static void
handle_submit(struct master_core *m, struct session *session, const struct rpc *rpc)
{
    struct submit_request q;
    struct error err;
    struct command command = {
        .kind = rpc->method == METHOD_SUBMIT_ALL ? COMMAND_SUBMIT_ALL : COMMAND_SUBMIT};

    if (submit_unpack(&q, rpc->params, &err) != 0) {
        core_refuse(m, session->number, rpc->id, err.code, "%s", err.text);
        return;
    }
    if (!may_propose(m, session, rpc))
        return;
    if (is_ahead(m->state, &q)) {
        confirm_ahead(m, session, rpc);
        return;
    }
    command.submit.key = q.key;
    command.submit.spec = q.spec;
    command.submit.owner = q.owner;
    command.submit.check = q.check;
    propose_for(m, session, rpc, &command);
}

static void
handle_dispatch(struct master_core *m, struct session *session, const struct rpc *rpc)
{
    struct command command = {.kind = COMMAND_DISPATCH};
    struct dispatch_request q;
    struct error err;

    if (dispatch_unpack(&q, rpc->params, &err) != 0) {
        core_refuse(m, session->number, rpc->id, err.code, "%s", err.text);
        return;
    }
    if (!may_propose(m, session, rpc))
        return;
    command.dispatch.key = q.key;
    command.dispatch.job = q.job;
    command.dispatch.values = q.values;
    command.dispatch.owner = q.owner;
    propose_for(m, session, rpc, &command);
}

static void
handle_by_id(struct master_core *m, struct session *session, const struct rpc *rpc)
{
    struct command command = {.kind = COMMAND_KILL};
    struct error err;
    uint64_t id;

    if (id_request_unpack(&id, rpc->params, &err) != 0) {
        core_refuse(m, session->number, rpc->id, err.code, "%s", err.text);
        return;
    }
    if (!may_propose(m, session, rpc))
        return;
    switch (rpc->method) {
    case METHOD_KILL:
        command.kill.job = id;
        break;
    case METHOD_PURGE:
        command.kind = COMMAND_PURGE;
        command.purge.job = id;
        break;
    default:
        command.kind = COMMAND_AGENT_GONE;
        command.agent_gone.agent = id;
        break;
    }
    propose_for(m, session, rpc, &command);
}

static void
handle_agent_mode(struct master_core *m, struct session *session, const struct rpc *rpc)
{
    struct command command = {.kind = COMMAND_AGENT_MODE};
    struct agent_mode_request q;
    struct error err;

    if (agent_mode_unpack(&q, rpc->params, &err) != 0) {
        core_refuse(m, session->number, rpc->id, err.code, "%s", err.text);
        return;
    }
    if (!may_propose(m, session, rpc))
        return;
    command.agent_mode.agent = q.agent;
    command.agent_mode.mode = q.mode;
    command.agent_mode.deadline_ms = q.deadline_ms;
    m->leading.modes_flying++;
    propose_for(m, session, rpc, &command);
}

static void
handle_role(struct master_core *m, struct session *session, const struct rpc *rpc)
{
    struct command command = {.kind = COMMAND_ROLE_SET};
    struct error err;
    int rc;

    if (rpc->method == METHOD_ROLE_SET) {
        rc = role_set_unpack(&command.role_set.change, rpc->params, &err);
    } else {
        command.kind = COMMAND_ROLE_REMOVE;
        rc = role_remove_unpack(&command.role_remove.name, rpc->params, &err);
    }
    if (rc != 0)
        core_refuse(m, session->number, rpc->id, err.code, "%s", err.text);
    else if (may_propose(m, session, rpc))
        propose_for(m, session, rpc, &command);
}

/* What a rejected command means for roles; NULL: as for any. */
static const char *explain_role(enum method method, enum error_code code)
{
    bool removes = method == METHOD_ROLE_REMOVE;

    switch (code) {
    case ERROR_NOT_FOUND:
        return "there is no such role; `triarch roles` lists them";
    case ERROR_CONFLICT:
        return removes
                   ? "the role is `default`, or has jobs that have not ended; kill "
                     "them or wait"
                   : "all minima together would be more than the agents have; lower "
                     "this one or another";
    case ERROR_INVALID:
        return "with what it has already the role would break a rule: give min and max "
               "so that min is at most max";
    default:
        return NULL;
    }
}

const char *clients_explain(enum method method, enum error_code code)
{
    const char *why = NULL;

    if (method == METHOD_ROLE_SET || method == METHOD_ROLE_REMOVE)
        why = explain_role(method, code);
    if (why != NULL)
        return why;
    switch (code) {
    case ERROR_CONFLICT:
        return "this key was used for another job; use a new key for a new job";
    case ERROR_NOT_FOUND:
        if (method == METHOD_SUBMIT || method == METHOD_SUBMIT_ALL)
            return "no role has the name that the job gives, or no job an id that it "
                   "waits for; `triarch roles` and `triarch status` list them";
        if (method == METHOD_AGENT_MODE)
            return "no agent has this id, or it is gone";
        return method == METHOD_AGENT_GONE ? "no agent has this id"
                                           : "no job has this id";
    case ERROR_BUSY: /* of a plan; of commands busy.c tells more */
        return "the cluster would keep more jobs, tasks or schedules than it may; "
               "purge or kill some";
    case ERROR_TOO_LARGE:
        return "this is more than the cluster may hold; ask for fewer tasks";
    case ERROR_INVALID:
        if (method == METHOD_DISPATCH)
            return "the job has no parameters, or others, or is killed; `triarch show` "
                   "tells what it takes";
        return method == METHOD_PURGE ? "the job has not ended yet; kill it first"
                                      : "the job is not valid";
    case ERROR_CHANGED:
        return "agents, or jobs of the role, are not as they were when that was "
               "planned; plan again";
    case ERROR_VERSION:
        return "the job says what this version of the masters does not know; leave it "
               "out, or upgrade the masters";
    default:
        return "the command was rejected";
    }
}

void clients_result(struct master_core *m,
                    const struct origin *origin,
                    const struct result *r)
{
    struct submit_result answer = {.id = r->id, .index = r->index};
    struct busy busy;
    size_t begin;

    m->leading.modes_flying -= origin->method == METHOD_AGENT_MODE;
    if (r->code == ERROR_BUSY) {
        busy = busy_because(m, origin->method);
        core_busy(m, origin->session, origin->rpc, busy.retry_after_ms, "%s", busy.why);
        return;
    }
    if (r->code != ERROR_NONE) {
        core_refuse(m,
                    origin->session,
                    origin->rpc,
                    r->code,
                    "%s",
                    clients_explain(origin->method, r->code));
        return;
    }
    begin = core_begin(m);
    submit_result_pack(&answer, origin->rpc, core_out(m));
    core_end(m, origin->session, begin);
}

/* ---- listings ---- */

/* The core answers this one at any time, of itself. */
static void answer_masters(struct master_core *m,
                           const struct session *session,
                           const struct rpc *rpc)
{
    struct page page = {.rpc = rpc->id, .method = rpc->method};

    ASSERT(listing_go_on(m, session->number, &page));
    buffer_finish(&page.bytes);
}

static struct read_request *read_add(struct master_core *m,
                                     const struct session *session,
                                     const struct rpc *rpc,
                                     const struct list_request *list)
{
    struct read_request *q = mem_zalloc(sizeof(*q));

    q->ticket = ++m->last_ticket;
    q->session = session->number;
    q->page = (struct page){.rpc = rpc->id, .method = rpc->method, .q = *list};
    ASSERT(RB_INSERT(read_tree, &m->reads, q) == NULL);
    m->read_count++;
    return q;
}

/* NULL when it is refused. */
static struct read_request *begin_read(struct master_core *m,
                                       const struct session *session,
                                       const struct rpc *rpc,
                                       const struct list_request *list)
{
    if (!list->stale && !m->leading.active) {
        core_not_leader(m, session->number, rpc->id);
        return NULL;
    }
    if (!is_founded(m, session, rpc))
        return NULL;
    if (m->read_count >= LIMIT_REQUESTS_WAITING) {
        core_busy(m,
                  session->number,
                  rpc->id,
                  BUSY_QUEUE_MS,
                  "%u reads wait already, the limit",
                  LIMIT_REQUESTS_WAITING);
        return NULL;
    }
    return read_add(m, session, rpc, list);
}

/* A majority is to confirm that we lead. */
static void confirm_read(struct master_core *m, const struct read_request *q)
{
    struct replica_event event = {.kind = REPLICA_READ, .read.ticket = q->ticket};

    core_replica(m, &event);
}

static void
handle_list(struct master_core *m, struct session *session, const struct rpc *rpc)
{
    struct list_request list;
    struct error err;
    struct read_request *q;

    if (list_unpack(&list, rpc->params, &err) != 0) {
        core_refuse(m, session->number, rpc->id, err.code, "%s", err.text);
        return;
    }
    if (rpc->method == METHOD_MASTERS) {
        answer_masters(m, session, rpc);
        return;
    }
    q = begin_read(m, session, rpc, &list);
    if (q == NULL)
        return;
    if (list.stale)
        clients_read(m, q->ticket, true);
    else
        confirm_read(m, q);
}

/* ---- plans ---- */

static void
handle_plan(struct master_core *m, struct session *session, const struct rpc *rpc)
{
    const struct list_request list = {0};
    struct plan_request request;
    struct error err;
    struct read_request *q;

    if (plan_unpack(&request, rpc->params, &err) != 0) {
        core_refuse(m, session->number, rpc->id, err.code, "%s", err.text);
        return;
    }
    q = begin_read(m, session, rpc, &list);
    if (q == NULL)
        return;
    buffer_append(&q->plan, rpc->params.data, rpc->params.size);
    confirm_read(m, q);
}

/* It may be a plan of the next leader, of whom we have not heard. */
static void confirm_ahead(struct master_core *m,
                          const struct session *session,
                          const struct rpc *rpc)
{
    struct read_request *q = begin_read(m, session, rpc, &(struct list_request){0});

    if (q == NULL)
        return;
    buffer_append(&q->plan, rpc->params.data, rpc->params.size);
    confirm_read(m, q);
}

static void refuse_ahead(struct master_core *m, const struct read_request *r)
{
    struct submit_request q;

    ASSERT(submit_unpack(&q, buffer_view(&r->plan), NULL) == 0); /* as when it came */
    if (!is_ahead(m->state, &q))
        core_busy(m,
                  r->session,
                  r->page.rpc,
                  BUSY_QUEUE_MS,
                  "the state has just come to the check index");
    else
        core_refuse(m,
                    r->session,
                    r->page.rpc,
                    ERROR_INVALID,
                    "no plan has the check index %llu yet, the state is at %llu: give "
                    "the one that `triarch plan` tells",
                    (unsigned long long)q.check,
                    (unsigned long long)m->state->index);
}

/* As of now; the shell makes it. */
static void plan(struct master_core *m, const struct read_request *q)
{
    struct master_action *a;

    if (!m->leading.active) {
        core_not_leader(m, q->session, q->page.rpc);
        return;
    }
    if (m->planning) {
        core_busy(
            m, q->session, q->page.rpc, BUSY_PLAN_MS, "another plan is being made");
        return;
    }
    m->planning = true;
    a = core_act(m, MASTER_PLAN);
    a->plan.session = q->session;
    a->plan.rpc = q->page.rpc;
    a->plan.offset = core_out(m)->size;
    a->plan.size = q->plan.size;
    buffer_append(core_out(m), q->plan.data, q->plan.size);
}

void clients_planned(struct master_core *m,
                     uint64_t session,
                     uint32_t rpc,
                     struct bytes answer)
{
    size_t begin;

    m->planning = false;
    if (answer.size == 0) {
        core_refuse(
            m,
            session,
            rpc,
            ERROR_UNAVAILABLE,
            "the plan was not made in %d s, or the master has no memory for it; "
            "ask for less, or again later",
            LIMIT_PLAN_MS / 1000);
        return;
    }
    begin = core_begin(m);
    buffer_append(core_out(m), answer.data, answer.size);
    core_end(m, session, begin);
}

/* ---- reads that are confirmed ---- */

static void read_finish(struct master_core *m, struct read_request *q)
{
    RB_REMOVE(read_tree, &m->reads, q);
    m->read_count--;
    buffer_finish(&q->page.bytes);
    buffer_finish(&q->plan);
    mem_free(q);
}

void clients_read(struct master_core *m, uint64_t ticket, bool ready)
{
    struct read_request key = {.ticket = ticket};
    struct read_request *q = RB_FIND(read_tree, &m->reads, &key);

    if (q == NULL)
        return;
    if (ready) {
        STAILQ_INSERT_TAIL(&m->ready_reads, q, ready_link);
        return;
    }
    if (q->session != 0)
        core_not_leader(m, q->session, q->page.rpc);
    read_finish(m, q);
}

/* What changes something goes first.  But it may go on for ever, and who looks at that is
 * to see it. */
static bool stands_back(const struct master_core *m)
{
    return (m->proposals.count > 0 || m->proposals.flying_count > 0) &&
           m->now_ms < m->listed_ms + LIMIT_LISTED_PAUSE_MS;
}

/* A majority confirms many reads at once, and a request of thirty bytes may have an
 * answer of a mebibyte.  The state may go on meanwhile: a read is never too new. */
void clients_turn(struct master_core *m)
{
    struct read_request *q;

    if (STAILQ_EMPTY(&m->ready_reads) || stands_back(m))
        return;
    m->listed = (struct listed){0};
    m->listed_ms = m->now_ms;
    while ((q = STAILQ_FIRST(&m->ready_reads)) != NULL && !listing_is_enough(m)) {
        if (q->session != 0 && q->page.method == METHOD_PLAN)
            plan(m, q);
        else if (q->session != 0 && is_submit(q->page.method))
            refuse_ahead(m, q);
        else if (q->session != 0 && !listing_go_on(m, q->session, &q->page))
            break;
        STAILQ_REMOVE_HEAD(&m->ready_reads, ready_link);
        read_finish(m, q);
    }
    m->actions->again |= q != NULL && !stands_back(m);
}

uint64_t clients_deadline(const struct master_core *m)
{
    return STAILQ_EMPTY(&m->ready_reads) ? UINT64_MAX
                                         : m->listed_ms + LIMIT_LISTED_PAUSE_MS;
}

void clients_session_closed(struct master_core *m, uint64_t session)
{
    struct read_request *q;

    if (m->read_count == 0)
        return;
    RB_FOREACH (q, read_tree, &m->reads)
        if (q->session == session)
            q->session = 0;
}

void clients_finish(struct master_core *m)
{
    struct read_request *q, *next;

    RB_FOREACH_SAFE (q, read_tree, &m->reads, next)
        read_finish(m, q);
}

/* ---- dispatch ---- */

void clients_frame(struct master_core *m,
                   struct session *session,
                   const struct rpc *rpc)
{
    if (rpc->type != RPC_REQUEST)
        return;
    switch (rpc->method) {
    case METHOD_SUBMIT:
    case METHOD_SUBMIT_ALL:
        handle_submit(m, session, rpc);
        break;
    case METHOD_DISPATCH:
        handle_dispatch(m, session, rpc);
        break;
    case METHOD_KILL:
    case METHOD_PURGE:
    case METHOD_AGENT_GONE:
        handle_by_id(m, session, rpc);
        break;
    case METHOD_AGENT_MODE:
        handle_agent_mode(m, session, rpc);
        break;
    case METHOD_ROLE_SET:
    case METHOD_ROLE_REMOVE:
        handle_role(m, session, rpc);
        break;
    case METHOD_ROLES:
    case METHOD_FAILURES:
    case METHOD_FAILURE_SUMS:
    case METHOD_JOBS:
    case METHOD_TASKS:
    case METHOD_AGENTS:
    case METHOD_MASTERS:
    case METHOD_USAGE:
    case METHOD_SPEC:
        handle_list(m, session, rpc);
        break;
    case METHOD_PLAN:
        handle_plan(m, session, rpc);
        break;
    default:
        core_refuse(m,
                    session->number,
                    rpc->id,
                    ERROR_INVALID,
                    "a client cannot ask for `%.*s`",
                    (int)(rpc->method_text.size < 64 ? rpc->method_text.size : 64),
                    (const char *)rpc->method_text.data);
        break;
    }
}
