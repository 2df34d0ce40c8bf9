/* job_check.c - every rule of a job.  Texts of errors begin with the field's name. */
#include "wire/job_private.h"

#include "base/limits.h"
#include "base/text.h"
#include "wire/cron.h"
#include "wire/role.h"

#include <stdio.h>
#include <string.h>

static int check_name(const struct job_spec *spec, struct error *err)
{
    struct bytes name = text_view(spec->name);

    if (name.size == 0)
        return error_set(err, ERROR_INVALID, "name: missing; give the job a name");
    if (name.size > LIMIT_NAME_BYTES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "name: %zu bytes; the most is %d",
                         name.size,
                         LIMIT_NAME_BYTES);
    if (!text_is_printable(name))
        return error_set(err,
                         ERROR_INVALID,
                         "name: give printable UTF-8 text without control characters");
    return 0;
}

static int check_numbers(const struct job_spec *spec, struct error *err)
{
    if (spec->instances == 0)
        return error_set(err, ERROR_INVALID, "instances: 0; a job has at least 1");
    if (spec->instances > LIMIT_TASKS_PER_JOB)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "instances: %u; the most is %d",
                         spec->instances,
                         LIMIT_TASKS_PER_JOB);
    if (spec->priority < JOB_PRIORITY_MIN || spec->priority > JOB_PRIORITY_MAX)
        return error_set(err,
                         ERROR_INVALID,
                         "priority: %d; give a number from %d to %d",
                         spec->priority,
                         JOB_PRIORITY_MIN,
                         JOB_PRIORITY_MAX);
    if (spec->kill_grace_ms > LIMIT_KILL_GRACE_MS)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "kill_grace: %llu ms; the most is %llu ms (24 hours)",
                         (unsigned long long)spec->kill_grace_ms,
                         LIMIT_KILL_GRACE_MS);
    return 0;
}

/* The role itself is known to the masters alone. */
static int check_role(const struct job_spec *spec, struct error *err)
{
    if (spec->role != NULL && !role_name_valid(text_view(spec->role)))
        return error_set(err,
                         ERROR_INVALID,
                         "role: '%.80s' is no name of a role; give 1 to %d of a-z, "
                         "0-9, '-', '_' and '.'",
                         spec->role,
                         LIMIT_ROLE_BYTES);
    if (spec->estimate_ms > LIMIT_JOB_TIME_MS)
        return error_set(err, ERROR_TOO_LARGE, "estimate: give a time of at most 365d");
    return 0;
}

static int check_resources(const struct job_spec *spec, struct error *err)
{
    if (spec->resources.amount[RESOURCE_CPUS] == 0)
        return error_set(
            err,
            ERROR_INVALID,
            "cpus: 0; give a number of cpus above 0, with at most three decimals");
    for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++)
        if (spec->resources.amount[k] > LIMIT_RESOURCE)
            return error_set(err,
                             ERROR_TOO_LARGE,
                             "%s: more than any machine can have",
                             resource_name(k));
    return 0;
}

static int check_argv(const struct job_spec *spec, struct error *err)
{
    if (spec->argc == 0 || spec->argv[0][0] == '\0')
        return error_set(
            err, ERROR_INVALID, "command: missing; say what the tasks run");
    if (spec->argc > LIMIT_ARGS)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "command: %zu arguments; the most is %d",
                         spec->argc,
                         LIMIT_ARGS);
    return 0;
}

static bool is_name_byte(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

/* A name that every shell takes, before a '='. */
static bool is_env_entry(const char *entry)
{
    const char *at = entry;

    while (is_name_byte(*at, at == entry))
        at++;
    return at > entry && *at == '=';
}

#define ENV_NAME_SHOWN 80 /* bytes of it in an error */

static int check_env(const struct job_spec *spec, struct error *err)
{
    /* A template has room for what the jobs made of it get besides. */
    size_t count =
        spec->env_count + spec->parameter_count + (spec->schedule.cron != NULL);

    if (count > LIMIT_ARGS)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "env: %zu variables%s; the most is %d",
                         count,
                         count == spec->env_count      ? ""
                         : spec->schedule.cron != NULL ? " with " JOB_ENV_SLOT
                                                       : " with the parameters",
                         LIMIT_ARGS);
    for (size_t i = 0; i < spec->env_count; i++) {
        const char *entry = spec->env[i];
        int order = i == 0 ? -1 : job_compare_env(spec->env[i - 1], entry);
        int name_size = (int)strcspn(entry, "=");

        if (!is_env_entry(entry))
            return error_set(
                err,
                ERROR_INVALID,
                "env: '%.40s' is not NAME=value with a NAME of letters, digits "
                "and _",
                entry);
        if (order >= 0)
            return error_set(err,
                             ERROR_INVALID,
                             "env: %.*s is %s",
                             name_size < ENV_NAME_SHOWN ? name_size : ENV_NAME_SHOWN,
                             entry,
                             order == 0 ? "given twice" : "not in order of the names");
    }
    return 0;
}

static size_t length(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

/* What the kernel will have to copy for exec. */
static int check_exec_bytes(const struct job_spec *spec, struct error *err)
{
    size_t size = 0;

    for (size_t i = 0; i < spec->argc; i++)
        size += strlen(spec->argv[i]) + 1;
    for (size_t i = 0; i < spec->env_count; i++)
        size += strlen(spec->env[i]) + 1;
    for (size_t i = 0; i < spec->parameter_count; i++)
        size +=
            length(spec->parameters[i].name) + length(spec->parameters[i].value) + 2;
    if (spec->schedule.cron != NULL)
        size += sizeof(JOB_ENV_SLOT) + TEXT_TIME_MAX; /* of what is made of it */
    if (size > LIMIT_ARGV_ENV_BYTES)
        return error_set(
            err,
            ERROR_TOO_LARGE,
            "command and env: %zu bytes together; the most is %lu (put what is "
            "long into a file)",
            size,
            LIMIT_ARGV_ENV_BYTES);
    return 0;
}

/* ---- what may be absent ---- */

static bool is_sha256(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* "artifacts[1].source", for texts of errors. */
struct field_name {
    char text[48];
};

static struct field_name name_item(const char *list, size_t index, const char *field)
{
    struct field_name name;

    snprintf(name.text, sizeof(name.text), "%s[%zu].%s", list, index, field);
    return name;
}

/* Printable, and of a length that makes sense. */
static int
check_text(const char *field, const char *text, size_t max, struct error *err)
{
    struct bytes view = text_view(text);

    if (view.size == 0)
        return error_set(err, ERROR_INVALID, "%s: missing", field);
    if (view.size > max)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "%s: %zu bytes; the most is %zu",
                         field,
                         view.size,
                         max);
    if (!text_is_printable(view))
        return error_set(err,
                         ERROR_INVALID,
                         "%s: give printable UTF-8 text without control characters",
                         field);
    return 0;
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_remote(const char *source)
{
    return begins_with(source, "http://") || begins_with(source, "https://");
}

/* What triarch-fetch knows (docs/spec/10-images.md). */
static bool is_image_source(const char *source)
{
    static const char *const STARTS[] = {
        "oci:/", "http://", "https://", "file:///", "docker://"};

    for (size_t i = 0; i < sizeof(STARTS) / sizeof(STARTS[0]); i++)
        if (begins_with(source, STARTS[i]) && source[strlen(STARTS[i])] != '\0')
            return true;
    return false;
}

/* As in a registry: "debian", "debian:12", "quay.io/a/b:1". */
static bool is_image_name(const char *source)
{
    static const char OF_NAMES[] = "abcdefghijklmnopqrstuvwxyz0123456789._-/";
    size_t size = strspn(source, OF_NAMES);

    return size > 0 && source[0] != '/' && source[0] != '.' &&
           !begins_with(source, "oci:") &&
           (source[size] == '\0' || (source[size] == ':' && source[size + 1] != '/'));
}

static int check_image(const struct job_spec *spec, struct error *err)
{
    const struct job_image *image = &spec->image;
    size_t skipped; /* of what is meant as a name of a registry's image */

    if (image->source == NULL && image->sha256 == NULL)
        return 0;
    if (check_text("image", image->source, LIMIT_SOURCE_BYTES, err) != 0)
        return -(int)err->code;
    if (image->sha256 != NULL && !is_sha256(image->sha256))
        return error_set(err,
                         ERROR_INVALID,
                         "image.sha256: it is not 64 lower-case hexadecimal digits");
    if (image->sha256 == NULL && is_remote(image->source))
        return error_set(
            err, ERROR_INVALID, "image: a URL needs its sha256 (the sum of the tar)");
    skipped = begins_with(image->source, "docker:") ? strlen("docker:") : 0;
    if (!is_image_source(image->source))
        return error_set(
            err,
            ERROR_INVALID,
            "image: '%.80s' does not say what it is; give "
            "oci:/PATH[:TAG], the URL of a tar, or docker://NAME:TAG%s%.80s%s",
            image->source,
            is_image_name(image->source) ? "; did you mean docker://" : "",
            is_image_name(image->source) ? image->source + skipped : "",
            is_image_name(image->source) ? "?" : "");
    return 0;
}

static int check_user(const struct job_spec *spec, struct error *err)
{
    if (spec->user == NULL)
        return 0;
    return check_text("user", spec->user, LIMIT_USER_BYTES, err);
}

static int check_ports(const struct job_spec *spec, struct error *err)
{
    const struct job_ports *p = &spec->ports;
    int rc = port_ranges_check(p->fixed, p->fixed_count, err);

    if (rc == 0 &&
        (p->count > LIMIT_TASK_PORTS || job_port_count(spec) > LIMIT_TASK_PORTS))
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "ports: more than %d; a task has no need of so many",
                         LIMIT_TASK_PORTS);
    return rc;
}

static int check_custom(const struct job_spec *spec, struct error *err)
{
    return custom_resources_check(&spec->custom, err);
}

/* A path that stays below the directory that it starts from. */
static bool stays_below(const char *path)
{
    const char *at = path;

    if (*at == '/')
        return false;
    while (*at != '\0') {
        size_t size = strcspn(at, "/");

        if (size == 2 && at[0] == '.' && at[1] == '.')
            return false;
        at += size;
        at += *at == '/';
    }
    return true;
}

/* The logs of the task, and what the agent keeps beside them. */
static bool is_of_agent(const char *path)
{
    size_t size;

    while (path[0] == '.' && path[1] == '/')
        path += 2 + strspn(path + 2, "/");
    size = strcspn(path, "/");
    return (size == 6 &&
            (begins_with(path, "stdout") || begins_with(path, "stderr"))) ||
           begins_with(path, ".triarch-");
}

static int check_source(const struct job_artifact *a, size_t i, struct error *err)
{
    struct field_name name = name_item("artifacts", i, "source");

    if (check_text(name.text, a->source, LIMIT_SOURCE_BYTES, err) != 0)
        return -(int)err->code;
    if (!is_remote(a->source) && !begins_with(a->source, "file:///"))
        return error_set(err,
                         ERROR_INVALID,
                         "%s: '%.80s' begins with none of http://, https:// and "
                         "file:///",
                         name.text,
                         a->source);
    name = name_item("artifacts", i, "sha256");
    if (a->sha256 == NULL || !is_sha256(a->sha256))
        return error_set(err,
                         ERROR_INVALID,
                         "%s: %s: give the 64 lower-case hexadecimal digits that "
                         "sha256sum prints",
                         name.text,
                         a->sha256 == NULL ? "missing" : "it is not such a sum");
    return 0;
}

static int check_path(const struct job_artifact *a, size_t i, struct error *err)
{
    struct field_name name = name_item("artifacts", i, "path");

    if (check_text(name.text, a->path, LIMIT_SOURCE_BYTES, err) != 0)
        return -(int)err->code;
    if (!stays_below(a->path))
        return error_set(err,
                         ERROR_INVALID,
                         "%s: '%.80s' leads out of the sandbox; give one relative to "
                         "it, without '..'",
                         name.text,
                         a->path);
    if (is_of_agent(a->path))
        return error_set(err,
                         ERROR_INVALID,
                         "%s: '%.80s' is a file of the agent's in the sandbox; give "
                         "another name",
                         name.text,
                         a->path);
    return 0;
}

static int check_artifact(const struct job_artifact *a, size_t i, struct error *err)
{
    if (check_source(a, i, err) != 0 || check_path(a, i, err) != 0)
        return -(int)err->code;
    if (a->unpack && a->executable)
        return error_set(err,
                         ERROR_INVALID,
                         "%s: it is for one file; what is unpacked keeps its modes",
                         name_item("artifacts", i, "executable").text);
    if (a->max_bytes == 0 || a->max_bytes > LIMIT_ARTIFACT_BYTES)
        return error_set(err,
                         ERROR_INVALID,
                         "%s: give a size from 1 byte to 1 TiB",
                         name_item("artifacts", i, "max_size").text);
    if (a->timeout_ms == 0 || a->timeout_ms > LIMIT_JOB_TIME_MS)
        return error_set(err,
                         ERROR_INVALID,
                         "%s: give a time up to 365 days",
                         name_item("artifacts", i, "timeout").text);
    return 0;
}

static int check_artifacts(const struct job_spec *spec, struct error *err)
{
    if (spec->artifact_count > LIMIT_ARTIFACTS)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "artifacts: %zu; the most is %d",
                         spec->artifact_count,
                         LIMIT_ARTIFACTS);
    for (size_t i = 0; i < spec->artifact_count; i++)
        if (check_artifact(&spec->artifacts[i], i, err) != 0)
            return -(int)err->code;
    return 0;
}

/* One end of a volume. */
static int check_end(struct field_name name, const char *path, struct error *err)
{
    if (check_text(name.text, path, LIMIT_SOURCE_BYTES, err) != 0)
        return -(int)err->code;
    if (path[0] == '/' && stays_below(path + 1))
        return 0;
    return error_set(err,
                     ERROR_INVALID,
                     "%s: '%.80s' is not an absolute path without '..'",
                     name.text,
                     path);
}

static int check_volumes(const struct job_spec *spec, struct error *err)
{
    if (spec->volume_count > LIMIT_VOLUMES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "volumes: %zu; the most is %d",
                         spec->volume_count,
                         LIMIT_VOLUMES);
    if (spec->volume_count > 0 && spec->image.source == NULL)
        return error_set(err,
                         ERROR_INVALID,
                         "volumes: only for a task with an image; without one it sees "
                         "the files of its host");
    for (size_t i = 0; i < spec->volume_count; i++) {
        const struct job_volume *v = &spec->volumes[i];

        if (check_end(name_item("volumes", i, "source"), v->source, err) != 0 ||
            check_end(name_item("volumes", i, "target"), v->target, err) != 0)
            return -(int)err->code;
    }
    return 0;
}

/* So few that it does no harm whatever the delay is. */
static bool is_rare(const struct job_retry *r, uint64_t apart_ms)
{
    return r->attempts != JOB_UNLIMITED && r->interval_ms > 0 &&
           r->attempts * apart_ms <= r->interval_ms;
}

/* Without a count of its own (an interval of 0 is the whole life) a small number is rare. */
#define FEW_RETRIES 100

static int check_retry(const char *field,
                       const struct job_retry *r,
                       uint64_t apart_ms,
                       struct error *err)
{
    bool is_few = r->interval_ms == 0 && r->attempts <= FEW_RETRIES;

    if (r->attempts == 0 &&
        (r->interval_ms != 0 || r->delay_ms != 0 || r->max_delay_ms != 0))
        return error_set(
            err, ERROR_INVALID, "%s: without attempts it does nothing", field);
    if (r->interval_ms > LIMIT_JOB_TIME_MS || r->max_delay_ms > LIMIT_JOB_TIME_MS)
        return error_set(
            err, ERROR_TOO_LARGE, "%s: a time of more than 365 days", field);
    if (r->delay_ms > r->max_delay_ms)
        return error_set(err, ERROR_INVALID, "%s: delay is more than max_delay", field);
    if (r->attempts > 0 && r->delay_ms < apart_ms && !is_few && !is_rare(r, apart_ms))
        return error_set(err,
                         ERROR_INVALID,
                         "%s: delay: %llu ms; with so many attempts in its interval "
                         "give at least %llums",
                         field,
                         (unsigned long long)r->delay_ms,
                         (unsigned long long)apart_ms);
    return 0;
}

static int check_times(const struct job_spec *spec, struct error *err)
{
    if (spec->max_runtime_ms > LIMIT_JOB_TIME_MS)
        return error_set(
            err, ERROR_TOO_LARGE, "max_runtime: more than 365 days; leave it out");
    if (check_retry("restart", &spec->restart, LIMIT_RESTART_MS, err) != 0 ||
        check_retry("reschedule", &spec->reschedule, LIMIT_RESCHEDULE_MS, err) != 0)
        return -(int)err->code;
    return 0;
}

/* "health", or "health[1]" of several. */
static struct field_name name_check(const struct job_spec *spec, size_t index)
{
    enum check_role role = spec->checks[index].role;
    const char *field = role == CHECK_READINESS ? "readiness" : "health";
    size_t before = 0, count = 0;
    struct field_name name;

    for (size_t i = 0; i < spec->check_count; i++) {
        before += i < index && spec->checks[i].role == role;
        count += spec->checks[i].role == role;
    }
    if (count > 1)
        snprintf(name.text, sizeof(name.text), "%s[%zu]", field, before);
    else
        snprintf(name.text, sizeof(name.text), "%s", field);
    return name;
}

static int check_target(const struct job_spec *spec,
                        const struct job_check *c,
                        const char *name,
                        struct error *err)
{
    struct field_name path;

    if (c->port == 0 && c->port_index >= job_port_count(spec))
        return error_set(
            err,
            ERROR_INVALID,
            "%s: it has no port; give one as port, or ports of the task as "
            "resources.ports and the number of one, from 0, as port_index",
            name);
    if (c->kind != CHECK_HTTP)
        return 0;
    if (c->path == NULL || c->path[0] != '/')
        return error_set(
            err, ERROR_INVALID, "%s.http: give a path that begins with /", name);
    snprintf(path.text, sizeof(path.text), "%.40s.http", name);
    return check_text(path.text, c->path, LIMIT_SOURCE_BYTES, err);
}

static int check_kind(const struct job_spec *spec,
                      const struct job_check *c,
                      const char *name,
                      struct error *err)
{
    if (c->role != CHECK_HEALTH && c->role != CHECK_READINESS)
        return error_set(err, ERROR_INVALID, "%s: a check for nothing", name);
    switch (c->kind) {
    case CHECK_COMMAND:
        if (c->argc == 0 || c->argv[0][0] == '\0')
            return error_set(err, ERROR_INVALID, "%s.command: missing", name);
        return 0;
    case CHECK_HTTP:
    case CHECK_TCP:
        return check_target(spec, c, name, err);
    }
    return error_set(err, ERROR_INVALID, "%s: give command, argv, http or tcp", name);
}

static int check_check(const struct job_spec *spec, size_t index, struct error *err)
{
    const struct job_check *c = &spec->checks[index];
    struct field_name name = name_check(spec, index);

    if (check_kind(spec, c, name.text, err) != 0)
        return -(int)err->code;
    if (c->interval_ms < 100 || c->interval_ms > LIMIT_JOB_TIME_MS)
        return error_set(err,
                         ERROR_INVALID,
                         "%s.interval: give a time from 100ms to 365d",
                         name.text);
    if (c->timeout_ms < 10 || c->timeout_ms > LIMIT_CHECK_TIMEOUT_MS)
        return error_set(err,
                         ERROR_INVALID,
                         "%s.timeout: give a time from 10ms to %ds",
                         name.text,
                         LIMIT_CHECK_TIMEOUT_MS / 1000);
    if (c->start_delay_ms > LIMIT_JOB_TIME_MS)
        return error_set(
            err, ERROR_INVALID, "%s.start_delay: more than 365 days", name.text);
    if (c->failures == 0 || c->failures > LIMIT_CHECK_FAILURES)
        return error_set(err,
                         ERROR_INVALID,
                         "%s.failures: give a number from 1 to %d",
                         name.text,
                         LIMIT_CHECK_FAILURES);
    return 0;
}

static int check_checks(const struct job_spec *spec, struct error *err)
{
    if (spec->check_count > LIMIT_CHECKS)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "health: %zu checks with those of readiness; the most is %d",
                         spec->check_count,
                         LIMIT_CHECKS);
    for (size_t i = 0; i < spec->check_count; i++)
        if (check_check(spec, i, err) != 0)
            return -(int)err->code;
    return 0;
}

static int check_lease(const struct job_spec *spec, struct error *err)
{
    if (spec->stop_after_ms != 0 && (spec->stop_after_ms < LIMIT_LEASE_MIN_MS ||
                                     spec->stop_after_ms > LIMIT_JOB_TIME_MS))
        return error_set(err,
                         ERROR_INVALID,
                         "on_disconnect: stop_after: give a time from 2s to 365d");
    if (!job_is_exclusive(spec)) {
        if (spec->drift_permille != 0 || spec->lease_grace_ms != 0)
            return error_set(err, ERROR_INVALID, "exclusive: drift without a lease");
        return 0;
    }
    if (spec->stop_after_ms != 0)
        return error_set(err,
                         ERROR_INVALID,
                         "on_disconnect: an exclusive task is stopped after its lease "
                         "anyway; leave stop_after out");
    if (spec->lease_ms < LIMIT_LEASE_MIN_MS || spec->lease_ms > LIMIT_JOB_TIME_MS ||
        spec->lease_grace_ms < LIMIT_LEASE_GRACE_MS ||
        spec->lease_grace_ms > LIMIT_JOB_TIME_MS ||
        spec->drift_permille > LIMIT_DRIFT_PERMILLE)
        return error_set(
            err,
            ERROR_INVALID,
            "exclusive: give a lease from 2s to 365d, a grace from 1s to 365d "
            "and a drift up to %d %%",
            LIMIT_DRIFT_PERMILLE / 10);
    if (spec->kill_grace_ms > spec->lease_grace_ms / 2)
        return error_set(err,
                         ERROR_INVALID,
                         "exclusive: its grace (%llu ms) must be at least twice "
                         "kill_grace (%llu ms): in it the task is stopped",
                         (unsigned long long)spec->lease_grace_ms,
                         (unsigned long long)spec->kill_grace_ms);
    return 0;
}

static int check_match(const struct job_spec *spec, struct error *err)
{
    bool counts = spec->match.spread_count > 0;

    for (size_t i = 0; i < spec->match.constraint_count; i++)
        counts |= spec->match.constraints[i].op == MATCH_DISTINCT;
    if (counts && spec->instances > LIMIT_DISTINCT_TASKS)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "instances: %u; with distinct or spread the most is %d",
                         spec->instances,
                         LIMIT_DISTINCT_TASKS);
    return match_check(&spec->match, err);
}

/* Whether it is there is for the masters, and whether a position may be waited for, too. */
static int check_after(const struct job_spec *spec, struct error *err)
{
    if (spec->after_count > LIMIT_AFTER)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "after: %zu jobs; the most is %d; let a job between wait for "
                         "some of them",
                         spec->after_count,
                         LIMIT_AFTER);
    for (size_t i = 0; i < spec->after_count; i++) {
        if (spec->after[i].job == 0 || spec->after[i].job < -LIMIT_SET_JOBS)
            return error_set(err,
                             ERROR_INVALID,
                             "after: no job has the id %lld",
                             (long long)spec->after[i].job);
        if (i > 0 && spec->after[i - 1].job == spec->after[i].job)
            return error_set(
                err, ERROR_INVALID, "after: a job is there twice; name it once");
    }
    return 0;
}

/* As a name of a file in the tz database: no dots, and one way to write each. */
static bool is_zone(const char *name)
{
    size_t size = strlen(name);

    return size > 0 && size <= LIMIT_ZONE_BYTES && name[0] != '/' &&
           name[size - 1] != '/' && strstr(name, "//") == NULL &&
           strspn(
               name,
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-_/") ==
               size;
}

/* Whether masters know the zone is for them. */
static int check_schedule(const struct job_spec *spec, struct error *err)
{
    const struct job_schedule *s = &spec->schedule;
    struct cron cron;

    if (s->cron == NULL) {
        if (s->timezone != NULL || s->missed != MISSED_RUN_LAST ||
            s->overlap != OVERLAP_ALLOW)
            return error_set(err, ERROR_INVALID, "schedule: cron: missing");
        return 0;
    }
    if (strlen(s->cron) > LIMIT_CRON_BYTES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "schedule: cron: %zu bytes; the most is %d",
                         strlen(s->cron),
                         LIMIT_CRON_BYTES);
    if (cron_parse(&cron, s->cron, err) != 0)
        return error_wrap(err, "schedule: cron");
    if (s->timezone != NULL && !is_zone(s->timezone))
        return error_set(err,
                         ERROR_INVALID,
                         "schedule: timezone: '%.80s' is no name of a time zone; give "
                         "one like Europe/Berlin",
                         s->timezone);
    if (job_goes_on(spec->kind))
        return error_set(err,
                         ERROR_INVALID,
                         "schedule: a %s goes on by itself; leave one of both out",
                         spec->kind == JOB_SERVICE ? "service" : "system job");
    if (spec->after_count > 0)
        return error_set(
            err,
            ERROR_INVALID,
            "schedule: with a schedule a job cannot wait for others; leave "
            "`after` out");
    return 0;
}

/* As a variable of the environment. */
static bool is_variable(const char *name)
{
    size_t size = strlen(name);

    return size > 0 && size <= LIMIT_NAME_BYTES && (name[0] < '0' || name[0] > '9') &&
           strspn(name,
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
               size;
}

static bool is_in_env(const struct job_spec *spec, const char *name)
{
    size_t size = strlen(name);

    for (size_t i = 0; i < spec->env_count; i++)
        if (strncmp(spec->env[i], name, size) == 0 && spec->env[i][size] == '=')
            return true;
    return false;
}

static int check_parameters(const struct job_spec *spec, struct error *err)
{
    if (spec->parameter_count == 0)
        return 0;
    if (spec->parameter_count > LIMIT_PARAMETERS)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "parameters: %zu; the most is %d",
                         spec->parameter_count,
                         LIMIT_PARAMETERS);
    for (size_t i = 0; i < spec->parameter_count; i++) {
        const char *name = spec->parameters[i].name;

        if (!is_variable(name) || job_env_is_reserved(name))
            return error_set(
                err,
                ERROR_INVALID,
                "parameters: '%.40s' is no name of a variable; give letters, "
                "digits and _, not %s…",
                name,
                JOB_ENV_PREFIX);
        if ((i > 0 && strcmp(spec->parameters[i - 1].name, name) == 0) ||
            is_in_env(spec, name))
            return error_set(err,
                             ERROR_INVALID,
                             "parameters: '%.40s' is there twice, or in env as well",
                             name);
    }
    if (spec->schedule.cron != NULL || job_goes_on(spec->kind) || spec->after_count > 0)
        return error_set(
            err,
            ERROR_INVALID,
            "parameters: a job that is made when asked for has no schedule, "
            "is no service or system job, and waits for no other");
    return 0;
}

static int check_going_on(const struct job_spec *spec, struct error *err)
{
    if (job_goes_on(spec->kind) && spec->reschedule.attempts == 0)
        return error_set(err,
                         ERROR_INVALID,
                         "reschedule: a %s goes on: give {attempts: unlimited}",
                         spec->kind == JOB_SERVICE ? "service" : "system job");
    return 0;
}

/* What would choose among agents: it has one task on each that keeps its constraints. */
static int check_system(const struct job_spec *spec, struct error *err)
{
    const struct match *m = &spec->match;

    if (spec->kind != JOB_SYSTEM)
        return 0;
    if (spec->instances != 1)
        return error_set(err,
                         ERROR_INVALID,
                         "instances: %u; a system job has one on each agent that keeps "
                         "its constraints: leave it out",
                         spec->instances);
    if (spec->gang)
        return error_set(err,
                         ERROR_INVALID,
                         "gang: a system job begins on each agent when that has room: "
                         "leave it out");
    if (m->affinity_count > 0)
        return error_set(err,
                         ERROR_INVALID,
                         "affinities: a system job has one task on each agent: give "
                         "constraints");
    if (m->spread_count > 0)
        return error_set(err,
                         ERROR_INVALID,
                         "spread: a system job has one task on each agent: leave it "
                         "out");
    for (size_t i = 0; i < m->constraint_count; i++)
        if (m->constraints[i].op == MATCH_DISTINCT)
            return error_set(err,
                             ERROR_INVALID,
                             "constraints[%zu].op: distinct is not for a system job, "
                             "which has one task on each agent",
                             i);
    return 0;
}

static int check_gang(const struct job_spec *spec, struct error *err)
{
    if (spec->gang && spec->instances > LIMIT_GANG_TASKS)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "gang: %u instances; at most %d can start at once: make them "
                         "fewer and larger, or leave gang out",
                         spec->instances,
                         LIMIT_GANG_TASKS);
    return 0;
}

static int check_text_bytes(const struct job_spec *spec, struct error *err)
{
    size_t size = length(spec->image.source) + length(spec->user) +
                  match_text_bytes(&spec->match);

    for (size_t i = 0; i < spec->custom.count; i++)
        size += length(spec->custom.items[i].name);
    for (size_t i = 0; i < spec->artifact_count; i++)
        size += length(spec->artifacts[i].source) + length(spec->artifacts[i].path);
    for (size_t i = 0; i < spec->volume_count; i++)
        size += length(spec->volumes[i].source) + length(spec->volumes[i].target);
    for (size_t i = 0; i < spec->check_count; i++) {
        size += length(spec->checks[i].path);
        for (size_t k = 0; k < spec->checks[i].argc; k++)
            size += strlen(spec->checks[i].argv[k]) + 5;
    }
    if (size > LIMIT_JOB_TEXT_BYTES)
        return error_set(
            err,
            ERROR_TOO_LARGE,
            "artifacts, volumes, checks and constraints: %zu bytes of text together; "
            "the most is %lu",
            size,
            LIMIT_JOB_TEXT_BYTES);
    return 0;
}

int job_spec_check(const struct job_spec *spec, struct error *err)
{
    static int (*const CHECKS[])(const struct job_spec *, struct error *) = {
        check_name,     check_numbers, check_role,       check_resources,
        check_argv,     check_env,     check_exec_bytes, check_image,
        check_user,     check_ports,   check_custom,     check_artifacts,
        check_volumes,  check_times,   check_checks,     check_lease,
        check_going_on, check_after,   check_schedule,   check_parameters,
        check_match,    check_gang,    check_system,     check_text_bytes,
    };
    struct error unused;

    if (err == NULL)
        err = &unused;
    for (size_t i = 0; i < sizeof(CHECKS) / sizeof(CHECKS[0]); i++) {
        int rc = CHECKS[i](spec, err);

        if (rc != 0)
            return rc;
    }
    return 0;
}
