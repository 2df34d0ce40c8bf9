/* message_exec.c - what a client and an agent say while a command runs inside a task. */
#include "wire/message_exec.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/pack.h"

#include <string.h>

/* ---- exec ---- */

static void pack_texts(struct buffer *out, const struct bytes *texts, size_t count)
{
    pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        pack_bytes(out, texts[i]);
}

void exec_pack(const struct exec_request *r, uint32_t id, struct buffer *out)
{
    size_t begin = rpc_begin_request(out, id, METHOD_EXEC);

    pack_array(out, 6);
    pack_uint(out, r->attempt);
    pack_texts(out, r->argv, r->argc);
    pack_uint(out, r->flags);
    pack_uint(out, r->size.rows);
    pack_uint(out, r->size.columns);
    pack_texts(out, r->env, r->envc);
    rpc_end(out, begin);
}

/* Command lines are bytes, but without a zero inside. */
static struct bytes read_text(struct unpack *u, size_t *total)
{
    struct bytes text = unpack_bytes(u, LIMIT_ARGV_ENV_BYTES);

    if (text.size > 0 && memchr(text.data, 0, text.size) != NULL)
        unpack_fail(u, "an argument or variable has a zero byte inside");
    *total += text.size + 1;
    if (*total > LIMIT_ARGV_ENV_BYTES)
        unpack_fail(u, "command line and environment have more than 64 KiB");
    return text;
}

/* The list is the caller's to free, also after an error. */
static struct bytes *read_texts(struct unpack *u, size_t *count, size_t *total)
{
    struct bytes *texts;

    *count = unpack_enter(u);
    if (*count > LIMIT_ARGS) {
        unpack_fail(u, "more than 4096 arguments or variables");
        *count = 0;
    }
    texts = mem_zalloc((*count + 1) * sizeof(*texts));
    for (size_t i = 0; i < *count; i++)
        texts[i] = read_text(u, total);
    unpack_leave(u);
    return texts;
}

static void check_variables(const struct exec_request *r, struct unpack *u)
{
    for (size_t i = 0; i < r->envc && unpack_ok(u); i++) {
        const uint8_t *equals = memchr(r->env[i].data, '=', r->env[i].size);

        if (equals == NULL || equals == r->env[i].data)
            unpack_fail(u, "a variable is not NAME=VALUE");
    }
}

int exec_unpack(struct exec_request *out, struct bytes params, struct error *err)
{
    size_t total = 0;
    struct unpack u;
    int rc;

    memset(out, 0, sizeof(*out));
    unpack_init(&u, params);
    unpack_enter(&u);
    out->attempt = unpack_uint(&u);
    out->argv = read_texts(&u, &out->argc, &total);
    out->flags = (unsigned)unpack_uint_max(&u, EXEC_TERMINAL | EXEC_INPUT);
    out->size.rows = (uint16_t)unpack_uint_max(&u, UINT16_MAX);
    out->size.columns = (uint16_t)unpack_uint_max(&u, UINT16_MAX);
    out->env = read_texts(&u, &out->envc, &total);
    check_variables(out, &u);
    if (out->argc == 0)
        unpack_fail(&u, "the command is missing");
    unpack_leave(&u);
    rc = unpack_finish(&u, "exec", err);
    if (rc != 0)
        exec_request_finish(out);
    return rc;
}

void exec_request_finish(struct exec_request *r)
{
    mem_free((void *)(uintptr_t)r->argv);
    mem_free((void *)(uintptr_t)r->env);
    memset(r, 0, sizeof(*r));
}

void exec_result_pack(uint32_t id, struct buffer *out)
{
    size_t begin = rpc_begin_result(out, id);

    pack_array(out, 0);
    rpc_end(out, begin);
}

/* ---- bytes ---- */

void exec_data_pack(const struct exec_data *d, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_EXEC_DATA);

    ASSERT(d->bytes.size <= LIMIT_EXEC_CHUNK_BYTES);
    pack_array(out, 2);
    pack_uint(out, d->stream);
    pack_bytes(out, d->bytes);
    rpc_end(out, begin);
}

int exec_data_unpack(struct exec_data *out, struct bytes params, struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    out->stream = (enum exec_stream)unpack_uint_max(&u, EXEC_STDERR);
    out->bytes = unpack_bytes(&u, LIMIT_EXEC_CHUNK_BYTES);
    unpack_leave(&u);
    return unpack_finish(&u, "exec_data", err);
}

void exec_credit_pack(uint32_t bytes, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_EXEC_CREDIT);

    pack_array(out, 1);
    pack_uint(out, bytes);
    rpc_end(out, begin);
}

int exec_credit_unpack(uint32_t *bytes, struct bytes params, struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    *bytes = (uint32_t)unpack_uint_max(&u, LIMIT_EXEC_WINDOW_BYTES);
    unpack_leave(&u);
    return unpack_finish(&u, "exec_credit", err);
}

/* ---- the terminal and the end ---- */

void exec_resize_pack(const struct exec_size *size, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_EXEC_RESIZE);

    pack_array(out, 2);
    pack_uint(out, size->rows);
    pack_uint(out, size->columns);
    rpc_end(out, begin);
}

int exec_resize_unpack(struct exec_size *out, struct bytes params, struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    out->rows = (uint16_t)unpack_uint_max(&u, UINT16_MAX);
    out->columns = (uint16_t)unpack_uint_max(&u, UINT16_MAX);
    unpack_leave(&u);
    return unpack_finish(&u, "exec_resize", err);
}

static void pack_word(enum method method, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, method);

    pack_array(out, 0);
    rpc_end(out, begin);
}

void exec_close_input_pack(struct buffer *out)
{
    pack_word(METHOD_EXEC_CLOSE_INPUT, out);
}

void exec_ping_pack(struct buffer *out)
{
    pack_word(METHOD_EXEC_PING, out);
}

void exec_exit_pack(const struct exec_exit *e, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_EXEC_EXIT);

    ASSERT(e->text.size <= LIMIT_MESSAGE_BYTES);
    pack_array(out, 3);
    pack_uint(out, e->how);
    pack_uint(out, e->code);
    pack_bytes(out, e->text);
    rpc_end(out, begin);
}

int exec_exit_unpack(struct exec_exit *out, struct bytes params, struct error *err)
{
    struct unpack u;

    unpack_init(&u, params);
    unpack_enter(&u);
    out->how = (enum exec_end)unpack_uint_max(&u, EXEC_NOT_STARTED);
    if (out->how == 0)
        unpack_fail(&u, "it does not say how the command ended");
    out->code = (uint32_t)unpack_uint_max(&u, UINT8_MAX);
    out->text = unpack_bytes(&u, LIMIT_MESSAGE_BYTES);
    unpack_leave(&u);
    return unpack_finish(&u, "exec_exit", err);
}
