/* cgroup_v2.c - the one hierarchy of all controllers. */
#include "agent/cgroup_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PERIOD_US     100000 /* of the hard cpu limit */
#define WEIGHT_OF_CPU 100
#define WEIGHT_MAX    10000
#define QUOTA_MIN_US  1000

static int limit_cpu(int fd, const struct cgroup_limits *limits, const char **file)
{
    uint64_t weight = (uint64_t)limits->cpu_milli * WEIGHT_OF_CPU / 1000;
    uint64_t quota = (uint64_t)limits->cpu_milli * PERIOD_US / 1000;
    char text[64];
    int rv;

    if (weight == 0)
        weight = 1;
    *file = "cpu.weight";
    rv = cgroup_write_number(fd, *file, weight > WEIGHT_MAX ? WEIGHT_MAX : weight);
    if (rv != 0 || !limits->cpu_hard)
        return rv;
    *file = "cpu.max";
    snprintf(text,
             sizeof(text),
             "%llu %d",
             (unsigned long long)(quota < QUOTA_MIN_US ? QUOTA_MIN_US : quota),
             PERIOD_US);
    return cgroup_write(fd, *file, text);
}

static int limit_memory(int fd, const struct cgroup_limits *limits, const char **file)
{
    int rv;

    *file = "memory.max";
    rv = cgroup_write_number(fd, *file, limits->memory_bytes);
    if (rv != 0)
        return rv;
    *file = "memory.oom.group"; /* the kernel kills all of it, or nothing */
    rv = cgroup_write(fd, *file, "1");
    if (rv != 0)
        return rv;
    *file = "memory.swap.max"; /* not there when swap is not accounted */
    rv = cgroup_write(fd, *file, "0");
    return rv == -ENOENT ? 0 : rv;
}

static int v2_limit(int fd,
                    uint32_t controllers,
                    const struct cgroup_limits *limits,
                    const char **file)
{
    int rv = 0;

    if ((controllers & CGROUP_CPU) != 0)
        rv = limit_cpu(fd, limits, file);
    if (rv == 0 && (controllers & CGROUP_MEMORY) != 0 && limits->memory_bytes > 0)
        rv = limit_memory(fd, limits, file);
    if (rv == 0 && (controllers & CGROUP_PIDS) != 0 && limits->pids > 0) {
        *file = "pids.max";
        rv = cgroup_write_number(fd, *file, limits->pids);
    }
    return rv;
}

/* Since Linux 5.14, with all groups below it and safe against forks.  But it passes over a
 * process whose first thread has ended (the signal goes to that thread alone): each is to be
 * killed by its number, too. */
static void v2_kill(int fd, uint32_t controllers)
{
    if (cgroup_write(fd, "cgroup.kill", "1") != 0 && (controllers & CGROUP_PIDS) != 0)
        cgroup_write(fd, "pids.max", "0");
}

static int v2_oom_event(int fd)
{
    (void)fd;
    return -1;
}

static bool v2_oom_killed(int fd)
{
    char text[512];

    return cgroup_read(fd, "memory.events", text, sizeof(text)) > 0 &&
           cgroup_field(text, "oom_kill") > 0;
}

static void memory_usage(int fd, struct usage *out)
{
    uint64_t used = cgroup_number(fd, "memory.current"), cache;
    char text[4096];

    if (cgroup_read(fd, "memory.stat", text, sizeof(text)) < 0)
        text[0] = 0;
    cache = cgroup_field(text, "file") - cgroup_field(text, "shmem");
    out->memory_bytes = used > cache ? used - cache : 0;
    out->memory_peak_bytes = cgroup_number(fd, "memory.peak"); /* since Linux 5.19 */
}

/* A line for each device: "MAJOR:MINOR rbytes=N wbytes=N …". */
static void io_usage(int fd, struct usage *out)
{
    unsigned long long in, written;
    char text[8192];

    if (cgroup_read(fd, "io.stat", text, sizeof(text)) < 0)
        return;
    for (const char *at = text; *at != 0; at += strcspn(at, "\n"), at += *at == '\n') {
        if (sscanf(at, "%*u:%*u rbytes=%llu wbytes=%llu", &in, &written) != 2)
            continue;
        out->io_read_bytes += in;
        out->io_written_bytes += written;
    }
}

static void v2_usage(int fd, uint32_t controllers, struct usage *out)
{
    char text[1024];

    if (cgroup_read(fd, "cpu.stat", text, sizeof(text)) > 0)
        out->cpu_us = cgroup_field(text, "usage_usec");
    if ((controllers & CGROUP_MEMORY) != 0)
        memory_usage(fd, out);
    if ((controllers & CGROUP_PIDS) != 0)
        out->pids = cgroup_number(fd, "pids.current");
    if ((controllers & CGROUP_IO) != 0)
        io_usage(fd, out);
}

const struct cgroup_ops cgroup_v2 = {
    .version = 2,
    .join = "cgroup.procs",
    .limit = v2_limit,
    .kill = v2_kill,
    .oom_event = v2_oom_event,
    .oom_killed = v2_oom_killed,
    .usage = v2_usage,
};
