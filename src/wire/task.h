/* task.h - names of tasks, attempts and their states (docs/spec/3-task-states.md).
 *
 * A task is (job, instance) and lives as long as its job.  An attempt is one try to run it on
 * one agent; ids of attempts come from one counter in the state and are never used again.
 */
#ifndef WIRE_TASK_H
#define WIRE_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Mesos's names, PENDING before placement.  Order is progress: an attempt's state only grows,
 * and everything from FINISHED on is final.  The numbers are on the wire and on disk. */
#define TASK_STATES(X)              \
    X(0, PENDING, "TASK_PENDING")   \
    X(1, STAGING, "TASK_STAGING")   \
    X(2, STARTING, "TASK_STARTING") \
    X(3, RUNNING, "TASK_RUNNING")   \
    X(4, KILLING, "TASK_KILLING")   \
    X(5, FINISHED, "TASK_FINISHED") \
    X(6, FAILED, "TASK_FAILED")     \
    X(7, KILLED, "TASK_KILLED")     \
    X(8, ERROR, "TASK_ERROR")       \
    X(9, LOST, "TASK_LOST")

enum task_state {
#define X(number, name, text) TASK_##name = number,
    TASK_STATES(X)
#undef X
        TASK_STATE_COUNT
};

static inline bool task_state_is_final(enum task_state state)
{
    return state >= TASK_FINISHED;
}

const char *task_state_name(enum task_state state);

/* Why an attempt ended, or why it is as it is.  Numbers are on the wire and on disk. */
#define TASK_REASONS(X)                                                                \
    X(0, NONE, "")                                                                     \
    X(1, EXITED, "REASON_COMMAND_EXITED")     /* by itself; see exit_code */           \
    X(2, SIGNALED, "REASON_COMMAND_SIGNALED") /* exit_code = 128 + signal */           \
    X(3,                                                                               \
      NOT_STARTED,                                                                     \
      "REASON_COMMAND_NOT_STARTED") /* no such command, no directory */                \
    X(4, KILLED_BY_USER, "REASON_TASK_KILLED")                                         \
    X(5, AGENT_UNREACHABLE, "REASON_AGENT_UNREACHABLE")                                \
    X(6, AGENT_GONE, "REASON_AGENT_GONE")                                              \
    X(7, AGENT_RESTARTED, "REASON_AGENT_RESTARTED") /* host rebooted, run vanished */  \
    X(8, LAUNCH_REFUSED, "REASON_LAUNCH_REFUSED")   /* superseded or never accepted */ \
    X(9, SHIM_LOST, "REASON_SHIM_LOST") /* exit status could not be kept */            \
    X(10, MEMORY_LIMIT, "REASON_MEMORY_LIMIT")                                         \
    X(11, DISK_LIMIT, "REASON_DISK_LIMIT")                                             \
    X(12, MAX_RUNTIME, "REASON_MAX_RUNTIME")                                           \
    X(13, HEALTH_CHECK, "REASON_HEALTH_CHECK")                                         \
    X(14, LEASE_EXPIRED, "REASON_LEASE_EXPIRED")                                       \
    X(15, AGENT_DRAINED, "REASON_AGENT_DRAINED") /* moved away from an agent */        \
    X(16, FETCH_FAILED, "REASON_FETCH_FAILED")                                         \
    X(17, IMAGE_FAILED, "REASON_IMAGE_FAILED")                                         \
    X(18, PREEMPTED, "REASON_PREEMPTED") /* for a task of another job */               \
    X(19, MOVED, "REASON_MOVED")         /* to a better agent */

enum task_reason {
#define X(number, name, text) TASK_REASON_##name = number,
    TASK_REASONS(X)
#undef X
        TASK_REASON_COUNT
};

const char *task_reason_name(enum task_reason reason);

/* What the checks of a running attempt say.  Numbers are on the wire and on disk. */
#define TASK_HEALTHS(X)                                                    \
    X(0, UNKNOWN, "unknown") /* it has none, or not all have passed yet */ \
    X(1, PASSING, "passing")                                               \
    X(2, FAILING, "failing")                                               \
    X(3, NOT_READY, "not ready") /* only readiness checks are failing */

enum task_health {
#define X(number, name, text) HEALTH_##name = number,
    TASK_HEALTHS(X)
#undef X
        TASK_HEALTH_COUNT
};

const char *task_health_name(enum task_health health);

/* Jobs: joint 15. */
#define JOB_STATES(X)          \
    X(0, PENDING, "PENDING")   \
    X(1, RUNNING, "RUNNING")   \
    X(2, COMPLETE, "COMPLETE") \
    X(3, FAILED, "FAILED")     \
    X(4, KILLED, "KILLED")

enum job_state {
#define X(number, name, text) JOB_##name = number,
    JOB_STATES(X)
#undef X
        JOB_STATE_COUNT
};

static inline bool job_state_is_final(enum job_state state)
{
    return state >= JOB_COMPLETE;
}

const char *job_state_name(enum job_state state);

/* Where it is known from how long a task takes.  Numbers are on the wire and on disk. */
#define EXPECTATIONS(X)      \
    X(0, ROLE, "role")       \
    X(1, JOB, "job")         \
    X(2, HISTORY, "history") \
    X(3, MAX_RUNTIME, "max_runtime")

enum expectation {
#define X(number, name, text) EXPECTED_OF_##name = number,
    EXPECTATIONS(X)
#undef X
        EXPECTATION_COUNT
};

const char *expectation_name(enum expectation from);

/* "17.3" is instance 3 of job 17; "17" alone is instance 0.  Returns false on anything else. */
bool task_name_parse(const char *text, uint64_t *job, uint32_t *instance);

#endif
