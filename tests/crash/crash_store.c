/* crash_store.c - crash the store wherever it writes, and look at what its recovery finds.
 *
 *     crash_store [--images N] [--seed S] [--rounds N]
 *
 * A round runs a random script on the real store with its threads, while file operations and
 * promises ("durable up to n", "snapshot n is current") are recorded.  Then every image that a
 * crash may leave is opened as at a start, and must be a state of the script between what was
 * promised and what was asked for.  The same is done with a disk that only pretends to sync:
 * there it must find losses, or it could not see them.  Last, a script is run many times with
 * one file operation that fails, each time another one: the store must stop, and its directory
 * be a state that was allowed at that moment.
 */
#include "base/assert.h"
#include "base/crc32c.h"
#include "base/entropy.h"
#include "base/mem.h"
#include "store/data_dir.h"
#include "store/log_writer.h"
#include "store/snapshots.h"
#include "tests/crash/images.h"
#include "tests/crash/script.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define STEPS          40
#define MAP_BYTES      ((size_t)64 << 20)
#define CONTROL_IMAGES 300

/* Processes of a sanitizer cost ten times as much, and find nothing else. */
#ifdef SANITIZED
#define IMAGES 100
#define ROUNDS 1
#else
#define IMAGES 1200
#define ROUNDS 4
#endif

/* What a program built wrong on purpose is to be found out for; NULL: it is right. */
#ifdef CRASH_MUTANT
static const char *const mutant = CRASH_MUTANT;
#else
static const char *const mutant = NULL;
#endif

struct master {
    const struct script *script;
    struct trace *trace;
    struct data_dir *dir;
    struct snapshots *snapshots;
    struct raft_log *log;
    struct log_writer *writer;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct progress *progress;
};

static struct data_dir_options options(const char *path)
{
    return (struct data_dir_options){.path = path,
                                     .node = 1,
                                     .log_map_bytes = MAP_BYTES,
                                     .snap_map_bytes = MAP_BYTES};
}

static void must(int rv, const struct error *err)
{
    if (rv == 0)
        return;
    fprintf(stderr, "# the workload failed: %s\n", err->text);
    _exit(EX_SOFTWARE);
}

/* ---- the workload ---- */

static void fatal(void *arg, const struct error *err)
{
    (void)arg;
    must(-1, err);
}

/* Set one member of the progress. */
#define PROMISE(m, member, value)                  \
    do {                                           \
        pthread_mutex_lock(&(m)->lock);            \
        (m)->progress->member = (value);           \
        if ((m)->trace != NULL)                    \
            trace_mark((m)->trace, (m)->progress); \
        pthread_cond_broadcast(&(m)->changed);     \
        pthread_mutex_unlock(&(m)->lock);          \
    } while (0)

/* On the writer's thread, right after it promised something. */
static void notify_durable(void *arg)
{
    struct master *m = arg;

    PROMISE(m, durable, log_writer_durable(m->writer));
}

static void notify_snapshots(void *arg)
{
    struct master *m = arg;

    pthread_mutex_lock(&m->lock);
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

static void wait_durable(struct master *m)
{
    pthread_mutex_lock(&m->lock);
    while (m->progress->durable < m->progress->submitted)
        pthread_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

static void submit(struct master *m, uint64_t number)
{
    struct log_op_list ops = STAILQ_HEAD_INITIALIZER(ops);
    struct log_op *op = script_copy_op(m->script, number);

    PROMISE(m, submitted, number);
    STAILQ_INSERT_TAIL(&ops, op, link);
    log_writer_submit(m->writer, &ops);
}

static void wait_snapshot(struct master *m, enum snapshot_event_kind kind)
{
    struct snapshot_event e;

    pthread_mutex_lock(&m->lock);
    while (!snapshots_next(m->snapshots, &e))
        pthread_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
    ASSERT(e.kind == kind);
    snapshot_event_finish(&e);
}

static void write_snapshot(struct master *m, uint64_t number)
{
    const struct snapshot_image *image = &m->script->snapshots[number];
    struct snapshot_meta meta = {.index = image->index, .term = image->term};
    uint64_t id = snapshots_begin(m->snapshots, &meta);

    for (uint32_t n = 0; n < image->chunks; n++)
        snapshots_append(m->snapshots, id, n, script_chunk(number, n));
    snapshots_seal(m->snapshots, id, &image->crc);
    wait_snapshot(m, SNAPSHOT_SEALED);
    PROMISE(m, promoted, number);
    snapshots_promote(m->snapshots, id, image->reset);
    wait_snapshot(m, SNAPSHOT_CURRENT);
    PROMISE(m, current, number);
}

static void found(struct master *m, const char *path)
{
    struct data_dir_options o = options(path);
    struct error err;

    must(data_dir_open(&m->dir, &o, &err), &err);
    PROMISE(m, found_asked, true);
    must(data_dir_found(m->dir, lmdb_text(SCRIPT_CONFIGURATION), &err), &err);
    PROMISE(m, founded, true);
}

static void run_script(struct master *m, const char *path)
{
    struct snapshot_point none = {0};
    struct store_hooks log_hooks = {.notify = notify_durable, .fatal = fatal, .arg = m};
    struct store_hooks snapshot_hooks = {
        .notify = notify_snapshots, .fatal = fatal, .arg = m};
    struct error err;

    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    found(m, path);
    must(snapshots_open(&m->snapshots, data_dir_snap(m->dir), &err), &err);
    must(raft_log_open(&m->log, data_dir_log(m->dir), &none, &err), &err);
    m->writer = log_writer_start(m->log, data_dir_log(m->dir), &log_hooks);
    snapshots_start(m->snapshots, &snapshot_hooks);
    for (size_t i = 0; i < m->script->step_count; i++) {
        const struct step *step = &m->script->steps[i];

        if (step->wait)
            wait_durable(m);
        if (step->kind == STEP_LOG)
            submit(m, step->number);
        else
            write_snapshot(m, step->number);
    }
    wait_durable(m);
    log_writer_stop(m->writer);
    snapshots_close(m->snapshots);
    raft_log_close(m->log);
    data_dir_close(m->dir);
}

/* ---- recovery ---- */

struct recovered {
    struct log_image log;
    uint32_t crc; /* of the snapshot */
    uint64_t snapshot_index;
};

static int see_entry(void *arg,
                     uint64_t index,
                     uint64_t term,
                     enum entry_kind kind,
                     struct bytes payload,
                     struct error *err)
{
    struct recovered *r = arg;

    (void)err;
    r->log.digest = script_digest(r->log.digest, index, term, kind, payload);
    return 0;
}

static int see_piece(void *arg, struct bytes piece, struct error *err)
{
    struct recovered *r = arg;

    (void)err;
    r->crc = crc32c(r->crc, piece.data, piece.size);
    return 0;
}

static void ignore(void *arg)
{
    (void)arg;
}

/* The threads of a started master sweep what is of no use: writes that must do no harm. */
static void run_threads(struct data_dir *d, struct raft_log *log, struct snapshots *s)
{
    struct store_hooks hooks = {.notify = ignore};
    struct log_writer *w = log_writer_start(log, data_dir_log(d), &hooks);

    snapshots_start(s, &hooks);
    log_writer_stop(w);
}

static int load(struct data_dir *d, struct recovered *r, struct error *err)
{
    struct snapshots *s = NULL;
    struct raft_log *log = NULL;
    struct raft_log_state state;
    struct snapshot_point point;
    int rv = snapshots_open(&s, data_dir_snap(d), err);

    if (rv == 0)
        rv = snapshots_load(s, see_piece, r, err);
    if (rv == 0) {
        point = snapshots_point(s);
        r->snapshot_index = point.index;
        rv = raft_log_open(&log, data_dir_log(d), &point, err);
    }
    if (rv == 0)
        rv = raft_log_load(log, see_entry, r, &state, err);
    if (rv == 0) {
        r->log.term = state.term;
        r->log.vote = state.vote;
        r->log.base = state.base;
        r->log.last = state.last;
        run_threads(d, log, s);
    }
    snapshots_close(s);
    raft_log_close(log);
    return rv;
}

static bool same_log(const struct log_image *a, const struct log_image *b)
{
    return a->term == b->term && a->vote == b->vote && a->base == b->base &&
           a->last == b->last && a->digest == b->digest;
}

static bool violation(char why[512], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool violation(char why[512], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, 512, format, args);
    va_end(args);
    return false;
}

static bool is_allowed(const struct script *s,
                       const struct recovered *r,
                       const struct progress *p,
                       char why[512])
{
    for (uint64_t j = p->current; j <= p->promoted; j++) {
        const struct snapshot_image *snapshot = &s->snapshots[j];

        if (r->snapshot_index != snapshot->index || r->crc != snapshot->crc)
            continue;
        for (uint64_t k = p->durable; k <= p->submitted; k++) {
            struct log_image expected = script_settle(s->logs[k], snapshot);

            if (same_log(&r->log, &expected))
                return true;
        }
    }
    return violation(why,
                     "found log %" PRIu64 " … %" PRIu64 ", term %" PRIu64
                     ", vote %" PRIu64 ", snapshot at %" PRIu64
                     "; promised were operation %" PRIu64 " and snapshot %" PRIu64
                     " (at %" PRIu64 "), asked for %" PRIu64 " and %" PRIu64,
                     r->log.base + 1,
                     r->log.last,
                     r->log.term,
                     r->log.vote,
                     r->snapshot_index,
                     p->durable,
                     p->current,
                     s->snapshots[p->current].index,
                     p->submitted,
                     p->promoted);
}

/* LMDB's lock file means nothing after a crash, whatever it holds. */
static void spoil_lock(const char *data, const char *env)
{
    uint8_t garbage[8192];
    char path[PATH_MAX + 32];
    int fd;

    memset(garbage, 0xA5, sizeof(garbage));
    snprintf(path, sizeof(path), "%s/%s/lock.mdb", data, env);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return; /* no such environment yet */
    ASSERT(write(fd, garbage, sizeof(garbage)) == sizeof(garbage));
    close(fd);
}

static bool
check_image(void *arg, const char *directory, const struct progress *p, char why[512])
{
    const struct script *s = arg;
    char path[PATH_MAX];
    struct data_dir_options o = options(path);
    struct recovered r = {0};
    struct data_dir *d;
    struct error err;
    bool fine = true;

    snprintf(path, sizeof(path), "%s/data", directory);
    spoil_lock(path, "log");
    spoil_lock(path, "snap");
    if (data_dir_open(&d, &o, &err) != 0)
        return violation(why, "%s", err.text);
    if (data_dir_is_empty(d))
        fine = !p->founded || violation(why, "the founding was lost");
    else if (!p->found_asked)
        fine = violation(why, "a founding out of nothing");
    else if (load(d, &r, &err) != 0)
        fine = violation(why, "%s", err.text);
    else
        fine = is_allowed(s, &r, p, why);
    data_dir_close(d);
    return fine;
}

/* ---- rounds ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static const char *choose_scratch(char path[PATH_MAX])
{
    const char *tmp = getenv("TMPDIR");

    if (tmp == NULL)
        tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, PATH_MAX, "%s/crash-XXXXXX", tmp);
    ASSERT(mkdtemp(path) != NULL);
    return path;
}

struct place {
    char scratch[PATH_MAX];
    char run[PATH_MAX + 16];
    char data[PATH_MAX + 32];
};

static void make_place(struct place *p)
{
    choose_scratch(p->scratch);
    snprintf(p->run, sizeof(p->run), "%s/run", p->scratch);
    snprintf(p->data, sizeof(p->data), "%s/data", p->run);
    ASSERT(mkdir(p->run, 0700) == 0);
}

static void remove_all(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Record one script and try its images. */
static void run_round(struct images *i, struct rng *rng)
{
    struct progress progress = {0};
    struct place place;
    struct script script;
    struct master m = {
        .script = &script, .trace = trace_create(), .progress = &progress};

    make_place(&place);
    script_make(&script, rng, STEPS);
    trace_start(m.trace);
    run_script(&m, place.data);
    trace_stop();
    i->scratch = place.scratch;
    i->check = check_image;
    i->arg = &script;
    i->rng = *rng;
    images_run(i, m.trace, place.run);
    trace_destroy(m.trace);
    script_finish(&script);
    remove_all(place.scratch);
}

/* Run the script with its n-th file operation failing, in a process of its own. */
static void run_failing(const struct script *script,
                        const char *data,
                        unsigned n,
                        struct progress *progress)
{
    static const int errors[] = {EIO, ENOSPC, 0};
    struct master m = {.script = script, .progress = progress};
    int status;
    pid_t pid = fork();

    ASSERT(pid >= 0);
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(1);
        file_ops_fail(FILE_OP_ANY, n, errors[n % 3]);
        run_script(&m, data);
        _exit(0);
    }
    ASSERT(waitpid(pid, &status, 0) == pid);
    ASSERT(WIFEXITED(status)); /* stopped by its own will, or not impressed */
}

/* After each of some failures the directory must be an allowed state. */
static void run_failures(struct images *i, struct rng *rng)
{
    struct progress *progress = mmap(NULL,
                                     sizeof(*progress),
                                     PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS,
                                     -1,
                                     0);
    struct script script;

    ASSERT(progress != MAP_FAILED);
    script_make(&script, rng, STEPS / 2);
    for (; i->count < i->budget; i->count++) {
        unsigned n = i->count < 40 ? i->count : (unsigned)rng_below(rng, 400);
        struct place place;

        make_place(&place);
        *progress = (struct progress){0};
        run_failing(&script, place.data, n, progress);
        if (!check_image(&script, place.run, progress, i->why))
            i->violations++;
        remove_all(place.scratch);
    }
    script_finish(&script);
    munmap(progress, sizeof(*progress));
}

static bool report(bool passed, const char *what, const struct images *i)
{
    static unsigned test;

    printf("%sok %u - %s: %u images, %u of crashed recoveries, %u violations\n",
           passed ? "" : "not ",
           ++test,
           what,
           i->count,
           i->again,
           i->violations);
    if (i->violations > 0)
        printf("# %s\n", i->why);
    fflush(stdout);
    return passed;
}

/* What must be found: by a round of its own on a program or a disk that is wrong. */
static bool find_violations(struct rng *rng, bool lying, const char *what)
{
    struct images i = {.budget = CONTROL_IMAGES, .lying = lying};

    run_round(&i, rng);
    return report(i.violations > 0, what, &i);
}

static bool find_none(struct rng *rng, unsigned budget, unsigned rounds)
{
    struct images failures = {.budget = budget / 20};
    bool passed = true;

    printf("1..%u\n", rounds + 2);
    for (unsigned n = 0; n < rounds; n++) {
        struct images i = {.budget = budget / rounds};

        run_round(&i, rng);
        passed &= report(i.violations == 0, "nothing promised is lost by a crash", &i);
    }
    run_failures(&failures, rng);
    passed &= report(failures.violations == 0, "nor by an error", &failures);
    return find_violations(rng, true, "a disk that does not sync is caught") && passed;
}
int main(int argc, char **argv)
{
    uint64_t seed = entropy_u64();
    unsigned budget = IMAGES, rounds = ROUNDS;
    struct rng rng;

    for (int k = 1; k + 1 < argc; k += 2) {
        if (strcmp(argv[k], "--seed") == 0)
            seed = strtoull(argv[k + 1], NULL, 10);
        else if (strcmp(argv[k], "--images") == 0)
            budget = (unsigned)strtoul(argv[k + 1], NULL, 10);
        else if (strcmp(argv[k], "--rounds") == 0)
            rounds = (unsigned)strtoul(argv[k + 1], NULL, 10);
    }
    rng.state = seed;
    setvbuf(stdout, NULL, _IOLBF, 0); /* children must not inherit lines */
    printf("# seed %" PRIu64 "\n", seed);
    if (mutant != NULL) {
        printf("1..1\n");
        return find_violations(&rng, false, mutant) ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    return find_none(&rng, budget, rounds) ? EXIT_SUCCESS : EXIT_FAILURE;
}
