/* task.h - what a process of an attempt is made of, and how it is started.
 *
 * Used by shims for the task itself and for whatever else runs on its behalf: checks,
 * sessions of people.  All of them are in the attempt's group, have the same user and
 * environment, no descriptors above 2, default signals and a session of their own.
 */
#ifndef AGENT_TASK_H
#define AGENT_TASK_H

#include "agent/cgroup.h"
#include "agent/shim.h"

#include <stdbool.h>
#include <sys/types.h>

struct task {
    const struct cgroup *group; /* to run in; NULL: none */
    char **argv, **env;         /* NULL-ended */
    int cwd;                    /* a directory */
    int in, out, err; /* descriptors; -1: the shim's own, which is /dev/null */
    bool terminal;    /* these are one, which is to control its session */
    const struct shim_request *user; /* whose ids; NULL: keeps the shim's privileges */
    bool oom_default; /* give up the shim's protection when the host has no memory */
    char **strings;   /* argv and env of task_from_request() */
    const char *rest; /* of the request's strings: what comes after them */
};

/* Command line, environment and user as requested; they point into it. */
void task_from_request(struct task *t, const struct shim_request *request);
void task_finish(struct task *t);

/* Returns when the command runs: 0 and its pid, which leads a session and a process
 * group; or errno and the step that failed.  The kernel kills it when its shim dies. */
int task_spawn(const struct task *t, pid_t *pid, const char **step);

/* PATH of the environment, or what is taken instead. */
const char *task_path(const struct task *t);

#endif
