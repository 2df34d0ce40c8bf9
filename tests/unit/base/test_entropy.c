/* test_entropy.c - the bytes are filled, to the end and no further. */
#include "base/entropy.h"
#include "tests/lib/unit.h"

#include <string.h>

START_TEST(fills_all_and_no_more)
{
    /* More than 256 bytes, so that the kernel may give them in parts. */
    uint8_t bytes[4096 + 1];
    unsigned seen[256] = {0}, values = 0;

    bytes[4096] = 0x5a;
    entropy_fill(bytes, 4096);
    ck_assert_uint_eq(bytes[4096], 0x5a);
    for (unsigned i = 0; i < 4096; i++)
        values += seen[bytes[i]]++ == 0;
    /* 4096 fair bytes miss about 0.00003 of the values. */
    ck_assert_uint_gt(values, 240);
}
END_TEST

START_TEST(nothing_is_allowed)
{
    uint8_t byte = 0x5a;

    entropy_fill(&byte, 0);
    ck_assert_uint_eq(byte, 0x5a);
}
END_TEST

START_TEST(numbers_differ)
{
    ck_assert_uint_ne(entropy_u64(), entropy_u64());
}
END_TEST

UNIT_MAIN(
    "entropy",
    unit_case("entropy", fills_all_and_no_more, nothing_is_allowed, numbers_differ))
