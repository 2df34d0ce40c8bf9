/* test_rng.c - the published sequence, ranges, fairness. */
#include "base/rng.h"
#include "tests/lib/unit.h"

START_TEST(splitmix64_sequence)
{
    /* First outputs of the reference implementation for seed 1234567. */
    static const uint64_t expected[] = {6457827717110365317u,
                                        3203168211198807973u,
                                        9817491932198370423u,
                                        4593380528125082431u,
                                        16408922859458223821u};
    struct rng rng = {1234567};

    for (unsigned i = 0; i < 5; i++)
        ck_assert_uint_eq(rng_next(&rng), expected[i]);
}
END_TEST

START_TEST(below_reaches_all_and_no_more)
{
    struct rng rng = {1};
    unsigned seen[7] = {0};

    for (unsigned i = 0; i < 7000; i++) {
        uint64_t n = rng_below(&rng, 7);

        ck_assert_uint_lt(n, 7);
        seen[n]++;
    }
    for (unsigned i = 0; i < 7; i++) {
        ck_assert_uint_gt(seen[i], 850);
        ck_assert_uint_lt(seen[i], 1150);
    }
    ck_assert_uint_eq(rng_below(&rng, 1), 0);
}
END_TEST

START_TEST(between_has_both_ends)
{
    struct rng rng = {2};
    unsigned low = 0, high = 0;

    for (unsigned i = 0; i < 1000; i++) {
        uint64_t n = rng_between(&rng, 5, 8);

        ck_assert(n >= 5 && n <= 8);
        low += n == 5;
        high += n == 8;
    }
    ck_assert(low > 0 && high > 0);
    ck_assert_uint_eq(rng_between(&rng, 9, 9), 9);
}
END_TEST

START_TEST(percent)
{
    struct rng rng = {3};
    unsigned hits = 0;

    for (unsigned i = 0; i < 10000; i++) {
        hits += rng_percent(&rng, 30) ? 1 : 0;
        ck_assert(!rng_percent(&rng, 0));
        ck_assert(rng_percent(&rng, 100));
    }
    ck_assert(hits > 2800 && hits < 3200);
}
END_TEST

UNIT_MAIN("rng",
          unit_case("rng",
                    splitmix64_sequence,
                    below_reaches_all_and_no_more,
                    between_has_both_ends,
                    percent))
