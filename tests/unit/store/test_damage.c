/* test_damage.c - a flipped bit in a record of any kind is found, named and refused. */
#include "store_test.h"

#include "base/crc32c.h"
#include "base/rng.h"
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const uint8_t cluster_id[16] = {5, 6, 7};

static const uint8_t chunk_key[12] = {[7] = 1, [11] = 1}; /* chunk 1 of snapshot 1 */
static const uint64_t index_of_entry = 7;

static const struct record {
    const char *env;
    unsigned db;
    struct bytes key;
    const char *named;
} records[] = {
    {"log",
     RAFT_LOG_ENTRIES,
     {(const uint8_t *)&index_of_entry, 8},
     "log: entry 7 does not"},
    {"log",
     RAFT_LOG_META,
     {(const uint8_t *)"owner", 5},
     "log: record 'owner' does not"},
    {"log", RAFT_LOG_META, {(const uint8_t *)"vote", 4}, "log: record 'vote' does not"},
    {"log", RAFT_LOG_META, {(const uint8_t *)"base", 4}, "log: record 'base' does not"},
    {"log",
     RAFT_LOG_META,
     {(const uint8_t *)"boots", 5},
     "log: record 'boots' does not"},
    {"log",
     RAFT_LOG_META,
     {(const uint8_t *)"cluster_id", 10},
     "log: record 'cluster_id' does not"},
    {"snap",
     SNAPSHOTS_META,
     {(const uint8_t *)"owner", 5},
     "snap: record 'owner' does not"},
    {"snap",
     SNAPSHOTS_META,
     {(const uint8_t *)"boots", 5},
     "snap: record 'boots' does not"},
    {"snap",
     SNAPSHOTS_META,
     {(const uint8_t *)"current", 7},
     "snap: record 'current' does not"},
    {"snap", SNAPSHOTS_CHUNKS, {chunk_key, 12}, "snap: chunk 1 of snapshot 1 does not"},
};

#define PIECE "some bytes of a snapshot"

#define RECORDS (sizeof(records) / sizeof(records[0]))

static void put_snapshot(struct data_dir *d)
{
    struct snapshot_info info = {.id = 1, .meta = {.index = 5, .term = 1}, .chunks = 3};
    struct lmdb_txn t;

    lmdb_begin_write(&t, data_dir_snap(d));
    for (uint32_t n = 0; n < info.chunks; n++)
        snapshot_put_chunk(&t, info.id, n, lmdb_text(PIECE));
    info.meta.size = info.chunks * strlen(PIECE);
    for (uint32_t n = 0; n < info.chunks; n++)
        info.crc = crc32c(info.crc, PIECE, strlen(PIECE));
    snapshot_put_current(&t, &info);
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
}

/* A directory with a record of each kind. */
static void fill(void)
{
    struct data_dir *d = test_open_founded();
    struct raft_log *log = test_open_log(d, 0, 0);
    struct lmdb_txn t;

    test_apply(log, data_dir_log(d), test_append(1, 2, 20, 1, 100));
    raft_log_close(log);
    lmdb_begin_write(&t, data_dir_log(d));
    data_dir_put_cluster_id(&t, cluster_id);
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    put_snapshot(d);
    data_dir_close(d);
}

/* The bytes of a record with its seal, as they lie in the file. */
static struct blob *read_record(const struct record *r)
{
    struct data_dir *d = test_open();
    struct lmdb *env = strcmp(r->env, "log") == 0 ? data_dir_log(d) : data_dir_snap(d);
    struct lmdb_txn t;
    struct bytes value;
    struct blob *sealed;

    lmdb_begin_read(&t, env);
    ck_assert_msg(lmdb_get(&t, r->db, r->key, &value), "%s", r->named);
    sealed = blob_copy((struct bytes){value.data, value.size + 4});
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    data_dir_close(d);
    return sealed;
}

/* Flip a bit of the record wherever the file has it: old copies do not matter. */
static void flip(const struct record *r, const struct blob *from, size_t bit)
{
    static uint8_t file[1 << 20];
    char name[64];
    unsigned found = 0;
    uint8_t *at = file;
    ssize_t size;
    int fd;

    snprintf(name, sizeof(name), "data/%s/data.mdb", r->env);
    fd = open(test_path(name), O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    size = pread(fd, file, sizeof(file), 0);
    ck_assert_int_gt(size, 0);
    while ((at = memmem(at, (size_t)(file + size - at), from->data, from->size)) !=
           NULL) {
        at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        at += from->size;
        found++;
    }
    ck_assert_msg(found > 0, "%s", r->named);
    ck_assert_int_eq(pwrite(fd, file, (size_t)size, 0), size);
    close(fd);
}

START_TEST(names_every_kind_of_record)
{
    const struct record *r = &records[_i];
    struct rng rng = {test_seed()};
    struct blob *sealed, *flipped;
    struct error err;
    size_t bit;

    fill();
    ck_assert_msg(test_start(&err) == 0, "%s", err.text);
    sealed = read_record(r);
    bit = rng_below(&rng, sealed->size * 8);
    flipped = blob_copy(blob_view(sealed));
    flipped->data[bit / 8] ^= (uint8_t)(1 << bit % 8);

    flip(r, sealed, bit);
    ck_assert_int_eq(test_start(&err), -ERROR_CORRUPT);
    ck_assert_msg(strstr(err.text, r->named) != NULL, "%s", err.text);
    ck_assert_msg(
        strstr(err.text, "this master cannot vote with it") != NULL, "%s", err.text);
    flip(r, flipped, bit);
    ck_assert_msg(test_start(&err) == 0, "%s", err.text);
    blob_unref(sealed);
    blob_unref(flipped);
}
END_TEST

int main(void)
{
    TCase *c = test_slow(tcase_create("damage"));

    tcase_add_loop_test(c, names_every_kind_of_record, 0, RECORDS);
    return unit_run("damage", &c, 1);
}
