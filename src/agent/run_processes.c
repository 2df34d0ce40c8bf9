/* run_processes.c - the processes of a run.
 *
 * A number is held by the directory in /proc before it is asked whose it is: it may have
 * passed to another process since it was read.
 */
#include "agent/run_processes.h"

#include "agent/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DESCENT_MAX 65536 /* processes of one run that are followed */

struct member {
    pid_t pid, parent;
};

struct descent {
    struct member list[DESCENT_MAX];
    size_t count;
};

static void add_children(struct descent *d, pid_t parent, int task, const char *thread)
{
    char name[300];
    int fd;
    FILE *f;
    int pid;

    snprintf(name, sizeof(name), "%s/children", thread);
    fd = openat(task, name, O_RDONLY | O_CLOEXEC);
    f = fd < 0 ? NULL : fdopen(fd, "re");
    while (f != NULL && d->count < DESCENT_MAX && fscanf(f, "%d", &pid) == 1)
        d->list[d->count++] = (struct member){.pid = pid, .parent = parent};
    if (f != NULL)
        fclose(f);
    else if (fd >= 0)
        close(fd);
}

/* Each thread has those that it started. */
static void add_children_of_all(struct descent *d, pid_t parent, int proc)
{
    int task = openat(proc, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *threads = task < 0 ? NULL : fdopendir(task);
    struct dirent *entry;

    while (threads != NULL && (entry = readdir(threads)) != NULL) {
        if (entry->d_name[0] != '.')
            add_children(d, parent, task, entry->d_name);
    }
    if (threads != NULL)
        closedir(threads);
    else if (task >= 0)
        close(task);
}

/* What has lost its parent was passed to the shim. */
static bool is_of(const struct member *m, int proc, pid_t shim, uint64_t shim_start)
{
    pid_t parent;

    if (m->pid == shim)
        return process_start(shim) == shim_start;
    parent = process_parent(proc);
    return parent == m->parent || parent == shim;
}

static void
each_descendant(pid_t shim, uint64_t shim_start, cgroup_process_fn *visit, void *arg)
{
    static struct descent d;

    d.list[0] = (struct member){.pid = shim};
    d.count = 1;
    for (size_t i = 0; i < d.count; i++) {
        struct member m = d.list[i];
        int proc = process_open(m.pid);

        if (proc < 0)
            continue;
        if (is_of(&m, proc, shim, shim_start)) {
            if (m.pid != shim)
                visit(proc, arg);
            add_children_of_all(&d, m.pid, proc);
        }
        close(proc);
    }
}

void run_processes_each(const struct cgroups *groups,
                        uint64_t attempt,
                        pid_t shim,
                        uint64_t shim_start,
                        cgroup_process_fn *visit,
                        void *arg)
{
    if (groups->count > 0)
        cgroup_each_process(groups, attempt, visit, arg);
    else if (shim > 0)
        each_descendant(shim, shim_start, visit, arg);
}
