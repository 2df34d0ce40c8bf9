/* shim_start.c - what must be there before the command: slot, group, sandbox and logs. */
#include "agent/shim_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void shim_write_start(const struct shim *s)
{
    const struct shim_request *r = s->request;
    struct slot_start start = {
        .attempt = r->attempt,
        .shim_start = s->start,
        .started_ms = s->since_ms,
        .disk_bytes = r->disk_bytes,
        .restarts = r->restarts,
        .shim_pid = getpid(),
    };

    memcpy(start.boot_id, s->host->boot_id, BOOT_ID_BYTES);
    if (slot_write_start(SHIM_FD_SLOTS, r->slot, &start) != 0)
        _exit(1);
}

/* From now on the next agent can find this run. */
void shim_write_begin(const struct shim *s)
{
    shim_write_start(s);
    close(SHIM_FD_FENCE);
    /* Whoever reads what the agent says is not to wait for its tasks. */
    dup2(STDIN_FILENO, STDOUT_FILENO);
    dup2(STDIN_FILENO, STDERR_FILENO);
    setsid();
}

/* Usual groups are kept for each other: those whose limits are only the ones that every
 * attempt has. */
static bool is_usual(const struct shim_request *r)
{
    return r->memory_bytes > 0 && r->pids > 0 &&
           (r->flags & (SHIM_FLAG_CPU_HARD | SHIM_FLAG_CONTAINER)) == 0;
}

/* An image is made for all who want it, and they wait for it: so not at the pace of a task that
 * may have a hundredth of a cpu.  All else is as in its command. */
static struct cgroup_limits limits_of(const struct shim_request *r, bool makes_image)
{
    struct cgroup_limits limits = {
        .memory_bytes = r->memory_bytes,
        .cpu_milli = r->cpu_milli,
        .cpu_hard = (r->flags & SHIM_FLAG_CPU_HARD) != 0,
        .pids = r->pids,
    };

    if (makes_image) {
        limits.cpu_hard = false;
        if (limits.cpu_milli < LIMIT_IMAGE_CPU)
            limits.cpu_milli = LIMIT_IMAGE_CPU;
    }
    return limits;
}

static void fail_group(struct shim *s, const char *what, const char *file, int rv)
{
    shim_not_started(s,
                     "cannot %s its cgroup%s%s: %s",
                     what,
                     file != NULL ? ", " : "",
                     file != NULL ? file : "",
                     strerror(-rv));
}

void shim_make_group(struct shim *s)
{
    const struct shim_request *r = s->request;
    struct cgroup_limits limits = limits_of(r, shim_is_container(s));
    const char *file;
    int rv;

    s->group.spare = is_usual(r) ? s->spare : -1;
    rv = cgroup_make(&s->group, &limits, &file);
    if (rv != 0)
        fail_group(s, "make", file, rv);
}

void shim_image_made(struct shim *s)
{
    struct cgroup_limits limits = limits_of(s->request, false);
    const char *file;
    int rv = cgroup_limit(&s->group, &limits, &file);

    if (rv != 0)
        fail_group(s, "limit", file, rv);
}

/* What a task that is restarted left there may be anything: a link, a pipe, or a file of
 * another user that it could move, but not read, and which we would give to it. */
static int open_old_log(const struct shim_request *r, int sandbox, const char *name)
{
    int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(sandbox, name, flags | O_NONBLOCK);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
        ((r->flags & SHIM_FLAG_USER) == 0 || st.st_uid == r->uid) &&
        fcntl(fd, F_SETFL, O_APPEND) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    unlinkat(sandbox, name, 0);
    return openat(sandbox, name, flags | O_CREAT | O_EXCL, 0644);
}

static int open_log(struct shim *s, const char *name)
{
    const struct shim_request *r = s->request;
    int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_CREAT | O_EXCL;
    int fd = openat(s->command.cwd, name, flags, 0644);

    if (fd < 0 && errno == EEXIST)
        fd = open_old_log(r, s->command.cwd, name);
    if (fd >= 0 && (r->flags & SHIM_FLAG_USER) != 0 && fchown(fd, r->uid, r->gid) != 0)
        shim_not_started(s, "cannot give away its log files: %s", strerror(errno));
    return fd;
}

void shim_open_sandbox(struct shim *s)
{
    const struct shim_request *r = s->request;
    char name[64];

    snprintf(name, sizeof(name), "runs/%llu", (unsigned long long)r->attempt);
    if (mkdir(name, 0700) != 0 && errno != EEXIST)
        shim_not_started(s, "cannot make the sandbox %s: %s", name, strerror(errno));
    if (r->restarts == 0)
        attempt_names_add(AT_FDCWD, r->attempt, &r->name);
    s->command.cwd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->command.cwd < 0)
        shim_not_started(s, "cannot open the sandbox %s: %s", name, strerror(errno));
    if ((r->flags & SHIM_FLAG_USER) != 0 && fchown(s->command.cwd, r->uid, r->gid) != 0)
        shim_not_started(
            s, "cannot give away the sandbox %s: %s", name, strerror(errno));
    s->command.out = open_log(s, "stdout");
    s->command.err = open_log(s, "stderr");
    if (s->command.out < 0 || s->command.err < 0)
        shim_not_started(
            s, "cannot open the log files in %s: %s", name, strerror(errno));
}

void shim_start_task(struct shim *s)
{
    struct task *t = &s->command;
    const char *step;
    bool searched = strchr(t->argv[0], '/') == NULL;
    int failure;

    s->phase = PHASE_RUNS;
    failure = task_spawn(t, &s->task, &step);
    close(t->cwd);
    close(t->out);
    close(t->err);
    if (failure == 0)
        return;
    s->task = 0;
    if (strcmp(step, "exec") != 0)
        shim_not_started(
            s, "cannot start the command: %s: %s", step, strerror(failure));
    shim_not_started(s,
                     "exec \"%s\": %s%s%s%s",
                     t->argv[0],
                     strerror(failure),
                     searched ? " (looked in PATH " : "",
                     searched ? task_path(t) : "",
                     searched ? ")" : "");
}
