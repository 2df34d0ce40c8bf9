#include "base/standard_files.h"

#include "tests/lib/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each test has a process of its own; its verdict goes through a pipe of check. */
START_TEST(closed_ones_are_filled)
{
    struct stat null, st;

    ck_assert_int_eq(stat("/dev/null", &null), 0);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        close(fd);
    standard_files_reserve();
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        ck_assert_int_eq(fstat(fd, &st), 0);
        ck_assert_uint_eq(st.st_rdev, null.st_rdev);
    }
    ck_assert_int_lt(write(STDOUT_FILENO, "x", 1),
                     0); /* printing fails, as it should */
    ck_assert_int_gt(open("/dev/null", O_RDONLY), STDERR_FILENO);
}
END_TEST

START_TEST(open_ones_stay)
{
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    standard_files_reserve();
    ck_assert_int_eq(write(STDERR_FILENO, "x", 1), 1);
}
END_TEST

UNIT_MAIN("standard files",
          unit_case("standard files", closed_ones_are_filled, open_ones_stay))
