/* spawning.c - the agent's end of its spawner. */

#include "agent/spawning.h"

#include "agent/shim.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FENCE_WAIT_MS  10000
#define FENCE_RETRY_MS 10

struct spawning_request {
    struct buffer bytes;
    int fd; /* goes with them; -1: none */
    STAILQ_ENTRY(spawning_request) link;
};

/* Descriptors are kept above those that the spawner gets, so that none is overwritten
 * while they are put in place. */
static int lift(int fd)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, SHIM_FD_END);

    if (fd >= 0)
        close(fd);
    return high;
}

static int take_fence(const char *work_dir, int *out, struct error *err)
{
    const struct timespec pause = {.tv_nsec = FENCE_RETRY_MS * 1000000L};
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "%s/fence", work_dir);
    fd = lift(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (fd < 0)
        return error_set(err, ERROR_IO, "open %s: %s", path, strerror(errno));
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += FENCE_RETRY_MS) {
        if (errno != EWOULDBLOCK || waited >= FENCE_WAIT_MS) {
            error_set(
                err,
                ERROR_IO,
                "%s is locked: a triarch-shim of an earlier agent does not end (%s)",
                path,
                strerror(errno));
            close(fd);
            return -ERROR_IO;
        }
        nanosleep(&pause, NULL);
    }
    *out = fd;
    return 0;
}

/* All descriptors of one start; those not handed on are closed by wires_close(). */
struct wires {
    int requests[2];
    int notices[2];
    int fence;
};

static void wires_close(struct wires *w)
{
    int *all[] = {
        &w->requests[0], &w->requests[1], &w->notices[0], &w->notices[1], &w->fence};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (*all[i] >= 0)
            close(*all[i]);
        *all[i] = -1;
    }
}

/* A socket that has no room takes a request later; one that is too small never would. */
static int set_room(int requests, struct error *err)
{
    const int wanted = 2 * (int)SHIM_REQUEST_MAX;
    int room = 0;
    socklen_t size = sizeof(room);

    if (setsockopt(requests, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted)) != 0 ||
        getsockopt(requests, SOL_SOCKET, SO_SNDBUF, &room, &size) != 0)
        return error_set(err, ERROR_IO, "setsockopt: %s", strerror(errno));
    if (room < wanted)
        return error_set(
            err,
            ERROR_IO,
            "a socket takes %d bytes, and the start of a task may need %d: "
            "raise net.core.wmem_max",
            room,
            wanted);
    return 0;
}

static int wires_open(struct wires *w, const char *work_dir, struct error *err)
{
    *w = (struct wires){{-1, -1}, {-1, -1}, -1};
    if (take_fence(work_dir, &w->fence, err) != 0)
        return -ERROR_IO;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, w->requests) != 0 ||
        pipe2(w->notices, O_CLOEXEC) != 0)
        return error_set(err, ERROR_IO, "socketpair: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        w->requests[i] = lift(w->requests[i]);
        w->notices[i] = lift(w->notices[i]);
        if (w->requests[i] < 0 || w->notices[i] < 0)
            return error_set(err, ERROR_IO, "dup: %s", strerror(errno));
    }
    if (fcntl(w->requests[0], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(w->notices[0], F_SETFL, O_NONBLOCK) != 0)
        return error_set(err, ERROR_IO, "fcntl: %s", strerror(errno));
    return set_room(w->requests[0], err);
}

static int spawn(struct spawning *s,
                 const struct wires *w,
                 int slots,
                 const struct spawning_options *o,
                 struct error *err)
{
    char *argv[4 + CGROUP_PLACES] = {
        "triarch-shim", (char *)(uintptr_t)o->work_dir, o->oom_protected ? "1" : "0"};
    char(*places)[CGROUP_TEXT] = mem_alloc(CGROUP_PLACES * sizeof(*places));
    char *env[] = {NULL};
    posix_spawn_file_actions_t actions;
    int rv;

    for (unsigned i = 0; i < o->groups->count; i++) {
        cgroups_print(o->groups, i, places[i]);
        argv[3 + i] = places[i];
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    posix_spawn_file_actions_adddup2(&actions, w->requests[1], SHIM_FD_REQUESTS);
    posix_spawn_file_actions_adddup2(&actions, w->notices[1], SHIM_FD_NOTICES);
    posix_spawn_file_actions_adddup2(&actions, slots, SHIM_FD_SLOTS);
    posix_spawn_file_actions_adddup2(&actions, w->fence, SHIM_FD_FENCE);
    rv = posix_spawn(&s->pid, o->shim, &actions, NULL, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    mem_free(places);
    if (rv != 0)
        return error_set(err, ERROR_IO, "cannot start %s: %s", o->shim, strerror(rv));
    return 0;
}

int spawning_start(struct spawning *s,
                   const struct spawning_options *options,
                   struct error *err)
{
    struct wires w;
    int high = -1, rv;

    *s = (struct spawning){.pid = -1, .requests = -1, .notices = -1};
    STAILQ_INIT(&s->queue);
    rv = wires_open(&w, options->work_dir, err);
    if (rv != 0)
        goto out;
    high = fcntl(options->slots, F_DUPFD_CLOEXEC, SHIM_FD_END);
    if (high < 0) {
        rv = error_set(err, ERROR_IO, "dup: %s", strerror(errno));
        goto out;
    }
    rv = spawn(s, &w, high, options, err);
    if (rv == 0) {
        s->requests = w.requests[0];
        s->notices = w.notices[0];
        w.requests[0] = -1;
        w.notices[0] = -1;
    }
out:
    wires_close(&w);
    if (high >= 0)
        close(high);
    return rv;
}

static void request_drop(struct spawning *s)
{
    struct spawning_request *r = STAILQ_FIRST(&s->queue);

    STAILQ_REMOVE_HEAD(&s->queue, link);
    if (r->fd >= 0)
        close(r->fd);
    buffer_finish(&r->bytes);
    mem_free(r);
}

static ssize_t send_request(const struct spawning *s, const struct spawning_request *r)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec bytes = {.iov_base = r->bytes.data, .iov_len = r->bytes.size};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

    if (r->fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &r->fd, sizeof(int));
    }
    return sendmsg(s->requests, &message, MSG_NOSIGNAL);
}

bool spawning_flush(struct spawning *s)
{
    struct spawning_request *r;

    while ((r = STAILQ_FIRST(&s->queue)) != NULL) {
        ssize_t n = send_request(s, r);

        /* Nobody reads: the spawner ended, which is seen when reading. */
        if (n < 0 && errno != EPIPE && errno != ECONNRESET)
            return false;
        request_drop(s);
    }
    return true;
}

bool spawning_send(struct spawning *s, struct buffer *request, int fd)
{
    struct spawning_request *r = mem_zalloc(sizeof(*r));

    r->bytes = *request;
    r->fd = fd;
    *request = (struct buffer){0};
    STAILQ_INSERT_TAIL(&s->queue, r, link);
    return spawning_flush(s);
}

void spawning_stop(struct spawning *s)
{
    while (!STAILQ_EMPTY(&s->queue))
        request_drop(s);
    if (s->requests >= 0)
        close(s->requests);
    if (s->notices >= 0)
        close(s->notices); /* it may wait for room in it */
    if (s->pid > 0)
        waitpid(s->pid, NULL, 0);
    *s = (struct spawning){.pid = -1, .requests = -1, .notices = -1};
    STAILQ_INIT(&s->queue);
}

void spawning_reason(struct spawning *s, struct error *err)
{
    int status = 0;

    waitpid(s->pid, &status, 0);
    s->pid = -1;
    if (WIFSIGNALED(status))
        error_set(
            err,
            ERROR_IO,
            "triarch-shim was ended by signal %d: start the agent again, its tasks "
            "go on",
            WTERMSIG(status));
    else
        error_set(
            err,
            ERROR_IO,
            "triarch-shim ended with status %d: start the agent again, its tasks go "
            "on",
            WEXITSTATUS(status));
}
