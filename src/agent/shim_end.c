/* shim_end.c - how a run ended, and that nothing is left of it. */
#include "agent/shim_private.h"

#include "agent/notice.h"
#include "agent/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_MS_MAX 100   /* between two looks whether everything is gone */
#define REMOVE_MS    30000 /* for what a container has written; the rest goes later */

/* ---- what the agent is told ---- */

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
void shim_tell_unsaid(struct shim *s)
{
    const struct shim_notice notice = notice_of(s, s->unsaid);

    if (notice_try(&notice))
        s->is_unsaid = false;
}

void shim_notify(struct shim *s, enum shim_notice_kind kind)
{
    s->unsaid = kind;
    s->is_unsaid = true;
    shim_tell_unsaid(s);
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

/* Which limit it was; else the core finds the words. */
static void say_limit(const struct shim *s, struct slot_end *end)
{
    bool memory = end->how == SLOT_MEMORY;
    uint64_t bytes = memory ? s->request->memory_bytes : s->request->disk_bytes;

    if ((memory || end->how == SLOT_DISK) && bytes > 0)
        snprintf(end->text,
                 sizeof(end->text),
                 "killed: %s of %.10g MiB",
                 memory ? "it reached its limit of memory"
                        : "its files take more than its disk",
                 (double)bytes / MIB);
}

/* The spawner reports a shim whose status is not 0: then the slot could not be written.
 */
_Noreturn void shim_finish(const struct shim *s, struct slot_end *end)
{
    struct shim_notice notice;

    remove_bundle(s);
    say_limit(s, end);
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

bool shim_kill_all(struct shim *s)
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
void shim_end_rest(struct shim *s)
{
    for (unsigned ms = 1;; ms = 2 * ms > PAUSE_MS_MAX ? PAUSE_MS_MAX : 2 * ms) {
        bool children = reap_children();

        int rv =
            children || s->killed ? cgroup_remove(&s->group) : cgroup_leave(&s->group);

        if (rv != -EBUSY && !children)
            return;
        if (!shim_kill_all(s) && s->host->groups.count == 0)
            return;
        pause_for_child(ms);
    }
}

void shim_not_started(struct shim *s, const char *format, ...)
{
    struct slot_end end = {.how = SLOT_NOT_STARTED};
    va_list args;

    va_start(args, format);
    vsnprintf(end.text, sizeof(end.text), format, args);
    va_end(args);
    shim_end_rest(s);
    shim_finish(s, &end);
}

/* ---- why it ended ---- */

void shim_kill_for(struct shim *s, enum slot_how reason)
{
    if (s->reason == 0)
        s->reason = reason;
    shim_kill_all(s);
}

/* Version 1 tells that memory is short, before the kernel has killed what it chose. */
void shim_look_for_oom(struct shim *s)
{
    if (cgroup_oom_killed(&s->group)) {
        s->oom_looks = 0;
        shim_kill_for(s, SLOT_MEMORY);
    } else if (s->oom_looks > 0) {
        s->oom_looks--;
    }
}

/* Asking for it takes longer than many a task runs. */
void shim_watch_oom(struct shim *s)
{
    s->oom_watched = true;
    s->oom = cgroup_oom_event(&s->group);
    shim_look_for_oom(s);
}

void shim_on_oom(struct shim *s)
{
    eventfd_t count;

    eventfd_read(s->oom, &count);
    s->oom_looks = OOM_LOOKS;
    shim_look_for_oom(s);
}

enum slot_how shim_how_ended(struct shim *s, const siginfo_t *info)
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
void shim_measure(const struct shim *s, struct slot_used *out)
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
