/* cluster_dispatches.c - what must hold of jobs that are made of others when somebody asks for one
 * (spec 14). */
#include "cluster.h"

#include <string.h>

static bool has_env(const struct job_spec *spec, const char *text)
{
    for (size_t i = 0; i < spec->env_count; i++)
        if (strcmp(spec->env[i], text) == 0)
            return true;
    return false;
}

void check_parameters(struct cluster *c,
                      const struct sim_job *j,
                      const struct job_spec *spec)
{
    char size[SIM_SIZE_BYTES];

    sim_job_size(j, 0, size);
    if (!has_env(spec, size) || !has_env(spec, "COLOUR=red"))
        world_fail(&c->world,
                   "job %llu has not the parameters that it was asked for with (%s)",
                   (unsigned long long)j->id,
                   size);
}

/* What was asked for and acknowledged is a job of that one, with those values. */
void check_made(struct cluster *c,
                const struct sim_master *m,
                const struct sim_job *j,
                const struct job *job)
{
    struct job_spec spec;

    if (job->links == NULL || job->links->parent != j->made_of) {
        world_fail(&c->world,
                   "master %u: job %llu is not made of job %llu",
                   m->number + 1,
                   (unsigned long long)j->id,
                   (unsigned long long)j->made_of);
        return;
    }
    if (job_spec_unpack(&spec, job->spec, NULL) != 0)
        return;
    check_parameters(c, j, &spec);
    job_spec_finish(&spec);
    c->totals.dispatched_seen++;
}

/* Once for each that was acknowledged, and for no more than were asked for. */
void check_dispatches(struct cluster *c,
                      const struct sim_master *m,
                      const struct job *template)
{
    uint64_t index = master_state(m->core)->index, asked = 0, told = 0;

    for (unsigned i = 0; i < c->job_count; i++) {
        const struct sim_job *j = &c->jobs[i];

        if (j->made_of != template->id)
            continue;
        asked++;
        told += j->acknowledged && j->index <= index;
    }
    if (template->made->fired < told || template->made->fired > asked)
        world_fail(&c->world,
                   "master %u: %llu jobs were made of job %llu, %llu were acknowledged "
                   "and %llu asked for",
                   m->number + 1,
                   (unsigned long long)template->made->fired,
                   (unsigned long long)template->id,
                   (unsigned long long)told,
                   (unsigned long long)asked);
}

/* Whether somebody gave reason for such an answer, which is about the template. */
bool may_refuse_dispatch(const struct cluster *c,
                         const struct sim_job *j,
                         enum error_code code)
{
    const struct sim_job *of = sim_job_of(c, j->made_of);

    if (of == NULL || !of->kill_asked)
        return false;
    return code == ERROR_INVALID ||
           (code == ERROR_NOT_FOUND && (of->purge_asked || c->plan.purge));
}
