/* table.c - aligned columns. */
#include "client/table.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdarg.h>
#include <string.h>

#define GAP 2 /* columns between two cells */

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

struct layout {
    const struct screen *screen;
    size_t *widths;
    size_t shown; /* columns */
    size_t limit; /* of a line; 0: none */
};

static struct layout layout_of(const struct table *t, const struct screen *s)
{
    struct layout l = {.screen = s, .shown = t->count, .limit = screen_width(s)};

    if (t->count > 1 && is_empty(t, t->count - 1))
        l.shown--;
    l.widths = mem_alloc(t->count * sizeof(size_t));
    for (size_t i = 0; i < l.shown; i++)
        l.widths[i] = column_width(t, i);
    return l;
}

static void pad(struct buffer *out, size_t columns)
{
    buffer_printf(out, "%*s", (int)columns, "");
}

/* The last cell takes what the line has left, at least its head. */
static void append_last(struct buffer *out,
                        const struct layout *l,
                        const struct cell *cell,
                        size_t begin)
{
    size_t room = l->limit > begin ? l->limit - begin : 1;
    struct buffer fitting = {0};

    if (l->limit == 0 || cell->columns <= room) {
        screen_styled(out, l->screen, cell->style, cell->text);
        return;
    }
    screen_fit(&fitting, cell->text, room);
    buffer_append_u8(&fitting, 0);
    screen_styled(out, l->screen, cell->style, (const char *)fitting.data);
    buffer_finish(&fitting);
}

static void append_row(struct buffer *out,
                       const struct table *t,
                       const struct layout *l,
                       const struct cell *cells)
{
    size_t begin = 0;

    for (size_t i = 0; i < l->shown; i++) {
        size_t free = l->widths[i] - cells[i].columns;
        bool last = i + 1 == l->shown;

        if (t->columns[i].right)
            pad(out, free);
        if (last && !t->columns[i].right)
            append_last(out, l, &cells[i], begin);
        else
            screen_styled(out, l->screen, cells[i].style, cells[i].text);
        if (!last)
            pad(out, (t->columns[i].right ? 0 : free) + GAP);
        begin += l->widths[i] + GAP;
    }
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

void table_print(const struct table *t, struct screen *s)
{
    struct layout l = layout_of(t, s);
    struct buffer out = {0};

    ASSERT(t->cell_count % t->count == 0);
    append_head(&out, t, &l);
    for (size_t i = 0; i < t->cell_count; i += t->count)
        append_row(&out, t, &l, &t->cells[i]);
    screen_write(s, &out);
    mem_free(l.widths);
    buffer_finish(&out);
}
