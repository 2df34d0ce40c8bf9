/* cluster_agent.c - an agent's process on a host of the simulation. */
#include "cluster_agent.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

static bool paused(const struct sim_agent *a)
{
    return a->cluster->net.paused_until_us[a->number] > a->cluster->world.now_us;
}

bool sim_agent_waits(struct sim_agent *a, world_fn again, uint64_t x, uint64_t y)
{
    if (!paused(a))
        return false;
    world_at(
        &a->cluster->world, a->cluster->net.paused_until_us[a->number], again, a, x, y);
    return true;
}

uint64_t sim_agent_ms(const struct sim_agent *a)
{
    return sim_clock_ms(&a->clock, a->cluster->world.now_us);
}

/* ---- actions ---- */

static void on_timer(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;

    (void)w;
    if (!agent->alive || agent->incarnation != a || agent->timer != b)
        return;
    if (sim_agent_waits(agent, on_timer, a, b))
        return;
    sim_agent_step(agent, &(struct agent_event){.kind = AGENT_TICK});
}

static struct connection *link_of(struct sim_agent *a, uint64_t session)
{
    for (unsigned i = 0; i < a->cluster->masters; i++)
        if (a->links[i] != NULL && a->sessions[i] == session)
            return a->links[i];
    return NULL;
}

/* ---- faults by state ---- */

static void crash_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;

    (void)b;
    if (agent->alive && agent->incarnation == a && !agent->cluster->healing)
        sim_agent_crash(agent, false, pick(w, 1 * MS, 2 * SECOND));
}

/* It dies while what it does now is on its way to the disk, to the leader, or to a process. */
static void strike(struct sim_agent *a, unsigned percent)
{
    struct world *w = &a->cluster->world;
    uint64_t within_us = chance(w, 50) ? 8 * MS : MS / 2;

    if (a->cluster->plan.agent_crash && !a->cluster->healing && chance(w, percent))
        world_in(w, pick(w, 0, within_us), crash_later, a, a->incarnation, 0);
}

/* It was told that it is gone, and ended what it ran: an operator starts it as a new one. */
static void reinstall(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;

    (void)b;
    if (!agent->alive || agent->incarnation != a)
        return;
    agent->cluster->totals.reinstalled++;
    sim_agent_crash(agent, false, pick(w, 1 * MS, SECOND));
    sim_disk_wipe(agent);
}

static bool was_lost(const struct sim_agent *a)
{
    struct agent_status status;

    agent_core_status(a->core, &status);
    /* It may have come back with its key, and without the id that it had been told. */
    return a->gone && (status.agent == a->lost || status.agent == 0);
}

static void carry_out(struct sim_agent *a, struct agent_action *action)
{
    struct cluster *c = a->cluster;
    struct connection *link;

    switch (action->kind) {
    case AGENT_SEND:
        link = link_of(a, action->send.session);
        if (link == NULL)
            break;
        check_asks(a, action->send.bytes);
        sim_tasks_told(a, action->send.bytes);
        network_send(link, 0, action->send.bytes);
        break;
    case AGENT_DIAL:
        break; /* it knows all masters, and keeps dialling */
    case AGENT_CLOSE:
        link = link_of(a, action->close.session);
        if (link != NULL)
            network_hang_up(link, 0);
        break;
    case AGENT_RECORD:
        sim_disk_write(a, action);
        strike(a, 1);
        break;
    case AGENT_START_RUN:
        sim_task_start(a, &action->start_run);
        strike(a, 1);
        break;
    case AGENT_ADOPT_RUN:
        sim_task_adopt(a, action->adopt_run.attempt);
        strike(a, 3);
        break;
    case AGENT_SIGNAL_RUN:
        sim_task_signal(a, action->signal_run.attempt, action->signal_run.signal);
        strike(a, 10);
        break;
    case AGENT_FORGET_RUN:
        sim_task_forget(a, action->forget_run.attempt);
        break;
    case AGENT_CHECK:
        sim_task_check(a, &action->check);
        break;
    case AGENT_RENEW:
        check_renewed(a, action->renew.boot_ms);
        a->renewed_ms = action->renew.boot_ms;
        strike(a, 1);
        break;
    case AGENT_TIMER:
        a->timer++;
        if (action->timer.deadline_ms == UINT64_MAX)
            break;
        world_at(&c->world,
                 sim_clock_us(&a->clock, action->timer.deadline_ms),
                 on_timer,
                 a,
                 a->incarnation,
                 a->timer);
        break;
    case AGENT_LOG:
        world_note(&c->world, 1, action->log.text, a->number, 0, 0);
        break;
    case AGENT_FATAL:
        if (was_lost(a) && action->fatal.error->code == ERROR_NOT_FOUND)
            world_in(&c->world, 0, reinstall, a, a->incarnation, 0);
        else
            world_fail(
                &c->world, "agent %u stops: %s", a->number, action->fatal.error->text);
        break;
    }
}

void sim_agent_step(struct sim_agent *a, struct agent_event *event)
{
    struct cluster *c = a->cluster;
    struct agent_actions actions = {0};
    uint64_t incarnation = a->incarnation;

    if (c->world.failed || !a->alive)
        return;
    ASSERT(!a->stepping);
    a->stepping = true;
    event->now_ms = sim_agent_ms(a);
    agent_step(a->core, event, &actions);
    a->stepping = false;
    for (size_t i = 0; i < actions.count && a->alive && a->incarnation == incarnation;
         i++)
        carry_out(a, &actions.list[i]);
    agent_actions_finish(&actions);
}

/* ---- links ---- */

void sim_agents_connect(struct cluster *c)
{
    for (unsigned i = 0; i < c->agents; i++)
        for (unsigned j = 0; j < c->masters; j++) {
            struct sim_agent *a = &c->agent[i];
            struct connection *link;

            if (!a->alive || a->links[j] != NULL || paused(a) ||
                !network_reachable(&c->net, a->number, j) ||
                c->net.paused_until_us[j] > c->world.now_us)
                continue;
            link = network_connect(&c->net, a->number, j, false);
            link->user[0] = a;
            link->user[1] = &c->master[j];
            a->links[j] = link;
            a->sessions[j] = ++a->last_session;
            sim_master_accept(&c->master[j], link);
            sim_agent_step(a,
                           &(struct agent_event){.kind = AGENT_SESSION_OPENED,
                                                 .opened = {.session = a->sessions[j],
                                                            .master = j,
                                                            .address = "master"}});
        }
}

static unsigned slot_of(const struct sim_agent *a, const struct connection *link)
{
    for (unsigned i = 0; i < MASTERS_MAX; i++)
        if (a->links[i] == link)
            return i;
    return MASTERS_MAX;
}

void sim_agent_bytes(struct sim_agent *a, struct connection *link, struct bytes bytes)
{
    struct bytes frame;
    uint64_t incarnation = a->incarnation;

    a->heard_us = a->cluster->world.now_us;
    while (a->alive && a->incarnation == incarnation && next_frame(&bytes, &frame)) {
        unsigned i = slot_of(a, link);

        if (i == MASTERS_MAX)
            return;
        sim_agent_step(a,
                       &(struct agent_event){
                           .kind = AGENT_FRAME,
                           .frame = {.session = a->sessions[i], .bytes = frame}});
    }
}

void sim_agent_closed(struct sim_agent *a, struct connection *link)
{
    unsigned i = slot_of(a, link);

    if (i == MASTERS_MAX)
        return;
    a->links[i] = NULL;
    sim_agent_step(a,
                   &(struct agent_event){.kind = AGENT_SESSION_CLOSED,
                                         .closed.session = a->sessions[i]});
}

/* ---- disks that fill ---- */

static void told_disk(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;

    (void)w;
    if (!agent->alive || agent->incarnation != a)
        return;
    if (sim_agent_waits(agent, told_disk, a, b))
        return;
    sim_agent_step(
        agent, &(struct agent_event){.kind = AGENT_DISK, .disk.low = agent->disk_low});
}

static void tell_disk(struct sim_agent *a)
{
    told_disk(&a->cluster->world, a, a->incarnation, 0);
}

void sim_agent_disk(struct sim_agent *a, bool low)
{
    a->disk_low = low;
    tell_disk(a);
}

/* ---- life ---- */

void sim_agent_init(struct cluster *c, unsigned number)
{
    struct sim_agent *a = &c->agent[number];

    a->cluster = c;
    a->number = c->masters + number;
    a->incarnation = 1;
    STAILQ_INIT(&a->disk);
    STAILQ_INIT(&a->writing);
    LIST_INIT(&a->tasks);
    a->clock.ppm = (int64_t)pick(&c->world, 0, 2 * SIM_DRIFT_PPM) - SIM_DRIFT_PPM;
    a->spec.hostname = mem_strdup("sim");
    a->spec.http_address = mem_strdup("127.0.0.1:5051");
    a->spec.resources.amount[RESOURCE_CPUS] =
        1000 * pick(&c->world, c->agents < 3 ? 6 : 2, 8);
    a->spec.resources.amount[RESOURCE_MEM] = 1024 * MIB * pick(&c->world, 1, 4);
    a->spec.resources.amount[RESOURCE_DISK] = 10240 * MIB;
    a->spec.ports[0] = (struct port_range){
        SIM_FIRST_PORT, (uint16_t)(SIM_FIRST_PORT + pick(&c->world, 4, 12))};
    a->spec.port_count = 1;
    a->spec.features = AGENT_FEATURE_JOBS_2;
    sim_traits_draw(a, number == 0);
    /* The first one can run whatever there is. */
    if (number == 0 || chance(&c->world, 50))
        a->spec.features |= AGENT_FEATURE_IMAGES;
    if (number == 0 || chance(&c->world, 30))
        custom_resources_add(&a->spec.custom, "licence", 500 * pick(&c->world, 2, 6));
}

void sim_agent_start(struct sim_agent *a)
{
    struct cluster *c = a->cluster;
    struct agent_event event = {.kind = AGENT_START};
    struct agent_record *records;
    struct sim_record *r;
    size_t n = 0;

    STAILQ_FOREACH (r, &a->disk, link)
        n++;
    records = mem_zalloc(n * sizeof(*records));
    n = 0;
    STAILQ_FOREACH (r, &a->disk, link)
        records[n++] =
            (struct agent_record){buffer_view(&r->key), buffer_view(&r->value)};
    a->alive = true;
    c->net.alive[a->number] = true;
    a->core = agent_core_create();
    event.start.spec = &a->spec;
    event.start.masters = c->masters;
    event.start.records = records;
    event.start.record_count = n;
    event.start.renewed_ms = a->renewed_ms;
    for (size_t i = 0; i < AGENT_ENTROPY_BYTES; i++)
        event.start.entropy[i] = (uint8_t)rng_next(&c->world.rng);
    sim_agent_step(a, &event);
    mem_free(records);
    if (a->disk_low) {
        c->totals.low_starts++;
        tell_disk(a);
    }
}

static void restart(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;

    /* Nothing starts on a host that is frozen. */
    if (agent->frozen_until_us > w->now_us) {
        world_at(w, agent->frozen_until_us, restart, context, a, b);
        return;
    }
    /* With its old disk it would go on as who it was, until that is heard. */
    if (agent->off && (!agent->gone || chance(w, 50)))
        sim_disk_wipe(agent);
    agent->off = false;
    (void)a;
    (void)b;
    world_note(w, 1, "restart agent", agent->number, 0, 0);
    sim_agent_start(agent);
}

static void destroy_later(struct world *w, void *context, uint64_t a, uint64_t b)
{
    (void)w;
    (void)a;
    (void)b;
    agent_core_destroy(context);
}

void sim_agent_crash(struct sim_agent *a, bool reboot, uint64_t down_us)
{
    struct cluster *c = a->cluster;

    if (!a->alive)
        return;
    c->totals.faults++;
    world_note(&c->world,
               1,
               reboot ? "reboot host" : "crash agent",
               a->number,
               down_us / MS,
               0);
    a->alive = false;
    a->incarnation++;
    network_crash(&c->net, a->number);
    memset(a->links, 0, sizeof(a->links));
    memset(a->asked, 0, sizeof(a->asked));
    sim_disk_crash(a);
    if (reboot) {
        c->totals.reboots++;
        a->host++;
        a->renewed_ms = 0; /* of another boot */
        a->clock.boot_us = c->world.now_us;
        a->frozen_until_us = 0;
        sim_tasks_gone(a);
    } else {
        c->totals.agent_crashes++;
    }
    world_in(&c->world, 0, destroy_later, a->core, 0, 0);
    world_in(&c->world, down_us, restart, a, 0, 0);
}

void sim_agent_lose(struct sim_agent *a, uint64_t down_us)
{
    struct cluster *c = a->cluster;
    struct agent_status status;

    if (!a->alive || (a->lost != 0 && !a->gone))
        return;
    agent_core_status(a->core, &status);
    if (status.agent == 0)
        return;
    a->lost = status.agent;
    a->gone = false;
    a->off = true;
    c->totals.lost++;
    sim_agent_crash(a, true, down_us);
    sim_clients_gone(c, a);
}

void sim_agent_finish(struct sim_agent *a)
{
    if (a->alive)
        agent_core_destroy(a->core);
    sim_disk_wipe(a);
    sim_tasks_gone(a);
    agent_spec_finish(&a->spec);
}
