/* hooks.c - how the threads of the store speak to the loop. */
#include "store/hooks.h"

#include "base/assert.h"
#include "base/log.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
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

/* Where it is not allowed, as in some containers, all stays as it was; and without /proc, as
 * we would hold the sockets of other threads open for good. */
void store_leave_sockets(void)
{
    const char *list = "/proc/thread-self/fd";
    struct dirent *e;
    DIR *d;

    if (STORE_ONE_TABLE || access(list, R_OK | X_OK) != 0 || unshare(CLONE_FILES) != 0)
        return;
    d = opendir(list);
    while (d != NULL && (e = readdir(d)) != NULL) {
        int fd = atoi(e->d_name); /* "." and "..": 0, which is no socket of ours */
        struct stat st;

        if (fd > STDERR_FILENO && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
            close(fd);
    }
    if (d != NULL)
        closedir(d);
}
