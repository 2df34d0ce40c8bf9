/* cron.c - schedules as five fields. */
#include "wire/cron.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct field {
    const char *what;
    unsigned first, last;
    const char *names; /* three letters each, from the number of `named_from` on */
    unsigned named_from;
};

/* Sunday is 0 and 7. */
static const struct field FIELDS[] = {
    {"minute", 0, 59, "", 0},
    {"hour", 0, 23, "", 0},
    {"day of the month", 1, 31, "", 0},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", 1},
    {"day of the week", 0, 7, "sunmontuewedthufrisat", 0},
};

#define FIELD_COUNT 5

static const struct {
    const char *name, *fields;
} MACROS[] = {
    {"@hourly", "0 * * * *"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"},
    {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
};

/* ---- one field ---- */

struct reader {
    const char *at;
    const struct field *field;
    struct error *err;
};

static int wrong(struct reader *r, const char *why)
{
    return error_set(r->err,
                     ERROR_INVALID,
                     "%s: %s at '%.10s'; give * or %u-%u, as 1-5, 1,5, */2",
                     r->field->what,
                     why,
                     r->at,
                     r->field->first,
                     r->field->last);
}

static bool take_name(struct reader *r, unsigned *number)
{
    const struct field *f = r->field;

    for (unsigned i = 0; f->names[3 * i] != '\0'; i++) {
        if (strncasecmp(r->at, f->names + 3 * i, 3) != 0 ||
            isalpha((unsigned char)r->at[3]))
            continue;
        r->at += 3;
        *number = f->named_from + i;
        return true;
    }
    return false;
}

static int take_number(struct reader *r, unsigned *number)
{
    const char *at = r->at;
    unsigned n = 0;

    if (take_name(r, number))
        return 0;
    if (!isdigit((unsigned char)*at))
        return wrong(r, "no number");
    while (isdigit((unsigned char)*at) && n < 1000)
        n = 10 * n + (unsigned)(*at++ - '0');
    if (n < r->field->first || n > r->field->last)
        return wrong(r, "out of range");
    r->at = at;
    *number = n;
    return 0;
}

/* Not bounded by the field. */
static int take_step(struct reader *r, unsigned *step)
{
    unsigned n = 0;

    *step = 1;
    if (*r->at != '/')
        return 0;
    r->at++;
    while (isdigit((unsigned char)*r->at) && n < 1000)
        n = 10 * n + (unsigned)(*r->at++ - '0');
    if (n == 0)
        return wrong(r, "no step above 0");
    *step = n;
    return 0;
}

/* "*", "7", "mon-fri", each with a step if it has several. */
static int take_part(struct reader *r, uint64_t *bits)
{
    unsigned from = r->field->first, to = r->field->last, step;
    bool is_one = false;
    int rc = 0;

    if (*r->at == '*') {
        r->at++;
    } else {
        rc = take_number(r, &from);
        to = from;
        is_one = true;
        if (rc == 0 && *r->at == '-') {
            r->at++;
            rc = take_number(r, &to);
            is_one = false;
        }
    }
    if (rc != 0)
        return rc;
    if (from > to)
        return wrong(r, "backward range");
    if (is_one && *r->at == '/')
        return wrong(r, "a step of one number");
    rc = take_step(r, &step);
    for (unsigned n = from; rc == 0 && n <= to; n += step)
        *bits |= 1ull << n;
    return rc;
}

static bool is_end(char c)
{
    return c == '\0' || c == ' ' || c == '\t';
}

static int take_field(struct reader *r, uint64_t *bits, bool *is_any)
{
    int rc;

    *is_any = r->at[0] == '*'; /* with a step as well: so Vixie */
    rc = take_part(r, bits);
    while (rc == 0 && *r->at == ',') {
        r->at++;
        rc = take_part(r, bits);
    }
    if (rc == 0 && !is_end(*r->at))
        rc = wrong(r, "unexpected");
    return rc;
}

/* ---- all of them ---- */

static const char *expand(const char *text)
{
    for (size_t i = 0; i < sizeof(MACROS) / sizeof(MACROS[0]); i++)
        if (strcmp(MACROS[i].name, text) == 0)
            return MACROS[i].fields;
    return text;
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

/* Some month is long enough for one of its days. */
static bool has_a_day(const struct cron *c)
{
    static const uint8_t LENGTHS[] = {
        0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint32_t first = (uint32_t)__builtin_ctz(c->days);

    if (c->any_day || !c->any_week_day)
        return true;
    for (unsigned month = 1; month <= 12; month++)
        if ((c->months >> month & 1) != 0 && first <= LENGTHS[month])
            return true;
    return false;
}

int cron_parse(struct cron *c, const char *text, struct error *err)
{
    struct reader r = {.at = skip_blanks(expand(skip_blanks(text))), .err = err};
    uint64_t bits[FIELD_COUNT] = {0};
    bool any[FIELD_COUNT];

    if (*r.at == '@')
        return error_set(err,
                         ERROR_INVALID,
                         "no '%.10s'; give @hourly, @daily, @weekly, @monthly, @yearly "
                         "or five fields",
                         r.at);
    for (int i = 0; i < FIELD_COUNT; i++) {
        r.field = &FIELDS[i];
        if (*r.at == '\0')
            return error_set(
                err,
                ERROR_INVALID,
                "'%.20s' has %d fields; give five (minute hour day month weekday), or "
                "as @daily",
                text,
                i);
        if (take_field(&r, &bits[i], &any[i]) != 0)
            return -(int)ERROR_INVALID;
        r.at = skip_blanks(r.at);
    }
    if (*r.at != '\0')
        return error_set(err, ERROR_INVALID, "'%.40s' has more than five fields", text);
    *c = (struct cron){
        .minutes = bits[0],
        .hours = (uint32_t)bits[1],
        .days = (uint32_t)bits[2],
        .months = (uint16_t)bits[3],
        .week_days = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f),
        .any_day = any[2],
        .any_week_day = any[4],
    };
    if (!has_a_day(c))
        return error_set(
            err, ERROR_INVALID, "'%.40s': no month of it has such a day", text);
    return 0;
}

bool cron_has_day(const struct cron *c, unsigned day, unsigned month, unsigned week_day)
{
    bool in_month = (c->days >> day & 1) != 0,
         in_week = (c->week_days >> week_day & 1) != 0;

    if ((c->months >> month & 1) == 0)
        return false;
    return c->any_day || c->any_week_day ? in_month && in_week : in_month || in_week;
}
