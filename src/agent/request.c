/* request.c - what a task is started with: the processes that shims and the spawner make.
 *
 * Of a task with an image they are triarch-contain, which becomes crun.
 */
#include "agent/request.h"

#include "agent/request_env.h"
#include "agent/request_steps.h"
#include "agent/shim.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/job.h"

#include <stdlib.h>
#include <string.h>

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
    int rv = r->kind == SHIM_RUN
                 ? users_find(host->users, spec->user, &user, err)
                 : users_find_again(host->users, spec->user, &user, err);

    if (rv != 0)
        return rv;
    set_user(r, user);
    buffer_append(out, r, sizeof(*r));
    if (r->groups > 0)
        buffer_append(out, user->groups, r->groups * sizeof(*user->groups));
    for (size_t i = 0; i < spec->argc; i++)
        request_add(out, spec->argv[i]);
    r->argc = (uint32_t)spec->argc;
    r->envc = request_add_inherited(out, spec, user);
    r->envc += request_add_variables(out, spec);
    r->envc += request_add_own(out, run, spec);
    r->envc += request_add_sandbox(out, run, host->work_dir, false);
    return 0;
}

/* The head, and what triarch-contain is to do: it is given the bundle of the run. */
static void begin_contain(struct buffer *out,
                          struct shim_request *r,
                          const char *what,
                          const struct request_host *host)
{
    r->flags |= SHIM_FLAG_CONTAINER;
    buffer_append(out, r, sizeof(*r));
    request_add(out, host->contain);
    request_add(out, what);
    request_add(out, host->work_dir);
    REQUEST_ADD(out, "%llu", (unsigned long long)r->attempt);
    r->argc = 4;
}

static void add_contain_env(struct buffer *out,
                            struct shim_request *r,
                            const struct run_start *run,
                            const struct request_host *host)
{
    request_add(out, "PATH=" PATH_DEFAULT);
    r->envc = 1 + request_add_sandbox(out, run, host->work_dir, false);
}

/* The job's command is in a step before it. */
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
    begin_contain(out, r, "run", host);
    add_contain_env(out, r, run, host);
    count = request_add_variables(&env, spec);
    count += request_add_own(&env, run, spec);
    count += request_add_sandbox(&env, run, host->work_dir, true);
    rv = request_add_image(out, r, spec, &env, count, host, err);
    buffer_finish(&env);
    return rv;
}

/* A command beside that of the container: its process has what the bundle says of the task's,
 * and the variables of spec. */
static void add_inside(struct buffer *out,
                       struct shim_request *r,
                       const struct run_start *run,
                       const struct job_spec *spec,
                       const struct request_host *host)
{
    begin_contain(out, r, "exec", host);
    r->argc += request_add_variables(out, spec);
    request_add(out, "--");
    for (size_t i = 0; i < spec->argc; i++)
        request_add(out, spec->argv[i]);
    r->argc += 1 + (uint32_t)spec->argc;
    add_contain_env(out, r, run, host);
}

static int add_strings(struct buffer *out,
                       struct shim_request *r,
                       const struct run_start *run,
                       const struct job_spec *spec,
                       const struct request_host *host,
                       struct error *err)
{
    if (spec->image.source == NULL)
        return add_command(out, r, run, spec, host, err);
    if (r->kind == SHIM_RUN)
        return add_container(out, r, run, spec, host, err);
    add_inside(out, r, run, spec, host);
    return 0;
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
    rv = add_strings(out, r, run, spec, host, err);
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
        .attempt = run->attempt,
        .name = {run->job, run->instance, run->number},
        .kind = SHIM_RUN,
        .restarts = run->restarts,
    };
    struct job_spec spec;
    int rv;

    if (job_spec_unpack(&spec, run->spec, err) != 0)
        return error_wrap(err, "the job cannot be read");
    rv = build(out, &request, run, &spec, host, err);
    job_spec_finish(&spec);
    return rv;
}

/* ---- a command inside it ---- */

/* A container's bundle has the job's variables already. */
static void leave_to_bundle(struct job_spec *spec)
{
    while (spec->env_count > 0)
        mem_free(spec->env[--spec->env_count]);
}

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
    if (spec.image.source != NULL)
        leave_to_bundle(&spec);
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
    REQUEST_ADD(&text,
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

/* A port is asked by nobody in particular. */
static void ask_from_outside(struct job_spec *spec)
{
    mem_free(spec->image.source);
    spec->image.source = NULL;
    mem_free(spec->user);
    spec->user = NULL;
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
    if (spec.image.source != NULL)
        leave_to_bundle(&spec);
    if (request.check_kind != CHECK_COMMAND)
        ask_from_outside(&spec);
    rc = build(out, &request, run, &spec, host, err);
    job_spec_finish(&spec);
    return rc;
}
