/* hash.h - 128-bit hashes: digest of the state, identity of canonical bytes.
 *
 * XXH3-128 with seed 0: fast, the same value on every machine, and not cryptographic;
 * nothing that an attacker chooses may rest on it.  low and high are XXH128_hash_t's
 * low64 and high64. Sums are mod 2^128, so that a digest of many objects is kept by
 * adding and subtracting their hashes in any order.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define HASH128_BYTES 16

struct hash128 {
    uint64_t low;
    uint64_t high;
};

struct hash128 hash128_of(struct bytes bytes);

struct hash128 hash128_add(struct hash128 a, struct hash128 b);
struct hash128 hash128_subtract(struct hash128 a, struct hash128 b);
bool hash128_equal(struct hash128 a, struct hash128 b);

/* The canonical 16 bytes, big-endian: in hex the same text as `xxhsum -H2` prints. */
void hash128_store(uint8_t out[HASH128_BYTES], struct hash128 h);
struct hash128 hash128_load(const uint8_t bytes[HASH128_BYTES]);

#endif
