/* test_resources.c - exact amounts, and how people write them. */
#include "wire/resources.h"

#include "base/limits.h"
#include "wire_test.h"

#include <signal.h>

START_TEST(test_arithmetic)
{
    struct resources a = {{1500, 100, 7, 0}}, b = {{500, 100, 0, 0}};
    const struct resources before = a;

    ck_assert(resources_contain(&a, &b));
    ck_assert(!resources_contain(&b, &a));
    resources_subtract(&a, &b);
    ck_assert_uint_eq(a.amount[RESOURCE_CPUS], 1000);
    ck_assert_uint_eq(a.amount[RESOURCE_MEM], 0);
    ck_assert(!resources_equal(&a, &before));
    resources_add(&a, &b);
    ck_assert(resources_equal(&a, &before));
    resources_subtract(&a, &before);
    ck_assert(resources_equal(&a, &(struct resources){0}));
}
END_TEST

START_TEST(test_more_than_64_bits_is_as_much_as_they_hold)
{
    const struct resources a = {{1500, LIMIT_RESOURCE, 0, UINT64_MAX / 2}};
    struct resources sum = resources_times(&a, 3);

    ck_assert_uint_eq(sum.amount[RESOURCE_CPUS], 4500);
    ck_assert_uint_eq(sum.amount[RESOURCE_MEM], 3 * LIMIT_RESOURCE);
    ck_assert_uint_eq(sum.amount[RESOURCE_DISK], 0);
    ck_assert_uint_eq(sum.amount[RESOURCE_GPUS], UINT64_MAX);
}
END_TEST

START_TEST(test_negative_is_a_bug)
{
    struct resources a = {{1, 1, 1, 1}}, b = {{0, 0, 0, 2}};

    resources_subtract(&a, &b);
}
END_TEST

START_TEST(test_overflow_is_a_bug)
{
    struct resources a = {{0, UINT64_MAX, 0, 0}}, b = {{0, 1, 0, 0}};

    resources_add(&a, &b);
}
END_TEST

START_TEST(test_bytes)
{
    struct resources a = {{1500, LIMIT_RESOURCE, 0, 3}}, b;
    struct buffer out = {0};
    struct unpack u;
    struct error err;

    resources_pack(&a, &out);
    unpack_init(&u, buffer_view(&out));
    resources_unpack(&b, &u);
    ck_assert_int_eq(unpack_finish(&u, "resources", &err), 0);
    ck_assert(resources_equal(&a, &b));

    buffer_clear(&out);
    a.amount[RESOURCE_MEM]++;
    resources_pack(&a, &out);
    unpack_init(&u, buffer_view(&out));
    resources_unpack(&b, &u);
    ck_assert_error(
        unpack_finish(&u, "resources", &err), err, ERROR_INVALID, "too large");
    buffer_finish(&out);
}
END_TEST

/* An error's code, or 0 and the amount. */
static const struct {
    enum resource_kind kind;
    const char *text;
    enum error_code code;
    uint64_t amount;
    const char *error;
} AMOUNTS[] = {
    {RESOURCE_CPUS, "1", 0, 1000, NULL},
    {RESOURCE_CPUS, "1.5", 0, 1500, NULL},
    {RESOURCE_CPUS, "0.001", 0, 1, NULL},
    {RESOURCE_CPUS, "0.25", 0, 250, NULL},
    {RESOURCE_CPUS, "0", 0, 0, NULL},
    {RESOURCE_CPUS, "9007199254740.992", 0, LIMIT_RESOURCE, NULL},
    {RESOURCE_CPUS,
     "9007199254740.993",
     ERROR_TOO_LARGE,
     0,
     "the most is 9007199254740 cpus"},
    {RESOURCE_CPUS, "99999999999999999999", ERROR_TOO_LARGE, 0, "the most is"},
    {RESOURCE_CPUS, "18446744073709551.5", ERROR_TOO_LARGE, 0, "is too large"},
    {RESOURCE_CPUS, "99999999999999999999G", ERROR_INVALID, 0, "not a number"},
    {RESOURCE_CPUS,
     "-1",
     ERROR_INVALID,
     0,
     "cpus: -1 is negative; give a number of cpus above 0, with at most three "
     "decimals"},
    {RESOURCE_CPUS, "1.0001", ERROR_INVALID, 0, "too many decimals"},
    {RESOURCE_CPUS, "1.", ERROR_INVALID, 0, "'1.' is not a number"},
    {RESOURCE_CPUS, ".5", ERROR_INVALID, 0, "'.5' is not a number"},
    {RESOURCE_CPUS, "1e3", ERROR_INVALID, 0, "not a number"},
    {RESOURCE_CPUS, "+1", ERROR_INVALID, 0, "not a number"},
    {RESOURCE_CPUS, "", ERROR_INVALID, 0, "not a number"},
    {RESOURCE_CPUS, "1 ", ERROR_INVALID, 0, "not a number"},
    {RESOURCE_CPUS, "two", ERROR_INVALID, 0, "'two' is not a number"},
    {RESOURCE_MEM, "128", 0, 128 * MIB, NULL},
    {RESOURCE_MEM, "0.5", 0, 512 * KIB, NULL},
    {RESOURCE_MEM, "0.001", 0, 1048, NULL},
    {RESOURCE_MEM, "8589934592", 0, LIMIT_RESOURCE, NULL},
    {RESOURCE_MEM,
     "8589934592.001",
     ERROR_TOO_LARGE,
     0,
     "mem: 8589934592.001 is too large"},
    {RESOURCE_DISK, "-0.5", ERROR_INVALID, 0, "disk: -0.5 is negative"},
    {RESOURCE_DISK,
     "1G",
     ERROR_INVALID,
     0,
     "disk: '1G' is not a number; give a number of MiB, as 1024"},
    {RESOURCE_GPUS, "2", 0, 2, NULL},
    {RESOURCE_GPUS, "0.5", ERROR_INVALID, 0, "gpus: '0.5' is not a whole number"},
    {RESOURCE_GPUS, "-1", ERROR_INVALID, 0, "gpus: '-1'"},
    {RESOURCE_GPUS, "9007199254740992", 0, LIMIT_RESOURCE, NULL},
    {RESOURCE_GPUS, "9007199254740993", ERROR_TOO_LARGE, 0, "the most is"},
    {RESOURCE_GPUS, "99999999999999999999", ERROR_TOO_LARGE, 0, "the most is"},
    {RESOURCE_MEM, "99999999999999999", ERROR_TOO_LARGE, 0, "8589934592 MiB"},
};

START_TEST(test_parse_amount)
{
    uint64_t amount = 0;
    struct error err;
    int rc = resource_parse(AMOUNTS[_i].kind, &amount, AMOUNTS[_i].text, &err);

    if (AMOUNTS[_i].code == 0)
        ck_assert_done(rc, err);
    else
        ck_assert_error(rc, err, AMOUNTS[_i].code, AMOUNTS[_i].error);
    ck_assert_uint_eq(amount, AMOUNTS[_i].amount);
}
END_TEST

START_TEST(test_parse_resources)
{
    struct resources r = {{7, 7, 7, 7}};
    struct port_range ranges[LIMIT_PORT_RANGES];
    struct custom_resources custom = {0};
    size_t count = 9;
    struct error err;
    int rc =
        resources_parse(&r,
                        ranges,
                        &count,
                        &custom,
                        " cpus:4; mem:8192;;ports:[33000-33010, 31000-32000,8080] ;",
                        &err);

    ck_assert_done(rc, err);
    ck_assert_uint_eq(r.amount[RESOURCE_CPUS], 4000);
    ck_assert_uint_eq(r.amount[RESOURCE_MEM], 8192 * MIB);
    ck_assert_uint_eq(r.amount[RESOURCE_DISK], 7); /* not named: as it was */
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(ranges[0].first, 8080);
    ck_assert_uint_eq(ranges[0].last, 8080);
    ck_assert_uint_eq(ranges[1].first, 31000);
    ck_assert_uint_eq(ranges[2].last, 33010);

    count = 9;
    ck_assert_int_eq(resources_parse(&r, ranges, &count, &custom, "", &err), 0);
    ck_assert_uint_eq(count, 9);
    ck_assert_int_eq(resources_parse(&r, ranges, &count, &custom, "ports:[]", &err), 0);
    ck_assert_uint_eq(count, 0);
}
END_TEST

static const struct {
    const char *text;
    const char *error;
} WRONG[] = {
    {"cpus", "'cpus' is none; give cpus:N"},
    {"gpu:1", "'gpu' is none; did you mean gpus?"},
    {"mme:1", "'mme' is none; did you mean mem?"},
    {"a licence:1x", "alicence: '1x' is no amount"},
    {"licence:0", "give an amount above 0"},
    {"licence:1;licence:2", "custom: licence is given twice"},
    {"li/cence:1", "is no name of a resource"},
    {"cpus:1;cpus:2", "'cpus:2' is given twice"},
    {"mem:-5", "mem: -5 is negative"},
    {"ports:31000", "'31000' is not a list of ranges"},
    {"ports:[1-2", "not a list"},
    {"ports:[1-2]x", "not a list"},
    {"ports:[1-2 3-4]", "not a list"},
    {"ports:[,]", "not a list"},
    {"ports:[1-]", "not a list"},
    {"ports:[1-65536]", "not a list"},
    {"ports:[5-4]", "5-4 is not a range"},
    {"ports:[0-4]", "0-4 is not a range"},
    {"ports:[1-5,5-9]", "1-5 and 5-9 overlap"},
    {"ports:[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "more than 16"},
};

START_TEST(test_parse_wrong)
{
    struct resources r = {0};
    struct port_range ranges[LIMIT_PORT_RANGES];
    struct custom_resources custom = {0};
    size_t count = 0;
    struct error err;

    ck_assert_int_lt(resources_parse(&r, ranges, &count, &custom, WRONG[_i].text, &err),
                     0);
    ck_assert_msg(strstr(err.text, WRONG[_i].error) != NULL, "%s", err.text);
    custom_resources_finish(&custom);
}
END_TEST

START_TEST(test_parse_custom)
{
    struct resources r = {0};
    struct port_range ranges[LIMIT_PORT_RANGES];
    struct custom_resources custom = {0};
    size_t count = 0;
    struct error err;

    ck_assert_int_eq(
        resources_parse(
            &r, ranges, &count, &custom, "licence:3;cpus:1;disc.slots:0.5", &err),
        0);
    ck_assert_uint_eq(custom.count, 2);
    ck_assert_str_eq(custom.items[0].name, "disc.slots");
    ck_assert_uint_eq(custom_resources_amount(&custom, "disc.slots"), 500);
    ck_assert_uint_eq(custom_resources_amount(&custom, "licence"), 3000);
    ck_assert_uint_eq(custom_resources_amount(&custom, "other"), 0);
    custom_resources_finish(&custom);
}
END_TEST

START_TEST(test_parse_too_long)
{
    char text[2000] = "cpus:";
    struct resources r = {0};
    struct port_range ranges[LIMIT_PORT_RANGES];
    struct custom_resources custom = {0};
    size_t count = 0;
    struct error err;

    memset(text + 5, '1', sizeof(text) - 6);
    text[sizeof(text) - 1] = '\0';
    ck_assert_error(resources_parse(&r, ranges, &count, &custom, text, &err),
                    err,
                    ERROR_TOO_LARGE,
                    "too long");
}
END_TEST

/* What parse gives for a text of thousandths, for any of them. */
START_TEST(test_random_cpus)
{
    uint64_t seed = test_seed(_i);
    struct rng r = {seed};

    for (int n = 0; n < 1000; n++) {
        uint64_t milli = rng_below(&r, LIMIT_RESOURCE >> rng_below(&r, 50)), parsed;
        char text[32];
        struct error err;

        snprintf(text,
                 sizeof(text),
                 "%llu.%03llu",
                 (unsigned long long)(milli / 1000),
                 (unsigned long long)(milli % 1000));
        ck_assert_seed(resource_parse_cpus(&parsed, text, &err) == 0, seed);
        ck_assert_seed(parsed == milli, seed);
    }
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("resources");

    tcase_add_test(t, test_arithmetic);
    tcase_add_test(t, test_more_than_64_bits_is_as_much_as_they_hold);
    tcase_add_test_raise_signal(t, test_negative_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(t, test_overflow_is_a_bug, SIGABRT);
    tcase_add_test(t, test_bytes);
    tcase_add_loop_test(t, test_parse_amount, 0, COUNT(AMOUNTS));
    tcase_add_test(t, test_parse_resources);
    tcase_add_loop_test(t, test_parse_wrong, 0, COUNT(WRONG));
    tcase_add_test(t, test_parse_custom);
    tcase_add_test(t, test_parse_too_long);
    tcase_add_loop_test(t, test_random_cpus, 0, 4);
    return unit_run("resources", &t, 1);
}
