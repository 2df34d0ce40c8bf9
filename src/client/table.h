/* table.h - aligned columns.
 *
 * Cells are UTF-8 from anywhere: what is not printable is replaced.  On a terminal columns of
 * text are cut, the widest first, until the lines fit; in a pipe nothing is.  What must not be
 * cut goes below its row then, on lines of its own.
 */
#ifndef CLIENT_TABLE_H
#define CLIENT_TABLE_H

#include "client/screen.h"

enum column_kind {
    COLUMN_TEXT,
    COLUMN_NUMBER,
    COLUMN_BELOW, /* text, not the first column: where lines do not fit, it is written
                   * below its row */
};

struct column {
    const char *head;
    enum column_kind kind;
};

struct table;

struct table *table_create(const struct column *columns, size_t count);
void table_destroy(struct table *t); /* NULL is fine */

/* The next cell, row by row. */
void table_cell(struct table *t, enum style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void table_cell_bytes(struct table *t, enum style style, struct bytes text);

size_t table_rows(const struct table *t);
/* Columns without any text are left out, but for the first. */
void table_print(const struct table *t, struct screen *s);

#endif
