/* test_attempt_names.c - which attempt of which task a sandbox is of. */
#include "agent/attempt_names.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int dir;

static void setup(void)
{
    agent_test_setup();
    dir = open(t.work_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(dir, 0);
    ck_assert_int_eq(mkdirat(dir, ATTEMPT_NAMES, 0700), 0);
}

static void teardown(void)
{
    close(dir);
    agent_test_teardown();
}

static void add(uint64_t attempt, uint64_t job, uint32_t instance, uint32_t number)
{
    attempt_names_add(dir, attempt, &(struct attempt_name){job, instance, number});
}

static uint64_t find(uint64_t job, uint32_t instance, uint32_t number)
{
    return attempt_names_find(dir, &(struct attempt_name){job, instance, number});
}

static unsigned links_left(void)
{
    DIR *d = fdopendir(openat(dir, ATTEMPT_NAMES, O_RDONLY | O_DIRECTORY));
    unsigned count = 0;

    ck_assert_ptr_nonnull(d);
    while (readdir(d) != NULL)
        count++;
    closedir(d);
    return count - 2; /* . and .. */
}

START_TEST(each_attempt_has_its_name)
{
    add(71, 17, 3, 1);
    add(90, 17, 3, 2);
    add(UINT64_MAX / 2, UINT64_MAX, UINT32_MAX, UINT32_MAX);
    ck_assert_uint_eq(find(17, 3, 1), 71);
    ck_assert_uint_eq(find(17, 3, 2), 90);
    ck_assert_uint_eq(find(UINT64_MAX, UINT32_MAX, UINT32_MAX), UINT64_MAX / 2);
    ck_assert_uint_eq(find(17, 3, 3), 0);
    ck_assert_uint_eq(find(1, 7, 31), 0);
}
END_TEST

START_TEST(names_go_by_the_id)
{
    add(71, 17, 3, 1);
    add(90, 17, 3, 2);
    attempt_names_remove(dir, 71);
    ck_assert_uint_eq(find(17, 3, 1), 0);
    ck_assert_uint_eq(find(17, 3, 2), 90);
    attempt_names_remove(dir, 71); /* it is tried again */
    attempt_names_remove(dir, 90);
    ck_assert_uint_eq(links_left(), 0);
}
END_TEST

/* It was killed between the two links, or the host lost one. */
START_TEST(half_a_name_is_removed)
{
    ck_assert_int_eq(symlinkat("17.3.1", dir, ATTEMPT_NAMES "/71"), 0);
    ck_assert_uint_eq(find(17, 3, 1), 0);
    attempt_names_remove(dir, 71);
    ck_assert_uint_eq(links_left(), 0);
}
END_TEST

START_TEST(a_shim_names_its_sandbox)
{
    test_launcher_open();
    test_script(5, "true");
    test_wait_ended(5);
    ck_assert_uint_eq(find(17, 3, 2), 5);
    test_launcher_close();
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("attempt_names",
          prepared(unit_case("attempt_names",
                             each_attempt_has_its_name,
                             names_go_by_the_id,
                             half_a_name_is_removed,
                             a_shim_names_its_sandbox)))
