/* exec_relay.c - the agent's part of one session.
 *
 * The connection and the session process end at different times.  Whoever is first, the
 * other is told and left to end: a connection is given to nobody (FAREWELL) while its last
 * words are sent, and the process's end is waited for, because only then its place is free.
 */
#include "agent/exec_relay.h"

#include "agent/exec_session.h"
#include "base/mem.h"
#include "wire/message_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORDS_AT_ONCE 16 /* then others have their turn */

struct exec_relay {
    struct conn *conn; /* NULL: gone, or saying its last words */
    uint32_t request;
    bool answered;
    size_t room; /* bytes of input that the client may send */
    int socket;
    int socket_out; /* the same: the loop takes one watch for each descriptor */
    struct watch *readable, *writable;
    struct buffer word; /* that the socket did not take yet; empty: none */
    void (*gone)(void *user);
    void *user;
};

/* ---- the end ---- */

static void ignore_closed(void *user, struct conn *c, const struct error *reason)
{
    (void)user;
    (void)c;
    (void)reason;
}

static void ignore_frame(void *user, struct conn *c, struct bytes frame)
{
    (void)user;
    (void)c;
    (void)frame;
}

static const struct conn_events FAREWELL = {
    .frame = ignore_frame,
    .closed = ignore_closed,
};

/* The session process sees the end of its socket, and ends. */
static void end_process(struct exec_relay *r)
{
    buffer_clear(&r->word);
    watch_pause(r->writable);
    watch_resume(r->readable);
    shutdown(r->socket, SHUT_WR);
}

/* reason: NULL if all was said. */
static void part_from_client(struct exec_relay *r, const struct error *reason)
{
    struct conn *c = r->conn;

    if (c == NULL)
        return;
    r->conn = NULL;
    conn_hand_over(c, &FAREWELL, NULL);
    if (reason != NULL)
        conn_refuse(c, reason);
    else
        conn_finish(c, NULL);
    end_process(r);
}

void exec_relay_end(struct exec_relay *r, const struct error *reason)
{
    part_from_client(r, reason);
}

static void release(struct exec_relay *r)
{
    watch_destroy(r->readable);
    watch_destroy(r->writable);
    close(r->socket);
    close(r->socket_out);
    buffer_finish(&r->word);
    mem_free(r);
}

void exec_relay_destroy(struct exec_relay *r)
{
    if (r == NULL)
        return;
    conn_destroy(r->conn);
    release(r);
}

static void on_process_gone(struct exec_relay *r)
{
    void (*gone)(void *user) = r->gone;
    void *user = r->user;
    struct error reason;

    error_set(&reason,
              ERROR_IO,
              r->answered
                  ? "the process that carries the command's bytes was killed"
                  : "the process that carries the command's bytes did not start; "
                    "the agent's log may say why");
    part_from_client(r, &reason);
    release(r);
    gone(user);
}

/* ---- to the session process ---- */

static void wait_writable(struct exec_relay *r, const void *bytes, size_t size)
{
    buffer_append(&r->word, bytes, size);
    conn_pause(r->conn);
    watch_resume(r->writable);
}

/* One that is gone is seen when reading. */
static bool would_wait(ssize_t sent)
{
    return sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS);
}

static void say(struct exec_relay *r, struct exec_word word, struct bytes bytes)
{
    uint8_t message[EXEC_WORD_MAX];
    size_t size = sizeof(word) + bytes.size;

    memcpy(message, &word, sizeof(word));
    if (bytes.size > 0)
        memcpy(message + sizeof(word), bytes.data, bytes.size);
    if (would_wait(send(r->socket, message, size, MSG_DONTWAIT | MSG_NOSIGNAL)))
        wait_writable(r, message, size);
}

static void on_writable(void *user)
{
    struct exec_relay *r = user;

    if (r->word.size > 0 &&
        would_wait(
            send(r->socket, r->word.data, r->word.size, MSG_DONTWAIT | MSG_NOSIGNAL)))
        return;
    buffer_finish(&r->word);
    watch_pause(r->writable);
    if (r->conn != NULL)
        conn_resume(r->conn);
}

/* ---- from the client ---- */

static int take_data(struct exec_relay *r, struct bytes params, struct error *err)
{
    struct exec_data data;
    int rc = exec_data_unpack(&data, params, err);

    if (rc != 0)
        return rc;
    if (data.stream != EXEC_STDIN)
        return error_set(err, ERROR_INVALID, "exec_data: a client sends stream 0 only");
    if (data.bytes.size > r->room)
        return error_set(
            err, ERROR_INVALID, "exec_data: more input than there is credit for");
    r->room -= data.bytes.size;
    say(r, (struct exec_word){.kind = EXEC_WORD_INPUT}, data.bytes);
    return 0;
}

static int take_credit(struct exec_relay *r, struct bytes params, struct error *err)
{
    uint32_t credit;
    int rc = exec_credit_unpack(&credit, params, err);

    if (rc == 0)
        say(r,
            (struct exec_word){.kind = EXEC_WORD_CREDIT, .a = credit},
            (struct bytes){0});
    return rc;
}

static int take_size(struct exec_relay *r, struct bytes params, struct error *err)
{
    struct exec_size size;
    int rc = exec_resize_unpack(&size, params, err);

    if (rc == 0)
        say(r,
            (struct exec_word){
                .kind = EXEC_WORD_RESIZE, .a = size.rows, .b = size.columns},
            (struct bytes){0});
    return rc;
}

static int take_frame(struct exec_relay *r, struct bytes frame, struct error *err)
{
    struct rpc rpc;
    int rc = rpc_unpack(&rpc, frame, err);

    if (rc != 0)
        return rc;
    if (rpc.type == RPC_REQUEST)
        return error_set(err, ERROR_INVALID, "a connection has one request, exec");
    switch (rpc.method) {
    case METHOD_EXEC_DATA:
        return take_data(r, rpc.params, err);
    case METHOD_EXEC_CREDIT:
        return take_credit(r, rpc.params, err);
    case METHOD_EXEC_RESIZE:
        return take_size(r, rpc.params, err);
    case METHOD_EXEC_CLOSE_INPUT:
        say(r, (struct exec_word){.kind = EXEC_WORD_CLOSE_INPUT}, (struct bytes){0});
        return 0;
    case METHOD_EXEC_PING:
        exec_ping_pack(conn_begin(r->conn));
        conn_end(r->conn);
        return 0;
    default:
        return 0; /* a newer version knows it */
    }
}

static void on_frame(void *user, struct conn *c, struct bytes frame)
{
    struct exec_relay *r = user;
    struct error err;

    (void)c;
    if (take_frame(r, frame, &err) != 0)
        part_from_client(r, &err);
}

static void on_drained(void *user, struct conn *c)
{
    struct exec_relay *r = user;

    (void)c;
    watch_resume(r->readable);
}

static void on_closed(void *user, struct conn *c, const struct error *reason)
{
    struct exec_relay *r = user;

    (void)c;
    (void)reason;
    r->conn = NULL;
    end_process(r);
}

/* The listener is destroyed: so will this be, and then the connection is gone. */
static void on_orphaned(void *user, struct conn *c)
{
    struct exec_relay *r = user;

    r->conn = NULL;
    conn_destroy(c);
}

static const struct conn_events EVENTS = {
    .frame = on_frame,
    .drained = on_drained,
    .closed = on_closed,
    .orphaned = on_orphaned,
};

/* ---- from the session process ---- */

static void answer(struct exec_relay *r)
{
    if (r->answered)
        return;
    r->answered = true;
    exec_result_pack(r->request, conn_begin(r->conn));
    conn_end(r->conn);
}

static void tell_output(struct exec_relay *r, uint32_t stream, struct bytes bytes)
{
    struct exec_data data = {.stream = (enum exec_stream)stream, .bytes = bytes};

    exec_data_pack(&data, conn_begin(r->conn));
    conn_end(r->conn);
    if (conn_queued(r->conn) > LIMIT_EXEC_WINDOW_BYTES)
        watch_pause(r->readable);
}

static void
tell_end(struct exec_relay *r, const struct exec_word *word, struct bytes why)
{
    static const enum exec_end ends[] = {
        [EXEC_WORD_EXITED] = EXEC_EXITED,
        [EXEC_WORD_SIGNALED] = EXEC_SIGNALED,
        [EXEC_WORD_NOT_STARTED] = EXEC_NOT_STARTED,
    };
    struct exec_exit end = {.how = ends[word->kind], .code = word->a, .text = why};

    answer(r);
    exec_exit_pack(&end, conn_begin(r->conn));
    conn_end(r->conn);
    part_from_client(r, NULL);
}

static void
take_word(struct exec_relay *r, const struct exec_word *word, struct bytes bytes)
{
    switch (word->kind) {
    case EXEC_WORD_STARTED:
        answer(r);
        break;
    case EXEC_WORD_OUTPUT:
        tell_output(r, word->a, bytes);
        break;
    case EXEC_WORD_CREDIT:
        r->room += word->a;
        exec_credit_pack(word->a, conn_begin(r->conn));
        conn_end(r->conn);
        break;
    case EXEC_WORD_EXITED:
    case EXEC_WORD_SIGNALED:
    case EXEC_WORD_NOT_STARTED:
        tell_end(r, word, bytes);
        break;
    }
}

/* False: nothing is there now.  An error of the socket (the process ended before it read all of
 * ours) stands before what it said last. */
static bool read_word(struct exec_relay *r)
{
    uint8_t message[EXEC_WORD_MAX];
    ssize_t n = recv(r->socket, message, sizeof(message), MSG_DONTWAIT);
    struct exec_word word;

    if (n < 0)
        return errno == EINTR || errno == ECONNRESET;
    if (n < (ssize_t)sizeof(word)) {
        on_process_gone(r);
        return false;
    }
    memcpy(&word, message, sizeof(word));
    if (r->conn != NULL)
        take_word(
            r, &word, (struct bytes){message + sizeof(word), (size_t)n - sizeof(word)});
    return true;
}

static void on_readable(void *user)
{
    for (int i = 0; i < WORDS_AT_ONCE && read_word(user); i++)
        continue;
}

/* ---- the beginning ---- */

struct exec_relay *exec_relay_create(struct loop *l,
                                     struct conn *c,
                                     uint32_t request,
                                     int socket,
                                     void (*gone)(void *user),
                                     void *user)
{
    struct exec_relay *r = mem_zalloc(sizeof(*r));

    r->conn = c;
    r->request = request;
    r->room = LIMIT_EXEC_WINDOW_BYTES;
    r->socket = socket;
    r->socket_out = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    r->gone = gone;
    r->user = user;
    r->readable = watch_create(l, r->socket, on_readable, r);
    r->writable = watch_create_writable(l, r->socket_out, on_writable, r);
    watch_pause(r->writable);
    conn_hand_over(c, &EVENTS, r);
    return r;
}
