/* exec.c - the RPC listener of an agent: who comes, and what is let in.
 *
 *     accepted ──hello──▶ guest ──exec──▶ session, a relay (exec_relay.h)
 *
 * A guest has some seconds for its request.  Whoever breaks a rule is told so and closed.
 */
#include "agent/exec.h"

#include "agent/exec_relay.h"
#include "agent/launcher.h"
#include "base/entropy.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/server.h"
#include "wire/message_exec.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct guest {
    struct exec *exec;
    struct conn *conn;
    struct loop_timer patience;
};

struct exec_slot {
    struct exec *exec;
    uint64_t attempt;
    struct exec_relay *relay;
    LIST_ENTRY(exec_slot) link;
};

struct exec {
    struct agent *agent;
    struct server *server;
    uint64_t incarnation;
    unsigned count;
    LIST_HEAD(, exec_slot) slots;
};

/* ---- sessions ---- */

static void forget(struct exec_slot *slot)
{
    LIST_REMOVE(slot, link);
    slot->exec->count--;
    mem_free(slot);
}

static void on_gone(void *user)
{
    forget(user);
}

static unsigned count_of(const struct exec *e, uint64_t attempt)
{
    const struct exec_slot *slot;
    unsigned count = 0;

    LIST_FOREACH (slot, &e->slots, link)
        count += slot->attempt == attempt ? 1 : 0;
    return count;
}

static int check_room(const struct exec *e, uint64_t attempt, struct error *err)
{
    if (e->count >= LIMIT_EXEC_SESSIONS)
        return error_set(
            err,
            ERROR_BUSY,
            "this agent runs %u commands of exec, its limit; end one first",
            e->count);
    if (count_of(e, attempt) >= LIMIT_EXEC_TASK_SESSIONS)
        return error_set(
            err,
            ERROR_BUSY,
            "%d commands of exec run in this task, the limit; end one first",
            LIMIT_EXEC_TASK_SESSIONS);
    return 0;
}

static int find_run(const struct exec *e,
                    uint64_t attempt,
                    struct run_start *run,
                    struct error *err)
{
    enum task_state state;

    if (!agent_core_run_start(e->agent->core, attempt, run) ||
        !agent_core_run_state(e->agent->core, attempt, &state))
        return error_set(err,
                         ERROR_NOT_FOUND,
                         "the task does not run here; `triarch status` tells where it "
                         "is now");
    if (state != TASK_RUNNING)
        return error_set(err,
                         ERROR_CONFLICT,
                         "task %llu.%u is not running: it is %s",
                         (unsigned long long)run->job,
                         run->instance,
                         task_state_name(state));
    if (agent_core_run_waits(e->agent->core, attempt))
        return error_set(err,
                         ERROR_CONFLICT,
                         "task %llu.%u failed and waits to be restarted (restart %u); "
                         "`triarch status %llu` says why",
                         (unsigned long long)run->job,
                         run->instance,
                         run->restarts,
                         (unsigned long long)run->job);
    return 0;
}

/* Our end of a pair whose other end a session process gets, or a negative error. */
static int start_session(struct exec *e,
                         const struct exec_request *request,
                         const char *peer,
                         struct error *err)
{
    struct run_start run;
    int ends[2];
    int rc = check_room(e, request->attempt, err);

    if (rc == 0)
        rc = find_run(e, request->attempt, &run, err);
    if (rc != 0)
        return rc;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return error_set(err, ERROR_IO, "socketpair: %s", strerror(errno));
    rc = launcher_exec(e->agent->launcher, &run, request, ends[1], err);
    if (rc != 0) {
        close(ends[0]);
        return rc;
    }
    log_info("agent",
             "exec in task %llu.%u (attempt id %llu) for %s",
             (unsigned long long)run.job,
             run.instance,
             (unsigned long long)run.attempt,
             peer);
    return ends[0];
}

static void begin_session(
    struct exec *e, struct conn *c, uint32_t request, int socket, uint64_t attempt)
{
    struct exec_slot *slot = mem_zalloc(sizeof(*slot));

    slot->exec = e;
    slot->attempt = attempt;
    LIST_INSERT_HEAD(&e->slots, slot, link);
    e->count++;
    slot->relay = exec_relay_create(e->agent->loop, c, request, socket, on_gone, slot);
}

void exec_run_ended(struct exec *e, uint64_t attempt)
{
    struct exec_slot *slot;
    struct error reason;

    if (e == NULL)
        return;
    error_set(&reason, ERROR_UNAVAILABLE, "the task has ended");
    LIST_FOREACH (slot, &e->slots, link)
        if (slot->attempt == attempt)
            exec_relay_end(slot->relay, &reason);
}

/* ---- guests ---- */

static void guest_release(struct guest *g)
{
    timer_stop(g->exec->agent->loop, &g->patience);
    mem_free(g);
}

static int read_request(struct exec_request *out,
                        struct rpc *rpc,
                        struct bytes frame,
                        struct error *err)
{
    int rc = rpc_unpack(rpc, frame, err);

    if (rc != 0)
        return rc;
    if (rpc->type != RPC_REQUEST || rpc->method != METHOD_EXEC)
        return error_set(err, ERROR_INVALID, "an agent is asked for exec only");
    return exec_unpack(out, rpc->params, err);
}

static void on_request(void *user, struct conn *c, struct bytes frame)
{
    struct guest *g = user;
    struct exec *e = g->exec;
    struct exec_request request;
    struct error err;
    struct rpc rpc;
    int socket;

    if (read_request(&request, &rpc, frame, &err) != 0) {
        conn_refuse(c, &err);
        return;
    }
    socket = start_session(e, &request, conn_peer(c), &err);
    if (socket >= 0) {
        begin_session(e, c, rpc.id, socket, request.attempt);
        guest_release(g);
    } else {
        rpc_error(conn_begin(c), rpc.id, err.code, err.text, "");
        conn_end(c);
        conn_finish(c, NULL);
    }
    exec_request_finish(&request);
}

static void on_guest_closed(void *user, struct conn *c, const struct error *reason)
{
    (void)c;
    (void)reason;
    guest_release(user);
}

static void on_guest_orphaned(void *user, struct conn *c)
{
    guest_release(user);
    conn_destroy(c);
}

static const struct conn_events GUEST_EVENTS = {
    .frame = on_request,
    .closed = on_guest_closed,
    .orphaned = on_guest_orphaned,
};

static void on_patience_over(void *user)
{
    struct guest *g = user;
    struct error reason;

    error_set(&reason, ERROR_TIMEOUT, "no request within %d ms", LIMIT_HELLO_MS);
    conn_refuse(g->conn, &reason);
}

/* ---- hello ---- */

static int
check_hello(const struct agent_status *s, const struct hello *hello, struct error *err)
{
    if (hello->role != HELLO_CLIENT)
        return error_set(
            err, ERROR_INVALID, "this is the RPC port of an agent, for clients only");
    if (hello->cluster.size == 0 ||
        (s->has_cluster &&
         memcmp(hello->cluster.data, s->cluster, sizeof(s->cluster)) == 0))
        return 0;
    return error_set(err, ERROR_WRONG_CLUSTER, "this agent is of another cluster");
}

static void on_hello(void *user, struct conn *c, const struct hello *hello)
{
    struct exec *e = user;
    struct agent_status s;
    struct error err;
    struct guest *g;

    agent_core_status(e->agent->core, &s);
    if (check_hello(&s, hello, &err) != 0) {
        conn_refuse(c, &err);
        return;
    }
    conn_hello(
        c,
        &(struct hello){
            .protocol = PROTOCOL_VERSION,
            .role = HELLO_AGENT,
            .cluster = {s.cluster, s.has_cluster ? sizeof(s.cluster) : 0},
            .id = s.agent,
            .incarnation = e->incarnation,
            .version = {(const uint8_t *)PACKAGE_VERSION, strlen(PACKAGE_VERSION)}});
    g = mem_zalloc(sizeof(*g));
    g->exec = e;
    g->conn = c;
    conn_hand_over(c, &GUEST_EVENTS, g);
    timer_set_in(e->agent->loop, &g->patience, LIMIT_HELLO_MS, on_patience_over, g);
}

static void ignore_frame(void *user, struct conn *c, struct bytes frame)
{
    (void)user;
    (void)c;
    (void)frame;
}

static void ignore_closed(void *user, struct conn *c, const struct error *reason)
{
    (void)user;
    (void)c;
    (void)reason;
}

static const struct conn_events EVENTS = {
    .hello = on_hello,
    .frame = ignore_frame,
    .closed = ignore_closed,
};

/* ---- life ---- */

int exec_start(struct exec **out, struct agent *a, struct error *err)
{
    const struct server_options options = {
        .listen = a->config.rpc.listen,
        .sessions_max = LIMIT_EXEC_CONNECTIONS,
        .advice = "try again later",
    };
    struct exec *e = mem_zalloc(sizeof(*e));

    e->agent = a;
    e->incarnation = entropy_u64();
    LIST_INIT(&e->slots);
    e->server = server_create(a->loop, &options, &EVENTS, e, err);
    if (e->server == NULL) {
        mem_free(e);
        return -(int)err->code;
    }
    log_info("agent", "RPC on %s port=%u", options.listen.host, exec_port(e));
    *out = e;
    return 0;
}

void exec_stop(struct exec *e)
{
    struct exec_slot *slot;

    if (e == NULL)
        return;
    server_destroy(e->server);
    while ((slot = LIST_FIRST(&e->slots)) != NULL) {
        exec_relay_destroy(slot->relay);
        forget(slot);
    }
    mem_free(e);
}

uint16_t exec_port(const struct exec *e)
{
    return server_port(e->server);
}

unsigned exec_sessions(const struct exec *e)
{
    return e->count;
}
