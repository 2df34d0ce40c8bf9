/* test_job.c - every rule of a job, and its canonical bytes. */
#include "wire/job.h"

#include "base/limits.h"
#include "base/mem.h"
#include "tests/lib/wire_values.h"
#include "wire/pack.h"
#include "wire_test.h"

static struct job_spec spec;
static struct buffer out;
static struct error err;

static void setup(void)
{
    job_spec_init(&spec);
    spec.name = mem_strdup("job");
    job_spec_add_arg(&spec, "true");
}

static void teardown(void)
{
    job_spec_finish(&spec);
    buffer_finish(&out);
}

static void set_name(const char *name)
{
    mem_free(spec.name);
    spec.name = mem_strdup(name);
}

static char *repeat(char c, size_t n)
{
    char *text = mem_alloc(n + 1);

    memset(text, c, n);
    text[n] = '\0';
    return text;
}

#define ck_assert_broken(code, part) \
    ck_assert_error(job_spec_check(&spec, &err), err, code, part)
#define ck_assert_valid()                           \
    do {                                            \
        int valid_rc = job_spec_check(&spec, &err); \
        ck_assert_done(valid_rc, err);              \
    } while (0)

START_TEST(test_defaults_are_valid)
{
    ck_assert_valid();
    ck_assert_uint_eq(spec.instances, 1);
    ck_assert_uint_eq(spec.resources.amount[RESOURCE_CPUS], 1000);
    ck_assert_uint_eq(spec.kill_grace_ms, 5000);
}
END_TEST

START_TEST(test_name)
{
    char *longest = repeat('n', LIMIT_NAME_BYTES),
         *longer = repeat('n', LIMIT_NAME_BYTES + 1);

    set_name("Ümläute and ✓");
    ck_assert_valid();
    set_name(longest);
    ck_assert_valid();
    set_name(longer);
    ck_assert_broken(ERROR_TOO_LARGE, "name: 256 bytes; the most is 255");
    set_name("");
    ck_assert_broken(ERROR_INVALID, "name: missing");
    mem_free(spec.name);
    spec.name = NULL;
    ck_assert_broken(ERROR_INVALID, "name: missing");
    set_name("a\tb");
    ck_assert_broken(ERROR_INVALID, "name: give printable UTF-8");
    set_name("\xff");
    ck_assert_broken(ERROR_INVALID, "name: give printable UTF-8");
    mem_free(longest);
    mem_free(longer);
}
END_TEST

START_TEST(test_instances)
{
    spec.instances = LIMIT_TASKS_PER_JOB;
    ck_assert_valid();
    spec.instances++;
    ck_assert_broken(ERROR_TOO_LARGE, "instances: 1000001; the most is 1000000");
    spec.instances = 0;
    ck_assert_broken(ERROR_INVALID, "instances: 0");
}
END_TEST

START_TEST(test_priority)
{
    spec.priority = JOB_PRIORITY_MIN;
    ck_assert_valid();
    spec.priority--;
    ck_assert_broken(ERROR_INVALID, "priority: -1001");
    spec.priority = JOB_PRIORITY_MAX;
    ck_assert_valid();
    spec.priority++;
    ck_assert_broken(ERROR_INVALID, "priority: 1001; give a number from -1000 to 1000");
}
END_TEST

START_TEST(test_kill_grace)
{
    spec.kill_grace_ms = LIMIT_KILL_GRACE_MS;
    ck_assert_valid();
    spec.kill_grace_ms++;
    ck_assert_broken(ERROR_TOO_LARGE, "kill_grace: 86400001 ms");
    spec.kill_grace_ms = 0;
    ck_assert_valid();
}
END_TEST

START_TEST(test_resources)
{
    spec.resources.amount[RESOURCE_CPUS] = 0;
    ck_assert_broken(ERROR_INVALID, "cpus: 0; give a number of cpus above 0");
    spec.resources.amount[RESOURCE_CPUS] = 1;
    spec.resources.amount[RESOURCE_MEM] = 0;
    ck_assert_valid();
    for (enum resource_kind k = 0; k < RESOURCE_KINDS; k++) {
        uint64_t before = spec.resources.amount[k];

        spec.resources.amount[k] = LIMIT_RESOURCE;
        ck_assert_valid();
        spec.resources.amount[k]++;
        ck_assert_broken(ERROR_TOO_LARGE, resource_name(k));
        spec.resources.amount[k] = before;
    }
}
END_TEST

START_TEST(test_argv)
{
    for (size_t n = spec.argc; n < LIMIT_ARGS; n++)
        job_spec_add_arg(&spec, "");
    ck_assert_ptr_null(spec.argv[LIMIT_ARGS]);
    ck_assert_valid();
    job_spec_add_arg(&spec, "");
    ck_assert_broken(ERROR_TOO_LARGE, "command: 4097 arguments");
}
END_TEST

START_TEST(test_empty_argv)
{
    job_spec_finish(&spec);
    job_spec_init(&spec);
    set_name("job");
    ck_assert_broken(ERROR_INVALID, "command: missing");
    job_spec_add_arg(&spec, "");
    ck_assert_broken(ERROR_INVALID, "command: missing");
}
END_TEST

START_TEST(test_exec_bytes)
{
    /* "true" and its zero are 5, "X=" and the zero 3. */
    char *arg = repeat('a', LIMIT_ARGV_ENV_BYTES - 5 - 3 - 1);
    char *more = repeat('a', LIMIT_ARGV_ENV_BYTES - 5 - 3);

    job_spec_add_env(&spec, "X=");
    job_spec_add_arg(&spec, arg);
    ck_assert_valid();
    mem_free(spec.argv[1]);
    spec.argv[1] = more;
    ck_assert_broken(ERROR_TOO_LARGE,
                     "command and env: 65537 bytes together; the most is 65536");
    mem_free(arg);
}
END_TEST

START_TEST(test_env)
{
    static const char *const WRONG[] = {
        "NAME", "", "=x", "1A=x", "A-B=x", "A B=x", "Ä=x"};

    job_spec_add_env(&spec, "_a1B=x=y");
    job_spec_add_env(&spec, "A=");
    ck_assert_valid();
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        job_spec_finish(&spec);
        setup();
        job_spec_add_env(&spec, WRONG[i]);
        ck_assert_broken(ERROR_INVALID, "is not NAME=value");
    }
}
END_TEST

START_TEST(test_env_twice)
{
    job_spec_add_env(&spec, "A=1");
    job_spec_add_env(&spec, "AB=1");
    job_spec_add_env(&spec, "A1=1"); /* '1' sorts before '=': still another name */
    ck_assert_valid();
    job_spec_add_env(&spec, "A=2");
    ck_assert_broken(ERROR_INVALID, "env: A is given twice");
}
END_TEST

START_TEST(test_too_many_env)
{
    for (int i = 0; i <= LIMIT_ARGS; i++) {
        char entry[32];

        snprintf(entry, sizeof(entry), "V%04d=", i);
        job_spec_add_env(&spec, entry);
    }
    ck_assert_broken(ERROR_TOO_LARGE, "env: 4097 variables");
}
END_TEST

/* The order in which variables were given does not matter. */
START_TEST(test_env_order_is_canonical)
{
    struct job_spec other;
    struct buffer bytes = {0};

    job_spec_init(&other);
    other.name = mem_strdup("job");
    job_spec_add_arg(&other, "true");
    job_spec_add_env(&other, "C=3");
    job_spec_add_env(&other, "A=1");
    job_spec_add_env(&other, "B=2");
    job_spec_add_env(&spec, "A=1");
    job_spec_add_env(&spec, "B=2");
    job_spec_add_env(&spec, "C=3");
    job_spec_pack(&spec, &out);
    job_spec_pack(&other, &bytes);
    ck_assert_bytes_eq(buffer_view(&bytes), buffer_view(&out));
    ck_assert_str_eq(other.env[0], "A=1");
    ck_assert_ptr_null(other.env[3]);
    buffer_finish(&bytes);
    job_spec_finish(&other);
}
END_TEST

static void swap_env(void)
{
    char *first = spec.env[0];

    spec.env[0] = spec.env[1];
    spec.env[1] = first;
}

START_TEST(test_unsorted_env_is_refused)
{
    struct job_spec decoded;

    job_spec_add_env(&spec, "A=1");
    job_spec_add_env(&spec, "B=2");
    swap_env();
    job_spec_pack(&spec, &out);
    ck_assert_error(job_spec_unpack(&decoded, buffer_view(&out), &err),
                    err,
                    ERROR_INVALID,
                    "env: A is not in order of the names");
    ck_assert_ptr_null(decoded.name);
    ck_assert_ptr_null(decoded.argv);
}
END_TEST

/* ---- bytes ---- */

static int decode(struct bytes bytes, struct error *e)
{
    struct job_spec decoded;
    int rc = job_spec_unpack(&decoded, bytes, e);

    job_spec_finish(&decoded);
    return rc;
}

START_TEST(test_sample_and_every_cut)
{
    job_spec_finish(&spec);
    sample_job_spec(&spec);
    job_spec_pack(&spec, &out);
    ck_assert_int_eq(decode(buffer_view(&out), &err), 0);
    check_every_cut(buffer_view(&out), decode);
    buffer_append_u8(&out, 0);
    ck_assert_error(decode(buffer_view(&out), &err),
                    err,
                    ERROR_INVALID,
                    "job spec: bytes are left");
}
END_TEST

START_TEST(test_name_alone)
{
    struct bytes name;

    set_name("héllo");
    job_spec_pack(&spec, &out);
    for (size_t size = 0; size <= out.size; size++) {
        name = job_spec_name((struct bytes){out.data, size});
        if (name.size > 0) /* more than its head is there */
            ck_assert_bytes_eq(name, LITERAL("héllo"));
    }
    ck_assert_bytes_eq(name, LITERAL("héllo"));
    ck_assert_uint_eq(job_spec_name(LITERAL("\xc1")).size, 0);
    ck_assert_uint_eq(job_spec_name(LITERAL("\x91\xa2\xff\xff")).size, 0);
}
END_TEST

START_TEST(test_zero_byte_in_argument)
{
    pack_array(&out, 7);
    pack_text(&out, "j");
    pack_uint(&out, 1);
    pack_uint(&out, 0);
    resources_pack(&spec.resources, &out);
    pack_uint(&out, 0);
    pack_array(&out, 1);
    pack_bytes(&out, LITERAL("a\0b"));
    pack_array(&out, 0);
    ck_assert_error(decode(buffer_view(&out), &err), err, ERROR_INVALID, "zero byte");
}
END_TEST

/* The count alone is enough to refuse it. */
START_TEST(test_too_many_arguments)
{
    pack_array(&out, 7);
    pack_text(&out, "j");
    pack_uint(&out, 1);
    pack_uint(&out, 0);
    resources_pack(&spec.resources, &out);
    pack_uint(&out, 0);
    pack_array(&out, LIMIT_ARGS + 1);
    for (int i = 0; i <= LIMIT_ARGS; i++)
        pack_bytes(&out, LITERAL(""));
    pack_array(&out, 0);
    ck_assert_error(decode(buffer_view(&out), &err),
                    err,
                    ERROR_INVALID,
                    "more arguments or variables");
}
END_TEST

START_TEST(test_too_large)
{
    buffer_reserve(&out, LIMIT_SPEC_BYTES + 1);
    memset(out.data, 0, LIMIT_SPEC_BYTES + 1);
    out.size = LIMIT_SPEC_BYTES + 1;
    ck_assert_error(decode(buffer_view(&out), &err),
                    err,
                    ERROR_TOO_LARGE,
                    "job spec: 130049 bytes");
}
END_TEST

/* The largest job that keeps the rules is decoded again. */
START_TEST(test_largest)
{
    char *name = repeat('n', LIMIT_NAME_BYTES);

    set_name(name);
    while (spec.argc < LIMIT_ARGS)
        job_spec_add_arg(&spec, "123456"); /* 7 */
    for (int i = 0; i < LIMIT_ARGS; i++) {
        char entry[32];

        snprintf(entry, sizeof(entry), "V%05d=", i); /* 8 */
        job_spec_add_env(&spec, entry);
    }
    ck_assert_valid();
    job_spec_pack(&spec, &out);
    ck_assert_uint_le(out.size, LIMIT_SPEC_BYTES);
    ck_assert_int_eq(decode(buffer_view(&out), &err), 0);
    mem_free(name);
}
END_TEST

START_TEST(test_random_round_trip)
{
    uint64_t seed = test_seed(_i);
    struct rng r = {seed};

    for (int n = 0; n < 50; n++) {
        struct job_spec random, decoded;
        struct buffer again = {0};

        random_job_spec(&r, &random);
        buffer_clear(&out);
        job_spec_pack(&random, &out);
        ck_assert_seed(job_spec_unpack(&decoded, buffer_view(&out), &err) == 0, seed);
        ck_assert_seed(job_specs_equal(&random, &decoded), seed);
        job_spec_pack(&decoded, &again);
        ck_assert_bytes_eq(buffer_view(&again), buffer_view(&out));
        buffer_finish(&again);
        job_spec_finish(&decoded);
        job_spec_finish(&random);
    }
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("job");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_defaults_are_valid);
    tcase_add_test(t, test_name);
    tcase_add_test(t, test_instances);
    tcase_add_test(t, test_priority);
    tcase_add_test(t, test_kill_grace);
    tcase_add_test(t, test_resources);
    tcase_add_test(t, test_argv);
    tcase_add_test(t, test_empty_argv);
    tcase_add_test(t, test_exec_bytes);
    tcase_add_test(t, test_env);
    tcase_add_test(t, test_env_twice);
    tcase_add_test(t, test_too_many_env);
    tcase_add_test(t, test_env_order_is_canonical);
    tcase_add_test(t, test_unsorted_env_is_refused);
    tcase_add_test(t, test_sample_and_every_cut);
    tcase_add_test(t, test_name_alone);
    tcase_add_test(t, test_zero_byte_in_argument);
    tcase_add_test(t, test_too_many_arguments);
    tcase_add_test(t, test_too_large);
    tcase_add_test(t, test_largest);
    tcase_add_loop_test(t, test_random_round_trip, 0, 4);
    return unit_run("job", &t, 1);
}
