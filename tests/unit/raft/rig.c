/* rig.c - replicas, their disks and the post between them, moved by hand. */
#include "tests/unit/raft/rig.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

struct rig_written {
    uint64_t index, term, value;
};

static uint64_t value_of(struct bytes payload)
{
    return payload.size >= 8 ? load_u64(payload.data) : 0;
}

static struct blob *blob_of(uint64_t value, size_t size)
{
    struct blob *b = blob_create(size);

    memset(b->data, 0, size);
    store_u64(b->data, value);
    return b;
}

/* ---- the machine ---- */

static size_t apply(void *data,
                    uint64_t index,
                    uint64_t term,
                    enum entry_kind kind,
                    struct bytes payload,
                    bool leading)
{
    struct rig_node *n = data;
    struct rig *rig = n->rig;
    uint64_t value = kind == ENTRY_COMMANDS ? value_of(payload) : 0;

    ASSERT(index == n->applied + 1);
    ASSERT(index < RIG_INDEX);
    ASSERT(!leading || replica_role(n->replica) == REPLICA_LEADER);
    if (rig->terms[index] == 0) {
        rig->terms[index] = term;
        rig->values[index] = value;
    }
    ASSERT(rig->hostile || rig->terms[index] == term);
    ASSERT(rig->hostile || rig->values[index] == value);
    n->values[index] = value;
    n->applied = index;
    return 1;
}

static void snapshot_begin(void *data)
{
    struct rig_node *n = data;

    ASSERT(n->walk_to == 0);
    n->walk_to = n->applied;
    n->walk_at = 0;
}

/* Values of [1, walk_to] as they were: entries do not change, so a copy is not needed. */
static bool snapshot_next(void *data, struct buffer *out, size_t budget)
{
    struct rig_node *n = data;

    ASSERT(n->walk_to > 0);
    while (n->walk_at < n->walk_to && out->size + 8 <= budget)
        buffer_append_u64(out, n->values[++n->walk_at]);
    return n->walk_at < n->walk_to;
}

static void snapshot_end(void *data)
{
    struct rig_node *n = data;

    ASSERT(n->walk_to > 0);
    n->walk_to = 0;
}

static void restore_begin(void *data)
{
    buffer_clear(&((struct rig_node *)data)->restoring);
}

static int restore_feed(void *data, struct bytes piece, struct error *err)
{
    (void)err;
    buffer_append(&((struct rig_node *)data)->restoring, piece.data, piece.size);
    return 0;
}

static int restore_end(void *data, uint64_t index, uint64_t term, struct error *err)
{
    struct rig_node *n = data;

    (void)term;
    if (n->restoring.size != 8 * index)
        return error_set(
            err, ERROR_CORRUPT, "the snapshot has %zu bytes", n->restoring.size);
    for (uint64_t i = 1; i <= index; i++)
        n->values[i] = load_u64(n->restoring.data + 8 * (i - 1));
    n->applied = index;
    return 0;
}

/* ---- the disk ---- */

static void snapshot_move(struct rig_snapshot *to, struct rig_snapshot *from)
{
    snapshot_meta_finish(&to->meta);
    buffer_finish(&to->bytes);
    *to = *from;
    *from = (struct rig_snapshot){0};
}

static void snapshot_drop(struct rig_snapshot *s)
{
    snapshot_move(s, &(struct rig_snapshot){0});
}

static void snapshot_copy(struct rig_snapshot *to, const struct rig_snapshot *from)
{
    snapshot_drop(to);
    snapshot_meta_copy(&to->meta, &from->meta);
    buffer_append(&to->bytes, from->bytes.data, from->bytes.size);
}

static uint64_t disk_last(const struct rig_node *n)
{
    return n->log.first + n->log.count - 1;
}

static void disk_truncate(struct rig_node *n, uint64_t from)
{
    while (n->log.count > 0 && disk_last(n) >= from)
        blob_unref(n->log.entries[--n->log.count].payload);
}

static void disk_push(struct rig_node *n, const struct log_entry *entry)
{
    ASSERT(n->log.count < RIG_INDEX);
    n->log.entries[n->log.count] = *entry;
    blob_ref(n->log.entries[n->log.count++].payload);
}

static void disk_trim(struct rig_node *n, uint64_t to)
{
    while (n->log.count > 0 && n->log.first <= to) {
        blob_unref(n->log.entries[0].payload);
        memmove(n->log.entries,
                n->log.entries + 1,
                --n->log.count * sizeof(*n->log.entries));
        n->log.first++;
    }
}

static void disk_apply(struct rig_node *n, const struct log_op *op)
{
    switch (op->kind) {
    case LOG_META:
        ASSERT(op->meta.term >= n->term);
        ASSERT(op->meta.term > n->term || n->vote == 0 || op->meta.vote == n->vote);
        n->term = op->meta.term;
        n->vote = op->meta.vote;
        break;
    case LOG_APPEND:
        ASSERT(op->append.first >= n->log.first);
        ASSERT(op->append.first <= disk_last(n) + 1);
        disk_truncate(n, op->append.first);
        for (uint32_t i = 0; i < op->append.count; i++)
            disk_push(n, &op->append.entries[i]);
        break;
    case LOG_TRIM:
        ASSERT(op->trim_to <= n->snapshot.meta.index);
        disk_trim(n, op->trim_to);
        break;
    case LOG_RESET:
        disk_truncate(n, 0);
        n->log.first = op->reset_to + 1;
        break;
    }
}

static const struct rig_written *
find_written(const struct rig *rig, uint64_t index, uint64_t term)
{
    for (size_t i = 0; i < rig->written_count; i++)
        if (rig->written[i].index == index && rig->written[i].term == term)
            return &rig->written[i];
    return NULL;
}

/* One index and term never has two payloads, whoever wrote it and whether it lasted or not. */
static void check_written(struct rig *rig, const struct log_op *op)
{
    for (uint32_t i = 0; i < op->append.count && !rig->hostile; i++) {
        const struct log_entry *entry = &op->append.entries[i];
        struct rig_written w = {.index = op->append.first + i,
                                .term = entry->term,
                                .value = value_of(blob_view(entry->payload))};
        const struct rig_written *known = find_written(rig, w.index, w.term);

        ASSERT(known == NULL || known->value == w.value);
        if (known != NULL)
            continue;
        MEM_GROW(rig->written, rig->written_capacity, rig->written_count + 1);
        rig->written[rig->written_count++] = w;
    }
}

/* ---- init ---- */

void rig_set_log(
    struct rig *rig, uint64_t id, uint64_t first, uint32_t count, uint64_t term)
{
    struct rig_node *n = &rig->nodes[id];

    disk_truncate(n, 0);
    n->log.first = first;
    for (uint64_t i = first; i < first + count; i++) {
        struct log_entry e = {.term = i == 1 ? 1 : term, .kind = ENTRY_COMMANDS};

        if (i == 1) {
            e.kind = ENTRY_CONFIGURATION;
            e.payload = blob_ref(rig->configuration);
        } else {
            e.payload = blob_of(1000 * term + i, 8);
        }
        disk_push(n, &e);
        blob_unref(e.payload);
    }
}

void rig_set_disk(struct rig *rig, uint64_t id, uint64_t term, uint64_t vote)
{
    rig->nodes[id].term = term;
    rig->nodes[id].vote = vote;
}

void rig_set_snapshot(struct rig *rig, uint64_t id, uint64_t index, uint64_t term)
{
    struct rig_snapshot s = {.meta = {.index = index,
                                      .term = term,
                                      .configuration_index = 1,
                                      .configuration = blob_ref(rig->configuration),
                                      .size = 8 * index}};

    for (uint64_t i = 1; i <= index; i++)
        buffer_append_u64(&s.bytes, i == 1 ? 0 : 1000 * term + i);
    snapshot_move(&rig->nodes[id].snapshot, &s);
}

void rig_init(struct rig *rig, unsigned voters)
{
    uint64_t ids[RIG_NODES] = {0};

    memset(rig, 0, sizeof(*rig));
    rig->voters = voters;
    rig->now_ms = 1000;
    STAILQ_INIT(&rig->post);
    for (unsigned i = 0; i < voters; i++)
        ids[i] = i + 1;
    rig->configuration = replica_founding_configuration(ids, voters);
    for (uint64_t id = 1; id <= voters; id++) {
        struct rig_node *n = &rig->nodes[id];

        n->rig = rig;
        n->id = id;
        STAILQ_INIT(&n->writing);
        n->log.entries = mem_zalloc((RIG_INDEX + 1) * sizeof(*n->log.entries));
        replica_config_init(&n->config);
        n->config.id = id;
        n->config.voter_count = voters;
        memcpy(n->config.voters, ids, voters * sizeof(*ids));
        n->config.entropy = id;
        rig_set_disk(rig, id, 1, 0);
        rig_set_log(rig, id, 1, 1, 1);
    }
}

static void stop(struct rig_node *n)
{
    struct log_op *op;

    replica_destroy(n->replica);
    n->replica = NULL;
    while ((op = STAILQ_FIRST(&n->writing)) != NULL) {
        STAILQ_REMOVE_HEAD(&n->writing, link);
        log_op_destroy(op);
    }
    snapshot_drop(&n->draft);
    snapshot_drop(&n->staged);
    n->chunks_unwritten = 0;
    n->read_count = 0;
    n->sealing = n->promoting = n->loading = n->again = false;
    memset(n->transferring, 0, sizeof(n->transferring));
    for (uint64_t to = 0; to <= RIG_NODES; to++)
        snapshot_drop(&n->sent[to]);
    n->walk_to = 0;
}

void rig_finish(struct rig *rig)
{
    for (uint64_t id = 1; id <= rig->voters; id++) {
        struct rig_node *n = &rig->nodes[id];

        stop(n);
        disk_truncate(n, 0);
        mem_free(n->log.entries);
        snapshot_drop(&n->snapshot);
        buffer_finish(&n->restoring);
        mem_free(n->said);
    }
    rig_drop(rig, 0, 0);
    blob_unref(rig->configuration);
    mem_free(rig->written);
}

/* ---- actions ---- */

static void post(struct rig *rig, uint64_t from, struct replica_action *a)
{
    struct rig_mail *mail;

    if (!rig->up[from][a->send.peer])
        return; /* it was held, and the peer has gone since */
    mail = mem_zalloc(sizeof(*mail));
    mail->from = from;
    mail->to = a->send.peer;
    mail->bytes = a->send.bytes;
    a->send.bytes = (struct buffer){0};
    ASSERT(peer_message_unpack(&mail->message, buffer_view(&mail->bytes), NULL) == 0);
    STAILQ_INSERT_TAIL(&rig->post, mail, link);
}

static void say(struct rig_node *n, struct rig_said said)
{
    MEM_GROW(n->said, n->said_capacity, n->said_count + 1);
    n->said[n->said_count++] = said;
}

static struct rig_said said_of(const struct replica_action *a)
{
    struct rig_said s = {.kind = a->kind};

    switch (a->kind) {
    case REPLICA_READ_ENTRIES:
        s.a = a->read_entries.peer;
        s.b = a->read_entries.from;
        s.c = a->read_entries.count;
        break;
    case REPLICA_SNAPSHOT_BEGIN:
        s.a = a->snapshot_begin.index;
        break;
    case REPLICA_SNAPSHOT_SEND:
        s.a = a->snapshot_send.peer;
        break;
    case REPLICA_SNAPSHOT_PROMOTE:
        s.a = a->snapshot_promote.from;
        break;
    case REPLICA_ROLE_CHANGED:
        s.a = a->role_changed.role;
        s.b = a->role_changed.term;
        s.c = a->role_changed.leader;
        break;
    case REPLICA_LEADING:
        s.a = a->leading.term;
        break;
    case REPLICA_READ_READY:
    case REPLICA_READ_FAILED:
        s.a = a->read.ticket;
        break;
    default:
        break;
    }
    return s;
}

static void chunk(struct rig_node *n, const struct blob *bytes)
{
    buffer_append(&n->draft.bytes, bytes->data, bytes->size);
    n->chunks_unwritten++;
}

static void carry_out(struct rig_node *n, struct replica_action *a)
{
    struct rig_said said = said_of(a);

    switch (a->kind) {
    case REPLICA_SEND:
        post(n->rig, n->id, a);
        return;
    case REPLICA_PERSIST:
        if (a->op->kind == LOG_APPEND)
            check_written(n->rig, a->op);
        STAILQ_INSERT_TAIL(&n->writing, a->op, link);
        a->op = NULL;
        return;
    case REPLICA_SNAPSHOT_CHUNK:
        chunk(n, a->snapshot_chunk);
        return;
    case REPLICA_READ_ENTRIES:
        ASSERT(n->read_count < RIG_READS);
        n->reads[n->read_count++] = said;
        break;
    case REPLICA_SNAPSHOT_BEGIN:
        snapshot_drop(&n->draft);
        snapshot_meta_copy(&n->draft.meta, &a->snapshot_begin);
        break;
    case REPLICA_SNAPSHOT_COMMIT:
        n->sealing = true;
        break;
    case REPLICA_SNAPSHOT_ABANDON:
        snapshot_drop(&n->draft);
        break;
    case REPLICA_SNAPSHOT_SEND:
        ASSERT(!n->transferring[a->snapshot_send.peer]);
        rig_snapshot_leaves(n, a->snapshot_send.peer);
        break;
    case REPLICA_SNAPSHOT_PROMOTE:
        n->promoting = true;
        break;
    case REPLICA_SNAPSHOT_LOAD:
        n->loading = true;
        break;
    case REPLICA_FATAL:
        snprintf(n->fatal, sizeof(n->fatal), "%s", a->fatal.text);
        break;
    default:
        break;
    }
    say(n, said);
}

static uint64_t step(struct rig_node *n, struct replica_event *event)
{
    struct replica_actions actions = {0};
    uint64_t submitted;

    ASSERT(n->replica != NULL);
    event->now_ms = n->rig->now_ms;
    replica_step(n->replica, event, &actions);
    for (size_t i = 0; i < actions.count; i++)
        carry_out(n, &actions.items[i]);
    n->deadline_ms = actions.deadline_ms;
    n->again = actions.again;
    submitted = actions.submitted;
    replica_actions_finish(&actions);
    return submitted;
}

void rig_step(struct rig *rig, uint64_t id, struct replica_event *event)
{
    step(&rig->nodes[id], event);
}

/* ---- events ---- */

uint64_t rig_submit_sized(struct rig *rig, uint64_t id, uint64_t value, size_t size)
{
    struct blob *payload = blob_of(value, size);
    uint64_t index = step(
        &rig->nodes[id],
        &(struct replica_event){.kind = REPLICA_SUBMIT, .submit.payload = payload});

    if (index == 0)
        blob_unref(payload);
    return index;
}

uint64_t rig_submit(struct rig *rig, uint64_t id, uint64_t value)
{
    return rig_submit_sized(rig, id, value, 8);
}

void rig_read(struct rig *rig, uint64_t id, uint64_t ticket)
{
    rig_step(
        rig, id, &(struct replica_event){.kind = REPLICA_READ, .read.ticket = ticket});
}

void rig_transfer(struct rig *rig, uint64_t id, uint64_t to)
{
    rig_step(
        rig, id, &(struct replica_event){.kind = REPLICA_TRANSFER, .transfer.to = to});
}

void rig_time(struct rig *rig, uint64_t id, uint64_t now_ms)
{
    ASSERT(now_ms >= rig->now_ms);
    rig->now_ms = now_ms;
    rig_step(rig, id, &(struct replica_event){.kind = REPLICA_TIME});
}

static void receive(struct rig *rig, uint64_t from, uint64_t to, struct bytes bytes)
{
    rig_step(rig,
             to,
             &(struct replica_event){.kind = REPLICA_MESSAGE,
                                     .message = {.from = from, .bytes = bytes}});
}

void rig_forge(struct rig *rig,
               uint64_t from,
               uint64_t to,
               const struct peer_message *message)
{
    struct buffer bytes = {0};

    peer_message_pack(message, &bytes);
    receive(rig, from, to, buffer_view(&bytes));
    buffer_finish(&bytes);
}

void rig_peer_up(
    struct rig *rig, uint64_t id, uint64_t peer, uint64_t incarnation, bool leads)
{
    rig->up[id][peer] = true;
    rig_step(
        rig,
        id,
        &(struct replica_event){
            .kind = REPLICA_PEER_UP,
            .peer_up = {.peer = peer, .incarnation = incarnation, .leads = leads}});
}

void rig_peer_down(struct rig *rig, uint64_t id, uint64_t peer)
{
    rig->up[id][peer] = false;
    rig->nodes[id].transferring[peer] = false;
    rig_drop(rig, id, peer);
    rig_step(
        rig,
        id,
        &(struct replica_event){.kind = REPLICA_PEER_DOWN, .peer_down.peer = peer});
}

/* ---- post ---- */

static bool is_one(const struct rig_mail *mail, uint64_t from, uint64_t to, int kind)
{
    return (from == 0 || mail->from == from) && (to == 0 || mail->to == to) &&
           (kind == 0 || (int)mail->message.kind == kind);
}

struct rig_mail *rig_mail(struct rig *rig, uint64_t from, uint64_t to, int kind)
{
    struct rig_mail *mail;

    STAILQ_FOREACH (mail, &rig->post, link)
        if (is_one(mail, from, to, kind))
            return mail;
    return NULL;
}

unsigned rig_mails(struct rig *rig, uint64_t from, uint64_t to, int kind)
{
    struct rig_mail *mail;
    unsigned n = 0;

    STAILQ_FOREACH (mail, &rig->post, link)
        n += is_one(mail, from, to, kind);
    return n;
}

struct rig_mail *rig_take(struct rig *rig, struct rig_mail *mail)
{
    ASSERT(mail != NULL);
    STAILQ_REMOVE(&rig->post, mail, rig_mail, link);
    return mail;
}

void rig_mail_free(struct rig_mail *mail)
{
    peer_message_finish(&mail->message);
    buffer_finish(&mail->bytes);
    mem_free(mail);
}

void rig_deliver_copy(struct rig *rig, const struct rig_mail *mail)
{
    ASSERT(mail != NULL);
    receive(rig, mail->from, mail->to, buffer_view(&mail->bytes));
}

void rig_deliver(struct rig *rig, struct rig_mail *mail)
{
    rig_take(rig, mail);
    rig_deliver_copy(rig, mail);
    rig_mail_free(mail);
}

void rig_deliver_all(struct rig *rig, uint64_t from, uint64_t to)
{
    struct rig_mail *mail;

    while ((mail = rig_mail(rig, from, to, 0)) != NULL)
        rig_deliver(rig, mail);
}

void rig_drop(struct rig *rig, uint64_t from, uint64_t to)
{
    struct rig_mail *mail;

    while ((mail = rig_mail(rig, from, to, 0)) != NULL)
        rig_mail_free(rig_take(rig, mail));
}

/* ---- life ---- */

void rig_start(struct rig *rig, uint64_t id)
{
    struct rig_node *n = &rig->nodes[id];
    const struct machine machine = {
        .data = n,
        .apply = apply,
        .snapshot_begin = snapshot_begin,
        .snapshot_next = snapshot_next,
        .snapshot_end = snapshot_end,
        .restore_begin = restore_begin,
        .restore_feed = restore_feed,
        .restore_end = restore_end,
    };
    struct log_entries log = {.first = n->log.first, .count = n->log.count};

    ASSERT(n->replica == NULL);
    log.entries = mem_dup(n->log.entries, n->log.count * sizeof(*n->log.entries));
    for (uint32_t i = 0; i < log.count; i++)
        blob_ref(log.entries[i].payload);
    n->incarnation++;
    n->applied = 0;
    n->fatal[0] = '\0';
    if (n->snapshot.meta.index > 0) {
        restore_begin(n);
        restore_feed(n, buffer_view(&n->snapshot.bytes), NULL);
        ASSERT(restore_end(n, n->snapshot.meta.index, 0, NULL) == 0);
    }
    n->replica = replica_create(&n->config, machine);
    rig_step(rig,
             id,
             &(struct replica_event){.kind = REPLICA_START,
                                     .start = {.term = n->term,
                                               .vote = n->vote,
                                               .snapshot = &n->snapshot.meta,
                                               .entries = &log}});
}

void rig_connect(struct rig *rig, uint64_t a, uint64_t b)
{
    const uint64_t ends[2] = {a, b};

    rig->up[a][b] = rig->up[b][a] = true;
    for (int i = 0; i < 2; i++) {
        struct rig_node *n = &rig->nodes[ends[i]];
        struct rig_node *other = &rig->nodes[ends[1 - i]];
        bool leads =
            other->replica != NULL && replica_role(other->replica) == REPLICA_LEADER;

        if (n->replica != NULL)
            rig_peer_up(rig, n->id, other->id, other->incarnation, leads);
    }
}

void rig_close(struct rig *rig, uint64_t a, uint64_t b)
{
    if (!rig->up[a][b])
        return;
    rig->up[a][b] = rig->up[b][a] = false;
    rig_drop(rig, a, b);
    rig_drop(rig, b, a);
    if (rig->nodes[a].replica != NULL)
        rig_peer_down(rig, a, b);
    if (rig->nodes[b].replica != NULL)
        rig_peer_down(rig, b, a);
}

void rig_isolate(struct rig *rig, uint64_t id)
{
    for (uint64_t other = 1; other <= rig->voters; other++)
        rig_close(rig, id, other);
}

void rig_rejoin(struct rig *rig, uint64_t id)
{
    for (uint64_t other = 1; other <= rig->voters; other++)
        if (other != id && rig->nodes[other].replica != NULL && !rig->up[id][other])
            rig_connect(rig, id, other);
}

void rig_crash(struct rig *rig, uint64_t id)
{
    stop(&rig->nodes[id]);
    rig_isolate(rig, id);
}

void rig_restart(struct rig *rig, uint64_t id)
{
    rig_crash(rig, id);
    rig_start(rig, id);
    rig_rejoin(rig, id);
}

void rig_start_all(struct rig *rig)
{
    for (uint64_t id = 1; id <= rig->voters; id++)
        rig_start(rig, id);
    for (uint64_t id = 1; id <= rig->voters; id++)
        rig_rejoin(rig, id);
}

void rig_three(struct rig *rig)
{
    rig_init(rig, 3);
    rig_start_all(rig);
    rig_elect(rig, 1);
    ASSERT(replica_commit_index(rig_replica(rig, 1)) == 2);
    rig_run(rig, 150); /* so that the followers know it */
    for (uint64_t id = 1; id <= 3; id++)
        rig_forget(rig, id);
}

/* ---- store ---- */

unsigned rig_writing(const struct rig *rig, uint64_t id)
{
    const struct log_op *op;
    unsigned count = 0;

    STAILQ_FOREACH (op, &rig->nodes[id].writing, link)
        count++;
    return count;
}

/* The first `count` operations become durable in one batch. */
static void disk_write(struct rig_node *n, unsigned count)
{
    uint64_t sequence = 0;

    while (count-- > 0) {
        struct log_op *op = STAILQ_FIRST(&n->writing);

        STAILQ_REMOVE_HEAD(&n->writing, link);
        disk_apply(n, op);
        sequence = op->sequence;
        log_op_destroy(op);
    }
    if (sequence > 0)
        step(n,
             &(struct replica_event){.kind = REPLICA_DURABLE,
                                     .durable.sequence = sequence});
}

void rig_disk(struct rig *rig, uint64_t id)
{
    while (rig_writing(rig, id) > 0)
        disk_write(&rig->nodes[id], rig_writing(rig, id));
}

void rig_disk_one(struct rig *rig, uint64_t id)
{
    ASSERT(rig_writing(rig, id) > 0);
    disk_write(&rig->nodes[id], 1);
}

struct rig_said rig_take_read(struct rig *rig, uint64_t id)
{
    struct rig_node *n = &rig->nodes[id];
    struct rig_said read = n->reads[0];

    ASSERT(n->read_count > 0);
    memmove(n->reads, n->reads + 1, --n->read_count * sizeof(*n->reads));
    return read;
}

struct log_entries
rig_disk_entries(const struct rig *rig, uint64_t id, struct rig_said read)
{
    const struct rig_node *n = &rig->nodes[id];
    struct log_entries e = {.first = read.b};
    size_t bytes = 0;

    e.entries = mem_zalloc(read.c * sizeof(*e.entries));
    while (e.count < read.c && e.first >= n->log.first &&
           e.first + e.count <= disk_last(n)) {
        const struct log_entry *entry =
            &n->log.entries[e.first + e.count - n->log.first];

        bytes += blob_view(entry->payload).size;
        if (e.count > 0 && bytes > LIMIT_READ_BYTES)
            break;
        e.entries[e.count++] = *entry;
        blob_ref(entry->payload);
    }
    return e;
}

void rig_give_entries(struct rig *rig,
                      uint64_t id,
                      uint64_t peer,
                      struct log_entries *entries)
{
    rig_step(
        rig,
        id,
        &(struct replica_event){.kind = REPLICA_ENTRIES_READ,
                                .entries_read = {.peer = peer, .entries = entries}});
}

void rig_entries_read(struct rig *rig, uint64_t id)
{
    struct rig_said read = rig_take_read(rig, id);
    struct log_entries e = rig_disk_entries(rig, id, read);

    rig_give_entries(rig, id, read.a, &e);
}

void rig_snapshot_written(struct rig *rig, uint64_t id)
{
    ASSERT(rig->nodes[id].chunks_unwritten > 0);
    rig->nodes[id].chunks_unwritten--;
    rig_step(rig, id, &(struct replica_event){.kind = REPLICA_SNAPSHOT_WRITTEN});
}

void rig_snapshot_saved(struct rig *rig, uint64_t id)
{
    struct rig_node *n = &rig->nodes[id];

    ASSERT(n->sealing);
    n->sealing = false;
    n->draft.meta.size = n->draft.bytes.size;
    if (n->draft.meta.index > n->snapshot.meta.index)
        snapshot_move(&n->snapshot, &n->draft);
    rig_step(rig, id, &(struct replica_event){.kind = REPLICA_SNAPSHOT_SAVED});
}

void rig_snapshot_promoted(struct rig *rig, uint64_t id)
{
    struct rig_node *n = &rig->nodes[id];

    ASSERT(n->promoting);
    n->promoting = false;
    snapshot_move(&n->snapshot, &n->staged);
    rig_step(rig, id, &(struct replica_event){.kind = REPLICA_SNAPSHOT_PROMOTED});
}

void rig_snapshot_loaded(struct rig *rig, uint64_t id)
{
    struct rig_node *n = &rig->nodes[id];
    struct bytes bytes = buffer_view(&n->snapshot.bytes);
    size_t half = bytes.size / 2;

    ASSERT(n->loading);
    n->loading = false;
    rig_step(rig,
             id,
             &(struct replica_event){.kind = REPLICA_SNAPSHOT_DATA,
                                     .snapshot_data = {.bytes = {bytes.data, half}}});
    rig_step(rig,
             id,
             &(struct replica_event){
                 .kind = REPLICA_SNAPSHOT_DATA,
                 .snapshot_data = {.bytes = {bytes.data + half, bytes.size - half},
                                   .last = true}});
}

void rig_snapshot_leaves(struct rig_node *from, uint64_t to)
{
    from->transferring[to] = true;
    snapshot_copy(&from->sent[to], &from->snapshot);
}

void rig_snapshot_arrives(struct rig *rig, uint64_t from, uint64_t to)
{
    struct rig_node *sender = &rig->nodes[from];
    struct rig_node *n = &rig->nodes[to];
    struct rig_snapshot copy = {0};

    ASSERT(sender->transferring[to]);
    sender->transferring[to] = false;
    snapshot_copy(&copy, &sender->sent[to]);
    if (!n->promoting)
        snapshot_copy(&n->staged, &copy);
    rig_step(rig,
             to,
             &(struct replica_event){
                 .kind = REPLICA_SNAPSHOT_RECEIVED,
                 .snapshot_received = {.from = from, .meta = &copy.meta}});
    rig_step(rig,
             from,
             &(struct replica_event){.kind = REPLICA_SNAPSHOT_SENT,
                                     .snapshot_sent.peer = to});
    snapshot_drop(&copy);
}

/* ---- a quick world ---- */

static bool flow_post(struct rig *rig)
{
    struct rig_mail *mail;

    STAILQ_FOREACH (mail, &rig->post, link)
        if (!rig->held[mail->from][mail->to] && rig->nodes[mail->to].replica != NULL) {
            rig_deliver(rig, mail);
            return true;
        }
    return false;
}

static bool flow_snapshots(struct rig *rig, struct rig_node *n)
{
    if (n->snapshots_by_hand)
        return false;
    if (n->chunks_unwritten > 0)
        rig_snapshot_written(rig, n->id);
    else if (n->sealing)
        rig_snapshot_saved(rig, n->id);
    else if (n->promoting)
        rig_snapshot_promoted(rig, n->id);
    else if (n->loading)
        rig_snapshot_loaded(rig, n->id);
    else
        return false;
    return true;
}

static bool flow_transfers(struct rig *rig, struct rig_node *n)
{
    for (uint64_t to = 1; to <= rig->voters; to++)
        if (n->transferring[to] && rig->up[n->id][to] && !rig->held[n->id][to] &&
            rig->nodes[to].replica != NULL) {
            rig_snapshot_arrives(rig, n->id, to);
            return true;
        }
    return false;
}

static bool flow_node(struct rig *rig, struct rig_node *n)
{
    if (n->replica == NULL)
        return false;
    if (n->again) {
        rig_step(rig, n->id, &(struct replica_event){.kind = REPLICA_CONTINUE});
        return true;
    }
    if (!n->disk_by_hand && rig_writing(rig, n->id) > 0) {
        rig_disk(rig, n->id);
        return true;
    }
    if (!n->reads_by_hand && n->read_count > 0) {
        rig_entries_read(rig, n->id);
        return true;
    }
    return flow_snapshots(rig, n) || flow_transfers(rig, n);
}

void rig_flow(struct rig *rig)
{
    bool more = true;

    for (int turn = 0; more && turn < RIG_TURNS; turn++) {
        more = flow_post(rig);
        for (uint64_t id = 1; id <= rig->voters; id++)
            more |= flow_node(rig, &rig->nodes[id]);
    }
    ASSERT(!more || rig->hostile); /* they keep each other busy for ever */
}

void rig_run(struct rig *rig, uint64_t ms)
{
    uint64_t end = rig->now_ms + ms;

    for (;;) {
        struct rig_node *next = NULL;

        rig_flow(rig);
        for (uint64_t id = 1; id <= rig->voters; id++) {
            struct rig_node *n = &rig->nodes[id];

            if (n->replica != NULL &&
                (next == NULL || n->deadline_ms < next->deadline_ms))
                next = n;
        }
        if (next == NULL || next->deadline_ms > end)
            break;
        rig_time(rig,
                 next->id,
                 next->deadline_ms > rig->now_ms ? next->deadline_ms : rig->now_ms);
    }
    rig->now_ms = end;
}

void rig_elect(struct rig *rig, uint64_t id)
{
    struct rig_node *n = &rig->nodes[id];

    for (int i = 0; i < 20 && !replica_leads(n->replica); i++) {
        rig_time(rig, id, n->deadline_ms);
        rig_flow(rig);
    }
    ASSERT(replica_leads(n->replica));
}

/* ---- what was said ---- */

void rig_forget(struct rig *rig, uint64_t id)
{
    rig->nodes[id].said_count = 0;
}

const struct rig_said *
rig_said(const struct rig *rig, uint64_t id, enum replica_action_kind kind, size_t n)
{
    const struct rig_node *node = &rig->nodes[id];

    for (size_t i = 0; i < node->said_count; i++)
        if (node->said[i].kind == kind && n-- == 0)
            return &node->said[i];
    return NULL;
}

size_t rig_count(const struct rig *rig, uint64_t id, enum replica_action_kind kind)
{
    size_t count = 0;

    while (rig_said(rig, id, kind, count) != NULL)
        count++;
    return count;
}
