/* test_link.c - a lasting connection: down is told at once, and it comes back. */
#include "net_test.h"

#include "net/link.h"
#include "net/server.h"
#include "wire/pack.h"

#include <string.h>

static struct loop *loop;
static struct server *server;
static struct link *k;
static struct address address;

static struct {
    unsigned up, down, failed, frames;
    struct error reason;
    uint64_t up_ms, down_ms;
} seen;

static enum error_code server_refuses; /* every hello with this */
static unsigned server_hellos;

static const struct hello HELLO = {.protocol = PROTOCOL_VERSION, .role = HELLO_MASTER};

/* ---- the server's side ---- */

static void server_hello(void *user, struct conn *c, const struct hello *hello)
{
    struct error reason;

    (void)user;
    ck_assert_uint_eq(hello->incarnation, 7);
    server_hellos++;
    if (server_refuses != ERROR_NONE) {
        error_set(&reason, server_refuses, "not you");
        conn_refuse(c, &reason);
        return;
    }
    conn_hello(c, &HELLO);
}

static void server_frame(void *user, struct conn *c, struct bytes frame)
{
    (void)user;
    buffer_append_u32(conn_begin(c), (uint32_t)frame.size);
    conn_end(c);
    conn_send(c, frame);
}

static void server_closed(void *user, struct conn *c, const struct error *reason)
{
    (void)user;
    (void)c;
    (void)reason;
}

static const struct conn_events SERVER_EVENTS = {
    .hello = server_hello,
    .frame = server_frame,
    .closed = server_closed,
};

static void start_server(void)
{
    struct server_options options = {.listen = address};

    server = server_create(loop, &options, &SERVER_EVENTS, NULL, NULL);
    ck_assert_ptr_nonnull(server);
    address = local_address(server_port(server));
}

static void stop_server(void)
{
    server_destroy(server);
    server = NULL;
}

/* ---- the link's side ---- */

static void greet(void *user, struct hello *hello)
{
    (void)user;
    hello->role = HELLO_CLIENT;
    hello->incarnation = 7;
}

static void on_up(void *user, const struct hello *hello)
{
    (void)user;
    ck_assert_int_eq(hello->role, HELLO_MASTER);
    ck_assert_ptr_nonnull(link_conn(k));
    seen.up++;
    seen.up_ms = loop_now_ms();
}

static void on_frame(void *user, struct bytes frame)
{
    (void)user;
    ck_assert_uint_gt(frame.size, 0);
    seen.frames++;
}

static void on_down(void *user, const struct error *reason)
{
    (void)user;
    ck_assert_ptr_null(link_conn(k));
    seen.down++;
    seen.down_ms = loop_now_ms();
    seen.reason = *reason;
}

static void on_failed(void *user, const struct error *reason)
{
    (void)user;
    seen.failed++;
    seen.reason = *reason;
}

static const struct link_events EVENTS = {
    .greet = greet,
    .up = on_up,
    .frame = on_frame,
    .down = on_down,
    .failed = on_failed,
};

static void setup(void)
{
    memset(&seen, 0, sizeof(seen));
    server_refuses = ERROR_NONE;
    server_hellos = 0;
    loop = loop_create();
    address = local_address(0);
}

static void start_link(void)
{
    struct conn_options options = {0};

    k = link_create(loop, &address, &options, &EVENTS, NULL);
}

static void teardown(void)
{
    link_destroy(k);
    server_destroy(server);
    loop_destroy(loop);
}

START_TEST(a_link_comes_up_and_carries_frames)
{
    start_server();
    start_link();
    wait_until(loop, seen.up);
    for (unsigned i = 0; i < 10; i++) {
        struct buffer *out = conn_begin(link_conn(k));
        size_t at = rpc_begin_request(out, i + 1, METHOD_JOBS);

        pack_array(out, 0);
        rpc_end(out, at);
        conn_end(link_conn(k));
    }
    wait_until(loop, seen.frames == 10);
    ck_assert_uint_eq(seen.down + seen.failed, 0);
}
END_TEST

START_TEST(it_comes_back_when_the_server_does)
{
    start_server();
    start_link();
    for (unsigned i = 1; i <= 3; i++) {
        wait_until(loop, seen.up == i);
        stop_server();
        wait_until(loop, seen.down == i);
        ck_assert_int_eq(seen.reason.code, ERROR_UNAVAILABLE);
        wait_until(loop, seen.failed >= i); /* refused: told each time */
        ck_assert_int_eq(seen.reason.code, ERROR_UNAVAILABLE);
        start_server();
    }
    wait_until(loop, seen.up == 4);
}
END_TEST

START_TEST(retry_does_not_wait)
{
    address = local_address(unused_port());
    start_link();
    wait_until(loop, seen.failed == 6); /* by now it waits for half a second */
    start_server();
    link_retry(k);
    link_retry(k);
    wait_until(loop, seen.up);
    ck_assert_uint_eq(seen.failed, 6);
}
END_TEST

START_TEST(drop_begins_again_at_once)
{
    start_server();
    start_link();
    wait_until(loop, seen.up == 1);
    link_drop(k, &(struct error){.code = ERROR_TIMEOUT});
    ck_assert_uint_eq(seen.down, 0);
    wait_until(loop, seen.up == 2);
    ck_assert_uint_eq(seen.down, 1);
    ck_assert_int_eq(seen.reason.code, ERROR_TIMEOUT);
    ck_assert_uint_eq(seen.failed, 0);
}
END_TEST

START_TEST(the_reason_of_a_refusal_arrives)
{
    start_server();
    server_refuses = ERROR_WRONG_CLUSTER;
    start_link();
    wait_until(loop, seen.failed == 1);
    ck_assert_int_eq(seen.reason.code, ERROR_WRONG_CLUSTER);
    ck_assert_msg(
        strstr(seen.reason.text, "says: not you") != NULL, "%s", seen.reason.text);
    let_pass(loop, 100); /* it comes back slowly */
    ck_assert_uint_eq(server_hellos, 1);
    server_refuses = ERROR_NONE;
    wait_until(loop, seen.up == 1);
}
END_TEST

START_TEST(refuse_tells_the_other_side)
{
    start_server();
    start_link();
    wait_until(loop, seen.up == 1);
    link_refuse(k, &(struct error){.code = ERROR_CONFLICT, .text = "you are not 2"});
    wait_until(loop, seen.down == 1);
    ck_assert_int_eq(seen.reason.code, ERROR_CONFLICT);
    wait_until(loop, server_sessions(server) == 0);
}
END_TEST

static void plain_up(void *user, const struct hello *hello)
{
    struct hello ours = {
        .protocol = PROTOCOL_VERSION, .role = HELLO_AGENT, .incarnation = 7};

    (void)user;
    ck_assert_ptr_null(hello);
    seen.up++;
    conn_hello(link_conn(k), &ours);
}

static void plain_frame(void *user, struct bytes frame)
{
    struct hello hello;
    struct rpc rpc;

    (void)user;
    ck_assert_int_eq(rpc_unpack(&rpc, frame, NULL), 0);
    ck_assert_int_eq(rpc.method, METHOD_HELLO);
    ck_assert_int_eq(hello_unpack(&hello, rpc.params, NULL), 0);
    ck_assert_int_eq(hello.role, HELLO_MASTER);
    seen.frames++;
}

START_TEST(without_greet_hello_is_a_frame)
{
    struct link_events events = EVENTS;
    struct conn_options options = {.hello_ms = 50};

    events.greet = NULL;
    events.up = plain_up;
    events.frame = plain_frame;
    start_server();
    k = link_create(loop, &address, &options, &events, NULL);
    wait_until(loop, seen.frames == 1);
    let_pass(loop, 100); /* it counts as hello */
    ck_assert_uint_eq(seen.up, 1);
    ck_assert_uint_eq(seen.down, 0);
}
END_TEST

static void destroy_link(void *user, const struct error *reason)
{
    (void)user;
    (void)reason;
    link_destroy(k);
    k = NULL;
    seen.down++;
}

START_TEST(a_link_may_be_destroyed_in_its_callback)
{
    struct link_events events = EVENTS;
    struct conn_options options = {0};

    events.down = destroy_link;
    start_server();
    k = link_create(loop, &address, &options, &events, NULL);
    wait_until(loop, seen.up == 1);
    stop_server();
    wait_until(loop, seen.down == 1);
    let_pass(loop, 5);
    ck_assert_uint_eq(seen.failed, 0);
}
END_TEST

int main(void)
{
    TCase *c = net_case("link",
                        a_link_comes_up_and_carries_frames,
                        it_comes_back_when_the_server_does,
                        retry_does_not_wait,
                        drop_begins_again_at_once,
                        the_reason_of_a_refusal_arrives,
                        refuse_tells_the_other_side,
                        without_greet_hello_is_a_frame,
                        a_link_may_be_destroyed_in_its_callback);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("link", &c, 1);
}
