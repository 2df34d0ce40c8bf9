/* test_golden_snapshot.c - the bytes of snapshots of old format versions, and what they say.
 *
 * A state with something in every table is made by commands: its snapshot is the file, digest
 * and all, and the file restores to it.  That of version 2 has every group of fields that the
 * first one did not have, that of version 3 a role, failures with their sums, and histories;
 * that of version 4 what preemption, gangs, system jobs and plans need; that of version 5 a
 * move.  A file never changes; GOLDEN_WRITE=1 writes those that do not exist yet. */
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/lib/wire_values.h"
#include "tests/unit/raft_fsm/fsm_test.h"

#include <stdio.h>

static struct fsm f;
static struct buffer snapshot, golden;

/* As entries of the first version do, which made no failures and histories. */
static void make_first(void)
{
    fsm_setup(&f);
    f.version = 1;
    ck_done(fsm_register_able(&f, 'a', 4, 0), 1);
    ck_done(fsm_register_able(&f, 'b', 4, 0), 2);
    ck_done(fsm_submit(&f, "key of the first", 70), 1);
    ck_done(fsm_submit(&f, "key of the second", 2), 2);
    ck_done(fsm_submit(&f, "key of the third", 1), 3);
    ck_done(fsm_place(&f, 1, 1, 1), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_place(&f, 2, 0, 2), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_FAILED), 1);
    ck_done(fsm_kill(&f, 2), 2);
    ck_done(fsm_unreachable(&f, 2), 2);
    ck_done(fsm_kill(&f, 3), 3);
    ck_done(fsm_purge(&f, 3), 3);
    fsm_snapshot(f.state, &snapshot);
}

static struct result register_with_all(void)
{
    struct command c = {.kind = COMMAND_AGENT_REGISTER};
    struct buffer bytes = {0};
    struct agent_spec spec;
    struct result r;

    full_agent_spec(&spec);
    spec.ports[0] = (struct port_range){8000, 9100};
    spec.port_count = 1;
    spec.resources = (struct resources){{64000, 1ull << 40, 1ull << 40, 8}};
    agent_spec_pack(&spec, &bytes);
    agent_spec_finish(&spec);
    c.agent_register.spec = buffer_view(&bytes);
    r = fsm_run(&f, &c);
    buffer_finish(&bytes);
    return r;
}

static struct result submit_with_all(void)
{
    struct buffer bytes = {0};
    struct job_spec spec;
    struct result r;

    full_job_spec(&spec);
    job_spec_pack(&spec, &bytes);
    job_spec_finish(&spec);
    r = fsm_submit_spec(&f, "with all", buffer_view(&bytes));
    buffer_finish(&bytes);
    return r;
}

/* A job of two tasks that are repeated, and nothing else. */
static struct result submit_repeated(void)
{
    struct buffer bytes = {0};
    struct job_spec spec;
    struct result r;

    job_spec_init(&spec);
    spec.name = mem_strdup("repeated");
    spec.instances = 2;
    job_spec_add_arg(&spec, "/bin/false");
    spec.reschedule = (struct job_retry){2, 60000, 1000, 30000};
    job_spec_pack(&spec, &bytes);
    job_spec_finish(&spec);
    r = fsm_submit_spec(&f, "repeated", buffer_view(&bytes));
    buffer_finish(&bytes);
    return r;
}

static void update_checked(uint64_t agent, uint64_t attempt)
{
    struct task_update u = {.attempt = attempt,
                            .state = TASK_RUNNING,
                            .health = HEALTH_PASSING,
                            .restarts = 2};
    struct command c = {.kind = COMMAND_TASK_UPDATE,
                        .task_update = {.agent = agent, .updates = &u, .count = 1}};

    ck_done(fsm_run(&f, &c), 1);
}

/* The first task of the repeated job fails, is repeated and lost; the second fails and waits. */
static void repeat(void)
{
    ck_done(fsm_place(&f, 2, 0, 2), 1);
    ck_done(fsm_place(&f, 2, 1, 2), 1);
    ck_done(fsm_update(&f, 2, 2, TASK_FAILED), 1);
    f.now_us += 1000000;
    ck_done(fsm_retry(&f, 2, 0, 1), 2);
    ck_done(fsm_place(&f, 2, 0, 2), 1);
    ck_done(fsm_update(&f, 2, 4, TASK_LOST), 1);
    ck_done(fsm_update(&f, 2, 3, TASK_FAILED), 1);
}

/* Agents with modes and extras, jobs with needs and policies, tasks with tries, health and
 * restarts, attempts with ports and one that a drain ends. */
static void make_second(void)
{
    fsm_setup(&f);
    f.version = 1;
    ck_done(register_with_all(), 1);
    ck_done(fsm_register(&f, 'b', 4), 2);
    ck_done(submit_with_all(), 1);
    ck_done(submit_repeated(), 2);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    update_checked(1, 1);
    repeat();
    ck_done(fsm_mode(&f, 1, AGENT_DRAINING, 0), 1);
    ck_done(fsm_drain_due(&f, 1), 1);
    ck_done(fsm_mode(&f, 2, AGENT_CORDONED, 0), 2);
    fsm_snapshot(f.state, &snapshot);
}

static void submit_named(const char *key, uint64_t max_runtime_ms, uint64_t id)
{
    struct buffer bytes = {0};
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup("named");
    spec.max_runtime_ms = max_runtime_ms;
    job_spec_add_arg(&spec, "/bin/true");
    job_spec_pack(&spec, &bytes);
    job_spec_finish(&spec);
    ck_done(fsm_submit_spec(&f, key, buffer_view(&bytes)), id);
    buffer_finish(&bytes);
}

/* `default` is shortest first, for a job that is predicted. */
static void set_default(void)
{
    struct role_change change = {.name = mem_strdup(ROLE_DEFAULT),
                                 .given = ROLE_HAS_ORDER};
    struct command c = {.kind = COMMAND_ROLE_SET};
    struct buffer packed = {0};

    change.spec.order = ROLE_SJF;
    role_change_pack(&change, &packed);
    c.role_set.change = buffer_view(&packed);
    ck_done(fsm_run(&f, &c), 0);
    buffer_finish(&packed);
    role_change_finish(&change);
}

/* Failures in each state, a history with lost time, and jobs that are expected to take as long as
 * it says, or their max_runtime. */
static void make_third(void)
{
    fsm_setup(&f);
    f.version = 2;
    ck_done(fsm_register(&f, 'a', 8), 1);
    ck_done(fsm_register(&f, 'b', 8), 2);
    set_default();
    for (uint64_t i = 1; i <= 3; i++) {
        submit_named(i == 1 ? "one" : i == 2 ? "two" : "three", i == 1 ? 60000 : 0, i);
        ck_done(fsm_place(&f, i, 0, 1), 1);
        ck_done(fsm_update(&f, 1, i, TASK_RUNNING), 1);
        f.now_us += 90000000;
        ck_done(fsm_update(&f, 1, i, TASK_FINISHED), 1);
    }
    submit_named("four", 0, 4);
    ck_done(fsm_place(&f, 4, 0, 1), 1);
    ck_done(fsm_update(&f, 1, 4, TASK_RUNNING), 1);
    ck_done(fsm_submit(&f, "fails", 2), 5);
    ck_done(fsm_place(&f, 5, 0, 2), 1);
    ck_done(fsm_place(&f, 5, 1, 2), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_done(fsm_update(&f, 2, 5, TASK_LOST), 1);
    ck_done(fsm_place(&f, 5, 0, 2), 1);
    ck_done(fsm_update(&f, 2, 7, TASK_KILLED), 1);
    ck_done(fsm_place(&f, 5, 0, 2), 1);
    ck_done(fsm_update(&f, 2, 8, TASK_RUNNING), 1);
    ck_done(fsm_update(&f, 2, 6, TASK_FAILED), 1);
    fsm_snapshot(f.state, &snapshot);
}

static struct result
submit_kind(const char *key, const char *role, enum job_kind kind, bool gang)
{
    struct buffer bytes = {0};
    struct job_spec spec;
    struct result r;

    job_spec_init(&spec);
    spec.name = mem_strdup("kind");
    spec.instances = gang ? 2 : 1;
    spec.kind = kind;
    spec.gang = gang;
    spec.resources.amount[RESOURCE_CPUS] = 1000;
    job_spec_set_role(&spec, role);
    job_spec_add_arg(&spec, "/bin/true");
    job_spec_complete(&spec);
    job_spec_pack(&spec, &bytes);
    job_spec_finish(&spec);
    r = fsm_submit_spec(&f, key, buffer_view(&bytes));
    buffer_finish(&bytes);
    return r;
}

static void set_prod(void)
{
    struct role_change change = {.name = mem_strdup("prod"),
                                 .given = ROLE_HAS_PRIORITY | ROLE_HAS_ALPHA |
                                          ROLE_HAS_BALANCE | ROLE_HAS_RESERVE |
                                          ROLE_HAS_PREEMPT};
    struct command c = {.kind = COMMAND_ROLE_SET};
    struct buffer packed = {0};

    change.spec.priority = 5;
    change.spec.alpha = 700;
    change.spec.balance = BALANCE_SPREAD;
    change.spec.reserve_ms = 60000;
    change.spec.preempt = 9;
    role_change_pack(&change, &packed);
    c.role_set.change = buffer_view(&packed);
    ck_done(fsm_run(&f, &c), 0);
    buffer_finish(&packed);
    role_change_finish(&change);
}

/* A role with all that it may say, a gang, a system job, an attempt that is preempted, and what plans
 * rest on. */
static void make_fourth(void)
{
    uint64_t victim = 1;
    struct command c = {.kind = COMMAND_PREEMPT,
                        .preempt = {.agent = 1, .victims = &victim, .count = 1}};

    fsm_setup(&f);
    f.version = 3;
    ck_done(fsm_register(&f, 'a', 2), 1);
    ck_done(fsm_register(&f, 'b', 4), 2);
    set_prod();
    ck_done(fsm_submit(&f, "victim", 2), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_place(&f, 1, 1, 1), 1);
    ck_done(submit_kind("taker", "prod", JOB_BATCH, false), 2);
    c.preempt.job = 2;
    ck_done(fsm_run(&f, &c), 1);
    ck_done(submit_kind("gang", "prod", JOB_BATCH, true), 3);
    ck_done(
        fsm_place_all(&f, (const struct placement[]){{3, 0, 1, 2}, {3, 1, 1, 2}}, 2),
        2);
    ck_done(submit_kind("system", ROLE_DEFAULT, JOB_SYSTEM, false), 4);
    ck_done(fsm_place_all(&f, &(const struct placement){4, 0, 0, 2}, 1), 1);
    fsm_snapshot(f.state, &snapshot);
}

/* A role that rebalances, and an attempt that moves. */
static void make_fifth(void)
{
    struct role_change change = {
        .name = "web", .given = ROLE_HAS_REBALANCE, .spec = {.rebalance = 6}};
    struct command c = {.kind = COMMAND_ROLE_SET};
    struct buffer packed = {0};

    fsm_setup(&f);
    f.version = 3;
    ck_done(fsm_register_able(&f, 'a', 2, AGENT_FEATURE_JOBS_2), 1);
    ck_done(fsm_register_able(&f, 'b', 4, AGENT_FEATURE_JOBS_2), 2);
    role_change_pack(&change, &packed);
    c.role_set.change = buffer_view(&packed);
    ck_done(fsm_run(&f, &c), 0);
    buffer_finish(&packed);
    ck_done(submit_kind("web", "web", JOB_SERVICE, false), 1);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    c = (struct command){.kind = COMMAND_MOVE, .move = {.attempt = 1, .agent = 2}};
    ck_done(fsm_run(&f, &c), 1);
    fsm_snapshot(f.state, &snapshot);
}

static const struct {
    const char *file;
    void (*make)(void);
} VERSIONS[] = {{"snapshot.v1", make_first},
                {"snapshot.v2", make_second},
                {"snapshot.v3", make_third},
                {"snapshot.v4", make_fourth},
                {"snapshot.v5", make_fifth}};

#define VERSION_COUNT (int)(sizeof(VERSIONS) / sizeof(VERSIONS[0]))

static void teardown(void)
{
    buffer_finish(&snapshot);
    buffer_finish(&golden);
    fsm_teardown(&f);
}

static FILE *open_file(const char *name, const char *mode)
{
    const char *srcdir = getenv("srcdir");
    char path[512];

    snprintf(
        path, sizeof(path), "%s/tests/golden/%s", srcdir != NULL ? srcdir : ".", name);
    return fopen(path, mode);
}

static void write_missing(const char *name)
{
    FILE *file = open_file(name, "wbx");

    if (file == NULL)
        return;
    ck_assert_uint_eq(fwrite(snapshot.data, 1, snapshot.size, file), snapshot.size);
    ck_assert_int_eq(fclose(file), 0);
}

static void read_file(const char *name)
{
    FILE *file;

    if (getenv("GOLDEN_WRITE") != NULL)
        write_missing(name);
    file = open_file(name, "rb");
    ck_assert_msg(file != NULL, "no file: is srcdir set?");
    golden.size = fread(buffer_reserve(&golden, 65536), 1, 65536, file);
    fclose(file);
}

START_TEST(the_snapshot_is_the_file)
{
    VERSIONS[_i].make();
    read_file(VERSIONS[_i].file);
    ck_same_bytes(&golden, &snapshot);
}
END_TEST

START_TEST(the_file_restores_to_the_state)
{
    struct buffer again = {0};
    struct state *s;

    VERSIONS[_i].make();
    read_file(VERSIONS[_i].file);
    s = fsm_restored(buffer_view(&golden));
    ck_assert_uint_eq(s->index, f.state->index);
    ck_assert(hash128_equal(s->digest, f.state->digest));
    fsm_snapshot(s, &again);
    ck_same_bytes(&golden, &again);
    buffer_finish(&again);
    state_destroy(s);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("snapshot");

    tcase_add_checked_fixture(c, NULL, teardown);
    tcase_add_loop_test(c, the_snapshot_is_the_file, 0, VERSION_COUNT);
    tcase_add_loop_test(c, the_file_restores_to_the_state, 0, VERSION_COUNT);
    return unit_run("golden_snapshot", &c, 1);
}
