/* lanes.c - the queues of roles and owners, in order of whose turn it is. */
#include "sched/lanes.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sched/turn.h"

#include <string.h>

static int lane_by_owner(const struct lane *a, const struct lane *b)
{
    return strcmp(a->owner, b->owner);
}

static int role_by_name(const struct role_lanes *a, const struct role_lanes *b)
{
    return strcmp(a->name, b->name);
}

RB_GENERATE(lane_tree, lane, by_owner, lane_by_owner)
RB_GENERATE(role_lanes_tree, role_lanes, by_name, role_by_name)

void lanes_init(struct lanes *l,
                const struct use *total,
                const struct fit_tree *grown,
                const uint64_t *claims)
{
    *l = (struct lanes){.total = total,
                        .grown = grown,
                        .claims = claims,
                        .look = 1,
                        .ready = {.in_order = true},
                        .asleep = {.of_needs = true}};
    RB_INIT(&l->roles);
    TAILQ_INIT(&l->distincts.shapes);
    TAILQ_INIT(&l->tellings.list);
}

/* ---- finding ---- */

static struct role_lanes *find_role(const struct lanes *l, const char *name)
{
    struct role_lanes wanted = {.name = (char *)name};

    return RB_FIND(role_lanes_tree, (struct role_lanes_tree *)&l->roles, &wanted);
}

static struct lane *find_lane(const struct role_lanes *r, const char *owner)
{
    struct lane wanted = {.owner = (char *)owner};

    return RB_FIND(lane_tree, (struct lane_tree *)&r->lanes, &wanted);
}

/* The name of the lane that this owner's jobs are in. */
static const char *lane_name(const struct owner *o)
{
    return o->role->spec.order == ROLE_FAIR ? o->name : "";
}

/* ---- what is used ---- */

static bool is_fair(const struct role *role)
{
    return role != NULL && role->spec.order == ROLE_FAIR;
}

static const struct use NO_USE;

static bool room_has_grown(const struct bound_room *now, const struct bound_room *least)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (now->kind[k] > least->kind[k])
            return true;
    for (int i = 0; i < LIMIT_CUSTOM; i++)
        if (now->custom[i] > least->custom[i])
            return true;
    return false;
}

static void lower(struct bound_room *least, const struct bound_room *now)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (now->kind[k] < least->kind[k])
            least->kind[k] = now->kind[k];
    for (int i = 0; i < LIMIT_CUSTOM; i++)
        if (now->custom[i] < least->custom[i])
            least->custom[i] = now->custom[i];
}

static void uncapping_begin(struct role_lanes *r)
{
    struct uncapping *u = &r->uncapping;

    u->is_due = true;
    u->was_cut = false;
    u->again = false;
    u->epoch++;
    u->least = r->room;
}

/* From the first turn on: at once, or after the end when it was cut, so that it gets there. */
static void uncap(struct role_lanes *r)
{
    if (r->uncapping.was_cut)
        r->uncapping.again = true;
    else
        uncapping_begin(r);
}

/* What holds a capped shape back may be no part of it any more. */
static void take_maximum(struct role_lanes *r, const struct role_bound *max)
{
    role_bound_finish(&r->max);
    role_bound_copy(&r->max, max);
    r->uncapping.is_of_all = true;
    uncapping_begin(r);
}

/* What it plans is in the state, or will not be. */
static void read_role(struct lanes *l, struct role_lanes *r, const struct role *role)
{
    use_finish(&r->planned);
    r->uncapping.is_paused = false;
    r->uncapping.looks = 0;
    if (role == NULL)
        return; /* its jobs are gone: they leave when their effects are told */
    r->share = dominant_share(&role->spec, &role->use, l->total);
    r->is_owed = role_is_owed(&role->spec, &role->use, &NO_USE);
    r->room = bound_room(&role->spec.max, &role->use);
    if (!role_bound_equal(&r->max, &role->spec.max)) {
        take_maximum(r, &role->spec.max);
    } else if (room_has_grown(&r->room, &r->uncapping.least)) {
        uncap(r);
    }
}

static void read_lane(struct lanes *l, struct lane *lane, const struct role *role)
{
    const struct owner *o = is_fair(role) ? role_owner(role, lane->owner) : NULL;

    use_finish(&lane->planned);
    lane->share = o == NULL ? 0 : dominant_share(&role->spec, &o->use, l->total);
}

static void touch_role(struct lanes *l, struct role_lanes *r)
{
    if (r->is_touched)
        return;
    r->is_touched = true;
    MEM_GROW(l->touched, l->touched_capacity, l->touched_count + 1);
    l->touched[l->touched_count++] = r;
}

static void touch_lane(struct lanes *l, struct lane *lane)
{
    if (lane->is_touched)
        return;
    lane->is_touched = true;
    MEM_GROW(l->lanes, l->lane_capacity, l->lane_count + 1);
    l->lanes[l->lane_count++] = lane;
}

/* ---- order ---- */

static bool is_in(const struct fit_node *n)
{
    return n->height > 0;
}

/* Put a node where it belongs now, or out when `inner` (of a tree of needs) or `belongs` says
 * that there is nothing. */
static void place_node(struct fit_tree *t,
                       struct fit_node *n,
                       struct fit_key key,
                       bool belongs,
                       const struct fit_tree *inner)
{
    if (t->in_order && is_in(n) && belongs && fit_key_compare(&n->key, &key) == 0)
        return;
    if (is_in(n))
        fit_tree_remove(t, n);
    if (!belongs)
        return;
    n->key = key;
    if (inner != NULL)
        fit_tree_insert_tree(t, n, inner);
    else
        fit_tree_insert(t, n);
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

/* True while what rests there is compared with what has grown. */
static bool
is_comparing(const struct lanes *l, const struct role_lanes *r, enum place p)
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

    if (!is_comparing(l, r, p))
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

    return is_comparing(l, r, SHAPE_ASLEEP) &&
           fit_tree_find_need(&r->at[SHAPE_ASLEEP], from, l->grown) != NULL;
}

static struct lane *first_lane(const struct role_lanes *r, enum place place)
{
    struct fit_node *n = fit_tree_first(&r->at[place]);

    return n == NULL ? NULL : n->owner;
}

static bool may_uncap(const struct role_lanes *r)
{
    return r->uncapping.is_due && !r->uncapping.is_paused;
}

/* Roles that are to be compared share the looks for it. */
static void count_uncapping(struct lanes *l, struct role_lanes *r)
{
    bool counts = r->uncapping.is_due && r->at[SHAPE_CAPPED].root != NULL;

    l->uncapping -= r->uncapping.is_counted;
    l->uncapping += counts;
    r->uncapping.is_counted = counts;
}

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

static struct fit_key role_key(const struct role_lanes *r, const struct role *role)
{
    return (struct fit_key){role_turn(&role->spec, r->is_owed, r->share), role->id};
}

static void order_role(struct lanes *l, struct role_lanes *r, const struct role *role)
{
    bool is_ready = r->at[SHAPE_READY].root != NULL ||
                    (may_uncap(r) && r->at[SHAPE_CAPPED].root != NULL);
    bool is_asleep = r->at[SHAPE_ASLEEP].root != NULL;
    struct fit_key key = {0};

    if (role == NULL)
        is_ready = is_asleep = false;
    else
        key = role_key(r, role);
    place_node(&l->ready, &r->ready, key, is_ready, NULL);
    place_node(&l->asleep, &r->asleep, key, is_asleep, &r->at[SHAPE_ASLEEP]);
    count_uncapping(l, r);
    l->changes++;
    pass(l, &l->passing, &l->ready, &l->asleep, &r->turn, key);
    if (is_asleep && is_passed_by(&l->cursor, &key) && role_has_uncompared(l, r))
        l->cursor.from = key;
}

static void order_lane(struct lanes *l, struct lane *lane, const struct role *role)
{
    struct role_lanes *r = lane->role;
    struct fit_key key = {0};

    if (!queue_is_empty(&lane->queue))
        key.second = queue_oldest(&lane->queue);
    if (is_fair(role))
        key.first = lane->share;
    for (int p = 0; p < SHAPE_PLACES; p++) {
        const struct fit_tree *inner = &lane->queue.at[p];

        place_node(&r->at[p],
                   &lane->at[p],
                   key,
                   inner->root != NULL,
                   p == SHAPE_READY ? NULL : inner);
        if (is_in(&lane->at[p]) && is_passed_by(&r->cursor[p], &key) &&
            has_uncompared(l, lane, (enum place)p))
            r->cursor[p].from = key;
    }
    pass(l, &r->passing, &r->at[SHAPE_READY], &r->at[SHAPE_ASLEEP], &lane->turn, key);
}

/* ---- reviews ---- */

static struct ranking ranking_of(const struct role_spec *spec)
{
    return (struct ranking){spec->order, spec->aging_ms, spec->length_ms};
}

static bool ranking_equal(const struct ranking *a, const struct ranking *b)
{
    return a->order == b->order && a->aging_ms == b->aging_ms &&
           a->length_ms == b->length_ms;
}

/* From the first lane on: at once, or after the end of what goes on, so that it ends. */
static void review(struct lanes *l, struct role_lanes *r, bool ranks)
{
    if (r->review.next != NULL) {
        r->review.again = true;
        r->review.again_ranks |= ranks;
        return;
    }
    r->review =
        (struct review){.next = RB_MIN(lane_tree, &r->lanes), .is_of_ranks = ranks};
    l->reviews += r->review.next != NULL;
}

static void review_go_on(struct lanes *l, struct role_lanes *r, struct lane *next)
{
    struct review *v = &r->review;

    v->next = next;
    v->job = 0;
    if (next != NULL)
        return;
    l->reviews--;
    if (v->again)
        review(l, r, v->again_ranks);
}

/* ---- lanes ---- */

/* What is on its way for system jobs is not in the state yet, and nobody tells of it when it is: so
 * what is new is read again when the next round begins. */
static struct role_lanes *add_role(struct lanes *l, const struct role *role)
{
    struct role_lanes *r = mem_zalloc(sizeof(*r));

    r->name = mem_strdup(role->name);
    RB_INIT(&r->lanes);
    r->at[SHAPE_READY].in_order = true;
    r->at[SHAPE_ASLEEP].of_needs = true;
    r->at[SHAPE_CAPPED].of_needs = true;
    r->ready.owner = r;
    r->asleep.owner = r;
    role_bound_copy(&r->max, &role->spec.max);
    read_role(l, r, role);
    r->uncapping = (struct uncapping){.least = r->room};
    r->ranking = ranking_of(&role->spec);
    RB_INSERT(role_lanes_tree, &l->roles, r);
    touch_role(l, r);
    return r;
}

static struct lane *add_lane(struct lanes *l,
                             struct role_lanes *r,
                             const struct role *role,
                             const char *owner)
{
    struct lane *lane = mem_zalloc(sizeof(*lane));

    lane->role = r;
    lane->owner = mem_strdup(owner);
    queue_init(&lane->queue, lane, &l->jobs, &l->distincts, &l->tellings);
    for (int p = 0; p < SHAPE_PLACES; p++)
        lane->at[p].owner = lane;
    read_lane(l, lane, role);
    RB_INSERT(lane_tree, &r->lanes, lane);
    touch_lane(l, lane);
    return lane;
}

static void free_lane(struct lanes *l, struct lane *lane)
{
    struct role_lanes *r = lane->role;
    struct lane *next = RB_NEXT(lane_tree, &r->lanes, lane);

    RB_REMOVE(lane_tree, &r->lanes, lane);
    if (r->review.next == lane)
        review_go_on(l, r, next);
    queue_finish(&lane->queue);
    use_finish(&lane->planned);
    mem_free(lane->owner);
    mem_free(lane);
}

static void free_role(struct lanes *l, struct role_lanes *r)
{
    RB_REMOVE(role_lanes_tree, &l->roles, r);
    l->uncapping -= r->uncapping.is_counted;
    use_finish(&r->planned);
    role_bound_finish(&r->max);
    mem_free(r->name);
    mem_free(r);
}

/* One without jobs ends, unless the round counts for it. */
static void settle(struct lanes *l, const struct state *s, struct lane *lane)
{
    struct role_lanes *r = lane->role;
    const struct role *role = state_role(s, r->name);

    order_lane(l, lane, role);
    if (queue_is_empty(&lane->queue) && !lane->is_touched)
        free_lane(l, lane);
    order_role(l, r, role);
    if (RB_EMPTY(&r->lanes) && !r->is_touched)
        free_role(l, r);
}

void lanes_finish(struct lanes *l)
{
    struct role_lanes *r, *next_role;
    struct lane *lane, *next_lane;

    RB_FOREACH_SAFE (r, role_lanes_tree, &l->roles, next_role) {
        RB_FOREACH_SAFE (lane, lane_tree, &r->lanes, next_lane)
            free_lane(l, lane);
        free_role(l, r);
    }
    mem_free(l->touched);
    mem_free(l->lanes);
    *l = (struct lanes){0};
}

/* ---- jobs ---- */

/* Of a shape that is asleep another job may come before somebody now. */
static bool leads_otherwise(const struct shape *shape,
                            const struct waiting *w,
                            const struct fit_key *rank)
{
    if (w != NULL && fit_key_compare(&w->rank, rank) != 0)
        return true;
    return shape != NULL && shape->at == SHAPE_ASLEEP &&
           fit_key_compare(rank, &shape->place.key) < 0;
}

/* With its rank of now, in the lane and shape where it belongs now.  One that is of another
 * shape now, since it is expected to take another time, is tried again. */
static void
add_job(struct lanes *l, const struct state *s, struct lane *lane, const struct job *j)
{
    struct fit_key rank = job_rank(&j->owner->role->spec, j);
    struct waiting *w = waiting_find(&l->jobs, j->id);
    struct lane *old = w == NULL ? lane : w->shape->queue->owner;
    const struct shape *shape = queue_shape(&lane->queue, j);
    bool is_moving = w != NULL && w->shape != shape, wake;

    if (*l->claims != 0 && (is_moving || leads_otherwise(shape, w, &rank))) {
        lane->reranked = old->reranked = l->look;
        l->was_passed = true;
    }
    if (shape == NULL && w != NULL)
        shape = w->shape;
    wake = shape != NULL && is_comparing(l, lane->role, shape->at);
    wake |= is_moving && old == lane && w->shape->at == SHAPE_ASLEEP;
    if (!is_moving) {
        queue_add(&lane->queue, j, rank, wake);
    } else {
        queue_take_over(&lane->queue, w, j, rank, wake);
        if (old != lane)
            settle(l, s, old);
    }
    settle(l, s, lane);
}

/* A gang began, or is to begin again: another number of its tasks is placed at once. */
static void renew(struct lanes *l, const struct state *s, const struct job *j)
{
    struct shape *shape = waiting_find(&l->jobs, j->id)->shape;
    struct lane *lane = shape->queue->owner;
    uint32_t at_once = job_demand(j).at_once;

    if (shape->demand.at_once == at_once)
        return;
    shape->demand.at_once = at_once;
    queue_move(&lane->queue, shape, SHAPE_READY);
    settle(l, s, lane);
}

void lanes_add(struct lanes *l, const struct state *s, const struct job *j)
{
    const struct role *role = j->owner->role;
    struct role_lanes *r = find_role(l, role->name);
    struct lane *lane;

    if (r == NULL)
        r = add_role(l, role);
    lane = find_lane(r, lane_name(j->owner));
    if (lane == NULL)
        lane = add_lane(l, r, role, lane_name(j->owner));
    add_job(l, s, lane, j);
    if (j->is_gang)
        renew(l, s, j);
}

static void wake(struct lanes *l, const struct state *s, struct shape *shape)
{
    struct lane *lane = shape->queue->owner;

    if (shape->at != SHAPE_ASLEEP)
        return;
    queue_move(&lane->queue, shape, SHAPE_READY);
    settle(l, s, lane);
}

void lanes_wake(struct lanes *l, const struct state *s, uint64_t job)
{
    struct waiting *w = waiting_find(&l->jobs, job);

    if (w != NULL && w->shape->demand.job != 0)
        wake(l, s, w->shape);
}

void lanes_regrouped(struct lanes *l)
{
    l->distincts.again = true;
}

bool lanes_are_to_wake(const struct lanes *l)
{
    return l->distincts.next != NULL || l->distincts.again;
}

void lanes_wake_distinct(struct lanes *l, const struct state *s, unsigned *looks)
{
    struct distincts *d = &l->distincts;

    while (*looks > 0 && lanes_are_to_wake(l)) {
        struct shape *shape = d->next;

        --*looks;
        if (shape == NULL) {
            d->again = false;
            d->next = TAILQ_FIRST(&d->shapes);
            continue;
        }
        d->next = TAILQ_NEXT(shape, distinct);
        wake(l, s, shape);
    }
}

void lanes_remove(struct lanes *l, const struct state *s, uint64_t job)
{
    struct waiting *w = waiting_find(&l->jobs, job);

    struct lane *lane;

    if (w == NULL)
        return;
    lane = w->shape->queue->owner;
    queue_remove(&lane->queue, w);
    settle(l, s, lane);
}

/* ---- changes of the state ---- */

void lanes_freed(struct lanes *l, const struct state *s, const struct job *j)
{
    const struct owner *o = j->owner;
    struct role_lanes *r = find_role(l, o->role->name);
    struct lane *lane = r == NULL ? NULL : find_lane(r, lane_name(o));

    if (r == NULL)
        return;
    touch_role(l, r);
    if (lane == NULL)
        return;
    touch_lane(l, lane);
    if (o->role->spec.order == ROLE_SRTF && waiting_find(&l->jobs, j->id) != NULL)
        lanes_add(l, s, j);
}

void lanes_role_changed(struct lanes *l, const struct state *s, uint64_t id)
{
    const struct role *role =
        id == 0 ? state_role(s, ROLE_DEFAULT) : s->roles_by_id[id];
    struct role_lanes *r = role == NULL ? NULL : find_role(l, role->name);
    struct ranking ranking;

    if (r == NULL)
        return;
    touch_role(l, r);
    ranking = ranking_of(&role->spec);
    if (!ranking_equal(&r->ranking, &ranking))
        review(l, r, true);
    else if (ranking.order == ROLE_FAIR)
        review(l, r, false); /* what it bounds counts in shares */
    r->ranking = ranking;
}

void lanes_all_changed(struct lanes *l)
{
    struct role_lanes *r;

    RB_FOREACH (r, role_lanes_tree, &l->roles) {
        touch_role(l, r);
        if (r->ranking.order == ROLE_FAIR)
            review(l, r, false);
    }
}

/* The next job of the lane that is read again has its rank, or all have and it has its
 * share. */
static void review_step(struct lanes *l, const struct state *s, struct role_lanes *r)
{
    struct review *v = &r->review;
    struct lane *lane = v->next;
    struct waiting from = {.rank = {0, v->job}};
    struct waiting *w =
        v->is_of_ranks ? RB_NFIND(waiting_age_tree, &lane->queue.jobs, &from) : NULL;
    const struct role *role = state_role(s, r->name);
    const struct job *j;

    if (w != NULL) {
        v->job = w->rank.second + 1;
        j = state_job(s, w->rank.second);
        if (j != NULL)
            lanes_add(l, s, j);
        return;
    }
    read_lane(l, lane, role);
    order_lane(l, lane, role);
    order_role(l, r, role);
    review_go_on(l, r, RB_NEXT(lane_tree, &r->lanes, lane));
}

static void review_slice(struct lanes *l,
                         const struct state *s,
                         struct role_lanes *r,
                         unsigned *looks)
{
    unsigned part = *looks / (unsigned)l->reviews;

    for (part = part > 0 ? part : 1; part > 0 && r->review.next != NULL; part--) {
        review_step(l, s, r);
        --*looks;
    }
}

void lanes_review(struct lanes *l, const struct state *s, unsigned *looks)
{
    struct role_lanes *r, *next;

    while (l->reviews > 0 && *looks > 0)
        RB_FOREACH_SAFE (r, role_lanes_tree, &l->roles, next)
            if (r->review.next != NULL && *looks > 0)
                review_slice(l, s, r, looks);
}

void lanes_refresh(struct lanes *l, const struct state *s)
{
    for (size_t i = 0; i < l->lane_count; i++) {
        struct lane *lane = l->lanes[i];

        lane->is_touched = false;
        touch_role(l, lane->role); /* so it stays */
        read_lane(l, lane, state_role(s, lane->role->name));
        settle(l, s, lane);
    }
    l->lane_count = 0;
    for (size_t i = 0; i < l->touched_count; i++) {
        struct role_lanes *r = l->touched[i];
        const struct role *role = state_role(s, r->name);

        r->is_touched = false;
        read_role(l, r, role);
        order_role(l, r, role);
        if (RB_EMPTY(&r->lanes))
            free_role(l, r);
    }
    l->touched_count = 0;
    l->is_cut = false;
}

/* ---- a round ---- */

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

bool lanes_may_take(const struct pick *p, const struct role *role)
{
    struct fit_signature cap;

    return !cap_of(&p->role->room, &role->spec.max, &p->shape->demand, &cap);
}

void lanes_take(struct lanes *l,
                const struct pick *p,
                const struct role *role,
                const struct job *j)
{
    struct role_lanes *r = p->role;
    struct lane *lane = p->lane;

    use_take(&r->planned, j);
    bound_room_take(&r->room, &role->spec.max, j);
    r->share = share_with(r->share, &role->spec, &role->use, &r->planned, l->total, j);
    r->is_owed = role_is_owed(&role->spec, &role->use, &r->planned);
    touch_role(l, r);
    if (is_fair(role)) {
        use_take(&lane->planned, j);
        lane->share = share_with(
            lane->share, &role->spec, &j->owner->use, &lane->planned, l->total, j);
    }
    touch_lane(l, lane);
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
           !(may_uncap(r) &&
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

    if (is_fair(role) && !lane_is_first(p, has_grown))
        return false;
    if (l->ready.root->height == 1 && (!has_grown || l->asleep.root == NULL))
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

void lanes_settle(struct lanes *l, const struct state *s, const struct pick *p)
{
    settle(l, s, p->lane);
}

void lanes_move(struct lanes *l,
                const struct state *s,
                const struct pick *p,
                enum place to)
{
    queue_move(&p->lane->queue, p->shape, to);
    settle(l, s, p->lane);
}

void lanes_pop(struct lanes *l, const struct state *s, const struct pick *p)
{
    queue_pop(&p->lane->queue, p->shape);
    settle(l, s, p->lane);
}

/* ---- capped shapes ---- */

void lanes_uncapping_go_on(struct role_lanes *r)
{
    lower(&r->uncapping.least, &r->room);
}

struct caps_wanted lanes_wanted(const struct role_lanes *r)
{
    return r->uncapping.is_of_all ? caps_all() : caps_wanted(&r->room, &r->max);
}

bool lanes_cap(struct lanes *l,
               const struct state *s,
               struct lane *lane,
               struct shape *shape)
{
    struct role_lanes *r = lane->role;
    const struct role *role = state_role(s, r->name);
    struct fit_signature cap;

    if (!cap_of(&r->room, &role->spec.max, &shape->demand, &cap))
        return false;
    lower(&r->uncapping.least, &r->room);
    queue_cap(&lane->queue, shape, &cap);
    settle(l, s, lane);
    return true;
}

void lanes_uncapping_end(struct lanes *l, const struct state *s, struct role_lanes *r)
{
    bool again = r->uncapping.again;

    r->uncapping.is_due = false;
    r->uncapping.is_of_all = false;
    r->uncapping.was_cut = false;
    if (again)
        uncapping_begin(r);
    order_role(l, r, state_role(s, r->name));
}

void lanes_uncapping_cut(struct lanes *l, const struct state *s, struct role_lanes *r)
{
    r->uncapping.was_cut = true;
    r->uncapping.is_paused = true;
    l->is_cut = true;
    touch_role(l, r);
    order_role(l, r, state_role(s, r->name));
}
