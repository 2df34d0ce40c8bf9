/* task_files.c - the files of a run's sandbox, for people, and nothing else. */
#include "agent/task_files.h"

#include "base/limits.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRIES 8 /* while somebody renames what we resolve */

/* ---- open ---- */

static int open_sandbox(const char *work_dir, uint64_t attempt)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/runs/%llu", work_dir, (unsigned long long)attempt);
    return open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A handle of what is there, which does nothing to it. */
static int find(int sandbox, const char *path)
{
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    long fd = -1;

    for (int i = 0; i < TRIES; i++) {
        fd =
            syscall(SYS_openat2, sandbox, path[0] == 0 ? "." : path, &how, sizeof(how));
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return (int)fd;
}

/* The same file.  A lease that its owner holds is not waited for. */
static int open_found(int found, int flags)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", found);
    return open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int refuse(struct error *err, const char *path)
{
    int reason = errno;

    switch (reason) {
    case ENOENT:
    case ENOTDIR:
        return error_set(err, ERROR_NOT_FOUND, "the task has no file \"%.200s\"", path);
    case ELOOP:
        return error_set(
            err,
            ERROR_INVALID,
            "\"%.200s\" is a link that leads round in a circle, or through "
            "too many others",
            path);
    case EXDEV:
        return error_set(err,
                         ERROR_INVALID,
                         "\"%.200s\" leads out of the task's sandbox; write a path "
                         "relative to it",
                         path);
    case ENAMETOOLONG:
        return error_set(err, ERROR_INVALID, "the path is too long");
    case EAGAIN:
        return error_set(err,
                         ERROR_BUSY,
                         "\"%.200s\" is being changed by the task; try again",
                         path);
    case ENOSYS:
        return error_set(err,
                         ERROR_IO,
                         "files of tasks need openat2(2): Linux 5.6 or newer, and not "
                         "forbidden by a seccomp filter");
    default:
        return error_set(err, ERROR_IO, "open \"%.200s\": %s", path, strerror(reason));
    }
}

/* Who makes a hard link, or moves a file from a directory of its own, need not be able to read
 * it.  Root is. */
static bool is_of_another(const struct stat *st, const struct stat *sandbox)
{
    bool is_secret = sandbox->st_uid != 0 && (st->st_mode & S_IROTH) == 0;

    return S_ISREG(st->st_mode) && st->st_uid != sandbox->st_uid &&
           (st->st_nlink > 1 || is_secret);
}

static int check(const struct stat *st,
                 const struct stat *sandbox,
                 const char *path,
                 struct error *err)
{
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return error_set(
            err, ERROR_INVALID, "\"%.200s\" is neither a file nor a directory", path);
    if (is_of_another(st, sandbox))
        return error_set(
            err, ERROR_INVALID, "\"%.200s\" is a file of somebody else", path);
    return 0;
}

static int refuse_sandbox(uint64_t attempt, struct error *err)
{
    return error_set(err,
                     ERROR_NOT_FOUND,
                     "attempt id %llu has no files here: it did not start yet, or they "
                     "were removed",
                     (unsigned long long)attempt);
}

int task_files_open(const char *work_dir,
                    uint64_t attempt,
                    const char *path,
                    struct stat *st,
                    struct error *err)
{
    int sandbox = open_sandbox(work_dir, attempt);
    int found = -1, fd = -1, rc;
    struct stat home;

    if (sandbox < 0 || fstat(sandbox, &home) != 0) {
        rc = refuse_sandbox(attempt, err);
        goto out;
    }
    found = find(sandbox, path);
    if (found < 0 || fstat(found, st) != 0) {
        rc = refuse(err, path);
        goto out;
    }
    rc = check(st, &home, path, err);
    if (rc != 0)
        goto out;
    fd = open_found(found, S_ISDIR(st->st_mode) ? O_RDONLY | O_DIRECTORY : O_RDONLY);
    if (fd < 0)
        rc = refuse(err, path);
out:
    if (found >= 0)
        close(found);
    if (sandbox >= 0)
        close(sandbox);
    return rc != 0 ? rc : fd;
}

/* ---- logs ---- */

static int refuse_log(uint64_t attempt, const char *name, struct error *err)
{
    return error_set(err,
                     ERROR_NOT_FOUND,
                     "%s of attempt id %llu is not a file of it any more: the task put "
                     "something else in its place",
                     name,
                     (unsigned long long)attempt);
}

static int
open_log(int sandbox, uint64_t attempt, const char *name, int flags, struct error *err)
{
    int found = openat(sandbox, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), fd = -1, rc = 0;
    struct stat home, st;

    if (found < 0 || fstat(sandbox, &home) != 0 || fstat(found, &st) != 0)
        rc = refuse(err, name);
    else if (!S_ISREG(st.st_mode) || is_of_another(&st, &home))
        rc = refuse_log(attempt, name, err);
    if (rc == 0) {
        fd = open_found(found, flags);
        if (fd < 0)
            rc = refuse(err, name);
    }
    if (found >= 0)
        close(found);
    return rc != 0 ? rc : fd;
}

int task_files_open_log(const char *work_dir,
                        uint64_t attempt,
                        const char *name,
                        int flags,
                        struct error *err)
{
    int sandbox = open_sandbox(work_dir, attempt), fd;

    if (sandbox < 0)
        return refuse_sandbox(attempt, err);
    fd = open_log(sandbox, attempt, name, flags, err);
    close(sandbox);
    return fd;
}

/* ---- list ---- */

static const char *type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "file";
    case S_IFDIR:
        return "directory";
    case S_IFLNK:
        return "link";
    case S_IFIFO:
        return "fifo";
    case S_IFSOCK:
        return "socket";
    case S_IFBLK:
        return "block";
    default:
        return "char";
    }
}

/* Of a name that is not printable every byte that is not plain, so that it can be typed. */
static json_t *name_for_people(const char *name)
{
    struct buffer text = {0};
    json_t *value;

    if (text_is_printable(text_view(name)))
        return json_string(name);
    for (const char *c = name; *c != '\0'; c++)
        if (*c > ' ' && *c < 0x7f && *c != '\\')
            buffer_append_u8(&text, (uint8_t)*c);
        else
            buffer_printf(&text, "\\x%02x", (unsigned char)*c);
    value = json_stringn((const char *)text.data, text.size);
    buffer_finish(&text);
    return value;
}

static json_t *name_for_url(const char *name)
{
    static const char plain[] =
        "-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    struct buffer text = {0};
    json_t *value;

    for (const char *c = name; *c != '\0'; c++)
        if (strchr(plain, *c) != NULL)
            buffer_append_u8(&text, (uint8_t)*c);
        else
            buffer_printf(&text, "%%%02X", (unsigned char)*c);
    value = json_stringn((const char *)text.data, text.size);
    buffer_finish(&text);
    return value;
}

/* Where the link leads, as its maker wrote it, whose bytes are added; NULL: it is none. */
static json_t *
target_of(int dir, const char *name, const struct stat *st, size_t *bytes)
{
    char target[PATH_MAX];
    ssize_t size;

    if (!S_ISLNK(st->st_mode))
        return NULL;
    size = readlinkat(dir, name, target, sizeof(target) - 1);
    target[size < 0 ? 0 : size] = '\0';
    *bytes += strlen(target);
    return name_for_people(target);
}

/* Takes target. */
static json_t *entry_of(const char *name, const struct stat *st, json_t *target)
{
    char mode[16], mtime[TEXT_TIME_MAX];
    uint64_t mtime_us = st->st_mtim.tv_sec < 0
                            ? 0
                            : (uint64_t)st->st_mtim.tv_sec * 1000000 +
                                  (uint64_t)st->st_mtim.tv_nsec / 1000;

    snprintf(mode, sizeof(mode), "%04o", (unsigned)(st->st_mode & 07777));
    text_time(mtime, mtime_us);
    return json_pack("{s:o, s:o, s:s, s:I, s:s, s:s, s:o*}",
                     "name",
                     name_for_people(name),
                     "url",
                     name_for_url(name),
                     "type",
                     type_of(st->st_mode),
                     "size",
                     (json_int_t)st->st_size,
                     "mtime",
                     mtime,
                     "mode",
                     mode,
                     "target",
                     target);
}

static void write_listing(json_t *entries, json_t *next, struct buffer *out)
{
    json_t *listing = json_pack("{s:o, s:o}", "entries", entries, "next", next);
    size_t size = json_dumpb(listing, NULL, 0, JSON_COMPACT);

    buffer_reserve(out, size + 1);
    out->size += json_dumpb(listing, (char *)out->data + out->size, size, JSON_COMPACT);
    buffer_append_u8(out, '\n');
    json_decref(listing);
}

static bool is_self_or_parent(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int task_files_list(int fd, uint64_t cursor, struct buffer *out, struct error *err)
{
    json_t *entries, *next = NULL;
    const struct dirent *d;
    int own = dup(fd);
    DIR *directory = own < 0 ? NULL : fdopendir(own);
    size_t seen = 0, targets = 0;

    if (directory == NULL) {
        if (own >= 0)
            close(own);
        return error_set(err, ERROR_IO, "read the directory: %s", strerror(errno));
    }
    entries = json_array();
    if (cursor > 0)
        seekdir(directory, (long)cursor);
    while (next == NULL && (d = readdir(directory)) != NULL) {
        struct stat st;

        if (!is_self_or_parent(d->d_name) &&
            fstatat(dirfd(directory), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            json_array_append_new(
                entries,
                entry_of(d->d_name,
                         &st,
                         target_of(dirfd(directory), d->d_name, &st, &targets)));
        if (++seen == LIMIT_FILES_PAGE || targets > LIMIT_FILES_TARGETS)
            next = json_integer(d->d_off);
    }
    closedir(directory);
    write_listing(entries, next != NULL ? next : json_null(), out);
    return 0;
}

void task_files_describe(const char *name, const struct stat *st, struct buffer *out)
{
    write_listing(json_pack("[o]", entry_of(name, st, NULL)), json_null(), out);
}
