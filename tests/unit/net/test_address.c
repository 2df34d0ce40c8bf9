/* test_address.c - HOST:PORT and --cluster as people write them. */
#include "net_test.h"

#include <string.h>

START_TEST(addresses_have_one_canonical_text)
{
    static const struct {
        const char *text, *canonical, *host;
        unsigned port;
    } cases[] = {
        {"127.0.0.1:5049", "127.0.0.1:5049", "127.0.0.1", 5049},
        {"Master-1.Example:05049", "master-1.example:5049", "master-1.example", 5049},
        {"[::1]:1", "[::1]:1", "::1", 1},
        {"[0:0:0:0:0:0:0:1]:65535", "[::1]:65535", "::1", 65535},
        {"[FE80::A]:9", "[fe80::a]:9", "fe80::a", 9},
        {"my_container:80", "my_container:80", "my_container", 80},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address a;
        struct error err = {0};

        ck_assert_msg(address_parse(&a, cases[i].text, &err) == 0, "%s", err.text);
        ck_assert_str_eq(a.text, cases[i].canonical);
        ck_assert_str_eq(a.host, cases[i].host);
        ck_assert_uint_eq(a.port, cases[i].port);
    }
}
END_TEST

START_TEST(mistyped_addresses_are_refused)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "has no port"},
        {"host", "`host` has no port; write HOST:PORT"},
        {"host:", "the port is a number from 1 to 65535"},
        {"host:0", "the port is"},
        {"host:65536", "the port is"},
        {"host:99999999999999999999", "the port is"},
        {"host:+1", "the port is"},
        {"host:1 ", "the port is"},
        {":5049", "HOST is a name"},
        {"::1:5049", "in brackets"},
        {"[::1]", "has no port"},
        {"[::1:5049", "has no port"},
        {"[]:1", "HOST is a name"},
        {"[::1]x:1", "HOST is a name"},
        {"[127.0.0.1]:1", "HOST is a name"},
        {"10.0.0.300:1", "HOST is a name"},
        {"1.2.3:1", "HOST is a name"},
        {"a b:1", "HOST is a name"},
        {"a..b:1", "HOST is a name"},
        {"a.:1", "HOST is a name"},
        {"http://a:1", "in brackets"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address a;
        struct error err = {0};

        ck_assert_int_eq(address_parse(&a, cases[i].text, &err), -ERROR_INVALID);
        ck_assert_msg(
            strstr(err.text, cases[i].says) != NULL, "%s: %s", cases[i].text, err.text);
    }
}
END_TEST

START_TEST(a_long_address_is_refused)
{
    char text[ADDRESS_TEXT_MAX + 16];
    struct address a;

    memset(text, 'a', sizeof(text));
    memcpy(text + sizeof(text) - 3, ":1", 3);
    ck_assert_int_eq(address_parse(&a, text, NULL), -ERROR_TOO_LARGE);
}
END_TEST

START_TEST(port_zero_is_for_listening)
{
    struct address a;

    ck_assert_int_eq(address_parse_listen(&a, "0.0.0.0:0", NULL), 0);
    ck_assert_str_eq(a.text, "0.0.0.0:0");
}
END_TEST

START_TEST(lists_of_addresses)
{
    struct address a[3];
    struct error err = {0};

    ck_assert_int_eq(address_parse_list(a, 3, "h1:1,h2:2,h3:3", NULL), 3);
    ck_assert_str_eq(a[2].text, "h3:3");
    ck_assert_int_eq(address_parse_list(a, 3, "h1:1,H1:01", &err), -ERROR_INVALID);
    ck_assert_str_eq(err.text, "h1:1 is given twice");
    ck_assert_int_eq(address_parse_list(a, 3, "h1:1,", NULL), -ERROR_INVALID);
    ck_assert_int_eq(address_parse_list(a, 1, "h1:1,h2:2", NULL), -ERROR_TOO_LARGE);
}
END_TEST

START_TEST(a_cluster_is_sorted_and_has_one_hash)
{
    struct cluster a, b, c;
    char text[CLUSTER_TEXT_MAX];

    ck_assert_int_eq(cluster_parse(&a, "3=h3:3,1=H1:01,2=[::1]:2", NULL), 0);
    ck_assert_int_eq(cluster_parse(&b, "1=h1:1,2=[0::1]:2,3=h3:3", NULL), 0);
    ck_assert_int_eq(cluster_parse(&c, "1=h1:1,2=[0::1]:2,4=h3:3", NULL), 0);
    ck_assert_str_eq(cluster_text(&a, text), "1=h1:1,2=[::1]:2,3=h3:3");
    ck_assert(hash128_equal(cluster_hash(&a), cluster_hash(&b)));
    ck_assert(!hash128_equal(cluster_hash(&a), cluster_hash(&c)));
    ck_assert_str_eq(cluster_find(&a, 2)->address.text, "[::1]:2");
    ck_assert_ptr_null(cluster_find(&a, 4));
}
END_TEST

START_TEST(a_mistyped_cluster_is_refused_with_what_to_write)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"1=a:1,2=b:2,3=", "--cluster: `3=` has no address; write 3=HOST:PORT"},
        {"1=a:1,2=b:2,3", "--cluster: `3` has no id; write ID=HOST:PORT"},
        {"a:1,b:2,c:3", "--cluster: `a:1` has no id; write ID=HOST:PORT"},
        {"", "--cluster: a member is empty; write ID=HOST:PORT,ID=HOST:PORT,…"},
        {"1=a:1,2=b:2,",
         "--cluster: a member is empty; write ID=HOST:PORT,ID=HOST:PORT,…"},
        {"0=a:1", "--cluster: `0=a:1`: an id is a number from 1"},
        {"x=a:1", "--cluster: `x=a:1`: an id is a number from 1"},
        {"-1=a:1", "--cluster: `-1=a:1`: an id is a number from 1"},
        {"1=a", "--cluster: master 1: `a` has no port; write HOST:PORT"},
        {"1=a:1,2=b:2,1=c:3", "--cluster: id 1 is given twice"},
        {"1=a:1,2=b:2,3=A:1", "--cluster: masters 1 and 3 have the same address a:1"},
        {"1=a:1,2=b:2", "--cluster: 2 masters; a cluster has 1, 3 or 5"},
        {"1=a:1,2=b:2,3=c:3,4=d:4", "--cluster: 4 masters; a cluster has 1, 3 or 5"},
        {"1=a:1,2=b:2,3=c:3,4=d:4,5=e:5,6=f:6",
         "--cluster: more than 5 masters; a cluster has 1, 3 or 5"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cluster c;
        struct error err = {0};

        ck_assert_int_eq(cluster_parse(&c, cases[i].text, &err), -ERROR_INVALID);
        ck_assert_str_eq(err.text, cases[i].says);
    }
}
END_TEST

UNIT_MAIN("address",
          unit_case("address",
                    addresses_have_one_canonical_text,
                    mistyped_addresses_are_refused,
                    a_long_address_is_refused,
                    port_zero_is_for_listening,
                    lists_of_addresses),
          unit_case("cluster",
                    a_cluster_is_sorted_and_has_one_hash,
                    a_mistyped_cluster_is_refused_with_what_to_write))
