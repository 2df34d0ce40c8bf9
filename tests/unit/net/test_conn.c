/* test_conn.c - frames over connections, sessions of a server, and who breaks rules. */
#include "net_test.h"

#include "base/limits.h"
#include "net/server.h"
#include "wire/pack.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop *loop;
static struct server *server;
static struct server_options options;

/* What the server's owner saw. */
static struct {
    unsigned hellos, frames, closed;
    struct buffer bytes; /* of all frames */
    uint64_t newest;     /* session of the last hello */
    enum error_code reason;
    char text[ERROR_TEXT_MAX];
    void (*on_frame)(struct conn *c, struct bytes frame);
} seen;

static const struct hello HELLO = {.protocol = PROTOCOL_VERSION, .role = HELLO_CLIENT};

static void on_hello(void *user, struct conn *c, const struct hello *hello)
{
    (void)user;
    ck_assert_int_eq(hello->role, HELLO_CLIENT);
    seen.hellos++;
    seen.newest = conn_number(c);
    conn_hello(c, &HELLO);
}

static void on_frame(void *user, struct conn *c, struct bytes frame)
{
    (void)user;
    seen.frames++;
    buffer_append(&seen.bytes, frame.data, frame.size);
    if (seen.on_frame != NULL)
        seen.on_frame(c, frame);
}

static void on_closed(void *user, struct conn *c, const struct error *reason)
{
    (void)user;
    ck_assert_ptr_nonnull(conn_peer(c));
    ck_assert_ptr_null(server_find(server, conn_number(c)));
    seen.closed++;
    seen.reason = reason->code;
    memcpy(seen.text, reason->text, sizeof(seen.text));
}

static const struct conn_events EVENTS = {
    .hello = on_hello,
    .frame = on_frame,
    .closed = on_closed,
};

static void setup(void)
{
    memset(&seen, 0, sizeof(seen));
    loop = loop_create();
    options = (struct server_options){.listen = local_address(0)};
}

static void start(void)
{
    struct error err = {0};

    server = server_create(loop, &options, &EVENTS, NULL, &err);
    ck_assert_msg(server != NULL, "%s", err.text);
}

static void teardown(void)
{
    server_destroy(server);
    loop_destroy(loop);
    buffer_finish(&seen.bytes);
}

static void pack_note(struct buffer *out, const char *text)
{
    size_t at = rpc_begin_notify(out, METHOD_RAFT);

    pack_array(out, 1);
    pack_text(out, text);
    rpc_end(out, at);
}

static int greeted_client(void)
{
    struct buffer out = {0}, in = {0};
    unsigned before = seen.hellos;
    int fd = raw_connect(server_port(server));

    hello_pack(&HELLO, &out);
    raw_send(fd, out.data, out.size);
    wait_until(loop, seen.hellos == before + 1);
    raw_read_size(loop, fd, &in, out.size); /* our own hello, said back */
    ck_assert_mem_eq(in.data, out.data, out.size);
    buffer_finish(&in);
    buffer_finish(&out);
    return fd;
}

/* The error frame with which the server ends a connection. */
static enum error_code read_refusal(int fd, struct buffer *in)
{
    struct rpc rpc;
    int64_t size;

    raw_read_all(loop, fd, in);
    size = rpc_frame_size(buffer_view(in), NULL);
    ck_assert_int_gt(size, 4);
    ck_assert_int_eq(
        rpc_unpack(&rpc, (struct bytes){in->data + 4, (size_t)size - 4}, NULL), 0);
    ck_assert_int_eq(rpc.type, RPC_RESPONSE);
    ck_assert_uint_eq(rpc.id, 0);
    return rpc.code;
}

/* ---- frames ---- */

START_TEST(frames_may_be_split_anywhere)
{
    struct buffer out = {0}, all = {0};
    unsigned frames = 0;

    start();
    for (unsigned i = 0; i < 3; i++) {
        static const char *const texts[] = {"", "one", "a longer text in a frame"};
        size_t at = out.size;

        pack_note(&out, texts[i]);
        buffer_append(&all, out.data + at + 4, out.size - at - 4);
    }
    for (size_t cut = 1; cut < out.size; cut++) {
        int fd = greeted_client();

        buffer_clear(&seen.bytes);
        raw_send(fd, out.data, cut);
        let_pass(loop, 1);
        raw_send(fd, out.data + cut, out.size - cut);
        frames += 3;
        wait_until(loop, seen.frames == frames);
        ck_assert_uint_eq(seen.bytes.size, all.size);
        ck_assert_mem_eq(seen.bytes.data, all.data, all.size);
        close(fd);
    }
    wait_until(loop, seen.closed == out.size - 1);
    ck_assert_uint_eq(server_sessions(server), 0);
    buffer_finish(&out);
    buffer_finish(&all);
}
END_TEST

START_TEST(frames_may_come_byte_by_byte_with_hello)
{
    struct buffer out = {0};
    int fd;

    start();
    fd = raw_connect(server_port(server));
    hello_pack(&HELLO, &out);
    for (unsigned i = 0; i < 4; i++)
        pack_note(&out, "abc");
    for (size_t i = 0; i < out.size; i++) {
        raw_send(fd, out.data + i, 1);
        if (i % 3 == 0)
            let_pass(loop, 0);
    }
    wait_until(loop, seen.frames == 4);
    ck_assert_uint_eq(seen.hellos, 1);
    close(fd);
    buffer_finish(&out);
}
END_TEST

static void echo(struct conn *c, struct bytes frame)
{
    buffer_append_u32(conn_begin(c), (uint32_t)frame.size);
    conn_end(c);
    conn_send(c, frame);
}

START_TEST(the_largest_frame_passes)
{
    struct buffer out = {0}, in = {0}, text = {0};
    size_t at, sent = 0;
    int fd;

    start();
    seen.on_frame = echo;
    fd = greeted_client();
    buffer_reserve(&text, LIMIT_FRAME_BYTES);
    memset(text.data, 'z', LIMIT_FRAME_BYTES);
    at = rpc_begin_notify(&out, METHOD_RAFT);
    pack_array(&out, 1);
    pack_bytes(&out, (struct bytes){text.data, LIMIT_FRAME_BYTES - 13});
    rpc_end(&out, at);
    ck_assert_uint_eq(out.size, LIMIT_FRAME_BYTES + 4);
    while (in.size < out.size) {
        ssize_t n = send(fd, out.data + sent, out.size - sent, MSG_DONTWAIT);

        sent += n > 0 ? (size_t)n : 0;
        let_pass(loop, 1);
        ck_assert(raw_read(fd, &in));
    }
    ck_assert_mem_eq(in.data, out.data, out.size);
    ck_assert_uint_eq(seen.frames, 1);
    close(fd);
    buffer_finish(&out);
    buffer_finish(&in);
    buffer_finish(&text);
}
END_TEST

static void pause_session(struct conn *c, struct bytes frame)
{
    (void)frame;
    conn_pause(c);
}

START_TEST(a_paused_session_gets_no_frames)
{
    struct buffer out = {0};
    int fd;

    start();
    seen.on_frame = pause_session;
    fd = greeted_client();
    pack_note(&out, "1");
    pack_note(&out, "2");
    raw_send(fd, out.data, out.size);
    wait_until(loop, seen.frames == 1);
    let_pass(loop, 5);
    ck_assert_uint_eq(seen.frames, 1);
    conn_resume(server_find(server, seen.newest));
    wait_until(loop, seen.frames == 2);
    close(fd);
    buffer_finish(&out);
}
END_TEST

static void destroy_session(struct conn *c, struct bytes frame)
{
    (void)frame;
    conn_destroy(c);
    conn_destroy(c);
}

START_TEST(a_session_may_be_destroyed_by_its_frame)
{
    struct buffer out = {0}, in = {0};
    int fd;

    start();
    seen.on_frame = destroy_session;
    fd = greeted_client();
    pack_note(&out, "1");
    pack_note(&out, "2");
    raw_send(fd, out.data, out.size);
    wait_until(loop, seen.frames == 1);
    ck_assert_uint_eq(server_sessions(server), 0);
    raw_read_all(loop, fd, &in);
    ck_assert_uint_eq(seen.frames, 1);
    ck_assert_uint_eq(seen.closed, 0);
    close(fd);
    buffer_finish(&out);
    buffer_finish(&in);
}
END_TEST

static unsigned other_frames, other_closed;

static void other_frame(void *user, struct conn *c, struct bytes frame)
{
    (void)user;
    (void)c;
    (void)frame;
    other_frames++;
}

static void other_ended(void *user, struct conn *c, const struct error *reason)
{
    (void)user;
    (void)c;
    (void)reason;
    other_closed++;
}

static const struct conn_events OTHER = {.frame = other_frame, .closed = other_ended};

static void hand_over(struct conn *c, struct bytes frame)
{
    (void)frame;
    conn_hand_over(c, &OTHER, NULL);
}

START_TEST(a_session_may_be_handed_over_between_two_frames)
{
    struct buffer out = {0};
    int fd;

    other_frames = other_closed = 0;
    start();
    seen.on_frame = hand_over;
    fd = greeted_client();
    pack_note(&out, "1");
    pack_note(&out, "2");
    raw_send(fd, out.data, out.size);
    wait_until(loop, other_frames == 1);
    ck_assert_uint_eq(seen.frames, 1);
    ck_assert_uint_eq(server_sessions(server), 1);
    close(fd);
    wait_until(loop, other_closed == 1);
    ck_assert_uint_eq(seen.closed, 0);
    ck_assert_uint_eq(server_sessions(server), 0);
    buffer_finish(&out);
}
END_TEST

/* ---- who breaks the rules ---- */

/* Each gets an error frame with the code, and the owner is told the same. */
static void expect_refused(const void *bytes, size_t size, enum error_code code)
{
    struct buffer in = {0};
    int fd = raw_connect(server_port(server));
    unsigned before = seen.closed;

    raw_send(fd, bytes, size);
    ck_assert_int_eq(read_refusal(fd, &in), code);
    close(fd);
    wait_until(loop, seen.closed == before + 1);
    ck_assert_int_eq(seen.reason, code);
    ck_assert_uint_eq(seen.frames, 0);
    buffer_finish(&in);
}

START_TEST(garbage_is_refused)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    static const uint8_t no_hello_is_so_large[] = {1, 0x10, 0, 0};
    static const uint8_t empty[] = {0, 0, 0, 0};
    static const uint8_t not_an_array[] = {1, 0, 0, 0, 0xc0};
    static const uint8_t absurd_count[] = {5, 0, 0, 0, 0xdd, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t no_hello[] = {
        0x07, 0, 0, 0, 0x93, 2, 0xa3, 'a', 'b', 'c', 0x90};

    start();
    expect_refused(http, sizeof(http) - 1, ERROR_TOO_LARGE);
    expect_refused(no_hello_is_so_large, sizeof(no_hello_is_so_large), ERROR_TOO_LARGE);
    expect_refused(empty, sizeof(empty), ERROR_INVALID);
    expect_refused(not_an_array, sizeof(not_an_array), ERROR_INVALID);
    expect_refused(absurd_count, sizeof(absurd_count), ERROR_INVALID);
    expect_refused(no_hello, sizeof(no_hello), ERROR_INVALID);
    ck_assert_uint_eq(server_sessions(server), 0);
}
END_TEST

START_TEST(another_protocol_is_refused)
{
    struct hello hello = HELLO;
    struct buffer out = {0};

    start();
    hello.protocol = 99;
    hello_pack(&hello, &out);
    expect_refused(out.data, out.size, ERROR_VERSION);
    ck_assert(strstr(seen.text, "protocol 99") != NULL);
    buffer_finish(&out);
}
END_TEST

START_TEST(an_oversized_frame_after_hello_is_refused)
{
    static const uint8_t huge[] = {1, 0, 0x10, 0}; /* one byte more than a frame */
    struct buffer in = {0};
    int fd;

    start();
    fd = greeted_client();
    raw_send(fd, huge, sizeof(huge));
    ck_assert_int_eq(read_refusal(fd, &in), ERROR_TOO_LARGE);
    close(fd);
    wait_until(loop, seen.closed == 1);
    ck_assert_int_eq(seen.reason, ERROR_TOO_LARGE);
    buffer_finish(&in);
}
END_TEST

START_TEST(half_a_frame_is_no_frame)
{
    struct buffer out = {0};
    int fd;

    start();
    fd = greeted_client();
    pack_note(&out, "cut");
    raw_send(fd, out.data, out.size - 1);
    close(fd);
    wait_until(loop, seen.closed == 1);
    ck_assert_uint_eq(seen.frames, 0);
    ck_assert_int_eq(seen.reason, ERROR_UNAVAILABLE);
    buffer_finish(&out);
}
END_TEST

/* A crowd came at once, and we are late. */
START_TEST(who_said_hello_in_time_is_read)
{
    struct buffer out = {0};
    int fd;

    options.conn.hello_ms = 1;
    start();
    fd = raw_connect(server_port(server));
    hello_pack(&HELLO, &out);
    raw_send(fd, out.data, out.size);
    wait_until(loop, server_sessions(server) == 1);
    usleep(5000);
    wait_until(loop, seen.hellos == 1 || seen.closed == 1);
    ck_assert_uint_eq(seen.hellos, 1);
    buffer_finish(&out);
    close(fd);
}
END_TEST

START_TEST(who_does_not_say_hello_is_closed)
{
    struct buffer in = {0};
    int quiet, greeted;

    options.conn.hello_ms = 40;
    start();
    greeted = greeted_client();
    quiet = raw_connect(server_port(server));
    ck_assert_int_eq(read_refusal(quiet, &in), ERROR_TIMEOUT);
    close(quiet);
    wait_until(loop, seen.closed == 1);
    ck_assert_int_eq(seen.reason, ERROR_TIMEOUT);
    ck_assert_uint_eq(server_sessions(server), 1);
    close(greeted);
    buffer_finish(&in);
}
END_TEST

static void flood(struct conn *c, struct bytes frame)
{
    (void)frame;
    while (!conn_closing(c)) {
        pack_note(conn_begin(c), "more than the other side will ever read");
        conn_end(c);
    }
}

START_TEST(a_slow_reader_is_closed_at_the_limit)
{
    struct buffer out = {0};
    int fd;

    options.conn.out_bytes_max = 100 * KIB;
    start();
    seen.on_frame = flood;
    fd = greeted_client();
    pack_note(&out, "go");
    raw_send(fd, out.data, out.size);
    wait_until(loop, seen.closed == 1);
    ck_assert_int_eq(seen.reason, ERROR_BUSY);
    close(fd);
    buffer_finish(&out);
}
END_TEST

/* ---- sessions ---- */

START_TEST(numbers_are_never_used_again)
{
    uint64_t before = 0;

    start();
    for (unsigned i = 0; i < 20; i++) {
        int fd = greeted_client();

        ck_assert_uint_gt(seen.newest, before);
        before = seen.newest;
        ck_assert_uint_eq(conn_number(server_find(server, before)), before);
        close(fd);
        wait_until(loop, seen.closed == i + 1);
        ck_assert_ptr_null(server_find(server, before));
    }
}
END_TEST

START_TEST(the_newest_session_is_turned_away_at_the_limit)
{
    struct buffer in = {0};
    int a, b, late;

    options.sessions_max = 2;
    start();
    a = greeted_client();
    b = greeted_client();
    late = raw_connect(server_port(server));
    ck_assert_int_eq(read_refusal(late, &in), ERROR_BUSY);
    ck_assert_uint_eq(server_sessions(server), 2);
    close(late);
    close(a);
    wait_until(loop, seen.closed == 1);
    a = greeted_client();
    close(a);
    close(b);
    buffer_finish(&in);
}
END_TEST

/* Take every descriptor that is left, but for the first `spare`. */
static void use_up_descriptors(unsigned spare)
{
    struct rlimit limit;
    int fd;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    do
        fd = dup(0);
    while (fd >= 0 && (rlim_t)fd < limit.rlim_cur - 1 - spare);
}

/* In its own process, as all tests: the limit ends with it. */
START_TEST(without_descriptors_the_newest_is_told)
{
    struct buffer in = {0};
    int old, late[3];

    start();
    old = greeted_client();
    use_up_descriptors(3);
    for (unsigned i = 0; i < 3; i++)
        late[i] = raw_connect(server_port(server));
    for (unsigned i = 0; i < 3; i++) {
        buffer_clear(&in);
        ck_assert_int_eq(read_refusal(late[i], &in), ERROR_BUSY);
    }
    ck_assert_uint_eq(server_sessions(server), 1);
    for (unsigned i = 0; i < 3; i++)
        close(late[i]);
    close(greeted_client()); /* two descriptors are enough again */
    close(old);
    wait_until(loop, seen.closed == 2);
    buffer_finish(&in);
}
END_TEST

START_TEST(a_taken_port_is_an_error)
{
    struct server_options again;
    struct error err = {0};

    start();
    again = options;
    again.listen = local_address(server_port(server));
    ck_assert_ptr_null(server_create(loop, &again, &EVENTS, NULL, &err));
    ck_assert_int_eq(err.code, ERROR_IO);
    ck_assert_msg(
        strstr(err.text, "does another one run here?") != NULL, "%s", err.text);
}
END_TEST

int main(void)
{
    TCase *cases[] = {net_case("frames",
                               frames_may_be_split_anywhere,
                               frames_may_come_byte_by_byte_with_hello,
                               the_largest_frame_passes,
                               a_paused_session_gets_no_frames,
                               a_session_may_be_destroyed_by_its_frame,
                               a_session_may_be_handed_over_between_two_frames),
                      net_case("rules",
                               garbage_is_refused,
                               another_protocol_is_refused,
                               an_oversized_frame_after_hello_is_refused,
                               half_a_frame_is_no_frame,
                               who_said_hello_in_time_is_read,
                               who_does_not_say_hello_is_closed,
                               a_slow_reader_is_closed_at_the_limit),
                      net_case("sessions",
                               numbers_are_never_used_again,
                               the_newest_session_is_turned_away_at_the_limit,
                               without_descriptors_the_newest_is_told,
                               a_taken_port_is_an_error)};

    for (size_t i = 0; i < 3; i++)
        tcase_add_checked_fixture(cases[i], setup, teardown);
    return unit_run("conn", cases, 3);
}
