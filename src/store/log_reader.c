/* log_reader.c - reads entries back from the log, on a thread of its own. */
#include "store/log_reader.h"

#include "base/mem.h"

#include <bsd/sys/queue.h>

struct read {
    STAILQ_ENTRY(read) link;
    uint64_t from;
    uint32_t count;
    size_t max_bytes;
    struct log_read answer;
};

STAILQ_HEAD(read_list, read);

struct log_reader {
    struct lmdb *env;
    struct store_hooks hooks;
    pthread_t thread;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool stop;
    struct read_list asked;
    struct read_list answered;
};

static struct read *take(struct read_list *list)
{
    struct read *r = STAILQ_FIRST(list);

    if (r != NULL)
        STAILQ_REMOVE_HEAD(list, link);
    return r;
}

static struct read *wait_for_read(struct log_reader *r)
{
    struct read *read;

    pthread_mutex_lock(&r->lock);
    while (STAILQ_EMPTY(&r->asked) && !r->stop)
        pthread_cond_wait(&r->wake, &r->lock);
    read = r->stop ? NULL : take(&r->asked);
    pthread_mutex_unlock(&r->lock);
    return read;
}

static void *run(void *arg)
{
    struct log_reader *r = arg;
    struct read *read;
    struct error err;

    store_leave_sockets();
    while ((read = wait_for_read(r)) != NULL) {
        int rv = raft_log_read(r->env,
                               read->from,
                               read->count,
                               read->max_bytes,
                               &read->answer.entries,
                               &err);

        if (rv != 0) {
            mem_free(read);
            store_fatal(&r->hooks, &err);
            return NULL;
        }
        pthread_mutex_lock(&r->lock);
        STAILQ_INSERT_TAIL(&r->answered, read, link);
        pthread_mutex_unlock(&r->lock);
        r->hooks.notify(r->hooks.arg);
    }
    return NULL;
}

struct log_reader *log_reader_start(struct lmdb *env, const struct store_hooks *hooks)
{
    struct log_reader *r = mem_zalloc(sizeof(*r));

    r->env = env;
    r->hooks = *hooks;
    STAILQ_INIT(&r->asked);
    STAILQ_INIT(&r->answered);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    store_thread_start(&r->thread, "log-reader", run, r);
    return r;
}

static void destroy_reads(struct read_list *list)
{
    struct read *read;

    while ((read = take(list)) != NULL) {
        log_entries_finish(&read->answer.entries);
        mem_free(read);
    }
}

void log_reader_stop(struct log_reader *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    destroy_reads(&r->asked);
    destroy_reads(&r->answered);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

void log_reader_read(struct log_reader *r,
                     uint64_t from,
                     uint32_t count,
                     size_t max_bytes,
                     uint64_t ticket)
{
    struct read *read = mem_zalloc(sizeof(*read));

    read->from = from;
    read->count = count;
    read->max_bytes = max_bytes;
    read->answer.ticket = ticket;
    pthread_mutex_lock(&r->lock);
    STAILQ_INSERT_TAIL(&r->asked, read, link);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

bool log_reader_next(struct log_reader *r, struct log_read *out)
{
    struct read *read;

    pthread_mutex_lock(&r->lock);
    read = take(&r->answered);
    pthread_mutex_unlock(&r->lock);
    if (read == NULL)
        return false;
    *out = read->answer;
    mem_free(read);
    return true;
}
