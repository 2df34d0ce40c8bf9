/* model_move.c - moves of running tasks: of everything a look at all attempts that ever were. */
#include "tests/unit/raft_fsm/model_private.h"

/* Each of its tasks runs or has ended, and no run is to end. */
static bool is_whole_and_well(struct model *m, const struct m_job *j)
{
    for (uint32_t i = 0; i < j->spec.instances; i++)
        if (m_shown(j, i) != TASK_RUNNING && m_shown(j, i) < TASK_FINISHED)
            return false;
    for (size_t i = 0; i < m->attempt_count; i++) {
        const struct m_attempt *t = &m->attempts[i];

        if (!t->over && !t->superseded && t->job == j->id &&
            t->stop != TASK_REASON_NONE)
            return false;
    }
    return true;
}

static bool may_move(struct model *m, const struct m_attempt *t)
{
    const struct m_job *j = &m->jobs[t->job - 1];
    const struct m_agent *from = m_find_agent(m, t->agent);

    return m_find_role(m, m_role_of(j))->spec.rebalance > 0 &&
           j->spec.kind == JOB_SERVICE && !j->spec.gang && j->kill_index == 0 &&
           j->spec.lease_ms == 0 && is_whole_and_well(m, j) && !t->superseded &&
           t->state == TASK_RUNNING && from->state == AGENT_ACTIVE &&
           from->mode == AGENT_NORMAL;
}

static bool has_room(struct model *m, const struct m_agent *a, const struct m_job *j)
{
    uint16_t ports[LIMIT_TASK_PORTS];
    struct resources sum = m_allocated(m, a->id);

    resources_add(&sum, &j->spec.resources);
    return resources_contain(&a->spec.resources, &sum) &&
           m_has_extras(m, a, &j->spec, ports);
}

struct result m_move(struct model *m, const struct command *c)
{
    struct m_attempt *t = m_find_attempt(m, c->move.attempt);
    struct m_agent *a = m_find_agent(m, c->move.agent);

    if (t == NULL || a == NULL)
        return m_refused(ERROR_NOT_FOUND);
    if (a->id == t->agent || a->state != AGENT_ACTIVE || a->mode != AGENT_NORMAL ||
        m_has_superseded(m, a->id))
        return m_refused(ERROR_INVALID);
    if (!may_move(m, t) || !has_room(m, a, &m->jobs[t->job - 1]))
        return m_refused(ERROR_CONFLICT);
    t->stop = TASK_REASON_MOVED;
    t->stop_for = a->id;
    m->jobs[t->job - 1].changed = m->index;
    m_effect(m, EFFECT_KILL, t->id, t->agent);
    return m_done(m, t->id);
}
