/* round.c - which task goes where next.
 *
 *   1  what the last round planned is read again from the state, as it was applied
 *      then agents that are due get their tasks of system jobs (systems.h): if there are any,
 *      that is all of this round, and the next one is of the others
 *   2  the shape is found that is next in the order of turns (lanes.h) and may fit: the
 *      first ready one, or one at rest that an agent can hold which has grown, or that its
 *      role may have more of again (round_next.c)
 *   3  its first job's tasks go to the best agent until that is full, then to the next
 *      best, until it is another one's turn or the job has none left (back to 2), or no
 *      agent has room (the shape sleeps), or its role has its maximum (it is capped;
 *      round_place.c)
 */
#include "sched/round_private.h"

#include "base/mem.h"
#include "sched/turn.h"

/* Of the looks of a round. */
#define REVIEW_PART    2
#define UNCAPPING_PART 8 /* all roles together, or a look for each */
#define WAKE_PART      4
#define RESERVE_PART   4

struct sched *sched_create(unsigned looks)
{
    struct sched *s = mem_zalloc(sizeof(*s));

    s->looks = looks;
    reserving_reset(&s->reserving);
    fleet_init(&s->fleet);
    lanes_init(&s->lanes, &s->fleet.total, &s->fleet.grown, &s->claims.used);
    preempting_init(&s->preempting);
    rebalancing_init(&s->rebalancing);
    return s;
}

static void clear(struct sched *s)
{
    fleet_finish(&s->fleet);
    lanes_finish(&s->lanes);
    systems_finish(&s->systems);
    s->drained_count = 0;
    s->counted_count = 0;
    s->waking.was_cut = false;
    s->waking.again = false;
    claims_clear(&s->claims);
    reserving_reset(&s->reserving);
    preempting_finish(&s->preempting);
    rebalancing_finish(&s->rebalancing);
}

void sched_destroy(struct sched *s)
{
    if (s == NULL)
        return;
    clear(s);
    mem_free(s->drained);
    mem_free(s->counted);
    mem_free(s);
}

void sched_reset(struct sched *s, const struct state *state)
{
    struct agent *a;

    clear(s);
    fleet_init(&s->fleet);
    lanes_init(&s->lanes, &s->fleet.total, &s->fleet.grown, &s->claims.used);
    RB_FOREACH (a, agent_tree, (struct agent_tree *)&state->agents)
        fleet_refresh(&s->fleet, state, a->id);
    s->is_loading = true;
    s->load_priority = INT32_MAX;
    s->load_id = 0;
}

void round_compare_again(struct sched *s)
{
    s->waking.epoch++;
    s->lanes.cursor = (struct cursor){.epoch = s->waking.epoch};
}

static void grown(struct sched *s)
{
    if (s->waking.was_cut)
        s->waking.again = true;
    else
        round_compare_again(s);
}

void sched_agent_changed(struct sched *s, const struct state *state, uint64_t agent)
{
    if (fleet_refresh(&s->fleet, state, agent))
        grown(s);
}

void sched_agent_refuses(struct sched *s,
                         const struct state *state,
                         uint64_t agent,
                         bool refuses)
{
    if (fleet_refuses(&s->fleet, state, agent, refuses))
        grown(s);
}

void sched_job_changed(struct sched *s, const struct state *state, uint64_t job)
{
    const struct job *j = state_job(state, job);

    if (systems_job_changed(&s->systems, &s->fleet, state, job))
        return;
    /* What ended may be purged already. */
    if (j == NULL || job_pending(j) == 0) {
        lanes_remove(&s->lanes, state, job);
        return;
    }
    lanes_add(&s->lanes, state, j);
}

void sched_agent_due(struct sched *s, uint64_t agent)
{
    struct fleet_agent *a = fleet_agent(&s->fleet, agent);

    if (a != NULL && s->systems.count > 0)
        fleet_make_due(&s->fleet, a, DUE);
}

void sched_freed(struct sched *s, const struct state *state, uint64_t job)
{
    const struct job *j = state_job(state, job);

    if (j == NULL) {
        lanes_all_changed(&s->lanes); /* purged at once: whose it was is not known */
        return;
    }
    lanes_freed(&s->lanes, state, j);
    lanes_wake(&s->lanes, state, job);
}

uint64_t sched_due_us(const struct sched *s)
{
    return s->reserving.due_us;
}

bool sched_is_due(const struct sched *s)
{
    return s->fleet.has_relaxed;
}

uint64_t sched_reservations(const struct sched *s)
{
    return s->reserving.made;
}

uint64_t sched_share(const struct sched *s, const struct role *role)
{
    return weighted_share(dominant_share(&role->spec, &role->use, &s->fleet.total),
                          role->spec.weight);
}

void sched_role_changed(struct sched *s, const struct state *state, uint64_t role)
{
    lanes_role_changed(&s->lanes, state, role);
}

/* ---- 1: what the last round planned ---- */

/* False when the budget ended first. */
static bool load(struct round *r)
{
    struct sched *s = r->sched;
    struct job after = {.priority = s->load_priority, .id = s->load_id + 1};
    struct job_order_tree *runnable = (struct job_order_tree *)&r->state->runnable;
    struct job *j;

    if (!s->is_loading)
        return true;
    for (j = RB_NFIND(job_order_tree, runnable, &after); j != NULL && r->looks > 0;
         j = RB_NEXT(job_order_tree, runnable, j)) {
        r->looks--;
        s->load_priority = j->priority;
        s->load_id = j->id;
        if (!systems_job_changed(&s->systems, &s->fleet, r->state, j->id))
            lanes_add(&s->lanes, r->state, j);
    }
    s->is_loading = j != NULL;
    return !s->is_loading;
}

/* What goes on for long has a part of the looks: meanwhile work is placed in the order that
 * is known, and as groups of agents were. */
static void review(struct round *r)
{
    unsigned part = r->looks / REVIEW_PART, left = part;

    lanes_review(&r->sched->lanes, r->state, &left);
    r->looks -= part - left;
    part = left = r->looks / WAKE_PART;
    lanes_wake_distinct(&r->sched->lanes, r->state, &left);
    r->looks -= part - left;
}

static unsigned uncapping_looks(const struct round *r)
{
    unsigned roles = (unsigned)r->sched->lanes.uncapping;
    unsigned each = r->sched->looks / UNCAPPING_PART / (roles > 0 ? roles : 1);

    return each > 0 ? each : 1;
}

/* Who was refused by a claim may not be any more. */
static void refresh_claims(struct round *r)
{
    struct sched *s = r->sched;

    claims_refresh(&s->claims, &s->fleet, &s->lanes, s->lanes.was_passed);
    lanes_looked(&s->lanes);
    if (s->fleet.has_relaxed && fleet_refresh_taken(&s->fleet, r->state))
        grown(s);
}

/* Room for who waits first, after what is planned by now. */
static void reserve(struct round *r)
{
    r->reserve.outlook.planned_count = r->count;
    r->is_reserved = reserve_all(&r->reserve);
}

static bool refresh(struct round *r)
{
    struct sched *s = r->sched;

    if (fleet_refresh_taken(&s->fleet, r->state))
        grown(s);
    if (s->fleet.total_changed)
        lanes_all_changed(&s->lanes);
    s->fleet.total_changed = false;
    if (s->fleet.regrouped)
        lanes_regrouped(&s->lanes);
    s->fleet.regrouped = false;
    lanes_refresh(&s->lanes, r->state);
    for (size_t i = 0; i < s->drained_count; i++)
        sched_job_changed(s, r->state, s->drained[i]);
    s->drained_count = 0;
    for (size_t i = 0; i < s->counted_count; i++)
        lanes_wake(&s->lanes, r->state, s->counted[i]);
    s->counted_count = 0;
    s->round++;
    review(r);
    refresh_claims(r);
    r->uncapping_looks = uncapping_looks(r);
    if (!load(r))
        return false;
    reserve(r);
    return true;
}

/* ---- system jobs ---- */

/* They pass every claim, and end those on their agents.  Whose roles use more then is read again
 * when the next round begins.  True if this round is theirs: of two in a row the second one only
 * for agents that are new. */
static bool place_systems(struct round *r)
{
    struct sched *s = r->sched;
    enum due last = s->systems.had_turn ? DUE_NEW : DUE;

#ifdef MUTANT_SYSTEMS_FIRST_FOR_EVER
    last = DUE;
#endif
    r->count = systems_place(
        &s->systems, &s->fleet, r->state, last, r->out, r->max, &r->looks);
    for (size_t i = 0; i < r->count; i++) {
        struct fleet_agent *a = fleet_agent(&s->fleet, r->out[i].agent);

        claims_leave(&s->claims, &s->fleet, a);
        if (i == 0 || r->out[i].job != r->out[i - 1].job)
            lanes_freed(&s->lanes, r->state, state_job(r->state, r->out[i].job));
    }
    s->systems.had_turn = r->count > 0 || fleet_is_due(&s->fleet, last);
    return s->systems.had_turn;
}

/* ---- 2 and 3 ---- */

/* What is next, until there is nothing, or no looks or placements are left. */
static void go_on(struct round *r, bool *more)
{
    struct sched *s = r->sched;

    while (r->count < r->max && r->looks > 0 && !r->is_full) {
        struct pick p = round_next(r);
        uint64_t changes = s->claims.changes;

        if (p.shape == NULL) {
            *more = r->looks == 0 || r->is_compared || s->lanes.is_cut ||
                    s->lanes.reviews > 0 || lanes_are_to_wake(&s->lanes) ||
                    s->lanes.was_passed || s->fleet.has_relaxed || !r->is_reserved;
            break;
        }
        round_place_first(r, &p);
        if (s->claims.changes != changes)
            reserve(r); /* who had room kept is served: the next one waits first */
    }
    s->waking.was_cut = r->looks == 0 && s->fleet.grown.root != NULL;
}

size_t sched_round(struct sched *s,
                   const struct state *state,
                   uint64_t now_us,
                   struct placement *out,
                   size_t max,
                   bool *more)
{
    struct round r = {
        .sched = s, .state = state, .out = out, .max = max, .looks = s->looks};

    r.reserve = (struct reserve_view){
        .sched = s,
        .outlook = {.state = state, .now_us = now_us, .planned = out},
        .looks = s->looks / RESERVE_PART + 1};
    s->now_us = now_us;
    *more = true;
    if (refresh(&r) && !place_systems(&r)) {
        go_on(&r, more);
        *more |= fleet_is_due(&s->fleet, DUE);
    }
    outlook_finish(&r.reserve.outlook);
    return r.count;
}
