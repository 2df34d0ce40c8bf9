/* test_hash.c - the hash is the published XXH3-128, and sums are mod 2^128. */
#include "base/hash.h"
#include "base/rng.h"
#include "tests/lib/unit.h"

#include <string.h>

static struct bytes text(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

START_TEST(known_values)
{
    /* printf abc | xxhsum -H2 */
    static const uint8_t abc[HASH128_BYTES] = {0x06,
                                               0xb0,
                                               0x5a,
                                               0xb6,
                                               0x73,
                                               0x3a,
                                               0x61,
                                               0x85,
                                               0x78,
                                               0xaf,
                                               0x5f,
                                               0x94,
                                               0x89,
                                               0x2f,
                                               0x39,
                                               0x50};
    static const uint8_t empty[HASH128_BYTES] = {0x99,
                                                 0xaa,
                                                 0x06,
                                                 0xd3,
                                                 0x01,
                                                 0x47,
                                                 0x98,
                                                 0xd8,
                                                 0x60,
                                                 0x01,
                                                 0xc3,
                                                 0x24,
                                                 0x46,
                                                 0x8d,
                                                 0x49,
                                                 0x7f};
    uint8_t out[HASH128_BYTES];

    hash128_store(out, hash128_of(text("abc")));
    ck_assert_mem_eq(out, abc, sizeof(out));
    hash128_store(out, hash128_of((struct bytes){0}));
    ck_assert_mem_eq(out, empty, sizeof(out));
}
END_TEST

START_TEST(store_and_load)
{
    struct hash128 h = {.low = 0x0123456789abcdef, .high = 0xfedcba9876543210};
    uint8_t out[HASH128_BYTES];

    hash128_store(out, h);
    ck_assert_uint_eq(out[0], 0xfe);
    ck_assert_uint_eq(out[15], 0xef);
    ck_assert(hash128_equal(hash128_load(out), h));
}
END_TEST

START_TEST(carry_and_borrow)
{
    struct hash128 one = {.low = 1};
    struct hash128 low_full = {.low = UINT64_MAX};
    struct hash128 full = {.low = UINT64_MAX, .high = UINT64_MAX};
    struct hash128 zero = {0};

    ck_assert(hash128_equal(hash128_add(low_full, one), (struct hash128){.high = 1}));
    ck_assert(
        hash128_equal(hash128_subtract((struct hash128){.high = 1}, one), low_full));
    ck_assert(hash128_equal(hash128_add(full, one), zero));
    ck_assert(hash128_equal(hash128_subtract(zero, one), full));
    ck_assert(!hash128_equal(one, (struct hash128){.low = 1, .high = 1}));
    ck_assert(!hash128_equal(one, zero));
}
END_TEST

START_TEST(sums_come_out_in_any_order)
{
    struct rng rng = {7};
    struct hash128 up = {0}, down = {0}, parts[64];

    for (unsigned i = 0; i < 64; i++)
        parts[i] = (struct hash128){rng_next(&rng), rng_next(&rng)};
    for (unsigned i = 0; i < 64; i++) {
        up = hash128_add(up, parts[i]);
        down = hash128_add(down, parts[63 - i]);
    }
    ck_assert(hash128_equal(up, down));
    for (unsigned i = 0; i < 64; i++)
        up = hash128_subtract(up, parts[(i * 7) % 64]);
    ck_assert(hash128_equal(up, (struct hash128){0}));
}
END_TEST

UNIT_MAIN("hash",
          unit_case("hash",
                    known_values,
                    store_and_load,
                    carry_and_borrow,
                    sums_come_out_in_any_order))
