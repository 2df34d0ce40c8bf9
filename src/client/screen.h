/* screen.h - where text for people goes: a terminal, a pipe or a file.
 *
 * Colour and cutting to the width are for terminals only; NO_COLOR and TERM=dumb turn
 * colour off.  Texts from outside go through text_clean() first, so that a name cannot move
 * the cursor or forge a line.
 */
#ifndef CLIENT_SCREEN_H
#define CLIENT_SCREEN_H

#include "base/buffer.h"
#include "base/error.h"
#include "wire/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum style {
    STYLE_PLAIN,
    STYLE_HEAD,
    STYLE_DIM,
    STYLE_GOOD, /* ended well */
    STYLE_LIVE, /* at work */
    STYLE_WARN, /* not as wished, and being dealt with */
    STYLE_BAD,
};

struct screen {
    FILE *file;
    bool terminal;
    bool colour;
    bool dumb;        /* a terminal that cannot redraw a line */
    bool lasting;     /* a reader that went away does not end the program */
    unsigned columns; /* of its lines; 0: as many as the terminal has */
    int failure;      /* errno of the first write that failed */
};

/* Once, before the others: the character set of the user's locale. */
void screen_locale(void);

struct screen screen_of(FILE *file);
/* Columns of the terminal right now; 0: no limit. */
unsigned screen_width(const struct screen *s);

void screen_style(struct buffer *out, const struct screen *s, enum style style);
/* Text in a style, and plain again after it. */
void screen_styled(struct buffer *out,
                   const struct screen *s,
                   enum style style,
                   const char *text);
/* Write it all; what could not be written, screen_close() tells. */
void screen_write(struct screen *s, const struct buffer *text);
/* Bytes as they are: the output of a task. */
void screen_write_raw(struct screen *s, struct bytes bytes);
/* At the end: 0, or an error if anything was not written. */
int screen_close(struct screen *s, struct error *err);

/* Columns that printable text takes; wide characters take two. */
size_t screen_columns(const char *text);
/* The beginning of `text` that fits, with an ellipsis if something is missing. */
void screen_fit(struct buffer *out, const char *text, size_t columns);
/* Text that stands behind `indent` columns, in as many lines as it takes, broken at spaces. */
void screen_wrap(struct buffer *out,
                 const struct screen *s,
                 enum style style,
                 const char *text,
                 size_t indent);

enum style style_of_task(enum task_state state);
enum style style_of_job(enum job_state state);

#endif
