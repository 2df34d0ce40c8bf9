/* queue.c - jobs of one lane with tasks to place, by what their tasks need. */
#include "sched/queue.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

static int waiting_by_rank(const struct waiting *a, const struct waiting *b)
{
    return fit_key_compare(&a->rank, &b->rank);
}

static int waiting_by_age(const struct waiting *a, const struct waiting *b)
{
    return (a->rank.second > b->rank.second) - (a->rank.second < b->rank.second);
}

static int shape_by_need(const struct shape *a, const struct shape *b)
{
    const struct demand *x = &a->demand, *y = &b->demand;
    int order = resources_compare(&x->need, &y->need);

    if (order == 0)
        order = extra_needs_compare(x->extras, y->extras);
    if (order == 0 && x->match.size != y->match.size)
        order = x->match.size < y->match.size ? -1 : 1;
    if (order == 0 && x->match.size > 0)
        order = memcmp(x->match.data, y->match.data, x->match.size);
    if (order == 0)
        order = (x->job > y->job) - (x->job < y->job);
    return order != 0 ? order
                      : (x->lasts_ms > y->lasts_ms) - (x->lasts_ms < y->lasts_ms);
}

RB_GENERATE(waiting_tree, waiting, by_rank, waiting_by_rank)
RB_GENERATE(waiting_age_tree, waiting, by_age, waiting_by_age)
RB_GENERATE(shape_tree, shape, by_need, shape_by_need)

void queue_init(struct queue *q,
                void *owner,
                struct id_map *all,
                struct distincts *distincts,
                struct tellings *tellings)
{
    *q = (struct queue){
        .owner = owner, .all = all, .distincts = distincts, .tellings = tellings};
    q->at[SHAPE_READY].in_order = true;
    q->at[SHAPE_ASLEEP].of_needs = true;
    q->at[SHAPE_CAPPED].of_needs = true;
    RB_INIT(&q->shapes);
    RB_INIT(&q->jobs);
}

/* ---- shapes ---- */

static void leave(struct queue *q, struct shape *shape)
{
    if (shape->place.is_in)
        fit_tree_remove(&q->at[shape->at], &shape->place);
}

static void leave_distincts(struct distincts *d, struct shape *shape)
{
    if (d->next == shape)
        d->next = TAILQ_NEXT(shape, distinct);
    TAILQ_REMOVE(&d->shapes, shape, distinct);
}

static void drop_told(struct tellings *t, struct told *told)
{
    if (told == NULL)
        return;
    TAILQ_REMOVE(&t->list, told, next);
    t->count--;
    told->shape->told = NULL;
    mem_free(told);
}

static void drop_shape(struct queue *q, struct shape *shape)
{
    leave(q, shape);
    RB_REMOVE(shape_tree, &q->shapes, shape);
    extra_needs_destroy((struct extra_needs *)shape->demand.extras);
    mem_free((void *)shape->demand.match.data);
    if (shape->demand.job != 0)
        leave_distincts(q->distincts, shape);
    drop_told(q->tellings, shape->told);
    mem_free(shape);
}

/* Where it belongs by its first job; a shape without jobs ends. */
static void enter(struct queue *q, struct shape *shape, enum place place)
{
    struct waiting *first = RB_MIN(waiting_tree, &shape->jobs);

    if (first == NULL) {
        drop_shape(q, shape);
        return;
    }
    if (shape->place.is_in && shape->at == place) {
        fit_tree_move(&q->at[place], &shape->place, first->rank);
        return;
    }
    leave(q, shape);
    shape->at = place;
    shape->place.key = first->rank;
    if (place == SHAPE_CAPPED)
        fit_tree_insert_signed(&q->at[place], &shape->place, &shape->cap);
    else
        fit_tree_insert(&q->at[place], &shape->place);
}

struct shape *queue_shape(const struct queue *q, const struct job *j)
{
    struct shape wanted = {.demand = job_demand(j)};

    return RB_FIND(shape_tree, (struct shape_tree *)&q->shapes, &wanted);
}

/* Its own copies of what the demand of a job points to. */
static void take_demand(struct shape *shape, const struct job *j)
{
    struct demand d = job_demand(j);
    struct match match = {0};
    struct unpack u;

    d.extras = extra_needs_copy(d.extras);
    if (d.match.size > 0) {
        unpack_init(&u, d.match);
        match_unpack(&match, &u);
        shape->place.set = match_set(&match);
        match_finish(&match);
        d.match.data = mem_dup(d.match.data, d.match.size);
    }
    shape->demand = d;
}

static struct shape *add_shape(struct queue *q, const struct job *j)
{
    struct shape *shape = mem_zalloc(sizeof(*shape));

    shape->queue = q;
    take_demand(shape, j);
    shape->place.vector = j->resources;
    shape->place.bits = demand_bits(&shape->demand);
    shape->place.owner = shape;
    RB_INIT(&shape->jobs);
    RB_INSERT(shape_tree, &q->shapes, shape);
    if (shape->demand.job != 0)
        TAILQ_INSERT_TAIL(&q->distincts->shapes, shape, distinct);
    return shape;
}

struct told *shape_told(struct shape *shape)
{
    struct tellings *t = shape->queue->tellings;

    if (shape->told != NULL)
        return shape->told;
    if (t->count == TOLD_MOST)
        drop_told(t, TAILQ_LAST(&t->list, told_list));
    shape->told = mem_zalloc(sizeof(*shape->told));
    shape->told->shape = shape;
    TAILQ_INSERT_HEAD(&t->list, shape->told, next);
    t->count++;
    return shape->told;
}

/* ---- jobs ---- */

struct waiting *waiting_find(const struct id_map *all, uint64_t job)
{
    return id_map_find(all, job);
}

void queue_remove(struct queue *q, struct waiting *w)
{
    struct shape *shape = w->shape;
    bool was_first = w == RB_MIN(waiting_tree, &shape->jobs);

    RB_REMOVE(waiting_tree, &shape->jobs, w);
    RB_REMOVE(waiting_age_tree, &q->jobs, w);
    id_map_remove(q->all, w->rank.second);
    mem_free(w);
    if (was_first)
        enter(q, shape, shape->at);
}

static void insert(struct queue *q, struct shape *shape, struct fit_key rank, bool wake)
{
    struct waiting *w = mem_zalloc(sizeof(*w));

    w->rank = rank;
    w->shape = shape;
    RB_INSERT(waiting_tree, &shape->jobs, w);
    RB_INSERT(waiting_age_tree, &q->jobs, w);
    id_map_add(q->all, rank.second, w);
    if (w == RB_MIN(waiting_tree, &shape->jobs))
        enter(q, shape, wake ? SHAPE_READY : shape->at);
}

static void set_rank(struct queue *q, struct waiting *w, struct fit_key rank, bool wake)
{
    struct shape *shape = w->shape;
    bool was_first = w == RB_MIN(waiting_tree, &shape->jobs);
    bool is_forward = fit_key_compare(&rank, &shape->place.key) < 0;

    RB_REMOVE(waiting_tree, &shape->jobs, w);
    w->rank = rank;
    RB_INSERT(waiting_tree, &shape->jobs, w);
    if (was_first || is_forward)
        enter(q, shape, is_forward && wake ? SHAPE_READY : shape->at);
}

void queue_add(struct queue *q, const struct job *j, struct fit_key rank, bool wake)
{
    struct waiting *w = waiting_find(q->all, j->id);
    struct shape *shape;

    ASSERT(rank.second == j->id);
    if (w == NULL) {
        shape = queue_shape(q, j);
        insert(q, shape != NULL ? shape : add_shape(q, j), rank, wake);
    } else if (fit_key_compare(&w->rank, &rank) != 0) {
        set_rank(q, w, rank, wake);
    }
}

void queue_take_over(struct queue *q,
                     struct waiting *w,
                     const struct job *j,
                     struct fit_key rank,
                     bool wake)
{
    struct shape *shape = queue_shape(q, j);

    if (shape == NULL) {
        shape = add_shape(q, j);
        shape->at = w->shape->at;
        shape->cap = w->shape->cap;
    }
    queue_remove(w->shape->queue, w);
    insert(q, shape, rank, wake);
}

void queue_finish(struct queue *q)
{
    struct waiting *w;

    while ((w = RB_MIN(waiting_age_tree, &q->jobs)) != NULL)
        queue_remove(q, w);
}

uint64_t queue_oldest(const struct queue *q)
{
    return RB_MIN(waiting_age_tree, (struct waiting_age_tree *)&q->jobs)->rank.second;
}

struct waiting *shape_first(const struct shape *shape)
{
    return RB_MIN(waiting_tree, (struct waiting_tree *)&shape->jobs);
}

void queue_pop(struct queue *q, struct shape *shape)
{
    queue_remove(q, RB_MIN(waiting_tree, &shape->jobs));
}

/* ---- places ---- */

struct shape *queue_first(const struct queue *q, enum place place)
{
    struct fit_node *n = fit_tree_first(&q->at[place]);

    return n == NULL ? NULL : n->owner;
}

void queue_move(struct queue *q, struct shape *shape, enum place to)
{
    enter(q, shape, to);
}

void queue_cap(struct queue *q, struct shape *shape, const struct fit_signature *cap)
{
    leave(q, shape);
    shape->cap = *cap;
    enter(q, shape, SHAPE_CAPPED);
}

struct shape *queue_find_asleep(const struct queue *q,
                                struct fit_key from,
                                const struct fit_tree *room)
{
    struct fit_node *n = fit_tree_find_need(&q->at[SHAPE_ASLEEP], from, room);

    return n == NULL ? NULL : n->owner;
}
