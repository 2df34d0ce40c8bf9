/* budget.h - what a role may do within a minute, and did.
 *
 * Times are those of the leader, which only grow.  A budget is in its memory: the next leader begins
 * with none.  Memory: a spending for each time that something was spent within a minute. */
#ifndef SCHED_BUDGET_H
#define SCHED_BUDGET_H

#include "base/limits.h"
#include "raft_fsm/role.h"

#include <bsd/sys/queue.h>
#include <stdint.h>

/* So many at one time. */
struct spending {
    uint64_t at_us;
    uint32_t count;
    STAILQ_ENTRY(spending) next;
};

/* Of one role. */
struct purse {
    char role[LIMIT_ROLE_BYTES + 1];
    uint64_t spent; /* in the last minute: these together */
    STAILQ_HEAD(, spending) spendings;
    LIST_ENTRY(purse) next;
};

struct budget {
    LIST_HEAD(, purse) purses; /* of those that spent something; owned */
};

void budget_init(struct budget *b);
void budget_finish(struct budget *b); /* nothing is spent */

/* What is left of `per_minute` for the role at this time. */
uint32_t budget_left(struct budget *b,
                     const struct role *role,
                     uint32_t per_minute,
                     uint64_t now_us);
void budget_spend(struct budget *b,
                  const struct role *role,
                  uint32_t count,
                  uint64_t now_us);

#endif
