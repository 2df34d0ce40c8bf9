/* model_roles.c - roles. */
#include "tests/unit/raft_fsm/model_private.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

const char *m_role_of(const struct m_job *j)
{
    return j->spec.role == NULL ? ROLE_DEFAULT : j->spec.role;
}

/* ---- looking ---- */

static struct m_role *add_role(struct model *m, const char *name)
{
    struct m_role *r;

    for (size_t i = 0; i < m->role_count; i++)
        if (strcmp(m->roles[i].name, name) == 0)
            return &m->roles[i];
    MEM_GROW(m->roles, m->role_capacity, m->role_count + 1);
    r = &m->roles[m->role_count++];
    *r = (struct m_role){0};
    snprintf(r->name, sizeof(r->name), "%s", name);
    role_spec_init(&r->spec);
    return r;
}

struct m_role *m_find_role(struct model *m, const char *name)
{
    if (m->role_count == 0)
        add_role(m, ROLE_DEFAULT);
    for (size_t i = 0; i < m->role_count; i++)
        if (strcmp(m->roles[i].name, name) == 0 && (m->roles[i].is_set || i == 0))
            return &m->roles[i];
    return NULL;
}

uint64_t m_role_used(const struct model *m, const char *role, int kind)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->attempt_count; i++) {
        const struct m_job *j = &m->jobs[m->attempts[i].job - 1];

        if (!m->attempts[i].over && strcmp(m_role_of(j), role) == 0)
            sum += j->spec.resources.amount[kind];
    }
    return sum;
}

uint64_t m_role_used_custom(const struct model *m, const char *role, const char *name)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->attempt_count; i++) {
        const struct m_job *j = &m->jobs[m->attempts[i].job - 1];

        if (!m->attempts[i].over && strcmp(m_role_of(j), role) == 0)
            sum += custom_resources_amount(&j->spec.custom, name);
    }
    return sum;
}

bool m_role_has_room(struct model *m, const struct m_job *j)
{
    const char *name = m_role_of(j);
    const struct role_bound *max = &m_find_role(m, name)->spec.max;

    for (int k = 0; k < RESOURCE_KINDS; k++) {
        uint64_t need = j->spec.resources.amount[k];

        if (need > 0 && (max->kinds & 1u << k) != 0 &&
            m_role_used(m, name, k) + need > max->amount.amount[k])
            return false;
    }
    for (size_t i = 0; i < max->custom.count; i++) {
        const struct custom_resource *r = &max->custom.items[i];
        uint64_t need = custom_resources_amount(&j->spec.custom, r->name);

        if (need > 0 && m_role_used_custom(m, name, r->name) + need > r->amount)
            return false;
    }
    return true;
}

/* ---- commands ---- */

static uint64_t capacity(const struct model *m, int kind)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->agent_count; i++)
        if (m->agents[i].state != AGENT_GONE)
            sum += m->agents[i].spec.resources.amount[kind];
    return sum;
}

/* What it asks more of than before.  The workload has no minima of custom resources. */
static bool is_there(const struct model *m,
                     const struct m_role *changed,
                     const struct role_spec *spec)
{
    for (int k = 0; k < RESOURCE_KINDS; k++) {
        uint64_t sum = spec->min.amount.amount[k];
        uint64_t was = changed == NULL ? 0 : changed->spec.min.amount.amount[k];

        if (sum <= was)
            continue;
        for (size_t i = 0; i < m->role_count; i++)
            if (&m->roles[i] != changed && m->roles[i].is_set)
                sum += m->roles[i].spec.min.amount.amount[k];
        if (sum > capacity(m, k))
            return false;
    }
    return true;
}

static uint32_t lowest_free(const struct model *m)
{
    for (uint32_t id = 1;; id++) {
        bool taken = false;

        for (size_t i = 0; i < m->role_count; i++)
            taken |= m->roles[i].is_set && m->roles[i].id == id;
        if (!taken)
            return id;
    }
}

struct result m_role_set(struct model *m, const struct command *c)
{
    struct role_change change;
    struct role_spec spec;
    struct m_role *r;
    struct result result = m_done(m, 0);
    int rc = role_change_unpack(&change, c->role_set.change, NULL);

    if (rc != 0)
        return m_refused(-rc);
    r = m_find_role(m, change.name);
    if (r == NULL)
        role_spec_init(&spec);
    else
        role_spec_copy(&spec, &r->spec);
    role_change_apply(&change, &spec);
    if (role_spec_check(&spec, NULL) != 0) {
        result = m_refused(ERROR_INVALID);
    } else if (!is_there(m, r, &spec)) {
        result = m_refused(ERROR_CONFLICT);
    } else if (r == NULL || !r->is_set || !role_spec_equal(&spec, &r->spec)) {
        r = add_role(m, change.name);
        if (!r->is_set)
            r->id = r == m->roles ? 0 : lowest_free(m);
        r->is_set = true;
        r->changed = m->index;
        role_spec_finish(&r->spec);
        role_spec_copy(&r->spec, &spec);
        m_effect(m, EFFECT_ROLE, r->id, 0);
    }
    role_spec_finish(&spec);
    role_change_finish(&change);
    return result;
}

static bool has_jobs(struct model *m, const char *role)
{
    for (size_t i = 0; i < m->job_count; i++)
        if (!m->jobs[i].purged && strcmp(m_role_of(&m->jobs[i]), role) == 0 &&
            !job_state_is_final(m_state_of(&m->jobs[i])))
            return true;
    for (size_t i = 0; i < m->attempt_count; i++)
        if (!m->attempts[i].over &&
            strcmp(m_role_of(&m->jobs[m->attempts[i].job - 1]), role) == 0)
            return true;
    return false;
}

struct result m_role_remove(struct model *m, const struct command *c)
{
    char name[LIMIT_ROLE_BYTES + 1] = {0};
    struct m_role *r;

    memcpy(name, c->role_remove.name.data, c->role_remove.name.size);
    if (strcmp(name, ROLE_DEFAULT) == 0)
        return m_refused(ERROR_CONFLICT);
    r = m_find_role(m, name);
    if (r == NULL)
        return m_refused(ERROR_NOT_FOUND);
    if (has_jobs(m, name))
        return m_refused(ERROR_CONFLICT);
    r->is_set = false;
    m_effect(m, EFFECT_ROLE, r->id, 0);
    role_spec_finish(&r->spec);
    role_spec_init(&r->spec);
    return m_done(m, 0);
}
