/* test_launcher.c - runs as plain processes: start, end, signals, what a task finds. */
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MANY 1000

static void setup(void)
{
    agent_test_setup();
    test_launcher_open();
}

/* ---- ends ---- */

START_TEST(exit_status_is_kept)
{
    test_script(1, "exit 0");
    test_script(2, "exit 3");
    test_check_end(1, RUN_END_EXITED, 0);
    test_check_end(2, RUN_END_EXITED, 3);
    ck_assert(t.seen[2].started);
}
END_TEST

/* What it left behind worked too, and nobody but its shim waited for it. */
START_TEST(what_it_used_is_kept)
{
    struct slot_used used;

    test_script(1,
                "(sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; "
                "echo yes >done' &); until test -s done; do sleep 0.01; done");
    test_check_end(1, RUN_END_EXITED, 0);
    ck_assert(launcher_used(t.launcher, 1, &used));
    ck_assert_uint_gt(used.cpu_us, 10000);
    ck_assert_uint_lt(used.cpu_us, unit_patience_us());
    ck_assert_uint_gt(used.memory_peak_bytes, 100 * KIB);
    ck_assert_uint_lt(used.memory_peak_bytes, 200 * MIB);
    ck_assert(!launcher_used(t.launcher, 2, &used));
}
END_TEST

START_TEST(signal_is_kept)
{
    test_script(1, "kill -SEGV $$");
    test_check_end(1, RUN_END_SIGNALED, SIGSEGV);
}
END_TEST

START_TEST(missing_command_is_clear)
{
    char *argv[] = {"no-such-command", NULL};
    char *env[] = {"PATH=/nowhere:/usr/bin", NULL};

    test_command(1, argv, env);
    test_check_end(1, RUN_END_NOT_STARTED, 0);
    ck_assert_str_eq(t.seen[1].message,
                     "exec \"no-such-command\": No such file or directory (looked in "
                     "PATH /nowhere:/usr/bin)");
    ck_assert(!t.seen[1].started);
}
END_TEST

START_TEST(command_that_cannot_be_executed)
{
    char *argv[] = {"/etc/passwd", NULL};
    char *in_path[] = {"passwd", NULL};
    char *env[] = {"PATH=/nowhere:/etc:/usr/lib", NULL};

    test_command(1, argv, NULL);
    test_check_end(1, RUN_END_NOT_STARTED, 0);
    ck_assert_str_eq(t.seen[1].message, "exec \"/etc/passwd\": Permission denied");
    test_command(2, in_path, env);
    test_check_end(2, RUN_END_NOT_STARTED, 0);
    ck_assert_ptr_nonnull(strstr(t.seen[2].message, "Permission denied"));
}
END_TEST

START_TEST(spec_that_cannot_be_read)
{
    struct run_start run = {.attempt = 1, .spec = {(const uint8_t *)"\xc1", 1}};

    launcher_start(t.launcher, &run);
    test_check_end(1, RUN_END_NOT_STARTED, 0);
    ck_assert_ptr_nonnull(strstr(t.seen[1].message, "cannot be read"));
}
END_TEST

START_TEST(sandbox_that_cannot_be_made)
{
    char runs[80];

    snprintf(runs, sizeof(runs), "%s/runs", t.work_dir);
    ck_assert_int_eq(rmdir(runs), 0);
    test_script(1, "true");
    test_check_end(1, RUN_END_NOT_STARTED, 0);
    ck_assert_ptr_nonnull(strstr(t.seen[1].message, "sandbox runs/1"));
}
END_TEST

/* ---- what a task finds ---- */

START_TEST(output_and_directory)
{
    char text[256], expected[128];

    test_script(1, "pwd; echo problem >&2; echo kept > file");
    test_check_end(1, RUN_END_EXITED, 0);
    snprintf(expected, sizeof(expected), "%s/runs/1", t.work_dir);
    test_read(1, "stdout", text, sizeof(text));
    ck_assert_str_eq(text, expected);
    test_read(1, "stderr", text, sizeof(text));
    ck_assert_str_eq(text, "problem");
    test_read(1, "file", text, sizeof(text));
    ck_assert_str_eq(text, "kept");
}
END_TEST

START_TEST(environment)
{
    char *argv[] = {"sh", "-c", "env | sort | grep -v -e ^_ -e ^PWD -e ^SHLVL", NULL};
    char *env[] = {"HOME=/job", "PATH=/usr/bin:/bin", "TRIARCH_TERM=99", "X=a b", NULL};
    const struct passwd *own = getpwuid(geteuid());
    char text[1024], expected[1024];

    ck_assert_ptr_nonnull(own);
    unsetenv("LANG");
    unsetenv("LC_ALL");
    unsetenv("TZ");
    setenv("USER", "somebody", 1);
    setenv("SECRET_OF_THE_AGENT", "1", 1);
    test_command(1, argv, env);
    test_check_end(1, RUN_END_EXITED, 0);
    snprintf(expected,
             sizeof(expected),
             "HOME=/job\nLOGNAME=%s\nPATH=/usr/bin:/"
             "bin\nTRIARCH_AGENT_ID=9\nTRIARCH_ATTEMPT=2\n"
             "TRIARCH_FENCE=1\nTRIARCH_INSTANCE=3\nTRIARCH_INSTANCES=4\nTRIARCH_JOB_ID=17\n"
             "TRIARCH_RESTART=0\nTRIARCH_SANDBOX=%s/runs/"
             "1\nTRIARCH_TASK_ID=17.3\nTRIARCH_TERM=5\n"
             "USER=%s\nX=a b",
             own->pw_name,
             t.work_dir,
             own->pw_name);
    test_read(1, "stdout", text, sizeof(text));
    ck_assert_str_eq(text, expected);
}
END_TEST

START_TEST(ports_are_told)
{
    const uint16_t ports[] = {31000, 8080};
    char text[256];

    t.ports = ports;
    t.port_count = 2;
    test_script(1, "env | sort | grep ^TRIARCH_PORT | tr '\\n' ' '; echo");
    test_check_end(1, RUN_END_EXITED, 0);
    test_read(1, "stdout", text, sizeof(text));
    ck_assert_str_eq(
        text, "TRIARCH_PORTS=31000,8080 TRIARCH_PORT_0=31000 TRIARCH_PORT_1=8080 ");
}
END_TEST

START_TEST(ended_run_is_started_again)
{
    char text[64];

    test_script(1, "echo $TRIARCH_RESTART; exit 3");
    test_check_end(1, RUN_END_EXITED, 3);
    t.seen[1] = (struct seen){0};
    test_script(1, "exit 4"); /* the same start, repeated: nothing happens */
    t.restarts = 1;
    test_script(1, "echo $TRIARCH_RESTART; exit 5");
    test_check_end(1, RUN_END_EXITED, 5);
    ck_assert_uint_eq(t.seen[1].restarts, 1);
    test_read(1, "stdout", text, sizeof(text));
    ck_assert_str_eq(text, "0\n1");
}
END_TEST

/* What a task makes of its log files must not lead its next start astray. */
START_TEST(logs_are_never_followed)
{
    char text[128];

    test_script(1, "ln -sf ../../victim stdout; rm stderr; mkfifo stderr");
    test_check_end(1, RUN_END_EXITED, 0);
    t.seen[1] = (struct seen){0};
    t.restarts = 1;
    test_script(1, "test -f stdout && test ! -h stdout && test -f stderr && echo good");
    test_check_end(1, RUN_END_EXITED, 0);
    test_read(1, "stdout", text, sizeof(text));
    ck_assert_str_eq(text, "good");
    snprintf(text, sizeof(text), "%s/victim", t.work_dir);
    ck_assert_int_ne(access(text, F_OK), 0);
}
END_TEST

START_TEST(task_is_alone)
{
    char text[256];

    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    /* Descriptors; a session of its own; no signal blocked or ignored (32 and 33 are the C
     * library's own). */
    test_script(
        1,
        "ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> .*/\\1/p' | tr '\\n' ' ';"
        "test \"$(cut -d' ' -f6 /proc/self/stat)\" = $$ && echo session;"
        "readlink /proc/$$/fd/0;"
        "grep -c -e 'SigBlk:.0*$' -e 'SigIgn:.*[08]0000000$' /proc/self/status");
    test_check_end(1, RUN_END_EXITED, 0);
    test_read(1, "stdout", text, sizeof(text));
    ck_assert_str_eq(text,
                     "0 1 2 3 session\n/dev/null\n2"); /* 3: ls reads its directory */
}
END_TEST

START_TEST(largest_command_line)
{
    size_t size = LIMIT_ARGV_ENV_BYTES - 64;
    char *large = mem_alloc(size + 1), text[64];
    char *argv[] = {"sh", "-c", "echo ${#0}", large, NULL};

    memset(large, 'x', size);
    large[size] = 0;
    test_command(1, argv, NULL);
    test_check_end(1, RUN_END_EXITED, 0);
    test_read(1, "stdout", text, sizeof(text));
    ck_assert_uint_eq((size_t)atol(text), size);
    mem_free(large);
}
END_TEST

/* ---- signals ---- */

START_TEST(term_reaches_the_group)
{
    pid_t child;

    test_script(1, "sleep 1000 & echo $! > child; wait");
    child = test_read_pid(1, "child");
    test_wait_started(1);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_TERM);
    test_check_end(1, RUN_END_SIGNALED, SIGTERM);
    test_wait_gone(child);
}
END_TEST

START_TEST(term_can_be_handled)
{
    test_script(1, "trap 'exit 7' TERM; echo > ready; while :; do sleep 0.01; done");
    test_wait_ready(1);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_TERM);
    test_check_end(1, RUN_END_EXITED, 7);
}
END_TEST

START_TEST(kill_ends_what_ignores_term)
{
    test_script(1, "trap '' TERM; echo > ready; while :; do sleep 0.01; done");
    test_wait_ready(1);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_TERM);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_check_end(1, RUN_END_SIGNALED, SIGKILL);
}
END_TEST

START_TEST(what_a_task_leaves_behind_is_killed)
{
    pid_t group, escaped;

    test_script(1,
                "sleep 1000 & echo $! > group;"
                "setsid sh -c 'echo $$ > escaped; exec sleep 1000' &"
                "until test -s escaped; do :; done");
    test_check_end(1, RUN_END_EXITED, 0);
    group = test_read_pid(1, "group");
    escaped = test_read_pid(1, "escaped");
    test_wait_gone(group);
    test_wait_gone(escaped);
}
END_TEST

START_TEST(orphans_that_end_do_not_end_the_task)
{
    test_script(1, "(setsid sh -c true &); (true &); sleep 0.05; exit 4");
    test_check_end(1, RUN_END_EXITED, 4);
}
END_TEST

START_TEST(signals_to_ended_runs_are_nothing)
{
    test_script(1, "true");
    test_check_end(1, RUN_END_EXITED, 0);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    launcher_forget(t.launcher, 1);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    launcher_forget(t.launcher, 1);
    test_script(2, "true");
    test_check_end(2, RUN_END_EXITED, 0);
}
END_TEST

/* ---- accidents ---- */

static pid_t shim_of(uint64_t attempt)
{
    struct slot slot;

    test_slot(attempt, &slot);
    return slot.start.shim_pid;
}

START_TEST(killed_shim_is_lost_with_all_it_had)
{
    pid_t task, escaped;

    test_script(1,
                "echo $$ > task;"
                "setsid sh -c 'echo $$ > escaped; exec sleep 1000' & exec sleep 1000");
    task = test_read_pid(1, "task");
    escaped = test_read_pid(1, "escaped");
    test_wait_started(1);
    ck_assert_int_eq(kill(shim_of(1), SIGKILL), 0);
    test_check_end(1, RUN_END_SHIM_LOST, 0);
    test_wait_gone(task);
    test_wait_gone(escaped);
}
END_TEST

START_TEST(other_runs_survive_the_accident)
{
    test_script(1, "exec sleep 1000");
    test_script(2, "exec sleep 1000");
    test_wait_started(1);
    test_wait_started(2);
    ck_assert_int_eq(kill(shim_of(1), SIGKILL), 0);
    test_check_end(1, RUN_END_SHIM_LOST, 0);
    launcher_signal(t.launcher, 2, RUN_SIGNAL_TERM);
    test_check_end(2, RUN_END_SIGNALED, SIGTERM);
}
END_TEST

static pid_t parent_of(pid_t pid)
{
    char path[64], line[256];
    int parent = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    while (parent == 0 && fgets(line, sizeof(line), f) != NULL)
        sscanf(line, "PPid: %d", &parent);
    fclose(f);
    return parent;
}

START_TEST(end_of_the_spawner_fails_the_launcher)
{
    test_script(1, "exec sleep 1000");
    test_wait_started(1);
    ck_assert_int_eq(kill(parent_of(shim_of(1)), SIGKILL), 0);
    test_wait_failed();
    ck_assert_ptr_nonnull(strstr(t.failed.text, "signal 9"));
    ck_assert(!t.seen[1].ended);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
}
END_TEST

/* Of the user, as the spawner sees it; the limit that was. */
static rlim_t limit_processes(rlim_t most)
{
    struct rlimit limit, old;
    pid_t spawner = parent_of(shim_of(1));

    ck_assert_int_eq(prlimit(spawner, RLIMIT_NPROC, NULL, &old), 0);
    limit = (struct rlimit){most, old.rlim_max};
    ck_assert_int_eq(prlimit(spawner, RLIMIT_NPROC, &limit, NULL), 0);
    return old.rlim_cur;
}

/* The host has no room for a process more: said as it is, and nothing else suffers. */
START_TEST(failed_fork_is_clear)
{
    rlim_t limit;

    test_script(1, "exec sleep 1000");
    test_wait_started(1);
    limit = limit_processes(0);
    test_script(2, "true");
    test_check_end(2, RUN_END_NOT_STARTED, 0);
    ck_assert_str_eq(t.seen[2].message, "fork: Resource temporarily unavailable");
    limit_processes(limit);
    test_script(3, "exit 3");
    test_check_end(3, RUN_END_EXITED, 3);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_check_end(1, RUN_END_SIGNALED, SIGKILL);
}
END_TEST

START_TEST(shim_without_descriptors_is_clear)
{
    struct rlimit limit;
    pid_t spawner;

    test_script(1, "exec sleep 1000");
    test_wait_started(1);
    spawner = parent_of(shim_of(1));
    ck_assert_int_eq(prlimit(spawner, RLIMIT_NOFILE, NULL, &limit), 0);
    limit.rlim_cur = 3;
    ck_assert_int_eq(prlimit(spawner, RLIMIT_NOFILE, &limit, NULL), 0);
    test_script(2, "true");
    test_check_end(2, RUN_END_NOT_STARTED, 0);
    ck_assert_str_eq(t.seen[2].message, "cannot read /proc: Too many open files");
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_check_end(1, RUN_END_SIGNALED, SIGKILL);
}
END_TEST

START_TEST(many_short_tasks)
{
    for (uint64_t attempt = 1; attempt <= MANY; attempt++) {
        char *argv[] = {"true", NULL};

        test_command(attempt, argv, NULL);
    }
    for (uint64_t attempt = 1; attempt <= MANY; attempt++) {
        test_check_end(attempt, RUN_END_EXITED, 0);
        ck_assert(t.seen[attempt].started);
        launcher_forget(t.launcher, attempt);
    }
    ck_assert_uint_eq(t.ended, MANY);
}
END_TEST

START_TEST(shim_is_not_for_people)
{
    char command[128];

    snprintf(command, sizeof(command), "%s 2>/dev/null", t.shim);
    ck_assert_int_eq(system(command), 2 << 8);
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, agent_test_teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("launcher",
          prepared(unit_case("ends",
                             exit_status_is_kept,
                             what_it_used_is_kept,
                             signal_is_kept,
                             missing_command_is_clear,
                             command_that_cannot_be_executed,
                             spec_that_cannot_be_read,
                             sandbox_that_cannot_be_made)),
          prepared(unit_case("tasks",
                             output_and_directory,
                             environment,
                             ports_are_told,
                             ended_run_is_started_again,
                             logs_are_never_followed,
                             task_is_alone,
                             largest_command_line,
                             many_short_tasks)),
          prepared(unit_case("signals",
                             term_reaches_the_group,
                             term_can_be_handled,
                             kill_ends_what_ignores_term,
                             what_a_task_leaves_behind_is_killed,
                             orphans_that_end_do_not_end_the_task,
                             signals_to_ended_runs_are_nothing)),
          prepared(unit_case("accidents",
                             killed_shim_is_lost_with_all_it_had,
                             other_runs_survive_the_accident,
                             end_of_the_spawner_fails_the_launcher,
                             failed_fork_is_clear,
                             shim_without_descriptors_is_clear,
                             shim_is_not_for_people)))
