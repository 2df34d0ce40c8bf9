/* server.c - the listening side: sessions by number. */
#include "net/server.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/listener.h"

#include <sys/socket.h>
#include <unistd.h>

/* The default one falls through its cases without saying so, which clang refuses. */
#define HASH_FUNCTION HASH_FNV
#include <uthash.h>

struct session {
    uint64_t number;
    struct conn *conn;
    UT_hash_handle hh;
};

struct server {
    struct loop *loop;
    struct listener *listener; /* NULL: stopped */
    uint16_t port;
    unsigned sessions_max;
    const char *advice;
    struct conn_options options;
    const struct conn_events *events;
    void *user;
    uint64_t newest; /* number of the newest session */
    struct session *sessions;
};

static void forget(struct server *s, struct session *session)
{
    HASH_DEL(s->sessions, session);
    mem_free(session);
}

static struct session *find(struct server *s, uint64_t number)
{
    struct session *session;

    HASH_FIND(hh, s->sessions, &number, sizeof(number), session);
    return session;
}

static void on_gone(void *user, struct conn *c)
{
    struct server *s = user;

    forget(s, find(s, conn_number(c)));
}

/* Not worth waiting for: an error frame fits into the empty buffer of a new socket. */
static void say_busy(const struct server *s, int fd, const char *why)
{
    struct buffer out = {0};
    struct error reason;

    error_set(&reason, ERROR_BUSY, "%s; %s", why, s->advice);
    rpc_error(&out, 0, reason.code, reason.text, "");
    (void)!send(fd, out.data, out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    buffer_finish(&out);
}

static void on_turned_away(void *user, int fd)
{
    say_busy(user, fd, "no descriptor is left for another session");
}

static void on_accepted(void *user, int fd)
{
    struct server *s = user;
    struct session *session;

    if (HASH_COUNT(s->sessions) >= s->sessions_max) {
        say_busy(s, fd, "too many sessions");
        close(fd);
        return;
    }
    session = mem_zalloc(sizeof(*session));
    session->number = ++s->newest;
    session->conn =
        conn_accept(s->loop, fd, session->number, &s->options, s->events, s->user);
    conn_on_gone(session->conn, on_gone, s);
    HASH_ADD(hh, s->sessions, number, sizeof(session->number), session);
}

static const struct listener_events LISTENER_EVENTS = {
    .accepted = on_accepted,
    .turned_away = on_turned_away,
};

struct server *server_create(struct loop *l,
                             const struct server_options *options,
                             const struct conn_events *events,
                             void *user,
                             struct error *err)
{
    struct server *s = mem_zalloc(sizeof(*s));

    s->loop = l;
    s->sessions_max =
        options->sessions_max > 0 ? options->sessions_max : LIMIT_SESSIONS;
    s->advice = options->advice != NULL ? options->advice : "try another master";
    s->options = options->conn;
    s->events = events;
    s->user = user;
    s->listener = listener_create(l, &options->listen, &LISTENER_EVENTS, s, err);
    if (s->listener == NULL) {
        mem_free(s);
        return NULL;
    }
    s->port = listener_port(s->listener);
    return s;
}

void server_stop_listening(struct server *s)
{
    listener_destroy(s->listener);
    s->listener = NULL;
}

void server_destroy(struct server *s)
{
    struct session *session, *next;

    if (s == NULL)
        return;
    server_stop_listening(s);
    /* Each end calls on_gone(), which takes the session out. */
    HASH_ITER (hh, s->sessions, session, next)
        conn_orphan(session->conn);
    mem_free(s);
}

uint16_t server_port(const struct server *s)
{
    return s->port;
}

unsigned server_sessions(const struct server *s)
{
    return HASH_COUNT(s->sessions);
}

struct conn *server_find(struct server *s, uint64_t number)
{
    struct session *session = find(s, number);

    return session == NULL ? NULL : session->conn;
}
