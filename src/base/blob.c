/* blob.c - an immutable run of bytes with a reference count. */
#include "base/blob.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

struct blob *blob_create(size_t size)
{
    struct blob *b;

    ASSERT(size <= UINT32_MAX);
    b = mem_alloc(sizeof(*b) + size);
    atomic_init(&b->references, 1);
    b->size = (uint32_t)size;
    return b;
}

struct blob *blob_copy(struct bytes bytes)
{
    struct blob *b = blob_create(bytes.size);

    if (bytes.size > 0)
        memcpy(b->data, bytes.data, bytes.size);
    return b;
}

struct blob *blob_ref(struct blob *b)
{
    if (b != NULL)
        atomic_fetch_add_explicit(&b->references, 1, memory_order_relaxed);
    return b;
}

void blob_unref(struct blob *b)
{
    if (b == NULL)
        return;
    if (atomic_fetch_sub_explicit(&b->references, 1, memory_order_acq_rel) == 1)
        mem_free(b);
}
