/* world.h - virtual time, one seed, and a record of what happened.
 *
 * A simulation is one thread that takes events in order of (time, order of scheduling).  All
 * chance comes from one generator, so a seed gives the same run every time; the hash over all
 * events and notes proves it.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MS        1000ull
#define SECOND    (1000 * MS)
#define NODES_MAX 96

/* What a node's monotonic clock says, in ms, and the time in us of such a reading. */
#define CLOCK_BASE_MS 1000ull
static inline uint64_t clock_us(uint64_t ms)
{
    return ms > CLOCK_BASE_MS ? (ms - CLOCK_BASE_MS) * MS : 0;
}

struct world;
typedef void (*world_fn)(struct world *w, void *context, uint64_t a, uint64_t b);

struct world_event {
    uint64_t at_us;
    uint64_t order;
    world_fn fn;
    void *context;
    uint64_t a, b;
};

struct world {
    uint64_t now_us;
    struct rng rng;
    uint64_t order;
    struct world_event *heap;
    size_t count, capacity;
    uint64_t events;
    uint64_t hash;
    int trace; /* 0: silent, 1: what matters, 2: everything */
    bool failed;
    char why[400];
};

void world_init(struct world *w, uint64_t seed, int trace);
void world_finish(struct world *w);

void world_at(struct world *w,
              uint64_t at_us,
              world_fn fn,
              void *context,
              uint64_t a,
              uint64_t b);
static inline void world_in(struct world *w,
                            uint64_t delay_us,
                            world_fn fn,
                            void *context,
                            uint64_t a,
                            uint64_t b)
{
    world_at(w, w->now_us + delay_us, fn, context, a, b);
}

/* Run until that time, or the first failure. */
void world_run(struct world *w, uint64_t until_us);

/* A property does not hold: the first one stands. */
void world_fail(struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Part of the history: goes into the hash, and to stdout when tracing. */
void world_note(
    struct world *w, int level, const char *what, uint64_t a, uint64_t b, uint64_t c);

static inline uint64_t pick(struct world *w, uint64_t low, uint64_t high)
{
    return rng_between(&w->rng, low, high);
}

static inline bool chance(struct world *w, unsigned percent)
{
    return rng_percent(&w->rng, percent);
}

#endif
