/* notice.h - how shims, probes and the spawner tell the agent something (shim.h).
 *
 * The pipe is full when the agent does not read for a while: whoever has something else to look
 * after must not wait for it.  Of an agent that is gone nobody waits for anything: the next one
 * reads the slots.
 */
#ifndef AGENT_NOTICE_H
#define AGENT_NOTICE_H

#include "agent/shim.h"

/* The spawner, once for all: writing does not block. */
int notice_prepare(void);

/* False: the pipe is full; try again when SHIM_FD_NOTICES is writable. */
bool notice_try(const struct shim_notice *notice);
/* Waits until there is room. */
void notice_send(const struct shim_notice *notice);

#endif
