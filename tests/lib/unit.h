/* unit.h - cases and main() of a unit test: TAP on stdout, exit status 1 if a check
 * failed.
 *
 *     UNIT_MAIN("buffer",
 *               unit_case("growing", test_a, test_b),
 *               unit_case_aborts("mistakes", test_c))
 *
 * Each test runs in its own process; CK_FORK=no keeps it in this one for a debugger,
 * and CK_RUN_CASE=growing runs one case only.
 */
#ifndef TESTS_LIB_UNIT_H
#define TESTS_LIB_UNIT_H

#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

#define UNIT_TESTS(...)                  \
    (const TTest *const[]){__VA_ARGS__}, \
        sizeof((const TTest *[]){__VA_ARGS__}) / sizeof(TTest *)

/* A case of tests that end well; and one of tests that must end in an assertion. */
#define unit_case(name, ...)        unit_case_of(name, 0, UNIT_TESTS(__VA_ARGS__))
#define unit_case_aborts(name, ...) unit_case_of(name, SIGABRT, UNIT_TESTS(__VA_ARGS__))

#define UNIT_MAIN(name, ...)                                            \
    int main(void)                                                      \
    {                                                                   \
        TCase *cases[] = {__VA_ARGS__};                                 \
                                                                        \
        return unit_run(name, cases, sizeof(cases) / sizeof(cases[0])); \
    }

/* Longer than anything takes on a busy machine, in us; on a slow one, such as an emulated
 * one, TRIARCH_TEST_SLOW=N makes it N times that (and CK_TIMEOUT_MULTIPLIER the time that
 * check gives a test). */
static inline uint64_t unit_patience_us(void)
{
    const char *slow = getenv("TRIARCH_TEST_SLOW");

    return 20 * 1000000ull * (slow == NULL ? 1 : strtoull(slow, NULL, 10));
}

/* How many of n seeds to run: a third under sanitizers, where each takes ten times
 * as long and the builds without it have run them all. */
static inline int unit_seeds(int n)
{
#ifdef SANITIZED
    n = (n + 2) / 3;
#endif
    return n;
}

static inline TCase *
unit_case_of(const char *name, int signal, const TTest *const *tests, size_t count)
{
    TCase *c = tcase_create(name);

    for (size_t i = 0; i < count; i++)
        tcase_add_test_raise_signal(c, tests[i], signal);
    return c;
}

/* Run the cases and free them; the status of main(). */
static inline int unit_run(const char *name, TCase **cases, size_t count)
{
    Suite *suite = suite_create(name);
    SRunner *runner = srunner_create(suite);
    int failed;

    for (size_t i = 0; i < count; i++)
        suite_add_tcase(suite, cases[i]);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
