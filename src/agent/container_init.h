/* container_init.h - process 1 of a container, by which others reach it. */
#ifndef AGENT_CONTAINER_INIT_H
#define AGENT_CONTAINER_INIT_H

#include <sys/types.h>

#define CONTAINER_PID "pid" /* in the bundle: who it is, as crun tells */

/* 0: not told.  path: of the file, which is written in place. */
pid_t container_init_pid(const char *path);

/* To an agent that was restarted meanwhile a container counts as running before it is there: wait
 * for it, at most LIMIT_EXEC_START_MS.  -1 and errno. */
pid_t container_init_wait(const char *path);

/* The master of a new terminal that has a name in the container; -1 and errno. */
int container_init_terminal(pid_t pid);

#endif
