/* request_env.h - the environment of a task, as strings of a request.
 *
 * Each function appends zero-ended strings and returns how many.
 */
#ifndef AGENT_REQUEST_ENV_H
#define AGENT_REQUEST_ENV_H

#include "agent/core/agent_core.h"
#include "agent/users.h"
#include "base/buffer.h"
#include "wire/job.h"

#include <stdbool.h>
#include <stdint.h>

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* One string, whole or by its format. */
void request_add(struct buffer *out, const char *text);
#define REQUEST_ADD(out, ...) \
    (buffer_printf(out, __VA_ARGS__), buffer_append_u8(out, 0))

/* What the user has, else what the agent was started with, where the job does not set it. */
uint32_t request_add_inherited(struct buffer *out,
                               const struct job_spec *spec,
                               const struct user *user);

/* Of the job, but for those that are Triarch's. */
uint32_t request_add_variables(struct buffer *out, const struct job_spec *spec);

/* Who the task is, and its ports. */
uint32_t request_add_own(struct buffer *out,
                         const struct run_start *run,
                         const struct job_spec *spec);

/* The same directory in the container and on the host; by the latter leftovers are found. */
uint32_t request_add_sandbox(struct buffer *out,
                             const struct run_start *run,
                             const char *work_dir,
                             bool inside);

#endif
