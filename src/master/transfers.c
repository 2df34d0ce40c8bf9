/* transfers.c - snapshots on their way to and from other masters. */
#include "master/transfers.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "master/storage.h"
#include "net/bulk.h"

#include <string.h>

struct sending {
    struct transfers *transfers;
    uint64_t peer;   /* 0: free */
    uint64_t number; /* of this transfer: its reads have it as their ticket */
    struct bulk_sender *sender;
    struct snapshot_info info; /* pinned */
};

struct receiving {
    struct transfers *transfers;
    uint64_t from;
    struct bulk_receiver *receiver; /* NULL: it ended, the draft may still be staged */
    struct snapshot_meta meta;
    uint64_t draft;   /* 0: free */
    uint32_t waiting; /* chunks that the sender was not told of as taken */
    bool staged;
    bool promoting;
};

struct transfers {
    struct master *master;
    uint64_t last_number;
    struct sending sending[LIMIT_MASTERS];
    struct receiving receiving[LIMIT_MASTERS];
};

struct transfers *transfers_create(struct master *m)
{
    struct transfers *t = mem_zalloc(sizeof(*t));

    t->master = m;
    for (unsigned i = 0; i < LIMIT_MASTERS; i++) {
        t->sending[i].transfers = t;
        t->receiving[i].transfers = t;
    }
    return t;
}

static struct snapshots *store_of(const struct transfers *t)
{
    return storage_snapshots(t->master->storage);
}

/* ---- sending ---- */

static void greet(void *user, struct hello *hello)
{
    struct sending *s = user;
    enum hello_role role = hello->role;

    master_hello(s->transfers->master->core, hello);
    hello->role = role;
}

static void pull(void *user, uint32_t number)
{
    struct sending *s = user;

    snapshots_read(store_of(s->transfers), s->info.id, number, s->number);
}

static void sending_finish(struct sending *s)
{
    if (s->peer == 0)
        return;
    snapshots_release(store_of(s->transfers), s->info.id);
    snapshot_info_finish(&s->info);
    s->peer = 0;
    s->sender = NULL;
}

static void sent(void *user, const struct error *reason)
{
    struct sending *s = user;
    struct replica_event event = {.kind = REPLICA_SNAPSHOT_SENT,
                                  .snapshot_sent.peer = s->peer};

    log_info("master",
             "snapshot to master %llu: %s",
             (unsigned long long)s->peer,
             reason->code == ERROR_NONE ? "received" : reason->text);
    sending_finish(s);
    drive_replica(s->transfers->master, &event);
}

static const struct bulk_sender_events SENDER_EVENTS = {
    .greet = greet,
    .pull = pull,
    .ended = sent,
};

void transfers_send(struct transfers *t, uint64_t peer)
{
    const struct cluster_member *member = cluster_find(&t->master->cluster, peer);
    struct sending *s = NULL;

    for (unsigned i = 0; i < LIMIT_MASTERS; i++) {
        if (t->sending[i].peer == peer)
            return; /* one at a time; the replica counts it as sending */
        if (t->sending[i].peer == 0)
            s = &t->sending[i];
    }
    ASSERT(member != NULL && s != NULL);
    if (!snapshots_pin(store_of(t), &s->info))
        ASSERT_NEVER("the replica sends only a snapshot that is saved");
    s->peer = peer;
    s->number = ++t->last_number;
    log_info("master",
             "sending a snapshot to master %llu index=%llu bytes=%llu",
             (unsigned long long)peer,
             (unsigned long long)s->info.meta.index,
             (unsigned long long)s->info.meta.size);
    s->sender = bulk_sender_create(t->master->loop,
                                   peer,
                                   &member->address,
                                   replica_term(master_replica(t->master->core)),
                                   &s->info.meta,
                                   0,
                                   &SENDER_EVENTS,
                                   s);
}

static void give_chunk(struct transfers *t, const struct snapshot_event *event)
{
    for (unsigned i = 0; i < LIMIT_MASTERS; i++) {
        struct sending *s = &t->sending[i];

        if (s->peer != 0 && s->number == event->ticket)
            bulk_sender_give(s->sender,
                             blob_view(event->chunk),
                             event->number + 1 == s->info.chunks);
    }
}

/* ---- receiving ---- */

static void receiving_finish(struct receiving *r, bool discard)
{
    if (discard && r->draft != 0)
        snapshots_discard(store_of(r->transfers), r->draft);
    snapshot_meta_finish(&r->meta);
    *r = (struct receiving){.transfers = r->transfers};
}

static struct receiving *of_receiver(struct transfers *t,
                                     const struct bulk_receiver *receiver)
{
    for (unsigned i = 0; i < LIMIT_MASTERS; i++)
        if (t->receiving[i].receiver == receiver)
            return &t->receiving[i];
    return NULL;
}

static void begun(void *user,
                  struct bulk_receiver *receiver,
                  uint64_t from,
                  uint64_t term,
                  const struct snapshot_meta *meta)
{
    struct transfers *t = user;
    struct receiving *r = NULL;
    struct error err;

    (void)term; /* what is in a snapshot is committed, whoever sent it */
    for (unsigned i = 0; i < LIMIT_MASTERS && r == NULL; i++)
        if (t->receiving[i].draft == 0)
            r = &t->receiving[i];
    if (r == NULL || store_of(t) == NULL) {
        error_set(&err,
                  ERROR_BUSY,
                  store_of(t) == NULL ? "this master is not founded"
                                      : "other snapshots are on their way here");
        bulk_receiver_refuse(receiver, &err);
        return;
    }
    r->from = from;
    r->receiver = receiver;
    snapshot_meta_copy(&r->meta, meta);
    r->draft = snapshots_begin(store_of(t), meta);
    log_info("master",
             "receiving a snapshot from master %llu index=%llu bytes=%llu",
             (unsigned long long)from,
             (unsigned long long)meta->index,
             (unsigned long long)meta->size);
}

static void
chunk(void *user, struct bulk_receiver *receiver, uint32_t number, struct bytes bytes)
{
    struct transfers *t = user;
    struct receiving *r = of_receiver(t, receiver);

    if (r == NULL)
        return;
    snapshots_append(store_of(t), r->draft, number, blob_copy(bytes));
    r->waiting++;
    transfers_room(t);
}

static void whole(void *user, struct bulk_receiver *receiver)
{
    struct transfers *t = user;
    struct receiving *r = of_receiver(t, receiver);

    if (r != NULL)
        snapshots_seal(store_of(t), r->draft, NULL);
}

static void
ended(void *user, struct bulk_receiver *receiver, const struct error *reason)
{
    struct receiving *r = of_receiver(user, receiver);

    if (r == NULL)
        return;
    if (reason->code != ERROR_NONE)
        log_info("master",
                 "snapshot from master %llu: %s",
                 (unsigned long long)r->from,
                 reason->text);
    r->receiver = NULL;
    r->waiting = 0;
    if (!r->staged && !r->promoting)
        receiving_finish(r, true);
}

static const struct bulk_receiver_events RECEIVER_EVENTS = {
    .begun = begun,
    .chunk = chunk,
    .whole = whole,
    .ended = ended,
};

void transfers_adopt(struct transfers *t, struct conn *c, const struct hello *hello)
{
    struct hello answer;

    master_hello(t->master->core, &answer);
    bulk_receiver_create(t->master->loop, c, hello, &answer, 0, &RECEIVER_EVENTS, t);
}

void transfers_room(struct transfers *t)
{
    if (store_of(t) == NULL ||
        snapshots_backlog(store_of(t)) > LIMIT_SNAPSHOT_QUEUE_BYTES)
        return;
    for (unsigned i = 0; i < LIMIT_MASTERS; i++) {
        struct receiving *r = &t->receiving[i];

        for (; r->waiting > 0; r->waiting--)
            bulk_receiver_taken(r->receiver);
    }
}

void transfers_promote(struct transfers *t, uint64_t from)
{
    for (unsigned i = 0; i < LIMIT_MASTERS; i++) {
        struct receiving *r = &t->receiving[i];

        if (r->draft == 0 || r->from != from || !r->staged || r->promoting)
            continue;
        r->promoting = true;
        snapshots_promote(store_of(t), r->draft, true);
        return;
    }
    ASSERT_NEVER("the replica promotes only what it was told is staged");
}

/* ---- the store ---- */

static void staged(struct receiving *r)
{
    struct replica_event event = {
        .kind = REPLICA_SNAPSHOT_RECEIVED,
        .snapshot_received = {.from = r->from, .meta = &r->meta}};

    r->staged = true;
    if (r->receiver != NULL)
        bulk_receiver_staged(r->receiver);
    drive_replica(r->transfers->master, &event);
    if (!r->promoting)
        receiving_finish(r,
                         true); /* not wanted: we have it already, or follow another */
}

static void promoted(struct receiving *r)
{
    struct master *m = r->transfers->master;

    log_info("master",
             "installing a snapshot from master %llu index=%llu",
             (unsigned long long)r->from,
             (unsigned long long)r->meta.index);
    receiving_finish(r, false);
    drive_replica(m, &(struct replica_event){.kind = REPLICA_SNAPSHOT_PROMOTED});
}

static void draft_failed(struct receiving *r, const struct error *reason)
{
    log_warning("master",
                "snapshot from master %llu: %s",
                (unsigned long long)r->from,
                reason->text);
    ASSERT(!r->promoting);
    if (r->receiver != NULL)
        bulk_receiver_refuse(r->receiver, reason); /* `ended` follows */
    else
        receiving_finish(r, false);
}

void transfers_event(struct transfers *t, const struct snapshot_event *event)
{
    if (event->kind == SNAPSHOT_CHUNK) {
        give_chunk(t, event);
        return;
    }
    for (unsigned i = 0; i < LIMIT_MASTERS; i++) {
        struct receiving *r = &t->receiving[i];

        if (r->draft == 0 || r->draft != event->id)
            continue;
        if (event->kind == SNAPSHOT_SEALED)
            staged(r);
        else if (event->kind == SNAPSHOT_CURRENT)
            promoted(r);
        else
            draft_failed(r, &event->error);
        return;
    }
}

void transfers_destroy(struct transfers *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; i < LIMIT_MASTERS; i++) {
        if (t->sending[i].peer != 0) {
            bulk_sender_destroy(t->sending[i].sender);
            sending_finish(&t->sending[i]);
        }
        if (t->receiving[i].receiver != NULL)
            bulk_receiver_destroy(t->receiving[i].receiver);
        if (t->receiving[i].draft != 0)
            receiving_finish(&t->receiving[i], true);
    }
    mem_free(t);
}
