/* mem.c - allocation that stops the process when there is no memory. */
#include "base/mem.h"

#include "base/assert.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void out_of_memory(size_t size)
{
    fprintf(stderr, "FATAL out of memory: %zu bytes refused by the system\n", size);
    abort();
}

void *mem_alloc(size_t size)
{
    void *p = malloc(size > 0 ? size : 1);

    if (p == NULL)
        out_of_memory(size);
    return p;
}

void *mem_zalloc(size_t size)
{
    void *p = calloc(1, size > 0 ? size : 1);

    if (p == NULL)
        out_of_memory(size);
    return p;
}

void *mem_realloc(void *old, size_t size)
{
    void *p = realloc(old, size > 0 ? size : 1);

    if (p == NULL)
        out_of_memory(size);
    return p;
}

void *mem_dup(const void *bytes, size_t size)
{
    void *p = mem_alloc(size);

    if (size > 0)
        memcpy(p, bytes, size);
    return p;
}

char *mem_strdup(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}

void mem_free(void *old)
{
    free(old);
}

void mem_merge_at_once(void)
{
    mallopt(M_MXFAST, 0);
}

void mem_grow(void *array_address, size_t *capacity, size_t need, size_t size)
{
    void *array;
    size_t n = *capacity > 0 ? *capacity : 8;

    if (need <= *capacity)
        return;
    while (n < need)
        n *= 2;
    ASSERT(n <= SIZE_MAX / size);
    memcpy(&array, array_address, sizeof(array));
    array = mem_realloc(array, n * size);
    memcpy(array_address, &array, sizeof(array));
    *capacity = n;
}
