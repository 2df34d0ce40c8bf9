/* exec_spawn.c - a session process of a run.
 *
 * The session process itself stays outside the run's group, so it can tell how the command
 * ended when that was killed with the group.  The command is in it: the group is opened
 * when the command is started, so that it is the run's as long as that is there, and
 * nothing is started when it is not.
 */
#include "agent/exec_spawn.h"

#include "agent/container_init.h"
#include "agent/exec_session.h"
#include "agent/task.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct starting {
    const struct shim_host *host;
    const struct shim_request *request;
    struct task command;
};

static bool in_container(const struct shim_request *request)
{
    return (request->flags & SHIM_FLAG_CONTAINER) != 0;
}

unsigned exec_patience(const struct shim_request *request)
{
    return in_container(request) ? LIMIT_EXEC_HANGUP_MS : 0;
}

static int open_sandbox(uint64_t attempt)
{
    char name[64];

    snprintf(name, sizeof(name), "runs/%llu", (unsigned long long)attempt);
    return open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int exec_spawn_in_run(struct task *command,
                      const struct shim_host *host,
                      const struct shim_request *request,
                      pid_t *pid,
                      const char **step)
{
    struct cgroup group;
    int rv = -cgroup_open(&group, &host->groups, request->attempt);

    *step = "the task has ended";
    if (rv != 0 && host->groups.count > 0)
        return rv;
    if (in_container(request))
        command->user = NULL; /* crun changes to it */
    command->group = host->groups.count > 0 ? &group : NULL;
    command->cwd = open_sandbox(request->attempt);
    *step = "sandbox";
    rv = command->cwd < 0 ? errno : task_spawn(command, pid, step);
    if (command->cwd >= 0)
        close(command->cwd);
    cgroup_close(&group);
    return rv;
}

static int
spawn(void *user, const struct exec_files *files, pid_t *pid, const char **step)
{
    struct starting *s = user;

    s->command.in = files->in;
    s->command.out = files->out;
    s->command.err = files->err;
    s->command.terminal = files->terminal && !in_container(s->request);
    return exec_spawn_in_run(&s->command, s->host, s->request, pid, step);
}

static int open_terminal(void *user)
{
    const struct starting *s = user;
    char path[64];
    pid_t pid;

    snprintf(path,
             sizeof(path),
             "bundles/%llu/" CONTAINER_PID,
             (unsigned long long)s->request->attempt);
    pid = container_init_wait(path);
    return pid < 0 ? -1 : container_init_terminal(pid);
}

void exec_spawn(const struct shim_request *request,
                const struct shim_host *host,
                int socket)
{
    struct starting s = {.host = host, .request = request};
    bool changes = (request->flags & SHIM_FLAG_USER) != 0;
    struct exec_session session = {
        .socket = socket,
        .terminal = (request->flags & SHIM_FLAG_TERMINAL) != 0,
        .input = (request->flags & SHIM_FLAG_INPUT) != 0,
        .rows = request->rows,
        .columns = request->columns,
        .patience_ms = exec_patience(request),
        .owner = changes ? request->uid : geteuid(),
        .spawn = spawn,
        .open_terminal = in_container(request) ? open_terminal : NULL,
        .user = &s,
    };

    close(SHIM_FD_FENCE);
    /* Whoever reads what the agent says is not to wait for this. */
    dup2(STDIN_FILENO, STDOUT_FILENO);
    dup2(STDIN_FILENO, STDERR_FILENO);
    setsid();
    task_from_request(&s.command, request);
    s.command.oom_default = host->oom_protected;
    session.name = s.command.argv[0];
    exec_session_run(&session);
}
