/* options_help.c - the tables of options.h as --help and as a man page. */
#include "base/options_help.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define WIDTH       80
#define TEXT_COLUMN 26 /* where the help of an option begins */

const struct option_row options_builtin[BUILTIN_ROWS] = {
    [BUILTIN_HELP] = {.name = "help",
                      .letter = 'h',
                      .kind = OPTION_FLAG,
                      .help = "print this and exit"},
    [BUILTIN_VERSION] = {.name = "version",
                         .kind = OPTION_FLAG,
                         .help = "print the version and exit"},
    [BUILTIN_MAN] = {.name = "man",
                     .kind = OPTION_FLAG,
                     .help = "print the manual page (roff) and exit"},
    [BUILTIN_CONFIG] = {.name = "config",
                        .kind = OPTION_TEXT,
                        .argument = "FILE",
                        .help = "read options from FILE, one `name = value` a line"},
};

bool options_builtin_applies(const struct option_row *row,
                             const struct option_table *program)
{
    switch (row - options_builtin) {
    case BUILTIN_VERSION:
        return program->version != NULL;
    case BUILTIN_MAN:
        return program->man_section != NULL;
    case BUILTIN_CONFIG:
        return program->has_config;
    default:
        return true;
    }
}

void options_variable(struct buffer *out, const char *prefix, const char *name)
{
    buffer_append_text(out, prefix);
    for (; *name != '\0'; name++)
        buffer_append_u8(
            out, *name == '-' ? (uint8_t)'_' : (uint8_t)toupper((unsigned char)*name));
}

/* ---- what both forms say ---- */

/* "(required)", "(default 500ms)", "(may be repeated)" behind the help of an option. */
static void append_note(struct buffer *out, const struct option_row *row)
{
    if (row->required)
        buffer_append_text(out, " (required)");
    if (row->kind == OPTION_LIST)
        buffer_append_text(out, " (may be repeated)");
    if (row->fallback != NULL && row->kind != OPTION_FLAG)
        buffer_printf(out, " (default %s)", row->fallback);
}

/* "--id N --data-dir DIR [OPTION]... COMMAND" */
static void append_usage(struct buffer *out,
                         const struct option_table *t,
                         const struct option_table *command)
{
    for (size_t i = 0; i < t->row_count; i++) {
        if (t->rows[i].required)
            buffer_printf(out, " --%s %s", t->rows[i].name, t->rows[i].argument);
    }
    buffer_append_text(out, " [OPTION]...");
    if (t->command_count > 0 && command == NULL)
        buffer_append_text(out, " COMMAND [ARGUMENT]...");
    if (t->operands != NULL)
        buffer_printf(out, " %s", t->operands);
}

/* ---- --help ---- */

/* Append text from `column` on, broken at spaces so that lines begin at `indent` and
 * end before WIDTH; then end the line. */
static void append_wrapped(
    struct buffer *out, const char *text, size_t size, size_t column, size_t indent)
{
    size_t at = 0;
    bool first = true;

    while (at < size) {
        size_t word = 0;

        while (at + word < size && text[at + word] != ' ')
            word++;
        if (!first && column + 1 + word > WIDTH) {
            buffer_printf(out, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        buffer_printf(out, "%s%.*s", first ? "" : " ", (int)word, text + at);
        column += word + !first;
        first = false;
        at += word;
        while (at < size && text[at] == ' ')
            at++;
    }
    buffer_append_text(out, "\n");
}

static void help_row(struct buffer *out, const struct option_row *row)
{
    size_t begin = out->size;
    struct buffer text = {0};
    size_t column;

    if (row->letter != 0)
        buffer_printf(out, "  -%c, --%s", row->letter, row->name);
    else
        buffer_printf(out, "      --%s", row->name);
    if (row->kind != OPTION_FLAG)
        buffer_printf(out, " %s", row->argument);
    column = out->size - begin;
    if (column + 2 > TEXT_COLUMN) {
        buffer_append_text(out, "\n");
        column = 0;
    }
    buffer_printf(out, "%*s", (int)(TEXT_COLUMN - column), "");
    buffer_append_text(&text, row->help);
    append_note(&text, row);
    append_wrapped(out, (const char *)text.data, text.size, TEXT_COLUMN, TEXT_COLUMN);
    buffer_finish(&text);
}

static bool has_row(const struct option_table *t, const char *name)
{
    for (size_t i = 0; t != NULL && i < t->row_count; i++)
        if (strcmp(t->rows[i].name, name) == 0)
            return true;
    return false;
}

/* `inner`: the command whose options of the same name come first, or NULL. */
static void help_rows(struct buffer *out,
                      const char *head,
                      const struct option_table *t,
                      const struct option_table *inner)
{
    if (t->row_count == 0)
        return;
    buffer_printf(out, "\n%s:\n", head);
    for (size_t i = 0; i < t->row_count; i++)
        if (!has_row(inner, t->rows[i].name))
            help_row(out, &t->rows[i]);
}

static void help_builtin(struct buffer *out, const struct option_table *program)
{
    buffer_append_text(out, "\nGeneral:\n");
    for (unsigned i = 0; i < BUILTIN_ROWS; i++) {
        if (options_builtin_applies(&options_builtin[i], program))
            help_row(out, &options_builtin[i]);
    }
}

static void help_commands(struct buffer *out, const struct option_table *program)
{
    size_t widest = 0;

    if (program->command_count == 0)
        return;
    for (size_t i = 0; i < program->command_count; i++) {
        size_t size = strlen(program->commands[i]->program);

        widest = size > widest ? size : widest;
    }
    buffer_append_text(out, "\nCommands:\n");
    for (size_t i = 0; i < program->command_count; i++) {
        const struct option_table *c = program->commands[i];

        buffer_printf(out, "  %-*s  ", (int)widest, c->program);
        append_wrapped(out, c->purpose, strlen(c->purpose), widest + 4, widest + 4);
    }
}

/* Where else options may stand. */
static void help_sources(struct buffer *out, const struct option_table *program)
{
    struct buffer text = {0};

    if (program->row_count == 0 ||
        (program->environment == NULL && !program->has_config))
        return;
    buffer_append_text(&text, "Options may also stand ");
    if (program->has_config)
        buffer_printf(
            &text, "in the file of --config (%s = ...)", program->rows[0].name);
    if (program->environment != NULL) {
        buffer_append_text(&text, program->has_config ? " and " : "");
        buffer_append_text(&text, "in the environment (");
        options_variable(&text, program->environment, program->rows[0].name);
        buffer_append_text(&text, ")");
    }
    buffer_append_text(&text, "; the command line wins.");
    buffer_append_text(out, "\n");
    append_wrapped(out, (const char *)text.data, text.size, 0, 0);
    buffer_finish(&text);
}

/* Paragraphs are divided by newlines. */
static void help_details(struct buffer *out, const char *details)
{
    while (details != NULL && *details != '\0') {
        size_t size = strcspn(details, "\n");

        buffer_append_text(out, "\n");
        append_wrapped(out, details, size, 0, 0);
        details += size;
        details += strspn(details, "\n");
    }
}

void options_help(const struct option_table *program,
                  const struct option_table *command,
                  struct buffer *out)
{
    const struct option_table *t = command == NULL ? program : command;
    struct buffer usage = {0};

    buffer_printf(&usage, "Usage: %s", program->program);
    if (command != NULL)
        buffer_printf(&usage, " %s", command->program);
    append_usage(&usage, t, command);
    append_wrapped(out, (const char *)usage.data, usage.size, 0, 7);
    buffer_finish(&usage);
    buffer_printf(
        out, "%c%s.\n", toupper((unsigned char)t->purpose[0]), t->purpose + 1);
    if (command == NULL)
        help_commands(out, program);
    help_rows(out, "Options", t, NULL);
    if (command != NULL)
        help_rows(out, "Options of all commands", program, command);
    help_builtin(out, program);
    if (command == NULL)
        help_sources(out, program);
    help_details(out, t->details);
    if (command == NULL && program->command_count > 0)
        buffer_printf(out, "\n`%s COMMAND --help` tells more.\n", program->program);
}

/* ---- man page ---- */

/* Text as roff: backslashes and dashes escaped, no control line by accident. */
static void roff(struct buffer *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        buffer_append_text(out, "\\&");
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            buffer_append_text(out, "\\e");
        else if (*text == '-')
            buffer_append_text(out, "\\-");
        else if (*text == '\n')
            buffer_append_text(out, text[1] == '.' ? "\n.PP\n\\&" : "\n.PP\n");
        else
            buffer_append_u8(out, (uint8_t)*text);
    }
}

static void man_row(struct buffer *out, const struct option_row *row)
{
    struct buffer note = {0};

    buffer_append_text(out, ".TP\n");
    if (row->letter != 0)
        buffer_printf(out, "\\fB\\-%c\\fR, ", row->letter);
    buffer_append_text(out, "\\fB\\-\\-");
    roff(out, row->name);
    buffer_append_text(out, "\\fR");
    if (row->kind != OPTION_FLAG)
        buffer_printf(out, " \\fI%s\\fR", row->argument);
    buffer_append_text(out, "\n");
    append_note(&note, row);
    buffer_append(&note, "", 1);
    roff(out, row->help);
    roff(out, (const char *)note.data);
    buffer_append_text(out, ".\n");
    buffer_finish(&note);
}

static void man_rows(struct buffer *out, const struct option_table *t)
{
    for (size_t i = 0; i < t->row_count; i++)
        man_row(out, &t->rows[i]);
}

static void man_usage(struct buffer *out, const struct option_table *t)
{
    struct buffer usage = {0};

    append_usage(&usage, t, NULL);
    buffer_append(&usage, "", 1);
    roff(out, (const char *)usage.data);
    buffer_finish(&usage);
}

static void man_commands(struct buffer *out, const struct option_table *program)
{
    if (program->command_count == 0)
        return;
    buffer_append_text(out, ".SH COMMANDS\n");
    for (size_t i = 0; i < program->command_count; i++) {
        const struct option_table *c = program->commands[i];

        buffer_append_text(out, ".SS ");
        roff(out, c->program);
        man_usage(out, c);
        buffer_append_text(out, "\n");
        roff(out, c->purpose);
        buffer_append_text(out, ".\n");
        if (c->details != NULL) {
            buffer_append_text(out, ".PP\n");
            roff(out, c->details);
            buffer_append_text(out, "\n");
        }
        man_rows(out, c);
    }
}

static void man_sources(struct buffer *out, const struct option_table *program)
{
    if (program->environment != NULL) {
        buffer_append_text(
            out, ".SH ENVIRONMENT\nEach option may be set by the variable \\fB");
        roff(out, program->environment);
        buffer_append_text(out, "NAME\\fR, its name in upper case with _ for \\-: ");
        options_variable(out, program->environment, program->rows[0].name);
        buffer_append_text(out,
                           ". One that may be repeated has one value a line.\n"
                           "The command line wins over the environment.\n");
    }
    if (program->has_config)
        buffer_append_text(
            out,
            ".SH FILES\nThe file of \\fB\\-\\-config\\fR has lines of the form\n"
            "\\fIname\\fR = \\fIvalue\\fR\nwith the names above, without dashes "
            "in front and without quotes.\nBlank lines and lines that begin "
            "with # are skipped.\nCommand line and environment win over the "
            "file.\n");
}

void options_man(const struct option_table *program, struct buffer *out)
{
    buffer_printf(out,
                  ".TH \"%s\" \"%s\" \"\" \"Triarch %s\" \"Triarch\"\n.SH NAME\n",
                  program->program,
                  program->man_section,
                  program->version);
    roff(out, program->program);
    buffer_append_text(out, " \\- ");
    roff(out, program->purpose);
    buffer_append_text(out, "\n.SH SYNOPSIS\n\\fB");
    roff(out, program->program);
    buffer_append_text(out, "\\fR");
    man_usage(out, program);
    buffer_append_text(out, "\n");
    if (program->details != NULL) {
        buffer_append_text(out, ".SH DESCRIPTION\n");
        roff(out, program->details);
        buffer_append_text(out, "\n");
    }
    man_commands(out, program);
    buffer_append_text(out, ".SH OPTIONS\n");
    man_rows(out, program);
    for (unsigned i = 0; i < BUILTIN_ROWS; i++) {
        if (options_builtin_applies(&options_builtin[i], program))
            man_row(out, &options_builtin[i]);
    }
    man_sources(out, program);
    buffer_append_text(
        out,
        ".SH \"EXIT STATUS\"\n0 for success, 1 for a failed operation, 2 for wrong "
        "usage.\n");
}
