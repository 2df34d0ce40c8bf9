/* spawning.h - the agent's end of its spawner: start it, send it requests. */
#ifndef AGENT_SPAWNING_H
#define AGENT_SPAWNING_H

#include "agent/cgroup.h"
#include "base/buffer.h"
#include "base/error.h"

#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <sys/types.h>

struct spawning_request;

struct spawning {
    pid_t pid;
    int requests; /* a socket; ready to read means that the spawner ended */
    int notices;  /* read struct shim_notice from it */
    STAILQ_HEAD(, spawning_request) queue; /* what the socket did not take yet */
};

struct spawning_options {
    const char *work_dir;
    const char *shim; /* path of triarch-shim */
    int slots;        /* its descriptor */
    const struct cgroups *groups;
    bool oom_protected; /* this process and its shims; tasks are not to be */
};

/* Waits for the fence, then starts the spawner. */
int spawning_start(struct spawning *s,
                   const struct spawning_options *options,
                   struct error *err);

/* Takes the bytes over, and a descriptor that goes with them (-1: none).  False: some wait;
 * call spawning_flush() when the socket is writable. */
bool spawning_send(struct spawning *s, struct buffer *request, int fd);
bool spawning_flush(struct spawning *s);

/* The spawner starts what it has got, then ends; what waits here is dropped. */
void spawning_stop(struct spawning *s);

/* It ended by itself: why. */
void spawning_reason(struct spawning *s, struct error *err);

#endif
