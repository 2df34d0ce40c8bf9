/* gather.c - the places that have room first for so many tasks. */
#include "sched/gather.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdlib.h>

bool step_is_sooner(const struct step *a, const struct step *b)
{
    if (a->from_us != b->from_us)
        return a->from_us < b->from_us;
    if (a->ends != b->ends)
        return a->ends < b->ends;
    return a->agent < b->agent;
}

void gathering_begin(struct gathering *g, uint32_t wanted)
{
    g->count = 0;
    g->tasks = 0;
    g->wanted = wanted;
}

void gathering_finish(struct gathering *g)
{
    mem_free(g->of);
    *g = (struct gathering){0};
}

/* ---- the heap ---- */

static void swap(struct step *a, struct step *b)
{
    struct step s = *a;

    *a = *b;
    *b = s;
}

static void rise(struct gathering *g)
{
    size_t i = g->count - 1;

    while (i > 0 && step_is_sooner(&g->of[(i - 1) / 2], &g->of[i])) {
        swap(&g->of[(i - 1) / 2], &g->of[i]);
        i = (i - 1) / 2;
    }
}

static void drop_last(struct gathering *g)
{
    size_t i = 0, child;

    g->tasks -= g->of[0].tasks;
    g->of[0] = g->of[--g->count];
    for (child = 1; child < g->count; child = 2 * i + 1) {
        if (child + 1 < g->count && step_is_sooner(&g->of[child], &g->of[child + 1]))
            child++;
        if (!step_is_sooner(&g->of[i], &g->of[child]))
            break;
        swap(&g->of[i], &g->of[child]);
        i = child;
    }
}

bool gathering_add(struct gathering *g, const struct step *s)
{
    if (gathering_is_whole(g) && !step_is_sooner(s, &g->of[0]))
        return false;
    MEM_GROW(g->of, g->capacity, g->count + 1);
    g->of[g->count++] = *s;
    g->tasks += s->tasks;
    rise(g);
    while (g->tasks - g->of[0].tasks >= g->wanted)
        drop_last(g);
    return true;
}

/* ---- the end ---- */

static int by_agent(const void *a, const void *b)
{
    const struct step *x = a, *y = b;

    if (x->agent != y->agent)
        return x->agent < y->agent ? -1 : 1;
    return step_is_sooner(y, x) - step_is_sooner(x, y);
}

size_t gathering_end(struct gathering *g)
{
    size_t count = 0, last = 0;

    ASSERT(gathering_is_whole(g));
    g->of[0].tasks -= g->tasks - g->wanted;
    g->tasks = g->wanted;
    qsort(g->of, g->count, sizeof(*g->of), by_agent);
    for (size_t i = 0; i < g->count; i++) {
        struct step s = g->of[i];

        if (count > 0 && g->of[count - 1].agent == s.agent)
            s.tasks += g->of[--count].tasks;
        g->of[count++] = s;
    }
    g->count = count;
    for (size_t i = 1; i < count; i++)
        if (step_is_sooner(&g->of[last], &g->of[i]))
            last = i;
    return last;
}
