/* request_steps.h - what is to be done before a run's command starts. */
#ifndef AGENT_REQUEST_STEPS_H
#define AGENT_REQUEST_STEPS_H

#include "agent/request.h"
#include "agent/shim.h"
#include "base/buffer.h"
#include "base/error.h"
#include "wire/job.h"

#define REQUEST_SANDBOX_INSIDE "/sandbox" /* where a container has its sandbox */

/* Of a task with an image.  env: its variables, `count` strings. */
int request_add_image(struct buffer *out,
                      struct shim_request *r,
                      const struct job_spec *spec,
                      const struct buffer *env,
                      uint32_t count,
                      const struct request_host *host,
                      struct error *err);

/* Set the steps in *r and append their strings. */
int request_add_steps(struct buffer *out,
                      struct shim_request *r,
                      const struct job_spec *spec,
                      const struct request_host *host,
                      struct error *err);

#endif
