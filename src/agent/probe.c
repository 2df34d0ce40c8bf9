/* probe.c - one check of a run.
 *
 * A command runs in the run's group and sandbox, as its user; when its time is over it is
 * killed with all that descends from it.  A port is asked on 127.0.0.1 from this process:
 * tasks have the network of their host.  HTTP passes with a status from 200 to 399; no more
 * than the first line of the answer is read.
 */
#include "agent/probe.h"

#include "agent/exec_spawn.h"
#include "agent/reaper.h"
#include "wire/job.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
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

/* ---- a command ---- */

static void wait_command(struct probe *p, pid_t pid)
{
    sigset_t chld;
    int status;

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        int left = left_ms(p);
        struct timespec wait = {left / 1000, (left % 1000) * 1000000L};

        if (left == 0) {
            kill(-pid, SIGKILL);
            ended(p, CHECK_TIMED_OUT, 0);
            return;
        }
        sigtimedwait(&chld, NULL, &wait);
    }
    if (WIFSIGNALED(status))
        ended(p, CHECK_SIGNALED, WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        ended(p, CHECK_EXITED, WEXITSTATUS(status));
}

static void probe_command(struct probe *p)
{
    struct task command = {.in = -1, .out = -1, .err = -1};
    const char *step;
    pid_t pid;
    int rv;

    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    task_from_request(&command, p->request);
    command.in = command.out = command.err = -1;
    command.oom_default = p->host->oom_protected;
    rv = exec_spawn_in_run(&command, p->host, p->request->attempt, &pid, &step);
    if (rv != 0)
        ended(p, CHECK_NOT_STARTED, rv);
    else
        wait_command(p, pid);
    reaper_end_all();
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
    ended(p, reason == ETIMEDOUT ? CHECK_TIMED_OUT : CHECK_NOT_REACHED, reason);
    close(fd);
    return -1;
}

static void probe_tcp(struct probe *p)
{
    int fd = connect_port(p);

    if (fd >= 0)
        close(fd);
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
            ended(p, CHECK_TIMED_OUT, 0);
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

static void probe_http(struct probe *p)
{
    static char text[LIMIT_SOURCE_BYTES + 128];
    int size = snprintf(text,
                        sizeof(text),
                        "GET %s HTTP/1.0\r\nHost: 127.0.0.1:%u\r\n"
                        "Connection: close\r\n\r\n",
                        shim_request_strings(p->request),
                        p->request->port);
    int fd = connect_port(p);

    if (fd < 0)
        return;
    if (!send_all(p, fd, text, (size_t)size))
        ended(p, left_ms(p) == 0 ? CHECK_TIMED_OUT : CHECK_NO_HTTP, 0);
    else
        read_status(p, fd);
    close(fd);
}

void probe_run(const struct shim_request *request, const struct shim_host *host)
{
    struct probe p = {.request = request,
                      .host = host,
                      .until_ms = now_ms() + request->timeout_ms,
                      .end = CHECK_PASSED};
    struct shim_notice notice = {.attempt = request->attempt,
                                 .kind = SHIM_CHECKED,
                                 .restarts = request->restarts,
                                 .check = request->check};

    close(SHIM_FD_FENCE);
    dup2(STDIN_FILENO, STDOUT_FILENO);
    dup2(STDIN_FILENO, STDERR_FILENO);
    setsid();
    if (request->check_kind == CHECK_COMMAND)
        probe_command(&p);
    else if (request->check_kind == CHECK_HTTP)
        probe_http(&p);
    else
        probe_tcp(&p);
    notice.end = p.end;
    notice.code = p.code;
    /* An agent that is away asks again when it is back. */
    _exit(write(SHIM_FD_NOTICES, &notice, sizeof(notice)) < 0 ? 1 : 0);
}
