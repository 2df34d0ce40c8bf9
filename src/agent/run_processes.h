/* run_processes.h - the processes of a run. */
#ifndef AGENT_RUN_PROCESSES_H
#define AGENT_RUN_PROCESSES_H

#include "agent/cgroup.h"

#include <stdint.h>
#include <sys/types.h>

/* Those in its group.  Where there are no groups: what descends from its shim, as far as the
 * kernel tells (CONFIG_PROC_CHILDREN); a shim that did not start at that time (process.h) is
 * somebody else.  What starts meanwhile may be missed. */
void run_processes_each(const struct cgroups *groups,
                        uint64_t attempt,
                        pid_t shim,
                        uint64_t shim_start,
                        cgroup_process_fn *visit,
                        void *arg);

#endif
