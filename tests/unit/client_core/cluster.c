#include "cluster.h"

#include "base/mem.h"
#include "base/text.h"
#include "wire/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_WORD 4

enum what {
    CONNECTS, /* to the client: connected, or refused */
    CLOSES,   /* to the client */
    ASKED,    /* a frame reaches the master */
    COMMITS,  /* what the leader took is in the log */
    ANSWERS,  /* a frame reaches the client */
    IS_ELECTED,
};

struct happening {
    uint64_t at_ms;
    uint64_t sequence;
    enum what what;
    uint32_t master;
    uint64_t session;
    uint32_t id;     /* of the request */
    unsigned number; /* of its key */
    uint64_t term;
    struct buffer frame;
};

static struct happening *
plan(struct cluster *c, enum what what, uint32_t master, uint64_t in_ms)
{
    struct happening *h;

    MEM_GROW(c->happenings, c->capacity, c->count + 1);
    h = &c->happenings[c->count++];
    *h = (struct happening){.at_ms = c->f.now_ms + in_ms,
                            .sequence = c->sequence++,
                            .what = what,
                            .master = master,
                            .session = c->nodes[master].session};
    return h;
}

/* ---- from the client ---- */

static void take_request(struct cluster *c, uint32_t master, const struct rpc *rpc)
{
    struct submit_request submit;
    struct happening *h;

    if (rng_percent(&c->rng, c->lose_percent))
        return;
    ck_assert_int_eq(submit_unpack(&submit, rpc->params, NULL), 0);
    h = plan(c, ASKED, master, LATENCY_MS);
    h->id = rpc->id;
    h->number = (unsigned)strtoul((const char *)submit.key.data + 1, NULL, 10);
}

static void on_action(void *user, const struct client_action *action)
{
    struct cluster *c = user;
    struct bytes frames = action->send.bytes;
    struct rpc rpc;

    switch (action->kind) {
    case CLIENT_CONNECT:
        c->nodes[action->master].session++;
        plan(c, CONNECTS, action->master, LATENCY_MS);
        break;
    case CLIENT_CLOSE:
        c->nodes[action->master].session++;
        c->nodes[action->master].connected = false;
        break;
    case CLIENT_SEND:
        while (frames.size > 0) {
            size_t size = (size_t)rpc_frame_size(frames, NULL);

            rpc_unpack(
                &rpc, (struct bytes){frames.data + SIZE_WORD, size - SIZE_WORD}, NULL);
            take_request(c, action->master, &rpc);
            frames.data += size;
            frames.size -= size;
        }
        break;
    case CLIENT_FINISHED:
        break;
    }
}

/* ---- masters ---- */

static void answer(
    struct cluster *c, uint32_t master, uint32_t id, unsigned number, enum error_code e)
{
    const char *hint =
        c->leader == CLIENT_NOBODY ? "" : client_core_address(c->f.core, c->leader);
    struct submit_result result = {c->job_of[number], 1};
    struct happening *h;

    if (rng_percent(&c->rng, c->lose_percent))
        return;
    h = plan(c, ANSWERS, master, LATENCY_MS);
    if (e == ERROR_NONE)
        submit_result_pack(&result, id, &h->frame);
    else
        rpc_error(&h->frame, id, e, "not here", hint);
}

static void commit(struct cluster *c, unsigned number)
{
    if (c->job_of[number] == 0)
        c->job_of[number] = ++c->jobs;
}

static void on_asked(struct cluster *c, const struct happening *h)
{
    struct happening *commits;

    if (c->leader != h->master) {
        answer(c, h->master, h->id, 0, ERROR_NOT_LEADER);
        return;
    }
    commits = plan(c, COMMITS, h->master, COMMIT_MS);
    commits->id = h->id;
    commits->number = h->number;
    commits->term = c->term;
}

static void on_commits(struct cluster *c, const struct happening *h)
{
    if (c->leader == h->master && c->term == h->term) {
        commit(c, h->number);
        answer(c, h->master, h->id, h->number, ERROR_NONE);
        return;
    }
    if (c->keeps)
        commit(c, h->number);
    answer(c, h->master, h->id, 0, ERROR_UNKNOWN);
}

static void lead(struct cluster *c, uint32_t master)
{
    c->leader = master;
    c->term++;
    if (c->announces && c->nodes[master].connected)
        leading_pack(c->term, &plan(c, ANSWERS, master, LATENCY_MS)->frame);
}

static void on_elected(struct cluster *c)
{
    uint32_t last = CLIENT_NOBODY;
    unsigned voters = 0;

    for (uint32_t m = 0; m < CLUSTER_MASTERS; m++) {
        if (c->nodes[m].alive && !c->nodes[m].hangs) {
            last = m;
            voters++;
        }
    }
    if (voters > CLUSTER_MASTERS / 2)
        lead(c, last);
    else
        plan(c, IS_ELECTED, 0, ELECTION_MS);
}

static void lose_leader(struct cluster *c, uint64_t in_ms)
{
    c->leader = CLIENT_NOBODY;
    plan(c, IS_ELECTED, 0, in_ms);
}

void cluster_kill(struct cluster *c, uint32_t master)
{
    struct node *n = &c->nodes[master];

    if (!n->alive)
        return;
    if (c->keeps)
        for (size_t i = 0; i < c->count; i++)
            if (c->happenings[i].what == COMMITS && c->happenings[i].master == master)
                commit(c, c->happenings[i].number);
    if (n->connected) {
        n->session++;
        plan(c, CLOSES, master, LATENCY_MS);
    }
    *n = (struct node){.session = n->session};
    if (c->leader == master)
        lose_leader(c, ELECTION_MS);
}

void cluster_restart(struct cluster *c, uint32_t master)
{
    c->nodes[master].alive = true;
}

void cluster_hang(struct cluster *c, uint32_t master)
{
    if (!c->nodes[master].alive)
        return;
    c->nodes[master].hangs = true;
    if (c->leader == master)
        lose_leader(c, 500 + ELECTION_MS);
}

void cluster_resume(struct cluster *c, uint32_t master)
{
    c->nodes[master].hangs = false;
}

void cluster_transfer(struct cluster *c)
{
    if (c->leader == CLIENT_NOBODY)
        return;
    c->leader = (c->leader + 1) % CLUSTER_MASTERS;
    c->term++;
    if (!c->nodes[c->leader].alive || c->nodes[c->leader].hangs)
        lose_leader(c, ELECTION_MS);
}

/* ---- to the client ---- */

static void on_connects(struct cluster *c, uint32_t master)
{
    struct node *n = &c->nodes[master];

    if (!n->alive) {
        fixture_refused(&c->f, master);
    } else if (!n->hangs) {
        n->connected = true;
        if (c->leader == master && c->announces)
            fixture_connected_leading(&c->f, master, c->term);
        else
            fixture_connected(&c->f, master);
    }
}

static void deliver(struct cluster *c, const struct happening *h)
{
    struct node *n = &c->nodes[h->master];

    switch (h->what) {
    case CONNECTS:
        on_connects(c, h->master);
        break;
    case CLOSES:
        fixture_closed(&c->f, h->master);
        break;
    case ASKED:
        if (n->connected)
            on_asked(c, h);
        break;
    case COMMITS:
        if (n->connected)
            on_commits(c, h);
        break;
    case ANSWERS:
        if (n->connected)
            fixture_frame(&c->f, h->master, buffer_view(&h->frame));
        break;
    case IS_ELECTED:
        if (c->leader == CLIENT_NOBODY)
            on_elected(c);
        break;
    }
}

/* A frame of a connection that is gone, or something that a hanging master does later. */
static bool is_lost(const struct cluster *c, const struct happening *h)
{
    return h->what != IS_ELECTED && h->session != c->nodes[h->master].session;
}

static bool is_held(const struct cluster *c, const struct happening *h)
{
    return c->nodes[h->master].hangs &&
           (h->what == ASKED || h->what == COMMITS || h->what == CONNECTS);
}

static struct happening *next_happening(struct cluster *c)
{
    struct happening *next = NULL;

    for (size_t i = 0; i < c->count; i++) {
        struct happening *h = &c->happenings[i];

        if (!is_held(c, h) &&
            (next == NULL || h->at_ms < next->at_ms ||
             (h->at_ms == next->at_ms && h->sequence < next->sequence)))
            next = h;
    }
    return next;
}

bool cluster_step(struct cluster *c, uint64_t end_ms)
{
    struct happening *next = next_happening(c);
    struct client_event time = {.kind = CLIENT_TIME};
    struct happening now;
    uint64_t at_ms = next == NULL ? UINT64_MAX : next->at_ms;

    if (at_ms < c->f.now_ms)
        at_ms = c->f.now_ms;
    if (c->f.actions.deadline_ms < at_ms) {
        at_ms = c->f.actions.deadline_ms;
        next = NULL;
    }
    if (at_ms > end_ms)
        return false;
    c->f.now_ms = at_ms > c->f.now_ms ? at_ms : c->f.now_ms;
    if (next == NULL) {
        fixture_step(&c->f, &time);
        return true;
    }
    now = *next;
    *next = c->happenings[--c->count];
    if (!is_lost(c, &now))
        deliver(c, &now);
    buffer_finish(&now.frame);
    return true;
}

/* ---- begin and end ---- */

void cluster_start(struct cluster *c, uint64_t seed)
{
    *c = (struct cluster){.term = 1, .rng = {seed}};
    fixture_start(&c->f, CLUSTER_MASTERS, seed);
    c->f.on_action = on_action;
    c->f.user = c;
    for (uint32_t m = 0; m < CLUSTER_MASTERS; m++)
        c->nodes[m].alive = true;
}

void cluster_finish(struct cluster *c)
{
    for (size_t i = 0; i < c->count; i++)
        buffer_finish(&c->happenings[i].frame);
    mem_free(c->happenings);
    fixture_finish(&c->f);
}

void cluster_submit(struct cluster *c, unsigned number)
{
    char key[16];

    ck_assert_uint_lt(number, CLUSTER_KEYS);
    snprintf(key, sizeof(key), "k%u", number);
    fixture_submit(&c->f, number, key);
}
