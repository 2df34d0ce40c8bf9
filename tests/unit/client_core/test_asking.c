/* test_asking.c - Joint 11: who is asked, and what a refusal leads to. */
#include "rules.h"

#include "tests/lib/unit.h"
#include "wire/message.h"

#include <stdio.h>

/* ---- the usual way ---- */

START_TEST(asks_one_master_and_takes_its_answer)
{
    begin();
    ck_assert_uint_eq(all_connects(), 1);
    ck_assert_uint_eq(f.sent_count, 0);
    fixture_connected(&f, master_a);
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_str_eq(fixture_last_sent(&f)->key, "key-1");
    fixture_result(&f, master_a, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert_uint_eq(fixture_last_finished(&f)->id, 17);
    ck_assert_uint_eq(fixture_last_finished(&f)->master, master_a);
    ck_assert(!fixture_last_finished(&f)->repeated);
    ck_assert_uint_eq(f.actions.deadline_ms, UINT64_MAX);
}
END_TEST

START_TEST(asks_the_last_leader_at_once)
{
    begin_asked();
    fixture_result(&f, master_a, last_id(), 17);
    ck_assert_uint_eq(client_core_leader(f.core), master_a);
    fixture_submit(&f, 2, "key-2");
    fixture_submit(&f, 3, "key-3");
    ck_assert_uint_eq(fixture_sent_to(&f, master_a), 3);
    ck_assert_uint_eq(all_connects(), 1);
}
END_TEST

START_TEST(any_first_master_is_possible)
{
    unsigned first[3] = {0};

    for (uint64_t entropy = 0; entropy < 60; entropy++) {
        fixture_start(&f, 3, entropy);
        fixture_submit(&f, 1, "k");
        name_masters();
        first[master_a]++;
        fixture_finish(&f);
    }
    for (unsigned m = 0; m < 3; m++)
        ck_assert_uint_gt(first[m], 5);
    fixture_start(&f, 3, 0);
}
END_TEST

START_TEST(an_answer_without_doubt_is_final)
{
    static const enum error_code codes[] = {ERROR_INVALID,
                                            ERROR_TOO_LARGE,
                                            ERROR_NOT_FOUND,
                                            ERROR_CONFLICT,
                                            ERROR_IO,
                                            ERROR_CORRUPT,
                                            ERROR_INTERNAL};

    begin_asked();
    fixture_error(&f, master_a, last_id(), codes[_i], "b:1");
    assert_finished(codes[_i], "because of the test");
    ck_assert_uint_eq(fixture_last_finished(&f)->master, master_a);
    ck_assert_uint_eq(f.sent_count, 1);
}
END_TEST

/* ---- not_leader ---- */

START_TEST(a_hint_is_followed_at_once)
{
    begin();
    fixture_connected(&f, master_a);
    fixture_error(&f,
                  master_a,
                  last_id(),
                  ERROR_NOT_LEADER,
                  client_core_address(f.core, master_b));
    ck_assert_uint_eq(f.connects[master_b], 1);
    ck_assert_uint_eq(f.connects[master_c], 0);
    fixture_connected(&f, master_b);
    ck_assert_uint_eq(fixture_last_sent(&f)->master, master_b);
    ck_assert_str_eq(fixture_last_sent(&f)->key, "key-1");
    fixture_result(&f, master_b, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert_uint_eq(client_core_leader(f.core), master_b);
    ck_assert(!fixture_last_finished(&f)->repeated);
}
END_TEST

START_TEST(a_hint_may_name_an_unknown_address)
{
    begin();
    fixture_connected(&f, master_a);
    fixture_error(&f, master_a, last_id(), ERROR_NOT_LEADER, "far.example:5049");
    ck_assert_uint_eq(client_core_masters(f.core), 4);
    ck_assert_str_eq(client_core_address(f.core, 3), "far.example:5049");
    ck_assert_uint_eq(f.connects[3], 1);
    fixture_connected(&f, 3);
    fixture_result(&f, 3, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert_uint_eq(client_core_leader(f.core), 3);
}
END_TEST

START_TEST(without_a_hint_all_are_asked)
{
    begin();
    fixture_connected(&f, master_a);
    fixture_error(&f, master_a, last_id(), ERROR_NOT_LEADER, "");
    ck_assert_uint_eq(f.connects[master_b], 1);
    ck_assert_uint_eq(f.connects[master_c], 1);
    fixture_connected(&f, master_c);
    ck_assert_uint_eq(fixture_last_sent(&f)->master, master_c);
    fixture_result(&f, master_c, last_id(), 17);
    assert_finished(ERROR_NONE, "");
}
END_TEST

START_TEST(nobody_leads_yet_is_asked_again_with_growing_pauses)
{
    begin();
    fixture_connected(&f, master_a);
    for (unsigned i = 0; i < 20; i++) {
        size_t before = fixture_sent_to(&f, master_a);
        uint64_t asked_ms = f.now_ms;

        fixture_error(&f, master_a, last_id(), ERROR_NOT_LEADER, "");
        while (fixture_sent_to(&f, master_a) == before)
            fixture_wait(&f, 1);
        ck_assert_uint_le(f.now_ms - asked_ms, 251);
        if (i > 8)
            ck_assert_uint_ge(f.now_ms - asked_ms, 120);
    }
    fixture_leading(&f, master_a, 3);
    ck_assert_uint_eq(client_core_leader(f.core), master_a);
}
END_TEST

START_TEST(masters_that_hint_in_a_circle_are_not_stormed)
{
    size_t at_once;

    begin();
    for (uint32_t m = 0; m < 3; m++) {
        fixture_error(&f, m, 0, ERROR_NOT_LEADER, "");
        if (f.connects[m] > 0)
            fixture_connected(&f, m);
    }
    /* Each answer comes at once and names the next master. */
    for (unsigned i = 0; i < 1000; i++) {
        uint32_t m = fixture_last_sent(&f)->master;

        for (uint32_t n = 0; n < 3; n++)
            if (f.connects[n] > 0 && client_core_trouble(f.core, n)[0] == 0)
                fixture_connected(&f, n);
        fixture_error(&f,
                      m,
                      last_id(),
                      ERROR_NOT_LEADER,
                      client_core_address(f.core, (m + 1) % 3));
    }
    at_once = f.sent_count;
    ck_assert_uint_le(at_once, 12);
    for (unsigned i = 0; i < 1000; i++) {
        uint32_t m = fixture_last_sent(&f)->master;

        fixture_wait(&f, 1);
        for (uint32_t n = 0; n < 3; n++)
            fixture_error(&f,
                          n,
                          last_id(),
                          ERROR_NOT_LEADER,
                          client_core_address(f.core, (m + 1) % 3));
    }
    ck_assert_uint_le(f.sent_count - at_once, 45); /* 1 s, 3 masters, 125 to 250 ms */
    ck_assert_uint_eq(client_core_requests(f.core), 1);
}
END_TEST

START_TEST(hints_to_many_addresses_are_bounded)
{
    begin();
    fixture_connected(&f, master_a);
    for (unsigned i = 0; i < 80; i++) {
        char hint[32];

        snprintf(hint, sizeof(hint), "host-%u:1", i);
        fixture_error(&f, master_a, last_id(), ERROR_NOT_LEADER, hint);
        for (uint32_t m = 3; m < client_core_masters(f.core); m++)
            fixture_refused(&f, m);
        fixture_wait(&f, 300);
    }
    ck_assert_uint_gt(fixture_sent_to(&f, master_a), 50);
    ck_assert_uint_eq(client_core_masters(f.core), CLIENT_MASTERS_MAX);
    ck_assert_uint_lt(all_connects(), 80 * 16);
}
END_TEST

/* ---- the outcome is not known ---- */

START_TEST(unknown_is_repeated_with_the_same_key)
{
    uint32_t id;

    begin_asked();
    id = last_id();
    fixture_error(
        &f, master_a, id, ERROR_UNKNOWN, client_core_address(f.core, master_c));
    fixture_connected(&f, master_c);
    ck_assert_uint_eq(fixture_last_sent(&f)->master, master_c);
    ck_assert_str_eq(fixture_last_sent(&f)->key, "key-1");
    fixture_result(&f, master_c, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert(fixture_last_finished(&f)->repeated);
}
END_TEST

START_TEST(a_lost_connection_is_repeated_elsewhere)
{
    begin_asked();
    fixture_closed(&f, master_a);
    ck_assert_uint_eq(client_core_leader(f.core), CLIENT_NOBODY);
    ck_assert_uint_eq(f.connects[master_b], 1);
    ck_assert_uint_eq(f.connects[master_c], 1);
    fixture_connected_leading(&f, master_b, 2);
    ck_assert_str_eq(fixture_last_sent(&f)->key, "key-1");
    fixture_result(&f, master_b, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert(fixture_last_finished(&f)->repeated);
}
END_TEST

START_TEST(a_refused_connection_is_not_a_try)
{
    begin();
    fixture_refused(&f, master_a);
    fixture_connected(&f, master_b);
    fixture_result(&f, master_b, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert(!fixture_last_finished(&f)->repeated);
}
END_TEST

/* ---- leaders ---- */

START_TEST(leading_brings_all_requests)
{
    begin_asked();
    fixture_closed(&f, master_a);
    fixture_connected(&f, master_b);
    for (uint64_t ticket = 2; ticket < 500; ticket++)
        fixture_submit(&f, ticket, "key");
    ck_assert_uint_le(fixture_sent_to(&f, master_b), 1);
    fixture_leading(&f, master_b, 2);
    ck_assert_uint_eq(fixture_sent_to(&f, master_b), 499);
}
END_TEST

START_TEST(an_older_term_does_not_lead)
{
    begin_asked();
    fixture_result(&f, master_a, last_id(), 17);
    fixture_leading(&f, master_a, 5);
    fixture_submit(&f, 2, "key-2");
    fixture_wait(&f, CLIENT_HEDGE_MS);
    fixture_connected_leading(&f, master_b, 4);
    ck_assert_uint_eq(client_core_leader(f.core), CLIENT_NOBODY);
    fixture_leading(&f, master_b, 6);
    ck_assert_uint_eq(client_core_leader(f.core), master_b);
    fixture_leading(&f, master_a, 5);
    ck_assert_uint_eq(client_core_leader(f.core), master_b);
}
END_TEST

START_TEST(a_new_leader_gets_what_the_old_one_owes)
{
    begin_asked();
    for (uint64_t ticket = 2; ticket < 100; ticket++)
        fixture_submit(&f, ticket, "key");
    fixture_wait(&f, CLIENT_HEDGE_MS);
    fixture_connected_leading(&f, master_c, 2);
    ck_assert_uint_eq(fixture_sent_to(&f, master_c), 99);
    ck_assert_uint_eq(fixture_sent_to(&f, master_a), 99);
    for (size_t i = 0; i < 99; i++)
        fixture_result(&f, master_c, f.sent[i].id, i + 1);
    ck_assert_uint_eq(f.finished_count, 99);
    /* The old one wakes up. */
    for (size_t i = 0; i < 99; i++)
        fixture_error(&f, master_a, f.sent[i].id, ERROR_UNKNOWN, "");
    ck_assert_uint_eq(f.finished_count, 99);
    ck_assert_uint_eq(client_core_leader(f.core), master_c);
}
END_TEST

/* ---- routes ---- */

START_TEST(any_master_answers_a_stale_listing)
{
    fixture_start(&f, 3, 1);
    fixture_request(&f, 1, METHOD_JOBS, CLIENT_ANY, 0, 0);
    name_masters();
    fixture_connected(&f, master_a);
    for (uint64_t ticket = 2; ticket < 10; ticket++)
        fixture_request(&f, ticket, METHOD_JOBS, CLIENT_ANY, 0, 0);
    ck_assert_uint_eq(fixture_sent_to(&f, master_a), 9);
    for (size_t i = 0; i < 9; i++)
        fixture_result(&f, master_a, f.sent[i].id, 1);
    ck_assert_uint_eq(f.finished_count, 9);
    ck_assert_uint_eq(client_core_leader(f.core), CLIENT_NOBODY);
}
END_TEST

START_TEST(a_stale_listing_goes_on_elsewhere)
{
    fixture_start(&f, 3, 1);
    fixture_request(&f, 1, METHOD_JOBS, CLIENT_ANY, 0, 0);
    name_masters();
    fixture_connected(&f, master_a);
    fixture_closed(&f, master_a);
    fixture_connected(&f, master_c);
    fixture_error(&f, master_c, last_id(), ERROR_UNAVAILABLE, "");
    ck_assert_uint_eq(f.sent_count, 2);
    fixture_wait(&f, 30);
    ck_assert_uint_eq(f.sent_count, 3);
    fixture_result(&f, master_c, last_id(), 1);
    assert_finished(ERROR_NONE, "");
}
END_TEST

START_TEST(one_master_is_asked_once)
{
    fixture_start(&f, 3, 1);
    for (uint32_t m = 0; m < 3; m++)
        fixture_request(&f, m, METHOD_MASTERS, CLIENT_ONE, m, 2000);
    ck_assert_uint_eq(all_connects(), 3);
    fixture_connected(&f, 0);
    fixture_connected(&f, 1);
    fixture_refused(&f, 2);
    ck_assert_uint_eq(f.finished_count, 1);
    ck_assert_uint_eq(f.finished[0].ticket, 2);
    ck_assert_int_eq(f.finished[0].code, ERROR_UNAVAILABLE);
    ck_assert_str_eq(f.finished[0].text, "connection refused");
    fixture_error(&f, 0, f.sent[0].id, ERROR_NOT_LEADER, "b:1");
    ck_assert_int_eq(f.finished[1].code, ERROR_NOT_LEADER);
    fixture_closed(&f, 1);
    ck_assert_uint_eq(f.finished_count, 3);
    ck_assert_int_eq(f.finished[2].code, ERROR_UNAVAILABLE);
    ck_assert_uint_eq(f.sent_count, 2);
    ck_assert_uint_eq(client_core_requests(f.core), 0);
}
END_TEST

START_TEST(one_master_may_be_silent)
{
    fixture_start(&f, 2, 1);
    fixture_request(&f, 1, METHOD_MASTERS, CLIENT_ONE, 1, 2000);
    fixture_connected(&f, 1);
    fixture_wait(&f, 1999);
    ck_assert_uint_eq(f.connects[0], 0);
    ck_assert_uint_eq(f.finished_count, 0);
    fixture_wait(&f, 1);
    ck_assert_str_eq(fixture_last_finished(&f)->text, "no answer within 2s");
    assert_finished(ERROR_TIMEOUT, "");
    ck_assert_uint_eq(f.sent_count, 1);
}
END_TEST

int main(void)
{
    TCase *rules = tcase_create("asking");

    tcase_add_checked_fixture(rules, NULL, end);
    tcase_add_test(rules, asks_one_master_and_takes_its_answer);
    tcase_add_test(rules, asks_the_last_leader_at_once);
    tcase_add_test(rules, any_first_master_is_possible);
    tcase_add_loop_test(rules, an_answer_without_doubt_is_final, 0, 7);
    tcase_add_test(rules, a_hint_is_followed_at_once);
    tcase_add_test(rules, a_hint_may_name_an_unknown_address);
    tcase_add_test(rules, without_a_hint_all_are_asked);
    tcase_add_test(rules, nobody_leads_yet_is_asked_again_with_growing_pauses);
    tcase_add_test(rules, masters_that_hint_in_a_circle_are_not_stormed);
    tcase_add_test(rules, hints_to_many_addresses_are_bounded);
    tcase_add_test(rules, unknown_is_repeated_with_the_same_key);
    tcase_add_test(rules, a_lost_connection_is_repeated_elsewhere);
    tcase_add_test(rules, a_refused_connection_is_not_a_try);
    tcase_add_test(rules, leading_brings_all_requests);
    tcase_add_test(rules, an_older_term_does_not_lead);
    tcase_add_test(rules, a_new_leader_gets_what_the_old_one_owes);
    tcase_add_test(rules, any_master_answers_a_stale_listing);
    tcase_add_test(rules, a_stale_listing_goes_on_elsewhere);
    tcase_add_test(rules, one_master_is_asked_once);
    tcase_add_test(rules, one_master_may_be_silent);
    return unit_run("client_core_asking", &rules, 1);
}
