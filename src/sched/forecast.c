/* forecast.c - when an agent will have room for a task. */
#include "sched/forecast.h"

#include "base/mem.h"

#include <stdlib.h>

#define ENDINGS_PER_LOOK 16
#define PLANNED_PER_LOOK 256

/* One task of the agent. */
struct ending {
    uint64_t from_us; /* when its place is expected to be free */
    uint64_t at_us;   /* when it should be */
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

static struct ending ending_of(const struct attempt *t, uint64_t now_us)
{
    struct ending e = {.order = t->id, .job = t->job, .attempt = t};

    if (attempt_is_to_end(t))
        expect(&e, now_us, now_us);
    else if (t->job->expected_ms == 0)
        expect(&e, FORECAST_NEVER, now_us);
    else
        expect(&e, later(began_us(t), t->job->expected_ms), now_us);
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
    expect(&e,
           j->expected_ms == 0 ? FORECAST_NEVER : later(o->now_us, j->expected_ms),
           o->now_us);
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
    return (x->order > y->order) - (x->order < y->order);
}

/* Whether `need` fits beside what is used; what is left then. */
static bool fits(const struct resources *capacity,
                 const struct resources *used,
                 const struct resources *need,
                 struct resources *left)
{
    for (int k = 0; k < RESOURCE_KINDS; k++) {
        uint64_t sum = used->amount[k] + need->amount[k];

        if (sum > capacity->amount[k])
            return false;
        left->amount[k] = capacity->amount[k] - sum;
    }
    return true;
}

static void end_extras(struct extra_use *use, const struct ending *e)
{
    if (e->attempt != NULL && e->job->extras != NULL)
        extra_give(use, e->job->extras, attempt_ports(e->attempt), e->attempt->port_count);
}

static bool walk(const struct outlook *o,
                 const struct agent *agent,
                 size_t count,
                 struct resources used,
                 const struct resources *need,
                 struct forecast *out)
{
    const struct extra_needs *extras = o->demand->extras;
    struct extra_use use = {0};
    bool found = false;

    if (extras != NULL)
        extra_use_copy(&use, &agent->extras_used);
    out->from_us = out->at_us = o->now_us;
    for (size_t i = 0; i <= count; i++) {
        if (i > 0) {
            const struct ending *e = &o->endings[i - 1];

            out->from_us = e->from_us;
            out->at_us = e->at_us;
            resources_subtract(&used, &e->job->resources);
            if (extras != NULL)
                end_extras(&use, e);
        }
        out->ends = (uint32_t)i;
        found = fits(&agent->capacity, &used, need, &out->beyond) &&
                (extras == NULL || extra_has_room(&agent->extras, &use, extras));
        if (found)
            break;
    }
    extra_use_finish(&use);
    return found;
}

/* What else is expected to have ended by then is left as well. */
static void add_what_ends(const struct outlook *o, size_t count, struct forecast *f)
{
    for (size_t i = f->ends; i < count && o->endings[i].from_us == f->from_us &&
                             f->from_us != FORECAST_NEVER;
         i++)
        resources_add(&f->beyond, &o->endings[i].job->resources);
}

bool forecast_agent(struct outlook *o,
                    const struct fleet_agent *a,
                    const struct resources *promised,
                    struct forecast *out,
                    unsigned *looks)
{
    const struct agent *agent = state_agent(o->state, a->id);
    struct resources need = o->demand->need, used;
    unsigned cost;
    size_t count;

    resources_add(&need, promised);
    if (agent == NULL || agent->superseded_count > 0 ||
        !resources_contain(&agent->capacity, &need))
        return false;
    count = collect(o, agent, a, &used);
    if (count > 0)
        qsort(o->endings, count, sizeof(*o->endings), by_end);
    cost = 1 + (unsigned)count / ENDINGS_PER_LOOK +
           (a->is_taken ? (unsigned)o->planned_count / PLANNED_PER_LOOK : 0);
    *looks -= cost < *looks ? cost : *looks;
    *out = (struct forecast){.agent = a->id};
    if (!walk(o, agent, count, used, &need, out))
        return false;
    add_what_ends(o, count, out);
    return true;
}

bool forecast_is_sooner(const struct forecast *a, const struct forecast *b)
{
    if (b->agent == 0 || a->from_us != b->from_us)
        return b->agent == 0 || a->from_us < b->from_us;
    if (a->ends != b->ends)
        return a->ends < b->ends;
    return a->agent < b->agent;
}
