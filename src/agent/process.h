/* process.h - facts about a process of this host, from /proc. */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Start time in ticks since boot: with the pid it names a process for good, until the
 * host is restarted.  0 and errno if it cannot be told: ESRCH if there is none. */
uint64_t process_start(pid_t pid);

/* Cpu time and resident memory of the children of a process, and the cpu time of those
 * descendants that ended.  False if it has no children. */
bool process_children_usage(pid_t pid, uint64_t *cpu_us, uint64_t *memory_bytes);

#endif
