/* registry.c - see registry.h. */
#include "fetch/registry.h"

#include "base/limits.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUM_MARK   "@sha256:"
#define SAID_BYTES 300

#define LOOK_MS      200
#define FOLDERS_OPEN 8

/* ---- skopeo ---- */

/* The last line, without what skopeo's log puts around the words. */
static void last_line(int fd, char said[SAID_BYTES])
{
    off_t size = lseek(fd, 0, SEEK_END), at = size > 4095 ? size - 4095 : 0;
    char text[4096];
    ssize_t n = pread(fd, text, sizeof(text) - 1, at);
    char *line, *words;

    if (n < 0)
        n = 0;
    while (n > 0 && text[n - 1] == '\n')
        n--;
    text[n] = 0;
    line = strrchr(text, '\n') != NULL ? strrchr(text, '\n') + 1 : text;
    words = strstr(line, "msg=");
    snprintf(said,
             SAID_BYTES,
             "%.*s",
             SAID_BYTES - 1,
             words != NULL ? words + strlen("msg=") : line);
}

static int start(char *const *argv, int out, int errors, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    int rv;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
    rv = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return rv;
}

static uint64_t counted; /* by count(), which nftw() gives nothing of ours */

static int count(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)path;
    (void)where;
    counted += type == FTW_F ? (uint64_t)st->st_size : 0;
    return 0;
}

static uint64_t bytes_in(const char *folder)
{
    counted = 0;
    nftw(folder, count, FOLDERS_OPEN, FTW_PHYS);
    return counted;
}

/* Looks now and then at what it has written: an image has as many layers as it likes, and
 * nobody else knows their sizes before they are there. */
static int wait_for(pid_t pid, const char *folder, int *status, struct error *err)
{
    struct pollfd ended = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    bool greedy = false;
    int rv = 0;

    if (ended.fd < 0)
        rv = error_set(err, ERROR_IO, "cannot watch skopeo: %s", strerror(errno));
    while (rv == 0 && !greedy && folder != NULL && poll(&ended, 1, LOOK_MS) == 0)
        greedy = bytes_in(folder) > LIMIT_IMAGE_BYTES;
    if (greedy)
        rv = error_set(err,
                       ERROR_TOO_LARGE,
                       "it has more than %llu MiB, the limit of an image",
                       (unsigned long long)(LIMIT_IMAGE_BYTES / MIB));
    if (rv != 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        continue;
    if (ended.fd >= 0)
        close(ended.fd);
    return rv;
}

/* Its output goes to `out`; what it writes below `folder` is limited, or nothing is if NULL. */
static int skopeo(char *const *argv, int out, const char *folder, struct error *err)
{
    int errors = memfd_create("skopeo", MFD_CLOEXEC), status = 0, rv;
    char said[SAID_BYTES];
    pid_t pid;

    if (errors < 0)
        return error_set(err, ERROR_IO, "memfd: %s", strerror(errno));
    rv = start(argv, out, errors, &pid);
    if (rv == ENOENT)
        rv = error_set(
            err,
            ERROR_INVALID,
            "registries are skopeo's, and it is not installed on this agent; or "
            "give oci:PATH");
    else if (rv != 0)
        rv = error_set(err, ERROR_IO, "skopeo: %s", strerror(rv));
    else
        rv = wait_for(pid, folder, &status, err);
    if (rv == 0 && status != 0) {
        last_line(errors, said);
        rv = error_set(err, ERROR_IO, "skopeo could not %s it: %s", argv[1], said);
    }
    close(errors);
    return rv;
}

/* ---- which ---- */

static int sum_of(int fd, char key[DIGEST_TEXT], struct error *err)
{
    struct digest digest;
    char block[4096];
    off_t size = 0;
    ssize_t n;

    digest_begin(&digest);
    while ((n = pread(fd, block, sizeof(block), size)) > 0) {
        digest_add(&digest, block, (size_t)n);
        size += n;
    }
    digest_end(&digest, key);
    if (n < 0 || size == 0 || size > (off_t)LIMIT_IMAGE_JSON_BYTES)
        return error_set(err, ERROR_INVALID, "its manifest is empty or too large");
    return 0;
}

static int inspect(const char *source, char key[DIGEST_TEXT], struct error *err)
{
    char *const argv[] = {
        "skopeo", "inspect", "--raw", (char *)(uintptr_t)source, NULL};
    int out = memfd_create("manifest", MFD_CLOEXEC), rv;

    if (out < 0)
        return error_set(err, ERROR_IO, "memfd: %s", strerror(errno));
    rv = skopeo(argv, out, NULL, err);
    rv = rv == 0 ? sum_of(out, key, err) : rv;
    close(out);
    return rv;
}

int registry_resolve(const char *source,
                     char pinned[REGISTRY_NAME],
                     char key[DIGEST_TEXT],
                     struct error *err)
{
    const char *mark = strstr(source, SUM_MARK);
    const char *slash = strrchr(source, '/'), *tag;
    size_t name;

    if (strlen(source) + strlen(SUM_MARK) + DIGEST_TEXT > REGISTRY_NAME)
        return error_set(err, ERROR_TOO_LARGE, "its name is too long");
    if (mark != NULL) {
        if (!digest_valid(mark + strlen(SUM_MARK)))
            return error_set(
                err, ERROR_INVALID, "after @sha256: come 64 hexadecimal digits");
        memcpy(key, mark + strlen(SUM_MARK), DIGEST_TEXT);
        strcpy(pinned, source);
        return 0;
    }
    if (inspect(source, key, err) != 0)
        return -(int)err->code;
    tag = strrchr(slash, ':');
    name = tag != NULL ? (size_t)(tag - source) : strlen(source);
    snprintf(pinned, REGISTRY_NAME, "%.*s" SUM_MARK "%s", (int)name, source, key);
    return 0;
}

/* ---- what ---- */

int registry_copy(const char *pinned, const char *to, struct error *err)
{
    const struct rlimit file = {LIMIT_IMAGE_BYTES, LIMIT_IMAGE_BYTES};
    char target[PATH_MAX + 16];
    char *const argv[] = {
        "skopeo", "copy", "--quiet", (char *)(uintptr_t)pinned, target, NULL};

    snprintf(target, sizeof(target), "oci:%s:image", to);
    setrlimit(RLIMIT_FSIZE, &file); /* no file of ours may be larger either */
    return skopeo(argv, STDERR_FILENO, to, err);
}
