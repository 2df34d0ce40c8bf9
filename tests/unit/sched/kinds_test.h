/* kinds_test.h - what the tests of kinds of jobs share: one cluster, which each has anew. */
#ifndef TESTS_UNIT_SCHED_KINDS_TEST_H
#define TESTS_UNIT_SCHED_KINDS_TEST_H

#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"

static struct cluster c;
static char why[SCHED_WHY_BYTES];

static void setup(void)
{
    cluster_init(&c);
}

static void teardown(void)
{
    cluster_finish(&c);
}

static struct resources cpus(uint64_t n)
{
    return amounts(n * 1000, 0, 0, 0);
}

static const struct job *job(uint64_t id)
{
    return state_job(c.state, id);
}

/* So many placements are planned, and all accepted. */
static void settle(uint64_t expected)
{
    ck_assert_uint_eq(cluster_settle(&c), expected);
    sched_check(c.sched, c.state);
    state_check(c.state);
}

static const char *explain(uint64_t id)
{
    unsigned looks = SCHED_EXPLAIN_LOOKS;

    sched_explain(c.sched, c.state, c.now_us, job(id), &looks, why, sizeof(why));
    return why;
}

#endif
