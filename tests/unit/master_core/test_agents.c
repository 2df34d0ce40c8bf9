/* What the leader tells agents, and which session it tells. */
#include "tests/lib/unit.h"
#include "tests/unit/master_core/rig.h"

#include "base/limits.h"
#include "raft_fsm/state.h"

enum { AGENT_SESSION = 1, CLIENT_SESSION = 2 };

static void start(struct rig *rig, unsigned stops_per_turn)
{
    rig_init(rig, stops_per_turn);
    rig_open(rig, AGENT_SESSION, HELLO_AGENT);
    rig_open(rig, CLIENT_SESSION, HELLO_CLIENT);
    ck_assert_uint_eq(rig_register(rig, AGENT_SESSION, 0, 1), 1);
    /* It has no runs and nothing is placed: orders may go out at once. */
    ck_assert_int_eq(rig->answer.code, ERROR_NONE);
}

START_TEST(test_launches_what_is_placed)
{
    struct rig rig;

    start(&rig, STOPS_PER_TURN);
    rig_submit(&rig, CLIENT_SESSION, 5);
    for (unsigned i = 1; i <= 5; i++)
        ck_assert_uint_eq(rig.launches[i], 1);
    rig_finish(&rig);
}
END_TEST

/* The walk through a large killed job goes on for turns; a job that is killed meanwhile
 * is told whole, too. */
START_TEST(test_a_kill_during_a_kill)
{
    struct rig rig;
    uint64_t large, small;

    start(&rig, 4);
    large = rig_submit(&rig, CLIENT_SESSION, 40);
    small = rig_submit(&rig, CLIENT_SESSION, 3);
    rig_kill(&rig, CLIENT_SESSION, large);
    rig_turn(&rig); /* proposed, committed */
    rig_turn(&rig); /* 4 told */
    rig_turn(&rig); /* 8 told */
    ck_assert_uint_eq(rig.stops[1], 1);
    ck_assert_uint_eq(rig.stops[40], 0);
    rig_kill(&rig, CLIENT_SESSION, small);
    rig_settle(&rig);
    for (unsigned i = 43; i >= 1; i--)
        ck_assert_msg(rig.stops[i] == 1, "attempt %u has %u stops", i, rig.stops[i]);
    rig_finish(&rig);
}
END_TEST

/* What one session said last is who it is: the agent that it spoke for before is not
 * told anything here any more. */
START_TEST(test_one_agent_in_a_session)
{
    struct rig rig;
    uint64_t job;

    start(&rig, STOPS_PER_TURN);
    job = rig_submit(&rig, CLIENT_SESSION, 1);
    ck_assert_uint_eq(rig.launches[1], 1);
    ck_assert_uint_eq(rig_register(&rig, AGENT_SESSION, 0, 2), 2);
    rig_kill(&rig, CLIENT_SESSION, job);
    rig_settle(&rig);
    ck_assert_uint_eq(rig.stops[1], 0);
    rig_finish(&rig);
}
END_TEST

/* Its key tells an agent, not the id that it names. */
START_TEST(test_another_key)
{
    struct rig rig;

    start(&rig, STOPS_PER_TURN);
    rig_open(&rig, 3, HELLO_AGENT);
    ck_assert_uint_eq(rig_register(&rig, 3, 1, 2), 0);
    ck_assert_int_eq(rig.answer.code, ERROR_CONFLICT);
    ck_assert(!rig.closed[AGENT_SESSION]);
    rig_finish(&rig);
}
END_TEST

START_TEST(test_a_newer_session)
{
    struct rig rig;

    start(&rig, STOPS_PER_TURN);
    rig_open(&rig, 3, HELLO_AGENT);
    ck_assert_uint_eq(rig_register(&rig, 3, 1, 1), 1);
    ck_assert(rig.closed[AGENT_SESSION]);
    rig_submit(&rig, CLIENT_SESSION, 1);
    ck_assert_uint_eq(rig.launches[1], 1);
    ck_assert_uint_eq(rig.order_session, 3);
    rig_finish(&rig);
}
END_TEST

/* A snapshot comes from a master of this cluster, or not at all. */
START_TEST(test_whose_snapshot)
{
    struct rig rig;
    struct hello hello;
    struct error err;

    rig_init(&rig, STOPS_PER_TURN);
    master_hello(rig.core, &hello);
    hello.role = HELLO_SNAPSHOT;
    hello.id = 9; /* not listed */
    ck_assert_int_eq(master_check_hello(rig.core, &hello, &err), -ERROR_WRONG_CLUSTER);
    hello.cluster = (struct bytes){0};
    ck_assert_int_eq(master_check_hello(rig.core, &hello, &err), -ERROR_WRONG_CLUSTER);
    rig_finish(&rig);
}
END_TEST

/* Before it is founded a master cannot tell an agent of another cluster from its own. */
START_TEST(test_hello_before_founding)
{
    uint8_t id[CLUSTER_ID_BYTES] = {1};
    struct hello agent = {.role = HELLO_AGENT, .cluster = {id, sizeof(id)}};
    struct hello master = {.role = HELLO_MASTER,
                           .cluster = {id, sizeof(id)},
                           .id = 2,
                           .replicated = REPLICATED_VERSION};
    struct master_config config;
    struct master_core *core;
    struct error err;

    master_config_init(&config);
    config.id = 1;
    config.member_count = 3;
    for (unsigned i = 0; i < 3; i++)
        config.members[i] = (struct master_member){.id = i + 1, .address = "a:1"};
    master.cluster_hash = (struct bytes){config.cluster_hash, 16};
    core = master_create(&config);
    ck_assert_int_eq(master_check_hello(core, &agent, &err), -ERROR_UNAVAILABLE);
    ck_assert_int_eq(master_check_hello(core, &master, &err), 0);
    agent.cluster = (struct bytes){0};
    ck_assert_int_eq(master_check_hello(core, &agent, &err), 0);
    /* Masters of two versions would come to two states; the first one does not say its. */
    master.replicated = 0;
    ck_assert_int_eq(master_check_hello(core, &master, &err), -ERROR_VERSION);
    master.replicated = REPLICATED_VERSION + 1;
    ck_assert_int_eq(master_check_hello(core, &master, &err), -ERROR_VERSION);
    ck_assert_ptr_nonnull(strstr(err.text, "run the same version on all masters"));
    master_destroy(core);
}
END_TEST

/* More launches than may be queued to one session go as fast as the agent is heard. */
START_TEST(test_large_launches)
{
    enum { TASKS = 400 };
    struct rig rig;
    unsigned heartbeats = 0;

    start(&rig, STOPS_PER_TURN);
    rig_submit_large(&rig, CLIENT_SESSION, TASKS, 60 * 1024);
    ck_assert_uint_eq(rig.launches[1], 1);
    ck_assert_uint_lt(rig.order_bytes, LIMIT_SESSION_OUT_BYTES / 2);
    while (rig.launches[TASKS] == 0) {
        rig.order_bytes = 0;
        rig_heartbeat(&rig, AGENT_SESSION, 1);
        ck_assert_uint_lt(rig.order_bytes, LIMIT_SESSION_OUT_BYTES / 2);
        ck_assert_uint_lt(++heartbeats, 20);
    }
    for (unsigned i = 1; i <= TASKS; i++)
        ck_assert_uint_eq(rig.launches[i], 1);
    rig_finish(&rig);
}
END_TEST

/* Reports that nobody can read would be repeated for ever. */
START_TEST(test_malformed_update)
{
    struct buffer frame = {0};
    struct rig rig;
    size_t begin;

    start(&rig, STOPS_PER_TURN);
    update_pack(1, NULL, 0, &frame);
    rig_frame(&rig, AGENT_SESSION, &frame);
    ck_assert(!rig.closed[AGENT_SESSION]);
    begin = rpc_begin_notify(&frame, METHOD_UPDATE);
    pack_array(&frame, 0);
    rpc_end(&frame, begin);
    rig_frame(&rig, AGENT_SESSION, &frame);
    ck_assert(rig.closed[AGENT_SESSION]);
    rig_finish(&rig);
}
END_TEST

/* What a leader keeps of the list must have an end: attempts ascend over its parts. */
START_TEST(test_a_list_of_runs_that_repeats_itself)
{
    struct run_report runs[2] = {{.attempt = 7, .state = TASK_STARTING},
                                 {.attempt = 9, .state = TASK_STARTING}};
    struct buffer frame = {0};
    struct rig rig;

    start(&rig, STOPS_PER_TURN);
    runs_pack(1, 0, 3, runs, 2, 50, &frame);
    rig_frame(&rig, AGENT_SESSION, &frame);
    ck_assert(!rig.closed[AGENT_SESSION]);
    runs[0].attempt = 9;
    runs_pack(1, 1, 3, runs, 1, 51, &frame);
    rig_frame(&rig, AGENT_SESSION, &frame);
    ck_assert(rig.closed[AGENT_SESSION]);
    rig_finish(&rig);
}
END_TEST

/* One that goes through the log may come back after a later one that did not have to: it is the
 * later one that the agent answers with its runs. */
START_TEST(test_an_earlier_registration_that_comes_late)
{
    struct run_report run = {.attempt = 1, .state = TASK_RUNNING};
    struct buffer frame = {0};
    struct rig rig;

    start(&rig, STOPS_PER_TURN);
    rig_submit(&rig, CLIENT_SESSION, 1);
    rig.http_port++;
    rig_send_register(&rig, AGENT_SESSION, 1, 1); /* into the log */
    rig.http_port--;
    rig_send_register(&rig, AGENT_SESSION, 1, 1);
    runs_pack(1, 0, 1, &run, 1, ++rig.last_rpc, &frame);
    rig_frame(&rig, AGENT_SESSION, &frame);
    rig_settle(&rig);
    rig_submit(&rig, CLIENT_SESSION, 1);
    ck_assert_uint_eq(rig.launches[2], 1);
    rig_finish(&rig);
}
END_TEST

static void send_gone(struct rig *rig, uint64_t agent)
{
    struct buffer frame = {0};

    id_request_pack(METHOD_AGENT_GONE, agent, ++rig->last_rpc, &frame);
    rig_frame(rig, CLIENT_SESSION, &frame);
}

/* Nothing is kept of it, and it hears why when it registers. */
START_TEST(test_gone)
{
    struct rig rig;

    start(&rig, STOPS_PER_TURN);
    rig_submit(&rig, CLIENT_SESSION, 1);
    send_gone(&rig, 1);
    rig_settle(&rig);
    ck_assert(rig.closed[AGENT_SESSION]);
    master_verify(rig.core);
    rig_report(&rig, AGENT_SESSION, 1, 1, TASK_RUNNING); /* the shell had it in hand */
    rig_heartbeat(&rig, AGENT_SESSION, 1);
    master_verify(rig.core);
    rig_close(&rig, AGENT_SESSION);
    rig_open(&rig, AGENT_SESSION, HELLO_AGENT);
    ck_assert_uint_eq(rig_register(&rig, AGENT_SESSION, 1, 1), 0);
    ck_assert_int_eq(rig.answer.code, ERROR_NOT_FOUND);
    rig_restart(&rig);
    rig_pass(&rig, 500);
    master_verify(rig.core);
    rig_finish(&rig);
}
END_TEST

/* The entry that makes an agent GONE may forget it again: another one needs its place. */
START_TEST(test_gone_and_forgotten_in_one_entry)
{
    struct rig rig;

    start(&rig, STOPS_PER_TURN);
    for (uint32_t key = 2; key <= LIMIT_AGENTS; key++) {
        rig_send_register(&rig, AGENT_SESSION, 0, key);
        if (key % 256 == 0)
            rig_settle(&rig);
    }
    ck_assert_uint_eq(master_state(rig.core)->agent_count, LIMIT_AGENTS);
    send_gone(&rig, 1);
    ck_assert_uint_eq(rig_register(&rig, AGENT_SESSION, 0, LIMIT_AGENTS + 1),
                      LIMIT_AGENTS + 1);
    ck_assert_ptr_null(state_agent(master_state(rig.core), 1));
    master_verify(rig.core);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("master agents",
          unit_case("orders",
                    test_launches_what_is_placed,
                    test_a_kill_during_a_kill,
                    test_large_launches),
          unit_case("sessions",
                    test_one_agent_in_a_session,
                    test_another_key,
                    test_a_newer_session,
                    test_malformed_update,
                    test_an_earlier_registration_that_comes_late,
                    test_a_list_of_runs_that_repeats_itself,
                    test_hello_before_founding,
                    test_whose_snapshot),
          unit_case("gone", test_gone, test_gone_and_forgotten_in_one_entry))
