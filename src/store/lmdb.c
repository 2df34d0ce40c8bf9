/* lmdb.c - an LMDB environment as Triarch uses it: checked, sealed, with sticky errors.
 */
#include "store/lmdb.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "store/hooks.h"
#include "store/lmdb_check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SEAL_BYTES        4
#define CREATE_MAP_BYTES  ((size_t)1 << 20)
#define ALMOST_FULL_BYTES (1u << 20)
#define DATA_FILE         "data.mdb"
#define LOCK_FILE         "lock.mdb"

struct lmdb {
    MDB_env *env;
    char *path;
    const struct lmdb_schema *schema;
    MDB_dbi dbis[LMDB_DATABASES_MAX];
    size_t map_bytes;
    size_t page_bytes;
};

/* ---- errors ---- */

static enum error_code code_of(int rc)
{
    switch (rc) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_BAD_TXN:
        return ERROR_CORRUPT;
    case MDB_VERSION_MISMATCH:
        return ERROR_VERSION;
    default:
        return ERROR_IO;
    }
}

static int refuse(struct error *err, int rc, const char *path, const char *what)
{
    return error_set(err, code_of(rc), "%s %s: %s", what, path, mdb_strerror(rc));
}

void lmdb_describe_text(struct bytes key, char *text, size_t size)
{
    snprintf(text, size, "record '%.*s'", (int)key.size, (const char *)key.data);
}

/* ---- files and directories ---- */

static int sync_path(const char *path, int flags, struct error *err)
{
    int fd = open(path, flags | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return error_set(err, ERROR_IO, "open %s: %s", path, strerror(errno));
    rc = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return rc == 0 ? 0 : error_set(err, ERROR_IO, "sync %s: %s", path, strerror(rc));
}

static int sync_directory(const char *path, struct error *err)
{
    return sync_path(path, O_RDONLY | O_DIRECTORY, err);
}

int lmdb_sync_parent(const char *path, struct error *err)
{
    char parent[PATH_MAX];
    char *slash;

    snprintf(parent, sizeof(parent), "%s", path);
    slash = strrchr(parent, '/');
    if (slash == NULL)
        snprintf(parent, sizeof(parent), ".");
    else
        slash[slash == parent] = '\0';
    /* What we may not read is somebody else's, who made our directory in it. */
    if (access(parent, R_OK) != 0 && errno == EACCES)
        return 0;
    return sync_directory(parent, err);
}

/* The path of a file in a directory whose path is not too long (check_path()). */
static void path_in(char out[PATH_MAX], const char *directory, const char *name)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", directory, name);

    ASSERT(n > 0 && n < PATH_MAX);
}

static int check_path(const char *path, struct error *err)
{
    if (strlen(path) <= LMDB_PATH_MAX)
        return 0;
    return error_set(err, ERROR_INVALID, "the path %.64s… is too long", path);
}

static void remove_environment(const char *path)
{
    char file[PATH_MAX];

    path_in(file, path, DATA_FILE);
    unlink(file);
    path_in(file, path, LOCK_FILE);
    unlink(file);
    rmdir(path);
}

/* ---- environments ---- */

static int
open_env(MDB_env **out, const char *path, size_t map_bytes, struct error *err)
{
    MDB_env *env;
    int rc = mdb_env_create(&env);

    if (rc != 0)
        return refuse(err, rc, path, "create");
    if ((rc = mdb_env_set_mapsize(env, map_bytes)) != 0 ||
        (rc = mdb_env_set_maxdbs(env, LMDB_DATABASES_MAX)) != 0 ||
        (rc = mdb_env_open(env, path, MDB_NOTLS | MDB_NORDAHEAD, 0600)) != 0) {
        mdb_env_close(env);
        return refuse(err, rc, path, "open");
    }
    *out = env;
    return 0;
}

static int open_databases(MDB_env *env,
                          const char *path,
                          const struct lmdb_schema *schema,
                          unsigned flags,
                          MDB_dbi *dbis,
                          struct error *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(env, NULL, 0, &txn);

    if (rc != 0)
        return refuse(err, rc, path, "open");
    for (size_t i = 0; i < schema->count && rc == 0; i++) {
        const struct lmdb_database *d = &schema->databases[i];

        rc = mdb_dbi_open(txn, d->name, d->flags | flags, &dbis[i]);
    }
    if (rc != 0)
        mdb_txn_abort(txn);
    else
        rc = mdb_txn_commit(txn);
    return rc == 0 ? 0 : refuse(err, rc, path, "open the databases of");
}

static int
create_in(const char *path, const struct lmdb_schema *schema, struct error *err)
{
    MDB_dbi dbis[LMDB_DATABASES_MAX];
    MDB_env *env;
    int rv;

    if (mkdir(path, 0700) != 0)
        return error_set(err, ERROR_IO, "create %s: %s", path, strerror(errno));
    rv = open_env(&env, path, CREATE_MAP_BYTES, err);
    if (rv != 0)
        return rv;
    rv = open_databases(env, path, schema, MDB_CREATE, dbis, err);
    mdb_env_close(env);
    return rv != 0 ? rv : sync_directory(path, err);
}

int lmdb_create(const char *path, const struct lmdb_schema *schema, struct error *err)
{
    char fresh[LMDB_PATH_MAX + sizeof(".new")];
    int rv = check_path(path, err);

    if (rv != 0)
        return rv;
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    remove_environment(fresh); /* what a crash left of an earlier try */
    rv = create_in(fresh, schema, err);
    if (rv != 0)
        return rv;
    if (rename(fresh, path) != 0)
        return error_set(err, ERROR_IO, "rename %s: %s", fresh, strerror(errno));
    return 0;
}

/* A process that was killed may have left names and bytes that the kernel shows but the
 * disk does not hold yet.  What we are about to believe must be on disk. */
static int sync_environment(const char *path, const char *file, struct error *err)
{
    int rv = sync_path(file, O_RDWR, err);

    if (rv == 0)
        rv = sync_directory(path, err);
    if (rv == 0)
        rv = lmdb_sync_parent(path, err);
    return rv;
}

int lmdb_open(struct lmdb **out,
              const char *path,
              const struct lmdb_schema *schema,
              size_t map_bytes,
              struct error *err)
{
    char file[PATH_MAX];
    struct lmdb *env;
    MDB_stat stat;
    int rv;

    ASSERT(schema->count <= LMDB_DATABASES_MAX);
    *out = NULL;
    rv = check_path(path, err);
    if (rv != 0)
        return rv;
    path_in(file, path, DATA_FILE);
    rv = lmdb_check(file, schema, map_bytes, err);
    if (rv == 0)
        rv = sync_environment(path, file, err);
    if (rv != 0)
        return rv;
    env = mem_zalloc(sizeof(*env));
    env->path = mem_strdup(path);
    env->schema = schema;
    env->map_bytes = map_bytes;
    store_catch_sigbus();
    rv = open_env(&env->env, path, map_bytes, err);
    if (rv == 0)
        rv = open_databases(env->env, path, schema, 0, env->dbis, err);
    if (rv != 0) {
        lmdb_close(env);
        return rv;
    }
    mdb_env_stat(env->env, &stat);
    env->page_bytes = stat.ms_psize;
    *out = env;
    return 0;
}

void lmdb_close(struct lmdb *env)
{
    if (env == NULL)
        return;
    if (env->env != NULL)
        mdb_env_close(env->env);
    mem_free(env->path);
    mem_free(env);
}

const char *lmdb_path(const struct lmdb *env)
{
    return env->path;
}

uint64_t lmdb_free_bytes(const struct lmdb *env)
{
    MDB_envinfo info;
    struct statvfs fs;
    uint64_t in_map, on_disk;

    if (mdb_env_info(env->env, &info) != 0 || statvfs(env->path, &fs) != 0)
        return 0;
    in_map = env->map_bytes - (info.me_last_pgno + 1) * env->page_bytes;
    on_disk = (uint64_t)fs.f_bavail * fs.f_frsize;
    return in_map < on_disk ? in_map : on_disk;
}

/* ---- transactions ---- */

void lmdb_fail(struct lmdb_txn *t, enum error_code code, const char *format, ...)
{
    va_list args;

    if (lmdb_failed(t))
        return;
    t->error.code = code;
    va_start(args, format);
    vsnprintf(t->error.text, sizeof(t->error.text), format, args);
    va_end(args);
}

/* LMDB calls a write that came short an I/O error, which it is seldom. */
static bool is_full(const struct lmdb *env, int rc)
{
    return rc == ENOSPC || (rc == EIO && lmdb_free_bytes(env) < ALMOST_FULL_BYTES);
}

static void fail_rc(struct lmdb_txn *t, int rc, const char *doing)
{
    const char *path = t->env->path;

    if (rc == MDB_MAP_FULL)
        lmdb_fail(t,
                  ERROR_IO,
                  "%s %s: the file has reached its limit of %zu bytes",
                  doing,
                  path,
                  t->env->map_bytes);
    else if (is_full(t->env, rc))
        lmdb_fail(
            t, ERROR_IO, "%s %s: No space left on device: free some", doing, path);
    else
        lmdb_fail(t, code_of(rc), "%s %s: %s", doing, path, mdb_strerror(rc));
}

static void begin(struct lmdb_txn *t, struct lmdb *env, unsigned flags)
{
    int rc;

    *t = (struct lmdb_txn){.env = env};
    rc = mdb_txn_begin(env->env, NULL, flags, &t->txn);
    if (rc != 0)
        fail_rc(t, rc, "begin in");
}

void lmdb_begin_read(struct lmdb_txn *t, struct lmdb *env)
{
    begin(t, env, MDB_RDONLY);
}

void lmdb_begin_write(struct lmdb_txn *t, struct lmdb *env)
{
    begin(t, env, 0);
}

static void close_cursors(struct lmdb_txn *t)
{
    for (unsigned i = 0; i < LMDB_DATABASES_MAX; i++) {
        if (t->cursors[i] != NULL)
            mdb_cursor_close(t->cursors[i]);
        t->cursors[i] = NULL;
    }
}

void lmdb_abort(struct lmdb_txn *t)
{
    if (t->txn == NULL)
        return;
    close_cursors(t);
    mdb_txn_abort(t->txn);
    t->txn = NULL;
}

int lmdb_commit(struct lmdb_txn *t, struct error *err)
{
    if (!lmdb_failed(t)) {
        close_cursors(t);
        int rc = mdb_txn_commit(t->txn);

        t->txn = NULL; /* freed, whatever the outcome */
        if (rc != 0)
            fail_rc(t, rc, "commit to");
    }
    lmdb_abort(t);
    if (lmdb_failed(t) && err != NULL)
        *err = t->error;
    return -(int)t->error.code;
}

static MDB_cursor *cursor(struct lmdb_txn *t, unsigned db)
{
    int rc;

    if (lmdb_failed(t))
        return NULL;
    if (t->cursors[db] == NULL) {
        rc = mdb_cursor_open(t->txn, t->env->dbis[db], &t->cursors[db]);
        if (rc != 0)
            fail_rc(t, rc, "read");
    }
    return t->cursors[db];
}

static MDB_val to_val(struct bytes b)
{
    return (MDB_val){b.size, (void *)(uintptr_t)b.data};
}

static struct bytes to_bytes(MDB_val v)
{
    return (struct bytes){v.mv_data, v.mv_size};
}

/* ---- records ---- */

static bool verify(
    struct lmdb_txn *t, unsigned db, struct bytes key, MDB_val v, struct bytes *value)
{
    char name[96];
    const uint8_t *bytes = v.mv_data;
    size_t size = v.mv_size - SEAL_BYTES;

    if (v.mv_size >= SEAL_BYTES &&
#ifndef MUTANT_NO_CRC
        load_u32(bytes + size) == crc32c(crc32c(0, key.data, key.size), bytes, size)
#else
        bytes != NULL
#endif
    ) {
        *value = (struct bytes){bytes, size};
        return true;
    }
    t->env->schema->databases[db].describe(key, name, sizeof(name));
    lmdb_fail(t,
              ERROR_CORRUPT,
              "%s: %s does not verify (CRC32C): the disk gave back other bytes than "
              "were written",
              t->env->path,
              name);
    return false;
}

bool lmdb_get(struct lmdb_txn *t, unsigned db, struct bytes key, struct bytes *value)
{
    MDB_val k = to_val(key), v;
    int rc;

    *value = (struct bytes){0};
    if (lmdb_failed(t))
        return false;
    rc = mdb_get(t->txn, t->env->dbis[db], &k, &v);
    if (rc == MDB_NOTFOUND)
        return false;
    if (rc != 0) {
        fail_rc(t, rc, "read");
        return false;
    }
    return verify(t, db, key, v, value);
}

static void put(struct lmdb_txn *t,
                unsigned db,
                struct bytes key,
                const struct bytes *parts,
                size_t count,
                unsigned flags)
{
    MDB_cursor *c = cursor(t, db);
    MDB_val k = to_val(key), v = {SEAL_BYTES, NULL};
    uint8_t *to;
    int rc;

    if (c == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        v.mv_size += parts[i].size;
    rc = mdb_cursor_put(c, &k, &v, MDB_RESERVE | flags);
    if (rc != 0) {
        fail_rc(t, rc, "write to");
        return;
    }
    to = v.mv_data;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size > 0)
            memcpy(to, parts[i].data, parts[i].size);
        to += parts[i].size;
    }
    store_u32(to,
              crc32c(crc32c(0, key.data, key.size), v.mv_data, v.mv_size - SEAL_BYTES));
}

void lmdb_put(struct lmdb_txn *t, unsigned db, struct bytes key, struct bytes value)
{
    put(t, db, key, &value, 1, 0);
}

void lmdb_append(struct lmdb_txn *t,
                 unsigned db,
                 struct bytes key,
                 const struct bytes *parts,
                 size_t count)
{
    put(t, db, key, parts, count, MDB_APPEND);
}

void lmdb_clear(struct lmdb_txn *t, unsigned db)
{
    int rc;

    if (lmdb_failed(t))
        return;
    rc = mdb_drop(t->txn, t->env->dbis[db], 0);
    if (rc != 0)
        fail_rc(t, rc, "clear");
}

static bool move(struct lmdb_txn *t,
                 unsigned db,
                 MDB_cursor_op op,
                 struct bytes from,
                 struct bytes *key)
{
    MDB_cursor *c = cursor(t, db);
    MDB_val k = to_val(from), v;
    int rc;

    *key = (struct bytes){0};
    if (c == NULL)
        return false;
    rc = mdb_cursor_get(c, &k, &v, op);
    if (rc == 0) {
        *key = to_bytes(k);
        return true;
    }
    if (rc != MDB_NOTFOUND)
        fail_rc(t, rc, "read");
    return false;
}

bool lmdb_first(struct lmdb_txn *t, unsigned db, struct bytes *key)
{
    return move(t, db, MDB_FIRST, (struct bytes){0}, key);
}

bool lmdb_last(struct lmdb_txn *t, unsigned db, struct bytes *key)
{
    return move(t, db, MDB_LAST, (struct bytes){0}, key);
}

bool lmdb_next(struct lmdb_txn *t, unsigned db, struct bytes *key)
{
    return move(t, db, MDB_NEXT, (struct bytes){0}, key);
}

bool lmdb_seek(struct lmdb_txn *t, unsigned db, struct bytes from, struct bytes *key)
{
    return move(t, db, MDB_SET_RANGE, from, key);
}

bool lmdb_here(struct lmdb_txn *t, unsigned db, struct bytes *value)
{
    MDB_cursor *c = cursor(t, db);
    MDB_val k, v;
    int rc;

    *value = (struct bytes){0};
    if (c == NULL)
        return false;
    rc = mdb_cursor_get(c, &k, &v, MDB_GET_CURRENT);
    if (rc != 0) {
        fail_rc(t, rc, "read");
        return false;
    }
    return verify(t, db, to_bytes(k), v, value);
}

size_t lmdb_remove_here(struct lmdb_txn *t, unsigned db)
{
    MDB_cursor *c = cursor(t, db);
    MDB_val k, v;
    int rc;

    if (c == NULL)
        return 0;
    rc = mdb_cursor_get(c, &k, &v, MDB_GET_CURRENT);
    if (rc == 0)
        rc = mdb_cursor_del(c, 0);
    if (rc != 0) {
        fail_rc(t, rc, "remove from");
        return 0;
    }
    return v.mv_size;
}
