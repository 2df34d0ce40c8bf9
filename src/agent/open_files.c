/* open_files.c - what a task holds open that has no name any more.
 *
 * Threads, and processes, may share one table of descriptors: it is read once, when the
 * kernel tells (kcmp(2)), for those that follow each other.
 */
#include "agent/open_files.h"

#include "agent/request_steps.h"

#include <bsd/sys/tree.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DELETED " (deleted)" /* what the kernel adds to the name that was the last */

struct file {
    dev_t device;
    uint64_t inode;
    RB_ENTRY(file) link;
};

RB_HEAD(file_tree, file);

struct open_files {
    bool has_image;
    char sandbox[PATH_MAX]; /* without links */
    dev_t device;           /* of the sandbox */
    uint64_t host_mount;    /* of our own root */
    pid_t table;            /* a thread whose descriptors were read last; 0: none */
    struct file_tree files;
    void (*found)(void *arg, uint64_t bytes);
    void *arg;
};

/* Mounts of one process that are its task's disk. */
struct mounts {
    uint64_t root, sandbox;
};

static int compare(const struct file *a, const struct file *b)
{
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return (a->inode > b->inode) - (a->inode < b->inode);
}

RB_GENERATE_INTERNAL(file_tree, file, link, compare, __attribute__((unused)) static)

/* Without asking a server for it: a dead one must not hold us. */
static bool look(int dir, const char *path, int flags, struct statx *out)
{
    return statx(dir,
                 path,
                 flags | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
                 STATX_TYPE | STATX_NLINK | STATX_INO | STATX_BLOCKS | STATX_MNT_ID,
                 out) == 0;
}

static dev_t device_of(const struct statx *st)
{
    return makedev(st->stx_dev_major, st->stx_dev_minor);
}

/* 0: not known, before Linux 5.8. */
static uint64_t mount_of(int dir, const char *path, int flags)
{
    struct statx st;

    return look(dir, path, flags, &st) && (st.stx_mask & STATX_MNT_ID) != 0
               ? st.stx_mnt_id
               : 0;
}

/* What makes a container is in the task's group before it lives in the image. */
static struct mounts mounts_of(const struct open_files *o, int proc)
{
    struct mounts m = {0};

    if (!o->has_image)
        return m;
    m.root = mount_of(proc, "root", 0);
    if (m.root == o->host_mount)
        return (struct mounts){0};
    m.sandbox = mount_of(proc, "root" REQUEST_SANDBOX_INSIDE, AT_SYMLINK_NOFOLLOW);
    return m;
}

static bool was_below(const char *path, const char *folder)
{
    size_t size = strlen(folder);

    return strncmp(path, folder, size) == 0 && path[size] == '/';
}

static bool is_own(const struct open_files *o,
                   const struct mounts *m,
                   const struct statx *st,
                   const char *path)
{
    if (!o->has_image) /* a name that is too long is of a folder that the task made */
        return device_of(st) == o->device &&
               (path[0] == 0 || was_below(path, o->sandbox));
    return (st->stx_mask & STATX_MNT_ID) != 0 && st->stx_mnt_id != 0 &&
           (st->stx_mnt_id == m->root || st->stx_mnt_id == m->sandbox);
}

static void add(struct open_files *o, const struct statx *st)
{
    struct file *f = malloc(sizeof(*f));

    if (f == NULL)
        _exit(1);
    f->device = device_of(st);
    f->inode = st->stx_ino;
    if (RB_INSERT(file_tree, &o->files, f) != NULL)
        free(f);
    else
        o->found(o->arg, st->stx_blocks * 512);
}

/* The name that it had last, without the mark; empty: it is too long.  False: it has one. */
static bool read_name(int dir, const char *link, char path[PATH_MAX])
{
    ssize_t n = readlinkat(dir, link, path, PATH_MAX - 1);
    size_t mark = sizeof(DELETED) - 1, size;

    path[0] = n < 0 ? 0 : path[0];
    if (n < 0)
        return errno == ENAMETOOLONG;
    size = (size_t)n;
    path[size] = 0;
    if (size < mark || strcmp(path + size - mark, DELETED) != 0)
        return false;
    path[size - mark] = 0;
    return true;
}

/* `link` in `dir` is one of the kernel's links to an open file. */
static void
add_link(struct open_files *o, const struct mounts *m, int dir, const char *link)
{
    char path[PATH_MAX];
    struct statx st;

    if (read_name(dir, link, path) && look(dir, link, 0, &st) && S_ISREG(st.stx_mode) &&
        st.stx_nlink == 0 && is_own(o, m, &st, path))
        add(o, &st);
}

static DIR *open_folder(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (d == NULL && fd >= 0)
        close(fd);
    return d;
}

static void
add_descriptors(struct open_files *o, const struct mounts *m, int task, pid_t thread)
{
    char name[32];
    DIR *d;
    struct dirent *entry;

    if (o->table > 0 && syscall(SYS_kcmp, o->table, thread, KCMP_FILES, 0, 0) == 0)
        return;
    o->table = thread;
    snprintf(name, sizeof(name), "%d/fd", (int)thread);
    d = open_folder(task, name);
    while (d != NULL && (entry = readdir(d)) != NULL) {
        if (entry->d_name[0] != '.')
            add_link(o, m, dirfd(d), entry->d_name);
    }
    if (d != NULL)
        closedir(d);
}

/* A line is START-END PERMISSIONS OFFSET DEVICE INODE NAME; map_files has a link START-END.
 * False: there are none, as of a thread that has ended. */
static bool
add_maps(struct open_files *o, const struct mounts *m, int proc, int task, pid_t thread)
{
    char name[64];
    char *line = NULL;
    size_t room = 0, mark = sizeof(DELETED) - 1, count = 0;
    ssize_t n;
    FILE *maps;
    int fd;

    snprintf(name, sizeof(name), "%d/maps", (int)thread);
    fd = openat(task, name, O_RDONLY | O_CLOEXEC);
    maps = fd < 0 ? NULL : fdopen(fd, "re");
    for (; maps != NULL && (n = getline(&line, &room, maps)) > 0; count++) {
        size_t size = (size_t)n - 1, range = strcspn(line, " ");

        if (size < mark || strncmp(line + size - mark, DELETED, mark) != 0)
            continue;
        line[range] = 0;
        snprintf(name, sizeof(name), "map_files/%.40s", line);
        add_link(o, m, proc, name);
    }
    free(line);
    if (maps != NULL)
        fclose(maps);
    else if (fd >= 0)
        close(fd);
    return count > 0;
}

/* Threads may have descriptors of their own, and the first may have ended. */
void open_files_add(struct open_files *o, int proc)
{
    struct mounts m = mounts_of(o, proc);
    bool mapped = geteuid() != 0; /* the kernel follows these links for root alone */
    DIR *task = open_folder(proc, "task");
    struct dirent *entry;

    while (task != NULL && (entry = readdir(task)) != NULL) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

        if (thread <= 0)
            continue;
        add_descriptors(o, &m, dirfd(task), thread);
        if (!mapped)
            mapped = add_maps(o, &m, proc, dirfd(task), thread);
    }
    if (task != NULL)
        closedir(task);
}

struct open_files *
open_files_create(uint64_t attempt, void (*found)(void *arg, uint64_t bytes), void *arg)
{
    struct open_files *o = calloc(1, sizeof(*o));
    char name[64];
    struct statx st;

    if (o == NULL)
        _exit(1);
    snprintf(name, sizeof(name), "bundles/%llu", (unsigned long long)attempt);
    o->has_image = access(name, F_OK) == 0;
    snprintf(name, sizeof(name), "runs/%llu", (unsigned long long)attempt);
    if (realpath(name, o->sandbox) == NULL)
        o->sandbox[0] = 0;
    o->device = look(AT_FDCWD, name, 0, &st) ? device_of(&st) : 0;
    o->host_mount = mount_of(AT_FDCWD, "/", 0);
    o->found = found;
    o->arg = arg;
    RB_INIT(&o->files);
    return o;
}

void open_files_destroy(struct open_files *o)
{
    struct file *f, *next;

    RB_FOREACH_SAFE (f, file_tree, &o->files, next) {
        RB_REMOVE(file_tree, &o->files, f);
        free(f);
    }
    free(o);
}
