/* usages.c - what runs use: sampled, kept for a while, told. */
#include "agent/usages.h"

#include "agent/log_times.h"
#include "agent/worker.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"

#include <bsd/sys/tree.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Groups are read some at a time.  A pass over /proc costs the same for all as for one. */
#define GROUP_SLICES   10
#define PROCESS_SLICES 1

struct watched {
    uint64_t attempt;
    pid_t shim;
    struct usage_reading before; /* of starts before this one */
    struct usage_reading last;   /* with what was before */
    uint64_t at_us;
    uint32_t newest, count; /* in the ring */
    struct usage_sample samples[USAGE_SAMPLES];
    RB_ENTRY(watched) link;
};

_Static_assert(sizeof(struct watched) <= 1024, "a run costs less than a KiB");

RB_HEAD(watched_tree, watched);

/* On disk, of a run that has ended. */
struct final {
    uint64_t version;
    uint64_t ended_us;
    struct usage_reading total;
    uint32_t crc; /* of what stands before it */
};

#define FINAL_VERSION 1
#define KEEP_CPU_US   10000 /* less is not worth a file, if it was not even sampled */

/* What is read in one slice, while nothing is locked. */
struct look {
    uint64_t attempt;
    pid_t shim;
    bool known;
    struct usage_reading reading;
};

struct usages {
    int times; /* a descriptor of WORK_DIR/times */
    struct usages_options options;
    unsigned slice, slices;
    struct look *looks;
    size_t look_capacity;

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

static struct watched *find(struct usages *u, uint64_t attempt)
{
    struct watched key = {.attempt = attempt};

    return RB_FIND(watched_tree, &u->watched, &key);
}

/* ---- samples ---- */

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What was used never falls, whatever became of those who used it. */
static void add_reading(struct watched *w, const struct usage_reading *now)
{
    const struct usage_reading *before = &w->before;
    struct usage_reading *last = &w->last;

    last->cpu_us = max(last->cpu_us, before->cpu_us + now->cpu_us);
    last->read_bytes = max(last->read_bytes, before->read_bytes + now->read_bytes);
    last->written_bytes =
        max(last->written_bytes, before->written_bytes + now->written_bytes);
    last->memory_peak_bytes = max(last->memory_peak_bytes, now->memory_peak_bytes);
    last->memory_bytes = now->memory_bytes;
    last->pids = now->pids;
}

static void add_sample(struct watched *w, const struct usage_reading *now)
{
    const struct usage_reading *last = &w->last;

    add_reading(w, now);
    w->at_us = clock_wall_us();
    w->newest = (w->newest + 1) % USAGE_SAMPLES;
    w->count += w->count < USAGE_SAMPLES ? 1 : 0;
    w->samples[w->newest] = (struct usage_sample){.at_us = w->at_us,
                                                  .cpu_us = last->cpu_us,
                                                  .memory_bytes = last->memory_bytes,
                                                  .pids = last->pids};
}

static const struct usage_sample *sample(const struct watched *w, uint32_t age)
{
    return &w->samples[(w->newest + USAGE_SAMPLES - age) % USAGE_SAMPLES];
}

static uint32_t cpu_milli(const struct watched *w)
{
    const struct usage_sample *now = sample(w, 0), *then = sample(w, 1);

    if (w->count < 2 || now->at_us <= then->at_us)
        return 0;
    return (uint32_t)((now->cpu_us - then->cpu_us) * 1000 / (now->at_us - then->at_us));
}

/* ---- the thread ---- */

/* With the lock held: those whose turn it is. */
static size_t collect(struct usages *u)
{
    struct watched *w;
    size_t n = 0;

    MEM_GROW(u->looks, u->look_capacity, u->count);
    RB_FOREACH (w, watched_tree, &u->watched)
        if (w->attempt % u->slices == u->slice)
            u->looks[n++] = (struct look){.attempt = w->attempt, .shim = w->shim};
    u->slice = (u->slice + 1) % u->slices;
    return n;
}

static void read_groups(struct usages *u, size_t count)
{
    for (size_t i = 0; i < count; i++)
        u->looks[i].known = u->options.read_group != NULL &&
                            u->options.read_group(u->options.context,
                                                  u->looks[i].attempt,
                                                  &u->looks[i].reading) == 0;
}

/* Those without a group: one pass over /proc for all of them. */
static void read_processes(struct usages *u, size_t count)
{
    struct usage_proc_run *runs = mem_alloc((count + 1) * sizeof(*runs));
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        if (!u->looks[i].known && u->looks[i].shim > 0)
            runs[n++].shim = u->looks[i].shim;
    usage_proc_read(runs, n);
    for (size_t i = 0; i < count && n > 0; i++) {
        struct look *l = &u->looks[i];
        const struct usage_proc_run *found =
            l->known ? NULL : usage_proc_find(runs, n, l->shim);

        if (found == NULL || found->reading.pids == 0)
            continue;
        l->known = true;
        l->reading = found->reading;
    }
    mem_free(runs);
}

/* With the lock held. */
static void keep(struct usages *u, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct watched *w = find(u, u->looks[i].attempt);

        if (w != NULL && w->shim == u->looks[i].shim && u->looks[i].known)
            add_sample(w, &u->looks[i].reading);
    }
}

/* With the lock held. */
static void rest(struct usages *u)
{
    uint64_t until =
        clock_monotonic_us() + (uint64_t)u->options.interval_ms * 1000 / u->slices;

    while (!u->worker.stopping && worker_wait_until(&u->worker, until))
        continue;
}

static void *run(void *arg)
{
    struct usages *u = arg;

    worker_lock(&u->worker);
    while (!u->worker.stopping) {
        size_t count = collect(u);

        worker_unlock(&u->worker);
        read_groups(u, count);
        read_processes(u, count);
        worker_lock(&u->worker);
        keep(u, count);
        rest(u);
    }
    worker_unlock(&u->worker);
    return NULL;
}

/* ---- what is left of ended runs ---- */

static void keep_final(const struct usages *u, const struct watched *w)
{
    struct final final = {
        .version = FINAL_VERSION, .ended_us = clock_wall_us(), .total = w->last};
    int fd;

    if (w->at_us == 0 && w->last.cpu_us < KEEP_CPU_US)
        return;
    fd = log_times_open_beside(
        u->times, w->attempt, "usage", O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return;
    final.crc = crc32c(0, &final, offsetof(struct final, crc));
    (void)!write(fd, &final, sizeof(final));
    close(fd);
}

static bool
find_final(const struct usages *u, uint64_t attempt, struct usage_record *out)
{
    int fd = log_times_open_beside(u->times, attempt, "usage", O_RDONLY);
    struct final final;
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, &final, sizeof(final));
    close(fd);
    if (n != sizeof(final) || final.version != FINAL_VERSION ||
        final.crc != crc32c(0, &final, offsetof(struct final, crc)))
        return false;
    *out = (struct usage_record){.attempt = attempt,
                                 .ended_us = final.ended_us,
                                 .at_us = final.ended_us,
                                 .last = final.total};
    return true;
}

/* ---- the loop's side ---- */

static bool is_new(const struct watched *w)
{
    return w->at_us == 0 && w->shim == 0;
}

void usages_watch(struct usages *u, uint64_t attempt, pid_t shim)
{
    struct usage_record earlier;
    struct watched *w;

    worker_lock(&u->worker);
    w = find(u, attempt);
    if (w == NULL) {
        w = mem_zalloc(sizeof(*w));
        w->attempt = attempt;
        RB_INSERT(watched_tree, &u->watched, w);
        u->count++;
    }
    /* Another start of it, which counts from nothing. */
    if (is_new(w) && find_final(u, attempt, &earlier))
        w->last = earlier.last;
    if (w->shim != shim)
        w->before = w->last;
    w->shim = shim;
    worker_unlock(&u->worker);
}

void usages_leave(struct usages *u, uint64_t attempt, const struct usage_reading *used)
{
    struct watched at_once = {.attempt = attempt}, *w; /* it was never seen to run */

    worker_lock(&u->worker);
    w = find(u, attempt);
    if (w != NULL) {
        RB_REMOVE(watched_tree, &u->watched, w);
        u->count--;
    }
    worker_unlock(&u->worker);
    if (used != NULL)
        add_reading(w != NULL ? w : &at_once, used);
    keep_final(u, w != NULL ? w : &at_once);
    mem_free(w);
}

static void copy(const struct watched *w, struct usage_record *out)
{
    *out = (struct usage_record){.attempt = w->attempt,
                                 .at_us = w->at_us,
                                 .last = w->last,
                                 .cpu_milli = cpu_milli(w),
                                 .sample_count = w->count};
    for (uint32_t i = 0; i < w->count; i++)
        out->samples[i] = *sample(w, w->count - 1 - i);
}

bool usages_find(struct usages *u, uint64_t attempt, struct usage_record *out)
{
    const struct watched *w;

    worker_lock(&u->worker);
    w = find(u, attempt);
    if (w != NULL)
        copy(w, out);
    worker_unlock(&u->worker);
    return w != NULL || find_final(u, attempt, out);
}

static struct usage_report report_of(const struct watched *w)
{
    return (struct usage_report){
        .attempt = w->attempt,
        .cpu_milli = cpu_milli(w),
        .cpu_us = w->last.cpu_us,
        .memory_bytes = w->last.memory_bytes,
        .memory_peak_bytes = w->last.memory_peak_bytes,
        .read_bytes = w->last.read_bytes,
        .written_bytes = w->last.written_bytes,
        .pids = w->last.pids,
    };
}

struct usage_report *
usages_reports(struct usages *u, uint64_t after, size_t most, size_t *count)
{
    struct watched key = {.attempt = after + 1}, *w;
    struct usage_report *list;

    *count = 0;
    worker_lock(&u->worker);
    list = mem_alloc(((u->count < most ? u->count : most) + 1) * sizeof(*list));
    for (w = RB_NFIND(watched_tree, &u->watched, &key); w != NULL && *count < most;
         w = RB_NEXT(watched_tree, &u->watched, w))
        if (w->at_us != 0)
            list[(*count)++] = report_of(w);
    worker_unlock(&u->worker);
    return list;
}

/* ---- life ---- */

int usages_open(struct usages **out,
                const struct usages_options *options,
                struct error *err)
{
    struct usages *u = mem_zalloc(sizeof(*u));

    u->options = *options;
    if (u->options.interval_ms == 0)
        u->options.interval_ms = USAGE_INTERVAL_MS;
    u->slices = options->read_group != NULL ? GROUP_SLICES : PROCESS_SLICES;
    RB_INIT(&u->watched);
    worker_init(&u->worker);
    u->times = log_times_open(options->work_dir, err);
    if (u->times < 0) {
        usages_close(u);
        return -(int)err->code;
    }
    worker_start(&u->worker, "usage", run, u);
    *out = u;
    return 0;
}

void usages_close(struct usages *u)
{
    struct watched *w, *next;

    if (u == NULL)
        return;
    worker_finish(&u->worker);
    RB_FOREACH_SAFE (w, watched_tree, &u->watched, next) {
        RB_REMOVE(watched_tree, &u->watched, w);
        mem_free(w);
    }
    if (u->times >= 0)
        close(u->times);
    mem_free(u->looks);
    mem_free(u);
}
