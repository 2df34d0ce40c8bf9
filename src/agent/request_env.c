/* request_env.c - the environment of a task.
 *
 * It is, in this order, what the agent passes on of its own (so that commands are found and texts
 * are read as on this host), the job's, and Triarch's.  A later one replaces an earlier one of the
 * same name.
 */
#include "agent/request_env.h"

#include "agent/request_steps.h"

#include <stdlib.h>
#include <string.h>

static const char *const passed_on[] = {
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ"};

void request_add(struct buffer *out, const char *text)
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

uint32_t request_add_inherited(struct buffer *out,
                               const struct job_spec *spec,
                               const struct user *user)
{
    uint32_t count = 0;

    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
        const char *value = inherited(passed_on[i], user);

        if (value == NULL || job_sets(spec, passed_on[i]))
            continue;
        REQUEST_ADD(out, "%s=%s", passed_on[i], value);
        count++;
    }
    return count;
}

uint32_t request_add_variables(struct buffer *out, const struct job_spec *spec)
{
    uint32_t count = 0;

    for (size_t i = 0; i < spec->env_count; i++) {
        if (job_env_is_reserved(spec->env[i]))
            continue;
        request_add(out, spec->env[i]);
        count++;
    }
    return count;
}

/* TRIARCH_PORTS="31000,31001", and each by its place. */
static uint32_t add_ports(struct buffer *out, const struct run_start *run)
{
    buffer_printf(out, JOB_ENV_PREFIX "PORTS=");
    for (uint32_t i = 0; i < run->port_count; i++)
        buffer_printf(out, "%s%u", i == 0 ? "" : ",", run->ports[i]);
    buffer_append_u8(out, 0);
    for (uint32_t i = 0; i < run->port_count; i++)
        REQUEST_ADD(out, JOB_ENV_PREFIX "PORT_%u=%u", i, run->ports[i]);
    return run->port_count + 1;
}

/* The same directory in the container and on the host; by the latter leftovers are found. */
uint32_t request_add_sandbox(struct buffer *out,
                             const struct run_start *run,
                             const char *work_dir,
                             bool inside)
{
    if (inside)
        request_add(out, JOB_ENV_PREFIX "SANDBOX=" REQUEST_SANDBOX_INSIDE);
    REQUEST_ADD(out,
                JOB_ENV_PREFIX "%s=%s/runs/%llu",
                inside ? "HOST_SANDBOX" : "SANDBOX",
                work_dir,
                (unsigned long long)run->attempt);
    return inside ? 2 : 1;
}

uint32_t request_add_own(struct buffer *out,
                         const struct run_start *run,
                         const struct job_spec *spec)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"JOB_ID", run->job},
        {"INSTANCE", run->instance},
        {"INSTANCES", spec->instances},
        {"ATTEMPT", run->number},
        {"FENCE", run->attempt}, /* grows with each attempt of the cluster */
        {"RESTART", run->restarts},
        {"TERM", run->term},
        {"AGENT_ID", run->agent},
    };
    const size_t count = sizeof(numbers) / sizeof(numbers[0]);

    for (size_t i = 0; i < count; i++)
        REQUEST_ADD(out,
                    JOB_ENV_PREFIX "%s=%llu",
                    numbers[i].name,
                    (unsigned long long)numbers[i].value);
    REQUEST_ADD(out,
                JOB_ENV_PREFIX "TASK_ID=%llu.%u",
                (unsigned long long)run->job,
                run->instance);
    return (uint32_t)count + 1 + (run->port_count > 0 ? add_ports(out, run) : 0);
}
