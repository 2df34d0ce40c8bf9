/* listener.c - a listening socket that hands out connected ones. */

#include "net/listener.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/resolve.h"
#include "net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG      4096
#define ACCEPT_BATCH 64   /* in one turn, so that sessions are served in between */
#define PAUSE_MS     100  /* after an error that may last */
#define COMPLAIN_MS  1000 /* at most one line in the log in that time */

struct listener {
    struct loop *loop;
    int fd;
    int reserve; /* -1: even that one was taken */
    uint16_t port;
    struct watch *watch;
    struct loop_timer pause;
    uint64_t complained_ms;
    const struct listener_events *events;
    void *user;
};

/* ---- the socket ---- */

static int try_listen(const struct sockaddr_storage *at)
{
    int fd = socket_create(at->ss_family);
    int on = 1;

    if (fd < 0)
        return fd;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, (const struct sockaddr *)at, sockaddr_size(at)) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    on = errno;
    close(fd);
    return -on;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage at = {0};
    socklen_t size = sizeof(at);

    getsockname(fd, (struct sockaddr *)&at, &size);
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

int listen_socket(const struct address *at, uint16_t *port, struct error *err)
{
    struct resolved found;
    int r = resolve_now(&found, at, err);
    int fd = -EADDRNOTAVAIL;

    if (r < 0)
        return error_wrap(err, "listen on %s", at->text);
    for (unsigned i = 0; i < found.count && fd < 0; i++)
        fd = try_listen(&found.addresses[i]);
    if (fd < 0)
        return error_set(err,
                         ERROR_IO,
                         "listen on %s: %s%s",
                         at->text,
                         strerror(-fd),
                         fd == -EADDRINUSE ? " (does another one run here?)" : "");
    *port = bound_port(fd);
    return fd;
}

/* ---- accepting ---- */

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void complain(struct listener *l, int error)
{
    uint64_t now = loop_now_ms();

    if (l->complained_ms != 0 && now - l->complained_ms < COMPLAIN_MS)
        return;
    l->complained_ms = now;
    log_warning("net",
                "cannot accept a connection: %s port=%u",
                strerror(error),
                (unsigned)l->port);
}

static void resume(void *user)
{
    struct listener *l = user;

    if (l->reserve < 0)
        l->reserve = open_reserve();
    watch_resume(l->watch);
}

static void rest(struct listener *l)
{
    watch_pause(l->watch);
    timer_set_in(l->loop, &l->pause, PAUSE_MS, resume, l);
}

/* Out of descriptors.  False: not even the reserve helped. */
static bool turn_away(struct listener *l)
{
    int fd;

    if (l->reserve < 0)
        return false;
    close(l->reserve);
    fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        l->events->turned_away(l->user, fd);
        close(fd);
    }
    l->reserve = open_reserve();
    return fd >= 0 && l->reserve >= 0;
}

/* Errors of the connection that was waiting, not of ours: accept(2) passes them on. */
static bool is_passing(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPROTO ||
           error == ENETDOWN || error == EHOSTUNREACH || error == ENETUNREACH ||
           error == EPERM;
}

static void on_readable(void *user)
{
    struct listener *l = user;

    for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            l->events->accepted(l->user, fd);
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (is_passing(errno))
            continue;
        complain(l, errno);
        if ((errno != EMFILE && errno != ENFILE) || !turn_away(l)) {
            rest(l);
            return;
        }
    }
}

/* ---- life ---- */

struct listener *listener_create(struct loop *loop,
                                 const struct address *at,
                                 const struct listener_events *events,
                                 void *user,
                                 struct error *err)
{
    uint16_t port;
    int fd = listen_socket(at, &port, err);
    struct listener *l;

    if (fd < 0)
        return NULL;
    l = mem_zalloc(sizeof(*l));
    l->loop = loop;
    l->fd = fd;
    l->port = port;
    l->reserve = open_reserve();
    l->events = events;
    l->user = user;
    l->watch = watch_create(loop, fd, on_readable, l);
    return l;
}

void listener_destroy(struct listener *l)
{
    if (l == NULL)
        return;
    timer_stop(l->loop, &l->pause);
    watch_destroy(l->watch);
    close(l->fd);
    if (l->reserve >= 0)
        close(l->reserve);
    mem_free(l);
}

uint16_t listener_port(const struct listener *l)
{
    return l->port;
}
