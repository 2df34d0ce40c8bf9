/* round.c - which task goes where next.
 *
 *   1  what the last round planned is read again from the state, as it was applied
 *   2  the waiting shape of the lowest rank that may fit is found: the first ready one, or
 *      a sleeping one that an agent can hold which has grown
 *   3  its first job's tasks go to the best agent until that is full, then to the next
 *      best, until the job has none left (back to 2) or no agent has room (it sleeps)
 *
 * On 3: worth is additive (policy.h).  So the agent that just took a task is still the
 * best for the next one of the same needs, and when it is full the next best comes behind
 * where it was: one walk over the index serves the whole job.
 *
 * On 2: as long as no agent has grown, sleeping shapes are not looked at, and when one has,
 * the index of sleeping shapes names those that it may hold.  So what fits nowhere costs
 * nothing, and what is behind it gets its turn.
 */
#include "sched/internal.h"

#include "base/mem.h"

#define ASKED_PER_LOOK \
    16 /* agents whose extras were looked at cost as much as a search */

struct round {
    struct sched *sched;
    const struct state *state;
    struct placement *out;
    size_t count;
    size_t max;
    unsigned looks; /* left */
};

struct sched *sched_create(void)
{
    struct sched *s = mem_zalloc(sizeof(*s));

    s->policy = &policy_priority;
    fleet_init(&s->fleet, s->policy);
    queue_init(&s->queue, s->policy);
    return s;
}

static void clear(struct sched *s)
{
    fleet_finish(&s->fleet);
    queue_finish(&s->queue);
    s->drained_count = 0;
    s->waking.from = (struct fit_key){0};
    s->waking.was_cut = false;
    s->waking.again = false;
}

void sched_destroy(struct sched *s)
{
    if (s == NULL)
        return;
    clear(s);
    mem_free(s->drained);
    mem_free(s);
}

void sched_reset(struct sched *s, const struct state *state)
{
    struct agent *a;

    clear(s);
    fleet_init(&s->fleet, s->policy);
    queue_init(&s->queue, s->policy);
    RB_FOREACH (a, agent_tree, (struct agent_tree *)&state->agents)
        fleet_refresh(&s->fleet, state, a->id);
    s->is_loading = true;
    s->load_priority = INT32_MAX;
    s->load_id = 0;
}

static void grown(struct sched *s)
{
    if (s->waking.was_cut)
        s->waking.again = true;
    else
        s->waking.from = (struct fit_key){0};
}

void sched_agent_changed(struct sched *s, const struct state *state, uint64_t agent)
{
    if (fleet_refresh(&s->fleet, state, agent))
        grown(s);
}

void sched_agent_refuses(struct sched *s,
                         const struct state *state,
                         uint64_t agent,
                         bool refuses)
{
    if (fleet_refuses(&s->fleet, state, agent, refuses))
        grown(s);
}

void sched_job_changed(struct sched *s, const struct state *state, uint64_t job)
{
    const struct job *j = state_job(state, job);

    /* What ended may be purged already. */
    if (j != NULL && job_pending(j) > 0)
        queue_add(&s->queue, j, s->fleet.grown.root != NULL);
    else
        queue_remove(&s->queue, job);
}

/* ---- 1: what the last round planned ---- */

/* False when the budget ended first. */
static bool load(struct round *r)
{
    struct sched *s = r->sched;
    struct job after = {.priority = s->load_priority, .id = s->load_id + 1};
    struct job_order_tree *runnable = (struct job_order_tree *)&r->state->runnable;
    struct job *j;

    if (!s->is_loading)
        return true;
    for (j = RB_NFIND(job_order_tree, runnable, &after); j != NULL && r->looks > 0;
         j = RB_NEXT(job_order_tree, runnable, j)) {
        r->looks--;
        s->load_priority = j->priority;
        s->load_id = j->id;
        queue_add(&s->queue, j, true);
    }
    s->is_loading = j != NULL;
    return !s->is_loading;
}

static bool refresh(struct round *r)
{
    struct sched *s = r->sched;

    if (fleet_refresh_taken(&s->fleet, r->state))
        grown(s);
    for (size_t i = 0; i < s->drained_count; i++)
        sched_job_changed(s, r->state, s->drained[i]);
    s->drained_count = 0;
    return load(r);
}

/* ---- 2: what is next ---- */

/* All sleeping shapes were compared with what has grown. */
static void waking_end(struct sched *s)
{
    if (!s->waking.again)
        fit_tree_clear(&s->fleet.grown);
    s->waking.from = (struct fit_key){0};
    s->waking.again = false;
}

/* What was asked in vain counts as well. */
static void pay(struct round *r, unsigned asked)
{
    unsigned looks = asked / ASKED_PER_LOOK;

    r->looks -= looks < r->looks ? looks : r->looks;
}

/* Of all agents only those that have grown may have room for what sleeps: where extras are
 * to be asked for one by one, no others are. */
static bool has_grown_room(struct round *r, const struct demand *d)
{
    const struct fleet *fleet = &r->sched->fleet;
    unsigned asked = 0;
    bool has;

    if (d->extras == NULL)
        return fleet_best(fleet, NULL, d, NULL) != NULL;
    has = fleet_grown_has_room(fleet, d, &asked);
    pay(r, asked);
    return has;
}

/* A sleeping shape that an agent has room for now, earlier than the first ready one. */
static struct shape *next_awakened(struct round *r, const struct shape *ready)
{
    struct sched *s = r->sched;
    struct fleet *fleet = &s->fleet;

    while (fleet->grown.root != NULL && r->looks > 0) {
        struct shape *shape =
            queue_find_asleep(&s->queue, s->waking.from, &fleet->grown);

        r->looks--;
        if (shape == NULL) {
            waking_end(s);
            continue;
        }
        s->waking.from = shape->place.key;
        if (ready != NULL && fit_key_compare(&ready->place.key, &shape->place.key) < 0)
            return NULL;
        if (has_grown_room(r, &shape->demand))
            return shape;
        s->waking.from.second++; /* behind it */
    }
    return NULL;
}

/* NULL when there is none, or when the budget ended before that was known. */
static struct shape *next_shape(struct round *r)
{
    struct queue *queue = &r->sched->queue;
    struct shape *ready = queue_next(queue);
    struct shape *awakened = next_awakened(r, ready);

    if (awakened != NULL)
        queue_wake(queue, awakened);
    if (r->looks == 0)
        return NULL;
    return awakened != NULL ? awakened : ready;
}

/* ---- 3: where it goes ---- */

struct tasks {
    const struct job *job;
    struct placement next; /* the first one that has no place yet */
    bool any;
};

static void tasks_step(struct tasks *t, uint32_t from)
{
    t->any = job_next_pending(t->job, from, &t->next.instance, &t->next.attempt);
}

/* As many tasks as fit on this agent. */
static void fill(struct round *r, struct fleet_agent *a, struct tasks *t)
{
    struct resources left = a->fit.vector;
    struct demand d = job_demand(t->job);

    t->next.agent = a->id;
    while (t->any && r->count < r->max && fleet_plan(a, &left, &d)) {
        r->out[r->count++] = t->next;
        tasks_step(t, t->next.instance + 1);
    }
    fleet_take(&r->sched->fleet, a, &left);
}

/* No agent has room.  Nor had one for any that slept before it, or those had come first. */
static void sleep_on(struct sched *s, struct shape *shape)
{
    struct fit_key behind = shape->place.key;

    behind.second++;
    if (fit_key_compare(&s->waking.from, &behind) < 0)
        s->waking.from = behind;
    queue_sleep(&s->queue, shape);
}

static void place_first_job(struct round *r, struct shape *shape)
{
    struct sched *s = r->sched;
    uint64_t id = shape_first_job(shape);
    struct tasks t = {.job = state_job(r->state, id), .next = {.job = id}};
    struct fit_key full; /* agents before this one have no room */
    const struct fit_key *from = NULL;

    r->looks--;
    if (t.job != NULL)
        tasks_step(&t, 0);
    while (t.any) {
        struct fleet_agent *a;
        unsigned asked = 0;

        if (r->count == r->max || r->looks == 0)
            return;
        r->looks--;
        a = fleet_best(&s->fleet, from, &shape->demand, &asked);
        pay(r, asked);
        if (a == NULL) {
            sleep_on(s, shape);
            return;
        }
        full = a->fit.key;
        from = &full;
        fill(r, a, &t);
    }
    queue_pop(&s->queue, shape);
    MEM_GROW(s->drained, s->drained_capacity, s->drained_count + 1);
    s->drained[s->drained_count++] = id;
}

size_t sched_round(struct sched *s,
                   const struct state *state,
                   struct placement *out,
                   size_t max,
                   bool *more)
{
    struct round r = {
        .sched = s, .state = state, .out = out, .max = max, .looks = SCHED_LOOKS};

    *more = true;
    if (!refresh(&r))
        return 0;
    while (r.count < r.max && r.looks > 0) {
        struct shape *shape = next_shape(&r);

        if (shape != NULL)
            place_first_job(&r, shape);
        else if (r.looks > 0)
            *more = false;
        if (!*more)
            break;
    }
    s->waking.was_cut = r.looks == 0 && s->fleet.grown.root != NULL;
    return r.count;
}
