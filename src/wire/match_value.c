/* match_value.c - values of attributes as numbers and as versions. */
#include "wire/match_value.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"

/* Digits without zeroes before them. */
struct span {
    const char *at;
    size_t size;
};

static struct span strip(const char *at, size_t size)
{
    while (size > 0 && *at == '0') {
        at++;
        size--;
    }
    return (struct span){at, size};
}

static int compare_whole(struct span a, struct span b)
{
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    return a.size == 0 ? 0 : memcmp(a.at, b.at, a.size);
}

/* ---- numbers ---- */

struct number {
    bool negative;
    struct span whole, part;
};

static bool read_number(const char *text, struct number *n)
{
    const char *at = text + (*text == '-');
    size_t whole = strspn(at, DIGITS), part = 0;
    const char *point = at + whole;

    if (*point == '.')
        part = strspn(point + 1, DIGITS);
    if (whole == 0 || (*point == '.' && part == 0) ||
        point[*point == '.' ? part + 1 : 0] != '\0')
        return false;
    n->whole = strip(at, whole);
    n->part = (struct span){point + 1, part};
    while (n->part.size > 0 && n->part.at[n->part.size - 1] == '0')
        n->part.size--;
    n->negative = *text == '-' && n->whole.size + n->part.size > 0;
    return true;
}

bool number_is_valid(const char *text)
{
    struct number n;

    return read_number(text, &n);
}

/* As the digits behind a point. */
static int compare_part(struct span a, struct span b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.at, b.at, common);

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

int number_compare(const char *a, const char *b)
{
    struct number x = {0}, y = {0};
    int order;

    read_number(a, &x);
    read_number(b, &y);
    if (x.negative != y.negative)
        return x.negative ? -1 : 1;
    order = compare_whole(x.whole, y.whole);
    if (order == 0)
        order = compare_part(x.part, y.part);
    return x.negative ? -order : order;
}

/* ---- versions ---- */

#define NUMBERS 3

struct version {
    struct span number[NUMBERS];
    unsigned given; /* of them */
    struct span pre;
};

static bool is_identifier_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           c == '-';
}

/* Identifiers with points between them; 0 when it is none. */
static size_t span_identifiers(const char *at)
{
    const char *from = at;

    for (;;) {
        const char *begin = at;

        while (is_identifier_byte(*at))
            at++;
        if (at == begin)
            return 0;
        if (*at != '.')
            return (size_t)(at - from);
        at++;
    }
}

/* True if all of the text up to `end` is a version. */
static bool read_version(const char *text, const char *end, struct version *v)
{
    const char *at = text + (*text == 'v');

    *v = (struct version){0};
    for (;;) {
        size_t size = strspn(at, DIGITS);

        if (size == 0 || v->given == NUMBERS)
            return false;
        v->number[v->given++] = strip(at, size);
        at += size;
        if (*at != '.')
            break;
        at++;
    }
    if (*at == '-') {
        v->pre = (struct span){at + 1, span_identifiers(at + 1)};
        if (v->pre.size == 0)
            return false;
        at += 1 + v->pre.size;
    }
    if (*at == '+') {
        size_t size = span_identifiers(at + 1);

        if (size == 0)
            return false;
        at += 1 + size;
    }
    return at == end;
}

static bool is_numeric(struct span s)
{
    return strspn(s.at, DIGITS) >= s.size;
}

/* semver.org item 11.4: numbers as numbers, before texts; texts byte by byte. */
static int compare_identifiers(struct span a, struct span b)
{
    bool a_is_number = is_numeric(a), b_is_number = is_numeric(b);

    if (a_is_number != b_is_number)
        return a_is_number ? -1 : 1;
    if (a_is_number)
        return compare_whole(strip(a.at, a.size), strip(b.at, b.size));
    return compare_part(a, b);
}

static struct span take_identifier(struct span *rest)
{
    struct span first = {rest->at, 0};

    while (first.size < rest->size && first.at[first.size] != '.')
        first.size++;
    rest->at += first.size;
    rest->size -= first.size;
    if (rest->size > 0) {
        rest->at++;
        rest->size--;
    }
    return first;
}

/* One without a pre-release comes after those that have one; a longer one after its start. */
static int compare_pre(struct span a, struct span b)
{
    if (a.size == 0 || b.size == 0)
        return (a.size == 0) - (b.size == 0);
    while (a.size > 0 && b.size > 0) {
        struct span x = take_identifier(&a), y = take_identifier(&b);
        int order = compare_identifiers(x, y);

        if (order != 0)
            return order;
    }
    return (a.size > 0) - (b.size > 0);
}

static int compare_versions(const struct version *a, const struct version *b)
{
    for (int i = 0; i < NUMBERS; i++) {
        int order = compare_whole(a->number[i], b->number[i]);

        if (order != 0)
            return order;
    }
    return compare_pre(a->pre, b->pre);
}

bool version_is_valid(const char *text)
{
    struct version v;

    return read_version(text, text + strlen(text), &v);
}

int version_compare(const char *a, const char *b)
{
    struct version x, y;

    read_version(a, a + strlen(a), &x);
    read_version(b, b + strlen(b), &y);
    return compare_versions(&x, &y);
}

/* ---- ranges ---- */

enum comparator { IS, IS_NOT, BELOW, UP_TO, ABOVE, FROM, ABOUT };

static const struct {
    const char *text;
    enum comparator comparator;
} COMPARATORS[] = {
    {"!=", IS_NOT},
    {"<=", UP_TO},
    {">=", FROM},
    {"~>", ABOUT},
    {"=", IS},
    {"<", BELOW},
    {">", ABOVE},
    {"", IS},
};

/* The next comparator and its version at *at, which goes to the end or behind the comma. */
static bool take_comparator(const char **at, enum comparator *c, struct version *v)
{
    const char *from = *at + strspn(*at, " "), *end, *next;
    size_t i = 0;

    while (strncmp(from, COMPARATORS[i].text, strlen(COMPARATORS[i].text)) != 0)
        i++;
    *c = COMPARATORS[i].comparator;
    from += strlen(COMPARATORS[i].text);
    from += strspn(from, " ");
    end = from + strcspn(from, " ,");
    next = end + strspn(end, " ");
    if (!read_version(from, end, v) || (*next != ',' && *next != '\0'))
        return false;
    *at = next + (*next == ',');
    return *next == '\0' || **at != '\0';
}

bool version_range_is_valid(const char *range)
{
    const char *at = range;

    do {
        enum comparator c;
        struct version v;

        if (!take_comparator(&at, &c, &v))
            return false;
    } while (*at != '\0');
    return true;
}

/* Equal in all numbers but the last that stands there. */
static bool is_about(const struct version *v, const struct version *than)
{
    for (unsigned i = 0; i + 1 < than->given; i++)
        if (compare_whole(v->number[i], than->number[i]) != 0)
            return false;
    return compare_versions(v, than) >= 0;
}

static bool
is_kept(enum comparator c, const struct version *v, const struct version *than)
{
    int order = compare_versions(v, than);

    switch (c) {
    case IS:
        return order == 0;
    case IS_NOT:
        return order != 0;
    case BELOW:
        return order < 0;
    case UP_TO:
        return order <= 0;
    case ABOVE:
        return order > 0;
    case FROM:
        return order >= 0;
    case ABOUT:
        return is_about(v, than);
    }
    return false;
}

bool version_is_in(const char *text, const char *range)
{
    const char *at = range;
    struct version v;

    if (!read_version(text, text + strlen(text), &v))
        return false;
    do {
        enum comparator c;
        struct version than;

        if (!take_comparator(&at, &c, &than) || !is_kept(c, &v, &than))
            return false;
    } while (*at != '\0');
    return true;
}
