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

static const struct {
    const char *text;
    bool ok;
    uint64_t value;
    const char *rest;
} THOUSANDTHS[] = {
    {"1", true, 1000, ""},
    {"1.5", true, 1500, ""},
    {"1.25x", true, 1250, "x"},
    {"0.001", true, 1, ""},
    {"0.0019", true, 1, "9"},
    {"1.", true, 1000, "."},
    {".5", false, 0, ".5"},
    {"18446744073709550", true, 18446744073709550000u, ""},
    {"18446744073709551", false, 0, "18446744073709551"},
};

START_TEST(test_take_thousandths)
{
    const char *at = THOUSANDTHS[_i].text;
    uint64_t value = 0;

    ck_assert_int_eq(text_take_thousandths(&at, &value), THOUSANDTHS[_i].ok);
    ck_assert_uint_eq(value, THOUSANDTHS[_i].value);
    ck_assert_str_eq(at, THOUSANDTHS[_i].rest);
}
END_TEST

static const struct {
    const char *text;
    bool ok;
    uint64_t ms;
} DURATIONS[] = {
    {"5", true, 5000},
    {"5s", true, 5000},
    {"1.5s", true, 1500},
    {"500ms", true, 500},
    {"0.5m", true, 30000},
    {"0.001s", true, 1},
    {"0.5ms", false, 0},
    {"5 s", false, 0},
    {"5d", false, 0},
    {"", false, 0},
    {"s", false, 0},
    {"-1s", false, 0},
    {"1.0001s", false, 0},
    {"18446744073709550h", false, 0},
};

START_TEST(test_parse_duration)
{
    uint64_t ms = 0;

    ck_assert_int_eq(text_parse_duration_ms(DURATIONS[_i].text, &ms), DURATIONS[_i].ok);
    ck_assert_uint_eq(ms, DURATIONS[_i].ms);
}
END_TEST

START_TEST(test_time)
{
    char text[TEXT_TIME_BYTES];

    text_time(0, text);
    ck_assert_str_eq(text, "1970-01-01T00:00:00.000000Z");
    text_time(1709210096789012, text);
    ck_assert_str_eq(text, "2024-02-29T12:34:56.789012Z");
    text_time(UINT64_MAX, text); /* far away, but whole */
    ck_assert_str_eq(text, "586524-01-19T08:01:49.551615Z");
}
END_TEST

static const struct {
    const char *word;
    const char *meant; /* NULL for nothing */
} SLIPS[] = {
    {"instnces", "instances"},
    {"instance", "instances"},
    {"Instances", "instances"},
    {"isntances", "instances"},
    {"cpu", "cpus"},
    {"cups", "cpus"},
    {"memory", NULL},
    {"me", "mem"},
    {"", NULL},
    {"x", NULL},
    {"xxxxxxxxx", NULL},
    {"an unreasonably long word that nobody meant", NULL},
};

START_TEST(test_suggest)
{
    static const char *const NAMES[] = {"instances", "cpus", "mem", NULL};
    const char *meant = text_suggest(SLIPS[_i].word, NAMES);

    ck_assert_pstr_eq(meant, SLIPS[_i].meant);
}
END_TEST

START_TEST(test_clean)
{
    char *clean = text_clean(LITERAL("a\0\nb\xff\xc3\xbc\xc3"));

    ck_assert_str_eq(clean,
                     "a\xef\xbf\xbd\xef\xbf\xbd"
                     "b\xef\xbf\xbd\xc3\xbc\xef\xbf\xbd");
    free(clean);
    clean = text_clean((struct bytes){0});
    ck_assert_str_eq(clean, "");
    free(clean);
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

    tcase_add_loop_test(t, test_utf8_and_printable, 0, COUNT(TEXTS));
    tcase_add_loop_test(t, test_take_uint, 0, COUNT(NUMBERS));
    tcase_add_loop_test(t, test_take_thousandths, 0, COUNT(THOUSANDTHS));
    tcase_add_loop_test(t, test_parse_duration, 0, COUNT(DURATIONS));
    tcase_add_test(t, test_time);
    tcase_add_loop_test(t, test_suggest, 0, COUNT(SLIPS));
    tcase_add_test(t, test_clean);
    tcase_add_test(t, test_copy_and_view);
    suite_add_tcase(s, t);
    return run_suite(s);
}
