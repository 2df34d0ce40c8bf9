/* network.c - connections between simulated nodes. */
#include "network.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

#define HALF_OPEN_US (4 * SECOND) /* the other end of a host that died learns late */

void network_init(struct network *n,
                  struct world *w,
                  unsigned nodes,
                  struct network_calls calls)
{
    memset(n, 0, sizeof(*n));
    ASSERT(nodes <= NODES_MAX);
    n->world = w;
    n->calls = calls;
    n->nodes = nodes;
    n->half_open_percent = 15;
    LIST_INIT(&n->connections);
    for (unsigned i = 0; i < nodes; i++)
        for (unsigned j = 0; j < nodes; j++)
            n->delay_us[i][j] = pick(w, 100, 2000);
}

static void packet_destroy(struct packet *p)
{
    buffer_finish(&p->bytes);
    mem_free(p);
}

static void drop_stalled(struct connection *c)
{
    for (int end = 0; end < 2; end++)
        while (!STAILQ_EMPTY(&c->stalled[end])) {
            struct packet *p = STAILQ_FIRST(&c->stalled[end]);

            STAILQ_REMOVE_HEAD(&c->stalled[end], link);
            packet_destroy(p);
        }
}

static void release(struct connection *c)
{
    if (--c->references > 0)
        return;
    LIST_REMOVE(c, link);
    drop_stalled(c);
    mem_free(c);
}

void network_finish(struct network *n)
{
    while (!LIST_EMPTY(&n->connections)) {
        struct connection *c = LIST_FIRST(&n->connections);

        LIST_REMOVE(c, link);
        drop_stalled(c);
        mem_free(c);
    }
}

struct connection *
network_connect(struct network *n, unsigned from, unsigned to, bool lossy)
{
    struct connection *c = mem_zalloc(sizeof(*c));

    ASSERT(n->alive[from] && n->alive[to]);
    c->net = n;
    c->node[0] = from;
    c->node[1] = to;
    c->incarnation[0] = n->incarnation[from];
    c->incarnation[1] = n->incarnation[to];
    c->open = true;
    c->lossy = lossy;
    c->references = 1; /* of being open */
    STAILQ_INIT(&c->stalled[0]);
    STAILQ_INIT(&c->stalled[1]);
    LIST_INSERT_HEAD(&n->connections, c, link);
    return c;
}

static bool end_lives(const struct connection *c, int end)
{
    unsigned node = c->node[end];

    return c->net->alive[node] && c->net->incarnation[node] == c->incarnation[end];
}

static void arrive(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct connection *c = context;
    struct packet *p = (struct packet *)(uintptr_t)a;
    int end = (int)b;
    struct network *n = c->net;
    uint64_t paused = n->paused_until_us[c->node[end]];
    bool taken = end_lives(c, end) && (c->open || (c->drains[end] && !c->heard[end]));

    if (taken && paused > w->now_us) {
        world_at(w, paused, arrive, context, a, b); /* waits in the socket, in order */
        return;
    }
    if (taken) {
        n->late += !c->open;
        n->calls.bytes(c, end, buffer_view(&p->bytes));
    }
    packet_destroy(p);
    release(c);
}

static void dispatch(struct connection *c, int end, struct packet *p)
{
    struct network *n = c->net;
    struct world *w = n->world;
    uint64_t delay = n->delay_us[c->node[1 - end]][c->node[end]];
    uint64_t at = w->now_us + delay + pick(w, 0, delay / 4);

    if (c->lossy) {
        at += pick(w, 0, 2 * delay);
    } else {
        if (at < c->arrives_us[end])
            at = c->arrives_us[end];
        c->arrives_us[end] = at;
    }
    c->references++;
    world_at(w, at, arrive, c, (uintptr_t)p, (uint64_t)end);
}

static struct packet *packet_create(struct bytes bytes)
{
    struct packet *p = mem_zalloc(sizeof(*p));

    buffer_append(&p->bytes, bytes.data, bytes.size);
    return p;
}

void network_send(struct connection *c, int from_end, struct bytes bytes)
{
    struct network *n = c->net;
    int end = 1 - from_end;
    bool cut = n->cut[c->node[from_end]][c->node[end]];

    if (!c->open)
        return;
    n->packets++;
    if (c->lossy && (cut || chance(n->world, n->loss_percent))) {
        n->lost++;
        return;
    }
    if (cut || !STAILQ_EMPTY(&c->stalled[end])) {
        struct packet *p = packet_create(bytes);

        n->stalled++;
        STAILQ_INSERT_TAIL(&c->stalled[end], p, link);
        return;
    }
    dispatch(c, end, packet_create(bytes));
    if (c->lossy && chance(n->world, n->repeat_percent)) {
        n->repeated++;
        dispatch(c, end, packet_create(bytes));
    }
}

static void hear_close(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct connection *c = context;
    int end = (int)a;
    uint64_t paused = c->net->paused_until_us[c->node[end]];

    if (end_lives(c, end) && paused > w->now_us) {
        world_at(w, paused, hear_close, context, a, b);
        return;
    }
    c->heard[end] = true;
    if (end_lives(c, end))
        c->net->calls.closed(c, end);
    release(c);
}

static void close_within(struct connection *c, uint64_t most_us)
{
    struct world *w = c->net->world;

    if (!c->open)
        return;
    c->open = false;
    for (int end = 0; end < 2; end++) {
        uint64_t at = w->now_us + pick(w, 50, most_us);

        if (c->drains[end] && at < c->arrives_us[end])
            at = c->arrives_us[end]; /* behind the last packet */
        c->references++;
        world_at(w, at, hear_close, c, (uint64_t)end, 0);
    }
    drop_stalled(c);
    release(c);
}

void network_close(struct connection *c)
{
    close_within(c, 1 * MS);
}

void network_hang_up(struct connection *c, int end)
{
    if (c->open)
        c->drains[1 - end] = chance(c->net->world, 70);
    close_within(c, 1 * MS);
}

void network_cut(struct network *n, unsigned from, unsigned to, bool cut)
{
    struct connection *c;

    n->cut[from][to] = cut;
    if (cut)
        return;
    LIST_FOREACH (c, &n->connections, link)
        for (int end = 0; end < 2; end++)
            while (c->open && c->node[1 - end] == from && c->node[end] == to &&
                   !STAILQ_EMPTY(&c->stalled[end])) {
                struct packet *p = STAILQ_FIRST(&c->stalled[end]);

                STAILQ_REMOVE_HEAD(&c->stalled[end], link);
                dispatch(c, end, p);
            }
}

void network_crash(struct network *n, unsigned node)
{
    struct connection *c, *next;

    n->alive[node] = false;
    n->incarnation[node]++;
    n->paused_until_us[node] = 0;
    for (c = LIST_FIRST(&n->connections); c != NULL; c = next) {
        next = LIST_NEXT(c, link);
        if (!c->open || (c->node[0] != node && c->node[1] != node))
            continue;
        /* The process, or its whole host: then nobody says so. */
        if (chance(n->world, n->half_open_percent))
            close_within(c, HALF_OPEN_US);
        else
            network_hang_up(c, c->node[0] == node ? 0 : 1);
    }
}

/* It would not be made longer: what arrived waits for its end, and would come behind what arrives
 * later. */
bool network_pause(struct network *n, unsigned node, uint64_t until_us)
{
    if (n->paused_until_us[node] > n->world->now_us)
        return false;
    n->paused_until_us[node] = until_us;
    return true;
}

bool network_reachable(const struct network *n, unsigned a, unsigned b)
{
    return n->alive[a] && n->alive[b] && !n->cut[a][b] && !n->cut[b][a];
}
