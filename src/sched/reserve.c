/* reserve.c - room for who waits first.
 *
 * Roles are gone through in the order of their turns, as many as there can be claims.  The first
 * of a role is the first job that sleeps in the first of its lanes; once it has a claim it keeps
 * that as long as it is the first of its own lane, so that owners whose shares pass each other do
 * not take turns at it.  For the same reason a search that was begun goes on to its end as long as
 * its job waits.  A job that no agent can ever hold is passed over.
 */
#include "sched/reserve.h"

#include "base/mem.h"
#include "sched/internal.h"

#include <limits.h>

#define CANDIDATES 8 /* that are passed over in a role */

void reserving_reset(struct reserving *r)
{
    for (int i = 0; i < LIMIT_CLAIMS; i++)
        mem_free(r->of[i].of);
    gathering_finish(&r->found);
    *r = (struct reserving){.due_us = UINT64_MAX, .made = r->made};
}

/* ---- who ---- */

/* No agents were found for it, and what there is of them is as it was. */
static bool is_hopeless(struct sched *s, const struct shape *shape)
{
    uint64_t until_us = shape->hopeless_us + RESERVE_AGAIN_US;

    if (shape->hopeless_version != s->fleet.sizes_version || s->now_us >= until_us)
        return false;
    reserving_be_due(&s->reserving, until_us);
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

static void be_hopeless(const struct sched *s, struct shape *shape)
{
    shape->hopeless_version = s->fleet.sizes_version;
    shape->hopeless_us = s->now_us;
}

/* The claim gives way to what was found. */
static bool is_worth_moving(const struct sched *s, int claim, const struct step *to)
{
    struct reserved from = reservation_last(s, claim);

    return reservation_is_in_parts(&s->claims.of[claim]) ||
           to->from_us < from.from_us ||
           (to->from_us == FORECAST_NEVER && to->ends < from.ends);
}

/* Some rounds went by since it was found. */
static bool is_there_still(struct reserve_view *v,
                           const struct shape *shape,
                           const struct job *j,
                           struct step *last,
                           struct resources *beyond)
{
    struct fleet_agent *a = fleet_agent(&v->sched->fleet, last->agent);
    struct forecast f;
    struct seek k;

    spots_begin(v, shape, j, UINT_MAX, &k);
    if (a == NULL || !spot_forecast(v, &k, j, a, last->tasks, 0, &f))
        return false;
    last->from_us = f.from_us;
    last->at_us = f.at_us;
    last->ends = f.ends;
    *beyond = f.beyond;
    return true;
}

/* All agents were looked at: the claim is made, or moves when that is sooner. */
static void
search_end(struct reserve_view *v, struct shape *shape, const struct job *j, int claim)
{
    struct sched *s = v->sched;
    struct gathering *g = &s->reserving.found;
    struct resources beyond;
    struct step *last;

    s->reserving.searching = 0;
    if (!gathering_is_whole(g)) {
        be_hopeless(s, shape);
        if (claim >= 0)
            claims_drop(&s->claims, &s->fleet, claim);
        return;
    }
    last = &g->of[gathering_end(g)];
    if (claim >= 0) {
        reservation_forget(s, claim);
        reservation_look(v, claim);
        s->reserving.of[claim].again_us = s->now_us + RESERVE_AGAIN_US;
    }
    if (!is_there_still(v, shape, j, last, &beyond))
        return;
    if (claim >= 0 && (s->claims.used & 1ull << claim) != 0) {
        if (!is_worth_moving(s, claim, last))
            return;
        claims_drop(&s->claims, &s->fleet, claim);
    }
    if (!reservation_make(v, shape, j, g, last, &beyond))
        be_hopeless(s, shape);
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
        reserving_be_due(&s->reserving, s->reserving.of[*claim].again_us);
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
        reserving_be_due(&s->reserving, at_us);
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
    if (r->searching != j->id || r->found.wanted != shape->demand.at_once) {
        r->searching = j->id;
        r->next = 0;
        gathering_begin(&r->found, shape->demand.at_once);
    }
    if (!spots_look(v, shape, j, &r->next, &r->found))
        return false;
    search_end(v, shape, j, claim);
    return true;
}

/* ---- all roles ---- */

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

/* False when looks did not last for all places of all reservations. */
static bool are_known(const struct sched *s)
{
    uint64_t set = s->claims.used;
    bool all = true;

    while (set != 0) {
        int i = claim_next(&set);

        all &= s->claims.of[i].kind != CLAIM_RESERVATION || reservation_is_known(s, i);
    }
    return all;
}

bool reserve_all(struct reserve_view *v)
{
    struct sched *s = v->sched;
    struct role_lanes *first = role_of_search(s);
    uint64_t set = s->claims.used;
    struct fit_key from = {0};
    struct fit_node *n;

    while (set != 0)
        reservation_look(v, claim_next(&set));
    if (first == NULL && is_as_it_was(s))
        return are_known(s);
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
    return are_known(s);
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
                     struct soonest *out)
{
    struct reserve_view v = {
        .sched = s, .outlook = {.state = state, .now_us = now_us}, .looks = *looks};
    const struct job *j = state_job(state, first_job(shape));
    struct gathering found = {0};
    uint64_t next = 0;
    bool is_known;

    gathering_begin(&found, shape->demand.at_once);
    is_known = j != NULL && spots_look(&v, shape, j, &next, &found) &&
               gathering_is_whole(&found);
    if (is_known) {
        const struct step *last = &found.of[gathering_end(&found)];

        *out = (struct soonest){last->agent, (uint32_t)found.count, last->at_us};
    }
    gathering_finish(&found);
    outlook_finish(&v.outlook);
    *looks = v.looks;
    return is_known;
}
