/* test_cgroup.c - where groups are found and what is written there, in simulated trees. */
#include "agent/cgroup_find.h"
#include "agent/cgroup_internal.h"
#include "agent/found.h"
#include "base/mem.h"
#include "tests/lib/unit.h"
#include "tests/unit/agent/agent_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char boot[BOOT_ID_BYTES + 1] = "01234567-89ab-cdef-0123-456789abcdef";
static char root[80], id[64];
static struct cgroups found;
static struct error why;

static void setup(void)
{
    struct stat st;

    agent_test_setup();
    snprintf(root, sizeof(root), "%s/root", t.work_dir);
    ck_assert_int_eq(stat(t.work_dir, &st), 0);
    snprintf(id,
             sizeof(id),
             "%llx-%llx",
             (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
}

static void teardown(void)
{
    cgroups_close(&found);
    agent_test_teardown();
}

/* A file below the root with its directories. */
__attribute__((format(printf, 2, 3))) static void
put(const char *text, const char *format, ...)
{
    char path[512], command[1200];
    va_list args;
    FILE *f;

    va_start(args, format);
    vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    snprintf(command, sizeof(command), "mkdir -p \"$(dirname %s/%s)\"", root, path);
    ck_assert_int_eq(system(command), 0);
    snprintf(command, sizeof(command), "%s/%s", root, path);
    f = fopen(command, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void check(const char *expected, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void check(const char *expected, const char *format, ...)
{
    char path[512], full[600], text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    snprintf(full, sizeof(full), "%s/%s", root, path);
    ck_assert_msg(
        cgroup_read(AT_FDCWD, full, text, sizeof(text)) >= 0, "no file %s", path);
    ck_assert_str_eq(text, expected);
}

static void find_groups(void)
{
    const struct cgroup_find_options options = {
        .root = root, .work_dir = t.work_dir, .boot_id = boot};
    struct error err;

    ck_assert_int_eq(cgroup_find(&found, &options, &why, &err), 0);
}

static void
check_place(unsigned i, unsigned version, uint32_t controllers, const char *at)
{
    char path[512];

    snprintf(path, sizeof(path), "%s%s/triarch/%s", root, at, id);
    ck_assert_uint_lt(i, found.count);
    ck_assert_uint_eq(found.places[i].ops->version, version);
    ck_assert_uint_eq(found.places[i].controllers, controllers);
    ck_assert_str_eq(found.places[i].path, path);
}

static void check_text(const char *wanted)
{
    char *text = found_groups(&found);

    ck_assert_str_eq(text, wanted);
    mem_free(text);
}

/* ---- where ---- */

#define V1_MOUNTS                                                      \
    "30 1 0:1 / / rw - ext4 /dev/a rw\n"                               \
    "32 31 0:29 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" \
    "33 31 0:30 /box /cg/memory rw - cgroup cgroup rw,memory\n"        \
    "34 31 0:31 / /cg/pids rw - cgroup cgroup rw,pids\n"               \
    "35 31 0:32 / /cg/freezer rw - cgroup cgroup rw,freezer\n"

START_TEST(version_1_below_our_own_groups)
{
    put(V1_MOUNTS, "proc/self/mountinfo");
    put("3:cpu,cpuacct:/a/b\n2:memory:/box/c\n1:pids:/\n0::/x\n", "proc/self/cgroup");
    put("", "cg/cpu,cpuacct/a/b/tasks");
    put("", "cg/memory/c/tasks");
    put("", "cg/pids/tasks");
    find_groups();
    ck_assert_str_eq(why.text, "");
    check_text("cgroup v1 (cpu, memory, pids)");
    ck_assert_uint_eq(found.count, 3);
    check_place(0, 1, CGROUP_CPU | CGROUP_CPUACCT, "/cg/cpu,cpuacct/a/b");
    check_place(1, 1, CGROUP_MEMORY, "/cg/memory/c");
    check_place(2, 1, CGROUP_PIDS, "/cg/pids");
}
END_TEST

START_TEST(missing_controllers_are_named)
{
    put("34 31 0:31 / /cg/pids rw - cgroup cgroup rw,pids\n", "proc/self/mountinfo");
    put("1:pids:/\n", "proc/self/cgroup");
    put("", "cg/pids/tasks");
    find_groups();
    ck_assert_str_eq(why.text,
                     "limits of tasks are not enforced: cpu, memory: this host has no "
                     "such cgroups");
}
END_TEST

START_TEST(no_cgroups_are_no_error)
{
    find_groups();
    ck_assert_uint_eq(found.count, 0);
    check_text("no cgroups");
    ck_assert_ptr_nonnull(strstr(why.text, "cpu, memory, pids"));
}
END_TEST

/* A delegated group: its processes move to a leaf, its controllers are passed on. */
static void make_v2_group(const char *name)
{
    put("cpu memory pids io\n", "cg/%s/cgroup.controllers", name);
    put("domain\n", "cg/%s/cgroup.type", name);
    put("4711\n", "cg/%s/cgroup.procs", name);
    put("", "cg/%s/cgroup.subtree_control", name);
    put("", "cg/%s/triarch-agent/cgroup.procs", name);
    put("", "cg/%s/triarch/cgroup.subtree_control", name);
    put("", "cg/%s/triarch/%s/cgroup.subtree_control", name, id);
    put("", "cg/%s/triarch/%s/pids.max", name, id);
}

static void make_v2(void)
{
    put("41 31 0:38 / /cg rw - cgroup2 cgroup2 rw\n", "proc/self/mountinfo");
    put("0::/svc\n", "proc/self/cgroup");
    put("", "cg/cgroup.procs");
    make_v2_group("svc");
}

START_TEST(version_2_below_our_delegated_group)
{
    make_v2();
    find_groups();
    ck_assert_str_eq(why.text, "");
    ck_assert_uint_eq(found.count, 1);
    check_place(0, 2, CGROUP_CPU | CGROUP_MEMORY | CGROUP_PIDS | CGROUP_IO, "/cg/svc");
    check("4711", "cg/svc/triarch-agent/cgroup.procs");
}
END_TEST

START_TEST(the_leaf_of_an_agent_before_is_not_gone_into_again)
{
    make_v2();
    put("0::/svc/triarch-agent\n", "proc/self/cgroup");
    find_groups();
    check_place(0, 2, CGROUP_CPU | CGROUP_MEMORY | CGROUP_PIDS | CGROUP_IO, "/cg/svc");
}
END_TEST

START_TEST(hybrid_takes_each_controller_where_it_is)
{
    put("34 31 0:31 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
        "41 31 0:38 / /cg/u rw - cgroup2 cgroup2 rw\n",
        "proc/self/mountinfo");
    put("1:cpu:/\n0::/\n", "proc/self/cgroup");
    put("", "cg/cpu/tasks");
    put("memory pids\n", "cg/u/cgroup.controllers");
    put("", "cg/u/cgroup.subtree_control");
    put("", "cg/u/triarch/cgroup.subtree_control");
    put("", "cg/u/triarch/%s/cgroup.subtree_control", id);
    find_groups();
    ck_assert_str_eq(why.text, "");
    check_text("cgroup v1 (cpu) and cgroup v2 (memory, pids)");
    check_place(0, 1, CGROUP_CPU, "/cg/cpu");
    check_place(1, 2, CGROUP_MEMORY | CGROUP_PIDS, "/cg/u");
}
END_TEST

START_TEST(places_stay_until_the_host_restarts)
{
    make_v2();
    find_groups();
    cgroups_close(&found);
    put("0::/elsewhere\n", "proc/self/cgroup");
    find_groups();
    check_place(0, 2, CGROUP_CPU | CGROUP_MEMORY | CGROUP_PIDS | CGROUP_IO, "/cg/svc");
}
END_TEST

/* What an agent of before had, and a task of it; we are in another group than that one,
 * and an ordinary user (agent_test_setup()), who may not write to what is above. */
static void start_elsewhere(const char *group)
{
    char path[512];

    make_v2();
    make_v2_group("other");
    snprintf(path, sizeof(path), "%s/cg/cgroup.procs", root);
    ck_assert_int_eq(chmod(path, 0444), 0);
    find_groups();
    check_place(0, 2, CGROUP_CPU | CGROUP_MEMORY | CGROUP_PIDS | CGROUP_IO, "/cg/svc");
    cgroups_close(&found);
    put("", "cg/svc/triarch/%s/77/task", id);
    put(group, "proc/self/cgroup");
}

START_TEST(a_user_goes_on_below_the_same_group)
{
    start_elsewhere("0::/svc/triarch-agent\n");
    find_groups();
    check_place(0, 2, CGROUP_CPU | CGROUP_MEMORY | CGROUP_PIDS | CGROUP_IO, "/cg/svc");
}
END_TEST

/* clone3() would fail for each task. */
START_TEST(a_user_elsewhere_cannot_use_them)
{
    const struct cgroup_find_options options = {
        .root = root, .work_dir = t.work_dir, .boot_id = boot};
    char wanted[512];
    struct error err;

    start_elsewhere("0::/svcs\n");
    ck_assert_int_ne(cgroup_find(&found, &options, &why, &err), 0);
    snprintf(
        wanted,
        sizeof(wanted),
        "tasks run in groups that an agent started here cannot use: "
        "%s/cg/cgroup.procs cannot be written; start it in its cgroup of before, or "
        "end those tasks",
        root);
    ck_assert_str_eq(err.text, wanted);
}
END_TEST

START_TEST(a_user_elsewhere_begins_anew_when_nothing_runs)
{
    char path[512];

    start_elsewhere("0::/other\n");
    snprintf(path, sizeof(path), "%s/cg/svc/triarch/%s/77/task", root, id);
    ck_assert_int_eq(unlink(path), 0);
    find_groups();
    check_place(
        0, 2, CGROUP_CPU | CGROUP_MEMORY | CGROUP_PIDS | CGROUP_IO, "/cg/other");
    *strrchr(path, '/') = 0;
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* ---- what is written ---- */

static int open_group(void)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/g", root);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static const struct cgroup_limits limits = {
    .memory_bytes = 64 * MIB, .cpu_milli = 1500, .cpu_hard = true, .pids = 99};

#define ALL (CGROUP_CPU | CGROUP_MEMORY | CGROUP_PIDS | CGROUP_IO)

START_TEST(limits_of_version_1)
{
    const char *file = NULL;

    put("", "g/cpu.shares");
    put("", "g/cpu.cfs_quota_us");
    put("", "g/memory.limit_in_bytes");
    put("", "g/pids.max");
    ck_assert_int_eq(cgroup_v1.limit(open_group(), ALL, &limits, &file), 0);
    check("1536", "g/cpu.shares");
    check("150000", "g/cpu.cfs_quota_us");
    check("67108864", "g/memory.limit_in_bytes");
    check("99", "g/pids.max");
}
END_TEST

START_TEST(limits_of_version_2)
{
    const char *file = NULL;
    int fd;

    put("", "g/cpu.weight");
    put("", "g/cpu.max");
    put("", "g/memory.max");
    put("", "g/memory.oom.group");
    put("", "g/memory.swap.max");
    put("", "g/pids.max");
    fd = open_group();
    ck_assert_int_eq(cgroup_v2.limit(fd, ALL, &limits, &file), 0);
    check("150", "g/cpu.weight");
    check("150000 100000", "g/cpu.max");
    check("67108864", "g/memory.max");
    check("1", "g/memory.oom.group");
    check("0", "g/memory.swap.max");
    check("99", "g/pids.max");
    ck_assert_int_eq(unlinkat(fd, "memory.max", 0), 0);
    ck_assert_int_eq(cgroup_v2.limit(fd, ALL, &limits, &file), -ENOENT);
    ck_assert_str_eq(file, "memory.max");
}
END_TEST

START_TEST(usage_and_events_of_version_2)
{
    struct usage u = {0};
    int fd;

    put("usage_usec 123\nuser_usec 100\n", "g/cpu.stat");
    put("1000\n", "g/memory.current");
    put("2000\n", "g/memory.peak");
    put("anon 500\nfile 400\nshmem 100\n", "g/memory.stat");
    put("3\n", "g/pids.current");
    put("8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2 rios=1\n", "g/io.stat");
    put("low 0\noom 2\noom_kill 1\n", "g/memory.events");
    put("", "g/cgroup.kill");
    fd = open_group();
    cgroup_v2.usage(fd, ALL, &u);
    ck_assert_uint_eq(u.cpu_us, 123);
    ck_assert_uint_eq(u.memory_bytes, 700);
    ck_assert_uint_eq(u.memory_peak_bytes, 2000);
    ck_assert_uint_eq(u.pids, 3);
    ck_assert_uint_eq(u.io_read_bytes, 11);
    ck_assert_uint_eq(u.io_written_bytes, 22);
    ck_assert(cgroup_v2.oom_killed(fd));
    cgroup_v2.kill(fd, ALL);
    check("1", "g/cgroup.kill");
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    return c;
}

UNIT_MAIN("cgroup",
          prepared(unit_case("where",
                             version_1_below_our_own_groups,
                             missing_controllers_are_named,
                             no_cgroups_are_no_error,
                             version_2_below_our_delegated_group,
                             the_leaf_of_an_agent_before_is_not_gone_into_again,
                             hybrid_takes_each_controller_where_it_is,
                             places_stay_until_the_host_restarts,
                             a_user_goes_on_below_the_same_group,
                             a_user_elsewhere_cannot_use_them,
                             a_user_elsewhere_begins_anew_when_nothing_runs)),
          prepared(unit_case("what",
                             limits_of_version_1,
                             limits_of_version_2,
                             usage_and_events_of_version_2)))
