/* checkpoint.c - what an agent must know again after it was killed. */
#include "agent/checkpoint.h"

#include "base/assert.h"
#include "base/mem.h"
#include "store/dir_lock.h"
#include "store/lmdb.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAP_BYTES \
    ((size_t)16 << 30) /* address space: specs of all runs, at their largest */

enum { RECORDS };

static const struct lmdb_schema schema = {
    .count = 1,
    .databases = {[RECORDS] = {.name = "records", .describe = lmdb_describe_text}},
};

/* One AGENT_RECORD: n × (u32 key size, u32 value size, key, value). */
struct batch {
    uint64_t sequence;
    struct buffer bytes;
    STAILQ_ENTRY(batch) link;
};

STAILQ_HEAD(batch_list, batch);

struct checkpoint {
    int lock;
    struct lmdb *env;
    struct store_hooks hooks;
    struct agent_record *records; /* as read; key and value are owned */
    size_t record_count, record_capacity;

    bool running;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct batch_list queue; /* under the mutex, as is stopping */
    bool stopping;
    atomic_uint_fast64_t durable;
};

/* ---- the directory ---- */

static const struct dir_lock_names names = {"work directory", "--work-dir"};

static int take_lock(struct checkpoint *c, const char *work_dir, struct error *err)
{
    if (mkdir(work_dir, 0755) != 0 && errno != EEXIST)
        return error_set(err, ERROR_IO, "mkdir %s: %s", work_dir, strerror(errno));
    return dir_lock_take(&c->lock, work_dir, &names, err);
}

static struct bytes copy(struct bytes from)
{
    return (struct bytes){mem_dup(from.data, from.size), from.size};
}

static int load(struct checkpoint *c, struct error *err)
{
    struct lmdb_txn t;
    struct bytes key, value;

    lmdb_begin_read(&t, c->env);
    for (bool more = lmdb_first(&t, RECORDS, &key);
         more && lmdb_here(&t, RECORDS, &value);
         more = lmdb_next(&t, RECORDS, &key)) {
        MEM_GROW(c->records, c->record_capacity, c->record_count + 1);
        c->records[c->record_count++] = (struct agent_record){copy(key), copy(value)};
    }
    return lmdb_commit(&t, err);
}

static void unload(struct checkpoint *c)
{
    for (size_t i = 0; i < c->record_count; i++) {
        mem_free((void *)(uintptr_t)c->records[i].key.data);
        mem_free((void *)(uintptr_t)c->records[i].value.data);
    }
    mem_free(c->records);
    c->records = NULL;
    c->record_count = 0;
    c->record_capacity = 0;
}

static int open_env(struct checkpoint *c, const char *work_dir, struct error *err)
{
    char path[PATH_MAX];
    struct stat st;

    snprintf(path, sizeof(path), "%s/checkpoint", work_dir);
    if (stat(path, &st) != 0 && lmdb_create(path, &schema, err) != 0)
        return -ERROR_IO;
    return lmdb_open(&c->env, path, &schema, MAP_BYTES, err);
}

/* ---- the thread ---- */

static void write_record(struct lmdb_txn *t, struct bytes key, struct bytes value)
{
    struct bytes found;

    if (value.size > 0)
        lmdb_put(t, RECORDS, key, value);
    else if (lmdb_seek(t, RECORDS, key, &found) && found.size == key.size &&
             memcmp(found.data, key.data, key.size) == 0)
        lmdb_remove_here(t, RECORDS);
}

static void write_batch(struct lmdb_txn *t, const struct batch *b)
{
    const uint8_t *at = b->bytes.data, *end = at + b->bytes.size;

    while (at < end) {
        struct bytes key = {at + 8, load_u32(at)};
        struct bytes value = {key.data + key.size, load_u32(at + 4)};

        write_record(t, key, value);
        at = value.data + value.size;
    }
}

static void write_all(struct checkpoint *c, struct batch_list *batches)
{
    struct lmdb_txn t;
    struct batch *b;
    struct error err;
    uint64_t last = 0;

    lmdb_begin_write(&t, c->env);
    while ((b = STAILQ_FIRST(batches)) != NULL) {
        STAILQ_REMOVE_HEAD(batches, link);
        write_batch(&t, b);
        last = b->sequence;
        buffer_finish(&b->bytes);
        mem_free(b);
    }
    if (lmdb_commit(&t, &err) != 0) {
        error_wrap(&err, "the agent's checkpoint cannot be written, its tasks go on");
        store_fatal(&c->hooks, &err);
        return;
    }
    atomic_store(&c->durable, last);
    c->hooks.notify(c->hooks.arg);
}

static void *run(void *arg)
{
    struct checkpoint *c = arg;
    struct batch_list batches = STAILQ_HEAD_INITIALIZER(batches);
    bool stopping;

    do {
        pthread_mutex_lock(&c->mutex);
        while (STAILQ_EMPTY(&c->queue) && !c->stopping)
            pthread_cond_wait(&c->wake, &c->mutex);
        STAILQ_CONCAT(&batches, &c->queue);
        stopping = c->stopping;
        pthread_mutex_unlock(&c->mutex);
        if (!STAILQ_EMPTY(&batches))
            write_all(c, &batches);
    } while (!stopping);
    return NULL;
}

/* ---- the loop's side ---- */

int checkpoint_open(struct checkpoint **out,
                    const char *work_dir,
                    const struct store_hooks *hooks,
                    struct error *err)
{
    struct checkpoint *c = mem_zalloc(sizeof(*c));
    int rv;

    c->lock = -1;
    c->hooks = *hooks;
    STAILQ_INIT(&c->queue);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->wake, NULL);
    rv = take_lock(c, work_dir, err);
    if (rv == 0)
        rv = open_env(c, work_dir, err);
    if (rv == 0)
        rv = load(c, err);
    if (rv != 0) {
        checkpoint_close(c);
        return rv;
    }
    store_thread_start(&c->thread, "checkpoint", run, c);
    c->running = true;
    *out = c;
    return 0;
}

void checkpoint_close(struct checkpoint *c)
{
    if (c == NULL)
        return;
    if (c->running) {
        pthread_mutex_lock(&c->mutex);
        c->stopping = true;
        pthread_cond_signal(&c->wake);
        pthread_mutex_unlock(&c->mutex);
        pthread_join(c->thread, NULL);
    }
    lmdb_close(c->env);
    dir_lock_release(c->lock);
    unload(c);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->mutex);
    mem_free(c);
}

const struct agent_record *checkpoint_records(const struct checkpoint *c, size_t *count)
{
    *count = c->record_count;
    return c->records;
}

void checkpoint_write(struct checkpoint *c,
                      uint64_t sequence,
                      const struct agent_record *records,
                      size_t count)
{
    struct batch *b = mem_zalloc(sizeof(*b));

    unload(c);
    b->sequence = sequence;
    for (size_t i = 0; i < count; i++) {
        struct bytes key = records[i].key, value = records[i].value;

        buffer_append_u32(&b->bytes, (uint32_t)key.size);
        buffer_append_u32(&b->bytes, (uint32_t)value.size);
        buffer_append(&b->bytes, key.data, key.size);
        buffer_append(&b->bytes, value.data, value.size);
    }
    pthread_mutex_lock(&c->mutex);
    STAILQ_INSERT_TAIL(&c->queue, b, link);
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->mutex);
}

uint64_t checkpoint_durable(const struct checkpoint *c)
{
    return atomic_load(&c->durable);
}
