/* effects.h - what one entry leaves for the leader: results and effects. */
#ifndef RAFT_FSM_EFFECTS_H
#define RAFT_FSM_EFFECTS_H

#include "raft_fsm/fsm.h"

/* Both do nothing when o is NULL: a follower does not look. */
void outcome_add_result(struct outcome *o, struct result result);
void outcome_add_effect(struct outcome *o, struct effect effect);

#endif
