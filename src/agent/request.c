/* request.c - what a task is started with.
 *
 * Its environment is, in this order, what the agent passes on of its own (so that
 * commands are found and texts are read as on this host), the job's, and Triarch's.  A
 * later one replaces an earlier one of the same name.
 */
#include "agent/request.h"

#include "agent/request_steps.h"
#include "agent/shim.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/job.h"

#include <stdlib.h>
#include <string.h>

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define OWN_PREFIX   "TRIARCH_"

static const char *const passed_on[] = {
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ"};

static void add(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text) + 1);
}

#define ADD_FORMATTED(out, ...) \
    (buffer_printf(out, __VA_ARGS__), buffer_append_u8(out, 0))

static bool job_sets(const struct job_spec *spec, const char *name)
{
    size_t size = strlen(name);

    for (size_t i = 0; i < spec->env_count; i++) {
        if (strncmp(spec->env[i], name, size) == 0 && spec->env[i][size] == '=')
            return true;
    }
    return false;
}

/* What the user has, else what the agent was started with. */
static const char *inherited(const char *name, const struct user *user)
{
    const char *value = getenv(name);

    if (strcmp(name, "HOME") == 0)
        return user->home != NULL ? user->home : value;
    if (strcmp(name, "USER") == 0 || strcmp(name, "LOGNAME") == 0)
        return user->name != NULL ? user->name : value;
    return value == NULL && strcmp(name, "PATH") == 0 ? PATH_DEFAULT : value;
}

static uint32_t
add_inherited(struct buffer *out, const struct job_spec *spec, const struct user *user)
{
    uint32_t count = 0;

    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
        const char *value = inherited(passed_on[i], user);

        if (value == NULL || job_sets(spec, passed_on[i]))
            continue;
        ADD_FORMATTED(out, "%s=%s", passed_on[i], value);
        count++;
    }
    return count;
}

static uint32_t add_of_job(struct buffer *out, const struct job_spec *spec)
{
    uint32_t count = 0;

    for (size_t i = 0; i < spec->env_count; i++) {
        if (strncmp(spec->env[i], OWN_PREFIX, strlen(OWN_PREFIX)) == 0)
            continue;
        add(out, spec->env[i]);
        count++;
    }
    return count;
}

/* TRIARCH_PORTS="31000,31001", and each by its place. */
static uint32_t add_ports(struct buffer *out, const struct run_start *run)
{
    buffer_printf(out, OWN_PREFIX "PORTS=");
    for (uint32_t i = 0; i < run->port_count; i++)
        buffer_printf(out, "%s%u", i == 0 ? "" : ",", run->ports[i]);
    buffer_append_u8(out, 0);
    for (uint32_t i = 0; i < run->port_count; i++)
        ADD_FORMATTED(out, OWN_PREFIX "PORT_%u=%u", i, run->ports[i]);
    return run->port_count + 1;
}

/* The same directory in the container and on the host; by the latter leftovers are found. */
static uint32_t add_sandbox(struct buffer *out,
                            const struct run_start *run,
                            const char *work_dir,
                            bool inside)
{
    if (inside)
        add(out, OWN_PREFIX "SANDBOX=" REQUEST_SANDBOX_INSIDE);
    ADD_FORMATTED(out,
                  OWN_PREFIX "%s=%s/runs/%llu",
                  inside ? "HOST_SANDBOX" : "SANDBOX",
                  work_dir,
                  (unsigned long long)run->attempt);
    return inside ? 2 : 1;
}

static uint32_t
add_own(struct buffer *out, const struct run_start *run, const struct job_spec *spec)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"JOB_ID", run->job},
        {"INSTANCE", run->instance},
        {"INSTANCES", spec->instances},
        {"ATTEMPT", run->number},
        {"RESTART", run->restarts},
        {"TERM", run->term},
        {"AGENT_ID", run->agent},
    };
    const size_t count = sizeof(numbers) / sizeof(numbers[0]);

    for (size_t i = 0; i < count; i++)
        ADD_FORMATTED(out,
                      OWN_PREFIX "%s=%llu",
                      numbers[i].name,
                      (unsigned long long)numbers[i].value);
    ADD_FORMATTED(
        out, OWN_PREFIX "TASK_ID=%llu.%u", (unsigned long long)run->job, run->instance);
    return (uint32_t)count + 1 + (run->port_count > 0 ? add_ports(out, run) : 0);
}

static void set_limits(struct shim_request *r,
                       const struct job_spec *spec,
                       const struct request_host *host)
{
    r->cpu_milli = (uint32_t)spec->resources.amount[RESOURCE_CPUS];
    r->memory_bytes = spec->resources.amount[RESOURCE_MEM];
    r->disk_bytes = spec->resources.amount[RESOURCE_DISK];
    if (r->disk_bytes == 0)
        r->disk_bytes = host->default_disk;
    r->pids = host->task_pids;
    if (spec->cpu_hard)
        r->flags |= SHIM_FLAG_CPU_HARD;
    r->lease_ms = job_lease_ms(spec);
    r->grace_ms = spec->kill_grace_ms;
}

static void set_user(struct shim_request *r, const struct user *user)
{
    if (!user->change)
        return;
    r->flags |= SHIM_FLAG_USER;
    r->uid = user->uid;
    r->gid = user->gid;
    r->groups = user->group_count;
}

/* The head, and the job's command as it is. */
static int add_command(struct buffer *out,
                       struct shim_request *r,
                       const struct run_start *run,
                       const struct job_spec *spec,
                       const struct request_host *host,
                       struct error *err)
{
    const struct user *user;

    if (users_find(host->users, spec->user, &user, err) != 0)
        return -(int)err->code;
    set_user(r, user);
    buffer_append(out, r, sizeof(*r));
    if (r->groups > 0)
        buffer_append(out, user->groups, r->groups * sizeof(*user->groups));
    for (size_t i = 0; i < spec->argc; i++)
        add(out, spec->argv[i]);
    r->argc = (uint32_t)spec->argc;
    r->envc = add_inherited(out, spec, user);
    r->envc += add_of_job(out, spec);
    r->envc += add_own(out, run, spec);
    r->envc += add_sandbox(out, run, host->work_dir, false);
    return 0;
}

/* The head, and triarch-contain; the job's command is in a step before it. */
static int add_container(struct buffer *out,
                         struct shim_request *r,
                         const struct run_start *run,
                         const struct job_spec *spec,
                         const struct request_host *host,
                         struct error *err)
{
    struct buffer env = {0};
    uint32_t count;
    int rv;

    if (host->no_images != NULL)
        return error_set(
            err, ERROR_INVALID, "this agent runs no images: %s", host->no_images);
    for (size_t i = 0; i < spec->check_count; i++)
        if (spec->checks[i].kind == CHECK_COMMAND)
            return error_set(
                err,
                ERROR_INVALID,
                "a command cannot check a task with an image yet: give http "
                "or tcp");
    r->flags |= SHIM_FLAG_CONTAINER;
    buffer_append(out, r, sizeof(*r));
    add(out, host->contain);
    add(out, "run");
    add(out, host->work_dir);
    ADD_FORMATTED(out, "%llu", (unsigned long long)run->attempt);
    r->argc = 4;
    add(out, "PATH=" PATH_DEFAULT);
    r->envc = 1 + add_sandbox(out, run, host->work_dir, false);
    count = add_of_job(&env, spec);
    count += add_own(&env, run, spec);
    count += add_sandbox(&env, run, host->work_dir, true);
    rv = request_add_image(out, r, spec, &env, count, host, err);
    buffer_finish(&env);
    return rv;
}

static int build(struct buffer *out,
                 struct shim_request *r,
                 const struct run_start *run,
                 const struct job_spec *spec,
                 const struct request_host *host,
                 struct error *err)
{
    size_t begin = out->size, strings;
    int rv;

    set_limits(r, spec, host);
    rv = spec->image.source != NULL ? add_container(out, r, run, spec, host, err)
                                    : add_command(out, r, run, spec, host, err);
    if (rv != 0)
        return rv;
    strings = begin + sizeof(*r) + r->groups * sizeof(uint32_t);
    if (r->kind == SHIM_RUN && request_add_steps(out, r, spec, host, err) != 0)
        return -(int)err->code;
    r->size = (uint32_t)(out->size - strings);
    if (out->size - begin > SHIM_REQUEST_MAX)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "command line and environment have %u bytes, at most %lu are "
                         "possible",
                         r->size,
                         SHIM_REQUEST_MAX);
    memcpy(out->data + begin, r, sizeof(*r));
    return 0;
}

int request_build(struct buffer *out,
                  const struct run_start *run,
                  const struct request_host *host,
                  struct error *err)
{
    struct shim_request request = {
        .attempt = run->attempt, .kind = SHIM_RUN, .restarts = run->restarts};
    struct job_spec spec;
    int rv;

    if (job_spec_unpack(&spec, run->spec, err) != 0)
        return error_wrap(err, "the job cannot be read");
    rv = build(out, &request, run, &spec, host, err);
    job_spec_finish(&spec);
    return rv;
}

/* ---- a command inside it ---- */

/* The client's variables replace the job's of the same name. */
static void set_variable(struct job_spec *spec, struct bytes variable)
{
    char *text = text_copy(variable);
    size_t name = strcspn(text, "=") + 1;

    for (size_t i = 0; i < spec->env_count; i++) {
        if (strncmp(spec->env[i], text, name) == 0) {
            mem_free(spec->env[i]);
            spec->env[i] = text;
            return;
        }
    }
    job_spec_add_env(spec, text);
    mem_free(text);
}

static void set_command(struct job_spec *spec, const struct exec_request *exec)
{
    while (spec->argc > 0)
        mem_free(spec->argv[--spec->argc]);
    for (size_t i = 0; i < exec->argc; i++) {
        char *text = text_copy(exec->argv[i]);

        job_spec_add_arg(spec, text);
        mem_free(text);
    }
    for (size_t i = 0; i < exec->envc; i++)
        set_variable(spec, exec->env[i]);
}

int request_build_exec(struct buffer *out,
                       const struct run_start *run,
                       const struct exec_request *exec,
                       const struct request_host *host,
                       struct error *err)
{
    struct shim_request request = {
        .attempt = run->attempt,
        .kind = SHIM_EXEC,
        .flags = ((exec->flags & EXEC_TERMINAL) != 0 ? SHIM_FLAG_TERMINAL : 0) |
                 ((exec->flags & EXEC_INPUT) != 0 ? SHIM_FLAG_INPUT : 0),
        .rows = exec->size.rows,
        .columns = exec->size.columns,
    };
    struct job_spec spec;
    int rc;

    if (job_spec_unpack(&spec, run->spec, err) != 0)
        return error_wrap(err, "the job cannot be read");
    if (spec.image.source != NULL) {
        job_spec_finish(&spec);
        return error_set(err,
                         ERROR_INVALID,
                         "commands in tasks with an image are not possible yet; its "
                         "files are in reach with `triarch files`");
    }
    set_command(&spec, exec);
    rc = build(out, &request, run, &spec, host, err);
    job_spec_finish(&spec);
    return rc;
}

/* ---- a check ---- */

/* A line of HTTP has only printable ASCII; the path may have other letters. */
static void add_path(struct buffer *out, const char *path)
{
    for (; *path != 0; path++) {
        unsigned char byte = (unsigned char)*path;

        if (byte > ' ' && byte < 0x7f)
            buffer_append_u8(out, byte);
        else
            buffer_printf(out, "%%%02X", byte);
    }
}

static void add_http(struct job_spec *spec, const char *path, uint16_t port)
{
    struct buffer text = {0};

    buffer_printf(&text, "GET ");
    add_path(&text, path);
    ADD_FORMATTED(&text,
                  " HTTP/1.0\r\nHost: 127.0.0.1:%u\r\nUser-Agent: triarch\r\n"
                  "Connection: close\r\n\r\n",
                  port);
    job_spec_add_arg(spec, (const char *)text.data);
    buffer_finish(&text);
}

static void
replace_command(struct job_spec *spec, const struct job_check *check, uint16_t port)
{
    while (spec->argc > 0)
        mem_free(spec->argv[--spec->argc]);
    if (check->kind == CHECK_HTTP)
        add_http(spec, check->path, port);
    else if (check->kind == CHECK_TCP)
        job_spec_add_arg(spec, "tcp");
    for (size_t i = 0; check->kind == CHECK_COMMAND && i < check->argc; i++)
        job_spec_add_arg(spec, check->argv[i]);
}

static uint16_t check_port(const struct run_start *run, const struct job_check *check)
{
    if (check->port != 0)
        return check->port;
    return check->port_index < run->port_count ? run->ports[check->port_index] : 0;
}

int request_build_check(struct buffer *out,
                        const struct run_start *run,
                        uint32_t index,
                        const struct request_host *host,
                        struct error *err)
{
    struct shim_request request = {.attempt = run->attempt,
                                   .kind = SHIM_CHECK,
                                   .restarts = run->restarts,
                                   .check = index};
    struct job_spec spec;
    int rc;

    if (job_spec_unpack(&spec, run->spec, err) != 0)
        return error_wrap(err, "the job cannot be read");
    ASSERT(index < spec.check_count);
    request.check_kind = (uint16_t)spec.checks[index].kind;
    request.port = check_port(run, &spec.checks[index]);
    request.timeout_ms = spec.checks[index].timeout_ms > INT32_MAX
                             ? INT32_MAX
                             : (uint32_t)spec.checks[index].timeout_ms;
    replace_command(&spec, &spec.checks[index], request.port);
    if (spec.image.source != NULL && request.check_kind == CHECK_COMMAND) {
        rc = error_set(err,
                       ERROR_INVALID,
                       "a command cannot check a task with an image yet: give http or "
                       "tcp");
    } else {
        mem_free(spec.image.source); /* a port is asked from outside */
        spec.image.source = NULL;
        rc = build(out, &request, run, &spec, host, err);
    }
    job_spec_finish(&spec);
    return rc;
}
