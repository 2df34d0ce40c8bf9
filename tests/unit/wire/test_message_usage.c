/* test_message_usage.c - what runs use, as bytes. */
#include "wire/message_usage.h"

#include "base/limits.h"
#include "base/mem.h"
#include "wire_test.h"

static struct buffer out;
static struct error err;
static struct rpc rpc;

static const struct usage_report FULL = {
    .attempt = 3,
    .cpu_milli = 1500,
    .cpu_us = UINT64_MAX,
    .memory_bytes = 1 << 20,
    .memory_peak_bytes = 1 << 21,
    .read_bytes = 5,
    .written_bytes = UINT64_MAX - 1,
    .pids = UINT32_MAX,
};

static void teardown(void)
{
    buffer_finish(&out);
}

static void same(const struct usage_report *a, const struct usage_report *b)
{
    ck_assert_uint_eq(a->attempt, b->attempt);
    ck_assert_uint_eq(a->cpu_milli, b->cpu_milli);
    ck_assert_uint_eq(a->cpu_us, b->cpu_us);
    ck_assert_uint_eq(a->memory_bytes, b->memory_bytes);
    ck_assert_uint_eq(a->memory_peak_bytes, b->memory_peak_bytes);
    ck_assert_uint_eq(a->read_bytes, b->read_bytes);
    ck_assert_uint_eq(a->written_bytes, b->written_bytes);
    ck_assert_uint_eq(a->pids, b->pids);
}

static int decode(struct bytes bytes, struct error *e)
{
    struct usage_list list;

    return usage_unpack(&list, bytes, e);
}

START_TEST(test_reports)
{
    struct usage_report reports[2] = {FULL, {.attempt = 9}};
    struct command_cursor at = {0};
    struct usage_report got;
    struct usage_list list;

    usage_pack(7, 1, 3, reports, 2, &out);
    ck_assert_done(
        usage_unpack(&list,
                     frame_params(buffer_view(&out), RPC_NOTIFY, METHOD_USAGE, &rpc),
                     &err),
        err);
    ck_assert_uint_eq(list.agent, 7);
    ck_assert_uint_eq(list.part, 1);
    ck_assert_uint_eq(list.parts, 3);
    for (int i = 0; i < 2; i++) {
        ck_assert(usage_next(&list, &at, &got));
        same(&got, &reports[i]);
    }
    ck_assert(!usage_next(&list, &at, &got));
    check_every_cut(rpc.params, decode);
}
END_TEST

START_TEST(test_as_many_as_may_fit_a_frame)
{
    struct usage_report *reports = mem_alloc(LIMIT_USAGE_REPORTS * sizeof(*reports));
    struct usage_list list;

    for (uint32_t i = 0; i < LIMIT_USAGE_REPORTS; i++) {
        reports[i] = FULL;
        reports[i].attempt = UINT64_MAX;
        reports[i].memory_bytes = UINT64_MAX;
    }
    usage_pack(UINT64_MAX, 0, 1, reports, LIMIT_USAGE_REPORTS, &out);
    ck_assert_done(
        usage_unpack(&list,
                     frame_params(buffer_view(&out), RPC_NOTIFY, METHOD_USAGE, &rpc),
                     &err),
        err);
    ck_assert_uint_eq(list.count, LIMIT_USAGE_REPORTS);
    mem_free(reports);
}
END_TEST

START_TEST(test_a_part_beyond_the_last)
{
    static const uint8_t bytes[] = {0x94, 7, 1, 1, 0x90};
    struct usage_list list;

    ck_assert_error(usage_unpack(&list, (struct bytes){bytes, sizeof(bytes)}, &err),
                    err,
                    ERROR_INVALID,
                    "beyond the last");
}
END_TEST

START_TEST(test_listing)
{
    struct usage_info info = {
        .report = FULL,
        .known = true,
        .job = 5,
        .instance = LIMIT_TASKS_PER_JOB - 1,
        .agent = 2,
        .name = LITERAL("job"),
        .placed_us = 77,
        .cpus_milli = 250,
        .limit_bytes = 1 << 25,
    };
    struct command_cursor at = {0};
    struct list_result list;
    struct list_writer w;
    struct usage_info got;

    list_begin(&w, &out, 1, 42);
    usage_info_pack(&w, &info);
    list_end(&w, 3);
    ck_assert_done(
        list_result_unpack(&list,
                           METHOD_USAGE,
                           frame_params(buffer_view(&out), RPC_RESPONSE, 0, &rpc),
                           &err),
        err);
    ck_assert_uint_eq(list.next, 3);
    ck_assert(usage_info_next(&list, &at, &got));
    same(&got.report, &info.report);
    ck_assert(got.known);
    ck_assert_uint_eq(got.job, 5);
    ck_assert_uint_eq(got.instance, LIMIT_TASKS_PER_JOB - 1);
    ck_assert_uint_eq(got.agent, 2);
    ck_assert_bytes_eq(got.name, info.name);
    ck_assert_uint_eq(got.placed_us, 77);
    ck_assert_uint_eq(got.cpus_milli, 250);
    ck_assert_uint_eq(got.limit_bytes, 1 << 25);
    ck_assert(!usage_info_next(&list, &at, &got));
}
END_TEST

static TCase *with_teardown(TCase *c)
{
    tcase_add_checked_fixture(c, NULL, teardown);
    return c;
}

UNIT_MAIN("message_usage",
          with_teardown(unit_case("usage",
                                  test_reports,
                                  test_as_many_as_may_fit_a_frame,
                                  test_a_part_beyond_the_last,
                                  test_listing)))
