/* test_rpc.c - frames, the envelope, hello. */
#include "wire/rpc.h"

#include "base/limits.h"
#include "wire/pack.h"
#include "wire_test.h"

#include <signal.h>

static struct buffer out;
static struct rpc rpc;
static struct error err;

static void teardown(void)
{
    buffer_finish(&out);
}

/* The value of the only frame in `out`. */
static struct bytes frame(void)
{
    ck_assert_int_eq(rpc_frame_size(buffer_view(&out), &err), (int64_t)out.size);
    return (struct bytes){out.data + 4, out.size - 4};
}

static int unpack_literal(struct bytes bytes)
{
    return rpc_unpack(&rpc, bytes, &err);
}

START_TEST(test_method_names)
{
    ck_assert_str_eq(method_name(METHOD_HELLO), "hello");
    ck_assert_str_eq(method_name(METHOD_ACK), "ack");
    ck_assert_str_eq(method_name(METHOD_UNKNOWN), "unknown");
    ck_assert_str_eq(method_name((enum method)99), "unknown");
}
END_TEST

START_TEST(test_request)
{
    size_t at = rpc_begin_request(&out, UINT32_MAX, METHOD_SUBMIT);

    pack_array(&out, 1);
    pack_uint(&out, 5);
    rpc_end(&out, at);
    ck_assert_int_eq(unpack_literal(frame()), 0);
    ck_assert_int_eq(rpc.type, RPC_REQUEST);
    ck_assert_uint_eq(rpc.id, UINT32_MAX);
    ck_assert_int_eq(rpc.method, METHOD_SUBMIT);
    ck_assert_bytes_eq(rpc.method_text, LITERAL("submit"));
    ck_assert_bytes_eq(rpc.params, LITERAL("\x91\x05"));
    ck_assert_int_eq(rpc.code, ERROR_NONE);
}
END_TEST

START_TEST(test_notify)
{
    size_t at = rpc_begin_notify(&out, METHOD_HEARTBEAT);

    pack_array(&out, 0);
    rpc_end(&out, at);
    ck_assert_int_eq(unpack_literal(frame()), 0);
    ck_assert_int_eq(rpc.type, RPC_NOTIFY);
    ck_assert_int_eq(rpc.method, METHOD_HEARTBEAT);
    ck_assert_bytes_eq(rpc.params, LITERAL("\x90"));
}
END_TEST

START_TEST(test_result)
{
    size_t at = rpc_begin_result(&out, 7);

    pack_array(&out, 1);
    pack_bool(&out, true);
    rpc_end(&out, at);
    ck_assert_int_eq(unpack_literal(frame()), 0);
    ck_assert_int_eq(rpc.type, RPC_RESPONSE);
    ck_assert_uint_eq(rpc.id, 7);
    ck_assert_int_eq(rpc.code, ERROR_NONE);
    ck_assert_bytes_eq(rpc.params, LITERAL("\x91\xc3"));
}
END_TEST

START_TEST(test_error)
{
    rpc_error(&out, 7, ERROR_NOT_LEADER, "ask the leader", "192.0.2.1:5049");
    ck_assert_int_eq(unpack_literal(frame()), 0);
    ck_assert_int_eq(rpc.type, RPC_RESPONSE);
    ck_assert_uint_eq(rpc.id, 7);
    ck_assert_int_eq(rpc.code, ERROR_NOT_LEADER);
    ck_assert_bytes_eq(rpc.text, LITERAL("ask the leader"));
    ck_assert_bytes_eq(rpc.hint, LITERAL("192.0.2.1:5049"));
    ck_assert_uint_eq(rpc.params.size, 0);
    buffer_clear(&out);
    rpc_error(&out, 7, ERROR_BUSY, "full", NULL);
    ck_assert_int_eq(unpack_literal(frame()), 0);
    ck_assert_uint_eq(rpc.hint.size, 0);
}
END_TEST

START_TEST(test_error_of_newer_version)
{
    ck_assert_int_eq(unpack_literal(LITERAL("\x94\x01\x05\x93\xcc\xc8\xa1x\xa0\xc0")),
                     0);
    ck_assert_int_eq(rpc.code, ERROR_INTERNAL);
    ck_assert_bytes_eq(rpc.text, LITERAL("x"));
}
END_TEST

START_TEST(test_unknown_method)
{
    ck_assert_int_eq(unpack_literal(LITERAL("\x94\x00\x05\xa4"
                                            "help\x90")),
                     0);
    ck_assert_int_eq(rpc.method, METHOD_UNKNOWN);
    ck_assert_bytes_eq(rpc.method_text, LITERAL("help"));
    ck_assert_uint_eq(rpc.id, 5);
    /* The name of the number 0 is not a method. */
    ck_assert_int_eq(unpack_literal(LITERAL("\x93\x02\xa7unknown\x90")), 0);
    ck_assert_int_eq(rpc.method, METHOD_UNKNOWN);
}
END_TEST

static const struct bytes MALFORMED[] = {
    LITERAL(""),
    LITERAL("\x05"),
    LITERAL("\x94\x03\x05\xa4kill\x90"),                 /* no such type */
    LITERAL("\x94\x00\x05\xa4kill\x05"),                 /* params are no array */
    LITERAL("\x94\x00\x05\x05\x90"),                     /* the method is no text */
    LITERAL("\x94\x00\xff\xa4kill\x90"),                 /* a negative id */
    LITERAL("\x94\x00\xcf\0\0\0\1\0\0\0\0\xa4kill\x90"), /* an id of 33 bits */
    LITERAL("\x94\x01\x05\x93\x00\xa0\xa0\xc0"),         /* an error with code 0 */
    LITERAL("\x94\x01\x05\x05\xc0"),                     /* an error that is no array */
    LITERAL("\x94\x01\x05\xc0\x05"),                     /* a result that is no array */
    LITERAL("\x94\x00\x05\xa4kill\x90\xc0"),             /* more behind it */
    LITERAL("\x94\x00\x05\xa4kill\x91\x91\x91\x91\x91\x91\x91\x91\x01"), /* too deep */
};

START_TEST(test_malformed)
{
    ck_assert_error(unpack_literal(MALFORMED[_i]), err, ERROR_INVALID, "frame: ");
}
END_TEST

static int decode(struct bytes bytes, struct error *e)
{
    struct rpc r;

    return rpc_unpack(&r, bytes, e);
}

START_TEST(test_every_cut)
{
    size_t at = rpc_begin_request(&out, 70000, METHOD_TASKS);

    pack_array(&out, 2);
    pack_text(&out, "abc");
    pack_uint(&out, 70000);
    rpc_end(&out, at);
    check_every_cut(frame(), decode);
    buffer_clear(&out);
    rpc_error(&out, 1, ERROR_BUSY, "full", "host:1");
    check_every_cut(frame(), decode);
}
END_TEST

START_TEST(test_frame_size)
{
    uint8_t word[8] = {0};

    ck_assert_int_eq(rpc_frame_size((struct bytes){NULL, 0}, &err), 0);
    store_u32(word, 4);
    for (size_t size = 0; size < 8; size++)
        ck_assert_int_eq(rpc_frame_size((struct bytes){word, size}, &err), 0);
    ck_assert_int_eq(rpc_frame_size((struct bytes){word, 8}, &err), 8);
    store_u32(word, LIMIT_FRAME_BYTES);
    ck_assert_int_eq(rpc_frame_size((struct bytes){word, 8}, &err), 0);
    store_u32(word, LIMIT_FRAME_BYTES + 1);
    ck_assert_error((int)rpc_frame_size((struct bytes){word, 4}, &err),
                    err,
                    ERROR_TOO_LARGE,
                    "frame: 1048577 bytes; the most is 1048576");
    memcpy(word, "GET ", 4);
    ck_assert_error((int)rpc_frame_size((struct bytes){word, 4}, &err),
                    err,
                    ERROR_TOO_LARGE,
                    "is the other side a Triarch program?");
}
END_TEST

START_TEST(test_two_frames)
{
    int64_t first;

    rpc_error(&out, 1, ERROR_BUSY, "a", "");
    first = (int64_t)out.size;
    rpc_error(&out, 2, ERROR_BUSY, "bb", "");
    ck_assert_int_eq(rpc_frame_size(buffer_view(&out), &err), first);
    buffer_consume(&out, (size_t)first);
    ck_assert_int_eq(unpack_literal(frame()), 0);
    ck_assert_uint_eq(rpc.id, 2);
}
END_TEST

START_TEST(test_oversized_frame_is_a_bug)
{
    size_t at = rpc_begin_notify(&out, METHOD_RAFT);

    buffer_reserve(&out, LIMIT_FRAME_BYTES);
    out.size += LIMIT_FRAME_BYTES;
    rpc_end(&out, at);
}
END_TEST

/* ---- hello ---- */

static const struct hello HELLO = {
    .protocol = PROTOCOL_VERSION,
    .role = HELLO_MASTER,
    .cluster = LITERAL("0123456789abcdef"),
    .id = 3,
    .incarnation = UINT64_MAX,
    .version = LITERAL("0.1.0"),
    .cluster_hash = LITERAL("fedcba9876543210"),
    .founding = FOUNDING_MEMBER,
    .leads = true,
    .term = 9,
    .replicated = REPLICATED_VERSION,
};

static int decode_hello(struct bytes bytes, struct error *e)
{
    struct hello h;

    return hello_unpack(&h, bytes, e);
}

START_TEST(test_hello)
{
    struct hello h;

    hello_pack(&HELLO, &out);
    ck_assert_int_eq(unpack_literal(frame()), 0);
    ck_assert_int_eq(rpc.type, RPC_NOTIFY);
    ck_assert_int_eq(rpc.method, METHOD_HELLO);
    ck_assert_int_eq(hello_unpack(&h, rpc.params, &err), 0);
    ck_assert_uint_eq(h.protocol, PROTOCOL_VERSION);
    ck_assert_int_eq(h.role, HELLO_MASTER);
    ck_assert_bytes_eq(h.cluster, HELLO.cluster);
    ck_assert_uint_eq(h.id, 3);
    ck_assert_uint_eq(h.incarnation, UINT64_MAX);
    ck_assert_bytes_eq(h.version, HELLO.version);
    ck_assert_bytes_eq(h.cluster_hash, HELLO.cluster_hash);
    ck_assert_int_eq(h.founding, FOUNDING_MEMBER);
    ck_assert(h.leads);
    ck_assert_uint_eq(h.term, 9);
    ck_assert_uint_eq(h.replicated, REPLICATED_VERSION);
    check_every_cut(rpc.params, decode_hello);
}
END_TEST

/* What a client says of itself: no cluster, no id. */
START_TEST(test_short_hello)
{
    struct hello h;

    ck_assert_int_eq(hello_unpack(&h, LITERAL("\x92\x01\x03"), &err), 0);
    ck_assert_int_eq(h.role, HELLO_CLIENT);
    ck_assert_uint_eq(h.cluster.size, 0);
    ck_assert(!h.leads);
}
END_TEST

START_TEST(test_hello_rules)
{
    struct hello h;

    ck_assert_error(hello_unpack(&h, LITERAL("\x93\x02\x03\x04"), &err),
                    err,
                    ERROR_VERSION,
                    "speaks protocol 2, this version 1");
    ck_assert_error(
        hello_unpack(&h, LITERAL("\x91\x01"), &err), err, ERROR_INVALID, "role");
    ck_assert_error(
        hello_unpack(&h, LITERAL("\x92\x01\x05"), &err), err, ERROR_INVALID, "large");
    ck_assert_error(hello_unpack(&h, LITERAL("\x93\x01\x03\xc4\x01x"), &err),
                    err,
                    ERROR_INVALID,
                    "a cluster id is not 16 bytes");
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("rpc");

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, test_method_names);
    tcase_add_test(t, test_request);
    tcase_add_test(t, test_notify);
    tcase_add_test(t, test_result);
    tcase_add_test(t, test_error);
    tcase_add_test(t, test_error_of_newer_version);
    tcase_add_test(t, test_unknown_method);
    tcase_add_loop_test(t, test_malformed, 0, COUNT(MALFORMED));
    tcase_add_test(t, test_every_cut);
    tcase_add_test(t, test_frame_size);
    tcase_add_test(t, test_two_frames);
    tcase_add_test_raise_signal(t, test_oversized_frame_is_a_bug, SIGABRT);
    tcase_add_test(t, test_hello);
    tcase_add_test(t, test_short_hello);
    tcase_add_test(t, test_hello_rules);
    return unit_run("rpc", &t, 1);
}
