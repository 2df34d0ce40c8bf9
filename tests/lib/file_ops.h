/* file_ops.h - see and fail the file operations of the program that links this.
 *
 * The functions of the C library that change files (open, pwrite, writev, fdatasync, rename, …)
 * are defined here too.  The ones of the program come first, so that calls from shared
 * libraries, LMDB's above all, pass through here as well, without privileges or tracing.
 */
#ifndef TESTS_LIB_FILE_OPS_H
#define TESTS_LIB_FILE_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum file_op_kind {
    FILE_OP_WRITE = 1,
    FILE_OP_SYNC = 2,     /* fdatasync or fsync, of a directory too */
    FILE_OP_TRUNCATE = 4, /* `offset` is the new size */
    FILE_OP_CREATE = 8,   /* open made it new */
    FILE_OP_MKDIR = 16,
    FILE_OP_REMOVE = 32, /* of a file or an empty directory */
    FILE_OP_RENAME = 64, /* to `to` */
};

#define FILE_OP_ANY 127

struct file_op {
    enum file_op_kind kind;
    const char *path; /* as it was opened or named */
    const char *to;
    uint64_t offset;
    const void *data;
    size_t size;
    bool
        synced; /* the file was opened with O_DSYNC: a write that is a sync of itself */
};

/* Call `see` after each operation that succeeded.  Calls come one at a time, from any thread. */
void file_ops_watch(void (*see)(void *arg, const struct file_op *op), void *arg);

/* Let one operation of these kinds (a mask) fail: the one after `skip` more of them.  error 0: a
 * write that comes short. */
void file_ops_fail(unsigned kinds, unsigned skip, int error);

/* Operations of the kinds given to file_ops_fail() since then, the failed one included. */
unsigned file_ops_count(void);

#endif
