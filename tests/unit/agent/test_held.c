/* test_held.c - runs whose user is looked up in a directory that hangs. */
#include "base/clock.h"
#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"
#include "tests/unit/agent/directory.h"

#include <string.h>

static void setup(void)
{
    agent_test_setup();
    t.users_options.find = directory_find;
    test_launcher_open();
}

static void teardown(void)
{
    directory_let_go();
    agent_test_teardown();
}

static void start_as(const char *user, uint64_t attempt, const char *script)
{
    t.user = user;
    test_script(attempt, script);
}

START_TEST(one_waits_and_the_others_go_on)
{
    start_as("slow", 1, "echo $USER > who; exit 1");
    directory_wait_for(1);
    start_as("quick", 2, "exit 2");
    start_as(NULL, 3, "exit 3");
    test_check_end(2, RUN_END_EXITED, 2);
    test_check_end(3, RUN_END_EXITED, 3);
    ck_assert(!t.seen[1].started && !t.seen[1].ended);
    directory_let_go();
    test_check_end(1, RUN_END_EXITED, 1);
}
END_TEST

/* Else the files of one that was held would be counted against nothing. */
START_TEST(its_disk_is_known_when_it_is_told)
{
    start_as("slow", 1, "exit 1");
    directory_wait_for(1);
    ck_assert_uint_eq(t.seen[1].disk_bytes, 0);
    directory_let_go();
    test_check_end(1, RUN_END_EXITED, 1);
    ck_assert_uint_eq(t.seen[1].disk_bytes, TEST_DISK_BYTES);
}
END_TEST

START_TEST(all_who_wait_for_one_get_its_answer)
{
    char text[32];

    for (uint64_t attempt = 1; attempt <= 50; attempt++)
        start_as("slow", attempt, "echo $USER > who");
    directory_wait_for(1); /* and no more */
    directory_let_go();
    for (uint64_t attempt = 1; attempt <= 50; attempt++)
        test_check_end(attempt, RUN_END_EXITED, 0);
    test_read(50, "who", text, sizeof(text));
    ck_assert_str_eq(text, "slow");
}
END_TEST

START_TEST(unknown_user_is_clear)
{
    start_as("nobody-here", 1, "true");
    start_as("nobody-here", 2, "true");
    test_check_end(1, RUN_END_NOT_STARTED, 0);
    test_check_end(2, RUN_END_NOT_STARTED, 0);
    ck_assert_str_eq(t.seen[2].message, "this host has no user \"nobody-here\"");
}
END_TEST

START_TEST(directory_that_fails_is_no_unknown_user)
{
    start_as("unsure", 1, "true");
    test_check_end(1, RUN_END_NO_USER, 0);
    ck_assert_str_eq(t.seen[1].message,
                     "the host's directory of users cannot say who \"unsure\" is: "
                     "Connection timed out");
}
END_TEST

START_TEST(cancelled_while_it_waits)
{
    start_as("slow", 1, "true");
    directory_wait_for(1);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_CANCEL);
    test_check_end(1, RUN_END_NOT_STARTED, 0);
    launcher_forget(t.launcher, 1);
    directory_let_go();
    start_as("slow", 2, "exit 2");
    test_check_end(2, RUN_END_EXITED, 2);
    ck_assert(!t.seen[1].started);
}
END_TEST

START_TEST(start_is_given_up)
{
    uint64_t begin = clock_monotonic_us();

    start_as("slow", 1, "true");
    test_check_end(1, RUN_END_NO_USER, 0);
    ck_assert_uint_ge(clock_monotonic_us() - begin, LIMIT_USER_LOOKUP_MS * 1000ull);
}
END_TEST

START_TEST(closed_while_something_waits)
{
    start_as("slow", 1, "true");
    directory_wait_for(1);
    test_launcher_close();
    users_destroy(t.users);
    t.users = NULL;
}
END_TEST

/* The agent was restarted since it started the run: it does not know its user. */
START_TEST(check_that_cannot_be_asked)
{
    char *argv[] = {(char *)(uintptr_t) "true", NULL};
    const struct job_check check = {.role = CHECK_HEALTH,
                                    .kind = CHECK_COMMAND,
                                    .argv = argv,
                                    .argc = 1,
                                    .interval_ms = 1000,
                                    .timeout_ms = 20000,
                                    .failures = 3};

    t.checks = &check;
    t.check_count = 1;
    start_as("quick", 1, "echo > ready; exec sleep 1000");
    test_wait_ready(1);
    t.user = "slow";
    test_ask(1, 0);
    test_wait_checked();
    ck_assert(t.checked.unasked);
    test_ask(1, 0);
    directory_let_go();
    test_wait_checked();
    ck_assert(t.checked.passed && !t.checked.unasked);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_wait_ended(1);
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 30); /* one waits for LIMIT_USER_LOOKUP_MS */
    return c;
}

UNIT_MAIN("held",
          prepared(unit_case("users",
                             one_waits_and_the_others_go_on,
                             its_disk_is_known_when_it_is_told,
                             all_who_wait_for_one_get_its_answer,
                             unknown_user_is_clear,
                             directory_that_fails_is_no_unknown_user,
                             cancelled_while_it_waits,
                             start_is_given_up,
                             closed_while_something_waits,
                             check_that_cannot_be_asked)))
