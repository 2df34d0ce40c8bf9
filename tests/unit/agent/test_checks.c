/* test_checks.c - checks of runs: commands beside them, and ports. */
#include "base/clock.h"
#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENT_MS 20000

static char *argvs[8][3];
static struct job_check checks[8];

static void setup(void)
{
    agent_test_setup();
    t.checks = checks;
    test_launcher_open();
}

/* Attempt 1, if it runs still. */
static void teardown(void)
{
    if (t.seen[1].started && !t.seen[1].ended) {
        launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
        test_wait_ended(1);
    }
    agent_test_teardown();
}

static struct job_check *add(enum check_kind kind, uint64_t timeout_ms)
{
    struct job_check *c = &checks[t.check_count++];

    *c = (struct job_check){.role = CHECK_HEALTH,
                            .kind = kind,
                            .interval_ms = 1000,
                            .timeout_ms = timeout_ms,
                            .failures = 3};
    return c;
}

static void add_script(const char *script, uint64_t timeout_ms)
{
    char **argv = argvs[t.check_count];
    struct job_check *c = add(CHECK_COMMAND, timeout_ms);

    argv[0] = (char *)(uintptr_t) "sh";
    argv[1] = (char *)(uintptr_t) "-c";
    argv[2] = (char *)(uintptr_t)script;
    c->argv = argv;
    c->argc = 3;
}

static void start(void)
{
    test_script(1, "echo > ready; exec sleep 1000");
    test_wait_ready(1);
}

/* The answer to a check of attempt 1: NULL when it passed. */
static const char *answer(uint32_t index)
{
    test_ask(1, index);
    test_wait_checked();
    ck_assert_uint_eq(t.checked.attempt, 1);
    ck_assert_uint_eq(t.checked.index, index);
    ck_assert_uint_eq(t.checked.restarts, t.restarts);
    return t.checked.passed ? NULL : t.checked.message;
}

/* ---- commands ---- */

START_TEST(status_decides)
{
    add_script("exit 0", PATIENT_MS);
    add_script("exit 3", PATIENT_MS);
    add_script("kill -USR1 $$", PATIENT_MS);
    start();
    ck_assert_ptr_null(answer(0));
    ck_assert_str_eq(answer(1), "exited with status 3");
    ck_assert_str_eq(answer(2), "ended by signal 10");
    ck_assert_ptr_null(answer(0));
    ck_assert(!t.seen[1].ended);
}
END_TEST

START_TEST(it_is_as_the_task_is)
{
    char text[64];

    add_script(
        "test -e ready && test \"$COLOUR\" = blue && "
        "test $TRIARCH_TASK_ID = 17.3 && test $TRIARCH_RESTART = 1 && "
        "echo hidden && echo hidden >&2 && id -u > who",
        PATIENT_MS);
    test_script(1, "exit 1");
    test_check_end(1, RUN_END_EXITED, 1);
    t.seen[1] = (struct seen){0};
    t.restarts = 1;
    start();
    ck_assert_ptr_null(answer(0));
    ck_assert_int_eq(test_read_pid(1, "who"), (int)geteuid());
    test_script(2, "cat ../1/stdout ../1/stderr; echo none");
    test_check_end(2, RUN_END_EXITED, 0);
    test_read(2, "stdout", text, sizeof(text));
    ck_assert_str_eq(text, "none");
}
END_TEST

START_TEST(failing_one_is_quoted)
{
    char wanted[200], long_one[81];

    add_script("echo no such; echo table >&2; exit 1", PATIENT_MS);
    add_script("yes | head -c 300000; exit 1", PATIENT_MS);
    add_script("exec >&- 2>&-; sleep 0.1; exit 1", PATIENT_MS);
    add_script("echo slow; exec sleep 1000", 300);
    start();
    ck_assert_str_eq(answer(0), "exited with status 1: no such table");
    for (int i = 0; i < 80; i++)
        long_one[i] = i % 2 == 0 ? 'y' : ' ';
    long_one[79] = 0;
    snprintf(wanted, sizeof(wanted), "exited with status 1: %s", long_one);
    ck_assert_str_eq(answer(1), wanted);
    ck_assert_str_eq(answer(2), "exited with status 1");
    ck_assert_str_eq(answer(3), "timed out after 300 ms: slow");
}
END_TEST

START_TEST(missing_command_is_clear)
{
    add_script("", PATIENT_MS);
    argvs[0][0] = (char *)(uintptr_t) "/no-such-command";
    start();
    ck_assert_str_eq(answer(0), "not started: No such file or directory");
}
END_TEST

START_TEST(timeout_ends_it_with_all_it_started)
{
    uint64_t began_us = clock_monotonic_us();
    pid_t child, escaped;

    add_script(
        "trap '' TERM; sleep 1000 & echo $! > child;"
        "setsid sh -c 'echo $$ > escaped; exec sleep 1000' & wait",
        700);
    start();
    ck_assert_str_eq(answer(0), "timed out after 700 ms");
    ck_assert_uint_ge(clock_monotonic_us() - began_us, 700000);
    child = test_read_pid(1, "child");
    escaped = test_read_pid(1, "escaped");
    test_wait_gone(child);
    test_wait_gone(escaped);
    ck_assert(!t.seen[1].ended);
}
END_TEST

START_TEST(what_it_leaves_behind_is_killed)
{
    pid_t escaped;

    add_script(
        "setsid sh -c 'echo $$ > escaped; exec sleep 1000' &"
        "until test -s escaped; do sleep 0.01; done",
        PATIENT_MS);
    start();
    ck_assert_ptr_null(answer(0));
    escaped = test_read_pid(1, "escaped");
    test_wait_gone(escaped);
    ck_assert(!t.seen[1].ended);
}
END_TEST

START_TEST(end_of_the_run_ends_it)
{
    pid_t check;

    add_script("echo $$ > check; exec sleep 1000", LIMIT_CHECK_TIMEOUT_MS);
    start();
    test_ask(1, 0);
    check = test_read_pid(1, "check");
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_wait_ended(1);
    test_wait_gone(check);
    test_ask(1, 0); /* nothing happens */
    test_script(2, "true");
    test_check_end(2, RUN_END_EXITED, 0);
}
END_TEST

START_TEST(many_at_once)
{
    add_script("exit 0", PATIENT_MS);
    start();
    for (unsigned i = 0; i < LIMIT_AGENT_CHECKS; i++)
        test_ask(1, 0);
    while (t.checked.count < LIMIT_AGENT_CHECKS)
        test_wait_checked();
    ck_assert(t.checked.passed);
}
END_TEST

static void play_check(void)
{
    start();
    test_ask(1, 0);
    test_read_pid(1, "check");
}

/* It takes its time; the next agent does not wait for it, and hears nothing of it. */
START_TEST(agent_is_killed_meanwhile)
{
    test_launcher_close();
    add_script("echo $$ > check; exec sleep 1000", LIMIT_CHECK_TIMEOUT_MS);
    add_script("exit 0", PATIENT_MS);
    test_agent_killed(play_check);
    test_launcher_open();
    launcher_adopt(t.launcher, 1);
    test_wait_started(1);
    ck_assert_ptr_null(answer(1));
    ck_assert_uint_eq(t.checked.count, 1);
    launcher_signal(t.launcher, 1, RUN_SIGNAL_KILL);
    test_wait_ended(1);
    test_wait_gone(test_read_pid(1, "check"));
}
END_TEST

/* ---- ports ---- */

static int listen_on(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

START_TEST(ports_are_those_of_the_task)
{
    uint16_t ports[2] = {1}; /* nobody listens on the first */
    int fd = listen_on(&ports[1]);

    t.ports = ports;
    t.port_count = 2;
    add(CHECK_TCP, PATIENT_MS);
    add(CHECK_TCP, PATIENT_MS)->port_index = 1;
    add(CHECK_TCP, PATIENT_MS)->port = ports[1];
    start();
    ck_assert_str_eq(answer(0), "Connection refused");
    ck_assert_ptr_null(answer(1));
    ck_assert_ptr_null(answer(2));
    close(fd);
}
END_TEST

START_TEST(request_is_well_formed)
{
    struct job_check *c = add(CHECK_HTTP, PATIENT_MS);
    char request[512] = "", expected[512];
    int fd = listen_on(&c->port), peer;
    ssize_t n;

    c->path = (char *)(uintptr_t) "/a b?x=\xc3\xa9%20";
    start();
    test_ask(1, 0);
    peer = accept(fd, NULL, NULL);
    snprintf(expected,
             sizeof(expected),
             "GET /a%%20b?x=%%C3%%A9%%20 HTTP/1.0\r\nHost: 127.0.0.1:%u\r\n"
             "User-Agent: triarch\r\nConnection: close\r\n\r\n",
             c->port);
    n = recv(peer, request, strlen(expected), MSG_WAITALL);
    ck_assert_int_eq(n, (ssize_t)strlen(expected));
    ck_assert_str_eq(request, expected);
    ck_assert_int_gt(send(peer, "HTTP/1.1 503 No\r\n\r\n", 19, MSG_NOSIGNAL), 0);
    test_wait_checked();
    ck_assert_str_eq(t.checked.message, "status 503");
    close(peer);
    close(fd);
}
END_TEST

/* The answer to one request, and what is said of it: NULL when it passed. */
static const char *after(int fd, const char *text, size_t size)
{
    char request[512], byte;
    int peer;

    test_ask(1, 0);
    peer = accept(fd, NULL, NULL);
    ck_assert_int_gt(recv(peer, request, sizeof(request), 0), 0);
    ck_assert_int_eq(send(peer, text, size, MSG_NOSIGNAL), (ssize_t)size);
    shutdown(peer, SHUT_WR);
    test_wait_checked();
    ck_assert_int_eq(recv(peer, &byte, 1, 0), 0); /* closed, and not reset */
    close(peer);
    return t.checked.passed ? NULL : t.checked.message;
}

START_TEST(status_of_http_decides)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n\r\nhello", NULL},
        {"HTTP/1.0 399 Strange\r\n\r\n", NULL},
        {"HTTP/1.1 199 Early\r\n\r\n", "status 199"},
        {"HTTP/1.1 400 Bad\r\n\r\n", "status 400"},
        {"HTTP/1.1 2x0 Bad\r\n\r\n", "no answer in HTTP"},
        {"HTTP/1.1 20", "no answer in HTTP"},
        {"SSH-2.0-OpenSSH_9.2\r\n", "no answer in HTTP"},
    };
    static char large[LIMIT_CHECK_BYTES / 2];
    struct job_check *c = add(CHECK_HTTP, PATIENT_MS);
    int fd = listen_on(&c->port);

    c->path = (char *)(uintptr_t) "/";
    start();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_pstr_eq(after(fd, cases[i].text, strlen(cases[i].text)),
                          cases[i].problem);
    memset(large, 'x', sizeof(large));
    memcpy(large, "HTTP/1.1 204 None\r\n\r\n", 21);
    ck_assert_ptr_null(after(fd, large, sizeof(large)));
    close(fd);
}
END_TEST

START_TEST(silence_times_out)
{
    struct job_check *c = add(CHECK_HTTP, 1000);
    int fd = listen_on(&c->port);

    c->path = (char *)(uintptr_t) "/";
    start();
    ck_assert_str_eq(answer(0), "timed out after 1 s");
    close(fd);
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("checks",
          prepared(unit_case("commands",
                             status_decides,
                             it_is_as_the_task_is,
                             failing_one_is_quoted,
                             missing_command_is_clear,
                             timeout_ends_it_with_all_it_started,
                             what_it_leaves_behind_is_killed,
                             end_of_the_run_ends_it,
                             many_at_once,
                             agent_is_killed_meanwhile)),
          prepared(unit_case("ports",
                             ports_are_those_of_the_task,
                             request_is_well_formed,
                             status_of_http_decides,
                             silence_times_out)))
