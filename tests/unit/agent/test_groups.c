/* test_groups.c - tasks in groups of their own: limits, and that nothing of them stays.
 *
 * As root, once with the host's cgroups as they are and once with version 2 alone, as a
 * host would have it that mounts nothing else (there may be no controllers in it then).
 */
#include "agent/cgroup.h"
#include "agent/leftovers.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[128];

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void setup_host(void)
{
    agent_test_setup_as_started();
    test_launcher_open();
}

/* The mount point of version 2 in this host, from /proc/self/mountinfo. */
static bool find_v2(char out[256])
{
    char line[1024];
    FILE *f = fopen("/proc/self/mountinfo", "re");
    bool found = false;

    while (!found && fgets(line, sizeof(line), f) != NULL)
        found = strstr(line, " - cgroup2 ") != NULL &&
                sscanf(line, "%*d %*d %*s %*s %255s", out) == 1;
    fclose(f);
    return found;
}

static void setup_v2(void)
{
    char mount[256] = "", path[512];

    agent_test_setup_as_started();
    if (find_v2(mount)) {
        snprintf(root, sizeof(root), "%s/root", t.work_dir);
        ck_assert_int_eq(mkdir(root, 0755), 0);
        snprintf(path, sizeof(path), "%s/proc", root);
        ck_assert_int_eq(mkdir(path, 0755), 0);
        snprintf(path, sizeof(path), "%s/proc/self", root);
        ck_assert_int_eq(mkdir(path, 0755), 0);
        snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
        write_file(path, "0::/\n");
        snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
        write_file(path, "41 31 0:38 / /groups rw - cgroup2 cgroup2 rw\n");
        snprintf(path, sizeof(path), "%s/groups", root);
        ck_assert_int_eq(symlink(mount, path), 0);
        t.root = root;
    }
    test_launcher_open();
}

/* The directories in which the launcher makes groups go with it. */
static void teardown(void)
{
    char paths[CGROUP_PLACES][PATH_MAX];
    unsigned count = t.launcher->groups->count;

    for (unsigned i = 0; i < count; i++)
        ck_assert_ptr_nonnull(realpath(t.launcher->groups->places[i].path, paths[i]));
    agent_test_teardown();
    for (unsigned i = 0; i < count; i++)
        ck_assert_msg(rmdir(paths[i]) == 0, "%s: %s", paths[i], strerror(errno));
}

static bool cannot(uint32_t controller)
{
    if (cgroups_have(t.launcher->groups, controller))
        return false;
    printf("# skipped: no cgroup with that controller: %s\n",
           t.launcher->unlimited.text);
    return true;
}

/* No place has a group of this attempt. */
static void check_removed(uint64_t attempt)
{
    struct cgroup g;

    ck_assert_int_eq(cgroup_open(&g, t.launcher->groups, attempt), -ENOENT);
}

/* How many processes the group of an attempt has, in its first place. */
static unsigned members(uint64_t attempt)
{
    struct cgroup g;
    char text[65536];
    unsigned count = 0;
    ssize_t n;
    int fd;

    ck_assert_int_eq(cgroup_open(&g, t.launcher->groups, attempt), 0);
    fd = openat(g.fds[0], "cgroup.procs", O_RDONLY | O_CLOEXEC);
    n = read(fd, text, sizeof(text));
    for (ssize_t i = 0; i < n; i++)
        count += text[i] == '\n' ? 1 : 0;
    close(fd);
    cgroup_close(&g);
    return count;
}

static void wait_members(uint64_t attempt, unsigned least)
{
    uint64_t end = clock_monotonic_us() + unit_patience_us();

    while (members(attempt) < least) {
        poll(NULL, 0, 2);
        ck_assert_msg(
            clock_monotonic_us() < end, "it has %u processes", members(attempt));
    }
}

/* ---- nothing stays ---- */

START_TEST(group_goes_with_the_task)
{
    test_script(1, "exit 3");
    test_check_end(1, RUN_END_EXITED, 3);
    check_removed(1);
}
END_TEST

START_TEST(group_goes_when_nothing_was_started)
{
    char *argv[] = {"/no/such/command", NULL};

    test_command(1, argv, NULL);
    test_check_end(1, RUN_END_NOT_STARTED, 0);
    check_removed(1);
}
END_TEST

START_TEST(daemon_is_in_the_group_and_goes)
{
    pid_t pid;

    if (t.launcher->groups->count == 0) {
        printf("# skipped: no cgroups: %s\n", t.launcher->unlimited.text);
        return;
    }
    test_script(1,
                "(setsid sh -c 'trap \"\" TERM HUP; echo $$ >pid; echo x >ready; sleep "
                "1000' & ) ; while [ ! -e end ]; do sleep 0.05; done");
    test_wait_ready(1);
    pid = test_read_pid(1, "pid");
    ck_assert_uint_ge(members(1), 2);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_check_end(1, RUN_END_SIGNALED, SIGKILL);
    check_removed(1);
    test_wait_gone(pid);
}
END_TEST

START_TEST(groups_of_its_own_go_too)
{
    char script[3 * PATH_MAX];

    if (t.launcher->groups->count == 0) {
        printf("# skipped: no cgroups: %s\n", t.launcher->unlimited.text);
        return;
    }
    snprintf(
        script,
        sizeof(script),
        "mkdir -p %s/1/a/b && (echo $$ >%s/1/a/b/cgroup.procs; sleep 1000 & echo x "
        ">ready; sleep 1000)",
        t.launcher->groups->places[0].path,
        t.launcher->groups->places[0].path);
    test_script(1, script);
    test_wait_ready(1);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_check_end(1, RUN_END_SIGNALED, SIGKILL);
    check_removed(1);
}
END_TEST

/* Each forks another one and stays: what multiplies faster may also die of the limit before it
 * is looked at. */
static const char bomb[] = "b() { (b) & exec sleep 1000; }; b";

START_TEST(fork_bomb_is_removed)
{
    if (cannot(CGROUP_PIDS))
        return;
    test_script(1, bomb);
    test_wait_started(1);
    wait_members(1, TEST_TASK_PIDS - 1); /* the last one could not fork */
    ck_assert_uint_le(members(1), TEST_TASK_PIDS);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_check_end(1, RUN_END_SIGNALED, SIGKILL);
    check_removed(1);
}
END_TEST

START_TEST(killed_shim_takes_its_group_along)
{
    struct slot slot;
    pid_t pid;

    test_script(1,
                "setsid sh -c 'echo $$ >pid; echo x >ready; sleep 1000' & sleep 1000");
    test_wait_ready(1);
    pid = test_read_pid(1, "pid");
    test_slot(1, &slot);
    ck_assert_int_eq(kill(slot.start.shim_pid, SIGKILL), 0);
    test_check_end(1, RUN_END_SHIM_LOST, 0);
    check_removed(1);
    test_wait_gone(pid);
}
END_TEST

START_TEST(stray_groups_go_at_start)
{
    const struct cgroups *groups = t.launcher->groups;
    struct cgroup g;
    uint64_t end = clock_monotonic_us() + unit_patience_us();

    for (unsigned i = 0; i < groups->count; i++)
        ck_assert_int_eq(mkdirat(groups->places[i].fd, "77", 0755), 0);
    test_launcher_close();
    test_launcher_open();
    while (cgroup_open(&g, t.launcher->groups, 77) == 0) {
        cgroup_close(&g);
        launcher_dispatch(t.launcher);
        poll(NULL, 0, 2);
        ck_assert(clock_monotonic_us() < end);
    }
}
END_TEST

/* Else a successor would run beside what is in it. */
START_TEST(group_that_cannot_be_looked_at_is_not_gone)
{
    struct rlimit before, none;
    const struct cgroups *groups = t.launcher->groups;
    int rv;

    if (groups->count == 0) {
        printf("# skipped: no cgroups: %s\n", t.launcher->unlimited.text);
        return;
    }
    test_script(1, "echo x >ready; exec sleep 1000");
    test_wait_ready(1);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    rv = leftovers_end_group(groups, 1);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(rv, -EBUSY);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_wait_ended(1);
    ck_assert_int_eq(leftovers_end_group(groups, 1), 0);
}
END_TEST

/* What an attempt that goes on has in its group is not even asked whose it is. */
START_TEST(leftovers_are_in_no_group)
{
    const struct cgroups *groups = t.launcher->groups;
    const uint64_t gone = 2;
    char script[512];
    struct error err;

    if (groups->count == 0) {
        printf("# skipped: no cgroups: %s\n", t.launcher->unlimited.text);
        return;
    }
    snprintf(script,
             sizeof(script),
             "exec env TRIARCH_SANDBOX=%s/runs/2 "
             "sh -c 'echo x >ready; exec sleep 1000'",
             t.work_dir);
    test_script(1, script);
    test_wait_ready(1);
    ck_assert_int_eq(leftovers_kill(groups, t.work_dir, &gone, 1, &err), 0);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_TERM);
    test_wait_ended(1);
    test_check_end(1, RUN_END_SIGNALED, SIGTERM); /* and not SIGKILL */
}
END_TEST

/* ---- one group after the other ---- */

/* The place that counts processes, if its groups can be kept; else -1. */
static int keeping_place(void)
{
    const struct cgroups *groups = t.launcher->groups;

    for (unsigned i = 0; i < groups->count; i++) {
        char text[CGROUP_TEXT];

        cgroups_print(groups, i, text);
        if (text[0] == '1' && (groups->places[i].controllers & CGROUP_PIDS) != 0)
            return (int)i;
    }
    printf("# skipped: no hierarchy of version 1 counts processes\n");
    return -1;
}

/* 0: it is not there. */
static ino_t inode_in(int place, const char *name)
{
    struct stat st;

    return fstatat(t.launcher->groups->places[place].fd, name, &st, 0) == 0 ? st.st_ino
                                                                            : 0;
}

/* Of a group of some place that has that file. */
static uint64_t number_in(const char *group, const char *file)
{
    const struct cgroups *groups = t.launcher->groups;
    char path[PATH_MAX + 128], text[64] = "";

    for (unsigned i = 0; i < groups->count; i++) {
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s/%s", groups->places[i].path, group, file);
        f = fopen(path, "re");
        if (f == NULL)
            continue;
        ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
        fclose(f);
        return strtoull(text, NULL, 10);
    }
    ck_abort_msg("no group %s has %s", group, file);
}

START_TEST(group_is_kept_for_the_next)
{
    int place = keeping_place();
    struct usage usage;
    struct slot slot;
    ino_t kept;

    if (place < 0)
        return;
    test_script(1, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
    test_check_end(1, RUN_END_EXITED, 0);
    check_removed(1);
    kept = inode_in(place, "spare-0");
    ck_assert_uint_ne(kept, 0);
    test_slot(1, &slot);
    test_wait_gone(slot.start.shim_pid); /* then the spawner knows that it is free */
    launcher_forget(t.launcher, 1);
    test_script(2, "echo x >ready; sleep 1000");
    test_wait_ready(2);
    ck_assert_uint_eq(inode_in(place, "2"), kept);
    ck_assert_uint_eq(inode_in(place, "spare-0"), 0);
    ck_assert_int_eq(cgroup_usage(t.launcher->groups, 2, &usage), 0);
    ck_assert_uint_lt(usage.cpu_us, 20000); /* the first took far more */
    ck_assert_uint_eq(usage.pids, 2);
    launcher_signal(t.launcher, 2, RUN_SIGNAL_KILL);
    test_check_end(2, RUN_END_SIGNALED, SIGKILL);
    ck_assert_uint_eq(inode_in(place, "spare-0"), 0); /* pids.max is 0 in it */
    check_removed(2);
}
END_TEST

/* Moves there and waits to be killed. */
static pid_t join(const struct cgroup *g, const char *name)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (cgroup_join(g, false) == 0)
            pause();
        _exit(1);
    }
    ck_assert_int_gt(pid, 0);
    while (number_in(name, "pids.current") == 0)
        poll(NULL, 0, 2);
    return pid;
}

static void end_joined(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* The group of an attempt, which may take spare 3. */
static void
make_group(struct cgroup *g, uint64_t attempt, const struct cgroup_limits *limits)
{
    const char *file = NULL;

    cgroup_init(g, t.launcher->groups, attempt);
    g->spare = 3;
    ck_assert_int_eq(cgroup_make(g, limits, &file), 0);
}

START_TEST(kept_group_takes_other_limits)
{
    static const uint64_t sizes[] = {16 * MIB, 512 * MIB, 8 * MIB, 64 * MIB};
    int place = keeping_place();
    ino_t kept = 0;

    if (place < 0 || cannot(CGROUP_MEMORY))
        return;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct cgroup_limits limits = {
            .memory_bytes = sizes[i], .cpu_milli = 100 * (i + 1), .pids = 10 + i};
        struct cgroup g;

        make_group(&g, 5, &limits);
        ck_assert(i == 0 || inode_in(place, "5") == kept);
        kept = inode_in(place, "5");
        ck_assert_uint_eq(number_in("5", "memory.limit_in_bytes"), sizes[i]);
        ck_assert_uint_eq(number_in("5", "pids.max"), 10 + i);
        ck_assert_int_eq(cgroup_leave(&g), 0);
        check_removed(5);
        ck_assert_uint_eq(inode_in(place, "spare-3"), kept);
    }
    test_launcher_close();
    test_launcher_open();
    ck_assert_uint_eq(inode_in(place, "spare-3"), 0); /* it goes with the agent */
}
END_TEST

START_TEST(only_an_empty_group_is_kept)
{
    const struct cgroup_limits limits = {.memory_bytes = 16 * MIB, .pids = 10};
    int place = keeping_place();
    struct cgroup g;
    pid_t pid;

    if (place < 0)
        return;
    make_group(&g, 5, &limits);
    pid = join(&g, "5");
    ck_assert_int_eq(cgroup_leave(&g), -EBUSY);
    ck_assert_uint_ne(inode_in(place, "5"), 0);
    end_joined(pid);
    ck_assert_int_eq(mkdirat(g.fds[place], "below", 0755), 0);
    ck_assert_int_eq(cgroup_leave(&g), 0);
    check_removed(5);
    ck_assert_uint_eq(inode_in(place, "spare-3"), 0);
}
END_TEST

/* Whoever is in a kept group all the same is not in the next attempt's. */
START_TEST(kept_group_with_a_process_is_not_taken)
{
    const struct cgroup_limits limits = {.memory_bytes = 16 * MIB, .pids = 10};
    int place = keeping_place();
    struct cgroup g;
    ino_t kept;
    pid_t pid;

    if (place < 0)
        return;
    make_group(&g, 5, &limits);
    ck_assert_int_eq(cgroup_leave(&g), 0);
    kept = inode_in(place, "spare-3");
    ck_assert_int_eq(cgroup_open(&g, t.launcher->groups, 0), -ENOENT);
    g.fds[place] = openat(t.launcher->groups->places[place].fd,
                          "spare-3",
                          O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pid = join(&g, "spare-3");
    cgroup_close(&g);
    make_group(&g, 6, &limits);
    ck_assert_uint_ne(inode_in(place, "6"), kept);
    ck_assert_uint_eq(number_in("6", "pids.current"), 0);
    end_joined(pid);
    ck_assert_int_eq(cgroup_remove(&g), 0);
}
END_TEST

/* ---- memory ---- */

START_TEST(memory_hog_ends_with_that_reason)
{
    if (cannot(CGROUP_MEMORY))
        return;
    test_script(1, "exec tail /dev/zero");
    test_wait_ended(1);
    ck_assert_int_eq(t.seen[1].how, RUN_END_MEMORY);
    check_removed(1);
}
END_TEST

START_TEST(all_of_the_task_goes_with_its_hog)
{
    if (cannot(CGROUP_MEMORY))
        return;
    test_script(2, "echo x >ready; sleep 1000");
    test_wait_ready(2);
    test_script(1, "sleep 1000 & tail /dev/zero; sleep 1000");
    test_wait_ended(1);
    ck_assert_int_eq(t.seen[1].how, RUN_END_MEMORY);
    check_removed(1);
    ck_assert(!t.seen[2].ended);
    launcher_signal(t.launcher, 2, RUN_SIGNAL_KILL);
    test_check_end(2, RUN_END_SIGNALED, SIGKILL);
}
END_TEST

START_TEST(usage_is_told)
{
    struct usage usage;

    if (cannot(CGROUP_CPUACCT | CGROUP_CPU))
        return;
    test_script(1,
                "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000 & echo x "
                ">ready; wait");
    test_wait_ready(1);
    ck_assert_int_eq(cgroup_usage(t.launcher->groups, 1, &usage), 0);
    ck_assert_uint_gt(usage.cpu_us, 1000);
    if (cgroups_have(t.launcher->groups, CGROUP_MEMORY)) {
        ck_assert_uint_gt(usage.memory_bytes, 0);
        ck_assert_uint_lt(usage.memory_bytes, 128 * MIB);
        ck_assert_uint_gt(usage.memory_peak_bytes, 0);
    }
    if (cgroups_have(t.launcher->groups, CGROUP_PIDS))
        ck_assert_uint_eq(usage.pids, 2);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_wait_ended(1);
    ck_assert_int_eq(cgroup_usage(t.launcher->groups, 1, &usage), -ENOENT);
}
END_TEST

/* ---- users ---- */

static void setup_nobody(void)
{
    agent_test_setup_as_started();
    t.users_options.default_user = "nobody";
    test_launcher_open();
}

START_TEST(task_is_the_user_and_nothing_more)
{
    char text[512];

    test_script(1,
                "id -u; id -G; umask; ulimit -c; grep NoNewPrivs /proc/self/status | "
                "cut -f2; cat /proc/self/oom_score_adj; echo $USER $LOGNAME; "
                "echo x >file; echo e >/dev/stderr; stat -c %U . stdout stderr; "
                "kill -0 $PPID 2>/dev/null || echo no");
    test_check_end(1, RUN_END_EXITED, 0);
    test_read(1, "stdout", text, sizeof(text));
    ck_assert_str_eq(
        text,
        "65534\n65534\n0022\n0\n1\n0\nnobody nobody\nnobody\nnobody\nnobody"
        "\nno");
}
END_TEST

/* As a service manager gives them to an agent.  False: it may not even give them. */
static bool raise_ambient(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];

    ck_assert_int_eq(syscall(SYS_capget, &header, caps), 0);
    caps[0].inheritable |= 1u << CAP_NET_BIND_SERVICE;
    return syscall(SYS_capset, &header, caps) == 0 &&
           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) == 0;
}

static void setup_privileged(void)
{
    agent_test_setup_as_started();
    if (!raise_ambient())
        printf("# skipped: this process may not give capabilities away\n");
    test_launcher_open();
}

START_TEST(task_has_no_capabilities_of_the_agent)
{
    char text[128];

    test_script(1, "grep CapAmb /proc/self/status");
    test_check_end(1, RUN_END_EXITED, 0);
    test_read(1, "stdout", text, sizeof(text));
    ck_assert_str_eq(text, "CapAmb:\t0000000000000000");
}
END_TEST

static TCase *with(TCase *c, void (*setup)(void))
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

#define TESTS                                                                     \
    group_goes_with_the_task, group_goes_when_nothing_was_started,                \
        daemon_is_in_the_group_and_goes, groups_of_its_own_go_too,                \
        fork_bomb_is_removed, killed_shim_takes_its_group_along,                  \
        stray_groups_go_at_start, group_that_cannot_be_looked_at_is_not_gone,     \
        leftovers_are_in_no_group, group_is_kept_for_the_next,                    \
        kept_group_takes_other_limits, only_an_empty_group_is_kept,               \
        kept_group_with_a_process_is_not_taken, memory_hog_ends_with_that_reason, \
        all_of_the_task_goes_with_its_hog, usage_is_told

int main(void)
{
    TCase *cases[] = {
        with(unit_case("host", TESTS), setup_host),
        with(unit_case("v2", TESTS), setup_v2),
        with(unit_case("users", task_is_the_user_and_nothing_more), setup_nobody),
        with(unit_case("capabilities", task_has_no_capabilities_of_the_agent),
             setup_privileged),
    };

    if (geteuid() != 0) {
        printf("1..0 # SKIP only root can make cgroups and change users here\n");
        return 0;
    }
    return unit_run("groups", cases, sizeof(cases) / sizeof(cases[0]));
}
