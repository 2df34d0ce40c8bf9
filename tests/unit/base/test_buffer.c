/* test_buffer.c - growing, consuming, integers in little-endian. */
#include "base/buffer.h"
#include "base/rng.h"
#include "tests/lib/unit.h"

#include <string.h>

START_TEST(grows_and_keeps_what_is_in_it)
{
    struct buffer b = {0};

    for (unsigned i = 0; i < 100000; i++)
        buffer_append_u32(&b, i);
    ck_assert_uint_eq(b.size, 400000);
    for (unsigned i = 0; i < 100000; i++)
        ck_assert_uint_eq(load_u32(b.data + 4 * i), i);
    buffer_finish(&b);
    ck_assert_ptr_null(b.data);
    ck_assert_uint_eq(b.size, 0);
    ck_assert_uint_eq(b.capacity, 0);
}
END_TEST

START_TEST(finish_and_clear_of_an_empty_one)
{
    struct buffer b = {0};

    buffer_clear(&b);
    buffer_append(&b, NULL, 0);
    buffer_finish(&b);
    buffer_finish(&b);
    ck_assert_uint_eq(buffer_view(&b).size, 0);
}
END_TEST

START_TEST(clear_keeps_the_memory)
{
    struct buffer b = {0};
    size_t capacity;

    buffer_append_text(&b, "a text");
    capacity = b.capacity;
    buffer_clear(&b);
    ck_assert_uint_eq(b.size, 0);
    ck_assert_uint_eq(b.capacity, capacity);
    buffer_finish(&b);
}
END_TEST

START_TEST(text_and_printf_append)
{
    struct buffer b = {0};
    char longer[5000];

    memset(longer, 'y', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    buffer_append_text(&b, "x=");
    buffer_printf(&b, "%d %s", 42, longer);
    ck_assert_uint_eq(b.size, 5 + 4999);
    ck_assert_mem_eq(b.data, "x=42 yyy", 8);
    ck_assert_uint_eq(b.data[b.size - 1], 'y');
    buffer_finish(&b);
}
END_TEST

START_TEST(reserve_does_not_add)
{
    struct buffer b = {0};
    uint8_t *room = buffer_reserve(&b, 1000);

    memset(room, 1, 1000);
    ck_assert_uint_eq(b.size, 0);
    ck_assert_uint_ge(b.capacity, 1000);
    buffer_finish(&b);
}
END_TEST

START_TEST(consume_drops_from_the_front)
{
    struct buffer b = {0};

    buffer_append_text(&b, "abcdef");
    buffer_consume(&b, 2);
    ck_assert_uint_eq(b.size, 4);
    ck_assert_mem_eq(b.data, "cdef", 4);
    buffer_consume(&b, 0);
    buffer_consume(&b, 4);
    ck_assert_uint_eq(b.size, 0);
    buffer_finish(&b);
}
END_TEST

START_TEST(integers_are_little_endian)
{
    static const uint8_t expected[] = {
        0xab, 0x04, 0x03, 0x02, 0x01, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01};
    struct buffer b = {0};

    buffer_append_u8(&b, 0xab);
    buffer_append_u32(&b, 0x01020304);
    buffer_append_u64(&b, 0x0102030405060708);
    ck_assert_uint_eq(b.size, sizeof(expected));
    ck_assert_mem_eq(b.data, expected, sizeof(expected));
    ck_assert_uint_eq(load_u32(b.data + 1), 0x01020304);
    ck_assert_uint_eq(load_u64(b.data + 5), 0x0102030405060708);
    buffer_finish(&b);
}
END_TEST

START_TEST(store_and_load_any_number)
{
    struct rng rng = {3};
    uint8_t bytes[8];

    for (unsigned i = 0; i < 1000; i++) {
        uint64_t n = rng_next(&rng);

        store_u64(bytes, n);
        ck_assert_uint_eq(load_u64(bytes), n);
        store_u32(bytes, (uint32_t)n);
        ck_assert_uint_eq(load_u32(bytes), (uint32_t)n);
    }
}
END_TEST

START_TEST(consuming_more_than_there_is)
{
    struct buffer b = {0};

    buffer_append_text(&b, "abc");
    buffer_consume(&b, 4);
}
END_TEST

UNIT_MAIN("buffer",
          unit_case("buffer",
                    grows_and_keeps_what_is_in_it,
                    finish_and_clear_of_an_empty_one,
                    clear_keeps_the_memory,
                    text_and_printf_append,
                    reserve_does_not_add,
                    consume_drops_from_the_front,
                    integers_are_little_endian,
                    store_and_load_any_number),
          unit_case_aborts("mistakes", consuming_more_than_there_is))
