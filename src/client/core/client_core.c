/* client_core.c - events in: connections, frames, time. */
#include "client/core/client_core.h"

#include "base/assert.h"
#include "base/mem.h"
#include "client/core/core_internal.h"
#include "wire/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void client_config_init(struct client_config *config)
{
    *config = (struct client_config){.version = "", .reach_ms = CLIENT_REACH_MS};
}

struct client_core *client_core_create(const struct client_config *config)
{
    struct client_core *c = mem_zalloc(sizeof(*c));

    ASSERT(config->master_count > 0 && config->master_count <= CLIENT_LISTED_MAX);
    c->rng.state = config->entropy;
    c->incarnation = rng_next(&c->rng);
    c->version = config->version;
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

    *wait_ms = *wait_ms * 2 < max ? *wait_ms * 2 : max;
    return wait;
}

/* ---- connections ---- */

void core_disconnected(struct client_core *c, uint32_t master, const char *why)
{
    struct master *m = &c->masters[master];

    m->link = LINK_DOWN;
    m->connect_ms = c->now_ms + core_back_off(c, &m->connect_wait_ms, CONNECT_WAIT_MAX_MS);
    snprintf(m->trouble, sizeof(m->trouble), "%s", why);
    if (c->preferred == master) {
        c->preferred = CLIENT_NOBODY;
        c->confirmed = false;
        c->wide = true;
    }
    requests_lost(c, master);
    requests_unreachable(c, master);
}

void core_drop(struct client_core *c, uint32_t master, const char *why)
{
    actions_add(c->out, CLIENT_CLOSE, master);
    core_disconnected(c, master, why);
}

static void on_connected(struct client_core *c, uint32_t master)
{
    struct hello hello = {
        .protocol = PROTOCOL_VERSION,
        .role = ROLE_CLIENT,
        .incarnation = c->incarnation,
        .version = text_view(c->version),
    };

    if (c->masters[master].link != LINK_CONNECTING)
        return;
    c->masters[master].link = LINK_GREETING;
    buffer_clear(&c->scratch);
    hello_pack(&hello, &c->scratch);
    actions_send(c->out, master, buffer_view(&c->scratch));
}

static void on_closed(struct client_core *c, uint32_t master, const char *why)
{
    if (c->masters[master].link != LINK_DOWN)
        core_disconnected(c, master, why);
}

/* ---- frames ---- */

static void give_up_master(struct client_core *c,
                           uint32_t master,
                           enum error_code code,
                           const char *why)
{
    c->masters[master].hopeless = code;
    core_drop(c, master, why);
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

static void on_hello(struct client_core *c, uint32_t master, struct bytes params)
{
    struct master *m = &c->masters[master];
    struct hello h;
    struct error err;
    int rc = hello_unpack(&h, params, &err);

    if (rc == -(int)ERROR_VERSION) {
        give_up_master(c, master, ERROR_VERSION, err.text);
    } else if (rc != 0) {
        core_drop(c, master, err.text);
    } else if (h.role != ROLE_MASTER) {
        give_up_master(c, master, ERROR_INVALID, "this is not a master");
    } else if (is_foreign(c, &h)) {
        give_up_master(c,
                       master,
                       ERROR_WRONG_CLUSTER,
                       "belongs to another cluster than the other masters; name the "
                       "masters of one cluster");
    } else {
        m->link = LINK_UP;
        m->trouble[0] = 0;
        m->connect_wait_ms = CONNECT_WAIT_MS;
        m->probe_ms = c->now_ms;
        c->reached = true;
        if (h.leads)
            search_confirm(c, master, h.term);
    }
}

static void on_leading(struct client_core *c, uint32_t master, struct bytes params)
{
    struct error err;
    uint64_t term;

    if (leading_unpack(&term, params, &err) != 0)
        core_drop(c, master, err.text);
    else
        search_confirm(c, master, term);
}

static void on_frame(struct client_core *c, uint32_t master, struct bytes bytes)
{
    struct error err;
    struct rpc rpc;

    if (c->masters[master].link != LINK_GREETING && c->masters[master].link != LINK_UP)
        return;
    if (rpc_unpack(&rpc, bytes, &err) != 0)
        core_drop(c, master, err.text);
    else if (rpc.type == RPC_NOTIFY && rpc.method == METHOD_HELLO)
        on_hello(c, master, rpc.params);
    else if (c->masters[master].link == LINK_GREETING)
        core_drop(c, master, "it did not say hello first; is it a Triarch master?");
    else if (rpc.type == RPC_RESPONSE)
        requests_answer(c, master, &rpc);
    else if (rpc.type == RPC_NOTIFY && rpc.method == METHOD_LEADING)
        on_leading(c, master, rpc.params);
}

/* ---- time ---- */

static void on_time(struct client_core *c)
{
    for (uint32_t m = 0; m < c->master_count; m++)
        if ((c->masters[m].link == LINK_CONNECTING ||
             c->masters[m].link == LINK_GREETING) &&
            c->now_ms >= c->masters[m].connect_ms)
            core_drop(c, m, "no answer");
    requests_tick(c);
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
        on_connected(core, event->connected.master);
        break;
    case CLIENT_REFUSED:
        on_closed(core, event->refused.master, event->refused.why);
        break;
    case CLIENT_CLOSED:
        on_closed(core, event->closed.master, event->closed.why);
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
