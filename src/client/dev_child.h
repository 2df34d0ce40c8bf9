/* dev_child.h - a process that `triarch dev` started: its log lines and its end.
 *
 * Each child has a process group of its own, so that Ctrl-C reaches only us and we end
 * them in order, and gets TERM from the kernel should we die first.  Ours are also the
 * processes that outlive their parents among them (the shims of tasks).
 */
#ifndef CLIENT_DEV_CHILD_H
#define CLIENT_DEV_CHILD_H

#include "base/error.h"
#include "client/screen.h"
#include "net/loop.h"

#include <stdbool.h>
#include <sys/types.h>

struct dev_child {
    char name[32]; /* "master-1" */
    pid_t pid;     /* 0: not started, or gone */
    int status;    /* as of waitpid(), once it is gone */
    struct screen *screen;
    enum style style; /* of the prefix */
    int fd;           /* what it writes */
    struct watch *watch;
    struct buffer line; /* not ended yet */
};

/* The whole path of a program of ours: beside this one, in ../sbin, or in PATH. */
int dev_find_program(char *path, size_t size, const char *name, struct error *err);

/* Before the first child: orphans come to us, and TERM if our parent dies. */
void dev_adopt_orphans(void);

/* argv: NULL-ended, argv[0] a whole path. */
int dev_child_start(struct dev_child *c,
                    struct loop *l,
                    char *const *argv,
                    struct error *err);
void dev_child_signal(const struct dev_child *c, int signum);
/* Its pid was reaped: write what is left of its last line. */
void dev_child_ended(struct dev_child *c, int status);
/* "exit status 1", "signal 9". */
void dev_append_status(struct buffer *out, int status);

/* End what is left of our descendants: TERM, a moment, KILL. */
void dev_end_orphans(void);

#endif
