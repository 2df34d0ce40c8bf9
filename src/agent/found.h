/* found.h - what an agent has to work with, told in its log when it starts. */
#ifndef AGENT_FOUND_H
#define AGENT_FOUND_H

struct agent_config;
struct cgroups;
struct launcher;

/* "cgroup v1 (cpu) and cgroup v2 (memory, pids)"; the caller frees it. */
char *found_groups(const struct cgroups *c);

/* One line of what is there, and a warning for each thing that is missing or looks wrong; a
 * thread does that, soon. */
void found_tell(const struct agent_config *config, const struct launcher *launcher);

#endif
