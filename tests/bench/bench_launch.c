/* bench_launch.c - how many `true` tasks a second one agent starts and reaps.
 *
 *     bench_launch SHIM [TASKS [AT_ONCE]]
 *
 * Five rounds, medians.  Each round first runs a plain loop of fork, exec and wait, one
 * at a time, then the same number of tasks through the process launcher, with up to
 * AT_ONCE at once.  JSON on stdout.
 */

#include "agent/launcher.h"
#include "agent/users.h"
#include "base/clock.h"
#include "base/mem.h"
#include "wire/job.h"

#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 5

static const char command[] = "/bin/true";

struct bench {
    struct launcher *launcher;
    struct users *users;
    struct bytes spec;
    uint64_t next; /* attempt id */
    uint64_t end;
    uint64_t running;
    uint64_t failed;
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "bench_launch: %s\n", what);
    exit(1);
}

static double plain_per_second(unsigned tasks)
{
    uint64_t begin = clock_monotonic_us();

    for (unsigned i = 0; i < tasks; i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            execl(command, command, (char *)NULL);
            _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
            fail("plain loop");
    }
    return tasks * 1e6 / (double)(clock_monotonic_us() - begin);
}

static void start_next(struct bench *b)
{
    struct run_start run = {.attempt = b->next, .job = 1, .number = 1, .spec = b->spec};

    if (b->next >= b->end)
        return;
    b->next++;
    b->running++;
    launcher_start(b->launcher, &run);
}

static void on_started(void *context, const struct run_started *started)
{
    (void)context;
    (void)started;
}

static void on_ended(void *context, const struct run_ended *e)
{
    struct bench *b = context;

    if (e->how != RUN_END_EXITED || e->code != 0) {
        b->failed++;
        fprintf(stderr,
                "task: %d %d %s\n",
                (int)e->how,
                e->code,
                e->message ? e->message : "");
    }
    launcher_forget(b->launcher, e->attempt);
    b->running--;
    start_next(b);
}

static void on_failed(void *context, const struct error *err)
{
    (void)context;
    fail(err->text);
}

static double launcher_per_second(struct bench *b, unsigned tasks, unsigned at_once)
{
    uint64_t begin = clock_monotonic_us();

    b->end = b->next + tasks;
    while (b->running < at_once && b->next < b->end)
        start_next(b);
    while (b->running > 0) {
        struct pollfd fd = {.fd = b->launcher->fd, .events = POLLIN};

        poll(&fd, 1, -1);
        launcher_dispatch(b->launcher);
    }
    if (b->failed > 0)
        fail("a task failed");
    return tasks * 1e6 / (double)(clock_monotonic_us() - begin);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof(values[0]), compare);
    return values[ROUNDS / 2];
}

static void on_asked(void *context, uint64_t attempt)
{
    (void)context;
    (void)attempt;
}

static void open_launcher(struct bench *b, const char *work_dir, const char *shim)
{
    const struct launcher_listener listener = {
        .asked = on_asked,
        .started = on_started,
        .ended = on_ended,
        .failed = on_failed,
        .context = b,
    };
    const struct users_options any = {0};
    struct launcher_process_options options = {
        .work_dir = work_dir,
        .shim = shim,
        .fetch = "", /* these tasks have nothing to fetch */
        .task_pids = LIMIT_TASK_PIDS};
    struct error err;

    if (users_create(&b->users, &any, &err) != 0)
        fail(err.text);
    options.users = b->users;
    if (launcher_process_create(&b->launcher, &options, &listener, &err) != 0)
        fail(err.text);
}

static void pack_spec(struct buffer *out)
{
    struct job_spec spec;

    job_spec_init(&spec);
    spec.name = mem_strdup("true");
    spec.instances = 1;
    job_spec_add_arg(&spec, command);
    job_spec_pack(&spec, out);
    job_spec_finish(&spec);
}

static void remove_tree(const char *path)
{
    char *argv[] = {"rm", "-rf", (char *)(uintptr_t)path, NULL};
    extern char **environ;
    pid_t pid;

    if (posix_spawnp(&pid, "rm", NULL, NULL, argv, environ) == 0)
        waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
    unsigned tasks = argc > 2 ? (unsigned)atoi(argv[2]) : 2000;
    unsigned at_once = argc > 3 ? (unsigned)atoi(argv[3]) : 32;
    const char *parent = getenv("TMPDIR");
    char work_dir[PATH_MAX];
    double plain[ROUNDS], launched[ROUNDS], p, l;
    struct bench b = {.next = 1};
    struct buffer spec = {0};

    snprintf(work_dir,
             sizeof(work_dir),
             "%s/triarch-bench-XXXXXX",
             parent != NULL ? parent : "/tmp");
    if (argc < 2 || tasks == 0 || at_once == 0 || mkdtemp(work_dir) == NULL)
        fail("usage: bench_launch SHIM [TASKS [AT_ONCE]]");
    pack_spec(&spec);
    b.spec = buffer_view(&spec);
    open_launcher(&b, work_dir, argv[1]);
    for (int i = 0; i < ROUNDS; i++) {
        plain[i] = plain_per_second(tasks);
        launched[i] = launcher_per_second(&b, tasks, at_once);
    }
    launcher_destroy(b.launcher);
    users_destroy(b.users);
    buffer_finish(&spec);
    remove_tree(work_dir);
    p = median(plain);
    l = median(launched);
    printf(
        "{\"bench\": \"launch\", \"tasks\": %u, \"at_once\": %u, "
        "\"plain_per_second\": %.0f, \"launched_per_second\": %.0f, "
        "\"percent_of_plain\": %.0f}\n",
        tasks,
        at_once,
        p,
        l,
        100 * l / p);
    return 0;
}
