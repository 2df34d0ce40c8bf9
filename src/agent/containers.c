/* containers.c - see containers.h. */
#include "agent/containers.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE_MS 10000

/* What it writes to `fd`, its output or its errors, goes to `said` unless that is -1.  Other
 * output goes nowhere; errors go where ours go if `fd` is theirs.  0, or errno. */
static int start(char *const *argv, int fd, int said, pid_t *pid)
{
    static char path[] =
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char *env[] = {path, NULL};
    posix_spawn_file_actions_t actions;
    int rv;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (fd != STDERR_FILENO)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (said >= 0)
        posix_spawn_file_actions_adddup2(&actions, said, fd);
    rv = posix_spawn(pid, argv[0], &actions, NULL, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    return rv;
}

/* The line that it said until it ended; false if it took too long. */
static bool read_line(int fd, char *line, size_t room)
{
    uint64_t until_us = clock_monotonic_us() + PROBE_MS * 1000ull;
    struct pollfd said = {.fd = fd, .events = POLLIN};
    size_t size = 0;
    ssize_t n = 1;

    while (size < room - 1 && n > 0) {
        uint64_t now_us = clock_monotonic_us();
        int left_ms = now_us < until_us ? (int)((until_us - now_us) / 1000) : 0;

        if (poll(&said, 1, left_ms) == 0)
            break;
        n = read(fd, line + size, room - 1 - size);
        size += n > 0 ? (size_t)n : 0;
    }
    line[size] = 0;
    line[strcspn(line, "\n")] = 0;
    return n <= 0 || size == room - 1;
}

/* Runs it to its end.  Its status, or -1 with the reason. */
static int ask(char *const *argv, int fd, char *line, size_t room, struct error *err)
{
    int pipe[2], status = -1, rv;
    bool ended;
    pid_t pid;

    line[0] = 0;
    if (pipe2(pipe, O_CLOEXEC) != 0) {
        error_set(err, ERROR_IO, "pipe: %s", strerror(errno));
        return -1;
    }
    rv = start(argv, fd, pipe[1], &pid);
    close(pipe[1]);
    if (rv != 0) {
        error_set(err, ERROR_IO, "cannot start %s: %s", argv[0], strerror(rv));
    } else {
        ended = read_line(pipe[0], line, room);
        if (!ended)
            kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        if (!ended)
            error_set(
                err, ERROR_IO, "%s did not answer for %d s", argv[0], PROBE_MS / 1000);
        status = ended ? status : -1;
    }
    close(pipe[0]);
    return status;
}

void containers_probe(const char *contain, const char *work_dir, struct error *err)
{
    char *argv[] = {
        (char *)(uintptr_t)contain, "probe", (char *)(uintptr_t)work_dir, NULL};
    char line[LIMIT_MESSAGE_BYTES];

    *err = (struct error){0};
    if (contain == NULL)
        error_set(err, ERROR_IO, "there is no triarch-contain");
    else if (ask(argv, STDERR_FILENO, line, sizeof(line), err) > 0)
        error_set(err, ERROR_IO, "%s", line[0] != 0 ? line : "crun does not start");
}

bool containers_version(const char *program, char out[CONTAINERS_VERSION])
{
    char *argv[] = {"/usr/bin/env", (char *)(uintptr_t)program, "--version", NULL};
    char line[LIMIT_MESSAGE_BYTES];
    struct error err;
    const char *word;

    if (ask(argv, STDOUT_FILENO, line, sizeof(line), &err) != 0)
        return false;
    word = strrchr(line, ' ');
    snprintf(out,
             CONTAINERS_VERSION,
             "%.*s",
             CONTAINERS_VERSION - 1,
             word != NULL ? word + 1 : line);
    return true;
}

static void clean(const char *contain, const char *work_dir)
{
    char *argv[] = {
        (char *)(uintptr_t)contain, "clean", (char *)(uintptr_t)work_dir, NULL};
    pid_t pid;

    if (start(argv, STDERR_FILENO, -1, &pid) == 0)
        waitpid(pid, NULL, 0); /* its child does the work */
}

/* Under a name that no start of that attempt has, so that removing it takes its time. */
static bool set_aside(int folder, const char *name)
{
    char to[NAME_MAX + 1];

    snprintf(to,
             sizeof(to),
             "%.20s-%llu" CONTAINERS_GONE,
             name,
             (unsigned long long)clock_boottime_us());
    return renameat(folder, name, folder, to) == 0;
}

static bool is_aside(const char *name)
{
    size_t size = strlen(name), end = strlen(CONTAINERS_GONE);

    return size > end && strcmp(name + size - end, CONTAINERS_GONE) == 0;
}

void containers_clean(const char *contain,
                      const char *work_dir,
                      bool (*is_alive)(void *user, uint64_t attempt),
                      void *user)
{
    char path[PATH_MAX];
    struct dirent *entry;
    bool some = false;
    DIR *folder;

    snprintf(path, sizeof(path), "%s/bundles", work_dir);
    folder = opendir(path);
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        uint64_t attempt = strtoull(entry->d_name, NULL, 10);

        if (is_aside(entry->d_name) || (attempt != 0 && !is_alive(user, attempt) &&
                                        set_aside(dirfd(folder), entry->d_name)))
            some = true;
    }
    if (folder != NULL)
        closedir(folder);
    if (some)
        clean(contain, work_dir);
}
