/* slots.c - when a schedule is due.
 *
 * Between two changes of the zone's offset local time is UTC and a constant, so a slot is a
 * matter of the calendar.  At a change clocks leave out local times, or show them twice: what
 * becomes of slots there depends on whether the schedule is one of every hour. */
#include "sched/slots.h"

#define DAY_S 86400
/* From a 29 February to the next one on the same day of the week, over 2100. */
#define DAYS_MAX (41 * 366)

/* The first minute of a day that matches, from this second of it on; -1: none. */
static int64_t minute_from(const struct cron *c, int64_t second)
{
    unsigned minute = (unsigned)(second + 59) / 60;

    for (unsigned hour = minute / 60; hour < 24; hour++, minute = 60 * hour) {
        uint64_t left = c->minutes >> (minute % 60);

        if ((c->hours >> hour & 1) != 0 && left != 0)
            return (int64_t)(minute + (unsigned)__builtin_ctzll(left)) * 60;
    }
    return -1;
}

static int64_t day_floor(int64_t seconds)
{
    return (seconds >= 0 ? seconds : seconds - (DAY_S - 1)) / DAY_S;
}

/* The first day of a month behind this one that matches. */
static int64_t month_behind(const struct cron *c, int64_t year, unsigned month)
{
    unsigned later = (unsigned)c->months >> (month + 1);

    if (later != 0)
        return days_of_date(year, month + 1 + (unsigned)__builtin_ctz(later), 1);
    return days_of_date(year + 1, (unsigned)__builtin_ctz(c->months), 1);
}

/* The first local time that matches, from this one on, or ZONE_NEVER. */
static int64_t local_from(const struct cron *c, int64_t local)
{
    int64_t day = day_floor(local), second = local - day * DAY_S;

    for (int64_t last = day + DAYS_MAX; day <= last;) {
        int64_t year, end, minute;
        unsigned month, number;

        date_of_days(day, &year, &month, &number);
        end = days_of_date(month < 12 ? year : year + 1, month % 12 + 1, 1);
        if ((c->months >> month & 1) == 0) {
            day = month_behind(c, year, month);
            second = 0;
            continue;
        }
        for (; day < end; day++, number++, second = 0) {
            if (!cron_has_day(c, number, month, week_day_of(day)))
                continue;
            minute = minute_from(c, second);
            if (minute >= 0)
                return day * DAY_S + minute;
        }
    }
    return ZONE_NEVER;
}

/* Clocks showed the same before: no change is longer than a day. */
static bool is_second(const struct zone *z, int64_t utc)
{
    int32_t offset = zone_offset(z, utc), before = zone_offset(z, utc - DAY_S);
    int64_t first = utc + offset - before;

    return first < utc && zone_offset(z, first) == before;
}

int64_t slot_after(const struct cron *c, const struct zone *z, int64_t utc)
{
    bool is_fixed = !cron_is_hourly(c);
    int64_t from = utc + 1;

    for (;;) {
        int32_t offset = zone_offset(z, from);
        int64_t change = zone_next_change(z, from);
        int64_t local = local_from(c, from + offset), far;

        if (local == ZONE_NEVER)
            return ZONE_NEVER;
        if (local - offset < change) {
            if (!is_fixed || !is_second(z, local - offset))
                return local - offset;
            from = local - offset + 1;
            continue;
        }
        /* It may be one of those that are left out. */
        if (is_fixed && local - zone_offset(z, change) < change)
            return change;
        /* Local times two days behind `from` were not shown before, and up to two days before
         * `local` none matches, whatever the offset: changes between do not matter. */
        far = local - offset - 2 * DAY_S;
        from = change - from >= 2 * DAY_S && far > change ? far : change;
    }
}
