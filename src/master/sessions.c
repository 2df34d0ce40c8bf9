/* sessions.c - the listener of a master, and its connections to the others.
 *
 * Everybody comes to one port.  The hello says who it is: another master goes to the mesh, a
 * snapshot to the transfers, an agent or a client becomes a session of the core.
 */
#include "base/log.h"
#include "master/master.h"
#include "master/transfers.h"

#define LINES_PER_S 10 /* of sessions closed or refused; then one line for all others */

/* ---- what the log says of them ---- */

static void say_more(void *user)
{
    struct session_log *log = &((struct master *)user)->session_log;

    log_info("master", "%u more sessions were closed or refused", log->more);
    log->more = 0;
}

/* A crowd that comes or goes at once must not fill the log, nor the turns of the loop. */
static bool may_say(struct master *m)
{
    struct session_log *log = &m->session_log;
    uint64_t now_ms = loop_now_ms();

    if (now_ms >= log->until_ms) {
        log->until_ms = now_ms + 1000;
        log->lines = 0;
    }
    if (log->lines < LINES_PER_S) {
        log->lines++;
        return true;
    }
    if (log->more++ == 0)
        timer_set_at(m->loop, &log->timer, log->until_ms, say_more, m);
    return false;
}

/* ---- agents and clients ---- */

static void on_frame(void *user, struct conn *c, struct bytes frame)
{
    drive(user,
          &(struct master_event){.kind = MASTER_SESSION_FRAME,
                                 .frame = {.session = conn_number(c), .frame = frame}});
}

static void on_closed(void *user, struct conn *c, const struct error *reason)
{
    if (reason->code != ERROR_NONE && reason->code != ERROR_UNAVAILABLE &&
        may_say(user))
        log_info("master", "session of %s closed: %s", conn_peer(c), reason->text);
    drive(user,
          &(struct master_event){.kind = MASTER_SESSION_CLOSED,
                                 .closed = conn_number(c)});
}

/* A client that asks faster than it reads the answers is heard again when they are sent.  An
 * agent is always heard: it would be taken for dead. */
static void on_client_frame(void *user, struct conn *c, struct bytes frame)
{
    on_frame(user, c, frame);
    if (conn_queued(c) > LIMIT_ANSWERS_BYTES)
        conn_pause(c);
}

static void on_client_drained(void *user, struct conn *c)
{
    (void)user;
    conn_resume(c);
}

static const struct conn_events CLIENT_EVENTS = {
    .frame = on_client_frame,
    .drained = on_client_drained,
    .closed = on_closed,
};

static int check_hello(struct master *m, const struct hello *hello, struct error *err)
{
    int r = master_check_hello(m->core, hello, err);

    if (r == 0 && hello->role != HELLO_SNAPSHOT &&
        server_sessions(m->server) > m->sessions_max)
        return error_set(err,
                         ERROR_BUSY,
                         "master %llu has %u sessions, its limit; try another master",
                         (unsigned long long)m->id,
                         m->sessions_max);
    return r;
}

static void on_hello(void *user, struct conn *c, const struct hello *hello)
{
    struct master *m = user;
    struct hello ours;
    struct error err;

    if (hello->role == HELLO_MASTER) {
        peers_adopt(m->peers, c, hello);
        return;
    }
    if (check_hello(m, hello, &err) != 0) {
        if (may_say(m))
            log_warning("master", "refused %s: %s", conn_peer(c), err.text);
        conn_refuse(c, &err);
        return;
    }
    if (hello->role == HELLO_SNAPSHOT) {
        transfers_adopt(m->transfers, c, hello);
        return;
    }
    master_hello(m->core, &ours);
    ours.version =
        (struct bytes){(const uint8_t *)PACKAGE_VERSION, sizeof(PACKAGE_VERSION) - 1};
    conn_hello(c, &ours);
    conn_set_rank(c, hello->role == HELLO_CLIENT ? RANK_CLIENT : RANK_AGENT);
    if (hello->role == HELLO_CLIENT)
        conn_hand_over(c, &CLIENT_EVENTS, m);
    drive(m,
          &(struct master_event){
              .kind = MASTER_SESSION_OPENED,
              .opened = {.session = conn_number(c), .role = hello->role}});
}

static const struct conn_events SESSION_EVENTS = {
    .hello = on_hello,
    .frame = on_frame,
    .closed = on_closed,
};

/* ---- masters ---- */

static void peer_greet(void *user, struct hello *hello)
{
    struct master *m = user;

    master_hello(m->core, hello);
    hello->version =
        (struct bytes){(const uint8_t *)PACKAGE_VERSION, sizeof(PACKAGE_VERSION) - 1};
}

static int peer_check(void *user, const struct hello *hello, struct error *err)
{
    return master_check_hello(((struct master *)user)->core, hello, err);
}

static void peer_up(void *user, uint64_t id, const struct hello *hello)
{
    log_info("master", "connected to master %llu", (unsigned long long)id);
    drive(user,
          &(struct master_event){.kind = MASTER_PEER_UP,
                                 .peer_up = {.peer = id,
                                             .incarnation = hello->incarnation,
                                             .leads = hello->leads}});
}

static void peer_bytes(void *user, uint64_t id, struct bytes bytes)
{
    drive(user,
          &(struct master_event){.kind = MASTER_PEER_BYTES,
                                 .peer_bytes = {.peer = id, .bytes = bytes}});
}

static void peer_down(void *user, uint64_t id, const struct error *reason)
{
    log_info("master",
             "lost master %llu: %s",
             (unsigned long long)id,
             reason->code == ERROR_NONE ? "closed" : reason->text);
    drive(user, &(struct master_event){.kind = MASTER_PEER_DOWN, .peer_down = id});
}

static void peer_refused(void *user, uint64_t id, const struct error *reason)
{
    (void)user;
    log_warning("master", "master %llu: %s", (unsigned long long)id, reason->text);
}

static const struct peers_events PEER_EVENTS = {
    .greet = peer_greet,
    .check = peer_check,
    .up = peer_up,
    .bytes = peer_bytes,
    .down = peer_down,
    .refused = peer_refused,
};

/* ---- life ---- */

int sessions_start(struct master *m, struct error *err)
{
    struct server_options options = {
        .listen = m->rpc, .sessions_max = m->sessions_max + LIMIT_SESSIONS_SPARE};

    m->server = server_create(m->loop, &options, &SESSION_EVENTS, m, err);
    if (m->server == NULL)
        return -(int)err->code;
    m->peers = peers_create(m->loop, &m->cluster, m->id, &PEER_EVENTS, m);
    return 0;
}

void sessions_stop(struct master *m)
{
    timer_stop(m->loop, &m->session_log.timer);
    peers_destroy(m->peers);
    server_destroy(m->server);
}
