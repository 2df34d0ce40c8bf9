/* role.h - roles, the owners of jobs in them, and what each of them uses.
 *
 * A role is an object of the state (docs/spec/12-roles.md); `default` is there from the
 * beginning and becomes one when it is set.  An owner is derived: it is there while it has
 * jobs.  A job points to its owner, an owner to its role.
 *
 * Use is the sum of what attempts hold, of all of them, until their resources are free
 * again.  A job *has* its role until it has ended and nothing of it is left; a role that a
 * job has cannot be removed.  Jobs that only remember it keep its memory, no more.
 */
#ifndef RAFT_FSM_ROLE_H
#define RAFT_FSM_ROLE_H

#include "raft_fsm/use.h"
#include "wire/role.h"

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>

struct job;

struct owner {
    struct role *role;
    char *name;    /* "" when the job names none */
    uint64_t jobs; /* that point here */
    struct use use;
    RB_ENTRY(owner) by_name;
};

RB_HEAD(owner_tree, owner);

struct role {
    char *name;
    uint32_t
        id; /* below LIMIT_ROLES; 0 is `default`.  Of a set one; given again later */
    uint64_t changed;
    struct role_spec spec;

    /* derived */
    bool
        is_set; /* it is an object of the state: false of a `default` that nobody set, and
                  * of what was removed and is remembered by jobs that have ended */
    uint64_t open; /* jobs that have it */
    struct use use;
    struct use ending; /* of that, what attempts have that are to end */
    struct owner_tree owners;
    RB_ENTRY(role) by_name;
};

RB_HEAD(role_tree, role);

RB_PROTOTYPE(owner_tree, owner, by_name, )
RB_PROTOTYPE(role_tree, role, by_name, )

/* The one of that name, set or not; made if there is none. */
struct role *role_get(struct role_tree *roles, const char *name);
/* NULL if there is none that is set, or `default`. */
struct role *role_find(const struct role_tree *roles, const char *name);
/* It is set, or `default`: jobs may have it. */
bool role_exists(const struct role *r);
/* NULL when the role has no jobs of that owner. */
struct owner *role_owner(const struct role *r, const char *name);
/* Drop it unless it is set, or `default`, or has owners. */
void role_release(struct role_tree *roles, struct role *r);
void role_destroy(struct role *r); /* without owners, in no tree */

/* The owner of that name, made if there is none, has one job more; or less, and with the last
 * one it goes, and with it what only it remembered. */
struct owner *owner_join(struct role *r, const char *name);
void owner_leave(struct role_tree *roles, struct owner *o);

/* An attempt of such a job holds its resources, or gives them back. */
void owner_take(struct owner *o, const struct job *j);
void owner_give(struct owner *o, const struct job *j);

/* So many of them are to end, or that many less. */
void role_ending_add(struct role *r, const struct job *j, uint32_t attempts);
void role_ending_subtract(struct role *r, const struct job *j, uint32_t attempts);

/* True if it has less than its minimum of each kind that it has one of. */
bool role_is_owed(const struct role_spec *spec,
                  const struct use *used,
                  const struct use *planned);

/* What a maximum leaves: of each kind, LIMIT_RESOURCE where it has none, and of each custom
 * resource that it names. */
struct bound_room {
    uint64_t kind[RESOURCE_KINDS];
    uint64_t custom[LIMIT_CUSTOM];
};

struct bound_room bound_room(const struct role_bound *max, const struct use *used);
/* One task more; it has room. */
void bound_room_take(struct bound_room *room,
                     const struct role_bound *max,
                     const struct job *j);
/* True if so many more tasks of the job keep this maximum. */
bool bound_has_room(const struct role_bound *max,
                    const struct use *used,
                    const struct job *j,
                    uint32_t tasks);

#endif
