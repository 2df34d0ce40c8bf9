/* dir_lock.h - one process at a time in a directory: DIR/lock, flock'd while it runs, whose text is
 * the pid. */
#ifndef STORE_DIR_LOCK_H
#define STORE_DIR_LOCK_H

#include "base/error.h"

struct dir_lock_names {
    const char *directory; /* for people: "data directory" */
    const char *option;    /* that gives another one: "--data-dir" */
};

/* In a directory that is there.  -ERROR_BUSY names the process that has it.  *lock is a descriptor or
 * -1, after an error too: give it to dir_lock_release(). */
int dir_lock_take(int *lock,
                  const char *path,
                  const struct dir_lock_names *names,
                  struct error *err);

/* Free at once, whoever holds a copy of the descriptor for some time more: a thread with a table of
 * its own (store_leave_sockets()) that was joined, a child on its way to exec. */
void dir_lock_release(int lock);

#endif
