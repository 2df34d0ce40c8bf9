/* test_settings.c - lines of a file, and what is refused. */
#include "base/buffer.h"
#include "base/settings.h"
#include "tests/lib/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/test_settings.XXXXXX";
static struct buffer seen; /* "where name=value|" for each setting */

static void setup(void)
{
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    unlink(path);
    buffer_finish(&seen);
}

static int note(void *user,
                const char *where,
                const char *name,
                const char *value,
                struct error *err)
{
    const char *const *refused = user;

    buffer_printf(&seen, "%s %s=%s|", strrchr(where, ':'), name, value);
    if (*refused != NULL && strcmp(name, *refused) == 0)
        return error_set(err, ERROR_CONFLICT, "refused");
    return 0;
}

static int read_text(const char *text, const char *refused, struct error *err)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    buffer_clear(&seen);
    return settings_read(path, note, &refused, err);
}

static void check_seen(const char *expected)
{
    buffer_append(&seen, "", 1);
    ck_assert_str_eq((const char *)seen.data, expected);
}

START_TEST(names_values_and_lines)
{
    struct error err;

    ck_assert_int_eq(read_text("# head\n"
                               "id = 1\n"
                               "\n"
                               "   \t\n"
                               "\tcluster=1=a:5049,2=b:5049 \r\n"
                               "  # more\n"
                               "empty =\n"
                               "resources = cpus:4; mem:8192\n"
                               "last = no newline#",
                               NULL,
                               &err),
                     0);
    check_seen(
        ":2 id=1|:5 cluster=1=a:5049,2=b:5049|:7 empty=|"
        ":8 resources=cpus:4; mem:8192|:9 last=no newline#|");
}
END_TEST

START_TEST(empty_file_has_no_settings)
{
    ck_assert_int_eq(read_text("", NULL, NULL), 0);
    check_seen("");
}
END_TEST

START_TEST(lines_may_be_long)
{
    struct buffer line = {0};
    struct error err;

    buffer_append_text(&line, "x = ");
    for (int i = 0; i < 1000; i++)
        buffer_append_text(&line, "0123456789");
    buffer_append(&line, "", 1);
    ck_assert_int_eq(read_text((const char *)line.data, NULL, &err), 0);
    ck_assert_uint_eq(seen.size, strlen(":1 x=|") + 10000);
    buffer_finish(&line);
}
END_TEST

static void check_refused(const char *text, const char *reason)
{
    char expected[ERROR_TEXT_MAX];
    struct error err;

    ck_assert_int_eq(read_text(text, NULL, &err), -(int)ERROR_USAGE);
    snprintf(expected, sizeof(expected), "%s:%s", path, reason);
    ck_assert_str_eq(err.text, expected);
}

START_TEST(what_is_often_meant_otherwise_is_refused)
{
    check_refused("a = 1\n[master]\n", "2: not of the form name = value");
    check_refused("a\n", "1: not of the form name = value");
    check_refused("= 1\n", "1: not of the form name = value");
    check_refused("a = \"x\"\n", "1: a: values are written without quotes");
    check_refused("a = 'x'\n", "1: a: values are written without quotes");
    check_refused("a = 1 # one\n", "1: a: a comment needs a line of its own");
    check_refused("a = 1\t# one\n", "1: a: a comment needs a line of its own");
}
END_TEST

START_TEST(function_ends_the_reading)
{
    struct error err;

    ck_assert_int_eq(read_text("a = 1\nb = 2\nc = 3\n", "b", &err),
                     -(int)ERROR_CONFLICT);
    ck_assert_str_eq(err.text, "refused");
    check_seen(":1 a=1|:2 b=2|");
}
END_TEST

START_TEST(unreadable_files)
{
    struct error err;

    ck_assert_int_eq(settings_read("/no/such/file", note, &(const char *){NULL}, &err),
                     -(int)ERROR_IO);
    ck_assert_str_eq(err.text, "cannot read /no/such/file: No such file or directory");
    ck_assert_int_eq(settings_read("/tmp", note, &(const char *){NULL}, &err),
                     -(int)ERROR_IO);
    ck_assert_str_eq(err.text, "cannot read /tmp: Is a directory");
}
END_TEST

static TCase *with_file(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    return c;
}

UNIT_MAIN("settings",
          with_file(unit_case("settings",
                              names_values_and_lines,
                              empty_file_has_no_settings,
                              lines_may_be_long,
                              what_is_often_meant_otherwise_is_refused,
                              function_ends_the_reading,
                              unreadable_files)))
