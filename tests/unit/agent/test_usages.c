/* test_usages.c - what runs use is sampled, counted on, and known after their end. */
#include "agent/usages.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHIM 4711 /* of runs that have a group, and no process */

static struct usages *usages;
static struct usage_record record;
static _Atomic uint64_t group_cpu_us;
static atomic_bool group_is_there;

static int read_group(void *context, uint64_t attempt, struct usage_reading *out)
{
    (void)context;
    (void)attempt;
    *out = (struct usage_reading){.cpu_us = group_cpu_us,
                                  .memory_bytes = 100,
                                  .memory_peak_bytes = 300,
                                  .read_bytes = 5,
                                  .pids = 2};
    return group_is_there ? 0 : -ENOENT;
}

static void open_usages(bool with_groups)
{
    const struct usages_options options = {
        .work_dir = t.work_dir,
        .interval_ms = 20,
        .read_group = with_groups ? read_group : NULL,
    };
    struct error err = {0};

    ck_assert_msg(usages_open(&usages, &options, &err) == 0, "%s", err.text);
}

static void setup(void)
{
    agent_test_setup();
    group_cpu_us = 1000;
    group_is_there = true;
}

static void teardown(void)
{
    usages_close(usages);
    agent_test_teardown();
}

/* Until the run is known and used so much. */
static void wait_used(uint64_t attempt, uint64_t cpu_us)
{
    uint64_t end = clock_monotonic_us() + unit_patience_us();

    while (!usages_find(usages, attempt, &record) || record.at_us == 0 ||
           record.last.cpu_us < cpu_us) {
        ck_assert_msg(clock_monotonic_us() < end, "attempt %d", (int)attempt);
        poll(NULL, 0, 2);
    }
}

START_TEST(groups_are_read)
{
    open_usages(true);
    usages_watch(usages, 1, SHIM);
    wait_used(1, 1000);
    ck_assert_uint_eq(record.last.memory_bytes, 100);
    ck_assert_uint_eq(record.last.memory_peak_bytes, 300);
    ck_assert_uint_eq(record.last.read_bytes, 5);
    ck_assert_uint_eq(record.last.pids, 2);
    ck_assert_uint_eq(record.ended_us, 0);
    group_cpu_us = 50000;
    wait_used(1, 50000);
    ck_assert_uint_ge(record.sample_count, 2);
    ck_assert_uint_eq(record.samples[record.sample_count - 1].cpu_us, 50000);
    ck_assert_uint_gt(record.cpu_milli, 0);
}
END_TEST

START_TEST(the_newest_samples_are_kept)
{
    uint64_t end = clock_monotonic_us() + unit_patience_us(), first_us;

    open_usages(true);
    usages_watch(usages, 1, SHIM);
    wait_used(1, 1000);
    first_us = record.samples[0].at_us;
    do {
        ck_assert(clock_monotonic_us() < end);
        poll(NULL, 0, 5);
        ck_assert(usages_find(usages, 1, &record));
    } while (record.samples[0].at_us == first_us);
    ck_assert_uint_eq(record.sample_count, USAGE_SAMPLES);
    for (uint32_t i = 1; i < USAGE_SAMPLES; i++)
        ck_assert_uint_gt(record.samples[i].at_us, record.samples[i - 1].at_us);
}
END_TEST

START_TEST(an_ended_run_is_known)
{
    open_usages(true);
    usages_watch(usages, 1, SHIM);
    wait_used(1, 1000);
    usages_leave(usages, 1, NULL);
    usages_close(usages);
    open_usages(true); /* also to the next agent */
    ck_assert(usages_find(usages, 1, &record));
    ck_assert_uint_eq(record.last.cpu_us, 1000);
    ck_assert_uint_gt(record.ended_us, 0);
    ck_assert(!usages_find(usages, 2, &record));
}
END_TEST

START_TEST(a_run_that_was_never_seen_is_not)
{
    group_is_there = false;
    open_usages(true);
    usages_watch(usages, 1, SHIM);
    usages_leave(usages, 1, NULL);
    ck_assert(!usages_find(usages, 1, &record));
}
END_TEST

START_TEST(a_short_run_is_known_if_it_worked)
{
    const struct usage_reading worked = {.cpu_us = 20000, .memory_peak_bytes = 77};
    const struct usage_reading hardly = {.cpu_us = 20};

    group_is_there = false;
    open_usages(true);
    usages_watch(usages, 1, SHIM);
    usages_leave(usages, 1, &worked);
    ck_assert(usages_find(usages, 1, &record));
    ck_assert_uint_eq(record.last.cpu_us, 20000);
    ck_assert_uint_eq(record.last.memory_peak_bytes, 77);
    usages_leave(usages, 2, &worked); /* it ended before it was seen to run */
    ck_assert(usages_find(usages, 2, &record));
    usages_leave(usages, 3, &hardly);
    ck_assert(!usages_find(usages, 3, &record));
}
END_TEST

/* What it used before counts, and is not counted twice. */
START_TEST(a_run_that_is_started_again_goes_on)
{
    open_usages(true);
    usages_watch(usages, 1, SHIM);
    wait_used(1, 1000);
    usages_leave(usages, 1, NULL);
    group_cpu_us = 200;
    usages_watch(usages, 1, SHIM + 1);
    wait_used(1, 1200);
    ck_assert_uint_eq(record.last.cpu_us, 1200);
}
END_TEST

START_TEST(all_that_run_are_reported)
{
    struct usage_report *reports;
    size_t count;

    open_usages(true);
    usages_watch(usages, 5, SHIM);
    usages_watch(usages, 3, SHIM);
    usages_watch(usages, 9, SHIM);
    wait_used(3, 1000);
    wait_used(5, 1000);
    wait_used(9, 1000);
    reports = usages_reports(usages, 0, 2, &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(reports[0].attempt, 3);
    ck_assert_uint_eq(reports[1].attempt, 5);
    mem_free(reports);
    reports = usages_reports(usages, 5, 2, &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(reports[0].attempt, 9);
    ck_assert_uint_eq(reports[0].cpu_us, 1000);
    ck_assert_uint_eq(reports[0].memory_peak_bytes, 300);
    mem_free(reports);
}
END_TEST

/* ---- without groups ---- */

START_TEST(processes_are_counted)
{
    open_usages(false);
    test_launcher_open();
    /* One that works and one that waits, and what lost its parent. */
    test_script(7,
                "(sleep 1000 & ) ; (while :; do :; done) & echo yes >ready; "
                "exec sleep 1000");
    test_wait_ready(7);
    usages_watch(usages, 7, launcher_shim(t.launcher, 7));
    wait_used(7, 200000);
    ck_assert_uint_eq(record.last.pids, 3);
    ck_assert_uint_gt(record.last.memory_bytes, 100 * KIB);
    ck_assert_uint_lt(record.last.memory_bytes, 100 * MIB);
    ck_assert_uint_ge(record.last.memory_peak_bytes, record.last.memory_bytes);
}
END_TEST

START_TEST(work_of_ended_children_counts)
{
    open_usages(false);
    test_launcher_open();
    test_script(7,
                "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; "
                "echo yes >ready; exec sleep 1000");
    test_wait_ready(7);
    usages_watch(usages, 7, launcher_shim(t.launcher, 7));
    wait_used(7, 30000);
    ck_assert_uint_eq(record.last.pids, 1);
}
END_TEST

START_TEST(nothing_is_made_up_of_other_processes)
{
    struct usage_proc_run runs[] = {{.shim = getpid() + 1000000}, {.shim = -1}};

    usage_proc_read(runs, 2);
    ck_assert_uint_eq(runs[0].reading.pids, 0);
    ck_assert_uint_eq(runs[1].reading.pids, 0);
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("usages",
          prepared(unit_case("samples",
                             groups_are_read,
                             the_newest_samples_are_kept,
                             an_ended_run_is_known,
                             a_run_that_was_never_seen_is_not,
                             a_short_run_is_known_if_it_worked,
                             a_run_that_is_started_again_goes_on,
                             all_that_run_are_reported)),
          prepared(unit_case("processes",
                             processes_are_counted,
                             work_of_ended_children_counts,
                             nothing_is_made_up_of_other_processes)))
