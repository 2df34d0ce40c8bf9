/* test_usage.c - what runs use is told to the leader, and to nobody else. */
#include "base/limits.h"
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent_core/rig.h"

static struct rig rig;

static void tell(const struct usage_report *reports, size_t count)
{
    rig_forget(&rig);
    rig_step(&rig,
             &(struct agent_event){.kind = AGENT_USAGE,
                                   .usage = {.reports = reports, .count = count}});
}

static struct usage_list sent(size_t n)
{
    struct usage_list list;

    ck_assert_int_eq(
        usage_unpack(&list, rig_sent(&rig, 0, METHOD_USAGE, n)->rpc.params, NULL), 0);
    ck_assert_uint_eq(list.agent, 7);
    return list;
}

START_TEST(the_leader_is_told)
{
    const struct usage_report report = {.attempt = 3, .cpu_milli = 77};
    struct command_cursor at = {0};
    struct usage_report got;
    struct usage_list list;

    rig_init(&rig);
    rig_open(&rig, 1, NULL);
    tell(&report, 1);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SEND), 0); /* nobody leads */
    rig_follow(&rig, 0, 1);
    tell(&report, 1);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SEND), 1);
    list = sent(0);
    ck_assert(usage_next(&list, &at, &got));
    ck_assert_uint_eq(got.attempt, 3);
    ck_assert_uint_eq(got.cpu_milli, 77);
    tell(NULL, 0); /* what was told before is over */
    ck_assert_uint_eq(sent(0).count, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(many_go_in_parts)
{
    size_t count = 2 * LIMIT_USAGE_REPORTS + 1;
    struct usage_report *reports = mem_zalloc(count * sizeof(*reports));

    for (size_t i = 0; i < count; i++)
        reports[i].attempt = i + 1;
    rig_init(&rig);
    rig_follow(&rig, 0, 1);
    tell(reports, count);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_USAGE), 3);
    for (uint32_t i = 0; i < 3; i++) {
        struct usage_list list = sent(i);

        ck_assert_uint_eq(list.part, i);
        ck_assert_uint_eq(list.parts, 3);
        ck_assert_uint_eq(list.count, i < 2 ? LIMIT_USAGE_REPORTS : 1);
    }
    mem_free(reports);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("usage", unit_case("usage", the_leader_is_told, many_go_in_parts))
