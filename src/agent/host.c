/* host.c - what this host has.
 *
 * Limits of cgroups version 2 hold for a group and all below it, so every group on the
 * way from the root to this process counts.  In a container the mount shows our group
 * as the root.
 */

#include "agent/host.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

/* Left to the system: a tenth, at most this much.  Of the disk it is a part of the whole,
 * not of what is free: that shrinks with each file of a task, and a restarted agent would
 * have less and less.  That the disk is low is seen by another way (disk.h). */
#define MEMORY_RESERVE_MAX (1024 * MIB)
#define DISK_RESERVE_MAX   (5 * 1024 * MIB)

#define OOM_SCORE (-900) /* -1000 is never chosen, 1000 always first */

static uint64_t less_reserve(uint64_t amount, uint64_t reserve_max)
{
    uint64_t tenth = amount / 10;

    return amount - (tenth < reserve_max ? tenth : reserve_max);
}

static int read_line(const char *path, char *line, int room)
{
    FILE *f = fopen(path, "re");
    char *got = f == NULL ? NULL : fgets(line, room, f);

    if (f != NULL)
        fclose(f);
    if (got == NULL)
        return -1;
    line[strcspn(line, "\n")] = 0;
    return 0;
}

/* "QUOTA PERIOD" in microseconds, or "max PERIOD". */
static void limit_cpus(uint64_t *milli, const char *group)
{
    unsigned long long quota, period;
    char path[PATH_MAX + 16], line[128];

    snprintf(path, sizeof(path), "%s/cpu.max", group);
    if (read_line(path, line, sizeof(line)) != 0 ||
        sscanf(line, "%llu %llu", &quota, &period) != 2 || period == 0)
        return;
    if (quota * 1000 / period < *milli)
        *milli = quota * 1000 / period;
}

static void limit_memory(uint64_t *bytes, const char *group)
{
    unsigned long long limit;
    char path[PATH_MAX + 16], line[128];

    snprintf(path, sizeof(path), "%s/memory.max", group);
    if (read_line(path, line, sizeof(line)) != 0 || sscanf(line, "%llu", &limit) != 1)
        return;
    if (limit < *bytes)
        *bytes = limit;
}

static void limit_by_cgroups(uint64_t *milli, uint64_t *memory)
{
    char line[PATH_MAX], group[PATH_MAX], *slash;

    if (read_line("/proc/self/cgroup", line, sizeof(line)) != 0 ||
        strncmp(line, "0::/", 4) != 0)
        return; /* no cgroups of version 2 */
    snprintf(group, sizeof(group), "%s%.*s", CGROUP_ROOT, PATH_MAX / 2, line + 3);
    for (;;) {
        limit_cpus(milli, group);
        limit_memory(memory, group);
        slash = strrchr(group, '/');
        if (slash == NULL || strlen(group) <= strlen(CGROUP_ROOT))
            return;
        *slash = 0;
    }
}

static int count_cpus(uint64_t *milli, struct error *err)
{
    long known = sysconf(_SC_NPROCESSORS_CONF);
    size_t possible = known > 0 ? (size_t)known : 1;
    size_t size = CPU_ALLOC_SIZE(possible);
    cpu_set_t *set = CPU_ALLOC(possible);
    int rv = 0;

    if (set == NULL || sched_getaffinity(0, size, set) != 0)
        rv = error_set(err, ERROR_IO, "sched_getaffinity: %s", strerror(errno));
    else
        *milli = (uint64_t)CPU_COUNT_S(size, set) * 1000;
    CPU_FREE(set);
    return rv;
}

int host_resources(struct resources *out, const char *work_dir, struct error *err)
{
    struct resources r = {0};
    struct sysinfo info;
    struct statvfs disk;
    uint64_t memory;

    if (count_cpus(&r.amount[RESOURCE_CPUS], err) != 0)
        return -ERROR_IO;
    if (sysinfo(&info) != 0)
        return error_set(err, ERROR_IO, "sysinfo: %s", strerror(errno));
    if (statvfs(work_dir, &disk) != 0)
        return error_set(err, ERROR_IO, "statvfs %s: %s", work_dir, strerror(errno));
    memory = (uint64_t)info.totalram * info.mem_unit;
    limit_by_cgroups(&r.amount[RESOURCE_CPUS], &memory);
    r.amount[RESOURCE_MEM] = less_reserve(memory, MEMORY_RESERVE_MAX);
    r.amount[RESOURCE_DISK] =
        less_reserve((uint64_t)disk.f_blocks * disk.f_frsize, DISK_RESERVE_MAX);
    *out = r;
    return 0;
}

bool host_protect(void)
{
    FILE *f = fopen("/proc/self/oom_score_adj", "we");
    bool written = f != NULL && fprintf(f, "%d", OOM_SCORE) > 0;

    return (f == NULL || fclose(f) == 0) && written;
}

int host_name(char out[LIMIT_NAME_BYTES + 1], struct error *err)
{
    if (gethostname(out, LIMIT_NAME_BYTES) != 0)
        return error_set(err, ERROR_IO, "gethostname: %s", strerror(errno));
    out[LIMIT_NAME_BYTES] = 0;
    return 0;
}
