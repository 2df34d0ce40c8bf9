/* job_file.c - job files, YAML or JSON, as job specs.
 *
 * Two tables, JOB_FIELDS and RESOURCE_FIELDS, say which fields there are; a field is a name
 * and a function that reads it.  Rules that do not depend on how a value was written are
 * those of job_spec_check(). */
#include "wire/job_file.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "wire/yaml.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct reader {
    struct job_spec *spec;
    struct field_path path; /* of the value being read, or of the one that was wrong */
    struct error *err;
};

/* Each read_ function returns 0 or the error that it filled. */
struct field {
    const char *name;
    int (*read)(struct reader *r, const json_t *value);
};

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "a map";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "empty";
}

static int wrong_type(struct reader *r, const json_t *value, const char *hint)
{
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: it is %s; give %s",
                     r->path.text,
                     type_name(value),
                     hint);
}

/* ---- maps ---- */

static int unknown_field(struct reader *r, const struct field *fields, const char *key)
{
    struct text_nearest meant = {.word = key};

    for (; fields->name != NULL; fields++)
        text_nearest_offer(&meant, fields->name);
    if (meant.best == NULL)
        return error_set(r->err, ERROR_INVALID, "%s: unknown field", r->path.text);
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: unknown field; did you mean %s?",
                     r->path.text,
                     meant.best);
}

static int read_field(struct reader *r,
                      const struct field *fields,
                      const char *key,
                      const json_t *value)
{
    for (const struct field *f = fields; f->name != NULL; f++)
        if (strcmp(f->name, key) == 0)
            return f->read(r, value);
    return unknown_field(r, fields, key);
}

/* Every member of a map by its function.  After an error the path stays where it is. */
static int read_fields(struct reader *r, const struct field *fields, const json_t *map)
{
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)map, key, value) {
        size_t before = field_path_enter_key(&r->path, key);
        int rc = read_field(r, fields, key, value);

        if (rc != 0)
            return rc;
        field_path_leave(&r->path, before);
    }
    return 0;
}

/* ---- scalars ---- */

#define NUMBER_TEXT_MAX 32

/* A number as people write it: exact for up to 15 digits. */
static bool number_text(const json_t *value, char text[NUMBER_TEXT_MAX])
{
    if (json_is_integer(value))
        snprintf(text, NUMBER_TEXT_MAX, "%lld", json_integer_value(value));
    else if (json_is_real(value))
        snprintf(text, NUMBER_TEXT_MAX, "%.15g", json_real_value(value));
    else
        return false;
    return true;
}

static int read_integer(struct reader *r,
                        const json_t *value,
                        json_int_t min,
                        json_int_t max,
                        json_int_t *out)
{
    char text[NUMBER_TEXT_MAX];

    if (!number_text(value, text))
        return wrong_type(r, value, "a whole number");
    *out = json_integer_value(value);
    if (!json_is_integer(value) || *out < min || *out > max)
        return error_set(r->err,
                         ERROR_INVALID,
                         "%s: %s; give a whole number from %lld to %lld",
                         r->path.text,
                         text,
                         min,
                         max);
    return 0;
}

static int read_name(struct reader *r, const json_t *value)
{
    if (!json_is_string(value))
        return wrong_type(r, value, "a text (in quotes if it looks like a number)");
    r->spec->name = mem_strdup(json_string_value(value));
    return 0;
}

static int read_instances(struct reader *r, const json_t *value)
{
    json_int_t n;
    int rc = read_integer(r, value, 1, LIMIT_TASKS_PER_JOB, &n);

    if (rc == 0)
        r->spec->instances = (uint32_t)n;
    return rc;
}

static int read_priority(struct reader *r, const json_t *value)
{
    json_int_t n;
    int rc = read_integer(r, value, JOB_PRIORITY_MIN, JOB_PRIORITY_MAX, &n);

    if (rc == 0)
        r->spec->priority = (int32_t)n;
    return rc;
}

/* "5s" or a number of seconds. */
static bool parse_grace(const json_t *value, uint64_t *ms)
{
    char number[NUMBER_TEXT_MAX];
    const char *at = number;

    if (number_text(value, number)) /* thousandths of a second are milliseconds */
        return text_take_thousandths(&at, ms) && *at == '\0';
    return text_parse_duration_ms(ms, json_string_value(value), NULL) == 0;
}

static int read_kill_grace(struct reader *r, const json_t *value)
{
    static const char HINT[] = "a time like 500ms, 5s or 2m, or a number of seconds";

    if (!json_is_number(value) && !json_is_string(value))
        return wrong_type(r, value, HINT);
    if (!parse_grace(value, &r->spec->kill_grace_ms))
        return error_set(
            r->err, ERROR_INVALID, "%s: not a time; give %s", r->path.text, HINT);
    return 0;
}

/* ---- command and environment ---- */

static int read_command(struct reader *r, const json_t *value)
{
    if (!json_is_string(value))
        return wrong_type(r, value, "a text for /bin/sh, or a list as argv");
    if (json_string_length(value) == 0)
        return error_set(r->err,
                         ERROR_INVALID,
                         "%s: it is empty; say what the tasks run",
                         r->path.text);
    job_spec_add_arg(r->spec, "/bin/sh");
    job_spec_add_arg(r->spec, "-c");
    job_spec_add_arg(r->spec, json_string_value(value));
    return 0;
}

static int read_argv(struct reader *r, const json_t *value)
{
    json_t *arg;
    size_t i;

    if (!json_is_array(value))
        return wrong_type(r, value, "a list of texts, or a text as command");
    json_array_foreach (value, i, arg) {
        size_t before = field_path_enter_element(&r->path, i);

        if (!json_is_string(arg))
            return wrong_type(r, arg, "a text (numbers in quotes)");
        job_spec_add_arg(r->spec, json_string_value(arg));
        field_path_leave(&r->path, before);
    }
    return 0;
}

/* Texts, and what reads back as it was typed: whole numbers, true and false. */
static const char *env_text(const json_t *value, char number[NUMBER_TEXT_MAX])
{
    if (json_is_boolean(value))
        return json_is_true(value) ? "true" : "false";
    if (json_is_integer(value) && number_text(value, number))
        return number;
    return json_string_value(value);
}

static int read_env(struct reader *r, const json_t *value)
{
    const char *name;
    json_t *item;

    if (!json_is_object(value))
        return wrong_type(r, value, "a map of NAME: value");
    json_object_foreach ((json_t *)value, name, item) {
        size_t before = field_path_enter_key(&r->path, name);
        char number[NUMBER_TEXT_MAX];
        const char *text = env_text(item, number);
        struct buffer entry = {0};

        if (text == NULL)
            return wrong_type(r, item, "a text (in quotes)");
        if (strchr(name, '=') != NULL)
            return error_set(
                r->err, ERROR_INVALID, "%s: a name has no '='", r->path.text);
        buffer_printf(&entry, "%s=%s", name, text);
        job_spec_add_env(r->spec, (const char *)entry.data);
        buffer_finish(&entry);
        field_path_leave(&r->path, before);
    }
    return 0;
}

/* ---- resources ---- */

static int read_amount(struct reader *r, enum resource_kind kind, const json_t *value)
{
    char text[NUMBER_TEXT_MAX];

    if (!number_text(value, text))
        return wrong_type(r, value, "a number, without quotes or a unit");
    return resource_parse(kind, &r->spec->resources.amount[kind], text, r->err);
}

static int read_cpus(struct reader *r, const json_t *value)
{
    return read_amount(r, RESOURCE_CPUS, value);
}

static int read_mem(struct reader *r, const json_t *value)
{
    return read_amount(r, RESOURCE_MEM, value);
}

static int read_disk(struct reader *r, const json_t *value)
{
    return read_amount(r, RESOURCE_DISK, value);
}

static int read_gpus(struct reader *r, const json_t *value)
{
    return read_amount(r, RESOURCE_GPUS, value);
}

static const struct field RESOURCE_FIELDS[] = {
    {"cpus", read_cpus},
    {"mem", read_mem},
    {"disk", read_disk},
    {"gpus", read_gpus},
    {NULL, NULL},
};

static int read_resources(struct reader *r, const json_t *value)
{
    if (!json_is_object(value))
        return wrong_type(r, value, "a map of cpus, mem, disk and gpus");
    return read_fields(r, RESOURCE_FIELDS, value);
}

/* ---- the job ---- */

static const struct field JOB_FIELDS[] = {
    {"name", read_name},
    {"instances", read_instances},
    {"priority", read_priority},
    {"command", read_command},
    {"argv", read_argv},
    {"env", read_env},
    {"resources", read_resources},
    {"kill_grace", read_kill_grace},
    {NULL, NULL},
};

static bool is_field(const struct field *fields, const char *name)
{
    while (fields->name != NULL && strcmp(fields->name, name) != 0)
        fields++;
    return fields->name != NULL;
}

/* Rules that are not about one field's form.  Their texts begin with the field's name. */
static int check(struct reader *r)
{
    struct error why;
    char field[FIELD_PATH_MAX];

    if (job_spec_check(r->spec, &why) == 0)
        return 0;
    snprintf(field, sizeof(field), "%.*s", (int)strcspn(why.text, ":"), why.text);
    if (is_field(RESOURCE_FIELDS, field))
        field_path_enter_key(&r->path, "resources");
    field_path_enter_key(&r->path, field);
    return error_set(r->err, why.code, "%s", why.text);
}

static int read_job(struct reader *r, const json_t *value)
{
    int rc;

    if (!json_is_object(value))
        return error_set(r->err,
                         ERROR_INVALID,
                         "a job is a map of fields (name, command, …), this is %s",
                         type_name(value));
    if (json_object_get(value, "command") != NULL &&
        json_object_get(value, "argv") != NULL) {
        field_path_enter_key(&r->path, "argv");
        return error_set(r->err, ERROR_INVALID, "argv: give command or argv, not both");
    }
    rc = read_fields(r, JOB_FIELDS, value);
    return rc == 0 ? check(r) : rc;
}

int job_spec_from_json(struct job_spec *spec,
                       const json_t *value,
                       struct field_path *path,
                       struct error *err)
{
    struct reader r = {.spec = spec, .err = err};
    int rc;

    job_spec_init(spec);
    rc = read_job(&r, value);
    if (rc != 0)
        job_spec_finish(spec);
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

static json_t *json_load_text(const char *name, struct bytes text, struct error *err)
{
    json_error_t why;
    json_t *value =
        json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &why);

    if (value == NULL)
        error_set(err, ERROR_INVALID, "%s:%d: %s", name, why.line, why.text);
    return value;
}

/* Put the name of the file, and the line if there is one, before the error. */
static int locate(const char *name,
                  struct bytes text,
                  const struct field_path *path,
                  struct error *err)
{
    unsigned line = path->size > 0 ? yaml_line(text, path->text) : 0;

    if (line > 0)
        return error_wrap(err, "%s:%u", name, line);
    return error_wrap(err, "%s", name);
}

int job_file_parse(struct job_spec *spec,
                   const char *name,
                   struct bytes text,
                   struct error *err)
{
    bool json = is_json(name, text);
    struct field_path path;
    json_t *value;
    int rc;

    *spec = (struct job_spec){0};
    if (text.size > LIMIT_JOB_FILE_BYTES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "%s: %zu bytes; the most for a job file is %lu",
                         name,
                         text.size,
                         LIMIT_JOB_FILE_BYTES);
    value = json ? json_load_text(name, text, err) : yaml_load(name, text, err);
    if (value == NULL)
        return -(int)ERROR_INVALID;
    rc = job_spec_from_json(spec, value, &path, err);
    json_decref(value);
    return rc == 0 ? 0 : locate(name, text, &path, err);
}
