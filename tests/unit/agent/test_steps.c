/* test_steps.c - what is done before a command starts, with a script for triarch-fetch. */
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void setup(void)
{
    agent_test_setup();
    test_launcher_open();
    t.artifact = true;
}

START_TEST(test_before_the_command)
{
    char text[512];

    test_write_fetch("cat >request; echo \"$*\" >arguments; pwd >here; echo noise >&2");
    test_script(1, "cat arguments >ready; cat request here >>ready; exit 3");
    test_check_end(1, RUN_END_EXITED, 3);
    ck_assert(t.seen[1].started);
    test_read(1, "ready", text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "artifacts\n[{\"source\":\"file:///there\","));
    ck_assert_ptr_nonnull(strstr(text, "\"max_bytes\":1000,\"timeout_ms\":2000}]"));
    ck_assert_ptr_nonnull(strstr(text, "/runs/1"));
    test_read(1, "stderr", text, sizeof(text));
    ck_assert_str_eq(text, "noise");
}
END_TEST

START_TEST(test_last_line_is_the_reason)
{
    test_write_fetch("echo first >&2; echo why >&2; exit 1");
    test_script(1, "touch ran");
    test_check_end(1, RUN_END_FETCH_FAILED, 0);
    ck_assert_str_eq(t.seen[1].message, "why");
    ck_assert(!t.seen[1].started);
    test_write_fetch("head -c 5000 /dev/zero | tr '\\0' x >&2; exit 1");
    test_script(2, "touch ran");
    test_check_end(2, RUN_END_FETCH_FAILED, 0);
    ck_assert_uint_eq(strlen(t.seen[2].message), LIMIT_MESSAGE_BYTES);
    test_write_fetch("kill -9 $$");
    test_script(3, "touch ran");
    test_check_end(3, RUN_END_FETCH_FAILED, 0);
    ck_assert_str_eq(t.seen[3].message, "signal 9 before its command was started");
}
END_TEST

START_TEST(test_not_there)
{
    test_script(1, "true");
    test_check_end(1, RUN_END_NOT_STARTED, 0);
    ck_assert_ptr_nonnull(strstr(t.seen[1].message, "cannot prepare it: exec"));
}
END_TEST

/* At once, however patient its grace is; also when the shim was not known yet. */
START_TEST(test_cancelled)
{
    static const enum run_signal signals[] = {
        RUN_SIGNAL_CANCEL, RUN_SIGNAL_TERM, RUN_SIGNAL_KILL};
    pid_t pid;

    test_write_fetch("trap '' TERM HUP; sleep 1000 & echo $! >pid; wait; wait");
    for (unsigned i = 0; i < 3; i++) {
        test_script(1 + i, "touch ran");
        pid = test_read_pid(1 + i, "pid");
        launcher_dispatch(t.launcher);
        launcher_signal(t.launcher, 1 + i, signals[i]);
        test_check_end(1 + i, RUN_END_NOT_STARTED, 0);
        ck_assert(!t.seen[1 + i].started);
        test_wait_gone(pid);
    }
    test_script(9, "touch ran");
    launcher_signal(t.launcher, 9, RUN_SIGNAL_CANCEL);
    test_check_end(9, RUN_END_NOT_STARTED, 0);
    ck_assert_str_eq(t.seen[9].message, "stopped before its command was started");
}
END_TEST

START_TEST(test_command_is_not_cancelled)
{
    test_write_fetch("true");
    test_script(1, "echo >ready; sleep 1000");
    test_wait_ready(1);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_CANCEL);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_wait_ended(1);
    ck_assert(t.seen[1].started);
}
END_TEST

START_TEST(test_not_again_in_a_restart)
{
    test_write_fetch("echo fetched >>count");
    test_script(1, "exit 1");
    test_check_end(1, RUN_END_EXITED, 1);
    t.restarts = 1;
    memset(&t.seen[1], 0, sizeof(t.seen[1]));
    test_script(1, "exec grep -c fetched count");
    test_check_end(1, RUN_END_EXITED, 0);
}
END_TEST

/* The next agent finds it, and that it goes on. */
static void play(void)
{
    test_script(1, "touch ran");
    test_read_pid(1, "pid");
    test_ready();
}

START_TEST(test_adopted)
{
    pid_t pid;

    test_launcher_close();
    test_write_fetch("sleep 1000 & echo $! >pid; wait");
    test_agent_killed(play);
    test_launcher_open();
    pid = test_read_pid(1, "pid");
    launcher_adopt(t.launcher, 1);
    test_wait_started(1);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_TERM);
    test_check_end(1, RUN_END_NOT_STARTED, 0);
    test_wait_gone(pid);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("steps",
                         test_before_the_command,
                         test_last_line_is_the_reason,
                         test_not_there,
                         test_cancelled,
                         test_command_is_not_cancelled,
                         test_not_again_in_a_restart,
                         test_adopted);

    tcase_add_checked_fixture(c, setup, agent_test_teardown);
    tcase_set_timeout(c, 60);
    return unit_run("steps", &c, 1);
}
