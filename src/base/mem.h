/* mem.h - allocation that cannot fail.
 *
 * Triarch bounds what it keeps (limits.h) before it allocates; when the system has no memory
 * even for that, the process stops with one clear line (fail-stop), and its state is safe on
 * disk.  So these never return NULL.  mem_free(NULL) is allowed.  Ownership is the caller's.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *mem_realloc(void *old, size_t size)
    __attribute__((alloc_size(2), returns_nonnull));
void *mem_dup(const void *bytes, size_t size) __attribute__((malloc, returns_nonnull));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
void mem_free(void *old);
/* For who has millions of small things and may not pause: what is free is merged at once.  The
 * C library else gathers small pieces, and merges all of them when some large one is freed. */
void mem_merge_at_once(void);

/* Make room for at least `need` elements of `size` bytes in a growing array; doubles. */
void mem_grow(void *array_address, size_t *capacity, size_t need, size_t size);

#define MEM_GROW(array, capacity, need) \
    mem_grow(&(array), &(capacity), (need), sizeof(*(array)))

#endif
