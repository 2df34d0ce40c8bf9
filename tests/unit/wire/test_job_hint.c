/* test_job_hint.c - what the errors of job files say to write instead. */
#include "wire/job_file.h"

#include "wire_test.h"

static struct error err;

static void check_error(const char *name, const char *text, const char *expected)
{
    struct bytes bytes = {(const uint8_t *)text, strlen(text)};
    struct job_spec spec;

    ck_assert_int_lt(job_file_parse(&spec, name, bytes, &err), 0);
    ck_assert_ptr_null(spec.name);
    ck_assert_str_eq(err.text, expected);
}

struct wrong {
    const char *text;
    const char *error; /* behind "j:1: " */
};

#define WHOLE "a whole number from 1 to 1000000"
#define TIME \
    "one number and its unit, as 500ms, 90s, 5m, 1h or 7d, or a number of seconds"

static const struct wrong NUMBERS[] = {
    {"instances: many", "instances: 'many' is no number; give " WHOLE},
    {"instances: ''", "instances: '' is no number; give " WHOLE},
    {"instances: '5'", "instances: '5' is in quotes; give " WHOLE},
    {"instances: 010", "instances: '010' begins with a zero; give " WHOLE},
    {"instances: 0x10", "instances: '0x10' is hexadecimal; give " WHOLE},
    {"instances: 1_000", "instances: '1_000' is no number; give " WHOLE},
    {"instances: 5k", "instances: '5k' has a unit; give " WHOLE},
    {"instances: 5 k", "instances: '5 k' has a unit; give " WHOLE},
    {"instances: '1e3'", "instances: '1e3' has an exponent; give " WHOLE},
    {"instances: 1e3", "instances: 1000 has a point or an exponent; give " WHOLE},
    {"instances: 3.0", "instances: 3 has a point or an exponent; give " WHOLE},
    {"instances: 2.5", "instances: 2.5; give " WHOLE},
    {"instances: 1e30", "instances: 1e+30 is far too large; give " WHOLE},
    {"instances: 1e999", "instances: '1e999' has an exponent; give " WHOLE},
    {"instances: 99999999999999999999",
     "instances: '99999999999999999999' is far too large; give " WHOLE},
    {"instances: -99999999999999999999",
     "instances: '-99999999999999999999' is far too large; give " WHOLE},
    {"instances: 9223372036854775807", "instances: 9223372036854775807; give " WHOLE},
    {"instances: true", "instances: it is true; give " WHOLE},
    {"resources: {mem: 1G}",
     "resources.mem: '1G' has a unit; give a number of MiB, as 1024"},
    {"resources: {disk: 1e20}",
     "resources.disk: 1e+20 is far too large; give a number of MiB, as 1024"},
    {"resources: {disk: 99999999999999999}",
     "resources.disk: 99999999999999999 is too large; the most is 8589934592 MiB"},
    {"resources: {cpus: 1e-9}",
     "resources.cpus: 1e-09 has too many decimals; give a number of cpus, as 0.5"},
    {"resources: {cpus: 500m}",
     "resources.cpus: '500m' has a unit; give a number of cpus, as 0.5"},
    {"resources: {gpus: 99999999999999999}",
     "resources.gpus: 99999999999999999 is too large; the most is 9007199254740992 "
     "gpus"},
    {"resources: {custom: {a: 1x}}",
     "resources.custom.a: '1x' has a unit; give a number, as 1 or 0.5"},
    {"artifacts: [{max_size: 1GiB}]",
     "artifacts[0].max_size: '1GiB' has a unit; give a number of MiB, as 1024"},
    {"exclusive: {drift: 2%}",
     "exclusive.drift: '2%' is no number; give a number of percent, as 2.5"},
    {"restart: {attempts: '3'}",
     "restart.attempts: '3' is in quotes; give a whole number, or unlimited"},
    {"kill_grace: 5m30s", "kill_grace: '5m30s' is not a time; give " TIME},
    {"max_runtime: 1w", "max_runtime: '1w' is not a time; give " TIME},
    {"kill_grace: -5", "kill_grace: '-5' is not a time; give " TIME},
    {"kill_grace: '5'", "kill_grace: '5' is not a time; give " TIME},
    {"kill_grace: off", "kill_grace: 'off' is not a time; give " TIME},
    {"kill_grace: true", "kill_grace: it is true; give " TIME},
};

static const struct wrong TEXTS[] = {
    {"command: true", "command: true without quotes is no text; write \"true\""},
    {"command: 5", "command: 5 without quotes is no text; write \"5\""},
    {"argv: [sleep, 5]", "argv[1]: 5 without quotes is no text; write \"5\""},
    {"argv: [sleep, 1.50]", "argv[1]: it is a number; give a text (numbers in quotes)"},
    {"name: false", "name: false without quotes is no text; write \"false\""},
    {"user: 1000", "user: 1000 without quotes is no text; write \"1000\""},
    {"command: [a]",
     "command: it is a list; give a text for /bin/sh, or a list as argv"},
    {"exclusive: yes",
     "exclusive: 'yes' is a text; give true, or a map of lease, drift and grace"},
    {"artifacts: [{unpack: On}]",
     "artifacts[0].unpack: 'On' is a text; give true or false"},
    {"readiness: {tcp: false}",
     "readiness.tcp: it is false; give true, or leave it out"},
    {"env: {TRIARCH_TERM: y}",
     "env.TRIARCH_TERM: the agent sets what begins with TRIARCH_; give another name"},
    {"env: {A=B: x}", "env.A=B: a name has no '='; write NAME: value"},
    {"env: ['A=1']", "env: it is a list; give a map of NAME: value"},
    {"restart: 3",
     "restart: it is a number; give a map of attempts, interval, delay and max_delay"},
};

static const struct wrong FIELDS[] = {
    {"instnces: 3", "instnces: unknown field; did you mean instances?"},
    {"replicas: 3", "replicas: unknown field; did you mean instances?"},
    {"memory: 64", "memory: unknown field; did you mean resources: {mem: 128}?"},
    {"mem: 64", "mem: unknown field; did you mean resources: {mem: 128}?"},
    {"resources: {memory: 64}", "resources.memory: unknown field; did you mean mem?"},
    {"resources: {ram: 64}", "resources.ram: unknown field; did you mean mem?"},
    {"resources: {cpu: 1}", "resources.cpu: unknown field; did you mean cpus?"},
    {"retries: 3", "retries: unknown field; did you mean restart: {attempts: 3}?"},
    {"restart: {retries: 3}", "restart.retries: unknown field; did you mean attempts?"},
    {"restart: {backoff: 3}", "restart.backoff: unknown field; did you mean delay?"},
    {"health: {retries: 3}", "health.retries: unknown field; did you mean failures?"},
    {"type: service", "type: unknown field; did you mean kind?"},
    {"artifacts: [{url: x}]", "artifacts[0].url: unknown field; did you mean source?"},
    {"artifacts: [{dest: x}]", "artifacts[0].dest: unknown field; did you mean path?"},
    {"volumes: [{dest: x}]", "volumes[0].dest: unknown field; did you mean target?"},
    {"image: {colour: red}", "image.colour: unknown field; there are source, sha256"},
    {"resources: {colour: red}",
     "resources.colour: unknown field; there are cpus, mem, disk, gpus, cpu_limit, "
     "ports, custom"},
};

static void check_wrong(const struct wrong *w)
{
    char expected[512];

    snprintf(expected, sizeof(expected), "j.yaml:1: %s", w->error);
    check_error("j.yaml", w->text, expected);
}

START_TEST(test_numbers)
{
    check_wrong(&NUMBERS[_i]);
}
END_TEST

START_TEST(test_texts)
{
    check_wrong(&TEXTS[_i]);
}
END_TEST

START_TEST(test_fields)
{
    check_wrong(&FIELDS[_i]);
}
END_TEST

START_TEST(test_not_utf8)
{
    check_error("j.yaml",
                "name: x\ncommand: \xff\n",
                "j.yaml:2: invalid leading UTF-8 octet; give printable UTF-8 text");
    check_error("j.json",
                "{\"name\": \"x\",\n\"command\": \"\xff\"}",
                "j.json:2: unable to decode byte 0xff near '\"'");
}
END_TEST

/* In JSON what is a text has quotes, and the place has its own line. */
START_TEST(test_json)
{
    check_error("j.json",
                "{\"name\": \"x\",\n\"resources\": {\n\"mem\": \"64\"}}",
                "j.json:3: resources.mem: '64' is in quotes; give a number of MiB, as "
                "1024");
    check_error("j.json",
                "{\"command\":\ntrue}",
                "j.json:1: command: true without quotes is no text; write \"true\"");
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("job_hint");

    tcase_add_loop_test(t, test_numbers, 0, COUNT(NUMBERS));
    tcase_add_loop_test(t, test_texts, 0, COUNT(TEXTS));
    tcase_add_loop_test(t, test_fields, 0, COUNT(FIELDS));
    tcase_add_test(t, test_not_utf8);
    tcase_add_test(t, test_json);
    return unit_run("job_hint", &t, 1);
}
