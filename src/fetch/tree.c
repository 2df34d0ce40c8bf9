/* tree.c - see tree.h. */
#include "fetch/tree.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#define DESCRIPTORS 32

/* Layers may hold directories that their owner cannot change. */
static int open_up(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)at;
    if (kind == FTW_D && (st->st_mode & 0700) != 0700)
        return chmod(path, 0700);
    return 0;
}

static int
remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static int
remove_below(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return at->level == 0 ? 0 : remove_entry(path, st, kind, at);
}

static int walk(const char *path, __nftw_func_t entry)
{
    if (nftw(path, entry, DESCRIPTORS, FTW_PHYS | FTW_DEPTH) == 0 || errno == ENOENT)
        return 0;
    if (errno != EACCES || nftw(path, open_up, DESCRIPTORS, FTW_PHYS) != 0)
        return -1;
    return nftw(path, entry, DESCRIPTORS, FTW_PHYS | FTW_DEPTH);
}

int tree_remove(const char *path)
{
    return walk(path, remove_entry);
}

int tree_empty(const char *path)
{
    return walk(path, remove_below);
}
