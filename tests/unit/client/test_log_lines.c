/* test_log_lines.c - output of tasks: lines stay whole, and a terminal stays the user's. */
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "client/log_lines.h"
#include "tests/lib/unit.h"

#include <stdlib.h>
#include <string.h>

static struct screen kept;
static char *written;
static size_t written_size;
static struct log_lines lines, others;

static void setup(void)
{
    kept = (struct screen){.file = open_memstream(&written, &written_size)};
    lines = (struct log_lines){.screen = &kept};
    others = (struct log_lines){.screen = &kept};
}

static void teardown(void)
{
    log_lines_finish(&lines);
    log_lines_finish(&others);
    fclose(kept.file);
    free(written);
}

static void add(struct log_lines *l, const char *text)
{
    log_lines_add(l, text_view(text));
}

static void use_prefixes(void)
{
    lines.prefix = mem_strdup("1.0 | ");
    others.prefix = mem_strdup("1.1 | ");
}

/* ---- lines ---- */

START_TEST(one_task_goes_through_as_it_is)
{
    add(&lines, "no end, \x1b[2J and \xff");
    log_lines_end(&lines);
    ck_assert_str_eq(written, "no end, \x1b[2J and \xff");
}
END_TEST

START_TEST(lines_of_several_are_not_mixed)
{
    use_prefixes();
    add(&lines, "a");
    add(&others, "x\ny");
    add(&lines, "b\n\nc");
    add(&others, "z\n");
    ck_assert_str_eq(written, "1.1 | x\n1.0 | ab\n1.0 | \n1.1 | yz\n");
    log_lines_end(&others);
    log_lines_end(&lines);
    ck_assert_str_eq(written, "1.1 | x\n1.0 | ab\n1.0 | \n1.1 | yz\n1.0 | c\n");
}
END_TEST

START_TEST(what_is_held_is_bounded)
{
    char *piece = mem_alloc(1000);

    use_prefixes();
    memset(piece, 'x', 1000);
    for (int i = 0; i < 200; i++) {
        log_lines_add(&lines, (struct bytes){(uint8_t *)piece, 1000});
        ck_assert_uint_le(lines.held.size, LIMIT_LOG_LINE_BYTES);
    }
    ck_assert_uint_gt(written_size, 3 * LIMIT_LOG_LINE_BYTES);
    ck_assert_ptr_eq(strchr(written, '\n'),
                     written + strlen("1.0 | ") + LIMIT_LOG_LINE_BYTES);
    mem_free(piece);
}
END_TEST

START_TEST(bytes_of_several_are_kept_in_a_pipe)
{
    use_prefixes();
    add(&lines, "\x1b[31mred\r\xff\n");
    ck_assert_str_eq(written, "1.0 | \x1b[31mred\r\xff\n");
}
END_TEST

/* ---- a terminal ---- */

static const struct {
    const char *text, *shown;
} PLAIN[] = {
    {"plain\n\ttext", "plain\n\ttext"},
    {"\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"},
    {"\x1b[38:5:9mred\x1b[m", "\x1b[38:5:9mred\x1b[m"},
    {"\x1b[2J", "^[[2J"},                 /* clear */
    {"\x1b]0;title\x07", "^[]0;title^G"}, /* set the title */
    {"\x1b[6n", "^[[6n"},                 /* answer as if typed */
    {"\x1bP+q\x1b\\", "^[P+q^[\\"},       /* a device's string */
    {"\x1b[31;\x1b[2Jm", "^[[31;^[[2Jm"}, /* one in another */
    {"\x1b\x1b[32mgreen\x1b[0m", "^[\x1b[32mgreen\x1b[0m"},
    {"\xc2\x9b"
     "2J",
     "\xef\xbf\xbd"
     "2J"}, /* CSI of C1 */
    {"\x9b"
     "2J",
     "\xef\xbf\xbd"
     "2J"}, /* and as one byte */
    {"\xe2\x80\xae"
     "x",
     "\xef\xbf\xbd"
     "x"}, /* right to left */
    {"\xc3\xa4\xe6\xbc\xa2\xf0\x9f\x99\x82", "\xc3\xa4\xe6\xbc\xa2\xf0\x9f\x99\x82"},
    {"\xe6\xbc"
     "x\xf0\x9f",
     "\xef\xbf\xbd\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd"},
    {"\x08\x7f\x01", "^H^?^A"},
    {"a\rb", "a\rb"}, /* bars that redraw themselves */
};

static void shows_plain(const char *text, const char *shown, size_t step)
{
    struct plain p = {.keep_return = true};
    struct buffer out = {0};

    for (size_t at = 0, n; at < strlen(text); at += n) {
        n = strlen(text) - at < step ? strlen(text) - at : step;
        plain_append(&p, (struct bytes){(const uint8_t *)text + at, n}, &out);
    }
    plain_end(&p, &out);
    buffer_append_u8(&out, 0);
    ck_assert_str_eq((const char *)out.data, shown);
    buffer_finish(&out);
}

START_TEST(a_terminal_gets_colours_only)
{
    for (size_t i = 0; i < sizeof(PLAIN) / sizeof(PLAIN[0]); i++)
        for (size_t step = 1; step < 40; step += 3)
            shows_plain(PLAIN[i].text, PLAIN[i].shown, step);
}
END_TEST

START_TEST(a_colour_that_never_ends_is_no_colour)
{
    char text[201] = "\x1b[", shown[202] = "^[[";

    memset(text + 2, ';', 198);
    memset(shown + 3, ';', 198);
    shows_plain(text, shown, 200);
}
END_TEST

START_TEST(colours_end_with_their_line)
{
    use_prefixes();
    lines.plain = true;
    add(&lines, "\x1b[31mred\nplain\rforged\n");
    ck_assert_str_eq(written, "1.0 | \x1b[31mred\x1b[0m\n1.0 | plain^Mforged\n");
}
END_TEST

START_TEST(colours_end_with_the_output)
{
    lines.plain = true;
    add(&lines, "\x1b[31mred\xc3");
    log_lines_end(&lines);
    ck_assert_str_eq(written, "\x1b[31mred\xef\xbf\xbd\x1b[0m");
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    return c;
}

UNIT_MAIN("log_lines",
          prepared(unit_case("lines",
                             one_task_goes_through_as_it_is,
                             lines_of_several_are_not_mixed,
                             what_is_held_is_bounded,
                             bytes_of_several_are_kept_in_a_pipe)),
          prepared(unit_case("terminal",
                             a_terminal_gets_colours_only,
                             a_colour_that_never_ends_is_no_colour,
                             colours_end_with_their_line,
                             colours_end_with_the_output)))
