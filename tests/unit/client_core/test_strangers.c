/* test_strangers.c - Masters that cannot be talked to. */
#include "rules.h"

#include "tests/lib/unit.h"
#include "wire/message.h"

#include <string.h>

START_TEST(another_version_everywhere_is_final)
{
    begin();
    fixture_refused_for(&f, master_a, ERROR_VERSION);
    ck_assert_uint_eq(f.finished_count, 0);
    fixture_refused_for(&f, master_b, ERROR_VERSION);
    fixture_refused_for(&f, master_c, ERROR_VERSION);
    assert_finished(ERROR_VERSION, "connection refused");
}
END_TEST

START_TEST(one_of_another_version_is_left_alone)
{
    begin();
    fixture_refused_for(&f, master_a, ERROR_VERSION);
    fixture_wait(&f, 2000);
    ck_assert_uint_eq(f.connects[master_a], 1);
    fixture_connected(&f, master_b);
    fixture_result(&f, master_b, last_id(), 17);
    assert_finished(ERROR_NONE, "");
}
END_TEST

START_TEST(a_master_of_another_cluster_is_left_alone)
{
    struct hello hello = {.role = HELLO_MASTER, .id = 1};

    begin();
    hello.cluster_hash = (struct bytes){(const uint8_t *)"0123456789abcdef", 16};
    fixture_hello(&f, master_a, &hello);
    fixture_error(&f,
                  master_a,
                  last_id(),
                  ERROR_NOT_LEADER,
                  client_core_address(f.core, master_b));
    hello.cluster_hash.data = (const uint8_t *)"fedcba9876543210";
    hello.leads = true;
    hello.term = 9;
    fixture_hello(&f, master_b, &hello);
    ck_assert_uint_eq(f.closes[master_b], 1);
    ck_assert_uint_eq(fixture_sent_to(&f, master_b), 0);
    ck_assert_ptr_nonnull(
        strstr(client_core_trouble(f.core, master_b), "another cluster"));
    fixture_wait(&f, 5000);
    ck_assert_uint_eq(f.connects[master_b], 1);
}
END_TEST

START_TEST(only_masters_are_asked)
{
    fixture_start(&f, 1, 1);
    fixture_submit(&f, 1, "k");
    fixture_hello(&f, 0, &(struct hello){.role = HELLO_AGENT, .id = 1});
    ck_assert_uint_eq(f.closes[0], 1);
    assert_finished(ERROR_WRONG_CLUSTER, "not a master");
}
END_TEST

START_TEST(a_malformed_frame_closes_the_connection)
{
    static const uint8_t junk[] = {0, 0, 0, 0, 0xc1, 0xff, 0x00};

    begin_asked();
    fixture_frame(&f, master_a, (struct bytes){junk, sizeof(junk)});
    ck_assert_uint_eq(f.closes[master_a], 1);
    ck_assert_uint_eq(f.connects[master_b], 1);
    /* Nothing more is taken from it. */
    fixture_result(&f, master_a, last_id(), 17);
    ck_assert_uint_eq(f.finished_count, 0);
}
END_TEST

START_TEST(answers_to_nobody_are_ignored)
{
    begin_asked();
    fixture_result(&f, master_a, last_id() + 1, 17);
    fixture_error(&f, master_a, last_id() + 64, ERROR_INVALID, "");
    fixture_result(&f, master_a, 0, 17);
    ck_assert_uint_eq(f.finished_count, 0);
    /* A refusal from somebody who was not asked says nothing. */
    fixture_wait(&f, CLIENT_HEDGE_MS);
    fixture_connected(&f, master_b);
    fixture_error(&f, master_b, f.sent[0].id, ERROR_BUSY, "");
    fixture_error(&f, master_b, f.sent[0].id, ERROR_BUSY, "");
    fixture_result(&f, master_a, f.sent[0].id, 17);
    assert_finished(ERROR_NONE, "");
}
END_TEST

int main(void)
{
    TCase *rules = tcase_create("strangers");

    tcase_add_checked_fixture(rules, NULL, end);
    tcase_add_test(rules, another_version_everywhere_is_final);
    tcase_add_test(rules, one_of_another_version_is_left_alone);
    tcase_add_test(rules, a_master_of_another_cluster_is_left_alone);
    tcase_add_test(rules, only_masters_are_asked);
    tcase_add_test(rules, a_malformed_frame_closes_the_connection);
    tcase_add_test(rules, answers_to_nobody_are_ignored);
    return unit_run("client_core_strangers", &rules, 1);
}
