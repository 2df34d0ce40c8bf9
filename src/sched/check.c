/* check.c - the scheduler against the state that it was built from. */
#include "sched/internal.h"

#include "base/assert.h"

static void check_agent(const struct fleet *f, const struct agent *agent)
{
    struct fleet_agent wanted = {.id = agent->id};
    struct resources free = agent->capacity;
    const struct fleet_agent *a =
        RB_FIND(fleet_tree, (struct fleet_tree *)&f->agents, &wanted);

    if (agent->state == AGENT_GONE) {
        ASSERT(a == NULL);
        return;
    }
    ASSERT(a != NULL);
    ASSERT(resources_equal(&a->size->capacity, &agent->capacity));
    ASSERT(a->refuses || a->standing == agent_standing(agent));
    ASSERT(extra_capacity_equal(&fleet_extras_of(a)->offered, &agent->extras));
    ASSERT(extra_use_equal(&fleet_extras_of(a)->used, &agent->extras_used));
    if (a->refuses || !agent_takes_work(agent) ||
        !resources_contain(&agent->capacity, &agent->allocated)) {
        ASSERT(a->fit.height == 0);
        return;
    }
    ASSERT(a->fit.height > 0);
    resources_subtract(&free, &agent->allocated);
    ASSERT(resources_equal(&a->fit.vector, &free));
}

bool sched_refuses(const struct sched *s, uint64_t agent)
{
    struct fleet_agent wanted = {.id = agent};
    const struct fleet_agent *a =
        RB_FIND(fleet_tree, (struct fleet_tree *)&s->fleet.agents, &wanted);

    return a != NULL && a->refuses;
}

/* No agent has room for it. */
static void
check_shape(const struct sched *s, const struct shape *shape, const struct state *state)
{
    const struct job as = {.resources = shape->demand.need,
                           .extras = (struct extra_needs *)shape->demand.extras};
    struct agent *agent;

    RB_FOREACH (agent, agent_tree, (struct agent_tree *)&state->agents)
        ASSERT(sched_refuses(s, agent->id) || !agent_takes_work(agent) ||
               !agent_has_room(agent, &as));
}

static void check_job(const struct sched *s, const struct job *j)
{
    const struct waiting *w = queue_find_job(&s->queue, j->id);

    ASSERT(w != NULL);
    ASSERT(w->shape == queue_shape(&s->queue, j));
    ASSERT(w->shape->is_asleep);
    ASSERT(fit_key_compare(&w->shape->place.key, &w->rank) <= 0);
}

/* What waits is there, and has something to place. */
static void check_waiting(const struct waiting *w, const struct state *state)
{
    const struct job *j = state_job(state, w->rank.second);

    ASSERT(j != NULL && job_pending(j) > 0);
}

void sched_check(const struct sched *s, const struct state *state)
{
    struct fleet_agent *a;
    struct shape *shape;
    struct agent *agent;
    struct waiting *w;
    struct job *job;

    ASSERT(!s->is_loading);
    ASSERT(s->fleet.grown.root == NULL);
    ASSERT(queue_next(&s->queue) == NULL);
    RB_FOREACH (agent, agent_tree, (struct agent_tree *)&state->agents)
        check_agent(&s->fleet, agent);
    RB_FOREACH (a, fleet_tree, (struct fleet_tree *)&s->fleet.agents)
        ASSERT(state_agent(state, a->id) != NULL);
    RB_FOREACH (job, job_order_tree, (struct job_order_tree *)&state->runnable)
        check_job(s, job);
    RB_FOREACH (w, waiting_job_tree, (struct waiting_job_tree *)&s->queue.jobs)
        check_waiting(w, state);
    RB_FOREACH (shape, shape_tree, (struct shape_tree *)&s->queue.shapes)
        check_shape(s, shape, state);
}
