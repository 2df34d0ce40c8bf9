/* preempt.c - whose place is taken for what fits nowhere. */
#include "sched/preempt.h"

#include "base/assert.h"
#include "raft_fsm/preempt.h"
#include "sched/internal.h"
#include "sched/seek.h"

#include <limits.h>
#include <stdlib.h>

#define STEPS_PER_LOOK   16
#define LOOKS_PART       4  /* of those of a round, in each call */
#define REST_US          5  /* after a pass for each look, which takes less than one */
#define SHAPES_OF_A_LANE 16 /* that are looked at for a job, and jobs of a shape */

/* Whom it is about. */
struct taker {
    struct pick pick;
    const struct job *job;
    const struct role *role;
    struct use claimed; /* by its role */
};

struct call {
    struct sched *sched;
    const struct state *state;
    uint64_t now_us;
    unsigned looks; /* left */
};

void preempting_init(struct preempting *p)
{
    *p = (struct preempting){0};
    budget_init(&p->budget);
}

void preempting_finish(struct preempting *p)
{
    budget_finish(&p->budget);
    preempting_init(p);
}

static uint32_t left_of_budget(const struct call *c, const struct role *role)
{
    return budget_left(
        &c->sched->preempting.budget, role, role->spec.preempt, c->now_us);
}

/* ---- what is kept ---- */

/* Those of this kind. */
static uint64_t kept(const struct claims *c)
{
    uint64_t set = c->used, found = 0;

    while (set != 0) {
        int i = claim_next(&set);

        if (c->of[i].kind == CLAIM_PREEMPTION)
            found |= 1ull << i;
    }
    return found;
}

static uint32_t kept_for(const struct claims *c, uint64_t job)
{
    return (uint32_t)__builtin_popcountll(kept(c) & claims_of(c, job));
}

static void
kept_for_role(const struct call *c, const struct role *role, struct use *sum)
{
    uint64_t set = kept(&c->sched->claims);

    while (set != 0) {
        const struct job *j =
            state_job(c->state, c->sched->claims.of[claim_next(&set)].job);

        if (j != NULL && j->owner->role == role)
            use_take(sum, j);
    }
}

static bool is_young(const struct preempting *p, const struct claim *c)
{
    return c->kind == CLAIM_PREEMPTION && c->agent == p->young_agent &&
           c->job == p->young_job;
}

/* What is left beside a task of the job when all that is to end there has ended.  False when that
 * cannot be. */
static bool
find_beyond(const struct agent *agent, const struct job *j, struct resources *beyond)
{
    struct resources stay = j->resources;
    struct attempt *t;

    *beyond = agent->capacity;
    TAILQ_FOREACH (t, &agent->attempts, by_agent)
        if (!attempt_is_to_end(t))
            resources_add(&stay, &t->job->resources);
    if (!resources_contain(&agent->capacity, &stay))
        return false;
    resources_subtract(beyond, &stay);
    return true;
}

/* Attempts have come and gone since.  What no task waits for any more, and what cannot be held, is
 * kept no longer. */
static void refresh_kept(const struct call *c)
{
    struct claims *claims = &c->sched->claims;
    uint64_t set = kept(claims);

    while (set != 0) {
        int i = claim_next(&set);
        const struct claim *claim = &claims->of[i];
        const struct agent *agent = state_agent(c->state, claim->agent);
        const struct job *j = state_job(c->state, claim->job);
        struct resources beyond;

        if (is_young(&c->sched->preempting, claim))
            continue;
        if (agent == NULL || j == NULL || kept_for(claims, j->id) > job_pending(j) ||
            !find_beyond(agent, j, &beyond))
            claims_drop(claims, &c->sched->fleet, i);
        else if (!resources_equal(&beyond, &claim->beyond))
            claims_change(claims, &c->sched->fleet, i, CLAIM_NEVER, &beyond);
    }
}

/* ---- for whom ---- */

static struct fit_key behind(struct fit_key key)
{
    key.second++;
    return key;
}

/* The first job of the lane that sleeps and has a task for which nothing is kept. */
static bool find_job(const struct call *c, struct taker *t)
{
    struct queue *q = &t->pick.lane->queue;
    struct fit_node *n = fit_tree_first(&q->at[SHAPE_ASLEEP]);

    for (int shapes = 0; n != NULL && shapes < SHAPES_OF_A_LANE; shapes++) {
        struct waiting *w = shape_first(n->owner);

        t->pick.shape = n->owner;
        for (int jobs = 0; w != NULL && jobs < SHAPES_OF_A_LANE; jobs++) {
            t->job = state_job(c->state, w->rank.second);
            if (t->job != NULL && !job_is_whole(t->job) &&
                job_pending(t->job) > kept_for(&c->sched->claims, t->job->id))
                return true;
            w = RB_NEXT(waiting_tree, &t->pick.shape->jobs, w);
        }
        n = fit_tree_from(&q->at[SHAPE_ASLEEP], behind(n->key));
    }
    return false;
}

/* It may have one task more, with all that is kept for it, and end others for that. */
static bool may_preempt(const struct call *c, struct taker *t)
{
    struct use all = {0};
    bool may;

    use_finish(&t->claimed);
    kept_for_role(c, t->role, &t->claimed);
    use_add_all(&all, &t->role->use);
    use_add_all(&all, &t->claimed);
    may = ~c->sched->claims.used != 0 &&
          bound_has_room(&t->role->spec.max, &all, t->job, 1) &&
          left_of_budget(c, t->role) > 0;
    use_finish(&all);
    return may;
}

/* The next one from where the pass is; false at its end, or when there are no looks left. */
static bool find_taker(struct call *c, struct taker *t)
{
    struct lanes *l = &c->sched->lanes;
    struct preempting *p = &c->sched->preempting;
    struct fit_node *n, *m;

    for (; c->looks > 0; c->looks--) {
        n = fit_tree_from(&l->asleep, p->role);
        if (n == NULL)
            return false;
        t->pick.role = n->owner;
        t->role = state_role(c->state, t->pick.role->name);
        m = t->role == NULL || t->role->spec.preempt == 0
                ? NULL
                : fit_tree_from(&t->pick.role->at[SHAPE_ASLEEP], p->lane);
        if (m == NULL) {
            p->role = behind(n->key);
            p->lane = (struct fit_key){0, 0};
            continue;
        }
        p->role = n->key;
        p->lane = m->key;
        t->pick.lane = m->owner;
        if (find_job(c, t) && may_preempt(c, t))
            return true;
        p->lane = behind(m->key);
    }
    return false;
}

/* ---- where ---- */

/* What is kept of it is for those whose turn is later. */
static bool
is_to_be_had(const struct call *c, const struct taker *t, const struct fleet_agent *a)
{
    const struct sched *s = c->sched;
    uint64_t set = a->claims;

    while (set != 0) {
        const struct claim *claim = &s->claims.of[claim_next(&set)];
        bool is_own = claim->job == t->job->id;

        if (is_young(&s->preempting, claim) || claim->kind == CLAIM_MOVE ||
            (is_own && claim->kind == CLAIM_PREEMPTION) ||
            (!is_own &&
             !lanes_comes_before(&s->lanes, t->job, state_job(c->state, claim->job))))
            return false;
    }
    return true;
}

/* A task has room at once, and may have it. */
static bool
has_room(const struct fleet_agent *a, const struct job *j, const struct seek *k)
{
    return a->fit.is_in && !seek_is_refused(k, a, 1) &&
           resources_contain(&a->fit.vector, &j->resources) &&
           fleet_has_extras(a, j->extras);
}

enum looked { NOTHING_THERE, THERE, NO_NEED };

/* What it takes there. */
static enum looked look_at(struct call *c,
                           const struct taker *t,
                           struct seek *k,
                           struct fleet_agent *a,
                           struct victims *v)
{
    const struct agent *agent = state_agent(c->state, a->id);
    unsigned steps = STEPS_PER_LOOK;
    bool found;

    if (a->standing != STANDS_OPEN || !is_to_be_had(c, t, a) ||
        !resources_contain(&agent->capacity, &t->job->resources) ||
        (t->job->extras != NULL &&
         !extra_is_able(&fleet_extras_of(a)->offered, t->job->extras)) ||
        !seek_matches(k, a) ||
        refusals_hold(&c->sched->preempting.refusals, t->job, agent, c->now_us))
        return NOTHING_THERE;
    if (has_room(a, t->job, k))
        return NO_NEED;
    found = victims_choose(v, agent, t->job, &t->claimed, c->now_us, &steps);
    steps /= STEPS_PER_LOOK;
    c->looks -= steps < c->looks ? steps : c->looks;
    return found ? THERE : NOTHING_THERE;
}

static bool is_better(const struct preempting *p, const struct victims *v)
{
    if (p->best == 0 || v->count != p->best_count)
        return p->best == 0 || v->count < p->best_count;
    for (uint32_t i = 0; i < v->count; i++)
        if (v->of[i]->placed_us != p->best_placed[i])
            return v->of[i]->placed_us > p->best_placed[i];
    return false;
}

static void
remember(struct preempting *p, const struct fleet_agent *a, const struct victims *v)
{
    p->best = a->id;
    p->best_count = v->count;
    for (uint32_t i = 0; i < v->count; i++)
        p->best_placed[i] = v->of[i]->placed_us;
}

enum searched { CUT, DONE, GIVEN_UP };

/* All agents, from where it is. */
static enum searched search(struct call *c, const struct taker *t, struct seek *k)
{
    struct preempting *p = &c->sched->preempting;
    struct fleet_agent from = {.id = p->agent};
    struct fleet_agent *a = RB_NFIND(fleet_tree, &c->sched->fleet.agents, &from);
    enum looked looked;
    struct victims v;

    for (; a != NULL; a = RB_NEXT(fleet_tree, &c->sched->fleet.agents, a)) {
        if (c->looks == 0) {
            p->agent = a->id;
            return CUT;
        }
        c->looks--;
        looked = look_at(c, t, k, a, &v);
        effort_pay(&k->effort, &c->looks);
        switch (looked) {
        case NOTHING_THERE:
            continue;
        case NO_NEED:
            return GIVEN_UP;
        case THERE:
            break;
        }
        if (is_better(p, &v))
            remember(p, a, &v);
        if (v.count == 0)
            break;
    }
    return p->best == 0 ? GIVEN_UP : DONE;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Those for others which it had before us are of no use to them. */
static bool keep(struct call *c, const struct taker *t, struct fleet_agent *a)
{
    struct sched *s = c->sched;
    struct claim claim = {.agent = a->id,
                          .job = t->job->id,
                          .kind = CLAIM_PREEMPTION,
                          .at_us = CLAIM_NEVER};

    claims_drop_set(&s->claims, &s->fleet, a->claims & kept(&s->claims));
    find_beyond(state_agent(c->state, a->id), t->job, &claim.beyond);
    return claims_add(&s->claims, &s->fleet, &claim, &t->pick.shape->demand) >= 0;
}

/* The best one is kept, and those who are in the way are to end.  False when it is not what it was:
 * some time may have gone by. */
static bool
take(struct call *c, const struct taker *t, struct seek *k, struct preemption *out)
{
    struct sched *s = c->sched;
    struct preempting *p = &s->preempting;
    struct fleet_agent *a = fleet_agent(&s->fleet, p->best);
    struct victims v;

    if (a == NULL || look_at(c, t, k, a, &v) != THERE || v.count > p->best_count ||
        v.count > left_of_budget(c, t->role) || !keep(c, t, a))
        return false;
    out->job = t->job->id;
    out->agent = a->id;
    out->count = v.count;
    if (v.count == 0)
        return true;
    p->young_agent = a->id;
    p->young_job = t->job->id;
    p->proposed = refusal_of(t->job, state_agent(c->state, a->id), c->now_us);
    budget_spend(&p->budget, t->role, v.count, c->now_us);
    for (uint32_t i = 0; i < v.count; i++)
        out->victims[i] = v.of[i]->id;
    qsort(out->victims, out->count, sizeof(*out->victims), by_number);
    return true;
}

/* ---- passes ---- */

static void begin_search(struct preempting *p, uint64_t job)
{
    if (p->job == job)
        return;
    p->job = job;
    p->agent = 0;
    p->best = 0;
}

/* One taker.  False when there are no looks left, or nobody is. */
static bool step(struct call *c, struct preemption *out, bool *is_taken)
{
    struct preempting *p = &c->sched->preempting;
    struct taker t = {.job = NULL};
    enum searched searched;
    struct seek k;

    *is_taken = false;
    if (!find_taker(c, &t)) {
        p->is_on = c->looks == 0;
        use_finish(&t.claimed);
        return false;
    }
    begin_search(p, t.job->id);
    seek_begin(&k, &c->sched->fleet, c->state, t.role, &t.pick.shape->demand, UINT_MAX);
    seek_count(&k, t.job, NULL, 0);
    seek_heed(&k, &c->sched->claims, &c->sched->lanes, t.job, c->now_us);
    searched = search(c, &t, &k);
    if (searched == DONE)
        *is_taken = take(c, &t, &k, out);
    if (searched != CUT) {
        p->job = 0;
        if (!*is_taken)
            p->lane = behind(p->lane);
    }
    use_finish(&t.claimed);
    return searched != CUT;
}

bool sched_preempt(struct sched *s,
                   const struct state *state,
                   uint64_t now_us,
                   struct preemption *out,
                   bool *more)
{
    struct call c = {.sched = s,
                     .state = state,
                     .now_us = now_us,
                     .looks = (s->looks + LOOKS_PART - 1) / LOOKS_PART};
    struct preempting *p = &s->preempting;
    unsigned looks = c.looks;
    bool is_taken = false;

    *more = false;
    refresh_kept(&c);
    if (s->is_loading || (!p->is_on && now_us < p->next_us))
        return false;
    if (!p->is_on) {
        p->is_on = true;
        p->next_us = now_us + PREEMPT_PASS_MS * 1000ull;
        p->role = p->lane = (struct fit_key){0, 0};
        p->job = 0;
        p->looked = 0;
    }
    while (step(&c, out, &is_taken))
        if (is_taken && out->count > 0)
            break;
    p->looked += looks - c.looks;
    if (!p->is_on && p->next_us < now_us + p->looked * REST_US)
        p->next_us = now_us + p->looked * REST_US;
    *more = p->is_on;
    return is_taken && out->count > 0;
}

void sched_preempted(struct sched *s, bool is_done)
{
    struct preempting *p = &s->preempting;
    uint64_t set = is_done ? 0 : kept(&s->claims);

    while (set != 0) {
        int i = claim_next(&set);

        if (is_young(p, &s->claims.of[i]))
            claims_drop(&s->claims, &s->fleet, i);
    }
    if (!is_done)
        refusals_add(&p->refusals, &p->proposed);
    p->young_agent = p->young_job = 0;
}
