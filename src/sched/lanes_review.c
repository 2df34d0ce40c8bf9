/* lanes_review.c - all lanes of a role are read again, some in each round. */
#include "sched/lanes_private.h"

struct ranking lanes_ranking(const struct role_spec *spec)
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

void lanes_review_leave(struct lanes *l, struct lane *lane, struct lane *next)
{
    if (lane->role->review.next == lane)
        review_go_on(l, lane->role, next);
}

void lanes_role_changed(struct lanes *l, const struct state *s, uint64_t id)
{
    const struct role *role =
        id == 0 ? state_role(s, ROLE_DEFAULT) : s->roles_by_id[id];
    struct role_lanes *r = role == NULL ? NULL : lanes_find_role(l, role->name);
    struct ranking ranking;

    if (r == NULL)
        return;
    lanes_touch_role(l, r);
    ranking = lanes_ranking(&role->spec);
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
        lanes_touch_role(l, r);
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
    lanes_read_lane(l, lane, role);
    lanes_order_lane(l, lane, role);
    lanes_order_role(l, r, role);
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
