/* input.c - standard input on a loop.
 *
 * The loop watches an epoll set that has standard input in it, and so leaves that alone.
 * What cannot be in such a set (a file, /dev/null) can always be read.
 */
#include "client/input.h"

#include "base/limits.h"
#include "base/mem.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

struct input {
    struct loop *loop;
    int set; /* -1: it can always be read */
    struct watch *watch;
    struct deferred again;
    size_t wanted;
    bool over;
    void (*read)(void *user, struct bytes bytes);
    void *user;
};

static void go_on(struct input *in);

static void on_readable(void *user)
{
    struct input *in = user;
    uint8_t bytes[LIMIT_EXEC_CHUNK_BYTES];
    size_t room = in->wanted < sizeof(bytes) ? in->wanted : sizeof(bytes);
    ssize_t n = read(STDIN_FILENO, bytes, room);

    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        go_on(in);
        return;
    }
    /* An error ends it too: a terminal that is gone has no more to say. */
    in->over = n <= 0;
    in->wanted -= n > 0 ? (size_t)n : 0;
    go_on(in);
    in->read(in->user, (struct bytes){bytes, n > 0 ? (size_t)n : 0});
}

static void go_on(struct input *in)
{
    bool waits = !in->over && in->wanted > 0;

    if (in->watch != NULL && waits)
        watch_resume(in->watch);
    else if (in->watch != NULL)
        watch_pause(in->watch);
    else if (waits)
        loop_defer(in->loop, &in->again, on_readable, in);
}

void input_want(struct input *in, size_t bytes)
{
    in->wanted += bytes;
    go_on(in);
}

struct input *
input_create(struct loop *l, void (*read)(void *user, struct bytes bytes), void *user)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct input *in = mem_zalloc(sizeof(*in));

    in->loop = l;
    in->read = read;
    in->user = user;
    in->set = epoll_create1(EPOLL_CLOEXEC);
    if (in->set >= 0 && epoll_ctl(in->set, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0) {
        in->watch = watch_create(l, in->set, on_readable, in);
        watch_pause(in->watch);
    }
    return in;
}

void input_destroy(struct input *in)
{
    if (in == NULL)
        return;
    deferred_cancel(in->loop, &in->again);
    watch_destroy(in->watch);
    if (in->set >= 0)
        close(in->set);
    mem_free(in);
}
