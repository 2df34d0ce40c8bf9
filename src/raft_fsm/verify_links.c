/* verify_links.c - what must hold of jobs that wait for others, or are made of them, from
 * scratch. */
#include "raft_fsm/verify.h"

#include "base/limits.h"

#include <inttypes.h>

static int check_after(const struct job *j, struct error *err)
{
    const struct dependency *d, *previous = NULL;
    unsigned count = 0;

    TAILQ_FOREACH (d, &j->links->after, in_job) {
        RULE(d->job == j && d->on_job->id < j->id &&
                 (previous == NULL || previous->on_job->id < d->on_job->id),
             "job %" PRIu64 " waits for a younger job, or out of order",
             j->id);
        previous = d;
        count++;
    }
    RULE(count <= LIMIT_AFTER, "job %" PRIu64 " waits for %u jobs", j->id, count);
    RULE(count == 0 || (j->touched == 0 && j->kill_index == 0),
         "job %" PRIu64 " waits for others and has begun or ended",
         j->id);
    RULE(j->links->stopped_by == 0 ||
             (j->kill_index != 0 && j->touched == 0 && j->links->stopped_by < j->id),
         "job %" PRIu64 " never begins and is not killed",
         j->id);
    return 0;
}

static int
check_dependents(const struct state *s, const struct job *j, struct error *err)
{
    const struct dependency *d, *previous = NULL;
    bool ending =
        !TAILQ_EMPTY(&j->links->dependents) && job_state_is_final(job_state(j));

    TAILQ_FOREACH (d, &j->links->dependents, in_peer) {
        RULE(d->on_job == j && (previous == NULL || previous->job->id < d->job->id),
             "job %" PRIu64 ": what waits for it is out of order",
             j->id);
        previous = d;
    }
    RULE(j->links->is_ending == ending &&
             ending == (RB_FIND(ending_tree,
                                (struct ending_tree *)&s->ending,
                                (struct job_links *)j->links) == j->links),
         "job %" PRIu64
         " has ended and is not among those that tell it, or the other way",
         j->id);
    return 0;
}

int verify_links(const struct state *s, const struct job *j, struct error *err)
{
    int rc;

    if (j->links == NULL)
        return 0;
    rc = check_after(j, err);
    return rc != 0 ? rc : check_dependents(s, j, err);
}

/* Its spec says so, too. */
static bool is_template(const struct job *j)
{
    struct job_spec spec;
    bool right;

    if (job_spec_unpack(&spec, j->spec, NULL) != 0)
        return true; /* a later version has another opinion of it */
    right = j->made->is_dispatched ? spec.parameter_count > 0
                                   : spec.schedule.cron != NULL &&
                                         j->made->overlap == spec.schedule.overlap;
    job_spec_finish(&spec);
    return right;
}

int verify_template(const struct state *s, const struct job *j, struct error *err)
{
    const struct job_template *t = j->made;

    RULE(j->links == NULL || j->links->parent < j->id,
         "job %" PRIu64 " was made of a younger one",
         j->id);
    if (t == NULL)
        return 0;
    RULE(t->job == j && t->last_us >= j->submitted_us &&
             (t->child == 0) == (t->fired == 0) && t->child <= s->globals.last_job_id,
         "job %" PRIu64 ": slots that cannot be",
         j->id);
    RULE(is_template(j),
         "job %" PRIu64 " is one of which others are made, and its spec says otherwise",
         j->id);
    RULE((RB_FIND(template_tree,
                  (struct template_tree *)&s->templates,
                  (struct job_template *)t) == t) ==
             (j->kill_index == 0 && !t->is_dispatched),
         "job %" PRIu64
         " has a schedule and is not among those that do, or the other way",
         j->id);
    return 0;
}

/* ---- system jobs ---- */

static int verify_task_of_agent(const struct state *s,
                                const struct job *j,
                                const struct task *t,
                                struct error *err)
{
    const struct agent *agent = state_agent(s, t->agent_id);

    if (t->state == TASK_LOST) {
        RULE(t->instance >= j->system->no_vacant_below,
             "task %" PRIu64 ".%u is vacant and is not found",
             j->id,
             t->instance);
        return 0;
    }
    RULE(system_task(j, t->agent_id) == t,
         "task %" PRIu64 ".%u is not the one of agent %" PRIu64,
         j->id,
         t->instance,
         t->agent_id);
    RULE(j->kill_index != 0 || (agent != NULL && agent->state != AGENT_GONE),
         "task %" PRIu64 ".%u belongs to an agent that is gone",
         j->id,
         t->instance);
    return 0;
}

int verify_system(const struct state *s, const struct job *j, struct error *err)
{
    const struct job_system *y = j->system;

    RULE((y != NULL) == (j->kind == JOB_SYSTEM),
         "job %" PRIu64 " is a system job and has no table, or the other way",
         j->id);
    if (y == NULL)
        return 0;
    RULE(y->job == j && y->count - y->unbound == j->touched - j->tasks[TASK_LOST],
         "job %" PRIu64 ": %u tasks belong to agents",
         j->id,
         y->count - y->unbound);
    RULE((RB_FIND(system_tree,
                  (struct system_tree *)&s->systems,
                  (struct job_system *)y) == y) == (j->kill_index == 0),
         "job %" PRIu64 " is wrong among the system jobs",
         j->id);
    for (uint32_t i = 0; i < j->touched; i++) {
        int rc = verify_task_of_agent(s, j, job_task(j, i), err);

        if (rc != 0)
            return rc;
    }
    return 0;
}
