/* unit.h - main() of a unit test: TAP on stdout, exit status 1 if a check failed.
 *
 * Each test runs in its own process; CK_FORK=no keeps it in this one for a debugger.
 */
#ifndef TESTS_LIB_UNIT_H
#define TESTS_LIB_UNIT_H

#include <check.h>
#include <stdlib.h>

/* A test case with all the given tests: unit_case("name", test_a, test_b). */
#define unit_case(name, ...)                                                           \
    unit_case_of(name,                                                                 \
                 (const TTest *[]){__VA_ARGS__},                                       \
                 sizeof((const TTest *[]){__VA_ARGS__}) / sizeof(const TTest *))

static inline TCase *unit_case_of(const char *name, const TTest **tests, size_t count)
{
    TCase *c = tcase_create(name);

    for (size_t i = 0; i < count; i++)
        tcase_add_test(c, tests[i]);
    return c;
}

/* Run the cases and free them; return this from main(). */
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

#define UNIT_MAIN(name, ...)                                                           \
    int main(void)                                                                     \
    {                                                                                  \
        TCase *cases[] = {__VA_ARGS__};                                                \
                                                                                       \
        return unit_run(name, cases, sizeof(cases) / sizeof(cases[0]));                \
    }

#endif
