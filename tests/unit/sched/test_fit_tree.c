/* test_fit_tree.c - the index against a list that is searched from one end to the other. */
#include "sched/fit_page.h"

#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/sched/sched_test.h"

#include <string.h>

#define NODES 500 /* three levels of pages */
#define STEPS 2000
#define RUNS  10

static struct fit_node nodes[NODES];
static uint64_t seed;
static struct rng rng;
static uint64_t among; /* the first of them change */

static void begin(int run)
{
    seed = test_seed(run);
    rng = (struct rng){seed};
    among = run % 3 == 2 ? 3 : NODES;
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
    struct fit_node *n = &nodes[rng_below(&rng, among)];

    if (n->is_in && rng_percent(&rng, 30))
        fit_tree_move(t, n, (struct fit_key){rng_below(&rng, 50), n->key.second});
    else if (n->is_in)
        fit_tree_remove(t, n);
    else
        insert_any(t, n);
}

/* Of the entries of a page: neither less, nor more, which would make searches look where nothing
 * is. */
static struct fit_signature all_in(const struct fit_page *p)
{
    struct fit_signature all = {p->numbers[0], p->bits[0], p->set[0]};

    for (unsigned i = 1; i < p->count; i++) {
        for (int n = 0; n < FIT_NUMBERS; n++)
            if (all.numbers.of[n] < p->numbers[i].of[n])
                all.numbers.of[n] = p->numbers[i].of[n];
        all.bits |= p->bits[i];
        for (int w = 0; w < 2; w++)
            all.set.word[w] |= p->set[i].word[w];
    }
    return all;
}

static bool is_sound_entry(const struct fit_page *p, unsigned i, struct fit_key end)
{
    struct fit_signature said = {p->numbers[i], p->bits[i], p->set[i]}, all;
    const struct fit_page *below;

    if (fit_key_compare(&p->key[i], &end) >= 0)
        return false;
    if (p->level == 0)
        return p->below[i].node->is_in &&
               fit_key_compare(&p->key[i], &p->below[i].node->key) == 0;
    below = p->below[i].page;
    all = all_in(below);
    return below->level == p->level - 1 && below->count > 0 &&
           fit_key_compare(&p->key[i], &below->key[0]) <= 0 &&
           memcmp(&all, &said, sizeof(all)) == 0;
}

/* Keys of a page are in order, below this end; none is empty, and no two beside each other could
 * be one. */
static bool is_sound(const struct fit_page *p, struct fit_key end, int *count)
{
    bool sound = p->count > 0 && p->count <= FIT_PAGE_MOST;

    for (unsigned i = 0; i < p->count && sound; i++) {
        bool is_last = i + 1 == p->count;
        struct fit_key next = is_last ? end : p->key[i + 1];

        sound = is_sound_entry(p, i, next);
        *count += p->level == 0;
        if (p->level == 0 || !sound)
            continue;
        sound = is_last || p->below[i].page->count + p->below[i + 1].page->count >
                               FIT_PAGE_MOST / 2;
        sound = sound && is_sound(p->below[i].page, next, count);
    }
    return sound;
}

static void check_tree(const struct fit_tree *t)
{
    struct fit_key end = {UINT64_MAX, UINT64_MAX};
    int inside = 0, count = 0;

    for (int i = 0; i < NODES; i++)
        inside += nodes[i].is_in;
    ck_assert_seed(t->root == NULL || is_sound(t->root, end, &count), seed);
    ck_assert_seed(t->root == NULL || t->root->level == 0 || t->root->count > 1, seed);
    ck_assert_seed(inside == count, seed);
    ck_assert_seed(fit_tree_has_one(t) == (inside == 1), seed);
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

        if (n->is_in && fit_key_compare(&n->key, &from) >= 0 && holds(n, need) &&
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
    fit_tree_clear(&t);
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

        if (n->is_in && fit_key_compare(&n->key, &from) >= 0 && holds(n, need) &&
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
        struct fit_key from = {rng_below(&rng, 60), rng_below(&rng, NODES)};
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
    fit_tree_clear(&t);
}
END_TEST

#define EACH 2 /* can be given so often, but for the odd ones */

static struct once {
    unsigned given[NODES];
    unsigned asked[NODES];
} once;

static bool has_none(long i)
{
    return i % 2 != 0 || once.given[i] == EACH;
}

static enum fit_answer hold_once(void *owner, void *context)
{
    long i = (struct fit_node *)owner - nodes;

    (void)context;
    once.asked[i]++;
    return has_none(i) ? FIT_NEVER : FIT_HOLDS;
}

static void give(struct fit_tree *t, struct fit_node *n)
{
    once.given[n - nodes]++;
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
    once = (struct once){.given = {0}};
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
            asked += has_none(i) ? once.asked[i] : 0;
        given += found != NULL;
        if (found != NULL)
            give(&t, found);
    } while (found != NULL);
    ck_assert_seed(given == EACH * NODES / 2, seed);
    ck_assert_seed(asked <= NODES, seed);
    check_tree(&t);
    fit_tree_clear(&t);
}
END_TEST

/* The first half of the nodes are needs, the rest is room. */
static bool is_held(const struct fit_node *need)
{
    for (int i = NODES / 2; i < NODES; i++)
        if (nodes[i].is_in && resources_contain(&nodes[i].vector, &need->vector) &&
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

        if (n->is_in && fit_key_compare(&n->key, &from) >= 0 &&
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

        if (n->is_in)
            fit_tree_remove(t, n);
        else if (t == &needs || rng_percent(&rng, 10))
            insert_any(t, n);
        n = fit_tree_find_need(&needs, from, &room);
        ck_assert_seed(n == NULL || fit_key_compare(&n->key, &from) >= 0, seed);
        ck_assert_seed(!passed_over(from, n), seed);
    }
    fit_tree_clear(&needs);
    fit_tree_clear(&room);
}
END_TEST

/* Trees of a few needs each, and one in which a node stands for each of them that is not empty. */
#define TREES 40

static struct fit_tree inner[TREES];

static void check_put(const struct fit_tree *t, const struct fit_node *of)
{
    for (int i = 0; i < TREES; i++) {
        const struct fit_page *p = t->root;
        struct fit_signature all, said;
        unsigned at;

        ck_assert_seed(of[i].is_in == (inner[i].root != NULL), seed);
        if (!of[i].is_in)
            continue;
        while (p->level > 0)
            p = p->below[fit_page_with(p, of[i].key)].page;
        at = fit_page_from(p, of[i].key);
        ck_assert_seed(at < p->count && p->below[at].node == &of[i], seed);
        said = (struct fit_signature){p->numbers[at], p->bits[at], p->set[at]};
        all = all_in(inner[i].root);
        ck_assert_seed(memcmp(&said, &all, sizeof(all)) == 0, seed);
    }
}

START_TEST(test_a_node_stands_for_a_tree)
{
    struct fit_tree t = {.of_needs = true};
    struct fit_node of[TREES] = {{.is_in = false}};
    uint64_t trees;

    begin(_i);
    trees = among < TREES ? among : TREES;
    for (int i = 0; i < TREES; i++)
        inner[i] = (struct fit_tree){.of_needs = true};
    for (int step = 0; step < STEPS; step++) {
        uint64_t i = rng_below(&rng, trees);
        struct fit_node *n = &nodes[rng_below(&rng, NODES / TREES) * TREES + i];

        if (n->is_in)
            fit_tree_remove(&inner[i], n);
        else
            insert_any(&inner[i], n);
        if (inner[i].root != NULL)
            fit_tree_put_tree(
                &t, &of[i], (struct fit_key){rng_below(&rng, 3), i}, &inner[i]);
        else
            fit_tree_remove(&t, &of[i]);
        check_put(&t, of);
    }
    fit_tree_clear(&t);
    for (int i = 0; i < TREES; i++)
        fit_tree_clear(&inner[i]);
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
    fit_tree_clear(&needs);
    fit_tree_clear(&room);
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
    tcase_add_loop_test(c, test_a_node_stands_for_a_tree, 0, RUNS);
    tcase_add_loop_test(c, test_no_need_that_is_held_is_passed_over, 0, RUNS);
    return unit_run("fit_tree", &c, 1);
}
