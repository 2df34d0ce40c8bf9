/* move.c - which running tasks may be moved to another agent. */
#include "raft_fsm/move.h"

/* Superseded attempts have left their tasks, and are in nobody's way. */
uint32_t move_told_to_end(const struct job *j)
{
    return j->kill_index != 0 ? 0 : j->stopped - (j->attempts - job_live(j));
}

bool move_may_job(const struct job *j)
{
    if (j->owner->role->spec.rebalance == 0 || j->kind != JOB_SERVICE || j->is_gang ||
        j->kill_index != 0 || job_has_lease(j))
        return false;
#ifdef MUTANT_MOVE_TWO_AT_ONCE
    return j->tasks[TASK_RUNNING] > 0;
#endif
    return j->touched == j->instances && j->tasks[TASK_PENDING] == 0 &&
           job_live(j) == j->tasks[TASK_RUNNING] && move_told_to_end(j) == 0;
}

bool move_may(const struct attempt *t)
{
    return t->state == TASK_RUNNING && !attempt_is_to_end(t) &&
           t->agent->state == AGENT_ACTIVE && t->agent->mode == AGENT_NORMAL;
}
