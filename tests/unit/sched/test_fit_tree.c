/* test_fit_tree.c - the index against a list that is searched from one end to the other. */
#include "sched/fit_tree.h"

#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/sched_test.h"

#include <string.h>

#define NODES 200
#define STEPS 2000
#define RUNS  10

static struct fit_node nodes[NODES];
static uint64_t seed;
static struct rng rng;

static void begin(int run)
{
    seed = test_seed(run);
    rng = (struct rng){seed};
    for (int i = 0; i < NODES; i++)
        nodes[i] = (struct fit_node){.owner = &nodes[i]};
}

/* Amounts that often are equal, and now and then as large as they can be. */
static uint64_t any_amount(enum resource_kind kind)
{
    uint64_t unit = kind == RESOURCE_CPUS ? 250 : kind == RESOURCE_GPUS ? 1 : 128 * MIB;

    if (rng_percent(&rng, 20))
        return 0;
    if (rng_percent(&rng, 2))
        return LIMIT_RESOURCE - rng_below(&rng, 3);
    if (rng_percent(&rng, 30))
        return rng_below(&rng, unit << rng_below(&rng, 12));
    return unit * rng_below(&rng, 16);
}

static struct resources any_vector(void)
{
    struct resources r;

    for (int k = 0; k < RESOURCE_KINDS; k++)
        r.amount[k] = any_amount((enum resource_kind)k);
    return r;
}

/* Mostly none, as it is. */
static uint64_t any_bits(void)
{
    return rng_percent(&rng, 30) ? rng_next(&rng) & rng_next(&rng) & 0xff : 0;
}

/* Of a few bits, and sometimes none. */
static struct fit_set any_set(void)
{
    struct fit_set set = {{rng_next(&rng) & rng_next(&rng) & 0x15, 0}};

    set.word[1] = rng_next(&rng) & rng_next(&rng) & 0x3;
    return set;
}

/* Keys share their first half now and then; the second one makes them unique. */
static void insert_any(struct fit_tree *t, struct fit_node *n)
{
    n->key = (struct fit_key){rng_below(&rng, 50), (uint64_t)(n - nodes)};
    n->vector = any_vector();
    n->bits = any_bits();
    n->set = any_set();
    fit_tree_insert(t, n);
}

static void change_any(struct fit_tree *t)
{
    struct fit_node *n = &nodes[rng_below(&rng, NODES)];

    if (n->height > 0)
        fit_tree_remove(t, n);
    else
        insert_any(t, n);
}

static void raise_least(struct fit_signature *s, const struct fit_signature *least)
{
    for (int i = 0; i < FIT_NUMBERS; i++)
        if (s->number[i] < least->number[i])
            s->number[i] = least->number[i];
    s->bits |= least->bits;
    for (int i = 0; i < 2; i++)
        s->set.word[i] |= least->set.word[i];
}

/* Order, balance and what a node knows of those below it: neither less, nor more, which would
 * make searches look where nothing is. */
static bool is_sound(const struct fit_node *n, int *count)
{
    const struct fit_node *sides[] = {n->left, n->right};
    struct fit_signature all = n->own;
    int heights[] = {0, 0};
    bool sound = true;

    ++*count;
    for (int side = 0; side < 2; side++) {
        const struct fit_node *below = sides[side];

        if (below == NULL)
            continue;
        sound &= (fit_key_compare(&below->key, &n->key) < 0) == (side == 0);
        raise_least(&all, &below->all);
        heights[side] = below->height;
        sound &= is_sound(below, count);
    }
    return sound && memcmp(&all, &n->all, sizeof(all)) == 0 &&
           abs(heights[0] - heights[1]) <= 1 &&
           n->height == 1 + (heights[0] > heights[1] ? heights[0] : heights[1]);
}

static void check_tree(const struct fit_tree *t)
{
    int inside = 0, count = 0;

    for (int i = 0; i < NODES; i++)
        inside += nodes[i].height > 0;
    ck_assert_seed(t->root == NULL || is_sound(t->root, &count), seed);
    ck_assert_seed(inside == count, seed);
}

/* Whom the vector and the bits do not tell apart. */
static bool is_even(const struct fit_node *n)
{
    return (n - nodes) % 2 == 0;
}

static enum fit_answer hold_even(void *owner, void *context)
{
    (void)context;
    return is_even(owner) ? FIT_HOLDS : FIT_NEVER;
}

static bool holds(const struct fit_node *n, const struct fit_need *need)
{
    return resources_contain(&n->vector, need->vector) &&
           (n->bits & need->bits) == need->bits &&
           (need->set_count < 1 || fit_sets_meet(&n->set, &need->sets[0])) &&
           (need->set_count < 2 || fit_sets_meet(&n->set, &need->sets[1])) &&
           (need->holds == NULL || is_even(n));
}

static const struct fit_node *slow_find(struct fit_key from,
                                        const struct fit_need *need)
{
    const struct fit_node *first = NULL;

    for (int i = 0; i < NODES; i++) {
        const struct fit_node *n = &nodes[i];

        if (n->height > 0 && fit_key_compare(&n->key, &from) >= 0 && holds(n, need) &&
            (first == NULL || fit_key_compare(&n->key, &first->key) < 0))
            first = n;
    }
    return first;
}

START_TEST(test_it_finds_what_a_list_finds)
{
    struct fit_tree t = {0};

    begin(_i);
    for (int step = 0; step < STEPS; step++) {
        struct fit_key from = {rng_below(&rng, 60), rng_below(&rng, NODES)};
        struct resources vector = any_vector(), zero = {0};
        struct fit_need need = {.vector = &vector, .bits = any_bits()},
                        nothing = {.vector = &zero};
        unsigned asked = 0;

        if (rng_percent(&rng, 30))
            need.holds = hold_even;
        change_any(&t);
        if (rng_percent(&rng, 50))
            from = (struct fit_key){0};
        ck_assert_seed(fit_tree_find(&t, from, &need, &asked) == slow_find(from, &need),
                       seed);
        ck_assert_seed(need.holds != NULL || asked == 0, seed);
        ck_assert_seed(fit_tree_first(&t) == slow_find((struct fit_key){0}, &nothing),
                       seed);
        if (step % 50 == 0)
            check_tree(&t);
        if (rng_below(&rng, 1000) == 0) {
            fit_tree_clear(&t);
            check_tree(&t);
        }
    }
}
END_TEST

/* Points for bits, less for the first half of the key, or more. */
static uint64_t points(const struct fit_set *set, uint64_t first, bool from_end)
{
    uint64_t bits = (set->word[0] & 1) * 30 + (set->word[0] >> 2 & 1) * 20;

    return 1 + bits + (from_end ? first / 10 : 10 - first / 10);
}

static uint64_t score(void *owner, uint64_t first, void *from_end)
{
    return points(
        &((const struct fit_node *)owner)->set, first, *(const bool *)from_end);
}

static uint64_t bound(const struct fit_set *crowd, uint64_t first, void *from_end)
{
    return points(crowd, first < 100 ? first : 99, *(const bool *)from_end);
}

static bool is_better(const struct fit_node *a, const struct fit_node *b, bool from_end)
{
    uint64_t x = points(&a->set, a->key.first, from_end);
    uint64_t y = points(&b->set, b->key.first, from_end);

    if (x != y)
        return x > y;
    if (a->key.first != b->key.first)
        return (a->key.first < b->key.first) != from_end;
    return a->key.second < b->key.second;
}

static const struct fit_node *
slow_best(struct fit_key from, const struct fit_need *need, bool from_end)
{
    const struct fit_node *best = NULL;

    for (int i = 0; i < NODES; i++) {
        const struct fit_node *n = &nodes[i];

        if (n->height > 0 && fit_key_compare(&n->key, &from) >= 0 && holds(n, need) &&
            (best == NULL || is_better(n, best, from_end)))
            best = n;
    }
    return best;
}

START_TEST(test_the_best_is_that_of_a_list)
{
    struct fit_tree t = {0};

    begin(_i);
    for (int step = 0; step < STEPS; step++) {
        struct fit_key from = {rng_below(&rng, 60), 0};
        struct resources vector = any_vector();
        struct fit_set sets[] = {any_set(), any_set()};
        struct fit_need need = {.vector = &vector,
                                .bits = any_bits(),
                                .sets = sets,
                                .set_count = rng_below(&rng, 3)};
        bool from_end = rng_percent(&rng, 50);
        struct fit_wish wish = {from_end, score, bound, &from_end};
        unsigned asked = 0;

        if (rng_percent(&rng, 30))
            need.holds = hold_even;
        if (rng_percent(&rng, 50))
            vector = (struct resources){0};
        if (rng_percent(&rng, 50))
            from = (struct fit_key){0};
        change_any(&t);
        ck_assert_seed(fit_tree_best(&t, from, &need, &wish, &asked) ==
                           slow_best(from, &need, from_end),
                       seed);
        ck_assert_seed(fit_tree_find(&t, from, &need, NULL) == slow_find(from, &need),
                       seed);
    }
}
END_TEST

/* Those that have been given away since, and the odd ones. */
static struct {
    bool is_given[NODES];
    unsigned asked[NODES];
} once;

static enum fit_answer hold_once(void *owner, void *context)
{
    long i = (struct fit_node *)owner - nodes;

    (void)context;
    once.asked[i]++;
    return once.is_given[i] || i % 2 != 0 ? FIT_NEVER : FIT_HOLDS;
}

static void give(struct fit_tree *t, struct fit_node *n)
{
    once.is_given[n - nodes] = true;
    fit_tree_remove(t, n);
    n->key.first -= n->key.first > 0;
    fit_tree_insert(t, n);
}

/* Searches of one number for all that there is, each followed by what it found becoming less:
 * they find what others do, and ask nobody in vain again unless it was changed. */
START_TEST(test_who_is_refused_is_not_asked_again)
{
    struct fit_tree t = {0};
    bool from_end = _i % 2 == 0, is_best = _i % 3 != 0;
    struct fit_wish wish = {from_end, score, bound, &from_end};
    struct resources nothing = {0};
    struct fit_need need = {.vector = &nothing, .holds = hold_once},
                    numbered = {.vector = &nothing, .holds = hold_once, .number = 7};
    struct fit_node *found, *expected;
    unsigned asked = 0, ignored = 0, given = 0;

    begin(_i);
    for (int i = 0; i < NODES; i++)
        insert_any(&t, &nodes[i]);
    do {
        expected = is_best
                       ? fit_tree_best(&t, (struct fit_key){0}, &need, &wish, &ignored)
                       : fit_tree_find(&t, (struct fit_key){0}, &need, NULL);
        memset(once.asked, 0, sizeof(once.asked));
        found = is_best
                    ? fit_tree_best(&t, (struct fit_key){0}, &numbered, &wish, &ignored)
                    : fit_tree_find(&t, (struct fit_key){0}, &numbered, NULL);
        ck_assert_seed(found == expected, seed);
        for (int i = 0; i < NODES; i++)
            asked += once.is_given[i] || i % 2 != 0 ? once.asked[i] : 0;
        given += found != NULL;
        if (found != NULL)
            give(&t, found);
    } while (found != NULL);
    ck_assert_seed(given == NODES / 2, seed);
    ck_assert_seed(asked <= NODES, seed);
    check_tree(&t);
}
END_TEST

/* The first half of the nodes are needs, the rest is room. */
static bool is_held(const struct fit_node *need)
{
    for (int i = NODES / 2; i < NODES; i++)
        if (nodes[i].height > 0 && resources_contain(&nodes[i].vector, &need->vector) &&
            (nodes[i].bits & need->bits) == need->bits &&
            ((need->set.word[0] | need->set.word[1]) == 0 ||
             fit_sets_meet(&nodes[i].set, &need->set)))
            return true;
    return false;
}

/* One from `from` on and before `found` (NULL: up to the end) is held. */
static bool passed_over(struct fit_key from, const struct fit_node *found)
{
    for (int i = 0; i < NODES / 2; i++) {
        const struct fit_node *n = &nodes[i];

        if (n->height > 0 && fit_key_compare(&n->key, &from) >= 0 &&
            (found == NULL || fit_key_compare(&n->key, &found->key) < 0) && is_held(n))
            return true;
    }
    return false;
}

START_TEST(test_no_need_that_is_held_is_passed_over)
{
    struct fit_tree needs = {.of_needs = true}, room = {0};

    begin(_i);
    for (int step = 0; step < STEPS; step++) {
        struct fit_node *n = &nodes[rng_below(&rng, NODES)];
        struct fit_tree *t = n < nodes + NODES / 2 ? &needs : &room;
        struct fit_key from = {rng_below(&rng, 60), rng_below(&rng, NODES)};

        if (n->height > 0)
            fit_tree_remove(t, n);
        else if (t == &needs || rng_percent(&rng, 10))
            insert_any(t, n);
        n = fit_tree_find_need(&needs, from, &room);
        ck_assert_seed(n == NULL || fit_key_compare(&n->key, &from) >= 0, seed);
        ck_assert_seed(!passed_over(from, n), seed);
    }
}
END_TEST

/* Many with cpus and no memory, many with memory and no cpus: who asks for both is not
 * shown one after the other. */
START_TEST(test_two_halves_are_not_a_whole)
{
    struct fit_tree needs = {.of_needs = true}, room = {0};

    begin(0);
    for (int i = 0; i < NODES; i++) {
        struct fit_node *n = &nodes[i];
        struct resources vectors[] = {
            {{4000, 16 * 1024 * MIB}}, {{32000, 512 * MIB}}, {{500, 128 * 1024 * MIB}}};

        n->key = (struct fit_key){0, (uint64_t)i};
        n->vector = vectors[i < NODES / 2 ? 0 : 1 + i % 2];
        fit_tree_insert(i < NODES / 2 ? &needs : &room, n);
    }
    ck_assert_ptr_null(fit_tree_find_need(&needs, (struct fit_key){0}, &room));
    fit_tree_remove(&room, &nodes[NODES - 1]);
    nodes[NODES - 1].vector = nodes[0].vector;
    fit_tree_insert(&room, &nodes[NODES - 1]);
    ck_assert_ptr_eq(fit_tree_find_need(&needs, (struct fit_key){0}, &room), &nodes[0]);
}
END_TEST

START_TEST(test_an_empty_tree_has_nothing)
{
    struct fit_tree needs = {.of_needs = true}, room = {0};
    struct resources vector = {{1}};
    struct fit_need need = {.vector = &vector};

    ck_assert_ptr_null(fit_tree_first(&room));
    ck_assert_ptr_null(fit_tree_find(&room, (struct fit_key){0}, &need, NULL));
    ck_assert_ptr_null(fit_tree_find_need(&needs, (struct fit_key){0}, &room));
}
END_TEST

int main(void)
{
    TCase *c = unit_case(
        "fit_tree", test_an_empty_tree_has_nothing, test_two_halves_are_not_a_whole);

    tcase_add_loop_test(c, test_it_finds_what_a_list_finds, 0, RUNS);
    tcase_add_loop_test(c, test_the_best_is_that_of_a_list, 0, RUNS);
    tcase_add_loop_test(c, test_who_is_refused_is_not_asked_again, 0, 6);
    tcase_add_loop_test(c, test_no_need_that_is_held_is_passed_over, 0, RUNS);
    return unit_run("fit_tree", &c, 1);
}
