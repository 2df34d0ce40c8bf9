/* shim.c - stands over one task: starts it, passes signals on, keeps how it ended.
 *
 * The task runs in a group of its own (cgroup.h), which the shim makes, and is the head of
 * a session.  When it ends, or is to be killed, everything in the group is killed, and
 * what the shim is the reaper of: all that descends from it.  The end is told when the
 * group could be removed, which the kernel allows only when nothing is left in it (or when
 * it counts nothing in it, and the next attempt will have it), and when there is no child
 * any more.  Without groups descent alone must do.
 *
 * If the shim itself is killed the kernel kills the task: a run without a shim has no exit
 * status, so it must not go on beside its successor.
 *
 * What is to be done before the command starts (step.h, shim_container.c) are processes that
 * stand in its place, one after the other, under the same signals and the same lease: then a
 * signal is the end at once, since there is nothing that could end in a better way.
 */

#include "agent/shim_private.h"

#include "agent/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- before the command ---- */

/* Its time counts from here. */
static void begin_time(struct shim *s)
{
    s->since_ms = boottime_ms();
    shim_write_start(s);
}

void shim_started(struct shim *s)
{
    if (shim_is_container(s))
        begin_time(s);
    shim_notify(s, SHIM_STARTED);
}

static void start_command(struct shim *s)
{
    if (shim_is_container(s)) {
        shim_make_container(s);
        return;
    }
    if (s->request->step_count > 0)
        begin_time(s);
    shim_start_task(s);
    shim_started(s);
}

/* The next step, or the command. */
static void go_on(struct shim *s)
{
    const char *what;
    int failure;

    shim_check_lease(s);
    if (!steps_left(&s->steps)) {
        start_command(s);
        return;
    }
    failure = steps_start(&s->steps, &s->command, &s->task, &what);
    if (failure == 0)
        return;
    s->task = 0;
    shim_not_started(s, "cannot prepare it: %s: %s", what, strerror(failure));
}

/* The image says who the process is; its sandbox is that user's. */
static void become_inside(struct shim *s)
{
    const struct task *c = &s->command;
    unsigned uid, gid;

    if (sscanf(s->steps.said, "%u %u", &uid, &gid) != 2)
        shim_not_started(s, "triarch-fetch did not say who its user is");
    if (geteuid() != 0)
        return;
    s->inside = (struct shim_request){.flags = SHIM_FLAG_USER, .uid = uid, .gid = gid};
    s->steps.user = &s->inside;
    if (fchown(c->cwd, uid, gid) != 0 || fchown(c->out, uid, gid) != 0 ||
        fchown(c->err, uid, gid) != 0)
        shim_not_started(s, "cannot give away its sandbox: %s", strerror(errno));
}

void shim_ended_before(struct shim *s,
                       const siginfo_t *info,
                       struct slot_end *end,
                       enum slot_how otherwise)
{
    if (s->reason == SLOT_NOT_STARTED)
        snprintf(
            end->text, sizeof(end->text), "stopped before its command was started");
    else if (end->how == SLOT_EXITED || end->how == SLOT_SIGNALED)
        end->how = otherwise;
    if (end->text[0] == 0)
        snprintf(end->text,
                 sizeof(end->text),
                 "%s %d before its command was started",
                 info->si_code == CLD_EXITED ? "exit status" : "signal",
                 info->si_status);
    shim_measure(s, &end->used);
    shim_end_rest(s);
    shim_finish(s, end);
}

static void step_ended(struct shim *s, const siginfo_t *info)
{
    struct slot_end end = {.how = shim_how_ended(s, info)};
    bool good = info->si_code == CLD_EXITED && info->si_status == 0;

    kill(-s->task, SIGKILL);
    waitpid(s->task, NULL, 0);
    s->task = 0;
    steps_finish(&s->steps, s->command.err, end.text, sizeof(end.text));
    if (end.how == SLOT_EXITED && good) {
        if (steps_how(&s->steps) == SLOT_IMAGE_FAILED) {
            shim_hold_image(s);
            shim_image_made(s);
            become_inside(s);
        }
        go_on(s);
        return;
    }
    shim_ended_before(s, info, &end, steps_how(&s->steps));
}

/* The shim is known from now on, so the run can be cancelled. */
static void prepare(struct shim *s)
{
    steps_init(&s->steps, &s->command);
    if (shim_is_container(s))
        s->command.user = NULL; /* crun changes to it */
    if (steps_left(&s->steps))
        shim_notify(s, SHIM_PREPARING);
    go_on(s);
}

/* ---- its processes end ---- */

static void task_ended(struct shim *s, const siginfo_t *info)
{
    struct slot_end end = {.how = shim_how_ended(s, info), .code = info->si_status};

    if (end.how != SLOT_EXITED && info->si_code == CLD_EXITED)
        end.code = 0;
    kill(-s->task, SIGKILL); /* not reaped yet: the group's number is still its own */
    waitpid(s->task, NULL, 0);
    s->task = 0;
    shim_measure(s, &end.used);
    shim_end_rest(s);
    shim_finish(s, &end);
}

static void reap(struct shim *s)
{
    static void (*const ended[])(struct shim * s, const siginfo_t *info) = {
        [PHASE_STEPS] = step_ended,
        [PHASE_MAKES] = shim_container_made,
        [PHASE_BEGINS] = shim_begin_ended,
        [PHASE_RUNS] = task_ended,
    };

    for (;;) {
        siginfo_t info = {0};
        idtype_t whom = s->phase == PHASE_MAKES ? P_PID : P_ALL;

        if (s->phase == PHASE_LEAVES)
            shim_look_for_first(s);
        if (waitid(whom, (id_t)s->task, &info, WEXITED | WNOHANG | WNOWAIT) != 0 &&
            s->phase == PHASE_LEAVES)
            shim_first_is_gone(s);
        if (info.si_pid == 0)
            return;
        if (info.si_pid == s->task)
            ended[s->phase](s, &info);
        else if (s->phase != PHASE_LEAVES || info.si_pid != s->first)
            waitpid(info.si_pid, NULL, 0);
    }
}

static void on_signal(struct shim *s)
{
    bool prepares = s->phase != PHASE_RUNS;
    struct signalfd_siginfo info;

    if (read(s->signals, &info, sizeof(info)) != sizeof(info))
        return;
    switch ((int)info.ssi_signo) {
    case SIGCHLD:
        reap(s);
        break;
    case SIGTERM:
        if (prepares)
            shim_kill_for(s, SLOT_NOT_STARTED);
        else
            shim_ask_to_end(s);
        break;
    case SHIM_SIGNAL_CANCEL:
        if (prepares)
            shim_kill_for(s, SLOT_NOT_STARTED);
        break;
    case SHIM_SIGNAL_KILL:
        if (prepares)
            shim_kill_for(s, SLOT_NOT_STARTED);
        else
            shim_kill_all(s);
        break;
    case SHIM_SIGNAL_DISK:
        shim_kill_for(s, SLOT_DISK);
        break;
    case SIGALRM:
        shim_begin_overdue(s);
        break;
    }
}

/* Milliseconds, for poll(): pauses between looks double from 1. */
static int patience(const struct shim *s)
{
    uint64_t now, due = s->since_ms + MEASURE_MS;

    if (s->oom_looks > 0)
        return 1 << (OOM_LOOKS - s->oom_looks);
    if (s->oom_watched)
        return -1;
    now = boottime_ms();
    return now < due ? (int)(due - now) : 0;
}

static _Noreturn void stand(struct shim *s)
{
    for (;;) {
        struct pollfd fds[] = {
            {.fd = s->signals, .events = POLLIN},
            {.fd = s->oom, .events = POLLIN},
            {.fd = s->lease, .events = POLLIN},
            {.fd = s->is_unsaid ? SHIM_FD_NOTICES : -1, .events = POLLOUT},
            {.fd = s->phase == PHASE_BEGINS ? s->begin : -1, .events = POLLIN},
        };
        int n = poll(fds, 5, patience(s));

        if (n == 0 && s->oom_watched)
            shim_look_for_oom(s);
        else if (n == 0)
            shim_watch_oom(s);
        if (n <= 0)
            continue;
        if (fds[1].revents != 0) /* before the end of what the kernel killed */
            shim_on_oom(s);
        if (fds[2].revents != 0)
            shim_on_lease(s);
        if (fds[3].revents != 0)
            shim_tell_unsaid(s);
        if (fds[4].revents != 0)
            shim_on_begin(s);
        if (fds[0].revents != 0)
            on_signal(s);
    }
}

static void watch_signals(struct shim *s)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGALRM);
    sigaddset(&signals, SHIM_SIGNAL_KILL);
    sigaddset(&signals, SHIM_SIGNAL_DISK);
    sigaddset(&signals, SHIM_SIGNAL_CANCEL);
    s->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals < 0)
        shim_not_started(s, "signalfd: %s", strerror(errno));
}

void shim_run(const struct shim_request *request,
              const struct shim_host *host,
              int spare)
{
    struct shim s = {.request = request,
                     .host = host,
                     .spare = spare,
                     .oom = -1,
                     .lease = -1,
                     .image = -1,
                     .begin = -1,
                     .said = -1};
    int reason;

    s.start = process_start(getpid());
    reason = errno;
    s.since_ms = boottime_ms();
    cgroup_init(&s.group, &host->groups, request->attempt);
    shim_write_begin(&s);
    task_from_request(&s.command, request);
    s.command.group = &s.group;
    s.command.oom_default = host->oom_protected;
    if (s.start == 0) /* nobody could signal or adopt it */
        shim_not_started(&s, "cannot read /proc: %s", strerror(reason));
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        shim_not_started(&s, "prctl: %s", strerror(errno));
    watch_signals(&s);
    shim_make_group(&s);
    shim_open_sandbox(&s);
    shim_start_lease(&s);
    prepare(&s);
    stand(&s);
}
