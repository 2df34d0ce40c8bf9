/* test_patience.c - Joint 11: how long a client waits, for whom, and what it says then. */
#include "rules.h"

#include "tests/lib/unit.h"
#include "wire/message.h"

#include <string.h>

/* ---- silence ---- */

START_TEST(silence_asks_the_others_at_the_same_time)
{
    uint32_t id;

    begin_asked();
    id = last_id();
    fixture_wait(&f, CLIENT_HEDGE_MS - 1);
    ck_assert_uint_eq(all_connects(), 1);
    fixture_wait(&f, 1);
    ck_assert_uint_eq(f.connects[master_b], 1);
    ck_assert_uint_eq(f.connects[master_c], 1);
    fixture_connected(&f, master_b);
    fixture_connected(&f, master_c);
    ck_assert_uint_eq(f.sent_count, 3);
    fixture_error(
        &f, master_b, id, ERROR_NOT_LEADER, client_core_address(f.core, master_a));
    ck_assert_uint_eq(f.finished_count, 0);
    fixture_result(&f, master_c, id, 17);
    assert_finished(ERROR_NONE, "");
    ck_assert_uint_eq(client_core_leader(f.core), master_c);
    /* Whatever the others say now is too late. */
    fixture_result(&f, master_a, id, 17);
    fixture_error(&f, master_b, id, ERROR_INVALID, "");
    ck_assert_uint_eq(f.finished_count, 1);
}
END_TEST

START_TEST(the_silent_one_may_answer_first)
{
    begin_asked();
    fixture_wait(&f, CLIENT_HEDGE_MS);
    fixture_connected(&f, master_b);
    fixture_result(&f, master_a, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert_uint_eq(client_core_leader(f.core), master_a);
}
END_TEST

START_TEST(a_silent_connection_is_not_waited_for)
{
    begin();
    fixture_wait(&f, CLIENT_HEDGE_MS);
    ck_assert_uint_eq(f.connects[master_b], 1);
    ck_assert_uint_eq(f.connects[master_c], 1);
    fixture_connected(&f, master_c);
    ck_assert_uint_eq(fixture_last_sent(&f)->master, master_c);
    ck_assert_uint_eq(f.closes[master_a], 0);
    fixture_wait(&f, CLIENT_CONNECT_MS);
    ck_assert_uint_ge(f.closes[master_a], 1);
}
END_TEST

START_TEST(a_lost_answer_is_asked_for_again)
{
    begin_asked();
    fixture_wait(&f, CLIENT_REASK_MS - 1);
    ck_assert_uint_eq(fixture_sent_to(&f, master_a), 1);
    fixture_wait(&f, 1);
    ck_assert_uint_eq(fixture_sent_to(&f, master_a), 2);
    fixture_result(&f, master_a, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert(fixture_last_finished(&f)->repeated);
}
END_TEST

START_TEST(a_leader_that_answers_others_is_not_suspected)
{
    uint32_t slow;

    begin_asked();
    slow = last_id();
    for (uint64_t ticket = 2; ticket < 10; ticket++) {
        fixture_wait(&f, 100);
        fixture_submit(&f, ticket, "key");
        ck_assert_uint_eq(fixture_last_sent(&f)->master, master_a);
        fixture_result(&f, master_a, last_id(), ticket);
        ck_assert_uint_eq(client_core_leader(f.core), master_a);
    }
    ck_assert_uint_eq(f.connects[master_b], 1);
    fixture_connected(&f, master_b);
    ck_assert_uint_eq(fixture_last_sent(&f)->id, slow);
    ck_assert_uint_eq(client_core_leader(f.core), master_a);
}
END_TEST

START_TEST(requests_do_not_pile_up_at_a_silent_leader)
{
    begin_asked();
    fixture_wait(&f, CLIENT_HEDGE_MS);
    ck_assert_uint_eq(client_core_leader(f.core), CLIENT_NOBODY);
    for (uint64_t ticket = 2; ticket < 1002; ticket++)
        fixture_submit(&f, ticket, "key");
    ck_assert_uint_le(fixture_sent_to(&f, master_a), 2);
    fixture_result(&f, master_a, f.sent[0].id, 17);
    ck_assert_uint_eq(fixture_sent_to(&f, master_a), 1001);
}
END_TEST

/* ---- busy ---- */

START_TEST(busy_is_repeated_after_a_growing_rest)
{
    uint64_t rest_ms = 0;

    begin_asked();
    for (unsigned i = 0; i < 16; i++) {
        size_t before = f.sent_count;
        uint64_t told_ms = f.now_ms;

        fixture_error(&f, master_a, last_id(), ERROR_BUSY, "");
        ck_assert_uint_eq(f.sent_count, before);
        while (f.sent_count == before)
            fixture_wait(&f, 1);
        rest_ms = f.now_ms - told_ms;
        ck_assert_uint_ge(rest_ms, 10);
        ck_assert_uint_le(rest_ms, 2001);
    }
    ck_assert_uint_ge(rest_ms, 1000);
    ck_assert_uint_eq(all_connects(), 1);
    fixture_result(&f, master_a, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert(!fixture_last_finished(&f)->repeated);
}
END_TEST

/* Who asks again sooner would hear the same; but others may make room, so it is not long. */
START_TEST(busy_says_how_long_to_rest)
{
    size_t before;
    uint64_t told_ms;

    begin_asked();
    before = f.sent_count;
    told_ms = f.now_ms;
    fixture_busy(&f, master_a, last_id(), 1500);
    while (f.sent_count == before)
        fixture_wait(&f, 1);
    ck_assert_uint_ge(f.now_ms - told_ms, 750);
    before = f.sent_count;
    told_ms = f.now_ms;
    fixture_busy(&f, master_a, last_id(), 20000);
    while (f.sent_count == before)
        fixture_wait(&f, 1);
    ck_assert_uint_ge(f.now_ms - told_ms, 1000);
    ck_assert_uint_le(f.now_ms - told_ms, 2001);
    fixture_result(&f, master_a, last_id(), 17);
    assert_finished(ERROR_NONE, "");
}
END_TEST

START_TEST(busy_beyond_the_deadline_is_told_at_once)
{
    begin_asked();
    fixture_busy(&f, master_a, last_id(), 600000);
    ck_assert_uint_eq(f.finished_count, 1);
    assert_finished(
        ERROR_BUSY,
        "the masters are busy, so nothing was changed: the test is full; try "
        "again in 10");
}
END_TEST

/* It may have been done by one that is gone. */
START_TEST(busy_tells_nothing_of_an_earlier_try)
{
    begin_asked();
    fixture_closed(&f, master_a);
    fixture_connected_leading(&f, master_b, 2);
    fixture_busy(&f, master_b, last_id(), 600000);
    ck_assert_uint_eq(f.finished_count, 0);
    fixture_wait(&f, CLIENT_DEADLINE_MS);
    assert_finished(ERROR_TIMEOUT, "outcome is unknown");
}
END_TEST

START_TEST(rests_are_jittered)
{
    bool differ = false;
    uint64_t first = 0;

    for (uint64_t entropy = 1; entropy < 10; entropy++) {
        fixture_start(&f, 1, entropy);
        fixture_submit(&f, 1, "k");
        fixture_connected_leading(&f, 0, 1);
        fixture_error(&f, 0, last_id(), ERROR_BUSY, "");
        if (first == 0)
            first = f.actions.deadline_ms;
        differ = differ || first != f.actions.deadline_ms;
        fixture_finish(&f);
    }
    ck_assert(differ);
    fixture_start(&f, 1, 1);
}
END_TEST

START_TEST(unavailable_asks_all)
{
    begin_asked();
    fixture_error(&f, master_a, last_id(), ERROR_UNAVAILABLE, "");
    ck_assert_uint_eq(f.connects[master_b], 1);
    ck_assert_uint_eq(f.connects[master_c], 1);
    fixture_wait(&f, 300);
    ck_assert_uint_gt(fixture_sent_to(&f, master_a), 1);
}
END_TEST

/* ---- the end of patience ---- */

START_TEST(an_unknown_outcome_says_how_to_find_out)
{
    uint32_t id;

    begin_asked();
    id = last_id();
    fixture_closed(&f, master_a);
    fixture_wait(&f, CLIENT_DEADLINE_MS - 1);
    ck_assert_uint_eq(f.finished_count, 0);
    fixture_wait(&f, 1);
    assert_finished(ERROR_TIMEOUT, "outcome is unknown");
    assert_finished(ERROR_TIMEOUT,
                    "repeat with --key key-1; the same key never makes a second job");
    ck_assert_uint_eq(fixture_last_finished(&f)->master, CLIENT_NOBODY);
    fixture_connected(&f, master_b);
    fixture_result(&f, master_b, id, 17);
    ck_assert_uint_eq(f.finished_count, 1);
    fixture_wait(&f, CLIENT_CONNECT_MS);
    ck_assert_uint_eq(f.actions.deadline_ms, UINT64_MAX);
}
END_TEST

START_TEST(other_methods_have_their_own_advice)
{
    fixture_start(&f, 1, 1);
    fixture_request(&f, 1, METHOD_KILL, CLIENT_LEADER, 0, 1000);
    fixture_request(&f, 2, METHOD_JOBS, CLIENT_LEADER, 0, 1000);
    fixture_connected_leading(&f, 0, 1);
    fixture_wait(&f, 1000);
    ck_assert_uint_eq(f.finished_count, 2);
    ck_assert_ptr_nonnull(strstr(f.finished[0].text, "kill: no answer within 1s"));
    ck_assert_ptr_nonnull(strstr(f.finished[0].text, "does no harm"));
    /* A listing has no outcome. */
    ck_assert_int_eq(f.finished[1].code, ERROR_TIMEOUT);
    ck_assert_str_eq(f.finished[1].text,
                     "jobs: no answer within 1s: a:1 answers, but no master leads: "
                     "do most of them "
                     "run?");
}
END_TEST

START_TEST(what_nobody_took_changed_nothing)
{
    begin();
    fixture_connected(&f, master_a);
    fixture_refused(&f, master_b);
    for (unsigned i = 0; i < 400; i++) {
        fixture_error(&f, master_a, last_id(), ERROR_NOT_LEADER, "");
        fixture_refused(&f, master_b);
        fixture_refused(&f, master_c);
        fixture_wait(&f, 100);
    }
    assert_finished(ERROR_UNAVAILABLE, "nothing was changed");
    assert_finished(ERROR_UNAVAILABLE, "connection refused");
}
END_TEST

START_TEST(busy_to_the_end_says_so)
{
    begin_asked();
    for (unsigned i = 0; i < 400; i++) {
        fixture_error(&f, master_a, last_id(), ERROR_BUSY, "");
        fixture_wait(&f, 100);
    }
    assert_finished(ERROR_BUSY,
                    "nothing was changed: because of the test; try again later");
}
END_TEST

START_TEST(a_cluster_that_is_not_there_is_given_up_sooner)
{
    begin();
    for (uint64_t i = 0; i < CLIENT_REACH_MS; i++) {
        ck_assert_uint_eq(f.finished_count, 0);
        for (uint32_t m = 0; m < 3; m++)
            fixture_refused(&f, m);
        fixture_wait(&f, 1);
    }
    assert_finished(ERROR_UNAVAILABLE, "a:1: connection refused; b:1: connection");
    /* 20 ms growing to 1 s, with jitter, for 5 s and 3 masters. */
    ck_assert_uint_le(all_connects(), 3 * 18);
}
END_TEST

START_TEST(a_cluster_that_was_there_is_waited_for)
{
    begin_asked();
    fixture_closed(&f, master_a);
    for (unsigned i = 0; i < 200; i++) {
        for (uint32_t m = 0; m < 3; m++)
            fixture_refused(&f, m);
        fixture_wait(&f, 100);
    }
    ck_assert_uint_eq(f.finished_count, 0);
    fixture_wait(&f, 1000);
    fixture_connected_leading(&f, master_b, 2);
    fixture_result(&f, master_b, last_id(), 17);
    assert_finished(ERROR_NONE, "");
}
END_TEST

int main(void)
{
    TCase *rules = tcase_create("patience");

    tcase_add_checked_fixture(rules, NULL, end);
    tcase_add_test(rules, silence_asks_the_others_at_the_same_time);
    tcase_add_test(rules, the_silent_one_may_answer_first);
    tcase_add_test(rules, a_silent_connection_is_not_waited_for);
    tcase_add_test(rules, a_lost_answer_is_asked_for_again);
    tcase_add_test(rules, a_leader_that_answers_others_is_not_suspected);
    tcase_add_test(rules, requests_do_not_pile_up_at_a_silent_leader);
    tcase_add_test(rules, busy_is_repeated_after_a_growing_rest);
    tcase_add_test(rules, busy_says_how_long_to_rest);
    tcase_add_test(rules, busy_beyond_the_deadline_is_told_at_once);
    tcase_add_test(rules, busy_tells_nothing_of_an_earlier_try);
    tcase_add_test(rules, rests_are_jittered);
    tcase_add_test(rules, unavailable_asks_all);
    tcase_add_test(rules, an_unknown_outcome_says_how_to_find_out);
    tcase_add_test(rules, other_methods_have_their_own_advice);
    tcase_add_test(rules, what_nobody_took_changed_nothing);
    tcase_add_test(rules, busy_to_the_end_says_so);
    tcase_add_test(rules, a_cluster_that_is_not_there_is_given_up_sooner);
    tcase_add_test(rules, a_cluster_that_was_there_is_waited_for);
    return unit_run("client_core_patience", &rules, 1);
}
