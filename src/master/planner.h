/* planner.h - plans, in a copy of the process.
 *
 * A plan is found by doing what is asked (core.h), so it needs a state of its own.  fork() gives
 * one at once, however large it is: pages are copied when one side writes to them.  The copy has one thread,
 * no sockets and no files of the master, says its answer through a pipe, and is ended when it takes
 * longer than LIMIT_PLAN_MS or its parent ends.
 */
#ifndef MASTER_PLANNER_H
#define MASTER_PLANNER_H

#include "base/buffer.h"

#include <stdint.h>

struct master;
struct planner;

struct planner *planner_create(struct master *m);
/* A plan that is being made is given up.  NULL is fine. */
void planner_destroy(struct planner *p);

/* Carries out MASTER_PLAN; the core hears MASTER_PLANNED later, never from inside. */
void planner_ask(struct planner *p,
                 uint64_t session,
                 uint32_t rpc,
                 struct bytes request);

#endif
