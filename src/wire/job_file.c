/* job_file.c - job files, YAML or JSON, as job specs.
 *
 * Tables say which fields there are: JOB_FIELDS and RESOURCE_FIELDS here, those of the parts in
 * job_read_parts.c.  Rules that do not depend on how a value was written are those of
 * job_spec_check(). */
#include "wire/job_file.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/job_read.h"
#include "wire/json_line.h"
#include "wire/yaml.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- plain fields ---- */

JOB_FIELD(read_name, job_read_text, struct job_spec, name)
JOB_FIELD(read_user, job_read_text, struct job_spec, user)
JOB_FIELD(read_gang, job_read_bool, struct job_spec, gang)
JOB_FIELD(read_estimate, job_read_time, struct job_spec, estimate_ms)
JOB_FIELD(read_kill_grace, job_read_time, struct job_spec, kill_grace_ms)
JOB_FIELD(read_max_runtime, job_read_time, struct job_spec, max_runtime_ms)
JOB_FIELD(read_restart, job_read_retry, struct job_spec, restart)
JOB_FIELD(read_reschedule, job_read_retry, struct job_spec, reschedule)

static int read_instances(struct job_reader *r, const json_t *value, void *part)
{
    json_int_t n;
    int rc = job_read_integer(r, value, 1, LIMIT_TASKS_PER_JOB, &n);

    (void)part;
    if (rc == 0)
        r->spec->instances = (uint32_t)n;
    return rc;
}

static int read_priority(struct job_reader *r, const json_t *value, void *part)
{
    json_int_t n;
    int rc = job_read_integer(r, value, JOB_PRIORITY_MIN, JOB_PRIORITY_MAX, &n);

    (void)part;
    if (rc == 0)
        r->spec->priority = (int32_t)n;
    return rc;
}

static int read_role(struct job_reader *r, const json_t *value, void *part)
{
    char *role = NULL;
    int rc = job_read_text(r, value, &role);

    if (rc == 0)
        job_spec_set_role(part, role);
    mem_free(role);
    return rc;
}

/* ---- command and environment ---- */

static void add_arg(void *part, const char *arg)
{
    job_spec_add_arg(part, arg);
}

static int read_command(struct job_reader *r, const json_t *value, void *part)
{
    (void)part;
    return job_read_command(r, value, add_arg, r->spec);
}

static int read_argv(struct job_reader *r, const json_t *value, void *part)
{
    (void)part;
    return job_read_argv(r, value, add_arg, r->spec);
}

/* Texts, and what reads back as it was typed: whole numbers, true and false. */
static const char *env_text(const json_t *value, char number[JOB_NUMBER_TEXT_MAX])
{
    if (json_is_boolean(value))
        return json_is_true(value) ? "true" : "false";
    if (json_is_integer(value) && job_number_text(value, number))
        return number;
    return json_string_value(value);
}

static int read_variable(struct job_reader *r, const char *name, const json_t *value)
{
    char number[JOB_NUMBER_TEXT_MAX];
    const char *text = env_text(value, number);
    struct buffer entry = {0};

    if (text == NULL)
        return job_wrong_type(r, value, "a text (in quotes)");
    if (strchr(name, '=') != NULL)
        return error_set(r->err,
                         ERROR_INVALID,
                         "%s: a name has no '='; write NAME: value",
                         r->path.text);
    if (job_env_is_reserved(name))
        return error_set(r->err,
                         ERROR_INVALID,
                         "%s: the agent sets what begins with %s; give another name",
                         r->path.text,
                         JOB_ENV_PREFIX);
    buffer_printf(&entry, "%s=%s", name, text);
    job_spec_add_env(r->spec, (const char *)entry.data);
    buffer_finish(&entry);
    return 0;
}

static int read_env(struct job_reader *r, const json_t *value, void *part)
{
    const char *name;
    json_t *item;

    (void)part;
    if (!json_is_object(value))
        return job_wrong_type(r, value, "a map of NAME: value");
    json_object_foreach ((json_t *)value, name, item) {
        size_t before = field_path_enter_key(&r->path, name);
        int rc = read_variable(r, name, item);

        if (rc != 0)
            return rc;
        field_path_leave(&r->path, before);
    }
    return 0;
}

/* ---- resources ---- */

static int
read_amount(struct job_reader *r, enum resource_kind kind, const json_t *value)
{
    static const char *const HINTS[RESOURCE_KINDS] = {"a number of cpus, as 0.5",
                                                      JOB_MIB_HINT,
                                                      JOB_MIB_HINT,
                                                      "a whole number of gpus"};
    char text[JOB_NUMBER_TEXT_MAX];
    struct error why;

    if (job_read_number(r, value, HINTS[kind], text) != 0)
        return -(int)r->err->code;
    if (resource_parse(kind, &r->spec->resources.amount[kind], text, &why) == 0)
        return 0;
    return error_set(r->err, why.code, "resources.%s", why.text);
}

#define AMOUNT(function, kind)                                                 \
    static int function(struct job_reader *r, const json_t *value, void *part) \
    {                                                                          \
        (void)part;                                                            \
        return read_amount(r, kind, value);                                    \
    }
AMOUNT(read_cpus, RESOURCE_CPUS)
AMOUNT(read_mem, RESOURCE_MEM)
AMOUNT(read_disk, RESOURCE_DISK)
AMOUNT(read_gpus, RESOURCE_GPUS)

static int read_cpu_limit(struct job_reader *r, const json_t *value, void *part)
{
    const char *text = json_string_value(value);

    (void)part;
    if (text == NULL)
        return job_wrong_type(r, value, "share or hard");
    if (strcmp(text, "share") != 0 && strcmp(text, "hard") != 0)
        return error_set(r->err,
                         ERROR_INVALID,
                         "%s: '%.40s' is no limit; give share or hard",
                         r->path.text,
                         text);
    r->spec->cpu_hard = strcmp(text, "hard") == 0;
    return 0;
}

static const struct job_field RESOURCE_FIELDS[] = {
    {"cpus", read_cpus},
    {"mem", read_mem},
    {"disk", read_disk},
    {"gpus", read_gpus},
    {"cpu_limit", read_cpu_limit},
    {"ports", job_read_ports},
    {"custom", job_read_custom},
    {NULL, NULL},
};

static int read_resources(struct job_reader *r, const json_t *value, void *part)
{
    return job_read_fields(r,
                           RESOURCE_FIELDS,
                           value,
                           "a map of cpus, mem, disk, gpus, ports and custom",
                           part);
}

/* ---- the job ---- */

static const struct job_field JOB_FIELDS[] = {
    {"name", read_name},
    {"kind", job_read_kind},
    {"after", job_read_after},
    {"schedule", job_read_schedule},
    {"parameters", job_read_parameters},
    {"instances", read_instances},
    {"gang", read_gang},
    {"priority", read_priority},
    {"role", read_role},
    {"estimate", read_estimate},
    {"command", read_command},
    {"argv", read_argv},
    {"env", read_env},
    {"resources", read_resources},
    {"kill_grace", read_kill_grace},
    {"image", job_read_image},
    {"user", read_user},
    {"artifacts", job_read_artifacts},
    {"volumes", job_read_volumes},
    {"max_runtime", read_max_runtime},
    {"restart", read_restart},
    {"reschedule", read_reschedule},
    {"health", job_read_health},
    {"readiness", job_read_readiness},
    {"on_disconnect", job_read_on_disconnect},
    {"exclusive", job_read_exclusive},
    {"constraints", job_read_constraints},
    {"affinities", job_read_affinities},
    {"spread", job_read_spread},
    {"anti_affinity", job_read_anti_affinity},
    {NULL, NULL},
};

/* Go to the place that the text of a rule names: "artifacts[1].sha256: …".  What is not in the
 * document, or is one map where a list may be, is stepped over. */
static void point_at(struct job_reader *r, const json_t *at, const char *place)
{
    char key[FIELD_PATH_MAX];

    while (at != NULL && *place != '\0' && *place != ':') {
        size_t size = strcspn(place, ".[:");

        if (*place == '[' && json_is_array(at)) {
            size_t index = strtoul(place + 1, NULL, 10);

            field_path_enter_element(&r->path, index);
            at = json_array_get(at, index);
        } else if (size > 0) {
            snprintf(key, sizeof(key), "%.*s", (int)size, place);
            at = json_object_get(at, key);
            if (at != NULL)
                field_path_enter_key(&r->path, key);
        }
        place += *place == '[' ? strcspn(place, "]") + 1 : size;
        place += *place == '.';
    }
}

/* Rules that are not about one field's form.  Their texts begin with the field's name. */
static int check(struct job_reader *r, const json_t *value)
{
    struct error why;
    char field[FIELD_PATH_MAX];
    const char *map = "";

    if (job_spec_check(r->spec, &why) == 0 &&
        match_check_regexps(&r->spec->match, &why) == 0)
        return 0;
    snprintf(field, sizeof(field), "%.*s", (int)strcspn(why.text, ":"), why.text);
    if (job_field_is_known(RESOURCE_FIELDS, field))
        map = "resources.";
    error_set(r->err, why.code, "%s%s", map, why.text);
    why = *r->err;
    if (r->path.size > 0)
        error_set(r->err, why.code, "%s.%s", r->path.text, why.text);
    point_at(r, value, why.text);
    return -(int)why.code;
}

/* Also one, which is what the spec of a system job has. */
static int refuse_instances(struct job_reader *r, const json_t *map)
{
    if (r->spec->kind != JOB_SYSTEM || json_object_get(map, "instances") == NULL)
        return 0;
    field_path_enter_key(&r->path, "instances");
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: a system job has one on each agent that keeps its "
                     "constraints: leave it out",
                     r->path.text);
}

static int read_job(struct job_reader *r, const json_t *value)
{
    int rc;

    if (!json_is_object(value))
        return error_set(r->err,
                         ERROR_INVALID,
                         "a job is a map of fields (name, command, …), this is %s",
                         job_type_name(value));
    rc = job_read_one_command(r, value);
    if (rc == 0)
        rc = job_read_fields(r, JOB_FIELDS, value, "a map of fields", r->spec);
    if (rc == 0)
        rc = refuse_instances(r, value);
    if (rc != 0)
        return rc;
    job_spec_complete(r->spec);
    return check(r, value);
}

int job_read_job(struct job_reader *r, const json_t *value)
{
    int rc;

    job_spec_init(r->spec);
    rc = read_job(r, value);
    if (rc != 0)
        job_spec_finish(r->spec);
    return rc;
}

int job_spec_from_json(struct job_spec *spec,
                       const json_t *value,
                       struct field_path *path,
                       struct error *err)
{
    struct error unused;
    struct job_reader r = {.spec = spec, .err = err != NULL ? err : &unused};
    int rc = job_read_job(&r, value);

    if (path != NULL)
        *path = r.path;
    return rc;
}

/* ---- files ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);

    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static bool is_json(const char *name, struct bytes text)
{
    size_t i = 0;

    if (ends_with(name, ".json"))
        return true;
    if (ends_with(name, ".yaml") || ends_with(name, ".yml"))
        return false;
    while (i < text.size && strchr(" \t\r\n", text.data[i]) != NULL)
        i++;
    return i < text.size && text.data[i] == '{';
}

/* jansson passes over a zero byte behind a number. */
static bool has_zero(const char *name, struct bytes text, struct error *err)
{
    const uint8_t *zero = text.size > 0 ? memchr(text.data, 0, text.size) : NULL;
    unsigned line = 1;

    if (zero == NULL)
        return false;
    for (const uint8_t *at = text.data; at < zero; at++)
        line += *at == '\n';
    error_set(
        err, ERROR_INVALID, "%s:%u: there is a zero byte; give UTF-8 text", name, line);
    return true;
}

static json_t *json_load_text(const char *name, struct bytes text, struct error *err)
{
    json_error_t why;
    json_t *value;

    if (has_zero(name, text, err))
        return NULL;
    value =
        json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &why);
    if (value == NULL)
        error_set(err, ERROR_INVALID, "%s:%d: %s", name, why.line, why.text);
    return value;
}

json_t *job_file_load(const char *name, struct bytes text, struct error *err)
{
    if (text.size > LIMIT_JOB_FILE_BYTES) {
        error_set(err,
                  ERROR_TOO_LARGE,
                  "%s: %zu bytes; the most for a job file is %lu",
                  name,
                  text.size,
                  LIMIT_JOB_FILE_BYTES);
        return NULL;
    }
    return is_json(name, text) ? json_load_text(name, text, err)
                               : yaml_load(name, text, err);
}

int job_file_locate(const char *name,
                    struct bytes text,
                    const struct field_path *path,
                    struct error *err)
{
    unsigned line = 0;

    if (path->size > 0)
        line = (is_json(name, text) ? json_line : yaml_line)(text, path->text);
    if (line > 0)
        return error_wrap(err, "%s:%u", name, line);
    return error_wrap(err, "%s", name);
}

int job_file_parse(struct job_spec *spec,
                   const char *name,
                   struct bytes text,
                   struct error *err)
{
    struct field_path path;
    struct error unused;
    json_t *value;
    int rc;

    if (err == NULL)
        err = &unused;
    *spec = (struct job_spec){0};
    value = job_file_load(name, text, err);
    if (value == NULL)
        return -(int)err->code;
    rc = job_spec_from_json(spec, value, &path, err);
    json_decref(value);
    return rc == 0 ? 0 : job_file_locate(name, text, &path, err);
}
