/* cluster_client.c - clients: what they ask, and what the cluster said to it.
 *
 * A ticket names what was asked: kind in the low bits, the job's slot above.  Every submit has
 * a key of its own; sometimes another client repeats it, and sometimes it is repeated with
 * another body, which must conflict.
 */
#include "cluster.h"

#include "base/assert.h"
#include "base/mem.h"
#include "wire/message_role.h"

#include <stdio.h>
#include <string.h>

/* A ticket: kind, slot of the job, and the index that was known when it was asked. */
#define TICKET_KIND_BITS 3
#define TICKET_SLOT_BITS 12

enum ask {
    ASK_SUBMIT, /* or to dispatch */
    ASK_CONFLICT,
    ASK_KILL,
    ASK_READ,
    ASK_PURGE,
    ASK_MODE,
    ASK_GONE,
    ASK_ROLE, /* its slot: the number of the role, and ROLE_FREED */
};

#define ROLE_FREED 2u /* it has no maximum any more */

static void step(struct sim_client *x, struct client_event *event);
static void ask_kill(struct sim_client *x, unsigned slot);

static const struct error REFUSED = {ERROR_UNAVAILABLE, "connection refused"};
static const struct error CLOSED = {ERROR_UNAVAILABLE, "connection closed"};

/* ---- links ---- */

static unsigned slot_of(const struct sim_client *x, const struct connection *link)
{
    for (unsigned i = 0; i < CLIENT_MASTERS_MAX; i++)
        if (x->links[i] == link)
            return i;
    return CLIENT_MASTERS_MAX;
}

static void say_hello(struct connection *link)
{
    struct hello hello = {.protocol = PROTOCOL_VERSION,
                          .role = HELLO_CLIENT,
                          .incarnation = 1,
                          .version = {(const uint8_t *)"sim", 3}};
    struct buffer frame = {0};

    hello_pack(&hello, &frame);
    network_send(link, 0, buffer_view(&frame));
    buffer_finish(&frame);
}

static void connect_now(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_client *x = context;
    struct cluster *c = x->cluster;
    unsigned master = 0;
    struct connection *link;

    (void)w;
    if (x->connects[a] != b || x->links[a] != NULL)
        return;
    while (master < c->masters &&
           strcmp(c->addresses[master], client_core_address(x->core, (uint32_t)a)) != 0)
        master++;
    ASSERT(master < c->masters);
    if (!network_reachable(&c->net, x->number, master) ||
        c->net.paused_until_us[master] > c->world.now_us) {
        step(x,
             &(struct client_event){
                 .kind = CLIENT_REFUSED,
                 .refused = {.master = (uint32_t)a, .reason = &REFUSED}});
        return;
    }
    link = network_connect(&c->net, x->number, master, false);
    link->user[0] = x;
    link->user[1] = &c->master[master];
    x->links[a] = link;
    x->greeted[a] = false;
    sim_master_accept(&c->master[master], link);
    say_hello(link);
}

/* The first frame of a master. */
static void greeted(struct sim_client *x, unsigned i, struct bytes frame)
{
    struct rpc rpc;
    struct hello hello;

    if (rpc_unpack(&rpc, frame, NULL) != 0 ||
        hello_unpack(&hello, rpc.params, NULL) != 0) {
        world_fail(&x->cluster->world, "a master's hello does not decode");
        return;
    }
    x->greeted[i] = true;
    step(x,
         &(struct client_event){.kind = CLIENT_CONNECTED,
                                .connected = {.master = i, .hello = &hello}});
}

void sim_client_bytes(struct sim_client *x, struct connection *link, struct bytes bytes)
{
    struct bytes frame;

    while (next_frame(&bytes, &frame)) {
        unsigned i = slot_of(x, link);

        if (i == CLIENT_MASTERS_MAX)
            return;
        if (!x->greeted[i])
            greeted(x, i, frame);
        else
            step(x,
                 &(struct client_event){.kind = CLIENT_FRAME,
                                        .frame = {.master = i, .bytes = frame}});
    }
}

void sim_client_closed(struct sim_client *x, struct connection *link)
{
    unsigned i = slot_of(x, link);

    if (i == CLIENT_MASTERS_MAX)
        return;
    x->links[i] = NULL;
    step(x,
         &(struct client_event){.kind = x->greeted[i] ? CLIENT_CLOSED : CLIENT_REFUSED,
                                .closed = {.master = i, .reason = &CLOSED}});
}

/* ---- answers ---- */

static void kill_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    (void)b;
    if (!w->failed)
        ask_kill(context, (unsigned)a);
}

static void uncordon_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_client *x = context;

    (void)a;
    (void)b;
    if (!w->failed)
        sim_clients_uncordon(x->cluster);
}

static void learn(struct cluster *c, uint64_t index)
{
    if (index > c->known_index)
        c->known_index = index;
}

/* One of those that were submitted together, or the only one. */
static void
was_made(struct sim_client *x, struct sim_job *j, const struct submit_result *result)
{
    struct cluster *c = x->cluster;
    uint64_t id = result->id + j->position;

    if (j->acknowledged && (j->id != id || j->index != result->index)) {
        world_fail(&c->world,
                   "one key made jobs %llu@%llu and %llu@%llu",
                   (unsigned long long)j->id,
                   (unsigned long long)j->index,
                   (unsigned long long)id,
                   (unsigned long long)result->index);
        return;
    }
    learn(c, result->index);
    c->totals.repeated += j->acknowledged;
    c->totals.acknowledged += !j->acknowledged;
    c->totals.dispatched += !j->acknowledged && j->made_of != 0;
    j->acknowledged = true;
    j->id = id;
    j->index = result->index;
    if (c->healing && j->endless)
        world_in(&c->world,
                 pick(&c->world, 1, 3 * MS),
                 kill_later,
                 x,
                 (uint64_t)(j - c->jobs),
                 0);
}

static void
submitted(struct sim_client *x, struct sim_job *j, const struct client_action *a)
{
    struct cluster *c = x->cluster;
    struct submit_result result;
    struct error err;
    bool is_new;

    if (submit_result_unpack(&result, a->finished.result, &err) != 0) {
        world_fail(&c->world, "the answer to a submit does not decode: %s", err.text);
        return;
    }
    if (j->refusal != ERROR_NONE)
        world_fail(&c->world, "job %llu cannot be", (unsigned long long)result.id);
    is_new = !j->acknowledged;
    c->totals.sets += j->together > 1 && is_new;
    was_made(x, j, &result);
    if (is_new)
        check_index_held(c, j);
    for (uint32_t i = 1; i < j->together; i++)
        was_made(x, j + i, &result);
}

/* All attempts of the job that a kill did not find were placed before it took effect. */
static void killed(struct sim_client *x, struct sim_job *j)
{
    struct cluster *c = x->cluster;

    if (j->kill_acknowledged)
        return;
    j->kill_acknowledged = true;
    c->totals.kills++;
    for (unsigned i = 0; i < c->masters; i++)
        if (c->master[i].alive) {
            uint64_t last = master_state(c->master[i].core)->globals.last_attempt_id;

            if (last > j->kill_attempts)
                j->kill_attempts = last;
        }
}

/* A linearizable listing has everything that anybody was told of before it was asked. */
static void
was_read(struct sim_client *x, struct sim_job *j, const struct client_action *a)
{
    struct cluster *c = x->cluster;
    uint64_t known = a->finished.ticket >> (TICKET_SLOT_BITS + TICKET_KIND_BITS);
    struct list_result list;
    struct command_cursor at = {0};
    struct job_summary job;

    c->totals.reads++;
    if (list_result_unpack(&list, METHOD_JOBS, a->finished.result, NULL) != 0 ||
        !job_summary_next(&list, &at, &job)) {
        world_fail(&c->world, "a listing of one job does not decode");
        return;
    }
    if (job.id != j->id || list.index < known)
        world_fail(&c->world,
                   "STALE READ: index %llu of job %llu, when %llu had been told before",
                   (unsigned long long)list.index,
                   (unsigned long long)j->id,
                   (unsigned long long)known);
    learn(c, list.index);
}

/* Everything is healed once every agent takes work again: what was asked for before that
 * may have taken effect after it. */
static void
mode_answered(struct sim_client *x, enum agent_mode mode, const struct client_action *a)
{
    struct cluster *c = x->cluster;
    bool is_free = mode == AGENT_NORMAL && (a->finished.code == ERROR_NONE ||
                                            a->finished.code == ERROR_NOT_FOUND);

    c->totals.modes += a->finished.code == ERROR_NONE;
    if (c->healing && !is_free)
        world_in(&c->world, 100 * MS, uncordon_later, x, 0, 0);
}

static void gone_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct cluster *c = context;

    (void)b;
    if (!w->failed)
        sim_clients_gone(c, &c->agent[a]);
}

static void
gone_answered(struct sim_client *x, struct sim_agent *a, enum error_code code)
{
    struct cluster *c = x->cluster;

    if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
        a->gone = true;
    else
        world_in(&c->world, 100 * MS, gone_later, c, (uint64_t)(a - c->agent), 0);
}

static void free_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_client *x = context;

    (void)a;
    (void)b;
    if (!w->failed)
        sim_clients_free_roles(x->cluster);
}

/* What breaks a rule, as a minimum that is not there, changes nothing. */
static void role_answered(struct sim_client *x, unsigned slot, enum error_code code)
{
    struct cluster *c = x->cluster;

    c->totals.roles += code == ERROR_NONE;
    c->has_batch |= slot == 1 && code == ERROR_NONE;
    if (c->healing && ((slot & ROLE_FREED) == 0 || code != ERROR_NONE))
        world_in(&c->world, 100 * MS, free_later, x, 0, 0);
}

/* What it waits for, or is made of, is not there any more. */
static bool may_refuse(struct cluster *c, struct sim_job *j, enum error_code code)
{
    if (j->made_of != 0)
        return may_refuse_dispatch(c, j, code);
    if (may_refuse_check(c, j, code))
        return true;
    for (uint32_t i = 0; i == 0 || i < j->together; i++)
        if (j[i].after != 0 && code == ERROR_NOT_FOUND)
            return true;
    return j->refusal != ERROR_NONE && code == j->refusal;
}

static void finished(struct sim_client *x, const struct client_action *a)
{
    struct cluster *c = x->cluster;
    enum ask ask = (enum ask)(a->finished.ticket & ((1u << TICKET_KIND_BITS) - 1));
    struct sim_job *j = &c->jobs[a->finished.ticket >> TICKET_KIND_BITS &
                                 ((1u << TICKET_SLOT_BITS) - 1)];
    enum error_code code = a->finished.code;

    if (ask == ASK_MODE) {
        mode_answered(x, (enum agent_mode)(j - c->jobs), a);
    } else if (ask == ASK_GONE) {
        gone_answered(x, &c->agent[j - c->jobs], code);
    } else if (ask == ASK_ROLE) {
        role_answered(x, (unsigned)(j - c->jobs), code);
    } else if (ask == ASK_CONFLICT) {
        c->totals.conflicts += code == ERROR_CONFLICT;
        if (code != ERROR_CONFLICT && code != ERROR_TIMEOUT &&
            code != ERROR_UNAVAILABLE)
            world_fail(&c->world,
                       "the key of job %llu is used for another one: %s",
                       (unsigned long long)j->id,
                       error_name(code));
    } else if (code == ERROR_NONE && ask == ASK_SUBMIT) {
        submitted(x, j, a);
    } else if (ask == ASK_PURGE) {
        c->totals.purges += code == ERROR_NONE;
    } else if (code == ERROR_NONE && ask == ASK_KILL) {
        killed(x, j);
    } else if (code == ERROR_NONE) {
        was_read(x, j, a);
    } else if (ask == ASK_SUBMIT && may_refuse(c, j, code)) {
        c->totals.refused_dispatches += j->made_of != 0;
        c->totals.refused_sets += j->together > 1;
    } else if (code == ERROR_NOT_FOUND && ask != ASK_SUBMIT &&
               (c->plan.purge || j->purge_asked)) {
        c->totals.purged_seen++;
    } else if (code != ERROR_TIMEOUT && code != ERROR_UNAVAILABLE) {
        world_fail(&c->world,
                   "a request of kind %d failed: %s (%s)",
                   (int)ask,
                   error_name(code),
                   a->finished.text);
    }
}

static void on_timer(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_client *x = context;

    (void)w;
    (void)b;
    if (x->timer == a)
        step(x, &(struct client_event){.kind = CLIENT_TIME});
}

static void carry_out(struct sim_client *x, const struct client_action *a)
{
    struct cluster *c = x->cluster;

    switch (a->kind) {
    case CLIENT_CONNECT:
        world_in(&c->world,
                 pick(&c->world, 200, 3 * MS),
                 connect_now,
                 x,
                 a->master,
                 ++x->connects[a->master]);
        break;
    case CLIENT_CLOSE:
        x->connects[a->master]++;
        if (x->links[a->master] != NULL) {
            struct connection *link = x->links[a->master];

            x->links[a->master] = NULL;
            network_hang_up(link, 0);
        }
        break;
    case CLIENT_SEND:
        if (x->links[a->master] != NULL)
            network_send(x->links[a->master], 0, a->send.bytes);
        break;
    case CLIENT_FINISHED:
        finished(x, a);
        break;
    }
}

static void step(struct sim_client *x, struct client_event *event)
{
    struct cluster *c = x->cluster;
    struct client_actions actions = {0};

    if (c->world.failed)
        return;
    event->now_ms = c->world.now_us / MS + CLOCK_BASE_MS;
    client_step(x->core, event, &actions);
    for (size_t i = 0; i < actions.count; i++)
        carry_out(x, &actions.list[i]);
    if (actions.deadline_ms != UINT64_MAX)
        world_at(&c->world, clock_us(actions.deadline_ms), on_timer, x, ++x->timer, 0);
    client_actions_finish(&actions);
}

/* ---- what they ask ---- */

static void
ask(struct sim_client *x, enum ask kind, unsigned slot, struct buffer *frame)
{
    step(x,
         &(struct client_event){
             .kind = CLIENT_REQUEST,
             .request = {.ticket = x->cluster->known_index
                                       << (TICKET_SLOT_BITS + TICKET_KIND_BITS) |
                                   (uint64_t)slot << TICKET_KIND_BITS | kind,
                         .frame = buffer_view(frame),
                         .route = CLIENT_LEADER}});
    buffer_finish(frame);
}

/* From now on the job may be gone, but its key is remembered. */
static void ask_purge(struct sim_client *x, unsigned slot)
{
    struct buffer frame = {0};

    x->cluster->jobs[slot].purge_asked = true;
    id_request_pack(METHOD_PURGE, x->cluster->jobs[slot].id, 0, &frame);
    ask(x, ASK_PURGE, slot, &frame);
}

static void
ask_mode(struct sim_client *x, uint64_t agent, enum agent_mode mode, uint64_t ms)
{
    struct agent_mode_request q = {agent, mode, ms};
    struct buffer frame = {0};

    agent_mode_pack(&q, 0, &frame);
    ask(x, ASK_MODE, mode, &frame);
}

void sim_client_mode(struct cluster *c,
                     uint64_t agent,
                     enum agent_mode mode,
                     uint64_t ms)
{
    ask_mode(&c->client[pick(&c->world, 0, c->clients - 1)], agent, mode, ms);
}

void sim_clients_gone(struct cluster *c, struct sim_agent *a)
{
    struct buffer frame = {0};

    id_request_pack(METHOD_AGENT_GONE, a->lost, 0, &frame);
    ask(&c->client[pick(&c->world, 0, c->clients - 1)],
        ASK_GONE,
        (unsigned)(a - c->agent),
        &frame);
}

uint64_t sim_last_agent(const struct cluster *c)
{
    uint64_t last = 0;

    for (unsigned i = 0; i < c->masters; i++)
        if (c->master[i].alive &&
            master_state(c->master[i].core)->globals.last_agent_id > last)
            last = master_state(c->master[i].core)->globals.last_agent_id;
    return last;
}

void sim_clients_uncordon(struct cluster *c)
{
    for (uint64_t id = 1; c->plan.drains && id <= sim_last_agent(c); id++)
        ask_mode(&c->client[0], id, AGENT_NORMAL, 0);
}

/* ---- roles: `default` and `batch` ---- */

static void ask_role(struct sim_client *x, unsigned slot, struct role_change *change)
{
    struct buffer frame = {0};

    change->name = (slot & 1) == 0 ? ROLE_DEFAULT : "batch";
    role_set_pack(change, 0, &frame);
    ask(x, ASK_ROLE, slot, &frame);
}

/* Room is kept at once, after a while, or never: nobody waits for minutes here. */
static void any_placement(struct world *w, struct role_spec *spec)
{
    static const uint64_t RESERVE_MS[] = {0, 0, 3000, ROLE_NEVER};

    spec->balance = (enum role_balance)pick(w, 0, ROLE_BALANCE_COUNT - 1);
    spec->alpha = 250 * (uint32_t)pick(w, 0, 4);
    spec->reserve_ms = RESERVE_MS[pick(w, 0, 3)];
}

/* Of cpus, and some of mem and gpus as well. */
static void any_bounds(struct world *w, struct role_spec *spec)
{
    spec->min = (struct role_bound){{{100 * pick(w, 1, 20)}}, 1u << RESOURCE_CPUS, {0}};
    spec->max =
        (struct role_bound){{{100 * pick(w, 20, 60)}}, 1u << RESOURCE_CPUS, {0}};
    if (chance(w, 30)) {
        spec->min.kinds |= 1u << RESOURCE_MEM;
        spec->min.amount.amount[RESOURCE_MEM] = pick(w, 1, 256) * MIB;
    }
    if (chance(w, 30)) {
        spec->max.kinds |= 1u << RESOURCE_MEM;
        spec->max.amount.amount[RESOURCE_MEM] = pick(w, 256, 2048) * MIB;
    }
    if (chance(w, 30)) {
        spec->max.kinds |= 1u << RESOURCE_GPUS;
        spec->max.amount.amount[RESOURCE_GPUS] = pick(w, 0, 2);
    }
}

void sim_client_role(struct cluster *c)
{
    struct world *w = &c->world;
    struct role_change change = {
        .given = (uint32_t)pick(w, 0, ROLE_HAS_REBALANCE - 1),
        .spec =
            {
                .order = (enum role_order)pick(w, 0, ROLE_ORDER_COUNT - 1),
                .priority = (int32_t)pick(w, 0, 2) - 1,
                .weight = (uint32_t)pick(w, 1, 3000),
                .aging_ms = chance(w, 30) ? ROLE_NEVER : pick(w, 0, 60000),
                .length_ms = pick(w, 1, 60000),
                .preempt =
                    (uint32_t)pick(w, 1, 4) / 2, /* small, so that it is used up */
            },
    };

    any_bounds(w, &change.spec);
    any_placement(w, &change.spec);
    if (c->plan.rebalances) {
        change.given |= ROLE_HAS_REBALANCE;
        change.spec.rebalance = change.spec.weight % 8;
    }
    ask_role(&c->client[pick(w, 0, c->clients - 1)], chance(w, 50), &change);
}

void sim_clients_free_roles(struct cluster *c)
{
    for (unsigned i = 0; c->plan.roles && i <= c->has_batch; i++)
        ask_role(&c->client[0],
                 i | ROLE_FREED,
                 &(struct role_change){.given = ROLE_HAS_MAX});
}

/* Of another size it is another job. */
static void ask_dispatch(struct sim_client *x, unsigned slot, bool other_body)
{
    const struct sim_job *j = &x->cluster->jobs[slot];
    char size[SIM_SIZE_BYTES];
    const char *value = size;
    struct buffer values = {0}, frame = {0};
    struct dispatch_request q = {.key = {(const uint8_t *)&j->key, sizeof(j->key)},
                                 .job = j->made_of,
                                 .owner = {(const uint8_t *)"ann", 3}};

    sim_job_size(j, other_body, size);
    texts_pack(&value, 1, &values);
    q.values = buffer_view(&values);
    dispatch_pack(&q, 0, &frame);
    x->cluster->totals.dispatches++;
    ask(x, other_body ? ASK_CONFLICT : ASK_SUBMIT, slot, &frame);
    buffer_finish(&values);
}

static void pack_one(const struct sim_job *j, struct buffer *out)
{
    struct job_spec spec;

    sim_job_spec(j, 0, &spec);
    job_spec_pack(&spec, out);
    job_spec_finish(&spec);
}

static void
pack_together(const struct sim_job *first, bool other_body, struct buffer *out)
{
    struct job_spec *specs = mem_zalloc(first->together * sizeof(*specs));

    for (uint32_t i = 0; i < first->together; i++) {
        struct sim_job copy = first[i];

        copy.instances += other_body;
        sim_job_spec(&copy, 0, &specs[i]);
    }
    job_specs_pack(specs, first->together, out);
    for (uint32_t i = 0; i < first->together; i++)
        job_spec_finish(&specs[i]);
    mem_free(specs);
}

static void ask_submit(struct sim_client *x, unsigned slot, bool other_body)
{
    struct cluster *c = x->cluster;
    const struct sim_job *j = &c->jobs[slot] - c->jobs[slot].position;
    struct sim_job copy = *j;
    struct buffer spec = {0}, frame = {0};
    struct submit_request q = {.key = {(const uint8_t *)&j->key, sizeof(j->key)},
                               .is_set = j->together > 1,
                               .check = j->check};

    slot = (unsigned)(j - c->jobs);
    if (j->made_of != 0) {
        ask_dispatch(x, slot, other_body);
        return;
    }
    copy.instances += other_body;
    if (q.is_set)
        pack_together(j, other_body, &spec);
    else
        pack_one(&copy, &spec);
    q.spec = buffer_view(&spec);
    q.owner = (struct bytes){(const uint8_t *)"annbob" + j->key % 2 * 3, 3};
    submit_pack(&q, 0, &frame);
    c->totals.submits++;
    ask(x, other_body ? ASK_CONFLICT : ASK_SUBMIT, slot, &frame);
    buffer_finish(&spec);
}

static void ask_kill(struct sim_client *x, unsigned slot)
{
    struct buffer frame = {0};

    x->cluster->jobs[slot].kill_asked = true;
    id_request_pack(METHOD_KILL, x->cluster->jobs[slot].id, 0, &frame);
    ask(x, ASK_KILL, slot, &frame);
}

static void ask_read(struct sim_client *x, unsigned slot)
{
    struct buffer frame = {0};
    struct list_request q = {.of = x->cluster->jobs[slot].id, .limit = 1};

    list_pack(METHOD_JOBS, &q, 0, &frame);
    ask(x, ASK_READ, slot, &frame);
}

static void work(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_client *x = context;
    struct cluster *c = x->cluster;
    unsigned slot;

    if (w->failed)
        return;
    if (!c->healing && c->job_count < JOBS_MAX) {
        slot = sim_job_draw(c);
        ask_submit(x, slot, false);
        if (chance(w, 15)) /* somebody repeats it right away, elsewhere */
            ask_submit(&c->client[pick(w, 0, c->clients - 1)], slot, false);
    }
    if (c->job_count > 0) {
        slot = (unsigned)pick(w, 0, c->job_count - 1);
        if (chance(w, 10))
            ask_submit(x, slot, false);
        if (c->jobs[slot].acknowledged && chance(w, 10))
            ask_submit(x, slot, true);
        if (c->jobs[slot].acknowledged && chance(w, 8))
            ask_kill(x, slot);
        if (c->jobs[slot].acknowledged && chance(w, 25))
            ask_read(x, slot);
        if (c->jobs[slot].acknowledged && !c->jobs[slot].waited_for && chance(w, 6))
            ask_purge(x, slot);
    }
    if (!c->healing)
        world_in(w, pick(w, 100 * MS, 2500 * MS), work, x, a, b);
}

/* Whoever asked for it or not: it is asked again, and killed when its id is known. */
void sim_clients_end_endless(struct cluster *c)
{
    for (unsigned i = 0; i < c->job_count; i++)
        if (c->jobs[i].endless)
            ask_submit(&c->client[i % c->clients], i, false);
}

/* Many reads, as dashboards do: they go on asking whoever led last. */
static void watch(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_client *x = context;
    struct cluster *c = x->cluster;
    unsigned slot;

    if (w->failed || c->healing)
        return;
    if (c->job_count > 0) {
        slot = (unsigned)pick(w, 0, c->job_count - 1);
        if (c->jobs[slot].acknowledged)
            ask_read(x, slot);
    }
    world_in(w, pick(w, 10 * MS, 200 * MS), watch, x, a, b);
}

void sim_client_init(struct cluster *c, unsigned number)
{
    struct sim_client *x = &c->client[number];
    struct client_config config;
    const char *masters[MASTERS_MAX];

    x->cluster = c;
    x->number = c->masters + c->agents + number;
    c->net.alive[x->number] = true;
    for (unsigned i = 0; i < c->masters; i++)
        masters[i] = c->addresses[i];
    client_config_init(&config);
    config.masters = masters;
    config.master_count = c->masters;
    config.entropy = rng_next(&c->world.rng);
    config.reach_ms = 0;
    x->core = client_core_create(&config);
    world_in(&c->world, pick(&c->world, 0, SECOND), work, x, 0, 0);
    world_in(&c->world, SECOND, watch, x, 0, 0);
}

void sim_client_finish(struct sim_client *x)
{
    client_core_destroy(x->core);
}
