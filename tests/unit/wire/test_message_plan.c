/* test_message_plan.c - what is asked of a plan and answered, as bytes; and what one job says
 * otherwise than another. */
#include "tests/unit/wire/wire_test.h"

#include "base/limits.h"
#include "base/mem.h"
#include "tests/lib/wire_values.h"
#include "wire/job_diff.h"
#include "wire/message_plan.h"

static struct buffer out;
static struct error err;
static struct rpc rpc;

static void teardown(void)
{
    buffer_finish(&out);
}

static struct bytes params(void)
{
    ck_assert_int_eq(rpc_unpack(&rpc, (struct bytes){out.data + 4, out.size - 4}, &err),
                     0);
    return rpc.params;
}

START_TEST(test_request)
{
    static const struct plan_removal REMOVALS[] = {
        {LITERAL("rack"), LITERAL("a"), false}, {LITERAL("agent"), LITERAL("7"), true}};
    struct plan_request r = {LITERAL("ann"), LITERAL("specs"), REMOVALS, 2, {0}}, got;
    struct command_cursor at = {0};
    struct plan_removal one;

    plan_pack(&r, 9, &out);
    ck_assert_done(plan_unpack(&got, params(), &err), err);
    ck_assert_int_eq(rpc.method, METHOD_PLAN);
    ck_assert_bytes_eq(got.owner, r.owner);
    ck_assert_bytes_eq(got.specs, r.specs);
    for (int i = 0; i < 2; i++) {
        ck_assert(plan_removal_next(&got, &at, &one));
        ck_assert_bytes_eq(one.attribute, REMOVALS[i].attribute);
        ck_assert_bytes_eq(one.value, REMOVALS[i].value);
        ck_assert_int_eq(one.is_drain, REMOVALS[i].is_drain);
    }
    ck_assert(!plan_removal_next(&got, &at, &one));
}
END_TEST

START_TEST(test_request_rules)
{
    struct plan_removal many[LIMIT_PLAN_REMOVALS + 1];
    struct plan_request r = {.removals = many}, got;

    plan_pack(&r, 9, &out);
    ck_assert_error(plan_unpack(&got, params(), &err),
                    err,
                    ERROR_INVALID,
                    "neither jobs nor agents");
    for (size_t i = 0; i < LIMIT_PLAN_REMOVALS + 1; i++)
        many[i] = (struct plan_removal){LITERAL("rack"), LITERAL("a"), false};
    r.removal_count = LIMIT_PLAN_REMOVALS;
    buffer_clear(&out);
    plan_pack(&r, 9, &out);
    ck_assert_done(plan_unpack(&got, params(), &err), err);
    r.removal_count++;
    buffer_clear(&out);
    plan_pack(&r, 9, &out);
    ck_assert_int_ne(plan_unpack(&got, params(), &err), 0);
    many[0].attribute.size = 0;
    r.removal_count = 1;
    buffer_clear(&out);
    plan_pack(&r, 9, &out);
    ck_assert_error(plan_unpack(&got, params(), &err),
                    err,
                    ERROR_INVALID,
                    "an attribute without a name");
}
END_TEST

START_TEST(test_rows)
{
    static char why[LIMIT_PLAN_WHY_BYTES + 9];
    const struct plan_row row = {.kind = PLAN_MOVED,
                                 .job = 1,
                                 .count = 2,
                                 .other = 3,
                                 .from = 4,
                                 .agent = UINT64_MAX,
                                 .name = LITERAL("name"),
                                 .host = LITERAL("host"),
                                 .why = {(const uint8_t *)why, sizeof(why)}};
    struct command_cursor at = {0};
    struct list_result list;
    struct plan_row got;
    struct list_writer w;

    memset(why, 'w', sizeof(why));
    list_begin(&w, &out, 9, 77);
    plan_row_pack(&w, &row);
    list_end(&w, 5);
    ck_assert_done(list_result_unpack(&list, METHOD_PLAN, params(), &err), err);
    ck_assert_uint_eq(list.index, 77);
    ck_assert_uint_eq(list.next, 5);
    ck_assert(plan_row_next(&list, &at, &got));
    ck_assert_int_eq(got.kind, row.kind);
    ck_assert_uint_eq(got.job, row.job);
    ck_assert_uint_eq(got.count, row.count);
    ck_assert_uint_eq(got.other, row.other);
    ck_assert_uint_eq(got.from, row.from);
    ck_assert_uint_eq(got.agent, row.agent);
    ck_assert_bytes_eq(got.name, row.name);
    ck_assert_bytes_eq(got.host, row.host);
    ck_assert_uint_eq(got.why.size, LIMIT_PLAN_WHY_BYTES);
    ck_assert(!plan_row_next(&list, &at, &got));
}
END_TEST

/* ---- differences ---- */

static void check_differences(const struct job_spec *from,
                              const struct job_spec *to,
                              const char *expected)
{
    buffer_clear(&out);
    job_spec_differences(from, to, &out);
    ck_assert_bytes_eq(buffer_view(&out),
                       ((struct bytes){(const uint8_t *)expected, strlen(expected)}));
}

START_TEST(test_differences)
{
    struct job_spec from, to;

    sample_job_spec(&from);
    sample_job_spec(&to);
    check_differences(&from, &to, "");
    from.instances = 3;
    to.instances = 5;
    from.resources.amount[RESOURCE_CPUS] = 1500;
    to.resources.amount[RESOURCE_CPUS] = 2000;
    check_differences(&from, &to, "instances 3 -> 5, resources.cpus 1.5 -> 2");
    job_spec_add_arg(&to, "more");
    to.user = mem_strdup("ann");
    check_differences(
        &from, &to, "argv, instances 3 -> 5, resources.cpus 1.5 -> 2, user");
    check_differences(
        &to, &from, "argv, instances 5 -> 3, resources.cpus 2 -> 1.5, user");
    job_spec_finish(&from);
    job_spec_finish(&to);
}
END_TEST

int main(void)
{
    TCase *c = unit_case(
        "plan", test_request, test_request_rules, test_rows, test_differences);

    tcase_add_checked_fixture(c, NULL, teardown);
    return unit_run("message_plan", &c, 1);
}
