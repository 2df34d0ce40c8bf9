/* cgroup.h - the control groups of runs: limits, and the truth about what is left of one.
 *
 * A place is a directory of one hierarchy in which each attempt gets a group of its own,
 * named by its number.  Where controllers are mounted one by one (version 1) there are
 * several places; with version 2 there is one; a host may have both.  No place: nothing is
 * limited, and processes are found by their descent alone.
 *
 * Used by the agent, which finds the places (cgroup_find.h), and by its shims, which make
 * and remove the groups.  Functions return 0 or -errno, and log nothing.
 * Source: Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst of the kernel.
 */
#ifndef AGENT_CGROUP_H
#define AGENT_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_PLACES 6
#define CGROUP_SPARES 64              /* groups that are kept for the next attempts */
#define CGROUP_TEXT   (PATH_MAX + 32) /* of a place as text */

enum cgroup_controller {
    CGROUP_CPU = 1,
    CGROUP_CPUACCT = 2, /* version 2: part of every group */
    CGROUP_MEMORY = 4,
    CGROUP_PIDS = 8,
    CGROUP_IO = 16,
};

struct cgroup_ops; /* cgroup_internal.h: one table for each version */

struct cgroup_place {
    const struct cgroup_ops *ops;
    uint32_t controllers;
    int fd; /* the directory */
    char path[PATH_MAX];
};

/* Zeroed has no places. */
struct cgroups {
    struct cgroup_place places[CGROUP_PLACES];
    unsigned count;
};

/* As text, "VERSION:CONTROLLERS:PATH": so a spawner, and the next agent, learn of it. */
void cgroups_print(const struct cgroups *c, unsigned place, char out[CGROUP_TEXT]);
/* Opens and adds it. */
int cgroups_add(struct cgroups *c, const char *text);
void cgroups_close(struct cgroups *c);
bool cgroups_have(const struct cgroups *c, uint32_t controller);
/* Remove what was kept; in a place where an attempt makes it its own meanwhile it stays. */
void cgroups_remove_spares(const struct cgroups *c);

struct cgroup_limits {
    uint64_t memory_bytes; /* 0: none */
    uint32_t cpu_milli;
    bool cpu_hard; /* never more than cpu_milli; else a share when others want it too */
    uint32_t pids; /* 0: none */
};

/* The group of one attempt. */
struct cgroup {
    const struct cgroups *all;
    char name[24];
    int spare; /* number of the kept group that it may take over, and leave; -1: none.
                * No two live groups have the same */
    int fds[CGROUP_PLACES]; /* its directories; -1: not there */
};

/* Not there yet; without a spare. */
void cgroup_init(struct cgroup *g, const struct cgroups *all, uint64_t attempt);
/* Make it anew, with these limits; *file says what could not be written, or is NULL. */
int cgroup_make(struct cgroup *g,
                const struct cgroup_limits *limits,
                const char **file);
/* The same limits for what is in it from now on, but for those of cpu, which may differ. */
int cgroup_limit(struct cgroup *g,
                 const struct cgroup_limits *limits,
                 const char **file);
/* -ENOENT if it is in no place; another error if one of the places does not say so: then it may
 * be there, and not all of it is open. */
int cgroup_open(struct cgroup *g, const struct cgroups *all, uint64_t attempt);
void cgroup_close(struct cgroup *g);

/* For clone3(CLONE_INTO_CGROUP): a directory of version 2, or -1. */
int cgroup_clone_fd(const struct cgroup *g);
/* Move the calling process, which has one thread, into it; `cloned`: it is in the
 * directory of cgroup_clone_fd() already.  System calls only. */
int cgroup_join(const struct cgroup *g, bool cloned);

/* SIGKILL to all that is in it now; from then on nothing in it can fork. */
void cgroup_kill(const struct cgroup *g);
/* Remove it.  0 means that no process is left in it; -EBUSY that there may be. */
int cgroup_remove(struct cgroup *g);
/* The same of a group that nothing was killed in: it may be kept as the spare. */
int cgroup_leave(struct cgroup *g);

/* `proc`: the directory of a process in /proc. */
typedef void cgroup_process_fn(int proc, void *arg);
/* Each process in the attempt's group and those below it, by one of the places. */
void cgroup_each_process(const struct cgroups *all,
                         uint64_t attempt,
                         cgroup_process_fn *visit,
                         void *arg);

/* Whether the process is in a group of any attempt. */
bool cgroups_hold(const struct cgroups *all, int proc);

/* A descriptor that is readable when the kernel runs out of memory in the group and
 * may have killed only a part of it; -1 where it kills all at once. */
int cgroup_oom_event(const struct cgroup *g);
/* The kernel killed something in it for memory. */
bool cgroup_oom_killed(const struct cgroup *g);

struct usage {
    uint64_t cpu_us;
    uint64_t memory_bytes; /* now, without what the page cache could give back */
    uint64_t
        memory_peak_bytes; /* the kernel's high-water mark, which counts the cache */
    uint64_t io_read_bytes, io_written_bytes; /* from and to block devices */
    uint64_t pids;                            /* processes and threads */
};

/* What the attempt uses; fields whose controller is not there are 0.  -ENOENT: no group. */
int cgroup_usage(const struct cgroups *all, uint64_t attempt, struct usage *out);
/* The same of a group that is open. */
void cgroup_used(const struct cgroup *g, struct usage *out);

#endif
