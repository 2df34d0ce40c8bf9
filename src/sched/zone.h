/* zone.h - what clocks of a time zone show, by the bytes of its file in the tz database.
 *
 * Source: RFC 8536 (TZif, version 2 and later: the second block of data, and the rule of POSIX
 * in the footer for what is behind the last transition).  Leap seconds are passed over: times
 * are those of POSIX, as all of ours.
 */
#ifndef SCHED_ZONE_H
#define SCHED_ZONE_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZONE_NEVER INT64_MAX

/* A day of the year at which clocks change. */
struct zone_day {
    enum { DAY_OF_MONTH, DAY_JULIAN, DAY_FROM_ZERO } form;
    int month, week, day; /* M month.week.day; the others have a day alone */
    int32_t seconds;      /* of local time */
};

struct zone_change {
    int64_t at;     /* seconds since 1970 */
    int32_t offset; /* from then on: of local time, in seconds */
};

struct zone {
    struct zone_change *changes; /* owned, ascending */
    size_t count;
    int32_t offset; /* before the first */
    /* Behind the last one; without a rule its offset stays. */
    bool has_rule, has_summer;
    int32_t standard, summer;
    struct zone_day begin, end; /* of summer */
};

/* ERROR_INVALID for what is no TZif of version 2 or later. */
int zone_read(struct zone *z, struct bytes tzif, struct error *err);
void zone_finish(struct zone *z); /* zeroed is UTC, and fine */

/* Local time is UTC plus this. */
int32_t zone_offset(const struct zone *z, int64_t utc);
/* The first instant behind this one at which the offset is another, or ZONE_NEVER. */
int64_t zone_next_change(const struct zone *z, int64_t utc);

/* Days since 1970 of a date, and the date of a day (proleptic Gregorian calendar). */
int64_t days_of_date(int64_t year, unsigned month, unsigned day);
void date_of_days(int64_t days, int64_t *year, unsigned *month, unsigned *day);
/* 0 is Sunday. */
static inline unsigned week_day_of(int64_t days)
{
    return (unsigned)(((days + 4) % 7 + 7) % 7);
}

#endif
