/* fuzz_mesh.c - one master, and peers that say what they like.
 *
 * The core of a master with an empty directory hears hellos, messages of founding, messages of
 * the log that are well-formed and some that are not, connections that come and go, and time.
 * No assertion may fail; what it says must decode, and what it gives the disk has no gaps.  It
 * may end with an error: a made-up leader can contradict what is committed. */
#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "master/core/core.h"
#include "raft/message.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EVENTS_MAX 2000

struct fuzz {
    struct master_core *core;
    const uint8_t *at, *end;
    uint64_t now_ms;
    uint64_t disk_last;
    bool again;
    bool over;
};

static uint8_t choose(struct fuzz *f, unsigned below)
{
    return f->at < f->end ? (uint8_t)(*f->at++ % below) : 0;
}

static struct bytes choose_bytes(struct fuzz *f)
{
    size_t size = choose(f, 128), left = (size_t)(f->end - f->at);
    struct bytes bytes = {f->at, size < left ? size : left};

    f->at += bytes.size;
    return bytes;
}

/* ---- what the core does ---- */

static void feed(struct fuzz *f, struct master_event *event);

static void check_said(struct bytes bytes)
{
    struct peer_message m;

    ASSERT(bytes.size > 0);
    if (bytes.data[0] >= 0x80)
        return; /* of founding */
    ASSERT(peer_message_unpack(&m, bytes, NULL) == 0);
    peer_message_finish(&m);
}

static void check_written(struct fuzz *f, const struct log_op *op)
{
    if (op->kind != LOG_APPEND)
        return;
    ASSERT(op->append.first > 0 && op->append.first <= f->disk_last + 1);
    f->disk_last = op->append.first + op->append.count - 1;
}

/* The sequence of the last operation for the disk, 0 if there is none. */
static uint64_t look_at(struct fuzz *f, const struct replica_actions *actions)
{
    uint64_t sequence = 0;

    for (size_t i = 0; i < actions->count; i++) {
        const struct replica_action *a = &actions->items[i];

        if (a->kind == REPLICA_SEND)
            check_said(buffer_view(&a->send.bytes));
        if (a->kind == REPLICA_PERSIST) {
            check_written(f, a->op);
            sequence = a->op->sequence;
        }
        f->over |= a->kind == REPLICA_FATAL;
    }
    return sequence;
}

static void feed(struct fuzz *f, struct master_event *event)
{
    struct master_actions actions = {0};
    uint64_t sequence;
    bool founded = false;

    event->now_ms = f->now_ms;
    event->wall_us = 1700000000000000 + 1000 * f->now_ms;
    master_step(f->core, event, &actions);
    sequence = look_at(f, &actions.replica);
    for (size_t i = 0; i < actions.count; i++)
        founded |= actions.items[i].kind == MASTER_FOUND;
    f->again = actions.again;
    master_actions_finish(&actions);
    if (f->over)
        return;
    if (founded) {
        f->disk_last = 1; /* the configuration */
        feed(f, &(struct master_event){.kind = MASTER_FOUNDED});
    }
    if (sequence != 0)
        feed(f,
             &(struct master_event){
                 .kind = MASTER_REPLICA,
                 .replica = &(struct replica_event){.kind = REPLICA_DURABLE,
                                                    .durable.sequence = sequence}});
}

/* ---- what peers do ---- */

static void say(struct fuzz *f, uint64_t peer, struct bytes bytes)
{
    feed(f,
         &(struct master_event){.kind = MASTER_PEER_BYTES,
                                .peer_bytes = {.peer = peer, .bytes = bytes}});
}

static void say_hello(struct fuzz *f)
{
    struct hello hello;
    struct error err;

    if (hello_unpack(&hello, choose_bytes(f), &err) == 0 &&
        master_check_hello(f->core, &hello, &err) == 0 && hello.role == HELLO_MASTER)
        feed(f,
             &(struct master_event){.kind = MASTER_PEER_UP,
                                    .peer_up = {.peer = hello.id,
                                                .incarnation = hello.incarnation,
                                                .leads = hello.leads}});
}

static void say_founding(struct fuzz *f, uint64_t peer)
{
    uint8_t bytes[18] = {0x80, choose(f, 5)};

    memset(bytes + 2, 0x5a, 16);
    say(f, peer, (struct bytes){bytes, sizeof(bytes)});
}

static void say_sealed(struct fuzz *f, uint64_t peer)
{
    struct bytes body = choose_bytes(f);
    struct buffer bytes = {0};

    buffer_append(&bytes, body.data, body.size);
    buffer_append_u32(&bytes, crc32c(0, bytes.data, bytes.size));
    say(f, peer, buffer_view(&bytes));
    buffer_finish(&bytes);
}

/* Near to what is there, so that it gets behind the first checks. */
static uint64_t near(struct fuzz *f, uint64_t value)
{
    uint8_t by = choose(f, 8);

    return by < 3 ? value : value + by - 5;
}

static void choose_entries(struct fuzz *f, struct peer_message *m)
{
    struct log_entries *e = &m->append.entries;

    e->first = m->append.prev_index + 1;
    e->count = choose(f, 4);
    e->entries = mem_zalloc((e->count + 1) * sizeof(*e->entries));
    for (uint32_t i = 0; i < e->count; i++) {
        e->entries[i].term = near(f, m->term);
        e->entries[i].kind = choose(f, 2) == 0 ? ENTRY_NOOP : ENTRY_COMMANDS;
        if (e->entries[i].kind == ENTRY_COMMANDS)
            e->entries[i].payload = blob_copy(choose_bytes(f));
    }
}

static void say_message(struct fuzz *f, uint64_t peer)
{
    const struct replica *r = master_replica(f->core);
    struct peer_message m = {.kind = 1 + choose(f, PEER_CONFIRMED)};
    uint64_t last = r != NULL ? replica_last_index(r) : 1;
    struct buffer bytes = {0};

    m.term = near(f, r != NULL ? replica_term(r) : 1);
    switch (m.kind) {
    case PEER_APPEND_ENTRIES:
        m.append.prev_index = near(f, last);
        m.append.prev_term = near(f, r != NULL ? replica_entry_term(r, last) : 1);
        m.append.commit = near(f, last);
        choose_entries(f, &m);
        break;
    case PEER_REQUEST_VOTE_RESULT:
        m.vote_result.granted = choose(f, 2);
        m.vote_result.pre_vote = choose(f, 2);
        break;
    case PEER_REQUEST_VOTE:
        m.vote.disrupt = choose(f, 2);
        m.vote.pre_vote = choose(f, 2);
        m.vote.last_index = near(f, last);
        m.vote.last_term = near(f, m.term);
        break;
    default: /* two numbers, or one, or none */
        m.append_result.rejected = near(f, choose(f, 2) * last);
        m.append_result.last_index = near(f, last);
        break;
    }
    peer_message_pack(&m, &bytes);
    say(f, peer, buffer_view(&bytes));
    buffer_finish(&bytes);
    peer_message_finish(&m);
}

static void step(struct fuzz *f)
{
    uint64_t peer = 2 + choose(f, 3); /* 4 is nobody */

    switch (choose(f, 12)) {
    case 0:
        say_hello(f);
        break;
    case 1:
        feed(f,
             &(struct master_event){.kind = MASTER_PEER_UP,
                                    .peer_up = {.peer = peer,
                                                .incarnation = choose(f, 2),
                                                .leads = choose(f, 2)}});
        break;
    case 2:
        feed(f, &(struct master_event){.kind = MASTER_PEER_DOWN, .peer_down = peer});
        break;
    case 3:
        say(f, peer, choose_bytes(f));
        break;
    case 4:
        say_sealed(f, peer);
        break;
    case 5:
        say_founding(f, peer);
        break;
    case 6:
        f->now_ms += 4 * choose(f, 256);
        feed(f, &(struct master_event){.kind = MASTER_TIME});
        break;
    case 7:
        feed(f, &(struct master_event){.kind = MASTER_TURN});
        break;
    default:
        say_message(f, peer);
        break;
    }
}

/* ---- the run ---- */

static void start(struct fuzz *f)
{
    struct master_config config;

    master_config_init(&config);
    config.id = 1;
    config.incarnation = 1;
    config.member_count = 3;
    for (unsigned i = 0; i < 3; i++)
        config.members[i] = (struct master_member){.id = i + 1, .address = "h:1"};
    memset(config.cluster_hash, 0x5a, sizeof(config.cluster_hash));
    f->core = master_create(&config);
    feed(f,
         &(struct master_event){.kind = MASTER_START,
                                .start = {.empty = true, .entropy = {7, 9}}});
}

/* Most inputs begin behind the founding. */
static void found(struct fuzz *f)
{
    for (uint64_t peer = 2; peer <= 3; peer++) {
        uint8_t empty[18] = {0x80, FOUNDING_EMPTY};

        memset(empty + 2, 0x5a, 16);
        feed(f, &(struct master_event){.kind = MASTER_PEER_UP, .peer_up.peer = peer});
        say(f, peer, (struct bytes){empty, sizeof(empty)});
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {.at = data, .end = data + size, .now_ms = 1000};

    start(&f);
    if (choose(&f, 4) > 0)
        found(&f);
    for (int i = 0; i < EVENTS_MAX && f.at < f.end && !f.over; i++)
        step(&f);
    master_destroy(f.core);
    return 0;
}
