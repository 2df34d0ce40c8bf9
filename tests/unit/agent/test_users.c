/* test_users.c - whom tasks may run as, by the options of the agent. */
#include "agent/users.h"

#include "base/limits.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/directory.h"

#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct users *users;
static int wake = -1;
static bool hangs; /* the directory of the next open_users() */

static void open_users(const char *allowed, const char *default_user, bool image_root)
{
    const struct users_options options = {.allowed = allowed,
                                          .default_user = default_user,
                                          .image_root = image_root,
                                          .find = hangs ? directory_find : NULL};
    struct error err;

    users_destroy(users);
    ck_assert_msg(users_create(&users, &options, &err) == 0, "%s", err.text);
    if (wake < 0)
        wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    users_wake(users, wake);
}

static void teardown(void)
{
    directory_let_go();
    users_destroy(users);
    users = NULL;
}

/* For an answer; it is noticed late at worst. */
static void wait_briefly(void)
{
    eventfd_t woken;

    ck_assert_int_eq(poll(&(struct pollfd){.fd = wake, .events = POLLIN}, 1, 20000), 1);
    eventfd_read(wake, &woken);
}

/* -1: it may not be. */
static long uid_of(const char *name)
{
    const struct user *user;
    struct error err;
    int rv;

    while ((rv = users_find(users, name, &user, &err)) == USERS_ASKED)
        wait_briefly();
    return rv == 0 ? (long)user->uid : -1;
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

/* ---- a directory that hangs ---- */

static int find(const char *name)
{
    const struct user *user;
    struct error err;

    return users_find(users, name, &user, &err);
}

START_TEST(others_are_found_meanwhile)
{
    hangs = true;
    open_users(NULL, NULL, false);
    ck_assert_int_eq(find("slow"), USERS_ASKED);
    directory_wait_for(1);
    ck_assert_int_eq(find("slow"), USERS_ASKED);
    ck_assert_int_eq(uid_of("quick"), (long)geteuid());
    ck_assert(!users_wait(users)); /* "quick" was the last: nothing to wait for */
    directory_let_go();
    ck_assert_int_eq(uid_of("slow"), (long)geteuid());
}
END_TEST

START_TEST(so_many_hang_at_once)
{
    char name[16];

    hangs = true;
    open_users(NULL, NULL, false);
    for (unsigned i = 0; i < LIMIT_USERS_KNOWN + 10; i++) {
        snprintf(name, sizeof(name), "slow %u", i);
        ck_assert_int_eq(find(name), USERS_ASKED);
    }
    directory_wait_for(LIMIT_USER_LOOKUPS);
    ck_assert_int_eq(find("quick"), USERS_ASKED);
    directory_let_go();
    ck_assert_int_eq(uid_of("quick"), (long)geteuid());
    ck_assert_int_eq(uid_of(name), (long)geteuid());
}
END_TEST

START_TEST(waiting_is_for_a_moment)
{
    hangs = true;
    open_users(NULL, NULL, false);
    ck_assert_int_eq(find("slow"), USERS_ASKED);
    ck_assert(!users_wait(users));
    directory_let_go();
    ck_assert_int_eq(uid_of("slow"), (long)geteuid());
    ck_assert_int_eq(find("quick"), USERS_ASKED);
    users_wait(users);
    ck_assert_int_eq(uid_of("quick"), (long)geteuid());
}
END_TEST

int main(void)
{
    TCase *c = unit_case("users",
                         without_options_all_but_the_systems,
                         with_a_default_nobody_is_the_agent,
                         a_list_is_all,
                         root_of_images_is_given_apart,
                         others_are_found_meanwhile,
                         so_many_hang_at_once,
                         waiting_is_for_a_moment);

    if (geteuid() != 0) {
        printf("1..0 # SKIP only root can start tasks as others\n");
        return 0;
    }
    tcase_add_checked_fixture(c, NULL, teardown);
    return unit_run("users", &c, 1);
}
