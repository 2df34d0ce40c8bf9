/* sandboxes.c - how long the files of ended runs stay. */
#include "agent/sandboxes.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/hooks.h"

#include <bsd/sys/queue.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DISK_FREE_PERCENT 10
#define LOOK_EVERY        64 /* ended runs between two looks at the disk */

struct sandbox {
    uint64_t attempt;
    STAILQ_ENTRY(sandbox) link;
};

STAILQ_HEAD(sandbox_list, sandbox);

struct sandboxes {
    char *work_dir;
    size_t keep;
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t wake;
    struct sandbox_list list; /* the oldest first */
    size_t count;
    size_t added; /* since the last look at the disk */
    bool stopping;
};

/* ---- removing ---- */

static void remove_entry(FTSENT *entry)
{
    switch (entry->fts_info) {
    case FTS_D: /* a task may have closed its own directory */
        if ((entry->fts_statp->st_mode & S_IRWXU) != S_IRWXU)
            chmod(entry->fts_accpath, S_IRWXU);
        break;
    case FTS_DP:
    case FTS_DNR:
        rmdir(entry->fts_accpath);
        break;
    default:
        unlink(entry->fts_accpath);
    }
}

static void remove_tree(const char *path)
{
    char *paths[] = {(char *)(uintptr_t)path, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;

    while (tree != NULL && (entry = fts_read(tree)) != NULL)
        remove_entry(entry);
    if (tree != NULL)
        fts_close(tree);
}

static void remove_sandbox(const struct sandboxes *s, uint64_t attempt)
{
    char path[PATH_MAX];

    snprintf(
        path, sizeof(path), "%s/runs/%llu", s->work_dir, (unsigned long long)attempt);
    remove_tree(path);
    if (access(path, F_OK) == 0)
        log_warning("agent", "cannot remove all of the old sandbox %s", path);
}

static bool disk_is_full(const struct sandboxes *s)
{
    struct statvfs disk;

    return statvfs(s->work_dir, &disk) == 0 &&
           disk.f_bavail < disk.f_blocks / 100 * DISK_FREE_PERCENT;
}

/* ---- the thread ---- */

static bool work_is_due(const struct sandboxes *s)
{
    return s->count > s->keep || s->added >= LOOK_EVERY;
}

/* With the mutex held; the oldest, or NULL when all may stay. */
static struct sandbox *take_oldest(struct sandboxes *s)
{
    struct sandbox *oldest = STAILQ_FIRST(&s->list);

    if (s->count <= s->keep && (oldest == NULL || !disk_is_full(s))) {
        s->added = 0;
        return NULL;
    }
    STAILQ_REMOVE_HEAD(&s->list, link);
    s->count--;
    return oldest;
}

static void *run(void *arg)
{
    struct sandboxes *s = arg;

    pthread_mutex_lock(&s->mutex);
    while (!s->stopping) {
        struct sandbox *oldest;

        if (!work_is_due(s)) {
            pthread_cond_wait(&s->wake, &s->mutex);
            continue;
        }
        oldest = take_oldest(s);
        if (oldest == NULL)
            continue;
        pthread_mutex_unlock(&s->mutex);
        remove_sandbox(s, oldest->attempt);
        mem_free(oldest);
        pthread_mutex_lock(&s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* ---- the loop's side ---- */

void sandboxes_add(struct sandboxes *s, uint64_t attempt)
{
    struct sandbox *b = mem_zalloc(sizeof(*b));

    b->attempt = attempt;
    pthread_mutex_lock(&s->mutex);
    STAILQ_INSERT_TAIL(&s->list, b, link);
    s->count++;
    s->added++;
    if (work_is_due(s))
        pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
}

static int compare(const FTSENT **a, const FTSENT **b)
{
    uint64_t x = strtoull((*a)->fts_name, NULL, 10);
    uint64_t y = strtoull((*b)->fts_name, NULL, 10);

    return (x > y) - (x < y);
}

static void take_found(struct sandboxes *s,
                       const struct sandboxes_options *options,
                       const FTSENT *entry)
{
    char *end;
    uint64_t attempt = strtoull(entry->fts_name, &end, 10);

    if (*end == 0 && end != entry->fts_name &&
        !options->is_live(options->context, attempt))
        sandboxes_add(s, attempt);
}

static int
load(struct sandboxes *s, const struct sandboxes_options *options, struct error *err)
{
    char path[PATH_MAX];
    char *paths[] = {path, NULL};
    FTSENT *root;
    FTS *tree;

    snprintf(path, sizeof(path), "%s/runs", s->work_dir);
    tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, compare);
    root = tree == NULL ? NULL : fts_read(tree);
    if (root == NULL || root->fts_info != FTS_D) {
        if (tree != NULL)
            fts_close(tree);
        return error_set(err, ERROR_IO, "cannot read directory %s", path);
    }
    for (const FTSENT *e = fts_children(tree, FTS_NAMEONLY); e != NULL; e = e->fts_link)
        take_found(s, options, e);
    fts_close(tree);
    return 0;
}

int sandboxes_open(struct sandboxes **out,
                   const struct sandboxes_options *options,
                   struct error *err)
{
    struct sandboxes *s = mem_zalloc(sizeof(*s));

    s->work_dir = mem_strdup(options->work_dir);
    s->keep = options->keep > 0 ? options->keep : LIMIT_SANDBOXES_KEPT;
    STAILQ_INIT(&s->list);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
    if (load(s, options, err) != 0) {
        sandboxes_close(s);
        return -ERROR_IO;
    }
    store_thread_start(&s->thread, "sandboxes", run, s);
    s->running = true;
    *out = s;
    return 0;
}

void sandboxes_close(struct sandboxes *s)
{
    struct sandbox *b;

    if (s == NULL)
        return;
    if (s->running) {
        pthread_mutex_lock(&s->mutex);
        s->stopping = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->mutex);
        pthread_join(s->thread, NULL);
    }
    while ((b = STAILQ_FIRST(&s->list)) != NULL) {
        STAILQ_REMOVE_HEAD(&s->list, link);
        mem_free(b);
    }
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s->work_dir);
    mem_free(s);
}
