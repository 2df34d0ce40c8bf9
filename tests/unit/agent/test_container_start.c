/* test_container_start.c - a shim and process 1 of its container, with a script for crun.
 *
 * The script is in the place of `triarch-contain run`; process 1 is the real `begin`, in no
 * namespaces.
 */
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MANY 50

/* The script stands in the bundle; `begin CMD` is process 1. */
static void write_contain(const char *script)
{
    int fd = open(t.contain, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_gt(
        dprintf(
            fd,
            "#!/bin/sh\n"
            "begin() { setsid %s/begin begin \"$@\" 3</dev/null & echo $! >pid; }\n"
            "case $1 in\n"
            "bundle) n=$(sed 's|.*/bundles/\\([0-9]*\\)\".*|\\1|')\n"
            " mkdir -p bundles/$n images; : >images/key.lock\n"
            " ln -s ../../images/key bundles/$n/image; echo 65534 65534;;\n"
            "run) box=$PWD; cd $2/bundles/$3\n"
            " dd bs=1 count=1 of=/dev/null 2>/dev/null\n" /* the lock of its image */
            " exec 4<&0 </dev/null\n%s;;\n"
            "remove) rm -r $2/bundles/$3;;\n"
            "esac\n",
            t.work_dir,
            script),
        0);
    close(fd);
}

static void setup(void)
{
    char path[80];

    agent_test_setup();
    snprintf(path, sizeof(path), "%s/begin", t.work_dir);
    test_copy_program(TEST_CONTAIN, path);
    snprintf(t.contain, sizeof(t.contain), "%s/contain", t.work_dir);
    write_contain("exit 1");
    test_launcher_open();
    t.image = true;
}

static void run(uint64_t attempt, const char *script)
{
    write_contain(script);
    test_script(attempt, "true"); /* that is for the bundle */
}

static void check_not_started(uint64_t attempt, const char *script, const char *message)
{
    run(attempt, script);
    test_check_end(attempt, RUN_END_NOT_STARTED, 0);
    ck_assert_str_eq(t.seen[attempt].message, message);
    ck_assert(!t.seen[attempt].started);
}

static pid_t shim_of(uint64_t attempt)
{
    struct slot slot;

    test_slot(attempt, &slot);
    return slot.start.shim_pid;
}

/* ---- it begins ---- */

START_TEST(status_and_logs_are_its_own)
{
    char text[256];

    run(1,
        "echo noise >&2; cd $box; begin sh -c 'echo out; echo err >&2; exit 3';"
        "mv pid $2/bundles/$3");
    test_check_end(1, RUN_END_EXITED, 3);
    ck_assert(t.seen[1].started);
    test_read(1, "stdout", text, sizeof(text));
    ck_assert_str_eq(text, "out");
    test_read(1, "stderr", text, sizeof(text));
    ck_assert_str_eq(text, "err");
}
END_TEST

START_TEST(signal_is_its_own)
{
    run(1, "begin sh -c 'kill -SEGV $$'");
    test_check_end(1, RUN_END_SIGNALED, SIGSEGV);
    ck_assert(t.seen[1].started);
}
END_TEST

/* Those that end at once are started and ended, whatever is seen first. */
START_TEST(many_short_ones)
{
    write_contain("begin true");
    for (uint64_t attempt = 1; attempt <= MANY; attempt++)
        test_script(attempt, "true");
    for (uint64_t attempt = 1; attempt <= MANY; attempt++) {
        test_check_end(attempt, RUN_END_EXITED, 0);
        ck_assert(t.seen[attempt].started);
    }
}
END_TEST

/* Who made it is seen to end, while its parent needs a moment longer. */
START_TEST(parent_leaves_later)
{
    run(1,
        "(begin sh -c 'exit 4'; mv pid told; sleep 0.2) &\n"
        "until [ -s told ]; do sleep 0.01; done; mv told pid");
    test_check_end(1, RUN_END_EXITED, 4);
    ck_assert(t.seen[1].started);
}
END_TEST

/* What process 1 has started would have ended by TERM otherwise. */
START_TEST(term_is_for_process_1)
{
    run(1,
        "cd $box; begin sh -c 'sleep 1000 & trap \"kill -9 $!\" TERM; echo >ready;"
        "wait $!; s=$?; [ $s != 143 ] || { wait $!; s=$?; }; exit $s';"
        "mv pid $2/bundles/$3");
    test_wait_ready(1);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_TERM);
    test_check_end(1, RUN_END_EXITED, 128 + SIGKILL);
}
END_TEST

START_TEST(it_dies_with_its_shim)
{
    pid_t pid;

    run(1,
        "cd $box; begin sh -c 'echo $$ >own; exec sleep 1000'; mv pid $2/bundles/$3");
    test_wait_started(1);
    pid = test_read_pid(1, "own");
    ck_assert_int_eq(kill(shim_of(1), SIGKILL), 0);
    test_wait_gone(pid); /* by the kernel: the launcher has not looked yet */
    test_check_end(1, RUN_END_SHIM_LOST, 0);
}
END_TEST

/* ---- it does not ---- */

START_TEST(last_line_is_the_reason)
{
    check_not_started(1, "echo first >&2; echo why >&2; exit 1", "why");
    check_not_started(2, "exit 7", "exit status 7 before its command was started");
    check_not_started(3, "kill -9 $$", "signal 9 before its command was started");
}
END_TEST

START_TEST(command_that_is_not_there)
{
    check_not_started(
        1, "begin /no/such", "exec \"/no/such\": No such file or directory");
    check_not_started(2,
                      "begin no-such",
                      "exec \"no-such\": No such file or directory (looked in PATH "
                      "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)");
}
END_TEST

/* The last one waits until the shell, which would wait for it, is gone. */
START_TEST(process_1_is_not_there)
{
    check_not_started(1, "exit 0", "exit status 0 before its command was started");
    check_not_started(2, "echo 1 >pid", "exit status 0 before its command was started");
    check_not_started(
        3,
        "(while [ -d /proc/$$ ]; do sleep 0.01; done; exit 5) & echo $! >pid",
        "exit status 5 before its command was started");
}
END_TEST

/* The parent of `own`, which would be process 1, stays. */
#define PARENT_STAYS                                                       \
    "(sleep 1000 & echo $! >told; mv told pid; cp pid $box/own; wait) &\n" \
    "until [ -s pid ]; do sleep 0.01; done"

static void check_cancelled(uint64_t attempt, const char *script)
{
    pid_t pid;

    run(attempt, script);
    pid = test_read_pid(attempt, "own");
    launcher_dispatch(t.launcher);
    launcher_signal(t.launcher, attempt, RUN_SIGNAL_CANCEL);
    test_check_end(attempt, RUN_END_NOT_STARTED, 0);
    ck_assert_str_eq(t.seen[attempt].message, "stopped before its command was started");
    test_wait_gone(pid);
}

/* While it is made; while its parent stays; while it does not begin. */
START_TEST(it_is_cancelled)
{
    check_cancelled(1, "sleep 1000 & echo $! >$box/own; wait");
    check_cancelled(2, PARENT_STAYS);
    check_cancelled(3, "sleep 1000 & echo $! >pid; cp pid $box/own");
}
END_TEST

/* Its alarm is what the test sends, early. */
START_TEST(it_does_not_begin_in_time)
{
    pid_t pid;

    run(1, "sleep 1000 & echo $! >pid; cp pid $box/own");
    pid = test_read_pid(1, "own");
    while (!t.seen[1].ended) { /* before its turn it says nothing */
        kill(shim_of(1), SIGALRM);
        poll(NULL, 0, 10);
        launcher_dispatch(t.launcher);
    }
    test_check_end(1, RUN_END_NOT_STARTED, 0);
    ck_assert_str_eq(t.seen[1].message,
                     "its process 1 did not become the command for 30 s");
    test_wait_gone(pid);
}
END_TEST

/* When the shim has no task of its own: it is not to end itself. */
START_TEST(its_lease_ends_while_its_parent_stays)
{
    char own[96];
    pid_t pid;

    snprintf(own, sizeof(own), "%s/runs/1/own", t.work_dir);
    t.lease_ms = 2000;
    test_renew_leases();
    run(1, PARENT_STAYS);
    while (access(own, F_OK) != 0) { /* a slow host may take long to come so far */
        test_renew_leases();
        poll(NULL, 0, 10);
        launcher_dispatch(t.launcher);
        ck_assert(!t.seen[1].ended);
    }
    pid = test_read_pid(1, "own");
    test_check_end(1, RUN_END_LEASE, 0);
    test_wait_gone(pid);
}
END_TEST

int main(void)
{
    TCase *begins = unit_case("begins",
                              status_and_logs_are_its_own,
                              signal_is_its_own,
                              many_short_ones,
                              parent_leaves_later,
                              term_is_for_process_1,
                              it_dies_with_its_shim);
    TCase *fails = unit_case("does not begin",
                             last_line_is_the_reason,
                             command_that_is_not_there,
                             process_1_is_not_there,
                             it_is_cancelled,
                             it_does_not_begin_in_time,
                             its_lease_ends_while_its_parent_stays);
    TCase *all[] = {begins, fails};

    for (int i = 0; i < 2; i++) {
        tcase_add_checked_fixture(all[i], setup, agent_test_teardown);
        tcase_set_timeout(all[i], 60);
    }
    return unit_run("container_start", all, 2);
}
