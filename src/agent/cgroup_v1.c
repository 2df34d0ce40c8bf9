/* cgroup_v1.c - hierarchies with one or a few controllers each. */
#include "agent/cgroup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PERIOD_US     100000 /* of the hard cpu limit */
#define SHARES_OF_CPU 1024
#define SHARES_MIN    2
#define QUOTA_MIN_US  1000
#define SPARE_BYTES \
    (1u << 20) /* of cache, and what the kernel has not given back yet */

static int limit_cpu(int fd, const struct cgroup_limits *limits, const char **file)
{
    uint64_t shares = (uint64_t)limits->cpu_milli * SHARES_OF_CPU / 1000;
    uint64_t quota = (uint64_t)limits->cpu_milli * PERIOD_US / 1000;
    int rv;

    *file = "cpu.shares";
    rv = cgroup_write_number(fd, *file, shares < SHARES_MIN ? SHARES_MIN : shares);
    if (rv != 0 || !limits->cpu_hard)
        return rv;
    *file = "cpu.cfs_quota_us"; /* its period is the kernel's 100 ms */
    return cgroup_write_number(fd, *file, quota < QUOTA_MIN_US ? QUOTA_MIN_US : quota);
}

/* Of memory and swap together; the file is not there when swap is not accounted. */
static int limit_swap(int fd, const struct cgroup_limits *limits, const char **file)
{
    int rv;

    *file = "memory.memsw.limit_in_bytes";
    rv = cgroup_write_number(fd, *file, limits->memory_bytes);
    return rv == -ENOENT || rv == -EOPNOTSUPP ? 0 : rv;
}

/* Neither may pass the other: which goes first depends on what they were. */
static int limit_memory(int fd, const struct cgroup_limits *limits, const char **file)
{
    int rv =
        cgroup_write_number(fd, *file = "memory.limit_in_bytes", limits->memory_bytes);

    if (rv != -EINVAL)
        return rv != 0 ? rv : limit_swap(fd, limits, file);
    rv = limit_swap(fd, limits, file);
    *file = "memory.limit_in_bytes";
    return rv != 0 ? rv : cgroup_write_number(fd, *file, limits->memory_bytes);
}

static int v1_limit(int fd,
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

static void v1_kill(int fd, uint32_t controllers)
{
    if ((controllers & CGROUP_PIDS) != 0)
        cgroup_write(fd, "pids.max", "0");
}

/* The kernel kills one process; the shim wants to know, and ends the rest. */
static int v1_oom_event(int fd)
{
    int control = openat(fd, "memory.oom_control", O_RDONLY | O_CLOEXEC);
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    char text[32];

    snprintf(text, sizeof(text), "%d %d", event, control);
    if (control < 0 || event < 0 ||
        cgroup_write(fd, "cgroup.event_control", text) != 0) {
        if (event >= 0)
            close(event);
        event = -1;
    }
    if (control >= 0)
        close(control);
    return event;
}

static bool v1_oom_killed(int fd)
{
    char text[256];

    return cgroup_read(fd, "memory.oom_control", text, sizeof(text)) > 0 &&
           cgroup_field(text, "oom_kill") > 0;
}

/* Shared memory is counted as cache, and cannot be given back. */
static void memory_usage(int fd, struct usage *out)
{
    uint64_t used = cgroup_number(fd, "memory.usage_in_bytes"), cache;
    char text[4096];

    if (cgroup_read(fd, "memory.stat", text, sizeof(text)) < 0)
        text[0] = 0;
    cache = cgroup_field(text, "total_cache") - cgroup_field(text, "total_shmem");
    out->memory_bytes = used > cache ? used - cache : 0;
    out->memory_peak_bytes = cgroup_number(fd, "memory.max_usage_in_bytes");
}

/* Lines "MAJOR:MINOR Read BYTES" and "… Write BYTES". */
static void io_usage(int fd, struct usage *out)
{
    const char *file = "blkio.throttle.io_service_bytes_recursive";
    char text[8192], way[16];
    unsigned long long bytes;

    if (cgroup_read(fd, file, text, sizeof(text)) < 0)
        return;
    for (const char *at = text; *at != 0; at += strcspn(at, "\n"), at += *at == '\n') {
        if (sscanf(at, "%*u:%*u %15s %llu", way, &bytes) != 2)
            continue;
        if (strcmp(way, "Read") == 0)
            out->io_read_bytes += bytes;
        else if (strcmp(way, "Write") == 0)
            out->io_written_bytes += bytes;
    }
}

static void v1_usage(int fd, uint32_t controllers, struct usage *out)
{
    if ((controllers & CGROUP_CPUACCT) != 0)
        out->cpu_us = cgroup_number(fd, "cpuacct.usage") / 1000;
    if ((controllers & CGROUP_MEMORY) != 0)
        memory_usage(fd, out);
    if ((controllers & CGROUP_PIDS) != 0)
        out->pids = cgroup_number(fd, "pids.current");
    if ((controllers & CGROUP_IO) != 0)
        io_usage(fd, out);
}

/* ---- one group after the other ---- */

/* A task cannot leave its group of this controller, so there is nothing left of it in the
 * others either.  Bytes that were read and written cannot be set to zero. */
static bool v1_is_spare(int fd, uint32_t controllers)
{
    struct usage used = {0};

    if ((controllers & CGROUP_PIDS) != 0 && cgroup_number(fd, "pids.current") > 0)
        return false;
    if ((controllers & CGROUP_MEMORY) != 0 &&
        cgroup_number(fd, "memory.usage_in_bytes") > SPARE_BYTES)
        return false;
    if ((controllers & CGROUP_IO) != 0)
        io_usage(fd, &used);
    return used.io_read_bytes + used.io_written_bytes == 0;
}

static int v1_renew(int fd, uint32_t controllers)
{
    int rv = 0;

    if ((controllers & CGROUP_MEMORY) != 0)
        rv = cgroup_write(fd, "memory.max_usage_in_bytes", "0");
    if (rv == 0 && (controllers & CGROUP_CPUACCT) != 0)
        rv = cgroup_write(fd, "cpuacct.usage", "0");
    return rv;
}

/* "tasks" moves one thread, which is all that the process has, without stopping all forks
 * of the host for a moment as "cgroup.procs" does. */
const struct cgroup_ops cgroup_v1 = {
    .version = 1,
    .join = "tasks",
    .limit = v1_limit,
    .kill = v1_kill,
    .oom_event = v1_oom_event,
    .oom_killed = v1_oom_killed,
    .usage = v1_usage,
    .is_spare = v1_is_spare,
    .renew = v1_renew,
};
