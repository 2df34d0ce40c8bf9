/* blob.h - an immutable run of bytes with a reference count.
 *
 * Payloads of log entries are shared by the replica (loop thread) and the log writer (its own
 * thread) without a copy, so the count is atomic.  Whoever holds a pointer holds one reference.
 */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include "base/buffer.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct blob {
    atomic_uint references;
    uint32_t size;
    uint8_t data[];
};

/* A new blob with one reference; blob_create leaves the bytes to the caller. */
struct blob *blob_create(size_t size);
struct blob *blob_copy(struct bytes bytes);
struct blob *blob_ref(struct blob *b); /* NULL gives NULL */
void blob_unref(struct blob *b);       /* NULL is fine */

static inline struct bytes blob_view(const struct blob *b)
{
    return b == NULL ? (struct bytes){0} : (struct bytes){b->data, b->size};
}

#endif
