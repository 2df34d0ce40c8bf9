/* Slots of schedules that are due, and those that were missed (spec 14). */
#include "tests/lib/tzif.h"
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "base/limits.h"
#include "base/mem.h"
#include "raft_fsm/state_edit.h"

#include <stdio.h>
#include <string.h>

enum { CLIENT = 1 };

#define MINUTE_MS 60000u
#define HOUR_MS   3600000u

/* As schedules.c has them. */
#define TAKEN_PER_TURN 512u
#define ROOM_AGAIN_MS  2000u
#define ZONE_AGAIN_MS  600000u

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

static uint64_t index_of_log(void)
{
    return replica_last_index(master_replica(rig.core));
}

/* To what was asked for last; NULL: there is no such file. */
static void tell_zone(const char *rule)
{
    struct buffer file = {0};
    char name[sizeof(rig.zone)];

    memcpy(name, rig.zone, sizeof(name));
    rig.zone[0] = 0;
    if (rule != NULL)
        tzif_of_rule(&file, rule);
    rig_step(&rig,
             &(struct master_event){.kind = MASTER_ZONE,
                                    .zone = {name, buffer_view(&file)}});
    buffer_finish(&file);
    rig_settle(&rig);
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

    ck_assert_str_eq(rig.zone, "Europe/Berlin");
    rig_pass(&rig, 1000);
    ck_assert_uint_eq(template(job)->fired, 0);
    rig_expect_why(&rig, CLIENT, job, "its time zone is being read; 0 started");
    tell_zone(TZ_BERLIN);
    rig_expect_why(&rig, CLIENT, job, "next at 2023-11-15T11:00:00Z; 0 started");
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
    tell_zone(NULL);
    ck_assert_uint_eq(rig.warnings, warnings + 1);
    ck_assert_ptr_nonnull(strstr(rig.warning, "time zone Europe/Berln is not known"));
    rig_pass(&rig, 3 * MINUTE_MS);
    ck_assert_uint_eq(template(job)->fired, 0);
    ck_assert_uint_ge(template(other)->fired, 3);
    rig_expect_why(&rig, CLIENT, job, "its time zone is not known to the leader");
}
END_TEST

/* Its file is looked at again: it was installed, and later it is another one. */
START_TEST(test_a_zone_is_read_again)
{
    uint64_t job = submit("0 12 * * *", "Europe/Berlin", MISSED_SKIP);
    unsigned warnings = rig.warnings;

    tell_zone(NULL);
    for (int i = 0; i < 2; i++) { /* it is said once */
        rig_pass(&rig, ZONE_AGAIN_MS - 1000);
        ck_assert_str_eq(rig.zone, "");
        rig_pass(&rig, 1000);
        ck_assert_str_eq(rig.zone, "Europe/Berlin");
        tell_zone(NULL);
    }
    ck_assert_uint_eq(rig.warnings, warnings + 1);
    rig_pass(&rig, ZONE_AGAIN_MS);
    tell_zone(TZ_BERLIN);
    rig_expect_why(&rig, CLIENT, job, "next at 2023-11-15T11:00:00Z");
    rig_pass(&rig, ZONE_AGAIN_MS);
    tell_zone(TZ_BERLIN);
    rig_expect_why(&rig, CLIENT, job, "next at 2023-11-15T11:00:00Z");
    rig_pass(&rig, ZONE_AGAIN_MS);
    tell_zone("CET-2");
    rig_expect_why(&rig, CLIENT, job, "next at 2023-11-15T10:00:00Z");
    rig_pass(&rig, ZONE_AGAIN_MS);
    tell_zone(NULL); /* what was known goes on */
    rig_expect_why(&rig, CLIENT, job, "next at 2023-11-15T10:00:00Z");
    ck_assert_uint_eq(rig.warnings, warnings + 1);
}
END_TEST

START_TEST(test_utc_needs_no_file)
{
    uint64_t job = submit("* * * * *", "UTC", MISSED_RUN_LAST);

    rig_pass(&rig, 3 * MINUTE_MS);
    ck_assert_uint_eq(rig.zones, 0);
    ck_assert_uint_eq(template(job)->fired, 3);
}
END_TEST

/* One after the other, and each has the slots of its own; a zone is forgotten with its last
 * schedule, and what comes late is let go. */
START_TEST(test_more_than_one_zone)
{
    uint64_t berlin = submit("0 12 * * *", "Europe/Berlin", MISSED_SKIP),
             also = submit("0 13 * * *", "Europe/Berlin", MISSED_SKIP),
             india = submit("0 12 * * *", "Asia/Kolkata", MISSED_SKIP);

    ck_assert_uint_eq(rig.zones, 1);
    tell_zone(TZ_BERLIN);
    ck_assert_uint_eq(rig.zones, 2);
    ck_assert_str_eq(rig.zone, "Asia/Kolkata");
    tell_zone(TZ_INDIA);
    rig_expect_why(&rig, CLIENT, berlin, "next at 2023-11-15T11:00:00Z");
    rig_expect_why(&rig, CLIENT, also, "next at 2023-11-15T12:00:00Z");
    rig_expect_why(&rig, CLIENT, india, "next at 2023-11-15T06:30:00Z");
    snprintf(rig.zone, sizeof(rig.zone), "Europe/Berlin");
    tell_zone(TZ_INDIA); /* nobody asked for it */
    rig_expect_why(&rig, CLIENT, berlin, "next at 2023-11-15T11:00:00Z");
    rig_kill(&rig, CLIENT, berlin);
    rig_expect_why(&rig, CLIENT, also, "next at 2023-11-15T12:00:00Z");
    rig_kill(&rig, CLIENT, also);
    rig_pass(&rig, ZONE_AGAIN_MS);
    ck_assert_uint_eq(rig.zones, 3);
    ck_assert_str_eq(rig.zone, "Asia/Kolkata");
    rig_kill(&rig, CLIENT, india);
    tell_zone(TZ_INDIA); /* it was, when it was asked for */
    submit("0 12 * * *", "Europe/Berlin", MISSED_SKIP);
    ck_assert_str_eq(rig.zone, "Europe/Berlin");
}
END_TEST

/* Those that were asked for by the leader before are nobody's now. */
START_TEST(test_a_zone_of_another_leadership)
{
    uint64_t job;

    job = submit("0 12 * * *", "Europe/Berlin", MISSED_SKIP);
    rig_kill(&rig, CLIENT, job);
    rig_settle(&rig);
    rig_restart(&rig);
    tell_zone(TZ_BERLIN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    job = submit("0 12 * * *", "Europe/Berlin", MISSED_SKIP);
    rig_expect_why(&rig, CLIENT, job, "its time zone is being read");
}
END_TEST

/* Each answer asks for the next one, in a step of its own, up to the limit. */
START_TEST(test_very_many_zones)
{
    unsigned count = LIMIT_ZONES + 3;
    char name[20];

    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "Zone/%u", i);
        submit("0 12 * * *", name, MISSED_SKIP);
    }
    ck_assert_uint_eq(rig.zones, 1);
    while (rig.zone[0] != 0)
        tell_zone(TZ_INDIA);
    ck_assert_uint_eq(rig.zones, LIMIT_ZONES);
    ck_assert_ptr_nonnull(strstr(rig.warning, "more than 4096 time zones"));
    rig_expect_why(&rig, CLIENT, 1, "next at 2023-11-15T06:30:00Z");
    rig_expect_why(&rig, CLIENT, 2, "its time zone is not read: there are 4096 others");
    rig_kill(&rig, CLIENT, 1);
    rig_settle(&rig);
    rig.now_ms += ZONE_AGAIN_MS;
    rig_pass(&rig, 1000);
    while (rig.zone[0] != 0)
        tell_zone(TZ_INDIA);
    ck_assert_uint_eq(rig.zones, 2 * LIMIT_ZONES);
}
END_TEST

/* A new leader does not stand still for them. */
START_TEST(test_schedules_are_taken_up_in_slices)
{
    enum { COUNT = 3000 };
    unsigned turns = 0;

    for (int i = 0; i < COUNT; i++)
        submit("* * * * *", NULL, MISSED_RUN_LAST);
    rig_restart_with(&rig, 0);
    do
        rig_turn(&rig);
    while (++turns < 1000 && rig.again);
    ck_assert_uint_ge(turns, 2 * COUNT / TAKEN_PER_TURN);
    rig_pass(&rig, MINUTE_MS);
    for (uint64_t job = 1; job <= COUNT; job++)
        ck_assert_uint_ge(template(job)->fired, 1);
}
END_TEST

START_TEST(test_made_up_to_the_limit)
{
    uint64_t all = submit("0 * * * *", NULL, MISSED_RUN_ALL),
             skip = submit("0 * * * *", NULL, MISSED_SKIP);

    be_away((LIMIT_SLOTS_MADE_UP + 50) * (uint64_t)HOUR_MS + HOUR_MS / 2);
    ck_assert_uint_gt(template(skip)->missed, LIMIT_SLOTS_MADE_UP);
    ck_assert_uint_eq(template(all)->fired, LIMIT_SLOTS_MADE_UP);
    ck_assert_uint_eq(template(all)->fired + template(all)->missed,
                      template(skip)->missed);
}
END_TEST

/* All tasks that there may be, but for so many. */
static uint64_t fill(uint64_t left)
{
    uint64_t room, job = 0;

    while ((room = LIMIT_TASKS - master_state(rig.core)->task_count - left) > 0)
        job = rig_submit(&rig,
                         CLIENT,
                         room > LIMIT_TASKS_PER_JOB ? LIMIT_TASKS_PER_JOB
                                                    : (uint32_t)room);
    return job;
}

/* It waits, without an entry of the log, until there is room. */
START_TEST(test_no_room_for_the_job)
{
    uint64_t job = submit("* * * * *", NULL, MISSED_RUN_LAST), last = fill(0), index;

    rig_pass(&rig, MINUTE_MS);
    index = index_of_log();
    rig_expect_why(&rig, CLIENT, job, "waits for room for one more job; 0 started");
    rig_pass(&rig, 20000);
    ck_assert_uint_eq(index_of_log(), index);
    rig_kill(&rig, CLIENT, last);
    rig_purge(&rig, CLIENT, last);
    rig_pass(&rig, ROOM_AGAIN_MS + 1000);
    ck_assert_uint_eq(template(job)->fired, 1);
    ck_assert_uint_eq(template(job)->missed, 0);
    rig_expect_why(&rig, CLIENT, job, "next at 2023-11-14T22:");
}
END_TEST

/* Room that another job of the same entry takes: tried again, now and then. */
START_TEST(test_a_refused_slot)
{
    uint64_t job = submit("* * * * *", NULL, MISSED_RUN_LAST), index;

    fill(1);
    rig_pass(&rig, 38000);
    ck_assert_uint_eq(template(job)->fired, 0);
    rig.now_ms += 2000; /* the slot is due */
    rig_send_submit(&rig, CLIENT, 1, 4);
    rig_step(&rig, &(struct master_event){.kind = MASTER_TIME});
    rig_settle(&rig);
    rig_expect_why(&rig, CLIENT, job, "waits for room");
    index = index_of_log();
    rig_pass(&rig, 20000);
    ck_assert_uint_eq(index_of_log(), index);
    ck_assert_uint_eq(template(job)->fired, 0);
}
END_TEST

/* As many are proposed as there is room for. */
START_TEST(test_room_for_some)
{
    uint64_t index;

    for (int i = 0; i < 20; i++)
        submit("* * * * *", NULL, MISSED_RUN_LAST);
    fill(3);
    index = index_of_log();
    rig_pass(&rig, MINUTE_MS);
    ck_assert_uint_eq(master_state(rig.core)->task_count, LIMIT_TASKS);
    ck_assert_uint_eq(master_counters(rig.core)->slots_fired, 3);
    ck_assert_uint_le(index_of_log(), index + 3);
}
END_TEST

START_TEST(test_killed_while_it_is_fired)
{
    uint64_t job = submit("* * * * *", NULL, MISSED_RUN_LAST), jobs;

    rig_pass(&rig, 38000);
    rig.slow_disk = true;
    for (int i = 0; i < 10; i++) {
        rig.now_ms += 250;
        rig_step(&rig, &(struct master_event){.kind = MASTER_TIME});
        rig_turn(&rig);
    }
    ck_assert_uint_eq(template(job)->fired, 0); /* on its way */
    rig_kill(&rig, CLIENT, job);
    rig.slow_disk = false;
    rig_disk(&rig);
    rig_settle(&rig);
    ck_assert_uint_eq(template(job)->fired, 1);
    jobs = master_state(rig.core)->job_count;
    rig_pass(&rig, 3 * MINUTE_MS);
    ck_assert_uint_eq(master_state(rig.core)->job_count, jobs);
}
END_TEST

/* A snapshot that says what no command does is refused. */
START_TEST(test_a_template_without_a_schedule)
{
    struct state *s = (struct state *)(uintptr_t)master_state(rig.core);
    struct job_spec spec;
    struct job *job;
    struct error err;
    uint64_t id;

    job_spec_init(&spec);
    spec.name = mem_strdup("dispatched");
    job_spec_add_arg(&spec, "true");
    job_spec_add_parameter(&spec, "NAME", NULL);
    id = rig_submit_spec(&rig, CLIENT, &spec);
    job = state_job(s, id);
    state_edit(s, object_job(job));
    job->made->is_dispatched = false;
    state_edited(s, object_job(job));
    ck_assert_int_ne(state_verify(s, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "its spec says otherwise"));
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
                         test_a_zone_that_is_not_known,
                         test_a_zone_is_read_again,
                         test_utc_needs_no_file,
                         test_more_than_one_zone,
                         test_a_zone_of_another_leadership,
                         test_very_many_zones,
                         test_schedules_are_taken_up_in_slices,
                         test_made_up_to_the_limit,
                         test_no_room_for_the_job,
                         test_a_refused_slot,
                         test_room_for_some,
                         test_killed_while_it_is_fired,
                         test_a_template_without_a_schedule);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("schedules", &c, 1);
}
