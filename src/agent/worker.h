/* worker.h - a thread of the agent that looks after something now and then.
 *
 * What it shares with the loop is under the lock.  It waits on the monotonic clock:
 *
 *     worker_lock(w);
 *     while (!w->stopping) { …; worker_wait_until(w, due_us); }
 *     worker_unlock(w);
 */
#ifndef AGENT_WORKER_H
#define AGENT_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct worker {
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stopping; /* under the lock: it is to return */
};

void worker_init(struct worker *w);
void worker_start(struct worker *w, const char *name, void *(*run)(void *), void *arg);
/* Waits until it has returned, if it was started. */
void worker_finish(struct worker *w);

static inline void worker_lock(struct worker *w)
{
    pthread_mutex_lock(&w->mutex);
}

static inline void worker_unlock(struct worker *w)
{
    pthread_mutex_unlock(&w->mutex);
}

/* With the lock held: there is something new for it. */
static inline void worker_wake(struct worker *w)
{
    pthread_cond_signal(&w->wake);
}

#define WORKER_FOR_EVER UINT64_MAX

/* With the lock held, which is given up meanwhile.  False: that time has come; true: it was
 * woken, is to stop, or neither. */
bool worker_wait_until(struct worker *w, uint64_t monotonic_us);

#endif
