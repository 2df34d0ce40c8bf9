/* link.c - a lasting connection to one address: dials again whenever it ends. */
#include "net/link.h"

#include "base/assert.h"
#include "base/entropy.h"
#include "base/mem.h"
#include "base/rng.h"

#define DELAY_FIRST_MS 100
#define DELAY_MAX_MS   1000
#define STEADY_MS      1000 /* a connection that lived as long was a good one */

struct link {
    struct loop *loop;
    struct address address;
    struct conn_options options;
    const struct link_events *events;
    void *user;
    struct rng rng;
    struct conn *conn; /* NULL while waiting to dial */
    bool up;
    uint64_t up_since_ms;
    uint64_t delay_ms; /* before the next attempt */
    struct loop_timer retry;
    struct deferred release;
};

static void dial(void *user);

/* ---- when to dial ---- */

static void wait_and_dial(struct link *k)
{
    uint64_t delay = k->delay_ms;

    if (delay > 0) /* half of it fixed, half random: many links do not come together */
        delay = rng_between(&k->rng, delay / 2, delay);
    timer_set_in(k->loop, &k->retry, delay, dial, k);
    k->delay_ms = k->delay_ms == 0 ? DELAY_FIRST_MS : 2 * k->delay_ms;
    if (k->delay_ms > DELAY_MAX_MS)
        k->delay_ms = DELAY_MAX_MS;
}

/* The other side will not change its mind soon. */
static bool is_final(enum error_code code)
{
    return code == ERROR_WRONG_CLUSTER || code == ERROR_VERSION ||
           code == ERROR_CONFLICT || code == ERROR_INVALID;
}

static void on_closed(void *user, struct conn *c, const struct error *reason)
{
    struct link *k = user;
    bool was_up = k->up;

    (void)c;
    k->conn = NULL;
    k->up = false;
    if (was_up && loop_now_ms() - k->up_since_ms >= STEADY_MS)
        k->delay_ms = 0;
    if (is_final(reason->code))
        k->delay_ms = DELAY_MAX_MS;
    wait_and_dial(k);
    if (was_up)
        k->events->down(k->user, reason);
    else if (k->events->failed != NULL)
        k->events->failed(k->user, reason);
}

/* ---- the connection ---- */

static void come_up(struct link *k, const struct hello *hello)
{
    k->up = true;
    k->up_since_ms = loop_now_ms();
    k->events->up(k->user, hello);
}

static void on_opened(void *user, struct conn *c)
{
    struct link *k = user;
    struct hello hello = {.protocol = PROTOCOL_VERSION};

    if (k->events->greet == NULL) {
        come_up(k, NULL);
        return;
    }
    k->events->greet(k->user, &hello);
    conn_hello(c, &hello);
}

static void on_hello(void *user, struct conn *c, const struct hello *hello)
{
    (void)c;
    come_up(user, hello);
}

static void on_frame(void *user, struct conn *c, struct bytes frame)
{
    struct link *k = user;

    (void)c;
    k->events->frame(k->user, frame);
}

static void on_drained(void *user, struct conn *c)
{
    struct link *k = user;

    (void)c;
    if (k->up && k->events->drained != NULL)
        k->events->drained(k->user);
}

static const struct conn_events CONN_EVENTS = {
    .opened = on_opened,
    .hello = on_hello,
    .frame = on_frame,
    .drained = on_drained,
    .closed = on_closed,
};

static const struct conn_events PLAIN_EVENTS = {
    .opened = on_opened,
    .frame = on_frame,
    .drained = on_drained,
    .closed = on_closed,
};

static void dial(void *user)
{
    struct link *k = user;

    ASSERT(k->conn == NULL);
    timer_stop(k->loop, &k->retry);
    k->conn = conn_dial(k->loop,
                        &k->address,
                        &k->options,
                        k->events->greet == NULL ? &PLAIN_EVENTS : &CONN_EVENTS,
                        k);
}

/* ---- life ---- */

struct link *link_create(struct loop *l,
                         const struct address *to,
                         const struct conn_options *options,
                         const struct link_events *events,
                         void *user)
{
    struct link *k = mem_zalloc(sizeof(*k));

    k->loop = l;
    k->address = *to;
    k->options = *options;
    k->events = events;
    k->user = user;
    k->rng.state = entropy_u64();
    dial(k);
    return k;
}

static void release(void *user)
{
    mem_free(user);
}

void link_destroy(struct link *k)
{
    if (k == NULL)
        return;
    timer_stop(k->loop, &k->retry);
    conn_destroy(k->conn);
    loop_defer(k->loop, &k->release, release, k);
}

void link_retry(struct link *k)
{
    if (k->conn == NULL)
        dial(k);
}

void link_drop(struct link *k, const struct error *reason)
{
    if (k->conn != NULL)
        conn_close(k->conn, reason);
}

void link_refuse(struct link *k, const struct error *reason)
{
    if (k->conn != NULL)
        conn_refuse(k->conn, reason);
}

struct conn *link_conn(struct link *k)
{
    return k->up ? k->conn : NULL;
}

const struct address *link_address(const struct link *k)
{
    return &k->address;
}
