/* exec.h - the RPC listener of an agent: commands inside running tasks
 * (docs/spec/11-exec.md). */
#ifndef AGENT_EXEC_H
#define AGENT_EXEC_H

#include "agent/agent.h"

struct exec;

int exec_start(struct exec **out, struct agent *a, struct error *err);
/* Every command is ended.  NULL is fine. */
void exec_stop(struct exec *e);

uint16_t exec_port(const struct exec *e);
unsigned exec_sessions(const struct exec *e);
/* The run has ended, and so must what was started in it.  NULL is fine. */
void exec_run_ended(struct exec *e, uint64_t attempt);

#endif
