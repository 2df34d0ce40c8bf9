/* match_view.h - a packed struct match (match.h), read in place.
 *
 * For who looks at many of them and keeps few: nothing is copied, and the views are good as long
 * as the bytes are.  Those are of a job that was checked: whole and good.
 */
#ifndef WIRE_MATCH_VIEW_H
#define WIRE_MATCH_VIEW_H

#include "wire/match.h"

struct condition_view {
    struct bytes
        of; /* attribute, operator, values: the same of all that say the same */
    enum match_op op;
    struct bytes attribute;
    size_t count;   /* of values */
    int64_t number; /* `most` of a constraint, `weight` of an affinity */
};

/* A spread, or an anti-affinity. */
struct weighted_view {
    struct bytes name;
    uint32_t weight;
};

struct match_view {
    struct condition_view constraints[LIMIT_CONSTRAINTS];
    struct condition_view affinities[LIMIT_AFFINITIES];
    struct weighted_view spreads[LIMIT_SPREADS];
    struct weighted_view aparts[LIMIT_APARTS];
    size_t constraint_count, affinity_count, spread_count, apart_count;
};

void match_view(struct match_view *v, struct bytes packed);

/* The condition, without its number, with all it points to in `room` of so many bytes, aligned for
 * pointers: it goes with that, and is not finished. */
size_t condition_room(const struct condition_view *v);
void condition_lay(struct condition *c, const struct condition_view *v, void *room);

#endif
