/* storage.c - the store of a master, between its threads and the loop. */
#include "master/storage.h"

#include "base/assert.h"
#include "base/entropy.h"
#include "base/log.h"
#include "base/mem.h"
#include "master/transfers.h"
#include "store/data_dir.h"
#include "store/log_reader.h"

#include <string.h>

#define LOAD_TICKET \
    UINT64_MAX /* of chunks read for our own state; transfers are counted from 1 */
#define CHUNKS_MAX 64 /* own chunks not written yet; the replica keeps to fewer */

struct storage {
    struct master *master;
    struct data_dir *dir;
    struct raft_log *log;
    struct log_writer *writer; /* NULL until founded */
    struct log_reader *reader;
    struct snapshots *snapshots;
    struct wake *wake;
    struct log_op_list ops; /* of the current step */
    uint64_t durable;       /* last told */

    /* our own snapshot */
    uint64_t draft; /* 0: none */
    uint32_t next_chunk;
    size_t sizes
        [CHUNKS_MAX]; /* of chunks that the store has not taken over, oldest first */
    unsigned size_count;

    /* loading the current one */
    struct snapshot_info loading; /* id 0: not */
    uint32_t loaded;
};

static void woken(void *user);

static void notify(void *arg)
{
    wake_signal(((struct storage *)arg)->wake);
}

static const struct store_hooks *hooks_of(struct storage *s, struct store_hooks *hooks)
{
    *hooks =
        (struct store_hooks){.notify = notify, .advise = data_dir_advise, .arg = s};
    return hooks;
}

/* ---- start ---- */

static int restore_piece(void *arg, struct bytes piece, struct error *err)
{
    return master_restore(arg, piece, err);
}

struct loading_log {
    struct log_entries entries;
    size_t capacity;
};

static int load_entry(void *arg,
                      uint64_t index,
                      uint64_t term,
                      enum entry_kind kind,
                      struct bytes payload,
                      struct error *err)
{
    struct loading_log *log = arg;
    struct log_entries *e = &log->entries;

    (void)err;
    if (e->count == 0)
        e->first = index;
    MEM_GROW(e->entries, log->capacity, (size_t)e->count + 1);
    e->entries[e->count++] =
        (struct log_entry){.term = term,
                           .kind = kind,
                           .payload = payload.size > 0 ? blob_copy(payload) : NULL};
    return 0;
}

static void start_threads(struct storage *s)
{
    struct store_hooks hooks;

    s->writer = log_writer_start(s->log, data_dir_log(s->dir), hooks_of(s, &hooks));
    s->reader = log_reader_start(data_dir_log(s->dir), hooks_of(s, &hooks));
    snapshots_start(s->snapshots, hooks_of(s, &hooks));
}

int storage_open(struct storage **out,
                 struct master *m,
                 const char *path,
                 struct error *err)
{
    struct storage *s = mem_zalloc(sizeof(*s));
    struct data_dir_options options = {.path = path, .node = m->id};

    hash128_store(options.cluster, cluster_hash(&m->cluster));
    STAILQ_INIT(&s->ops);
    s->master = m;
    if (data_dir_open(&s->dir, &options, err) != 0) {
        mem_free(s);
        return -(int)err->code;
    }
    s->wake = wake_create(m->loop, woken, s);
    *out = s;
    return 0;
}

static int open_logs(struct storage *s, struct error *err)
{
    struct snapshot_point point;
    int rv = snapshots_open(&s->snapshots, data_dir_snap(s->dir), err);

    if (rv != 0)
        return data_dir_advise(rv, err);
    point = snapshots_point(s->snapshots);
    rv = raft_log_open(&s->log, data_dir_log(s->dir), &point, err);
    return data_dir_advise(rv, err);
}

/* Everything on disk is verified before the master says a word. */
static int
start_member(struct storage *s, struct master_event *event, struct error *err)
{
    struct loading_log log = {0};
    struct raft_log_state state;
    struct snapshot_info info = {0};
    struct snapshot_point point;
    int rv = open_logs(s, err);

    if (rv != 0)
        return rv;
    rv = data_dir_advise(
        snapshots_load(s->snapshots, restore_piece, s->master->core, err), err);
    if (rv != 0)
        return rv;
    rv = raft_log_load(s->log, load_entry, &log, &state, err);
    if (rv != 0) {
        log_entries_finish(&log.entries);
        return data_dir_advise(rv, err);
    }
    if (log.entries.count == 0)
        log.entries.first = state.base + 1;
    point = snapshots_point(s->snapshots);
    start_threads(s);
    if (snapshots_pin(s->snapshots, &info)) {
        if (master_restore_end(s->master->core, &info.meta, err) != 0) {
            snapshot_info_finish(&info);
            return data_dir_advise(-(int)err->code, err);
        }
        event->start.snapshot = &info.meta;
        snapshots_release(s->snapshots, info.id);
    }
    log_info("master",
             "log verified first=%llu last=%llu snapshot=%llu term=%llu",
             (unsigned long long)log.entries.first,
             (unsigned long long)state.last,
             (unsigned long long)point.index,
             (unsigned long long)state.term);
    event->start.term = state.term;
    event->start.vote = state.vote;
    event->start.entries = &log.entries;
    event->start.has_cluster_id = data_dir_cluster_id(s->dir, event->start.cluster_id);
    drive(s->master, event);
    snapshot_info_finish(&info);
    return 0;
}

int storage_start(struct storage *s, struct error *err)
{
    struct master_event event = {.kind = MASTER_START};

    entropy_fill(event.start.entropy, sizeof(event.start.entropy));
    event.start.empty = data_dir_is_empty(s->dir);
    if (!event.start.empty)
        return start_member(s, &event, err);
    drive(s->master, &event);
    return 0;
}

int storage_found(struct storage *s, struct bytes configuration, struct error *err)
{
    if (data_dir_found(s->dir, configuration, err) != 0 || open_logs(s, err) != 0)
        return -(int)err->code;
    start_threads(s);
    return 0;
}

void storage_close(struct storage *s)
{
    if (s == NULL)
        return;
    log_reader_stop(s->reader);
    log_writer_stop(s->writer);
    snapshots_close(s->snapshots);
    raft_log_close(s->log);
    wake_destroy(s->wake);
    snapshot_info_finish(&s->loading);
    data_dir_close(s->dir);
    mem_free(s);
}

/* ---- down ---- */

void storage_cluster_id(struct storage *s, const uint8_t id[CLUSTER_ID_BYTES])
{
    log_writer_store_cluster_id(s->writer, id);
}

void storage_persist(struct storage *s, struct log_op *op)
{
    STAILQ_INSERT_TAIL(&s->ops, op, link);
}

void storage_submit(struct storage *s)
{
    if (!STAILQ_EMPTY(&s->ops))
        log_writer_submit(s->writer, &s->ops);
}

void storage_read(
    struct storage *s, uint64_t peer, uint64_t from, uint32_t count, size_t bytes)
{
    log_reader_read(s->reader, from, count, bytes, peer);
}

void storage_snapshot_begin(struct storage *s, const struct snapshot_meta *meta)
{
    s->draft = snapshots_begin(s->snapshots, meta);
    s->next_chunk = 0;
    s->size_count = 0;
}

void storage_snapshot_chunk(struct storage *s, struct blob *chunk)
{
    ASSERT(s->size_count < CHUNKS_MAX);
    s->sizes[s->size_count++] = chunk->size;
    snapshots_append(s->snapshots, s->draft, s->next_chunk++, chunk);
}

void storage_snapshot_commit(struct storage *s)
{
    snapshots_seal(s->snapshots, s->draft, NULL);
}

void storage_snapshot_abandon(struct storage *s)
{
    snapshots_discard(s->snapshots, s->draft);
    s->draft = 0;
    s->size_count = 0;
}

void storage_snapshot_load(struct storage *s)
{
    ASSERT(s->loading.id == 0);
    if (!snapshots_pin(s->snapshots, &s->loading))
        ASSERT_NEVER("a promoted snapshot is there");
    s->loaded = 0;
    snapshots_read(s->snapshots, s->loading.id, 0, LOAD_TICKET);
}

/* ---- up ---- */

static void tell_durable(struct storage *s)
{
    uint64_t durable = log_writer_durable(s->writer);

    if (durable == s->durable)
        return;
    s->durable = durable;
    drive_replica(
        s->master,
        &(struct replica_event){.kind = REPLICA_DURABLE, .durable.sequence = durable});
}

static void tell_reads(struct storage *s)
{
    struct log_read read;

    while (log_reader_next(s->reader, &read))
        drive_replica(
            s->master,
            &(struct replica_event){
                .kind = REPLICA_ENTRIES_READ,
                .entries_read = {.peer = read.ticket, .entries = &read.entries}});
}

/* Own chunks that the store took over make room for the next. */
static void tell_written(struct storage *s)
{
    size_t queued = 0;

    for (unsigned i = 0; i < s->size_count; i++)
        queued += s->sizes[i];
    while (s->size_count > 0 && snapshots_backlog(s->snapshots) < queued) {
        queued -= s->sizes[0];
        memmove(s->sizes, s->sizes + 1, --s->size_count * sizeof(*s->sizes));
        drive_replica(s->master,
                      &(struct replica_event){.kind = REPLICA_SNAPSHOT_WRITTEN});
    }
}

static void loaded_chunk(struct storage *s, const struct snapshot_event *event)
{
    bool last = ++s->loaded == s->loading.chunks;
    struct replica_event data = {
        .kind = REPLICA_SNAPSHOT_DATA,
        .snapshot_data = {.bytes = blob_view(event->chunk), .last = last}};

    if (last) {
        snapshots_release(s->snapshots, s->loading.id);
        snapshot_info_finish(&s->loading);
    } else {
        snapshots_read(s->snapshots, s->loading.id, s->loaded, LOAD_TICKET);
    }
    drive_replica(s->master, &data);
}

/* One from the leader may overtake it; the replica knows.  Anything else would leave the replica
 * waiting and the log growing until the disk is full. */
static void own_snapshot_failed(struct storage *s, const struct error *err)
{
    struct error last = *err;
    struct store_hooks hooks;

    if (err->code != ERROR_CONFLICT) {
        error_wrap(&last, "own snapshot");
        store_fatal(hooks_of(s, &hooks), &last);
    }
    log_info("master", "own snapshot dropped: %s", err->text);
    s->draft = 0;
}

static void own_snapshot(struct storage *s, const struct snapshot_event *event)
{
    switch (event->kind) {
    case SNAPSHOT_SEALED:
        snapshots_promote(s->snapshots, s->draft, false);
        break;
    case SNAPSHOT_CURRENT:
        s->draft = 0;
        log_info("master",
                 "snapshot saved index=%llu bytes=%llu",
                 (unsigned long long)event->info.meta.index,
                 (unsigned long long)event->info.meta.size);
        drive_replica(s->master,
                      &(struct replica_event){.kind = REPLICA_SNAPSHOT_SAVED});
        break;
    case SNAPSHOT_FAILED:
        own_snapshot_failed(s, &event->error);
        break;
    case SNAPSHOT_CHUNK:
        break;
    }
}

static void tell_snapshots(struct storage *s)
{
    struct snapshot_event event;

    while (snapshots_next(s->snapshots, &event)) {
        if (event.kind == SNAPSHOT_CHUNK && event.ticket == LOAD_TICKET)
            loaded_chunk(s, &event);
        else if (s->draft != 0 && event.id == s->draft && event.kind != SNAPSHOT_CHUNK)
            own_snapshot(s, &event);
        else
            transfers_event(s->master->transfers, &event);
        snapshot_event_finish(&event);
    }
}

static void woken(void *user)
{
    struct storage *s = user;

    if (s->writer == NULL)
        return;
    tell_durable(s);
    tell_reads(s);
    tell_written(s);
    tell_snapshots(s);
    transfers_room(s->master->transfers);
}

struct snapshots *storage_snapshots(struct storage *s)
{
    return s->snapshots;
}

void storage_stats(struct storage *s, struct log_writer_stats *out)
{
    *out = (struct log_writer_stats){0};
    if (s->writer != NULL)
        log_writer_stats(s->writer, out);
}
