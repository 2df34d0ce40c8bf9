/* lmdb.h - an LMDB environment as Triarch uses it: checked, sealed, with sticky errors.
 *
 * Checked: opening verifies the file's page structure by reading it (lmdb_check.h)
 * before anything is mapped, so that a damaged file is an error and not a SIGBUS.
 * Sealed: every record ends with the CRC32C of its key and its bytes; it is written by
 * lmdb_put() and verified by whatever hands out a value.
 * Sticky: a transaction keeps the first thing that went wrong.  After it all calls do
 * nothing and lmdb_commit() reports it, so sequential work is written straight and
 * checked once.
 *
 * A commit is on disk when lmdb_commit() returns: LMDB's default flags, two syncs.  A
 * write transaction belongs to the thread that began it.  Read transactions are to be
 * short: an old one keeps LMDB from reusing pages.
 */
#ifndef STORE_LMDB_H
#define STORE_LMDB_H

#include "base/buffer.h"
#include "base/error.h"

#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LMDB_DATABASES_MAX 4
#define LMDB_PATH_MAX      4000 /* bytes of an environment's path */

/* How a key reads in an error: "entry 17". */
typedef void lmdb_describe(struct bytes key, char *text, size_t size);

struct lmdb_database {
    const char *name;
    unsigned flags; /* 0, or MDB_INTEGERKEY: keys are u64 in the machine's order */
    lmdb_describe *describe;
};

/* What an environment holds; static for the life of the process. */
struct lmdb_schema {
    size_t count;
    struct lmdb_database databases[LMDB_DATABASES_MAX];
};

lmdb_describe lmdb_describe_text; /* "record 'vote'" */

struct lmdb;

/* Make a new environment with empty databases.  After a crash the directory `path` is
 * either whole or not there; it is sure to be there once lmdb_open() returned. */
int lmdb_create(const char *path, const struct lmdb_schema *schema, struct error *err);

/* map_bytes: the size that the file may reach; address space, not memory. */
int lmdb_open(struct lmdb **out,
              const char *path,
              const struct lmdb_schema *schema,
              size_t map_bytes,
              struct error *err);
void lmdb_close(struct lmdb *env); /* NULL is fine */

const char *lmdb_path(const struct lmdb *env);

/* Make durable that `path` is in its directory. */
int lmdb_sync_parent(const char *path, struct error *err);

/* Bytes that can still be written: what the map or the file system leaves, the less. */
uint64_t lmdb_free_bytes(const struct lmdb *env);

struct lmdb_txn {
    struct lmdb *env;
    MDB_txn *txn; /* NULL once it failed or ended */
    MDB_cursor *cursors[LMDB_DATABASES_MAX];
    struct error error; /* the first thing that went wrong; code 0: nothing */
};

void lmdb_begin_read(struct lmdb_txn *t, struct lmdb *env);
void lmdb_begin_write(struct lmdb_txn *t, struct lmdb *env);

/* End it: commit (of a read transaction: just end), or -code and *err filled. */
int lmdb_commit(struct lmdb_txn *t, struct error *err);
void lmdb_abort(struct lmdb_txn *t); /* of one that has ended: nothing */

static inline bool lmdb_failed(const struct lmdb_txn *t)
{
    return t->error.code != ERROR_NONE;
}

/* Fail the transaction for a reason of the caller's; the first reason stays. */
void lmdb_fail(struct lmdb_txn *t, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Below, `db` is a number in the schema.  Values that are handed out are verified, lie
 * in the map, and are valid until the transaction writes or ends.  False: no such
 * record, or failed. */
bool lmdb_get(struct lmdb_txn *t, unsigned db, struct bytes key, struct bytes *value);
void lmdb_put(struct lmdb_txn *t, unsigned db, struct bytes key, struct bytes value);

/* Put a record behind all others; its value is the parts, one after the other. */
void lmdb_append(struct lmdb_txn *t,
                 unsigned db,
                 struct bytes key,
                 const struct bytes *parts,
                 size_t count);
void lmdb_clear(struct lmdb_txn *t, unsigned db); /* all records of one database */

/* One position in each database of a transaction.  These move it and give the key
 * there. */
bool lmdb_first(struct lmdb_txn *t, unsigned db, struct bytes *key);
bool lmdb_last(struct lmdb_txn *t, unsigned db, struct bytes *key);
bool lmdb_next(struct lmdb_txn *t, unsigned db, struct bytes *key);
bool lmdb_seek(struct lmdb_txn *t,
               unsigned db,
               struct bytes from,
               struct bytes *key); /* >= */

/* The record there.  After a removal the position is lost: move before the next use. */
bool lmdb_here(struct lmdb_txn *t, unsigned db, struct bytes *value);
size_t lmdb_remove_here(struct lmdb_txn *t,
                        unsigned db); /* gives its size; not verified */

static inline struct bytes lmdb_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, __builtin_strlen(text)};
}

static inline struct bytes lmdb_u64(const uint64_t *number)
{
    return (struct bytes){(const uint8_t *)number, sizeof(*number)};
}

#endif
