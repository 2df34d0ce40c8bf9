/* usage_proc.c - what runs use, from /proc (proc(5)). */
#include "agent/usage_proc.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 256 /* of descent that is followed */

struct process {
    pid_t pid, parent;
    uint64_t ticks;        /* of itself, */
    uint64_t waited_ticks; /* and of those that it waited for */
    uint64_t pages;
    uint32_t threads;
};

struct table {
    struct process *list;
    size_t count, capacity;
};

/* ---- one process ---- */

static bool read_text(pid_t pid, const char *name, char *text, size_t room)
{
    char path[64];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, text, room - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* The command, field 2, may hold anything: what follows is counted from its end. */
static bool read_stat(pid_t pid, struct process *out)
{
    unsigned long long utime, stime, rss;
    long long cutime, cstime;
    char text[1024], *at;
    int parent;
    long threads;

    if (!read_text(pid, "stat", text, sizeof(text)))
        return false;
    at = strrchr(text, ')');
    if (at == NULL || sscanf(at + 1,
                             " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu "
                             "%lld %lld %*d %*d %ld %*d %*u %*u %llu",
                             &parent,
                             &utime,
                             &stime,
                             &cutime,
                             &cstime,
                             &threads,
                             &rss) != 7)
        return false;
    *out = (struct process){
        .pid = pid,
        .parent = parent,
        .ticks = utime + stime,
        .waited_ticks = (uint64_t)(cutime + cstime),
        .pages = rss,
        .threads = (uint32_t)threads,
    };
    return true;
}

static uint64_t field(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

/* Another user's process tells only root. */
static void add_io(struct usage_reading *r, pid_t pid)
{
    char text[512];

    if (!read_text(pid, "io", text, sizeof(text)))
        return;
    r->read_bytes += field(text, "\nread_bytes: ");
    r->written_bytes += field(text, "\nwrite_bytes: ");
}

/* ---- all of them ---- */

static int compare_processes(const void *a, const void *b)
{
    const struct process *x = a, *y = b;

    return (x->pid > y->pid) - (x->pid < y->pid);
}

static int compare_runs(const void *a, const void *b)
{
    const struct usage_proc_run *x = a, *y = b;

    return (x->shim > y->shim) - (x->shim < y->shim);
}

static void read_table(struct table *t)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;

    if (proc == NULL)
        return;
    while ((entry = readdir(proc)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        MEM_GROW(t->list, t->capacity, t->count + 1);
        if (pid > 0 && read_stat(pid, &t->list[t->count]))
            t->count++;
    }
    closedir(proc);
    if (t->count > 0)
        qsort(t->list, t->count, sizeof(*t->list), compare_processes);
}

struct usage_proc_run *
usage_proc_find(struct usage_proc_run *runs, size_t count, pid_t shim)
{
    struct usage_proc_run key = {.shim = shim};

    return bsearch(&key, runs, count, sizeof(*runs), compare_runs);
}

/* The run that it descends from, or whose shim it is; or NULL. */
static struct usage_proc_run *run_of(const struct table *t,
                                     struct usage_proc_run *runs,
                                     size_t count,
                                     const struct process *p)
{
    struct usage_proc_run *run = NULL;

    for (int i = 0; i < DEPTH_MAX && p != NULL && p->pid > 1; i++) {
        struct process key = {.pid = p->parent};

        run = usage_proc_find(runs, count, p->pid);
        if (run != NULL)
            break;
        p = bsearch(&key, t->list, t->count, sizeof(*t->list), compare_processes);
    }
    return run;
}

static void add(struct usage_proc_run *run, const struct process *p)
{
    static uint64_t tick_us, page_bytes;
    struct usage_reading *r = &run->reading;
    bool is_shim = p->pid == run->shim;

    if (tick_us == 0) {
        tick_us = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
        page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    }
    r->cpu_us += (p->waited_ticks + (is_shim ? 0 : p->ticks)) * tick_us;
    if (is_shim)
        return;
    r->memory_bytes += p->pages * page_bytes;
    r->memory_peak_bytes = r->memory_bytes;
    r->pids += p->threads;
    add_io(r, p->pid);
}

void usage_proc_read(struct usage_proc_run *runs, size_t count)
{
    struct table t = {0};

    if (count == 0)
        return;
    qsort(runs, count, sizeof(*runs), compare_runs);
    for (size_t i = 0; i < count; i++)
        runs[i].reading = (struct usage_reading){0};
    read_table(&t);
    for (size_t i = 0; i < t.count; i++) {
        struct usage_proc_run *run = run_of(&t, runs, count, &t.list[i]);

        if (run != NULL)
            add(run, &t.list[i]);
    }
    mem_free(t.list);
}
