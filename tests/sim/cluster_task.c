/* cluster_task.c - processes of tasks on a host of the simulation.
 *
 * They outlive the agent's own process, and end with the host.  A task runs as its argv says:
 * "run", milliseconds, exit code, "deaf" if it ignores TERM.
 */
#include "cluster_agent.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- tasks ---- */

static bool stands_still(struct sim_agent *a, world_fn again, uint64_t x, uint64_t y)
{
    struct world *w = &a->cluster->world;

    if (a->frozen_until_us <= w->now_us)
        return false;
    world_at(w, a->frozen_until_us, again, a, x, y);
    return true;
}

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
    sim_agent_step(a,
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

    (void)w;
    if (t == NULL || !agent->alive || agent->incarnation != b >> 1)
        return;
    if (sim_agent_waits(agent, told, a, b))
        return;
    if ((b & 1) != 0)
        report_end(agent, t);
    else
        sim_agent_step(agent, &STARTED(t));
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

    (void)w;
    if (t == NULL || t->ended)
        return;
    if (stands_still(agent, task_exits, a, b))
        return;
    end_task(t, RUN_END_EXITED, (int)b);
}

static void task_dies(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;
    struct sim_task *t = task_by_identity(agent, a);

    (void)w;
    if (t == NULL || t->ended)
        return;
    if (stands_still(agent, task_dies, a, b))
        return;
    end_task(t, t->lease_over ? RUN_END_LEASE : RUN_END_SIGNALED, (int)b);
}

static bool has_lease(const struct sim_agent *a, const struct sim_task *t)
{
    return a->renewed_ms != 0 && sim_agent_ms(a) < a->renewed_ms + t->lease_ms;
}

/* ---- shims: they outlive the agent, and end what has no lease any more ---- */

static void shim_wakes(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_agent *agent = context;
    struct sim_task *t = task_by_identity(agent, a);
    uint64_t ends_ms;

    if (t == NULL || t->ended || t->lease_over)
        return;
    if (stands_still(agent, shim_wakes, a, b))
        return;
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
    if (sim_agent_waits(agent, check_answers, a, b))
        return;
    event.checked = (struct run_checked){
        .attempt = t->attempt,
        .restarts = t->restarts,
        .index = (uint32_t)b,
        .passed = !t->sick || chance(w, 40),
        .message = "unwell",
    };
    if (agent->cluster->plan.slow_users && chance(w, 30))
        event.checked.unasked = true;
    else
        agent->cluster->totals.unhealthy += event.checked.passed ? 0 : 1;
    sim_agent_step(agent, &event);
}

void sim_task_check(struct sim_agent *a, const struct run_check *check)
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
    if (stands_still(agent, task_execs, a, b))
        return;
    if (agent->cluster->plan.slow_users && !agent->cluster->healing && chance(w, 15)) {
        agent->cluster->totals.no_user++;
        end_task(t, RUN_END_NO_USER, 0);
        return;
    }
    if (t->lease_ms > 0 && !has_lease(agent, t)) {
        end_task(t, RUN_END_LEASE, 0); /* it had to wait too long for its turn */
        return;
    }
    t->started = true;
    t->since_ms = sim_agent_ms(agent);
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

void sim_task_start(struct sim_agent *a, const struct run_start *run)
{
    struct cluster *c = a->cluster;
    struct sim_task *t = task_for(a, run);
    const struct sim_job *job = sim_job_of(c, run->job);
    struct job_spec spec;
    uint64_t ms = 0, code = 0;

    if (t == NULL)
        return;
    if (job_spec_unpack(&spec, run->spec, NULL) != 0 || spec.argc < 4) {
        world_fail(&c->world, "a launch carries a spec that does not decode");
        return;
    }
    if (job != NULL && job->made_of != 0)
        check_parameters(c, job, &spec);
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
    check_wish(c, a, t->job);
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

void sim_task_signal(struct sim_agent *a, uint64_t attempt, enum run_signal signal)
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

    (void)w;
    if (!agent->alive || agent->incarnation != b)
        return;
    if (sim_agent_waits(agent, adopt_answer, a, b))
        return;
    t = task_of(agent, a);
    if (t != NULL && t->ended)
        report_end(agent, t);
    else if (t != NULL && t->started)
        sim_agent_step(agent, &STARTED(t));
    else if (t == NULL)
        sim_agent_step(agent,
                       &(struct agent_event){
                           .kind = AGENT_RUN_ENDED,
                           .run_ended = {.attempt = a, .how = RUN_END_VANISHED}});
    /* else: it is between fork and exec; task_execs() will tell */
}

void sim_task_adopt(struct sim_agent *a, uint64_t attempt)
{
    world_in(&a->cluster->world,
             pick(&a->cluster->world, 100, 5 * MS),
             adopt_answer,
             a,
             attempt,
             a->incarnation);
}

void sim_task_forget(struct sim_agent *a, uint64_t attempt)
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

void sim_tasks_gone(struct sim_agent *a)
{
    while (!LIST_EMPTY(&a->tasks))
        task_destroy(LIST_FIRST(&a->tasks));
}

/* ---- what is told of them ---- */

static void check_report(struct sim_agent *a, const struct run_report *r)
{
    const struct sim_task *t = task_of(a, r->attempt);
    bool has_run = t != NULL && (t->started || t->restarts > 0);

    if ((r->state == TASK_RUNNING && !has_run) ||
        (r->state == TASK_STARTING && !sim_disk_has_run(a, r->attempt)))
        world_fail(&a->cluster->world,
                   "agent %u tells that attempt %llu is %s, which it is not",
                   a->number,
                   (unsigned long long)r->attempt,
                   task_state_name(r->state));
}

void sim_tasks_told(struct sim_agent *a, struct bytes bytes)
{
    struct command_cursor at = {0};
    struct run_report report;
    struct run_list list;
    struct bytes frame;
    struct rpc rpc;

    if (!next_frame(&bytes, &frame) || rpc_unpack(&rpc, frame, NULL) != 0 ||
        rpc.type == RPC_RESPONSE ||
        (rpc.method != METHOD_UPDATE && rpc.method != METHOD_RUNS) ||
        run_list_unpack(&list, rpc.params, NULL) != 0)
        return;
    while (run_list_next(&list, &at, &report))
        check_report(a, &report);
}
