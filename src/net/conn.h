/* conn.h - a connection that carries frames (wire/rpc.h).
 *
 * The first frame each way is `hello`; a connection that does not send it in time is
 * closed.  It is decoded here, or goes with all other frames to an owner who has no
 * `hello` callback (the cores of agent and client judge it themselves).  Frames are
 * delivered one at a time, as views into the read buffer.  What breaks a rule is answered by an error frame (a
 * response with id 0, which means the connection) and the connection is closed; such a
 * frame from the other side is the reason that `closed` tells.
 *
 * Callbacks may call everything here, conn_destroy() too.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/buffer.h"
#include "base/error.h"
#include "net/address.h"
#include "net/loop.h"
#include "wire/rpc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;

struct conn_events {
    /* conn_dial() is connected: send our hello.  Not used for accepted ones. */
    void (*opened)(void *user, struct conn *c);
    /* The other side's hello: once, before all frames; views are valid in the call.
     * NULL: hello comes as the first frame. */
    void (*hello)(void *user, struct conn *c, const struct hello *hello);
    /* One frame without its size word, valid in the call. */
    void (*frame)(void *user, struct conn *c, struct bytes frame);
    /* All that was sent is with the kernel; may be NULL. */
    void (*drained)(void *user, struct conn *c);
    /* Exactly once, and the connection is gone after it.  Errors told by the other side
     * come with its code and text. */
    void (*closed)(void *user, struct conn *c, const struct error *reason);
    /* server_destroy() ends a connection that was handed over: call conn_destroy() and
     * forget it.  NULL: it is destroyed, and the owner must not use it any more. */
    void (*orphaned)(void *user, struct conn *c);
};

struct conn_options {
    size_t out_bytes_max; /* 0: LIMIT_SESSION_OUT_BYTES */
    uint32_t connect_ms;  /* 0: LIMIT_CONNECT_MS */
    uint32_t hello_ms;    /* 0: LIMIT_HELLO_MS */
};

struct conn *conn_dial(struct loop *l,
                       const struct address *to,
                       const struct conn_options *options,
                       const struct conn_events *events,
                       void *user);
/* Takes fd, a connected socket.  number: conn_number(). */
struct conn *conn_accept(struct loop *l,
                         int fd,
                         uint64_t number,
                         const struct conn_options *options,
                         const struct conn_events *events,
                         void *user);

/* Hand the connection to another owner, who gets everything from now on. */
void conn_hand_over(struct conn *c, const struct conn_events *events, void *user);
void conn_set_out_max(struct conn *c, size_t bytes);
void conn_hang_up_first(struct conn *c);            /* stream.h */
void conn_set_rank(struct conn *c, enum rank rank); /* stream.h */

/* Append whole frames between the two:  rpc_begin_…(conn_begin(c), …); …; conn_end(c).
 * They leave at the end of the turn, together. */
struct buffer *conn_begin(struct conn *c);
void conn_end(struct conn *c);
void conn_send(struct conn *c, struct bytes frames);
void conn_hello(struct conn *c, const struct hello *hello);
size_t conn_queued(const struct conn *c);

/* Do not deliver or read until resumed. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);

/* Close; what is queued is dropped.  reason: what `closed` will say; NULL: none. */
void conn_close(struct conn *c, const struct error *reason);
/* Send what is queued, then close. */
void conn_finish(struct conn *c, const struct error *reason);
/* Tell the other side why, then close: `closed` says the same. */
void conn_refuse(struct conn *c, const struct error *reason);
/* Close without a callback.  NULL is fine. */
void conn_destroy(struct conn *c);
bool conn_closing(const struct conn *c);

/* The number of the session, never used twice by one server; 0 if dialled. */
uint64_t conn_number(const struct conn *c);
const char *conn_peer(const struct conn *c);  /* "HOST:PORT" of the other side */
uint64_t conn_heard_ms(const struct conn *c); /* when bytes last came, loop_now_ms() */

/* For the server: `gone` is called when the connection is gone, before anyone else. */
void conn_on_gone(struct conn *c, void (*gone)(void *user, struct conn *c), void *user);
void conn_orphan(struct conn *c);

#endif
