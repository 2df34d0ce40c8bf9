/* oci_config.h - what crun is told of a container: config.json of a bundle (pure).
 *
 * After the OCI runtime specification 1.0, from the task, and from the image's own
 * configuration where the task says nothing.  What the image says of a wrong type is
 * as if it said nothing.
 */
#ifndef FETCH_OCI_CONFIG_H
#define FETCH_OCI_CONFIG_H

#include "fetch/oci_user.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define OCI_SANDBOX "/sandbox" /* where a container has the sandbox of its task */

struct oci_volume {
    const char *source, *target; /* absolute */
    bool read_only, is_file;
};

struct oci_task {
    const json_t *argv, *env; /* arrays of texts; env: NAME=value */
    struct oci_user user;
    const char *sandbox;           /* on the host */
    const char *const *host_files; /* NULL-ended: seen in the container as they are */
    const struct oci_volume *volumes;
    size_t volume_count;
};

/* The caller's; NULL if something is not UTF-8. */
json_t *oci_config(const struct oci_task *task, const json_t *image);

#endif
