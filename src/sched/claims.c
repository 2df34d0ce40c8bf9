/* claims.c - room on agents that is kept for a task which waits. */
#include "sched/claims.h"

#include "base/assert.h"

/* ---- making and ending ---- */

static bool is_plain(const struct demand *d)
{
    return d->extras == NULL ||
           (extra_needs_ports(d->extras) == 0 && d->extras->custom.count == 0);
}

static bool is_apart(const struct demand *d)
{
    struct match match = {0};
    bool found = false;
    struct unpack u;

    if (d->match.size == 0)
        return false;
    unpack_init(&u, d->match);
    match_unpack(&match, &u);
    for (size_t i = 0; i < match.apart_count; i++)
        found |= match.aparts[i].weight == 0;
    match_finish(&match);
    return found;
}

int claims_add(struct claims *c,
               struct fleet *f,
               const struct claim *claim,
               const struct demand *demand)
{
    struct fleet_agent *a = fleet_agent(f, claim->agent);
    uint64_t unused = ~c->used;
    int i;

    if (a == NULL || unused == 0)
        return -1;
    i = claim_next(&unused);
    c->of[i] = *claim;
    c->of[i].beyond_is_plain = !is_plain(demand);
    c->of[i].is_alone = is_apart(demand);
    c->used |= 1ull << i;
    c->changes++;
    a->claims |= 1ull << i;
    a->changes++;
    f->version++;
    return i;
}

void claims_change(struct claims *c,
                   struct fleet *f,
                   int i,
                   uint64_t at_us,
                   const struct resources *beyond)
{
    struct claim *claim = &c->of[i];
    bool is_relaxed =
        at_us > claim->at_us || !resources_contain(&claim->beyond, beyond);
    struct fleet_agent *a = fleet_agent(f, claim->agent);

    claim->at_us = at_us;
    claim->beyond = *beyond;
    if (a != NULL && is_relaxed)
        fleet_relax(f, a);
}

void claims_drop(struct claims *c, struct fleet *f, int i)
{
    struct fleet_agent *a = fleet_agent(f, c->of[i].agent);

    ASSERT((c->used & 1ull << i) != 0);
    c->used &= ~(1ull << i);
    c->changes++;
    if (a == NULL)
        return;
    a->claims &= ~(1ull << i);
    fleet_relax(f, a);
}

void claims_drop_set(struct claims *c, struct fleet *f, uint64_t set)
{
    while (set != 0)
        claims_drop(c, f, claim_next(&set));
}

void claims_refresh(struct claims *c,
                    struct fleet *f,
                    const struct lanes *l,
                    bool turns_changed)
{
    uint64_t set = c->used;

    while (set != 0) {
        int i = claim_next(&set);
        struct fleet_agent *a = fleet_agent(f, c->of[i].agent);
        const struct waiting *w = waiting_find(&l->jobs, c->of[i].job);

        if (a == NULL || a->standing != STANDS_OPEN || w == NULL ||
            w->shape->at == SHAPE_CAPPED || w->shape->demand.at_once > 1)
            claims_drop(c, f, i);
        else if (turns_changed)
            fleet_relax(f, a);
    }
}

/* ---- who may pass ---- */

uint64_t claims_of(const struct claims *c, uint64_t job)
{
    uint64_t set = c->used, found = 0;

    while (set != 0) {
        int i = claim_next(&set);

        if (c->of[i].job == job)
            found |= 1ull << i;
    }
    return found;
}

/* It is over by then. */
static bool ends_before(const struct claim *c, const struct claimant *who)
{
    uint64_t lasts_ms = who->demand->lasts_ms;

    if (lasts_ms == 0 || c->at_us == CLAIM_NEVER || c->at_us < who->now_us)
        return false;
    return lasts_ms <= (c->at_us - who->now_us) / 1000;
}

/* All tasks of a gang may come to one agent. */
static struct resources needs_at_once(const struct demand *d)
{
    struct resources sum = d->need;

    for (int k = 0; d->at_once > 1 && k < RESOURCE_KINDS; k++)
        if (__builtin_mul_overflow(d->need.amount[k], d->at_once, &sum.amount[k]))
            sum.amount[k] = UINT64_MAX;
    return sum;
}

static bool is_beyond(const struct claim *c, const struct claimant *who)
{
    struct resources needs = needs_at_once(who->demand);

    return !c->is_alone && resources_contain(&c->beyond, &needs) &&
           (!c->beyond_is_plain || is_plain(who->demand));
}

uint64_t claims_against(const struct claims *c,
                        const struct fleet *f,
                        const struct lanes *l,
                        const struct state *s,
                        const struct claimant *who)
{
    uint64_t set = c->used, against = 0;

#ifdef MUTANT_BACKFILL_IGNORES_CLAIM
    return 0;
#endif
    while (set != 0) {
        int i = claim_next(&set);
        const struct claim *claim = &c->of[i];
        const struct fleet_agent *a = fleet_agent(f, claim->agent);

        if (claim->job == who->job->id || a == NULL || a->fit.height == 0 ||
            !resources_contain(&a->fit.vector, &who->demand->need) ||
            ends_before(claim, who) || is_beyond(claim, who) ||
            lanes_comes_before(l, who->job, state_job(s, claim->job)))
            continue;
        against |= 1ull << i;
    }
    return against;
}

/* ---- using it ---- */

static void subtract(struct resources *from, const struct resources *what)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        from->amount[k] -=
            what->amount[k] < from->amount[k] ? what->amount[k] : from->amount[k];
}

/* The one on this agent, or any. */
static int claim_used(const struct claims *c, const struct fleet_agent *a, uint64_t job)
{
    uint64_t own = claims_of(c, job), here = own & a->claims;

    if (own == 0)
        return -1;
    return claim_next(here != 0 ? &here : &own);
}

void claims_take(struct claims *c,
                 struct fleet *f,
                 struct fleet_agent *a,
                 const struct claimant *who)
{
    int used = claim_used(c, a, who->job->id);
    uint64_t set;

    if (used >= 0)
        claims_drop(c, f, used);
    for (set = a->claims; set != 0;) {
        struct claim *claim = &c->of[claim_next(&set)];

        if (claim->job != who->job->id && !ends_before(claim, who))
            subtract(&claim->beyond, &who->demand->need);
    }
}
