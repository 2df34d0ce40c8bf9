/* launcher_adopt.c - what became of a run.
 *
 * A shim of an earlier agent is known by pid, start time and boot, and held by a descriptor
 * of the process; how a run ended is in its slot.
 */
#include "agent/launcher_private.h"

#include "agent/cgroup_find.h"
#include "agent/process.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <unistd.h>

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

bool process_is_end(const struct process *p, const struct slot *slot)
{
    return slot_end_valid(slot) && slot->end.attempt == p->attempt &&
           slot->end.restarts == p->restarts;
}

/* The signal with which a host that is shut down ends what runs, or 0; a shell and crun tell it
 * as a status. */
static int shutdown_signal(const struct slot_end *end)
{
    int code = end->code;

    if (end->how == SLOT_EXITED)
        code -= 128;
    else if (end->how != SLOT_SIGNALED)
        return 0;
    return code == SIGTERM || code == SIGKILL ? code : 0;
}

/* True if its slot says how it ended.  `here`: it was started since the host was. */
static bool end_from_slot(struct launcher_process *l, struct process *p, bool here)
{
    struct slot slot;
    struct error err;
    int signal;

    if (slots_read(&l->slots, p->slot, &slot, &err) != 0) {
        process_fail(l, &err);
        return false;
    }
    if (!process_is_end(p, &slot) || slot.end.how < SLOT_EXITED ||
        slot.end.how >= sizeof(ends) / sizeof(ends[0]))
        return false;
    signal = here ? 0 : shutdown_signal(&slot.end);
    if (signal != 0)
        process_tell_ended(l, p, RUN_END_SHUTDOWN, signal, NULL);
    else
        process_tell_ended(l, p, ends[slot.end.how], slot.end.code, slot.end.text);
    return true;
}

void process_shim_ended(struct launcher_process *l, struct process *p)
{
    if (p->state == PROCESS_ALIVE && !end_from_slot(l, p, true))
        process_lose(l, p);
}

/* A descriptor of the shim; or -1 and errno, which is ESRCH when it is gone.  A shim that waits
 * to be reaped is gone. */
int process_open_shim(const struct process *p)
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
    p->pidfd = process_open_shim(p);
    if (p->pidfd < 0 && errno != ESRCH) {
        error_set(&err,
                  ERROR_IO,
                  "cannot watch a run of the agent before: %s%s",
                  strerror(errno),
                  errno == EMFILE ? "; raise the limit of open files: each takes one"
                                  : "");
        process_fail(l, &err);
        return;
    }
    if (p->pidfd < 0) {
        process_shim_ended(l, p);
        return;
    }
    if (epoll_ctl(l->base.fd, EPOLL_CTL_ADD, p->pidfd, &event) != 0) {
        error_set(&err, ERROR_IO, "epoll_ctl: %s", strerror(errno));
        process_fail(l, &err);
        return;
    }
    process_tell_started(l, p);
}

/* ---- adoption ---- */

int process_load(struct launcher_process *l, struct error *err)
{
    struct slot slot;

    for (uint32_t i = 0; i < l->slots.count; i++) {
        struct process *p;

        if (slots_read(&l->slots, i, &slot, err) != 0)
            return -ERROR_IO;
        if (!slot_start_valid(&slot) || process_find(l, slot.start.attempt) != NULL) {
            slots_give(&l->slots, i);
            continue;
        }
        p = process_add(l, slot.start.attempt);
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

void process_adopt(struct launcher *base, uint64_t attempt)
{
    struct launcher_process *l = launcher_process_of(base);
    struct process *p = process_find(l, attempt);
    struct slot slot = {0};
    struct error err;

    if (p == NULL) {
        p = process_add(l, attempt);
        process_tell_ended(
            l, p, RUN_END_VANISHED, 0, "the agent ended before it started the command");
        return;
    }
    if (p->state != PROCESS_FOUND)
        return;
    if (slots_read(&l->slots, p->slot, &slot, &err) != 0) {
        process_fail(l, &err);
        return;
    }
    if (memcmp(slot.start.boot_id, l->boot_id, BOOT_ID_BYTES) == 0) {
        adopt_here(l, p);
    } else if (!end_from_slot(l, p, false)) {
        process_tell_ended(l, p, RUN_END_VANISHED, 0, "the host was restarted");
    }
}

/* A group of no run that we know: of one that was forgotten while it ended badly. */
static void end_strays(struct launcher_process *l)
{
    uint64_t *attempts;
    size_t count = cgroup_list(&l->groups, &attempts);

    for (size_t i = 0; i < count; i++) {
        struct process *p = process_find(l, attempts[i]);

        if (p != NULL)
            continue;
        p = process_add(l, attempts[i]);
        p->forgotten = true;
        process_lose(l, p);
    }
    mem_free(attempts);
}

/* Adoption is over: what nobody asked for was forgotten long ago. */
void process_settle(struct launcher_process *l)
{
    struct process *p, *next;

    if (l->settled)
        return;
    l->settled = true;
    RB_FOREACH_SAFE (p, process_tree, &l->processes, next) {
        if (p->state == PROCESS_FOUND)
            process_drop(l, p);
    }
    end_strays(l);
    process_clean_bundles(l);
}
