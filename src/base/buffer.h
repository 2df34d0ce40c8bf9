/* buffer.h - a growing run of bytes.
 *
 * A zeroed struct is an empty buffer.  The buffer owns its bytes; buffer_finish() frees them
 * and leaves an empty buffer.  Writers never fail: limits are checked before bytes are
 * written, and memory is fail-stop (mem.h).
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *data;
    size_t size; /* bytes written */
    size_t capacity;
};

/* A read-only view of bytes that somebody else owns. */
struct bytes {
    const uint8_t *data;
    size_t size;
};

void buffer_finish(struct buffer *b);
static inline void buffer_clear(struct buffer *b)
{
    b->size = 0;
}

/* Room for `size` more bytes; returns where to write them.  Valid until the next call. */
uint8_t *buffer_reserve(struct buffer *b, size_t size);

void buffer_append(struct buffer *b, const void *bytes, size_t size);
void buffer_append_text(struct buffer *b, const char *text);
void buffer_printf(struct buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drop the first `size` bytes. */
void buffer_consume(struct buffer *b, size_t size);

/* Fixed-width little-endian integers, the byte order of every Triarch format. */
void buffer_append_u8(struct buffer *b, uint8_t value);
void buffer_append_u32(struct buffer *b, uint32_t value);
void buffer_append_u64(struct buffer *b, uint64_t value);

static inline uint32_t load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

static inline uint64_t load_u64(const uint8_t *p)
{
    return (uint64_t)load_u32(p) | (uint64_t)load_u32(p + 4) << 32;
}

static inline void store_u32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
    p[2] = (uint8_t)(value >> 16);
    p[3] = (uint8_t)(value >> 24);
}

static inline void store_u64(uint8_t *p, uint64_t value)
{
    store_u32(p, (uint32_t)value);
    store_u32(p + 4, (uint32_t)(value >> 32));
}

static inline struct bytes buffer_view(const struct buffer *b)
{
    return (struct bytes){b->data, b->size};
}

#endif
