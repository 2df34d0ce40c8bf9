/* model_agents.c - commands about agents, and what they mean for the attempts there. */
#include "tests/unit/raft_fsm/model_private.h"

#include "base/mem.h"

#include <string.h>

static void take_spec(struct m_agent *a, struct agent_spec *spec, struct bytes bytes)
{
    mem_free((void *)a->spec_bytes.data);
    agent_spec_finish(&a->spec);
    a->spec = *spec;
    a->spec_bytes = m_copy(bytes);
    *spec = (struct agent_spec){0};
}

/* Attempts whose task has no other one yet are the task's again. */
static void take_back(struct model *m, const struct m_agent *a)
{
    for (size_t i = 0; i < m->attempt_count; i++) {
        struct m_attempt *t = &m->attempts[i];
        struct m_job *j = &m->jobs[t->job - 1];
        struct m_task *task;

        if (t->over || !t->superseded || t->agent != a->id || a->drain_due ||
            t->stop != TASK_REASON_NONE || j->kill_index != 0 || j->spec.lease_ms != 0)
            continue;
        task = &j->tasks[t->instance];
        if (task->attempt_id != t->id || task->state != TASK_PENDING)
            continue;
        *task = (struct m_task){.state = TASK_STAGING,
                                .attempt = t->number,
                                .attempt_id = t->id,
                                .agent_id = a->id,
                                .tries = task->tries};
        t->state = TASK_STAGING;
        t->superseded = false;
        m_reclaimed(m, t);
        task->changed = j->changed = m->index;
    }
}

static struct result come_back(struct model *m,
                               struct m_agent *a,
                               struct agent_spec *spec,
                               struct bytes bytes)
{
    if (a->state == AGENT_GONE)
        return m_refused(ERROR_NOT_FOUND);
    if (memcmp(a->spec.key, spec->key, 16) != 0)
        return m_refused(ERROR_CONFLICT);
    if (a->state == AGENT_ACTIVE && m_equal(a->spec_bytes, bytes))
        return m_done(m, a->id);
    take_spec(a, spec, bytes);
    if (a->state == AGENT_UNREACHABLE) {
        take_back(m, a);
        m_agent_returns(m, a->id);
    }
    if (a->state != AGENT_ACTIVE)
        a->since_us = m->stamp;
    a->state = AGENT_ACTIVE;
    a->changed = m->index;
    m_effect(m, EFFECT_AGENT, a->id, a->id);
    return m_done(m, a->id);
}

struct result m_register(struct model *m, const struct command *c)
{
    struct bytes bytes = c->agent_register.spec;
    struct agent_spec spec;
    struct result result;
    struct m_agent *a;
    int rc = agent_spec_unpack(&spec, bytes, NULL);

    if (rc != 0)
        return m_refused(-rc);
    for (size_t i = 0; i < m->agent_count; i++) {
        if (memcmp(m->agents[i].spec.key, spec.key, 16) != 0)
            continue;
        result = come_back(m, &m->agents[i], &spec, bytes);
        agent_spec_finish(&spec);
        return result;
    }
    MEM_GROW(m->agents, m->agent_capacity, m->agent_count + 1);
    a = &m->agents[m->agent_count++];
    *a = (struct m_agent){.id = m->agent_count,
                          .changed = m->index,
                          .registered_us = m->stamp,
                          .since_us = m->stamp};
    take_spec(a, &spec, bytes);
    m_effect(m, EFFECT_AGENT, a->id, a->id);
    return m_done(m, a->id);
}

struct result m_reregister(struct model *m, const struct command *c)
{
    struct m_agent *a = m_find_agent(m, c->agent_reregister.agent);
    struct agent_spec spec;
    struct result result;
    int rc = agent_spec_unpack(&spec, c->agent_reregister.spec, NULL);

    if (rc != 0)
        return m_refused(-rc);
    result = a == NULL ? m_refused(ERROR_NOT_FOUND)
                       : come_back(m, a, &spec, c->agent_reregister.spec);
    agent_spec_finish(&spec);
    return result;
}

struct result m_unreachable(struct model *m, const struct command *c)
{
    struct task_update lost = {.state = TASK_LOST,
                               .reason = TASK_REASON_AGENT_UNREACHABLE};
    struct m_agent *a = m_find_agent(m, c->agent_unreachable.agent);
    uint32_t moved = 0;

    if (a == NULL)
        return m_refused(ERROR_NOT_FOUND);
    if (a->state != AGENT_ACTIVE)
        return m_refused(ERROR_INVALID);
    a->state = AGENT_UNREACHABLE;
    a->since_us = m->stamp;
    a->changed = m->index;
    m_effect(m, EFFECT_AGENT, a->id, a->id);
    for (size_t i = 0; i < m->attempt_count; i++) {
        struct m_attempt *t = &m->attempts[i];

        if (t->over || t->superseded || t->agent != a->id ||
            m->jobs[t->job - 1].spec.lease_ms != 0)
            continue;
        m_tell_task(m, t, &lost);
        t->state = TASK_LOST;
        t->superseded = true;
        m_effect(m, EFFECT_KILL, t->id, a->id);
        moved++;
    }
    m_agent_fails(m, a->id, TASK_REASON_AGENT_UNREACHABLE, moved);
    return m_done(m, a->id);
}

/* What a system job has for an agent ends with it. */
static void m_vacate(struct model *m, struct m_job *j, uint64_t agent)
{
    struct m_task *t = m_of_agent(j, agent);

    if (t == NULL || j->purged || !m_is_system(j) || j->kill_index != 0)
        return;
    m_task_is_over(m, j->id, (uint32_t)(t - j->tasks));
    t->state = TASK_LOST;
    t->reason = TASK_REASON_AGENT_GONE;
    t->exit_code = 0;
    memset(t->message, 0, sizeof(t->message));
    t->ended_us = m->stamp;
    t->tries = (struct m_tries){0};
    t->restarts = 0;
    t->health = HEALTH_UNKNOWN;
    t->changed = j->changed = m->index;
}

struct result m_gone(struct model *m, const struct command *c)
{
    struct task_update lost = {.state = TASK_LOST, .reason = TASK_REASON_AGENT_GONE};
    struct m_agent *a = m_find_agent(m, c->agent_gone.agent);
    uint32_t moved = 0;

    if (a == NULL || a->state == AGENT_GONE)
        return m_refused(ERROR_NOT_FOUND);
    a->state = AGENT_GONE;
    a->since_us = m->stamp;
    a->changed = m->index;
    m_effect(m, EFFECT_AGENT, a->id, a->id);
    for (size_t i = 0; i < m->attempt_count; i++) {
        struct m_attempt *t = &m->attempts[i];

        if (t->over || t->agent != a->id)
            continue;
        moved += !t->superseded;
        if (!t->superseded)
            m_tell_task(m, t, &lost);
        m_end(m, t);
    }
    for (size_t i = 0; i < m->job_count; i++)
        m_vacate(m, &m->jobs[i], a->id);
    m_agent_fails(m, a->id, TASK_REASON_AGENT_GONE, moved);
    return m_done(m, a->id);
}

struct result m_mode(struct model *m, const struct command *c)
{
    struct m_agent *a = m_find_agent(m, c->agent_mode.agent);

    if (a == NULL || a->state == AGENT_GONE)
        return m_refused(ERROR_NOT_FOUND);
    if (a->mode == c->agent_mode.mode && a->mode != AGENT_DRAINING)
        return m_done(m, a->id);
    a->mode = c->agent_mode.mode;
    a->drain_due = false;
    a->drain_us =
        a->mode == AGENT_DRAINING ? m->stamp + 1000 * c->agent_mode.deadline_ms : 0;
    a->changed = m->index;
    m_effect(m, EFFECT_AGENT, a->id, a->id);
    return m_done(m, a->id);
}

static void m_stop(struct model *m, struct m_attempt *t)
{
    if (t->superseded || t->stop != TASK_REASON_NONE)
        return;
    t->stop = TASK_REASON_AGENT_DRAINED;
    m->jobs[t->job - 1].changed = m->index;
    m_effect(m, EFFECT_KILL, t->id, t->agent);
}

void m_drain_systems(struct model *m, uint64_t agent)
{
    const struct m_agent *a = m_find_agent(m, agent);

    for (size_t i = 0; i < m->attempt_count; i++)
        if (!m->attempts[i].over && m->attempts[i].agent == agent &&
            !m_is_system(&m->jobs[m->attempts[i].job - 1]))
            return;
    if (!a->drain_due || a->state == AGENT_GONE)
        return;
    for (size_t i = 0; i < m->attempt_count; i++)
        if (!m->attempts[i].over && m->attempts[i].agent == agent)
            m_stop(m, &m->attempts[i]);
}

struct result m_drain_due(struct model *m, const struct command *c)
{
    struct m_agent *a = m_find_agent(m, c->drain_due.agent);

    if (a == NULL || a->state == AGENT_GONE)
        return m_refused(ERROR_NOT_FOUND);
    if (a->mode != AGENT_DRAINING || a->drain_due || m->stamp < a->drain_us)
        return m_refused(ERROR_INVALID);
    a->drain_due = true;
    a->changed = m->index;
    m_effect(m, EFFECT_AGENT, a->id, a->id);
    for (size_t i = 0; i < m->attempt_count; i++) {
        struct m_attempt *t = &m->attempts[i];

        if (!t->over && t->agent == a->id && !m_is_system(&m->jobs[t->job - 1]))
            m_stop(m, t);
    }
    m_drain_systems(m, a->id);
    return m_done(m, a->id);
}

struct result m_lapse(struct model *m, const struct command *c)
{
    struct task_update lost = {.state = TASK_LOST,
                               .reason = TASK_REASON_AGENT_UNREACHABLE};
    struct m_attempt *t = m_find_attempt(m, c->lapse.attempt);

    if (t == NULL)
        return m_refused(ERROR_NOT_FOUND);
    if (t->superseded || m_find_agent(m, t->agent)->state != AGENT_UNREACHABLE)
        return m_refused(ERROR_INVALID);
    m_tell_task(m, t, &lost);
    t->state = TASK_LOST;
    t->superseded = true;
    m_agent_moves(m, t->agent);
    m_effect(m, EFFECT_FREED, t->job, t->agent);
    m_effect(m, EFFECT_KILL, t->id, t->agent);
    return m_done(m, t->id);
}
