/* contain_begin.c - process 1 of a container until it becomes the command.
 *
 * crun ends before the command runs, and the shim takes its place as our parent.  Only then the
 * kernel may be asked to kill us when our parent dies: else it would, at the end of crun.  So we
 * wait until the shim, which has waited for crun, hands over the log for our errors.
 *
 * It is run as contain_inside.c is.
 */
#include "agent/contain.h"

#include "agent/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* False: there is no shim any more. */
static bool say(char word)
{
    return send(CONTAIN_SOCKET, &word, 1, MSG_NOSIGNAL) == 1;
}

/* From here on errors of the command go where they belong; ours still to the shim. */
static int take_log(void)
{
    int log = handover_receive(CONTAIN_SOCKET), said;

    if (log < 0)
        contain_fail("its shim");
    said = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, CONTAIN_SOCKET + 1);
    if (said < 0 || dup2(log, STDERR_FILENO) < 0)
        contain_fail("its log");
    return said;
}

static void say_why(int said, const char *command)
{
    const char *reason = strerror(errno), *path = getenv("PATH");
    bool searched = strchr(command, '/') == NULL && path != NULL;

    dprintf(said,
            "exec \"%s\": %s%s%s%s\n",
            command,
            reason,
            searched ? " (looked in PATH " : "",
            searched ? path : "",
            searched ? ")" : "");
}

void contain_begin(char **argv)
{
    int said;

    if (fcntl(CONTAIN_FD, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(CONTAIN_SOCKET, F_SETFD, FD_CLOEXEC) != 0)
        contain_fail("descriptors");
    said = take_log();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        contain_fail("prctl");
    if (!say(CONTAIN_BEGINS))
        _exit(EXIT_FAILURE); /* it died before the kernel knew that we go with it */
    execvp(argv[0], argv);
    say_why(said, argv[0]);
    say(CONTAIN_FAILED);
    _exit(EXIT_FAILURE);
}
