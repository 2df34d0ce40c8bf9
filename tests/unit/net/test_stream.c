/* test_stream.c - bytes over one connection: gathering, limits, back-pressure, ends. */
#include "net_test.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/listener.h"
#include "net/stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* One end of a connection, and what happened to it. */
struct end {
    struct stream *stream;
    struct buffer in;
    size_t consume; /* at most so many bytes of each delivery */
    unsigned opened, deliveries, drained, closed;
    enum error_code reason;
    void (*on_received)(struct end *e);
};

static struct loop *loop;
static struct listener *listener;
static struct end server, client;
static struct stream_options options;

static void on_opened(void *user)
{
    ((struct end *)user)->opened++;
}

static size_t on_received(void *user, struct bytes bytes)
{
    struct end *e = user;
    size_t n = bytes.size < e->consume ? bytes.size : e->consume;

    e->deliveries++;
    buffer_append(&e->in, bytes.data, n);
    if (e->on_received != NULL)
        e->on_received(e);
    return n;
}

static void on_drained(void *user)
{
    ((struct end *)user)->drained++;
}

static void on_closed(void *user, const struct error *reason)
{
    struct end *e = user;

    e->stream = NULL;
    e->closed++;
    e->reason = reason->code;
}

static const struct stream_events EVENTS = {
    .opened = on_opened,
    .received = on_received,
    .drained = on_drained,
    .closed = on_closed,
};

static int accepted_option(int fd, int level, int name)
{
    int value = 0;
    socklen_t size = sizeof(value);

    ck_assert_int_eq(getsockopt(fd, level, name, &value, &size), 0);
    return value;
}

static void on_accepted(void *user, int fd)
{
    (void)user;
    /* Of the listening socket: HTTP and RPC have them without doing anything. */
    ck_assert_int_eq(accepted_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    ck_assert_int_eq(accepted_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    ck_assert_int_eq(accepted_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT),
                     LIMIT_UNACKNOWLEDGED_MS);
    server.stream = stream_accept(loop, fd, &options, &EVENTS, &server);
}

static const struct listener_events LISTENER_EVENTS = {.accepted = on_accepted};

static void setup(void)
{
    struct address any = local_address(0);

    loop = loop_create();
    listener = listener_create(loop, &any, &LISTENER_EVENTS, NULL, NULL);
    server = client = (struct end){.consume = SIZE_MAX};
    options = (struct stream_options){0};
}

static void teardown(void)
{
    listener_destroy(listener);
    stream_destroy(server.stream);
    stream_destroy(client.stream);
    loop_destroy(loop);
    buffer_finish(&server.in);
    buffer_finish(&client.in);
}

static void connect_ends(void)
{
    struct address to = local_address(listener_port(listener));

    client.stream = stream_connect(loop, &to, &options, &EVENTS, &client);
    wait_until(loop, client.opened && server.stream != NULL);
}

static void send_text(struct end *e, const char *text)
{
    stream_send(e->stream, (struct bytes){(const uint8_t *)text, strlen(text)});
}

START_TEST(what_is_sent_arrives)
{
    struct buffer moved = {0};

    connect_ends();
    send_text(&client, "one");
    buffer_append_text(stream_begin(client.stream), " two");
    stream_end(client.stream);
    buffer_append_text(&moved, " three");
    stream_take(client.stream, &moved);
    ck_assert_ptr_null(moved.data);
    send_text(&client, " four");
    wait_until(loop, server.in.size == strlen("one two three four"));
    ck_assert_mem_eq(server.in.data, "one two three four", server.in.size);
    wait_until(loop, client.drained);
    ck_assert_uint_eq(client.drained, 1);
    ck_assert_uint_eq(stream_queued(client.stream), 0);
    send_text(&server, "back");
    wait_until(loop, client.in.size == 4);
}
END_TEST

START_TEST(one_turn_is_one_write)
{
    uint64_t before;

    connect_ends();
    before = loop_counters(loop)->writes;
    for (unsigned i = 0; i < 1000; i++)
        send_text(&client, "0123456789");
    wait_until(loop, server.in.size == 10000);
    ck_assert_uint_eq(loop_counters(loop)->writes - before, 1);
    ck_assert_uint_eq(loop_counters(loop)->bytes_out, 10000);
}
END_TEST

START_TEST(what_is_sent_while_connecting_waits)
{
    struct address to = local_address(listener_port(listener));

    client.stream = stream_connect(loop, &to, &options, &EVENTS, &client);
    send_text(&client, "early");
    wait_until(loop, server.in.size == 5);
    ck_assert_uint_eq(client.opened, 1);
}
END_TEST

START_TEST(what_is_not_consumed_is_shown_again)
{
    connect_ends();
    server.consume = 3;
    send_text(&client, "abcdefgh");
    wait_until(loop, server.in.size == 3);
    send_text(&client, "i");
    wait_until(loop, server.in.size == 6);
    server.consume = SIZE_MAX;
    send_text(&client, "j");
    wait_until(loop, server.in.size == 10);
    ck_assert_mem_eq(server.in.data, "abcdefghij", 10);
}
END_TEST

static void pause_reading(struct end *e)
{
    stream_pause(e->stream);
}

START_TEST(a_paused_stream_does_not_read)
{
    struct buffer big = {0};

    connect_ends();
    server.consume = 2;
    server.on_received = pause_reading;
    send_text(&client, "abcd");
    wait_until(loop, server.deliveries == 1);
    buffer_reserve(&big, 8 * MIB);
    memset(big.data, 'x', big.size = 8 * MIB);
    stream_take(client.stream, &big);
    let_pass(loop, 20);
    ck_assert_uint_eq(server.deliveries, 1);
    ck_assert_uint_gt(stream_queued(client.stream), 0);
    server.consume = SIZE_MAX;
    server.on_received = NULL;
    stream_resume(server.stream);
    wait_until(loop, server.in.size == 8 * MIB + 4);
    ck_assert_mem_eq(server.in.data, "abcdxxxx", 8);
    wait_until(loop, client.drained);
}
END_TEST

static uint64_t last_turn;
static size_t shown; /* bytes in that turn */

static void count_turn(struct end *e)
{
    uint64_t turn = loop_counters(loop)->turns;

    shown = turn == last_turn ? shown + e->in.size : e->in.size;
    last_turn = turn;
    buffer_clear(&e->in);
    ck_assert_uint_le(shown, 64 * KIB);
}

/* Whoever sends faster than its bytes are dealt with leaves time for the others. */
START_TEST(one_turn_reads_a_little_of_each)
{
    struct buffer big = {0};
    uint64_t before;

    connect_ends();
    server.on_received = count_turn;
    stream_pause(server.stream);
    buffer_reserve(&big, 8 * MIB);
    memset(big.data, 'x', big.size = 8 * MIB);
    stream_take(client.stream, &big);
    let_pass(loop, 20);
    before = loop_counters(loop)->bytes_in;
    stream_resume(server.stream);
    wait_until(loop, loop_counters(loop)->bytes_in - before == 8 * MIB);
}
END_TEST

START_TEST(a_peer_that_does_not_read_is_closed_at_the_limit)
{
    options.out_bytes_max = 1 * MIB;
    connect_ends();
    stream_pause(server.stream);
    while (client.stream != NULL && !stream_closing(client.stream)) {
        struct buffer b = {0};

        buffer_reserve(&b, 256 * KIB);
        memset(b.data, 0, b.size = 256 * KIB);
        stream_take(client.stream, &b);
        let_pass(loop, 1);
    }
    wait_until(loop, client.closed);
    ck_assert_int_eq(client.reason, ERROR_BUSY);
    ck_assert_uint_eq(client.closed, 1);
    stream_resume(server.stream);
    wait_until(loop, server.closed);
    ck_assert_int_eq(server.reason, ERROR_UNAVAILABLE);
}
END_TEST

START_TEST(finish_sends_everything_first)
{
    struct buffer big = {0};

    connect_ends();
    buffer_reserve(&big, 4 * MIB);
    memset(big.data, 'y', big.size = 4 * MIB);
    stream_take(client.stream, &big);
    stream_finish(client.stream, NULL);
    send_text(&client, "never");
    wait_until(loop, client.closed && server.closed);
    ck_assert_uint_eq(server.in.size, 4 * MIB);
    ck_assert_int_eq(client.reason, ERROR_NONE);
    ck_assert_int_eq(server.reason, ERROR_UNAVAILABLE);
}
END_TEST

START_TEST(finish_does_not_wait_for_ever)
{
    int fd = raw_connect(listener_port(listener));

    wait_until(loop, server.stream != NULL);
    send_text(&server, "last words");
    stream_finish(server.stream, &(struct error){.code = ERROR_INVALID});
    wait_until(loop, server.closed);
    ck_assert_int_eq(server.reason, ERROR_INVALID);
    close(fd);
}
END_TEST

START_TEST(close_tells_once_and_later)
{
    connect_ends();
    stream_close(client.stream, &(struct error){.code = ERROR_CORRUPT});
    stream_close(client.stream, &(struct error){.code = ERROR_INVALID});
    stream_finish(client.stream, NULL);
    send_text(&client, "never");
    ck_assert_uint_eq(client.closed, 0);
    wait_until(loop, client.closed && server.closed);
    ck_assert_uint_eq(client.closed, 1);
    ck_assert_int_eq(client.reason, ERROR_CORRUPT);
    ck_assert_uint_eq(server.in.size, 0);
}
END_TEST

static void destroy_self(struct end *e)
{
    stream_destroy(e->stream);
    e->stream = NULL;
}

START_TEST(destroy_inside_a_callback_is_silent)
{
    connect_ends();
    server.on_received = destroy_self;
    server.consume = 1;
    send_text(&client, "abc");
    wait_until(loop, client.closed);
    ck_assert_uint_eq(server.deliveries, 1);
    ck_assert_uint_eq(server.closed, 0);
}
END_TEST

START_TEST(a_refused_connection_is_told_at_once)
{
    struct address to = local_address(unused_port());
    uint64_t began = loop_now_ms();

    client.stream = stream_connect(loop, &to, &options, &EVENTS, &client);
    wait_until(loop, client.closed);
    ck_assert_int_eq(client.reason, ERROR_UNAVAILABLE);
    ck_assert_uint_lt(loop_now_ms() - began, LIMIT_CONNECT_MS);
}
END_TEST

#define BACKLOG 8

/* Nobody accepts at `at`, and the kernel drops what is more than its queue. */
static void fill_backlog(int listening, struct sockaddr_in *at, int fds[BACKLOG])
{
    socklen_t size = sizeof(*at);

    ck_assert_int_eq(bind(listening, (struct sockaddr *)at, sizeof(*at)), 0);
    ck_assert_int_eq(listen(listening, 0), 0);
    ck_assert_int_eq(getsockname(listening, (struct sockaddr *)at, &size), 0);
    for (unsigned i = 0; i < BACKLOG; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fds[i], (struct sockaddr *)at, sizeof(*at));
    }
}

static void empty_backlog(int listening, int fds[BACKLOG])
{
    for (unsigned i = 0; i < BACKLOG; i++)
        close(fds[i]);
    close(listening);
}

START_TEST(no_answer_ends_at_the_limit)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fds[BACKLOG], listening = socket(AF_INET, SOCK_STREAM, 0);
    struct address to;

    fill_backlog(listening, &at, fds);
    to = local_address(ntohs(at.sin_port));
    options.connect_ms = 50;
    client.stream = stream_connect(loop, &to, &options, &EVENTS, &client);
    wait_until(loop, client.closed);
    ck_assert_int_eq(client.reason, ERROR_TIMEOUT);
    ck_assert_uint_eq(client.opened, 0);
    empty_backlog(listening, fds);
}
END_TEST

/* A reset: what the kernel sends when the other process had not read everything. */
START_TEST(a_reset_is_told)
{
    struct linger at_once = {.l_onoff = 1};
    int fd = raw_connect(listener_port(listener));

    wait_until(loop, server.stream != NULL);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
    if (_i == 1)
        send_text(&server, "into the void");
    wait_until(loop, server.closed);
    ck_assert_int_eq(server.reason, ERROR_UNAVAILABLE);
    ck_assert_uint_eq(server.closed, 1);
}
END_TEST

/* ---- names ---- */

/* The resolver of this program: "two.test" is 127.0.0.2, where nobody listens, and then
 * 127.0.0.1. */
int getaddrinfo(const char *name,
                const char *service,
                const struct addrinfo *hints,
                struct addrinfo **found)
{
    *found = NULL;
    ck_assert_ptr_null(service);
    ck_assert_int_eq(hints->ai_socktype, SOCK_STREAM);
    if (strcmp(name, "two.test") != 0)
        return EAI_NONAME;
    for (uint32_t last = 1; last <= 2; last++) {
        struct addrinfo *a = mem_zalloc(sizeof(*a) + sizeof(struct sockaddr_in));
        struct sockaddr_in *in = (struct sockaddr_in *)(a + 1);

        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl(0x7f000000 + last);
        a->ai_family = AF_INET;
        a->ai_addr = (struct sockaddr *)in;
        a->ai_addrlen = sizeof(*in);
        a->ai_next = *found;
        *found = a;
    }
    return 0;
}

void freeaddrinfo(struct addrinfo *a)
{
    while (a != NULL) {
        struct addrinfo *next = a->ai_next;

        mem_free(a);
        a = next;
    }
}

static void connect_by_name(const char *name)
{
    struct address to = local_address(listener_port(listener));

    strcpy(to.host, name);
    client.stream = stream_connect(loop, &to, &options, &EVENTS, &client);
}

START_TEST(every_address_of_a_name_is_tried)
{
    connect_by_name("two.test");
    wait_until(loop, client.opened || client.closed);
    ck_assert_uint_eq(client.opened, 1);
    wait_until(loop, server.stream != NULL);
    send_text(&client, "here");
    wait_until(loop, server.in.size == 4);
}
END_TEST

START_TEST(the_last_address_of_a_name_gives_the_reason)
{
    listener_destroy(listener);
    listener = listener_create(
        loop, &(struct address){.host = "127.0.0.3"}, &LISTENER_EVENTS, NULL, NULL);
    connect_by_name("two.test");
    wait_until(loop, client.closed);
    ck_assert_int_eq(client.reason, ERROR_UNAVAILABLE);
    ck_assert_uint_eq(client.opened, 0);
}
END_TEST

/* The first address takes no part in a handshake: it must not use up the time of both. */
START_TEST(an_address_without_an_answer_leaves_time_for_the_next)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(0x7f000002),
                             .sin_port = htons(listener_port(listener))};
    int fds[BACKLOG], listening = socket(AF_INET, SOCK_STREAM, 0);

    fill_backlog(listening, &at, fds);
    options.connect_ms = 400;
    connect_by_name("two.test");
    wait_until(loop, client.opened || client.closed);
    ck_assert_uint_eq(client.opened, 1);
    empty_backlog(listening, fds);
}
END_TEST

START_TEST(an_unknown_name_is_told)
{
    connect_by_name("none.test");
    wait_until(loop, client.closed);
    ck_assert_int_eq(client.reason, ERROR_UNAVAILABLE);
}
END_TEST

START_TEST(listening_on_an_unknown_name_is_an_error)
{
    struct address at = {.host = "none.test", .text = "none.test:1", .port = 1};
    struct error err = {0};

    ck_assert_ptr_null(listener_create(loop, &at, &LISTENER_EVENTS, NULL, &err));
    ck_assert_int_eq(err.code, ERROR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(err.text, "listen on none.test:1: look up none.test"));
}
END_TEST

START_TEST(listening_on_a_name)
{
    listener_destroy(listener);
    listener = listener_create(
        loop, &(struct address){.host = "two.test"}, &LISTENER_EVENTS, NULL, NULL);
    ck_assert_ptr_nonnull(listener);
    connect_by_name("two.test");
    wait_until(loop, client.opened && server.stream != NULL);
}
END_TEST

/* Between two addresses there is no socket. */
START_TEST(destroy_between_two_addresses)
{
    for (unsigned turns = 1; turns < 8; turns++) {
        client.opened = 0;
        connect_by_name("two.test");
        for (unsigned i = 0; i < turns; i++)
            loop_turn(loop);
        stream_destroy(client.stream);
    }
    client.stream = NULL;
    let_pass(loop, 5);
    ck_assert_uint_eq(client.closed, 0);
}
END_TEST

START_TEST(destroy_while_connecting_is_silent)
{
    struct address to = local_address(listener_port(listener));

    client.stream = stream_connect(loop, &to, &options, &EVENTS, &client);
    stream_destroy(client.stream);
    client.stream = stream_connect(loop, &to, &options, &EVENTS, &client);
    loop_turn(loop);
    stream_destroy(client.stream);
    connect_by_name("two.test"); /* the lookup runs on its thread */
    stream_destroy(client.stream);
    client.stream = NULL;
    client.opened = 0;
    let_pass(loop, 5);
    ck_assert_uint_eq(client.opened + client.closed, 0);
}
END_TEST

/* Many enough that the kernel is still at work on them when we hear of the first. */
#define OTHERS 3000
#define OURS   100 /* descriptors */

/* How many of them we may have. */
static unsigned allow_others(void)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_gt(limit.rlim_cur, 2 * OURS);
    return limit.rlim_cur < OTHERS + OURS ? (unsigned)limit.rlim_cur - OURS : OTHERS;
}

/* A process whose first connection is to hang up first, with others after it. */
static void die_with_many(uint16_t port, unsigned others, int ready)
{
    struct address to = local_address(port);

    loop = loop_create();
    client.stream = stream_connect(loop, &to, &options, &EVENTS, &client);
    wait_until(loop, client.opened);
    stream_hang_up_first(client.stream);
    for (unsigned i = 0; i < others; i++)
        raw_connect(port);
    ck_assert_int_eq(write(ready, "", 1), 1);
    for (;;)
        pause();
}

static bool has_hung_up(int fd, int flags)
{
    char byte;

    return recv(fd, &byte, 1, flags) <= 0 && errno != EAGAIN;
}

START_TEST(one_hangs_up_first_at_death)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int listening = socket(AF_INET, SOCK_STREAM, 0), ready[2];
    int accepted[OTHERS + 1];
    unsigned others = allow_others();
    char byte;
    pid_t pid;

    ck_assert_int_eq(bind(listening, (struct sockaddr *)&at, size), 0);
    ck_assert_int_eq(listen(listening, OTHERS + 1), 0);
    ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&at, &size), 0);
    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (pid == 0)
        die_with_many(ntohs(at.sin_port), others, ready[1]);
    for (unsigned i = 0; i <= others; i++) {
        accepted[i] = accept(listening, NULL, NULL);
        ck_assert_int_ge(accepted[i], 0);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    errno = 0;
    ck_assert(has_hung_up(accepted[others], 0)); /* the first of the others */
    ck_assert(has_hung_up(accepted[0], MSG_DONTWAIT));
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    for (unsigned i = 0; i <= others; i++)
        close(accepted[i]);
    close(listening);
    close(ready[0]);
    close(ready[1]);
}
END_TEST

START_TEST(what_hangs_up_first_ends_as_others)
{
    connect_ends();
    stream_hang_up_first(client.stream);
    stream_hang_up_first(client.stream);
    send_text(&client, "last");
    stream_close(server.stream, NULL);
    wait_until(loop, server.closed && client.closed);
    connect_ends();
    stream_hang_up_first(client.stream);
    stream_destroy(client.stream);
    client.stream = NULL;
    wait_until(loop, server.closed == 2);
}
END_TEST

int main(void)
{
    TCase *c = net_case("stream",
                        what_is_sent_arrives,
                        one_turn_is_one_write,
                        what_is_sent_while_connecting_waits,
                        what_is_not_consumed_is_shown_again,
                        a_paused_stream_does_not_read,
                        one_turn_reads_a_little_of_each,
                        a_peer_that_does_not_read_is_closed_at_the_limit,
                        finish_sends_everything_first,
                        finish_does_not_wait_for_ever,
                        close_tells_once_and_later,
                        destroy_inside_a_callback_is_silent,
                        a_refused_connection_is_told_at_once,
                        no_answer_ends_at_the_limit,
                        every_address_of_a_name_is_tried,
                        the_last_address_of_a_name_gives_the_reason,
                        an_address_without_an_answer_leaves_time_for_the_next,
                        an_unknown_name_is_told,
                        listening_on_an_unknown_name_is_an_error,
                        listening_on_a_name,
                        destroy_between_two_addresses,
                        destroy_while_connecting_is_silent,
                        one_hangs_up_first_at_death,
                        what_hangs_up_first_ends_as_others);

    tcase_add_loop_test(c, a_reset_is_told, 0, 2);
    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("stream", &c, 1);
}
