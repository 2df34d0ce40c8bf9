/* exec_session.c - the session process: one command, its terminal or pipes, and the socket
 * to the agent.
 *
 * One loop over poll().  The socket is always read, so that a resize is never stuck behind
 * input: what the command does not take waits in `input`, which holds a window, and no
 * more comes before it was credited.  Output is read only while there is credit for it
 * and the last word has left, so a command whose output nobody reads waits in write(2).
 *
 * This process is the reaper of all that descends from the command, and the kernel kills
 * the command if this process dies.
 */

#include "agent/exec_session.h"

#include "agent/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define NOT_FOUND_STATUS  127 /* as a shell has it */
#define NOT_RUN_STATUS    126
#define STEP_EXEC         "exec"
#define CREDIT_WORTH_WORD (LIMIT_EXEC_WINDOW_BYTES / 4)

struct relay {
    const struct exec_session *given;
    pid_t command;
    int signals;                        /* a signalfd: SIGCHLD */
    int master;                         /* of the terminal, or -1 */
    int in, out, err;                   /* ours; -1: closed */
    int child_in, child_out, child_err; /* the command's, until it is started */
    bool ended;                         /* the command: `last` says how */
    struct exec_word last;
    bool input_closed; /* no more will come */
    size_t credit;     /* bytes of output that may be sent */
    size_t owed;       /* bytes of input to be credited */
    size_t input_size;
    uint8_t input[LIMIT_EXEC_WINDOW_BYTES];
    size_t word_size; /* of the word that the socket did not take yet */
    union {
        struct exec_word word;
        uint8_t word_bytes[EXEC_WORD_MAX];
    };
    union {
        struct exec_word read_word;
        uint8_t read_bytes[EXEC_WORD_MAX];
    };
};

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- the end ---- */

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool command_ended(const struct relay *r, siginfo_t *info)
{
    info->si_pid = 0;
    return waitid(P_PID, (id_t)r->command, info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info->si_pid == r->command;
}

static void wait_command(const struct relay *r, uint64_t limit_ms)
{
    uint64_t end = now_ms() + limit_ms;
    struct signalfd_siginfo got;
    siginfo_t info;

    while (!command_ended(r, &info) && now_ms() < end) {
        struct pollfd child = {.fd = r->signals, .events = POLLIN};

        poll(&child, 1, (int)(end - now_ms()));
        (void)!read(r->signals, &got, sizeof(got));
    }
}

/* Nobody listens any more. */
static _Noreturn void hang_up(struct relay *r)
{
    shut(&r->master);
    shut(&r->in);
    shut(&r->out);
    shut(&r->err);
    if (!r->ended && r->command > 0) {
        kill(-r->command, SIGHUP);
        kill(-r->command, SIGCONT); /* a stopped one could not hear it */
        wait_command(r, LIMIT_EXEC_HANGUP_MS);
        kill(-r->command, SIGKILL);
    }
    reaper_end_all(r->given->patience_ms);
    _exit(0);
}

/* ---- words to the agent ---- */

static void send_word(struct relay *r)
{
    ssize_t n = send(
        r->given->socket, r->word_bytes, r->word_size, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n >= 0)
        r->word_size = 0;
    else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
        hang_up(r);
}

/* The last word has left.  `size` bytes may lie behind the new one already. */
static void say(struct relay *r, struct exec_word word, size_t size)
{
    r->word = word;
    r->word_size = sizeof(word) + size;
    send_word(r);
}

static _Noreturn void say_last(struct relay *r, struct exec_word word, size_t size)
{
    say(r, word, size);
    while (r->word_size > 0) {
        struct pollfd socket = {.fd = r->given->socket, .events = POLLOUT};

        poll(&socket, 1, -1);
        send_word(r);
    }
    _exit(0);
}

static _Noreturn void not_started(struct relay *r, const char *step, int reason)
{
    bool is_exec = strcmp(step, STEP_EXEC) == 0;
    bool is_missing = is_exec && (reason == ENOENT || reason == ENOTDIR);
    char *text = (char *)(r->word_bytes + sizeof(struct exec_word));
    int size = snprintf(text,
                        LIMIT_MESSAGE_BYTES + 1,
                        "%s \"%.128s\": %s%s%s",
                        is_exec ? STEP_EXEC : "cannot start",
                        r->given->name,
                        is_exec ? "" : step,
                        is_exec ? "" : ": ",
                        strerror(reason));

    say_last(r,
             (struct exec_word){.kind = EXEC_WORD_NOT_STARTED,
                                .a = is_missing ? NOT_FOUND_STATUS : NOT_RUN_STATUS},
             size > LIMIT_MESSAGE_BYTES ? LIMIT_MESSAGE_BYTES : (size_t)size);
}

/* ---- start ---- */

static int above_standard(int fd)
{
    return fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void set_size(const struct relay *r, uint16_t rows, uint16_t columns)
{
    const struct winsize size = {.ws_row = rows, .ws_col = columns};

    if (r->master >= 0)
        ioctl(r->master, TIOCSWINSZ, &size);
}

static int open_master(const struct exec_session *given)
{
    int fd;

    if (given->open_terminal != NULL)
        return given->open_terminal(given->user);
    fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    return fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0 ? fd : -1;
}

/* The other side is opened through the master, so /dev/pts need not be the one we see. */
static void open_terminal(struct relay *r)
{
    int side;

    r->master = open_master(r->given);
    if (r->master < 0)
        not_started(r, "terminal", errno);
    side = ioctl(r->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (side < 0 || fchown(side, r->given->owner, (gid_t)-1) != 0)
        not_started(r, "terminal", errno);
    set_size(r, r->given->rows, r->given->columns);
    r->child_in = r->child_out = r->child_err = above_standard(side);
    r->in = above_standard(r->master);
    r->out = above_standard(r->master);
    close(side);
    if (r->child_in < 0 || r->in < 0 || r->out < 0)
        not_started(r, "files", errno);
}

static void open_pipe(struct relay *r, int *reads, int *writes)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        not_started(r, "pipe", errno);
    *reads = above_standard(ends[0]);
    *writes = above_standard(ends[1]);
    if (*reads < 0 || *writes < 0)
        not_started(r, "files", errno);
    close(ends[0]);
    close(ends[1]);
}

/* Without input the command keeps standard input as this process has it: /dev/null. */
static void open_pipes(struct relay *r)
{
    if (r->given->input) {
        open_pipe(r, &r->child_in, &r->in);
        set_nonblocking(r->in);
    }
    open_pipe(r, &r->out, &r->child_out);
    open_pipe(r, &r->err, &r->child_err);
    set_nonblocking(r->out);
    set_nonblocking(r->err);
}

static void spawn(struct relay *r)
{
    const struct exec_files files = {.in = r->child_in,
                                     .out = r->child_out,
                                     .err = r->child_err,
                                     .terminal = r->given->terminal};
    const char *step = "";
    int reason = r->given->spawn(r->given->user, &files, &r->command, &step);

    if (reason != 0)
        not_started(r, step, reason);
}

static void start(struct relay *r)
{
    sigset_t chld;

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    r->signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    if (r->signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        not_started(r, "wait", errno);
    if (r->given->terminal)
        open_terminal(r);
    else
        open_pipes(r);
    spawn(r);
    if (r->child_err != r->child_out)
        shut(&r->child_err);
    if (r->child_out != r->child_in)
        shut(&r->child_out);
    shut(&r->child_in);
    r->input_closed = !r->given->input;
    say(r, (struct exec_word){.kind = EXEC_WORD_STARTED}, 0);
}

/* ---- input ---- */

static void close_in(struct relay *r)
{
    struct termios modes;

    if (r->master >= 0 && tcgetattr(r->master, &modes) == 0 &&
        write(r->in, &modes.c_cc[VEOF], 1) < 0 && errno == EAGAIN)
        return; /* its queue is full: later */
    shut(&r->in);
}

/* What nobody will read is credited all the same: the sender is not to wait for it. */
static void drop_input(struct relay *r)
{
    r->owed += r->input_size;
    r->input_size = 0;
    shut(&r->in);
}

static void write_input(struct relay *r)
{
    ssize_t n = write(r->in, r->input, r->input_size);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        drop_input(r);
    } else if (n > 0) {
        r->input_size -= (size_t)n;
        r->owed += (size_t)n;
        memmove(r->input, r->input + n, r->input_size);
    }
}

static void take_input(struct relay *r, size_t size)
{
    if (size > sizeof(r->input) - r->input_size)
        hang_up(r); /* the agent lets nobody do that */
    memcpy(r->input + r->input_size, r->read_bytes + sizeof(struct exec_word), size);
    r->input_size += size;
    if (r->in < 0)
        drop_input(r);
}

static void on_socket(struct relay *r)
{
    const struct exec_word *word = &r->read_word;
    ssize_t n = recv(r->given->socket, r->read_bytes, EXEC_WORD_MAX, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < (ssize_t)sizeof(*word))
        hang_up(r);
    switch (word->kind) {
    case EXEC_WORD_INPUT:
        take_input(r, (size_t)n - sizeof(*word));
        break;
    case EXEC_WORD_CLOSE_INPUT:
        r->input_closed = true;
        break;
    case EXEC_WORD_RESIZE:
        set_size(r, (uint16_t)word->a, (uint16_t)word->b);
        break;
    case EXEC_WORD_CREDIT:
        r->credit += word->a;
        break;
    }
}

/* ---- output ---- */

/* True if something came. */
static bool read_output(struct relay *r, int *fd, uint32_t stream)
{
    size_t room =
        LIMIT_EXEC_CHUNK_BYTES < r->credit ? LIMIT_EXEC_CHUNK_BYTES : r->credit;
    ssize_t n = read(*fd, r->word_bytes + sizeof(struct exec_word), room);

    if (n > 0) {
        r->credit -= (size_t)n;
        say(r, (struct exec_word){.kind = EXEC_WORD_OUTPUT, .a = stream}, (size_t)n);
        return true;
    }
    if (n < 0 && (errno == EINTR || (errno == EAGAIN && !r->ended)))
        return false;
    shut(fd); /* EIO: no side of the terminal is open but ours */
    return false;
}

/* All its descendants are gone, so what it wrote is here to be read. */
static void read_rest(struct relay *r)
{
    while (r->word_size == 0 && r->credit > 0 && r->out >= 0)
        read_output(r, &r->out, STDOUT_FILENO);
    while (r->word_size == 0 && r->credit > 0 && r->err >= 0)
        read_output(r, &r->err, STDERR_FILENO);
    if (r->word_size == 0 && r->out < 0 && r->err < 0)
        say_last(r, r->last, 0);
}

static void say_credit(struct relay *r)
{
    struct exec_word credit = {.kind = EXEC_WORD_CREDIT, .a = (uint32_t)r->owed};

    if (r->word_size > 0 || r->owed == 0 ||
        (r->input_size > 0 && r->owed < CREDIT_WORTH_WORD))
        return;
    r->owed = 0;
    say(r, credit, 0);
}

/* ---- the loop ---- */

/* Orphans of the command that ended are reaped here too. */
static void on_child(struct relay *r)
{
    struct signalfd_siginfo got;
    siginfo_t info = {0};

    (void)!read(r->signals, &got, sizeof(got));
    while (!command_ended(r, &info)) {
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid == 0)
            return;
        if (info.si_pid != r->command)
            waitpid(info.si_pid, NULL, 0);
    }
    r->ended = true;
    r->last.kind = info.si_code == CLD_EXITED ? EXEC_WORD_EXITED : EXEC_WORD_SIGNALED;
    r->last.a = (uint32_t)info.si_status;
    kill(-r->command,
         SIGKILL); /* not reaped yet: the group's number is still its own */
    reaper_end_all(r->given->patience_ms);
    drop_input(r);
}

static bool may_read(const struct relay *r)
{
    return r->word_size == 0 && r->credit > 0;
}

static void turn(struct relay *r)
{
    struct pollfd fds[] = {
        {.fd = r->given->socket,
         .events = r->word_size > 0 ? POLLIN | POLLOUT : POLLIN},
        {.fd = r->signals, .events = POLLIN},
        {.fd = r->input_size > 0 || r->input_closed ? r->in : -1, .events = POLLOUT},
        {.fd = may_read(r) ? r->out : -1, .events = POLLIN},
        {.fd = may_read(r) ? r->err : -1, .events = POLLIN},
    };

    if (poll(fds, r->ended ? 1 : 5, -1) < 0)
        return;
    if (fds[0].revents & POLLOUT)
        send_word(r);
    if (fds[0].revents & ~POLLOUT)
        on_socket(r);
    if (r->ended)
        return;
    if (fds[2].revents != 0 && r->input_size > 0)
        write_input(r);
    else if (fds[2].revents != 0)
        close_in(r);
    if (fds[3].revents != 0 && may_read(r))
        read_output(r, &r->out, STDOUT_FILENO);
    if (fds[4].revents != 0 && may_read(r))
        read_output(r, &r->err, STDERR_FILENO);
    if (fds[1].revents != 0)
        on_child(r);
}

void exec_session_run(const struct exec_session *session)
{
    static struct relay r;

    r.given = session;
    r.master = r.in = r.out = r.err = -1;
    r.child_in = r.child_out = r.child_err = -1;
    r.credit = LIMIT_EXEC_WINDOW_BYTES;
    start(&r);
    for (;;) {
        say_credit(&r);
        if (r.ended)
            read_rest(&r);
        turn(&r);
    }
}
