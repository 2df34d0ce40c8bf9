/* intake.c - which streams are read in a turn of the loop, and for how long.
 *
 * libuv calls back for up to 48 times 1,024 descriptors before it does anything else.  So the
 * sockets of a rank are in an epoll set of their own, of which libuv only knows whether any in
 * it is ready, and we take as many of them as there is time for.
 *
 * The kernel puts those that it told of at the end of its list, as they may have more to read,
 * and goes on with the next ones.  So one who was read in this round already is the sign that
 * all who were ready when it began are read: the next round begins with the next turn.
 */
#include "net/intake.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include <sys/epoll.h>
#include <unistd.h>

#define BATCH 64 /* taken from the kernel at one time */

struct rank_set {
    uv_poll_t poll;
    int epoll;
    bool is_ready; /* as libuv said */
    uint64_t round;
    uint64_t began_ms; /* this round; 0: it has not */
    uint64_t clear_ms; /* what had come by then was read */
    struct epoll_event batch[BATCH];
    int next, count; /* of the batch, those that wait for their turn */
};

struct intakes {
    uv_loop_t *uv;
    struct rank_set sets[RANKS];
};

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* ---- a turn ---- */

/* True when the kernel has told of all that are ready. */
static bool take_batch(struct rank_set *set)
{
    int count = epoll_wait(set->epoll, set->batch, BATCH, 0);

    set->next = 0;
    set->count = count > 0 ? count : 0;
    return count >= 0 && count < BATCH; /* else a signal came, or there are more */
}

/* False when the round is over. */
static bool run_next(struct rank_set *set)
{
    struct intake *in = set->batch[set->next++].data.ptr;

    if (in == NULL)
        return true; /* it left the set meanwhile */
    if (in->round == set->round)
        return false;
    in->round = set->round;
    in->ready(in->user);
    return true;
}

static void end_round(struct rank_set *set, uint64_t clear_ms)
{
    set->round++;
    set->began_ms = 0;
    set->clear_ms = clear_ms;
}

static void run_rank(struct rank_set *set)
{
    uint64_t until = uv_hrtime() + LIMIT_TURN_RANK_US * 1000ull;
    bool is_last = false;

    if (set->began_ms == 0)
        set->began_ms = now_ms();
    do {
        if (set->next == set->count && !is_last)
            is_last = take_batch(set);
        if (set->next == set->count || !run_next(set)) {
            end_round(set, set->began_ms);
            return;
        }
    } while (uv_hrtime() < until);
}

void intakes_run(struct intakes *all)
{
    for (int r = 0; r < RANKS; r++) {
        struct rank_set *set = &all->sets[r];

        if (set->is_ready || set->next < set->count)
            run_rank(set);
        else
            end_round(set, uv_now(all->uv)); /* when libuv had waited */
        set->is_ready = false;
    }
}

uint64_t intakes_behind_ms(const struct intakes *all, enum rank rank)
{
    return now_ms() - all->sets[rank].clear_ms;
}

/* ---- who is watched ---- */

void intake_watch(struct intakes *all, struct intake *in)
{
    struct rank_set *set = &all->sets[in->rank];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = in};

    if (in->watched)
        return;
    ASSERT(epoll_ctl(set->epoll, EPOLL_CTL_ADD, in->fd, &event) == 0);
    in->watched = true;
    in->round = 0;
}

void intake_unwatch(struct intakes *all, struct intake *in)
{
    struct rank_set *set = &all->sets[in->rank];

    if (!in->watched)
        return;
    ASSERT(epoll_ctl(set->epoll, EPOLL_CTL_DEL, in->fd, NULL) == 0);
    in->watched = false;
    for (int i = set->next; i < set->count; i++)
        if (set->batch[i].data.ptr == in)
            set->batch[i].data.ptr = NULL;
}

void intake_set_rank(struct intakes *all, struct intake *in, enum rank rank)
{
    bool watched = in->watched;

    if (in->rank == rank)
        return;
    intake_unwatch(all, in);
    in->rank = rank;
    if (watched)
        intake_watch(all, in);
}

/* ---- life ---- */

static void on_poll(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    *(bool *)handle->data = true;
}

struct intakes *intakes_create(uv_loop_t *uv)
{
    struct intakes *all = mem_zalloc(sizeof(*all));

    all->uv = uv;
    for (int r = 0; r < RANKS; r++) {
        struct rank_set *set = &all->sets[r];

        set->epoll = epoll_create1(EPOLL_CLOEXEC);
        ASSERT(set->epoll >= 0);
        set->round = 1;
        set->clear_ms = now_ms();
        set->poll.data = &set->is_ready;
        ASSERT(uv_poll_init(uv, &set->poll, set->epoll) == 0);
        ASSERT(uv_poll_start(&set->poll, UV_READABLE, on_poll) == 0);
    }
    return all;
}

void intakes_close(struct intakes *all)
{
    for (int r = 0; r < RANKS; r++)
        uv_close((uv_handle_t *)&all->sets[r].poll, NULL);
}

void intakes_destroy(struct intakes *all)
{
    for (int r = 0; r < RANKS; r++)
        close(all->sets[r].epoll);
    mem_free(all);
}
