/* launcher_process.c - runs as plain processes, each under a shim (shim.h).
 *
 * A shim that was started by this agent reports through the notices, and its spawner
 * reports if it was killed.  A shim of an earlier agent is adopted: its end is seen by a
 * descriptor of the process.
 */
#include "agent/launcher_private.h"

#include "agent/cgroup_find.h"
#include "agent/containers.h"
#include "agent/process.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64

/* ---- what comes in ---- */

static void on_checked(struct launcher_process *l, const struct shim_notice *n)
{
    char text[LIMIT_MESSAGE_BYTES] = "";
    const char *problem = process_check_problem(n, text);
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
    struct process *p = process_find(l, notice->attempt);

    if (p == NULL || p->state != PROCESS_ALIVE)
        return;
    process_heard_of(l, p, (enum shim_notice_kind)notice->kind);
    switch ((enum shim_notice_kind)notice->kind) {
    case SHIM_PREPARING:
        shim_known(p, notice);
        if (p->cancelled)
            process_signal_shim(l, p->attempt, SHIM_SIGNAL_CANCEL);
        break;
    case SHIM_STARTED:
        shim_known(p, notice);
        process_tell_started(l, p);
        break;
    case SHIM_ENDED:
    case SHIM_GONE:
        process_shim_ended(l, p);
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
        process_fail(l, &err);
    } else if ((events & EPOLLOUT) != 0) {
        process_watch_spawner(l, !spawning_flush(&l->spawning));
    }
}

static void process_dispatch(struct launcher *base)
{
    struct launcher_process *l = launcher_process_of(base);
    struct epoll_event events[EVENTS_AT_ONCE];
    int n = epoll_wait(base->fd, events, EVENTS_AT_ONCE, 0);
    eventfd_t woken;

    for (int i = 0; i < n; i++) {
        void *source = events[i].data.ptr;

        if (source == &l->wake)
            eventfd_read(l->wake, &woken);
        else if (source == &l->overdue)
            eventfd_read(l->overdue, &woken);
        else if (source == &l->retry)
            l->look_for_lost = eventfd_read(l->retry, &woken) == 0;
        else if (source == &l->place_timer)
            process_give_late_places(l);
        else if (source == &l->slots)
            on_notices(l);
        else if (source == &l->spawning)
            on_spawner(l, events[i].events);
        else
            process_shim_ended(l, source);
    }
    process_settle(l);
    process_try_held(l);
    process_tell_all(l);
}

static void process_destroy(struct launcher *base)
{
    struct launcher_process *l = launcher_process_of(base);
    struct process *p, *next;

    spawning_stop(&l->spawning);
    process_drop_starts(l);
    process_drop_held(l);
    users_wake(l->host.users, -1);
    RB_FOREACH_SAFE (p, process_tree, &l->processes, next)
        process_drop(l, p);
    slots_close(&l->slots);
    cgroups_remove_spares(&l->groups);
    cgroups_close(&l->groups);
    if (l->wake >= 0)
        close(l->wake);
    if (l->retry >= 0)
        close(l->retry);
    if (l->overdue >= 0)
        close(l->overdue);
    if (l->place_timer >= 0)
        close(l->place_timer);
    if (base->fd >= 0)
        close(base->fd);
    mem_free(l->work_dir);
    mem_free(l->fetch);
    mem_free(l->contain);
    mem_free(l->volumes);
    mem_free(l);
}

static void process_forget(struct launcher *base, uint64_t attempt)
{
    struct process *p = process_find(launcher_process_of(base), attempt);

    if (p != NULL && p->state == PROCESS_ENDED)
        process_drop(launcher_process_of(base), p);
}

static uint64_t process_disk(struct launcher *base, uint64_t attempt)
{
    const struct process *p = process_find(launcher_process_of(base), attempt);

    return p != NULL ? p->disk_bytes : 0;
}

static pid_t process_shim(struct launcher *base, uint64_t attempt)
{
    const struct process *p = process_find(launcher_process_of(base), attempt);

    return p != NULL ? p->shim : 0;
}

static bool process_used(struct launcher *base, uint64_t attempt, struct slot_used *out)
{
    struct launcher_process *l = launcher_process_of(base);
    const struct process *p = process_find(l, attempt);
    struct slot slot;
    struct error err;

    if (p == NULL || !p->has_slot || slots_read(&l->slots, p->slot, &slot, &err) != 0 ||
        !process_is_end(p, &slot))
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
    l->overdue = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    l->place_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->base.fd < 0 || l->wake < 0 || l->retry < 0 || l->overdue < 0 ||
        l->place_timer < 0)
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
        rv = process_load(l, err);
    if (rv == 0)
        rv = watch(l, l->wake, &l->wake, err);
    if (rv == 0)
        rv = watch(l, l->retry, &l->retry, err);
    if (rv == 0)
        rv = watch(l, l->overdue, &l->overdue, err);
    if (rv == 0)
        rv = watch(l, l->place_timer, &l->place_timer, err);
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
    l->wake = l->retry = l->overdue = l->place_timer = -1;
    l->slots.fd = -1;
    l->spawning = (struct spawning){.pid = -1, .requests = -1, .notices = -1};
    STAILQ_INIT(&l->spawning.queue);
    process_init_places(l);
    TAILQ_INIT(&l->held);
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
    if (process_boot_id(l->boot_id) != 0)
        rv = error_set(
            err, ERROR_IO, "cannot read " BOOT_ID_PATH ": %s", strerror(errno));
    else
        rv = open_all(l, options, err);
    if (rv != 0) {
        process_destroy(&l->base);
        return rv;
    }
    containers_probe(l->contain, l->work_dir, &l->base.no_images);
    if (l->base.no_images.code != ERROR_NONE)
        l->host.no_images = l->base.no_images.text;
    l->base.groups = &l->groups;
    users_wake(l->host.users, l->wake);
    eventfd_write(l->wake, 1); /* once the runs are adopted: settle */
    *out = &l->base;
    return 0;
}
