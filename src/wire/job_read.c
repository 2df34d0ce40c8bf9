/* job_read.c - the values of a job file: maps, lists and scalars. */
#include "wire/job_read.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* ---- maps and lists ---- */

static int read_field(struct job_reader *r,
                      const struct job_field *fields,
                      const char *key,
                      const json_t *value,
                      void *part)
{
    for (const struct job_field *f = fields; f->name != NULL; f++)
        if (strcmp(f->name, key) == 0)
            return f->read(r, value, part);
    return job_unknown_field(r, fields, key);
}

int job_read_fields(struct job_reader *r,
                    const struct job_field *fields,
                    const json_t *map,
                    const char *hint,
                    void *part)
{
    const char *key;
    json_t *value;

    if (!json_is_object(map))
        return job_wrong_type(r, map, hint);
    json_object_foreach ((json_t *)map, key, value) {
        size_t before = field_path_enter_key(&r->path, key);
        int rc = read_field(r, fields, key, value, part);

        if (rc != 0)
            return rc;
        field_path_leave(&r->path, before);
    }
    return 0;
}

int job_read_list(struct job_reader *r,
                  const json_t *list,
                  const char *hint,
                  job_read_fn *read,
                  void *part)
{
    json_t *value;
    size_t i;

    if (!json_is_array(list))
        return job_wrong_type(r, list, hint);
    json_array_foreach (list, i, value) {
        size_t before = field_path_enter_element(&r->path, i);
        int rc = read(r, value, part);

        if (rc != 0)
            return rc;
        field_path_leave(&r->path, before);
    }
    return 0;
}

bool job_field_is_known(const struct job_field *fields, const char *name)
{
    while (fields->name != NULL && strcmp(fields->name, name) != 0)
        fields++;
    return fields->name != NULL;
}

/* ---- scalars ---- */

bool job_number_text(const json_t *value, char text[JOB_NUMBER_TEXT_MAX])
{
    if (json_is_integer(value))
        snprintf(text, JOB_NUMBER_TEXT_MAX, "%lld", json_integer_value(value));
    else if (json_is_real(value))
        snprintf(text, JOB_NUMBER_TEXT_MAX, "%.15g", json_real_value(value));
    else
        return false;
    return true;
}

int job_read_number(struct job_reader *r,
                    const json_t *value,
                    const char *hint,
                    char text[JOB_NUMBER_TEXT_MAX])
{
    if (!job_number_text(value, text))
        return job_wrong_number(r, value, hint);
    if (strchr(text, 'e') == NULL)
        return 0;
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: %s %s; give %s",
                     r->path.text,
                     text,
                     strstr(text, "e-") != NULL ? "has too many decimals"
                                                : "is far too large",
                     hint);
}

int job_read_integer(struct job_reader *r,
                     const json_t *value,
                     json_int_t min,
                     json_int_t max,
                     json_int_t *out)
{
    char text[JOB_NUMBER_TEXT_MAX], hint[80];
    bool looks_whole;

    snprintf(hint, sizeof(hint), "a whole number from %lld to %lld", min, max);
    if (job_read_number(r, value, hint, text) != 0)
        return -(int)r->err->code;
    *out = json_integer_value(value);
    if (json_is_integer(value) && *out >= min && *out <= max)
        return 0;
    looks_whole = json_is_real(value) && strchr(text, '.') == NULL;
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: %s%s; give %s",
                     r->path.text,
                     text,
                     looks_whole ? " has a point or an exponent" : "",
                     hint);
}

int job_read_bool(struct job_reader *r, const json_t *value, bool *out)
{
    if (!json_is_boolean(value))
        return job_wrong_type(r, value, "true or false");
    *out = json_is_true(value);
    return 0;
}

int job_read_text(struct job_reader *r, const json_t *value, char **out)
{
    if (!json_is_string(value))
        return job_wrong_text(r, value, "a text (in quotes if it looks like a number)");
    mem_free(*out);
    *out = mem_strdup(json_string_value(value));
    return 0;
}

int job_read_time(struct job_reader *r, const json_t *value, uint64_t *ms)
{
    static const char HINT[] =
        "one number and its unit, as 500ms, 90s, 5m, 1h or 7d, or "
        "a number of seconds";
    char number[JOB_NUMBER_TEXT_MAX];
    const char *text = json_string_value(value), *at = number;

    if (text != NULL && text_parse_duration_ms(ms, text, NULL) == 0)
        return 0;
    if (text == NULL && !job_number_text(value, number))
        return job_wrong_type(r, value, HINT);
    /* Thousandths of a second are milliseconds. */
    if (text == NULL && text_take_thousandths(&at, ms) && *at == '\0')
        return 0;
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: '%.40s' is not a time; give %s",
                     r->path.text,
                     text != NULL ? text : number,
                     HINT);
}

int job_read_mib(struct job_reader *r, const json_t *value, uint64_t *bytes)
{
    char text[JOB_NUMBER_TEXT_MAX];

    if (job_read_number(r, value, JOB_MIB_HINT, text) != 0)
        return -(int)r->err->code;
    if (resource_parse_mib(bytes, text, r->err) != 0)
        return error_wrap(r->err, "%s", r->path.text);
    return 0;
}

int job_read_range(struct job_reader *r, const json_t *value, struct port_range *range)
{
    static const char HINT[] =
        "a port from 1 to 65535, or a range like \"31000-31009\"";
    char number[JOB_NUMBER_TEXT_MAX];
    const char *text = json_string_value(value);
    const char *at;

    if (text == NULL && job_number_text(value, number))
        text = number;
    if (text == NULL)
        return job_wrong_type(r, value, HINT);
    at = text;
    if (!port_range_take(&at, range) || *at != '\0' || range->first == 0 ||
        range->first > range->last)
        return error_set(
            r->err, ERROR_INVALID, "%s: no port; give %s", r->path.text, HINT);
    return 0;
}

/* ---- commands ---- */

int job_read_command(struct job_reader *r,
                     const json_t *value,
                     job_add_arg_fn *add,
                     void *part)
{
    if (!json_is_string(value))
        return job_wrong_text(r, value, "a text for /bin/sh, or a list as argv");
    if (json_string_length(value) == 0)
        return error_set(r->err,
                         ERROR_INVALID,
                         "%s: it is empty; say what the tasks run",
                         r->path.text);
    add(part, "/bin/sh");
    add(part, "-c");
    add(part, json_string_value(value));
    return 0;
}

struct args {
    job_add_arg_fn *add;
    void *part;
};

static int read_arg(struct job_reader *r, const json_t *value, void *part)
{
    const struct args *args = part;

    if (!json_is_string(value))
        return job_wrong_text(r, value, "a text (numbers in quotes)");
    args->add(args->part, json_string_value(value));
    return 0;
}

int job_read_argv(struct job_reader *r,
                  const json_t *value,
                  job_add_arg_fn *add,
                  void *part)
{
    struct args args = {add, part};

    return job_read_list(
        r, value, "a list of texts, or a text as command", read_arg, &args);
}

int job_read_one_command(struct job_reader *r, const json_t *map)
{
    if (json_object_get(map, "command") == NULL || json_object_get(map, "argv") == NULL)
        return 0;
    field_path_enter_key(&r->path, "argv");
    return error_set(
        r->err, ERROR_INVALID, "%s: give command or argv, not both", r->path.text);
}
