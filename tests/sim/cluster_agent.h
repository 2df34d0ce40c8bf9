/* cluster_agent.h - what the files of the simulated agent share.
 *
 *   cluster_agent.c  its process: actions, links, faults, life
 *   cluster_task.c   processes of tasks, their shims and checks: they outlive it
 *   cluster_disk.c   its checkpoint: records become durable in order, a crash loses the rest
 */
#ifndef SIM_CLUSTER_AGENT_H
#define SIM_CLUSTER_AGENT_H

#include "cluster.h"

/* cluster_agent.c */
void sim_agent_step(struct sim_agent *a, struct agent_event *event);
uint64_t sim_agent_ms(const struct sim_agent *a); /* on the clock of its host */
/* Its process is paused: again() is called when it goes on. */
bool sim_agent_waits(struct sim_agent *a, world_fn again, uint64_t x, uint64_t y);

/* cluster_task.c */
void sim_task_start(struct sim_agent *a, const struct run_start *run);
void sim_task_signal(struct sim_agent *a, uint64_t attempt, enum run_signal signal);
void sim_task_adopt(struct sim_agent *a, uint64_t attempt);
void sim_task_forget(struct sim_agent *a, uint64_t attempt);
void sim_task_check(struct sim_agent *a, const struct run_check *check);
void sim_tasks_gone(struct sim_agent *a); /* with the host */
/* What the agent tells a master of its runs is so, and will be so whatever happens to it. */
void sim_tasks_told(struct sim_agent *a, struct bytes bytes);

/* cluster_disk.c */
void sim_disk_write(struct sim_agent *a, const struct agent_action *action);
void sim_disk_crash(struct sim_agent *a); /* some of what was on its way is there */
void sim_disk_wipe(struct sim_agent *a);
/* Whether its record of the run is durable. */
bool sim_disk_has_run(const struct sim_agent *a, uint64_t attempt);

#endif
