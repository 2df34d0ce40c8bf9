/* store_test.h - a data directory of its own for each test, and what most tests do with it. */
#ifndef TESTS_UNIT_STORE_STORE_TEST_H
#define TESTS_UNIT_STORE_STORE_TEST_H

#include "store/data_dir.h"
#include "store/raft_log.h"
#include "store/snapshots.h"

#include <check.h>

#define TEST_MAP_BYTES ((size_t)256 << 20)

/* A new directory under TMPDIR; removed by test_dir_finish() or at the end of the process. */
const char *test_dir(void);
void test_dir_finish(void);

/* DIR/name; valid until the next call. */
const char *test_path(const char *name);

struct data_dir_options test_options(void);

/* Each of these fails the test when it does not succeed. */
struct data_dir *test_open(void);
struct data_dir *test_open_founded(void);
struct raft_log *
test_open_log(struct data_dir *d, uint64_t snapshot_index, uint64_t term);

/* Open everything as a master's start does, read every record, close; the first error. */
int test_start(struct error *err);

/* A raft_log_visit that takes everything. */
raft_log_visit test_see_entry;

/* Operations of the log, made by hand. */
struct log_op *test_meta(uint64_t sequence, uint64_t term, uint64_t vote);
struct log_op *test_append(uint64_t sequence,
                           uint64_t first,
                           uint32_t count,
                           uint64_t term,
                           size_t payload_bytes);
struct log_op *test_trim(uint64_t sequence, uint64_t to);
struct log_op *test_reset(uint64_t sequence, uint64_t to);

/* Apply in a transaction and free. */
void test_apply(struct raft_log *log, struct lmdb *env, struct log_op *op);

/* The payload that test_append() gives to an entry. */
void test_payload(uint64_t index, uint64_t term, uint8_t *bytes, size_t size);

/* More time for tests that wait for a busy disk. */
TCase *test_slow(TCase *c);

/* A seed for random tests: STORE_SEED of the environment, or a new one; printed. */
uint64_t test_seed(void);

/* Threads of the store tell here that something came; wait until `ready` is true. */
struct test_signal {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned notified;
    bool failed; /* fatal() was called with `error` */
    struct error error;
};

void test_signal_init(struct test_signal *s, struct store_hooks *hooks);
void test_wait(struct test_signal *s, bool (*ready)(void *arg), void *arg);

#endif
