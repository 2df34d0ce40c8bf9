/* replica_machine.c - the machine: a rolling hash of what was applied. */
#include "replica_group.h"

#include "base/assert.h"

#include <string.h>

#define SNAPSHOT_PAD 3000 /* makes a snapshot several chunks */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9E3779B97F4A7C15ull;
    return h ^ h >> 29;
}

static size_t machine_apply(void *data,
                            uint64_t index,
                            uint64_t term,
                            enum entry_kind kind,
                            struct bytes payload,
                            bool leading)
{
    struct master *m = data;
    struct machine_state *state = &m->machine;

    (void)leading;
    if (index != state->index + 1)
        world_fail(&m->sim->world, "master %u applies out of order", m->number + 1);
    state->index = index;
    state->hash = mix(mix(state->hash, term), kind);
    for (size_t i = 0; i < payload.size; i++)
        state->hash = mix(state->hash, payload.data[i]);
    check_applied(m->sim, m->number, index, term, state->hash);
    return 1;
}

static void machine_snapshot_begin(void *data)
{
    struct machine_state *state = &((struct master *)data)->machine;

    ASSERT(!state->walking);
    state->walking = true;
    state->walk_index = state->index;
    state->walk_hash = state->hash;
    state->walk_at = 0;
}

static bool machine_snapshot_next(void *data, struct buffer *out, size_t budget)
{
    struct machine_state *state = &((struct master *)data)->machine;
    size_t n = SNAPSHOT_PAD - state->walk_at;

    if (state->walk_at == 0) {
        buffer_append_u64(out, state->walk_index);
        buffer_append_u64(out, state->walk_hash);
    }
    if (n > budget)
        n = budget;
    memset(buffer_reserve(out, n), 'x', n);
    out->size += n;
    state->walk_at += n;
    return state->walk_at < SNAPSHOT_PAD;
}

static void machine_snapshot_end(void *data)
{
    ((struct master *)data)->machine.walking = false;
}

static void machine_restore_begin(void *data)
{
    buffer_clear(&((struct master *)data)->machine.restoring);
}

static int machine_restore_feed(void *data, struct bytes piece, struct error *err)
{
    (void)err;
    buffer_append(&((struct master *)data)->machine.restoring, piece.data, piece.size);
    return 0;
}

static int
machine_restore_end(void *data, uint64_t index, uint64_t term, struct error *err)
{
    struct master *m = data;
    struct buffer *b = &m->machine.restoring;

    if (b->size != 16 + SNAPSHOT_PAD || load_u64(b->data) != index)
        return error_set(err, ERROR_CORRUPT, "snapshot bytes are wrong");
    m->machine.index = index;
    m->machine.hash = load_u64(b->data + 8);
    check_applied(m->sim, m->number, index, term, m->machine.hash);
    return 0;
}

struct machine replica_machine(struct master *m)
{
    return (struct machine){
        .data = m,
        .apply = machine_apply,
        .snapshot_begin = machine_snapshot_begin,
        .snapshot_next = machine_snapshot_next,
        .snapshot_end = machine_snapshot_end,
        .restore_begin = machine_restore_begin,
        .restore_feed = machine_restore_feed,
        .restore_end = machine_restore_end,
    };
}
