/* fuzz_pack.c - our reader of MessagePack against msgpack-c.
 *
 * What ours accepts, msgpack-c reads too, to its last byte, and both see the same values.  (Not
 * the other way round: msgpack-c would believe the counts in bytes that ours refuses.) */
#include "base/assert.h"
#include "wire/pack.h"

#include <msgpack.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(struct unpack *u, const msgpack_object *o)
{
    struct bytes bytes;

    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        ASSERT(unpack_nil(u));
        return;
    case MSGPACK_OBJECT_BOOLEAN:
        ASSERT(unpack_bool(u) == o->via.boolean);
        return;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        ASSERT(unpack_uint(u) == o->via.u64);
        return;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        ASSERT(unpack_int(u) == o->via.i64);
        return;
    case MSGPACK_OBJECT_STR:
    case MSGPACK_OBJECT_BIN: /* the same layout */
        bytes = unpack_bytes(u, SIZE_MAX);
        ASSERT(bytes.size == o->via.bin.size);
        ASSERT(bytes.size == 0 || memcmp(bytes.data, o->via.bin.ptr, bytes.size) == 0);
        return;
    case MSGPACK_OBJECT_ARRAY:
        ASSERT(unpack_enter(u) == o->via.array.size);
        for (uint32_t i = 0; i < o->via.array.size; i++)
            compare(u, &o->via.array.ptr[i]);
        unpack_leave(u);
        return;
    default: /* maps, floats, extensions: only ever skipped */
        unpack_skip(u);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = {data, size};
    msgpack_unpacked other;
    size_t offset = 0;
    struct unpack u;

    unpack_init(&u, input);
    unpack_skip(&u);
    if (unpack_finish(&u, "input", NULL) != 0)
        return 0;
    msgpack_unpacked_init(&other);
    ASSERT(msgpack_unpack_next(&other, (const char *)data, size, &offset) ==
           MSGPACK_UNPACK_SUCCESS);
    ASSERT(offset == size);
    unpack_init(&u, input);
    compare(&u, &other.data);
    ASSERT(unpack_finish(&u, "input", NULL) == 0);
    msgpack_unpacked_destroy(&other);
    return 0;
}
