/* claims.c - room on agents that is kept for a task which waits. */
#include "sched/claims.h"

#include "base/assert.h"
#include "base/mem.h"

/* ---- making and ending ---- */

static bool is_plain(const struct demand *d)
{
    return d->extras == NULL ||
           (extra_needs_ports(d->extras) == 0 && d->extras->custom.count == 0);
}

static bool is_apart(const struct demand *d)
{
    struct match_view match;
    bool found = false;

    if (d->match.size == 0)
        return false;
    match_view(&match, d->match);
    for (size_t i = 0; i < match.apart_count; i++)
        found |= match.aparts[i].weight == 0;
    return found;
}

void claims_clear(struct claims *c)
{
    while (c->used != 0)
        mem_free(c->of[claim_next(&c->used)].places);
    c->places = 0;
}

static struct fleet_agent *
agent_of(const struct fleet *f, const struct claim *c, size_t place)
{
    return fleet_agent(f, claim_agent(c, place));
}

static bool
may_add(const struct claims *c, const struct fleet *f, const struct claim *n)
{
    return ~c->used != 0 && fleet_agent(f, n->agent) != NULL &&
           c->places + n->place_count <= LIMIT_CLAIM_PLACES;
}

int claims_add(struct claims *c,
               struct fleet *f,
               const struct claim *claim,
               const struct demand *demand)
{
    uint64_t unused = ~c->used;
    int i;

    if (!may_add(c, f, claim))
        return -1;
    i = claim_next(&unused);
    c->of[i] = *claim;
    c->of[i].at_once = demand->at_once;
    c->of[i].beyond_is_plain = !is_plain(demand);
    c->of[i].is_alone = is_apart(demand);
    c->used |= 1ull << i;
    c->places += claim->place_count;
    c->changes++;
    for (size_t k = 0; k < claim_places(claim); k++) {
        struct fleet_agent *a = agent_of(f, claim, k);

        if (a == NULL)
            continue;
        a->claims |= 1ull << i;
        a->changes++;
    }
    f->version++;
    return i;
}

static void relax_all(const struct claim *c, struct fleet *f)
{
    for (size_t k = 0; k < claim_places(c); k++) {
        struct fleet_agent *a = agent_of(f, c, k);

        if (a != NULL && claim_tasks(c, k) > 0)
            fleet_relax(f, a);
    }
}

static struct resources *beyond_of(struct claim *c, size_t place)
{
    return c->places == NULL ? &c->beyond : &c->places[place].beyond;
}

void claims_change_time(struct claims *c, struct fleet *f, int i, uint64_t at_us)
{
    bool is_relaxed = at_us > c->of[i].at_us;

    c->of[i].at_us = at_us;
    if (is_relaxed)
        relax_all(&c->of[i], f);
}

void claims_change_beyond(struct claims *c,
                          struct fleet *f,
                          int i,
                          size_t place,
                          const struct resources *beyond)
{
    struct resources *was = beyond_of(&c->of[i], place);
    struct fleet_agent *a = agent_of(f, &c->of[i], place);
    bool is_relaxed = !resources_contain(was, beyond);

    *was = *beyond;
    if (a != NULL && is_relaxed)
        fleet_relax(f, a);
}

void claims_change(struct claims *c,
                   struct fleet *f,
                   int i,
                   uint64_t at_us,
                   const struct resources *beyond)
{
    claims_change_time(c, f, i, at_us);
    claims_change_beyond(c, f, i, 0, beyond);
}

static void leave(struct claims *c, struct fleet *f, int i, size_t place)
{
    struct fleet_agent *a = agent_of(f, &c->of[i], place);

    if (a == NULL || claim_tasks(&c->of[i], place) == 0)
        return;
    a->claims &= ~(1ull << i);
    fleet_relax(f, a);
}

void claims_drop(struct claims *c, struct fleet *f, int i)
{
    struct claim *claim = &c->of[i];

    ASSERT((c->used & 1ull << i) != 0);
    for (size_t k = 0; k < claim_places(claim); k++)
        leave(c, f, i, k);
    c->used &= ~(1ull << i);
    c->places -= claim->place_count;
    c->changes++;
    mem_free(claim->places);
    claim->places = NULL;
}

void claims_drop_set(struct claims *c, struct fleet *f, uint64_t set)
{
    while (set != 0)
        claims_drop(c, f, claim_next(&set));
}

/* An agent that it still has; 0: none. */
static uint64_t any_agent(const struct claim *c)
{
    for (size_t k = 0; k < claim_places(c); k++)
        if (claim_tasks(c, k) > 0)
            return claim_agent(c, k);
    return 0;
}

void claims_give_up(struct claims *c, struct fleet *f, int i, size_t place)
{
    struct claim *claim = &c->of[i];

    if (claim->places == NULL) {
        claims_drop(c, f, i);
        return;
    }
    leave(c, f, i, place);
    claim->places[place].tasks = 0;
    c->changes++;
    if (claim->agent == claim->places[place].agent)
        claim->agent = any_agent(claim);
    if (claim->agent == 0)
        claims_drop(c, f, i);
}

size_t claim_place_on(const struct claim *c, uint64_t agent)
{
    size_t low = 0, high = claim_places(c);

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (claim_agent(c, middle) <= agent)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void claims_leave(struct claims *c, struct fleet *f, const struct fleet_agent *a)
{
    uint64_t set = a->claims;

    while (set != 0) {
        int i = claim_next(&set);

        claims_give_up(c, f, i, claim_place_on(&c->of[i], a->id));
    }
}

/* Its agents take work, or it loses them. */
static void refresh_agents(struct claims *c, struct fleet *f, int i)
{
    const struct claim *claim = &c->of[i];

    for (size_t k = 0; (c->used & 1ull << i) != 0 && k < claim_places(claim); k++) {
        const struct fleet_agent *a = agent_of(f, claim, k);

        if (claim_tasks(claim, k) > 0 && (a == NULL || a->standing != STANDS_OPEN))
            claims_give_up(c, f, i, k);
    }
}

void claims_refresh(struct claims *c,
                    struct fleet *f,
                    const struct lanes *l,
                    bool turns_changed)
{
    uint64_t set = c->used;

    while (set != 0) {
        int i = claim_next(&set);
        const struct waiting *w = waiting_find(&l->jobs, c->of[i].job);

        if ((w == NULL && c->of[i].kind != CLAIM_MOVE) ||
            (w != NULL && (w->shape->at == SHAPE_CAPPED ||
                           w->shape->demand.at_once != c->of[i].at_once))) {
            claims_drop(c, f, i);
            continue;
        }
        refresh_agents(c, f, i);
        if (turns_changed && w != NULL && (c->used & 1ull << i) != 0 &&
            lanes_was_passed(l, w))
            relax_all(&c->of[i], f);
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

static bool
is_beyond(const struct claim *c, size_t place, const struct demand *d, uint32_t tasks)
{
    struct resources needs = resources_times(&d->need, tasks);

    return !c->is_alone && resources_contain(claim_beyond(c, place), &needs) &&
           (!c->beyond_is_plain || is_plain(d));
}

/* Nothing would be taken there: it does not fit beside what runs, or there is room for both, though
 * all of a gang came there. */
static bool
is_no_matter(const struct claim *c, const struct fleet *f, const struct demand *d)
{
    const struct fleet_agent *a = fleet_agent(f, c->agent);

    return c->places == NULL && (a == NULL || !a->fit.is_in ||
                                 !resources_contain(&a->fit.vector, &d->need) ||
                                 is_beyond(c, 0, d, d->at_once));
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

        if (claim->job == who->job->id || is_no_matter(claim, f, who->demand) ||
            ends_before(claim, who) ||
            (claim->kind != CLAIM_MOVE &&
             lanes_comes_before(l, who->job, state_job(s, claim->job))))
            continue;
        against |= 1ull << i;
    }
    return against;
}

bool claims_refuse(const struct claims *c,
                   uint64_t against,
                   const struct fleet_agent *a,
                   const struct demand *d,
                   uint32_t tasks)
{
    uint64_t set = a->claims & against;

    while (set != 0) {
        const struct claim *claim = &c->of[claim_next(&set)];

#ifdef MUTANT_GANG_KEEPS_ONE_AGENT
        if (a->id != claim->agent)
            continue;
#endif
        if ((claim->places == NULL && d->at_once == 1) ||
            !is_beyond(claim, claim_place_on(claim, a->id), d, tasks))
            return true;
    }
    return false;
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
            subtract(beyond_of(claim, claim_place_on(claim, a->id)),
                     &who->demand->need);
    }
}
