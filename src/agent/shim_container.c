/* shim_container.c - a task that is a container: made by crun, which does not stay.
 *
 *   PHASE_MAKES    `triarch-contain run` has become `crun run --detach`, which makes the container
 *                  by processes that become our children as they end one by one.  Only the first
 *                  is waited for, as process 1 may be among the others already.
 *   PHASE_LEAVES   That has ended well, so its pid file is whole; the parent of process 1 may be
 *                  there still.
 *   PHASE_BEGINS   Process 1 is our child, and not waited for, so the number is its own.  It
 *                  (contain_begin.c) gets the log for its errors, asks the kernel to die with us,
 *                  says so, and becomes the command: then the socket ends.  Not for ever: what a
 *                  job mounts over /proc is found in the place of it, and is not counted or
 *                  limited as a command is until it says so too.
 *   PHASE_RUNS     process 1 is the task, as any other.
 *
 * What crun and triarch-contain say goes into a memory file; if the command does not come to run
 * its last line is the reason.
 */
#include "agent/shim_private.h"

#include "agent/contain.h"
#include "agent/container_init.h"
#include "agent/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* From the step that wanted it on, as long as we live.  Who looks for images to remove may hold
 * the lock for a moment: then who makes the container waits for it. */
void shim_hold_image(struct shim *s)
{
    char bundle[64], link[80], to[PATH_MAX / 2], lock[PATH_MAX];
    ssize_t size;

    snprintf(bundle,
             sizeof(bundle),
             "bundles/%llu",
             (unsigned long long)s->request->attempt);
    snprintf(link, sizeof(link), "%s/image", bundle);
    size = readlink(link, to, sizeof(to) - 1);
    to[size > 0 ? size : 0] = 0;
    snprintf(lock, sizeof(lock), "%s/%s.lock", bundle, to);
    s->image = open(lock, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (s->image < 0)
        shim_not_started(s, "cannot open the lock of its image: %s", strerror(errno));
    if (flock(s->image, LOCK_SH | LOCK_NB) != 0 && errno != EWOULDBLOCK)
        shim_not_started(s, "cannot lock its image: %s", strerror(errno));
}

void shim_make_container(struct shim *s)
{
    struct task t = s->command;
    int pair[2], failure;
    const char *step;

    s->said = memfd_create("errors", MFD_CLOEXEC);
    if (s->said < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        shim_not_started(s, "cannot make its container: %s", strerror(errno));
    s->begin = pair[0];
    t.in = pair[1];
    t.err = s->said;
    failure = handover_send(s->begin, s->image) != 0 ? errno : 0;
    step = "hand over its image";
    if (failure == 0)
        failure = task_spawn(&t, &s->task, &step);
    close(pair[1]);
    close(t.cwd);
    close(t.out);
    s->phase = PHASE_MAKES;
    if (failure == 0)
        return;
    s->task = 0;
    shim_not_started(s, "cannot make its container: %s: %s", step, strerror(failure));
}

static pid_t read_pid(const struct shim *s)
{
    char path[64];

    snprintf(path,
             sizeof(path),
             "bundles/%llu/" CONTAINER_PID,
             (unsigned long long)s->request->attempt);
    return container_init_pid(path);
}

static _Noreturn void not_begun(struct shim *s, const siginfo_t *info)
{
    struct slot_end end = {.how = shim_how_ended(s, info)};

    steps_heard(s->said, s->command.err, end.text, sizeof(end.text));
    shim_ended_before(s, info, &end, SLOT_NOT_STARTED);
}

void shim_container_made(struct shim *s, const siginfo_t *info)
{
    bool good = info->si_code == CLD_EXITED && info->si_status == 0;

    waitpid(s->task, NULL, 0);
    s->task = 0;
    s->first = good ? read_pid(s) : 0;
    if (s->first == 0)
        not_begun(s, info);
    s->phase = PHASE_LEAVES;
}

void shim_look_for_first(struct shim *s)
{
    siginfo_t info = {.si_code = CLD_EXITED};

    if (s->reason != 0)
        not_begun(s, &info);
    if (waitid(P_PID, (id_t)s->first, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        return;
    s->task = s->first;
    s->phase = PHASE_BEGINS;
    /* If that fails it has ended: then its end says why. */
    handover_send(s->begin, s->command.err);
    alarm(LIMIT_CONTAINER_BEGIN_MS / 1000);
}

void shim_begin_overdue(struct shim *s)
{
    if (s->phase == PHASE_BEGINS)
        shim_not_started(s,
                         "its process 1 did not become the command for %d s",
                         LIMIT_CONTAINER_BEGIN_MS / 1000);
}

void shim_first_is_gone(struct shim *s)
{
    const siginfo_t info = {.si_code = CLD_EXITED};

    not_begun(s, &info);
}

static void begun(struct shim *s)
{
    close(s->said);
    close(s->command.err);
    s->phase = PHASE_RUNS;
    shim_started(s);
}

/* Who has said something has read all that we sent, so no reset comes before its words. */
void shim_on_begin(struct shim *s)
{
    ssize_t n;
    char word;

    while ((n = recv(s->begin, &word, 1, MSG_DONTWAIT)) > 0)
        s->begins = word == CONTAIN_BEGINS;
    if (n < 0 && errno == EAGAIN)
        return;
    close(s->begin);
    s->begin = -1;
    if (s->begins)
        begun(s);
}

void shim_begin_ended(struct shim *s, const siginfo_t *info)
{
    if (s->begin >= 0)
        shim_on_begin(s);
    if (s->phase == PHASE_RUNS)
        return; /* and has ended since */
    waitpid(s->task, NULL, 0);
    s->task = 0;
    not_begun(s, info);
}
