/* match_read.c - constraints, affinities, spread and anti_affinity of a job file.
 *
 * Each element is one line of text (match.h) or a map. */
#include "wire/job_read.h"

#include "base/mem.h"

#include <string.h>

/* ---- conditions ---- */

static int read_op(struct job_reader *r, const json_t *value, void *part)
{
    struct condition *c = part;
    const char *text = json_string_value(value);

    if (text == NULL)
        return job_wrong_type(r, value, "=, !=, <, <=, >, >=, in, regexp, version, …");
    c->op = match_op_of(text);
    if (c->op != 0)
        return 0;
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: '%.40s' is none of =, !=, <, <=, >, >=, in, not_in, regexp, "
                     "version, is_set, is_not_set, distinct",
                     r->path.text,
                     text);
}

/* Texts, and what reads back as it was typed. */
static int read_value(struct job_reader *r, const json_t *value, void *part)
{
    char number[JOB_NUMBER_TEXT_MAX];
    const char *text = json_string_value(value);

    if (json_is_boolean(value))
        text = json_is_true(value) ? "true" : "false";
    else if (text == NULL && job_number_text(value, number))
        text = number;
    if (text == NULL)
        return job_wrong_type(r, value, "a text or a number");
    condition_add_value(part, mem_strdup(text));
    return 0;
}

static int read_values(struct job_reader *r, const json_t *value, void *part)
{
    if (json_is_array(value))
        return job_read_list(r, value, "a list of texts", read_value, part);
    return read_value(r, value, part);
}

static int read_weight(struct job_reader *r, const json_t *value, void *part)
{
    json_int_t n;
    int rc = job_read_integer(r, value, -LIMIT_WEIGHT, LIMIT_WEIGHT, &n);

    if (rc == 0)
        ((struct condition *)part)->weight = (int32_t)n;
    return rc;
}

JOB_FIELD(condition_attribute, job_read_text, struct condition, attribute)

static const struct job_field CONSTRAINT_FIELDS[] = {
    {"attribute", condition_attribute},
    {"op", read_op},
    {"value", read_values},
    {NULL, NULL},
};

static const struct job_field AFFINITY_FIELDS[] = {
    {"attribute", condition_attribute},
    {"op", read_op},
    {"value", read_values},
    {"weight", read_weight},
    {NULL, NULL},
};

/* Where a place was, an error of text is said of it. */
static int wrap(struct job_reader *r, int rc)
{
    return rc == 0 ? 0 : error_wrap(r->err, "%s", r->path.text);
}

/* How many at most stands as the value of distinct. */
static int take_most(struct job_reader *r, const json_t *map, struct condition *c)
{
    const json_t *value = json_object_get(map, "value");
    json_int_t n = 1;
    int rc = 0;

    for (size_t i = 0; i < c->count; i++)
        mem_free(c->values[i]);
    c->count = 0;
    if (value != NULL) {
        size_t before = field_path_enter_key(&r->path, "value");

        rc = job_read_integer(r, value, 1, LIMIT_TASKS_PER_JOB, &n);
        if (rc == 0)
            field_path_leave(&r->path, before);
    }
    c->most = (uint32_t)n;
    return rc;
}

static int read_constraint(struct job_reader *r, const json_t *value, void *part)
{
    struct condition *c = match_add_constraint(&r->spec->match);
    int rc;

    (void)part;
    if (json_is_string(value))
        return wrap(r, condition_parse(c, json_string_value(value), r->err));
    rc =
        job_read_fields(r,
                        CONSTRAINT_FIELDS,
                        value,
                        "a text like \"rack = a\", or a map of attribute, op and value",
                        c);
    return rc == 0 && c->op == MATCH_DISTINCT ? take_most(r, value, c) : rc;
}

static int read_affinity(struct job_reader *r, const json_t *value, void *part)
{
    struct condition *c = match_add_affinity(&r->spec->match);

    (void)part;
    if (json_is_string(value))
        return wrap(r, affinity_parse(c, json_string_value(value), r->err));
    c->weight = MATCH_WEIGHT;
    return job_read_fields(
        r,
        AFFINITY_FIELDS,
        value,
        "a text like \"zone = b:50\", or a map of attribute, op, value "
        "and weight",
        c);
}

/* ---- spread and anti_affinity ---- */

static int read_positive(struct job_reader *r, const json_t *value, uint32_t *out)
{
    json_int_t n;
    int rc = job_read_integer(r, value, 1, LIMIT_WEIGHT, &n);

    if (rc == 0)
        *out = (uint32_t)n;
    return rc;
}

JOB_FIELD(spread_attribute, job_read_text, struct spread, attribute)
JOB_FIELD(spread_weight, read_positive, struct spread, weight)
JOB_FIELD(apart_job, job_read_text, struct apart, job)
JOB_FIELD(apart_weight, read_positive, struct apart, weight)

static const struct job_field SPREAD_FIELDS[] = {
    {"attribute", spread_attribute},
    {"weight", spread_weight},
    {NULL, NULL},
};

static const struct job_field APART_FIELDS[] = {
    {"job", apart_job},
    {"weight", apart_weight},
    {NULL, NULL},
};

static int read_spread(struct job_reader *r, const json_t *value, void *part)
{
    struct spread *s = match_add_spread(&r->spec->match);

    (void)part;
    if (json_is_string(value))
        return wrap(r, spread_parse(s, json_string_value(value), r->err));
    s->weight = MATCH_WEIGHT;
    return job_read_fields(r,
                           SPREAD_FIELDS,
                           value,
                           "the name of an attribute, or a map of attribute and weight",
                           s);
}

static int read_apart(struct job_reader *r, const json_t *value, void *part)
{
    struct apart *a = match_add_apart(&r->spec->match);

    (void)part;
    if (json_is_string(value))
        return wrap(r, apart_parse(a, json_string_value(value), r->err));
    return job_read_fields(
        r, APART_FIELDS, value, "the name of a job, or a map of job and weight", a);
}

/* ---- lists ---- */

static int read_some(struct job_reader *r,
                     const json_t *value,
                     size_t most,
                     const char *hint,
                     job_read_fn *read)
{
    if (json_is_string(value))
        return read(r, value, NULL);
    if (json_array_size(value) > most)
        return error_set(r->err,
                         ERROR_TOO_LARGE,
                         "%s: %zu; the most is %zu",
                         r->path.text,
                         json_array_size(value),
                         most);
    return job_read_list(r, value, hint, read, NULL);
}

int job_read_constraints(struct job_reader *r, const json_t *value, void *part)
{
    (void)part;
    return read_some(
        r, value, LIMIT_CONSTRAINTS, "a list like [\"rack = a\"]", read_constraint);
}

int job_read_affinities(struct job_reader *r, const json_t *value, void *part)
{
    (void)part;
    return read_some(
        r, value, LIMIT_AFFINITIES, "a list like [\"zone = b:50\"]", read_affinity);
}

int job_read_spread(struct job_reader *r, const json_t *value, void *part)
{
    (void)part;
    return read_some(r, value, LIMIT_SPREADS, "a list like [rack]", read_spread);
}

int job_read_anti_affinity(struct job_reader *r, const json_t *value, void *part)
{
    (void)part;
    return read_some(r, value, LIMIT_APARTS, "a list like [database]", read_apart);
}
