/* client.c - carries out what the core decides: connections, frames, one timer. */
#include "client/client.h"

#include "base/assert.h"
#include "base/entropy.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/conn.h"

#include <string.h>

struct peer {
    struct client *client;
    uint32_t index;
    struct conn *conn; /* NULL while down */
    bool connected;    /* the core knows */
    struct deferred refuse;
    struct error unusable; /* why its address cannot be dialled */
};

struct client {
    struct loop *loop;
    struct client_core *core;
    struct peer peers[CLIENT_MASTERS_MAX];
    uint64_t incarnation;
    struct loop_timer timer;
    /* Answers may ask again, so steps nest; each has its own list. */
    struct client_actions *spare;
    size_t spare_count, spare_capacity;
};

static void step(struct client *c, struct client_event *event);

/* ---- connections ---- */

/* "connect to 127.0.0.1:5049: connection refused", "127.0.0.1:5049: …": the core names the
 * master itself. */
static struct error without_peer(const struct conn *conn, const struct error *reason)
{
    static const char dialling[] = "connect to ";
    struct error bare = *reason;
    const char *peer = conn_peer(conn);
    size_t size = strlen(peer);
    const char *at = bare.text;

    if (strncmp(at, dialling, sizeof(dialling) - 1) == 0)
        at += sizeof(dialling) - 1;
    if (strncmp(at, peer, size) == 0 && strncmp(at + size, ": ", 2) == 0)
        memmove(bare.text, at + size + 2, strlen(at + size + 2) + 1);
    return bare;
}

static void on_opened(void *user, struct conn *conn)
{
    struct peer *p = user;
    struct hello hello = {
        .protocol = PROTOCOL_VERSION,
        .role = HELLO_CLIENT,
        .incarnation = p->client->incarnation,
        .version = text_view(PACKAGE_VERSION),
    };

    conn_hello(conn, &hello);
}

static void on_hello(void *user, struct conn *conn, const struct hello *hello)
{
    struct peer *p = user;
    struct client_event event = {
        .kind = CLIENT_CONNECTED,
        .connected = {.master = p->index, .hello = hello},
    };

    (void)conn;
    p->connected = true;
    step(p->client, &event);
}

static void on_frame(void *user, struct conn *conn, struct bytes frame)
{
    struct peer *p = user;
    struct client_event event = {
        .kind = CLIENT_FRAME,
        .frame = {.master = p->index, .bytes = frame},
    };

    (void)conn;
    step(p->client, &event);
}

static void tell_down(struct peer *p, const struct error *reason)
{
    struct client_event event = {
        .kind = p->connected ? CLIENT_CLOSED : CLIENT_REFUSED,
        .closed = {.master = p->index, .reason = reason},
    };

    p->conn = NULL;
    p->connected = false;
    step(p->client, &event);
}

static void on_closed(void *user, struct conn *conn, const struct error *reason)
{
    struct error bare = without_peer(conn, reason);

    tell_down(user, &bare);
}

static void on_unusable(void *user)
{
    struct peer *p = user;

    tell_down(p, &p->unusable);
}

static void dial(struct client *c, struct peer *p, const char *text)
{
    static const struct conn_events events = {
        .opened = on_opened,
        .hello = on_hello,
        .frame = on_frame,
        .closed = on_closed,
    };
    static const struct conn_options options = {0};
    struct address address;

    ASSERT(p->conn == NULL);
    if (address_parse(&address, text, &p->unusable) < 0) /* it came as a hint */
        loop_defer(c->loop, &p->refuse, on_unusable, p);
    else
        p->conn = conn_dial(c->loop, &address, &options, &events, p);
}

static void hang_up(struct client *c, struct peer *p)
{
    deferred_cancel(c->loop, &p->refuse);
    conn_destroy(p->conn);
    p->conn = NULL;
    p->connected = false;
}

/* ---- steps ---- */

static struct client_actions take_spare(struct client *c)
{
    if (c->spare_count == 0)
        return (struct client_actions){0};
    return c->spare[--c->spare_count];
}

static void give_spare(struct client *c, struct client_actions actions)
{
    MEM_GROW(c->spare, c->spare_capacity, c->spare_count + 1);
    c->spare[c->spare_count++] = actions;
}

static void on_time(void *user)
{
    struct client_event event = {.kind = CLIENT_TIME};

    step(user, &event);
}

static void talk(struct client *c, const struct client_action *action)
{
    switch (action->kind) {
    case CLIENT_CONNECT:
        dial(c, &c->peers[action->master], action->connect.address);
        break;
    case CLIENT_CLOSE:
        hang_up(c, &c->peers[action->master]);
        break;
    case CLIENT_SEND:
        conn_send(c->peers[action->master].conn, action->send.bytes);
        break;
    case CLIENT_FINISHED:
        break;
    }
}

static void finish(const struct client_action *action)
{
    struct client_call *call = (struct client_call *)(uintptr_t)action->finished.ticket;
    struct client_answer answer = {
        .code = action->finished.code,
        .text = "",
        .result = action->finished.result,
        .repeated = action->finished.repeated,
        .master = action->master,
    };
    char *clean = NULL;

    if (answer.code != ERROR_NONE) {
        clean = text_clean(text_view(action->finished.text));
        answer.text = clean;
    }
    call->done(call->user, &answer);
    mem_free(clean);
}

/* Connections first: an answer may lead to the next step. */
static void step(struct client *c, struct client_event *event)
{
    struct client_actions actions = take_spare(c);

    event->now_ms = loop_now_ms();
    client_step(c->core, event, &actions);
    if (actions.deadline_ms == UINT64_MAX)
        timer_stop(c->loop, &c->timer);
    else
        timer_set_at(c->loop, &c->timer, actions.deadline_ms, on_time, c);
    for (size_t i = 0; i < actions.count; i++)
        talk(c, &actions.list[i]);
    for (size_t i = 0; i < actions.count; i++)
        if (actions.list[i].kind == CLIENT_FINISHED)
            finish(&actions.list[i]);
    give_spare(c, actions);
}

void client_request(struct client *c,
                    struct client_call *call,
                    struct bytes frame,
                    enum client_route route)
{
    struct client_event event = {
        .kind = CLIENT_REQUEST,
        .request = {.ticket = (uint64_t)(uintptr_t)call,
                    .frame = frame,
                    .route = route,
                    .master = call->master,
                    .timeout_ms = call->timeout_ms},
    };

    step(c, &event);
}

/* ---- begin and end ---- */

struct client *client_create(struct loop *l, const struct client_options *options)
{
    struct client *c = mem_zalloc(sizeof(*c));
    const char *masters[CLIENT_LISTED_MAX];
    struct client_config config;

    ASSERT(options->master_count > 0 && options->master_count <= CLIENT_LISTED_MAX);
    for (unsigned i = 0; i < options->master_count; i++)
        masters[i] = options->masters[i].text;
    client_config_init(&config);
    config.masters = masters;
    config.master_count = options->master_count;
    config.entropy = entropy_u64();
    config.reach_ms = options->reach_ms;
    c->core = client_core_create(&config);
    c->loop = l;
    c->incarnation = entropy_u64();
    for (uint32_t i = 0; i < CLIENT_MASTERS_MAX; i++)
        c->peers[i] = (struct peer){.client = c, .index = i};
    return c;
}

void client_destroy(struct client *c)
{
    if (c == NULL)
        return;
    timer_stop(c->loop, &c->timer);
    for (uint32_t i = 0; i < CLIENT_MASTERS_MAX; i++)
        hang_up(c, &c->peers[i]);
    for (size_t i = 0; i < c->spare_count; i++)
        client_actions_finish(&c->spare[i]);
    mem_free(c->spare);
    client_core_destroy(c->core);
    mem_free(c);
}

/* ---- looking in ---- */

const struct client_core *client_core_of(const struct client *c)
{
    return c->core;
}

const char *client_leader(const struct client *c)
{
    uint32_t leader = client_core_leader(c->core);

    return leader == CLIENT_NOBODY ? "" : client_core_address(c->core, leader);
}
