/* model_look.c - what is found in the model by looking at everything. */
#include "tests/unit/raft_fsm/model_private.h"

#include "base/mem.h"

#include <string.h>

struct bytes m_copy(struct bytes b)
{
    return (struct bytes){mem_dup(b.data, b.size), b.size};
}

bool m_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

struct m_job *m_find_job(struct model *m, uint64_t id)
{
    if (id == 0 || id > m->job_count || m->jobs[id - 1].purged)
        return NULL;
    return &m->jobs[id - 1];
}

struct m_agent *m_find_agent(struct model *m, uint64_t id)
{
    return id == 0 || id > m->agent_count ? NULL : &m->agents[id - 1];
}

struct m_attempt *m_find_attempt(struct model *m, uint64_t id)
{
    if (id == 0 || id > m->attempt_count || m->attempts[id - 1].over)
        return NULL;
    return &m->attempts[id - 1];
}

enum task_state m_shown(const struct m_job *j, uint32_t i)
{
    enum task_state state = j->tasks[i].state;

    if (j->kill_index == 0 || state >= TASK_FINISHED)
        return state;
    return state == TASK_PENDING ? TASK_KILLED : TASK_KILLING;
}

bool m_is_system(const struct m_job *j)
{
    return j->spec.kind == JOB_SYSTEM;
}

struct m_task *m_of_agent(const struct m_job *j, uint64_t agent)
{
    for (uint32_t i = 0; i < j->spec.instances; i++)
        if (j->tasks[i].agent_id == agent && j->tasks[i].state != TASK_LOST)
            return &j->tasks[i];
    return NULL;
}

bool m_may_get_placed(const struct m_job *j)
{
    return m_count_placeable(j) > 0 ||
           (m_is_system(j) && j->kill_index == 0 && j->wait_count == 0);
}

bool m_is_whole(const struct m_job *j)
{
    for (uint32_t i = 0; j->spec.gang && i < j->spec.instances; i++)
        if (j->tasks[i].state > TASK_PENDING && j->tasks[i].state < TASK_FINISHED)
            return false;
    return j->spec.gang;
}

static bool m_waits(const struct m_job *j, uint32_t i)
{
    return m_shown(j, i) == TASK_PENDING && j->tasks[i].tries.retry_us != 0;
}

bool m_can_be_placed(const struct m_job *j, uint32_t i)
{
    if (m_shown(j, i) != TASK_PENDING || m_waits(j, i) || j->wait_count != 0)
        return false;
    if (!m_is_whole(j))
        return true;
    for (uint32_t k = 0; k < j->spec.instances; k++)
        if (m_waits(j, k))
            return false;
    return true;
}

uint32_t m_count_placeable(const struct m_job *j)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < j->spec.instances; i++)
        n += m_can_be_placed(j, i);
    return n;
}

uint32_t m_count_shown(const struct m_job *j, enum task_state state)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < j->spec.instances; i++)
        n += m_shown(j, i) == state;
    return n;
}

enum job_state m_state_of(const struct m_job *j)
{
    uint32_t finished = m_count_shown(j, TASK_FINISHED);
    uint32_t killed = m_count_shown(j, TASK_KILLED);
    uint32_t failed = m_count_shown(j, TASK_FAILED) + m_count_shown(j, TASK_ERROR);

    if (j->is_template)
        return j->kill_index != 0 ? JOB_KILLED : JOB_PENDING;
    if (m_is_system(j) && j->kill_index == 0)
        return j->spec.instances > 0 ? JOB_RUNNING : JOB_PENDING;
    if (m_is_system(j))
        return m_count_shown(j, TASK_KILLING) > 0 ? JOB_RUNNING : JOB_KILLED;
    if (finished + killed + failed == j->spec.instances) {
        if (killed > 0 && j->kill_index != 0)
            return JOB_KILLED;
        return failed + killed > 0 ? JOB_FAILED : JOB_COMPLETE;
    }
    for (uint32_t i = 0; i < j->spec.instances; i++)
        if (j->tasks[i].attempt > 0)
            return JOB_RUNNING;
    return JOB_PENDING;
}

/* One more than the highest instance that was ever placed. */
uint32_t m_touched(const struct m_job *j)
{
    uint32_t n = j->spec.instances;

    while (n > 0 && j->tasks[n - 1].attempt == 0)
        n--;
    return n;
}

struct resources m_allocated(const struct model *m, uint64_t agent)
{
    struct resources sum = {0};

    for (size_t i = 0; i < m->attempt_count; i++) {
        const struct m_attempt *t = &m->attempts[i];

        if (!t->over && t->agent == agent)
            resources_add(&sum, &m->jobs[t->job - 1].spec.resources);
    }
    return sum;
}

static uint64_t custom_used(const struct model *m, uint64_t agent, const char *name)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->attempt_count; i++) {
        const struct m_attempt *t = &m->attempts[i];

        if (!t->over && t->agent == agent)
            sum += custom_resources_amount(&m->jobs[t->job - 1].spec.custom, name);
    }
    return sum;
}

static bool in_ranges(const struct port_range *ranges, size_t count, unsigned port)
{
    for (size_t i = 0; i < count; i++)
        if (port >= ranges[i].first && port <= ranges[i].last)
            return true;
    return false;
}

static bool is_free(const struct model *m, const struct m_agent *a, unsigned port)
{
    for (size_t i = 0; i < m->attempt_count; i++)
        for (int p = 0; p < LIMIT_TASK_PORTS; p++)
            if (!m->attempts[i].over && m->attempts[i].agent == a->id &&
                m->attempts[i].ports[p] == port)
                return false;
    return in_ranges(a->spec.ports, a->spec.port_count, port);
}

/* The ports of one more task on the agent; false when it has not got them. */
static bool choose_ports(const struct model *m,
                         const struct m_agent *a,
                         const struct job_spec *spec,
                         uint16_t *ports)
{
    uint32_t any = spec->ports.count;

    for (unsigned port = 1; port <= UINT16_MAX; port++) {
        if (!in_ranges(spec->ports.fixed, spec->ports.fixed_count, port))
            continue;
        if (!is_free(m, a, port))
            return false;
        *ports++ = (uint16_t)port;
    }
    for (unsigned port = 31000; port <= 31100 && any > 0; port++) {
        if (in_ranges(spec->ports.fixed, spec->ports.fixed_count, port) ||
            !is_free(m, a, port))
            continue;
        *ports++ = (uint16_t)port;
        any--;
    }
    return any == 0;
}

bool m_has_extras(const struct model *m,
                  const struct m_agent *a,
                  const struct job_spec *spec,
                  uint16_t *ports)
{
    if (spec->image.source != NULL && (a->spec.features & AGENT_FEATURE_IMAGES) == 0)
        return false;
    if (!job_spec_is_plain(spec) && (a->spec.features & AGENT_FEATURE_JOBS_2) == 0)
        return false;
    for (size_t i = 0; i < spec->custom.count; i++)
        if (custom_used(m, a->id, spec->custom.items[i].name) +
                spec->custom.items[i].amount >
            custom_resources_amount(&a->spec.custom, spec->custom.items[i].name))
            return false;
    return choose_ports(m, a, spec, ports);
}

bool m_has_superseded(const struct model *m, uint64_t agent)
{
    for (size_t i = 0; i < m->attempt_count; i++)
        if (!m->attempts[i].over && m->attempts[i].agent == agent &&
            m->attempts[i].superseded)
            return true;
    return false;
}
