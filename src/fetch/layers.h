/* layers.h - the layers of an image, one over the other, into a directory.
 *
 * In a child whose root that directory is, so no name or link in a layer leads out of it;
 * without root this takes a user namespace, and all files belong to the agent's user.
 * Each layer is read twice: first to verify its sum, to bound it, and to apply its
 * whiteouts, which concern lower layers only; then to write it.  Device nodes are left out.
 */
#ifndef FETCH_LAYERS_H
#define FETCH_LAYERS_H

#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

/* layers: descriptors, of the manifest; *bytes: of all files. */
int layers_unpack(int layout,
                  const json_t *layers,
                  const char *directory,
                  uint64_t *bytes,
                  struct error *err);

#endif
