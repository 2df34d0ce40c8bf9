/* resources.c - exact arithmetic over what an agent has and a task takes. */
#include "wire/resources.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/text.h"

#include <string.h>

static const char *const NAMES[RESOURCE_KINDS] = {"cpus", "mem", "disk", "gpus"};

const char *resource_name(enum resource_kind kind)
{
    ASSERT(kind < RESOURCE_KINDS);
    return NAMES[kind];
}

bool resources_contain(const struct resources *whole, const struct resources *part)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (part->amount[k] > whole->amount[k])
            return false;
    return true;
}

bool resources_equal(const struct resources *a, const struct resources *b)
{
    return memcmp(a->amount, b->amount, sizeof(a->amount)) == 0;
}

void resources_add(struct resources *to, const struct resources *r)
{
    for (int k = 0; k < RESOURCE_KINDS; k++) {
        ASSERT(to->amount[k] <= UINT64_MAX - r->amount[k]);
        to->amount[k] += r->amount[k];
    }
}

void resources_subtract(struct resources *from, const struct resources *r)
{
    for (int k = 0; k < RESOURCE_KINDS; k++) {
        ASSERT(from->amount[k] >= r->amount[k]);
        from->amount[k] -= r->amount[k];
    }
}

struct resources resources_times(const struct resources *r, uint32_t n)
{
    struct resources sum;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (__builtin_mul_overflow(r->amount[k], n, &sum.amount[k]))
            sum.amount[k] = UINT64_MAX;
    return sum;
}

void resources_pack(const struct resources *r, struct buffer *out)
{
    pack_array(out, RESOURCE_KINDS);
    for (int k = 0; k < RESOURCE_KINDS; k++)
        pack_uint(out, r->amount[k]);
}

void resources_unpack(struct resources *r, struct unpack *u)
{
    unpack_enter(u);
    for (int k = 0; k < RESOURCE_KINDS; k++)
        r->amount[k] = unpack_uint_max(u, LIMIT_RESOURCE);
    unpack_leave(u);
}

/* ---- text ---- */

static const char *const HINTS[RESOURCE_KINDS] = {
    "give a number of cpus above 0, with at most three decimals",
    "give a number of MiB, as 1024, with at most three decimals",
    "give a number of MiB, as 1024, with at most three decimals",
    "give a whole number of gpus",
};

#define SHOWN "%.40s" /* of a wrong text, at most this much */

#define DIGITS "0123456789"

/* A number of so many digits that it is above any limit. */
static bool is_long(const char *text)
{
    return strspn(text, DIGITS) >= 17 && *text != '0' &&
           text[strspn(text, DIGITS ".")] == '\0';
}

/* UINT64_MAX is more than any limit, too. */
static int
parse_thousandths(uint64_t *out, const char *text, const char *hint, struct error *err)
{
    const char *at = text;

    if (*at == '-')
        return error_set(err, ERROR_INVALID, SHOWN " is negative; %s", text, hint);
    if (is_long(text)) {
        *out = UINT64_MAX;
        return 0;
    }
    if (!text_take_thousandths(&at, out) || at[strspn(at, DIGITS)] != '\0')
        return error_set(
            err, ERROR_INVALID, "'" SHOWN "' is not a number; %s", text, hint);
    if (*at != '\0')
        return error_set(
            err, ERROR_INVALID, SHOWN " has too many decimals; %s", text, hint);
    return 0;
}

static int
too_large(const char *text, uint64_t most, const char *unit, struct error *err)
{
    return error_set(err,
                     ERROR_TOO_LARGE,
                     SHOWN " is too large; the most is %llu %s",
                     text,
                     (unsigned long long)most,
                     unit);
}

int resource_parse_cpus(uint64_t *out, const char *text, struct error *err)
{
    uint64_t milli;
    int rc = parse_thousandths(&milli, text, HINTS[RESOURCE_CPUS], err);

    if (rc != 0)
        return rc;
    if (milli > LIMIT_RESOURCE)
        return too_large(text, LIMIT_RESOURCE / 1000, "cpus", err);
    *out = milli;
    return 0;
}

int resource_parse_mib(uint64_t *out, const char *text, struct error *err)
{
    uint64_t milli;
    int rc = parse_thousandths(&milli, text, HINTS[RESOURCE_MEM], err);

    if (rc != 0)
        return rc;
    if (milli > LIMIT_RESOURCE / MIB * 1000)
        return too_large(text, LIMIT_RESOURCE / MIB, "MiB", err);
    /* Two steps, so that nothing overflows; a part of a byte is dropped. */
    *out = milli / 1000 * MIB + milli % 1000 * MIB / 1000;
    return 0;
}

static int parse_gpus(uint64_t *out, const char *text, struct error *err)
{
    const char *at = text;
    uint64_t n = UINT64_MAX;

    if (is_long(text))
        at += strspn(text, DIGITS);
    else
        text_take_uint(&at, UINT64_MAX, &n);
    if (at == text || *at != '\0')
        return error_set(err,
                         ERROR_INVALID,
                         "'" SHOWN "' is not a whole number; %s",
                         text,
                         HINTS[RESOURCE_GPUS]);
    if (n > LIMIT_RESOURCE)
        return too_large(text, LIMIT_RESOURCE, "gpus", err);
    *out = n;
    return 0;
}

int resource_parse(enum resource_kind kind,
                   uint64_t *out,
                   const char *text,
                   struct error *err)
{
    static int (*const PARSE[RESOURCE_KINDS])(
        uint64_t *, const char *, struct error *) = {
        resource_parse_cpus,
        resource_parse_mib,
        resource_parse_mib,
        parse_gpus,
    };
    int rc;

    ASSERT(kind < RESOURCE_KINDS);
    rc = PARSE[kind](out, text, err);
    return rc == 0 ? 0 : error_wrap(err, "%s", NAMES[kind]);
}

/* ---- 'cpus:4;mem:8192;ports:[31000-32000]' ---- */

#define ITEM_MAX 512 /* longer than any list of LIMIT_PORT_RANGES ranges */

bool port_range_take(const char **at, struct port_range *out)
{
    uint64_t first, last;

    if (!text_take_uint(at, UINT16_MAX, &first))
        return false;
    last = first;
    if (**at == '-') {
        (*at)++;
        if (!text_take_uint(at, UINT16_MAX, &last))
            return false;
    }
    *out = (struct port_range){(uint16_t)first, (uint16_t)last};
    return true;
}

void port_ranges_insert(struct port_range *ranges,
                        size_t *count,
                        struct port_range range)
{
    size_t i = (*count)++;

    for (; i > 0 && ranges[i - 1].first > range.first; i--)
        ranges[i] = ranges[i - 1];
    ranges[i] = range;
}

int port_ranges_check(const struct port_range *ranges, size_t count, struct error *err)
{
    if (count > LIMIT_PORT_RANGES)
        return error_set(err,
                         ERROR_TOO_LARGE,
                         "ports: %zu ranges; the most is %d",
                         count,
                         LIMIT_PORT_RANGES);
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].first == 0 || ranges[i].last < ranges[i].first)
            return error_set(
                err,
                ERROR_INVALID,
                "ports: %u-%u is not a range; give FIRST-LAST, from 1 to 65535",
                ranges[i].first,
                ranges[i].last);
        if (i > 0 && ranges[i].first <= ranges[i - 1].last)
            return error_set(err,
                             ERROR_INVALID,
                             "ports: %u-%u and %u-%u overlap or are not in order",
                             ranges[i - 1].first,
                             ranges[i - 1].last,
                             ranges[i].first,
                             ranges[i].last);
    }
    return 0;
}

void port_ranges_pack(const struct port_range *ranges, size_t count, struct buffer *out)
{
    pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        pack_array(out, 2);
        pack_uint(out, ranges[i].first);
        pack_uint(out, ranges[i].last);
    }
}

void port_ranges_unpack(struct port_range *ranges,
                        size_t *count,
                        size_t max,
                        struct unpack *u)
{
    uint32_t n = unpack_enter(u);

    if (n > max)
        unpack_fail(u, "more port ranges than the limit");
    for (uint32_t i = 0; i < n && unpack_ok(u); i++) {
        unpack_enter(u);
        ranges[i].first = (uint16_t)unpack_uint_max(u, UINT16_MAX);
        ranges[i].last = (uint16_t)unpack_uint_max(u, UINT16_MAX);
        unpack_leave(u);
        *count = i + 1;
    }
    unpack_leave(u);
}

void ports_pack(const uint16_t *ports, uint32_t count, struct buffer *out)
{
    pack_array(out, count);
    for (uint32_t i = 0; i < count; i++)
        pack_uint(out, ports[i]);
}

uint32_t ports_unpack(uint16_t *ports, struct unpack *u)
{
    uint32_t count = unpack_enter(u);

    if (count > LIMIT_TASK_PORTS) {
        unpack_fail(u, "more ports than the limit");
        count = 0;
    }
    for (uint32_t i = 0; i < count; i++)
        ports[i] = (uint16_t)unpack_uint_max(u, UINT16_MAX);
    unpack_leave(u);
    return count;
}

uint32_t port_ranges_size(const struct port_range *ranges, size_t count)
{
    uint32_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += ranges[i].last - ranges[i].first + 1u;
    return size;
}

static int parse_ports(struct port_range *ranges,
                       size_t *count,
                       const char *text,
                       struct error *err)
{
    const char *at = text;

    *count = 0;
    if (*at++ != '[')
        goto malformed;
    while (*at != ']') {
        struct port_range range;

        if ((*count > 0 && *at++ != ',') || !port_range_take(&at, &range))
            goto malformed;
        if (*count == LIMIT_PORT_RANGES)
            return error_set(
                err, ERROR_TOO_LARGE, "ports: more than %d ranges", LIMIT_PORT_RANGES);
        port_ranges_insert(ranges, count, range);
    }
    if (at[1] == '\0')
        return port_ranges_check(ranges, *count, err);
malformed:
    return error_set(err,
                     ERROR_INVALID,
                     "ports: '" SHOWN
                     "' is not a list of ranges; give [31000-32000,33000-33010]",
                     text);
}

/* Which kind is named by the first `size` bytes; RESOURCE_KINDS for ports, -1 for none.
 */
static int kind_of(const char *name, size_t size)
{
    for (int k = 0; k < RESOURCE_KINDS; k++)
        if (strlen(NAMES[k]) == size && memcmp(NAMES[k], name, size) == 0)
            return k;
    return size == 5 && memcmp(name, "ports", 5) == 0 ? RESOURCE_KINDS : -1;
}

/* "licence:3".  A name that is nearly one of ours is a slip, not a new resource. */
static int parse_custom(struct custom_resources *custom, char *item, struct error *err)
{
    char *colon = strchr(item, ':');
    struct text_nearest meant = {.word = item};
    const char *amount = colon == NULL ? "" : colon + 1;
    uint64_t value;

    if (colon == NULL)
        return error_set(err,
                         ERROR_INVALID,
                         "resources: '" SHOWN
                         "' is none; give cpus:N, mem:MiB, disk:MiB, gpus:N, "
                         "ports:[FIRST-LAST] or NAME:N",
                         item);
    *colon = '\0';
    for (int k = 0; k < RESOURCE_KINDS; k++)
        text_nearest_offer(&meant, NAMES[k]);
    text_nearest_offer(&meant, "ports");
    if (meant.best != NULL)
        return error_set(err,
                         ERROR_INVALID,
                         "resources: '" SHOWN "' is none; did you mean %s?",
                         item,
                         meant.best);
    if (!text_take_thousandths(&amount, &value) || *amount != '\0')
        return error_set(err,
                         ERROR_INVALID,
                         "%.40s: '" SHOWN
                         "' is no amount; give a number with at most three decimals",
                         item,
                         colon + 1);
    custom_resources_add(custom, item, value);
    return custom_resources_check(custom, err);
}

/* One item, "cpus:4".  `seen` has a bit for each kind that was given before. */
static int parse_item(struct resources *out,
                      struct port_range *ranges,
                      size_t *range_count,
                      struct custom_resources *custom,
                      unsigned *seen,
                      char *item,
                      struct error *err)
{
    const char *colon = strchr(item, ':');
    int kind = colon == NULL ? -1 : kind_of(item, (size_t)(colon - item));

    if (kind < 0)
        return parse_custom(custom, item, err);
    if (*seen & 1u << kind)
        return error_set(
            err, ERROR_INVALID, "resources: '" SHOWN "' is given twice", item);
    *seen |= 1u << kind;
    if (kind == RESOURCE_KINDS)
        return parse_ports(ranges, range_count, colon + 1, err);
    return resource_parse((enum resource_kind)kind, &out->amount[kind], colon + 1, err);
}

/* Copy the item at *at without its spaces and step behind its ';'. */
static bool take_item(const char **at, char item[ITEM_MAX])
{
    size_t size = 0;

    for (; **at != '\0' && **at != ';'; (*at)++) {
        if (**at == ' ')
            continue;
        if (size == ITEM_MAX - 1)
            return false;
        item[size++] = **at;
    }
    item[size] = '\0';
    if (**at == ';')
        (*at)++;
    return true;
}

int resources_parse(struct resources *out,
                    struct port_range *ranges,
                    size_t *range_count,
                    struct custom_resources *custom,
                    const char *text,
                    struct error *err)
{
    const char *at = text;
    unsigned seen = 0;

    while (*at != '\0') {
        char item[ITEM_MAX];
        int rc;

        if (!take_item(&at, item))
            return error_set(
                err, ERROR_TOO_LARGE, "resources: '" SHOWN "…' is too long", text);
        if (item[0] == '\0')
            continue;
        rc = parse_item(out, ranges, range_count, custom, &seen, item, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}
