/* request.h - what a task is started with: its command line and environment. */
#ifndef AGENT_REQUEST_H
#define AGENT_REQUEST_H

#include "agent/core/agent_core.h"
#include "base/buffer.h"
#include "base/error.h"

/* Append the run's struct shim_request and its strings; the caller sets the slot. */
int request_build(struct buffer *out,
                  const struct run_start *run,
                  const char *work_dir,
                  struct error *err);

#endif
