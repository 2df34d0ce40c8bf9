/* spot.c - where there will be room for a job that waits. */
#include "sched/spot.h"

#include "sched/internal.h"

#define SKIPPED_PER_LOOK 16 /* agents that are not asked */
#define HELP             64 /* looks */

/* What is kept on an agent for who comes before a job. */
static struct resources promised(const struct sched *s,
                                 const struct state *state,
                                 const struct fleet_agent *a,
                                 const struct job *j)
{
    struct resources sum = {0};
    uint64_t set = a->claims;

    while (set != 0) {
        const struct claim *c = &s->claims.of[claim_next(&set)];
        const struct job *other = state_job(state, c->job);
        struct resources kept;

        if (other == NULL || other == j ||
            (c->kind != CLAIM_MOVE && lanes_comes_before(&s->lanes, j, other)))
            continue;
        kept = resources_times(&other->resources,
                               claim_tasks(c, claim_place_on(c, a->id)));
        resources_add(&sum, &kept);
    }
    return sum;
}

static bool is_able(struct seek *k, struct fleet_agent *a)
{
    return a->standing == STANDS_OPEN &&
           resources_contain(&a->size->capacity, &k->demand->need) &&
           seek_matches(k, a);
}

bool spot_forecast(struct reserve_view *v,
                   struct seek *k,
                   const struct job *j,
                   struct fleet_agent *a,
                   uint32_t tasks,
                   uint64_t by_us,
                   struct forecast *out)
{
    struct resources kept;

    if (!is_able(k, a))
        return false;
    v->outlook.demand = k->demand;
    kept = promised(v->sched, v->outlook.state, a, j);
    return forecast_agent(&v->outlook, a, &kept, tasks, by_us, out, &v->looks);
}

void spots_begin(struct reserve_view *v,
                 const struct shape *shape,
                 const struct job *j,
                 unsigned effort,
                 struct seek *k)
{
    seek_begin(
        k, &v->sched->fleet, v->outlook.state, j->owner->role, &shape->demand, effort);
    seek_count(k, j, v->outlook.planned, v->outlook.planned_count);
}

bool spots_pay(struct reserve_view *v, struct seek *k)
{
    unsigned looks = k->effort.spent / ASKED_PER_LOOK;

    v->looks -= looks < v->looks ? looks : v->looks;
    k->effort.spent %= ASKED_PER_LOOK;
    k->effort.most = (v->looks + 1) * ASKED_PER_LOOK;
    if (k->effort.is_cut) {
        v->looks = 0;
        matchers_keep(&v->sched->fleet.matchers, k->matcher);
    }
    return !k->effort.is_cut;
}

/* False when it is not known how many tasks of a gang may be there: groups are of one kind. */
static bool gather(struct reserve_view *v,
                   struct seek *k,
                   const struct job *j,
                   struct fleet_agent *a,
                   struct gathering *found)
{
    struct resources kept = promised(v->sched, v->outlook.state, a, j);
    uint32_t most = k->demand->at_once;
    struct crowding crowding = {.most = most};

    if (most > 1 && !seek_crowding(k, j, a, &crowding))
        return false;
    if (crowding.group != 0 && found->group_kind == 0) {
        found->group_kind = crowding.kind;
        found->group_most = crowding.group_most;
    }
    if (crowding.group != 0 && found->group_kind != crowding.kind)
        return false;
    most = crowding.most < most ? crowding.most : most;
    v->outlook.demand = k->demand;
    forecast_gather(
        &v->outlook, a, &kept, most, crowding.group, found, &v->looks);
    return true;
}

bool spots_look(struct reserve_view *v,
                const struct shape *shape,
                const struct job *j,
                uint64_t *next,
                struct gathering *found)
{
    struct fleet_agent wanted = {.id = *next}, *a;
    unsigned skipped = 0;
    struct seek k;

    if (v->looks == 0)
        return false;
    spots_begin(v, shape, j, (v->looks + 1) * ASKED_PER_LOOK, &k);
    if (!spots_pay(v, &k))
        return false;
    if (v->looks == 0) /* counting its tasks took all: it comes to its end all the same */
        v->looks = HELP;
    for (a = RB_NFIND(fleet_tree, &v->sched->fleet.agents, &wanted);
         a != NULL && v->looks > 0;
         a = RB_NEXT(fleet_tree, &v->sched->fleet.agents, a)) {
        bool is_asked = is_able(&k, a);

        if (!spots_pay(v, &k))
            return false; /* this agent is the next one again */
        *next = a->id + 1;
        if (++skipped % SKIPPED_PER_LOOK == 0 && v->looks > 0)
            v->looks--;
        if (is_asked && !gather(v, &k, j, a, found)) {
            gathering_begin(found, found->wanted);
            return true;
        }
    }
    return a == NULL;
}
