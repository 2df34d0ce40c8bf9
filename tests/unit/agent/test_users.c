/* test_users.c - whom tasks may run as, by the options of the agent. */
#include "agent/users.h"

#include "tests/lib/unit.h"

#include <stdio.h>
#include <unistd.h>

static struct users *users;

static void open_users(const char *allowed, const char *default_user, bool image_root)
{
    const struct users_options options = {
        .allowed = allowed, .default_user = default_user, .image_root = image_root};
    struct error err;

    users_destroy(users);
    ck_assert_msg(users_create(&users, &options, &err) == 0, "%s", err.text);
}

static void teardown(void)
{
    users_destroy(users);
    users = NULL;
}

/* -1: it may not be. */
static long uid_of(const char *name)
{
    const struct user *user;
    struct error err;

    return users_find(users, name, &user, &err) == 0 ? (long)user->uid : -1;
}

static bool may_be(uint32_t uid)
{
    const struct users_of_images *images = users_of_images(users);

    for (size_t i = 0; i < images->count; i++)
        if (images->list[i].uid == uid)
            return true;
    return images->any || (images->from > 0 && uid >= images->from);
}

START_TEST(without_options_all_but_the_systems)
{
    open_users(NULL, NULL, false);
    ck_assert_int_eq(uid_of(NULL), 0);
    ck_assert_int_eq(uid_of("root"), 0);
    ck_assert_int_eq(uid_of("nobody"), 65534);
    ck_assert_int_eq(uid_of("daemon"), -1);
    ck_assert(users_of_images(users)->any);
}
END_TEST

START_TEST(with_a_default_nobody_is_the_agent)
{
    open_users(NULL, "nobody", false);
    ck_assert_int_eq(uid_of(NULL), 65534);
    ck_assert_int_eq(uid_of("root"), -1);
    ck_assert_int_eq(uid_of("nobody"), 65534);
    ck_assert(!may_be(0) && !may_be(1) && may_be(1000) && may_be(65534));
    open_users(NULL, "daemon", false);
    ck_assert_int_eq(uid_of("daemon"), 1);
    ck_assert(!may_be(0) && may_be(1) && !may_be(2));
}
END_TEST

START_TEST(a_list_is_all)
{
    open_users("daemon,nobody", NULL, false);
    ck_assert_int_eq(uid_of("root"), -1);
    ck_assert_int_eq(uid_of("daemon"), 1);
    ck_assert(!may_be(0) && may_be(1) && !may_be(1000) && may_be(65534));
    open_users("daemon,root", "nobody", false);
    ck_assert_int_eq(uid_of("root"), 0);
    ck_assert(may_be(0) && may_be(33));
    open_users("*", "nobody", false);
    ck_assert_int_eq(uid_of("root"), 0);
    ck_assert(may_be(0) && may_be(33));
}
END_TEST

START_TEST(root_of_images_is_given_apart)
{
    open_users("nobody", "nobody", true);
    ck_assert_int_eq(uid_of("root"), -1);
    ck_assert(may_be(0) && may_be(33));
}
END_TEST

int main(void)
{
    TCase *c = unit_case("users",
                         without_options_all_but_the_systems,
                         with_a_default_nobody_is_the_agent,
                         a_list_is_all,
                         root_of_images_is_given_apart);

    if (geteuid() != 0) {
        printf("1..0 # SKIP only root can start tasks as others\n");
        return 0;
    }
    tcase_add_checked_fixture(c, NULL, teardown);
    return unit_run("users", &c, 1);
}
