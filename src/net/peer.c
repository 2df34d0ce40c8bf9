/* peer.c - the mesh between masters: one control connection for each pair.
 *
 * A peer with a lower id has a link that dials it; one with a higher id has the
 * connection that it last dialled to us.  `conn` is the one in use, and set exactly
 * while the peer is up.  Masters that have nothing to say, as two followers, say that
 * they are alive, so that a second process with the same id is told from a new start, and
 * a connection that leads nowhere from a quiet one.  That one is made anew: TCP repeats what
 * got lost after twice the time of the last try, so after an outage it stays silent for up to
 * as long again.
 */
#include "net/peer.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/link.h"
#include "wire/message_agent.h"
#include "wire/pack.h"

#include <inttypes.h>
#include <string.h>

#define ALIVE_MS 1000 /* a connection that spoke within that time is in use */
#define SPEAK_MS 300  /* so each speaks, or dials, at least that often */

/* Looks in a row at which nothing new was heard: a pause of our own is one look. */
#define SILENT_LOOKS (LIMIT_PEER_SILENCE_MS / SPEAK_MS)

struct peer {
    struct peers *peers;
    uint64_t id;
    struct link *link; /* NULL: it dials us */
    struct conn *conn; /* NULL: down */
    bool refused;      /* one side does not want the other: no hurry to dial again */
    uint64_t incarnation;
    uint64_t heard_ms; /* at the last look */
    unsigned silent;   /* looks */
};

struct peers {
    struct loop *loop;
    uint64_t own_id;
    const struct peers_events *events;
    void *user;
    uint64_t dropped;
    struct loop_timer speak;
    unsigned count;
    struct peer peers[LIMIT_MASTERS];
};

static struct peer *find(const struct peers *p, uint64_t id)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->peers[i].id == id)
            return (struct peer *)&p->peers[i];
    return NULL;
}

/* ---- up and down ---- */

static void come_up(struct peer *peer, struct conn *c, const struct hello *hello)
{
    conn_set_out_max(c, SIZE_MAX); /* peers_send() keeps the limit, and drops */
    conn_set_rank(c, RANK_MASTER);
    conn_hang_up_first(c); /* an election waits for it */
    peer->conn = c;
    peer->refused = false;
    peer->incarnation = hello->incarnation;
    peer->silent = 0;
    peer->peers->events->up(peer->peers->user, peer->id, hello);
}

static void go_down(struct peer *peer, const struct error *reason)
{
    if (peer->conn == NULL)
        return;
    peer->conn = NULL;
    peer->peers->events->down(peer->peers->user, peer->id, reason);
}

static void tell_refused(struct peers *p, uint64_t id, const struct error *reason)
{
    p->events->refused(p->user, id, reason);
}

/* These say that somebody must do something; other ends of a connection pass. */
static bool is_refusal(enum error_code code)
{
    return code == ERROR_WRONG_CLUSTER || code == ERROR_CONFLICT ||
           code == ERROR_VERSION || code == ERROR_INVALID;
}

static void on_end(struct peer *peer, const struct error *reason)
{
    go_down(peer, reason);
    peer->refused = is_refusal(reason->code);
    if (peer->refused)
        tell_refused(peer->peers, peer->id, reason);
}

/* ---- messages ---- */

/* Other notifies may come from a newer version. */
static void on_frame(struct peer *peer, struct conn *c, struct bytes frame)
{
    struct error err = {0};
    struct bytes message;
    struct unpack u;
    struct rpc rpc;

    if (rpc_unpack(&rpc, frame, &err) < 0) {
        conn_refuse(c, &err);
        return;
    }
    if (rpc.type != RPC_NOTIFY || rpc.method != METHOD_RAFT)
        return;
    unpack_init(&u, rpc.params);
    unpack_enter(&u);
    message = unpack_bytes(&u, LIMIT_FRAME_BYTES);
    unpack_leave(&u);
    if (unpack_finish(&u, "raft", &err) < 0)
        conn_refuse(c, &err);
    else
        peer->peers->events->bytes(peer->peers->user, peer->id, message);
}

bool peers_send(struct peers *p, uint64_t id, struct bytes raft_message)
{
    struct peer *peer = find(p, id);
    struct buffer *out;
    size_t begin;

    ASSERT(peer != NULL);
    if (peer->conn == NULL ||
        conn_queued(peer->conn) + raft_message.size > LIMIT_PEER_OUT_BYTES) {
        p->dropped++;
        return false;
    }
    out = conn_begin(peer->conn);
    begin = rpc_begin_notify(out, METHOD_RAFT);
    pack_array(out, 1);
    pack_bytes(out, raft_message);
    rpc_end(out, begin);
    conn_end(peer->conn);
    return true;
}

static void listen_to(struct peer *peer)
{
    uint64_t heard_ms = conn_heard_ms(peer->conn);
    struct error reason;

    peer->silent = heard_ms == peer->heard_ms ? peer->silent + 1 : 0;
    peer->heard_ms = heard_ms;
    if (peer->silent < SILENT_LOOKS)
        return;
    error_set(&reason,
              ERROR_TIMEOUT,
              "master %" PRIu64 " said nothing for %d ms",
              peer->id,
              LIMIT_PEER_SILENCE_MS);
    conn_close(peer->conn, &reason);
}

/* A heartbeat, which a master takes no notice of, to those that are up.  Those that are
 * down are dialled sooner than a link would: an election may need them. */
static void speak(void *user)
{
    struct peers *p = user;

    for (unsigned i = 0; i < p->count; i++) {
        struct peer *peer = &p->peers[i];

        if (peer->conn != NULL)
            listen_to(peer);
        if (peer->conn != NULL && conn_queued(peer->conn) == 0) {
            heartbeat_pack(&(struct heartbeat){0}, conn_begin(peer->conn));
            conn_end(peer->conn);
        } else if (peer->conn == NULL && peer->link != NULL && !peer->refused) {
            link_retry(peer->link);
        }
    }
    timer_set_in(p->loop, &p->speak, SPEAK_MS, speak, p);
}

/* ---- peers that we dial ---- */

static void link_greet(void *user, struct hello *hello)
{
    struct peer *peer = user;

    peer->peers->events->greet(peer->peers->user, hello);
}

static int
check_dialled(struct peer *peer, const struct hello *hello, struct error *err)
{
    if (hello->role != HELLO_MASTER || hello->id != peer->id)
        return error_set(err,
                         ERROR_INVALID,
                         "%s is to be master %" PRIu64 " but says it is master %" PRIu64
                         "; compare --id and --cluster",
                         link_address(peer->link)->text,
                         peer->id,
                         hello->id);
    return peer->peers->events->check(peer->peers->user, hello, err);
}

static void link_up(void *user, const struct hello *hello)
{
    struct peer *peer = user;
    struct error err = {0};

    if (check_dialled(peer, hello, &err) < 0)
        link_refuse(peer->link, &err);
    else
        come_up(peer, link_conn(peer->link), hello);
}

static void link_frame(void *user, struct bytes frame)
{
    struct peer *peer = user;

    on_frame(peer, link_conn(peer->link), frame);
}

static void link_ended(void *user, const struct error *reason)
{
    on_end(user, reason);
}

static const struct link_events LINK_EVENTS = {
    .greet = link_greet,
    .up = link_up,
    .frame = link_frame,
    .down = link_ended,
    .failed = link_ended,
};

/* ---- peers that dial us ---- */

static void adopted_frame(void *user, struct conn *c, struct bytes frame)
{
    on_frame(user, c, frame);
}

static void adopted_closed(void *user, struct conn *c, const struct error *reason)
{
    (void)c;
    on_end(user, reason);
}

static const struct conn_events ADOPTED_EVENTS = {
    .frame = adopted_frame,
    .closed = adopted_closed,
};

static void refused_frame(void *user, struct conn *c, struct bytes frame)
{
    (void)user;
    (void)c;
    (void)frame;
}

static void refused_closed(void *user, struct conn *c, const struct error *reason)
{
    (void)user;
    (void)c;
    (void)reason;
}

static const struct conn_events REFUSED_EVENTS = {
    .frame = refused_frame,
    .closed = refused_closed,
};

/* The old process would have closed its connection if it had died, and a connection
 * that only looks alive falls silent. */
static bool is_taken(const struct peer *peer, const struct hello *hello)
{
    return peer->conn != NULL && peer->incarnation != hello->incarnation &&
           loop_now_ms() - conn_heard_ms(peer->conn) < ALIVE_MS;
}

static int check_adopted(struct peers *p, const struct hello *hello, struct error *err)
{
    const struct peer *peer = find(p, hello->id);
    int r = p->events->check(p->user, hello, err);

    if (r < 0)
        return r;
    if (hello->id == p->own_id)
        return error_set(err,
                         ERROR_CONFLICT,
                         "this is master %" PRIu64 " already; give each its own --id",
                         p->own_id);
    if (peer == NULL || peer->link != NULL)
        return error_set(err,
                         ERROR_INVALID,
                         "master %" PRIu64 " takes no connection from master %" PRIu64
                         ": compare --cluster",
                         p->own_id,
                         hello->id);
    if (is_taken(peer, hello))
        return error_set(err,
                         ERROR_CONFLICT,
                         "another process runs as master %" PRIu64
                         "; give each its own --id",
                         hello->id);
    return 0;
}

void peers_adopt(struct peers *p, struct conn *c, const struct hello *hello)
{
    struct peer *peer = find(p, hello->id);
    struct hello ours = {.protocol = PROTOCOL_VERSION};
    struct error err = {0};

    if (check_adopted(p, hello, &err) < 0) {
        conn_hand_over(c, &REFUSED_EVENTS, NULL);
        conn_refuse(c, &err);
        tell_refused(p, hello->id, &err);
        return;
    }
    if (peer->conn != NULL) {
        conn_destroy(peer->conn);
        error_set(&err, ERROR_UNAVAILABLE, "replaced by a newer connection");
        go_down(peer, &err);
    }
    p->events->greet(p->user, &ours);
    conn_hello(c, &ours);
    conn_hand_over(c, &ADOPTED_EVENTS, peer);
    come_up(peer, c, hello);
}

/* ---- life ---- */

struct peers *peers_create(struct loop *l,
                           const struct cluster *cluster,
                           uint64_t own_id,
                           const struct peers_events *events,
                           void *user)
{
    struct peers *p = mem_zalloc(sizeof(*p));
    struct conn_options options = {0};

    ASSERT(cluster_find(cluster, own_id) != NULL);
    p->loop = l;
    p->own_id = own_id;
    p->events = events;
    p->user = user;
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct cluster_member *m = &cluster->members[i];
        struct peer *peer = &p->peers[p->count];

        if (m->id == own_id)
            continue;
        p->count++;
        peer->peers = p;
        peer->id = m->id;
        if (m->id < own_id)
            peer->link = link_create(l, &m->address, &options, &LINK_EVENTS, peer);
    }
    speak(p);
    return p;
}

void peers_destroy(struct peers *p)
{
    if (p == NULL)
        return;
    timer_stop(p->loop, &p->speak);
    for (unsigned i = 0; i < p->count; i++) {
        struct peer *peer = &p->peers[i];

        if (peer->link != NULL)
            link_destroy(peer->link);
        else
            conn_destroy(peer->conn);
    }
    mem_free(p);
}

bool peers_connected(const struct peers *p, uint64_t id)
{
    const struct peer *peer = find(p, id);

    return peer != NULL && peer->conn != NULL;
}

uint64_t peers_dropped(const struct peers *p)
{
    return p->dropped;
}
