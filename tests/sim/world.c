/* world.c - virtual time and the event heap. */
#include "world.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void world_init(struct world *w, uint64_t seed, int trace)
{
    memset(w, 0, sizeof(*w));
    w->rng.state = seed;
    w->trace = trace;
    rng_next(&w->rng);
}

void world_finish(struct world *w)
{
    mem_free(w->heap);
    w->heap = NULL;
}

static void add_to_hash(struct world *w, uint64_t value)
{
    w->hash = (w->hash ^ value) * 0x100000001B3ull + (w->hash >> 47);
}

static bool before(const struct world_event *a, const struct world_event *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

void world_at(
    struct world *w, uint64_t at_us, world_fn fn, void *context, uint64_t a, uint64_t b)
{
    struct world_event event = {.at_us = at_us > w->now_us ? at_us : w->now_us,
                                .order = w->order++,
                                .fn = fn,
                                .context = context,
                                .a = a,
                                .b = b};
    size_t i = w->count++;

    MEM_GROW(w->heap, w->capacity, w->count);
    while (i > 0 && before(&event, &w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = event;
}

static struct world_event pop(struct world *w)
{
    struct world_event first = w->heap[0];
    struct world_event last = w->heap[--w->count];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= w->count)
            break;
        if (child + 1 < w->count && before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!before(&w->heap[child], &last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return first;
}

void world_run(struct world *w, uint64_t until_us)
{
    while (w->count > 0 && !w->failed && w->heap[0].at_us <= until_us) {
        struct world_event event = pop(w);

        w->now_us = event.at_us;
        w->events++;
        add_to_hash(w, event.at_us);
        add_to_hash(w, event.order);
        event.fn(w, event.context, event.a, event.b);
    }
    if (!w->failed && w->now_us < until_us)
        w->now_us = until_us;
}

void world_fail(struct world *w, const char *format, ...)
{
    va_list args;
    int n;

    if (w->failed)
        return;
    w->failed = true;
    n = snprintf(
        w->why, sizeof(w->why), "at %llu ms: ", (unsigned long long)(w->now_us / MS));
    va_start(args, format);
    vsnprintf(w->why + n, sizeof(w->why) - (size_t)n, format, args);
    va_end(args);
    if (w->trace > 0)
        printf("*** %s\n", w->why);
}

void world_note(
    struct world *w, int level, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t parts[] = {a, b, c};

    for (const char *byte = what; *byte != '\0'; byte++)
        add_to_hash(w, (unsigned char)*byte);
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        add_to_hash(w, parts[i]);
    if (w->trace >= level)
        printf("[%9.3f ms] %-22s %llu %llu %llu\n",
               (double)w->now_us / 1000.0,
               what,
               (unsigned long long)a,
               (unsigned long long)b,
               (unsigned long long)c);
}
