/* caps.h - which part of the maximum of its role holds a shape back.
 *
 * Of a capped shape only that is in its signature (fit_tree.h): the number of the kind, or of
 * the name of a custom resource, says how much of it is needed, and all others that there is
 * never enough.  So the first shape of those that a kind holds back, and that what is left of
 * it is enough for, is found in O(log), whatever holds the others back.  Whether it has
 * enough of the rest is to be asked; if not, that is what holds it back from now on.
 */
#ifndef SCHED_CAPS_H
#define SCHED_CAPS_H

#include "raft_fsm/role.h"
#include "sched/fit_tree.h"
#include "sched/fleet.h"

#define CAPS_MAX (RESOURCE_KINDS + LIMIT_CUSTOM)

/* What is looked for among capped shapes: one signature for each part of a maximum. */
struct caps_wanted {
    struct fit_signature of[CAPS_MAX];
    unsigned count;
};

/* False when all that is needed is left, by as many tasks as are placed at once. */
bool cap_of(const struct bound_room *room,
            const struct role_bound *max,
            const struct demand *d,
            struct fit_signature *cap);

struct caps_wanted caps_wanted(const struct bound_room *room,
                               const struct role_bound *max);
/* Every shape, whatever held it back. */
struct caps_wanted caps_all(void);

/* The first one with a key of at least `from` that may not be held back any more, or NULL. */
struct fit_node *caps_find(const struct fit_tree *capped,
                           struct fit_key from,
                           const struct caps_wanted *wanted);

#endif
