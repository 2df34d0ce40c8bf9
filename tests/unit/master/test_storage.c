/* test_storage.c - the store of a master between its threads and the loop.
 *
 * Core and transfers are played: what they hear is counted.
 */
#include "master/storage.h"

#include "base/mem.h"
#include "master/transfers.h"
#include "tests/unit/net/net_test.h"
#include "tests/unit/store/store_test.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINES_MAX 8192

static struct master m;

/* What the core heard. */
static struct {
    unsigned starts;
    bool empty;
    uint64_t term, vote, snapshot;
    uint32_t entries;
    uint64_t durable;
    unsigned written, saved, promoted;
    uint64_t read_peer;
    uint32_t read_count;
    struct buffer restored, loaded;
    bool loaded_all;
    enum error_code restore_fails;
} core;

/* ---- the rest of the master ---- */

void drive(struct master *master, struct master_event *event)
{
    ck_assert_ptr_eq(master, &m);
    ck_assert_int_eq(event->kind, MASTER_START);
    core.starts++;
    core.empty = event->start.empty;
    if (core.empty)
        return;
    core.term = event->start.term;
    core.vote = event->start.vote;
    core.snapshot = event->start.snapshot != NULL ? event->start.snapshot->index : 0;
    core.entries = event->start.entries->count;
    log_entries_finish(event->start.entries);
}

void drive_replica(struct master *master, struct replica_event *event)
{
    ck_assert_ptr_eq(master, &m);
    switch (event->kind) {
    case REPLICA_DURABLE:
        core.durable = event->durable.sequence;
        break;
    case REPLICA_ENTRIES_READ:
        core.read_peer = event->entries_read.peer;
        core.read_count = event->entries_read.entries->count;
        log_entries_finish(event->entries_read.entries);
        break;
    case REPLICA_SNAPSHOT_WRITTEN:
        core.written++;
        break;
    case REPLICA_SNAPSHOT_SAVED:
        core.saved++;
        break;
    case REPLICA_SNAPSHOT_DATA:
        ck_assert(!core.loaded_all);
        buffer_append(&core.loaded,
                      event->snapshot_data.bytes.data,
                      event->snapshot_data.bytes.size);
        core.loaded_all = event->snapshot_data.last;
        break;
    default:
        ck_abort_msg("event %d", event->kind);
    }
}

int master_restore(struct master_core *c, struct bytes piece, struct error *err)
{
    (void)c;
    (void)err;
    buffer_append(&core.restored, piece.data, piece.size);
    return 0;
}

int master_restore_end(struct master_core *c,
                       const struct snapshot_meta *meta,
                       struct error *err)
{
    (void)c;
    ck_assert_uint_gt(meta->index, 0);
    if (core.restore_fails != ERROR_NONE)
        return error_set(err, core.restore_fails, "its bytes make no state");
    return 0;
}

/* Installs at once what a peer sent. */
void transfers_event(struct transfers *t, const struct snapshot_event *event)
{
    (void)t;
    if (event->kind == SNAPSHOT_SEALED)
        snapshots_promote(storage_snapshots(m.storage), event->id, true);
    if (event->kind == SNAPSHOT_CURRENT)
        core.promoted++;
}

void transfers_room(struct transfers *t)
{
    (void)t;
}

/* ---- the fixture ---- */

static int try_start(struct error *err)
{
    memset(&m, 0, sizeof(m));
    m.id = 1;
    m.cluster.count = 1;
    m.cluster.members[0].id = 1;
    m.cluster.members[0].address = local_address(5049);
    m.loop = loop_create();
    if (storage_open(&m.storage, &m, test_path("data"), err) != 0)
        return -(int)err->code;
    return storage_start(m.storage, err);
}

static void start(void)
{
    struct error err;

    buffer_finish(&core.restored);
    buffer_finish(&core.loaded);
    memset(&core, 0, sizeof(core));
    ck_assert_msg(try_start(&err) == 0, "%s", err.text);
    ck_assert_uint_eq(core.starts, 1);
}

static void stop(void)
{
    storage_close(m.storage);
    loop_destroy(m.loop);
}

static void found(void)
{
    struct error err;

    start();
    ck_assert(core.empty);
    ck_assert_msg(
        storage_found(m.storage, lmdb_text("members"), &err) == 0, "%s", err.text);
}

static void restart(void)
{
    stop();
    start();
    ck_assert(!core.empty);
}

static void persist(struct log_op *op)
{
    storage_persist(m.storage, op);
    storage_submit(m.storage);
}

/* ---- own snapshots, as the replica takes them ---- */

static struct snapshot_meta meta_at(uint64_t index)
{
    return (struct snapshot_meta){.index = index, .term = 1, .configuration_index = 1};
}

static void take_chunks(uint64_t index, unsigned count, size_t size)
{
    struct snapshot_meta meta = meta_at(index);

    storage_snapshot_begin(m.storage, &meta);
    for (unsigned i = 0; i < count; i++) {
        unsigned before = core.written;
        struct blob *chunk = blob_create(size);

        test_payload(index, i, chunk->data, size);
        storage_snapshot_chunk(m.storage, chunk);
        wait_until(m.loop, core.written > before);
    }
}

static void
expect_bytes(const struct buffer *b, uint64_t index, unsigned count, size_t size)
{
    uint8_t expected[4096];

    ck_assert_uint_eq(b->size, count * size);
    for (unsigned i = 0; i < count; i++) {
        test_payload(index, i, expected, size);
        ck_assert_mem_eq(b->data + i * size, expected, size);
    }
}

/* A snapshot of another master, installed. */
static void install(uint64_t index, unsigned count, size_t size)
{
    struct snapshots *s = storage_snapshots(m.storage);
    struct snapshot_meta meta = meta_at(index);
    unsigned before = core.promoted;
    uint64_t id = snapshots_begin(s, &meta);

    for (unsigned i = 0; i < count; i++) {
        struct blob *chunk = blob_create(size);

        test_payload(index, i, chunk->data, size);
        snapshots_append(s, id, i, chunk);
    }
    snapshots_seal(s, id, NULL);
    wait_until(m.loop, core.promoted > before);
}

/* ---- tests ---- */

START_TEST(tells_what_is_durable)
{
    found();
    persist(test_append(1, 2, 10, 1, 100));
    persist(test_meta(2, 3, 1));
    wait_until(m.loop, core.durable == 2);
    storage_read(m.storage, 7, 5, 100, 1 << 20);
    wait_until(m.loop, core.read_peer == 7);
    ck_assert_uint_eq(core.read_count, 7);
    restart();
    ck_assert_uint_eq(core.term, 3);
    ck_assert_uint_eq(core.vote, 1);
    ck_assert_uint_eq(core.entries, 11);
    ck_assert_uint_eq(core.snapshot, 0);
    stop();
}
END_TEST

START_TEST(saves_a_snapshot_of_its_own)
{
    found();
    persist(test_append(1, 2, 49, 1, 100));
    wait_until(m.loop, core.durable == 1);
    take_chunks(50, 5, 3000);
    storage_snapshot_commit(m.storage);
    wait_until(m.loop, core.saved == 1);
    ck_assert_uint_eq(core.written, 5);
    restart();
    ck_assert_uint_eq(core.snapshot, 50);
    expect_bytes(&core.restored, 50, 5, 3000);
    stop();
}
END_TEST

START_TEST(loads_what_was_installed)
{
    found();
    install(60, 4, 2000);
    storage_snapshot_load(m.storage);
    wait_until(m.loop, core.loaded_all);
    expect_bytes(&core.loaded, 60, 4, 2000);
    persist(test_reset(1, 60));
    wait_until(m.loop, core.durable == 1);
    restart();
    ck_assert_uint_eq(core.snapshot, 60);
    ck_assert_uint_eq(core.entries, 0);
    expect_bytes(&core.restored, 60, 4, 2000);
    stop();
}
END_TEST

/* Its own draft is whole, but a newer one came from the leader: that is no failure. */
START_TEST(drops_a_snapshot_that_was_overtaken)
{
    found();
    take_chunks(50, 2, 1000);
    install(60, 1, 1000);
    storage_snapshot_commit(m.storage);
    take_chunks(70, 3, 1000);
    storage_snapshot_commit(m.storage);
    wait_until(m.loop, core.saved == 1);
    stop();
}
END_TEST

START_TEST(drops_a_snapshot_that_was_abandoned)
{
    found();
    take_chunks(50, 2, 1000);
    storage_snapshot_abandon(m.storage);
    take_chunks(50, 3, 1000);
    storage_snapshot_commit(m.storage);
    wait_until(m.loop, core.saved == 1);
    ck_assert_uint_eq(core.written, 5);
    stop();
}
END_TEST

/* ---- the end of the process ---- */

/* Run `body` in a process of its own; what it wrote to stderr last, and its status. */
static int last_line(void (*body)(void), char text[LINES_MAX], const char **line)
{
    size_t size = 0;
    int out[2], status;
    pid_t pid;
    ssize_t n;

    test_dir(); /* so that this process removes it */
    ck_assert_int_eq(pipe(out), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(out[1], STDERR_FILENO);
        close(out[0]);
        close(out[1]);
        body();
        _exit(0);
    }
    close(out[1]);
    while ((n = read(out[0], text + size, LINES_MAX - 1 - size)) > 0)
        size += (size_t)n;
    close(out[0]);
    text[size] = '\0';
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    while (size > 0 && text[size - 1] == '\n')
        text[--size] = '\0';
    *line = strrchr(text, '\n') != NULL ? strrchr(text, '\n') + 1 : text;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void take_a_bad_snapshot(void)
{
    found();
    take_chunks(50, 1, LIMIT_SNAPSHOT_CHUNK_BYTES + 1);
    storage_snapshot_commit(m.storage);
    wait_until(m.loop, core.saved == 1);
}

/* A master that cannot save its state ends: its log would grow without end. */
START_TEST(ends_when_its_snapshot_fails)
{
    char text[LINES_MAX];
    const char *line;

    ck_assert_int_eq(last_line(take_a_bad_snapshot, text, &line), 70);
    ck_assert_msg(strstr(line,
                         "stopping, because storage failed: own snapshot: the "
                         "snapshot at 50 is refused: size of a chunk") != NULL,
                  "%s",
                  line);
}
END_TEST

static void flip_entry(void)
{
    static uint8_t file[1 << 20];
    uint8_t payload[300], *at;
    size_t size;
    FILE *f = fopen(test_path("data/log/data.mdb"), "r+");

    ck_assert_ptr_nonnull(f);
    size = fread(file, 1, sizeof(file), f);
    test_payload(5, 1, payload, sizeof(payload));
    at = memmem(file, size, payload, sizeof(payload));
    ck_assert_ptr_nonnull(at);
    fseek(f, at - file, SEEK_SET);
    fputc(at[0] ^ 1, f);
    fclose(f);
}

static void read_a_bad_entry(void)
{
    found();
    persist(test_append(1, 2, 10, 1, 300));
    wait_until(m.loop, core.durable == 1);
    flip_entry();
    storage_read(m.storage, 2, 2, 100, 1 << 20);
    wait_until(m.loop, core.read_peer == 2);
}

/* Damage that shows while the master runs is told like that which shows at its start. */
START_TEST(ends_when_an_entry_does_not_verify)
{
    struct error err;
    char text[LINES_MAX];
    const char *line;

    ck_assert_int_eq(last_line(read_a_bad_entry, text, &line), 70);
    ck_assert_msg(strstr(line, "log: entry 5 does not verify") != NULL, "%s", line);
    ck_assert_msg(
        strstr(line, "this master cannot vote with it: repair") != NULL, "%s", line);
    ck_assert_int_eq(try_start(&err), -ERROR_CORRUPT);
    ck_assert_msg(
        strstr(err.text, "log: entry 5 does not verify") != NULL, "%s", err.text);
    ck_assert_msg(
        strstr(err.text, "cannot vote with it: repair") != NULL, "%s", err.text);
    stop();
}
END_TEST

static void read_what_was_cut_off(void)
{
    found();
    persist(test_append(1, 2, 2000, 1, 300));
    wait_until(m.loop, core.durable == 1);
    ck_assert_int_eq(truncate(test_path("data/log/data.mdb"), 8192), 0);
    storage_read(m.storage, 2, 2, 100, 1 << 20);
    wait_until(m.loop, core.read_peer == 2);
}

START_TEST(ends_when_a_page_cannot_be_read)
{
    char text[LINES_MAX];
    const char *line;

    ck_assert_int_eq(last_line(read_what_was_cut_off, text, &line), 70);
    ck_assert_msg(
        strstr(line, "storage failed: a page of a data file cannot be read") != NULL,
        "%s",
        line);
}
END_TEST

START_TEST(says_what_to_do_about_a_bad_snapshot)
{
    struct error err;

    found();
    install(60, 1, 1000);
    stop();
    core.restore_fails = ERROR_CORRUPT;
    ck_assert_int_eq(try_start(&err), -ERROR_CORRUPT);
    ck_assert_msg(strstr(err.text, "make no state; this master cannot vote with it") !=
                      NULL,
                  "%s",
                  err.text);
    stop();
}
END_TEST

static void teardown(void)
{
    buffer_finish(&core.restored);
    buffer_finish(&core.loaded);
    test_dir_finish();
}

int main(void)
{
    TCase *cases[] = {
        net_case("run",
                 tells_what_is_durable,
                 saves_a_snapshot_of_its_own,
                 loads_what_was_installed,
                 drops_a_snapshot_that_was_overtaken,
                 drops_a_snapshot_that_was_abandoned),
        net_case("end",
                 ends_when_its_snapshot_fails,
                 ends_when_an_entry_does_not_verify,
                 ends_when_a_page_cannot_be_read,
                 says_what_to_do_about_a_bad_snapshot),
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        tcase_add_checked_fixture(cases[i], NULL, teardown);
    return unit_run("storage", cases, sizeof(cases) / sizeof(cases[0]));
}
