/* model.h - docs/spec/2 and 3 written a second time, as simply as possible.
 *
 * Arrays instead of trees, nothing derived is kept: whether a job is final or what an agent
 * has left is found by looking at everything.  It shares only the decoders of src/wire with
 * the state machine.
 */
#ifndef TESTS_UNIT_RAFT_FSM_MODEL_H
#define TESTS_UNIT_RAFT_FSM_MODEL_H

#include "raft_fsm/fsm.h"

struct model;

struct model *model_create(void);
void model_destroy(struct model *m);

/* What fsm_apply() must answer; out is cleared first. */
void model_apply(struct model *m,
                 uint64_t index,
                 struct bytes entry,
                 struct outcome *out);

/* Fails the test at the first difference that anybody could see. */
void model_compare(const struct model *m, const struct state *s);
/* Results in order, effects in any order, in which they are left. */
void model_compare_outcomes(struct outcome *expected, struct outcome *seen);

#endif
