/* cron.h - schedules as five fields, of minutes, hours, days, months and days of the week.
 *
 * The syntax is that of Vixie cron (crontab(5)): `*`, numbers, names of three letters, ranges,
 * lists, steps, and @hourly, @daily, @weekly, @monthly, @yearly.  When slots are is decided by
 * sched/slots.h.
 */
#ifndef WIRE_CRON_H
#define WIRE_CRON_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct cron {
    uint64_t minutes;  /* bit n: minute n */
    uint32_t hours;    /* bit n: hour n */
    uint32_t days;     /* bit n: day n of the month, from 1 */
    uint16_t months;   /* bit n: month n, from 1 */
    uint8_t week_days; /* bit n: 0 is Sunday */
    bool any_day;      /* the days of the month begin with `*`, … */
    bool any_week_day; /* … of the week; if none is, one of both is enough */
};

/* ERROR_INVALID says which field is wrong, why, and what to give.  `err` may be NULL. */
int cron_parse(struct cron *c, const char *text, struct error *err);

/* Every hour of the day is in it. */
static inline bool cron_is_hourly(const struct cron *c)
{
    return c->hours == (1u << 24) - 1;
}

/* A day by its number in the month and month, from 1, and its day of the week. */
bool cron_has_day(const struct cron *c,
                  unsigned day,
                  unsigned month,
                  unsigned week_day);

#endif
