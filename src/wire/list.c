/* list.c - lists of packed elements: checked once, walked later without a copy. */
#include "wire/list.h"

#include "base/assert.h"

struct bytes list_check(
    struct unpack *u, uint32_t max, list_read *read, void *scratch, uint32_t *count)
{
    uint32_t n = unpack_enter(u);
    const uint8_t *start = u->at;
    struct bytes elements;

    if (n > max)
        unpack_fail(u, "a list is longer than its limit");
    for (uint32_t i = 0; i < n && unpack_ok(u); i++)
        read(u, scratch);
    elements = (struct bytes){start, (size_t)(u->at - start)};
    unpack_leave(u);
    *count = n;
    return elements;
}

bool list_next(struct bytes elements,
               uint32_t count,
               struct command_cursor *at,
               list_read *read,
               void *out)
{
    if (at->done == count)
        return false;
    if (at->done == 0)
        unpack_init(&at->u, elements);
    at->done++;
    read(&at->u, out);
    ASSERT(unpack_ok(&at->u));
    return true;
}
