/* bundle.h - what crun runs: a directory for each container.
 *
 *     WORK_DIR/bundles/ATTEMPT/config.json
 *                             /image        link to its image in the cache
 *                             /rootfs       where image and layer are mounted as one
 *                             /upper, work  the layer that the container writes
 *                             /state        crun's own
 *
 * Made anew at each start by the agent's user; triarch-contain mounts and removes it.
 */
#ifndef FETCH_BUNDLE_H
#define FETCH_BUNDLE_H

#include "base/error.h"

#include <jansson.h>

/* {"image": as for image_fetch(), "bundle", "sandbox": absolute paths, "argv", "env",
 * "user" (if the job has one), "volumes": [{"source", "target", "read_only"}…],
 * "allowed": [directories that volumes may be in], "fetch": path of triarch-fetch, for an image
 * that is not in the cache}.  Prints uid and gid of the process.  An error without text was told
 * on standard error. */
int container_make(const json_t *request, struct error *err);

#endif
