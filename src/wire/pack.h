/* pack.h - values as MessagePack bytes, and back without trust.
 *
 * Packing uses msgpack-c.  Reading is a cursor of our own, because msgpack-c believes
 * the counts in the bytes (five bytes make it reserve 16 GB: research of the project):
 * it never allocates, never reads past the end, refuses counts larger than the bytes
 * that are left and nesting deeper than LIMIT_FRAME_DEPTH.  The first error sticks:
 * read straight, check once with unpack_finish().
 *
 * Every struct is an array of fields in a fixed order.  A reader skips fields that it
 * does not know at the end (but for those of a job spec), and takes zero for fields that an older writer did not
 * send; a field never changes its meaning.  Encoding is canonical: equal values give
 * equal bytes, so the digest of the state and the hash of a keyed request are taken
 * over them.
 */
#ifndef WIRE_PACK_H
#define WIRE_PACK_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void pack_array(struct buffer *out, uint32_t count);
void pack_uint(struct buffer *out, uint64_t value);
void pack_int(struct buffer *out, int64_t value);
void pack_bool(struct buffer *out, bool value);
void pack_nil(struct buffer *out);
void pack_bytes(struct buffer *out, struct bytes value);    /* bin */
void pack_text(struct buffer *out, const char *zero_ended); /* str; NULL packs as "" */
void pack_text_view(struct buffer *out, struct bytes text); /* str */

struct unpack {
    const uint8_t *at;
    const uint8_t *end;
    const char *problem;              /* NULL while all is well; then what is wrong */
    bool newer;                       /* it is that a newer version wrote it */
    unsigned depth;                   /* arrays entered */
    uint32_t left[LIMIT_FRAME_DEPTH]; /* elements not read yet of each of them */
};

void unpack_init(struct unpack *u, struct bytes bytes);

/* Enter an array; returns its element count, 0 after an error.  Reading past its last
 * element gives a zero value and is no error.  unpack_leave() skips what was not read.
 */
uint32_t unpack_enter(struct unpack *u);
void unpack_leave(struct unpack *u);
/* Likewise, but fields that were not read are an error: for what does harm to those who know
 * only a part of it. */
void unpack_leave_known(struct unpack *u);

/* Each returns a zero value after an error. */
uint64_t unpack_uint(struct unpack *u);
uint64_t unpack_uint_max(struct unpack *u, uint64_t max);
int64_t unpack_int(struct unpack *u);
int64_t unpack_int_range(struct unpack *u, int64_t min, int64_t max);
bool unpack_bool(struct unpack *u);
bool unpack_nil(
    struct unpack *u); /* steps over a nil; false if the next value is another */
struct bytes unpack_bytes(struct unpack *u,
                          size_t max); /* bin or str; view into the input */
/* A text without a zero byte inside, valid UTF-8; view into the input, not zero-ended.
 */
struct bytes unpack_text(struct unpack *u, size_t max);
/* Exactly `size` bytes copied to `to`; missing reads as zeroes. */
void unpack_fixed(struct unpack *u, uint8_t *to, size_t size);
void unpack_skip(struct unpack *u); /* one value of any kind */
/* The packed bytes of one array, whole: for what is decoded later or by another. */
struct bytes unpack_array_view(struct unpack *u);

/* Note a rule that the caller found broken; the first problem stays. */
void unpack_fail(struct unpack *u, const char *problem);
static inline bool unpack_ok(const struct unpack *u)
{
    return u->problem == NULL;
}
/* 0, or ERROR_INVALID with "what: problem"; bytes left over are a problem too.  Fields of a
 * newer version that must be known are ERROR_VERSION. */
int unpack_finish(struct unpack *u, const char *what, struct error *err);

#endif
