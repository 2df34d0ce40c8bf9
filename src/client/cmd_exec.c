/* cmd_exec.c - triarch exec: a command in a running task (docs/spec/11-exec.md).
 *
 * The leader tells which attempt runs where; then there is one connection to that agent, and
 * masters may come and go.  Output is written before it is credited, so a reader that is slow
 * stops the command, and never fills memory.
 */
#include "client/input.h"
#include "client/session.h"
#include "client/task_http.h"
#include "client/terminal.h"

#include "base/entropy.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/conn.h"
#include "wire/message_exec.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_OURS   255 /* as ssh has it: the command did not say it */
#define EXIT_SIGNAL 128

static const struct option_row rows[] = {
    {.name = "stdin",
     .letter = 'i',
     .kind = OPTION_FLAG,
     .help = "forward standard input to the command"},
    {.name = "tty",
     .letter = 't',
     .kind = OPTION_FLAG,
     .help = "give the command a terminal; standard input must be one"},
};

struct exec {
    struct session *session;
    uint64_t job;
    uint32_t instance;
    uint64_t attempt, agent;
    struct address address; /* of the agent's RPC listener */
    bool terminal, forwards;
    struct bytes *argv;
    size_t argc;

    struct conn *conn; /* NULL: gone */
    bool asked, running;
    struct input *input;
    int status; /* of the command; -1: not known yet */
    struct error reason;

    struct loop_timer ping;
    uint64_t pinged_ms, heard_ms;
    bool answers; /* it answered a ping once: an older agent does not */
};

/* ---- the end ---- */

static void finish(struct exec *x, int status)
{
    x->status = status;
    loop_stop(x->session->loop);
}

static void give_up(struct exec *x, const struct error *reason)
{
    if (x->reason.code == ERROR_NONE && x->status < 0)
        x->reason = *reason;
    loop_stop(x->session->loop);
}

/* ---- output ---- */

/* A reader that went away (`| head`) ends the program as it ends any other. */
static void write_failed(struct exec *x, int fd)
{
    struct error reason;

    if (errno == EPIPE) {
        terminal_restore();
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    error_set(&reason,
              ERROR_IO,
              "write to standard %s: %s",
              fd == STDOUT_FILENO ? "output" : "error",
              strerror(errno));
    give_up(x, &reason);
}

/* Waits for a slow reader; whoever gave us the file may have made it non-blocking. */
static bool write_all(int fd, struct bytes rest)
{
    while (rest.size > 0) {
        struct pollfd writable = {.fd = fd, .events = POLLOUT};
        ssize_t n = write(fd, rest.data, rest.size);

        if (n < 0 && errno == EAGAIN)
            poll(&writable, 1, -1);
        else if (n < 0 && errno != EINTR)
            return false;
        rest.data += n > 0 ? n : 0;
        rest.size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static int take_data(struct exec *x, struct bytes params, struct error *err)
{
    struct exec_data data;
    int rc = exec_data_unpack(&data, params, err);
    int fd;

    if (rc != 0)
        return rc;
    fd = data.stream == EXEC_STDERR ? STDERR_FILENO : STDOUT_FILENO;
    if (!write_all(fd, data.bytes)) {
        write_failed(x, fd);
        return 0;
    }
    exec_credit_pack((uint32_t)data.bytes.size, conn_begin(x->conn));
    conn_end(x->conn);
    return 0;
}

/* ---- input ---- */

static void on_input(void *user, struct bytes bytes)
{
    struct exec *x = user;
    struct exec_data data = {.stream = EXEC_STDIN, .bytes = bytes};

    if (x->conn == NULL)
        return;
    if (bytes.size > 0)
        exec_data_pack(&data, conn_begin(x->conn));
    else
        exec_close_input_pack(conn_begin(x->conn));
    conn_end(x->conn);
}

static int take_credit(struct exec *x, struct bytes params, struct error *err)
{
    uint32_t credit;
    int rc = exec_credit_unpack(&credit, params, err);

    if (rc == 0 && x->input != NULL)
        input_want(x->input, credit);
    return rc;
}

/* ---- is the agent there? ---- */

/* The kernel of a frozen one goes on to acknowledge.  Who was held up itself, by a slow reader
 * or a stop, has not listened meanwhile. */
static void on_ping_due(void *user)
{
    struct exec *x = user;
    uint64_t now = loop_now_ms();
    char time[TEXT_SHORT_MAX];
    struct error reason;

    if (x->conn == NULL)
        return;
    if (now - x->pinged_ms > 2 * LIMIT_EXEC_PING_MS)
        x->heard_ms = now;
    if (x->answers && now - x->heard_ms >= LIMIT_EXEC_SILENCE_MS) {
        error_set(&reason,
                  ERROR_UNAVAILABLE,
                  "agent %" PRIu64
                  " has been silent for %s; the command ends when it "
                  "notices that this program is gone",
                  x->agent,
                  text_duration(time, LIMIT_EXEC_SILENCE_MS));
        give_up(x, &reason);
        return;
    }
    exec_ping_pack(conn_begin(x->conn));
    conn_end(x->conn);
    x->pinged_ms = now;
    timer_set_in(x->session->loop, &x->ping, LIMIT_EXEC_PING_MS, on_ping_due, x);
}

static void begin_pings(struct exec *x)
{
    x->pinged_ms = x->heard_ms = loop_now_ms();
    on_ping_due(x);
}

/* ---- the session ---- */

static void on_window_changed(void *user, int signum)
{
    struct exec *x = user;
    struct exec_size size = terminal_size();

    (void)signum;
    if (x->conn == NULL || !x->asked)
        return;
    exec_resize_pack(&size, conn_begin(x->conn));
    conn_end(x->conn);
}

/* The command runs. */
static void begin(struct exec *x)
{
    struct error err;

    x->running = true;
    begin_pings(x);
    if (!x->forwards)
        return;
    if (x->terminal && terminal_raw(&err) != 0) {
        give_up(x, &err);
        return;
    }
    x->input = input_create(x->session->loop, on_input, x);
    input_want(x->input, LIMIT_EXEC_WINDOW_BYTES);
}

static int take_exit(struct exec *x, struct bytes params, struct error *err)
{
    struct exec_exit end;
    int rc = exec_exit_unpack(&end, params, err);

    if (rc != 0)
        return rc;
    if (end.how == EXEC_NOT_STARTED)
        error_set(&x->reason,
                  ERROR_NOT_FOUND,
                  "%.*s",
                  (int)end.text.size,
                  (const char *)end.text.data);
    finish(x, (int)end.code + (end.how == EXEC_SIGNALED ? EXIT_SIGNAL : 0));
    return 0;
}

static int take_answer(struct exec *x, const struct rpc *rpc, struct error *err)
{
    if (rpc->code == ERROR_NONE) {
        begin(x);
        return 0;
    }
    return error_set(err,
                     rpc->code,
                     "agent %" PRIu64 ": %.*s",
                     x->agent,
                     (int)rpc->text.size,
                     (const char *)rpc->text.data);
}

static int take_frame(struct exec *x, struct bytes frame, struct error *err)
{
    struct rpc rpc;
    int rc = rpc_unpack(&rpc, frame, err);

    if (rc != 0)
        return rc;
    if (rpc.type == RPC_RESPONSE && !x->running)
        return take_answer(x, &rpc, err);
    if (rpc.type != RPC_NOTIFY)
        return 0;
    x->heard_ms = loop_now_ms();
    switch (rpc.method) {
    case METHOD_EXEC_DATA:
        return take_data(x, rpc.params, err);
    case METHOD_EXEC_CREDIT:
        return take_credit(x, rpc.params, err);
    case METHOD_EXEC_EXIT:
        return take_exit(x, rpc.params, err);
    case METHOD_EXEC_PING:
        x->answers = true;
        return 0;
    default:
        return 0;
    }
}

/* ---- the connection ---- */

static void on_frame(void *user, struct conn *c, struct bytes frame)
{
    struct exec *x = user;
    struct error err;

    (void)c;
    if (x->status < 0 && x->reason.code == ERROR_NONE &&
        take_frame(x, frame, &err) != 0)
        give_up(x, &err);
}

static void ask(struct exec *x)
{
    const char *term = getenv("TERM");
    struct buffer variable = {0};
    struct exec_request request = {
        .attempt = x->attempt,
        .flags = (x->terminal ? EXEC_TERMINAL : 0u) | (x->forwards ? EXEC_INPUT : 0u),
        .argv = x->argv,
        .argc = x->argc,
    };
    struct bytes env;

    buffer_printf(&variable, "TERM=%s", term == NULL ? "" : term);
    env = buffer_view(&variable);
    if (x->terminal) {
        request.size = terminal_size();
        request.env = &env;
        request.envc = term == NULL ? 0 : 1;
    }
    exec_pack(&request, 1, conn_begin(x->conn));
    conn_end(x->conn);
    buffer_finish(&variable);
    x->asked = true;
}

static void on_opened(void *user, struct conn *c)
{
    (void)user;
    conn_hello(c,
               &(struct hello){.protocol = PROTOCOL_VERSION,
                               .role = HELLO_CLIENT,
                               .incarnation = entropy_u64(),
                               .version = text_view(PACKAGE_VERSION)});
}

static void on_hello(void *user, struct conn *c, const struct hello *hello)
{
    struct exec *x = user;
    struct error err;

    (void)c;
    if (hello->role == HELLO_AGENT && hello->id == x->agent) {
        ask(x);
        return;
    }
    error_set(&err,
              ERROR_UNAVAILABLE,
              "agent %" PRIu64
              " tells the address %s, where another one answers: start it with another "
              "--rpc",
              x->agent,
              x->address.text);
    give_up(x, &err);
}

static void on_closed(void *user, struct conn *c, const struct error *reason)
{
    struct exec *x = user;
    struct error err;

    (void)c;
    x->conn = NULL;
    error_set(&err,
              reason->code == ERROR_NONE ? ERROR_UNAVAILABLE : reason->code,
              x->running ? "the connection to agent %" PRIu64
                           " ended, and so does the "
                           "command: %s"
                         : "cannot run a command on agent %" PRIu64 ": %s",
              x->agent,
              reason->code == ERROR_NONE ? "closed" : reason->text);
    give_up(x, &err);
}

static const struct conn_events EVENTS = {
    .opened = on_opened,
    .hello = on_hello,
    .frame = on_frame,
    .closed = on_closed,
};

/* ---- which attempt, and where ---- */

static int
check_task(const struct exec *x, const struct task_info *t, struct error *err)
{
    if (task_state_is_final(t->state))
        return error_set(err,
                         ERROR_CONFLICT,
                         "task %" PRIu64 ".%" PRIu32 " has ended (%s)",
                         x->job,
                         x->instance,
                         task_state_name(t->state));
    if (t->attempt_id == 0 || t->state == TASK_PENDING)
        return error_set(err,
                         ERROR_UNAVAILABLE,
                         "task %" PRIu64 ".%" PRIu32
                         " does not run yet: `triarch status %" PRIu64
                         "` says what it waits for",
                         x->job,
                         x->instance,
                         x->job);
    if (t->agent_rpc.size == 0)
        return error_set(err,
                         ERROR_UNAVAILABLE,
                         "agent %" PRIu64
                         " runs no commands for clients: start it with --rpc ADDR:PORT",
                         t->agent_id);
    return 0;
}

static int find(struct exec *x, struct error *err)
{
    struct buffer page = {0};
    struct task_info task;
    char *where;
    int rc = session_task(x->session, x->job, x->instance, &page, &task, err);

    if (rc == 0)
        rc = check_task(x, &task, err);
    if (rc == 0) {
        x->attempt = task.attempt_id;
        x->agent = task.agent_id;
        where = text_copy(task.agent_rpc);
        rc = address_parse(&x->address, where, err);
        mem_free(where);
    }
    buffer_finish(&page);
    return rc;
}

/* ---- the command line ---- */

static int take_words(struct exec *x, struct error *err)
{
    const struct options *o = x->session->options;
    const char *task = options_operand(o, 0);
    size_t first = strcmp(options_operand(o, 1), "--") == 0 ? 2 : 1;
    int rc = task_operand(task, "its first task", &x->job, &x->instance, err);

    if (rc != 0)
        return rc;
    x->terminal = options_flag(o, "tty");
    x->forwards = options_flag(o, "stdin");
    if (x->terminal && !terminal_is())
        return error_set(
            err,
            ERROR_USAGE,
            "-t needs a terminal, and standard input is none: leave it out");
    x->argc = options_operand_count(o) - first;
    if (x->argc == 0)
        return error_set(err, ERROR_USAGE, "give a command: exec TASK -- CMD ARG...");
    x->argv = mem_zalloc(x->argc * sizeof(*x->argv));
    for (size_t i = 0; i < x->argc; i++)
        x->argv[i] = text_view(options_operand(o, first + i));
    return 0;
}

static int check_size(const struct exec *x, struct error *err)
{
    size_t total = 0;

    for (size_t i = 0; i < x->argc; i++)
        total += x->argv[i].size + 1;
    if (total <= LIMIT_ARGV_ENV_BYTES - LIMIT_NAME_BYTES)
        return 0;
    return error_set(err,
                     ERROR_TOO_LARGE,
                     "the command line has %zu bytes; the most is %lu",
                     total,
                     LIMIT_ARGV_ENV_BYTES - LIMIT_NAME_BYTES);
}

/* Masters are not needed any more. */
static void leave_masters(struct session *s)
{
    client_destroy(s->client);
    s->client = NULL;
}

static void carry(struct exec *x)
{
    const struct conn_options options = {0};

    if (x->terminal)
        loop_on_signal(x->session->loop, SIGWINCH, on_window_changed, x);
    x->conn = conn_dial(x->session->loop, &x->address, &options, &EVENTS, x);
    loop_run(x->session->loop);
    terminal_restore();
    timer_stop(x->session->loop, &x->ping);
    input_destroy(x->input);
    conn_destroy(x->conn);
}

static int run(struct session *s, struct error *err)
{
    struct exec x = {.session = s, .status = -1};
    int rc = take_words(&x, err);

    if (rc == 0)
        rc = check_size(&x, err);
    if (rc == 0)
        rc = session_open(s, err);
    if (rc == 0)
        rc = find(&x, err);
    if (rc == 0) {
        leave_masters(s);
        carry(&x);
        rc = x.status >= 0 ? x.status : -(int)x.reason.code;
        *err = x.reason;
    }
    mem_free(x.argv);
    if (x.status >= 0 && x.reason.code != ERROR_NONE)
        session_error(s, &x.reason);
    return rc;
}

const struct subcommand subcommand_exec = {
    .table =
        {
            .program = "exec",
            .meant = "attach ssh",
            .purpose = "run a command inside a running task",
            .details =
                "TASK is JOB.INSTANCE, or JOB for its first task. The command runs "
                "with the task's user, environment, limits and directory. With -it "
                "it has this terminal. It ends with the task, with this program, and "
                "takes what it started with it.\n"
                "The exit status is the command's, 128 and the number of the signal "
                "that ended it, 127 or 126 if it could not be started, or 255 if "
                "triarch failed; 2 if triarch was called wrongly.",
            .rows = rows,
            .row_count = sizeof(rows) / sizeof(rows[0]),
            .operands = "TASK [--] CMD ARG...",
            .operands_min = 2,
            .operands_max = LIMIT_ARGS + 1,
            .order = OPERANDS_LAST,
        },
    .run = run,
    .failed = EXIT_OURS,
};
