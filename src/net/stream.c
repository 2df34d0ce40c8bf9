/* stream.c - one connection as a stream of bytes: TCP, on one loop.
 *
 *     CONNECTING ──▶ OPEN ──▶ FINISHING ──▶ CLOSED
 *          └───────────┴──────────────────────▲
 *
 * Output is a list of chunks.  At the end of a turn they go to the kernel in one
 * uv_try_write(); what it leaves goes into one uv_write(), and until that is done new
 * chunks wait.  Input is read into the loop's scratch bytes and shown from there; what
 * the reader leaves (a part of a frame) is kept, and put in front of the next read.  Only
 * when that is much, the next read goes behind it, into the stream's own buffer.  So
 * many sessions that each sent a part of a frame hold no more memory than they sent.
 *
 * A turn reads a stream once at most (intake.h), for what comes of it would hold up everything
 * else, heartbeats and output too.  libuv has the socket to write.
 */
#include "net/stream.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/dial.h"
#include "net/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define WRITE_CHUNKS 64                   /* in one system call */
#define CHUNK_BYTES  (64 * KIB)           /* then a new one is begun */
#define READ_BYTES   (64 * KIB)           /* in one turn */
#define KEPT_BYTES   (128 * KIB)          /* much */
#define HIGH_MAX     (2 * LIMIT_SESSIONS) /* more descriptors than are in use */
#define HIGH_ROOM    64                   /* of them for streams that hang up first */

_Static_assert(KEPT_BYTES + READ_BYTES <= LOOP_SCRATCH_BYTES, "a read has room");

enum stream_state { CONNECTING, OPEN, FINISHING, CLOSED };

struct chunk {
    STAILQ_ENTRY(chunk) link;
    struct buffer bytes;
    size_t sent;
    bool flying; /* uv_write() has it: do not touch */
};

struct stream {
    struct loop *loop;
    uv_tcp_t tcp;
    int high; /* another descriptor of the socket; -1: none */
    enum stream_state state;
    const struct stream_events *events; /* NULL: destroyed */
    void *user;
    char *peer;
    struct dial *dial; /* only while connecting */
    struct loop_timer linger;
    struct error *reason;

    struct intake intake;
    struct buffer in; /* shown and not consumed */
    bool paused;
    struct deferred redeliver;

    STAILQ_HEAD(, chunk) out;
    size_t out_max;
    size_t queued; /* bytes in out */
    size_t begun;  /* size of the open chunk at stream_begin() */
    bool writing;
    bool undrained; /* `drained` is owed */
    uv_write_t write;
    struct deferred flush;
    struct deferred drained;
};

static void flush(void *user);

static void defer_flush(struct stream *s)
{
    loop_defer_output(s->loop, s->intake.rank, &s->flush, flush, s);
}

/* ---- the end ---- */

static void drop_output(struct stream *s)
{
    struct chunk *c;

    while ((c = STAILQ_FIRST(&s->out)) != NULL) {
        STAILQ_REMOVE_HEAD(&s->out, link);
        buffer_finish(&c->bytes);
        mem_free(c);
    }
    s->queued = 0;
}

static void on_closed(uv_handle_t *handle)
{
    static const struct error none = {0};
    struct stream *s = handle->data;

    if (s->events != NULL)
        s->events->closed(s->user, s->reason == NULL ? &none : s->reason);
    drop_output(s);
    buffer_finish(&s->in);
    mem_free(s->reason);
    mem_free(s->peer);
    mem_free(s);
}

void stream_close(struct stream *s, const struct error *reason)
{
    if (s->state == CLOSED)
        return;
    if (reason != NULL && s->reason == NULL)
        s->reason = mem_dup(reason, sizeof(*reason));
    dial_cancel(s->dial);
    s->dial = NULL;
    s->state = CLOSED;
    timer_stop(s->loop, &s->linger);
    deferred_cancel(s->loop, &s->redeliver);
    deferred_cancel(s->loop, &s->drained);
    deferred_cancel_output(s->loop, s->intake.rank, &s->flush);
    intake_unwatch(loop_intakes(s->loop), &s->intake);
    if (s->high >= 0)
        close(s->high);
    uv_close((uv_handle_t *)&s->tcp, on_closed);
}

void stream_destroy(struct stream *s)
{
    if (s == NULL)
        return;
    s->events = NULL;
    stream_close(s, NULL);
}

bool stream_closing(const struct stream *s)
{
    return s->state >= FINISHING;
}

static void fail(struct stream *s, enum error_code code, const char *what, int status)
{
    struct error reason;

    error_set(&reason, code, "%s: %s: %s", s->peer, what, uv_strerror(status));
    stream_close(s, &reason);
}

/* ---- input ---- */

static size_t show(struct stream *s, const uint8_t *data, size_t size)
{
    size_t used = s->events->received(s->user, (struct bytes){data, size});

    ASSERT(used <= size);
    return used;
}

static void show_kept(struct stream *s)
{
    size_t used = show(s, s->in.data, s->in.size);

    if (used == s->in.size)
        buffer_finish(&s->in);
    else
        buffer_consume(&s->in, used);
}

/* What was kept lies at the beginning of the scratch bytes, and `got` new ones behind. */
static void show_scratch(struct stream *s, size_t got)
{
    size_t size = s->in.size + got;
    size_t used = show(s, loop_scratch(s->loop), size);

    buffer_clear(&s->in);
    buffer_append(&s->in, loop_scratch(s->loop) + used, size - used);
    if (used == size)
        buffer_finish(&s->in);
}

/* Nothing more comes. */
static void ended(struct stream *s, ssize_t got, int error)
{
    struct error reason;

    if (s->state == FINISHING) {
        stream_close(s, NULL);
    } else if (got == 0) {
        error_set(&reason, ERROR_UNAVAILABLE, "%s: the other side closed", s->peer);
        stream_close(s, &reason);
    } else {
        fail(s, ERROR_UNAVAILABLE, "read", uv_translate_sys_error(error));
    }
}

static void on_readable(void *user)
{
    struct stream *s = user;
    uint8_t *scratch = loop_scratch(s->loop);
    bool in_place = s->in.size > KEPT_BYTES;
    ssize_t got;

    if (!in_place && s->in.size > 0)
        memcpy(scratch, s->in.data, s->in.size);
    got = recv(s->intake.fd,
               in_place ? buffer_reserve(&s->in, READ_BYTES) : scratch + s->in.size,
               READ_BYTES,
               0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        ended(s, got, errno);
        return;
    }
    if (s->state != OPEN) /* what comes while finishing is dropped */
        return;
    loop_counters(s->loop)->bytes_in += (uint64_t)got;
    if (!in_place) {
        show_scratch(s, (size_t)got);
        return;
    }
    s->in.size += (size_t)got;
    show_kept(s);
}

static void start_reading(struct stream *s)
{
    intake_watch(loop_intakes(s->loop), &s->intake);
}

bool stream_unread(const struct stream *s)
{
    int size = 0;

    return s->state == OPEN && ioctl(s->intake.fd, FIONREAD, &size) == 0 && size > 0;
}

void stream_set_rank(struct stream *s, enum rank rank)
{
    bool queued = s->flush.queued;

    deferred_cancel_output(s->loop, s->intake.rank, &s->flush);
    intake_set_rank(loop_intakes(s->loop), &s->intake, rank);
    if (queued)
        defer_flush(s);
}

static void redeliver(void *user)
{
    struct stream *s = user;

    if (s->in.size > 0)
        show_kept(s);
}

void stream_pause(struct stream *s)
{
    if (s->state == FINISHING)
        return;
    s->paused = true;
    intake_unwatch(loop_intakes(s->loop), &s->intake);
    deferred_cancel(s->loop, &s->redeliver);
}

void stream_resume(struct stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    if (s->state != OPEN)
        return;
    start_reading(s);
    loop_defer(s->loop, &s->redeliver, redeliver, s);
}

bool stream_paused(const struct stream *s)
{
    return s->paused;
}

/* ---- output ---- */

static void consume_output(struct stream *s, size_t size)
{
    s->queued -= size;
    loop_counters(s->loop)->bytes_out += size;
    while (size > 0) {
        struct chunk *c = STAILQ_FIRST(&s->out);
        size_t left = c->bytes.size - c->sent;

        if (size < left) {
            c->sent += size;
            return;
        }
        size -= left;
        STAILQ_REMOVE_HEAD(&s->out, link);
        buffer_finish(&c->bytes);
        mem_free(c);
    }
}

static unsigned gather_output(struct stream *s, uv_buf_t *to, size_t *size, bool fly)
{
    unsigned count = 0;
    struct chunk *c;

    *size = 0;
    STAILQ_FOREACH (c, &s->out, link) {
        if (count == WRITE_CHUNKS)
            break;
        to[count] = uv_buf_init((char *)c->bytes.data + c->sent,
                                (unsigned)(c->bytes.size - c->sent));
        *size += to[count++].len;
        c->flying = fly;
    }
    loop_counters(s->loop)->writes++;
    return count;
}

static void on_written(uv_write_t *request, int status)
{
    struct stream *s = request->handle->data;

    if (s->state == CLOSED)
        return;
    if (status < 0) {
        fail(s, ERROR_UNAVAILABLE, "write", status);
        return;
    }
    consume_output(s, (size_t)(uintptr_t)request->data);
    s->writing = false;
    defer_flush(s);
}

/* The kernel's buffer is full: libuv writes the rest when it can. */
static void write_later(struct stream *s)
{
    uv_buf_t bufs[WRITE_CHUNKS];
    size_t size;
    unsigned count = gather_output(s, bufs, &size, true);
    int r;

    s->write.data = (void *)(uintptr_t)size;
    r = uv_write(&s->write, (uv_stream_t *)&s->tcp, bufs, count, on_written);
    if (r < 0)
        fail(s, ERROR_UNAVAILABLE, "write", r);
    else
        s->writing = true;
}

static void linger(struct stream *s)
{
    uv_os_fd_t fd;

    if (uv_fileno((uv_handle_t *)&s->tcp, &fd) == 0)
        shutdown(fd, SHUT_WR);
}

static void on_drained(void *user)
{
    struct stream *s = user;

    if (s->queued == 0)
        s->events->drained(s->user);
}

static void flush(void *user)
{
    struct stream *s = user;
    uv_buf_t bufs[WRITE_CHUNKS];

    while (s->queued > 0 && !s->writing) {
        size_t size;
        unsigned count = gather_output(s, bufs, &size, false);
        int n = uv_try_write((uv_stream_t *)&s->tcp, bufs, count);

        if (n < 0 && n != UV_EAGAIN) {
            fail(s, ERROR_UNAVAILABLE, "write", n);
            return;
        }
        consume_output(s, n < 0 ? 0 : (size_t)n);
        if (n < 0 || (size_t)n < size)
            write_later(s);
    }
    if (s->queued > 0 || s->state == CLOSED)
        return;
    if (s->state == FINISHING)
        linger(s);
    else if (s->undrained && s->events->drained != NULL)
        loop_defer(s->loop, &s->drained, on_drained, s);
    s->undrained = false;
}

static struct chunk *open_chunk(struct stream *s)
{
    struct chunk *c = STAILQ_LAST(&s->out, chunk, link);

    if (c != NULL && !c->flying && c->bytes.size < CHUNK_BYTES)
        return c;
    c = mem_zalloc(sizeof(*c));
    STAILQ_INSERT_TAIL(&s->out, c, link);
    return c;
}

struct buffer *stream_begin(struct stream *s)
{
    struct chunk *c = open_chunk(s);

    s->begun = c->bytes.size;
    return &c->bytes;
}

void stream_end(struct stream *s)
{
    struct chunk *c = STAILQ_LAST(&s->out, chunk, link);
    struct error reason;

    if (s->state >= FINISHING) {
        c->bytes.size = s->begun;
        return;
    }
    s->queued += c->bytes.size - s->begun;
    s->undrained = true;
    if (s->queued > s->out_max) {
        error_set(&reason,
                  ERROR_BUSY,
                  "%s: does not read: %zu bytes wait, the most is %zu",
                  s->peer,
                  s->queued,
                  s->out_max);
        stream_close(s, &reason);
    } else if (s->state == OPEN) {
        defer_flush(s);
    }
}

void stream_send(struct stream *s, struct bytes bytes)
{
    buffer_append(stream_begin(s), bytes.data, bytes.size);
    stream_end(s);
}

void stream_take(struct stream *s, struct buffer *b)
{
    struct chunk *c = mem_zalloc(sizeof(*c));

    STAILQ_INSERT_TAIL(&s->out, c, link);
    c->bytes = *b;
    *b = (struct buffer){0};
    s->begun = 0;
    stream_end(s);
}

size_t stream_queued(const struct stream *s)
{
    return s->queued;
}

void stream_set_out_max(struct stream *s, size_t bytes)
{
    s->out_max = bytes;
}

static void on_linger_expired(void *user)
{
    stream_close(user, NULL);
}

void stream_finish(struct stream *s, const struct error *reason)
{
    if (s->state >= FINISHING)
        return;
    if (s->state == CONNECTING) {
        stream_close(s, reason);
        return;
    }
    if (reason != NULL)
        s->reason = mem_dup(reason, sizeof(*reason));
    s->state = FINISHING;
    deferred_cancel(s->loop, &s->redeliver);
    deferred_cancel(s->loop, &s->drained);
    timer_set_in(s->loop, &s->linger, LIMIT_LINGER_MS, on_linger_expired, s);
    start_reading(s); /* to see that the other side closes */
    defer_flush(s);
}

/* ---- the beginning ---- */

/* Takes fd, a connected socket. */
static void open_stream(struct stream *s, int fd)
{
    ASSERT(uv_tcp_open(&s->tcp, fd) == 0);
    s->intake.fd = fd;
    s->state = OPEN;
    if (!s->paused)
        start_reading(s);
    if (s->queued > 0)
        defer_flush(s);
}

static struct stream *create(struct loop *l,
                             const struct stream_options *options,
                             const struct stream_events *events,
                             void *user)
{
    struct stream *s = mem_zalloc(sizeof(*s));

    s->loop = l;
    s->high = -1;
    s->intake = (struct intake){.rank = RANK_OTHER, .ready = on_readable, .user = s};
    s->events = events;
    s->user = user;
    s->out_max =
        options->out_bytes_max > 0 ? options->out_bytes_max : LIMIT_SESSION_OUT_BYTES;
    STAILQ_INIT(&s->out);
    ASSERT(uv_tcp_init(loop_uv(l), &s->tcp) == 0);
    s->tcp.data = s;
    return s;
}

struct stream *stream_accept(struct loop *l,
                             int fd,
                             const struct stream_options *options,
                             const struct stream_events *events,
                             void *user)
{
    struct stream *s = create(l, options, events, user);
    struct sockaddr_storage from = {0};
    socklen_t size = sizeof(from);
    char text[ADDRESS_TEXT_MAX];

    getpeername(fd, (struct sockaddr *)&from, &size);
    sockaddr_text(&from, text);
    s->peer = mem_strdup(text);
    open_stream(s, fd);
    return s;
}

static void on_dialled(void *user, int fd, const struct error *err)
{
    struct stream *s = user;

    s->dial = NULL;
    if (fd < 0) {
        stream_close(s, err);
        return;
    }
    open_stream(s, fd);
    s->events->opened(s->user);
}

struct stream *stream_connect(struct loop *l,
                              const struct address *to,
                              const struct stream_options *options,
                              const struct stream_events *events,
                              void *user)
{
    struct stream *s = create(l, options, events, user);

    s->peer = mem_strdup(to->text);
    s->dial =
        dial_start(l,
                   to,
                   options->connect_ms > 0 ? options->connect_ms : LIMIT_CONNECT_MS,
                   on_dialled,
                   s);
    return s;
}

/* ---- the death of the process ---- */

/* The kernel closes the descriptors of a dead process in ascending order, and hangs up the
 * sockets behind them when it has done so, the last one first (fs/file.c close_files(),
 * kernel/task_work.c, since Linux 4.3).  With 10,000 others that is half a second sooner. */
void stream_hang_up_first(struct stream *s)
{
    struct rlimit limit;
    uint64_t above;
    uv_os_fd_t fd;

    if (s->state != OPEN || s->high >= 0 ||
        uv_fileno((uv_handle_t *)&s->tcp, &fd) != 0 ||
        getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    above = limit.rlim_cur < HIGH_MAX ? limit.rlim_cur : HIGH_MAX;
    if (above <= 2 * HIGH_ROOM)
        return;
    s->high = fcntl(
        fd, F_DUPFD_CLOEXEC, (int)(above - HIGH_ROOM)); /* none: it is only late */
}

const char *stream_peer(const struct stream *s)
{
    return s->peer;
}
