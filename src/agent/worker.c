/* worker.c - a thread of the agent that looks after something now and then. */
#include "agent/worker.h"

#include "store/hooks.h"

#include <time.h>

void worker_init(struct worker *w)
{
    pthread_condattr_t clock;

    *w = (struct worker){0};
    pthread_mutex_init(&w->mutex, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &clock);
    pthread_condattr_destroy(&clock);
}

void worker_start(struct worker *w, const char *name, void *(*run)(void *), void *arg)
{
    store_thread_start(&w->thread, name, run, arg);
    w->running = true;
}

void worker_finish(struct worker *w)
{
    if (w->running) {
        worker_lock(w);
        w->stopping = true;
        worker_wake(w);
        worker_unlock(w);
        pthread_join(w->thread, NULL);
    }
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->mutex);
}

bool worker_wait_until(struct worker *w, uint64_t monotonic_us)
{
    const struct timespec at = {
        .tv_sec = (time_t)(monotonic_us / 1000000),
        .tv_nsec = (long)(monotonic_us % 1000000) * 1000,
    };

    if (monotonic_us == WORKER_FOR_EVER) {
        pthread_cond_wait(&w->wake, &w->mutex);
        return true;
    }
    return pthread_cond_timedwait(&w->wake, &w->mutex, &at) == 0;
}
