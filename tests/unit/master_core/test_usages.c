/* What runs use: kept while we lead, for who asks. */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "base/limits.h"
#include "raft_fsm/state.h"

enum { AGENT_SESSION = 1, CLIENT_SESSION = 2, OTHER_SESSION = 3 };

static struct rig rig;

/* Three runs of agent 1, attempts 1 to 3; the last one only starts. */
static void setup(void)
{
    struct run_report runs[] = {{.attempt = 1, .state = TASK_RUNNING},
                                {.attempt = 2, .state = TASK_RUNNING},
                                {.attempt = 3, .state = TASK_STARTING}};
    struct buffer frame = {0};

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, AGENT_SESSION, HELLO_AGENT);
    rig_open(&rig, CLIENT_SESSION, HELLO_CLIENT);
    ck_assert_uint_eq(rig_register(&rig, AGENT_SESSION, 0, 1), 1);
    rig_submit(&rig, CLIENT_SESSION, 4); /* attempt 4 is not accepted yet */
    update_pack(1, runs, 3, &frame);
    rig_frame(&rig, AGENT_SESSION, &frame);
    rig_settle(&rig);
}

static void teardown(void)
{
    rig_finish(&rig);
}

static void tell(uint64_t session,
                 uint64_t agent,
                 uint32_t part,
                 uint32_t parts,
                 const struct usage_report *reports,
                 uint32_t count)
{
    struct buffer frame = {0};

    usage_pack(agent, part, parts, reports, count, &frame);
    rig_frame(&rig, session, &frame);
}

/* Attempts 1 to 3 in this order; 0: it is not known. */
static void expect(uint32_t first, uint32_t second, uint32_t third)
{
    const uint32_t expected[] = {first, second, third};
    struct command_cursor at = {0};
    struct list_result page;
    struct usage_info info;

    rig_list(&rig, CLIENT_SESSION, METHOD_USAGE, (struct list_request){0});
    rig_settle(&rig);
    ck_assert_int_eq(rig.answer.code, ERROR_NONE);
    ck_assert_int_eq(list_result_unpack(&page, METHOD_USAGE, rig.answer.params, NULL),
                     0);
    ck_assert_uint_eq(page.count, 3);
    for (uint64_t attempt = 1; usage_info_next(&page, &at, &info); attempt++) {
        ck_assert_uint_eq(info.report.attempt, attempt);
        ck_assert_uint_eq(info.known ? info.report.cpu_milli : 0,
                          expected[attempt - 1]);
        ck_assert_uint_eq(info.agent, 1);
        ck_assert_uint_eq(info.job, 1);
        ck_assert_uint_eq(info.instance, attempt - 1);
    }
}

static const struct usage_report ONE = {.attempt = 1, .cpu_milli = 10};
static const struct usage_report TWO = {.attempt = 2, .cpu_milli = 20};
static const struct usage_report THREE = {.attempt = 3, .cpu_milli = 30};

/* Memory in whole pages. */
START_TEST(test_all_of_it_is_told)
{
    const struct usage_report told = {.attempt = 2,
                                      .cpu_us = 1ull << 40,
                                      .memory_bytes = 2 * 4096 + 1,
                                      .memory_peak_bytes = 1ull << 42,
                                      .read_bytes = (1ull << 40) + 1,
                                      .written_bytes = (1ull << 41) + 1,
                                      .cpu_milli = 1500,
                                      .pids = 7};
    struct command_cursor at = {0};
    struct list_result page;
    struct usage_info info;

    tell(AGENT_SESSION, 1, 0, 1, &told, 1);
    rig_list(&rig, CLIENT_SESSION, METHOD_USAGE, (struct list_request){.after = 1});
    rig_settle(&rig);
    ck_assert_int_eq(list_result_unpack(&page, METHOD_USAGE, rig.answer.params, NULL),
                     0);
    ck_assert(usage_info_next(&page, &at, &info));
    ck_assert(info.known);
    ck_assert_uint_eq(info.report.attempt, 2);
    ck_assert_uint_eq(info.report.cpu_us, told.cpu_us);
    ck_assert_uint_eq(info.report.memory_bytes, 3 * 4096);
    ck_assert_uint_eq(info.report.memory_peak_bytes, told.memory_peak_bytes);
    ck_assert_uint_eq(info.report.read_bytes, told.read_bytes);
    ck_assert_uint_eq(info.report.written_bytes, told.written_bytes);
    ck_assert_uint_eq(info.report.cpu_milli, 1500);
    ck_assert_uint_eq(info.report.pids, 7);
}
END_TEST

START_TEST(test_the_newest_is_kept)
{
    struct usage_report both[] = {ONE, TWO};

    expect(0, 0, 0);
    tell(AGENT_SESSION, 1, 0, 1, both, 2);
    expect(10, 20, 0);
    both[1].cpu_milli = 25;
    tell(AGENT_SESSION, 1, 0, 2, &both[1], 1);
    tell(AGENT_SESSION, 1, 1, 2, &THREE, 1);
    expect(0, 25, 30); /* what is not told any more is forgotten */
    tell(AGENT_SESSION, 1, 0, 1, NULL, 0);
    expect(0, 0, 0);
}
END_TEST

START_TEST(test_only_the_agent_itself_is_heard)
{
    rig_open(&rig, OTHER_SESSION, HELLO_AGENT);
    tell(OTHER_SESSION, 1, 0, 1, &ONE, 1);
    expect(0, 0, 0);
    ck_assert_uint_eq(rig_register(&rig, OTHER_SESSION, 0, 2), 2);
    tell(OTHER_SESSION, 1, 0, 1, &ONE, 1); /* in the name of another */
    tell(OTHER_SESSION, 2, 0, 1, &TWO, 1); /* of what runs elsewhere */
    expect(0, 0, 0);
}
END_TEST

START_TEST(test_parts_out_of_order_are_ignored)
{
    tell(AGENT_SESSION, 1, 1, 3, &ONE, 1); /* its first part came to somebody else */
    expect(0, 0, 0);
    tell(AGENT_SESSION, 1, 0, 3, &ONE, 1);
    tell(AGENT_SESSION, 1, 2, 3, &TWO, 1);
    expect(10, 0, 0);
}
END_TEST

START_TEST(test_attempts_out_of_order_close_the_session)
{
    const struct usage_report wrong[] = {TWO, ONE};

    tell(AGENT_SESSION, 1, 0, 1, wrong, 2);
    ck_assert(rig.closed[AGENT_SESSION]);
}
END_TEST

START_TEST(test_a_session_that_closed_is_forgotten)
{
    tell(AGENT_SESSION, 1, 0, 1, &ONE, 1);
    expect(10, 0, 0);
    rig_close(&rig, AGENT_SESSION);
    expect(0, 0, 0);
}
END_TEST

/* As many runs as it may have, of which the state knows none. */
static void tell_wrong(uint64_t session, uint64_t agent)
{
    enum { PARTS = LIMIT_AGENT_RUNS / LIMIT_USAGE_REPORTS };
    struct usage_report reports[LIMIT_USAGE_REPORTS];
    uint64_t attempt = 1000;

    for (uint32_t part = 0; part < PARTS; part++) {
        for (size_t i = 0; i < LIMIT_USAGE_REPORTS; i++)
            reports[i] = (struct usage_report){.attempt = attempt++};
        tell(session, agent, part, PARTS, reports, LIMIT_USAGE_REPORTS);
    }
}

/* Or a few agents that tell nonsense take the room of all. */
START_TEST(test_what_runs_elsewhere_is_not_kept)
{
    enum { WRONG = LIMIT_USAGES / LIMIT_AGENT_RUNS + 1 };

    for (unsigned i = 0; i < WRONG; i++) {
        rig_open(&rig, OTHER_SESSION + i, HELLO_AGENT);
        ck_assert_uint_eq(rig_register(&rig, OTHER_SESSION + i, 0, 2 + i), 2 + i);
        tell_wrong(OTHER_SESSION + i, 2 + i);
    }
    tell(AGENT_SESSION, 1, 0, 1, &ONE, 1);
    expect(10, 0, 0);
}
END_TEST

START_TEST(test_pages)
{
    struct list_request request = {.limit = 2};
    struct command_cursor at = {0};
    struct list_result page;
    struct usage_info info;

    rig_list(&rig, CLIENT_SESSION, METHOD_USAGE, request);
    rig_settle(&rig);
    ck_assert_int_eq(list_result_unpack(&page, METHOD_USAGE, rig.answer.params, NULL),
                     0);
    ck_assert_uint_eq(page.count, 2);
    ck_assert_uint_eq(page.next, 2);
    request.after = page.next;
    rig_list(&rig, CLIENT_SESSION, METHOD_USAGE, request);
    rig_settle(&rig);
    ck_assert_int_eq(list_result_unpack(&page, METHOD_USAGE, rig.answer.params, NULL),
                     0);
    ck_assert(usage_info_next(&page, &at, &info));
    ck_assert_uint_eq(info.report.attempt, 3);
    ck_assert(!usage_info_next(&page, &at, &info));
    ck_assert_uint_eq(page.next, 0);
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    return c;
}

UNIT_MAIN("usages",
          prepared(unit_case("usages",
                             test_all_of_it_is_told,
                             test_the_newest_is_kept,
                             test_only_the_agent_itself_is_heard,
                             test_parts_out_of_order_are_ignored,
                             test_attempts_out_of_order_close_the_session,
                             test_a_session_that_closed_is_forgotten,
                             test_what_runs_elsewhere_is_not_kept,
                             test_pages)))
