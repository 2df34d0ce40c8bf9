/* test_sandboxes.c - the newest sandboxes stay, the oldest go. */
#include "agent/sandboxes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sandboxes *sandboxes;

static bool is_live(void *context, uint64_t attempt)
{
    (void)context;
    return attempt == 100;
}

static void path_of(char *path, size_t room, const char *name)
{
    snprintf(path, room, "%s/runs%s%s", t.work_dir, name[0] == 0 ? "" : "/", name);
}

static void make(const char *name)
{
    char path[128];

    path_of(path, sizeof(path), name);
    ck_assert_int_eq(mkdir(path, 0755), 0);
}

static bool is_there(const char *name)
{
    char path[128];

    path_of(path, sizeof(path), name);
    return access(path, F_OK) == 0;
}

static void wait_removed(const char *name)
{
    uint64_t end = clock_monotonic_us() + unit_patience_us();

    while (is_there(name)) {
        ck_assert_msg(clock_monotonic_us() < end, "%s is still there", name);
        poll(NULL, 0, 2);
    }
}

static void wait_stuck(size_t count)
{
    uint64_t end = clock_monotonic_us() + unit_patience_us();

    while (sandboxes_stuck(sandboxes) != count) {
        ck_assert_msg(clock_monotonic_us() < end, "not %zu of them are stuck", count);
        poll(NULL, 0, 2);
    }
}

static uint64_t keep_for_ms;

/* The disk is fuller the more sandboxes there are of 1, 2, 3 and 4. */
static unsigned percent_each, percent_rest;

static unsigned free_percent(const char *work_dir)
{
    (void)work_dir;
    return percent_rest - percent_each * (unsigned)(is_there("1") + is_there("2") +
                                                    is_there("3") + is_there("4"));
}

static void open_sandboxes(size_t keep)
{
    const struct sandboxes_options options = {
        .work_dir = t.work_dir,
        .keep = keep,
        .keep_for_ms = keep_for_ms,
        .keep_free_percent = 10,
        .disk_free_percent = free_percent,
        .again_ms = 1,
        .is_live = is_live,
    };
    struct error err = {0};
    int rv = sandboxes_open(&sandboxes, &options, &err);

    ck_assert_msg(rv == 0, "%s", err.text);
}

static void setup(void)
{
    agent_test_setup();
    percent_each = 0;
    percent_rest = 100;
    keep_for_ms = 0;
    make("");
}

static void teardown(void)
{
    sandboxes_close(sandboxes);
    agent_test_teardown();
}

START_TEST(oldest_go_first)
{
    make("1");
    make("2");
    make("3");
    open_sandboxes(2);
    wait_removed("1");
    ck_assert(is_there("2"));
    make("4");
    sandboxes_add(sandboxes, 4);
    wait_removed("2");
    ck_assert(is_there("3"));
    ck_assert(is_there("4"));
}
END_TEST

START_TEST(names_of_attempts_go_with_them)
{
    const struct attempt_name first = {17, 3, 1}, second = {17, 3, 2};
    int dir = open(t.work_dir, O_PATH | O_CLOEXEC);

    open_sandboxes(1);
    attempt_names_add(dir, 1, &first);
    make("1");
    sandboxes_add(sandboxes, 1);
    ck_assert_uint_eq(sandboxes_find(sandboxes, &first), 1);
    attempt_names_add(dir, 2, &second);
    make("2");
    sandboxes_add(sandboxes, 2);
    wait_removed("1");
    ck_assert_uint_eq(sandboxes_find(sandboxes, &first), 0);
    ck_assert_uint_eq(sandboxes_find(sandboxes, &second), 2);
    close(dir);
}
END_TEST

START_TEST(what_is_left_is_taken_in_order)
{
    make("9");
    make("10");  /* by number, not by name */
    make("100"); /* runs */
    make("notes");
    open_sandboxes(1);
    wait_removed("9");
    ck_assert(is_there("10"));
    ck_assert(is_there("100"));
    ck_assert(is_there("notes"));
}
END_TEST

START_TEST(whole_trees_go)
{
    char path[128];

    make("1");
    make("1/sub");
    make("1/sub/locked");
    path_of(path, sizeof(path), "1/sub/file");
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0400));
    path_of(path, sizeof(path), "1/link");
    ck_assert_int_eq(symlink(t.shim, path), 0);
    path_of(path, sizeof(path), "1/sub/locked");
    ck_assert_int_eq(chmod(path, 0), 0);
    path_of(path, sizeof(path), "1/sub");
    ck_assert_int_eq(chmod(path, 0), 0);
    make("2");
    open_sandboxes(1);
    wait_removed("1");
    ck_assert_int_eq(access(t.shim, F_OK), 0); /* links are not followed */
}
END_TEST

/* As if it had ended so long ago. */
static void age(const char *name, uint64_t ms)
{
    uint64_t at_us = clock_wall_us() - ms * 1000;
    const struct timespec at = {.tv_sec = (time_t)(at_us / 1000000)};
    const struct timespec times[2] = {at, at};
    char path[128];

    path_of(path, sizeof(path), name);
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void make_aged(const char *name, uint64_t ms)
{
    make(name);
    age(name, ms);
}

START_TEST(old_ones_go)
{
    keep_for_ms = 3600 * 1000;
    make_aged("1", 2 * keep_for_ms);
    make_aged("2", keep_for_ms / 2);
    make_aged("3", 3 * keep_for_ms); /* a later number, but it ended first */
    open_sandboxes(10);
    wait_removed("3");
    wait_removed("1");
    ck_assert(is_there("2"));
}
END_TEST

START_TEST(the_end_counts_not_what_the_task_made_of_it)
{
    keep_for_ms = 3600 * 1000;
    make_aged("1", 2 * keep_for_ms);
    open_sandboxes(10);
    wait_removed("1");
    make_aged("2", 2 * keep_for_ms);
    sandboxes_add(sandboxes, 2);
    sandboxes_close(sandboxes);
    make_aged("3", 2 * keep_for_ms);
    open_sandboxes(10);
    wait_removed("3"); /* so the next agent has looked */
    ck_assert(is_there("2"));
}
END_TEST

START_TEST(a_full_disk_takes_the_oldest_as_far_as_needed)
{
    percent_each = 5;
    percent_rest = 20; /* with two of them there is enough */
    make_aged("4", 8ull * LIMIT_SANDBOX_YOUNG_MS);
    make_aged("1", 4 * LIMIT_SANDBOX_YOUNG_MS);
    make_aged("2", 3 * LIMIT_SANDBOX_YOUNG_MS);
    make_aged("3", 2 * LIMIT_SANDBOX_YOUNG_MS);
    open_sandboxes(10);
    wait_removed("1");
    ck_assert(!is_there("4"));
    sandboxes_close(sandboxes);
    open_sandboxes(1); /* a second look, which ends with what the number takes */
    wait_removed("2");
    ck_assert(is_there("3"));
}
END_TEST

START_TEST(a_full_disk_spares_the_young)
{
    percent_rest = 5; /* and nothing that we remove helps */
    make_aged("1", 2 * LIMIT_SANDBOX_YOUNG_MS);
    make_aged("2", LIMIT_SANDBOX_YOUNG_MS / 2);
    make_aged("3", LIMIT_SANDBOX_YOUNG_MS / 4);
    open_sandboxes(10);
    wait_removed("1");
    sandboxes_close(sandboxes);
    ck_assert(is_there("2"));
    open_sandboxes(1);
    wait_removed("2");
    ck_assert(is_there("3"));
}
END_TEST

START_TEST(a_disk_that_is_out_does_not)
{
    percent_rest = 1;
    make("1");
    make("2");
    open_sandboxes(10);
    wait_removed("1");
    wait_removed("2");
}
END_TEST

/* Each look is one of those that a new one makes. */
START_TEST(what_cannot_go_is_tried_again)
{
    char runs[128];

    path_of(runs, sizeof(runs), "");
    make_aged("1", 1000);
    make_aged("2", 500);
    make("3");
    ck_assert_int_eq(chmod(runs, 0500), 0);
    open_sandboxes(1);
    wait_stuck(2);
    ck_assert(is_there("1"));
    ck_assert_int_eq(chmod(runs, 0700), 0);
    make("4");
    sandboxes_add(sandboxes, 4);
    wait_removed("1");
    wait_removed("2");
    wait_removed("3");
    wait_stuck(0);
    ck_assert(is_there("4"));
}
END_TEST

START_TEST(missing_directory_is_an_error)
{
    const struct sandboxes_options options = {
        .work_dir = "/no/such/directory",
        .is_live = is_live,
    };
    struct error err;

    ck_assert_int_eq(sandboxes_open(&sandboxes, &options, &err), -ERROR_IO);
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("sandboxes",
          prepared(unit_case("sandboxes",
                             oldest_go_first,
                             names_of_attempts_go_with_them,
                             what_is_left_is_taken_in_order,
                             whole_trees_go,
                             old_ones_go,
                             the_end_counts_not_what_the_task_made_of_it,
                             a_full_disk_takes_the_oldest_as_far_as_needed,
                             a_full_disk_spares_the_young,
                             a_disk_that_is_out_does_not,
                             what_cannot_go_is_tried_again,
                             missing_directory_is_an_error)))
