/* disk_quota.c - the files of a task take no more than its disk.
 *
 * A tree is read with one directory open for each level, and nothing of it is kept: a task
 * with millions of files costs time, of which no more than one part in LOOK_REST is spent,
 * and no memory.  Too many files, and too deep a tree, are over quota too.
 *
 * What is open is looked at before what has a name: what is removed in between is missed,
 * which is better than to count it twice.  What gets its first name in between (O_TMPFILE) is
 * counted twice, and files of several processes are not seen in one moment; so only two such
 * looks in a row say that a task is over.
 */
#include "agent/disk_quota.h"

#include "agent/looker.h"
#include "agent/process.h"
#include "agent/worker.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
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
#include <time.h>
#include <unistd.h>

#define LOOK_MS   1000
#define LOOK_REST 20 /* a look at one may take 1/20 of the time */
#define REST_MAX_US \
    60000000ull     /* also when somebody makes the looks at what is open long */
#define OPEN_LOOK 5 /* times as long between looks at what is open */

struct watched {
    uint64_t attempt;
    uint64_t bytes;
    pid_t shim; /* 0: not known */
    uint64_t shim_start;
    uint64_t due_us;
    bool over;
    bool suspected; /* it was over with what is open, by the last look at that */
    RB_ENTRY(watched) link;
    RB_ENTRY(watched) by_due;
};

RB_HEAD(watched_tree, watched);
RB_HEAD(due_tree, watched);

struct disk_quota {
    int runs; /* a descriptor of WORK_DIR/runs */
    const char *shim;
    char work_dir[PATH_MAX];
    const struct cgroups *groups;
    bool told; /* that open files cannot be looked at */
    unsigned look_ms;
    uint64_t files;
    struct store_hooks hooks;

    struct worker open_worker;
    struct worker worker; /* its lock is of what follows */
    struct watched_tree watched;
    struct due_tree due;
};

struct sum {
    uint64_t bytes, files;
    uint64_t bytes_max, files_max;
    dev_t device;
    bool too_deep;
};

static int compare(const struct watched *a, const struct watched *b)
{
    return (a->attempt > b->attempt) - (a->attempt < b->attempt);
}

static int compare_due(const struct watched *a, const struct watched *b)
{
    if (a->due_us != b->due_us)
        return a->due_us < b->due_us ? -1 : 1;
    return compare(a, b);
}

RB_GENERATE_INTERNAL(
    watched_tree, watched, link, compare, __attribute__((unused)) static)
RB_GENERATE_INTERNAL(
    due_tree, watched, by_due, compare_due, __attribute__((unused)) static)

/* ---- one sandbox ---- */

static bool is_over(const struct sum *s)
{
    return s->too_deep || s->bytes > s->bytes_max || s->files > s->files_max;
}

/* Log files have a limit of their own: they are cut, and nobody is to die of a burst. */
static bool is_log(const struct stat *st, const char *name, unsigned depth)
{
    return depth == 0 && S_ISREG(st->st_mode) &&
           (strcmp(name, "stdout") == 0 || strcmp(name, "stderr") == 0);
}

/* A file counts once, whatever the names that it has.  A log counts what was allocated beyond its
 * end, which nobody cuts, unless a file system may have done that by itself. */
static uint64_t bytes_of(const struct stat *st, const char *name, unsigned depth)
{
    uint64_t bytes = (uint64_t)st->st_blocks * 512, size = (uint64_t)st->st_size;
    uint64_t usual = size + LIMIT_TASK_LOG_BYTES;

    if (is_log(st, name, depth))
        return bytes > usual ? bytes - usual : 0;
    return S_ISREG(st->st_mode) ? bytes / st->st_nlink : bytes;
}

static void add_tree(struct sum *s, int fd, unsigned depth);

/* What a task has closed to its own user, and so to an agent that is not root, is opened for the
 * look: it is the agent's as well. */
static void add_closed(struct sum *s, int parent, const char *name, unsigned depth)
{
    int flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int closed = openat(parent, name, O_PATH | flags), fd;
    struct stat st;
    char path[32];

    if (closed < 0)
        return;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", closed);
    if (fstat(closed, &st) == 0 && chmod(path, st.st_mode | S_IRWXU) == 0) {
        fd = openat(parent, name, O_RDONLY | flags);
        if (fd >= 0)
            add_tree(s, fd, depth);
        chmod(path, st.st_mode);
    }
    close(closed);
}

static void add_below(struct sum *s, int parent, const char *name, unsigned depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0)
        add_tree(s, fd, depth);
    else if (errno == EACCES)
        add_closed(s, parent, name, depth);
}

/* Takes the descriptor over. */
static void add_tree(struct sum *s, int fd, unsigned depth)
{
    DIR *d = fdopendir(fd);
    struct dirent *entry;

    while (d != NULL && !is_over(s) && (entry = readdir(d)) != NULL) {
        const char *name = entry->d_name;
        struct stat st;

        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_dev != s->device)
            continue;
        s->files++;
        s->bytes += bytes_of(&st, name, depth);
        if (!S_ISDIR(st.st_mode))
            continue;
        if (depth == LIMIT_SANDBOX_DEPTH) {
            s->too_deep = true;
            continue;
        }
        add_below(s, fd, name, depth + 1);
    }
    if (d != NULL)
        closedir(d);
    else
        close(fd);
}

/* depth: 0 for a sandbox, which has log files. */
static void
add_folder(const struct disk_quota *q, struct sum *s, const char *name, unsigned depth)
{
    struct stat st;
    int fd = openat(q->runs, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return;
    if (fstat(fd, &st) != 0) {
        close(fd);
        return;
    }
    s->device = st.st_dev;
    add_tree(s, fd, depth);
}

/* ---- one task ---- */

/* Its sandbox, and what it wrote over its image. */
static void add_named(const struct disk_quota *q, struct sum *s, uint64_t attempt)
{
    char name[64];

    snprintf(name, sizeof(name), "%llu", (unsigned long long)attempt);
    add_folder(q, s, name, 0);
    snprintf(name, sizeof(name), "../bundles/%llu/upper", (unsigned long long)attempt);
    add_folder(q, s, name, 1);
}

/* ---- the thread of what has a name ---- */

/* With the lock held, which is given up meanwhile: *w may be gone after it. */
static void look(struct disk_quota *q, const struct watched *w)
{
    struct watched key = {.attempt = w->attempt}, *again;
    struct sum s = {.bytes_max = w->bytes, .files_max = q->files};
    uint64_t began = clock_monotonic_us(), now, pause;

    worker_unlock(&q->worker);
    add_named(q, &s, key.attempt);
    worker_lock(&q->worker);
    now = clock_monotonic_us();
    pause = (now - began) * LOOK_REST;
    if (pause < q->look_ms * 1000ull)
        pause = q->look_ms * 1000ull;
    again = RB_FIND(watched_tree, &q->watched, &key);
    if (again == NULL)
        return;
    RB_REMOVE(due_tree, &q->due, again);
    again->due_us = now + pause;
    RB_INSERT(due_tree, &q->due, again);
    if (is_over(&s)) {
        again->over = true;
        q->hooks.notify(q->hooks.arg);
    }
}

static void *run(void *arg)
{
    struct disk_quota *q = arg;

    worker_lock(&q->worker);
    while (!q->worker.stopping) {
        struct watched *w = RB_MIN(due_tree, &q->due);

        if (w == NULL)
            worker_wait_until(&q->worker, WORKER_FOR_EVER);
        else if (w->due_us > clock_monotonic_us())
            worker_wait_until(&q->worker, w->due_us);
        else
            look(q, w);
    }
    worker_unlock(&q->worker);
    return NULL;
}

/* ---- the thread of what is open ---- */

/* What is asked of all, and by how much each is limited. */
struct round {
    struct disk_quota *quota;
    struct look_request *requests;
    uint64_t *bytes_max;
    size_t count, capacity, max_capacity;
    size_t at; /* the first of those that are asked now */
};

static bool is_stopping(void *arg)
{
    struct disk_quota *q = ((struct round *)arg)->quota;
    bool stopping;

    worker_lock(&q->open_worker);
    stopping = q->open_worker.stopping;
    worker_unlock(&q->open_worker);
    return stopping;
}

static void collect(struct disk_quota *q, struct round *r)
{
    struct watched *w;

    worker_lock(&q->worker);
    RB_FOREACH (w, watched_tree, &q->watched) {
        MEM_GROW(r->requests, r->capacity, r->count + 1);
        MEM_GROW(r->bytes_max, r->max_capacity, r->count + 1);
        r->bytes_max[r->count] = w->bytes;
        r->requests[r->count++] = (struct look_request){
            .attempt = w->attempt, .shim = w->shim, .shim_start = w->shim_start};
    }
    worker_unlock(&q->worker);
}

static void suspect(struct disk_quota *q, uint64_t attempt, bool over)
{
    struct watched key = {.attempt = attempt}, *w;

    worker_lock(&q->worker);
    w = RB_FIND(watched_tree, &q->watched, &key);
    if (w != NULL && over && w->suspected) {
        w->over = true;
        q->hooks.notify(q->hooks.arg);
    }
    if (w != NULL)
        w->suspected = over;
    worker_unlock(&q->worker);
}

static void judge(void *arg, size_t index, const struct look_answer *answer)
{
    const struct round *r = arg;
    struct sum s = {.bytes = answer->bytes,
                    .files = answer->files,
                    .bytes_max = r->bytes_max[r->at + index],
                    .files_max = r->quota->files};

    if (answer->files > 0 && !is_over(&s))
        add_named(r->quota, &s, answer->attempt);
    suspect(r->quota, answer->attempt, is_over(&s));
}

static void look_at_open(struct disk_quota *q)
{
    struct round r = {.quota = q};
    const struct looker_options options = {.shim = q->shim,
                                           .work_dir = q->work_dir,
                                           .groups = q->groups,
                                           .stopping = is_stopping,
                                           .answered = judge,
                                           .arg = &r};
    struct error err = {0};
    size_t n = 1;

    collect(q, &r);
    for (; r.at < r.count && n > 0; r.at += n) {
        n = r.count - r.at < LOOK_REQUESTS ? r.count - r.at : LOOK_REQUESTS;
        n = looker_ask(&options, r.requests + r.at, n, &err);
    }
    if (err.code != ERROR_NONE && !q->told)
        log_warning("agent", "%s", err.text);
    q->told = err.code != ERROR_NONE;
    mem_free(r.requests);
    mem_free(r.bytes_max);
}

static uint64_t rest_of(uint64_t took_us, uint64_t period_us)
{
    uint64_t rest =
        took_us < REST_MAX_US / LOOK_REST ? took_us * LOOK_REST : REST_MAX_US;

    return rest > period_us ? rest : period_us;
}

static void *run_open(void *arg)
{
    struct disk_quota *q = arg;
    uint64_t period_us = q->look_ms * 1000ull * OPEN_LOOK, due_us, took_us = 0;

    worker_lock(&q->open_worker);
    while (!q->open_worker.stopping) {
        due_us = clock_monotonic_us() + rest_of(took_us, period_us);
        while (!q->open_worker.stopping && worker_wait_until(&q->open_worker, due_us)) {
        }
        worker_unlock(&q->open_worker);
        look_at_open(q);
        took_us = clock_monotonic_us() - due_us;
        worker_lock(&q->open_worker);
    }
    worker_unlock(&q->open_worker);
    return NULL;
}

/* ---- the loop's side ---- */

void disk_quota_watch(struct disk_quota *q,
                      uint64_t attempt,
                      uint64_t bytes,
                      pid_t shim)
{
    struct watched *w = mem_zalloc(sizeof(*w)), *known;

    w->attempt = attempt;
    w->bytes = bytes;
    w->shim = shim;
    w->shim_start = shim > 0 && q->groups->count == 0 ? process_start(shim) : 0;
    w->due_us = clock_monotonic_us() + q->look_ms * 1000ull;
    worker_lock(&q->worker);
    known = RB_INSERT(watched_tree, &q->watched, w);
    if (known != NULL) {
        known->shim = w->shim;
        known->shim_start = w->shim_start;
        mem_free(w);
    } else {
        RB_INSERT(due_tree, &q->due, w);
        if (RB_MIN(due_tree, &q->due) == w)
            worker_wake(&q->worker);
    }
    worker_unlock(&q->worker);
}

void disk_quota_leave(struct disk_quota *q, uint64_t attempt)
{
    struct watched key = {.attempt = attempt}, *w;

    worker_lock(&q->worker);
    w = RB_FIND(watched_tree, &q->watched, &key);
    if (w != NULL) {
        RB_REMOVE(watched_tree, &q->watched, w);
        RB_REMOVE(due_tree, &q->due, w);
    }
    worker_unlock(&q->worker);
    mem_free(w);
}

bool disk_quota_take(struct disk_quota *q, uint64_t *attempt)
{
    struct watched *w;

    worker_lock(&q->worker);
    RB_FOREACH (w, watched_tree, &q->watched) {
        if (w->over)
            break;
    }
    if (w != NULL) {
        w->over = false;
        *attempt = w->attempt;
    }
    worker_unlock(&q->worker);
    return w != NULL;
}

int disk_quota_open(struct disk_quota **out,
                    const struct disk_quota_options *options,
                    struct error *err)
{
    struct disk_quota *q = mem_zalloc(sizeof(*q));
    char path[PATH_MAX];

    q->look_ms = options->look_ms > 0 ? options->look_ms : LOOK_MS;
    q->files = options->files > 0 ? options->files : LIMIT_SANDBOX_FILES;
    q->shim = options->shim;
    q->groups = options->groups;
    q->hooks = options->hooks;
    RB_INIT(&q->watched);
    RB_INIT(&q->due);
    worker_init(&q->worker);
    worker_init(&q->open_worker);
    snprintf(path, sizeof(path), "%s/runs", options->work_dir);
    q->runs = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (q->runs < 0) {
        error_set(err, ERROR_IO, "open %s: %s", path, strerror(errno));
        disk_quota_close(q);
        return -ERROR_IO;
    }
    snprintf(q->work_dir, sizeof(q->work_dir), "%s", options->work_dir);
    worker_start(&q->worker, "disk-quota", run, q);
    worker_start(&q->open_worker, "open-files", run_open, q);
    *out = q;
    return 0;
}

void disk_quota_close(struct disk_quota *q)
{
    struct watched *w, *next;

    if (q == NULL)
        return;
    worker_finish(&q->open_worker);
    worker_finish(&q->worker);
    RB_FOREACH_SAFE (w, watched_tree, &q->watched, next) {
        RB_REMOVE(watched_tree, &q->watched, w);
        mem_free(w);
    }
    if (q->runs >= 0)
        close(q->runs);
    mem_free(q);
}
