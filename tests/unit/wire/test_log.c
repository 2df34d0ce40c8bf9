/* test_log.c - who owns the payloads of log operations. */
#include "wire/log.h"

#include "base/mem.h"
#include "wire_test.h"

static unsigned references(const struct blob *b)
{
    return atomic_load(&b->references);
}

START_TEST(test_append_owns_its_payloads)
{
    struct blob *payload = blob_copy(LITERAL("command"));
    struct log_op *op = mem_zalloc(sizeof(*op));

    op->kind = LOG_APPEND;
    op->append = (struct log_entries){
        .first = 7, .count = 2, .entries = mem_zalloc(2 * sizeof(struct log_entry))};
    op->append.entries[0].payload = blob_ref(payload); /* the other one is empty */
    ck_assert_uint_eq(references(payload), 2);
    log_op_destroy(op);
    ck_assert_uint_eq(references(payload), 1);
    blob_unref(payload);
}
END_TEST

START_TEST(test_other_operations_own_nothing)
{
    struct log_op *op = mem_zalloc(sizeof(*op));

    op->kind = LOG_META;
    op->meta.term = 5;
    log_op_destroy(op);
    log_op_destroy(NULL);
}
END_TEST

START_TEST(test_finished_entries_are_empty)
{
    struct log_entries e = {
        .first = 3, .count = 1, .entries = mem_zalloc(sizeof(*e.entries))};

    log_entries_finish(&e);
    ck_assert_uint_eq(e.count, 0);
    ck_assert_ptr_null(e.entries);
    log_entries_finish(&e);
}
END_TEST

START_TEST(test_copied_meta_shares_the_configuration)
{
    struct blob *old = blob_copy(LITERAL("old")), *new = blob_copy(LITERAL("new"));
    struct snapshot_meta from = {.index = 9, .term = 2, .configuration = blob_ref(new)};
    struct snapshot_meta to = {.index = 1, .configuration = blob_ref(old)};

    snapshot_meta_copy(&to, &from);
    ck_assert_uint_eq(to.index, 9);
    ck_assert_ptr_eq(to.configuration, new);
    ck_assert_uint_eq(references(new), 3);
    ck_assert_uint_eq(references(old), 1);
    snapshot_meta_finish(&to);
    snapshot_meta_finish(&from);
    ck_assert_uint_eq(references(new), 1);
    ck_assert_ptr_null(to.configuration);
    blob_unref(old);
    blob_unref(new);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("log");

    tcase_add_test(t, test_append_owns_its_payloads);
    tcase_add_test(t, test_other_operations_own_nothing);
    tcase_add_test(t, test_finished_entries_are_empty);
    tcase_add_test(t, test_copied_meta_shares_the_configuration);
    return unit_run("log", &t, 1);
}
