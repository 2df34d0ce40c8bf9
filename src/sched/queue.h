/* queue.h - jobs with tasks to place, by what their tasks need.
 *
 * Tasks with equal needs fit or do not fit together, so the queue knows *shapes*: a vector
 * of needs and the jobs that have it, in order of their rank.  A shape has the rank of its
 * first job.  It is
 *
 *     ready     to be tried on all agents, in order of rank
 *     sleeping  it was tried and no agent had room.  Nobody looks at it until an agent has
 *               grown that can hold it, however many jobs it has
 */
#ifndef SCHED_QUEUE_H
#define SCHED_QUEUE_H

#include "raft_fsm/state.h"
#include "sched/fit_tree.h"
#include "sched/fleet.h"
#include "sched/policy.h"

#include <bsd/sys/tree.h>

struct waiting {
    struct fit_key rank; /* its second part is the id of the job */
    struct shape *shape;
    RB_ENTRY(waiting) by_rank; /* of its shape */
    RB_ENTRY(waiting) by_job;  /* of the queue */
};

RB_HEAD(waiting_tree, waiting);
RB_HEAD(waiting_job_tree, waiting);

struct shape {
    struct demand demand;     /* owns its extras */
    struct waiting_tree jobs; /* never empty */
    bool is_asleep;
    /* For explanations; 0: never asked. */
    struct census *census;   /* owned; as counted at … */
    uint64_t census_version; /* … this version of the fleet's sizes */
    struct room room;        /* as found at … */
    uint64_t room_version;   /* … this version of the fleet */
    struct fit_node place;   /* in `ready` or `asleep`; key = rank of the first job */
    RB_ENTRY(shape) by_need;
};

RB_HEAD(shape_tree, shape);

RB_PROTOTYPE(waiting_tree, waiting, by_rank, )
RB_PROTOTYPE(waiting_job_tree, waiting, by_job, )
RB_PROTOTYPE(shape_tree, shape, by_need, )

struct queue {
    const struct policy *policy;
    struct shape_tree shapes;
    struct waiting_job_tree jobs;
    struct fit_tree ready;
    struct fit_tree asleep;
};

void queue_init(struct queue *q, const struct policy *policy);
void queue_finish(struct queue *q);

/* Both do nothing when there is nothing to do. `wake`: a sleeping shape that gets an
 * earlier rank is to be tried again. */
void queue_add(struct queue *q, const struct job *j, bool wake);
void queue_remove(struct queue *q, uint64_t job);
/* NULL when it does not wait. */
struct waiting *queue_find_job(const struct queue *q, uint64_t job);

/* The shape that such a job has, or NULL when none of it waits. */
struct shape *queue_shape(const struct queue *q, const struct job *j);

/* The shape that is to be tried next, or NULL; and its first job. */
struct shape *queue_next(const struct queue *q);
uint64_t shape_first_job(struct shape *shape);
/* Its first job has nothing to place any more: the shape goes on with the next, or ends. */
void queue_pop(struct queue *q, struct shape *shape);

void queue_sleep(struct queue *q, struct shape *shape);
void queue_wake(struct queue *q, struct shape *shape);
/* The first sleeping shape of at least that rank that something in `room` may hold. */
struct shape *queue_find_asleep(const struct queue *q,
                                struct fit_key from,
                                const struct fit_tree *room);

#endif
