/* round_place.c - where the tasks of its first job go.
 *
 * A gang that begins is planned as a whole: what was planned of it is forgotten when the last of
 * its tasks has no place.  It is begun only when the round has room for all of them, and then goes
 * on to its end, whatever looks are left: LIMIT_GANG_TASKS searches at most.
 *
 * Worth is additive (worth.h).  So the agent that just took a task is still the best for the next
 * one of the same needs, and when it is full the next best comes behind where it was: one walk
 * over the index serves the whole job.  Where that is not so, since empty agents are better or
 * tasks of the job count for each other, each task is a search of its own (seek.h).
 */
#include "sched/round_private.h"

#include "base/assert.h"
#include "base/mem.h"

#define HELP_PART  4                  /* of the looks of a round */
#define GANG_ASKED (16 * SCHED_LOOKS) /* agents that are asked in vain for one */

/* ---- searches ---- */

void round_pay(struct round *r, struct seek *k)
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

void round_begin_seek(struct round *r,
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
    round_pay(r, k);
}

bool round_is_cut(struct round *r, const struct seek *k)
{
    if (k->effort.is_cut)
        matchers_keep(&r->sched->fleet.matchers, k->matcher);
    return k->effort.is_cut;
}

/* ---- tasks ---- */

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
    bool has_grown = round_is_waking(r);
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

    if (round_is_waking(r)) {
        cursor_begin(cursor, s->waking.epoch);
        cursor_step_over(cursor, p->shape->place.key);
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
    round_pay(r, k);
    return a;
}

static enum filled place_tasks(struct round *r, const struct pick *p, struct tasks *t)
{
    struct fit_key full; /* agents before this one have no room */
    const struct fit_key *from = NULL;
    enum filled filled = t->any ? FULL : ALL_PLACED;
    struct seek k;

    if (t->any)
        round_begin_seek(r, p->shape, t->job, &k);
    if (t->any && round_is_cut(r, &k))
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
    return filled == FULL && round_is_cut(r, &k) ? OUT_OF_ROOM : filled;
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

void round_place_first(struct round *r, const struct pick *p)
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
