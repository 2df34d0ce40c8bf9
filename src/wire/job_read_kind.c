/* job_read_kind.c - what kind of job it is, what it waits for, and when it is due (spec 14). */
#include "wire/job_read.h"

#include "base/mem.h"
#include "base/text.h"

#include <string.h>

/* Words of a list, with what to say of another one. */
static int wrong_word(struct job_reader *r, const char *word, const char *hint)
{
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: '%.40s' is none of them; give %s",
                     r->path.text,
                     word,
                     hint);
}

int job_read_kind(struct job_reader *r, const json_t *value, void *part)
{
    static const char HINT[] = "batch, service or system";
    const char *word = json_string_value(value);

    (void)part;
    if (word == NULL)
        return job_wrong_type(r, value, HINT);
    return job_kind_of(&r->spec->kind, word) ? 0 : wrong_word(r, word, HINT);
}

/* ---- after ---- */

static int find_name(struct job_reader *r, const char *name, int64_t *job)
{
    if (r->names == NULL)
        return error_set(r->err,
                         ERROR_INVALID,
                         "%s: '%.40s' is no id of a job; give the number that `triarch "
                         "run` printed, or put both under `jobs:` in one file",
                         r->path.text,
                         name);
    for (size_t i = 0; i < r->names->count; i++) {
        if (r->names->of[i] == NULL || strcmp(r->names->of[i], name) != 0)
            continue;
        *job = -1 - (int64_t)i;
        return 0;
    }
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: no job of this file is named '%.40s'",
                     r->path.text,
                     name);
}

static int read_which(struct job_reader *r, const json_t *value, void *part)
{
    struct job_after *after = part;
    json_int_t id;
    int rc;

    if (json_is_string(value))
        return find_name(r, json_string_value(value), &after->job);
    rc = job_read_integer(r, value, 1, INT64_MAX, &id);
    after->job = id;
    return rc;
}

static int read_on(struct job_reader *r, const json_t *value, void *part)
{
    static const char HINT[] = "success, failure or any";
    const char *word = json_string_value(value);
    struct job_after *after = part;

    if (word == NULL)
        return job_wrong_type(r, value, HINT);
    return job_on_of(&after->on, word) ? 0 : wrong_word(r, word, HINT);
}

static const struct job_field AFTER_FIELDS[] = {
    {"job", read_which},
    {"on", read_on},
    {NULL, NULL},
};

static int read_element(struct job_reader *r, const json_t *value, void *part)
{
    static const char HINT[] = "a job, or a map like {job: extract, on: any}";
    struct job_after after = {.on = JOB_ON_SUCCESS};
    int rc;

    (void)part;
    if (json_is_string(value) || json_is_integer(value))
        rc = read_which(r, value, &after);
    else
        rc = job_read_fields(r, AFTER_FIELDS, value, HINT, &after);
    if (rc == 0 && after.job == 0)
        rc = error_set(
            r->err, ERROR_INVALID, "%s: job: missing; give %s", r->path.text, HINT);
    if (rc == 0)
        job_spec_add_after(r->spec, after);
    return rc;
}

int job_read_after(struct job_reader *r, const json_t *value, void *part)
{
    if (!json_is_array(value))
        return read_element(r, value, part);
    return job_read_list(r, value, "a list of jobs", read_element, part);
}

/* ---- schedule ---- */

JOB_FIELD(read_cron, job_read_text, struct job_schedule, cron)

static int read_timezone(struct job_reader *r, const json_t *value, void *part)
{
    char *name = NULL;
    int rc = job_read_text(r, value, &name);

    (void)part;
    if (rc == 0)
        job_spec_set_timezone(r->spec, name);
    mem_free(name);
    return rc;
}

static int read_missed(struct job_reader *r, const json_t *value, void *part)
{
    static const char HINT[] = "run_last, run_all or skip";
    const char *word = json_string_value(value);

    if (word == NULL)
        return job_wrong_type(r, value, HINT);
    return job_missed_of(&((struct job_schedule *)part)->missed, word)
               ? 0
               : wrong_word(r, word, HINT);
}

static int read_overlap(struct job_reader *r, const json_t *value, void *part)
{
    static const char HINT[] = "allow, forbid or replace";
    const char *word = json_string_value(value);

    if (word == NULL)
        return job_wrong_type(r, value, HINT);
    return job_overlap_of(&((struct job_schedule *)part)->overlap, word)
               ? 0
               : wrong_word(r, word, HINT);
}

static const struct job_field SCHEDULE_FIELDS[] = {
    {"cron", read_cron},
    {"timezone", read_timezone},
    {"missed", read_missed},
    {"overlap", read_overlap},
    {NULL, NULL},
};

int job_read_schedule(struct job_reader *r, const json_t *value, void *part)
{
    (void)part;
    if (json_is_string(value))
        return read_cron(r, value, &r->spec->schedule);
    return job_read_fields(r,
                           SCHEDULE_FIELDS,
                           value,
                           "five fields like \"0 2 * * *\", @daily, or a map of cron, "
                           "timezone, missed and overlap",
                           &r->spec->schedule);
}

/* ---- parameters ---- */

static int read_required(struct job_reader *r, const json_t *value, void *part)
{
    const char *name = json_string_value(value);

    (void)part;
    if (name == NULL)
        return job_wrong_text(r, value, "the name of a variable");
    job_spec_add_parameter(r->spec, name, NULL);
    return 0;
}

static int read_all_required(struct job_reader *r, const json_t *value, void *part)
{
    return job_read_list(r, value, "a list of names", read_required, part);
}

static int read_optional(struct job_reader *r, const json_t *value, void *part)
{
    char *text = NULL;
    const char *name;
    json_t *item;

    (void)part;
    if (!json_is_object(value))
        return job_wrong_type(r, value, "a map of NAME: value");
    json_object_foreach ((json_t *)value, name, item) {
        size_t before = field_path_enter_key(&r->path, name);
        int rc = job_read_text(r, item, &text);

        if (rc != 0)
            return rc;
        job_spec_add_parameter(r->spec, name, text);
        mem_free(text);
        text = NULL;
        field_path_leave(&r->path, before);
    }
    return 0;
}

static const struct job_field PARAMETER_FIELDS[] = {
    {"required", read_all_required},
    {"optional", read_optional},
    {NULL, NULL},
};

int job_read_parameters(struct job_reader *r, const json_t *value, void *part)
{
    int rc =
        job_read_fields(r,
                        PARAMETER_FIELDS,
                        value,
                        "a map of required (a list of names) and optional (a map of "
                        "NAME: value)",
                        part);

    if (rc == 0 && r->spec->parameter_count == 0)
        rc = error_set(r->err,
                       ERROR_INVALID,
                       "%s: it is empty; give required or optional ones",
                       r->path.text);
    return rc;
}
