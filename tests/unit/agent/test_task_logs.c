/* test_task_logs.c - logs that grow too long lose their beginning, and nothing else. */
#include "agent/task_logs.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT   (256 * KIB)
#define LOOK_MS 5

static struct task_logs *logs;

static void path_of(char path[128], unsigned attempt, const char *name)
{
    snprintf(path, 128, "%s/runs/%u/%s", t.work_dir, attempt, name);
}

static void make_sandbox(unsigned attempt)
{
    char path[128];

    path_of(path, attempt, "");
    ck_assert_int_eq(mkdir(path, 0755), 0);
}

/* Byte i of what is written is the low byte of i / 64. */
static void append(unsigned attempt, const char *name, size_t size)
{
    uint8_t *bytes = mem_alloc(size);
    struct stat st;
    char path[128];
    int fd;

    path_of(path, attempt, name);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(((size_t)st.st_size + i) / 64);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
    mem_free(bytes);
}

static uint64_t taken(unsigned attempt, const char *name)
{
    struct stat st;
    char path[128];

    path_of(path, attempt, name);
    ck_assert_int_eq(stat(path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static void wait_cut(unsigned attempt, const char *name)
{
    uint64_t end = clock_monotonic_us() + unit_patience_us();

    while (taken(attempt, name) > LIMIT) {
        ck_assert_msg(clock_monotonic_us() < end, "%s was not cut", name);
        poll(NULL, 0, 2);
    }
}

/* The size is as before, and the newest half of the limit stands where it stood. */
static void check_tail(unsigned attempt, const char *name, size_t size)
{
    uint8_t *bytes = mem_alloc(LIMIT / 2);
    char path[128];
    struct stat st;
    int fd;

    path_of(path, attempt, name);
    fd = open(path, O_RDONLY);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_uint_eq((size_t)st.st_size, size);
    ck_assert_int_eq(pread(fd, bytes, LIMIT / 2, (off_t)(size - LIMIT / 2)), LIMIT / 2);
    for (size_t i = 0; i < LIMIT / 2; i++)
        ck_assert_uint_eq(bytes[i], (uint8_t)((size - LIMIT / 2 + i) / 64));
    close(fd);
    mem_free(bytes);
}

static void open_logs(void)
{
    const struct task_logs_options options = {
        .work_dir = t.work_dir,
        .limit_bytes = LIMIT,
        .look_ms = LOOK_MS,
    };
    struct error err = {0};

    ck_assert_msg(task_logs_open(&logs, &options, &err) == 0, "%s", err.text);
}

static void setup(void)
{
    char path[128];

    agent_test_setup();
    snprintf(path, sizeof(path), "%s/runs", t.work_dir);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    open_logs();
}

static void teardown(void)
{
    task_logs_close(logs);
    agent_test_teardown();
}

START_TEST(a_long_log_loses_its_beginning)
{
    size_t size = 1000 * KIB + 77;

    make_sandbox(1);
    task_logs_watch(logs, 1);
    append(1, "stdout", size);
    append(1, "stderr", LIMIT / 2);
    wait_cut(1, "stdout");
    check_tail(1, "stdout", size);
    append(1, "stdout", 700 * KIB);
    wait_cut(1, "stdout");
    check_tail(1, "stdout", size + 700 * KIB);
    ck_assert_uint_ge(taken(1, "stderr"), LIMIT / 2);
}
END_TEST

START_TEST(an_ended_run_is_looked_at_once_more)
{
    make_sandbox(1);
    make_sandbox(2);
    append(1, "stderr", 1000 * KIB);
    append(2, "stdout", 1000 * KIB);
    task_logs_watch(logs, 1);
    task_logs_leave(logs, 1);
    wait_cut(1, "stderr");
    append(1, "stderr", 1000 * KIB); /* nobody's task: it stays */
    task_logs_watch(logs, 2);
    wait_cut(2, "stdout");
    ck_assert_uint_gt(taken(1, "stderr"), LIMIT);
}
END_TEST

START_TEST(only_files_of_the_sandbox_are_cut)
{
    char path[128];

    make_sandbox(1);
    make_sandbox(2);
    append(1, "secret", 1000 * KIB);
    path_of(path, 1, "stdout");
    ck_assert_int_eq(symlink("secret", path), 0);
    path_of(path, 1, "stderr");
    ck_assert_int_eq(mkfifo(path, 0644), 0);
    task_logs_watch(logs, 1);
    task_logs_watch(logs, 3); /* has no sandbox yet */
    append(2, "stdout", 1000 * KIB);
    task_logs_watch(logs, 2);
    wait_cut(2, "stdout");
    ck_assert_uint_gt(taken(1, "secret"), LIMIT);
}
END_TEST

START_TEST(a_run_that_is_started_again_is_looked_at)
{
    make_sandbox(1);
    append(1, "stdout", 1000 * KIB);
    task_logs_watch(logs, 1);
    wait_cut(1, "stdout");
    task_logs_leave(logs, 1);
    task_logs_watch(logs, 1);
    append(1, "stdout", 1000 * KIB);
    wait_cut(1, "stdout");
    append(1, "stdout", 1000 * KIB);
    wait_cut(1, "stdout");
}
END_TEST

static uint64_t since(uint64_t since_us)
{
    uint64_t offset;
    char path[128];
    int fd;

    path_of(path, 1, "stdout");
    fd = open(path, O_RDONLY);
    offset = task_logs_since(logs, 1, "stdout", fd, since_us);
    close(fd);
    return offset;
}

/* Until a log is shown from here to who asks what is new. */
static void wait_shown_from(uint64_t offset)
{
    uint64_t end = clock_monotonic_us() + unit_patience_us();

    while (since(clock_wall_us()) != offset) {
        ck_assert_msg(
            clock_monotonic_us() < end, "not from %llu", (unsigned long long)offset);
        poll(NULL, 0, 2);
    }
}

START_TEST(what_was_written_when_is_kept)
{
    uint64_t begin_us = clock_wall_us(), middle_us;

    make_sandbox(1);
    append(1, "stdout", 641); /* lines begin at 641 to 704 */
    task_logs_watch(logs, 1);
    wait_shown_from(641);
    middle_us = clock_wall_us();
    task_logs_close(logs); /* the next agent goes on */
    open_logs();
    append(1, "stdout", 640);
    task_logs_watch(logs, 1);
    wait_shown_from(704);
    ck_assert_uint_eq(since(middle_us), 641);
    ck_assert_uint_eq(since(begin_us - 1), 0);
}
END_TEST

static TCase *logs_case(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("task_logs",
          logs_case(unit_case("logs",
                              a_long_log_loses_its_beginning,
                              an_ended_run_is_looked_at_once_more,
                              only_files_of_the_sandbox_are_cut,
                              a_run_that_is_started_again_is_looked_at,
                              what_was_written_when_is_kept)))
