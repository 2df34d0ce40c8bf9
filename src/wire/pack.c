/* pack.c - values as MessagePack bytes, and back without trust.
 *
 * The reader knows one thing: the head of a value, which is its kind and either its
 * number or the length of what follows.  take_head() checks that length against the
 * bytes that are there, so nothing behind it can run past the end or believe a count.
 */
#include "wire/pack.h"

#include "base/assert.h"
#include "base/text.h"

#include <msgpack.h>
#include <string.h>

/* ---- writing ---- */

static int write_to_buffer(void *out, const char *bytes, size_t size)
{
    buffer_append(out, bytes, size);
    return 0;
}

static msgpack_packer packer(struct buffer *out)
{
    return (msgpack_packer){.data = out, .callback = write_to_buffer};
}

void pack_array(struct buffer *out, uint32_t count)
{
    msgpack_packer p = packer(out);

    msgpack_pack_array(&p, count);
}

void pack_uint(struct buffer *out, uint64_t value)
{
    msgpack_packer p = packer(out);

    msgpack_pack_uint64(&p, value);
}

void pack_int(struct buffer *out, int64_t value)
{
    msgpack_packer p = packer(out);

    msgpack_pack_int64(&p, value);
}

void pack_bool(struct buffer *out, bool value)
{
    msgpack_packer p = packer(out);

    if (value)
        msgpack_pack_true(&p);
    else
        msgpack_pack_false(&p);
}

void pack_nil(struct buffer *out)
{
    msgpack_packer p = packer(out);

    msgpack_pack_nil(&p);
}

void pack_bytes(struct buffer *out, struct bytes value)
{
    msgpack_packer p = packer(out);

    msgpack_pack_bin(&p, value.size);
    msgpack_pack_bin_body(&p, value.data, value.size);
}

void pack_text(struct buffer *out, const char *zero_ended)
{
    pack_text_view(out, text_view(zero_ended));
}

void pack_text_view(struct buffer *out, struct bytes text)
{
    msgpack_packer p = packer(out);

    msgpack_pack_str(&p, text.size);
    msgpack_pack_str_body(&p, text.data, text.size);
}

/* ---- reading ---- */

enum kind {
    KIND_RESERVED = 0,
    KIND_NIL,
    KIND_FALSE,
    KIND_TRUE,
    KIND_FLOAT,
    KIND_UINT,
    KIND_INT, /* a signed form; the number may still be positive */
    KIND_STR,
    KIND_BIN,
    KIND_EXT,
    KIND_ARRAY,
    KIND_MAP,
};

struct head {
    enum kind kind;
    uint64_t number; /* value, length in bytes, or count of elements */
};

/* Formats 0xc0 to 0xdf of the MessagePack specification: kind, and how many bytes after
 * the first hold the number.  The five fixext have none: their length is in `fixed`. */
static const struct format {
    uint8_t kind;
    uint8_t width;
    uint8_t fixed;
} FORMATS[32] = {
    {KIND_NIL, 0, 0},   {KIND_RESERVED, 0, 0}, {KIND_FALSE, 0, 0}, {KIND_TRUE, 0, 0},
    {KIND_BIN, 1, 0},   {KIND_BIN, 2, 0},      {KIND_BIN, 4, 0},   {KIND_EXT, 1, 0},
    {KIND_EXT, 2, 0},   {KIND_EXT, 4, 0},      {KIND_FLOAT, 4, 0}, {KIND_FLOAT, 8, 0},
    {KIND_UINT, 1, 0},  {KIND_UINT, 2, 0},     {KIND_UINT, 4, 0},  {KIND_UINT, 8, 0},
    {KIND_INT, 1, 0},   {KIND_INT, 2, 0},      {KIND_INT, 4, 0},   {KIND_INT, 8, 0},
    {KIND_EXT, 0, 1},   {KIND_EXT, 0, 2},      {KIND_EXT, 0, 4},   {KIND_EXT, 0, 8},
    {KIND_EXT, 0, 16},  {KIND_STR, 1, 0},      {KIND_STR, 2, 0},   {KIND_STR, 4, 0},
    {KIND_ARRAY, 2, 0}, {KIND_ARRAY, 4, 0},    {KIND_MAP, 2, 0},   {KIND_MAP, 4, 0},
};

void unpack_init(struct unpack *u, struct bytes bytes)
{
    u->at = bytes.data;
    u->end = bytes.data == NULL ? NULL : bytes.data + bytes.size;
    u->problem = NULL;
    u->newer = false;
    u->depth = 0;
}

void unpack_fail(struct unpack *u, const char *problem)
{
    if (u->problem == NULL)
        u->problem = problem;
}

static size_t bytes_left(const struct unpack *u)
{
    return (size_t)(u->end - u->at);
}

/* The big-endian number of `width` bytes; the caller has checked that they are there.
 */
static uint64_t take_number(struct unpack *u, unsigned width)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < width; i++)
        number = number << 8 | u->at[i];
    u->at += width;
    return number;
}

static uint64_t sign_extend(uint64_t number, unsigned width)
{
    unsigned shift = 64 - 8 * width;

    return (uint64_t)((int64_t)(number << shift) >> shift);
}

static void take_long_head(struct unpack *u, uint8_t first, struct head *h)
{
    const struct format *f = &FORMATS[first - 0xc0];

    if (bytes_left(u) < f->width) {
        unpack_fail(u, "it ends in the middle of a value");
        return;
    }
    h->kind = f->kind;
    h->number = f->fixed > 0 ? f->fixed : take_number(u, f->width);
    if (h->kind == KIND_INT)
        h->number = sign_extend(h->number, f->width);
    else if (h->kind == KIND_EXT)
        h->number += 1; /* the byte with its type */
    else if (h->kind == KIND_RESERVED)
        unpack_fail(u, "byte 0xc1 is not MessagePack");
}

/* A length or count that the rest of the bytes cannot hold is a lie. */
static void check_length(struct unpack *u, const struct head *h)
{
    size_t left = bytes_left(u);

    if (h->kind == KIND_MAP)
        left /= 2;
    if (h->kind >= KIND_STR && h->number > left)
        unpack_fail(u, "a length is larger than the bytes that are left");
}

/* One value's head.  False after an error. */
static bool take_head(struct unpack *u, struct head *h)
{
    uint8_t first;

    if (u->at == u->end) {
        unpack_fail(u, "it ends too early");
        return false;
    }
    first = *u->at++;
    if (first < 0x80)
        *h = (struct head){KIND_UINT, first};
    else if (first < 0x90)
        *h = (struct head){KIND_MAP, first & 0x0f};
    else if (first < 0xa0)
        *h = (struct head){KIND_ARRAY, first & 0x0f};
    else if (first < 0xc0)
        *h = (struct head){KIND_STR, first & 0x1f};
    else if (first >= 0xe0)
        *h = (struct head){KIND_INT, sign_extend(first, 1)};
    else
        take_long_head(u, first, h);
    if (unpack_ok(u))
        check_length(u, h);
    return unpack_ok(u);
}

/* Count the value about to be read.  False when the array has no more of them: an older
 * writer did not know this field. */
static bool begin_value(struct unpack *u)
{
    if (!unpack_ok(u))
        return false;
    if (u->depth == 0)
        return true;
    if (u->left[u->depth - 1] == 0)
        return false;
    u->left[u->depth - 1]--;
    return true;
}

uint32_t unpack_enter(struct unpack *u)
{
    struct head h = {KIND_ARRAY, 0};

    if (!unpack_ok(u))
        return 0;
    if (begin_value(u) && !take_head(u, &h))
        return 0;
    if (h.kind != KIND_ARRAY) {
        unpack_fail(u, "an array is expected");
        return 0;
    }
    if (u->depth == LIMIT_FRAME_DEPTH) {
        unpack_fail(u, "it is nested too deeply");
        return 0;
    }
    u->left[u->depth++] = (uint32_t)h.number; /* at most 32 bits in the format */
    return (uint32_t)h.number;
}

/* Skip one value at `depth` enclosing arrays or maps; recursion ends at
 * LIMIT_FRAME_DEPTH. */
static void skip_value(struct unpack *u, unsigned depth)
{
    struct head h;

    if (!take_head(u, &h))
        return;
    if (h.kind == KIND_STR || h.kind == KIND_BIN || h.kind == KIND_EXT) {
        u->at += h.number;
        return;
    }
    if (h.kind != KIND_ARRAY && h.kind != KIND_MAP)
        return;
    if (depth == LIMIT_FRAME_DEPTH) {
        unpack_fail(u, "it is nested too deeply");
        return;
    }
    for (uint64_t n = h.kind == KIND_MAP ? 2 * h.number : h.number; n > 0; n--) {
        skip_value(u, depth + 1);
        if (!unpack_ok(u))
            return;
    }
}

void unpack_leave(struct unpack *u)
{
    if (!unpack_ok(u))
        return;
    ASSERT(u->depth > 0);
    while (begin_value(u))
        skip_value(u, u->depth);
    u->depth--;
}

void unpack_leave_known(struct unpack *u)
{
    if (unpack_ok(u) && u->left[u->depth - 1] > 0) {
        unpack_fail(u, "it has fields that this version does not know; upgrade it");
        u->newer = true;
    }
    unpack_leave(u);
}

void unpack_skip(struct unpack *u)
{
    if (begin_value(u))
        skip_value(u, u->depth);
}

struct bytes unpack_array_view(struct unpack *u)
{
    const uint8_t *start = u->at;

    if (!begin_value(u))
        return (struct bytes){0};
    if (u->at < u->end && (*u->at & 0xf0) != 0x90 && *u->at != 0xdc && *u->at != 0xdd)
        unpack_fail(u, "an array is expected");
    else
        skip_value(u, u->depth);
    if (!unpack_ok(u))
        return (struct bytes){0};
    return (struct bytes){start, (size_t)(u->at - start)};
}

uint64_t unpack_uint_max(struct unpack *u, uint64_t max)
{
    struct head h;

    if (!begin_value(u) || !take_head(u, &h))
        return 0;
    if (h.kind != KIND_UINT && h.kind != KIND_INT)
        unpack_fail(u, "a number is expected");
    else if (h.kind == KIND_INT && (int64_t)h.number < 0)
        unpack_fail(u, "a number is negative");
    else if (h.number > max)
        unpack_fail(u, "a number is too large");
    return unpack_ok(u) ? h.number : 0;
}

uint64_t unpack_uint(struct unpack *u)
{
    return unpack_uint_max(u, UINT64_MAX);
}

int64_t unpack_int_range(struct unpack *u, int64_t min, int64_t max)
{
    struct head h;

    if (!begin_value(u) || !take_head(u, &h))
        return 0;
    if (h.kind != KIND_UINT && h.kind != KIND_INT)
        unpack_fail(u, "a number is expected");
    else if ((h.kind == KIND_UINT && h.number > INT64_MAX) || (int64_t)h.number > max)
        unpack_fail(u, "a number is too large");
    else if ((int64_t)h.number < min)
        unpack_fail(u, "a number is too small");
    return unpack_ok(u) ? (int64_t)h.number : 0;
}

int64_t unpack_int(struct unpack *u)
{
    return unpack_int_range(u, INT64_MIN, INT64_MAX);
}

bool unpack_bool(struct unpack *u)
{
    struct head h;

    if (!begin_value(u) || !take_head(u, &h))
        return false;
    if (h.kind != KIND_TRUE && h.kind != KIND_FALSE)
        unpack_fail(u, "true or false is expected");
    return unpack_ok(u) && h.kind == KIND_TRUE;
}

bool unpack_nil(struct unpack *u)
{
    struct head h;

    if (!unpack_ok(u) || u->at == u->end || *u->at != 0xc0)
        return false;
    return begin_value(u) && take_head(u, &h);
}

struct bytes unpack_bytes(struct unpack *u, size_t max)
{
    struct bytes view = {0};
    struct head h;

    if (!begin_value(u) || !take_head(u, &h))
        return view;
    if (h.kind != KIND_BIN && h.kind != KIND_STR) {
        unpack_fail(u, "a text or bytes are expected");
    } else if (h.number > max) {
        unpack_fail(u, "a text is longer than its limit");
    } else {
        view = (struct bytes){u->at, (size_t)h.number};
        u->at += h.number;
    }
    return view;
}

struct bytes unpack_text(struct unpack *u, size_t max)
{
    struct bytes text = unpack_bytes(u, max);

    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL)
        unpack_fail(u, "a text has a zero byte inside");
    else if (!text_is_utf8(text))
        unpack_fail(u, "a text is not UTF-8");
    return unpack_ok(u) ? text : (struct bytes){0};
}

void unpack_fixed(struct unpack *u, uint8_t *to, size_t size)
{
    struct bytes bytes;

    memset(to, 0, size);
    if (u->depth > 0 && u->left[u->depth - 1] == 0)
        return;
    bytes = unpack_bytes(u, size);
    if (!unpack_ok(u))
        return;
    if (bytes.size == size)
        memcpy(to, bytes.data, size);
    else
        unpack_fail(u, "bytes are shorter than they must be");
}

int unpack_finish(struct unpack *u, const char *what, struct error *err)
{
    if (unpack_ok(u)) {
        ASSERT(u->depth == 0);
        if (u->at != u->end)
            unpack_fail(u, "bytes are left over at its end");
    }
    if (unpack_ok(u))
        return 0;
    return error_set(
        err, u->newer ? ERROR_VERSION : ERROR_INVALID, "%s: %s", what, u->problem);
}
