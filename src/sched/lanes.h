/* lanes.h - the queues of roles and owners, in order of whose turn it is
 * (docs/spec/12-roles.md).
 *
 * A role has one lane, a `fair` one a lane for each owner that has jobs waiting.  Roles are in
 * order of their turns, lanes of a role in order of their shares, shapes of a lane in order of
 * rank: three trees, one in the other, for what is ready, and three for what is asleep.  In the
 * latter each tree stands in the one above it for the least that something in it needs
 * (fit_tree.h), so what an agent that has grown may hold is found in O(log) without looking at
 * the rest, whoever it belongs to.
 *
 * What a role and an owner use is read from the state when something is freed, and counts what
 * the running round plans, until the next one reads it again.
 */
#ifndef SCHED_LANES_H
#define SCHED_LANES_H

#include "raft_fsm/state.h"
#include "sched/fit_tree.h"
#include "sched/queue.h"

#include <bsd/sys/tree.h>

/* How far one comparison of shapes at rest with what has grown has come. */
struct cursor {
    struct fit_key from; /* those before are compared */
    uint64_t epoch;      /* of that comparison */
};

struct lane {
    struct role_lanes *role;
    char *owner; /* "" in a role that is not fair */
    struct queue queue;
    struct use used;
    struct fit_node at[SHAPE_PLACES]; /* in that of the role while the queue has some */
    struct cursor cursor[SHAPE_PLACES];
    bool is_touched;
    RB_ENTRY(lane) by_owner;
};

RB_HEAD(lane_tree, lane);

struct role_lanes {
    char *name;
    struct lane_tree lanes;
    struct use used;
    struct fit_tree at[SHAPE_PLACES]; /* of lanes */
    struct fit_node ready, asleep;    /* in those of struct lanes */
    struct cursor cursor[SHAPE_PLACES];
    bool may_uncap;     /* it may have more than when its capped shapes were compared */
    uint64_t uncapping; /* the epoch of that comparison */
    bool is_touched;
    RB_ENTRY(role_lanes) by_name;
};

RB_HEAD(role_lanes_tree, role_lanes);

RB_PROTOTYPE(lane_tree, lane, by_owner, )
RB_PROTOTYPE(role_lanes_tree, role_lanes, by_name, )

struct lanes {
    struct role_lanes_tree roles;
    struct waiting_job_tree jobs;  /* that wait, of all of them */
    struct fit_tree ready, asleep; /* of roles */
    struct cursor cursor;          /* of those that are asleep */
    const struct use *total;       /* of all agents that are active */
    struct role_lanes **touched;   /* roles and, below, lanes to read again */
    size_t touched_count, touched_capacity;
    struct lane **lanes;
    size_t lane_count, lane_capacity;
};

/* A shape, and whose it is; shape NULL: none. */
struct pick {
    struct role_lanes *role;
    struct lane *lane;
    struct shape *shape;
};

void lanes_init(struct lanes *l, const struct use *total);
void lanes_finish(struct lanes *l);

void lanes_add(struct lanes *l, const struct state *s, const struct job *j, bool wake);
/* Nothing happens when it does not wait. */
void lanes_remove(struct lanes *l, const struct state *s, uint64_t job);

/* Something that this job held is free; the role says something else. */
void lanes_freed(struct lanes *l, const struct state *s, const struct job *j);
void lanes_role_changed(struct lanes *l, const struct state *s, const char *role);
/* Read again all that lanes_take() counted for, or, when there is another total, all. */
void lanes_refresh(struct lanes *l, const struct state *s, bool all);

/* The first shape that is ready. */
struct pick lanes_first(const struct lanes *l);
/* True if one task more keeps the maximum of the role, which is that of the pick. */
bool lanes_may_take(const struct pick *p, const struct role *role, const struct job *j);
/* What it may have more, of each kind; LIMIT_RESOURCE where it has no maximum. */
struct resources lanes_headroom(const struct role_lanes *r, const struct state *s);
/* Nothing that is capped is within that. */
void lanes_stay_capped(struct lanes *l, const struct state *s, struct role_lanes *r);
/* One task more of this job is planned. */
void lanes_take(struct lanes *l, const struct pick *p, const struct job *j);
/* True while no shape of anybody else comes before this one, with what was planned: none
 * that is ready and, when something has grown, none that is asleep and was not compared. */
bool lanes_is_first(const struct lanes *l,
                    const struct role *role,
                    const struct pick *p,
                    bool has_grown);
/* Put everything in order again after lanes_take(). */
void lanes_settle(struct lanes *l, const struct state *s, const struct pick *p);
void lanes_move(struct lanes *l,
                const struct state *s,
                const struct pick *p,
                enum place to);
void lanes_pop(struct lanes *l, const struct state *s, const struct pick *p);

#endif
