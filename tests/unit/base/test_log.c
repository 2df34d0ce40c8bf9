/* test_log.c - shape of a line, levels, journal, escapes, many threads. */
#include "base/log.h"
#include "tests/lib/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static FILE *captured; /* stands in for stderr in the test's own process */
static char output[1 << 20];

static void capture(void)
{
    captured = tmpfile();
    ck_assert_ptr_nonnull(captured);
    ck_assert_int_ge(dup2(fileno(captured), STDERR_FILENO), 0);
    /* All writers share one offset; O_APPEND is not needed. */
}

static void release(void)
{
    fclose(captured);
}

static const char *written(void)
{
    ssize_t n = pread(fileno(captured), output, sizeof(output) - 1, 0);

    ck_assert_int_ge(n, 0);
    output[n] = '\0';
    return output;
}

START_TEST(line_has_time_level_component_text)
{
    const char *line;
    int year, month, day, hour, minute, second, ms, end = 0;

    log_warning("raft", "peer is slow peer=%d", 2);
    line = written();
    ck_assert_int_eq(sscanf(line,
                            "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n",
                            &year,
                            &month,
                            &day,
                            &hour,
                            &minute,
                            &second,
                            &ms,
                            &end),
                     7);
    ck_assert_int_eq(end, 24);
    ck_assert_int_ge(year, 2024);
    ck_assert_str_eq(line + end, " warning raft: peer is slow peer=2\n");
}
END_TEST

START_TEST(levels_filter)
{
    log_debug("a", "hidden");
    log_info("a", "shown");
    log_set_level(LOG_LEVEL_ERROR);
    log_warning("a", "hidden");
    ck_assert(!log_enabled(LOG_LEVEL_WARNING));
    ck_assert(log_enabled(LOG_LEVEL_ERROR));
    log_init(LOG_LEVEL_DEBUG);
    log_debug("a", "all");
    ck_assert_ptr_null(strstr(written(), "hidden"));
    ck_assert_ptr_nonnull(strstr(output, " info a: shown\n"));
    ck_assert_ptr_nonnull(strstr(output, " debug a: all\n"));
}
END_TEST

START_TEST(level_names)
{
    enum log_level level;

    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
        ck_assert(log_level_parse(log_level_name((enum log_level)i), &level));
        ck_assert_int_eq((int)level, i);
    }
    ck_assert(!log_level_parse("loud", &level));
}
END_TEST

static void set_journal_stream(int more)
{
    char stream[64];
    struct stat st;

    ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream,
             sizeof(stream),
             "%ju:%ju",
             (uintmax_t)st.st_dev,
             (uintmax_t)st.st_ino + (uintmax_t)more);
    setenv("JOURNAL_STREAM", stream, 1);
}

START_TEST(journal_gets_priorities_and_no_time)
{
    set_journal_stream(0);
    log_init(LOG_LEVEL_DEBUG);
    log_error("store", "disk full");
    log_warning("store", "w");
    log_info("store", "i");
    log_debug("store", "d");
    ck_assert_str_eq(written(),
                     "<3>store: disk full\n<4>store: w\n<6>store: i\n<7>store: d\n");
}
END_TEST

START_TEST(stream_of_somebody_else_is_not_the_journal)
{
    set_journal_stream(1);
    log_init(LOG_LEVEL_INFO);
    log_error("store", "disk full");
    ck_assert_int_eq(written()[0], '2');
}
END_TEST

START_TEST(closed_streams_are_replaced)
{
    struct stat null, st;
    int out = dup(STDOUT_FILENO); /* of the test itself */

    ck_assert_int_eq(stat("/dev/null", &null), 0);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        close(fd);
    log_init(LOG_LEVEL_INFO);
    log_error("store", "nobody hears this");
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        ck_assert_int_eq(fstat(fd, &st), 0);
        ck_assert_uint_eq(st.st_rdev, null.st_rdev);
    }
    dup2(out, STDOUT_FILENO);
    close(out);
    ck_assert_int_ge(dup2(fileno(captured), STDERR_FILENO), 0);
    log_init(LOG_LEVEL_INFO); /* what is open stays */
    log_error("store", "heard");
    ck_assert_ptr_nonnull(strstr(written(), "heard"));
}
END_TEST

START_TEST(control_characters_cannot_forge_a_line)
{
    log_info("client", "name=%s", "a\nb\x1b[0m\x7f \xc3\xa9");
    ck_assert_ptr_nonnull(
        strstr(written(), " info client: name=a\\nb\\x1b[0m\\x7f \xc3\xa9\n"));
}
END_TEST

START_TEST(long_line_is_cut)
{
    char text[2 * LOG_LINE_MAX];

    memset(text, '\n', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_info("client", "%s", text);
    log_info(text, "after");
    written();
    ck_assert_uint_le(strcspn(output, "\n") + 1, LOG_LINE_MAX);
    ck_assert_int_eq(output[strlen(output) - 1], '\n');
}
END_TEST

START_TEST(errno_is_kept_and_a_closed_stderr_is_no_trouble)
{
    close(STDERR_FILENO);
    errno = ENOENT;
    log_info("client", "unheard");
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_str_eq(written(), "");
}
END_TEST

static void *write_lines(void *name)
{
    for (int i = 0; i < 500; i++)
        log_info(name,
                 "%s%s",
                 "a text that is long enough to be cut in two if it could ",
                 "x");
    return NULL;
}

START_TEST(threads_do_not_mix_lines)
{
    pthread_t threads[4];
    unsigned lines = 0;

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, "many"), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    written();
    for (char *line = strtok(output, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        ck_assert_str_eq(
            line + 24,
            " info many: a text that is long enough to be cut in two if it could x");
        lines++;
    }
    ck_assert_uint_eq(lines, 2000);
}
END_TEST

static TCase *with_capture(TCase *c)
{
    tcase_add_checked_fixture(c, capture, release);
    return c;
}

UNIT_MAIN("log",
          with_capture(unit_case("log",
                                 line_has_time_level_component_text,
                                 levels_filter,
                                 level_names,
                                 journal_gets_priorities_and_no_time,
                                 stream_of_somebody_else_is_not_the_journal,
                                 closed_streams_are_replaced,
                                 control_characters_cannot_forge_a_line,
                                 long_line_is_cut,
                                 errno_is_kept_and_a_closed_stderr_is_no_trouble,
                                 threads_do_not_mix_lines)))
