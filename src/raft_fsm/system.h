/* system.h - jobs with one task on each agent (docs/spec/14-kinds.md).
 *
 * Each task of a system job belongs to an agent, from its first placement until that agent is
 * gone: it is placed there again, and nowhere else.  Then it is *vacant* (TASK_LOST), and is used
 * again for the next agent that has none.  So the job has at most as many tasks as there were
 * agents at one time.
 *
 * Whose task is whose is in the tasks; the table from agents to them is derived.  It is an array:
 * agents come in the order of their ids and are asked in the order in which they came, so nearly all
 * are appended (in any order one of 65,536 costs 8 us), and what belongs to nobody stays until that is
 * half of it.
 */
#ifndef RAFT_FSM_SYSTEM_H
#define RAFT_FSM_SYSTEM_H

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct job;
struct state;
struct task;

struct system_binding {
    uint64_t agent;
    uint32_t instance;
};

struct job_system {
    struct job *job;
    struct system_binding *of; /* ascending by agent; owned */
    uint32_t count, unbound;   /* with those of agents that are gone: so many */
    size_t capacity;
    uint32_t no_vacant_below; /* of its instances */
    RB_ENTRY(job_system) by_job;
};

RB_HEAD(system_tree, job_system); /* of jobs that are not killed */
RB_PROTOTYPE(system_tree, job_system, by_job, )

void job_system_create(struct job *j);  /* without tasks */
void job_system_destroy(struct job *j); /* also when it has none */

/* The task that belongs to the agent; NULL: there is none. */
struct task *system_task(const struct job *j, uint64_t agent);
/* It belongs to the agent, which had none; or not any more. */
void system_bind(struct job *j, uint64_t agent, uint32_t instance);
void system_unbind(struct job *j, uint64_t agent);
/* The instance that the next agent gets: the first vacant one, or one more than there are. */
uint32_t system_next(struct job *j);

#endif
