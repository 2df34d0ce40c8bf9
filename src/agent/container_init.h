/* container_init.h - process 1 of a container, by which others reach it. */
#ifndef AGENT_CONTAINER_INIT_H
#define AGENT_CONTAINER_INIT_H

#include <sys/types.h>

#define CONTAINER_PID "pid" /* in the bundle: who it is, as crun tells */

/* The task counts as running from the start of crun on, which needs a moment: wait for it, at
 * most LIMIT_EXEC_START_MS.  path: of the file.  -1 and errno. */
pid_t container_init_wait(const char *path);

/* The master of a new terminal that has a name in the container; -1 and errno. */
int container_init_terminal(pid_t pid);

#endif
