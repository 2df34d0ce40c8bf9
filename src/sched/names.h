/* names.h - which jobs an agent has tasks of, by role and name, for anti-affinity.
 *
 * Read from the agent's attempts when somebody asks, and kept until something of the agent changes:
 * a number for each name, of its hash, so that asking is a short search.  Memory: 8 bytes for
 * an attempt at most.
 */
#ifndef SCHED_NAMES_H
#define SCHED_NAMES_H

#include "raft_fsm/role.h"
#include "raft_fsm/state.h"

struct names {
    uint64_t *of; /* owned; up, each once */
    size_t count, capacity;
    bool are_known;
};

/* Of jobs of this name in this role. */
uint64_t name_number(const struct role *role, struct bytes name);
uint64_t name_number_of(const struct job *j);

/* They are not known. */
void names_forget(struct names *n);
void names_read(struct names *n, const struct agent *agent);
void names_add(struct names *n, uint64_t number);
bool names_have(const struct names *n, uint64_t number);

#endif
