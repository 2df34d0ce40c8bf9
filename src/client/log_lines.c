/* log_lines.c - what one of several tasks writes, line by line. */
#include "client/log_lines.h"

#include "base/limits.h"
#include "base/mem.h"

#include <string.h>

/* One line, which the screen gets whole. */
static void write_line(struct log_lines *l)
{
    struct buffer out = {0};

    screen_styled(&out, l->screen, l->style, l->prefix);
    if (l->plain) {
        plain_append(&l->state, buffer_view(&l->held), &out);
        plain_end(&l->state, &out);
    } else {
        buffer_append(&out, l->held.data, l->held.size);
    }
    buffer_append_u8(&out, '\n');
    screen_write(l->screen, &out);
    buffer_finish(&out);
    buffer_clear(&l->held);
}

static void add_to_lines(struct log_lines *l, struct bytes piece)
{
    while (piece.size > 0) {
        const uint8_t *newline = memchr(piece.data, '\n', piece.size);
        size_t size = newline != NULL ? (size_t)(newline - piece.data) : piece.size;
        size_t room = LIMIT_LOG_LINE_BYTES - l->held.size;
        size_t step = size < room ? size : room;
        bool ends = newline != NULL && step == size;

        buffer_append(&l->held, piece.data, step);
        if (ends || l->held.size == LIMIT_LOG_LINE_BYTES)
            write_line(l);
        step += ends ? 1 : 0;
        piece.data += step;
        piece.size -= step;
    }
}

void log_lines_add(struct log_lines *l, struct bytes piece)
{
    struct buffer out = {0};

    if (l->prefix != NULL) {
        add_to_lines(l, piece);
    } else if (l->plain) {
        l->state.keep_return = true;
        plain_append(&l->state, piece, &out);
        screen_write(l->screen, &out);
        buffer_finish(&out);
    } else {
        screen_write_raw(l->screen, piece);
    }
}

void log_lines_end(struct log_lines *l)
{
    struct buffer out = {0};

    if (l->held.size > 0)
        write_line(l);
    plain_end(&l->state, &out);
    if (out.size > 0)
        screen_write(l->screen, &out);
    buffer_finish(&out);
}

void log_lines_finish(struct log_lines *l)
{
    buffer_finish(&l->held);
    mem_free(l->prefix);
}
