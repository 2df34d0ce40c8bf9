/* leftovers.h - processes of runs whose shim is gone. */
#ifndef AGENT_LEFTOVERS_H
#define AGENT_LEFTOVERS_H

#include "agent/cgroup.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Kill all that is in the attempt's group and remove it.  0 when nothing is left, and when
 * there is no group; -EBUSY: killed and not gone yet, or it could not be looked at. */
int leftovers_end_group(const struct cgroups *groups, uint64_t attempt);

/* Kill every process whose environment says that it belongs to one of these attempts
 * (ascending) under this work directory, and that is in no group, as those of other attempts
 * are.  Reads all of /proc: it is for rare accidents.
 * An error: some may be left.  So may what forks faster than it is killed, without a word. */
int leftovers_kill(const struct cgroups *groups,
                   const char *work_dir,
                   const uint64_t *attempts,
                   size_t count,
                   struct error *err);

#endif
