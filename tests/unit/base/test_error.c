/* test_error.c - code and text in one statement, stable names. */
#include "base/error.h"
#include "tests/lib/unit.h"

#include <string.h>

START_TEST(set_fills_and_returns_the_code)
{
    struct error err;

    ck_assert_int_eq(error_set(&err, ERROR_BUSY, "%d of %d", 3, 4), -5);
    ck_assert_int_eq(err.code, ERROR_BUSY);
    ck_assert_str_eq(err.text, "3 of 4");
    ck_assert_int_eq(error_set(NULL, ERROR_IO, "unheard"), -10);
}
END_TEST

START_TEST(wrap_puts_the_place_in_front)
{
    struct error err;

    error_set(&err, ERROR_NOT_FOUND, "no job 7");
    ck_assert_int_eq(error_wrap(&err, "kill %s", "7.3"), -(int)ERROR_NOT_FOUND);
    ck_assert_str_eq(err.text, "kill 7.3: no job 7");
    ck_assert_int_eq(error_wrap(NULL, "unheard"), -(int)ERROR_INTERNAL);
}
END_TEST

START_TEST(long_text_loses_its_end_never_its_prefix)
{
    char tail[2 * ERROR_TEXT_MAX];
    struct error err;

    memset(tail, 'x', sizeof(tail) - 1);
    tail[sizeof(tail) - 1] = '\0';
    error_set(&err, ERROR_IO, "%s", tail);
    ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_MAX - 1);
    error_wrap(&err, "open");
    ck_assert_int_eq(strncmp(err.text, "open: xxx", 9), 0);
    error_wrap(&err, "%s", tail);
    ck_assert_uint_lt(strlen(err.text), ERROR_TEXT_MAX);
    ck_assert_ptr_nonnull(strstr(err.text, ": open: xxx"));
}
END_TEST

START_TEST(names_are_unique_and_go_both_ways)
{
    static const enum error_code codes[] = {
#define X(number, name, text) ERROR_##name,
        ERROR_CODES(X)
#undef X
    };

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        ck_assert_int_eq(error_code_of(error_name(codes[i])), codes[i]);
    ck_assert_str_eq(error_name(ERROR_NONE), "ok");
    ck_assert_str_eq(error_name((enum error_code)999), "internal");
    ck_assert_int_eq(error_code_of("no such"), ERROR_INTERNAL);
}
END_TEST

START_TEST(numbers_on_the_wire_stay)
{
    ck_assert_int_eq(ERROR_INVALID, 1);
    ck_assert_int_eq(ERROR_NOT_LEADER, 6);
    ck_assert_int_eq(ERROR_UNKNOWN, 7);
    ck_assert_int_eq(ERROR_INTERNAL, 15);
}
END_TEST

UNIT_MAIN("error",
          unit_case("error",
                    set_fills_and_returns_the_code,
                    wrap_puts_the_place_in_front,
                    long_text_loses_its_end_never_its_prefix,
                    names_are_unique_and_go_both_ways,
                    numbers_on_the_wire_stay))
