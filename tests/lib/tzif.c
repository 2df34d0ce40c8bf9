/* tzif.c - time zones for tests. */
#include "tests/lib/tzif.h"

static void big_u32(struct buffer *out, uint32_t n)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        buffer_append_u8(out, (uint8_t)(n >> shift));
}

/* Of one type, UTC, and its name; nothing else. */
static void block(struct buffer *out)
{
    static const uint8_t NONE[15];

    buffer_append(out, "TZif2", 5);
    buffer_append(out, NONE, sizeof(NONE));
    for (int i = 0; i < 4; i++)
        big_u32(out, 0);
    big_u32(out, 1);
    big_u32(out, 4);
    buffer_append(out, "\0\0\0\0\0\0UTC", 10);
}

void tzif_of_rule(struct buffer *out, const char *rule)
{
    block(out);
    block(out);
    buffer_printf(out, "\n%s\n", rule);
}
