/* test_slots.c - time zones and slots of schedules (docs/spec/14-kinds.md).
 *
 * Zones are compared with those of libc, where it has the tz database; slots with a walk over
 * every minute.  The seeds are fixed; TEST_SEED=n runs another one. */
#include "sched/slots.h"

#include "base/rng.h"
#include "tests/lib/tzif.h"
#include "tests/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MINUTE 60
#define HOUR   3600
#define DAY    86400

static struct zone zone;
static struct cron cron;

static void teardown(void)
{
    zone_finish(&zone);
}

static void use_rule(const char *rule)
{
    struct buffer file = {0};

    zone_finish(&zone);
    tzif_of_rule(&file, rule);
    ck_assert_int_eq(zone_read(&zone, buffer_view(&file), NULL), 0);
    buffer_finish(&file);
}

static int64_t utc(int year, unsigned month, unsigned day, int hour, int minute)
{
    return days_of_date(year, month, day) * DAY + hour * HOUR + minute * MINUTE;
}

static void use_cron(const char *text)
{
    struct error err;

    ck_assert_msg(cron_parse(&cron, text, &err) == 0, "%s", err.text);
}

/* ---- the calendar ---- */

START_TEST(test_days_and_dates)
{
    int64_t year;
    unsigned month, day;

    ck_assert_int_eq(days_of_date(1970, 1, 1), 0);
    ck_assert_int_eq(days_of_date(2026, 11, 26), 20783);
    ck_assert_int_eq(days_of_date(1969, 12, 31), -1);
    ck_assert_uint_eq(week_day_of(20783), 4);
    ck_assert_uint_eq(week_day_of(-1), 3);
    for (int64_t n = -800000; n < 800000; n += 97) {
        date_of_days(n, &year, &month, &day);
        ck_assert_int_eq(days_of_date(year, month, day), n);
    }
}
END_TEST

/* ---- zones ---- */

START_TEST(test_the_rule_of_a_zone)
{
    use_rule(TZ_BERLIN);
    ck_assert_int_eq(zone_offset(&zone, utc(2026, 3, 29, 0, 59)), HOUR);
    ck_assert_int_eq(zone_offset(&zone, utc(2026, 3, 29, 1, 0)), 2 * HOUR);
    ck_assert_int_eq(zone_offset(&zone, utc(2026, 10, 25, 0, 59)), 2 * HOUR);
    ck_assert_int_eq(zone_offset(&zone, utc(2026, 10, 25, 1, 0)), HOUR);
    ck_assert_int_eq(zone_next_change(&zone, utc(2026, 1, 1, 0, 0)),
                     utc(2026, 3, 29, 1, 0));
    ck_assert_int_eq(zone_next_change(&zone, utc(2026, 3, 29, 1, 0)),
                     utc(2026, 10, 25, 1, 0));
    use_rule(TZ_SYDNEY);
    ck_assert_int_eq(zone_offset(&zone, utc(2026, 1, 1, 0, 0)), 11 * HOUR);
    ck_assert_int_eq(zone_offset(&zone, utc(2026, 7, 1, 0, 0)), 10 * HOUR);
    ck_assert_int_eq(zone_next_change(&zone, utc(2026, 1, 1, 0, 0)),
                     utc(2026, 4, 4, 16, 0));
    use_rule(TZ_INDIA);
    ck_assert_int_eq(zone_offset(&zone, 0), 5 * HOUR + HOUR / 2);
    ck_assert(zone_next_change(&zone, 0) == ZONE_NEVER);
    use_rule("<-03>3<-02>,J60/0,J300/24");
    ck_assert_int_eq(zone_offset(&zone, utc(2024, 3, 1, 2, 59)), -3 * HOUR);
    ck_assert_int_eq(zone_offset(&zone, utc(2024, 3, 1, 3, 0)), -2 * HOUR);
}
END_TEST

START_TEST(test_what_is_no_zone)
{
    struct buffer file = {0};
    static const char *const WRONG[] = {"C-1",
                                        "CET-1CEST,M3.5.0",
                                        "CET-1CEST,M13.5.0,M10.5.0",
                                        "CET-1CEST,M3.5.7,J1",
                                        "CET-25",
                                        "CET-1CEST,M3.5.0,M10.5.0/3x",
                                        "CET-1CEST",
                                        "<CET"};
    size_t size;

    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        buffer_clear(&file);
        tzif_of_rule(&file, WRONG[i]);
        ck_assert_msg(zone_read(&zone, buffer_view(&file), NULL) != 0, "%s", WRONG[i]);
    }
    buffer_clear(&file);
    tzif_of_rule(&file, TZ_BERLIN);
    size = file.size;
    for (file.size = 0; file.size < size; file.size++)
        ck_assert_int_ne(zone_read(&zone, buffer_view(&file), NULL), 0);
    for (size_t i = 0; i < size; i++) { /* whatever it is: it ends, within the bytes */
        file.data[i] ^= 0xff;
        if (zone_read(&zone, buffer_view(&file), NULL) == 0)
            zone_finish(&zone);
        file.data[i] ^= 0xff;
    }
    buffer_finish(&file);
}
END_TEST

/* Of one transition, and then the rule. */
static void tzif_of_change(struct buffer *out, int64_t at, const char *rule)
{
    struct buffer all = {0};
    size_t second = 44 + 10, data = second + 44; /* of the block of 64 bits */

    tzif_of_rule(&all, rule);
    all.data[second + 35] = 1; /* transitions */
    buffer_append(out, all.data, data);
    for (int shift = 56; shift >= 0; shift -= 8)
        buffer_append_u8(out, (uint8_t)((uint64_t)at >> shift));
    buffer_append_u8(out, 0); /* the type from then on */
    buffer_append(out, all.data + data, all.size - data);
    buffer_finish(&all);
}

/* Sums of times have room, as the sanitizer says. */
START_TEST(test_changes_at_the_ends_of_time)
{
    static const int64_t END = (int64_t)1 << 59;
    static const struct {
        int64_t at;
        bool right;
    } CASES[] = {{END, true},
                 {-END, true},
                 {END + 1, false},
                 {-END - 1, false},
                 {INT64_MAX, false},
                 {INT64_MIN, false}};
    struct buffer file = {0};

    use_cron("0 0 1 1 *");
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        buffer_clear(&file);
        tzif_of_change(&file, CASES[i].at, TZ_BERLIN);
        zone_finish(&zone);
        ck_assert_int_eq(zone_read(&zone, buffer_view(&file), NULL) == 0,
                         CASES[i].right);
        ck_assert_int_gt(zone_next_change(&zone, 0), 0);
        ck_assert_int_gt(zone_next_change(&zone, CASES[i].right ? END : 0), 0);
        ck_assert_int_eq(slot_after(&cron, &zone, utc(2026, 5, 5, 0, 0)) / DAY,
                         days_of_date(2027, 1, 1) - (CASES[i].at == -END));
    }
    buffer_finish(&file);
}
END_TEST

static const char *const PLACES[] = {"Europe/Berlin",
                                     "America/New_York",
                                     "Australia/Lord_Howe",
                                     "Asia/Kolkata",
                                     "Africa/Casablanca",
                                     "America/St_Johns",
                                     "Pacific/Apia",
                                     "Europe/Dublin",
                                     "America/Santiago",
                                     "Asia/Gaza",
                                     "UTC"};

#define PLACE_COUNT (int)(sizeof(PLACES) / sizeof(PLACES[0]))

static bool use_place(const char *place)
{
    static uint8_t bytes[65536];
    char path[128];
    FILE *file;
    size_t size;

    snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", place);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    zone_finish(&zone);
    ck_assert_int_eq(zone_read(&zone, (struct bytes){bytes, size}, NULL), 0);
    return true;
}

static struct rng seeded(uint64_t n)
{
    const char *seed = getenv("TEST_SEED");

    return (struct rng){(seed == NULL ? 1 : strtoull(seed, NULL, 10)) * 1000 + n};
}

START_TEST(test_zones_are_those_of_libc)
{
    struct rng r = seeded((uint64_t)_i);
    int64_t next = 0;

    if (!use_place(PLACES[_i])) {
        printf("# no tz database here: %s is not compared\n", PLACES[_i]);
        return;
    }
    setenv("TZ", PLACES[_i], 1);
    tzset();
    for (int i = 0; i < 5000; i++) {
        time_t at = (time_t)rng_between(&r, 0, 230ull * 366 * DAY); /* from 1970 on */
        struct tm local;

        localtime_r(&at, &local);
        if (zone_offset(&zone, at) != local.tm_gmtoff)
            ck_abort_msg("%s at %lld: %d, libc has %ld",
                         PLACES[_i],
                         (long long)at,
                         zone_offset(&zone, at),
                         local.tm_gmtoff);
    }
    for (int n = 0; n < 300; n++) { /* nothing changes between changes */
        int64_t change = zone_next_change(&zone, next);

        if (change == ZONE_NEVER)
            break;
        ck_assert_int_gt(change, next);
        ck_assert_int_eq(zone_offset(&zone, next), zone_offset(&zone, change - 1));
        ck_assert_int_ne(zone_offset(&zone, change), zone_offset(&zone, change - 1));
        next = change;
    }
}
END_TEST

/* ---- slots ---- */

static void check_slots(int64_t from, const int64_t *slots, int count)
{
    for (int i = 0; i < count; i++) {
        from = slot_after(&cron, &zone, from);
        ck_assert_msg(from == slots[i],
                      "slot %d is %lld, not %lld",
                      i,
                      (long long)from,
                      (long long)slots[i]);
    }
}

START_TEST(test_slots_where_clocks_change)
{
    const int64_t spring[] = {utc(2026, 3, 28, 1, 30),
                              utc(2026, 3, 29, 1, 0),
                              utc(2026, 3, 30, 0, 30)},
                  autumn[] = {utc(2026, 10, 24, 0, 30),
                              utc(2026, 10, 25, 0, 30),
                              utc(2026, 10, 26, 1, 30)},
                  hours[] = {utc(2026, 3, 29, 0, 30), utc(2026, 3, 29, 1, 30)},
                  twice[] = {utc(2026, 10, 25, 0, 30),
                             utc(2026, 10, 25, 1, 30),
                             utc(2026, 10, 25, 2, 30)},
                  midnight[] = {utc(2026, 4, 9, 22, 45),
                                utc(2026, 4, 9, 23, 45),
                                utc(2027, 4, 8, 23, 45)};

    use_rule(TZ_BERLIN);
    use_cron("30 2 * * *");
    check_slots(utc(2026, 3, 27, 12, 0), spring, 3);
    check_slots(utc(2026, 10, 23, 12, 0), autumn, 3);
    use_cron("30 * * * *");
    check_slots(utc(2026, 3, 29, 0, 0), hours, 2);
    check_slots(utc(2026, 10, 25, 0, 0), twice, 3);
    use_rule("AAA0BBB,M3.5.0/2,J100/0:30"); /* back to the day before */
    use_cron("45 * 9 4 *");
    check_slots(utc(2026, 4, 9, 22, 0), midnight, 3);
}
END_TEST

START_TEST(test_slots_of_the_calendar)
{
    const int64_t leap[] = {utc(2096, 2, 29, 0, 0), utc(2104, 2, 29, 0, 0)},
                  ends[] = {utc(2026, 1, 31, 0, 0), utc(2026, 3, 31, 0, 0)},
                  sunday[] = {utc(2088, 2, 29, 0, 0), utc(2128, 2, 29, 0, 0)},
                  friday[] = {utc(2026, 11, 27, 0, 0), utc(2026, 12, 4, 0, 0)};

    zone_finish(&zone);
    use_cron("0 0 29 2 *");
    check_slots(utc(2092, 3, 1, 0, 0), leap, 2);
    cron.week_days = 1; /* both must match as long as one is `*` */
    check_slots(utc(2060, 3, 1, 0, 0), sunday, 2);
    use_cron("0 0 31 * *");
    check_slots(utc(2026, 1, 1, 0, 0), ends, 2);
    use_cron("0 0 * * fri");
    check_slots(utc(2026, 11, 26, 12, 0), friday, 2);
    check_slots(utc(2026, 11, 26, 23, 59) + 59, friday, 1);
}
END_TEST

/* The same by what the specification says of each minute. */
static bool matches(int64_t local)
{
    int64_t day = (local - ((local % DAY) + DAY) % DAY) / DAY,
            second = local - day * DAY, year;
    unsigned month, number;

    date_of_days(day, &year, &month, &number);
    return second % MINUTE == 0 &&
           cron_has_day(&cron, number, month, week_day_of(day)) &&
           (cron.hours >> (second / HOUR) & 1) != 0 &&
           (cron.minutes >> (second % HOUR / MINUTE) & 1) != 0;
}

/* No change of those here is longer. */
static bool is_shown_again(int64_t at, int32_t offset)
{
    if (zone_offset(&zone, at - 6 * HOUR) == offset)
        return false; /* no two changes come so soon */
    for (int64_t earlier = at - MINUTE; earlier >= at - 6 * HOUR; earlier -= MINUTE)
        if (earlier + zone_offset(&zone, earlier) == at + offset)
            return true;
    return false;
}

static bool is_slot(int64_t at)
{
    int32_t offset = zone_offset(&zone, at), before = zone_offset(&zone, at - 1);

    if (matches(at + offset) && (cron_is_hourly(&cron) || !is_shown_again(at, offset)))
        return true;
    if (cron_is_hourly(&cron))
        return false;
    for (int64_t local = at + before; local < at + offset; local += MINUTE)
        if (matches(local))
            return true;
    return false;
}

static void
random_field(struct rng *r, char *text, size_t size, unsigned first, unsigned last)
{
    unsigned a = (unsigned)rng_between(r, first, last),
             b = (unsigned)rng_between(r, a, last);

    switch (rng_below(r, 5)) {
    case 0:
        snprintf(text, size, "%u", a);
        break;
    case 1:
        snprintf(text, size, "%u-%u", a, b);
        break;
    case 2:
        snprintf(text, size, "*/%u", 1 + (unsigned)rng_below(r, last));
        break;
    default:
        snprintf(text, size, "*");
        break;
    }
}

static bool random_cron(struct rng *r, char text[80])
{
    char fields[5][16];
    static const unsigned FIRST[] = {0, 0, 1, 1, 0}, LAST[] = {59, 23, 31, 12, 6};

    for (int i = 0; i < 5; i++)
        random_field(r, fields[i], sizeof(fields[i]), FIRST[i], LAST[i]);
    snprintf(text,
             80,
             "%s %s %s %s %s",
             fields[0],
             fields[1],
             fields[2],
             fields[3],
             fields[4]);
    return cron_parse(&cron, text, NULL) == 0;
}

/* Around the days on which clocks change. */
START_TEST(test_slots_are_those_of_each_minute)
{
    static const char *const RULES[] = {TZ_BERLIN,
                                        TZ_SYDNEY,
                                        TZ_INDIA,
                                        "LHST-10:30LHDT-11,M10.1.0,M4.1.0",
                                        "AAA0BBB-5,J100,J200"};
    struct rng r = seeded((uint64_t)_i);
    char text[80];

    for (int n = 0; n < 25; n++) {
        const char *rule = RULES[rng_below(&r, 5)];
        int64_t at, end, next;

        use_rule(rule);
        if (!random_cron(&r, text))
            continue;
        at = utc(
            2020 + (int)rng_below(&r, 12), 1 + (unsigned)rng_below(&r, 12), 1, 0, 0);
        if (zone_next_change(&zone, at) != ZONE_NEVER)
            at = zone_next_change(&zone, at) - 2 * DAY;
        end = at + 4 * DAY;
        next = slot_after(&cron, &zone, at - 1);
        for (; at < end; at += MINUTE) {
            bool is_next = at == next;

            if (is_slot(at) != is_next) /* each assertion is a call of the system */
                ck_abort_msg("%s in %s: %lld is %s slot",
                             text,
                             rule,
                             (long long)at,
                             is_next ? "a" : "no");
            if (is_next)
                next = slot_after(&cron, &zone, at);
        }
    }
}
END_TEST

/* Whatever lies before the next slot, it is the next one from there on too: far away, and where
 * clocks change. */
START_TEST(test_slots_far_away)
{
    static const char *const FAR[] = {
        "0 2 29 2 *", "30 2 * 3 sun", "*/20 * 31 1,10 *", "0 0 1 1 *", "10 3 29 2 *"};
    static const char *const RULES[] = {TZ_BERLIN, TZ_SYDNEY, "AAA0BBB-20,J58,J60"};
    struct rng r = seeded((uint64_t)_i);
    int64_t at = utc(2020 + (int)rng_below(&r, 90), 1, 1, 0, 0);

    use_rule(RULES[rng_below(&r, 3)]);
    use_cron(FAR[_i]);
    for (int n = 0; n < 40; n++) {
        int64_t next = slot_after(&cron, &zone, at), change = at;

        ck_assert_int_gt(next, at);
        for (int i = 0; i < 20; i++) {
            int64_t from = at + (int64_t)rng_below(&r, (uint64_t)(next - at));

            ck_assert_int_eq(slot_after(&cron, &zone, from), next);
        }
        while ((change = zone_next_change(&zone, change)) < next)
            for (int hours = -60; hours <= 60; hours += 4) {
                int64_t from = change + hours * HOUR;

                if (from >= at && from < next)
                    ck_assert_int_eq(slot_after(&cron, &zone, from), next);
            }
        at = next;
    }
}
END_TEST

int main(void)
{
    TCase *c = unit_case("slots",
                         test_days_and_dates,
                         test_the_rule_of_a_zone,
                         test_what_is_no_zone,
                         test_changes_at_the_ends_of_time,
                         test_slots_where_clocks_change,
                         test_slots_of_the_calendar);

    tcase_add_checked_fixture(c, NULL, teardown);
    tcase_add_loop_test(c, test_zones_are_those_of_libc, 0, PLACE_COUNT);
    tcase_add_loop_test(c, test_slots_are_those_of_each_minute, 0, 4);
    tcase_add_loop_test(c, test_slots_far_away, 0, 5);
    return unit_run("slots", &c, 1);
}
