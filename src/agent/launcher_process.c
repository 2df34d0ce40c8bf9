/* launcher_process.c - runs as plain processes, each under a shim (shim.h).
 *
 * A shim that was started by this agent reports through the notices, and its spawner
 * reports if it was killed.  A shim of an earlier agent is adopted: it is known by pid,
 * start time and boot, held by a descriptor of the process, and its slot is read when
 * it ends.
 *
 * Every notice to the listener is sent by dispatch(), from one list, in order.
 */

#include "agent/launcher.h"

#include "agent/cgroup_find.h"
#include "agent/containers.h"
#include "agent/leftovers.h"
#include "agent/process.h"
#include "agent/request.h"
#include "agent/shim.h"
#include "agent/slots.h"
#include "agent/spawning.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64
#define RETRY_MS       5 /* until what was killed is gone */

enum process_state {
    PROCESS_FOUND, /* in the slots at start; not adopted yet */
    PROCESS_ALIVE, /* it was started, or will be */
    PROCESS_LOST, /* its shim is gone; its processes are still to be killed, in `lost` */
    PROCESS_ENDED,
};

struct process {
    uint64_t attempt;
    enum process_state state;
    bool has_slot;
    uint32_t slot;
    pid_t shim;     /* 0 until known */
    uint64_t start; /* of the shim */
    int pidfd;      /* of an adopted shim; else -1 */
    uint32_t restarts;
    uint64_t since_ms; /* CLOCK_BOOTTIME */
    uint64_t disk_bytes;
    bool forgotten; /* nobody asks for it: only to be killed */
    bool cancelled; /* before its shim was known */

    bool tell_started, tell_ended; /* in the list `telling` for this */
    enum run_end how;
    int code;
    char *message;             /* owned, or NULL */
    TAILQ_ENTRY(process) link; /* in `telling` or in `lost` */
    RB_ENTRY(process) by_attempt;
};

TAILQ_HEAD(process_list, process);
RB_HEAD(process_tree, process);

struct launcher_process {
    struct launcher base;
    char *work_dir, *fetch, *contain, *volumes;
    struct request_host host;
    char boot_id[BOOT_ID_BYTES];
    struct cgroups groups;
    struct slots slots;
    struct spawning spawning;
    bool wants_write; /* the spawner's socket was full */
    bool settled;     /* what was not adopted is free */
    bool failed;
    int wake;  /* an eventfd: dispatch() has something to do */
    int retry; /* a timerfd: some of `lost` may be gone now */
    struct process_tree processes;
    struct process_list telling;
    struct process_list lost;
};

static struct launcher_process *of(struct launcher *l)
{
    return (struct launcher_process *)l;
}

/* ---- table of processes ---- */

static int compare(const struct process *a, const struct process *b)
{
    return (a->attempt > b->attempt) - (a->attempt < b->attempt);
}

RB_GENERATE_INTERNAL(
    process_tree, process, by_attempt, compare, __attribute__((unused)) static)

static struct process *find(struct launcher_process *l, uint64_t attempt)
{
    struct process key = {.attempt = attempt};

    return RB_FIND(process_tree, &l->processes, &key);
}

static struct process *add(struct launcher_process *l, uint64_t attempt)
{
    struct process *p = mem_zalloc(sizeof(*p));

    p->attempt = attempt;
    p->pidfd = -1;
    RB_INSERT(process_tree, &l->processes, p);
    return p;
}

static void drop(struct launcher_process *l, struct process *p)
{
    RB_REMOVE(process_tree, &l->processes, p);
    if (p->state == PROCESS_LOST)
        TAILQ_REMOVE(&l->lost, p, link);
    else if (p->tell_started || p->tell_ended)
        TAILQ_REMOVE(&l->telling, p, link);
    if (p->has_slot)
        slots_give(&l->slots, p->slot);
    if (p->pidfd >= 0)
        close(p->pidfd);
    mem_free(p->message);
    mem_free(p);
}

/* ---- telling ---- */

static void fail(struct launcher_process *l, const struct error *err)
{
    if (l->failed)
        return;
    l->failed = true;
    l->base.listener.failed(l->base.listener.context, err);
}

static void tell(struct launcher_process *l, struct process *p)
{
    if (TAILQ_EMPTY(&l->telling))
        eventfd_write(l->wake, 1);
    if (!p->tell_started && !p->tell_ended)
        TAILQ_INSERT_TAIL(&l->telling, p, link);
}

static void tell_started(struct launcher_process *l, struct process *p)
{
    tell(l, p);
    p->tell_started = true;
}

static void tell_ended(struct launcher_process *l,
                       struct process *p,
                       enum run_end how,
                       int code,
                       const char *message)
{
    tell(l, p);
    p->tell_ended = true;
    p->state = PROCESS_ENDED;
    p->how = how;
    p->code = code;
    p->message = message == NULL || message[0] == 0 ? NULL : mem_strdup(message);
    if (p->pidfd >= 0)
        close(p->pidfd); /* leaves the epoll set by this */
    p->pidfd = -1;
}

/* ---- without a shim ---- */

/* Its shim is gone and kept no end: what is left of it must go before it is told. */
static void lose(struct launcher_process *l, struct process *p)
{
    if (p->tell_started)
        TAILQ_REMOVE(&l->telling, p, link);
    p->tell_started = false;
    p->state = PROCESS_LOST;
    TAILQ_INSERT_TAIL(&l->lost, p, link);
    eventfd_write(l->wake, 1);
}

static int compare_attempts(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void retry_in(struct launcher_process *l, unsigned ms)
{
    const struct itimerspec time = {.it_value.tv_nsec = (long)ms * 1000000};

    timerfd_settime(l->retry, 0, &time, NULL);
}

static bool is_alive(void *user, uint64_t attempt)
{
    const struct process *p = find(user, attempt);

    return p != NULL && (p->state == PROCESS_ALIVE || p->state == PROCESS_LOST);
}

static void clean_bundles(struct launcher_process *l)
{
    if (l->contain != NULL)
        containers_clean(l->contain, l->work_dir, is_alive, l);
}

/* By their groups, then one pass over /proc for all of them.  While some may be left none
 * is told: a successor would run beside it. */
static void end_lost(struct launcher_process *l)
{
    struct process *p, *next;
    uint64_t *attempts = NULL;
    size_t count = 0, capacity = 0;
    struct error err;

    TAILQ_FOREACH (p, &l->lost, link) {
        if (leftovers_end_group(&l->groups, p->attempt) != 0)
            break;
        MEM_GROW(attempts, capacity, count + 1);
        attempts[count++] = p->attempt;
    }
    if (p != NULL) {
        retry_in(l, RETRY_MS);
        count = 0;
    }
    if (count > 0)
        qsort(attempts, count, sizeof(*attempts), compare_attempts);
    if (count > 0 && leftovers_kill(l->work_dir, attempts, count, &err) != 0) {
        fail(l, &err);
        count = 0;
    }
    mem_free(attempts);
    if (count == 0)
        return;
    TAILQ_FOREACH_SAFE (p, &l->lost, link, next) {
        TAILQ_REMOVE(&l->lost, p, link);
        p->state = PROCESS_ENDED;
        if (p->forgotten)
            drop(l, p);
        else
            tell_ended(l, p, RUN_END_SHIM_LOST, 0, NULL);
    }
    clean_bundles(l);
}

/* The listener may start, signal and forget runs meanwhile.  After a failure nothing is told
 * any more: it may be wrong, and the next agent will find out. */
static void tell_all(struct launcher_process *l)
{
    const struct launcher_listener *to = &l->base.listener;
    struct process *p;

    end_lost(l);
    while (!l->failed && (p = TAILQ_FIRST(&l->telling)) != NULL) {
        uint64_t attempt = p->attempt;

        if (p->tell_started) {
            p->tell_started = false;
            if (!p->tell_ended)
                TAILQ_REMOVE(&l->telling, p, link);
            to->started(to->context,
                        &(struct run_started){.attempt = attempt,
                                              .restarts = p->restarts,
                                              .since_ms = p->since_ms});
        } else {
            p->tell_ended = false;
            TAILQ_REMOVE(&l->telling, p, link);
            to->ended(to->context,
                      &(struct run_ended){.attempt = attempt,
                                          .restarts = p->restarts,
                                          .how = p->how,
                                          .code = p->code,
                                          .message = p->message});
        }
    }
}

/* ---- what became of a run ---- */

static const enum run_end ends[] = {
    [SLOT_EXITED] = RUN_END_EXITED,
    [SLOT_SIGNALED] = RUN_END_SIGNALED,
    [SLOT_NOT_STARTED] = RUN_END_NOT_STARTED,
    [SLOT_MEMORY] = RUN_END_MEMORY,
    [SLOT_DISK] = RUN_END_DISK,
    [SLOT_LEASE] = RUN_END_LEASE,
    [SLOT_FETCH_FAILED] = RUN_END_FETCH_FAILED,
    [SLOT_IMAGE_FAILED] = RUN_END_IMAGE_FAILED,
};

static bool is_end_of(const struct process *p, const struct slot *slot)
{
    return slot_end_valid(slot) && slot->end.attempt == p->attempt &&
           slot->end.restarts == p->restarts;
}

/* True if its slot says how it ended. */
static bool end_from_slot(struct launcher_process *l, struct process *p)
{
    struct slot slot;
    struct error err;

    if (slots_read(&l->slots, p->slot, &slot, &err) != 0) {
        fail(l, &err);
        return false;
    }
    if (!is_end_of(p, &slot) || slot.end.how < SLOT_EXITED ||
        slot.end.how >= sizeof(ends) / sizeof(ends[0]))
        return false;
    tell_ended(l, p, ends[slot.end.how], slot.end.code, slot.end.text);
    return true;
}

static void shim_ended(struct launcher_process *l, struct process *p)
{
    if (p->state == PROCESS_ALIVE && !end_from_slot(l, p))
        lose(l, p);
}

/* A descriptor of the shim; or -1 and errno, which is ESRCH when it is gone.  A shim that waits
 * to be reaped is gone. */
static int open_shim(const struct process *p)
{
    struct pollfd poll_fd = {.events = POLLIN};
    uint64_t start;
    int fd, reason;

    errno = ESRCH;
    if (p->shim <= 0)
        return -1;
    fd = pidfd_open(p->shim, 0);
    if (fd < 0)
        return -1;
    poll_fd.fd = fd;
#ifdef MUTANT_ADOPT_BY_PID
    if (poll(&poll_fd, 1, 0) == 0)
        return fd;
#endif
    start = process_start(p->shim);
    reason = start == 0 ? errno : ESRCH;
    if (start != 0 && start == p->start && poll(&poll_fd, 1, 0) == 0)
        return fd;
    close(fd);
    errno = reason;
    return -1;
}

static void adopt_here(struct launcher_process *l, struct process *p)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    struct error err;

    p->state = PROCESS_ALIVE;
    p->pidfd = open_shim(p);
    if (p->pidfd < 0 && errno != ESRCH) {
        error_set(&err,
                  ERROR_IO,
                  "cannot watch a run of the agent before: %s%s",
                  strerror(errno),
                  errno == EMFILE ? "; raise the limit of open files: each takes one"
                                  : "");
        fail(l, &err);
        return;
    }
    if (p->pidfd < 0) {
        shim_ended(l, p);
        return;
    }
    if (epoll_ctl(l->base.fd, EPOLL_CTL_ADD, p->pidfd, &event) != 0) {
        error_set(&err, ERROR_IO, "epoll_ctl: %s", strerror(errno));
        fail(l, &err);
        return;
    }
    tell_started(l, p);
}

/* ---- the table's functions ---- */

static void process_adopt(struct launcher *base, uint64_t attempt)
{
    struct launcher_process *l = of(base);
    struct process *p = find(l, attempt);
    struct slot slot = {0};
    struct error err;

    if (p == NULL) {
        p = add(l, attempt);
        tell_ended(
            l, p, RUN_END_VANISHED, 0, "the agent ended before it started the command");
        return;
    }
    if (p->state != PROCESS_FOUND)
        return;
    if (slots_read(&l->slots, p->slot, &slot, &err) != 0) {
        fail(l, &err);
        return;
    }
    if (memcmp(slot.start.boot_id, l->boot_id, BOOT_ID_BYTES) == 0) {
        adopt_here(l, p);
    } else if (!end_from_slot(l, p)) {
        tell_ended(l, p, RUN_END_VANISHED, 0, "the host was restarted");
    }
}

/* A group of no run that we know: of one that was forgotten while it ended badly. */
static void end_strays(struct launcher_process *l)
{
    uint64_t *attempts;
    size_t count = cgroup_list(&l->groups, &attempts);

    for (size_t i = 0; i < count; i++) {
        struct process *p = find(l, attempts[i]);

        if (p != NULL)
            continue;
        p = add(l, attempts[i]);
        p->forgotten = true;
        lose(l, p);
    }
    mem_free(attempts);
}

/* Adoption is over: what nobody asked for was forgotten long ago. */
static void settle(struct launcher_process *l)
{
    struct process *p, *next;

    if (l->settled)
        return;
    l->settled = true;
    RB_FOREACH_SAFE (p, process_tree, &l->processes, next) {
        if (p->state == PROCESS_FOUND)
            drop(l, p);
    }
    end_strays(l);
    clean_bundles(l);
}

static void watch_spawner(struct launcher_process *l, bool write)
{
    struct epoll_event event = {
        .events = write ? EPOLLIN | EPOLLOUT : EPOLLIN,
        .data.ptr = &l->spawning,
    };

    if (l->wants_write != write)
        epoll_ctl(l->base.fd, EPOLL_CTL_MOD, l->spawning.requests, &event);
    l->wants_write = write;
}

/* A new one, or one that has ended and is to be started again, in the same slot. */
static struct process *take(struct launcher_process *l, const struct run_start *run)
{
    struct process *p = find(l, run->attempt);

    if (p == NULL) {
        p = add(l, run->attempt);
    } else if (p->state != PROCESS_ENDED || p->tell_ended ||
               p->restarts >= run->restarts) {
        return NULL;
    } else {
        mem_free(p->message);
        p->message = NULL;
        p->shim = 0;
        p->start = 0;
        p->cancelled = false;
    }
    p->restarts = run->restarts;
    p->since_ms = clock_boottime_us() / 1000;
    return p;
}

static void process_start_run(struct launcher *base, const struct run_start *run)
{
    struct launcher_process *l = of(base);
    struct buffer request = {0};
    struct shim_request *r;
    struct process *p;
    struct error err;

    settle(l);
    p = take(l, run);
    if (p == NULL)
        return;
    if (request_build(&request, run, &l->host, &err) != 0 ||
        (!p->has_slot && slots_take(&l->slots, &p->slot, &err) != 0)) {
        buffer_finish(&request);
        tell_ended(l, p, RUN_END_NOT_STARTED, 0, err.text);
        return;
    }
    p->has_slot = true;
    p->state = PROCESS_ALIVE;
    r = (struct shim_request *)(void *)request.data;
    r->slot = p->slot;
    p->disk_bytes = r->disk_bytes;
    watch_spawner(l, !spawning_send(&l->spawning, &request, -1));
}

/* To the shim, if it lives. */
static void signal_shim(struct launcher_process *l, uint64_t attempt, int number)
{
    struct process *p = find(l, attempt);
    int fd;

    if (p == NULL || p->state != PROCESS_ALIVE)
        return;
    fd = open_shim(p);
    if (fd < 0)
        return;
    pidfd_send_signal(fd, number, NULL, 0);
    close(fd);
}

/* A shim that is not known yet is told when it says that it prepares the run. */
static void
process_signal(struct launcher *base, uint64_t attempt, enum run_signal signal)
{
    static const int numbers[] = {
        [RUN_SIGNAL_TERM] = SIGTERM,
        [RUN_SIGNAL_KILL] = SHIM_SIGNAL_KILL,
        [RUN_SIGNAL_CANCEL] = SHIM_SIGNAL_CANCEL,
    };
    struct process *p = find(of(base), attempt);

    if (p != NULL && p->shim == 0 && signal == RUN_SIGNAL_CANCEL)
        p->cancelled = true;
    signal_shim(of(base), attempt, numbers[signal]);
}

static void process_end_for_disk(struct launcher *base, uint64_t attempt)
{
    signal_shim(of(base), attempt, SHIM_SIGNAL_DISK);
}

static void process_forget(struct launcher *base, uint64_t attempt)
{
    struct process *p = find(of(base), attempt);

    if (p != NULL && p->state == PROCESS_ENDED)
        drop(of(base), p);
}

/* The run may end meanwhile: then there is no group to join, or the agent ends the session. */
static int process_exec(struct launcher *base,
                        const struct run_start *run,
                        const struct exec_request *request,
                        int socket,
                        struct error *err)
{
    struct launcher_process *l = of(base);
    struct process *p = find(l, run->attempt);
    struct buffer bytes = {0};
    int rc;

    if (p == NULL || p->state != PROCESS_ALIVE)
        rc = error_set(err, ERROR_CONFLICT, "the task has just ended");
    else
        rc = request_build_exec(&bytes, run, request, &l->host, err);
    if (rc != 0) {
        buffer_finish(&bytes);
        close(socket);
        return rc;
    }
    watch_spawner(l, !spawning_send(&l->spawning, &bytes, socket));
    return 0;
}

/* ---- checks ---- */

/* What could be started can be asked for, unless its user is gone meanwhile: then nobody
 * can say how it is. */
static void
process_check(struct launcher *base, const struct run_start *run, uint32_t index)
{
    struct launcher_process *l = of(base);
    struct process *p = find(l, run->attempt);
    struct buffer bytes = {0};
    struct shim_request *r;
    struct error err;

    if (p == NULL || p->state != PROCESS_ALIVE)
        return;
    if (request_build_check(&bytes, run, index, &l->host, &err) != 0) {
        buffer_finish(&bytes);
        log_warning("agent",
                    "attempt %llu cannot be checked: %s",
                    (unsigned long long)run->attempt,
                    err.text);
        return;
    }
    r = (struct shim_request *)(void *)bytes.data;
    r->shim_pid = p->shim;
    r->shim_start = p->start;
    watch_spawner(l, !spawning_send(&l->spawning, &bytes, -1));
}

static const char *timed_out(char text[LIMIT_MESSAGE_BYTES], int ms)
{
    if (ms % 1000 == 0)
        snprintf(text, LIMIT_MESSAGE_BYTES, "timed out after %d s", ms / 1000);
    else
        snprintf(text, LIMIT_MESSAGE_BYTES, "timed out after %d ms", ms);
    return text;
}

/* Why it failed; NULL if it passed. */
static const char *check_problem(const struct shim_notice *n,
                                 char text[LIMIT_MESSAGE_BYTES])
{
    switch ((enum check_end)n->end) {
    case CHECK_PASSED:
        return NULL;
    case CHECK_EXITED:
        snprintf(text, LIMIT_MESSAGE_BYTES, "exited with status %d", n->code);
        break;
    case CHECK_SIGNALED:
        snprintf(text, LIMIT_MESSAGE_BYTES, "ended by signal %d", n->code);
        break;
    case CHECK_TIMED_OUT:
        return timed_out(text, n->code);
    case CHECK_STATUS:
        snprintf(text, LIMIT_MESSAGE_BYTES, "status %d", n->code);
        break;
    case CHECK_NO_HTTP:
        snprintf(text, LIMIT_MESSAGE_BYTES, "no answer in HTTP");
        break;
    case CHECK_NOT_STARTED:
        snprintf(text, LIMIT_MESSAGE_BYTES, "not started: %s", strerror(n->code));
        break;
    case CHECK_NOT_REACHED:
        snprintf(text, LIMIT_MESSAGE_BYTES, "%s", strerror(n->code));
        break;
    }
    return text;
}

static void on_checked(struct launcher_process *l, const struct shim_notice *n)
{
    char text[LIMIT_MESSAGE_BYTES] = "";
    const char *problem = check_problem(n, text);
    const struct run_checked checked = {.attempt = n->attempt,
                                        .restarts = n->restarts,
                                        .index = n->check,
                                        .passed = problem == NULL,
                                        .message = problem};

    l->base.listener.checked(l->base.listener.context, &checked);
}

static void shim_known(struct process *p, const struct shim_notice *notice)
{
    p->shim = notice->shim_pid;
    p->start = notice->shim_start;
    p->since_ms = notice->since_ms;
}

static void on_notice(struct launcher_process *l, const struct shim_notice *notice)
{
    struct process *p = find(l, notice->attempt);

    if (p == NULL || p->state != PROCESS_ALIVE)
        return;
    switch ((enum shim_notice_kind)notice->kind) {
    case SHIM_PREPARING:
        shim_known(p, notice);
        if (p->cancelled)
            signal_shim(l, p->attempt, SHIM_SIGNAL_CANCEL);
        break;
    case SHIM_STARTED:
        shim_known(p, notice);
        tell_started(l, p);
        break;
    case SHIM_ENDED:
    case SHIM_GONE:
        shim_ended(l, p);
        break;
    case SHIM_CHECKED:
        on_checked(l, notice);
        break;
    }
}

static void on_notices(struct launcher_process *l)
{
    struct shim_notice notices[256];
    ssize_t n;

    while ((n = read(l->spawning.notices, notices, sizeof(notices))) > 0) {
        for (size_t i = 0; i < (size_t)n / sizeof(notices[0]); i++)
            on_notice(l, &notices[i]);
    }
}

static void on_spawner(struct launcher_process *l, uint32_t events)
{
    struct error err;

    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        spawning_reason(&l->spawning, &err);
        fail(l, &err);
    } else if ((events & EPOLLOUT) != 0) {
        watch_spawner(l, !spawning_flush(&l->spawning));
    }
}

static void process_dispatch(struct launcher *base)
{
    struct launcher_process *l = of(base);
    struct epoll_event events[EVENTS_AT_ONCE];
    int n = epoll_wait(base->fd, events, EVENTS_AT_ONCE, 0);
    eventfd_t woken;

    for (int i = 0; i < n; i++) {
        void *source = events[i].data.ptr;

        if (source == &l->wake)
            eventfd_read(l->wake, &woken);
        else if (source == &l->retry)
            eventfd_read(l->retry, &woken);
        else if (source == &l->slots)
            on_notices(l);
        else if (source == &l->spawning)
            on_spawner(l, events[i].events);
        else
            shim_ended(l, source);
    }
    settle(l);
    tell_all(l);
}

static void process_destroy(struct launcher *base)
{
    struct launcher_process *l = of(base);
    struct process *p, *next;

    spawning_stop(&l->spawning);
    RB_FOREACH_SAFE (p, process_tree, &l->processes, next)
        drop(l, p);
    slots_close(&l->slots);
    cgroups_close(&l->groups);
    if (l->wake >= 0)
        close(l->wake);
    if (l->retry >= 0)
        close(l->retry);
    if (base->fd >= 0)
        close(base->fd);
    mem_free(l->work_dir);
    mem_free(l->fetch);
    mem_free(l->contain);
    mem_free(l->volumes);
    mem_free(l);
}

static uint64_t process_disk(struct launcher *base, uint64_t attempt)
{
    const struct process *p = find(of(base), attempt);

    return p != NULL ? p->disk_bytes : 0;
}

static pid_t process_shim(struct launcher *base, uint64_t attempt)
{
    const struct process *p = find(of(base), attempt);

    return p != NULL ? p->shim : 0;
}

static bool process_used(struct launcher *base, uint64_t attempt, struct slot_used *out)
{
    struct launcher_process *l = of(base);
    const struct process *p = find(l, attempt);
    struct slot slot;
    struct error err;

    if (p == NULL || !p->has_slot || slots_read(&l->slots, p->slot, &slot, &err) != 0 ||
        !is_end_of(p, &slot))
        return false;
    *out = slot.end.used;
    return true;
}

static const struct launcher_ops process_ops = {
    .start = process_start_run,
    .adopt = process_adopt,
    .signal = process_signal,
    .end_for_disk = process_end_for_disk,
    .forget = process_forget,
    .shim = process_shim,
    .disk = process_disk,
    .used = process_used,
    .exec = process_exec,
    .check = process_check,
    .dispatch = process_dispatch,
    .destroy = process_destroy,
};

/* ---- create ---- */

static int read_boot_id(char out[BOOT_ID_BYTES], struct error *err)
{
    int fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, BOOT_ID_BYTES);

    if (fd >= 0)
        close(fd);
    if (n != BOOT_ID_BYTES)
        return error_set(err, ERROR_IO, "cannot read %s", BOOT_ID_PATH);
    return 0;
}

static int load_slots(struct launcher_process *l, struct error *err)
{
    struct slot slot;

    for (uint32_t i = 0; i < l->slots.count; i++) {
        struct process *p;

        if (slots_read(&l->slots, i, &slot, err) != 0)
            return -ERROR_IO;
        if (!slot_start_valid(&slot) || find(l, slot.start.attempt) != NULL) {
            slots_give(&l->slots, i);
            continue;
        }
        p = add(l, slot.start.attempt);
        p->state = PROCESS_FOUND;
        p->has_slot = true;
        p->slot = i;
        p->shim = slot.start.shim_pid;
        p->start = slot.start.shim_start;
        p->restarts = slot.start.restarts;
        p->since_ms = slot.start.started_ms;
        p->disk_bytes = slot.start.disk_bytes;
    }
    return 0;
}

static int watch(struct launcher_process *l, int fd, void *source, struct error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

    if (epoll_ctl(l->base.fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return error_set(err, ERROR_IO, "epoll_ctl: %s", strerror(errno));
    return 0;
}

static int open_all(struct launcher_process *l,
                    const struct launcher_process_options *options,
                    struct error *err)
{
    const struct cgroup_find_options where = {
        .root = options->root != NULL ? options->root : "",
        .work_dir = l->work_dir,
        .boot_id = l->boot_id,
    };
    struct spawning_options spawning = {
        .work_dir = l->work_dir,
        .shim = options->shim,
        .groups = &l->groups,
        .oom_protected = options->oom_protected,
    };
    char path[PATH_MAX];
    int rv;

    l->base.fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->retry = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->base.fd < 0 || l->wake < 0 || l->retry < 0)
        return error_set(err, ERROR_IO, "epoll: %s", strerror(errno));
    snprintf(path, sizeof(path), "%s/runs", l->work_dir);
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return error_set(err, ERROR_IO, "mkdir %s: %s", path, strerror(errno));
    snprintf(path, sizeof(path), "%s/slots", l->work_dir);
    rv = slots_open(&l->slots, path, err);
    if (rv == 0)
        rv = cgroup_find(&l->groups, &where, &l->base.unlimited, err);
    spawning.slots = l->slots.fd;
    if (rv == 0) /* waits for the fence: then the slots stand still */
        rv = spawning_start(&l->spawning, &spawning, err);
    if (rv == 0)
        rv = load_slots(l, err);
    if (rv == 0)
        rv = watch(l, l->wake, &l->wake, err);
    if (rv == 0)
        rv = watch(l, l->retry, &l->retry, err);
    if (rv == 0)
        rv = watch(l, l->spawning.notices, &l->slots, err);
    if (rv == 0)
        rv = watch(l, l->spawning.requests, &l->spawning, err);
    return rv;
}

int launcher_process_create(struct launcher **out,
                            const struct launcher_process_options *options,
                            const struct launcher_listener *listener,
                            struct error *err)
{
    struct launcher_process *l = mem_zalloc(sizeof(*l));
    int rv;

    l->base = (struct launcher){.ops = &process_ops, .listener = *listener, .fd = -1};
    l->wake = l->retry = -1;
    l->slots.fd = -1;
    l->spawning = (struct spawning){.pid = -1, .requests = -1, .notices = -1};
    STAILQ_INIT(&l->spawning.queue);
    TAILQ_INIT(&l->telling);
    TAILQ_INIT(&l->lost);
    RB_INIT(&l->processes);
    l->work_dir = mem_strdup(options->work_dir);
    l->fetch = mem_strdup(options->fetch);
    l->contain = options->contain == NULL ? NULL : mem_strdup(options->contain);
    l->volumes = options->volumes == NULL ? NULL : mem_strdup(options->volumes);
    l->host = (struct request_host){
        .work_dir = l->work_dir,
        .users = options->users,
        .task_pids = options->task_pids,
        .default_disk = options->default_disk,
        .fetch = l->fetch,
        .contain = l->contain,
        .volumes = l->volumes,
        .image_cache = options->image_cache,
    };
    rv = read_boot_id(l->boot_id, err);
    if (rv == 0)
        rv = open_all(l, options, err);
    if (rv != 0) {
        process_destroy(&l->base);
        return rv;
    }
    containers_probe(l->contain, l->work_dir, &l->base.no_images);
    if (l->base.no_images.code != ERROR_NONE)
        l->host.no_images = l->base.no_images.text;
    l->base.groups = &l->groups;
    eventfd_write(l->wake, 1); /* once the runs are adopted: settle */
    *out = &l->base;
    return 0;
}
