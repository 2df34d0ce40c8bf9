/* test_pack.c - MessagePack written by msgpack-c and read by our own cursor. */
#include "wire/pack.h"

#include "wire_test.h"

static struct buffer out;
static struct unpack u;

static void setup(void)
{
    out = (struct buffer){0};
}

static void teardown(void)
{
    buffer_finish(&out);
}

static void read_back(void)
{
    unpack_init(&u, buffer_view(&out));
}

static void read_literal(struct bytes bytes)
{
    unpack_init(&u, bytes);
}

#define ck_assert_finished()                                 \
    do {                                                     \
        struct error finish_err;                             \
        int finish_rc = unpack_finish(&u, "x", &finish_err); \
        ck_assert_done(finish_rc, finish_err);               \
    } while (0)

#define ck_assert_problem(part)                                           \
    do {                                                                  \
        struct error finish_err;                                          \
        int finish_rc = unpack_finish(&u, "thing", &finish_err);          \
        ck_assert_error(finish_rc, finish_err, ERROR_INVALID, "thing: "); \
        ck_assert_error(finish_rc, finish_err, ERROR_INVALID, part);      \
    } while (0)

static const uint64_t UINTS[] = {0,
                                 1,
                                 127,
                                 128,
                                 255,
                                 256,
                                 65535,
                                 65536,
                                 UINT32_MAX,
                                 (uint64_t)UINT32_MAX + 1,
                                 INT64_MAX,
                                 UINT64_MAX};

START_TEST(test_uint)
{
    pack_uint(&out, UINTS[_i]);
    read_back();
    ck_assert_uint_eq(unpack_uint(&u), UINTS[_i]);
    ck_assert_finished();
    if (UINTS[_i] == 0)
        return;
    read_back();
    ck_assert_uint_eq(unpack_uint_max(&u, UINTS[_i] - 1), 0);
    ck_assert_problem("too large");
}
END_TEST

static const int64_t INTS[] = {INT64_MIN,
                               (int64_t)INT32_MIN - 1,
                               INT32_MIN,
                               -32769,
                               -32768,
                               -129,
                               -128,
                               -33,
                               -32,
                               -1,
                               0,
                               1,
                               127,
                               128,
                               32768,
                               INT64_MAX};

START_TEST(test_int)
{
    pack_int(&out, INTS[_i]);
    read_back();
    ck_assert_int_eq(unpack_int(&u), INTS[_i]);
    ck_assert_finished();
    if (INTS[_i] >= 0)
        return;
    read_back();
    ck_assert_uint_eq(unpack_uint(&u), 0);
    ck_assert_problem("negative");
}
END_TEST

START_TEST(test_int_range)
{
    pack_int(&out, -5);
    read_back();
    ck_assert_int_eq(unpack_int_range(&u, -5, 5), -5);
    ck_assert_finished();
    read_back();
    ck_assert_int_eq(unpack_int_range(&u, -4, 5), 0);
    ck_assert_problem("too small");
    read_back();
    ck_assert_int_eq(unpack_int_range(&u, -10, -6), 0);
    ck_assert_problem("too large");
}
END_TEST

/* Forms that other writers choose for the same number. */
START_TEST(test_wide_forms)
{
    read_literal(LITERAL("\xd3\0\0\0\0\0\0\0\x07"));
    ck_assert_uint_eq(unpack_uint(&u), 7);
    ck_assert_finished();
    read_literal(LITERAL("\xcf\0\0\0\0\0\0\0\x07"));
    ck_assert_int_eq(unpack_int(&u), 7);
    ck_assert_finished();
    read_literal(LITERAL("\xd1\xff\xfe"));
    ck_assert_int_eq(unpack_int(&u), -2);
    ck_assert_finished();
    read_literal(LITERAL("\xcf\x80\0\0\0\0\0\0\0"));
    unpack_int(&u);
    ck_assert_problem("too large");
    read_literal(LITERAL("\xdd\0\0\0\1\xc3"));
    ck_assert_uint_eq(unpack_enter(&u), 1);
    ck_assert(unpack_bool(&u));
    unpack_leave(&u);
    ck_assert_finished();
}
END_TEST

/* The smallest form of each number: equal values give equal bytes. */
START_TEST(test_canonical)
{
    pack_uint(&out, 127);
    pack_uint(&out, 128);
    pack_uint(&out, 256);
    pack_int(&out, 200);
    pack_int(&out, -1);
    pack_bytes(&out, LITERAL("ab"));
    pack_text(&out, "c");
    pack_array(&out, 2);
    pack_nil(&out);
    pack_bool(&out, false);
    ck_assert_bytes_eq(buffer_view(&out),
                       LITERAL("\x7f\xcc\x80\xcd\x01\x00\xcc\xc8\xff\xc4\x02"
                               "ab\xa1"
                               "c\x92\xc0\xc2"));
}
END_TEST

START_TEST(test_bytes_and_text)
{
    uint8_t fixed[3];

    pack_bytes(&out, LITERAL("\0\xff"));
    pack_text(&out, "für");
    pack_text(&out, NULL);
    pack_bytes(&out, LITERAL("xyz"));
    read_back();
    ck_assert_bytes_eq(unpack_bytes(&u, 2), LITERAL("\0\xff"));
    ck_assert_bytes_eq(unpack_text(&u, 4), LITERAL("für"));
    ck_assert_bytes_eq(unpack_text(&u, 0), LITERAL(""));
    unpack_fixed(&u, fixed, sizeof(fixed));
    ck_assert_mem_eq(fixed, "xyz", 3);
    ck_assert_finished();
}
END_TEST

START_TEST(test_text_rules)
{
    read_literal(LITERAL("\xa2\xc3("));
    ck_assert_uint_eq(unpack_text(&u, 10).size, 0);
    ck_assert_problem("not UTF-8");
    read_literal(
        LITERAL("\xa3"
                "a\0b"));
    ck_assert_uint_eq(unpack_text(&u, 10).size, 0);
    ck_assert_problem("zero byte");
    read_literal(
        LITERAL("\xa3"
                "abc"));
    ck_assert_uint_eq(unpack_text(&u, 2).size, 0);
    ck_assert_problem("longer than its limit");
    read_literal(
        LITERAL("\xa2"
                "ab"));
    uint8_t fixed[3] = {9, 9, 9};
    unpack_fixed(&u, fixed, sizeof(fixed));
    ck_assert_mem_eq(fixed, "\0\0\0", 3);
    ck_assert_problem("shorter");
}
END_TEST

START_TEST(test_wrong_kinds)
{
    read_literal(LITERAL("\x01"));
    unpack_bytes(&u, 5);
    ck_assert_problem("text or bytes");
    read_literal(LITERAL("\xa0"));
    unpack_uint(&u);
    ck_assert_problem("number");
    read_literal(LITERAL("\xca\0\0\0\0"));
    unpack_int(&u);
    ck_assert_problem("number");
    read_literal(LITERAL("\x01"));
    unpack_bool(&u);
    ck_assert_problem("true or false");
    read_literal(LITERAL("\x80"));
    unpack_enter(&u);
    ck_assert_problem("array");
    read_literal(LITERAL("\x80"));
    unpack_array_view(&u);
    ck_assert_problem("array");
    read_literal(LITERAL("\xc1"));
    unpack_skip(&u);
    ck_assert_problem("0xc1");
}
END_TEST

START_TEST(test_nil)
{
    pack_array(&out, 2);
    pack_nil(&out);
    pack_uint(&out, 5);
    read_back();
    unpack_enter(&u);
    ck_assert(unpack_nil(&u));
    ck_assert(!unpack_nil(&u));
    ck_assert_uint_eq(unpack_uint(&u), 5);
    ck_assert(!unpack_nil(&u));
    unpack_leave(&u);
    ck_assert_finished();
}
END_TEST

/* An older writer sent fewer fields: they read as zero. */
START_TEST(test_missing_fields_are_zero)
{
    uint8_t fixed[2] = {1, 1};

    pack_array(&out, 1);
    pack_uint(&out, 5);
    read_back();
    ck_assert_uint_eq(unpack_enter(&u), 1);
    ck_assert_uint_eq(unpack_uint(&u), 5);
    ck_assert_uint_eq(unpack_uint(&u), 0);
    ck_assert_int_eq(unpack_int(&u), 0);
    ck_assert(!unpack_bool(&u));
    ck_assert_uint_eq(unpack_bytes(&u, 9).size, 0);
    ck_assert_uint_eq(unpack_text(&u, 9).size, 0);
    ck_assert_uint_eq(unpack_array_view(&u).size, 0);
    unpack_fixed(&u, fixed, 2);
    ck_assert_mem_eq(fixed, "\0\0", 2);
    unpack_skip(&u);
    ck_assert_uint_eq(unpack_enter(&u), 0);
    ck_assert_uint_eq(unpack_uint(&u), 0);
    unpack_leave(&u);
    unpack_leave(&u);
    ck_assert_finished();
}
END_TEST

/* A newer writer sent more fields, of any kind: they are skipped. */
START_TEST(test_unknown_fields_are_skipped)
{
    read_literal(
        LITERAL("\x92\x98\x05\xc0\xcb\0\0\0\0\0\0\0\0\x82\x01\x91\xc3\xa1k\xc4\x01z"
                "\xd4\x01\x02\xc7\x02\x01hi\xda\0\1s\xff\x07"));
    ck_assert_uint_eq(unpack_enter(&u), 2);
    ck_assert_uint_eq(unpack_enter(&u), 8);
    ck_assert_uint_eq(unpack_uint(&u), 5);
    unpack_leave(&u);
    ck_assert_uint_eq(unpack_uint(&u), 7);
    unpack_leave(&u);
    ck_assert_finished();
}
END_TEST

/* Counts that the bytes cannot hold are refused before anybody believes them. */
START_TEST(test_lying_counts)
{
    static const struct bytes LIES[] = {
        LITERAL("\xdd\xff\xff\xff\xff"),
        LITERAL("\xdc\xff\xff\x01"),
        LITERAL("\xdf\xff\xff\xff\xff"),
        LITERAL("\xdf\x00\x00\x00\x01\x01"),
        LITERAL("\xc6\xff\xff\xff\xff\x01"),
        LITERAL("\xdb\xff\xff\xff\xff\x01"),
        LITERAL("\xc9\xff\xff\xff\xff\x01\x02"),
        LITERAL("\xd8\x01\x02"),
        LITERAL("\x92\x01"),
    };

    read_literal(LIES[_i]);
    unpack_skip(&u);
    ck_assert_problem("larger than the bytes");
}
END_TEST

START_TEST(test_depth)
{
    for (unsigned i = 0; i < LIMIT_FRAME_DEPTH; i++)
        pack_array(&out, 1);
    pack_nil(&out);
    read_back();
    unpack_skip(&u);
    ck_assert_finished();
    read_back();
    for (unsigned i = 0; i < LIMIT_FRAME_DEPTH; i++)
        ck_assert_uint_eq(unpack_enter(&u), 1);
    ck_assert(unpack_nil(&u));
    for (unsigned i = 0; i < LIMIT_FRAME_DEPTH; i++)
        unpack_leave(&u);
    ck_assert_finished();

    buffer_clear(&out);
    for (unsigned i = 0; i <= LIMIT_FRAME_DEPTH; i++)
        pack_array(&out, 1);
    pack_nil(&out);
    read_back();
    unpack_skip(&u);
    ck_assert_problem("too deeply");
    read_back();
    unpack_enter(&u);
    unpack_skip(&u);
    ck_assert_problem("too deeply");
    read_back();
    for (unsigned i = 0; i < LIMIT_FRAME_DEPTH; i++)
        ck_assert_uint_eq(unpack_enter(&u), 1);
    ck_assert_uint_eq(unpack_enter(&u), 0);
    ck_assert_problem("too deeply");
}
END_TEST

START_TEST(test_first_problem_stays)
{
    pack_array(&out, 3);
    pack_uint(&out, 1);
    pack_text(&out, "x");
    pack_uint(&out, 3);
    read_back();
    unpack_enter(&u);
    unpack_uint(&u);
    unpack_fail(&u, "one rule");
    unpack_fail(&u, "another rule");
    ck_assert(!unpack_ok(&u));
    ck_assert_uint_eq(unpack_bytes(&u, 5).size, 0);
    ck_assert_uint_eq(unpack_uint(&u), 0);
    ck_assert_uint_eq(unpack_enter(&u), 0);
    unpack_leave(&u);
    unpack_leave(&u);
    ck_assert_problem("one rule");
}
END_TEST

START_TEST(test_left_over)
{
    pack_uint(&out, 1);
    pack_uint(&out, 2);
    read_back();
    unpack_uint(&u);
    ck_assert_problem("left over");
}
END_TEST

START_TEST(test_array_view)
{
    struct bytes view;

    pack_array(&out, 2);
    pack_array(&out, 2);
    pack_uint(&out, 300);
    pack_text(&out, "a");
    pack_uint(&out, 9);
    read_back();
    unpack_enter(&u);
    view = unpack_array_view(&u);
    ck_assert_bytes_eq(view,
                       LITERAL("\x92\xcd\x01\x2c\xa1"
                               "a"));
    ck_assert_uint_eq(unpack_uint(&u), 9);
    unpack_leave(&u);
    ck_assert_finished();
}
END_TEST

/* ---- any nested value: skipped whole; cut anywhere: refused ---- */

static void pack_random(struct rng *r, unsigned depth)
{
    static const char TEXT[] = "0123456789012345678901234567890123456789";
    uint32_t n;

    switch (rng_below(r, depth < 4 ? 7 : 6)) {
    case 0:
        pack_uint(&out, rng_next(r) >> rng_below(r, 64));
        break;
    case 1:
        pack_int(&out, (int64_t)(rng_next(r) >> rng_below(r, 64)) * -1);
        break;
    case 2:
        pack_bool(&out, rng_percent(r, 50));
        break;
    case 3:
        pack_nil(&out);
        break;
    case 4:
        pack_bytes(&out,
                   (struct bytes){(const uint8_t *)TEXT, rng_below(r, sizeof(TEXT))});
        break;
    case 5:
        pack_text(&out, TEXT + rng_below(r, sizeof(TEXT)));
        break;
    default:
        n = (uint32_t)rng_below(r, 20);
        pack_array(&out, n);
        while (n-- > 0)
            pack_random(r, depth + 1);
    }
}

static int skip_all(struct bytes bytes, struct error *err)
{
    struct unpack cut;

    unpack_init(&cut, bytes);
    unpack_skip(&cut);
    return unpack_finish(&cut, "value", err);
}

START_TEST(test_random_values_and_every_cut)
{
    uint64_t seed = test_seed(_i);
    struct rng r = {seed};
    struct error err;

    pack_random(&r, 0);
    ck_assert_seed(skip_all(buffer_view(&out), &err) == 0, seed);
    check_every_cut(buffer_view(&out), skip_all);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("pack");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_uint, 0, COUNT(UINTS));
    tcase_add_loop_test(t, test_int, 0, COUNT(INTS));
    tcase_add_test(t, test_int_range);
    tcase_add_test(t, test_wide_forms);
    tcase_add_test(t, test_canonical);
    tcase_add_test(t, test_bytes_and_text);
    tcase_add_test(t, test_text_rules);
    tcase_add_test(t, test_wrong_kinds);
    tcase_add_test(t, test_nil);
    tcase_add_test(t, test_missing_fields_are_zero);
    tcase_add_test(t, test_unknown_fields_are_skipped);
    tcase_add_loop_test(t, test_lying_counts, 0, 9);
    tcase_add_test(t, test_depth);
    tcase_add_test(t, test_first_problem_stays);
    tcase_add_test(t, test_left_over);
    tcase_add_test(t, test_array_view);
    tcase_add_loop_test(t, test_random_values_and_every_cut, 0, 50);
    return unit_run("pack", &t, 1);
}
