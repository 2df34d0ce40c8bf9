/* table.c - aligned columns. */
#include "client/table.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdarg.h>
#include <string.h>

#define GAP        2  /* columns between two cells */
#define TEXT_WIDTH 8  /* of a column of text, at least */
#define INDENT_MAX 10 /* of what goes below a row */

struct cell {
    char *text; /* printable */
    size_t columns;
    enum style style;
};

struct table {
    const struct column *columns;
    size_t count;
    struct cell *cells;
    size_t cell_count, cell_capacity;
};

struct table *table_create(const struct column *columns, size_t count)
{
    struct table *t = mem_zalloc(sizeof(*t));

    t->columns = columns;
    t->count = count;
    return t;
}

void table_destroy(struct table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->cell_count; i++)
        mem_free(t->cells[i].text);
    mem_free(t->cells);
    mem_free(t);
}

void table_cell_bytes(struct table *t, enum style style, struct bytes text)
{
    struct cell *cell;

    MEM_GROW(t->cells, t->cell_capacity, t->cell_count + 1);
    cell = &t->cells[t->cell_count++];
    cell->text = text_clean(text);
    cell->columns = screen_columns(cell->text);
    cell->style = style;
}

void table_cell(struct table *t, enum style style, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    table_cell_bytes(t, style, text_view(text));
}

size_t table_rows(const struct table *t)
{
    ASSERT(t->cell_count % t->count == 0);
    return t->cell_count / t->count;
}

/* ---- printing ---- */

static size_t column_width(const struct table *t, size_t column)
{
    size_t width = screen_columns(t->columns[column].head);

    for (size_t i = column; i < t->cell_count; i += t->count)
        if (t->cells[i].columns > width)
            width = t->cells[i].columns;
    return width;
}

static bool is_empty(const struct table *t, size_t column)
{
    for (size_t i = column; i < t->cell_count; i += t->count)
        if (t->cells[i].columns > 0)
            return false;
    return true;
}

static bool is_left_out(const struct table *t, size_t column)
{
    return column > 0 && t->cell_count > 0 && is_empty(t, column);
}

struct layout {
    const struct screen *screen;
    size_t *widths; /* 0: the column is left out */
    size_t count;   /* of columns */
    bool below;     /* there are columns that are left out for what is below */
};

static size_t line_width(const struct layout *l)
{
    size_t width = 0;

    for (size_t i = 0; i < l->count; i++)
        if (l->widths[i] > 0)
            width += l->widths[i] + (width > 0 ? GAP : 0);
    return width;
}

/* The widest column of text that may be cut; NULL: none is left. */
static size_t *widest(const struct table *t, const struct layout *l)
{
    size_t *found = NULL;

    for (size_t i = 0; i < l->count; i++)
        if (t->columns[i].kind != COLUMN_NUMBER && l->widths[i] > TEXT_WIDTH &&
            (found == NULL || l->widths[i] >= *found))
            found = &l->widths[i];
    return found;
}

static void fit(const struct table *t, struct layout *l, size_t limit)
{
    size_t *width;

    while (limit > 0 && line_width(l) > limit && (width = widest(t, l)) != NULL)
        --*width;
}

/* Before anything is cut. */
static void move_below(const struct table *t, struct layout *l, size_t limit)
{
    if (limit == 0 || line_width(l) <= limit)
        return;
    for (size_t i = 1; i < t->count; i++) {
        l->below = l->below || (t->columns[i].kind == COLUMN_BELOW && l->widths[i] > 0);
        if (t->columns[i].kind == COLUMN_BELOW)
            l->widths[i] = 0;
    }
}

static struct layout layout_of(const struct table *t, const struct screen *s)
{
    struct layout l = {.screen = s, .count = t->count};

    l.widths = mem_alloc(t->count * sizeof(size_t));
    for (size_t i = 0; i < t->count; i++)
        l.widths[i] = is_left_out(t, i) ? 0 : column_width(t, i);
    move_below(t, &l, screen_width(s));
    fit(t, &l, screen_width(s));
    return l;
}

static void pad(struct buffer *out, size_t columns)
{
    buffer_printf(out, "%*s", (int)columns, "");
}

static void append_cell(struct buffer *out,
                        const struct layout *l,
                        const struct cell *cell,
                        size_t width,
                        bool right)
{
    struct buffer fitting = {0};
    size_t columns;

    screen_fit(&fitting, cell->text, width);
    buffer_append_u8(&fitting, 0);
    columns = screen_columns((const char *)fitting.data);
    if (right)
        pad(out, width - columns);
    screen_styled(out, l->screen, cell->style, (const char *)fitting.data);
    if (!right)
        pad(out, width - columns);
    buffer_finish(&fitting);
}

static void drop_spaces(struct buffer *line)
{
    while (line->size > 0 && line->data[line->size - 1] == ' ')
        line->size--;
}

static void append_row(struct buffer *out,
                       const struct table *t,
                       const struct layout *l,
                       const struct cell *cells)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->widths[i] == 0)
            continue;
        pad(out, i > 0 ? GAP : 0);
        append_cell(
            out, l, &cells[i], l->widths[i], t->columns[i].kind == COLUMN_NUMBER);
    }
    drop_spaces(out);
    buffer_append_u8(out, '\n');
}

static void
append_head(struct buffer *out, const struct table *t, const struct layout *l)
{
    struct cell *cells = mem_alloc(t->count * sizeof(*cells));

    for (size_t i = 0; i < t->count; i++) {
        const char *head = t->columns[i].head;

        cells[i] = (struct cell){mem_strdup(head), screen_columns(head), STYLE_HEAD};
    }
    append_row(out, t, l, cells);
    for (size_t i = 0; i < t->count; i++)
        mem_free(cells[i].text);
    mem_free(cells);
}

/* In lines that begin behind the first column, so that none looks like another row. */
static void append_below(struct buffer *out,
                         const struct table *t,
                         const struct layout *l,
                         const struct cell *cells)
{
    size_t indent = l->widths[0] + GAP < INDENT_MAX ? l->widths[0] + GAP : INDENT_MAX;

    for (size_t i = 1; i < t->count; i++) {
        if (t->columns[i].kind != COLUMN_BELOW || cells[i].columns == 0)
            continue;
        pad(out, indent);
        screen_wrap(out, l->screen, cells[i].style, cells[i].text, indent);
        buffer_append_u8(out, '\n');
    }
}

void table_print(const struct table *t, struct screen *s)
{
    struct layout l = layout_of(t, s);
    struct buffer out = {0};

    ASSERT(t->cell_count % t->count == 0);
    append_head(&out, t, &l);
    for (size_t i = 0; i < t->cell_count; i += t->count) {
        append_row(&out, t, &l, &t->cells[i]);
        if (l.below)
            append_below(&out, t, &l, &t->cells[i]);
    }
    screen_write(s, &out);
    mem_free(l.widths);
    buffer_finish(&out);
}
