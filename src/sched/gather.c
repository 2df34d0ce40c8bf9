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
    g->group_kind = g->group_most = 0;
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

static void rise(struct gathering *g, size_t i)
{
    while (i > 0 && step_is_sooner(&g->of[(i - 1) / 2], &g->of[i])) {
        swap(&g->of[(i - 1) / 2], &g->of[i]);
        i = (i - 1) / 2;
    }
}

static void sink(struct gathering *g, size_t i)
{
    size_t child;

    for (child = 2 * i + 1; child < g->count; child = 2 * i + 1) {
        if (child + 1 < g->count && step_is_sooner(&g->of[child], &g->of[child + 1]))
            child++;
        if (!step_is_sooner(&g->of[i], &g->of[child]))
            break;
        swap(&g->of[i], &g->of[child]);
        i = child;
    }
}

static void drop(struct gathering *g, size_t i)
{
    g->tasks -= g->of[i].tasks;
    g->of[i] = g->of[--g->count];
    if (i == g->count)
        return;
    rise(g, i);
    sink(g, i);
}

/* ---- groups ---- */

/* The last step of a group, and how many tasks it has; g->count: it has none. */
static size_t last_of_group(const struct gathering *g, uint32_t group, uint32_t *tasks)
{
    size_t last = g->count;

    *tasks = 0;
    for (size_t i = 0; i < g->count; i++) {
        if (g->of[i].group != group)
            continue;
        *tasks += g->of[i].tasks;
        if (last == g->count || step_is_sooner(&g->of[last], &g->of[i]))
            last = i;
    }
    return last;
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* So many tasks of the step as its group may have beside those that are sooner; others give way. */
static void fit_in_group(struct gathering *g, struct step *s)
{
    uint32_t tasks, excess, less;
    size_t last = last_of_group(g, s->group, &tasks);

    s->tasks = lesser(s->tasks, g->group_most);
    while (tasks + s->tasks > g->group_most) {
        excess = tasks + s->tasks - g->group_most;
        if (!step_is_sooner(s, &g->of[last])) {
            s->tasks -= lesser(excess, s->tasks);
            return;
        }
        less = lesser(excess, g->of[last].tasks);
        g->of[last].tasks -= less;
        g->tasks -= less;
        if (g->of[last].tasks == 0)
            drop(g, last);
        last = last_of_group(g, s->group, &tasks);
    }
}

bool gathering_add(struct gathering *g, const struct step *step)
{
    struct step s = *step;

    if (gathering_is_whole(g) && !step_is_sooner(&s, &g->of[0]))
        return false;
    if (s.group != 0)
        fit_in_group(g, &s);
    if (s.tasks == 0)
        return false;
    MEM_GROW(g->of, g->capacity, g->count + 1);
    g->of[g->count++] = s;
    g->tasks += s.tasks;
    rise(g, g->count - 1);
    while (g->tasks - g->of[0].tasks >= g->wanted)
        drop(g, 0);
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
