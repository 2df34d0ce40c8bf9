/* wire_test.h - what the tests of src/wire share. */
#ifndef TESTS_UNIT_WIRE_WIRE_TEST_H
#define TESTS_UNIT_WIRE_WIRE_TEST_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/rng.h"
#include "tests/lib/unit.h"
#include "wire/rpc.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A view of a string literal, zero bytes inside included. */
#define LITERAL(text) ((struct bytes){(const uint8_t *)(text), sizeof(text) - 1})

#define ck_assert_bytes_eq(a, b)                                        \
    do {                                                                \
        struct bytes bytes_a = (a), bytes_b = (b);                      \
        ck_assert_uint_eq(bytes_a.size, bytes_b.size);                  \
        if (bytes_a.size > 0)                                           \
            ck_assert_mem_eq(bytes_a.data, bytes_b.data, bytes_a.size); \
    } while (0)

/* It failed with this code and its text has `part` in it. */
#define ck_assert_error(rc, err, expected, part)                                      \
    do {                                                                              \
        ck_assert_int_eq((rc), -(int)(expected));                                     \
        ck_assert_int_eq((err).code, (expected));                                     \
        ck_assert_msg(                                                                \
            strstr((err).text, (part)) != NULL, "'%s' lacks '%s'", (err).text, part); \
    } while (0)

#define ck_assert_done(rc, err) \
    ck_assert_msg((rc) == 0, "%s: %s", error_name((err).code), (err).text)

/* The seed of the `i`th run of a property test.  Its check_ functions name it when they
 * fail; TEST_SEED=n repeats that run (and those after it). */
static inline uint64_t test_seed(int i)
{
    const char *text = getenv("TEST_SEED");
    uint64_t seed = 20240607;

    if (text != NULL)
        seed = strtoull(text, NULL, 10);
    return seed + (unsigned)i;
}

#define ck_assert_seed(condition, seed)             \
    ck_assert_msg(condition,                        \
                  "%s; repeat with TEST_SEED=%llu", \
                  #condition,                       \
                  (unsigned long long)(seed))

#define COUNT(array) ((int)(sizeof(array) / sizeof(*(array))))

/* Decoding fails with an error for every proper beginning of `whole`.  Each is decoded
 * from a block of its exact size, so that the address sanitizer sees a read past the
 * end. */
static inline void check_every_cut(struct bytes whole,
                                   int (*decode)(struct bytes bytes, struct error *err))
{
    for (size_t size = 0; size < whole.size; size++) {
        uint8_t *cut = malloc(size > 0 ? size : 1);
        struct error err = {0};
        int rc;

        memcpy(cut, whole.data, size);
        rc = decode((struct bytes){cut, size}, &err);
        ck_assert_msg(
            rc < 0, "cut to %zu of %zu bytes it was accepted", size, whole.size);
        ck_assert_int_eq(err.code, -rc);
        ck_assert(err.text[0] != '\0');
        free(cut);
    }
}

/* The envelope of the only frame in `frame`; its params or result. */
static inline struct bytes frame_params(struct bytes frame,
                                        enum rpc_type type,
                                        enum method method,
                                        struct rpc *rpc)
{
    struct error err;
    int rc;

    ck_assert_int_eq(rpc_frame_size(frame, &err), (int64_t)frame.size);
    rc = rpc_unpack(rpc, (struct bytes){frame.data + 4, frame.size - 4}, &err);
    ck_assert_done(rc, err);
    ck_assert_int_eq(rpc->type, type);
    ck_assert_int_eq(rpc->method, method);
    return rpc->params;
}

#endif
