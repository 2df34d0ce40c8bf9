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
 * What is to be done before the command starts (step.h) are processes that stand in its
 * place, one after the other, under the same signals and the same lease: then a signal is
 * the end at once, since there is nothing that could end in a better way.
 */

#include "agent/shim.h"

#include "agent/notice.h"
#include "agent/process.h"
#include "agent/reaper.h"
#include "agent/step.h"
#include "agent/task.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OOM_LOOKS    8 /* after the kernel said that memory is short: is one killed? */
#define MEASURE_MS   100   /* a run that lasts so long is worth a look at its group */
#define PAUSE_MS_MAX 100   /* between two looks whether everything is gone */
#define AGAIN_MS     1000  /* a kill after the lease that had no effect */
#define REMOVE_MS    30000 /* for what a container has written; the rest goes later */

struct shim {
    const struct shim_request *request;
    const struct shim_host *host;
    int spare;
    uint64_t start; /* of this process */
    uint64_t since_ms;
    struct cgroup group;
    struct task command;
    struct shim_request inside; /* who a container's process is; else not used */
    struct steps steps;
    bool prepares; /* `task` is a step; the command does not run yet */
    pid_t task;
    enum slot_how reason; /* why we killed it; 0: we did not */

    int signals;      /* a signalfd */
    int oom;          /* an eventfd, or -1 */
    bool oom_watched; /* the kernel was asked for it, whether or not it can */
    int oom_looks;    /* still to come */
    int lease;        /* a timerfd, or -1 */
    bool lease_over;
    enum shim_notice_kind unsaid;
    bool is_unsaid; /* that notice did not fit in the pipe yet */
    bool killed;    /* something of it, by us or for memory: its group is not kept */
};

static uint64_t boottime_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct shim_notice notice_of(const struct shim *s, enum shim_notice_kind kind)
{
    return (struct shim_notice){
        .attempt = s->request->attempt,
        .shim_start = s->start,
        .since_ms = s->since_ms,
        .shim_pid = getpid(),
        .kind = kind,
    };
}

/* Its lease runs, whether or not the agent reads. */
static void tell_unsaid(struct shim *s)
{
    const struct shim_notice notice = notice_of(s, s->unsaid);

    if (notice_try(&notice))
        s->is_unsaid = false;
}

static void notify(struct shim *s, enum shim_notice_kind kind)
{
    s->unsaid = kind;
    s->is_unsaid = true;
    tell_unsaid(s);
}

static void pause_for_child(unsigned ms)
{
    const struct timespec time = {.tv_nsec = (long)ms * 1000000};
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigtimedwait(&child, NULL, &time);
}

/* The end must be told, whatever holds up its program. */
static void wait_for_removal(pid_t pid)
{
    uint64_t until_ms = boottime_ms() + REMOVE_MS;

    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (boottime_ms() >= until_ms) {
            kill(pid, SIGKILL);
            return;
        }
        pause_for_child(PAUSE_MS_MAX);
    }
}

/* What a container has written goes with it.  Its command is "triarch-contain run …". */
static void remove_bundle(const struct shim *s)
{
    char **run = s->command.argv;
    struct task t = {.env = s->command.env, .in = -1, .out = -1, .err = -1};
    const char *step;
    pid_t pid;

    if ((s->request->flags & SHIM_FLAG_CONTAINER) == 0 || run == NULL)
        return;
    t.argv = (char *[]){run[0], "remove", run[2], run[3], NULL};
    t.cwd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (task_spawn(&t, &pid, &step) == 0)
        wait_for_removal(pid);
}

/* The spawner reports a shim whose status is not 0: then the slot could not be written.
 */
static _Noreturn void finish(const struct shim *s, struct slot_end *end)
{
    struct shim_notice notice;

    remove_bundle(s);
    end->attempt = s->request->attempt;
    end->shim_start = s->start;
    end->restarts = s->request->restarts;
    if (slot_write_end(SHIM_FD_SLOTS, s->request->slot, end) != 0)
        _exit(1);
    notice = notice_of(s, SHIM_ENDED);
    notice_send(&notice);
    _exit(0);
}

/* ---- everything of the run ---- */

static bool kill_all(struct shim *s)
{
    s->killed = true;
    if (s->task > 0)
        kill(-s->task, SIGKILL);
    cgroup_kill(&s->group);
    return reaper_kill_children();
}

/* True while there are children. */
static bool reap_children(void)
{
    pid_t pid;

    do {
        pid = waitpid(-1, NULL, WNOHANG);
    } while (pid > 0);
    return pid == 0;
}

/* Returns when nothing is left.  The usual end is one pass without a kill. */
static void end_rest(struct shim *s)
{
    for (unsigned ms = 1;; ms = 2 * ms > PAUSE_MS_MAX ? PAUSE_MS_MAX : 2 * ms) {
        bool children = reap_children();

        int rv =
            children || s->killed ? cgroup_remove(&s->group) : cgroup_leave(&s->group);

        if (rv != -EBUSY && !children)
            return;
        if (!kill_all(s) && s->host->groups.count == 0)
            return;
        pause_for_child(ms);
    }
}

__attribute__((format(printf, 2, 3))) static _Noreturn void
not_started(struct shim *s, const char *format, ...)
{
    struct slot_end end = {.how = SLOT_NOT_STARTED};
    va_list args;

    va_start(args, format);
    vsnprintf(end.text, sizeof(end.text), format, args);
    va_end(args);
    end_rest(s);
    finish(s, &end);
}

/* ---- start ---- */

/* Usual groups are kept for each other: those whose limits are only the ones that every
 * attempt has. */
static bool is_usual(const struct shim_request *r)
{
    return r->memory_bytes > 0 && r->pids > 0 &&
           (r->flags & (SHIM_FLAG_CPU_HARD | SHIM_FLAG_CONTAINER)) == 0;
}

static void make_group(struct shim *s)
{
    const struct shim_request *r = s->request;
    const struct cgroup_limits limits = {
        .memory_bytes = r->memory_bytes,
        .cpu_milli = r->cpu_milli,
        .cpu_hard = (r->flags & SHIM_FLAG_CPU_HARD) != 0,
        .pids = r->pids,
    };
    const char *file;
    int rv;

    s->group.spare = is_usual(r) ? s->spare : -1;
    rv = cgroup_make(&s->group, &limits, &file);
    if (rv != 0)
        not_started(s,
                    "cannot make its cgroup%s%s: %s",
                    file != NULL ? ", " : "",
                    file != NULL ? file : "",
                    strerror(-rv));
}

/* What a task that is restarted left there may be anything: a link, a pipe, or a file of
 * another user that it could move, but not read, and which we would give to it. */
static int open_old_log(const struct shim_request *r, int sandbox, const char *name)
{
    int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(sandbox, name, flags | O_NONBLOCK);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
        ((r->flags & SHIM_FLAG_USER) == 0 || st.st_uid == r->uid) &&
        fcntl(fd, F_SETFL, O_APPEND) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    unlinkat(sandbox, name, 0);
    return openat(sandbox, name, flags | O_CREAT | O_EXCL, 0644);
}

static int open_log(struct shim *s, const char *name)
{
    const struct shim_request *r = s->request;
    int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_CREAT | O_EXCL;
    int fd = openat(s->command.cwd, name, flags, 0644);

    if (fd < 0 && errno == EEXIST)
        fd = open_old_log(r, s->command.cwd, name);
    if (fd >= 0 && (r->flags & SHIM_FLAG_USER) != 0 && fchown(fd, r->uid, r->gid) != 0)
        not_started(s, "cannot give away its log files: %s", strerror(errno));
    return fd;
}

static void open_sandbox(struct shim *s)
{
    const struct shim_request *r = s->request;
    char name[64];

    snprintf(name, sizeof(name), "runs/%llu", (unsigned long long)r->attempt);
    if (mkdir(name, 0700) != 0 && errno != EEXIST)
        not_started(s, "cannot make the sandbox %s: %s", name, strerror(errno));
    s->command.cwd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->command.cwd < 0)
        not_started(s, "cannot open the sandbox %s: %s", name, strerror(errno));
    if ((r->flags & SHIM_FLAG_USER) != 0 && fchown(s->command.cwd, r->uid, r->gid) != 0)
        not_started(s, "cannot give away the sandbox %s: %s", name, strerror(errno));
    s->command.out = open_log(s, "stdout");
    s->command.err = open_log(s, "stderr");
    if (s->command.out < 0 || s->command.err < 0)
        not_started(s, "cannot open the log files in %s: %s", name, strerror(errno));
}

static void start_task(struct shim *s)
{
    struct task *t = &s->command;
    const char *step;
    bool searched = strchr(t->argv[0], '/') == NULL;
    int failure;

    s->prepares = false;
    failure = task_spawn(t, &s->task, &step);
    close(t->cwd);
    close(t->out);
    close(t->err);
    if (failure == 0)
        return;
    s->task = 0;
    if (strcmp(step, "exec") != 0)
        not_started(s, "cannot start the command: %s: %s", step, strerror(failure));
    not_started(s,
                "exec \"%s\": %s%s%s%s",
                t->argv[0],
                strerror(failure),
                searched ? " (looked in PATH " : "",
                searched ? task_path(t) : "",
                searched ? ")" : "");
}

/* ---- its lease ---- */

/* A lease that cannot be read is one that was never renewed.  It is read until it is the same
 * twice: nobody promises that eight bytes are written as one. */
static uint64_t lease_ends(const struct shim *s)
{
    uint64_t renewed = 0, before;
    int fd = open(SHIM_LEASE, O_RDONLY | O_CLOEXEC);

    do {
        before = renewed;
        if (fd < 0 || pread(fd, &renewed, sizeof(renewed), 0) != sizeof(renewed))
            renewed = 0;
    } while (renewed != before);
    if (fd >= 0)
        close(fd);
    return renewed + s->request->lease_ms;
}

/* By a clock that counts while the host sleeps. */
static void wake_at(const struct shim *s, uint64_t ms)
{
    const struct itimerspec time = {
        .it_value = {.tv_sec = (time_t)(ms / 1000),
                     .tv_nsec = (long)(ms % 1000) * 1000000 + 1},
    };

    timerfd_settime(s->lease, TFD_TIMER_ABSTIME, &time, NULL);
}

/* It waited for a lease, and then for its turn here. */
static void check_lease(struct shim *s)
{
    struct slot_end end = {.how = SLOT_LEASE};

    if (s->request->lease_ms == 0 || boottime_ms() < lease_ends(s))
        return;
    end_rest(s);
    finish(s, &end);
}

static void start_lease(struct shim *s)
{
    s->lease = -1;
    if (s->request->lease_ms == 0)
        return;
    s->lease = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->lease < 0)
        not_started(s, "cannot watch its lease: %s", strerror(errno));
    wake_at(s, lease_ends(s));
}

static void on_lease(struct shim *s)
{
    uint64_t now = boottime_ms(), ends = lease_ends(s);
    eventfd_t count;

    eventfd_read(s->lease, &count);
    if (s->lease_over) {
        kill_all(s);
        wake_at(s, now + AGAIN_MS);
    } else if (now < ends) {
        wake_at(s, ends);
    } else {
        s->lease_over = true;
        s->reason = SLOT_LEASE;
        kill(-s->task, s->prepares ? SIGKILL : SIGTERM);
        wake_at(s, now + s->request->grace_ms);
    }
}

/* ---- stand over it ---- */

static void kill_for(struct shim *s, enum slot_how reason)
{
    if (s->reason == 0)
        s->reason = reason;
    kill_all(s);
}

/* Version 1 tells that memory is short, before the kernel has killed what it chose. */
static void look_for_oom(struct shim *s)
{
    if (cgroup_oom_killed(&s->group)) {
        s->oom_looks = 0;
        kill_for(s, SLOT_MEMORY);
    } else if (s->oom_looks > 0) {
        s->oom_looks--;
    }
}

/* Asking for it takes longer than many a task runs. */
static void watch_oom(struct shim *s)
{
    s->oom_watched = true;
    s->oom = cgroup_oom_event(&s->group);
    look_for_oom(s);
}

static void on_oom(struct shim *s)
{
    eventfd_t count;

    eventfd_read(s->oom, &count);
    s->oom_looks = OOM_LOOKS;
    look_for_oom(s);
}

static enum slot_how how_ended(struct shim *s, const siginfo_t *info)
{
    struct pollfd oom = {.fd = s->oom, .events = POLLIN};
    bool killed = info->si_code != CLD_EXITED && info->si_status == SIGKILL;

    if (s->reason != 0)
        return s->reason;
    if ((killed || s->oom_looks > 0 || !s->oom_watched ||
         (s->oom >= 0 && poll(&oom, 1, 0) > 0)) &&
        cgroup_oom_killed(&s->group)) {
        s->killed = true;
        return SLOT_MEMORY;
    }
    return info->si_code == CLD_EXITED ? SLOT_EXITED : SLOT_SIGNALED;
}

static uint64_t microseconds(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

/* While its group is there.  Of a short run what was waited for is all, and costs less to ask
 * for. */
static void measure(const struct shim *s, struct slot_used *out)
{
    struct usage group = {0};
    struct rusage waited;

    getrusage(RUSAGE_CHILDREN, &waited);
    if (boottime_ms() - s->since_ms >= MEASURE_MS)
        cgroup_used(&s->group, &group);
    *out = (struct slot_used){
        .cpu_us = microseconds(waited.ru_utime) + microseconds(waited.ru_stime),
        .memory_peak_bytes = group.memory_peak_bytes,
        .read_bytes = group.io_read_bytes,
        .written_bytes = group.io_written_bytes,
    };
    if (group.cpu_us > out->cpu_us)
        out->cpu_us = group.cpu_us;
    if (out->memory_peak_bytes == 0)
        out->memory_peak_bytes = (uint64_t)waited.ru_maxrss * 1024;
}

static _Noreturn void task_ended(struct shim *s, const siginfo_t *info)
{
    struct slot_end end = {.how = how_ended(s, info), .code = info->si_status};

    if (end.how != SLOT_EXITED && info->si_code == CLD_EXITED)
        end.code = 0;
    kill(-s->task, SIGKILL); /* not reaped yet: the group's number is still its own */
    waitpid(s->task, NULL, 0);
    s->task = 0;
    measure(s, &end.used);
    end_rest(s);
    finish(s, &end);
}

/* ---- before the command ---- */

static void write_start(const struct shim *s);

static void start_command(struct shim *s)
{
    if (s->request->step_count > 0) { /* its time counts from here */
        s->since_ms = boottime_ms();
        write_start(s);
    }
    start_task(s);
    notify(s, SHIM_STARTED);
}

/* The next step, or the command. */
static void go_on(struct shim *s)
{
    const char *what;
    int failure;

    check_lease(s);
    if (!steps_left(&s->steps)) {
        start_command(s);
        return;
    }
    failure = steps_start(&s->steps, &s->command, &s->task, &what);
    if (failure == 0)
        return;
    s->task = 0;
    not_started(s, "cannot prepare it: %s: %s", what, strerror(failure));
}

/* The image says who the process is; its sandbox is that user's. */
static void become_inside(struct shim *s)
{
    const struct task *c = &s->command;
    unsigned uid, gid;

    if (sscanf(s->steps.said, "%u %u", &uid, &gid) != 2)
        not_started(s, "triarch-fetch did not say who its user is");
    if (geteuid() != 0)
        return;
    s->inside = (struct shim_request){.flags = SHIM_FLAG_USER, .uid = uid, .gid = gid};
    s->steps.user = &s->inside;
    if (fchown(c->cwd, uid, gid) != 0 || fchown(c->out, uid, gid) != 0 ||
        fchown(c->err, uid, gid) != 0)
        not_started(s, "cannot give away its sandbox: %s", strerror(errno));
}

static void step_ended(struct shim *s, const siginfo_t *info)
{
    struct slot_end end = {.how = how_ended(s, info)};
    bool good = info->si_code == CLD_EXITED && info->si_status == 0;

    kill(-s->task, SIGKILL);
    waitpid(s->task, NULL, 0);
    s->task = 0;
    steps_finish(&s->steps, s->command.err, end.text, sizeof(end.text));
    if (end.how == SLOT_EXITED && good) {
        if (steps_how(&s->steps) == SLOT_IMAGE_FAILED)
            become_inside(s);
        go_on(s);
        return;
    }
    if (end.how == SLOT_EXITED || end.how == SLOT_SIGNALED)
        end.how = steps_how(&s->steps);
    else if (end.how == SLOT_NOT_STARTED)
        snprintf(end.text, sizeof(end.text), "stopped before its command was started");
    if (end.text[0] == 0)
        snprintf(end.text,
                 sizeof(end.text),
                 "%s %d before its command was started",
                 info->si_code == CLD_EXITED ? "exit status" : "signal",
                 info->si_status);
    measure(s, &end.used);
    end_rest(s);
    finish(s, &end);
}

/* The shim is known from now on, so the run can be cancelled. */
static void prepare(struct shim *s)
{
    steps_init(&s->steps, &s->command);
    if ((s->request->flags & SHIM_FLAG_CONTAINER) != 0)
        s->command.user = NULL; /* crun changes to it */
    s->prepares = steps_left(&s->steps);
    if (s->prepares)
        notify(s, SHIM_PREPARING);
    go_on(s);
}

/* ---- its processes end ---- */

static void reap(struct shim *s)
{
    for (;;) {
        siginfo_t info = {0};

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid == 0)
            return;
        if (info.si_pid != s->task)
            waitpid(info.si_pid, NULL, 0);
        else if (s->prepares)
            step_ended(s, &info);
        else
            task_ended(s, &info);
    }
}

static void on_signal(struct shim *s)
{
    struct signalfd_siginfo info;

    if (read(s->signals, &info, sizeof(info)) != sizeof(info))
        return;
    switch ((int)info.ssi_signo) {
    case SIGCHLD:
        reap(s);
        break;
    case SIGTERM:
        if (s->prepares)
            kill_for(s, SLOT_NOT_STARTED);
        else
            kill(-s->task, SIGTERM);
        break;
    case SHIM_SIGNAL_CANCEL:
        if (s->prepares)
            kill_for(s, SLOT_NOT_STARTED);
        break;
    case SHIM_SIGNAL_KILL:
        if (s->prepares)
            kill_for(s, SLOT_NOT_STARTED);
        else
            kill_all(s);
        break;
    case SHIM_SIGNAL_DISK:
        kill_for(s, SLOT_DISK);
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
        };
        int n = poll(fds, 4, patience(s));

        if (n == 0 && s->oom_watched)
            look_for_oom(s);
        else if (n == 0)
            watch_oom(s);
        if (n <= 0)
            continue;
        if (fds[1].revents != 0) /* before the end of what the kernel killed */
            on_oom(s);
        if (fds[2].revents != 0)
            on_lease(s);
        if (fds[3].revents != 0)
            tell_unsaid(s);
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
    sigaddset(&signals, SHIM_SIGNAL_KILL);
    sigaddset(&signals, SHIM_SIGNAL_DISK);
    sigaddset(&signals, SHIM_SIGNAL_CANCEL);
    s->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals < 0)
        not_started(s, "signalfd: %s", strerror(errno));
}

static void write_start(const struct shim *s)
{
    const struct shim_request *r = s->request;
    struct slot_start start = {
        .attempt = r->attempt,
        .shim_start = s->start,
        .started_ms = s->since_ms,
        .disk_bytes = r->disk_bytes,
        .restarts = r->restarts,
        .shim_pid = getpid(),
    };

    memcpy(start.boot_id, s->host->boot_id, BOOT_ID_BYTES);
    if (slot_write_start(SHIM_FD_SLOTS, r->slot, &start) != 0)
        _exit(1);
}

/* From now on the next agent can find this run. */
static void begin(const struct shim *s)
{
    write_start(s);
    close(SHIM_FD_FENCE);
    /* Whoever reads what the agent says is not to wait for its tasks. */
    dup2(STDIN_FILENO, STDOUT_FILENO);
    dup2(STDIN_FILENO, STDERR_FILENO);
    setsid();
}

void shim_run(const struct shim_request *request,
              const struct shim_host *host,
              int spare)
{
    struct shim s = {
        .request = request, .host = host, .spare = spare, .oom = -1, .lease = -1};
    int reason;

    s.start = process_start(getpid());
    reason = errno;
    s.since_ms = boottime_ms();
    cgroup_init(&s.group, &host->groups, request->attempt);
    begin(&s);
    task_from_request(&s.command, request);
    s.command.group = &s.group;
    s.command.oom_default = host->oom_protected;
    if (s.start == 0) /* nobody could signal or adopt it */
        not_started(&s, "cannot read /proc: %s", strerror(reason));
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        not_started(&s, "prctl: %s", strerror(errno));
    watch_signals(&s);
    make_group(&s);
    open_sandbox(&s);
    start_lease(&s);
    prepare(&s);
    stand(&s);
}
