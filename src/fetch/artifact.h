/* artifact.h - what a task wants to find in its sandbox when it starts.
 *
 * Runs as the task's user in the sandbox, in order.  A file gets its name only once it
 * is whole and verified; of an archive that fails half is left, and the task is not started.
 */
#ifndef FETCH_ARTIFACT_H
#define FETCH_ARTIFACT_H

#include "base/error.h"

#include <jansson.h>

/* [{"source", "sha256", "path", "unpack", "executable", "max_bytes", "timeout_ms"}, …] */
int artifacts_fetch(const json_t *list, struct error *err);

#endif
