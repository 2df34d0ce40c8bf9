/* Slots of schedules that are due, and those that were missed (spec 14). */
#include "tests/lib/tzif.h"
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "base/limits.h"
#include "base/mem.h"
#include "raft_fsm/state.h"

#include <string.h>

enum { CLIENT = 1 };

#define MINUTE_MS 60000u
#define HOUR_MS   3600000u

static struct rig rig;

static void setup(void)
{
    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
}

static void teardown(void)
{
    rig_finish(&rig);
}

static uint64_t submit(const char *cron, const char *timezone, enum job_missed missed)
{
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup("scheduled");
    job_spec_add_arg(&spec, "true");
    spec.schedule.cron = mem_strdup(cron);
    if (timezone != NULL)
        spec.schedule.timezone = mem_strdup(timezone);
    spec.schedule.missed = missed;
    return rig_submit_spec(&rig, CLIENT, &spec);
}

static const struct job_template *template(uint64_t job)
{
    return state_job(master_state(rig.core), job)->made;
}

/* Nobody led for so long. */
static void be_away(uint64_t ms)
{
    rig.now_ms += ms;
    rig_restart(&rig);
    rig_pass(&rig, 2000);
}

START_TEST(test_each_slot_once)
{
    uint64_t job = submit("* * * * *", NULL, MISSED_RUN_LAST);

    rig_pass(&rig, 10 * MINUTE_MS);
    ck_assert_uint_eq(template(job)->fired, 10);
    ck_assert_uint_eq(template(job)->missed, 0);
    rig_restart(&rig); /* a leader that comes in time misses none, and repeats none */
    rig_pass(&rig, 5 * MINUTE_MS);
    ck_assert_uint_eq(template(job)->fired, 15);
    ck_assert_uint_eq(template(job)->missed, 0);
    ck_assert_uint_eq(master_state(rig.core)->job_count, 16);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    rig_kill(&rig, CLIENT, job);
    rig_pass(&rig, 5 * MINUTE_MS);
    ck_assert_uint_eq(master_state(rig.core)->job_count, 16);
}
END_TEST

START_TEST(test_a_short_absence_misses_nothing)
{
    uint64_t job = submit("* * * * *", NULL, MISSED_SKIP);

    rig_pass(&rig, MINUTE_MS);
    be_away(LIMIT_SLOT_LATE_MS - 5000);
    ck_assert_uint_eq(template(job)->missed, 0);
    ck_assert_uint_ge(template(job)->fired, 2);
}
END_TEST

START_TEST(test_missed_slots)
{
    uint64_t last = submit("0 * * * *", NULL, MISSED_RUN_LAST),
             all = submit("0 * * * *", NULL, MISSED_RUN_ALL),
             skip = submit("0 * * * *", NULL, MISSED_SKIP);

    be_away(10 * HOUR_MS + 30 * MINUTE_MS);
    ck_assert_uint_eq(template(last)->fired, 1);
    ck_assert_uint_eq(template(last)->missed, template(skip)->missed - 1);
    ck_assert_uint_ge(template(skip)->missed, 10);
    ck_assert_uint_eq(template(skip)->fired, 0);
    ck_assert_uint_eq(template(all)->fired, template(skip)->missed);
    ck_assert_uint_eq(template(all)->missed, 0);
    ck_assert_uint_eq(template(last)->last_us, template(skip)->last_us);
    ck_assert_uint_eq(template(last)->last_us, template(all)->last_us);
}
END_TEST

/* More than are looked at, or made up for, at one time. */
START_TEST(test_very_many_missed_slots)
{
    uint64_t last = submit("* * * * *", NULL, MISSED_RUN_LAST),
             all = submit("* * * * *", NULL, MISSED_RUN_ALL),
             skip = submit("* * * * *", NULL, MISSED_SKIP);

    be_away(7 * 24 * (uint64_t)HOUR_MS);
    rig_pass(&rig, 50000);
    ck_assert_uint_ge(template(skip)->missed, 7 * 24 * 60 - 2);
    ck_assert_uint_eq(template(last)->fired - template(skip)->fired, 1);
    ck_assert_uint_eq(template(last)->missed, template(skip)->missed - 1);
    ck_assert_uint_ge(template(all)->fired, LIMIT_SLOTS_MADE_UP);
    ck_assert_uint_eq(template(all)->fired + template(all)->missed,
                      template(skip)->fired + template(skip)->missed);
}
END_TEST

/* Noon in Berlin, in winter: the rig begins on 14 November, 22:13:20 UTC. */
START_TEST(test_a_zone_is_asked_for)
{
    uint64_t job = submit("0 12 * * *", "Europe/Berlin", MISSED_RUN_LAST);
    struct buffer file = {0};

    ck_assert_str_eq(rig.zone, "Europe/Berlin");
    rig_pass(&rig, 1000);
    ck_assert_uint_eq(template(job)->fired, 0);
    tzif_of_rule(&file, TZ_BERLIN);
    rig_step(&rig,
             &(struct master_event){.kind = MASTER_ZONE,
                                    .zone = {rig.zone, buffer_view(&file)}});
    buffer_finish(&file);
    for (int i = 0; i < 15 && template(job)->fired == 0; i++)
        rig_pass(&rig, HOUR_MS);
    ck_assert_uint_eq(template(job)->last_us / 1000000, 1700046000); /* 11:00 UTC */
}
END_TEST

START_TEST(test_a_zone_that_is_not_known)
{
    uint64_t job = submit("* * * * *", "Europe/Berln", MISSED_RUN_LAST),
             other = submit("* * * * *", NULL, MISSED_RUN_LAST);
    unsigned warnings = rig.warnings;

    ck_assert_str_eq(rig.zone, "Europe/Berln");
    rig_step(&rig,
             &(struct master_event){.kind = MASTER_ZONE, .zone = {rig.zone, {0}}});
    ck_assert_uint_eq(rig.warnings, warnings + 1);
    ck_assert_ptr_nonnull(strstr(rig.warning, "time zone Europe/Berln is not known"));
    rig_pass(&rig, 3 * MINUTE_MS);
    ck_assert_uint_eq(template(job)->fired, 0);
    ck_assert_uint_ge(template(other)->fired, 3);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("schedules",
                         test_each_slot_once,
                         test_a_short_absence_misses_nothing,
                         test_missed_slots,
                         test_very_many_missed_slots,
                         test_a_zone_is_asked_for,
                         test_a_zone_that_is_not_known);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("schedules", &c, 1);
}
