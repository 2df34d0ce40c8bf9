/* test_text.c - numbers, durations, sizes, UTF-8, distance. */
#include "base/text.h"
#include "tests/lib/unit.h"

#include <string.h>

START_TEST(whole_numbers)
{
    static const char *const wrong[] = {"",
                                        " 1",
                                        "1 ",
                                        "+1",
                                        "-1",
                                        "0x1",
                                        "1.0",
                                        "18446744073709551616",
                                        "99999999999999999999999"};
    uint64_t n = 7;

    ck_assert(text_parse_u64(&n, "0") && n == 0);
    ck_assert(text_parse_u64(&n, "007") && n == 7);
    ck_assert(text_parse_u64(&n, "18446744073709551615") && n == UINT64_MAX);
    n = 7;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(!text_parse_u64(&n, wrong[i]) && n == 7, "\"%s\"", wrong[i]);
}
END_TEST

static const struct {
    const char *text;
    uint64_t ms;
} durations[] = {
    {"0", 0},
    {"0ms", 0},
    {"500ms", 500},
    {"3s", 3000},
    {"1.5s", 1500},
    {"0.001s", 1},
    {"0.25m", 15000},
    {"2m", 120000},
    {"1h", 3600000},
    {"7d", 604800000},
    {"0.125d", 10800000},
    {"18446744073709551615ms", UINT64_MAX},
};

START_TEST(durations_with_units)
{
    uint64_t ms;

    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        ck_assert_msg(text_parse_duration_ms(&ms, durations[i].text, NULL) == 0,
                      "%s",
                      durations[i].text);
        ck_assert_uint_eq(ms, durations[i].ms);
    }
}
END_TEST

START_TEST(no_durations)
{
    static const char *const wrong[] = {"",
                                        "s",
                                        "5",
                                        "-1s",
                                        "1 s",
                                        "1s ",
                                        "1S",
                                        "1.s",
                                        ".5s",
                                        "1.5",
                                        "0.5ms",
                                        "1.0005s",
                                        "18446744073709551615s",
                                        "213503982335d",
                                        "1w"};
    struct error err;
    uint64_t ms;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(text_parse_duration_ms(&ms, wrong[i], &err) ==
                          -(int)ERROR_INVALID,
                      "\"%s\"",
                      wrong[i]);
    text_parse_duration_ms(&ms, "5", &err);
    ck_assert_str_eq(
        err.text,
        "\"5\" is not a duration: write a number with a unit, as 500ms, 3s, "
        "2m, 1h or 7d");
}
END_TEST

START_TEST(durations_for_people)
{
    char out[TEXT_SHORT_MAX];

    ck_assert_str_eq(text_duration(out, 0), "0s");
    ck_assert_str_eq(text_duration(out, 999), "999ms");
    ck_assert_str_eq(text_duration(out, 2599), "2.5s");
    ck_assert_str_eq(text_duration(out, 59999), "59.9s");
    ck_assert_str_eq(text_duration(out, 185000), "3m 05s");
    ck_assert_str_eq(text_duration(out, 14520000), "4h 02m");
    ck_assert_str_eq(text_duration(out, 183600000), "2d 03h");
    ck_assert_str_eq(text_duration(out, UINT64_MAX), "213503982334d 14h");
    ck_assert_str_eq(text_duration(out, 3000), "3s");
    ck_assert_str_eq(text_duration(out, 3001), "3.0s");
    ck_assert_str_eq(text_duration(out, 300000), "5m");
    ck_assert_str_eq(text_duration(out, 300001), "5m 00s");
    ck_assert_str_eq(text_duration(out, 5400000), "1h 30m");
    ck_assert_str_eq(text_duration(out, 3601000), "1h 00m");
    ck_assert_str_eq(text_duration(out, 3600000), "1h");
    ck_assert_str_eq(text_duration(out, 86400000), "1d");
}
END_TEST

START_TEST(thousandths_for_people)
{
    char out[TEXT_SHORT_MAX];

    ck_assert_str_eq(text_thousandths(out, 0), "0");
    ck_assert_str_eq(text_thousandths(out, 10000), "10");
    ck_assert_str_eq(text_thousandths(out, 1250), "1.25");
    ck_assert_str_eq(text_thousandths(out, 1), "0.001");
    ck_assert_str_eq(text_thousandths(out, UINT64_MAX), "18446744073709551.615");
}
END_TEST

static const struct {
    const char *text;
    uint64_t max;
    bool ok;
    uint64_t value;
    char next;
} leading_numbers[] = {
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

START_TEST(numbers_in_front)
{
    for (size_t i = 0; i < sizeof(leading_numbers) / sizeof(leading_numbers[0]); i++) {
        const char *at = leading_numbers[i].text;
        uint64_t value = 0;
        bool ok = text_take_uint(&at, leading_numbers[i].max, &value);

        ck_assert_msg(ok == leading_numbers[i].ok, "\"%s\"", leading_numbers[i].text);
        ck_assert_uint_eq(value, leading_numbers[i].value);
        ck_assert_int_eq(*at, leading_numbers[i].next);
    }
}
END_TEST

static const struct {
    const char *text;
    bool ok;
    uint64_t value;
    const char *rest;
} thousandths[] = {
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

START_TEST(thousandths_in_front)
{
    for (size_t i = 0; i < sizeof(thousandths) / sizeof(thousandths[0]); i++) {
        const char *at = thousandths[i].text;
        uint64_t value = 0;

        ck_assert_int_eq(text_take_thousandths(&at, &value), thousandths[i].ok);
        ck_assert_uint_eq(value, thousandths[i].value);
        ck_assert_str_eq(at, thousandths[i].rest);
    }
}
END_TEST

START_TEST(times)
{
    char text[TEXT_TIME_MAX];

    text_time(text, 0);
    ck_assert_str_eq(text, "1970-01-01T00:00:00.000000Z");
    text_time(text, 1709210096789012);
    ck_assert_str_eq(text, "2024-02-29T12:34:56.789012Z");
    text_time(text, UINT64_MAX); /* far away, but whole */
    ck_assert_str_eq(text, "586524-01-19T08:01:49.551615Z");
}
END_TEST

START_TEST(times_are_read)
{
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2024-02-29T12:34:56.789012Z", 1709210096789012},
        {"2024-02-29T12:34:56.789012345Z", 1709210096789012},
        {"2024-02-29T14:34:56.5+02:00", 1709210096500000},
        {"2024-02-29T11:04:56-01:30", 1709210096000000},
        {"1970-01-01T00:00:00+05:00", 0}, /* before it all began */
    };
    static const char *const bad[] = {
        "",
        "now",
        "2024-02-29",
        "2024-02-30T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-02-29 12:34:56Z",
        "2024-02-29T12:34:56",
        "2024-02-29T24:00:00Z",
        "2024-02-29T12:34:56.Z",
        "2024-02-29T12:34:56Zulu",
        "2024-02-29T12:34:56+2",
        "1969-12-31T23:59:59Z",
        "2024-2-29T12:34:56Z",
    };
    struct error err;
    uint64_t us;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ck_assert_int_eq(text_parse_time(&us, good[i].text, &err), 0);
        ck_assert_uint_eq(us, good[i].us);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(
            text_parse_time(&us, bad[i], &err) == -ERROR_INVALID, "%s", bad[i]);
}
END_TEST

START_TEST(sizes_for_people)
{
    char out[TEXT_SHORT_MAX];

    ck_assert_str_eq(text_size(out, 0), "0 B");
    ck_assert_str_eq(text_size(out, 1023), "1023 B");
    ck_assert_str_eq(text_size(out, 1024), "1.0 KiB");
    ck_assert_str_eq(text_size(out, 1536 * 1024), "1.5 MiB");
    ck_assert_str_eq(text_size(out, (1ull << 30) - 1), "1023.9 MiB");
    ck_assert_str_eq(text_size(out, UINT64_MAX), "15.9 EiB");
}
END_TEST

static struct bytes view(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

START_TEST(well_formed_utf8)
{
    static const char *const good[] = {"",
                                       "plain",
                                       "\xc2\x80",
                                       "\xe2\x82\xac",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",             /* continuation alone */
                                      "\xc2",             /* cut short */
                                      "\xc2 ",            /* cut short */
                                      "\xe2\x82",         /* cut short */
                                      "\xf0\x90\x80",     /* cut short */
                                      "\xc0\xaf",         /* overlong */
                                      "\xc1\xbf",         /* overlong */
                                      "\xe0\x9f\xbf",     /* overlong */
                                      "\xf0\x8f\xbf\xbf", /* overlong */
                                      "\xed\xa0\x80",     /* surrogate */
                                      "\xf4\x90\x80\x80", /* above U+10FFFF */
                                      "\xf5\x80\x80\x80",
                                      "\xff"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(text_is_utf8(view(good[i])), "good %zu", i);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(!text_is_utf8(view(bad[i])), "bad %zu", i);
        ck_assert(!text_is_printable(view(bad[i])));
    }
}
END_TEST

START_TEST(printable_has_no_controls)
{
    static const char *const controls[] = {"a\nb",
                                           "\t",
                                           "\x1b[0m",
                                           "\x7f",
                                           "\xc2\x9b",
                                           "\xe2\x80\xa8",  /* line separator */
                                           "\xe2\x80\xae",  /* right-to-left override */
                                           "\xe2\x81\xa6"}; /* isolate */

    ck_assert(text_is_printable(view("na\xc3\xafve job 1")));
    ck_assert(text_is_printable(view("\xc2\xa0")));
    ck_assert(!text_is_printable((struct bytes){(const uint8_t *)"a\0b", 3}));
    for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++) {
        ck_assert(text_is_utf8(view(controls[i])));
        ck_assert_msg(!text_is_printable(view(controls[i])), "%zu", i);
    }
}
END_TEST

START_TEST(cleaned_text)
{
    char *clean =
        text_clean((struct bytes){(const uint8_t *)"a\0\nb\xff\xc3\xbc\xc3", 8});
    char *empty = text_clean((struct bytes){0});

    ck_assert_str_eq(clean,
                     "a\xef\xbf\xbd\xef\xbf\xbd"
                     "b\xef\xbf\xbd\xc3\xbc\xef\xbf\xbd");
    ck_assert_str_eq(empty, "");
    free(clean);
    free(empty);
}
END_TEST

START_TEST(copies_and_views)
{
    char *copy = text_copy(view("abc"));
    char *empty = text_copy((struct bytes){0});

    ck_assert_str_eq(copy, "abc");
    ck_assert_str_eq(empty, "");
    ck_assert_uint_eq(text_view(copy).size, 3);
    ck_assert_ptr_eq(text_view(copy).data, copy);
    ck_assert_uint_eq(text_view(NULL).size, 0);
    free(copy);
    free(empty);
}
END_TEST

START_TEST(distances)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {
        {"", "", 0},
        {"same", "same", 0},
        {"", "abc", 3},
        {"status", "staus", 1},
        {"status", "sttaus", 1},
        {"status", "stetus", 1},
        {"status", "statuss", 1},
        {"kitten", "sitting", 3},
        {"ab", "ba", 1},
        {"abc", "ca", 3}, /* a swap, then nothing between the two again */
    };
    char longer[TEXT_DISTANCE_MAX + 2];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_uint_eq(text_distance(cases[i].a, cases[i].b), cases[i].distance);
        ck_assert_uint_eq(text_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    ck_assert_uint_eq(text_distance(longer, longer), 0);
    ck_assert_uint_eq(text_distance(longer, "a"), SIZE_MAX);
    longer[TEXT_DISTANCE_MAX] = '\0';
    ck_assert_uint_eq(text_distance(longer, "a"), TEXT_DISTANCE_MAX - 1);
}
END_TEST

START_TEST(did_you_mean)
{
    static const char *const names[] = {"run", "status", "kill", "logs", "masters"};
    static const struct {
        const char *word, *best;
    } cases[] = {
        {"stauts", "status"},
        {"mastres", "masters"},
        {"kil", "kill"},
        {"log", "logs"},
        {"zebra", NULL},
        {"", NULL},
        {"x", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text_nearest n = {.word = cases[i].word};

        for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++)
            text_nearest_offer(&n, names[j]);
        if (cases[i].best == NULL)
            ck_assert_ptr_null(n.best);
        else
            ck_assert_str_eq(n.best, cases[i].best);
    }
}
END_TEST

START_TEST(sources_keep_secrets)
{
    static const char *const cases[][2] = {
        {"http://me:secret@host/a?token=secret#secret", "http://host/a"},
        {"https://me:s@cret@host/a@b", "https://host/a@b"},
        {"http://host?x@y", "http://host"},
        {"http:/a@b?c", "http:/a@b?c"},
        {"oci:/a@b?c#d:tag", "oci:/a@b?c#d:tag"},
        {"docker://name@sha256:0", "docker://name@sha256:0"},
        {"", ""},
    };
    char out[TEXT_SOURCE_MAX], source[400] = "http://me@h/";

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_str_eq(text_source(out, cases[i][0]), cases[i][1]);
    memset(source + 12, 'x', TEXT_SOURCE_BYTES - 10);
    strcpy(source + 12 + TEXT_SOURCE_BYTES - 10, "é");
    ck_assert_uint_eq(strlen(text_source(out, source)), TEXT_SOURCE_MAX - 2);
    ck_assert_str_eq(out + TEXT_SOURCE_MAX - 6, "x…");
    ck_assert(text_is_utf8(text_view(out)));
}
END_TEST

UNIT_MAIN("text",
          unit_case("numbers",
                    whole_numbers,
                    numbers_in_front,
                    thousandths_in_front,
                    times,
                    durations_with_units,
                    no_durations,
                    durations_for_people,
                    thousandths_for_people,
                    times_are_read,
                    sizes_for_people),
          unit_case("utf8", well_formed_utf8, printable_has_no_controls, cleaned_text),
          unit_case("views", copies_and_views, sources_keep_secrets),
          unit_case("distance", distances, did_you_mean))
