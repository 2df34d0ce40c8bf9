/* fuzz_peer.c - three masters, their disks and the post between them, moved by the fuzzer.
 *
 * Messages are delivered, lost, repeated, reordered and made up; nodes crash at any operation
 * of their disks.  As long as nothing is made up, equal index is equal entry and nobody stops.
 * With made-up messages a replica may stop with an error where two logs contradict each other
 * below the commit index, but no assertion may fail, and its disk stays well-formed.
 *
 * The whole input is also read as one message: what unpacks, packs to the same bytes. */
#include "base/assert.h"
#include "base/crc32c.h"
#include "tests/unit/raft/rig.h"

#include <string.h>

#define ENTRIES_MAX 1500 /* the rig has room for RIG_INDEX */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct rig rig;
    const uint8_t *at, *end;
    uint64_t last_value;
};

static uint8_t choose(struct fuzz *f, unsigned below)
{
    return f->at < f->end ? (uint8_t)(*f->at++ % below) : 0;
}

/* One of the masters that run; NULL if none does. */
static struct rig_node *choose_node(struct fuzz *f)
{
    struct rig_node *n = &f->rig.nodes[1 + choose(f, 3)];

    return n->replica != NULL ? n : NULL;
}

static struct rig_mail *choose_mail(struct fuzz *f)
{
    struct rig_mail *mail;
    unsigned skip = choose(f, 8);

    STAILQ_FOREACH (mail, &f->rig.post, link)
        if (f->rig.nodes[mail->to].replica != NULL && skip-- == 0)
            return mail;
    return NULL;
}

/* ---- messages ---- */

static void read_as_message(const uint8_t *data, size_t size)
{
    struct buffer bytes = {0}, again = {0};
    struct peer_message m;

    buffer_append(&bytes, data, size);
    buffer_append_u32(&bytes, crc32c(0, bytes.data, bytes.size));
    if (peer_message_unpack(&m, buffer_view(&bytes), NULL) == 0) {
        peer_message_pack(&m, &again);
        ASSERT(again.size == bytes.size &&
               memcmp(again.data, bytes.data, bytes.size) == 0);
        peer_message_finish(&m);
    }
    buffer_finish(&bytes);
    buffer_finish(&again);
}

/* Change one field of the bytes: the first ones are 64 bits wide. */
static void mutate(struct fuzz *f, struct buffer *bytes)
{
    size_t body = bytes->size - 4;
    size_t field = choose(f, 6);
    uint64_t by = choose(f, 256);

    if (field < 4 && 1 + 8 * field + 8 <= body) {
        uint64_t value = load_u64(bytes->data + 1 + 8 * field) + by - 128;

        if (by == 255)
            value = UINT64_MAX - choose(f, 4);
        store_u64(bytes->data + 1 + 8 * field,
                  by == 254 ? (uint64_t)choose(f, 4) : value);
    } else {
        bytes->data[choose(f, 256) % body] = (uint8_t)by;
    }
    store_u32(bytes->data + body, crc32c(0, bytes->data, body));
}

static void deliver_mutated(struct fuzz *f, const struct rig_mail *mail)
{
    struct buffer bytes = {0};
    uint64_t from = mail->from;

    if (choose(f, 4) == 0)
        from = 1u + choose(f, 3);
    buffer_append(&bytes, mail->bytes.data, mail->bytes.size);
    for (unsigned n = 1 + choose(f, 3); n > 0; n--)
        mutate(f, &bytes);
    f->rig.hostile = true;
    rig_step(&f->rig,
             mail->to,
             &(struct replica_event){
                 .kind = REPLICA_MESSAGE,
                 .message = {.from = from, .bytes = buffer_view(&bytes)}});
    buffer_finish(&bytes);
}

static void move_mail(struct fuzz *f, unsigned how)
{
    struct rig_mail *mail = choose_mail(f);

    if (mail == NULL)
        return;
    if (how == 0)
        rig_mail_free(rig_take(&f->rig, mail));
    else if (how == 1)
        rig_deliver_copy(&f->rig, mail);
    else if (how == 2)
        deliver_mutated(f, mail);
    else
        rig_deliver(&f->rig, mail);
}

/* ---- nodes ---- */

static void submit(struct fuzz *f, struct rig_node *n)
{
    for (unsigned count = 1 + choose(f, 20); count > 0; count--)
        if (replica_last_index(n->replica) < ENTRIES_MAX)
            rig_submit_sized(
                &f->rig, n->id, ++f->last_value, 8 + 8 * (size_t)choose(f, 4));
}

static void move_time(struct fuzz *f, struct rig_node *n)
{
    uint64_t by = choose(f, 64);

    rig_time(&f->rig,
             n->id,
             n->deadline_ms > f->rig.now_ms && by < 32 ? n->deadline_ms
                                                       : f->rig.now_ms + by);
}

static void move_store(struct fuzz *f, struct rig_node *n)
{
    unsigned what = choose(f, 8);

    if (what < 3 && rig_writing(&f->rig, n->id) > 0)
        rig_disk_one(&f->rig, n->id);
    else if (n->read_count > 0)
        rig_entries_read(&f->rig, n->id);
    else if (n->chunks_unwritten > 0)
        rig_snapshot_written(&f->rig, n->id);
    else if (n->sealing)
        rig_snapshot_saved(&f->rig, n->id);
    else if (n->promoting)
        rig_snapshot_promoted(&f->rig, n->id);
    else if (n->loading)
        rig_snapshot_loaded(&f->rig, n->id);
    else
        rig_disk(&f->rig, n->id);
}

static void move_transfer(struct fuzz *f, struct rig_node *n)
{
    uint64_t to = 1 + choose(f, 3);

    if (n->transferring[to] && f->rig.nodes[to].replica != NULL)
        rig_snapshot_arrives(&f->rig, n->id, to);
    else
        rig_transfer(&f->rig, n->id, to);
}

static void move_connection(struct fuzz *f, struct rig_node *n)
{
    uint64_t other = 1 + choose(f, 3);

    if (other == n->id || f->rig.nodes[other].replica == NULL)
        return;
    if (f->rig.up[n->id][other])
        rig_close(&f->rig, n->id, other);
    else
        rig_connect(&f->rig, n->id, other);
}

/* One that stopped with an error comes back too: from its disk. */
static void stop_and_start(struct fuzz *f)
{
    struct rig_node *n = &f->rig.nodes[1 + choose(f, 3)];

    rig_crash(&f->rig, n->id);
    if (choose(f, 4) > 0) {
        rig_start(&f->rig, n->id);
        rig_rejoin(&f->rig, n->id);
    }
}

/* ---- the run ---- */

static void step(struct fuzz *f)
{
    unsigned what = choose(f, 24);
    struct rig_node *n;

    if (what < 8) {
        move_mail(f, what);
        return;
    }
    if (what == 8) {
        stop_and_start(f);
        return;
    }
    n = choose_node(f);
    if (n == NULL)
        return;
    if (what < 12)
        submit(f, n);
    else if (what < 15)
        move_time(f, n);
    else if (what < 19)
        move_store(f, n);
    else if (what == 19)
        rig_read(&f->rig, n->id, ++f->last_value);
    else if (what == 20)
        move_transfer(f, n);
    else if (what == 21)
        move_connection(f, n);
    else if (what == 22 && n->again)
        rig_step(&f->rig, n->id, &(struct replica_event){.kind = REPLICA_CONTINUE});
    else
        rig_run(&f->rig, 8 * choose(f, 256));
}

static bool look(struct fuzz *f)
{
    for (uint64_t id = 1; id <= 3; id++) {
        struct rig_node *n = &f->rig.nodes[id];

        if (n->replica == NULL)
            continue;
        ASSERT(n->fatal[0] == '\0' || f->rig.hostile);
        ASSERT(replica_applied_index(n->replica) == n->applied || n->loading ||
               n->sealing || f->rig.nodes[id].restoring.size > 0);
        if (n->fatal[0] != '\0')
            rig_crash(&f->rig, id);
        else if (replica_last_index(n->replica) > ENTRIES_MAX)
            return false;
    }
    return true;
}

static void configure(struct fuzz *f)
{
    for (uint64_t id = 1; id <= 3; id++) {
        struct replica_config *c = &f->rig.nodes[id].config;
        unsigned how = choose(f, 8);

        c->snapshot_bytes = how & 1 ? 700 : 1 << 30;
        c->snapshot_chunk_bytes = 32;
        c->trailing_entries = how & 2 ? 2 : 100;
        c->cache_bytes = how & 4 ? 0 : 1 << 20;
        c->apply_budget = 10;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {.at = data, .end = data + size};

    read_as_message(data, size);
    rig_init(&f.rig, 3);
    configure(&f);
    rig_start_all(&f.rig);
    rig_run(&f.rig, 1200); /* long enough for a leader */
    while (f.at < f.end && look(&f))
        step(&f);
    rig_finish(&f.rig);
    return 0;
}
