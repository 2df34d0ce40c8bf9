/* options_private.h - what options.c and options_sources.c share.
 *
 * Sources are read in the order that finds the config file: command line, environment,
 * file. A value remembers the rank of its source, so that a weaker source never
 * replaces it but is checked all the same: a mistake is named even where it would not
 * matter today.
 */
#ifndef BASE_OPTIONS_PRIVATE_H
#define BASE_OPTIONS_PRIVATE_H

#include "base/options.h"

#define REASON_MAX 300 /* bytes of a text inside an error */

enum rank { RANK_NONE, RANK_FALLBACK, RANK_FILE, RANK_ENVIRONMENT, RANK_COMMAND_LINE };

struct value {
    enum rank rank;
    char *origin; /* as the user knows it */
    char **texts; /* a list has any number, others have one */
    size_t count, capacity;
    uint64_t number; /* of the last text: number, ms, or flag */
};

/* Rows with a value each, in the order in which names are looked up. */
enum scope_kind { SCOPE_COMMAND, SCOPE_PROGRAM, SCOPE_BUILTIN, SCOPES };

struct scope {
    const struct option_row *rows;
    struct value *values;
    size_t count;
};

struct options {
    const struct option_table *program;
    const struct option_table *command;
    struct scope scopes[SCOPES];
    char **operands;
    size_t operand_count, operand_capacity;
};

struct found {
    const struct option_row *row; /* NULL: no such option */
    struct value *value;
};

void options_scope_init(struct scope *s, const struct option_row *rows, size_t count);

/* By name, or by letter when name is NULL.  A name has a size: "name=value" needs no
 * copy. */
struct found
options_find(const struct options *o, const char *name, size_t size, char letter);

/* Check a value, and keep it unless a stronger source has set the option. */
int options_set(struct found f,
                enum rank rank,
                const char *origin,
                const char *text,
                struct error *err);

/* A mistake on the command line: with the way to --help behind it. */
int options_misuse(const struct options *o, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The table whose operands these are: the command's, or the program's. */
const struct option_table *options_operand_table(const struct options *o);

enum options_wish options_wish_of(const struct options *o);

int options_read_command_line(struct options *o,
                              int argc,
                              char *const *argv,
                              struct error *err);
int options_read_environment(struct options *o, struct error *err);
int options_read_config(struct options *o, struct error *err);

#endif
