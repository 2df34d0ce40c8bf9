/* host.h - what this host has, for an agent that is not told. */
#ifndef AGENT_HOST_H
#define AGENT_HOST_H

#include "base/error.h"
#include "base/limits.h"
#include "wire/resources.h"

#include <stdbool.h>

/* The cpus that this process may use, by affinity and by the cpu limits of its cgroups;
 * memory of the host or the limit of its cgroups, less what the system itself needs;
 * free disk below work_dir, less a reserve.  No gpus, which must be named. */
int host_resources(struct resources *out, const char *work_dir, struct error *err);

/* Ask the kernel not to choose this process, nor what it starts, when the host runs out of
 * memory.  False if it may not. */
bool host_protect(void);

int host_name(char out[LIMIT_NAME_BYTES + 1], struct error *err);

#endif
