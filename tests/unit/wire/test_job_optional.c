/* test_job_optional.c - what a job may leave out: its bytes and its rules. */
#include "wire/job.h"

#include "base/limits.h"
#include "base/mem.h"
#include "tests/lib/wire_values.h"
#include "wire_test.h"

static struct job_spec spec;
static struct buffer out;
static struct error err;

static void setup(void)
{
    newest_job_spec(&spec);
    condition_parse(match_add_constraint(&spec.match), "rack = a", &err);
    affinity_parse(match_add_affinity(&spec.match), "rack = a", &err);
}

static void teardown(void)
{
    job_spec_finish(&spec);
    buffer_finish(&out);
}

static int decode(struct bytes bytes, struct error *e)
{
    struct job_spec decoded;
    int rc = job_spec_unpack(&decoded, bytes, e);

    job_spec_finish(&decoded);
    return rc;
}

/* ---- bytes ---- */

START_TEST(test_round_trip)
{
    struct job_spec got;
    struct buffer again = {0};
    int rc;

    job_spec_pack(&spec, &out);
    rc = job_spec_unpack(&got, buffer_view(&out), &err);
    ck_assert_done(rc, err);
    job_spec_pack(&got, &again);
    ck_assert_bytes_eq(buffer_view(&again), buffer_view(&out));
    ck_assert_str_eq(got.image.source, "https://example.org/image.tar");
    ck_assert_str_eq(got.image.sha256, spec.image.sha256);
    ck_assert_str_eq(got.user, "nobody");
    ck_assert_uint_eq(job_port_count(&got), 13);
    ck_assert_uint_eq(got.ports.fixed[1].last, 9009);
    ck_assert_uint_eq(custom_resources_amount(&got.custom, "licence"), 1000);
    ck_assert(got.cpu_hard);
    ck_assert_uint_eq(got.artifact_count, 2);
    ck_assert_str_eq(got.artifacts[0].path, "data/in");
    ck_assert(got.artifacts[0].unpack && !got.artifacts[0].executable);
    ck_assert_uint_eq(got.artifacts[0].max_bytes, LIMIT_ARTIFACT_BYTES);
    ck_assert(got.artifacts[1].executable);
    ck_assert_str_eq(got.volumes[0].target, "/data");
    ck_assert(got.volumes[0].read_only);
    ck_assert_uint_eq(got.max_runtime_ms, 3600000);
    ck_assert_uint_eq(got.restart.attempts, 3);
    ck_assert_uint_eq(got.restart.max_delay_ms, 60000);
    ck_assert_uint_eq(got.reschedule.attempts, JOB_UNLIMITED);
    ck_assert_uint_eq(got.check_count, 3);
    ck_assert_uint_eq(got.checks[0].argc, 3);
    ck_assert_str_eq(got.checks[0].argv[2], "alive");
    ck_assert_str_eq(got.checks[1].path, "/ready");
    ck_assert_uint_eq(got.checks[1].port_index, 1);
    ck_assert_uint_eq(got.checks[2].port, 8080);
    ck_assert_uint_eq(job_lease_ms(&got), 10000);
    ck_assert_uint_eq(got.drift_permille, 20);
    ck_assert_uint_eq(got.lease_grace_ms, 20000);
    ck_assert_str_eq(got.role, "batch.night");
    ck_assert_uint_eq(got.estimate_ms, 90000);
    buffer_finish(&again);
    job_spec_finish(&got);
}
END_TEST

START_TEST(test_every_cut)
{
    job_spec_pack(&spec, &out);
    ck_assert_int_eq(decode(buffer_view(&out), &err), 0);
    check_every_cut(buffer_view(&out), decode);
}
END_TEST

/* What is not given takes no bytes: a simple job has those that it always had. */
START_TEST(test_nothing_given_takes_nothing)
{
    static const struct {
        size_t fields;
        uint8_t head;
    } AFTER[] = {{7, 0x97}, {12, 0x9c}, {21, 0xdc}};
    struct job_spec simple;

    sample_job_spec(&simple);
    job_spec_pack(&simple, &out);
    ck_assert_uint_eq(out.data[0], AFTER[0].head);
    buffer_clear(&out);
    simple.cpu_hard = true; /* the fifth that may be left out */
    job_spec_pack(&simple, &out);
    ck_assert_uint_eq(out.data[0], AFTER[1].head);
    buffer_clear(&out);
    job_spec_finish(&simple);
    job_spec_pack(&spec, &out);
    ck_assert_uint_eq(out.data[0], AFTER[2].head);
    ck_assert_uint_eq(out.data[2], AFTER[2].fields);
}
END_TEST

static void drop_schedule(struct job_spec *s)
{
    mem_free(s->schedule.cron);
    mem_free(s->schedule.timezone);
    s->schedule = (struct job_schedule){0};
}

/* The packed job with one more element in one of its arrays: itself (field < 0), a field of
 * it, or the first element of a field that is a list. */
static void pack_newer(int field, bool is_list, struct buffer *newer)
{
    struct bytes whole = buffer_view(&out);
    struct unpack u;
    size_t at = 0;

    unpack_init(&u, whole);
    if (field < 0) {
        unpack_skip(&u);
    } else {
        unpack_enter(&u);
        for (int i = 0; i < field; i++)
            unpack_skip(&u);
        if (is_list)
            unpack_enter(&u);
        at = (size_t)(u.at - whole.data);
        unpack_skip(&u);
    }
    ck_assert(unpack_ok(&u));
    buffer_append(newer, whole.data, (size_t)(u.at - whole.data));
    buffer_append_u8(newer, 7);
    buffer_append(newer, u.at, (size_t)(u.end - u.at));
    newer->data[newer->data[at] == 0xdc ? at + 2 : at]++;
}

/* A job that is not known as a whole is not taken for less. */
START_TEST(test_fields_of_a_newer_version)
{
    static const struct {
        int field;
        bool is_list;
    } WHERE[] = {{-1, false},  /* the job */
                 {7, false},   /* image */
                 {9, false},   /* ports */
                 {12, true},   /* artifacts */
                 {13, true},   /* volumes */
                 {15, false},  /* restart */
                 {16, false},  /* reschedule */
                 {17, true},   /* checks */
                 {19, false},  /* exclusive */
                 {20, false}}; /* of masters alone */

    spec.gang = true; /* the last */
    job_spec_pack(&spec, &out);
    for (int i = 0; i < COUNT(WHERE); i++) {
        struct buffer newer = {0};

        pack_newer(WHERE[i].field, WHERE[i].is_list, &newer);
        ck_assert_error(decode(buffer_view(&newer), &err),
                        err,
                        ERROR_VERSION,
                        "fields that this version does not know");
        buffer_finish(&newer);
    }
}
END_TEST

/* Of this spec without what masters alone need it is all that is packed. */
static void check_agent_part(struct job_spec *s)
{
    struct buffer part = {0};
    struct unpack u;

    buffer_clear(&out);
    job_spec_pack(s, &out);
    job_spec_pack_agent_part(buffer_view(&out), &part);
    job_spec_set_role(s, NULL);
    s->estimate_ms = 0;
    s->kind = JOB_BATCH;
    s->after_count = 0;
    drop_schedule(s);
    match_finish(&s->match);
    s->gang = false;
    buffer_clear(&out);
    job_spec_pack(s, &out);
    unpack_init(&u, buffer_view(&part));
    ck_assert_bytes_eq(unpack_bytes(&u, LIMIT_SPEC_BYTES), buffer_view(&out));
    buffer_finish(&part);
}

START_TEST(test_agents_get_their_part)
{
    struct job_spec simple;

    check_agent_part(&spec);
    check_agent_part(&spec); /* without anything of masters alone */
    sample_job_spec(&simple);
    job_spec_set_role(&simple, "night");
    check_agent_part(&simple);
    simple.cpu_hard = true;
    simple.estimate_ms = 1;
    simple.kind = JOB_SERVICE;
    simple.reschedule.attempts = 1;
    job_spec_add_after(&simple, (struct job_after){7, JOB_ON_ANY});
    spread_parse(match_add_spread(&simple.match), "rack", NULL);
    check_agent_part(&simple);
    simple.gang = true;
    check_agent_part(&simple);
    job_spec_finish(&simple);
}
END_TEST

START_TEST(test_largest)
{
    static char path[LIMIT_SOURCE_BYTES];

    memset(path, 'p', sizeof(path) - 1);
    while (spec.volume_count < 8)
        *job_spec_add_volume(&spec) =
            (struct job_volume){mem_strdup("/s"), mem_strdup("/t"), false};
    ck_assert_int_eq(job_spec_check(&spec, &err), 0);
    for (size_t i = 0; i < 8; i++) {
        mem_free(spec.volumes[i].target);
        spec.volumes[i].target = mem_strdup(path);
        spec.volumes[i].target[0] = '/';
    }
    ck_assert_error(
        job_spec_check(&spec, &err), err, ERROR_TOO_LARGE, "the most is 32768");
}
END_TEST

/* ---- rules: each takes a job that is right, and breaks it ---- */

static void set(char **at, const char *value)
{
    mem_free(*at);
    *at = value == NULL ? NULL : mem_strdup(value);
}

static void image_without_scheme(void)
{
    set(&spec.image.source, "alpine");
}
static void image_of_registry(void)
{
    set(&spec.image.source, "debian:12");
}
static void image_relative(void)
{
    set(&spec.image.source, "oci:relative");
}
static void image_unknown(void)
{
    set(&spec.image.source, "gopher://x");
}
static void image_without_sum(void)
{
    set(&spec.image.sha256, NULL);
}
static void image_wrong_sum(void)
{
    spec.image.sha256[3] = 'A';
}
static void image_only_sum(void)
{
    set(&spec.image.source, NULL);
}
static void user_long(void)
{
    set(&spec.user, "abcdefghijklmnopqrstuvwxyzabcdefg");
}
static void user_control(void)
{
    set(&spec.user, "a\nb");
}
static void role_wrong(void)
{
    set(&spec.role, "Night");
}
static void estimate_long(void)
{
    spec.estimate_ms = LIMIT_JOB_TIME_MS + 1;
}
static void ports_many(void)
{
    spec.ports.count = 60;
}
static void ports_overlap(void)
{
    spec.ports.fixed[1].first = 8080;
}
static void custom_built_in(void)
{
    set(&spec.custom.items[0].name, "mem");
}
static void custom_zero(void)
{
    spec.custom.items[1].amount = 0;
}
static void artifact_scheme(void)
{
    set(&spec.artifacts[0].source, "gopher://x/y");
}
static void artifact_relative_file(void)
{
    set(&spec.artifacts[0].source, "file://x/y");
}
static void artifact_no_sum(void)
{
    set(&spec.artifacts[0].sha256, NULL);
}
static void artifact_absolute(void)
{
    set(&spec.artifacts[0].path, "/etc/passwd");
}
static void artifact_log(void)
{
    set(&spec.artifacts[1].path, "stdout");
}
static void artifact_log_below(void)
{
    set(&spec.artifacts[0].path, ".//./stderr/x");
}
static void artifact_of_agent(void)
{
    set(&spec.artifacts[1].path, ".triarch-x");
}
static void artifact_up(void)
{
    set(&spec.artifacts[0].path, "a/../../b");
}
static void artifact_both(void)
{
    spec.artifacts[0].executable = true;
}
static void artifact_size(void)
{
    spec.artifacts[0].max_bytes = 0;
}
static void artifact_time(void)
{
    spec.artifacts[0].timeout_ms = 0;
}
static void volume_without_image(void)
{
    set(&spec.image.source, NULL);
    set(&spec.image.sha256, NULL);
}
static void volume_relative(void)
{
    set(&spec.volumes[0].source, "srv");
}
static void volume_up(void)
{
    set(&spec.volumes[0].target, "/a/..");
}
static void runtime_long(void)
{
    spec.max_runtime_ms = LIMIT_JOB_TIME_MS + 1;
}
static void restart_of_nothing(void)
{
    spec.restart.attempts = 0;
}
static void restart_delay(void)
{
    spec.restart.delay_ms = spec.restart.max_delay_ms + 1;
}
static void restart_storm(void)
{
    spec.restart = (struct job_retry){.attempts = JOB_UNLIMITED, .delay_ms = 99};
    spec.restart.max_delay_ms = 1000;
}
static void restart_short_interval(void)
{
    spec.restart = (struct job_retry){.attempts = 11, .interval_ms = 1000};
}
static void restart_many(void)
{
    spec.restart = (struct job_retry){.attempts = 101};
}
static void reschedule_storm(void)
{
    spec.reschedule = (struct job_retry){.attempts = JOB_UNLIMITED};
}
static void reschedule_long(void)
{
    spec.reschedule.max_delay_ms = LIMIT_JOB_TIME_MS + 1;
}
static void check_no_port(void)
{
    spec.checks[1].port_index = 13;
}
static void check_path(void)
{
    set(&spec.checks[1].path, "ready");
}
static void check_interval(void)
{
    spec.checks[0].interval_ms = 99;
}
static void check_timeout(void)
{
    spec.checks[0].timeout_ms = LIMIT_CHECK_TIMEOUT_MS + 1;
}
static void check_failures(void)
{
    spec.checks[0].failures = 0;
}
static void check_kind(void)
{
    spec.checks[0].kind = 0;
}
static void check_many(void)
{
    while (spec.check_count <= LIMIT_CHECKS)
        *job_spec_add_check(&spec) = (struct job_check){.role = CHECK_HEALTH,
                                                        .kind = CHECK_TCP,
                                                        .port = 1,
                                                        .interval_ms = 100,
                                                        .timeout_ms = 10,
                                                        .failures = 1};
}
static void lease_short(void)
{
    spec.lease_ms = LIMIT_LEASE_MIN_MS - 1;
}
static void lease_drift(void)
{
    spec.drift_permille = LIMIT_DRIFT_PERMILLE + 1;
}
static void lease_grace(void)
{
    spec.kill_grace_ms = spec.lease_grace_ms / 2 + 1;
}
static void lease_no_grace(void)
{
    spec.kill_grace_ms = 0;
    spec.lease_grace_ms = LIMIT_LEASE_GRACE_MS - 1;
}
static void lease_and_stop(void)
{
    spec.stop_after_ms = 5000;
}
static void drift_alone(void)
{
    spec.lease_ms = 0;
}
static void stop_short(void)
{
    spec.lease_ms = 0;
    spec.drift_permille = 0;
    spec.lease_grace_ms = 0;
    spec.stop_after_ms = 1;
}

static const struct {
    void (*break_it)(void);
    enum error_code code;
    const char *error;
} RULES[] = {
    {image_without_scheme, ERROR_INVALID, "image: 'alpine' does not say what it is"},
    {image_without_scheme, ERROR_INVALID, "did you mean docker://alpine?"},
    {image_of_registry, ERROR_INVALID, "did you mean docker://debian:12?"},
    {image_relative, ERROR_INVALID, "image: 'oci:relative' does not say"},
    {image_unknown, ERROR_INVALID, "image: 'gopher://x' does not say"},
    {image_without_sum, ERROR_INVALID, "image: a URL needs its sha256"},
    {image_wrong_sum, ERROR_INVALID, "image.sha256: it is not 64"},
    {image_only_sum, ERROR_INVALID, "image: missing"},
    {user_long, ERROR_TOO_LARGE, "user: 33 bytes"},
    {user_control, ERROR_INVALID, "user: give printable"},
    {role_wrong, ERROR_INVALID, "role: 'Night' is no name"},
    {estimate_long, ERROR_TOO_LARGE, "estimate: give a time"},
    {ports_many, ERROR_TOO_LARGE, "ports: more than 64"},
    {ports_overlap, ERROR_INVALID, "ports: 8080-8080 and 8080-9009 overlap"},
    {custom_built_in, ERROR_INVALID, "custom: 'mem' is no name"},
    {custom_zero, ERROR_INVALID, "custom: licence: give an amount"},
    {artifact_scheme,
     ERROR_INVALID,
     "artifacts[0].source: 'gopher://x/y' begins with none"},
    {artifact_relative_file,
     ERROR_INVALID,
     "artifacts[0].source: 'file://x/y' begins with none"},
    {artifact_no_sum, ERROR_INVALID, "artifacts[0].sha256: missing"},
    {artifact_absolute, ERROR_INVALID, "leads out of the sandbox"},
    {artifact_log, ERROR_INVALID, "artifacts[1].path: 'stdout' is a file of the agent"},
    {artifact_log_below, ERROR_INVALID, "artifacts[0].path: './/./stderr/x' is a file"},
    {artifact_of_agent, ERROR_INVALID, "artifacts[1].path: '.triarch-x' is a file"},
    {artifact_up, ERROR_INVALID, "leads out of the sandbox"},
    {artifact_both, ERROR_INVALID, "artifacts[0].executable: it is for one file"},
    {artifact_size, ERROR_INVALID, "artifacts[0].max_size: "},
    {artifact_time, ERROR_INVALID, "artifacts[0].timeout: "},
    {volume_without_image, ERROR_INVALID, "volumes: only for a task with an image"},
    {volume_relative, ERROR_INVALID, "volumes[0].source: 'srv' is not an absolute"},
    {volume_up, ERROR_INVALID, "volumes[0].target: '/a/..' is not"},
    {runtime_long, ERROR_TOO_LARGE, "max_runtime: more than 365 days"},
    {restart_of_nothing, ERROR_INVALID, "restart: without attempts"},
    {restart_delay, ERROR_INVALID, "restart: delay is more than max_delay"},
    {restart_storm, ERROR_INVALID, "restart: delay: 99 ms; with so many attempts"},
    {restart_short_interval, ERROR_INVALID, "give at least 100ms"},
    {restart_many, ERROR_INVALID, "restart: delay: 0 ms"},
    {reschedule_storm, ERROR_INVALID, "give at least 1000ms"},
    {reschedule_long, ERROR_TOO_LARGE, "reschedule: a time of more"},
    {check_no_port, ERROR_INVALID, "readiness: it has no port"},
    {check_path, ERROR_INVALID, "readiness.http: give a path"},
    {check_interval, ERROR_INVALID, "health[0].interval: give a time from 100ms"},
    {check_timeout, ERROR_INVALID, "health[0].timeout: give a time from 10ms to 60s"},
    {check_failures, ERROR_INVALID, "health[0].failures: give a number from 1"},
    {check_kind, ERROR_INVALID, "health[0]: give command, argv, http or tcp"},
    {check_many, ERROR_TOO_LARGE, "health: 9 checks"},
    {lease_short, ERROR_INVALID, "exclusive: give a lease from 2s"},
    {lease_drift, ERROR_INVALID, "a drift up to 50 %"},
    {lease_grace, ERROR_INVALID, "must be at least twice kill_grace"},
    {lease_no_grace, ERROR_INVALID, "a grace from 1s"},
    {lease_and_stop, ERROR_INVALID, "leave stop_after out"},
    {drift_alone, ERROR_INVALID, "exclusive: drift without a lease"},
    {stop_short, ERROR_INVALID, "stop_after: give a time from 2s"},
};

/* Few repetitions may follow at once. */
START_TEST(test_quick_repetitions)
{
    spec.restart = (struct job_retry){.attempts = 10, .interval_ms = 1000};
    spec.reschedule = (struct job_retry){.attempts = 100};
    ck_assert_int_eq(job_spec_check(&spec, &err), 0);
    spec.restart = (struct job_retry){
        .attempts = JOB_UNLIMITED, .delay_ms = 100, .max_delay_ms = 100};
    ck_assert_int_eq(job_spec_check(&spec, &err), 0);
}
END_TEST

START_TEST(test_rule)
{
    ck_assert_int_eq(job_spec_check(&spec, &err), 0);
    RULES[_i].break_it();
    ck_assert_error(job_spec_check(&spec, &err), err, RULES[_i].code, RULES[_i].error);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("job_optional");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_round_trip);
    tcase_add_test(t, test_every_cut);
    tcase_add_test(t, test_nothing_given_takes_nothing);
    tcase_add_test(t, test_largest);
    tcase_add_test(t, test_quick_repetitions);
    tcase_add_test(t, test_fields_of_a_newer_version);
    tcase_add_test(t, test_agents_get_their_part);
    tcase_add_loop_test(t, test_rule, 0, COUNT(RULES));
    return unit_run("job_optional", &t, 1);
}
