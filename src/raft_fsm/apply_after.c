/* apply_after.c - jobs that wait for others (docs/spec/14-kinds.md). */
#include "raft_fsm/apply.h"

#include "base/assert.h"
#include "base/limits.h"

/* It never begins: it ends as if it was killed.  Inside an edit, or before it is added. */
static void stop(struct apply *a, struct job *j, uint64_t by)
{
    links_clear(a->state, j);
    job_links(j)->stopped_by = by;
    j->kill_index = a->state->index;
}

void job_wait_for(struct apply *a, struct job *j, const struct job_spec *spec)
{
    for (size_t i = 0; i < spec->after_count && j->kill_index == 0; i++) {
        struct job *on = state_job(a->state, (uint64_t)spec->after[i].job);

        ASSERT(on != NULL);
        if (!job_state_is_final(job_state(on)))
            links_add(j, on, spec->after[i].on);
        else if (!links_met(spec->after[i].on, on))
            stop(a, j, on->id);
    }
    if (j->kill_index != 0)
        j->ended_us = a->stamp_us;
}

/* The job that ended tells one that waits for it. */
static void tell(struct apply *a, const struct job *ended, struct dependency *d)
{
    struct job *j = d->job;
    bool met = links_met(d->on, ended);
    enum job_state before = job_open(a, j);

#ifdef MUTANT_AFTER_ANY_END
    met = true;
#endif
    links_remove(a->state, d);
    if (!met)
        stop(a, j, ended->id);
    job_close(a, j, before);
}

void release_jobs(struct apply *a)
{
    struct job_links *l;

    for (unsigned n = 0; n < LIMIT_RELEASES; n++) {
        l = RB_MIN(ending_tree, &a->state->ending);
        if (l == NULL)
            return;
        tell(a, l->job, TAILQ_FIRST(&l->dependents));
        a->work++;
    }
}

/* The entry does it, as each does. */
struct result apply_release(struct apply *a, const struct command *c)
{
    (void)c;
    return result_done(a, 0);
}
