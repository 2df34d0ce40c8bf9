/* hash.c - 128-bit hashes. */
#include "base/hash.h"

#include <xxhash.h>

_Static_assert(sizeof(XXH128_canonical_t) == HASH128_BYTES,
               "canonical bytes of a hash");

struct hash128 hash128_of(struct bytes bytes)
{
    XXH128_hash_t h = XXH3_128bits(bytes.data, bytes.size);

    return (struct hash128){.low = h.low64, .high = h.high64};
}

struct hash128 hash128_add(struct hash128 a, struct hash128 b)
{
    uint64_t low = a.low + b.low;

    return (struct hash128){.low = low, .high = a.high + b.high + (low < a.low)};
}

struct hash128 hash128_subtract(struct hash128 a, struct hash128 b)
{
    return (struct hash128){.low = a.low - b.low,
                            .high = a.high - b.high - (a.low < b.low)};
}

bool hash128_equal(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

void hash128_store(uint8_t out[HASH128_BYTES], struct hash128 h)
{
    for (unsigned i = 0; i < 8; i++) {
        out[i] = (uint8_t)(h.high >> (56 - 8 * i));
        out[8 + i] = (uint8_t)(h.low >> (56 - 8 * i));
    }
}

struct hash128 hash128_load(const uint8_t bytes[HASH128_BYTES])
{
    struct hash128 h = {0};

    for (unsigned i = 0; i < 8; i++) {
        h.high = h.high << 8 | bytes[i];
        h.low = h.low << 8 | bytes[8 + i];
    }
    return h;
}
