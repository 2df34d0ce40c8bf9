/* options_help.h - the tables of options.h as text for people.  Used by options.c. */
#ifndef BASE_OPTIONS_HELP_H
#define BASE_OPTIONS_HELP_H

#include "base/buffer.h"
#include "base/options.h"

/* Options that no table lists; all but --help only where the program's table says so.
 */
enum { BUILTIN_HELP, BUILTIN_VERSION, BUILTIN_MAN, BUILTIN_CONFIG, BUILTIN_ROWS };
extern const struct option_row options_builtin[BUILTIN_ROWS];
bool options_builtin_applies(const struct option_row *row,
                             const struct option_table *program);

/* TRIARCH_MASTER_DATA_DIR of "data-dir". */
void options_variable(struct buffer *out, const char *prefix, const char *name);

/* --help of the program, or of one of its commands (else NULL): at most 80 columns. */
void options_help(const struct option_table *program,
                  const struct option_table *command,
                  struct buffer *out);

/* The man page of the program with all its commands, in roff (man(7) macros). */
void options_man(const struct option_table *program, struct buffer *out);

#endif
