/* verify.h - what the parts of state_verify() share. */
#ifndef RAFT_FSM_VERIFY_H
#define RAFT_FSM_VERIFY_H

#include "raft_fsm/image.h"
#include "raft_fsm/state.h"

#define RULE(condition, ...)                                   \
    do {                                                       \
        if (!(condition))                                      \
            return error_set(err, ERROR_CORRUPT, __VA_ARGS__); \
    } while (0)

/* What is counted on the way through the tables. */
struct sums {
    struct hash128 digest;
    uint64_t jobs, tasks, agents, roles, attempts, tombstones;
    uint64_t agents_attempts, jobs_attempts; /* as agents and jobs count them */
    uint64_t stopped, jobs_stopped;          /* likewise */
    uint64_t runnable, systems;
    uint64_t tasks_by_state[TASK_STATE_COUNT];
    uint64_t jobs_by_state[JOB_STATE_COUNT];
    uint64_t agents_by_state[AGENT_STATE_COUNT];
};

static inline struct hash128 hash_of(struct object o)
{
    struct image image;

    image_write(&image, &o);
    return image_hash(&image);
}

/* verify_links.c: what a job waits for, and what waits for it; what is made of it. */
int verify_links(const struct state *s, const struct job *j, struct error *err);

int verify_template(const struct state *s, const struct job *j, struct error *err);
/* Whose task is whose. */
int verify_system(const struct state *s, const struct job *j, struct error *err);

/* verify_roles.c: roles as objects; then, of roles and owners, jobs and use, when jobs and
 * attempts are known to be right. */
int verify_roles(const struct state *s, struct sums *sums, struct error *err);
int verify_use(const struct state *s, struct error *err);

/* verify_failures.c: when jobs, tasks and agents are known to be right. */
int verify_failures(const struct state *s, struct sums *sums, struct error *err);
int verify_histories(const struct state *s, struct sums *sums, struct error *err);

#endif
