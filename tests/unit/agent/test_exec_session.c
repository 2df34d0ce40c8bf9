/* test_exec_session.c - a session process against real commands; the test is its agent. */
#include "agent/exec_session.h"

#include "base/buffer.h"
#include "tests/lib/unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WINDOW LIMIT_EXEC_WINDOW_BYTES

static pid_t session;
static int wire; /* to it */
static struct buffer streams[3];
static struct exec_word last;
static char text[LIMIT_MESSAGE_BYTES + 1]; /* of the last word */
static bool started, over;
static size_t sent, credited; /* bytes of input */
static bool generous;         /* credit is given for all output */

/* ---- a session ---- */

static int become(char **argv, const struct exec_files *files)
{
    sigset_t none;

    sigemptyset(&none);
    if (setsid() < 0 || (files->terminal && ioctl(files->in, TIOCSCTTY, 0) != 0) ||
        (files->in >= 0 && dup2(files->in, 0) < 0) || dup2(files->out, 1) < 0 ||
        dup2(files->err, 2) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
        sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        return errno;
    execvp(argv[0], argv);
    return errno;
}

static int
spawn(void *user, const struct exec_files *files, pid_t *pid, const char **step)
{
    volatile int failure = 0;

    *step = "exec";
    *pid = vfork();
    if (*pid == 0) {
        failure = become(user, files);
        _exit(127);
    }
    if (failure != 0)
        waitpid(*pid, NULL, 0);
    return failure;
}

static void begin(char **argv, bool terminal, bool input)
{
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    session = fork();
    if (session == 0) {
        const struct exec_session given = {.socket = ends[1],
                                           .terminal = terminal,
                                           .input = input,
                                           .rows = 24,
                                           .columns = 80,
                                           .owner = geteuid(),
                                           .name = argv[0],
                                           .spawn = spawn,
                                           .user = argv};
        sigset_t all;

        close(ends[0]);
        freopen("/dev/null", "r", stdin);
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        exec_session_run(&given);
    }
    ck_assert_int_gt(session, 0);
    close(ends[1]);
    wire = ends[0];
    generous = true;
    started = over = false;
}

static void script(const char *line, bool terminal, bool input)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)line, NULL};

    begin(argv, terminal, input);
}

static void teardown(void)
{
    for (int i = 0; i < 3; i++)
        buffer_finish(&streams[i]);
    close(wire);
}

/* False: it has just ended. */
static bool
try_say(uint32_t kind, uint32_t a, uint32_t b, const void *bytes, size_t size)
{
    uint8_t message[EXEC_WORD_MAX];
    const struct exec_word word = {.kind = kind, .a = a, .b = b};

    memcpy(message, &word, sizeof(word));
    memcpy(message + sizeof(word), bytes, size);
    return send(wire, message, sizeof(word) + size, MSG_NOSIGNAL) > 0;
}

static void say(uint32_t kind, uint32_t a, uint32_t b, const void *bytes, size_t size)
{
    ck_assert(try_say(kind, a, b, bytes, size));
}

static void type(const char *input)
{
    say(EXEC_WORD_INPUT, 0, 0, input, strlen(input));
    sent += strlen(input);
}

static void take(const struct exec_word *word, const uint8_t *bytes, size_t size)
{
    switch (word->kind) {
    case EXEC_WORD_STARTED:
        ck_assert(!started);
        started = true;
        break;
    case EXEC_WORD_CREDIT:
        credited += word->a;
        ck_assert_uint_le(credited, sent);
        break;
    case EXEC_WORD_OUTPUT:
        ck_assert(word->a == 1 || word->a == 2);
        buffer_append(&streams[word->a], bytes, size);
        if (generous)
            try_say(EXEC_WORD_CREDIT, (uint32_t)size, 0, "", 0);
        break;
    default:
        last = *word;
        memcpy(text, bytes, size);
        text[size] = 0;
    }
}

/* One word; false when nothing came within `ms`.  The end of the socket is `over`. */
static bool hear(int ms)
{
    static uint8_t message[EXEC_WORD_MAX];
    struct pollfd fd = {.fd = wire, .events = POLLIN};
    struct exec_word word;
    ssize_t n;

    if (over || poll(&fd, 1, ms) == 0)
        return false;
    n = recv(wire, message, sizeof(message), 0);
    if (n < 0 && errno == ECONNRESET)
        return true; /* what was said before is still there */
    over = n <= 0;
    if (over)
        return false;
    ck_assert_int_ge(n, (ssize_t)sizeof(word));
    memcpy(&word, message, sizeof(word));
    take(&word, message + sizeof(word), (size_t)n - sizeof(word));
    return true;
}

static void hear_all(void)
{
    while (hear(-1))
        continue;
    ck_assert(over);
    ck_assert_int_eq(waitpid(session, NULL, 0), session);
}

static bool wrote(int stream, const char *part)
{
    return streams[stream].size > 0 &&
           memmem(streams[stream].data, streams[stream].size, part, strlen(part)) !=
               NULL;
}

static void hear_until(int stream, const char *part)
{
    while (!wrote(stream, part))
        ck_assert_msg(hear(-1), "it ended without '%s'", part);
}

static void check_end(uint32_t kind, uint32_t code)
{
    hear_all();
    ck_assert_uint_eq(last.kind, kind);
    ck_assert_uint_eq(last.a, code);
}

static void check_wrote(int stream, const char *whole)
{
    ck_assert_uint_eq(streams[stream].size, strlen(whole));
    ck_assert(streams[stream].size == 0 ||
              memcmp(streams[stream].data, whole, strlen(whole)) == 0);
}

/* A number on a line of its own. */
static pid_t wrote_pid(int stream)
{
    hear_until(stream, "\n");
    return (pid_t)strtol((const char *)streams[stream].data, NULL, 10);
}

static void check_gone(pid_t pid)
{
    ck_assert_int_gt(pid, 1);
    ck_assert_int_eq(kill(pid, 0), -1);
    ck_assert_int_eq(errno, ESRCH);
}

/* ---- pipes ---- */

START_TEST(test_streams_and_status)
{
    script("echo out; echo err >&2; exit 7", false, false);
    check_end(EXEC_WORD_EXITED, 7);
    ck_assert(started);
    check_wrote(1, "out\n");
    check_wrote(2, "err\n");
}
END_TEST

START_TEST(test_signal)
{
    script("kill -TERM $$", false, false);
    check_end(EXEC_WORD_SIGNALED, SIGTERM);
}
END_TEST

START_TEST(test_not_started)
{
    char *missing[] = {(char *)"no-such-command", NULL};
    char *directory[] = {(char *)"/", NULL};

    begin(missing, false, false);
    check_end(EXEC_WORD_NOT_STARTED, 127);
    ck_assert_str_eq(text, "exec \"no-such-command\": No such file or directory");
    close(wire);
    begin(directory, true, true);
    check_end(EXEC_WORD_NOT_STARTED, 126);
    ck_assert_str_eq(text, "exec \"/\": Permission denied");
    ck_assert(!started);
}
END_TEST

START_TEST(test_no_input)
{
    script("cat; echo end", false, false);
    check_end(EXEC_WORD_EXITED, 0);
    check_wrote(1, "end\n");
}
END_TEST

START_TEST(test_input_comes_back)
{
    static uint8_t chunk[LIMIT_EXEC_CHUNK_BYTES];
    const size_t total = 256 * sizeof(chunk);
    struct buffer all = {0};

    script("cat", false, true);
    while (sent < total) {
        while (sent - credited + sizeof(chunk) > WINDOW)
            ck_assert(hear(-1));
        for (size_t i = 0; i < sizeof(chunk); i++)
            chunk[i] = (uint8_t)((sent + i) * 2654435761u >> 24);
        buffer_append(&all, chunk, sizeof(chunk));
        say(EXEC_WORD_INPUT, 0, 0, chunk, sizeof(chunk));
        sent += sizeof(chunk);
    }
    say(EXEC_WORD_CLOSE_INPUT, 0, 0, "", 0);
    check_end(EXEC_WORD_EXITED, 0);
    ck_assert_uint_eq(streams[1].size, total);
    ck_assert_mem_eq(streams[1].data, all.data, total);
    ck_assert_uint_eq(credited, sent);
    buffer_finish(&all);
}
END_TEST

/* Whoever sends is not to wait for a command that does not read. */
START_TEST(test_input_that_nobody_reads)
{
    static char chunk[LIMIT_EXEC_CHUNK_BYTES + 1];

    memset(chunk, 'x', sizeof(chunk) - 1);
    script("exec <&-; echo closed; sleep 1000", false, true);
    hear_until(1, "closed");
    for (int i = 0; i < 64; i++) {
        type(chunk);
        while (credited < sent)
            ck_assert(hear(-1));
    }
}
END_TEST

/* ---- flow ---- */

START_TEST(test_output_waits_for_credit)
{
    script("yes", false, false);
    generous = false;
    while (streams[1].size < WINDOW)
        ck_assert(hear(-1));
    ck_assert(!hear(300));
    ck_assert_uint_eq(streams[1].size, WINDOW);
    say(EXEC_WORD_CREDIT, 1000, 0, "", 0);
    while (streams[1].size < WINDOW + 1000)
        ck_assert(hear(-1));
    ck_assert(!hear(300));
    ck_assert_uint_eq(streams[1].size, WINDOW + 1000);
}
END_TEST

/* What a command wrote before it ended comes when there is credit. */
START_TEST(test_output_after_the_end)
{
    script("head -c 200000 /dev/zero; exit 5", false, false);
    generous = false;
    while (streams[1].size < WINDOW)
        ck_assert(hear(-1));
    say(EXEC_WORD_CREDIT, WINDOW, 0, "", 0);
    check_end(EXEC_WORD_EXITED, 5);
    ck_assert_uint_eq(streams[1].size, 200000);
}
END_TEST

/* ---- a terminal ---- */

START_TEST(test_terminal)
{
    script("test -t 0 && test -t 1 && test -t 2 && stty size && tty >/dev/tty",
           true,
           true);
    check_end(EXEC_WORD_EXITED, 0);
    ck_assert(wrote(1, "24 80\r\n/dev/pts/"));
}
END_TEST

START_TEST(test_size)
{
    script(
        "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done", true, true);
    hear_until(1, "ready");
    say(EXEC_WORD_RESIZE, 50, 132, "", 0);
    hear_until(1, "50 132");
}
END_TEST

/* A resize is not behind input that the command does not take. */
START_TEST(test_size_beside_input)
{
    static char chunk[LIMIT_EXEC_CHUNK_BYTES + 1];

    memset(chunk, 'x', sizeof(chunk) - 1);
    script(
        "stty raw -echo; trap 'stty size' WINCH; echo ready; "
        "while :; do sleep 0.05; done",
        true,
        true);
    hear_until(1, "ready");
    while (sent + sizeof(chunk) <= WINDOW)
        type(chunk);
    say(EXEC_WORD_RESIZE, 50, 132, "", 0);
    hear_until(1, "50 132");
    ck_assert_uint_lt(credited, sent);
}
END_TEST

START_TEST(test_control_c)
{
    script("echo ready; exec sleep 1000", true, true);
    hear_until(1, "ready");
    type("\003");
    check_end(EXEC_WORD_SIGNALED, SIGINT);
}
END_TEST

START_TEST(test_end_of_input)
{
    script("cat; echo end", true, true);
    type("line\n");
    hear_until(1, "line\r\nline\r\n");
    say(EXEC_WORD_CLOSE_INPUT, 0, 0, "", 0);
    check_end(EXEC_WORD_EXITED, 0);
    ck_assert(wrote(1, "end"));
}
END_TEST

START_TEST(test_terminal_without_input)
{
    script("cat; echo end", true, false);
    check_end(EXEC_WORD_EXITED, 0);
    ck_assert(wrote(1, "end"));
}
END_TEST

/* ---- the end ---- */

START_TEST(test_what_is_left_behind)
{
    script(
        "sleep 1000 & echo $!; setsid sh -c 'echo $$ >&2; exec sleep 1000' & "
        "while ! test -e /proc/$!/stat; do :; done; sleep 0.2; exit 3",
        false,
        false);
    check_end(EXEC_WORD_EXITED, 3);
    check_gone(wrote_pid(1));
    check_gone(wrote_pid(2));
}
END_TEST

static void check_hang_up(const char *line, bool terminal)
{
    pid_t pid;

    script(line, terminal, true);
    pid = wrote_pid(1);
    shutdown(wire, SHUT_RDWR);
    ck_assert_int_eq(waitpid(session, NULL, 0), session);
    check_gone(pid);
}

START_TEST(test_hang_up)
{
    check_hang_up("echo $$; exec sleep 1000", false);
    buffer_clear(&streams[1]);
    check_hang_up("echo $$; exec sleep 1000", true);
}
END_TEST

START_TEST(test_hang_up_is_heard)
{
    char path[] = "/tmp/triarch-test-exec.XXXXXX", line[256];
    int file = mkstemp(path);
    char got[8] = "";

    ck_assert_int_ge(file, 0);
    snprintf(line,
             sizeof(line),
             "trap 'echo hup >%s; exit' HUP; echo $$; while :; do sleep 0.05; done",
             path);
    check_hang_up(line, true);
    ck_assert_int_eq(read(file, got, sizeof(got)), 4);
    ck_assert_str_eq(got, "hup\n");
    close(file);
    unlink(path);
}
END_TEST

START_TEST(test_hang_up_that_is_not_heard)
{
    check_hang_up("trap '' HUP; echo $$; while :; do sleep 1000; done", true);
}
END_TEST

START_TEST(test_session_killed)
{
    pid_t pid;

    script("echo $$; exec sleep 1000", true, true);
    pid = wrote_pid(1);
    kill(session, SIGKILL);
    hear_all();
    while (kill(pid, 0) == 0)
        usleep(1000);
    check_gone(pid);
}
END_TEST

static TCase *with_teardown(TCase *c)
{
    tcase_add_checked_fixture(c, NULL, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("exec_session",
          with_teardown(unit_case("pipes",
                                  test_streams_and_status,
                                  test_signal,
                                  test_not_started,
                                  test_no_input,
                                  test_input_comes_back,
                                  test_input_that_nobody_reads)),
          with_teardown(unit_case("flow",
                                  test_output_waits_for_credit,
                                  test_output_after_the_end)),
          with_teardown(unit_case("terminal",
                                  test_terminal,
                                  test_size,
                                  test_size_beside_input,
                                  test_control_c,
                                  test_end_of_input,
                                  test_terminal_without_input)),
          with_teardown(unit_case("end",
                                  test_what_is_left_behind,
                                  test_hang_up,
                                  test_hang_up_is_heard,
                                  test_hang_up_that_is_not_heard,
                                  test_session_killed)))
