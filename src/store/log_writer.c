/* log_writer.c - makes log operations durable, on a thread of its own. */
#include "store/log_writer.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/data_dir.h"

#include <stdatomic.h>
#include <string.h>

/* One transaction takes no more payload than this: its pages are held in memory. */
#define GROUP_BYTES_MAX (64u << 20)

#define FREE_BYTES_AGE_US 1000000

struct log_writer {
    struct raft_log *log;
    struct lmdb *env;
    struct store_hooks hooks;
    pthread_t thread;
    uint64_t submitted;       /* loop: the last sequence that came */
    uint64_t free_checked_us; /* thread: when free_bytes was true */
    atomic_uint_least64_t durable;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool waiting; /* the thread sleeps: somebody must wake it */
    bool stop;
    struct log_op_list queue;
    bool has_cluster_id; /* to be stored */
    uint8_t cluster_id[16];
    struct log_writer_stats stats;
};

/* What one transaction carries. */
struct group {
    struct log_op_list ops;
    const uint8_t *cluster_id; /* NULL: none */
    uint64_t sequence;         /* of the last operation; 0: a sweep only */
    uint64_t operations;
    uint64_t entries;
    uint64_t payload_bytes;
};

/* Move operations from `from` into the group until it is large enough. */
static void fill_group(struct group *g, struct log_op_list *from)
{
    STAILQ_INIT(&g->ops);
    while (!STAILQ_EMPTY(from) && g->payload_bytes < GROUP_BYTES_MAX) {
        struct log_op *op = STAILQ_FIRST(from);

        STAILQ_REMOVE_HEAD(from, link);
        STAILQ_INSERT_TAIL(&g->ops, op, link);
        g->sequence = op->sequence;
        g->operations++;
        if (op->kind != LOG_APPEND)
            continue;
        g->entries += op->append.count;
        for (uint32_t i = 0; i < op->append.count; i++)
            g->payload_bytes += blob_view(op->append.entries[i].payload).size;
    }
}

static void destroy_ops(struct log_op_list *ops)
{
    while (!STAILQ_EMPTY(ops)) {
        struct log_op *op = STAILQ_FIRST(ops);

        STAILQ_REMOVE_HEAD(ops, link);
        log_op_destroy(op);
    }
}

static int commit_group(struct log_writer *w, const struct group *g, struct error *err)
{
    struct lmdb_txn t;
    struct log_op *op;

    lmdb_begin_write(&t, w->env);
    STAILQ_FOREACH (op, &g->ops, link)
        raft_log_apply(w->log, &t, op);
    if (g->cluster_id != NULL)
        data_dir_put_cluster_id(&t, g->cluster_id);
    /* A slice of what was trimmed rides along, so that it costs no sync while there is work. */
    raft_log_sweep(w->log, &t);
    return lmdb_commit(&t, err);
}

static void count_commit(struct log_writer_stats *s, const struct group *g, uint64_t us)
{
    unsigned bucket = us == 0 ? 0 : 64u - (unsigned)__builtin_clzll(us);

    s->commits++;
    s->operations += g->operations;
    s->entries += g->entries;
    s->payload_bytes += g->payload_bytes;
    s->commit_us_total += us;
    if (us > s->commit_us_max)
        s->commit_us_max = us;
    s->commit_us_buckets[bucket < LOG_WRITER_BUCKETS ? bucket
                                                     : LOG_WRITER_BUCKETS - 1]++;
}

/* The group is on disk: say so. */
static void publish(struct log_writer *w, const struct group *g, uint64_t us)
{
    pthread_mutex_lock(&w->lock);
    count_commit(&w->stats, g, us);
    pthread_mutex_unlock(&w->lock);
    if (g->sequence == 0)
        return;
    atomic_store_explicit(&w->durable, g->sequence, memory_order_release);
    w->hooks.notify(w->hooks.arg);
}

static void measure_free_bytes(struct log_writer *w, uint64_t now)
{
    uint64_t free_bytes;

    if (now - w->free_checked_us < FREE_BYTES_AGE_US)
        return;
    free_bytes = lmdb_free_bytes(w->env);
    w->free_checked_us = now;
    pthread_mutex_lock(&w->lock);
    w->stats.free_bytes = free_bytes;
    pthread_mutex_unlock(&w->lock);
}

/* Wait for work and take all of it; false: there is none and none will come. */
static bool
take_work(struct log_writer *w, struct log_op_list *ops, uint8_t id[16], bool *has_id)
{
    bool more;

    pthread_mutex_lock(&w->lock);
    while (STAILQ_EMPTY(&w->queue) && !w->has_cluster_id && !w->stop &&
           !raft_log_needs_sweep(w->log)) {
        w->waiting = true;
        pthread_cond_wait(&w->wake, &w->lock);
    }
    w->waiting = false;
    more = !STAILQ_EMPTY(&w->queue) || w->has_cluster_id || !w->stop;
    STAILQ_CONCAT(ops, &w->queue);
    *has_id = w->has_cluster_id;
    memcpy(id, w->cluster_id, sizeof(w->cluster_id));
    w->has_cluster_id = false;
    pthread_mutex_unlock(&w->lock);
    return more;
}

/* One transaction with the next of `ops`; false after an error. */
static bool
write_group(struct log_writer *w, struct log_op_list *ops, const uint8_t *id)
{
    struct group g = {.cluster_id = id};
    struct error err = {0};
    uint64_t start = clock_monotonic_us();
    int rv;

    fill_group(&g, ops);
#ifdef MUTANT_ACK_BEFORE_COMMIT
    publish(w, &g, 0);
#endif
    rv = commit_group(w, &g, &err);
    if (rv == 0)
        publish(w, &g, clock_monotonic_us() - start);
    destroy_ops(&g.ops);
    if (rv != 0)
        store_fatal(&w->hooks, &err);
    else
        measure_free_bytes(w, start);
    return rv == 0;
}

static void *run(void *arg)
{
    struct log_writer *w = arg;
    struct log_op_list ops = STAILQ_HEAD_INITIALIZER(ops);
    uint8_t id[16];
    bool has_id, going = true;

    store_leave_sockets();
    while (going && take_work(w, &ops, id, &has_id)) {
        do {
            going = write_group(w, &ops, has_id ? id : NULL);
            has_id = false;
        } while (going && !STAILQ_EMPTY(&ops));
    }
    destroy_ops(&ops);
    return NULL;
}

struct log_writer *log_writer_start(struct raft_log *log,
                                    struct lmdb *env,
                                    const struct store_hooks *hooks)
{
    struct log_writer *w = mem_zalloc(sizeof(*w));

    w->log = log;
    w->env = env;
    w->hooks = *hooks;
    STAILQ_INIT(&w->queue);
    w->stats.free_bytes = lmdb_free_bytes(env);
    w->free_checked_us = clock_monotonic_us();
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    store_thread_start(&w->thread, "log-writer", run, w);
    return w;
}

void log_writer_stop(struct log_writer *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    destroy_ops(&w->queue);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

/* Under the lock. */
static void wake(struct log_writer *w)
{
    if (w->waiting)
        pthread_cond_signal(&w->wake);
}

void log_writer_submit(struct log_writer *w, struct log_op_list *ops)
{
    struct log_op *op;

    STAILQ_FOREACH (op, ops, link) {
        ASSERT(op->sequence == w->submitted + 1);
        w->submitted = op->sequence;
    }
    pthread_mutex_lock(&w->lock);
    STAILQ_CONCAT(&w->queue, ops);
    wake(w);
    pthread_mutex_unlock(&w->lock);
}

uint64_t log_writer_durable(const struct log_writer *w)
{
    return atomic_load_explicit(&w->durable, memory_order_acquire);
}

void log_writer_store_cluster_id(struct log_writer *w, const uint8_t id[16])
{
    pthread_mutex_lock(&w->lock);
    memcpy(w->cluster_id, id, sizeof(w->cluster_id));
    w->has_cluster_id = true;
    wake(w);
    pthread_mutex_unlock(&w->lock);
}

void log_writer_stats(struct log_writer *w, struct log_writer_stats *out)
{
    pthread_mutex_lock(&w->lock);
    *out = w->stats;
    pthread_mutex_unlock(&w->lock);
    out->queued = w->submitted - log_writer_durable(w);
}
