/* job_hint.c - what to write instead: errors of values and fields that a job file cannot have.
 *
 * YAML makes numbers, true and null of what stands without quotes, and a text of all else, also of
 * what other readers take for a number (010, 0x10, 1_000) or a truth (yes, On).  Who wrote it does
 * not see a text there, so it is shown, and said what it looks like. */
#include "wire/job_read.h"

#include "base/buffer.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

const char *job_type_name(const json_t *value)
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
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        break;
    }
    return "empty";
}

/* ---- values ---- */

#define SHOWN 40 /* bytes of a text in an error */

int job_wrong_type(struct job_reader *r, const json_t *value, const char *hint)
{
    const char *text = json_string_value(value);

    if (text != NULL)
        return error_set(r->err,
                         ERROR_INVALID,
                         "%s: '%.*s' is a text; give %s",
                         r->path.text,
                         SHOWN,
                         text,
                         hint);
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: it is %s; give %s",
                     r->path.text,
                     job_type_name(value),
                     hint);
}

#define DIGITS "0123456789"

/* What is the matter with a text in the place of a number. */
static const char *fault_of(const char *text)
{
    const char *number = text + (*text == '-'), *at = number;
    size_t whole = strspn(at, DIGITS);

    if (whole == 0)
        return "is no number";
    if (number[0] == '0' && (number[1] == 'x' || number[1] == 'X'))
        return "is hexadecimal";
    if (number[0] == '0' && whole > 1)
        return "begins with a zero";
    at += whole;
    if (at[0] == '.' && at[1] != '\0')
        at += 1 + strspn(at + 1, DIGITS);
    if (*at == '\0') /* 64 bits hold all numbers of 18 digits */
        return whole > 18 ? "is far too large" : "is in quotes";
    if ((*at == 'e' || *at == 'E') && at[1 + strspn(at + 1, "+-" DIGITS)] == '\0')
        return "has an exponent";
    at += strspn(at, " ");
    return (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ? "has a unit"
                                                                    : "is no number";
}

int job_wrong_number(struct job_reader *r, const json_t *value, const char *hint)
{
    const char *text = json_string_value(value);

    if (text == NULL)
        return job_wrong_type(r, value, hint);
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: '%.*s' %s; give %s",
                     r->path.text,
                     SHOWN,
                     text,
                     fault_of(text),
                     hint);
}

int job_wrong_text(struct job_reader *r, const json_t *value, const char *hint)
{
    char number[JOB_NUMBER_TEXT_MAX];
    const char *word = number;

    if (json_is_boolean(value))
        word = job_type_name(value);
    else if (!json_is_integer(value) || !job_number_text(value, number))
        return job_wrong_type(r, value, hint);
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: %s without quotes is no text; write \"%s\"",
                     r->path.text,
                     word,
                     word);
}

/* ---- fields ---- */

/* What others call it, and where it stands here: in each map that has the field with which
 * `ours` begins. */
static const struct {
    const char *name, *ours;
} FOREIGN[] = {
    {"arguments", "argv"},
    {"args", "argv"},
    {"backoff", "delay"},
    {"backoff", "restart: {delay: 1s}"},
    {"checksum", "sha256"},
    {"cmd", "command"},
    {"container", "image"},
    {"count", "instances"},
    {"cpu", "resources: {cpus: 1}"},
    {"cpus", "resources: {cpus: 1}"},
    {"deadline", "max_runtime"},
    {"dest", "path"},
    {"dest", "target"},
    {"destination", "path"},
    {"destination", "target"},
    {"digest", "sha256"},
    {"disk", "resources: {disk: 1024}"},
    {"docker", "image"},
    {"environment", "env"},
    {"exec", "command"},
    {"extract", "unpack"},
    {"files", "artifacts"},
    {"gpus", "resources: {gpus: 1}"},
    {"grace", "kill_grace"},
    {"healthcheck", "health"},
    {"kill_timeout", "kill_grace"},
    {"limit", "attempts"},
    {"liveness", "health"},
    {"max_attempts", "attempts"},
    {"max_retries", "attempts"},
    {"mem", "resources: {mem: 128}"},
    {"memory", "mem"},
    {"memory", "resources: {mem: 128}"},
    {"mounts", "volumes"},
    {"period", "interval"},
    {"ports", "resources: {ports: 1}"},
    {"ram", "mem"},
    {"ram", "resources: {mem: 128}"},
    {"replicas", "instances"},
    {"retries", "attempts"},
    {"retries", "failures"},
    {"retries", "restart: {attempts: 3}"},
    {"retry", "restart: {attempts: 3}"},
    {"run_as", "user"},
    {"script", "command"},
    {"sha", "sha256"},
    {"src", "source"},
    {"storage", "disk"},
    {"threshold", "failures"},
    {"timeout", "max_runtime"},
    {"depends_on", "after"},
    {"type", "kind"},
    {"uri", "source"},
    {"uris", "artifacts"},
    {"url", "source"},
    {"window", "interval"},
};

static bool is_here(const struct job_field *fields, const char *ours)
{
    size_t size = strcspn(ours, ":");

    for (; fields->name != NULL; fields++)
        if (strlen(fields->name) == size && strncmp(fields->name, ours, size) == 0)
            return true;
    return false;
}

/* NULL if nothing is near. */
static const char *nearest(const struct job_field *fields, const char *key)
{
    struct text_nearest meant = {.word = key};

    for (size_t i = 0; i < sizeof(FOREIGN) / sizeof(FOREIGN[0]); i++)
        if (strcmp(FOREIGN[i].name, key) == 0 && is_here(fields, FOREIGN[i].ours))
            return FOREIGN[i].ours;
    for (; fields->name != NULL; fields++)
        text_nearest_offer(&meant, fields->name);
    return meant.best;
}

static int list_fields(struct job_reader *r, const struct job_field *fields)
{
    struct buffer names = {0};
    int rc;

    for (const struct job_field *f = fields; f->name != NULL; f++)
        buffer_printf(&names, "%s%s", f == fields ? "" : ", ", f->name);
    rc = error_set(r->err,
                   ERROR_INVALID,
                   "%s: unknown field; there are %s",
                   r->path.text,
                   (const char *)names.data);
    buffer_finish(&names);
    return rc;
}

int job_unknown_field(struct job_reader *r,
                      const struct job_field *fields,
                      const char *key)
{
    const char *meant = nearest(fields, key);

    if (meant == NULL)
        return list_fields(r, fields);
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: unknown field; did you mean %s?",
                     r->path.text,
                     meant);
}
