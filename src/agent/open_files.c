/* open_files.c - what a task holds open that has no name any more. */
#include "agent/open_files.h"

#include "agent/request_steps.h"
#include "base/mem.h"

#include <bsd/sys/tree.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
    const char *sandbox;
    uint64_t files_max;
    dev_t host; /* of our own root */
    struct file_tree files;
    uint64_t count, bytes;
};

static int compare(const struct file *a, const struct file *b)
{
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return (a->inode > b->inode) - (a->inode < b->inode);
}

RB_GENERATE_INTERNAL(file_tree, file, link, compare, __attribute__((unused)) static)

/* Without asking a server for it: a dead one must not hold us. */
static bool look(int dir, const char *path, struct statx *out)
{
    return statx(dir,
                 path,
                 AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
                 STATX_TYPE | STATX_NLINK | STATX_INO | STATX_BLOCKS,
                 out) == 0;
}

static dev_t device_of(const struct statx *st)
{
    return makedev(st->stx_dev_major, st->stx_dev_minor);
}

/* The root of a process that lives in an image is a file system of its own. */
struct place {
    bool has_image;
    dev_t image;
};

static struct place place_of(const struct open_files *o, int proc)
{
    struct statx root;
    bool known = look(proc, "root", &root);

    return (struct place){
        .has_image = known && device_of(&root) != o->host,
        .image = known ? device_of(&root) : 0,
    };
}

static bool is_below(const char *path, const char *folder)
{
    size_t size = strlen(folder);

    return strncmp(path, folder, size) == 0 && path[size] == '/';
}

/* A name that is too long to be told must be of a folder that the task made. */
static bool was_in_sandbox(const struct open_files *o,
                           struct place place,
                           int dir,
                           const char *name)
{
    char path[PATH_MAX];
    ssize_t n = readlinkat(dir, name, path, sizeof(path) - 1);

    if (n < 0)
        return errno == ENAMETOOLONG;
    path[n] = 0;
    return is_below(path, o->sandbox) ||
           (place.has_image && is_below(path, REQUEST_SANDBOX_INSIDE));
}

static void add(struct open_files *o, const struct statx *st)
{
    struct file *f = mem_zalloc(sizeof(*f));

    f->device = device_of(st);
    f->inode = st->stx_ino;
    if (RB_INSERT(file_tree, &o->files, f) != NULL) {
        mem_free(f);
        return;
    }
    o->count++;
    o->bytes += st->stx_blocks * 512;
}

/* `name` in `dir` is one of the kernel's links to an open file. */
static void
add_link(struct open_files *o, struct place place, int dir, const char *name)
{
    struct statx st;

    if (look(dir, name, &st) && S_ISREG(st.stx_mode) && st.stx_nlink == 0 &&
        ((place.has_image && device_of(&st) == place.image) ||
         was_in_sandbox(o, place, dir, name)))
        add(o, &st);
}

static bool is_full(const struct open_files *o)
{
    return o->count > o->files_max;
}

static void add_descriptors(struct open_files *o, struct place place, int proc)
{
    int fd = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    while (d != NULL && !is_full(o) && (entry = readdir(d)) != NULL) {
        if (entry->d_name[0] != '.')
            add_link(o, place, fd, entry->d_name);
    }
    if (d != NULL)
        closedir(d);
    else if (fd >= 0)
        close(fd);
}

/* A line is START-END PERMISSIONS OFFSET DEVICE INODE NAME; map_files has a link START-END. */
static void add_maps(struct open_files *o, struct place place, int proc)
{
    int fd = openat(proc, "maps", O_RDONLY | O_CLOEXEC);
    FILE *maps = fd < 0 ? NULL : fdopen(fd, "re");
    char *line = NULL, name[64] = "map_files/";
    size_t room = 0, end = sizeof(DELETED) - 1, prefix = strlen(name);
    ssize_t n;

    while (maps != NULL && !is_full(o) && (n = getline(&line, &room, maps)) > 0) {
        size_t size = (size_t)n - 1, range = strcspn(line, " ");

        if (size < end || strncmp(line + size - end, DELETED, end) != 0 ||
            range >= sizeof(name) - prefix)
            continue;
        line[range] = 0;
        strcpy(name + prefix, line);
        add_link(o, place, proc, name);
    }
    free(line);
    if (maps != NULL)
        fclose(maps);
    else if (fd >= 0)
        close(fd);
}

void open_files_add(struct open_files *o, int proc)
{
    struct place place = place_of(o, proc);

    add_descriptors(o, place, proc);
    if (geteuid() == 0) /* the kernel follows these links for root alone */
        add_maps(o, place, proc);
}

uint64_t open_files_bytes(const struct open_files *o)
{
    return o->bytes;
}

uint64_t open_files_count(const struct open_files *o)
{
    return o->count;
}

struct open_files *open_files_create(const char *sandbox, uint64_t files_max)
{
    struct open_files *o = mem_zalloc(sizeof(*o));
    struct statx root;

    o->sandbox = sandbox;
    o->files_max = files_max;
    o->host = look(AT_FDCWD, "/", &root) ? device_of(&root) : 0;
    RB_INIT(&o->files);
    return o;
}

void open_files_destroy(struct open_files *o)
{
    struct file *f, *next;

    RB_FOREACH_SAFE (f, file_tree, &o->files, next) {
        RB_REMOVE(file_tree, &o->files, f);
        mem_free(f);
    }
    mem_free(o);
}
