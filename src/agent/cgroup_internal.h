/* cgroup_internal.h - what differs between the versions of cgroups. */
#ifndef AGENT_CGROUP_INTERNAL_H
#define AGENT_CGROUP_INTERNAL_H

#include "agent/cgroup.h"

#include <sys/types.h>

/* `fd` is the directory of one group in a place with these controllers. */
struct cgroup_ops {
    unsigned version;
    /* Writing "0" to it moves the calling thread or process. */
    const char *join;
    int (*limit)(int fd,
                 uint32_t controllers,
                 const struct cgroup_limits *limits,
                 const char **file);
    /* Kills what the kernel can kill at once, or stops forks: then each process is killed. */
    void (*kill)(int fd, uint32_t controllers);
    int (*oom_event)(int fd);
    bool (*oom_killed)(int fd);
    void (*usage)(int fd, uint32_t controllers, struct usage *out);
    /* Whether another attempt may have it, as far as these controllers know: there is no
     * process, and nothing that cannot be made as new.  NULL: never. */
    bool (*is_spare)(int fd, uint32_t controllers);
    int (*renew)(int fd, uint32_t controllers);
};

extern const struct cgroup_ops cgroup_v1, cgroup_v2;

/* 0 or -errno. */
int cgroup_write(int fd, const char *file, const char *text);
int cgroup_write_number(int fd, const char *file, uint64_t number);
/* The whole file, ended by 0, as far as there is room; its size or -errno. */
ssize_t cgroup_read(int fd, const char *file, char *text, size_t room);
/* The only number of a file; 0 if it cannot be read. */
uint64_t cgroup_number(int fd, const char *file);
/* The number after `key` and a space at the beginning of a line; 0 if there is none. */
uint64_t cgroup_field(const char *text, const char *key);

#endif
