/* snapshots.c - the loop's side of the snapshots: start and end, commands and events. */
#include "store/snapshots_thread.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "store/data_dir.h"

#include <inttypes.h>

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
    store_thread_start(&s->thread, "snapshots", snapshots_run, s);
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
    snapshot_commands_destroy(&s->commands);
    snapshot_events_destroy(&s->uncommitted);
    snapshot_events_destroy(&s->events);
    snapshots_drop_drafts(s);
    while (!LIST_EMPTY(&s->pins)) {
        struct snapshot_pin *p = LIST_FIRST(&s->pins);

        LIST_REMOVE(p, link);
        mem_free(p);
    }
    snapshot_info_finish(&s->current);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

/* ---- the loop's side ---- */

static struct snapshot_command *new_command(enum snapshot_command_kind kind,
                                            uint64_t id)
{
    struct snapshot_command *c = mem_zalloc(sizeof(*c));

    c->kind = kind;
    c->id = id;
    return c;
}

static void enqueue(struct snapshots *s, struct snapshot_command *c)
{
    pthread_mutex_lock(&s->lock);
    STAILQ_INSERT_TAIL(&s->commands, c, link);
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

uint64_t snapshots_begin(struct snapshots *s, const struct snapshot_meta *meta)
{
    struct snapshot_command *c = new_command(COMMAND_BEGIN, s->next_id++);
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
    struct snapshot_command *c = new_command(COMMAND_APPEND, id);

    c->number = number;
    c->chunk = chunk;
    atomic_fetch_add(&s->backlog, blob_view(chunk).size);
    enqueue(s, c);
}

void snapshots_seal(struct snapshots *s, uint64_t id, const uint32_t *crc)
{
    struct snapshot_command *c = new_command(COMMAND_SEAL, id);

    c->has_crc = crc != NULL;
    c->crc = crc != NULL ? *crc : 0;
    enqueue(s, c);
}

void snapshots_promote(struct snapshots *s, uint64_t id, bool reset)
{
    struct snapshot_command *c = new_command(COMMAND_PROMOTE, id);

    c->reset = reset;
    enqueue(s, c);
}

void snapshots_discard(struct snapshots *s, uint64_t id)
{
    enqueue(s, new_command(COMMAND_DISCARD, id));
}

size_t snapshots_backlog(const struct snapshots *s)
{
    return atomic_load(&s->backlog);
}

struct snapshot_pin *snapshots_find_pin(struct snapshots *s, uint64_t id)
{
    struct snapshot_pin *p;

    LIST_FOREACH (p, &s->pins, link) {
        if (p->id == id)
            return p;
    }
    return NULL;
}

bool snapshots_pin(struct snapshots *s, struct snapshot_info *info)
{
    struct snapshot_pin *p;

    *info = (struct snapshot_info){0};
    pthread_mutex_lock(&s->lock);
    if (s->current.id != 0) {
        snapshot_info_copy(info, &s->current);
        p = snapshots_find_pin(s, info->id);
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
    enqueue(s, new_command(COMMAND_RELEASE, id));
}

void snapshots_read(struct snapshots *s, uint64_t id, uint32_t number, uint64_t ticket)
{
    struct snapshot_command *c = new_command(COMMAND_READ, id);

    c->number = number;
    c->ticket = ticket;
    enqueue(s, c);
}

bool snapshots_next(struct snapshots *s, struct snapshot_event *out)
{
    struct snapshot_event_link *e;

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
