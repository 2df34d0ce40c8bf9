/* digest.c - see digest.h. */
#include "fetch/digest.h"

#include "base/assert.h"

#include <gnutls/crypto.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void digest_begin(struct digest *d)
{
    gnutls_hash_hd_t hash;

    ASSERT(gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) == 0);
    d->state = hash;
}

void digest_add(struct digest *d, const void *bytes, size_t size)
{
    if (size > 0)
        ASSERT(gnutls_hash(d->state, bytes, size) == 0);
}

void digest_end(struct digest *d, char out[DIGEST_TEXT])
{
    uint8_t bytes[DIGEST_BYTES];

    gnutls_hash_deinit(d->state, bytes);
    d->state = NULL;
    for (size_t i = 0; out != NULL && i < DIGEST_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

bool digest_valid(const char *text)
{
    return strlen(text) == DIGEST_TEXT - 1 &&
           strspn(text, "0123456789abcdef") == DIGEST_TEXT - 1;
}
