/* test_spawning.c - requests to the spawner are not lost, and it ends with its agent. */
#include "agent/spawning.h"

#include "agent/request.h"
#include "agent/slots.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"
#include "wire/job.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_BYTES 4096
#define PIPE_FULL  (PIPE_BYTES / sizeof(struct shim_notice))

static struct spawning spawning;
static struct slots slots;

static void setup(void)
{
    struct spawning_options options = {.work_dir = t.work_dir, .shim = t.shim};
    const struct cgroups none = {0};
    struct error err = {0};
    char path[80];

    agent_test_setup();
    snprintf(path, sizeof(path), "%s/runs", t.work_dir);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/slots", t.work_dir);
    ck_assert_int_eq(slots_open(&slots, path, &err), 0);
    options.slots = slots.fd;
    options.groups = &none;
    ck_assert_int_eq(users_create(&t.users, &t.users_options, &err), 0);
    ck_assert_msg(spawning_start(&spawning, &options, &err) == 0, "%s", err.text);
}

static void teardown(void)
{
    spawning_stop(&spawning);
    slots_close(&slots);
    agent_test_teardown();
}

/* Start `true` with an argument of that many bytes. */
static bool send_true(uint64_t attempt, size_t size)
{
    struct run_start run = {.attempt = attempt};
    struct buffer spec = {0}, request = {0};
    char *argument = mem_zalloc(size + 1);
    struct job_spec job;
    const struct request_host host = {.work_dir = t.work_dir, .users = t.users};
    struct error err = {0};
    uint32_t slot;

    memset(argument, 'x', size);
    job_spec_init(&job);
    job.name = mem_strdup("test");
    job.instances = 1;
    job_spec_add_arg(&job, "true");
    job_spec_add_arg(&job, argument);
    job_spec_pack(&job, &spec);
    job_spec_finish(&job);
    mem_free(argument);
    run.spec = buffer_view(&spec);
    ck_assert_int_eq(request_build(&request, &run, &host, &err), 0);
    buffer_finish(&spec);
    ck_assert_int_eq(slots_take(&slots, &slot, &err), 0);
    ((struct shim_request *)(void *)request.data)->slot = slot;
    return spawning_send(&spawning, &request, -1);
}

static void set_room(int bytes)
{
    ck_assert_int_eq(
        setsockopt(spawning.requests, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
}

static struct shim_notice next_notice(void)
{
    struct pollfd fd = {.fd = spawning.notices, .events = POLLIN};
    struct shim_notice notice;

    ck_assert_int_eq(poll(&fd, 1, -1), 1);
    ck_assert_int_eq(read(spawning.notices, &notice, sizeof(notice)), sizeof(notice));
    return notice;
}

START_TEST(requests_wait_for_room_in_order)
{
    set_room(1);
    ck_assert(!send_true(1, 32 * KIB));
    ck_assert(!send_true(2, 1));
    set_room(256 * KIB);
    ck_assert(spawning_flush(&spawning));
    for (unsigned ended = 0, started = 0; ended < 2;) {
        struct shim_notice notice = next_notice();

        if (notice.kind == SHIM_STARTED)
            started |= 1u << notice.attempt;
        else
            ended++;
        ck_assert(notice.kind != SHIM_GONE);
        ck_assert(ended == 0 || started != 0);
    }
}
END_TEST

START_TEST(largest_request_fits)
{
    ck_assert(send_true(1, LIMIT_ARGV_ENV_BYTES - KIB));
    ck_assert_int_eq(next_notice().kind, SHIM_STARTED);
    ck_assert_int_eq(next_notice().kind, SHIM_ENDED);
}
END_TEST

/* Nobody reads what it has to say any more. */
START_TEST(stop_does_not_wait_for_a_spawner_that_waits)
{
    struct rlimit none = {0}, old;
    int waiting = 0;

    ck_assert_int_gt(fcntl(spawning.notices, F_SETPIPE_SZ, PIPE_BYTES), 0);
    for (uint64_t attempt = 1; attempt <= PIPE_FULL; attempt++)
        send_true(attempt, 1);
    while ((size_t)waiting < PIPE_FULL * sizeof(struct shim_notice)) {
        ck_assert_int_eq(ioctl(spawning.notices, FIONREAD, &waiting), 0);
        poll(NULL, 0, 2);
    }
    ck_assert_int_eq(prlimit(spawning.pid, RLIMIT_NPROC, NULL, &old), 0);
    none.rlim_max = old.rlim_max;
    ck_assert_int_eq(prlimit(spawning.pid, RLIMIT_NPROC, &none, NULL), 0);
    ck_assert(send_true(PIPE_FULL + 1, 1)); /* cannot be forked, which is told */
    spawning_stop(&spawning);
}
END_TEST

/* ---- leases ---- */

static void start_leased(const char *script, uint64_t lease_ms)
{
    const struct request_host host = {.work_dir = t.work_dir, .users = t.users};
    struct buffer spec = {0}, request = {0};
    struct run_start run = {.attempt = 1};
    struct shim_request *r;
    struct error err = {0};
    struct job_spec job;

    job_spec_init(&job);
    job.name = mem_strdup("test");
    job.instances = 1;
    job_spec_add_arg(&job, "sh");
    job_spec_add_arg(&job, "-c");
    job_spec_add_arg(&job, script);
    job_spec_pack(&job, &spec);
    job_spec_finish(&job);
    run.spec = buffer_view(&spec);
    ck_assert_int_eq(request_build(&request, &run, &host, &err), 0);
    buffer_finish(&spec);
    r = (struct shim_request *)(void *)request.data;
    ck_assert_int_eq(slots_take(&slots, &r->slot, &err), 0);
    r->lease_ms = lease_ms;
    r->grace_ms = 100;
    ck_assert(spawning_send(&spawning, &request, -1));
}

static struct slot_end leased_end(void)
{
    struct slot slot;

    test_slot(1, &slot);
    ck_assert(slot_end_valid(&slot));
    return slot.end;
}

static struct slot_end wait_leased(void)
{
    ck_assert_int_eq(next_notice().kind, SHIM_ENDED);
    return leased_end();
}

/* Run a script with a lease until it has ended; the slot's end. */
static struct slot_end
run_leased(const char *script, uint64_t lease_ms, unsigned renewals)
{
    test_renew_leases();
    start_leased(script, lease_ms);
    ck_assert_int_eq(next_notice().kind, SHIM_STARTED);
    while (renewals-- > 0) {
        poll(NULL, 0, (int)lease_ms / 10); /* a busy host may make much more of it */
        test_renew_leases();
    }
    return wait_leased();
}

START_TEST(lease_that_is_not_renewed_ends_the_run)
{
    uint64_t began = clock_boottime_us();
    struct slot_end end = run_leased("sleep 1000", 1000, 12);

    ck_assert_uint_eq(end.how, SLOT_LEASE);
    ck_assert_int_eq(end.code, SIGTERM);
    ck_assert_uint_ge(clock_boottime_us() - began, (12 * 100 + 1000) * 1000ull);
}
END_TEST

START_TEST(what_ignores_the_end_of_its_lease_is_killed)
{
    struct slot_end end;
    char path[80];

    snprintf(path, sizeof(path), "%s/runs/1/ready", t.work_dir);
    test_renew_leases();
    start_leased("trap '' TERM; >ready; while :; do sleep 0.01; done", 100);
    while (access(path, F_OK) != 0) { /* a slow host may take long to come so far */
        test_renew_leases();
        poll(NULL, 0, 10);
    }
    ck_assert_int_eq(next_notice().kind, SHIM_STARTED);
    end = wait_leased();
    ck_assert_uint_eq(end.how, SLOT_LEASE);
    ck_assert_int_eq(end.code, SIGKILL);
}
END_TEST

/* It waited for too long somewhere, or there never was a lease. */
START_TEST(run_without_a_lease_is_not_started)
{
    char path[80];
    struct slot_end end;

    start_leased("echo > ran", 60000);
    end = wait_leased();
    ck_assert_uint_eq(end.how, SLOT_LEASE);
    ck_assert_int_eq(end.code, 0);
    snprintf(path, sizeof(path), "%s/runs/1/ran", t.work_dir);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(lease_that_lasts_is_nothing)
{
    struct slot_end end = run_leased("exit 7", 60000, 0);

    ck_assert_uint_eq(end.how, SLOT_EXITED);
    ck_assert_int_eq(end.code, 7);
}
END_TEST

/* The agent does not read, and others have said enough to fill the pipe. */
START_TEST(lease_ends_while_nobody_reads_notices)
{
    const struct shim_notice other = {.attempt = 2, .kind = SHIM_STARTED};
    unsigned filled = 0;
    char path[80];
    int fd;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", spawning.notices);
    fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    while (write(fd, &other, sizeof(other)) == sizeof(other))
        filled++;
    ck_assert_uint_gt(filled, 0);
    close(fd);
    test_renew_leases();
    start_leased("echo $$ >pid; exec sleep 1000", 300);
    test_wait_gone(test_read_pid(1, "pid"));
    while (next_notice().kind != SHIM_ENDED)
        continue;
    ck_assert_uint_eq(leased_end().how, SLOT_LEASE);
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("spawning",
          prepared(unit_case("spawning",
                             requests_wait_for_room_in_order,
                             largest_request_fits,
                             stop_does_not_wait_for_a_spawner_that_waits)),
          prepared(unit_case("leases",
                             lease_that_is_not_renewed_ends_the_run,
                             what_ignores_the_end_of_its_lease_is_killed,
                             run_without_a_lease_is_not_started,
                             lease_that_lasts_is_nothing,
                             lease_ends_while_nobody_reads_notices)))
