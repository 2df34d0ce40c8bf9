/* worth.h - what an agent with that much free is worth (docs/spec/7-scheduling.md).
 *
 * Additive: worth(a + b) = worth(a) + worth(b).  Hence the order of agents by worth is their
 * order after any task as well, an agent that just took a task stays the best as long as it
 * has room, and none that is worth less than a task can hold it. */
#ifndef SCHED_WORTH_H
#define SCHED_WORTH_H

#include "wire/resources.h"

#include <stdint.h>

uint64_t worth(const struct resources *free);

#endif
