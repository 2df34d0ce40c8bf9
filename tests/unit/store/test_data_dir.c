/* test_data_dir.c - who may open a data directory, and what is said to the others. */
#include "store_test.h"

#include "store/log_writer.h"
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
expect_refused(const struct data_dir_options *o, enum error_code code, const char *text)
{
    struct data_dir *d;
    struct error err;

    ck_assert_int_eq(data_dir_open(&d, o, &err), -(int)code);
    ck_assert_ptr_null(d);
    ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
}

/* Change a record of an environment, well sealed, behind the back of data_dir. */
static void put_record(const char *env, const char *key, struct bytes value)
{
    bool log = strcmp(env, "data/log") == 0;
    const struct lmdb_schema *schema = log ? &raft_log_schema : &snapshots_schema;
    unsigned db = log ? RAFT_LOG_META : SNAPSHOTS_META;
    struct lmdb *e;
    struct lmdb_txn t;
    struct bytes found;
    struct error err;

    ck_assert_msg(lmdb_open(&e, test_path(env), schema, TEST_MAP_BYTES, &err) == 0,
                  "%s",
                  err.text);
    lmdb_begin_write(&t, e);
    if (value.data != NULL) {
        lmdb_put(&t, db, lmdb_text(key), value);
    } else {
        ck_assert(lmdb_seek(&t, db, lmdb_text(key), &found));
        lmdb_remove_here(&t, db);
    }
    ck_assert_int_eq(lmdb_commit(&t, NULL), 0);
    lmdb_close(e);
}

static void remove_env(const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/data.mdb", name);
    unlink(test_path(path));
    snprintf(path, sizeof(path), "%s/lock.mdb", name);
    unlink(test_path(path));
    ck_assert_int_eq(rmdir(test_path(name)), 0);
}

START_TEST(is_empty_until_it_is_founded)
{
    struct data_dir *d = test_open();
    struct error err;

    ck_assert(data_dir_is_empty(d));
    data_dir_close(d);
    d = test_open();
    ck_assert(data_dir_is_empty(d));
    ck_assert_int_eq(data_dir_found(d, lmdb_text("members"), &err), 0);
    ck_assert(!data_dir_is_empty(d));
    data_dir_close(d);
    d = test_open();
    ck_assert(!data_dir_is_empty(d));
    data_dir_close(d);
}
END_TEST

START_TEST(takes_a_path_with_a_slash)
{
    struct data_dir_options o = test_options();
    struct data_dir *d;
    struct error err;
    char path[4096];

    snprintf(path, sizeof(path), "%s//", o.path);
    o.path = path;
    ck_assert_msg(data_dir_open(&d, &o, &err) == 0, "%s", err.text);
    data_dir_close(d);
    ck_assert_int_eq(access(test_path("data/log/data.mdb"), F_OK), 0);
}
END_TEST

START_TEST(refuses_another_node)
{
    struct data_dir_options o = test_options();

    data_dir_close(test_open_founded());
    o.node = 2;
    expect_refused(
        &o, ERROR_CONFLICT, "belongs to master 1, but --id says 2: correct --id");
}
END_TEST

START_TEST(refuses_another_cluster)
{
    struct data_dir_options o = test_options();

    data_dir_close(test_open_founded());
    o.cluster[15] = 0xff;
    expect_refused(
        &o,
        ERROR_WRONG_CLUSTER,
        "founded with another --cluster (hash 01020300000000000000000000000000, now "
        "010203000000000000000000000000ff): use the --cluster");
}
END_TEST

START_TEST(refuses_another_format)
{
    struct data_dir_options o = test_options();
    uint8_t owner[28] = {2};

    data_dir_close(test_open_founded());
    put_record("data/log", "owner", (struct bytes){owner, sizeof(owner)});
    expect_refused(&o,
                   ERROR_VERSION,
                   "has format 2, this program reads format 1: use the version");
}
END_TEST

START_TEST(refuses_snapshots_of_another_master)
{
    struct data_dir_options o = test_options();
    uint8_t owner[28] = {1, 0, 0, 0, 3};

    data_dir_close(test_open_founded());
    put_record("data/snap", "owner", (struct bytes){owner, sizeof(owner)});
    expect_refused(&o, ERROR_CONFLICT, "belongs to master 3, but --id says 1");
}
END_TEST

START_TEST(refuses_a_log_without_owner)
{
    struct data_dir_options o = test_options();

    data_dir_close(test_open_founded());
    put_record("data/log", "owner", (struct bytes){0});
    expect_refused(&o,
                   ERROR_CORRUPT,
                   "record 'owner' is missing; this master cannot vote with it");
}
END_TEST

START_TEST(refuses_a_lost_environment)
{
    struct data_dir_options o = test_options();

    data_dir_close(test_open_founded());
    remove_env("data/log");
    expect_refused(
        &o, ERROR_CORRUPT, "is empty: the log was lost; this master cannot vote");
    remove_env("data/log");
    data_dir_close(NULL);
    remove_env("data/snap");
    data_dir_close(test_open_founded());
    remove_env("data/snap");
    expect_refused(&o, ERROR_CORRUPT, "data/snap is missing beside");
}
END_TEST

/* A crash after the log was founded and before the snapshots were. */
START_TEST(finishes_a_founding)
{
    struct data_dir *d;

    data_dir_close(test_open_founded());
    put_record("data/snap", "owner", (struct bytes){0});
    put_record("data/snap", "boots", (struct bytes){0});
    d = test_open();
    ck_assert(!data_dir_is_empty(d));
    data_dir_close(d);
    remove_env("data/log");
    struct data_dir_options o = test_options();
    expect_refused(
        &o, ERROR_CORRUPT, "the log was lost"); /* so the owner is there again */
}
END_TEST

START_TEST(says_who_holds_it)
{
    struct data_dir_options o = test_options();
    int ready[2], done[2];
    char text[64], byte = 0;
    pid_t pid;

    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(done), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct data_dir *d = test_open();

        if (write(ready[1], &byte, 1) != 1 || read(done[0], &byte, 1) != 1)
            _exit(1);
        data_dir_close(d);
        _exit(0);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    snprintf(text, sizeof(text), "is in use by process %d: stop it", (int)pid);
    expect_refused(&o, ERROR_BUSY, text);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    data_dir_close(test_open()); /* a killed holder leaves no lock behind */
}
END_TEST

/* As somebody whom permissions bind: root is not bound. */
static void try_without_permission(mode_t mode, const char *text)
{
    struct data_dir_options o = test_options();
    int status;
    pid_t pid;

    ck_assert_int_eq(chmod(test_dir(), 0755), 0);
    if (mode != 0)
        ck_assert_int_eq(chmod(o.path, mode), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct data_dir *d;
        struct error err;

        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        if (data_dir_open(&d, &o, &err) != -(int)ERROR_IO ||
            strstr(err.text, text) == NULL) {
            printf("# %s\n", err.text);
            fflush(stdout);
            _exit(1);
        }
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

START_TEST(refuses_a_directory_it_cannot_write)
{
    if (geteuid() != 0)
        ck_assert_int_eq(chmod(test_dir(), 0555), 0);
    try_without_permission(0, "create data directory");
    if (geteuid() != 0)
        return;
    data_dir_close(test_open_founded());
    try_without_permission(0755, "/lock: Permission denied");
    ck_assert_int_eq(chmod(test_path("data/lock"), 0666), 0);
    ck_assert_int_eq(chmod(test_path("data/snap"), 0755), 0);
    ck_assert_int_eq(chmod(test_path("data/snap/data.mdb"), 0644), 0);
    try_without_permission(0755, "snap/data.mdb: Permission denied");
}
END_TEST

START_TEST(refuses_what_is_not_a_directory)
{
    struct data_dir_options o = test_options();

    ck_assert_int_eq(close(creat(o.path, 0600)), 0);
    expect_refused(&o, ERROR_IO, "/lock: Not a directory");
    o.path = test_path("no/such/place");
    expect_refused(&o, ERROR_IO, "create data directory");
}
END_TEST

static bool never(void *arg)
{
    (void)arg;
    return false;
}

START_TEST(keeps_the_cluster_id)
{
    uint8_t id[16] = {9, 8, 7}, other[16] = {1}, got[16];
    struct data_dir *d = test_open_founded();
    struct raft_log *log = test_open_log(d, 0, 0);
    struct test_signal signal;
    struct store_hooks hooks;
    struct log_writer *w;

    test_signal_init(&signal, &hooks);
    ck_assert(!data_dir_cluster_id(d, got));
    w = log_writer_start(log, data_dir_log(d), &hooks);
    log_writer_store_cluster_id(w, id);
    log_writer_stop(w);
    raft_log_close(log);
    data_dir_close(d);

    d = test_open_founded();
    ck_assert(data_dir_cluster_id(d, got));
    ck_assert_mem_eq(got, id, 16);
    log = test_open_log(d, 0, 0);
    w = log_writer_start(log, data_dir_log(d), &hooks);
    log_writer_store_cluster_id(w, id); /* again, as after a replay: fine */
    log_writer_store_cluster_id(w, other);
    test_wait(&signal, never, NULL);
    ck_assert_int_eq(signal.error.code, ERROR_WRONG_CLUSTER);
    log_writer_stop(w);
    raft_log_close(log);
    data_dir_close(d);
}
END_TEST

UNIT_MAIN("data_dir",
          test_slow(unit_case("open",
                              is_empty_until_it_is_founded,
                              takes_a_path_with_a_slash,
                              says_who_holds_it,
                              keeps_the_cluster_id,
                              finishes_a_founding)),
          test_slow(unit_case("refuse",
                              refuses_another_node,
                              refuses_another_cluster,
                              refuses_another_format,
                              refuses_snapshots_of_another_master,
                              refuses_a_log_without_owner,
                              refuses_a_lost_environment,
                              refuses_a_directory_it_cannot_write,
                              refuses_what_is_not_a_directory)))
