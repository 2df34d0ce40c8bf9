/* image_find.h - what the source of an image names, before anything of it is fetched. */
#ifndef FETCH_IMAGE_FIND_H
#define FETCH_IMAGE_FIND_H

#include "base/error.h"
#include "fetch/digest.h"
#include "fetch/registry.h"

#include <jansson.h>
#include <limits.h>
#include <stdint.h>

#define OCI_PREFIX "oci:"

enum image_kind { LAYOUT_FOLDER, LAYOUT_TAR, LAYOUT_URL, LAYOUT_REGISTRY };

struct image {
    const char *source, *sha256; /* of the request */
    json_int_t limit_bytes;
    enum image_kind kind;
    char path[PATH_MAX]; /* of folder or tar */
    char *tag;           /* in path, or NULL */
    char pinned[REGISTRY_NAME];
    char key[DIGEST_TEXT];
    int layout; /* a directory, or -1 */
    uint64_t bytes;
};

/* A request as of image_fetch() (image.h): enter the cache, and say which kind it is.  The image's
 * texts are of the request.  image_finish() in any case. */
int image_read(struct image *image, const json_t *request, struct error *err);
void image_finish(struct image *image);
/* Wrap the error with its name; the code, negative. */
int image_blame(const struct image *image, struct error *err);

/* The key of all kinds but REGISTRY, which skopeo has to be asked for; of FOLDER the layout is open after it. */
int image_key(struct image *image, struct error *err);
int image_open_layout(struct image *image, const char *path, struct error *err);

/* Is it in the cache?  1 and its key, and it is wanted from now on; 0: no, or nobody knows; or
 * a negative error. */
int image_cached(const json_t *request, char key[DIGEST_TEXT], struct error *err);

#endif
