/* task_logs.c - the log files of tasks stay below a limit, and what they had when is kept. */
#include "agent/task_logs.h"

#include "agent/log_times.h"
#include "agent/task_files.h"
#include "agent/worker.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <bsd/sys/tree.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS   1000
#define LOOK_REST 20 /* a look at all may take 1/20 of the time */

static const char *const NAMES[] = {"stdout", "stderr"};

#define LOGS 2

struct watched {
    uint64_t attempt;
    bool over; /* the next look is the last */

    /* of the thread */
    bool last_look;
    bool known;                 /* what follows was read */
    struct log_time last[LOGS]; /* that was kept */
    RB_ENTRY(watched) link;
};

RB_HEAD(watched_tree, watched);

struct task_logs {
    char *work_dir;  /* owned */
    int runs, times; /* descriptors of WORK_DIR/runs and WORK_DIR/times */
    uint64_t limit_bytes;
    unsigned look_ms;
    bool complained;       /* that nothing can be given back */
    struct watched **look; /* those of the look that goes on */
    size_t capacity;

    struct worker worker; /* its lock is of what follows */
    struct watched_tree watched;
    size_t count;
};

static int compare(const struct watched *a, const struct watched *b)
{
    return (a->attempt > b->attempt) - (a->attempt < b->attempt);
}

RB_GENERATE_INTERNAL(
    watched_tree, watched, link, compare, __attribute__((unused)) static)

/* ---- one file ---- */

static void complain(struct task_logs *l, uint64_t attempt, const char *name)
{
    if (!l->complained)
        log_warning("agent",
                    "the log runs/%llu/%s is too long and cannot be cut: %s; logs of "
                    "tasks are not limited on this file system",
                    (unsigned long long)attempt,
                    name,
                    strerror(errno));
    l->complained = true;
}

static void cut(struct task_logs *l,
                const struct watched *w,
                const char *name,
                const struct stat *st)
{
    uint64_t size = (uint64_t)st->st_size, keep = l->limit_bytes / 2;
    uint64_t block = (uint64_t)st->st_blksize;
    int fd;

    if (size < keep + block)
        return; /* it takes more than it has: preallocated, and given back at its end */
    fd = task_files_open_log(l->work_dir, w->attempt, name, O_WRONLY, NULL);
    if (fd < 0)
        return;
    if (fallocate(fd,
                  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  0,
                  (off_t)((size - keep) / block * block)) != 0)
        complain(l, w->attempt, name);
    close(fd);
}

/* What began and ended between two looks has none: it has its file's time.  Whatever became of the clock,
 * times ascend. */
static void keep_time(struct task_logs *l,
                      const struct watched *w,
                      const char *name,
                      struct log_time *last,
                      uint64_t size)
{
    struct log_time now = {clock_wall_us(), size};

    if (size <= last->length || (w->last_look && last->at_us == 0))
        return;
    if (now.at_us <= last->at_us)
        now.at_us = last->at_us + 1;
    log_times_add(l->times, w->attempt, name, &now);
    *last = now;
}

static void look_at(struct task_logs *l, struct watched *w, int log)
{
    struct stat st;
    char path[64];

    if (!w->known)
        w->last[log] = log_times_last(l->times, w->attempt, NAMES[log]);
    snprintf(path, sizeof(path), "%llu/%s", (unsigned long long)w->attempt, NAMES[log]);
    if (fstatat(l->runs, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return;
    keep_time(l, w, NAMES[log], &w->last[log], (uint64_t)st.st_size);
    if ((uint64_t)st.st_blocks * 512 > l->limit_bytes)
        cut(l, w, NAMES[log], &st);
}

/* ---- the thread ---- */

/* With the lock held: what to look at.  Only we take something out of the tree. */
static size_t collect(struct task_logs *l)
{
    struct watched *w;
    size_t n = 0;

    MEM_GROW(l->look, l->capacity, l->count);
    RB_FOREACH (w, watched_tree, &l->watched) {
        w->last_look = w->over;
        l->look[n++] = w;
    }
    return n;
}

static void look(struct task_logs *l, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int log = 0; log < LOGS; log++)
            look_at(l, l->look[i], log);
        l->look[i]->known = true;
    }
}

/* With the lock held.  What was started again meanwhile stays. */
static void drop_ended(struct task_logs *l, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct watched *w = l->look[i];

        if (!w->last_look || !w->over)
            continue;
        RB_REMOVE(watched_tree, &l->watched, w);
        l->count--;
        mem_free(w);
    }
}

/* With the lock held. */
static void rest(struct task_logs *l, uint64_t us)
{
    uint64_t until = clock_monotonic_us() + us;

    while (!l->worker.stopping && worker_wait_until(&l->worker, until))
        continue;
}

static void *run(void *arg)
{
    struct task_logs *l = arg;

    worker_lock(&l->worker);
    while (!l->worker.stopping) {
        uint64_t began = clock_monotonic_us(), took;
        size_t count = collect(l);

        worker_unlock(&l->worker);
        look(l, count);
        took = clock_monotonic_us() - began;
        worker_lock(&l->worker);
        drop_ended(l, count);
        rest(l,
             took * LOOK_REST > l->look_ms * 1000ull ? took * LOOK_REST
                                                     : l->look_ms * 1000ull);
    }
    worker_unlock(&l->worker);
    return NULL;
}

/* ---- the loop's side ---- */

void task_logs_watch(struct task_logs *l, uint64_t attempt)
{
    struct watched *w = mem_zalloc(sizeof(*w)), *old;

    w->attempt = attempt;
    worker_lock(&l->worker);
    old = RB_INSERT(watched_tree, &l->watched, w);
    if (old == NULL) {
        l->count++;
    } else { /* it ended, and is started again */
        old->over = false;
        mem_free(w);
    }
    worker_unlock(&l->worker);
}

void task_logs_leave(struct task_logs *l, uint64_t attempt)
{
    struct watched key = {.attempt = attempt}, *w;

    worker_lock(&l->worker);
    w = RB_FIND(watched_tree, &l->watched, &key);
    if (w != NULL)
        w->over = true;
    worker_unlock(&l->worker);
}

size_t task_logs_count(struct task_logs *l)
{
    size_t count;

    worker_lock(&l->worker);
    count = l->count;
    worker_unlock(&l->worker);
    return count;
}

uint64_t task_logs_since(const struct task_logs *l,
                         uint64_t attempt,
                         const char *name,
                         int log,
                         uint64_t since_us)
{
    return log_times_find(l->times, attempt, name, log, since_us);
}

int task_logs_open(struct task_logs **out,
                   const struct task_logs_options *options,
                   struct error *err)
{
    struct task_logs *l = mem_zalloc(sizeof(*l));
    char path[PATH_MAX];

    l->work_dir = mem_strdup(options->work_dir);
    l->limit_bytes =
        options->limit_bytes > 0 ? options->limit_bytes : LIMIT_TASK_LOG_BYTES;
    l->look_ms = options->look_ms > 0 ? options->look_ms : LOOK_MS;
    RB_INIT(&l->watched);
    worker_init(&l->worker);
    snprintf(path, sizeof(path), "%s/runs", options->work_dir);
    l->times = -1;
    l->runs = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (l->runs < 0)
        error_set(err, ERROR_IO, "open %s: %s", path, strerror(errno));
    else
        l->times = log_times_open(options->work_dir, err);
    if (l->times < 0) {
        l->times = -1;
        task_logs_close(l);
        return -(int)err->code;
    }
    worker_start(&l->worker, "task-logs", run, l);
    *out = l;
    return 0;
}

void task_logs_close(struct task_logs *l)
{
    struct watched *w, *next;

    if (l == NULL)
        return;
    worker_finish(&l->worker);
    RB_FOREACH_SAFE (w, watched_tree, &l->watched, next) {
        RB_REMOVE(watched_tree, &l->watched, w);
        mem_free(w);
    }
    if (l->runs >= 0)
        close(l->runs);
    if (l->times >= 0)
        close(l->times);
    mem_free(l->look);
    mem_free(l->work_dir);
    mem_free(l);
}
