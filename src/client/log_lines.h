/* log_lines.h - what one of several tasks writes, line by line.
 *
 * One task's output goes through as it comes.  With a prefix, lines are kept whole: what is not
 * ended yet is held, at most LIMIT_LOG_LINE_BYTES of it, so that tasks do not write into each
 * other's lines.  On a terminal the output is made plain (plain.h), unless raw is wished.
 */
#ifndef CLIENT_LOG_LINES_H
#define CLIENT_LOG_LINES_H

#include "client/plain.h"
#include "client/screen.h"

struct log_lines { /* zeroed but for the first three is ready */
    struct screen *screen;
    bool plain;   /* for a terminal */
    char *prefix; /* "17.3  | ", owned; NULL: none */
    enum style style;
    struct plain state;
    struct buffer held; /* of a line */
};

void log_lines_add(struct log_lines *l, struct bytes piece);
/* Nothing more follows for now: the last line is ended, and colours are. */
void log_lines_end(struct log_lines *l);
void log_lines_finish(struct log_lines *l);

#endif
