/* test_host.c - what this host has. */
#include "agent/host.h"
#include "agent/process.h"
#include "tests/lib/unit.h"

#include <sched.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

START_TEST(resources_are_of_this_host)
{
    uint64_t memory =
        (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    struct resources r;
    struct error err;

    ck_assert_int_eq(host_resources(&r, "/tmp", &err), 0);
    ck_assert_uint_gt(r.amount[RESOURCE_CPUS], 0);
    ck_assert_uint_le(r.amount[RESOURCE_CPUS],
                      (uint64_t)sysconf(_SC_NPROCESSORS_CONF) * 1000);
    ck_assert_uint_gt(r.amount[RESOURCE_MEM], 0);
    ck_assert_uint_lt(r.amount[RESOURCE_MEM], memory);
    ck_assert_uint_eq(r.amount[RESOURCE_GPUS], 0);
}
END_TEST

START_TEST(affinity_counts)
{
    struct resources r;
    struct error err;
    cpu_set_t one;
    int cpu = sched_getcpu();

    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    ck_assert_int_eq(host_resources(&r, "/tmp", &err), 0);
    ck_assert_uint_le(r.amount[RESOURCE_CPUS], 1000);
}
END_TEST

START_TEST(missing_directory_is_an_error)
{
    struct resources r;
    struct error err;

    ck_assert_int_eq(host_resources(&r, "/no/such/directory", &err), -ERROR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "/no/such/directory"));
}
END_TEST

/* It is the same after each restart of an agent: what is free now does not count. */
START_TEST(disk_is_of_the_whole_file_system)
{
    const uint64_t most = 5ull * 1024 * MIB;
    struct resources r;
    struct statvfs fs;
    struct error err;
    uint64_t size;

    ck_assert_int_eq(statvfs("/tmp", &fs), 0);
    size = (uint64_t)fs.f_blocks * fs.f_frsize;
    ck_assert_int_eq(host_resources(&r, "/tmp", &err), 0);
    ck_assert_uint_eq(r.amount[RESOURCE_DISK],
                      size - (size / 10 < most ? size / 10 : most));
}
END_TEST

START_TEST(name_is_there)
{
    char name[LIMIT_NAME_BYTES + 1] = "";
    struct error err;

    ck_assert_int_eq(host_name(name, &err), 0);
    ck_assert_uint_gt(strlen(name), 0);
}
END_TEST

START_TEST(start_time_names_a_process)
{
    ck_assert_uint_gt(process_start(getpid()), 0);
    ck_assert_uint_eq(process_start(getpid()), process_start(getpid()));
    ck_assert_uint_gt(process_start(getpid()), process_start(1));
    ck_assert_uint_eq(process_start(-1), 0);
}
END_TEST

UNIT_MAIN("host",
          unit_case("host",
                    resources_are_of_this_host,
                    affinity_counts,
                    missing_directory_is_an_error,
                    disk_is_of_the_whole_file_system,
                    name_is_there,
                    start_time_names_a_process))
