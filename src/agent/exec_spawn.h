/* exec_spawn.h - a session process of a run: a process of the attempt with a relay. */
#ifndef AGENT_EXEC_SPAWN_H
#define AGENT_EXEC_SPAWN_H

#include "agent/shim.h"

/* In a new process of the spawner's: carry out a request of kind EXEC.  socket: to the
 * agent (exec_session.h). */
_Noreturn void exec_spawn(const struct shim_request *request,
                          const struct shim_host *host,
                          int socket);

#endif
