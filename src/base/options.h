/* options.h - one table drives flags, environment, config file, --help and the man
 * page.
 *
 * A program lists its options once, and its commands, each with options of its own:
 *
 *     static const struct option_row rows[] = {
 *         {.name = "id", .kind = OPTION_NUMBER, .argument = "N", .min = 1, .max = 99,
 *          .required = true, .help = "number of this master in --cluster"},
 *         {.name = "election", .kind = OPTION_DURATION, .fallback = "500ms", .min = 50,
 *          .max = 60000, .help = "silence after which a master stands for election"},
 *     };
 *     static const struct option_table table = {
 *         .program = "triarch-master", .purpose = "one master of a Triarch cluster",
 *         .environment = "TRIARCH_MASTER_", .has_config = true,
 *         .rows = rows, .row_count = 2};
 *
 * Then --id N, TRIARCH_MASTER_ID and the line `id = N` in the file of --config all set
 * it; the command line wins over the environment, that over the file, that over the
 * fallback.  Every value knows where it came from, so an error names the place to
 * repair.
 *
 * Command line: `--name value`, `--name=value`, `-n value`, `-nvalue`, flags together
 * as `-ab`;
 * `--` ends the options.  Options of the program are understood after a command too.
 * Names are never shortened.  --help (-h), --version and --man are added by themselves.
 *
 * Environment: the prefix and the name in upper case, `-` as `_`; a list has one
 * element a line.  Only options of the program, not those of its commands.
 *
 * File: `name = value`, one a line, the same names without `--`; blank lines and lines
 * that begin with # are skipped.  A list may be set on several lines; anything else
 * only once.
 *
 * Each way of giving a list replaces the weaker ones.
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_TEXT,
    OPTION_LIST,     /* of texts: may be repeated */
    OPTION_NUMBER,   /* whole, from min to max */
    OPTION_DURATION, /* "3s", "500ms"; min and max in ms */
    OPTION_FLAG, /* no argument; elsewhere yes or no, true or false, 1 or 0, on or off
                  */
};

struct option_row {
    const char *name; /* "data-dir" */
    char letter;      /* 'f' for -f, or 0 */
    enum option_kind kind;
    bool required;
    const char *argument; /* "DIR" in --help; NULL for a flag */
    const char *help;     /* what it is, without a full stop */
    const char *fallback; /* as it would be typed; NULL: none (0, "", false) */
    uint64_t min;
    uint64_t max; /* 0: no upper end */
};

enum operand_order {
    OPERANDS_MIXED, /* options may follow them: `status JOB --json` */
    OPERANDS_LAST,  /* the first one ends the options: `run -- CMD ARG…` */
};

struct option_table {
    const char *program; /* or the name of the command */
    const char *purpose; /* one line: "one master of a Triarch cluster" */
    const char
        *meant; /* of a command: words that people try instead, "ps list"; NULL */
    const char
        *details; /* for the man page and the end of --help; paragraphs, or NULL */
    const struct option_row *rows;
    size_t row_count;
    const char *operands; /* "JOB", "[--] CMD ARG..."; NULL when there are none */
    size_t operands_min;
    size_t operands_max;
    enum operand_order order;

    /* of a program only */
    const char *version;
    const char *environment;                    /* prefix, or NULL */
    bool has_config;                            /* --config FILE */
    const char *man_section;                    /* "8" */
    const struct option_table *const *commands; /* then one is required */
    size_t command_count;
};

struct options; /* the values */

struct options *
options_create(const struct option_table *program); /* borrows the table */
void options_destroy(struct options *o);            /* NULL is fine */

enum options_wish { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_MAN };

/* Read all sources.  0, or ERROR_USAGE: then the exit status is 2.  When the user asked
 * for help, version or man page, nothing is missed or checked: *wish says what to
 * print. */
int options_parse(struct options *o,
                  int argc,
                  char *const *argv,
                  enum options_wish *wish,
                  struct error *err);

/* What the user wished for, as text; the man page is roff. */
void options_print(const struct options *o, enum options_wish wish, struct buffer *out);

/* The command that was given, or NULL in a program without commands. */
const struct option_table *options_command(const struct options *o);
size_t options_operand_count(const struct options *o);
const char *options_operand(const struct options *o, size_t i);

/* Values by name; a name that is in no table or of another kind is an assertion. */
bool options_given(const struct options *o, const char *name); /* not by its fallback */
const char *options_text(const struct options *o, const char *name); /* NULL: not set */
uint64_t options_number(const struct options *o, const char *name);
uint64_t options_duration_ms(const struct options *o, const char *name);
bool options_flag(const struct options *o, const char *name);
size_t options_list_count(const struct options *o, const char *name);
const char *options_list_at(const struct options *o, const char *name, size_t i);

/* Where the value came from, as the user knows it: "--id", "TRIARCH_MASTER_ID",
 * "m.conf:3: id"; also "--id" when it is the fallback or not set. */
const char *options_origin(const struct options *o, const char *name);

/* Refuse a value that parsed but makes no sense: ERROR_USAGE with "<origin>: <text>".
 */
int options_refuse(const struct options *o,
                   const char *name,
                   struct error *err,
                   const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

/* An option that only one verb of a subcommand knows: --deadline of `agents drain`. */
struct option_verb {
    const char *name, *verb;
};

/* Refuse an option given with another verb than its own, or with none (NULL): it would be taken
 * for done. */
int options_check_verb(const struct options *o,
                       const struct option_verb *own,
                       size_t count,
                       const char *verb,
                       struct error *err);

#endif
