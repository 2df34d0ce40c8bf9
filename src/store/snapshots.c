/* snapshots.c - keeps the current snapshot and writes the next one, on a thread of its
 * own.
 *
 * Chunks gather in an open write transaction; it is committed when it has become large,
 * and whenever something is reported that rests on it.
 */
#include "store/snapshots.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"
#include "store/data_dir.h"

#include <bsd/sys/queue.h>
#include <inttypes.h>
#include <stdatomic.h>

/* More in one sync would be felt by the commits of the log on the same disk. */
#define COMMIT_BYTES (4 * MIB)

enum command_kind { BEGIN, APPEND, SEAL, PROMOTE, DISCARD, READ };

struct command {
    STAILQ_ENTRY(command) link;
    enum command_kind kind;
    uint64_t id;
    struct snapshot_meta meta; /* BEGIN */
    uint32_t number;           /* APPEND, READ */
    struct blob *chunk;        /* APPEND */
    bool has_crc;              /* SEAL */
    uint32_t crc;              /* SEAL */
    bool reset;                /* PROMOTE */
    uint64_t ticket;           /* READ */
};

STAILQ_HEAD(command_list, command);

struct draft {
    LIST_ENTRY(draft) link;
    struct snapshot_info info; /* chunks, size and crc are of what came so far */
    uint64_t size_expected;    /* 0: any */
    bool sealed;
};

struct event {
    STAILQ_ENTRY(event) link;
    struct snapshot_event event;
};

STAILQ_HEAD(event_list, event);

struct pin {
    LIST_ENTRY(pin) link;
    uint64_t id;
    unsigned count;
};

struct snapshots {
    struct lmdb *env;
    struct store_hooks hooks;
    pthread_t thread;
    bool started;
    uint64_t next_id; /* loop */
    atomic_size_t backlog;

    /* Of the thread. */
    LIST_HEAD(, draft) drafts;
    struct lmdb_txn txn; /* open when writing */
    bool writing;
    size_t uncommitted_bytes;
    struct event_list uncommitted; /* told when the transaction has committed */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool stop;
    bool sweep; /* there may be chunks that nobody needs */
    struct command_list commands;
    struct event_list events;
    struct snapshot_info current;
    LIST_HEAD(, pin) pins;
};

/* ---- the write transaction ---- */

static struct lmdb_txn *writing(struct snapshots *s)
{
    if (!s->writing) {
        lmdb_begin_write(&s->txn, s->env);
        s->writing = true;
    }
    return &s->txn;
}

/* Ids whose chunks must stay; the caller frees the array. */
static uint64_t *kept_ids(struct snapshots *s, size_t *count)
{
    uint64_t *ids = NULL;
    size_t capacity = 0;
    struct draft *d;
    struct pin *p;

    *count = 0;
    LIST_FOREACH (d, &s->drafts, link) {
        MEM_GROW(ids, capacity, *count + 1);
        ids[(*count)++] = d->info.id;
    }
    pthread_mutex_lock(&s->lock);
    MEM_GROW(ids, capacity, *count + 1);
    ids[(*count)++] = s->current.id;
    LIST_FOREACH (p, &s->pins, link) {
        MEM_GROW(ids, capacity, *count + 1);
        ids[(*count)++] = p->id;
    }
    s->sweep = false; /* whoever makes chunks useless from here on sets it again */
    pthread_mutex_unlock(&s->lock);
    return ids;
}

/* A slice of useless chunks rides on each commit. */
static void sweep(struct snapshots *s)
{
    size_t count;
    uint64_t *ids = kept_ids(s, &count);
    bool more = snapshot_sweep(writing(s), ids, count);

    mem_free(ids);
    if (!more)
        return;
    pthread_mutex_lock(&s->lock);
    s->sweep = true;
    pthread_mutex_unlock(&s->lock);
}

static int commit(struct snapshots *s, struct error *err)
{
    int rv;

    if (!s->writing)
        return 0;
    sweep(s);
    s->writing = false;
    s->uncommitted_bytes = 0;
    rv = lmdb_commit(&s->txn, err);
    if (rv != 0)
        return rv;
    pthread_mutex_lock(&s->lock);
    STAILQ_CONCAT(&s->events, &s->uncommitted);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static struct snapshot_event *
add_event(struct snapshots *s, enum snapshot_event_kind kind, uint64_t id)
{
    struct event *e = mem_zalloc(sizeof(*e));

    e->event.kind = kind;
    e->event.id = id;
    STAILQ_INSERT_TAIL(&s->uncommitted, e, link);
    return &e->event;
}

/* ---- drafts ---- */

static struct draft *find_draft(struct snapshots *s, uint64_t id)
{
    struct draft *d;

    LIST_FOREACH (d, &s->drafts, link) {
        if (d->info.id == id)
            return d;
    }
    return NULL;
}

static void want_sweep(struct snapshots *s)
{
    pthread_mutex_lock(&s->lock);
    s->sweep = true;
    pthread_mutex_unlock(&s->lock);
}

static void end_draft(struct snapshots *s, struct draft *d)
{
    LIST_REMOVE(d, link);
    snapshot_info_finish(&d->info);
    mem_free(d);
    want_sweep(s);
}

static void fail_draft(
    struct snapshots *s, struct draft *d, const char *why, uint64_t a, uint64_t b)
{
    struct snapshot_event *e = add_event(s, SNAPSHOT_FAILED, d->info.id);

    error_set(&e->error,
              ERROR_INVALID,
              "the snapshot at %" PRIu64 " is refused: %s (%" PRIu64 ", %" PRIu64 ")",
              d->info.meta.index,
              why,
              a,
              b);
    end_draft(s, d);
}

static void begin_draft(struct snapshots *s, const struct command *c)
{
    struct draft *d = mem_zalloc(sizeof(*d));

    d->info.id = c->id;
    snapshot_meta_copy(&d->info.meta, &c->meta);
    d->size_expected = c->meta.size;
    d->info.meta.size = 0;
    LIST_INSERT_HEAD(&s->drafts, d, link);
}

static void append_chunk(struct snapshots *s, struct draft *d, const struct command *c)
{
    struct snapshot_info *i = &d->info;
    struct bytes bytes = blob_view(c->chunk);

    if (c->number < i->chunks)
        return; /* repeated */
    if (c->number > i->chunks || d->sealed) {
        fail_draft(
            s, d, "a chunk out of order: number, expected", c->number, i->chunks);
    } else if (bytes.size == 0 || bytes.size > LIMIT_SNAPSHOT_CHUNK_BYTES) {
        fail_draft(
            s, d, "size of a chunk, limit", bytes.size, LIMIT_SNAPSHOT_CHUNK_BYTES);
    } else if (d->size_expected != 0 && i->meta.size + bytes.size > d->size_expected) {
        fail_draft(
            s, d, "size, announced", i->meta.size + bytes.size, d->size_expected);
    } else {
        snapshot_put_chunk(writing(s), i->id, c->number, bytes);
        i->chunks++;
        i->meta.size += bytes.size;
        i->crc = crc32c(i->crc, bytes.data, bytes.size);
        s->uncommitted_bytes += bytes.size;
    }
}

static void seal_draft(struct snapshots *s, struct draft *d, const struct command *c)
{
    if (d->size_expected != 0 && d->info.meta.size != d->size_expected) {
        fail_draft(s, d, "size, announced", d->info.meta.size, d->size_expected);
    } else if (c->has_crc && d->info.crc != c->crc) {
        fail_draft(s, d, "CRC32C, announced", d->info.crc, c->crc);
    } else {
        d->sealed = true;
        snapshot_info_copy(&add_event(s, SNAPSHOT_SEALED, d->info.id)->info, &d->info);
    }
}

static int
promote_draft(struct snapshots *s, struct draft *d, bool reset, struct error *err)
{
    uint64_t index = d->info.meta.index;
    int rv;

    ASSERT(d->sealed);
    if (index < s->current.meta.index) { /* only this thread changes it */
        fail_draft(s,
                   d,
                   "the current one is newer: index, current",
                   index,
                   s->current.meta.index);
        return 0;
    }
    d->info.reset = reset;
    snapshot_put_current(writing(s), &d->info);
    snapshot_info_copy(&add_event(s, SNAPSHOT_CURRENT, d->info.id)->info, &d->info);
    /* The old one is still kept by the sweep of this commit; the next one may take it.
     */
    rv = commit(s, err);
    if (rv != 0)
        return rv;
    pthread_mutex_lock(&s->lock);
    snapshot_info_copy(&s->current, &d->info);
    pthread_mutex_unlock(&s->lock);
    end_draft(s, d);
    return 0;
}

static int read_chunk(struct snapshots *s, const struct command *c, struct error *err)
{
    struct event *e = mem_zalloc(sizeof(*e));
    struct lmdb_txn t;
    struct bytes bytes;
    int rv;

    e->event = (struct snapshot_event){
        .kind = SNAPSHOT_CHUNK, .id = c->id, .number = c->number, .ticket = c->ticket};
    lmdb_begin_read(&t, s->env);
    if (snapshot_get_chunk(&t, c->id, c->number, &bytes))
        e->event.chunk = blob_copy(bytes);
    rv = lmdb_commit(&t, err);
    if (rv != 0) {
        mem_free(e);
        return rv;
    }
    pthread_mutex_lock(&s->lock);
    STAILQ_INSERT_TAIL(&s->events, e, link);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* ---- the thread ---- */

static int carry_out(struct snapshots *s, const struct command *c, struct error *err)
{
    struct draft *d = find_draft(s, c->id);

    if (c->kind == BEGIN)
        begin_draft(s, c);
    if (c->kind == READ)
        return read_chunk(s, c, err);
    if (d == NULL)
        return 0; /* it has just begun, or has ended */
    switch (c->kind) {
    case APPEND:
        append_chunk(s, d, c);
        break;
    case SEAL:
        seal_draft(s, d, c);
        break;
    case PROMOTE:
        return promote_draft(s, d, c->reset, err);
    case DISCARD:
        end_draft(s, d);
        break;
    case BEGIN:
    case READ:
        break;
    }
    if (s->uncommitted_bytes >= COMMIT_BYTES || !STAILQ_EMPTY(&s->uncommitted)) {
        writing(s); /* a failed draft may have left nothing to write: the events still
                       go out */
        return commit(s, err);
    }
    return 0;
}

static void destroy_command(struct command *c)
{
    snapshot_meta_finish(&c->meta);
    blob_unref(c->chunk);
    mem_free(c);
}

static void destroy_commands(struct command_list *list)
{
    while (!STAILQ_EMPTY(list)) {
        struct command *c = STAILQ_FIRST(list);

        STAILQ_REMOVE_HEAD(list, link);
        destroy_command(c);
    }
}

static void destroy_events(struct event_list *list)
{
    while (!STAILQ_EMPTY(list)) {
        struct event *e = STAILQ_FIRST(list);

        STAILQ_REMOVE_HEAD(list, link);
        snapshot_event_finish(&e->event);
        mem_free(e);
    }
}

/* All commands, or none when there is time for a sweep; false: there will be no more
 * work. */
static bool take_work(struct snapshots *s, struct command_list *list)
{
    bool more;

    pthread_mutex_lock(&s->lock);
    while (STAILQ_EMPTY(&s->commands) && !s->sweep && !s->stop)
        pthread_cond_wait(&s->wake, &s->lock);
    STAILQ_CONCAT(list, &s->commands);
    more = !STAILQ_EMPTY(list) || !s->stop;
    pthread_mutex_unlock(&s->lock);
    return more;
}

static int work(struct snapshots *s, struct command_list *list, struct error *err)
{
    int rv = 0;

    if (STAILQ_EMPTY(list)) {
        writing(s);
        return commit(s, err);
    }
    while (!STAILQ_EMPTY(list) && rv == 0) {
        struct command *c = STAILQ_FIRST(list);

        STAILQ_REMOVE_HEAD(list, link);
        rv = carry_out(s, c, err);
        if (c->kind == APPEND)
            atomic_fetch_sub(&s->backlog, blob_view(c->chunk).size);
        destroy_command(c);
    }
    return rv;
}

static void *run(void *arg)
{
    struct snapshots *s = arg;
    struct command_list list = STAILQ_HEAD_INITIALIZER(list);
    struct error err;
    int rv = 0;

    while (rv == 0 && take_work(s, &list)) {
        rv = work(s, &list, &err);
        if (rv == 0)
            s->hooks.notify(s->hooks.arg);
    }
    destroy_commands(&list);
    if (s->writing)
        lmdb_abort(&s->txn); /* of drafts that were not sealed */
    if (rv != 0)
        store_fatal(&s->hooks, &err);
    return NULL;
}

/* ---- start and end ---- */

int snapshots_open(struct snapshots **out, struct lmdb *env, struct error *err)
{
    struct snapshots *s = mem_zalloc(sizeof(*s));
    struct lmdb_txn t;
    int rv;

    s->env = env;
    s->sweep = true; /* what a crash cut off */
    LIST_INIT(&s->drafts);
    LIST_INIT(&s->pins);
    STAILQ_INIT(&s->uncommitted);
    STAILQ_INIT(&s->commands);
    STAILQ_INIT(&s->events);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    lmdb_begin_read(&t, env);
    snapshot_get_current(&t, &s->current);
    s->next_id = snapshot_last_id(&t) + 1;
    if (s->next_id <= s->current.id)
        s->next_id = s->current.id + 1;
    rv = lmdb_commit(&t, err);
    if (rv != 0) {
        snapshots_close(s);
        s = NULL;
    }
    *out = s;
    return data_dir_advise(rv, err);
}

int snapshots_load(struct snapshots *s,
                   snapshots_visit *visit,
                   void *arg,
                   struct error *err)
{
    const struct snapshot_info *i = &s->current;
    struct lmdb_txn t;
    struct bytes bytes;
    uint64_t size = 0;
    uint32_t crc = 0;
    int rv = 0;

    lmdb_begin_read(&t, s->env);
    for (uint32_t n = 0; n < i->chunks && rv == 0; n++) {
        if (!snapshot_get_chunk(&t, i->id, n, &bytes))
            break;
        size += bytes.size;
        crc = crc32c(crc, bytes.data, bytes.size);
        rv = visit(arg, bytes, err);
    }
    if (rv == 0 && (size != i->meta.size || crc != i->crc))
        lmdb_fail(&t,
                  ERROR_CORRUPT,
                  "%s: snapshot %" PRIu64 " has other bytes than its header names",
                  lmdb_path(s->env),
                  i->id);
    if (rv != 0) {
        lmdb_abort(&t);
        return rv;
    }
    return data_dir_advise(lmdb_commit(&t, err), err);
}

struct snapshot_point snapshots_point(struct snapshots *s)
{
    struct snapshot_point point;

    pthread_mutex_lock(&s->lock);
    point = (struct snapshot_point){
        .index = s->current.meta.index,
        .term = s->current.meta.term,
        .reset = s->current.reset,
    };
    pthread_mutex_unlock(&s->lock);
    return point;
}

void snapshots_start(struct snapshots *s, const struct store_hooks *hooks)
{
    s->hooks = *hooks;
    s->started = true;
    store_thread_start(&s->thread, "snapshots", run, s);
}

void snapshots_close(struct snapshots *s)
{
    if (s == NULL)
        return;
    if (s->started) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    destroy_commands(&s->commands);
    destroy_events(&s->uncommitted);
    destroy_events(&s->events);
    while (!LIST_EMPTY(&s->drafts))
        end_draft(s, LIST_FIRST(&s->drafts));
    while (!LIST_EMPTY(&s->pins)) {
        struct pin *p = LIST_FIRST(&s->pins);

        LIST_REMOVE(p, link);
        mem_free(p);
    }
    snapshot_info_finish(&s->current);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

/* ---- the loop's side ---- */

static struct command *new_command(enum command_kind kind, uint64_t id)
{
    struct command *c = mem_zalloc(sizeof(*c));

    c->kind = kind;
    c->id = id;
    return c;
}

static void enqueue(struct snapshots *s, struct command *c)
{
    pthread_mutex_lock(&s->lock);
    STAILQ_INSERT_TAIL(&s->commands, c, link);
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

uint64_t snapshots_begin(struct snapshots *s, const struct snapshot_meta *meta)
{
    struct command *c = new_command(BEGIN, s->next_id++);
    uint64_t id = c->id;

    snapshot_meta_copy(&c->meta, meta);
    enqueue(s, c);
    return id;
}

void snapshots_append(struct snapshots *s,
                      uint64_t id,
                      uint32_t number,
                      struct blob *chunk)
{
    struct command *c = new_command(APPEND, id);

    c->number = number;
    c->chunk = chunk;
    atomic_fetch_add(&s->backlog, blob_view(chunk).size);
    enqueue(s, c);
}

void snapshots_seal(struct snapshots *s, uint64_t id, const uint32_t *crc)
{
    struct command *c = new_command(SEAL, id);

    c->has_crc = crc != NULL;
    c->crc = crc != NULL ? *crc : 0;
    enqueue(s, c);
}

void snapshots_promote(struct snapshots *s, uint64_t id, bool reset)
{
    struct command *c = new_command(PROMOTE, id);

    c->reset = reset;
    enqueue(s, c);
}

void snapshots_discard(struct snapshots *s, uint64_t id)
{
    enqueue(s, new_command(DISCARD, id));
}

size_t snapshots_backlog(const struct snapshots *s)
{
    return atomic_load(&s->backlog);
}

static struct pin *find_pin(struct snapshots *s, uint64_t id)
{
    struct pin *p;

    LIST_FOREACH (p, &s->pins, link) {
        if (p->id == id)
            return p;
    }
    return NULL;
}

bool snapshots_pin(struct snapshots *s, struct snapshot_info *info)
{
    struct pin *p;

    *info = (struct snapshot_info){0};
    pthread_mutex_lock(&s->lock);
    if (s->current.id != 0) {
        snapshot_info_copy(info, &s->current);
        p = find_pin(s, info->id);
        if (p == NULL) {
            p = mem_zalloc(sizeof(*p));
            p->id = info->id;
            LIST_INSERT_HEAD(&s->pins, p, link);
        }
        p->count++;
    }
    pthread_mutex_unlock(&s->lock);
    return info->id != 0;
}

void snapshots_release(struct snapshots *s, uint64_t id)
{
    struct pin *p;

    pthread_mutex_lock(&s->lock);
    p = find_pin(s, id);
    ASSERT(p != NULL);
    if (--p->count == 0) {
        LIST_REMOVE(p, link);
        mem_free(p);
        s->sweep = true;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
}

void snapshots_read(struct snapshots *s, uint64_t id, uint32_t number, uint64_t ticket)
{
    struct command *c = new_command(READ, id);

    c->number = number;
    c->ticket = ticket;
    enqueue(s, c);
}

bool snapshots_next(struct snapshots *s, struct snapshot_event *out)
{
    struct event *e;

    pthread_mutex_lock(&s->lock);
    e = STAILQ_FIRST(&s->events);
    if (e != NULL)
        STAILQ_REMOVE_HEAD(&s->events, link);
    pthread_mutex_unlock(&s->lock);
    if (e == NULL)
        return false;
    *out = e->event;
    mem_free(e);
    return true;
}

void snapshot_event_finish(struct snapshot_event *e)
{
    snapshot_info_finish(&e->info);
    blob_unref(e->chunk);
    e->chunk = NULL;
}
