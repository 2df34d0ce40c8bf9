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

#define FIELD_START 22 /* of /proc/PID/stat, counted from 1 as in proc(5) */

/* False and errno, which is ESRCH if the process is gone, or another user's who hides it
 * (hidepid=1): ours are readable. */
static bool read_text(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
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
uint64_t process_start(pid_t pid)
{
    char path[32], text[1024], *at;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (!read_text(path, text, sizeof(text)))
        return 0;
    at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < FIELD_START; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL) {
        errno = EBADMSG;
        return 0;
    }
    return strtoull(at + 1, NULL, 10);
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
