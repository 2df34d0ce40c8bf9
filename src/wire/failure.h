/* failure.h - the words of failure records (docs/spec/13-failures-and-estimates.md). */
#ifndef WIRE_FAILURE_H
#define WIRE_FAILURE_H

#include "wire/task.h"

#include <stdbool.h>
#include <stdint.h>

/* What was done.  Numbers are on the wire and on disk. */
#define FAILURE_DEEDS(X)                                            \
    X(0, ENDED, "ended")         /* its task with it */             \
    X(1, RETRIED, "retried")     /* it failed: by its reschedule */ \
    X(2, RESTARTED, "restarted") /* it was lost, or told to end */  \
    X(3, RECLAIMED, "reclaimed") /* the agent came back with it */  \
    X(4, MOVED, "moved")         /* the tasks of an agent */

enum failure_deed {
#define X(number, name, text) FAILURE_##name = number,
    FAILURE_DEEDS(X)
#undef X
        FAILURE_DEED_COUNT
};

const char *failure_deed_name(enum failure_deed deed);

/* Likewise.  The last is not on disk: its job is killed, or is not there any more. */
#define FAILURE_STATES(X)        \
    X(0, OPEN, "open")           \
    X(1, RECOVERED, "recovered") \
    X(2, OVER, "ended")          \
    X(3, AGAIN, "again")         \
    X(4, WITHDRAWN, "killed")

enum failure_state {
#define X(number, name, text) FAILURE_IS_##name = number,
    FAILURE_STATES(X)
#undef X
        FAILURE_STATE_COUNT
};

#define FAILURE_STORED_STATES FAILURE_IS_WITHDRAWN /* those below it */

const char *failure_state_name(enum failure_state state);

/* A type is a reason, of a task or of an agent. */
struct failure_type {
    bool of_agent;
    enum task_reason reason;
};

/* On the wire, above 0. */
static inline uint32_t failure_type_number(struct failure_type type)
{
    return 1 + (uint32_t)type.reason + (type.of_agent ? 256 : 0);
}

#define FAILURE_TYPE_MAX 32

/* "memory-limit", "agent-gone"; of agents "unreachable", "gone"; "unknown" without a reason.
 */
void failure_type_name(char out[FAILURE_TYPE_MAX], struct failure_type type);
/* False when no type has that name. */
bool failure_type_parse(struct failure_type *type, const char *name);

#endif
