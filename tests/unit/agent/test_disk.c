/* test_disk.c - when a disk is low. */
#include "agent/disk.h"

#include "base/limits.h"
#include "tests/lib/unit.h"

#define GIB (1024 * MIB)

/* Five percent of a small disk; on a large one the reserve is the smaller. */
START_TEST(both_must_be_short)
{
    ck_assert(!disk_is_low(false, 100 * GIB, 1 * GIB, 1 * GIB));
    ck_assert(disk_is_low(false, 100 * GIB, 1 * GIB - 1, 1 * GIB));
    ck_assert(!disk_is_low(false, 100 * GIB, 4 * GIB, 1 * GIB));
    ck_assert(!disk_is_low(false, 1000 * MIB, 50 * MIB, 1 * GIB));
    ck_assert(disk_is_low(false, 1000 * MIB, 50 * MIB - 1, 1 * GIB));
}
END_TEST

START_TEST(it_is_over_with_a_quarter_more)
{
    ck_assert(disk_is_low(true, 100 * GIB, 1 * GIB, 1 * GIB));
    ck_assert(disk_is_low(true, 100 * GIB, 1280 * MIB - 1, 1 * GIB));
    ck_assert(!disk_is_low(true, 100 * GIB, 1280 * MIB, 1 * GIB));
}
END_TEST

START_TEST(without_a_reserve_it_is_never_low)
{
    ck_assert(!disk_is_low(false, 100 * GIB, 0, 0));
    ck_assert(!disk_is_low(true, 100 * GIB, 0, 0));
    ck_assert(!disk_is_low(false, 0, 0, 1 * GIB));
}
END_TEST

UNIT_MAIN("disk",
          unit_case("disk",
                    both_must_be_short,
                    it_is_over_with_a_quarter_more,
                    without_a_reserve_it_is_never_low))
