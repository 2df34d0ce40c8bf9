/* model_preempt.c - preemption: of everything a sum over all attempts that ever were. */
#include "tests/unit/raft_fsm/model_private.h"

#include "base/mem.h"

#include <string.h>

#define GAP 10

static bool is_to_end(const struct model *m, const struct m_attempt *t)
{
    return t->superseded || t->stop != TASK_REASON_NONE ||
           m->jobs[t->job - 1].kill_index != 0;
}

static uint64_t expected_us(struct model *m, const struct m_job *j)
{
    uint64_t ms = j->expected_ms;

    if (ms == 0)
        ms = m_find_role(m, m_role_of(j))->spec.length_ms;
    return ms * 1000;
}

/* What the role has of a kind when all that is to end has ended. */
static uint64_t kept(struct model *m, const char *role, int kind)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->attempt_count; i++) {
        const struct m_attempt *t = &m->attempts[i];
        const struct m_job *j = &m->jobs[t->job - 1];

        if (!t->over && !is_to_end(m, t) && strcmp(m_role_of(j), role) == 0)
            sum += j->spec.resources.amount[kind];
    }
    return sum;
}

static bool is_owed(struct model *m, const char *role)
{
    const struct role_bound *min = &m_find_role(m, role)->spec.min;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        if ((min->kinds & 1u << k) != 0 &&
            m_role_used(m, role, k) >= min->amount.amount[k])
            return false;
    return min->kinds != 0;
}

static bool
is_worth_it(struct model *m, const struct m_job *j, const struct m_attempt *t)
{
    const struct m_job *other = &m->jobs[t->job - 1];
    double elapsed = (double)m->stamp - (double)t->placed_us, left, work = 0;

    left = (double)expected_us(m, other) - elapsed;
    for (uint32_t i = 0; i < j->spec.instances; i++)
        if (m_shown(j, i) < TASK_FINISHED)
            work += (double)expected_us(m, j);
    return left > 0 && left > work + elapsed;
}

static bool may_take(struct model *m, const struct m_job *j, const struct m_attempt *t)
{
    const struct m_job *other = &m->jobs[t->job - 1];
    const struct role_spec *mine = &m_find_role(m, m_role_of(j))->spec;
    const struct role_spec *theirs = &m_find_role(m, m_role_of(other))->spec;

    if (mine->preempt == 0 || j == other || is_to_end(m, t) || other->spec.gang ||
        other->spec.kind == JOB_SYSTEM || j->spec.kind == JOB_SYSTEM || m_is_whole(j))
        return false;
    if (strcmp(m_role_of(j), m_role_of(other)) == 0)
        return (mine->order == ROLE_PRIORITY &&
                j->spec.priority >= other->spec.priority + GAP) ||
               (mine->order == ROLE_SRTF && is_worth_it(m, j, t));
    return mine->priority > theirs->priority || is_owed(m, m_role_of(j));
}

/* The minima of all others, when these have been told to end. */
static bool
minima_hold(struct model *m, const struct m_job *j, const struct m_attempt *t)
{
    const struct m_job *other = &m->jobs[t->job - 1];
    const char *role = m_role_of(other);
    const struct role_bound *min = &m_find_role(m, role)->spec.min;

    if (strcmp(m_role_of(j), role) == 0)
        return true;
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if ((min->kinds & 1u << k) != 0 && other->spec.resources.amount[k] > 0 &&
            kept(m, role, k) < min->amount.amount[k])
            return false;
    return true;
}

/* Whether it has room as things are, with what is to end gone if `after`. */
static bool
has_room(struct model *m, const struct m_agent *a, const struct m_job *j, bool after)
{
    uint16_t ports[LIMIT_TASK_PORTS];
    struct resources sum;
    bool *was = mem_alloc(m->attempt_count + 1), fits;

    for (size_t i = 0; i < m->attempt_count; i++) {
        was[i] = m->attempts[i].over;
        m->attempts[i].over |= after && is_to_end(m, &m->attempts[i]);
    }
    sum = m_allocated(m, a->id);
    resources_add(&sum, &j->spec.resources);
    fits = resources_contain(&a->spec.resources, &sum) &&
           m_has_extras(m, a, &j->spec, ports);
    for (size_t i = 0; i < m->attempt_count; i++)
        m->attempts[i].over = was[i];
    mem_free(was);
    return fits;
}

/* Tell them to end, one after the other, as if it were to be so: each may be taken.  Then they
 * suffice, and without any of them they do not. */
static bool try_all(struct model *m,
                    const struct m_agent *a,
                    const struct m_job *j,
                    struct m_attempt **victims,
                    size_t count)
{
    bool is_right = !has_room(m, a, j, false);

    for (size_t i = 0; i < count; i++) {
        is_right &= may_take(m, j, victims[i]);
        victims[i]->stop = TASK_REASON_PREEMPTED;
        is_right &= minima_hold(m, j, victims[i]);
    }
    is_right = is_right && has_room(m, a, j, true);
    for (size_t i = 0; i < count && is_right; i++) {
        victims[i]->stop = TASK_REASON_NONE;
        is_right = !has_room(m, a, j, true);
        victims[i]->stop = TASK_REASON_PREEMPTED;
    }
    return is_right;
}

struct result m_preempt(struct model *m, const struct command *c)
{
    struct m_job *j = m_find_job(m, c->preempt.job);
    struct m_agent *a = m_find_agent(m, c->preempt.agent);
    struct m_attempt *victims[LIMIT_VICTIMS];
    struct command_cursor at = {0};
    uint64_t id, last = 0;
    size_t n = 0;

    if (j == NULL || a == NULL)
        return m_refused(ERROR_NOT_FOUND);
    if (m_count_placeable(j) == 0 || a->state != AGENT_ACTIVE ||
        a->mode != AGENT_NORMAL)
        return m_refused(ERROR_INVALID);
    for (size_t i = 0; i < m->attempt_count; i++)
        if (!m->attempts[i].over && m->attempts[i].superseded &&
            m->attempts[i].agent == a->id)
            return m_refused(ERROR_CONFLICT);
    if (!m_role_has_room(m, j))
        return m_refused(ERROR_CONFLICT);
    for (; command_next_victim(c, &at, &id); last = id) {
        victims[n] = m_find_attempt(m, id);
        if (victims[n] == NULL || victims[n]->agent != a->id || id <= last)
            return m_refused(ERROR_CONFLICT);
        n++;
    }
    for (size_t i = 0; i < n; i++)
        if (is_to_end(m, victims[i]))
            return m_refused(ERROR_CONFLICT);
    if (!try_all(m, a, j, victims, n)) {
        for (size_t i = 0; i < n; i++)
            victims[i]->stop = TASK_REASON_NONE;
        return m_refused(ERROR_CONFLICT);
    }
    for (size_t i = 0; i < n; i++) {
        victims[i]->stop_for = j->id;
        m->jobs[victims[i]->job - 1].changed = m->index;
        m_effect(m, EFFECT_KILL, victims[i]->id, a->id);
    }
    return m_done(m, n);
}
