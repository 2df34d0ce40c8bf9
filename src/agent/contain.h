/* contain.h - what the parts of triarch-contain have in common (contain.c). */
#ifndef AGENT_CONTAIN_H
#define AGENT_CONTAIN_H

#include <stdbool.h>
#include <sys/types.h>

#define CONTAIN_FD     3 /* what `inside` is run from */
#define CONTAIN_ID_MAX 32

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

/* A file at a read-only mount of its own, as a descriptor that is only its place; in such a
 * mount namespace. */
int contain_read_only(const char *path);

/* crun gives its standard files to the container's user: then /dev/null must not be the host's,
 * but at such a mount, where that fails. */
void contain_keep_null(void);

/* contain_exec.c - argv: [NAME=VALUE…] -- CMD [ARG…].  A terminal as its
 * standard input will control its session. */
_Noreturn void
contain_exec(const char *self, const char *work_dir, const char *attempt, char **argv);

/* contain_inside.c */
_Noreturn void contain_inside(char **argv);

#endif
