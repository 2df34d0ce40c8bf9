/* text.c - small questions about text from outside. */
#include "wire/text.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The code point at *at, or -1 if it is not well formed; steps over it. */
static int32_t take_code_point(const uint8_t **at, const uint8_t *end)
{
    static const int32_t SMALLEST[] = {0, 0x80, 0x800, 0x10000};
    const uint8_t *p = *at;
    uint8_t lead = *p++;
    int32_t point;
    int more;

    if (lead < 0x80) {
        *at = p;
        return lead;
    }
    if (lead >= 0xc0 && lead < 0xe0)
        more = 1;
    else if (lead >= 0xe0 && lead < 0xf0)
        more = 2;
    else if (lead >= 0xf0 && lead < 0xf8)
        more = 3;
    else
        return -1;
    if (end - p < more)
        return -1;
    point = lead & (0x3f >> more);
    for (int i = 0; i < more; i++, p++) {
        if ((*p & 0xc0) != 0x80)
            return -1;
        point = point << 6 | (*p & 0x3f);
    }
    if (point < SMALLEST[more] || point > 0x10ffff ||
        (point >= 0xd800 && point < 0xe000))
        return -1;
    *at = p;
    return point;
}

bool text_is_utf8(struct bytes text)
{
    const uint8_t *end = text.size > 0 ? text.data + text.size : text.data;

    for (const uint8_t *p = text.data; p < end;)
        if (take_code_point(&p, end) < 0)
            return false;
    return true;
}

static bool is_printable(int32_t point)
{
    if (point < 0x20 || (point >= 0x7f && point < 0xa0))
        return false;
    if (point == 0x2028 || point == 0x2029) /* line and paragraph separator */
        return false;
    return !(point >= 0x202a && point <= 0x202e) &&
           !(point >= 0x2066 && point <= 0x2069);
}

bool text_is_printable(struct bytes text)
{
    const uint8_t *end = text.size > 0 ? text.data + text.size : text.data;

    for (const uint8_t *p = text.data; p < end;)
        if (!is_printable(take_code_point(&p, end)))
            return false;
    return true;
}

char *text_clean(struct bytes bytes)
{
    static const char REPLACEMENT[] = "\xef\xbf\xbd";
    const uint8_t *end = bytes.size > 0 ? bytes.data + bytes.size : bytes.data;
    struct buffer out = {0};

    for (const uint8_t *p = bytes.data; p < end;) {
        const uint8_t *start = p;
        int32_t point = take_code_point(&p, end);

        if (point < 0)
            p++;
        if (is_printable(point))
            buffer_append(&out, start, (size_t)(p - start));
        else
            buffer_append_text(&out, REPLACEMENT);
    }
    buffer_append_u8(&out, 0);
    return (char *)out.data;
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

bool text_parse_duration_ms(const char *text, uint64_t *ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } UNITS[] = {
        {"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60 * 1000}, {"h", 3600 * 1000}};
    uint64_t thousandths;

    if (!text_take_thousandths(&text, &thousandths))
        return false;
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
        if (strcmp(text, UNITS[i].name) != 0)
            continue;
        if (thousandths > UINT64_MAX / UNITS[i].ms ||
            thousandths * UNITS[i].ms % 1000 != 0)
            return false;
        *ms = thousandths * UNITS[i].ms / 1000;
        return true;
    }
    return false;
}

void text_time(uint64_t stamp_us, char out[TEXT_TIME_BYTES])
{
    time_t seconds = (time_t)(stamp_us / 1000000);
    char date[TEXT_TIME_BYTES - 8];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, TEXT_TIME_BYTES, "%s.%06uZ", date, (unsigned)(stamp_us % 1000000));
}

/* ---- did you mean ---- */

#define WORD_MAX 32

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

/* Insertions, deletions, changes and swaps of neighbours that make `a` into `b` (optimal
 * string alignment); both at most WORD_MAX bytes. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_MAX + 1];
    size_t size_a = strlen(a), size_b = strlen(b);

    for (unsigned j = 0; j <= size_b; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= size_a; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3],
                 *two_above = rows[(i + 1) % 3];

        row[0] = i;
        for (unsigned j = 1; j <= size_b; j++) {
            unsigned change = above[j - 1] + (a[i - 1] != b[j - 1]);

            row[j] = min3(above[j] + 1, row[j - 1] + 1, change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = min3(row[j], row[j], two_above[j - 2] + 1);
        }
    }
    return rows[size_a % 3][size_b];
}

const char *text_suggest(const char *word, const char *const *names)
{
    const char *best = NULL;
    unsigned least = 3; /* more than two slips are another word */

    if (strlen(word) > WORD_MAX)
        return NULL;
    for (; *names != NULL; names++) {
        unsigned distance = edit_distance(word, *names);

        if (distance < least && distance < strlen(*names)) {
            least = distance;
            best = *names;
        }
    }
    return best;
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
