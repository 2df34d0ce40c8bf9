/* test_lmdb.c - sealed records, sticky errors, and damage that must not be believed. */
#include "store_test.h"

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NUMBERS, WORDS };

#define META_TRANSACTION 144 /* where a meta page keeps its number */

static void describe_number(struct bytes key, char *text, size_t size)
{
    snprintf(text, size, "number %" PRIu64, load_u64(key.data));
}

static const struct lmdb_schema schema = {
    .count = 2,
    .databases = {[NUMBERS] = {"numbers", MDB_INTEGERKEY, describe_number},
                  [WORDS] = {"words", 0, lmdb_describe_text}},
};

static struct lmdb *open_env(void)
{
    struct lmdb *env;
    struct error err;

    ck_assert_msg(lmdb_open(&env, test_path("env"), &schema, TEST_MAP_BYTES, &err) == 0,
                  "%s",
                  err.text);
    return env;
}

static struct lmdb *new_env(void)
{
    struct error err;

    ck_assert_msg(lmdb_create(test_path("env"), &schema, &err) == 0, "%s", err.text);
    return open_env();
}

static void expect_refused(enum error_code code, const char *text)
{
    struct lmdb *env;
    struct error err;

    ck_assert_int_eq(lmdb_open(&env, test_path("env"), &schema, TEST_MAP_BYTES, &err),
                     -(int)code);
    ck_assert_ptr_null(env);
    ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
}

START_TEST(keeps_records)
{
    struct lmdb *env = new_env();
    uint64_t seven = 7, eight = 8;
    struct lmdb_txn t;
    struct bytes value, key;

    lmdb_begin_write(&t, env);
    lmdb_put(&t, NUMBERS, lmdb_u64(&seven), lmdb_text("sieben"));
    lmdb_put(&t, NUMBERS, lmdb_u64(&eight), (struct bytes){0});
    lmdb_put(&t, WORDS, lmdb_text("a"), lmdb_text("alpha"));
    lmdb_put(&t, WORDS, lmdb_text("a"), lmdb_text("beta"));
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    lmdb_close(env);

    env = open_env();
    lmdb_begin_read(&t, env);
    ck_assert(lmdb_get(&t, NUMBERS, lmdb_u64(&seven), &value));
    ck_assert_uint_eq(value.size, 6);
    ck_assert_mem_eq(value.data, "sieben", 6);
    ck_assert(lmdb_get(&t, WORDS, lmdb_text("a"), &value));
    ck_assert_mem_eq(value.data, "beta", 4);
    ck_assert(!lmdb_get(&t, WORDS, lmdb_text("b"), &value));
    ck_assert(!lmdb_failed(&t));
    ck_assert(lmdb_first(&t, NUMBERS, &key) && load_u64(key.data) == 7);
    ck_assert(lmdb_next(&t, NUMBERS, &key) && load_u64(key.data) == 8);
    ck_assert(lmdb_here(&t, NUMBERS, &value) && value.size == 0);
    ck_assert(!lmdb_next(&t, NUMBERS, &key));
    ck_assert(lmdb_last(&t, WORDS, &key) && key.size == 1);
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    lmdb_close(env);
}
END_TEST

START_TEST(keeps_the_first_error)
{
    struct lmdb *env = new_env();
    struct lmdb_txn t;
    struct error err;
    struct bytes value;

    lmdb_begin_write(&t, env);
    lmdb_put(&t, WORDS, lmdb_text("a"), lmdb_text("1"));
    lmdb_put(&t, WORDS, (struct bytes){0}, lmdb_text("2")); /* LMDB has no empty keys */
    lmdb_fail(&t, ERROR_INTERNAL, "the second one");
    lmdb_put(&t, WORDS, lmdb_text("b"), lmdb_text("3"));
    ck_assert(!lmdb_get(&t, WORDS, lmdb_text("a"), &value));
    ck_assert_int_eq(lmdb_commit(&t, &err), -ERROR_IO);
    ck_assert_msg(strstr(err.text, "write to") != NULL, "%s", err.text);

    lmdb_begin_read(&t, env);
    ck_assert(!lmdb_get(&t, WORDS, lmdb_text("a"), &value));
    ck_assert_int_eq(lmdb_commit(&t, &err), 0);
    lmdb_close(env);
}
END_TEST

START_TEST(says_that_the_map_is_full)
{
    struct lmdb *env;
    uint8_t *large = mem_zalloc(1 << 20);
    struct lmdb_txn t;
    struct error err;

    ck_assert_int_eq(lmdb_create(test_path("env"), &schema, &err), 0);
    ck_assert_int_eq(lmdb_open(&env, test_path("env"), &schema, 256 << 10, &err), 0);
    lmdb_begin_write(&t, env);
    lmdb_put(&t, WORDS, lmdb_text("a"), (struct bytes){large, 1 << 20});
    ck_assert_int_eq(lmdb_commit(&t, &err), -ERROR_IO);
    ck_assert_msg(strstr(err.text, "limit of 262144 bytes") != NULL, "%s", err.text);
    ck_assert_uint_lt(lmdb_free_bytes(env), 256 << 10);
    lmdb_close(env);
    mem_free(large);
}
END_TEST

START_TEST(creates_again_after_a_crash)
{
    struct error err;

    ck_assert_int_eq(mkdir(test_path("env.new"), 0700), 0);
    ck_assert_int_eq(close(creat(test_path("env.new/data.mdb"), 0600)), 0);
    lmdb_close(new_env());
    ck_assert_int_ne(access(test_path("env.new"), F_OK), 0);
    ck_assert_int_eq(lmdb_create(test_path("env"), &schema, &err),
                     -ERROR_IO); /* it is there */
    lmdb_close(open_env());
}
END_TEST

/* ---- damage ---- */

/* Leaves, branches, values with pages of their own, and free pages. */
static void fill(void)
{
    struct lmdb *env = new_env();
    uint8_t value[9000];
    struct lmdb_txn t;
    struct bytes key;
    char word[24];

    memset(value, 0xA5, sizeof(value));
    for (uint64_t round = 0; round < 6; round++) {
        lmdb_begin_write(&t, env);
        for (uint64_t i = 0; i < 400; i++) {
            uint64_t number = round * 400 + i;
            struct bytes part = {value,
                                 number % 50 == 0 ? sizeof(value) : 100 + number % 90};

            store_u64(value, number);
            lmdb_append(&t, NUMBERS, lmdb_u64(&number), &part, 1);
            snprintf(word, sizeof(word), "word %" PRIu64, number * 7919 % 2400);
            if (i % 4 == 0)
                lmdb_put(&t, WORDS, lmdb_text(word), (struct bytes){value, 30});
        }
        for (int i = 0; i < 250 && lmdb_first(&t, NUMBERS, &key); i++)
            lmdb_remove_here(&t, NUMBERS);
        ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    }
    lmdb_close(env);
}

static uint32_t digest_of(struct lmdb_txn *t, unsigned db)
{
    struct bytes key, value;
    uint32_t crc = 0;

    for (bool more = lmdb_first(t, db, &key); more; more = lmdb_next(t, db, &key)) {
        crc = crc32c(crc, key.data, key.size);
        if (lmdb_here(t, db, &value))
            crc = crc32c(crc, value.data, value.size);
    }
    return crc;
}

/* Open and read everything, as a start does.  0: `digest` is of all records. */
static int read_all(uint32_t *digest, struct error *err)
{
    struct lmdb_txn t;
    struct lmdb *env;
    int rv = lmdb_open(&env, test_path("env"), &schema, TEST_MAP_BYTES, err);

    if (rv != 0)
        return rv;
    lmdb_begin_read(&t, env);
    *digest = digest_of(&t, NUMBERS) ^ digest_of(&t, WORDS) * 31;
    rv = lmdb_commit(&t, err);
    lmdb_close(env);
    return rv;
}

enum outcome { SAME, REFUSED, WRONG, DIED };

/* In a process of its own, for LMDB may be killed by what it follows. */
static enum outcome try_read(uint32_t expected)
{
    pid_t pid = fork();
    int status;

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        uint32_t digest;
        struct error err;

        if (read_all(&digest, &err) != 0)
            _exit(REFUSED);
        _exit(digest == expected ? SAME : WRONG);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? (enum outcome)WEXITSTATUS(status) : DIED;
}

static uint32_t fill_and_digest(void)
{
    uint32_t digest;
    struct error err;

    fill();
    ck_assert_msg(read_all(&digest, &err) == 0, "%s", err.text);
    return digest;
}

static int open_data(off_t *size)
{
    int fd = open(test_path("env/data.mdb"), O_RDWR | O_CLOEXEC);
    struct stat st;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    *size = st.st_size;
    return fd;
}

/* Where a flip hurts most: meta pages, heads of pages, and anywhere. */
static off_t random_place(struct rng *r, off_t size)
{
    uint64_t page = rng_below(r, (uint64_t)size / 4096);

    switch (rng_below(r, 4)) {
    case 0:
        return (off_t)(rng_below(r, 2) * 4096 + rng_below(r, 160));
    case 1:
        return (off_t)(page * 4096 + rng_below(r, 64));
    default:
        return (off_t)(page * 4096 + rng_below(r, 4096));
    }
}

START_TEST(never_believes_a_flipped_bit)
{
    struct rng r = {test_seed()};
    uint32_t digest = fill_and_digest();
    unsigned count[4] = {0};
    off_t size;
    int fd = open_data(&size);

    for (int i = 0; i < 600; i++) {
        off_t at = random_place(&r, size);
        uint8_t byte, flipped;
        enum outcome o;

        ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
        flipped = byte ^ (uint8_t)(1 << rng_below(&r, 8));
        /* The one bit that makes transaction n look like n - 2, which is what is there when a
         * disk loses the write of a meta page: nothing on the same disk can tell. */
        if (at % 4096 == META_TRANSACTION && at < 8192 && (byte ^ flipped) == 2)
            continue;
        ck_assert_int_eq(pwrite(fd, &flipped, 1, at), 1);
        o = try_read(digest);
        count[o]++;
        ck_assert_msg(
            o == SAME || o == REFUSED, "flip at %jd: outcome %d", (intmax_t)at, o);
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    }
    printf("# %u flips refused, %u of no effect\n", count[REFUSED], count[SAME]);
    ck_assert_uint_gt(count[REFUSED], 200);
    close(fd);
}
END_TEST

START_TEST(never_believes_a_lost_page)
{
    static const uint8_t zeroes[4096];
    uint32_t digest = fill_and_digest();
    uint8_t page[4096];
    unsigned refused = 0;
    off_t size;
    int fd = open_data(&size);

    for (off_t at = 0; at < size; at += 4096) {
        enum outcome o;

        ck_assert_int_eq(pread(fd, page, sizeof(page), at), sizeof(page));
        ck_assert_int_eq(pwrite(fd, zeroes, sizeof(zeroes), at), sizeof(zeroes));
        o = try_read(digest);
        ck_assert_msg(
            o == SAME || o == REFUSED, "page at %jd: outcome %d", (intmax_t)at, o);
        refused += o == REFUSED;
        ck_assert_int_eq(pwrite(fd, page, sizeof(page), at), sizeof(page));
    }
    printf("# %u of %jd pages refused\n", refused, (intmax_t)(size / 4096));
    ck_assert_uint_gt(refused, 20);
    close(fd);
}
END_TEST

/* Where LMDB alone dies by SIGBUS. */
START_TEST(never_believes_a_truncated_file)
{
    uint32_t digest = fill_and_digest();
    off_t size;
    int fd = open_data(&size);
    uint8_t *whole = mem_alloc((size_t)size);
    unsigned refused = 0;

    ck_assert_int_eq(pread(fd, whole, (size_t)size, 0), size);
    for (off_t to = 0; to < size; to += to < 16384 ? 1000 : 4096) {
        enum outcome o;

        ck_assert_int_eq(ftruncate(fd, to), 0);
        o = try_read(digest);
        ck_assert_msg(
            o == SAME || o == REFUSED, "truncated to %jd: outcome %d", (intmax_t)to, o);
        refused += o == REFUSED;
        ck_assert_int_eq(pwrite(fd, whole, (size_t)size, 0), size);
    }
    ck_assert_uint_gt(refused, 20);
    mem_free(whole);
    close(fd);
}
END_TEST

START_TEST(names_a_record_that_does_not_verify)
{
    struct lmdb *env = new_env();
    uint64_t number = 4711;
    uint8_t value[64], *data;
    struct lmdb_txn t;
    struct bytes got;
    struct error err;
    off_t size;
    int fd;

    memset(value, 0x5A, sizeof(value));
    lmdb_begin_write(&t, env);
    lmdb_put(&t, NUMBERS, lmdb_u64(&number), (struct bytes){value, sizeof(value)});
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    lmdb_close(env);

    fd = open_data(&size);
    data = mem_alloc((size_t)size);
    ck_assert_int_eq(pread(fd, data, (size_t)size, 0), size);
    uint8_t *at = memmem(data, (size_t)size, value, sizeof(value));
    ck_assert_ptr_nonnull(at);
    at[20] ^= 1;
    ck_assert_int_eq(pwrite(fd, data, (size_t)size, 0), size);
    close(fd);
    mem_free(data);

    env = open_env();
    lmdb_begin_read(&t, env);
    ck_assert(!lmdb_get(&t, NUMBERS, lmdb_u64(&number), &got));
    ck_assert_int_eq(lmdb_commit(&t, &err), -ERROR_CORRUPT);
    ck_assert_msg(
        strstr(err.text, "number 4711 does not verify") != NULL, "%s", err.text);
    ck_assert_msg(strstr(err.text, test_path("env")) != NULL, "%s", err.text);
    lmdb_close(env);
}
END_TEST

START_TEST(names_what_is_wrong_with_a_file)
{
    lmdb_close(new_env());
    ck_assert_int_eq(truncate(test_path("env/data.mdb"), 0), 0);
    expect_refused(ERROR_CORRUPT, "is damaged: it ends before byte");
    ck_assert_int_eq(unlink(test_path("env/data.mdb")), 0);
    expect_refused(ERROR_CORRUPT, "No such file");
    ck_assert_int_eq(close(creat(test_path("env/data.mdb"), 0600)), 0);
    expect_refused(ERROR_CORRUPT, "is damaged: it ends before byte");
}
END_TEST

/* A meta page that fell back would take commits with it. */
START_TEST(refuses_a_meta_page_that_fell_back)
{
    uint8_t meta[2][4096];
    off_t size;
    int fd;

    fill();
    fd = open_data(&size);
    ck_assert_int_eq(pread(fd, meta, sizeof(meta), 0), sizeof(meta));
    uint64_t zero = load_u64(meta[0] + META_TRANSACTION);
    uint64_t one = load_u64(meta[1] + META_TRANSACTION);
    unsigned newest = zero < one;

    store_u64(meta[newest] + META_TRANSACTION, (newest ? one : zero) - 4);
    ck_assert_int_eq(pwrite(fd, meta[newest], 4096, newest * 4096), 4096);
    close(fd);
    expect_refused(ERROR_CORRUPT, "its meta pages name transactions");
}
END_TEST

UNIT_MAIN("lmdb",
          unit_case("use",
                    keeps_records,
                    keeps_the_first_error,
                    says_that_the_map_is_full,
                    creates_again_after_a_crash),
          test_slow(unit_case("damage",
                              never_believes_a_flipped_bit,
                              never_believes_a_lost_page,
                              never_believes_a_truncated_file,
                              names_a_record_that_does_not_verify,
                              names_what_is_wrong_with_a_file,
                              refuses_a_meta_page_that_fell_back)))
