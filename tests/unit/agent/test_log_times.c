/* test_log_times.c - how long a log was at which time. */
#include "agent/log_times.h"
#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND  1000000ull
#define NOW_US  (1700000000ull * SECOND) /* the log was written last at */
#define ATTEMPT 7

static int times, log_file;
static struct error err;

static void write_log(const char *text)
{
    const struct timespec at = {.tv_sec = (time_t)(NOW_US / SECOND)};
    const struct timespec both[2] = {at, at};

    ck_assert_int_eq(write(log_file, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(futimens(log_file, both), 0);
}

static void setup(void)
{
    char path[128];

    agent_test_setup();
    times = log_times_open(t.work_dir, &err);
    ck_assert_int_ge(times, 0);
    snprintf(path, sizeof(path), "%s/log", t.work_dir);
    log_file = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
    ck_assert_int_ge(log_file, 0);
}

static void teardown(void)
{
    close(times);
    close(log_file);
    agent_test_teardown();
}

static void add(uint64_t at_us, uint64_t length)
{
    log_times_add(times, ATTEMPT, "stdout", &(struct log_time){at_us, length});
}

static uint64_t find(uint64_t since_us)
{
    return log_times_find(times, ATTEMPT, "stdout", log_file, since_us);
}

START_TEST(a_log_is_shown_from_the_last_look_before)
{
    write_log("one\ntwo\nthree\nfour\n"); /* lines begin at 0, 4, 8 and 14 */
    add(NOW_US - 30 * SECOND, 4);
    add(NOW_US - 20 * SECOND, 8);
    add(NOW_US - 10 * SECOND, 14);
    ck_assert_uint_eq(find(NOW_US - 31 * SECOND), 0);
    ck_assert_uint_eq(find(NOW_US - 30 * SECOND), 4);
    ck_assert_uint_eq(find(NOW_US - 25 * SECOND), 4);
    ck_assert_uint_eq(find(NOW_US - 11 * SECOND), 8);
    ck_assert_uint_eq(find(NOW_US - 10 * SECOND), 14);
    ck_assert_uint_eq(find(NOW_US), 14);
    ck_assert_uint_eq(find(NOW_US + 60 * SECOND), 19); /* nothing was written since */
    ck_assert_uint_eq(log_times_last(times, ATTEMPT, "stdout").length, 14);
    ck_assert_uint_eq(log_times_last(times, ATTEMPT, "stderr").length, 0);
    ck_assert_uint_eq(log_times_last(times, ATTEMPT + 1, "stdout").length, 0);
}
END_TEST

START_TEST(a_line_that_had_begun_is_shown_whole)
{
    write_log("one\ntwo\nthree\n");
    add(NOW_US - 10 * SECOND, 6);
    ck_assert_uint_eq(find(NOW_US - 5 * SECOND), 4);
}
END_TEST

START_TEST(without_times_the_file_has_one)
{
    write_log("one\n");
    ck_assert_uint_eq(find(NOW_US - SECOND), 0);
    ck_assert_uint_eq(find(NOW_US + 60 * SECOND), 4);
}
END_TEST

START_TEST(a_log_that_was_emptied_is_shown)
{
    write_log("one\n");
    add(NOW_US - 10 * SECOND, 400);
    ck_assert_uint_eq(find(NOW_US - 5 * SECOND), 0);
}
END_TEST

START_TEST(a_torn_record_is_none)
{
    char path[128];
    int fd;

    write_log("one\ntwo\nthree\n");
    add(NOW_US - 20 * SECOND, 4);
    snprintf(path, sizeof(path), "%s/times/7.stdout", t.work_dir);
    fd = open(path, O_WRONLY | O_APPEND);
    ck_assert_int_eq(write(fd, "1234567", 7), 7);
    close(fd);
    ck_assert_uint_eq(find(NOW_US - 15 * SECOND), 4);
    add(NOW_US - 10 * SECOND, 8);
    ck_assert_uint_eq(find(NOW_US - 15 * SECOND), 4);
    ck_assert_uint_eq(find(NOW_US - 5 * SECOND), 8);
    log_times_remove(times, ATTEMPT);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(of_many_every_second_one_stays)
{
    uint64_t begin_us = NOW_US - 2 * LIMIT_LOG_SAMPLES * SECOND;
    static char lines[4 * LIMIT_LOG_SAMPLES + 1];
    struct stat st;

    for (uint64_t i = 1; i <= 2 * LIMIT_LOG_SAMPLES; i++)
        add(begin_us + i * SECOND, i * 2);
    ck_assert_int_eq(fstatat(times, "7.stdout", &st, 0), 0);
    ck_assert_int_lt(st.st_size, LIMIT_LOG_SAMPLES * 16);
    ck_assert_int_ge(st.st_size, LIMIT_LOG_SAMPLES * 8);
    memset(lines, '\n', sizeof(lines) - 1);
    write_log(lines);
    for (uint64_t i = 8; i <= 2 * LIMIT_LOG_SAMPLES; i += 999) {
        uint64_t found = find(begin_us + i * SECOND);

        ck_assert_uint_le(found, i * 2);
        ck_assert_uint_ge(found + 16, i * 2);
    }
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("log_times",
          prepared(unit_case("times",
                             a_log_is_shown_from_the_last_look_before,
                             a_line_that_had_begun_is_shown_whole,
                             without_times_the_file_has_one,
                             a_log_that_was_emptied_is_shown,
                             a_torn_record_is_none,
                             of_many_every_second_one_stays)))
