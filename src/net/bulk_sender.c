/* bulk_sender.c - sends a snapshot on a connection of its own. */
#include "net/bulk.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"

#include <inttypes.h>

/* One chunk on its way to the kernel while the next one is read. */
#define QUEUE_BYTES (2 * LIMIT_SNAPSHOT_CHUNK_BYTES)

struct bulk_sender {
    struct loop *loop;
    struct conn *conn;
    uint64_t peer;
    uint64_t term;
    struct snapshot_meta meta;
    const struct bulk_sender_events *events;
    void *user;

    uint32_t granted; /* chunks below may be sent */
    struct chunks_end sent;
    bool pulling; /* the owner owes us a chunk */
    bool all;     /* the last one was sent */
    bool staged;
    uint32_t stall_ms;
    struct loop_timer stall;
    struct deferred release;
};

/* ---- the end ---- */

static void finish(struct bulk_sender *s)
{
    timer_stop(s->loop, &s->stall);
    snapshot_meta_finish(&s->meta);
}

static void on_closed(void *user, struct conn *c, const struct error *reason)
{
    struct bulk_sender *s = user;
    struct error err = *reason;

    (void)c;
    s->conn = NULL;
    finish(s);
    if (s->staged)
        err = (struct error){0};
    else if (err.code == ERROR_NONE)
        error_set(&err, ERROR_UNAVAILABLE, "the receiver closed");
    s->events->ended(s->user, &err);
    mem_free(s);
}

static void release(void *user)
{
    mem_free(user);
}

void bulk_sender_destroy(struct bulk_sender *s)
{
    if (s == NULL)
        return;
    finish(s);
    conn_destroy(s->conn);
    loop_defer(s->loop, &s->release, release, s);
}

static void on_stalled(void *user)
{
    struct bulk_sender *s = user;
    struct error err;

    error_set(
        &err, ERROR_TIMEOUT, "snapshot to master %" PRIu64 " does not move", s->peer);
    conn_close(s->conn, &err);
}

static void note_progress(struct bulk_sender *s)
{
    timer_set_in(s->loop, &s->stall, s->stall_ms, on_stalled, s);
}

/* ---- chunks ---- */

static void pull_if_possible(struct bulk_sender *s)
{
    if (s->pulling || s->all || s->sent.count >= s->granted || conn_closing(s->conn) ||
        conn_queued(s->conn) >= QUEUE_BYTES)
        return;
    s->pulling = true;
    s->events->pull(s->user, s->sent.count);
}

void bulk_sender_give(struct bulk_sender *s, struct bytes chunk, bool last)
{
    struct snapshot_chunk c = {.number = s->sent.count, .bytes = chunk};
    struct buffer *out;

    ASSERT(s->pulling);
    s->pulling = false;
    s->sent.count++;
    s->sent.size += chunk.size;
    s->sent.crc = crc32c(s->sent.crc, chunk.data, chunk.size);
    out = conn_begin(s->conn);
    chunk_pack(&c, out);
    if (last) {
        ASSERT(s->sent.size == s->meta.size);
        s->all = true;
        chunks_end_pack(&s->sent, out);
    }
    conn_end(s->conn);
    note_progress(s);
    pull_if_possible(s);
}

static void on_drained(void *user, struct conn *c)
{
    (void)c;
    pull_if_possible(user);
}

/* ---- the receiver's words ---- */

static void on_opened(void *user, struct conn *c)
{
    struct bulk_sender *s = user;
    struct hello hello = {.protocol = PROTOCOL_VERSION};

    s->events->greet(s->user, &hello);
    hello.role = HELLO_SNAPSHOT;
    conn_hello(c, &hello);
}

static void on_hello(void *user, struct conn *c, const struct hello *hello)
{
    struct bulk_sender *s = user;
    struct error err;

    if (hello->role != HELLO_MASTER || hello->id != s->peer) {
        error_set(&err,
                  ERROR_INVALID,
                  "%s is not master %" PRIu64 "; compare --id and --cluster",
                  conn_peer(c),
                  s->peer);
        conn_refuse(c, &err);
        return;
    }
    snapshot_pack(s->term, &s->meta, conn_begin(c));
    conn_end(c);
    note_progress(s);
}

static int on_credit(struct bulk_sender *s, struct bytes params, struct error *err)
{
    uint32_t limit;
    int r = credit_unpack(&limit, params, err);

    if (r < 0)
        return r;
    if (limit > s->granted) {
        s->granted = limit;
        note_progress(s);
        pull_if_possible(s);
    }
    return 0;
}

static int on_staged(struct bulk_sender *s, struct error *err)
{
    if (!s->all)
        return error_set(err, ERROR_INVALID, "staged before everything was sent");
    s->staged = true;
    conn_close(s->conn, NULL);
    return 0;
}

static void on_frame(void *user, struct conn *c, struct bytes frame)
{
    struct bulk_sender *s = user;
    struct error err = {0};
    struct rpc rpc;
    int r = rpc_unpack(&rpc, frame, &err);

    if (r == 0 && rpc.type == RPC_NOTIFY && rpc.method == METHOD_CREDIT)
        r = on_credit(s, rpc.params, &err);
    else if (r == 0 && rpc.type == RPC_NOTIFY && rpc.method == METHOD_STAGED)
        r = on_staged(s, &err);
    if (r < 0)
        conn_refuse(c, &err);
}

static const struct conn_events CONN_EVENTS = {
    .opened = on_opened,
    .hello = on_hello,
    .frame = on_frame,
    .drained = on_drained,
    .closed = on_closed,
};

struct bulk_sender *bulk_sender_create(struct loop *l,
                                       uint64_t peer,
                                       const struct address *to,
                                       uint64_t term,
                                       const struct snapshot_meta *meta,
                                       uint32_t stall_ms,
                                       const struct bulk_sender_events *events,
                                       void *user)
{
    struct bulk_sender *s = mem_zalloc(sizeof(*s));
    struct conn_options options = {0};

    s->loop = l;
    s->peer = peer;
    s->term = term;
    snapshot_meta_copy(&s->meta, meta);
    s->stall_ms = stall_ms > 0 ? stall_ms : LIMIT_SNAPSHOT_STALL_MS;
    s->events = events;
    s->user = user;
    s->conn = conn_dial(l, to, &options, &CONN_EVENTS, s);
    return s;
}
