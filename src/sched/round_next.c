/* round_next.c - which shape is next, and may fit.
 *
 * As long as no agent has grown, sleeping shapes are not looked at, and when one has, the index
 * of sleeping shapes names those that it may hold.  So what fits nowhere costs nothing, and what
 * is behind it gets its turn.  The same holds for capped ones.
 */
#include "sched/round_private.h"

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

    round_begin_seek(
        r, shape, state_job(r->state, shape_first(shape)->rank.second), &k);
    has = seek_grown(&k);
    round_pay(r, &k);
    return round_is_cut(r, &k) ? CUT : has ? FOUND : NOTHING;
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

    cursor_begin(cursor, r->sched->waking.epoch);
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
        cursor_begin(in_lane, r->sched->waking.epoch);
        shape = queue_find_asleep(&lane->queue, in_lane->from, grown);
        if (shape == NULL) {
            cursor_step_over(cursor, n->key);
            continue;
        }
        if (!is_earlier_in_lane(ready, lane, shape))
            return NOT_EARLIER;
        found = find_grown_room(r, shape);
        if (found == FOUND)
            *ready = (struct pick){role, lane, shape};
        if (found != NOTHING)
            return found;
        cursor_step_over(in_lane, shape->place.key);
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
    cursor_begin(cursor, role->uncapping.epoch);
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
        cursor_begin(in_lane, role->uncapping.epoch);
        n = caps_find(&lane->queue.at[SHAPE_CAPPED], in_lane->from, &wanted);
        if (n == NULL) {
            cursor_step_over(cursor, lane->at[SHAPE_CAPPED].key);
            continue;
        }
        shape = n->owner;
        if (!is_earlier_in_lane(ready, lane, shape))
            return NOT_EARLIER;
        cursor_step_over(in_lane, shape->place.key);
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
    round_compare_again(s);
    s->waking.again = false;
}

bool round_is_waking(const struct round *r)
{
    return r->sched->fleet.grown.root != NULL && !r->is_compared;
}

/* A sleeping shape that an agent has room for now, earlier than what is ready. */
static void find_awakened(struct round *r, struct pick *ready)
{
    struct sched *s = r->sched;
    struct lanes *l = &s->lanes;

    while (round_is_waking(r) && r->looks > 0) {
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
        cursor_step_over(&l->cursor, n->key);
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

struct pick round_next(struct round *r)
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
