/* log2.h - the base 2 logarithm in 1/1024, in integers.
 *
 * Between two powers of 2 it is a line, which is at most 0.09 below the curve: it never falls
 * when its argument rises, and doubles of it are exact, which is all that is asked of it. */
#ifndef SCHED_LOG2_H
#define SCHED_LOG2_H

#include <stdint.h>

#define LOG2_BITS 10
#define LOG2_ONE  (1 << LOG2_BITS) /* what a factor of 2 adds */

/* Rounded down; the amount is not 0. */
static inline int log2_of(uint64_t amount)
{
    int exponent = 63 - __builtin_clzll(amount);
    uint64_t mantissa = exponent >= LOG2_BITS ? amount >> (exponent - LOG2_BITS)
                                              : amount << (LOG2_BITS - exponent);

    return (exponent << LOG2_BITS) + (int)(mantissa - LOG2_ONE);
}

#endif
