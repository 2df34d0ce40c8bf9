/* hooks.c - how the threads of the store speak to the loop. */
#include "store/hooks.h"

#include "base/assert.h"
#include "base/log.h"

#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

void store_fatal(const struct store_hooks *hooks, const struct error *err)
{
    struct error last = *err;

    if (hooks->advise != NULL)
        hooks->advise(-(int)last.code, &last);
    if (hooks->fatal != NULL) {
        hooks->fatal(hooks->arg, &last);
        return;
    }
    log_error("store", "stopping, because storage failed: %s", last.text);
    _exit(EX_SOFTWARE);
}

/* Async-signal-safe: no log, no path. */
static void on_sigbus(int signum)
{
    static const char line[] =
        "error store: stopping, because storage failed: a page of a data file cannot "
        "be "
        "read (SIGBUS): the disk gave an error, or the file was made shorter\n";
    ssize_t written = write(STDERR_FILENO, line, sizeof(line) - 1);

    (void)signum;
    (void)written;
    _exit(EX_SOFTWARE);
}

void store_catch_sigbus(void)
{
    struct sigaction action = {.sa_handler = on_sigbus};

    sigaction(SIGBUS, &action, NULL);
}

void store_thread_start(pthread_t *thread,
                        const char *name,
                        void *(*run)(void *),
                        void *arg)
{
    sigset_t all, old;
    int rc;

    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* blocked, it would kill without a word */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    ASSERT(rc == 0); /* like memory: a few threads, all of them at start */
    pthread_setname_np(*thread, name);
}
