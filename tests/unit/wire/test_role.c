/* test_role.c - what a role may say, and the bytes of a change. */
#include "wire/role.h"

#include "base/mem.h"
#include "base/text.h"
#include "wire_test.h"

static struct role_spec spec;
static struct role_change change;
static struct buffer out;
static struct error err;

static void setup(void)
{
    role_spec_init(&spec);
    change = (struct role_change){.name = mem_strdup("batch")};
}

static void teardown(void)
{
    role_spec_finish(&spec);
    role_change_finish(&change);
    buffer_finish(&out);
}

#define ck_assert_broken(part) \
    ck_assert_error(role_spec_check(&spec, &err), err, ERROR_INVALID, part)
#define ck_assert_valid()                            \
    do {                                             \
        int valid_rc = role_spec_check(&spec, &err); \
        ck_assert_done(valid_rc, err);               \
    } while (0)

START_TEST(test_names_of_values)
{
    ck_assert_str_eq(role_order_name(ROLE_FCFS), "fcfs");
    ck_assert_str_eq(role_order_name(ROLE_FAIR), "fair");
    ck_assert_str_eq(role_order_name((enum role_order)99), "unknown");
}
END_TEST

START_TEST(test_names)
{
    static const char *const RIGHT[] = {"default", "a", "0", "batch.night-2_x"};
    static const char *const WRONG[] = {
        "", "-a", ".a", "_", "Batch", "a b", "a/b", "ä"};
    char longest[LIMIT_ROLE_BYTES + 2];

    for (size_t i = 0; i < sizeof(RIGHT) / sizeof(RIGHT[0]); i++)
        ck_assert_msg(role_name_valid(text_view(RIGHT[i])), "%s", RIGHT[i]);
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++)
        ck_assert_msg(!role_name_valid(text_view(WRONG[i])), "%s", WRONG[i]);
    memset(longest, 'r', sizeof(longest));
    longest[LIMIT_ROLE_BYTES + 1] = '\0';
    ck_assert(!role_name_valid(text_view(longest)));
    longest[LIMIT_ROLE_BYTES] = '\0';
    ck_assert(role_name_valid(text_view(longest)));
}
END_TEST

START_TEST(test_numbers)
{
    ck_assert_valid();
    spec.priority = 1001;
    ck_assert_broken("priority: 1001");
    spec.priority = -1000;
    ck_assert_valid();
    spec.weight = 0;
    ck_assert_broken("weight: ");
    spec.weight = 1000001;
    ck_assert_broken("weight: ");
    spec.weight = 1000000;
    ck_assert_valid();
    spec.alpha = 1001;
    ck_assert_broken("alpha: 1001; give a number from 0 to 1000");
    spec.alpha = 1000;
    spec.reserve_ms = LIMIT_JOB_TIME_MS + 1;
    ck_assert_broken("reserve: give a time of at most 365d, or off");
    spec.reserve_ms = ROLE_NEVER;
    spec.preempt = 100001;
    ck_assert_broken("preempt: 100001; give a number from 0 to 100000");
    spec.preempt = 100000;
    spec.rebalance = 100001;
    ck_assert_broken("rebalance: 100001; give a number from 0 to 100000");
    spec.rebalance = 100000;
    ck_assert_valid();
}
END_TEST

START_TEST(test_times)
{
    spec.aging_ms = LIMIT_JOB_TIME_MS + 1;
    ck_assert_broken("aging: ");
    spec.aging_ms = ROLE_NEVER;
    ck_assert_valid();
    spec.aging_ms = 0;
    spec.length_ms = 0;
    ck_assert_broken("length: ");
    spec.length_ms = LIMIT_JOB_TIME_MS + 1;
    ck_assert_broken("length: ");
    spec.length_ms = LIMIT_JOB_TIME_MS;
    ck_assert_valid();
}
END_TEST

START_TEST(test_bounds)
{
    spec.max.kinds = 1u << RESOURCE_MEM;
    spec.max.amount.amount[RESOURCE_MEM] = 5;
    spec.min.kinds = 1u << RESOURCE_MEM | 1u << RESOURCE_CPUS;
    spec.min.amount.amount[RESOURCE_CPUS] = 7000; /* of which there is no maximum */
    spec.min.amount.amount[RESOURCE_MEM] = 5;
    ck_assert_valid();
    spec.min.amount.amount[RESOURCE_MEM] = 6;
    ck_assert_broken("min: more mem than max");
    spec.min.kinds = 0;
    ck_assert_broken("min: half of an amount");
    spec.min.kinds = 1u << RESOURCE_KINDS;
    ck_assert_broken("min: a kind that is not known");
    spec.min.kinds = 1u << RESOURCE_MEM;
    spec.min.amount = (struct resources){{0, 5, 0, 0}};
    ck_assert_broken("min: name cpus as well");
    spec.min.kinds = 1u << RESOURCE_CPUS | 1u << RESOURCE_GPUS;
    spec.min.amount = (struct resources){{1000, 0, 0, 0}};
    ck_assert_broken("min: gpus: 0 is always there");
    spec.min.kinds = 1u << RESOURCE_DISK;
    spec.min.amount = (struct resources){{0, 0, LIMIT_RESOURCE + 1, 0}};
    ck_assert_error(role_spec_check(&spec, &err), err, ERROR_TOO_LARGE, "min: disk: ");
}
END_TEST

START_TEST(test_custom_bounds)
{
    custom_resources_add(&spec.min.custom, "licence", 2000);
    ck_assert_broken("min: name cpus as well");
    spec.min.kinds = 1u << RESOURCE_CPUS;
    spec.min.amount.amount[RESOURCE_CPUS] = 1000;
    ck_assert_valid();
    custom_resources_add(&spec.max.custom, "licence", 1000);
    ck_assert_broken("min: more licence than max");
    custom_resources_add(&spec.max.custom, "cpus", 1000);
    ck_assert_broken("max: custom: 'cpus'");
}
END_TEST

static int copied(struct role_change *to)
{
    buffer_clear(&out);
    role_change_pack(&change, &out);
    return role_change_unpack(to, buffer_view(&out), &err);
}

START_TEST(test_only_what_is_given_changes)
{
    struct role_change seen;
    struct role_spec before;

    role_spec_copy(&before, &spec);
    change.given = ROLE_HAS_WEIGHT | ROLE_HAS_MAX | ROLE_HAS_LENGTH;
    change.spec.weight = 250;
    change.spec.length_ms = 7;
    change.spec.max.kinds = 1u << RESOURCE_CPUS;
    change.spec.max.amount.amount[RESOURCE_CPUS] = 3000;
    custom_resources_add(&change.spec.max.custom, "licence", 4000);
    ck_assert_done(copied(&seen), err);
    ck_assert_uint_eq(seen.given, change.given);
    role_change_apply(&seen, &spec);
    ck_assert(!role_spec_equal(&spec, &before));
    ck_assert_uint_eq(spec.weight, 250);
    ck_assert_uint_eq(spec.length_ms, 7);
    ck_assert_uint_eq(spec.max.amount.amount[RESOURCE_CPUS], 3000);
    ck_assert_uint_eq(custom_resources_amount(&spec.max.custom, "licence"), 4000);
    ck_assert_int_eq(spec.order, ROLE_PRIORITY);
    ck_assert_uint_eq(spec.aging_ms, ROLE_AGING_MS);
    role_change_apply(&seen, &before);
    ck_assert(role_spec_equal(&spec, &before));
    role_spec_finish(&before);
    role_change_finish(&seen);
}
END_TEST

/* Later fields stand behind: bytes without them are what they were. */
START_TEST(test_later_fields_stand_behind)
{
    struct role_change seen;

    change.given = ROLE_HAS_PRIORITY;
    ck_assert_done(copied(&seen), err);
    ck_assert_uint_eq(out.data[0], 0x98);
    role_change_apply(&seen, &spec);
    ck_assert_uint_eq(spec.alpha, ROLE_ALPHA_DEFAULT);
    ck_assert_int_eq(spec.balance, BALANCE_BINPACK);
    role_change_finish(&seen);
    change.given = ROLE_HAS_BALANCE;
    change.spec.balance = BALANCE_SPREAD;
    ck_assert_done(copied(&seen), err);
    ck_assert_uint_eq(out.data[0], 0x9a);
    ck_assert_uint_eq(seen.given, ROLE_HAS_BALANCE);
    role_change_apply(&seen, &spec);
    ck_assert_uint_eq(spec.alpha, ROLE_ALPHA_DEFAULT);
    ck_assert_int_eq(spec.balance, BALANCE_SPREAD);
    role_change_finish(&seen);
    change.given = ROLE_HAS_PREEMPT;
    change.spec.preempt = 7;
    ck_assert_done(copied(&seen), err);
    ck_assert_uint_eq(out.data[0], 0x9c);
    ck_assert_uint_eq(seen.given, ROLE_HAS_PREEMPT);
    role_change_apply(&seen, &spec);
    ck_assert_int_eq(spec.balance, BALANCE_SPREAD);
    ck_assert_uint_eq(spec.preempt, 7);
    role_change_finish(&seen);
    change.given = ROLE_HAS_REBALANCE;
    change.spec.rebalance = 5;
    ck_assert_done(copied(&seen), err);
    ck_assert_uint_eq(out.data[0], 0x9d);
    ck_assert_uint_eq(seen.given, ROLE_HAS_REBALANCE);
    role_change_apply(&seen, &spec);
    ck_assert_uint_eq(spec.preempt, 7);
    ck_assert_uint_eq(spec.rebalance, 5);
    role_change_finish(&seen);
}
END_TEST

START_TEST(test_reserve_stands_behind_them)
{
    struct role_change seen;

    ck_assert_uint_eq(spec.reserve_ms, ROLE_RESERVE_MS);
    change.given = ROLE_HAS_RESERVE;
    change.spec.reserve_ms = ROLE_NEVER;
    ck_assert_done(copied(&seen), err);
    ck_assert_uint_eq(out.data[0], 0x9b);
    ck_assert_uint_eq(seen.given, ROLE_HAS_RESERVE);
    role_change_apply(&seen, &spec);
    ck_assert_uint_eq(spec.reserve_ms, ROLE_NEVER);
    ck_assert_uint_eq(spec.alpha, ROLE_ALPHA_DEFAULT);
    role_change_finish(&seen);
}
END_TEST

START_TEST(test_wrong_changes_are_refused)
{
    struct role_change seen;

    change.given = ROLE_HAS_WEIGHT; /* of 0 */
    ck_assert_error(copied(&seen), err, ERROR_INVALID, "weight: ");
    change.given = 0;
    change.name[0] = 'B';
    ck_assert_error(copied(&seen), err, ERROR_INVALID, "role: 'Batch' is no name");
}
END_TEST

START_TEST(test_wrong_bytes_are_refused)
{
    struct role_change seen;

    change.given = ROLE_HAS_REBALANCE;
    ck_assert_done(copied(&seen), err);
    role_change_finish(&seen);
    for (size_t n = 0; n < out.size; n++)
        ck_assert_int_lt(role_change_unpack(&seen, (struct bytes){out.data, n}, &err),
                         0);
    out.data[0]++; /* one field more, of a newer version */
    pack_nil(&out);
    ck_assert_error(role_change_unpack(&seen, buffer_view(&out), &err),
                    err,
                    ERROR_VERSION,
                    "role: ");
}
END_TEST

int main(void)
{
    TCase *c = unit_case("role",
                         test_names_of_values,
                         test_names,
                         test_numbers,
                         test_times,
                         test_bounds,
                         test_custom_bounds,
                         test_only_what_is_given_changes,
                         test_later_fields_stand_behind,
                         test_reserve_stands_behind_them,
                         test_wrong_changes_are_refused,
                         test_wrong_bytes_are_refused);

    tcase_add_checked_fixture(c, setup, teardown);
    return unit_run("role", &c, 1);
}
