/* task.c - how a process of an attempt is started.
 *
 * With vfork(): the child borrows the shim's memory until it has called exec, so a failure
 * comes back in a variable.  A group of version 2 is joined by clone3() instead: moving a
 * process there later makes the kernel hold all forks of the host for a moment.  That
 * child has memory of its own, and one page in common.
 *
 * The order in the child: group, session, files, limits of the kernel's patience, user,
 * no new privileges, signals, exec.  A step that fails ends it.
 */
#include "agent/task.h"

#include "agent/cgroup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct failure {
    volatile int code; /* errno; 0: none */
    const char *volatile step;
};

/* ---- of a request ---- */

void task_from_request(struct task *t, const struct shim_request *request)
{
    const char *at = shim_request_strings(request);
    uint32_t n = 0;

    *t = (struct task){.cwd = -1, .in = -1, .out = -1, .err = -1};
    t->strings = calloc((size_t)request->argc + request->envc + 2, sizeof(char *));
    if (t->strings == NULL)
        _exit(1);
    t->argv = t->strings;
    t->env = t->strings + request->argc + 1;
    for (; n < request->argc; n++, at += strlen(at) + 1)
        t->argv[n] = (char *)(uintptr_t)at;
    for (n = 0; n < request->envc; n++, at += strlen(at) + 1)
        t->env[n] = (char *)(uintptr_t)at;
    t->rest = at;
    t->user = request;
}

void task_finish(struct task *t)
{
    free(t->strings);
    t->strings = NULL;
}

const char *task_path(const struct task *t)
{
    for (char **e = t->env; *e != NULL; e++) {
        if (strncmp(*e, "PATH=", 5) == 0)
            return *e + 5;
    }
    return "/usr/bin:/bin";
}

/* ---- in the child: system calls only ---- */

/* As execvp(), but with the task's PATH; returns errno.  A name that is there but
 * cannot be executed is a better reason than one that is not there. */
static int exec_in_path(const struct task *t, const char *path)
{
    const char *name = t->argv[0];
    int reason = ENOENT;
    char file[PATH_MAX];

    if (strchr(name, '/') != NULL) {
        execve(name, t->argv, t->env);
        return errno;
    }
    for (const char *at = path, *end;; at = end + 1) {
        end = strchrnul(at, ':');
        int n = snprintf(file,
                         sizeof(file),
                         "%.*s%s%s",
                         (int)(end - at),
                         at,
                         end == at ? "" : "/",
                         name);

        if (n > 0 && (size_t)n < sizeof(file)) {
            execve(file, t->argv, t->env);
            if (errno != ENOENT && errno != ENOTDIR)
                reason = errno;
        }
        if (*end == 0)
            return reason;
    }
}

static int put(int from, int to)
{
    return from < 0 || dup2(from, to) >= 0 ? 0 : errno;
}

/* The C library would tell other threads, which are not ours to touch here. */
static int become_user(const struct shim_request *r)
{
    if ((r->flags & SHIM_FLAG_USER) != 0 &&
        (syscall(SYS_setgroups, (size_t)r->groups, shim_request_groups(r)) != 0 ||
         syscall(SYS_setresgid, r->gid, r->gid, r->gid) != 0 ||
         syscall(SYS_setresuid, r->uid, r->uid, r->uid) != 0))
        return errno;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : errno;
}

/* What a service manager gave to an agent that is not root is not for its tasks. */
static int drop_ambient(void)
{
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 ? 0 : errno;
}

/* Returns errno, and the step in *step. */
static int
become_task(const struct task *t, const char *path, bool cloned, struct failure *f)
{
    sigset_t none;
    int rv;

    f->step = "join the cgroup";
    rv = t->group == NULL ? 0 : -cgroup_join(t->group, cloned);
    if (rv != 0)
        return rv;
    f->step = "oom_score_adj";
    if (t->oom_default)
        rv = -cgroup_write(AT_FDCWD, "/proc/self/oom_score_adj", "0");
    if (rv != 0)
        return rv;
    f->step = "session";
    if (setsid() < 0)
        return errno;
    f->step = "terminal";
    if (t->terminal && ioctl(t->in, TIOCSCTTY, 0) != 0)
        return errno;
    f->step = "files";
    if ((rv = put(t->in, 0)) != 0 || (rv = put(t->out, 1)) != 0 ||
        (rv = put(t->err, 2)) != 0)
        return rv;
    if (fchdir(t->cwd) != 0)
        return errno;
    f->step = "become the user";
    rv = t->user == NULL ? 0 : become_user(t->user);
    if (rv != 0)
        return rv;
    f->step = "capabilities";
    rv = drop_ambient();
    if (rv != 0)
        return rv;
    f->step = "signals"; /* after the change of user, which clears the first */
    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
        sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        return errno;
    f->step = "exec";
    return exec_in_path(t, path);
}

/* ---- start ---- */

static pid_t clone_into(int group)
{
    struct clone_args args = {
        .flags = (unsigned long long)CLONE_VFORK | CLONE_INTO_CGROUP,
        .exit_signal = SIGCHLD,
        .cgroup = (unsigned long long)group,
    };

    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static int
spawn_cloned(const struct task *t, const char *path, pid_t *pid, struct failure *out)
{
    struct failure *f = mmap(
        NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int rv;

    if (f == MAP_FAILED)
        return errno;
    *pid = clone_into(cgroup_clone_fd(t->group));
    if (*pid == 0) {
        f->code = become_task(t, path, true, f);
        _exit(127);
    }
    rv = *pid < 0 ? errno : 0;
    *out = (struct failure){.code = f->code, .step = f->step};
    munmap(f, sizeof(*f));
    return rv;
}

static __attribute__((noinline)) int
spawn_borrowing(const struct task *t, const char *path, pid_t *pid, struct failure *f)
{
    *pid = vfork();
    if (*pid == 0) {
        f->code = become_task(t, path, false, f);
        _exit(127);
    }
    return *pid < 0 ? errno : 0;
}

int task_spawn(const struct task *t, pid_t *pid, const char **step)
{
    const char *path = task_path(t);
    struct failure f = {0};
    int rv = ENOSYS;

    if (t->group != NULL && cgroup_clone_fd(t->group) >= 0)
        rv = spawn_cloned(t, path, pid, &f);
    if (rv == ENOSYS || rv == EPERM) /* an old kernel, or a container's filter */
        rv = spawn_borrowing(t, path, pid, &f);
    *step = rv != 0 ? "fork" : f.step;
    if (rv != 0 || f.code == 0)
        return rv;
    waitpid(*pid, NULL, 0);
    return f.code;
}
