/* Slots of schedules in their zones. */
#include "base/text.h"
#include "client/zone.h"
#include "tests/lib/unit.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TOKYO "/usr/share/zoneinfo/Asia/Tokyo"

static void check(const char *why, const char *zone, const char *expected)
{
    struct buffer out = {0};

    zone_append_slot(&out, text_view(why), zone);
    buffer_append_u8(&out, 0);
    ck_assert_str_eq((const char *)out.data, expected);
    buffer_finish(&out);
}

static void check_tokyo(void)
{
    check("next at 2026-03-27T22:00:00Z",
          "Asia/Tokyo",
          "next at 2026-03-27T22:00:00Z (Sat 07:00 in Asia/Tokyo)");
}

START_TEST(slots_are_told_in_their_zone)
{
    if (access(TOKYO, F_OK) != 0)
        return;
    check("next at 2026-03-27T01:30:00Z; 0 started",
          "Europe/Berlin",
          "next at 2026-03-27T01:30:00Z (Fri 02:30 in Europe/Berlin); 0 started");
    check("next at 2026-07-01T00:30:00Z",
          "Europe/Berlin",
          "next at 2026-07-01T00:30:00Z (Wed 02:30 in Europe/Berlin)");
    check_tokyo();
}
END_TEST

START_TEST(what_is_not_known_stays)
{
    check("next at 2026-03-27T01:30:00Z", NULL, "next at 2026-03-27T01:30:00Z");
    check("next at 2026-03-27T01:30:00Z", "No/Where", "next at 2026-03-27T01:30:00Z");
    check("next at 2026-03-27T01:3", "Europe/Berlin", "next at 2026-03-27T01:3");
    check("no agent has 64 cpus", "Europe/Berlin", "no agent has 64 cpus");
    check(
        "next at some time or other.", "Europe/Berlin", "next at some time or other.");
    check("", "Europe/Berlin", "");
}
END_TEST

START_TEST(the_zone_of_the_user_stays)
{
    time_t noon = 1774612800;
    struct tm local;

    if (access(TOKYO, F_OK) != 0)
        return;
    setenv("TZ", "TEST-3", 1);
    tzset();
    check_tokyo();
    localtime_r(&noon, &local);
    ck_assert_int_eq(local.tm_hour, 15);
    ck_assert_str_eq(getenv("TZ"), "TEST-3");
}
END_TEST

START_TEST(a_zone_is_a_file)
{
    struct error err;

    if (access("/usr/share/zoneinfo", F_OK) != 0)
        return;
    ck_assert_int_eq(zone_check("Europe", &err), -ERROR_INVALID);
    ck_assert_int_eq(zone_check("No/Where", &err), -ERROR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "there is no 'No/Where' in"));
}
END_TEST

int main(void)
{
    TCase *t = unit_case("zone",
                         slots_are_told_in_their_zone,
                         what_is_not_known_stays,
                         the_zone_of_the_user_stays,
                         a_zone_is_a_file);

    return unit_run("zone", &t, 1);
}
