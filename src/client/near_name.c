/* near_name.c - of the names in a listing the one that a user may have meant. */
#include "client/near_name.h"

#include "base/text.h"

#include <stdio.h>

void near_name_offer(struct near_name *n, const char *name)
{
    struct text_nearest nearest = {.word = n->word};

    text_nearest_offer(&nearest, name);
    if (nearest.best == NULL || (n->best[0] != '\0' && nearest.distance >= n->distance))
        return;
    snprintf(n->best, sizeof(n->best), "%s", name);
    n->distance = nearest.distance;
}
