/* fuzz_apply.c - commands chosen by the fuzzer, every invariant after each entry.
 *
 * A second instance that is restored from a snapshot now and then must stay equal, and a
 * walk that goes on meanwhile must give the bytes of the moment when it began. */
#include "base/assert.h"
#include "raft_fsm/fsm.h"
#include "tests/lib/fsm_workload.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct workload workload;
    struct state *state;
    struct state *other;
    struct buffer entry;
    struct buffer at_once, walked; /* of the walk that goes on */
};

static bool same(const struct buffer *a, const struct buffer *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static void snapshot(struct state *s, struct buffer *out)
{
    buffer_clear(out);
    snapshot_begin(s);
    while (snapshot_next(s, out, 4096))
        ;
    snapshot_end(s);
}

static void restore_other(struct fuzz *f)
{
    struct restore *r = restore_begin();
    struct buffer bytes = {0};

    state_destroy(f->other);
    snapshot(f->state, &bytes);
    ASSERT(restore_feed(r, buffer_view(&bytes), NULL) == 0);
    ASSERT(restore_end(r, &f->other, NULL) == 0);
    buffer_finish(&bytes);
}

/* Begin a walk, or take a slice of the one that goes on. */
static void walk(struct fuzz *f)
{
    size_t budget = workload_choose(&f->workload, 256);

    if (f->state->walk == NULL) {
        snapshot(f->state, &f->at_once);
        buffer_clear(&f->walked);
        snapshot_begin(f->state);
    } else if (!snapshot_next(f->state, &f->walked, budget)) {
        snapshot_end(f->state);
        ASSERT(same(&f->at_once, &f->walked));
    }
}

static void step(struct fuzz *f)
{
    uint64_t what = workload_choose(&f->workload, 16);

    if (what < 3) {
        walk(f);
        return;
    }
    if (what == 3 && f->state->walk == NULL)
        restore_other(f);
    workload_entry(&f->workload, f->state, &f->entry);
    fsm_apply(f->state, f->state->index + 1, 1, buffer_view(&f->entry), NULL);
    fsm_apply(f->other, f->other->index + 1, 1, buffer_view(&f->entry), NULL);
    state_check(f->state);
    ASSERT(hash128_equal(f->state->digest, f->other->digest));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {.state = state_create(), .other = state_create()};

    workload_init_fuzzed(&f.workload, (struct bytes){data, size});
    while (!workload_is_over(&f.workload))
        step(&f);
    while (f.state->walk != NULL)
        walk(&f);
    restore_other(&f);
    state_check(f.other);
    state_destroy(f.state);
    state_destroy(f.other);
    workload_finish(&f.workload);
    buffer_finish(&f.entry);
    buffer_finish(&f.at_once);
    buffer_finish(&f.walked);
    return 0;
}
