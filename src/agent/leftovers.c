/* leftovers.c - processes of runs whose shim is gone.
 *
 * The kernel kills the task itself when its shim dies, but not what the task had
 * started.  Those still carry TRIARCH_SANDBOX in the environment that they were started
 * with.  A process is held by a descriptor from before its environment is read until it
 * is killed, so that its number cannot pass to another one meanwhile.
 *
 * The environment of a process that does not want it read may keep us for ever (look.h), so
 * what is in a group, and so of an attempt that goes on, is not asked for it.
 */

#include "agent/leftovers.h"

#include "agent/process.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define ROUNDS_MAX      10 /* what is killed may just have forked */
#define ENVIRONMENT_MAX (256u * 1024)

int leftovers_end_group(const struct cgroups *groups, uint64_t attempt)
{
    struct cgroup g;
    int rv = cgroup_open(&g, groups, attempt);

    if (rv == 0) {
        cgroup_kill(&g);
        rv = cgroup_remove(&g) == -EBUSY ? -EBUSY : 0;
    } else {
        rv = rv == -ENOENT ? 0
                           : -EBUSY; /* no descriptors, say: who knows what is in it */
    }
    cgroup_close(&g);
    return rv;
}

struct search {
    const struct cgroups *groups;
    const char *marker; /* "SANDBOX=…/runs/" */
    const uint64_t *attempts;
    size_t count;
    char *text; /* ENVIRONMENT_MAX */
};

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* A container has both TRIARCH_SANDBOX, which is its own view, and TRIARCH_HOST_SANDBOX. */
static const char *mark_of(const char *variable)
{
    static const char *const prefixes[] = {"TRIARCH_", "TRIARCH_HOST_"};

    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(prefixes[i]);

        if (strncmp(variable, prefixes[i], size) == 0 &&
            strncmp(variable + size, "SANDBOX=", 8) == 0)
            return variable + size;
    }
    return NULL;
}

static bool text_matches(const struct search *s, size_t size)
{
    size_t marker = strlen(s->marker);

    for (const char *at = s->text; at < s->text + size; at += strlen(at) + 1) {
        const char *own = mark_of(at);

        if (own != NULL && strncmp(own, s->marker, marker) == 0) {
            uint64_t attempt = strtoull(own + marker, NULL, 10);

            return bsearch(&attempt, s->attempts, s->count, sizeof(attempt), compare) !=
                   NULL;
        }
    }
    return false;
}

/* Processes that end meanwhile, and those of others, are none of ours.  One that is just being
 * reaped is EINVAL to pidfd_open(), before its number is ESRCH. */
static bool is_passing(int error)
{
    return error == ESRCH || error == EINVAL || error == ENOENT || error == EACCES ||
           error == EPERM;
}

static int failed(const char *what, struct error *err)
{
    return error_set(err,
                     ERROR_IO,
                     "cannot look for what runs without a shim left: %s: %s",
                     what,
                     strerror(errno));
}

/* 1, 0, or an error. */
static int belongs(const struct search *s, int proc, struct error *err)
{
    size_t size = 0;
    ssize_t n;
    int fd;

    if (cgroups_hold(s->groups, proc))
        return 0;
    fd = openat(proc, "environ", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return is_passing(errno) ? 0 : failed("environ", err);
    while (size < ENVIRONMENT_MAX - 1 &&
           (n = read(fd, s->text + size, ENVIRONMENT_MAX - 1 - size)) > 0)
        size += (size_t)n;
    close(fd);
    s->text[size] = 0;
    return text_matches(s, size) ? 1 : 0;
}

/* How many were killed, 0 or 1; or an error. */
static int kill_one(const struct search *s, pid_t pid, struct error *err)
{
    int proc = process_open(pid);
    int rv;

    if (proc < 0)
        return is_passing(errno) ? 0 : failed("a process", err);
    rv = belongs(s, proc, err);
    if (rv > 0 && pidfd_send_signal(proc, SIGKILL, NULL, 0) != 0)
        rv = 0;
    close(proc);
    return rv;
}

static int kill_round(const struct search *s, struct error *err)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    int killed = 0, rv = 0;

    if (proc == NULL)
        return failed("/proc", err);
    while (rv >= 0 && (entry = readdir(proc)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        rv = pid > 0 ? kill_one(s, pid, err) : 0;
        killed += rv;
    }
    closedir(proc);
    return rv < 0 ? rv : killed;
}

int leftovers_kill(const struct cgroups *groups,
                   const char *work_dir,
                   const uint64_t *attempts,
                   size_t count,
                   struct error *err)
{
    size_t size = strlen(work_dir) + sizeof("SANDBOX=/runs/");
    char *marker = mem_alloc(size);
    struct search s = {
        .groups = groups, .marker = marker, .attempts = attempts, .count = count};
    int rounds = 0, rv;

    snprintf(marker, size, "SANDBOX=%s/runs/", work_dir);
    s.text = mem_alloc(ENVIRONMENT_MAX);
    do {
        rv = kill_round(&s, err);
    } while (rv > 0 && ++rounds < ROUNDS_MAX);
    mem_free(s.text);
    mem_free(marker);
    return rv < 0 ? rv : 0;
}
