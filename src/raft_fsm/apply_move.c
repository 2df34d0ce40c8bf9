/* apply_move.c - a running task goes to a better agent (docs/spec/17-rebalance.md). */
#include "raft_fsm/apply.h"

#include "raft_fsm/move.h"

struct result apply_move(struct apply *a, const struct command *c)
{
    struct attempt *t = state_attempt(a->state, c->move.attempt);
    struct agent *to = state_agent(a->state, c->move.agent);

    if (t == NULL || to == NULL)
        return result_rejected(ERROR_NOT_FOUND);
    if (to == t->agent || !agent_takes_work(to))
        return result_rejected(ERROR_INVALID);
    if (!move_may_job(t->job) || !move_may(t) || !agent_has_room(to, t->job))
        return result_rejected(ERROR_CONFLICT);
    attempt_stop(a, t, TASK_REASON_MOVED, to->id);
    return result_done(a, t->id);
}
