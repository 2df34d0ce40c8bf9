/* layout.h - an OCI image layout: a directory with index.json and blobs named by their
 * sums.
 *
 * Nothing of it is believed that a verified descriptor does not name.  After the OCI image
 * format specification, version 1.0.
 */
#ifndef FETCH_LAYOUT_H
#define FETCH_LAYOUT_H

#include "base/error.h"
#include "fetch/digest.h"

#include <jansson.h>

/* The image that the tag names; NULL: the only one.  Of several platforms this one. */
int layout_resolve(int dir,
                   const char *tag,
                   char manifest[DIGEST_TEXT],
                   struct error *err);

/* A blob that is JSON, verified; the caller's to free. */
int layout_json(int dir, const char *sha256, json_t **out, struct error *err);

/* A blob to read; -code, or a descriptor.  Not verified. */
int layout_blob(int dir, const char *sha256, struct error *err);

/* The sum in a descriptor {"digest": "sha256:…"}, as a view into it. */
int layout_digest(const json_t *descriptor, const char **sha256, struct error *err);

#endif
