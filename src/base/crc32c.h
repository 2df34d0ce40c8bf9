/* crc32c.h - CRC32C (Castagnoli), the checksum of every record on disk.
 *
 * The polynomial 0x1EDC6F41 of RFC 3720, reflected; check value of "123456789" is
 * 0xE3069283. Start with seed 0 and chain: crc32c(crc32c(0, a), b) is the CRC of a and
 * b together.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t seed, const void *bytes, size_t size);

/* The same value without instructions of a special CPU; crc32c() chooses. */
uint32_t crc32c_portable(uint32_t seed, const void *bytes, size_t size);

#endif
