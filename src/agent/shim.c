/* shim.c - stands over one task: starts it, passes signals on, keeps how it ended.
 *
 * The task is the head of a session and process group of its own.  When it ends, the
 * rest of its group is killed, and whatever left the group too: the shim is the reaper
 * of all that descends from it.  If the shim itself is killed the kernel kills the
 * task: a run without a shim has no exit status, so it must not go on beside its
 * successor.
 *
 * The task is started with vfork(): the child borrows the shim's memory until it has
 * called exec, so a failure to do so comes back in a variable.
 */

#include "agent/shim.h"

#include "agent/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct shim {
    const struct shim_request *request;
    char **argv;
    char **env;
    uint64_t start; /* of this process */
    pid_t task;
    int sandbox, out, err; /* descriptors */
};

static void notify(const struct shim *s, enum shim_notice_kind kind)
{
    struct shim_notice notice = {
        .attempt = s->request->attempt,
        .shim_start = s->start,
        .shim_pid = getpid(),
        .kind = kind,
    };
    ssize_t n;

    /* An agent that is away reads the slot when it is back. */
    do {
        n = write(SHIM_FD_NOTICES, &notice, sizeof(notice));
    } while (n < 0 && errno == EINTR);
}

/* The spawner reports a shim whose status is not 0: then the slot could not be written.
 */
static _Noreturn void finish(const struct shim *s, struct slot_end *end)
{
    end->attempt = s->request->attempt;
    if (slot_write_end(SHIM_FD_SLOTS, s->request->slot, end) != 0)
        _exit(1);
    notify(s, SHIM_ENDED);
    _exit(0);
}

__attribute__((format(printf, 2, 3))) static _Noreturn void
not_started(const struct shim *s, const char *format, ...)
{
    struct slot_end end = {.how = SLOT_NOT_STARTED};
    va_list args;

    va_start(args, format);
    vsnprintf(end.text, sizeof(end.text), format, args);
    va_end(args);
    finish(s, &end);
}

/* ---- start ---- */

static char **strings(const char **at, uint32_t count)
{
    char **list = calloc(count + 1, sizeof(*list));

    if (list == NULL)
        _exit(1);
    for (uint32_t i = 0; i < count; i++) {
        list[i] = (char *)(uintptr_t)*at;
        *at += strlen(*at) + 1;
    }
    return list;
}

static const char *search_path(const struct shim *s)
{
    for (char **e = s->env; *e != NULL; e++) {
        if (strncmp(*e, "PATH=", 5) == 0)
            return *e + 5;
    }
    return "/usr/bin:/bin";
}

/* As execvp(), but with the task's PATH; returns errno.  A name that is there but
 * cannot be executed is a better reason than one that is not there. */
static int exec_in_path(const struct shim *s, const char *path)
{
    const char *name = s->argv[0];
    int reason = ENOENT;
    char file[PATH_MAX];

    if (strchr(name, '/') != NULL) {
        execve(name, s->argv, s->env);
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
            execve(file, s->argv, s->env);
            if (errno != ENOENT && errno != ENOTDIR)
                reason = errno;
        }
        if (*end == 0)
            return reason;
    }
}

/* In the child, which shares our memory: system calls only.  Descriptors above 2 close
 * themselves, and 0 is /dev/null already. */
static int become_task(const struct shim *s, const char *path)
{
    sigset_t none;

    sigemptyset(&none);
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || dup2(s->out, 1) < 0 ||
        dup2(s->err, 2) < 0 || fchdir(s->sandbox) != 0 ||
        sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        return errno;
    return exec_in_path(s, path);
}

static __attribute__((noinline)) int spawn_task(struct shim *s, const char *path)
{
    volatile int failure = 0;
    pid_t pid = vfork();

    if (pid == 0) {
        failure = become_task(s, path);
        _exit(127);
    }
    s->task = pid;
    if (pid < 0)
        return errno;
    if (failure != 0)
        waitpid(pid, NULL, 0);
    return failure;
}

static void open_sandbox(struct shim *s)
{
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    char name[64];

    snprintf(name, sizeof(name), "runs/%llu", (unsigned long long)s->request->attempt);
    if (mkdir(name, 0755) != 0 && errno != EEXIST)
        not_started(s, "cannot make the sandbox %s: %s", name, strerror(errno));
    s->sandbox = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->sandbox < 0)
        not_started(s, "cannot open the sandbox %s: %s", name, strerror(errno));
    s->out = openat(s->sandbox, "stdout", flags, 0644);
    s->err = openat(s->sandbox, "stderr", flags, 0644);
    if (s->out < 0 || s->err < 0)
        not_started(s, "cannot open the log files in %s: %s", name, strerror(errno));
}

static void start_task(struct shim *s)
{
    const char *path = search_path(s);
    int failure = spawn_task(s, path);
    bool searched = strchr(s->argv[0], '/') == NULL;

    close(s->sandbox);
    close(s->out);
    close(s->err);
    if (failure == 0)
        return;
    not_started(s,
                "exec \"%s\": %s%s%s%s",
                s->argv[0],
                strerror(failure),
                searched ? " (looked in PATH " : "",
                searched ? path : "",
                searched ? ")" : "");
}

/* ---- stand over it ---- */

/* Kill all children, among them those that were left behind by what they descend from.
 */
static bool kill_children(void)
{
    char path[64], text[4096];
    FILE *f;
    int pid;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    f = fopen(path, "re");
    if (f == NULL)
        return false; /* a kernel without CONFIG_PROC_CHILDREN */
    setvbuf(f, text, _IOFBF, sizeof(text));
    while (fscanf(f, "%d", &pid) == 1)
        kill(pid, SIGKILL);
    fclose(f);
    return true;
}

/* The task has ended; end what it left behind. */
static void reap_rest(void)
{
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (pid < 0)
            return; /* no children */
        if (pid == 0 && (!kill_children() || waitpid(-1, NULL, 0) < 0))
            return;
    }
}

static _Noreturn void task_ended(struct shim *s, const siginfo_t *info)
{
    bool exited = info->si_code == CLD_EXITED;
    struct slot_end end = {
        .how = exited ? SLOT_EXITED : SLOT_SIGNALED,
        .code = info->si_status,
    };

    kill(-s->task, SIGKILL); /* not reaped yet: the group's number is still its own */
    waitpid(s->task, NULL, 0);
    reap_rest();
    finish(s, &end);
}

static void reap(struct shim *s)
{
    for (;;) {
        siginfo_t info = {0};

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid == 0)
            return;
        if (info.si_pid == s->task)
            task_ended(s, &info);
        waitpid(info.si_pid, NULL, 0);
    }
}

static _Noreturn void stand(struct shim *s)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SHIM_SIGNAL_KILL);
    for (;;) {
        switch (sigwaitinfo(&signals, NULL)) {
        case SIGCHLD:
            reap(s);
            break;
        case SIGTERM:
            kill(-s->task, SIGTERM);
            break;
        case SHIM_SIGNAL_KILL:
            kill(-s->task, SIGKILL);
            kill_children();
            break;
        }
    }
}

void shim_run(const struct shim_request *request, const char boot_id[BOOT_ID_BYTES])
{
    const char *at = (const char *)(request + 1);
    struct shim s = {.request = request, .start = process_start(getpid())};
    int reason = errno;
    struct slot_start start = {
        .attempt = request->attempt,
        .shim_start = s.start,
        .shim_pid = getpid(),
    };

    memcpy(start.boot_id, boot_id, BOOT_ID_BYTES);
    if (slot_write_start(SHIM_FD_SLOTS, request->slot, &start) != 0)
        _exit(1);
    close(SHIM_FD_FENCE);
    /* Whoever reads what the agent says is not to wait for its tasks. */
    dup2(STDIN_FILENO, STDOUT_FILENO);
    dup2(STDIN_FILENO, STDERR_FILENO);
    s.argv = strings(&at, request->argc);
    s.env = strings(&at, request->envc);
    setsid();
    if (s.start == 0) /* nobody could signal or adopt it */
        not_started(&s, "cannot read /proc: %s", strerror(reason));
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        not_started(&s, "prctl: %s", strerror(errno));
    open_sandbox(&s);
    start_task(&s);
    notify(&s, SHIM_STARTED);
    stand(&s);
}
