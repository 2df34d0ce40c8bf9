/* forecast.c - when an agent will have room for a task. */
#include "sched/forecast.h"

#include "base/mem.h"

#include <stdlib.h>

#define ENDINGS_PER_LOOK 16
#define PLANNED_PER_LOOK 256
#define GROUPED_PER_LOOK 256 /* steps that are compared for the group of one */

/* One task of the agent. */
struct ending {
    uint64_t from_us; /* when its place is expected to be free */
    uint64_t at_us;   /* when it should be */
    bool stays;       /* it goes on until somebody ends it: behind all others */
    uint64_t order;   /* of those that are equal */
    const struct job *job;
    const struct attempt *attempt; /* NULL: it is planned only */
};

void outlook_finish(struct outlook *o)
{
    mem_free(o->endings);
    o->endings = NULL;
    o->ending_room = 0;
}

/* ---- one task ---- */

static uint64_t later(uint64_t us, uint64_t ms)
{
    return ms < (FORECAST_NEVER - us) / 1000 ? us + ms * 1000 : FORECAST_NEVER;
}

static uint64_t began_us(const struct attempt *t)
{
    const struct task *task = job_task(t->job, t->instance);

    return task != NULL && task->attempt_id == t->id && task->started_us != 0
               ? task->started_us
               : t->placed_us;
}

static void expect(struct ending *e, uint64_t at_us, uint64_t now_us)
{
    e->at_us = at_us;
    e->from_us = at_us >= now_us ? at_us : now_us + (now_us - at_us);
}

/* By its job, when it began then. */
static void expect_end(struct ending *e, uint64_t began_us, uint64_t now_us)
{
    uint64_t ms = e->job->expected_ms;

#ifndef MUTANT_SERVICES_END
    e->stays = job_goes_on((enum job_kind)e->job->kind);
#endif
    expect(e, ms == 0 || e->stays ? FORECAST_NEVER : later(began_us, ms), now_us);
}

static struct ending ending_of(const struct attempt *t, uint64_t now_us)
{
    struct ending e = {.order = t->id, .job = t->job, .attempt = t};

    if (attempt_is_to_end(t))
        expect(&e, now_us, now_us);
    else
        expect_end(&e, began_us(t), now_us);
    return e;
}

/* ---- all of an agent ---- */

static void add(struct outlook *o, size_t *count, struct ending e)
{
    MEM_GROW(o->endings, o->ending_room, *count + 1);
    o->endings[(*count)++] = e;
}

static void
add_planned(struct outlook *o, size_t i, size_t *count, struct resources *used)
{
    const struct job *j = state_job(o->state, o->planned[i].job);
    struct ending e = {.order = UINT64_MAX - o->planned_count + i, .job = j};

    if (j == NULL)
        return;
    expect_end(&e, o->now_us, o->now_us);
    add(o, count, e);
    resources_add(used, &j->resources);
}

static size_t collect(struct outlook *o,
                      const struct agent *agent,
                      const struct fleet_agent *a,
                      struct resources *used)
{
    struct attempt *t;
    size_t count = 0;

    *used = agent->allocated;
    TAILQ_FOREACH (t, &agent->attempts, by_agent)
        add(o, &count, ending_of(t, o->now_us));
    for (size_t i = 0; a->is_taken && i < o->planned_count; i++)
        if (o->planned[i].agent == a->id)
            add_planned(o, i, &count, used);
    return count;
}

static int by_end(const void *a, const void *b)
{
    const struct ending *x = a, *y = b;

    if (x->from_us != y->from_us)
        return x->from_us < y->from_us ? -1 : 1;
    if (x->stays != y->stays)
        return x->stays ? 1 : -1;
    return (x->order > y->order) - (x->order < y->order);
}

/* How many tasks of those `most` have room beside what is used. */
static uint32_t amounts_room(const struct resources *capacity,
                             const struct resources *used,
                             const struct resources *need,
                             uint32_t most)
{
    for (int k = 0; k < RESOURCE_KINDS && most > 0; k++) {
        uint64_t free = capacity->amount[k] - used->amount[k];

        if (used->amount[k] > capacity->amount[k])
            return 0;
        if (free < most * need->amount[k])
            most = (uint32_t)(free / need->amount[k]);
    }
    return most;
}

/* The tasks of an agent end one by one. */
struct walk {
    const struct agent *agent;
    struct resources used; /* with what is promised */
    struct extra_use use;
    size_t count, ended;
    uint64_t from_us, at_us; /* of the last one; or now */
    bool is_able;
};

static struct walk walk_begin(struct outlook *o,
                              const struct fleet_agent *a,
                              const struct resources *promised,
                              unsigned *looks)
{
    struct walk w = {.agent = state_agent(o->state, a->id),
                     .from_us = o->now_us,
                     .at_us = o->now_us};
    struct resources least = o->demand->need;
    unsigned cost;

    resources_add(&least, promised);
    w.is_able = w.agent != NULL && w.agent->superseded_count == 0 &&
                resources_contain(&w.agent->capacity, &least);
    if (!w.is_able)
        return w;
    w.count = collect(o, w.agent, a, &w.used);
    resources_add(&w.used, promised);
    if (w.count > 0)
        qsort(o->endings, w.count, sizeof(*o->endings), by_end);
    if (o->demand->extras != NULL)
        extra_use_copy(&w.use, &w.agent->extras_used);
    cost = 1 + (unsigned)w.count / ENDINGS_PER_LOOK +
           (a->is_taken ? (unsigned)o->planned_count / PLANNED_PER_LOOK : 0);
    *looks -= cost < *looks ? cost : *looks;
    return w;
}

static void walk_finish(struct walk *w)
{
    extra_use_finish(&w->use);
}

static void end_next(const struct outlook *o, struct walk *w)
{
    const struct ending *e = &o->endings[w->ended++];

    w->from_us = e->from_us;
    w->at_us = e->at_us;
    resources_subtract(&w->used, &e->job->resources);
    if (o->demand->extras != NULL && e->attempt != NULL && e->job->extras != NULL)
        extra_give(
            &w->use, e->job->extras, attempt_ports(e->attempt), e->attempt->port_count);
}

/* How many tasks have room by then: `most` at most. */
static uint32_t room(const struct outlook *o, const struct walk *w, uint32_t most)
{
    const struct extra_needs *extras = o->demand->extras;
    size_t runs = w->count - w->ended;

    if (runs + most > LIMIT_AGENT_RUNS)
        most = runs < LIMIT_AGENT_RUNS ? (uint32_t)(LIMIT_AGENT_RUNS - runs) : 0;
    most = amounts_room(&w->agent->capacity, &w->used, &o->demand->need, most);
    if (most == 0 || extras == NULL)
        return most;
    if (!extra_has_room(&w->agent->extras, &w->use, extras))
        return 0;
    return extra_room(&w->agent->extras, &w->use, extras, most);
}

/* ---- questions ---- */

static bool is_next_by(const struct outlook *o, const struct walk *w, uint64_t us)
{
    return w->ended < w->count && o->endings[w->ended].from_us <= us &&
           o->endings[w->ended].from_us != FORECAST_NEVER;
}

/* What is expected to have ended by then is left as well. */
static void find_beyond(const struct outlook *o,
                        struct walk *w,
                        uint32_t tasks,
                        uint64_t by_us,
                        struct resources *beyond)
{
    struct resources needs = resources_times(&o->demand->need, tasks);

#ifdef MUTANT_GANG_COUNT_IGNORED
    needs = o->demand->need;
#endif
    while (is_next_by(o, w, by_us))
        end_next(o, w);
    *beyond = w->agent->capacity;
    resources_subtract(beyond, &w->used);
    resources_subtract(beyond, &needs);
}

bool forecast_agent(struct outlook *o,
                    const struct fleet_agent *a,
                    const struct resources *promised,
                    uint32_t tasks,
                    uint64_t by_us,
                    struct forecast *out,
                    unsigned *looks)
{
    struct walk w = walk_begin(o, a, promised, looks);
    bool found = w.is_able && room(o, &w, tasks) == tasks;

    while (w.is_able && !found && w.ended < w.count) {
        end_next(o, &w);
        found = room(o, &w, tasks) == tasks;
    }
    *out = (struct forecast){
        .from_us = w.from_us, .at_us = w.at_us, .ends = (uint32_t)w.ended};
    if (found)
        find_beyond(o, &w, tasks, by_us > w.from_us ? by_us : w.from_us, &out->beyond);
    walk_finish(&w);
    return found;
}

void forecast_gather(struct outlook *o,
                     const struct fleet_agent *a,
                     const struct resources *promised,
                     uint32_t most,
                     uint32_t group,
                     struct gathering *g,
                     unsigned *looks)
{
    struct walk w = walk_begin(o, a, promised, looks);
    uint32_t has = 0, now;
    bool is_of_use = w.is_able;
    unsigned cost = 0;

    while (is_of_use && has < most) {
        now = room(o, &w, most);
        if (group != 0 && now > has)
            cost += (unsigned)g->count / GROUPED_PER_LOOK;
        if (now > has)
            is_of_use = gathering_add(g,
                                      &(struct step){.agent = a->id,
                                                     .from_us = w.from_us,
                                                     .at_us = w.at_us,
                                                     .ends = (uint32_t)w.ended,
                                                     .tasks = now - has,
                                                     .group = group});
        has = now;
        if (w.ended == w.count)
            break;
        end_next(o, &w);
    }
    *looks -= cost < *looks ? cost : *looks;
    walk_finish(&w);
}
