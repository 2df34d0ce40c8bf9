/* test_message_agent.c - what agents and masters say to each other. */
#include "wire/message_agent.h"

#include "base/limits.h"
#include "base/mem.h"
#include "tests/lib/wire_values.h"
#include "wire/pack.h"
#include "wire_test.h"

#include <signal.h>

static struct buffer out;
static struct error err;
static struct rpc rpc; /* envelope of the last params() */

#define params(type, method) frame_params(buffer_view(&out), type, method, &rpc)

static void teardown(void)
{
    buffer_finish(&out);
}

static int decode_register(struct bytes bytes, struct error *e)
{
    struct register_request r;

    return register_unpack(&r, bytes, e);
}

START_TEST(test_register)
{
    struct register_request r = {.agent = 7,
                                 .spec = LITERAL("spec"),
                                 .runs_digest = UINT64_MAX,
                                 .runs_count = 3,
                                 .highest_attempt = 99,
                                 .flags = AGENT_FLAG_LOW_DISK};
    struct register_request got;

    register_pack(&r, 5, &out);
    ck_assert_int_eq(register_unpack(&got, params(RPC_REQUEST, METHOD_REGISTER), &err),
                     0);
    ck_assert_uint_eq(rpc.id, 5);
    ck_assert_uint_eq(got.agent, 7);
    ck_assert_bytes_eq(got.spec, r.spec);
    ck_assert_uint_eq(got.runs_digest, UINT64_MAX);
    ck_assert_uint_eq(got.runs_count, 3);
    ck_assert_uint_eq(got.highest_attempt, 99);
    ck_assert_uint_eq(got.flags, AGENT_FLAG_LOW_DISK);
    check_every_cut(rpc.params, decode_register);
}
END_TEST

static int decode_register_result(struct bytes bytes, struct error *e)
{
    struct register_result r;

    return register_result_unpack(&r, bytes, e);
}

START_TEST(test_register_result)
{
    struct register_result r = {.agent = 7, .term = 12, .send_runs = true};
    struct register_result got;

    memcpy(r.cluster_id, "0123456789abcdef", CLUSTER_ID_BYTES);
    register_result_pack(&r, 5, &out);
    ck_assert_int_eq(
        register_result_unpack(&got, params(RPC_RESPONSE, METHOD_UNKNOWN), &err), 0);
    ck_assert_uint_eq(got.agent, 7);
    ck_assert_mem_eq(got.cluster_id, r.cluster_id, CLUSTER_ID_BYTES);
    ck_assert_uint_eq(got.term, 12);
    ck_assert(got.send_runs);
    check_every_cut(rpc.params, decode_register_result);
}
END_TEST

/* ---- runs ---- */

/* On the wire, so these numbers never change. */
START_TEST(test_run_digest_is_stable)
{
    ck_assert_uint_eq(run_digest(0, TASK_PENDING), 0x5692161d100b05e5u);
    ck_assert_uint_eq(run_digest(1, TASK_RUNNING), 0xeb90a3352640af2u);
    ck_assert_uint_eq(run_digest(1000000, TASK_LOST), 0x8b291fe2d178a9e1u);
}
END_TEST

START_TEST(test_run_digest_tells_apart)
{
    uint64_t seen[200 * TASK_STATE_COUNT];
    unsigned n = 0, equal = 0;

    for (uint64_t attempt = 0; attempt < 200; attempt++)
        for (enum task_state s = 0; s < TASK_STATE_COUNT; s++, n++) {
            seen[n] = run_digest(attempt, s);
            for (unsigned i = 0; i < n; i++)
                equal += seen[i] == seen[n];
        }
    ck_assert_uint_eq(n, COUNT(seen));
    ck_assert_uint_eq(equal, 0);
}
END_TEST

static int decode_runs(struct bytes bytes, struct error *e)
{
    struct run_list list;

    return run_list_unpack(&list, bytes, e);
}

static const struct run_report RUNS[] = {
    {1, TASK_STAGING, TASK_REASON_NONE, 0, {NULL, 0}, HEALTH_UNKNOWN, 0},
    {UINT64_MAX,
     TASK_FAILED,
     TASK_REASON_EXITED,
     -1,
     LITERAL("exited with status 255"),
     HEALTH_FAILING,
     3},
};

static void check_runs(struct bytes bytes, uint32_t part, uint32_t parts)
{
    struct command_cursor at = {0};
    struct run_report run;
    struct run_list list;
    int rc = run_list_unpack(&list, bytes, &err);

    ck_assert_done(rc, err);
    ck_assert_uint_eq(list.agent, 7);
    ck_assert_uint_eq(list.part, part);
    ck_assert_uint_eq(list.parts, parts);
    ck_assert_uint_eq(list.count, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert(run_list_next(&list, &at, &run));
        ck_assert_uint_eq(run.attempt, RUNS[i].attempt);
        ck_assert_int_eq(run.state, RUNS[i].state);
        ck_assert_int_eq(run.reason, RUNS[i].reason);
        ck_assert_int_eq(run.exit_code, RUNS[i].exit_code);
        ck_assert_bytes_eq(run.message, RUNS[i].message);
        ck_assert_int_eq(run.health, RUNS[i].health);
        ck_assert_uint_eq(run.restarts, RUNS[i].restarts);
    }
    ck_assert(!run_list_next(&list, &at, &run));
    check_every_cut(bytes, decode_runs);
}

START_TEST(test_update)
{
    update_pack(7, RUNS, 2, &out);
    check_runs(params(RPC_NOTIFY, METHOD_UPDATE), 0, 1);
}
END_TEST

START_TEST(test_runs)
{
    runs_pack(7, 3, 4, RUNS, 2, 55, &out);
    check_runs(params(RPC_REQUEST, METHOD_RUNS), 3, 4);
    ck_assert_uint_eq(rpc.id, 55);
}
END_TEST

START_TEST(test_no_runs)
{
    struct command_cursor at = {0};
    struct run_report run;
    struct run_list list;

    runs_pack(7, 0, 1, NULL, 0, 1, &out);
    ck_assert_int_eq(run_list_unpack(&list, params(RPC_REQUEST, METHOD_RUNS), &err), 0);
    ck_assert(!run_list_next(&list, &at, &run));
}
END_TEST

START_TEST(test_run_states)
{
    struct run_report run = {.attempt = 1, .state = (enum task_state)_i};
    bool right = _i != TASK_PENDING && _i != TASK_KILLING && _i < TASK_STATE_COUNT;

    update_pack(7, &run, 1, &out);
    ck_assert_int_eq(decode_runs(params(RPC_NOTIFY, METHOD_UPDATE), &err) == 0, right);
}
END_TEST

START_TEST(test_parts)
{
    ck_assert_error(decode_runs(LITERAL("\x94\x07\x01\x01\x90"), &err),
                    err,
                    ERROR_INVALID,
                    "a part beyond the last");
}
END_TEST

/* The longest list fits; its messages are cut; one more run is a bug of the caller. */
START_TEST(test_most_runs)
{
    static struct run_report runs[LIMIT_UPDATES + 1];
    static const uint8_t TEXT[LIMIT_MESSAGE_BYTES + 1];

    for (size_t i = 0; i <= LIMIT_UPDATES; i++)
        runs[i] = (struct run_report){UINT64_MAX,
                                      TASK_LOST,
                                      TASK_REASON_SHIM_LOST,
                                      INT32_MIN,
                                      {TEXT, sizeof(TEXT)},
                                      HEALTH_FAILING,
                                      UINT32_MAX};
    update_pack(UINT64_MAX, runs, LIMIT_UPDATES, &out);
    ck_assert_int_eq(decode_runs(params(RPC_NOTIFY, METHOD_UPDATE), &err), 0);
    if (_i == 1)
        update_pack(UINT64_MAX, runs, LIMIT_UPDATES + 1, &out);
}
END_TEST

/* ---- orders ---- */

START_TEST(test_leading)
{
    uint64_t term = 0;

    leading_pack(UINT64_MAX, &out);
    ck_assert_int_eq(leading_unpack(&term, params(RPC_NOTIFY, METHOD_LEADING), &err),
                     0);
    ck_assert_uint_eq(term, UINT64_MAX);
}
END_TEST

static int decode_launches(struct bytes bytes, struct error *e)
{
    struct order_list list;

    return order_list_unpack(&list, METHOD_LAUNCH, bytes, e);
}

START_TEST(test_launch)
{
    const uint16_t ports[] = {31000, 65535};
    const struct launch launches[] = {
        {.attempt = 1, .job = 2, .instance = 3, .number = 4, .spec = LITERAL("spec")},
        {.attempt = 5,
         .job = 6,
         .number = 1,
         .spec = LITERAL("s"),
         .ports = ports,
         .port_count = 2}};
    struct command_cursor at = {0};
    struct order_list list;
    struct launch l;

    ck_assert_uint_eq(launch_pack(9, launches, 2, &out), 2);
    ck_assert_int_eq(order_list_unpack(
                         &list, METHOD_LAUNCH, params(RPC_NOTIFY, METHOD_LAUNCH), &err),
                     0);
    ck_assert_uint_eq(list.term, 9);
    ck_assert(launch_next(&list, &at, &l));
    ck_assert_uint_eq(l.attempt, 1);
    ck_assert_uint_eq(l.job, 2);
    ck_assert_uint_eq(l.instance, 3);
    ck_assert_uint_eq(l.number, 4);
    ck_assert_bytes_eq(l.spec, LITERAL("spec"));
    ck_assert_uint_eq(l.port_count, 0);
    ck_assert(launch_next(&list, &at, &l));
    ck_assert_uint_eq(l.attempt, 5);
    ck_assert_uint_eq(l.port_count, 2);
    ck_assert_uint_eq(l.ports[0], 31000);
    ck_assert_uint_eq(l.ports[1], 65535);
    ck_assert(!launch_next(&list, &at, &l));
    check_every_cut(rpc.params, decode_launches);
}
END_TEST

/* Launches that do not fit one frame go in several; none is lost. */
START_TEST(test_launches_in_several_frames)
{
    static uint8_t spec[LIMIT_SPEC_BYTES];
    static struct launch launches[30];
    static const uint16_t ports[LIMIT_TASK_PORTS] = {UINT16_MAX};
    uint32_t sent = 0, frames = 0;

    for (uint32_t i = 0; i < 30; i++)
        launches[i] = (struct launch){.attempt = UINT64_MAX - i,
                                      .job = UINT64_MAX,
                                      .instance = LIMIT_TASKS_PER_JOB - 1,
                                      .number = UINT32_MAX,
                                      .spec = {spec, sizeof(spec)},
                                      .ports = ports,
                                      .port_count = LIMIT_TASK_PORTS};
    while (sent < 30) {
        struct command_cursor at = {0};
        struct order_list list;
        struct launch l;
        uint32_t n;

        buffer_clear(&out);
        n = launch_pack(UINT64_MAX, launches + sent, 30 - sent, &out);
        ck_assert_uint_gt(n, 0);
        ck_assert_int_eq(
            order_list_unpack(
                &list, METHOD_LAUNCH, params(RPC_NOTIFY, METHOD_LAUNCH), &err),
            0);
        ck_assert_uint_eq(list.count, n);
        for (; launch_next(&list, &at, &l); sent++)
            ck_assert_uint_eq(l.attempt, UINT64_MAX - sent);
        frames++;
    }
    ck_assert_uint_eq(frames, 4); /* eight of 127 KiB in each MiB */
}
END_TEST

static int decode_stops(struct bytes bytes, struct error *e)
{
    struct order_list list;

    return order_list_unpack(&list, METHOD_STOP, bytes, e);
}

START_TEST(test_stop)
{
    const struct stop stops[] = {{1, false}, {UINT64_MAX, true}};
    struct command_cursor at = {0};
    struct order_list list;
    struct stop s;

    stop_pack(9, stops, 2, &out);
    ck_assert_int_eq(
        order_list_unpack(&list, METHOD_STOP, params(RPC_NOTIFY, METHOD_STOP), &err),
        0);
    ck_assert_uint_eq(list.term, 9);
    ck_assert(stop_next(&list, &at, &s));
    ck_assert_uint_eq(s.attempt, 1);
    ck_assert(!s.superseded);
    ck_assert(stop_next(&list, &at, &s));
    ck_assert_uint_eq(s.attempt, UINT64_MAX);
    ck_assert(s.superseded);
    ck_assert(!stop_next(&list, &at, &s));
    check_every_cut(rpc.params, decode_stops);
}
END_TEST

static int decode_acks(struct bytes bytes, struct error *e)
{
    struct order_list list;

    return order_list_unpack(&list, METHOD_ACK, bytes, e);
}

START_TEST(test_ack)
{
    const struct ack acks[] = {{1, TASK_RUNNING, HEALTH_PASSING, 2},
                               {UINT64_MAX, TASK_LOST, HEALTH_UNKNOWN, 0}};
    struct command_cursor at = {0};
    struct order_list list;
    struct ack a;

    ack_pack(9, acks, 2, &out);
    ck_assert_int_eq(
        order_list_unpack(&list, METHOD_ACK, params(RPC_NOTIFY, METHOD_ACK), &err), 0);
    ck_assert(ack_next(&list, &at, &a));
    ck_assert_uint_eq(a.attempt, 1);
    ck_assert_int_eq(a.state, TASK_RUNNING);
    ck_assert_int_eq(a.health, HEALTH_PASSING);
    ck_assert_uint_eq(a.restarts, 2);
    ck_assert(ack_next(&list, &at, &a));
    ck_assert_int_eq(a.state, TASK_LOST);
    ck_assert(!ack_next(&list, &at, &a));
    check_every_cut(rpc.params, decode_acks);
    ck_assert_int_lt(decode_acks(LITERAL("\x92\x01\x91\x92\x01\x0a"), &err), 0);
}
END_TEST

START_TEST(test_most_acks)
{
    struct ack *acks = mem_zalloc((LIMIT_ORDERS + 1) * sizeof(*acks));

    for (size_t i = 0; i <= LIMIT_ORDERS; i++)
        acks[i] = (struct ack){UINT64_MAX, TASK_LOST, HEALTH_FAILING, UINT32_MAX};
    ack_pack(UINT64_MAX, acks, LIMIT_ORDERS, &out);
    ck_assert_int_eq(decode_acks(params(RPC_NOTIFY, METHOD_ACK), &err), 0);
    if (_i == 1)
        ack_pack(UINT64_MAX, acks, LIMIT_ORDERS + 1, &out);
    mem_free(acks);
}
END_TEST

START_TEST(test_orders_of_another_method_are_a_bug)
{
    struct order_list list;

    order_list_unpack(&list, METHOD_UPDATE, LITERAL("\x92\x01\x90"), &err);
}
END_TEST

START_TEST(test_heartbeat)
{
    struct heartbeat h = {.agent = 7, .term = 12, .flags = 1, .sequence = 5}, got;

    heartbeat_pack(&h, &out);
    ck_assert_int_eq(heartbeat_unpack(&got, params(RPC_NOTIFY, METHOD_HEARTBEAT), &err),
                     0);
    ck_assert_uint_eq(got.agent, 7);
    ck_assert_uint_eq(got.term, 12);
    ck_assert_uint_eq(got.flags, 1);
    ck_assert_uint_eq(got.sequence, 5);
}
END_TEST

START_TEST(test_lease)
{
    uint64_t term = 0, sequence = 0;

    lease_pack(12, UINT64_MAX, &out);
    ck_assert_int_eq(
        lease_unpack(&term, &sequence, params(RPC_NOTIFY, METHOD_LEASE), &err), 0);
    ck_assert_uint_eq(term, 12);
    ck_assert_uint_eq(sequence, UINT64_MAX);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("message_agent");

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, test_register);
    tcase_add_test(t, test_register_result);
    tcase_add_test(t, test_run_digest_is_stable);
    tcase_add_test(t, test_run_digest_tells_apart);
    tcase_add_test(t, test_update);
    tcase_add_test(t, test_runs);
    tcase_add_test(t, test_no_runs);
    tcase_add_loop_test(t, test_run_states, 0, TASK_STATE_COUNT + 1);
    tcase_add_test(t, test_parts);
    tcase_add_loop_test(t, test_most_runs, 0, 1);
    tcase_add_loop_test_raise_signal(t, test_most_runs, SIGABRT, 1, 2);
    tcase_add_test(t, test_leading);
    tcase_add_test(t, test_launch);
    tcase_add_test(t, test_launches_in_several_frames);
    tcase_add_test(t, test_stop);
    tcase_add_test(t, test_ack);
    tcase_add_loop_test(t, test_most_acks, 0, 1);
    tcase_add_loop_test_raise_signal(t, test_most_acks, SIGABRT, 1, 2);
    tcase_add_test_raise_signal(t, test_orders_of_another_method_are_a_bug, SIGABRT);
    tcase_add_test(t, test_heartbeat);
    tcase_add_test(t, test_lease);
    return unit_run("message_agent", &t, 1);
}
