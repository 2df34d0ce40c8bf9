/* test_kinds.c - docs/spec/14-kinds.md: services, jobs that wait for others, and schedules. */
#include "base/mem.h"
#include "base/text.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

#include <stdio.h>

#define SECOND_US 1000000ull

static struct fsm f;

static void setup(void)
{
    fsm_setup(&f);
    ck_done(fsm_register_able(&f, 'a', 64, AGENT_FEATURE_JOBS_2), 1);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

static void init(struct job_spec *spec)
{
    job_spec_init(spec);
    spec->name = mem_strdup("a job");
    job_spec_add_arg(spec, "/bin/true");
}

static struct result submit_after(const char *key, int64_t job, enum job_on on)
{
    struct job_spec spec;

    init(&spec);
    job_spec_add_after(&spec, (struct job_after){job, on});
    return fsm_submit_job(&f, key, &spec);
}

/* Job n waits for what afters[n] names; 0: nothing. */
static struct result
submit_all(const char *key, const struct job_after *afters, size_t count)
{
    struct command c = {.kind = COMMAND_SUBMIT_ALL, .submit.key = text_view(key)};
    struct job_spec specs[8];
    struct buffer packed = {0};
    struct result r;

    for (size_t i = 0; i < count; i++) {
        init(&specs[i]);
        if (afters[i].job != 0)
            job_spec_add_after(&specs[i], afters[i]);
    }
    job_specs_pack(specs, count, &packed);
    for (size_t i = 0; i < count; i++)
        job_spec_finish(&specs[i]);
    c.submit.spec = buffer_view(&packed);
    r = fsm_run(&f, &c);
    buffer_finish(&packed);
    return r;
}

static enum job_state state_of(uint64_t job)
{
    return job_state(state_job(f.state, job));
}

static uint32_t pending(uint64_t job)
{
    return job_pending(state_job(f.state, job));
}

/* Its one task is placed and ends so. */
static void run(uint64_t job, enum task_state end)
{
    ck_done(fsm_place(&f, job, 0, 1), 1);
    ck_done(fsm_update(&f, 1, f.state->globals.last_attempt_id, end), 1);
}

/* What was snapshot is the same again, and goes on the same. */
static void check_restored(void)
{
    struct buffer before = {0}, after = {0};
    struct state *restored;

    fsm_snapshot(f.state, &before);
    restored = fsm_restored(buffer_view(&before));
    fsm_snapshot(restored, &after);
    ck_same_bytes(&before, &after);
    state_destroy(restored);
    buffer_finish(&before);
    buffer_finish(&after);
}

/* ---- dependencies ---- */

START_TEST(test_a_chain_with_a_branch)
{
    const struct job_after afters[] = {
        {0, 0}, {-1, JOB_ON_SUCCESS}, {-1, JOB_ON_FAILURE}, {-3, JOB_ON_ANY}};

    ck_done(submit_all("dag", afters, 4), 1);
    for (uint64_t job = 2; job <= 4; job++) {
        ck_assert_int_eq(state_of(job), JOB_PENDING);
        ck_assert_uint_eq(pending(job), 0);
        ck_done(fsm_place(&f, job, 0, 1), 0);
    }
    check_restored();
    run(1, TASK_FINISHED);
    ck_assert_uint_eq(pending(2), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 2), 1);
    ck_assert_int_eq(state_of(3), JOB_KILLED);
    ck_assert_uint_eq(state_job(f.state, 3)->links->stopped_by, 1);
    ck_assert_uint_eq(pending(4), 1);
    check_restored();
    ck_done(fsm_place(&f, 4, 0, 1), 1);
}
END_TEST

START_TEST(test_how_it_ended_counts)
{
    static const struct {
        enum task_state end; /* KILLED: the job is killed */
        enum job_on on;
        bool begins;
    } CASES[] = {{TASK_FINISHED, JOB_ON_SUCCESS, true},
                 {TASK_FINISHED, JOB_ON_FAILURE, false},
                 {TASK_FINISHED, JOB_ON_ANY, true},
                 {TASK_FAILED, JOB_ON_SUCCESS, false},
                 {TASK_FAILED, JOB_ON_FAILURE, true},
                 {TASK_FAILED, JOB_ON_ANY, true},
                 {TASK_KILLED, JOB_ON_SUCCESS, false},
                 {TASK_KILLED, JOB_ON_FAILURE, true},
                 {TASK_KILLED, JOB_ON_ANY, true}};

    for (unsigned i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char keys[3][16];
        uint64_t first = 3 * i + 1;

        for (int k = 0; k < 3; k++)
            snprintf(keys[k], sizeof(keys[k]), "%u.%d", i, k);
        ck_done(fsm_submit(&f, keys[0], 1), first);
        ck_done(submit_after(keys[1], (int64_t)first, CASES[i].on), first + 1);
        if (CASES[i].end == TASK_KILLED)
            ck_done(fsm_kill(&f, first), first);
        else
            run(first, CASES[i].end);
        ck_assert_uint_eq(pending(first + 1), CASES[i].begins);
        ck_assert_int_eq(state_of(first + 1),
                         CASES[i].begins ? JOB_PENDING : JOB_KILLED);
        /* The same of one that comes when it is over. */
        ck_done(submit_after(keys[2], (int64_t)first, CASES[i].on), first + 2);
        ck_assert_uint_eq(pending(first + 2), CASES[i].begins);
        ck_assert_int_eq(state_of(first + 2),
                         CASES[i].begins ? JOB_PENDING : JOB_KILLED);
        ck_assert_uint_eq(state_job(f.state, first + 2)->ended_us != 0,
                          !CASES[i].begins);
    }
}
END_TEST

START_TEST(test_all_of_them_count)
{
    struct job_spec spec;

    ck_done(fsm_submit(&f, "a", 1), 1);
    ck_done(fsm_submit(&f, "b", 1), 2);
    init(&spec);
    job_spec_add_after(&spec, (struct job_after){2, JOB_ON_ANY});
    job_spec_add_after(&spec, (struct job_after){1, JOB_ON_SUCCESS});
    ck_done(fsm_submit_job(&f, "c", &spec), 3);
    run(2, TASK_FAILED);
    ck_assert_uint_eq(pending(3), 0);
    ck_rejected(fsm_purge(&f, 1), ERROR_INVALID);
    run(1, TASK_FINISHED);
    ck_assert_uint_eq(pending(3), 1);
}
END_TEST

START_TEST(test_a_blocked_job_is_killed)
{
    ck_done(fsm_submit(&f, "a", 1), 1);
    ck_done(submit_after("b", 1, JOB_ON_ANY), 2);
    ck_done(submit_after("c", 2, JOB_ON_FAILURE), 3);
    ck_done(fsm_kill(&f, 2), 2);
    ck_assert_int_eq(state_of(2), JOB_KILLED);
    ck_assert_uint_eq(state_job(f.state, 2)->links->stopped_by, 0);
    ck_assert_uint_eq(pending(3), 1);
    run(1, TASK_FINISHED);
    ck_assert_int_eq(state_of(2), JOB_KILLED);
    ck_done(fsm_purge(&f, 1), 1);
}
END_TEST

START_TEST(test_what_cannot_be_waited_for)
{
    const struct job_after later[] = {{-2, JOB_ON_ANY}, {0, 0}},
                           itself[] = {{0, 0}, {-2, JOB_ON_ANY}},
                           nobody[] = {{0, 0}, {9, JOB_ON_ANY}};

    ck_rejected(submit_after("a", 1, JOB_ON_ANY), ERROR_NOT_FOUND);
    ck_rejected(submit_after("a", -1, JOB_ON_ANY), ERROR_INVALID);
    ck_changes_nothing(&f, ck_rejected(submit_all("b", later, 2), ERROR_INVALID));
    ck_rejected(submit_all("b", itself, 2), ERROR_INVALID);
    ck_changes_nothing(&f, ck_rejected(submit_all("b", nobody, 2), ERROR_NOT_FOUND));
    ck_rejected(submit_all("b", nobody, 0), ERROR_INVALID);
    ck_assert_uint_eq(f.state->job_count, 0);
    ck_done(submit_all("b", nobody, 1), 1); /* no id was used up */
}
END_TEST

START_TEST(test_a_set_has_one_key)
{
    const struct job_after afters[] = {{0, 0}, {-1, JOB_ON_SUCCESS}, {0, 0}};

    ck_done(submit_all("set", afters, 2), 1);
    ck_assert_uint_eq(f.state->job_count, 2);
    ck_done(submit_all("set", afters, 2), 1);
    ck_rejected(submit_all("set", afters, 3), ERROR_CONFLICT);
    ck_rejected(fsm_submit(&f, "set", 1), ERROR_CONFLICT);
    ck_assert_uint_eq(f.state->job_count, 2);
    run(1, TASK_FINISHED);
    ck_done(fsm_purge(&f, 1), 1);
    ck_done(submit_all("set", afters, 2), 1); /* from the tombstone */
    ck_rejected(submit_all("set", afters, 3), ERROR_CONFLICT);
    ck_done(submit_all("other", afters, 2), 3);
    check_restored();
}
END_TEST

/* What is kept of a spec names ids: as it would have been submitted alone. */
START_TEST(test_positions_become_ids)
{
    const struct job_after afters[] = {{0, 0}, {-1, JOB_ON_ANY}};
    struct job_spec spec;

    ck_done(fsm_submit(&f, "a", 1), 1);
    ck_done(submit_all("set", afters, 2), 2);
    ck_assert_int_eq(job_spec_unpack(&spec, state_job(f.state, 3)->spec, NULL), 0);
    ck_assert_uint_eq(spec.after_count, 1);
    ck_assert_int_eq(spec.after[0].job, 2);
    job_spec_finish(&spec);
}
END_TEST

/* A key of the masters cannot be had by a client. */
START_TEST(test_keys_of_masters_are_refused)
{
    struct bytes key = {(const uint8_t *)MASTERS_KEY "12345678abcd", 20};
    struct command c = {.kind = COMMAND_SUBMIT, .submit.key = key};
    struct buffer spec = {0};

    job_bytes(&spec, "a job", 1, 1);
    c.submit.spec = buffer_view(&spec);
    ck_rejected(fsm_run(&f, &c), ERROR_INVALID);
    buffer_finish(&spec);
}
END_TEST

/* One job with many behind it: some are told in each entry, and none is forgotten. */
START_TEST(test_many_are_told_in_slices)
{
    enum { MANY = LIMIT_RELEASES + 10 };
    struct command release = {.kind = COMMAND_RELEASE};
    uint32_t told;

    ck_done(fsm_submit(&f, "a", 1), 1);
    for (uint64_t i = 2; i < 2 + MANY; i++) {
        struct command c = {.kind = COMMAND_SUBMIT};
        struct job_spec spec;
        struct buffer packed = {0};
        char key[16];

        init(&spec);
        job_spec_add_after(&spec, (struct job_after){1, JOB_ON_SUCCESS});
        job_spec_pack(&spec, &packed);
        job_spec_finish(&spec);
        snprintf(key, sizeof(key), "%u", (unsigned)i);
        c.submit.key = text_view(key);
        c.submit.spec = buffer_view(&packed);
        ck_done(fsm_entry_fast(&f, &c, 1), i);
        buffer_finish(&packed);
    }
    run(1, TASK_FINISHED);
    ck_assert_uint_ge(f.work, LIMIT_RELEASES);
    ck_assert_uint_eq(pending(1 + LIMIT_RELEASES), 1);
    ck_assert_uint_eq(pending(2 + LIMIT_RELEASES), 0);
    ck_assert(!RB_EMPTY(&f.state->ending));
    ck_rejected(fsm_purge(&f, 1), ERROR_BUSY); /* and its entry told the rest */
    ck_assert(RB_EMPTY(&f.state->ending));
    told = 0;
    for (uint64_t i = 2; i < 2 + MANY; i++)
        told += pending(i);
    ck_assert_uint_eq(told, MANY);
    ck_done(fsm_run(&f, &release), 0);
    ck_done(fsm_purge(&f, 1), 1);
}
END_TEST

/* ---- services ---- */

static void submit_service(uint32_t attempts)
{
    struct job_spec spec;

    init(&spec);
    spec.kind = JOB_SERVICE;
    spec.reschedule = (struct job_retry){attempts, 600000, 1000, 60000};
    ck_done(fsm_submit_job(&f, "service", &spec), 1);
}

START_TEST(test_a_service_goes_on)
{
    submit_service(JOB_UNLIMITED);
    for (uint32_t n = 1; n <= 3; n++) {
        const struct task *t;

        run(1, n == 2 ? TASK_FAILED : TASK_FINISHED);
        t = job_task(state_job(f.state, 1), 0);
        ck_assert_int_eq(t->state, TASK_PENDING);
        ck_assert(task_waits(t));
        ck_assert_uint_eq(t->extras->retry_us,
                          f.state->globals.last_stamp_us + (SECOND_US << (n - 1)));
        ck_assert_int_eq(state_of(1), JOB_RUNNING);
        check_restored();
        ck_done(fsm_retry(&f, 1, 0, n), 1);
    }
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_kill(&f, 1), 1);
    ck_done(fsm_update(&f, 1, 4, TASK_FINISHED), 1);
    ck_assert(job_state_is_final(state_of(1)));
}
END_TEST

START_TEST(test_a_service_with_a_limit_ends)
{
    submit_service(1);
    run(1, TASK_FINISHED);
    ck_done(fsm_retry(&f, 1, 0, 1), 1);
    run(1, TASK_FINISHED);
    ck_assert_int_eq(state_of(1), JOB_COMPLETE);
}
END_TEST

/* ---- schedules ---- */

static void submit_template(enum job_overlap overlap)
{
    struct job_spec spec;

    init(&spec);
    spec.instances = 3;
    spec.schedule =
        (struct job_schedule){.cron = mem_strdup("@hourly"), .overlap = overlap};
    ck_done(fsm_submit_job(&f, "template", &spec), 1);
}

static struct result fire(uint64_t slot_us, uint64_t missed, bool make)
{
    return fsm_run(
        &f,
        &(struct command){.kind = COMMAND_FIRE, .fire = {1, slot_us, missed, make}});
}

static const struct job_template *template(void)
{
    return state_job(f.state, 1)->made;
}

#define SLOT_US(n) (START_US + (n)*HOUR_US)

START_TEST(test_a_slot_makes_a_job)
{
    const struct job *child;
    struct job_spec spec;

    submit_template(OVERLAP_ALLOW);
    ck_assert_int_eq(state_of(1), JOB_PENDING);
    ck_assert_uint_eq(pending(1), 0);
    ck_assert_uint_eq(f.state->task_count, 0);
    ck_done(fsm_place(&f, 1, 0, 1), 0);
    ck_done(fire(SLOT_US(1), 0, true), 2);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 1), 1);
    ck_assert_uint_eq(fsm_effects(&f, EFFECT_JOB, 2), 1);
    child = state_job(f.state, 2);
    ck_assert_uint_eq(pending(2), 3);
    ck_assert_uint_eq(child->links->parent, 1);
    ck_assert_int_eq(job_spec_unpack(&spec, child->spec, NULL), 0);
    ck_assert(!job_is_template(&spec));
    ck_assert_str_eq(spec.name, "a job");
    ck_assert_uint_eq(spec.env_count, 1);
    ck_assert_str_eq(spec.env[0], "SCHEDULED_AT=2023-11-14T23:13:20Z");
    job_spec_finish(&spec);
    ck_assert_uint_eq(template()->fired, 1);
    ck_assert_uint_eq(template()->child, 2);
    check_restored();
    ck_done(fsm_kill(&f, 1), 1);
    ck_assert_int_eq(state_of(1), JOB_KILLED);
    ck_rejected(fire(SLOT_US(2), 0, true), ERROR_INVALID);
    ck_assert_int_eq(state_of(2), JOB_PENDING);
    ck_done(fsm_kill(&f, 2), 2);
    ck_done(fsm_purge(&f, 2), 2);
    ck_assert_uint_eq(f.state->tombstone_count, 0); /* nobody can send its key */
    ck_done(fsm_purge(&f, 1), 1);
    ck_assert_uint_eq(f.state->tombstone_count, 1);
    check_restored();
}
END_TEST

/* Each is one that has a schedule; other jobs that come with them take no room of theirs. */
static struct result submit_some(const char *key, const bool *scheduled, size_t count)
{
    struct command c = {.kind = COMMAND_SUBMIT_ALL, .submit.key = text_view(key)};
    struct job_spec specs[8];
    struct buffer packed = {0};
    struct result r;

    for (size_t i = 0; i < count; i++) {
        init(&specs[i]);
        if (scheduled[i])
            specs[i].schedule.cron = mem_strdup("@hourly");
    }
    job_specs_pack(specs, count, &packed);
    for (size_t i = 0; i < count; i++)
        job_spec_finish(&specs[i]);
    c.submit.spec = buffer_view(&packed);
    r = fsm_entry_fast(&f, &c, 1);
    buffer_finish(&packed);
    return r;
}

START_TEST(test_the_limit_of_schedules)
{
    f.state->template_count += LIMIT_SCHEDULES - 2;
    ck_rejected(submit_some("a", (bool[]){true, false, true, true}, 4), ERROR_BUSY);
    ck_done(submit_some("b", (bool[]){false, false, true, true}, 4), 1);
    ck_rejected(submit_some("c", (bool[]){true}, 1), ERROR_BUSY);
    ck_done(
        fsm_entry_fast(&f, &(struct command){.kind = COMMAND_KILL, .kill.job = 3}, 1),
        3);
    ck_done(submit_some("c", (bool[]){true}, 1), 5);
    f.state->template_count -= LIMIT_SCHEDULES - 2;
    state_check(f.state);
}
END_TEST

START_TEST(test_a_slot_is_decided_once)
{
    submit_template(OVERLAP_ALLOW);
    ck_rejected(fire(START_US - 1, 0, true), ERROR_INVALID);
    ck_done(fire(SLOT_US(5), 2, true), 2);
    ck_changes_nothing(&f, ck_rejected(fire(SLOT_US(5), 0, true), ERROR_INVALID));
    ck_rejected(fire(SLOT_US(4), 0, true), ERROR_INVALID);
    ck_done(fire(SLOT_US(6), 1, false), 0);
    ck_rejected(fire(SLOT_US(6), 0, true), ERROR_INVALID);
    ck_assert_uint_eq(template()->missed, 3);
    ck_assert_uint_eq(template()->fired, 1);
    ck_assert_uint_eq(f.state->job_count, 2);
    ck_done(fsm_submit(&f, "plain", 1), 3);
    ck_rejected(fsm_run(&f,
                        &(struct command){.kind = COMMAND_FIRE,
                                          .fire = {3, SLOT_US(9), 0, true}}),
                ERROR_INVALID);
}
END_TEST

START_TEST(test_the_last_job_still_runs)
{
    submit_template(OVERLAP_FORBID);
    ck_done(fire(SLOT_US(1), 0, true), 2);
    ck_done(fire(SLOT_US(2), 0, true), 0);
    ck_assert_uint_eq(template()->skipped, 1);
    ck_done(fsm_kill(&f, 2), 2);
    ck_done(fire(SLOT_US(3), 0, true), 3);
    ck_assert_uint_eq(template()->fired, 2);
}
END_TEST

START_TEST(test_the_last_job_is_replaced)
{
    submit_template(OVERLAP_REPLACE);
    ck_done(fire(SLOT_US(1), 0, true), 2);
    ck_done(fire(SLOT_US(2), 0, true), 3);
    ck_assert_int_eq(state_of(2), JOB_KILLED);
    ck_assert_int_eq(state_of(3), JOB_PENDING);
}
END_TEST

/* Who was killed before stays killed then, while it still ends. */
START_TEST(test_a_killed_job_is_replaced)
{
    uint64_t killed;

    submit_template(OVERLAP_REPLACE);
    ck_done(fire(SLOT_US(1), 0, true), 2);
    ck_done(fsm_place(&f, 2, 0, 1), 1);
    ck_done(fsm_kill(&f, 2), 2);
    killed = f.state->index;
    ck_done(fire(SLOT_US(2), 0, true), 3);
    ck_assert_uint_eq(state_job(f.state, 2)->kill_index, killed);
    ck_assert_uint_eq(fsm_kill(&f, 2).index, killed);
}
END_TEST

/* With room for exactly what it gets: the slot, or the values. */
START_TEST(test_what_is_made_of_the_largest_is_valid)
{
    struct job_spec spec;
    char text[32];

    for (int dispatched = 0; dispatched < 2; dispatched++) {
        init(&spec);
        if (dispatched)
            job_spec_add_parameter(&spec, "A", NULL);
        else
            spec.schedule.cron = mem_strdup("@hourly");
        for (int i = 0; i < LIMIT_ARGS - 1; i++) {
            snprintf(text, sizeof(text), "V%04d=", i);
            job_spec_add_env(&spec, text);
        }
        ck_assert_int_eq(job_spec_check(&spec, NULL), 0);
        job_spec_add_env(&spec, "W=");
        ck_assert_int_eq(job_spec_check(&spec, NULL), -ERROR_TOO_LARGE);
        mem_free(spec.env[--spec.env_count]);
        spec.env[spec.env_count] = NULL;
        if (dispatched)
            ck_assert_int_eq(
                job_spec_with(&spec, (const char *const[]){"A=1"}, 1, NULL), 0);
        else
            job_spec_at_slot(&spec, SLOT_US(1));
        ck_assert_uint_eq(spec.env_count, LIMIT_ARGS);
        ck_assert_int_eq(job_spec_check(&spec, NULL), 0);
        job_spec_finish(&spec);
    }
}
END_TEST

/* ---- parameters ---- */

static struct result
dispatch(const char *key, uint64_t job, const char *a, const char *b)
{
    const char *const values[] = {a, b};
    struct command c = {.kind = COMMAND_DISPATCH};
    struct buffer packed = {0};
    struct result r;

    texts_pack(values, (size_t)(a != NULL) + (b != NULL), &packed);
    c.dispatch.key = text_view(key);
    c.dispatch.job = job;
    c.dispatch.values = buffer_view(&packed);
    c.dispatch.owner = text_view("ann");
    r = fsm_run(&f, &c);
    buffer_finish(&packed);
    return r;
}

static void submit_parameterised(void)
{
    struct job_spec spec;

    init(&spec);
    job_spec_add_env(&spec, "C=3");
    job_spec_add_parameter(&spec, "FILE", NULL);
    job_spec_add_parameter(&spec, "LEVEL", "1");
    ck_done(fsm_submit_job(&f, "template", &spec), 1);
}

START_TEST(test_a_job_is_made_with_values)
{
    struct job_spec spec;
    const struct job *child;

    submit_parameterised();
    ck_assert_int_eq(state_of(1), JOB_PENDING);
    ck_done(fsm_place(&f, 1, 0, 1), 0);
    ck_done(dispatch("a", 1, "FILE=x=y", NULL), 2);
    child = state_job(f.state, 2);
    ck_assert_uint_eq(child->links->parent, 1);
    ck_assert_str_eq(child->owner->name, "ann");
    ck_assert_int_eq(job_spec_unpack(&spec, child->spec, NULL), 0);
    ck_assert_uint_eq(spec.env_count, 3);
    ck_assert_str_eq(spec.env[0], "C=3");
    ck_assert_str_eq(spec.env[1], "FILE=x=y");
    ck_assert_str_eq(spec.env[2], "LEVEL=1");
    ck_assert(!job_is_template(&spec));
    job_spec_finish(&spec);
    ck_assert_uint_eq(pending(2), 1);
    ck_done(dispatch("b", 1, "LEVEL=", "FILE=z"), 3);
    ck_assert_uint_eq(state_job(f.state, 1)->made->fired, 2);
    check_restored();
}
END_TEST

START_TEST(test_a_dispatch_has_a_key)
{
    submit_parameterised();
    ck_done(dispatch("a", 1, "FILE=x", NULL), 2);
    ck_done(dispatch("a", 1, "FILE=x", NULL), 2);
    ck_rejected(dispatch("a", 1, "FILE=y", NULL), ERROR_CONFLICT);
    run(2, TASK_FINISHED);
    ck_done(fsm_purge(&f, 2), 2);
    ck_done(dispatch("a", 1, "FILE=x", NULL), 2);
    ck_rejected(dispatch("a", 1, "FILE=y", NULL), ERROR_CONFLICT);
    ck_rejected(dispatch("template", 1, "FILE=y", NULL), ERROR_CONFLICT);
}
END_TEST

START_TEST(test_what_cannot_be_dispatched)
{
    submit_parameterised();
    ck_done(fsm_submit(&f, "plain", 1), 2);
    ck_rejected(dispatch("a", 2, "FILE=x", NULL), ERROR_INVALID);
    ck_rejected(dispatch("a", 9, "FILE=x", NULL), ERROR_NOT_FOUND);
    ck_changes_nothing(&f, ck_rejected(dispatch("a", 1, NULL, NULL), ERROR_INVALID));
    ck_rejected(dispatch("a", 1, "FILE=x", "FILE=y"), ERROR_INVALID);
    ck_rejected(dispatch("a", 1, "FILE=x", "C=4"), ERROR_INVALID);
    ck_rejected(dispatch("a", 1, "FILE", NULL), ERROR_INVALID);
    ck_rejected(fire(SLOT_US(1), 0, true), ERROR_INVALID);
    ck_done(fsm_kill(&f, 1), 1);
    ck_rejected(dispatch("a", 1, "FILE=x", NULL), ERROR_INVALID);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("kinds",
                         test_a_chain_with_a_branch,
                         test_how_it_ended_counts,
                         test_all_of_them_count,
                         test_a_blocked_job_is_killed,
                         test_what_cannot_be_waited_for,
                         test_a_set_has_one_key,
                         test_positions_become_ids,
                         test_keys_of_masters_are_refused,
                         test_many_are_told_in_slices,
                         test_a_service_goes_on,
                         test_a_service_with_a_limit_ends,
                         test_a_slot_makes_a_job,
                         test_the_limit_of_schedules,
                         test_a_slot_is_decided_once,
                         test_the_last_job_still_runs,
                         test_the_last_job_is_replaced,
                         test_a_killed_job_is_replaced,
                         test_what_is_made_of_the_largest_is_valid,
                         test_a_job_is_made_with_values,
                         test_a_dispatch_has_a_key,
                         test_what_cannot_be_dispatched);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("kinds", &c, 1);
}
