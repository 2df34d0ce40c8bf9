/* extras.h - what a task may need besides amounts: ports, custom resources, features.
 *
 * Most jobs need none of it (extra_needs NULL), and most agents have little, so it stands
 * beside struct resources and not in it.  Three parts, all values:
 *
 *   extra_needs     of each task of a job
 *   extra_capacity  of an agent, as it registered
 *   extra_use       of an agent: which ports its attempts have, how much of each custom
 *                   resource.  A port stays in use when the agent registers without it
 *
 * Who fits is decided here alone: the state machine and the scheduler, which plans with
 * copies, can never differ.  Amounts are thousandths.
 */
#ifndef RAFT_FSM_EXTRAS_H
#define RAFT_FSM_EXTRAS_H

#include "base/limits.h"
#include "wire/agent.h"
#include "wire/job.h"
#include "wire/resources.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct extra_needs {
    uint32_t port_count;                        /* any free ones */
    struct port_range fixed[LIMIT_PORT_RANGES]; /* and these */
    size_t fixed_count;
    struct custom_resources custom; /* amounts > 0 */
    uint32_t features;              /* bits */
};

struct extra_capacity {
    struct port_range ports[LIMIT_PORT_RANGES];
    size_t range_count;
    struct custom_resources custom;
    uint32_t features;
};

struct extra_use {
    uint16_t *ports; /* ascending */
    uint32_t port_count;
    size_t port_room;
    struct custom_resources custom; /* amounts > 0 */
};

/* NULL when the job needs nothing of it. */
struct extra_needs *extra_needs_of(const struct job_spec *spec);
void extra_needs_destroy(struct extra_needs *n);                   /* NULL is fine */
struct extra_needs *extra_needs_copy(const struct extra_needs *n); /* NULL of NULL */
/* A fixed order, by which equal ones find each other; NULL before all others. */
int extra_needs_compare(const struct extra_needs *a, const struct extra_needs *b);
bool extra_needs_are_empty(const struct extra_needs *n);
/* How many ports a task has. */
uint32_t extra_needs_ports(const struct extra_needs *n);

void extra_capacity_take(struct extra_capacity *c, const struct agent_spec *spec);
void extra_capacity_copy(struct extra_capacity *to, const struct extra_capacity *from);
bool extra_capacity_is_empty(const struct extra_capacity *c);
bool extra_capacity_equal(const struct extra_capacity *a,
                          const struct extra_capacity *b);
void extra_capacity_finish(struct extra_capacity *c);

void extra_use_copy(struct extra_use *to, const struct extra_use *from);
bool extra_use_equal(const struct extra_use *a, const struct extra_use *b);
void extra_use_finish(struct extra_use *u);

/* Ports in the ranges; and those of them that nobody has. */
uint32_t extra_ports_offered(const struct extra_capacity *c);
uint32_t extra_ports_free(const struct extra_capacity *c, const struct extra_use *u);
bool extra_port_is_offered(const struct extra_capacity *c, uint16_t port);
bool extra_port_is_used(const struct extra_use *u, uint16_t port);

/* True if an agent has all of it, whoever uses it now; and if it is free. */
bool extra_is_able(const struct extra_capacity *c, const struct extra_needs *n);
bool extra_has_room(const struct extra_capacity *c,
                    const struct extra_use *u,
                    const struct extra_needs *n);

/* How many tasks have room together, of one that has: at most `most`. */
uint32_t extra_room(const struct extra_capacity *c,
                    const struct extra_use *u,
                    const struct extra_needs *n,
                    uint32_t most);

/* The ports of a task that has room: the fixed ones in order, then the lowest free ones,
 * ascending.  `ports` has room for extra_needs_ports(). */
void extra_choose(const struct extra_capacity *c,
                  const struct extra_use *u,
                  const struct extra_needs *n,
                  uint16_t *ports);
/* A task has these ports and its custom resources from now on, or no more. */
void extra_take(struct extra_use *u,
                const struct extra_needs *n,
                const uint16_t *ports,
                size_t count);
void extra_give(struct extra_use *u,
                const struct extra_needs *n,
                const uint16_t *ports,
                size_t count);
/* True if it may: the ports are as many as the task has (n NULL: none), nobody has one of
 * them, and no sum is out of range. */
bool extra_may_take(const struct extra_use *u,
                    const struct extra_needs *n,
                    const uint16_t *ports,
                    size_t count);

#endif
