/* cluster_sets.c - what must hold of which jobs there are: whatever a master has somebody asked for,
 * and of jobs that were submitted together all are there, or none (spec 14).
 */
#include "cluster.h"

#include "base/buffer.h"

#include <string.h>

#define SLOT_KEY_BYTES     (MASTERS_KEY_BYTES + 8 + 8)
#define POSITION_KEY_BYTES (MASTERS_KEY_BYTES + 8 + 4)

static const struct sim_job *by_key(const struct cluster *c, struct bytes key)
{
    for (unsigned i = 0; i < c->job_count; i++)
        if (key.size == sizeof(c->jobs[i].key) && c->jobs[i].position == 0 &&
            memcmp(key.data, &c->jobs[i].key, key.size) == 0)
            return &c->jobs[i];
    return NULL;
}

static bool is_of_masters(struct bytes key)
{
    return key.size > MASTERS_KEY_BYTES &&
           memcmp(key.data, MASTERS_KEY, MASTERS_KEY_BYTES) == 0;
}

/* The first of the jobs that this one was submitted with, or NULL. */
static const struct sim_job *
first_of(const struct cluster *c, const struct state *s, const struct job *job)
{
    uint64_t id = load_u64(job->key.data + MASTERS_KEY_BYTES);
    const struct job *first = state_job(s, id);

    return first != NULL ? by_key(c, first->key) : sim_job_of(c, id);
}

static const struct job *job_of(const struct cluster *c, uint64_t id)
{
    const struct job *job = NULL;

    for (unsigned i = 0; i < c->masters && job == NULL; i++)
        if (c->master[i].alive)
            job = state_job(master_state(c->master[i].core), id);
    return job;
}

const struct sim_job *sim_job_behind(const struct cluster *c, uint64_t id)
{
    const struct sim_job *j = sim_job_of(c, id);
    const struct job *job = j == NULL ? job_of(c, id) : NULL;

    if (j != NULL)
        return j->made_of != 0 ? sim_job_behind(c, j->made_of) : j;
    if (job == NULL)
        return NULL;
    if (job->links != NULL && job->links->parent != 0)
        return sim_job_behind(c, job->links->parent);
    if (job->key.size != POSITION_KEY_BYTES)
        return by_key(c, job->key);
    j = sim_job_behind(c, load_u64(job->key.data + MASTERS_KEY_BYTES));
    return j == NULL ? NULL : j + load_u32(job->key.data + MASTERS_KEY_BYTES + 8);
}

static bool
was_asked_for(const struct cluster *c, const struct state *s, const struct job *job)
{
    const struct sim_job *j;
    uint32_t position;

    if (!is_of_masters(job->key)) {
        j = by_key(c, job->key);
        return j != NULL && j->refusal == ERROR_NONE;
    }
    if (job->key.size == SLOT_KEY_BYTES)
        return job->links != NULL && job->links->parent != 0;
    if (job->key.size != POSITION_KEY_BYTES)
        return false;
    position = load_u32(job->key.data + MASTERS_KEY_BYTES + 8);
    j = first_of(c, s, job);
    if (j == NULL) /* purged before anybody was told of it */
        return c->plan.purge;
    return position > 0 && position < j->together && j->refusal == ERROR_NONE &&
           job->id == load_u64(job->key.data + MASTERS_KEY_BYTES) + position;
}

/* It is what was asked for at its position. */
static bool is_same(const struct sim_job *j, uint64_t first, const struct job *job)
{
    struct buffer packed = {0};
    struct job_spec spec;
    bool is_same;

    sim_job_spec(j, first, &spec);
    job_spec_pack(&spec, &packed);
    is_same = packed.size == job->spec.size &&
              memcmp(packed.data, job->spec.data, packed.size) == 0;
    buffer_finish(&packed);
    job_spec_finish(&spec);
    return is_same;
}

static void check_together(struct cluster *c,
                           const struct sim_master *m,
                           const struct sim_job *first,
                           const struct job *job)
{
    for (uint32_t i = 0; i < first->together; i++) {
        const struct sim_job *j = first + i;
        const struct job *other = state_job(master_state(m->core), job->id + i);

        if (other == NULL && (c->plan.purge || j->purge_asked))
            continue;
        if (other == NULL || other->submit_index != job->submit_index ||
            !is_same(j, job->id, other))
            world_fail(&c->world,
                       "master %u: job %llu is there, and job %u that was submitted "
                       "with it is not",
                       m->number + 1,
                       (unsigned long long)job->id,
                       i);
    }
    c->totals.together_seen++;
}

/* All that a master has. */
void check_jobs(struct cluster *c, const struct sim_master *m)
{
    struct state *s = (struct state *)(uintptr_t)master_state(m->core);
    struct job *job;

    STATE_FOREACH_JOB (job, s) {
        const struct sim_job *j = by_key(c, job->key);

        if (!was_asked_for(c, s, job))
            world_fail(&c->world,
                       "master %u: nobody asked for job %llu",
                       m->number + 1,
                       (unsigned long long)job->id);
        else if (j != NULL && j->together > 1)
            check_together(c, m, j, job);
    }
}
