/* looker.c - the agent's end of the process that looks at open files. */
#include "agent/looker.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 1000 /* for one attempt */
#define STOP_MS     50   /* so often it is asked whether to stop */

struct looker {
    pid_t pid;
    int requests, answers; /* our ends of two pipes; -1: closed */
};

static void close_both(int fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

static int spawn(struct looker *l,
                 const struct looker_options *o,
                 const int in[2],
                 const int out[2])
{
    char *argv[4 + CGROUP_PLACES] = {
        "triarch-shim", LOOK_OPTION, (char *)(uintptr_t)o->work_dir};
    char(*places)[CGROUP_TEXT] = mem_alloc(CGROUP_PLACES * sizeof(*places));
    char *env[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int rv;

    for (unsigned i = 0; i < o->groups->count; i++) {
        cgroups_print(o->groups, i, places[i]);
        argv[3 + i] = places[i];
    }
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    rv = posix_spawn(&l->pid, o->shim, &actions, &attributes, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    mem_free(places);
    return rv;
}

static int start(struct looker *l, const struct looker_options *o, struct error *err)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    int rv = 0;

    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        rv = errno;
    if (rv == 0)
        rv = spawn(l, o, in, out);
    if (rv != 0) {
        close_both(in);
        close_both(out);
        return error_set(err,
                         ERROR_IO,
                         "cannot start %s to look at open files: %s",
                         o->shim,
                         strerror(rv));
    }
    close(in[0]);
    close(out[1]);
    *l = (struct looker){.pid = l->pid, .requests = in[1], .answers = out[0]};
    return 0;
}

/* They fit into the pipe; who does not read them does not answer either. */
static void send(struct looker *l, const struct look_request *requests, size_t count)
{
    const char *bytes = (const char *)requests;
    size_t left = count * sizeof(*requests);
    ssize_t n = 0;

    while (left > 0 && (n = write(l->requests, bytes, left)) > 0) {
        bytes += n;
        left -= (size_t)n;
    }
    close(l->requests);
}

enum received { RECEIVED, TOO_LATE, ENDED };

static enum received receive(const struct looker *l,
                             const struct looker_options *o,
                             uint64_t until_us,
                             struct look_answer *answer)
{
    struct pollfd fd = {.fd = l->answers, .events = POLLIN};

    while (poll(&fd, 1, STOP_MS) <= 0) {
        if (clock_monotonic_us() >= until_us || o->stopping(o->arg))
            return TOO_LATE;
    }
    return read(l->answers, answer, sizeof(*answer)) == (ssize_t)sizeof(*answer)
               ? RECEIVED
               : ENDED;
}

/* All that it tells of one attempt; the last is what counts. */
static enum received receive_all(const struct looker *l,
                                 const struct looker_options *o,
                                 struct look_answer *out)
{
    uint64_t until_us = clock_monotonic_us() + PATIENCE_MS * 1000ull;
    struct look_answer next = {0};
    uint64_t attempt = out->attempt;
    enum received r = RECEIVED;

    while (r == RECEIVED && next.done == 0) {
        r = clock_monotonic_us() < until_us ? receive(l, o, until_us, &next) : TOO_LATE;
        if (r == RECEIVED && next.attempt != attempt)
            r = ENDED;
        if (r == RECEIVED)
            *out = next;
    }
    return r;
}

size_t looker_ask(const struct looker_options *options,
                  const struct look_request *requests,
                  size_t count,
                  struct error *err)
{
    enum received r = RECEIVED;
    struct looker l;
    size_t done = 0;

    if (start(&l, options, err) != 0)
        return 0;
    send(&l, requests, count);
    while (r == RECEIVED && done < count && !options->stopping(options->arg)) {
        struct look_answer answer = {.attempt = requests[done].attempt};

        r = receive_all(&l, options, &answer);
        if (r == ENDED && done == 0)
            break;
        options->answered(options->arg, done++, &answer);
    }
    if (r == ENDED && done == 0)
        error_set(
            err, ERROR_IO, "%s " LOOK_OPTION " ended without an answer", options->shim);
    close(l.answers);
    kill(l.pid, SIGKILL);
    waitpid(l.pid, NULL, 0);
    return done;
}
