/* match_check.c - the rules of constraints, affinities, spreads and anti-affinities. */
#include "wire/match.h"

#include "base/text.h"
#include "wire/match_value.h"

#include <stdio.h>
#include <string.h>

/* "constraints[3].value" */
struct place {
    char text[48];
};

static struct place place_of(const char *list, size_t index, const char *field)
{
    struct place p;

    snprintf(p.text, sizeof(p.text), "%s[%zu].%s", list, index, field);
    return p;
}

static int check_count(const char *list, size_t count, size_t most, struct error *err)
{
    if (count <= most)
        return 0;
    return error_set(
        err, ERROR_TOO_LARGE, "%s: %zu; the most is %zu", list, count, most);
}

static int check_word(struct place place,
                      const char *text,
                      size_t most,
                      bool may_be_empty,
                      struct error *err)
{
    struct bytes view = text_view(text);

    if (view.size == 0 && !may_be_empty)
        return error_set(err, ERROR_INVALID, "%s: missing", place.text);
    if (view.size > most)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "%s: %zu bytes; the most is %zu",
                         place.text,
                         view.size,
                         most);
    if (!text_is_printable(view))
        return error_set(err,
                         ERROR_INVALID,
                         "%s: give printable UTF-8 text without control characters",
                         place.text);
    return 0;
}

static int
check_attribute(const char *list, size_t i, const char *name, struct error *err)
{
    struct place place = place_of(list, i, "attribute");
    int rc = check_word(place, name, LIMIT_ATTRIBUTE_BYTES, false, err);

    if (rc == 0 && strpbrk(name, " :") != NULL)
        return error_set(
            err,
            ERROR_INVALID,
            "%s: '%.40s': names of attributes have no spaces and no colons, "
            "and a weight behind one is a whole number",
            place.text,
            name);
    return rc;
}

/* What a value is for its operator. */
static int
check_value(struct place place, enum match_op op, const char *value, struct error *err)
{
    bool may_be_empty = op != MATCH_IN && op != MATCH_NOT_IN;
    int rc = check_word(place, value, LIMIT_ATTRIBUTE_BYTES, may_be_empty, err);

    if (rc != 0)
        return rc;
    if (op >= MATCH_LESS && op <= MATCH_AT_LEAST && !number_is_valid(value))
        return error_set(err,
                         ERROR_INVALID,
                         "%s: '%.40s' is no decimal number, which %s compares",
                         place.text,
                         value,
                         match_op_name(op));
    if (op == MATCH_VERSION && !version_range_is_valid(value))
        return error_set(err,
                         ERROR_INVALID,
                         "%s: '%.40s' is no range of versions; give one as \">= 1.2, "
                         "< 2\"",
                         place.text,
                         value);
    return 0;
}

static bool takes_list(enum match_op op)
{
    return op == MATCH_IN || op == MATCH_NOT_IN;
}

static bool takes_value(enum match_op op)
{
    return op < MATCH_IS_SET;
}

static int check_values(const char *list,
                        size_t index,
                        const struct condition *c,
                        struct error *err)
{
    struct place place = place_of(list, index, "value");

    if (!takes_value(c->op) && c->count > 0)
        return error_set(err,
                         ERROR_INVALID,
                         "%s: %s has none; leave it out",
                         place.text,
                         match_op_name(c->op));
    if (takes_value(c->op) && c->count == 0)
        return error_set(err, ERROR_INVALID, "%s: missing", place.text);
    if (takes_value(c->op) && c->count > 1 && !takes_list(c->op))
        return error_set(err,
                         ERROR_INVALID,
                         "%s: %zu values; %s takes one, and in or not_in a list",
                         place.text,
                         c->count,
                         match_op_name(c->op));
    if (c->count > LIMIT_CONDITION_VALUES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "%s: %zu values; the most is %d",
                         place.text,
                         c->count,
                         LIMIT_CONDITION_VALUES);
    for (size_t i = 0; i < c->count; i++) {
        int rc = check_value(place, c->op, c->values[i], err);

        if (rc != 0)
            return rc;
    }
    return 0;
}

static int check_condition(const char *list,
                           size_t index,
                           const struct condition *c,
                           struct error *err)
{
    int rc = check_attribute(list, index, c->attribute, err);

    if (rc != 0)
        return rc;
    if (c->op <= 0 || c->op >= MATCH_OP_END)
        return error_set(err,
                         ERROR_INVALID,
                         "%s: missing; give =, !=, <, in, regexp, …",
                         place_of(list, index, "op").text);
    if ((c->op == MATCH_DISTINCT) != (c->most > 0) || c->most > LIMIT_TASKS_PER_JOB)
        return error_set(err,
                         ERROR_INVALID,
                         "%s: how many tasks at most is for distinct, from 1 to %d",
                         place_of(list, index, "value").text,
                         LIMIT_TASKS_PER_JOB);
    return check_values(list, index, c, err);
}

static int
check_weight(const char *list, size_t index, int64_t weight, struct error *err)
{
    if (weight != 0 && weight >= -LIMIT_WEIGHT && weight <= LIMIT_WEIGHT)
        return 0;
    return error_set(err,
                     ERROR_INVALID,
                     "%s: %lld; give a number from 1 to %d%s",
                     place_of(list, index, "weight").text,
                     (long long)weight,
                     LIMIT_WEIGHT,
                     strcmp(list, "affinities") == 0 ? ", or below 0" : "");
}

static int check_constraints(const struct match *m, struct error *err)
{
    int rc = check_count("constraints", m->constraint_count, LIMIT_CONSTRAINTS, err);

    for (size_t i = 0; i < m->constraint_count && rc == 0; i++)
        rc = check_condition("constraints", i, &m->constraints[i], err);
    return rc;
}

static int check_affinities(const struct match *m, struct error *err)
{
    int rc = check_count("affinities", m->affinity_count, LIMIT_AFFINITIES, err);

    for (size_t i = 0; i < m->affinity_count && rc == 0; i++) {
        const struct condition *c = &m->affinities[i];

        rc = check_condition("affinities", i, c, err);
        if (rc == 0 && c->op == MATCH_DISTINCT)
            return error_set(err,
                             ERROR_INVALID,
                             "%s: distinct is a constraint; give spread instead",
                             place_of("affinities", i, "op").text);
        if (rc == 0)
            rc = check_weight("affinities", i, c->weight, err);
    }
    return rc;
}

static int check_spreads(const struct match *m, struct error *err)
{
    int rc = check_count("spread", m->spread_count, LIMIT_SPREADS, err);

    for (size_t i = 0; i < m->spread_count && rc == 0; i++) {
        rc = check_attribute("spread", i, m->spreads[i].attribute, err);
        if (rc == 0)
            rc = check_weight("spread", i, m->spreads[i].weight, err);
    }
    return rc;
}

static int check_aparts(const struct match *m, struct error *err)
{
    int rc = check_count("anti_affinity", m->apart_count, LIMIT_APARTS, err);

    for (size_t i = 0; i < m->apart_count && rc == 0; i++) {
        const struct apart *a = &m->aparts[i];

        rc = check_word(
            place_of("anti_affinity", i, "job"), a->job, LIMIT_NAME_BYTES, false, err);
        if (rc == 0 && a->weight > 0)
            rc = check_weight("anti_affinity", i, a->weight, err);
    }
    return rc;
}

#define HEAD_BYTES 3 /* before a text of up to 64 KiB */

static size_t text_bytes(const struct condition *conditions, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        size += strlen(conditions[i].attribute) + HEAD_BYTES;
        for (size_t k = 0; k < conditions[i].count; k++)
            size += strlen(conditions[i].values[k]) + HEAD_BYTES;
    }
    return size;
}

size_t match_text_bytes(const struct match *m)
{
    size_t size = text_bytes(m->constraints, m->constraint_count) +
                  text_bytes(m->affinities, m->affinity_count);

    for (size_t i = 0; i < m->spread_count; i++)
        size += strlen(m->spreads[i].attribute) + HEAD_BYTES;
    for (size_t i = 0; i < m->apart_count; i++)
        size += strlen(m->aparts[i].job) + HEAD_BYTES;
    return size;
}

int match_check(const struct match *m, struct error *err)
{
    int rc = check_constraints(m, err);

    if (rc == 0)
        rc = check_affinities(m, err);
    if (rc == 0)
        rc = check_spreads(m, err);
    return rc != 0 ? rc : check_aparts(m, err);
}

static int check_regexps(const char *list,
                         const struct condition *conditions,
                         size_t count,
                         struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct regexp *r;

        if (conditions[i].op != MATCH_REGEXP)
            continue;
        r = regexp_compile(conditions[i].values[0], err);
        if (r == NULL)
            return error_wrap(err, "%s", place_of(list, i, "value").text);
        regexp_destroy(r);
    }
    return 0;
}

int match_check_regexps(const struct match *m, struct error *err)
{
    int rc = check_regexps("constraints", m->constraints, m->constraint_count, err);

    return rc != 0 ? rc
                   : check_regexps("affinities", m->affinities, m->affinity_count, err);
}
