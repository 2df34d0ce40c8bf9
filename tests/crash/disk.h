/* disk.h - what a disk may hold after a crash, for a recorded sequence of file operations.
 *
 * Writes wait as sectors of 512 bytes, and changes of names one by one, until a sync of their
 * file or directory makes them durable.  A crash keeps any subset of what waits (after ALICE,
 * Pillai et al., OSDI 2014).  A write to a file that was opened with O_DSYNC makes itself
 * durable, nothing else.  LMDB's and our lock files are left out: they mean nothing on disk.
 */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include "tests/lib/file_ops.h"

#include <stdbool.h>
#include <stddef.h>

struct disk;

/* root: the directory that the operations are under; it is there and empty. */
struct disk *disk_create(const char *root);
void disk_destroy(struct disk *d);

/* Operations from here on are under another directory, with the same content. */
void disk_move(struct disk *d, const char *root);

/* The operation begins: what it changes waits.  Then it completes: what it syncs is durable. */
void disk_begin(struct disk *d, const struct file_op *op);
void disk_complete(struct disk *d, const struct file_op *op);

/* How many changes wait; they are numbered from 0 in their order. */
size_t disk_waiting(const struct disk *d);

/* Crash: the changes in keep[] (one for each that waits) reached the disk, the others are lost. */
void disk_crash(struct disk *d, const bool *keep);

/* Write the files as they would be after such a crash into an empty directory. */
void disk_write(const struct disk *d, const bool *keep, const char *directory);

#endif
