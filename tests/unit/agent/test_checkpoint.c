/* test_checkpoint.c - what is durable is there again, and nothing else. */
#include "agent/checkpoint.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 5000

static int woken = -1;
static struct error failure; /* of the thread, once has_failed */
static atomic_bool has_failed;

static void notify(void *arg)
{
    (void)arg;
    eventfd_write(woken, 1);
}

static struct store_hooks hooks = {.notify = notify};

static struct checkpoint *open_checkpoint(void)
{
    struct checkpoint *c;
    struct error err = {0};
    int rv = checkpoint_open(&c, t.work_dir, &hooks, &err);

    ck_assert_msg(rv == 0, "%s", err.text);
    return c;
}

static void setup(void)
{
    agent_test_setup();
    woken = eventfd(0, EFD_CLOEXEC);
}

static struct bytes text(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

static void
write_one(struct checkpoint *c, uint64_t sequence, const char *key, const char *value)
{
    struct agent_record record = {text(key), text(value)};

    checkpoint_write(c, sequence, &record, 1);
}

static void wait_durable(const struct checkpoint *c, uint64_t sequence)
{
    eventfd_t value;

    while (checkpoint_durable(c) < sequence)
        ck_assert_int_eq(eventfd_read(woken, &value), 0);
}

static const char *kept(const struct checkpoint *c, const char *key)
{
    static char value[64];
    size_t count;
    const struct agent_record *records = checkpoint_records(c, &count);

    for (size_t i = 0; i < count; i++) {
        if (records[i].key.size == strlen(key) &&
            memcmp(records[i].key.data, key, strlen(key)) == 0) {
            snprintf(value,
                     sizeof(value),
                     "%.*s",
                     (int)records[i].value.size,
                     (const char *)records[i].value.data);
            return value;
        }
    }
    return NULL;
}

START_TEST(empty_at_first)
{
    struct checkpoint *c = open_checkpoint();
    size_t count;

    checkpoint_records(c, &count);
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_eq(checkpoint_durable(c), 0);
    checkpoint_close(c);
}
END_TEST

START_TEST(records_are_put_replaced_and_erased)
{
    struct checkpoint *c = open_checkpoint();

    write_one(c, 1, "a", "1");
    write_one(c, 2, "b", "2");
    write_one(c, 3, "a", "3");
    write_one(c, 4, "c", "4");
    write_one(c, 5, "b", "");
    write_one(c, 6, "never", "");
    wait_durable(c, 6);
    checkpoint_close(c);
    c = open_checkpoint();
    ck_assert_str_eq(kept(c, "a"), "3");
    ck_assert_ptr_null(kept(c, "b"));
    ck_assert_str_eq(kept(c, "c"), "4");
    checkpoint_close(c);
}
END_TEST

START_TEST(many_batches_share_commits)
{
    struct checkpoint *c = open_checkpoint();
    size_t count;

    for (uint64_t i = 1; i <= MANY; i++) {
        char key[16];

        snprintf(key, sizeof(key), "run%llu", (unsigned long long)i);
        write_one(c, i, key, "spec");
    }
    wait_durable(c, MANY);
    ck_assert_uint_eq(checkpoint_durable(c), MANY);
    checkpoint_close(c);
    c = open_checkpoint();
    checkpoint_records(c, &count);
    ck_assert_uint_eq(count, MANY);
    checkpoint_close(c);
}
END_TEST

START_TEST(durable_outlives_a_kill)
{
    pid_t pid = fork();
    struct checkpoint *c;
    int status;

    if (pid == 0) {
        c = open_checkpoint();
        write_one(c, 1, "a", "1");
        wait_durable(c, 1);
        raise(SIGKILL);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    c = open_checkpoint();
    ck_assert_str_eq(kept(c, "a"), "1");
    checkpoint_close(c);
}
END_TEST

START_TEST(one_agent_at_a_time)
{
    struct checkpoint *c = open_checkpoint(), *second;
    struct error err;

    ck_assert_int_eq(checkpoint_open(&second, t.work_dir, &hooks, &err), -ERROR_BUSY);
    ck_assert_ptr_nonnull(strstr(err.text, "in use by process"));
    checkpoint_close(c);
    checkpoint_close(open_checkpoint());
}
END_TEST

/* Whoever has a copy of the descriptors, as a child on its way to exec. */
START_TEST(closed_is_free_at_once)
{
    struct checkpoint *c = open_checkpoint();
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        pause();
        _exit(0);
    }
    checkpoint_close(c);
    checkpoint_close(open_checkpoint());
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

static void on_fatal(void *arg, const struct error *err)
{
    (void)arg;
    failure = *err;
    atomic_store(&has_failed, true);
    eventfd_write(woken, 1);
}

/* A disk that is full: the commit fails, and nothing of it is ever called durable. */
START_TEST(failed_commit_is_the_end)
{
    const struct store_hooks fatal = {.notify = notify, .fatal = on_fatal};
    struct rlimit limit;
    struct checkpoint *c;
    char path[96], large[64 * 1024];
    struct stat st;
    eventfd_t value;

    ck_assert_int_eq(checkpoint_open(&c, t.work_dir, &fatal, &failure), 0);
    write_one(c, 1, "a", "1");
    wait_durable(c, 1);
    snprintf(path, sizeof(path), "%s/checkpoint/data.mdb", t.work_dir);
    ck_assert_int_eq(stat(path, &st), 0);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = (rlim_t)st.st_size;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = 0;
    write_one(c, 2, "b", large);
    while (!atomic_load(&has_failed))
        ck_assert_int_eq(eventfd_read(woken, &value), 0);
    ck_assert_uint_eq(checkpoint_durable(c), 1);
    checkpoint_close(c);
    ck_assert_ptr_nonnull(strstr(failure.text, "checkpoint cannot be written"));
    c = open_checkpoint();
    ck_assert_str_eq(kept(c, "a"), "1");
    ck_assert_ptr_null(kept(c, "b"));
    checkpoint_close(c);
}
END_TEST

START_TEST(flipped_bit_is_found)
{
    static const char needle[] = "a value that is easily found";
    struct checkpoint *c = open_checkpoint();
    static char bytes[1 << 20];
    struct error err;
    char path[96], *at;
    ssize_t n;
    int fd;

    write_one(c, 1, "key", needle);
    checkpoint_close(c);
    snprintf(path, sizeof(path), "%s/checkpoint/data.mdb", t.work_dir);
    fd = open(path, O_RDWR | O_CLOEXEC);
    n = pread(fd, bytes, sizeof(bytes), 0);
    ck_assert_int_gt(n, 0);
    at = memmem(bytes, (size_t)n, needle, strlen(needle));
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(pwrite(fd, "A", 1, at - bytes), 1);
    close(fd);
    ck_assert_int_eq(checkpoint_open(&c, t.work_dir, &hooks, &err), -ERROR_CORRUPT);
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, agent_test_teardown);
    return c;
}

UNIT_MAIN("checkpoint",
          prepared(unit_case("checkpoint",
                             empty_at_first,
                             records_are_put_replaced_and_erased,
                             many_batches_share_commits,
                             durable_outlives_a_kill,
                             one_agent_at_a_time,
                             closed_is_free_at_once,
                             failed_commit_is_the_end,
                             flipped_bit_is_found)))
