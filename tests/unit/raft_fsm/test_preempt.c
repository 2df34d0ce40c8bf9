/* test_preempt.c - docs/spec/15-preemption.md: what applying checks, and what becomes of those
 * who make room. */
#include "base/mem.h"
#include "base/text.h"
#include "raft_fsm/preempt.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"
#include "wire/role.h"

#include <string.h>

static struct fsm f;

static struct result set(const char *name, uint32_t given, struct role_spec spec)
{
    struct role_change c = {.name = (char *)name, .given = given, .spec = spec};
    struct buffer packed = {0};
    struct result r;

    role_change_pack(&c, &packed);
    r = fsm_run(&f,
                &(struct command){.kind = COMMAND_ROLE_SET,
                                  .role_set = {buffer_view(&packed)}});
    buffer_finish(&packed);
    return r;
}

static struct role_bound cpus(uint64_t whole)
{
    return (struct role_bound){{{whole * 1000}}, 1u << RESOURCE_CPUS, {0}};
}

/* One job of some tasks. */
struct wanted {
    const char *key, *role;
    uint32_t instances;
    uint64_t cpus;
    int32_t priority;
    uint64_t estimate_ms;
};

static uint64_t submit(struct wanted w)
{
    struct job_spec spec;
    struct buffer packed = {0};
    struct result r;

    job_spec_init(&spec);
    spec.name = mem_strdup("a job");
    spec.instances = w.instances;
    spec.role = mem_strdup(w.role);
    spec.priority = w.priority;
    spec.estimate_ms = w.estimate_ms;
    spec.resources.amount[RESOURCE_CPUS] = w.cpus * 1000;
    spec.resources.amount[RESOURCE_MEM] = MIB;
    job_spec_add_arg(&spec, "true");
    job_spec_pack(&spec, &packed);
    job_spec_finish(&spec);
    r = fsm_submit_spec(&f, w.key, buffer_view(&packed));
    buffer_finish(&packed);
    ck_assert_int_eq(r.code, ERROR_NONE);
    return r.id;
}

static struct result
preempt(uint64_t job, uint64_t agent, const uint64_t *victims, uint32_t count)
{
    return fsm_run(&f,
                   &(struct command){.kind = COMMAND_PREEMPT,
                                     .preempt = {.job = job,
                                                 .agent = agent,
                                                 .victims = victims,
                                                 .count = count}});
}

static struct result preempt_one(uint64_t job, uint64_t victim)
{
    return preempt(job, 1, &victim, 1);
}

#define ck_refused(call, code) ck_changes_nothing(&f, ck_rejected(call, code))

/* Agent 1 of 4 cpus, full: job 1 of `batch` has two tasks of 2 cpus, attempts 1 and 2.  Job 2
 * of `prod` waits with two like them.  Agent 2 has one cpu. */
static void setup(void)
{
    fsm_setup(&f);
    ck_done(fsm_register_able(&f, 'a', 4, AGENT_FEATURE_JOBS_2), 1);
    ck_done(fsm_register_able(&f, 'b', 1, AGENT_FEATURE_JOBS_2), 2);
    ck_done(set("batch", 0, (struct role_spec){0}), 0);
    ck_done(set("prod",
                ROLE_HAS_PRIORITY | ROLE_HAS_PREEMPT,
                (struct role_spec){.priority = 1, .preempt = 10}),
            0);
    submit((struct wanted){"low", "batch", 2, 2, 0, 0});
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_place(&f, 1, 1, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    submit((struct wanted){"high", "prod", 2, 2, 0, 0});
}

static void teardown(void)
{
    fsm_teardown(&f);
}

static const struct task *task(uint64_t job, uint32_t instance)
{
    return job_task(state_job(f.state, job), instance);
}

static uint64_t ending(const char *name)
{
    return (uint64_t)state_role(f.state, name)->ending.amount[RESOURCE_CPUS];
}

/* ---- what becomes of it ---- */

START_TEST(test_a_victim_is_told_to_end_and_waits_again)
{
    ck_done(preempt_one(2, 1), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_KILL, 1), 1);
    ck_assert_int_eq(state_attempt(f.state, 1)->stop, TASK_REASON_PREEMPTED);
    ck_assert_uint_eq(state_attempt(f.state, 1)->stop_for, 2);
    ck_assert_int_eq(task(1, 0)->state, TASK_RUNNING);
    ck_assert_uint_eq(ending("batch"), 2000);
    ck_done(fsm_place(&f, 2, 0, 1), 0); /* not before it has ended */
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_assert_int_eq(task(1, 0)->state, TASK_PENDING);
    ck_assert(!task_waits(task(1, 0)));
    ck_assert_int_eq(task(1, 0)->reason, TASK_REASON_PREEMPTED);
    ck_assert_str_eq(task(1, 0)->message, "preempted for job 2");
    ck_assert_uint_eq(ending("batch"), 0);
    ck_done(fsm_place(&f, 2, 0, 1), 1);
}
END_TEST

START_TEST(test_it_is_a_failure_that_is_well_when_it_runs_again)
{
    const struct failure *failure;
    char type[FAILURE_TYPE_MAX];

    ck_done(preempt_one(2, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    failure = state_failure(f.state, 1);
    failure_type_name(type, (struct failure_type){false, failure->reason});
    ck_assert_str_eq(type, "preempted");
    ck_assert_int_eq(failure->deed, FAILURE_RESTARTED);
    ck_assert_int_eq(failure->state, FAILURE_IS_OPEN);
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_update(&f, 1, 3, TASK_RUNNING), 1);
    ck_assert_int_eq(state_failure(f.state, 1)->state, FAILURE_IS_RECOVERED);
}
END_TEST

START_TEST(test_what_ended_by_itself_has_ended)
{
    ck_done(preempt_one(2, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_FINISHED), 1);
    ck_assert_int_eq(task(1, 0)->state, TASK_FINISHED);
    ck_assert_uint_eq(ending("batch"), 0);
}
END_TEST

START_TEST(test_an_agent_that_is_lost_meanwhile)
{
    ck_done(preempt_one(2, 1), 1);
    ck_done(fsm_unreachable(&f, 1), 1);
    ck_assert_int_eq(task(1, 0)->state, TASK_PENDING);
    ck_assert_uint_eq(ending("batch"), 4000);
    ck_done(fsm_reregister(&f, 1, 'a', 4), 1);
    ck_assert(attempt_is_to_end(state_attempt(f.state, 1)));
    ck_assert(!attempt_is_to_end(state_attempt(f.state, 2))); /* reclaimed */
    ck_assert_uint_eq(ending("batch"), 2000);
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_assert_uint_eq(ending("batch"), 0);
}
END_TEST

START_TEST(test_it_is_in_snapshots)
{
    struct buffer before = {0}, after = {0};
    struct state *s;

    ck_done(preempt_one(2, 1), 1);
    fsm_snapshot(f.state, &before);
    s = fsm_restored(buffer_view(&before));
    ck_assert_uint_eq(state_attempt(s, 1)->stop_for, 2);
    ck_assert_uint_eq((uint64_t)state_role(s, "batch")->ending.amount[0], 2000);
    ck_assert_uint_eq(state_role(s, "prod")->spec.preempt, 10);
    fsm_snapshot(s, &after);
    ck_same_bytes(&before, &after);
    buffer_finish(&before);
    buffer_finish(&after);
    state_destroy(s);
}
END_TEST

/* ---- need ---- */

START_TEST(test_nobody_is_taken_who_is_not_needed)
{
    ck_refused(preempt(2, 1, (uint64_t[]){1, 2}, 2), ERROR_CONFLICT);
    ck_done(preempt_one(2, 1), 1);
    ck_refused(preempt_one(2, 2), ERROR_CONFLICT); /* what ends suffices */
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_refused(preempt_one(2, 2), ERROR_CONFLICT); /* there is room */
    ck_done(fsm_place(&f, 2, 0, 1), 1);
    ck_done(preempt_one(2, 2), 1);
}
END_TEST

START_TEST(test_who_does_not_suffice_is_not_taken)
{
    submit((struct wanted){"large", "prod", 1, 4, 0, 0});
    ck_refused(preempt_one(3, 1), ERROR_CONFLICT);
    ck_done(preempt(3, 1, (uint64_t[]){1, 2}, 2), 2);
}
END_TEST

START_TEST(test_what_is_named_must_be_there)
{
    ck_refused(preempt_one(9, 1), ERROR_NOT_FOUND);
    ck_refused(preempt(2, 9, (uint64_t[]){1}, 1), ERROR_NOT_FOUND);
    ck_refused(preempt(2, 2, (uint64_t[]){1}, 1), ERROR_CONFLICT);
    ck_refused(preempt_one(2, 9), ERROR_CONFLICT);
    ck_refused(preempt(2, 1, (uint64_t[]){1, 1}, 2), ERROR_CONFLICT);
    ck_done(fsm_mode(&f, 1, AGENT_CORDONED, 0), 1);
    ck_refused(preempt_one(2, 1), ERROR_INVALID);
    ck_done(fsm_mode(&f, 1, AGENT_NORMAL, 0), 1);
    ck_done(fsm_kill(&f, 2), 2);
    ck_refused(preempt_one(2, 1), ERROR_INVALID);
}
END_TEST

START_TEST(test_who_is_to_end_is_not_taken_again)
{
    submit((struct wanted){"large", "prod", 1, 4, 0, 0});
    ck_done(preempt_one(2, 1), 1);
    ck_refused(preempt(3, 1, (uint64_t[]){1, 2}, 2), ERROR_CONFLICT);
    ck_done(preempt_one(3, 2), 1);
}
END_TEST

/* ---- rights ---- */

START_TEST(test_a_role_needs_preempt_and_a_higher_priority)
{
    ck_done(set("prod", ROLE_HAS_PREEMPT, (struct role_spec){0}), 0);
    ck_refused(preempt_one(2, 1), ERROR_CONFLICT);
    ck_done(set("prod",
                ROLE_HAS_PREEMPT | ROLE_HAS_PRIORITY,
                (struct role_spec){.preempt = 1, .priority = 0}),
            0);
    ck_refused(preempt_one(2, 1), ERROR_CONFLICT);
}
END_TEST

START_TEST(test_a_minimum_is_taken_back)
{
    ck_done(set("prod",
                ROLE_HAS_MIN | ROLE_HAS_PRIORITY,
                (struct role_spec){.min = cpus(2), .priority = -5}),
            0);
    ck_done(preempt_one(2, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_done(fsm_place(&f, 2, 0, 1), 1);
    ck_refused(preempt_one(2, 2), ERROR_CONFLICT); /* it has its minimum */
    submit((struct wanted){"back", "batch", 1, 2, 0, 0});
    ck_done(set("batch",
                ROLE_HAS_MIN | ROLE_HAS_PREEMPT,
                (struct role_spec){.min = cpus(3), .preempt = 1}),
            0);
    ck_refused(preempt_one(3, 3), ERROR_CONFLICT); /* and keeps it */
}
END_TEST

START_TEST(test_a_role_keeps_its_minimum)
{
    ck_done(set("batch", ROLE_HAS_MIN, (struct role_spec){.min = cpus(3)}), 0);
    ck_refused(preempt_one(2, 1), ERROR_CONFLICT);
    ck_done(set("batch", ROLE_HAS_MIN, (struct role_spec){.min = cpus(2)}), 0);
    ck_done(preempt_one(2, 1), 1);
    submit((struct wanted){"large", "prod", 1, 4, 0, 0});
    ck_refused(preempt_one(3, 2), ERROR_CONFLICT); /* what ends does not count */
}
END_TEST

START_TEST(test_victims_are_counted_together)
{
    submit((struct wanted){"large", "prod", 1, 4, 0, 0});
    ck_done(set("batch", ROLE_HAS_MIN, (struct role_spec){.min = cpus(2)}), 0);
    ck_refused(preempt(3, 1, (uint64_t[]){1, 2}, 2), ERROR_CONFLICT);
}
END_TEST

START_TEST(test_a_killed_job_keeps_no_minimum)
{
    submit((struct wanted){"large", "prod", 1, 3, 0, 0});
    ck_done(set("batch", ROLE_HAS_MIN, (struct role_spec){.min = cpus(2)}), 0);
    ck_done(fsm_kill(&f, 1), 1);
    ck_assert_uint_eq(ending("batch"), 4000);
    ck_refused(preempt_one(3, 1), ERROR_CONFLICT);
}
END_TEST

START_TEST(test_within_a_role_priorities_are_ten_points_apart)
{
    submit((struct wanted){"nine", "batch", 1, 2, 9, 0});
    submit((struct wanted){"ten", "batch", 1, 2, 10, 0});
    ck_done(set("batch",
                ROLE_HAS_PREEMPT | ROLE_HAS_MIN,
                (struct role_spec){.preempt = 1, .min = cpus(4)}),
            0);
    ck_refused(preempt_one(3, 1), ERROR_CONFLICT);
    ck_done(preempt_one(4, 1), 1); /* its minimum stays its own */
    ck_done(set("batch", ROLE_HAS_ORDER, (struct role_spec){.order = ROLE_FCFS}), 0);
    ck_refused(preempt_one(4, 2), ERROR_CONFLICT);
}
END_TEST

/* v is expected to take 100 s and has run for 30: it is preempted for less than 40 s of work. */
START_TEST(test_the_sum_of_completion_times_falls)
{
    ck_done(set("srtf",
                ROLE_HAS_ORDER | ROLE_HAS_PREEMPT,
                (struct role_spec){.order = ROLE_SRTF, .preempt = 1}),
            0);
    ck_done(fsm_kill(&f, 1), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_KILLED), 1);
    ck_done(fsm_update(&f, 1, 2, TASK_KILLED), 1);
    submit((struct wanted){"v", "srtf", 1, 4, 0, 100000});
    submit((struct wanted){"short", "srtf", 2, 4, 0, 19900});
    submit((struct wanted){"even", "srtf", 2, 4, 0, 20000});
    ck_done(fsm_place(&f, 3, 0, 1), 1);
    f.now_us = state_attempt(f.state, 3)->placed_us + 30000000;
    ck_refused(preempt_one(5, 3), ERROR_CONFLICT);
    ck_done(preempt_one(4, 3), 1);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("preempt",
                         test_a_victim_is_told_to_end_and_waits_again,
                         test_it_is_a_failure_that_is_well_when_it_runs_again,
                         test_what_ended_by_itself_has_ended,
                         test_an_agent_that_is_lost_meanwhile,
                         test_it_is_in_snapshots,
                         test_nobody_is_taken_who_is_not_needed,
                         test_who_does_not_suffice_is_not_taken,
                         test_what_is_named_must_be_there,
                         test_who_is_to_end_is_not_taken_again,
                         test_a_role_needs_preempt_and_a_higher_priority,
                         test_a_minimum_is_taken_back,
                         test_a_role_keeps_its_minimum,
                         test_victims_are_counted_together,
                         test_a_killed_job_keeps_no_minimum,
                         test_within_a_role_priorities_are_ten_points_apart,
                         test_the_sum_of_completion_times_falls);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("preempt", &c, 1);
}
