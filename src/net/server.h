/* server.h - the listening side: sessions by number.
 *
 * Every accepted connection is a session with a number that is never used again; the
 * pure cores know sessions by it.  Beyond the limit of sessions, or when the process
 * has no descriptor left, the newest connection is told `busy` and closed, and the
 * others go on.
 */
#ifndef NET_SERVER_H
#define NET_SERVER_H

#include "net/conn.h"

struct server;

struct server_options {
    struct address listen; /* port 0: any free one */
    unsigned sessions_max; /* 0: LIMIT_SESSIONS */
    struct conn_options conn;
    const char *advice; /* to whom there is no room for; NULL: "try another master" */
};

/* events.opened is not called; user is given to all callbacks, and conn_number() tells
 * the session.  `closed` also comes for those who never said hello.  The owner may hand
 * single sessions over. */
struct server *server_create(struct loop *l,
                             const struct server_options *options,
                             const struct conn_events *events,
                             void *user,
                             struct error *err);
/* Closes every session that is left; only `orphaned` is called.  Not from inside a
 * callback.  NULL is fine. */
void server_destroy(struct server *s);

/* Accept no more; the sessions stay. */
void server_stop_listening(struct server *s);

uint16_t server_port(const struct server *s);
unsigned server_sessions(const struct server *s);
struct conn *server_find(struct server *s, uint64_t number); /* NULL: gone */

#endif
