/* unpack.c - see unpack.h. */
#include "fetch/unpack.h"

#include "base/limits.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK_BYTES (64 * KIB)
#define MODE_KEPT   0777

int unpack_check_name(const char *name, struct error *err)
{
    if (name == NULL || name[0] == 0)
        return error_set(err, ERROR_INVALID, "an entry has no name that can be read");
    if (name[0] == '/')
        return error_set(err, ERROR_INVALID, "\"%.200s\" in it is absolute", name);
    if (strlen(name) >= PATH_MAX)
        return error_set(err, ERROR_INVALID, "\"%.200s…\" in it is too long", name);
    for (const char *at = name; *at != 0;) {
        size_t size = strcspn(at, "/");

        if (size == 2 && at[0] == '.' && at[1] == '.')
            return error_set(err, ERROR_INVALID, "\"%.200s\" in it leads out", name);
        at += size + (at[size] == '/' ? 1 : 0);
    }
    return 0;
}

int unpack_count(struct unpack_limits *left,
                 struct archive_entry *entry,
                 struct error *err)
{
    if (left->entries == 0)
        return error_set(err, ERROR_TOO_LARGE, "it has too many files");
    left->entries--;
    if (archive_entry_size_is_set(entry) && archive_entry_size(entry) > 0 &&
        (uint64_t)archive_entry_size(entry) > left->bytes)
        return error_set(
            err, ERROR_TOO_LARGE, "unpacked, its files have more bytes than it may");
    return 0;
}

int unpack_data(struct archive *from,
                struct archive *to,
                struct unpack_limits *left,
                struct error *err)
{
    const void *bytes;
    la_int64_t at;
    size_t size;
    int rv;

    while ((rv = archive_read_data_block(from, &bytes, &size, &at)) == ARCHIVE_OK) {
        if (size > left->bytes)
            return error_set(err,
                             ERROR_TOO_LARGE,
                             "unpacked, its files have more bytes than it may");
        left->bytes -= size;
        if (archive_write_data_block(to, bytes, size, at) < ARCHIVE_OK)
            return error_set(
                err, ERROR_IO, "cannot write: %s", archive_error_string(to));
    }
    if (rv != ARCHIVE_EOF)
        return error_set(
            err, ERROR_CORRUPT, "it cannot be read: %s", archive_error_string(from));
    return 0;
}

static int check_entry(struct archive_entry *entry, struct error *err)
{
    const char *name = archive_entry_pathname(entry);
    const char *link = archive_entry_hardlink(entry);
    mode_t type = archive_entry_filetype(entry);

    if (unpack_check_name(name, err) != 0)
        return -(int)err->code;
    if (link != NULL)
        return unpack_check_name(link, err);
    if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
        return error_set(
            err, ERROR_INVALID, "\"%.200s\" in it is no file, directory or link", name);
    return 0;
}

static int unpack_entry(struct archive *from,
                        struct archive *to,
                        struct archive_entry *entry,
                        struct unpack_limits *left,
                        struct error *err)
{
    if (check_entry(entry, err) != 0 || unpack_count(left, entry, err) != 0)
        return -(int)err->code;
    archive_entry_set_perm(entry, archive_entry_perm(entry) & MODE_KEPT);
    if (archive_write_header(to, entry) < ARCHIVE_OK)
        return error_set(err,
                         ERROR_IO,
                         "\"%.200s\" in it: %s",
                         archive_entry_pathname(entry),
                         archive_error_string(to));
    if (unpack_data(from, to, left, err) != 0)
        return -(int)err->code;
    if (archive_write_finish_entry(to) < ARCHIVE_OK)
        return error_set(err, ERROR_IO, "cannot write: %s", archive_error_string(to));
    return 0;
}

static int unpack_all(struct archive *from,
                      struct archive *to,
                      struct unpack_limits left,
                      struct error *err)
{
    struct archive_entry *entry;
    int rv;

    while ((rv = archive_read_next_header(from, &entry)) == ARCHIVE_OK ||
           rv == ARCHIVE_WARN) {
        if (unpack_entry(from, to, entry, &left, err) != 0)
            return -(int)err->code;
    }
    if (rv != ARCHIVE_EOF)
        return error_set(err,
                         ERROR_CORRUPT,
                         "it is no tar or zip that can be read: %s",
                         archive_error_string(from));
    if (archive_write_close(to) < ARCHIVE_OK)
        return error_set(err, ERROR_IO, "cannot write: %s", archive_error_string(to));
    return 0;
}

int unpack_archive(int fd, const struct unpack_limits *limits, struct error *err)
{
    struct archive *from = archive_read_new();
    struct archive *to = archive_write_disk_new();
    int rv;

    archive_read_support_filter_gzip(from);
    archive_read_support_filter_bzip2(from);
    archive_read_support_filter_xz(from);
    archive_read_support_filter_zstd(from);
    archive_read_support_format_tar(from);
    archive_read_support_format_zip(from);
    archive_write_disk_set_options(
        to,
        ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT |
            ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS | ARCHIVE_EXTRACT_TIME);
    if (archive_read_open_fd(from, fd, BLOCK_BYTES) != ARCHIVE_OK)
        rv = error_set(err,
                       ERROR_CORRUPT,
                       "it is no tar or zip that can be read: %s",
                       archive_error_string(from));
    else
        rv = unpack_all(from, to, *limits, err);
    archive_write_free(to);
    archive_read_free(from);
    return rv;
}
