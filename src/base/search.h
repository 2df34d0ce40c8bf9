/* search.h - where something ends to hold in a row that is in order.
 */
#ifndef BASE_SEARCH_H
#define BASE_SEARCH_H

/* Sets `at` to the first index in [begin, end) for which `holds` is false, an expression in `at`;
 * to `end` when there is none.  It holds for all before that one and for none behind it.  O(log). */
#define SEARCH_END(at, begin, end, holds)                         \
    do {                                                          \
        __typeof__(at) search_low = (begin), search_high = (end); \
                                                                  \
        while (search_low < search_high) {                        \
            (at) = search_low + (search_high - search_low) / 2;   \
            if (holds)                                            \
                search_low = (at) + 1;                            \
            else                                                  \
                search_high = (at);                               \
        }                                                         \
        (at) = search_low;                                        \
    } while (0)

#endif
