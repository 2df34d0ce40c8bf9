/* stream.h - one connection as a stream of bytes: TCP, on one loop.
 *
 * Callers never see what carries the bytes, so that TLS can be put between the queue
 * and the socket without them.  Output is gathered: all that is sent in one turn of the
 * loop leaves in one write at its end.  What the kernel does not take waits in a queue
 * with a limit; a peer that does not read is closed when it is reached.
 *
 * `closed` is called exactly once and never from inside another call, then the stream
 * is freed.  stream_destroy() is the way to end it without being told.  After
 * stream_close(), stream_finish() and stream_destroy() no other callback comes, and
 * what is sent goes nowhere.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "base/buffer.h"
#include "base/error.h"
#include "net/address.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream;

struct stream_events {
    /* stream_connect() is connected. */
    void (*opened)(void *user);
    /* All bytes that arrived and were not consumed; returns how many are done with. The
     * rest is shown again in front of what comes next.  Valid during the call. */
    size_t (*received)(void *user, struct bytes bytes);
    /* All that was sent is with the kernel; may be NULL. */
    void (*drained)(void *user);
    /* reason: ERROR_NONE when it was closed with no reason, ERROR_UNAVAILABLE when the
     * other side or the network ended it, or what stream_close() was told. */
    void (*closed)(void *user, const struct error *reason);
};

struct stream_options {
    size_t out_bytes_max; /* 0: LIMIT_SESSION_OUT_BYTES */
    uint32_t connect_ms;  /* to resolve and connect; 0: LIMIT_CONNECT_MS */
};

/* Both return at once; errors come through `closed`.  stream_accept() takes fd, a
 * connected socket. */
struct stream *stream_connect(struct loop *l,
                              const struct address *to,
                              const struct stream_options *options,
                              const struct stream_events *events,
                              void *user);
struct stream *stream_accept(struct loop *l,
                             int fd,
                             const struct stream_options *options,
                             const struct stream_events *events,
                             void *user);

/* The open buffer of this turn: append to it, then stream_end().  It may hold what
 * was sent before.  Nothing else may be done with the stream in between. */
struct buffer *stream_begin(struct stream *s);
void stream_end(struct stream *s);
void stream_send(struct stream *s, struct bytes bytes); /* copies */
void stream_take(struct stream *s, struct buffer *b);   /* moves; b is empty then */

/* Bytes sent and not with the kernel yet. */
size_t stream_queued(const struct stream *s);
void stream_set_out_max(struct stream *s, size_t bytes);

/* An open stream: when this process is killed, the kernel hangs up this one before all others,
 * so that who waits for our death hears of it at once. */
void stream_hang_up_first(struct stream *s);

/* Of what is read and written first in a turn; at first it is RANK_OTHER. */
void stream_set_rank(struct stream *s, enum rank rank);
/* Something is there that this process has not come to read. */
bool stream_unread(const struct stream *s);

/* Back-pressure: while paused nothing is read from the socket.  Both are idempotent and
 * may be called from `received`. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);
bool stream_paused(const struct stream *s);

/* Drop what is queued.  reason is copied; NULL: none. */
void stream_close(struct stream *s, const struct error *reason);
/* Send what is queued, say that no more comes, wait a little until the other side has
 * read it and closes, then close. */
void stream_finish(struct stream *s, const struct error *reason);
bool stream_closing(const struct stream *s);
void stream_destroy(struct stream *s); /* NULL is fine */

/* "address:port" of the other side, for people; of the target while connecting. */
const char *stream_peer(const struct stream *s);

#endif
