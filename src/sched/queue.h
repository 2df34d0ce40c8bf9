/* queue.h - jobs of one lane with tasks to place, by what their tasks need.
 *
 * Tasks with equal needs fit or do not fit together, so the queue knows *shapes*: a vector
 * of needs and the jobs that have it, in order of their rank.  A shape has the rank of its
 * first job.  It is
 *
 *     ready     to be tried on all agents, in order of rank
 *     asleep    it was tried and no agent had room.  Nobody looks at it until an agent has
 *               grown that can hold it, however many jobs it has
 *     capped    its role may have no more of it.  The same until what the role may have
 *               of that has grown
 */
#ifndef SCHED_QUEUE_H
#define SCHED_QUEUE_H

#include "base/id_map.h"
#include "raft_fsm/state.h"
#include "sched/census.h"
#include "sched/fit_tree.h"
#include "sched/fleet.h"
#include "sched/forecast.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

enum place { SHAPE_READY, SHAPE_ASLEEP, SHAPE_CAPPED, SHAPE_PLACES };

struct waiting {
    struct fit_key rank; /* its second part is the id of the job */
    struct shape *shape;
    uint64_t round;            /* in which a part of it was planned … */
    uint32_t planned;          /* … up to this instance */
    RB_ENTRY(waiting) by_rank; /* of its shape */
    RB_ENTRY(waiting) by_age;  /* of the queue: by id */
};

RB_HEAD(waiting_tree, waiting);
RB_HEAD(waiting_age_tree, waiting);

/* What explanations found of a shape, each as of a version; 0: it was not asked.  Kept of those
 * that were explained last: a listing may be of millions. */
#define TOLD_MOST 4096

struct told {
    struct shape *shape;
    TAILQ_ENTRY(told) next;
    struct census census;
    uint64_t census_version; /* of the fleet's sizes, or as below */
    struct room room;
    uint64_t room_version; /* of the fleet */
    struct shortage shortage;
    uint64_t shortage_version;
    struct soonest soonest; /* it may be that there is none */
    uint64_t soonest_version;
};

struct shape {
    struct queue *queue;
    struct demand demand;     /* owns its extras and match */
    struct waiting_tree jobs; /* never empty */
    enum place at;
    struct fit_node place; /* there; key = rank of the first job */
    struct fit_signature cap; /* while it is capped: what holds it back (caps.h) */
    uint64_t placed_us;       /* when a task of it was planned last; 0: never */
    uint64_t hopeless_us;  /* no agent will ever have room, as it was found then … */
    uint64_t hopeless_version; /* … at this version of the fleet's sizes (reserve.c) */
    struct told *told;         /* of the tellings; NULL: nothing */
    RB_ENTRY(shape) by_need;
    TAILQ_ENTRY(shape) distinct; /* of all queues, if its demand is of one job */
};

RB_HEAD(shape_tree, shape);
TAILQ_HEAD(shape_list, shape);

RB_PROTOTYPE(waiting_tree, waiting, by_rank, )
RB_PROTOTYPE(waiting_age_tree, waiting, by_age, )
RB_PROTOTYPE(shape_tree, shape, by_need, )

/* Shapes of all queues whose tasks count for each other; new ones are the last. */
struct distincts {
    struct shape_list shapes;
    struct shape *next; /* that is to be woken, and those behind it; NULL: none */
    bool again;         /* and then all of them: who was woken may sleep again by now */
};

TAILQ_HEAD(told_list, told);

/* Of all queues. */
struct tellings {
    struct told_list list; /* owned; the newest first */
    size_t count;
};

struct queue {
    void *owner;
    struct id_map *all; /* struct waiting of all queues, by the id of the job */
    struct distincts *distincts;
    struct tellings *tellings;
    struct shape_tree shapes;
    struct waiting_age_tree jobs;
    struct fit_tree at[SHAPE_PLACES]; /* those that are not ready as trees of needs */
};

void queue_init(struct queue *q,
                void *owner,
                struct id_map *all,
                struct distincts *distincts,
                struct tellings *tellings);
void queue_finish(struct queue *q);
static inline bool queue_is_empty(const struct queue *q)
{
    return RB_EMPTY(&q->jobs);
}

/* A job with this rank, whose second part is its id; one that waits here already gets the
 * rank.  `wake`: a shape at rest that moves forward by it is to be tried again. */
void queue_add(struct queue *q, const struct job *j, struct fit_key rank, bool wake);
/* A job that waits in another queue waits here from now on, and rests as it did; likewise. */
void queue_take_over(struct queue *q,
                     struct waiting *w,
                     const struct job *j,
                     struct fit_key rank,
                     bool wake);
void queue_remove(struct queue *q, struct waiting *w);
/* In any queue; NULL when it does not wait. */
struct waiting *waiting_find(const struct id_map *all, uint64_t job);
/* The oldest job that waits; the queue is not empty. */
uint64_t queue_oldest(const struct queue *q);

/* The shape that such a job has, or NULL when none of it waits. */
struct shape *queue_shape(const struct queue *q, const struct job *j);

/* The first shape of a place, or NULL; and the first job of a shape. */
struct shape *queue_first(const struct queue *q, enum place place);
struct waiting *shape_first(const struct shape *shape);
/* What was told of it, or nothing yet; good until another one is asked for. */
struct told *shape_told(struct shape *shape);
/* Its first job has nothing to place any more: the shape goes on with the next, or ends. */
void queue_pop(struct queue *q, struct shape *shape);
void queue_move(struct queue *q, struct shape *shape, enum place to);
/* That is what holds it back now. */
void queue_cap(struct queue *q, struct shape *shape, const struct fit_signature *cap);

/* The first shape that is asleep, of at least that rank, and that something in `room` may
 * hold. */
struct shape *queue_find_asleep(const struct queue *q,
                                struct fit_key from,
                                const struct fit_tree *room);

#endif
