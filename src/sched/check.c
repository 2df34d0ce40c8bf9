/* check.c - the scheduler against the state that it was built from. */
#include "sched/internal.h"

#include "base/assert.h"
#include "sched/seek.h"
#include "sched/turn.h"

#include <limits.h>
#include <string.h>

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
        ASSERT(!a->fit.is_in);
        return;
    }
    ASSERT(a->fit.is_in);
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

/* All together they have no room for it. */
static void
check_asleep_gang(const struct sched *s, struct seek *k, const struct job *j)
{
    uint32_t room = 0, most = k->demand->at_once;
    struct agent *agent;

    if (seek_depends_on_tasks(k))
        return;
    RB_FOREACH (agent, agent_tree, (struct agent_tree *)&k->state->agents)
        if (!sched_refuses(s, agent->id) && agent_takes_work(agent) &&
            seek_matches(k, fleet_agent(k->fleet, agent->id)))
            room += seek_let_in(
                k, fleet_agent(k->fleet, agent->id), agent_room(agent, j, most));
    ASSERT(room < most);
}

/* No agent has room for it, of those that it may have. */
static void check_asleep(const struct sched *s,
                         const struct shape *shape,
                         const struct role *role,
                         const struct state *state)
{
    const struct job as = {.resources = shape->demand.need,
                           .extras = (struct extra_needs *)shape->demand.extras};
    const struct job *j = state_job(state, shape_first(shape)->rank.second);
    struct fleet *fleet = (struct fleet *)&s->fleet;
    struct agent *agent;
    struct seek k;

    seek_begin(&k, fleet, state, role, &shape->demand, UINT_MAX);
    seek_count(&k, j, NULL, 0);
    seek_heed(&k, &s->claims, &s->lanes, j, s->now_us);
    if (shape->demand.at_once > 1) {
        check_asleep_gang(s, &k, j);
        return;
    }
    RB_FOREACH (agent, agent_tree, (struct agent_tree *)&state->agents)
        ASSERT(sched_refuses(s, agent->id) || !agent_takes_work(agent) ||
               !agent_has_room(agent, &as) ||
               seek_is_refused(&k, fleet_agent(fleet, agent->id), 1) ||
               !seek_matches(&k, fleet_agent(fleet, agent->id)));
}

/* It waits, and its shape rests for a reason that holds. */
static void check_job(const struct sched *s, const struct job *j)
{
    const struct role *role = j->owner->role;
    const struct waiting *w = waiting_find(&s->lanes.jobs, j->id);
    const struct shape *shape;

    ASSERT(w != NULL);
    shape = w->shape;
    ASSERT(shape->at != SHAPE_READY);
    ASSERT(shape->demand.at_once == job_demand(j).at_once);
    ASSERT(w->rank.first == job_rank(&role->spec, j).first);
    ASSERT(fit_key_compare(&shape->place.key, &w->rank) <= 0);
    ASSERT(shape->at != SHAPE_CAPPED ||
           !bound_has_room(&role->spec.max, &role->use, j, shape->demand.at_once));
}

/* What waits is there, and has something to place. */
static void check_waiting(const struct waiting *w, const struct state *state)
{
    const struct job *j = state_job(state, w->rank.second);

    ASSERT(j != NULL && job_pending(j) > 0);
}

static bool room_equal(const struct bound_room *a, const struct bound_room *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* What it may have and has is what the state says, and nothing of it is to be tried. */
static void
check_role(const struct sched *s, const struct role_lanes *r, const struct role *role)
{
    struct bound_room room;

    ASSERT(role != NULL);
    room = bound_room(&role->spec.max, &role->use);
    ASSERT(room_equal(&r->room, &room));
    ASSERT(r->share == dominant_share(&role->spec, &role->use, &s->fleet.total));
    ASSERT(!r->uncapping.is_due || r->at[SHAPE_CAPPED].root == NULL);
}

static void
check_lane(const struct sched *s, const struct lane *lane, const struct role *role)
{
    const struct owner *o = role_owner(role, lane->owner);

    ASSERT(role->spec.order != ROLE_FAIR || o == NULL ||
           lane->share == dominant_share(&role->spec, &o->use, &s->fleet.total));
    for (int p = 0; p < SHAPE_PLACES; p++)
        ASSERT(lane->at[p].is_in == (lane->queue.at[p].root != NULL));
    ASSERT(lane->queue.at[SHAPE_READY].root == NULL);
    ASSERT(!queue_is_empty(&lane->queue) || lane->is_touched);
}

static const struct role_lanes *role_of(const struct sched *s, const struct claim *c)
{
    const struct waiting *w = waiting_find(&s->lanes.jobs, c->job);

    return ((struct lane *)w->shape->queue->owner)->role;
}

/* It is the only one of its role. */
static void check_reservation(const struct sched *s, const struct claim *c)
{
    uint64_t set = s->claims.used;

    while (set != 0) {
        const struct claim *other = &s->claims.of[claim_next(&set)];

        ASSERT(other == c || c->kind != CLAIM_RESERVATION ||
               other->kind != CLAIM_RESERVATION || role_of(s, c) != role_of(s, other));
    }
}

static void check_claims(const struct sched *s)
{
    uint64_t set = s->claims.used;
    struct fleet_agent *a;

    while (set != 0) {
        const struct claim *c = &s->claims.of[claim_next(&set)];

        ASSERT(c->kind == CLAIM_MOVE || waiting_find(&s->lanes.jobs, c->job) != NULL);
        for (size_t k = 0; k < claim_places(c); k++) {
            a = fleet_agent(&s->fleet, claim_agent(c, k));
            ASSERT(claim_tasks(c, k) == 0 ||
                   (a != NULL && (a->claims & 1ull << (c - s->claims.of)) != 0));
        }
        check_reservation(s, c);
    }
    RB_FOREACH (a, fleet_tree, (struct fleet_tree *)&s->fleet.agents)
        for (set = a->claims; set != 0;) {
            int i = claim_next(&set);
            const struct claim *c = &s->claims.of[i];
            size_t k = claim_place_on(c, a->id);

            ASSERT((s->claims.used & 1ull << i) != 0);
            ASSERT(claim_agent(c, k) == a->id && claim_tasks(c, k) > 0);
        }
}

/* No agent could have its task now. */
static void
check_system(const struct sched *s, const struct state *state, const struct job *j)
{
    struct fleet *fleet = (struct fleet *)&s->fleet;
    struct demand d = job_demand(j);
    struct agent *agent;
    struct seek k;

    seek_begin(&k, fleet, state, j->owner->role, &d, UINT_MAX);
    seek_count(&k, j, NULL, 0);
    if (!systems_have_room(state, j))
        return;
    RB_FOREACH (agent, agent_tree, (struct agent_tree *)&state->agents)
        ASSERT(sched_refuses(s, agent->id) || !agent_takes_work(agent) ||
               !agent_has_room(agent, j) || !systems_wants(j, agent->id) ||
               !seek_matches(&k, fleet_agent(fleet, agent->id)));
}

void sched_check(const struct sched *s, const struct state *state)
{
    struct role_lanes *role;
    struct fleet_agent *a;
    struct shape *shape;
    struct agent *agent;
    struct waiting *w;
    struct lane *lane;
    struct job *job;

    ASSERT(!s->is_loading && s->lanes.reviews == 0);
    ASSERT(!lanes_are_to_wake(&s->lanes));
    ASSERT(s->fleet.grown.root == NULL && !fleet_is_due(&s->fleet, DUE));
    ASSERT(lanes_first(&s->lanes).role == NULL);
    ASSERT(!s->lanes.was_passed || s->claims.used == 0);
    check_claims(s);
    RB_FOREACH (agent, agent_tree, (struct agent_tree *)&state->agents)
        check_agent(&s->fleet, agent);
    RB_FOREACH (a, fleet_tree, (struct fleet_tree *)&s->fleet.agents)
        ASSERT(state_agent(state, a->id) != NULL);
    RB_FOREACH (job, job_order_tree, (struct job_order_tree *)&state->runnable)
        if (job->system != NULL)
            check_system(s, state, job);
        else
            check_job(s, job);
    for (uint64_t id = 0; (w = id_map_next(&s->lanes.jobs, id)) != NULL;
         id = w->rank.second + 1)
        check_waiting(w, state);
    RB_FOREACH (role, role_lanes_tree, (struct role_lanes_tree *)&s->lanes.roles) {
        check_role(s, role, state_role(state, role->name));
        RB_FOREACH (lane, lane_tree, &role->lanes) {
            check_lane(s, lane, state_role(state, role->name));
            RB_FOREACH (shape, shape_tree, &lane->queue.shapes)
                if (shape->at == SHAPE_ASLEEP)
                    check_asleep(s, shape, state_role(state, role->name), state);
        }
    }
}
