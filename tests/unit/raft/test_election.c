/* test_election.c - the policy after a closed connection (joint 12), rule by rule, to the ms. */
#include "tests/lib/unit.h"
#include "tests/unit/raft/rig.h"

#define FIRST  2
#define STEP   10
#define HOLD   30
#define WINDOW 500

static void heartbeat(struct rig *rig, uint64_t from, uint64_t to, uint64_t term)
{
    rig_forge(rig,
              from,
              to,
              &(struct peer_message){
                  .kind = PEER_APPEND_ENTRIES,
                  .term = term,
                  .append = {.prev_index = 1, .prev_term = 1, .commit = 1}});
    rig_flow(rig);
}

/* Entry 2 from the leader, which stays unwritten as long as the disk is moved by hand. */
static void entry(struct rig *rig, uint64_t from, uint64_t to, uint64_t term)
{
    struct log_entry e = {.term = term, .kind = ENTRY_NOOP};

    rig_forge(rig,
              from,
              to,
              &(struct peer_message){.kind = PEER_APPEND_ENTRIES,
                                     .term = term,
                                     .append = {.prev_index = 1,
                                                .prev_term = 1,
                                                .commit = 1,
                                                .entries = {2, 1, &e}}});
}

/* Master `id` of `voters` follows `leader` in term 2; all others are ghosts, connected.  The
 * time is that of the hint to come. */
static uint64_t follower(struct rig *rig, unsigned voters, uint64_t id, uint64_t leader)
{
    rig_init(rig, voters);
    rig_start(rig, id);
    for (uint64_t other = 1; other <= voters; other++)
        if (other != id)
            rig_peer_up(rig, id, other, 10 + other, other == leader);
    heartbeat(rig, leader, id, 2);
    ck_assert_uint_eq(replica_leader(rig_replica(rig, id)), leader);
    rig_drop(rig, id, 0);
    rig->now_ms += 50;
    return rig->now_ms;
}

/* How often `id` asked for votes since the last call. */
static unsigned asked(struct rig *rig, uint64_t id)
{
    unsigned n = rig_mails(rig, id, 0, PEER_REQUEST_VOTE);

    rig_drop(rig, id, 0);
    return n;
}

/* Nothing is asked before that time, and then it is. */
static void asks_at(struct rig *rig, uint64_t id, uint64_t when_ms, unsigned requests)
{
    while (rig->nodes[id].deadline_ms < when_ms) {
        rig_time(rig, id, rig->nodes[id].deadline_ms);
        ck_assert_uint_eq(asked(rig, id), 0);
    }
    ck_assert_uint_eq(rig->nodes[id].deadline_ms, when_ms);
    rig_time(rig, id, when_ms);
    rig_flow(rig); /* a real vote is asked for when the term is durable */
    ck_assert_uint_eq(asked(rig, id), requests);
}

static void
answer_vote(struct rig *rig, uint64_t from, uint64_t to, uint64_t term, bool pre)
{
    rig_forge(
        rig,
        from,
        to,
        &(struct peer_message){.kind = PEER_REQUEST_VOTE_RESULT,
                               .term = term,
                               .vote_result = {.granted = true, .pre_vote = pre}});
    rig_flow(rig);
}

static void ask_for_vote(struct rig *rig, uint64_t from, uint64_t to, uint64_t term)
{
    rig_forge(rig,
              from,
              to,
              &(struct peer_message){.kind = PEER_REQUEST_VOTE,
                                     .term = term,
                                     .vote = {.last_index = 9, .last_term = term - 1}});
    rig_flow(rig);
    ck_assert(
        rig_mail(rig, to, from, PEER_REQUEST_VOTE_RESULT)->message.vote_result.granted);
    rig_drop(rig, to, 0);
}

/* ---- rule 1 ---- */

START_TEST(r1_close_of_the_leaders_connection_is_a_hint)
{
    struct rig rig;

    follower(&rig, 3, 2, 1);
    rig_peer_down(&rig, 2, 1);
    ck_assert_uint_eq(rig_counters(&rig, 2)->hints, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(r1_close_of_another_is_none)
{
    struct rig rig;

    follower(&rig, 3, 2, 1);
    rig_peer_down(&rig, 2, 3);
    ck_assert_uint_eq(rig_counters(&rig, 2)->hints, 0);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 1);
    rig_peer_down(&rig, 2, 3); /* nor a second close of the same */
    rig_finish(&rig);
}
END_TEST

START_TEST(r1_silence_is_none)
{
    struct rig rig;
    uint64_t now = follower(&rig, 3, 2, 1);

    ck_assert_uint_ge(rig.nodes[2].deadline_ms, now + 400);
    rig_time(&rig, 2, rig.nodes[2].deadline_ms - 1);
    ck_assert_uint_eq(rig_counters(&rig, 2)->hints, 0);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(r1_a_leader_takes_no_hint)
{
    struct rig rig;

    rig_three(&rig);
    rig_peer_down(&rig, 1, 2);
    rig_peer_down(&rig, 1, 3);
    ck_assert_uint_eq(rig_counters(&rig, 1)->hints, 0);
    ck_assert(replica_leads(rig_replica(&rig, 1)));
    rig_finish(&rig);
}
END_TEST

START_TEST(r1_resign_of_the_leader_is_a_hint)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_forge(&rig, 3, 2, &(struct peer_message){.kind = PEER_RESIGN, .term = 2});
    ck_assert_uint_eq(rig_counters(&rig, 2)->hints, 0);
    rig_forge(&rig, 1, 2, &(struct peer_message){.kind = PEER_RESIGN, .term = 1});
    ck_assert_uint_eq(rig_counters(&rig, 2)->hints, 0); /* of another reign, and late */
    rig_forge(&rig, 1, 2, &(struct peer_message){.kind = PEER_RESIGN, .term = 2});
    ck_assert_uint_eq(rig_counters(&rig, 2)->hints, 1);
    /* its connection is up, but it is not asked to be leader again */
    asks_at(&rig, 2, t0 + FIRST, 2);
    rig_finish(&rig);
}
END_TEST

/* ---- rule 2 ---- */

START_TEST(r2_never_while_a_write_is_pending)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig.nodes[2].disk_by_hand = true;
    entry(&rig, 1, 2, 2);
    rig_peer_down(&rig, 2, 1);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 2)), REPLICA_FOLLOWER);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 1);
    ck_assert_uint_ge(rig.nodes[2].deadline_ms, t0 + 100); /* and it does not poll */
    rig.now_ms = t0 + 70;
    rig_disk(&rig, 2);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 0);
    ck_assert_uint_eq(asked(&rig, 2), 0);
    asks_at(&rig, 2, t0 + 70 + FIRST, 1);
    rig_finish(&rig);
}
END_TEST

/* The write ends when the window is over: the normal timers have taken over. */
START_TEST(r2_write_that_outlasts_the_window)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig.nodes[2].disk_by_hand = true;
    entry(&rig, 1, 2, 2);
    rig_peer_down(&rig, 2, 1);
    rig_peer_up(&rig, 2, 1, 12, false);
    while (rig.nodes[2].deadline_ms <= t0 + WINDOW + 20)
        rig_time(&rig, 2, rig.nodes[2].deadline_ms);
    rig.now_ms = t0 + WINDOW + 20;
    rig_disk(&rig, 2);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 2)), REPLICA_FOLLOWER);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 1);
    rig_finish(&rig);
}
END_TEST

/* By the end of the write there is a new leader: it is believed. */
START_TEST(r2_new_leader_before_the_write_ends)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig.nodes[2].disk_by_hand = true;
    entry(&rig, 1, 2, 2);
    rig_peer_down(&rig, 2, 1);
    rig.now_ms = t0 + 20;
    heartbeat(&rig, 3, 2, 3);
    rig.now_ms = t0 + 30;
    rig_disk(&rig, 2);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 3);
    rig_time(&rig, 2, t0 + 90);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 3);
    ck_assert_uint_eq(rig_counters(&rig, 2)->hint_skips, 0);
    rig_finish(&rig);
}
END_TEST

/* The belief stands, but it is void: who knows more than it may be elected. */
START_TEST(r2_votes_are_given_while_a_write_is_pending)
{
    struct rig rig;
    struct peer_message vote = {
        .kind = PEER_REQUEST_VOTE,
        .term = 3,
        .vote = {.last_index = 9, .last_term = 2, .pre_vote = true}};

    follower(&rig, 3, 2, 1);
    rig.nodes[2].disk_by_hand = true;
    entry(&rig, 1, 2, 2);
    rig_forge(&rig, 3, 2, &vote);
    ck_assert(
        !rig_mail(&rig, 2, 3, PEER_REQUEST_VOTE_RESULT)->message.vote_result.granted);
    rig_drop(&rig, 2, 0);
    rig.now_ms += 100;
    rig_peer_down(&rig, 2, 1);
    rig_forge(&rig, 3, 2, &vote);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 2)), REPLICA_FOLLOWER);
    ck_assert(
        rig_mail(&rig, 2, 3, PEER_REQUEST_VOTE_RESULT)->message.vote_result.granted);
    rig_drop(&rig, 2, 0);
    vote.vote.pre_vote = false;
    rig_forge(&rig, 3, 2, &vote);
    rig_disk(&rig, 2);
    ck_assert(
        rig_mail(&rig, 2, 3, PEER_REQUEST_VOTE_RESULT)->message.vote_result.granted);
    rig_finish(&rig);
}
END_TEST

/* ---- rule 3 ---- */

START_TEST(r3_belief_goes_silently)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 2)), REPLICA_CANDIDATE);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 0);
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 2)), 2);
    ck_assert_uint_eq(rig_mails(&rig, 2, 0, 0), 0);
    ck_assert_uint_eq(rig_counters(&rig, 2)->hint_skips, 1);
    rig_time(&rig, 2, t0 + 1);
    ck_assert_uint_eq(rig_mails(&rig, 2, 0, 0), 0);
    rig_finish(&rig);
}
END_TEST

/* That is what it is for: another one may be elected now. */
START_TEST(r3_votes_are_given_from_then_on)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    rig.now_ms = t0 + 1;
    ask_for_vote(&rig, 3, 2, 3);
    rig_finish(&rig);
}
END_TEST

/* 3 saw the close first, asked, and was refused for our belief. */
START_TEST(r3_who_was_refused_for_the_belief_is_answered_again)
{
    struct rig rig;
    struct peer_message vote = {
        .kind = PEER_REQUEST_VOTE,
        .term = 3,
        .vote = {.last_index = 9, .last_term = 2, .pre_vote = true}};
    const struct rig_mail *answer;

    follower(&rig, 3, 2, 1);
    rig_forge(&rig, 3, 2, &vote);
    rig_drop(&rig, 2, 0);
    rig.now_ms += 3;
    rig_peer_down(&rig, 2, 1);
    answer = rig_mail(&rig, 2, 3, PEER_REQUEST_VOTE_RESULT);
    ck_assert_ptr_nonnull(answer);
    ck_assert(answer->message.vote_result.granted);
    ck_assert(answer->message.vote_result.pre_vote);
    ck_assert_uint_eq(answer->message.term, 3);
    rig_finish(&rig);

    follower(&rig, 3, 2, 1);
    rig_forge(&rig, 3, 2, &vote);
    rig_drop(&rig, 2, 0);
    rig.now_ms += 100; /* it does not wait for an answer any more */
    rig_peer_down(&rig, 2, 1);
    ck_assert_ptr_null(rig_mail(&rig, 2, 3, PEER_REQUEST_VOTE_RESULT));
    rig_finish(&rig);
}
END_TEST

/* ---- rule 4 ---- */

START_TEST(r4_first_slot_by_rank_among_the_living)
{
    static const struct {
        uint64_t id, leader, dead;
        unsigned rank, live;
    } cases[] = {{2, 1, 0, 0, 4},
                 {4, 2, 0, 2, 4},
                 {5, 1, 0, 3, 4},
                 {5, 1, 3, 2, 3},
                 {1, 5, 2, 0, 3}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct rig rig;
        uint64_t t0 = follower(&rig, 5, cases[i].id, cases[i].leader);
        uint64_t first = t0 + FIRST + cases[i].rank * STEP;

        if (cases[i].dead != 0)
            rig_peer_down(&rig, cases[i].id, cases[i].dead);
        rig_peer_down(&rig, cases[i].id, cases[i].leader);
        asks_at(&rig, cases[i].id, first, cases[i].live - 1);
        asks_at(&rig, cases[i].id, first + cases[i].live * STEP, cases[i].live - 1);
        rig_finish(&rig);
    }
}
END_TEST

/* ---- rule 5 ---- */

START_TEST(r5_slots_until_the_window_is_over)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    for (uint64_t at = t0 + FIRST; at <= t0 + WINDOW; at += 2 * STEP)
        asks_at(&rig, 2, at, 1);
    while (rig.nodes[2].deadline_ms <= t0 + WINDOW + 2 * STEP)
        rig_time(&rig, 2, rig.nodes[2].deadline_ms);
    ck_assert_uint_eq(asked(&rig, 2), 0);
    ck_assert_uint_ge(rig.nodes[2].deadline_ms,
                      t0 + 2 * WINDOW - 2 * STEP); /* the library's */
    rig_finish(&rig);
}
END_TEST

START_TEST(r5b_nothing_while_a_leader_is_known)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    rig.now_ms = t0 + 1;
    heartbeat(&rig, 3, 2, 3);
    rig_drop(&rig, 2, 0);
    for (uint64_t at = t0 + FIRST; at < t0 + 100; at += 2 * STEP) {
        ck_assert_uint_eq(rig.nodes[2].deadline_ms, at); /* but it goes on looking */
        rig_time(&rig, 2, at);
        ck_assert_uint_eq(asked(&rig, 2), 0);
        ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 3);
    }
    rig_finish(&rig);
}
END_TEST

/* A leader whose connection is gone is none; its close restarts the policy. */
START_TEST(r5b_second_leader_dies_too)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 5, 2, 1);

    rig_peer_down(&rig, 2, 1);
    rig.now_ms = t0 + 1;
    heartbeat(&rig, 3, 2, 3);
    rig_drop(&rig, 2, 0);
    rig_time(&rig, 2, t0 + 40);
    rig_peer_down(&rig, 2, 3);
    ck_assert_uint_eq(rig_counters(&rig, 2)->hints, 2);
    asks_at(&rig, 2, t0 + 40 + FIRST, 2); /* 4 and 5 */
    rig_finish(&rig);
}
END_TEST

START_TEST(r5c_write_pending_in_a_slot)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    rig.nodes[2].disk_by_hand = true;
    rig.now_ms = t0 + 1;
    entry(&rig, 3, 2, 3);
    rig_peer_down(&rig, 2, 3); /* a leader came, wrote and went */
    rig_peer_up(&rig, 2, 3, 14, false);
    rig_time(&rig, 2, t0 + 60);
    ck_assert_uint_eq(asked(&rig, 2), 0);
    rig.now_ms = t0 + 61;
    rig_disk(&rig, 2);
    asks_at(&rig, 2, t0 + 61 + FIRST, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(r5d_holds_after_a_vote_given)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 5, 3, 1);

    rig_peer_down(&rig, 3, 1); /* rank 1 of 4 */
    rig.now_ms = t0 + 5;
    ask_for_vote(&rig, 4, 3, 3);
    asks_at(&rig, 3, t0 + 5 + HOLD + STEP, 3);
    rig_finish(&rig);
}
END_TEST

/* The vote was given before the hint came: the one that got it needs its time all the same. */
START_TEST(r5d_holds_after_a_vote_given_before_the_hint)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    ask_for_vote(&rig, 3, 2, 3);
    rig.now_ms = t0 + 4;
    heartbeat(&rig, 3, 2, 3);
    rig_drop(&rig, 2, 0);
    rig_peer_up(&rig, 2, 1, 12, false);
    rig_peer_down(&rig, 2, 3);
    asks_at(&rig, 2, t0 + HOLD + STEP, 1); /* rank 1: master 1 is back */
    rig_finish(&rig);
}
END_TEST

START_TEST(r5d_holds_after_a_candidacy)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    asks_at(&rig, 2, t0 + FIRST, 1);
    rig.now_ms = t0 + 4;
    answer_vote(&rig, 3, 2, 3, true);
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 2)), 3);
    ck_assert(!rig_mail(&rig, 2, 3, PEER_REQUEST_VOTE)->message.vote.pre_vote);
    rig_drop(&rig, 2, 0);
    asks_at(&rig, 2, t0 + 4 + HOLD, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(r5d_pre_votes_hold_nobody)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    rig_forge(&rig,
              3,
              2,
              &(struct peer_message){
                  .kind = PEER_REQUEST_VOTE,
                  .term = 3,
                  .vote = {.last_index = 9, .last_term = 2, .pre_vote = true}});
    ck_assert(
        rig_mail(&rig, 2, 3, PEER_REQUEST_VOTE_RESULT)->message.vote_result.granted);
    rig_drop(&rig, 2, 0);
    asks_at(&rig, 2, t0 + FIRST, 1);
    rig_finish(&rig);
}
END_TEST

/* Our request leaves when term and vote are on disk, and the other disk may be as slow. */
START_TEST(r5d_holds_from_when_the_request_left)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    rig_time(&rig, 2, t0 + FIRST);
    rig_drop(&rig, 2, 0);
    rig.nodes[2].disk_by_hand = true;
    rig.now_ms = t0 + 4;
    rig_forge(
        &rig,
        3,
        2,
        &(struct peer_message){.kind = PEER_REQUEST_VOTE_RESULT,
                               .term = 3,
                               .vote_result = {.granted = true, .pre_vote = true}});
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 2)), 3);
    for (uint64_t at = t0 + 24; at < t0 + 104; at += 20)
        rig_time(&rig, 2, at);
    rig_time(&rig, 2, t0 + 104);
    ck_assert_uint_eq(asked(&rig, 2), 0);
    rig_disk(&rig, 2); /* 100 ms later */
    ck_assert_uint_eq(asked(&rig, 2), 1);
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 2)), 3);
    rig.nodes[2].disk_by_hand = false;
    asks_at(&rig, 2, t0 + 104 + HOLD + 100, 1);
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 2)), 4);
    rig_finish(&rig);
}
END_TEST

START_TEST(r5d_holds_from_when_the_vote_left)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 5, 3, 1);

    rig_peer_down(&rig, 3, 1); /* rank 1 of 4 */
    rig.nodes[3].disk_by_hand = true;
    rig.now_ms = t0 + 5;
    rig_forge(&rig,
              4,
              3,
              &(struct peer_message){.kind = PEER_REQUEST_VOTE,
                                     .term = 3,
                                     .vote = {.last_index = 9, .last_term = 2}});
    for (uint64_t at = t0 + 12; at <= t0 + 50; at += 19)
        rig_time(&rig, 3, at);
    rig_time(&rig, 3, t0 + 55);
    ck_assert_uint_eq(asked(&rig, 3), 0);
    rig_disk(&rig, 3); /* 50 ms later; the one before us in rank has as much again */
    rig_drop(&rig, 3, 0);
    rig.nodes[3].disk_by_hand = false;
    asks_at(&rig, 3, t0 + 55 + HOLD + 50 + STEP + 50, 3);
    rig_finish(&rig);
}
END_TEST

static bool gives_pre_vote(struct rig *rig, uint64_t from, uint64_t to, uint64_t index)
{
    struct rig_mail *answer;
    bool granted;

    rig_forge(rig,
              from,
              to,
              &(struct peer_message){
                  .kind = PEER_REQUEST_VOTE,
                  .term = replica_term(rig_replica(rig, to)) + 1,
                  .vote = {.last_index = index, .last_term = 1, .pre_vote = true}});
    answer = rig_mail(rig, to, from, PEER_REQUEST_VOTE_RESULT);
    granted = answer != NULL && answer->message.vote_result.granted;
    rig_drop(rig, to, 0);
    return granted;
}

/* Whoever got our vote, or asks for votes itself, is not to be unseated in that moment. */
START_TEST(r5d_no_pre_votes_meanwhile)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 5, 3, 1);

    rig_peer_down(&rig, 3, 1);
    rig.now_ms = t0 + 1;
    ck_assert(gives_pre_vote(&rig, 5, 3, 9));
    ask_for_vote(&rig, 4, 3, 3);
    rig.now_ms = t0 + 1 + HOLD - 1;
    ck_assert(!gives_pre_vote(&rig, 5, 3, 9));
    rig.now_ms = t0 + 1 + HOLD;
    ck_assert(gives_pre_vote(&rig, 5, 3, 9));
    rig_finish(&rig);

    t0 = follower(&rig, 3, 2, 1);
    rig_peer_down(&rig, 2, 1);
    asks_at(&rig, 2, t0 + FIRST, 1);
    answer_vote(&rig, 3, 2, 3, true);
    rig_drop(&rig, 2, 0);
    rig.now_ms = t0 + FIRST + HOLD - 1;
    ck_assert(!gives_pre_vote(&rig, 3, 2, 9));
    rig.now_ms = t0 + FIRST + HOLD;
    ck_assert(gives_pre_vote(&rig, 3, 2, 9));
    rig_finish(&rig);
}
END_TEST

/* Two ask at the same moment: the first in rank goes on, unless its log is the worse one. */
START_TEST(r5_requests_that_cross)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    asks_at(&rig, 2, t0 + FIRST, 1);
    ck_assert(!gives_pre_vote(&rig, 3, 2, 1));
    ck_assert(gives_pre_vote(&rig, 3, 2, 9));
    rig.now_ms = t0 + FIRST + HOLD - 1;
    ck_assert(!gives_pre_vote(&rig, 3, 2, 1));
    rig.now_ms = t0 + FIRST + HOLD;
    ck_assert(gives_pre_vote(&rig, 3, 2, 1));
    rig_finish(&rig);

    t0 = follower(&rig, 3, 3, 1);
    rig_peer_down(&rig, 3, 1);
    asks_at(&rig, 3, t0 + FIRST + STEP, 1);
    ck_assert(gives_pre_vote(&rig, 2, 3, 1));
    rig_finish(&rig);
}
END_TEST

/* The first in rank has the worse log: it need not wait for the second's slot. */
START_TEST(r5_asked_by_a_worse_log)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 3, 1);

    entry(&rig, 1, 3, 2);
    rig_flow(&rig);
    rig_drop(&rig, 3, 0);
    rig_peer_down(&rig, 3, 1);
    rig.now_ms = t0 + FIRST;
    rig_forge(&rig,
              2,
              3,
              &(struct peer_message){
                  .kind = PEER_REQUEST_VOTE,
                  .term = 3,
                  .vote = {.last_index = 1, .last_term = 1, .pre_vote = true}});
    ck_assert(
        !rig_mail(&rig, 3, 2, PEER_REQUEST_VOTE_RESULT)->message.vote_result.granted);
    ck_assert_uint_eq(rig_mails(&rig, 3, 2, PEER_REQUEST_VOTE), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(r5_winner_leads_and_stops)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    asks_at(&rig, 2, t0 + FIRST, 1);
    answer_vote(&rig, 3, 2, 3, true);
    answer_vote(&rig, 3, 2, 3, false);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 2)), REPLICA_LEADER);
    rig_drop(&rig, 2, 0);
    for (int i = 0; i < 10; i++)
        rig_time(&rig, 2, rig.now_ms + STEP);
    ck_assert_uint_eq(asked(&rig, 2), 0);
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 2)), 3);
    rig_finish(&rig);
}
END_TEST

/* ---- rule 6 ---- */

START_TEST(r6_who_steps_down_says_so_and_begins)
{
    struct rig rig;
    uint64_t t0;

    rig_three(&rig);
    rig.held[1][2] = rig.held[1][3] = true;
    t0 = rig.now_ms;
    rig_forge(&rig,
              3,
              1,
              &(struct peer_message){.kind = PEER_APPEND_ENTRIES_RESULT,
                                     .term = 9,
                                     .append_result = {.rejected = 1}});
    rig_flow(&rig);
    ck_assert_uint_eq(rig_counters(&rig, 1)->resignations, 1);
    ck_assert_uint_eq(rig_counters(&rig, 1)->hints, 1);
    ck_assert_uint_eq(rig_mail(&rig, 1, 2, PEER_RESIGN)->message.term, 2);
    ck_assert_uint_eq(rig_mails(&rig, 1, 3, PEER_RESIGN), 1);
    rig_drop(&rig, 1, 0);
    asks_at(&rig, 1, t0 + FIRST, 2);
    rig_finish(&rig);
}
END_TEST

/* A leader that gives its vote away in the step in which it falls lets the other one win. */
START_TEST(r6_holds_for_the_one_it_voted_for)
{
    struct rig rig;
    uint64_t t0;

    rig_three(&rig);
    rig.held[1][2] = rig.held[1][3] = true;
    t0 = rig.now_ms;
    rig_forge(&rig,
              3,
              1,
              &(struct peer_message){
                  .kind = PEER_REQUEST_VOTE,
                  .term = 3,
                  .vote = {.last_index = 2, .last_term = 2, .disrupt = true}});
    rig_flow(&rig);
    ck_assert(
        rig_mail(&rig, 1, 3, PEER_REQUEST_VOTE_RESULT)->message.vote_result.granted);
    rig_drop(&rig, 1, 0);
    asks_at(&rig, 1, t0 + HOLD, 2);
    rig_finish(&rig);
}
END_TEST

/* ---- rule 7 ---- */

START_TEST(r7_lost_leader_is_back_and_leads)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    rig.now_ms = t0 + 1;
    rig_peer_up(&rig, 2, 1, 11, true);
    ck_assert_uint_ge(rig.nodes[2].deadline_ms, t0 + WINDOW);
    rig_time(&rig, 2, t0 + FIRST);
    ck_assert_uint_eq(asked(&rig, 2), 0);
    heartbeat(&rig, 1, 2, 2);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(r7_not_when_it_does_not_lead_or_was_restarted)
{
    static const struct {
        uint64_t peer, incarnation;
        bool leads;
        unsigned requests;
    } cases[] = {{1, 11, false, 2}, {1, 12, true, 2}, {3, 13, true, 1}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct rig rig;
        uint64_t t0 = follower(&rig, 3, 2, 1);

        rig_peer_down(&rig, 2, 1);
        rig.now_ms = t0 + 1;
        rig_peer_up(&rig, 2, cases[i].peer, cases[i].incarnation, cases[i].leads);
        asks_at(&rig, 2, t0 + FIRST, cases[i].requests);
        rig_finish(&rig);
    }
}
END_TEST

START_TEST(r7_not_after_real_votes_were_asked_for)
{
    struct rig rig;
    uint64_t t0 = follower(&rig, 3, 2, 1);

    rig_peer_down(&rig, 2, 1);
    asks_at(&rig, 2, t0 + FIRST, 1);
    answer_vote(&rig, 3, 2, 3, true);
    rig_drop(&rig, 2, 0);
    rig_peer_up(&rig, 2, 1, 11, true);
    asks_at(&rig, 2, t0 + FIRST + HOLD, 2);
    rig_finish(&rig);
}
END_TEST

/* ---- all together ---- */

START_TEST(killed_leader_is_replaced_in_a_moment)
{
    struct rig rig;
    uint64_t t0;

    rig_three(&rig);
    t0 = rig.now_ms;
    rig_crash(&rig, 1);
    while (!replica_leads(rig_replica(&rig, 2)) && !replica_leads(rig_replica(&rig, 3)))
        rig_run(&rig, 1);
    ck_assert_uint_le(rig.now_ms, t0 + FIRST + 1);
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 2)), 3); /* one election */
    rig_finish(&rig);
}
END_TEST

START_TEST(false_hint_of_one_follower_changes_nothing)
{
    struct rig rig;

    rig_three(&rig);
    for (uint64_t i = 0; i < 20; i++) {
        rig_close(&rig, 1, 2 + i % 2);
        rig_run(&rig, 10 * (i % 7));
        rig_connect(&rig, 1, 2 + i % 2);
        rig_run(&rig, 130);
        ck_assert(replica_leads(rig_replica(&rig, 1)));
        ck_assert_uint_eq(replica_term(rig_replica(&rig, 1)), 2);
        ck_assert_uint_eq(replica_leader(rig_replica(&rig, 2)), 1);
        ck_assert_uint_eq(replica_leader(rig_replica(&rig, 3)), 1);
        ck_assert_uint_gt(rig_submit(&rig, 1, 100 + i), 0);
        rig_flow(&rig);
    }
    ck_assert_uint_eq(rig_counters(&rig, 2)->hints + rig_counters(&rig, 3)->hints, 20);
    rig_finish(&rig);
}
END_TEST

/* All lose a leader that lives, and are back before the election is over: whoever leads then,
 * somebody does within two heartbeats. */
START_TEST(false_hint_of_all_heals_at_once)
{
    for (uint64_t pause = 0; pause < 40; pause++) {
        struct rig rig;
        uint64_t leader;

        rig_three(&rig);
        rig_close(&rig, 1, 2);
        rig_close(&rig, 1, 3);
        rig_run(&rig, pause);
        rig_connect(&rig, 1, 2);
        rig_connect(&rig, 1, 3);
        rig_run(&rig, 200);
        leader = replica_leader(rig_replica(&rig, 2));
        ck_assert_uint_ne(leader, 0);
        ck_assert_uint_gt(rig_submit(&rig, leader, 31), 0);
        rig_run(&rig, 200);
        for (uint64_t id = 1; id <= 3; id++)
            ck_assert_uint_eq(rig.nodes[id].values[rig.nodes[id].applied], 31);
        rig_finish(&rig);
    }
}
END_TEST

UNIT_MAIN("election",
          unit_case("rules 1 to 4",
                    r1_close_of_the_leaders_connection_is_a_hint,
                    r1_close_of_another_is_none,
                    r1_silence_is_none,
                    r1_a_leader_takes_no_hint,
                    r1_resign_of_the_leader_is_a_hint,
                    r2_never_while_a_write_is_pending,
                    r2_write_that_outlasts_the_window,
                    r2_new_leader_before_the_write_ends,
                    r2_votes_are_given_while_a_write_is_pending,
                    r3_belief_goes_silently,
                    r3_votes_are_given_from_then_on,
                    r3_who_was_refused_for_the_belief_is_answered_again,
                    r4_first_slot_by_rank_among_the_living),
          unit_case("rule 5",
                    r5_slots_until_the_window_is_over,
                    r5b_nothing_while_a_leader_is_known,
                    r5b_second_leader_dies_too,
                    r5c_write_pending_in_a_slot,
                    r5d_holds_after_a_vote_given,
                    r5d_holds_after_a_vote_given_before_the_hint,
                    r5d_holds_after_a_candidacy,
                    r5d_pre_votes_hold_nobody,
                    r5d_holds_from_when_the_request_left,
                    r5d_holds_from_when_the_vote_left,
                    r5d_no_pre_votes_meanwhile,
                    r5_requests_that_cross,
                    r5_asked_by_a_worse_log,
                    r5_winner_leads_and_stops),
          unit_case("rules 6 and 7",
                    r6_who_steps_down_says_so_and_begins,
                    r6_holds_for_the_one_it_voted_for,
                    r7_lost_leader_is_back_and_leads,
                    r7_not_when_it_does_not_lead_or_was_restarted,
                    r7_not_after_real_votes_were_asked_for),
          unit_case("together",
                    killed_leader_is_replaced_in_a_moment,
                    false_hint_of_one_follower_changes_nothing,
                    false_hint_of_all_heals_at_once))
