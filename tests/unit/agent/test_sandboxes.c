/* test_sandboxes.c - the newest sandboxes stay, the oldest go. */
#include "agent/sandboxes.h"
#include "base/clock.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_US (20 * 1000000ull)

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
    uint64_t end = clock_monotonic_us() + PATIENCE_US;

    while (is_there(name)) {
        ck_assert_msg(clock_monotonic_us() < end, "%s is still there", name);
        poll(NULL, 0, 2);
    }
}

static void open_sandboxes(size_t keep)
{
    const struct sandboxes_options options = {
        .work_dir = t.work_dir,
        .keep = keep,
        .is_live = is_live,
    };
    struct error err = {0};
    int rv = sandboxes_open(&sandboxes, &options, &err);

    ck_assert_msg(rv == 0, "%s", err.text);
}

static void setup(void)
{
    agent_test_setup();
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
                             what_is_left_is_taken_in_order,
                             whole_trees_go,
                             missing_directory_is_an_error)))
