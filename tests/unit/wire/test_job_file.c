/* test_job_file.c - job files, right and wrong. */
#include "wire/job_file.h"

#include "base/limits.h"
#include "tests/lib/wire_values.h"
#include "wire_test.h"

static struct job_spec spec;
static struct error err;

static void teardown(void)
{
    job_spec_finish(&spec);
}

static int parse(const char *name, const char *text)
{
    job_spec_finish(&spec);
    return job_file_parse(
        &spec, name, (struct bytes){(const uint8_t *)text, strlen(text)}, &err);
}

static const char YAML[] =
    "name: hash headers ✓\n"
    "instances: 300\n"
    "priority: -7\n"
    "argv: [/bin/sh, -c, 'sha256sum \"$FILE\"', '']\n"
    "env:\n"
    "  PATH: /usr/bin:/bin\n"
    "  EMPTY: ''\n"
    "  PORT: 8080\n"
    "  DEBUG: true\n"
    "resources: {cpus: 1.5, mem: 64, disk: 0.5, gpus: 1}\n"
    "kill_grace: 10s\n";

static const char JSON[] =
    "{\"name\": \"hash headers ✓\", \"instances\": 300, \"priority\": -7,\n"
    " \"argv\": [\"/bin/sh\", \"-c\", \"sha256sum \\\"$FILE\\\"\", \"\"],\n"
    " \"env\": {\"PATH\": \"/usr/bin:/bin\", \"EMPTY\": \"\", \"PORT\": \"8080\",\n"
    "         \"DEBUG\": \"true\"},\n"
    " \"resources\": {\"cpus\": 1.5, \"mem\": 64, \"disk\": 0.5, \"gpus\": 1},\n"
    " \"kill_grace\": 10}";

static void check_whole_job(void)
{
    ck_assert_str_eq(spec.name, "hash headers ✓");
    ck_assert_uint_eq(spec.instances, 300);
    ck_assert_int_eq(spec.priority, -7);
    ck_assert_uint_eq(spec.argc, 4);
    ck_assert_str_eq(spec.argv[0], "/bin/sh");
    ck_assert_str_eq(spec.argv[2], "sha256sum \"$FILE\"");
    ck_assert_str_eq(spec.argv[3], "");
    ck_assert_ptr_null(spec.argv[4]);
    ck_assert_uint_eq(spec.env_count, 4);
    ck_assert_str_eq(spec.env[0], "DEBUG=true");
    ck_assert_str_eq(spec.env[1], "EMPTY=");
    ck_assert_str_eq(spec.env[2], "PATH=/usr/bin:/bin");
    ck_assert_str_eq(spec.env[3], "PORT=8080");
    ck_assert_uint_eq(spec.resources.amount[RESOURCE_CPUS], 1500);
    ck_assert_uint_eq(spec.resources.amount[RESOURCE_MEM], 64 * MIB);
    ck_assert_uint_eq(spec.resources.amount[RESOURCE_DISK], 512 * KIB);
    ck_assert_uint_eq(spec.resources.amount[RESOURCE_GPUS], 1);
    ck_assert_uint_eq(spec.kill_grace_ms, 10000);
}

/* A file's format is known by its name, or by its first character. */
static const struct {
    const char *name;
    const char *text;
} WHOLE[] = {
    {"job.yaml", YAML},
    {"job.yml", YAML},
    {"job", YAML},
    {"-", YAML},
    {"job.json", JSON},
    {"job", JSON},
    {"job.yaml", JSON}, /* JSON is YAML too */
};

START_TEST(test_whole_job)
{
    int rc = parse(WHOLE[_i].name, WHOLE[_i].text);

    ck_assert_done(rc, err);
    check_whole_job();
}
END_TEST

START_TEST(test_defaults)
{
    struct job_spec defaults;

    job_spec_init(&defaults);
    ck_assert_int_eq(parse("j.yaml", "name: x\ncommand: echo $HOME && true\n"), 0);
    ck_assert_uint_eq(spec.argc, 3);
    ck_assert_str_eq(spec.argv[0], "/bin/sh");
    ck_assert_str_eq(spec.argv[1], "-c");
    ck_assert_str_eq(spec.argv[2], "echo $HOME && true");
    ck_assert_uint_eq(spec.instances, 1);
    ck_assert(resources_equal(&spec.resources, &defaults.resources));
    ck_assert_uint_eq(spec.kill_grace_ms, JOB_KILL_GRACE_MS);
}
END_TEST

static const struct {
    const char *text;
    uint64_t ms;
} GRACES[] = {
    {"5", 5000},
    {"0", 0},
    {"0.25", 250},
    {"5s", 5000},
    {"1.5s", 1500},
    {"500ms", 500},
    {"2m", 120000},
    {"24h", 86400000},
};

START_TEST(test_kill_grace)
{
    char text[80];
    int rc;

    snprintf(
        text, sizeof(text), "name: x\ncommand: x\nkill_grace: %s\n", GRACES[_i].text);
    rc = parse("j.yaml", text);
    ck_assert_done(rc, err);
    ck_assert_uint_eq(spec.kill_grace_ms, GRACES[_i].ms);
}
END_TEST

/* Each text, and the whole error for it. */
static const struct {
    const char *text;
    const char *error;
} WRONG[] = {
    {"name: x\ninstnces: 3\n",
     "j.yaml:2: instnces: unknown field; did you mean instances?"},
    {"name: x\nfoo: 3\n",
     "j.yaml:2: foo: unknown field; there are name, kind, after, schedule, "
     "parameters, instances, gang, "
     "priority, "
     "role, "
     "estimate, command, argv, env, resources, kill_grace, image, user, artifacts, "
     "volumes, max_runtime, "
     "restart, reschedule, health, readiness, on_disconnect, exclusive, "
     "constraints, affinities, spread, anti_affinity"},
    {"name: x\nresources:\n  cpu: 3\n",
     "j.yaml:3: resources.cpu: unknown field; did you mean cpus?"},
    {"name: x\ncommand: x\nresources: {cpus: -1}\n",
     "j.yaml:3: resources.cpus: -1 is negative; give a number of cpus above 0, with at "
     "most "
     "three "
     "decimals"},
    {"name: x\ncommand: x\nresources:\n  mem: 1\n  cpus: 0\n",
     "j.yaml:5: resources.cpus: 0; give a number of cpus above 0, with at most three "
     "decimals"},
    {"name: x\ncommand: x\nresources:\n  cpus: 0.0001\n",
     "j.yaml:4: resources.cpus: 0.0001 has too many decimals; give a number of cpus "
     "above 0, "
     "with at "
     "most three decimals"},
    {"name: x\ncommand: x\nresources:\n  mem: 64M\n",
     "j.yaml:4: resources.mem: '64M' has a unit; give a number of MiB, as 1024"},
    {"resources: 5\n",
     "j.yaml:1: resources: it is a number; give a map of cpus, mem, disk, gpus, "
     "ports and custom"},
    {"resources: {gpus: 0.5}\n",
     "j.yaml:1: resources.gpus: '0.5' is not a whole number; give a whole number of "
     "gpus"},
    {"instances: -3\n",
     "j.yaml:1: instances: -3; give a whole number from 1 to 1000000"},
    {"instances: 2.5\n",
     "j.yaml:1: instances: 2.5; give a whole number from 1 to 1000000"},
    {"instances: 1000001\n",
     "j.yaml:1: instances: 1000001; give a whole number from 1 to 1000000"},
    {"instances: many\n",
     "j.yaml:1: instances: 'many' is no number; give a whole number from 1 to 1000000"},
    {"instances:\n",
     "j.yaml:1: instances: it is empty; give a whole number from 1 to 1000000"},
    {"priority: 5000\n",
     "j.yaml:1: priority: 5000; give a whole number from -1000 to 1000"},
    {"name: 5\n", "j.yaml:1: name: 5 without quotes is no text; write \"5\""},
    {"name: [x]\n",
     "j.yaml:1: name: it is a list; give a text (in quotes if it looks like a number)"},
    {"name: \"a\\nb\"\ncommand: x",
     "j.yaml:1: name: give printable UTF-8 text without control characters"},
    {"command: x\n", "j.yaml: name: missing; give the job a name"},
    {"name: x\n", "j.yaml: command: missing; say what the tasks run"},
    {"name: x\nargv: []\n", "j.yaml: command: missing; say what the tasks run"},
    {"command: ''\n", "j.yaml:1: command: it is empty; say what the tasks run"},
    {"command: [a]\n",
     "j.yaml:1: command: it is a list; give a text for /bin/sh, or a list as argv"},
    {"argv: a b\n",
     "j.yaml:1: argv: 'a b' is a text; give a list of texts, or a text as command"},
    {"argv:\n  - a\n  - 5\n",
     "j.yaml:3: argv[1]: 5 without quotes is no text; write \"5\""},
    {"command: x\nargv: [x]\n", "j.yaml:2: argv: give command or argv, not both"},
    {"env: [A=1]\n", "j.yaml:1: env: it is a list; give a map of NAME: value"},
    {"env:\n  A: 1.50\n", "j.yaml:2: env.A: it is a number; give a text (in quotes)"},
    {"env:\n  A:\n", "j.yaml:2: env.A: it is empty; give a text (in quotes)"},
    {"env:\n  A=: x\n", "j.yaml:2: env.A=: a name has no '='; write NAME: value"},
    {"name: x\ncommand: x\nenv:\n  1A: x\n",
     "j.yaml:3: env: '1A=x' is not NAME=value with a NAME of letters, digits and _"},
    {"kill_grace: soon\n",
     "j.yaml:1: kill_grace: 'soon' is not a time; give one number and its unit, as "
     "500ms, 90s, 5m, 1h or 7d, or a number of seconds"},
    {"kill_grace: -5\n",
     "j.yaml:1: kill_grace: '-5' is not a time; give one number and its unit, as "
     "500ms, 90s, 5m, 1h or 7d, or a number of seconds"},
    {"kill_grace: '5'\n",
     "j.yaml:1: kill_grace: '5' is not a time; give one number and its unit, as 500ms, "
     "90s, 5m, 1h or 7d, or a number of seconds"},
    {"kill_grace: true\n",
     "j.yaml:1: kill_grace: it is true; give one number and its unit, as 500ms, 90s, "
     "5m, 1h or 7d, or a number of seconds"},
    {"name: x\ncommand: x\nkill_grace: 25h\n",
     "j.yaml:3: kill_grace: 90000000 ms; the most is 86400000 ms (24 hours)"},
    {"[1]\n", "j.yaml: a job is a map of fields (name, command, …), this is a list"},
    {"\"\\e[31m\": 1\n",
     "j.yaml:1: \xef\xbf\xbd[31m: unknown field; there are name, kind, after, "
     "schedule, parameters, instances, gang, priority, "
     "role, estimate, command, argv, env, resources, kill_grace, image, user, "
     "artifacts, volumes, max_runtime, restart, reschedule, health, readiness, "
     "on_disconnect, exclusive, "
     "constraints, affinities, spread, anti_affinity"},
};

START_TEST(test_wrong)
{
    int rc = parse("j.yaml", WRONG[_i].text);

    ck_assert_int_lt(rc, 0);
    ck_assert_int_eq(err.code, -rc);
    ck_assert_str_eq(err.text, WRONG[_i].error);
    ck_assert_ptr_null(spec.name);
    ck_assert_ptr_null(spec.argv);
}
END_TEST

START_TEST(test_wrong_json)
{
    ck_assert_int_lt(parse("j.json", "{\n\"name\": \"x\",\n}"), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "j.json:3: "));
    ck_assert_int_lt(parse("j.json", "name: x"), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "j.json:1: "));
    ck_assert_int_lt(parse("j.json", "{\"name\": \"a\", \"name\": \"b\"}"), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "duplicate"));
    ck_assert_int_lt(parse("j.json", ""), 0);
    ck_assert_int_lt(parse("j.json", "{\"name\": \"x\",\n \"instances\": 0}"), 0);
    ck_assert_str_eq(err.text,
                     "j.json:2: instances: 0; give a whole number from 1 to 1000000");
}
END_TEST

START_TEST(test_too_large)
{
    char *text = malloc(LIMIT_JOB_FILE_BYTES + 2);

    memset(text, '#', LIMIT_JOB_FILE_BYTES + 1);
    text[LIMIT_JOB_FILE_BYTES + 1] = '\0';
    ck_assert_int_eq(parse("big.yaml", text), -ERROR_TOO_LARGE);
    ck_assert_str_eq(err.text,
                     "big.yaml: 1048577 bytes; the most for a job file is 1048576");
    free(text);
}
END_TEST

START_TEST(test_too_long_command)
{
    char *text = malloc(LIMIT_ARGV_ENV_BYTES + 100);
    size_t n = (size_t)sprintf(text, "name: x\ncommand: ");

    memset(text + n, 'a', LIMIT_ARGV_ENV_BYTES);
    text[n + LIMIT_ARGV_ENV_BYTES] = '\0';
    ck_assert_int_eq(parse("j.yaml", text), -ERROR_TOO_LARGE);
    ck_assert_str_eq(
        err.text,
        "j.yaml: command and env: 65548 bytes together; the most is 65536 (put "
        "what is long into a file)");
    free(text);
}
END_TEST

/* The path of what is wrong, for an answer over HTTP. */
START_TEST(test_path)
{
    json_t *value = json_loads("{\"resources\": {\"mem\": \"x\"}}", 0, NULL);
    struct field_path path;

    ck_assert_int_eq(job_spec_from_json(&spec, value, &path, &err), -ERROR_INVALID);
    ck_assert_str_eq(path.text, "resources.mem");
    ck_assert_int_eq(job_spec_from_json(&spec, value, NULL, NULL), -ERROR_INVALID);
    json_decref(value);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("job_file");

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_loop_test(t, test_whole_job, 0, COUNT(WHOLE));
    tcase_add_test(t, test_defaults);
    tcase_add_loop_test(t, test_kill_grace, 0, COUNT(GRACES));
    tcase_add_loop_test(t, test_wrong, 0, COUNT(WRONG));
    tcase_add_test(t, test_wrong_json);
    tcase_add_test(t, test_too_large);
    tcase_add_test(t, test_too_long_command);
    tcase_add_test(t, test_path);
    return unit_run("job_file", &t, 1);
}
