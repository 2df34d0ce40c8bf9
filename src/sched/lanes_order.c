/* lanes_order.c - whose turn it is, and who passed whom. */
#include "sched/lanes_private.h"

#include "sched/turn.h"

/* Put a node where it belongs now, or out when `inner` (of a tree of needs) or `belongs` says
 * that there is nothing. */
static void place_node(struct fit_tree *t,
                       struct fit_node *n,
                       struct fit_key key,
                       bool belongs,
                       const struct fit_tree *inner)
{
    if (!belongs) {
        if (n->is_in)
            fit_tree_remove(t, n);
    } else if (inner != NULL) {
        fit_tree_put_tree(t, n, key, inner);
    } else if (n->is_in) {
        fit_tree_move(t, n, key);
    } else {
        n->key = key;
        fit_tree_insert(t, n);
    }
}

static bool is_passed_by(const struct cursor *c, const struct fit_key *key)
{
    return fit_key_compare(key, &c->from) < 0;
}

/* Of a comparison that is not this one, nothing counts. */
static struct fit_key cursor_at(const struct cursor *c, uint64_t epoch)
{
    return c->epoch == epoch ? c->from : (struct fit_key){0};
}

bool lanes_is_comparing(const struct lanes *l, const struct role_lanes *r, enum place p)
{
    switch (p) {
    case SHAPE_ASLEEP:
        return l->grown->root != NULL;
    case SHAPE_CAPPED:
        return r->uncapping.is_due;
    case SHAPE_READY:
    case SHAPE_PLACES:
        break;
    }
    return false;
}

/* True if a shape of the lane that rests there is still to be compared. */
static bool has_uncompared(const struct lanes *l, const struct lane *lane, enum place p)
{
    const struct role_lanes *r = lane->role;
    const struct cursor *c = &lane->cursor[p];
    struct caps_wanted wanted;

    if (!lanes_is_comparing(l, r, p))
        return false;
    if (p == SHAPE_ASLEEP)
        return queue_find_asleep(
                   &lane->queue, cursor_at(c, l->cursor.epoch), l->grown) != NULL;
    wanted = lanes_wanted(r);
    return caps_find(&lane->queue.at[p], cursor_at(c, r->uncapping.epoch), &wanted) !=
           NULL;
}

/* The same of what is asleep of a role. */
static bool role_has_uncompared(const struct lanes *l, const struct role_lanes *r)
{
    struct fit_key from = cursor_at(&r->cursor[SHAPE_ASLEEP], l->cursor.epoch);

    return lanes_is_comparing(l, r, SHAPE_ASLEEP) &&
           fit_tree_find_need(&r->at[SHAPE_ASLEEP], from, l->grown) != NULL;
}

static struct lane *first_lane(const struct role_lanes *r, enum place place)
{
    struct fit_node *n = fit_tree_first(&r->at[place]);

    return n == NULL ? NULL : n->owner;
}

/* ---- passing ---- */

/* Another one is between the two. */
static bool
is_between(const struct fit_tree *t, const struct fit_key *a, const struct fit_key *b)
{
    bool is_up = fit_key_compare(a, b) < 0;
    struct fit_key low = is_up ? *a : *b;
    const struct fit_node *n;

    low.second++; /* the ends are its own */
    n = fit_tree_from(t, low);
    return n != NULL && fit_key_compare(&n->key, is_up ? b : a) < 0;
}

static void passing_add(struct passing *p,
                        const struct fit_key *a,
                        const struct fit_key *b,
                        uint64_t look)
{
    bool is_up = fit_key_compare(a, b) < 0;
    const struct fit_key *low = is_up ? a : b, *high = is_up ? b : a;

    if (p->look != look)
        *p = (struct passing){*low, *high, look};
    if (fit_key_compare(low, &p->low) < 0)
        p->low = *low;
    if (fit_key_compare(high, &p->high) > 0)
        p->high = *high;
}

static bool
passing_has(const struct passing *p, const struct fit_key *turn, uint64_t look)
{
    return p->look == look && fit_key_compare(turn, &p->low) >= 0 &&
           fit_key_compare(turn, &p->high) <= 0;
}

/* Whose turn it is is different; *turn is as it was. */
static void pass(struct lanes *l,
                 struct passing *passing,
                 const struct fit_tree *ready,
                 const struct fit_tree *asleep,
                 struct fit_key *turn,
                 struct fit_key now)
{
    if (*l->claims != 0 && fit_key_compare(turn, &now) != 0 &&
        (is_between(ready, turn, &now) || is_between(asleep, turn, &now))) {
        passing_add(passing, turn, &now, l->look);
        l->was_passed = true;
    }
    *turn = now;
}

bool lanes_was_passed(const struct lanes *l, const struct waiting *w)
{
    const struct lane *lane = w->shape->queue->owner;
    const struct role_lanes *r = lane->role;

    return passing_has(&l->passing, &r->turn, l->look) ||
           passing_has(&r->passing, &lane->turn, l->look) || lane->reranked == l->look;
}

void lanes_looked(struct lanes *l)
{
    l->was_passed = false;
    l->look++;
}

/* ---- turns ---- */

static struct fit_key role_key(const struct role_lanes *r, const struct role *role)
{
    return (struct fit_key){role_turn(&role->spec, r->is_owed, r->share), role->id};
}

void lanes_order_role(struct lanes *l, struct role_lanes *r, const struct role *role)
{
    bool is_ready = r->at[SHAPE_READY].root != NULL ||
                    (lanes_may_uncap(r) && r->at[SHAPE_CAPPED].root != NULL);
    bool is_asleep = r->at[SHAPE_ASLEEP].root != NULL;
    struct fit_key key = {0};

    if (role == NULL)
        is_ready = is_asleep = false;
    else
        key = role_key(r, role);
    place_node(&l->ready, &r->ready, key, is_ready, NULL);
    place_node(&l->asleep, &r->asleep, key, is_asleep, &r->at[SHAPE_ASLEEP]);
    lanes_count_uncapping(l, r);
    l->changes++;
    pass(l, &l->passing, &l->ready, &l->asleep, &r->turn, key);
    if (is_asleep && is_passed_by(&l->cursor, &key) && role_has_uncompared(l, r))
        l->cursor.from = key;
}

void lanes_order_lane(struct lanes *l, struct lane *lane, const struct role *role)
{
    struct role_lanes *r = lane->role;
    struct fit_key key = {0};

    if (!queue_is_empty(&lane->queue))
        key.second = queue_oldest(&lane->queue);
    if (role_is_fair(role))
        key.first = lane->share;
    for (int p = 0; p < SHAPE_PLACES; p++) {
        const struct fit_tree *inner = &lane->queue.at[p];

        place_node(&r->at[p],
                   &lane->at[p],
                   key,
                   inner->root != NULL,
                   p == SHAPE_READY ? NULL : inner);
        if (lane->at[p].is_in && is_passed_by(&r->cursor[p], &key) &&
            has_uncompared(l, lane, (enum place)p))
            r->cursor[p].from = key;
    }
    pass(l, &r->passing, &r->at[SHAPE_READY], &r->at[SHAPE_ASLEEP], &lane->turn, key);
}

/* ---- who is first ---- */

struct pick lanes_first(const struct lanes *l)
{
    struct fit_node *n = fit_tree_first(&l->ready);
    struct pick p = {.role = n == NULL ? NULL : n->owner};

    if (p.role == NULL)
        return p;
    p.lane = first_lane(p.role, SHAPE_READY);
    if (p.lane != NULL)
        p.shape = queue_first(&p.lane->queue, SHAPE_READY);
    return p;
}

/* True if another one than `self`, with a key of at least `from`, comes before this one,
 * which is that of `self` now. */
static bool is_passed(const struct fit_tree *t,
                      const void *self,
                      struct fit_key from,
                      struct fit_key key)
{
    const struct fit_node *n = fit_tree_from(t, from);

    if (n != NULL && n->owner == self) {
        from = n->key;
        from.second++;
        n = fit_tree_from(t, from);
    }
    return n != NULL && fit_key_compare(&n->key, &key) < 0;
}

/* What is at rest may be next as well, unless it was compared with all that has grown. */
static bool lane_is_first(const struct pick *p, bool has_grown)
{
    const struct role_lanes *r = p->role;
    const struct fit_key none = {0};
    struct fit_key key = p->lane->at[SHAPE_READY].key;

    key.first = p->lane->share;
    return !is_passed(&r->at[SHAPE_READY], p->lane, none, key) &&
           !(has_grown &&
             is_passed(
                 &r->at[SHAPE_ASLEEP], p->lane, r->cursor[SHAPE_ASLEEP].from, key)) &&
           !(lanes_may_uncap(r) &&
             is_passed(
                 &r->at[SHAPE_CAPPED], p->lane, r->cursor[SHAPE_CAPPED].from, key));
}

bool lanes_is_first(const struct lanes *l,
                    const struct role *role,
                    const struct pick *p,
                    bool has_grown)
{
    const struct role_lanes *r = p->role;
    const struct fit_key none = {0};
    struct fit_key key = r->ready.key;

    if (role_is_fair(role) && !lane_is_first(p, has_grown))
        return false;
    if (fit_tree_has_one(&l->ready) && (!has_grown || l->asleep.root == NULL))
        return true;
    key.first = role_turn(&role->spec, r->is_owed, r->share);
    return !is_passed(&l->ready, r, none, key) &&
           (!has_grown || !is_passed(&l->asleep, r, l->cursor.from, key));
}

/* A job that waits by the rank of now; of another lane by the turn of that. */
bool lanes_comes_before(const struct lanes *l,
                        const struct job *j,
                        const struct job *other)
{
    const struct waiting *w = waiting_find(&l->jobs, j->id);
    const struct waiting *v = other == NULL ? NULL : waiting_find(&l->jobs, other->id);
    const struct lane *x, *y;
    struct fit_key a, b;

    if (w == NULL || v == NULL)
        return true;
    x = w->shape->queue->owner;
    y = v->shape->queue->owner;
    if (x == y)
        return fit_key_compare(&w->rank, &v->rank) < 0;
    if (x->role == y->role) {
        a = (struct fit_key){x->share, queue_oldest(&x->queue)};
        b = (struct fit_key){y->share, queue_oldest(&y->queue)};
    } else {
        a = role_key(x->role, j->owner->role);
        b = role_key(y->role, other->owner->role);
    }
    return fit_key_compare(&a, &b) < 0;
}
