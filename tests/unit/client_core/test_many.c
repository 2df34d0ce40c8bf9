/* test_many.c - Many requests at once. */
#include "rules.h"

#include "base/limits.h"
#include "base/text.h"
#include "tests/lib/unit.h"
#include "wire/message.h"

START_TEST(ids_stay_apart_among_thousands)
{
    size_t oldest;

    begin_asked();
    for (uint64_t ticket = 2; ticket <= 5000; ticket++)
        fixture_submit(&f, ticket, "key");
    ck_assert_uint_eq(fixture_sent_to(&f, master_a), 5000);
    oldest = 0;
    for (size_t i = f.sent_count; i-- > 1;)
        fixture_result(&f, master_a, f.sent[i].id, i + 1);
    for (uint64_t ticket = 5001; ticket <= 10000; ticket++)
        fixture_submit(&f, ticket, "key");
    for (size_t i = 5000; i < f.sent_count; i++)
        ck_assert_uint_ne(f.sent[i].id, f.sent[oldest].id);
    fixture_result(&f, master_a, f.sent[oldest].id, 1);
    for (size_t i = 5000; i < f.sent_count; i++)
        fixture_result(&f, master_a, f.sent[i].id, i + 1);
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
    struct submit_request submit = {.key = text_view("key"),
                                    .spec = {body, sizeof(body)}};
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
    TCase *rules = tcase_create("many");

    tcase_add_checked_fixture(rules, NULL, end);
    tcase_add_test(rules, ids_stay_apart_among_thousands);
    tcase_add_test(rules, too_many_are_refused);
    tcase_add_test(rules, the_window_bounds_what_a_master_owes);
    tcase_add_test(rules, deadlines_of_any_length_are_kept);
    return unit_run("client_core_many", &rules, 1);
}
