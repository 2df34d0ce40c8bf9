/* test_adopt.c - an agent that was killed finds its runs again. */
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#define MANY 200

static void one_sleeper(void)
{
    test_script(1, "echo $$ > task; exec sleep 1000");
    test_wait_started(1);
}

START_TEST(running_task_is_adopted)
{
    pid_t task;

    test_agent_killed(one_sleeper);
    task = test_read_pid(1, "task");
    test_launcher_open();
    launcher_adopt(t.launcher, 1);
    test_wait_started(1);
    ck_assert_int_eq(kill(task, 0), 0);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_TERM);
    test_check_end(1, RUN_END_SIGNALED, SIGTERM);
    test_wait_gone(task);
}
END_TEST

/* What reads its words, `triarch-agent | logger`, ends with the agent. */
START_TEST(task_holds_nothing_of_the_agent)
{
    int wire[2], own = dup(STDERR_FILENO), inherited;
    char byte;

    ck_assert_int_eq(pipe2(wire, O_CLOEXEC), 0);
    ck_assert_int_ge(dup2(wire[1], STDERR_FILENO), 0);
    inherited = fcntl(wire[1], F_DUPFD, SHIM_FD_END); /* as of a wrapper */
    close(wire[1]);
    test_agent_killed(one_sleeper);
    ck_assert_int_ge(dup2(own, STDERR_FILENO), 0);
    close(own);
    close(inherited);
    ck_assert_int_eq(read(wire[0], &byte, 1), 0);
    close(wire[0]);
    test_launcher_open();
    launcher_adopt(t.launcher, 1);
    test_wait_started(1); /* it runs still */
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_check_end(1, RUN_END_SIGNALED, SIGKILL);
}
END_TEST

static void ends_while_away(void)
{
    test_script(1, "until test -e go; do sleep 0.01; done; exit 5");
    test_wait_started(1);
}

static void touch(const char *name)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/runs/1/%s", t.work_dir, name);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

START_TEST(exit_status_is_kept_without_an_agent)
{
    struct slot slot;

    test_agent_killed(ends_while_away);
    test_slot(1, &slot);
    ck_assert(!slot_end_valid(&slot));
    touch("go");
    test_wait_gone(slot.start.shim_pid);
    test_launcher_open();
    launcher_adopt(t.launcher, 1);
    test_check_end(1, RUN_END_EXITED, 5);
    ck_assert(!t.seen[1].started);
}
END_TEST

START_TEST(end_after_adoption_is_seen)
{
    test_agent_killed(ends_while_away);
    test_launcher_open();
    launcher_adopt(t.launcher, 1);
    test_wait_started(1);
    touch("go");
    test_check_end(1, RUN_END_EXITED, 5);
}
END_TEST

static void fails_to_start(void)
{
    char *argv[] = {"/no/such/command", NULL};

    test_command(1, argv, NULL);
    test_wait_ended(1);
}

START_TEST(failed_start_is_kept_with_its_reason)
{
    test_agent_killed(fails_to_start);
    test_launcher_open();
    launcher_adopt(t.launcher, 1);
    test_check_end(1, RUN_END_NOT_STARTED, 0);
    ck_assert_str_eq(t.seen[1].message,
                     "exec \"/no/such/command\": No such file or directory");
}
END_TEST

static void nothing(void)
{
}

START_TEST(run_that_never_started_has_vanished)
{
    test_agent_killed(nothing);
    test_launcher_open();
    launcher_adopt(t.launcher, 1);
    test_check_end(1, RUN_END_VANISHED, 0);
}
END_TEST

static void write_start(uint32_t number, struct slot *slot)
{
    char path[80];
    int fd;

    snprintf(path, sizeof(path), "%s/slots", t.work_dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(slot_write_start(fd, number, &slot->start), 0);
    close(fd);
}

/* The number of the shim now belongs to a process that started at another time. */
START_TEST(reused_pid_is_not_believed)
{
    struct slot slot;
    uint32_t number;
    pid_t task;

    test_agent_killed(one_sleeper);
    task = test_read_pid(1, "task");
    number = test_slot(1, &slot);
    ck_assert_int_eq(kill(slot.start.shim_pid, SIGKILL), 0);
    test_wait_gone(slot.start.shim_pid);
    slot.start.shim_pid = 1;
    write_start(number, &slot);
    test_launcher_open();
    launcher_adopt(t.launcher, 1);
    test_check_end(1, RUN_END_SHIM_LOST, 0);
    test_wait_gone(task);
}
END_TEST

START_TEST(restarted_host)
{
    struct slot slot;
    uint32_t number;

    test_agent_killed(one_sleeper);
    number = test_slot(1, &slot);
    ck_assert_int_eq(kill(slot.start.shim_pid, SIGKILL), 0);
    slot.start.boot_id[0] = 'x'; /* no boot has that */
    write_start(number, &slot);
    test_launcher_open();
    launcher_adopt(t.launcher, 1);
    test_check_end(1, RUN_END_VANISHED, 0);
    ck_assert_str_eq(t.seen[1].message, "the host was restarted");
}
END_TEST

static void ends_in_many_ways(void)
{
    test_script(1, "kill -TERM $$");
    test_script(2, "exit 137");
    test_script(3, "kill -SEGV $$");
    test_script(4, "exit 0");
    for (uint64_t attempt = 1; attempt <= 4; attempt++)
        test_wait_ended(attempt);
}

/* Nobody saw the end: so TERM and KILL are of the host that was shut down. */
START_TEST(ended_before_the_host_was_restarted)
{
    static const struct {
        enum run_end how;
        int code;
    } told[] = {{RUN_END_SHUTDOWN, SIGTERM},
                {RUN_END_SHUTDOWN, SIGKILL},
                {RUN_END_SIGNALED, SIGSEGV},
                {RUN_END_EXITED, 0}};
    struct slot slot;
    uint32_t number;

    test_agent_killed(ends_in_many_ways);
    for (uint64_t attempt = 1; attempt <= 4; attempt++) {
        number = test_slot(attempt, &slot);
        slot.start.boot_id[0] = 'x';
        write_start(number, &slot);
    }
    test_launcher_open();
    for (uint64_t attempt = 1; attempt <= 4; attempt++)
        launcher_adopt(t.launcher, attempt);
    for (uint64_t attempt = 1; attempt <= 4; attempt++)
        test_check_end(attempt, told[attempt - 1].how, told[attempt - 1].code);
}
END_TEST

START_TEST(ended_since_the_host_was_started)
{
    test_agent_killed(ends_in_many_ways);
    test_launcher_open();
    launcher_adopt(t.launcher, 1);
    test_check_end(1, RUN_END_SIGNALED, SIGTERM);
}
END_TEST

START_TEST(damaged_slot_is_not_believed)
{
    struct slot slot;
    uint32_t number;

    test_agent_killed(fails_to_start);
    number = test_slot(1, &slot);
    ck_assert(slot_end_valid(&slot));
    slot.end.code ^= 1;
    test_slot_write(number, &slot);
    test_launcher_open();
    launcher_adopt(t.launcher, 1);
    test_check_end(1, RUN_END_SHIM_LOST, 0);
}
END_TEST

#define SLEEPERS 30

static void many_sleepers(void)
{
    for (uint64_t attempt = 1; attempt <= SLEEPERS; attempt++)
        test_script(attempt, "exec sleep 1000");
    for (uint64_t attempt = 1; attempt <= SLEEPERS; attempt++)
        test_wait_started(attempt);
}

static void adopt_sleepers(void)
{
    for (uint64_t attempt = 1; attempt <= SLEEPERS; attempt++)
        launcher_adopt(t.launcher, attempt);
    launcher_dispatch(t.launcher);
}

/* What cannot be looked at has not ended. */
START_TEST(no_descriptors_left)
{
    struct rlimit limit, few;
    int next;

    test_agent_killed(many_sleepers);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    test_launcher_open();
    next = dup(STDIN_FILENO);
    ck_assert_int_ge(next, 0);
    close(next);
    few = (struct rlimit){(rlim_t)next + SLEEPERS / 2, limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    adopt_sleepers();
    ck_assert_uint_eq(t.ended, 0);
    ck_assert_ptr_nonnull(strstr(t.failed.text, "Too many open files"));
    test_launcher_close();
    memset(t.seen, 0, sizeof(t.seen));
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    test_launcher_open();
    adopt_sleepers();
    for (uint64_t attempt = 1; attempt <= SLEEPERS; attempt++) {
        test_wait_started(attempt);
        launcher_signal(t.launcher, attempt, RUN_SIGNAL_KILL);
    }
    for (uint64_t attempt = 1; attempt <= SLEEPERS; attempt++)
        test_check_end(attempt, RUN_END_SIGNALED, SIGKILL);
}
END_TEST

static void starts_many(void)
{
    for (uint64_t attempt = 1; attempt <= MANY; attempt++)
        test_script(attempt, "echo x >> ran");
}

/* The agent dies while its requests are on the way: each one runs once, or never. */
START_TEST(no_run_is_started_twice)
{
    unsigned ran = 0;

    test_agent_killed(starts_many);
    test_launcher_open();
    for (uint64_t attempt = 1; attempt <= MANY; attempt++)
        launcher_adopt(t.launcher, attempt);
    for (uint64_t attempt = 1; attempt <= MANY; attempt++) {
        char text[16];

        test_wait_ended(attempt);
        if (t.seen[attempt].how == RUN_END_VANISHED)
            continue;
        ck_assert_int_eq(t.seen[attempt].how, RUN_END_EXITED);
        test_read(attempt, "ran", text, sizeof(text));
        ck_assert_str_eq(text, "x");
        ran++;
    }
    ck_assert_uint_gt(ran, 0);
}
END_TEST

START_TEST(slots_are_used_again)
{
    struct slot first, second;

    test_agent_killed(fails_to_start);
    test_launcher_open(); /* nobody adopts attempt 1: it was forgotten */
    test_script(2, "true");
    test_check_end(2, RUN_END_EXITED, 0);
    launcher_forget(t.launcher, 2);
    ck_assert_uint_eq(test_slot(2, &first), 0);
    test_script(3, "true");
    test_check_end(3, RUN_END_EXITED, 0);
    ck_assert_uint_eq(test_slot(3, &second), 0);
}
END_TEST

START_TEST(fence_is_waited_for)
{
    char path[80], written[80];
    int fence;
    pid_t holder;

    test_agent_killed(nothing);
    snprintf(path, sizeof(path), "%s/fence", t.work_dir);
    snprintf(written, sizeof(written), "%s/written", t.work_dir);
    fence = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(flock(fence, LOCK_EX), 0);
    holder = fork();
    if (holder == 0) { /* a shim that is slow to write its slot */
        usleep(200000);
        close(open(written, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
        _exit(0);
    }
    close(fence);
    test_launcher_open();
    ck_assert_int_eq(access(written, F_OK), 0);
    test_wait_gone(holder);
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, agent_test_setup, agent_test_teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("adopt",
          prepared(unit_case("adopt",
                             running_task_is_adopted,
                             task_holds_nothing_of_the_agent,
                             exit_status_is_kept_without_an_agent,
                             end_after_adoption_is_seen,
                             failed_start_is_kept_with_its_reason,
                             no_run_is_started_twice,
                             slots_are_used_again,
                             fence_is_waited_for)),
          prepared(unit_case("refuse",
                             run_that_never_started_has_vanished,
                             reused_pid_is_not_believed,
                             restarted_host,
                             ended_before_the_host_was_restarted,
                             ended_since_the_host_was_started,
                             damaged_slot_is_not_believed,
                             no_descriptors_left)))
