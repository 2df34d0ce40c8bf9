/* bulk_receiver.c - takes a snapshot that another master sends.
 *
 * The sender may be WINDOW chunks ahead of what the owner has taken over, so that the
 * owner's disk always has work and never much of it waits in memory.
 */
#include "net/bulk.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"

#include <inttypes.h>

#define WINDOW 4

struct bulk_receiver {
    struct loop *loop;
    struct conn *conn;
    uint64_t from;
    const struct bulk_receiver_events *events;
    void *user;

    bool begun;
    bool whole;
    bool staged;
    uint64_t size;          /* that was announced */
    struct chunks_end came; /* so far */
    uint32_t taken;
    uint32_t stall_ms;
    struct loop_timer stall;
    struct deferred release;
};

/* ---- the end ---- */

static void on_closed(void *user, struct conn *c, const struct error *reason)
{
    struct bulk_receiver *r = user;
    struct error err = *reason;

    (void)c;
    r->conn = NULL;
    timer_stop(r->loop, &r->stall);
    if (r->staged)
        err = (struct error){0};
    else if (err.code == ERROR_NONE)
        error_set(&err, ERROR_UNAVAILABLE, "the sender closed");
    r->events->ended(r->user, r, &err);
    mem_free(r);
}

static void release(void *user)
{
    mem_free(user);
}

void bulk_receiver_destroy(struct bulk_receiver *r)
{
    if (r == NULL || r->release.queued)
        return;
    timer_stop(r->loop, &r->stall);
    conn_destroy(r->conn);
    loop_defer(r->loop, &r->release, release, r);
}

void bulk_receiver_refuse(struct bulk_receiver *r, const struct error *reason)
{
    conn_refuse(r->conn, reason);
}

static void on_stalled(void *user)
{
    struct bulk_receiver *r = user;
    struct error err;

    error_set(
        &err, ERROR_TIMEOUT, "snapshot from master %" PRIu64 " does not move", r->from);
    conn_refuse(r->conn, &err);
}

static void note_progress(struct bulk_receiver *r)
{
    timer_set_in(r->loop, &r->stall, r->stall_ms, on_stalled, r);
}

/* ---- chunks ---- */

static void grant(struct bulk_receiver *r)
{
    credit_pack(r->taken + WINDOW, conn_begin(r->conn));
    conn_end(r->conn);
}

void bulk_receiver_taken(struct bulk_receiver *r)
{
    ASSERT(r->taken < r->came.count);
    r->taken++;
    note_progress(r);
    grant(r);
}

void bulk_receiver_staged(struct bulk_receiver *r)
{
    ASSERT(r->whole);
    r->staged = true;
    staged_pack(conn_begin(r->conn));
    conn_end(r->conn);
    conn_finish(r->conn, NULL);
}

/* ---- the sender's words ---- */

static int on_snapshot(struct bulk_receiver *r, struct bytes params, struct error *err)
{
    struct snapshot_meta meta;
    uint64_t term;
    int result;

    if (r->begun)
        return error_set(err, ERROR_INVALID, "a second snapshot on one connection");
    result = snapshot_unpack(&term, &meta, params, err);
    if (result < 0)
        return result;
    r->begun = true;
    r->size = meta.size;
    grant(r);
    r->events->begun(r->user, r, r->from, term, &meta);
    snapshot_meta_finish(&meta);
    return 0;
}

static int on_chunk(struct bulk_receiver *r, struct bytes params, struct error *err)
{
    struct snapshot_chunk c;
    int result = chunk_unpack(&c, params, err);

    if (result < 0)
        return result;
    if (!r->begun || r->whole || c.number != r->came.count ||
        c.number >= r->taken + WINDOW)
        return error_set(err, ERROR_INVALID, "chunk %u comes out of turn", c.number);
    r->came.count++;
    r->came.size += c.bytes.size;
    r->came.crc = crc32c(r->came.crc, c.bytes.data, c.bytes.size);
    if (r->came.size > r->size)
        return error_set(
            err, ERROR_TOO_LARGE, "more than the %" PRIu64 " bytes announced", r->size);
    r->events->chunk(r->user, r, c.number, c.bytes);
    return 0;
}

static int
on_chunks_end(struct bulk_receiver *r, struct bytes params, struct error *err)
{
    struct chunks_end e;
    int result = chunks_end_unpack(&e, params, err);

    if (result < 0)
        return result;
    if (!r->begun || r->whole || e.count != r->came.count || e.size != r->came.size ||
        e.size != r->size || e.crc != r->came.crc)
        return error_set(
            err, ERROR_CORRUPT, "the snapshot's chunks, size or CRC are not what came");
    r->whole = true;
    r->events->whole(r->user, r);
    return 0;
}

static void on_frame(void *user, struct conn *c, struct bytes frame)
{
    struct bulk_receiver *r = user;
    struct error err = {0};
    struct rpc rpc;
    int result = rpc_unpack(&rpc, frame, &err);

    if (result == 0)
        note_progress(r);
    if (result == 0 && rpc.type == RPC_NOTIFY && rpc.method == METHOD_SNAPSHOT)
        result = on_snapshot(r, rpc.params, &err);
    else if (result == 0 && rpc.type == RPC_NOTIFY && rpc.method == METHOD_CHUNK)
        result = on_chunk(r, rpc.params, &err);
    else if (result == 0 && rpc.type == RPC_NOTIFY && rpc.method == METHOD_CHUNKS_END)
        result = on_chunks_end(r, rpc.params, &err);
    if (result < 0)
        conn_refuse(c, &err);
}

/* The owner may not know us yet: then nobody else would end us. */
static void on_orphaned(void *user, struct conn *c)
{
    (void)c;
    bulk_receiver_destroy(user);
}

static const struct conn_events CONN_EVENTS = {
    .frame = on_frame,
    .closed = on_closed,
    .orphaned = on_orphaned,
};

struct bulk_receiver *bulk_receiver_create(struct loop *l,
                                           struct conn *c,
                                           const struct hello *hello,
                                           const struct hello *answer,
                                           uint32_t stall_ms,
                                           const struct bulk_receiver_events *events,
                                           void *user)
{
    struct bulk_receiver *r = mem_zalloc(sizeof(*r));

    r->loop = l;
    r->conn = c;
    r->from = hello->id;
    r->stall_ms = stall_ms > 0 ? stall_ms : LIMIT_SNAPSHOT_STALL_MS;
    r->events = events;
    r->user = user;
    conn_hand_over(c, &CONN_EVENTS, r);
    conn_hello(c, answer);
    note_progress(r);
    return r;
}
