/* Plans: what would happen (docs/spec/16-plans.md). */
#include "base/mem.h"
#include "base/text.h"
#include "tests/lib/plan_copy.h"
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "raft_fsm/state.h"
#include "wire/match.h"
#include "wire/message_plan.h"

enum { FIRST = 1, AGENTS = 3, CLIENT = 9, CPUS = 1000 /* of an agent */ };

static struct rig rig;
static struct buffer specs;
static struct list_result list;
static struct error err;

static void setup(void)
{
    rig_init(&rig, STOPS_PER_TURN);
    for (uint64_t i = FIRST; i <= AGENTS; i++) {
        rig_open(&rig, i, HELLO_AGENT);
        ck_assert_uint_eq(rig_register(&rig, i, 0, (uint32_t)i), i);
    }
    rig_open(&rig, CLIENT, HELLO_CLIENT);
}

static void teardown(void)
{
    buffer_finish(&specs);
    rig_finish(&rig);
}

/* So many tasks of so many cpus. */
static void make_job(struct job_spec *spec, uint32_t instances, unsigned cpus)
{
    job_spec_init(spec);
    spec->name = mem_strdup("job");
    spec->instances = instances;
    spec->resources.amount[RESOURCE_CPUS] = cpus * 1000;
    job_spec_add_arg(spec, "true");
}

static uint64_t submit(uint32_t instances, unsigned cpus)
{
    struct job_spec spec;

    make_job(&spec, instances, cpus);
    return rig_submit_spec(&rig, CLIENT, &spec);
}

static void send(const struct plan_request *q)
{
    struct buffer frame = {0};

    plan_pack(q, ++rig.last_rpc, &frame);
    rig_frame(&rig, CLIENT, &frame);
    rig_settle(&rig);
}

/* As the shell does. */
static void tell(struct bytes answer)
{
    struct master_event event = {.kind = MASTER_PLANNED,
                                 .planned = {rig.plan.session, rig.plan.rpc, answer}};

    rig.plan.asked = false;
    rig_step(&rig, &event);
}

static void make_plan(void)
{
    struct buffer answer = {0};

    ck_assert(
        plan_copy(rig.core, rig.plan.rpc, buffer_view(&rig.plan.request), &answer));
    tell(buffer_view(&answer));
    buffer_finish(&answer);
}

/* Takes the jobs; the answer is in `list`, or its error in rig.answer. */
static void ask(struct job_spec *jobs,
                size_t count,
                const struct plan_removal *removals,
                uint32_t n)
{
    struct plan_request q = {.removals = removals, .removal_count = n};

    buffer_clear(&specs);
    if (count > 0)
        job_specs_pack(jobs, count, &specs);
    for (size_t i = 0; i < count; i++)
        job_spec_finish(&jobs[i]);
    q.specs = buffer_view(&specs);
    send(&q);
    ck_assert(rig.plan.asked);
    make_plan();
    ck_assert_uint_eq(rig.answer.id, rig.last_rpc);
    if (rig.answer.code == ERROR_NONE)
        ck_assert_int_eq(
            list_result_unpack(&list, METHOD_PLAN, rig.answer.params, &err), 0);
}

static void ask_one(uint32_t instances, unsigned cpus)
{
    struct job_spec spec;

    make_job(&spec, instances, cpus);
    ask(&spec, 1, NULL, 0);
    ck_assert_int_eq(rig.answer.code, ERROR_NONE);
}

static struct plan_removal agent_is(const char *id, bool is_drain)
{
    return (struct plan_removal){text_view(MATCH_AGENT), text_view(id), is_drain};
}

/* How many tasks all rows of a kind tell of. */
static uint32_t told(enum plan_row_kind kind)
{
    struct command_cursor at = {0};
    struct plan_row row;
    uint32_t count = 0;

    while (plan_row_next(&list, &at, &row))
        count += row.kind == kind ? row.count : 0;
    return count;
}

/* The `n`th row of a kind. */
static struct plan_row row_of(enum plan_row_kind kind, unsigned n)
{
    struct command_cursor at = {0};
    struct plan_row row;

    while (plan_row_next(&list, &at, &row))
        if (row.kind == kind && n-- == 0)
            return row;
    ck_abort_msg("there is no such row");
}

static void ck_says(struct bytes text, const char *words)
{
    char *said = text_copy(text);

    ck_assert_msg(strstr(said, words) != NULL, "\"%s\" has no \"%s\"", said, words);
    mem_free(said);
}

/* Nothing happens, and what is told is what happens then. */
START_TEST(test_what_is_told_is_what_happens)
{
    struct hash128 before = master_state(rig.core)->digest;
    unsigned on[AGENTS + 1] = {0};

    ask_one(4, CPUS * 2 / 5);
    ck_assert(hash128_equal(before, master_state(rig.core)->digest));
    ck_assert_uint_eq(list.index, master_state(rig.core)->index);
    ck_assert_uint_eq(told(PLAN_JOB), 4);
    ck_assert_uint_eq(told(PLAN_PLACED), 4);
    for (unsigned i = 0; i < told(PLAN_PLACED) / 2; i++)
        on[row_of(PLAN_PLACED, i).agent] += row_of(PLAN_PLACED, i).count;
    submit(4, CPUS * 2 / 5);
    for (uint64_t i = FIRST; i <= AGENTS; i++)
        ck_assert_uint_eq(state_agent(master_state(rig.core), i)->attempts_count,
                          on[i]);
}
END_TEST

START_TEST(test_what_waits_says_why)
{
    struct plan_row row;

    ask_one(5, CPUS);
    row = row_of(PLAN_WAITS, 0);
    ck_assert_uint_eq(told(PLAN_PLACED), 3);
    ck_assert_uint_eq(row.count, 2);
    ck_says(row.why, "waiting for 1000 cpus, 128 MiB: 3 agents have room");
    ask_one(1, 2 * CPUS);
    ck_says(row_of(PLAN_WAITS, 0).why, "no agent has 2000 cpus (largest: 1000)");
}
END_TEST

/* Those who waited before are placed before. */
START_TEST(test_others_have_their_turn)
{
    ck_assert_uint_eq(submit(3, CPUS), 1);
    ck_assert_uint_eq(submit(2, CPUS), 2); /* waits */
    rig_kill(&rig, CLIENT, 1);
    rig_turn(&rig);
    for (uint64_t i = 1; i <= 3; i++) /* on the agent of that number */
        rig_report(&rig, i, i, i, TASK_KILLED);
    ask_one(1, CPUS);
    ck_assert_uint_eq(told(PLAN_PLACED), 1);
    ask_one(2, CPUS);
    ck_assert_uint_eq(told(PLAN_PLACED), 1);
    ck_assert_uint_eq(told(PLAN_WAITS), 1);
}
END_TEST

/* What ends anyway is taken for ended. */
START_TEST(test_what_is_killed_makes_room)
{
    submit(3, CPUS);
    ask_one(1, CPUS);
    ck_assert_uint_eq(told(PLAN_WAITS), 1);
    rig_kill(&rig, CLIENT, 1);
    rig_turn(&rig);
    ask_one(1, CPUS);
    ck_assert_uint_eq(told(PLAN_PLACED), 1);
    ck_assert_uint_eq(told(PLAN_STOPPED), 0);
}
END_TEST

static void check_removed(bool is_drain)
{
    struct plan_removal r = agent_is("1", is_drain);
    struct plan_row row;

    ask(NULL, 0, &r, 1);
    ck_assert_int_eq(rig.answer.code, ERROR_NONE);
    row = row_of(PLAN_REMOVED, 0);
    ck_assert_uint_eq(row.agent, 1);
    ck_assert_uint_eq(row.count, 2);
    ck_says(row.host, "host");
    row = row_of(PLAN_MOVED, 0);
    ck_assert_uint_eq(row.other, 1);
    ck_assert_uint_eq(row.from, 1);
    ck_assert_uint_eq(row.agent, 3);
    ck_assert_uint_eq(told(PLAN_MOVED), 1);
    ck_assert_uint_eq(told(PLAN_STRANDED), 1);
    ck_says(row_of(PLAN_STRANDED, 0).why, "2 agents have room when their tasks end");
    ck_assert_uint_eq(told(PLAN_STOPPED), 0);
}

/* Agent 3 has room for one of its two tasks. */
START_TEST(test_tasks_of_who_is_not_there_move)
{
    submit(5, CPUS / 2);
    check_removed(false);
    check_removed(true);
}
END_TEST

START_TEST(test_nobody_has_that)
{
    struct plan_removal r = agent_is("7", false);

    ask(NULL, 0, &r, 1);
    ck_assert_int_eq(rig.answer.code, ERROR_NOT_FOUND);
    ck_says(rig.answer.text, "no agent has agent = 7");
}
END_TEST

START_TEST(test_jobs_that_masters_refuse)
{
    struct job_spec spec;

    make_job(&spec, 1, 1);
    job_spec_set_role(&spec, "night");
    ask(&spec, 1, NULL, 0);
    ck_assert_int_eq(rig.answer.code, ERROR_NOT_FOUND);
    ck_says(rig.answer.text, "no role has the name");
}
END_TEST

/* Of the same name and role, the newest that has not ended. */
START_TEST(test_one_of_this_name_runs)
{
    struct plan_row row;

    submit(2, 1);
    submit(3, 1);
    submit(1, 7);
    rig_kill(&rig, CLIENT, 3);
    rig_turn(&rig);
    ask_one(5, 2);
    row = row_of(PLAN_SAME, 0);
    ck_assert_uint_eq(row.other, 2);
    ck_assert_uint_eq(row.job, 0);
    ck_says(row.why, "instances 3 -> 5, resources.cpus 1 -> 2");
}
END_TEST

START_TEST(test_several_jobs)
{
    struct job_spec jobs[2];

    make_job(&jobs[0], 1, CPUS);
    mem_free(jobs[0].name);
    jobs[0].name = mem_strdup("extract");
    make_job(&jobs[1], 2, CPUS);
    job_spec_add_after(&jobs[1], (struct job_after){-1, JOB_ON_SUCCESS});
    ask(jobs, 2, NULL, 0);
    ck_assert_uint_eq(told(PLAN_JOB), 3);
    ck_assert_uint_eq(told(PLAN_PLACED), 1);
    ck_assert_uint_eq(row_of(PLAN_WAITS, 0).job, 1);
    ck_says(row_of(PLAN_WAITS, 0).why, "waiting for extract to complete");
}
END_TEST

static void ask_scheduled(const char *cron, const char *timezone)
{
    struct job_spec spec;

    make_job(&spec, 2, 1);
    spec.schedule.cron = mem_strdup(cron);
    spec.schedule.timezone = timezone == NULL ? NULL : mem_strdup(timezone);
    ask(&spec, 1, NULL, 0);
    ck_assert_int_eq(rig.answer.code, ERROR_NONE);
    ck_assert_uint_eq(row_of(PLAN_JOB, 0).count, 2);
    ck_assert_uint_eq(row_of(PLAN_WAITS, 0).count, 0);
}

/* Nothing of it runs itself: when jobs are made of it. */
START_TEST(test_a_schedule)
{
    ask_scheduled("30 4 * * *", NULL);
    ck_says(row_of(PLAN_WAITS, 0).why,
            "jobs are made of it at 2023-11-15T04:30:00Z, 2023-11-16T04:30:00Z, "
            "2023-11-17T04:30:00Z");
    ask_scheduled("30 4 * * *", "Europe/Berlin"); /* which nobody needed yet */
    ck_says(row_of(PLAN_WAITS, 0).why, "by the clocks of Europe/Berlin");
}
END_TEST

START_TEST(test_tasks_of_system_jobs_go_nowhere)
{
    struct plan_removal removal = agent_is("1", false);
    struct job_spec spec;

    make_job(&spec, 1, 1);
    spec.kind = JOB_SYSTEM;
    job_spec_complete(&spec);
    rig_submit_spec(&rig, CLIENT, &spec);
    ask(NULL, 0, &removal, 1);
    ck_assert_int_eq(rig.answer.code, ERROR_NONE);
    ck_assert_uint_eq(told(PLAN_STRANDED), 1);
    ck_says(row_of(PLAN_STRANDED, 0).why, "a task on each agent");
}
END_TEST

/* And one whose copy died is told so. */
START_TEST(test_one_at_a_time)
{
    struct plan_removal r = agent_is("1", false);
    struct plan_request q = {.removals = &r, .removal_count = 1};

    send(&q);
    ck_assert(rig.plan.asked);
    send(&q);
    ck_assert_uint_eq(rig.answer.id, rig.last_rpc);
    ck_assert_int_eq(rig.answer.code, ERROR_BUSY);
    tell((struct bytes){0});
    ck_assert_uint_eq(rig.answer.id, rig.last_rpc - 1);
    ck_assert_int_eq(rig.answer.code, ERROR_UNAVAILABLE);
    ask(NULL, 0, &r, 1);
    ck_assert_int_eq(rig.answer.code, ERROR_NONE);
}
END_TEST

/* Who asked may be gone by then. */
START_TEST(test_nobody_waits_any_more)
{
    struct plan_removal r = agent_is("1", false);

    send(&(struct plan_request){.removals = &r, .removal_count = 1});
    rig_close(&rig, CLIENT);
    make_plan();
    rig_open(&rig, CLIENT + 1, HELLO_CLIENT);
    ck_assert(!rig.plan.asked);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("plan",
                         test_what_is_told_is_what_happens,
                         test_what_waits_says_why,
                         test_others_have_their_turn,
                         test_what_is_killed_makes_room,
                         test_tasks_of_who_is_not_there_move,
                         test_nobody_has_that,
                         test_jobs_that_masters_refuse,
                         test_one_of_this_name_runs,
                         test_several_jobs,
                         test_a_schedule,
                         test_tasks_of_system_jobs_go_nowhere,
                         test_one_at_a_time,
                         test_nobody_waits_any_more);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("plan", &c, 1);
}
