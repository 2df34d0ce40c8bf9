/* agent_test.c - a work directory and a launcher with real processes, for tests. */
#include "tests/unit/agent/agent_test.h"

#include "agent/leftovers.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "wire/job.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

struct agent_test t;
static int ready = -1;

/* ---- directory ---- */

void test_copy_program(const char *program, const char *path)
{
    char buffer[65536];
    int from = open(program, O_RDONLY | O_CLOEXEC);
    int to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    ssize_t n;

    ck_assert_int_ge(from, 0);
    ck_assert_int_ge(to, 0);
    while ((n = read(from, buffer, sizeof(buffer))) > 0)
        ck_assert_int_eq(write(to, buffer, (size_t)n), n);
    close(from);
    close(to);
}

void agent_test_setup_as_started(void)
{
    memset(&t, 0, sizeof(t));
    snprintf(t.work_dir, sizeof(t.work_dir), "/tmp/triarch-agent-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(t.work_dir));
    ck_assert_int_eq(chmod(t.work_dir, 0755), 0);
    snprintf(t.shim, sizeof(t.shim), "%s/triarch-shim", t.work_dir);
    snprintf(t.fetch, sizeof(t.fetch), "%s/triarch-fetch", t.work_dir);
    test_copy_program(TEST_SHIM, t.shim);
    umask(022);
}

void agent_test_setup(void)
{
    agent_test_setup_as_started();
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(chown(t.work_dir, NOBODY, NOBODY), 0);
    ck_assert_int_eq(setgroups(0, NULL), 0);
    ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
    ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
    prctl(PR_SET_DUMPABLE, 1); /* sanitizers look into their own process */
}

/* What a test started and did not end, as another agent would: its shim ends then too. */
static void end_tasks(void)
{
    static const struct cgroups none;
    uint64_t attempts[TEST_ATTEMPTS];
    struct error err;

    for (uint64_t i = 0; i < TEST_ATTEMPTS; i++)
        attempts[i] = i;
    ck_assert_msg(leftovers_kill(&none, t.work_dir, attempts, TEST_ATTEMPTS, &err) == 0,
                  "%s",
                  err.text);
}

void agent_test_teardown(void)
{
    char *argv[] = {"rm", "-rf", t.work_dir, NULL};
    char *env[] = {NULL};
    pid_t pid;

    test_launcher_close();
    end_tasks();
    users_destroy(t.users);
    ck_assert_int_eq(posix_spawnp(&pid, "rm", NULL, NULL, argv, env), 0);
    waitpid(pid, NULL, 0);
}

/* ---- launcher ---- */

static struct seen *seen(uint64_t attempt)
{
    ck_assert_uint_lt(attempt, TEST_ATTEMPTS);
    return &t.seen[attempt];
}

static void on_started(void *context, const struct run_started *started)
{
    struct seen *s = seen(started->attempt);

    (void)context;
    ck_assert(!s->started);
    ck_assert(!s->ended);
    s->started = true;
}

static void on_ended(void *context, const struct run_ended *ended)
{
    struct seen *s = seen(ended->attempt);
    const char *message = ended->message;

    (void)context;
    ck_assert(!s->ended);
    s->ended = true;
    s->how = ended->how;
    s->restarts = ended->restarts;
    s->code = ended->code;
    snprintf(s->message, sizeof(s->message), "%s", message != NULL ? message : "");
    t.ended++;
}

static void on_asked(void *context, uint64_t attempt)
{
    (void)context;
    t.seen[attempt].disk_bytes = launcher_disk(t.launcher, attempt);
}

static void on_checked(void *context, const struct run_checked *checked)
{
    (void)context;
    t.checked.count++;
    t.checked.attempt = checked->attempt;
    t.checked.restarts = checked->restarts;
    t.checked.index = checked->index;
    t.checked.passed = checked->passed;
    t.checked.unasked = checked->unasked;
    snprintf(t.checked.message,
             sizeof(t.checked.message),
             "%s",
             checked->message != NULL ? checked->message : "");
}

static void on_failed(void *context, const struct error *err)
{
    (void)context;
    t.failed = *err;
}

static void open_users(void)
{
    struct error err = {0};

    if (t.users == NULL)
        ck_assert_msg(
            users_create(&t.users, &t.users_options, &err) == 0, "%s", err.text);
}

static void open_launcher(void)
{
    const struct launcher_process_options options = {
        .work_dir = t.work_dir,
        .shim = t.shim,
        .fetch = t.fetch,
        .contain = t.contain[0] == 0 ? NULL : t.contain,
        .users = t.users,
        .task_pids = TEST_TASK_PIDS,
        .default_disk = TEST_DISK_BYTES,
        .root = t.root,
    };
    const struct launcher_listener listener = {
        .asked = on_asked,
        .started = on_started,
        .ended = on_ended,
        .checked = on_checked,
        .failed = on_failed,
    };
    struct error err = {0};
    int rv = launcher_process_create(&t.launcher, &options, &listener, &err);

    ck_assert_msg(rv == 0, "%s", err.text);
}

void test_launcher_open(void)
{
    open_users();
    open_launcher();
}

void test_launcher_close(void)
{
    launcher_destroy(t.launcher);
    t.launcher = NULL;
}

void test_write_fetch(const char *script)
{
    int fd = open(t.fetch, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_gt(dprintf(fd, "#!/bin/sh\n%s\n", script), 0);
    close(fd);
}

void test_renew_leases(void)
{
    const uint64_t now = clock_boottime_us() / 1000;
    char path[80];
    int fd;

    snprintf(path, sizeof(path), "%s/" SHIM_LEASE, t.work_dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(pwrite(fd, &now, sizeof(now), 0), sizeof(now));
    close(fd);
}

static void add_artifact(struct job_spec *spec)
{
    struct job_artifact *a = job_spec_add_artifact(spec);

    a->source = mem_strdup("file:///there");
    a->sha256 = mem_alloc(65);
    memset(a->sha256, 'a', 64);
    a->sha256[64] = 0;
    a->path = mem_strdup("here");
    a->max_bytes = 1000;
    a->timeout_ms = 2000;
}

static void add_check(struct job_spec *spec, const struct job_check *from)
{
    struct job_check *c = job_spec_add_check(spec);

    *c = *from;
    c->argv = NULL;
    c->argc = 0;
    c->path = from->path == NULL ? NULL : mem_strdup(from->path);
    for (size_t i = 0; i < from->argc; i++)
        job_check_add_arg(c, from->argv[i]);
}

static void pack_spec(struct buffer *out, char *const *argv, char *const *env)
{
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup("test");
    spec.instances = 4;
    for (; *argv != NULL; argv++)
        job_spec_add_arg(&spec, *argv);
    for (; env != NULL && *env != NULL; env++)
        job_spec_add_env(&spec, *env);
    spec.user = t.user == NULL ? NULL : mem_strdup(t.user);
    if (t.image)
        spec.image.source = mem_strdup("oci:/there");
    if (t.artifact)
        add_artifact(&spec);
    spec.stop_after_ms = t.lease_ms;
    spec.ports.count = t.port_count;
    for (size_t i = 0; i < t.check_count; i++)
        add_check(&spec, &t.checks[i]);
    job_spec_pack(&spec, out);
    job_spec_finish(&spec);
}

static struct run_start run_of(uint64_t attempt)
{
    return (struct run_start){
        .attempt = attempt,
        .job = 17,
        .instance = 3,
        .number = 2,
        .term = 5,
        .agent = 9,
        .restarts = t.restarts,
        .ports = t.ports,
        .port_count = t.port_count,
    };
}

void test_command(uint64_t attempt, char *const *argv, char *const *env)
{
    struct run_start run = run_of(attempt);
    struct buffer bytes = {0};

    pack_spec(&bytes, argv, env);
    run.spec = buffer_view(&bytes);
    launcher_start(t.launcher, &run);
    buffer_finish(&bytes);
}

void test_script(uint64_t attempt, const char *script)
{
    char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};

    test_command(attempt, argv, NULL);
}

void test_ask(uint64_t attempt, uint32_t index)
{
    char *argv[] = {"server", NULL}, *env[] = {"COLOUR=blue", NULL};
    struct run_start run = run_of(attempt);
    struct buffer bytes = {0};

    pack_spec(&bytes, argv, env);
    run.spec = buffer_view(&bytes);
    launcher_check(t.launcher, &run, index);
    buffer_finish(&bytes);
}

/* ---- waiting ---- */

static void wait_for(const bool *condition, const char *what, uint64_t attempt)
{
    uint64_t end = clock_monotonic_us() + unit_patience_us();

    while (!*condition) {
        struct pollfd fd = {.fd = t.launcher->fd, .events = POLLIN};

        poll(&fd, 1, 100);
        launcher_dispatch(t.launcher);
        ck_assert_msg(clock_monotonic_us() < end,
                      "attempt %llu has not %s",
                      (unsigned long long)attempt,
                      what);
    }
}

void test_wait_started(uint64_t attempt)
{
    wait_for(&seen(attempt)->started, "started", attempt);
}

void test_wait_ended(uint64_t attempt)
{
    wait_for(&seen(attempt)->ended, "ended", attempt);
}

void test_wait_checked(void)
{
    unsigned before = t.checked.count;
    uint64_t end = clock_monotonic_us() + unit_patience_us();

    while (t.checked.count == before) {
        struct pollfd fd = {.fd = t.launcher->fd, .events = POLLIN};

        poll(&fd, 1, 100);
        launcher_dispatch(t.launcher);
        ck_assert(clock_monotonic_us() < end);
    }
}

void test_wait_failed(void)
{
    uint64_t end = clock_monotonic_us() + unit_patience_us();

    while (t.failed.code == ERROR_NONE) {
        struct pollfd fd = {.fd = t.launcher->fd, .events = POLLIN};

        poll(&fd, 1, 100);
        launcher_dispatch(t.launcher);
        ck_assert(clock_monotonic_us() < end);
    }
}

void test_check_end(uint64_t attempt, enum run_end how, int code)
{
    test_wait_ended(attempt);
    ck_assert_msg(seen(attempt)->how == how,
                  "end %d: %s",
                  (int)seen(attempt)->how,
                  seen(attempt)->message);
    ck_assert_int_eq(seen(attempt)->code, code);
}

static void pause_briefly(uint64_t end, const char *what)
{
    ck_assert_msg(clock_monotonic_us() < end, "waited for %s", what);
    poll(NULL, 0, 2);
}

void test_read(uint64_t attempt, const char *name, char *text, size_t room)
{
    uint64_t end = clock_monotonic_us() + unit_patience_us();
    char path[128];
    ssize_t n = 0;

    snprintf(path,
             sizeof(path),
             "%s/runs/%llu/%s",
             t.work_dir,
             (unsigned long long)attempt,
             name);
    for (;;) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd >= 0) {
            n = read(fd, text, room - 1);
            close(fd);
        }
        if (n > 0 && text[n - 1] == '\n')
            break;
        pause_briefly(end, path);
    }
    text[n - 1] = 0;
}

void test_wait_ready(uint64_t attempt)
{
    char text[8];

    test_wait_started(attempt);
    test_read(attempt, "ready", text, sizeof(text));
}

pid_t test_read_pid(uint64_t attempt, const char *name)
{
    char text[32];

    test_read(attempt, name, text, sizeof(text));
    ck_assert_int_gt(atoi(text), 1);
    return atoi(text);
}

/* A zombie that somebody else has not reaped yet is gone too. */
static bool is_gone(pid_t pid)
{
    char path[32], text[256] = "", *state;
    int fd;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    state = strrchr(text, ')');
    return n <= 0 || state == NULL || state[2] == 'Z' || state[2] == 'X';
}

void test_wait_gone(pid_t pid)
{
    uint64_t end = clock_monotonic_us() + unit_patience_us();

    while (!is_gone(pid))
        pause_briefly(end, "the end of a process");
}

/* ---- slots ---- */

static int open_slots(void)
{
    char path[80];
    int fd;

    snprintf(path, sizeof(path), "%s/slots", t.work_dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

uint32_t test_slot(uint64_t attempt, struct slot *out)
{
    int fd = open_slots();

    for (uint32_t i = 0; pread(fd, out, sizeof(*out), (off_t)i * SLOT_BYTES) > 0; i++) {
        if (slot_start_valid(out) && out->start.attempt == attempt) {
            close(fd);
            return i;
        }
    }
    ck_abort_msg("no slot of attempt %llu", (unsigned long long)attempt);
}

void test_slot_write(uint32_t number, const struct slot *slot)
{
    int fd = open_slots();

    ck_assert_int_eq(pwrite(fd, slot, sizeof(*slot), (off_t)number * SLOT_BYTES),
                     sizeof(*slot));
    close(fd);
}

/* ---- an agent that is killed ---- */

_Noreturn void test_ready(void)
{
    ck_assert_int_eq(write(ready, "", 1), 1);
    for (;;)
        pause();
}

void test_agent_killed(void (*play)(void))
{
    int wire[2];
    char byte;
    pid_t pid;

    ck_assert_int_eq(pipe2(wire, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        close(wire[0]);
        ready = wire[1];
        test_launcher_open();
        play();
        test_ready();
    }
    close(wire[1]);
    ck_assert_int_eq(read(wire[0], &byte, 1), 1);
    close(wire[0]);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
