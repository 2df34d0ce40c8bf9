/* entropy.h - random bytes of the kernel, for ids and keys.  For shells: pure folders
 * get entropy in events, and tests use rng.h.
 *
 * It never fails: a kernel that gives no random bytes stops the process, because a
 * guessable or repeated id would be worse.
 */
#ifndef BASE_ENTROPY_H
#define BASE_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

void entropy_fill(void *bytes, size_t size);
uint64_t entropy_u64(void);

#endif
