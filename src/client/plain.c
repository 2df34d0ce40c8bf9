/* plain.c - output of tasks on a terminal, without what could take the terminal over. */
#include "client/plain.h"

#include "base/text.h"

#include <string.h>

#define ESCAPE      0x1b
#define REPLACEMENT "\xef\xbf\xbd"

static void show_control(uint8_t c, struct buffer *out)
{
    buffer_append_u8(out, '^');
    buffer_append_u8(out, c == 0x7f ? '?' : (uint8_t)(c + '@'));
}

static void take(struct plain *p, uint8_t c, struct buffer *out);

/* What was held is no sequence: its first byte is shown, and the others begin anew. */
static void give_up(struct plain *p, struct buffer *out)
{
    uint8_t held[PLAIN_HELD_MAX];
    size_t size = p->held_size;

    memcpy(held, p->held, size);
    p->held_size = 0;
    if (held[0] == ESCAPE)
        show_control(ESCAPE, out);
    else
        buffer_append_text(out, REPLACEMENT);
    for (size_t i = 1; i < size; i++)
        take(p, held[i], out);
}

static void pass(struct plain *p, struct buffer *out)
{
    buffer_append(out, p->held, p->held_size);
    p->held_size = 0;
}

/* "ESC [ m" and "ESC [ 0 m" take all colours back. */
static void pass_colour(struct plain *p, struct buffer *out)
{
    p->coloured = !(p->held_size == 3 || (p->held_size == 4 && p->held[2] == '0'));
    pass(p, out);
}

/* After ESC: "[", then digits, semicolons and colons, then "m". */
static void go_on_escape(struct plain *p, uint8_t c, struct buffer *out)
{
    size_t at = p->held_size;

    if (at < PLAIN_HELD_MAX &&
        (at == 1 ? c == '['
                 : (c >= '0' && c <= '9') || c == ';' || c == ':' || c == 'm')) {
        p->held[p->held_size++] = c;
        if (c == 'm')
            pass_colour(p, out);
        return;
    }
    give_up(p, out);
    take(p, c, out);
}

/* How many bytes a character has that begins so; 0: none does. */
static size_t utf8_size(uint8_t first)
{
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static void go_on_character(struct plain *p, uint8_t c, struct buffer *out)
{
    if ((c & 0xc0) != 0x80) {
        give_up(p, out);
        take(p, c, out);
        return;
    }
    p->held[p->held_size++] = c;
    if (p->held_size < utf8_size(p->held[0]))
        return;
    if (text_is_printable((struct bytes){p->held, p->held_size})) {
        pass(p, out);
    } else {
        p->held_size = 0;
        buffer_append_text(out, REPLACEMENT);
    }
}

static void take(struct plain *p, uint8_t c, struct buffer *out)
{
    if (p->held_size > 0 && p->held[0] == ESCAPE)
        go_on_escape(p, c, out);
    else if (p->held_size > 0)
        go_on_character(p, c, out);
    else if (c == ESCAPE || utf8_size(c) > 0)
        p->held[p->held_size++] = c;
    else if (c >= 0x80)
        buffer_append_text(out, REPLACEMENT);
    else if ((c >= ' ' && c < 0x7f) || c == '\n' || c == '\t' ||
             (c == '\r' && p->keep_return))
        buffer_append_u8(out, c);
    else
        show_control(c, out);
}

void plain_append(struct plain *p, struct bytes bytes, struct buffer *out)
{
    for (size_t i = 0; i < bytes.size; i++)
        take(p, bytes.data[i], out);
}

void plain_end(struct plain *p, struct buffer *out)
{
    while (p->held_size > 0)
        give_up(p, out);
    if (p->coloured)
        buffer_append_text(out, "\033[0m");
    p->coloured = false;
}
