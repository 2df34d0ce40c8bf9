/* job.h - what a user asks for: a named set of equal tasks.
 *
 * struct job_spec is the decoded form.  The state machine, the log and the agents carry its
 * canonical bytes (job_spec_pack) and decode them where needed; a key's body hash is taken over
 * those bytes.  job_spec_check() holds every rule a job must keep; the client runs it for a
 * good message, the master because it trusts nobody.
 */
#ifndef WIRE_JOB_H
#define WIRE_JOB_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/resources.h"

#include <stddef.h>
#include <stdint.h>

#define JOB_CPUS_DEFAULT_MILLI 1000ull
#define JOB_MEM_DEFAULT_BYTES  (128ull << 20)
#define JOB_DISK_DEFAULT_BYTES 0ull
#define JOB_KILL_GRACE_MS      5000ull
#define JOB_PRIORITY_MIN       (-1000)
#define JOB_PRIORITY_MAX       1000

struct job_spec {
    char *name;                 /* 1 to LIMIT_NAME_BYTES of printable UTF-8 */
    uint32_t instances;         /* 1 to LIMIT_TASKS_PER_JOB */
    int32_t priority;           /* higher first; 0 by default */
    struct resources resources; /* of each task; cpus > 0 */
    uint64_t kill_grace_ms;     /* from TERM to KILL */
    char **argv; /* argv[0] is looked up in the task's PATH; NULL-ended */
    size_t argc;
    char **env; /* "NAME=value", added to the agent's base environment; NULL-ended,
                             * in order of the names, names distinct */
    size_t env_count;
};

/* A spec with defaults, no name and no argv. */
void job_spec_init(struct job_spec *spec);
void job_spec_finish(struct job_spec *spec); /* frees what it owns; zeroed is fine */

void job_spec_add_arg(struct job_spec *spec, const char *arg);
/* Keeps the order; a name that is there already is for job_spec_check() to find. */
void job_spec_add_env(struct job_spec *spec, const char *name_value);

/* Every rule; ERROR_INVALID or ERROR_TOO_LARGE with field, value and limit. */
int job_spec_check(const struct job_spec *spec, struct error *err);

void job_spec_pack(const struct job_spec *spec, struct buffer *out);
/* Decodes and checks.  On failure *spec is finished. */
int job_spec_unpack(struct job_spec *spec, struct bytes bytes, struct error *err);
/* Only the name of a packed spec, as a view into it; empty when it does not decode.  A
 * whole spec may be thousands of strings: too much for each line of a listing. */
struct bytes job_spec_name(struct bytes bytes);

#endif
