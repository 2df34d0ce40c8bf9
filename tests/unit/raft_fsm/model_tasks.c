/* model_tasks.c - commands about tasks, and what becomes of one whose attempt says something. */
#include "tests/unit/raft_fsm/model_private.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t doubled(uint64_t ms, uint32_t times, uint64_t most)
{
    for (uint32_t i = 0; i < times; i++)
        ms = ms * 2 < most ? ms * 2 : most;
    return (ms < most ? ms : most) * 1000;
}

static void try_again(struct model *m,
                      const struct m_job *j,
                      struct m_task *t,
                      const struct task_update *u)
{
    const struct job_retry *r = &j->spec.reschedule;
    struct m_tries *n = &t->tries;

    if (u->state == TASK_LOST && u->reason != TASK_REASON_AGENT_UNREACHABLE &&
        u->reason != TASK_REASON_AGENT_GONE) {
        if (n->losses > 0 && m->stamp - n->lost_us >= 600000000)
            n->losses = 0;
        n->retry_us =
            n->losses == 0 ? 0 : m->stamp + doubled(1000, n->losses - 1, 60000);
        n->losses++;
        n->lost_us = m->stamp;
    }
    if (u->state != TASK_FAILED && u->state != TASK_ERROR &&
        !(u->state == TASK_FINISHED && job_goes_on(j->spec.kind)))
        return;
    if (n->retries > 0 && r->interval_ms > 0 &&
        m->stamp >= n->first_us + r->interval_ms * 1000)
        n->retries = 0;
    if (n->retries == 0)
        n->first_us = r->attempts > 0 ? m->stamp : 0;
    if (n->retries >= r->attempts)
        return;
    n->retry_us = m->stamp + doubled(r->delay_ms, n->retries, r->max_delay_ms);
    n->retries++;
    t->state = TASK_PENDING;
    t->started_us = 0;
}

/* The task of a live attempt is told how it is. */
static void say(struct m_task *t, const struct task_update *u)
{
    t->reason = u->reason;
    t->exit_code = u->exit_code;
    memset(t->message, 0, sizeof(t->message));
    if (u->message.size > 0)
        strncpy(t->message, (const char *)u->message.data, u->message.size);
}

void m_tell_task(struct model *m,
                 const struct m_attempt *at,
                 const struct task_update *u)
{
    struct m_job *j = &m->jobs[at->job - 1];
    struct m_task *t = &j->tasks[at->instance];
    uint64_t begin_us = t->started_us != 0 ? t->started_us : at->placed_us;

    t->state = u->state;
    say(t, u);
    t->restarts = u->restarts;
    t->health = u->state >= TASK_FINISHED ? HEALTH_UNKNOWN : u->health;
    if (j->kill_index == 0)
        try_again(m, j, t, u);
    if (u->state == TASK_LOST && j->kill_index != 0)
        t->state = TASK_KILLED;
    if (m_is_system(j) && u->state == TASK_LOST &&
        m_find_agent(m, at->agent)->state == AGENT_GONE)
        ; /* it was the agent's */
    else if ((u->state == TASK_LOST || u->state == TASK_KILLED) && j->kill_index == 0) {
        t->state = TASK_PENDING;
        t->started_us = 0;
        if (u->state == TASK_KILLED && at->stop != TASK_REASON_NONE)
            t->reason = at->stop;
        if (u->state == TASK_KILLED && at->stop == TASK_REASON_PREEMPTED)
            snprintf(t->message,
                     sizeof(t->message),
                     "preempted for job %" PRIu64,
                     at->stop_for);
        if (u->state == TASK_KILLED && at->stop == TASK_REASON_MOVED)
            snprintf(t->message,
                     sizeof(t->message),
                     "moved from agent %" PRIu64 " to agent %" PRIu64,
                     at->agent,
                     at->stop_for);
    }
    if (u->state == TASK_RUNNING)
        t->started_us = m->stamp;
    if (t->state >= TASK_FINISHED)
        t->ended_us = m->stamp;
    t->changed = j->changed = m->index;
    m_keep_books(m, at, t, u->state, begin_us);
}

struct result m_retry(struct model *m, const struct command *c)
{
    struct m_job *j = m_find_job(m, c->retry.job);
    struct m_task *t;

    if (j == NULL)
        return m_refused(ERROR_NOT_FOUND);
    if (c->retry.instance >= j->spec.instances || j->kill_index != 0)
        return m_refused(ERROR_INVALID);
    t = &j->tasks[c->retry.instance];
    if (t->tries.retry_us == 0 || t->attempt != c->retry.attempt)
        return m_refused(ERROR_INVALID);
    t->tries.retry_us = 0;
    t->changed = j->changed = m->index;
    if (m_is_system(j))
        m_effect(m, EFFECT_JOB, j->id, t->agent_id);
    return m_done(m, j->id);
}

static bool m_is_due(const struct m_job *j, const struct placement *p)
{
    const struct m_task *t = m_is_system(j) ? m_of_agent(j, p->agent) : NULL;

    if (m_is_system(j) && t == NULL)
        return p->instance == 0 && p->attempt == 0 && m_may_get_placed(j);
    if (t != NULL && t != &j->tasks[p->instance])
        return false;
    return p->instance < j->spec.instances &&
           p->instance < m_touched(j) + LIMIT_PLACE_AHEAD &&
           m_can_be_placed(j, p->instance) &&
           p->attempt == j->tasks[p->instance].attempt + 1;
}

/* An agent gets a task: the first one whose agent is gone, or one more. */
static struct placement m_choose(struct m_job *j, const struct placement *p)
{
    struct placement chosen = *p;
    uint32_t i = 0;

    while (i < j->spec.instances && j->tasks[i].state != TASK_LOST)
        i++;
    if (i == j->spec.instances) {
        j->spec.instances++;
        j->tasks = mem_realloc(j->tasks, (i + 2) * sizeof(*j->tasks));
        j->tasks[i] = (struct m_task){0};
    }
    j->tasks[i].tries = (struct m_tries){0};
    chosen.instance = i;
    chosen.attempt = j->tasks[i].attempt + 1;
    return chosen;
}

static bool m_may_place(struct model *m, const struct placement *p, uint16_t *ports)
{
    struct m_job *j = m_find_job(m, p->job);
    struct m_agent *a = m_find_agent(m, p->agent);
    struct resources sum;

    if (j == NULL || a == NULL || !m_is_due(j, p))
        return false;
    if (a->state != AGENT_ACTIVE || a->mode != AGENT_NORMAL ||
        m_has_superseded(m, a->id))
        return false;
    sum = m_allocated(m, a->id);
    resources_add(&sum, &j->spec.resources);
    return resources_contain(&a->spec.resources, &sum) &&
           m_has_extras(m, a, &j->spec, ports) && m_role_has_room(m, j);
}

static bool m_place_one(struct model *m, const struct placement *asked)
{
    uint16_t ports[LIMIT_TASK_PORTS] = {0};
    struct m_job *j = m_find_job(m, asked->job);
    struct placement chosen = *asked, *p = &chosen;
    struct m_attempt *t;
    struct m_task *task;

    if (!m_may_place(m, p, ports))
        return false;
    if (p->attempt == 0)
        chosen = m_choose(j, asked);
    task = &j->tasks[p->instance];
    MEM_GROW(m->attempts, m->attempt_capacity, m->attempt_count + 1);
    t = &m->attempts[m->attempt_count++];
    *t = (struct m_attempt){.id = m->attempt_count,
                            .job = j->id,
                            .agent = p->agent,
                            .placed_us = m->stamp,
                            .instance = p->instance,
                            .number = p->attempt,
                            .state = TASK_STAGING};
    memcpy(t->ports, ports, sizeof(ports));
    *task = (struct m_task){.state = TASK_STAGING,
                            .attempt = p->attempt,
                            .attempt_id = t->id,
                            .agent_id = p->agent,
                            .changed = m->index,
                            .tries = task->tries};
    j->changed = m->index;
    m_effect(m, EFFECT_LAUNCH, t->id, p->agent);
    return true;
}

#define GANG_MAX 64

/* They would be placed one after the other, all that it has: tried on a copy of what counts. */
static bool m_may_place_gang(struct model *m, const struct placement *of, uint32_t n)
{
    struct m_job *j = m_find_job(m, of[0].job);
    size_t attempts = m->attempt_count;
    struct m_task tasks[GANG_MAX];
    uint64_t changed = j->changed;
    struct outcome *out = m->out;
    bool may = n == m_count_placeable(j);

    for (uint32_t i = 1; i < n; i++)
        may = may && of[i - 1].instance < of[i].instance;
    memcpy(tasks, j->tasks, j->spec.instances * sizeof(*tasks));
    j->spec.gang = false; /* each by itself */
    m->out = NULL;
    for (uint32_t i = 0; i < n && may; i++)
        may = m_place_one(m, &of[i]);
    m->out = out;
    j->spec.gang = true;
    memcpy(j->tasks, tasks, j->spec.instances * sizeof(*tasks));
    m->attempt_count = attempts;
    j->changed = changed;
    return may;
}

static uint64_t m_place_gang(struct model *m, const struct placement *of, uint32_t n)
{
    struct m_job *j = m_find_job(m, of[0].job);
    uint64_t placed = 0;

    if (!m_may_place_gang(m, of, n))
        return 0;
    j->spec.gang = false;
    for (uint32_t i = 0; i < n; i++)
        placed += m_place_one(m, &of[i]);
    j->spec.gang = true;
    return placed;
}

struct result m_place(struct model *m, const struct command *c)
{
    struct placement of[GANG_MAX], next = {0};
    struct command_cursor at = {0};
    uint32_t n = 0;
    uint64_t placed = 0;
    bool any = command_next_placement(c, &at, &next);

    while (any) {
        const struct m_job *j = m_find_job(m, next.job);

        if (j == NULL || !m_is_whole(j)) {
            placed += m_place_one(m, &next);
            any = command_next_placement(c, &at, &next);
            continue;
        }
        for (n = 0; any && next.job == j->id; n++) {
            of[n] = next;
            any = command_next_placement(c, &at, &next);
        }
        placed += m_place_gang(m, of, n);
    }
    return m_done(m, placed);
}

static bool m_update_one(struct model *m, uint64_t agent, const struct task_update *u)
{
    struct m_attempt *t = m_find_attempt(m, u->attempt);

    if (t == NULL || t->agent != agent)
        return false;
    if (t->superseded) {
        if (u->state >= TASK_FINISHED)
            m_end(m, t);
        return t->over;
    }
    if (u->state == t->state) {
        struct m_task *task = &m->jobs[t->job - 1].tasks[t->instance];

        if (task->health == u->health && task->restarts == u->restarts)
            return false;
        task->health = u->health;
        task->restarts = u->restarts;
        say(task, u);
        task->changed = m->jobs[t->job - 1].changed = m->index;
        return true;
    }
    if (u->state < t->state)
        return false;
    m_tell_task(m, t, u);
    t->state = u->state;
    if (u->state >= TASK_FINISHED)
        m_end(m, t);
    return true;
}

struct result m_update(struct model *m, const struct command *c)
{
    struct command_cursor at = {0};
    struct task_update u;
    uint64_t n = 0;

    while (command_next_update(c, &at, &u)) {
        n += m_update_one(m, c->task_update.agent, &u);
        m_effect(m, EFFECT_UPDATED, u.attempt, c->task_update.agent);
    }
    return m_done(m, n);
}
