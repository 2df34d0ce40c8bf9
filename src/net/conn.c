/* conn.c - a connection that carries frames. */
#include "net/conn.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/stream.h"

#include <string.h>

#define UNREAD_MS 100 /* to come to read what is there */

struct conn {
    struct loop *loop;
    struct stream *stream;
    const struct conn_events *events;
    void *user;
    uint64_t number;
    uint32_t hello_ms;
    bool greeted; /* the other side's hello is here */
    bool destroyed;
    uint64_t heard_ms;
    struct loop_timer hello_timer;
    struct deferred release;
    void (*gone)(void *user, struct conn *c);
    void *gone_user;
};

/* ---- the end ---- */

static void stop(struct conn *c)
{
    timer_stop(c->loop, &c->hello_timer);
}

static void tell_gone(struct conn *c)
{
    if (c->gone != NULL)
        c->gone(c->gone_user, c);
    c->gone = NULL;
}

static void on_closed(void *user, const struct error *reason)
{
    struct conn *c = user;

    stop(c);
    tell_gone(c);
    c->events->closed(c->user, c, reason);
    if (!c->destroyed)
        mem_free(c);
}

static void release(void *user)
{
    mem_free(user);
}

/* Freed later: the call may come from inside a callback of this connection. */
void conn_destroy(struct conn *c)
{
    if (c == NULL || c->destroyed)
        return;
    c->destroyed = true;
    stop(c);
    tell_gone(c);
    stream_destroy(c->stream);
    loop_defer(c->loop, &c->release, release, c);
}

void conn_orphan(struct conn *c)
{
    if (c->events->orphaned != NULL)
        c->events->orphaned(c->user, c);
    ASSERT(c->events->orphaned == NULL || c->destroyed);
    conn_destroy(c);
}

void conn_close(struct conn *c, const struct error *reason)
{
    stop(c);
    stream_close(c->stream, reason);
}

void conn_finish(struct conn *c, const struct error *reason)
{
    stop(c);
    stream_finish(c->stream, reason);
}

void conn_refuse(struct conn *c, const struct error *reason)
{
    rpc_error(conn_begin(c), 0, reason->code, reason->text, "");
    conn_end(c);
    conn_finish(c, reason);
}

bool conn_closing(const struct conn *c)
{
    return c->destroyed || stream_closing(c->stream);
}

/* The other side need not be told who it is. */
static void refuse(struct conn *c, struct error *reason)
{
    rpc_error(conn_begin(c), 0, reason->code, reason->text, "");
    conn_end(c);
    error_wrap(reason, "%s", conn_peer(c));
    conn_finish(c, reason);
}

/* ---- frames ---- */

/* The other side will not go on with us. */
static void on_refused(struct conn *c, const struct rpc *rpc)
{
    struct error reason;

    error_set(&reason,
              rpc->code,
              "%s says: %.*s",
              conn_peer(c),
              (int)rpc->text.size,
              (const char *)rpc->text.data);
    conn_close(c, &reason);
}

static void be_greeted(struct conn *c)
{
    c->greeted = true;
    timer_stop(c->loop, &c->hello_timer);
}

static void on_first_frame(struct conn *c, struct bytes frame)
{
    struct error err = {0};
    struct hello hello;
    struct rpc rpc;

    if (rpc_unpack(&rpc, frame, &err) < 0) {
        refuse(c, &err);
        return;
    }
    if (rpc.type != RPC_NOTIFY || rpc.method != METHOD_HELLO) {
        error_set(&err, ERROR_INVALID, "the first frame is not hello");
        refuse(c, &err);
        return;
    }
    if (hello_unpack(&hello, rpc.params, &err) < 0) {
        refuse(c, &err);
        return;
    }
    be_greeted(c);
    c->events->hello(c->user, c, &hello);
}

static void deliver(struct conn *c, struct bytes frame)
{
    if (!c->greeted)
        be_greeted(c);
    c->events->frame(c->user, c, frame);
}

/* [1, 0, …]: only an error about the connection has this beginning, so that no frame
 * needs to be decoded to find it. */
static bool is_refusal(struct bytes frame, struct rpc *rpc)
{
    return frame.size > 3 && frame.data[0] == 0x94 && frame.data[1] == RPC_RESPONSE &&
           frame.data[2] == 0 && rpc_unpack(rpc, frame, NULL) == 0 &&
           rpc->code != ERROR_NONE;
}

static void on_frame(struct conn *c, struct bytes frame)
{
    struct rpc rpc;

    if (is_refusal(frame, &rpc))
        on_refused(c, &rpc);
    else if (!c->greeted && c->events->hello != NULL)
        on_first_frame(c, frame);
    else
        deliver(c, frame);
}

/* Whoever has not said hello gets no room for a large frame. */
static int64_t frame_size(const struct conn *c, struct bytes bytes, struct error *err)
{
    if (!c->greeted && bytes.size >= 4 && load_u32(bytes.data) > LIMIT_HELLO_BYTES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "the first frame has %u bytes, more than any hello (is the "
                         "other side a Triarch program?)",
                         load_u32(bytes.data));
    return rpc_frame_size(bytes, err);
}

static size_t on_received(void *user, struct bytes bytes)
{
    struct conn *c = user;
    struct bytes rest = bytes;

    c->heard_ms = loop_now_ms();
    while (!conn_closing(c) && !stream_paused(c->stream)) {
        struct error err = {0};
        int64_t size = frame_size(c, rest, &err);

        if (size < 0)
            refuse(c, &err);
        if (size <= 0)
            break;
        on_frame(c, (struct bytes){rest.data + 4, (size_t)size - 4});
        rest.data += size;
        rest.size -= (size_t)size;
    }
    return bytes.size - rest.size;
}

static void on_drained(void *user)
{
    struct conn *c = user;

    if (c->events->drained != NULL)
        c->events->drained(c->user, c);
}

/* ---- the beginning ---- */

/* The time is the other side's, not ours: what it said may lie there. */
static void on_hello_expired(void *user)
{
    struct conn *c = user;
    struct error err;

    if (stream_unread(c->stream)) {
        timer_set_in(c->loop, &c->hello_timer, UNREAD_MS, on_hello_expired, c);
        return;
    }
    error_set(&err, ERROR_TIMEOUT, "no hello within %u ms", c->hello_ms);
    refuse(c, &err);
}

static void expect_hello(struct conn *c)
{
    c->heard_ms = loop_now_ms();
    timer_set_in(c->loop, &c->hello_timer, c->hello_ms, on_hello_expired, c);
}

static void on_opened(void *user)
{
    struct conn *c = user;

    expect_hello(c);
    c->events->opened(c->user, c);
}

static const struct stream_events STREAM_EVENTS = {
    .opened = on_opened,
    .received = on_received,
    .drained = on_drained,
    .closed = on_closed,
};

static struct conn *create(struct loop *l,
                           const struct conn_options *options,
                           const struct conn_events *events,
                           void *user)
{
    struct conn *c = mem_zalloc(sizeof(*c));

    c->loop = l;
    c->events = events;
    c->user = user;
    c->hello_ms = options->hello_ms > 0 ? options->hello_ms : LIMIT_HELLO_MS;
    return c;
}

static struct stream_options stream_options_of(const struct conn_options *options)
{
    return (struct stream_options){.out_bytes_max = options->out_bytes_max,
                                   .connect_ms = options->connect_ms};
}

struct conn *conn_dial(struct loop *l,
                       const struct address *to,
                       const struct conn_options *options,
                       const struct conn_events *events,
                       void *user)
{
    struct stream_options so = stream_options_of(options);
    struct conn *c = create(l, options, events, user);

    c->stream = stream_connect(l, to, &so, &STREAM_EVENTS, c);
    return c;
}

struct conn *conn_accept(struct loop *l,
                         int fd,
                         uint64_t number,
                         const struct conn_options *options,
                         const struct conn_events *events,
                         void *user)
{
    struct stream_options so = stream_options_of(options);
    struct conn *c = create(l, options, events, user);

    c->number = number;
    c->stream = stream_accept(l, fd, &so, &STREAM_EVENTS, c);
    expect_hello(c);
    return c;
}

void conn_hand_over(struct conn *c, const struct conn_events *events, void *user)
{
    c->events = events;
    c->user = user;
}

void conn_set_out_max(struct conn *c, size_t bytes)
{
    stream_set_out_max(c->stream, bytes);
}

void conn_hang_up_first(struct conn *c)
{
    stream_hang_up_first(c->stream);
}

void conn_set_rank(struct conn *c, enum rank rank)
{
    stream_set_rank(c->stream, rank);
}

void conn_on_gone(struct conn *c, void (*gone)(void *user, struct conn *c), void *user)
{
    c->gone = gone;
    c->gone_user = user;
}

/* ---- use ---- */

struct buffer *conn_begin(struct conn *c)
{
    return stream_begin(c->stream);
}

void conn_end(struct conn *c)
{
    stream_end(c->stream);
}

void conn_send(struct conn *c, struct bytes frames)
{
    stream_send(c->stream, frames);
}

void conn_hello(struct conn *c, const struct hello *hello)
{
    hello_pack(hello, conn_begin(c));
    conn_end(c);
}

size_t conn_queued(const struct conn *c)
{
    return stream_queued(c->stream);
}

void conn_pause(struct conn *c)
{
    stream_pause(c->stream);
}

void conn_resume(struct conn *c)
{
    stream_resume(c->stream);
}

uint64_t conn_number(const struct conn *c)
{
    return c->number;
}

const char *conn_peer(const struct conn *c)
{
    return stream_peer(c->stream);
}

uint64_t conn_heard_ms(const struct conn *c)
{
    return c->heard_ms;
}
