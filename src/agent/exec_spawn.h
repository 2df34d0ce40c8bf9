/* exec_spawn.h - a session process of a run: a process of the attempt with a relay. */
#ifndef AGENT_EXEC_SPAWN_H
#define AGENT_EXEC_SPAWN_H

#include "agent/shim.h"
#include "agent/task.h"

/* In a new process of the spawner's: carry out a request of kind EXEC.  socket: to the
 * agent (exec_session.h). */
_Noreturn void exec_spawn(const struct shim_request *request,
                          const struct shim_host *host,
                          int socket);

/* Start a command in the sandbox and group of a run that is there: 0, or errno and the step
 * that failed. */
int exec_spawn_in_run(struct task *command,
                      const struct shim_host *host,
                      const struct shim_request *request,
                      pid_t *pid,
                      const char **step);

/* For reaper_end_all(): in a container it is `triarch-contain inside` that ends what a command has
 * started. */
unsigned exec_patience(const struct shim_request *request);

#endif
