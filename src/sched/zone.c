/* zone.c - what clocks of a time zone show. */
#include "sched/zone.h"

#include "base/mem.h"
#include "base/search.h"

#include <ctype.h>
#include <string.h>

#define DAY_S     86400
#define HEAD_SIZE 44
/* Either way from 1970, in seconds; RFC 8536, 3.2: nothing is known before this.  Beyond it sums
 * of times would have no room. */
#define TIME_LIMIT ((int64_t)1 << 59)

/* ---- the calendar ----
 * Source: H. Hinnant, "chrono-compatible low-level date algorithms": years begin in March, so
 * that the day of a leap year is the last one. */

#define ERA_DAYS 146097 /* 400 years */
#define TO_1970  719468 /* days from 1 March of year 0 */

int64_t days_of_date(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
           TO_1970;
}

void date_of_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t z = days + TO_1970;
    int64_t era = (z >= 0 ? z : z - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t of_era = z - era * ERA_DAYS;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;

    *day = (unsigned)(of_year - (153 * m + 2) / 5 + 1);
    *month = (unsigned)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* ---- the footer: TZ as in POSIX ---- */

struct text {
    const char *at, *end;
    bool wrong;
};

static bool take(struct text *t, char c)
{
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

static int take_number(struct text *t, int max)
{
    const char *begin = t->at;
    int n = 0;

    while (t->at < t->end && isdigit((unsigned char)*t->at) && n <= max)
        n = 10 * n + (*t->at++ - '0');
    if (t->at == begin || n > max)
        t->wrong = true;
    return n;
}

/* Three letters or more, or <…>. */
static void take_name(struct text *t)
{
    const char *begin = t->at;

    if (take(t, '<')) {
        while (t->at < t->end && *t->at != '>')
            t->at++;
        if (!take(t, '>'))
            t->wrong = true;
        return;
    }
    while (t->at < t->end && isalpha((unsigned char)*t->at))
        t->at++;
    if (t->at - begin < 3)
        t->wrong = true;
}

/* [+-]hh[:mm[:ss]] */
static int32_t take_time(struct text *t, int max_hours)
{
    int32_t sign = 1, seconds;

    if (take(t, '-'))
        sign = -1;
    else
        take(t, '+');
    seconds = take_number(t, max_hours) * 3600;
    if (take(t, ':'))
        seconds += take_number(t, 59) * 60;
    if (take(t, ':'))
        seconds += take_number(t, 59);
    return sign * seconds;
}

/* ",M3.5.0/2", ",J60", ",59" */
static struct zone_day take_day(struct text *t)
{
    struct zone_day d = {.seconds = 2 * 3600};

    if (!take(t, ','))
        t->wrong = true;
    if (take(t, 'M')) {
        d.form = DAY_OF_MONTH;
        d.month = take_number(t, 12);
        t->wrong |= !take(t, '.') || d.month == 0;
        d.week = take_number(t, 5);
        t->wrong |= !take(t, '.') || d.week == 0;
        d.day = take_number(t, 6);
    } else {
        d.form = take(t, 'J') ? DAY_JULIAN : DAY_FROM_ZERO;
        d.day = take_number(t, 365);
    }
    if (take(t, '/'))
        d.seconds = take_time(t, 167);
    return d;
}

static bool read_rule(struct zone *z, struct text t)
{
    if (t.at == t.end)
        return true; /* none */
    z->has_rule = true;
    take_name(&t);
    z->standard = -take_time(&t, 24);
    if (t.wrong || t.at == t.end)
        return !t.wrong;
    z->has_summer = true;
    take_name(&t);
    z->summer = z->standard + 3600;
    if (t.at < t.end && *t.at != ',')
        z->summer = -take_time(&t, 24);
    z->begin = take_day(&t);
    z->end = take_day(&t);
    return !t.wrong && t.at == t.end;
}

/* ---- the file ---- */

struct counts {
    uint32_t is_utc, is_standard, leaps, changes, types, characters;
};

static uint32_t big_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t big_i64(const uint8_t *at)
{
    return (int64_t)((uint64_t)big_u32(at) << 32 | big_u32(at + 4));
}

/* The bytes behind a head with these counts, with times of that width; false when the head is
 * wrong. */
static bool
read_head(struct bytes tzif, size_t at, size_t width, struct counts *c, size_t *size)
{
    const uint8_t *head;

    if (tzif.size < HEAD_SIZE || at > tzif.size - HEAD_SIZE)
        return false;
    head = tzif.data + at;
    if (memcmp(head, "TZif", 4) != 0 || head[4] < '2')
        return false;
    *c = (struct counts){
        .is_utc = big_u32(head + 20),
        .is_standard = big_u32(head + 24),
        .leaps = big_u32(head + 28),
        .changes = big_u32(head + 32),
        .types = big_u32(head + 36),
        .characters = big_u32(head + 40),
    };
    if (c->is_utc > 256 || c->is_standard > 256 || c->types == 0 || c->types > 256 ||
        c->leaps > 1000 || c->changes > 100000 || c->characters > 10000)
        return false;
    *size = c->changes * (width + 1) + c->types * 6 + c->characters +
            c->leaps * (width + 4) + c->is_standard + c->is_utc;
    return *size <= tzif.size - at - HEAD_SIZE;
}

static bool read_changes(struct zone *z, const uint8_t *at, const struct counts *c)
{
    const uint8_t *indices = at + 8 * (size_t)c->changes, *types = indices + c->changes;

    z->offset = (int32_t)big_u32(types);
    z->count = c->changes;
    z->changes = mem_zalloc((z->count + 1) * sizeof(*z->changes));
    for (size_t i = 0; i < z->count; i++) {
        if (indices[i] >= c->types)
            return false;
        z->changes[i] = (struct zone_change){big_i64(at + 8 * i),
                                             (int32_t)big_u32(types + 6 * indices[i])};
        if (z->changes[i].at < -TIME_LIMIT || z->changes[i].at > TIME_LIMIT ||
            (i > 0 && z->changes[i].at <= z->changes[i - 1].at))
            return false;
    }
    return true;
}

static bool offsets_are_right(const struct zone *z)
{
    for (size_t i = 0; i < z->count; i++)
        if (z->changes[i].offset <= -DAY_S || z->changes[i].offset >= DAY_S)
            return false;
    return z->offset > -DAY_S && z->offset < DAY_S;
}

static bool read_file(struct zone *z, struct bytes tzif)
{
    size_t at = 0, size;
    struct counts c;
    struct text footer;

    if (!read_head(tzif, at, 4, &c, &size)) /* the first block is for old readers */
        return false;
    at += HEAD_SIZE + size;
    if (!read_head(tzif, at, 8, &c, &size) ||
        !read_changes(z, tzif.data + at + HEAD_SIZE, &c))
        return false;
    at += HEAD_SIZE + size;
    footer = (struct text){.at = (const char *)tzif.data + at,
                           .end = (const char *)tzif.data + tzif.size};
    if (footer.end - footer.at < 2 || *footer.at != '\n' || footer.end[-1] != '\n')
        return false;
    footer.at++;
    footer.end--;
    return read_rule(z, footer) && offsets_are_right(z);
}

int zone_read(struct zone *z, struct bytes tzif, struct error *err)
{
    *z = (struct zone){0};
    if (read_file(z, tzif))
        return 0;
    zone_finish(z);
    return error_set(err, ERROR_INVALID, "no time zone in TZif of version 2 or later");
}

void zone_finish(struct zone *z)
{
    mem_free(z->changes);
    *z = (struct zone){0};
}

/* ---- looking ---- */

/* When clocks change in a year, as seconds of the local time before it. */
static int64_t local_change(const struct zone_day *d, int64_t year)
{
    int64_t first = days_of_date(year, 1, 1), days;
    unsigned shift, last;

    switch (d->form) {
    case DAY_JULIAN: /* 29 February is never counted */
        days = first + d->day - 1 + (is_leap(year) && d->day >= 60);
        break;
    case DAY_FROM_ZERO:
        days = first + d->day;
        break;
    case DAY_OF_MONTH:
    default:
        first = days_of_date(year, (unsigned)d->month, 1);
        last = (unsigned)(days_of_date(
                              year + d->month / 12, (unsigned)d->month % 12 + 1, 1) -
                          first);
        shift = ((unsigned)d->day + 7 - week_day_of(first)) % 7;
        while (shift + 7 < last && shift / 7 + 1 < (unsigned)d->week)
            shift += 7;
        days = first + shift;
        break;
    }
    return days * DAY_S + d->seconds;
}

static int64_t begin_of(const struct zone *z, int64_t year)
{
    return local_change(&z->begin, year) - z->standard;
}

static int64_t end_of(const struct zone *z, int64_t year)
{
    return local_change(&z->end, year) - z->summer;
}

static int64_t year_of(const struct zone *z, int64_t utc)
{
    int64_t local = utc + z->standard, year;
    unsigned month, day;

    date_of_days(
        (local >= 0 ? local : local - (DAY_S - 1)) / DAY_S, &year, &month, &day);
    return year;
}

static int32_t offset_by_rule(const struct zone *z, int64_t utc)
{
    int64_t year, begin, end;

    if (!z->has_summer)
        return z->standard;
    year = year_of(z, utc);
    begin = begin_of(z, year);
    end = end_of(z, year);
    if (begin < end)
        return begin <= utc && utc < end ? z->summer : z->standard;
    return end <= utc && utc < begin ? z->standard : z->summer;
}

/* How many changes are not behind this instant. */
static size_t changes_until(const struct zone *z, int64_t utc)
{
    size_t i;

    SEARCH_END(i, 0, z->count, z->changes[i].at <= utc);
    return i;
}

int32_t zone_offset(const struct zone *z, int64_t utc)
{
    size_t n = changes_until(z, utc);

    if (n == z->count && z->has_rule)
        return offset_by_rule(z, utc);
    return n == 0 ? z->offset : z->changes[n - 1].offset;
}

static int64_t next_by_rule(const struct zone *z, int64_t utc)
{
    int64_t year, next = ZONE_NEVER;

    if (!z->has_summer || z->summer == z->standard)
        return ZONE_NEVER;
    year = year_of(z, utc);
    for (int64_t y = year - 1; y <= year + 1; y++) {
        int64_t at[2] = {begin_of(z, y), end_of(z, y)};

        for (int i = 0; i < 2; i++)
            if (at[i] > utc && at[i] < next &&
                zone_offset(z, at[i]) != zone_offset(z, at[i] - 1))
                next = at[i];
    }
    return next;
}

int64_t zone_next_change(const struct zone *z, int64_t utc)
{
    size_t n = changes_until(z, utc);

    for (; n < z->count; n++)
        if (zone_offset(z, z->changes[n].at) != zone_offset(z, z->changes[n].at - 1))
            return z->changes[n].at;
    if (!z->has_rule)
        return ZONE_NEVER;
    if (z->count > 0 && utc < z->changes[z->count - 1].at)
        utc = z->changes[z->count - 1].at;
    return next_by_rule(z, utc);
}
