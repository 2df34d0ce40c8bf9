/* cluster_moves.c - what must hold of tasks that move to better agents (spec 17).  A master is looked
 * at after each of its steps. */
#include "cluster.h"

static bool is_moving(const struct attempt *t)
{
    return t->stop == TASK_REASON_MOVED && !t->superseded && t->job->kill_index == 0;
}

/* Of a job one moves at a time: the others go on, as far as it is up to us. */
static void
check_alone_of_job(struct cluster *c, const struct sim_master *m, const struct job *j)
{
    uint32_t moving = 0;

    for (uint32_t i = 0; i < j->touched; i++) {
        const struct attempt *t =
            state_attempt(master_state(m->core), job_task(j, i)->attempt_id);

        moving += t != NULL && is_moving(t);
    }
    if (moving > 1)
        world_fail(&c->world,
                   "master %u: %u tasks of job %llu move at one time",
                   m->number + 1,
                   moving,
                   (unsigned long long)j->id);
}

static void
check_one(struct cluster *c, const struct sim_master *m, const struct attempt *t)
{
    bool is_first = check_record(&c->moved, t->id);

    c->totals.moved += is_first;
    if (is_first)
        check_budget(
            c, &c->moves, term_of(m, t->changed), t->changed, t->job->owner->role);
    if (t->job->kind != JOB_SERVICE || t->job->is_gang || job_has_lease(t->job) ||
        t->stop_for == t->agent->id)
        world_fail(&c->world,
                   "master %u: attempt %llu moves, and may not",
                   m->number + 1,
                   (unsigned long long)t->id);
    check_alone_of_job(c, m, t->job);
}

void check_moves(struct cluster *c, const struct sim_master *m)
{
    const struct state *s = master_state(m->core);
    struct role *r;
    struct attempt *t;

    RB_FOREACH (r, role_tree, (struct role_tree *)(uintptr_t)&s->roles)
        budget_is(m, &c->moves, r, r->spec.rebalance);
    for (t = state_next_attempt(s, 0); t != NULL; t = state_next_attempt(s, t->id + 1))
        if (is_moving(t) && t->changed > m->looked_to)
            check_one(c, m, t);
}
