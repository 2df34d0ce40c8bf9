/* tree.c - see tree.h.
 *
 * Names are single parts below a directory that is held open.  What lies deeper than DEPTH goes
 * up to the top first, so that a few descriptors are enough, and nobody has to believe "..".
 */
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH 32 /* directories held open */
#define AGAIN \
    65536 /* looks into directories again: who adds to them does not keep us */

struct walk {
    int top;
    unsigned again;
    unsigned long moved; /* names given at the top */
    int reason;          /* errno of what could not be removed last */
};

static int
remove_directory(struct walk *w, int parent, const char *name, unsigned depth);

/* Who is not root may have closed its own.  Not through a link. */
static bool open_up(int parent, const char *name)
{
    return errno == EACCES && fchmodat(parent, name, S_IRWXU, AT_SYMLINK_NOFOLLOW) == 0;
}

static int open_once(int parent, const char *name, unsigned long long resolve)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC |
                                    O_NONBLOCK,
                           .resolve = resolve};

    return (int)syscall(SYS_openat2, parent, name, &how, sizeof(how));
}

static int open_directory(int parent, const char *name, unsigned depth)
{
    unsigned long long resolve = depth == 0 ? 0 : RESOLVE_NO_XDEV;
    int fd = open_once(parent, name, resolve);
    struct stat st;

    if (fd < 0 && open_up(parent, name))
        fd = open_once(parent, name, resolve);
    if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IRWXU) != S_IRWXU)
        fchmod(fd, S_IRWXU);
    return fd;
}

/* It has the name of something at the top now, or took the place of something there: all of it
 * is to go. */
static int move_to_top(struct walk *w, int parent, const char *name)
{
    bool again = true;
    char to[32];

    while (again) {
        snprintf(to, sizeof(to), ".%lu", w->moved++);
        if (renameat(parent, name, w->top, to) == 0 ||
            (open_up(parent, name) && renameat(parent, name, w->top, to) == 0))
            return 0;
        again = errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR ||
                errno == EISDIR;
    }
    return -1;
}

static int
remove_entry(struct walk *w, int parent, const struct dirent *e, unsigned depth)
{
    if (e->d_type != DT_DIR) {
        if (unlinkat(parent, e->d_name, 0) == 0)
            return 0;
        if (errno != EISDIR)
            return -1;
    }
    return depth < DEPTH ? remove_directory(w, parent, e->d_name, depth)
                         : move_to_top(w, parent, e->d_name);
}

/* One pass over what is in it, which closes it.  True: it is worth another. */
static bool pass(struct walk *w, int fd, unsigned depth, size_t *seen)
{
    DIR *directory = fdopendir(fd);
    const struct dirent *e;
    bool moves = false;

    *seen = 0;
    if (directory == NULL) {
        w->reason = errno;
        close(fd);
        return false;
    }
    while ((e = readdir(directory)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        ++*seen;
        if (remove_entry(w, fd, e, depth) == 0 || errno == ENOENT)
            moves = true;
        else
            w->reason = errno;
    }
    closedir(directory);
    return moves;
}

static int fail(const struct walk *w)
{
    if (w->reason != 0)
        errno = w->reason;
    return -1;
}

static int
remove_directory(struct walk *w, int parent, const char *name, unsigned depth)
{
    for (;;) {
        int fd = open_directory(parent, name, depth);
        size_t seen;
        bool moves;

        if (fd < 0)
            return errno == ELOOP || errno == ENOTDIR ? unlinkat(parent, name, 0) : -1;
        if (depth == 0)
            w->top = fd;
        moves = pass(w, fd, depth + 1, &seen);
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
            return 0;
        if ((errno != ENOTEMPTY && errno != EEXIST) || !moves || w->again++ >= AGAIN)
            return errno == ENOTEMPTY ? fail(w) : -1;
    }
}

int tree_remove(const char *path)
{
    struct walk w = {0};

    return remove_directory(&w, AT_FDCWD, path, 0) == 0 || errno == ENOENT ? 0 : -1;
}

int tree_empty(const char *path)
{
    struct walk w = {0};
    size_t seen;
    bool moves;

    do {
        w.top = open_directory(AT_FDCWD, path, 0);
        if (w.top < 0)
            return errno == ENOENT ? 0 : -1;
        moves = pass(&w, w.top, 1, &seen);
    } while (seen > 0 && moves && w.again++ < AGAIN);
    return seen == 0 ? 0 : fail(&w);
}
