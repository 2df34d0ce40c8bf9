/* test_extras.c - docs/spec/2 and 3: ports, custom resources and features of attempts. */
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

#include "base/mem.h"

#include <string.h>

static struct fsm f;

static void setup(void)
{
    fsm_setup(&f);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

/* An agent with these ports (two ranges at most; 0: none), licences and images or not. */
static struct result register_agent(char key,
                                    struct port_range first,
                                    struct port_range second,
                                    uint64_t licences,
                                    bool images)
{
    struct agent_spec spec = {
        .hostname = mem_strdup("host"),
        .http_address = mem_strdup("host:5051"),
        .resources = {{64000, 1ull << 40}},
        .ports = {first, second},
        .port_count = (first.first > 0 ? 1u : 0u) + (second.first > 0 ? 1u : 0u),
        .features = AGENT_FEATURE_JOBS_2 | (images ? AGENT_FEATURE_IMAGES : 0u)};
    struct command c = {.kind = COMMAND_AGENT_REGISTER};
    struct buffer bytes = {0};
    struct result r;

    agent_key(spec.key, key);
    if (licences > 0)
        custom_resources_add(&spec.custom, "licence", licences);
    agent_spec_pack(&spec, &bytes);
    agent_spec_finish(&spec);
    c.agent_register.spec = buffer_view(&bytes);
    r = fsm_run(&f, &c);
    buffer_finish(&bytes);
    return r;
}

static const struct port_range NONE = {0, 0};

static struct result submit(const char *key,
                            uint32_t ports,
                            struct port_range fixed,
                            uint64_t licences,
                            bool image)
{
    struct buffer bytes = {0};
    struct job_spec spec;
    struct result r;

    job_spec_init(&spec);
    spec.name = mem_strdup("a job");
    spec.instances = 8;
    spec.ports.count = ports;
    spec.ports.fixed[0] = fixed;
    spec.ports.fixed_count = fixed.first > 0;
    if (licences > 0)
        custom_resources_add(&spec.custom, "licence", licences);
    if (image)
        spec.image.source = mem_strdup("oci:/srv/image");
    job_spec_add_arg(&spec, "/bin/true");
    job_spec_pack(&spec, &bytes);
    job_spec_finish(&spec);
    r = fsm_submit_spec(&f, key, buffer_view(&bytes));
    buffer_finish(&bytes);
    return r;
}

static void check_ports(uint64_t attempt, const char *expected)
{
    const struct attempt *t = state_attempt(f.state, attempt);
    struct buffer text = {0};

    ck_assert_ptr_nonnull(t);
    for (int i = 0; i < t->port_count; i++)
        buffer_printf(&text, "%s%u", i == 0 ? "" : " ", attempt_ports(t)[i]);
    buffer_append_u8(&text, 0);
    ck_assert_str_eq((char *)text.data, expected);
    buffer_finish(&text);
}

START_TEST(test_any_ports_are_the_lowest_free_ones)
{
    ck_done(
        register_agent(
            'a', (struct port_range){10, 12}, (struct port_range){20, 21}, 0, false),
        1);
    ck_done(submit("k", 2, NONE, 0, false), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    check_ports(1, "10 11");
    ck_done(fsm_place(&f, 1, 1, 1), 1);
    check_ports(2, "12 20");
    ck_changes_nothing(&f, ck_done(fsm_place(&f, 1, 2, 1), 0));
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_done(fsm_place(&f, 1, 2, 1), 1);
    check_ports(3, "10 11");
}
END_TEST

START_TEST(test_fixed_ports_are_those_or_none)
{
    ck_done(register_agent('a', (struct port_range){10, 15}, NONE, 0, false), 1);
    ck_done(submit("any", 1, NONE, 0, false), 1);
    ck_done(submit("fixed", 2, (struct port_range){11, 12}, 0, false), 2);
    ck_done(submit("elsewhere", 0, (struct port_range){15, 16}, 0, false), 3);
    ck_done(fsm_place(&f, 3, 0, 1), 0);
    ck_done(fsm_place(&f, 2, 0, 1), 1);
    check_ports(1, "11 12 10 13");
    ck_done(fsm_place(&f, 2, 1, 1), 0);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    check_ports(2, "14");
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_done(fsm_place(&f, 2, 1, 1), 1);
    check_ports(3, "11 12 10 13");
}
END_TEST

START_TEST(test_superseded_attempts_keep_their_ports)
{
    ck_done(register_agent('a', (struct port_range){10, 10}, NONE, 0, false), 1);
    ck_done(register_agent('b', (struct port_range){10, 10}, NONE, 0, false), 2);
    ck_done(submit("k", 1, NONE, 0, false), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    check_ports(1, "10");
    ck_assert(extra_port_is_used(&state_agent(f.state, 1)->extras_used, 10));
    ck_done(fsm_place(&f, 1, 0, 2), 1);
    check_ports(2, "10"); /* a port is one of its agent */
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_assert(!extra_port_is_used(&state_agent(f.state, 1)->extras_used, 10));
    ck_done(fsm_gone(&f, 2), 2);
    ck_assert_uint_eq(state_agent(f.state, 2)->extras_used.port_count, 0);
}
END_TEST

START_TEST(test_fewer_ports_after_a_registration)
{
    ck_done(register_agent('a', (struct port_range){10, 13}, NONE, 2000, false), 1);
    ck_done(submit("k", 1, NONE, 1000, false), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_place(&f, 1, 1, 1), 1);
    ck_done(register_agent('a', (struct port_range){11, 12}, NONE, 1000, false), 1);
    check_ports(1, "10");
    ck_done(fsm_place(&f, 1, 2, 1), 0); /* a port is free, a licence is not */
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_done(fsm_place(&f, 1, 2, 1), 0);
    ck_done(fsm_update(&f, 1, 2, TASK_FINISHED), 1);
    ck_done(fsm_place(&f, 1, 2, 1), 1);
    check_ports(3, "11");
}
END_TEST

START_TEST(test_custom_resources_are_counted_by_name)
{
    ck_done(register_agent('a', NONE, NONE, 2500, false), 1);
    ck_done(register_agent('b', NONE, NONE, 0, false), 2);
    ck_done(submit("k", 0, NONE, 1000, false), 1);
    ck_done(fsm_place(&f, 1, 0, 2), 0);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_place(&f, 1, 1, 1), 1);
    ck_done(fsm_place(&f, 1, 2, 1), 0);
    ck_assert_uint_eq(custom_resources_amount(
                          &state_agent(f.state, 1)->extras_used.custom, "licence"),
                      2000);
    ck_done(fsm_update(&f, 1, 2, TASK_LOST), 1);
    ck_done(fsm_place(&f, 1, 2, 1), 1);
}
END_TEST

/* 1: as another user, 2: inside an image, 3: as another user there, 4: with volumes. */
static void submit_kinds(void)
{
    for (int kind = 1; kind <= 4; kind++) {
        char key[] = {(char)('0' + kind), 0};
        struct buffer bytes = {0};
        struct job_spec spec;

        job_spec_init(&spec);
        spec.name = mem_strdup("a job");
        spec.instances = 5;
        job_spec_add_arg(&spec, "/bin/true");
        if (kind != 2)
            spec.user = mem_strdup("nobody");
        if (kind != 1)
            spec.image.source = mem_strdup("oci:/srv/image");
        if (kind == 4)
            *job_spec_add_volume(&spec) =
                (struct job_volume){mem_strdup("/s"), mem_strdup("/t"), false};
        job_spec_pack(&spec, &bytes);
        job_spec_finish(&spec);
        ck_done(fsm_submit_spec(&f, key, buffer_view(&bytes)), (uint64_t)kind);
        buffer_finish(&bytes);
    }
}

START_TEST(test_each_needs_what_it_says)
{
    static const uint32_t ABLE[] = {
        AGENT_FEATURES_ALL & ~AGENT_FEATURE_JOBS_2,
        AGENT_FEATURE_JOBS_2,
        AGENT_FEATURE_JOBS_2 | AGENT_FEATURE_USERS,
        AGENT_FEATURE_JOBS_2 | AGENT_FEATURE_IMAGES,
        AGENT_FEATURE_JOBS_2 | AGENT_FEATURE_IMAGES | AGENT_FEATURE_VOLUMES,
    };
    static const bool FITS[5][4] = {{0}, {0}, {1, 0, 0, 0}, {0, 1, 1, 0}, {0, 1, 1, 1}};

    submit_kinds();
    for (unsigned a = 0; a < 5; a++) {
        ck_done(fsm_register_able(&f, (char)('a' + a), 64, ABLE[a]), a + 1);
        for (unsigned kind = 0; kind < 4; kind++)
            ck_assert_uint_eq(fsm_place(&f, kind + 1, a, a + 1).id, FITS[a][kind]);
    }
}
END_TEST

/* Masters that know of more of them have the same state. */
START_TEST(test_traits_are_not_in_the_state)
{
    ck_done(fsm_register_able(&f, 'a', 64, AGENT_FEATURE_LIMITS), 1);
    ck_done(fsm_register_able(&f, 'b', 64, AGENT_FEATURES_ALL), 2);
    ck_assert(extra_capacity_is_empty(&state_agent(f.state, 1)->extras));
    ck_assert_uint_eq(state_agent(f.state, 2)->extras.features, AGENT_FEATURES_NEEDED);
}
END_TEST

START_TEST(test_an_image_needs_an_agent_that_runs_images)
{
    ck_done(register_agent('a', NONE, NONE, 0, false), 1);
    ck_done(register_agent('b', NONE, NONE, 0, true), 2);
    ck_done(submit("k", 0, NONE, 0, true), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 0);
    ck_done(fsm_place(&f, 1, 0, 2), 1);
}
END_TEST

START_TEST(test_extras_are_in_snapshots)
{
    struct buffer before = {0}, after = {0};
    struct state *s;

    ck_done(register_agent('a', (struct port_range){10, 15}, NONE, 2500, true), 1);
    ck_done(submit("k", 1, (struct port_range){11, 11}, 1000, true), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    fsm_snapshot(f.state, &before);
    s = fsm_restored(buffer_view(&before));
    ck_assert_int_eq(
        extra_needs_compare(state_job(s, 1)->extras, state_job(f.state, 1)->extras), 0);
    ck_assert(extra_capacity_equal(&state_agent(s, 1)->extras,
                                   &state_agent(f.state, 1)->extras));
    ck_assert(extra_use_equal(&state_agent(s, 1)->extras_used,
                              &state_agent(f.state, 1)->extras_used));
    fsm_snapshot(s, &after);
    ck_same_bytes(&before, &after);
    buffer_finish(&before);
    buffer_finish(&after);
    state_destroy(s);
}
END_TEST

/* Whatever a spec breaks, the command is refused; it stands in every log. */
START_TEST(test_wrong_custom_resources_are_refused)
{
    struct command c = {.kind = COMMAND_AGENT_REGISTER};
    struct agent_spec spec = {.hostname = mem_strdup("host"),
                              .http_address = mem_strdup("host:5051"),
                              .resources = {{1000}}};
    struct buffer bytes = {0};

    custom_resources_add(&spec.custom, "bell\a", 1000);
    agent_spec_pack(&spec, &bytes);
    agent_spec_finish(&spec);
    c.agent_register.spec = buffer_view(&bytes);
    ck_changes_nothing(&f, ck_rejected(fsm_run(&f, &c), ERROR_INVALID));
    buffer_finish(&bytes);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("extras",
                         test_any_ports_are_the_lowest_free_ones,
                         test_fixed_ports_are_those_or_none,
                         test_superseded_attempts_keep_their_ports,
                         test_fewer_ports_after_a_registration,
                         test_custom_resources_are_counted_by_name,
                         test_each_needs_what_it_says,
                         test_traits_are_not_in_the_state,
                         test_wrong_custom_resources_are_refused,
                         test_an_image_needs_an_agent_that_runs_images,
                         test_extras_are_in_snapshots);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("extras", &c, 1);
}
