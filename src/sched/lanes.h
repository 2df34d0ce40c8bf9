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
 * What a role and an owner use is in the state; what the running round plans is counted beside
 * it.  Whoever that changes for is read again when the next round begins.
 */
#ifndef SCHED_LANES_H
#define SCHED_LANES_H

#include "raft_fsm/state.h"
#include "sched/caps.h"
#include "sched/fit_tree.h"
#include "sched/queue.h"

#include <bsd/sys/tree.h>

/* How far one comparison of shapes at rest with what has grown has come.  It goes on over many
 * rounds while keys change, and has to end: a shape that moves forward meanwhile is tried by
 * itself instead, and a lane or role that does makes a cursor go back only while there is
 * something in it that was not compared. */
struct cursor {
    struct fit_key from; /* those before are compared */
    uint64_t epoch;      /* of that comparison */
};

/* Turns across which something moved, since the last look at it. */
struct passing {
    struct fit_key low, high;
    uint64_t look; /* it is of that one, or nothing moved */
};

struct lane {
    struct role_lanes *role;
    char *owner; /* "" in a role that is not fair */
    struct queue queue;
    struct use planned; /* in this round */
    uint64_t share; /* dominant, of the owner in a fair role, with what is planned */
    struct fit_node at[SHAPE_PLACES]; /* in that of the role while the queue has some */
    struct fit_key turn;              /* as it was put in order last */
    struct cursor cursor[SHAPE_PLACES];
    uint64_t reranked; /* by the look: a job of it has another rank */
    bool is_touched;
    RB_ENTRY(lane) by_owner;
};

RB_HEAD(lane_tree, lane);

/* Capped shapes are compared with what their role may have more, in the order of turns, when
 * that has grown. */
struct uncapping {
    bool is_due;
    bool is_of_all;          /* the maximum is another one: with all of it */
    bool is_paused;          /* it had its looks of this round */
    bool was_cut;            /* the looks of a round were not enough … */
    bool again;              /* … and it has grown since: from the beginning, then */
    bool is_counted;         /* in lanes.uncapping */
    unsigned looks;          /* of this round */
    uint64_t epoch;          /* of the comparison */
    struct bound_room least; /* that any was compared with: more than that has grown */
};

/* Reading all lanes of a role again, some in each round: their shares, since there is another
 * total or other bounds, or the ranks of their jobs, too, since the role has another order. */
struct review {
    struct lane *next; /* to be read; NULL: none goes on */
    uint64_t job;      /* jobs of that lane before this one have their ranks */
    bool is_of_ranks;
    bool again; /* when it ends … */
    bool again_ranks;
};

/* What ranks of jobs rest on. */
struct ranking {
    enum role_order order;
    uint64_t aging_ms, length_ms;
};

struct role_lanes {
    char *name;
    struct lane_tree lanes;
    struct use planned;
    uint64_t share;                   /* dominant */
    bool is_owed;                     /* so are these: with what is planned */
    struct bound_room room;           /* under its maximum */
    struct fit_tree at[SHAPE_PLACES]; /* of lanes */
    struct fit_node ready, asleep;    /* in those of struct lanes */
    struct fit_key turn;              /* as it was put in order last */
    struct cursor cursor[SHAPE_PLACES];
    struct passing passing; /* of its lanes */
    struct uncapping uncapping;
    struct role_bound max; /* as capped shapes were compared with */
    struct ranking ranking;
    struct review review;
    bool is_touched;
    RB_ENTRY(role_lanes) by_name;
};

RB_HEAD(role_lanes_tree, role_lanes);

RB_PROTOTYPE(lane_tree, lane, by_owner, )
RB_PROTOTYPE(role_lanes_tree, role_lanes, by_name, )

struct lanes {
    struct role_lanes_tree roles;
    struct id_map jobs;         /* struct waiting, of all of them */
    struct distincts distincts; /* that wait */
    struct tellings tellings;
    struct fit_tree ready, asleep; /* of roles */
    struct cursor cursor;          /* of those that are asleep */
    const struct use *total;       /* of all agents that are active */
    const struct fit_tree *grown;  /* agents that what is asleep is compared with */
    struct role_lanes **touched;   /* roles and, below, lanes to read again */
    size_t touched_count, touched_capacity;
    struct lane **lanes;
    size_t lane_count, lane_capacity;
    size_t reviews;   /* roles that are read again */
    size_t uncapping; /* roles of which capped shapes are to be compared */
    bool is_cut;      /* a comparison of capped shapes goes on in the next round */
    uint64_t changes; /* grows when something in it changes */
    const uint64_t *claims; /* while it is not 0 somebody has to know … */
    bool was_passed; /* … that who waits comes before another now, and did not … */
    struct passing passing; /* … of another role, … */
    uint64_t look;          /* … since this one */
};

/* A shape, and whose it is; shape NULL: none. */
struct pick {
    struct role_lanes *role;
    struct lane *lane;
    struct shape *shape;
};

void lanes_init(struct lanes *l,
                const struct use *total,
                const struct fit_tree *grown,
                const uint64_t *claims);
void lanes_finish(struct lanes *l);

void lanes_add(struct lanes *l, const struct state *s, const struct job *j);
/* What kept tasks of this job, or of all whose tasks count for each other, away from agents may
 * have changed: if they sleep, they are to be tried again.  All of them are woken in slices: of so
 * many at most, which *looks goes down by. */
void lanes_wake(struct lanes *l, const struct state *s, uint64_t job);
void lanes_regrouped(struct lanes *l);
bool lanes_are_to_wake(const struct lanes *l);
void lanes_wake_distinct(struct lanes *l, const struct state *s, unsigned *looks);
/* Nothing happens when it does not wait. */
void lanes_remove(struct lanes *l, const struct state *s, uint64_t job);

/* Something that this job held is free, or it got something beside the lanes. */
void lanes_freed(struct lanes *l, const struct state *s, const struct job *j);
/* It was set, or is gone. */
void lanes_role_changed(struct lanes *l, const struct state *s, uint64_t role);
/* There is another total, or something is free and nobody knows whose it was. */
void lanes_all_changed(struct lanes *l);
/* A round begins: read again all that changed. */
void lanes_refresh(struct lanes *l, const struct state *s);
/* Go on with what is read in slices: so many lanes and jobs at most, which *looks goes down
 * by. */
void lanes_review(struct lanes *l, const struct state *s, unsigned *looks);

/* The first shape that is ready. */
struct pick lanes_first(const struct lanes *l);
/* True if one task more, or all of a gang that begins, keep the maximum of the role, which is that
 * of the pick. */
bool lanes_may_take(const struct pick *p, const struct role *role);
/* One task more of this job is planned. */
void lanes_take(struct lanes *l,
                const struct pick *p,
                const struct role *role,
                const struct job *j);
/* True while no shape of anybody else comes before this one, with what was planned: none
 * that is ready and, when something has grown, none that is asleep and was not compared. */
bool lanes_is_first(const struct lanes *l,
                    const struct role *role,
                    const struct pick *p,
                    bool has_grown);
/* True if this job comes before the other in the order of turns, or that does not wait (or is
 * NULL). */
bool lanes_comes_before(const struct lanes *l,
                        const struct job *j,
                        const struct job *other);
/* Since the last look somebody may come before this one, or not any more. */
bool lanes_was_passed(const struct lanes *l, const struct waiting *w);
/* A look at that ends. */
void lanes_looked(struct lanes *l);
/* Put everything in order again after lanes_take(). */
void lanes_settle(struct lanes *l, const struct state *s, const struct pick *p);
void lanes_move(struct lanes *l,
                const struct state *s,
                const struct pick *p,
                enum place to);
void lanes_pop(struct lanes *l, const struct state *s, const struct pick *p);

/* ---- capped shapes ---- */

/* What is capped of a role is about to be compared with what it may have more now. */
void lanes_uncapping_go_on(struct role_lanes *r);
/* What to look for then. */
struct caps_wanted lanes_wanted(const struct role_lanes *r);
/* The shape of this lane rests if its role may have no more of it; false if it may. */
bool lanes_cap(struct lanes *l,
               const struct state *s,
               struct lane *lane,
               struct shape *shape);
/* All that are capped are compared. */
void lanes_uncapping_end(struct lanes *l, const struct state *s, struct role_lanes *r);
/* There are no looks left for it in this round. */
void lanes_uncapping_cut(struct lanes *l, const struct state *s, struct role_lanes *r);

#endif
