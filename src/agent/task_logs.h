/* task_logs.h - the log files of tasks stay below a limit, and what they had when is kept.
 *
 * A task writes its log files itself, so nobody can put another file in their place.  A thread
 * looks at those of running tasks; when one takes more than the limit, its older part is given
 * back to the file system as a hole, and the newest half of the limit stays.  Nothing is copied,
 * nothing that is being written is lost, and offsets in the file stay what they were.  Between
 * two looks (a second, more with very many tasks) a file may pass the limit.
 *
 * A look that finds a file longer than before keeps that (log_times.h), for who asks later what
 * was written since some time.
 */
#ifndef AGENT_TASK_LOGS_H
#define AGENT_TASK_LOGS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct task_logs;

struct task_logs_options {
    const char *work_dir;
    uint64_t limit_bytes; /* 0: LIMIT_TASK_LOG_BYTES */
    unsigned look_ms;     /* 0: a second */
};

/* WORK_DIR/runs exists. */
int task_logs_open(struct task_logs **out,
                   const struct task_logs_options *options,
                   struct error *err);
void task_logs_close(struct task_logs *l); /* NULL is fine */

/* The run was started, or is adopted; and it has ended: after a last look. */
void task_logs_watch(struct task_logs *l, uint64_t attempt);
void task_logs_leave(struct task_logs *l, uint64_t attempt);
/* Where in its log (a descriptor) begins what the run wrote since then, or up to a look before;
 * also of a run that has ended. */
uint64_t task_logs_since(const struct task_logs *l,
                         uint64_t attempt,
                         const char *name,
                         int log,
                         uint64_t since_us);
/* How many runs are looked at. */
size_t task_logs_count(struct task_logs *l);

#endif
