/* test_mem.c - memory that never fails, and blobs that are shared. */
#include "base/blob.h"
#include "base/mem.h"
#include "tests/lib/unit.h"

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

START_TEST(no_bytes_are_a_pointer_too)
{
    void *a = mem_alloc(0), *b = mem_zalloc(0), *c = mem_realloc(NULL, 0),
         *d = mem_dup("", 0);

    ck_assert(a != NULL && b != NULL && c != NULL && d != NULL);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(d);
    mem_free(NULL);
}
END_TEST

START_TEST(zeroed_and_copied)
{
    static const char zero[64];
    char *a = mem_zalloc(sizeof(zero));
    char *b = mem_strdup("text");
    char *c = mem_dup("a\0b", 3);

    ck_assert_mem_eq(a, zero, sizeof(zero));
    ck_assert_str_eq(b, "text");
    ck_assert_mem_eq(c, "a\0b", 3);
    mem_free(a);
    mem_free(b);
    mem_free(c);
}
END_TEST

START_TEST(arrays_double)
{
    uint32_t *array = NULL;
    size_t capacity = 0, grown = 0;

    for (uint32_t i = 0; i < 10000; i++) {
        size_t before = capacity;

        MEM_GROW(array, capacity, i + 1u);
        grown += capacity != before;
        array[i] = i;
    }
    for (uint32_t i = 0; i < 10000; i++)
        ck_assert_uint_eq(array[i], i);
    ck_assert_uint_le(grown, 12); /* 8 to 16384 */
    MEM_GROW(array, capacity, 1);
    ck_assert_uint_eq(capacity, 16384);
    mem_free(array);
}
END_TEST

START_TEST(array_of_more_bytes_than_there_are)
{
    uint64_t *array = NULL;
    size_t capacity = 0;

    MEM_GROW(array, capacity, SIZE_MAX / 16 + 2);
    MEM_GROW(array, capacity, SIZE_MAX / 2);
}
END_TEST

START_TEST(small_pieces_are_not_gathered)
{
    void *pieces[1000];

    mem_merge_at_once();
    for (int i = 0; i < 1000; i++)
        pieces[i] = mem_alloc(40);
    for (int i = 0; i < 1000; i++)
        mem_free(pieces[i]);
    ck_assert_uint_eq(mallinfo2().fsmblks, 0);
}
END_TEST

START_TEST(blob_lives_until_its_last_reference)
{
    struct blob *b = blob_copy((struct bytes){(const uint8_t *)"payload", 7});

    ck_assert_ptr_eq(blob_ref(b), b);
    blob_unref(b);
    ck_assert_uint_eq(blob_view(b).size, 7);
    ck_assert_mem_eq(blob_view(b).data, "payload", 7);
    blob_unref(b);
}
END_TEST

START_TEST(no_blob_is_empty)
{
    struct blob *empty = blob_copy((struct bytes){0});

    ck_assert_ptr_null(blob_ref(NULL));
    blob_unref(NULL);
    ck_assert_uint_eq(blob_view(NULL).size, 0);
    ck_assert_uint_eq(blob_view(empty).size, 0);
    blob_unref(empty);
}
END_TEST

static void *ref_and_unref(void *blob)
{
    for (int i = 0; i < 10000; i++)
        blob_unref(blob_ref(blob));
    return NULL;
}

START_TEST(blob_is_counted_by_many_threads)
{
    struct blob *b = blob_create(1);
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ref_and_unref, b), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(atomic_load(&b->references), 1);
    blob_unref(b);
}
END_TEST

UNIT_MAIN("mem",
          unit_case("mem",
                    no_bytes_are_a_pointer_too,
                    zeroed_and_copied,
                    arrays_double,
                    small_pieces_are_not_gathered),
          unit_case_aborts("mistakes", array_of_more_bytes_than_there_are),
          unit_case("blob",
                    blob_lives_until_its_last_reference,
                    no_blob_is_empty,
                    blob_is_counted_by_many_threads))
