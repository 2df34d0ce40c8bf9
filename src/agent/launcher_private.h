/* launcher_private.h - what the files of the process launcher share.
 *
 *   launcher_process.c   made and ended, and what comes in: notices, ends of shims
 *   launcher_table.c     the processes, and what is told of them
 *   launcher_adopt.c     what became of a run: slots, shims of an earlier agent, leftovers
 *   launcher_starts.c    how many are started at one time
 *   launcher_ask.c       what the spawner and the shims are asked for
 *   launcher_held.c      what waits until it is known who a user is
 */
#ifndef AGENT_LAUNCHER_PRIVATE_H
#define AGENT_LAUNCHER_PRIVATE_H

#include "agent/launcher.h"

#include "agent/cgroup.h"
#include "agent/request.h"
#include "agent/shim.h"
#include "agent/slots.h"
#include "agent/spawning.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

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
    bool forgotten;        /* nobody asks for it: only to be killed */
    bool cancelled;        /* before its shim was known */
    struct places *places; /* it has one of them; or NULL */
    uint64_t place_until_us;

    bool tell_started, tell_ended; /* in the list `telling` for this */
    enum run_end how;
    int code;
    char *message;             /* owned, or NULL */
    TAILQ_ENTRY(process) link; /* in `telling` or in `lost` */
    TAILQ_ENTRY(process) in_places;
    RB_ENTRY(process) by_attempt;
};

TAILQ_HEAD(process_list, process);
RB_HEAD(process_tree, process);
RB_PROTOTYPE(process_tree, process, by_attempt, )

/* A shim that is still to be asked for. */
struct start {
    struct process *process;
    struct buffer request;
    STAILQ_ENTRY(start) link;
};

/* A start or a check whose user is being looked up. */
struct held {
    struct run_start run; /* its spec and ports are owned */
    bool is_check;
    uint32_t index; /* of the check */
    uint64_t due_us;
    TAILQ_ENTRY(held) link;
};

/* Of those that are started at one time. */
struct places {
    unsigned limit, count;
    struct process_list taken;    /* oldest first */
    STAILQ_HEAD(, start) waiting; /* for one */
};

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
    bool look_for_lost;
    unsigned retry_ms;
    struct places starting, preparing;
    int place_timer;
    TAILQ_HEAD(, held) held;
    int overdue;         /* a timerfd: the first of `held` is, at overdue_us */
    uint64_t overdue_us; /* 0: never */
    struct process_tree processes;
    struct process_list telling;
    struct process_list lost;
};

static inline struct launcher_process *launcher_process_of(struct launcher *l)
{
    return (struct launcher_process *)l;
}

/* launcher_table.c */
struct process *process_find(struct launcher_process *l, uint64_t attempt);
struct process *process_add(struct launcher_process *l, uint64_t attempt);
void process_drop(struct launcher_process *l, struct process *p);
/* The launcher cannot go on: the listener is told once, and nothing else any more. */
void process_fail(struct launcher_process *l, const struct error *err);
void process_tell_started(struct launcher_process *l, struct process *p);
void process_tell_ended(struct launcher_process *l,
                        struct process *p,
                        enum run_end how,
                        int code,
                        const char *message);
/* Its shim is gone and kept no end: what is left of it must go before it is told. */
void process_lose(struct launcher_process *l, struct process *p);
void process_tell_all(struct launcher_process *l);
void process_clean_bundles(struct launcher_process *l);

/* launcher_adopt.c */
/* What the slots say, before any is adopted. */
int process_load(struct launcher_process *l, struct error *err);
void process_adopt(struct launcher *base, uint64_t attempt);
/* Adoption is over: what nobody asked for was forgotten long ago. */
void process_settle(struct launcher_process *l);
void process_shim_ended(struct launcher_process *l, struct process *p);
bool process_is_end(const struct process *p, const struct slot *slot);
/* A descriptor of the shim; or -1 and errno, which is ESRCH when it is gone. */
int process_open_shim(const struct process *p);

/* launcher_starts.c */
void process_init_places(struct launcher_process *l);
/* Takes the request over: it is sent when there is a place. */
void process_queue_start(struct launcher_process *l,
                         struct process *p,
                         struct buffer *request);
/* The shim said something: another one may be started. */
void process_heard_of(struct launcher_process *l,
                      struct process *p,
                      enum shim_notice_kind what);
/* `place_timer` is due. */
void process_give_late_places(struct launcher_process *l);
void process_give_place(struct process *p);
void process_drop_starts(struct launcher_process *l);

/* launcher_ask.c */
void process_start_run(struct launcher *base, const struct run_start *run);
/* False: its user is still being looked up. */
bool process_try_start(struct launcher_process *l,
                       struct process *p,
                       const struct run_start *run);
bool process_try_check(struct launcher_process *l,
                       struct process *p,
                       const struct run_start *run,
                       uint32_t index);
void process_signal(struct launcher *base, uint64_t attempt, enum run_signal signal);
void process_signal_shim(struct launcher_process *l, uint64_t attempt, int number);
void process_end_for_disk(struct launcher *base, uint64_t attempt);
int process_exec(struct launcher *base,
                 const struct run_start *run,
                 const struct exec_request *request,
                 int socket,
                 struct error *err);
void process_check(struct launcher *base, const struct run_start *run, uint32_t index);
/* Why a check failed, in words, perhaps in `text`; NULL if it passed. */
const char *process_check_problem(const struct shim_notice *notice,
                                  char text[LIMIT_MESSAGE_BYTES]);
/* Whether to wait until the spawner takes more. */
void process_watch_spawner(struct launcher_process *l, bool write);

/* launcher_held.c */
void process_hold(struct launcher_process *l,
                  const struct run_start *run,
                  bool is_check,
                  uint32_t index);
void process_try_held(struct launcher_process *l);
void process_drop_held(struct launcher_process *l);

#endif
