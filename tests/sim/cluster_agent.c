/* cluster_agent.c - an agent's shell and its host in the simulation.
 *
 * The host has a disk for the checkpoint (records become durable in order, a crash loses the
 * rest) and processes of tasks that outlive the agent's own process, and end with the host.  A
 * task runs as its argv says: "run", milliseconds, exit code, "deaf" if it ignores TERM.
 */
#include "cluster.h"

#include "base/assert.h"
#include "base/mem.h"
#include "raft_fsm/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void step(struct sim_agent *a, struct agent_event *event);

static bool paused(const struct sim_agent *a)
{
    return a->cluster->net.paused_until_us[a->number] > a->cluster->world.now_us;
}

static bool frozen(const struct sim_agent *a)
{
    return a->frozen_until_us > a->cluster->world.now_us;
}

static uint64_t host_ms(const struct sim_agent *a)
{
    return sim_clock_ms(&a->clock, a->cluster->world.now_us);
}

/* ---- tasks ---- */

static struct sim_task *task_of(struct sim_agent *a, uint64_t attempt)
{
    struct sim_task *t;

    LIST_FOREACH (t, &a->tasks, link)
        if (t->attempt == attempt)
            return t;
    return NULL;
}

static void task_destroy(struct sim_task *t)
{
    LIST_REMOVE(t, link);
    mem_free(t);
}

static struct sim_task *task_by_identity(struct sim_agent *a, uint64_t identity)
{
    struct sim_task *t;

    LIST_FOREACH (t, &a->tasks, link)
        if (t->identity == identity)
            return t;
    return NULL;
}

static void report_end(struct sim_agent *a, const struct sim_task *t)
{
    step(a,
         &(struct agent_event){.kind = AGENT_RUN_ENDED,
                               .run_ended = {.attempt = t->attempt,
                                             .restarts = t->restarts,
                                             .how = t->how,
                                             .code = t->code}});
}

#define STARTED(t)                                  \
    (struct agent_event)                            \
    {                                               \
        .kind = AGENT_RUN_STARTED, .run_started = { \
            .attempt = (t)->attempt,                \
            .restarts = (t)->restarts,              \
            .since_ms = (t)->since_ms               \
        }                                           \
    }

/* b: 1 if it is of the end, 0 of the start.  One that died meanwhile asks by itself. */
static void told(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;
    struct sim_task *t = task_by_identity(agent, a);

    if (t == NULL || !agent->alive || agent->incarnation != b >> 1)
        return;
    if (paused(agent))
        world_at(
            w, agent->cluster->net.paused_until_us[agent->number], told, agent, a, b);
    else if ((b & 1) != 0)
        report_end(agent, t);
    else
        step(agent, &STARTED(t));
}

static void tell(struct sim_task *t, unsigned end)
{
    struct sim_agent *a = t->agent;

    told(&a->cluster->world, a, t->identity, a->incarnation << 1 | end);
}

static void end_task(struct sim_task *t, enum run_end how, int code)
{
    check_leased(t->agent->cluster, t);
    world_note(&t->agent->cluster->world,
               2,
               "end",
               t->agent->number,
               t->attempt,
               (uint64_t)code);
    t->ended = true;
    t->how = how;
    t->code = code;
    /* The agent sees it now, or asks for the exit record when it adopts the run. */
    tell(t, 1);
}

static void task_exits(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;
    struct sim_task *t = task_by_identity(agent, a);

    if (t == NULL || t->ended)
        return;
    if (frozen(agent)) {
        world_at(w, agent->frozen_until_us, task_exits, context, a, b);
        return;
    }
    end_task(t, RUN_END_EXITED, (int)b);
}

static void task_dies(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;
    struct sim_task *t = task_by_identity(agent, a);

    if (t == NULL || t->ended)
        return;
    if (frozen(agent)) {
        world_at(w, agent->frozen_until_us, task_dies, context, a, b);
        return;
    }
    end_task(t, t->lease_over ? RUN_END_LEASE : RUN_END_SIGNALED, (int)b);
}

static bool has_lease(const struct sim_agent *a, const struct sim_task *t)
{
    return a->renewed_ms != 0 && host_ms(a) < a->renewed_ms + t->lease_ms;
}

/* ---- shims: they outlive the agent, and end what has no lease any more ---- */

static void shim_wakes(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;
    struct sim_task *t = task_by_identity(agent, a);
    uint64_t ends_ms;

    if (t == NULL || t->ended || t->lease_over)
        return;
    if (frozen(agent)) {
        world_at(w, agent->frozen_until_us, shim_wakes, context, a, b);
        return;
    }
    ends_ms = agent->renewed_ms + t->lease_ms;
    if (has_lease(agent, t)) {
        world_at(w, sim_clock_us(&agent->clock, ends_ms), shim_wakes, context, a, b);
        return;
    }
    world_note(w, 2, "lease over", agent->number, t->attempt, agent->renewed_ms);
    agent->cluster->totals.leases_over++;
    t->lease_over = true;
    if (!t->deaf)
        world_in(w, pick(w, 100, 3 * MS), task_dies, context, a, 15);
    world_in(w, t->grace_ms * MS + pick(w, 100, 3 * MS), task_dies, context, a, 9);
}

/* ---- checks ---- */

static void check_answers(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;
    struct sim_task *t = task_by_identity(agent, a);
    struct agent_event event = {.kind = AGENT_CHECKED};

    if (t == NULL || t->ended || !agent->alive)
        return;
    if (paused(agent)) {
        world_at(w,
                 agent->cluster->net.paused_until_us[agent->number],
                 check_answers,
                 context,
                 a,
                 b);
        return;
    }
    event.checked = (struct run_checked){
        .attempt = t->attempt,
        .restarts = t->restarts,
        .index = (uint32_t)b,
        .passed = !t->sick || chance(w, 40),
        .message = "unwell",
    };
    agent->cluster->totals.unhealthy += event.checked.passed ? 0 : 1;
    step(agent, &event);
}

static void start_check(struct sim_agent *a, const struct run_check *check)
{
    struct world *w = &a->cluster->world;
    const struct sim_task *t = task_of(a, check->attempt);

    if (t != NULL)
        world_in(
            w, pick(w, 1 * MS, 300 * MS), check_answers, a, t->identity, check->index);
}

/* ---- the task ---- */

static void task_execs(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;
    struct sim_task *t = task_by_identity(agent, a);

    if (t == NULL || t->ended)
        return;
    if (frozen(agent)) {
        world_at(w, agent->frozen_until_us, task_execs, context, a, b);
        return;
    }
    if (t->lease_ms > 0 && !has_lease(agent, t)) {
        end_task(t, RUN_END_LEASE, 0); /* it had to wait too long for its turn */
        return;
    }
    t->started = true;
    t->since_ms = host_ms(agent);
    check_alone(agent->cluster, t);
    world_in(w, (b >> 8) * MS, task_exits, agent, a, b & 0xff);
    if (t->lease_ms > 0)
        shim_wakes(w, context, a, 0);
    tell(t, 0);
}

/* The task of a launch: a new one, or one that failed and is started again. */
static struct sim_task *task_for(struct sim_agent *a, const struct run_start *run)
{
    struct cluster *c = a->cluster;
    struct sim_task *t = task_of(a, run->attempt);

    if (run->restarts == 0) {
        t = mem_zalloc(sizeof(*t));
        t->agent = a;
        t->attempt = run->attempt;
        t->job = run->job;
        t->instance = run->instance;
        LIST_INSERT_HEAD(&a->tasks, t, link);
    } else if (t == NULL || !t->ended || t->restarts + 1 != run->restarts) {
        world_fail(
            &c->world,
            "agent %u starts attempt %llu again (%u), which did not end so often",
            a->number,
            (unsigned long long)run->attempt,
            run->restarts);
        return NULL;
    } else {
        c->totals.restarts++;
        t->started = t->ended = t->lease_over = false;
    }
    t->restarts = run->restarts;
    t->identity = ++c->last_identity;
    return t;
}

static void check_lease(struct sim_agent *a, const struct sim_task *t)
{
    if (t->lease_ms > 0 && !has_lease(a, t))
        world_fail(&a->cluster->world,
                   "agent %u starts attempt %llu without a valid lease",
                   a->number,
                   (unsigned long long)t->attempt);
}

static void start_task(struct sim_agent *a, const struct run_start *run)
{
    struct cluster *c = a->cluster;
    struct sim_task *t = task_for(a, run);
    struct job_spec spec;
    uint64_t ms = 0, code = 0;

    if (t == NULL)
        return;
    if (job_spec_unpack(&spec, run->spec, NULL) != 0 || spec.argc < 4) {
        world_fail(&c->world, "a launch carries a spec that does not decode");
        return;
    }
    t->resources = spec.resources;
    t->lease_ms = job_lease_ms(&spec);
    t->exclusive = job_is_exclusive(&spec);
    t->grace_ms = spec.kill_grace_ms;
    t->sick = spec.check_count > 0 && chance(&c->world, 50);
    t->has_image = spec.image.source != NULL;
    t->licences = custom_resources_amount(&spec.custom, "licence");
    t->port_count = run->port_count;
    for (uint32_t i = 0; i < run->port_count; i++)
        t->ports[i] = run->ports[i];
    c->totals.ports += run->port_count;
    ms = strtoull(spec.argv[1], NULL, 10);
    code = strtoull(spec.argv[2], NULL, 10);
    t->deaf = strcmp(spec.argv[3], "deaf") == 0;
    job_spec_finish(&spec);
    world_note(&c->world, 2, "launch", a->number, t->attempt, t->restarts);
    check_lease(a, t);
    if (t->restarts == 0) {
        check_launch(c, a, t, run->term);
        c->totals.launches++;
    }
    world_in(&c->world,
             pick(&c->world, 500, 5 * MS),
             task_execs,
             a,
             t->identity,
             ms << 8 | (code & 0xff));
}

static void signal_task(struct sim_agent *a, uint64_t attempt, enum run_signal signal)
{
    struct sim_task *t = task_of(a, attempt);

    if (t == NULL || t->ended || signal == RUN_SIGNAL_CANCEL ||
        (signal == RUN_SIGNAL_TERM && t->deaf))
        return;
    world_in(&a->cluster->world,
             pick(&a->cluster->world, 100, 3 * MS),
             task_dies,
             a,
             t->identity,
             signal == RUN_SIGNAL_TERM ? 15 : 9);
}

static void adopt_answer(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;
    struct sim_task *t;

    if (!agent->alive || agent->incarnation != b)
        return;
    if (paused(agent)) {
        world_at(w,
                 agent->cluster->net.paused_until_us[agent->number],
                 adopt_answer,
                 context,
                 a,
                 b);
        return;
    }
    t = task_of(agent, a);
    if (t != NULL && t->ended)
        report_end(agent, t);
    else if (t != NULL && t->started)
        step(agent, &STARTED(t));
    else if (t == NULL)
        step(agent,
             &(struct agent_event){
                 .kind = AGENT_RUN_ENDED,
                 .run_ended = {.attempt = a, .how = RUN_END_VANISHED}});
    /* else: it is between fork and exec; task_execs() will tell */
}

/* ---- checkpoint ---- */

static bool same(const struct buffer *a, const struct buffer *b)
{
    return a->size == b->size &&
           (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

static void record_destroy(struct sim_record *r)
{
    buffer_finish(&r->key);
    buffer_finish(&r->value);
    mem_free(r);
}

/* It starts again with an empty disk, as an agent that nobody knows. */
static void wipe(struct sim_agent *a)
{
    struct sim_record *r;

    while ((r = STAILQ_FIRST(&a->disk)) != NULL) {
        STAILQ_REMOVE_HEAD(&a->disk, link);
        record_destroy(r);
    }
    a->highest_term = 0;
}

static void record_apply(struct sim_agent *a, struct sim_record *r)
{
    struct sim_record *old, *next;

    STAILQ_FOREACH_SAFE(old, &a->disk, link, next)
    if (same(&old->key, &r->key)) {
        STAILQ_REMOVE(&a->disk, old, sim_record, link);
        record_destroy(old);
    }
    if (r->value.size > 0)
        STAILQ_INSERT_TAIL(&a->disk, r, link);
    else
        record_destroy(r);
}

static void records_durable(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;
    struct sim_record *r;

    if (agent->incarnation != a)
        return;
    if (paused(agent)) {
        world_at(w,
                 agent->cluster->net.paused_until_us[agent->number],
                 records_durable,
                 context,
                 a,
                 b);
        return;
    }
    while ((r = STAILQ_FIRST(&agent->writing)) != NULL && r->sequence <= b) {
        STAILQ_REMOVE_HEAD(&agent->writing, link);
        record_apply(agent, r);
    }
    step(agent, &(struct agent_event){.kind = AGENT_DURABLE, .durable.sequence = b});
}

static void record(struct sim_agent *a, const struct agent_action *action)
{
    for (size_t i = 0; i < action->record.count; i++) {
        const struct agent_record *from = &action->record.records[i];
        struct sim_record *r = mem_zalloc(sizeof(*r));

        r->sequence = action->record.sequence;
        buffer_append(&r->key, from->key.data, from->key.size);
        buffer_append(&r->value, from->value.data, from->value.size);
        STAILQ_INSERT_TAIL(&a->writing, r, link);
    }
    world_in(&a->cluster->world,
             5 * MS, /* one latency for all: they become durable in order */
             records_durable,
             a,
             a->incarnation,
             action->record.sequence);
}

/* ---- actions ---- */

static void on_timer(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;

    if (!agent->alive || agent->incarnation != a || agent->timer != b)
        return;
    if (paused(agent))
        world_at(w,
                 agent->cluster->net.paused_until_us[agent->number],
                 on_timer,
                 context,
                 a,
                 b);
    else
        step(agent, &(struct agent_event){.kind = AGENT_TICK});
}

static void later_adopt(struct sim_agent *a, uint64_t attempt)
{
    world_in(&a->cluster->world,
             pick(&a->cluster->world, 100, 5 * MS),
             adopt_answer,
             a,
             attempt,
             a->incarnation);
}

static struct connection *link_of(struct sim_agent *a, uint64_t session)
{
    for (unsigned i = 0; i < a->cluster->masters; i++)
        if (a->links[i] != NULL && a->sessions[i] == session)
            return a->links[i];
    return NULL;
}

static void forget(struct sim_agent *a, uint64_t attempt)
{
    struct sim_task *t = task_of(a, attempt);

    world_note(&a->cluster->world, 2, "forget", a->number, attempt, 0);
    check_forget(a->cluster, attempt);
    if (t != NULL && !t->ended)
        world_fail(&a->cluster->world,
                   "agent %u forgets attempt %llu while it runs",
                   a->number,
                   (unsigned long long)attempt);
    if (t != NULL)
        task_destroy(t);
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

    if (a->cluster->plan.agent_crash && !a->cluster->healing && chance(w, percent))
        world_in(w, pick(w, 0, 8 * MS), crash_later, a, a->incarnation, 0);
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
    wipe(agent);
}

static bool was_lost(const struct sim_agent *a)
{
    struct agent_status status;

    agent_core_status(a->core, &status);
    return a->gone && status.agent == a->lost;
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
        record(a, action);
        strike(a, 1);
        break;
    case AGENT_START_RUN:
        start_task(a, &action->start_run);
        strike(a, 1);
        break;
    case AGENT_ADOPT_RUN:
        later_adopt(a, action->adopt_run.attempt);
        strike(a, 3);
        break;
    case AGENT_SIGNAL_RUN:
        signal_task(a, action->signal_run.attempt, action->signal_run.signal);
        strike(a, 10);
        break;
    case AGENT_FORGET_RUN:
        forget(a, action->forget_run.attempt);
        break;
    case AGENT_CHECK:
        start_check(a, &action->check);
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

static void step(struct sim_agent *a, struct agent_event *event)
{
    struct cluster *c = a->cluster;
    struct agent_actions actions = {0};
    uint64_t incarnation = a->incarnation;

    if (c->world.failed || !a->alive)
        return;
    ASSERT(!a->stepping);
    a->stepping = true;
    event->now_ms = host_ms(a);
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
            step(a,
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
        step(a,
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
    step(a,
         &(struct agent_event){.kind = AGENT_SESSION_CLOSED,
                               .closed.session = a->sessions[i]});
}

/* ---- disks that fill ---- */

static void told_disk(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;

    if (!agent->alive || agent->incarnation != a)
        return;
    if (paused(agent))
        world_at(w,
                 agent->cluster->net.paused_until_us[agent->number],
                 told_disk,
                 context,
                 a,
                 b);
    else
        step(agent,
             &(struct agent_event){.kind = AGENT_DISK, .disk.low = agent->disk_low});
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
    step(a, &event);
    mem_free(records);
    if (a->disk_low) {
        c->totals.low_starts++;
        tell_disk(a);
    }
}

static void restart(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;

    /* With its old disk it would go on as who it was, until that is heard. */
    if (agent->off && (!agent->gone || chance(w, 50)))
        wipe(agent);
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

static void drop_writing(struct sim_agent *a)
{
    struct sim_record *r;

    while ((r = STAILQ_FIRST(&a->writing)) != NULL) {
        STAILQ_REMOVE_HEAD(&a->writing, link);
        record_destroy(r);
    }
}

/* Transactions that became durable just before the crash, and were not told. */
static void keep_some(struct sim_agent *a)
{
    struct sim_record *r = STAILQ_FIRST(&a->writing);

    while (r != NULL && chance(&a->cluster->world, 50)) {
        uint64_t sequence = r->sequence;

        while (r != NULL && r->sequence == sequence) {
            STAILQ_REMOVE_HEAD(&a->writing, link);
            record_apply(a, r);
            r = STAILQ_FIRST(&a->writing);
        }
    }
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
    keep_some(a);
    drop_writing(a);
    if (reboot) {
        c->totals.reboots++;
        a->host++;
        a->renewed_ms = 0; /* of another boot */
        a->clock.boot_us = c->world.now_us;
        a->frozen_until_us = 0;
        while (!LIST_EMPTY(&a->tasks))
            task_destroy(LIST_FIRST(&a->tasks));
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
    drop_writing(a);
    wipe(a);
    while (!LIST_EMPTY(&a->tasks))
        task_destroy(LIST_FIRST(&a->tasks));
    agent_spec_finish(&a->spec);
}
