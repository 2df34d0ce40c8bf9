/* snapshots_thread.c - drafts, commits and sweeps, on the thread of the snapshots. */
#include "store/snapshots_thread.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"

#include <inttypes.h>

/* More in one sync would be felt by the commits of the log on the same disk. */
#define COMMIT_BYTES (4 * MIB)

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
    struct snapshot_draft *d;
    struct snapshot_pin *p;

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

/* Then tell what rests on it.  `promoted` became the current one with it, or NULL: whoever hears
 * of that must find it. */
static int
commit(struct snapshots *s, const struct snapshot_info *promoted, struct error *err)
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
    if (promoted != NULL)
        snapshot_info_copy(&s->current, promoted);
    STAILQ_CONCAT(&s->events, &s->uncommitted);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static struct snapshot_event *
add_event(struct snapshots *s, enum snapshot_event_kind kind, uint64_t id)
{
    struct snapshot_event_link *e = mem_zalloc(sizeof(*e));

    e->event.kind = kind;
    e->event.id = id;
    STAILQ_INSERT_TAIL(&s->uncommitted, e, link);
    return &e->event;
}

/* ---- drafts ---- */

static struct snapshot_draft *find_draft(struct snapshots *s, uint64_t id)
{
    struct snapshot_draft *d;

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

static void end_draft(struct snapshots *s, struct snapshot_draft *d)
{
    LIST_REMOVE(d, link);
    snapshot_info_finish(&d->info);
    mem_free(d);
    want_sweep(s);
}

static void fail_draft(struct snapshots *s,
                       struct snapshot_draft *d,
                       enum error_code code,
                       const char *why,
                       uint64_t a,
                       uint64_t b)
{
    struct snapshot_event *e = add_event(s, SNAPSHOT_FAILED, d->info.id);

    error_set(&e->error,
              code,
              "the snapshot at %" PRIu64 " is refused: %s (%" PRIu64 ", %" PRIu64 ")",
              d->info.meta.index,
              why,
              a,
              b);
    end_draft(s, d);
}

static void begin_draft(struct snapshots *s, const struct snapshot_command *c)
{
    struct snapshot_draft *d = mem_zalloc(sizeof(*d));

    d->info.id = c->id;
    snapshot_meta_copy(&d->info.meta, &c->meta);
    d->size_expected = c->meta.size;
    d->info.meta.size = 0;
    LIST_INSERT_HEAD(&s->drafts, d, link);
}

static void append_chunk(struct snapshots *s,
                         struct snapshot_draft *d,
                         const struct snapshot_command *c)
{
    struct snapshot_info *i = &d->info;
    struct bytes bytes = blob_view(c->chunk);

    if (c->number < i->chunks)
        return; /* repeated */
    if (c->number > i->chunks || d->sealed) {
        fail_draft(s,
                   d,
                   ERROR_INVALID,
                   "a chunk out of order: number, expected",
                   c->number,
                   i->chunks);
    } else if (bytes.size == 0 || bytes.size > LIMIT_SNAPSHOT_CHUNK_BYTES) {
        fail_draft(s,
                   d,
                   ERROR_INVALID,
                   "size of a chunk, limit",
                   bytes.size,
                   LIMIT_SNAPSHOT_CHUNK_BYTES);
    } else if (d->size_expected != 0 && i->meta.size + bytes.size > d->size_expected) {
        fail_draft(s,
                   d,
                   ERROR_INVALID,
                   "size, announced",
                   i->meta.size + bytes.size,
                   d->size_expected);
    } else {
        snapshot_put_chunk(writing(s), i->id, c->number, bytes);
        i->chunks++;
        i->meta.size += bytes.size;
        i->crc = crc32c(i->crc, bytes.data, bytes.size);
        s->uncommitted_bytes += bytes.size;
    }
}

static void seal_draft(struct snapshots *s,
                       struct snapshot_draft *d,
                       const struct snapshot_command *c)
{
    if (d->size_expected != 0 && d->info.meta.size != d->size_expected) {
        fail_draft(s,
                   d,
                   ERROR_INVALID,
                   "size, announced",
                   d->info.meta.size,
                   d->size_expected);
    } else if (c->has_crc && d->info.crc != c->crc) {
        fail_draft(s, d, ERROR_INVALID, "CRC32C, announced", d->info.crc, c->crc);
    } else {
        d->sealed = true;
        snapshot_info_copy(&add_event(s, SNAPSHOT_SEALED, d->info.id)->info, &d->info);
    }
}

static int promote_draft(struct snapshots *s,
                         struct snapshot_draft *d,
                         bool reset,
                         struct error *err)
{
    uint64_t index = d->info.meta.index;
    int rv;

    ASSERT(d->sealed);
    if (index < s->current.meta.index) { /* only this thread changes it */
        fail_draft(s,
                   d,
                   ERROR_CONFLICT,
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
    rv = commit(s, &d->info, err);
    if (rv == 0)
        end_draft(s, d);
    return rv;
}

static int
read_chunk(struct snapshots *s, const struct snapshot_command *c, struct error *err)
{
    struct snapshot_event_link *e = mem_zalloc(sizeof(*e));
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

static void release(struct snapshots *s, uint64_t id)
{
    struct snapshot_pin *p;

    pthread_mutex_lock(&s->lock);
    p = snapshots_find_pin(s, id);
    ASSERT(p != NULL);
    if (--p->count == 0) {
        LIST_REMOVE(p, link);
        mem_free(p);
        s->sweep = true;
    }
    pthread_mutex_unlock(&s->lock);
}

void snapshots_drop_drafts(struct snapshots *s)
{
    while (!LIST_EMPTY(&s->drafts))
        end_draft(s, LIST_FIRST(&s->drafts));
}

/* ---- the thread ---- */

static int
carry_out(struct snapshots *s, const struct snapshot_command *c, struct error *err)
{
    struct snapshot_draft *d = find_draft(s, c->id);

    if (c->kind == COMMAND_BEGIN)
        begin_draft(s, c);
    if (c->kind == COMMAND_READ)
        return read_chunk(s, c, err);
    if (c->kind == COMMAND_RELEASE)
        release(s, c->id);
    if (d == NULL)
        return 0; /* it has just begun, or has ended */
    switch (c->kind) {
    case COMMAND_APPEND:
        append_chunk(s, d, c);
        break;
    case COMMAND_SEAL:
        seal_draft(s, d, c);
        break;
    case COMMAND_PROMOTE:
        return promote_draft(s, d, c->reset, err);
    case COMMAND_DISCARD:
        end_draft(s, d);
        break;
    case COMMAND_BEGIN:
    case COMMAND_READ:
    case COMMAND_RELEASE:
        break;
    }
    if (s->uncommitted_bytes >= COMMIT_BYTES || !STAILQ_EMPTY(&s->uncommitted)) {
        writing(s); /* a failed draft may have left nothing to write: the events still
                       go out */
        return commit(s, NULL, err);
    }
    return 0;
}

static void destroy_command(struct snapshot_command *c)
{
    snapshot_meta_finish(&c->meta);
    blob_unref(c->chunk);
    mem_free(c);
}

void snapshot_commands_destroy(struct snapshot_command_list *list)
{
    while (!STAILQ_EMPTY(list)) {
        struct snapshot_command *c = STAILQ_FIRST(list);

        STAILQ_REMOVE_HEAD(list, link);
        destroy_command(c);
    }
}

void snapshot_events_destroy(struct snapshot_event_list *list)
{
    while (!STAILQ_EMPTY(list)) {
        struct snapshot_event_link *e = STAILQ_FIRST(list);

        STAILQ_REMOVE_HEAD(list, link);
        snapshot_event_finish(&e->event);
        mem_free(e);
    }
}

/* All commands, or none when there is time for a sweep; false: there will be no more
 * work. */
static bool take_work(struct snapshots *s, struct snapshot_command_list *list)
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

static int
work(struct snapshots *s, struct snapshot_command_list *list, struct error *err)
{
    int rv = 0;

    if (STAILQ_EMPTY(list)) {
        writing(s);
        return commit(s, NULL, err);
    }
    while (!STAILQ_EMPTY(list) && rv == 0) {
        struct snapshot_command *c = STAILQ_FIRST(list);

        STAILQ_REMOVE_HEAD(list, link);
        rv = carry_out(s, c, err);
        if (c->kind == COMMAND_APPEND)
            atomic_fetch_sub(&s->backlog, blob_view(c->chunk).size);
        destroy_command(c);
    }
    return rv;
}

void *snapshots_run(void *arg)
{
    struct snapshots *s = arg;
    struct snapshot_command_list list = STAILQ_HEAD_INITIALIZER(list);
    struct error err;
    int rv = 0;

    store_leave_sockets();
    while (rv == 0 && take_work(s, &list)) {
        rv = work(s, &list, &err);
        if (rv == 0)
            s->hooks.notify(s->hooks.arg);
    }
    snapshot_commands_destroy(&list);
    if (s->writing)
        lmdb_abort(&s->txn); /* of drafts that were not sealed */
    if (rv != 0)
        store_fatal(&s->hooks, &err);
    return NULL;
}
