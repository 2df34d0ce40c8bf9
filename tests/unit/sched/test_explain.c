/* test_explain.c - why tasks wait, word by word. */
#include "sched/internal.h"
#include "tests/lib/cluster.h"
#include "tests/lib/unit.h"

#include <stdio.h>
#include <string.h>

static struct cluster c;
static char why[SCHED_WHY_BYTES];

static void setup(void)
{
    cluster_init(&c);
}

static void teardown(void)
{
    cluster_finish(&c);
}

static const char *explain_with(uint64_t job, unsigned *looks)
{
    sched_explain(
        c.sched, c.state, c.now_us, state_job(c.state, job), looks, why, sizeof(why));
    return why;
}

static const char *explain(uint64_t job)
{
    unsigned looks = SCHED_EXPLAIN_LOOKS;

    return explain_with(job, &looks);
}

/* After rounds, as a listing sees it. */
static const char *explain_settled(uint64_t job)
{
    cluster_settle(&c);
    return explain(job);
}

START_TEST(test_nothing_waits)
{
    uint64_t job = cluster_submit(&c, amounts(1000, 1, 0, 0), 1, 0);
    uint64_t killed = cluster_submit(&c, amounts(9000, 1, 0, 0), 1, 0);

    cluster_add_agent(&c, amounts(1000, 1, 0, 0));
    cluster_kill(&c, killed);
    ck_assert_str_eq(explain_settled(job), "");
    ck_assert_str_eq(explain(killed), "");
}
END_TEST

START_TEST(test_no_agent_is_registered)
{
    uint64_t job = cluster_submit(&c, amounts(1000, 1, 0, 0), 1, 0);

    ck_assert_str_eq(explain_settled(job), "no agent is registered");
    cluster_agent_gone(&c, cluster_add_agent(&c, amounts(4000, 1, 0, 0)));
    ck_assert_str_eq(explain_settled(job), "no agent is registered");
}
END_TEST

START_TEST(test_more_than_any_agent_has)
{
    uint64_t job = cluster_submit(&c, amounts(64000, 1, 0, 0), 1, 0);

    cluster_add_agent(&c, amounts(8000, 1024, 0, 0));
    cluster_add_agent(&c, amounts(4000, 2048, 0, 0));
    ck_assert_str_eq(explain_settled(job), "no agent has 64 cpus (largest: 8)");
    job = cluster_submit(&c, amounts(8001, 4096, 1, 1), 1, 0);
    ck_assert_str_eq(explain_settled(job),
                     "no agent has 8.001 cpus (largest: 8), nor 4096 MiB (largest: "
                     "2048), nor 1 MiB of disk (largest: 0), nor 1 gpu (largest: 0)");
    job = cluster_submit(&c, amounts(8000, 2048, 0, 0), 1, 0);
    ck_assert_str_eq(explain_settled(job), "no agent has all of 8 cpus, 2048 MiB");
}
END_TEST

START_TEST(test_agents_that_are_busy)
{
    uint64_t job;

    for (int i = 0; i < 3; i++)
        cluster_add_agent(&c, amounts(2000, 8192, 0, 0));
    cluster_add_agent(&c, amounts(1000, 8192, 0, 0));
    cluster_submit(&c, amounts(1500, 4096, 0, 0), 3, 0);
    job = cluster_submit(&c, amounts(2000, 4096, 0, 0), 12, 0);
    ck_assert_str_eq(explain_settled(job),
                     "waiting for 2 cpus, 4096 MiB: 3 agents have room when their "
                     "tasks end; cpus: 3 full, 1 too small");
    cluster_agent_unreachable(&c, 1);
    cluster_agent_gone(&c, 2);
    ck_assert_str_eq(explain_settled(job),
                     "waiting for 2 cpus, 4096 MiB: 1 agent has room when its tasks "
                     "end; cpus: 1 full, 1 too small; 1 is unreachable");
    cluster_agent_gone(&c, 3);
    ck_assert_str_eq(
        explain_settled(job),
        "waiting for 2 cpus, 4096 MiB: the 1 agent that is large enough is "
        "unreachable");
    cluster_agent_unreachable(&c, cluster_add_agent(&c, amounts(2000, 8192, 0, 0)));
    ck_assert_str_eq(
        explain_settled(job),
        "waiting for 2 cpus, 4096 MiB: the 2 agents that are large enough are "
        "unreachable");
}
END_TEST

START_TEST(test_agents_that_take_no_work)
{
    uint64_t job;

    for (int i = 0; i < 3; i++)
        cluster_add_agent(&c, amounts(2000, 8192, 0, 0));
    cluster_agent_mode(&c, 1, AGENT_CORDONED);
    cluster_agent_mode(&c, 2, AGENT_DRAINING);
    cluster_agent_unreachable(&c, 3);
    job = cluster_submit(&c, amounts(2000, 4096, 0, 0), 1, 0);
    ck_assert_str_eq(explain_settled(job),
                     "waiting for 2 cpus, 4096 MiB: the 2 agents that are large enough "
                     "are cordoned or draining");
    cluster_agent_gone(&c, 2);
    ck_assert_str_eq(explain_settled(job),
                     "waiting for 2 cpus, 4096 MiB: the 1 agent that is large enough "
                     "is cordoned or draining");
    cluster_agent_mode(&c, 1, AGENT_NORMAL);
    ck_assert_str_eq(explain(job), "1 task waits; placed next");
    ck_assert_str_eq(explain_settled(job), "");
}
END_TEST

/* However empty they get. */
START_TEST(test_a_gang_that_all_agents_together_cannot_hold)
{
    struct job_spec spec;

    for (int i = 0; i < 3; i++)
        cluster_add_agent(&c, amounts(4000, 8192, 0, 0));
    cluster_submit(&c, amounts(3000, 4096, 0, 0), 3, 0);
    job_spec_init(&spec);
    spec.resources = amounts(1000, 64, 0, 0);
    spec.gang = true;
    spec.instances = 12;
    ck_assert_str_eq(explain_settled(cluster_submit_like(&c, &spec)),
                     "waiting for 12 x 1 cpu, 64 MiB at once: room for 3 now");
    spec.instances = 13;
    ck_assert_str_eq(explain_settled(cluster_submit_like(&c, &spec)),
                     "waiting for 13 x 1 cpu, 64 MiB at once: all agents together can "
                     "hold 12");
    cluster_agent_mode(&c, 3, AGENT_CORDONED); /* may be opened again */
    spec.instances = 12;
    ck_assert_str_eq(explain_settled(cluster_submit_like(&c, &spec)),
                     "waiting for 12 x 1 cpu, 64 MiB at once: room for 2 now");
}
END_TEST

START_TEST(test_agents_that_have_room_and_take_no_work)
{
    uint64_t job;

    for (int i = 0; i < 6; i++)
        cluster_add_agent(&c, amounts(2000, 8192, 0, 0));
    cluster_agent_mode(&c, 1, AGENT_CORDONED);
    cluster_agent_mode(&c, 2, AGENT_DRAINING);
    cluster_agent_unreachable(&c, 3);
    sched_agent_refuses(c.sched, c.state, 4, true);
    cluster_submit(&c, amounts(2000, 4096, 0, 0), 2, 0);
    cluster_settle(&c);
    job = cluster_submit(&c, amounts(2000, 4096, 0, 0), 1, 0);
    ck_assert_str_eq(explain_settled(job),
                     "waiting for 2 cpus, 4096 MiB: 2 agents have room when their "
                     "tasks end; cpus: 2 full; 1 is short of disk or damped; 2 are "
                     "cordoned or draining; 1 is unreachable");
}
END_TEST

START_TEST(test_agents_short_of_disk)
{
    uint64_t job;

    for (int i = 0; i < 3; i++)
        cluster_add_agent(&c, amounts(2000, 8192, 0, 0));
    cluster_settle(&c);
    cluster_agent_mode(&c, 1, AGENT_CORDONED);
    for (uint64_t agent = 1; agent <= 3; agent++)
        sched_agent_refuses(c.sched, c.state, agent, true);
    job = cluster_submit(&c, amounts(2000, 4096, 0, 0), 1, 0);
    ck_assert_str_eq(explain_settled(job),
                     "waiting for 2 cpus, 4096 MiB: the 2 agents that are large enough "
                     "are short of disk or damped");
    cluster_agent_gone(&c, 2);
    ck_assert_str_eq(explain_settled(job),
                     "waiting for 2 cpus, 4096 MiB: the 1 agent that is large enough "
                     "is short of disk or damped");
    sched_agent_refuses(c.sched, c.state, 3, false);
    ck_assert_str_eq(explain(job), "1 task waits; placed next");
}
END_TEST

static uint64_t add_able_agent(uint32_t features)
{
    return cluster_add_agent_like(
        &c,
        &(struct agent_spec){.resources = amounts(1000, 64, 0, 0),
                             .features = features});
}

static uint64_t add_agent(uint16_t first, uint16_t last, uint64_t licences)
{
    struct custom_resource licence = {"licence", licences};
    struct agent_spec spec = {.resources = amounts(4000, 1024, 0, 0),
                              .ports = {{first, last}},
                              .port_count = first > 0 ? 1 : 0,
                              .custom = {&licence, licences > 0 ? 1 : 0},
                              .features = AGENT_FEATURE_JOBS_2};

    return cluster_add_agent_like(&c, &spec);
}

static uint64_t submit(uint32_t ports, uint16_t fixed, uint64_t licences, bool image)
{
    struct custom_resource licence = {"licence", licences};
    struct job_spec spec;

    job_spec_init(&spec);
    spec.resources = amounts(1000, 64, 0, 0);
    spec.ports.count = ports;
    spec.ports.fixed[0] = (struct port_range){fixed, fixed};
    spec.ports.fixed_count = fixed > 0 ? 1 : 0;
    spec.custom = (struct custom_resources){&licence, licences > 0 ? 1 : 0};
    spec.image.source = image ? "oci:/srv/image" : NULL;
    return cluster_submit_like(&c, &spec);
}

START_TEST(test_extras_that_no_agent_has)
{
    add_agent(0, 0, 0);
    ck_assert_str_eq(explain_settled(submit(0, 0, 1000, false)),
                     "no agent has licence");
    ck_assert_str_eq(explain_settled(submit(0, 0, 0, true)), "no agent can run images");
    ck_assert_str_eq(explain_settled(submit(2, 0, 0, false)),
                     "no agent has 2 ports (largest: 0)");
    ck_assert_str_eq(explain_settled(submit(1, 0, 0, false)),
                     "no agent has 1 port (largest: 0)");
    add_agent(8080, 8081, 1500);
    ck_assert_str_eq(explain_settled(submit(0, 0, 2000, false)),
                     "no agent has 2 licence (largest: 1.5)");
    ck_assert_str_eq(explain_settled(submit(2, 8080, 0, false)),
                     "no agent has 3 ports (largest: 2)");
    ck_assert_str_eq(explain_settled(submit(1, 80, 0, false)),
                     "no agent offers port 80");
    add_agent(9000, 9000, 0);
    ck_assert_str_eq(explain_settled(submit(0, 9000, 500, false)),
                     "no agent has all of 1 cpu, 64 MiB, port 9000, 0.5 licence");
}
END_TEST

/* Of a gang ports and custom resources count, too: of 11 ports five have two. */
START_TEST(test_extras_that_all_agents_together_have)
{
    struct job_spec spec;

    for (int i = 0; i < 2; i++)
        add_agent(8080, 8090, 1500);
    job_spec_init(&spec);
    spec.resources = amounts(10, 1, 0, 0);
    spec.gang = true;
    spec.instances = 11;
    spec.ports.count = 2;
    ck_assert_str_eq(
        explain_settled(cluster_submit_like(&c, &spec)),
        "waiting for 11 x 0.01 cpus, 1 MiB, 2 ports at once: all agents together "
        "can hold 10");
}
END_TEST

static uint64_t submit_as(const char *user, const char *image)
{
    struct job_volume volume = {"/srv", "/srv", false};
    struct job_spec spec;

    job_spec_init(&spec);
    spec.resources = amounts(1000, 64, 0, 0);
    spec.user = (char *)user;
    spec.image.source = (char *)image;
    spec.volumes = image == NULL ? NULL : &volume;
    spec.volume_count = image == NULL ? 0 : 1;
    return cluster_submit_like(&c, &spec);
}

START_TEST(test_what_agents_cannot_do)
{
    uint64_t user = submit_as("nobody", NULL);
    uint64_t volume = submit_as(NULL, "oci:/srv/image");
    uint64_t inside = submit_as("nobody", "oci:/srv/image");

    add_able_agent(0);
    ck_assert_str_eq(explain_settled(user),
                     "no agent can read all of this job (it is newer than they are)");
    add_able_agent(AGENT_FEATURE_JOBS_2);
    ck_assert_str_eq(explain_settled(user), "no agent can start tasks as other users");
    ck_assert_str_eq(explain_settled(volume), "no agent can run images");
    add_able_agent(AGENT_FEATURE_JOBS_2 | AGENT_FEATURE_IMAGES);
    ck_assert_str_eq(explain_settled(volume),
                     "no agent can mount volumes (triarch-agent --volumes)");
    add_able_agent(AGENT_FEATURE_JOBS_2 | AGENT_FEATURE_VOLUMES);
    ck_assert_str_eq(explain_settled(volume),
                     "no agent has all of 1 cpu, 64 MiB, images, volumes");
    add_able_agent(AGENT_FEATURES_ALL);
    cluster_settle(&c);
    ck_assert_str_eq(explain(user), ""); /* it was the first */
    ck_assert_str_eq(explain(volume),
                     "waiting for 1 cpu, 64 MiB, images, volumes: 1 agent has room "
                     "when its tasks end; cpus: 1 full; 4 agents cannot read all of "
                     "this job (it is newer than they are)");
    cluster_agent_gone(&c, 1);
    cluster_agent_gone(&c, 2);
    cluster_agent_gone(&c, 3);
    ck_assert_str_eq(explain_settled(inside),
                     "waiting for 1 cpu, 64 MiB, images, volumes: 1 agent has room "
                     "when its tasks end; cpus: 1 full; 1 agent cannot run images");
}
END_TEST

START_TEST(test_extras_that_others_have)
{
    uint64_t first, second;

    add_agent(8080, 8090, 1000);
    first = submit(0, 8080, 0, false);
    ck_assert_str_eq(explain_settled(first), "");
    second = submit(0, 8080, 0, false);
    ck_assert_str_eq(explain_settled(second),
                     "port 8080 is taken on the 1 agent that has it");
    add_agent(8080, 8080, 0);
    ck_assert_str_eq(explain_settled(second), "");
    second = submit(0, 8080, 0, false);
    ck_assert_str_eq(explain_settled(second),
                     "port 8080 is taken on all 2 agents that have it");
    cluster_kill(&c, first);
    cluster_report(&c, job_task(state_job(c.state, first), 0)->attempt_id, TASK_KILLED);
    ck_assert_str_eq(explain(second), "1 task waits; placed next");
    ck_assert_str_eq(explain_settled(second), "");
    ck_assert_str_eq(explain_settled(submit(0, 0, 1000, false)), "");
    ck_assert_str_eq(explain_settled(submit(1, 0, 1000, false)),
                     "waiting for 1 cpu, 64 MiB, 1 port, 1 licence: 1 agent has room "
                     "when its tasks end; ports and the like: 1 full");
}
END_TEST

/* 100 agents whose port 8080 is taken, and as many jobs that want it. */
START_TEST(test_agents_are_asked_once_for_equal_jobs)
{
    enum { AGENTS = 100, JOBS = 100 };
    const char *taken = "port 8080 is taken on all 100 agents that have it";
    unsigned looks = SCHED_EXPLAIN_LOOKS, spent;
    uint64_t last = 0, other;

    for (int i = 0; i < AGENTS; i++) {
        add_agent(8080, 8090, 0);
        submit(0, 8080, 0, false);
    }
    for (int i = 0; i < JOBS; i++)
        last = submit(0, 8080, 0, false);
    ck_assert_str_eq(explain_settled(last - 1), taken);
    sched_agent_changed(c.sched, c.state, 1);
    explain_with(last, &looks);
    ck_assert_str_eq(why, taken);
    spent = SCHED_EXPLAIN_LOOKS - looks;
    ck_assert_uint_ge(spent, AGENTS);
    ck_assert_uint_le(spent, 5 * AGENTS);
    for (int i = 0; i < JOBS; i++)
        explain_with(last - (uint64_t)i, &looks);
    ck_assert_str_eq(why, taken);
    ck_assert_uint_eq(SCHED_EXPLAIN_LOOKS - looks, spent);
    other = submit(1, 8080, 0, false);
    cluster_settle(&c);
    looks = AGENTS;
    explain_with(other, &looks);
    ck_assert_str_eq(why, "waiting for 1 cpu, 64 MiB, 1 port, port 8080");
    ck_assert_uint_eq(looks, 0);
    explain_with(other, &looks);
    ck_assert_str_eq(why, "waiting for 1 cpu, 64 MiB, 1 port, port 8080");
    ck_assert_str_eq(explain(other), taken);
}
END_TEST

/* What was said before is not said again when an agent has changed. */
START_TEST(test_a_port_that_becomes_free)
{
    uint64_t first, second;

    add_agent(8080, 8090, 0);
    first = submit(0, 8080, 0, false);
    second = submit(0, 8080, 0, false);
    ck_assert_str_eq(explain_settled(second),
                     "port 8080 is taken on the 1 agent that has it");
    cluster_kill(&c, first);
    cluster_report(&c, job_task(state_job(c.state, first), 0)->attempt_id, TASK_KILLED);
    ck_assert_str_eq(explain(second), "1 task waits; placed next");
}
END_TEST

START_TEST(test_placed_next)
{
    uint64_t job = cluster_submit(&c, amounts(500, 1, 0, 0), 12, 0);

    cluster_settle(&c);
    cluster_add_agent(&c, amounts(6000, 64, 0, 0));
    ck_assert_str_eq(explain(job), "12 tasks wait; placed next");
    cluster_plan(&c, 11);
    cluster_place(&c);
    ck_assert_str_eq(explain(job), "1 task waits; placed next");
}
END_TEST

START_TEST(test_parts_are_shown_exactly)
{
    struct resources need = amounts(1250, 0, 0, 0);
    struct resources large = amounts(1020, 0, 0, 0);
    uint64_t job;

    need.amount[RESOURCE_MEM] = 3 * MIB / 2;
    large.amount[RESOURCE_MEM] = MIB - 1;
    job = cluster_submit(&c, need, 1, 0);
    cluster_add_agent(&c, large);
    ck_assert_str_eq(
        explain_settled(job),
        "no agent has 1.25 cpus (largest: 1.02), nor 1.5 MiB (largest: 0.999)");
    need.amount[RESOURCE_CPUS] = 1;
    need.amount[RESOURCE_MEM] = MIB - 1;
    job = cluster_submit(&c, need, 1, 0);
    cluster_agent_unreachable(&c, 1);
    ck_assert_str_eq(explain_settled(job),
                     "waiting for 0.001 cpus, 1 MiB: the 1 agent that is large enough "
                     "is unreachable");
}
END_TEST

START_TEST(test_a_short_buffer_gets_the_beginning)
{
    uint64_t job = cluster_submit(&c, amounts(64000, 1, 0, 0), 1, 0);
    unsigned looks = SCHED_EXPLAIN_LOOKS;
    char small[12];

    memset(small, 'x', sizeof(small));
    cluster_settle(&c);
    sched_explain(
        c.sched, c.state, c.now_us, state_job(c.state, job), &looks, small, 8);
    ck_assert_str_eq(small, "no a…");
    ck_assert_int_eq(small[8], 'x');
    cluster_add_agent(&c, amounts(1000, 1, 0, 0));
    sched_explain(
        c.sched, c.state, c.now_us, state_job(c.state, job), &looks, small, 1);
    ck_assert_str_eq(small, "");
}
END_TEST

START_TEST(test_the_longest_text_has_room)
{
    const struct resources most = {{LIMIT_AGENT_CPUS * 1000 - 1,
                                    LIMIT_RESOURCE - MIB - 1,
                                    LIMIT_RESOURCE - MIB - 1,
                                    LIMIT_AGENT_GPUS}};
    const struct resources need = {
        {LIMIT_RESOURCE - 1, LIMIT_RESOURCE - 1, LIMIT_RESOURCE - 1, LIMIT_RESOURCE}};
    uint64_t job = cluster_submit(&c, need, 1, 0);

    cluster_add_agent(&c, most);
    explain_settled(job);
    ck_assert_uint_lt(strlen(why), sizeof(why) - 1);
    ck_assert_ptr_nonnull(strstr(why, "gpus (largest: 1024)"));
}
END_TEST

/* So many that their values are asked for one by one, as what is not known of an attribute. */
static void add_serials(unsigned count)
{
    struct attribute serial = {"serial", (char[8]){0}};
    struct agent_spec like = {.resources = amounts(1000, 0, 0, 0),
                              .features = AGENT_FEATURE_JOBS_2,
                              .attributes = &serial,
                              .attribute_count = 1};

    for (unsigned i = 0; i < count; i++) {
        snprintf(serial.value, 8, "s%u", i);
        cluster_add_agent_like(&c, &like);
    }
}

/* Either the whole text or the short one, however many looks there are; nothing was asked before. */
static void
check_looks(const struct job_spec *like, const char *whole, const char *less)
{
    unsigned are_whole = 0, are_less = 0;

    for (unsigned all = 0; all < 6000; all += 290) {
        unsigned looks = all;
        uint64_t job;

        teardown();
        setup();
        add_serials(300);
        job = cluster_submit_like(&c, like);
        explain_with(job, &looks);
        if (strcmp(why, less) == 0) {
            are_less++;
            continue;
        }
        ck_assert_str_eq(why, whole);
        are_whole++;
    }
    ck_assert_uint_gt(are_less, 3);
    ck_assert_uint_gt(are_whole, 3);
}

START_TEST(test_few_looks_tell_no_wrong_number)
{
    struct job_spec like;

    job_spec_init(&like);
    condition_parse(match_add_constraint(&like.match), "serial regexp ^s", NULL);
    like.resources = amounts(1000, 0, 0, 0);
    like.instances = 400;
    like.gang = true;
    check_looks(&like,
                "waiting for 400 x 1 cpu at once: all agents together can hold 300",
                "waiting for 400 x 1 cpu at once");
    like.gang = false;
    like.instances = 1;
    like.kind = JOB_SYSTEM;
    job_spec_complete(&like);
    check_looks(&like,
                "on 0 of 300 agents; no room for 1 cpu on agents 1, 2, 3 and 297 more",
                "on 0 agents");
    match_finish(&like.match);
}
END_TEST

/* Of a listing of many jobs the last ones alone are remembered, and without looks none. */
START_TEST(test_what_was_told_has_a_limit)
{
    const struct tellings *tellings = &c.sched->lanes.tellings;
    uint64_t first = 0, last = 0;
    unsigned none = 0;

    cluster_add_agent(&c, amounts(1000, 1, 0, 0));
    for (uint64_t i = 0; i < TOLD_MOST + 10; i++) {
        last = cluster_submit(&c, amounts(2000 + i, 1, 0, 0), 1, 0);
        first = first == 0 ? last : first;
    }
    cluster_settle(&c);
    explain_with(first, &none);
    ck_assert_uint_eq(tellings->count, 0);
    for (uint64_t job = first; job <= last; job++)
        explain(job);
    ck_assert_uint_eq(tellings->count, TOLD_MOST);
    ck_assert_str_eq(explain(first), "no agent has 2 cpus (largest: 1)");
    for (uint64_t job = first; job <= last; job++)
        cluster_kill(&c, job);
    cluster_settle(&c);
    ck_assert_uint_eq(tellings->count, 0);
}
END_TEST

START_TEST(test_without_looks_nothing_is_counted)
{
    struct job_spec like;
    unsigned looks = 0;
    uint64_t job, count;

    job_spec_init(&like);
    condition_parse(match_add_constraint(&like.match), "agent distinct", NULL);
    like.resources = amounts(1000, 0, 0, 0);
    like.instances = 2;
    cluster_add_agent(&c, amounts(4000, 0, 0, 0));
    job = cluster_submit_like(&c, &like);
    match_finish(&like.match);
    cluster_settle(&c);
    count = c.sched->fleet.values.count;
    ck_assert_str_eq(explain_with(job, &looks), "waiting for 1 cpu");
    ck_assert_uint_eq(c.sched->fleet.values.count, count);
    ck_assert_str_eq(explain(job),
                     "waiting for 1 cpu: 1 agent is large enough; agent distinct "
                     "rejects 1 of 1 agent");
    ck_assert_uint_gt(c.sched->fleet.values.count, count);
}
END_TEST

START_TEST(test_a_role_that_has_its_maximum)
{
    struct role_change change = {
        .name = "batch",
        .given = ROLE_HAS_MAX,
        .spec.max = {.amount = {{2000, 0, 0, 1}},
                     .kinds = 1u << RESOURCE_CPUS | 1u << RESOURCE_GPUS},
    };
    struct job_spec like;
    uint64_t job;

    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
    cluster_add_agent(&c, amounts(8000, 64, 0, 8));
    job_spec_init(&like);
    like.role = "batch";
    like.instances = 3;
    like.resources = amounts(1500, 1, 0, 0);
    job = cluster_submit_like(&c, &like);
    ck_assert_str_eq(
        explain_settled(job),
        "waiting for 1.5 cpus, 1 MiB: role batch has 1.5 cpus of at most 2");
    like.resources = amounts(500, 0, 0, 2);
    job = cluster_submit_like(&c, &like);
    ck_assert_str_eq(
        explain_settled(job),
        "waiting for 0.5 cpus, 2 gpus: role batch may never have more than 1 gpu");
}
END_TEST

START_TEST(test_a_role_that_has_its_maximum_of_a_custom_resource)
{
    struct custom_resource most = {(char *)"licence", 2000};
    struct custom_resource some = {(char *)"licence", 1500};
    struct role_change change = {
        .name = "batch", .given = ROLE_HAS_MAX, .spec.max.custom = {&most, 1}};
    struct job_spec like;
    uint64_t job;

    ck_assert_int_eq(cluster_set_role(&c, &change).code, ERROR_NONE);
    add_agent(0, 0, 8000);
    job_spec_init(&like);
    like.role = "batch";
    like.instances = 3;
    like.resources = amounts(1000, 0, 0, 0);
    like.custom = (struct custom_resources){&some, 1};
    job = cluster_submit_like(&c, &like);
    ck_assert_str_eq(
        explain_settled(job),
        "waiting for 1 cpu, 1.5 licence: role batch has 1.5 licence of at most 2");
    some.amount = 3000;
    job = cluster_submit_like(&c, &like);
    ck_assert_str_eq(
        explain_settled(job),
        "waiting for 1 cpu, 3 licence: role batch may never have more than 2 licence");
}
END_TEST

int main(void)
{
    TCase *t = unit_case("explain",
                         test_nothing_waits,
                         test_no_agent_is_registered,
                         test_more_than_any_agent_has,
                         test_agents_that_are_busy,
                         test_agents_that_take_no_work,
                         test_agents_that_have_room_and_take_no_work,
                         test_agents_short_of_disk,
                         test_extras_that_no_agent_has,
                         test_extras_that_all_agents_together_have,
                         test_what_agents_cannot_do,
                         test_extras_that_others_have,
                         test_agents_are_asked_once_for_equal_jobs,
                         test_a_port_that_becomes_free,
                         test_a_gang_that_all_agents_together_cannot_hold,
                         test_placed_next,
                         test_parts_are_shown_exactly,
                         test_a_short_buffer_gets_the_beginning,
                         test_the_longest_text_has_room,
                         test_few_looks_tell_no_wrong_number,
                         test_a_role_that_has_its_maximum,
                         test_without_looks_nothing_is_counted,
                         test_what_was_told_has_a_limit,
                         test_a_role_that_has_its_maximum_of_a_custom_resource);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("explain", &t, 1);
}
