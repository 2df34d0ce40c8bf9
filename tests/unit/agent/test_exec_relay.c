/* test_exec_relay.c - frames of a client and words of a session process; the test is both. */
#include "agent/exec_relay.h"

#include "agent/exec_session.h"
#include "net/server.h"
#include "tests/unit/net/net_test.h"
#include "wire/message_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST 7

static struct loop *loop;
static struct server *server;
static struct exec_relay *relay;
static int client;  /* the client's end */
static int process; /* the session process's end */
static bool gone;
static struct buffer in; /* what the client received and not looked at */

/* ---- the fixture ---- */

static void on_gone(void *user)
{
    (void)user;
    gone = true;
    relay = NULL;
}

static void on_hello(void *user, struct conn *c, const struct hello *hello)
{
    int ends[2];

    (void)user;
    (void)hello;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    process = ends[1];
    relay = exec_relay_create(loop, c, REQUEST, ends[0], on_gone, NULL);
}

static void on_frame(void *user, struct conn *c, struct bytes frame)
{
    (void)user;
    (void)c;
    ck_abort_msg("a frame of %zu bytes for nobody", frame.size);
}

static void on_closed(void *user, struct conn *c, const struct error *reason)
{
    (void)user;
    (void)c;
    (void)reason;
}

static const struct conn_events EVENTS = {
    .hello = on_hello,
    .frame = on_frame,
    .closed = on_closed,
};

static void setup(void)
{
    struct server_options options = {.listen = local_address(0)};
    struct hello hello = {.protocol = PROTOCOL_VERSION, .role = HELLO_CLIENT};
    struct buffer out = {0};
    struct error err;

    loop = loop_create();
    server = server_create(loop, &options, &EVENTS, NULL, &err);
    ck_assert_ptr_nonnull(server);
    client = raw_connect(server_port(server));
    hello_pack(&hello, &out);
    raw_send(client, out.data, out.size);
    buffer_finish(&out);
    wait_until(loop, relay != NULL);
}

static void teardown(void)
{
    server_destroy(server);
    exec_relay_destroy(relay);
    loop_destroy(loop);
    buffer_finish(&in);
    close(client);
    close(process);
}

/* ---- the session process ---- */

static bool try_say(uint32_t kind, uint32_t a, const void *bytes, size_t size)
{
    uint8_t message[EXEC_WORD_MAX];
    const struct exec_word word = {.kind = kind, .a = a};

    memcpy(message, &word, sizeof(word));
    memcpy(message + sizeof(word), bytes, size);
    return send(process, message, sizeof(word) + size, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

static void say(uint32_t kind, uint32_t a, const char *text)
{
    ck_assert(try_say(kind, a, text, strlen(text)));
}

static ssize_t heard(struct exec_word *word, uint8_t *bytes)
{
    uint8_t message[EXEC_WORD_MAX];
    ssize_t n = recv(process, message, sizeof(message), MSG_DONTWAIT);

    if (n < (ssize_t)sizeof(*word))
        return n;
    memcpy(word, message, sizeof(*word));
    memcpy(bytes, message + sizeof(*word), (size_t)n - sizeof(*word));
    return n - (ssize_t)sizeof(*word);
}

static void check_heard(uint32_t kind, uint32_t a, uint32_t b, const char *text)
{
    struct exec_word word = {0};
    uint8_t bytes[EXEC_WORD_MAX];
    ssize_t n = -1;

    wait_until(loop, (n = heard(&word, bytes)) >= 0);
    ck_assert_uint_eq(word.kind, kind);
    ck_assert_uint_eq(word.a, a);
    ck_assert_uint_eq(word.b, b);
    ck_assert_int_eq(n, (ssize_t)strlen(text));
    ck_assert_mem_eq(bytes, text, (size_t)n);
}

static bool is_hung_up(void)
{
    uint8_t byte;

    return recv(process, &byte, 1, MSG_DONTWAIT) == 0;
}

/* ---- the client ---- */

static void send_data(enum exec_stream stream, const char *text)
{
    struct exec_data data = {stream, {(const uint8_t *)text, strlen(text)}};
    struct buffer out = {0};

    exec_data_pack(&data, &out);
    raw_send(client, out.data, out.size);
    buffer_finish(&out);
}

/* The next frame but for hello; its bytes are valid until the next call. */
static void receive(struct rpc *rpc)
{
    static struct buffer frame;
    struct error err;
    int64_t size;

    do {
        while ((size = rpc_frame_size(buffer_view(&in), &err)) == 0) {
            loop_turn(loop);
            ck_assert(raw_read(client, &in) || in.size > 0);
        }
        ck_assert_int_gt(size, 0);
        buffer_clear(&frame);
        buffer_append(&frame, in.data, (size_t)size);
        buffer_consume(&in, (size_t)size);
        ck_assert_int_eq(
            rpc_unpack(rpc, (struct bytes){frame.data + 4, frame.size - 4}, &err), 0);
    } while (rpc->method == METHOD_HELLO);
}

static void check_refused(const char *why)
{
    struct rpc rpc;

    receive(&rpc);
    ck_assert_int_eq(rpc.type, RPC_RESPONSE);
    ck_assert_uint_eq(rpc.id, 0);
    ck_assert_ptr_nonnull(memmem(rpc.text.data, rpc.text.size, why, strlen(why)));
}

static void check_answered(void)
{
    struct rpc rpc;

    receive(&rpc);
    ck_assert_int_eq(rpc.type, RPC_RESPONSE);
    ck_assert_uint_eq(rpc.id, REQUEST);
    ck_assert_int_eq(rpc.code, ERROR_NONE);
}

static void check_exit(enum exec_end how, uint32_t code, const char *text)
{
    struct exec_exit end;
    struct rpc rpc;

    receive(&rpc);
    ck_assert_int_eq(rpc.method, METHOD_EXEC_EXIT);
    ck_assert_int_eq(exec_exit_unpack(&end, rpc.params, NULL), 0);
    ck_assert_int_eq(end.how, how);
    ck_assert_uint_eq(end.code, code);
    ck_assert_uint_eq(end.text.size, strlen(text));
    ck_assert_mem_eq(end.text.data, text, strlen(text));
}

/* ---- what passes ---- */

START_TEST(test_both_ways)
{
    struct exec_size size = {50, 132};
    struct exec_data data;
    struct buffer out = {0};
    struct rpc rpc;
    uint32_t credit;

    say(EXEC_WORD_STARTED, 0, "");
    check_answered();
    say(EXEC_WORD_OUTPUT, 2, "to stderr");
    receive(&rpc);
    ck_assert_int_eq(exec_data_unpack(&data, rpc.params, NULL), 0);
    ck_assert_int_eq(data.stream, EXEC_STDERR);
    ck_assert_uint_eq(data.bytes.size, 9);
    say(EXEC_WORD_CREDIT, 100, "");
    receive(&rpc);
    ck_assert_int_eq(exec_credit_unpack(&credit, rpc.params, NULL), 0);
    ck_assert_uint_eq(credit, 100);

    send_data(EXEC_STDIN, "keys");
    check_heard(EXEC_WORD_INPUT, 0, 0, "keys");
    exec_resize_pack(&size, &out);
    exec_credit_pack(9, &out);
    exec_close_input_pack(&out);
    raw_send(client, out.data, out.size);
    check_heard(EXEC_WORD_RESIZE, 50, 132, "");
    check_heard(EXEC_WORD_CREDIT, 9, 0, "");
    check_heard(EXEC_WORD_CLOSE_INPUT, 0, 0, "");
    buffer_finish(&out);
}
END_TEST

START_TEST(test_ping)
{
    struct buffer out = {0};
    struct rpc rpc;

    say(EXEC_WORD_STARTED, 0, "");
    check_answered();
    exec_ping_pack(&out);
    raw_send(client, out.data, out.size);
    receive(&rpc);
    ck_assert_int_eq(rpc.type, RPC_NOTIFY);
    ck_assert_int_eq(rpc.method, METHOD_EXEC_PING);
    buffer_finish(&out);
}
END_TEST

/* ---- ends ---- */

START_TEST(test_command_ended)
{
    struct buffer rest = {0};

    say(EXEC_WORD_STARTED, 0, "");
    say(EXEC_WORD_EXITED, 3, "");
    check_answered();
    check_exit(EXEC_EXITED, 3, "");
    raw_read_all(loop, client, &rest);
    ck_assert_uint_eq(rest.size, 0);
    buffer_finish(&rest);
    ck_assert(!gone);
    close(process);
    wait_until(loop, gone);
}
END_TEST

START_TEST(test_command_not_started)
{
    say(EXEC_WORD_NOT_STARTED, 127, "why");
    close(process);
    check_answered();
    check_exit(EXEC_NOT_STARTED, 127, "why");
    wait_until(loop, gone);
}
END_TEST

/* An unread word of ours is a broken connection to the kernel: what the process said before
 * counts. */
START_TEST(test_command_ended_without_reading)
{
    send_data(EXEC_STDIN, "never read");
    let_pass(loop, 5);
    say(EXEC_WORD_STARTED, 0, "");
    say(EXEC_WORD_SIGNALED, 15, "");
    close(process);
    check_answered();
    check_exit(EXEC_SIGNALED, 15, "");
    wait_until(loop, gone);
}
END_TEST

START_TEST(test_client_gone)
{
    close(client);
    wait_until(loop, is_hung_up());
    say(EXEC_WORD_OUTPUT, 1, "nobody");
    say(EXEC_WORD_EXITED, 0, "");
    let_pass(loop, 5);
    ck_assert(!gone); /* its place is taken until the process has ended */
    close(process);
    wait_until(loop, gone);
}
END_TEST

START_TEST(test_task_ended)
{
    struct error reason;

    say(EXEC_WORD_STARTED, 0, "");
    check_answered();
    error_set(&reason, ERROR_UNAVAILABLE, "the task has ended");
    exec_relay_end(relay, &reason);
    exec_relay_end(relay, &reason);
    check_refused("the task has ended");
    wait_until(loop, is_hung_up());
}
END_TEST

START_TEST(test_process_gone)
{
    say(EXEC_WORD_STARTED, 0, "");
    close(process);
    check_answered();
    check_refused("was killed");
    wait_until(loop, gone);
}
END_TEST

START_TEST(test_process_never_there)
{
    close(process);
    check_refused("did not start");
    wait_until(loop, gone);
}
END_TEST

/* ---- flow ---- */

START_TEST(test_more_input_than_credit)
{
    static char chunk[LIMIT_EXEC_CHUNK_BYTES + 1];

    memset(chunk, 'x', sizeof(chunk) - 1);
    for (size_t sent = 0; sent <= LIMIT_EXEC_WINDOW_BYTES; sent += sizeof(chunk) - 1)
        send_data(EXEC_STDIN, chunk);
    check_refused("more input than there is credit for");
}
END_TEST

/* A process that is stopped: the client is not read, and nothing is lost. */
START_TEST(test_process_that_does_not_read)
{
    enum { KEYS = 5000 };
    struct buffer out = {0};
    size_t sent = 0;

    for (int i = 0; i < KEYS; i++)
        exec_data_pack(&(struct exec_data){EXEC_STDIN, {(const uint8_t *)"k", 1}},
                       &out);
    while (sent < out.size) {
        ssize_t n = send(client, out.data + sent, out.size - sent, MSG_DONTWAIT);

        sent += n > 0 ? (size_t)n : 0;
        let_pass(loop, 1);
    }
    let_pass(loop, 20);
    for (int i = 0; i < KEYS; i++)
        check_heard(EXEC_WORD_INPUT, 0, 0, "k");
    buffer_finish(&out);
}
END_TEST

/* How many words the relay takes until it takes no more for a while. */
static size_t say_until_full(void)
{
    static const uint8_t chunk[LIMIT_EXEC_CHUNK_BYTES];
    size_t words = 0;

    for (int quiet = 0; quiet < 50; quiet++) {
        while (try_say(EXEC_WORD_OUTPUT, 1, chunk, sizeof(chunk))) {
            words++;
            quiet = 0;
            loop_turn(loop);
        }
        let_pass(loop, 2);
    }
    return words;
}

/* What waits is with the kernel, and little here; and it goes on. */
START_TEST(test_client_that_does_not_read)
{
    size_t words = say_until_full();
    struct exec_data data;
    struct rpc rpc;

    ck_assert_uint_lt(words * LIMIT_EXEC_CHUNK_BYTES, 64 * MIB);
    for (size_t i = 0; i < words; i++) {
        receive(&rpc);
        ck_assert_int_eq(exec_data_unpack(&data, rpc.params, NULL), 0);
        ck_assert_uint_eq(data.bytes.size, LIMIT_EXEC_CHUNK_BYTES);
    }
    say(EXEC_WORD_OUTPUT, 1, "more");
    receive(&rpc);
}
END_TEST

static TCase *relay_case(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    return c;
}

UNIT_MAIN("exec_relay",
          relay_case(net_case("passes", test_both_ways, test_ping)),
          relay_case(net_case("ends",
                              test_command_ended,
                              test_command_not_started,
                              test_command_ended_without_reading,
                              test_client_gone,
                              test_task_ended,
                              test_process_gone,
                              test_process_never_there)),
          relay_case(net_case("flow",
                              test_more_input_than_credit,
                              test_process_that_does_not_read,
                              test_client_that_does_not_read)))
