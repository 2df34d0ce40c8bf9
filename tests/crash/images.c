/* images.c - from a recorded run to the disks that a crash may leave, each put to the test. */
#include "tests/crash/images.h"

#include "base/assert.h"
#include "base/mem.h"

#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGAIN_EVERY   24 /* one image in so many has its recovery crashed as well */
#define AGAIN_BUDGET  12
#define PER_CUT_MIN   3
#define EXHAUSTIVE_UP 6 /* changes that wait: all subsets, when the budget allows */

struct moment {
    bool is_mark;
    struct file_op op;
    struct progress progress;
};

struct trace {
    pthread_mutex_t lock;
    struct moment *moments;
    size_t count, capacity;
};

/* ---- traces ---- */

struct trace *trace_create(void)
{
    struct trace *t = mem_zalloc(sizeof(*t));

    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void trace_destroy(struct trace *t)
{
    for (size_t i = 0; i < t->count; i++) {
        struct file_op *op = &t->moments[i].op;

        mem_free((void *)(uintptr_t)op->path);
        mem_free((void *)(uintptr_t)op->to);
        mem_free((void *)(uintptr_t)op->data);
    }
    mem_free(t->moments);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

static void add_moment(struct trace *t, struct moment m)
{
    pthread_mutex_lock(&t->lock);
    MEM_GROW(t->moments, t->capacity, t->count + 1);
    t->moments[t->count++] = m;
    pthread_mutex_unlock(&t->lock);
}

static void add_op(void *arg, const struct file_op *op)
{
    struct moment m = {.op = *op};

    m.op.path = mem_strdup(op->path);
    m.op.to = op->to != NULL ? mem_strdup(op->to) : NULL;
    m.op.data = op->data != NULL ? mem_dup(op->data, op->size) : NULL;
    add_moment(arg, m);
}

void trace_start(struct trace *t)
{
    file_ops_watch(add_op, t);
}

void trace_stop(void)
{
    file_ops_watch(NULL, NULL);
}

void trace_mark(struct trace *t, const struct progress *p)
{
    add_moment(t, (struct moment){.is_mark = true, .progress = *p});
}

/* ---- one image ---- */

struct run {
    struct images *images;
    struct disk *disk;
    struct progress progress;
    char directory[PATH_MAX]; /* of the image */
    bool nested;              /* of a recovery */
    unsigned per_cut;
};

/* What a child leaves to its parent. */
struct outcome {
    unsigned again;
    unsigned violations;
    char why[512];
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_all(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void run_trace(struct run *r, const struct trace *t);

/* Recover; then crash that recovery, and let each of its images recover. */
static void try_twice(struct run *r, const bool *keep, struct outcome *out)
{
    struct images *i = r->images;
    struct trace *t = trace_create();
    struct run again = {
        .images = i, .disk = r->disk, .progress = r->progress, .nested = true};

    trace_start(t);
    out->violations = !i->check(i->arg, r->directory, &r->progress, out->why);
    trace_stop();
    if (out->violations != 0)
        return;
    ASSERT(snprintf(again.directory, PATH_MAX, "%s/again", i->scratch) < PATH_MAX);
    disk_crash(r->disk, keep);
    disk_move(r->disk, r->directory);
    i->count = i->violations = 0;
    i->lying = false;
    i->budget = AGAIN_BUDGET;
    run_trace(&again, t);
    out->again = i->count;
    out->violations = i->violations;
    snprintf(out->why, sizeof(out->why), "%s", i->why);
    trace_destroy(t);
}

static void try_image(struct run *r, const bool *keep)
{
    struct images *i = r->images;
    bool twice = !r->nested && !i->lying && rng_below(&i->rng, AGAIN_EVERY) == 0;
    struct outcome *out = mmap(
        NULL, sizeof(*out), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    pid_t pid;

    ASSERT(out != MAP_FAILED);
    remove_all(r->directory);
    ASSERT(mkdir(r->directory, 0700) == 0);
    disk_write(r->disk, keep, r->directory);
    pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0) {
        if (twice)
            try_twice(r, keep, out);
        else
            out->violations = !i->check(i->arg, r->directory, &r->progress, out->why);
        _exit(0);
    }
    ASSERT(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status)) {
        out->violations++;
        snprintf(out->why,
                 sizeof(out->why),
                 "recovery ended by signal %d",
                 WTERMSIG(status));
    }
    if (out->violations > 0 && i->violations == 0)
        snprintf(i->why, sizeof(i->why), "%s", out->why);
    i->count++;
    i->again += out->again;
    i->violations += out->violations;
    munmap(out, sizeof(*out));
}

/* ---- subsets ---- */

static void keep_random(struct rng *rng, bool *keep, size_t n, unsigned percent)
{
    for (size_t k = 0; k < n; k++)
        keep[k] = rng_percent(rng, percent);
}

/* Subset `number` of those that are tried at one place: the telling ones first. */
static void choose_subset(struct rng *rng, unsigned number, bool *keep, size_t n)
{
    static const unsigned percents[] = {50, 90, 20, 70};

    switch (number) {
    case 0: /* nothing */
    case 1: /* all */
        memset(keep, number == 1, n);
        return;
    case 2: /* one missing */
    case 3: /* one only */
        memset(keep, number == 2, n);
        keep[rng_below(rng, n)] = number == 3;
        return;
    default:
        if (number % 2 == 0)
            keep_random(rng, keep, n, percents[number / 2 % 4]);
        else
            choose_subset(rng, 2 + number / 2 % 2, keep, n);
    }
}

static void cut(struct run *r)
{
    size_t n = disk_waiting(r->disk);
    bool *keep = mem_zalloc(n + 1);
    unsigned subsets = n < EXHAUSTIVE_UP ? 1u << n : UINT32_MAX;

    for (unsigned number = 0; number < r->per_cut && number < subsets; number++) {
        if (subsets <= r->per_cut) {
            for (size_t k = 0; k < n; k++)
                keep[k] = (number >> k & 1) != 0;
        } else {
            choose_subset(&r->images->rng, number, keep, n);
        }
        try_image(r, keep);
    }
    mem_free(keep);
}

static bool is_sync(const struct moment *m)
{
    return !m->is_mark && (m->op.kind == FILE_OP_SYNC || m->op.synced);
}

static void run_trace(struct run *r, const struct trace *t)
{
    unsigned cuts = 1;

    for (size_t k = 0; k < t->count; k++)
        cuts += is_sync(&t->moments[k]);
    r->per_cut = r->images->budget / cuts;
    if (r->per_cut < PER_CUT_MIN)
        r->per_cut = PER_CUT_MIN;
    for (size_t k = 0; k < t->count; k++) {
        const struct moment *m = &t->moments[k];

        if (m->is_mark) {
            r->progress = m->progress;
            continue;
        }
        disk_begin(r->disk, &m->op);
        if (is_sync(m))
            cut(r);
        if (!r->images->lying)
            disk_complete(r->disk, &m->op);
    }
    cut(r);
}

void images_run(struct images *i, const struct trace *t, const char *root)
{
    struct run r = {.images = i, .disk = disk_create(root)};

    ASSERT(snprintf(r.directory, PATH_MAX, "%s/image", i->scratch) < PATH_MAX);
    run_trace(&r, t);
    disk_destroy(r.disk);
}
