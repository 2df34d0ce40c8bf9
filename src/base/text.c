/* text.c - small things about text that people write and read. */
#include "base/text.h"

#include "base/mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_MS UINT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

static const struct {
    const char *name;
    uint64_t ms;
} units[] = {
    {"ms", 1},
    {"s", SECOND_MS},
    {"m", MINUTE_MS},
    {"h", HOUR_MS},
    {"d", DAY_MS},
};

/* Read digits at *at and move it behind them; false for none or too many. */
static bool read_digits(uint64_t *out, const char **at)
{
    const char *begin = *at;
    uint64_t value = 0;

    for (; isdigit((unsigned char)**at); (*at)++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(**at - '0'), &value))
            return false;
    }
    *out = value;
    return *at != begin;
}

bool text_parse_u64(uint64_t *out, const char *text)
{
    uint64_t value;

    if (!read_digits(&value, &text) || *text != '\0')
        return false;
    *out = value;
    return true;
}

bool text_take_uint(const char **at, uint64_t max, uint64_t *out)
{
    const char *p = *at;
    uint64_t value = 0;

    if (*p < '0' || *p > '9' || (p[0] == '0' && p[1] >= '0' && p[1] <= '9'))
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');

        if (digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    *at = p;
    return true;
}

bool text_take_thousandths(const char **at, uint64_t *out)
{
    const char *p = *at;
    uint64_t value;
    int decimals = 0;

    if (!text_take_uint(&p, UINT64_MAX / 1000 - 1, &value))
        return false;
    if (p[0] == '.' && p[1] >= '0' && p[1] <= '9')
        for (p++; decimals < 3 && *p >= '0' && *p <= '9'; decimals++)
            value = value * 10 + (uint64_t)(*p++ - '0');
    for (; decimals < 3; decimals++)
        value *= 10;
    *out = value;
    *at = p;
    return true;
}

/* ".5" of a unit in whole milliseconds; false if it is not whole. */
static bool read_fraction(uint64_t *ms, const char **at, uint64_t unit_ms)
{
    uint64_t value = 0;

    for (uint64_t scale = unit_ms; isdigit((unsigned char)**at); (*at)++) {
        uint64_t digit = (uint64_t)(**at - '0');

        if (scale % 10 != 0 && digit * scale % 10 != 0)
            return false;
        value += digit * scale / 10;
        scale /= 10;
    }
    *ms = value;
    return true;
}

static bool parse_duration(uint64_t *out, const char *text)
{
    const char *fraction = NULL;
    const char *at = text;
    uint64_t whole, ms, part = 0;

    if (!read_digits(&whole, &at))
        return false;
    if (*at == '\0' && whole == 0) {
        *out = 0;
        return true;
    }
    if (at[0] == '.' && isdigit((unsigned char)at[1])) {
        fraction = ++at;
        at += strspn(at, "0123456789");
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(at, units[i].name) != 0)
            continue;
        if (fraction != NULL && !read_fraction(&part, &fraction, units[i].ms))
            return false;
        if (__builtin_mul_overflow(whole, units[i].ms, &ms) ||
            __builtin_add_overflow(ms, part, &ms))
            return false;
        *out = ms;
        return true;
    }
    return false;
}

int text_parse_duration_ms(uint64_t *out, const char *text, struct error *err)
{
    if (parse_duration(out, text))
        return 0;
    return error_set(
        err,
        ERROR_INVALID,
        "\"%s\" is not a duration: write a number with a unit, as 500ms, 3s, "
        "2m, 1h or 7d",
        text);
}

/* Of `units`: the greatest that it has one of; seconds of nothing. */
static size_t greatest_unit(uint64_t ms)
{
    size_t i = sizeof(units) / sizeof(units[0]) - 1;

    while (i > 0 && ms < units[i].ms)
        i--;
    return ms == 0 ? 1 : i;
}

const char *text_duration(char out[TEXT_SHORT_MAX], uint64_t ms)
{
    size_t i = greatest_unit(ms);
    uint64_t whole = ms / units[i].ms, rest = ms % units[i].ms;

    if (rest == 0)
        snprintf(out, TEXT_SHORT_MAX, "%" PRIu64 "%s", whole, units[i].name);
    else if (units[i].ms == SECOND_MS)
        snprintf(out, TEXT_SHORT_MAX, "%" PRIu64 ".%us", whole, (unsigned)(rest / 100));
    else
        snprintf(out,
                 TEXT_SHORT_MAX,
                 "%" PRIu64 "%s %02u%s",
                 whole,
                 units[i].name,
                 (unsigned)(rest / units[i - 1].ms),
                 units[i - 1].name);
    return out;
}

const char *text_size(char out[TEXT_SHORT_MAX], uint64_t bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    uint64_t tenths;

    for (uint64_t rest = bytes; rest >= 1024; rest /= 1024)
        unit++;
    if (unit == 0) {
        snprintf(out, TEXT_SHORT_MAX, "%" PRIu64 " B", bytes);
        return out;
    }
    /* One step less than the unit, so that the tenths do not overflow. */
    tenths = (bytes >> (10 * (unit - 1))) * 10 / 1024;
    snprintf(out,
             TEXT_SHORT_MAX,
             "%" PRIu64 ".%" PRIu64 " %s",
             tenths / 10,
             tenths % 10,
             names[unit]);
    return out;
}

const char *text_thousandths(char out[TEXT_SHORT_MAX], uint64_t value)
{
    int size = snprintf(out,
                        TEXT_SHORT_MAX,
                        "%" PRIu64 ".%03u",
                        value / 1000,
                        (unsigned)(value % 1000));

    while (out[size - 1] == '0')
        size--;
    out[out[size - 1] == '.' ? size - 1 : size] = '\0';
    return out;
}

void text_time(char out[TEXT_TIME_MAX], uint64_t stamp_us)
{
    time_t seconds = (time_t)(stamp_us / 1000000);
    char date[TEXT_TIME_MAX - 8];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, TEXT_TIME_MAX, "%s.%06uZ", date, (unsigned)(stamp_us % 1000000));
}

/* `digits` of them, as a number from min to max, and what stands behind (0: anything). */
static bool
take_field(const char **at, int digits, int min, int max, char behind, int *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++, ++*at) {
        if (**at < '0' || **at > '9')
            return false;
        *out = *out * 10 + (**at - '0');
    }
    if (behind != 0 && *(*at)++ != behind)
        return false;
    return *out >= min && *out <= max;
}

static bool take_fraction(const char **at, uint64_t *out_us)
{
    uint64_t unit = 100000;

    *out_us = 0;
    if (**at != '.')
        return true;
    ++*at;
    if (**at < '0' || **at > '9')
        return false;
    for (; **at >= '0' && **at <= '9'; ++*at, unit /= 10)
        *out_us += unit * (uint64_t)(**at - '0');
    return true;
}

/* Seconds to the east. */
static bool take_zone(const char **at, int *out)
{
    int sign = **at == '-' ? -1 : 1, hours, minutes;

    *out = 0;
    if (**at == 'Z') {
        ++*at;
        return true;
    }
    if (**at != '+' && **at != '-')
        return false;
    ++*at;
    if (!take_field(at, 2, 0, 23, ':', &hours) ||
        !take_field(at, 2, 0, 59, 0, &minutes))
        return false;
    *out = sign * (hours * 3600 + minutes * 60);
    return true;
}

int text_parse_time(uint64_t *stamp_us, const char *text, struct error *err)
{
    const char *at = text;
    struct tm tm = {0};
    uint64_t fraction_us;
    int64_t seconds;
    int zone, day;

    if (take_field(&at, 4, 1970, 9999, '-', &tm.tm_year) &&
        take_field(&at, 2, 1, 12, '-', &tm.tm_mon) &&
        take_field(&at, 2, 1, 31, 'T', &tm.tm_mday) &&
        take_field(&at, 2, 0, 23, ':', &tm.tm_hour) &&
        take_field(&at, 2, 0, 59, ':', &tm.tm_min) &&
        take_field(&at, 2, 0, 59, 0, &tm.tm_sec) && take_fraction(&at, &fraction_us) &&
        take_zone(&at, &zone) && *at == '\0') {
        day = tm.tm_mday;
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        seconds = (int64_t)timegm(&tm) - zone;
        *stamp_us = (uint64_t)(seconds > 0 ? seconds : 0) * 1000000 + fraction_us;
        if (tm.tm_mday == day) /* not the 31st of June */
            return 0;
    }
    return error_set(err,
                     ERROR_INVALID,
                     "\"%.64s\" is not a time: write it as 2026-01-31T12:00:00Z",
                     text);
}

/* Length of the well-formed sequence at p, 0 if there is none; *code is its number. */
static size_t utf8_next(const uint8_t *p, size_t left, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size;

    if (p[0] < 0x80) {
        *code = p[0];
        return 1;
    }
    size = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || size > left)
        return 0;
    *code = p[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (p[i] & 0x3fu);
    }
    if (*code < least[size] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
        return 0;
    return size;
}

/* One code point that may be shown on a terminal or in a log line as it is. */
static bool is_printable(uint32_t code)
{
    if (code < 0x20 || (code >= 0x7f && code < 0xa0))
        return false;
    if (code == 0x2028 || code == 0x2029)
        return false;
    return !(code >= 0x202a && code <= 0x202e) && !(code >= 0x2066 && code <= 0x2069);
}

static bool all_utf8(struct bytes bytes, bool controls_allowed)
{
    size_t size;

    for (size_t i = 0; i < bytes.size; i += size) {
        uint32_t code;

        size = utf8_next(bytes.data + i, bytes.size - i, &code);
        if (size == 0)
            return false;
        if (!controls_allowed && !is_printable(code))
            return false;
    }
    return true;
}

bool text_is_utf8(struct bytes bytes)
{
    return all_utf8(bytes, true);
}

bool text_is_printable(struct bytes bytes)
{
    return all_utf8(bytes, false);
}

char *text_clean(struct bytes bytes)
{
    struct buffer out = {0};
    size_t size;

    for (size_t i = 0; i < bytes.size; i += size) {
        uint32_t code;

        size = utf8_next(bytes.data + i, bytes.size - i, &code);
        if (size > 0 && is_printable(code))
            buffer_append(&out, bytes.data + i, size);
        else
            buffer_append_text(&out, "\xef\xbf\xbd");
        if (size == 0)
            size = 1;
    }
    buffer_append_u8(&out, 0);
    return (char *)out.data;
}

char *text_copy(struct bytes text)
{
    char *copy = mem_alloc(text.size + 1);

    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

struct bytes text_view(const char *zero_ended)
{
    if (zero_ended == NULL)
        return (struct bytes){0};
    return (struct bytes){(const uint8_t *)zero_ended, strlen(zero_ended)};
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: rows of the usual table, the two before kept for swaps. */
size_t text_distance(const char *a, const char *b)
{
    size_t rows[3][TEXT_DISTANCE_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    size_t a_size = strlen(a), b_size = strlen(b);

    if (a_size > TEXT_DISTANCE_MAX || b_size > TEXT_DISTANCE_MAX)
        return strcmp(a, b) == 0 ? 0 : SIZE_MAX;
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *oldest = before;

        before = last;
        last = row;
        row = oldest;
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            row[j] = last[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least_of(row[j], least_of(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least_of(row[j], before[j - 2] + 1);
        }
    }
    return row[b_size];
}

void text_nearest_offer(struct text_nearest *n, const char *candidate)
{
    size_t distance = text_distance(n->word, candidate);
    /* A third of the letters may be wrong; a shorter word is another word. */
    size_t allowed = (strlen(n->word) + 2) / 3;

    if (distance > allowed || (n->best != NULL && distance >= n->distance))
        return;
    n->best = candidate;
    n->distance = distance;
}
