/* test_starts.c - how many runs are started at one time. */
#include "base/clock.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MORE  (LIMIT_AGENT_PREPARING + 8)
#define PLAIN 1000
#define PATIENCE_US \
    (20 * 1000000ull + LIMIT_AGENT_PREPARE_MS * 1000ull) /* of a busy machine */

static char gate[96];

/* What is fetched waits until somebody opens the gate. */
static void setup(void)
{
    agent_test_setup();
    test_launcher_open();
    snprintf(gate, sizeof(gate), "%s/gate", t.work_dir);
    ck_assert_int_eq(mkfifo(gate, 0600), 0);
    test_write_fetch(": <../../gate");
}

static bool is_there(uint64_t attempt)
{
    char path[128];

    snprintf(
        path, sizeof(path), "%s/runs/%llu", t.work_dir, (unsigned long long)attempt);
    return access(path, F_OK) == 0;
}

static unsigned count_there(void)
{
    unsigned count = 0;

    for (uint64_t attempt = 1; attempt <= MORE; attempt++)
        count += is_there(attempt) ? 1 : 0;
    return count;
}

static void wait_there(unsigned count, bool dispatch)
{
    uint64_t end_us = clock_monotonic_us() + PATIENCE_US;

    while (count_there() < count) {
        poll(NULL, 0, 5);
        if (dispatch)
            launcher_dispatch(t.launcher);
        ck_assert_msg(
            clock_monotonic_us() < end_us, "only %u are prepared", count_there());
    }
}

static void start_all(void)
{
    t.artifact = true;
    for (uint64_t attempt = 1; attempt <= MORE; attempt++)
        test_script(attempt, "true");
    t.artifact = false;
}

static void open_gate(void)
{
    int fd = open(gate, O_RDWR | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    for (uint64_t attempt = 1; attempt <= MORE; attempt++)
        test_check_end(attempt, RUN_END_EXITED, 0);
    close(fd);
}

/* The spawner takes requests in order, so what comes last says that nothing more comes: places are
 * given on only by dispatching. */
START_TEST(only_so_many_prepare)
{
    start_all();
    test_script(PLAIN, "true");
    while (!is_there(PLAIN))
        poll(NULL, 0, 5);
    wait_there(LIMIT_AGENT_PREPARING, false);
    ck_assert_uint_eq(count_there(), LIMIT_AGENT_PREPARING);
    ck_assert(!is_there(LIMIT_AGENT_PREPARING + 1));
    open_gate();
}
END_TEST

START_TEST(others_are_not_held_up)
{
    start_all();
    test_script(PLAIN, "true");
    test_check_end(PLAIN, RUN_END_EXITED, 0);
    ck_assert(!t.seen[1].started);
    open_gate();
}
END_TEST

START_TEST(those_that_wait_for_a_network_do_not_count)
{
    uint64_t begin_us = clock_monotonic_us();

    start_all();
    wait_there(MORE, true);
    ck_assert_uint_ge(clock_monotonic_us() - begin_us,
                      LIMIT_AGENT_PREPARE_MS * 1000ull);
    open_gate();
}
END_TEST

int main(void)
{
    TCase *c = unit_case("starts",
                         only_so_many_prepare,
                         others_are_not_held_up,
                         those_that_wait_for_a_network_do_not_count);

    tcase_add_checked_fixture(c, setup, agent_test_teardown);
    tcase_set_timeout(c, 60);
    return unit_run("starts", &c, 1);
}
