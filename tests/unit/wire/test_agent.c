/* test_agent.c - every rule of an agent's spec, and its canonical bytes. */
#include "wire/agent.h"

#include "base/mem.h"
#include "tests/lib/wire_values.h"
#include "wire_test.h"

static struct agent_spec spec;
static struct buffer out;
static struct error err;

static void setup(void)
{
    sample_agent_spec(&spec);
}

static void teardown(void)
{
    agent_spec_finish(&spec);
    buffer_finish(&out);
}

static void replace(char **text, const char *by)
{
    mem_free(*text);
    *text = mem_strdup(by);
}

#define ck_assert_broken(code, part)                                     \
    do {                                                                 \
        ck_assert_error(agent_spec_check(&spec, &err), err, code, part); \
        ck_assert_int_eq(agent_spec_check(&spec, NULL), -(int)(code));   \
    } while (0)
#define ck_assert_valid()                             \
    do {                                              \
        int valid_rc = agent_spec_check(&spec, &err); \
        ck_assert_done(valid_rc, err);                \
    } while (0)

START_TEST(test_state_names)
{
    ck_assert_str_eq(agent_state_name(AGENT_ACTIVE), "ACTIVE");
    ck_assert_str_eq(agent_state_name(AGENT_GONE), "GONE");
    ck_assert_str_eq(agent_state_name((enum agent_state)9), "UNKNOWN");
}
END_TEST

START_TEST(test_hostname)
{
    ck_assert_valid();
    replace(&spec.hostname, "");
    ck_assert_broken(ERROR_INVALID, "hostname: ");
    replace(&spec.hostname, "two words");
    ck_assert_broken(ERROR_INVALID, "hostname: ");
    replace(&spec.hostname, "bell\a");
    ck_assert_broken(ERROR_INVALID, "hostname: ");
}
END_TEST

START_TEST(test_addresses)
{
    static const char *const RIGHT[] = {"", "host:1", "[::1]:65535", "192.0.2.1:5051"};
    static const char *const WRONG[] = {
        "host", "host:", ":5051", "host:0", "host:65536", "host:50x", "a b:5051"};

    for (size_t i = 0; i < sizeof(RIGHT) / sizeof(RIGHT[0]); i++) {
        replace(&spec.http_address, RIGHT[i]);
        replace(&spec.rpc_address, RIGHT[i]);
        ck_assert_valid();
    }
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        replace(&spec.http_address, WRONG[i]);
        replace(&spec.rpc_address, "host:1");
        ck_assert_broken(ERROR_INVALID, "http address: ");
        replace(&spec.http_address, "host:1");
        replace(&spec.rpc_address, WRONG[i]);
        ck_assert_broken(ERROR_INVALID, "rpc address: ");
    }
}
END_TEST

START_TEST(test_absurd_resources)
{
    uint64_t *amount = spec.resources.amount;

    amount[RESOURCE_CPUS] = 0;
    ck_assert_broken(ERROR_INVALID, "cpus: 0");
    amount[RESOURCE_CPUS] = LIMIT_AGENT_CPUS * 1000ull;
    ck_assert_valid();
    amount[RESOURCE_CPUS]++;
    ck_assert_broken(ERROR_TOO_LARGE, "cpus: more than any machine");
    amount[RESOURCE_CPUS] = 1;
    amount[RESOURCE_MEM] = LIMIT_RESOURCE + 1;
    ck_assert_broken(ERROR_TOO_LARGE, "mem: more than any machine");
    amount[RESOURCE_MEM] = 0;
    amount[RESOURCE_DISK] = UINT64_MAX;
    ck_assert_broken(ERROR_TOO_LARGE, "disk: more than any machine");
    amount[RESOURCE_DISK] = 0;
    amount[RESOURCE_GPUS] = LIMIT_AGENT_GPUS + 1;
    ck_assert_broken(ERROR_TOO_LARGE, "gpus: more than any machine");
}
END_TEST

START_TEST(test_custom)
{
    custom_resources_add(&spec.custom, "licence", 1000);
    ck_assert_valid();
    spec.custom.items[0].name[0] = '\a';
    ck_assert_broken(ERROR_INVALID, "is no name of a resource");
    spec.custom.items[0].name[0] = 'l';
    spec.custom.items[0].amount = 0;
    ck_assert_broken(ERROR_INVALID, "above 0");
}
END_TEST

START_TEST(test_ports)
{
    spec.ports[1].first = 32000;
    ck_assert_broken(ERROR_INVALID, "ports: 31000-32000 and 32000-33010 overlap");
    spec.ports[1].first = 32001;
    ck_assert_valid();
    spec.ports[0].first = 0;
    ck_assert_broken(ERROR_INVALID, "0-32000 is not a range");
    spec.port_count = LIMIT_PORT_RANGES + 1;
    ck_assert_broken(ERROR_TOO_LARGE, "ports: 17 ranges");
    spec.port_count = 0;
    ck_assert_valid();
}
END_TEST

START_TEST(test_attributes)
{
    replace(&spec.attributes[1].name, "rack");
    ck_assert_broken(ERROR_INVALID, "attributes: rack is given twice");
    replace(&spec.attributes[1].name, "alpha");
    ck_assert_broken(ERROR_INVALID, "attributes: alpha is not in order");
    replace(&spec.attributes[1].name, "");
    ck_assert_broken(ERROR_INVALID, "attributes: give NAME:VALUE");
    replace(&spec.attributes[1].name, "zone");
    replace(&spec.attributes[1].value, "\n");
    ck_assert_broken(ERROR_INVALID, "attributes: give NAME:VALUE");
}
END_TEST

START_TEST(test_too_many_attributes)
{
    size_t count = spec.attribute_count;

    spec.attribute_count = LIMIT_ATTRIBUTES + 1;
    ck_assert_broken(ERROR_TOO_LARGE, "attributes: 65; the most is 64");
    spec.attribute_count = count;
}
END_TEST

START_TEST(test_parse_attributes)
{
    int rc;

    agent_spec_finish(&spec);
    rc = agent_spec_parse_attributes(&spec, "zone:b;;rack:a:1;os:;", &err);
    ck_assert_done(rc, err);
    ck_assert_uint_eq(spec.attribute_count, 3);
    ck_assert_str_eq(spec.attributes[0].name, "os");
    ck_assert_str_eq(spec.attributes[0].value, "");
    ck_assert_str_eq(spec.attributes[1].name, "rack");
    ck_assert_str_eq(spec.attributes[1].value, "a:1");
    ck_assert_str_eq(spec.attributes[2].value, "b");
}
END_TEST

START_TEST(test_parse_wrong_attributes)
{
    char many[1024] = "";

    for (int i = 0; i <= LIMIT_ATTRIBUTES; i++)
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "a%d:x;", i);
    agent_spec_finish(&spec);
    ck_assert_error(agent_spec_parse_attributes(&spec, "rack;zone:b", &err),
                    err,
                    ERROR_INVALID,
                    "attributes: 'rack' is not NAME:VALUE");
    ck_assert_error(agent_spec_parse_attributes(&spec, "a:1;a:2", &err),
                    err,
                    ERROR_INVALID,
                    "attributes: a is given twice");
    agent_spec_finish(&spec);
    ck_assert_error(agent_spec_parse_attributes(&spec, ":x", &err),
                    err,
                    ERROR_INVALID,
                    "give NAME:VALUE");
    agent_spec_finish(&spec);
    ck_assert_error(agent_spec_parse_attributes(&spec, many, &err),
                    err,
                    ERROR_TOO_LARGE,
                    "attributes: more than 64");
}
END_TEST

/* ---- bytes ---- */

static int decode(struct bytes bytes, struct error *e)
{
    struct agent_spec decoded;
    int rc = agent_spec_unpack(&decoded, bytes, e);

    agent_spec_finish(&decoded);
    return rc;
}

START_TEST(test_sample_and_every_cut)
{
    agent_spec_pack(&spec, &out);
    ck_assert_int_eq(decode(buffer_view(&out), &err), 0);
    check_every_cut(buffer_view(&out), decode);
}
END_TEST

START_TEST(test_too_many_elements)
{
    struct buffer big = {0};
    size_t ports_at;

    spec.port_count = 0;
    spec.resources.amount[RESOURCE_GPUS] = 0;
    agent_spec_pack(&spec, &out);
    agent_spec_finish(&spec);
    /* The key's length is wrong. */
    out.data[2] = 15;
    ck_assert_int_lt(decode(buffer_view(&out), &err), 0);
    out.data[2] = 16;
    /* Seventeen ranges: the head says so before any is read. */
    ports_at = 3 + 16 + 1 + strlen("node7.example.org") + 1 + strlen("192.0.2.7:5051") +
               1 + 3 + 9 + 9 + 1;
    ck_assert_uint_eq(out.data[ports_at], 0x90);
    buffer_append(&big, out.data, ports_at);
    buffer_append(&big, "\xdc\0\x11", 3);
    for (int i = 0; i < 17; i++)
        buffer_append(&big, "\x92\1\1", 3);
    ck_assert_error(
        decode(buffer_view(&big), &err), err, ERROR_INVALID, "more port ranges");
    big.size = ports_at;
    buffer_append(&big, "\x90\xdc\0\x41", 4);
    for (int i = 0; i < 65; i++)
        buffer_append(&big, "\x92\xa0\xa0", 3);
    ck_assert_error(
        decode(buffer_view(&big), &err), err, ERROR_INVALID, "more attributes");
    buffer_finish(&big);
}
END_TEST

START_TEST(test_too_large)
{
    buffer_reserve(&out, LIMIT_SPEC_BYTES + 1);
    memset(out.data, 0, LIMIT_SPEC_BYTES + 1);
    out.size = LIMIT_SPEC_BYTES + 1;
    ck_assert_error(
        decode(buffer_view(&out), &err), err, ERROR_TOO_LARGE, "agent spec: 130049");
}
END_TEST

START_TEST(test_random_round_trip)
{
    uint64_t seed = test_seed(_i);
    struct rng r = {seed};

    for (int n = 0; n < 50; n++) {
        struct agent_spec random, decoded;
        struct buffer again = {0};

        random_agent_spec(&r, &random);
        buffer_clear(&out);
        agent_spec_pack(&random, &out);
        ck_assert_seed(agent_spec_unpack(&decoded, buffer_view(&out), &err) == 0, seed);
        ck_assert_seed(agent_specs_equal(&random, &decoded), seed);
        agent_spec_pack(&decoded, &again);
        ck_assert_bytes_eq(buffer_view(&again), buffer_view(&out));
        buffer_finish(&again);
        agent_spec_finish(&decoded);
        agent_spec_finish(&random);
    }
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("agent");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_state_names);
    tcase_add_test(t, test_hostname);
    tcase_add_test(t, test_addresses);
    tcase_add_test(t, test_absurd_resources);
    tcase_add_test(t, test_custom);
    tcase_add_test(t, test_ports);
    tcase_add_test(t, test_attributes);
    tcase_add_test(t, test_too_many_attributes);
    tcase_add_test(t, test_parse_attributes);
    tcase_add_test(t, test_parse_wrong_attributes);
    tcase_add_test(t, test_sample_and_every_cut);
    tcase_add_test(t, test_too_many_elements);
    tcase_add_test(t, test_too_large);
    tcase_add_loop_test(t, test_random_round_trip, 0, 4);
    return unit_run("agent", &t, 1);
}
