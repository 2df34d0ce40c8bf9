/* digest.h - SHA-256 of bytes that pass by (nettle). */
#ifndef FETCH_DIGEST_H
#define FETCH_DIGEST_H

#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>

#define DIGEST_BYTES 32
#define DIGEST_TEXT  (2 * DIGEST_BYTES + 1) /* lower-case hex and a zero */

struct digest {
    struct sha256_ctx state;
};

void digest_begin(struct digest *d);
void digest_add(struct digest *d, const void *bytes, size_t size);
/* Ends it; out may be NULL. */
void digest_end(struct digest *d, char out[DIGEST_TEXT]);

/* 64 lower-case hex digits. */
bool digest_valid(const char *text);

#endif
