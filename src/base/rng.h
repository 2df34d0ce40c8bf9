/* rng.h - a small seeded generator, always passed in explicitly.
 *
 * splitmix64 (Steele, Lea, Flood 2014): every 64-bit state is good, one seed gives one run.
 * For jitter, tests and simulation; ids and secrets come from the kernel (entropy.h).
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += 0x9E3779B97F4A7C15u);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* A number in [0, n); n > 0.  The bias is below n / 2^64. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)rng_next(r) * n) >> 64);
}

/* A number in [low, high]. */
static inline uint64_t rng_between(struct rng *r, uint64_t low, uint64_t high)
{
    return low + rng_below(r, high - low + 1);
}

/* True in `percent` of 100 calls. */
static inline int rng_percent(struct rng *r, unsigned percent)
{
    return rng_below(r, 100) < percent;
}

#endif
