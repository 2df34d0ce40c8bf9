/* test_text.c - UTF-8, printable text, decimal numbers. */
#include "wire/text.h"

#include "wire_test.h"

static const struct {
    struct bytes text;
    bool utf8;
    bool printable;
} TEXTS[] = {
    {LITERAL(""), true, true},
    {LITERAL("plain words"), true, true},
    {LITERAL("Aufgabe für Müller"), true, true},
    {LITERAL("\xe4\xbb\xbb\xe5\x8a\xa1 \xf0\x9f\x9a\x80"), true, true},
    {LITERAL("a\nb"), true, false},
    {LITERAL("\x1b[31mred"), true, false},
    {LITERAL("\x7f"), true, false},
    {LITERAL("\xc2\x85"), true, false},     /* next line, a C1 control */
    {LITERAL("\xc2\xa0"), true, true},      /* no-break space */
    {LITERAL("\xe2\x80\xa8"), true, false}, /* line separator */
    {LITERAL("\xe2\x80\xae"), true, false}, /* right-to-left override */
    {LITERAL("\xe2\x81\xa6"), true, false}, /* isolate */
    {LITERAL("\xf4\x8f\xbf\xbf"), true, true},
    {LITERAL("\xf4\x90\x80\x80"), false, false}, /* above U+10FFFF */
    {LITERAL("\xc0\x80"), false, false},         /* overlong zero */
    {LITERAL("\xe0\x80\x80"), false, false},
    {LITERAL("\xf0\x80\x80\x80"), false, false},
    {LITERAL("\xed\xa0\x80"), false, false}, /* surrogate */
    {LITERAL("\x80"), false, false},
    {LITERAL("\xff"), false, false},
    {LITERAL("a\xc3"), false, false},
    {LITERAL("\xe2\x82"), false, false},
    {LITERAL("\xc3("), false, false},
};

START_TEST(test_utf8_and_printable)
{
    ck_assert_int_eq(text_is_utf8(TEXTS[_i].text), TEXTS[_i].utf8);
    ck_assert_int_eq(text_is_printable(TEXTS[_i].text), TEXTS[_i].printable);
}
END_TEST

static const struct {
    const char *text;
    uint64_t max;
    bool ok;
    uint64_t value;
    char next;
} NUMBERS[] = {
    {"0", 10, true, 0, '\0'},
    {"10;", 10, true, 10, ';'},
    {"11", 10, false, 0, '1'},
    {"5", 4, false, 0, '5'},
    {"01", 10, false, 0, '0'},
    {"0.5", 10, true, 0, '.'},
    {"", 10, false, 0, '\0'},
    {"-1", 10, false, 0, '-'},
    {"+1", 10, false, 0, '+'},
    {" 1", 10, false, 0, ' '},
    {"18446744073709551615", UINT64_MAX, true, UINT64_MAX, '\0'},
    {"18446744073709551616", UINT64_MAX, false, 0, '1'},
    {"99999999999999999999", UINT64_MAX, false, 0, '9'},
};

START_TEST(test_take_uint)
{
    const char *at = NUMBERS[_i].text;
    uint64_t value = 0;

    ck_assert_int_eq(text_take_uint(&at, NUMBERS[_i].max, &value), NUMBERS[_i].ok);
    ck_assert_uint_eq(value, NUMBERS[_i].value);
    ck_assert_int_eq(*at, NUMBERS[_i].next);
}
END_TEST

START_TEST(test_copy_and_view)
{
    char *copy = text_copy(LITERAL("abc"));
    char *empty = text_copy((struct bytes){0});

    ck_assert_str_eq(copy, "abc");
    ck_assert_str_eq(empty, "");
    ck_assert_bytes_eq(text_view(copy), LITERAL("abc"));
    ck_assert_bytes_eq(text_view(NULL), LITERAL(""));
    free(copy);
    free(empty);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("text");
    TCase *t = tcase_create("text");

    tcase_add_loop_test(
        t, test_utf8_and_printable, 0, (int)(sizeof(TEXTS) / sizeof(*TEXTS)));
    tcase_add_loop_test(
        t, test_take_uint, 0, (int)(sizeof(NUMBERS) / sizeof(*NUMBERS)));
    tcase_add_test(t, test_copy_and_view);
    suite_add_tcase(s, t);
    return run_suite(s);
}
