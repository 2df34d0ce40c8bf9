/* hooks.h - how the threads of the store speak to the loop.
 *
 * A thread calls notify() after it left something to be fetched: a higher durable
 * sequence, an answer, a completion.  The loop wakes itself there (uv_async_send()) and
 * fetches.  Nothing else of the caller runs on a thread of the store.
 *
 * Storage failure is fail-stop.  A commit or a sync that failed is never tried again:
 * what is on disk is not known any more, and only a start that reads it all can tell.
 * The thread calls fatal(), which ends the process; left NULL it prints one line and
 * exits with status 70.
 */
#ifndef STORE_HOOKS_H
#define STORE_HOOKS_H

#include "base/error.h"

#include <pthread.h>

struct store_hooks {
    void (*notify)(void *arg);
    void (*fatal)(void *arg, const struct error *err); /* NULL: print and exit */
    int (*advise)(int rv, struct error *err); /* add what to do; NULL: nothing */
    void *arg;
};

void store_fatal(const struct store_hooks *hooks, const struct error *err);

/* A page of a mapped file that the disk does not give, or that was cut off meanwhile, comes as
 * SIGBUS: from now on that ends the process in the same way.  lmdb_open() calls it. */
void store_catch_sigbus(void);

/* Start a thread that gets no signals but SIGBUS: the others are the loop's. */
void store_thread_start(pthread_t *thread,
                        const char *name,
                        void *(*run)(void *),
                        void *arg);

/* ThreadSanitizer takes equal numbers in two tables for one descriptor, and tells of races:
 * there the threads share theirs. */
#if defined(THREAD_SANITIZER) || defined(__SANITIZE_THREAD__)
#define STORE_ONE_TABLE true
#else
#define STORE_ONE_TABLE false
#endif

/* On a thread that waits for the disk: have a table of descriptors of our own, without the
 * sockets.  A process that is killed closes what its last thread lets go of, and one that is
 * in a sync does so when that is done: other masters would see the death so much later.
 * Descriptors that others open from now on are not seen here. */
void store_leave_sockets(void);

#endif
