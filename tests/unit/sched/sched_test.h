/* sched_test.h - what the tests of src/sched share. */
#ifndef TESTS_UNIT_SCHED_SCHED_TEST_H
#define TESTS_UNIT_SCHED_SCHED_TEST_H

#include "base/rng.h"

#include <check.h>
#include <stdlib.h>

/* The seed of the `i`th run of a property test; TEST_SEED=n repeats that run (and those
 * after it). */
static inline uint64_t test_seed(int i)
{
    const char *text = getenv("TEST_SEED");
    uint64_t seed = 20240611;

    if (text != NULL)
        seed = strtoull(text, NULL, 10);
    return seed + (unsigned)i;
}

#define ck_assert_seed(condition, seed)             \
    ck_assert_msg(condition,                        \
                  "%s; repeat with TEST_SEED=%llu", \
                  #condition,                       \
                  (unsigned long long)(seed))

#endif
