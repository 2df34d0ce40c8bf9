/* oci_user.h - whose ids a container's process has. */
#ifndef FETCH_OCI_USER_H
#define FETCH_OCI_USER_H

#include "base/error.h"
#include "base/limits.h"

#include <jansson.h>
#include <stdint.h>

struct oci_user {
    uint32_t uid, gid;
    uint32_t groups[LIMIT_USER_GROUPS]; /* supplementary ones */
    uint32_t group_count;
};

/* text: "NAME", "UID", "NAME:GROUP" or any mix, as in images; "" is root.  Names are looked
 * up in etc/passwd and etc/group of rootfs (a descriptor), links stay inside of it.  A user
 * without a group in text is in all those that name it as a member. */
int oci_user_find(int rootfs,
                  const char *text,
                  struct oci_user *out,
                  struct error *err);

/* users: {"from": N, "listed": [[uid, gid]…]}.  Its uid and its gid must be listed, or from N on
 * where that is not 0; of the other groups those are left out that are not. */
int oci_user_restrict(struct oci_user *user, const json_t *users, struct error *err);

#endif
