/* reaper.h - the end of everything that descends from this process.
 *
 * For a process that is the reaper of its descendants (PR_SET_CHILD_SUBREAPER): what is
 * left behind by its parent becomes its child.
 */
#ifndef AGENT_REAPER_H
#define AGENT_REAPER_H

#include <stdbool.h>

/* SIGKILL to all children; false if the kernel does not tell them. */
bool reaper_kill_children(void);

/* Kill and reap until no child is left; those that end others themselves have so long for it.
 * SIGCHLD is blocked where patience is not 0. */
void reaper_end_all(unsigned patience_ms);

#endif
