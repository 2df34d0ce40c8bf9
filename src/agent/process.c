/* process.c - facts about a process of this host, from /proc. */
#include "agent/process.h"

#include "agent/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of /proc/PID/stat, counted from 1 as in proc(5). */
#define FIELD_PARENT 4
#define FIELD_START  22

/* False and errno, which is ESRCH if the process is gone, or another user's who hides it
 * (hidepid=1): ours are readable. */
static bool read_text(int dir, const char *path, char *text, size_t room)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0) {
        if (errno == ENOENT || errno == EACCES || errno == EPERM)
            errno = ESRCH;
        return false;
    }
    errno = ESRCH;
    n = read(fd, text, room - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = 0;
    return true;
}

/* The command, field 2, may hold anything, so what follows is counted from its end. */
static uint64_t read_field(int dir, const char *path, int number)
{
    char text[1024], *at;

    if (!read_text(dir, path, text, sizeof(text)))
        return 0;
    at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < number; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL) {
        errno = EBADMSG;
        return 0;
    }
    return strtoull(at + 1, NULL, 10);
}

uint64_t process_start(pid_t pid)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    return read_field(AT_FDCWD, path, FIELD_START);
}

int process_open(pid_t pid)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

pid_t process_parent(int proc)
{
    return (pid_t)read_field(proc, "stat", FIELD_PARENT);
}

int process_boot_id(char *out)
{
    int fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -1;
    errno = EBADMSG;
    n = read(fd, out, BOOT_ID_BYTES);
    close(fd);
    return n == BOOT_ID_BYTES ? 0 : -1;
}
