/* test_job_set.c - files of several jobs, and what they wait for (spec 14). */
#include "wire/job_set.h"

#include "base/limits.h"
#include "wire_test.h"

static struct job_set set;
static struct error err;

static void teardown(void)
{
    job_set_finish(&set);
}

static int parse(const char *text)
{
    job_set_finish(&set);
    return job_set_parse(
        &set, "dag.yaml", (struct bytes){(const uint8_t *)text, strlen(text)}, &err);
}

static void check_refused(const char *text, enum error_code code, const char *part)
{
    ck_assert_error(parse(text), err, code, part);
    ck_assert_uint_eq(set.count, 0);
}

START_TEST(test_a_file_of_one_job)
{
    ck_assert_done(parse("{name: a, command: b, after: [7, {job: 9, on: any}]}"), err);
    ck_assert_uint_eq(set.count, 1);
    ck_assert(!set.is_list);
    ck_assert_uint_eq(set.specs[0].after_count, 2);
    ck_assert_int_eq(set.specs[0].after[0].job, 7);
    ck_assert_int_eq(set.specs[0].after[0].on, JOB_ON_SUCCESS);
    ck_assert_int_eq(set.specs[0].after[1].job, 9);
    ck_assert_int_eq(set.specs[0].after[1].on, JOB_ON_ANY);
    ck_assert_done(parse("{name: a, command: b, after: 7}"), err);
    ck_assert_int_eq(set.specs[0].after[0].job, 7);
}
END_TEST

/* What is waited for comes first; else the order of the file stays. */
START_TEST(test_jobs_are_sorted)
{
    static const char *const NAMES[] = {"extract", "load", "report", "other"};

    ck_assert_done(parse("jobs:\n"
                         "- {name: report, command: r, after: [{job: load, on: any}, "
                         "extract]}\n"
                         "- {name: other, command: o, after: [12]}\n"
                         "- {name: extract, command: e}\n"
                         "- {name: load, command: l, after: [extract]}\n"),
                   err);
    ck_assert(set.is_list);
    ck_assert_uint_eq(set.count, 4);
    for (size_t i = 0; i < set.count; i++)
        ck_assert_str_eq(set.specs[i].name, NAMES[i]);
    ck_assert_uint_eq(set.place[0], 2);
    ck_assert_uint_eq(set.place[1], 3);
    ck_assert_uint_eq(set.place[2], 0);
    ck_assert_uint_eq(set.place[3], 1);
    ck_assert_int_eq(set.specs[1].after[0].job, -1);
    ck_assert_int_eq(set.specs[2].after[0].job, -2);
    ck_assert_int_eq(set.specs[2].after[0].on, JOB_ON_ANY);
    ck_assert_int_eq(set.specs[2].after[1].job, -1);
    ck_assert_int_eq(set.specs[2].after[1].on, JOB_ON_SUCCESS);
    ck_assert_int_eq(set.specs[3].after[0].job, 12);
}
END_TEST

#define JOB(name, after) "- {name: " name ", command: x, after: [" after "]}\n"

START_TEST(test_a_cycle_is_refused_with_its_path)
{
    check_refused("jobs:\n" JOB("a", "a"), ERROR_INVALID, "a cycle: a, a;");
    check_refused("jobs:\n" JOB("a", "b") JOB("b", "c") JOB("c", "a"),
                  ERROR_INVALID,
                  "a cycle: c, b, a, c;");
    /* Only what is on it. */
    check_refused("jobs:\n" JOB("x", "a") JOB("a", "b") JOB("b", "a") JOB("y", ""),
                  ERROR_INVALID,
                  "dag.yaml:4: jobs[2].after: a cycle: b, a, b;");
    check_refused("jobs:\n- name: a\n  command: x\n  after: b\n- command: x\n"
                  "  name: b\n  after:\n  - a\n",
                  ERROR_INVALID,
                  "dag.yaml:7: jobs[1].after: a cycle: b, a, b;");
}
END_TEST

/* One after the other, as many as there may be. */
START_TEST(test_the_longest_chain)
{
    struct buffer text = {0};

    buffer_append_text(&text, "jobs:\n");
    for (int i = LIMIT_SET_JOBS; i > 0; i--) {
        buffer_printf(&text, "- {name: j%d, command: x", i);
        if (i > 1)
            buffer_printf(&text, ", after: [j%d]", i - 1);
        buffer_append_text(&text, "}\n");
    }
    ck_assert_done(parse((const char *)text.data), err);
    ck_assert_uint_eq(set.count, LIMIT_SET_JOBS);
    ck_assert_str_eq(set.specs[0].name, "j1");
    ck_assert_int_eq(set.specs[LIMIT_SET_JOBS - 1].after[0].job, 1 - LIMIT_SET_JOBS);
    buffer_append_text(&text, "- {name: more, command: x}\n");
    check_refused((const char *)text.data, ERROR_TOO_LARGE, "jobs: 1025; the most");
    buffer_finish(&text);
}
END_TEST

START_TEST(test_what_is_wrong)
{
    static const struct {
        const char *text;
        const char *part;
    } WRONG[] = {
        {"{name: a, command: x, after: [b]}", "dag.yaml:1: after[0]: 'b' is no id"},
        {"jobs:\n" JOB("a", "b"), "dag.yaml:2: jobs[0].after[0]: no job of this file"},
        {"jobs:\n" JOB("a", "") JOB("a", ""), "dag.yaml:3: jobs[1].name: 'a' is there"},
        {"jobs:\n" JOB("a", "1, 1"), "jobs[0].after: a job is there twice"},
        {"jobs: []", "dag.yaml:1: jobs: it is empty"},
        {"jobs: x", "dag.yaml:1: jobs: "},
        {"{jobs: [{name: a, command: x}], name: b}", "there are fields beside it"},
        {"jobs:\n- {command: x}\n", "dag.yaml:2: jobs[0].name: missing"},
        {"jobs:\n- {name: a, command: x, kind: deamon}\n",
         "jobs[0].kind: 'deamon' is none of them; give batch, service or system"},
        {"{name: a, command: x, after: [{on: any}]}", "after[0]: job: missing"},
        {"{name: a, command: x, after: [{job: 1, on: well}]}",
         "after[0].on: 'well' is none of them; give success, failure or any"},
        {"{name: a, command: x, after: [0]}", "after[0]: 0; give a whole number"},
        {"{name: a, command: x, depends_on: [1]}", "did you mean after?"},
    };

    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++)
        check_refused(WRONG[i].text, ERROR_INVALID, WRONG[i].part);
}
END_TEST

/* Names as in the tz database; UTC says no more than none. */
START_TEST(test_time_zones)
{
    static const char *const WRONG[] = {"/Europe/Berlin",
                                        "Europe/",
                                        "Europe//Berlin",
                                        "../UTC",
                                        "Europe/Ber lin",
                                        "''"};
    char text[128];

    ck_assert_done(
        parse("{name: a, command: x, schedule: {cron: '@daily', timezone: Etc/GMT+1}}"),
        err);
    ck_assert_str_eq(set.specs[0].schedule.timezone, "Etc/GMT+1");
    ck_assert_done(
        parse("{name: a, command: x, schedule: {cron: '@daily', timezone: UTC}}"), err);
    ck_assert_ptr_null(set.specs[0].schedule.timezone);
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        snprintf(text,
                 sizeof(text),
                 "{name: a, command: x, schedule: {cron: '@daily', timezone: %s}}",
                 WRONG[i]);
        check_refused(text, ERROR_INVALID, "is no name of a time zone");
    }
}
END_TEST

START_TEST(test_a_service_has_a_policy)
{
    ck_assert_done(parse("{name: a, command: x, kind: service}"), err);
    ck_assert_int_eq(set.specs[0].kind, JOB_SERVICE);
    ck_assert_uint_eq(set.specs[0].reschedule.attempts, JOB_UNLIMITED);
    ck_assert_uint_eq(set.specs[0].reschedule.delay_ms, JOB_RETRY_DELAY_MS);
    ck_assert_done(
        parse("{name: a, command: x, kind: service, reschedule: {attempts: 3}}"), err);
    ck_assert_uint_eq(set.specs[0].reschedule.attempts, 3);
    ck_assert_done(parse("{name: a, command: x, kind: batch}"), err);
    ck_assert_uint_eq(set.specs[0].reschedule.attempts, 0);
}
END_TEST

START_TEST(test_a_service_is_spread)
{
    const struct match *m;

    ck_assert_done(parse("{name: a, command: x, kind: service, instances: 2}"), err);
    m = &set.specs[0].match;
    ck_assert_uint_eq(m->spread_count, 1);
    ck_assert_str_eq(m->spreads[0].attribute, "agent");
    ck_assert_uint_eq(m->spreads[0].weight, MATCH_WEIGHT);
    ck_assert_done(
        parse("{name: a, command: x, kind: service, instances: 2, spread: [rack]}"),
        err);
    ck_assert_uint_eq(set.specs[0].match.spread_count, 1);
    ck_assert_str_eq(set.specs[0].match.spreads[0].attribute, "rack");
    ck_assert_done(parse("{name: a, command: x, kind: service}"), err);
    ck_assert_uint_eq(set.specs[0].match.spread_count, 0);
    ck_assert_done(parse("{name: a, command: x, kind: service, instances: 65537}"),
                   err);
    ck_assert_uint_eq(set.specs[0].match.spread_count, 0);
    ck_assert_done(parse("{name: a, command: x, instances: 2}"), err);
    ck_assert_uint_eq(set.specs[0].match.spread_count, 0);
}
END_TEST

START_TEST(test_a_system_job)
{
    static const struct {
        const char *with, *error;
    } WRONG[] = {
        {"instances: 1",
         "instances: a system job has one on each agent that keeps its "
         "constraints: leave it out"},
        {"gang: true", "gang: a system job begins on each agent"},
        {"affinities: [\"a = b\"]", "affinities: a system job has one task on each"},
        {"spread: [rack]", "spread: a system job has one task on each agent"},
        {"constraints: [\"rack is_set\", \"rack distinct\"]",
         "constraints[1].op: distinct is not for a system job"},
        {"schedule: \"@daily\"", "schedule: a system job goes on by itself"},
        {"parameters: {required: [A]}", "is no service or system job"},
    };
    char text[160];

    ck_assert_done(parse("{name: a, command: x, kind: system}"), err);
    ck_assert_int_eq(set.specs[0].kind, JOB_SYSTEM);
    ck_assert_uint_eq(set.specs[0].instances, 1);
    ck_assert_uint_eq(set.specs[0].reschedule.attempts, JOB_UNLIMITED);
    for (unsigned i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        snprintf(text,
                 sizeof(text),
                 "{name: a, command: x, kind: system, %s}",
                 WRONG[i].with);
        check_refused(text, ERROR_INVALID, WRONG[i].error);
    }
}
END_TEST

START_TEST(test_a_gang)
{
    ck_assert_done(parse("{name: a, command: x, instances: 1024, gang: true}"), err);
    ck_assert(set.specs[0].gang);
    ck_assert_done(parse("{name: a, command: x, gang: false}"), err);
    ck_assert(!set.specs[0].gang);
    check_refused("{name: a, command: x, gang: 8}", ERROR_INVALID, "gang: ");
    check_refused("{name: a, command: x, instances: 1025, gang: true}",
                  ERROR_TOO_LARGE,
                  "gang: 1025 instances; at most 1024 can start at once: make them "
                  "fewer and larger, or leave gang out");
}
END_TEST

int main(void)
{
    TCase *c = unit_case("job_set",
                         test_a_file_of_one_job,
                         test_jobs_are_sorted,
                         test_a_cycle_is_refused_with_its_path,
                         test_the_longest_chain,
                         test_what_is_wrong,
                         test_a_service_has_a_policy,
                         test_a_service_is_spread,
                         test_a_gang,
                         test_a_system_job,
                         test_time_zones);

    tcase_add_checked_fixture(c, NULL, teardown);
    return unit_run("job_set", &c, 1);
}
