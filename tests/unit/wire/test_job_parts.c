/* test_job_parts.c - the parts of a job file beyond command and resources, right and wrong. */
#include "wire/job_file.h"
#include "wire/job_json.h"
#include "wire/json_line.h"

#include "tests/lib/wire_values.h"
#include "wire_test.h"

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

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
    "name: web\n"
    "command: serve\n"
    "image: {source: 'https://files/web.tar', sha256: " SUM
    "}\n"
    "user: www-data\n"
    "kill_grace: 2s\n"
    "max_runtime: 1h\n"
    "resources:\n"
    "  cpu_limit: hard\n"
    "  ports: {count: 2, fixed: [\"9000-9001\", 8080]}\n"
    "  custom: {licence: 1.5, fpga: 2}\n"
    "artifacts:\n"
    "  - {source: 'http://files/a/tool?v=1', sha256: " SUM
    ", executable: true}\n"
    "  - {source: 'file:///a.tar.gz', sha256: " SUM
    ", path: data/in, unpack: true,\n"
    "     max_size: 10, timeout: 30s}\n"
    "volumes: [{source: /srv/data, target: /data, read_only: true}]\n"
    "restart: {attempts: 3, interval: 5m, delay: 2s, max_delay: 20s}\n"
    "reschedule: {attempts: unlimited, delay: 2m}\n"
    "health:\n"
    "  - {http: /healthz, port_index: 1, interval: 1s, timeout: 500ms, failures: 2}\n"
    "  - {argv: [test, -e, ok], start_delay: 3s}\n"
    "readiness: {tcp: true, port: 8080}\n"
    "exclusive: {lease: 12s, drift: 2.5, grace: 8s}\n";

static const char JSON[] =
    "{\"name\": \"web\", \"command\": \"serve\",\n"
    "\"image\": {\"source\": \"https://files/web.tar\", \"sha256\": \"" SUM
    "\"},\n"
    "\"user\": \"www-data\", \"kill_grace\": 2, \"max_runtime\": 3600,\n"
    "\"resources\": {\"cpu_limit\": \"hard\", \"custom\": {\"licence\": 1.5, "
    "\"fpga\": 2},\n"
    "  \"ports\": {\"count\": 2, \"fixed\": [8080, \"9000-9001\"]}},\n"
    "\"artifacts\": [{\"source\": \"http://files/a/tool?v=1\", \"sha256\": \"" SUM
    "\", \"executable\": true},\n"
    "  {\"source\": \"file:///a.tar.gz\", \"sha256\": \"" SUM
    "\",\n"
    "  \"path\": \"data/in\", \"unpack\": true, \"max_size\": 10, \"timeout\": 30}],\n"
    "\"volumes\": [{\"source\": \"/srv/data\", \"target\": \"/data\", "
    "\"read_only\": true}],\n"
    "\"restart\": {\"attempts\": 3, \"interval\": 300, \"delay\": 2, "
    "\"max_delay\": 20},\n"
    "\"reschedule\": {\"attempts\": \"unlimited\", \"delay\": 120},\n"
    "\"health\": [{\"http\": \"/healthz\", \"port_index\": 1, \"interval\": 1,\n"
    "  \"timeout\": 0.5, \"failures\": 2},\n"
    "  {\"argv\": [\"test\", \"-e\", \"ok\"], \"start_delay\": 3}],\n"
    "\"readiness\": {\"tcp\": true, \"port\": 8080},\n"
    "\"exclusive\": {\"lease\": 12, \"drift\": 2.5, \"grace\": 8}}";

static void check_things(void)
{
    ck_assert_str_eq(spec.image.source, "https://files/web.tar");
    ck_assert_str_eq(spec.image.sha256, SUM);
    ck_assert_str_eq(spec.user, "www-data");
    ck_assert_uint_eq(spec.max_runtime_ms, 3600000);
    ck_assert(spec.cpu_hard);
    ck_assert_uint_eq(spec.ports.count, 2);
    ck_assert_uint_eq(spec.ports.fixed_count, 2);
    ck_assert_uint_eq(spec.ports.fixed[0].first, 8080);
    ck_assert_uint_eq(spec.ports.fixed[0].last, 8080);
    ck_assert_uint_eq(spec.ports.fixed[1].first, 9000);
    ck_assert_uint_eq(spec.ports.fixed[1].last, 9001);
    ck_assert_uint_eq(custom_resources_amount(&spec.custom, "licence"), 1500);
    ck_assert_uint_eq(custom_resources_amount(&spec.custom, "fpga"), 2000);
    ck_assert_uint_eq(spec.artifact_count, 2);
    ck_assert_str_eq(spec.artifacts[0].path, "tool");
    ck_assert(spec.artifacts[0].executable);
    ck_assert_uint_eq(spec.artifacts[0].max_bytes, JOB_ARTIFACT_BYTES);
    ck_assert_uint_eq(spec.artifacts[0].timeout_ms, JOB_ARTIFACT_TIMEOUT_MS);
    ck_assert_str_eq(spec.artifacts[1].path, "data/in");
    ck_assert(spec.artifacts[1].unpack);
    ck_assert_uint_eq(spec.artifacts[1].max_bytes, 10 * MIB);
    ck_assert_uint_eq(spec.artifacts[1].timeout_ms, 30000);
    ck_assert_uint_eq(spec.volume_count, 1);
    ck_assert_str_eq(spec.volumes[0].target, "/data");
    ck_assert(spec.volumes[0].read_only);
}

static void check_policies(void)
{
    ck_assert_uint_eq(spec.restart.attempts, 3);
    ck_assert_uint_eq(spec.restart.interval_ms, 300000);
    ck_assert_uint_eq(spec.restart.delay_ms, 2000);
    ck_assert_uint_eq(spec.restart.max_delay_ms, 20000);
    ck_assert_uint_eq(spec.reschedule.attempts, JOB_UNLIMITED);
    ck_assert_uint_eq(spec.reschedule.interval_ms, JOB_RETRY_INTERVAL_MS);
    ck_assert_uint_eq(spec.reschedule.max_delay_ms, 120000);
    ck_assert_uint_eq(spec.check_count, 3);
    ck_assert_int_eq(spec.checks[0].role, CHECK_HEALTH);
    ck_assert_int_eq(spec.checks[0].kind, CHECK_HTTP);
    ck_assert_str_eq(spec.checks[0].path, "/healthz");
    ck_assert_uint_eq(spec.checks[0].port_index, 1);
    ck_assert_uint_eq(spec.checks[0].interval_ms, 1000);
    ck_assert_uint_eq(spec.checks[0].timeout_ms, 500);
    ck_assert_uint_eq(spec.checks[0].failures, 2);
    ck_assert_int_eq(spec.checks[1].kind, CHECK_COMMAND);
    ck_assert_uint_eq(spec.checks[1].argc, 3);
    ck_assert_uint_eq(spec.checks[1].start_delay_ms, 3000);
    ck_assert_uint_eq(spec.checks[1].interval_ms, JOB_CHECK_INTERVAL_MS);
    ck_assert_int_eq(spec.checks[2].role, CHECK_READINESS);
    ck_assert_int_eq(spec.checks[2].kind, CHECK_TCP);
    ck_assert_uint_eq(spec.checks[2].port, 8080);
    ck_assert_uint_eq(spec.lease_ms, 12000);
    ck_assert_uint_eq(spec.drift_permille, 25);
    ck_assert_uint_eq(spec.lease_grace_ms, 8000);
}

START_TEST(test_all_parts)
{
    int rc = parse(_i == 0 ? "j.yaml" : "j.json", _i == 0 ? YAML : JSON);

    ck_assert_done(rc, err);
    check_things();
    check_policies();
}
END_TEST

START_TEST(test_short_forms)
{
    int rc = parse("j.yaml",
                   "name: x\ncommand: x\nimage: oci:/images/web:1\n"
                   "resources: {ports: 3, cpu_limit: share}\n"
                   "health: {command: test -e ok}\n"
                   "artifacts: [{source: 'file:///a.tar', sha256: " SUM
                   ", unpack: true}]\n"
                   "restart: {attempts: 1}\nexclusive: true\non_disconnect: keep\n");

    ck_assert_done(rc, err);
    ck_assert_str_eq(spec.image.source, "oci:/images/web:1");
    ck_assert_ptr_null(spec.image.sha256);
    ck_assert_uint_eq(spec.ports.count, 3);
    ck_assert(!spec.cpu_hard);
    ck_assert_str_eq(spec.checks[0].argv[2], "test -e ok");
    ck_assert_str_eq(spec.artifacts[0].path, ".");
    ck_assert_uint_eq(spec.restart.delay_ms, JOB_RETRY_DELAY_MS);
    ck_assert_uint_eq(spec.lease_ms, JOB_LEASE_MS);
    ck_assert_uint_eq(spec.drift_permille, JOB_DRIFT_PERMILLE);
    ck_assert_uint_eq(spec.lease_grace_ms, JOB_LEASE_GRACE_MS);
    rc = parse("j.yaml",
               "name: x\ncommand: x\nexclusive: false\n"
               "on_disconnect: {stop_after: 30s}\nresources: {ports: [80]}\n");
    ck_assert_done(rc, err);
    ck_assert_uint_eq(spec.lease_ms, 0);
    ck_assert_uint_eq(spec.stop_after_ms, 30000);
    ck_assert_uint_eq(spec.ports.fixed[0].first, 80);
}
END_TEST

/* What follows `name: x\ncommand: x\n`, and the whole error for it. */
static const struct {
    const char *text;
    const char *error;
} WRONG[] = {
    {"imge: x\n", "j.yaml:3: imge: unknown field; did you mean image?"},
    {"image: 5\n",
     "j.yaml:3: image: it is a number; give a text like oci:/images/web:1, or a map of "
     "source and sha256"},
    {"image:\n  sorce: x\n",
     "j.yaml:4: image.sorce: unknown field; did you mean source?"},
    {"image: https://a/b.tar\n",
     "j.yaml:3: image: a URL needs its sha256 (the sum of the tar)"},
    {"user: 5\n", "j.yaml:3: user: 5 without quotes is no text; write \"5\""},
    {"resources:\n  cpu_limit: soft\n",
     "j.yaml:4: resources.cpu_limit: 'soft' is no limit; give share or hard"},
    {"resources:\n  ports: many\n",
     "j.yaml:4: resources.ports: 'many' is a text; give how many, a list of ports and "
     "ranges, or a map of count and fixed"},
    {"resources:\n  ports: 65\n",
     "j.yaml:4: resources.ports: 65; give a whole number from 0 to 64"},
    {"resources:\n  ports:\n  - 80\n  - 70000\n",
     "j.yaml:6: resources.ports[1]: no port; give a port from 1 to 65535, or a range "
     "like \"31000-31009\""},
    {"resources:\n  custom: {a: -1}\n",
     "j.yaml:4: resources.custom.a: -1; give a number above 0, with at most three "
     "decimals"},
    {"resources:\n  custom: {a: x}\n",
     "j.yaml:4: resources.custom.a: 'x' is no number; give a number, as 1 or 0.5"},
    {"artifacts: {}\n", "j.yaml:3: artifacts: it is a map; give a list of artifacts"},
    {"artifacts:\n- source: file:///a\n  sha: x\n",
     "j.yaml:5: artifacts[0].sha: unknown field; did you mean sha256?"},
    {"artifacts:\n- source: file:///a\n  unpack: 1\n",
     "j.yaml:5: artifacts[0].unpack: it is a number; give true or false"},
    {"artifacts:\n- source: file:///a\n  max_size: 1G\n",
     "j.yaml:5: artifacts[0].max_size: '1G' has a unit; give a number of MiB, as 1024"},
    {"artifacts:\n- source: file:///a\n",
     "j.yaml:4: artifacts[0].sha256: missing: give the 64 lower-case hexadecimal "
     "digits that sha256sum prints"},
    {"artifacts:\n- {source: 'file:///a', sha256: " SUM ", path: ../a}\n",
     "j.yaml:4: artifacts[0].path: '../a' leads out of the sandbox; give one relative "
     "to "
     "it, without '..'"},
    {"artifacts:\n- {source: 'file:///a', sha256: " SUM "}\n- source: file:///b\n"
     "  sha256: xyz\n",
     "j.yaml:6: artifacts[1].sha256: it is not such a sum: give the 64 lower-case "
     "hexadecimal digits that sha256sum prints"},
    {"artifacts:\n- {source: 'file:///a/stdout', sha256: " SUM "}\n",
     "j.yaml:4: artifacts[0].path: 'stdout' is a file of the agent's in the sandbox; "
     "give "
     "another name"},
    {"image: oci:/a\nvolumes:\n- {source: /a, target: /b}\n- source: /a\n"
     "  target: b\n",
     "j.yaml:7: volumes[1].target: 'b' is not an absolute path without '..'"},
    {"readiness:\n- {tcp: true, port: 1}\n- tcp: true\n  port: 2\n  timeout: 2m\n",
     "j.yaml:7: readiness[1].timeout: give a time from 10ms to 60s"},
    {"health:\n  command: x\n  interval: 1ms\n",
     "j.yaml:5: health.interval: give a time from 100ms to 365d"},
    {"image: docker:debian\n",
     "j.yaml:3: image: 'docker:debian' does not say what it is; give oci:/PATH[:TAG], "
     "the URL of a tar, or docker://NAME:TAG; did you mean docker://debian?"},
    {"image: debian:12\n",
     "j.yaml:3: image: 'debian:12' does not say what it is; give oci:/PATH[:TAG], the "
     "URL "
     "of a tar, or docker://NAME:TAG; did you mean docker://debian:12?"},
    {"volumes: [{source: /a, target: /b}]\n",
     "j.yaml:3: volumes: only for a task with an image; without one it sees the files "
     "of its host"},
    {"restart:\n  attempts: 0\n",
     "j.yaml:4: restart.attempts: 0; give a whole number from 1 to 4294967294"},
    {"restart:\n  attempts: always\n",
     "j.yaml:4: restart.attempts: 'always' is no number; give a whole number, or "
     "unlimited"},
    {"restart: {delay: 1s}\n", "j.yaml:3: restart: without attempts it does nothing"},
    {"reschedule: {attempts: 1, delay: 9s, max_delay: 8s}\n",
     "j.yaml:3: reschedule: delay is more than max_delay"},
    {"health: x\n",
     "j.yaml:3: health: 'x' is a text; give a check or a list of checks"},
    {"health: {interval: 1s}\n",
     "j.yaml:3: health: give one of command, argv, http and tcp"},
    {"health:\n- {tcp: true, http: /}\n",
     "j.yaml:4: health[0]: give one of command, argv, http and tcp"},
    {"health: {tcp: true, port: 1, port_index: 0}\n",
     "j.yaml:3: health: give port or port_index, not both"},
    {"health: {command: x, port: 1}\n",
     "j.yaml:3: health: a command needs no port; leave it out"},
    {"readiness: {tcp: false}\n",
     "j.yaml:3: readiness.tcp: it is false; give true, or leave it out"},
    {"readiness: {tcp: true}\n",
     "j.yaml:3: readiness: it has no port; give one as port, or ports of the task as "
     "resources.ports and the number of one, from 0, as port_index"},
    {"max_runtime: long\n",
     "j.yaml:3: max_runtime: 'long' is not a time; give one number and its unit, as "
     "500ms, 90s, 5m, 1h or 7d, or a number of seconds"},
    {"on_disconnect: stop\n",
     "j.yaml:3: on_disconnect: 'stop' is a text; give keep, or a map like {stop_after: "
     "30s}"},
    {"on_disconnect: {}\n",
     "j.yaml:3: on_disconnect: it is empty; give keep, or a map like {stop_after: "
     "30s}"},
    {"on_disconnect: {stop_after: 1s}\n",
     "j.yaml:3: on_disconnect: stop_after: give a time from 2s to 365d"},
    {"exclusive: yes\n",
     "j.yaml:3: exclusive: 'yes' is a text; give true, or a map of lease, drift and "
     "grace"},
    {"exclusive:\n  lease: 0\n",
     "j.yaml:4: exclusive.lease: 0; give a time from 2s to 365d"},
    {"exclusive:\n  drift: 2.55\n",
     "j.yaml:4: exclusive.drift: 2.55; give percent from 0 to 50, with at most one "
     "decimal"},
    {"exclusive: true\nkill_grace: 6s\n",
     "j.yaml:3: exclusive: its grace (10000 ms) must be at least twice kill_grace "
     "(6000 ms): in it the task is stopped"},
    {"exclusive: true\non_disconnect: {stop_after: 5s}\n",
     "j.yaml:4: on_disconnect: an exclusive task is stopped after its lease anyway; "
     "leave stop_after out"},
};

START_TEST(test_wrong_parts)
{
    char text[1024];
    int rc;

    snprintf(text, sizeof(text), "name: x\ncommand: x\n%s", WRONG[_i].text);
    rc = parse("j.yaml", text);
    ck_assert_int_lt(rc, 0);
    ck_assert_str_eq(err.text, WRONG[_i].error);
    ck_assert_ptr_null(spec.artifacts);
}
END_TEST

/* Lines of JSON, with everything that may stand before the place. */
START_TEST(test_json_lines)
{
    parse("j.json",
          "{\"name\": \"\\ud83d\\ude00 \\\" }\", \"command\":\n\"x\",\n"
          "\t\"env\": {\"A\": \"[\", \"B\": \"1\"},\n"
          "\t\"artifacts\": [\n{\"source\": \"file:///a\"},\n"
          "{\"source\": \"file:///b\",\n\"unpack\": 1.5e3}]}");
    ck_assert_str_eq(
        err.text, "j.json:7: artifacts[1].unpack: it is a number; give true or false");
    parse("j.json", "{\"name\":\n\"x\",\"command\":\"x\",\n\n\"n\\u0061me2\": 1}");
    ck_assert_str_eq(err.text, "j.json:4: name2: unknown field; did you mean name?");
    parse("j.json", "\n\n[1]");
    ck_assert_str_eq(
        err.text,
        "j.json: a job is a map of fields (name, command, …), this is a list");
}
END_TEST

/* jansson does not see a zero byte behind a number. */
START_TEST(test_zero_byte)
{
    static const char TEXT[] =
        "{\"name\": \"x\",\n\"artifacts\": [{\"timeout\": 3\0}], \"volumes\": 1}";

    job_spec_finish(&spec);
    ck_assert_int_eq(job_file_parse(&spec, "j.json", LITERAL(TEXT), &err),
                     -ERROR_INVALID);
    ck_assert_str_eq(err.text, "j.json:2: there is a zero byte; give UTF-8 text");
    ck_assert_uint_eq(json_line(LITERAL(TEXT), "volumes"), 0);
    ck_assert_uint_eq(json_line(LITERAL("[1, }, 2]"), "[2]"), 0);
}
END_TEST

static const char *const SHOWN[] = {
    YAML,
    "name: x\ncommand: \"one\\ntwo\"\nenv: {A: 'b=\u00e9', C: ''}\n",
    "name: x\nargv: [/bin/sh, -c, '']\n",
    "name: x\nargv: [a, '']\nresources: {cpus: 0.001, mem: 1.5, disk: 2}\n"
    "on_disconnect: {stop_after: 30s}\npriority: -3\ninstances: 7\n",
    "name: x\ncommand: x\nimage: oci:/i\nhealth: {tcp: true, port_index: 0}\n"
    "resources: {ports: 1}\nexclusive: true\n",
    "name: x\ncommand: x\nrole: night.2\nestimate: 90s\n",
};

/* What is shown of a job can be submitted again. */
START_TEST(test_shown_as_a_file)
{
    struct buffer first = {0}, second = {0};
    json_t *shown;
    char *text;

    ck_assert_msg(parse("j.yaml", SHOWN[_i]) == 0, "%s", err.text);
    job_spec_pack(&spec, &first);
    shown = job_spec_to_json(&spec);
    text = json_dumps(shown, 0);
    ck_assert_msg(parse("j.json", text) == 0, "%s: %s", err.text, text);
    job_spec_pack(&spec, &second);
    ck_assert_msg(first.size == second.size &&
                      memcmp(first.data, second.data, first.size) == 0,
                  "%s",
                  text);
    free(text);
    json_decref(shown);
    buffer_finish(&first);
    buffer_finish(&second);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("job_parts");

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_loop_test(t, test_shown_as_a_file, 0, COUNT(SHOWN));
    tcase_add_loop_test(t, test_all_parts, 0, 2);
    tcase_add_test(t, test_short_forms);
    tcase_add_loop_test(t, test_wrong_parts, 0, COUNT(WRONG));
    tcase_add_test(t, test_json_lines);
    tcase_add_test(t, test_zero_byte);
    return unit_run("job_parts", &t, 1);
}
