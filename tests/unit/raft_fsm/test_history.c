/* test_history.c - docs/spec/13: how long runs took, and what is expected of the next ones. */
#include "base/mem.h"
#include "base/text.h"
#include "raft_fsm/state_edit.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

#include <stdio.h>
#include <string.h>

#define SECOND_US 1000000ull

static struct fsm f;
static uint64_t jobs; /* that were submitted */

static void setup(void)
{
    jobs = 0;
    fsm_setup(&f);
    ck_done(fsm_register_able(&f, 'a', 1000, AGENT_FEATURE_JOBS_2), 1);
}

static void teardown(void)
{
    fsm_teardown(&f);
}

/* The next job of that name, with what it says of its time. */
static struct job *submit(const char *name,
                          const char *role,
                          uint64_t estimate_ms,
                          uint64_t max_runtime_ms)
{
    struct buffer bytes = {0};
    struct job_spec spec;
    char key[32];

    job_spec_init(&spec);
    spec.name = mem_strdup(name);
    spec.instances = 2;
    spec.resources.amount[RESOURCE_CPUS] = 1;
    job_spec_add_arg(&spec, "/bin/true");
    if (role != NULL)
        spec.role = mem_strdup(role);
    spec.estimate_ms = estimate_ms;
    spec.max_runtime_ms = max_runtime_ms;
    job_spec_pack(&spec, &bytes);
    job_spec_finish(&spec);
    snprintf(key, sizeof(key), "key %u", (unsigned)++jobs);
    ck_done(fsm_submit_spec(&f, key, buffer_view(&bytes)), jobs);
    buffer_finish(&bytes);
    return state_job(f.state, jobs);
}

/* Its first task, or the next attempt of that, is placed and runs for so long. */
static void run(const struct job *j, unsigned seconds, enum task_state end)
{
    uint64_t attempt = f.state->globals.last_attempt_id + 1;

    ck_done(fsm_place(&f, j->id, 0, 1), 1);
    f.now_us += 5 * SECOND_US; /* it gets ready, which does not count */
    ck_done(fsm_update(&f, 1, attempt, TASK_RUNNING), 1);
    f.now_us += seconds * SECOND_US - 1000;
    ck_done(fsm_update(&f, 1, attempt, end), 1);
}

static const struct history *history(const char *name)
{
    return state_history(f.state, ROLE_DEFAULT, text_view(name));
}

START_TEST(test_a_prediction_is_p75_and_what_was_lost)
{
    static const unsigned SECONDS[] = {56, 40, 64, 48};
    struct job *last;

    for (int i = 0; i < 4; i++)
        run(submit("nightly", NULL, 0, 0), SECONDS[i], TASK_FINISHED);
    last = submit("nightly", NULL, 0, 0);
    run(last, 20, TASK_LOST);
    run(last, 1000, TASK_FINISHED);
    ck_assert_uint_eq(history("nightly")->runs, 5);
    ck_assert_uint_eq(history_predict_ms(history("nightly")), 67379);
    ck_assert_uint_eq(submit("nightly", NULL, 0, 0)->expected_ms, 67379);
    ck_assert_ptr_null(history("other"));
}
END_TEST

START_TEST(test_it_needs_three_runs)
{
    for (int i = 0; i < 3; i++) {
        struct job *j = submit("young", NULL, 0, 0);

        ck_assert_int_eq(j->expected_from, EXPECTED_OF_ROLE);
        ck_assert_uint_eq(j->expected_ms, 0);
        run(j, 10, TASK_FINISHED);
    }
    ck_assert_int_eq(submit("young", NULL, 0, 0)->expected_from, EXPECTED_OF_HISTORY);
}
END_TEST

START_TEST(test_old_runs_are_forgotten)
{
    for (int i = 0; i < HISTORY_RUNS; i++)
        run(submit("faster", NULL, 0, 0), 1000, TASK_FINISHED);
    ck_assert_uint_eq(history_predict_ms(history("faster")), 1015808);
    for (int i = 0; i < HISTORY_RUNS; i++)
        run(submit("faster", NULL, 0, 0), 1, TASK_FINISHED);
    ck_assert_uint_eq(history("faster")->runs, HISTORY_RUNS);
    ck_assert_uint_eq(history_predict_ms(history("faster")), 992);
}
END_TEST

/* What ends a task is not lost on the way to another one that finishes. */
START_TEST(test_what_ended_its_task_is_not_lost)
{
    for (int i = 0; i < 3; i++)
        run(submit("red", NULL, 0, 0), 16, TASK_FINISHED);
    run(submit("red", NULL, 0, 0), 1000, TASK_FAILED);
    ck_assert_uint_eq(history("red")->lost_ms, 0);
    run(submit("red", NULL, 0, 0), 9, TASK_LOST);
    ck_assert_uint_eq(history("red")->lost_ms, 9000);
    ck_assert_uint_eq(history_predict_ms(history("red")),
                      history_time(history_code(16000)) + 3000);
}
END_TEST

START_TEST(test_where_an_expectation_is_from)
{
    struct job *j;

    for (int i = 0; i < 3; i++)
        run(submit("known", NULL, 0, 0), 8, TASK_FINISHED);
    j = submit("known", NULL, 5000, 7000);
    ck_assert_int_eq(j->expected_from, EXPECTED_OF_JOB);
    ck_assert_uint_eq(j->expected_ms, 5000);
    j = submit("known", NULL, 0, 7000);
    ck_assert_int_eq(j->expected_from, EXPECTED_OF_HISTORY);
    ck_assert_uint_eq(j->expected_ms, history_time(history_code(8000)));
    j = submit("unknown", NULL, 0, 7000);
    ck_assert_int_eq(j->expected_from, EXPECTED_OF_MAX_RUNTIME);
    ck_assert_uint_eq(j->expected_ms, 7000);
    j = submit("unknown", NULL, 0, 0);
    ck_assert_int_eq(j->expected_from, EXPECTED_OF_ROLE);
    f.version = 1; /* knew of none of it */
    ck_assert_int_eq(submit("known", NULL, 0, 7000)->expected_from, EXPECTED_OF_ROLE);
}
END_TEST

static void set_role(const char *name, enum role_order order)
{
    struct role_change change = {.name = mem_strdup(name), .given = ROLE_HAS_ORDER};
    struct command c = {.kind = COMMAND_ROLE_SET};
    struct buffer packed = {0};

    change.spec.order = order;
    role_change_pack(&change, &packed);
    c.role_set.change = buffer_view(&packed);
    ck_done(fsm_run(&f, &c), 0);
    buffer_finish(&packed);
    role_change_finish(&change);
}

/* What is expected of a job that waits stays, unless its rank moves anyway. */
START_TEST(test_only_what_is_left_is_predicted_again)
{
    struct job *fixed, *moving, *said;

    set_role("long", ROLE_SJF);
    set_role("left", ROLE_SRTF);
    fixed = submit("array", "long", 0, 0);
    moving = submit("array", "left", 0, 0);
    said = submit("array", "left", 77000, 0);
    for (int i = 0; i < 2; i++) {
        run(submit("array", "long", 0, 0), 10, TASK_FINISHED);
        run(submit("array", "left", 0, 0), 10, TASK_FINISHED);
    }
    ck_assert_int_eq(moving->expected_from, EXPECTED_OF_ROLE);
    run(fixed, 10, TASK_FINISHED);
    run(moving, 10, TASK_FINISHED);
    run(said, 10, TASK_FINISHED);
    ck_assert_int_eq(fixed->expected_from, EXPECTED_OF_ROLE);
    ck_assert_int_eq(moving->expected_from, EXPECTED_OF_HISTORY);
    ck_assert_uint_eq(moving->expected_ms, history_time(history_code(10000)));
    ck_assert_uint_eq(said->expected_ms, 77000);
}
END_TEST

/* ---- as many as may be ---- */

/* A job of that name is submitted and finishes, without a look at the whole state. */
static void finish_one(const char *name)
{
    struct buffer bytes = {0};
    char key[32];
    struct placement p = {.job = ++jobs, .attempt = 1, .agent = 1};
    struct task_update u = {.attempt = f.state->globals.last_attempt_id + 1,
                            .state = TASK_FINISHED};
    struct command c[] = {
        {.kind = COMMAND_SUBMIT},
        {.kind = COMMAND_PLACE, .place = {.placements = &p, .count = 1}},
        {.kind = COMMAND_TASK_UPDATE,
         .task_update = {.agent = 1, .updates = &u, .count = 1}},
    };

    snprintf(key, sizeof(key), "key %u", (unsigned)jobs);
    job_bytes(&bytes, name, 1, 1);
    c[0].submit.key = text_view(key);
    c[0].submit.spec = buffer_view(&bytes);
    ck_done(fsm_entry_fast(&f, c, 3), 1);
    buffer_finish(&bytes);
}

/* Puts histories in by hand, up to so many: as many jobs through the decoder would only take time.
 * They were used one after the other. */
static void fill(const char *name, uint32_t count, unsigned runs)
{
    state_edit(f.state, object_globals(f.state));
    f.state->globals.last_stamp_us = f.now_us += count * 1000ull;
    state_edited(f.state, object_globals(f.state));
    for (uint32_t id = (uint32_t)f.state->history_count; id < count; id++) {
        char text[32];
        struct history *h;

        snprintf(text, sizeof(text), "%s %u", name, (unsigned)id);
        h = history_create(ROLE_DEFAULT, text_view(text));
        h->id = id;
        h->used_us = f.now_us - (count - id) * 1000ull;
        for (unsigned i = 0; i < runs; i++)
            history_finished(h, 1000);
        state_add(f.state, object_history(h));
    }
    state_check(f.state);
}

START_TEST(test_the_one_goes_that_was_not_used_for_longest)
{
    struct buffer bytes = {0};
    struct state *copy;
    uint32_t id;

    finish_one("first");
    finish_one("second");
    fill("once", LIMIT_HISTORIES, 1);
    id = history("second")->id;
    f.now_us += 100 * SECOND_US;
    finish_one("first"); /* so `second` is the one */
    finish_one("third");
    state_check(f.state);
    ck_assert_uint_eq(f.state->history_count, LIMIT_HISTORIES);
    ck_assert_ptr_null(history("second"));
    ck_assert_ptr_nonnull(history("first"));
    ck_assert_uint_eq(history("third")->id, id);
    fsm_snapshot(f.state, &bytes);
    copy = fsm_restored(buffer_view(&bytes));
    ck_assert(hash128_equal(copy->digest, f.state->digest));
    ck_assert_uint_eq(state_history_oldest(copy)->id,
                      state_history_oldest(f.state)->id);
    state_destroy(copy);
    buffer_finish(&bytes);
}
END_TEST

#define YOUNG (LIMIT_HISTORIES / 4)

static const struct history *numbered(const char *name, unsigned number)
{
    char text[32];

    snprintf(text, sizeof(text), "%s %u", name, number);
    return history(text);
}

/* What is known goes, the oldest first, until a quarter is young; then the young ones go. */
START_TEST(test_names_that_come_once_leave_what_is_known)
{
    char name[32];

    fill("known", LIMIT_HISTORIES, HISTORY_NEEDS);
    for (unsigned i = 0; i < YOUNG + 100; i++) {
        snprintf(name, sizeof(name), "once %u", i);
        finish_one(name);
    }
    state_check(f.state);
    ck_assert_uint_eq(f.state->young_histories, YOUNG + 1);
    ck_assert_ptr_null(numbered("known", 0));
    ck_assert_ptr_null(numbered("known", YOUNG));
    ck_assert_ptr_nonnull(numbered("known", YOUNG + 1));
    ck_assert_ptr_null(numbered("once", 0));
    ck_assert_ptr_nonnull(numbered("once", YOUNG + 99));
}
END_TEST

/* ---- one byte for a time ---- */

START_TEST(test_times_are_right_within_a_sixteenth)
{
    uint8_t last = 0;

    for (uint64_t ms = 0; ms < 100000000; ms += ms / 100 + 1) {
        uint8_t code = history_code(ms);
        uint64_t back = history_time(code);
        uint64_t wrong = back > ms ? back - ms : ms - back;

        ck_assert_uint_ge(code, last);
        ck_assert_uint_le(wrong * 16, ms);
        ck_assert_uint_eq(history_code(back), code);
        last = code;
    }
    ck_assert_uint_eq(history_code(LIMIT_JOB_TIME_MS), UINT8_MAX);
    ck_assert_uint_eq(history_code(UINT64_MAX), UINT8_MAX);
}
END_TEST

int main(void)
{
    TCase *cases[] = {
        unit_case("history",
                  test_a_prediction_is_p75_and_what_was_lost,
                  test_it_needs_three_runs,
                  test_old_runs_are_forgotten,
                  test_what_ended_its_task_is_not_lost,
                  test_where_an_expectation_is_from,
                  test_only_what_is_left_is_predicted_again,
                  test_the_one_goes_that_was_not_used_for_longest,
                  test_names_that_come_once_leave_what_is_known),
        unit_case("times", test_times_are_right_within_a_sixteenth),
    };

    tcase_add_checked_fixture(cases[0], setup, teardown);
    return unit_run("history", cases, 2);
}
