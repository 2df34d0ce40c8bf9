/* process.c - facts about a process of this host, from /proc. */
#include "agent/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Fields of /proc/PID/stat, counted from 1 as in proc(5). */
enum field { FIELD_UTIME = 14, FIELD_CSTIME = 17, FIELD_START = 22, FIELD_RSS = 24 };

/* False and errno, which is ESRCH if the process is gone. */
static bool read_text(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0) {
        errno = errno == ENOENT ? ESRCH : errno;
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
static bool read_stat(pid_t pid, uint64_t fields[FIELD_RSS + 1])
{
    char path[32], text[1024], *at;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (!read_text(path, text, sizeof(text)))
        return false;
    at = strrchr(text, ')');
    for (int field = 3; field <= FIELD_RSS; field++) {
        at = at == NULL ? NULL : strchr(at + 1, ' ');
        if (at == NULL) {
            errno = EBADMSG;
            return false;
        }
        fields[field] = strtoull(at + 1, NULL, 10);
    }
    return true;
}

uint64_t process_start(pid_t pid)
{
    uint64_t fields[FIELD_RSS + 1];

    return read_stat(pid, fields) ? fields[FIELD_START] : 0;
}

bool process_children_usage(pid_t pid, uint64_t *cpu_us, uint64_t *memory_bytes)
{
    uint64_t tick_us = 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t fields[FIELD_RSS + 1];
    char path[64], text[4096], *at, *next;
    bool found = false;
    long child;

    *cpu_us = 0;
    *memory_bytes = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    if (!read_text(path, text, sizeof(text)))
        return false;
    for (at = text; (child = strtol(at, &next, 10)) > 0 && next != at; at = next) {
        if (!read_stat((pid_t)child, fields))
            continue;
        found = true;
        *memory_bytes += fields[FIELD_RSS] * page;
        for (int field = FIELD_UTIME; field <= FIELD_CSTIME; field++)
            *cpu_us += fields[field] * tick_us;
    }
    return found;
}
