/* Listings: pages, and what they may cost the loop. */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "base/limits.h"
#include "base/mem.h"
#include "raft_fsm/state.h"
#include "wire/message_failure.h"

#include <string.h>

enum { CLIENT = 1 };

/* All elements, page by page, each one behind the last. */
static unsigned count_jobs(struct rig *rig, uint32_t limit)
{
    struct list_request request = {.limit = limit};
    struct list_result page;
    struct job_summary job = {0};
    unsigned count = 0;

    do {
        struct command_cursor at = {0};

        rig_list(rig, CLIENT, METHOD_JOBS, request);
        rig_settle(rig);
        ck_assert_int_eq(
            list_result_unpack(&page, METHOD_JOBS, rig->answer.params, NULL), 0);
        ck_assert_uint_gt(page.count, 0);
        ck_assert(limit == 0 || page.count <= limit);
        while (job_summary_next(&page, &at, &job)) {
            ck_assert_uint_eq(job.id, ++count);
            ck_assert_uint_eq(job.name.size, 3);
        }
        request.after = page.next;
    } while (page.next != 0);
    return count;
}

START_TEST(test_pages_of_jobs)
{
    enum { JOBS = 2500 };
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    for (unsigned i = 0; i < JOBS; i++)
        rig_submit(&rig, CLIENT, 1);
    ck_assert_uint_eq(count_jobs(&rig, 0), JOBS);
    ck_assert_uint_eq(count_jobs(&rig, 7), JOBS);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_pages_of_tasks)
{
    enum { TASKS = 10000 };
    struct list_request request = {.of = 1};
    struct list_result page;
    struct task_info task;
    struct rig rig;
    unsigned count = 0;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    ck_assert_uint_eq(rig_submit(&rig, CLIENT, TASKS), request.of);
    do {
        struct command_cursor at = {0};

        rig_list(&rig, CLIENT, METHOD_TASKS, request);
        rig_settle(&rig);
        ck_assert_int_eq(
            list_result_unpack(&page, METHOD_TASKS, rig.answer.params, NULL), 0);
        while (task_info_next(&page, &at, &task))
            ck_assert_uint_eq(task.instance, count++);
        request.after = page.next;
    } while (page.next != 0);
    ck_assert_uint_eq(count, TASKS);
    rig_finish(&rig);
}
END_TEST

/* A client talks to the agent of a task itself (joint 14, spec 11). */
START_TEST(test_addresses_of_a_task)
{
    struct list_result page;
    struct task_info task;
    struct command_cursor at = {0};
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    rig_open(&rig, 2, HELLO_AGENT);
    rig.http_port = 5051;
    rig_register(&rig, 2, 0, 1);
    rig_submit(&rig, CLIENT, 1);
    rig_settle(&rig);
    rig_list(&rig, CLIENT, METHOD_TASKS, (struct list_request){.of = 1});
    rig_settle(&rig);
    ck_assert_int_eq(list_result_unpack(&page, METHOD_TASKS, rig.answer.params, NULL),
                     0);
    ck_assert(task_info_next(&page, &at, &task));
    ck_assert_uint_eq(task.agent_id, 1);
    ck_assert_int_eq(memcmp(task.agent_http.data, "127.0.0.1:5051", 14), 0);
    ck_assert_int_eq(memcmp(task.agent_rpc.data, "127.0.0.1:5052", 14), 0);
    rig_finish(&rig);
}
END_TEST

static void submit_with_extras(struct rig *rig, uint32_t ports, uint64_t licences)
{
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup("job");
    spec.resources.amount[RESOURCE_CPUS] = 1;
    spec.ports.count = ports;
    custom_resources_add(&spec.custom, "licence", licences);
    job_spec_add_arg(&spec, "run");
    rig_submit_spec(rig, CLIENT, &spec);
    rig_settle(rig);
}

static void list_agent(struct rig *rig, struct agent_info *out)
{
    struct list_result page;
    struct command_cursor at = {0};

    rig_list(rig, CLIENT, METHOD_AGENTS, (struct list_request){0});
    rig_settle(rig);
    ck_assert_int_eq(list_result_unpack(&page, METHOD_AGENTS, rig->answer.params, NULL),
                     0);
    ck_assert(agent_info_next(&page, &at, out));
}

START_TEST(test_what_is_in_use_of_an_agent)
{
    struct agent_info agent;
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    rig_open(&rig, 2, HELLO_AGENT);
    rig_register(&rig, 2, 0, 1);
    list_agent(&rig, &agent);
    ck_assert_uint_eq(agent.range_count + agent.custom_count, 0);
    submit_with_extras(&rig, 2, 1500);
    submit_with_extras(&rig, 1, 500);
    submit_with_extras(&rig, 3, 500);
    rig_report(&rig, 2, 1, 2, TASK_FINISHED);
    list_agent(&rig, &agent);
    ck_assert_uint_eq(agent.range_count, 2);
    ck_assert_uint_eq(agent.ports[0].first, 31000);
    ck_assert_uint_eq(agent.ports[0].last, 31001);
    ck_assert_uint_eq(agent.ports[1].first, 31003);
    ck_assert_uint_eq(agent.ports[1].last, 31005);
    ck_assert_uint_eq(agent.custom_count, 1);
    ck_assert_int_eq(memcmp(agent.custom[0].name.data, "licence", 7), 0);
    ck_assert_uint_eq(agent.custom[0].amount, 2000);
    rig_finish(&rig);
}
END_TEST

/* Ids of the failures that are listed, in pages of so many. */
static unsigned list_failures(struct rig *rig, struct list_request q, uint64_t ids[8])
{
    struct list_result page;
    struct failure_info f;
    unsigned count = 0;

    do {
        struct command_cursor at = {0};

        rig_list(rig, CLIENT, METHOD_FAILURES, q);
        rig_settle(rig);
        ck_assert_int_eq(
            list_result_unpack(&page, METHOD_FAILURES, rig->answer.params, NULL), 0);
        ck_assert(q.limit == 0 || page.count <= q.limit);
        while (failure_info_next(&page, &at, &f)) {
            ck_assert_uint_lt(count, 8);
            ids[count++] = f.id;
        }
        ck_assert(page.next == 0 || page.next > q.after);
        q.after = page.next;
    } while (page.next != 0);
    return count;
}

static void report(struct rig *rig, uint64_t attempt, enum task_state state)
{
    rig_report(rig, 2, 1, attempt, state);
    rig_settle(rig);
}

/* Of two jobs on one agent tasks are lost by turns: the newest is the first. */
START_TEST(test_failures_in_pages_and_by_what_is_asked)
{
    struct failure_type unknown = {false, TASK_REASON_NONE};
    struct list_request q = {.limit = 1};
    uint64_t ids[8];
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    rig_open(&rig, 2, HELLO_AGENT);
    rig_register(&rig, 2, 0, 1);
    ck_assert_uint_eq(list_failures(&rig, q, ids), 0);
    for (unsigned job = 1; job <= 3; job++) {
        rig_submit(&rig, CLIENT, 1);
        rig_settle(&rig);
        report(&rig, job, TASK_FAILED);
    }
    for (q.limit = 0; q.limit < 5; q.limit++) {
        ck_assert_uint_eq(list_failures(&rig, q, ids), 3);
        ck_assert(ids[0] == 3 && ids[1] == 2 && ids[2] == 1);
    }
    ck_assert_uint_eq(list_failures(&rig, (struct list_request){.of = 2}, ids), 1);
    ck_assert_uint_eq(ids[0], 2);
    ck_assert_uint_eq(list_failures(&rig, (struct list_request){.agent = 1}, ids), 3);
    ck_assert_uint_eq(list_failures(&rig, (struct list_request){.agent = 2}, ids), 0);
    q = (struct list_request){.type = failure_type_number(unknown)};
    ck_assert_uint_eq(list_failures(&rig, q, ids), 3);
    unknown.of_agent = true;
    q.type = failure_type_number(unknown);
    ck_assert_uint_eq(list_failures(&rig, q, ids), 0);
    q = (struct list_request){.since_us = UINT64_MAX};
    ck_assert_uint_eq(list_failures(&rig, q, ids), 0);
    q = (struct list_request){.after = UINT64_MAX}; /* nobody says so */
    ck_assert_uint_eq(list_failures(&rig, q, ids), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_sums_of_failures)
{
    struct failure_sum_info sum;
    struct command_cursor at = {0};
    struct list_result page;
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    rig_open(&rig, 2, HELLO_AGENT);
    rig_register(&rig, 2, 0, 1);
    rig_submit(&rig, CLIENT, 1);
    rig_settle(&rig);
    report(&rig, 1, TASK_FAILED);
    rig_list(&rig, CLIENT, METHOD_FAILURE_SUMS, (struct list_request){0});
    rig_settle(&rig);
    ck_assert_int_eq(
        list_result_unpack(&page, METHOD_FAILURE_SUMS, rig.answer.params, NULL), 0);
    ck_assert(failure_sum_info_next(&page, &at, &sum));
    ck_assert(!sum.type.of_agent && sum.type.reason == TASK_REASON_NONE);
    ck_assert_uint_eq(sum.count, 1);
    ck_assert_uint_eq(sum.open + sum.recovered, 0);
    ck_assert(!failure_sum_info_next(&page, &at, &sum));
    rig_finish(&rig);
}
END_TEST

/* A job that says nothing takes as long as its role says. */
START_TEST(test_what_is_expected_of_a_job)
{
    struct command_cursor at = {0};
    struct job_summary job;
    struct list_result page;
    struct rig rig;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    rig_submit(&rig, CLIENT, 1);
    rig_list(&rig, CLIENT, METHOD_JOBS, (struct list_request){0});
    rig_settle(&rig);
    ck_assert_int_eq(list_result_unpack(&page, METHOD_JOBS, rig.answer.params, NULL),
                     0);
    ck_assert(job_summary_next(&page, &at, &job));
    ck_assert_uint_eq(job.expected_ms, 3600000);
    ck_assert_int_eq(job.expected_from, EXPECTED_OF_ROLE);
    rig_finish(&rig);
}
END_TEST

/* ---- what they may cost the loop ---- */

static void begin(struct rig *rig, unsigned jobs)
{
    rig_init(rig, STOPS_PER_TURN);
    rig_open(rig, CLIENT, HELLO_CLIENT);
    for (unsigned i = 0; i < jobs; i++)
        rig_submit(rig, CLIENT, 1);
}

static void take_page(struct rig *rig, enum method method, struct list_result *page)
{
    ck_assert_uint_eq(rig->answer.id, rig->last_rpc);
    ck_assert_int_eq(list_result_unpack(page, method, rig->answer.params, NULL), 0);
}

static unsigned turns_to_answer(struct rig *rig)
{
    unsigned answers = rig->answers, turns = 0;

    for (; rig->answers == answers; turns++) {
        ck_assert(turns == 0 || rig->again);
        rig_turn(rig);
    }
    return turns;
}

/* Reads that are ready together are answered a part in each turn. */
START_TEST(test_many_reads_at_once)
{
    enum { PARTS = 4, JOBS = PARTS * LIMIT_LISTED_ELEMENTS, READS = 100 };
    struct rig rig;

    begin(&rig, JOBS);
    for (unsigned i = 0; i < READS; i++)
        rig_list(&rig, CLIENT, METHOD_JOBS, (struct list_request){.stale = i % 2 == 0});
    for (unsigned i = 0; i < READS; i++)
        ck_assert_uint_eq(turns_to_answer(&rig), PARTS);
    ck_assert(!rig.again);
    rig_finish(&rig);
}
END_TEST

/* A few large elements are as much as many small ones; very small answers share a turn. */
START_TEST(test_parts_by_bytes)
{
    enum { JOBS = 3 };
    struct rig rig;
    unsigned answers;

    begin(&rig, 0);
    for (unsigned i = 0; i < JOBS; i++)
        rig_submit_large(&rig, CLIENT, 1, LIMIT_ARGV_ENV_BYTES / 2);
    for (unsigned i = 1; i <= JOBS; i++)
        rig_list(&rig, CLIENT, METHOD_SPEC, (struct list_request){.of = i});
    for (unsigned i = 1; i <= JOBS; i++)
        rig_list(&rig, CLIENT, METHOD_JOBS, (struct list_request){.of = i});
    for (unsigned i = 0; i < JOBS; i++)
        ck_assert_uint_eq(turns_to_answer(&rig), 1);
    answers = rig.answers;
    rig_turn(&rig);
    ck_assert_uint_eq(rig.answers, answers + JOBS);
    rig_finish(&rig);
}
END_TEST

/* A page that is being made has what it began with, and may have more. */
START_TEST(test_state_goes_on_under_a_page)
{
    enum { JOBS = 2 * LIMIT_LISTED_ELEMENTS };
    struct list_result page;
    struct rig rig;
    uint64_t index;

    begin(&rig, JOBS);
    rig_list(&rig, CLIENT, METHOD_JOBS, (struct list_request){0});
    index = master_state(rig.core)->index;
    rig_turn(&rig);
    rig_send_submit(&rig, CLIENT, 1, 4);
    rig_settle(&rig);
    rig.last_rpc--;
    take_page(&rig, METHOD_JOBS, &page);
    ck_assert_uint_eq(page.index, index);
    ck_assert_uint_eq(page.count, JOBS + 1);
    ck_assert_uint_eq(page.next, 0);
    rig_finish(&rig);
}
END_TEST

/* The job whose tasks are listed is no more when half of them are. */
START_TEST(test_purged_under_a_page)
{
    struct rig rig;
    unsigned answers;

    begin(&rig, 0);
    rig_submit(&rig, CLIENT, 2 * LIMIT_LISTED_ELEMENTS);
    rig_list(&rig, CLIENT, METHOD_TASKS, (struct list_request){.of = 1});
    answers = rig.answers;
    rig_turn(&rig);
    rig_kill(&rig, CLIENT, 1);
    rig_purge(&rig, CLIENT, 1);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.answers, answers + 3);
    ck_assert_uint_eq(rig.answer.id, rig.last_rpc - 2);
    ck_assert_int_eq(rig.answer.code, ERROR_NOT_FOUND);
    rig_finish(&rig);
}
END_TEST

/* While a command is on its way to the log, parts come by time and not by turn. */
START_TEST(test_commands_go_first)
{
    enum { PARTS = 3 };
    struct rig rig;
    unsigned answers;

    begin(&rig, PARTS * LIMIT_LISTED_ELEMENTS);
    rig.slow_disk = true;
    rig_send_submit(&rig, CLIENT, 1, 4);
    rig_turn(&rig);
    rig_list(&rig, CLIENT, METHOD_JOBS, (struct list_request){0});
    answers = rig.answers;
    for (unsigned part = 1; part < PARTS; part++) {
        for (unsigned turn = 0; turn < 10; turn++) {
            rig_turn(&rig);
            ck_assert(!rig.again);
        }
        ck_assert_uint_eq(rig.answers, answers);
        ck_assert_uint_le(rig.deadline_ms, rig.now_ms + LIMIT_LISTED_PAUSE_MS);
        rig.now_ms = rig.deadline_ms;
    }
    rig_turn(&rig);
    ck_assert_uint_eq(rig.answers, answers + 1);
    ck_assert_uint_eq(rig.answer.id, rig.last_rpc);
    rig_disk(&rig);
    ck_assert_uint_eq(rig.answers, answers + 2);
    rig_finish(&rig);
}
END_TEST

static void close_before_the_answer(unsigned turns)
{
    struct rig rig;
    unsigned answers;

    begin(&rig, 2 * LIMIT_LISTED_ELEMENTS);
    answers = rig.answers;
    rig_list(&rig, CLIENT, METHOD_JOBS, (struct list_request){0});
    while (turns-- > 0)
        rig_turn(&rig);
    rig_close(&rig, CLIENT);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.answers, answers);
    rig_finish(&rig);
}

/* Nobody waits for the answer any more. */
START_TEST(test_closed_before_the_answer)
{
    close_before_the_answer(0);
    close_before_the_answer(1); /* a part of it is made */
}
END_TEST

UNIT_MAIN("master listings",
          unit_case("pages",
                    test_pages_of_jobs,
                    test_pages_of_tasks,
                    test_addresses_of_a_task,
                    test_what_is_in_use_of_an_agent,
                    test_failures_in_pages_and_by_what_is_asked,
                    test_sums_of_failures,
                    test_what_is_expected_of_a_job),
          unit_case("parts",
                    test_many_reads_at_once,
                    test_parts_by_bytes,
                    test_state_goes_on_under_a_page,
                    test_purged_under_a_page,
                    test_commands_go_first,
                    test_closed_before_the_answer))
