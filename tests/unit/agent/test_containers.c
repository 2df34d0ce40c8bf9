/* test_containers.c - what an agent does about bundles, with a script for triarch-contain. */
#include "agent/containers.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANY 1000

static char contain[96], calls[96], bundles[96];

static void setup(void)
{
    int fd;

    agent_test_setup();
    snprintf(contain, sizeof(contain), "%s/contain", t.work_dir);
    snprintf(calls, sizeof(calls), "%s/calls", t.work_dir);
    snprintf(bundles, sizeof(bundles), "%s/bundles", t.work_dir);
    fd = open(contain, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_gt(dprintf(fd, "#!/bin/sh\necho \"$@\" >>%s\n", calls), 0);
    close(fd);
    ck_assert_int_eq(mkdir(bundles, 0700), 0);
}

static void make_bundle(const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", bundles, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static bool is_even(void *user, uint64_t attempt)
{
    (void)user;
    return attempt % 2 == 0;
}

static void count(unsigned *there, unsigned *gone)
{
    DIR *folder = opendir(bundles);
    struct dirent *entry;

    ck_assert_ptr_nonnull(folder);
    *there = *gone = 0;
    while ((entry = readdir(folder)) != NULL) {
        if (strstr(entry->d_name, CONTAINERS_GONE) != NULL)
            ++*gone;
        else if (entry->d_name[0] != '.')
            ++*there;
    }
    closedir(folder);
}

static void check_calls(unsigned wanted)
{
    char line[256], expected[256];
    FILE *f = fopen(calls, "re");
    unsigned lines = 0;

    snprintf(expected, sizeof(expected), "clean %s\n", t.work_dir);
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        ck_assert_str_eq(line, expected);
        lines++;
    }
    if (f != NULL)
        fclose(f);
    ck_assert_uint_eq(lines, wanted);
}

/* However many there are; what runs is left alone, also under the name that it gets next. */
START_TEST(one_process_removes_all)
{
    unsigned there, gone;
    char name[32];

    for (unsigned attempt = 1; attempt <= MANY; attempt++) {
        snprintf(name, sizeof(name), "%u", attempt);
        make_bundle(name);
    }
    containers_clean(contain, t.work_dir, is_even, NULL);
    count(&there, &gone);
    ck_assert_uint_eq(there, MANY / 2);
    ck_assert_uint_eq(gone, MANY / 2);
    check_calls(1);
    make_bundle("1");
    containers_clean(contain, t.work_dir, is_even, NULL);
    count(&there, &gone);
    ck_assert_uint_eq(gone, MANY / 2 + 1);
    check_calls(2);
}
END_TEST

START_TEST(what_an_earlier_agent_left)
{
    make_bundle("2-77" CONTAINERS_GONE);
    containers_clean(contain, t.work_dir, is_even, NULL);
    check_calls(1);
}
END_TEST

START_TEST(nothing_to_remove)
{
    unsigned there, gone;

    make_bundle("2");
    containers_clean(contain, t.work_dir, is_even, NULL);
    count(&there, &gone);
    ck_assert_uint_eq(there, 1);
    check_calls(0);
}
END_TEST

int main(void)
{
    TCase *c = unit_case("containers",
                         one_process_removes_all,
                         what_an_earlier_agent_left,
                         nothing_to_remove);

    tcase_add_checked_fixture(c, setup, agent_test_teardown);
    tcase_set_timeout(c, 60);
    return unit_run("containers", &c, 1);
}
