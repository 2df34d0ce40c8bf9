/* shim_private.h - what the files of a shim share.
 *
 *   shim.c             its life: steps, the command, signals
 *   shim_start.c       what must be there before the command: group, sandbox, logs, slot
 *   shim_container.c   a command that is a container
 *   shim_end.c         how it ended, and that nothing is left of it
 *   shim_lease.c       that it ends when nobody renews its lease
 */
#ifndef AGENT_SHIM_PRIVATE_H
#define AGENT_SHIM_PRIVATE_H

#include "agent/shim.h"

#include "agent/step.h"
#include "agent/task.h"

#include <signal.h>
#include <time.h>

#define MEASURE_MS 100 /* a run that lasts so long is worth a look at its group */
#define OOM_LOOKS  8   /* after the kernel said that memory is short: is one killed? */

enum shim_phase {
    PHASE_STEPS,  /* `task` is a step */
    PHASE_MAKES,  /* a container is made: `task` is crun */
    PHASE_LEAVES, /* crun leaves: there is no `task` until process 1 is our child */
    PHASE_BEGINS, /* `task` is process 1 of it, and becomes the command */
    PHASE_RUNS,   /* `task` is the command */
};

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
    enum shim_phase phase;
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
    int image;      /* CONTAINER: the lock that keeps it in the cache, or -1 */
    int begin;      /* a socket to who makes it and will be its command, or -1 */
    pid_t first;    /* its process 1, once it is known */
    bool begins;    /* that said that it becomes it */
    int said;       /* a memory file of what they say */
    bool killed;    /* something of it, by us or for memory: its group is not kept */
};

static inline uint64_t boottime_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline bool shim_is_container(const struct shim *s)
{
    return (s->request->flags & SHIM_FLAG_CONTAINER) != 0;
}

/* SIGTERM: process 1 of a container decides for all. */
static inline void shim_ask_to_end(const struct shim *s)
{
    kill(shim_is_container(s) ? s->task : -s->task, SIGTERM);
}

/* shim.c */
/* The command runs. */
void shim_started(struct shim *s);
/* `task`, who stood before the command, has ended and was waited for: so the run has.
 * otherwise: how, if nothing else tells it. */
_Noreturn void shim_ended_before(struct shim *s,
                                 const siginfo_t *info,
                                 struct slot_end *end,
                                 enum slot_how otherwise);

/* shim_start.c */
void shim_write_start(const struct shim *s);
/* From now on the next agent can find this run. */
void shim_write_begin(const struct shim *s);
void shim_make_group(struct shim *s);
void shim_image_made(struct shim *s); /* its own limits of cpu begin */
void shim_open_sandbox(struct shim *s);
/* The command itself. */
void shim_start_task(struct shim *s);

/* shim_container.c */
void shim_hold_image(struct shim *s);
void shim_make_container(struct shim *s);
void shim_on_begin(struct shim *s);
/* `task` has ended, in one of its phases. */
void shim_container_made(struct shim *s, const siginfo_t *info);
void shim_begin_ended(struct shim *s, const siginfo_t *info);
/* SIGALRM: it has been in PHASE_BEGINS for too long, if it still is. */
void shim_begin_overdue(struct shim *s);
/* PHASE_LEAVES: is it our child now?  And: there is no child at all. */
void shim_look_for_first(struct shim *s);
_Noreturn void shim_first_is_gone(struct shim *s);

/* shim_end.c */
void shim_notify(struct shim *s, enum shim_notice_kind kind);
/* What did not fit in the pipe: its lease runs, whether or not the agent reads. */
void shim_tell_unsaid(struct shim *s);
bool shim_kill_all(struct shim *s);
void shim_kill_for(struct shim *s, enum slot_how reason);
/* Returns when nothing is left of the run. */
void shim_end_rest(struct shim *s);
_Noreturn void shim_finish(const struct shim *s, struct slot_end *end);
_Noreturn void shim_not_started(struct shim *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Ask the kernel to tell when memory is short in the group. */
void shim_watch_oom(struct shim *s);
void shim_on_oom(struct shim *s);
void shim_look_for_oom(struct shim *s);
enum slot_how shim_how_ended(struct shim *s, const siginfo_t *info);
/* While its group is there. */
void shim_measure(const struct shim *s, struct slot_used *out);

/* shim_lease.c */
void shim_start_lease(struct shim *s);
/* It waited for a lease, and then for its turn here: does not return if that is over. */
void shim_check_lease(struct shim *s);
void shim_on_lease(struct shim *s);

#endif
