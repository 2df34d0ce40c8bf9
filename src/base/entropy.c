/* entropy.c - random bytes of the kernel. */
#include "base/entropy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void entropy_fill(void *bytes, size_t size)
{
    char *at = bytes;

    while (size > 0) {
        /* Up to 256 bytes come whole; more may be cut short by a signal. */
        ssize_t n = getrandom(at, size, 0);

        if (n > 0) {
            at += n;
            size -= (size_t)n;
        } else if (errno != EINTR) {
            fprintf(
                stderr, "FATAL no random bytes from the kernel: %s\n", strerror(errno));
            abort();
        }
    }
}

uint64_t entropy_u64(void)
{
    uint64_t value;

    entropy_fill(&value, sizeof(value));
    return value;
}
