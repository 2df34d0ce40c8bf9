/* reserve.c - room for who waits first.
 *
 * Roles are gone through in the order of their turns, as many as there can be claims.  The first
 * of a role is the first job that sleeps in the first of its lanes; once it has a claim it keeps
 * that as long as it is the first of its own lane, so that owners whose shares pass each other do
 * not take turns at it.  For the same reason a search that was begun goes on to its end as long as
 * its job waits.  A job that no agent can ever hold is passed over.
 */
#include "sched/reserve.h"

#include "base/assert.h"
#include "sched/internal.h"
#include "sched/seek.h"

#include <limits.h>

#define SKIPPED_PER_LOOK 16 /* agents that are not asked */
#define CANDIDATES       8  /* that are passed over in a role */
#define HELP             64 /* looks */
#define LATER_US         1000000u /* what is worth telling of a time that moves on */

void reserving_reset(struct reserving *r)
{
    *r = (struct reserving){.due_us = UINT64_MAX, .made = r->made};
}

/* ---- who ---- */

static void be_due(struct reserving *r, uint64_t us)
{
    if (us < r->due_us)
        r->due_us = us;
}

/* No agent was found for it, and what there is of them is as it was.  Nothing is reserved for a
 * gang: one agent is not what it waits for. */
static bool is_hopeless(struct sched *s, const struct shape *shape)
{
    uint64_t until_us = shape->hopeless_us + RESERVE_AGAIN_US;

    if (shape->demand.at_once > 1)
        return true;
    if (shape->hopeless_version != s->fleet.sizes_version || s->now_us >= until_us)
        return false;
    be_due(&s->reserving, until_us);
    return true;
}

/* The first of a lane that may have room once. */
static struct shape *first_of_lane(struct sched *s, const struct lane *lane)
{
    struct fit_node *n = fit_tree_first(&lane->queue.at[SHAPE_ASLEEP]);
    struct fit_key from;

    for (int i = 0; n != NULL && i < CANDIDATES; i++) {
        if (!is_hopeless(s, n->owner))
            return n->owner;
        from = n->key;
        from.second++;
        n = fit_tree_from(&lane->queue.at[SHAPE_ASLEEP], from);
    }
    return NULL;
}

/* The reservation of a role: its number, or -1. */
static int claim_of_role(const struct sched *s, const struct role_lanes *role)
{
    uint64_t set = s->claims.used;

    while (set != 0) {
        int i = claim_next(&set);
        const struct waiting *w = waiting_find(&s->lanes.jobs, s->claims.of[i].job);

        if (s->claims.of[i].kind == CLAIM_RESERVATION && w != NULL &&
            ((struct lane *)w->shape->queue->owner)->role == role)
            return i;
    }
    return -1;
}

static uint64_t first_job(const struct shape *shape)
{
    return shape_first(shape)->rank.second;
}

/* Who has it keeps it while it is the first of its lane. */
static bool is_kept(struct sched *s, int claim)
{
    const struct waiting *w = waiting_find(&s->lanes.jobs, s->claims.of[claim].job);
    const struct lane *lane = w->shape->queue->owner;
    const struct shape *first = first_of_lane(s, lane);

    return w->shape->at == SHAPE_READY ||
           (first != NULL && first_job(first) == w->rank.second);
}

/* The first of a role that waits, or NULL. */
static struct shape *first_of_role(struct sched *s, const struct role_lanes *role)
{
    struct fit_node *n = fit_tree_first(&role->at[SHAPE_ASLEEP]);
    struct fit_key from;

    for (int i = 0; n != NULL && i < CANDIDATES; i++) {
        struct shape *shape = first_of_lane(s, n->owner);

        if (shape != NULL)
            return shape;
        from = n->key;
        from.second++;
        n = fit_tree_from(&role->at[SHAPE_ASLEEP], from);
    }
    return NULL;
}

/* When the first job of a shape has waited for long enough: since it came, or since one with
 * equal needs was placed, since as long as that goes on nothing starves. */
static uint64_t
due_us(const struct shape *shape, const struct job *j, uint64_t reserve_ms)
{
    uint64_t since_us =
        j->submitted_us > shape->placed_us ? j->submitted_us : shape->placed_us;

    return since_us + reserve_ms * 1000;
}

/* ---- where ---- */

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

        if (other == NULL || other == j || lanes_comes_before(&s->lanes, j, other))
            continue;
        resources_add(&sum, &other->resources);
    }
    return sum;
}

static bool forecast(struct reserve_view *v,
                     struct seek *k,
                     const struct job *j,
                     struct fleet_agent *a,
                     struct forecast *out)
{
    struct resources kept;

    if (a->standing != STANDS_OPEN ||
        !resources_contain(&a->size->capacity, &k->demand->need) || !seek_matches(k, a))
        return false;
    v->outlook.demand = k->demand;
    kept = promised(v->sched, v->outlook.state, a, j);
    return forecast_agent(&v->outlook, a, &kept, out, &v->looks);
}

static void begin_seek(struct reserve_view *v,
                       const struct shape *shape,
                       const struct job *j,
                       unsigned effort,
                       struct seek *k)
{
    seek_begin(
        k, &v->sched->fleet, v->outlook.state, j->owner->role, &shape->demand, effort);
    seek_count(k, j, v->outlook.planned, v->outlook.planned_count);
}

/* What it spent counts as looks; false when it was cut. */
static bool pay(struct reserve_view *v, struct seek *k)
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

/* Agents from *next on; true when all were looked at. */
static bool look(struct reserve_view *v,
                 const struct shape *shape,
                 const struct job *j,
                 uint64_t *next,
                 struct forecast *found)
{
    struct fleet_agent wanted = {.id = *next}, *a;
    unsigned skipped = 0;
    struct forecast f;
    struct seek k;

    if (v->looks == 0)
        return false;
    begin_seek(v, shape, j, (v->looks + 1) * ASKED_PER_LOOK, &k);
    if (!pay(v, &k))
        return false;
    if (v->looks == 0) /* counting its tasks took all: it comes to its end all the same */
        v->looks = HELP;
    for (a = RB_NFIND(fleet_tree, &v->sched->fleet.agents, &wanted);
         a != NULL && v->looks > 0;
         a = RB_NEXT(fleet_tree, &v->sched->fleet.agents, a)) {
        bool is_able = forecast(v, &k, j, a, &f);

        if (!pay(v, &k))
            return false; /* this agent is the next one again */
        *next = a->id + 1;
        if (++skipped % SKIPPED_PER_LOOK == 0 && v->looks > 0)
            v->looks--;
        if (is_able && forecast_is_sooner(&f, found))
            *found = f;
    }
    return a == NULL;
}

static void note(struct sched *s, int i, const struct forecast *f)
{
    s->reserving.of[i].seen = fleet_agent(&s->fleet, f->agent)->changes;
    s->reserving.of[i].ends = f->ends;
}

/* Room is kept for it there. */
static void reserve(struct reserve_view *v,
                    const struct shape *shape,
                    const struct job *j,
                    const struct forecast *f)
{
    struct sched *s = v->sched;
    struct claim claim = {.agent = f->agent,
                          .job = j->id,
                          .kind = CLAIM_RESERVATION,
                          .at_us = f->at_us,
                          .beyond = f->beyond};
    int i = claims_add(&s->claims, &s->fleet, &claim, &shape->demand);

    if (i < 0)
        return;
    s->reserving.made++;
    s->reserving.of[i].again_us = s->now_us + RESERVE_AGAIN_US;
    note(s, i, f);
}

static bool is_worth_moving(const struct forecast *to, const struct forecast *from)
{
    return to->from_us < from->from_us ||
           (to->from_us == FORECAST_NEVER && to->ends < from->ends);
}

/* All agents were looked at: the claim is made, or moves when that is sooner. */
static void
search_end(struct reserve_view *v, struct shape *shape, const struct job *j, int claim)
{
    struct sched *s = v->sched;
    struct forecast best = s->reserving.found, now;
    struct fleet_agent *a = fleet_agent(&s->fleet, best.agent);
    struct seek k;

    s->reserving.searching = 0;
    begin_seek(v, shape, j, UINT_MAX, &k);
    if (claim >= 0)
        s->reserving.of[claim].again_us = s->now_us + RESERVE_AGAIN_US;
    if (best.agent == 0 && claim < 0) {
        shape->hopeless_version = s->fleet.sizes_version;
        shape->hopeless_us = s->now_us;
    }
    if (a == NULL || !forecast(v, &k, j, a, &best))
        return;
    if (claim >= 0) {
        a = fleet_agent(&s->fleet, s->claims.of[claim].agent);
        if (forecast(v, &k, j, a, &now) && !is_worth_moving(&best, &now))
            return;
        claims_drop(&s->claims, &s->fleet, claim);
    }
    reserve(v, shape, j, &best);
}

/* ---- one role ---- */

static bool is_wanted(const struct sched *s, int claim)
{
    return claim < 0 || s->now_us >= s->reserving.of[claim].again_us;
}

/* For which a search goes on in this role, whoever came before it meanwhile; NULL: for none. */
static struct shape *searched_of_role(const struct sched *s,
                                      const struct role_lanes *role)
{
    const struct waiting *w = waiting_find(&s->lanes.jobs, s->reserving.searching);
    struct shape *shape = w == NULL ? NULL : w->shape;

    return shape != NULL && ((struct lane *)shape->queue->owner)->role == role &&
                   shape->at == SHAPE_ASLEEP && shape_first(shape) == w
               ? shape
               : NULL;
}

/* The first of the role, if it is to have room, or to have other room; *claim: that it has.
 * NULL: not now. */
static struct shape *
next_of_role(struct reserve_view *v, struct role_lanes *role, int *claim)
{
    struct sched *s = v->sched;
    const struct role *spec = state_role(v->outlook.state, role->name);
    const struct job *j;
    struct shape *shape;
    uint64_t at_us;

    *claim = claim_of_role(s, role);
    if (spec == NULL || spec->spec.reserve_ms == ROLE_NEVER) {
        if (*claim >= 0)
            claims_drop(&s->claims, &s->fleet, *claim);
        return NULL;
    }
    if (*claim >= 0 && is_kept(s, *claim)) {
        be_due(&s->reserving, s->reserving.of[*claim].again_us);
        shape = waiting_find(&s->lanes.jobs, s->claims.of[*claim].job)->shape;
        return is_wanted(s, *claim) && shape->at == SHAPE_ASLEEP ? shape : NULL;
    }
    shape = searched_of_role(s, role);
    if (shape == NULL)
        shape = first_of_role(s, role);
    j = shape == NULL ? NULL : state_job(v->outlook.state, first_job(shape));
    if (j == NULL)
        return NULL;
    at_us = due_us(shape, j, spec->spec.reserve_ms);
    if (at_us > s->now_us) {
        be_due(&s->reserving, at_us);
        return NULL;
    }
    if (*claim >= 0)
        claims_drop(&s->claims, &s->fleet, *claim);
    *claim = -1;
    return shape;
}

/* The role whose search goes on; NULL: none does. */
static struct role_lanes *role_of_search(const struct sched *s)
{
    const struct waiting *w = waiting_find(&s->lanes.jobs, s->reserving.searching);

    return w == NULL ? NULL : ((struct lane *)w->shape->queue->owner)->role;
}

/* One search at a time, and that of another role ends before, so that each ends, whoever passes
 * whom.  False when looks did not last. */
static bool serve(struct reserve_view *v,
                  const struct role_lanes *role,
                  struct shape *shape,
                  int claim)
{
    struct reserving *r = &v->sched->reserving;
    const struct job *j = state_job(v->outlook.state, first_job(shape));
    const struct role_lanes *searched = role_of_search(v->sched);

    if (searched != NULL && searched != role)
        return false;
    if (r->searching != j->id) {
        r->searching = j->id;
        r->next = 0;
        r->found = (struct forecast){0};
    }
    if (!look(v, shape, j, &r->next, &r->found))
        return false;
    search_end(v, shape, j, claim);
    return true;
}

/* ---- all roles ---- */

/* A task that is late ends later at each look, and the claim lets more in then, which is a reason to
 * look: not without end. */
static bool is_little_later(const struct claim *c, const struct forecast *f)
{
    return f->at_us >= c->at_us && f->at_us - c->at_us < LATER_US &&
           f->at_us != CLAIM_NEVER && resources_equal(&f->beyond, &c->beyond);
}

/* An agent of a reservation has changed: its time is another one, or it has ended. */
static void look_again(struct reserve_view *v, int i)
{
    struct sched *s = v->sched;
    struct claim *c = &s->claims.of[i];
    struct fleet_agent *a = fleet_agent(&s->fleet, c->agent);
    const struct waiting *w = waiting_find(&s->lanes.jobs, c->job);
    const struct job *j = state_job(v->outlook.state, c->job);
    struct forecast f;
    struct seek k;
    bool is_able;

    if (c->kind != CLAIM_RESERVATION || a->changes == s->reserving.of[i].seen ||
        w == NULL || j == NULL)
        return;
    begin_seek(v, w->shape, j, UINT_MAX, &k);
    is_able = forecast(v, &k, j, a, &f);
    pay(v, &k);
    if (!is_able) {
        claims_drop(&s->claims, &s->fleet, i);
        return;
    }
    note(s, i, &f);
    if (f.at_us <= s->now_us && c->at_us <= s->now_us)
        f.at_us = c->at_us; /* at once is no later than at once */
    if (is_little_later(c, &f))
        return;
    if (f.at_us > c->at_us) {
        s->reserving.of[i].again_us = s->now_us;
        be_due(&s->reserving, s->now_us);
    }
    claims_change(&s->claims, &s->fleet, i, f.at_us, &f.beyond);
}

static bool serve_role(struct reserve_view *v, struct role_lanes *role)
{
    int claim;
    struct shape *shape = next_of_role(v, role, &claim);

    return shape == NULL || serve(v, role, shape, claim);
}

/* Since all roles were gone through. */
static bool is_as_it_was(const struct sched *s)
{
    const struct reserving *r = &s->reserving;

    return r->lanes == s->lanes.changes && r->claims == s->claims.changes &&
           s->now_us < r->due_us;
}

bool reserve_all(struct reserve_view *v)
{
    struct sched *s = v->sched;
    struct role_lanes *first = role_of_search(s);
    uint64_t set = s->claims.used;
    struct fit_key from = {0};
    struct fit_node *n;

    while (set != 0)
        look_again(v, claim_next(&set));
    if (first == NULL && is_as_it_was(s))
        return true;
    s->reserving.due_us = UINT64_MAX;
    if (first != NULL && !serve_role(v, first))
        return false;
    s->reserving.searching = 0;
    for (int i = 0; i < LIMIT_CLAIMS; i++) {
        n = fit_tree_from(&s->lanes.asleep, from);
        if (n == NULL)
            break;
        if (!serve_role(v, n->owner))
            return false;
        from = n->key;
        from.second++;
    }
    s->reserving.lanes = s->lanes.changes;
    s->reserving.claims = s->claims.changes;
    return true;
}

bool reserve_asleep(struct reserve_view *v, const struct shape *shape)
{
    struct role_lanes *role = ((struct lane *)shape->queue->owner)->role;
    const struct role *spec = state_role(v->outlook.state, role->name);

    if (spec->spec.reserve_ms == ROLE_NEVER || first_of_role(v->sched, role) != shape)
        return true;
    return serve_role(v, role);
}

bool reserve_soonest(struct sched *s,
                     const struct state *state,
                     uint64_t now_us,
                     const struct shape *shape,
                     unsigned *looks,
                     struct forecast *out)
{
    struct reserve_view v = {
        .sched = s, .outlook = {.state = state, .now_us = now_us}, .looks = *looks};
    const struct job *j = state_job(state, first_job(shape));
    uint64_t next = 0;
    bool is_all;

    *out = (struct forecast){0};
    is_all = j != NULL && look(&v, shape, j, &next, out);
    outlook_finish(&v.outlook);
    *looks = v.looks;
    return is_all && out->agent != 0;
}
