/* test_id_map.c - what is found is what was added and not removed, in the order of ids. */
#include "base/id_map.h"
#include "base/rng.h"
#include "tests/lib/unit.h"

#include <stdbool.h>
#include <stddef.h>

/* The object of an id that is there is a place of its own in memory. */
static char objects[20000];

START_TEST(an_empty_one_has_nothing)
{
    struct id_map m = {0};

    ck_assert_ptr_null(id_map_find(&m, 0));
    ck_assert_ptr_null(id_map_find(&m, UINT64_MAX));
    ck_assert_ptr_null(id_map_next(&m, 0));
    ck_assert_ptr_null(id_map_last(&m));
}
END_TEST

START_TEST(the_first_and_the_last_id)
{
    struct id_map m = {0};

    id_map_add(&m, UINT64_MAX, &objects[1]);
    ck_assert_ptr_eq(id_map_next(&m, 0), &objects[1]);
    ck_assert_ptr_eq(id_map_last(&m), &objects[1]);
    id_map_add(&m, 0, &objects[0]);
    ck_assert_ptr_eq(id_map_last(&m), &objects[1]);
    ck_assert_ptr_eq(id_map_find(&m, 0), &objects[0]);
    ck_assert_ptr_eq(id_map_find(&m, UINT64_MAX), &objects[1]);
    ck_assert_ptr_eq(id_map_next(&m, 0), &objects[0]);
    ck_assert_ptr_eq(id_map_next(&m, 1), &objects[1]);
    ck_assert_ptr_null(id_map_find(&m, 1));
    id_map_remove(&m, UINT64_MAX);
    ck_assert_ptr_eq(id_map_last(&m), &objects[0]);
    ck_assert_ptr_null(id_map_next(&m, 1));
    id_map_remove(&m, 0);
    ck_assert_ptr_null(m.root); /* nothing is left behind */
}
END_TEST

START_TEST(grows_over_what_is_in_it)
{
    struct id_map m = {0};

    for (unsigned i = 0; i < 64; i += 4) {
        id_map_add(&m, 1ull << i, &objects[i]);
        ck_assert_ptr_null(id_map_next(&m, (1ull << i) + 1));
        for (unsigned k = 0; k <= i; k += 4)
            ck_assert_ptr_eq(id_map_find(&m, 1ull << k), &objects[k]);
    }
    for (unsigned i = 0; i < 64; i += 4) {
        id_map_remove(&m, 1ull << i);
        ck_assert_ptr_eq(id_map_next(&m, 0), i < 60 ? &objects[i + 4] : NULL);
    }
    ck_assert_ptr_null(m.root);
}
END_TEST

/* All that is there, by going on from each one. */
static void check_order(const struct id_map *m, const bool *is_there, size_t count)
{
    const char *at = id_map_next(m, 0), *last = NULL;

    for (size_t i = 0; i < count; i++) {
        ck_assert_ptr_eq(id_map_find(m, i), is_there[i] ? &objects[i] : NULL);
        if (!is_there[i])
            continue;
        ck_assert_ptr_eq(at, &objects[i]);
        at = id_map_next(m, i + 1);
        last = &objects[i];
    }
    ck_assert_ptr_null(at);
    ck_assert_ptr_eq(id_map_last(m), last);
}

/* As attempts come and go: ids are given once, and most of those that are there are young. */
START_TEST(like_an_array_in_random_runs)
{
    static bool is_there[sizeof(objects)];
    struct rng r = {(uint64_t)_i};
    struct id_map m = {0};
    uint64_t next = 0;

    for (unsigned step = 0; step < 20000; step++) {
        uint64_t id = next - rng_below(&r, next < 500 ? next + 1 : 500);

        if (rng_percent(&r, 55) && next < sizeof(objects)) {
            id_map_add(&m, next, &objects[next]);
            is_there[next++] = true;
        } else if (next > 0 && id < next && is_there[id]) {
            id_map_remove(&m, id);
            is_there[id] = false;
        }
        if (step % 2000 == 0)
            check_order(&m, is_there, next);
    }
    check_order(&m, is_there, next);
    for (uint64_t i = 0; i < next; i++)
        if (is_there[i])
            id_map_remove(&m, i);
    ck_assert_ptr_null(m.root);
}
END_TEST

START_TEST(no_id_twice)
{
    struct id_map m = {0};

    id_map_add(&m, 7, &objects[0]);
    id_map_add(&m, 7, &objects[1]);
}
END_TEST

START_TEST(no_removal_of_nothing)
{
    struct id_map m = {0};

    id_map_add(&m, 7, &objects[0]);
    id_map_remove(&m, 8);
}
END_TEST

static TCase *random_runs(void)
{
    TCase *c = tcase_create("random");

    tcase_add_loop_test(c, like_an_array_in_random_runs, 1, 20);
    return c;
}

UNIT_MAIN("id_map",
          unit_case("edges",
                    an_empty_one_has_nothing,
                    the_first_and_the_last_id,
                    grows_over_what_is_in_it),
          random_runs(),
          unit_case_aborts("mistakes", no_id_twice, no_removal_of_nothing))
