/* raft_log.c - the log, the term and the vote of one master in LMDB (docs/spec/5). */
#include "store/raft_log.h"

#include "base/assert.h"
#include "base/mem.h"
#include "store/data_dir.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ENTRY_HEADER 9 /* u64 term, u8 kind */
#define VOTE_BYTES   16
#define BASE_BYTES   8

/* One slice: small enough not to be felt by a commit that it rides on, and above what
 * one commit appends on average, so that the log shrinks under any load. */
#define SWEEP_ENTRIES 1024
#define SWEEP_BYTES   (4u << 20)

struct raft_log {
    struct lmdb *env;
    uint64_t base;
    uint64_t last;
    bool swept; /* nothing lies at or below base */
};

static void describe_entry(struct bytes key, char *text, size_t size)
{
    snprintf(text, size, "entry %" PRIu64, key.size == 8 ? load_u64(key.data) : 0);
}

const struct lmdb_schema raft_log_schema = {
    .count = 2,
    .databases = {[RAFT_LOG_ENTRIES] = {"entries", MDB_INTEGERKEY, describe_entry},
                  [RAFT_LOG_META] = {"meta", 0, lmdb_describe_text}},
};

struct record {
    uint64_t term;
    enum entry_kind kind;
    struct bytes payload;
};

static bool parse_record(struct bytes value, struct record *r)
{
    if (value.size < ENTRY_HEADER)
        return false;
    r->term = load_u64(value.data);
    r->kind = (enum entry_kind)value.data[8];
    r->payload = (struct bytes){value.data + ENTRY_HEADER, value.size - ENTRY_HEADER};
    return r->kind >= ENTRY_COMMANDS && r->kind <= ENTRY_CONFIGURATION;
}

/* The verified record where `index` stands, to which the position was moved. */
static bool record_here(struct lmdb_txn *t, uint64_t index, struct record *r)
{
    struct bytes value;

    if (!lmdb_here(t, RAFT_LOG_ENTRIES, &value))
        return false;
    if (!parse_record(value, r))
        lmdb_fail(t,
                  ERROR_CORRUPT,
                  "%s: entry %" PRIu64 " is of a kind that this program does not know",
                  lmdb_path(t->env),
                  index);
    return !lmdb_failed(t);
}

static bool
get_meta(struct lmdb_txn *t, const char *key, size_t size, const uint8_t **value)
{
    struct bytes v;

    if (!lmdb_get(t, RAFT_LOG_META, lmdb_text(key), &v)) {
        lmdb_fail(
            t, ERROR_CORRUPT, "%s: record '%s' is missing", lmdb_path(t->env), key);
        return false;
    }
    if (v.size != size)
        lmdb_fail(t,
                  ERROR_CORRUPT,
                  "%s: record '%s' has a wrong size",
                  lmdb_path(t->env),
                  key);
    *value = v.data;
    return !lmdb_failed(t);
}

static void put_vote(struct lmdb_txn *t, uint64_t term, uint64_t vote)
{
    uint8_t value[VOTE_BYTES];

    store_u64(value, term);
    store_u64(value + 8, vote);
    lmdb_put(t, RAFT_LOG_META, lmdb_text("vote"), (struct bytes){value, sizeof(value)});
}

static void put_base(struct lmdb_txn *t, uint64_t base)
{
    uint8_t value[BASE_BYTES];

    store_u64(value, base);
    lmdb_put(t, RAFT_LOG_META, lmdb_text("base"), (struct bytes){value, sizeof(value)});
}

static uint64_t get_base(struct lmdb_txn *t)
{
    const uint8_t *value;

    return get_meta(t, "base", BASE_BYTES, &value) ? load_u64(value) : 0;
}

static void append_entry(struct lmdb_txn *t,
                         uint64_t index,
                         uint64_t term,
                         enum entry_kind kind,
                         struct bytes payload)
{
    uint8_t header[ENTRY_HEADER];
    struct bytes parts[2] = {{header, sizeof(header)}, payload};

    store_u64(header, term);
    header[8] = (uint8_t)kind;
    lmdb_append(t, RAFT_LOG_ENTRIES, lmdb_u64(&index), parts, 2);
}

void raft_log_found(struct lmdb_txn *t, struct bytes configuration)
{
    put_vote(t, 1, 0);
    put_base(t, 0);
    append_entry(t, 1, 1, ENTRY_CONFIGURATION, configuration);
}

/* ---- open: settle with the snapshot ---- */

/* The first index above base, or 0; and the last one, or base. */
static uint64_t find_bounds(struct raft_log *log, struct lmdb_txn *t)
{
    uint64_t from = log->base + 1, first = 0;
    struct bytes key;

    if (lmdb_seek(t, RAFT_LOG_ENTRIES, lmdb_u64(&from), &key))
        first = load_u64(key.data);
    log->last = log->base;
    if (first != 0 && lmdb_last(t, RAFT_LOG_ENTRIES, &key))
        log->last = load_u64(key.data);
    log->swept =
        !lmdb_first(t, RAFT_LOG_ENTRIES, &key) || load_u64(key.data) > log->base;
    return first;
}

static void truncate_from(struct raft_log *log, struct lmdb_txn *t, uint64_t first)
{
    struct bytes key;

    while (lmdb_last(t, RAFT_LOG_ENTRIES, &key) && load_u64(key.data) >= first)
        lmdb_remove_here(t, RAFT_LOG_ENTRIES);
    log->last = first - 1;
}

static void reset(struct raft_log *log, struct lmdb_txn *t, uint64_t base)
{
    truncate_from(log, t, base + 1);
    put_base(t, base);
    log->base = log->last = base;
    log->swept = false;
}

static void
settle(struct raft_log *log, struct lmdb_txn *t, const struct snapshot_point *s)
{
    uint64_t first = find_bounds(log, t);
    struct bytes key;
    struct record r;

    if (log->base > s->index || (first != 0 && first != log->base + 1))
        lmdb_fail(t,
                  ERROR_CORRUPT,
                  "%s: the log begins at %" PRIu64 ", the snapshot ends at %" PRIu64
                  ": entries are missing",
                  lmdb_path(t->env),
                  first != 0 ? first : log->base + 1,
                  s->index);
    if (log->last < s->index || (s->reset && log->base < s->index)) {
        reset(log, t, s->index);
    } else if (log->base < s->index &&
               lmdb_seek(t, RAFT_LOG_ENTRIES, lmdb_u64(&s->index), &key) &&
               record_here(t, s->index, &r) && r.term != s->term) {
        lmdb_fail(t,
                  ERROR_CORRUPT,
                  "%s: entry %" PRIu64 " is of term %" PRIu64
                  ", in the snapshot of term %" PRIu64,
                  lmdb_path(t->env),
                  s->index,
                  r.term,
                  s->term);
    }
}

int raft_log_open(struct raft_log **out,
                  struct lmdb *env,
                  const struct snapshot_point *snapshot,
                  struct error *err)
{
    struct raft_log *log = mem_zalloc(sizeof(*log));
    struct lmdb_txn t;
    int rv;

    log->env = env;
    lmdb_begin_write(&t, env);
    log->base = get_base(&t);
    settle(log, &t, snapshot);
    rv = lmdb_commit(&t, err);
    if (rv != 0) {
        raft_log_close(log);
        log = NULL;
    }
    *out = log;
    return data_dir_advise(rv, err);
}

void raft_log_close(struct raft_log *log)
{
    mem_free(log);
}

/* ---- load ---- */

static bool check_order(struct lmdb_txn *t,
                        uint64_t index,
                        const struct record *r,
                        const struct raft_log_state *s)
{
    if (index != s->last + 1)
        lmdb_fail(t,
                  ERROR_CORRUPT,
                  "%s: entry %" PRIu64 " is missing, %" PRIu64 " is there",
                  lmdb_path(t->env),
                  s->last + 1,
                  index);
    if (r->term < s->last_term || r->term > s->term)
        lmdb_fail(t,
                  ERROR_CORRUPT,
                  "%s: entry %" PRIu64 " is of term %" PRIu64
                  ", the one before of %" PRIu64 ", the current term is %" PRIu64,
                  lmdb_path(t->env),
                  index,
                  r->term,
                  s->last_term,
                  s->term);
    return !lmdb_failed(t);
}

int raft_log_load(struct raft_log *log,
                  raft_log_visit *visit,
                  void *arg,
                  struct raft_log_state *s,
                  struct error *err)
{
    uint64_t from = log->base + 1;
    const uint8_t *vote;
    struct lmdb_txn t;
    struct record r;
    struct bytes key;
    int rv = 0;

    *s = (struct raft_log_state){.base = log->base, .last = log->base};
    lmdb_begin_read(&t, log->env);
    if (get_meta(&t, "vote", VOTE_BYTES, &vote)) {
        s->term = load_u64(vote);
        s->vote = load_u64(vote + 8);
    }
    for (bool more = lmdb_seek(&t, RAFT_LOG_ENTRIES, lmdb_u64(&from), &key);
         more && rv == 0;
         more = lmdb_next(&t, RAFT_LOG_ENTRIES, &key)) {
        uint64_t index = load_u64(key.data);

        if (!record_here(&t, index, &r) || !check_order(&t, index, &r, s))
            break;
        s->last = index;
        s->last_term = r.term;
        rv = visit(arg, index, r.term, r.kind, r.payload, err);
    }
    if (rv != 0) {
        lmdb_abort(&t);
        return rv;
    }
    return data_dir_advise(lmdb_commit(&t, err), err);
}

/* ---- write ---- */

void raft_log_apply(struct raft_log *log, struct lmdb_txn *t, const struct log_op *op)
{
    const struct log_entries *e = &op->append;

    ASSERT(op->kind >= LOG_META && op->kind <= LOG_RESET);
    switch (op->kind) {
    case LOG_META:
        put_vote(t, op->meta.term, op->meta.vote);
        return;
    case LOG_APPEND:
        ASSERT(e->first > log->base && e->first <= log->last + 1);
        if (e->first <= log->last)
            truncate_from(log, t, e->first);
        for (uint32_t i = 0; i < e->count; i++)
            append_entry(t,
                         e->first + i,
                         e->entries[i].term,
                         e->entries[i].kind,
                         blob_view(e->entries[i].payload));
        log->last = e->first + e->count - 1;
        return;
    case LOG_TRIM:
        ASSERT(op->trim_to <= log->last);
        if (op->trim_to <= log->base)
            return;
        put_base(t, op->trim_to);
        log->base = op->trim_to;
        log->swept = false;
        return;
    case LOG_RESET:
        reset(log, t, op->reset_to);
        return;
    }
}

bool raft_log_needs_sweep(const struct raft_log *log)
{
    return !log->swept;
}

bool raft_log_sweep(struct raft_log *log, struct lmdb_txn *t)
{
    struct bytes key;
    size_t bytes = 0;

    for (unsigned i = 0; i < SWEEP_ENTRIES && bytes < SWEEP_BYTES && !log->swept; i++) {
        if (lmdb_first(t, RAFT_LOG_ENTRIES, &key) && load_u64(key.data) <= log->base)
            bytes += lmdb_remove_here(t, RAFT_LOG_ENTRIES);
        else
            log->swept = true;
    }
    return !log->swept;
}

/* ---- read back ---- */

int raft_log_read(struct lmdb *env,
                  uint64_t from,
                  uint32_t count,
                  size_t max_bytes,
                  struct log_entries *out,
                  struct error *err)
{
    struct lmdb_txn t;
    struct record r;
    struct bytes key;
    size_t bytes = 0;
    int rv;

    *out = (struct log_entries){.first = from};
    lmdb_begin_read(&t, env);
    if (count == 0 || from <= get_base(&t))
        return lmdb_commit(&t, err);
    out->entries = mem_alloc(count * sizeof(*out->entries));
    for (bool more = lmdb_seek(&t, RAFT_LOG_ENTRIES, lmdb_u64(&from), &key);
         more && out->count < count && load_u64(key.data) == from + out->count;
         more = lmdb_next(&t, RAFT_LOG_ENTRIES, &key)) {
        if (!record_here(&t, from + out->count, &r))
            break;
        bytes += r.payload.size;
        if (bytes > max_bytes && out->count > 0)
            break;
        out->entries[out->count++] = (struct log_entry){
            .term = r.term,
            .kind = r.kind,
            .payload = r.payload.size > 0 ? blob_copy(r.payload) : NULL,
        };
    }
    rv = lmdb_commit(&t, err);
    if (rv != 0)
        log_entries_finish(out);
    return rv;
}
