/* digest.c - see digest.h. */
#include "fetch/digest.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void digest_begin(struct digest *d)
{
    sha256_init(&d->state);
}

void digest_add(struct digest *d, const void *bytes, size_t size)
{
    sha256_update(&d->state, size, bytes);
}

void digest_end(struct digest *d, char out[DIGEST_TEXT])
{
    uint8_t bytes[DIGEST_BYTES];

    sha256_digest(&d->state, sizeof(bytes), bytes);
    for (size_t i = 0; out != NULL && i < DIGEST_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

bool digest_valid(const char *text)
{
    return strlen(text) == DIGEST_TEXT - 1 &&
           strspn(text, "0123456789abcdef") == DIGEST_TEXT - 1;
}
