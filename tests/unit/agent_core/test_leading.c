/* test_leading.c - whom the agent obeys. */
#include "tests/lib/unit.h"
#include "tests/unit/agent_core/rig.h"

#include <string.h>

START_TEST(greets_each_master)
{
    struct rig rig;
    struct hello h;
    struct error err;

    rig_init(&rig);
    rig_open(&rig, 1, NULL);
    ck_assert_uint_eq(rig_sent_count(&rig, 1, METHOD_HELLO), 1);
    ck_assert_int_eq(
        hello_unpack(&h, rig_sent(&rig, 1, METHOD_HELLO, 0)->rpc.params, &err), 0);
    ck_assert_int_eq(h.role, HELLO_AGENT);
    ck_assert_uint_eq(h.id, 0);
    ck_assert_uint_eq(h.cluster.size, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(term_is_durable_before_it_is_obeyed)
{
    struct rig rig;

    rig_init(&rig);
    rig_durable(&rig);
    rig_open(&rig, 0, NULL);
    rig_leading(&rig, 0, 5);
    rig_launch(&rig, 0, 5, 1);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_REGISTER), 0);
    ck_assert_uint_eq(rig_status(&rig).launches_accepted, 0);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_REGISTER), 1);
    rig_registered(&rig, 0, false);
    ck_assert(rig_status(&rig).registered);
    ck_assert_uint_eq(rig_status(&rig).agent, 7);
    rig_finish(&rig);
}
END_TEST

START_TEST(key_is_durable_before_it_is_told)
{
    struct rig rig;
    struct register_request request;
    struct agent_spec spec;
    struct error err;

    rig_init(&rig);
    rig_restart(&rig); /* nothing was durable: another key */
    rig_follow(&rig, 0, 1);
    ck_assert_int_eq(register_unpack(&request,
                                     rig_sent(&rig, 0, METHOD_REGISTER, 0)->rpc.params,
                                     &err),
                     0);
    ck_assert_int_eq(agent_spec_unpack(&spec, request.spec, &err), 0);
    ck_assert_uint_eq(spec.key[0], 2);
    agent_spec_finish(&spec);

    rig_restart(&rig);
    rig_follow(&rig, 0, 2);
    ck_assert_int_eq(register_unpack(&request,
                                     rig_sent(&rig, 0, METHOD_REGISTER, 0)->rpc.params,
                                     &err),
                     0);
    ck_assert_uint_eq(request.agent, 7);
    ck_assert_int_eq(agent_spec_unpack(&spec, request.spec, &err), 0);
    ck_assert_uint_eq(spec.key[0], 2);
    agent_spec_finish(&spec);
    rig_finish(&rig);
}
END_TEST

START_TEST(lower_term_is_refused)
{
    struct rig rig;
    struct heartbeat h;
    struct error err;

    rig_init(&rig);
    rig_follow(&rig, 0, 5);
    rig_open(&rig, 1, NULL);
    rig_forget(&rig);
    rig_leading(&rig, 1, 4);
    rig_launch(&rig, 1, 4, 1);
    rig_launch(&rig, 0, 4, 1); /* an old frame of the leader itself */
    ck_assert_uint_eq(rig_status(&rig).orders_refused, 3);
    ck_assert_uint_eq(rig_status(&rig).launches_accepted, 0);
    ck_assert_str_eq(rig_status(&rig).leader, "m1:1");
    ck_assert_int_eq(
        heartbeat_unpack(&h, rig_sent(&rig, 1, METHOD_HEARTBEAT, 0)->rpc.params, &err),
        0);
    ck_assert_uint_eq(h.term, 5); /* so that it learns */
    rig_finish(&rig);
}
END_TEST

START_TEST(lower_term_is_refused_after_restart)
{
    struct rig rig;

    rig_init(&rig);
    rig_follow(&rig, 0, 5);
    rig_restart(&rig);
    rig_open(&rig, 1, NULL);
    rig_leading(&rig, 1, 4);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_sent_count(&rig, 1, METHOD_REGISTER), 0);
    rig_follow(&rig, 0, 5); /* the same term is still good */
    rig_finish(&rig);
}
END_TEST

START_TEST(orders_of_others_are_refused)
{
    struct rig rig;

    rig_init(&rig);
    rig_follow(&rig, 0, 5);
    rig_open(&rig, 1, NULL);
    rig_launch(&rig, 1, 5, 1);
    ck_assert_uint_eq(rig_status(&rig).launches_accepted, 0);
    rig_launch(&rig, 0, 5, 1);
    ck_assert_uint_eq(rig_status(&rig).launches_accepted, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(higher_term_takes_over)
{
    struct rig rig;

    rig_init(&rig);
    rig_follow(&rig, 0, 5);
    rig_open(&rig, 1, NULL);
    rig_leading(&rig, 1, 6);
    rig_launch(&rig, 0, 5, 1); /* the old one is not obeyed any more */
    ck_assert_uint_eq(rig_status(&rig).launches_accepted, 0);
    ck_assert(!rig_status(&rig).registered);
    rig_durable(&rig);
    rig_registered(&rig, 1, false);
    ck_assert_str_eq(rig_status(&rig).leader, "m2:1");
    ck_assert_uint_eq(rig_status(&rig).term, 6);
    rig_finish(&rig);
}
END_TEST

START_TEST(orders_of_a_higher_term_make_it_the_leader)
{
    struct rig rig;

    rig_init(&rig);
    rig_follow(&rig, 0, 5);
    rig_open(&rig, 1, NULL);
    rig_launch(&rig, 1, 6, 1);
    ck_assert_uint_eq(rig_status(&rig).launches_accepted, 0);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_sent_count(&rig, 1, METHOD_REGISTER), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(second_leader_of_a_term_is_a_fault)
{
    struct rig rig;

    rig_init(&rig);
    rig_follow(&rig, 0, 5);
    rig_open(&rig, 1, NULL);
    rig_leading(&rig, 0, 5); /* repeated: nothing */
    ck_assert_uint_eq(rig_count(&rig, AGENT_CLOSE), 0);
    rig_leading(&rig, 1, 5);
    ck_assert_uint_eq(rig_done(&rig, AGENT_CLOSE, 0)->session, rig.session[1]);
    ck_assert(rig_status(&rig).registered);
    rig_finish(&rig);
}
END_TEST

static struct hello hello_of_leader(uint64_t term)
{
    return (struct hello){
        .protocol = PROTOCOL_VERSION,
        .role = HELLO_MASTER,
        .cluster = {rig_cluster, sizeof(rig_cluster)},
        .id = 1,
        .incarnation = 1,
        .founding = FOUNDING_MEMBER,
        .leads = true,
        .term = term,
    };
}

START_TEST(leader_in_hello_is_followed)
{
    struct hello h = hello_of_leader(3);
    struct rig rig;

    rig_init(&rig);
    rig_open(&rig, 0, &h);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_REGISTER), 1);
    rig_close(&rig, 0);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_REGISTER), 1);
    rig_open(&rig, 0, &h); /* the same leader again: its term is durable already */
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_REGISTER), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(new_session_replaces_the_old)
{
    struct rig rig;
    uint64_t old;

    rig_init(&rig);
    rig_follow(&rig, 0, 5);
    old = rig.session[0];
    rig_open(&rig, 0, NULL);
    ck_assert_uint_eq(rig_done(&rig, AGENT_CLOSE, 0)->session, old);
    ck_assert(!rig_status(&rig).registered);
    rig_follow(&rig, 0, 5);

    /* What the old connection still delivers is nothing (F28). */
    rig.session[1] = old;
    rig_launch(&rig, 1, 5, 1);
    rig_close(&rig, 1);
    ck_assert_uint_eq(rig_status(&rig).launches_accepted, 0);
    ck_assert(rig_status(&rig).registered);
    rig_finish(&rig);
}
END_TEST

START_TEST(heartbeats_come_in_time)
{
    struct rig rig;

    rig_init(&rig);
    rig_open(&rig, 1, NULL);
    rig_follow(&rig, 0, 5);
    rig_advance(&rig, 10000);
    rig_forget(&rig);
    rig_advance(&rig, 10000);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_HEARTBEAT), 20);
    ck_assert_uint_eq(rig_sent_count(&rig, 1, METHOD_HEARTBEAT), 2);
    rig_finish(&rig);
}
END_TEST

START_TEST(registration_is_repeated)
{
    struct rig rig;

    rig_init(&rig);
    rig_open(&rig, 0, NULL);
    rig_leading(&rig, 0, 1);
    rig_durable(&rig);
    rig_advance(&rig, 2000);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_REGISTER), 1);
    rig_advance(&rig, 100);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_REGISTER), 2);
    rig_refuse(&rig, 0, ERROR_BUSY);
    rig_advance(&rig, 200);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_REGISTER), 3);
    for (int i = 0; i < 10; i++) {
        rig_refuse(&rig, 0, ERROR_NOT_LEADER);
        rig_advance(&rig, 2000);
    }
    ck_assert_uint_ge(rig_sent_count(&rig, 0, METHOD_REGISTER), 13);
    rig_registered(&rig, 0, false);
    ck_assert(rig_status(&rig).registered);
    rig_finish(&rig);
}
END_TEST

/* A leader that is overwhelmed is not asked by all agents in step, and not for ever. */
START_TEST(pauses_without_an_answer_grow)
{
    struct rig rig;
    size_t asked;

    rig_init(&rig);
    rig_open(&rig, 0, NULL);
    rig_leading(&rig, 0, 1);
    rig_durable(&rig);
    rig_advance(&rig, 60000);
    asked = rig_sent_count(&rig, 0, METHOD_REGISTER);
    ck_assert_uint_ge(asked, 60000 / (2000 + 2000));
    ck_assert_uint_lt(asked, 60000 / (2000 + 500));
    rig_finish(&rig);
}
END_TEST

START_TEST(late_answer_is_taken)
{
    struct rig rig;

    rig_init(&rig);
    rig_open(&rig, 0, NULL);
    rig_leading(&rig, 0, 1);
    rig_durable(&rig);
    rig_advance(&rig, 2000);
    rig_registered(&rig, 0, false);
    ck_assert(rig_status(&rig).registered);
    rig_advance(&rig, 10000);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_REGISTER), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(runs_are_told_in_parts)
{
    struct rig rig;
    struct buffer frame = {0};

    rig_init(&rig);
    rig_follow(&rig, 0, 1);
    for (uint64_t attempt = 1; attempt <= LIMIT_UPDATES + 1; attempt++)
        rig_launch(&rig, 0, 1, attempt);
    rig_durable(&rig);
    rig_close(&rig, 0);
    rig_forget(&rig);
    rig_open(&rig, 0, NULL);
    rig_leading(&rig, 0, 1);
    rig_registered(&rig, 0, true);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_RUNS), 2);
    ck_assert(!rig_status(&rig).registered);
    for (size_t part = 0; part < 2; part++) {
        size_t at =
            rpc_begin_result(&frame, rig_sent(&rig, 0, METHOD_RUNS, part)->rpc.id);

        pack_array(&frame, 0);
        rpc_end(&frame, at);
        rig_frame(&rig, 0, &frame);
    }
    ck_assert(rig_status(&rig).registered);
    rig_finish(&rig);
}
END_TEST

START_TEST(unanswered_runs_begin_again)
{
    struct rig rig;

    rig_init(&rig);
    rig_open(&rig, 0, NULL);
    rig_leading(&rig, 0, 1);
    rig_durable(&rig);
    rig_registered(&rig, 0, true);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_RUNS), 1);
    rig_advance(&rig, 2100);
    ck_assert_uint_eq(rig_sent_count(&rig, 0, METHOD_REGISTER), 2);
    rig_finish(&rig);
}
END_TEST

static void open_foreign(struct rig *rig, unsigned master)
{
    static const uint8_t other[CLUSTER_ID_BYTES] = "another cluster";
    struct hello h = {
        .protocol = PROTOCOL_VERSION,
        .role = HELLO_MASTER,
        .cluster = {other, sizeof(other)},
        .id = master + 1,
        .founding = FOUNDING_MEMBER,
    };

    rig_open(rig, master, &h);
}

START_TEST(other_cluster_is_refused)
{
    struct rig rig;

    rig_init(&rig);
    rig_follow(&rig, 0, 1);
    open_foreign(&rig, 1);
    ck_assert_uint_eq(rig_done(&rig, AGENT_CLOSE, 0)->session, rig.session[1]);
    ck_assert(rig_status(&rig).registered);
    ck_assert_int_eq(rig.fatal.code, ERROR_NONE);
    rig_restart(&rig);
    open_foreign(&rig, 0);
    open_foreign(&rig, 1);
    ck_assert_int_eq(rig.fatal.code, ERROR_NONE);
    open_foreign(&rig, 2);
    ck_assert_int_eq(rig.fatal.code, ERROR_WRONG_CLUSTER);
    rig_finish(&rig);
}
END_TEST

/* A master that knows its cluster refuses us before it says hello. */
START_TEST(refusal_of_all_clusters_ends_it)
{
    struct rig rig;

    rig_init(&rig);
    rig_follow(&rig, 0, 1);
    rig_close_because(&rig, 0, ERROR_WRONG_CLUSTER);
    ck_assert(!rig_status(&rig).registered);
    rig_open(&rig, 1, NULL);
    rig_close_because(&rig, 1, ERROR_WRONG_CLUSTER);
    rig_open(&rig, 2, NULL);
    rig_close_because(&rig, 2, ERROR_BUSY);
    ck_assert_int_eq(rig.fatal.code, ERROR_NONE);
    rig_open(&rig, 2, NULL);
    rig_close_because(&rig, 2, ERROR_WRONG_CLUSTER);
    ck_assert_int_eq(rig.fatal.code, ERROR_WRONG_CLUSTER);
    rig_finish(&rig);
}
END_TEST

START_TEST(master_without_cluster_is_not_foreign)
{
    static const uint8_t hash[CLUSTER_ID_BYTES] = "hash of a list";
    struct hello h = {
        .protocol = PROTOCOL_VERSION,
        .role = HELLO_MASTER,
        .cluster = {hash, sizeof(hash)},
        .cluster_hash = {hash, sizeof(hash)},
        .id = 1,
        .founding = FOUNDING_EMPTY,
    };
    struct rig rig;

    rig_init(&rig);
    rig_follow(&rig, 0, 1);
    rig_open(&rig, 1, &h);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CLOSE), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(refusals_that_end_the_agent)
{
    static const enum error_code codes[] = {
        ERROR_INVALID, ERROR_CONFLICT, ERROR_VERSION, ERROR_TOO_LARGE};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct rig rig;

        rig_init(&rig);
        rig_open(&rig, 0, NULL);
        rig_leading(&rig, 0, 1);
        rig_durable(&rig);
        rig_refuse(&rig, 0, codes[i]);
        ck_assert_int_eq(rig.fatal.code, codes[i]);
        rig_finish(&rig);
    }
}
END_TEST

START_TEST(gone_agent_ends_its_runs_first)
{
    struct rig rig;

    rig_init(&rig);
    rig_follow(&rig, 0, 1);
    rig_launch(&rig, 0, 1, 1);
    rig_durable(&rig);
    rig_started(&rig, 1);
    rig_close(&rig, 0);
    rig_open(&rig, 0, NULL);
    rig_leading(&rig, 0, 2);
    rig_durable(&rig);
    rig_refuse(&rig, 0, ERROR_NOT_FOUND);
    rig_durable(&rig);
    ck_assert_uint_eq(rig_count(&rig, AGENT_SIGNAL_RUN), 1);
    ck_assert_int_eq(rig.fatal.code, ERROR_NONE);
    rig_ended(&rig, 1, RUN_END_SIGNALED, 15);
    ck_assert_int_eq(rig.fatal.code, ERROR_NOT_FOUND);
    rig_finish(&rig);
}
END_TEST

START_TEST(bad_frames_close_the_session)
{
    struct rig rig;
    struct buffer frame = {0};

    rig_init(&rig);
    rig_open(&rig, 0, NULL);
    buffer_append(&frame, "\0\0\0\0\xff\xff", 6);
    rig_frame(&rig, 0, &frame);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CLOSE), 1);

    rig_open(&rig, 1, NULL);
    leading_pack(9, &frame);
    rig.session[1] = ++rig.last_session; /* not greeted */
    rig_step(
        &rig,
        &(struct agent_event){
            .kind = AGENT_SESSION_OPENED,
            .opened = {.session = rig.last_session, .master = 1, .address = "m2:1"}});
    rig_frame(&rig, 1, &frame);
    ck_assert_uint_eq(rig_status(&rig).term, 0);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CLOSE), 3);
    rig_finish(&rig);
}
END_TEST

START_TEST(requests_are_answered_with_an_error)
{
    struct rig rig;
    struct buffer frame = {0};

    rig_init(&rig);
    rig_open(&rig, 0, NULL);
    id_request_pack(METHOD_KILL, 1, 42, &frame);
    rig_forget(&rig);
    rig_frame(&rig, 0, &frame);
    ck_assert_int_eq(rig_done(&rig, AGENT_SEND, 0)->rpc.type, RPC_RESPONSE);
    ck_assert_uint_eq(rig_done(&rig, AGENT_SEND, 0)->rpc.id, 42);
    ck_assert_int_eq(rig_done(&rig, AGENT_SEND, 0)->rpc.code, ERROR_INVALID);
    rig_finish(&rig);
}
END_TEST

static size_t asked(const struct rig *rig, unsigned master)
{
    return rig_sent_count(rig, master, METHOD_REGISTER);
}

START_TEST(followers_are_asked_who_leads)
{
    struct rig rig;
    const struct rig_done *d;

    rig_init(&rig);
    rig_open(&rig, 1, NULL);
    rig_advance(&rig, 10000);
    ck_assert_uint_eq(asked(&rig, 1), 0); /* the key is not durable */
    rig_durable(&rig);
    rig_advance(&rig, 1);
    ck_assert_uint_eq(asked(&rig, 1), 1);

    rig_hint(&rig, 1, "");
    ck_assert_uint_eq(rig_count(&rig, AGENT_DIAL), 0);
    rig_advance(&rig, 2000);
    ck_assert_uint_eq(asked(&rig, 1), 2);
    rig_hint(&rig, 1, "elsewhere:5049");
    d = rig_done(&rig, AGENT_DIAL, 0);
    ck_assert(d != NULL);
    ck_assert_uint_eq(d->bytes.size, strlen("elsewhere:5049"));
    ck_assert_int_eq(memcmp(d->bytes.data, "elsewhere:5049", d->bytes.size), 0);

    rig_follow(&rig, RIG_MASTERS, 3); /* it leads */
    ck_assert_str_eq(rig_status(&rig).leader, "m4:1");
    rig_forget(&rig);
    rig_advance(&rig, 60000);
    ck_assert_uint_eq(asked(&rig, 1), 0);
    rig_close(&rig, RIG_MASTERS);
    rig_advance(&rig, 1000);
    ck_assert_uint_eq(asked(&rig, 1), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(leaders_that_speak_are_not_asked_for)
{
    struct rig rig;

    rig_init(&rig);
    rig_durable(&rig);
    rig_open(&rig, 0, NULL);
    rig_open(&rig, 1, NULL);
    rig_advance(&rig, 900); /* as long as an election may take */
    ck_assert_uint_eq(asked(&rig, 0) + asked(&rig, 1), 0);
    rig_follow(&rig, 1, 3);
    rig_advance(&rig, 60000);
    ck_assert_uint_eq(asked(&rig, 0), 0);
    ck_assert_uint_eq(asked(&rig, 1), 1);
    ck_assert_uint_eq(rig.warnings, 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(questions_get_rarer_and_one_warning_comes)
{
    struct rig rig;
    size_t n;

    rig_init(&rig);
    rig_durable(&rig);
    rig_advance(&rig, 60000);
    ck_assert_uint_eq(rig.warnings, 0); /* its connections say that nobody is there */
    rig_open(&rig, 0, NULL);
    rig_advance(&rig, 900); /* the leader may be here in a moment as well */
    ck_assert_uint_eq(asked(&rig, 0), 0);
    rig_advance(&rig, 100000);
    n = asked(&rig, 0);
    ck_assert(n > 100 / 5 && n < 2 * 100 / 5 + 3);
    ck_assert_uint_eq(rig.warnings, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(deposed_leader_is_left)
{
    struct rig rig;

    rig_init(&rig);
    rig_follow(&rig, 0, 5);
    rig_open(&rig, 1, NULL);
    rig_leading(&rig, 1, 0);
    ck_assert(rig_status(&rig).registered); /* that one did not lead */
    rig_leading(&rig, 0, 0);
    ck_assert(!rig_status(&rig).registered);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CLOSE), 0);
    rig_forget(&rig);
    rig_advance(&rig, 1000);
    ck_assert_uint_eq(asked(&rig, 0), 1);
    ck_assert_uint_eq(asked(&rig, 1), 1);
    rig_leading(&rig, 0, 7); /* again */
    rig_durable(&rig);
    rig_registered(&rig, 0, false);
    ck_assert(rig_status(&rig).registered);
    rig_finish(&rig);
}
END_TEST

/* As by its name and by its address. */
START_TEST(two_ways_to_one_leader_are_no_fault)
{
    struct hello h = hello_of_leader(5);
    struct rig rig;

    rig_init(&rig);
    rig_follow(&rig, 0, 5);
    rig_open(&rig, RIG_MASTERS, &h);
    rig_leading(&rig, RIG_MASTERS, 5);
    ck_assert_uint_eq(rig_count(&rig, AGENT_CLOSE), 0);
    ck_assert(rig_status(&rig).registered);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("leading",
          unit_case("sessions",
                    greets_each_master,
                    new_session_replaces_the_old,
                    bad_frames_close_the_session,
                    requests_are_answered_with_an_error,
                    heartbeats_come_in_time),
          unit_case("terms",
                    term_is_durable_before_it_is_obeyed,
                    lower_term_is_refused,
                    lower_term_is_refused_after_restart,
                    orders_of_others_are_refused,
                    higher_term_takes_over,
                    orders_of_a_higher_term_make_it_the_leader,
                    second_leader_of_a_term_is_a_fault,
                    leader_in_hello_is_followed),
          unit_case("finding",
                    followers_are_asked_who_leads,
                    leaders_that_speak_are_not_asked_for,
                    questions_get_rarer_and_one_warning_comes,
                    deposed_leader_is_left,
                    two_ways_to_one_leader_are_no_fault),
          unit_case("registration",
                    key_is_durable_before_it_is_told,
                    registration_is_repeated,
                    pauses_without_an_answer_grow,
                    late_answer_is_taken,
                    runs_are_told_in_parts,
                    unanswered_runs_begin_again,
                    refusals_that_end_the_agent,
                    gone_agent_ends_its_runs_first),
          unit_case("clusters",
                    other_cluster_is_refused,
                    refusal_of_all_clusters_ends_it,
                    master_without_cluster_is_not_foreign))
