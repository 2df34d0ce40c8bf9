/* spawner.c - triarch-shim: forks a shim for each run.
 *
 * It has no threads, few pages and few mappings (it is linked statically), so that a
 * fork is cheap; shims run this same program without an exec.  It ends when its agent
 * closes the requests or dies; shims do not notice.
 */

#include "agent/exec_spawn.h"
#include "agent/look.h"
#include "agent/notice.h"
#include "agent/probe.h"
#include "agent/process.h"
#include "agent/shim.h"

#include <bsd/sys/tree.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
    pid_t pid;
    uint64_t attempt;
    int spare;
    RB_ENTRY(child) by_pid;
};

RB_HEAD(child_tree, child);

static int compare(const struct child *a, const struct child *b)
{
    return (a->pid > b->pid) - (a->pid < b->pid);
}

RB_GENERATE_INTERNAL(child_tree, child, by_pid, compare, __attribute__((unused)) static)

struct spawner {
    struct shim_host host;
    int signals; /* a signalfd: SIGCHLD */
    struct child_tree children;
    int spares[CGROUP_SPARES]; /* a stack of those that no shim has */
    unsigned spare_count;
    union {
        struct shim_request request;
        char bytes[sizeof(struct shim_request) + SHIM_REQUEST_MAX];
    };
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "triarch-shim: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void tell(uint64_t attempt, enum shim_notice_kind kind)
{
    struct shim_notice notice = {.attempt = attempt, .kind = kind};

    notice_send(&notice);
}

/* There is no shim that could say so. */
static void not_forked(const struct spawner *s, int reason)
{
    const struct shim_request *r = &s->request;
    struct slot_start start = {.attempt = r->attempt, .restarts = r->restarts};
    struct slot_end end = {
        .attempt = r->attempt, .restarts = r->restarts, .how = SLOT_NOT_STARTED};
    bool kept;

    memcpy(start.boot_id, s->host.boot_id, BOOT_ID_BYTES);
    snprintf(end.text, sizeof(end.text), "fork: %s", strerror(reason));
    kept = slot_write_start(SHIM_FD_SLOTS, r->slot, &start) == 0 &&
           slot_write_end(SHIM_FD_SLOTS, r->slot, &end) == 0;
    tell(r->attempt, kept ? SHIM_ENDED : SHIM_GONE);
}

/* The sizes are the sender's; count the strings ourselves. */
static bool request_valid(const struct shim_request *r, size_t size)
{
    uint64_t strings = 0;
    const char *text;

    if (size < sizeof(*r) || r->groups > LIMIT_USER_GROUPS || r->argc == 0 ||
        r->step_count > SHIM_STEPS ||
        size != sizeof(*r) + r->groups * sizeof(uint32_t) + r->size)
        return false;
    text = shim_request_strings(r);
    for (uint32_t i = 0; i < r->size; i++)
        strings += text[i] == 0 ? 1 : 0;
    return r->kind >= SHIM_RUN && r->kind <= SHIM_CHECK && r->size > 0 &&
           text[r->size - 1] == 0 &&
           strings ==
               (uint64_t)r->argc + r->envc + (uint64_t)r->step_count * STEP_STRINGS;
}

static void spawn(struct spawner *s)
{
    int spare = s->spare_count > 0 ? s->spares[s->spare_count - 1] : -1;
    struct child *child;
    pid_t pid = fork();

    if (pid == 0) {
        close(SHIM_FD_REQUESTS);
        close(s->signals);
        shim_run(&s->request, &s->host, spare);
    }
    if (pid < 0) {
        not_forked(s, errno);
        return;
    }
    child = malloc(sizeof(*child));
    if (child == NULL)
        fail("memory");
    *child = (struct child){.pid = pid, .attempt = s->request.attempt, .spare = spare};
    if (spare >= 0)
        s->spare_count--;
    RB_INSERT(child_tree, &s->children, child);
}

/* If it cannot be forked the agent sees the end of the socket. */
static void start_session(const struct spawner *s, int socket)
{
    if (fork() == 0) {
        close(SHIM_FD_REQUESTS);
        close(s->signals);
        exec_spawn(&s->request, &s->host, socket);
    }
}

/* Without a process there is an answer all the same. */
static void start_check(const struct spawner *s)
{
    const struct shim_request *r = &s->request;
    struct shim_notice notice = {.attempt = r->attempt,
                                 .kind = SHIM_CHECKED,
                                 .restarts = r->restarts,
                                 .check = r->check,
                                 .end = CHECK_NOT_STARTED};
    pid_t pid = fork();

    if (pid == 0) {
        close(SHIM_FD_REQUESTS);
        close(s->signals);
        probe_run(r, &s->host);
    }
    notice.code = errno;
    if (pid < 0)
        notice_send(&notice);
}

/* One request, and the descriptor that came with it, or -1. */
static ssize_t receive(struct spawner *s, int *fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec bytes = {.iov_base = s->bytes, .iov_len = sizeof(s->bytes)};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(SHIM_FD_REQUESTS, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = n < 0 ? NULL : CMSG_FIRSTHDR(&message);

    *fd = -1;
    if (header != NULL && header->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(header), sizeof(*fd));
    return n;
}

static void on_request(struct spawner *s)
{
    int fd;
    ssize_t n = receive(s, &fd);

    if (n == 0)
        _exit(0); /* the agent is gone */
    if (n < 0 && errno == EINTR)
        return;
    if (n < 0)
        fail("requests");
    if (!request_valid(&s->request, (size_t)n)) {
        errno = EBADMSG;
        fail("request");
    }
    if (s->request.kind == SHIM_EXEC)
        start_session(s, fd);
    else if (s->request.kind == SHIM_CHECK)
        start_check(s);
    else
        spawn(s);
    if (fd >= 0)
        close(fd);
}

static void on_child(struct spawner *s)
{
    struct signalfd_siginfo info;
    struct child *child;
    int status;
    pid_t pid;

    if (read(s->signals, &info, sizeof(info)) < 0 && errno != EINTR && errno != EAGAIN)
        fail("signalfd");
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child key = {.pid = pid};

        child = RB_FIND(child_tree, &s->children, &key);
        if (child == NULL)
            continue;
        if (status != 0)
            tell(child->attempt, SHIM_GONE);
        if (child->spare >= 0)
            s->spares[s->spare_count++] = child->spare;
        RB_REMOVE(child_tree, &s->children, child);
        free(child);
    }
}

/* Tasks inherit what is set here: default signals, no descriptors. */
static void prepare(struct spawner *s)
{
    sigset_t all, chld;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (close_range(SHIM_FD_END, ~0u, 0) != 0) /* what the agent was started with */
        fail("close_range");
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    s->signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals < 0)
        fail("signalfd");
    if (close_range(SHIM_FD_REQUESTS, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
        fail("close_range");
    if (notice_prepare() != 0)
        fail("notices");
    setsid();
    umask(022);
    if (setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) != 0)
        fail("setrlimit");
    if (process_boot_id(s->host.boot_id) != 0)
        fail("boot_id");
    for (int i = CGROUP_SPARES - 1; i >= 0; i--)
        s->spares[s->spare_count++] = i;
}

/* triarch-shim WORK_DIR PROTECTED PLACE... */
static void read_arguments(struct spawner *s, int argc, char **argv)
{
    if (chdir(argv[1]) != 0)
        fail(argv[1]);
    s->host.oom_protected = strcmp(argv[2], "1") == 0;
    for (int i = 3; i < argc; i++) {
        int rv = cgroups_add(&s->host.groups, argv[i]);

        errno = -rv;
        if (rv != 0)
            fail(argv[i]);
    }
}

int main(int argc, char **argv)
{
    static struct spawner s;

    if (argc > 1 && strcmp(argv[1], LOOK_OPTION) == 0)
        return look_main(argc, argv);
    if (argc < 3 || fcntl(SHIM_FD_FENCE, F_GETFD) < 0) {
        fprintf(stderr, "triarch-shim is started by triarch-agent\n");
        return 2;
    }
    prepare(&s);
    read_arguments(&s, argc, argv);
    for (;;) {
        struct pollfd fds[] = {
            {.fd = SHIM_FD_REQUESTS, .events = POLLIN},
            {.fd = s.signals, .events = POLLIN},
        };

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            fail("poll");
        if (fds[1].revents != 0)
            on_child(&s);
        if (fds[0].revents != 0)
            on_request(&s);
    }
}
