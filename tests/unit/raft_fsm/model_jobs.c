/* model_jobs.c - commands about jobs and their keys. */
#include "tests/unit/raft_fsm/model_private.h"

#include "base/mem.h"

#define DAY_US (24ull * 3600 * 1000000)

struct result m_submit(struct model *m, const struct command *c)
{
    struct job_spec spec;
    struct m_job *j;
    int rc;

    for (size_t i = 0; i < m->job_count; i++) {
        j = &m->jobs[i];
        if (j->forgotten || !m_equal(j->key, c->submit.key))
            continue;
        if (!m_equal(j->body, c->submit.spec))
            return m_refused(ERROR_CONFLICT);
        return (struct result){.id = j->id, .index = j->submit_index};
    }
    rc = job_spec_unpack(&spec, c->submit.spec, NULL);
    if (rc != 0)
        return m_refused(-rc);
    if (spec.role != NULL && m_find_role(m, spec.role) == NULL) {
        job_spec_finish(&spec);
        return m_refused(ERROR_NOT_FOUND);
    }
    MEM_GROW(m->jobs, m->job_capacity, m->job_count + 1);
    j = &m->jobs[m->job_count++];
    *j = (struct m_job){.id = m->job_count,
                        .submit_index = m->index,
                        .changed = m->index,
                        .submitted_us = m->stamp,
                        .key = m_copy(c->submit.key),
                        .body = m_copy(c->submit.spec),
                        .spec = spec};
    j->tasks = mem_zalloc(spec.instances * sizeof(struct m_task));
    m_effect(m, EFFECT_JOB, j->id, 0);
    return m_done(m, j->id);
}

struct result m_kill(struct model *m, const struct command *c)
{
    struct m_job *j = m_find_job(m, c->kill.job);
    bool is_to_place;

    if (j == NULL)
        return m_refused(ERROR_NOT_FOUND);
    if (j->kill_index != 0)
        return (struct result){.id = j->id, .index = j->kill_index};
    if (job_state_is_final(m_state_of(j)))
        return (struct result){.id = j->id, .index = j->changed};
    is_to_place = m_count_placeable(j) > 0;
    j->kill_index = m->index;
    j->changed = m->index;
    if (!job_state_is_final(m_state_of(j)) && !is_to_place)
        m_effect(m, EFFECT_JOB, j->id, 0); /* else because that changed */
    return m_done(m, j->id);
}

struct result m_purge(struct model *m, const struct command *c)
{
    struct m_job *j = m_find_job(m, c->purge.job);

    if (j == NULL)
        return m_refused(ERROR_NOT_FOUND);
    if (!job_state_is_final(m_state_of(j)))
        return m_refused(ERROR_INVALID);
    for (size_t i = 0; i < m->attempt_count; i++)
        if (!m->attempts[i].over && m->attempts[i].job == j->id)
            return m_refused(ERROR_BUSY);
    j->purged = true;
    j->purged_us = m->stamp;
    return m_done(m, j->id);
}

struct result m_expire(struct model *m, const struct command *c)
{
    uint64_t n = 0;

    for (size_t i = 0; i < m->job_count; i++) {
        struct m_job *j = &m->jobs[i];

        if (!j->purged || j->forgotten || j->purged_us >= c->expire_keys.before_us ||
            j->purged_us + DAY_US > m->stamp)
            continue;
        j->forgotten = true;
        n++;
    }
    return m_done(m, n);
}
