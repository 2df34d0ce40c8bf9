/* options.c - values of options: kept, checked, read.  options_sources.c finds them. */
#include "base/options.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/options_help.h"
#include "base/options_private.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void options_scope_init(struct scope *s, const struct option_row *rows, size_t count)
{
    s->rows = rows;
    s->count = count;
    s->values = mem_zalloc(count * sizeof(*s->values));
}

struct options *options_create(const struct option_table *program)
{
    struct options *o = mem_zalloc(sizeof(*o));

    o->program = program;
    options_scope_init(&o->scopes[SCOPE_PROGRAM], program->rows, program->row_count);
    options_scope_init(&o->scopes[SCOPE_BUILTIN], options_builtin, BUILTIN_ROWS);
    return o;
}

static void value_clear(struct value *v)
{
    for (size_t i = 0; i < v->count; i++)
        mem_free(v->texts[i]);
    mem_free(v->texts);
    mem_free(v->origin);
    *v = (struct value){0};
}

void options_destroy(struct options *o)
{
    if (o == NULL)
        return;
    for (unsigned s = 0; s < SCOPES; s++) {
        for (size_t i = 0; i < o->scopes[s].count; i++)
            value_clear(&o->scopes[s].values[i]);
        mem_free(o->scopes[s].values);
    }
    for (size_t i = 0; i < o->operand_count; i++)
        mem_free(o->operands[i]);
    mem_free(o->operands);
    mem_free(o);
}

struct found
options_find(const struct options *o, const char *name, size_t size, char letter)
{
    for (unsigned s = 0; s < SCOPES; s++) {
        const struct scope *scope = &o->scopes[s];

        for (size_t i = 0; i < scope->count; i++) {
            const struct option_row *row = &scope->rows[i];
            bool same = name == NULL ? row->letter == letter
                                     : strlen(row->name) == size &&
                                           memcmp(row->name, name, size) == 0;

            if (same &&
                (s != SCOPE_BUILTIN || options_builtin_applies(row, o->program)))
                return (struct found){row, &scope->values[i]};
        }
    }
    return (struct found){0};
}

/* ---- one value ---- */

static bool parse_flag(uint64_t *out, const char *text)
{
    static const char *const words[] = {
        "no", "yes", "false", "true", "0", "1", "off", "on"};

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2;
            return true;
        }
    }
    return false;
}

static void
append_amount(struct buffer *out, const struct option_row *row, uint64_t amount)
{
    char text[TEXT_SHORT_MAX];

    if (row->kind == OPTION_DURATION)
        buffer_append_text(out, text_duration(text, amount));
    else
        buffer_printf(out, "%" PRIu64, amount);
}

/* `text` is what was typed. */
static int check_range(const struct option_row *row,
                       const char *origin,
                       const char *text,
                       uint64_t number,
                       struct error *err)
{
    struct buffer range = {0};
    int rc = 0;

    if (number < row->min || (row->max != 0 && number > row->max)) {
        buffer_append_text(&range, row->max != 0 ? "from " : "at least ");
        append_amount(&range, row, row->min);
        if (row->max != 0) {
            buffer_append_text(&range, " to ");
            append_amount(&range, row, row->max);
        }
        rc = error_set(err,
                       ERROR_USAGE,
                       "%s: %.100s is not %.*s",
                       origin,
                       text,
                       (int)range.size,
                       (const char *)range.data);
    }
    buffer_finish(&range);
    return rc;
}

static int parse_number(const struct option_row *row,
                        const char *origin,
                        const char *text,
                        uint64_t *out,
                        struct error *err)
{
    struct error why;

    *out = 0;
    switch (row->kind) {
    case OPTION_TEXT:
    case OPTION_LIST:
        return 0;
    case OPTION_FLAG:
        if (!parse_flag(out, text))
            return error_set(
                err, ERROR_USAGE, "%s: \"%.100s\" is neither yes nor no", origin, text);
        return 0;
    case OPTION_NUMBER:
        if (!text_parse_u64(out, text))
            return error_set(
                err, ERROR_USAGE, "%s: \"%.100s\" is not a whole number", origin, text);
        return check_range(row, origin, text, *out, err);
    case OPTION_DURATION:
        if (text_parse_duration_ms(out, text, &why) != 0)
            return error_set(err, ERROR_USAGE, "%s: %s", origin, why.text);
        return check_range(row, origin, text, *out, err);
    }
    return 0;
}

int options_set(struct found f,
                enum rank rank,
                const char *origin,
                const char *text,
                struct error *err)
{
    struct value *v = f.value;
    uint64_t number;
    int rc = parse_number(f.row, origin, text, &number, err);

    if (rc != 0)
        return rc;
    if (rank < v->rank)
        return 0;
    if (rank == RANK_FILE && v->rank == rank && f.row->kind != OPTION_LIST)
        return error_set(
            err, ERROR_USAGE, "%s: was set before at %s", origin, v->origin);
    if (rank > v->rank || f.row->kind != OPTION_LIST)
        value_clear(v);
    if (v->origin == NULL)
        v->origin = mem_strdup(origin);
    MEM_GROW(v->texts, v->capacity, v->count + 1);
    v->texts[v->count++] = mem_strdup(text);
    v->rank = rank;
    v->number = number;
    return 0;
}

/* ---- mistakes ---- */

static const char *command_space(const struct options *o)
{
    return o->command == NULL ? "" : " ";
}

static const char *command_name(const struct options *o)
{
    return o->command == NULL ? "" : o->command->program;
}

int options_misuse(const struct options *o, struct error *err, const char *format, ...)
{
    char reason[REASON_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    return error_set(err,
                     ERROR_USAGE,
                     "%s (see %s%s%s --help)",
                     reason,
                     o->program->program,
                     command_space(o),
                     command_name(o));
}

const struct option_table *options_operand_table(const struct options *o)
{
    return o->command == NULL ? o->program : o->command;
}

enum options_wish options_wish_of(const struct options *o)
{
    const struct value *values = o->scopes[SCOPE_BUILTIN].values;

    if (values[BUILTIN_HELP].number)
        return OPTIONS_HELP;
    if (values[BUILTIN_VERSION].number)
        return OPTIONS_VERSION;
    return values[BUILTIN_MAN].number ? OPTIONS_MAN : OPTIONS_RUN;
}

/* ---- what is left when all sources are read ---- */

static int complete(struct options *o, struct error *err)
{
    char origin[REASON_MAX];

    for (unsigned s = 0; s < SCOPES; s++) {
        for (size_t i = 0; i < o->scopes[s].count; i++) {
            struct found f = {&o->scopes[s].rows[i], &o->scopes[s].values[i]};

            snprintf(origin, sizeof(origin), "--%s", f.row->name);
            if (f.value->rank == RANK_NONE && f.row->required)
                return options_misuse(
                    o, err, "%s %s is missing", origin, f.row->argument);
            if (f.value->rank == RANK_NONE && f.row->fallback != NULL)
                ASSERT(options_set(f, RANK_FALLBACK, origin, f.row->fallback, err) ==
                       0);
            if (f.value->origin == NULL)
                f.value->origin = mem_strdup(origin);
        }
    }
    return 0;
}

static int check_operands(const struct options *o, struct error *err)
{
    const struct option_table *t = options_operand_table(o);

    if (o->program->command_count > 0 && o->command == NULL)
        return options_misuse(o, err, "a command is missing");
    if (o->operand_count < t->operands_min)
        return options_misuse(o, err, "%s needs %s", t->program, t->operands);
    if (o->operand_count > t->operands_max)
        return options_misuse(
            o, err, "\"%.64s\" is too much", o->operands[t->operands_max]);
    return 0;
}

int options_parse(struct options *o,
                  int argc,
                  char *const *argv,
                  enum options_wish *wish,
                  struct error *err)
{
    int rc = options_read_command_line(o, argc, argv, err);

    *wish = options_wish_of(o);
    if (rc == 0 && *wish != OPTIONS_RUN)
        return 0;
    if (rc == 0)
        rc = options_read_environment(o, err);
    if (rc == 0)
        rc = options_read_config(o, err);
    if (rc == 0)
        rc = complete(o, err);
    if (rc == 0)
        rc = check_operands(o, err);
    if (rc != 0 && err != NULL)
        err->code = ERROR_USAGE; /* an unreadable file is wrong usage too */
    return rc == 0 ? 0 : -(int)ERROR_USAGE;
}

/* ---- reading ---- */

void options_print(const struct options *o, enum options_wish wish, struct buffer *out)
{
    switch (wish) {
    case OPTIONS_RUN:
        break;
    case OPTIONS_HELP:
        options_help(o->program, o->command, out);
        break;
    case OPTIONS_VERSION:
        buffer_printf(out, "%s %s\n", o->program->program, o->program->version);
        break;
    case OPTIONS_MAN:
        options_man(o->program, out);
        break;
    }
}

const struct option_table *options_command(const struct options *o)
{
    return o->command;
}

size_t options_operand_count(const struct options *o)
{
    return o->operand_count;
}

const char *options_operand(const struct options *o, size_t i)
{
    ASSERT(i < o->operand_count);
    return o->operands[i];
}

static struct found must_find(const struct options *o, const char *name)
{
    struct found f = options_find(o, name, strlen(name), 0);

    ASSERT(f.row != NULL);
    return f;
}

/* The value of an option that must be of this kind. */
static const struct value *
value_of(const struct options *o, const char *name, enum option_kind kind)
{
    struct found f = must_find(o, name);

    ASSERT(f.row->kind == kind);
    return f.value;
}

bool options_given(const struct options *o, const char *name)
{
    return must_find(o, name).value->rank > RANK_FALLBACK;
}

const char *options_text(const struct options *o, const char *name)
{
    const struct value *v = value_of(o, name, OPTION_TEXT);

    return v->count == 0 ? NULL : v->texts[0];
}

uint64_t options_number(const struct options *o, const char *name)
{
    return value_of(o, name, OPTION_NUMBER)->number;
}

uint64_t options_duration_ms(const struct options *o, const char *name)
{
    return value_of(o, name, OPTION_DURATION)->number;
}

bool options_flag(const struct options *o, const char *name)
{
    return value_of(o, name, OPTION_FLAG)->number != 0;
}

size_t options_list_count(const struct options *o, const char *name)
{
    return value_of(o, name, OPTION_LIST)->count;
}

const char *options_list_at(const struct options *o, const char *name, size_t i)
{
    const struct value *v = value_of(o, name, OPTION_LIST);

    ASSERT(i < v->count);
    return v->texts[i];
}

const char *options_origin(const struct options *o, const char *name)
{
    return must_find(o, name).value->origin;
}

int options_refuse(const struct options *o,
                   const char *name,
                   struct error *err,
                   const char *format,
                   ...)
{
    char reason[REASON_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    return error_set(err, ERROR_USAGE, "%s: %s", options_origin(o, name), reason);
}

int options_check_verb(const struct options *o,
                       const struct option_verb *own,
                       size_t count,
                       const char *verb,
                       struct error *err)
{
    for (size_t i = 0; i < count; i++)
        if (options_given(o, own[i].name) &&
            (verb == NULL || strcmp(verb, own[i].verb) != 0))
            return options_refuse(o,
                                  own[i].name,
                                  err,
                                  "only for %s %s",
                                  o->command->program,
                                  own[i].verb);
    return 0;
}
