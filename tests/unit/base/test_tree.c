/* test_tree.c - all of a tree goes, and nothing beside it, whatever others do meanwhile. */
#include "base/tree.h"
#include "tests/lib/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY  65534
#define VICTIMS 200
#define PAIRS   8

static char work[] = "/tmp/triarch-tree-XXXXXX";

static void setup(void)
{
    strcpy(work + strlen(work) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(work));
    ck_assert_int_eq(chdir(work), 0);
}

static void teardown(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(tree_remove(work), 0);
}

static void make_file(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void make_folder(const char *path)
{
    ck_assert_int_eq(mkdir(path, 0755), 0);
}

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static void drop_root(void)
{
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(chown(work, NOBODY, NOBODY), 0);
    ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
    ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
    prctl(PR_SET_DUMPABLE, 1);
}

START_TEST(all_kinds_go)
{
    make_folder("tree");
    make_folder("tree/a");
    make_file("tree/a/file");
    make_folder("kept");
    make_file("kept/file");
    ck_assert_int_eq(symlink("../kept", "tree/link"), 0);
    ck_assert_int_eq(symlink("nowhere", "tree/a/dangling"), 0);
    ck_assert_int_eq(mkfifo("tree/fifo", 0600), 0);
    ck_assert_int_eq(tree_remove("tree"), 0);
    ck_assert(!is_there("tree"));
    ck_assert(is_there("kept/file"));
}
END_TEST

START_TEST(what_is_no_directory_goes)
{
    make_folder("kept");
    make_file("kept/file");
    make_file("file");
    ck_assert_int_eq(symlink("kept", "link"), 0);
    ck_assert_int_eq(tree_remove("file"), 0);
    ck_assert_int_eq(tree_remove("link"), 0);
    ck_assert_int_eq(tree_remove("nothing"), 0);
    ck_assert_int_eq(tree_remove("nothing/at/all"), 0);
    ck_assert(!is_there("file") && !is_there("link"));
    ck_assert(is_there("kept/file"));
}
END_TEST

START_TEST(emptied_directories_stay)
{
    make_folder("tree");
    make_folder("tree/a");
    make_file("tree/a/file");
    ck_assert_int_eq(tree_empty("tree"), 0);
    ck_assert_int_eq(tree_empty("nothing"), 0);
    ck_assert(is_there("tree") && !is_there("tree/a"));
    ck_assert_int_eq(rmdir("tree"), 0);
}
END_TEST

START_TEST(closed_directories_go)
{
    drop_root();
    make_folder("tree");
    make_folder("tree/a");
    make_folder("tree/a/b");
    make_file("tree/a/b/file");
    ck_assert_int_eq(chmod("tree/a/b", 0), 0);
    ck_assert_int_eq(chmod("tree/a", 0500), 0);
    ck_assert_int_eq(chmod("tree", 0), 0);
    ck_assert_int_eq(tree_remove("tree"), 0);
    ck_assert(!is_there("tree"));
}
END_TEST

/* Longer than any path may be, and with more directories than descriptors. */
static void make_deep(unsigned depth, unsigned size, mode_t mode)
{
    char name[256] = "";

    memset(name, 'n', size);
    make_folder("tree");
    ck_assert_int_eq(chdir("tree"), 0);
    for (unsigned i = 0; i < depth; i++) {
        make_folder(name);
        make_file(".1");
        ck_assert_int_eq(chdir(name), 0);
        ck_assert_int_eq(chmod(".", mode), 0);
    }
    ck_assert_int_eq(chdir(work), 0);
}

START_TEST(deep_ones_go)
{
    const struct rlimit files = {64, 64};

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    make_deep(300, 250, 0755);
    make_file("tree/.2");
    make_folder("tree/.3");
    make_file("tree/.3/file");
    ck_assert_int_eq(tree_remove("tree"), 0);
    ck_assert(!is_there("tree"));
}
END_TEST

START_TEST(deep_and_closed_ones_go)
{
    drop_root();
    make_deep(80, 1, 0700);
    ck_assert_int_eq(
        chmod("tree/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n",
              0),
        0);
    ck_assert_int_eq(
        chmod("tree/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n",
              0500),
        0);
    ck_assert_int_eq(tree_remove("tree"), 0);
    ck_assert(!is_there("tree"));
}
END_TEST

START_TEST(the_reason_is_told_and_the_rest_goes)
{
    drop_root();
    make_folder("tree");
    make_folder("tree/a");
    make_file("tree/b");
    ck_assert_int_eq(chmod(work, 0500), 0);
    ck_assert_int_eq(tree_remove("tree"), -1);
    ck_assert_int_eq(errno, EACCES);
    ck_assert(!is_there("tree/a") && !is_there("tree/b"));
    ck_assert_int_eq(chmod(work, 0700), 0);
}
END_TEST

/* In a mount namespace of its own; nothing else may make one. */
START_TEST(mounts_stay)
{
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        fprintf(stderr, "# skipped: mounts take root: %s\n", strerror(errno));
        return;
    }
    make_folder("tree");
    make_folder("tree/a");
    make_file("tree/b");
    make_folder("kept");
    make_file("kept/file");
    ck_assert_int_eq(mount("kept", "tree/a", NULL, MS_BIND, NULL), 0);
    ck_assert_int_eq(tree_remove("tree"), -1);
    ck_assert_int_eq(errno, EXDEV);
    ck_assert(is_there("kept/file") && !is_there("tree/b"));
    ck_assert_int_eq(umount("tree/a"), 0);
}
END_TEST

/* ---- who changes it meanwhile ---- */

static _Noreturn void exchange(void)
{
    char a[32], b[32];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        for (unsigned i = 0; i < PAIRS; i++) {
            snprintf(a, sizeof(a), "tree/d%u", i);
            snprintf(b, sizeof(b), "tree/l%u", i);
            renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
        }
    }
}

static void make_pairs(void)
{
    char path[64];

    make_folder("tree");
    for (unsigned i = 0; i < PAIRS; i++) {
        snprintf(path, sizeof(path), "tree/d%u", i);
        make_folder(path);
        snprintf(path, sizeof(path), "tree/l%u", i);
        ck_assert_int_eq(symlink("../victim", path), 0);
    }
}

static unsigned victims(bool make)
{
    unsigned count = 0;
    char path[64];

    for (unsigned i = 0; i < VICTIMS; i++) {
        snprintf(path, sizeof(path), "victim/%u", i);
        if (make)
            make_file(path);
        count += is_there(path);
    }
    return count;
}

START_TEST(links_in_the_place_of_directories_lead_nowhere)
{
    pid_t racer;

    make_folder("victim");
    victims(true);
    for (unsigned i = 0; i < 20; i++) {
        make_pairs();
        racer = fork();
        if (racer == 0)
            exchange();
        while (tree_remove("tree") != 0)
            ck_assert_uint_eq(victims(false), VICTIMS);
        kill(racer, SIGKILL);
        waitpid(racer, NULL, 0);
    }
    ck_assert_uint_eq(victims(false), VICTIMS);
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    return c;
}

UNIT_MAIN("tree",
          prepared(unit_case("tree",
                             all_kinds_go,
                             what_is_no_directory_goes,
                             emptied_directories_stay,
                             closed_directories_go,
                             deep_ones_go,
                             deep_and_closed_ones_go,
                             the_reason_is_told_and_the_rest_goes,
                             mounts_stay)),
          prepared(unit_case("others", links_in_the_place_of_directories_lead_nowhere)))
