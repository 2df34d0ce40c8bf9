/* machine.c - the replica's machine: entries to the state machine, results to whoever waits. */
#include "master/core/internal.h"

#include "base/assert.h"

static void deliver(struct master_core *m, uint64_t index)
{
    propose_applied(m, index);
    for (size_t i = 0; i < m->outcome.effect_count; i++)
        leader_effect(m, &m->outcome.effects[i]);
}

static size_t apply(void *data,
                    uint64_t index,
                    uint64_t term,
                    enum entry_kind kind,
                    struct bytes payload,
                    bool leading)
{
    struct master_core *m = data;
    size_t work = 0;

    if (kind == ENTRY_COMMANDS) {
        outcome_clear(&m->outcome);
        work = fsm_apply(m->state, index, term, payload, leading ? &m->outcome : NULL);
        if (leading)
            deliver(m, index);
    } else {
        fsm_skip(m->state, index, term);
    }
    founding_applied(m);
    if (index % DIGEST_INTERVAL == 0) {
        m->digest = m->state->digest;
        m->digest_index = index;
    }
    return work;
}

static void begin(void *data)
{
    snapshot_begin(((struct master_core *)data)->state);
}

static bool next(void *data, struct buffer *out, size_t budget)
{
    return snapshot_next(((struct master_core *)data)->state, out, budget);
}

static void end(void *data)
{
    snapshot_end(((struct master_core *)data)->state);
}

static void restore_start(void *data)
{
    struct master_core *m = data;

    restore_abandon(m->restoring);
    m->restoring = restore_begin();
}

static int restore_piece(void *data, struct bytes piece, struct error *err)
{
    return restore_feed(((struct master_core *)data)->restoring, piece, err);
}

static int restore_done(void *data, uint64_t index, uint64_t term, struct error *err)
{
    struct master_core *m = data;
    struct state *state;
    int rv = restore_end(m->restoring, &state, err);

    m->restoring = NULL;
    if (rv != 0)
        return rv;
    if (state->index != index || state->term != term) {
        state_destroy(state);
        return error_set(err,
                         ERROR_CORRUPT,
                         "the snapshot's bytes are of index %llu, its header says %llu",
                         (unsigned long long)state->index,
                         (unsigned long long)index);
    }
    state_destroy(m->state);
    m->state = state;
    if (m->started)
        founding_applied(m);
    m->digest_index = 0;
    if (index % DIGEST_INTERVAL == 0) {
        m->digest = state->digest;
        m->digest_index = index;
    }
    return 0;
}

struct machine machine_of(struct master_core *m)
{
    return (struct machine){
        .data = m,
        .apply = apply,
        .snapshot_begin = begin,
        .snapshot_next = next,
        .snapshot_end = end,
        .restore_begin = restore_start,
        .restore_feed = restore_piece,
        .restore_end = restore_done,
    };
}
