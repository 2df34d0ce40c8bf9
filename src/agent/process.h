/* process.h - facts about a process of this host, from /proc. */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/* Start time in ticks since boot: with the pid it names a process for good, until the
 * host is restarted.  0 and errno if it cannot be told: ESRCH if there is none. */
uint64_t process_start(pid_t pid);

/* What names this boot of the host: BOOT_ID_BYTES of text (shim.h), without an end.
 * 0, or -1 and errno. */
int process_boot_id(char *out);

#endif
