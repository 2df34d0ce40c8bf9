/* log_memory.c - the part of the log that a replica keeps in memory. */
#include "raft/log_memory.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

static struct log_entry *slot(const struct log_memory *m, uint64_t index)
{
    return &m->ring[(m->head + (size_t)(index - m->first)) & (m->capacity - 1)];
}

void log_memory_init(struct log_memory *m, uint64_t first, uint64_t base_term)
{
    *m = (struct log_memory){
        .first = first, .base_term = base_term, .cached_from = first};
}

void log_memory_finish(struct log_memory *m)
{
    log_memory_truncate(m, m->first);
    mem_free(m->ring);
    *m = (struct log_memory){0};
}

const struct log_entry *log_memory_at(const struct log_memory *m, uint64_t index)
{
    if (index < m->first || index > log_memory_last(m))
        return NULL;
    return slot(m, index);
}

uint64_t log_memory_term(const struct log_memory *m, uint64_t index)
{
    const struct log_entry *entry = log_memory_at(m, index);

    if (entry != NULL)
        return entry->term;
    return index + 1 == m->first ? m->base_term : 0;
}

bool log_memory_has_payload(const struct log_memory *m, uint64_t index)
{
    return log_memory_at(m, index) != NULL && index >= m->cached_from;
}

static void grow(struct log_memory *m)
{
    size_t capacity = m->capacity > 0 ? m->capacity * 2 : 64;
    struct log_entry *ring = mem_alloc(capacity * sizeof(*ring));

    for (size_t i = 0; i < m->count; i++)
        ring[i] = *slot(m, m->first + i);
    mem_free(m->ring);
    m->ring = ring;
    m->capacity = capacity;
    m->head = 0;
}

void log_memory_append(struct log_memory *m, struct log_entry entry)
{
    if (m->count == m->capacity)
        grow(m);
    m->count++;
    entry.size = (uint32_t)blob_view(entry.payload).size;
    *slot(m, log_memory_last(m)) = entry;
    m->cached_bytes += entry.size;
}

static void release(struct log_memory *m, uint64_t index)
{
    struct log_entry *entry = slot(m, index);

    m->cached_bytes -= blob_view(entry->payload).size;
    blob_unref(entry->payload);
    entry->payload = NULL;
}

void log_memory_truncate(struct log_memory *m, uint64_t from)
{
    ASSERT(from >= m->first);
    while (m->count > 0 && log_memory_last(m) >= from) {
        release(m, log_memory_last(m));
        m->count--;
    }
    if (m->cached_from > from)
        m->cached_from = from;
}

void log_memory_trim(struct log_memory *m, uint64_t to)
{
    ASSERT(to <= log_memory_last(m));
    while (m->first <= to) {
        m->base_term = slot(m, m->first)->term;
        release(m, m->first);
        m->head = (m->head + 1) & (m->capacity - 1);
        m->first++;
        m->count--;
    }
    if (m->cached_from < m->first)
        m->cached_from = m->first;
}

void log_memory_reset(struct log_memory *m, uint64_t index, uint64_t term)
{
    log_memory_truncate(m, m->first);
    m->head = 0;
    m->first = index + 1;
    m->base_term = term;
    m->cached_from = m->first;
}

unsigned log_memory_newest(const struct log_memory *m,
                           uint64_t last,
                           unsigned most,
                           uint64_t bytes)
{
    const struct log_entry *entry;
    unsigned n = 0;

    while (n < most && n < last && (entry = log_memory_at(m, last - n)) != NULL &&
           entry->size <= bytes) {
        bytes -= entry->size;
        n++;
    }
    return n;
}

void log_memory_evict(struct log_memory *m, uint64_t needed_from, uint64_t bytes)
{
    while (m->cached_bytes > bytes && m->cached_from < needed_from &&
           m->cached_from <= log_memory_last(m)) {
        release(m, m->cached_from);
        m->cached_from++;
    }
}
