/* shim.h - what an agent and its shims say to each other.
 *
 * The agent starts one spawner (triarch-shim), a small process without threads.  For
 * each run the spawner forks a shim, which starts the task, waits for it and keeps its
 * exit status.  The spawner ends with its agent; the shims stay.
 *
 *   requests  agent -> spawner, a SOCK_SEQPACKET: one message is one wish,
 *             with a socket if it is a session (exec_session.h)
 *   notices   shims and spawner -> agent, a pipe: each is written whole (it is small)
 *   slots     a file with a slot for each run, written by its shim: how it started and
 * how it ended.  This is what a restarted agent reads fence     a lock that the spawner
 * holds, and each new shim until its slot is written.  An agent that has got it knows
 * that no run of its predecessor can start any more, and that every run that did start
 * is in its slot
 *
 * All of this stays on one machine, so integers are in its own byte order.
 */
#ifndef AGENT_SHIM_H
#define AGENT_SHIM_H

#include "agent/attempt_names.h"
#include "agent/cgroup.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Descriptors that the spawner is started with; its standard input is /dev/null. */
enum shim_fd {
    SHIM_FD_REQUESTS = 3,
    SHIM_FD_NOTICES = 4,
    SHIM_FD_SLOTS = 5,
    SHIM_FD_FENCE = 6,
    SHIM_FD_END = 7,
};

/* Signals to a shim.  SIGTERM is passed on to the task's process group. */
#define SHIM_SIGNAL_KILL   SIGUSR1 /* kill everything of the run */
#define SHIM_SIGNAL_DISK   SIGUSR2 /* the same, because it takes too much disk */
#define SHIM_SIGNAL_CANCEL SIGHUP  /* the same, if its command does not run yet */

enum shim_kind {
    SHIM_RUN = 1,   /* start the run, under a shim */
    SHIM_EXEC = 2,  /* a session of a person beside it */
    SHIM_CHECK = 3, /* a command that asks how it is */
};

enum shim_flag {
    SHIM_FLAG_USER = 1,       /* change to uid, gid and groups */
    SHIM_FLAG_CPU_HARD = 2,   /* cpu_milli is a hard limit */
    SHIM_FLAG_TERMINAL = 4,   /* EXEC: it gets one */
    SHIM_FLAG_INPUT = 8,      /* EXEC: some will come */
    SHIM_FLAG_CONTAINER = 16, /* RUN: the command is triarch-contain */
};

/* What is run before the command, in the run's group: program, argument and text of its
 * standard input are STEP_STRINGS strings. */
#define SHIM_STEPS   2
#define STEP_STRINGS 3

struct shim_step {
    uint32_t how; /* enum slot_how, when it fails */
    uint32_t
        as_task; /* as the task's user in its sandbox; else as the agent's, in WORK_DIR */
};

/* What the agent asks its spawner for.  After it come the groups, four bytes each, then
 * argc, then envc zero-ended strings, then those of the steps. */
struct shim_request {
    uint64_t attempt;
    struct attempt_name name; /* RUN */
    uint64_t lease_ms; /* RUN: ends when it is not renewed for so long; 0: none */
    uint64_t grace_ms; /* from TERM to KILL then */
    uint64_t memory_bytes;
    uint64_t disk_bytes; /* the agent looks after it */
    uint32_t cpu_milli;
    uint32_t pids;
    uint32_t kind;  /* enum shim_kind */
    uint32_t flags; /* of enum shim_flag */
    uint32_t slot;
    uint32_t restarts;
    uint32_t uid, gid;
    uint16_t rows, columns; /* EXEC: of its terminal */
    uint16_t port;          /* CHECK: of HTTP and TCP */
    uint16_t check_kind; /* CHECK: enum check_kind of wire/job.h; argv is the command,
                             * or the request of HTTP */
    uint32_t check;      /* CHECK: which of the job's */
    uint32_t timeout_ms; /* CHECK */
    int32_t shim_pid;    /* CHECK: when that process is gone so is the run */
    uint64_t shim_start; /* its start time, in ticks since boot */
    uint32_t groups;     /* supplementary ones; at most LIMIT_USER_GROUPS */
    uint32_t argc;       /* at least 1 */
    uint32_t envc;
    uint32_t step_count;
    struct shim_step steps[SHIM_STEPS];
    uint32_t size; /* bytes of the strings */
};

static inline const uint32_t *shim_request_groups(const struct shim_request *r)
{
    return (const uint32_t *)(r + 1);
}

static inline const char *shim_request_strings(const struct shim_request *r)
{
    return (const char *)(shim_request_groups(r) + r->groups);
}

/* WORK_DIR/lease: eight bytes, CLOCK_BOOTTIME in ms of the last renewal that counts. */
#define SHIM_LEASE "lease"

/* Twice of it is what a socket gives us on a system as it is installed. */
#define SHIM_REQUEST_MAX (LIMIT_ARGV_ENV_BYTES + 128 * KIB)

enum shim_notice_kind {
    SHIM_STARTED,   /* the command runs */
    SHIM_PREPARING, /* it does not yet: there are steps before it */
    SHIM_ENDED,     /* and its slot says how */
    SHIM_GONE,    /* from the spawner: the shim ended badly; its slot may say how far it
                     came */
    SHIM_CHECKED, /* the answer to a CHECK */
};

/* How a check ended; `code` of the notice has more. */
enum check_end {
    CHECK_PASSED,
    CHECK_EXITED,      /* exit status */
    CHECK_SIGNALED,    /* signal */
    CHECK_TIMED_OUT,   /* ms */
    CHECK_STATUS,      /* of HTTP */
    CHECK_NO_HTTP,     /* what came is no HTTP */
    CHECK_NOT_STARTED, /* errno */
    CHECK_NOT_REACHED, /* errno of the connection */
};

struct shim_notice {
    uint64_t attempt;
    uint64_t shim_start; /* start time of the shim, in ticks since boot */
    uint64_t since_ms;   /* STARTED: CLOCK_BOOTTIME */
    int32_t shim_pid;
    uint32_t kind; /* enum shim_notice_kind */
    /* CHECKED */
    uint32_t restarts, check;
    uint32_t end; /* enum check_end */
    int32_t code;
    char said
        [LIMIT_CHECK_SAID_BYTES]; /* the first of what a command wrote; not ended if full */
};

/* As text, as the kernel gives it. */
#define BOOT_ID_BYTES 36
#define BOOT_ID_PATH  "/proc/sys/kernel/random/boot_id"

#define SLOT_BYTES   512
#define SLOT_VERSION 2

/* Written before the task is started.  A shim is known by pid, start time and boot. */
struct slot_start {
    uint64_t attempt;
    uint64_t shim_start;
    uint64_t started_ms; /* CLOCK_BOOTTIME */
    uint64_t disk_bytes; /* as requested, for the next agent */
    int32_t shim_pid;
    uint32_t restarts; /* starts of this attempt before */
    uint32_t version;
    char boot_id[BOOT_ID_BYTES];
    uint32_t crc; /* of what stands before it */
};

enum slot_how {
    SLOT_EXITED = 1,
    SLOT_SIGNALED = 2,
    SLOT_NOT_STARTED = 3,
    SLOT_MEMORY = 4, /* the kernel killed it, or a part of it, for memory */
    SLOT_DISK = 5,   /* it was killed for disk */
    SLOT_LEASE = 6,  /* its lease was not renewed */
    SLOT_FETCH_FAILED = 7,
    SLOT_IMAGE_FAILED = 8,
};

/* Of all its processes together; 0: not known. */
struct slot_used {
    uint64_t cpu_us;
    uint64_t memory_peak_bytes;
    uint64_t read_bytes, written_bytes;
};

/* Written when nothing of the task is left. */
struct slot_end {
    uint64_t attempt;
    uint64_t shim_start; /* of the shim that writes it */
    struct slot_used used;
    uint32_t restarts;
    uint32_t how;                       /* enum slot_how */
    int32_t code;                       /* exit status; else signal, or 0 */
    char text[LIMIT_MESSAGE_BYTES + 1]; /* why, where there is more to say; or empty */
    uint32_t crc;
};

struct slot {
    struct slot_start start;
    struct slot_end end;
    char room[SLOT_BYTES - sizeof(struct slot_start) - sizeof(struct slot_end)];
};

_Static_assert(sizeof(struct slot) == SLOT_BYTES, "a slot has no gaps");

/* 0 or -errno.  Each is one write of a few bytes inside one page: a process that is
 * killed leaves the old or the new bytes, and the checksum tells a host that crashed.
 */
int slot_write_start(int fd, uint32_t slot, struct slot_start *start);
int slot_write_end(int fd, uint32_t slot, struct slot_end *end);

/* True if the bytes verify; an end must be of the same attempt as its start. */
bool slot_start_valid(const struct slot *slot);
bool slot_end_valid(const struct slot *slot);

/* What all shims of a spawner have in common. */
struct shim_host {
    char boot_id[BOOT_ID_BYTES];
    struct cgroups groups;
    bool
        oom_protected; /* by the agent, from the kernel's choice when memory is short */
};

/* shim.c: start the run, wait, keep how it ended; does not return.  spare: the group that it
 * may take over and leave (cgroup.h), which no other shim has meanwhile; or -1. */
_Noreturn void
shim_run(const struct shim_request *request, const struct shim_host *host, int spare);

#endif
