/* test_log_writer.c - order, groups, drain and the end after an error; and reading back. */
#include "store_test.h"

#include "store/log_reader.h"
#include "store/log_writer.h"
#include "tests/lib/file_ops.h"
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    struct data_dir *d;
    struct raft_log *log;
    struct test_signal signal;
    struct store_hooks hooks;
    struct log_writer *w;
    uint64_t sequence, last;
};

static void set_up(struct fixture *f)
{
    *f = (struct fixture){.d = test_open_founded(), .last = 1};
    f->log = test_open_log(f->d, 0, 0);
    test_signal_init(&f->signal, &f->hooks);
    f->w = log_writer_start(f->log, data_dir_log(f->d), &f->hooks);
}

static void tear_down(struct fixture *f)
{
    log_writer_stop(f->w);
    raft_log_close(f->log);
    data_dir_close(f->d);
}

static bool all_durable(void *arg)
{
    struct fixture *f = arg;

    return log_writer_durable(f->w) >= f->sequence;
}

static void submit(struct fixture *f, struct log_op *op)
{
    struct log_op_list ops = STAILQ_HEAD_INITIALIZER(ops);

    STAILQ_INSERT_TAIL(&ops, op, link);
    log_writer_submit(f->w, &ops);
    ck_assert(STAILQ_EMPTY(&ops));
}

static void submit_entries(struct fixture *f, uint32_t count)
{
    submit(f, test_append(++f->sequence, f->last + 1, count, 1, 256));
    f->last += count;
}

static uint32_t count_entries(struct fixture *f, uint64_t from)
{
    struct log_entries e;
    struct error err;
    uint32_t count;

    ck_assert_int_eq(
        raft_log_read(data_dir_log(f->d), from, 100000, SIZE_MAX, &e, &err), 0);
    count = e.count;
    log_entries_finish(&e);
    return count;
}

START_TEST(reports_what_is_durable)
{
    struct fixture f;

    set_up(&f);
    ck_assert_uint_eq(log_writer_durable(f.w), 0);
    for (int i = 0; i < 50; i++) {
        submit_entries(&f, 3);
        test_wait(&f.signal, all_durable, &f);
        ck_assert_uint_eq(log_writer_durable(f.w), f.sequence);
        ck_assert_uint_eq(count_entries(&f, 2), f.last - 1);
    }
    tear_down(&f);
}
END_TEST

/* The first commit is on its way while the others gather: they need far fewer commits. */
START_TEST(commits_in_groups)
{
    struct log_writer_stats stats;
    struct fixture f;

    set_up(&f);
    for (int i = 0; i < 2000; i++)
        submit_entries(&f, 1);
    test_wait(&f.signal, all_durable, &f);
    log_writer_stats(f.w, &stats);
    ck_assert_uint_eq(count_entries(&f, 2), 2000);
    ck_assert_uint_eq(stats.operations, 2000);
    ck_assert_uint_eq(stats.entries, 2000);
    ck_assert_uint_eq(stats.payload_bytes, 2000 * 256);
    ck_assert_uint_eq(stats.queued, 0);
    ck_assert_uint_lt(stats.commits, 1000);
    ck_assert_uint_gt(stats.commit_us_max, 0);
    ck_assert_uint_ge(stats.commit_us_total, stats.commit_us_max);
    ck_assert_uint_gt(stats.free_bytes, 0);
    uint64_t in_buckets = 0;
    for (unsigned i = 0; i < LOG_WRITER_BUCKETS; i++)
        in_buckets += stats.commit_us_buckets[i];
    ck_assert_uint_eq(in_buckets, stats.commits);
    tear_down(&f);
}
END_TEST

/* One list of all kinds: its last state counts, in the order of the list. */
START_TEST(keeps_the_order)
{
    struct log_op_list ops = STAILQ_HEAD_INITIALIZER(ops);
    struct fixture f;
    struct log_op *all[] = {
        test_append(1, 2, 10, 1, 30), /* 1 … 11 */
        test_meta(2, 2, 3),
        test_append(3, 8, 2, 2, 30), /* 1 … 9 */
        test_trim(4, 5),             /* 6 … 9 */
        test_meta(5, 4, 1),
        test_append(6, 10, 1, 4, 30), /* 6 … 10 */
    };

    set_up(&f);
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        STAILQ_INSERT_TAIL(&ops, all[i], link);
    f.sequence = 6;
    log_writer_submit(f.w, &ops);
    test_wait(&f.signal, all_durable, &f);
    ck_assert_uint_eq(count_entries(&f, 5), 0);
    ck_assert_uint_eq(count_entries(&f, 6), 5);
    submit(&f, test_reset(++f.sequence, 100));
    submit(&f, test_append(++f.sequence, 101, 2, 4, 30));
    test_wait(&f.signal, all_durable, &f);
    ck_assert_uint_eq(count_entries(&f, 6), 0);
    ck_assert_uint_eq(count_entries(&f, 101), 2);
    tear_down(&f);
    struct error err;
    struct raft_log_state state;
    f.d = test_open_founded();
    f.log = test_open_log(f.d, 100, 4);
    ck_assert_int_eq(raft_log_load(f.log, test_see_entry, NULL, &state, &err), 0);
    ck_assert_uint_eq(state.term, 4);
    ck_assert_uint_eq(state.vote, 1);
    ck_assert_uint_eq(state.last, 102);
    raft_log_close(f.log);
    data_dir_close(f.d);
}
END_TEST

START_TEST(drains_at_the_stop)
{
    struct fixture f;

    set_up(&f);
    for (int i = 0; i < 300; i++)
        submit_entries(&f, 2);
    log_writer_stop(f.w);
    ck_assert_uint_eq(count_entries(&f, 2), 600);
    raft_log_close(f.log);
    data_dir_close(f.d);
}
END_TEST

static bool is_swept(void *arg)
{
    struct fixture *f = arg;
    struct lmdb_txn t;
    struct bytes key;
    bool swept;

    lmdb_begin_read(&t, data_dir_log(f->d));
    swept = lmdb_first(&t, RAFT_LOG_ENTRIES, &key) && load_u64(key.data) == 5001;
    lmdb_commit(&t, NULL);
    return swept;
}

/* A trim is durable at once; its entries go while nothing else is to do. */
START_TEST(sweeps_when_idle)
{
    struct fixture f;

    set_up(&f);
    submit_entries(&f, 6000);
    submit(&f, test_trim(++f.sequence, 5000));
    test_wait(&f.signal, all_durable, &f);
    ck_assert_uint_eq(count_entries(&f, 5000), 0);
    while (!is_swept(&f))
        sched_yield();
    ck_assert_uint_eq(count_entries(&f, 5001), 1001);
    tear_down(&f);
}
END_TEST

/* ---- errors ---- */

/* A sync that fails ends the writer, nothing more is reported, and it is not tried again. */
START_TEST(stops_at_a_sync_that_fails)
{
    uint64_t durable;
    struct fixture f;

    set_up(&f);
    submit_entries(&f, 1);
    test_wait(&f.signal, all_durable, &f);
    durable = log_writer_durable(f.w);
    file_ops_fail(FILE_OP_SYNC, 0, EIO);
    submit_entries(&f, 1);
    test_wait(&f.signal, all_durable, &f);
    ck_assert(f.signal.failed);
    ck_assert_int_eq(f.signal.error.code, ERROR_IO);
    ck_assert_msg(
        strstr(f.signal.error.text, "commit to") != NULL, "%s", f.signal.error.text);
    submit_entries(&f, 1);
    ck_assert_uint_eq(log_writer_durable(f.w), durable);
    log_writer_stop(f.w);
    ck_assert_uint_eq(file_ops_count(), 1);
    raft_log_close(f.log);
    data_dir_close(f.d);
}
END_TEST

/* Without a hook the process ends with one line and status 70. */
START_TEST(ends_the_process)
{
    int out[2], status;
    char text[1024] = "";
    pid_t pid;

    test_dir(); /* so that this process removes it */
    ck_assert_int_eq(pipe(out), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        struct fixture f;

        dup2(out[1], STDERR_FILENO);
        set_up(&f);
        log_writer_stop(f.w);
        f.hooks.fatal = NULL;
        f.w = log_writer_start(f.log, data_dir_log(f.d), &f.hooks);
        file_ops_fail(FILE_OP_WRITE, 0, ENOSPC);
        submit_entries(&f, 100);
        test_wait(&f.signal, all_durable, &f);
        _exit(0);
    }
    close(out[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 70);
    ck_assert_int_gt(read(out[0], text, sizeof(text) - 1), 0);
    ck_assert_msg(strstr(text, "No space left on device") != NULL, "%s", text);
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

/* A file system of this size over the test's directory; false: this system does not let us. */
static bool mount_small(const char *options)
{
    if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", test_dir(), "tmpfs", 0, options) != 0) {
        printf("# skipped: no file system of our own (%s)\n", strerror(errno));
        return false;
    }
    return true;
}

/* A disk that is really full stops the writer; with more space all that was durable is there. */
START_TEST(survives_a_full_disk)
{
    struct error err;
    struct fixture f;

    if (!mount_small("size=1m"))
        return;
    set_up(&f);
    for (int i = 0; i < 200 && !f.signal.failed; i++) {
        submit_entries(&f, 50);
        test_wait(&f.signal, all_durable, &f);
    }
    ck_assert(f.signal.failed);
    ck_assert_msg(strstr(f.signal.error.text, "No space left") != NULL,
                  "%s",
                  f.signal.error.text);
    uint64_t durable = log_writer_durable(f.w);
    ck_assert_uint_gt(durable, 5);
    tear_down(&f);
    ck_assert_int_eq(mount("tmpfs", test_dir(), "tmpfs", MS_REMOUNT, "size=8m"), 0);
    ck_assert_msg(test_start(&err) == 0, "%s", err.text);
    f.d = test_open_founded();
    ck_assert_uint_eq(count_entries(&f, 2), durable * 50);
    data_dir_close(f.d);
    ck_assert_int_eq(umount(test_dir()), 0);
}
END_TEST

/* ---- reading back ---- */

struct reading {
    struct log_reader *r;
    struct log_read answer;
};

static bool has_answer(void *arg)
{
    struct reading *reading = arg;

    return log_reader_next(reading->r, &reading->answer);
}

static void expect_answer(struct fixture *f,
                          struct reading *r,
                          uint64_t ticket,
                          uint64_t first,
                          uint32_t count)
{
    uint8_t expected[256];

    test_wait(&f->signal, has_answer, r);
    ck_assert_uint_eq(r->answer.ticket, ticket);
    ck_assert_uint_eq(r->answer.entries.first, first);
    ck_assert_uint_eq(r->answer.entries.count, count);
    for (uint32_t i = 0; i < count; i++) {
        test_payload(first + i, 1, expected, sizeof(expected));
        ck_assert_mem_eq(
            r->answer.entries.entries[i].payload->data, expected, sizeof(expected));
    }
    log_entries_finish(&r->answer.entries);
}

START_TEST(reads_back)
{
    struct reading r = {0};
    struct fixture f;

    set_up(&f);
    r.r = log_reader_start(data_dir_log(f.d), &f.hooks);
    submit_entries(&f, 1000);
    test_wait(&f.signal, all_durable, &f);
    log_reader_read(r.r, 2, 10, 1 << 20, 7);
    log_reader_read(r.r, 500, 1000, 2560, 8);
    log_reader_read(r.r, 5000, 10, 1 << 20, 9);
    expect_answer(&f, &r, 7, 2, 10);
    expect_answer(&f, &r, 8, 500, 10);
    expect_answer(&f, &r, 9, 5000, 0);
    log_reader_read(r.r, 2, 900, 1 << 20, 10); /* left unanswered */
    log_reader_stop(r.r);
    tear_down(&f);
}
END_TEST

/* A reader beside a busy writer sees whole entries, whatever moves under it. */
START_TEST(reads_while_writing)
{
    struct reading r = {0};
    struct fixture f;

    set_up(&f);
    r.r = log_reader_start(data_dir_log(f.d), &f.hooks);
    submit_entries(&f, 100);
    test_wait(&f.signal, all_durable, &f);
    for (uint64_t i = 0; i < 200; i++) {
        submit_entries(&f, 20);
        if (i % 10 == 5)
            submit(&f, test_trim(++f.sequence, f.last - 100));
        log_reader_read(r.r, f.last - 110, 8, 1 << 20, i);
        test_wait(&f.signal, has_answer, &r);
        ck_assert(!f.signal.failed);
        ck_assert_uint_eq(r.answer.ticket, i);
        log_entries_finish(&r.answer.entries);
    }
    log_reader_stop(r.r);
    tear_down(&f);
}
END_TEST

/* ---- descriptors ---- */

struct descriptors {
    struct test_signal signal; /* first: the hooks' argument */
    void (*notify)(void *arg);
    int socket, file;
    bool has_socket, has_file; /* on the thread that notified last */
};

static void look_at_descriptors(void *arg)
{
    struct descriptors *d = arg;

    d->has_socket = fcntl(d->socket, F_GETFD) >= 0;
    d->has_file = fcntl(d->file, F_GETFD) >= 0;
    d->notify(arg);
}

static void *try_unshare(void *arg)
{
    *(bool *)arg = unshare(CLONE_FILES) == 0;
    return NULL;
}

static bool may_unshare(void)
{
    pthread_t thread;
    bool may = false;

    ck_assert_int_eq(pthread_create(&thread, NULL, try_unshare, &may), 0);
    pthread_join(thread, NULL);
    return may && !STORE_ONE_TABLE;
}

/* So a killed process closes its sockets at once, though a sync of it is on its way. */
START_TEST(threads_hold_no_sockets)
{
    struct fixture f = {.d = test_open_founded(), .last = 1};
    struct descriptors d = {.has_socket = true};
    struct log_reader *reader;
    struct log_read read;
    int ends[2];

    f.log = test_open_log(f.d, 0, 0);
    test_signal_init(&d.signal, &f.hooks);
    d.notify = f.hooks.notify;
    f.hooks.notify = look_at_descriptors;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    d.socket = ends[0];
    d.file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    f.w = log_writer_start(f.log, data_dir_log(f.d), &f.hooks);
    submit_entries(&f, 1);
    test_wait(&d.signal, all_durable, &f);
    ck_assert(d.has_file);
    ck_assert_int_eq(d.has_socket, !may_unshare());

    d.has_socket = true;
    reader = log_reader_start(data_dir_log(f.d), &f.hooks);
    log_reader_read(reader, 2, 1, 1000, 0);
    while (!log_reader_next(reader, &read))
        sched_yield();
    log_reader_stop(reader); /* its notify is behind us */
    ck_assert_int_eq(d.has_socket, !may_unshare());
    log_entries_finish(&read.entries);
    ck_assert_int_ge(fcntl(ends[0], F_GETFD), 0); /* and ours stay */
    tear_down(&f);
}
END_TEST

UNIT_MAIN("log_writer",
          test_slow(unit_case("write",
                              reports_what_is_durable,
                              commits_in_groups,
                              keeps_the_order,
                              drains_at_the_stop,
                              sweeps_when_idle)),
          test_slow(unit_case("errors",
                              stops_at_a_sync_that_fails,
                              ends_the_process,
                              survives_a_full_disk)),
          test_slow(unit_case("read", reads_back, reads_while_writing)),
          test_slow(unit_case("descriptors", threads_hold_no_sockets)))
