/* bench_store.c - durable entries per second through the log writer, beside bare LMDB.
 *
 *     bench_store [--dir DIR] [--seconds S] [--json]
 *
 * Both write entries of 256 bytes to the same file system, in slices that alternate, so that a
 * busy machine slows both; the figures are medians of the slices.  Bare LMDB is a loop that
 * does nothing but put and commit.  The writer gets one batch while another one is being
 * committed, as from a replica; "alone" is one batch at a time with both ways between threads.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "store/data_dir.h"
#include "store/log_writer.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRY_BYTES  256
#define RECORD_BYTES (ENTRY_BYTES + 9 + 4) /* as raft_log.c writes it */
#define SLICES       5
#define KEPT_ENTRIES 50000 /* what is older goes, in both */

struct bare {
    MDB_env *env;
    MDB_dbi dbi;
    uint64_t last, first;
};

struct ours {
    struct data_dir *dir;
    struct raft_log *log;
    struct log_writer *writer;
    struct blob *payload;
    uint64_t last, sequence, trimmed;

    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static void must(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench_store: %s: %s\n", what, mdb_strerror(rc));
    exit(EXIT_FAILURE);
}

static void must_error(int rv, const struct error *err)
{
    if (rv == 0)
        return;
    fprintf(stderr, "bench_store: %s\n", err->text);
    exit(EXIT_FAILURE);
}

/* ---- bare LMDB ---- */

static void bare_open(struct bare *b, const char *path)
{
    MDB_txn *txn;

    *b = (struct bare){.first = 1};
    must(mkdir(path, 0700), path);
    must(mdb_env_create(&b->env), "create");
    must(mdb_env_set_mapsize(b->env, LIMIT_LOG_FILE_BYTES), "map size");
    must(mdb_env_set_maxdbs(b->env, 1), "databases");
    must(mdb_env_open(b->env, path, MDB_NOTLS | MDB_NORDAHEAD, 0600), "open");
    must(mdb_txn_begin(b->env, NULL, 0, &txn), "begin");
    must(mdb_dbi_open(txn, "entries", MDB_CREATE | MDB_INTEGERKEY, &b->dbi),
         "database");
    must(mdb_txn_commit(txn), "commit");
}

static void bare_trim(struct bare *b, MDB_txn *txn, unsigned count)
{
    for (; count > 0 && b->last - b->first >= KEPT_ENTRIES; count--, b->first++) {
        MDB_val key = {sizeof(b->first), &b->first};

        must(mdb_del(txn, b->dbi, &key, NULL), "delete");
    }
}

static void bare_commit(struct bare *b, unsigned count)
{
    static const uint8_t bytes[RECORD_BYTES];
    MDB_txn *txn;

    must(mdb_txn_begin(b->env, NULL, 0, &txn), "begin");
    for (unsigned i = 0; i < count; i++) {
        uint64_t index = ++b->last;
        MDB_val key = {sizeof(index), &index}, value = {RECORD_BYTES, NULL};

        must(mdb_put(txn, b->dbi, &key, &value, MDB_APPEND | MDB_RESERVE), "put");
        memcpy(value.mv_data, bytes, sizeof(bytes));
    }
    bare_trim(b, txn, 2 * count);
    must(mdb_txn_commit(txn), "commit");
}

static double bare_run(struct bare *b, unsigned count, uint64_t us)
{
    uint64_t begin = clock_monotonic_us(), now = begin;
    unsigned commits = 0;

    for (; now - begin < us; now = clock_monotonic_us(), commits++)
        bare_commit(b, count);
    return commits * 1e6 / (double)(now - begin);
}

/* ---- the log writer ---- */

static void notify(void *arg)
{
    struct ours *o = arg;

    pthread_mutex_lock(&o->lock);
    pthread_cond_signal(&o->changed);
    pthread_mutex_unlock(&o->lock);
}

static void ours_open(struct ours *o, const char *path)
{
    struct data_dir_options options = {.path = path, .node = 1};
    struct snapshot_point none = {.index = 0};
    struct store_hooks hooks = {.notify = notify, .arg = o};
    struct error err;

    *o = (struct ours){.last = 1, .payload = blob_create(ENTRY_BYTES)};
    memset(o->payload->data, 0, ENTRY_BYTES);
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->changed, NULL);
    must_error(data_dir_open(&o->dir, &options, &err), &err);
    must_error(data_dir_found(o->dir, lmdb_text("1"), &err), &err);
    must_error(raft_log_open(&o->log, data_dir_log(o->dir), &none, &err), &err);
    o->writer = log_writer_start(o->log, data_dir_log(o->dir), &hooks);
}

static void ours_close(struct ours *o)
{
    log_writer_stop(o->writer);
    raft_log_close(o->log);
    data_dir_close(o->dir);
    blob_unref(o->payload);
}

static struct log_op *new_op(struct ours *o, enum log_op_kind kind)
{
    struct log_op *op = mem_zalloc(sizeof(*op));

    op->kind = kind;
    op->sequence = ++o->sequence;
    return op;
}

static void submit(struct ours *o, unsigned count)
{
    struct log_op_list ops = STAILQ_HEAD_INITIALIZER(ops);
    struct log_op *op;

    if (o->last - o->trimmed >= KEPT_ENTRIES + 2048) {
        op = new_op(o, LOG_TRIM);
        op->trim_to = o->trimmed = o->last - KEPT_ENTRIES;
        STAILQ_INSERT_TAIL(&ops, op, link);
    }
    op = new_op(o, LOG_APPEND);
    op->append = (struct log_entries){
        .first = o->last + 1,
        .count = count,
        .entries = mem_alloc(count * sizeof(struct log_entry)),
    };
    for (unsigned i = 0; i < count; i++)
        op->append.entries[i] =
            (struct log_entry){1, ENTRY_COMMANDS, blob_ref(o->payload)};
    o->last += count;
    STAILQ_INSERT_TAIL(&ops, op, link);
    log_writer_submit(o->writer, &ops);
}

static void wait_for(struct ours *o, uint64_t sequence)
{
    if (log_writer_durable(o->writer) >= sequence)
        return;
    pthread_mutex_lock(&o->lock);
    while (log_writer_durable(o->writer) < sequence)
        pthread_cond_wait(&o->changed, &o->lock);
    pthread_mutex_unlock(&o->lock);
}

/* Commits per second with one batch on its way and, unless alone, the next one waiting. */
static double ours_run(struct ours *o, unsigned count, uint64_t us, bool alone)
{
    struct log_writer_stats before, after;
    uint64_t begin = clock_monotonic_us(), previous = o->sequence;

    log_writer_stats(o->writer, &before);
    while (clock_monotonic_us() - begin < us) {
        submit(o, count);
        wait_for(o, alone ? o->sequence : previous);
        previous = o->sequence;
    }
    wait_for(o, o->sequence);
    uint64_t end = clock_monotonic_us();
    log_writer_stats(o->writer, &after);
    return (double)(after.entries - before.entries) / count * 1e6 /
           (double)(end - begin);
}

/* ---- the table ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *values)
{
    qsort(values, SLICES, sizeof(*values), compare);
    return values[SLICES / 2];
}

static void
measure(struct bare *b, struct ours *o, unsigned count, uint64_t us, bool json)
{
    double bare[SLICES], ours[SLICES], alone[SLICES];

    for (int i = 0; i < SLICES; i++) {
        bare[i] = bare_run(b, count, us);
        ours[i] = ours_run(o, count, us, false);
        alone[i] = ours_run(o, count, us, true);
    }
    double x = median(bare), y = median(ours), z = median(alone);

    printf(json ? "{\"entries\":%u,\"bare_commits_s\":%.0f,\"batches_s\":%.0f,"
                  "\"entries_s\":%.0f,\"ratio\":%.3f,\"alone_batches_s\":%.0f}\n"
                : "%8u %14.0f %14.0f %14.0f %8.3f %14.0f\n",
           count,
           x,
           y,
           y * count,
           y / x,
           z);
    fflush(stdout);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

int main(int argc, char **argv)
{
    static const unsigned counts[] = {1, 16, 256, 1024};
    const char *dir = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    char work[PATH_MAX], path[PATH_MAX + 16];
    double seconds = 5;
    bool json = false;
    struct bare bare;
    struct ours ours;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
            dir = argv[++i];
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            seconds = strtod(argv[++i], NULL);
    }
    snprintf(work, sizeof(work), "%s/bench-store-XXXXXX", dir);
    ASSERT(mkdtemp(work) != NULL);
    snprintf(path, sizeof(path), "%s/bare", work);
    bare_open(&bare, path);
    snprintf(path, sizeof(path), "%s/data", work);
    ours_open(&ours, path);
    if (!json)
        printf("%8s %14s %14s %14s %8s %14s\n",
               "entries",
               "bare LMDB tx/s",
               "batches/s",
               "entries/s",
               "ratio",
               "alone, batch/s");
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        measure(
            &bare, &ours, counts[i], (uint64_t)(seconds * 1e6 / (3 * SLICES)), json);
    ours_close(&ours);
    mdb_env_close(bare.env);
    nftw(work, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return EXIT_SUCCESS;
}
