/* unpack.h - archives into the current directory (libarchive).
 *
 * Nothing that an archive says leads outside of the directory: names that are absolute or
 * hold "..", links through links and device nodes are refused, and what it holds is
 * bounded before it is written.  Owners, set-user-id bits and extended attributes are not kept.
 */
#ifndef FETCH_UNPACK_H
#define FETCH_UNPACK_H

#include "base/error.h"

#include <stdint.h>

struct archive;
struct archive_entry;

struct unpack_limits {
    uint64_t bytes; /* of the files in it, and as many read from it */
    uint64_t entries;
};

/* What is left of the limits; counts one entry. */
int unpack_count(struct unpack_limits *left,
                 struct archive_entry *entry,
                 struct error *err);
/* Data of the entry that was read last, to the disk; holes are kept, sizes are believed
 * only as far as bytes come. */
int unpack_data(struct archive *from,
                struct archive *to,
                struct unpack_limits *left,
                struct error *err);
/* A name that stays below the directory, shorter than PATH_MAX. */
int unpack_check_name(const char *name, struct error *err);

/* tar (also gz, bz2, xz, zst) or zip, from where the descriptor stands. */
int unpack_archive(int fd, const struct unpack_limits *limits, struct error *err);

#endif
