/* launcher_table.c - the processes of runs, and what is told of them.
 *
 * Every notice to the listener is sent by process_tell_all(), from one list, in order.
 */
#include "agent/launcher_private.h"

#include "agent/containers.h"
#include "agent/leftovers.h"
#include "base/mem.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define RETRY_MS     5 /* until what was killed is gone; doubled each time */
#define RETRY_MS_MAX 1000

/* ---- table of processes ---- */

static int compare(const struct process *a, const struct process *b)
{
    return (a->attempt > b->attempt) - (a->attempt < b->attempt);
}

RB_GENERATE(process_tree, process, by_attempt, compare)

struct process *process_find(struct launcher_process *l, uint64_t attempt)
{
    struct process key = {.attempt = attempt};

    return RB_FIND(process_tree, &l->processes, &key);
}

struct process *process_add(struct launcher_process *l, uint64_t attempt)
{
    struct process *p = mem_zalloc(sizeof(*p));

    p->attempt = attempt;
    p->pidfd = -1;
    RB_INSERT(process_tree, &l->processes, p);
    return p;
}

void process_drop(struct launcher_process *l, struct process *p)
{
    RB_REMOVE(process_tree, &l->processes, p);
    process_give_place(p);
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

void process_fail(struct launcher_process *l, const struct error *err)
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

void process_tell_started(struct launcher_process *l, struct process *p)
{
    tell(l, p);
    p->tell_started = true;
}

void process_tell_ended(struct launcher_process *l,
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
void process_lose(struct launcher_process *l, struct process *p)
{
    if (p->tell_started)
        TAILQ_REMOVE(&l->telling, p, link);
    p->tell_started = false;
    p->state = PROCESS_LOST;
    TAILQ_INSERT_TAIL(&l->lost, p, link);
    l->look_for_lost = true;
    l->retry_ms = RETRY_MS;
    eventfd_write(l->wake, 1);
}

static int compare_attempts(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void retry_later(struct launcher_process *l)
{
    const struct itimerspec time = {
        .it_value = {.tv_sec = l->retry_ms / 1000,
                     .tv_nsec = (long)(l->retry_ms % 1000) * 1000000}};

    timerfd_settime(l->retry, 0, &time, NULL);
    l->retry_ms = l->retry_ms < RETRY_MS_MAX / 2 ? 2 * l->retry_ms : RETRY_MS_MAX;
}

static bool is_alive(void *user, uint64_t attempt)
{
    const struct process *p = process_find(user, attempt);

    return p != NULL && (p->state == PROCESS_ALIVE || p->state == PROCESS_LOST);
}

void process_clean_bundles(struct launcher_process *l)
{
    if (l->contain != NULL)
        containers_clean(l->contain, l->work_dir, is_alive, l);
}

static void lost_is_gone(struct launcher_process *l, struct process *p)
{
    TAILQ_REMOVE(&l->lost, p, link);
    p->state = PROCESS_ENDED;
    if (p->forgotten)
        process_drop(l, p);
    else
        process_tell_ended(l, p, RUN_END_SHIM_LOST, 0, NULL);
}

/* By their groups, then one pass over /proc for all whose groups are gone.  One of which
 * something is left is not told, since a successor would run beside it; it keeps nobody else
 * waiting. */
static void end_lost(struct launcher_process *l)
{
    struct process *p, *next;
    uint64_t *gone = NULL;
    size_t count = 0, capacity = 0;
    bool some_left = false;
    struct error err;

    if (!l->look_for_lost)
        return;
    l->look_for_lost = false;
    TAILQ_FOREACH (p, &l->lost, link) {
        if (leftovers_end_group(&l->groups, p->attempt) != 0) {
            some_left = true;
            continue;
        }
        MEM_GROW(gone, capacity, count + 1);
        gone[count++] = p->attempt;
    }
    if (some_left)
        retry_later(l);
    if (count > 0)
        qsort(gone, count, sizeof(*gone), compare_attempts);
    if (count > 0 && leftovers_kill(&l->groups, l->work_dir, gone, count, &err) != 0) {
        process_fail(l, &err);
        count = 0;
    }
    TAILQ_FOREACH_SAFE (p, &l->lost, link, next)
        if (count > 0 &&
            bsearch(&p->attempt, gone, count, sizeof(*gone), compare_attempts) != NULL)
            lost_is_gone(l, p);
    mem_free(gone);
    if (count > 0)
        process_clean_bundles(l);
}

/* The listener may start, signal and forget runs meanwhile.  After a failure nothing is told
 * any more: it may be wrong, and the next agent will find out. */
void process_tell_all(struct launcher_process *l)
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
