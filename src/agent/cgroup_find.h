/* cgroup_find.h - where the groups of an agent's runs are: version 1, 2 or both.
 *
 * They are below the agent's own group, which its supervisor delegates to it, in
 * `triarch/DEVICE-INODE` of its work directory.  Once made they stay where they are until
 * the host is restarted: WORK_DIR/cgroups says where, so that the next agent finds them
 * from wherever it is started.
 */
#ifndef AGENT_CGROUP_FIND_H
#define AGENT_CGROUP_FIND_H

#include "agent/cgroup.h"
#include "agent/shim.h"
#include "base/error.h"

struct cgroup_find_options {
    const char *root; /* before every path, for tests; "" is this host */
    const char *work_dir;
    const char *boot_id; /* BOOT_ID_BYTES of it */
};

/* Finds or makes the places.  None or not all of them is no error: *why says which limits
 * are not enforced and why, or is empty. */
int cgroup_find(struct cgroups *out,
                const struct cgroup_find_options *options,
                struct error *why,
                struct error *err);

/* Attempts that have a group, in no order, some twice; the caller frees *out. */
size_t cgroup_list(const struct cgroups *c, uint64_t **out);

#endif
