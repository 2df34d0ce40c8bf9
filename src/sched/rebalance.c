/* rebalance.c - running tasks of services that would be better elsewhere by now. */
#include "sched/rebalance.h"

#include "base/text.h"
#include "raft_fsm/move.h"
#include "sched/internal.h"
#include "sched/seek.h"
#include "sched/worth.h"

#define LOOKS_PART      4  /* of those of a round, in each call */
#define REST_US         8  /* after a pass for each look, which takes about one */
#define COUNTED_PER_ONE 32 /* tasks of a job that are gone over */
#define TRIES           8  /* agents for a task, of which others want it away */

#define SCORE_MOST 1000000u /* as seek_score() gives it */
#define SCORE_GAIN (1000 * REBALANCE_GAIN)

struct call {
    struct sched *sched;
    const struct state *state;
    const struct rebalance_pace *pace;
    uint64_t now_us;
    unsigned looks; /* that it has; what was begun may take more: … */
    unsigned spent; /* … really */
    bool is_cut;    /* and what is next would take more than is left */
};

static bool is_over(const struct call *c)
{
    return c->is_cut || c->spent >= c->looks;
}

void rebalancing_init(struct rebalancing *r)
{
    *r = (struct rebalancing){0};
    budget_init(&r->budget);
}

void rebalancing_finish(struct rebalancing *r)
{
    budget_finish(&r->budget);
    rebalancing_init(r);
}

/* ---- what is kept ---- */

/* What is free there beside a task.  False when that cannot be. */
static bool
find_beyond(const struct agent *agent, const struct job *j, struct resources *beyond)
{
    struct resources stay = agent->allocated;

    resources_add(&stay, &j->resources);
    if (!resources_contain(&agent->capacity, &stay))
        return false;
    *beyond = agent->capacity;
    resources_subtract(beyond, &stay);
    return true;
}

/* A task that has ended is placed in the next rounds.  If not, it cannot come for another reason than
 * room: attributes changed meanwhile. */
static bool still_comes(const struct call *c, struct claim *claim, const struct job *j)
{
    if (move_told_to_end(j) > 0) {
        claim->waits_us = 0;
        return true;
    }
    if (claim->waits_us == 0)
        claim->waits_us = c->now_us;
#ifndef MUTANT_MOVE_KEEPS_FOR_EVER
    if (c->now_us - claim->waits_us >= REBALANCE_KEPT_MS * 1000ull)
        return false;
#endif
    return job_pending(j) > 0;
}

/* What comes no more, and what has no room any more, is kept no longer. */
static void refresh_move(const struct call *c, int i)
{
    struct claims *claims = &c->sched->claims;
    const struct claim *claim = &claims->of[i];
    const struct agent *agent = state_agent(c->state, claim->agent);
    const struct job *j = state_job(c->state, claim->job);
    struct resources beyond;

    if (agent == NULL || j == NULL || !still_comes(c, &claims->of[i], j) ||
        !find_beyond(agent, j, &beyond))
        claims_drop(claims, &c->sched->fleet, i);
    else if (!resources_equal(&beyond, &claim->beyond))
        claims_change(claims, &c->sched->fleet, i, CLAIM_NEVER, &beyond);
}

/* How many are on their way. */
static unsigned refresh_moves(const struct call *c)
{
    const struct claims *claims = &c->sched->claims;
    const struct rebalancing *r = &c->sched->rebalancing;
    uint64_t set = claims->used;
    unsigned left = 0;

    while (set != 0) {
        int i = claim_next(&set);

        if (claims->of[i].kind != CLAIM_MOVE)
            continue;
        if (!r->is_young || claims->of[i].job != r->proposed.job)
            refresh_move(c, i);
        left += (claims->used & 1ull << i) != 0;
    }
    return left;
}

static bool keep(const struct call *c, const struct job *j, const struct fleet_agent *a)
{
    struct claim claim = {
        .agent = a->id, .job = j->id, .kind = CLAIM_MOVE, .at_us = CLAIM_NEVER};
    struct demand demand = job_demand(j);

    return find_beyond(state_agent(c->state, a->id), j, &claim.beyond) &&
           claims_add(&c->sched->claims, &c->sched->fleet, &claim, &demand) >= 0;
}

/* ---- which jobs ---- */

static bool something_waits(const struct sched *s, const struct role *role)
{
    struct role_lanes wanted = {.name = role->name};
    const struct role_lanes *lanes =
        RB_FIND(role_lanes_tree, (struct role_lanes_tree *)&s->lanes.roles, &wanted);

    for (int p = 0; lanes != NULL && p < SHAPE_PLACES; p++)
        if (lanes->at[p].root != NULL)
            return true;
    return false;
}

static bool is_wanted(const struct call *c, const struct job *j)
{
    const struct role *role = j->owner->role;

    return move_may_job(j) && j->touched <= REBALANCE_TASKS &&
           bound_has_room(&role->spec.max, &role->use, j, 1) &&
           budget_left(
               &c->sched->rebalancing.budget, role, role->spec.rebalance, c->now_us) >
               0 &&
           !something_waits(c->sched, role) && claims_of(&c->sched->claims, j->id) == 0;
}

/* None is less than the others: the checks of all have passed, or there are none. */
static bool all_are_well(struct call *c, const struct job *j)
{
    uint32_t unknown = 0, passing = 0, all = 0;

    for (uint32_t i = 0; i < j->touched; i++) {
        const struct task *t = job_task(j, i);

        if (task_state_is_final((enum task_state)t->state))
            continue;
        all++;
        unknown += task_health(t) == HEALTH_UNKNOWN;
        passing += task_health(t) == HEALTH_PASSING;
    }
    c->spent += j->touched / COUNTED_PER_ONE;
    return unknown == all || passing == all;
}

/* ---- where ---- */

/* Free on its own agent, which may have shrunk. */
static uint64_t left_at_home(const struct agent *agent)
{
    struct resources free = agent->capacity;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        free.amount[k] -= agent->allocated.amount[k] < free.amount[k]
                              ? agent->allocated.amount[k]
                              : free.amount[k];
    return worth(&free);
}

/* It has a constraint against tasks of the other. */
static bool keeps_away(const struct job *j, const struct job *other)
{
    struct match_view match;
    bool found = false;

    if (j->match.size == 0 || j->owner->role != other->owner->role)
        return false;
    match_view(&match, j->match);
    for (size_t i = 0; i < match.apart_count; i++)
        found |=
            match.aparts[i].weight == 0 &&
            name_number(j->owner->role, match.aparts[i].name) == name_number_of(other);
    return found;
}

/* Somebody there has one, and would have to go. */
static bool is_unwelcome(struct call *c, const struct job *j, const struct agent *agent)
{
    const struct job *last = NULL;
    const struct attempt *t;

#ifdef MUTANT_MOVE_UNWELCOME
    return false;
#endif
    c->spent += agent->attempts_count;
    TAILQ_FOREACH (t, &agent->attempts, by_agent) {
        if (t->job != last && keeps_away(t->job, j))
            return true;
        last = t->job;
    }
    return false;
}

/* So much better than to stay; with its wishes to be apart, and without them: they count against a
 * move alone, since who is left may follow. */
static bool gains(struct seek *k,
                  struct fleet_agent *home,
                  uint64_t left_home,
                  struct fleet_agent *there)
{
    uint64_t left = there->fit.key.first - k->need;

    for (int alone = 0; alone < 2; alone++)
        if (seek_score(k, there, left, alone) <
            seek_score(k, home, left_home, alone) + SCORE_GAIN)
            return false;
    return true;
}

static bool is_welcome(struct call *c, const struct job *j, const struct fleet_agent *a)
{
    const struct agent *agent = state_agent(c->state, a->id);

    return !is_unwelcome(c, j, agent) &&
           !refusals_hold(&c->sched->rebalancing.refusals, j, agent, c->now_us);
}

/* Where it would be so much better; NULL: nowhere, or it is cut.  The best one but those that do not
 * want it, or were refused: where the best is not worth it, none is. */
static struct fleet_agent *
find_better(struct call *c, struct seek *k, const struct attempt *t)
{
    struct fleet_agent *home = fleet_agent(&c->sched->fleet, t->agent->id), *best;
    uint64_t left = left_at_home(t->agent);
    bool keeps;

    if (home == NULL)
        return NULL;
    seek_leave_out(k, t);
    keeps = seek_matches(k, home);
    if (keeps && seek_score(k, home, left, false) + SCORE_GAIN > SCORE_MOST)
        return NULL;
    for (int tries = 0; tries < TRIES; tries++) {
        best = seek_best(k, NULL);
#ifdef MUTANT_MOVE_FOR_NOTHING
        return best;
#endif
        if (best == NULL || (keeps && !gains(k, home, left, best)) || k->effort.is_cut)
            return NULL;
        if (is_welcome(c, t->job, best))
            return best;
        seek_refuse(k, best);
    }
    return NULL;
}

/* ---- passes ---- */

static bool propose_move(struct call *c,
                         const struct attempt *t,
                         struct fleet_agent *to,
                         struct move *out)
{
    struct rebalancing *r = &c->sched->rebalancing;

    if (!all_are_well(c, t->job) || !keep(c, t->job, to))
        return false;
    r->proposed = refusal_of(t->job, state_agent(c->state, to->id), c->now_us);
    r->is_young = true;
    r->last = t->job->id;
    budget_spend(&r->budget, t->job->owner->role, 1, c->now_us);
    *out = (struct move){t->id, to->id};
    return true;
}

static bool has_settled(const struct call *c, const struct attempt *t)
{
    return c->now_us >= t->placed_us && c->now_us - t->placed_us >= c->pace->settled_us;
}

/* Looks that are left for tasks of a job: what it took to count those is not among them, or a
 * search would never come to its end. */
static unsigned looks_left(const struct call *c, unsigned counted)
{
    unsigned most = c->looks + counted;

    return c->spent < most ? most - c->spent : 0;
}

/* What it spent counts, and what it may spend until it pays again. */
static void pay(struct call *c, struct seek *k, unsigned counted)
{
    c->spent += k->effort.spent / ASKED_PER_LOOK;
    k->effort.spent %= ASKED_PER_LOOK;
    k->effort.most = (1 + looks_left(c, counted)) * ASKED_PER_LOOK;
}

/* Tasks of a job from where it is; it is done unless there are no looks left. */
static bool look_at_job(struct call *c, const struct job *j, struct move *out)
{
    struct sched *s = c->sched;
    struct rebalancing *r = &s->rebalancing;
    struct demand demand = job_demand(j);
    struct fleet_agent *to = NULL;
    struct attempt *t = NULL;
    unsigned counted, last = 0; /* what one task took */
    struct seek k;

    seek_begin(
        &k, &s->fleet, c->state, j->owner->role, &demand, c->looks * ASKED_PER_LOOK);
    if (seek_counts_tasks(&k) && j->touched > REBALANCE_COUNTED)
        r->instance = j->touched;
    else
        seek_count(&k, j, NULL, 0);
    counted = k.effort.spent / ASKED_PER_LOOK;
    pay(c, &k, counted);
    k.refused = ~0ull; /* whatever is kept, and for whom */
    for (; to == NULL && r->instance < j->touched; r->instance++) {
        unsigned before = c->spent;

        c->is_cut = looks_left(c, counted) <= last;
        if (c->is_cut)
            return false;
        c->spent++;
        t = state_attempt(c->state, job_task(j, r->instance)->attempt_id);
        if (t != NULL && move_may(t) && has_settled(c, t))
            to = find_better(c, &k, t);
        pay(c, &k, counted);
        last = c->spent - before;
        c->is_cut = k.effort.is_cut;
        if (c->is_cut) {
            matchers_keep(&s->fleet.matchers, k.matcher);
            return false;
        }
    }
    r->job = j->id + 1;
    r->instance = 0;
    return to != NULL && propose_move(c, t, to, out);
}

/* From where the pass is.  NULL at its end, or when there are no looks left. */
static const struct job *find_job(struct call *c)
{
    struct rebalancing *r = &c->sched->rebalancing;

    for (; !is_over(c); c->spent++) {
        const struct job *j = state_next_job(c->state, r->job);

        if (j == NULL && !r->has_turned) {
            r->has_turned = true;
            r->job = 0;
            continue;
        }
        if (j == NULL || (r->has_turned && j->id > r->from)) {
            r->is_on = false;
            return NULL;
        }
        if (j->id != r->job)
            r->instance = 0;
        r->job = j->id;
        if (is_wanted(c, j))
            return j;
        r->job++;
        r->instance = 0;
    }
    return NULL;
}

static bool begin_pass(struct call *c)
{
    struct rebalancing *r = &c->sched->rebalancing;
    struct role *role;

    r->next_us = c->now_us + c->pace->pass_us;
    r->from = r->last;
    r->job = r->last + 1;
    r->instance = 0;
    r->has_turned = false;
    r->looked = 0;
    RB_FOREACH (role, role_tree, (struct role_tree *)&c->state->roles)
        r->is_on |= role->spec.rebalance > 0;
    return r->is_on;
}

bool sched_rebalance(struct sched *s,
                     const struct state *state,
                     const struct rebalance_pace *pace,
                     uint64_t now_us,
                     struct move *out,
                     bool *more)
{
    struct call c = {.sched = s,
                     .state = state,
                     .pace = pace,
                     .now_us = now_us,
                     .looks = (s->looks + LOOKS_PART - 1) / LOOKS_PART};
    struct rebalancing *r = &s->rebalancing;
    unsigned moving = refresh_moves(&c);
    const struct job *j;
    bool is_found = false;

    *more = false;
    if (s->is_loading || (!r->is_on && now_us < r->next_us) || moving >= LIMIT_MOVES ||
        (!r->is_on && !begin_pass(&c)))
        return false;
    while (!is_found && (j = find_job(&c)) != NULL)
        is_found = look_at_job(&c, j, out);
    r->looked += c.spent;
    if (!r->is_on && r->next_us < now_us + r->looked * REST_US)
        r->next_us = now_us + r->looked * REST_US;
    *more = r->is_on;
    return is_found;
}

void sched_moved(struct sched *s, bool is_done)
{
    struct rebalancing *r = &s->rebalancing;

    uint64_t set = is_done ? 0 : claims_of(&s->claims, r->proposed.job);

    while (set != 0) {
        int i = claim_next(&set);

        if (s->claims.of[i].kind == CLAIM_MOVE)
            claims_drop(&s->claims, &s->fleet, i);
    }
    if (!is_done)
        refusals_add(&r->refusals, &r->proposed);
    r->is_young = false;
}
