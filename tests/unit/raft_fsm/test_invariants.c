/* test_invariants.c - state_verify() sees each thing that is put wrong by hand. */
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"

#include "raft_fsm/state_edit.h"

#include <string.h>

static struct fsm f;

static void set_role(void)
{
    struct role_change change = {
        .name = ROLE_DEFAULT, .given = ROLE_HAS_WEIGHT, .spec = {.weight = 7}};
    struct buffer packed = {0};

    role_change_pack(&change, &packed);
    ck_done(fsm_run(&f,
                    &(struct command){.kind = COMMAND_ROLE_SET,
                                      .role_set = {buffer_view(&packed)}}),
            0);
    buffer_finish(&packed);
}

/* Role default is set; agent 1 with a live attempt of job 1, agent 2 with a superseded one of
 * job 2, which is killed, and the tombstone of job 3.  Failure 1 is that of agent 2, failure 2
 * that of task 1.0, both open; task 1.3 has finished, 1.2 was never placed.  What is broken
 * afterwards cannot be freed safely, so nothing is. */
static void setup(void)
{
    fsm_setup(&f);
    ck_done(fsm_register(&f, 'a', 4), 1);
    ck_done(fsm_register(&f, 'b', 4), 2);
    ck_done(fsm_submit(&f, "first", 70), 1);
    ck_done(fsm_submit(&f, "second", 2), 2);
    ck_done(fsm_submit(&f, "third", 1), 3);
    ck_done(fsm_place(&f, 1, 1, 1), 1);
    ck_done(fsm_place(&f, 2, 0, 2), 1);
    ck_done(fsm_update(&f, 1, 1, TASK_RUNNING), 1);
    ck_done(fsm_kill(&f, 2), 2);
    ck_done(fsm_unreachable(&f, 2), 2);
    ck_done(fsm_kill(&f, 3), 3);
    ck_done(fsm_purge(&f, 3), 3);
    set_role();
    ck_done(fsm_place(&f, 1, 0, 1), 1);
    ck_done(fsm_update(&f, 1, 3, TASK_LOST), 1);
    ck_done(fsm_place(&f, 1, 3, 1), 1);
    ck_done(fsm_update(&f, 1, 4, TASK_FINISHED), 1);
}

static struct agent *agent(uint64_t id)
{
    return state_agent(f.state, id);
}

static struct job *job(uint64_t id)
{
    return state_job(f.state, id);
}

static struct task *live_task(void)
{
    return job_task(job(1), 1);
}

static struct attempt *live(void)
{
    return state_attempt(f.state, 1);
}

static struct attempt *superseded(void)
{
    return state_attempt(f.state, 2);
}

static struct role *role(void)
{
    return state_role(f.state, ROLE_DEFAULT);
}

static struct failure *failure(uint64_t id)
{
    return state_failure(f.state, id);
}

static struct history *history(void)
{
    return f.state->histories[0];
}

static struct tombstone *tombstone(void)
{
    return state_tombstone(f.state, (struct bytes){(const uint8_t *)"third", 5});
}

/* clang-format off */
/* What is put wrong, and a word that must be said. */
#define BREAKS(X)                                                  \
    X(f.state->globals.founded = false, "founded")                 \
    X(f.state->globals.changed = f.state->index + 1, "future")     \
    X(f.state->globals.last_stamp_us = UINT64_MAX, "future")       \
    X(f.state->globals.last_job_id = UINT64_MAX, "ids")            \
    X(f.state->globals.last_attempt_id = 0, "ids")                 \
    X(f.state->task_count += 1, "counted")                         \
    X(f.state->job_count += 1, "counted")                          \
    X(f.state->tombstone_count -= 1, "counted")                    \
    X(f.state->tasks_by_state[TASK_RUNNING] += 1, "by state")      \
    X(f.state->jobs_by_state[JOB_RUNNING] += 1, "by state")        \
    X(f.state->agents_by_state[AGENT_ACTIVE] += 1, "by state")     \
    X(f.state->digest.high ^= 1, "digest")                         \
    X(f.state->failures.open[0][0] += 1, "open failures")          \
    X(f.state->failures.sums[0][0].count += 1, "sums")             \
    X(f.state->failures.sums[0][0].recovered = 1, "sums")          \
    X(failure(1)->state = FAILURE_IS_OVER, "open failures")        \
    X(failure(1)->deed = FAILURE_RETRIED, "of none")               \
    X(failure(2)->recovered_us = 1, "stamps")                      \
    X(failure(2)->down_us += 1, "stamps")                          \
    X(failure(2)->agent = 3, "no agent")                           \
    X(failure(2)->deed = FAILURE_ENDED, "not over")                \
    X(failure(2)->exit_code = 1, "digest")                         \
    X(job_task(job(1), 0)->extras->failure = 0, "does not have")   \
    X(task_extras(live_task())->failure = 2, "its open one")       \
    X(job(1)->open_failures->all = 2, "open failures")             \
    X(history()->runs = 0, "runs")                                 \
    X(history()->next = 2, "runs")                                 \
    X(history()->used_us = UINT64_MAX, "future")                   \
    X(history()->name[0] = 'x', "not found")                       \
    X(history()->took[0] += 1, "digest")                           \
    X(agent(1)->capacity.amount[0] += 1, "digest")                 \
    X(agent(1)->capacity.amount[0] = UINT64_MAX, "capacity")       \
    X(agent(1)->allocated.amount[0] += 1, "allocated")             \
    X(agent(1)->allocated = (struct resources){{0}}, "allocated")  \
    X(agent(1)->attempts_count += 1, "attempts")                   \
    X(agent(2)->superseded_count = 0, "superseded")                \
    X(agent(1)->state = AGENT_UNREACHABLE, "unreachable")          \
    X(agent(1)->state = AGENT_GONE, "gone")                        \
    X(agent(1)->since_us = 0, "stamps")                            \
    X(agent(1)->changed = UINT64_MAX, "changed")                   \
    X(agent(1)->mode = AGENT_DRAINING, "deadline")                 \
    X(agent(1)->drain_us = 1, "deadline")                          \
    X((agent(1)->mode = AGENT_DRAINING, agent(1)->drain_us = 1,    \
       agent(1)->drain_due = true), "drained")                     \
    X(agent(1)->mode = AGENT_CORDONED, "digest")                   \
    X(memset(agent(1)->key, 'b', 16), "key")                       \
    X(job(1)->instances = 1000001, "instances")                    \
    X(job(1)->instances -= 1, "counted")                           \
    X(job(1)->key.size = 0, "key")                                 \
    X(job(1)->resources.amount[1] += 1, "allocated")               \
    X(job(2)->resources.amount[0] += 1, "allocated")               \
    X(job(1)->changed = 0, "future")                               \
    X(job(1)->kill_index = UINT64_MAX, "killed")                   \
    X(job(2)->kill_index = 0, "final")                             \
    X(job(1)->ended_us = 1, "ended")                               \
    X(job(1)->submitted_us = UINT64_MAX, "stamps")                 \
    X(job(1)->tasks[TASK_PENDING] += 1, "counts")                  \
    X(job(1)->attempts = 0, "attempts")                            \
    X(job(1)->attempts += 1, "attempts")                           \
    X(job(1)->task_digest.low ^= 1, "digest")                      \
    X(job(1)->is_runnable = false, "queue")                        \
    X(job(1)->chunks[0].pending ^= 1, "bit")                       \
    X(job(1)->priority += 1, "digest")                             \
    X(live_task()->instance = 0, "elsewhere")                      \
    X(live_task()->state = TASK_LOST, "stored")                    \
    X(live_task()->state = TASK_STARTING, "started")               \
    X(live_task()->state = TASK_FINISHED, "stamps")                \
    X(live_task()->attempt_id = 0, "half")                         \
    X(live_task()->attempt_id = 2, "without its attempt")          \
    X(live_task()->attempt_id = 9, "range")                        \
    X(live_task()->agent_id = 2, "without its attempt")            \
    X(live_task()->started_us = 0, "started")                      \
    X(live_task()->ended_us = 1, "stamps")                         \
    X(live_task()->changed = UINT64_MAX, "changed")                \
    X(live_task()->exit_code = 1, "digest")                        \
    X(task_set_empty_message(live_task()), "message")              \
    X(job_task(job(1), 2)->state = TASK_ERROR, "never placed")     \
    X(live()->number = 2, "without its attempt")                   \
    X(live()->state = TASK_STAGING, "without its attempt")         \
    X(live()->superseded = true, "superseded")                     \
    X(live()->agent = agent(2), "two agents")                      \
    X(live()->placed_us = 0, "placed")                             \
    X(live()->stop = TASK_REASON_AGENT_DRAINED, "stopped")         \
    X(live()->stop_for = 1, "for nobody")                          \
    X(live()->stop = TASK_REASON_PREEMPTED, "for nobody")          \
    X(live()->stop = TASK_REASON_MOVED, "for nobody")              \
    X((live()->stop = TASK_REASON_MOVED, live()->stop_for = 9), "for nobody") \
    X(superseded()->state = TASK_RUNNING, "superseded")            \
    X(superseded()->number = 0, "no task")                         \
    X(superseded()->instance = 1, "no task")                       \
    X(superseded()->changed = UINT64_MAX, "changed")               \
    X(tombstone()->job_id = 2, "id")                               \
    X(tombstone()->purged_us = UINT64_MAX, "future")               \
    X(tombstone()->submit_index = 0, "future")                     \
    X(tombstone()->body.low ^= 1, "digest")                        \
    X(role()->spec.weight = 0, "weight")                           \
    X(role()->spec.weight += 1, "digest")                          \
    X(role()->changed = UINT64_MAX, "future")                      \
    X(role()->id = 1, "number")                                    \
    X(role()->open += 1, "owners")                                 \
    X(role()->use.amount[0] += 1, "owners")                        \
    X(role()->ending.amount[0] += 1, "owners")                     \
    X(job(1)->owner->use.amount[0] += 1, "owner")                  \
    X(job(1)->owner->jobs += 1, "owner")                           \
    X(f.state->capacity.amount[0] += 1, "capacity")                \
    X(role()->is_set = false, "counted")                           \
    X(f.state->role_count += 1, "counted")
/* clang-format on */

/* Neither a text nor NULL. */
static bool task_set_empty_message(struct task *t)
{
    task_set_message(t, (struct bytes){(const uint8_t *)"x", 1});
    t->message[0] = '\0';
    return true;
}

#define X(change, word) +1
enum { BREAK_COUNT = 0 BREAKS(X) };
#undef X

/* Put the i-th thing wrong; the word that must be said. */
static const char *break_one(int i)
{
    int n = 0;

#define X(change, word) \
    if (n++ == i) {     \
        (void)(change); \
        return word;    \
    }
    BREAKS(X)
#undef X
    return "";
}

START_TEST(test_what_is_put_wrong_is_seen)
{
    const char *word = break_one(_i);
    struct error err;

    ck_assert_int_eq(state_verify(f.state, &err), -ERROR_CORRUPT);
    ck_assert_msg(strstr(err.text, word) != NULL, "%s: %s", word, err.text);
}
END_TEST

START_TEST(test_nothing_is_wrong_at_first)
{
    struct error err;

    ck_assert_int_eq(state_verify(f.state, &err), 0);
}
END_TEST

START_TEST(test_check_aborts)
{
    f.state->job_count++;
    state_check(f.state);
}
END_TEST

int main(void)
{
    TCase *cases[] = {unit_case("right", test_nothing_is_wrong_at_first),
                      tcase_create("wrong"),
                      unit_case_aborts("aborts", test_check_aborts)};

    tcase_add_loop_test(cases[1], test_what_is_put_wrong_is_seen, 0, BREAK_COUNT);
    for (int i = 0; i < 3; i++)
        tcase_add_checked_fixture(cases[i], setup, NULL);
    return unit_run("invariants", cases, 3);
}
