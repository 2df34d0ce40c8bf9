/* options_sources.c - options on the command line, in the environment and in a file. */
#include "base/mem.h"
#include "base/options_help.h"
#include "base/options_private.h"
#include "base/settings.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- command line ---- */

struct arguments {
    struct options *o;
    char *const *argv;
    int argc;
    int next;
};

static const char *nearest_option(const struct options *o, const char *word)
{
    struct text_nearest nearest = {.word = word};

    for (unsigned s = 0; s < SCOPES; s++) {
        for (size_t i = 0; i < o->scopes[s].count; i++) {
            const struct option_row *row = &o->scopes[s].rows[i];

            if (s != SCOPE_BUILTIN || options_builtin_applies(row, o->program))
                text_nearest_offer(&nearest, row->name);
        }
    }
    return nearest.best;
}

static int unknown_option(const struct options *o,
                          const char *name,
                          size_t size,
                          struct error *err)
{
    char word[TEXT_DISTANCE_MAX + 1];
    const char *best;

    snprintf(word, sizeof(word), "%.*s", (int)size, name);
    best = nearest_option(o, word);
    if (best == NULL)
        return options_misuse(o, err, "unknown option --%s", word);
    return options_misuse(
        o, err, "unknown option --%s: did you mean --%s?", word, best);
}

/* The argument of an option that stands alone: the next word, "yes" for a flag, NULL if
 * there is none.  A word that looks like an option is not taken: the value was
 * forgotten. */
static const char *take_argument(struct arguments *a, const struct option_row *row)
{
    const char *word;

    if (row->kind == OPTION_FLAG)
        return "yes";
    word = a->next < a->argc ? a->argv[a->next] : NULL;
    if (word == NULL || strncmp(word, "--", 2) == 0)
        return NULL;
    a->next++;
    return word;
}

static int set_argument(struct arguments *a,
                        struct found f,
                        const char *argument,
                        struct error *err)
{
    char origin[REASON_MAX];

    snprintf(origin, sizeof(origin), "--%s", f.row->name);
    if (argument == NULL)
        argument = take_argument(a, f.row);
    if (argument == NULL)
        return options_misuse(a->o,
                              err,
                              "--%s needs a value: --%s=%s",
                              f.row->name,
                              f.row->name,
                              f.row->argument);
    return options_set(f, RANK_COMMAND_LINE, origin, argument, err);
}

/* --name, --name=value */
static int parse_long(struct arguments *a, const char *word, struct error *err)
{
    size_t size = strcspn(word, "=");
    struct found f = options_find(a->o, word, size, 0);

    if (f.row == NULL)
        return unknown_option(a->o, word, size, err);
    return set_argument(a, f, word[size] == '=' ? word + size + 1 : NULL, err);
}

/* -f, -fg, -n value, -nvalue */
static int parse_short(struct arguments *a, const char *letters, struct error *err)
{
    int rc = 0;

    while (rc == 0 && *letters != '\0') {
        struct found f = options_find(a->o, NULL, 0, *letters);
        const char *argument = NULL;

        if (f.row == NULL)
            return options_misuse(a->o, err, "unknown option -%c", *letters);
        letters++;
        if (f.row->kind != OPTION_FLAG && *letters != '\0') {
            argument = letters;
            letters = "";
        }
        rc = set_argument(a, f, argument, err);
    }
    return rc;
}

/* True if `word` is one of these words. */
static bool is_among(const char *words, const char *word)
{
    size_t size = strlen(word);

    for (const char *at = words; at != NULL && *at != '\0'; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");

        if (length == size && memcmp(at, word, size) == 0)
            return true;
        at += length;
    }
    return false;
}

static int choose_command(struct options *o, const char *word, struct error *err)
{
    struct text_nearest nearest = {.word = word};
    const char *meant = NULL;

    for (size_t i = 0; i < o->program->command_count; i++) {
        const struct option_table *command = o->program->commands[i];

        if (strcmp(command->program, word) == 0) {
            o->command = command;
            options_scope_init(
                &o->scopes[SCOPE_COMMAND], command->rows, command->row_count);
            return 0;
        }
        if (is_among(command->meant, word))
            meant = command->program;
        text_nearest_offer(&nearest, command->program);
    }
    if (meant == NULL)
        meant = nearest.best;
    if (meant == NULL)
        return options_misuse(o, err, "unknown command \"%.64s\"", word);
    return options_misuse(
        o, err, "unknown command \"%.64s\": did you mean %s?", word, meant);
}

static void add_operand(struct options *o, const char *word)
{
    MEM_GROW(o->operands, o->operand_capacity, o->operand_count + 1);
    o->operands[o->operand_count++] = mem_strdup(word);
}

static int
parse_word(struct arguments *a, const char *word, bool *options_end, struct error *err)
{
    struct options *o = a->o;

    if (!*options_end && strcmp(word, "--") == 0) {
        *options_end = true;
        return 0;
    }
    if (!*options_end && strncmp(word, "--", 2) == 0)
        return parse_long(a, word + 2, err);
    if (!*options_end && word[0] == '-' && word[1] != '\0')
        return parse_short(a, word + 1, err);
    if (o->program->command_count > 0 && o->command == NULL)
        return choose_command(o, word, err);
    add_operand(o, word);
    if (options_operand_table(o)->order == OPERANDS_LAST)
        *options_end = true;
    return 0;
}

int options_read_command_line(struct options *o,
                              int argc,
                              char *const *argv,
                              struct error *err)
{
    struct arguments a = {.o = o, .argc = argc, .argv = argv, .next = 1};
    bool options_end = false;
    int rc = 0;

    while (rc == 0 && a.next < argc && options_wish_of(o) == OPTIONS_RUN)
        rc = parse_word(&a, argv[a.next++], &options_end, err);
    return rc;
}

/* ---- environment and file: options of the program ---- */

/* A list has one element a line, everything else is one text. */
static int
set_lines(struct found f, const char *origin, const char *text, struct error *err)
{
    char *copy = mem_strdup(text);
    char *rest = copy;
    int rc = 0;

    for (char *line = strsep(&rest, "\n"); rc == 0 && line != NULL;
         line = strsep(&rest, "\n")) {
        if (*line != '\0')
            rc = options_set(f, RANK_ENVIRONMENT, origin, line, err);
    }
    mem_free(copy);
    return rc;
}

static int read_variable(struct found f, const char *prefix, struct error *err)
{
    struct buffer name = {0};
    const char *text;
    int rc = 0;

    options_variable(&name, prefix, f.row->name);
    buffer_append(&name, "", 1);
    text = getenv((const char *)name.data);
    if (text != NULL && f.row->kind == OPTION_LIST)
        rc = set_lines(f, (const char *)name.data, text, err);
    else if (text != NULL)
        rc = options_set(f, RANK_ENVIRONMENT, (const char *)name.data, text, err);
    buffer_finish(&name);
    return rc;
}

int options_read_environment(struct options *o, struct error *err)
{
    const struct scope *program = &o->scopes[SCOPE_PROGRAM];
    const char *prefix = o->program->environment;
    int rc = 0;

    if (prefix == NULL)
        return 0;
    for (size_t i = 0; rc == 0 && i < program->count; i++)
        rc = read_variable(
            (struct found){&program->rows[i], &program->values[i]}, prefix, err);
    if (rc == 0 && o->program->has_config)
        rc = read_variable(
            (struct found){&options_builtin[BUILTIN_CONFIG],
                           &o->scopes[SCOPE_BUILTIN].values[BUILTIN_CONFIG]},
            prefix,
            err);
    return rc;
}

static int set_from_file(void *user,
                         const char *where,
                         const char *name,
                         const char *text,
                         struct error *err)
{
    struct options *o = user;
    const struct scope *program = &o->scopes[SCOPE_PROGRAM];
    struct text_nearest nearest = {.word = name};
    char origin[REASON_MAX];

    for (size_t i = 0; i < program->count; i++) {
        if (strcmp(program->rows[i].name, name) == 0) {
            snprintf(origin, sizeof(origin), "%s: %s", where, name);
            return options_set((struct found){&program->rows[i], &program->values[i]},
                               RANK_FILE,
                               origin,
                               text,
                               err);
        }
        text_nearest_offer(&nearest, program->rows[i].name);
    }
    if (nearest.best == NULL)
        return error_set(err, ERROR_USAGE, "%s: unknown option \"%.64s\"", where, name);
    return error_set(err,
                     ERROR_USAGE,
                     "%s: unknown option \"%.64s\": did you mean %s?",
                     where,
                     name,
                     nearest.best);
}

int options_read_config(struct options *o, struct error *err)
{
    const struct value *v = &o->scopes[SCOPE_BUILTIN].values[BUILTIN_CONFIG];
    int rc;

    if (v->count == 0)
        return 0;
    rc = settings_read(v->texts[0], set_from_file, o, err);
    return rc == -(int)ERROR_IO ? error_wrap(err, "%s", v->origin) : rc;
}
