/* test_assert.c - an assertion that fires says where and aborts. */
#include "base/assert.h"
#include "tests/lib/unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(true_condition_goes_on)
{
    int evaluated = 0;

    ASSERT(++evaluated == 1);
    ck_assert_int_eq(evaluated, 1);
}
END_TEST

START_TEST(false_condition_names_itself_and_aborts)
{
    FILE *out = tmpfile();
    char text[4096];
    int status;
    pid_t pid;
    ssize_t n;

    ck_assert_ptr_nonnull(out);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(fileno(out), STDERR_FILENO);
        ASSERT(1 + 1 == 3);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGABRT);
    n = pread(fileno(out), text, sizeof(text) - 1, 0);
    ck_assert_int_gt(n, 0);
    text[n] = '\0';
    ck_assert_ptr_nonnull(strstr(text, "FATAL "));
    ck_assert_ptr_nonnull(strstr(text, "test_assert.c:"));
    ck_assert_ptr_nonnull(strstr(text, "assertion failed: 1 + 1 == 3\n"));
    fclose(out);
}
END_TEST

START_TEST(without_stderr_it_still_ends)
{
    int status;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(STDERR_FILENO);
        ASSERT(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 134);
}
END_TEST

START_TEST(aborts)
{
    ASSERT(0);
}
END_TEST

UNIT_MAIN("assert",
          unit_case("assert",
                    true_condition_goes_on,
                    false_condition_names_itself_and_aborts,
                    without_stderr_it_still_ends),
          unit_case_aborts("aborts", aborts))
