/* image.h - the image of a task, unpacked into the cache (cache.h), once for all tasks.
 *
 * Runs as the agent's own user: a task must not be able to change what others run.
 */
#ifndef FETCH_IMAGE_H
#define FETCH_IMAGE_H

#include "base/error.h"

#include <jansson.h>

/* {"source", "sha256" (of a URL), "cache", "limit_bytes"}.  Prints the image's key. */
int image_fetch(const json_t *request, struct error *err);

#endif
