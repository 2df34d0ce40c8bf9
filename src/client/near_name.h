/* near_name.h - of the names in a listing, whose pages go, the one that a user may have meant. */
#ifndef CLIENT_NEAR_NAME_H
#define CLIENT_NEAR_NAME_H

#include "base/limits.h"

#include <stddef.h>

struct near_name {
    const char *word; /* what was typed; set by the caller, the rest is zeroed */
    char best[LIMIT_NAME_BYTES + 1]; /* "": none is near */
    size_t distance;
};

/* Copies what it needs; of equally near ones the first stays. */
void near_name_offer(struct near_name *n, const char *name);

#endif
