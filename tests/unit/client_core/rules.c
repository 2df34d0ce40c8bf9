/* rules.c - what the tests of rules share. */
#include "rules.h"

#include "tests/lib/unit.h"

#include <string.h>

struct fixture f;
uint32_t master_a, master_b, master_c;

void name_masters(void)
{
    for (master_a = 0; f.connects[master_a] == 0; master_a++)
        ck_assert_uint_lt(master_a, 3);
    master_b = (master_a + 1) % 3;
    master_c = (master_a + 2) % 3;
}

void begin(void)
{
    fixture_start(&f, 3, 1);
    fixture_submit(&f, 1, "key-1");
    name_masters();
}

void begin_asked(void)
{
    begin();
    fixture_connected_leading(&f, master_a, 1);
    ck_assert_uint_eq(f.sent_count, 1);
    ck_assert_uint_eq(fixture_last_sent(&f)->master, master_a);
}

void end(void)
{
    fixture_finish(&f);
}

uint32_t last_id(void)
{
    return fixture_last_sent(&f)->id;
}

unsigned all_connects(void)
{
    unsigned n = 0;

    for (uint32_t m = 0; m < CLIENT_MASTERS_MAX; m++)
        n += f.connects[m];
    return n;
}

void assert_finished(enum error_code code, const char *text_part)
{
    const struct finished *last = fixture_last_finished(&f);

    ck_assert_uint_eq(f.finished_count, 1);
    ck_assert_uint_eq(client_core_requests(f.core), 0);
    ck_assert_uint_eq(last->ticket, 1);
    ck_assert_int_eq(last->code, code);
    ck_assert_msg(
        strstr(last->text, text_part) != NULL, "%s lacks %s", last->text, text_part);
}
