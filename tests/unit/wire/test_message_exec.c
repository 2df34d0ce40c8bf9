/* test_message_exec.c - what a client and an agent say while a command runs in a task. */
#include "wire/message_exec.h"

#include "base/limits.h"
#include "wire/pack.h"
#include "wire_test.h"

static struct buffer out;
static struct error err;
static struct rpc rpc; /* envelope of the last params() */

#define params(type, method) frame_params(buffer_view(&out), type, method, &rpc)

static void setup(void)
{
    out = (struct buffer){0};
}

static void teardown(void)
{
    buffer_finish(&out);
}

/* ---- the request ---- */

static int decode_exec(struct bytes bytes, struct error *e)
{
    struct exec_request r;
    int rc = exec_unpack(&r, bytes, e);

    if (rc == 0)
        exec_request_finish(&r);
    return rc;
}

START_TEST(test_exec)
{
    struct bytes argv[] = {LITERAL("sh"), LITERAL("-c"), LITERAL("\xff\xfe")};
    struct bytes env[] = {LITERAL("TERM=xterm")};
    struct exec_request r = {.attempt = 1ull << 40,
                             .flags = EXEC_TERMINAL | EXEC_INPUT,
                             .size = {24, 65535},
                             .argv = argv,
                             .argc = 3,
                             .env = env,
                             .envc = 1};
    struct exec_request got;

    exec_pack(&r, 9, &out);
    ck_assert_done(exec_unpack(&got, params(RPC_REQUEST, METHOD_EXEC), &err), err);
    ck_assert_uint_eq(rpc.id, 9);
    ck_assert_uint_eq(got.attempt, r.attempt);
    ck_assert_uint_eq(got.flags, r.flags);
    ck_assert_uint_eq(got.size.rows, 24);
    ck_assert_uint_eq(got.size.columns, 65535);
    ck_assert_uint_eq(got.argc, 3);
    ck_assert_bytes_eq(got.argv[2], argv[2]);
    ck_assert_uint_eq(got.envc, 1);
    ck_assert_bytes_eq(got.env[0], env[0]);
    exec_request_finish(&got);
    check_every_cut(rpc.params, decode_exec);
}
END_TEST

static void
pack_request(const struct bytes *argv, size_t argc, struct bytes env, unsigned flags)
{
    struct exec_request r = {
        .attempt = 1, .flags = flags, .argv = argv, .argc = argc, .env = &env};

    r.envc = env.size > 0;
    buffer_clear(&out);
    exec_pack(&r, 1, &out);
}

START_TEST(test_requests_that_break_rules)
{
    static char big[LIMIT_ARGV_ENV_BYTES - 4];
    static struct bytes many[LIMIT_ARGS + 1];
    const struct {
        struct bytes argv[2];
        size_t argc;
        struct bytes env;
        unsigned flags;
        const char *why;
    } cases[] = {
        {{{0}}, 0, {0}, 0, "the command is missing"},
        {{LITERAL("a\0b")}, 1, {0}, 0, "zero byte"},
        {{LITERAL("a")}, 1, LITERAL("TERM"), 0, "not NAME=VALUE"},
        {{LITERAL("a")}, 1, LITERAL("=x"), 0, "not NAME=VALUE"},
        {{LITERAL("a")}, 1, {0}, 4, "exec: "},
        {{LITERAL("a"), {(uint8_t *)big, sizeof(big)}}, 2, LITERAL("A=b"), 0, "64 KiB"},
    };

    memset(big, 'x', sizeof(big));
    for (int i = 0; i < COUNT(cases); i++) {
        pack_request(cases[i].argv, cases[i].argc, cases[i].env, cases[i].flags);
        ck_assert_error(decode_exec(params(RPC_REQUEST, METHOD_EXEC), &err),
                        err,
                        ERROR_INVALID,
                        cases[i].why);
    }
    for (size_t i = 0; i < LIMIT_ARGS + 1; i++)
        many[i] = LITERAL("");
    pack_request(many, LIMIT_ARGS + 1, (struct bytes){0}, 0);
    ck_assert_error(decode_exec(params(RPC_REQUEST, METHOD_EXEC), &err),
                    err,
                    ERROR_INVALID,
                    "4096");
    pack_request(many, LIMIT_ARGS, (struct bytes){0}, 0);
    ck_assert_done(decode_exec(params(RPC_REQUEST, METHOD_EXEC), &err), err);
}
END_TEST

/* ---- notifies ---- */

static int decode_data(struct bytes bytes, struct error *e)
{
    struct exec_data d;

    return exec_data_unpack(&d, bytes, e);
}

START_TEST(test_data)
{
    static uint8_t big[LIMIT_EXEC_CHUNK_BYTES + 1];
    struct exec_data d = {EXEC_STDERR, LITERAL("a\0b")}, got;
    size_t begin;

    exec_data_pack(&d, &out);
    ck_assert_done(exec_data_unpack(&got, params(RPC_NOTIFY, METHOD_EXEC_DATA), &err),
                   err);
    ck_assert_int_eq(got.stream, EXEC_STDERR);
    ck_assert_bytes_eq(got.bytes, d.bytes);
    check_every_cut(rpc.params, decode_data);

    buffer_clear(&out);
    d.bytes = (struct bytes){big, LIMIT_EXEC_CHUNK_BYTES};
    exec_data_pack(&d, &out);
    ck_assert_done(decode_data(params(RPC_NOTIFY, METHOD_EXEC_DATA), &err), err);

    buffer_clear(&out);
    begin = rpc_begin_notify(&out, METHOD_EXEC_DATA);
    pack_array(&out, 2);
    pack_uint(&out, EXEC_STDIN);
    pack_bytes(&out, (struct bytes){big, sizeof(big)});
    rpc_end(&out, begin);
    ck_assert_int_lt(decode_data(params(RPC_NOTIFY, METHOD_EXEC_DATA), &err), 0);
}
END_TEST

static int decode_credit(struct bytes bytes, struct error *e)
{
    uint32_t credit;

    return exec_credit_unpack(&credit, bytes, e);
}

START_TEST(test_credit)
{
    uint32_t credit;

    exec_credit_pack(LIMIT_EXEC_WINDOW_BYTES, &out);
    ck_assert_done(
        exec_credit_unpack(&credit, params(RPC_NOTIFY, METHOD_EXEC_CREDIT), &err), err);
    ck_assert_uint_eq(credit, LIMIT_EXEC_WINDOW_BYTES);
    check_every_cut(rpc.params, decode_credit);

    buffer_clear(&out);
    exec_credit_pack(LIMIT_EXEC_WINDOW_BYTES + 1, &out);
    ck_assert_int_lt(decode_credit(params(RPC_NOTIFY, METHOD_EXEC_CREDIT), &err), 0);
}
END_TEST

static int decode_resize(struct bytes bytes, struct error *e)
{
    struct exec_size size;

    return exec_resize_unpack(&size, bytes, e);
}

START_TEST(test_resize)
{
    struct exec_size size = {50, 132}, got;

    exec_resize_pack(&size, &out);
    ck_assert_done(
        exec_resize_unpack(&got, params(RPC_NOTIFY, METHOD_EXEC_RESIZE), &err), err);
    ck_assert_uint_eq(got.rows, 50);
    ck_assert_uint_eq(got.columns, 132);
    check_every_cut(rpc.params, decode_resize);
}
END_TEST

static int decode_exit(struct bytes bytes, struct error *e)
{
    struct exec_exit end;

    return exec_exit_unpack(&end, bytes, e);
}

START_TEST(test_exit)
{
    struct exec_exit end = {EXEC_NOT_STARTED, 127, LITERAL("exec \"\xff\"")}, got;

    exec_exit_pack(&end, &out);
    ck_assert_done(exec_exit_unpack(&got, params(RPC_NOTIFY, METHOD_EXEC_EXIT), &err),
                   err);
    ck_assert_int_eq(got.how, EXEC_NOT_STARTED);
    ck_assert_uint_eq(got.code, 127);
    ck_assert_bytes_eq(got.text, end.text);
    check_every_cut(rpc.params, decode_exit);

    buffer_clear(&out);
    end.how = 0;
    exec_exit_pack(&end, &out);
    ck_assert_error(decode_exit(params(RPC_NOTIFY, METHOD_EXEC_EXIT), &err),
                    err,
                    ERROR_INVALID,
                    "how the command ended");
}
END_TEST

START_TEST(test_what_has_no_params)
{
    exec_result_pack(3, &out);
    ck_assert_uint_eq(params(RPC_RESPONSE, METHOD_UNKNOWN).size, 1);
    ck_assert_uint_eq(rpc.id, 3);
    buffer_clear(&out);
    exec_close_input_pack(&out);
    ck_assert_uint_eq(params(RPC_NOTIFY, METHOD_EXEC_CLOSE_INPUT).size, 1);
}
END_TEST

int main(void)
{
    TCase *t = unit_case("message_exec",
                         test_exec,
                         test_requests_that_break_rules,
                         test_data,
                         test_credit,
                         test_resize,
                         test_exit,
                         test_what_has_no_params);

    tcase_add_checked_fixture(t, setup, teardown);
    return unit_run("message_exec", &t, 1);
}
