/* test_log_memory.c - the ring of entries, with and without payloads. */
#include "raft/log_memory.h"
#include "tests/lib/unit.h"

/* Entries of 10 bytes, the index in the first 8. */
static void append(struct log_memory *m, uint64_t count, uint64_t term)
{
    while (count-- > 0) {
        struct blob *payload = blob_create(10);

        store_u64(payload->data, log_memory_last(m) + 1);
        log_memory_append(m,
                          (struct log_entry){.term = term,
                                             .kind = ENTRY_COMMANDS,
                                             .payload = payload});
    }
}

static void check_payloads(const struct log_memory *m, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i <= to; i++) {
        ck_assert(log_memory_has_payload(m, i));
        ck_assert_uint_eq(load_u64(log_memory_at(m, i)->payload->data), i);
    }
    ck_assert_uint_eq(m->cached_bytes, 10 * (to + 1 - from));
}

START_TEST(empty_knows_only_its_base)
{
    struct log_memory m;

    log_memory_init(&m, 8, 3);
    ck_assert_uint_eq(log_memory_last(&m), 7);
    ck_assert_ptr_null(log_memory_at(&m, 7));
    ck_assert_ptr_null(log_memory_at(&m, 8));
    ck_assert_uint_eq(log_memory_term(&m, 7), 3);
    ck_assert_uint_eq(log_memory_term(&m, 6), 0);
    ck_assert_uint_eq(log_memory_term(&m, 8), 0);
    ck_assert(!log_memory_has_payload(&m, 8));
    log_memory_finish(&m);
}
END_TEST

START_TEST(extreme_indexes_are_not_there)
{
    struct log_memory m;

    log_memory_init(&m, 1, 0);
    append(&m, 3, 1);
    ck_assert_uint_eq(log_memory_term(&m, 0), 0);
    ck_assert_uint_eq(log_memory_term(&m, UINT64_MAX), 0);
    ck_assert_ptr_null(log_memory_at(&m, 0));
    ck_assert_ptr_null(log_memory_at(&m, UINT64_MAX));
    ck_assert(!log_memory_has_payload(&m, UINT64_MAX));
    log_memory_finish(&m);
}
END_TEST

/* The ring wraps and grows while entries leave in front and come behind. */
START_TEST(grows_over_its_end)
{
    struct log_memory m;

    log_memory_init(&m, 1, 0);
    append(&m, 50, 1);
    log_memory_trim(&m, 40);
    append(&m, 60, 2); /* wraps in 64, and grows while wrapped */
    ck_assert_uint_eq(log_memory_last(&m), 110);
    check_payloads(&m, 41, 110);
    ck_assert_uint_eq(log_memory_term(&m, 50), 1);
    ck_assert_uint_eq(log_memory_term(&m, 51), 2);
    ck_assert_uint_eq(log_memory_term(&m, 40), 1);
    ck_assert_uint_eq(log_memory_term(&m, 39), 0);
    log_memory_finish(&m);
}
END_TEST

START_TEST(truncate_and_write_anew)
{
    struct log_memory m;

    log_memory_init(&m, 1, 0);
    append(&m, 20, 1);
    log_memory_truncate(&m, 11);
    ck_assert_uint_eq(log_memory_last(&m), 10);
    check_payloads(&m, 1, 10);
    append(&m, 5, 2);
    check_payloads(&m, 1, 15);
    ck_assert_uint_eq(log_memory_term(&m, 11), 2);
    log_memory_truncate(&m, 16); /* nothing there */
    ck_assert_uint_eq(log_memory_last(&m), 15);
    log_memory_truncate(&m, 1);
    ck_assert_uint_eq(log_memory_last(&m), 0);
    ck_assert_uint_eq(m.cached_bytes, 0);
    log_memory_finish(&m);
}
END_TEST

START_TEST(evicts_the_oldest_and_only_what_is_not_needed)
{
    struct log_memory m;

    log_memory_init(&m, 1, 0);
    append(&m, 20, 1);
    log_memory_evict(&m, 100, 155); /* 15 payloads fit */
    check_payloads(&m, 6, 20);
    ck_assert(!log_memory_has_payload(&m, 5));
    ck_assert_ptr_null(log_memory_at(&m, 5)->payload);
    ck_assert_uint_eq(log_memory_term(&m, 5), 1);
    log_memory_evict(&m, 9, 0);
    check_payloads(&m, 9, 20);
    log_memory_evict(&m, 100, 0);
    ck_assert_uint_eq(m.cached_bytes, 0);
    append(&m, 2, 1);
    check_payloads(&m, 21, 22);
    log_memory_finish(&m);
}
END_TEST

/* What was evicted and then truncated is a payload again when it is written anew. */
START_TEST(truncates_below_what_was_evicted)
{
    struct log_memory m;

    log_memory_init(&m, 1, 0);
    append(&m, 20, 1);
    log_memory_evict(&m, 16, 0);
    log_memory_truncate(&m, 6);
    append(&m, 3, 2);
    check_payloads(&m, 6, 8);
    ck_assert(!log_memory_has_payload(&m, 5));
    log_memory_finish(&m);
}
END_TEST

START_TEST(trims_beyond_what_was_evicted)
{
    struct log_memory m;

    log_memory_init(&m, 1, 0);
    append(&m, 10, 4);
    log_memory_evict(&m, 4, 0);
    log_memory_trim(&m, 6);
    ck_assert_uint_eq(m.first, 7);
    ck_assert_uint_eq(log_memory_term(&m, 6), 4);
    check_payloads(&m, 7, 10);
    log_memory_trim(&m, 10);
    ck_assert_uint_eq(log_memory_last(&m), 10);
    ck_assert_uint_eq(log_memory_term(&m, 10), 4);
    ck_assert_uint_eq(m.cached_bytes, 0);
    log_memory_finish(&m);
}
END_TEST

START_TEST(reset_begins_after_the_snapshot)
{
    struct log_memory m;

    log_memory_init(&m, 1, 0);
    append(&m, 70, 1);
    log_memory_evict(&m, 30, 0);
    log_memory_reset(&m, 200, 9);
    ck_assert_uint_eq(log_memory_last(&m), 200);
    ck_assert_uint_eq(log_memory_term(&m, 200), 9);
    ck_assert_ptr_null(log_memory_at(&m, 70));
    append(&m, 3, 9);
    check_payloads(&m, 201, 203);
    log_memory_finish(&m);
}
END_TEST

/* Entries without payload (no-ops) count as here. */
START_TEST(no_payload_is_nothing_to_miss)
{
    struct log_memory m;

    log_memory_init(&m, 1, 0);
    log_memory_append(&m, (struct log_entry){.term = 1, .kind = ENTRY_NOOP});
    ck_assert(log_memory_has_payload(&m, 1));
    ck_assert_uint_eq(m.cached_bytes, 0);
    log_memory_finish(&m);
}
END_TEST

START_TEST(trim_beyond_the_end_is_a_mistake)
{
    struct log_memory m;

    log_memory_init(&m, 1, 0);
    append(&m, 3, 1);
    log_memory_trim(&m, 4);
}
END_TEST

START_TEST(truncate_below_the_first_is_a_mistake)
{
    struct log_memory m;

    log_memory_init(&m, 5, 1);
    append(&m, 3, 1);
    log_memory_truncate(&m, 4);
}
END_TEST

UNIT_MAIN("log_memory",
          unit_case("ring",
                    empty_knows_only_its_base,
                    extreme_indexes_are_not_there,
                    grows_over_its_end,
                    truncate_and_write_anew,
                    reset_begins_after_the_snapshot),
          unit_case("payloads",
                    evicts_the_oldest_and_only_what_is_not_needed,
                    truncates_below_what_was_evicted,
                    trims_beyond_what_was_evicted,
                    no_payload_is_nothing_to_miss),
          unit_case_aborts("mistakes",
                           trim_beyond_the_end_is_a_mistake,
                           truncate_below_the_first_is_a_mistake))
