/* loop.c - the event loop of a program: turns, timers, signals, wake-up from threads.
 *
 * libuv runs in the order timers, prepare, poll (with the callbacks of descriptors),
 * check, closing.  One prepare handle ends our turn: it runs deferred work and output,
 * and arms the one uv timer for the earliest of our timers.  An idle handle keeps libuv
 * from sleeping while deferred work or output waits.  One check handle reads streams.
 */
#include "net/loop.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#include <signal.h>

#define SIGNALS_MAX 8

struct signal_hook {
    uv_signal_t handle;
    void (*caught)(void *user, int signum);
    void *user;
};

RB_HEAD(timer_tree, loop_timer);
TAILQ_HEAD(deferred_list, deferred);

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    uv_timer_t timer; /* set to the earliest of `timers` */
    struct timer_tree timers;
    uint64_t timer_sequence;
    struct deferred_list deferred;
    struct deferred_list output[RANKS];
    struct intakes *intakes;
    struct signal_hook signals[SIGNALS_MAX];
    unsigned signal_count;

    struct loop_counters counters;
    uint8_t *scratch;
};

static int timer_compare(struct loop_timer *a, struct loop_timer *b)
{
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

RB_PROTOTYPE(timer_tree, loop_timer, link, timer_compare)
RB_GENERATE(timer_tree, loop_timer, link, timer_compare)

uint64_t loop_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* ---- the end of a turn ---- */

/* Only what is queued now: work that defers again waits for the next turn. */
static void run_deferred(struct loop *l)
{
    struct deferred_list now = TAILQ_HEAD_INITIALIZER(now);
    struct deferred end = {.queued = true};

    if (TAILQ_EMPTY(&l->deferred))
        return;
    /* A marker instead of a second list: cancelling works on one list at any time. */
    TAILQ_INSERT_TAIL(&l->deferred, &end, link);
    for (;;) {
        struct deferred *d = TAILQ_FIRST(&l->deferred);

        TAILQ_REMOVE(&l->deferred, d, link);
        if (d == &end)
            return;
        d->queued = false;
        d->run(d->user);
    }
}

/* Until then, but one at least.  Output calls nobody back, so this ends. */
static bool run_output_until(struct deferred_list *list, uint64_t until)
{
    struct deferred *d;

    while ((d = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, d, link);
        d->queued = false;
        d->run(d->user);
        if (uv_hrtime() >= until)
            break;
    }
    return TAILQ_EMPTY(list);
}

/* True if there is none left. */
static bool run_output(struct loop *l)
{
    bool all = true;

    for (int r = 0; r < RANKS; r++)
        all &=
            run_output_until(&l->output[r], uv_hrtime() + LIMIT_TURN_RANK_US * 1000ull);
    return all;
}

static void run_all_output(struct loop *l)
{
    while (!run_output(l))
        continue;
}

static void on_timer(uv_timer_t *handle)
{
    struct loop *l = handle->data;
    uint64_t now = loop_now_ms();
    uint64_t newest = l->timer_sequence;
    struct loop_timer *t;

    /* A timer that is set again to a time that has passed waits for the next turn. */
    while ((t = RB_MIN(timer_tree, &l->timers)) != NULL && t->at_ms <= now &&
           t->sequence <= newest) {
        timer_stop(l, t);
        t->expired(t->user);
    }
}

static void arm_timer(struct loop *l)
{
    struct loop_timer *first = RB_MIN(timer_tree, &l->timers);
    uint64_t now = uv_now(&l->uv); /* libuv counts from there, not from now */

    if (first == NULL)
        uv_timer_stop(&l->timer);
    else
        uv_timer_start(
            &l->timer, on_timer, first->at_ms > now ? first->at_ms - now : 0, 0);
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle;
}

static void on_prepare(uv_prepare_t *handle)
{
    struct loop *l = handle->data;
    bool all_out;

    run_deferred(l);
    all_out = run_output(l);
    if (all_out && TAILQ_EMPTY(&l->deferred))
        uv_idle_stop(&l->idle);
    else
        uv_idle_start(&l->idle, on_idle);
    arm_timer(l);
    l->counters.turns++;
}

static void on_check(uv_check_t *handle)
{
    intakes_run(((struct loop *)handle->data)->intakes);
}

/* ---- life ---- */

struct loop *loop_create(void)
{
    struct loop *l = mem_zalloc(sizeof(*l));

    signal(SIGPIPE, SIG_IGN);
    ASSERT(uv_loop_init(&l->uv) == 0);
    RB_INIT(&l->timers);
    TAILQ_INIT(&l->deferred);
    for (int r = 0; r < RANKS; r++)
        TAILQ_INIT(&l->output[r]);
    l->intakes = intakes_create(&l->uv);
    l->scratch = mem_alloc(LOOP_SCRATCH_BYTES);
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_idle_init(&l->uv, &l->idle);
    uv_timer_init(&l->uv, &l->timer);
    l->prepare.data = l;
    l->check.data = l;
    l->timer.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    return l;
}

void loop_run(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_DEFAULT);
    run_all_output(l); /* libuv ends between an event and the end of our turn */
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

static void must_be_closing(uv_handle_t *handle, void *arg)
{
    (void)arg;
    ASSERT(uv_is_closing(handle));
}

void loop_destroy(struct loop *l)
{
    if (l == NULL)
        return;
    /* What was destroyed defers the rest of its end. */
    while (!TAILQ_EMPTY(&l->deferred))
        run_deferred(l);
    run_all_output(l);
    intakes_close(l->intakes);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    uv_close((uv_handle_t *)&l->timer, NULL);
    for (unsigned i = 0; i < l->signal_count; i++)
        uv_close((uv_handle_t *)&l->signals[i].handle, NULL);
    uv_walk(&l->uv, must_be_closing, NULL);
    while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0)
        continue; /* a loop_stop() that no loop_run() saw ended the first */
    ASSERT(RB_EMPTY(&l->timers) && TAILQ_EMPTY(&l->deferred));
    ASSERT(uv_loop_close(&l->uv) == 0);
    intakes_destroy(l->intakes);
    mem_free(l->scratch);
    mem_free(l);
}

struct loop_counters *loop_counters(struct loop *l)
{
    return &l->counters;
}

uv_loop_t *loop_uv(struct loop *l)
{
    return &l->uv;
}

struct intakes *loop_intakes(struct loop *l)
{
    return l->intakes;
}

uint64_t loop_behind_ms(const struct loop *l, enum rank rank)
{
    return intakes_behind_ms(l->intakes, rank);
}

uint8_t *loop_scratch(struct loop *l)
{
    return l->scratch;
}

/* ---- timers and deferred work ---- */

void timer_set_at(struct loop *l,
                  struct loop_timer *t,
                  uint64_t at_ms,
                  void (*expired)(void *user),
                  void *user)
{
    timer_stop(l, t);
    t->at_ms = at_ms;
    t->sequence = ++l->timer_sequence;
    t->expired = expired;
    t->user = user;
    t->armed = true;
    RB_INSERT(timer_tree, &l->timers, t);
}

void timer_set_in(struct loop *l,
                  struct loop_timer *t,
                  uint64_t delay_ms,
                  void (*expired)(void *user),
                  void *user)
{
    timer_set_at(l, t, loop_now_ms() + delay_ms, expired, user);
}

void timer_stop(struct loop *l, struct loop_timer *t)
{
    if (!t->armed)
        return;
    RB_REMOVE(timer_tree, &l->timers, t);
    t->armed = false;
}

static void
defer(struct deferred_list *list, struct deferred *d, void (*run)(void *), void *user)
{
    if (d->queued)
        return;
    d->run = run;
    d->user = user;
    d->queued = true;
    TAILQ_INSERT_TAIL(list, d, link);
}

static void cancel(struct deferred_list *list, struct deferred *d)
{
    if (!d->queued)
        return;
    TAILQ_REMOVE(list, d, link);
    d->queued = false;
}

void loop_defer(struct loop *l, struct deferred *d, void (*run)(void *user), void *user)
{
    defer(&l->deferred, d, run, user);
}

void deferred_cancel(struct loop *l, struct deferred *d)
{
    cancel(&l->deferred, d);
}

void loop_defer_output(struct loop *l,
                       enum rank rank,
                       struct deferred *d,
                       void (*run)(void *user),
                       void *user)
{
    defer(&l->output[rank], d, run, user);
}

void deferred_cancel_output(struct loop *l, enum rank rank, struct deferred *d)
{
    cancel(&l->output[rank], d);
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *handle, int signum)
{
    struct signal_hook *hook = handle->data;

    hook->caught(hook->user, signum);
}

void loop_on_signal(struct loop *l,
                    int signum,
                    void (*caught)(void *user, int signum),
                    void *user)
{
    struct signal_hook *hook = &l->signals[l->signal_count];

    ASSERT(l->signal_count < SIGNALS_MAX);
    l->signal_count++;
    hook->caught = caught;
    hook->user = user;
    hook->handle.data = hook;
    uv_signal_init(&l->uv, &hook->handle);
    ASSERT(uv_signal_start(&hook->handle, on_signal, signum) == 0);
}

/* ---- file descriptors ---- */

struct watch {
    uv_poll_t handle;
    int events;
    void (*ready)(void *user);
    void *user;
};

/* Errors and hang-ups come as ready: what is done then tells which. */
static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct watch *w = handle->data;

    (void)status;
    (void)events;
    w->ready(w->user);
}

static struct watch *
create(struct loop *l, int fd, int events, void (*ready)(void *user), void *user)
{
    struct watch *w = mem_zalloc(sizeof(*w));

    w->events = events;
    w->ready = ready;
    w->user = user;
    w->handle.data = w;
    ASSERT(uv_poll_init(&l->uv, &w->handle, fd) == 0);
    watch_resume(w);
    return w;
}

struct watch *
watch_create(struct loop *l, int fd, void (*readable)(void *user), void *user)
{
    return create(l, fd, UV_READABLE, readable, user);
}

struct watch *
watch_create_writable(struct loop *l, int fd, void (*writable)(void *user), void *user)
{
    return create(l, fd, UV_WRITABLE, writable, user);
}

void watch_pause(struct watch *w)
{
    uv_poll_stop(&w->handle);
}

void watch_resume(struct watch *w)
{
    ASSERT(uv_poll_start(&w->handle, w->events, on_poll) == 0);
}

static void free_handle(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void watch_destroy(struct watch *w)
{
    if (w != NULL)
        uv_close((uv_handle_t *)&w->handle, free_handle);
}

/* ---- threads ---- */

struct wake {
    uv_async_t handle;
    void (*woken)(void *user);
    void *user;
};

static void on_async(uv_async_t *handle)
{
    struct wake *w = handle->data;

    w->woken(w->user);
}

struct wake *wake_create(struct loop *l, void (*woken)(void *user), void *user)
{
    struct wake *w = mem_zalloc(sizeof(*w));

    w->woken = woken;
    w->user = user;
    w->handle.data = w;
    ASSERT(uv_async_init(&l->uv, &w->handle, on_async) == 0);
    return w;
}

void wake_signal(struct wake *w)
{
    uv_async_send(&w->handle);
}

void wake_destroy(struct wake *w)
{
    if (w != NULL)
        uv_close((uv_handle_t *)&w->handle, free_handle);
}
