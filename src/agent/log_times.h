/* log_times.h - how long a log was at which time, for who asks what a task wrote since then.
 *
 * Beside the sandboxes, where the task cannot change it, WORK_DIR/times/ATTEMPT.NAME has a record
 * (u64 time in microseconds since 1970, u64 length) for each look that found the log longer than
 * the one before: both ascend.  At LIMIT_LOG_SAMPLES every second one goes, so a log that grows
 * for days has fewer, not less old ones.  It is not synced: what a crash of the host takes makes
 * an answer longer, never shorter.
 */
#ifndef AGENT_LOG_TIMES_H
#define AGENT_LOG_TIMES_H

#include "base/error.h"

#include <stdint.h>

struct log_time {
    uint64_t at_us;
    uint64_t length;
};

/* A descriptor of WORK_DIR/times, which is made if it is not there; or a negative error. */
int log_times_open(const char *work_dir, struct error *err);

/* The last one that was added; zeroes if there is none. */
struct log_time log_times_last(int times, uint64_t attempt, const char *name);
/* Its time and length are greater than those of the last one.  What cannot be written is left
 * out. */
void log_times_add(int times,
                   uint64_t attempt,
                   const char *name,
                   const struct log_time *sample);
/* What of the log (a descriptor) was written after `since_us` is behind this offset, the
 * beginning of a line; so is what was written a look earlier, at most. */
uint64_t log_times_find(
    int times, uint64_t attempt, const char *name, int log, uint64_t since_us);
void log_times_remove(int times, uint64_t attempt);

/* Another small file of the attempt there ("usage"), which goes with the others. */
int log_times_open_beside(int times, uint64_t attempt, const char *name, int flags);

#endif
