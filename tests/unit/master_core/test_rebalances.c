/* Running tasks that go to better agents: what the leader proposes, and when. */
#include "base/mem.h"
#include "raft_fsm/state.h"
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"
#include "wire/message_role.h"

enum { ONE = 1, TWO = 2, CLIENT = 3 };

static struct rig rig;

static void allow(uint32_t per_minute)
{
    struct role_change change = {.name = ROLE_DEFAULT,
                                 .given = ROLE_HAS_REBALANCE,
                                 .spec = {.rebalance = per_minute}};
    struct buffer frame = {0};

    role_set_pack(&change, ++rig.last_rpc, &frame);
    rig_frame(&rig, CLIENT, &frame);
    rig_settle(&rig);
    ck_assert_int_eq(rig.answer.code, ERROR_NONE);
}

static void pass(unsigned ms)
{
    for (; ms > 0; ms -= 1000) {
        rig_pass(&rig, 1000);
        rig_heartbeat(&rig, ONE, 1);
        rig_heartbeat(&rig, TWO, 2);
    }
}

/* Two tasks of a service run on agent 1, which would rather be on agent 2: that comes later. */
static void setup(void)
{
    struct job_spec spec;

    rig_init(&rig, STOPS_PER_TURN);
    rig_open(&rig, ONE, HELLO_AGENT);
    rig_open(&rig, CLIENT, HELLO_CLIENT);
    ck_assert_uint_eq(rig_register(&rig, ONE, 0, 1), 1);
    job_spec_init(&spec);
    spec.name = mem_strdup("web");
    spec.kind = JOB_SERVICE;
    job_spec_complete(&spec); /* of one task: without a spread */
    spec.instances = 2;
    spec.resources.amount[RESOURCE_CPUS] = 1;
    job_spec_add_arg(&spec, "true");
    affinity_parse(match_add_affinity(&spec.match), "agent = 2:100", NULL);
    ck_assert_uint_eq(rig_submit_spec(&rig, CLIENT, &spec), 1);
    rig_report(&rig, ONE, 1, 1, TASK_RUNNING);
    rig_report(&rig, ONE, 1, 2, TASK_RUNNING);
    rig_settle(&rig);
    rig_open(&rig, TWO, HELLO_AGENT);
    ck_assert_uint_eq(rig_register(&rig, TWO, 0, 2), 2);
}

static void teardown(void)
{
    rig_finish(&rig);
}

static const struct attempt *attempt(uint64_t id)
{
    return state_attempt(master_state(rig.core), id);
}

START_TEST(test_what_has_settled_moves_one_by_one)
{
    allow(10);
    pass(REBALANCE_SETTLED_MS - 10000);
    ck_assert_uint_eq(rig.stops[1], 0);
    pass(2 * REBALANCE_PASS_MS + 2000);
    ck_assert_uint_eq(rig.stops[1], 1);
    ck_assert_uint_eq(attempt(1)->stop_for, 2);
    ck_assert_uint_eq(rig.stops[2], 0); /* the other one stays until then */
    rig_report(&rig, ONE, 1, 1, TASK_KILLED);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.launches[3], 1);
    ck_assert_uint_eq(attempt(3)->agent->id, 2);
    pass(2 * REBALANCE_PASS_MS);
    ck_assert_uint_eq(rig.stops[2], 0);
    rig_report(&rig, TWO, 2, 3, TASK_RUNNING);
    pass(2 * REBALANCE_PASS_MS);
    ck_assert_uint_eq(rig.stops[2], 1);
    ck_assert_uint_eq(master_counters(rig.core)->moved, 2);
}
END_TEST

START_TEST(test_nothing_moves_unasked)
{
    pass(REBALANCE_SETTLED_MS + 2 * REBALANCE_PASS_MS);
    ck_assert_uint_eq(rig.stops[1] + rig.stops[2], 0);
    allow(1);
    pass(2 * REBALANCE_PASS_MS);
    ck_assert_uint_eq(rig.stops[1], 1);
}
END_TEST

/* It knows who is on the way from the state, and that nobody else of the job is to follow. */
START_TEST(test_a_new_leader_goes_on)
{
    allow(10);
    pass(REBALANCE_SETTLED_MS + 2 * REBALANCE_PASS_MS);
    ck_assert_uint_eq(rig.stops[1], 1);
    rig_restart(&rig);
    rig_open(&rig, ONE, HELLO_AGENT);
    rig_open(&rig, TWO, HELLO_AGENT);
    rig_register(&rig, ONE, 1, 1);
    rig_register(&rig, TWO, 2, 2);
    pass(2 * REBALANCE_PASS_MS);
    ck_assert_int_eq(attempt(1)->stop, TASK_REASON_MOVED);
    ck_assert_int_eq(attempt(2)->stop, TASK_REASON_NONE);
}
END_TEST

int main(void)
{
    TCase *t = unit_case("rebalances",
                         test_what_has_settled_moves_one_by_one,
                         test_nothing_moves_unasked,
                         test_a_new_leader_goes_on);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("rebalances", &t, 1);
}
