/* container_init.c - see container_init.h. */
#include "agent/container_init.h"

#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 5

pid_t container_init_pid(const char *path)
{
    FILE *f = fopen(path, "re");
    int pid = 0;

    if (f == NULL)
        return 0;
    if (fscanf(f, "%d", &pid) != 1)
        pid = 0;
    fclose(f);
    return pid;
}

pid_t container_init_wait(const char *path)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
    pid_t pid;

    for (int ms = 0; (pid = container_init_pid(path)) == 0; ms += LOOK_MS) {
        errno = ETIMEDOUT;
        if (ms >= LIMIT_EXEC_START_MS)
            return -1;
        nanosleep(&pause, NULL);
    }
    return pid;
}

/* Whatever the container has put there, only its own terminals will do. */
static int open_inside(int root)
{
    struct open_how how = {
        .flags = O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, root, "dev/pts/ptmx", &how, sizeof(how));
    struct statfs fs;

    if (fd >= 0 && (fstatfs(fd, &fs) != 0 || fs.f_type != DEVPTS_SUPER_MAGIC)) {
        close(fd);
        errno = ENODEV;
        return -1;
    }
    return fd;
}

int container_init_terminal(pid_t pid)
{
    char path[64];
    int root, fd;

    snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
    root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -1;
    fd = open_inside(root);
    close(root);
    if (fd >= 0 && unlockpt(fd) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}
