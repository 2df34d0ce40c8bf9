/* contain_inside.c - stands over a command that was brought into a container.
 *
 * Orphans in a container go to its process 1, out of reach of whoever brought the command: so
 * this is their reaper, and ends them with the command.  It is the child of crun, and what it
 * is told by signals it does itself: crun cannot die without its notice.
 *
 *     SIGTERM, the death of crun   everything below it is killed
 *     other signals                passed on to the command's process group
 *
 * The command leads a session of its own, as a task does; a terminal controls that.
 */
#include "agent/contain.h"

#include "agent/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BY_SIGNAL 128 /* added to its number, as a shell tells it */
#define NOT_FOUND 127
#define NOT_RUN   126

static _Noreturn void become_command(char **argv)
{
    sigset_t none;

    setsid();
    if (isatty(STDIN_FILENO))
        ioctl(STDIN_FILENO, TIOCSCTTY, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(argv[0], argv);
    fprintf(stderr, "exec \"%s\": %s\n", argv[0], strerror(errno));
    _exit(errno == ENOENT || errno == ENOTDIR ? NOT_FOUND : NOT_RUN);
}

/* -1: it has not ended.  Orphans are reaped as well. */
static int ended(pid_t command)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != command)
            continue;
        return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
    }
    return -1;
}

static int stand(pid_t command, const sigset_t *signals)
{
    int code = -1, number;

    while (code < 0) {
        number = sigwaitinfo(signals, NULL);
        if (number == SIGCHLD)
            code = ended(command);
        else if (number == SIGTERM)
            code = BY_SIGNAL + SIGTERM;
        else if (number > 0)
            kill(-command, number);
        if (number == SIGHUP)
            kill(-command, SIGCONT); /* a stopped one could not hear it */
    }
    return code;
}

void contain_inside(char **argv)
{
    sigset_t all;
    pid_t command;
    int code;

    fcntl(CONTAIN_FD, F_SETFD, FD_CLOEXEC);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        contain_fail("prctl");
    command = fork();
    if (command == 0)
        become_command(argv);
    if (command < 0)
        contain_fail("fork");
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        close(fd); /* they end with the command */
    code = stand(command, &all);
    reaper_end_all(0);
    _exit(code);
}
