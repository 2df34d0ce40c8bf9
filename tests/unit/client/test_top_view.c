/* test_top_view.c - what `triarch top` shows, and in which order. */
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "client/top_view.h"
#include "tests/lib/unit.h"

#include <stdlib.h>
#include <string.h>

static struct top_view view;
static struct screen screen;
static char *written;
static size_t written_size;

static void add_able_agent(uint64_t id, const char *hostname, uint32_t features)
{
    struct agent_spec spec = {.hostname = (char *)(uintptr_t)hostname,
                              .http_address = "",
                              .rpc_address = "",
                              .features = features};
    struct buffer packed = {0};
    struct error err;

    spec.key[0] = 1;
    spec.resources.amount[RESOURCE_CPUS] = 4000;
    spec.resources.amount[RESOURCE_MEM] = 8192 * MIB;
    agent_spec_pack(&spec, &packed);
    ck_assert_int_eq(
        top_view_add_agent(&view,
                           &(struct agent_info){.id = id,
                                                .state = AGENT_ACTIVE,
                                                .spec = buffer_view(&packed)},
                           &err),
        0);
    buffer_finish(&packed);
}

static void add_agent(uint64_t id, const char *hostname)
{
    add_able_agent(id, hostname, AGENT_FEATURE_LIMITS);
}

static void add_task(uint64_t attempt, uint64_t agent, uint32_t cpu_milli, uint64_t mib)
{
    top_view_add_task(&view,
                      &(struct usage_info){.report = {.attempt = attempt,
                                                      .cpu_milli = cpu_milli,
                                                      .memory_bytes = mib * MIB,
                                                      .read_bytes = 512,
                                                      .written_bytes = 512,
                                                      .pids = 3},
                                           .known = true,
                                           .job = 10 + attempt,
                                           .agent = agent,
                                           .name = text_view("a job"),
                                           .placed_us = 1000000,
                                           .cpus_milli = 1000,
                                           .limit_bytes = 100 * MIB});
}

static void setup(void)
{
    screen_locale();
    screen = (struct screen){.file = open_memstream(&written, &written_size)};
    view = (struct top_view){.now_us = 61000000};
}

static void teardown(void)
{
    top_view_finish(&view);
    fclose(screen.file);
    free(written);
}

static void print(unsigned lines)
{
    rewind(screen.file);
    top_view_print(&view, &screen, lines);
}

START_TEST(the_greediest_come_first)
{
    add_agent(1, "one");
    add_agent(2, "two");
    add_task(1, 1, 10, 50);
    add_task(2, 2, 2500, 5);
    add_task(3, 1, 20, 60);
    top_view_complete(&view, TOP_BY_CPU);
    ck_assert_uint_eq(view.tasks[0].info.report.attempt, 2);
    ck_assert_uint_eq(view.tasks[1].info.report.attempt, 3);
    ck_assert_uint_eq(view.agents[0].id, 2);
    ck_assert_uint_eq(view.agents[0].used_milli, 2500);
    top_view_sort(&view, TOP_BY_MEMORY);
    ck_assert_uint_eq(view.tasks[0].info.report.attempt, 3);
    ck_assert_uint_eq(view.tasks[2].info.report.attempt, 2);
    ck_assert_uint_eq(view.agents[0].id, 1);
    ck_assert_uint_eq(view.agents[0].used_bytes, 110 * MIB);
    ck_assert_uint_eq(view.agents[0].tasks, 2);
}
END_TEST

START_TEST(two_tables)
{
    add_agent(1, "one");
    add_task(1, 1, 1234, 50);
    view.tasks[0].info.known = false;
    add_task(2, 1, 1234, 50);
    top_view_complete(&view, TOP_BY_CPU);
    print(0);
    ck_assert_str_eq(
        written,
        "AGENT  HOSTNAME  STATE   TASKS  CPU %  CPUS        MEM  MEM TOTAL\n"
        "    1  one       ACTIVE      2  246.8     4  100.0 MiB    8.0 GiB\n"
        "\n"
        "AGENT  TASK  JOB NAME  CPU %       MEM  MEM LIMIT       IO  PIDS  UPTIME\n"
        "    1  11.0  a job         -         -  100.0 MiB        -     -      1m\n"
        "    1  12.0  a job     123.4  50.0 MiB  100.0 MiB  1.0 KiB     3      1m\n");
}
END_TEST

START_TEST(a_limit_that_nobody_enforces_is_none)
{
    json_t *json;

    add_able_agent(1, "one", AGENT_FEATURES_NEEDED);
    add_task(1, 1, 1234, 95);
    top_view_complete(&view, TOP_BY_CPU);
    print(0);
    ck_assert_ptr_nonnull(strstr(written, " 95.0 MiB          -  1.0 KiB "));
    json = top_view_json(&view);
    ck_assert(json_is_null(json_object_get(
        json_array_get(json_object_get(json, "tasks"), 0), "memory_limit_bytes")));
    json_decref(json);
}
END_TEST

START_TEST(no_memory_asked_is_no_limit)
{
    json_t *json;

    add_agent(1, "one");
    add_task(1, 1, 1234, 95);
    view.tasks[0].info.limit_bytes = 0;
    top_view_complete(&view, TOP_BY_CPU);
    print(0);
    ck_assert_ptr_nonnull(strstr(written, " 95.0 MiB          -  1.0 KiB "));
    json = top_view_json(&view);
    ck_assert(json_is_null(json_object_get(
        json_array_get(json_object_get(json, "tasks"), 0), "memory_limit_bytes")));
    json_decref(json);
}
END_TEST

START_TEST(the_screen_is_not_passed)
{
    unsigned lines = 0;

    for (uint64_t i = 1; i <= 40; i++) {
        add_agent(i, "host");
        add_task(i, i, 0, 1);
    }
    top_view_complete(&view, TOP_BY_CPU);
    print(20);
    for (const char *c = written; *c != '\0'; c++)
        lines += *c == '\n';
    ck_assert_uint_eq(lines, 20);
    ck_assert_ptr_nonnull(strstr(written, "… 35 more agents\n"));
    ck_assert_ptr_nonnull(strstr(written, "… 30 more tasks\n"));
}
END_TEST

START_TEST(a_hundred_columns_are_enough)
{
    const char *line, *end;
    char name[256];

    memset(name, 'n', 255);
    name[255] = '\0';
    add_agent(65536, name);
    add_task(99999, 65536, 12800000, 999);
    mem_free(view.tasks[0].name);
    view.tasks[0].name = mem_strdup(name);
    view.tasks[0].info.instance = 99999;
    screen.terminal = true;
    screen.columns = 100;
    top_view_complete(&view, TOP_BY_CPU);
    print(0);
    for (line = written; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        char *text = strndup(line, (size_t)(end - line));

        ck_assert_uint_le(screen_columns(text), 100);
        free(text);
    }
}
END_TEST

START_TEST(json_has_null_for_what_is_not_known)
{
    json_t *json;
    const json_t *task;

    add_agent(1, "one");
    add_task(1, 1, 1500, 50);
    add_task(2, 1, 0, 0);
    view.tasks[1].info.known = false;
    top_view_complete(&view, TOP_BY_CPU);
    json = top_view_json(&view);
    task = json_array_get(json_object_get(json, "tasks"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(task, "id")), "11.0");
    ck_assert(json_real_value(json_object_get(task, "cpus")) == 1.5);
    ck_assert_int_eq(json_integer_value(json_object_get(task, "memory_bytes")),
                     50 * MIB);
    task = json_array_get(json_object_get(json, "tasks"), 1);
    ck_assert(json_is_null(json_object_get(task, "cpus")));
    ck_assert(json_is_null(json_object_get(task, "memory_bytes")));
    ck_assert_int_eq(json_integer_value(json_object_get(task, "memory_limit_bytes")),
                     100 * MIB);
    json_decref(json);
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    return c;
}

UNIT_MAIN("top_view",
          prepared(unit_case("top",
                             the_greediest_come_first,
                             two_tables,
                             a_limit_that_nobody_enforces_is_none,
                             no_memory_asked_is_no_limit,
                             the_screen_is_not_passed,
                             a_hundred_columns_are_enough,
                             json_has_null_for_what_is_not_known)))
