/* dir_lock.c - one process at a time in a directory. */
#include "store/dir_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int is_in_use(int lock,
                     const char *path,
                     const struct dir_lock_names *names,
                     struct error *err)
{
    char pid[16] = "";

    if (pread(lock, pid, sizeof(pid) - 1, 0) < 0)
        pid[0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    return error_set(err,
                     ERROR_BUSY,
                     "%s %s is in use by process %s: stop it, or use another %s",
                     names->directory,
                     path,
                     pid[0] != '\0' ? pid : "(unknown)",
                     names->option);
}

int dir_lock_take(int *lock,
                  const char *path,
                  const struct dir_lock_names *names,
                  struct error *err)
{
    char file[PATH_MAX], pid[16];
    int n;

    snprintf(file, sizeof(file), "%s/lock", path);
    *lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*lock < 0)
        return error_set(err, ERROR_IO, "open %s: %s", file, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return is_in_use(*lock, path, names, err);
        return error_set(err, ERROR_IO, "lock %s: %s", file, strerror(errno));
    }
    n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (ftruncate(*lock, 0) != 0 || pwrite(*lock, pid, (size_t)n, 0) != n)
        return error_set(err, ERROR_IO, "write %s: %s", file, strerror(errno));
    return 0;
}

void dir_lock_release(int lock)
{
    if (lock < 0)
        return;
    flock(lock, LOCK_UN);
    close(lock);
}
