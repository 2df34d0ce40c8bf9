/* test_transfers.c - snapshots from one master to another, over real connections and stores.
 *
 * The rest of the master is played: a node remembers what its replica would hear, and wants
 * what it receives or not.  The events of a store can be held back, as a slow disk does.
 */
#include "master/transfers.h"

#include "base/limits.h"
#include "base/mem.h"
#include "master/storage.h"
#include "net/bulk.h"
#include "tests/unit/net/net_test.h"
#include "tests/unit/store/store_test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHUNKS      12
#define CHUNK_BYTES 100000
#define INDEX       500
#define LATE_MAX    4

struct storage {
    struct snapshots *snapshots;
};

struct master_core {
    uint64_t id;
};

struct node {
    struct master master; /* first: drive_replica() finds the node by it */
    struct master_core core;
    struct storage storage;
    struct data_dir *dir;
    struct store_hooks hooks;
    char path[64];

    bool refuses; /* what it receives */
    uint32_t
        hold_from; /* keep events from this chunk on, as a slow disk would; 0: none */
    struct snapshot_event late[LATE_MAX];
    unsigned late_count;

    /* What the replica heard. */
    unsigned sent, received, promoted;
    uint64_t sent_peer, received_from;
    struct snapshot_meta meta;
};

static struct loop *loop;
static struct node one, two;
static uint32_t chunks; /* of the snapshot that is sent */

/* ---- a disk that takes its time: LMDB's syncs come here ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stuck;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

int fdatasync(int fd)
{
    pthread_mutex_lock(&disk.lock);
    while (disk.stuck)
        pthread_cond_wait(&disk.changed, &disk.lock);
    pthread_mutex_unlock(&disk.lock);
    return (int)syscall(SYS_fdatasync, fd);
}

static void disk_set_stuck(bool stuck)
{
    pthread_mutex_lock(&disk.lock);
    disk.stuck = stuck;
    pthread_cond_broadcast(&disk.changed);
    pthread_mutex_unlock(&disk.lock);
}

/* ---- the rest of the master ---- */

struct snapshots *storage_snapshots(struct storage *s)
{
    return s->snapshots;
}

void master_hello(const struct master_core *core, struct hello *out)
{
    *out = (struct hello){
        .protocol = PROTOCOL_VERSION, .role = HELLO_MASTER, .id = core->id};
}

const struct replica *master_replica(const struct master_core *core)
{
    (void)core;
    return NULL;
}

uint64_t replica_term(const struct replica *r)
{
    (void)r;
    return 9;
}

void drive_replica(struct master *m, struct replica_event *event)
{
    struct node *n = (struct node *)m;

    switch (event->kind) {
    case REPLICA_SNAPSHOT_SENT:
        n->sent++;
        n->sent_peer = event->snapshot_sent.peer;
        break;
    case REPLICA_SNAPSHOT_RECEIVED:
        n->received++;
        n->received_from = event->snapshot_received.from;
        snapshot_meta_copy(&n->meta, event->snapshot_received.meta);
        if (!n->refuses)
            transfers_promote(m->transfers, n->received_from);
        break;
    case REPLICA_SNAPSHOT_PROMOTED:
        n->promoted++;
        break;
    default:
        ck_abort_msg("event %d", event->kind);
    }
}

/* ---- nodes ---- */

static void notify(void *arg)
{
    wake_signal(arg);
}

static void pump(void *user)
{
    struct node *n = user;
    struct snapshot_event event;

    while (snapshots_next(n->storage.snapshots, &event)) {
        if (event.kind == SNAPSHOT_CHUNK && n->hold_from != 0 &&
            (n->late_count > 0 || event.number >= n->hold_from)) {
            ck_assert_uint_lt(n->late_count, LATE_MAX);
            n->late[n->late_count++] = event;
            continue;
        }
        transfers_event(n->master.transfers, &event);
        snapshot_event_finish(&event);
    }
    transfers_room(n->master.transfers);
}

/* What was held back arrives, in its order. */
static void let_go(struct node *n)
{
    n->hold_from = 0;
    for (unsigned i = 0; i < n->late_count; i++) {
        transfers_event(n->master.transfers, &n->late[i]);
        snapshot_event_finish(&n->late[i]);
    }
    n->late_count = 0;
}

static void on_hello(void *user, struct conn *c, const struct hello *hello)
{
    struct node *n = user;

    ck_assert_int_eq(hello->role, HELLO_SNAPSHOT);
    transfers_adopt(n->master.transfers, c, hello);
}

static const struct conn_events SESSION_EVENTS = {.hello = on_hello};

static void open_store(struct node *n)
{
    struct data_dir_options o = test_options();
    struct error err;

    o.path = n->path;
    o.node = n->master.id;
    ck_assert_msg(data_dir_open(&n->dir, &o, &err) == 0, "%s", err.text);
    if (data_dir_is_empty(n->dir))
        ck_assert_int_eq(data_dir_found(n->dir, lmdb_text("members"), &err), 0);
    ck_assert_int_eq(snapshots_open(&n->storage.snapshots, data_dir_snap(n->dir), &err),
                     0);
}

static struct wake *wake_of(const struct node *n)
{
    return n->hooks.arg;
}

static void start(struct node *n, uint64_t id)
{
    struct server_options options = {.listen = local_address(0)};

    *n = (struct node){.master = {.id = id, .loop = loop}, .core.id = id};
    snprintf(n->path, sizeof(n->path), "%s", test_path(id == 1 ? "one" : "two"));
    n->master.core = &n->core;
    n->master.storage = &n->storage;
    n->master.transfers = transfers_create(&n->master);
    n->master.server = server_create(loop, &options, &SESSION_EVENTS, n, NULL);
    n->hooks =
        (struct store_hooks){.notify = notify, .arg = wake_create(loop, pump, n)};
    open_store(n);
    snapshots_start(n->storage.snapshots, &n->hooks);
}

/* As a master stops. */
static void stop(struct node *n)
{
    server_destroy(n->master.server);
    transfers_destroy(n->master.transfers);
    snapshots_close(n->storage.snapshots);
    data_dir_close(n->dir);
    wake_destroy(wake_of(n));
    for (unsigned i = 0; i < n->late_count; i++)
        snapshot_event_finish(&n->late[i]);
    snapshot_meta_finish(&n->meta);
}

/* Each knows where the other listens. */
static void introduce(void)
{
    struct cluster cluster = {
        .count = 2,
        .members = {{1, local_address(server_port(one.master.server))},
                    {2, local_address(server_port(two.master.server))}}};

    one.master.cluster = two.master.cluster = cluster;
}

static struct blob *piece(uint64_t index, uint32_t number)
{
    struct blob *b = blob_create(CHUNK_BYTES);

    test_payload(index, number, b->data, b->size);
    return b;
}

/* The current snapshot of a node, as its own one is made. */
static void take_snapshot(struct node *n, uint64_t index, uint32_t count)
{
    struct snapshots *s = n->storage.snapshots;
    struct snapshot_meta meta = {.index = index,
                                 .term = 3,
                                 .configuration_index = 1,
                                 .configuration = blob_copy(lmdb_text("members"))};
    uint64_t id = snapshots_begin(s, &meta);
    struct snapshot_info info;

    for (uint32_t i = 0; i < count; i++)
        snapshots_append(s, id, i, piece(index, i));
    snapshots_seal(s, id, NULL);
    snapshot_meta_finish(&meta);
    while (snapshots_backlog(s) > 0)
        loop_turn(loop);
    snapshots_promote(s, id, false);
    for (bool there = false; !there; loop_turn(loop)) {
        if (!snapshots_pin(s, &info))
            continue;
        there = info.id == id;
        snapshots_release(s, info.id);
        snapshot_info_finish(&info);
    }
}

static void setup(void)
{
    loop = loop_create();
    start(&one, 1);
    start(&two, 2);
    introduce();
    chunks = CHUNKS;
    take_snapshot(&one, INDEX, chunks);
}

static void teardown(void)
{
    stop(&one);
    stop(&two);
    loop_destroy(loop);
    test_dir_finish();
}

static uint32_t count_chunks(const struct node *n)
{
    struct lmdb_txn t;
    struct bytes key;
    uint32_t count = 0;

    lmdb_begin_read(&t, data_dir_snap(n->dir));
    for (bool more = lmdb_first(&t, SNAPSHOTS_CHUNKS, &key); more;
         more = lmdb_next(&t, SNAPSHOTS_CHUNKS, &key))
        count++;
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    return count;
}

static int compare_piece(void *arg, struct bytes bytes, struct error *err)
{
    uint32_t *seen = arg;
    struct blob *expected = piece(INDEX, (*seen)++);

    (void)err;
    ck_assert_uint_eq(bytes.size, expected->size);
    ck_assert_mem_eq(bytes.data, expected->data, bytes.size);
    blob_unref(expected);
    return 0;
}

/* Two has it as its own, byte for byte, and would find it at its next start. */
static void expect_installed(void)
{
    struct snapshot_point point;
    uint32_t seen = 0;
    struct error err;

    wait_until(loop, two.promoted > 0 && one.sent > 0);
    ck_assert_uint_eq(two.promoted, 1);
    ck_assert_uint_eq(two.received, 1);
    ck_assert_uint_eq(two.received_from, 1);
    ck_assert_uint_eq(two.meta.index, INDEX);
    ck_assert_uint_eq(two.meta.term, 3);
    ck_assert_uint_eq(two.meta.configuration_index, 1);
    ck_assert_mem_eq(two.meta.configuration->data, "members", 7);
    ck_assert_uint_eq(one.sent_peer, 2);
    snapshots_close(two.storage.snapshots);
    ck_assert_int_eq(
        snapshots_open(&two.storage.snapshots, data_dir_snap(two.dir), &err), 0);
    point = snapshots_point(two.storage.snapshots);
    ck_assert_uint_eq(point.index, INDEX);
    ck_assert(point.reset);
    ck_assert_msg(snapshots_load(two.storage.snapshots, compare_piece, &seen, &err) ==
                      0,
                  "%s",
                  err.text);
    ck_assert_uint_eq(seen, chunks);
    snapshots_start(two.storage.snapshots, &two.hooks);
}

/* ---- sending and receiving ---- */

START_TEST(a_snapshot_is_installed)
{
    transfers_send(one.master.transfers, 2);
    expect_installed();
    ck_assert_uint_eq(one.sent, 1);
}
END_TEST

START_TEST(repeats_are_ignored)
{
    transfers_send(one.master.transfers, 2);
    transfers_send(one.master.transfers, 2);
    wait_until(loop, server_sessions(two.master.server) > 0);
    transfers_send(one.master.transfers, 2);
    expect_installed();
    let_pass(loop, 5);
    ck_assert_uint_eq(one.sent, 1);
    ck_assert_uint_eq(two.received, 1);
}
END_TEST

START_TEST(what_is_not_wanted_is_dropped)
{
    two.refuses = true;
    transfers_send(one.master.transfers, 2);
    wait_until(loop, one.sent == 1 && two.received == 1);
    wait_until(loop, count_chunks(&two) == 0);
    ck_assert_uint_eq(two.promoted, 0);
    two.refuses = false;
    two.received = 0;
    transfers_send(one.master.transfers, 2);
    expect_installed();
    ck_assert_uint_eq(one.sent, 2);
}
END_TEST

/* What is being sent stays readable until the end, then it goes. */
START_TEST(an_older_one_is_sent_to_its_end)
{
    one.hold_from = 2;
    transfers_send(one.master.transfers, 2);
    wait_until(loop, one.late_count == 1);
    take_snapshot(&one, INDEX + 1, 3);
    take_snapshot(&one, INDEX + 2, 3);
    ck_assert_uint_ge(count_chunks(&one), CHUNKS + 3);
    let_go(&one);
    expect_installed();
    wait_until(loop, count_chunks(&one) == 3);
}
END_TEST

/* While its disk takes nothing, the receiver holds a bounded part and the sender waits. */
START_TEST(a_stuck_disk_is_waited_for)
{
    size_t most = LIMIT_SNAPSHOT_QUEUE_BYTES +
                  5 * CHUNK_BYTES; /* what may wait, what was granted, one at work */
    size_t waits = 0, before;

    chunks = 200;
    take_snapshot(&one, INDEX, chunks);
    disk_set_stuck(true);
    transfers_send(one.master.transfers, 2);
    do { /* until nothing moves */
        before = waits;
        let_pass(loop, 50);
        waits = snapshots_backlog(two.storage.snapshots);
    } while (waits == 0 || waits != before);
    ck_assert_uint_le(waits, most);
    ck_assert_uint_eq(one.sent, 0);
    disk_set_stuck(false);
    expect_installed();
}
END_TEST

/* ---- ends before their time ---- */

/* An answer of the disk to a transfer that has ended is nothing for the one after it. */
START_TEST(a_late_chunk_is_dropped)
{
    one.hold_from = 3;
    transfers_send(one.master.transfers, 2);
    wait_until(loop, one.late_count == 1);
    stop(&two);
    wait_until(loop, one.sent == 1);
    start(&two, 2);
    introduce();
    transfers_send(one.master.transfers, 2);
    wait_until(loop, one.late_count == 2);
    ck_assert_uint_eq(one.late[0].number, 3);
    ck_assert_uint_eq(one.late[1].number, 0);
    let_go(&one);
    expect_installed();
    ck_assert_uint_eq(one.sent, 2);
}
END_TEST

START_TEST(a_receiver_that_dies_ends_the_sending)
{
    one.hold_from = 3;
    transfers_send(one.master.transfers, 2);
    wait_until(loop, one.late_count == 1);
    stop(&two);
    wait_until(loop, one.sent == 1);
    let_go(&one);
    take_snapshot(&one, INDEX + 1, 2);
    wait_until(loop, count_chunks(&one) == 2); /* nothing holds the old one */
    start(&two, 2);
    introduce();
}
END_TEST

START_TEST(a_sender_that_dies_ends_the_draft)
{
    one.hold_from = CHUNKS / 2;
    transfers_send(one.master.transfers, 2);
    wait_until(loop, one.late_count == 1);
    stop(&one);
    start(&one, 1);
    introduce();
    let_pass(loop, 5);
    wait_until(loop, count_chunks(&two) == 0);
    ck_assert_uint_eq(two.received, 0);
    transfers_send(one.master.transfers, 2);
    expect_installed();
}
END_TEST

START_TEST(nobody_listens)
{
    stop(&two);
    transfers_send(one.master.transfers, 2);
    wait_until(loop, one.sent == 1);
    start(&two, 2);
    introduce();
    transfers_send(one.master.transfers, 2);
    expect_installed();
}
END_TEST

/* As when the store finds that a draft is not what was announced. */
START_TEST(a_draft_that_fails_ends_both_sides)
{
    struct snapshot_event failed = {.kind = SNAPSHOT_FAILED, .id = 1};

    error_set(&failed.error, ERROR_INVALID, "it is refused");
    one.hold_from = 3;
    transfers_send(one.master.transfers, 2);
    wait_until(loop, one.late_count == 1);
    transfers_event(two.master.transfers, &failed);
    wait_until(loop, one.sent == 1);
    let_go(&one);
    wait_until(loop, server_sessions(two.master.server) == 0);
    ck_assert_uint_eq(two.received, 0);
    transfers_send(one.master.transfers, 2);
    expect_installed();
}
END_TEST

/* Both in the middle: nothing is called back, and nothing leaks (a sanitizer tells). */
START_TEST(stops_in_the_middle)
{
    one.hold_from = 3;
    transfers_send(one.master.transfers, 2);
    wait_until(loop, one.late_count == 1);
    ck_assert_uint_eq(one.sent, 0);
    ck_assert_uint_eq(two.received, 0);
}
END_TEST

/* ---- more than one ---- */

static struct {
    struct bulk_sender *senders[LIMIT_MASTERS + 1];
    unsigned ended;
    struct error reason;
} crowd;

static void crowd_greet(void *user, struct hello *hello)
{
    (void)user;
    hello->id = 1;
}

static void crowd_pull(void *user, uint32_t number)
{
    (void)user;
    (void)number;
}

static void crowd_ended(void *user, const struct error *reason)
{
    *(struct bulk_sender **)user = NULL;
    crowd.ended++;
    crowd.reason = *reason;
}

/* Each draft takes room on the disk: there is one for each master. */
START_TEST(only_so_many_at_a_time)
{
    static const struct bulk_sender_events EVENTS = {
        crowd_greet, crowd_pull, crowd_ended};
    struct address to = local_address(server_port(two.master.server));
    struct snapshot_meta meta = {.index = INDEX, .term = 3, .size = CHUNK_BYTES};

    for (unsigned i = 0; i <= LIMIT_MASTERS; i++)
        crowd.senders[i] =
            bulk_sender_create(loop, 2, &to, 9, &meta, 0, &EVENTS, &crowd.senders[i]);
    wait_until(loop, crowd.ended == 1);
    ck_assert_int_eq(crowd.reason.code, ERROR_BUSY);
    for (unsigned i = 0; i <= LIMIT_MASTERS; i++)
        bulk_sender_destroy(crowd.senders[i]);
    wait_until(loop, server_sessions(two.master.server) == 0);
    transfers_send(one.master.transfers, 2);
    expect_installed();
}
END_TEST

int main(void)
{
    TCase *cases[] = {
        net_case("send",
                 a_snapshot_is_installed,
                 repeats_are_ignored,
                 what_is_not_wanted_is_dropped,
                 an_older_one_is_sent_to_its_end,
                 a_stuck_disk_is_waited_for),
        net_case("end",
                 a_late_chunk_is_dropped,
                 a_receiver_that_dies_ends_the_sending,
                 a_sender_that_dies_ends_the_draft,
                 nobody_listens,
                 a_draft_that_fails_ends_both_sides,
                 stops_in_the_middle),
        net_case("crowd", only_so_many_at_a_time),
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        tcase_add_checked_fixture(cases[i], setup, teardown);
    return unit_run("transfers", cases, sizeof(cases) / sizeof(cases[0]));
}
