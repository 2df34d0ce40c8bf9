/* job.h - what a user asks for: a named set of equal tasks.
 *
 * struct job_spec is the decoded form.  The state machine, the log and the agents carry its
 * canonical bytes (job_spec_pack) and decode them where needed; a key's body hash is taken over
 * those bytes.  job_spec_check() holds every rule a job must keep; the client runs it for a
 * good message, the master because it trusts nobody.  docs/spec/9-jobs.md says what each
 * field means to a user.
 */
#ifndef WIRE_JOB_H
#define WIRE_JOB_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"
#include "wire/custom.h"
#include "wire/match.h"
#include "wire/pack.h"
#include "wire/resources.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOB_CPUS_DEFAULT_MILLI 1000ull
#define JOB_MEM_DEFAULT_BYTES  (128ull << 20)
#define JOB_DISK_DEFAULT_BYTES 0ull
#define JOB_KILL_GRACE_MS      5000ull
#define JOB_PRIORITY_MIN       (-1000)
#define JOB_PRIORITY_MAX       1000

/* What a job file gets where it does not say more. */
#define JOB_LEASE_MS            10000ull
#define JOB_LEASE_GRACE_MS      10000ull
#define JOB_DRIFT_PERMILLE      20u
#define JOB_RETRY_INTERVAL_MS   600000ull
#define JOB_RETRY_DELAY_MS      1000ull
#define JOB_RETRY_MAX_DELAY_MS  60000ull
#define JOB_ARTIFACT_BYTES      (1ull << 30)
#define JOB_ARTIFACT_TIMEOUT_MS 300000ull
#define JOB_CHECK_INTERVAL_MS   10000ull
#define JOB_CHECK_TIMEOUT_MS    5000ull
#define JOB_CHECK_FAILURES      3u

struct job_image {
    char *
        source; /* what triarch-fetch can make a root file system of: "oci:PATH[:TAG]", a
                   * URL of a tar, or docker://NAME; NULL: no image */
    char *sha256; /* of the tar, for URLs; else NULL */
};

/* What a task needs of its agent's ports. */
struct job_ports {
    uint32_t count;                             /* any that are free */
    struct port_range fixed[LIMIT_PORT_RANGES]; /* exactly these */
    size_t fixed_count;
};

struct job_artifact {
    char *source; /* http://, https:// or file:// */
    char *sha256; /* 64 lower-case hexadecimal digits */
    char *path;   /* relative to the sandbox */
    bool unpack;  /* an archive, into the directory `path` */
    bool executable;
    uint64_t max_bytes;
    uint64_t timeout_ms;
};

/* A directory or file of the agent's host inside the container of a task with an image. */
struct job_volume {
    char *source; /* absolute, on the host */
    char *target; /* absolute, in the container */
    bool read_only;
};

#define JOB_UNLIMITED UINT32_MAX /* attempts of a job_retry */

/* When something is done again: restart by the agent in the same attempt, reschedule by the
 * master in a new one.  All zero: never. */
struct job_retry {
    uint32_t attempts;    /* within interval_ms */
    uint64_t interval_ms; /* 0: over the whole life */
    uint64_t delay_ms;    /* before the first; doubled for each one after it */
    uint64_t max_delay_ms;
};

enum check_role { CHECK_HEALTH = 1, CHECK_READINESS = 2 };
enum check_kind { CHECK_COMMAND = 1, CHECK_HTTP = 2, CHECK_TCP = 3 };

struct job_check {
    enum check_role role;
    enum check_kind kind;
    char **argv; /* COMMAND; NULL-ended */
    size_t argc;
    char *path;          /* HTTP: from '/' */
    uint16_t port;       /* HTTP and TCP; 0: the task's port number port_index */
    uint32_t port_index; /* from 0 */
    uint64_t interval_ms, timeout_ms, start_delay_ms;
    uint32_t failures; /* in a row, before it counts */
};

/* How a job goes on when a task of it ends. */
#define JOB_KINDS(X)          \
    X(JOB_BATCH, "batch")     \
    X(JOB_SERVICE, "service") \
    X(JOB_SYSTEM, "system")

enum job_kind {
#define X(name, text) name,
    JOB_KINDS(X)
#undef X
        JOB_KIND_COUNT
};

const char *job_kind_name(enum job_kind kind); /* of another number: "unknown" */

/* How another job must end. */
#define JOB_ENDS(X)              \
    X(JOB_ON_SUCCESS, "success") \
    X(JOB_ON_FAILURE, "failure") \
    X(JOB_ON_ANY, "any")

enum job_on {
#define X(name, text) name,
    JOB_ENDS(X)
#undef X
        JOB_ON_COUNT
};

const char *job_on_name(enum job_on on);
/* False when there is no such kind, or end. */
bool job_kind_of(enum job_kind *kind, const char *name);
bool job_on_of(enum job_on *on, const char *name);

struct job_after {
    int64_t job; /* id; below 0: -1 is the first of those that are submitted with it */
    enum job_on on;
};

/* What is done of slots that nobody was there for, and while the last job has not ended. */
#define JOB_MISSED(X)              \
    X(MISSED_RUN_LAST, "run_last") \
    X(MISSED_RUN_ALL, "run_all")   \
    X(MISSED_SKIP, "skip")

enum job_missed {
#define X(name, text) name,
    JOB_MISSED(X)
#undef X
        JOB_MISSED_COUNT
};

#define JOB_OVERLAPS(X)         \
    X(OVERLAP_ALLOW, "allow")   \
    X(OVERLAP_FORBID, "forbid") \
    X(OVERLAP_REPLACE, "replace")

enum job_overlap {
#define X(name, text) name,
    JOB_OVERLAPS(X)
#undef X
        JOB_OVERLAP_COUNT
};

const char *job_missed_name(enum job_missed missed);
const char *job_overlap_name(enum job_overlap overlap);
bool job_missed_of(enum job_missed *missed, const char *name);
bool job_overlap_of(enum job_overlap *overlap, const char *name);

/* When jobs are made of it (spec 14). */
struct job_schedule {
    char *cron;     /* cron.h; NULL: no schedule */
    char *timezone; /* NULL: UTC */
    enum job_missed missed;
    enum job_overlap overlap;
};

/* A variable of the environment that is given when a job is made of it. */
struct job_parameter {
    char *name;
    char *value; /* where none is given; NULL: one must be */
};

struct job_spec {
    char *name;                 /* 1 to LIMIT_NAME_BYTES of printable UTF-8 */
    uint32_t instances;         /* 1 to LIMIT_TASKS_PER_JOB; of a system job 1 */
    int32_t priority;           /* higher first; 0 by default */
    struct resources resources; /* of each task; cpus > 0 */
    uint64_t kill_grace_ms;     /* from TERM to KILL */
    char **argv; /* argv[0] is looked up in the task's PATH; NULL-ended */
    size_t argc;
    char **env; /* "NAME=value", added to the agent's base environment; NULL-ended,
                             * in order of the names, names distinct */
    size_t env_count;

    /* Zero is: not given.  Agents of the first version know nothing of these. */
    struct job_image image;
    char *user; /* of the host, or of the image; NULL: the agent's default */
    struct job_ports ports;
    struct custom_resources custom;
    bool
        cpu_hard; /* cpus is a hard limit; else a share, and more when others are idle */
    struct job_artifact *artifacts;
    size_t artifact_count;
    struct job_volume *volumes;
    size_t volume_count;
    uint64_t max_runtime_ms;
    struct job_retry restart, reschedule;
    struct job_check *checks;
    size_t check_count;
    uint64_t
        stop_after_ms; /* without a word of a leader the agent stops the task; 0: never */
    uint64_t lease_ms; /* not 0: exclusive; the same, and no successor before that */
    uint32_t drift_permille;
    uint64_t lease_grace_ms;

    /* Of masters alone; agents never get these. */
    char *role;           /* NULL: ROLE_DEFAULT */
    uint64_t estimate_ms; /* of one task, as the user expects it; 0: not given */
    enum job_kind kind;
    struct job_after *after; /* ascending, distinct */
    size_t after_count;
    struct job_schedule schedule;
    struct job_parameter *parameters; /* in order of the names, distinct */
    size_t parameter_count;
    struct match match; /* which agents */
    bool gang;          /* its tasks begin all at once, or none (spec 14) */
};

/* It runs until it is killed: what ends of it is repeated, however it ended. */
static inline bool job_goes_on(enum job_kind kind)
{
    return kind == JOB_SERVICE || kind == JOB_SYSTEM;
}

/* Nothing of it runs: jobs are made of it. */
static inline bool job_is_template(const struct job_spec *spec)
{
    return spec->schedule.cron != NULL || spec->parameter_count > 0;
}

/* A spec with defaults, no name and no argv. */
void job_spec_init(struct job_spec *spec);
void job_spec_finish(struct job_spec *spec); /* frees what it owns; zeroed is fine */

/* What its kind has where the user does not say more. */
void job_spec_complete(struct job_spec *spec);
/* Who names the default role says no more than who names none; so does NULL. */
void job_spec_set_role(struct job_spec *spec, const char *role);
/* Likewise UTC. */
void job_spec_set_timezone(struct job_spec *spec, const char *name);
void job_spec_add_arg(struct job_spec *spec, const char *arg);
/* Keeps the order; the same job twice is for job_spec_check() to find. */
void job_spec_add_after(struct job_spec *spec, struct job_after after);
void job_spec_sort_after(struct job_spec *spec); /* after they got other numbers */
/* Keeps the order; a name that is there already is for job_spec_check() to find. */
void job_spec_add_env(struct job_spec *spec, const char *name_value);
/* Names that only agents set.  Who makes a spec refuses them; agents pass over those of one.  It
 * is no rule of job_spec_check(): what masters once took they take for ever. */
#define JOB_ENV_PREFIX "TRIARCH_"
bool job_env_is_reserved(const char *name_value);
/* The slot of a job that a schedule made, as RFC 3339, in its environment. */
#define JOB_ENV_SLOT "SCHEDULED_AT"
/* The template becomes what is made of it at this slot. */
void job_spec_at_slot(struct job_spec *spec, uint64_t slot_us);
/* Likewise with these values ("NAME=value"); `err` may be NULL.  ERROR_INVALID says which
 * parameter is missing, or not one of its own; then the spec is to be finished. */
int job_spec_with(struct job_spec *spec,
                  const char *const *values,
                  size_t count,
                  struct error *err);
/* Keeps the order; the same name twice is for job_spec_check() to find.  NULL: no value. */
void job_spec_add_parameter(struct job_spec *spec, const char *name, const char *value);
/* A zeroed one at the end, to be filled; the address is good until the next is added. */
struct job_artifact *job_spec_add_artifact(struct job_spec *spec);
struct job_volume *job_spec_add_volume(struct job_spec *spec);
struct job_check *job_spec_add_check(struct job_spec *spec);
void job_check_add_arg(struct job_check *check, const char *arg);

static inline bool job_is_exclusive(const struct job_spec *spec)
{
    return spec->lease_ms != 0;
}

/* How long the agent lets it run without a word of a leader; 0: for ever. */
static inline uint64_t job_lease_ms(const struct job_spec *spec)
{
    return spec->lease_ms != 0 ? spec->lease_ms : spec->stop_after_ms;
}

/* Ports of one task in all. */
uint32_t job_port_count(const struct job_spec *spec);

/* Every rule; ERROR_INVALID or ERROR_TOO_LARGE with field, value and limit. */
int job_spec_check(const struct job_spec *spec, struct error *err);

/* Nothing of what agents may be told of it beyond the first version is given. */
bool job_spec_is_plain(const struct job_spec *spec);

void job_spec_pack(const struct job_spec *spec, struct buffer *out);
/* Decodes and checks.  Fields of a newer version are ERROR_VERSION.  On failure *spec is
 * finished. */
int job_spec_unpack(struct job_spec *spec, struct bytes bytes, struct error *err);
/* Values of parameters as one value; then the list again, to be freed by texts_free(), or NULL when
 * the bytes are none: *count says how many. */
void texts_pack(const char *const *texts, size_t count, struct buffer *out);
char **texts_unpack(struct bytes packed, size_t *count);
void texts_free(char **texts, size_t count);
/* Several as one value; then the next of them, a view, or one of size 0 behind the last and when
 * the bytes are not those of a list. */
void job_specs_pack(const struct job_spec *specs, size_t count, struct buffer *out);
struct job_specs_reader {
    struct unpack u;
    uint32_t left; /* at first how many */
};
void job_specs_open(struct job_specs_reader *r, struct bytes packed);
struct bytes job_specs_next(struct job_specs_reader *r);
/* What agents are told of a packed spec, which keeps the rules: as a bin, with nothing in it that
 * only masters need.  So an agent runs each job whose run it understands, however new the rest
 * is. */
void job_spec_pack_agent_part(struct bytes spec, struct buffer *out);
/* Only the name of a packed spec, as a view into it; empty when it does not decode.  A
 * whole spec may be thousands of strings: too much for each line of a listing. */
struct bytes job_spec_name(struct bytes bytes);
/* Only its struct match, packed, as such a view; empty when it takes any agent. */
struct bytes job_spec_match(struct bytes bytes);
/* Only whether it is a gang. */
bool job_spec_gang(struct bytes bytes);

#endif
