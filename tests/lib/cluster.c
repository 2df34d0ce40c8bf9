/* cluster.c - a replicated state and its scheduler, driven by real commands. */
#include "tests/lib/cluster.h"

#include "base/assert.h"
#include "wire/job.h"

#include <stdio.h>
#include <string.h>

void cluster_init_with(struct cluster *c, unsigned looks)
{
    struct command found = {.kind = COMMAND_FOUND, .found = {"a cluster id 123"}};

    *c = (struct cluster){.now_us = 1700000000000000ull};
    c->state = state_create();
    c->sched = sched_create(looks);
    cluster_apply(c, &found);
    sched_reset(c->sched, c->state);
    cluster_plan(c, 1);
}

void cluster_init(struct cluster *c)
{
    cluster_init_with(c, SCHED_LOOKS);
}

void cluster_finish(struct cluster *c)
{
    sched_destroy(c->sched);
    state_destroy(c->state);
    outcome_finish(&c->out);
    buffer_finish(&c->entry);
    buffer_finish(&c->packed);
    buffer_finish(&c->spec);
}

static void tell(struct cluster *c, const struct effect *e)
{
    switch (e->kind) {
    case EFFECT_AGENT:
    case EFFECT_UPDATED:
        sched_agent_changed(c->sched, c->state, e->agent);
        break;
    case EFFECT_JOB:
        if (e->agent != 0)
            sched_agent_due(c->sched, e->agent);
        else
            sched_job_changed(c->sched, c->state, e->id);
        break;
    case EFFECT_LAUNCH:
    case EFFECT_KILL:
        break;
    case EFFECT_FREED:
        sched_freed(c->sched, c->state, e->id);
        break;
    case EFFECT_ROLE:
        sched_role_changed(c->sched, c->state, e->id);
        break;
    }
}

void cluster_apply_all(struct cluster *c, const struct command *commands, size_t count)
{
    c->now_us += 1000;
    buffer_clear(&c->entry);
    entry_begin(&c->entry, c->now_us);
    for (size_t i = 0; i < count; i++) {
        buffer_clear(&c->packed);
        command_pack(&commands[i], &c->packed);
        entry_append(&c->entry, buffer_view(&c->packed));
    }
    outcome_clear(&c->out);
    fsm_apply(c->state, c->state->index + 1, 1, buffer_view(&c->entry), &c->out);
    for (size_t i = 0; i < c->out.effect_count; i++)
        tell(c, &c->out.effects[i]);
}

struct result cluster_apply(struct cluster *c, const struct command *command)
{
    cluster_apply_all(c, command, 1);
    return c->out.results[0];
}

static struct result expect_done(struct result r)
{
    ASSERT(r.code == ERROR_NONE);
    return r;
}

struct resources amounts(uint64_t milli, uint64_t mem, uint64_t disk, uint64_t gpus)
{
    return (struct resources){{milli, mem * MIB, disk * MIB, gpus}};
}

/* ---- agents ---- */

/* The canonical spec of the agent that has or will have this id. */
static struct bytes
agent_spec_of(struct cluster *c, uint64_t agent, const struct agent_spec *like)
{
    struct agent_spec spec = *like;

    if (spec.hostname == NULL)
        spec.hostname = "host";
    spec.http_address = "";
    memcpy(spec.key, &agent, sizeof(agent));
    buffer_clear(&c->spec);
    agent_spec_pack(&spec, &c->spec);
    return buffer_view(&c->spec);
}

uint64_t cluster_add_agent_like(struct cluster *c, const struct agent_spec *like)
{
    struct command command = {.kind = COMMAND_AGENT_REGISTER};

    command.agent_register.spec =
        agent_spec_of(c, c->state->globals.last_agent_id + 1, like);
    return expect_done(cluster_apply(c, &command)).id;
}

uint64_t cluster_add_agent(struct cluster *c, struct resources r)
{
    return cluster_add_agent_like(
        c, &(struct agent_spec){.resources = r, .features = AGENT_FEATURE_JOBS_2});
}

void cluster_resize_agent_like(struct cluster *c,
                               uint64_t agent,
                               const struct agent_spec *like)
{
    struct command command = {.kind = COMMAND_AGENT_REREGISTER};

    command.agent_reregister.agent = agent;
    command.agent_reregister.spec = agent_spec_of(c, agent, like);
    expect_done(cluster_apply(c, &command));
}

void cluster_resize_agent(struct cluster *c, uint64_t agent, struct resources r)
{
    cluster_resize_agent_like(
        c,
        agent,
        &(struct agent_spec){.resources = r, .features = AGENT_FEATURE_JOBS_2});
}

void cluster_agent_unreachable(struct cluster *c, uint64_t agent)
{
    struct command command = {.kind = COMMAND_AGENT_UNREACHABLE,
                              .agent_unreachable = {agent}};

    expect_done(cluster_apply(c, &command));
}

/* A drain is due at once. */
void cluster_agent_mode(struct cluster *c, uint64_t agent, enum agent_mode mode)
{
    struct command command = {.kind = COMMAND_AGENT_MODE,
                              .agent_mode = {.agent = agent, .mode = mode}};
    struct command due = {.kind = COMMAND_DRAIN_DUE, .drain_due = {agent}};

    expect_done(cluster_apply(c, &command));
    if (mode == AGENT_DRAINING)
        expect_done(cluster_apply(c, &due));
}

void cluster_retry(struct cluster *c, uint64_t job, uint32_t instance)
{
    struct command command = {.kind = COMMAND_RETRY,
                              .retry = {.job = job, .instance = instance}};

    command.retry.attempt = job_task(state_job(c->state, job), instance)->attempt;
    expect_done(cluster_apply(c, &command));
}

void cluster_agent_gone(struct cluster *c, uint64_t agent)
{
    struct command command = {.kind = COMMAND_AGENT_GONE, .agent_gone = {agent}};

    expect_done(cluster_apply(c, &command));
}

/* ---- jobs ---- */

uint64_t
cluster_submit_of(struct cluster *c, const struct job_spec *like, const char *owner)
{
    struct command command = {.kind = COMMAND_SUBMIT};
    struct job_spec spec = *like;
    char *argv[] = {"true", NULL};
    char key[32];

    if (spec.name == NULL)
        spec.name = "a job";
    spec.argv = argv;
    spec.argc = 1;
    buffer_clear(&c->spec);
    job_spec_pack(&spec, &c->spec);
    snprintf(key, sizeof(key), "%llu", (unsigned long long)++c->keys);
    command.submit.key = (struct bytes){(const uint8_t *)key, strlen(key)};
    command.submit.spec = buffer_view(&c->spec);
    command.submit.owner = (struct bytes){(const uint8_t *)owner, strlen(owner)};
    return expect_done(cluster_apply(c, &command)).id;
}

uint64_t cluster_submit_like(struct cluster *c, const struct job_spec *like)
{
    return cluster_submit_of(c, like, "");
}

uint64_t cluster_submit(struct cluster *c,
                        struct resources need,
                        uint32_t instances,
                        int32_t priority)
{
    struct job_spec like;

    job_spec_init(&like);
    like.resources = need;
    like.instances = instances;
    like.priority = priority;
    return cluster_submit_like(c, &like);
}

struct result cluster_set_role(struct cluster *c, const struct role_change *change)
{
    struct command command = {.kind = COMMAND_ROLE_SET};

    buffer_clear(&c->spec);
    role_change_pack(change, &c->spec);
    command.role_set.change = buffer_view(&c->spec);
    return cluster_apply(c, &command);
}

struct result cluster_remove_role(struct cluster *c, const char *name)
{
    return cluster_apply(
        c,
        &(struct command){.kind = COMMAND_ROLE_REMOVE,
                          .role_remove = {{(const uint8_t *)name, strlen(name)}}});
}

void cluster_kill(struct cluster *c, uint64_t job)
{
    struct command command = {.kind = COMMAND_KILL, .kill = {job}};

    expect_done(cluster_apply(c, &command));
}

void cluster_report(struct cluster *c, uint64_t attempt, enum task_state state)
{
    struct task_update update = {.attempt = attempt, .state = state};
    struct command command = {.kind = COMMAND_TASK_UPDATE};
    const struct attempt *t = state_attempt(c->state, attempt);

    ASSERT(t != NULL);
    command.task_update.agent = t->agent->id;
    command.task_update.updates = &update;
    command.task_update.count = 1;
    expect_done(cluster_apply(c, &command));
}

/* ---- rounds ---- */

size_t cluster_plan(struct cluster *c, size_t max)
{
    ASSERT(max <= LIMIT_PLACEMENTS);
    c->planned = sched_round(c->sched, c->state, c->now_us, c->plan, max, &c->more);
    return c->planned;
}

uint64_t cluster_place(struct cluster *c)
{
    struct command command = {.kind = COMMAND_PLACE};

    if (c->planned == 0)
        return 0;
    command.place.placements = c->plan;
    command.place.count = (uint32_t)c->planned;
    return expect_done(cluster_apply(c, &command)).id;
}

uint64_t cluster_settle(struct cluster *c)
{
    uint64_t accepted = 0;

    do {
        cluster_plan(c, LIMIT_PLACEMENTS);
        accepted += cluster_place(c);
    } while (c->more);
    return accepted;
}

static void apply_preemption(struct cluster *c, const struct preemption *p)
{
    struct command command = {.kind = COMMAND_PREEMPT,
                              .preempt = {.job = p->job,
                                          .agent = p->agent,
                                          .victims = p->victims,
                                          .count = p->count}};

    expect_done(cluster_apply(c, &command));
    sched_preempted(c->sched, true);
}

bool cluster_rebalance(struct cluster *c, struct move *out)
{
    struct command command = {.kind = COMMAND_MOVE};
    bool more = true, is_found = false;

    while (more && !is_found)
        is_found =
            sched_rebalance(c->sched, c->state, &REBALANCE_PACE, c->now_us, out, &more);
    if (!is_found)
        return false;
    command.move.attempt = out->attempt;
    command.move.agent = out->agent;
    expect_done(cluster_apply(c, &command));
    sched_moved(c->sched, true);
    return true;
}

size_t cluster_preempt(struct cluster *c, struct preemption *out, size_t max)
{
    size_t count = 0;
    bool more = true;

    c->now_us += PREEMPT_PASS_MS * 1000ull;
    while (more && count < max)
        if (sched_preempt(c->sched, c->state, c->now_us, &out[count], &more))
            apply_preemption(c, &out[count++]);
    return count;
}
