/* loop.h - the event loop of a program: turns, timers, signals, wake-up from threads.
 *
 * A turn is what runs between two sleeps of the loop: first the events that ended the
 * sleep, then what streams have read, then expired timers, then deferred work, last the
 * output of all streams, so that everything that one turn says to one peer leaves in one
 * write.  Deferred work that defers again runs at the end of the next turn, before which
 * the loop does not sleep.
 *
 * Input and output are in the order of ranks (intake.h), and each rank has so much time in a
 * turn; the rest of it comes in the next ones.
 *
 * Everything here is for the loop's own thread, except wake_signal().  Structs of the
 * caller (timer, deferred) are embedded and zeroed before use; stopping them is
 * immediate, and stopping what was not started is allowed.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "net/intake.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct loop;

/* SIGPIPE is ignored from then on; children that a program forks inherit that. */
struct loop *loop_create(void);
/* After loop_run() returned and the loop's users were destroyed; runs what is left of
 * closing.  NULL is fine. */
void loop_destroy(struct loop *l);

void loop_run(struct loop *l);  /* until loop_stop() */
void loop_stop(struct loop *l); /* loop_run() returns after this turn and its output */

/* Monotonic; not the start of the turn but now. */
uint64_t loop_now_ms(void);

/* How long ago all that those of this rank had sent by then was read: who was not heard for
 * longer has said nothing, but may have done so since. */
uint64_t loop_behind_ms(const struct loop *l, enum rank rank);

struct loop_counters {
    uint64_t turns;
    uint64_t writes; /* system calls that carried output of streams */
    uint64_t bytes_in;
    uint64_t bytes_out;
};
struct loop_counters *loop_counters(struct loop *l);

/* ---- timers: one shot, in monotonic milliseconds ---- */

struct loop_timer {
    RB_ENTRY(loop_timer) link;
    bool armed;
    uint64_t at_ms;
    uint64_t sequence; /* equal times expire in the order in which they were set */
    void (*expired)(void *user);
    void *user;
};

/* Sets it again if it runs. */
void timer_set_at(struct loop *l,
                  struct loop_timer *t,
                  uint64_t at_ms,
                  void (*expired)(void *user),
                  void *user);
void timer_set_in(struct loop *l,
                  struct loop_timer *t,
                  uint64_t delay_ms,
                  void (*expired)(void *user),
                  void *user);
void timer_stop(struct loop *l, struct loop_timer *t);

/* ---- deferred work: once, at the end of the turn ---- */

struct deferred {
    TAILQ_ENTRY(deferred) link;
    bool queued;
    void (*run)(void *user);
    void *user;
};

/* Does nothing if it is queued. */
void loop_defer(struct loop *l,
                struct deferred *d,
                void (*run)(void *user),
                void *user);
void deferred_cancel(struct loop *l, struct deferred *d);

/* ---- signals, file descriptors, threads ---- */

/* Call `caught` for this signal from now on: at most 8 signals, each once. */
void loop_on_signal(struct loop *l,
                    int signum,
                    void (*caught)(void *user, int signum),
                    void *user);

/* Calls `readable` while fd is readable or hung up.  It does not own fd. */
struct watch;
struct watch *
watch_create(struct loop *l, int fd, void (*readable)(void *user), void *user);
/* The same for writable: a socket that connects has come to an end of that. */
struct watch *
watch_create_writable(struct loop *l, int fd, void (*writable)(void *user), void *user);
void watch_pause(struct watch *w);
void watch_resume(struct watch *w);
void watch_destroy(struct watch *w); /* then fd may be closed; NULL is fine */

/* Calls `woken` on the loop's thread once or more after one or more wake_signal(). */
struct wake;
struct wake *wake_create(struct loop *l, void (*woken)(void *user), void *user);
void wake_signal(struct wake *w);  /* from any thread */
void wake_destroy(struct wake *w); /* no thread may signal it any more; NULL is fine */

/* ---- for the other files of this folder ---- */

uv_loop_t *loop_uv(struct loop *l);
struct intakes *loop_intakes(struct loop *l);
/* Like loop_defer(), but after all work of this turn, or of a later one. */
void loop_defer_output(struct loop *l,
                       enum rank rank,
                       struct deferred *d,
                       void (*run)(void *user),
                       void *user);
void deferred_cancel_output(struct loop *l, enum rank rank, struct deferred *d);
/* Bytes for one read; valid until the callback that was told of it returns. */
#define LOOP_SCRATCH_BYTES ((size_t)256 * 1024)
uint8_t *loop_scratch(struct loop *l);

#endif
