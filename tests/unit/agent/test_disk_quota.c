/* test_disk_quota.c - sandboxes that take more than their disk. */
#include "agent/disk_quota.h"
#include "base/clock.h"
#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 50

static struct disk_quota *quota;
static atomic_uint looks;

static void on_look(void *arg)
{
    (void)arg;
    atomic_fetch_add(&looks, 1);
}

static void open_quota(uint64_t files)
{
    const struct disk_quota_options options = {
        .work_dir = t.work_dir, .look_ms = 5, .files = files, .hooks.notify = on_look};
    struct error err = {0};

    ck_assert_msg(disk_quota_open(&quota, &options, &err) == 0, "%s", err.text);
}

static void setup(void)
{
    agent_test_setup();
    test_launcher_open(); /* makes runs */
    open_quota(FILES);
}

static void teardown(void)
{
    disk_quota_close(quota);
    agent_test_teardown();
}

static void shell(const char *script)
{
    char command[1024];

    snprintf(command, sizeof(command), "cd %s/runs && %s", t.work_dir, script);
    ck_assert_int_eq(system(command), 0);
}

/* The only one that is over; 0: none in a while. */
static uint64_t next_over(bool expected)
{
    uint64_t end = clock_monotonic_us() + (expected ? unit_patience_us() : 100000);
    uint64_t attempt;

    while (clock_monotonic_us() < end) {
        if (disk_quota_take(quota, &attempt))
            return attempt;
        poll(NULL, 0, 1);
    }
    return 0;
}

START_TEST(too_many_bytes)
{
    shell(
        "mkdir -p 1/a/b 2 && head -c 300k /dev/zero >1/a/b/f && "
        "head -c 100k /dev/zero >2/f");
    disk_quota_watch(quota, 2, 200 * KIB);
    ck_assert_uint_eq(next_over(false), 0);
    disk_quota_watch(quota, 1, 200 * KIB);
    ck_assert_uint_eq(next_over(true), 1);
    ck_assert_uint_eq(next_over(true), 1); /* until it has left */
    ck_assert_uint_gt(atomic_load(&looks), 1);
    disk_quota_leave(quota, 1);
    ck_assert_uint_eq(next_over(false), 0);
}
END_TEST

START_TEST(too_many_files)
{
    shell("mkdir -p 1 && cd 1 && for i in $(seq 60); do : >$i; done");
    disk_quota_watch(quota, 1, 1 * MIB);
    ck_assert_uint_eq(next_over(true), 1);
}
END_TEST

START_TEST(too_deep)
{
    shell(
        "mkdir -p 1 && cd 1 && for i in $(seq 45); do mkdir -p d/d/d/d && cd d/d/d/d; "
        "done");
    disk_quota_close(quota);
    open_quota(0);
    disk_quota_watch(quota, 1, 100 * MIB);
    ck_assert_uint_eq(next_over(true), 1);
}
END_TEST

/* Logs are cut by others; links lead nowhere; holes take nothing. */
START_TEST(what_does_not_count)
{
    shell(
        "mkdir -p 1 && cd 1 && head -c 300k /dev/zero >stdout && ln -s / root && "
        "truncate -s 1G hole");
    disk_quota_watch(quota, 1, 200 * KIB);
    ck_assert_uint_eq(next_over(false), 0);
}
END_TEST

START_TEST(a_file_with_many_names_counts_once)
{
    shell("mkdir -p 1 && cd 1 && head -c 150k /dev/zero >a && ln a b && ln a c");
    disk_quota_watch(quota, 1, 200 * KIB);
    ck_assert_uint_eq(next_over(false), 0);
    shell("cd 1 && head -c 100k /dev/zero >d");
    ck_assert_uint_eq(next_over(true), 1);
}
END_TEST

START_TEST(what_a_log_has_beyond_its_end_counts)
{
    shell("mkdir -p 1 && cd 1 && echo x >stdout && fallocate -n -l 66M stdout");
    disk_quota_watch(quota, 1, 200 * KIB);
    ck_assert_uint_eq(next_over(true), 1);
}
END_TEST

START_TEST(closed_directories_are_looked_into)
{
    struct stat st;
    char path[128];

    shell("mkdir -p 1/a/b && head -c 300k /dev/zero >1/a/b/f && chmod 0 1/a/b 1/a");
    disk_quota_watch(quota, 1, 200 * KIB);
    ck_assert_uint_eq(next_over(true), 1);
    snprintf(path, sizeof(path), "%s/runs/1/a", t.work_dir);
    disk_quota_close(quota);
    quota = NULL;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0);
    shell("chmod 755 1/a && chmod 755 1/a/b");
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("disk_quota",
          prepared(unit_case("looks",
                             too_many_bytes,
                             too_many_files,
                             too_deep,
                             what_does_not_count,
                             a_file_with_many_names_counts_once,
                             what_a_log_has_beyond_its_end_counts,
                             closed_directories_are_looked_into)))
