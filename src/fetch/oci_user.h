/* oci_user.h - whose ids a container's process has. */
#ifndef FETCH_OCI_USER_H
#define FETCH_OCI_USER_H

#include "base/error.h"

#include <stdint.h>

/* text: "NAME", "UID", "NAME:GROUP" or any mix, as in images; "" is root.  Names are looked
 * up in etc/passwd and etc/group of rootfs (a descriptor), links stay inside of it. */
int oci_user_find(
    int rootfs, const char *text, uint32_t *uid, uint32_t *gid, struct error *err);

#endif
