/* probe.c - one check of a run.
 *
 * A command runs in the run's group and sandbox, as its user.  It is killed with all that
 * descends from it when its time is over, when it has ended, and when the run is over, which is
 * known by the run's shim: without groups nothing else would end it.  The answer is told before
 * that, so that it is in time whatever the command left.
 *
 * A port is asked on 127.0.0.1 from this process: tasks have the network of their host.  HTTP
 * passes with a status from 200 to 399; no more than that is looked at, and the rest of the
 * answer is taken only so that the server does not see a reset.
 */
#include "agent/probe.h"

#include "agent/notice.h"

#include "agent/exec_spawn.h"
#include "agent/process.h"
#include "agent/reaper.h"
#include "wire/job.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATUS_LINE 12 /* bytes of "HTTP/1.1 200" */

struct probe {
    const struct shim_request *request;
    const struct shim_host *host;
    uint64_t until_ms;
    enum check_end end;
    int code;
    int signals; /* of a command: a signalfd, SIGCHLD */
    int output;  /* of it: what it writes; does not block */
    size_t said_size;
    char said[LIMIT_CHECK_SAID_BYTES];
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int left_ms(const struct probe *p)
{
    uint64_t now = now_ms();

    return now >= p->until_ms ? 0 : (int)(p->until_ms - now);
}

static void ended(struct probe *p, enum check_end end, int code)
{
    p->end = end;
    p->code = code;
}

/* An agent that is away asks again when it is back. */
static void tell(const struct probe *p)
{
    struct shim_notice notice = {.attempt = p->request->attempt,
                                 .kind = SHIM_CHECKED,
                                 .restarts = p->request->restarts,
                                 .check = p->request->check,
                                 .end = p->end,
                                 .code = p->code};

    memcpy(notice.said, p->said, p->said_size);
    notice_send(&notice);
}

static void timed_out(struct probe *p)
{
    ended(p, CHECK_TIMED_OUT, (int)p->request->timeout_ms);
}

/* ---- a command ---- */

/* A descriptor of the run's shim, or -1 when that is gone. */
static int open_shim(const struct shim_request *r)
{
    int fd = pidfd_open(r->shim_pid, 0);

    if (fd >= 0 && process_start(r->shim_pid) != r->shim_start) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool has_ended(struct probe *p, pid_t pid)
{
    int status;

    if (waitpid(pid, &status, WNOHANG) == 0)
        return false;
    if (WIFSIGNALED(status))
        ended(p, CHECK_SIGNALED, WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        ended(p, CHECK_EXITED, WEXITSTATUS(status));
    return true;
}

/* Only its beginning is wanted, but it must not wait for a reader. */
static void take_output(struct probe *p)
{
    char bytes[4096];
    ssize_t n;

    while ((n = read(p->output, bytes, sizeof(bytes))) > 0) {
        size_t room = sizeof(p->said) - p->said_size;
        size_t size = (size_t)n < room ? (size_t)n : room;

        memcpy(p->said + p->said_size, bytes, size);
        p->said_size += size;
        if (left_ms(p) == 0)
            return;
    }
}

/* False: the run has ended, and nobody wants to know. */
static bool wait_command(struct probe *p, pid_t pid, int shim)
{
    struct pollfd fds[] = {
        {.fd = p->signals, .events = POLLIN},
        {.fd = shim, .events = POLLIN},
        {.fd = p->output, .events = POLLIN},
    };
    struct signalfd_siginfo got;

    while (!has_ended(p, pid)) {
        int left = left_ms(p);

        if (left == 0) {
            kill(-pid, SIGKILL);
            timed_out(p);
            return true;
        }
        poll(fds, 3, left);
        if (fds[1].revents != 0)
            return false;
        take_output(p);
        if ((fds[2].revents & POLLHUP) != 0)
            fds[2].fd = -1; /* it closed it */
        (void)!read(p->signals, &got, sizeof(got));
    }
    return true;
}

/* True: there is something to tell. */
static bool run_command(struct probe *p, struct task *command, int shim)
{
    const char *step;
    pid_t pid;
    int rv = exec_spawn_in_run(command, p->host, p->request, &pid, &step);
    bool wanted = true;

    close(command->out);
    if (rv != 0)
        ended(p, CHECK_NOT_STARTED, rv);
    else if ((wanted = wait_command(p, pid, shim)))
        take_output(p);
    return wanted;
}

static void probe_command(struct probe *p)
{
    struct task command;
    int shim = open_shim(p->request), output[2] = {-1, -1};
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (pipe2(output, O_CLOEXEC) != 0 || fcntl(output[0], F_SETFL, O_NONBLOCK) != 0)
        output[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
    p->output = output[0];
    p->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    task_from_request(&command, p->request);
    command.out = command.err = output[1];
    command.oom_default = p->host->oom_protected;
    if (shim >= 0 && run_command(p, &command, shim))
        tell(p);
    reaper_end_all(exec_patience(p->request));
}

/* ---- a port ---- */

/* True when the socket is ready for that, or has failed, in time. */
static bool ready(const struct probe *p, int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    int rv;

    do {
        rv = poll(&pfd, 1, left_ms(p));
    } while (rv < 0 && errno == EINTR);
    return rv > 0;
}

static int connect_port(struct probe *p)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(p->request->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int reason = 0;
    socklen_t size = sizeof(reason);

    if (fd < 0) {
        ended(p, CHECK_NOT_REACHED, errno);
        return -1;
    }
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        reason = errno;
        if (reason == EINPROGRESS && !ready(p, fd, POLLOUT))
            reason = ETIMEDOUT;
        else if (reason == EINPROGRESS &&
                 getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size) != 0)
            reason = errno;
    }
    if (reason == 0)
        return fd;
    if (reason == ETIMEDOUT)
        timed_out(p);
    else
        ended(p, CHECK_NOT_REACHED, reason);
    close(fd);
    return -1;
}

static bool send_all(const struct probe *p, int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN && ready(p, fd, POLLOUT))
            continue;
        if (n <= 0)
            return false;
        text += n;
        size -= (size_t)n;
    }
    return true;
}

/* "HTTP/1.x NNN": the number; 0 when what came is something else. */
static int status_of(const char line[STATUS_LINE])
{
    if (memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ')
        return 0;
    for (int i = 9; i < 12; i++)
        if (line[i] < '0' || line[i] > '9')
            return 0;
    return (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
}

static void read_status(struct probe *p, int fd)
{
    char line[STATUS_LINE];
    size_t have = 0;
    int status;

    while (have < sizeof(line)) {
        ssize_t n = recv(fd, line + have, sizeof(line) - have, 0);

        if (n < 0 && errno == EAGAIN) {
            if (ready(p, fd, POLLIN))
                continue;
            timed_out(p);
            return;
        }
        if (n <= 0) {
            ended(p, CHECK_NO_HTTP, 0);
            return;
        }
        have += (size_t)n;
    }
    status = status_of(line);
    if (status == 0)
        ended(p, CHECK_NO_HTTP, 0);
    else if (status < 200 || status > 399)
        ended(p, CHECK_STATUS, status);
}

static void drain(const struct probe *p, int fd)
{
    char bytes[4096];
    size_t left = LIMIT_CHECK_BYTES;

    while (left > 0) {
        ssize_t n = recv(fd, bytes, sizeof(bytes) < left ? sizeof(bytes) : left, 0);

        if (n > 0)
            left -= (size_t)n;
        else if (n == 0 || errno != EAGAIN || !ready(p, fd, POLLIN))
            return;
    }
}

static void probe_http(struct probe *p, int fd)
{
    const char *text = shim_request_strings(p->request);

    if (send_all(p, fd, text, strlen(text)))
        read_status(p, fd);
    else if (left_ms(p) == 0)
        timed_out(p);
    else
        ended(p, CHECK_NO_HTTP, 0);
}

static void probe_port(struct probe *p)
{
    int fd = connect_port(p);

    if (fd >= 0 && p->request->check_kind == CHECK_HTTP)
        probe_http(p, fd);
    tell(p);
    if (fd >= 0 && p->request->check_kind == CHECK_HTTP)
        drain(p, fd);
}

void probe_run(const struct shim_request *request, const struct shim_host *host)
{
    struct probe p = {.request = request,
                      .host = host,
                      .until_ms = now_ms() + request->timeout_ms,
                      .end = CHECK_PASSED};

    close(SHIM_FD_FENCE);
    dup2(STDIN_FILENO, STDOUT_FILENO);
    dup2(STDIN_FILENO, STDERR_FILENO);
    setsid();
    if (request->check_kind == CHECK_COMMAND)
        probe_command(&p);
    else
        probe_port(&p);
    _exit(0);
}
