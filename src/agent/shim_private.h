/* shim_private.h - what the files of a shim share.
 *
 *   shim.c        its life: steps, the command, signals
 *   shim_start.c  what must be there before the command: group, sandbox, logs, slot
 *   shim_end.c    how it ended, and that nothing is left of it
 *   shim_lease.c  that it ends when nobody renews its lease
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
    bool prepares; /* `task` is a step; the command does not run yet */
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
    bool killed;    /* something of it, by us or for memory: its group is not kept */
};

static inline uint64_t boottime_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* shim_start.c */
void shim_write_start(const struct shim *s);
/* From now on the next agent can find this run. */
void shim_write_begin(const struct shim *s);
void shim_make_group(struct shim *s);
void shim_open_sandbox(struct shim *s);
/* The command itself. */
void shim_start_task(struct shim *s);

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
