/* test_search.c - where a condition ends, in each row of up to nine. */
#include "base/search.h"
#include "tests/lib/unit.h"

#include <stddef.h>

START_TEST(the_first_that_does_not_hold)
{
    for (size_t end = 0; end < 10; end++)
        for (size_t begin = 0; begin <= end; begin++)
            for (size_t holds = begin; holds <= end; holds++) {
                size_t at;

                SEARCH_END(at, begin, end, at < holds);
                ck_assert_uint_eq(at, holds);
            }
}
END_TEST

/* Nothing outside of the row is asked for. */
START_TEST(only_what_is_there_is_asked)
{
    unsigned asked[12] = {0};

    for (size_t holds = 3; holds <= 9; holds++) {
        size_t at;

        SEARCH_END(at, 3, 9, (asked[at]++, at < holds));
    }
    for (size_t i = 0; i < 12; i++)
        ck_assert_int_eq(asked[i] > 0, i >= 3 && i < 9);
}
END_TEST

UNIT_MAIN("search",
          unit_case("search",
                    the_first_that_does_not_hold,
                    only_what_is_there_is_asked))
