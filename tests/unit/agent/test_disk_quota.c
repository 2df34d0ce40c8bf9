/* test_disk_quota.c - sandboxes that take more than their disk. */
#include "agent/disk_quota.h"
#include "base/clock.h"
#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES 50

static const struct cgroups no_groups;
static struct disk_quota *quota;
static char looking[128]; /* the program that looks at what is open */
static atomic_uint looks;

static void on_look(void *arg)
{
    (void)arg;
    atomic_fetch_add(&looks, 1);
}

static void open_quota(uint64_t files)
{
    const struct disk_quota_options options = {
        .work_dir = t.work_dir,
        .shim = looking,
        .groups = &no_groups,
        .look_ms = 5,
        .files = files,
        .hooks.notify = on_look,
    };
    struct error err = {0};

    ck_assert_msg(disk_quota_open(&quota, &options, &err) == 0, "%s", err.text);
}

static void write_looking(const char *script)
{
    FILE *f;

    snprintf(looking, sizeof(looking), "%s/looking", t.work_dir);
    f = fopen(looking, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_gt(fprintf(f, "#!/bin/sh\n%s\n", script), 0);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(chmod(looking, 0700), 0);
}

static void setup(void)
{
    char script[512];

    agent_test_setup();
    test_launcher_open(); /* makes runs */
    snprintf(script,
             sizeof(script),
             "echo >>%s/looked\nexec " TEST_SHIM " \"$@\"",
             t.work_dir);
    write_looking(script);
    open_quota(FILES);
}

static void teardown(void)
{
    disk_quota_close(quota);
    agent_test_teardown();
}

static void shell(const char *script)
{
    char command[1024];

    snprintf(command, sizeof(command), "cd %s/runs && %s", t.work_dir, script);
    ck_assert_int_eq(system(command), 0);
}

/* The only one that is over; 0: none in a while. */
static uint64_t next_over(bool expected)
{
    uint64_t end = clock_monotonic_us() + (expected ? unit_patience_us() : 100000);
    uint64_t attempt;

    while (clock_monotonic_us() < end) {
        if (disk_quota_take(quota, &attempt))
            return attempt;
        poll(NULL, 0, 1);
    }
    return 0;
}

START_TEST(too_many_bytes)
{
    shell(
        "mkdir -p 1/a/b 2 && head -c 300k /dev/zero >1/a/b/f && "
        "head -c 100k /dev/zero >2/f");
    disk_quota_watch(quota, 2, 200 * KIB, 0);
    ck_assert_uint_eq(next_over(false), 0);
    disk_quota_watch(quota, 1, 200 * KIB, 0);
    ck_assert_uint_eq(next_over(true), 1);
    ck_assert_uint_eq(next_over(true), 1); /* until it has left */
    ck_assert_uint_gt(atomic_load(&looks), 1);
    disk_quota_leave(quota, 1);
    ck_assert_uint_eq(next_over(false), 0);
}
END_TEST

START_TEST(too_many_files)
{
    shell("mkdir -p 1 && cd 1 && for i in $(seq 60); do : >$i; done");
    disk_quota_watch(quota, 1, 1 * MIB, 0);
    ck_assert_uint_eq(next_over(true), 1);
}
END_TEST

START_TEST(too_deep)
{
    shell(
        "mkdir -p 1 && cd 1 && for i in $(seq 45); do mkdir -p d/d/d/d && cd d/d/d/d; "
        "done");
    disk_quota_close(quota);
    open_quota(0);
    disk_quota_watch(quota, 1, 100 * MIB, 0);
    ck_assert_uint_eq(next_over(true), 1);
}
END_TEST

/* Logs are cut by others; links lead nowhere; holes take nothing. */
START_TEST(what_does_not_count)
{
    shell(
        "mkdir -p 1 && cd 1 && head -c 300k /dev/zero >stdout && ln -s / root && "
        "truncate -s 1G hole");
    disk_quota_watch(quota, 1, 200 * KIB, 0);
    ck_assert_uint_eq(next_over(false), 0);
}
END_TEST

START_TEST(a_file_with_many_names_counts_once)
{
    shell("mkdir -p 1 && cd 1 && head -c 150k /dev/zero >a && ln a b && ln a c");
    disk_quota_watch(quota, 1, 200 * KIB, 0);
    ck_assert_uint_eq(next_over(false), 0);
    shell("cd 1 && head -c 100k /dev/zero >d");
    ck_assert_uint_eq(next_over(true), 1);
}
END_TEST

START_TEST(what_a_log_has_beyond_its_end_counts)
{
    shell("mkdir -p 1 && cd 1 && echo x >stdout && fallocate -n -l 66M stdout");
    disk_quota_watch(quota, 1, 200 * KIB, 0);
    ck_assert_uint_eq(next_over(true), 1);
}
END_TEST

START_TEST(closed_directories_are_looked_into)
{
    struct stat st;
    char path[128];

    shell("mkdir -p 1/a/b && head -c 300k /dev/zero >1/a/b/f && chmod 0 1/a/b 1/a");
    disk_quota_watch(quota, 1, 200 * KIB, 0);
    ck_assert_uint_eq(next_over(true), 1);
    snprintf(path, sizeof(path), "%s/runs/1/a", t.work_dir);
    disk_quota_close(quota);
    quota = NULL;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0);
    shell("chmod 755 1/a && chmod 755 1/a/b");
}
END_TEST

/* ---- files without a name ---- */

static off_t looked(void)
{
    char path[128];
    struct stat st;

    snprintf(path, sizeof(path), "%s/looked", t.work_dir);
    return stat(path, &st) == 0 ? st.st_size : 0;
}

/* By several looks at what is open. */
static uint64_t next_over_open(void)
{
    off_t end = looked() + 5;
    uint64_t until_us = clock_monotonic_us() + unit_patience_us(), attempt;

    while (looked() < end) {
        if (disk_quota_take(quota, &attempt))
            return attempt;
        ck_assert_uint_lt(clock_monotonic_us(), until_us);
        poll(NULL, 0, 1);
    }
    return 0;
}

/* A child at work in sandbox 1, which has made `ready`. */
static pid_t start_child(void (*work)(void))
{
    char folder[128], ready[160];
    uint64_t end = clock_monotonic_us() + unit_patience_us();
    pid_t pid;

    shell("mkdir -p 1");
    snprintf(folder, sizeof(folder), "%s/runs/1", t.work_dir);
    snprintf(ready, sizeof(ready), "%s/ready", folder);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        ck_assert_int_eq(chdir(folder), 0);
        work();
        for (;;)
            pause();
    }
    while (access(ready, F_OK) != 0) {
        ck_assert_uint_lt(clock_monotonic_us(), end);
        poll(NULL, 0, 1);
    }
    return pid;
}

static const char *script;

static void run_script(void)
{
    execl("/bin/sh", "sh", "-ec", script, NULL);
}

static pid_t start_script(const char *text)
{
    script = text;
    return start_child(run_script);
}

static void end_child(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

#define WAIT "touch ready; while :; do sleep 0.01; done"

/* By a child of a child, which is found by the process that stands over it: us. */
START_TEST(removed_files_count_while_they_are_open)
{
    pid_t pid = start_script("sh -ec 'exec 3>f; rm f; head -c 300k /dev/zero >&3; " WAIT
                             "'; :");

    disk_quota_watch(quota, 1, 200 * KIB, 0);
    ck_assert_uint_eq(next_over_open(), 0);
    disk_quota_watch(quota, 1, 200 * KIB, getpid());
    ck_assert_uint_eq(next_over(true), 1);
    end_child(pid);
}
END_TEST

START_TEST(a_removed_file_counts_once)
{
    pid_t pid = start_script(
        "exec 3>f; rm f; head -c 150k /dev/zero >&3; exec 4>&3; "
        "sleep 1000 & echo $! >child; " WAIT);

    disk_quota_watch(quota, 1, 200 * KIB, getpid());
    ck_assert_uint_eq(next_over_open(), 0);
    shell("kill $(cat 1/child)");
    end_child(pid);
}
END_TEST

/* A log that was rotated, or a library that was replaced: the task did not write it. */
START_TEST(removed_files_of_others_do_not_count)
{
    pid_t pid =
        start_script("head -c 300k /dev/zero >../f; exec 3<../f; rm ../f; " WAIT);

    disk_quota_watch(quota, 1, 200 * KIB, getpid());
    ck_assert_uint_eq(next_over_open(), 0);
    end_child(pid);
}
END_TEST

static void hold_many_files(void)
{
    for (int i = 0; i < FILES + 10; i++) {
        ck_assert_int_ge(open("f", O_WRONLY | O_CREAT | O_EXCL, 0600), 0);
        ck_assert_int_eq(unlink("f"), 0);
    }
    close(open("ready", O_WRONLY | O_CREAT, 0600));
}

START_TEST(too_many_removed_files)
{
    pid_t pid = start_child(hold_many_files);

    disk_quota_watch(quota, 1, 200 * KIB, getpid());
    ck_assert_uint_eq(next_over(true), 1);
    end_child(pid);
}
END_TEST

/* Another process that got the number. */
START_TEST(a_shim_that_is_gone_has_no_files)
{
    pid_t pid = start_script("exec 3>f; rm f; head -c 300k /dev/zero >&3; " WAIT);
    pid_t shim = fork();

    if (shim == 0)
        _exit(0);
    ck_assert_int_eq(waitpid(shim, NULL, 0), shim);
    disk_quota_watch(quota, 1, 200 * KIB, shim);
    ck_assert_uint_eq(next_over_open(), 0);
    end_child(pid);
}
END_TEST

static void map_a_removed_file(void)
{
    const size_t size = 300 * KIB;
    int fd = open("f", O_RDWR | O_CREAT, 0600);

    ck_assert_int_eq(posix_fallocate(fd, 0, (off_t)size), 0);
    ck_assert_ptr_ne(mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
    ck_assert_int_eq(unlink("f"), 0);
    close(fd);
    close(open("ready", O_WRONLY | O_CREAT, 0600));
}

/* The kernel shows what is only mapped to root. */
START_TEST(removed_files_count_while_they_are_mapped)
{
    uint64_t expected = geteuid() == 0 ? 1 : 0;
    pid_t pid = start_child(map_a_removed_file);

    disk_quota_watch(quota, 1, 200 * KIB, getpid());
    ck_assert_uint_eq(next_over_open(), expected);
    end_child(pid);
}
END_TEST

/* ---- what hides, or hinders a look ---- */

static void *hold_in_a_table_of_its_own(void *arg)
{
    int fd;

    (void)arg;
    ck_assert_int_eq(unshare(CLONE_FILES), 0);
    fd = open("f", O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(posix_fallocate(fd, 0, 300 * KIB), 0);
    ck_assert_int_eq(unlink("f"), 0);
    close(open("ready", O_WRONLY | O_CREAT, 0600));
    for (;;)
        pause();
}

static void hold_in_a_thread(void)
{
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, hold_in_a_table_of_its_own, NULL),
                     0);
}

START_TEST(descriptors_of_a_thread_count)
{
    pid_t pid = start_child(hold_in_a_thread);

    disk_quota_watch(quota, 1, 200 * KIB, getpid());
    ck_assert_uint_eq(next_over(true), 1);
    end_child(pid);
}
END_TEST

/* A file is made and removed again and again: each is open for a moment after it lost its name,
 * and there is never more than one. */
static void replace_a_file(void)
{
    for (;;) {
        int fd = open("new", O_RDWR | O_CREAT, 0600);

        ck_assert_int_eq(posix_fallocate(fd, 0, 120 * KIB), 0);
        close(open("ready", O_WRONLY | O_CREAT, 0600));
        ck_assert_int_eq(unlink("new"), 0);
        poll(NULL, 0, 1);
        close(fd);
    }
}

START_TEST(a_removed_file_does_not_count_with_its_name)
{
    pid_t pid;

    shell("mkdir -p 1/many && cd 1/many && for i in $(seq 3000); do : >$i; done");
    disk_quota_close(quota);
    open_quota(0);
    pid = start_child(replace_a_file);
    disk_quota_watch(quota, 1, 200 * KIB, getpid());
    ck_assert_uint_eq(next_over_open(), 0);
    end_child(pid);
}
END_TEST

/* Names are looked at as ever, and nothing waits for it at the end. */
START_TEST(a_look_that_does_not_end)
{
    uint64_t began;

    disk_quota_close(quota);
    write_looking("exec sleep 1000");
    open_quota(FILES);
    shell("mkdir -p 1");
    disk_quota_watch(quota, 1, 200 * KIB, getpid());
    ck_assert_uint_eq(next_over(false), 0);
    shell("head -c 300k /dev/zero >1/f");
    ck_assert_uint_eq(next_over(true), 1);
    began = clock_monotonic_us();
    disk_quota_close(quota);
    quota = NULL;
    ck_assert_uint_lt(clock_monotonic_us() - began, unit_patience_us());
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("disk_quota",
          prepared(unit_case("looks",
                             too_many_bytes,
                             too_many_files,
                             too_deep,
                             what_does_not_count,
                             a_file_with_many_names_counts_once,
                             what_a_log_has_beyond_its_end_counts,
                             closed_directories_are_looked_into)),
          prepared(unit_case("nameless",
                             removed_files_count_while_they_are_open,
                             a_removed_file_counts_once,
                             removed_files_of_others_do_not_count,
                             too_many_removed_files,
                             a_shim_that_is_gone_has_no_files,
                             removed_files_count_while_they_are_mapped,
                             descriptors_of_a_thread_count,
                             a_removed_file_does_not_count_with_its_name,
                             a_look_that_does_not_end)))
