/* test_property.c - random entries: the state machine against the model, two instances
 * against each other, and a snapshot with what came after it against the live state.
 *
 * The seeds are fixed; TEST_SEED=n runs one other, TEST_ENTRIES=n longer. */
#include "tests/lib/fsm_workload.h"
#include "tests/lib/unit.h"
#include "tests/unit/raft_fsm/fsm_test.h"
#include "tests/unit/raft_fsm/model.h"

#include <stdio.h>

#define SEEDS         24
#define ENTRIES       500
#define COMPARE_EVERY 3 /* comparing looks at everything */

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* The seed of loop i, on stderr so that a failure can be run again. */
static uint64_t seed_of(int i)
{
    uint64_t seed = number_from("TEST_SEED", 1000 + (uint64_t)i);

    fprintf(stderr, "# TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

START_TEST(test_the_state_machine_does_what_the_model_does)
{
    struct fsm f;
    struct workload w;
    struct outcome expected = {0};
    struct model *m = model_create();
    uint64_t entries = number_from("TEST_ENTRIES", ENTRIES);

    workload_init(&w, seed_of(_i));
    fsm_setup_empty(&f);
    for (uint64_t i = 1; i <= entries; i++) {
        workload_entry(&w, f.state, &f.entry);
        fsm_apply_entry(&f);
        model_apply(m, i, buffer_view(&f.entry), &expected);
        model_compare_outcomes(&expected, &f.out);
        if (i % COMPARE_EVERY == 0)
            model_compare(m, f.state);
    }
    model_compare(m, f.state);
    model_destroy(m);
    outcome_finish(&expected);
    workload_finish(&w);
    fsm_teardown(&f);
}
END_TEST

START_TEST(test_equal_entries_give_equal_digests_and_bytes)
{
    struct fsm f;
    struct workload w;
    struct buffer mine = {0}, theirs = {0};
    struct state *other = state_create();

    workload_init(&w, seed_of(_i));
    fsm_setup_empty(&f);
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        workload_entry(&w, f.state, &f.entry);
        fsm_apply_entry(&f);
        fsm_apply(other, i, 1, buffer_view(&f.entry), NULL);
        if (!hash128_equal(f.state->digest, other->digest))
            ck_abort_msg("digests differ at index %llu", (unsigned long long)i);
    }
    fsm_snapshot(f.state, &mine);
    fsm_snapshot(other, &theirs);
    ck_same_bytes(&mine, &theirs);
    buffer_finish(&mine);
    buffer_finish(&theirs);
    state_destroy(other);
    workload_finish(&w);
    fsm_teardown(&f);
}
END_TEST

/* A copy that is made again from a snapshot every so often and applies the tail. */
START_TEST(test_snapshot_and_tail_are_the_live_state)
{
    struct fsm f;
    struct workload w;
    struct buffer live = {0}, copied = {0};
    struct state *copy = state_create();
    struct outcome out = {0};

    workload_init(&w, seed_of(_i));
    fsm_setup_empty(&f);
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        if (workload_choose(&w, 20) == 0) {
            buffer_clear(&copied);
            fsm_snapshot(f.state, &copied);
            state_destroy(copy);
            copy = fsm_restored(buffer_view(&copied));
            state_check(copy);
        }
        workload_entry(&w, f.state, &f.entry);
        fsm_apply_entry(&f);
        outcome_clear(&out);
        fsm_apply(copy, i, 1, buffer_view(&f.entry), &out);
        state_check(copy);
        model_compare_outcomes(&f.out, &out);
        ck_assert(hash128_equal(f.state->digest, copy->digest));
    }
    buffer_clear(&copied);
    fsm_snapshot(f.state, &live);
    fsm_snapshot(copy, &copied);
    ck_same_bytes(&live, &copied);
    buffer_finish(&live);
    buffer_finish(&copied);
    outcome_finish(&out);
    state_destroy(copy);
    workload_finish(&w);
    fsm_teardown(&f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("property");
    int seeds = getenv("TEST_SEED") == NULL ? SEEDS : 1;

    tcase_add_loop_test(c, test_the_state_machine_does_what_the_model_does, 0, seeds);
    tcase_add_loop_test(c, test_equal_entries_give_equal_digests_and_bytes, 0, seeds);
    tcase_add_loop_test(c, test_snapshot_and_tail_are_the_live_state, 0, seeds);
    tcase_set_timeout(c, 300);
    return unit_run("property", &c, 1);
}
