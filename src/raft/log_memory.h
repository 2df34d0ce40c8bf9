/* log_memory.h - the part of the log that a replica keeps in memory (joint 3).
 *
 * (term, kind) of every entry from first on; payloads may be absent for old ones.  A ring that
 * grows; index arithmetic is O(1).
 */
#ifndef RAFT_LOG_MEMORY_H
#define RAFT_LOG_MEMORY_H

#include "wire/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_memory {
    struct log_entry *ring;
    size_t capacity; /* a power of two, or 0 */
    size_t head;     /* slot of `first` */
    size_t count;
    uint64_t first;
    uint64_t base_term;   /* term of entry first - 1, 0 if unknown */
    uint64_t cached_from; /* payloads of [first, cached_from) were let go */
    uint64_t cached_bytes;
};

void log_memory_init(struct log_memory *m, uint64_t first, uint64_t base_term);
void log_memory_finish(struct log_memory *m);

static inline uint64_t log_memory_last(const struct log_memory *m)
{
    return m->first + m->count - 1;
}

/* The entry at index, or NULL.  Valid until the next change. */
const struct log_entry *log_memory_at(const struct log_memory *m, uint64_t index);
/* Its term; also of first - 1 if known; 0 if not there. */
uint64_t log_memory_term(const struct log_memory *m, uint64_t index);
/* True if its payload is here (an entry without payload counts as here). */
bool log_memory_has_payload(const struct log_memory *m, uint64_t index);

/* Takes the reference in the entry. */
void log_memory_append(struct log_memory *m, struct log_entry entry);
void log_memory_truncate(struct log_memory *m, uint64_t from); /* drop from `from` on */
void log_memory_trim(struct log_memory *m, uint64_t to);       /* drop up to `to` */
void log_memory_reset(struct log_memory *m, uint64_t index, uint64_t term);

/* How many of the entries up to `last` are at most so many, and have payloads of at most so many
 * bytes: the newest of them. */
unsigned log_memory_newest(const struct log_memory *m,
                           uint64_t last,
                           unsigned most,
                           uint64_t bytes);

/* Let go of the oldest payloads below `needed_from` until at most `bytes` are kept. */
void log_memory_evict(struct log_memory *m, uint64_t needed_from, uint64_t bytes);

#endif
