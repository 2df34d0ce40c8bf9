/* dial.c - from an address to a connected socket. */
#include "net/dial.h"

#include "base/mem.h"
#include "net/resolve.h"
#include "net/socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct dial {
    struct loop *loop;
    char *to;
    struct resolve *resolve; /* NULL: done */
    struct resolved found;
    unsigned next;       /* address to try */
    int fd;              /* that connects; -1: none */
    struct watch *watch; /* on it */
    uint64_t until_ms;
    struct loop_timer timer;
    struct error last;
    void (*done)(void *user, int fd, const struct error *err);
    void *user;
};

static void stop_watching(struct dial *d)
{
    watch_destroy(d->watch);
    d->watch = NULL;
    timer_stop(d->loop, &d->timer);
}

/* The address that is tried leads nowhere. */
static void give_up(struct dial *d)
{
    stop_watching(d);
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

static void release(struct dial *d)
{
    mem_free(d->to);
    mem_free(d);
}

static void finish(struct dial *d)
{
    stop_watching(d);
    d->done(d->user, d->fd, &d->last);
    release(d);
}

void dial_cancel(struct dial *d)
{
    if (d == NULL)
        return;
    if (d->resolve != NULL)
        resolve_cancel(d->resolve);
    give_up(d);
    release(d);
}

/* ---- addresses ---- */

static void try_next(struct dial *d);

static void note(struct dial *d, int error)
{
    error_set(&d->last,
              ERROR_UNAVAILABLE,
              "connect to %s: %s",
              d->to,
              uv_strerror(uv_translate_sys_error(error)));
}

static void on_ready(void *user)
{
    struct dial *d = user;
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error == 0) {
        finish(d);
        return;
    }
    note(d, error);
    give_up(d);
    try_next(d);
}

static void on_expired(void *user)
{
    struct dial *d = user;

    error_set(&d->last, ERROR_TIMEOUT, "connect to %s: no answer in time", d->to);
    if (d->resolve != NULL) {
        resolve_cancel(d->resolve);
        d->resolve = NULL;
    }
    give_up(d);
    try_next(d);
}

static uint64_t share_ms(const struct dial *d)
{
    uint64_t now = loop_now_ms();

    return now >= d->until_ms ? 0 : (d->until_ms - now) / (d->found.count - d->next);
}

static void try_next(struct dial *d)
{
    while (d->next < d->found.count) {
        uint64_t share = share_ms(d);
        const struct sockaddr_storage *at = &d->found.addresses[d->next++];

        d->fd = socket_create(at->ss_family);
        if (d->fd < 0) {
            note(d, -d->fd);
            d->fd = -1;
            continue;
        }
        if (connect(d->fd, (const struct sockaddr *)at, sockaddr_size(at)) == 0 ||
            errno == EINPROGRESS) {
            d->watch = watch_create_writable(d->loop, d->fd, on_ready, d);
            timer_set_in(d->loop, &d->timer, share, on_expired, d);
            return;
        }
        note(d, errno);
        give_up(d);
    }
    finish(d);
}

static void on_resolved(void *user, const struct resolved *found, struct error *err)
{
    struct dial *d = user;

    d->resolve = NULL;
    if (found != NULL)
        d->found = *found;
    else
        d->last = *err;
    try_next(d);
}

struct dial *dial_start(struct loop *l,
                        const struct address *to,
                        uint32_t limit_ms,
                        void (*done)(void *user, int fd, const struct error *err),
                        void *user)
{
    struct dial *d = mem_zalloc(sizeof(*d));

    d->loop = l;
    d->to = mem_strdup(to->text);
    d->fd = -1;
    d->done = done;
    d->user = user;
    d->until_ms = loop_now_ms() + limit_ms;
    timer_set_at(l, &d->timer, d->until_ms, on_expired, d);
    d->resolve = resolve_start(l, to, on_resolved, d);
    return d;
}
