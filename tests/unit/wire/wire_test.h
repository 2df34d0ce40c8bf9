/* wire_test.h - what the tests of src/wire share. */
#ifndef TESTS_UNIT_WIRE_WIRE_TEST_H
#define TESTS_UNIT_WIRE_WIRE_TEST_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/rng.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Run one suite as TAP on stdout; the value for main() to return. */
static inline int run_suite(Suite *suite)
{
    SRunner *r = srunner_create(suite);
    int failed;

    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}

/* A view of a string literal, zero bytes inside included. */
#define LITERAL(text) ((struct bytes){(const uint8_t *)(text), sizeof(text) - 1})

#define ck_assert_bytes_eq(a, b)                                                       \
    do {                                                                               \
        struct bytes bytes_a = (a), bytes_b = (b);                                     \
        ck_assert_uint_eq(bytes_a.size, bytes_b.size);                                 \
        if (bytes_a.size > 0)                                                          \
            ck_assert_mem_eq(bytes_a.data, bytes_b.data, bytes_a.size);                \
    } while (0)

/* It failed with this code and its text has `part` in it. */
#define ck_assert_error(rc, err, expected, part)                                       \
    do {                                                                               \
        ck_assert_int_eq((rc), -(int)(expected));                                      \
        ck_assert_int_eq((err).code, (expected));                                      \
        ck_assert_msg(                                                                 \
            strstr((err).text, (part)) != NULL, "'%s' lacks '%s'", (err).text, part);  \
    } while (0)

#define ck_assert_done(rc, err)                                                        \
    ck_assert_msg((rc) == 0, "%s: %s", error_name((err).code), (err).text)

/* The seed of a property test: TEST_SEED repeats a run.  It is part of each failure's
 * text through ck_assert_msg and is printed as a TAP comment. */
static inline uint64_t test_seed(void)
{
    const char *text = getenv("TEST_SEED");

    return text != NULL ? strtoull(text, NULL, 10) : 20240607;
}

#endif
