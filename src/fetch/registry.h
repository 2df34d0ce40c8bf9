/* registry.h - images of a registry, by skopeo.
 *
 * A tag may move at any time: what it names now is asked for once, and then everything is about
 * that manifest.  So the sum of the manifest is the image's key before a byte of it is copied.
 */
#ifndef FETCH_REGISTRY_H
#define FETCH_REGISTRY_H

#include "base/error.h"
#include "fetch/digest.h"

#define REGISTRY_PREFIX "docker://"
#define REGISTRY_NAME   1024 /* bytes of a source, and of `pinned` */

/* docker://NAME[:TAG] or docker://NAME@sha256:SUM: the sum of its manifest, and the source that
 * names that one. */
int registry_resolve(const char *source,
                     char pinned[REGISTRY_NAME],
                     char key[DIGEST_TEXT],
                     struct error *err);

/* Into a layout at `to`, which is made, with one image. */
int registry_copy(const char *pinned, const char *to, struct error *err);

#endif
