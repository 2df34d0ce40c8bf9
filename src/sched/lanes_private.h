/* lanes_private.h - what the files of the lanes share.
 *
 *     lanes.c          roles, lanes and the jobs in them; what changed is read again
 *     lanes_order.c    whose turn it is, and who passed whom
 *     lanes_cap.c      shapes of which a role may have no more
 *     lanes_review.c   all lanes of a role, read again in slices
 */
#ifndef SCHED_LANES_PRIVATE_H
#define SCHED_LANES_PRIVATE_H

#include "sched/lanes.h"

static inline bool role_is_fair(const struct role *role)
{
    return role != NULL && role->spec.order == ROLE_FAIR;
}

/* ---- lanes.c ---- */

struct role_lanes *lanes_find_role(const struct lanes *l, const char *name);
/* It is read again when the next round begins. */
void lanes_touch_role(struct lanes *l, struct role_lanes *r);
/* What its owner uses; nothing is planned any more. */
void lanes_read_lane(struct lanes *l, struct lane *lane, const struct role *role);
/* Put it and its role in order; one without jobs ends, unless the round counts for it. */
void lanes_settle_lane(struct lanes *l, const struct state *s, struct lane *lane);

/* ---- lanes_order.c ---- */

/* In the trees above them, by the turns that they have now. */
void lanes_order_role(struct lanes *l, struct role_lanes *r, const struct role *role);
void lanes_order_lane(struct lanes *l, struct lane *lane, const struct role *role);
/* True while what rests there is compared with what has grown. */
bool lanes_is_comparing(const struct lanes *l,
                        const struct role_lanes *r,
                        enum place place);

/* ---- lanes_cap.c ---- */

/* How much more the role may have. */
void lanes_read_room(struct role_lanes *r, const struct role *role);
bool lanes_may_uncap(const struct role_lanes *r);
/* Roles that are to be compared share the looks for it. */
void lanes_count_uncapping(struct lanes *l, struct role_lanes *r);

/* ---- lanes_review.c ---- */

struct ranking lanes_ranking(const struct role_spec *spec);
/* The lane ends; `next` is the one behind it, or NULL. */
void lanes_review_leave(struct lanes *l, struct lane *lane, struct lane *next);

#endif
