/* cgroup_memory.h - WORK_DIR/cgroups: where the groups are, for the next agent.
 *
 * Its first line is the boot id of the host, then comes a place in each.
 */
#ifndef AGENT_CGROUP_MEMORY_H
#define AGENT_CGROUP_MEMORY_H

#include "agent/cgroup_find.h"

/* The places of the agent before: only if it ran in this boot of the host, and all of
 * them are still there. */
bool cgroup_recall(struct cgroups *out, const struct cgroup_find_options *options);
int cgroup_remember(const struct cgroups *c,
                    const struct cgroup_find_options *options,
                    struct error *err);

#endif
