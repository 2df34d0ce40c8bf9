/* rpc.c - frames, the envelope of every message, and hello. */
#include "wire/rpc.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/text.h"
#include "wire/command.h"
#include "wire/pack.h"

#include <string.h>

#define SIZE_WORD         4
#define METHOD_BYTES_MAX  64 /* of a name that we may not know */
#define VERSION_BYTES_MAX 64
#define ADDRESS_BYTES_MAX LIMIT_NAME_BYTES

static const char *const METHOD_NAMES[] = {[METHOD_UNKNOWN] = "unknown",
#define X(name, text) [METHOD_##name] = text,
                                           METHODS(X)
#undef X
};

#define METHOD_COUNT (sizeof(METHOD_NAMES) / sizeof(METHOD_NAMES[0]))

const char *method_name(enum method method)
{
    return METHOD_NAMES[method < METHOD_COUNT ? method : METHOD_UNKNOWN];
}

static enum method method_of(struct bytes name)
{
    for (enum method m = METHOD_UNKNOWN + 1; m < METHOD_COUNT; m++)
        if (strlen(METHOD_NAMES[m]) == name.size &&
            memcmp(METHOD_NAMES[m], name.data, name.size) == 0)
            return m;
    return METHOD_UNKNOWN;
}

/* ---- writing ---- */

static size_t begin_frame(struct buffer *out)
{
    size_t begin = out->size;

    buffer_append_u32(out, 0);
    return begin;
}

size_t rpc_begin_request(struct buffer *out, uint32_t id, enum method method)
{
    size_t begin = begin_frame(out);

    pack_array(out, 4);
    pack_uint(out, RPC_REQUEST);
    pack_uint(out, id);
    pack_text(out, method_name(method));
    return begin;
}

size_t rpc_begin_notify(struct buffer *out, enum method method)
{
    size_t begin = begin_frame(out);

    pack_array(out, 3);
    pack_uint(out, RPC_NOTIFY);
    pack_text(out, method_name(method));
    return begin;
}

size_t rpc_begin_result(struct buffer *out, uint32_t id)
{
    size_t begin = begin_frame(out);

    pack_array(out, 4);
    pack_uint(out, RPC_RESPONSE);
    pack_uint(out, id);
    pack_nil(out);
    return begin;
}

void rpc_end(struct buffer *out, size_t begin)
{
    size_t size = out->size - begin - SIZE_WORD;

    ASSERT(size > 0 && size <= LIMIT_FRAME_BYTES);
    store_u32(out->data + begin, (uint32_t)size);
}

static void pack_error(struct buffer *out,
                       uint32_t id,
                       enum error_code code,
                       const char *text,
                       const char *hint,
                       uint64_t retry_after_ms)
{
    size_t begin = begin_frame(out);

    ASSERT(code != ERROR_NONE);
    pack_array(out, 4);
    pack_uint(out, RPC_RESPONSE);
    pack_uint(out, id);
    pack_array(out, 4);
    pack_uint(out, code);
    pack_text(out, text);
    pack_text(out, hint);
    pack_uint(out, retry_after_ms);
    pack_nil(out);
    rpc_end(out, begin);
}

void rpc_error(struct buffer *out,
               uint32_t id,
               enum error_code code,
               const char *text,
               const char *hint)
{
    pack_error(out, id, code, text, hint, 0);
}

void rpc_busy(struct buffer *out,
              uint32_t id,
              const char *text,
              uint64_t retry_after_ms)
{
    pack_error(out, id, ERROR_BUSY, text, "", retry_after_ms);
}

/* ---- reading ---- */

int64_t rpc_frame_size(struct bytes bytes, struct error *err)
{
    uint32_t size;

    if (bytes.size < SIZE_WORD)
        return 0;
    size = load_u32(bytes.data);
    if (size > LIMIT_FRAME_BYTES)
        return error_set(
            err,
            ERROR_TOO_LARGE,
            "frame: %u bytes; the most is %lu (is the other side a Triarch "
            "program?)",
            size,
            LIMIT_FRAME_BYTES);
    return bytes.size - SIZE_WORD < size ? 0 : (int64_t)size + SIZE_WORD;
}

static void unpack_method(struct rpc *out, struct unpack *u)
{
    out->method_text = unpack_text(u, METHOD_BYTES_MAX);
    out->method = method_of(out->method_text);
}

static void unpack_error(struct rpc *out, struct unpack *u)
{
    enum error_code code;

    unpack_enter(u);
    code = (enum error_code)unpack_uint_max(u, UINT16_MAX);
    if (code == ERROR_NONE)
        unpack_fail(u, "an error has no code");
    out->code =
        error_code_of(error_name(code)); /* a number that is not known: INTERNAL */
    out->text = unpack_bytes(u, ERROR_TEXT_MAX);
    out->hint = unpack_text(u, ADDRESS_BYTES_MAX);
    out->retry_after_ms = unpack_uint(u);
    unpack_leave(u);
}

static void unpack_response(struct rpc *out, struct unpack *u)
{
    if (unpack_nil(u)) {
        out->params = unpack_array_view(u);
        return;
    }
    unpack_error(out, u);
    unpack_skip(u);
}

int rpc_unpack(struct rpc *out, struct bytes frame, struct error *err)
{
    struct unpack u;

    memset(out, 0, sizeof(*out));
    unpack_init(&u, frame);
    unpack_enter(&u);
    out->type = (enum rpc_type)unpack_uint_max(&u, RPC_NOTIFY);
    if (out->type != RPC_NOTIFY)
        out->id = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    if (out->type == RPC_RESPONSE) {
        unpack_response(out, &u);
    } else {
        unpack_method(out, &u);
        out->params = unpack_array_view(&u);
    }
    unpack_leave(&u);
    return unpack_finish(&u, "frame", err);
}

/* ---- hello ---- */

void hello_pack(const struct hello *h, struct buffer *out)
{
    size_t begin = rpc_begin_notify(out, METHOD_HELLO);

    pack_array(out, 11);
    pack_uint(out, h->protocol);
    pack_uint(out, h->role);
    pack_bytes(out, h->cluster);
    pack_uint(out, h->id);
    pack_uint(out, h->incarnation);
    pack_text_view(out, h->version);
    pack_bytes(out, h->cluster_hash);
    pack_uint(out, h->founding);
    pack_bool(out, h->leads);
    pack_uint(out, h->term);
    pack_uint(out, h->replicated);
    rpc_end(out, begin);
}

/* Empty, or CLUSTER_ID_BYTES. */
static struct bytes unpack_cluster(struct unpack *u)
{
    struct bytes id = unpack_bytes(u, CLUSTER_ID_BYTES);

    if (id.size != 0 && id.size != CLUSTER_ID_BYTES)
        unpack_fail(u, "a cluster id is not 16 bytes");
    return id;
}

static void unpack_hello_fields(struct hello *out, struct unpack *u)
{
    out->role = (enum hello_role)unpack_uint_max(u, HELLO_SNAPSHOT);
    if (out->role == 0)
        unpack_fail(u, "the role is missing");
    out->cluster = unpack_cluster(u);
    out->id = unpack_uint(u);
    out->incarnation = unpack_uint(u);
    out->version = unpack_text(u, VERSION_BYTES_MAX);
    out->cluster_hash = unpack_cluster(u);
    out->founding = (enum founding)unpack_uint_max(u, FOUNDING_MEMBER);
    out->leads = unpack_bool(u);
    out->term = unpack_uint(u);
    out->replicated = (uint32_t)unpack_uint_max(u, UINT32_MAX);
}

int hello_unpack(struct hello *out, struct bytes params, struct error *err)
{
    struct unpack u;

    memset(out, 0, sizeof(*out));
    unpack_init(&u, params);
    unpack_enter(&u);
    out->protocol = (uint32_t)unpack_uint_max(&u, UINT32_MAX);
    if (unpack_ok(&u) && out->protocol != PROTOCOL_VERSION)
        return error_set(
            err,
            ERROR_VERSION,
            "hello: the other side speaks protocol %u, this version %d; run "
            "the same version on both",
            out->protocol,
            PROTOCOL_VERSION);
    unpack_hello_fields(out, &u);
    unpack_leave(&u);
    return unpack_finish(&u, "hello", err);
}
