/* plan_copy.h - what the shell of a master does with MASTER_PLAN, and waits for it. */
#ifndef TESTS_LIB_PLAN_COPY_H
#define TESTS_LIB_PLAN_COPY_H

#include "master/core/core.h"

/* master_plan() in a copy of this process, which stays as it is; false when the copy died. */
bool plan_copy(struct master_core *core,
               uint32_t rpc,
               struct bytes request,
               struct buffer *answer);

#endif
