/* usage_proc.h - what runs use, from /proc: where there are no control groups.
 *
 * Best effort: what descends from the shim of a run is the run's.  Of what ended, the part is
 * counted that somebody waited for: the shim does for what lost its parent.
 */
#ifndef AGENT_USAGE_PROC_H
#define AGENT_USAGE_PROC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct usage_reading {
    uint64_t cpu_us; /* since the start of the run; so are read and written */
    uint64_t memory_bytes, memory_peak_bytes;
    uint64_t read_bytes, written_bytes;
    uint32_t pids; /* processes and threads; 0: nothing of it is there */
};

struct usage_proc_run {
    pid_t shim;
    struct usage_reading reading; /* peak: as memory_bytes */
};

/* One pass over /proc, for all of them; runs are sorted by shim here. */
void usage_proc_read(struct usage_proc_run *runs, size_t count);
/* Of sorted ones; or NULL. */
struct usage_proc_run *
usage_proc_find(struct usage_proc_run *runs, size_t count, pid_t shim);

#endif
