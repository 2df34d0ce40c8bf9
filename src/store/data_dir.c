/* data_dir.c - the data directory of one master: lock, identity, and its two
 * environments. */
#include "store/data_dir.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "store/dir_lock.h"
#include "store/raft_log.h"
#include "store/snapshots.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Who a directory belongs to; the record `owner` in both environments. */
struct owner {
    uint32_t format;
    uint64_t node;
    uint8_t cluster[16];
};

#define OWNER_BYTES 28

struct data_dir {
    int lock;
    char *path;
    struct owner owner;
    bool empty;
    bool has_cluster_id;
    uint8_t cluster_id[16];
    struct lmdb *log;
    struct lmdb *snap;
};

/* ---- identity ---- */

static struct bytes encode_owner(const struct owner *o, uint8_t bytes[OWNER_BYTES])
{
    store_u32(bytes, o->format);
    store_u64(bytes + 4, o->node);
    memcpy(bytes + 12, o->cluster, sizeof(o->cluster));
    return (struct bytes){bytes, OWNER_BYTES};
}

static const char *hex(const uint8_t bytes[16], char text[33])
{
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return text;
}

static void
check_owner(const struct data_dir *d, struct lmdb_txn *t, struct bytes found)
{
    const struct owner *o = &d->owner;
    char was[33], is[33];

    if (found.size < 4 || load_u32(found.data) != o->format)
        lmdb_fail(t,
                  ERROR_VERSION,
                  "data directory %s has format %" PRIu32
                  ", this program reads format %" PRIu32
                  ": use the version of Triarch that wrote it",
                  d->path,
                  found.size < 4 ? 0 : load_u32(found.data),
                  o->format);
    else if (found.size != OWNER_BYTES)
        lmdb_fail(
            t, ERROR_CORRUPT, "%s: record 'owner' has a wrong size", lmdb_path(t->env));
    else if (load_u64(found.data + 4) != o->node)
        lmdb_fail(t,
                  ERROR_CONFLICT,
                  "data directory %s belongs to master %" PRIu64
                  ", but --id says %" PRIu64 ": correct --id or --data-dir",
                  d->path,
                  load_u64(found.data + 4),
                  o->node);
    else if (memcmp(found.data + 12, o->cluster, sizeof(o->cluster)) != 0)
        lmdb_fail(t,
                  ERROR_WRONG_CLUSTER,
                  "data directory %s was founded with another --cluster (hash %s, now "
                  "%s): use "
                  "the --cluster it was founded with, or another --data-dir",
                  d->path,
                  hex(found.data + 12, was),
                  hex(o->cluster, is));
}

/* Count the starts: a commit that proves the disk before anything rests on it. */
static void count_boot(struct lmdb_txn *t, unsigned db)
{
    struct bytes old;
    uint8_t boots[8];
    uint64_t n = lmdb_get(t, db, lmdb_text("boots"), &old) && old.size == 8
                     ? load_u64(old.data)
                     : 0;

    store_u64(boots, n + 1);
    lmdb_put(t, db, lmdb_text("boots"), (struct bytes){boots, sizeof(boots)});
}

static void load_cluster_id(struct data_dir *d, struct lmdb_txn *t)
{
    struct bytes id;

    if (!lmdb_get(t, RAFT_LOG_META, lmdb_text("cluster_id"), &id))
        return;
    if (id.size != sizeof(d->cluster_id)) {
        lmdb_fail(t,
                  ERROR_CORRUPT,
                  "%s: record 'cluster_id' has a wrong size",
                  lmdb_path(t->env));
        return;
    }
    memcpy(d->cluster_id, id.data, id.size);
    d->has_cluster_id = true;
}

static int check_log(struct data_dir *d, struct error *err)
{
    struct lmdb_txn t;
    struct bytes owner, key;

    lmdb_begin_write(&t, d->log);
    d->empty = !lmdb_get(&t, RAFT_LOG_META, lmdb_text("owner"), &owner);
    if (!d->empty) {
        check_owner(d, &t, owner);
        load_cluster_id(d, &t);
        count_boot(&t, RAFT_LOG_META);
    } else if (lmdb_first(&t, RAFT_LOG_META, &key) ||
               lmdb_first(&t, RAFT_LOG_ENTRIES, &key)) {
        lmdb_fail(
            &t, ERROR_CORRUPT, "%s: record 'owner' is missing", lmdb_path(d->log));
    }
    return lmdb_commit(&t, err);
}

/* The log is founded first, then the snapshots; so the other way round something was
 * lost. */
static int check_snap(struct data_dir *d, struct error *err)
{
    struct lmdb_txn t;
    struct bytes owner, key;
    uint8_t bytes[OWNER_BYTES];
    bool founded;

    lmdb_begin_write(&t, d->snap);
    founded = lmdb_get(&t, SNAPSHOTS_META, lmdb_text("owner"), &owner);
    if (d->empty && (founded || lmdb_first(&t, SNAPSHOTS_META, &key)))
        lmdb_fail(&t,
                  ERROR_CORRUPT,
                  "%s has data, but %s/log is empty: the log was lost",
                  lmdb_path(d->snap),
                  d->path);
    if (founded)
        check_owner(d, &t, owner);
    else if (!d->empty && lmdb_first(&t, SNAPSHOTS_META, &key))
        lmdb_fail(
            &t, ERROR_CORRUPT, "%s: record 'owner' is missing", lmdb_path(d->snap));
    else if (!d->empty)
        lmdb_put(
            &t, SNAPSHOTS_META, lmdb_text("owner"), encode_owner(&d->owner, bytes));
    if (!d->empty)
        count_boot(&t, SNAPSHOTS_META);
    return lmdb_commit(&t, err);
}

/* ---- open ---- */

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

/* `snap` is made, and durable, before `log` is: so `log` alone, or `log` missing beside a founded
 * `snap` (check_snap), means that somebody removed what a crash cannot. */
static int open_environments(struct data_dir *d,
                             const struct data_dir_options *o,
                             struct error *err)
{
    char log[PATH_MAX], snap[PATH_MAX];
    size_t log_bytes = o->log_map_bytes != 0 ? o->log_map_bytes : LIMIT_LOG_FILE_BYTES;
    size_t snap_bytes =
        o->snap_map_bytes != 0 ? o->snap_map_bytes : LIMIT_SNAPSHOT_FILE_BYTES;
    int rv = 0;

    snprintf(log, sizeof(log), "%s/log", d->path);
    snprintf(snap, sizeof(snap), "%s/snap", d->path);
    if (!exists(snap) && exists(log))
        return error_set(err, ERROR_CORRUPT, "%s is missing beside %s", snap, log);
    if (!exists(snap))
        rv = lmdb_create(snap, &snapshots_schema, err);
    if (rv == 0)
        rv = lmdb_open(&d->snap, snap, &snapshots_schema, snap_bytes, err);
    if (rv == 0 && !exists(log))
        rv = lmdb_create(log, &raft_log_schema, err);
    if (rv == 0)
        rv = lmdb_open(&d->log, log, &raft_log_schema, log_bytes, err);
    return rv;
}

static int make_directory(const char *path, struct error *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_set(
            err, ERROR_IO, "create data directory %s: %s", path, strerror(errno));
    return lmdb_sync_parent(path, err);
}

int data_dir_advise(int rv, struct error *err)
{
    static const char advice[] =
        "; this master cannot vote with it: repair the disk, or leave this master off";
    size_t used;

    if (rv != -(int)ERROR_CORRUPT || err == NULL ||
        strstr(err->text, advice + 2) != NULL)
        return rv;
    used = strnlen(err->text, sizeof(err->text) - sizeof(advice));
    snprintf(err->text + used, sizeof(err->text) - used, "%s", advice);
    return rv;
}

/* The path without slashes at its end, so that its parent is what stands before the
 * last. */
static char *clean_path(const char *path)
{
    char *clean = mem_strdup(path);

    for (size_t n = strlen(clean); n > 1 && clean[n - 1] == '/'; n--)
        clean[n - 1] = '\0';
    return clean;
}

static const struct dir_lock_names names = {"data directory", "--data-dir"};

int data_dir_open(struct data_dir **out,
                  const struct data_dir_options *o,
                  struct error *err)
{
    struct data_dir *d = mem_zalloc(sizeof(*d));
    int rv;

    d->lock = -1;
    d->path = clean_path(o->path);
    d->owner = (struct owner){.format = DATA_DIR_FORMAT, .node = o->node};
    memcpy(d->owner.cluster, o->cluster, sizeof(o->cluster));
    if (strlen(d->path) > LMDB_PATH_MAX - sizeof("/snap"))
        rv =
            error_set(err, ERROR_INVALID, "the path of the data directory is too long");
    else
        rv = make_directory(d->path, err);
    if (rv == 0)
        rv = dir_lock_take(&d->lock, d->path, &names, err);
    if (rv == 0)
        rv = open_environments(d, o, err);
    if (rv == 0)
        rv = check_log(d, err);
    if (rv == 0)
        rv = check_snap(d, err);
    if (rv != 0) {
        data_dir_close(d);
        d = NULL;
    }
    *out = d;
    return data_dir_advise(rv, err);
}

void data_dir_close(struct data_dir *d)
{
    if (d == NULL)
        return;
    lmdb_close(d->log);
    lmdb_close(d->snap);
    dir_lock_release(d->lock);
    mem_free(d->path);
    mem_free(d);
}

bool data_dir_is_empty(const struct data_dir *d)
{
    return d->empty;
}

int data_dir_found(struct data_dir *d, struct bytes configuration, struct error *err)
{
    struct lmdb_txn t;
    uint8_t bytes[OWNER_BYTES];
    int rv;

    ASSERT(d->empty);
    lmdb_begin_write(&t, d->log);
    lmdb_put(&t, RAFT_LOG_META, lmdb_text("owner"), encode_owner(&d->owner, bytes));
    raft_log_found(&t, configuration);
    rv = lmdb_commit(&t, err);
    if (rv != 0)
        return rv;
    d->empty = false;
    return check_snap(d, err);
}

bool data_dir_cluster_id(const struct data_dir *d, uint8_t id[16])
{
    if (d->has_cluster_id)
        memcpy(id, d->cluster_id, sizeof(d->cluster_id));
    return d->has_cluster_id;
}

void data_dir_put_cluster_id(struct lmdb_txn *t, const uint8_t id[16])
{
    struct bytes old;

    if (lmdb_get(t, RAFT_LOG_META, lmdb_text("cluster_id"), &old) &&
        (old.size != 16 || memcmp(old.data, id, 16) != 0))
        lmdb_fail(t,
                  ERROR_WRONG_CLUSTER,
                  "%s: the cluster changed its id",
                  lmdb_path(t->env));
    lmdb_put(t, RAFT_LOG_META, lmdb_text("cluster_id"), (struct bytes){id, 16});
}

struct lmdb *data_dir_log(struct data_dir *d)
{
    return d->log;
}

struct lmdb *data_dir_snap(struct data_dir *d)
{
    return d->snap;
}
