/* launcher_ask.c - what the spawner and the shims are asked for. */
#include "agent/launcher_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <unistd.h>

void process_watch_spawner(struct launcher_process *l, bool write)
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
    struct process *p = process_find(l, run->attempt);

    if (p == NULL) {
        p = process_add(l, run->attempt);
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

bool process_try_start(struct launcher_process *l,
                       struct process *p,
                       const struct run_start *run)
{
    struct buffer request = {0};
    struct shim_request *r;
    struct error err;
    int rv = request_build(&request, run, &l->host, &err);

    if (rv == 0 && !p->has_slot)
        rv = slots_take(&l->slots, &p->slot, &err);
    if (rv != 0) {
        buffer_finish(&request);
        if (rv < 0)
            process_tell_ended(l,
                               p,
                               rv == -ERROR_UNAVAILABLE ? RUN_END_NO_USER
                                                        : RUN_END_NOT_STARTED,
                               0,
                               err.text);
        return rv < 0;
    }
    p->has_slot = true;
    r = (struct shim_request *)(void *)request.data;
    r->slot = p->slot;
    p->disk_bytes = r->disk_bytes;
    l->base.listener.asked(l->base.listener.context, p->attempt);
    process_queue_start(l, p, &request);
    return true;
}

void process_start_run(struct launcher *base, const struct run_start *run)
{
    struct launcher_process *l = launcher_process_of(base);
    struct process *p;

    process_settle(l);
    p = take(l, run);
    if (p == NULL)
        return;
    p->state = PROCESS_ALIVE;
    if (!process_try_start(l, p, run))
        process_hold(l, run, false, 0);
}

/* To the shim, if it lives. */
void process_signal_shim(struct launcher_process *l, uint64_t attempt, int number)
{
    struct process *p = process_find(l, attempt);
    int fd;

    if (p == NULL || p->state != PROCESS_ALIVE)
        return;
    fd = process_open_shim(p);
    if (fd < 0)
        return;
    pidfd_send_signal(fd, number, NULL, 0);
    close(fd);
}

/* A shim that is not known yet is told when it says that it prepares the run. */
void process_signal(struct launcher *base, uint64_t attempt, enum run_signal signal)
{
    static const int numbers[] = {
        [RUN_SIGNAL_TERM] = SIGTERM,
        [RUN_SIGNAL_KILL] = SHIM_SIGNAL_KILL,
        [RUN_SIGNAL_CANCEL] = SHIM_SIGNAL_CANCEL,
    };
    struct process *p = process_find(launcher_process_of(base), attempt);

    if (p != NULL && p->shim == 0 && signal == RUN_SIGNAL_CANCEL) {
        p->cancelled = true;
        eventfd_write(launcher_process_of(base)->wake, 1); /* it may be held */
    }
    process_signal_shim(launcher_process_of(base), attempt, numbers[signal]);
}

void process_end_for_disk(struct launcher *base, uint64_t attempt)
{
    process_signal_shim(launcher_process_of(base), attempt, SHIM_SIGNAL_DISK);
}

/* The user is known unless the agent was restarted since it started the run. */
static int build_exec(struct launcher_process *l,
                      struct buffer *out,
                      const struct run_start *run,
                      const struct exec_request *request,
                      struct error *err)
{
    int rc;

    do
        rc = request_build_exec(out, run, request, &l->host, err);
    while (rc > 0 && users_wait(l->host.users));
    if (rc > 0)
        rc = error_set(err,
                       ERROR_UNAVAILABLE,
                       "the host's directory of users has not answered yet who the "
                       "task's user is; try again");
    return rc;
}

/* The run may end meanwhile: then there is no group to join, or the agent ends the session. */
int process_exec(struct launcher *base,
                 const struct run_start *run,
                 const struct exec_request *request,
                 int socket,
                 struct error *err)
{
    struct launcher_process *l = launcher_process_of(base);
    struct process *p = process_find(l, run->attempt);
    struct buffer bytes = {0};
    int rc;

    if (p == NULL || p->state != PROCESS_ALIVE)
        rc = error_set(err, ERROR_CONFLICT, "the task has just ended");
    else
        rc = build_exec(l, &bytes, run, request, err);
    if (rc != 0) {
        buffer_finish(&bytes);
        close(socket);
        return rc;
    }
    process_watch_spawner(l, !spawning_send(&l->spawning, &bytes, socket));
    return 0;
}

/* ---- checks ---- */

/* What could be started can be asked for, unless its user is gone meanwhile: then nobody
 * can say how it is. */
bool process_try_check(struct launcher_process *l,
                       struct process *p,
                       const struct run_start *run,
                       uint32_t index)
{
    struct buffer bytes = {0};
    struct shim_request *r;
    struct error err;
    int rv = request_build_check(&bytes, run, index, &l->host, &err);

    if (rv != 0)
        buffer_finish(&bytes);
    if (rv > 0 || rv == -ERROR_UNAVAILABLE)
        return false;
    if (rv < 0) {
        log_warning("agent",
                    "task %llu.%u (attempt id %llu) cannot be checked: %s",
                    (unsigned long long)run->job,
                    run->instance,
                    (unsigned long long)run->attempt,
                    err.text);
        return true;
    }
    r = (struct shim_request *)(void *)bytes.data;
    r->shim_pid = p->shim;
    r->shim_start = p->start;
    process_watch_spawner(l, !spawning_send(&l->spawning, &bytes, -1));
    return true;
}

void process_check(struct launcher *base, const struct run_start *run, uint32_t index)
{
    struct launcher_process *l = launcher_process_of(base);
    struct process *p = process_find(l, run->attempt);

    if (p != NULL && p->state == PROCESS_ALIVE && !process_try_check(l, p, run, index))
        process_hold(l, run, true, index);
}

static void timed_out(char text[LIMIT_MESSAGE_BYTES], int ms)
{
    if (ms % 1000 == 0)
        snprintf(text, LIMIT_MESSAGE_BYTES, "timed out after %d s", ms / 1000);
    else
        snprintf(text, LIMIT_MESSAGE_BYTES, "timed out after %d ms", ms);
}

/* In one line, behind what happened. */
static void add_said(const struct shim_notice *n, char text[LIMIT_MESSAGE_BYTES])
{
    char said[sizeof(n->said) + 1];
    size_t size = strnlen(n->said, sizeof(n->said));

    memcpy(said, n->said, size);
    while (size > 0 && isspace((unsigned char)said[size - 1]))
        size--;
    said[size] = 0;
    for (char *at = said; *at != 0; at++)
        *at = isspace((unsigned char)*at) ? ' ' : *at;
    if (size > 0)
        snprintf(text + strlen(text), LIMIT_MESSAGE_BYTES - strlen(text), ": %s", said);
}

const char *process_check_problem(const struct shim_notice *n,
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
        timed_out(text, n->code);
        break;
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
    add_said(n, text);
    return text;
}
