/* sandboxes.c - how long the files of ended runs stay.
 *
 * When a run ended is the time of its directory, set when the run is given to us: what the task
 * made of it before does not count, and an agent that is restarted reads it again.  What could
 * not be removed does not count to those that are kept, and is tried again now and then.
 */
#include "agent/sandboxes.h"

#include "agent/log_times.h"
#include "agent/worker.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define DISK_OUT_PERCENT 2     /* of it free: then the young ones go as well */
#define LOOK_EVERY       64    /* ended runs between two looks at age and disk, … */
#define LOOK_MS          10000 /* … or this */
#define AGAIN_MS         60000 /* until a stuck one is tried again */

struct sandbox {
    uint64_t attempt;
    uint64_t ended_us; /* wall clock */
    bool stuck;        /* could not be removed */
    STAILQ_ENTRY(sandbox) link;
};

STAILQ_HEAD(sandbox_list, sandbox);

struct sandboxes {
    char *work_dir;
    int dir;                          /* a descriptor of WORK_DIR */
    int times;                        /* a descriptor of WORK_DIR/times */
    struct sandboxes_options options; /* with what stands for 0 */
    struct worker worker;             /* its lock is of what follows */
    struct sandbox_list list;         /* the oldest first */
    size_t count;
    size_t added; /* since the last look */
    bool look_due;
    struct sandbox_list stuck;
    size_t stuck_count;
    uint64_t again_us; /* then they are tried again */
};

/* ---- removing ---- */

static bool remove_sandbox(const struct sandboxes *s, const struct sandbox *b)
{
    char path[PATH_MAX];

    snprintf(path,
             sizeof(path),
             "%s/runs/%llu",
             s->work_dir,
             (unsigned long long)b->attempt);
    log_times_remove(s->times, b->attempt);
    attempt_names_remove(s->dir, b->attempt);
    if (tree_remove(path) == 0)
        return true;
    if (!b->stuck)
        log_warning("agent",
                    "cannot remove all of the old sandbox %s: %s; trying again now and "
                    "then",
                    path,
                    strerror(errno));
    return false;
}

static unsigned disk_free_percent(const char *work_dir)
{
    struct statvfs disk;

    if (statvfs(work_dir, &disk) != 0 || disk.f_blocks == 0)
        return 100;
    return (unsigned)(disk.f_bavail * 100 / disk.f_blocks);
}

/* ---- what goes ---- */

/* The disk is asked last, and not for those that stay or go without it. */
static bool is_to_go(const struct sandboxes *s, const struct sandbox *b)
{
    const struct sandboxes_options *o = &s->options;
    uint64_t now_us = clock_wall_us();
    uint64_t age_ms = now_us > b->ended_us ? (now_us - b->ended_us) / 1000 : 0;
    unsigned percent;

    if (s->count > o->keep || (o->keep_for_ms > 0 && age_ms >= o->keep_for_ms))
        return true;
    percent = o->disk_free_percent(s->work_dir);
    if (percent >= o->keep_free_percent)
        return false;
    return age_ms >= LIMIT_SANDBOX_YOUNG_MS || percent < DISK_OUT_PERCENT;
}

/* ---- the thread ---- */

static bool work_is_due(const struct sandboxes *s)
{
    return s->count > s->options.keep || s->added >= LOOK_EVERY || s->look_due;
}

/* With the lock held. */
static void wait_for_work(struct sandboxes *s)
{
    uint64_t until = clock_monotonic_us() + LOOK_MS * 1000ull;

    if (!worker_wait_until(&s->worker, until))
        s->look_due = true;
}

/* With the lock held, which is given up meanwhile. */
static void remove_or_keep(struct sandboxes *s, struct sandbox *b)
{
    bool removed;

    worker_unlock(&s->worker);
    removed = remove_sandbox(s, b);
    worker_lock(&s->worker);
    if (removed) {
        mem_free(b);
        return;
    }
    b->stuck = true;
    STAILQ_INSERT_TAIL(&s->stuck, b, link);
    s->stuck_count++;
}

/* With the lock held; each of them once. */
static void try_again(struct sandboxes *s)
{
    for (size_t left = s->stuck_count; left > 0 && !s->worker.stopping; left--) {
        struct sandbox *b = STAILQ_FIRST(&s->stuck);

        STAILQ_REMOVE_HEAD(&s->stuck, link);
        s->stuck_count--;
        remove_or_keep(s, b);
    }
    s->again_us = clock_monotonic_us() + s->options.again_ms * 1000;
}

/* With the lock held; the oldest, or NULL when all may stay. */
static struct sandbox *take_oldest(struct sandboxes *s)
{
    struct sandbox *oldest = STAILQ_FIRST(&s->list);

    if (oldest == NULL || !is_to_go(s, oldest)) {
        s->added = 0;
        s->look_due = false;
        return NULL;
    }
    STAILQ_REMOVE_HEAD(&s->list, link);
    s->count--;
    return oldest;
}

static void *run(void *arg)
{
    struct sandboxes *s = arg;

    worker_lock(&s->worker);
    while (!s->worker.stopping) {
        struct sandbox *oldest;

        if (!work_is_due(s)) {
            wait_for_work(s);
            continue;
        }
        if (clock_monotonic_us() >= s->again_us)
            try_again(s);
        oldest = take_oldest(s);
        if (oldest != NULL)
            remove_or_keep(s, oldest);
    }
    worker_unlock(&s->worker);
    return NULL;
}

/* ---- the loop's side ---- */

static void append(struct sandboxes *s, uint64_t attempt, uint64_t ended_us)
{
    struct sandbox *b = mem_zalloc(sizeof(*b));

    b->attempt = attempt;
    b->ended_us = ended_us;
    worker_lock(&s->worker);
    STAILQ_INSERT_TAIL(&s->list, b, link);
    s->count++;
    s->added++;
    if (work_is_due(s))
        worker_wake(&s->worker);
    worker_unlock(&s->worker);
}

static void path_of(char path[PATH_MAX], const struct sandboxes *s, const char *name)
{
    snprintf(path, PATH_MAX, "%s/runs/%s", s->work_dir, name);
}

size_t sandboxes_stuck(struct sandboxes *s)
{
    size_t count;

    worker_lock(&s->worker);
    count = s->stuck_count;
    worker_unlock(&s->worker);
    return count;
}

uint64_t sandboxes_find(const struct sandboxes *s, const struct attempt_name *name)
{
    return attempt_names_find(s->dir, name);
}

void sandboxes_add(struct sandboxes *s, uint64_t attempt)
{
    char path[PATH_MAX], name[24];

    snprintf(name, sizeof(name), "%llu", (unsigned long long)attempt);
    path_of(path, s, name);
    /* A run that never started has none. */
    (void)!utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
    append(s, attempt, clock_wall_us());
}

/* ---- what earlier agents left ---- */

struct found {
    struct sandbox *list;
    size_t count, capacity;
};

/* A clock that was set back makes nothing young for ever. */
static uint64_t ended_us(const struct sandboxes *s, const char *name)
{
    uint64_t now_us = clock_wall_us(), at_us;
    char path[PATH_MAX];
    struct stat st;

    path_of(path, s, name);
    if (lstat(path, &st) != 0 || st.st_mtim.tv_sec < 0)
        return now_us;
    at_us = (uint64_t)st.st_mtim.tv_sec * 1000000;
    return at_us < now_us ? at_us : now_us;
}

static void take_found(struct sandboxes *s, struct found *found, const FTSENT *entry)
{
    char *end;
    uint64_t attempt = strtoull(entry->fts_name, &end, 10);

    if (*end != 0 || end == entry->fts_name ||
        s->options.is_live(s->options.context, attempt))
        return;
    MEM_GROW(found->list, found->capacity, found->count + 1);
    found->list[found->count++] =
        (struct sandbox){.attempt = attempt, .ended_us = ended_us(s, entry->fts_name)};
}

static int compare(const void *a, const void *b)
{
    const struct sandbox *x = a, *y = b;

    if (x->ended_us != y->ended_us)
        return x->ended_us > y->ended_us ? 1 : -1;
    return (x->attempt > y->attempt) - (x->attempt < y->attempt);
}

static int load(struct sandboxes *s, struct error *err)
{
    char path[PATH_MAX];
    char *paths[] = {path, NULL};
    struct found found = {0};
    FTSENT *root;
    FTS *tree;

    snprintf(path, sizeof(path), "%s/runs", s->work_dir);
    tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    root = tree == NULL ? NULL : fts_read(tree);
    if (root == NULL || root->fts_info != FTS_D) {
        if (tree != NULL)
            fts_close(tree);
        return error_set(err, ERROR_IO, "cannot read directory %s", path);
    }
    for (const FTSENT *e = fts_children(tree, FTS_NAMEONLY); e != NULL; e = e->fts_link)
        take_found(s, &found, e);
    fts_close(tree);
    if (found.count > 0)
        qsort(found.list, found.count, sizeof(*found.list), compare);
    for (size_t i = 0; i < found.count; i++)
        append(s, found.list[i].attempt, found.list[i].ended_us);
    mem_free(found.list);
    s->look_due = true;
    return 0;
}

/* WORK_DIR, and what is in it beside the sandboxes. */
static int open_dir(struct sandboxes *s, struct error *err)
{
    s->dir = open(s->work_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s->dir < 0 || (mkdirat(s->dir, ATTEMPT_NAMES, 0700) != 0 && errno != EEXIST))
        return error_set(err,
                         ERROR_IO,
                         "cannot make directory %s/" ATTEMPT_NAMES ": %s",
                         s->work_dir,
                         strerror(errno));
    s->times = log_times_open(s->work_dir, err);
    return s->times < 0 ? s->times : 0;
}

int sandboxes_open(struct sandboxes **out,
                   const struct sandboxes_options *options,
                   struct error *err)
{
    struct sandboxes *s = mem_zalloc(sizeof(*s));

    s->work_dir = mem_strdup(options->work_dir);
    s->options = *options;
    if (s->options.keep == 0)
        s->options.keep = LIMIT_SANDBOXES_KEPT;
    if (s->options.again_ms == 0)
        s->options.again_ms = AGAIN_MS;
    if (s->options.disk_free_percent == NULL)
        s->options.disk_free_percent = disk_free_percent;
    STAILQ_INIT(&s->list);
    STAILQ_INIT(&s->stuck);
    worker_init(&s->worker);
    s->times = -1;
    if (open_dir(s, err) != 0 || load(s, err) != 0) {
        sandboxes_close(s);
        return -(int)err->code;
    }
    worker_start(&s->worker, "sandboxes", run, s);
    *out = s;
    return 0;
}

void sandboxes_close(struct sandboxes *s)
{
    struct sandbox *b;

    if (s == NULL)
        return;
    worker_finish(&s->worker);
    STAILQ_CONCAT(&s->list, &s->stuck);
    while ((b = STAILQ_FIRST(&s->list)) != NULL) {
        STAILQ_REMOVE_HEAD(&s->list, link);
        mem_free(b);
    }
    if (s->times >= 0)
        close(s->times);
    if (s->dir >= 0)
        close(s->dir);
    mem_free(s->work_dir);
    mem_free(s);
}
