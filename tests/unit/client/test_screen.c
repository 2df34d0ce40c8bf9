/* Widths, tables and progress as text. */
#include "base/text.h"
#include "client/progress.h"
#include "client/table.h"
#include "tests/lib/unit.h"

#include <stdlib.h>
#include <string.h>

#define WIDE "\xe6\xbc\xa2\xe5\xad\x97" /* two characters, four columns */

/* A screen that keeps what is written. */
static struct screen kept;
static char *written;
static size_t written_size;

static void begin(void)
{
    screen_locale();
    kept = (struct screen){.file = open_memstream(&written, &written_size)};
}

static void end(void)
{
    fclose(kept.file);
    free(written);
}

static void check_fit(const char *text, size_t columns, const char *expected)
{
    struct buffer out = {0};

    screen_fit(&out, text, columns);
    buffer_append_u8(&out, 0);
    ck_assert_str_eq((const char *)out.data, expected);
    buffer_finish(&out);
}

START_TEST(columns_are_those_of_a_terminal)
{
    ck_assert_uint_eq(screen_columns(""), 0);
    ck_assert_uint_eq(screen_columns("abc"), 3);
    ck_assert_uint_eq(screen_columns("na\xc3\xafve"), 5);
    ck_assert_uint_eq(screen_columns(WIDE), 4);
    ck_assert_uint_eq(screen_columns("e\xcc\x81"), 1); /* combining */
    ck_assert_uint_eq(screen_columns("\xef\xbf\xbd"), 1);
    ck_assert_uint_eq(screen_columns("\xff\xfe"), 2); /* not UTF-8 */
}
END_TEST

START_TEST(what_does_not_fit_ends_with_an_ellipsis)
{
    check_fit("hello", 5, "hello");
    check_fit("hello", 4, "hel\xe2\x80\xa6");
    check_fit("hello", 1, "\xe2\x80\xa6");
    check_fit("hello", 0, "");
    check_fit(WIDE "!", 4, "\xe6\xbc\xa2\xe2\x80\xa6");
    check_fit(WIDE "!", 3, "\xe6\xbc\xa2\xe2\x80\xa6");
    check_fit(WIDE "!", 2, "\xe2\x80\xa6");
}
END_TEST

static void check_wrap(const char *text, unsigned columns, const char *expected)
{
    struct buffer out = {0};

    kept.columns = columns;
    screen_wrap(&out, &kept, STYLE_WARN, text, 2);
    buffer_append_u8(&out, 0);
    ck_assert_str_eq((const char *)out.data, expected);
    buffer_finish(&out);
}

START_TEST(lines_break_at_spaces)
{
    check_wrap("one two  three", 0, "one two  three");
    check_wrap("one two", 9, "one two");
    check_wrap("one two", 8, "one\n  two");
    check_wrap("one two", 5, "one\n  two");
    check_wrap("onetwo", 5, "one\n  two");
    check_wrap("one", 1, "o\n  n\n  e");
    check_wrap(WIDE " " WIDE, 9, WIDE "\n  " WIDE);
}
END_TEST

static const struct column columns[] = {
    {"ID", COLUMN_NUMBER}, {"NAME", COLUMN_TEXT}, {"WHY", COLUMN_TEXT}};

START_TEST(tables_are_aligned)
{
    struct table *t = table_create(columns, 3);

    table_cell(t, STYLE_PLAIN, "%d", 7);
    table_cell(t, STYLE_PLAIN, WIDE);
    table_cell(t, STYLE_PLAIN, "one");
    table_cell(t, STYLE_PLAIN, "%d", 1234);
    table_cell(t, STYLE_BAD, "latin");
    table_cell(t, STYLE_PLAIN, "two");
    ck_assert_uint_eq(table_rows(t), 2);
    table_print(t, &kept);
    ck_assert_str_eq(written,
                     "  ID  NAME   WHY\n"
                     "   7  " WIDE
                     "   one\n"
                     "1234  latin  two\n");
    table_destroy(t);
}
END_TEST

START_TEST(lines_end_with_their_text)
{
    struct table *t = table_create(columns, 3);

    table_cell(t, STYLE_PLAIN, "1");
    table_cell(t, STYLE_PLAIN, "long");
    table_cell(t, STYLE_PLAIN, "why");
    table_cell(t, STYLE_PLAIN, "2");
    table_cell(t, STYLE_PLAIN, "b");
    table_cell(t, STYLE_PLAIN, "%s", "");
    table_print(t, &kept);
    ck_assert_str_eq(written, "ID  NAME  WHY\n 1  long  why\n 2  b\n");
    table_destroy(t);
}
END_TEST

START_TEST(an_empty_last_column_is_left_out)
{
    struct table *t = table_create(columns, 3);

    table_cell(t, STYLE_PLAIN, "1");
    table_cell(t, STYLE_PLAIN, "a");
    table_cell(t, STYLE_PLAIN, "%s", "");
    table_print(t, &kept);
    ck_assert_str_eq(written, "ID  NAME\n 1  a\n");
    table_destroy(t);
}
END_TEST

START_TEST(texts_go_below_where_lines_do_not_fit)
{
    static const struct column wide[] = {
        {"ID", COLUMN_NUMBER}, {"NAME", COLUMN_TEXT}, {"WHY", COLUMN_BELOW}};
    struct table *t = table_create(wide, 3);

    table_cell(t, STYLE_PLAIN, "1");
    table_cell(t, STYLE_PLAIN, "a");
    table_cell(t, STYLE_PLAIN, "no agent has 64 cpus");
    table_cell(t, STYLE_PLAIN, "2");
    table_cell(t, STYLE_PLAIN, "b");
    table_cell(t, STYLE_PLAIN, "%s", "");
    kept.terminal = true;
    kept.columns = 20;
    table_print(t, &kept);
    ck_assert_str_eq(written,
                     "ID  NAME\n 1  a\n    no agent has 64\n    cpus\n 2  b\n");
    table_destroy(t);
}
END_TEST

START_TEST(hostile_cells_cannot_forge_lines)
{
    struct table *t = table_create(columns, 3);

    table_cell(t, STYLE_PLAIN, "1");
    table_cell_bytes(t,
                     STYLE_PLAIN,
                     text_view("a\n2  root\x1b[2J\r\t\x9b"
                               "31m"));
    table_cell_bytes(t,
                     STYLE_PLAIN,
                     text_view("\xe2\x80\xae"
                               "txt"));
    table_print(t, &kept);
    for (const char *p = written; *p != '\0'; p++)
        ck_assert_msg((unsigned char)*p >= ' ' || *p == '\n', "byte %d", *p);
    ck_assert_ptr_null(strstr(written, "\xe2\x80\xae"));
    ck_assert_uint_eq((size_t)(strrchr(written, '\n') + 1 - written), written_size);
    ck_assert_ptr_eq(strchr(strchr(written, '\n') + 1, '\n') + 1,
                     written + written_size);
    table_destroy(t);
}
END_TEST

START_TEST(colour_is_only_for_screens_that_want_it)
{
    struct buffer out = {0};

    screen_styled(&out, &kept, STYLE_BAD, "x");
    ck_assert_uint_eq(out.size, 1);
    kept.colour = true;
    screen_styled(&out, &kept, STYLE_BAD, "x");
    screen_styled(&out, &kept, STYLE_PLAIN, "y");
    buffer_append_u8(&out, 0);
    ck_assert_str_eq((const char *)out.data, "x\033[31mx\033[0my");
    buffer_finish(&out);
}
END_TEST

/* ---- progress ---- */

static struct job_summary job_of(const char *name)
{
    struct job_summary job = {
        .id = 17, .name = text_view(name), .state = JOB_RUNNING, .instances = 300};

    job.tasks[TASK_FINISHED] = 120;
    job.tasks[TASK_RUNNING] = 40;
    job.tasks[TASK_PENDING] = 138;
    job.tasks[TASK_FAILED] = 2;
    return job;
}

static char *bar_of(const struct job_summary *job, const char *note, size_t width)
{
    struct progress p = {.job = job, .elapsed_ms = 65432, .note = note};
    struct buffer out = {0};

    progress_bar(&out, &kept, &p, width);
    buffer_append_u8(&out, 0);
    return (char *)out.data;
}

START_TEST(counts_leave_zeroes_out)
{
    struct job_summary job = job_of("x");
    struct progress p = {.job = &job, .elapsed_ms = 1500, .note = ""};
    struct buffer out = {0};

    progress_line(&out, &kept, &p);
    buffer_append_u8(&out, 0);
    ck_assert_str_eq((const char *)out.data,
                     "job 17 RUNNING: 120 of 300 finished, 40 running, 138 pending, "
                     "2 failed after 1.5s\n");
    ck_assert_uint_eq(progress_ended(&job), 122);
    buffer_finish(&out);
}
END_TEST

START_TEST(the_bar_fits_its_line)
{
    static const char *const names[] = {
        "x", "hash-headers", WIDE WIDE WIDE WIDE WIDE WIDE WIDE WIDE, "a\x1b[2Jb\nc"};
    static const char *const notes[] = {"", "leader is now 127.0.0.1:5149"};

    for (size_t n = 0; n < 4; n++) {
        for (size_t width = 100; width < 200; width++) {
            struct job_summary job = job_of(names[n]);
            char *bar = bar_of(&job, notes[width % 2], width);

            ck_assert_msg(
                screen_columns(bar) < width, "%zu of %zu", screen_columns(bar), width);
            ck_assert_ptr_nonnull(strstr(bar, "120 of 300 finished"));
            ck_assert_ptr_null(strpbrk(bar, "\x1b\n\r"));
            free(bar);
        }
    }
}
END_TEST

START_TEST(a_note_makes_the_bar_shorter)
{
    struct job_summary job = job_of("hash-headers");
    char *bar = bar_of(&job, "leader is now 127.0.0.1:5149", 130);

    ck_assert_ptr_nonnull(strstr(bar, "\xe2\x96\x88"));
    ck_assert_ptr_nonnull(strstr(bar, "  leader is now 127.0.0.1:5149"));
    ck_assert_uint_lt(screen_columns(bar), 130);
    free(bar);
    bar = bar_of(&job, "leader is now 127.0.0.1:5149", 100);
    ck_assert_ptr_null(strstr(bar, "leader"));
    free(bar);
}
END_TEST

START_TEST(the_bar_is_as_long_as_the_job)
{
    struct job_summary job = job_of("x");
    unsigned cells = 0;
    char *bar;

    job.tasks[TASK_FINISHED] = 300;
    job.tasks[TASK_RUNNING] = job.tasks[TASK_PENDING] = job.tasks[TASK_FAILED] = 0;
    bar = bar_of(&job, "", 120);
    for (char *p = bar; (p = strstr(p, "\xe2\x96\x88")) != NULL; p += 3)
        cells++;
    ck_assert_uint_eq(cells, 30);
    ck_assert_ptr_null(strstr(bar, "\xe2\x96\x91"));
    ck_assert_ptr_nonnull(strstr(bar, "1m 05s"));
    free(bar);
}
END_TEST

int main(void)
{
    TCase *screens = tcase_create("screen");

    tcase_add_checked_fixture(screens, begin, end);
    tcase_add_test(screens, columns_are_those_of_a_terminal);
    tcase_add_test(screens, what_does_not_fit_ends_with_an_ellipsis);
    tcase_add_test(screens, lines_break_at_spaces);
    tcase_add_test(screens, tables_are_aligned);
    tcase_add_test(screens, lines_end_with_their_text);
    tcase_add_test(screens, an_empty_last_column_is_left_out);
    tcase_add_test(screens, texts_go_below_where_lines_do_not_fit);
    tcase_add_test(screens, hostile_cells_cannot_forge_lines);
    tcase_add_test(screens, colour_is_only_for_screens_that_want_it);
    tcase_add_test(screens, counts_leave_zeroes_out);
    tcase_add_test(screens, the_bar_fits_its_line);
    tcase_add_test(screens, a_note_makes_the_bar_shorter);
    tcase_add_test(screens, the_bar_is_as_long_as_the_job);
    return unit_run("screen", &screens, 1);
}
