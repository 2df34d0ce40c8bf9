/* round.c - which task goes where next.
 *
 *   1  what the last round planned is read again from the state, as it was applied
 *      then agents that are due get their tasks of system jobs (systems.h): if there are any,
 *      that is all of this round, and the next one is of the others
 *   2  the shape is found that is next in the order of turns (lanes.h) and may fit: the
 *      first ready one, or one at rest that an agent can hold which has grown, or that its
 *      role may have more of again
 *   3  its first job's tasks go to the best agent until that is full, then to the next
 *      best, until it is another one's turn or the job has none left (back to 2), or no
 *      agent has room (the shape sleeps), or its role has its maximum (it is capped)
 *
 * A gang that begins is planned as a whole: what was planned of it is forgotten when the last of
 * its tasks has no place.  It is begun only when the round has room for all of them, and then goes
 * on to its end, whatever looks are left: LIMIT_GANG_TASKS searches at most.
 *
 * On 3: worth is additive (worth.h).  So the agent that just took a task is still the
 * best for the next one of the same needs, and when it is full the next best comes behind
 * where it was: one walk over the index serves the whole job.  Where that is not so, since
 * empty agents are better or tasks of the job count for each other, each task is a search of
 * its own (seek.h).
 *
 * On 2: as long as no agent has grown, sleeping shapes are not looked at, and when one has,
 * the index of sleeping shapes names those that it may hold.  So what fits nowhere costs
 * nothing, and what is behind it gets its turn.  The same holds for capped ones.
 */
#include "sched/internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sched/seek.h"
#include "sched/turn.h"

#define GANG_ASKED (16 * SCHED_LOOKS) /* agents that are asked in vain for one */

/* Of the looks of a round. */
#define REVIEW_PART    2
#define UNCAPPING_PART 8 /* all roles together, or a look for each */
#define WAKE_PART      4
#define HELP_PART      4
#define RESERVE_PART   4

struct round {
    struct sched *sched;
    const struct state *state;
    struct placement *out;
    size_t count;
    size_t max;
    unsigned looks; /* left */
    unsigned asked; /* of which the next look is not full yet */
    bool was_helped;
    unsigned uncapping_looks; /* that each role has */
    /* All that sleeps was compared, but not with all that grew meanwhile: that comes in the
     * next round, after who is ready now. */
    bool is_compared;
    bool is_full; /* a gang that is next has no room among its placements */
    struct reserve_view reserve; /* has looks of its own */
    bool is_reserved;            /* all that was to be reserved is */
};

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

/* From the first turn on. */
static void compare_again(struct sched *s)
{
    s->waking.epoch++;
    s->lanes.cursor = (struct cursor){.epoch = s->waking.epoch};
}

static void grown(struct sched *s)
{
    if (s->waking.was_cut)
        s->waking.again = true;
    else
        compare_again(s);
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

/* ---- 2: what is next ---- */

/* What a seek spent counts as well; and what it may spend until it pays again. */
static void pay(struct round *r, struct seek *k)
{
    unsigned looks;

    r->asked += k->effort.spent;
    looks = r->asked / ASKED_PER_LOOK;
    r->asked %= ASKED_PER_LOOK;
    r->looks -= looks < r->looks ? looks : r->looks;
    k->effort.spent = 0;
    k->effort.most = (r->looks + 1) * ASKED_PER_LOOK;
}

static void look_at_claims(const struct round *r, const struct job *j, struct seek *k)
{
    const struct sched *s = r->sched;

    seek_heed(k, &s->claims, &s->lanes, j, s->now_us);
}

static void begin_seek(struct round *r,
                       const struct shape *shape,
                       const struct job *j,
                       struct seek *k)
{
    const struct lane *lane = shape->queue->owner;

    seek_begin(k,
               &r->sched->fleet,
               r->state,
               state_role(r->state, lane->role->name),
               &shape->demand,
               (r->looks + 1) * ASKED_PER_LOOK);
    if (j != NULL)
        seek_count(k, j, r->out, r->count);
    if (j != NULL)
        look_at_claims(r, j, k);
    pay(r, k);
}

/* True when the looks of the round ended before it knew; it goes on in the next one. */
static bool is_cut(struct round *r, const struct seek *k)
{
    if (k->effort.is_cut)
        matchers_keep(&r->sched->fleet.matchers, k->matcher);
    return k->effort.is_cut;
}

enum found {
    FOUND,
    NOT_EARLIER, /* than what is ready */
    NOTHING,
    CUT /* the looks of the round ended before that was known */
};

/* Of all agents only those that have grown may have room for what sleeps. */
static enum found find_grown_room(struct round *r, const struct shape *shape)
{
    struct seek k;
    bool has;

    begin_seek(r, shape, state_job(r->state, shape_first(shape)->rank.second), &k);
    has = seek_grown(&k);
    pay(r, &k);
    return is_cut(r, &k) ? CUT : has ? FOUND : NOTHING;
}

static void begin(struct cursor *c, uint64_t epoch)
{
    if (c->epoch != epoch)
        *c = (struct cursor){.epoch = epoch};
}

/* Nothing before this, and not this one either. */
static void step_over(struct cursor *c, struct fit_key key)
{
    key.second++;
    if (fit_key_compare(&c->from, &key) < 0)
        c->from = key;
}

static bool is_before(const struct fit_node *a, const struct fit_node *b)
{
    return fit_key_compare(&a->key, &b->key) < 0;
}

/* Where a shape at rest of a role was found, beside what is ready of it. */
static bool is_earlier(const struct pick *ready,
                       const struct role_lanes *role,
                       const struct fit_node *lane)
{
    return ready->role != role || ready->shape == NULL ||
           !is_before(&ready->lane->at[SHAPE_READY], lane);
}

static bool is_earlier_in_lane(const struct pick *ready,
                               const struct lane *lane,
                               const struct shape *s)
{
    return ready->shape == NULL || ready->lane != lane ||
           !is_before(&ready->shape->place, &s->place);
}

/* The first sleeping shape of a role that something which has grown has room for, and that
 * comes before what is ready of it: in *ready when it is found. */
static enum found
find_asleep(struct round *r, struct role_lanes *role, struct pick *ready)
{
    const struct fit_tree *grown = &r->sched->fleet.grown;
    struct cursor *cursor = &role->cursor[SHAPE_ASLEEP];

    begin(cursor, r->sched->waking.epoch);
    while (r->looks > 0) {
        struct fit_node *n =
            fit_tree_find_need(&role->at[SHAPE_ASLEEP], cursor->from, grown);
        struct lane *lane = n == NULL ? NULL : n->owner;
        struct cursor *in_lane;
        struct shape *shape;
        enum found found;

        r->looks--;
        if (n == NULL)
            return NOTHING;
        if (!is_earlier(ready, role, n))
            return NOT_EARLIER;
        in_lane = &lane->cursor[SHAPE_ASLEEP];
        begin(in_lane, r->sched->waking.epoch);
        shape = queue_find_asleep(&lane->queue, in_lane->from, grown);
        if (shape == NULL) {
            step_over(cursor, n->key);
            continue;
        }
        if (!is_earlier_in_lane(ready, lane, shape))
            return NOT_EARLIER;
        found = find_grown_room(r, shape);
        if (found == FOUND)
            *ready = (struct pick){role, lane, shape};
        if (found != NOTHING)
            return found;
        step_over(in_lane, shape->place.key);
    }
    return CUT;
}

/* The same of capped ones, and what the role may have more.  Comparing has a part of the
 * looks, so that other roles get their turn however many are capped. */
static enum found
find_capped(struct round *r, struct role_lanes *role, struct pick *ready)
{
    struct caps_wanted wanted = lanes_wanted(role);
    struct cursor *cursor = &role->cursor[SHAPE_CAPPED];

    lanes_uncapping_go_on(role);
    begin(cursor, role->uncapping.epoch);
    while (r->looks > 0 && role->uncapping.looks < r->uncapping_looks) {
        struct fit_node *n = caps_find(&role->at[SHAPE_CAPPED], cursor->from, &wanted);
        struct lane *lane = n == NULL ? NULL : n->owner;
        struct cursor *in_lane;
        struct shape *shape;

        r->looks--;
        role->uncapping.looks++;
        if (n == NULL)
            return NOTHING;
        if (!is_earlier(ready, role, n))
            return NOT_EARLIER;
        in_lane = &lane->cursor[SHAPE_CAPPED];
        begin(in_lane, role->uncapping.epoch);
        n = caps_find(&lane->queue.at[SHAPE_CAPPED], in_lane->from, &wanted);
        if (n == NULL) {
            step_over(cursor, lane->at[SHAPE_CAPPED].key);
            continue;
        }
        shape = n->owner;
        if (!is_earlier_in_lane(ready, lane, shape))
            return NOT_EARLIER;
        step_over(in_lane, shape->place.key);
        if (!lanes_cap(&r->sched->lanes, r->state, lane, shape)) {
            *ready = (struct pick){role, lane, shape};
            return FOUND;
        }
    }
    return CUT;
}

/* All sleeping shapes were compared with what has grown. */
static void waking_end(struct round *r)
{
    struct sched *s = r->sched;

    if (!s->waking.again)
        fit_tree_clear(&s->fleet.grown);
    r->is_compared = s->waking.again;
    compare_again(s);
    s->waking.again = false;
}

/* What has grown is to be compared with what sleeps. */
static bool is_waking(const struct round *r)
{
    return r->sched->fleet.grown.root != NULL && !r->is_compared;
}

/* A sleeping shape that an agent has room for now, earlier than what is ready. */
static void find_awakened(struct round *r, struct pick *ready)
{
    struct sched *s = r->sched;
    struct lanes *l = &s->lanes;

    while (is_waking(r) && r->looks > 0) {
        struct fit_node *n =
            fit_tree_find_need(&l->asleep, l->cursor.from, &s->fleet.grown);
        enum found found;

        r->looks--;
        if (n == NULL) {
            waking_end(r);
            continue;
        }
        if (ready->shape != NULL && ready->role != n->owner &&
            is_before(&ready->role->ready, n))
            return;
        found = find_asleep(r, n->owner, ready);
        if (found == FOUND)
            lanes_move(l, r->state, ready, SHAPE_READY);
        if (found != NOTHING)
            return;
        step_over(&l->cursor, n->key);
    }
}

/* What the role that is next may have more of again, earlier than what is ready of it.  False
 * when nothing of the role is ready after all. */
static bool find_uncapped(struct round *r, struct pick *ready)
{
    struct lanes *l = &r->sched->lanes;
    struct role_lanes *role = ready->role;

    if (!role->uncapping.is_due || role->uncapping.is_paused)
        return true;
    switch (find_capped(r, role, ready)) {
    case FOUND:
        lanes_move(l, r->state, ready, SHAPE_READY);
        break;
    case NOT_EARLIER:
        break;
    case NOTHING:
        lanes_uncapping_end(l, r->state, role);
        break;
    case CUT:
        lanes_uncapping_cut(l, r->state, role);
        break;
    }
    return ready->shape != NULL;
}

/* Without a shape when there is none, or when the budget ended before that was known. */
static struct pick next_pick(struct round *r)
{
    struct pick p;

    do
        p = lanes_first(&r->sched->lanes);
    while (p.role != NULL && r->looks > 0 && !find_uncapped(r, &p));
    find_awakened(r, &p);
    if (r->looks == 0)
        p.shape = NULL;
    return p;
}

/* ---- 3: where it goes ---- */

struct tasks {
    const struct job *job;
    const struct role *role; /* of the job */
    struct placement next;   /* the first one that has no place yet */
    bool any;
    bool is_gang;   /* all of them, or none */
    unsigned asked; /* for it */
};

static void tasks_step(struct tasks *t, uint32_t from)
{
    t->any = job_next_pending(t->job, from, &t->next.instance, &t->next.attempt);
}

/* Why filling an agent ended. */
enum filled {
    FULL,
    ALL_PLACED,
    OTHERS_TURN,
    AT_MAXIMUM,
    OUT_OF_ROOM /* for placements */
};

/* One is planned there. */
static void take_claimed(struct round *r,
                         struct fleet_agent *a,
                         const struct job *j,
                         struct seek *k)
{
    struct sched *s = r->sched;
    struct claimant who = {j, k->demand, s->now_us};

    if (s->claims.used == 0)
        return;
    claims_take(&s->claims, &s->fleet, a, &who);
    look_at_claims(r, j, k);
}

/* As many tasks as fit on this agent and are due. */
static enum filled fill(struct round *r,
                        struct seek *k,
                        struct fleet_agent *a,
                        const struct pick *p,
                        struct tasks *t)
{
    struct lanes *l = &r->sched->lanes;
    struct resources left = a->fit.vector;
    bool has_grown = is_waking(r);
    uint32_t together = seek_together(k);
    enum filled why = FULL;

    t->next.agent = a->id;
    for (;;) {
        if (!t->is_gang && !lanes_may_take(p, t->role)) {
            why = AT_MAXIMUM;
            break;
        }
        if (seek_is_refused(k, a, together) || !fleet_plan(a, &left, k->demand))
            break;
        together += t->is_gang && together < k->demand->at_once;
        r->out[r->count++] = t->next;
        if (!t->is_gang)
            lanes_take(l, p, t->role, t->job);
        seek_took(k, a, t->job);
        if (!t->is_gang)
            take_claimed(r, a, t->job, k);
        tasks_step(t, t->next.instance + 1);
        why = !t->any                                     ? ALL_PLACED
              : t->is_gang                                ? FULL
              : r->count == r->max                        ? OUT_OF_ROOM
              : !lanes_is_first(l, t->role, p, has_grown) ? OTHERS_TURN
                                                          : FULL;
        if (why != FULL || k->is_single)
            break;
    }
    fleet_take(&r->sched->fleet, a, &left);
    return why;
}

/* Nothing that sleeps and comes before it fits, or that had come first: unless that is
 * compared later. */
static void fall_asleep(struct round *r, const struct pick *p)
{
    struct sched *s = r->sched;
    struct cursor *cursor = &p->lane->cursor[SHAPE_ASLEEP];

    if (is_waking(r)) {
        begin(cursor, s->waking.epoch);
        step_over(cursor, p->shape->place.key);
    }
    lanes_move(&s->lanes, r->state, p, SHAPE_ASLEEP);
    r->reserve.outlook.planned_count = r->count;
    r->is_reserved &= reserve_asleep(&r->reserve, p->shape);
}

/* Its role may have no more of it.  Capped ones before it are not compared yet when that
 * goes on in the next round. */
static void be_capped(struct round *r, const struct pick *p)
{
    bool is_capped;

    is_capped = lanes_cap(&r->sched->lanes, r->state, p->lane, p->shape);
    ASSERT(is_capped);
    claims_refresh(&r->sched->claims, &r->sched->fleet, &r->sched->lanes, false);
}

/* No task of the first job is left to plan in this round. */
static void drain(struct round *r, const struct pick *p, uint64_t job)
{
    struct sched *s = r->sched;

    lanes_pop(&s->lanes, r->state, p);
    MEM_GROW(s->drained, s->drained_capacity, s->drained_count + 1);
    s->drained[s->drained_count++] = job;
}

/* Some of it is planned. */
static void remember_counted(struct sched *s, const struct demand *d)
{
    if (d->job == 0 ||
        (s->counted_count > 0 && s->counted[s->counted_count - 1] == d->job))
        return;
    MEM_GROW(s->counted, s->counted_capacity, s->counted_count + 1);
    s->counted[s->counted_count++] = d->job;
}

/* Counting and the first search may take all looks, so once a round there are some to go on
 * with.  False when there are none. */
static bool has_looks(struct round *r)
{
    if (r->looks == 0 && !r->was_helped) {
        r->was_helped = true;
        r->looks = r->sched->looks / HELP_PART + 1;
    }
    return r->looks > 0;
}

/* A gang has an effort of its own: cut short, what it has planned would be for nothing. */
static struct fleet_agent *
search(struct round *r, struct seek *k, const struct fit_key *from, struct tasks *t)
{
    struct fleet_agent *a;

    if (t->is_gang)
        k->effort.most = GANG_ASKED - t->asked;
    if (t->is_gang && t->asked > GANG_ASKED / 2)
        k->has_wishes = false; /* any place is better than none */
    a = seek_best(k, from);
    t->asked += k->effort.spent;
    pay(r, k);
    return a;
}

static enum filled place_tasks(struct round *r, const struct pick *p, struct tasks *t)
{
    struct fit_key full; /* agents before this one have no room */
    const struct fit_key *from = NULL;
    enum filled filled = t->any ? FULL : ALL_PLACED;
    struct seek k;

    if (t->any)
        begin_seek(r, p->shape, t->job, &k);
    if (t->any && is_cut(r, &k))
        return OUT_OF_ROOM;
    while (filled == FULL && !k.effort.is_cut) {
        struct fleet_agent *a;

        if (t->is_gang ? t->asked >= GANG_ASKED : !has_looks(r))
            return t->is_gang ? FULL : OUT_OF_ROOM;
        r->looks -= r->looks > 0;
        a = search(r, &k, from, t);
        if (a == NULL)
            break;
        full = a->fit.key;
        filled = fill(r, &k, a, p, t);
        if (!t->is_gang || filled == ALL_PLACED)
            remember_counted(r->sched, k.demand);
        full = seek_after(&k, full, a);
        from = &full;
    }
    return filled == FULL && is_cut(r, &k) ? OUT_OF_ROOM : filled;
}

/* All of it is planned. */
static void
take_gang(struct round *r, const struct pick *p, const struct tasks *t, size_t begin)
{
    struct sched *s = r->sched;
    struct claimant who = {t->job, &p->shape->demand, s->now_us};

    for (size_t i = begin; i < r->count; i++) {
        lanes_take(&s->lanes, p, t->role, t->job);
        claims_take(
            &s->claims, &s->fleet, fleet_agent(&s->fleet, r->out[i].agent), &who);
    }
}

static enum filled place_gang(struct round *r, const struct pick *p, struct tasks *t)
{
    struct sched *s = r->sched;
    size_t begin = r->count;
    enum filled filled = FULL;

    if (!lanes_may_take(p, t->role))
        return AT_MAXIMUM;
    filled = place_tasks(r, p, t);
    if (filled == ALL_PLACED) {
        take_gang(r, p, t, begin);
        return ALL_PLACED;
    }
    fleet_forget(&s->fleet, r->state, r->out, begin, r->count - begin);
    r->count = begin;
    tasks_step(t, 0);
    return filled;
}

static void place_first_job(struct round *r, const struct pick *p)
{
    struct sched *s = r->sched;
    struct waiting *w = shape_first(p->shape);
    uint64_t id = w->rank.second;
    struct tasks t = {.job = state_job(r->state, id), .next = {.job = id}};
    uint32_t from = w->round == s->round ? w->planned : 0;
    enum filled filled;
    size_t count;

    r->looks--;
    if (t.job != NULL) {
        t.role = t.job->owner->role;
        t.is_gang = p->shape->demand.at_once > 1;
        tasks_step(&t, from);
    }
    if (t.is_gang && p->shape->demand.at_once > r->max - r->count) {
        r->is_full = true;
        return;
    }
    count = r->count;
    filled = t.is_gang ? place_gang(r, p, &t) : place_tasks(r, p, &t);
    if (r->count > count)
        p->shape->placed_us = s->now_us;
    w->round = s->round;
    w->planned = t.next.instance;
    switch (filled) {
    case FULL:
        fall_asleep(r, p);
        break;
    case AT_MAXIMUM:
        be_capped(r, p);
        break;
    case ALL_PLACED:
        drain(r, p, id);
        break;
    case OTHERS_TURN:
    case OUT_OF_ROOM:
        lanes_settle(&s->lanes, r->state, p);
        break;
    }
}

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

/* What is next, until there is nothing, or no looks or placements are left. */
static void go_on(struct round *r, bool *more)
{
    struct sched *s = r->sched;

    while (r->count < r->max && r->looks > 0 && !r->is_full) {
        struct pick p = next_pick(r);
        uint64_t changes = s->claims.changes;

        if (p.shape == NULL) {
            *more = r->looks == 0 || r->is_compared || s->lanes.is_cut ||
                    s->lanes.reviews > 0 || lanes_are_to_wake(&s->lanes) ||
                    s->lanes.was_passed || s->fleet.has_relaxed || !r->is_reserved;
            break;
        }
        place_first_job(r, &p);
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
