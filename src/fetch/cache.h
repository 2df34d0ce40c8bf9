/* cache.h - the images that are unpacked on this agent.  Works in the current directory:
 *
 *     KEY/rootfs        the files, read-only by agreement
 *     KEY/config.json   the image's own configuration
 *     KEY/bytes         how much it takes, in decimal
 *     KEY.lock          held alone while KEY is made or removed, shared while it is used;
 *                       its mtime is when it was last wanted
 *     KEY.tmp/          half done; whoever holds the lock removes it
 *
 * KEY is the sum of what the image was made from.  Locks end with their holders, and KEY gets
 * its name when it is whole, so a kill at any moment leaves nothing that looks like an image.
 */
#ifndef FETCH_CACHE_H
#define FETCH_CACHE_H

#include "base/error.h"
#include "fetch/digest.h"

#include <stdbool.h>
#include <stdint.h>

struct cache_place {
    char name[DIGEST_TEXT];
    char temporary[DIGEST_TEXT + 4];
    int lock;
    bool there; /* nothing to do */
};

/* Waits for whoever makes it.  If it is not there the caller makes it in `temporary`, which
 * is there and empty. */
int cache_take(struct cache_place *place, const char *key, struct error *err);
/* Is it there?  Waits for whoever makes it; it is wanted from now on. */
bool cache_has(const char *key);

/* It is whole: give it its name. */
int cache_keep(struct cache_place *place, uint64_t bytes, struct error *err);
/* Removes what is half done; close the lock.  Zeroed is not fine. */
void cache_give(struct cache_place *place);

/* Remove images that nobody uses, least recently wanted first, until `limit` bytes are
 * enough; those wanted in the last LIMIT_IMAGE_YOUNG_MS are spared.  Also what killed
 * predecessors left. */
void cache_trim(uint64_t limit);

#endif
