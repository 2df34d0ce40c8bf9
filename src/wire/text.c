/* text.c - small questions about text from outside. */
#include "wire/text.h"

#include "base/mem.h"

#include <string.h>

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
