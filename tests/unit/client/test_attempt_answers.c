/* Answers of agents that are asked for an attempt: found, not there, and no answers at all. */
#include "base/text.h"
#include "client/attempt_answers.h"
#include "tests/lib/unit.h"

#include <stdio.h>

static struct attempt_answers a;
static struct error err;

static void setup(void)
{
    a = (struct attempt_answers){.number = 2};
}

static void teardown(void)
{
    attempt_answers_finish(&a);
}

static int take(const char *body)
{
    return attempt_answers_take(&a, text_view(body), &err);
}

static void check_refused(enum error_code code, const char *text)
{
    ck_assert_int_eq(attempt_answers_refuse(&a, 17, 3, &err), -(int)code);
    ck_assert_str_eq(err.text, text);
}

START_TEST(who_has_it_is_found)
{
    ck_assert_int_eq(take("{\"attempts\": []}"), 0);
    ck_assert_int_eq(take("{\"attempts\": [{\"number\": 1, \"id\": 40}]}"), 0);
    ck_assert_uint_eq(a.id, 0);
    ck_assert_int_eq(take("{\"attempts\": [{\"number\": 2, \"id\": 71},"
                          " {\"number\": 3, \"id\": 90}]}"),
                     0);
    ck_assert_uint_eq(a.id, 71);
}
END_TEST

START_TEST(what_is_no_answer_is_refused)
{
    static const char *const bodies[] = {
        "", "[]", "{}", "{\"attempts\": 3}", "{\"attempts\": [", "\xff"};

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        ck_assert_int_eq(take(bodies[i]), -ERROR_INVALID);
    ck_assert_int_eq(take("{\"attempts\": [3, {}, {\"number\": 2},"
                          " {\"number\": -2, \"id\": 1},"
                          " {\"number\": 2, \"id\": 0},"
                          " {\"number\": 4294967298, \"id\": 1}]}"),
                     0);
    ck_assert_uint_eq(a.id, 0);
    ck_assert_uint_eq(a.count, 0);
}
END_TEST

START_TEST(there_is_none)
{
    check_refused(ERROR_NOT_FOUND,
                  "no agent has attempt 2 of task 17.3: it did not start, or its files "
                  "were removed");
}
END_TEST

START_TEST(others_are_named_in_order)
{
    take("{\"attempts\": [{\"number\": 4, \"id\": 95}]}");
    check_refused(ERROR_NOT_FOUND,
                  "no agent has attempt 2 of task 17.3: it did not start, or its files "
                  "were removed; there is 4");
    take("{\"attempts\": [{\"number\": 1, \"id\": 9}, {\"number\": 3, \"id\": 10}]}");
    check_refused(ERROR_NOT_FOUND,
                  "no agent has attempt 2 of task 17.3: it did not start, or its files "
                  "were removed; there are 1, 3, 4");
}
END_TEST

START_TEST(many_others_are_counted)
{
    for (uint32_t number = 30; number > 10; number--) {
        char body[80];

        snprintf(body,
                 sizeof(body),
                 "{\"attempts\": [{\"number\": %u, \"id\": 1}]}",
                 number);
        ck_assert_int_eq(take(body), 0);
    }
    check_refused(ERROR_NOT_FOUND,
                  "no agent has attempt 2 of task 17.3: it did not start, or its files "
                  "were removed; there are 23, 24, 25, 26, 27, 28, 29, 30 and 12 older "
                  "ones");
}
END_TEST

START_TEST(who_does_not_answer_is_named)
{
    take("{\"attempts\": [{\"number\": 3, \"id\": 90}]}");
    attempt_answers_silent(&a, 4, "connection refused");
    a.gone = 1;
    check_refused(
        ERROR_UNAVAILABLE,
        "no agent that answers has attempt 2 of task 17.3; there is 3; agent 4 "
        "does not answer: connection refused; 1 agent is gone, with what it "
        "had");
    attempt_answers_silent(&a, 5, "it says nothing");
    a.gone = 2;
    check_refused(ERROR_UNAVAILABLE,
                  "no agent that answers has attempt 2 of task 17.3; there is 3; 2 "
                  "agents do not answer, as agent 4: connection refused; 2 agents are "
                  "gone, with what they had");
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    return c;
}

UNIT_MAIN("attempt_answers",
          prepared(unit_case("attempt_answers",
                             who_has_it_is_found,
                             what_is_no_answer_is_refused,
                             there_is_none,
                             others_are_named_in_order,
                             many_others_are_counted,
                             who_does_not_answer_is_named)))
