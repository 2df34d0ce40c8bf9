/* test_cron.c - schedules as five fields. */
#include "wire/cron.h"

#include "wire_test.h"

static struct cron c;
static struct error err;

START_TEST(test_fields)
{
    ck_assert_int_eq(cron_parse(&c, "*/20 9-17 1,15 jan-Mar,12 mon,FRI", &err), 0);
    ck_assert_uint_eq(c.minutes, 1ull | 1ull << 20 | 1ull << 40);
    ck_assert_uint_eq(c.hours, (1u << 18) - (1u << 9));
    ck_assert_uint_eq(c.days, 1u << 1 | 1u << 15);
    ck_assert_uint_eq(c.months, 1u << 1 | 1u << 2 | 1u << 3 | 1u << 12);
    ck_assert_uint_eq(c.week_days, 1u << 1 | 1u << 5);
    ck_assert(!cron_is_hourly(&c));
    ck_assert_int_eq(cron_parse(&c, "  5-50/15\t* * * 5-7 ", &err), 0);
    ck_assert_uint_eq(c.minutes, 1ull << 5 | 1ull << 20 | 1ull << 35 | 1ull << 50);
    ck_assert(cron_is_hourly(&c));
    ck_assert_uint_eq(c.week_days, 1u << 5 | 1u << 6 | 1u << 0);
}
END_TEST

static void ck_same(const struct cron *other)
{
    ck_assert_uint_eq(c.minutes, other->minutes);
    ck_assert_uint_eq(c.hours, other->hours);
    ck_assert_uint_eq(c.days, other->days);
    ck_assert_uint_eq(c.months, other->months);
    ck_assert_uint_eq(c.week_days, other->week_days);
    ck_assert_int_eq(c.any_day, other->any_day);
    ck_assert_int_eq(c.any_week_day, other->any_week_day);
}

START_TEST(test_names_of_schedules)
{
    static const struct {
        const char *name, *fields;
    } SAME[] = {{"@hourly", "0 * * * *"},
                {"@daily", "0 0 * * *"},
                {"@midnight", "0 0 * * *"},
                {"@weekly", "0 0 * * sun"},
                {"@monthly", "0 0 1 * *"},
                {"@yearly", "0 0 1 1 *"},
                {"@annually", "0 0 1 jan *"}};

    for (size_t i = 0; i < sizeof(SAME) / sizeof(SAME[0]); i++) {
        struct cron other;
        char text[32];

        snprintf(text, sizeof(text), " \t%s", SAME[i].name);
        ck_assert_int_eq(cron_parse(&other, SAME[i].fields, &err), 0);
        ck_assert_int_eq(cron_parse(&c, SAME[i].name, &err), 0);
        ck_same(&other);
        ck_assert_int_eq(cron_parse(&c, text, &err), 0);
        ck_same(&other);
    }
}
END_TEST

/* crontab(5): if both are given, one of them is enough. */
START_TEST(test_days)
{
    ck_assert_int_eq(cron_parse(&c, "0 0 13 * fri", &err), 0);
    ck_assert(cron_has_day(&c, 13, 2, 1));
    ck_assert(cron_has_day(&c, 14, 2, 5));
    ck_assert(!cron_has_day(&c, 14, 2, 6));
    ck_assert_int_eq(cron_parse(&c, "0 0 13 2 *", &err), 0);
    ck_assert(cron_has_day(&c, 13, 2, 1));
    ck_assert(!cron_has_day(&c, 13, 3, 1));
    ck_assert(!cron_has_day(&c, 14, 2, 5));
    ck_assert_int_eq(cron_parse(&c, "0 0 * * fri", &err), 0);
    ck_assert(cron_has_day(&c, 14, 2, 5));
    ck_assert(!cron_has_day(&c, 13, 2, 1));
    /* A field that begins with * is not given, whatever its step. */
    ck_assert_int_eq(cron_parse(&c, "0 0 */2 * mon", &err), 0);
    ck_assert(cron_has_day(&c, 13, 2, 1));
    ck_assert(!cron_has_day(&c, 14, 2, 1));
    ck_assert(!cron_has_day(&c, 13, 2, 2));
    ck_assert_int_eq(cron_parse(&c, "0 0 1-31/2 * mon", &err), 0);
    ck_assert(cron_has_day(&c, 14, 2, 1));
    ck_assert(cron_has_day(&c, 13, 2, 2));
    ck_assert_int_eq(cron_parse(&c, "0 0 30,31 2 mon", &err), 0);
    ck_assert_int_eq(cron_parse(&c, "0 0 29 2 *", &err), 0);
}
END_TEST

START_TEST(test_wrong)
{
    static const struct {
        const char *text, *part;
    } WRONG[] = {
        {"", "'' has 0 fields; give five"},
        {"* * * *", "'* * * *' has 4 fields; give five"},
        {"* * * * * *", "has more than five fields"},
        {"@reboot", "no '@reboot'; give @hourly, @daily, @weekly"},
        {"60 * * * *", "minute: out of range at '60 * * * *'"},
        {"* 24 * * *", "hour: out of range at '24 * * *'"},
        {"* * 0 * *", "day of the month: out of range"},
        {"* * * foo *", "month: no number at 'foo *'"},
        {"* * * * 8", "day of the week: out of range"},
        {"5-1 * * * *", "minute: backward range"},
        {"*/0 * * * *", "minute: no step above 0"},
        {"5/10 * * * *", "minute: a step of one number"},
        {"5, * * * *", "minute: no number at ' * * * *'"},
        {"* * * * 1,", "day of the week: no number at ''"},
        {"1-2-3 * * * *", "minute: unexpected at '-3 * * * *'"},
        {"99999999999 * * * *", "out of range"},
        {"0 0 30 feb *", "no month of it has such a day"},
        {"0 0 31 4,6,9,11 *", "no month of it has such a day"},
    };

    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        ck_assert_error(
            cron_parse(&c, WRONG[i].text, &err), err, ERROR_INVALID, WRONG[i].part);
        ck_assert_uint_le(strlen("schedule: cron: ") + strlen(err.text), 100);
        ck_assert_int_eq(cron_parse(&c, WRONG[i].text, NULL), -ERROR_INVALID);
    }
}
END_TEST

int main(void)
{
    TCase *t =
        unit_case("cron", test_fields, test_names_of_schedules, test_days, test_wrong);

    return unit_run("cron", &t, 1);
}
