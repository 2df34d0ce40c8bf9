/* test_clock.c - units and order of the clocks. */
#include "base/clock.h"
#include "tests/lib/unit.h"

#include <time.h>

START_TEST(monotonic_never_goes_back)
{
    uint64_t last = clock_monotonic_us();

    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_monotonic_us();

        ck_assert_uint_ge(now, last);
        last = now;
    }
}
END_TEST

START_TEST(boottime_counts_sleep_as_well)
{
    uint64_t awake = clock_monotonic_us();

    ck_assert_uint_ge(clock_boottime_us(), awake);
}
END_TEST

START_TEST(wall_is_microseconds_since_1970)
{
    time_t before = time(NULL);
    uint64_t wall = clock_wall_us();

    /* time() may run a tick behind. */
    ck_assert_uint_ge(wall / 1000000 + 1, (uint64_t)before);
    ck_assert_uint_le(wall / 1000000, (uint64_t)time(NULL) + 1);
}
END_TEST

UNIT_MAIN("clock",
          unit_case("clock",
                    monotonic_never_goes_back,
                    boottime_counts_sleep_as_well,
                    wall_is_microseconds_since_1970))
