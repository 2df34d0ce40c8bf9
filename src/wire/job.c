/* job.c - job specs: their rules and their canonical bytes.
 *
 *     [name, instances, priority, [amount…], kill_grace_ms, [arg…], ["NAME=value"…]]
 *
 * Arguments and variables are bytes, not text: Linux allows any byte but zero.
 * Variables are kept in order of their names, so that equal jobs have equal bytes
 * however they were typed. */
#include "wire/job.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/pack.h"

#include <stdbool.h>
#include <string.h>

/* With every text at its limit and a five-byte head on each, a spec fits. */
_Static_assert(LIMIT_ARGV_ENV_BYTES + 5 * 2 * LIMIT_ARGS + LIMIT_NAME_BYTES + 128 <=
                   LIMIT_SPEC_BYTES,
               "a job spec that keeps the rules fits its limit");

void job_spec_init(struct job_spec *spec)
{
    *spec = (struct job_spec){
        .instances = 1,
        .kill_grace_ms = JOB_KILL_GRACE_MS,
        .resources.amount =
            {
                [RESOURCE_CPUS] = JOB_CPUS_DEFAULT_MILLI,
                [RESOURCE_MEM] = JOB_MEM_DEFAULT_BYTES,
                [RESOURCE_DISK] = JOB_DISK_DEFAULT_BYTES,
            },
    };
}

static void free_strings(char **strings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(strings[i]);
    mem_free(strings);
}

void job_spec_finish(struct job_spec *spec)
{
    mem_free(spec->name);
    free_strings(spec->argv, spec->argc);
    free_strings(spec->env, spec->env_count);
    *spec = (struct job_spec){0};
}

/* Append an owned string and the NULL behind it.  Room doubles: the list is full
 * whenever its strings and the NULL are a power of two. */
static void append_string(char ***strings, size_t *count, char *owned)
{
    size_t used = *count + 1;

    if (*strings == NULL)
        *strings = mem_alloc(2 * sizeof(char *));
    else if ((used & (used - 1)) == 0)
        *strings = mem_realloc(*strings, 2 * used * sizeof(char *));
    (*strings)[(*count)++] = owned;
    (*strings)[*count] = NULL;
}

void job_spec_add_arg(struct job_spec *spec, const char *arg)
{
    append_string(&spec->argv, &spec->argc, mem_strdup(arg));
}

/* Order of the names before '='. */
static int compare_env_names(const char *a, const char *b)
{
    size_t size_a = strcspn(a, "="), size_b = strcspn(b, "=");
    int order = memcmp(a, b, size_a < size_b ? size_a : size_b);

    if (order != 0 || size_a == size_b)
        return order;
    return size_a < size_b ? -1 : 1;
}

void job_spec_add_env(struct job_spec *spec, const char *name_value)
{
    char *owned = mem_strdup(name_value);
    size_t i;

    append_string(&spec->env, &spec->env_count, owned);
    for (i = spec->env_count - 1; i > 0; i--) {
        if (compare_env_names(spec->env[i - 1], owned) <= 0)
            break;
        spec->env[i] = spec->env[i - 1];
    }
    spec->env[i] = owned;
}

/* ---- rules ---- */

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
    if (spec->env_count > LIMIT_ARGS)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "env: %zu variables; the most is %d",
                         spec->env_count,
                         LIMIT_ARGS);
    for (size_t i = 0; i < spec->env_count; i++) {
        const char *entry = spec->env[i];
        int order = i == 0 ? -1 : compare_env_names(spec->env[i - 1], entry);
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

/* What the kernel will have to copy for exec. */
static int check_exec_bytes(const struct job_spec *spec, struct error *err)
{
    size_t size = 0;

    for (size_t i = 0; i < spec->argc; i++)
        size += strlen(spec->argv[i]) + 1;
    for (size_t i = 0; i < spec->env_count; i++)
        size += strlen(spec->env[i]) + 1;
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

int job_spec_check(const struct job_spec *spec, struct error *err)
{
    static int (*const CHECKS[])(const struct job_spec *, struct error *) = {
        check_name,
        check_numbers,
        check_resources,
        check_argv,
        check_env,
        check_exec_bytes,
    };

    for (size_t i = 0; i < sizeof(CHECKS) / sizeof(CHECKS[0]); i++) {
        int rc = CHECKS[i](spec, err);

        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- bytes ---- */

static void pack_strings(char *const *strings, size_t count, struct buffer *out)
{
    pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        pack_bytes(out, text_view(strings[i]));
}

void job_spec_pack(const struct job_spec *spec, struct buffer *out)
{
    pack_array(out, 7);
    pack_text(out, spec->name);
    pack_uint(out, spec->instances);
    pack_int(out, spec->priority);
    resources_pack(&spec->resources, out);
    pack_uint(out, spec->kill_grace_ms);
    pack_strings(spec->argv, spec->argc, out);
    pack_strings(spec->env, spec->env_count, out);
}

static void unpack_strings(struct unpack *u, char ***strings, size_t *count)
{
    uint32_t n = unpack_enter(u);

    if (n > LIMIT_ARGS)
        unpack_fail(u, "more arguments or variables than the limit");
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        struct bytes value = unpack_bytes(u, LIMIT_ARGV_ENV_BYTES);

        if (value.size > 0 && memchr(value.data, '\0', value.size) != NULL)
            unpack_fail(u, "an argument or a variable has a zero byte inside");
        append_string(strings, count, text_copy(value));
    }
    unpack_leave(u);
}

int job_spec_unpack(struct job_spec *spec, struct bytes bytes, struct error *err)
{
    struct unpack u;
    int rc;

    *spec = (struct job_spec){0};
    if (bytes.size > LIMIT_SPEC_BYTES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "job spec: %zu bytes; the most is %lu",
                         bytes.size,
                         LIMIT_SPEC_BYTES);
    unpack_init(&u, bytes);
    unpack_enter(&u);
    spec->name = text_copy(unpack_text(&u, LIMIT_NAME_BYTES));
    spec->instances = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    spec->priority = (int32_t)unpack_int_range(&u, INT32_MIN, INT32_MAX);
    resources_unpack(&spec->resources, &u);
    spec->kill_grace_ms = unpack_uint(&u);
    unpack_strings(&u, &spec->argv, &spec->argc);
    unpack_strings(&u, &spec->env, &spec->env_count);
    unpack_leave(&u);
    rc = unpack_finish(&u, "job spec", err);
    if (rc == 0)
        rc = job_spec_check(spec, err);
    if (rc != 0)
        job_spec_finish(spec);
    return rc;
}

struct bytes job_spec_name(struct bytes bytes)
{
    struct unpack u;

    unpack_init(&u, bytes);
    unpack_enter(&u);
    return unpack_text(&u, LIMIT_NAME_BYTES);
}
