/* test_crc32c.c - vectors of RFC 3720, B.4, for both versions, and chaining. */
#include "base/crc32c.h"
#include "base/rng.h"
#include "tests/lib/unit.h"

#include <string.h>

static void check_both(uint32_t expected, const void *bytes, size_t size)
{
    ck_assert_uint_eq(crc32c(0, bytes, size), expected);
    ck_assert_uint_eq(crc32c_portable(0, bytes, size), expected);
}

START_TEST(rfc3720_vectors)
{
    uint8_t bytes[32];

    memset(bytes, 0, sizeof(bytes));
    check_both(0x8a9136aa, bytes, sizeof(bytes));
    memset(bytes, 0xff, sizeof(bytes));
    check_both(0x62a8ab43, bytes, sizeof(bytes));
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    check_both(0x46dd794e, bytes, sizeof(bytes));
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    check_both(0x113fdb5c, bytes, sizeof(bytes));
    check_both(0xe3069283, "123456789", 9);
}
END_TEST

START_TEST(nothing_is_the_seed)
{
    check_both(0, "", 0);
    ck_assert_uint_eq(crc32c(0x12345678, NULL, 0), 0x12345678);
}
END_TEST

START_TEST(chains_at_every_cut_and_alignment)
{
    struct rng rng = {1};
    uint8_t bytes[100];
    uint32_t whole;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)rng_next(&rng);
    whole = crc32c_portable(0, bytes, sizeof(bytes));
    for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
        uint32_t head = crc32c(0, bytes, cut);

        ck_assert_uint_eq(head, crc32c_portable(0, bytes, cut));
        ck_assert_uint_eq(crc32c(head, bytes + cut, sizeof(bytes) - cut), whole);
    }
}
END_TEST

UNIT_MAIN("crc32c",
          unit_case("crc32c",
                    rfc3720_vectors,
                    nothing_is_the_seed,
                    chains_at_every_cut_and_alignment))
