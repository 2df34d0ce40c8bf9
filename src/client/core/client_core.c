/* client_core.c - events in: connections, frames, time. */
#include "client/core/client_core.h"

#include "base/assert.h"
#include "base/mem.h"
#include "client/core/core_internal.h"
#include "wire/message_agent.h"

#include <stdio.h>
#include <string.h>

void client_config_init(struct client_config *config)
{
    *config = (struct client_config){.reach_ms = CLIENT_REACH_MS};
}

struct client_core *client_core_create(const struct client_config *config)
{
    struct client_core *c = mem_zalloc(sizeof(*c));

    ASSERT(config->master_count > 0 && config->master_count <= CLIENT_LISTED_MAX);
    c->rng.state = config->entropy;
    c->reach_ms = config->reach_ms;
    c->preferred = CLIENT_NOBODY;
    c->master_count = config->master_count;
    c->listed = config->master_count;
    for (uint32_t m = 0; m < c->listed; m++)
        c->masters[m] = (struct master){.address = mem_strdup(config->masters[m]),
                                        .connect_wait_ms = CONNECT_WAIT_MS,
                                        .probe_wait_ms = PROBE_MS};
    requests_init(c);
    return c;
}

void client_core_destroy(struct client_core *core)
{
    if (core == NULL)
        return;
    requests_finish(core);
    for (uint32_t m = 0; m < core->master_count; m++)
        mem_free(core->masters[m].address);
    buffer_finish(&core->scratch);
    mem_free(core);
}

uint64_t core_back_off(struct client_core *c, uint64_t *wait_ms, uint64_t max)
{
    uint64_t wait = rng_between(&c->rng, *wait_ms / 2, *wait_ms);

    *wait_ms = *wait_ms * 3 / 2 < max ? *wait_ms * 3 / 2 : max;
    return wait;
}

/* ---- connections ---- */

/* No later connection will be better. */
static bool is_for_good(enum error_code code)
{
    return code == ERROR_VERSION || code == ERROR_WRONG_CLUSTER;
}

void core_disconnected(struct client_core *c,
                       uint32_t master,
                       const struct error *reason)
{
    struct master *m = &c->masters[master];

    m->link = LINK_DOWN;
    m->connect_ms =
        c->now_ms + core_back_off(c, &m->connect_wait_ms, CONNECT_WAIT_MAX_MS);
    m->hopeless = is_for_good(reason->code) ? reason->code : ERROR_NONE;
    snprintf(m->trouble,
             sizeof(m->trouble),
             "%.*s",
             TROUBLE_MAX - 1,
             reason->text[0] != 0 ? reason->text : "the connection was closed");
    if (c->preferred == master) {
        c->preferred = CLIENT_NOBODY;
        c->confirmed = false;
        c->wide = true;
    }
    requests_lost(c, master);
    requests_unreachable(c, master);
}

void core_drop(struct client_core *c, uint32_t master, const struct error *reason)
{
    actions_add(c->out, CLIENT_CLOSE, master);
    core_disconnected(c, master, reason);
}

/* A master of another cluster in the list would take jobs that nobody looks for there. */
static bool is_foreign(struct client_core *c, const struct hello *h)
{
    if (h->cluster_hash.size != sizeof(c->cluster))
        return false;
    if (c->has_cluster)
        return memcmp(c->cluster, h->cluster_hash.data, sizeof(c->cluster)) != 0;
    memcpy(c->cluster, h->cluster_hash.data, sizeof(c->cluster));
    c->has_cluster = true;
    return false;
}

static int check_hello(struct client_core *c, const struct hello *h, struct error *err)
{
    if (h->role != HELLO_MASTER)
        return error_set(err, ERROR_WRONG_CLUSTER, "this is not a master");
    if (is_foreign(c, h))
        return error_set(err,
                         ERROR_WRONG_CLUSTER,
                         "it belongs to another cluster than the masters that answered "
                         "before: name the masters of one cluster");
    return 0;
}

static void
on_connected(struct client_core *c, uint32_t master, const struct hello *hello)
{
    struct master *m = &c->masters[master];
    struct error err;

    if (m->link != LINK_CONNECTING)
        return;
    if (check_hello(c, hello, &err) != 0) {
        core_drop(c, master, &err);
        return;
    }
    m->link = LINK_UP;
    m->trouble[0] = 0;
    m->connect_wait_ms = CONNECT_WAIT_MS;
    m->probe_ms = c->now_ms;
    c->reached = true;
    if (hello->leads)
        search_confirm(c, master, hello->term);
}

static void
on_closed(struct client_core *c, uint32_t master, const struct error *reason)
{
    if (c->masters[master].link != LINK_DOWN)
        core_disconnected(c, master, reason);
}

/* ---- frames ---- */

static void on_leading(struct client_core *c, uint32_t master, struct bytes params)
{
    struct error err;
    uint64_t term;

    if (leading_unpack(&term, params, &err) != 0)
        core_drop(c, master, &err);
    else
        search_confirm(c, master, term);
}

static void on_frame(struct client_core *c, uint32_t master, struct bytes bytes)
{
    struct error err;
    struct rpc rpc;

    if (c->masters[master].link != LINK_UP)
        return;
    if (rpc_unpack(&rpc, bytes, &err) != 0)
        core_drop(c, master, &err);
    else if (rpc.type == RPC_RESPONSE)
        requests_answer(c, master, &rpc);
    else if (rpc.type == RPC_NOTIFY && rpc.method == METHOD_LEADING)
        on_leading(c, master, rpc.params);
}

/* ---- time ---- */

static void on_time(struct client_core *c)
{
    static const struct error silent = {ERROR_UNAVAILABLE, "no answer"};

    for (uint32_t m = 0; m < c->master_count; m++)
        if (c->masters[m].link == LINK_CONNECTING &&
            c->now_ms >= c->masters[m].connect_ms)
            core_drop(c, m, &silent);
    requests_tick(c);
    search_tick(c);
}

void client_step(struct client_core *core,
                 const struct client_event *event,
                 struct client_actions *actions)
{
    uint64_t deadline;

    ASSERT(event->now_ms >= core->now_ms);
    actions_clear(actions);
    core->out = actions;
    core->now_ms = event->now_ms;
    switch (event->kind) {
    case CLIENT_REQUEST:
        requests_start(core, event);
        break;
    case CLIENT_CONNECTED:
        on_connected(core, event->connected.master, event->connected.hello);
        break;
    case CLIENT_REFUSED:
        on_closed(core, event->refused.master, event->refused.reason);
        break;
    case CLIENT_CLOSED:
        on_closed(core, event->closed.master, event->closed.reason);
        break;
    case CLIENT_FRAME:
        on_frame(core, event->frame.master, event->frame.bytes);
        break;
    case CLIENT_TIME:
        on_time(core);
        break;
    }
    search_dispatch(core);
    deadline = requests_deadline(core);
    actions->deadline_ms = search_deadline(core);
    if (deadline < actions->deadline_ms)
        actions->deadline_ms = deadline;
    actions_settle(actions);
    core->out = NULL;
}

/* ---- looking in ---- */

size_t client_core_requests(const struct client_core *core)
{
    return core->request_count;
}

uint32_t client_core_leader(const struct client_core *core)
{
    return core->confirmed ? core->preferred : CLIENT_NOBODY;
}

uint32_t client_core_masters(const struct client_core *core)
{
    return core->master_count;
}

const char *client_core_address(const struct client_core *core, uint32_t master)
{
    ASSERT(master < core->master_count);
    return core->masters[master].address;
}

const char *client_core_trouble(const struct client_core *core, uint32_t master)
{
    ASSERT(master < core->master_count);
    return core->masters[master].trouble;
}
