/* test_lease_file.c - what the next agent of a host knows of leases. */
#include "agent/lease_file.h"

#include "agent/shim.h"
#include "tests/lib/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char folder[64], path[80];
static struct lease_file file;

static void setup(void)
{
    snprintf(folder, sizeof(folder), "/tmp/triarch-lease-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/" SHIM_LEASE, folder);
}

static void teardown(void)
{
    lease_file_close(&file);
    unlink(path);
    rmdir(folder);
}

static void open_again(void)
{
    struct error err = {0};

    lease_file_close(&file);
    ck_assert_msg(lease_file_open(&file, folder, &err) == 0, "%s", err.text);
}

static void renew(uint64_t ms)
{
    struct error err = {0};

    ck_assert_int_eq(lease_file_renew(&file, ms, &err), 0);
    ck_assert_uint_eq(file.renewed_ms, ms);
}

/* As a shim reads it. */
static uint64_t number(void)
{
    uint64_t value = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    ck_assert_int_eq(read(fd, &value, sizeof(value)), sizeof(value));
    close(fd);
    return value;
}

static void write_at(off_t at, const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    ck_assert_int_eq(pwrite(fd, bytes, size, at), (ssize_t)size);
    close(fd);
}

START_TEST(new_one_says_never)
{
    open_again();
    ck_assert_uint_eq(file.renewed_ms, 0);
    ck_assert_uint_eq(number(), 0);
}
END_TEST

START_TEST(next_agent_goes_on)
{
    open_again();
    renew(123456);
    ck_assert_uint_eq(number(), 123456);
    open_again();
    ck_assert_uint_eq(file.renewed_ms, 123456);
    ck_assert_uint_eq(number(), 123456);
}
END_TEST

START_TEST(other_boot_is_forgotten)
{
    open_again();
    renew(123456);
    write_at(sizeof(uint64_t), "01234567", 8);
    open_again();
    ck_assert_uint_eq(file.renewed_ms, 0);
    ck_assert_uint_eq(number(), 0);
    renew(7);
    open_again();
    ck_assert_uint_eq(file.renewed_ms, 7);
}
END_TEST

START_TEST(torn_file_is_forgotten)
{
    open_again();
    renew(123456);
    ck_assert_int_eq(truncate(path, 20), 0);
    open_again();
    ck_assert_uint_eq(file.renewed_ms, 0);
    ck_assert_uint_eq(number(), 0);
}
END_TEST

START_TEST(missing_directory_is_clear)
{
    struct error err = {0};

    ck_assert_int_eq(lease_file_open(&file, "/no/such/directory", &err), -ERROR_IO);
    ck_assert_str_eq(err.text, "/no/such/directory/lease: No such file or directory");
}
END_TEST

static TCase *prepared(TCase *c)
{
    tcase_add_checked_fixture(c, setup, teardown);
    return c;
}

UNIT_MAIN("lease_file",
          prepared(unit_case("lease_file",
                             new_one_says_never,
                             next_agent_goes_on,
                             other_boot_is_forgotten,
                             torn_file_is_forgotten,
                             missing_directory_is_clear)))
