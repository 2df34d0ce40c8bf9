/* queue.c - jobs with tasks to place, by what their tasks need. */
#include "sched/queue.h"

#include "base/assert.h"
#include "base/mem.h"

static int waiting_compare(const struct waiting *a, const struct waiting *b)
{
    return fit_key_compare(&a->rank, &b->rank);
}

static int waiting_by_job(const struct waiting *a, const struct waiting *b)
{
    return (a->rank.second > b->rank.second) - (a->rank.second < b->rank.second);
}

static int shape_compare(const struct shape *a, const struct shape *b)
{
    int order = resources_compare(&a->demand.need, &b->demand.need);

    return order != 0 ? order : extra_needs_compare(a->demand.extras, b->demand.extras);
}

RB_GENERATE(waiting_tree, waiting, by_rank, waiting_compare)
RB_GENERATE(waiting_job_tree, waiting, by_job, waiting_by_job)
RB_GENERATE(shape_tree, shape, by_need, shape_compare)

void queue_init(struct queue *q, const struct policy *policy)
{
    *q = (struct queue){.policy = policy, .asleep = {.of_needs = true}};
    RB_INIT(&q->shapes);
    RB_INIT(&q->jobs);
}

static void drop_shape(struct queue *q, struct shape *shape)
{
    RB_REMOVE(shape_tree, &q->shapes, shape);
    extra_needs_destroy((struct extra_needs *)shape->demand.extras);
    mem_free(shape->census);
    mem_free(shape);
}

void queue_finish(struct queue *q)
{
    struct waiting *w, *next_waiting;
    struct shape *shape, *next_shape;

    RB_FOREACH_SAFE (shape, shape_tree, &q->shapes, next_shape) {
        RB_FOREACH_SAFE (w, waiting_tree, &shape->jobs, next_waiting) {
            RB_REMOVE(waiting_tree, &shape->jobs, w);
            mem_free(w);
        }
        drop_shape(q, shape);
    }
    *q = (struct queue){0};
}

/* ---- order of shapes ---- */

static void leave(struct queue *q, struct shape *shape)
{
    if (shape->place.height > 0)
        fit_tree_remove(shape->is_asleep ? &q->asleep : &q->ready, &shape->place);
}

/* Where it belongs by its first job; a shape without jobs ends. */
static void enter(struct queue *q, struct shape *shape, bool asleep)
{
    struct waiting *first = RB_MIN(waiting_tree, &shape->jobs);

    leave(q, shape);
    if (first == NULL) {
        drop_shape(q, shape);
        return;
    }
    shape->is_asleep = asleep;
    shape->place.key = first->rank;
    fit_tree_insert(asleep ? &q->asleep : &q->ready, &shape->place);
}

struct shape *queue_shape(const struct queue *q, const struct job *j)
{
    struct shape wanted = {.demand = job_demand(j)};

    return RB_FIND(shape_tree, (struct shape_tree *)&q->shapes, &wanted);
}

static struct shape *add_shape(struct queue *q, const struct job *j)
{
    struct shape *shape = mem_zalloc(sizeof(*shape));

    shape->demand = (struct demand){j->resources, extra_needs_copy(j->extras)};
    shape->place.vector = j->resources;
    shape->place.bits = demand_bits(&shape->demand);
    shape->place.owner = shape;
    RB_INIT(&shape->jobs);
    RB_INSERT(shape_tree, &q->shapes, shape);
    return shape;
}

/* ---- jobs ---- */

struct waiting *queue_find_job(const struct queue *q, uint64_t job)
{
    struct waiting wanted = {.rank = {0, job}};

    return RB_FIND(waiting_job_tree, (struct waiting_job_tree *)&q->jobs, &wanted);
}

void queue_add(struct queue *q, const struct job *j, bool wake)
{
    struct shape *shape;
    struct waiting *w;

    if (queue_find_job(q, j->id) != NULL)
        return;
    shape = queue_shape(q, j);
    if (shape == NULL)
        shape = add_shape(q, j);
    w = mem_zalloc(sizeof(*w));
    w->rank = q->policy->rank(j);
    w->shape = shape;
    ASSERT(w->rank.second == j->id);
    RB_INSERT(waiting_tree, &shape->jobs, w);
    RB_INSERT(waiting_job_tree, &q->jobs, w);
    if (w == RB_MIN(waiting_tree, &shape->jobs))
        enter(q, shape, shape->is_asleep && !wake);
}

static void drop(struct queue *q, struct waiting *w)
{
    struct shape *shape = w->shape;
    bool was_first = w == RB_MIN(waiting_tree, &shape->jobs);

    RB_REMOVE(waiting_tree, &shape->jobs, w);
    RB_REMOVE(waiting_job_tree, &q->jobs, w);
    mem_free(w);
    if (was_first)
        enter(q, shape, shape->is_asleep);
}

void queue_remove(struct queue *q, uint64_t job)
{
    struct waiting *w = queue_find_job(q, job);

    if (w != NULL)
        drop(q, w);
}

uint64_t shape_first_job(struct shape *shape)
{
    return RB_MIN(waiting_tree, &shape->jobs)->rank.second;
}

void queue_pop(struct queue *q, struct shape *shape)
{
    drop(q, RB_MIN(waiting_tree, &shape->jobs));
}

/* ---- shapes ---- */

struct shape *queue_next(const struct queue *q)
{
    struct fit_node *n = fit_tree_first(&q->ready);

    return n == NULL ? NULL : n->owner;
}

void queue_sleep(struct queue *q, struct shape *shape)
{
    enter(q, shape, true);
}

void queue_wake(struct queue *q, struct shape *shape)
{
    enter(q, shape, false);
}

struct shape *queue_find_asleep(const struct queue *q,
                                struct fit_key from,
                                const struct fit_tree *room)
{
    struct fit_node *n = fit_tree_find_need(&q->asleep, from, room);

    return n == NULL ? NULL : n->owner;
}
