/* lanes_cap.c - shapes of which a role may have no more, until it may. */
#include "sched/lanes_private.h"

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

void lanes_read_room(struct role_lanes *r, const struct role *role)
{
    r->room = bound_room(&role->spec.max, &role->use);
    if (!role_bound_equal(&r->max, &role->spec.max))
        take_maximum(r, &role->spec.max);
    else if (room_has_grown(&r->room, &r->uncapping.least))
        uncap(r);
}

bool lanes_may_uncap(const struct role_lanes *r)
{
    return r->uncapping.is_due && !r->uncapping.is_paused;
}

void lanes_count_uncapping(struct lanes *l, struct role_lanes *r)
{
    bool counts = r->uncapping.is_due && r->at[SHAPE_CAPPED].root != NULL;

    l->uncapping -= r->uncapping.is_counted;
    l->uncapping += counts;
    r->uncapping.is_counted = counts;
}

bool lanes_may_take(const struct pick *p, const struct role *role)
{
    struct fit_signature cap;

    return !cap_of(&p->role->room, &role->spec.max, &p->shape->demand, &cap);
}

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
    lanes_settle_lane(l, s, lane);
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
    lanes_order_role(l, r, state_role(s, r->name));
}

void lanes_uncapping_cut(struct lanes *l, const struct state *s, struct role_lanes *r)
{
    r->uncapping.was_cut = true;
    r->uncapping.is_paused = true;
    l->is_cut = true;
    lanes_touch_role(l, r);
    lanes_order_role(l, r, state_role(s, r->name));
}
