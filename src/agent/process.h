/* process.h - facts about a process of this host, from /proc. */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/* Start time in ticks since boot: with the pid it names a process for good, until the
 * host is restarted.  0 and errno if it cannot be told: ESRCH if there is none. */
uint64_t process_start(pid_t pid);

/* Its directory in /proc, which stays that of this process whatever becomes of the number;
 * or -1 and errno. */
int process_open(pid_t pid);

/* Whose child it is now, by its directory; 0 if it is gone. */
pid_t process_parent(int proc);

/* What names this boot of the host: BOOT_ID_BYTES of text (shim.h), without an end.
 * 0, or -1 and errno. */
int process_boot_id(char *out);

#endif
