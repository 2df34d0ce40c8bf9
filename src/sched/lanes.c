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

void lanes_init(struct lanes *l, const struct use *total)
{
    *l = (struct lanes){.total = total, .asleep = {.of_needs = true}};
    RB_INIT(&l->roles);
    RB_INIT(&l->jobs);
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

static void use_copy(struct use *to, const struct use *from)
{
    use_finish(to);
    use_add_all(to, from);
}

static void read_role(struct role_lanes *r, const struct role *role)
{
    static const struct use NONE;

    use_copy(&r->used, role == NULL ? &NONE : &role->use);
}

static void read_lane(struct lane *lane, const struct role *role)
{
    static const struct use NONE;
    const struct owner *o = is_fair(role) ? role_owner(role, lane->owner) : NULL;

    use_copy(&lane->used, o == NULL ? &NONE : &o->use);
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

/* Something may come before what was compared already. */
static void go_back(struct cursor *c, struct fit_key key)
{
    if (fit_key_compare(&key, &c->from) < 0)
        c->from = key;
}

static struct lane *first_lane(const struct role_lanes *r, enum place place)
{
    struct fit_node *n = fit_tree_first(&r->at[place]);

    return n == NULL ? NULL : n->owner;
}

static void order_role(struct lanes *l, struct role_lanes *r, const struct role *role)
{
    bool is_ready = r->at[SHAPE_READY].root != NULL ||
                    (r->may_uncap && r->at[SHAPE_CAPPED].root != NULL);
    bool is_asleep = r->at[SHAPE_ASLEEP].root != NULL;
    struct fit_key key = {0};

    if (role == NULL) /* its jobs are gone: they leave when their effects are told */
        is_ready = is_asleep = false;
    else
        key = (struct fit_key){role_turn(&role->spec, &r->used, l->total), role->id};
    place_node(&l->ready, &r->ready, key, is_ready, NULL);
    place_node(&l->asleep, &r->asleep, key, is_asleep, &r->at[SHAPE_ASLEEP]);
    if (is_asleep)
        go_back(&l->cursor, key);
}

static void order_lane(struct lanes *l, struct lane *lane, const struct role *role)
{
    struct role_lanes *r = lane->role;
    struct fit_key key = {0};

    if (!queue_is_empty(&lane->queue))
        key.second = queue_oldest(&lane->queue);
    if (is_fair(role))
        key.first = share_of(&lane->used, l->total, ROLE_WEIGHT_DEFAULT);
    for (int p = 0; p < SHAPE_PLACES; p++) {
        const struct fit_tree *inner = &lane->queue.at[p];

        place_node(&r->at[p],
                   &lane->at[p],
                   key,
                   inner->root != NULL,
                   p == SHAPE_READY ? NULL : inner);
        if (is_in(&lane->at[p]))
            go_back(&r->cursor[p], key);
    }
}

/* ---- lanes ---- */

static struct role_lanes *
add_role(struct lanes *l, const struct role *role, const char *name)
{
    struct role_lanes *r = mem_zalloc(sizeof(*r));

    r->name = mem_strdup(name);
    RB_INIT(&r->lanes);
    r->at[SHAPE_ASLEEP].of_needs = true;
    r->at[SHAPE_CAPPED].of_needs = true;
    r->ready.owner = r;
    r->asleep.owner = r;
    read_role(r, role);
    RB_INSERT(role_lanes_tree, &l->roles, r);
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
    queue_init(&lane->queue, lane, &l->jobs);
    for (int p = 0; p < SHAPE_PLACES; p++)
        lane->at[p].owner = lane;
    read_lane(lane, role);
    RB_INSERT(lane_tree, &r->lanes, lane);
    return lane;
}

static void free_lane(struct lane *lane)
{
    RB_REMOVE(lane_tree, &lane->role->lanes, lane);
    queue_finish(&lane->queue);
    use_finish(&lane->used);
    mem_free(lane->owner);
    mem_free(lane);
}

static void free_role(struct lanes *l, struct role_lanes *r)
{
    RB_REMOVE(role_lanes_tree, &l->roles, r);
    use_finish(&r->used);
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
        free_lane(lane);
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
            free_lane(lane);
        free_role(l, r);
    }
    mem_free(l->touched);
    mem_free(l->lanes);
    *l = (struct lanes){0};
}

/* ---- jobs ---- */

/* With its rank of now.  A shape that rests may come before what was compared already. */
static void
add_job(const struct lanes *l, struct lane *lane, const struct job *j, bool wake)
{
    const struct shape *shape;

    queue_add(&lane->queue, j, job_rank(&j->owner->role->spec, j), wake);
    shape = waiting_find(&l->jobs, j->id)->shape;
    if (shape->at != SHAPE_READY)
        go_back(&lane->cursor[shape->at], shape->place.key);
}

void lanes_add(struct lanes *l, const struct state *s, const struct job *j, bool wake)
{
    const struct role *role = j->owner->role;
    struct role_lanes *r = find_role(l, role->name);
    struct lane *lane;

    if (r == NULL)
        r = add_role(l, role, role->name);
    lane = find_lane(r, lane_name(j->owner));
    if (lane == NULL)
        lane = add_lane(l, r, role, lane_name(j->owner));
    add_job(l, lane, j, wake);
    settle(l, s, lane);
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

void lanes_role_changed(struct lanes *l, const struct state *s, const char *name)
{
    struct role_lanes *r = find_role(l, name);
    const struct role *role = state_role(s, name);

    if (r == NULL)
        return;
    read_role(r, role);
    r->may_uncap = true;
    r->uncapping++;
    order_role(l, r, role);
}

void lanes_freed(struct lanes *l, const struct state *s, const struct job *j)
{
    const struct owner *o = j->owner;
    struct role_lanes *r = find_role(l, o->role->name);
    struct lane *lane = r == NULL ? NULL : find_lane(r, lane_name(o));

    if (r == NULL)
        return;
    if (lane != NULL) {
        read_lane(lane, o->role);
        if (o->role->spec.order == ROLE_SRTF && waiting_find(&l->jobs, j->id) != NULL)
            add_job(l, lane, j, false);
        order_lane(l, lane, o->role);
    }
    lanes_role_changed(l, s, r->name);
}

static void refresh_all(struct lanes *l, const struct state *s)
{
    struct role_lanes *r;
    struct lane *lane;

    RB_FOREACH (r, role_lanes_tree, &l->roles) {
        const struct role *role = state_role(s, r->name);

        RB_FOREACH (lane, lane_tree, &r->lanes) {
            read_lane(lane, role);
            order_lane(l, lane, role);
        }
        lanes_role_changed(l, s, r->name);
    }
}

void lanes_refresh(struct lanes *l, const struct state *s, bool all)
{
    for (size_t i = 0; i < l->lane_count; i++) {
        struct lane *lane = l->lanes[i];

        lane->is_touched = false;
        read_lane(lane, state_role(s, lane->role->name));
        settle(l, s, lane); /* its role is touched, and stays */
    }
    l->lane_count = 0;
    for (size_t i = 0; i < l->touched_count; i++) {
        struct role_lanes *r = l->touched[i];

        r->is_touched = false;
        lanes_role_changed(l, s, r->name);
        if (RB_EMPTY(&r->lanes))
            free_role(l, r);
    }
    l->touched_count = 0;
    if (all)
        refresh_all(l, s);
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

bool lanes_may_take(const struct pick *p, const struct role *role, const struct job *j)
{
    return bound_has_room(&role->spec.max, &p->role->used, j);
}

struct resources lanes_headroom(const struct role_lanes *r, const struct state *s)
{
    const struct role *role = state_role(s, r->name);
    struct resources room;

    for (int k = 0; k < RESOURCE_KINDS; k++) {
        uint64_t max = role->spec.max.amount.amount[k];

        room.amount[k] = LIMIT_RESOURCE;
        if ((role->spec.max.kinds & 1u << k) != 0)
            room.amount[k] =
                r->used.amount[k] < max ? max - (uint64_t)r->used.amount[k] : 0;
    }
    return room;
}

void lanes_stay_capped(struct lanes *l, const struct state *s, struct role_lanes *r)
{
    r->may_uncap = false;
    order_role(l, r, state_role(s, r->name));
}

void lanes_take(struct lanes *l, const struct pick *p, const struct job *j)
{
    struct role_lanes *r = p->role;
    struct lane *lane = p->lane;

    use_take(&r->used, j);
    use_take(&lane->used, j);
    if (!r->is_touched) {
        r->is_touched = true;
        MEM_GROW(l->touched, l->touched_capacity, l->touched_count + 1);
        l->touched[l->touched_count++] = r;
    }
    if (!lane->is_touched) {
        lane->is_touched = true;
        MEM_GROW(l->lanes, l->lane_capacity, l->lane_count + 1);
        l->lanes[l->lane_count++] = lane;
    }
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
static bool lane_is_first(const struct lanes *l, const struct pick *p, bool has_grown)
{
    const struct role_lanes *r = p->role;
    const struct fit_key none = {0};
    struct fit_key key = p->lane->at[SHAPE_READY].key;

    key.first = share_of(&p->lane->used, l->total, ROLE_WEIGHT_DEFAULT);
    return !is_passed(&r->at[SHAPE_READY], p->lane, none, key) &&
           !(has_grown &&
             is_passed(
                 &r->at[SHAPE_ASLEEP], p->lane, r->cursor[SHAPE_ASLEEP].from, key)) &&
           !(r->may_uncap &&
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

    if (is_fair(role) && !lane_is_first(l, p, has_grown))
        return false;
    if (l->ready.root->height == 1 && (!has_grown || l->asleep.root == NULL))
        return true;
    key.first = role_turn(&role->spec, &r->used, l->total);
    return !is_passed(&l->ready, r, none, key) &&
           (!has_grown || !is_passed(&l->asleep, r, l->cursor.from, key));
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
