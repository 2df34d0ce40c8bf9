/* failure.h - what went wrong, when, what was done and when it was well again
 * (docs/spec/13-failures-and-estimates.md).
 *
 * Failures are objects of the state with ids that follow each other; the last
 * LIMIT_FAILURES are kept in a ring, so each is found by its id at once.  The sums of each
 * type are objects, too, and outlive them.  The open failure of a task is derived: a number
 * in its extras; that of an agent likewise.  How many are open is counted with the job, so
 * that a kill takes all of them away together.
 */
#ifndef RAFT_FSM_FAILURE_H
#define RAFT_FSM_FAILURE_H

#include "base/limits.h"
#include "wire/failure.h"

#include <stdbool.h>
#include <stdint.h>

struct job;
struct state;

struct failure {
    uint64_t id;
    uint64_t changed;
    uint64_t stamp_us;
    uint64_t down_us;      /* since then it is not well; at most stamp_us */
    uint64_t retry_us;     /* the task is not placed before this stamp; or 0 */
    uint64_t recovered_us; /* of a recovered one; else 0 */
    uint64_t job;          /* 0 of an agent */
    uint64_t agent;
    uint64_t next_agent; /* of a recovered one of a task; else 0 */
    uint32_t instance;
    uint32_t attempt; /* its number; 0 of an agent */
    uint32_t moved;   /* tasks of the agent; 0 of a task */
    int32_t exit_code;
    bool of_agent;
    uint8_t reason;     /* enum task_reason */
    uint8_t task_state; /* enum task_state: how the attempt ended; LOST of an agent */
    uint8_t deed;       /* enum failure_deed */
    uint8_t state;      /* enum failure_state, one that is stored */
};

/* Of all failures of a type that ever were. */
struct failure_sum {
    uint64_t changed;
    bool of_agent;
    uint8_t reason;
    uint64_t count; /* 0: it is no object yet */
    uint64_t recovered;
    uint64_t recovery_us; /* together */
    uint64_t longest_us;
};

/* Open ones of the tasks of a job that is not killed. */
struct failure_counts {
    uint32_t all;
    uint32_t of_reason[TASK_REASON_COUNT];
};

struct failures {
    uint64_t first, last; /* ids that are kept; last is 0 before the first one */
    struct failure_sum sums[2][TASK_REASON_COUNT]; /* of tasks, of agents */

    /* derived */
    uint64_t open[2]
                 [TASK_REASON_COUNT]; /* of jobs that are not killed, and of agents */
    struct failure *ring[LIMIT_FAILURES];
};

/* NULL when it is not kept. */
struct failure *state_failure(const struct state *s, uint64_t id);
/* What everybody sees: an open one of a job that is killed or away is withdrawn. */
enum failure_state state_failure_is(const struct state *s, const struct failure *f);

/* An open failure is that of its task or agent from now on, or is it no more; others are left
 * alone.  What is not there any more is none. */
void failure_attach(struct state *s, const struct failure *f);
void failure_detach(struct state *s, const struct failure *f);
/* None of this job is open any more, since it is killed from now on. */
void failures_withdraw(struct state *s, struct job *j);

static inline struct failure_type failure_type(const struct failure *f)
{
    return (struct failure_type){f->of_agent, (enum task_reason)f->reason};
}

#endif
