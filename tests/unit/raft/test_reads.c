/* test_reads.c - linearizable reads, and handing leadership over. */
#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft/rig.h"

static void confirmed(struct rig *rig, uint64_t from, uint64_t term, uint64_t round)
{
    rig_forge(rig,
              from,
              1,
              &(struct peer_message){
                  .kind = PEER_CONFIRMED, .term = term, .confirmed = {.round = round}});
}

/* 1 leads and the post of it is moved by hand. */
static void leader(struct rig *rig)
{
    rig_three(rig);
    rig->held[1][2] = rig->held[1][3] = true;
}

static uint64_t round_asked(struct rig *rig)
{
    struct rig_mail *mail = rig_mail(rig, 1, 2, PEER_CONFIRM);

    ck_assert_ptr_nonnull(mail);
    return mail->message.confirm.round;
}

/* ---- reads ---- */

START_TEST(ready_when_a_majority_said_so_after_it_was_asked)
{
    struct rig rig;

    leader(&rig);
    rig_read(&rig, 1, 7);
    ck_assert_uint_eq(rig_mails(&rig, 1, 0, PEER_CONFIRM), 2);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 0);
    rig_deliver_all(&rig, 1, 2);
    rig_deliver_all(&rig, 2, 1);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 1);
    ck_assert_uint_eq(rig_said(&rig, 1, REPLICA_READ_READY, 0)->a, 7);
    rig_finish(&rig);
}
END_TEST

START_TEST(majority_of_five_is_three)
{
    struct rig rig;

    rig_init(&rig, 5);
    rig_start_all(&rig);
    rig_elect(&rig, 1);
    for (uint64_t id = 2; id <= 5; id++)
        rig.held[1][id] = true;
    rig_read(&rig, 1, 7);
    confirmed(&rig, 4, 2, round_asked(&rig));
    confirmed(&rig, 4, 2, round_asked(&rig)); /* once more, by the same */
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 0);
    confirmed(&rig, 2, 2, round_asked(&rig));
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(sole_master_confirms_itself)
{
    struct rig rig;

    rig_init(&rig, 1);
    rig_start(&rig, 1);
    rig_flow(&rig);
    rig_read(&rig, 1, 7);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 1);
    rig_finish(&rig);
}
END_TEST

/* What was confirmed before the read came says nothing about it. */
START_TEST(later_reads_have_a_round_of_their_own)
{
    struct rig rig;
    uint64_t first;

    leader(&rig);
    rig_read(&rig, 1, 7);
    first = round_asked(&rig);
    rig_read(&rig, 1, 8);
    rig_read(&rig, 1, 9);
    ck_assert_uint_eq(rig_mails(&rig, 1, 2, PEER_CONFIRM), 1);
    rig_drop(&rig, 1, 0);
    confirmed(&rig, 2, 2, first);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 1);
    confirmed(&rig, 3, 2, first);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 1);
    ck_assert_uint_ne(round_asked(&rig), first);
    confirmed(&rig, 3, 2, round_asked(&rig));
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 3); /* both share it */
    ck_assert_uint_eq(rig_counters(&rig, 1)->reads_confirmed, 3);
    rig_finish(&rig);
}
END_TEST

START_TEST(answers_of_other_rounds_and_terms_do_not_count)
{
    struct rig rig;

    leader(&rig);
    rig_read(&rig, 1, 7);
    confirmed(&rig, 2, 2, round_asked(&rig) + 1);
    confirmed(&rig, 2, 2, round_asked(&rig) - 1);
    confirmed(&rig, 2, 1, round_asked(&rig));
    confirmed(&rig, 2, 3, round_asked(&rig));
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 0);
    confirmed(&rig, 2, 2, round_asked(&rig));
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 1);
    rig_finish(&rig);
}
END_TEST

/* It must see what was committed when it was asked, and that may not be applied yet. */
START_TEST(waits_until_what_was_committed_is_applied)
{
    struct rig rig;

    rig_init(&rig, 3);
    rig.nodes[1].config.apply_budget = 2;
    rig_start_all(&rig);
    rig_elect(&rig, 1);
    rig.held[2][1] = rig.held[3][1] = true;
    for (uint64_t i = 0; i < 9; i++)
        rig_submit(&rig, 1, 100 + i);
    rig_flow(&rig);
    rig_drop(&rig, 0, 1);
    rig_forge(&rig,
              2,
              1,
              &(struct peer_message){.kind = PEER_APPEND_ENTRIES_RESULT,
                                     .term = 2,
                                     .append_result = {.last_index = 11}});
    ck_assert_uint_eq(replica_commit_index(rig_replica(&rig, 1)), 11);
    ck_assert_uint_lt(replica_applied_index(rig_replica(&rig, 1)), 11);
    ck_assert(rig.nodes[1].again);
    rig_read(&rig, 1, 7);
    while (rig_mail(&rig, 0, 0, 0) != NULL)
        rig_deliver(&rig, rig_mail(&rig, 0, 0, 0));
    ck_assert_uint_eq(rig_counters(&rig, 1)->reads_confirmed, 1);
    while (rig_count(&rig, 1, REPLICA_READ_READY) == 0) {
        ck_assert_uint_lt(replica_applied_index(rig_replica(&rig, 1)), 11);
        ck_assert(rig.nodes[1].again);
        rig_step(&rig, 1, &(struct replica_event){.kind = REPLICA_CONTINUE});
    }
    ck_assert_uint_eq(replica_applied_index(rig_replica(&rig, 1)), 11);
    rig_finish(&rig);
}
END_TEST

START_TEST(lost_question_is_asked_again)
{
    struct rig rig;
    uint64_t asked, round;

    leader(&rig);
    rig_read(&rig, 1, 7);
    asked = rig.now_ms;
    round = round_asked(&rig);
    rig_drop(&rig, 1, 0);
    ck_assert_uint_le(rig.nodes[1].deadline_ms, asked + 100);
    rig_time(&rig, 1, asked + 99);
    ck_assert_uint_eq(rig_mails(&rig, 1, 0, PEER_CONFIRM), 0);
    rig_time(&rig, 1, asked + 100);
    ck_assert_uint_eq(rig_mails(&rig, 1, 0, PEER_CONFIRM), 2);
    ck_assert_uint_eq(round_asked(&rig),
                      round); /* an answer to the first one still counts */
    rig_deliver_all(&rig, 1, 3);
    rig_deliver_all(&rig, 3, 1);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(followers_and_candidates_refuse)
{
    struct rig rig;

    rig_three(&rig);
    rig_read(&rig, 2, 7);
    ck_assert_uint_eq(rig_said(&rig, 2, REPLICA_READ_FAILED, 0)->a, 7);
    rig_isolate(&rig, 2);
    rig_time(&rig, 2, rig.now_ms + 1500);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 2)), REPLICA_CANDIDATE);
    rig_read(&rig, 2, 8);
    ck_assert_uint_eq(rig_count(&rig, 2, REPLICA_READ_FAILED), 2);
    rig_finish(&rig);
}
END_TEST

/* Those in the round, those for the next, and those that only wait for applying. */
START_TEST(reads_of_a_deposed_leader_fail)
{
    struct rig rig;

    leader(&rig);
    rig_read(&rig, 1, 7);
    rig_read(&rig, 1, 8);
    rig_forge(&rig,
              3,
              1,
              &(struct peer_message){.kind = PEER_APPEND_ENTRIES_RESULT,
                                     .term = 3,
                                     .append_result = {.rejected = 1}});
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 0);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_FAILED), 2);
    ck_assert_uint_eq(rig_said(&rig, 1, REPLICA_READ_FAILED, 0)->a, 8);
    ck_assert_uint_eq(rig_said(&rig, 1, REPLICA_READ_FAILED, 1)->a, 7);
    rig_finish(&rig);
}
END_TEST

/* 1 is cut off and does not know that 2 leads and has committed: whoever it can ask says so. */
START_TEST(leader_that_was_replaced_answers_nothing)
{
    struct rig rig;
    uint64_t round;

    rig_three(&rig);
    rig_isolate(&rig, 1);
    rig_elect(&rig, 2);
    rig_submit(&rig, 2, 31);
    rig_flow(&rig);
    ck_assert_int_eq(replica_role(rig_replica(&rig, 1)), REPLICA_LEADER);
    rig_peer_up(&rig, 1, 2, 1, true);
    rig_peer_up(&rig, 1, 3, 1, false);
    rig_read(&rig, 1, 7);
    round = round_asked(&rig);
    rig.up[2][1] = rig.up[3][1] = true;
    rig_deliver_all(&rig, 1, 3);
    confirmed(&rig, 3, replica_term(rig_replica(&rig, 3)), round);
    confirmed(&rig, 2, replica_term(rig_replica(&rig, 2)), round);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 0);
    rig_run(&rig, 1000);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 0);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_FAILED), 1);
    rig_finish(&rig);
}
END_TEST

/* ---- transfer ---- */

START_TEST(transfer_waits_until_the_target_has_everything)
{
    struct rig rig;

    leader(&rig);
    rig_submit(&rig, 1, 31);
    rig_submit(&rig, 1, 41);
    rig_transfer(&rig, 1, 3);
    ck_assert_uint_eq(rig_mails(&rig, 1, 0, PEER_TIMEOUT_NOW), 0);
    rig_deliver_all(&rig, 1, 2);
    rig_flow(&rig);
    ck_assert_uint_eq(rig_mails(&rig, 1, 0, PEER_TIMEOUT_NOW), 0);
    rig_deliver(&rig, rig_mail(&rig, 1, 3, PEER_APPEND_ENTRIES));
    rig_flow(&rig);
    ck_assert_uint_eq(replica_match_index(rig_replica(&rig, 1), 3), 3);
    ck_assert_uint_eq(rig_mails(&rig, 1, 0, PEER_TIMEOUT_NOW), 0);
    rig_deliver(&rig, rig_mail(&rig, 1, 3, PEER_APPEND_ENTRIES));
    rig_flow(&rig);
    ck_assert_uint_eq(rig_mails(&rig, 1, 3, PEER_TIMEOUT_NOW), 1);
    ck_assert_uint_eq(
        rig_mail(&rig, 1, 3, PEER_TIMEOUT_NOW)->message.timeout_now.last_index, 4);
    rig.held[1][2] = rig.held[1][3] = false;
    rig_flow(&rig);
    ck_assert(replica_leads(rig_replica(&rig, 3)));
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 3)), 3);
    ck_assert_uint_eq(replica_leader(rig_replica(&rig, 1)), 3);
    ck_assert_uint_eq(rig_counters(&rig, 1)->transfers, 1);
    rig_finish(&rig);
}
END_TEST

START_TEST(submits_are_refused_meanwhile)
{
    struct rig rig;

    leader(&rig);
    ck_assert(replica_accepts(rig_replica(&rig, 1)));
    rig_submit(&rig, 1, 31);
    rig_transfer(&rig, 1, 3);
    ck_assert(!replica_accepts(rig_replica(&rig, 1)));
    ck_assert_uint_eq(rig_submit(&rig, 1, 41), 0);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 1)), 3);
    rig_finish(&rig);
}
END_TEST

/* It goes on leading, and the target, which comes back later, does not unseat it. */
START_TEST(given_up_after_an_election_timeout)
{
    struct rig rig;
    uint64_t t0;

    rig_three(&rig);
    rig.held[1][3] = true;
    rig_submit(&rig, 1, 31);
    rig_transfer(&rig, 1, 3);
    t0 = rig.now_ms;
    ck_assert_uint_le(rig.nodes[1].deadline_ms, t0 + 500);
    rig_run(&rig, 499);
    ck_assert(!replica_accepts(rig_replica(&rig, 1)));
    rig_run(&rig, 1);
    ck_assert(replica_leads(rig_replica(&rig, 1)));
    ck_assert(replica_accepts(rig_replica(&rig, 1)));
    rig.held[1][3] = false;
    rig_run(&rig, 300);
    ck_assert_uint_eq(rig_submit(&rig, 1, 41), 4);
    rig_run(&rig, 300);
    ck_assert(replica_leads(rig_replica(&rig, 1)));
    ck_assert_uint_eq(replica_term(rig_replica(&rig, 1)), 2);
    ck_assert_uint_eq(rig_counters(&rig, 1)->transfers, 0);
    rig_finish(&rig);
}
END_TEST

/* Ordered, and the order is lost: the library refuses submits until it gives up as well. */
START_TEST(lost_order_is_given_up)
{
    struct rig rig;

    rig_three(&rig);
    rig.held[1][3] = true;
    rig_transfer(&rig, 1, 3);
    ck_assert_uint_eq(rig_mails(&rig, 1, 3, PEER_TIMEOUT_NOW), 1);
    rig_drop(&rig, 1, 3);
    rig.held[1][3] = false;
    rig_run(&rig, 700);
    ck_assert(replica_leads(rig_replica(&rig, 1)));
    ck_assert_uint_eq(rig_submit(&rig, 1, 31), 3);
    rig_finish(&rig);
}
END_TEST

START_TEST(best_peer_is_the_one_that_has_most)
{
    struct rig rig;

    rig_three(&rig);
    rig.held[1][2] = true;
    rig_submit(&rig, 1, 31);
    rig_flow(&rig);
    rig.held[1][2] = false;
    rig_transfer(&rig, 1, 0);
    rig_flow(&rig);
    ck_assert(replica_leads(rig_replica(&rig, 3)));
    rig_finish(&rig);
}
END_TEST

/* It dies before it has everything: another one will do, unless this one was asked for. */
START_TEST(target_that_goes_away)
{
    struct rig rig;

    leader(&rig);
    rig_submit(&rig, 1, 31);
    rig_transfer(&rig, 1, 0);
    ck_assert(!replica_accepts(rig_replica(&rig, 1)));
    rig_crash(&rig, 2);
    ck_assert(!replica_accepts(rig_replica(&rig, 1)));
    rig.held[1][3] = false;
    rig_flow(&rig);
    ck_assert(replica_leads(rig_replica(&rig, 3)));
    ck_assert_uint_eq(rig_counters(&rig, 1)->transfers, 1);
    rig_finish(&rig);

    leader(&rig);
    rig_submit(&rig, 1, 31);
    rig_transfer(&rig, 1, 2);
    rig_crash(&rig, 2);
    ck_assert(replica_accepts(rig_replica(&rig, 1)));
    rig.held[1][3] = false;
    rig_flow(&rig);
    ck_assert_uint_eq(rig_submit(&rig, 1, 41), 4);
    ck_assert(replica_leads(rig_replica(&rig, 1)));
    rig_finish(&rig);
}
END_TEST

START_TEST(nobody_to_hand_over_to)
{
    struct rig rig;

    rig_three(&rig);
    rig_transfer(&rig, 1, 9);
    rig_transfer(&rig, 1, 1);
    rig_close(&rig, 1, 3);
    rig_transfer(&rig, 1, 3);
    ck_assert(replica_accepts(rig_replica(&rig, 1)));
    rig_transfer(&rig, 2, 3); /* not the leader */
    rig_flow(&rig);
    ck_assert(replica_leads(rig_replica(&rig, 1)));
    rig_close(&rig, 1, 2);
    rig_transfer(&rig, 1, 0);
    ck_assert(replica_accepts(rig_replica(&rig, 1)));
    rig_finish(&rig);
}
END_TEST

/* Reads go on meanwhile, and fail when leadership is gone. */
START_TEST(reads_during_a_transfer)
{
    struct rig rig;

    rig_three(&rig);
    rig.held[1][3] = true;
    rig_submit(&rig, 1, 31);
    rig_transfer(&rig, 1, 3);
    rig_read(&rig, 1, 7);
    rig_flow(&rig);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_READY), 1);
    rig.held[1][3] = false;
    rig_flow(&rig);
    ck_assert(replica_leads(rig_replica(&rig, 3)));
    rig_read(&rig, 1, 8);
    ck_assert_uint_eq(rig_count(&rig, 1, REPLICA_READ_FAILED), 1);
    rig_finish(&rig);
}
END_TEST

/* ---- submits ---- */

START_TEST(uncommitted_entries_are_bounded)
{
    struct rig rig;
    uint64_t taken = 0;

    rig_three(&rig);
    rig.held[1][2] = rig.held[1][3] = true;
    while (rig_submit(&rig, 1, 100 + taken) != 0)
        taken++;
    ck_assert_uint_eq(taken, LIMIT_UNCOMMITTED_ENTRIES);
    rig.held[1][2] = false;
    rig_run(&rig, 100);
    ck_assert_uint_gt(rig_submit(&rig, 1, 7), 0);
    rig_finish(&rig);
}
END_TEST

START_TEST(followers_take_nothing)
{
    struct rig rig;

    rig_three(&rig);
    ck_assert_uint_eq(rig_submit(&rig, 2, 31), 0);
    ck_assert_uint_eq(replica_last_index(rig_replica(&rig, 2)), 2);
    rig_finish(&rig);
}
END_TEST

UNIT_MAIN("reads",
          unit_case("reads",
                    ready_when_a_majority_said_so_after_it_was_asked,
                    majority_of_five_is_three,
                    sole_master_confirms_itself,
                    later_reads_have_a_round_of_their_own,
                    answers_of_other_rounds_and_terms_do_not_count,
                    waits_until_what_was_committed_is_applied,
                    lost_question_is_asked_again,
                    followers_and_candidates_refuse,
                    reads_of_a_deposed_leader_fail,
                    leader_that_was_replaced_answers_nothing),
          unit_case("transfer",
                    transfer_waits_until_the_target_has_everything,
                    submits_are_refused_meanwhile,
                    given_up_after_an_election_timeout,
                    lost_order_is_given_up,
                    best_peer_is_the_one_that_has_most,
                    target_that_goes_away,
                    nobody_to_hand_over_to,
                    reads_during_a_transfer),
          unit_case("submits", uncommitted_entries_are_bounded, followers_take_nothing))
