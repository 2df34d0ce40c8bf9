/* store_test.c - a data directory of its own for each test, and what most tests do with it. */
#include "store_test.h"

#include "base/entropy.h"
#include "base/mem.h"

#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[PATH_MAX];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void test_dir_finish(void)
{
    if (directory[0] != '\0')
        nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    directory[0] = '\0';
}

const char *test_dir(void)
{
    const char *tmp = getenv("TMPDIR");

    if (directory[0] == '\0') {
        snprintf(directory,
                 sizeof(directory),
                 "%s/store-XXXXXX",
                 tmp != NULL ? tmp : "/tmp");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        atexit(test_dir_finish);
    }
    return directory;
}

const char *test_path(const char *name)
{
    static char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
    return path;
}

struct data_dir_options test_options(void)
{
    static char path[PATH_MAX + 64];
    struct data_dir_options o = {.path = path,
                                 .node = 1,
                                 .cluster = {1, 2, 3},
                                 .log_map_bytes = TEST_MAP_BYTES,
                                 .snap_map_bytes = TEST_MAP_BYTES};

    snprintf(path, sizeof(path), "%s", test_path("data"));
    return o;
}

struct data_dir *test_open(void)
{
    struct data_dir_options o = test_options();
    struct data_dir *d;
    struct error err;

    ck_assert_msg(data_dir_open(&d, &o, &err) == 0, "%s", err.text);
    return d;
}

struct data_dir *test_open_founded(void)
{
    struct data_dir *d = test_open();
    struct error err;

    if (data_dir_is_empty(d))
        ck_assert_msg(
            data_dir_found(d, lmdb_text("members"), &err) == 0, "%s", err.text);
    return d;
}

struct raft_log *
test_open_log(struct data_dir *d, uint64_t snapshot_index, uint64_t term)
{
    struct snapshot_point point = {.index = snapshot_index, .term = term};
    struct raft_log *log;
    struct error err;

    ck_assert_msg(
        raft_log_open(&log, data_dir_log(d), &point, &err) == 0, "%s", err.text);
    return log;
}

int test_see_entry(void *arg,
                   uint64_t index,
                   uint64_t term,
                   enum entry_kind kind,
                   struct bytes payload,
                   struct error *err)
{
    (void)arg;
    (void)index;
    (void)term;
    (void)kind;
    (void)payload;
    (void)err;
    return 0;
}

static int see_piece(void *arg, struct bytes piece, struct error *err)
{
    (void)arg;
    (void)piece;
    (void)err;
    return 0;
}

int test_start(struct error *err)
{
    struct data_dir_options o = test_options();
    struct raft_log_state state;
    struct snapshot_point point;
    struct snapshots *s = NULL;
    struct raft_log *log = NULL;
    struct data_dir *d;
    int rv = data_dir_open(&d, &o, err);

    if (rv == 0)
        rv = snapshots_open(&s, data_dir_snap(d), err);
    if (rv == 0)
        rv = snapshots_load(s, see_piece, NULL, err);
    if (rv == 0) {
        point = snapshots_point(s);
        rv = raft_log_open(&log, data_dir_log(d), &point, err);
    }
    if (rv == 0)
        rv = raft_log_load(log, test_see_entry, NULL, &state, err);
    raft_log_close(log);
    snapshots_close(s);
    data_dir_close(d);
    return rv;
}

static struct log_op *new_op(uint64_t sequence, enum log_op_kind kind)
{
    struct log_op *op = mem_zalloc(sizeof(*op));

    op->sequence = sequence;
    op->kind = kind;
    return op;
}

struct log_op *test_meta(uint64_t sequence, uint64_t term, uint64_t vote)
{
    struct log_op *op = new_op(sequence, LOG_META);

    op->meta.term = term;
    op->meta.vote = vote;
    return op;
}

void test_payload(uint64_t index, uint64_t term, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(index * 31 + term * 7 + i);
}

struct log_op *test_append(uint64_t sequence,
                           uint64_t first,
                           uint32_t count,
                           uint64_t term,
                           size_t payload_bytes)
{
    struct log_op *op = new_op(sequence, LOG_APPEND);

    op->append.first = first;
    op->append.count = count;
    op->append.entries = mem_zalloc(count * sizeof(*op->append.entries));
    for (uint32_t i = 0; i < count; i++) {
        struct log_entry *e = &op->append.entries[i];

        e->term = term;
        e->kind = payload_bytes == 0 ? ENTRY_NOOP : ENTRY_COMMANDS;
        if (payload_bytes == 0)
            continue;
        e->payload = blob_create(payload_bytes);
        test_payload(first + i, term, e->payload->data, payload_bytes);
    }
    return op;
}

struct log_op *test_trim(uint64_t sequence, uint64_t to)
{
    struct log_op *op = new_op(sequence, LOG_TRIM);

    op->trim_to = to;
    return op;
}

struct log_op *test_reset(uint64_t sequence, uint64_t to)
{
    struct log_op *op = new_op(sequence, LOG_RESET);

    op->reset_to = to;
    return op;
}

void test_apply(struct raft_log *log, struct lmdb *env, struct log_op *op)
{
    struct lmdb_txn t;
    struct error err;

    lmdb_begin_write(&t, env);
    raft_log_apply(log, &t, op);
    ck_assert_msg(lmdb_commit(&t, &err) == 0, "%s", err.text);
    log_op_destroy(op);
}

TCase *test_slow(TCase *c)
{
    tcase_set_timeout(c, 120);
    return c;
}

uint64_t test_seed(void)
{
    const char *given = getenv("STORE_SEED");
    uint64_t seed;

    if (given != NULL)
        seed = strtoull(given, NULL, 10);
    else
        entropy_fill(&seed, sizeof(seed));
    printf("# STORE_SEED=%" PRIu64 "\n", seed);
    fflush(stdout);
    return seed;
}

static void notify(void *arg)
{
    struct test_signal *s = arg;

    pthread_mutex_lock(&s->lock);
    s->notified++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void fatal(void *arg, const struct error *err)
{
    struct test_signal *s = arg;

    pthread_mutex_lock(&s->lock);
    s->failed = true;
    s->error = *err;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void test_signal_init(struct test_signal *s, struct store_hooks *hooks)
{
    *s = (struct test_signal){0};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    *hooks = (struct store_hooks){.notify = notify, .fatal = fatal, .arg = s};
}

void test_wait(struct test_signal *s, bool (*ready)(void *arg), void *arg)
{
    pthread_mutex_lock(&s->lock);
    while (!s->failed && !ready(arg))
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}
