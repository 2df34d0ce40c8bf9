/* file_ops.c - see and fail the file operations of the program that links this. */
#include "tests/lib/file_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES_MAX 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void (*watcher)(void *arg, const struct file_op *op);
static void *watcher_arg;
static unsigned fail_kinds, fail_skip, fail_seen;
static int fail_error;
static bool fail_armed;

static struct file {
    char path[PATH_MAX];
    bool synced;
} * files[FILES_MAX];

void file_ops_watch(void (*see)(void *arg, const struct file_op *op), void *arg)
{
    pthread_mutex_lock(&lock);
    watcher = see;
    watcher_arg = arg;
    pthread_mutex_unlock(&lock);
}

void file_ops_fail(unsigned kinds, unsigned skip, int error)
{
    pthread_mutex_lock(&lock);
    fail_kinds = kinds;
    fail_skip = skip;
    fail_seen = 0;
    fail_error = error;
    fail_armed = true;
    pthread_mutex_unlock(&lock);
}

unsigned file_ops_count(void)
{
    unsigned count;

    pthread_mutex_lock(&lock);
    count = fail_seen;
    pthread_mutex_unlock(&lock);
    return count;
}

/* True: this operation is to fail with *error. */
static bool must_fail(enum file_op_kind kind, int *error)
{
    bool fail = false;

    pthread_mutex_lock(&lock);
    if ((fail_kinds & kind) != 0 && fail_seen++ == fail_skip && fail_armed) {
        fail = true;
        fail_armed = false;
        *error = fail_error != 0 ? fail_error : EIO;
    }
    pthread_mutex_unlock(&lock);
    return fail;
}

static bool must_come_short(void)
{
    return fail_error == 0;
}

static void tell(struct file_op op, int fd)
{
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FILES_MAX && files[fd] != NULL) {
        op.path = files[fd]->path;
        op.synced = files[fd]->synced;
    }
    if (watcher != NULL && op.path != NULL)
        watcher(watcher_arg, &op);
    pthread_mutex_unlock(&lock);
}

/* ---- names ---- */

static void remember(int fd, const char *path, int flags)
{
    if (fd < 0 || fd >= FILES_MAX)
        return;
    pthread_mutex_lock(&lock);
    if (files[fd] == NULL)
        files[fd] = calloc(1, sizeof(*files[fd]));
    snprintf(files[fd]->path, sizeof(files[fd]->path), "%s", path);
    files[fd]->synced = (flags & O_DSYNC) != 0;
    pthread_mutex_unlock(&lock);
}

int open(const char *path, int flags, ...)
{
    bool fresh = (flags & O_CREAT) != 0 && access(path, F_OK) != 0;
    mode_t mode = 0;
    va_list args;
    int fd, error;

    if ((flags & O_CREAT) != 0) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    if (fresh && must_fail(FILE_OP_CREATE, &error)) {
        errno = error;
        return -1;
    }
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    remember(fd, path, flags);
    if (fd >= 0 && fresh)
        tell((struct file_op){.kind = FILE_OP_CREATE}, fd);
    return fd;
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

int close(int fd)
{
    if (fd >= 0 && fd < FILES_MAX) {
        pthread_mutex_lock(&lock);
        free(files[fd]);
        files[fd] = NULL;
        pthread_mutex_unlock(&lock);
    }
    return (int)syscall(SYS_close, fd);
}

static int named(struct file_op op, long result)
{
    if (result == 0)
        tell(op, -1);
    return (int)result;
}

int mkdir(const char *path, mode_t mode)
{
    if (must_fail(FILE_OP_MKDIR, &errno))
        return -1;
    return named((struct file_op){.kind = FILE_OP_MKDIR, .path = path},
                 syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}

int unlink(const char *path)
{
    if (must_fail(FILE_OP_REMOVE, &errno))
        return -1;
    return named((struct file_op){.kind = FILE_OP_REMOVE, .path = path},
                 syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}

int rmdir(const char *path)
{
    if (must_fail(FILE_OP_REMOVE, &errno))
        return -1;
    return named((struct file_op){.kind = FILE_OP_REMOVE, .path = path},
                 syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR));
}

int rename(const char *from, const char *to)
{
    if (must_fail(FILE_OP_RENAME, &errno))
        return -1;
    return named((struct file_op){.kind = FILE_OP_RENAME, .path = from, .to = to},
                 syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

/* ---- bytes ---- */

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    ssize_t n;

    if (must_fail(FILE_OP_WRITE, &errno)) {
        if (!must_come_short() || size < 2)
            return -1;
        size /= 2;
    }
    n = syscall(SYS_pwrite64, fd, data, size, offset);
    if (n > 0)
        tell((struct file_op){.kind = FILE_OP_WRITE,
                              .offset = (uint64_t)offset,
                              .data = data,
                              .size = (size_t)n},
             fd);
    return n;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
    __attribute__((alias("pwrite")));

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    ssize_t total = 0;

    for (int i = 0; i < count; i++) {
        ssize_t n = pwrite(fd, parts[i].iov_base, parts[i].iov_len, offset + total);

        if (n < 0)
            return total > 0 ? total : n;
        total += n;
        if ((size_t)n < parts[i].iov_len)
            break;
    }
    return total;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset)
    __attribute__((alias("pwritev")));

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t n;

    if (offset < 0) /* not a file */
        return syscall(SYS_writev, fd, parts, count);
    n = pwritev(fd, parts, count, offset);
    if (n > 0)
        lseek(fd, offset + n, SEEK_SET);
    return n;
}

int ftruncate(int fd, off_t size)
{
    long rv;

    if (must_fail(FILE_OP_TRUNCATE, &errno))
        return -1;
    rv = syscall(SYS_ftruncate, fd, size);
    if (rv == 0)
        tell((struct file_op){.kind = FILE_OP_TRUNCATE, .offset = (uint64_t)size}, fd);
    return (int)rv;
}

int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));

int fsync(int fd)
{
    long rv;

    if (must_fail(FILE_OP_SYNC, &errno))
        return -1;
    rv = syscall(SYS_fsync, fd);
    if (rv == 0)
        tell((struct file_op){.kind = FILE_OP_SYNC}, fd);
    return (int)rv;
}

int fdatasync(int fd)
{
    long rv;

    if (must_fail(FILE_OP_SYNC, &errno))
        return -1;
    rv = syscall(SYS_fdatasync, fd);
    if (rv == 0)
        tell((struct file_op){.kind = FILE_OP_SYNC}, fd);
    return (int)rv;
}
