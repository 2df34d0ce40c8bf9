/* contain.h - what the parts of triarch-contain have in common (contain.c). */
#ifndef AGENT_CONTAIN_H
#define AGENT_CONTAIN_H

#include <stdbool.h>
#include <sys/types.h>

#define CONTAIN_FD     3 /* what `inside` and `begin` are run from */
#define CONTAIN_SELF   "/proc/self/fd/3"
#define CONTAIN_SOCKET 4 /* to the shim, of `begin` */
#define CONTAIN_ID_MAX 32

/* What `begin` says through it: that it becomes the command, and that it could not. */
#define CONTAIN_BEGINS 'b'
#define CONTAIN_FAILED 'f'

/* Says why on standard error, with errno, and exits. */
_Noreturn void contain_fail(const char *what);

/* Stand in the bundle of this attempt. */
void contain_enter(const char *work_dir, const char *attempt);

/* What crun is told: its name of the container, and where it keeps its state. */
void contain_name(const char *attempt, char id[CONTAIN_ID_MAX]);
char *contain_state(void); /* below the current directory; the caller's */

/* A mount namespace in which nothing concerns the host and crun starts.  ordinary: in a user
 * namespace that the host's root did not make. */
void contain_leave_mounts(bool ordinary);

/* crun gives its standard files to the container's user: then /dev/null must not be the host's,
 * but at a read-only mount, where that fails. */
void contain_keep_null(void);

/* This program, from such a mount, as CONTAIN_FD: so it need not be in the image, and root of a
 * container cannot write to it by way of /proc. */
void contain_put_self(const char *self);

/* A descriptor by another number, and not closed on exec. */
void contain_put(int fd, int to);

/* contain_exec.c - argv: [NAME=VALUE…] -- CMD [ARG…].  A terminal as its
 * standard input will control its session. */
_Noreturn void
contain_exec(const char *self, const char *work_dir, const char *attempt, char **argv);

/* contain_begin.c */
_Noreturn void contain_begin(char **argv);

/* contain_inside.c */
_Noreturn void contain_inside(char **argv);

#endif
