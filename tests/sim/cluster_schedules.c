/* cluster_schedules.c - schedules of jobs, and that each slot of them is decided once (spec 14).
 *
 * Here a schedule is a rule of the local time, asked of each minute: nothing of src/ computes slots.
 * Clocks of masters show 21:13 to 23:20 UTC of Tuesday, 14 November 2023; in two zones clocks
 * change in the middle of that, and the day with them.
 */
#include "cluster.h"

#include "base/assert.h"
#include "base/mem.h"
#include "tests/lib/tzif.h"

#include <string.h>

#define MINUTE_US  (60 * SECOND)
#define CHANGE_MIN 28333350u /* 22:30 UTC: in minutes since 1970 */
#define HOUR_MIN   60u
#define DAY_MIN    (24 * HOUR_MIN)
#define FIRST_DAY  (CHANGE_MIN / DAY_MIN) /* is the 14th */

/* ---- zones ---- */

static const struct {
    const char *name; /* NULL: UTC */
    const char *rule;
    unsigned before, after; /* minutes east of UTC, before clocks change and after it */
} ZONES[] = {
    {NULL, NULL, 0, 0},
    {"Sim/Berlin", TZ_BERLIN, 60, 60},
    {"Sim/Back", "CET-1CEST,M3.5.0,M11.3.3/0:30", 120, 60},
    {"Sim/Forward", "CET-1CEST,M11.2.2/23:30,M3.5.0/3", 60, 120},
};
#define ZONE_COUNT (sizeof(ZONES) / sizeof(*ZONES))

unsigned sim_zone_of(const char *name)
{
    unsigned i = 1;

    while (i < ZONE_COUNT && strcmp(ZONES[i].name, name) != 0)
        i++;
    ASSERT(i < ZONE_COUNT);
    return i;
}

const char *sim_zone_file(unsigned zone, struct buffer *out)
{
    tzif_of_rule(out, ZONES[zone].rule);
    return ZONES[zone].name;
}

static uint64_t east(unsigned zone, uint64_t minute)
{
    return minute < CHANGE_MIN ? ZONES[zone].before : ZONES[zone].after;
}

/* ---- schedules ---- */

struct local {
    uint64_t minute, hour, day, week_day;
};

static struct local local_of(uint64_t minute)
{
    uint64_t day = minute / DAY_MIN;

    /* 1 January 1970 was a Thursday. */
    return (struct local){
        minute % 60, minute / 60 % 24, 14 + day - FIRST_DAY, (day + 4) % 7};
}

static bool is_any(struct local t)
{
    (void)t;
    return true;
}

static bool is_even(struct local t)
{
    return t.minute % 2 == 0;
}

static bool is_third(struct local t)
{
    return t.minute % 3 == 1;
}

static bool is_listed(struct local t)
{
    return t.minute % 15 == 0 || t.minute == 29 || t.minute == 31;
}

static bool is_on_the_hour(struct local t)
{
    return t.minute == 0;
}

static bool is_by_night(struct local t)
{
    return t.minute % 5 == 0 && (t.hour >= 22 || t.hour == 0);
}

static bool is_after_23(struct local t)
{
    return t.minute % 4 == 0 && t.hour == 23;
}

static bool is_midnight(struct local t)
{
    return t.minute == 0 && t.hour == 0;
}

static bool is_on_the_15th(struct local t)
{
    return t.day == 15;
}

static bool is_on_tuesday(struct local t)
{
    return t.minute % 3 == 0 && t.week_day == 2;
}

static bool is_on_either(struct local t) /* both days are given: one is enough */
{
    return t.minute <= 40 && is_even(t) && (t.hour == 0 || t.hour == 22) &&
           (t.day == 15 || t.week_day == 1);
}

static bool is_on_both(struct local t) /* the day begins with `*`: it is not given */
{
    return t.day % 2 == 1 && t.week_day == 3;
}

static const struct {
    const char *cron;
    bool (*is)(struct local t);
    bool is_hourly; /* it goes on by elapsed minutes */
} FORMS[] = {
    {"* * * * *", is_any, true},
    {"*/2 * * * *", is_even, true},
    {"1-59/3 * * * *", is_third, true},
    {"0,15,29-31,45 * * * *", is_listed, true},
    {"@hourly", is_on_the_hour, true},
    {"*/5 0,22-23 * * *", is_by_night, false},
    {"*/4 23 * nov *", is_after_23, false},
    {"@daily", is_midnight, false},
    {"* * 15 * *", is_on_the_15th, true},
    {"*/3 * * 11 tue", is_on_tuesday, true},
    {"0-40/2 0,22 15 * mon", is_on_either, false},
    {"* * */2 * 3", is_on_both, true},
};
#define FORM_COUNT (sizeof(FORMS) / sizeof(*FORMS))

/* Half of them are due each minute: else little would happen. */
static size_t form_of(const struct sim_job *j)
{
    return (j->key >> 35 & 1) != 0 ? 0 : (j->key >> 36) % FORM_COUNT;
}

static unsigned zone_of(const struct sim_job *j)
{
    return (unsigned)((j->key >> 44) % ZONE_COUNT);
}

void sim_schedule(const struct sim_job *j, struct job_schedule *out)
{
    const char *zone = ZONES[zone_of(j)].name;

    out->cron = mem_strdup(FORMS[form_of(j)].cron);
    out->timezone = zone == NULL ? NULL : mem_strdup(zone);
}

/* ---- slots ---- */

/* Local times that clocks leave out are all when they jump; what comes twice is the first time. */
static bool is_slot(const struct sim_job *j, uint64_t minute)
{
    unsigned zone = zone_of(j);
    uint64_t now = east(zone, minute), before = east(zone, minute - 1);
    size_t form = form_of(j);

    if (FORMS[form].is_hourly)
        return FORMS[form].is(local_of(minute + now));
    for (uint64_t east = before; east < now; east++)
        if (FORMS[form].is(local_of(minute + east)))
            return true;
    return FORMS[form].is(local_of(minute + now)) &&
           east(zone, minute - HOUR_MIN) != now + HOUR_MIN;
}

/* Each was started, missed or skipped, and none twice. */
void check_slots(struct cluster *c, const struct sim_master *m, const struct job *job)
{
    const struct sim_job *j = sim_job_behind(c, job->id);
    const struct job_template *t = job->made;
    uint64_t decided = t->fired + t->missed + t->skipped, due = 0;

    if (j == NULL)
        return;
    for (uint64_t minute = job->submitted_us / MINUTE_US + 1;
         minute <= t->last_us / MINUTE_US;
         minute++)
        due += is_slot(j, minute);
    if (decided != due || (decided > 0 && (t->last_us % MINUTE_US != 0 ||
                                           !is_slot(j, t->last_us / MINUTE_US))))
        world_fail(&c->world,
                   "master %u: of %llu slots of job %llu (%s, %s) %llu were decided",
                   m->number + 1,
                   (unsigned long long)due,
                   (unsigned long long)job->id,
                   FORMS[form_of(j)].cron,
                   zone_of(j) == 0 ? "UTC" : ZONES[zone_of(j)].name,
                   (unsigned long long)decided);
    c->totals.slots += decided;
    c->totals.other_slots += form_of(j) == 0 ? 0 : decided;
}
