/* lanes.c - the queues of roles and owners, in order of whose turn it is. */
#include "sched/lanes_private.h"

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

struct role_lanes *lanes_find_role(const struct lanes *l, const char *name)
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

static const struct use NO_USE;

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
    lanes_read_room(r, role);
}

void lanes_read_lane(struct lanes *l, struct lane *lane, const struct role *role)
{
    const struct owner *o = role_is_fair(role) ? role_owner(role, lane->owner) : NULL;

    use_finish(&lane->planned);
    lane->share = o == NULL ? 0 : dominant_share(&role->spec, &o->use, l->total);
}

void lanes_touch_role(struct lanes *l, struct role_lanes *r)
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
    r->ranking = lanes_ranking(&role->spec);
    RB_INSERT(role_lanes_tree, &l->roles, r);
    lanes_touch_role(l, r);
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
    lanes_read_lane(l, lane, role);
    RB_INSERT(lane_tree, &r->lanes, lane);
    touch_lane(l, lane);
    return lane;
}

static void free_lane(struct lanes *l, struct lane *lane)
{
    struct role_lanes *r = lane->role;
    struct lane *next = RB_NEXT(lane_tree, &r->lanes, lane);

    RB_REMOVE(lane_tree, &r->lanes, lane);
    lanes_review_leave(l, lane, next);
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

void lanes_settle_lane(struct lanes *l, const struct state *s, struct lane *lane)
{
    struct role_lanes *r = lane->role;
    const struct role *role = state_role(s, r->name);

    lanes_order_lane(l, lane, role);
    if (queue_is_empty(&lane->queue) && !lane->is_touched)
        free_lane(l, lane);
    lanes_order_role(l, r, role);
    if (RB_EMPTY(&r->lanes) && !r->is_touched)
        free_role(l, r);
}

void lanes_finish(struct lanes *l)
{
    struct role_lanes *r, *next_role;
    struct lane *lane, *next_lane;

    fit_tree_clear(&l->ready);
    fit_tree_clear(&l->asleep);
    RB_FOREACH_SAFE (r, role_lanes_tree, &l->roles, next_role) {
        for (int p = 0; p < SHAPE_PLACES; p++)
            fit_tree_clear(&r->at[p]);
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
    wake = shape != NULL && lanes_is_comparing(l, lane->role, shape->at);
    wake |= is_moving && old == lane && w->shape->at == SHAPE_ASLEEP;
    if (!is_moving) {
        queue_add(&lane->queue, j, rank, wake);
    } else {
        queue_take_over(&lane->queue, w, j, rank, wake);
        if (old != lane)
            lanes_settle_lane(l, s, old);
    }
    lanes_settle_lane(l, s, lane);
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
    lanes_settle_lane(l, s, lane);
}

void lanes_add(struct lanes *l, const struct state *s, const struct job *j)
{
    const struct role *role = j->owner->role;
    struct role_lanes *r = lanes_find_role(l, role->name);
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
    lanes_settle_lane(l, s, lane);
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
    lanes_settle_lane(l, s, lane);
}

/* ---- changes of the state ---- */

void lanes_freed(struct lanes *l, const struct state *s, const struct job *j)
{
    const struct owner *o = j->owner;
    struct role_lanes *r = lanes_find_role(l, o->role->name);
    struct lane *lane = r == NULL ? NULL : find_lane(r, lane_name(o));

    if (r == NULL)
        return;
    lanes_touch_role(l, r);
    if (lane == NULL)
        return;
    touch_lane(l, lane);
    if (o->role->spec.order == ROLE_SRTF && waiting_find(&l->jobs, j->id) != NULL)
        lanes_add(l, s, j);
}

void lanes_refresh(struct lanes *l, const struct state *s)
{
    for (size_t i = 0; i < l->lane_count; i++) {
        struct lane *lane = l->lanes[i];

        lane->is_touched = false;
        lanes_touch_role(l, lane->role); /* so it stays */
        lanes_read_lane(l, lane, state_role(s, lane->role->name));
        lanes_settle_lane(l, s, lane);
    }
    l->lane_count = 0;
    for (size_t i = 0; i < l->touched_count; i++) {
        struct role_lanes *r = l->touched[i];
        const struct role *role = state_role(s, r->name);

        r->is_touched = false;
        read_role(l, r, role);
        lanes_order_role(l, r, role);
        if (RB_EMPTY(&r->lanes))
            free_role(l, r);
    }
    l->touched_count = 0;
    l->is_cut = false;
}

/* ---- a round ---- */

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
    lanes_touch_role(l, r);
    if (role_is_fair(role)) {
        use_take(&lane->planned, j);
        lane->share = share_with(
            lane->share, &role->spec, &j->owner->use, &lane->planned, l->total, j);
    }
    touch_lane(l, lane);
}

void lanes_settle(struct lanes *l, const struct state *s, const struct pick *p)
{
    lanes_settle_lane(l, s, p->lane);
}

void lanes_move(struct lanes *l,
                const struct state *s,
                const struct pick *p,
                enum place to)
{
    queue_move(&p->lane->queue, p->shape, to);
    lanes_settle_lane(l, s, p->lane);
}

void lanes_pop(struct lanes *l, const struct state *s, const struct pick *p)
{
    queue_pop(&p->lane->queue, p->shape);
    lanes_settle_lane(l, s, p->lane);
}

/* ---- capped shapes ---- */
