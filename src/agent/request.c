/* request.c - what a task is started with.
 *
 * Its environment is, in this order, what the agent passes on of its own (so that
 * commands are found and texts are read as on this host), the job's, and Triarch's.  A
 * later one replaces an earlier one of the same name.
 */
#include "agent/request.h"

#include "agent/shim.h"
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

static bool job_sets(const struct job_spec *spec, const char *name)
{
    size_t size = strlen(name);

    for (size_t i = 0; i < spec->env_count; i++) {
        if (strncmp(spec->env[i], name, size) == 0 && spec->env[i][size] == '=')
            return true;
    }
    return false;
}

static uint32_t add_inherited(struct buffer *out, const struct job_spec *spec)
{
    uint32_t count = 0;

    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
        const char *value = getenv(passed_on[i]);

        if (value == NULL && i == 0)
            value = PATH_DEFAULT;
        if (value == NULL || job_sets(spec, passed_on[i]))
            continue;
        buffer_printf(out, "%s=%s", passed_on[i], value);
        buffer_append_u8(out, 0);
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

static uint32_t add_own(struct buffer *out,
                        const struct run_start *run,
                        const struct job_spec *spec,
                        const char *work_dir)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"JOB_ID", run->job},
        {"INSTANCE", run->instance},
        {"INSTANCES", spec->instances},
        {"ATTEMPT", run->number},
        {"TERM", run->term},
        {"AGENT_ID", run->agent},
    };
    const size_t count = sizeof(numbers) / sizeof(numbers[0]);

    for (size_t i = 0; i < count; i++) {
        buffer_printf(out,
                      OWN_PREFIX "%s=%llu",
                      numbers[i].name,
                      (unsigned long long)numbers[i].value);
        buffer_append_u8(out, 0);
    }
    buffer_printf(
        out, OWN_PREFIX "TASK_ID=%llu.%u", (unsigned long long)run->job, run->instance);
    buffer_append_u8(out, 0);
    buffer_printf(out,
                  OWN_PREFIX "SANDBOX=%s/runs/%llu",
                  work_dir,
                  (unsigned long long)run->attempt);
    buffer_append_u8(out, 0);
    return (uint32_t)count + 2;
}

int request_build(struct buffer *out,
                  const struct run_start *run,
                  const char *work_dir,
                  struct error *err)
{
    struct shim_request request = {.attempt = run->attempt};
    size_t begin = out->size, strings = begin + sizeof(request);
    struct job_spec spec;

    if (job_spec_unpack(&spec, run->spec, err) != 0)
        return error_wrap(err, "the job cannot be read");
    buffer_append(out, &request, sizeof(request));
    for (size_t i = 0; i < spec.argc; i++)
        add(out, spec.argv[i]);
    request.argc = (uint32_t)spec.argc;
    request.envc = add_inherited(out, &spec);
    request.envc += add_of_job(out, &spec);
    request.envc += add_own(out, run, &spec, work_dir);
    job_spec_finish(&spec);
    if (out->size - strings > SHIM_REQUEST_MAX)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "command line and environment have %zu bytes, at most %lu are "
                         "possible",
                         out->size - strings,
                         SHIM_REQUEST_MAX);
    request.size = (uint32_t)(out->size - strings);
    memcpy(out->data + begin, &request, sizeof(request));
    return 0;
}
