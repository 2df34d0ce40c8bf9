/* probe.h - one check of a run: a command inside it, or a question to its port. */
#ifndef AGENT_PROBE_H
#define AGENT_PROBE_H

#include "agent/shim.h"

/* In a new process of the spawner's: carry out a request of kind CHECK, tell the agent how it
 * ended (SHIM_CHECKED), within its timeout. */
_Noreturn void probe_run(const struct shim_request *request,
                         const struct shim_host *host);

#endif
