/* Each rule of joint 11, one by one. */
#include "base/rng.h"
#include "base/text.h"
#include "fixture.h"
#include "tests/lib/unit.h"
#include "wire/message.h"

#include <string.h>

static struct fixture f;
/* The master that is asked first, and the others. */
static uint32_t a, b, c;

static void name_masters(void)
{
    for (a = 0; f.connects[a] == 0; a++)
        ck_assert_uint_lt(a, 3);
    b = (a + 1) % 3;
    c = (a + 2) % 3;
}

/* One request under way, nobody connected yet. */
static void begin(void)
{
    fixture_start(&f, 3, 1);
    fixture_submit(&f, 1, "key-1");
    name_masters();
}

/* As above, and `a` leads and has the request. */
static void begin_asked(void)
{
    begin();
    fixture_connected_leading(&f, a, 1);
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_uint_eq(fixture_last_sent(&f)->master, a);
}

static void end(void)
{
    fixture_finish(&f);
}

static uint32_t last_id(void)
{
    return fixture_last_sent(&f)->id;
}

static unsigned all_connects(void)
{
    unsigned n = 0;

    for (uint32_t m = 0; m < CLIENT_MASTERS_MAX; m++)
        n += f.connects[m];
    return n;
}

static void assert_finished(enum error_code code, const char *text_part)
{
    const struct finished *last = fixture_last_finished(&f);

    ck_assert_uint_eq(f.finished_count, 1);
    ck_assert_uint_eq(client_core_requests(f.core), 0);
    ck_assert_uint_eq(last->ticket, 1);
    ck_assert_int_eq(last->code, code);
    ck_assert_msg(
        strstr(last->text, text_part) != NULL, "%s lacks %s", last->text, text_part);
}

/* ---- the usual way ---- */

START_TEST(asks_one_master_and_takes_its_answer)
{
    begin();
    ck_assert_uint_eq(all_connects(), 1);
    ck_assert_uint_eq(f.sent_count, 0);
    fixture_connected(&f, a);
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_str_eq(fixture_last_sent(&f)->key, "key-1");
    fixture_result(&f, a, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert_uint_eq(fixture_last_finished(&f)->id, 17);
    ck_assert_uint_eq(fixture_last_finished(&f)->master, a);
    ck_assert(!fixture_last_finished(&f)->repeated);
    ck_assert_uint_eq(f.actions.deadline_ms, UINT64_MAX);
}
END_TEST

START_TEST(asks_the_last_leader_at_once)
{
    begin_asked();
    fixture_result(&f, a, last_id(), 17);
    ck_assert_uint_eq(client_core_leader(f.core), a);
    fixture_submit(&f, 2, "key-2");
    fixture_submit(&f, 3, "key-3");
    ck_assert_uint_eq(fixture_sent_to(&f, a), 3);
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
        first[a]++;
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
    fixture_error(&f, a, last_id(), codes[_i], "b:1");
    assert_finished(codes[_i], "because of the test");
    ck_assert_uint_eq(fixture_last_finished(&f)->master, a);
    ck_assert_uint_eq(f.sent_count, 1);
}
END_TEST

/* ---- not_leader ---- */

START_TEST(a_hint_is_followed_at_once)
{
    begin();
    fixture_connected(&f, a);
    fixture_error(&f, a, last_id(), ERROR_NOT_LEADER, client_core_address(f.core, b));
    ck_assert_uint_eq(f.connects[b], 1);
    ck_assert_uint_eq(f.connects[c], 0);
    fixture_connected(&f, b);
    ck_assert_uint_eq(fixture_last_sent(&f)->master, b);
    ck_assert_str_eq(fixture_last_sent(&f)->key, "key-1");
    fixture_result(&f, b, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert_uint_eq(client_core_leader(f.core), b);
    ck_assert(!fixture_last_finished(&f)->repeated);
}
END_TEST

START_TEST(a_hint_may_name_an_unknown_address)
{
    begin();
    fixture_connected(&f, a);
    fixture_error(&f, a, last_id(), ERROR_NOT_LEADER, "far.example:5049");
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
    fixture_connected(&f, a);
    fixture_error(&f, a, last_id(), ERROR_NOT_LEADER, "");
    ck_assert_uint_eq(f.connects[b], 1);
    ck_assert_uint_eq(f.connects[c], 1);
    fixture_connected(&f, c);
    ck_assert_uint_eq(fixture_last_sent(&f)->master, c);
    fixture_result(&f, c, last_id(), 17);
    assert_finished(ERROR_NONE, "");
}
END_TEST

START_TEST(nobody_leads_yet_is_asked_again_with_growing_pauses)
{
    begin();
    fixture_connected(&f, a);
    for (unsigned i = 0; i < 20; i++) {
        size_t before = fixture_sent_to(&f, a);
        uint64_t asked_ms = f.now_ms;

        fixture_error(&f, a, last_id(), ERROR_NOT_LEADER, "");
        while (fixture_sent_to(&f, a) == before)
            fixture_wait(&f, 1);
        ck_assert_uint_le(f.now_ms - asked_ms, 251);
        if (i > 8)
            ck_assert_uint_ge(f.now_ms - asked_ms, 120);
    }
    fixture_leading(&f, a, 3);
    ck_assert_uint_eq(client_core_leader(f.core), a);
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
    fixture_connected(&f, a);
    for (unsigned i = 0; i < 80; i++) {
        char hint[32];

        snprintf(hint, sizeof(hint), "host-%u:1", i);
        fixture_error(&f, a, last_id(), ERROR_NOT_LEADER, hint);
        for (uint32_t m = 3; m < client_core_masters(f.core); m++)
            fixture_refused(&f, m);
        fixture_wait(&f, 300);
    }
    ck_assert_uint_gt(fixture_sent_to(&f, a), 50);
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
    fixture_error(&f, a, id, ERROR_UNKNOWN, client_core_address(f.core, c));
    fixture_connected(&f, c);
    ck_assert_uint_eq(fixture_last_sent(&f)->master, c);
    ck_assert_str_eq(fixture_last_sent(&f)->key, "key-1");
    fixture_result(&f, c, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert(fixture_last_finished(&f)->repeated);
}
END_TEST

START_TEST(a_lost_connection_is_repeated_elsewhere)
{
    begin_asked();
    fixture_closed(&f, a);
    ck_assert_uint_eq(client_core_leader(f.core), CLIENT_NOBODY);
    ck_assert_uint_eq(f.connects[b], 1);
    ck_assert_uint_eq(f.connects[c], 1);
    fixture_connected_leading(&f, b, 2);
    ck_assert_str_eq(fixture_last_sent(&f)->key, "key-1");
    fixture_result(&f, b, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert(fixture_last_finished(&f)->repeated);
}
END_TEST

START_TEST(a_refused_connection_is_not_a_try)
{
    begin();
    fixture_refused(&f, a);
    fixture_connected(&f, b);
    fixture_result(&f, b, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert(!fixture_last_finished(&f)->repeated);
}
END_TEST

/* ---- silence ---- */

START_TEST(silence_asks_the_others_at_the_same_time)
{
    uint32_t id;

    begin_asked();
    id = last_id();
    fixture_wait(&f, CLIENT_HEDGE_MS - 1);
    ck_assert_uint_eq(all_connects(), 1);
    fixture_wait(&f, 1);
    ck_assert_uint_eq(f.connects[b], 1);
    ck_assert_uint_eq(f.connects[c], 1);
    fixture_connected(&f, b);
    fixture_connected(&f, c);
    ck_assert_uint_eq(f.sent_count, 3);
    fixture_error(&f, b, id, ERROR_NOT_LEADER, client_core_address(f.core, a));
    ck_assert_uint_eq(f.finished_count, 0);
    fixture_result(&f, c, id, 17);
    assert_finished(ERROR_NONE, "");
    ck_assert_uint_eq(client_core_leader(f.core), c);
    /* Whatever the others say now is too late. */
    fixture_result(&f, a, id, 17);
    fixture_error(&f, b, id, ERROR_INVALID, "");
    ck_assert_uint_eq(f.finished_count, 1);
}
END_TEST

START_TEST(the_silent_one_may_answer_first)
{
    begin_asked();
    fixture_wait(&f, CLIENT_HEDGE_MS);
    fixture_connected(&f, b);
    fixture_result(&f, a, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert_uint_eq(client_core_leader(f.core), a);
}
END_TEST

START_TEST(a_silent_connection_is_not_waited_for)
{
    begin();
    fixture_wait(&f, CLIENT_HEDGE_MS);
    ck_assert_uint_eq(f.connects[b], 1);
    ck_assert_uint_eq(f.connects[c], 1);
    fixture_connected(&f, c);
    ck_assert_uint_eq(fixture_last_sent(&f)->master, c);
    ck_assert_uint_eq(f.closes[a], 0);
    fixture_wait(&f, CLIENT_CONNECT_MS);
    ck_assert_uint_ge(f.closes[a], 1);
}
END_TEST

START_TEST(a_lost_answer_is_asked_for_again)
{
    begin_asked();
    fixture_wait(&f, CLIENT_REASK_MS - 1);
    ck_assert_uint_eq(fixture_sent_to(&f, a), 1);
    fixture_wait(&f, 1);
    ck_assert_uint_eq(fixture_sent_to(&f, a), 2);
    fixture_result(&f, a, last_id(), 17);
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
        ck_assert_uint_eq(fixture_last_sent(&f)->master, a);
        fixture_result(&f, a, last_id(), ticket);
        ck_assert_uint_eq(client_core_leader(f.core), a);
    }
    ck_assert_uint_eq(f.connects[b], 1);
    fixture_connected(&f, b);
    ck_assert_uint_eq(fixture_last_sent(&f)->id, slow);
    ck_assert_uint_eq(client_core_leader(f.core), a);
}
END_TEST

START_TEST(requests_do_not_pile_up_at_a_silent_leader)
{
    begin_asked();
    fixture_wait(&f, CLIENT_HEDGE_MS);
    ck_assert_uint_eq(client_core_leader(f.core), CLIENT_NOBODY);
    for (uint64_t ticket = 2; ticket < 1002; ticket++)
        fixture_submit(&f, ticket, "key");
    ck_assert_uint_le(fixture_sent_to(&f, a), 2);
    fixture_result(&f, a, f.sent[0].id, 17);
    ck_assert_uint_eq(fixture_sent_to(&f, a), 1001);
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

        fixture_error(&f, a, last_id(), ERROR_BUSY, "");
        ck_assert_uint_eq(f.sent_count, before);
        while (f.sent_count == before)
            fixture_wait(&f, 1);
        rest_ms = f.now_ms - told_ms;
        ck_assert_uint_ge(rest_ms, 10);
        ck_assert_uint_le(rest_ms, 2001);
    }
    ck_assert_uint_ge(rest_ms, 1000);
    ck_assert_uint_eq(all_connects(), 1);
    fixture_result(&f, a, last_id(), 17);
    assert_finished(ERROR_NONE, "");
    ck_assert(!fixture_last_finished(&f)->repeated);
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
    fixture_error(&f, a, last_id(), ERROR_UNAVAILABLE, "");
    ck_assert_uint_eq(f.connects[b], 1);
    ck_assert_uint_eq(f.connects[c], 1);
    fixture_wait(&f, 300);
    ck_assert_uint_gt(fixture_sent_to(&f, a), 1);
}
END_TEST

/* ---- the end of patience ---- */

START_TEST(an_unknown_outcome_says_how_to_find_out)
{
    uint32_t id;

    begin_asked();
    id = last_id();
    fixture_closed(&f, a);
    fixture_wait(&f, CLIENT_DEADLINE_MS - 1);
    ck_assert_uint_eq(f.finished_count, 0);
    fixture_wait(&f, 1);
    assert_finished(ERROR_TIMEOUT, "outcome is unknown");
    assert_finished(ERROR_TIMEOUT,
                    "repeat with --key key-1; the same key never makes a second job");
    ck_assert_uint_eq(fixture_last_finished(&f)->master, CLIENT_NOBODY);
    fixture_connected(&f, b);
    fixture_result(&f, b, id, 17);
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
    ck_assert_ptr_nonnull(strstr(f.finished[0].text, "kill: no answer within 1.0s"));
    ck_assert_ptr_nonnull(strstr(f.finished[0].text, "does no harm"));
    /* A listing has no outcome. */
    ck_assert_int_eq(f.finished[1].code, ERROR_TIMEOUT);
    ck_assert_str_eq(f.finished[1].text,
                     "jobs: no answer within 1.0s: a:1 answers, but no master leads: "
                     "do most of them "
                     "run?");
}
END_TEST

START_TEST(what_nobody_took_changed_nothing)
{
    begin();
    fixture_connected(&f, a);
    fixture_refused(&f, b);
    for (unsigned i = 0; i < 400; i++) {
        fixture_error(&f, a, last_id(), ERROR_NOT_LEADER, "");
        fixture_refused(&f, b);
        fixture_refused(&f, c);
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
        fixture_error(&f, a, last_id(), ERROR_BUSY, "");
        fixture_wait(&f, 100);
    }
    assert_finished(ERROR_BUSY, "nothing was changed");
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
    fixture_closed(&f, a);
    for (unsigned i = 0; i < 200; i++) {
        for (uint32_t m = 0; m < 3; m++)
            fixture_refused(&f, m);
        fixture_wait(&f, 100);
    }
    ck_assert_uint_eq(f.finished_count, 0);
    fixture_wait(&f, 1000);
    fixture_connected_leading(&f, b, 2);
    fixture_result(&f, b, last_id(), 17);
    assert_finished(ERROR_NONE, "");
}
END_TEST

/* ---- leaders ---- */

START_TEST(leading_brings_all_requests)
{
    begin_asked();
    fixture_closed(&f, a);
    fixture_connected(&f, b);
    for (uint64_t ticket = 2; ticket < 500; ticket++)
        fixture_submit(&f, ticket, "key");
    ck_assert_uint_le(fixture_sent_to(&f, b), 1);
    fixture_leading(&f, b, 2);
    ck_assert_uint_eq(fixture_sent_to(&f, b), 499);
}
END_TEST

START_TEST(an_older_term_does_not_lead)
{
    begin_asked();
    fixture_result(&f, a, last_id(), 17);
    fixture_leading(&f, a, 5);
    fixture_submit(&f, 2, "key-2");
    fixture_wait(&f, CLIENT_HEDGE_MS);
    fixture_connected_leading(&f, b, 4);
    ck_assert_uint_eq(client_core_leader(f.core), CLIENT_NOBODY);
    fixture_leading(&f, b, 6);
    ck_assert_uint_eq(client_core_leader(f.core), b);
    fixture_leading(&f, a, 5);
    ck_assert_uint_eq(client_core_leader(f.core), b);
}
END_TEST

START_TEST(a_new_leader_gets_what_the_old_one_owes)
{
    begin_asked();
    for (uint64_t ticket = 2; ticket < 100; ticket++)
        fixture_submit(&f, ticket, "key");
    fixture_wait(&f, CLIENT_HEDGE_MS);
    fixture_connected_leading(&f, c, 2);
    ck_assert_uint_eq(fixture_sent_to(&f, c), 99);
    ck_assert_uint_eq(fixture_sent_to(&f, a), 99);
    for (size_t i = 0; i < 99; i++)
        fixture_result(&f, c, f.sent[i].id, i + 1);
    ck_assert_uint_eq(f.finished_count, 99);
    /* The old one wakes up. */
    for (size_t i = 0; i < 99; i++)
        fixture_error(&f, a, f.sent[i].id, ERROR_UNKNOWN, "");
    ck_assert_uint_eq(f.finished_count, 99);
    ck_assert_uint_eq(client_core_leader(f.core), c);
}
END_TEST

/* ---- routes ---- */

START_TEST(any_master_answers_a_stale_listing)
{
    fixture_start(&f, 3, 1);
    fixture_request(&f, 1, METHOD_JOBS, CLIENT_ANY, 0, 0);
    name_masters();
    fixture_connected(&f, a);
    for (uint64_t ticket = 2; ticket < 10; ticket++)
        fixture_request(&f, ticket, METHOD_JOBS, CLIENT_ANY, 0, 0);
    ck_assert_uint_eq(fixture_sent_to(&f, a), 9);
    for (size_t i = 0; i < 9; i++)
        fixture_result(&f, a, f.sent[i].id, 1);
    ck_assert_uint_eq(f.finished_count, 9);
    ck_assert_uint_eq(client_core_leader(f.core), CLIENT_NOBODY);
}
END_TEST

START_TEST(a_stale_listing_goes_on_elsewhere)
{
    fixture_start(&f, 3, 1);
    fixture_request(&f, 1, METHOD_JOBS, CLIENT_ANY, 0, 0);
    name_masters();
    fixture_connected(&f, a);
    fixture_closed(&f, a);
    fixture_connected(&f, c);
    fixture_error(&f, c, last_id(), ERROR_UNAVAILABLE, "");
    ck_assert_uint_eq(f.sent_count, 2);
    fixture_wait(&f, 30);
    ck_assert_uint_eq(f.sent_count, 3);
    fixture_result(&f, c, last_id(), 1);
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
    ck_assert_str_eq(fixture_last_finished(&f)->text, "no answer within 2.0s");
    assert_finished(ERROR_TIMEOUT, "");
    ck_assert_uint_eq(f.sent_count, 1);
}
END_TEST

/* ---- what cannot work ---- */

START_TEST(another_version_everywhere_is_final)
{
    begin();
    fixture_refused_for(&f, a, ERROR_VERSION);
    ck_assert_uint_eq(f.finished_count, 0);
    fixture_refused_for(&f, b, ERROR_VERSION);
    fixture_refused_for(&f, c, ERROR_VERSION);
    assert_finished(ERROR_VERSION, "connection refused");
}
END_TEST

START_TEST(one_of_another_version_is_left_alone)
{
    begin();
    fixture_refused_for(&f, a, ERROR_VERSION);
    fixture_wait(&f, 2000);
    ck_assert_uint_eq(f.connects[a], 1);
    fixture_connected(&f, b);
    fixture_result(&f, b, last_id(), 17);
    assert_finished(ERROR_NONE, "");
}
END_TEST

START_TEST(a_master_of_another_cluster_is_left_alone)
{
    struct hello hello = {.role = ROLE_MASTER, .id = 1};

    begin();
    hello.cluster_hash = (struct bytes){(const uint8_t *)"0123456789abcdef", 16};
    fixture_hello(&f, a, &hello);
    fixture_error(&f, a, last_id(), ERROR_NOT_LEADER, client_core_address(f.core, b));
    hello.cluster_hash.data = (const uint8_t *)"fedcba9876543210";
    hello.leads = true;
    hello.term = 9;
    fixture_hello(&f, b, &hello);
    ck_assert_uint_eq(f.closes[b], 1);
    ck_assert_uint_eq(fixture_sent_to(&f, b), 0);
    ck_assert_ptr_nonnull(strstr(client_core_trouble(f.core, b), "another cluster"));
    fixture_wait(&f, 5000);
    ck_assert_uint_eq(f.connects[b], 1);
}
END_TEST

START_TEST(only_masters_are_asked)
{
    fixture_start(&f, 1, 1);
    fixture_submit(&f, 1, "k");
    fixture_hello(&f, 0, &(struct hello){.role = ROLE_AGENT, .id = 1});
    ck_assert_uint_eq(f.closes[0], 1);
    assert_finished(ERROR_WRONG_CLUSTER, "not a master");
}
END_TEST

START_TEST(a_malformed_frame_closes_the_connection)
{
    static const uint8_t junk[] = {0, 0, 0, 0, 0xc1, 0xff, 0x00};

    begin_asked();
    fixture_frame(&f, a, (struct bytes){junk, sizeof(junk)});
    ck_assert_uint_eq(f.closes[a], 1);
    ck_assert_uint_eq(f.connects[b], 1);
    /* Nothing more is taken from it. */
    fixture_result(&f, a, last_id(), 17);
    ck_assert_uint_eq(f.finished_count, 0);
}
END_TEST

START_TEST(answers_to_nobody_are_ignored)
{
    begin_asked();
    fixture_result(&f, a, last_id() + 1, 17);
    fixture_error(&f, a, last_id() + 64, ERROR_INVALID, "");
    fixture_result(&f, a, 0, 17);
    ck_assert_uint_eq(f.finished_count, 0);
    /* A refusal from somebody who was not asked says nothing. */
    fixture_wait(&f, CLIENT_HEDGE_MS);
    fixture_connected(&f, b);
    fixture_error(&f, b, f.sent[0].id, ERROR_BUSY, "");
    fixture_error(&f, b, f.sent[0].id, ERROR_BUSY, "");
    fixture_result(&f, a, f.sent[0].id, 17);
    assert_finished(ERROR_NONE, "");
}
END_TEST

/* ---- many ---- */

START_TEST(ids_stay_apart_among_thousands)
{
    size_t oldest;

    begin_asked();
    for (uint64_t ticket = 2; ticket <= 5000; ticket++)
        fixture_submit(&f, ticket, "key");
    ck_assert_uint_eq(fixture_sent_to(&f, a), 5000);
    oldest = 0;
    for (size_t i = f.sent_count; i-- > 1;)
        fixture_result(&f, a, f.sent[i].id, i + 1);
    for (uint64_t ticket = 5001; ticket <= 10000; ticket++)
        fixture_submit(&f, ticket, "key");
    for (size_t i = 5000; i < f.sent_count; i++)
        ck_assert_uint_ne(f.sent[i].id, f.sent[oldest].id);
    fixture_result(&f, a, f.sent[oldest].id, 1);
    for (size_t i = 5000; i < f.sent_count; i++)
        fixture_result(&f, a, f.sent[i].id, i + 1);
    ck_assert_uint_eq(f.finished_count, 10000);
    for (size_t i = 0; i < f.finished_count; i++)
        ck_assert_uint_eq(f.finished[i].id, f.finished[i].ticket);
}
END_TEST

START_TEST(too_many_are_refused)
{
    fixture_start(&f, 1, 1);
    for (uint64_t ticket = 0; ticket < LIMIT_REQUESTS_WAITING; ticket++)
        fixture_submit(&f, ticket, "k");
    ck_assert_uint_eq(f.finished_count, 0);
    fixture_submit(&f, 99999, "k");
    ck_assert_uint_eq(f.finished_count, 1);
    ck_assert_int_eq(f.finished[0].code, ERROR_BUSY);
    ck_assert_uint_eq(f.finished[0].ticket, 99999);
}
END_TEST

START_TEST(the_window_bounds_what_a_master_owes)
{
    static uint8_t body[100 * 1000];
    struct submit_request submit = {text_view("key"), {body, sizeof(body)}};
    struct buffer frame = {0};
    size_t sent;

    fixture_start(&f, 1, 1);
    submit_pack(&submit, 0, &frame);
    for (uint64_t ticket = 0; ticket < 200; ticket++)
        fixture_step(&f,
                     &(struct client_event){
                         .kind = CLIENT_REQUEST,
                         .request = {.ticket = ticket, .frame = buffer_view(&frame)}});
    fixture_connected_leading(&f, 0, 1);
    sent = f.sent_count;
    ck_assert_uint_eq(sent, CLIENT_WINDOW_BYTES / frame.size + 1);
    fixture_result(&f, 0, f.sent[0].id, 1);
    ck_assert_uint_eq(f.sent_count, sent + 1);
    for (size_t i = 1; i < 200; i++)
        fixture_result(&f, 0, f.sent[i].id, 1);
    ck_assert_uint_eq(f.finished_count, 200);
    buffer_finish(&frame);
}
END_TEST

START_TEST(deadlines_of_any_length_are_kept)
{
    fixture_start(&f, 1, 1);
    for (uint64_t ticket = 1; ticket <= 50; ticket++)
        fixture_request(
            &f, ticket, METHOD_JOBS, CLIENT_LEADER, 0, 100 + ticket * 37 % 50);
    fixture_wait(&f, 1000);
    ck_assert_uint_eq(f.finished_count, 50);
    for (size_t i = 0; i < 50; i++)
        ck_assert_uint_eq(f.finished[i].at_ms,
                          1000 + 100 + f.finished[i].ticket * 37 % 50);
}
END_TEST

int main(void)
{
    TCase *rules = tcase_create("rules");

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
    tcase_add_test(rules, silence_asks_the_others_at_the_same_time);
    tcase_add_test(rules, the_silent_one_may_answer_first);
    tcase_add_test(rules, a_silent_connection_is_not_waited_for);
    tcase_add_test(rules, a_lost_answer_is_asked_for_again);
    tcase_add_test(rules, a_leader_that_answers_others_is_not_suspected);
    tcase_add_test(rules, requests_do_not_pile_up_at_a_silent_leader);
    tcase_add_test(rules, busy_is_repeated_after_a_growing_rest);
    tcase_add_test(rules, rests_are_jittered);
    tcase_add_test(rules, unavailable_asks_all);
    tcase_add_test(rules, an_unknown_outcome_says_how_to_find_out);
    tcase_add_test(rules, other_methods_have_their_own_advice);
    tcase_add_test(rules, what_nobody_took_changed_nothing);
    tcase_add_test(rules, busy_to_the_end_says_so);
    tcase_add_test(rules, a_cluster_that_is_not_there_is_given_up_sooner);
    tcase_add_test(rules, a_cluster_that_was_there_is_waited_for);
    tcase_add_test(rules, leading_brings_all_requests);
    tcase_add_test(rules, an_older_term_does_not_lead);
    tcase_add_test(rules, a_new_leader_gets_what_the_old_one_owes);
    tcase_add_test(rules, any_master_answers_a_stale_listing);
    tcase_add_test(rules, a_stale_listing_goes_on_elsewhere);
    tcase_add_test(rules, one_master_is_asked_once);
    tcase_add_test(rules, one_master_may_be_silent);
    tcase_add_test(rules, another_version_everywhere_is_final);
    tcase_add_test(rules, one_of_another_version_is_left_alone);
    tcase_add_test(rules, a_master_of_another_cluster_is_left_alone);
    tcase_add_test(rules, only_masters_are_asked);
    tcase_add_test(rules, a_malformed_frame_closes_the_connection);
    tcase_add_test(rules, answers_to_nobody_are_ignored);
    tcase_add_test(rules, ids_stay_apart_among_thousands);
    tcase_add_test(rules, too_many_are_refused);
    tcase_add_test(rules, the_window_bounds_what_a_master_owes);
    tcase_add_test(rules, deadlines_of_any_length_are_kept);
    return unit_run("client_core", &rules, 1);
}
