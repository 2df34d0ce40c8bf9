/* disk_quota.h - the files of a task take no more than its disk.
 *
 * A thread adds up what is in the sandboxes of running tasks and what they wrote over their
 * images, each once a second, and less often where that takes long.  Another one adds files
 * that they removed and hold open (open_files.h), which takes longer and can be hindered, each
 * five seconds.  What a task writes between two looks is not held back, nor seen outside of
 * its sandbox.
 */
#ifndef AGENT_DISK_QUOTA_H
#define AGENT_DISK_QUOTA_H

#include "agent/cgroup.h"
#include "base/error.h"
#include "store/hooks.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct disk_quota;

struct disk_quota_options {
    const char *work_dir;         /* WORK_DIR/runs exists */
    const char *shim;             /* path of triarch-shim, which looks at open files */
    const struct cgroups *groups; /* of the runs; outlive it, as does the path */
    unsigned look_ms;             /* 0: a second */
    uint64_t files;               /* 0: LIMIT_SANDBOX_FILES */
    struct store_hooks hooks;     /* from the thread: disk_quota_take() has something */
};

int disk_quota_open(struct disk_quota **out,
                    const struct disk_quota_options *options,
                    struct error *err);
void disk_quota_close(struct disk_quota *q); /* NULL is fine */

/* shim: the process that stands over the run; 0: not known yet, and to be told in another call
 * before its open files are seen where there are no groups. */
void disk_quota_watch(struct disk_quota *q,
                      uint64_t attempt,
                      uint64_t bytes,
                      pid_t shim);
void disk_quota_leave(struct disk_quota *q, uint64_t attempt);

/* The next one that is over its quota; each is told again at each look.  False: none. */
bool disk_quota_take(struct disk_quota *q, uint64_t *attempt);

#endif
