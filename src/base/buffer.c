/* buffer.c - a growing run of bytes. */
#include "base/buffer.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buffer_finish(struct buffer *b)
{
    mem_free(b->data);
    *b = (struct buffer){0};
}

uint8_t *buffer_reserve(struct buffer *b, size_t size)
{
    MEM_GROW(b->data, b->capacity, b->size + size);
    return b->data + b->size;
}

void buffer_append(struct buffer *b, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    memcpy(buffer_reserve(b, size), bytes, size);
    b->size += size;
}

void buffer_append_text(struct buffer *b, const char *text)
{
    buffer_append(b, text, strlen(text));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(n >= 0);
    buffer_reserve(b, (size_t)n + 1);
    va_start(args, format);
    vsnprintf((char *)b->data + b->size, (size_t)n + 1, format, args);
    va_end(args);
    b->size += (size_t)n;
}

void buffer_consume(struct buffer *b, size_t size)
{
    ASSERT(size <= b->size);
    memmove(b->data, b->data + size, b->size - size);
    b->size -= size;
}

void buffer_append_u8(struct buffer *b, uint8_t value)
{
    buffer_append(b, &value, 1);
}

void buffer_append_u32(struct buffer *b, uint32_t value)
{
    store_u32(buffer_reserve(b, 4), value);
    b->size += 4;
}

void buffer_append_u64(struct buffer *b, uint64_t value)
{
    store_u64(buffer_reserve(b, 8), value);
    b->size += 8;
}
