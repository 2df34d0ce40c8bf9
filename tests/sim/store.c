/* store.c - a simulated disk for one master. */
#include "store.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

void sim_snapshot_finish(struct sim_snapshot *s)
{
    snapshot_meta_finish(&s->meta);
    buffer_finish(&s->bytes);
}

void sim_snapshot_copy(struct sim_snapshot *to, const struct sim_snapshot *from)
{
    snapshot_meta_copy(&to->meta, &from->meta);
    buffer_clear(&to->bytes);
    buffer_append(&to->bytes, from->bytes.data, from->bytes.size);
}

static void move(struct sim_snapshot *to, struct sim_snapshot *from)
{
    sim_snapshot_finish(to);
    *to = *from;
    *from = (struct sim_snapshot){0};
}

void sim_store_init(struct sim_store *s,
                    struct world *w,
                    struct sim_store_calls calls,
                    void *user)
{
    memset(s, 0, sizeof(*s));
    s->world = w;
    s->calls = calls;
    s->user = user;
    s->first = 1;
    s->latency_us = pick(w, 200, 4000);
    STAILQ_INIT(&s->queue);
    STAILQ_INIT(&s->flying);
}

static void drop_ops(struct log_op_list *list)
{
    while (!STAILQ_EMPTY(list)) {
        struct log_op *op = STAILQ_FIRST(list);

        STAILQ_REMOVE_HEAD(list, link);
        log_op_destroy(op);
    }
}

static void truncate(struct sim_store *s, uint64_t from)
{
    while (s->count > 0 && s->first + s->count - 1 >= from)
        blob_unref(s->entries[--s->count].payload);
}

static void trim(struct sim_store *s, uint64_t to)
{
    size_t n = to >= s->first ? (size_t)(to - s->first + 1) : 0;

    if (n > s->count)
        n = s->count;
    for (size_t i = 0; i < n; i++)
        blob_unref(s->entries[i].payload);
    if (n > 0)
        memmove(s->entries, s->entries + n, (s->count - n) * sizeof(*s->entries));
    s->count -= n;
    s->first += n;
}

void sim_store_finish(struct sim_store *s)
{
    drop_ops(&s->queue);
    drop_ops(&s->flying);
    truncate(s, 0);
    mem_free(s->entries);
    sim_snapshot_finish(&s->current);
    sim_snapshot_finish(&s->writing);
    sim_snapshot_finish(&s->staged);
    sim_snapshot_finish(&s->promoting);
}

static void push(struct sim_store *s, const struct log_entry *entry)
{
    struct log_entry copy = *entry;

    blob_ref(copy.payload);
    MEM_GROW(s->entries, s->capacity, s->count + 1);
    s->entries[s->count++] = copy;
}

void sim_store_found(struct sim_store *s, struct blob *configuration)
{
    push(s,
         &(struct log_entry){
             .term = 1, .kind = ENTRY_CONFIGURATION, .payload = configuration});
    s->term = 1;
}

uint64_t sim_store_last(const struct sim_store *s)
{
    return s->first + s->count - 1;
}

uint64_t sim_store_holds(const struct sim_store *s, uint64_t index)
{
    if (index <= s->current.meta.index)
        return UINT64_MAX;
    if (index < s->first || index > sim_store_last(s))
        return 0;
    return s->entries[index - s->first].term;
}

static void apply(struct sim_store *s, const struct log_op *op)
{
    switch (op->kind) {
    case LOG_META:
        if (op->meta.term < s->term)
            world_fail(s->world, "disk: term goes back");
        s->term = op->meta.term;
        s->vote = op->meta.vote;
        break;
    case LOG_APPEND:
        if (op->append.first > sim_store_last(s) + 1 || op->append.first < s->first) {
            world_fail(s->world,
                       "disk: append at %llu leaves a hole, log is %llu to %llu",
                       (unsigned long long)op->append.first,
                       (unsigned long long)s->first,
                       (unsigned long long)sim_store_last(s));
            return;
        }
        truncate(s, op->append.first);
        for (uint32_t i = 0; i < op->append.count; i++)
            push(s, &op->append.entries[i]);
        break;
    case LOG_TRIM:
        if (op->trim_to > s->current.meta.index)
            world_fail(s->world, "disk: trim beyond the snapshot");
        trim(s, op->trim_to);
        break;
    case LOG_RESET:
        truncate(s, 0);
        s->first = op->reset_to + 1;
        break;
    }
}

static void commit_done(struct world *w, void *context, uint64_t a, uint64_t b);

static void start_commit(struct sim_store *s)
{
    uint64_t delay = s->latency_us + pick(s->world, 0, s->latency_us / 2);

    if (s->flying_any || STAILQ_EMPTY(&s->queue))
        return;
    STAILQ_CONCAT(&s->flying, &s->queue);
    s->flying_any = true;
    world_in(s->world, delay, commit_done, s, s->incarnation, 0);
}

static void commit_done(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_store *s = context;
    struct log_op *op;
    uint64_t sequence = 0;

    if (a != s->incarnation)
        return;
    if (s->paused_until_us > w->now_us) {
        world_at(w, s->paused_until_us, commit_done, context, a, b);
        return;
    }
    STAILQ_FOREACH (op, &s->flying, link) {
        apply(s, op);
        sequence = op->sequence;
    }
    drop_ops(&s->flying);
    s->flying_any = false;
    s->commits++;
    start_commit(s);
    s->calls.durable(s->user, sequence);
}

void sim_store_submit(struct sim_store *s, struct log_op *op)
{
    STAILQ_INSERT_TAIL(&s->queue, op, link);
    start_commit(s);
}

/* ---- reads ---- */

struct read_request {
    struct sim_store *store;
    uint64_t peer, from;
    uint32_t count;
    size_t bytes;
};

static void read_done(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct read_request *q = context;
    struct sim_store *s = q->store;
    struct log_entries e = {.first = q->from};
    size_t bytes = 0;

    if (a == s->incarnation && s->paused_until_us > w->now_us) {
        world_at(w, s->paused_until_us, read_done, context, a, b);
        return;
    }
    if (a == s->incarnation) {
        e.entries = mem_zalloc(q->count * sizeof(*e.entries));
        while (e.count < q->count && q->from + e.count >= s->first &&
               q->from + e.count <= sim_store_last(s)) {
            e.entries[e.count] = s->entries[q->from + e.count - s->first];
            bytes += blob_view(e.entries[e.count].payload).size;
            if (e.count > 0 && bytes > q->bytes)
                break;
            blob_ref(e.entries[e.count].payload);
            e.count++;
        }
        s->calls.read(s->user, q->peer, &e);
    }
    mem_free(q);
}

void sim_store_read(
    struct sim_store *s, uint64_t peer, uint64_t from, uint32_t count, size_t bytes)
{
    struct read_request *q = mem_zalloc(sizeof(*q));

    *q = (struct read_request){s, peer, from, count, bytes};
    world_in(
        s->world, pick(s->world, 50, s->latency_us), read_done, q, s->incarnation, 0);
}

/* ---- snapshots: one thread, one thing after another ---- */

enum snap_work { SNAP_CHUNK, SNAP_COMMIT, SNAP_PROMOTE, SNAP_LOAD };

static void snap_done(struct world *w, void *context, uint64_t a, uint64_t b);

static void snap_later(struct sim_store *s, enum snap_work work, uint64_t extra)
{
    uint64_t at =
        s->world->now_us > s->snap_ready_us ? s->world->now_us : s->snap_ready_us;

    s->snap_ready_us = at + pick(s->world, 100, s->latency_us + 100);
    world_at(s->world,
             s->snap_ready_us,
             snap_done,
             s,
             s->incarnation,
             (uint64_t)work | extra << 8);
}

static void snap_done(struct world *w, void *context, uint64_t a, uint64_t b)
{
    struct sim_store *s = context;
    size_t piece = (size_t)(b >> 8);

    if (a != s->incarnation)
        return;
    if (s->paused_until_us > w->now_us) {
        world_at(w, s->paused_until_us, snap_done, context, a, b);
        return;
    }
    switch ((enum snap_work)(b & 0xff)) {
    case SNAP_CHUNK:
        s->calls.snapshot_written(s->user);
        break;
    case SNAP_COMMIT:
        s->writing.meta.size = s->writing.bytes.size;
        if (s->writing.meta.index > s->current.meta.index)
            move(&s->current, &s->writing);
        s->calls.snapshot_saved(s->user);
        break;
    case SNAP_PROMOTE:
        move(&s->current, &s->promoting);
        s->calls.snapshot_promoted(s->user);
        break;
    case SNAP_LOAD: {
        size_t left = s->current.bytes.size - s->loaded_to;
        size_t n = left < piece ? left : piece;
        struct bytes bytes = {s->current.bytes.data + s->loaded_to, n};

        s->loaded_to += n;
        if (s->loaded_to < s->current.bytes.size)
            snap_later(s, SNAP_LOAD, piece);
        s->calls.snapshot_loaded(s->user, bytes, s->loaded_to == s->current.bytes.size);
        break;
    }
    }
}

void sim_store_snapshot_begin(struct sim_store *s, struct snapshot_meta *meta)
{
    sim_snapshot_finish(&s->writing);
    s->writing.meta = *meta;
    *meta = (struct snapshot_meta){0};
}

void sim_store_snapshot_chunk(struct sim_store *s, struct blob *chunk)
{
    buffer_append(&s->writing.bytes, chunk->data, chunk->size);
    snap_later(s, SNAP_CHUNK, 0);
}

void sim_store_snapshot_commit(struct sim_store *s)
{
    snap_later(s, SNAP_COMMIT, 0);
}

void sim_store_snapshot_abandon(struct sim_store *s)
{
    sim_snapshot_finish(&s->writing);
}

void sim_store_stage(struct sim_store *s, const struct sim_snapshot *snapshot)
{
    sim_snapshot_copy(&s->staged, snapshot);
}

void sim_store_promote(struct sim_store *s)
{
    move(&s->promoting, &s->staged);
    snap_later(s, SNAP_PROMOTE, 0);
}

void sim_store_load(struct sim_store *s, size_t piece)
{
    s->loaded_to = 0;
    snap_later(s, SNAP_LOAD, piece);
}

/* ---- crash ---- */

void sim_store_crash(struct sim_store *s)
{
    struct log_op *op;

    if (s->flying_any && chance(s->world, 50)) {
        STAILQ_FOREACH (op, &s->flying, link)
            apply(s, op);
        s->kept_batches++;
    } else if (s->flying_any) {
        s->lost_batches++;
    }
    drop_ops(&s->flying);
    drop_ops(&s->queue);
    s->flying_any = false;
    s->incarnation++;
    s->paused_until_us = 0;
    s->snap_ready_us = 0;
    /* A promotion that was asked for may just have become durable; its log reset has not. */
    if (s->promoting.meta.index > s->current.meta.index && chance(s->world, 50))
        move(&s->current, &s->promoting);
    sim_snapshot_finish(&s->writing);
    sim_snapshot_finish(&s->staged);
    sim_snapshot_finish(&s->promoting);
}

struct log_entries sim_store_log(const struct sim_store *s)
{
    struct log_entries e = {.first = s->first, .count = (uint32_t)s->count};

    e.entries = mem_alloc(s->count * sizeof(*e.entries));
    for (size_t i = 0; i < s->count; i++) {
        e.entries[i] = s->entries[i];
        blob_ref(e.entries[i].payload);
    }
    return e;
}
