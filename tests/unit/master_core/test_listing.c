/* Listings: pages, and what they may cost the loop. */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "base/limits.h"
#include "base/mem.h"
#include "raft_fsm/state.h"

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

/* Reads that are ready together are answered some in each turn. */
START_TEST(test_many_reads_at_once)
{
    enum { JOBS = 400, READS = 100 };
    struct rig rig;
    unsigned answers;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    for (unsigned i = 0; i < JOBS; i++)
        rig_submit(&rig, CLIENT, 1);
    answers = rig.answers;
    for (unsigned i = 0; i < READS; i++)
        rig_list(&rig, CLIENT, METHOD_JOBS, (struct list_request){0});
    ck_assert_uint_eq(rig.answers, answers);
    rig.largest_step = 0;
    rig_settle(&rig);
    ck_assert_uint_eq(rig.answers, answers + READS);
    ck_assert_uint_gt(rig.largest_step, LIMIT_FRAME_BYTES / 8);
    ck_assert_uint_lt(rig.largest_step, LIMIT_FRAME_BYTES);
    rig_finish(&rig);
}
END_TEST

/* Nobody waits for the answer any more. */
START_TEST(test_closed_before_the_answer)
{
    struct rig rig;
    unsigned answers;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    answers = rig.answers;
    rig_list(&rig, CLIENT, METHOD_JOBS, (struct list_request){0});
    rig_close(&rig, CLIENT);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.answers, answers);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("master listings",
          unit_case("pages",
                    test_pages_of_jobs,
                    test_pages_of_tasks,
                    test_addresses_of_a_task,
                    test_what_is_in_use_of_an_agent),
          unit_case("reads", test_many_reads_at_once, test_closed_before_the_answer))
